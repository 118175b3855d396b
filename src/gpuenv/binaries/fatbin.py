"""Walks CUDA fat binaries by their headers alone; nothing is decompressed.

A section of GPU code is a row of containers, one for each translation unit; a container holds entries, one for
each image. The layout is not published by NVIDIA: it was read off files made with `nvcc` 13.0 and off wheels from
2022 to 2026, and a test compiles kernels and reads them again.

    container   u32 magic 0xBA55ED50, u16 version, u16 header size, u64 bytes of entries that follow
    entry       u16 kind, u16 version, u32 header size, u64 payload size, ...
                at 24 u16 minor and u16 major of the PTX ISA (PTX only), at 28 u32 architecture,
                at 40 u64 flags, at 56 u64 size before compression (0 where it was not compressed)
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gpuenv.binaries.buffers import Buffer, let_go
from gpuenv.errors import FormatError
from gpuenv.versions import CodeImage, ComputeCapability, PtxIsa

__all__ = [
    "ALIGNMENT",
    "CONTAINER_HEADER_BYTES",
    "ENTRY_HEADER_BYTES",
    "FLAG_ARCHITECTURE_SPECIFIC",
    "FLAG_FAMILY_SPECIFIC",
    "KIND_ELF",
    "KIND_LTO",
    "KIND_PTX",
    "MAGIC",
    "MOST_CONTAINERS",
    "MOST_ENTRIES",
    "SIGNATURE",
    "SIGNATURE_PATTERN",
    "Buffer",
    "Container",
    "Entry",
    "read_container_header",
    "read_entry_header",
    "search",
    "walk",
]

MAGIC = 0xBA55ED50
KIND_PTX = 1
KIND_ELF = 2
KIND_LTO = 8

FLAG_LZ4 = 0x2000
FLAG_ZSTD = 0x8000
FLAG_ARCHITECTURE_SPECIFIC = 0x100000
FLAG_FAMILY_SPECIFIC = 0x200000

_CONTAINER = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQ8xHHI8xQ8xQ")
# The last 16 bytes of `_ENTRY` are optional: an entry whose header is shorter does not state its full size.
_SHORT_ENTRY = struct.Struct("<HHIQ8xHHI8xQ")
CONTAINER_HEADER_BYTES = _CONTAINER.size
ENTRY_HEADER_BYTES = _ENTRY.size
ALIGNMENT = 8
# How a container begins in every version seen; the magic alone also stands in the code that looks for it.
SIGNATURE = struct.pack("<IHH", MAGIC, 1, _CONTAINER.size)
# `find` is slow for what ends in a zero.
SIGNATURE_PATTERN = re.compile(re.escape(SIGNATURE), re.DOTALL)
# Real units have up to 30 entries and real libraries up to 24,000 units (cufft). The limits keep a file that was made
# to exhaust memory or time from doing so.
MOST_ENTRIES = 4096
MOST_CONTAINERS = 1 << 18
_MOST_WASTED_ENTRIES = 1 << 18
# How much of a mapped file is held in memory at once.
_HELD_BYTES = 1 << 23
_KIND_NAMES = {KIND_PTX: "ptx", KIND_ELF: "elf", KIND_LTO: "lto"}


# Kind, architecture, flags on the architecture, PTX ISA.
Target = tuple[int, int, int, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One image of a container. Sizes are bytes; `size_bytes` is what it takes in the file."""

    kind: int
    architecture: int
    ptx_isa: tuple[int, int]
    flags: int
    size_bytes: int
    full_size_bytes: int | None

    @property
    def kind_name(self) -> str:
        """`ptx`, `elf`, `lto`, or `kind 16` for one that this module cannot name."""
        return _KIND_NAMES.get(self.kind, f"kind {self.kind}")

    @property
    def compression(self) -> str | None:
        """`zstd` or `lz4`, None for an entry that was not compressed."""
        return "zstd" if self.flags & FLAG_ZSTD else "lz4" if self.flags & FLAG_LZ4 else None

    @property
    def image(self) -> CodeImage | None:
        """What the entry targets; None for a kind that no driver runs and for an architecture without a name."""
        return _image(*self.target)

    @property
    def target(self) -> Target:
        """What tells its image from others: kind, architecture, flags on the architecture, and for PTX the ISA."""
        flags = self.flags & (FLAG_ARCHITECTURE_SPECIFIC | FLAG_FAMILY_SPECIFIC)
        return self.kind, self.architecture, flags, self.ptx_isa if self.kind == KIND_PTX else (0, 0)


# Libraries have tens of thousands of units with the same few images.
@lru_cache(maxsize=1024)
def _image(kind: int, architecture: int, flags: int, isa: tuple[int, int]) -> CodeImage | None:
    if kind not in {KIND_PTX, KIND_ELF} or not 10 <= architecture <= 999:
        return None
    is_ptx = kind == KIND_PTX
    major, minor = isa
    return CodeImage(
        ComputeCapability(str(architecture)),
        is_ptx=is_ptx,
        suffix="a" if flags & FLAG_ARCHITECTURE_SPECIFIC else "f" if flags & FLAG_FAMILY_SPECIFIC else "",
        ptx_isa=PtxIsa(f"{major}.{minor}") if is_ptx and 0 < major < 100 and minor < 100 else None,
    )


