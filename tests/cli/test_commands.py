"""The command line as a user meets it: what is printed where, exit codes, JSON; the real program in a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gpuenv import settings

Run = Callable[..., subprocess.CompletedProcess[str]]
SCHEMAS = Path(settings.__file__).parent / "schemas"
V100 = "gpu=V100,driver=580.65.06"
NO_INDEX = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}


@pytest.fixture
def gpuenv(tmp_path: Path) -> Run:
    """Run `gpuenv` in an empty directory, with its environments and uv's cache in directories of the test."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GPUENV_", "CONDA_", "UV_")) and name not in {"NO_COLOR", "VIRTUAL_ENV"}
    }
    kept |= {"GPUENV_DATA_DIR": str(tmp_path / "data"), "UV_CACHE_DIR": str(tmp_path / "cache")}

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpuenv", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=kept | environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def valid(text: str, schema: str) -> Any:
    """The document in `text`, which the package's own schema of that kind admits."""
    document = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    return document


def test_help_names_every_verb_and_loads_nothing_heavy(gpuenv: Run) -> None:
    """`gpuenv --help` lists the verbs, and neither it nor `--version` imports what only the verbs need."""
    done = gpuenv("--help")
    assert done.returncode == 0
    for verb in ("info", "plan", "create", "install", "update", "remove", "list", "run", "shell", "env", "export"):
        assert f"  {verb} " in done.stdout
    code = (
        "import sys; from gpuenv.cli.main import main; main([sys.argv[1]]); "
        "print([name for name in ('rattler', 'asyncio', 'rich', 'httpx', 'msgspec', 'uv') if name in sys.modules])"
    )
    for option in ("--help", "--version"):
        child = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
        assert child.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ("info", "--machine", V100),
        ("info", "--machine", "gpu=none"),
        ("info", "--machine", "gpu=2xA100,gpu=T4,driver=535.129.03,memory=512GiB,cores=64"),
        ("info", "--machine", "os=macos,arch=arm64"),
        ("info", "--machine", "gpu=amd:RX 7900 XTX"),
        ("info", "--machine", "gpu=V100,driver=nouveau"),
        ("info", "--machine", "os=linux"),
        ("info",),
    ],
    ids=" ".join,
)
def test_info_describes_machines_in_text_and_json(gpuenv: Run, words: tuple[str, ...]) -> None:
    """`info` ends with 0, prints no line over 80 columns when piped, and its JSON keeps to the schema."""
    done = gpuenv(*words)
    assert done.returncode == 0
    assert "Packages of each CUDA version" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not any(line != line.rstrip() for line in done.stdout.splitlines())
    document = valid(gpuenv(*words, "--json").stdout, "machine-report")
    assert document["version"] == 1
    assert len(document["cuda_lines"]) > 20


def test_info_check_tells_by_exit_code_whether_cuda_runs(gpuenv: Run) -> None:
    """`info --check` ends with 0 where packages of some CUDA version run and with 1 where none does."""
    assert gpuenv("info", "--check", "--machine", V100).returncode == 0
    assert gpuenv("info", "--check", "--machine", "gpu=none").returncode == 1


def test_a_driver_that_says_cuda_13_does_not_make_a_pascal_card_run_it(gpuenv: Run) -> None:
    """On a GTX 1080 Ti with driver 580, `info` refuses CUDA 13 and admits 12.9."""
    document = json.loads(gpuenv("info", "--json", "--machine", "gpu=GTX 1080 Ti,driver=580.65.06").stdout)
    verdicts = {line["cuda"]: line["verdict"] for line in document["cuda_lines"]}
    assert document["machine"]["driver"]["cuda"] == "13.0"
    assert verdicts["13.0"] == "fails"
    assert verdicts["12.9"] == "works"


