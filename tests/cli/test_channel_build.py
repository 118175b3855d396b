"""`gpuenv channel build` and `gpuenv channel index` as a maintainer meets them: text, JSON, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from gpuenv import settings
from recipes.little_recipes import HAS_NVCC, LittleRecipe, compile_cpu, compile_gpu

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCHEMAS = Path(settings.__file__).parent / "schemas"
needs_nvcc = pytest.mark.skipif(not HAS_NVCC, reason="needs `nvcc`")


@pytest.fixture
def gpuenv(tmp_path: Path) -> Run:
    """Runs `gpuenv channel` in an empty directory; no answer is a traceback, coloured or wider than 80 columns."""
    environ = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "FORCE_COLOR"}}
    (tmp_path / "temporary").mkdir()
    environ["TMPDIR"] = str(tmp_path / "temporary")

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpuenv", "channel", *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        if "--json" not in words:
            assert all(len(line) <= 80 for line in done.stdout.splitlines()), done.stdout
        return done

    return run


@needs_nvcc
def test_a_build_tells_what_it_stamped(gpuenv: Run, tmp_path: Path) -> None:
    """Conclusion first, then a row for each build with CUDA, machine code, PTX and constraints, then the files."""
    recipe = LittleRecipe(
        cuda=("None", "13.0"),
        architectures=("", "80"),
        libraries=(compile_cpu(), compile_gpu("sm_80", "compute_80")),
    ).write(tmp_path / "recipe")
    done = gpuenv("build", recipe, "-o", "out", "--metapackage")
    assert done.returncode == 0
    first, *rest = done.stdout.splitlines()
    assert first == "built demo 1.0: 1 CPU and 1 GPU builds, 1 without files into out"
    text = "\n".join(rest)
    for expected in (
        "machine code",
        "asks for",
        "__cuda >=13",
        "__cuda_arch >=8.0",
        "linux-64/demo-gpu-1.0-cuda_0.conda",
    ):
        assert expected in text
    again = gpuenv("build", recipe, "-o", "out", "--json")
    document = json.loads(again.stdout)
    jsonschema.validate(document, json.loads((SCHEMAS / "channel-build.json").read_text()))
    assert document["packages"][1]["stamped"] == ["__cuda >=13", "__cuda_arch >=8.0"]
    assert len(document["replaced"]) == 2


@needs_nvcc
def test_a_contradiction_ends_with_1(gpuenv: Run, tmp_path: Path) -> None:
    """What is wrong is said on standard error, or as JSON; nothing is left in the channel."""
    recipe = LittleRecipe(cuda=("13.0",), architectures=("90",), libraries=(compile_gpu("sm_80"),)).write(
        tmp_path / "r"
    )
    done = gpuenv("build", recipe, "-o", "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: what was built of `demo 1.0` is not what its recipe says\n")
    assert "asked for sm_90" in done.stderr
    assert not (tmp_path / "out").exists()
    document = json.loads(gpuenv("build", recipe, "-o", "out", "--json").stdout)
    assert document["error"]["code"] == "integrity"


def test_errors_of_a_request_end_with_2_and_of_a_build_with_3(gpuenv: Run, tmp_path: Path) -> None:
    """A recipe that is not there or broken, and a script that fails: the end of its log is shown."""
    assert gpuenv("build", tmp_path / "no").returncode == 2
    (tmp_path / "recipe.yaml").write_text("package: [")
    assert gpuenv("build", tmp_path / "recipe.yaml").returncode == 2
    failing = LittleRecipe(libraries=(None,), build={"script": ["cc -c missing.c"]}).write(tmp_path / "failing")
    done = gpuenv("build", failing)
    assert done.returncode == 3
    assert "missing.c" in done.stderr
    assert "the whole log is" in done.stderr


def test_an_index_names_what_is_broken(gpuenv: Run, tmp_path: Path) -> None:
    """Exit code 1 and the name on standard error; the others are indexed."""
    recipe = LittleRecipe(libraries=(compile_cpu(),)).write(tmp_path / "recipe")
    assert gpuenv("build", recipe, "-o", "out").returncode == 0
    done = gpuenv("index", "out", "--json")
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads((SCHEMAS / "channel-index.json").read_text()))
    (tmp_path / "out" / "noarch" / "bad-1-0.conda").write_bytes(b"bad")
    done = gpuenv("index", "out", "--no-zst", "--shards")
    assert done.returncode == 1
    assert done.stdout.startswith("indexed 1 package of out\n")
    assert "noarch/bad-1-0.conda` is broken and was left out" in done.stderr
    assert gpuenv("index", "no").returncode == 2


def test_help_loads_nothing(gpuenv: Run) -> None:
    """The group's help names its commands."""
    done = gpuenv("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("build", "index", "audit", "wheel"))
