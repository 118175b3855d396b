"""The names of CUDA's libraries, tools and symbols, and the versions in them.

NVIDIA gives no list; the names are those of the libraries in its Python packages and CUDA 9 to 13 toolkits, and how
they are numbered is in the release notes of each (`cudart64_110.dll` is 11.0, `nvrtc64_112_0.dll` 11.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["CudaLibrary", "cuda_library", "is_cuda_symbol", "jit_compilers", "other_vendor"]

# `cuda` and `nvcuda` are the driver; what begins with one of the families has many members (`cudnn_ops`, `nppial`).
_EXACT = (
    "cuda|nvcuda|cudart|cublas|cublasLt|nvblas|cufft|cufftw|curand|cusolver|cusolverMg|cusparse|cusparseLt|nvrtc|"
    "nvrtc-builtins|nvJitLink|nvvm|nvfatbin|nvToolsExt|nvtx3interop|nvjpeg|nvjpeg2k|nvml|nvidia-ml|cufile|cufile_rdma|"
    "cudss|cupti|nccl|nvptxcompiler|OpenCL-nvidia|nvidia-ptxjitcompiler|nvidia-nvvm|nvoptix|cudadebugger"
)
_FAMILIES = (
    "cudnn|npp|cutensor|cutensorMg|custatevec|cudensitymat|cutensornet|nvinfer|nvonnxparser|nvshmem|nvcomp|nvimgcodec"
)
_NAME = rf"(?P<name>(?:{_EXACT})|(?:{_FAMILIES})[A-Za-z_]*?)"
# Wheel repair tools put a hash behind the name: `libcudart-9335f6a2.so.12.4.127`.
_SHARED_OBJECT = re.compile(rf"lib{_NAME}(?:[-.][0-9a-f]{{8}})?\.so(?:\.(?P<version>\d+(?:\.\d+)*))?", re.ASCII)
_DLL = re.compile(
    rf"{_NAME}(?:64|32)?(?:_(?P<version>\d+(?:_\d+)*))?(?:-[0-9a-f]{{8,32}})?\.dll", re.ASCII | re.IGNORECASE
)
# These are numbered by CUDA release without a dot: 92 is 9.2, 110 is 11.0, 12 is all of CUDA 12.
_NUMBERED_BY_RELEASE = frozenset({"cudart", "nvrtc", "nvrtc-builtins", "nvjitlink", "nvfatbin"})

_SYMBOL = re.compile(
    r"cu[A-Z]\w+|cuda[A-Z]\w+|__cuda[A-Z]\w+|(?:nvml|nvrtc|nvvm|nvJitLink|nvPTXCompiler|nvFatbin|nccl|cutensor|cufile"
    r"|cuFile|nvtx|nvjpeg|npp[a-z]?)[A-Z]\w+|(?:cublas|cublasLt|cufft|curand|cusolver\w*|cusparse\w*|cudnn)[A-Z]\w+",
    re.ASCII,
)

_JIT_LIBRARIES = {
    "nvrtc": "nvrtc",
    "nvvm": "nvvm",
    "nvidia-nvvm": "nvvm",
    "nvJitLink": "nvjitlink",
    "nvptxcompiler": "nvptxcompiler",
}
_JIT_SYMBOLS = {
    "nvrtcCompile": "nvrtc",
    "nvvmCompile": "nvvm",
    "nvJitLinkCreate": "nvjitlink",
    "__nvJitLinkCreate": "nvjitlink",
    "nvPTXCompilerCompile": "nvptxcompiler",
}
_OTHER_VENDORS = (
    (
        re.compile(
            r"lib(?:amdhip64|hiprtc|hsa-runtime64|rocblas|hipblas\w*|MIOpen|rccl)\b.*|amdhip64.*\.dll", re.IGNORECASE
        ),
        "ROCm",
    ),
    (
        re.compile(r"lib(?:sycl|ze_loader|pi_level_zero|ur_loader)\b.*|(?:sycl|ze_loader)\d*d?\.dll", re.IGNORECASE),
        "SYCL",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CudaLibrary:
    """One CUDA library by its name without prefix (`cublas`; `cuda` is the driver), and its version in file names.

    `version` is `12` for `libcublas.so.12`, `11.2` for `nvrtc64_112_0.dll`, None where the name has none.
    """

    name: str
    version: str | None = None
    file: str


def cuda_library(file: str) -> CudaLibrary | None:
    """The CUDA library whose file name this is; None for any other name."""
    if found := _SHARED_OBJECT.fullmatch(file):
        return CudaLibrary(name=found["name"], version=found["version"], file=file)
    if found := _DLL.fullmatch(file):
        name = "cuda" if found["name"].lower() == "nvcuda" else found["name"]
        return CudaLibrary(name=name, version=_dll_version(name, found["version"]), file=file)
    return None


def _dll_version(name: str, digits: str | None) -> str | None:
    if digits is None:
        return None
    first = digits.split("_", 1)[0]
    if name.lower() in _NUMBERED_BY_RELEASE and (len(first) == 3 or (len(first) == 2 and first >= "50")):
        major, minor = first[:-1], first[-1]
        # From 12.0 on one file serves the whole major: `nvrtc64_120_0.dll` came with 12.0 to 12.9.
        return major if int(major) >= 12 and "_" in digits else f"{major}.{minor}"
    return first


def is_cuda_symbol(name: str) -> bool:
    """Whether a symbol belongs to the driver (`cuInit`), the runtime (`cudaMalloc`) or another CUDA library."""
    return bool(_SYMBOL.fullmatch(name))


def jit_compilers(
    libraries: tuple[CudaLibrary, ...], symbols: tuple[str, ...], tools: tuple[str, ...]
) -> tuple[str, ...]:
    """The run-time compilers that these names stand for: nvrtc, nvvm, nvjitlink, nvptxcompiler, ptxas, llvm-nvptx."""
    found = {_JIT_LIBRARIES[one.name] for one in libraries if one.name in _JIT_LIBRARIES}
    found |= {jit for symbol in symbols for start, jit in _JIT_SYMBOLS.items() if symbol.startswith(start)}
    return tuple(sorted(found | set(tools)))


def other_vendor(file: str) -> str | None:
    """`ROCm` or `SYCL` for the file name of one of their libraries; None for any other."""
    return next((vendor for pattern, vendor in _OTHER_VENDORS if pattern.fullmatch(file)), None)
