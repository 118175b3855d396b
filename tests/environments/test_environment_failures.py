"""Whatever fails, the error says what it was and the old environment stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from environments.conda_prefixes import conda_plan
from environments.little_index import Index, IndexHandler, Listener, PlanMaker, PythonRunner, beside, serving
from gpuenv import environments
from gpuenv.environments import space
from gpuenv.environments.failures import explain_refusal
from gpuenv.errors import FormatError, GpuenvError, IntegrityError, RequestError, ToolError, UnavailableError
from gpuenv.model import Plan
from little_channel import LittlePackage, make_channel

VERSIONS = "import alpha; alpha.main()"


class _Handler(IndexHandler):
    """Serves the index; `break_wheels` says what happens to a wheel: `cut` in the middle, or `refused`."""

    break_wheels = ""

    def do_GET(self) -> None:  # noqa: N802  (the name that is overridden)
        if not self.break_wheels or not self.path.endswith(".whl"):
            super().do_GET()
            return
        if self.break_wheels == "refused":
            self.send_error(403)
            return
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.close_connection = True


@pytest.fixture
def served(index: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Handler]]:
    """The index over loopback HTTP; what is given can be told to break."""

    class Handler(_Handler):
        break_wheels = ""

    with serving(index, Handler) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        yield Handler


def _fails(make: Callable[[], object], kind: type[GpuenvError], prefix: Path) -> GpuenvError:
    """The error that `make` raises, after it was seen that nothing is left beside the environment."""
    with pytest.raises(GpuenvError) as caught:
        make()
    assert type(caught.value) is kind, (caught.value, caught.value.reasons)
    assert beside(prefix) == set()
    return caught.value


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_wrong_bytes(plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner, verb: str) -> None:
    """A file that is not the one of the lock is an integrity error, and the old environment goes on."""
    prefix = tmp_path / "env"
    plan = plan_for("alpha")
    digest = plan.pylock.split('sha256 = "')[1].split('"')[0]
    bad = structs.replace(plan, pylock=plan.pylock.replace(digest, "0" * 64))
    if verb == "create":
        _fails(lambda: environments.create(bad, prefix, report=Listener()), IntegrityError, prefix)
        assert not prefix.exists()
        return
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    _fails(lambda: environments.replace(bad, prefix, report=Listener()), IntegrityError, prefix)
    assert python_says(prefix, VERSIONS) == "alpha 1.0 beta 1.0"


@pytest.mark.parametrize("how", ["cut", "refused"])
def test_download_that_breaks_off(
    served: type[_Handler], plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner, how: str
) -> None:
    """A download that is cut or refused leaves the old environment; when the index works again, so does the change."""
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    plan = plan_for("alpha")
    served.break_wheels = how
    with pytest.raises(GpuenvError) as caught:
        environments.replace(plan, prefix, report=Listener())
    assert caught.value.exit_code == UnavailableError.exit_code
    assert "alpha" in "\n".join((*caught.value.reasons, caught.value.details))
    assert beside(prefix) == set()
    assert python_says(prefix, VERSIONS) == "alpha 1.0 beta 1.0"
    served.break_wheels = ""
    environments.replace(plan, prefix, report=Listener())
    assert python_says(prefix, VERSIONS) == "alpha 2.0 beta 1.0"


def test_index_that_is_gone(index: Index, plan_for: PlanMaker, tmp_path: Path) -> None:
    """An address where nobody answers is `unavailable`, with the way to another index."""
    prefix = tmp_path / "env"
    plan = plan_for("alpha")
    gone = structs.replace(plan, pylock=plan.pylock.replace(index.url, "http://127.0.0.1:9"))
    error = _fails(lambda: environments.create(gone, prefix, report=Listener()), UnavailableError, prefix)
    assert "UV_DEFAULT_INDEX" in error.hints[0]
    assert not prefix.exists()


def test_wheel_that_is_gone(index: Index, plan_for: PlanMaker, tmp_path: Path) -> None:
    """A locked file that is not there any more is uv's failure, told in its own words."""
    prefix = tmp_path / "env"
    plan = plan_for("beta")
    shutil.rmtree(index.root / "beta")
    error = _fails(lambda: environments.create(plan, prefix, report=Listener()), ToolError, prefix)
    assert "beta" in "\n".join((*error.reasons, error.details))


