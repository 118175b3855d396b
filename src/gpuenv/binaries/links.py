"""What a native file asks of other files, whichever format it is in."""

from __future__ import annotations

from dataclasses import dataclass

from gpuenv.versions import LibcVersion

__all__ = ["Links"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Libraries and symbols that a file needs from outside, as they are written in it.

    `needed` are loaded with the file, `delayed` (PE only) at the first call. `soname` is the name the file gives
    itself. `rpath` and `runpath` are the directories it has searched, in order. `glibc` is the newest version of a
    GNU C library symbol that it needs. `cuda_symbols` are the undefined ones that belong to NVIDIA's libraries; None
    where they were not read, because a stream had let go of them.
    """

    needed: tuple[str, ...] = ()
    delayed: tuple[str, ...] = ()
    soname: str | None = None
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    glibc: LibcVersion | None = None
    cuda_symbols: tuple[str, ...] | None = ()
