"""The walker against NVIDIA's own compiler: what was asked of `nvcc` is what is read. No GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuenv.binaries.fatbin import Container, walk
from gpuenv.binaries.gpu_code import count_kinds, read_containers

KERNEL = "__global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }\n"
Compile = Callable[..., Path]


def nvcc_release() -> tuple[int, int]:
    """The version of the compiler found here, (0, 0) when there is none."""
    if not shutil.which("nvcc"):
        return 0, 0
    text = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


RELEASE = nvcc_release()
pytestmark = pytest.mark.skipif(RELEASE < (13, 0), reason="needs `nvcc` 13.0, which knows all architectures used here")


@pytest.fixture
def compile_kernel(tmp_path: Path) -> Compile:
    """Compiles one kernel to a file; the arguments are `nvcc`'s own."""

    def run(*arguments: str, output: str = "kernel.so") -> Path:
        source = tmp_path / "kernel.cu"
        source.write_text(KERNEL)
        command = ["nvcc", "-Xcompiler", "-fPIC", *arguments, str(source), "-o", str(tmp_path / output)]
        subprocess.run(command, check=True, capture_output=True)
        return tmp_path / output

    return run


def general_unit(containers: list[Container]) -> list[str]:
    """The images of the unit with the kernel: the other one is the linker's own and never has PTX."""
    return [str(image) for image in max(containers, key=lambda one: len(one.entries)).images]


def test_every_kind_of_target_is_read_back(compile_kernel: Compile) -> None:
    """Plain, architecture-specific and family-specific SASS, and PTX with the compiler's own language version."""
    path = compile_kernel(
        "-shared",
        *("-gencode", "arch=compute_75,code=sm_75"),
        *("-gencode", "arch=compute_90a,code=sm_90a"),
        *("-gencode", "arch=compute_100f,code=sm_100f"),
        *("-gencode", "arch=compute_90,code=compute_90"),
        *("-gencode", "arch=compute_120f,code=compute_120f"),
    )
    images = general_unit(list(read_containers(path.read_bytes())))
    assert images[:3] == ["sm_75", "sm_90a", "sm_100f"]
    # A CUDA release brings a PTX ISA of its own: 9.0 came with 13.0 (PTX ISA manual, release history).
    language = f"{RELEASE[0] - 4}.{RELEASE[1]}"
    assert images[3:] == [f"compute_90/ptx{language}", f"compute_120f/ptx{language}"]


@pytest.mark.parametrize(("mode", "compressions"), [("none", {None}), ("speed", {None, "lz4"}), ("size", {"zstd"})])
def test_compressed_code_is_read_without_decompressing(
    compile_kernel: Compile, mode: str, compressions: set[str | None]
) -> None:
    """Each compression mode of the compiler has a flag of its own; `speed` leaves small SASS as it is."""
    targets = ["-gencode", "arch=compute_80,code=[sm_80,compute_80]"]
    containers = list(read_containers(compile_kernel("-shared", f"--compress-mode={mode}", *targets).read_bytes()))
    assert {entry.compression for one in containers for entry in one.entries} == compressions
    assert "sm_80" in general_unit(containers)


def test_relocatable_code_is_read_from_its_own_section(compile_kernel: Compile) -> None:
    """`-rdc=true` puts code into `__nv_relfatbin`, together with code for the linker that is no image."""
    targets = ["-gencode", "arch=compute_90,code=lto_90", "-gencode", "arch=compute_90,code=sm_90"]
    containers = list(read_containers(compile_kernel("-c", "-rdc=true", *targets, output="kernel.o").read_bytes()))
    assert count_kinds(containers) == {"elf": 1, "lto": 1}
    assert general_unit(containers) == ["sm_90"]


def test_a_bare_fatbin_is_one_container(compile_kernel: Compile) -> None:
    """`nvcc -fatbin` writes a container without any file around it."""
    path = compile_kernel("-fatbin", "-gencode", "arch=compute_90,code=sm_90", output="kernel.fatbin")
    assert [[str(image) for image in one.images] for one in walk(path.read_bytes())] == [["sm_90"]]
