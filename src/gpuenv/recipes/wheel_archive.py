"""A wheel on disk, opened to be repacked: nothing in it is trusted, and its RECORD has to be true.

Source: PyPA, binary distribution format ("The .dist-info directory", "Installing a wheel"); PEP 427.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO

from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.wheel_metadata import first_value, parse_headers
from gpuenv.artifacts.zip_members import list_members
from gpuenv.errors import FormatError, IntegrityError
from gpuenv.model import printable

__all__ = ["OpenWheel", "WheelFile", "open_wheel"]

_LARGEST_TEXT = 8 << 20
_LONGEST_PATH = 1000
_LONGEST_PART = 255
_CHUNK = 1 << 20
# The RECORD has no hash of itself and of its signatures.
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_ALGORITHMS = ("sha256", "sha384", "sha512")
_DRIVE = re.compile(r"[A-Za-z]:")
_BROKEN = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """One file in it: its path there, its size in bytes, its SHA-256 in hexadecimal digits."""

    path: str
    size_bytes: int
    sha256: str
    executable: bool


@dataclass(slots=True, kw_only=True)
class OpenWheel:
    """`info` is the path of its `.dist-info` directory. `date` is that of its newest file, in seconds since 1970."""

    path: Path
    info: str
    files: tuple[WheelFile, ...] = ()
    metadata: Message
    wheel: Message
    date: int = 0
    _archive: zipfile.ZipFile = field(repr=False)

    @contextmanager
    def content(self, file: WheelFile) -> Iterator[IO[bytes]]:
        """The bytes of a file; FormatError where they cannot be had."""
        try:
            with self._archive.open(file.path) as opened:
                yield opened
        except _BROKEN as error:
            raise _broken(self.path, error) from error

    def text(self, name: str) -> str | None:
        """A text file of its `.dist-info`, None without it."""
        file = next((one for one in self.files if one.path == f"{self.info}/{name}"), None)
        if file is None:
            return None
        return _small(self.path, self._archive, file.path).decode("utf-8", "replace")


@contextmanager
def open_wheel(path: Path) -> Iterator[OpenWheel]:
    """The wheel at `path`, every file of it read and held against its RECORD.

    FormatError for what is no wheel, or has paths that lead out of it, links, encrypted members or two files of one
    path. IntegrityError where a file is not what the RECORD says, or only one of the two knows it.
    """
    # This holds sizes and places of all members to bounds before any is read.
    list_members(LocalSource(path))
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise _broken(path, error) from error
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check_paths(path, archive.infolist())
        info = _info_directory(path, entries)
        wheel = parse_headers(_small(path, archive, f"{info}/WHEEL"))
        _check_version(path, wheel)
        metadata = parse_headers(_small(path, archive, f"{info}/METADATA"))
        record = _record(path, _small(path, archive, f"{info}/RECORD"))
        files = tuple(_checked(path, archive, entry, info, record) for entry in entries)
        if missing := sorted(record.keys() - {file.path for file in files}):
            raise IntegrityError(
                f"`{path.name}` lacks files of its RECORD", reasons=tuple(printable(one) for one in missing[:5])
            )
        date = max((_seconds(entry.date_time) for entry in entries), default=0)
        yield OpenWheel(path=path, info=info, files=files, metadata=metadata, wheel=wheel, date=date, _archive=archive)


def _broken(path: Path, error: Exception) -> FormatError:
    return FormatError(f"`{path.name}` is a broken wheel", reasons=(printable(str(error)[:200]),))


def _small(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        entry = archive.getinfo(name)
        if entry.file_size > _LARGEST_TEXT:
            raise FormatError(f"`{name}` of `{path.name}` has {entry.file_size} bytes")
        return archive.read(entry)
    except KeyError as error:
        raise FormatError(f"`{path.name}` is no wheel", reasons=(f"it has no `{name}`",)) from error
    except _BROKEN as error:
        raise _broken(path, error) from error


def _seconds(date: tuple[int, int, int, int, int, int]) -> int:
    import calendar

    try:
        return max(0, calendar.timegm((*date, 0, 0, 0)))
    except (ValueError, OverflowError):
        return 0


# ---- paths -------------------------------------------------------------------------------------------------------


def _check_paths(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if why := _why_not(name, entry):
            reasons = (f"`{printable(name)}` {why}",)
            raise FormatError(f"`{path.name}` has a file that no package may have", reasons=reasons)
        if name in seen:
            raise FormatError(f"`{path.name}` has two files of one path", reasons=(f"`{printable(name)}`",))
        seen.add(name)


def _why_not(name: str, entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    parts = name.rstrip("/").split("/")
    if kind == stat.S_IFLNK:
        return "is a link"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is neither a file nor a directory"
    if not name.isprintable() or name != entry.orig_filename or "\\" in name:
        return "is no path that every system can write"
    if name.startswith("/") or _DRIVE.match(name):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of the package"
    if "." in parts or "" in parts:
        return "is no plain path"
    if len(name) > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_PART for part in parts):
        return "is too long"
    return None


def _info_directory(path: Path, entries: list[zipfile.ZipInfo]) -> str:
    tops = {entry.filename.split("/")[0] for entry in entries if "/" in entry.filename}
    found = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(found) != 1:
        reason = f"it has {len(found)} directories `.dist-info`"
        raise FormatError(f"`{path.name}` is no wheel", reasons=(reason,))
    return found[0]


def _check_version(path: Path, wheel: Message) -> None:
    version = first_value(wheel, "Wheel-Version") or ""
    if version.partition(".")[0] != "1":
        raise FormatError(
            f"`{path.name}` is a wheel of a version that is not read here",
            reasons=(f"Wheel-Version is {printable(version) or 'missing'}, and 1 is read",),
        )


# ---- RECORD ------------------------------------------------------------------------------------------------------


def _record(path: Path, content: bytes) -> dict[str, tuple[str, str]]:
    """Hash and size, as they stand there, by path."""
    found: dict[str, tuple[str, str]] = {}
    try:
        for row in csv.reader(io.StringIO(content.decode("utf-8")), strict=True):
            if row:
                name, digest, size = (*row, "", "", "")[:3]
                found[name] = (digest, size)
    except (UnicodeError, csv.Error) as error:
        raise FormatError(f"the RECORD of `{path.name}` is broken", reasons=(printable(str(error)),)) from error
    return found


def _checked(
    path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, info: str, record: Mapping[str, tuple[str, str]]
) -> WheelFile:
    name = entry.filename
    digest, size = record.get(name, ("", ""))
    is_free = name in {f"{info}/{one}" for one in _UNRECORDED}
    algorithm, _, expected = digest.partition("=")
    if not is_free and (name not in record or algorithm not in _ALGORITHMS):
        why = "is not in its RECORD" if name not in record else "has no hash there that is worth anything"
        raise IntegrityError(
            f"`{path.name}` is not what its RECORD says",
            reasons=(f"`{printable(name)}` {why}",),
            hints=("a wheel whose RECORD lacks files was changed after it was built",),
        )
    found, sha256, length = _hash(path, archive, entry, algorithm if algorithm in _ALGORITHMS else "sha256")
    if expected and not is_free and (found != expected or (size and size != str(length))):
        raise IntegrityError(
            f"`{path.name}` is not what its RECORD says",
            reasons=(f"`{printable(name)}` has another {'hash' if found != expected else 'size'}",),
        )
    mode = entry.external_attr >> 16
    return WheelFile(path=name, size_bytes=length, sha256=sha256, executable=bool(mode & 0o111))


def _hash(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, algorithm: str) -> tuple[str, str, int]:
    """The hash as a RECORD writes it, SHA-256 in hexadecimal digits, and how many bytes there are."""
    own, sha256, length = hashlib.new(algorithm), hashlib.sha256(), 0
    try:
        with archive.open(entry) as opened:
            while chunk := opened.read(_CHUNK):
                own.update(chunk)
                sha256.update(chunk)
                length += len(chunk)
                if length > entry.file_size:
                    raise FormatError(f"`{entry.filename}` of `{path.name}` is longer than it says")
    except _BROKEN as error:
        raise _broken(path, error) from error
    return base64.urlsafe_b64encode(own.digest()).rstrip(b"=").decode(), sha256.hexdigest(), length
