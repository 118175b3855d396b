"""What `uv.lock` and `pylock.toml` install on one machine, as the real `uv` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpuenv.channels.destinations import destination_of
from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import run_uv
from gpuenv.errors import FormatError, NoPlanError
from gpuenv.targets.locks import expand_lock
from gpuenv.targets.words import LockKind
from loopback_index import LoopbackIndex
from targets.made_locks import HEX, LINUX, MACHINES, WINDOWS, locked, names

LEFT_OUT = (
    "not installed by default, and not looked at: extra `gpu`, group `docs`; "
    "`uv export --extra gpu -o pylock.some.toml` makes a lock that has it"
)


def project(here: Path, index: LoopbackIndex) -> None:
    """A project with markers, an extra, a group, a library on disk and a wheel on disk, locked by a real `uv`."""
    index.add("gt-torch", "1.0", tags=[LINUX, WINDOWS], requires=["gt-cublas; sys_platform == 'linux'", "gt-np"])
    index.add("gt-cublas", "12.0", tags=["py3-none-manylinux_2_17_x86_64"])
    index.add("gt-np", "1.0")
    index.add("gt-np", "2.0", requires_python=">=3.12")
    for name in ("gt-extra", "gt-tester", "gt-docs", "gt-wheel"):
        index.add(name, "1.0")
    (stored,) = index.projects.pop("gt-wheel").values()
    (here / "lib").mkdir()
    (here / stored.name).write_bytes(stored.content)
    (here / "lib/pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\ndependencies = ["gt-np"]\n')
    (here / "pyproject.toml").write_text(f"""
[project]
name = "own"
version = "1"
requires-python = ">=3.11"
dependencies = ["gt-torch", "lib", "gt-wheel"]
[project.optional-dependencies]
gpu = ["gt-extra"]
[dependency-groups]
dev = ["gt-tester"]
docs = ["gt-docs"]
[tool.uv.sources]
lib = {{ path = "lib" }}
gt-wheel = {{ path = "{stored.name}" }}
""")
    done = run_uv(["lock", "--python", sys.executable], cwd=here)
    assert done.status == 0, done.stderr


def test_a_lock_of_uv(index: LoopbackIndex, here: Path) -> None:
    """The project's requirements and its group `dev` for one machine; extras and other groups are named in a note."""
    project(here, index)
    found = locked("uv.lock")
    assert names(found) == [
        *(("gt-cublas", "12.0"), ("gt-np", "1.0"), ("gt-tester", "1.0"), ("gt-torch", "1.0"), ("gt-wheel", "1.0")),
    ]
    assert not found.problems
    assert found.notes == (
        "`lib` is a project on disk: only what it requires is looked at",
        LEFT_OUT,
    )
    files = {file.name: file for file in found.files}
    stored = index.projects["gt-torch"][files["gt-torch"].filename]
    assert (files["gt-torch"].sha256, files["gt-torch"].size_bytes) == (stored.sha256, len(stored.content))
    assert files["gt-wheel"].path is not None
    assert files["gt-wheel"].path.exists()


def test_markers_of_a_lock_are_decided_for_the_machine(index: LoopbackIndex, here: Path) -> None:
    """Windows has no cuBLAS in it, and Python 3.12 another NumPy; a wheel that is for another Python is noted."""
    project(here, index)
    found = locked("uv.lock", "windows")
    assert "gt-cublas" not in dict(names(found))
    assert next(file for file in found.files if file.name == "gt-torch").filename.endswith("win_amd64.whl")
    newer = locked("uv.lock", python="3.12")
    assert dict(names(newer))["gt-np"] == "2.0"
    torch = next(file for file in newer.files if file.name == "gt-torch")
    assert torch.note is not None
    assert "this one is for linux-x86_64 and Python 3.11" in torch.note


@pytest.mark.parametrize("machine", ["linux", "windows"])
@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_uv_itself_agrees(index: LoopbackIndex, here: Path, machine: str, python: str) -> None:
    """The same lock, exported by uv as pylock.toml, installs the same files."""
    project(here, index)
    done = run_uv(["export", "--frozen", "--format", "pylock.toml", "--no-header", "-o", "pylock.toml"], cwd=here)
    assert done.status == 0, done.stderr
    ours = {(file.name, file.filename, file.sha256) for file in locked("uv.lock", machine, python).files}
    theirs = {(file.name, file.filename, file.sha256) for file in locked("pylock.toml", machine, python).files}
    assert ours == theirs


