"""What a Windows DLL or program asks the loader for: its import, delay import and export directories.

Microsoft's PE Format, sections Optional Header Data Directories, The .idata Section, Delay-Load Import Tables and
The .edata Section.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpuenv.binaries.buffers import NotKeptError, ReadableBytes, read_text, unpack
from gpuenv.binaries.cuda_names import is_cuda_symbol
from gpuenv.binaries.links import Links
from gpuenv.binaries.sections import Section, pe_header_offset, pe_sections
from gpuenv.errors import FormatError

__all__ = ["PeImage", "planned_parts", "read_pe_image", "read_pe_links"]

EXPORTS, IMPORTS, DELAYED = 0, 1, 13
# No real file comes near; more is an attempt to keep the reader busy.
_MOST_LIBRARIES = 4096
_MOST_SYMBOLS = 1 << 17


@dataclass(frozen=True, slots=True, kw_only=True)
class PeImage:
    """Where a PE file keeps its directories, and how its addresses map to offsets."""

    directories: tuple[int, ...]
    sections: tuple[Section, ...]
    is_64_bit: bool
    image_base: int

    def offset(self, address: int) -> int:
        """The offset in the file of an address relative to the image base; FormatError when no section holds it."""
        for section in self.sections:
            if section.address <= address < section.address + section.size_bytes:
                return address - section.address + section.offset
        raise FormatError(f"no section of the file holds address {address:#x}")

    def directory(self, index: int) -> int | None:
        """The offset of one of the data directories, None where the file has none."""
        address = self.directories[index] if index < len(self.directories) else 0
        return self.offset(address) if address else None


def read_pe_image(buffer: ReadableBytes) -> PeImage:
    """The data directories of a PE file; FormatError when its optional header is broken."""
    at = pe_header_offset(buffer) + 24
    (magic,) = unpack("<H", buffer, at)
    if magic not in {0x10B, 0x20B}:
        raise FormatError("the optional header of the PE file is broken")
    is_64_bit = magic == 0x20B
    (image_base,) = unpack("<Q", buffer, at + 24) if is_64_bit else unpack("<I", buffer, at + 28)
    table = at + (112 if is_64_bit else 96)
    (count,) = unpack("<I", buffer, table - 4)
    (room,) = unpack("<H", buffer, at - 4)
    held = max(0, min(count, 16, (room - (table - at)) // 8))
    directories = tuple(unpack("<I", buffer, table + index * 8)[0] for index in range(held))
    return PeImage(
        directories=directories, sections=tuple(pe_sections(buffer)), is_64_bit=is_64_bit, image_base=image_base
    )


def planned_parts(start: ReadableBytes) -> Iterator[tuple[int, int]]:
    """Offsets and sizes of what `read_pe_links` will need, by the start of a file, as linkers usually lay it out."""
    try:
        image = read_pe_image(start)
        for index, before, after in ((IMPORTS, 0, 1 << 17), (DELAYED, 1 << 14, 1 << 15), (EXPORTS, 0, 1 << 18)):
            if (at := image.directory(index)) is not None:
                yield max(0, at - before), before + after
    except FormatError:
        return


def read_pe_links(buffer: ReadableBytes) -> Links:
    """What the PE file asks for, and the name that it gives itself; FormatError when its tables are broken."""
    (room,) = unpack("<H", buffer, pe_header_offset(buffer) + 20)
    if room == 0:
        return Links()
    image = read_pe_image(buffer)
    needed, delayed = list(_imports(buffer, image)), list(_delayed_imports(buffer, image))
    symbols: set[str] = set()
    left = _MOST_SYMBOLS
    for _, thunks in (*needed, *delayed):
        for name in _symbols(buffer, image, thunks):
            if (left := left - 1) < 0:
                raise FormatError("the imports of the PE file do not end")
            if is_cuda_symbol(name):
                symbols.add(name)
    return Links(
        needed=tuple(name for name, _ in needed),
        delayed=tuple(name for name, _ in delayed),
        soname=_own_name(buffer, image),
        cuda_symbols=tuple(sorted(symbols)),
    )


def _own_name(buffer: ReadableBytes, image: PeImage) -> str | None:
    """The name among the exports; None where there are none, and where a stream had let go of it."""
    exports = image.directory(EXPORTS)
    try:
        address = 0 if exports is None else unpack("<I", buffer, exports + 12)[0]
        return read_text(buffer, image.offset(address)) if address else None
    except NotKeptError:
        return None


def _imports(buffer: ReadableBytes, image: PeImage) -> Iterator[tuple[str, int]]:
    """Name of each library, and the address of the list of what is taken from it."""
    at = image.directory(IMPORTS)
    for index in range(_MOST_LIBRARIES if at is not None else 0):
        assert at is not None
        lookups, _, _, name, addresses = unpack("<5I", buffer, at + index * 20)
        if name == 0:
            return
        yield read_text(buffer, image.offset(name)), lookups or addresses
    if at is not None:
        raise FormatError("the import directory of the PE file does not end")


def _delayed_imports(buffer: ReadableBytes, image: PeImage) -> Iterator[tuple[str, int]]:
    at = image.directory(DELAYED)
    for index in range(_MOST_LIBRARIES if at is not None else 0):
        assert at is not None
        attributes, name, _, _, names, *_ = unpack("<8I", buffer, at + index * 32)
        if name == 0:
            return
        # Before 2003 the compiler wrote addresses with the image base in them.
        base = 0 if attributes & 1 else image.image_base
        yield read_text(buffer, image.offset(name - base)), names - base if names else 0
    if at is not None:
        raise FormatError("the delay import directory of the PE file does not end")


def _symbols(buffer: ReadableBytes, image: PeImage, thunks: int) -> Iterator[str]:
    """The names in one list of imports; what is imported by number has none."""
    if not thunks:
        return
    shape, width, by_number = ("<Q", 8, 1 << 63) if image.is_64_bit else ("<I", 4, 1 << 31)
    at = image.offset(thunks)
    while value := unpack(shape, buffer, at)[0]:
        yield "" if value & by_number else read_text(buffer, image.offset(value & 0x7FFFFFFF) + 2)
        at += width
