"""The GPU code of one native file as a `LibraryCode`: units grouped by the images that they carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gpuenv.binaries.buffers import Buffer, ReadableBytes
from gpuenv.binaries.fatbin import Container, search, walk
from gpuenv.binaries.sections import Section, read_sections
from gpuenv.model import LibraryCode, UnitGroup

__all__ = [
    "GPU_SECTIONS",
    "RELOCATABLE_SECTIONS",
    "can_hold_gpu_code",
    "containers_of",
    "count_compressions",
    "count_kinds",
    "group_units",
    "read_containers",
    "read_content",
    "read_library",
]

# A PE section name has room for eight bytes, so Windows linkers cut the two long ones.
RELOCATABLE_SECTIONS = frozenset({"__nv_relfatbin", "__nv_rel"})
GPU_SECTIONS = frozenset({".nv_fatbin", ".nv_fatb"}) | RELOCATABLE_SECTIONS


def read_containers(buffer: Buffer) -> Iterator[Container]:
    """The containers of an ELF or PE file, section by section; FormatError when the file is neither or is broken.

    Kernels that a library carries as plain data, to load by hand, lie in its other sections and are searched for:
    58 of the 534 units of torch 2.15.0's `libtorch_cuda.so` are there.
    """
    yield from containers_of(buffer, read_content(buffer))


def read_content(buffer: ReadableBytes) -> tuple[Section, ...]:
    """The sections that the program itself reads or runs; the whole file as one where the section table was removed."""
    sections = read_sections(buffer)
    whole = Section(name="", offset=0, size_bytes=len(buffer), is_code=True)
    return tuple(section for section in sections if section.has_content) if sections else (whole,)


def can_hold_gpu_code(section: Section) -> bool:
    """Whether GPU code may lie in a section: not among the machine code of the processor."""
    return section.is_data or not section.is_code


def containers_of(buffer: Buffer, sections: Iterable[Section]) -> Iterator[Container]:
    """The containers of these sections, as `read_containers` gives them."""
    for section in filter(can_hold_gpu_code, sections):
        stop = section.offset + section.size_bytes
        if section.name in RELOCATABLE_SECTIONS:
            for container in walk(buffer, start=section.offset, stop=stop):
                yield replace(container, is_relocatable=True)
        else:
            read = walk if section.name in GPU_SECTIONS else search
            yield from read(buffer, start=section.offset, stop=stop)


def read_library(buffer: Buffer, *, name: str) -> LibraryCode | None:
    """The GPU code of the library whose bytes are `buffer`, or None when it has none. FormatError as above."""
    return group_units(read_containers(buffer), name=name)


def group_units(containers: Iterable[Container], *, name: str) -> LibraryCode | None:
    """The units with the same images as one group, the most frequent group first; None when no unit has an image.

    Where there is code that the device linker made, the relocatable code that it was made from stands apart.
    """
    units = [container for container in containers if container.images]
    linked = [container for container in units if not container.is_relocatable]
    if not units:
        return None
    return LibraryCode(
        name=name,
        groups=_groups(linked or units),
        relocatable=_groups(one for one in units if one.is_relocatable) if linked else (),
        size_bytes=sum(container.code_bytes for container in linked or units),
    )


def _groups(containers: Iterable[Container]) -> tuple[UnitGroup, ...]:
    counts = Counter(container.images for container in containers)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], tuple(map(str, item[0]))))
    return tuple(UnitGroup(images=images, units=count) for images, count in ordered)


def count_kinds(containers: Iterable[Container]) -> dict[str, int]:
    """How many entries there are of each kind (`elf`, `ptx`, `kind 16`), so that unknown ones do not go unseen."""
    kinds = Counter(entry.kind_name for container in containers for entry in container.entries)
    return dict(sorted(kinds.items()))


def count_compressions(containers: Iterable[Container]) -> dict[str, int]:
    """How many entries were compressed in which way (`lz4`, `zstd`), and how many were not (`none`)."""
    ways = Counter(entry.compression or "none" for container in containers for entry in container.entries)
    return dict(sorted(ways.items()))
