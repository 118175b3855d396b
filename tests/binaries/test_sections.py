"""Sections of ELF and PE files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binaries.made_files import elf, pe
from gpuenv.binaries.sections import read_sections
from gpuenv.errors import FormatError

PARTS = {".text": b"code", ".nv_fatbin": b"GPU code", ".data": b"1234567"}


def contents(file: bytes) -> dict[str, bytes]:
    """The bytes of each section by name."""
    return {one.name: file[one.offset : one.offset + one.size_bytes] for one in read_sections(file)}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_elf_sections_are_found_in_every_word_size_and_byte_order(order: str, bits: int) -> None:
    """Each section comes back with its name and exactly its bytes."""
    found = contents(elf(PARTS, order=order, bits=bits))
    assert {name: found[name] for name in PARTS} == PARTS


def test_pe_names_are_cut_to_eight_bytes_and_file_padding_is_left_out() -> None:
    """A PE name has eight bytes, and what pads a section in the file is not part of it."""
    found = contents(pe({".text": b"code", ".nv_fatb": b"GPU code"}, padding=24))
    assert found == {".text": b"code", ".nv_fatb": b"GPU code"}


def test_a_section_without_bytes_in_the_file_is_not_listed() -> None:
    """`.bss` has a size but no bytes (type NOBITS), so it must not be read."""
    file = bytearray(elf({".bss": b"12345678"}))
    # The table has three headers of 64 bytes; the type is the second word of the one in the middle.
    file[-2 * 64 + 4] = 8
    assert ".bss" not in contents(bytes(file))


def test_an_elf_file_without_a_section_table_has_no_sections() -> None:
    """`sstrip` and some packers remove the table; that is no error."""
    file = bytearray(elf(PARTS))
    file[40:48] = bytes(8)
    assert read_sections(bytes(file)) == ()


def test_more_sections_than_the_header_can_count_are_counted_in_section_0() -> None:
    """From 65,280 sections on the count is the size of section 0, and the names' index its link (ELF, chapter 4)."""
    file = bytearray(elf(PARTS))
    table = int.from_bytes(file[40:48], "little")
    count = int.from_bytes(file[60:62], "little")
    file[60:64] = b"\0\0\xff\xff"
    file[table + 32 : table + 40] = count.to_bytes(8, "little")
    file[table + 40 : table + 44] = (count - 1).to_bytes(4, "little")
    assert contents(bytes(file))[".nv_fatbin"] == b"GPU code"


@pytest.mark.parametrize("file", [b"", b"#!/bin/sh\n", b"\x7fELF", b"MZ", elf(PARTS)[:-1], pe(PARTS)[:-1]])
def test_what_is_neither_or_is_cut_off_is_a_format_error(file: bytes) -> None:
    """Another kind of file, or the start of one, gives no sections but a reason."""
    with pytest.raises(FormatError):
        read_sections(file)


@given(st.sampled_from([elf(PARTS), elf(PARTS, bits=32, order=">"), pe(PARTS)]), st.data())
def test_changed_headers_give_sections_within_the_file_or_a_format_error(file: bytes, data: st.DataObject) -> None:
    """No header can make the reader leave the file or fail in another way."""
    content = bytearray(file)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_sections(content)
    except FormatError:
        return
    assert all(one.offset >= 0 and one.offset + one.size_bytes <= len(content) for one in found)
