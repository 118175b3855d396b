"""The headers of ELF and PE files: for which processor, and which sections, by name.

ELF: System V ABI, chapters 4 (object files) and 5; both word sizes and byte orders.
PE: Microsoft's PE Format, sections COFF File Header and Section Table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from gpuenv.binaries.buffers import NotKeptError, ReadableBytes, read_text, unpack
from gpuenv.errors import FormatError

__all__ = [
    "ELF_CUDA",
    "ELF_RELOCATABLE",
    "ElfHeader",
    "LoadedSpan",
    "Section",
    "is_elf",
    "is_pe",
    "loaded_spans",
    "pe_header_offset",
    "pe_sections",
    "processor",
    "read_elf_header",
    "read_sections",
]

ELF_RELOCATABLE = 1
ELF_CUDA = 190

_LOADED_SEGMENT = 1
# Flags of a segment (System V ABI, chapter 5, Segment Permissions).
_RUN, _WRITTEN = 1, 2
_MOST_SEGMENTS = 4096
_PROGBITS = 1
_NOBITS = 8
_ALLOCATED = 2
_EXECUTABLE = 4
_EXTENDED_INDEX = 0xFFFF
_PE_SECTION_SIZE = 40
# Windows loads at most 96 (PE Format, COFF File Header, NumberOfSections).
_MOST_PE_SECTIONS = 256
_PE_EXECUTABLE = 0x20000000

# ELF: e_machine (System V ABI, chapter 4); PE: Machine Types in Microsoft's PE Format.
_ELF_PROCESSORS = {3: "i686", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_ELF_POWER = 21
_PE_PROCESSORS = {0x14C: "i686", 0x8664: "x86_64", 0xAA64: "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A named part of a file. Offsets and sizes are bytes; one that takes no room in the file is not listed.

    `address` is where it lies in memory: from the image base in PE files. `has_content` is False for the tables
    that linkers and loaders read, so that only what the program itself reads or runs is searched.
    """

    name: str
    offset: int
    size_bytes: int
    address: int = 0
    has_content: bool = True
    is_data: bool = True
    is_code: bool = False


class LoadedSpan(NamedTuple):
    """A part of a file that is mapped when it is loaded, from `start` to `stop`."""

    start: int
    stop: int
    has_code: bool
    has_data: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfHeader:
    """The header of an ELF file: word size and byte order, and where the two tables of its parts lie."""

    order: str
    bits: int
    file_type: int
    machine: int
    abi: int
    abi_version: int
    flags: int
    segments_at: int
    segment_size: int
    segment_count: int
    sections_at: int
    section_size: int
    section_count: int
    names_index: int


def is_elf(buffer: ReadableBytes) -> bool:
    """Whether the bytes begin as an ELF file does."""
    return bytes(buffer[:4]) == b"\x7fELF"


def is_pe(buffer: ReadableBytes) -> bool:
    """Whether the bytes begin as a Windows program or DLL does."""
    return bytes(buffer[:2]) == b"MZ"


def read_elf_header(buffer: ReadableBytes) -> ElfHeader:
    """The header of an ELF file; FormatError when it is cut off or has an unknown word size or byte order."""
    if len(buffer) < 64 or buffer[4] not in {1, 2} or buffer[5] not in {1, 2}:
        raise FormatError("the ELF header is broken")
    bits, order = 32 * buffer[4], "<" if buffer[5] == 1 else ">"
    word = "I" if bits == 32 else "Q"
    fields = unpack(f"{order}HHI{word}{word}{word}I6H", buffer, 16)
    file_type, machine, _, _, segments_at, sections_at, flags, _, *counts = fields
    return ElfHeader(
        order=order,
        bits=bits,
        file_type=file_type,
        machine=machine,
        abi=buffer[7],
        abi_version=buffer[8],
        flags=flags,
        segments_at=segments_at,
        segment_size=counts[0],
        segment_count=counts[1],
        sections_at=sections_at,
        section_size=counts[2],
        section_count=counts[3],
        names_index=counts[4],
    )


def processor(buffer: ReadableBytes) -> str | None:
    """The processor an ELF or PE file is for (x86_64, aarch64, ppc64le, …); None for one without a name here."""
    if is_pe(buffer):
        return _PE_PROCESSORS.get(unpack("<H", buffer, pe_header_offset(buffer) + 4)[0])
    header = read_elf_header(buffer)
    if header.machine == _ELF_POWER:
        return "ppc64le" if header.order == "<" else "ppc64"
    return _ELF_PROCESSORS.get(header.machine)


def pe_header_offset(buffer: ReadableBytes) -> int:
    """Where the PE header begins, after the DOS program; FormatError when there is none."""
    if len(buffer) < 64:
        raise FormatError("the PE header is broken")
    at = int(unpack("<I", buffer, 60)[0])
    if at + 24 > len(buffer) or bytes(buffer[at : at + 4]) != b"PE\0\0":
        raise FormatError("the PE header is broken")
    return at


