"""The GPU code of a wheel on the index, as a row of the catalog holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from types import MappingProxyType

from gpuenv._net import Client
from gpuenv.artifacts.sources import Source
from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
from gpuenv.artifacts.wheels import read_wheel
from gpuenv.channels.catalog.releases import CodeReading, RawGroup, RawLibrary
from gpuenv.channels.index_logins import credentials_for
from gpuenv.channels.simple_index import ListedFile
from gpuenv.errors import UnavailableError
from gpuenv.model import LibraryCode, NativeFile, Reading, UnitGroup

__all__ = ["WheelCode", "code_of", "read_wheel_code"]

_NOTHING_KNOWN: Mapping[str, NativeFile] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelCode:
    """What was read of one wheel: its code, what could not be read of it, and what was fetched for it."""

    code: CodeReading
    problems: tuple[str, ...]
    fetched_bytes: int


def read_wheel_code(
    client: Client,
    index: str,
    file: ListedFile,
    *,
    stopped: Event | None = None,
    known: Mapping[str, NativeFile] = _NOTHING_KNOWN,
) -> WheelCode:
    """Opens the wheel by ranges and reads the native files in it, except those in `known`.

    UnavailableError where it cannot be had or `stopped` is set, RequestError where it is not there, FormatError where
    it is no wheel.
    """
    with client.open(
        file.url,
        size_bytes=file.size_bytes,
        name=file.filename,
        credentials=credentials_for(file.url, indexes=(index,)),
    ) as remote:
        source = _Guarded(remote, stopped or Event())
        reading = read_wheel(source, artifact_of_wheel_name(file.filename), known=known)
        return WheelCode(code=code_of(reading, file), problems=_problems(reading), fetched_bytes=remote.fetched_bytes)


def code_of(reading: Reading, file: ListedFile) -> CodeReading:
    """What was read, without what the catalog has no place for; libraries by name."""
    libraries = sorted((one.code for one in reading.files if one.code), key=lambda code: (code.name, code.size_bytes))
    return CodeReading(
        wheel_file=file.filename, sha256=file.sha256, libraries=tuple(_library(library) for library in libraries)
    )


def _problems(reading: Reading) -> tuple[str, ...]:
    broken = (f"{one.path}: {one.problem}" for one in reading.files if one.problem)
    return (*reading.problems, *broken)


def _library(library: LibraryCode) -> RawLibrary:
    return RawLibrary(
        name=library.name,
        size_bytes=library.size_bytes,
        groups=_groups(library.groups),
        relocatable=_groups(library.relocatable),
    )


def _groups(groups: tuple[UnitGroup, ...]) -> tuple[RawGroup, ...]:
    return tuple(RawGroup(images=tuple(map(str, group.images)), units=group.units) for group in groups)


class _Guarded:
    """A source that gives nothing more once `stopped` is set."""

    def __init__(self, source: Source, stopped: Event) -> None:
        self.name = source.name
        self.location = source.location
        self.size_bytes = source.size_bytes
        self._source = source
        self._stopped = stopped

    @property
    def fetched_bytes(self) -> int:
        return self._source.fetched_bytes

    @fetched_bytes.setter
    def fetched_bytes(self, value: int) -> None:
        self._source.fetched_bytes = value

    def read(self, start: int, stop: int) -> bytes:
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        for chunk in self._source.stream(start, stop):
            if self._stopped.is_set():
                raise UnavailableError(f"the reading of `{self.name}` was stopped")
            yield chunk
