"""What an ELF file asks the loader for: read from its dynamic section, or from the symbols of an object file.

System V ABI, chapter 5 (Dynamic Section); version needs: Linux Standard Base Core, Symbol Versioning; the hash
table that sorts undefined symbols first: `DT_GNU_HASH` of the GNU linker.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from gpuenv.binaries.buffers import NotKeptError, ReadableBytes, read_text, unpack
from gpuenv.binaries.cuda_names import is_cuda_symbol
from gpuenv.binaries.links import Links
from gpuenv.binaries.sections import ELF_RELOCATABLE, ElfHeader, read_elf_header
from gpuenv.errors import FormatError
from gpuenv.versions import LibcVersion

__all__ = ["GLIBC", "DynamicTable", "ReadText", "dynamic_range", "newest_glibc", "read_dynamic", "read_elf_links"]

GLIBC = re.compile(r"GLIBC_(\d{1,2}\.\d{1,3}(?:\.\d{1,3})?)", re.ASCII)

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 4, 5, 6, 10, 14, 15, 29
_GNU_HASH, _VERNEED, _VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFF
_RELA, _REL, _JMPREL, _VERSYM = 7, 17, 23, 0x6FFFFFF0
_TABLES = (_GNU_HASH, _HASH, _STRTAB, _VERNEED, _VERSYM, _RELA, _REL, _JMPREL)
_SYMTAB_SECTION = 2
_NAME_LIMIT = 4096
# No real library lists as many; more is an attempt to keep the reader busy.
_MOST_SEGMENTS, _MOST_DYNAMIC, _MOST_VERSIONS = 4096, 4096, 65536
_SYMBOLS_AT_ONCE = 4096

ReadText = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicTable:
    """The dynamic section: tags with their values in file order, and where memory lies in the file."""

    header: ElfHeader
    entries: tuple[tuple[int, int], ...]
    loads: tuple[tuple[int, int, int], ...]

    def value(self, tag: int) -> int | None:
        """The first value of a tag; None when it is not there."""
        return next((value for found, value in self.entries if found == tag), None)

    def offset(self, tag: int) -> int | None:
        """Where the thing that a tag points at lies in the file; FormatError when no segment holds its address."""
        address = self.value(tag)
        if address is None:
            return None
        for memory, offset, size in self.loads:
            if memory <= address < memory + size:
                return address - memory + offset
        raise FormatError(f"no segment of the file holds address {address:#x}")

    @property
    def strings(self) -> tuple[int, int]:
        """Offset and size of the string table; FormatError when the file has none."""
        at, size = self.offset(_STRTAB), self.value(_STRSZ)
        if at is None or size is None:
            raise FormatError("the dynamic section names no string table")
        return at, size

    @property
    def later_parts(self) -> Iterator[tuple[int, int]]:
        """Offsets and sizes of the small tables that the dynamic section points at, as far as it says them."""
        for tag, size in ((_GNU_HASH, 16), (_HASH, 8), (_VERNEED, 16384)):
            at = self.offset(tag)
            if at is not None:
                yield at, size


def read_dynamic(buffer: ReadableBytes) -> DynamicTable | None:
    """The dynamic section of an ELF file, found by its program headers; None when it has none."""
    elf, segments = _read_segments(buffer)
    loads = tuple((memory, offset, size) for kind, offset, memory, size in segments if kind == _LOAD)
    for kind, offset, _, size in segments:
        if kind == _DYNAMIC:
            return DynamicTable(header=elf, entries=tuple(_entries(buffer, elf, offset, size)), loads=loads)
    return None


def dynamic_range(start: ReadableBytes) -> tuple[int, int] | None:
    """Offset and size of the dynamic section by the start of a file; None when it has none, or says so further on."""
    try:
        _, segments = _read_segments(start)
    except FormatError:
        return None
    return next(((offset, size) for kind, offset, _, size in segments if kind == _DYNAMIC), None)


def _read_segments(buffer: ReadableBytes) -> tuple[ElfHeader, list[tuple[int, int, int, int]]]:
    elf = read_elf_header(buffer)
    count = elf.segment_count if elf.segments_at else 0
    if count > _MOST_SEGMENTS:
        raise FormatError(f"the ELF file claims {count} segments")
    return elf, [_segment(buffer, elf, index) for index in range(count)]


def _segment(buffer: ReadableBytes, elf: ElfHeader, index: int) -> tuple[int, int, int, int]:
    at = elf.segments_at + index * elf.segment_size
    if elf.bits == 64:
        kind, _, offset, memory, _, size = unpack(elf.order + "IIQQQQ", buffer, at)
    else:
        kind, offset, memory, _, size = unpack(elf.order + "IIIII", buffer, at)
    return kind, offset, memory, size


def _entries(buffer: ReadableBytes, elf: ElfHeader, at: int, size: int) -> Iterator[tuple[int, int]]:
    shape = struct.Struct(elf.order + ("QQ" if elf.bits == 64 else "II"))
    content = buffer[at : at + min(size, _MOST_DYNAMIC * shape.size)]
    if len(content) < min(size, shape.size):
        raise FormatError("the dynamic section ends after the end of the file")
    for tag, value in shape.iter_unpack(content[: len(content) // shape.size * shape.size]):
        if tag == 0:
            return
        yield tag, value
    if size > len(content):
        raise FormatError(f"the dynamic section has more than {_MOST_DYNAMIC} entries")


def read_elf_links(
    buffer: ReadableBytes,
    *,
    text: ReadText | None = None,
    glibc: Callable[[DynamicTable], LibcVersion | None] | None = None,
) -> Links:
    """What the ELF file asks for; FormatError when its tables are broken.

    `text` reads a name at an offset of the file, and `glibc` is asked where the version needs were not kept: both
    for a file of which only parts are at hand.
    """
    read = text or (lambda at: read_text(buffer, at, limit=_NAME_LIMIT))
    table = read_dynamic(buffer)
    if table is None:
        return _object_links(buffer, read)
    if not table.entries:
        return Links()
    start, size = table.strings

    def name(offset: int) -> str:
        if offset >= size:
            raise FormatError("a name lies after the end of its string table")
        return read(start + offset)

    def names(tag: int) -> tuple[str, ...]:
        return tuple(name(value) for found, value in table.entries if found == tag)

    try:
        newest = newest_glibc(_needed_versions(buffer, table, name))
    except NotKeptError:
        newest = glibc(table) if glibc else None
    try:
        symbols: tuple[str, ...] | None = _undefined(buffer, table, name)
    except NotKeptError:
        symbols = None
    return Links(
        needed=names(_NEEDED),
        soname=next(iter(names(_SONAME)), None),
        rpath=tuple(part for path in names(_RPATH) for part in path.split(":") if part),
        runpath=tuple(part for path in names(_RUNPATH) for part in path.split(":") if part),
        glibc=newest,
        cuda_symbols=symbols,
    )


def newest_glibc(versions: Iterator[str]) -> LibcVersion | None:
    """The newest `GLIBC_2.34` among version names; None when there is none."""
    return max((LibcVersion(found[1]) for name in versions if (found := GLIBC.fullmatch(name))), default=None)


def _needed_versions(buffer: ReadableBytes, table: DynamicTable, name: ReadText) -> Iterator[str]:
    """The version names that are asked of other libraries."""
    at, count = table.offset(_VERNEED), table.value(_VERNEEDNUM) or 0
    left = _MOST_VERSIONS
    order = table.header.order
    for _ in range(count if at is not None else 0):
        assert at is not None
        _, parts, _, first, following = unpack(order + "HHIII", buffer, at)
        part = at + first
        for _ in range(parts):
            if (left := left - 1) < 0:
                raise FormatError("the version needs do not end")
            *_, text, step = unpack(order + "IHHII", buffer, part)
            yield name(text)
            part += step
        if (left := left - 1) < 0:
            raise FormatError("the version needs do not end")
        if following == 0:
            return
        at += following


def _undefined(buffer: ReadableBytes, table: DynamicTable, name: ReadText) -> tuple[str, ...]:
    at = table.offset(_SYMTAB)
    if at is None:
        return ()
    try:
        return _undefined_names(buffer, table.header, at, _count_symbols(buffer, table, at), name)
    except NotKeptError:
        return _undefined_names(buffer, table.header, at, _count_in_order(buffer, table, at), name)


def _count_symbols(buffer: ReadableBytes, table: DynamicTable, at: int) -> int:
    """How many symbols there are up to the last undefined one, as far as the hash tables tell.

    Symbols that others may look up come last in a file with a GNU hash table, which says how many come before them;
    in a file that has none to look up it says 1, or nothing.
    """
    if (hashed := table.offset(_GNU_HASH)) is not None:
        buckets, first_hashed = unpack(table.header.order + "II", buffer, hashed)
        return first_hashed if buckets > 1 or first_hashed > 1 else _count_in_order(buffer, table, at)
    if (hashed := table.offset(_HASH)) is not None:
        return int(unpack(table.header.order + "II", buffer, hashed)[1])
    return 0


def _count_in_order(buffer: ReadableBytes, table: DynamicTable, at: int) -> int:
    """The same by the symbols themselves: the first that is defined and not local, or the next table, ends them."""
    shape, info_at, section_at = _symbol_shape(table.header)
    end = min(
        (start for tag in _TABLES if (start := table.offset(tag)) is not None and start > at), default=len(buffer)
    )
    names_size = table.strings[1]
    for index in range((end - at) // shape.size):
        symbol = unpack(shape, buffer, at + index * shape.size)
        if (symbol[section_at] and symbol[info_at] >> 4) or symbol[0] >= names_size:
            return index
    return (end - at) // shape.size


def _symbol_shape(elf: ElfHeader) -> tuple[struct.Struct, int, int]:
    """The shape of a symbol, and which of its numbers are its kind and its section."""
    if elf.bits == 64:
        return struct.Struct(elf.order + "IBBHQQ"), 1, 3
    return struct.Struct(elf.order + "IIIBBH"), 3, 5


def _undefined_names(buffer: ReadableBytes, elf: ElfHeader, at: int, count: int, name: ReadText) -> tuple[str, ...]:
    shape, _, defined_at = _symbol_shape(elf)
    if at + count * shape.size > len(buffer):
        raise FormatError("the symbol table ends after the end of the file")
    found: set[str] = set()
    for first in range(0, count, _SYMBOLS_AT_ONCE):
        last = min(first + _SYMBOLS_AT_ONCE, count)
        for fields in shape.iter_unpack(buffer[at + first * shape.size : at + last * shape.size]):
            if fields[defined_at] == 0 and fields[0] and is_cuda_symbol(text := name(fields[0])):
                found.add(text)
    return tuple(sorted(found))


def _name_at(read: ReadText, strings: int, at: int) -> str:
    return read(strings + at)


def _object_links(buffer: ReadableBytes, read: ReadText) -> Links:
    """The undefined symbols of an object file, which no loader has a table for."""
    elf = read_elf_header(buffer)
    if elf.file_type != ELF_RELOCATABLE or elf.sections_at == 0:
        return Links()
    shape = struct.Struct(elf.order + ("IIQQQQIIQQ" if elf.bits == 64 else "IIIIIIIIII"))
    count = elf.section_count or unpack(shape, buffer, elf.sections_at)[5]
    for index in range(count):
        _, kind, _, _, offset, size, linked, *_ = unpack(shape, buffer, elf.sections_at + index * elf.section_size)
        if kind == _SYMTAB_SECTION:
            strings = unpack(shape, buffer, elf.sections_at + linked * elf.section_size)[4]
            symbols = size // (24 if elf.bits == 64 else 16)
            return Links(cuda_symbols=_undefined_names(buffer, elf, offset, symbols, partial(_name_at, read, strings)))
    return Links()
