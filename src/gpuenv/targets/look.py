"""Looks into one file: from the cache where it was read before, else where it is, and keeps what it read."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import msgspec

from gpuenv.artifacts.cache import claim_key, hash_key, place_key
from gpuenv.artifacts.sources import LocalSource, Source
from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
from gpuenv.artifacts.whole_hash import SummedSource, check_sha256, sha256_of
from gpuenv.channels.conda.places import without_secrets
from gpuenv.errors import FormatError, IntegrityError, RequestError
from gpuenv.model import Artifact, ArtifactKind, NativeFile, Reading
from gpuenv.targets.means import Looked, Means
from gpuenv.targets.stopping import StoppableSource
from gpuenv.targets.wanted import WantedFile

__all__ = ["as_seen_from", "look_into_file"]

_SECONDS_BETWEEN_KEEPING = 1.0


def look_into_file(file: WantedFile, means: Means) -> Looked:
    """What is in the file. What was read of it before a failure or an interruption is kept for the next time; where
    the process is killed, what was read until about a second before.

    A reading counts for every file with the same hash where that was checked: files here are, and those that come
    whole. Of others only the address where it was read counts, so that an index that lies about a hash deceives nobody
    about files elsewhere.

    IntegrityError for a file that has not the size or the hash that its index lists, any other `GpuenvError` where it
    cannot be looked at; a reading that broke off on the way is given as far as it got.
    """
    key = _key(file)
    reading = _known(file, means)
    fetched = 0
    if reading is None or not reading.complete:
        means.report.detail(f"reading {file.filename}")
        # Without a key nothing is shared with other processes, and nobody is to wait.
        with means.cache.lock(key) if key else nullcontext():
            # Another process may have read it meanwhile.
            reading = _known(file, means) or reading
            if reading is None or not reading.complete:
                reading, fetched = _read(file, means, key, before=reading)
    return Looked(reading=_placed(reading, file), fetched_bytes=fetched, python=file.python, note=file.note)


def as_seen_from(file: WantedFile, looked: Looked) -> Looked:
    """What this command has looked into already, for a further target or machine that it stands for."""
    return Looked(reading=_placed(looked.reading, file), python=file.python, note=file.note)


def _key(file: WantedFile) -> str | None:
    if file.sha256 and file.path is None:
        return claim_key(file.sha256, _address(file)) if file.url else None
    if file.sha256:
        return hash_key(file.sha256)
    return place_key(file.path) if file.path else None


def _address(file: WantedFile) -> str:
    return without_secrets(file.url or "")


def _known(file: WantedFile, means: Means) -> Reading | None:
    if file.sha256:
        return means.cache.of_file(file.sha256, _address(file) if file.url and file.path is None else None)
    key = _key(file)
    return means.cache.load(key) if key else None


def _read(file: WantedFile, means: Means, key: str | None, *, before: Reading | None) -> tuple[Reading, int]:
    if file.path is not None:
        source: Source = LocalSource(file.path)
        if file.size_bytes not in {None, source.size_bytes}:
            raise _of_another_size(file, source)
        if file.sha256:
            check_sha256(file.filename, sha256_of(source), file.sha256)
        return _read_source(source, file, means, key, before), 0
    url = file.fetch_url
    if url is None:
        raise RequestError(f"`{file.filename}` has no address and is not here")
    with means.open_file(url, name=file.filename, size_bytes=file.size_bytes) as remote:
        source = SummedSource(StoppableSource(remote, means.stopped))
        if file.sha256 and remote.is_whole:
            check_sha256(file.filename, sha256_of(source), file.sha256)
            key = hash_key(file.sha256)
        reading = _read_source(source, file, means, key, before)
        if file.sha256 and source.sha256 and key != hash_key(file.sha256):
            check_sha256(file.filename, source.sha256, file.sha256)
            means.cache.store(hash_key(file.sha256), reading)
        return reading, remote.fetched_bytes


def _of_another_size(file: WantedFile, source: Source) -> IntegrityError:
    return IntegrityError(
        f"`{file.filename}` is not the file that the index lists",
        reasons=(f"it has {source.size_bytes} bytes, and the index says {file.size_bytes}",),
    )


def _read_source(source: Source, file: WantedFile, means: Means, key: str | None, before: Reading | None) -> Reading:
    artifact = _artifact(file, source)
    known = {one.path: one for one in before.files} if before else {}
    finished: list[NativeFile] = [*known.values()]
    kept = time.monotonic()

    def keep_part() -> None:
        nonlocal kept
        if key and len(finished) > len(known):
            means.cache.store(key, Reading(artifact=artifact, files=tuple(finished), complete=False))
            kept = time.monotonic()

    def keep(native: NativeFile) -> None:
        finished.append(native)
        means.report.detail(f"read {native.path} of {file.filename}")
        if time.monotonic() - kept > _SECONDS_BETWEEN_KEEPING:
            keep_part()

    try:
        reading = _reader_of(file.kind)(source, artifact, known, keep)
    except BaseException:
        keep_part()
        raise
    if key and (reading.complete or reading.files):
        means.cache.store(key, reading)
    return reading


Reader = Callable[[Source, Artifact, dict[str, NativeFile], Callable[[NativeFile], None]], Reading]


def _reader_of(kind: ArtifactKind) -> Reader:
    """The reader for a kind of file; only that one is loaded."""
    if kind is ArtifactKind.WHEEL:
        from gpuenv.artifacts.wheels import read_wheel

        return lambda source, artifact, known, keep: read_wheel(source, artifact, known=known, on_file=keep)
    if kind is ArtifactKind.CONDA:
        from gpuenv.artifacts.conda_packages import read_conda

        return lambda source, artifact, _, keep: read_conda(source, artifact, on_file=keep)
    if kind is ArtifactKind.SDIST:
        from gpuenv.artifacts.sdists import read_sdist

        return lambda source, artifact, _, __: read_sdist(source, artifact)
    from gpuenv.artifacts.bare_files import read_bare_file

    return lambda source, artifact, _, __: read_bare_file(source, artifact)


def _artifact(file: WantedFile, source: Source) -> Artifact:
    known = Artifact(kind=file.kind, name=file.name, version=file.version, build=file.build)
    if file.kind is ArtifactKind.WHEEL:
        try:
            known = artifact_of_wheel_name(file.filename)
        except FormatError:
            # A file here may have any name; its metadata tells what it is.
            if file.path is None:
                raise
    return msgspec.structs.replace(
        known,
        filename=file.filename,
        location=source.location,
        sha256=file.sha256,
        size_bytes=source.size_bytes,
    )


def _placed(reading: Reading, file: WantedFile) -> Reading:
    """The reading as one of this file: it may have been read at another place."""
    artifact = msgspec.structs.replace(
        reading.artifact,
        filename=file.filename,
        location=str(file.path) if file.path else file.url or reading.artifact.location,
        sha256=file.sha256 or reading.artifact.sha256,
    )
    return msgspec.structs.replace(reading, artifact=artifact)
