"""Whatever is wrong with the user's own copy of the catalog, the packaged releases are there, and it is told."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuenv.channels.building.publishing import publish
from gpuenv.channels.catalog import catalog_problems, find_project, forget_loaded, releases_of
from gpuenv.channels.catalog.own_copy import FORMAT, MANIFEST, OwnCopy
from gpuenv.channels.catalog.releases import load_rows, newest_date, packaged_content, wheel_names

NAME = "xgboost-cpu"
NEW = b'{"wheel":"xgboost-cpu","version":"99.0.0","pure":true,"read":"2999-01-01"}\n'


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where the user's own copy is: one with the packaged rows of a project and one more, and of a name of its own."""
    monkeypatch.setenv("GPUENV_DATA_DIR", str(tmp_path))
    forget_loaded()
    publish(
        {NAME: packaged_content(NAME) + NEW, "a-name-of-its-own": NEW.replace(b"xgboost-cpu", b"a-name-of-its-own")}
    )
    yield tmp_path / "catalog"
    monkeypatch.undo()
    forget_loaded()


def change_manifest(place: Path, **fields: Any) -> None:
    """Writes the manifest with other values."""
    manifest = json.loads((place / MANIFEST).read_text())
    (place / MANIFEST).write_text(json.dumps(manifest | fields))


def has_new_row() -> bool:
    """Whether the rows of the copy are in use, loaded afresh."""
    forget_loaded()
    versions = [row.version for row in releases_of(NAME)]
    assert len(versions) >= len(packaged_content(NAME).splitlines())
    return "99.0.0" in versions


def test_a_sound_copy_goes_before_what_came_along(place: Path) -> None:
    """Names that only the copy has are known as well."""
    assert has_new_row()
    assert load_rows(NAME).is_own
    assert not load_rows("torch").is_own
    assert "a-name-of-its-own" in wheel_names()
    assert find_project("a-name-of-its-own") is not None
    assert catalog_problems() == ()


def test_without_a_copy_nothing_is_said(place: Path) -> None:
    """Most users have none."""
    place.rename(place.with_name("elsewhere"))
    assert not has_new_row()
    assert catalog_problems() == ()


def flip(path: Path) -> None:
    """Changes one bit."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """Keeps the first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def become_a_directory(path: Path) -> None:
    """Puts a directory in its place."""
    path.unlink()
    path.mkdir()


DAMAGES = [flip, cut, become_a_directory, lambda path: path.write_bytes(b""), Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_falls_back_to_the_packaged_one(place: Path, damage: Callable[[Path], object]) -> None:
    """That is said with its name and with what to do; a name that only the copy had is unknown then."""
    for name in (NAME, "a-name-of-its-own"):
        damage(place / "releases" / f"{name}.jsonl")
    assert not has_new_row()
    (problem,) = catalog_problems()
    assert f"`{NAME}`" in problem
    assert "`gpuenv catalog update`" in problem
    assert releases_of("a-name-of-its-own") == ()
    assert len(catalog_problems()) == 2


@pytest.mark.parametrize("damage", [*DAMAGES, lambda path: path.write_bytes(b'{"format":' + b"[" * 10**5)])
def test_a_damaged_manifest_falls_back_to_all_packaged_ones(place: Path, damage: Callable[[Path], object]) -> None:
    """One sentence says so."""
    damage(place / MANIFEST)
    unread = has_new_row()
    assert not unread or damage is flip
    assert len(catalog_problems()) == (0 if unread else 1)


def test_rows_that_break_their_format_behind_a_right_hash(place: Path) -> None:
    """As when another program wrote them: they are not used either."""
    content = b'{"wheel":"xgboost-cpu","version":3}\n'
    (place / "releases" / f"{NAME}.jsonl").write_bytes(content)
    files = {NAME: {"sha256": hashlib.sha256(content).hexdigest(), "date": "2999-01-01"}}
    change_manifest(place, files=files)
    assert not has_new_row()
    assert len(catalog_problems()) == 1


def test_a_copy_of_a_newer_format_is_left_alone(place: Path) -> None:
    """Even where it has fields that this gpuenv does not know; it is said which gpuenv is needed."""
    change_manifest(place, format=FORMAT + 1, something=[1, 2])
    assert not has_new_row()
    (problem,) = catalog_problems()
    assert "a newer gpuenv wrote it" in problem
    assert "pip install --upgrade gpuenv" in problem


@pytest.mark.parametrize(("date", "used"), [("2020-01-01", False), ("same", True), ("2999-01-01", True)])
def test_the_dates_in_the_rows_decide_which_is_newer(place: Path, date: str, used: bool) -> None:
    """Not the clock, and not when the copy was written: a newer gpuenv brings newer rows than an old copy has."""
    date = newest_date(packaged_content(NAME)) if date == "same" else date
    content = packaged_content(NAME) + NEW
    files = {NAME: {"sha256": hashlib.sha256(content).hexdigest(), "date": date}}
    change_manifest(place, files=files, date="1970-01-01")
    assert has_new_row() is used
    assert catalog_problems() == ()


def test_names_that_lead_out_of_the_directory_are_no_names(place: Path) -> None:
    """A manifest cannot have other files read."""
    change_manifest(
        place, files={"../../secret": {"sha256": "0" * 64, "date": "2999-01-01"}, "a/b": {"sha256": "", "date": ""}}
    )
    forget_loaded()
    assert not [name for name in wheel_names() if "/" in name]
    assert releases_of("../../secret") == ()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_copy_that_may_not_be_read(place: Path) -> None:
    """It is as if it were not there, and that is said."""
    (place / MANIFEST).chmod(0)
    assert not has_new_row()
    assert len(catalog_problems()) == 1


def test_a_copy_that_another_process_replaces_meanwhile(place: Path) -> None:
    """Files that were replaced after the manifest was read are found to be right with the new manifest."""
    copy = OwnCopy(place)
    publish({NAME: packaged_content(NAME) + NEW.replace(b"99.0.0", b"99.0.1")})
    content = copy.content(NAME)
    assert content is not None
    assert b"99.0.1" in content
    assert copy.problems == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifest=st.binary(max_size=200), rows=st.binary(max_size=200))
def test_any_bytes_in_the_copy_do_no_harm(place: Path, manifest: bytes, rows: bytes) -> None:
    """The packaged rows are there whatever the files of the copy hold."""
    digest = hashlib.sha256(rows).hexdigest()
    sound = {"format": 1, "files": {NAME: {"sha256": digest, "date": "2999-01-01"}}}
    (place / "releases" / f"{NAME}.jsonl").write_bytes(rows)
    for content in (manifest, json.dumps(sound).encode()):
        (place / MANIFEST).write_bytes(content)
        forget_loaded()
        assert len(releases_of(NAME)) == len(packaged_content(NAME).splitlines())
