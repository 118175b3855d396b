"""Files made by NVIDIA's own compiler: what was asked of `nvcc` is what both readers read. No GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binaries.test_nvcc_kernels import RELEASE
from gpuenv.binaries.binary import Binary, BinaryKind, read_binary
from gpuenv.binaries.stream import read_stream
from gpuenv.versions import CudaVersion

pytestmark = pytest.mark.skipif(RELEASE < (13, 0), reason="needs `nvcc` 13.0, which knows all architectures used here")

# A CUDA release brings a PTX ISA of its own: 9.0 came with 13.0 (PTX ISA manual, release history).
LANGUAGE = f"{RELEASE[0] - 4}.{RELEASE[1]}"
KERNELS = "\n".join(
    f"__global__ void kernel{index}(float *x) {{ for (int i = 0; i < {index}; i++) x[i] *= x[i + 1] + {index}.5f; }}"
    for index in range(1, 9)
)
TWO = "__global__ void other(int *x) { x[threadIdx.x] += 3; }"


@dataclass(frozen=True, kw_only=True)
class Made:
    """One file: what it is compiled for, how, and what else must be true of it."""

    output: str
    targets: tuple[str, ...]
    options: tuple[str, ...] = ()
    compressions: frozenset[str] | None = None
    units: int | None = None
    lto: int = 0

    @property
    def gencode(self) -> list[str]:
        """The options that ask for the targets."""
        words = []
        for target in self.targets:
            number = target.split("_")[1]
            words += ["-gencode", f"arch=compute_{number},code={target}"]
        return words

    @property
    def expected(self) -> set[str]:
        """The images that must be read."""
        ptx = {f"{target}/ptx{LANGUAGE}" for target in self.targets if target.startswith("compute_")}
        return ptx | {target for target in self.targets if target.startswith("sm_")}


MADE = (
    Made(output="plain.so", targets=("sm_75",), options=("-shared",)),
    Made(output="ampere.so", targets=("sm_80", "sm_86", "compute_86"), options=("-shared",)),
    Made(output="only_hopper.so", targets=("sm_90a",), options=("-shared",)),
    Made(output="mixed.so", targets=("sm_90", "sm_90a", "sm_100a", "sm_100f", "compute_120f"), options=("-shared",)),
    Made(output="blackwell.so", targets=("sm_103f", "sm_110", "sm_120", "sm_121a"), options=("-shared",)),
    Made(output="runtime.so", targets=("sm_89",), options=("-shared", "-cudart", "shared")),
    Made(output="two.so", targets=("sm_80", "compute_80"), options=("-shared", "two.cu"), units=2),
    Made(output="linked.so", targets=("sm_87",), options=("-shared", "-rdc=true", "two.cu")),
    Made(output="program", targets=("sm_88", "compute_75"), options=("main.cu",)),
    Made(output="plain.o", targets=("sm_90", "compute_90"), options=("-c",), units=1),
    Made(output="relocatable.o", targets=("sm_80", "sm_90"), options=("-c", "-rdc=true"), units=1),
    Made(output="lto.o", targets=("lto_90", "sm_90"), options=("-c", "-rdc=true"), lto=1),
    Made(output="static.a", targets=("sm_86",), options=("-lib", "-rdc=true", "two.cu"), units=2),
    Made(
        output="none.fatbin",
        targets=("sm_75", "compute_75"),
        options=("-fatbin", "--compress-mode=none"),
        compressions=frozenset({"none"}),
        units=1,
    ),
    Made(
        output="speed.fatbin",
        targets=("compute_80", "compute_90"),
        options=("-fatbin", "--compress-mode=speed"),
        compressions=frozenset({"lz4"}),
    ),
    Made(
        output="size.fatbin",
        targets=("sm_80", "compute_100f"),
        options=("-fatbin", "--compress-mode=size"),
        compressions=frozenset({"zstd"}),
    ),
    Made(output="hopper.cubin", targets=("sm_90a",), options=("-cubin",)),
    Made(output="family.cubin", targets=("sm_100f",), options=("-cubin",)),
    Made(output="old.cubin", targets=("sm_75",), options=("-cubin",)),
    Made(output="newest.cubin", targets=("sm_121",), options=("-cubin",)),
    Made(output="hopper.ptx", targets=("compute_90a",), options=("-ptx",)),
    Made(output="family.ptx", targets=("compute_120f",), options=("-ptx",)),
)
BY_NAME = {made.output: made for made in MADE}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All files, compiled once, several at a time."""
    place = tmp_path_factory.mktemp("kernels")
    (place / "kernels.cu").write_text(KERNELS)
    (place / "two.cu").write_text(TWO)
    (place / "main.cu").write_text("int main() { return 0; }")

    def compile_one(made: Made) -> tuple[str, Path]:
        command = ["nvcc", *made.gencode, "kernels.cu", *made.options, "-o", made.output]
        if made.output.endswith((".so", ".o", ".a")):
            command += ["-Xcompiler", "-fPIC"]
        subprocess.run(command, cwd=place, check=True, capture_output=True)
        return made.output, place / made.output

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(compile_one, MADE))


