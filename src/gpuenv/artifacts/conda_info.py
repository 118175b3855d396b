"""Single files of a conda package's `info/`, read without unpacking what it installs; for both forms (CEP 35)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import closing

from gpuenv.artifacts.conda_components import CondaComponents
from gpuenv.artifacts.sources import Source
from gpuenv.artifacts.tar_members import Limits, Member, MemberKind, walk_tar
from gpuenv.artifacts.unpacking import Compression, unpack
from gpuenv.errors import FormatError

__all__ = ["INDEX", "RUN_EXPORTS", "read_info"]

INDEX = "index.json"
"""What a package says of itself (CEP 34)."""

RUN_EXPORTS = "run_exports.json"
"""What it asks of packages that are built with it (CEP 12)."""

_MOST_BYTES = 1 << 20
# File lists and licences of the largest packages come to some ten MB.
_INFO_LIMITS = Limits(unpacked_bytes=1 << 30)


def read_info(source: Source, names: Collection[str], *, to_end: bool = False) -> dict[str, bytes]:
    """The content of these files of `info/`, as far as the package has them; of two of one name the first.

    Reading stops when all are found, or with `to_end` at the end of a `.tar.bz2` file and of the `info` part of a
    `.conda` file, so that what breaks off later is noticed. FormatError for what is no conda package, and for a file
    of more than 1 MiB; errors of the source pass through.
    """
    if source.name.endswith(".conda"):
        with closing(CondaComponents(source).stream("info")) as packed:
            members = walk_tar(unpack(packed, Compression.ZSTD), limits=_INFO_LIMITS)
            return _taken(members, names, to_end=to_end)
    members = walk_tar(unpack(source.stream(0, source.size_bytes), Compression.BZIP2))
    return _taken(members, names, to_end=to_end)


def _taken(members: Iterable[Member], names: Collection[str], *, to_end: bool) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for member in members:
        folder, _, name = member.path.partition("/")
        is_wanted = folder == "info" and name in names and name not in found
        if is_wanted and member.kind is MemberKind.FILE and not member.is_outside:
            if member.size_bytes > _MOST_BYTES:
                raise FormatError(f"its `{member.path}` has {member.size_bytes} bytes")
            found[name] = b"".join(member.chunks)
            if len(found) == len(names) and not to_end:
                break
    return found