@pytest.mark.parametrize("kind", ["missing", "not a Python", "another version", "unknown version"])
def test_interpreter_that_is_not_the_planned_one(plan_for: PlanMaker, tmp_path: Path, kind: str) -> None:
    """A plan's interpreter that vanished, or became another version, is named; nothing is made."""
    prefix = tmp_path / "env"
    plan = plan_for("beta")
    (tmp_path / "script").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "script").chmod(0o755)
    wrong = {
        "missing": structs.replace(plan, interpreter=str(tmp_path / "gone" / "python")),
        "not a Python": structs.replace(plan, interpreter=str(tmp_path / "script")),
        "another version": structs.replace(plan, python="3.4"),
        "unknown version": structs.replace(plan, python="3.99", interpreter=None),
    }[kind]
    error = _fails(lambda: environments.create(wrong, prefix, report=Listener()), UnavailableError, prefix)
    assert f"Python {wrong.python}" in error.message
    assert "--python" in error.hints[0]
    assert not prefix.exists()


def test_parent_that_cannot_be_written(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A place below a file, or where the system makes no directories, is refused with the system's reason."""
    (tmp_path / "file").write_text("x")
    for prefix in (tmp_path / "file" / "env", Path("/proc/gpuenv/env")):
        if not prefix.parents[1].exists():
            continue
        with pytest.raises(UnavailableError) as caught:
            environments.create(plan_for("beta"), prefix, report=Listener())
        assert str(prefix.parent) in caught.value.reasons[0]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_parent(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A parent directory without the right to write is said to be that."""
    parent = tmp_path / "closed"
    parent.mkdir(mode=0o500)
    with pytest.raises(UnavailableError, match="not writable") as caught:
        environments.create(plan_for("beta"), parent / "env", report=Listener())
    assert "-p PATH" in caught.value.hints[0]


def test_read_only_file_system(small_disk: Callable[[int], Path], plan_for: PlanMaker) -> None:
    """A file system that is mounted for reading is said not to be writable, and what is there can be used."""
    disk = small_disk(2000)
    environments.create(plan_for("beta"), disk / "env", report=Listener())
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(UnavailableError, match="not writable") as caught:
        environments.replace(plan_for("alpha"), disk / "env", report=Listener())
    assert "-p PATH" in caught.value.hints[0]
    assert [one.name for one in environments.list_packages(disk / "env")] == ["beta"]


def test_words_for_refusals(tmp_path: Path) -> None:
    """A full disk, a closed parent and a mount point are each said to be what they are."""
    for code, words in {
        28: "disk is full",
        122: "disk is full",
        13: "not writable",
        30: "not writable",
        16: "in use",
    }.items():
        error = explain_refusal(OSError(code, os.strerror(code), "file"), "creating", tmp_path / "env")
        assert words in error.message
        assert os.strerror(code) in error.reasons[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system in memory of some KiB."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(kib: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no `mount`")
        if done.returncode:
            pytest.skip("this user may not mount a file system")
        return place

    yield mount
    subprocess.run(["umount", place], capture_output=True, check=False)


@pytest.mark.parametrize("full", ["cache", "place"])
def test_full_disk_for_conda_packages(
    small_disk: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """A disk that is full while a conda package is unpacked or linked is said to be that, with what helps."""
    files = {f"share/{number}": "0" * 300_000 for number in range(10)}
    channel = make_channel(tmp_path / "channel", [LittlePackage(name="big", files=files)])
    disk = small_disk(1000)
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(disk if full == "cache" else tmp_path / "cache"))
    prefix = (disk if full == "place" else tmp_path) / "env"
    with pytest.raises(UnavailableError, match="disk is full") as caught:
        environments.create(conda_plan(channel, "big"), prefix, report=Listener())
    assert "free some space" in caught.value.hints[0]
    assert not prefix.exists()


@pytest.mark.parametrize("kib", [8, 40, 100, 1200])
def test_full_disk(
    small_disk: Callable[[int], Path],
    index: Index,
    plan_for: PlanMaker,
    tmp_path: Path,
    kib: int,
) -> None:
    """Wherever the room ends (our files, the virtual environment, the packages), it is said and all is cleared."""
    index.wheel("large", "1.0", files={"large.py": f"TEXT = {'x' * 2_000_000!r}\n"})
    disk = small_disk(kib)
    prefix = disk / "env"
    error = _fails(lambda: environments.create(plan_for("large"), prefix, report=Listener()), UnavailableError, prefix)
    assert "disk is full" in error.message
    assert [path for path in disk.iterdir() if path.name != ".env.gpuenv-lock"] == []


def test_full_disk_keeps_the_old_environment(
    small_disk: Callable[[int], Path], index: Index, plan_for: PlanMaker, python_says: PythonRunner
) -> None:
    """A change that does not fit leaves the environment that does."""
    index.wheel("large", "1.0", files={"large.py": f"TEXT = {'x' * 2_000_000!r}\n"})
    prefix = small_disk(1000) / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    plan = plan_for("large")
    _fails(lambda: environments.replace(plan, prefix, report=Listener()), UnavailableError, prefix)
    assert python_says(prefix, VERSIONS) == "alpha 1.0 beta 1.0"


def _free(path: Path) -> int:
    return shutil.disk_usage(path).free


def test_plan_that_cannot_fit_is_refused_before_anything_is_made(
    plan_for: PlanMaker, tmp_path: Path, listener: Listener
) -> None:
    """Files larger than the free space and all of uv's cache are refused at once."""
    plan = plan_for("beta", size_bytes=_free(tmp_path) + 10**15)
    error = _fails(
        lambda: environments.create(plan, tmp_path / "env", report=listener), UnavailableError, tmp_path / "env"
    )
    assert "no room" in error.message
    assert listener.steps == []


def test_plan_that_may_fit_is_tried(plan_for: PlanMaker, tmp_path: Path, listener: Listener) -> None:
    """Where only the unpacked size looks too large, a word is said and the work begins."""
    plan = plan_for("beta", size_bytes=int(_free(tmp_path) * 0.9))
    environments.create(plan, tmp_path / "env", report=listener)
    assert listener.details[0].startswith("little space")


def test_cached_files_count_as_room(
    plan_for: PlanMaker, tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uv can link from its cache needs no room, so a cache that large makes it possible."""
    plan = plan_for("beta", size_bytes=_free(tmp_path) + 1000)
    cached = Path(os.environ["UV_CACHE_DIR"])
    with (cached / "sparse").open("wb") as file:
        file.truncate(10**9)
    space.check_space(plan, tmp_path, report=listener)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "no-cache"))
    with pytest.raises(UnavailableError, match="no room"):
        space.check_space(plan, tmp_path, report=listener)
    monkeypatch.setenv("UV_LINK_MODE", "symlink")
    space.check_space(plan, tmp_path, report=listener)


def test_interrupt_cleans_up_and_goes_on(plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner) -> None:
    """Ctrl-C in any phase leaves the old environment, nothing beside it, and is still Ctrl-C."""
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    plan = plan_for("alpha")
    heard = Listener()
    environments.replace(plan, prefix, report=heard)
    moments = len(heard.steps) + len(heard.details)
    environments.replace(plan_for("alpha<2"), prefix, report=Listener())

    class Interrupting(Listener):
        def step(self, text: str) -> None:
            self.detail(text)

        def detail(self, text: str) -> None:
            self.details.append(text)
            if len(self.details) == self.at:
                raise KeyboardInterrupt

        at = 0

    for moment in range(1, moments + 1):
        listener = Interrupting()
        listener.at = moment
        with pytest.raises(KeyboardInterrupt):
            environments.replace(plan, prefix, report=listener)
        assert beside(prefix) == set()
        assert python_says(prefix, VERSIONS) == "alpha 1.0 beta 1.0"
    assert moments >= 5


def test_lock_that_is_none(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A plan whose lock cannot be read is a format error before anything is made."""
    plan = plan_for("beta")
    for text in ("[[packages]\n", 'packages = "x"\n', "[[packages]]\nversion = '1'\n"):
        with pytest.raises(FormatError, match="lock"):
            environments.create(structs.replace(plan, pylock=text), tmp_path / "env", report=Listener())
    assert not (tmp_path / "env").exists()


def test_replace_needs_an_environment(plan_for: PlanMaker, tmp_path: Path) -> None:
    """There must be something to change."""
    plan: Plan = plan_for("beta")
    for prefix in (tmp_path / "none", tmp_path / "no" / "parent"):
        with pytest.raises(RequestError, match="there is no environment"):
            environments.replace(plan, prefix, report=Listener())
    assert not (tmp_path / "no").exists()
    assert beside(tmp_path / "none") == set()
