"""A file read as it passes gives the same answer as the file at hand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binaries.made_files import archive, container, elf, entry, linked_elf, linked_pe
from gpuenv.binaries.binary import read_binary
from gpuenv.binaries.keeping import Keep
from gpuenv.binaries.stream import read_stream
from gpuenv.errors import FormatError

UNIT = container(entry(80, payload=b"\x50\xed\x55\xba" * 40), entry(90, kind=1, isa=(8, 4)))
WORDS = b"\0libnvrtc.so.12\0ptxas \0libcuda.so.1\0"
LINKS = {
    "needed": ("libcudart.so.12", "libnccl.so.2"),
    "rpath": "$ORIGIN/../nvidia",
    "soname": "libx.so",
    "undefined": ("cudaMalloc", "ncclInit", "malloc"),
    "defined": ("main",),
    "versions": ("GLIBC_2.4", "GLIBC_2.28"),
}
LIBRARY = linked_elf({".rodata": WORDS + UNIT, ".nv_fatbin": UNIT + bytes(8) + UNIT}, **LINKS)  # type: ignore[arg-type]
PATCHED = linked_elf({".rodata": WORDS, ".nv_fatbin": UNIT}, strings_last=True, **LINKS)  # type: ignore[arg-type]
DLL = linked_pe({".rdata": WORDS, ".nv_fatb": UNIT}, imports={"cudart64_12.dll": ("cudaFree",)}, name="x.dll")
PTX = b".version 9.0\n.target sm_90\n.global .b8 x[9] = {" + b"1, " * 3000 + b"1};\n.version 8.1\n.target sm_80\n"
FILES = {
    "library": LIBRARY,
    "patched": PATCHED,
    "dll": DLL,
    "fatbin": UNIT + bytes(4) * (len(UNIT) % 8 // 4) + UNIT,
    "ptx": PTX,
    "archive": archive(b"table", elf({"__nv_relfatbin": UNIT}), b"odd", LIBRARY, UNIT, names=("/",)),
    "object": elf({"__nv_relfatbin": UNIT}),
}


def cut(content: bytes, places: list[int]) -> Iterator[bytes]:
    """The bytes in pieces."""
    edges = [0, *sorted(place % (len(content) + 1) for place in places), len(content)]
    return (content[start:stop] for start, stop in pairwise(edges))


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=8))
def test_any_cut_gives_the_answer_of_the_file_at_hand(name: str, places: list[int]) -> None:
    """Where chunks end decides nothing, also within headers, names and marks."""
    assert read_stream(cut(FILES[name], places), name="x") == read_binary(FILES[name], name="x")


@pytest.mark.parametrize("name", FILES)
def test_single_bytes_are_chunks_too(name: str) -> None:
    """The smallest chunks there are."""
    content = FILES[name]
    assert read_stream((content[at : at + 1] for at in range(len(content))), name="x") == read_binary(content, name="x")


@pytest.mark.parametrize("strings_last", [False, True])
def test_what_does_not_fit_is_found_by_what_was_kept(strings_last: bool) -> None:
    """With room for few KB the answer about a file of 3 MB is still whole: names are kept before they are asked for."""
    pad = bytes(range(256)) * 4096
    many = {f"_ZN4name{index:06}Ev": None for index in range(40000)}
    links = {**LINKS, "defined": tuple(many)}
    file = linked_elf({".text": pad, ".rodata": WORDS, ".nv_fatbin": UNIT}, strings_last=strings_last, **links)  # type: ignore[arg-type]
    keep = Keep(head_bytes=1 << 16, tail_bytes=1 << 12)
    assert read_stream(cut(file, []), name="x", keep=keep) == read_binary(file, name="x")


def test_what_was_let_go_is_not_made_up() -> None:
    """Where names did not fit, `links` is None instead of a part of the truth."""
    keep = Keep(head_bytes=1 << 10, tail_bytes=1 << 10, parts_bytes=0, names_bytes=0)
    file = linked_elf({".rodata": WORDS + bytes(1 << 20), ".nv_fatbin": UNIT}, **LINKS)  # type: ignore[arg-type]
    binary = read_stream(cut(file, []), name="x", keep=keep)
    assert binary.links is None
    assert binary.entry_kinds == read_binary(file, name="x").entry_kinds


def test_memory_does_not_grow_with_the_file() -> None:
    """A payload of 64 MB passes through less than 8."""
    head, tail = LIBRARY, bytes(1 << 16)

    def passing() -> Iterator[bytes]:
        yield head
        for _ in range(1024):
            yield tail

    tracemalloc.start()
    try:
        read_stream(passing(), name="x")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FILES)
def test_cut_off_files_fail_alike(name: str) -> None:
    """A file that ends too early is a format error in both readers."""
    content = FILES[name][: len(FILES[name]) * 2 // 3 + 1]
    if name == "ptx":
        content = b".version 9.0\n"
    with pytest.raises(FormatError):
        read_binary(content, name="x")
    with pytest.raises(FormatError):
        read_stream([content], name="x")


def test_a_section_that_holds_something_else_is_a_format_error() -> None:
    """The section of GPU code is walked in full, not only searched."""
    for broken in (b"something else.." + UNIT, UNIT + b"something else..", UNIT[:-8]):
        file = elf({".nv_fatbin": broken, ".data": b"words"})
        with pytest.raises(FormatError):
            read_binary(file, name="x")
        with pytest.raises(FormatError):
            read_stream([file], name="x")


@pytest.mark.parametrize("flags", [5, 7])
def test_names_are_found_in_code_that_does_not_begin_with_the_header(flags: int) -> None:
    """`patchelf` puts a segment before that with code and constants; `ld -N` makes one that is also written to."""
    file = bytearray(LIBRARY)
    size = int.from_bytes(file[96:104], "little") - 176
    file[68:72] = flags.to_bytes(4, "little")
    file[72:88] = (176).to_bytes(8, "little") * 2
    file[96:112] = size.to_bytes(8, "little") * 2
    binary = read_stream(cut(bytes(file), []), name="x")
    assert binary == read_binary(bytes(file), name="x")
    assert [library.name for library in binary.opened] == ["cuda", "nvrtc"]


def test_names_without_end_are_a_format_error_in_both_readers() -> None:
    """A file of nothing but names of libraries would fill the memory with what is seen."""
    file = linked_elf({".rodata": b"\0libcuda.so.1" * 20_000})
    with pytest.raises(FormatError, match="names more than"):
        read_binary(file, name="x")
    with pytest.raises(FormatError, match="names more than"):
        read_stream(cut(file, []), name="x")
