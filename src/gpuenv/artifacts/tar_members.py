"""The members of a tar stream as they pass: none is kept, none is written, and a hostile one costs no more.

The headers are parsed by `tarfile`, which reads them here through `_Passage`: forward only, a bounded number of bytes
for each member, extended headers only where they are what POSIX says. `tarfile` itself takes an extended header of
any size into memory, and takes time with the square of it.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gpuenv.errors import FormatError
from gpuenv.model import printable

__all__ = ["Limits", "Member", "MemberKind", "plain_path", "walk_tar"]

_BLOCK = 512
_MOST_PADDING_BYTES = 1 << 20
_PAX_TYPES = b"xgX"
_LONG_NAME_TYPES = b"LK"
_RECORD = re.compile(rb"(\d{1,7}) ([^=\n]{1,512})=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a tar stream may ask for. Real packages stay far below all of it.

    `header_bytes` is for the headers of one member, `global_bytes` for what is said of all members in a whole stream.
    What follows counts the work of `tarfile` on a whole stream: `records` are those of extended headers, where one
    that is said of all members counts for each; `digit_steps` is the sum of squares of the lengths of their numbers.
    """

    members: int = 200_000
    unpacked_bytes: int = 64 << 30
    header_bytes: int = 1 << 18
    global_bytes: int = 1 << 14
    records: int = 3_000_000
    digit_steps: int = 10**9


