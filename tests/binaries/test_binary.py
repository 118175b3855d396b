"""One function for every kind of native file."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from binaries.made_files import archive, container, elf, entry, linked_elf, linked_pe
from gpuenv.binaries.binary import Binary, BinaryKind, StaticRuntime, read_binary
from gpuenv.errors import FormatError
from gpuenv.versions import CudaVersion

UNIT = container(entry(80), entry(90, kind=1, isa=(8, 4)))
PTX = b"// made by hand\n/* twice */\n.version 9.0\n.target sm_90a, texmode_independent\n.address_size 64\n"
RUNTIME_TEXTS = b"\0CUDA driver version is insufficient for CUDA runtime version\0\0cuGetExportTable\0"


def images(binary: Binary) -> list[str]:
    """All images of a file as text."""
    return [str(image) for group in binary.code.groups for image in group.images] if binary.code else []


def cubin(flags: int, abi_version: int, command: bytes = b"") -> bytes:
    """An ELF file of machine 190 with the note in which `ptxas` keeps its command line."""
    file = bytearray(elf({".text.kernel": b"code", ".note.nv.tkinfo": b"ptxas\0" + command + b"\0"}))
    file[8], file[18:20], file[48:52] = abi_version, struct.pack("<H", 190), struct.pack("<I", flags)
    return bytes(file)


@pytest.mark.parametrize(
    ("file", "kind", "expected"),
    [
        (elf({".nv_fatbin": UNIT}), "elf", ["sm_80", "compute_90/ptx8.4"]),
        (linked_pe({".nv_fatb": UNIT}, imports={}), "pe", ["sm_80", "compute_90/ptx8.4"]),
        (UNIT, "fatbin", ["sm_80", "compute_90/ptx8.4"]),
        (PTX, "ptx", ["compute_90a/ptx9.0"]),
        (archive(elf({"__nv_relfatbin": UNIT})), "archive", ["sm_80", "compute_90/ptx8.4"]),
        (cubin(0x4B054B, 7), "cubin", ["sm_75"]),
        (cubin(0x6006402, 8), "cubin", ["sm_100"]),
        (cubin(0x6006402, 8, b"-arch sm_100f -m 64"), "cubin", ["sm_100f"]),
        (cubin(0x6005A04, 8, b"-arch sm_90a -m 64"), "cubin", ["sm_90a"]),
        (b"MTLB" + bytes(60), "metallib", []),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C) + bytes(40), "mach-o", []),
    ],
)
def test_every_kind_of_file_is_told_by_its_first_bytes(file: bytes, kind: str, expected: list[str]) -> None:
    """And gives the GPU code in it, whichever way it is wrapped."""
    binary = read_binary(file, name="x")
    assert binary.kind == kind
    assert images(binary) == expected


def test_object_files_are_no_libraries() -> None:
    """ELF files of type 1 are what a linker takes."""
    file = bytearray(elf({"__nv_relfatbin": UNIT}))
    file[16] = 1
    assert read_binary(bytes(file), name="x.o").kind is BinaryKind.OBJECT


@pytest.mark.parametrize(
    "file", [b"", b"#!/bin/sh\n", b"PK\x03\x04", b"!<thin>\n", b".target sm_90\n", b"// only a comment\n"]
)
def test_other_files_are_a_format_error(file: bytes) -> None:
    """A script, a zip file, an archive without its members: nothing is said of them."""
    with pytest.raises(FormatError):
        read_binary(file, name="x")


def test_ptx_text_may_hold_several_modules() -> None:
    """Each `.version` line begins one; its `.target` line says for which architecture."""
    text = PTX + b".visible .entry f() { ret; }\n.version 8.0\n.target sm_80\n"
    binary = read_binary(text, name="x.ptx")
    assert sorted(images(binary)) == ["compute_80/ptx8.0", "compute_90a/ptx9.0"]
    assert binary.code is not None
    assert binary.code.size_bytes == len(text)


@pytest.mark.parametrize(
    "text", [b".version 9.0\n", b".version 9.0\n.target nothing\n", b".version x\n.target sm_90\n"]
)
def test_ptx_without_version_or_target_is_a_format_error(text: bytes) -> None:
    """What it is for cannot be told."""
    with pytest.raises(FormatError):
        read_binary(text, name="x.ptx")


@pytest.mark.parametrize(
    ("machine", "name"), [(62, "x86_64"), (3, "i686"), (183, "aarch64"), (21, "ppc64le"), (9999, None)]
)
def test_the_processor_is_named(machine: int, name: str | None) -> None:
    """As everywhere in gpuenv; None for one that has no name here."""
    assert read_binary(linked_elf({}, machine=machine), name="x").machine == name


def test_libraries_opened_by_hand_are_told_from_those_linked_with() -> None:
    """A name among the constants can be opened; one in the dynamic section always is."""
    constants = b"\0libcuda.so.1\0/usr/lib/libnvrtc.so.12\0libcudart.so.12\0cublas libcublas.so.%d\0libcurl.so.4\0"
    binary = read_binary(linked_elf({".rodata": constants}, needed=("libcudart.so.12",)), name="x")
    assert [one.file for one in binary.cuda_libraries] == ["libcudart.so.12"]
    assert [one.file for one in binary.opened] == ["libcublas.so", "libcuda.so.1", "libnvrtc.so.12"]
    assert binary.jit == ("nvrtc",)


def test_windows_programs_open_libraries_by_names_in_both_widths() -> None:
    """`LoadLibraryA` takes bytes, `LoadLibraryW` words of two bytes."""
    constants = b"\0nvcuda.dll\0\0" + "nvrtc64_120_0.dll".encode("utf-16-le") + b"\0\0"
    binary = read_binary(linked_pe({".rdata": constants}, imports={}), name="x.dll")
    assert [one.file for one in binary.opened] == ["nvcuda.dll", "nvrtc64_120_0.dll"]


def test_compilers_are_found_by_name_but_not_in_gpu_code() -> None:
    """GPU code names the `ptxas` that made it; a program that runs `ptxas` names it among its constants."""
    noted = container(entry(90, payload=b"\0ptxas\0Cuda compilation tools"))
    assert read_binary(linked_elf({".nv_fatbin": noted, ".rodata": noted}), name="x").tools == ()
    calling = linked_elf({".rodata": b"\0ptxas\0--gpu-name\0", ".data": b"/nvvm/libdevice.10.bc\0"})
    assert read_binary(calling, name="x").jit == ("libdevice", "ptxas")


@pytest.mark.parametrize(
    ("machine", "code"),
    [
        (62, b"\x48\x85\xff\x74\x0b\xc7\x07" + struct.pack("<I", 12080) + b"\x31\xc0\xc3"),
        (183, b"\xa0\x00\x00\xb4" + struct.pack("<II", 0x52800000 | 12080 << 5 | 2, 0x52800000)),
    ],
)
def test_a_runtime_linked_statically_says_its_version_in_its_code(machine: int, code: bytes) -> None:
    """`cudaRuntimeGetVersion` is a few instructions with the number in them."""
    file = linked_elf({".rodata": RUNTIME_TEXTS, ".text": b"\x90" * 8 + code}, machine=machine)
    assert read_binary(file, name="x").static_runtime == StaticRuntime(version=CudaVersion("12.8"))
    assert read_binary(linked_elf({".rodata": RUNTIME_TEXTS}), name="x").static_runtime == StaticRuntime()
    assert read_binary(linked_elf({".text": code}, machine=machine), name="x").static_runtime is None
    own = linked_elf({".rodata": RUNTIME_TEXTS, ".text": code}, machine=machine, soname="libcudart.so.12")
    assert read_binary(own, name="libcudart.so.12").static_runtime is None


@pytest.mark.parametrize(
    ("file", "vendors"),
    [
        (elf({".hip_fatbin": b"__CLANG_OFFLOAD_BUNDLE__"}), ("ROCm",)),
        (
            linked_elf({".rodata": b"__CLANG_OFFLOAD_BUNDLE__" + bytes(32) + b"hipv4-amdgcn-amd-amdhsa--gfx90a"}),
            ("ROCm",),
        ),
        (elf({"__CLANG_OFFLOAD_BUNDLE__sycl-spir64": b"code"}), ("SYCL",)),
        (linked_elf({}, needed=("libamdhip64.so.6", "libsycl.so.8")), ("ROCm", "SYCL")),
        (linked_elf({".rodata": b"__CLANG_OFFLOAD_BUNDLE__\0 is what bundles begin with"}), ()),
    ],
)
def test_code_of_other_vendors_is_named(file: bytes, vendors: tuple[str, ...]) -> None:
    """By its section, by the targets in a bundle, or by the libraries; a compiler that knows the mark is none."""
    assert read_binary(file, name="x").other_vendors == vendors


def test_members_of_an_archive_count_together() -> None:
    """GPU code and symbols of all; its tables are nothing, and what is of no known kind is counted."""
    tables, long_name = bytes(12), b"a_long_name.o\0\0\0" + elf({"__nv_relfatbin": UNIT})
    file = archive(
        tables, long_name, elf({".nv_fatbin": UNIT}), b"\x64\x86 COFF", names=("/", "#1/16", "b.o/", "c.obj/")
    )
    binary = read_binary(file, name="x.a")
    assert binary.code is not None
    assert [group.units for group in binary.code.groups] == [2]
    assert binary.entry_kinds == {"elf": 2, "ptx": 2}
    assert binary.unread_members == 1


def test_a_library_without_its_section_table_is_searched_whole() -> None:
    """Where nobody says what is where, GPU code is found by its first bytes; it must not read as having none."""
    file = bytearray(elf({".nv_fatbin": UNIT}))
    file[40:48] = bytes(8)
    assert images(read_binary(bytes(file), name="x")) == ["sm_80", "compute_90/ptx8.4"]


def test_compressions_and_unknown_kinds_are_counted() -> None:
    """Nothing that was seen goes without a word."""
    unit = container(entry(80, flags=0x2011), entry(90, flags=0x8011), entry(90, kind=77))
    binary = read_binary(elf({".nv_fatbin": unit}), name="x")
    assert binary.compressions == {"lz4": 1, "none": 1, "zstd": 1}
    assert binary.entry_kinds == {"elf": 2, "kind 77": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from `/proc`")
def test_a_mapped_file_does_not_stay_in_memory(tmp_path: Path) -> None:
    """128 MB of constants and of GPU code are looked at, but at most 60 MB more than the interpreter's own are held."""
    path = tmp_path / "libx.so"
    path.write_bytes(
        linked_elf({".rodata": b"word" * (1 << 24), ".nv_fatbin": container(entry(80, payload=bytes(1 << 16))) * 1024})
    )
    program = """if True:
        import mmap, pathlib, re, sys
        from gpuenv.binaries.binary import read_binary
        def peak():
            return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
        before = peak()
        with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            read_binary(buffer, name="x")
        print(peak() - before)
    """
    command = [sys.executable, "-c", program, str(path)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 60 << 10