@lru_cache(maxsize=1024)
def _images(targets: frozenset[Target]) -> tuple[CodeImage, ...]:
    return tuple(sorted({image for target in targets if (image := _image(*target))}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One translation unit: where it lies in the buffer, its length with its header, and its entries.

    `is_relocatable` marks the code of an object before the device linker: it is only loaded when it is linked again.
    """

    offset: int
    size_bytes: int
    entries: tuple[Entry, ...]
    is_relocatable: bool = False

    @property
    def images(self) -> tuple[CodeImage, ...]:
        """What the unit targets, each image once, SASS before PTX and the oldest first."""
        return _images(frozenset(entry.target for entry in self.entries))

    @property
    def code_bytes(self) -> int:
        """The bytes of all its entries as they lie in the file, compressed or not."""
        return sum(entry.size_bytes for entry in self.entries)


def walk(buffer: Buffer, *, start: int = 0, stop: int | None = None) -> Iterator[Container]:
    """The containers between two offsets of `buffer`, in file order; FormatError where the bytes break the format.

    `start` is where the section begins: containers are aligned to it, with zeros between them.
    """
    end = len(buffer) if stop is None else min(stop, len(buffer))
    at, left, held = start, MOST_CONTAINERS, start
    while (at := _skip_padding(buffer, at + (start - at) % ALIGNMENT, end)) < end:
        if (left := left - 1) < 0:
            raise FormatError(f"more than {MOST_CONTAINERS} GPU code containers before byte {at}")
        container = _read_container(buffer, at, end)
        yield container
        at += container.size_bytes
        if at - held > _HELD_BYTES:
            let_go(buffer, held, at)
            held = at


def search(buffer: Buffer, *, start: int = 0, stop: int | None = None) -> Iterator[Container]:
    """The containers that lie anywhere between two offsets, among other bytes.

    What only looks like the start of a container is passed over: one counts when it is whole and names an image.
    FormatError only for bytes made to waste time: containers without end that nearly are some.
    """
    end = len(buffer) if stop is None else min(stop, len(buffer))
    at, wasted, held = _find(buffer, start, end), 0, start
    while at >= 0:
        size = 1
        entries: list[Entry] = []
        try:
            container = _read_container(buffer, at, end, entries)
        except FormatError:
            wasted += len(entries)
        else:
            if container.images:
                yield container
                size = container.size_bytes
            else:
                wasted += len(entries)
        if wasted > _MOST_WASTED_ENTRIES:
            raise FormatError(f"the bytes before {at} are full of broken GPU code")
        if at + size - held > _HELD_BYTES:
            let_go(buffer, held, at + size)
            held = at + size
        at = _find(buffer, at + size, end)


def _find(buffer: Buffer, start: int, end: int) -> int:
    """Where the next container seems to begin, -1 for nowhere."""
    for block in range(start, end, _HELD_BYTES):
        stop = min(block + _HELD_BYTES, end)
        if found := SIGNATURE_PATTERN.search(buffer, block, min(stop + len(SIGNATURE) - 1, end)):
            return found.start()
        let_go(buffer, block, stop)
    return -1


def read_container_header(header: bytes, at: int) -> tuple[int, int]:
    """Size of the header and bytes of entries behind it; FormatError when no container begins there."""
    if len(header) < _CONTAINER.size:
        raise FormatError(f"GPU code ends within a container header at byte {at}")
    if not header.startswith(SIGNATURE):
        raise FormatError(f"no GPU code container of a known version begins at byte {at}")
    return _CONTAINER.size, int(_CONTAINER.unpack(header)[-1])


def read_entry_header(header: bytes, at: int, room: int) -> tuple[Entry, int]:
    """An entry, and the bytes it takes with its header; FormatError when they are more than `room`.

    `header` are the next 64 bytes of the file, or fewer where less room is left.
    """
    if len(header) < _SHORT_ENTRY.size:
        raise FormatError(f"GPU code ends within an entry header at byte {at}")
    kind, _, header_size, payload, minor, major, architecture, flags = _SHORT_ENTRY.unpack_from(header)
    if header_size < _SHORT_ENTRY.size or header_size + payload > room:
        raise FormatError(f"the GPU code entry at byte {at} is longer than its container")
    stated = min(header_size, len(header)) >= _ENTRY.size and _ENTRY.unpack_from(header)[-1]
    entry = Entry(
        kind=kind,
        architecture=architecture,
        ptx_isa=(major, minor),
        flags=flags,
        size_bytes=payload,
        full_size_bytes=stated or None,
    )
    return entry, header_size + payload


def _skip_padding(buffer: Buffer, at: int, end: int) -> int:
    """The next offset, in steps of the alignment, that does not hold zeros."""
    while at < end and not any(buffer[at : min(at + ALIGNMENT, end)]):
        at += ALIGNMENT
    return at


def _read_container(buffer: Buffer, at: int, end: int, entries: list[Entry] | None = None) -> Container:
    """The container at an offset. `entries` is filled as they are read, for who wants to know how far it went."""
    header_size, entries_size = read_container_header(bytes(buffer[at : min(at + _CONTAINER.size, end)]), at)
    last = at + header_size + entries_size
    if last > end:
        raise FormatError(f"the GPU code container at byte {at} is longer than its section")
    entries = [] if entries is None else entries
    position = at + header_size
    while position < last:
        if len(entries) == MOST_ENTRIES:
            raise FormatError(f"the GPU code container at byte {at} has more than {MOST_ENTRIES} entries")
        header = bytes(buffer[position : min(position + _ENTRY.size, last)])
        entry, taken = read_entry_header(header, position, last - position)
        entries.append(entry)
        position += taken
    return Container(offset=at, size_bytes=last - at, entries=tuple(entries))
