"""Reads single members of a wheel on the index by HTTP range requests, so that nothing else is downloaded."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import requests
from isal import isal_zlib
from release_index import TIMEOUT_S, RemoteFile

TAIL_BYTES = 512 * 1024
CHUNK_BYTES = 1024 * 1024
# A local file header is 30 bytes, then the name and extra fields, which may be longer than in the directory.
LOCAL_HEADER = struct.Struct("<4s5H3I2H")


class RangeReader(io.RawIOBase):
    """A remote file as a seekable one. Its end is fetched once and kept, since a wheel's directory stands there."""

    def __init__(self, session: requests.Session, file: RemoteFile) -> None:
        self._session = session
        self._url = file.url
        self.size_bytes = file.size_bytes
        self._at = 0
        self._tail_from = max(0, self.size_bytes - TAIL_BYTES)
        self._tail = b""
        self.fetched_bytes = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves within the file; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """`size` bytes from here, from the kept end where they lie in it."""
        stop = self.size_bytes if size < 0 else min(self.size_bytes, self._at + size)
        if stop <= self._at:
            return b""
        if self._at >= self._tail_from:
            if not self._tail:
                self._tail = self._get(self._tail_from, self.size_bytes)
            content = self._tail[self._at - self._tail_from : stop - self._tail_from]
        else:
            content = self._get(self._at, stop)
        self._at += len(content)
        return content

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to `stop` in chunks, as they arrive."""
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        with self._session.get(self._url, headers=headers, timeout=TIMEOUT_S, stream=True) as response:
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                raise OSError("the index does not serve ranges of files")
            for chunk in response.iter_content(CHUNK_BYTES):
                self.fetched_bytes += len(chunk)
                yield chunk

    def _get(self, start: int, stop: int) -> bytes:
        return b"".join(self.stream(start, stop))


@dataclass(slots=True)
class RemoteWheel:
    """A wheel on the index whose directory was read."""

    reader: RangeReader
    members: list[zipfile.ZipInfo] = field(default_factory=list)

    @classmethod
    def open(cls, session: requests.Session, file: RemoteFile) -> RemoteWheel:
        """Reads the directory of `file`; BadZipFile when it is no archive."""
        reader = RangeReader(session, file)
        with zipfile.ZipFile(reader) as archive:
            return cls(reader=reader, members=archive.infolist())

    def stream(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """The content of `member`, inflated as it arrives and checked for its length."""
        slack = LOCAL_HEADER.size + len(member.filename.encode()) + 4096
        stop = min(self.reader.size_bytes, member.header_offset + slack + member.compress_size)
        raw = _skip_local_header(self.reader.stream(member.header_offset, stop), member.compress_size)
        total = 0
        for content in _inflate(raw) if member.compress_type == zipfile.ZIP_DEFLATED else raw:
            total += len(content)
            yield content
        if total != member.file_size:
            raise OSError(f"{member.filename}: {total} bytes arrived instead of {member.file_size}")

    def metadata(self) -> str:
        """The text of `METADATA` in the wheel's top-level `.dist-info`."""
        for member in self.members:
            path = PurePosixPath(member.filename)
            if path.name == "METADATA" and len(path.parts) == 2 and path.parts[0].endswith(".dist-info"):
                return b"".join(self.stream(member)).decode("utf-8", "replace")
        raise OSError("the wheel holds no METADATA")


def read_sdist_metadata(session: requests.Session, file: RemoteFile) -> str:
    """What a (small) sdist says of itself: its PKG-INFO, and the requirements that only `requires.txt` lists."""
    content = b"".join(RangeReader(session, file).stream(0, file.size_bytes))
    info, listed = "", ""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive:
            path = PurePosixPath(entry.name)
            stream = archive.extractfile(entry) if entry.isfile() else None
            if stream and path.name == "PKG-INFO" and len(path.parts) == 2:
                info = stream.read().decode("utf-8", "replace")
            elif stream and path.name == "requires.txt" and path.parent.name.endswith(".egg-info"):
                listed = stream.read().decode("utf-8", "replace")
    if "\nRequires-Dist:" in info:
        return info
    head, separator, body = info.partition("\n\n")
    return head + "".join(f"\nRequires-Dist: {line}" for line in _requirements_of(listed)) + separator + body


def _requirements_of(requires_txt: str) -> Iterator[str]:
    """The requirements of a `requires.txt`, whose `[extra:marker]` headings become markers."""
    marker = ""
    for line in map(str.strip, requires_txt.splitlines()):
        if line.startswith("["):
            extra, _, condition = line.strip("[]").partition(":")
            parts = [f'extra == "{extra}"' if extra else "", condition]
            marker = " and ".join(part for part in parts if part)
        elif line:
            yield f"{line}; {marker}" if marker else line


def _skip_local_header(chunks: Iterator[bytes], wanted: int) -> Iterator[bytes]:
    """The `wanted` bytes that follow the local file header at the start of `chunks`."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= LOCAL_HEADER.size:
            break
    fields = LOCAL_HEADER.unpack_from(head)
    if fields[0] != b"PK\x03\x04":
        raise OSError("no archive member begins where the directory says")
    skip = LOCAL_HEADER.size + fields[-2] + fields[-1]
    while len(head) < skip:
        head += next(chunks)
    rest = head[skip : skip + wanted]
    while True:
        yield rest
        wanted -= len(rest)
        if wanted <= 0:
            return
        rest = next(chunks)[:wanted]


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = isal_zlib.decompressobj(-15)
    for chunk in chunks:
        content = inflater.decompress(chunk)
        if content:
            yield content
    content = inflater.flush()
    if content:
        yield content
