"""Looks for names and marks that stand as plain data in a file: libraries opened by hand, compilers, other vendors.

A library that a program opens with `dlopen` or `LoadLibrary` is in none of its tables; its name is among the constants.
The name says that the program can ask for the library, not that it must.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from gpuenv.binaries.buffers import Buffer, let_go
from gpuenv.binaries.cuda_names import cuda_library, other_vendor

__all__ = [
    "LOOK_AHEAD",
    "LOOK_BACK",
    "MOST_SIGHTINGS",
    "Needle",
    "Sight",
    "Sighting",
    "code_needles",
    "data_needles",
    "sift",
    "sift_buffer",
]

# Names are short, but where a table of them begins is noticed late.
LOOK_BACK = 8192 + 256
# A search path of 20 directories has a thousand characters.
LOOK_AHEAD = 4096
# Of one file; real ones have some hundred.
MOST_SIGHTINGS = 16384
_LONGEST_NAME = 122
_BUNDLE_TARGETS = 320
_BLOCK = 1 << 20
_SHORT_MARK = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something that was seen at an offset of the file.

    `what` is `library` (a file name), `tool` (a compiler), `compiler` (the CUDA version that one says of itself),
    `vendor`, `runtime` (a text that the CUDA runtime has) or `runtime version` (an integer such as 12080).
    """

    offset: int
    what: str
    text: str


