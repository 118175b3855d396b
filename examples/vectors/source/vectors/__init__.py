"""Adds vectors, on an NVIDIA GPU where the build is for one and the computer has one."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

__all__ = ["add", "backend", "built_for", "reason"]

_library = ctypes.CDLL(str(Path(__file__).parent / "libvectors.so"))
_library.vectors_built_for.restype = ctypes.c_char_p
_library.vectors_reason.restype = ctypes.c_char_p
_floats = ctypes.POINTER(ctypes.c_float)
_library.vectors_add.argtypes = [_floats, _floats, _floats, ctypes.c_size_t]


def built_for() -> str:
    """What this build is for: `cpu` or `cuda`."""
    return str(_library.vectors_built_for().decode())


def reason() -> str:
    """Why it computes on the CPU; empty where it computes on a GPU."""
    return str(_library.vectors_reason().decode())


def backend() -> str:
    """Where it computes here: `cpu` or `cuda`."""
    return "cpu" if reason() else "cuda"


def add(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The sums of the elements of two vectors of one length."""
    if len(a) != len(b):
        raise ValueError(f"vectors of {len(a)} and {len(b)} elements")
    kind = ctypes.c_float * len(a)
    sums = kind()
    error = _library.vectors_add(kind(*a), kind(*b), sums, len(a))
    if error:
        raise RuntimeError(f"CUDA error {error}")
    return list(sums)
