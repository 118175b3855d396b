"""NVIDIA's libraries: which package holds which, what their numbers mean, which GPUs they are documented for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.facts.libraries import (
    documented_lowest,
    find_library,
    holds,
    is_instrument,
    library_cuda,
    library_sources,
    load_libraries,
    lowest_of_toolkit,
    selects_at_run_time,
)
from gpuenv.versions import ComputeCapability, CudaVersion


def test_each_package_is_there_once() -> None:
    """Wheels and conda packages have names of their own, or one row for both."""
    for names in (
        [n for row in load_libraries() for n in row.wheels],
        [n for row in load_libraries() for n in row.conda],
    ):
        assert set(Counter(names).values()) == {1}
    assert {key for row in load_libraries() for key in row.source} <= set(library_sources())


@pytest.mark.parametrize(
    ("package", "library"),
    [
        ("nvidia-cublas-cu12", "cublasLt"),
        ("nvidia-cublas", "nvblas"),
        ("libcublas", "cublas"),
        ("nvidia-cuda-runtime-cu11", "cudart"),
        ("cuda-cudart_linux-64", "cudart"),
        ("nvidia_cudnn_cu13", "cudnn_ops"),
        ("tensorrt-cu12-libs", "nvinfer_plugin"),
        ("cudatoolkit", "cufft"),
    ],
)
def test_a_package_holds_its_libraries(package: str, library: str) -> None:
    """By the name of the wheel or of the conda package."""
    row = find_library(package)
    assert row is not None
    assert holds(row, library)


@pytest.mark.parametrize("package", ["nvidia-ml-py", "nvidia-smi", "numpy", "nvidia-dali-cuda120", "cuda-python", ""])
def test_other_packages_of_that_look_are_none(package: str) -> None:
    """NVIDIA publishes tools and bindings under names of the same kind."""
    assert find_library(package) is None


@pytest.mark.parametrize(
    ("package", "version", "expected"),
    [
        ("nvidia-cuda-nvrtc-cu12", "12.8.93", (12, CudaVersion("12.8"))),
        ("nvidia-cuda-runtime", "13.2.75", (13, CudaVersion("13.2"))),
        ("nvidia-cublas-cu12", "12.8.4.1", (12, CudaVersion("12.8"))),
        ("nvidia-cublas-cu11", "11.11.3.6", (11, None)),
        ("nvidia-cublas", "13.1.0.3", (13, None)),
        ("nvidia-cufft-cu12", "11.3.3.83", (12, None)),
        ("nvidia-cufft", "12.0.0.61", (13, None)),
        ("libcufft", "11.3.3.83", None),
        ("nvidia-cudnn-cu12", "9.10.2.21", (12, None)),
        ("cudatoolkit", "11.8.0", (11, CudaVersion("11.8"))),
        ("cuda-toolkit", None, None),
        ("numpy", "2.0", None),
    ],
)
def test_names_and_numbers_tell_the_cuda_line(
    package: str, version: str | None, expected: tuple[int, CudaVersion | None] | None
) -> None:
    """Exactly where the library is numbered like its toolkit, else by the major in the name."""
    assert library_cuda(package, version) == expected


@pytest.mark.parametrize(
    ("package", "version", "lowest"),
    [
        ("nvidia-cublas-cu12", "12.8.4.1", "5.0"),
        ("nvidia-cublas-cu11", "11.11.3.6", "3.5"),
        ("nvidia-cufft", "12.0.0.61", "7.5"),
        ("nvidia-cudnn-cu12", "9.10.2.21", "5.0"),
        ("nvidia-cudnn-cu12", "9.11.0.98", "7.5"),
        ("nvidia-cudnn-cu13", "9.10.2", "7.5"),
        ("nvidia-nccl-cu12", "2.27.3", "5.0"),
        ("nvidia-nccl-cu13", "2.30.7", "7.5"),
        ("cudatoolkit", "10.2.89", "3.0"),
        ("nvidia-cudnn-cu11", "8.9.6.50", None),
        ("nvidia-cusparselt-cu12", "0.7.1", None),
        ("nvidia-cudnn-cu12", "no version", None),
        ("numpy", "2.0", None),
    ],
)
def test_the_lowest_gpu_is_the_documented_one(package: str, version: str, lowest: str | None) -> None:
    """Libraries of the toolkit serve what it serves; cuDNN and NCCL have documents of their own."""
    assert documented_lowest(package, version) == (ComputeCapability(lowest) if lowest else None)


def test_the_toolkits_range_rises_with_its_major() -> None:
    """Each major dropped what was oldest; of a major that is not known nothing is said."""
    lowest = [lowest_of_toolkit(major) for major in range(9, 14)]
    assert lowest == [ComputeCapability(text) for text in ("3.0", "3.0", "3.5", "5.0", "7.5")]
    assert lowest_of_toolkit(99) is None


@pytest.mark.parametrize("file", ["libcupti.so.12", "libcheckpoint.so", "cupti64_2025.1.1.dll", "x/libnvperf_host.so"])
def test_profiling_libraries_are_told_by_name(file: str) -> None:
    """A package that brings them along computes without them."""
    assert is_instrument(file)
    assert not selects_at_run_time(file)


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_name_and_version_get_an_answer(package: str, version: str) -> None:
    """Or none, never an error."""
    assert documented_lowest(package, version) is None or find_library(package)
    assert library_cuda("nvidia-cudnn-cu12", version) == (12, None)
