"""Bytes made to break the readers: a structure or a FormatError, soon and in bounded memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binaries.made_files import archive, container, elf, entry, linked_elf, linked_pe
from gpuenv.binaries.archive import read_members
from gpuenv.binaries.binary import Binary, read_binary
from gpuenv.binaries.buffers import read_text
from gpuenv.binaries.cubin import read_cubin, read_ptx
from gpuenv.binaries.elf_links import read_elf_links
from gpuenv.binaries.fatbin import SIGNATURE, search, walk
from gpuenv.binaries.keeping import Keep
from gpuenv.binaries.pe_links import read_pe_links
from gpuenv.binaries.sections import read_sections
from gpuenv.binaries.stream import read_stream
from gpuenv.errors import FormatError

UNIT = container(entry(80), entry(90, kind=1, isa=(8, 4)))
WORDS = b"\0libnvrtc.so.12\0nvcuda.dll\0ptxas\0"
LIBRARY = linked_elf(
    {".rodata": WORDS + UNIT, ".nv_fatbin": UNIT},
    needed=("libcudart.so.12", "libc.so.6"),
    rpath="$ORIGIN",
    undefined=("cudaMalloc", "cuInit"),
    defined=("main",),
    versions=("GLIBC_2.4", "GLIBC_2.28"),
)
DLL = linked_pe(
    {".rdata": WORDS, ".nv_fatb": UNIT}, imports={"cudart64_12.dll": ("cudaFree",)}, delayed={"nvcuda.dll": ()}
)
CUBIN = bytearray(elf({".note.nv.tkinfo": b"ptxas\0-arch sm_90a\0"}))
CUBIN[18] = 190
PTX = b".version 9.0\n.target sm_90a\n.address_size 64\n"
ARCHIVE = archive(b"table", LIBRARY, UNIT, b"#1/", names=("/", "#1/0", "c.o/"))
SEEDS = [LIBRARY, DLL, UNIT, bytes(CUBIN), PTX, ARCHIVE]
SMALL = Keep(head_bytes=512, tail_bytes=128, parts_bytes=256, names_bytes=512)
READERS: list[Callable[[bytes], object]] = [
    lambda content: read_binary(content, name="x"),
    lambda content: read_stream([content], name="x"),
    lambda content: read_stream([content], name="x", keep=SMALL),
    lambda content: list(walk(content)),
    lambda content: list(search(content)),
    read_sections,
    read_elf_links,
    read_pe_links,
    read_cubin,
    read_ptx,
    lambda content: list(read_members(content)),
    lambda content: read_text(content, 3),
]


def survives(content: bytes) -> None:
    """Every reader gives a structure or a FormatError."""
    for reader in READERS:
        try:
            reader(content)
        except FormatError as error:
            assert error.message  # noqa: PT017  (the error may or may not come)


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.data())
def test_changed_bytes_break_no_reader(seed: bytes, data: st.DataObject) -> None:
    """Bytes, words and long words of a good file are replaced, many of them by the numbers that break things."""
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 5))):
        width = data.draw(st.sampled_from([1, 2, 4, 8]))
        at = data.draw(st.integers(0, len(content) - width))
        top = (1 << 8 * width) - 1
        value = data.draw(st.sampled_from([0, 1, top, top >> 1, len(content) & top]) | st.integers(0, top))
        content[at : at + width] = value.to_bytes(width, "little")
    survives(bytes(content))


@settings(max_examples=60, deadline=2000)
@given(st.sampled_from(SEEDS), st.data())
def test_cut_and_joined_files_break_no_reader(seed: bytes, data: st.DataObject) -> None:
    """The start of one file with the end of another, and parts of a file left out."""
    other = data.draw(st.sampled_from(SEEDS))
    start = data.draw(st.integers(0, len(seed)))
    survives(seed[:start] + other[data.draw(st.integers(0, len(other))) :])


@settings(max_examples=100, deadline=2000)
@given(
    st.sampled_from([b"", b"\x7fELF\x02\x01\x01", b"MZ", b"!<arch>\n", SIGNATURE, b".version 9.0\n"]),
    st.binary(max_size=300),
)
def test_any_bytes_behind_a_known_start_break_no_reader(start: bytes, rest: bytes) -> None:
    """What looks like a file for as long as its first bytes."""
    survives(start + rest)


@settings(max_examples=150, deadline=2000)
@given(st.sampled_from(SEEDS), st.data())
def test_both_readers_agree_on_changed_files(seed: bytes, data: st.DataObject) -> None:
    """Where the file at hand gives an answer, the stream gives the same, if it could read what the file asks for."""
    content = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        whole: Binary | None = read_binary(bytes(content), name="x")
    except FormatError:
        whole = None
    try:
        passed: Binary | None = read_stream([bytes(content)], name="x")
    except FormatError:
        passed = None
    assert passed == whole


def quickly(content: bytes) -> None:
    """Every reader ends within two seconds, and the two for whole files within 32 MB."""
    for reader in READERS:
        began = time.monotonic()
        with suppress(FormatError):
            reader(content)
        assert time.monotonic() - began < 2, reader
    for reader in READERS[:2]:
        tracemalloc.start()
        with suppress(FormatError):
            reader(content)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 32 << 20


def nearly_containers() -> bytes:
    """Starts of containers that share one long row of entries and never end where they should."""
    shape = struct.Struct("<HHIQ8sHHI8xQ16x")
    row = shape.pack(2, 0x101, 64, 0, SIGNATURE, 0, 0x40, 80, 0x11)
    return SIGNATURE + (64 * 16000 + 7).to_bytes(8, "little") + row * 16000 + bytes(7)


def overlapping_sections() -> bytes:
    """Many sections that are each the whole file."""
    file = bytearray(elf({f".rodata{index}": b"x" for index in range(2000)}))
    table = int.from_bytes(file[40:48], "little")
    for index in range(1, 2001):
        struct.pack_into("<QQQQ", file, table + index * 64 + 8, 2, 0, 0, len(file))
    return bytes(file)


def repeating_versions() -> bytes:
    """Version needs that point at themselves."""
    file = bytearray(linked_elf({}, needed=("libc.so.6",), versions=("GLIBC_2.4",)))
    # The text of the second `libc.so.6` follows that of the first.
    at = file.index(struct.pack("<HHIII", 1, 1, 11, 16, 0))
    struct.pack_into("<HHIII", file, at, 1, 0xFFFF, 1, 0, 0)
    return bytes(file)


@pytest.mark.parametrize(
    "content",
    [
        nearly_containers(),
        container(*[entry(80, payload=b"")] * 9000),
        container() * 20000,
        elf({".nv_fatbin": container() * 20000}),
        overlapping_sections(),
        repeating_versions(),
        archive(*[b""] * 5000),
        archive(*[b"\x7fELF"] * 5000),
        b"!<arch>\n" + b"name/".ljust(48) + b"-1        `\n" + bytes(100),
        b"!<arch>\n" + b"#1/999".ljust(48) + b"10        `\n" + bytes(10),
        linked_elf({".rodata": b".so" * 60000}),
        linked_elf({".rodata": b"libcu.so" * 20000}),
        linked_elf({".rodata": b"ptxas" * 40000}),
        linked_pe({".rdata": b"a.dll" * 40000}, imports={}),
        linked_pe({".rdata": b".\0d\0l\0l\0" * 30000}, imports={}),
        b".version 9.0\n.target sm_90\n" * 6000,
        b".version 9.0\n" + b" " * 1000000,
        b"/*" * 500000,
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_files_made_to_waste_time_do_not(content: bytes) -> None:
    """Chains that share their links, sections over each other, counts and sizes beyond sense."""
    quickly(content)