def test_a_python_that_the_lock_is_for(index: LoopbackIndex, here: Path) -> None:
    """Where none was asked for, one that the lock is for is taken; one that was asked for stays, with a note."""
    (here / "uv.lock").write_text('version = 1\nrequires-python = ">=3.14"\n')
    destination = destination_of(MACHINES["linux"], python="3.11")
    free = expand_lock(here / "uv.lock", LockKind.UV, destination, is_python_asked=False)
    assert free.notes == ("`uv.lock` is for Python >=3.14; this is for 3.14",)
    asked = locked("uv.lock")
    assert asked.notes == ("`uv.lock` is for Python >=3.14, and 3.11 is not among them",)


def lock_with_uv(here: Path, text: str) -> None:
    """`uv.lock`, and `pylock.toml` made from it, of a project that begins with `text`."""
    (here / "pyproject.toml").write_text(text)
    done = run_uv(["lock", "--python", sys.executable], cwd=here)
    assert done.status == 0, done.stderr
    done = run_uv(["export", "--frozen", "--no-header", "-o", "pylock.toml"], cwd=here)
    assert done.status == 0, done.stderr


PROJECT = '[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.11"\n'


@pytest.mark.parametrize("chosen", ['["docs"]', '"all"', "[]"])
def test_groups_that_a_project_installs_by_default(index: LoopbackIndex, here: Path, chosen: str) -> None:
    """They stand in the `pyproject.toml` beside the lock; uv's own export has the same files."""
    for name in ("gt-a", "gt-tester", "gt-docs"):
        index.add(name, "1.0")
    groups = '[dependency-groups]\ndev = ["gt-tester"]\ndocs = ["gt-docs"]\n'
    lock_with_uv(here, f'{PROJECT}dependencies = ["gt-a"]\n{groups}[tool.uv]\ndefault-groups = {chosen}\n')
    expected = {'["docs"]': ["gt-a", "gt-docs"], '"all"': ["gt-a", "gt-docs", "gt-tester"], "[]": ["gt-a"]}[chosen]
    assert [name for name, _ in names(locked("uv.lock"))] == expected
    assert [name for name, _ in names(locked("pylock.toml"))] == expected


def test_a_workspace_whose_root_is_no_project(index: LoopbackIndex, here: Path) -> None:
    """Its members' requirements and the root's own group `dev`, as in uv's export; its other groups are named."""
    for name in ("gt-a", "gt-tester", "gt-docs"):
        index.add(name, "1.0")
    (here / "one").mkdir()
    (here / "one/pyproject.toml").write_text(f'{PROJECT}dependencies = ["gt-a"]\n')
    lock_with_uv(
        here,
        '[tool.uv.workspace]\nmembers = ["one"]\n[dependency-groups]\ndev = ["gt-tester"]\ndocs = ["gt-docs"]\n',
    )
    found = locked("uv.lock")
    assert names(found) == names(locked("pylock.toml")) == [("gt-a", "1.0"), ("gt-tester", "1.0")]
    assert "group `docs`" in found.notes[-1]


@pytest.mark.parametrize("lock", ["uv.lock", "pylock.toml"])
def test_environments_that_a_lock_is_for(index: LoopbackIndex, here: Path, lock: str) -> None:
    """A lock that names them says nothing about a machine that is none of them."""
    index.add("gt-a", "1.0")
    only = "[tool.uv]\nenvironments = [\"sys_platform == 'linux' and platform_machine == 'x86_64'\"]\n"
    lock_with_uv(here, f'{PROJECT}dependencies = ["gt-a"]\n{only}')
    assert names(locked(lock)) == [("gt-a", "1.0")]
    for machine in ("windows", "arm"):
        found = locked(lock, machine)
        (problem,) = found.problems
        assert isinstance(problem, NoPlanError)
        assert f"`{lock}` is not for " in problem.message
        assert not found.files


def test_a_package_without_files_for_its_platform(index: LoopbackIndex, here: Path) -> None:
    """PEP 751 has no such package, but uv writes one; the rest of the lock is read, and it is a problem where it is
    installed.
    """
    index.add("gt-a", "1.0", tags=[LINUX])
    lock_with_uv(
        here,
        f"{PROJECT}dependencies = [\"gt-a; sys_platform == 'linux'\", \"gt-a; sys_platform == 'darwin'\"]\n",
    )
    text = (here / "pylock.toml").read_text()
    assert "wheels" in text
    nameless = '[[packages]]\nname = "gt-b"\nversion = "1"\nmarker = "sys_platform != \'linux\'"\n'
    (here / "pylock.toml").write_text(f"{text}\n{nameless}")
    found = locked("pylock.toml")
    assert (names(found), found.problems) == ([("gt-a", "1.0")], ())
    (problem,) = locked("pylock.toml", "windows").problems
    assert problem.message == "the lock lists no file of `gt-b` for windows-x86_64 and Python 3.11"
    with pytest.raises(FormatError, match="no file of `gt-b`"):
        read_lock((here / "pylock.toml").read_text())


