"""Finds sections of ELF and PE files by name, from their headers alone.

ELF: System V ABI, chapters 4 (object files) and 5; both word sizes and byte orders.
PE: Microsoft's PE Format, sections COFF File Header and Section Table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from gpuenv.errors import FormatError

__all__ = ["Section", "is_elf", "is_pe", "read_sections"]

Buffer = bytes | bytearray | mmap

_NOBITS = 8
_EXTENDED_INDEX = 0xFFFF
_PE_SECTION_SIZE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A named part of a file. Offsets and sizes are bytes; one that takes no room in the file is not listed."""

    name: str
    offset: int
    size_bytes: int


def is_elf(buffer: Buffer) -> bool:
    """Whether the bytes begin as an ELF file does."""
    return bytes(buffer[:4]) == b"\x7fELF"


def is_pe(buffer: Buffer) -> bool:
    """Whether the bytes begin as a Windows program or DLL does."""
    return bytes(buffer[:2]) == b"MZ"


def read_sections(buffer: Buffer) -> tuple[Section, ...]:
    """Every section of an ELF or PE file that has bytes in it; FormatError when it is neither or is broken."""
    if is_elf(buffer):
        sections = tuple(_elf_sections(buffer))
    elif is_pe(buffer):
        sections = tuple(_pe_sections(buffer))
    else:
        raise FormatError("the file is neither an ELF file nor a PE file")
    for section in sections:
        if section.offset + section.size_bytes > len(buffer):
            raise FormatError(f"section `{section.name}` ends after the end of the file")
    return sections


@dataclass(frozen=True, slots=True, kw_only=True)
class _ElfLayout:
    """The two word sizes of ELF: where the header keeps its fields, and the shape of a section header."""

    table_offset: str
    table_offset_at: int
    counts_at: int
    header: str


_ELF_LAYOUTS = {
    1: _ElfLayout(table_offset="I", table_offset_at=32, counts_at=46, header="IIIIIIIIII"),
    2: _ElfLayout(table_offset="Q", table_offset_at=40, counts_at=58, header="IIQQQQIIQQ"),
}


def _elf_sections(buffer: Buffer) -> Iterator[Section]:
    if len(buffer) < 64 or buffer[4] not in _ELF_LAYOUTS or buffer[5] not in {1, 2}:
        raise FormatError("the ELF header is broken")
    layout, order = _ELF_LAYOUTS[buffer[4]], "<" if buffer[5] == 1 else ">"
    (table,) = struct.unpack_from(order + layout.table_offset, buffer, layout.table_offset_at)
    entry_size, count, names_at = struct.unpack_from(order + "HHH", buffer, layout.counts_at)
    if table == 0:
        return
    shape = struct.Struct(order + layout.header)

    def header(index: int) -> tuple[int, ...]:
        at = table + index * entry_size
        if entry_size < shape.size or at + shape.size > len(buffer):
            raise FormatError("the ELF section table ends after the end of the file")
        return shape.unpack_from(buffer, at)

    # A file with more sections than 16 bits can count keeps the count and the names' index in section 0.
    first = header(0)
    count = count or first[5]
    names = header(first[6] if names_at == _EXTENDED_INDEX else names_at)
    for index in range(1, count):
        fields = header(index)
        if fields[1] not in {0, _NOBITS} and fields[5]:
            yield Section(name=_text(buffer, names[4] + fields[0]), offset=fields[4], size_bytes=fields[5])


def _pe_sections(buffer: Buffer) -> Iterator[Section]:
    if len(buffer) < 64:
        raise FormatError("the PE header is broken")
    (at,) = struct.unpack_from("<I", buffer, 60)
    if at + 24 > len(buffer) or bytes(buffer[at : at + 4]) != b"PE\0\0":
        raise FormatError("the PE header is broken")
    count, _, symbols_at, symbol_count, optional_size = struct.unpack_from("<HIIIH", buffer, at + 6)
    table = at + 24 + optional_size
    if table + count * _PE_SECTION_SIZE > len(buffer):
        raise FormatError("the PE section table ends after the end of the file")
    strings_at = symbols_at + symbol_count * 18 if symbols_at else None
    for index in range(count):
        raw, virtual_size, size, offset = struct.unpack_from("<8sI4xII", buffer, table + index * _PE_SECTION_SIZE)
        # What lies in the file is padded to the file's alignment; what is used is the virtual size.
        used = min(size, virtual_size) or size
        if used:
            yield Section(name=_pe_name(buffer, raw, strings_at), offset=offset, size_bytes=used)


def _pe_name(buffer: Buffer, raw: bytes, strings_at: int | None) -> str:
    """A name of up to eight bytes, or `/123`: an offset into the string table, which only some linkers write."""
    name = raw.rstrip(b"\0").decode("latin-1")
    if name.startswith("/") and name[1:].isdecimal() and name.isascii() and strings_at is not None:
        return _text(buffer, strings_at + int(name[1:]))
    return name


def _text(buffer: Buffer, at: int) -> str:
    """The zero-ended text at an offset, at most 256 bytes of it."""
    if at >= len(buffer):
        raise FormatError("the name of a section lies after the end of the file")
    return bytes(buffer[at : at + 256]).split(b"\0", 1)[0].decode("latin-1")
