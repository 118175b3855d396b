"""Reads one native file of any kind: its GPU code, what it asks of other files, and what it could open by hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from gpuenv.binaries.archive import ARCHIVE_MAGIC, THIN_MAGIC, read_members
from gpuenv.binaries.buffers import Buffer, ReadableBytes, unpack
from gpuenv.binaries.cubin import is_ptx, read_cubin, read_ptx
from gpuenv.binaries.cuda_names import CudaLibrary, cuda_library, jit_compilers, other_vendor
from gpuenv.binaries.elf_links import read_elf_links
from gpuenv.binaries.fatbin import SIGNATURE, Container, walk
from gpuenv.binaries.gpu_code import (
    containers_of,
    count_compressions,
    count_kinds,
    group_units,
    read_content,
)
from gpuenv.binaries.links import Links
from gpuenv.binaries.pe_links import read_pe_links
from gpuenv.binaries.sections import (
    ELF_CUDA,
    ELF_RELOCATABLE,
    Section,
    is_elf,
    is_pe,
    processor,
    read_elf_header,
)
from gpuenv.binaries.sightings import MOST_SIGHTINGS, Sighting, code_needles, data_needles, sift_buffer
from gpuenv.errors import FormatError
from gpuenv.model import LibraryCode
from gpuenv.versions import CudaVersion

__all__ = [
    "START_BYTES",
    "Binary",
    "BinaryKind",
    "Part",
    "Spans",
    "StaticRuntime",
    "assemble",
    "detect_kind",
    "has_code",
    "has_constants",
    "outside_containers",
    "plain_part",
    "read_binary",
    "vendor_sightings",
]

# How many bytes tell the kind of a file: PTX text may begin with a long comment.
START_BYTES = 65536
_UNIVERSAL_MOST = 20
_MACH_O = {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"}
_MACH_O_PROCESSORS = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
_VENDOR_SECTIONS = {".hip_fatbin": "ROCm", ".hipFatBinSegment": "ROCm", ".hipFatB": "ROCm", ".hip_fat": "ROCm"}
# Constants of a program are in these sections; others with data hold tables and resources, up to hundreds of MB.
_RUNTIME_TEXTS = {("runtime", "message"), ("runtime", "tables")}
_CONSTANTS = (".rodata", ".data", ".rdata", ".lrodata")


class BinaryKind(StrEnum):
    """What sort of native file it is. `elf` is a shared library or program, `object` what a linker takes."""

    ELF = "elf"
    OBJECT = "object"
    PE = "pe"
    MACH_O = "mach-o"
    ARCHIVE = "archive"
    CUBIN = "cubin"
    FATBIN = "fatbin"
    PTX = "ptx"
    METALLIB = "metallib"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRuntime:
    """The CUDA runtime is linked into the file; `version` None where its version was not found in the code."""

    version: CudaVersion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """What one native file holds.

    `machine` is the processor (x86_64, aarch64, ppc64le), None for pure GPU code and for files of several.
    `code` is None when there is no GPU code; entries of kinds that no driver runs count in `entry_kinds` only.
    `links` None means that it was not read: a stream had let go of what was needed.
    `opened` are CUDA libraries whose names stand in the file's constants, beside those it is linked with: it can
    open them by hand. `tools` are compilers named there (`ptxas`, `libdevice`, `llvm-nvptx`).
    `static_runtime` is sure where it has a version (the code of `cudaRuntimeGetVersion` was found); without one it
    rests on two texts of the runtime. CUDA 13 on Windows has neither, so that there it goes unseen.
    `compiler` is the CUDA version that a compiler of NVIDIA's in the file says of itself, where all say the same.
    `other_vendors` names ROCm, SYCL and Metal code or libraries.
    `unread_members` counts the members of an archive that are of no kind known here, such as Windows object files.
    """

    name: str
    kind: BinaryKind
    machine: str | None = None
    code: LibraryCode | None = None
    entry_kinds: dict[str, int]
    compressions: dict[str, int]
    links: Links | None = None
    opened: tuple[CudaLibrary, ...] = ()
    tools: tuple[str, ...] = ()
    static_runtime: StaticRuntime | None = None
    compiler: CudaVersion | None = None
    other_vendors: tuple[str, ...] = ()
    unread_members: int = 0

    @property
    def cuda_libraries(self) -> tuple[CudaLibrary, ...]:
        """The CUDA libraries that it is linked with, at once or at the first call."""
        files = (*self.links.needed, *self.links.delayed) if self.links else ()
        return tuple(sorted({found for file in files if (found := cuda_library(file))}, key=lambda one: one.file))

    @property
    def jit(self) -> tuple[str, ...]:
        """The run-time compilers that it is linked with, holds or names; to name one is not to use it."""
        symbols = (self.links and self.links.cuda_symbols) or ()
        return jit_compilers((*self.cuda_libraries, *self.opened), symbols, self.tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was read of a file, or of one member of an archive; `kind` None for a member of no known kind."""

    kind: BinaryKind | None
    machine: str | None = None
    containers: tuple[Container, ...] = ()
    links: Links | None = None
    sightings: frozenset[tuple[str, str]] = frozenset()


