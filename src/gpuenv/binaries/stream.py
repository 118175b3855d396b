"""Reads a native file as it passes, from its first byte to its last, and keeps no more than 2 MB of it.

GPU code is found anywhere in the file by how a container begins, and told apart by section when the section table,
which lies at the end, has come. What the loader is asked for is in tables all over the file: the headers say where the
next ones will be, and names are kept before it is known whether they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from gpuenv.binaries.archive import (
    ARCHIVE_MAGIC,
    HEADER_BYTES,
    MOST_MEMBERS,
    SYMBOL_TABLE,
    is_table,
    read_member_header,
)
from gpuenv.binaries.binary import (
    START_BYTES,
    Binary,
    BinaryKind,
    Part,
    Spans,
    assemble,
    detect_kind,
    has_code,
    has_constants,
    outside_containers,
    plain_part,
    vendor_sightings,
)
from gpuenv.binaries.buffers import NotKeptError, SparseBuffer
from gpuenv.binaries.cubin import PtxReader, read_cubin
from gpuenv.binaries.elf_links import DynamicTable, dynamic_range, newest_glibc, read_dynamic, read_elf_links
from gpuenv.binaries.fatbin import Container
from gpuenv.binaries.gpu_code import GPU_SECTIONS, RELOCATABLE_SECTIONS, can_hold_gpu_code, read_content
from gpuenv.binaries.keeping import LOST, Keep, KeptNames, KeptParts
from gpuenv.binaries.links import Links
from gpuenv.binaries.pe_links import planned_parts, read_pe_links
from gpuenv.binaries.scanner import Scanner
from gpuenv.binaries.sections import LoadedSpan, Section, loaded_spans, processor, read_elf_header
from gpuenv.binaries.sightings import MOST_SIGHTINGS, Sighting, code_needles, data_needles, sift
from gpuenv.errors import FormatError
from gpuenv.versions import LibcVersion

__all__ = ["read_stream"]

_SMALLEST_BLOCK = 1 << 17
_LARGEST_BLOCK = 1 << 20
_LINE_BYTES = 4096
# The names of sections are usually right before their table, before anyone knows where that will be.
_BEFORE_SECTION_TABLE = 1 << 15
_LINKED = frozenset({BinaryKind.ELF, BinaryKind.OBJECT, BinaryKind.PE})


def read_stream(chunks: Iterable[bytes], *, name: str, keep: Keep | None = None) -> Binary:
    """What `read_binary` gives for the same bytes, however they are cut into chunks; FormatError as there.

    At most about 2 MB of the file are kept, beside one chunk and the list of its GPU code. Where that was not enough
    (a string table with more CUDA names than fit, symbols after the first megabyte) `links`, `links.cuda_symbols` or
    the own name of a DLL is None. Else the answers differ only for bytes that no linker writes: a container that
    breaks off after its first image, a name across the end of a section.
    """
    reader = _FileReader(keep or Keep())
    for block in _blocks(chunks):
        reader.feed(block)
    kind, parts = reader.finish()
    return assemble(kind, parts, name=name)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks that are neither so small that each costs more than its bytes, nor so large that they
    fill the memory.
    """
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _LARGEST_BLOCK):
            part = chunk if len(chunk) <= _LARGEST_BLOCK else chunk[start : start + _LARGEST_BLOCK]
            waiting.append(part)
            size += len(part)
            if size >= _SMALLEST_BLOCK:
                yield b"".join(waiting)
                waiting, size = [], 0
    yield b"".join(waiting)


class _Reader(Protocol):
    def feed(self, block: bytes) -> None: ...

    def finish(self) -> list[Part]: ...


class _FileReader:
    """Waits until the kind of a file can be told and hands it to the reader of that kind.

    A member of an archive may be of no kind, or another archive; neither is read.
    """

    def __init__(self, keep: Keep, *, is_member: bool = False) -> None:
        self._keep = keep
        self._is_member = is_member
        self._start = b""
        self._kind = BinaryKind.ARCHIVE
        self._reader: _Reader | None = None

    def feed(self, block: bytes) -> None:
        if self._reader:
            self._reader.feed(block)
            return
        self._start += block
        if len(self._start) >= START_BYTES:
            self._choose()

    def finish(self) -> tuple[BinaryKind, list[Part]]:
        reader = self._reader or self._choose()
        return self._kind, reader.finish()

    def _choose(self) -> _Reader:
        try:
            self._kind = detect_kind(self._start[:START_BYTES])
        except FormatError:
            if not self._is_member:
                raise
        reader = self._reader = self._reader_of(self._kind)
        reader.feed(self._start)
        self._start = b""
        return reader

    def _reader_of(self, kind: BinaryKind) -> _Reader:
        if kind is BinaryKind.ARCHIVE:
            return _NoReader() if self._is_member else _ArchiveReader(self._keep)
        if kind is BinaryKind.PTX:
            return _PtxReader()
        return _LinkedReader(kind, self._keep) if kind in _LINKED else _PlainReader(kind, self._keep)


