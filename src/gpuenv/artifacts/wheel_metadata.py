"""What `METADATA` and `WHEEL` say of a wheel (core metadata specifications; binary distribution format, PEP 427)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from typing import TYPE_CHECKING

import msgspec

from gpuenv.artifacts.wheel_names import admitted_pythons, artifact_of_wheel_name, fit_of_tags, narrow_pythons
from gpuenv.errors import FormatError
from gpuenv.model import Artifact

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["describe_wheel", "first_value", "parse_headers", "requirements_of"]

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*\s*:")
_MOST_TAGS = 200
_LONGEST_TAG = 255


def parse_headers(content: bytes) -> Message:
    """The headers before the first empty line; lines that are none are left out, and bytes that are no UTF-8 marked."""
    return HeaderParser().parsestr("\n".join(_header_lines(content.decode("utf-8", "replace"))) + "\n\n")


def _header_lines(text: str) -> Iterator[str]:
    begun = False
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            return
        # A blank line within a folded value, such as the text of a licence, does not end the headers.
        if line.isspace():
            continue
        is_header = _HEADER.match(line) is not None
        if is_header or (begun and line[0] in " \t"):
            yield line
        begun = begun or is_header


def _values(headers: Message, name: str) -> tuple[str, ...]:
    """The values of a header that may stand there several times, each in one line."""
    lines = (" ".join(str(value).split()) for value in headers.get_all(name, []))
    return tuple(line for line in lines if line)


def first_value(headers: Message, name: str) -> str | None:
    """The value of a header in one line, the first one where there are several; None where it says nothing."""
    return next(iter(_values(headers, name)), None)


def requirements_of(metadata: Message) -> tuple[str, ...]:
    """The `Requires-Dist` headers as they are, each in one line."""
    return _values(metadata, "Requires-Dist")


def describe_wheel(artifact: Artifact, metadata: Message, wheel: Message | None, *, filename: str) -> Artifact:
    """The artifact with what its metadata says of name, version and Pythons, and its tags of where it runs.

    The tags are those of the file name, which installers go by; those in `WHEEL` where it has another kind of name.
    """
    try:
        named = artifact_of_wheel_name(filename)
        platforms, pythons, glibc = named.platforms, named.pythons, named.glibc
    except FormatError:
        named = artifact
        tags = list(_tags(wheel))
        platforms, pythons, glibc = (
            fit_of_tags(tags) if tags else (artifact.platforms, artifact.pythons, artifact.glibc)
        )
    required = admitted_pythons(first_value(metadata, "Requires-Python"))
    return msgspec.structs.replace(
        artifact,
        name=_name(metadata) or named.name,
        version=_version(metadata) or named.version,
        filename=filename,
        platforms=platforms,
        pythons=narrow_pythons(pythons, required),
        glibc=glibc,
    )


def _name(metadata: Message) -> str | None:
    from packaging.utils import InvalidName, canonicalize_name

    for value in _values(metadata, "Name"):
        try:
            return canonicalize_name(value, validate=True)
        except InvalidName:
            continue
    return None


def _version(metadata: Message) -> str | None:
    """As packages write it when it is no version that means something."""
    from packaging.version import InvalidVersion, Version

    for value in _values(metadata, "Version"):
        try:
            return str(Version(value))
        except InvalidVersion:
            return value if value.isprintable() else None
    return None


def _tags(wheel: Message | None) -> Iterator[Tag]:
    from packaging.tags import parse_tag

    for line in _values(wheel, "Tag")[:_MOST_TAGS] if wheel else ():
        if line.count("-") == 2 and len(line) <= _LONGEST_TAG:
            yield from parse_tag(line)
