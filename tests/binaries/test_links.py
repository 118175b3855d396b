"""What ELF and PE files ask of other files."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from binaries.made_files import elf, linked_elf, linked_pe
from gpuenv.binaries.elf_links import read_elf_links
from gpuenv.binaries.links import Links
from gpuenv.binaries.pe_links import read_pe_links
from gpuenv.errors import FormatError
from gpuenv.versions import LibcVersion


@pytest.mark.parametrize("strings_last", [False, True])
def test_the_dynamic_section_says_what_an_elf_file_needs(strings_last: bool) -> None:
    """Libraries, own name, search paths, the newest C library version (not the last in the text), CUDA symbols."""
    file = linked_elf(
        {".rodata": b"words"},
        needed=("libcudart.so.12", "libc.so.6"),
        soname="libx.so.1",
        rpath="$ORIGIN/../nvidia:$ORIGIN",
        undefined=("cudaMalloc", "malloc", "cuInit"),
        defined=("cudaOwn",),
        versions=("GLIBC_2.4", "GLIBC_2.17", "GLIBC_PRIVATE", "GLIBC_2.3.4"),
        strings_last=strings_last,
    )
    assert read_elf_links(file) == Links(
        needed=("libcudart.so.12", "libc.so.6"),
        soname="libx.so.1",
        rpath=("$ORIGIN/../nvidia", "$ORIGIN"),
        glibc=LibcVersion("2.17"),
        cuda_symbols=("cuInit", "cudaMalloc"),
    )


def test_the_import_tables_say_what_a_dll_needs() -> None:
    """Libraries loaded at once and at the first call, and the symbols of both; those taken by number have no name."""
    file = linked_pe(
        {".rdata": b"words"},
        imports={"cudart64_12.dll": ("cudaMalloc",), "KERNEL32.dll": ("ExitProcess",)},
        delayed={"nvcuda.dll": ("cuInit",)},
        name="x.dll",
    )
    assert read_pe_links(file) == Links(
        needed=("cudart64_12.dll", "KERNEL32.dll"),
        delayed=("nvcuda.dll",),
        soname="x.dll",
        cuda_symbols=("cuInit", "cudaMalloc"),
    )


@pytest.mark.parametrize("strings_last", [False, True])
def test_a_file_that_others_look_up_nothing_in_has_undefined_symbols_too(strings_last: bool) -> None:
    """Its hash table says that hashed symbols begin with the first; `nvcc` makes such files of kernels alone."""
    file = linked_elf({}, needed=("libcudart.so.12",), undefined=("cudaFree", "cudaMalloc"), strings_last=strings_last)
    at = file.index(struct.pack("<IIII", 1, 3, 1, 0))
    empty = file[:at] + struct.pack("<IIII", 1, 1, 1, 0) + file[at + 16 :]
    assert read_elf_links(file).cuda_symbols == read_elf_links(empty).cuda_symbols == ("cudaFree", "cudaMalloc")


def test_a_file_without_tables_asks_for_nothing() -> None:
    """Static programs have no dynamic section."""
    assert read_elf_links(elf({".text": b"code"})) == Links()
    assert read_pe_links(linked_pe({".text": b"code"}, imports={})) == Links()


@pytest.mark.skipif(not shutil.which("readelf"), reason="needs `readelf` of binutils")
def test_the_libraries_of_this_python_are_read_as_readelf_reads_them() -> None:
    """Needed libraries, own name and search path of real files, as another program sees them."""
    files = [Path(sys.executable).resolve(), *Path(sys.base_prefix).glob("lib/python3*/lib-dynload/*.so")][:12]
    for file in files:
        text = subprocess.run(["readelf", "-dW", str(file)], capture_output=True, text=True, check=True).stdout
        links = read_elf_links(file.read_bytes())
        assert list(links.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", text)
        assert [":".join(links.runpath)] == (re.findall(r"\(RUNPATH\).*\[(.*)\]", text) or [""])
        versions = subprocess.run(["readelf", "-VW", str(file)], capture_output=True, text=True, check=True).stdout
        found = [LibcVersion(number) for number in re.findall(r"Name: GLIBC_(\d[\d.]*) ", versions)]
        assert links.glibc == max(found, default=None)


def test_counts_that_no_file_has_are_refused() -> None:
    """A version table or an import directory that runs in circles ends with a reason."""
    looping = bytearray(linked_elf({}, versions=("GLIBC_2.4",), needed=("libc.so.6",)))
    at = looping.index(struct.pack("<HHIII", 1, 1, 11, 16, 0))
    looping[at + 2 : at + 4] = b"\xff\xff"
    assert read_elf_links(bytes(looping)).glibc == LibcVersion("2.4")
    endless = bytearray(linked_pe({}, imports={"a.dll": ("x",)}))
    endless[64 + 24 + 112 + 8 : 64 + 24 + 112 + 12] = (0xFFFFFFF0).to_bytes(4, "little")
    with pytest.raises(FormatError):
        read_pe_links(bytes(endless))
