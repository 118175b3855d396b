"""The example of `examples/vectors`: built, indexed, solved for five machines, installed and imported."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rattler import Gateway, GenericVirtualPackage, MatchSpec, PackageName, RepoDataRecord, Version, install, solve
from rattler.package import BuildString

import gpuenv
from gpuenv.cli.main import main
from gpuenv.recipes.indexing import index_channel
from little_channel import python_package, write_package

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "vectors"
SUBDIR = "linux-64"
MACHINES = {
    "gpu=none,os=linux,glibc=2.36": "cpu",
    # Its driver says CUDA 13.0, and CUDA 13 makes no code for it.
    "gpu=V100,driver=580.65.06,os=linux,glibc=2.36": "cpu",
    "gpu=A100,driver=580.65.06,os=linux,glibc=2.36": "7.5",
    "gpu=H100,driver=580.65.06,os=linux,glibc=2.36": "9.0",
    # A driver of CUDA 12 runs nothing of CUDA 13.
    "gpu=H100,driver=535.129.03,os=linux,glibc=2.36": "cpu",
}


def _release() -> tuple[int, ...]:
    if not shutil.which("nvcc"):
        return (0,)
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0,)


pytestmark = [
    pytest.mark.skipif(_release() != (13, 0), reason="the example's variants are for `nvcc` of CUDA 13.0"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the example's variants are for Python 3.11"),
    pytest.mark.skipif(sys.platform != "linux", reason="the example is for Linux"),
]


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's packages, and a Python that they run with."""
    place = tmp_path_factory.mktemp("example") / "channel"
    command = [sys.executable, "-m", "gpuenv", "channel", "build", str(EXAMPLE), "--output", str(place)]
    subprocess.run([*command, "--metapackage", "--mutex"], check=True, capture_output=True)
    write_package(python_package(real=True, subdir=SUBDIR), place)
    assert not index_channel(place).problems
    return place


def solved(channel: Path, machine: str, *specs: str) -> dict[str, RepoDataRecord]:
    """What a machine gets for `specs`, by name."""
    virtual = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
        for name, version, build in gpuenv.virtual_packages(gpuenv.parse_machine(machine))
    ]
    found = asyncio.run(
        solve(
            [channel.as_uri()],
            [MatchSpec(spec) for spec in specs],
            gateway=Gateway(),
            platforms=["linux-64", "noarch"],
            virtual_packages=virtual,
        )
    )
    return {record.name.normalized: record for record in found}


def test_what_was_stamped(channel: Path) -> None:
    """The constraints of the GPU builds are those of the code in them."""
    repodata = json.loads((channel / SUBDIR / "repodata.json").read_text())["packages.conda"]
    stamped = {
        record["build_number"]: [spec for spec in record["depends"] if spec.startswith("__")]
        for record in repodata.values()
        if record["name"] == "vectors"
    }
    assert stamped == {
        0: [],
        100: ["__cuda >=13", "__cuda_arch >=7.5"],
        200: ["__cuda >=13", "__cuda_arch >=9.0"],
    }


@pytest.mark.parametrize(("machine", "expected"), MACHINES.items())
def test_each_machine_gets_its_build(
    channel: Path, machine: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The GPU build where it runs, of two that run the one made for the GPU, and the CPU build elsewhere: by a solver
    that knows nothing but the virtual packages, and by a plan.
    """
    kind = {"cpu": r"cpu_.*_0", "7.5": r"cuda130_.*_100", "9.0": r"cuda130_.*_200"}[expected]
    build = str(solved(channel, machine, "vectors")["vectors"].build)
    assert re.fullmatch(kind, build), build
    words = ["plan", "vectors", "-c", str(channel), "--override-channels", "--only", "conda", "--machine", machine]
    assert main([*words, "--json"]) == 0
    (planned,) = (one for one in json.loads(capsys.readouterr().out)["packages"] if one["name"] == "vectors")
    assert planned["build"] == build


def test_the_metapackage_and_the_mutex_choose(channel: Path) -> None:
    """`vectors-gpu` brings a GPU build or nothing at all; the mutex brings the CPU build where a GPU is."""
    a100 = "gpu=A100,driver=580.65.06,os=linux"
    assert str(solved(channel, a100, "vectors-gpu")["vectors"].build).startswith("cuda130")
    assert str(solved(channel, a100, "vectors", "vectors-mutex * cpu_*")["vectors"].build).startswith("cpu")
    with pytest.raises(Exception, match="__cuda"):
        solved(channel, "gpu=none,os=linux", "vectors-gpu")


@pytest.mark.parametrize("machine", ["gpu=none,os=linux", "gpu=H100,driver=580.65.06,os=linux"])
def test_both_kinds_are_installed_and_imported(channel: Path, machine: str, tmp_path: Path) -> None:
    """The build for the GPU computes on the CPU where there is no GPU, and says why."""
    records = solved(channel, machine, "vectors")
    prefix = tmp_path / "prefix"
    asyncio.run(install(list(records.values()), prefix, cache_dir=tmp_path / "cache", show_progress=False))
    code = (
        "import vectors as v, json; print(json.dumps([v.built_for(), v.backend(), v.reason(), v.add([1, 2], [3, 4])]))"
    )
    done = subprocess.run([prefix / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    built_for, backend, reason, sums = json.loads(done.stdout)
    assert built_for == ("cpu" if "none" in machine else "cuda")
    assert (backend == "cuda") == (reason == "")
    assert sums == [4.0, 6.0]
