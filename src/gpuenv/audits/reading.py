"""Looks into one package: its own `index.json`, its hashes, and a reading of its native files, from the cache where the
same bytes were read before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpuenv.artifacts.cache import hash_key
from gpuenv.artifacts.conda_info import INDEX, read_info
from gpuenv.artifacts.conda_packages import read_conda
from gpuenv.artifacts.sources import LocalSource, Source, cannot_open
from gpuenv.audits.hashing import HashedSource
from gpuenv.audits.repodata import Record, parse_record
from gpuenv.errors import FormatError, RequestError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind, Reading
from gpuenv.targets.means import Means
from gpuenv.targets.stopping import StoppableSource
from gpuenv.targets.wanted import WantedFile

__all__ = ["Contents", "look_into_package"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a package is. `sha256` and `md5` are None where it was not read again, since the reading of the bytes that
    its record names was there.
    """

    index: Record
    reading: Reading
    size_bytes: int
    sha256: str | None
    md5: str | None = None


def look_into_package(file: WantedFile, means: Means) -> Contents:
    """What is in the package. Errors where it is none, or cannot be read; a part that cannot be read is one, too."""
    means.report.detail(f"reading {file.filename}")
    if file.path is not None:
        return _look_into_local(file, file.path, means)
    url = file.fetch_url
    if url is None:
        raise RequestError(f"`{file.filename}` has no address and is not here")
    with means.open_file(url, name=file.filename, size_bytes=None) as remote:
        source = HashedSource(StoppableSource(remote, means.stopped))
        index = _read_index(source)
        same_size = file.size_bytes in {None, source.size_bytes}
        known = means.cache.load(hash_key(file.sha256)) if file.sha256 and same_size else None
        if known and known.complete:
            return Contents(index=index, reading=_named(known, file), size_bytes=source.size_bytes, sha256=None)
        reading = _read(source, file)
        sha256, md5 = source.finish()
    means.cache.store(hash_key(sha256), reading)
    return Contents(index=index, reading=reading, size_bytes=source.size_bytes, sha256=sha256, md5=md5)


def _look_into_local(file: WantedFile, path: Path, means: Means) -> Contents:
    sha256, md5 = _hashes(path)
    source = LocalSource(path)
    index = _read_index(source)
    reading = means.cache.load(hash_key(sha256))
    if reading is None or not reading.complete:
        reading = _read(source, file)
        means.cache.store(hash_key(sha256), reading)
    return Contents(index=index, reading=_named(reading, file), size_bytes=source.size_bytes, sha256=sha256, md5=md5)


def _hashes(path: Path) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as opened:
            while chunk := opened.read(1 << 20):
                sha256.update(chunk)
                md5.update(chunk)
    except OSError as error:
        raise cannot_open(path, error) from error
    return sha256.hexdigest(), md5.hexdigest()


def _named(reading: Reading, file: WantedFile) -> Reading:
    """The reading as one of this file: it may have been read under another name."""
    artifact = msgspec.structs.replace(reading.artifact, filename=file.filename, location=str(file.path or file.url))
    return msgspec.structs.replace(reading, artifact=artifact)


def _read(source: Source, file: WantedFile) -> Reading:
    artifact = Artifact(
        kind=ArtifactKind.CONDA, name=file.name, version=file.version, build=file.build, filename=file.filename
    )
    reading = read_conda(source, artifact)
    told = (*(one.problem for one in reading.files if one.problem), *(() if reading.complete else reading.problems))
    if told:
        kind = FormatError if reading.complete else UnavailableError
        raise kind(f"`{file.filename}` could be read in part only", reasons=told[:5])
    return reading


def _read_index(source: Source) -> Record:
    try:
        content = read_info(source, (INDEX,)).get(INDEX)
        if content is not None:
            return parse_record(content, f"its `info/{INDEX}`")
    except FormatError as error:
        reasons = (error.message, *error.reasons)
        raise FormatError(f"`{source.name}` is no readable conda package", reasons=reasons) from error
    raise FormatError(f"`{source.name}` is no readable conda package", reasons=(f"it has no `info/{INDEX}`",))
