"""Writes conda packages of both forms (CEP 35): the same content gives the same bytes, at any time and place.

`conda_package_streaming.create` writes the time of writing into the archive, hence this.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from gpuenv.errors import UnavailableError

__all__ = ["PackedFile", "write_conda_package", "zstd_writer"]

# As conda-build compresses; larger packages would take minutes for a few percent.
_LEVEL = 19
_LEVEL_OF_LARGE = 9
_LARGE_BYTES = 16 << 20
_SPOOLED_BYTES = 16 << 20
# What zstd itself takes at level 19; tar headers need some kB beside the files.
_WINDOW_LOG = 23
_LEAST_WINDOW_BYTES = 1 << 16
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
_FORMAT = {"conda_pkg_format_version": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """A file that a package installs: its place in the prefix, its size in bytes, and its content to be read once."""

    path: str
    size_bytes: int
    content: IO[bytes]
    executable: bool = False


def write_conda_package(
    target: Path, *, dist: str, info: Mapping[str, bytes], files: Iterable[PackedFile], timestamp: int, size_bytes: int
) -> None:
    """Writes `NAME-VERSION-BUILD` (`dist`) to `target`, whose ending says in which form, complete or not at all.

    `info` are the files of `info/` by name. `timestamp`, in seconds, is the date of everything in it; `size_bytes` is
    about how much there is to install. The content of each of `files` is taken before the next one is asked for.
    UnavailableError where it cannot be written; errors of `files` pass through.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        with os.fdopen(handle, "wb") as out:
            if target.name.endswith(".conda"):
                _write_zip(out, dist, info, files, timestamp, size_bytes)
            else:
                _write_bzip2(out, info, files, timestamp)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(target, error) from error
        raise


def zstd_writer(out: BinaryIO, *, size_bytes: int, level: int = _LEVEL) -> IO[bytes]:
    """What is written to it goes to `out` as a zstd stream, which ends when it is closed. `size_bytes` is about how
    much that will be: tables for as much are enough, and those for more take 90 MB and a while to set up.
    """
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    known = zstd.CompressionParameter
    options: dict[int, int] = {known.compression_level: level}
    window = (size_bytes + _LEAST_WINDOW_BYTES).bit_length()
    if window < _WINDOW_LOG:
        # The tables have the proportions of level 19.
        options |= {known.window_log: window, known.chain_log: window + 1, known.hash_log: window - 1}
    return cast("IO[bytes]", zstd.ZstdFile(out, "w", options=options))


def _cannot_write(target: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"cannot write `{target}`", reasons=(error.strerror or str(error),))


def _write_zip(
    out: IO[bytes], dist: str, info: Mapping[str, bytes], files: Iterable[PackedFile], timestamp: int, size_bytes: int
) -> None:
    level = _LEVEL if size_bytes <= _LARGE_BYTES else _LEVEL_OF_LARGE
    sizes = {"pkg": size_bytes, "info": sum(map(len, info.values()))}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("metadata.json", _FIRST_DATE), json.dumps(_FORMAT))
        for part in ("pkg", "info"):
            packed = tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES)  # noqa: SIM115  (closed below)
            with packed:
                with _tar(zstd_writer(cast("BinaryIO", packed), size_bytes=sizes[part], level=level)) as tar:
                    _add_all(tar, files if part == "pkg" else _in_info(info), timestamp)
                size = packed.tell()
                packed.seek(0)
                entry = zipfile.ZipInfo(f"{part}-{dist}.tar.zst", _FIRST_DATE)
                with archive.open(entry, "w", force_zip64=size > 1 << 31) as member:
                    while chunk := packed.read(1 << 20):
                        member.write(chunk)


def _write_bzip2(out: IO[bytes], info: Mapping[str, bytes], files: Iterable[PackedFile], timestamp: int) -> None:
    import bz2

    with bz2.BZ2File(out, "w") as packed, _tar(packed) as tar:
        _add_all(tar, _in_info(info), timestamp)
        _add_all(tar, files, timestamp)


@contextmanager
def _tar(out: IO[bytes]) -> Iterator[tarfile.TarFile]:
    with out, tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        yield tar


def _in_info(info: Mapping[str, bytes]) -> Iterator[PackedFile]:
    for name, content in sorted(info.items()):
        yield PackedFile(path=f"info/{name}", size_bytes=len(content), content=io.BytesIO(content))


def _add_all(tar: tarfile.TarFile, files: Iterable[PackedFile], timestamp: int) -> None:
    for file in files:
        member = tarfile.TarInfo(file.path)
        member.size, member.mtime = file.size_bytes, timestamp
        member.mode = 0o755 if file.executable else 0o644
        tar.addfile(member, file.content)
