"""Reads many native files on several cores.

Reading is a search through mapped memory that holds the interpreter's lock, so threads gain nothing: 6.2 GB of
libraries took 3.3 s in one thread, 3.5 s in two, and 1.7 s in two processes (2 cores, page cache warm).
The other processes are not those of `multiprocessing`: where that starts fresh interpreters it runs the user's script
again unless the script guards itself, and where it forks it copies threads that it cannot keep alive. Instead
`read_child.py` runs in a bare interpreter (ready after 0.1 s), takes names of files on its standard input and ends
with it. This process reads as well, so that nothing is lost where no child can start or one dies.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread

from gpuenv._process import Dialogue
from gpuenv.artifacts.native_files import read_local_file
from gpuenv.errors import FormatError, RequestError, UnavailableError
from gpuenv.model import NativeFile, Noun, from_json

__all__ = ["Answer", "read_files", "read_one_file"]

_BYTES_WORTH_A_CHILD = 300 << 20
_BYTES_AT_ONCE = 32 << 20
_MOST_WORKERS = 8
# Archives are read object by object, each with sections and symbols of its own.
_ARCHIVE_WEIGHT = 8

_CHILD = Path(__file__).with_name("read_child.py")

Place = tuple[Path, str]


class Answer(Noun, frozen=True, kw_only=True):
    """What a child says of the files it was asked for, in their order."""

    files: tuple[NativeFile | None, ...]


def read_files(
    places: Sequence[Place], *, workers: int | None = None, meanwhile: Callable[[], None] | None = None
) -> list[NativeFile | None]:
    """What each file holds, in the order of `places`: where it lies, and its path in the artifact.

    None for one that is no native file after all; one that cannot be read comes with its `problem`. A file that is
    there under several names (hard links) is read once. `workers` counts the processes, this one included; by itself
    it depends on the cores and on how much there is to read. `meanwhile` is other work for this process, which it does
    first, while the others have begun.
    """
    identities, sizes = zip(*map(_look_at, places), strict=True) if places else ((), ())
    first_of = {identity: index for index, identity in reversed(list(enumerate(identities)))}
    chosen = sorted(set(first_of.values()), key=lambda index: -_weight(places[index], sizes[index]))
    weight = sum(_weight(places[index], sizes[index]) for index in chosen)
    if workers is None:
        workers = min(_cores(), _MOST_WORKERS, 1 + weight // _BYTES_WORTH_A_CHILD)
    work = _Work(places, list(_batches(chosen, places, sizes)))
    work.run(helpers=min(workers, len(work.batches)) - 1, meanwhile=meanwhile)
    return [_named(work.results[first_of[identities[index]]], path) for index, (_, path) in enumerate(places)]


def read_one_file(place: Path, path: str) -> NativeFile | None:
    """As `native_files.read_local_file`, but a file that cannot be read is an answer too."""
    try:
        return read_local_file(place, path=path)
    except (RequestError, UnavailableError) as error:
        reasons = f": {'; '.join(error.reasons)}" if error.reasons else ""
        return NativeFile(path=path, problem=error.message + reasons)


class _Work:
    """Batches of files, taken from the front by this process and by the threads that each talk to a child."""

    def __init__(self, places: Sequence[Place], batches: list[list[int]]) -> None:
        self.places = places
        self.batches = deque(batches)
        self.results: dict[int, NativeFile | None] = {}
        self._left: list[list[int]] = []
        self._children: list[Dialogue] = []

    def run(self, *, helpers: int, meanwhile: Callable[[], None] | None) -> None:
        """Reads everything; at an interruption the children end first."""
        threads = [Thread(target=self._help, name="gpuenv-reader", daemon=True) for _ in range(helpers)]
        try:
            for thread in threads:
                thread.start()
            if meanwhile:
                meanwhile()
            while batch := self._next():
                self._read(batch)
        except BaseException:
            self.batches.clear()
            for child in self._children:
                child.end()
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        for batch in self._left:
            self._read(batch)

    def _next(self) -> list[int] | None:
        try:
            return self.batches.popleft()
        except IndexError:
            return None

    def _read(self, batch: list[int]) -> None:
        for index in batch:
            self.results[index] = read_one_file(*self.places[index])

    def _help(self) -> None:
        command = _child_command()
        if not command:
            return
        try:
            with Dialogue(command) as child:
                self._children.append(child)
                if child.ask(json.dumps(_search_path())) is None:
                    return
                while batch := self._next():
                    if not self._ask(child, batch):
                        self._left.append(batch)
                        return
        except UnavailableError:
            return

    def _ask(self, child: Dialogue, batch: list[int]) -> bool:
        question = json.dumps([(os.fspath(self.places[index][0]), self.places[index][1]) for index in batch])
        answer = child.ask(question)
        if answer is None:
            return False
        try:
            files = from_json(answer, Answer).files
        except FormatError:
            return False
        if len(files) != len(batch):
            return False
        self.results.update(zip(batch, files, strict=True))
        return True


def _batches(chosen: list[int], places: Sequence[Place], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Big files one by one, small ones together, since each answer waits for this process's attention."""
    batch: list[int] = []
    room = _BYTES_AT_ONCE
    for index in chosen:
        weight = _weight(places[index], sizes[index])
        if batch and weight > room:
            yield batch
            batch, room = [], _BYTES_AT_ONCE
        batch.append(index)
        room -= weight
    if batch:
        yield batch


def _weight(place: Place, size_bytes: int) -> int:
    return size_bytes * (_ARCHIVE_WEIGHT if place[0].suffix in {".a", ".lib"} else 1)


def _look_at(place: Place) -> tuple[object, int]:
    """What tells a file from all others, and its size."""
    try:
        status = place[0].stat()
    except OSError:
        return place, 0
    # Some file systems of Windows number no files.
    return ((status.st_dev, status.st_ino) if status.st_ino else place), status.st_size


def _named(file: NativeFile | None, path: str) -> NativeFile | None:
    """A file as read under one of its names, under another."""
    if file is None or file.path == path:
        return file
    import msgspec

    code = file.code and msgspec.structs.replace(file.code, name=path.rpartition("/")[2])
    return msgspec.structs.replace(file, path=path, code=code)


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _child_command() -> list[str] | None:
    """None where this process's program is not a Python that could run the child."""
    if not sys.executable or getattr(sys, "frozen", False) or not _CHILD.is_file():
        return None
    return [sys.executable, "-I", "-S", str(_CHILD)]


def _search_path() -> list[str]:
    """Where the child finds what this process found; the package's own place too, should a hook have found it."""
    return [*(entry for entry in sys.path if isinstance(entry, str)), str(_CHILD.parents[2])]
