"""Reads a wheel, here or on a server: its metadata, and the native files in it while they pass.

Of a wheel on a server come its directory, its metadata and the members that can hold native code, nothing else; of one
without native code some of its Python sources, and less than 300 kB in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import Message
from threading import Event, Lock
from types import MappingProxyType

from gpuenv.artifacts.native_files import is_native_name, is_perhaps_program, read_passing_file
from gpuenv.artifacts.sources import Source
from gpuenv.artifacts.wheel_metadata import describe_wheel, parse_headers, requirements_of
from gpuenv.artifacts.zip_members import (
    GAP_BYTES,
    Member,
    list_members,
    runs_of,
    stream_members,
)
from gpuenv.errors import FormatError, GpuenvError, UnavailableError
from gpuenv.model import Artifact, NativeFile, Reading

__all__ = ["read_core_metadata", "read_wheel"]

_MOST_NATIVE_FILES = 20_000
_LARGEST_METADATA = 4 << 20
_LARGEST_SOURCE = 1 << 20
_FETCHED_AT_MOST = 300_000
_SLACK = 10_000
_LOCAL_BUDGET = 4 << 20
_NOTHING_KNOWN: Mapping[str, NativeFile] = MappingProxyType({})


def read_wheel(
    source: Source,
    artifact: Artifact,
    *,
    known: Mapping[str, NativeFile] = _NOTHING_KNOWN,
    on_file: Callable[[NativeFile], None] | None = None,
    workers: int = 2,
) -> Reading:
    """What is in the wheel; `artifact` is filled from its metadata and tags.

    `known` are native files, by path, that an earlier reading got to before it broke off; they are not read again.
    `on_file` is told of each native file as soon as it is read, one call at a time. A member that is broken becomes a
    file with a `problem`. Where the source fails, the reading ends with `complete` False and what it has.

    FormatError for what is no wheel, UnavailableError where not even its directory can be read.
    """
    reader = _WheelReader(source, known=known, on_file=on_file)
    try:
        described, requires = reader.describe(artifact)
        reader.read_native(workers=workers)
        imports = reader.find_imports()
    finally:
        reader.stop.set()
    return Reading(
        artifact=described,
        requires=requires,
        imports=imports,
        files=reader.native_files(),
        members=len(reader.members),
        problems=tuple(reader.problems),
        complete=reader.complete,
    )


def read_core_metadata(source: Source, artifact: Artifact) -> Message:
    """The headers of the wheel's `METADATA`, and nothing else of it. Errors as those of `read_wheel`; FormatError also
    where the metadata are broken, UnavailableError where they do not come whole.
    """
    reader = _WheelReader(source, known=_NOTHING_KNOWN, on_file=None)
    headers, _ = reader.information(artifact)
    if reader.problems:
        kind = FormatError if reader.complete else UnavailableError
        raise kind(f"cannot read the metadata of `{source.name}`", reasons=tuple(reader.problems))
    return headers


class _WheelReader:
    """One wheel while it is read."""

    def __init__(
        self, source: Source, *, known: Mapping[str, NativeFile], on_file: Callable[[NativeFile], None] | None
    ) -> None:
        self.stop = Event()
        self.problems: list[str] = []
        self.complete = True
        self._source = source
        self._known = known
        self._on_file = on_file
        self._lock = Lock()
        # Of two members with one path the later one is what is unpacked last, and stays.
        self.members = {one.path: one for one in list_members(source).members if not one.is_directory}
        self._native = [one for one in self.members.values() if _may_be_native(one)]
        if len(self._native) > _MOST_NATIVE_FILES:
            raise FormatError(f"`{source.name}` has more than {_MOST_NATIVE_FILES} native files")
        self._files = {one.path: known[one.path] for one in self._native if one.path in known}

    def information(self, artifact: Artifact) -> tuple[Message, Message | None]:
        """The headers of `METADATA` and `WHEEL`; FormatError for an archive that is no wheel."""
        metadata = self._find("METADATA", artifact)
        if metadata is None:
            raise FormatError(
                f"`{self._source.name}` is no wheel", reasons=("it has no `METADATA` in a `.dist-info` directory",)
            )
        wheel = self._find("WHEEL", artifact)
        contents = self._small(metadata, *([wheel] if wheel else []))
        headers = parse_headers(contents.get(metadata.path, b""))
        return headers, parse_headers(contents.get(wheel.path, b"")) if wheel else None

    def describe(self, artifact: Artifact) -> tuple[Artifact, tuple[str, ...]]:
        """The artifact as its metadata tells, and its requirements; FormatError for an archive that is no wheel."""
        import msgspec

        headers, tags = self.information(artifact)
        placed = msgspec.structs.replace(
            artifact, location=artifact.location or self._source.location, size_bytes=self._source.size_bytes
        )
        described = describe_wheel(placed, headers, tags, filename=artifact.filename or self._source.name)
        return described, requirements_of(headers)

    def read_native(self, *, workers: int) -> None:
        """Reads what may be native and is not known, the largest first, so that no thread is left with it alone."""
        wanted = [one for one in self._native if one.path not in self._known]
        runs = sorted(runs_of(wanted), key=lambda run: -sum(one.size_bytes for one in run))
        if workers < 2 or len(runs) < 2:
            for run in runs:
                self._read_run(run)
            return
        with ThreadPoolExecutor(min(workers, len(runs)), thread_name_prefix="gpuenv-wheel") as pool:
            try:
                for done in [pool.submit(self._read_run, run) for run in runs]:
                    done.result()
            except BaseException:
                self.stop.set()
                raise

    def find_imports(self) -> dict[str, str]:
        """The GPU packages that the sources of a wheel without native code import, each with the first file."""
        if self._files or not self.complete:
            return {}
        from gpuenv.artifacts.imports import find_imports

        found: dict[str, str] = {}
        for member, content in self._sources():
            for name in find_imports(member.path, content):
                found.setdefault(name, member.path)
        return found

    def native_files(self) -> tuple[NativeFile, ...]:
        """All native files by path."""
        return tuple(self._files[path] for path in sorted(self._files))

    def _find(self, name: str, artifact: Artifact) -> Member | None:
        """A file of the top-level `.dist-info` directory, of the one that is named like the wheel if there are more."""
        found = [
            one for path, one in self.members.items() if path.count("/") == 1 and path.endswith(f".dist-info/{name}")
        ]
        own = artifact.name.lower().replace("-", "_").replace(".", "_")
        return min(
            found,
            key=lambda one: not one.path.lower().replace("-", "_").replace(".", "_").startswith(own),
            default=None,
        )

    def _small(self, *members: Member) -> dict[str, bytes]:
        """The contents of small members; what cannot be read is left out, with a problem noted."""
        found: dict[str, bytes] = {}
        wanted = [one for one in members if one.size_bytes <= _LARGEST_METADATA]
        self.problems += [
            f"`{one.path}` has {one.size_bytes} bytes and was not read" for one in members if one not in wanted
        ]
        try:
            for member, chunks in stream_members(self._source, wanted):
                with self._noted():
                    found[member.path] = b"".join(chunks)
        except UnavailableError as error:
            self._break_off(error)
        return found

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """A broken member is a problem, and the next one is read."""
        try:
            yield
        except FormatError as error:
            self.problems.append(_told(error))

    def _read_run(self, run: Sequence[Member]) -> None:
        if self.stop.is_set():
            return
        try:
            for member, chunks in stream_members(self._source, run):
                self._keep(self._read_one(member, chunks))
        except UnavailableError as error:
            self._break_off(error)
        except _StoppedError:
            return

    def _read_one(self, member: Member, chunks: Iterator[bytes]) -> NativeFile | None:
        try:
            return read_passing_file(self._while_wanted(chunks), path=member.path, size_bytes=member.size_bytes)
        except FormatError as error:
            return NativeFile(path=member.path, size_bytes=member.size_bytes, problem=_told(error))

    def _while_wanted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self.stop.is_set():
                raise _StoppedError
            yield chunk

    def _keep(self, file: NativeFile | None) -> None:
        if file is None:
            return
        with self._lock:
            self._files[file.path] = file
            if self._on_file:
                self._on_file(file)

    def _break_off(self, error: UnavailableError) -> None:
        """Ends the reading; of several threads the first one says why."""
        with self._lock:
            if self.complete:
                self.complete = False
                self.problems.append(_told(error))
        self.stop.set()

    def _sources(self) -> Iterator[tuple[Member, bytes]]:
        """The Python sources that are worth reading and within the budget, as they lie in the archive."""
        from gpuenv.artifacts.imports import wanted_sources

        fetched = self._source.fetched_bytes
        budget = _FETCHED_AT_MOST - fetched - _SLACK if fetched else _LOCAL_BUDGET
        sizes = [
            (path, one.packed_bytes)
            for path, one in self.members.items()
            if path.endswith(".py") and 0 < one.size_bytes <= _LARGEST_SOURCE
        ]
        wanted = [self.members[path] for path in wanted_sources(sizes, budget_bytes=budget)] if budget > 0 else []
        chosen, gap = _within(wanted, budget)
        try:
            for member, chunks in stream_members(self._source, chosen, gap_bytes=gap):
                with self._noted():
                    yield member, b"".join(chunks)
        except UnavailableError as error:
            self._break_off(error)


class _StoppedError(Exception):
    """Nobody wants the rest."""


def _may_be_native(member: Member) -> bool:
    return is_native_name(member.path) or is_perhaps_program(
        member.path, member.size_bytes, executable=member.executable
    )


def _told(error: GpuenvError) -> str:
    return ": ".join((error.message, *error.reasons[:1]))


def _within(members: Sequence[Member], budget: int) -> tuple[Sequence[Member], int]:
    """As many of the members as the budget allows, first ones first, and the gap to pass over between two of them.

    Wide gaps save requests, and cost the bytes in them.
    """
    chosen = list(members)
    while chosen:
        for gap in (GAP_BYTES, GAP_BYTES // 8, 512):
            runs = runs_of(chosen, gap_bytes=gap)
            if sum(run[-1].stop - run[0].start for run in runs) <= budget:
                return chosen, gap
        chosen = chosen[: len(chosen) * 3 // 4]
    return (), GAP_BYTES