def test_a_recording_of_this_machine_can_be_planned_for(gpuenv: Run, tmp_path: Path) -> None:
    """`info --record FILE` writes a file that `--machine FILE` reads back as the same machine."""
    done = gpuenv("info", "--json", "--record", "host.json")
    assert done.returncode == 0
    assert "host.json" in done.stderr
    here, there = json.loads(done.stdout), json.loads(gpuenv("info", "--json", "--machine", "host.json").stdout)
    assert (tmp_path / "host.json").exists()
    for field in ("system", "driver", "gpus", "memory_bytes", "cpu"):
        assert here["machine"][field] == there["machine"][field], field


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("plan", "cupy", "--machine", "gpu=none"), 1, "--machine"),
        (("plan", "pytorch", "--machine", "gpu=RTX5091"), 2, "RTX 5090"),
        (("plan", "pytorch", "--machine", "colour=red"), 2, "colour"),
        (("plan", "pytorch=>2", "--machine", V100), 2, "pytorch=>2"),
        (("plan", "pytorch==99", "--machine", V100), 1, "2.15.0"),
        (("plan", "caffe-gpu", "--machine", V100), 1, "defaults"),
        (("plan", "/no/such/channel::pytorch", "--machine", V100), 3, "noarch/repodata.json"),
        (("plan", "conda-forge::pytorch", "--only", "wheels", "--machine", V100), 2, "wheels only"),
        (("plan", "pytorch", "--machine", V100, "--python", "three"), 2, "--python 3.11"),
        (("plan", "cudatoolkit=13.0", "--machine", "gpu=H100,driver=535.129.03"), 1, "580.65.06"),
        (("plan", "tensorflow-gpu", "--machine", "gpu=RTX4090,driver=551.23,os=windows"), 1, "2.10"),
        (("plan",), 2, "--help"),
        (("nonsense",), 2, "nonsense"),
        (("list", "-n", "nothing-here"), 2, "nothing-here"),
        (("run", "-n", "nothing-here", "python"), 2, "nothing-here"),
        (("remove", "-n", "nothing-here", "numba"), 2, "nothing-here"),
        (("install", "-p", "nowhere", "numba"), 2, "nowhere"),
        (("create", "-n", "../up", "numba"), 2, "../up"),
        (("create", "numba"), 2, "-n NAME"),
        (("create", "-n", "a", "-p", "b", "numba"), 2, "not both"),
        (("env", "remove"), 2, "-n NAME"),
        (("info", "--machine", "missing.json"), 2, "missing.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_is_answered_in_words(gpuenv: Run, words: tuple[str, ...], code: int, said: str) -> None:
    """What cannot be is said on standard error, as `error:` with its reasons, and with the right exit code."""
    done = gpuenv(*words, **NO_INDEX)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert not done.stdout


def test_errors_have_one_shape_in_json(gpuenv: Run) -> None:
    """With `--json` an error is a document on standard output, and in words on standard error."""
    done = gpuenv("plan", "cupy", "--json", "--machine", "gpu=none")
    document = valid(done.stdout, "error")
    assert document["error"]["code"] == "no-plan"
    assert "cupy" in document["error"]["message"]
    assert document["error"]["reasons"]
    assert done.stderr.startswith("error: ")


@pytest.mark.parametrize("text", ['{"recording": 1, "asked": 5}', "[]", "{", '{"system": {}}', "\x00\x01"])
def test_a_broken_machine_file_is_said_to_be_broken(gpuenv: Run, tmp_path: Path, text: str) -> None:
    """A machine file that is none ends with 2 and names the file."""
    (tmp_path / "machine.json").write_text(text)
    done = gpuenv("plan", "pytorch", "--machine", "machine.json")
    assert done.returncode == 2
    assert "machine.json" in done.stderr


def test_an_index_that_does_not_answer_is_no_answer(gpuenv: Run) -> None:
    """With an unreachable index a plan ends with 3, says which variable helps, and what the catalog alone gives."""
    done = gpuenv("plan", "pytorch", "--machine", V100, **NO_INDEX)
    assert done.returncode == 3
    assert "did not answer" in done.stderr
    assert "UV_DEFAULT_INDEX" in done.stderr
    assert "from the catalog alone it would be pytorch 2.10.0 cuda128_py3" in done.stderr


def test_colour_is_only_for_terminals(gpuenv: Run) -> None:
    """Piped output has no escape codes, whatever TERM says."""
    for words in (("info", "--machine", V100), ("plan", "cupy", "--machine", "gpu=none"), ("--help",)):
        done = gpuenv(*words, TERM="xterm-256color")
        assert "\x1b" not in done.stdout + done.stderr


def test_an_empty_list_says_how_to_begin(gpuenv: Run) -> None:
    """`list` without any environment is no error, and names `create`."""
    done = gpuenv("list")
    assert done.returncode == 0
    assert "gpuenv create" in done.stdout
    assert valid(gpuenv("list", "--json").stdout, "environments")["environments"] == []


def test_a_machine_can_be_named_in_the_environment(gpuenv: Run) -> None:
    """GPUENV_MACHINE stands for `--machine`; an override of conda changes what is probed here."""
    assert "Tesla V100" in gpuenv("info", GPUENV_MACHINE=V100).stdout
    document = json.loads(gpuenv("info", "--json", CONDA_OVERRIDE_CUDA="12.4", CONDA_OVERRIDE_CUDA_ARCH="9.0").stdout)
    assert document["machine"]["driver"]["cuda"] == "12.4"
