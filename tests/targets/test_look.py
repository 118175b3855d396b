"""Files on a server that misbehaves: what is fetched and kept, and what an interruption or a second process does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import gpuenv
from artifacts.made_conda import BytesSource
from artifacts.made_wheels import wheel
from artifacts.range_server import RangeServer, Reply
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Inspection, InspectionReport, Silence
from gpuenv.targets.means import open_means
from gpuenv.targets.stopping import StoppableSource
from loopback_index import LoopbackIndex
from targets.made_packages import LINUX, addressed, library, noise, sass

Start = Callable[..., "subprocess.Popen[str]"]
NAME = f"gt_a-1.0-{LINUX}.whl"
SIZES = {"gt_a/one.so": 90_000, "gt_a/two.so": 80_000, "gt_a/three.so": 70_000}
NUMBERS = {"gt_a/one.so": 75, "gt_a/two.so": 80, "gt_a/three.so": 90}


def made_wheel() -> bytes:
    """Three libraries, the largest first, with so much between them that each is fetched with a request of its own."""
    members: dict[str, bytes] = {}
    for path, size in SIZES.items():
        members[path] = library(sass(NUMBERS[path]), padding=size)
        members[path.replace(".so", ".txt")] = noise(150_000 + size)
    return wheel(members, name="gt-a", tags=(LINUX,))


WHEEL = made_wheel()
STARTS = {path: WHEEL.index(path.encode()) - 30 for path in SIZES}


@pytest.fixture(autouse=True)
def cache(index: LoopbackIndex, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of readings for each test."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(place))
    return place


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """A server with the wheel."""
    with RangeServer({NAME: WHEEL}) as running:
        yield running


def libraries_asked(server: RangeServer) -> list[str]:
    """The libraries that were asked for, in the order of the requests."""
    starts = [int(found[1]) for one in server.asked if one and (found := re.fullmatch(r"bytes=(\d+)-\d+", one))]
    return [path for start in starts for path, begin in STARTS.items() if begin == start]


def is_of(path: str, reply: Reply) -> bool:
    """Whether a reply is the one with a library."""
    return reply.headers.get("Content-Range", "").startswith(f"bytes {STARTS[path]}-")


def known(cache: Path) -> list[Path]:
    """The readings that are kept."""
    return [place for place in cache.rglob("*.json") if place.is_file()]


def only(report: InspectionReport) -> Inspection:
    """The one artifact of a report without problems."""
    assert not report.problems
    (one,) = report.artifacts
    return one


# ---- kept and not kept ----------------------------------------------------------------------------------------------


def test_read_once_and_kept(server: RangeServer) -> None:
    """The second time nothing is asked for."""
    first = only(gpuenv.inspect_targets([addressed(server.address(NAME), WHEEL)]))
    asked = len(server.asked)
    assert sum(SIZES.values()) < first.fetched_bytes < len(WHEEL)
    second = only(gpuenv.inspect_targets([addressed(server.address(NAME), WHEEL)]))
    assert second.fetched_bytes == 0
    assert len(server.asked) == asked
    assert (second.libraries, second.needs) == (first.libraries, first.needs)


def test_a_hash_that_was_only_claimed_counts_for_its_own_address(server: RangeServer) -> None:
    """Who lists a file under the hash of another one deceives nobody about that other one."""
    other = wheel({"gt_a/lie.so": library(sass(90)), "gt_a/noise": noise(200_000)}, name="gt-a", tags=(LINUX,))
    server.files["liar/" + NAME] = other
    lie = only(gpuenv.inspect_targets([addressed(server.address("liar/" + NAME), WHEEL)]))
    assert [one.path for one in lie.libraries] == ["gt_a/lie.so"]
    both = [addressed(server.address(place + NAME), WHEEL) for place in ("", "liar/")]
    honest, lie = gpuenv.inspect_targets(both).artifacts
    assert {one.path for one in honest.libraries} == set(SIZES)
    assert [one.path for one in lie.libraries] == ["gt_a/lie.so"]


def test_a_hash_that_was_checked_counts_everywhere(server: RangeServer, tmp_path: Path) -> None:
    """A file that came whole, as small ones do, is read once wherever it is, and so is one on disk."""
    small = wheel({"gt_a/one.so": library(sass(80))}, name="gt-a", tags=(LINUX,))
    server.files |= {NAME: small, "other/" + NAME: small}
    first = only(gpuenv.inspect_targets([addressed(server.address(NAME), small)]))
    asked = len(server.asked)
    second = only(gpuenv.inspect_targets([addressed(server.address("other/" + NAME), small)]))
    assert (second.libraries, second.needs) == (first.libraries, first.needs)
    assert len(server.asked) == asked
    assert second.artifact.location == server.address("other/" + NAME)


def test_a_small_file_with_another_hash_is_refused(server: RangeServer, cache: Path) -> None:
    """All of it came, so its hash is checked; nothing of it is kept."""
    server.files[NAME] = wheel({"gt_a/one.so": library(sass(80))}, name="gt-a", tags=(LINUX,))
    (problem,) = gpuenv.inspect_targets([addressed(server.address(NAME), WHEEL)]).problems
    assert (problem.exit_code, problem.message) == (1, f"`{NAME}` is not the file that the index lists")
    assert not known(cache)


def test_without_a_cache_nothing_is_kept(server: RangeServer, cache: Path) -> None:
    """It is neither read from nor written to."""
    target = addressed(server.address(NAME), WHEEL)
    first = only(gpuenv.inspect_targets([target], cache=False))
    assert not list(cache.iterdir())
    only(gpuenv.inspect_targets([target]))
    again = only(gpuenv.inspect_targets([target], cache=False))
    assert again.fetched_bytes == first.fetched_bytes > 0


def test_an_address_without_a_hash_is_fetched_each_time(server: RangeServer) -> None:
    """What lies there may be another file tomorrow."""
    for _ in range(2):
        assert only(gpuenv.inspect_targets([server.address(NAME)])).fetched_bytes > 0


def test_offline_the_cache_answers(server: RangeServer) -> None:
    """What was read before is told; what was not cannot be found out, and the hint says why."""
    target = addressed(server.address(NAME), WHEEL)
    (problem,) = gpuenv.inspect_targets([target], offline=True).problems
    assert problem.exit_code == 3
    assert "--offline" in problem.hints[0]
    assert not server.asked
    online = only(gpuenv.inspect_targets([target]))
    asked = len(server.asked)
    offline = only(gpuenv.inspect_targets([target], offline=True))
    assert (offline.libraries, offline.fetched_bytes) == (online.libraries, 0)
    assert len(server.asked) == asked


def test_a_file_here_is_read_again_when_it_changed(tmp_path: Path) -> None:
    """And not otherwise: the reading stays with the file's size and time."""
    place = tmp_path / "libgt.so"
    for number in (80, 90):
        place.write_bytes(library(sass(number), padding=number))
        for _ in range(2):
            assert only(gpuenv.inspect_targets([str(place)])).libraries[0].sass == (f"sm_{number}",)


