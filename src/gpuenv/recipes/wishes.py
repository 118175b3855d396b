"""What a variant asks for: the CUDA to build with, and the architectures to make code for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpuenv.errors import FormatError, RequestError
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion

__all__ = ["ARCHITECTURE_KEYS", "CUDA_KEYS", "Wish", "parse_architectures", "read_wish"]

CUDA_KEYS = ("cuda_compiler_version", "cuda_version", "cuda")
"""Keys of a variants file that hold the CUDA version; the first is conda-forge's, with `None` for the CPU build."""

ARCHITECTURE_KEYS = ("cuda_archs", "cuda_architectures", "CMAKE_CUDA_ARCHITECTURES", "TORCH_CUDA_ARCH_LIST")
"""Keys that hold the architectures, in CMake's words (`80-real;90`) or PyTorch's (`8.0 9.0+PTX`)."""

_NO_CUDA = {"", "none", "cpu", "false", "off"}
# What depends on the compiler or the machine, so that nobody can say what it should have given.
_NOT_NAMED = {"native", "all", "all-major"}
# CMake, CUDA_ARCHITECTURES: a number alone means machine code and PTX.
_CMAKE = re.compile(r"(?:sm_|compute_)?(?P<number>\d{2,3})(?P<suffix>[af]?)(?:-(?P<kind>real|virtual))?", re.ASCII)
# PyTorch, torch.utils.cpp_extension: PTX only where `+PTX` says so.
_TORCH = re.compile(r"(?P<number>\d{1,2}\.\d)(?P<suffix>[af]?)(?P<ptx>\+PTX)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one variant asks for. `is_gpu` None means that it says nothing of CUDA. `images` None means that its
    architectures are not named one by one (`all-major`), so that nothing can be held against the result. `listed` is
    how the variants file has them.
    """

    is_gpu: bool | None = None
    cuda: CudaVersion | None = None
    images: tuple[CodeImage, ...] | None = ()
    listed: str = ""

    @property
    def label(self) -> str:
        """The variant as messages name it."""
        if self.is_gpu is None:
            return "the build"
        if not self.is_gpu:
            return "the CPU variant"
        name = f"the variant for CUDA {self.cuda}" if self.cuda else "the GPU variant"
        return f"{name} ({self.listed})" if self.listed else name


def read_wish(variant: Mapping[str, str]) -> Wish:
    """What the values of a variant ask for; RequestError for a CUDA version or an architecture that is none."""
    said = next((variant[key] for key in CUDA_KEYS if key in variant), None)
    listed = next((variant[key] for key in ARCHITECTURE_KEYS if variant.get(key)), "")
    images = parse_architectures(listed)
    if said is None:
        return Wish(is_gpu=True if images or images is None else None, images=images, listed=listed)
    if said.strip().lower() in _NO_CUDA:
        if images or images is None:
            raise RequestError(f"a variant without CUDA has the architectures `{listed}`")
        return Wish(is_gpu=False)
    return Wish(is_gpu=True, cuda=_cuda(said), images=images, listed=listed)


def _cuda(text: str) -> CudaVersion:
    found = re.match(r"\s*(\d{1,2}\.\d{1,2})(?:\.\d+)*(?:\.\*)?\s*$", text, re.ASCII)
    if found is None:
        raise RequestError(
            f"`{text}` is not a CUDA version",
            hints=(f'write it with its minor version, and `None` for the CPU: `{CUDA_KEYS[0]}: ["None", "12.9"]`',),
        )
    return CudaVersion(found[1])


def parse_architectures(text: str) -> tuple[CodeImage, ...] | None:
    """The images that a list of architectures asks for; None where it names them all at once (`native`, `all`).

    CMake's `90` is machine code and PTX, `90-real` and `90-virtual` one of the two; PyTorch's `9.0` is machine code,
    `9.0+PTX` both. RequestError for any other word.
    """
    words = [word for word in re.split(r"[;,\s]+", text) if word]
    if _NOT_NAMED & {word.lower() for word in words}:
        return None
    return tuple(sorted({image for word in words for image in _images(word)}))


def _images(word: str) -> Iterable[CodeImage]:
    cmake, torch = _CMAKE.fullmatch(word), _TORCH.fullmatch(word)
    found = cmake or torch
    if found is None:
        raise RequestError(
            f"`{word}` is not an architecture",
            hints=("write them as CMake does, `80-real;90-real;90-virtual`, or as PyTorch does, `8.0 9.0+PTX`",),
        )
    try:
        capability = ComputeCapability(found["number"])
    except FormatError as error:
        raise RequestError(error.message) from error
    if torch:
        kinds = (False, True) if torch["ptx"] else (False,)
    else:
        kinds = {"real": (False,), "virtual": (True,)}.get(found["kind"] or "", (False, True))
    return [CodeImage(capability, is_ptx=is_ptx, suffix=found["suffix"]) for is_ptx in kinds]