class MemberKind(StrEnum):
    """What a member is. `other` are links, devices, pipes; none of them is followed."""

    FILE = "file"
    SPARSE = "sparse"
    FOLDER = "folder"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive while it passes. `path` is clean and printable; `is_outside` says that it was absolute
    or led out of the archive. `chunks` are its bytes, to be taken before the next member is asked for, or not at all.
    """

    path: str
    size_bytes: int
    executable: bool = False
    kind: MemberKind = MemberKind.FILE
    is_outside: bool = False
    chunks: Iterator[bytes]


def walk_tar(chunks: Iterable[bytes], *, limits: Limits | None = None) -> Iterator[Member]:
    """Every member of the uncompressed tar stream in its order, folders too.

    FormatError where the stream breaks off, breaks the format or goes past a limit; errors of `chunks` pass through.
    """
    from conda_package_streaming.package_streaming import tar_generator

    bounds = limits or Limits()
    passage = _Passage(iter(chunks), bounds)
    found: Iterator[tuple[_HeaderReader, tarfile.TarInfo]] = tar_generator(passage, tarfile_open=_open_tar)
    count = 0
    while True:
        passage.begin_header()
        try:
            tar, info = next(found)
        except StopIteration:
            break
        except RecursionError as error:
            raise FormatError("an archive has headers for headers without end") from error
        except (tarfile.TarError, ValueError, OverflowError, LookupError, TypeError, EOFError) as error:
            raise FormatError(f"an archive has a broken header: {error}") from error
        tar.members.clear()
        count += 1
        if count > bounds.members:
            raise FormatError(f"an archive has more than {bounds.members} members")
        yield _member(info, passage)
    if passage.last_block.strip(b"\0"):
        raise FormatError("an archive has a broken header", reasons=(f"after {count} members",))
    passage.pass_ending()


class _HeaderReader(tarfile.TarFile):
    """A `TarFile` whose list of all members that it has seen can be emptied."""

    members: list[tarfile.TarInfo]


def _open_tar(*, fileobj: _Passage, mode: str, encoding: str) -> _HeaderReader:  # noqa: ARG001  (below)
    """A `TarFile` that asks the passage itself: in the mode `r|`, which is `mode`, it would read ahead of us."""
    return _HeaderReader(fileobj=fileobj, mode="r", encoding=encoding, errors="backslashreplace")


def _member(info: tarfile.TarInfo, passage: _Passage) -> Member:
    if info.size < 0:
        raise FormatError("an archive has a member of a negative size")
    path, is_outside = plain_path(info.name)
    kind = MemberKind.OTHER
    if info.isdir():
        kind = MemberKind.FOLDER
    elif info.issparse():
        kind = MemberKind.SPARSE
    elif info.isreg():
        kind = MemberKind.FILE
    return Member(
        path=path,
        size_bytes=info.size,
        executable=bool(info.mode & 0o111),
        kind=kind,
        is_outside=is_outside,
        chunks=passage.take(info.offset_data, info.size) if kind is MemberKind.FILE else iter(()),
    )


def plain_path(name: str) -> tuple[str, bool]:
    """A member's path without `./`, its unprintable characters written out, and whether it leads out of the archive
    when it is unpacked: absolute, with a drive, or with `..`.
    """
    slashed = name.replace("\\", "/")
    is_outside = slashed.startswith("/") or ".." in slashed.split("/") or re.match(r"[A-Za-z]:", slashed) is not None
    path = "/".join(part for part in name.split("/") if part not in {"", "."})
    return printable(path) or ".", is_outside


class _Passage(io.RawIOBase):
    """Unpacked bytes as the file that `tarfile` reads headers from, and that the content of members is taken from."""

    def __init__(self, chunks: Iterator[bytes], limits: Limits) -> None:
        self._chunks = chunks
        self._limits = limits
        self._waiting = memoryview(b"")
        self._at = 0
        self._unpacked = 0
        self._header_left = 0
        self._global_left = limits.global_bytes
        self._records_left = limits.records
        self._steps_left = limits.digit_steps
        self._globals = 0
        self._expects_type = 0
        self.last_block = b""

    def begin_header(self) -> None:
        """The headers of another member begin."""
        self._header_left = self._limits.header_bytes
        self._expects_type = 0
        self._count_records(self._globals)

    def tell(self) -> int:
        """Where the next byte is."""
        return self._at

    def seekable(self) -> bool:
        """Forward only."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Passes over what is before `offset`; FormatError for a member that would begin before that."""
        if offset < self._at or whence != os.SEEK_SET:
            raise FormatError("an archive has members that lie over each other")
        for _ in self._pieces(offset - self._at):
            pass
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Bytes of a header."""
        wanted = -1 if size is None else size
        self._header_left -= wanted
        if wanted < 0 or self._header_left < 0:
            raise FormatError(f"an archive has a header of more than {self._limits.header_bytes} bytes")
        content = b"".join(self._pieces(wanted))
        if self._expects_type:
            kind, self._expects_type = self._expects_type, 0
            if kind in _PAX_TYPES:
                self._check_records(content, is_global=kind == ord("g"))
        elif wanted == _BLOCK:
            self.last_block = content
            if len(content) == _BLOCK and content[156] in _PAX_TYPES + _LONG_NAME_TYPES:
                self._expects_type = content[156]
        return content

    def take(self, start: int, size: int) -> Iterator[bytes]:
        """The bytes of a member in pieces; FormatError where the stream ends before."""
        self.seek(start)
        left = size
        for piece in self._pieces(size):
            left -= len(piece)
            yield bytes(piece)
        if left:
            raise FormatError("an archive breaks off within a member")

    def pass_ending(self) -> None:
        """Passes over the padding behind the last member, so that whoever brings the bytes gets to his checksum."""
        for _ in self._pieces(_MOST_PADDING_BYTES):
            pass

    def _pieces(self, size: int) -> Iterator[memoryview]:
        """`size` bytes from here, fewer only where the stream ends."""
        left = size
        while left > 0:
            if not self._waiting:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return
                self._unpacked += len(chunk)
                if self._unpacked > self._limits.unpacked_bytes:
                    raise FormatError(f"an archive unpacks to more than {self._limits.unpacked_bytes} bytes")
                self._waiting = memoryview(chunk)
            piece, self._waiting = self._waiting[:left], self._waiting[left:]
            left -= len(piece)
            self._at += len(piece)
            yield piece

    def _check_records(self, content: bytes, *, is_global: bool) -> None:
        """FormatError unless the content of an extended header is records (POSIX.1-2017, `pax`, header format)."""
        content = content.rstrip(b"\0")
        self._steps_left -= sum(len(digits) ** 2 for digits in re.findall(rb"\d+", content))
        if self._steps_left < 0:
            raise FormatError("an archive has extended headers beyond reason")
        at = count = 0
        while at < len(content):
            record = _RECORD.match(content, at)
            stop = at + int(record[1]) if record else 0
            if not record or not record.end() < stop <= len(content) or content[stop - 1 : stop] != b"\n":
                raise FormatError("an archive has a broken extended header")
            at, count = stop, count + 1
        self._count_records(count)
        if is_global:
            self._globals += count
            self._global_left -= len(content)
            if self._global_left < 0:
                raise FormatError("an archive has extended headers beyond reason")

    def _count_records(self, count: int) -> None:
        self._records_left -= count
        if self._records_left < 0:
            raise FormatError("an archive has extended headers beyond reason")
