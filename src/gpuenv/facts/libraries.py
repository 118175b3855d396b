"""NVIDIA's own libraries that carry units for single GPU generations and choose among them when they run."""

from __future__ import annotations

import re

__all__ = ["selects_at_run_time"]

# Source: units of cuBLAS 12.8, cuFFT and cuDNN 9.10 counted per generation (2026-11-24): cuFFT has 23,532 units of
# breadth 1, cuBLASLt covers 7.5 with a twentieth of its units, and both run there.
_SELECTING = re.compile(
    r"(?:lib)?(?:cublas|cublasLt|cudnn\w*|cufft\w*|curand|cusolver\w*|cusparse|cusparseLt|npp\w+|nvjpeg|cutensor\w*)"
    r"(?:64_\d+)?(?:[-.][0-9a-f]{8})?(?:\.so[.\d]*|\.dll)"
)


def selects_at_run_time(library: str) -> bool:
    """Whether any unit that runs counts for a library of this file name (`libcublasLt.so.12`)."""
    return _SELECTING.fullmatch(library.rpartition("/")[2]) is not None
