"""Several files on several cores: the same answers as one by one, whatever becomes of the children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from artifacts.made_environments import CODE, PLAIN, write_files
from binaries.made_files import archive
from gpuenv._process import Dialogue
from gpuenv.artifacts import at_once
from gpuenv.artifacts.at_once import read_files, read_one_file
from gpuenv.model import NativeFile

READY = "sys.stdin.readline(); print(flush=True); sys.stdin.readline()"
SOURCE = Path(at_once.__file__).parents[2]


def make_places(directory: Path, count: int = 30) -> list[tuple[Path, str]]:
    """Files of several kinds and sizes."""
    kinds = [
        ("lib.so", CODE),
        ("plain.so", PLAIN),
        ("text.so", b"INPUT(x)"),
        ("cut.so", CODE[:200]),
        ("a.a", archive(CODE)),
    ]
    files = {
        f"{index}-{kinds[index % 5][0]}": kinds[index % 5][1] + bytes(index) * (index % 5 < 2) for index in range(count)
    }
    write_files(directory, files)
    return [(directory / name, f"in/{name}") for name in files]


@pytest.fixture
def in_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is a batch of its own, so that all processes get some."""
    monkeypatch.setattr(at_once, "_BYTES_AT_ONCE", 1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, in_small_batches: None) -> list[bool]:
    """Whether children answered, each time one was asked; this process leaves the work to them for a moment."""
    answers: list[bool] = []
    ask, read = at_once._Work._ask, at_once._Work._read

    def listen(self: at_once._Work, child: Dialogue, batch: list[int]) -> bool:
        answers.append(ask(self, child, batch))
        return answers[-1]

    def wait(self: at_once._Work, batch: list[int]) -> None:
        deadline = time.monotonic() + 10
        while not answers and time.monotonic() < deadline:
            time.sleep(0.01)
        read(self, batch)

    monkeypatch.setattr(at_once._Work, "_ask", listen)
    monkeypatch.setattr(at_once._Work, "_read", wait)
    return answers


def test_children_say_what_this_process_would(tmp_path: Path, asked: list[bool]) -> None:
    """The answers of three processes are those of one, in the order of the question."""
    places = [*make_places(tmp_path), (tmp_path / "missing.so", "missing.so")]
    assert read_files(places, workers=3) == [read_one_file(*place) for place in places]
    assert asked
    assert all(asked)


def test_what_cannot_be_read_comes_with_its_problem(tmp_path: Path) -> None:
    """A missing file and a directory are answers, not errors; no file at all is no answer."""
    (missing, directory) = read_files([(tmp_path / "none.so", "none.so"), (tmp_path, "a directory")])
    assert missing is not None
    assert "no file" in (missing.problem or "")
    assert directory is not None
    assert directory.problem
    assert read_files([]) == []


def test_one_file_under_two_names_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hard links share the answer, each under its own path."""
    write_files(tmp_path, {"one.so": CODE})
    (tmp_path / "two.so").hardlink_to(tmp_path / "one.so")
    read: list[str] = []
    real = at_once.read_one_file

    def count(place: Path, path: str) -> NativeFile | None:
        read.append(path)
        return real(place, path)

    monkeypatch.setattr(at_once, "read_one_file", count)
    answers = read_files([(tmp_path / "one.so", "a/one.so"), (tmp_path / "two.so", "b/two.so")])
    assert answers == [real(tmp_path / "one.so", "a/one.so"), real(tmp_path / "two.so", "b/two.so")]
    assert len(read) == 1


@pytest.mark.skipif(os.name != "posix", reason="file names are text here")
def test_names_that_are_no_text_reach_the_children(tmp_path: Path, asked: list[bool]) -> None:
    """A name in another encoding than the file system's is read like any other."""
    place = tmp_path / os.fsdecode(b"caf\xe9.so")
    try:
        place.write_bytes(CODE)
    except OSError:
        pytest.skip("this file system takes no such names")
    places = [(place, "caf?.so"), *make_places(tmp_path, 5)]
    answers = read_files(places, workers=2)
    assert answers[0] == read_one_file(place, "caf?.so")
    assert answers[0] is not None
    assert answers[0].code is not None


