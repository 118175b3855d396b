"""Bare GPU code: `.cubin` files and `.ptx` text.

A `.cubin` is an ELF file of machine 190. Its flags hold the architecture, in the lowest byte up to ELF ABI version
7 and in the second byte from version 8 on (read off files that CUDA 9 to 13.0 wrote; NVIDIA documents neither).
"""

from __future__ import annotations

import re
from dataclasses import replace

from gpuenv.binaries.buffers import NotKeptError, ReadableBytes
from gpuenv.binaries.fatbin import (
    FLAG_ARCHITECTURE_SPECIFIC,
    FLAG_FAMILY_SPECIFIC,
    KIND_ELF,
    KIND_PTX,
    MOST_CONTAINERS,
    Container,
    Entry,
)
from gpuenv.binaries.sections import read_elf_header, read_sections
from gpuenv.errors import FormatError

__all__ = ["PtxReader", "is_ptx", "read_cubin", "read_ptx"]

_NEW_ABI_VERSION = 8
_TOOL_NOTE = ".note.nv.tkinfo"
_TOOL_NOTE_LIMIT = 65536
_ARCHITECTURE = re.compile(rb"-arch[ =]sm_(\d{2,3})([af]?)(?![0-9a-z])")
_SUFFIX_FLAGS = {"": 0, "a": FLAG_ARCHITECTURE_SPECIFIC, "f": FLAG_FAMILY_SPECIFIC}

# PTX ISA manual, section PTX Module Directives: `.version`, then `.target` with the architecture first.
_PTX_LINE = re.compile(rb"^[ \t]*\.(version|target)[ \t]+([^\r\n;/]*)", re.MULTILINE)
_PTX_VERSION = re.compile(rb"(\d{1,2})\.(\d{1,2})")
_PTX_TARGET = re.compile(rb"(?:sm|compute)_(\d{2,3})([af]?)(?![0-9a-z])")
_PTX_START = re.compile(rb"(?:\s|//[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*\.version[ \t]+\d")


def read_cubin(buffer: ReadableBytes) -> Container:
    """The one image of a `.cubin`; FormatError when its headers are broken.

    The header does not tell `sm_90a` or `sm_100f` from `sm_90` or `sm_100`. The command line of `ptxas` does, which
    CUDA 13 and later keep in the note `.note.nv.tkinfo`; without it the suffix is taken as absent, so that code which
    older compilers made for 9.0a alone reads as code for all of 9.x.
    """
    header = read_elf_header(buffer)
    number = header.flags >> 8 & 0xFF if header.abi_version >= _NEW_ABI_VERSION else header.flags & 0xFF
    suffix = _noted_suffix(buffer, number)
    return _one(KIND_ELF, number, suffix=suffix, size=len(buffer))


def _noted_suffix(buffer: ReadableBytes, number: int) -> str:
    try:
        sections = read_sections(buffer)
    except NotKeptError:
        # Without the note code for one GPU would read as code for many.
        raise FormatError("the section table of the `.cubin` file is too large to be kept of a stream") from None
    for section in sections:
        if section.name == _TOOL_NOTE:
            note = bytes(buffer[section.offset : section.offset + min(section.size_bytes, _TOOL_NOTE_LIMIT)])
            for found in _ARCHITECTURE.finditer(note):
                if int(found[1]) == number:
                    return found[2].decode()
            return ""
    return ""


def is_ptx(start: bytes) -> bool:
    """Whether a file that begins with these bytes is PTX text: comments, then the `.version` line."""
    return bool(_PTX_START.match(start))


class PtxReader:
    """Reads PTX text line by line: a module is a `.version` line and the `.target` line that follows it."""

    def __init__(self) -> None:
        self.units: list[Container] = []
        self._version: bytes | None = None

    def feed(self, lines: bytes) -> None:
        """Whole lines of the text, in order; FormatError for a target or version that cannot be read."""
        for line in _PTX_LINE.finditer(lines):
            if line[1] == b"version":
                self._version = line[2]
            elif self._version is not None:
                self.units.append(_ptx_unit(self._version, line[2]))
                self._version = None
                if len(self.units) > MOST_CONTAINERS:
                    raise FormatError(f"more than {MOST_CONTAINERS} modules of PTX")

    def finish(self, *, size: int) -> tuple[Container, ...]:
        """A unit for each module, the first of which gets the size of the text; FormatError when there is none."""
        if not self.units:
            raise FormatError("the PTX text names no target")
        first, *others = self.units
        entry = replace(first.entries[0], size_bytes=size)
        return (replace(first, size_bytes=size, entries=(entry,)), *others)


def read_ptx(text: bytes) -> tuple[Container, ...]:
    """A unit for each module of PTX text; FormatError when it names no target. Modules may follow one another."""
    reader = PtxReader()
    reader.feed(text)
    return reader.finish(size=len(text))


def _ptx_unit(version: bytes, target: bytes) -> Container:
    isa, architecture = _PTX_VERSION.match(version), _PTX_TARGET.match(target)
    if not isa or not architecture:
        raise FormatError("the version or target line of the PTX text cannot be read")
    return _one(KIND_PTX, int(architecture[1]), suffix=architecture[2].decode(), isa=(int(isa[1]), int(isa[2])), size=0)


def _one(kind: int, number: int, *, suffix: str, size: int, isa: tuple[int, int] = (0, 0)) -> Container:
    entry = Entry(
        kind=kind,
        architecture=number,
        ptx_isa=isa,
        flags=_SUFFIX_FLAGS[suffix],
        size_bytes=size,
        full_size_bytes=None,
    )
    return Container(offset=0, size_bytes=size, entries=(entry,))
