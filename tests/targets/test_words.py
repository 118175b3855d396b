"""What users type as a target, and what it is taken for."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import RequestError
from gpuenv.targets.words import (
    Address,
    Directory,
    IndexFileName,
    LocalFile,
    LockFile,
    LockKind,
    OnIndex,
    RequirementsFile,
    parse_target,
)

WHEEL = "torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.mark.parametrize(
    ("typed", "requirement"),
    [
        ("torch", "torch"),
        (" torch==2.15.0 ", "torch==2.15.0"),
        ("cupy-cuda12x>=13", "cupy-cuda12x>=13"),
        ("jax[cuda12]", "jax[cuda12]"),
        ("numba=0.58", "numba==0.58.*"),
        ("numba = 0.58.*", "numba==0.58.*"),
        ("numba 0.58.1", "numba==0.58.1"),
        ("zope.interface", "zope.interface"),
        ('x; sys_platform == "a/b"', 'x; sys_platform == "a/b"'),
    ],
)
def test_names_on_the_index(here: Path, typed: str, requirement: str) -> None:
    """Python's words as they are, and conda's forms of a version in Python's words."""
    assert parse_target(typed) == OnIndex(requirement, typed.strip())


def test_names_of_files_on_the_index(here: Path) -> None:
    """A wheel or source file that is not here, under a name that such files have."""
    assert parse_target(WHEEL) == IndexFileName(WHEEL)
    assert parse_target("foo-1.0.tar.gz") == IndexFileName("foo-1.0.tar.gz")


def test_a_file_here_goes_before_its_name_on_the_index(here: Path) -> None:
    """What lies here is meant, whether or not it is written as a path."""
    (here / WHEEL).touch()
    (here / "libfoo").touch()
    assert parse_target(WHEEL) == LocalFile(Path(WHEEL))
    assert parse_target("libfoo") == LocalFile(Path("libfoo"))
    assert parse_target(str(here / WHEEL)) == LocalFile(here / WHEEL)


def test_a_directory_with_a_packages_name_is_the_package(here: Path) -> None:
    """Unless it is written as a path, is an environment, or holds packages as `dist` does."""
    (here / "torch").mkdir()
    assert parse_target("torch") == OnIndex("torch", "torch")
    assert parse_target("./torch") == Directory(Path("torch"))
    assert parse_target("torch/") == Directory(Path("torch"))
    assert parse_target(".") == Directory(Path())
    (here / "torch" / "pyvenv.cfg").touch()
    assert parse_target("torch") == Directory(Path("torch"))
    (here / ".venv").mkdir()
    assert parse_target(".venv") == Directory(Path(".venv"))
    (here / "dist").mkdir()
    (here / "dist" / "x-1.0.tar.gz").touch()
    assert parse_target("dist") == OnIndex("dist", "dist")
    (here / "dist" / "x-1.0-py3-none-any.whl").touch()
    assert parse_target("dist") == Directory(Path("dist"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in directories")
def test_a_pipe_is_no_target(here: Path) -> None:
    """What is no regular file cannot be looked into, and is not waited for."""
    os.mkfifo(here / "pipe.so")
    with pytest.raises(RequestError, match=r"`pipe\.so` is not a regular file"):
        parse_target("pipe.so")


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("pylock.toml", "", LockKind.PYLOCK),
        ("pylock.gpu.toml", "", LockKind.PYLOCK),
        ("uv.lock", "version = 1\n", LockKind.UV),
        ("script.py.lock", "version = 1\n", LockKind.UV),
        ("pixi.lock", "version: 6\n", LockKind.PIXI),
        ("other.lock", "version: 6\nenvironments:\n", LockKind.PIXI),
        ("conda-lock.yml", "version: 1\n", LockKind.CONDA_LOCK),
        ("gpu.conda-lock.yml", "version: 1\n", LockKind.CONDA_LOCK),
        ("locked.yml", "version: 1\npackage:\n", LockKind.CONDA_LOCK),
        ("environment.yml", "dependencies:\n", LockKind.CONDA_ENVIRONMENT),
        ("gpu.yaml", "name: gpu\n", LockKind.CONDA_ENVIRONMENT),
        ("spec-file.txt", "# platform: linux-64\n@EXPLICIT\n", LockKind.CONDA_EXPLICIT),
        ("conda-linux-64.lock", "@EXPLICIT\n", LockKind.CONDA_EXPLICIT),
    ],
)
def test_locks_by_their_names_and_how_they_begin(here: Path, name: str, text: str, kind: LockKind) -> None:
    """The usual name decides; where there is none, the beginning of the file."""
    (here / name).write_text(text)
    assert parse_target(name) == LockFile(Path(name), kind)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.in", "anything.txt", "pyproject.toml"])
def test_lists_of_requirements(here: Path, name: str) -> None:
    """Text files are requirements, and a project's own file names its requirements."""
    (here / name).write_text("")
    assert parse_target(name) == RequirementsFile(Path(name))


@pytest.mark.parametrize(
    "typed",
    [
        *("x.so", "./x.so", "foo/bar.whl", "libfoo.so.1.2", "x.conda", "requirements.txt", "uv.lock", "bad wheel.whl"),
        *(
            r"C:\x\y.whl",
            r"..\foo.whl",
            r"\\server\share\x.whl",
            "C:foo",
            "file:///nowhere/x.so",
            "/nowhere",
            "~/no.so",
        ),
    ],
)
def test_a_path_that_is_not_there(here: Path, typed: str) -> None:
    """What looks like a path of either system, or like a file that the index does not have, is missed by name."""
    with pytest.raises(RequestError, match="there is no file"):
        parse_target(typed)


def test_addresses(here: Path) -> None:
    """Of the web an address is kept, of this computer it is a path, and a requirement may hold one."""
    assert parse_target("https://host.invalid/x.whl") == Address("https://host.invalid/x.whl")
    assert parse_target("torch @ https://host.invalid/t.whl") == Address("https://host.invalid/t.whl", "torch")
    (here / "x y.so").touch()
    assert parse_target((here / "x y.so").as_uri()) == LocalFile(here / "x y.so")
    assert parse_target(here.as_uri()) == Directory(here)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "empty"),
        ("a\0b", "empty"),
        ("https:///x.whl", "no host"),
        ("https://host.invalid/pylock.toml", "read from disk"),
        ("s3://bucket/x.whl", "`s3:`"),
        ("git+https://host.invalid/x", "repository"),
        ("x @ git+https://host.invalid/x", "repository"),
        ("torch @@", "not an address"),
        ("numba=0.58=py311_0", "conda's builds"),
        ("!!", "neither a file here nor a package"),
    ],
)
def test_what_cannot_be_looked_into(here: Path, typed: str, reason: str) -> None:
    """The message says why."""
    with pytest.raises(RequestError, match=reason):
        parse_target(typed)


def test_another_toml_is_no_target(here: Path) -> None:
    """Only locks and projects are read."""
    (here / "settings.toml").touch()
    with pytest.raises(RequestError, match="list of packages"):
        parse_target("settings.toml")


@given(
    text=st.text(max_size=60)
    | st.builds("{}{}".format, st.sampled_from(["https://", "file://", "x @ ", "~", "x="]), st.text(max_size=20))
    | st.from_regex(r"[a-z:/\\.\[\]=@~]{1,20}", fullmatch=True)
)
def test_any_text_is_a_target_or_a_mistake(text: str) -> None:
    """No text ends in another exception."""
    with suppress(RequestError):
        assert parse_target(text)