def read_sections(buffer: ReadableBytes) -> tuple[Section, ...]:
    """Every section of an ELF or PE file that has bytes in it; FormatError when it is neither or is broken."""
    if is_elf(buffer):
        sections = tuple(_elf_sections(buffer))
    elif is_pe(buffer):
        sections = tuple(pe_sections(buffer))
    else:
        raise FormatError("the file is neither an ELF file nor a PE file")
    if sum(section.size_bytes for section in sections) > 2 * len(buffer):
        raise FormatError("the sections of the file overlap")
    for section in sections:
        if section.offset + section.size_bytes > len(buffer):
            raise FormatError(f"section `{section.name}` ends after the end of the file")
    return sections


def _elf_sections(buffer: ReadableBytes) -> Iterator[Section]:
    elf = read_elf_header(buffer)
    if elf.sections_at == 0:
        return
    shape = struct.Struct(elf.order + ("IIIIIIIIII" if elf.bits == 32 else "IIQQQQIIQQ"))

    def header(index: int) -> tuple[int, ...]:
        at = elf.sections_at + index * elf.section_size
        if elf.section_size < shape.size or at + shape.size > len(buffer):
            raise FormatError("the ELF section table ends after the end of the file")
        return unpack(shape, buffer, at)

    # A file with more sections than 16 bits can count keeps the count and the names' index in section 0.
    first = header(0)
    count = elf.section_count or first[5]
    names = header(first[6] if elf.names_index == _EXTENDED_INDEX else elf.names_index)
    for index in range(1, count):
        name, kind, flags, address, offset, size, *_ = header(index)
        if kind not in {0, _NOBITS} and size:
            is_code = bool(flags & _EXECUTABLE)
            yield Section(
                name=read_text(buffer, names[4] + name),
                offset=offset,
                size_bytes=size,
                address=address,
                has_content=kind == _PROGBITS,
                is_data=kind == _PROGBITS and bool(flags & _ALLOCATED) and not is_code,
                is_code=is_code,
            )


def loaded_spans(start: ReadableBytes) -> tuple[LoadedSpan, ...]:
    """Which parts of a file a loader maps, and whether machine code or data is in each, by the start of the file.

    Linkers before binutils 2.31 put code and constants into one segment. It begins with the header of the file, or is
    the only one that is not written to, or is written to itself (`ld -N`).
    Empty for files that are not loaded (objects), or where the headers are broken or say it further on.
    """
    with suppress(FormatError, NotKeptError):
        spans = sorted(_pe_spans(start) if is_pe(start) else _elf_spans(start))
        if all(before.stop <= after.start for before, after in pairwise(spans)):
            return tuple(spans)
    return ()


def _pe_spans(start: ReadableBytes) -> Iterator[LoadedSpan]:
    for one in pe_sections(start):
        yield LoadedSpan(one.offset, one.offset + one.size_bytes, has_code=one.is_code, has_data=one.is_data)


def _elf_spans(start: ReadableBytes) -> Iterator[LoadedSpan]:
    elf = read_elf_header(start)
    loaded: list[tuple[int, int, int]] = []
    for index in range(min(elf.segment_count, _MOST_SEGMENTS) if elf.segments_at else 0):
        at = elf.segments_at + index * elf.segment_size
        if elf.bits == 64:
            kind, flags, offset, _, _, size = unpack(elf.order + "IIQQQQ", start, at)
        else:
            kind, offset, _, _, size, _, flags = unpack(elf.order + "IIIIIII", start, at)
        if kind == _LOADED_SEGMENT and size:
            loaded.append((offset, size, flags & (_RUN | _WRITTEN)))
    has_constants = any(not use for _, _, use in loaded)
    for offset, size, use in loaded:
        has_data = use != _RUN or offset == 0 or not has_constants
        yield LoadedSpan(offset, offset + size, has_code=bool(use & _RUN), has_data=has_data)


def pe_sections(buffer: ReadableBytes) -> Iterator[Section]:
    """The sections of a PE file as its headers state them, whether or not the file is long enough."""
    at = pe_header_offset(buffer)
    count, _, symbols_at, symbol_count, optional_size = unpack("<HIIIH", buffer, at + 6)
    if count > _MOST_PE_SECTIONS:
        raise FormatError(f"the PE file claims {count} sections")
    table = at + 24 + optional_size
    if table + count * _PE_SECTION_SIZE > len(buffer):
        raise FormatError("the PE section table ends after the end of the file")
    strings_at = symbols_at + symbol_count * 18 if symbols_at else None
    for index in range(count):
        row = unpack("<8sIIII12xI", buffer, table + index * _PE_SECTION_SIZE)
        raw, virtual_size, address, size, offset, flags = row
        # What lies in the file is padded to the file's alignment; what is used is the virtual size.
        used = min(size, virtual_size) or size
        if used:
            is_code = bool(flags & _PE_EXECUTABLE)
            yield Section(
                name=_pe_name(buffer, raw, strings_at),
                offset=offset,
                size_bytes=used,
                address=address,
                is_data=not is_code,
                is_code=is_code,
            )


def _pe_name(buffer: ReadableBytes, raw: bytes, strings_at: int | None) -> str:
    """A name of up to eight bytes, or `/123`: an offset into the string table, which only some linkers write."""
    name = raw.rstrip(b"\0").decode("latin-1")
    if name.startswith("/") and name[1:].isdecimal() and name.isascii() and strings_at is not None:
        with suppress(NotKeptError):
            return read_text(buffer, strings_at + int(name[1:]))
    return name
