"""What an answer to a range request says (RFC 9110, sections 8.8, 13.1.5 and 14), and whether a file was replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gpuenv._net.addresses import Address
from gpuenv.errors import UnavailableError

__all__ = [
    "ContentRange",
    "Edition",
    "changed",
    "check_encoding",
    "is_web_page",
    "read_content_range",
    "size_when_refused",
    "web_page",
]

_CONTENT_RANGE = re.compile(r"bytes[ =](\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_UNSATISFIED = re.compile(r"bytes[ =]\*/(\d{1,18})", re.ASCII)
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<head", b"<script", b"<!--", b"<?xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRange:
    """The bytes that came, `stop` being the one after the last, and the size of the whole where it is told."""

    start: int
    stop: int
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What tells whether a file was replaced between two answers. A weak ETag (`W/`) tells nothing about bytes."""

    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Edition:
        """What the headers of one answer say."""
        etag = headers.get("ETag", "").strip()
        return cls(etag=etag if etag.startswith('"') else None, modified=headers.get("Last-Modified"))

    @property
    def condition(self) -> dict[str, str]:
        """The header that asks for a range of this edition only."""
        value = self.etag or self.modified
        return {"If-Range": value} if value else {}

    def differs(self, other: Edition) -> bool:
        """Whether both say something of the same kind, and not the same."""
        if self.etag and other.etag:
            return self.etag != other.etag
        return bool(self.modified and other.modified and self.modified != other.modified)


def read_content_range(headers: Mapping[str, str]) -> ContentRange | None:
    """None where the header is missing or senseless."""
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found:
        return None
    start, stop = int(found[1]), int(found[2]) + 1
    total = None if found[3] == "*" else int(found[3])
    return ContentRange(start=start, stop=stop, total=total) if start < stop <= (total or stop) else None


def size_when_refused(headers: Mapping[str, str]) -> int | None:
    """The size of the file that an answer 416 tells."""
    found = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
    return int(found[1]) if found else None


def is_web_page(headers: Mapping[str, str], start: bytes) -> bool:
    """Whether a page for people came: the type says so, and the first bytes or the last ones do too."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return kind in _PAGE_TYPES and (text.startswith(_PAGE_STARTS) or text.rstrip().endswith(b"</html>"))


def web_page(address: Address) -> UnavailableError:
    """The error for a page that came in place of a file."""
    return UnavailableError(
        f"a web page came instead of `{address.shown}`",
        reasons=("the server sent HTML, as login pages and the portals of guest networks do",),
        hints=("open the address in a browser, or give a login with it",),
    )


def changed(address: Address, how: str) -> UnavailableError:
    """The error for a file that was replaced while it was read."""
    return UnavailableError(f"`{address.shown}` changed while it was read", reasons=(how,), hints=("try again",))


def check_encoding(address: Address, headers: Mapping[str, str]) -> None:
    """UnavailableError when the body is compressed although that was not asked for: its ranges mean nothing."""
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise UnavailableError(
            f"the server sends `{address.shown}` in another form than it has",
            reasons=(f"Content-Encoding is {encoding[:40]!r}, and `identity` was asked for",),
        )
