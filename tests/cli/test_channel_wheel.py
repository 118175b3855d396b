"""`gpuenv channel wheel`: what is printed, the exit codes, and the JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from audits.gpu_packages import gpu_library
from gpuenv.cli.main import main
from recipes.little_wheels import LittleWheel

SCHEMA = Path(__file__).parents[2] / "src" / "gpuenv" / "schemas" / "channel-wheel.json"
GPU = LittleWheel(
    tag="cp311-cp311-manylinux_2_28_x86_64",
    files={"toy.so": gpu_library("sm_80", "sm_90a", "compute_80/ptx8.4")},
    requires=("numpy[extra]>=1.20",),
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reading of another test, and 80 columns."""
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")


def test_what_was_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The package first, then what it asks for, what conda has no words for, and how it gets into the index."""
    path, output = GPU.write(tmp_path), tmp_path / "channel"
    assert main(["channel", "wheel", str(path), "--output", str(output)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert " ".join(lines[:2]) == f"made linux-64/toy-1.0-cuda124_py311_0.conda of {path.name}"
    assert ["code", "for", "8.0", "9.0a"] in [line.split() for line in lines]
    assert any("__cuda_arch >=8.0" in line for line in lines)
    assert any(line.startswith("note: conda has no extras") for line in lines)
    assert "gpuenv channel index" in out
    assert err == ""
    assert (output / "linux-64" / "toy-1.0-cuda124_py311_0.conda").is_file()


def test_the_json_is_of_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document; `--soft-arch` and `--build-number` are in it."""
    path = GPU.write(tmp_path)
    command = ["channel", "wheel", str(path), "-o", str(tmp_path / "c"), "--soft-arch", "--build-number", "3", "--json"]
    assert main(command) == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert document["package"]["file"] == "linux-64/toy-1.0-cuda124_py311_3.conda"
    assert document["package"]["constrains"] == ["__cuda_arch >=8.0"]


@pytest.mark.parametrize(
    ("wheel", "options", "code"),
    [
        (LittleWheel(files={"toy.py": b""}, record={"toy.py": None}), [], 1),
        (LittleWheel(files={"../toy.py": b""}), [], 3),
        (GPU, ["--python", "3.12"], 2),
        (GPU, ["--python", "three"], 2),
    ],
)
def test_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wheel: LittleWheel, options: list[str], code: int
) -> None:
    """1 for a wheel that is not what it promises, 3 for one that breaks its format, 2 for one that does not fit."""
    path = wheel.write(tmp_path)
    assert main(["channel", "wheel", str(path), "-o", str(tmp_path / "c"), *options]) == code
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "c").exists()
