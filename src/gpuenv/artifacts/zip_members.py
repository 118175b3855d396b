"""What is in a zip archive, and the bytes of its members as they pass, from a disk or a server.

The directory is read by `zipfile`. The members are read here, since `zipfile` asks for a few hundred bytes at a time,
inflates slowly and holds nobody to the sizes that a member declares. Format: APPNOTE.TXT 6.3.10, section 4.3.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuenv.artifacts.inflating import METHODS, inflate
from gpuenv.artifacts.sources import SeekableSource, Source
from gpuenv.errors import FormatError
from gpuenv.model import printable

__all__ = ["GAP_BYTES", "Listing", "Member", "list_members", "runs_of", "stream_member", "stream_members"]

GAP_BYTES = 1 << 16
RUN_BYTES = 8 << 20
_MOST_MEMBERS = 200_000
_LARGEST_DIRECTORY = 64 << 20
_LARGEST_CONTENT = 32 << 30
# A local header may have other extra fields than the directory, up to this size.
_LARGEST_EXTRA = 65535
_READ_OVER = 1 << 20
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY_MAGIC = b"PK\x01\x02"
_UTF8 = 0x800
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_BROKEN = (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError, OverflowError, LookupError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in the archive. `path` is as written (it may be absolute or climb with `..`), what does not print escaped.

    `raw_name` is the name as it stands there. All of the member lies from `start` to `limit`, with its header first.
    `packed_bytes` and `size_bytes` are what the directory declares, before and after inflating.
    """

    path: str
    raw_name: str
    start: int
    limit: int
    packed_bytes: int
    size_bytes: int
    crc32: int
    method: int
    executable: bool = False
    encrypted: bool = False

    @property
    def is_directory(self) -> bool:
        """Whether it only says that there is a directory."""
        return self.raw_name.endswith("/")

    @property
    def stop(self) -> int:
        """Before which all of its bytes are, as far as can be told before its header was read."""
        return min(
            self.limit, self.start + _LOCAL.size + len(self.raw_name.encode()) + _LARGEST_EXTRA + self.packed_bytes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The members in the order of the directory."""

    members: tuple[Member, ...]


def list_members(source: Source) -> Listing:
    """What the archive's directory lists. FormatError where it is none, or one that nobody would make.

    That is: more than 200,000 members, a directory of more than 64 MB, members that overlap, more than 32 GB in all.
    """
    try:
        # Nothing is closed with it: the source is the caller's.
        archive = zipfile.ZipFile(_DirectorySource(source))
        entries, end = archive.infolist(), archive.start_dir
    except _BROKEN as error:
        raise FormatError(f"`{source.name}` is not a zip archive that can be read", reasons=(_said(error),)) from error
    if sum(entry.file_size for entry in entries) > _LARGEST_CONTENT:
        raise FormatError(f"`{source.name}` declares more than {_LARGEST_CONTENT >> 30} GB of content")
    limits = _limits(source, entries, end)
    return Listing(members=tuple(_member(entry, limits[entry.header_offset]) for entry in entries))


class _DirectorySource(SeekableSource):
    """Refuses a directory that is too large before it is fetched or taken apart."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._name = source.name

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As any file; before the start with the OSError that `zipfile` knows from files on disk."""
        try:
            return super().seek(offset, whence)
        except ValueError as error:
            raise OSError(str(error)) from error

    def read(self, size: int | None = -1) -> bytes:
        """As any file; FormatError for too much."""
        if size is not None and size > _LARGEST_DIRECTORY:
            raise FormatError(f"`{self._name}` has a directory of {size} bytes")
        content = super().read(size)
        if content.count(_ENTRY_MAGIC) > _MOST_MEMBERS:
            raise FormatError(f"`{self._name}` has more than {_MOST_MEMBERS} members")
        return content


def _limits(source: Source, entries: Sequence[zipfile.ZipInfo], end: int) -> dict[int, int]:
    """Where each member ends at the latest, by where it begins; FormatError where two overlap."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    starts = [*(entry.header_offset for entry in ordered), end]
    for entry, (start, limit) in zip(ordered, pairwise(starts), strict=True):
        if start < 0 or start + _LOCAL.size + entry.compress_size > limit:
            raise FormatError(
                f"`{printable(entry.filename)}` in `{source.name}` overlaps what comes after it",
                reasons=(f"it begins at byte {start}, has {entry.compress_size} bytes and ends before byte {limit}",),
            )
    return dict(pairwise(starts))


def _member(entry: zipfile.ZipInfo, limit: int) -> Member:
    mode = entry.external_attr >> 16
    return Member(
        path=printable(entry.filename),
        raw_name=entry.orig_filename,
        start=entry.header_offset,
        limit=limit,
        packed_bytes=entry.compress_size,
        size_bytes=entry.file_size,
        crc32=entry.CRC,
        method=entry.compress_type,
        executable=bool(mode & 0o111) and mode & 0o170000 in {0, 0o100000},
        encrypted=bool(entry.flag_bits & _ENCRYPTED),
    )


def _said(error: Exception) -> str:
    return printable(str(error)[:200]) or type(error).__name__


def runs_of(
    members: Sequence[Member], *, gap_bytes: int = GAP_BYTES, most_bytes: int = RUN_BYTES
) -> list[tuple[Member, ...]]:
    """The members in groups of neighbours, each of which one request fetches, in the order in which they lie.

    Between neighbours are at most `gap_bytes` that nobody wants, and a group spans at most `most_bytes` unless it is
    one member.
    """
    runs: list[list[Member]] = []
    for member in sorted(members, key=lambda member: member.start):
        last = runs[-1] if runs else None
        if last and member.start - last[-1].stop <= gap_bytes and member.stop - last[0].start <= most_bytes:
            last.append(member)
        else:
            runs.append([member])
    return [tuple(run) for run in runs]


def stream_member(source: Source, member: Member) -> Iterator[bytes]:
    """The bytes of one member in chunks of at most 256 KiB.

    FormatError, at the latest at the end, where it is not what the directory says: another name, length or checksum,
    encrypted, of an unknown compression, broken. UnavailableError as the source.
    """
    for _, chunks in stream_members(source, (member,)):
        yield from chunks


def stream_members(
    source: Source, members: Sequence[Member], *, gap_bytes: int = GAP_BYTES, most_bytes: int = RUN_BYTES
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member with its bytes, in the order in which they lie; neighbours come with one request.

    The bytes need not be taken to their end; what is left of them is passed over at the next member, and they end
    there. Errors as those of `stream_member` come with the bytes; the next member can be taken all the same.
    """
    for run in runs_of(members, gap_bytes=gap_bytes, most_bytes=most_bytes):
        passing = _Passing(source, run[-1].stop)
        try:
            for member in run:
                chunks = _content(source, passing, member)
                yield member, chunks
                chunks.close()
        finally:
            passing.close()


class _Passing:
    """The bytes of a range as they arrive, from whatever place is asked for next."""

    def __init__(self, source: Source, stop: int) -> None:
        self._source = source
        self._stop = stop
        self._at = 0
        self._rest = b""
        self._chunks: Iterator[bytes] | None = None

    def go(self, start: int) -> None:
        """Moves to a place, over what lies between or with a new request where that is far."""
        if self._chunks is None or not 0 <= start - self._at <= _READ_OVER:
            self.close()
            self._chunks = self._source.stream(start, self._stop)
            self._at, self._rest = start, b""
        for _ in self.take(start - self._at):
            pass

    def take(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes; FormatError where the range has no more."""
        while size > 0:
            if not self._rest:
                self._rest = self._next()
            piece, self._rest = self._rest[:size], self._rest[size:]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def close(self) -> None:
        """Ends the request."""
        close = getattr(self._chunks, "close", None)
        self._chunks = None
        if close:
            close()

    def _next(self) -> bytes:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            for chunk in chunks:
                if chunk:
                    self._chunks = chunks
                    return chunk
        raise FormatError(f"`{self._source.name}` breaks off at byte {self._at}")


def _content(source: Source, passing: _Passing, member: Member) -> Generator[bytes]:
    where = f"`{member.path}` in `{source.name}`"
    if member.encrypted:
        raise FormatError(f"{where} is encrypted")
    if member.method not in METHODS:
        name = zipfile.compressor_names.get(member.method, "unknown")  # type: ignore[attr-defined]
        raise FormatError(
            f"{where} is compressed in a way that is not read here", reasons=(f"{member.method}: {name}",)
        )
    passing.go(member.start)
    _pass_header(passing, member, where)
    yield from inflate(
        passing.take(member.packed_bytes),
        method=member.method,
        size_bytes=member.size_bytes,
        crc32=member.crc32,
        where=where,
    )


def _pass_header(passing: _Passing, member: Member, where: str) -> None:
    """Reads the header before the content; FormatError where it is none or tells of another file."""
    magic, _, flags, _, _, _, _, _, _, name_size, extra_size = _LOCAL.unpack(b"".join(passing.take(_LOCAL.size)))
    if magic != b"PK\x03\x04":
        raise FormatError(f"{where} does not begin where the directory says")
    if member.start + _LOCAL.size + name_size + extra_size + member.packed_bytes > member.limit:
        raise FormatError(f"{where} overlaps what comes after it")
    name = b"".join(passing.take(name_size))
    # As `zipfile` does, which `pip` unpacks with: a file that is listed under another name is a trick.
    if name.decode("utf-8" if flags & _UTF8 else "cp437", "replace") != member.raw_name:
        raise FormatError(f"{where} has another name at its place than in the directory")
    for _ in passing.take(extra_size):
        pass
