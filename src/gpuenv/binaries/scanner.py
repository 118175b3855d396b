"""Finds GPU code containers and other marks in bytes that pass by once; only a few KB of them are kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from gpuenv.binaries.fatbin import (
    ALIGNMENT,
    CONTAINER_HEADER_BYTES,
    ENTRY_HEADER_BYTES,
    MOST_CONTAINERS,
    MOST_ENTRIES,
    SIGNATURE,
    SIGNATURE_PATTERN,
    Container,
    Entry,
    read_container_header,
    read_entry_header,
)
from gpuenv.binaries.sightings import LOOK_AHEAD, LOOK_BACK
from gpuenv.errors import FormatError

__all__ = ["Scanner"]

# Zeros may stand before the first container of a section; no linker puts more there.
_LEADING_ZEROS = 256
# Compilers and linkers hold the signature as a number in their code, and instructions follow that read as a size.
_LONGEST_CONTAINER = 1 << 40

# Called for bytes outside of containers: the window, its offset in the file, and which part of it is new.
Look = Callable[[bytes, int, int, int], None]


@dataclass(slots=True)
class _Open:
    """A container of which the end has not passed yet."""

    offset: int
    end: int
    entries: list[Entry] = field(default_factory=list)


class Scanner:
    """Feed it a file in order; `containers` are those that are whole, `look` is shown everything between them.

    Payloads are skipped as they pass. Where the bytes only look like a container until its second entry, what lies in
    the first is not searched again, other than in a file at hand; no compiler makes such bytes.
    """

    def __init__(self, look: Look) -> None:
        self.containers: list[Container] = []
        self._look = look
        self._window = b""
        self._base = 0
        # What comes before is done with.
        self._at = 0
        self._open: _Open | None = None
        # For the end of each container the first byte after it that is not zero, once it has passed.
        self._after: dict[int, int] = {}
        self._gap: int | None = None
        # For the start of each container how many zeros are right before it.
        self._zeros: dict[int, int] = {}

    def feed(self, block: bytes) -> None:
        """The next bytes of the file."""
        self._extend(block)
        self._run(final=False)

    def finish(self) -> int:
        """Ends the file, whose size is the result."""
        self._run(final=True)
        return self._base + len(self._window)

    def between(self, start: int, stop: int) -> list[Container]:
        """The containers that begin between two offsets."""
        first = bisect_left(self.containers, start, key=lambda one: one.offset)
        return self.containers[first : bisect_left(self.containers, stop, key=lambda one: one.offset)]

    def fills(self, start: int, stop: int) -> list[Container]:
        """The containers of a section that holds nothing else; FormatError where it does hold something else."""
        inside = self.between(start, stop)
        expected = start
        for one in inside:
            if one.offset < expected or (one.offset - start) % ALIGNMENT or one.offset + one.size_bytes > stop:
                raise FormatError(f"no GPU code container of a known version begins at byte {expected}")
            if one.offset != expected and not (expected == start and one.offset - start <= self._zeros[one.offset]):
                raise FormatError(f"no GPU code container of a known version begins at byte {expected}")
            end = one.offset + one.size_bytes
            expected = self._after.get(end, stop)
        if expected < stop:
            raise FormatError(f"no GPU code container of a known version begins at byte {expected}")
        return inside

    def _extend(self, block: bytes) -> None:
        drop = max(0, min(self._at - LOOK_BACK - self._base, len(self._window)))
        self._window = self._window[drop:] + block
        self._base += drop

    def _run(self, *, final: bool) -> None:
        end = self._base + len(self._window)
        while self._at < end:
            step = self._step_container(end, final=final) if self._open else self._step_search(end, final=final)
            if not step:
                return
        self._close(end)

    def _close(self, end: int) -> None:
        """Ends a container whose last byte is the last that passed."""
        if self._open and self._open.end == self._at == end:
            self._step_container(end, final=True)

    def _step_search(self, end: int, *, final: bool) -> bool:
        limit = end if final else end - LOOK_AHEAD
        if limit <= self._at:
            return False
        start = self._at - self._base
        match = SIGNATURE_PATTERN.search(self._window, start, min(limit + len(SIGNATURE) - 1, end) - self._base)
        found = match.start() if match else -1
        stop = self._base + found if found >= 0 else limit
        self._note_gap(start, stop, ends=found >= 0)
        if stop > self._at:
            self._look(self._window, self._base, self._at, stop)
        self._at = stop
        if found >= 0:
            self._begin(found, end)
        return True

    def _begin(self, found: int, end: int) -> None:
        header = self._window[found : found + CONTAINER_HEADER_BYTES]
        if len(header) < CONTAINER_HEADER_BYTES:
            self._at = end
            return
        header_size, entries_size = read_container_header(header, self._at)
        if entries_size > _LONGEST_CONTAINER:
            self._at += 1
            return
        self._open = _Open(self._at, self._at + header_size + entries_size)
        before = self._window[max(0, found - _LEADING_ZEROS) : found]
        self._zeros[self._open.offset] = len(before) - len(before.rstrip(b"\0"))
        self._at += header_size

    def _note_gap(self, start: int, stop: int, *, ends: bool) -> None:
        if self._gap is None:
            return
        between = self._window[start : stop - self._base]
        rest = len(between.lstrip(b"\0"))
        if rest or ends:
            self._after[self._gap] = stop - rest
            self._gap = None

    def _step_container(self, end: int, *, final: bool) -> bool:
        unit = self._open
        assert unit is not None
        if self._at == unit.end:
            self._keep(unit)
            return True
        room = unit.end - self._at
        need = min(ENTRY_HEADER_BYTES, room)
        if end - self._at < need and not final:
            return False
        at = self._at - self._base
        try:
            entry, taken = read_entry_header(self._window[at : at + need], self._at, room)
        except FormatError:
            self._give_up(unit)
            return True
        if len(unit.entries) == MOST_ENTRIES:
            self._give_up(unit)
            return True
        unit.entries.append(entry)
        self._at += taken
        return True

    def _give_up(self, unit: _Open) -> None:
        self._open = None
        del self._zeros[unit.offset]
        if not unit.entries:
            # Nothing was skipped, so the search goes on right behind where the container seemed to begin.
            self._at = unit.offset + 1

    def _keep(self, unit: _Open) -> None:
        self._open = None
        self._gap = unit.end
        if len(self.containers) == MOST_CONTAINERS:
            raise FormatError(f"more than {MOST_CONTAINERS} GPU code containers before byte {unit.end}")
        self.containers.append(
            Container(offset=unit.offset, size_bytes=unit.end - unit.offset, entries=tuple(unit.entries))
        )
