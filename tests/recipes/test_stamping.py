"""A package with new words in its index is still the same package."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rattler import MatchSpec

from gpuenv.artifacts.conda_packages import read_conda
from gpuenv.artifacts.sources import LocalSource
from gpuenv.errors import FormatError
from gpuenv.model import Artifact, ArtifactKind
from gpuenv.recipes.stamping import Stamp, in_brackets, restamp
from little_channel import LittlePackage, write_package
from recipes.little_recipes import index_of, paths_of

PACKAGE = LittlePackage(
    name="demo",
    version="1.0",
    build="h1234567_0",
    subdir="linux-64",
    depends=("python >=3.11", "libdemo ==1.0 h7654321_0"),
    files={"lib/demo.txt": b"demo\n"},
    run_exports={"weak": ["libdemo ==1.0 h7654321_0"]},
)


def test_only_the_index_changes(tmp_path: Path) -> None:
    """Name, inner parts and index follow the stamp; the part that is installed is the same, byte for byte."""
    old = write_package(PACKAGE, tmp_path)
    (tmp_path / "new").mkdir()
    stamp = Stamp(build="cuda126_h1234567_100", build_number=100, depends=("__cuda >=12",))
    new, index = restamp(old, tmp_path / "new", stamp, renamed={("libdemo", "h7654321_0"): "cuda126_h7654321_100"})
    assert new.name == "demo-1.0-cuda126_h1234567_100.conda"
    assert index_of(new) == index
    assert index["depends"] == ["python >=3.11", "libdemo ==1.0 cuda126_h7654321_100", "__cuda >=12"]
    before = index_of(old)
    changed = {key for key in before.keys() | index.keys() if before.get(key) != index.get(key)}
    assert changed == {"build", "build_number", "depends"}
    assert paths_of(new) == paths_of(old)
    with zipfile.ZipFile(old) as first, zipfile.ZipFile(new) as second:
        assert [name.partition("-")[0] for name in first.namelist()] == [
            name.partition("-")[0] for name in second.namelist()
        ]
        assert first.read("pkg-demo-1.0-h1234567_0.tar.zst") == second.read("pkg-demo-1.0-cuda126_h1234567_100.tar.zst")
        assert all(member.compress_type == zipfile.ZIP_STORED for member in second.infolist())
    reading = read_conda(LocalSource(new), Artifact(kind=ArtifactKind.CONDA, name="demo"))
    assert (reading.problems, reading.complete) == ((), True)


def test_a_stamp_twice_is_a_stamp_once(tmp_path: Path) -> None:
    """Requirements that are there already are not written again."""
    old = write_package(PACKAGE, tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    stamp = Stamp(build="b_0", build_number=0, depends=("__cuda >=12",), constrains=("__cuda_arch >=8.0",))
    once, first = restamp(old, tmp_path / "one", stamp)
    assert restamp(once, tmp_path / "two", stamp)[1] == first


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", b"x" * 1000])
def test_what_is_no_package_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes of another format give a FormatError."""
    path = tmp_path / "demo-1.0-0.conda"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        restamp(path, tmp_path, Stamp(build="b", build_number=0))


names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
versions = st.sampled_from([">=1.2", ">=1.2,<2", "==1.0", "1.2.*", ">=8.0,<9.0|>=10.0", "*"])
builds = st.sampled_from(["py311_0", "cuda*", "h1234567_0"])


@given(names, versions, st.none() | builds)
def test_brackets_say_the_same(name: str, version: str, build: str | None) -> None:
    """The form of revision 3 means what the positional form means; rattler reads both."""
    positional = f"{name} {version}" + (f" {build}" if build else "")
    one, other = MatchSpec(positional), MatchSpec(in_brackets(positional))
    assert (str(one.name), str(one.build)) == (str(other.name), str(other.build))
    assert str(one.version or "*") == str(other.version or "*")
    assert in_brackets(in_brackets(positional)) == in_brackets(positional)


def test_a_bare_name_has_no_brackets() -> None:
    """CEP 48 forbids empty ones."""
    assert in_brackets("pip") == "pip"
    assert in_brackets("pip *") == "pip"
