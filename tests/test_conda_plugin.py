"""Inside conda gpuenv gives `__cuda_arch` and `conda gpu`, costs nothing at its start and never brings it down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from machines.stub_driver import build_stubs
from standin_conda import make_conda

ROOT = Path(__file__).parent.parent
GROUP = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["conda"]
ENTRY_POINTS = " ".join(f"{name}={value}" for name, value in GROUP.items())
H100, T4 = "NVIDIA H100 80GB HBM3|9.0|81559|", "Tesla T4|7.5|15360|"
MIG = "NVIDIA A100-SXM4-40GB|8.0|40960|1g.5gb"


@dataclass(frozen=True, kw_only=True)
class Conda:
    """The stand-in for conda with gpuenv beside it."""

    path: Path
    environ: dict[str, str]

    def run(self, *words: str, entry_points: str = ENTRY_POINTS, **environ: str) -> subprocess.CompletedProcess[str]:
        """`conda WORDS`, with these variables besides."""
        path = os.pathsep.join((str(self.path), str(ROOT / "src")))
        variables = {**self.environ, "PYTHONPATH": path, "STANDIN_ENTRY_POINTS": entry_points, **environ}
        command = (sys.executable, "-m", "conda", *words)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)

    def virtual_packages(self, *, entry_points: str = ENTRY_POINTS, **environ: str) -> dict[str, tuple[str, str]]:
        """Version and build string by name, as `conda info` lists them."""
        done = self.run("info", entry_points=entry_points, **environ)
        assert done.returncode == 0, done.stderr
        records = json.loads(done.stdout)["virtual_pkgs"]
        return {name: (version, build) for name, version, build in records}

    def capability(self, **environ: str) -> str | None:
        """The version of `__cuda_arch`, whose build string is always 0 (CEP 46)."""
        found = self.virtual_packages(**environ).get("__cuda_arch")
        assert found is None or found[1] == "0"
        return found[0] if found else None


def bare_environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing speaks of a GPU, and home is empty."""
    (tmp_path / "home").mkdir(exist_ok=True)
    return {"PATH": str(tmp_path), "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}


@pytest.fixture(params=["lazy", "old"])
def conda(request: pytest.FixtureRequest, tmp_path: Path) -> Conda:
    """The stand-in in its recent form and in the older one, on a computer without a driver."""
    return Conda(path=make_conda(tmp_path / "conda", lazy=request.param == "lazy"), environ=bare_environ(tmp_path))


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins for NVIDIA's libraries."""
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("a driver is here, whose GPUs would count beside those of the stand-in")
    return build_stubs(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def gpu_conda(conda: Conda, stubs: Path) -> Conda:
    """Conda on a computer with two GPUs, of which conda knows the driver's CUDA."""
    environ = conda.environ | {"LD_LIBRARY_PATH": str(stubs), "STUB_GPUS": f"{H100};{T4}", "STANDIN_CUDA": "12.4"}
    return Conda(path=conda.path, environ=environ)


def test_the_lowest_compute_capability_is_given(gpu_conda: Conda) -> None:
    """CEP 46, with the driver really asked; conda's own virtual packages stay as they are."""
    assert gpu_conda.virtual_packages() == {"__cuda": ("12.4", "0"), "__cuda_arch": ("7.5", "0")}
    assert gpu_conda.capability(STUB_GPUS=H100) == "9.0"
    assert gpu_conda.capability(STUB_GPUS=f"{H100};{MIG}") == "8.0"


def test_without_a_driver_or_a_gpu_it_is_absent(conda: Conda, gpu_conda: Conda) -> None:
    """CEP 46: absent where `__cuda` is absent, to conda as to gpuenv, and where no device is."""
    assert conda.virtual_packages() == {}
    assert gpu_conda.capability(STANDIN_CUDA="") is None
    assert gpu_conda.capability(STUB_GPUS="") is None


@pytest.mark.parametrize(
    ("cuda", "capability", "expected"),
    [
        (None, "8.6", "8.6"),
        ("11.8", "8.6", "8.6"),
        ("11.8", None, "7.5"),
        ("", "8.6", None),
        ("", None, None),
        (None, "", None),
        ("11.8", "", None),
        (" ", "8.6", None),
        (None, "9.0a", "9.0"),
        (None, "9.0=H100", "9.0"),
        (None, "new", "7.5"),
        ("new", None, "7.5"),
    ],
)
def test_overrides_are_honoured(gpu_conda: Conda, cuda: str | None, capability: str | None, expected: str) -> None:
    """CONDA_OVERRIDE_CUDA_ARCH and CONDA_OVERRIDE_CUDA, each empty, a version, or something that is none."""
    told = {"CONDA_OVERRIDE_CUDA": cuda, "CONDA_OVERRIDE_CUDA_ARCH": capability}
    assert gpu_conda.capability(**{name: value for name, value in told.items() if value is not None}) == expected


def test_overrides_count_on_a_computer_without_a_driver(conda: Conda) -> None:
    """A login node can solve for the node with the GPU; a capability alone is not enough."""
    assert conda.capability(CONDA_OVERRIDE_CUDA="12.4", CONDA_OVERRIDE_CUDA_ARCH="9.0") == "9.0"
    assert conda.capability(CONDA_OVERRIDE_CUDA="12.4") is None
    assert conda.capability(CONDA_OVERRIDE_CUDA_ARCH="9.0") is None


def test_overrides_of_condas_configuration_count_too(conda: Conda) -> None:
    """`override_virtual_packages` in `.condarc`, behind the variables."""
    told = json.dumps({"cuda": "12.4", "cuda_arch": "8.0"})
    assert conda.capability(STANDIN_OVERRIDES=told) == "8.0"
    assert conda.capability(STANDIN_OVERRIDES=told, CONDA_OVERRIDE_CUDA_ARCH="9.0") == "9.0"
    assert conda.capability(STANDIN_OVERRIDES=told, CONDA_OVERRIDE_CUDA_ARCH="") is None


@pytest.mark.parametrize("trouble", [{"STUB_NVML": "crash", "STUB_CUDA_INIT": "crash"}, {"STUB_NVML": "999"}])
def test_a_broken_driver_does_not_bring_conda_down(gpu_conda: Conda, trouble: dict[str, str]) -> None:
    """The driver is asked in a child process; conda goes on, and warns of nothing on its output."""
    done = gpu_conda.run("info", **trouble)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_driver_that_hangs_is_left_after_a_time(tmp_path: Path, stubs: Path) -> None:
    """By then conda itself would still wait, up to a minute."""
    environ = bare_environ(tmp_path) | {"LD_LIBRARY_PATH": str(stubs), "STUB_GPUS": H100, "STANDIN_CUDA": "12.4"}
    conda = Conda(path=make_conda(tmp_path / "conda"), environ=environ)
    begun = time.monotonic()
    assert conda.capability(STUB_NVML="hang", STUB_CUDA_INIT="hang") is None
    assert time.monotonic() - begun < 30


def test_variables_that_only_gpuenv_reads_do_no_harm(gpu_conda: Conda) -> None:
    """What would be an error of gpuenv's command line is none in conda."""
    assert gpu_conda.capability(CONDA_OVERRIDE_GLIBC="what", GPUENV_MACHINE="what") == "7.5"


OTHER = """
from conda.plugins import hookimpl
from conda.plugins.types import CondaVirtualPackage

@hookimpl
def conda_virtual_packages():
    yield CondaVirtualPackage(name="cuda_arch", version="5.0", build="0")
"""
FAILING = OTHER.replace("yield ", "raise OSError; yield ")
UNRELATED = OTHER.replace("cuda_arch", "else")


def with_plugin(conda: Conda, text: str) -> str:
    """The entry points with another plugin, written beside conda."""
    (conda.path / "other_plugin.py").write_text(text, "utf-8")
    return f"other=other_plugin {ENTRY_POINTS} "


def test_another_plugin_with_the_same_package_goes_first(gpu_conda: Conda) -> None:
    """Conda refuses to work where two plugins give one name, in whatever order they are found."""
    points = with_plugin(gpu_conda, OTHER)
    for entry_points in (points, " ".join(reversed(points.split()))):
        assert gpu_conda.virtual_packages(entry_points=entry_points)["__cuda_arch"] == ("5.0", "0")
    points = with_plugin(gpu_conda, UNRELATED)
    assert gpu_conda.virtual_packages(entry_points=points)["__cuda_arch"] == ("7.5", "0")


def test_what_another_plugin_raises_is_condas_affair(gpu_conda: Conda) -> None:
    """It is raised where conda asks that plugin, not hidden and not raised twice."""
    done = gpu_conda.run("info", entry_points=with_plugin(gpu_conda, FAILING))
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("OSError")
    assert "During handling" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--version",), 0), (("plan",), 2), (("no-such-verb",), 2), (("channel", "--help"), 0), (("info", "--json"), 0)],
)
def test_the_subcommand_does_what_gpuenv_does(conda: Conda, words: Sequence[str], code: int) -> None:
    """The same words, output and exit code, options included."""
    told = conda.run("gpu", *words)
    own = subprocess.run(
        (sys.executable, "-m", "gpuenv", *words),
        env={**conda.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (told.returncode, told.stdout) == (own.returncode, own.stdout), told.stderr
    assert told.returncode == code


def test_the_subcommand_is_in_condas_help(conda: Conda) -> None:
    """With one line on what it does."""
    assert "gpu  Plan and make environments" in conda.run("--help").stdout


def test_condas_start_loads_nothing_but_the_module(conda: Conda) -> None:
    """Not even a command that asks for nothing (`conda list`) pays for a part of gpuenv, or for a library of it."""
    path = os.pathsep.join((str(conda.path), str(ROOT / "src")))
    script = (
        "import sys, conda.base.context as c\n"
        "manager = c.context.plugin_manager\n"
        "before = set(sys.modules)\n"
        "manager.load_entrypoint('gpuenv', 'gpuenv.conda_plugin')\n"
        "list(manager.get_hook_results('subcommands'))\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        (sys.executable, "-c", script),
        env={**conda.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(done.stdout.split()) == {"gpuenv", "gpuenv.conda_plugin"}


def test_a_recent_conda_is_told_the_version_only_when_it_asks(tmp_path: Path, stubs: Path) -> None:
    """Listing the plugins probes nothing."""
    path = os.pathsep.join((str(make_conda(tmp_path / "conda")), str(ROOT / "src")))
    script = (
        "import sys, conda.base.context as c\n"
        "manager = c.context.plugin_manager\n"
        "manager.load_entrypoint('gpuenv', 'gpuenv.conda_plugin')\n"
        "found = manager.get_hook_results('virtual_packages')\n"
        "print([one.name for one in found], 'gpuenv.machines' in sys.modules)\n"
        "print(manager.get_virtual_package_records(), 'gpuenv.machines' in sys.modules)\n"
    )
    environ = bare_environ(tmp_path) | {"PYTHONPATH": path, "STANDIN_CUDA": "12.4"}
    environ |= {"LD_LIBRARY_PATH": str(stubs), "STUB_GPUS": T4}
    done = subprocess.run(
        (sys.executable, "-c", script), env=environ, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "['cuda', 'cuda_arch'] False",
        "[('__cuda', '12.4', '0'), ('__cuda_arch', '7.5', '0')] True",
    ]


def test_the_module_can_be_imported_without_conda(tmp_path: Path) -> None:
    """Documentation tools and tests import every module."""
    done = subprocess.run(
        (sys.executable, "-c", "import gpuenv.conda_plugin as p; print(p.__all__)"),
        env=bare_environ(tmp_path) | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_real_conda_lists_the_virtual_package() -> None:
    """`conda info --json` of the conda on PATH whose Python has gpuenv, with both overrides set."""
    program = shutil.which("conda")
    if program is None:
        pytest.skip("no conda is here")
    commands = subprocess.run((program, "commands"), capture_output=True, text=True, timeout=120, check=False)
    if "gpu" not in commands.stdout.split():
        pytest.skip("gpuenv is not installed beside the conda that is here")
    environ = os.environ | {"CONDA_OVERRIDE_CUDA": "12.4", "CONDA_OVERRIDE_CUDA_ARCH": "9.0"}
    done = subprocess.run(
        (program, "info", "--json"), env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    assert ["__cuda_arch", "9.0", "0"] in json.loads(done.stdout)["virtual_pkgs"]
    told = subprocess.run((program, "gpu", "plan"), capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 2
