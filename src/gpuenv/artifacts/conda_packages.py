"""Reads conda packages of both forms, `.conda` and `.tar.bz2` (CEP 35), once and in order: a `.conda` file, whose list
of files comes apart from them, as far as something may follow that matters, a `.tar.bz2` file to its last byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import msgspec

from gpuenv.artifacts.collecting import Collector
from gpuenv.artifacts.conda_components import CondaComponents
from gpuenv.artifacts.conda_index import CONDA_ENDINGS, CondaIndex, describe_artifact, parse_index, split_dist
from gpuenv.artifacts.conda_paths import PATHS_BYTES, Awaited, awaited_of
from gpuenv.artifacts.sources import Source
from gpuenv.artifacts.tar_members import Limits, Member, MemberKind, walk_tar
from gpuenv.artifacts.unpacking import Compression, unpack
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Artifact, NativeFile, Reading

__all__ = ["read_conda"]

_INDEX = "info/index.json"
_PATHS = "info/paths.json"
_INDEX_BYTES = 1 << 20
# File lists and licences of the largest packages come to some ten MB.
_INFO_LIMITS = Limits(unpacked_bytes=1 << 30)


def read_conda(source: Source, artifact: Artifact, *, on_file: Callable[[NativeFile], None] | None = None) -> Reading:
    """What the package says of itself and what its native files hold; `on_file` is told of each of them.

    FormatError when it is no conda package or has no readable `info/index.json`; errors of the source while nothing
    is read yet. Where it breaks off later, the reading is incomplete and its problems say why.
    """
    reader = _Reader(source, _named(artifact, source), Collector(on_file=on_file))
    try:
        if _is_zip(source):
            reader.read_parts()
        else:
            reader.read_stream()
    except FormatError as error:
        raise FormatError(
            f"`{source.name}` is no readable conda package", reasons=(error.message, *error.reasons)
        ) from error
    return reader.reading()


def _is_zip(source: Source) -> bool:
    if source.name.endswith(CONDA_ENDINGS):
        return source.name.endswith(".conda")
    return source.read(0, min(2, source.size_bytes)) == b"PK"


def _named(artifact: Artifact, source: Source) -> Artifact:
    """The artifact with what its file's name tells, where that was not known."""
    named = _dist_of(artifact, source)
    name, version, build = split_dist(named) or (artifact.name, artifact.version, artifact.build)
    return msgspec.structs.replace(
        artifact,
        name=artifact.name or name,
        version=artifact.version or version,
        build=artifact.build or build,
        filename=artifact.filename or source.name,
        location=artifact.location or source.location,
        size_bytes=source.size_bytes,
    )


def _dist_of(artifact: Artifact, source: Source) -> str:
    filename = artifact.filename or source.name
    ending = next((ending for ending in CONDA_ENDINGS if filename.endswith(ending)), "")
    return filename.removesuffix(ending) if ending else ""


@dataclass(slots=True)
class _Reader:
    """One package while it is read."""

    source: Source
    artifact: Artifact
    collector: Collector
    index: CondaIndex | None = None
    dists: list[str] = field(default_factory=list)
    lists: list[bytes] = field(default_factory=list)
    listed: int = 0

    def read_parts(self) -> None:
        """A `.conda` file: its metadata first, then its files."""
        parts = CondaComponents(self.source)
        self.dists.append(parts.dist)
        for member in walk_tar(unpack(parts.stream("info"), Compression.ZSTD), limits=_INFO_LIMITS):
            self._take_index(member)
            self._take_list(member)
        if not self.index:
            raise FormatError(f"it has no `{_INDEX}`")
        # Of two lists nobody knows which one a client obeys.
        is_one = len(self.lists) == 1
        awaited = awaited_of(self.lists[0], packed_bytes=parts.packed_bytes("pkg")) if is_one else None
        self.lists.clear()
        if awaited is not None and awaited.is_over(self.collector):
            self.listed = awaited.count
            return
        with closing(parts.stream("pkg")) as packed:
            try:
                self._take_files(packed, awaited)
            except (FormatError, UnavailableError) as error:
                self.collector.break_off(error)

    def _take_files(self, packed: Iterator[bytes], awaited: Awaited | None) -> None:
        """The files of a `.conda` file, as long as one may follow that matters."""
        for member in walk_tar(unpack(packed, Compression.ZSTD)):
            self._take_member(member)
            if awaited is not None:
                awaited.pass_by(member)
                if awaited.is_over(self.collector):
                    self.listed = awaited.count
                    return
        # What follows the end of the tar archive counts for the checksum.
        for _ in packed:
            pass

    def _take_list(self, member: Member) -> None:
        if member.path == _PATHS:
            is_read = member.kind is MemberKind.FILE and not member.is_outside and member.size_bytes <= PATHS_BYTES
            self.lists.append(b"".join(member.chunks) if is_read and not self.lists else b"")

    def read_stream(self) -> None:
        """A `.tar.bz2` file, in which the metadata may come at any place."""
        packed = self.source.stream(0, self.source.size_bytes)
        try:
            for member in walk_tar(unpack(packed, Compression.BZIP2)):
                self._take_member(member)
        except (FormatError, UnavailableError) as error:
            is_known = self.index or (isinstance(error, UnavailableError) and self.collector.members)
            if not is_known:
                raise
            self.collector.break_off(error)
        if not self.index and self.collector.complete:
            raise FormatError(f"it has no `{_INDEX}`")

    def _take_member(self, member: Member) -> None:
        if member.path == "info" or member.path.startswith("info/"):
            self._take_index(member)
        else:
            self.collector.look(member)

    def _take_index(self, member: Member) -> None:
        if member.path != _INDEX or member.kind is not MemberKind.FILE or member.is_outside:
            return
        if member.size_bytes > _INDEX_BYTES:
            raise FormatError(f"its `{_INDEX}` has {member.size_bytes} bytes")
        if self.index:
            raise FormatError(f"it has two files `{_INDEX}`")
        self.index = parse_index(b"".join(member.chunks))

    def reading(self) -> Reading:
        """What was read."""
        found, index = self.collector, self.index
        return Reading(
            artifact=describe_artifact(self.artifact, index) if index else self.artifact,
            requires=index.depends if index else (),
            constrains=index.constrains if index else (),
            imports=found.imports_found(),
            files=found.native_files(),
            members=max(found.members, self.listed),
            problems=(*found.problems, *self._other_names()),
            complete=found.complete,
        )

    def _other_names(self) -> Iterator[str]:
        """Where the names outside and inside of the package differ; a file that was merely renamed has no such name."""
        if not self.index:
            return
        given = _dist_of(self.artifact, self.source)
        outside = [*self.dists, given] if split_dist(given) else self.dists
        for dist in dict.fromkeys(outside):
            if dist != self.index.dist:
                yield f"it is named `{dist}` and says of itself that it is `{self.index.dist}`"
