"""The GPU code of a library: units grouped by what they carry."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from binaries.made_files import container, elf, entry, pe
from gpuenv.binaries.gpu_code import count_kinds, read_containers, read_library
from gpuenv.errors import FormatError

GENERAL = container(entry(80), entry(75), entry(90, kind=1, isa=(8, 4)))
SPECIAL = container(entry(90, flags=0x100011))


def groups(file: bytes) -> list[tuple[int, list[str]]]:
    """Units and images of each group."""
    library = read_library(file, name="libx.so")
    return [(group.units, [str(image) for image in group.images]) for group in library.groups] if library else []


def test_units_with_the_same_images_are_one_group_and_the_largest_comes_first() -> None:
    """What decides is how many units carry which images, not which file they came from."""
    file = elf({".nv_fatbin": SPECIAL + GENERAL + GENERAL})
    assert groups(file) == [(2, ["sm_75", "sm_80", "compute_90/ptx8.4"]), (1, ["sm_90a"])]


@pytest.mark.parametrize(
    "file", [elf({"__nv_relfatbin": GENERAL}), pe({".nv_fatb": GENERAL}, padding=40), pe({"__nv_relfatbin": GENERAL})]
)
def test_gpu_code_is_found_under_every_name_of_its_section(file: bytes) -> None:
    """Relocatable code and Windows libraries have sections of other names, which PE cuts to eight bytes."""
    assert groups(file) == [(1, ["sm_75", "sm_80", "compute_90/ptx8.4"])]


def test_kernels_carried_as_plain_data_count_too() -> None:
    """Torch 2.15.0 and TensorFlow keep containers among their constants and load them by hand."""
    file = elf({".rodata": b"words" + SPECIAL + b"words", ".nv_fatbin": GENERAL})
    assert [units for units, _ in groups(file)] == [1, 1]


def test_a_library_without_gpu_code_is_none() -> None:
    """None says that it was read and has none."""
    assert read_library(elf({".text": b"code"}), name="libx.so") is None


def test_the_size_is_that_of_the_code_without_headers() -> None:
    """Bytes of the payloads as they lie in the file."""
    library = read_library(elf({".nv_fatbin": container(entry(80, payload=bytes(48)))}), name="libx.so")
    assert library is not None
    assert library.size_bytes == 48


def test_unknown_kinds_are_counted_but_are_no_images() -> None:
    """What the reader does not know shows in a count, not as code for a GPU."""
    file = elf({".nv_fatbin": container(entry(90), entry(90, kind=77))})
    assert count_kinds(read_containers(file)) == {"elf": 1, "kind 77": 1}
    assert groups(file) == [(1, ["sm_90"])]


def test_a_broken_section_is_a_format_error() -> None:
    """A section that should hold GPU code and holds something else is not read as having none."""
    with pytest.raises(FormatError):
        read_library(elf({".nv_fatbin": GENERAL + b"something else.."}), name="libx.so")


def test_a_file_can_be_read_through_mmap(tmp_path: Path) -> None:
    """Large libraries are mapped, never loaded."""
    path = tmp_path / "libx.so"
    path.write_bytes(elf({".nv_fatbin": GENERAL}))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        library = read_library(buffer, name="libx.so")
    assert library is not None
    assert library.groups[0].units == 1
