"""Which files of a conda package a reader has to see, by the list in `info/paths.json` (conda's package metadata,
CEP 34). Clients install what is listed and nothing else, so what is not listed does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from gpuenv.artifacts.collecting import Collector
from gpuenv.artifacts.imports import is_aside
from gpuenv.artifacts.native_files import file_name, is_native_name, is_perhaps_program
from gpuenv.artifacts.tar_members import Member, MemberKind, plain_path

__all__ = ["PATHS_BYTES", "Awaited", "awaited_of"]

PATHS_BYTES = 32 << 20
"""The largest list that is read; that of a package with fifty thousand files has half of it."""

_MOST_PATHS = 200_000
# What a tar archive adds to each file (a header, padding, perhaps an extended header), and at its end.
_FRAME_BYTES = 2048
_END_BYTES = 1 << 16


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    path: str = msgspec.field(name="_path")
    size_in_bytes: int | None = None


class _List(msgspec.Struct, frozen=True, kw_only=True):
    paths: tuple[_Entry, ...]


@dataclass(slots=True, kw_only=True)
class Awaited:
    """What of a package is still to come while its files pass. `count` is how many files it lists.

    `native` may be machine code, by name or, for a file without an ending, by size. `sources` are looked through for
    imports, which count only where there is no machine code. `is_trusted` ends when a file is not as it is listed.
    """

    count: int
    sizes: dict[str, int | None]
    native: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    is_trusted: bool = True

    def pass_by(self, member: Member) -> None:
        """A file has been looked at."""
        self.native.discard(member.path)
        self.sources.discard(member.path)
        listed = self.sizes.get(member.path)
        if member.kind is MemberKind.FILE and listed is not None and listed != member.size_bytes:
            self.is_trusted = False

    def is_over(self, found: Collector) -> bool:
        """Whether nothing that is still to come could change what was found."""
        return self.is_trusted and not self.native and (bool(found.files) or not self.sources)


def awaited_of(content: bytes, *, packed_bytes: int) -> Awaited | None:
    """What the list `content` says of a package whose files take `packed_bytes` when compressed.

    None where it is no such list, or cannot be true: then every file has to be seen.
    """
    try:
        listed = msgspec.json.decode(content, type=_List).paths
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    if len(listed) > _MOST_PATHS or any((one.size_in_bytes or 0) < 0 for one in listed):
        return None
    sizes: dict[str, int | None] = {}
    for entry in listed:
        path, is_outside = plain_path(entry.path)
        if is_outside or path in sizes:
            return None
        sizes[path] = entry.size_in_bytes
    if packed_bytes > sum(_FRAME_BYTES + (size or 0) for size in sizes.values()) + _END_BYTES:
        # There is more in it than is listed.
        return None
    return Awaited(
        count=len(sizes),
        sizes=sizes,
        native={path for path, size in sizes.items() if _may_be_native(path, size)},
        sources={path for path, size in sizes.items() if path.endswith(".py") and size != 0 and not is_aside(path)},
    )


def _may_be_native(path: str, size: int | None) -> bool:
    if size is None:
        return is_native_name(path) or "." not in file_name(path)
    return is_native_name(path) or is_perhaps_program(path, size, executable=True)