def images(binary: Binary) -> set[str]:
    """All images of a file as text."""
    return {str(image) for group in binary.code.groups for image in group.images} if binary.code else set()


def read(path: Path) -> Binary:
    """The file at hand."""
    return read_binary(path.read_bytes(), name=path.name)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_images_asked_for_are_those_read(files: dict[str, Path], name: str) -> None:
    """Every architecture, suffix and PTX version, and no other."""
    made, binary = BY_NAME[name], read(files[name])
    assert images(binary) == made.expected
    assert binary.entry_kinds.get("lto", 0) == made.lto
    if made.compressions is not None:
        assert set(binary.compressions) == made.compressions
    if made.units is not None:
        assert binary.code is not None
        whole = [group.units for group in binary.code.groups if {str(image) for image in group.images} == made.expected]
        assert whole == [made.units]


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=4, deadline=None)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=6))
def test_a_stream_of_the_file_gives_the_same(files: dict[str, Path], name: str, places: list[int]) -> None:
    """However it is cut, everything that is said of it."""
    content = files[name].read_bytes()
    edges = [0, *sorted(place % len(content) for place in places), len(content)]
    assert read_stream((content[start:stop] for start, stop in pairwise(edges)), name=name) == read(files[name])


def test_kinds_are_told(files: dict[str, Path]) -> None:
    """Each way to wrap GPU code is recognised."""
    kinds = {
        ".so": "elf",
        ".o": "object",
        ".a": "archive",
        ".fatbin": "fatbin",
        ".cubin": "cubin",
        ".ptx": "ptx",
        "": "elf",
    }
    for name, path in files.items():
        assert read(path).kind == BinaryKind(kinds[path.suffix]), name


def test_the_runtime_is_linked_statically_unless_told_otherwise(files: dict[str, Path]) -> None:
    """The version is that of the compiler; with `-cudart shared` the library is needed instead."""
    static, shared = read(files["plain.so"]), read(files["runtime.so"])
    assert static.static_runtime is not None
    assert static.static_runtime.version == CudaVersion(f"{RELEASE[0]}.{RELEASE[1]}")
    assert static.cuda_libraries == ()
    assert [one.file for one in static.opened] == ["libcuda.so.1"]
    assert shared.static_runtime is None
    assert [(one.name, one.version) for one in shared.cuda_libraries] == [("cudart", str(RELEASE[0]))]
    assert shared.links is not None
    assert "__cudaRegisterFatBinary" in (shared.links.cuda_symbols or ())


def _lister_release() -> tuple[int, ...]:
    if not shutil.which("cuobjdump"):
        return (0,)
    said = subprocess.run(["cuobjdump", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"release (\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)


@pytest.mark.skipif(_lister_release() < RELEASE, reason="needs `cuobjdump` that is no older than `nvcc`")
@pytest.mark.parametrize("name", [name for name in BY_NAME if not name.endswith((".ptx", ".cubin", ".a"))])
def test_cuobjdump_lists_the_same(files: dict[str, Path], name: str) -> None:
    """NVIDIA's own lister, which leaves out the `f` of SASS."""
    command = ["cuobjdump", "--list-elf", "--list-ptx", str(files[name])]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    listed = {
        ("sm_" if kind == "cubin" else "compute_") + target
        for target, kind in re.findall(r"sm_(\d+[af]?)\.(cubin|ptx)", text)
    }
    ours = {image.split("/")[0] for image in images(read(files[name]))}
    assert {re.sub(r"^(sm_\d+)f$", r"\1", image) for image in ours} == {
        re.sub(r"^(sm_\d+)f$", r"\1", one) for one in listed
    }
