"""Wheels that lie or attack are refused before anything is written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.errors import FormatError, GpuenvError, IntegrityError
from gpuenv.recipes.wheel import package_wheel
from recipes.little_wheels import LittleWheel

MODULE = {"toy.py": b"x = 1\n"}


def refused(wheel: LittleWheel | Path, folder: Path, kind: type[GpuenvError]) -> str:
    """What is said of a wheel that must not become a package; nothing is left of it."""
    path = wheel if isinstance(wheel, Path) else wheel.write(folder / "wheels")
    with pytest.raises(kind) as caught:
        package_wheel(str(path), folder / "channel", cache=False)
    assert not (folder / "channel").exists()
    return " ".join((caught.value.message, *caught.value.reasons))


@pytest.mark.parametrize(
    "path",
    [
        *("../evil.py", "toy/../../evil.py", "/etc/evil.py", "C:/evil.py", "toy\\evil.py", "toy//evil.py", "./evil.py"),
        *("toy-1.0.data/data/../../evil", "toy-1.0.data/purelib/../../../evil.py", "a" * 300 + ".py", "to\ny.py"),
    ],
)
def test_paths_that_lead_out(tmp_path: Path, path: str) -> None:
    """Absolute, climbing and odd paths, as members and within `.data`."""
    refused(LittleWheel(files={**MODULE, path: b"evil"}), tmp_path, FormatError)


@pytest.mark.parametrize(
    "path",
    [
        *("data/conda-meta/history", "data/info/index.json", "data/etc/conda/activate.d/evil.sh"),
        *("data/bin/.toy-post-link.sh", "scripts/.toy-post-link.sh", "data/Scripts/toy-pre-unlink.bat"),
        *("strange/evil.py", "scripts/a/b", "data", "evil.py"),
    ],
)
def test_places_that_are_condas(tmp_path: Path, path: str) -> None:
    """Scripts that clients run at installation or activation, their records, and kinds of data that nobody knows."""
    refused(LittleWheel(files={**MODULE, f"toy-1.0.data/{path}": b"evil"}), tmp_path, FormatError)


@pytest.mark.parametrize("tag", ["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-win_amd64"])
@pytest.mark.parametrize("name", ["python", "Python3", "python3.11", "pydoc", "pydoc3.11", "2to3-3.11", "idle3"])
def test_commands_that_are_pythons_own(tmp_path: Path, tag: str, name: str) -> None:
    """`python` of a wheel would take the place of the interpreter, be it an entry point or a script."""
    entries = f"[console_scripts]\n{name} = toy:main\n"
    said = refused(LittleWheel(tag=tag, files=MODULE, entry_points=entries), tmp_path / "a", FormatError)
    assert f"belongs to Python itself `{name}`" in said
    scripts = {**MODULE, f"toy-1.0.data/scripts/{name}": b"#!python\n"}
    assert "belongs to Python" in refused(LittleWheel(tag=tag, files=scripts), tmp_path / "b", FormatError)


@pytest.mark.parametrize("path", ["bin/python3", "python.exe", "lib/python3.11/os.py", "lib/libpython3.11.so.1.0"])
def test_files_that_are_pythons_own(tmp_path: Path, path: str) -> None:
    """The same as data."""
    refused(LittleWheel(files={**MODULE, f"toy-1.0.data/data/{path}": b"evil"}), tmp_path, FormatError)


@pytest.mark.parametrize("name", ["pip", "pip3.11", "python-argcomplete-check", "pythonista", "pytest"])
def test_commands_that_only_look_like_pythons(tmp_path: Path, name: str) -> None:
    """Those stay."""
    entries = f"[console_scripts]\n{name} = toy:main\n"
    path = LittleWheel(files=MODULE, entry_points=entries).write(tmp_path)
    assert package_wheel(str(path), tmp_path / "channel", cache=False).package.name == "toy"


def test_links_are_refused(tmp_path: Path) -> None:
    """A symbolic link in a wheel is no file, wherever it leads."""
    said = refused(LittleWheel(files=MODULE, links={"toy/link": "/etc/passwd"}), tmp_path, FormatError)
    assert "is a link" in said


@pytest.mark.parametrize(
    ("wheel", "said"),
    [
        (LittleWheel(files=MODULE, record={"toy.py": "toy.py,sha256=AAAA,6"}), "another hash"),
        (LittleWheel(files=MODULE, record={"toy.py": None}), "is not in its RECORD"),
        (LittleWheel(files=MODULE, record={"toy.py": "toy.py,,"}), "no hash"),
        (LittleWheel(files=MODULE, record={"toy.py": "toy.py,md5=AAAA,6"}), "no hash"),
        (LittleWheel(files=MODULE, extra={"other.py": b""}), "is not in its RECORD"),
        (LittleWheel(files=MODULE, record={"gone.py": "gone.py,sha256=AAAA,1"}), "gone.py"),
    ],
)
def test_a_record_that_is_not_true(tmp_path: Path, wheel: LittleWheel, said: str) -> None:
    """Each file is in the RECORD with its hash, and the RECORD names no other."""
    assert said in refused(wheel, tmp_path, IntegrityError)


@pytest.mark.parametrize(
    "wheel",
    [
        LittleWheel(files=MODULE, wheel_version="2.0"),
        LittleWheel(files={**MODULE, "other-1.0.dist-info/METADATA": b""}),
        LittleWheel(files={**MODULE, "other-1.0.data/data/x": b""}),
        LittleWheel(files={**MODULE, "toy-1.0.data/purelib/toy.py": b""}),
        LittleWheel(files={**MODULE, "TOY.py": b""}),
        LittleWheel(files=MODULE, entry_points="[console_scripts]\n../../evil = toy:main\n"),
        LittleWheel(files=MODULE, entry_points="[console_scripts]\ntoy = toy:main; import os\n"),
        LittleWheel(files=MODULE, entry_points="no section\n"),
        LittleWheel(files=MODULE, requires=("numpy >= = 1",)),
        LittleWheel(files=MODULE, requires_python="three"),
    ],
)
def test_wheels_that_break_their_format(tmp_path: Path, wheel: LittleWheel) -> None:
    """Of another version, of two packages, with commands that are none, with requirements that are none."""
    refused(wheel, tmp_path, FormatError)


def test_two_members_of_one_path(tmp_path: Path) -> None:
    """Which of them would be installed nobody can say."""
    path = LittleWheel(files=MODULE).write(tmp_path / "wheels")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("toy.py", b"x = 2\n")
    refused(path, tmp_path, FormatError)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 3000), content=st.binary(max_size=20), cut=st.booleans())
def test_damaged_wheels(tmp_path_factory: pytest.TempPathFactory, place: int, content: bytes, cut: bool) -> None:
    """A wheel with bytes changed or cut off becomes a package or is refused in our words."""
    folder = tmp_path_factory.mktemp("damaged")
    path = LittleWheel(files=MODULE, entry_points="[console_scripts]\ntoy = toy:main\n").write(folder)
    whole = path.read_bytes()
    at = place % len(whole)
    path.write_bytes(whole[:at] if cut else whole[:at] + content + whole[at + len(content) :])
    try:
        package_wheel(str(path), folder / "channel", cache=False)
    except GpuenvError:
        return
