"""Static archives (`ar`): the GNU, BSD and System V forms of one layout, member by member.

A magic line, then for each member a header of 60 characters (name 16, date 12, owner 6, group 6, mode 8, size 10, two
end marks) and its bytes, padded to an even offset (System V ABI, chapter 7, Archive File).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gpuenv.binaries.buffers import ReadableBytes
from gpuenv.errors import FormatError

__all__ = [
    "ARCHIVE_MAGIC",
    "HEADER_BYTES",
    "MOST_MEMBERS",
    "SYMBOL_TABLE",
    "THIN_MAGIC",
    "Member",
    "is_table",
    "read_member_header",
    "read_members",
]

ARCHIVE_MAGIC = b"!<arch>\n"
SYMBOL_TABLE = b"__.SYMDEF"
THIN_MAGIC = b"!<thin>\n"
HEADER_BYTES = 60
# The largest of NVIDIA's static libraries have some thousands.
MOST_MEMBERS = 1 << 16
_TABLES = {b"/", b"//", b"/SYM64/", b"__.SYMDEF", b"__.SYMDEF/", b"__.SYMDEF_64", b"/<ECSYMBOLS>/"}
_BSD_NAME = re.compile(rb"#1/(\d{1,10}) *")
_SIZE = re.compile(rb"(\d{1,10}) *")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Where the bytes of one member lie. `is_table` marks lists of symbols and names, which are members too."""

    offset: int
    size_bytes: int
    is_table: bool = False


def is_table(header: bytes) -> bool:
    """Whether a member's header is that of the archive's own list of symbols or of long names."""
    return header[:16].rstrip(b" ") in _TABLES


def read_member_header(header: bytes, at: int) -> tuple[int, int]:
    """Bytes behind a member's header, and how many of the first of them are its name (BSD writes long names there).

    FormatError when the header is cut off or is none.
    """
    size = _SIZE.fullmatch(header[48:58])
    if len(header) < HEADER_BYTES or header[58:60] != b"`\n" or not size:
        raise FormatError(f"no member of the archive begins at byte {at}")
    name = _BSD_NAME.fullmatch(header[:16])
    name_size = int(name[1]) if name else 0
    if name_size > int(size[1]):
        raise FormatError(f"the name of the archive member at byte {at} is longer than the member")
    return int(size[1]), name_size


def read_members(buffer: ReadableBytes) -> Iterator[Member]:
    """The members in file order; FormatError when a header is broken or claims more bytes than there are."""
    at, members = len(ARCHIVE_MAGIC), 0
    while at < len(buffer):
        if (members := members + 1) > MOST_MEMBERS:
            raise FormatError(f"the archive has more than {MOST_MEMBERS} members")
        header = bytes(buffer[at : at + HEADER_BYTES])
        size, name_size = read_member_header(header, at)
        at += HEADER_BYTES
        if at + size > len(buffer):
            raise FormatError(f"the archive ends within the member at byte {at}")
        table = is_table(header) or bytes(buffer[at : at + min(name_size, len(SYMBOL_TABLE))]) == SYMBOL_TABLE
        yield Member(offset=at + name_size, size_bytes=size - name_size, is_table=table)
        at += size + size % 2