def read_binary(buffer: Buffer, *, name: str) -> Binary:
    """What the file whose bytes are `buffer` holds, of whichever kind it is; FormatError when it is none or is broken.

    Payloads are skipped, never decompressed; a mapped file is read where it lies. An archive is read member by
    member, each of which is copied.
    """
    if (kind := detect_kind(bytes(buffer[:START_BYTES]))) is BinaryKind.ARCHIVE:
        return assemble(kind, _read_members(buffer), name=name)
    return assemble(kind, [_read_part(buffer, kind)], name=name)


def detect_kind(start: bytes) -> BinaryKind:
    """The kind of a file by its first bytes (64 KiB, or all of a shorter one); FormatError for any other file."""
    magic = start[:4]
    if is_elf(start):
        header = read_elf_header(start)
        if header.machine == ELF_CUDA:
            return BinaryKind.CUBIN
        return BinaryKind.OBJECT if header.file_type == ELF_RELOCATABLE else BinaryKind.ELF
    if start[:8] == THIN_MAGIC:
        raise FormatError("a thin archive names its members and does not hold them")
    universal = magic == b"\xca\xfe\xba\xbe" and int.from_bytes(start[4:8], "big") <= _UNIVERSAL_MOST
    marks = (
        (is_pe(start), BinaryKind.PE),
        (start[:8] == ARCHIVE_MAGIC, BinaryKind.ARCHIVE),
        (start[:8] == SIGNATURE, BinaryKind.FATBIN),
        (magic in _MACH_O or universal, BinaryKind.MACH_O),
        (magic == b"MTLB", BinaryKind.METALLIB),
        (is_ptx(start), BinaryKind.PTX),
    )
    kind = next((kind for marked, kind in marks if marked), None)
    if kind is None:
        raise FormatError("the file is no native library, object, archive or GPU code")
    return kind


def _read_members(buffer: Buffer) -> Iterator[Part]:
    for member in read_members(buffer):
        if member.is_table:
            continue
        content = bytes(buffer[member.offset : member.offset + member.size_bytes])
        try:
            kind = detect_kind(content[:START_BYTES])
        except FormatError:
            kind = BinaryKind.ARCHIVE
        yield Part(kind=None) if kind is BinaryKind.ARCHIVE else _read_part(content, kind)


def _read_part(buffer: Buffer, kind: BinaryKind) -> Part:
    if kind in {BinaryKind.ELF, BinaryKind.OBJECT, BinaryKind.PE}:
        return _read_linked(buffer, kind)
    if kind is BinaryKind.CUBIN:
        return Part(kind=kind, containers=(read_cubin(buffer),))
    if kind is BinaryKind.FATBIN:
        return Part(kind=kind, containers=tuple(walk(buffer)))
    if kind is BinaryKind.PTX:
        return Part(kind=kind, containers=read_ptx(bytes(buffer[:])))
    return plain_part(buffer, kind)


def plain_part(start: ReadableBytes, kind: BinaryKind) -> Part:
    """What is said of Apple's files, which hold no code for NVIDIA's GPUs since 2019."""
    if kind is BinaryKind.METALLIB:
        return Part(kind=kind, sightings=frozenset({("vendor", "Metal")}))
    (processor_number,) = unpack("<I", start, 4)
    return Part(kind=kind, machine=_MACH_O_PROCESSORS.get(processor_number))


def _read_linked(buffer: Buffer, kind: BinaryKind) -> Part:
    sections = read_content(buffer)
    containers = tuple(containers_of(buffer, sections))
    machine, windows = processor(buffer), kind is BinaryKind.PE
    seen = list(vendor_sightings(sections))
    for section in filter(has_constants, sections):
        stop = section.offset + section.size_bytes
        found = sift_buffer(buffer, section.offset, stop, data_needles(windows=windows))
        seen += islice(found, MOST_SIGHTINGS + 1)
        if len(seen) > MOST_SIGHTINGS:
            raise FormatError(f"the file names more than {MOST_SIGHTINGS} libraries")
    if any(one.what == "runtime" for one in seen):
        for section in filter(has_code, sections):
            stop = section.offset + section.size_bytes
            seen += sift_buffer(buffer, section.offset, stop, code_needles(machine, windows=windows))
    return Part(
        kind=kind,
        machine=machine,
        containers=containers,
        links=read_pe_links(buffer) if windows else read_elf_links(buffer),
        sightings=outside_containers(seen, containers),
    )


