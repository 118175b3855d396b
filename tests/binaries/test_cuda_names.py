"""File names of CUDA libraries and the versions in them."""

from __future__ import annotations

import pytest

from gpuenv.binaries.cuda_names import cuda_library, is_cuda_symbol, other_vendor


@pytest.mark.parametrize(
    ("file", "name", "version"),
    [
        ("libcuda.so.1", "cuda", "1"),
        ("libcudart.so.12", "cudart", "12"),
        ("libcudart.so.11.0", "cudart", "11.0"),
        ("libcublasLt.so.12", "cublasLt", "12"),
        ("libcudnn-74a4c495.so.9.1.0", "cudnn", "9.1.0"),
        ("libcudnn_ops.so.9", "cudnn_ops", "9"),
        ("libnvrtc-builtins.so.12.8", "nvrtc-builtins", "12.8"),
        ("libnvidia-ml.so.1", "nvidia-ml", "1"),
        ("libcublas.so", "cublas", None),
        ("cudart64_12.dll", "cudart", "12"),
        ("cudart64_110.dll", "cudart", "11.0"),
        ("cudart64_92.dll", "cudart", "9.2"),
        ("cublas64_11.dll", "cublas", "11"),
        ("cufft64_10.dll", "cufft", "10"),
        ("nvrtc64_120_0.dll", "nvrtc", "12"),
        ("nvrtc64_112_0.dll", "nvrtc", "11.2"),
        ("nvrtc-builtins64_124.dll", "nvrtc-builtins", "12.4"),
        ("nvJitLink_120_0.dll", "nvJitLink", "12"),
        ("cudnn_ops64_9.dll", "cudnn_ops", "9"),
        ("nvcuda.dll", "cuda", None),
    ],
)
def test_versions_are_read_from_file_names(file: str, name: str, version: str | None) -> None:
    """Linux has them behind the name; Windows writes 11.0 as 110, and keeps 120 for all of CUDA 12."""
    found = cuda_library(file)
    assert found is not None
    assert (found.name, found.version, found.file) == (name, version, file)


@pytest.mark.parametrize("file", ["libcurl.so.4", "libcuda_tools.txt", "libtorch_cuda.so", "cubic.dll", "libnvme.so.1"])
def test_other_libraries_are_none_of_cudas(file: str) -> None:
    """Names that only begin alike, and libraries of others that use CUDA."""
    assert cuda_library(file) is None


def test_symbols_are_known_by_their_prefix_and_the_capital_after_it() -> None:
    """`cuInit` is the driver's; `curl_init` and `cudart` are words of others."""
    assert all(
        map(is_cuda_symbol, ["cuInit", "cudaMalloc", "__cudaRegisterFatBinary", "nvmlInit_v2", "cublasCreate_v2"])
    )
    assert not any(map(is_cuda_symbol, ["curl_init", "cuda", "_ZN4cudaE", "nvlist_add", "cudart", "ncclient"]))


def test_other_vendors_are_named() -> None:
    """ROCm and SYCL by the libraries that their programs load."""
    assert [other_vendor(file) for file in ("libamdhip64.so.6", "libsycl.so.8", "libcudart.so.12")] == [
        "ROCm",
        "SYCL",
        None,
    ]