UV_LOCK = """
version = 1
revision = 3
requires-python = ">=3.10"
resolution-markers = ["sys_platform == 'linux'", "sys_platform != 'linux'"]

[[package]]
name = "own"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "torch", extra = ["cuda"] }, { name = "kernels" }, { name = "flat" }]

[[package]]
name = "torch"
version = "2.7.0+cu128"
source = { registry = "https://index.invalid/whl/cu128" }
resolution-markers = ["sys_platform == 'linux'"]
wheels = [
    { url = "https://index.invalid/cu/torch-2.7.0%2Bcu128-cp311-cp311-manylinux_2_28_x86_64.whl", hash = "HASH" },
    { url = "https://index.invalid/cu/torch-2.7.0%2Bcu128-cp312-cp312-manylinux_2_28_x86_64.whl" },
]

[package.optional-dependencies]
cuda = [{ name = "cublas" }]

[[package]]
name = "torch"
version = "2.7.0"
source = { registry = "https://index.invalid/simple" }
resolution-markers = ["sys_platform != 'linux'"]
wheels = [{ url = "https://index.invalid/torch-2.7.0-cp311-cp311-win_amd64.whl", size = 7 }]

[[package]]
name = "cublas"
version = "12.8"
source = { url = "https://host.invalid/cublas-12.8-py3-none-manylinux_2_27_x86_64.whl" }
wheels = [{ url = "https://host.invalid/cublas-12.8-py3-none-manylinux_2_27_x86_64.whl", hash = "sha256:HEX" }]

[[package]]
name = "kernels"
version = "1.0"
source = { git = "https://host.invalid/kernels?rev=main#0123" }

[[package]]
name = "flat"
version = "1.0"
source = { registry = "wheels" }
wheels = [{ path = "flat-1.0-py3-none-any.whl" }]
""".replace("HEX", HEX).replace("HASH", f"sha256:{HEX}")


def test_versions_for_different_systems_in_one_lock(here: Path) -> None:
    """Of two releases of PyTorch each system gets its own, from its own index; sources in a repository are said."""
    (here / "uv.lock").write_text(UV_LOCK)
    found = locked("uv.lock")
    assert names(found) == [("cublas", "12.8"), ("flat", "1.0"), ("torch", "2.7.0+cu128")]
    torch = next(file for file in found.files if file.name == "torch")
    assert torch.filename == "torch-2.7.0+cu128-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert torch.sha256 == HEX
    assert next(file for file in found.files if file.name == "flat").path == Path("wheels/flat-1.0-py3-none-any.whl")
    (problem,) = found.problems
    assert problem.message == "`kernels` is not looked at"
    assert names(locked("uv.lock", "windows")) == [("flat", "1.0"), ("torch", "2.7.0")]


def test_a_login_for_a_locks_address(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses in a lock on a private index get the login that uv would use."""
    (here / "uv.lock").write_text(UV_LOCK)
    monkeypatch.setenv("UV_INDEX", "https://me:secret@index.invalid/simple")
    logins = {file.name: file.login for file in locked("uv.lock").files}
    assert logins == {"torch": ("me", "secret"), "cublas": None, "flat": None}


def test_a_pylock_for_another_platform(here: Path) -> None:
    """What has no file for the machine is given with the nearest one; a repository is a problem, a directory noted."""
    (here / "pylock.gpu.toml").write_text(f"""
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "x"
version = "1.0"
wheels = [{{ url = "https://h.invalid/x-1.0-cp311-cp311-win_amd64.whl", hashes = {{ sha256 = "{HEX}" }} }}]
[[packages]]
name = "y"
marker = "sys_platform == 'win32'"
directory = {{ path = "y" }}
[[packages]]
name = "z"
vcs = {{ type = "git", url = "https://h.invalid/z", commit-id = "0" }}
[[packages]]
name = "w"
version = "1.0"
archive = {{ path = "w-1.0-py3-none-any.whl", hashes = {{ sha256 = "{HEX}" }} }}
""")
    found = locked("pylock.gpu.toml")
    assert names(found) == [("w", "1.0"), ("x", "1.0")]
    assert found.files[0].platform == "windows-x86_64"
    assert found.files[0].note is not None
    assert found.files[1].path == Path("w-1.0-py3-none-any.whl")
    assert [problem.message for problem in found.problems] == ["`z` is not looked at"]
    assert locked("pylock.gpu.toml", "windows").notes == (
        "`y` is a project on disk: only what it requires is looked at",
    )
