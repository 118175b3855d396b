"""The CUDA version that NVIDIA's compilers say of themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from binaries.made_files import archive, container, entry, linked_elf, pe
from gpuenv.binaries.binary import read_binary
from gpuenv.binaries.stream import read_stream
from gpuenv.versions import CudaVersion

SAYS = b"\0\0Cuda compilation tools, release 12.8, V12.8.93\0Build cuda_12.8.r12.8/compiler.35583870_0\0"
NVCC = shutil.which("nvcc")


def compiler_of(file: bytes, *, step: int = 1 << 16) -> CudaVersion | None:
    """The compiler in a file, which is the same at hand and as a stream."""
    at_hand = read_binary(file, name="x").compiler
    streamed = read_stream((file[at : at + step] for at in range(0, len(file), step)), name="x").compiler
    assert at_hand == streamed
    return at_hand


@pytest.mark.parametrize(
    "file",
    [
        linked_elf({".rodata": SAYS}),
        pe({".rdata": SAYS}),
        archive(linked_elf({".rodata": SAYS}), linked_elf({".data": b"\0" + SAYS})),
        linked_elf({".text": b"code", ".rodata": bytes(300_000) + SAYS}),
    ],
    ids=["elf", "pe", "archive", "far in"],
)
def test_a_compiler_is_told_by_the_text_it_prints(file: bytes) -> None:
    """Whatever kind of file it is in."""
    assert compiler_of(file) == CudaVersion("12.8")


@pytest.mark.parametrize(
    "file",
    [
        linked_elf({".rodata": b"\0// Cuda compilation tools, release 12.8, V12.8.93\0"}),
        linked_elf({".rodata": b"\0ptxas\0Cuda compilation tools, release 12.8, V12.8.93\0"}),
        linked_elf({".rodata": b"\0Cuda compilation tools, release %d.%d,\0"}),
        linked_elf({".nv_fatbin": container(entry(80, payload=SAYS + bytes(-len(SAYS) % 8)))}),
        linked_elf({".debug_str": SAYS}),
        linked_elf({".rodata": SAYS + SAYS.replace(b"12.8", b"13.0")}),
        linked_elf({".rodata": b"nothing of the kind"}),
    ],
    ids=["comment of PTX", "in machine code", "pattern", "in a container", "debug text", "two versions", "none"],
)
def test_what_a_compiler_wrote_is_no_compiler(file: bytes) -> None:
    """Nor are two versions in one file one."""
    assert compiler_of(file) is None


def test_the_mark_of_a_container_in_instructions_hides_nothing() -> None:
    """Programs that write containers have the mark as a number in their code; what follows is no size."""
    mark = container()[:8] + b"\x48\x89\x44\x24\x08\xe9\x11\x22" + bytes([0x20] * 400)
    assert compiler_of(linked_elf({".text": b"\x90" * 5 + mark, ".rodata": SAYS})) == CudaVersion("12.8")


@pytest.mark.skipif(NVCC is None, reason="needs the CUDA toolkit")
def test_the_compilers_of_a_toolkit_say_its_version(tmp_path: Path) -> None:
    """`ptxas` and NVVM do, and libraries that `nvcc` made do not."""
    assert NVCC
    said = subprocess.run([NVCC, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (\d+\.\d+)", said)
    listed = subprocess.run([NVCC, "--dryrun", "x.cu"], capture_output=True, text=True, check=False).stderr
    top = re.search(r"^#\$ TOP=(.+)$", listed, re.MULTILINE)
    assert found
    assert top
    root = Path(top[1].strip())
    programs = [
        path for pattern in ("bin/ptxas", "lib*/libnvvm.so.*", "nvvm/lib*/libnvvm.so.*") for path in root.glob(pattern)
    ]
    assert programs
    for program in programs:
        assert compiler_of(program.read_bytes(), step=1 << 18) == CudaVersion(found[1]), program.name
    source = tmp_path / "kernel.cu"
    source.write_text("__global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }\n")
    for way in ("-shared", "-rdc=true"):
        output = tmp_path / f"kernel{way}.so"
        subprocess.run([NVCC, "-Xcompiler", "-fPIC", way, "-shared", str(source), "-o", str(output)], check=True)
        assert compiler_of(output.read_bytes()) is None
