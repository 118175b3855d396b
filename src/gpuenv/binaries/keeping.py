"""Keeps the few parts of a passing file that its headers point at, and names that may be asked for later."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from gpuenv.binaries.buffers import NotKeptError, SparseBuffer, read_text
from gpuenv.binaries.cuda_names import is_cuda_symbol
from gpuenv.binaries.elf_links import GLIBC

__all__ = ["LOST", "Keep", "KeptNames", "KeptParts"]

# No text in a file has a zero in it.
LOST = "\0"
_NAME_LIMIT = 4096
# A table of names is text and zeros for at least as many bytes; shorter ones are kept whole.
_TEXT_BLOCK = 8192
_TEXT = bytes([0, *range(32, 127)])
_SAMPLE_STEP = 31
# One pattern for each first byte, so that the search can pass over all others.
_NAME_MARKS = tuple(map(re.compile, (rb"\0(?:cu|n(?:v|ccl|pp)|__(?:cuda|nv))", rb"\.so", rb"GLIBC_2\.", rb"ORIGIN")))
_LONGEST_MARK = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How many bytes of a stream are kept: of its start, of its end, of what its headers point at, of names."""

    head_bytes: int = 1 << 20
    tail_bytes: int = 1 << 18
    parts_bytes: int = 1 << 19
    names_bytes: int = 1 << 18


class KeptParts:
    """The start and end of a file, and the ranges in between that were planned before they passed."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._planned: list[tuple[int, int, bytearray]] = []
        self._left = keep.parts_bytes
        self.size = 0

    def plan(self, start: int, size: int) -> None:
        """Asks for a range. What of it has passed already, or is more than may be kept, is not kept."""
        if start < self.size or size <= 0 or size > self._left or start + size <= self._keep.head_bytes:
            return
        self._left -= size
        self._planned.append((start, start + size, bytearray()))

    def feed(self, block: bytes) -> None:
        """The next bytes of the file."""
        start, end = self.size, self.size + len(block)
        self._head += block[: max(0, self._keep.head_bytes - len(self._head))]
        for first, last, kept in self._planned:
            if first < end and last > start:
                kept.extend(block[max(0, first - start) : last - start])
        self._tail.append(block)
        self._tail_size += len(block)
        while self._tail_size - len(self._tail[0]) >= self._keep.tail_bytes:
            self._tail_size -= len(self._tail.popleft())
        self.size = end

    def view(self) -> SparseBuffer:
        """What is kept so far, as a file that ends here."""
        tail = b"".join(self._tail)[-self._keep.tail_bytes :]
        parts = [(0, bytes(self._head)), (self.size - len(tail), tail)]
        return SparseBuffer([*parts, *((first, bytes(kept)) for first, _, kept in self._planned)], self.size)


class KeptNames:
    """The zero-ended texts of a file that its dynamic section may point at, each by its offset.

    Kept are names of libraries and of CUDA symbols, search paths and versions of the C library: all others are as
    good as unknown.
    """

    def __init__(self, keep: Keep) -> None:
        self._left = keep.names_bytes
        self._names: dict[int, str] = {}
        self._offsets: list[int] = []
        self._range: tuple[int, int] | None = None
        # The start of the file is kept as it is.
        self._first = keep.head_bytes
        self._was_text = False

    def look(self, window: bytes, base: int, start: int, stop: int) -> None:
        """Keeps the names that begin between two offsets of the file; `window` holds it from `base` on.

        What is not text is passed over; where text begins, the last bytes before it are looked at too.
        """
        if stop <= self._first or (self._range and (stop <= self._range[0] or start >= self._range[1])):
            return
        was_text, self._was_text = self._was_text, _is_text(window, start - base, stop - base)
        if not was_text and not self._was_text:
            return
        begin = max(0, start - base - (0 if was_text else _TEXT_BLOCK))
        for mark in _NAME_MARKS:
            for found in mark.finditer(window, begin, stop - base + _LONGEST_MARK - 1):
                self._see(window, base, found.start())

    def _see(self, window: bytes, base: int, at: int) -> None:
        first = window.rfind(b"\0", max(0, at - _NAME_LIMIT), at + 1) + 1
        last = window.find(b"\0", first, first + _NAME_LIMIT)
        if first == 0 or last < 0 or base + first in self._names:
            return
        name = window[first:last].decode("latin-1")
        is_path = name.isascii() and name.isprintable() and (".so" in name or "ORIGIN" in name)
        if is_path or is_cuda_symbol(name) or GLIBC.fullmatch(name):
            self._left -= len(name) + 100
            if self._left >= 0:
                self._names[base + first] = name

    def limit_to(self, start: int, size: int) -> None:
        """Only names in this range will be asked for."""
        self._range = start, start + size
        self._names = {at: name for at, name in self._names.items() if start <= at < start + size}

    def versions(self) -> list[str]:
        """The names that are versions of the GNU C library; NotKeptError when there were too many names."""
        if self._left < 0:
            raise NotKeptError
        return [name for name in self._names.values() if GLIBC.fullmatch(name)]

    def text(self, view: SparseBuffer, at: int) -> str:
        """The text at an offset, LOST for one that was of no interest; NotKeptError when there were too many."""
        try:
            return read_text(view, at, limit=_NAME_LIMIT)
        except NotKeptError:
            if self._left < 0:
                raise
        if len(self._offsets) != len(self._names):
            self._offsets = sorted(self._names)
        offsets = self._offsets
        index = bisect_right(offsets, at) - 1
        if index < 0 or at > offsets[index] + len(self._names[offsets[index]]):
            return LOST
        return self._names[offsets[index]][at - offsets[index] :]


def _is_text(window: bytes, start: int, stop: int) -> bool:
    """Whether some block between two offsets is text and zeros, as far as samples tell."""
    for block in range(start, stop, _TEXT_BLOCK):
        sample = window[block : min(block + _TEXT_BLOCK, stop) : _SAMPLE_STEP]
        if len(sample.translate(None, _TEXT)) * 20 < len(sample):
            return True
    return False
