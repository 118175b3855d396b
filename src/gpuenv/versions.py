"""The version numbers of this field, each a type of its own so that two of them are never mixed up.

`nvidia-smi` prints two numbers side by side that people confuse::

    | NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |
                                              ^^^^^^^^^                  ^^^^
                                              DriverVersion              CudaVersion

The second is the newest CUDA the *driver* can serve, not a toolkit that is installed. Every type parses from
text, prints as its users write it, orders by number and is written to JSON as that text.
"""

from __future__ import annotations

import re
from functools import total_ordering
from typing import ClassVar, Self

from gpuenv.errors import FormatError

__all__ = ["CodeImage", "ComputeCapability", "CudaVersion", "DriverVersion", "LibcVersion", "PtxIsa"]


@total_ordering
class _Numbers:
    """Dotted whole numbers; equality and order look at the numbers only, never at the spelling."""

    __slots__ = ("_hash", "numbers", "text")
    _pattern: ClassVar[re.Pattern[str]]
    _what: ClassVar[str]

    numbers: tuple[int, ...]
    text: str

    def __init__(self, text: str) -> None:
        stripped = text.strip() if isinstance(text, str) else ""
        if not self._pattern.fullmatch(stripped):
            raise FormatError(f"`{text}` is not a {self._what}")
        self.text = stripped
        self.numbers = tuple(int(part) for part in stripped.split("."))
        # A plan asks for the hashes of a few hundred versions some ten thousand times.
        self._hash = hash((type(self).__name__, self.numbers))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The version written in `text`; FormatError when it is none."""
        return cls(text)

    @property
    def major(self) -> int:
        """The first number."""
        return self.numbers[0]

    @property
    def minor(self) -> int:
        """The second number, 0 when it was not written."""
        return self.numbers[1] if len(self.numbers) > 1 else 0

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.numbers == other.numbers

    def __lt__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.numbers < other.numbers


class DriverVersion(_Numbers):
    """The version of NVIDIA's driver, such as 550.54.15. Not the CUDA version that the driver serves.

    Linux and Windows number one branch differently, so a comparison only means something within one system.
    """

    __slots__ = ()
    _pattern = re.compile(r"\d{2,4}(\.\d{1,4}){0,3}", re.ASCII)
    _what = "driver version such as 550.54.15"

    @property
    def branch(self) -> int:
        """The number before the first dot, by which NVIDIA names the branch (R550)."""
        return self.major


class CudaVersion(_Numbers):
    """A CUDA version, such as 12.4: of a toolkit, or the newest that a driver serves. Not a driver version."""

    __slots__ = ()
    _pattern = re.compile(r"\d{1,2}\.\d{1,2}", re.ASCII)
    _what = "CUDA version such as 12.4"

    @classmethod
    def from_driver_integer(cls, value: int) -> CudaVersion:
        """The version that `cuDriverGetVersion` encodes as 1000 x major + 10 x minor: 12040 is 12.4."""
        if not 1000 <= value < 100000:
            raise FormatError(f"`{value}` is not a CUDA version as the driver encodes it")
        return cls(f"{value // 1000}.{value % 1000 // 10}")


class PtxIsa(_Numbers):
    """The version of the PTX language, such as 8.4. CUDA 12.4 is the first that knows 8.4."""

    __slots__ = ()
    _pattern = re.compile(r"\d{1,2}\.\d{1,2}", re.ASCII)
    _what = "PTX ISA version such as 8.4"


class LibcVersion(_Numbers):
    """The version of the GNU C library, such as 2.28."""

    __slots__ = ()
    _pattern = re.compile(r"\d{1,2}\.\d{1,3}(\.\d{1,3})?", re.ASCII)
    _what = "GNU C library version such as 2.28"


class ComputeCapability(_Numbers):
    """What a GPU is to CUDA, such as 9.0 for an H100. Also read as `sm_90` or `90`, always printed as 9.0.

    A device has a plain capability; the suffixes of machine code (`sm_90a`) belong to `CodeImage`.
    """

    __slots__ = ()
    _pattern = re.compile(r"\d{1,2}\.\d", re.ASCII)
    _what = "compute capability such as 9.0"
    _compact: ClassVar[re.Pattern[str]] = re.compile(r"(?:sm_?|compute_)?(\d{1,2})(\d)", re.ASCII)

    def __init__(self, text: str) -> None:
        compact = self._compact.fullmatch(text.strip().lower()) if isinstance(text, str) else None
        super().__init__(f"{compact[1]}.{compact[2]}" if compact else text)

    @property
    def sm(self) -> str:
        """The number as machine code names it: `90` for 9.0."""
        return f"{self.major}{self.minor}"


@total_ordering
class CodeImage:
    """One piece of GPU code: SASS (`sm_90a`) or PTX (`compute_90/ptx8.4`) and the GPUs it was made for.

    The suffix `a` ties code to exactly its own compute capability, `f` to its family (PTX ISA manual, release
    notes, table of arch- and family-specific targets). The PTX ISA may be unknown, when only a list of
    architectures was published.
    """

    __slots__ = ("_hash", "capability", "is_ptx", "ptx_isa", "suffix")
    _pattern: ClassVar[re.Pattern[str]] = re.compile(
        r"(sm|compute)_(\d{2,3})([af]?)(?:/ptx(\d{1,2}\.\d{1,2}))?", re.ASCII
    )

    def __init__(
        self, capability: ComputeCapability, *, is_ptx: bool = False, suffix: str = "", ptx_isa: PtxIsa | None = None
    ) -> None:
        self.capability = capability
        self.is_ptx = is_ptx
        self.suffix = suffix
        self.ptx_isa = ptx_isa
        self._hash = hash(self._key())

    @classmethod
    def parse(cls, text: str) -> CodeImage:
        """The image that `text` names (`sm_90a`, `compute_90/ptx8.4`); FormatError when it names none."""
        found = cls._pattern.fullmatch(text) if isinstance(text, str) else None
        if not found or (found[1] == "sm" and found[4]):
            raise FormatError(f"`{text}` does not name GPU code such as sm_90a or compute_90/ptx8.4")
        return cls(
            ComputeCapability(found[2]),
            is_ptx=found[1] == "compute",
            suffix=found[3],
            ptx_isa=PtxIsa(found[4]) if found[4] else None,
        )

    @property
    def target(self) -> str:
        """The name without the PTX ISA: `sm_90a`, `compute_90`."""
        return f"{'compute' if self.is_ptx else 'sm'}_{self.capability.sm}{self.suffix}"

    def __str__(self) -> str:
        return self.target + (f"/ptx{self.ptx_isa}" if self.ptx_isa else "")

    def __repr__(self) -> str:
        return f"CodeImage.parse({str(self)!r})"

    def _key(self) -> tuple[bool, tuple[int, ...], str, tuple[int, ...]]:
        return self.is_ptx, self.capability.numbers, self.suffix, self.ptx_isa.numbers if self.ptx_isa else ()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, CodeImage) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._key() < other._key() if isinstance(other, CodeImage) else NotImplemented