# Given the bytes around and where the mark stands in them: what it is and its text, or None.
Sight = Callable[[bytes, int], tuple[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """A mark to look for, and what judges the bytes around it."""

    mark: bytes
    judge: Sight

    def places(self, window: bytes, start: int, end: int) -> Iterator[int]:
        """Where the mark stands. A pattern finds short marks up to twice as fast as `find`, which skips over more
        bytes the longer the mark is.
        """
        if len(self.mark) <= _SHORT_MARK:
            for found in _pattern(self.mark).finditer(window, start, end):
                yield found.start()
            return
        at = window.find(self.mark, start, end)
        while at >= 0:
            yield at
            at = window.find(self.mark, at + 1, end)


@cache
def _pattern(mark: bytes) -> re.Pattern[bytes]:
    return re.compile(re.escape(mark))


def sift(window: bytes, base: int, start: int, stop: int, needles: tuple[Needle, ...]) -> Iterator[Sighting]:
    """What begins between two offsets of the file, of which `window` holds the part from `base` on."""
    for needle in needles:
        for at in needle.places(window, start - base, stop - base + len(needle.mark) - 1):
            if seen := needle.judge(window, at):
                yield Sighting(offset=base + at, what=seen[0], text=seen[1])


def sift_buffer(buffer: Buffer, start: int, stop: int, needles: tuple[Needle, ...]) -> Iterator[Sighting]:
    """What is seen between two offsets of a whole file, block by block, so that no copy of it is made."""
    for block in range(start, stop, _BLOCK):
        end = min(block + _BLOCK, stop)
        first, last = max(start, block - _LONGEST_NAME), min(stop, end + LOOK_AHEAD)
        yield from sift(bytes(buffer[first:last]), first, block, end, needles)
        let_go(buffer, block, end)


_SHARED_OBJECT = re.compile(rb"lib[A-Za-z0-9_+-]{1,60}\.so(?:\.\d{1,5}){0,4}")
_SHARED_OBJECT_STARTS = ("libcu", "libnv", "libnccl", "libnpp", "libamd", "libhip", "libhsa", "libroc", "librccl")
_MORE_STARTS = ("libMIOpen", "libsycl", "libze", "libpi", "libur", "libOpenCL")
_WORD = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_`"
_NAME = _WORD[:-1] + b"-"


def _library(name: str) -> tuple[str, str] | None:
    return ("library", name) if cuda_library(name) or other_vendor(name) else None


def _see_shared_object(window: bytes, at: int) -> tuple[str, str] | None:
    start = window.rfind(b"lib", max(0, at - 64), at)
    found = _SHARED_OBJECT.match(window, start) if start >= 0 else None
    if not found or found.end() < at + 3:
        return None
    name = found[0].decode()
    return _library(name) if name.startswith(_SHARED_OBJECT_STARTS + _MORE_STARTS) else None


def _see_dll(window: bytes, at: int) -> tuple[str, str] | None:
    before = window[max(0, at - 61) : at]
    return _dll(before[len(before.rstrip(_NAME)) :])


def _see_wide_dll(window: bytes, at: int) -> tuple[str, str] | None:
    before = window[max(at % 2, at - _LONGEST_NAME) : at]
    narrow, zeros = before[::2], before[1::2]
    length = min(len(narrow) - len(narrow.rstrip(_NAME)), len(zeros) - len(zeros.rstrip(b"\0")))
    return _dll(narrow[len(narrow) - length :])


def _dll(stem: bytes) -> tuple[str, str] | None:
    return _library(stem.decode() + ".dll") if 2 <= len(stem) <= 60 else None


def _see_ptxas(window: bytes, at: int) -> tuple[str, str] | None:
    before, after = window[max(0, at - 1) : at], window[at + 5 : at + 10]
    # GPU code holds the name of the program that made it, and what made that program.
    whole = not (before and before[0] in _WORD) and not (after and after[0] in _WORD) and after != b"\0Cuda"
    return ("tool", "ptxas") if whole else None


_COMPILER_MARK = b"Cuda compilation tools, release "
_COMPILER_VERSION = re.compile(rb"(\d{1,2}\.\d{1,2}), V\d")
# What ptxas and nvlink write into the machine code that they make: their name, and then the text.
_COMPILED_BY = (b"ptxas\0", b"nvlink\0", b"cicc\0", b"nvcc\0", b"nvrtc\0")


def _see_compiler(window: bytes, at: int) -> tuple[str, str] | None:
    """The text stands alone in a compiler; in PTX it is part of a comment, in machine code it follows a name."""
    before = window[max(0, at - 8) : at]
    if (before and 32 <= before[-1] < 127) or before.endswith(_COMPILED_BY):
        return None
    start = at + len(_COMPILER_MARK)
    found = _COMPILER_VERSION.match(window, start, start + 16)
    return ("compiler", found[1].decode()) if found else None


def _see_bundle(window: bytes, at: int) -> tuple[str, str] | None:
    """The targets follow the mark (Clang Offload Bundler, Bundled Binary File Layout); compilers hold it without."""
    targets = window[at + 24 : at + _BUNDLE_TARGETS]
    for target, vendor in ((b"amdgcn", "ROCm"), (b"spir", "SYCL")):
        if target in targets:
            return "vendor", vendor
    return None


def _runtime_version(value: int) -> tuple[str, str] | None:
    """A version as `cudaRuntimeGetVersion` gives it: 1000 times the major plus 10 times the minor."""
    return ("runtime version", str(value)) if 5000 <= value < 30000 and value % 10 == 0 and value % 1000 < 100 else None


def _see_linux_x86_64(window: bytes, at: int) -> tuple[str, str] | None:
    whole = window[at + 11 : at + 14] == b"\x31\xc0\xc3"
    return _runtime_version(int.from_bytes(window[at + 7 : at + 11], "little")) if whole else None


def _see_windows_x86_64(window: bytes, at: int) -> tuple[str, str] | None:
    whole = window[at + 12 : at + 15] == b"\x33\xc0\xc3"
    return _runtime_version(int.from_bytes(window[at + 8 : at + 12], "little")) if whole else None


def _see_aarch64(window: bytes, at: int) -> tuple[str, str] | None:
    move, zero = (int.from_bytes(window[at + step : at + step + 4], "little") for step in (4, 8))
    # `movz wN, #version` and then `mov w0, #0`.
    return _runtime_version(move >> 5 & 0xFFFF) if move & 0xFFE00000 == 0x52800000 and zero == 0x52800000 else None


_NAMES_ON_LINUX = (Needle(mark=b".so", judge=_see_shared_object),)
_NAMES_ON_WINDOWS = (
    Needle(mark=b".dll", judge=_see_dll),
    Needle(mark=b".\0d\0l\0l\0", judge=_see_wide_dll),
)
_ANYWHERE = (
    Needle(mark=b"ptxas", judge=_see_ptxas),
    Needle(mark=b"libdevice.", judge=lambda _, __: ("tool", "libdevice")),
    Needle(mark=b"nvptx64-nvidia", judge=lambda _, __: ("tool", "llvm-nvptx")),
    Needle(mark=_COMPILER_MARK, judge=_see_compiler),
    Needle(mark=b"__CLANG_OFFLOAD_BUNDLE__", judge=_see_bundle),
    Needle(
        mark=b"CUDA driver version is insufficient for CUDA runtime version",
        judge=lambda _, __: ("runtime", "message"),
    ),
    # The device runtime has the messages too, but only the host's asks the driver for its tables.
    Needle(mark=b"\0cuGetExportTable\0", judge=lambda _, __: ("runtime", "tables")),
)

# The whole of `cudaRuntimeGetVersion`: null pointer? else store the version, return 0. Read off the runtimes of CUDA
# 11.8 to 13.0 (Linux x86_64 and aarch64) and of 11.8 to 12.8 (Windows).
_RUNTIME_CODE = {
    (False, "x86_64"): (Needle(mark=b"\x48\x85\xff\x74\x0b\xc7\x07", judge=_see_linux_x86_64),),
    (True, "x86_64"): (Needle(mark=b"\xb8\x01\0\0\0\xc3\xc7\x01", judge=_see_windows_x86_64),),
    (False, "aarch64"): (Needle(mark=b"\xa0\0\0\xb4", judge=_see_aarch64),),
}


def data_needles(*, windows: bool) -> tuple[Needle, ...]:
    """What to look for among the constants of a program."""
    return (*(_NAMES_ON_WINDOWS if windows else _NAMES_ON_LINUX), *_ANYWHERE)


def code_needles(machine: str | None, *, windows: bool) -> tuple[Needle, ...]:
    """What to look for in machine code: where the CUDA runtime says its version; nothing for other processors."""
    return _RUNTIME_CODE.get((windows, machine or ""), ())
