"""What `info/index.json` and the requirements in it say: platform, Pythons, C library."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from conda_package_streaming.create import conda_builder
from conda_package_streaming.package_streaming import stream_conda_component
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_conda import CONDA, DIST, INDEX, entry
from gpuenv.artifacts.conda_index import (
    describe_artifact,
    glibc_of,
    parse_index,
    platforms_of,
    pythons_of,
    split_dist,
    subdir_of,
)
from gpuenv.artifacts.conda_packages import read_conda
from gpuenv.artifacts.sources import LocalSource
from gpuenv.errors import FormatError

SINCE_3_9 = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")


@pytest.mark.parametrize(
    ("requirements", "pythons"),
    [
        ([], None),
        (["python"], None),
        (["numpy 1.2.*"], None),
        (["python 3.11.*"], ("3.11",)),
        (["python 3.11.* *_cpython"], ("3.11",)),
        (["python_abi 3.11.* *_cp311"], ("3.11",)),
        (["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311"], ("3.11",)),
        (["python 3.6*"], ("3.6",)),
        (["python =3.10"], ("3.10",)),
        (["python ==3.10.4"], ("3.10",)),
        (["conda-forge::python=3.10=h_0"], ("3.10",)),
        (["python 2.7.*|>=3.6,<3.8"], ("2.7", "3.6", "3.7")),
        (["python  3.5|3.6"], ("3.5", "3.6")),
        (["python >= 3.8, < 3.10"], ("3.8", "3.9")),
        (["python >=3.12,<3.12.4"], ("3.12",)),
        (["python ~=3.8.1"], ("3.8",)),
        (["python >=3.8,!=3.9.*,<3.11"], ("3.8", "3.10")),
        (["python >=3.9"], SINCE_3_9),
        (["python >=3.9,<4"], SINCE_3_9),
        (["python[version='>=3.9']"], SINCE_3_9),
        (["python 3.99.*"], ("3.99",)),
        (["python a|b"], None),
    ],
)
def test_pythons_of_requirements(requirements: list[str], pythons: tuple[str, ...] | None) -> None:
    """Each way in which packages write the Pythons that they are for."""
    assert pythons_of(requirements) == pythons


@pytest.mark.parametrize(
    ("requirements", "glibc"),
    [
        (["__glibc >=2.28,<3.0.a0"], "2.28"),
        (["__glibc >= 2.17"], "2.17"),
        (["__glibc >=2.17", "__glibc >=2.34"], "2.34"),
        (["__glibc"], None),
        (["glibc >=2.17"], None),
    ],
)
def test_glibc_of_requirements(requirements: list[str], glibc: str | None) -> None:
    """The lower bound on the virtual package."""
    found = glibc_of(requirements)
    assert (str(found) if found else None) == glibc


@pytest.mark.parametrize(
    ("subdir", "platforms"),
    [
        ("linux-64", ("linux-x86_64",)),
        ("linux-aarch64", ("linux-aarch64",)),
        ("linux-ppc64le", ("linux-ppc64le",)),
        ("linux-32", ("linux-i686",)),
        ("win-64", ("windows-x86_64",)),
        ("win-arm64", ("windows-aarch64",)),
        ("osx-64", ("macos-x86_64",)),
        ("osx-arm64", ("macos-aarch64",)),
        ("noarch", ()),
    ],
)
def test_platforms(subdir: str, platforms: tuple[str, ...]) -> None:
    """The directories of a channel as the platforms that machines have, and back."""
    assert platforms_of(subdir) == platforms
    assert [subdir_of(platform) for platform in platforms] == ([] if subdir == "noarch" else [subdir])


def test_old_packages_name_system_and_processor() -> None:
    """Before `subdir` there were `platform` and `arch`; where nothing is said, what was known stays. A package for any
    Python may be for one platform (CEP 20).
    """
    known = msgspec.structs.replace(CONDA, platforms=("linux-x86_64",))
    for fields, platforms in (
        ({"platform": "win", "arch": "x86_64"}, ("windows-x86_64",)),
        ({"platform": "linux", "arch": "ppc64le"}, ("linux-ppc64le",)),
        ({}, ("linux-x86_64",)),
        ({"noarch": "python", "subdir": "linux-64"}, ("linux-x86_64",)),
        ({"noarch": "python", "subdir": "noarch"}, ()),
        ({"noarch": "generic"}, ()),
        ({"subdir": None, "arch": None, "platform": None}, ("linux-x86_64",)),
    ):
        content = json.dumps({"name": "a", "version": "1", **fields}).encode()
        assert describe_artifact(known, parse_index(content)).platforms == platforms


@pytest.mark.parametrize(
    ("dist", "parts"),
    [
        ("pytorch-gpu-2.1.0-cuda120_py311_0", ("pytorch-gpu", "2.1.0", "cuda120_py311_0")),
        ("demo-1.2", None),
        ("de mo-1-0", None),
        ("--", None),
    ],
)
def test_names_of_files(dist: str, parts: tuple[str, str, str] | None) -> None:
    """Version and build have no hyphen; the name may."""
    assert split_dist(dist) == parts


@given(st.text(max_size=60), st.sampled_from(["python ", "python_abi ", "__glibc ", ""]))
@settings(max_examples=150, deadline=None)
def test_any_requirement_is_taken(text: str, name: str) -> None:
    """Nonsense admits any Python, or none that is known."""
    assert pythons_of([name + text]) != ()
    glibc_of([name + text])


@given(st.dictionaries(st.sampled_from([*INDEX, "arch", "platform", "noarch"]), st.none() | st.text() | st.integers()))
@settings(max_examples=120, deadline=None)
def test_any_fields_give_an_artifact_or_a_format_error(fields: dict[str, object]) -> None:
    """Whatever an index holds."""
    with suppress(FormatError):
        describe_artifact(CONDA, parse_index(json.dumps({**INDEX, **fields}).encode()))


def test_a_package_of_condas_own_library_is_read(tmp_path: Path) -> None:
    """Made with the library that conda uses; the files are counted as it lists them."""
    with conda_builder(DIST, tmp_path) as builder:
        for info, content in (
            entry("info/index.json", json.dumps(INDEX).encode()),
            entry("lib/" + "long/" * 40 + "x.txt", b"x"),
            entry("bin/ünï.py", b"y"),
        ):
            builder.addfile(info, io.BytesIO(content))
    place = tmp_path / f"{DIST}.conda"
    reading = read_conda(LocalSource(place), CONDA)
    assert (reading.artifact.version, reading.problems, reading.complete) == ("1.2", (), True)
    with place.open("rb") as file:
        listed = [member.name for _, member in stream_conda_component(place, file, "pkg")]
    assert reading.members == len(listed) == 2