def vendor_sightings(sections: Iterable[Section]) -> Iterator[Sighting]:
    """Other vendors whose code a file has in a section of its own."""
    for section in sections:
        if vendor := _VENDOR_SECTIONS.get(section.name) or ("SYCL" if "__sycl" in section.name else None):
            yield Sighting(offset=section.offset, what="vendor", text=vendor)


def has_constants(section: Section) -> bool:
    """Whether names that the program uses can stand in a section."""
    return section.is_data and (not section.name or section.name.startswith(_CONSTANTS))


def has_code(section: Section) -> bool:
    """Whether a section holds machine code of the processor."""
    return section.is_code


class Spans:
    """Parts of a file, to ask whether one of them holds an offset."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in sorted(spans):
            if self._stops and start <= self._stops[-1]:
                self._stops[-1] = max(stop, self._stops[-1])
            else:
                self._starts.append(start)
                self._stops.append(stop)

    def __contains__(self, at: int) -> bool:
        index = bisect_right(self._starts, at) - 1
        return index >= 0 and at < self._stops[index]


def outside_containers(seen: Iterable[Sighting], containers: Iterable[Container]) -> frozenset[tuple[str, str]]:
    """What was seen and does not lie within GPU code, each thing once."""
    inside = Spans((one.offset, one.offset + one.size_bytes) for one in containers)
    return frozenset((one.what, one.text) for one in seen if one.offset not in inside)


def assemble(kind: BinaryKind, parts: Iterable[Part], *, name: str) -> Binary:
    """The parts of one file as one answer."""
    parts = list(parts)
    containers = [container for part in parts for container in part.containers]
    if kind in {BinaryKind.ARCHIVE, BinaryKind.OBJECT}:
        # The device linker has yet to come, so that none of it stands in for another.
        containers = [replace(container, is_relocatable=False) for container in containers]
    machines = {part.machine for part in parts if part.machine}
    links = _merge_links([part.links for part in parts if part.links])
    seen = frozenset().union(*(part.sightings for part in parts))
    linked = {*links.needed, *links.delayed, links.soname} if links else set()
    files = {text for what, text in seen if what == "library"} - linked
    opened = sorted({found for file in files if (found := cuda_library(file))}, key=lambda one: one.file)
    vendors = {text for what, text in seen if what == "vendor"}
    vendors |= {vendor for file in {*files, *linked} if file and (vendor := other_vendor(file))}
    return Binary(
        name=name,
        kind=kind,
        machine=machines.pop() if len(machines) == 1 else None,
        code=group_units(containers, name=name),
        entry_kinds=count_kinds(containers),
        compressions=count_compressions(containers),
        links=links,
        opened=tuple(opened),
        tools=tuple(sorted(text for what, text in seen if what == "tool")),
        static_runtime=_static_runtime(seen, links),
        compiler=_compiler(seen),
        other_vendors=tuple(sorted(vendors)),
        unread_members=sum(part.kind is None for part in parts),
    )


def _merge_links(links: list[Links]) -> Links | None:
    """What several members ask for together; None when nothing was read of any."""
    if len(links) <= 1:
        return links[0] if links else None
    if any(one.cuda_symbols is None for one in links):
        return replace(links[0], cuda_symbols=None)
    symbols = {symbol for one in links for symbol in one.cuda_symbols or ()}
    return replace(links[0], cuda_symbols=tuple(sorted(symbols)))


def _static_runtime(seen: frozenset[tuple[str, str]], links: Links | None) -> StaticRuntime | None:
    """The runtime inside, unless the file is the runtime itself. Two versions in one file say nothing for sure."""
    own = cuda_library(links.soname) if links and links.soname else None
    if (own and own.name == "cudart") or not seen >= _RUNTIME_TEXTS:
        return None
    versions = {CudaVersion.from_driver_integer(int(text)) for what, text in seen if what == "runtime version"}
    return StaticRuntime(version=versions.pop() if len(versions) == 1 else None)


def _compiler(seen: frozenset[tuple[str, str]]) -> CudaVersion | None:
    versions = {CudaVersion(text) for what, text in seen if what == "compiler"}
    return versions.pop() if len(versions) == 1 else None