def test_a_cache_that_cannot_be_used(server: RangeServer, cache: Path) -> None:
    """A file in its place, or rubbish in it, costs time only."""
    target = addressed(server.address(NAME), WHEEL)
    only(gpuenv.inspect_targets([target]))
    for place in known(cache):
        place.write_bytes(b"\xff{")
    assert only(gpuenv.inspect_targets([target])).fetched_bytes > 0
    (cache / "readings").rename(cache / "aside")
    (cache / "readings").write_text("in the way")
    assert only(gpuenv.inspect_targets([target])).fetched_bytes > 0


# ---- broken off -----------------------------------------------------------------------------------------------------


def test_a_404_in_the_middle(server: RangeServer) -> None:
    """What was read is told and kept, the exit code is 3, and the next run asks for the rest only."""

    def gone(_number: int, reply: Reply) -> None:
        if is_of("gt_a/three.so", reply):
            reply.status, reply.body = 404, b"no such file"

    server.change = gone
    target = addressed(server.address(NAME), WHEEL)
    report = gpuenv.inspect_targets([target])
    (problem,) = report.problems
    assert (problem.exit_code, problem.code) == (3, "unavailable")
    assert "was read in part only" in problem.message
    assert "404" in problem.reasons[0]
    (part,) = report.artifacts
    assert not part.complete
    assert {one.path for one in part.libraries} < set(SIZES)
    got = {one.path for one in part.files}
    asked = len(server.asked)
    server.change = lambda _number, _reply: None
    rest = only(gpuenv.inspect_targets([target]))
    assert {one.path for one in rest.libraries} == set(SIZES)
    server.asked = server.asked[asked:]
    assert got
    assert set(libraries_asked(server)) == set(SIZES) - got


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `gpuenv inspect --json` in a process of its own."""
    children: list[subprocess.Popen[str]] = []

    def run(*targets: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gpuenv", "inspect", "--json", *targets]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return children[-1]

    yield run
    for child in children:
        child.kill()
        child.communicate(timeout=20)


def wait_until(holds: Callable[[], bool]) -> None:
    """Until it holds; fails after 20 seconds."""
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


class Dawdling:
    """A server that sends some libraries byte by byte until it is `released`."""

    def __init__(self, *paths: str) -> None:
        self.released = threading.Event()
        self._paths = paths

    def __call__(self, _number: int, reply: Reply) -> None:
        if not self.released.is_set() and any(is_of(path, reply) for path in self._paths):
            reply.seconds_per_byte = 0.05


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
@pytest.mark.parametrize("asked_to", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("count", [1, 2])
def test_an_interruption_keeps_what_was_read(
    server: RangeServer, cache: Path, start: Start, asked_to: signal.Signals, count: int
) -> None:
    """While the server dawdles over a library, Ctrl-C ends the program at once, and what was read is not read again."""
    dawdling = Dawdling("gt_a/two.so", "gt_a/three.so")
    server.change = dawdling
    target = addressed(server.address(NAME), WHEEL)
    others = [f"other{number}/{NAME}" for number in range(1, count)]
    server.files |= dict.fromkeys(others, WHEEL)
    child = start(target, *map(server.address, others))
    # Two are read at once, so that the third is asked for when the first is done.
    wait_until(lambda: libraries_asked(server).count("gt_a/three.so") == count)
    child.send_signal(asked_to)
    began = time.monotonic()
    stdout, stderr = child.communicate(timeout=30)
    assert time.monotonic() - began < 4
    assert (child.returncode, stdout, stderr.strip()) == (130, "", "stopped")
    assert len(known(cache)) == 1
    dawdling.released.set()
    server.asked.clear()
    assert {one.path for one in only(gpuenv.inspect_targets([target])).libraries} == set(SIZES)
    assert sorted(libraries_asked(server)) == ["gt_a/three.so", "gt_a/two.so"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_kill_keeps_what_was_read_a_second_before(server: RangeServer, cache: Path, start: Start) -> None:
    """Where reading takes long, what is finished is written down on the way."""
    dawdling = Dawdling("gt_a/three.so")

    def change(number: int, reply: Reply) -> None:
        if is_of("gt_a/two.so", reply):
            time.sleep(1.2)
        dawdling(number, reply)

    server.change = change
    target = addressed(server.address(NAME), WHEEL)
    child = start(target)
    wait_until(lambda: bool(known(cache)))
    child.kill()
    child.communicate(timeout=20)
    assert child.returncode == -signal.SIGKILL
    dawdling.released.set()
    server.asked.clear()
    assert {one.path for one in only(gpuenv.inspect_targets([target])).libraries} == set(SIZES)
    assert libraries_asked(server) == ["gt_a/three.so"]


def test_two_processes_fetch_a_file_once(server: RangeServer, start: Start) -> None:
    """One waits for the other and takes what it read."""
    only(gpuenv.inspect_targets([addressed(server.address(NAME), WHEEL)], cache=False))
    alone = len(server.asked)
    server.asked.clear()
    server.change = lambda _number, _reply: time.sleep(0.3)
    children = [start(addressed(server.address(NAME), WHEEL)) for _ in range(2)]
    answers = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], answers
    found = [json.loads(stdout)["artifacts"][0] for stdout, _ in answers]
    assert sorted(one["fetched_bytes"] > 0 for one in found) == [False, True]
    assert found[0]["libraries"] == found[1]["libraries"]
    assert len(server.asked) == alone


# ---- the parts ------------------------------------------------------------------------------------------------------


@given(content=st.binary(max_size=20_000), start=st.integers(0, 20_000), size=st.integers(0, 20_000))
@hypothesis_settings(max_examples=40, deadline=None)
def test_a_stoppable_source_gives_the_same_bytes(content: bytes, start: int, size: int) -> None:
    """And the same errors."""
    source = BytesSource(content, "x")
    stoppable = StoppableSource(source, threading.Event())
    if start + size > len(content):
        with pytest.raises(FormatError):
            stoppable.read(start, start + size)
    else:
        assert stoppable.read(start, start + size) == content[start : start + size]
        assert stoppable.fetched_bytes == source.fetched_bytes


def test_a_stopped_source_gives_no_more() -> None:
    """Even where the server would."""
    stopped = threading.Event()
    chunks = StoppableSource(BytesSource(bytes(100_000), "x"), stopped).stream(0, 100_000)
    next(chunks)
    stopped.set()
    with pytest.raises(UnavailableError):
        list(chunks)


def test_a_source_that_is_left_ends_its_thread() -> None:
    """Nobody has to take all that was asked for."""
    before = threading.active_count()
    chunks = StoppableSource(BytesSource(bytes(1_000_000), "x"), threading.Event()).stream(0, 1_000_000)
    next(chunks)
    del chunks
    wait_until(lambda: threading.active_count() == before)


def test_work_is_shared_out_in_order() -> None:
    """Results come in the order of the questions; the first error ends the work."""
    with open_means(cache=False, offline=True, report=Silence()) as means:
        assert means.each(lambda number: number * 2, range(50)) == list(range(0, 100, 2))
        assert means.each(str, ()) == []
        with pytest.raises(ZeroDivisionError):
            means.each(lambda number: 1 // number, [1, 0, 1])
