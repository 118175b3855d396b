"""The table of GPU packages holds together and agrees with the catalog."""

from __future__ import annotations

from collections import Counter

import pytest

from gpuenv.channels.catalog.projects import find_project, project_names
from gpuenv.facts.frameworks import (
    find_framework,
    framework_of_file,
    framework_sources,
    gpu_modules,
    gpu_packages,
    load_frameworks,
)
from gpuenv.facts.libraries import holds, load_libraries
from gpuenv.model import GpuSupport, Jit


def test_each_name_and_module_is_there_once() -> None:
    """So that a name means one package; and each row names sources that are listed."""
    rows = load_frameworks()
    for counted in (
        Counter(name for row in rows for name in row.names),
        Counter(m for row in rows for m in row.imports),
    ):
        assert set(counted.values()) == {1}
    assert {key for row in rows for key in row.source} == set(framework_sources())
    assert all(name == name.lower() and "_" not in name for row in rows for name in row.names)


@pytest.mark.parametrize(
    ("name", "support"),
    [
        ("torch", GpuSupport.RUN_TIME),
        ("Torch", GpuSupport.RUN_TIME),
        ("tensorflow-gpu", GpuSupport.COMPILE_TIME),
        ("cupy_cuda12x", GpuSupport.COMPILE_TIME),
        ("cupy-cuda102", GpuSupport.COMPILE_TIME),
        ("cupy-rocm-5-0", GpuSupport.COMPILE_TIME),
        ("jax-cuda13-plugin", GpuSupport.COMPILE_TIME),
        ("numba-cuda", GpuSupport.RUN_TIME),
        ("mxnet-cu112", GpuSupport.COMPILE_TIME),
        ("cudf-cu12", GpuSupport.RUN_TIME),
        ("keras", GpuSupport.THROUGH),
    ],
)
def test_names_are_found_however_they_are_spelled(name: str, support: GpuSupport) -> None:
    """With the class of GPU support that the package has."""
    row = find_framework(name)
    assert row is not None
    assert row.gpu_support is support


@pytest.mark.parametrize(
    "name", ["tensorflow-cpu", "onnxruntime", "faiss-cpu", "xgboost-cpu", "numpy", "torchlike", "opencv-python", ""]
)
def test_cpu_siblings_are_no_gpu_packages(name: str) -> None:
    """They are published beside the GPU packages and hold no GPU code."""
    assert find_framework(name) is None


def test_modules_may_be_part_of_a_package() -> None:
    """Whoever imports `numba` compiles for the CPU; `numba.cuda` is what counts."""
    assert gpu_modules()["numba.cuda"].jit is Jit.PTX
    assert "numba" not in gpu_modules()
    assert "numba" in gpu_packages()


def test_the_catalog_says_the_same() -> None:
    """Packages that both know use a GPU in the same way. Plans show Triton as a part of what needs it."""
    for name in project_names():
        project, row = find_project(name), find_framework(name)
        if project and row and name != "triton":
            assert project.gpu_support is row.gpu_support, name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("libtorch_cuda.so", "torch"),
        ("libc10_cuda.so", "torch"),
        ("torch_cuda.dll", "torch"),
        ("libtorch_cuda_linalg.so", None),
        ("libtorchaudio.so", None),
        ("torch_cuda.py", None),
    ],
)
def test_libraries_belong_to_their_package(file: str, name: str | None) -> None:
    """Other packages are linked with them."""
    row = framework_of_file(file)
    assert (row.names[0] if row else None) == name


def test_what_is_opened_is_a_known_library() -> None:
    """Each is one that a package of NVIDIA's brings."""
    for row in load_frameworks():
        for name in row.opens:
            assert any(holds(library, name) for library in load_libraries() if "*" not in library.holds), name
