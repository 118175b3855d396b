"""`gpuenv channel audit`: what is printed, the exit codes, and the JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from audits.gpu_packages import channel, cpu_package, package
from gpuenv.cli.main import main

IMAGES = ("sm_80", "sm_90", "compute_90/ptx8.4")
SCHEMA = Path(__file__).parents[2] / "src" / "gpuenv" / "schemas" / "channel-audit.json"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reading of another test, and 80 columns."""
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")


def test_what_is_wrong_is_told_package_by_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each package with its findings and their evidence, then the whole and what a patch would do; exit code 1."""
    place = channel(tmp_path, package(*IMAGES), cpu_package(name="scalars"))
    assert main(["channel", "audit", str(place)]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "linux-64/vectors-1.0-0.conda: 1 error"
    assert lines[1].startswith("  error: it has GPU code, and nothing in its metadata says so")
    assert any(line.split()[:3] == ["GPU", "code", "sm_80,"] and "libvectors.so" in line for line in lines)
    assert lines[-2] == "audited 2 packages, 1 with GPU code: 1 error"
    assert lines[-1] == "hint: `--patch DIRECTORY` writes a repodata patch that puts all of it right"
    assert max(map(len, lines)) <= 80
    assert err == ""
    assert "\x1b" not in out


def test_warnings_alone_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 for warnings and for nothing at all."""
    warned = package(*IMAGES, depends=("__cuda >=12",))
    assert main(["channel", "audit", str(channel(tmp_path / "a", warned))]) == 0
    assert "1 warning" in capsys.readouterr().out
    assert main(["channel", "audit", str(channel(tmp_path / "b", cpu_package()))]) == 0
    assert capsys.readouterr().out == "audited 1 package, none with GPU code: nothing wrong\n"


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken package is told on standard error with exit code 3, and a word that names nothing with 2."""
    place = channel(tmp_path, cpu_package(), cpu_package(version="2.0"))
    (place / "linux-64" / "vectors-1.0-0.conda").write_bytes(b"PK\x03\x04 and no more")
    assert main(["channel", "audit", str(place)]) == 3
    out, err = capsys.readouterr()
    assert "error: `vectors-1.0-0.conda` is no readable conda package" in err
    assert out == "audited 1 package, none with GPU code: nothing wrong, and 1 could not be read\n"
    assert main(["channel", "audit", str(place / "linux-64" / "vectors-1.0-0.conda"), str(tmp_path / "no.conda")]) == 3
    assert capsys.readouterr().out == ""
    assert main(["channel", "audit", "http://127.0.0.1:9/channel"]) == 3
    assert capsys.readouterr().out == ""
    assert main(["channel", "audit", "./nowhere"]) == 2
    assert capsys.readouterr().out == ""


def test_an_index_without_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once that they are not there, and nothing that a patch takes their records out."""
    place = channel(tmp_path, *(cpu_package(version=f"{number}.0") for number in range(1, 7)))
    for path in (place / "linux-64").glob("*.conda"):
        path.unlink()
    assert main(["channel", "audit", str(place)]) == 3
    out, err = capsys.readouterr()
    assert out == "audited 6 packages by metadata alone: nothing wrong\n"
    assert err.count("error:") == 1
    assert "none of the 6 files that" in err
    assert "missing: vectors-1.0-0.conda, vectors-2.0-0.conda, vectors-3.0-0.conda and 3 more" in err


def test_the_patch_is_written_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--patch` writes a directory; the exit code is that of what was found."""
    place = channel(tmp_path, package(*IMAGES))
    target = tmp_path / "patch"
    assert main(["channel", "audit", str(place), "--patch", str(target), "--jobs", "2"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert f"wrote `{target}`, a repodata patch that puts all of it right" in told
    assert (target / "linux-64" / "patch_instructions.json").is_file()


def test_the_json_is_of_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, and nothing beside it."""
    place = channel(tmp_path, package(*IMAGES), package("sm_90a", version="2.0", depends=("__cuda >=12",)))
    assert main(["channel", "audit", str(place), "--subdir", "linux-64", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert [one["file"] for one in document["audited"]] == ["vectors-1.0-0.conda", "vectors-2.0-0.conda"]
    assert document["audited"][0]["correction"]["constrains"] == ["__cuda >=12", "__cuda_arch >=8.0"]


def test_help_and_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """The help says what the exit codes mean; without a channel there is nothing to do."""
    assert main(["channel", "audit", "--help"]) == 0
    assert "exit code" in capsys.readouterr().out
    assert main(["channel", "audit"]) == 2