@pytest.mark.parametrize(
    "program",
    [
        "sys.exit(1)",
        f"{READY}; print('nonsense', flush=True)",
        f"{READY}; print(dict(files=[]), flush=True)",
        f"{READY}; print('{{\"files\":[]}}', flush=True)",
        f"{READY}; os.abort()",
        None,
    ],
)
def test_a_child_that_fails_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_small_batches: None, program: str | None
) -> None:
    """Whatever a child answers, or if it cannot be started, this process reads what it was to read."""
    places = make_places(tmp_path)
    command = [sys.executable, "-c", f"import os, sys; {program}"] if program else [str(tmp_path / "no program")]
    monkeypatch.setattr(at_once, "_child_command", lambda: command)
    assert read_files(places, workers=3) == [read_one_file(*place) for place in places]


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_child_killed_in_the_middle_costs_nothing_but_time(tmp_path: Path, in_small_batches: None) -> None:
    """All answers are there although every child is killed as soon as it runs."""
    places = make_places(tmp_path, 200)
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.005):
            for child in children_of(os.getpid()):
                os.kill(child, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        answers = read_files(places, workers=3)
    finally:
        stop.set()
        killer.join()
    assert answers == [read_one_file(*place) for place in places]


def children_of(parent: int) -> list[int]:
    """The processes that run `read_child.py` for one process."""
    import psutil

    found = []
    for child in psutil.Process(parent).children():
        try:
            if any("read_child.py" in word for word in child.cmdline()):
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


def run_script(directory: Path, code: str, **options: object) -> subprocess.Popen[bytes]:
    """A user's plain script, in which `places` are files to read and every file is a batch of its own."""
    head = (
        "import sys; from pathlib import Path; print('script starts', flush=True)\n"
        f"sys.path.append({str(SOURCE)!r})\n"
        "from gpuenv.artifacts import at_once\nat_once._BYTES_AT_ONCE = 1\n"
        f"places = [(place, place.name) for place in sorted(Path({str(directory)!r}).glob('*.so'))]\n"
    )
    script = directory / "script.py"
    script.write_text(head + code)
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def test_a_script_without_main_guard_runs_once(tmp_path: Path) -> None:
    """The children do not run the user's script, and work where standard input is closed."""
    make_places(tmp_path)
    closing = "import os; os.close(0)\n"
    script = run_script(tmp_path, closing + "print(len(at_once.read_files(places, workers=3)))")
    said, _ = script.communicate(timeout=60)
    assert script.returncode == 0
    assert said.split(b"\n")[:2] == [b"script starts", b"24"]


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_who_asks(tmp_path: Path, number: signal.Signals) -> None:
    """After Ctrl-C or a kill no child is left, and Ctrl-C is answered at once."""
    make_places(tmp_path)
    code = (
        "import time\nread = at_once.read_one_file\n"
        "at_once.read_one_file = lambda *place: (print('reads', flush=True), time.sleep(30))\n"
        "at_once.read_files(places, workers=2)\n"
    )
    script = run_script(tmp_path, code, stderr=subprocess.DEVNULL)
    assert script.stdout is not None
    try:
        assert script.stdout.readline() == b"script starts\n"
        assert script.stdout.readline() == b"reads\n"
        deadline = time.monotonic() + 20
        while not (children := children_of(script.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert children
        began = time.monotonic()
        script.send_signal(number)
        script.wait(10)
        assert time.monotonic() - began < 5
        assert script.returncode != 0
        while any(Path(f"/proc/{child}/cmdline").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(Path(f"/proc/{child}/cmdline").exists() for child in children)
    finally:
        script.kill()
        script.wait()
        script.stdout.close()


def test_little_work_starts_no_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For some small files a child would cost more than it gives; a program that is no Python starts none either."""
    started: list[object] = []
    monkeypatch.setattr(at_once, "Dialogue", started.append)
    read_files(make_places(tmp_path))
    assert started == []
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert at_once._child_command() is None
