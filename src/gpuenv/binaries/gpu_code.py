"""The GPU code of one native file as a `LibraryCode`: units grouped by the images that they carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from gpuenv.binaries.buffers import Buffer, ReadableBytes
from gpuenv.binaries.fatbin import Container, search, walk
from gpuenv.binaries.sections import Section, read_sections
from gpuenv.model import LibraryCode, UnitGroup

__all__ = [
    "GPU_SECTIONS",
    "containers_of",
    "count_compressions",
    "count_kinds",
    "group_units",
    "read_containers",
    "read_content",
    "read_library",
]

# A PE section name has room for eight bytes, so Windows linkers cut the two long ones.
GPU_SECTIONS = frozenset({".nv_fatbin", "__nv_relfatbin", ".nv_fatb", "__nv_rel"})


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


def containers_of(buffer: Buffer, sections: Iterable[Section]) -> Iterator[Container]:
    """The containers of these sections, as `read_containers` gives them."""
    for section in sections:
        read = walk if section.name in GPU_SECTIONS else search
        yield from read(buffer, start=section.offset, stop=section.offset + section.size_bytes)


def read_library(buffer: Buffer, *, name: str) -> LibraryCode | None:
    """The GPU code of the library whose bytes are `buffer`, or None when it has none. FormatError as above."""
    return group_units(read_containers(buffer), name=name)


def group_units(containers: Iterable[Container], *, name: str) -> LibraryCode | None:
    """The units with the same images as one group, the most frequent group first; None when no unit has an image."""
    counts: Counter[tuple[str, ...]] = Counter()
    groups, size = {}, 0
    for container in containers:
        if images := container.images:
            key = tuple(map(str, images))
            groups[key] = images
            counts[key] += 1
            size += container.code_bytes
    if not counts:
        return None
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    units = tuple(UnitGroup(images=groups[key], units=count) for key, count in ordered)
    return LibraryCode(name=name, groups=units, size_bytes=size)


def count_kinds(containers: Iterable[Container]) -> dict[str, int]:
    """How many entries there are of each kind (`elf`, `ptx`, `kind 16`), so that unknown ones do not go unseen."""
    kinds = Counter(entry.kind_name for container in containers for entry in container.entries)
    return dict(sorted(kinds.items()))


def count_compressions(containers: Iterable[Container]) -> dict[str, int]:
    """How many entries were compressed in which way (`lz4`, `zstd`), and how many were not (`none`)."""
    ways = Counter(entry.compression or "none" for container in containers for entry in container.entries)
    return dict(sorted(ways.items()))
