"""Reads source distributions: no built code, but what they require, import, and would compile for CUDA.

Formats: Python Packaging User Guide, "Source distribution format" and "Core metadata".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from itertools import chain

import msgspec

from gpuenv.artifacts.bare_files import describe_start
from gpuenv.artifacts.collecting import Collector
from gpuenv.artifacts.egg_requirements import parse_requires_txt
from gpuenv.artifacts.sources import LocalSource, Source
from gpuenv.artifacts.tar_members import Limits, Member, MemberKind, plain_path, walk_tar
from gpuenv.artifacts.unpacking import compression_of, unpack
from gpuenv.artifacts.wheel_metadata import first_value, parse_headers, requirements_of
from gpuenv.artifacts.wheel_names import admitted_pythons
from gpuenv.artifacts.zip_members import list_members, stream_members
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Artifact, Reading

__all__ = ["read_sdist"]

MOST_FETCHED_BYTES = 200 << 20
_METADATA_BYTES = 4 << 20
_LIMITS = Limits(unpacked_bytes=8 << 30)
_CUDA = (".cu", ".cuh")


def read_sdist(source: Source, artifact: Artifact) -> Reading:
    """What an sdist (`.tar.gz`, `.zip`, `.tar.bz2`, `.tar.xz`) requires, imports and holds in CUDA sources.

    All of it is fetched: UnavailableError for more than 200 MB that is not on this disk. FormatError when it is no
    such archive, errors of the source while nothing is read yet; where it breaks off later the reading is incomplete.
    """
    if source.size_bytes > MOST_FETCHED_BYTES and not isinstance(source, LocalSource):
        raise UnavailableError(
            f"`{source.name}` is too large to look into from here",
            reasons=(
                f"it has {source.size_bytes >> 20} MB; of an sdist at most {MOST_FETCHED_BYTES >> 20} are fetched",
            ),
        )
    found = _Found()
    try:
        for member in _members(source):
            found.take(member)
    except (FormatError, UnavailableError) as error:
        if not found.collector.members:
            if isinstance(error, UnavailableError):
                raise
            reasons = (error.message, *error.reasons)
            raise FormatError(f"`{source.name}` is no readable sdist", reasons=reasons) from error
        found.collector.break_off(error)
    return found.reading(artifact, source)


def _members(source: Source) -> Iterator[Member]:
    if source.name.lower().endswith(".zip"):
        return _members_of_zip(source)
    chunks = source.stream(0, source.size_bytes)
    start = next(chunks, b"")
    if compression := compression_of(start):
        return walk_tar(unpack(chain([start], chunks), compression), limits=_LIMITS)
    if start[257:262] == b"ustar":
        return walk_tar(chain([start], chunks), limits=_LIMITS)
    raise FormatError(f"it is {describe_start(start, source.name) if start else 'empty'}")


def _members_of_zip(source: Source) -> Iterator[Member]:
    listed = [member for member in list_members(source).members if not member.is_directory]
    for member, chunks in stream_members(source, listed):
        path, is_outside = plain_path(member.raw_name)
        yield Member(
            path=path,
            size_bytes=member.size_bytes,
            executable=member.executable,
            is_outside=is_outside,
            chunks=chunks,
        )


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    collector: Collector = field(default_factory=lambda: Collector(reads_sources_beside_code=True))
    metadata: bytes | None = None
    listed: bytes = b""
    cuda_sources: int = 0

    def take(self, member: Member) -> None:
        """Looks at one member."""
        *folders, name = member.path.split("/")
        is_small = member.kind is MemberKind.FILE and not member.is_outside and member.size_bytes <= _METADATA_BYTES
        self.cuda_sources += member.kind is MemberKind.FILE and name.lower().endswith(_CUDA)
        content = member.chunks
        if is_small and name == "PKG-INFO" and len(folders) == 1:
            self.metadata = b"".join(content)
        elif is_small and name == "requires.txt" and folders and folders[-1].endswith(".egg-info"):
            self.listed = b"".join(content)
        self.collector.look(member)

    def reading(self, artifact: Artifact, source: Source) -> Reading:
        """What was found, with what the metadata say."""
        found, headers = self.collector, parse_headers(self.metadata or b"")
        if self.metadata is None and found.complete:
            found.problems.append("it has no `PKG-INFO`, which says what it requires")
        required = requirements_of(headers) or parse_requires_txt(self.listed.decode("utf-8", "replace"))
        described = msgspec.structs.replace(
            artifact,
            name=artifact.name or _printable_value(headers, "Name") or source.name,
            version=artifact.version or _printable_value(headers, "Version"),
            filename=artifact.filename or source.name,
            location=artifact.location or source.location,
            size_bytes=source.size_bytes,
            pythons=admitted_pythons(first_value(headers, "Requires-Python")),
        )
        return Reading(
            artifact=described,
            requires=tuple(filter(str.isprintable, required)),
            imports=found.imports_found(),
            files=found.native_files(),
            members=found.members,
            cuda_sources=self.cuda_sources,
            problems=tuple(found.problems),
            complete=found.complete,
        )


def _printable_value(headers: Message, name: str) -> str | None:
    value = first_value(headers, name)
    return value if value and value.isprintable() else None