class _NoReader:
    """Lets a member pass that is of no known kind."""

    def feed(self, block: bytes) -> None:
        pass

    def finish(self) -> list[Part]:
        return [Part(kind=None)]


class _PtxReader:
    """PTX text, line by line; of a long line only its start matters."""

    def __init__(self) -> None:
        self._reader = PtxReader()
        self._line = b""
        self._size = 0

    def feed(self, block: bytes) -> None:
        self._size += len(block)
        first, newline, others = block.partition(b"\n")
        self._line += first[: _LINE_BYTES - len(self._line)] + newline
        if newline:
            whole, _, rest = others.rpartition(b"\n")
            self._reader.feed(self._line + whole)
            self._line = rest[:_LINE_BYTES]

    def finish(self) -> list[Part]:
        self._reader.feed(self._line)
        return [Part(kind=BinaryKind.PTX, containers=self._reader.finish(size=self._size))]


class _PlainReader:
    """Bare GPU code and Apple's files: a few headers, or containers and nothing else."""

    def __init__(self, kind: BinaryKind, keep: Keep) -> None:
        self._kind = kind
        self._parts = KeptParts(keep)
        self._scanner = Scanner(lambda *_: None)

    def feed(self, block: bytes) -> None:
        if self._parts.size == 0 and self._kind is BinaryKind.CUBIN:
            _plan_sections(self._parts, block)
        self._parts.feed(block)
        if self._kind is BinaryKind.FATBIN:
            self._scanner.feed(block)

    def finish(self) -> list[Part]:
        view = self._parts.view()
        if self._kind is BinaryKind.FATBIN:
            size = self._scanner.finish()
            return [Part(kind=self._kind, containers=tuple(self._scanner.fills(0, size)))]
        if self._kind is BinaryKind.CUBIN:
            return [Part(kind=self._kind, containers=(read_cubin(view),))]
        return [plain_part(view, self._kind)]


class _LinkedReader:
    """A library, program or object file."""

    def __init__(self, kind: BinaryKind, keep: Keep) -> None:
        self._kind = kind
        self._windows = kind is BinaryKind.PE
        self._parts = KeptParts(keep)
        self._names = KeptNames(keep)
        self._scanner = Scanner(self._look)
        self._sightings: list[Sighting] = []
        self._machine: str | None = None
        self._dynamic_end = 0

    def feed(self, block: bytes) -> None:
        if self._parts.size == 0:
            self._begin(block)
        self._parts.feed(block)
        self._scanner.feed(block)
        if self._dynamic_end and self._parts.size >= self._dynamic_end:
            self._dynamic_end = 0
            self._plan_dynamic()

    def finish(self) -> list[Part]:
        self._scanner.finish()
        view = self._parts.view()
        try:
            sections = read_content(view)
        except NotKeptError:
            sections = (Section(name="", offset=0, size_bytes=len(view), is_code=True),)
        containers = tuple(_in_sections(self._scanner, sections))
        data, code = (_spans(filter(wanted, sections)) for wanted in (has_constants, has_code))
        seen = [*vendor_sightings(sections)]
        seen += [one for one in self._sightings if one.offset in (code if one.what == "runtime version" else data)]
        return [
            Part(
                kind=self._kind,
                machine=self._machine,
                containers=containers,
                links=self._links(view),
                sightings=outside_containers(seen, containers),
            )
        ]

    def _begin(self, block: bytes) -> None:
        self._machine = processor(block)
        self._loaded = loaded_spans(block)
        self._in_data = data_needles(windows=self._windows)
        self._in_code = code_needles(self._machine, windows=self._windows)
        if self._windows:
            for start, size in planned_parts(block):
                self._parts.plan(start, size)
            return
        _plan_sections(self._parts, block)
        if self._kind is BinaryKind.ELF and (table := dynamic_range(block)):
            self._parts.plan(*table)
            self._dynamic_end = sum(table)

    def _plan_dynamic(self) -> None:
        """Once the dynamic section has passed, it says where the tables are that are still to come."""
        try:
            table = read_dynamic(self._parts.view())
            if table is None or not table.entries:
                return
            start, size = table.strings
            parts = list(table.later_parts)
        except (NotKeptError, FormatError):
            return
        self._names.limit_to(start, size)
        self._parts.plan(start, size)
        for offset, length in parts:
            self._parts.plan(offset, length)

    def _look(self, window: bytes, base: int, start: int, stop: int) -> None:
        """Names are searched for where they can be, which is most of the time that a library takes."""
        for part in self._parted(start, stop):
            if part.has_code:
                self._sightings += sift(window, base, part.start, part.stop, self._in_code)
            if part.has_data:
                self._sightings += sift(window, base, part.start, part.stop, self._in_data)
            if part.has_data and self._kind is BinaryKind.ELF:
                self._names.look(window, base, part.start, part.stop)
        if len(self._sightings) > MOST_SIGHTINGS:
            raise FormatError(f"the file names more than {MOST_SIGHTINGS} libraries")

    def _parted(self, start: int, stop: int) -> Iterator[LoadedSpan]:
        """The parts of a span that are loaded, all of it where the headers do not tell."""
        if not self._loaded:
            yield LoadedSpan(start, stop, has_code=True, has_data=True)
        for span in self._loaded:
            first, last = max(start, span.start), min(stop, span.stop)
            if first < last:
                yield span._replace(start=first, stop=last)

    def _links(self, view: SparseBuffer) -> Links | None:
        try:
            if self._windows:
                return read_pe_links(view)
            links = read_elf_links(view, text=lambda at: self._names.text(view, at), glibc=self._glibc)
        except NotKeptError:
            return None
        return None if LOST in {*links.needed, *links.rpath, *links.runpath, links.soname} else links

    def _glibc(self, _: DynamicTable) -> LibcVersion | None:
        return newest_glibc(iter(self._names.versions()))


def _in_sections(scanner: Scanner, sections: Iterable[Section]) -> Iterator[Container]:
    """The containers as `containers_of` gives them, of those that passed."""
    for section in filter(can_hold_gpu_code, sections):
        stop = section.offset + section.size_bytes
        if section.name in GPU_SECTIONS:
            is_relocatable = section.name in RELOCATABLE_SECTIONS
            yield from (replace(one, is_relocatable=is_relocatable) for one in scanner.fills(section.offset, stop))
            continue
        for one in scanner.between(section.offset, stop):
            if one.offset + one.size_bytes <= stop and one.images:
                yield one


def _spans(sections: Iterable[Section]) -> Spans:
    return Spans((section.offset, section.offset + section.size_bytes) for section in sections)


def _plan_sections(parts: KeptParts, start: bytes) -> None:
    elf = read_elf_header(start)
    size = elf.section_size * elf.section_count
    before = min(_BEFORE_SECTION_TABLE, elf.sections_at)
    parts.plan(elf.sections_at - before, before + size)


class _ArchiveReader:
    """The members of an archive, each by a reader of its own."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._waiting = b""
        self._used = 0
        self._at = 0
        # Of the member that is passing: bytes to pass over before it, bytes of it, bytes to pass over after it.
        self._before, self._left, self._after = len(ARCHIVE_MAGIC), 0, 0
        self._member: _FileReader | None = None
        self._members = 0
        self._is_table, self._name = False, b""
        self._parts: list[Part] = []

    def feed(self, block: bytes) -> None:
        self._waiting, self._used = self._waiting[self._used :] + block, 0
        while self._step():
            pass

    def finish(self) -> list[Part]:
        # The last member may lack the byte that makes its end even.
        if self._before or self._member:
            raise FormatError(f"the archive ends within the member at byte {self._at}")
        if self._used < len(self._waiting):
            read_member_header(self._waiting[self._used :], self._at)
        return self._parts

    def _step(self) -> bool:
        """Uses up some of the waiting bytes; False when more must come first."""
        if self._before:
            name = self._take(self._before)
            self._before -= len(name)
            self._name = (self._name + name)[: len(SYMBOL_TABLE)]
            return not self._before
        if self._member:
            content = self._take(self._left)
            self._left -= len(content)
            self._member.feed(content)
            if not self._left:
                self._end_member(self._member)
            return not self._left
        if self._after:
            self._after -= len(self._take(self._after))
            return not self._after
        if len(self._waiting) - self._used < HEADER_BYTES:
            return False
        self._begin_member()
        return True

    def _take(self, size: int) -> bytes:
        taken = self._waiting[self._used : self._used + size]
        self._used += len(taken)
        self._at += len(taken)
        return taken

    def _begin_member(self) -> None:
        at = self._at
        header = self._take(HEADER_BYTES)
        size, name_size = read_member_header(header, at)
        self._is_table, self._name = is_table(header), b""
        self._before, self._left, self._after = name_size, size - name_size, size % 2
        self._member = _FileReader(self._keep, is_member=True)
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise FormatError(f"the archive has more than {MOST_MEMBERS} members")

    def _end_member(self, member: _FileReader) -> None:
        self._member = None
        if not self._is_table and self._name != SYMBOL_TABLE:
            self._parts += member.finish()[1]
