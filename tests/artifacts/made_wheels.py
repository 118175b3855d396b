"""Makes small wheels with `zipfile`, so that tests know exactly what is in them, and broken ones from them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["TagLines", "archive", "entry_offsets", "patch_entry", "wheel"]

TagLines = tuple[str, ...]
_ENTRY = b"PK\x01\x02"
# Where the fields of a directory entry and of a local header are, and how they are written.
FIELDS = {
    "flags": (8, 6, "H"),
    "method": (10, 8, "H"),
    "crc32": (16, 14, "I"),
    "packed": (20, 18, "I"),
    "size": (24, 22, "I"),
    "start": (42, None, "I"),
}


def archive(
    members: Mapping[str, bytes],
    *,
    method: int = zipfile.ZIP_DEFLATED,
    executable: tuple[str, ...] = (),
    comment: bytes = b"",
    zip64: bool = False,
    streamed: bool = False,
) -> bytes:
    """A zip archive of these members. `streamed` has data descriptors, as a writer makes that cannot go back."""
    content = io.BytesIO()
    with zipfile.ZipFile(_OneWay(content) if streamed else content, "w", method) as made:
        made.comment = comment
        for path, data in members.items():
            info = zipfile.ZipInfo(path, (2026, 10, 5, 10, 0, 0))
            info.compress_type = method
            info.external_attr = (0o100755 if path in executable else 0o100644) << 16
            with made.open(info, "w", force_zip64=zip64) as member:
                member.write(data)
    return content.getvalue()


class _OneWay(io.RawIOBase):
    """A file that cannot be sought in."""

    def __init__(self, content: io.BytesIO) -> None:
        self._content = content

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        return self._content.write(data)


def wheel(
    members: Mapping[str, bytes],
    *,
    name: str = "demo",
    version: str = "1.0",
    requires: tuple[str, ...] = (),
    requires_python: str | None = None,
    tags: TagLines = ("cp311-cp311-manylinux_2_28_x86_64",),
    metadata: str | None = None,
    method: int = zipfile.ZIP_DEFLATED,
    executable: tuple[str, ...] = (),
) -> bytes:
    """A wheel as a build back end makes it: the members, and the metadata at the end."""
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    info = f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": (metadata or "\n".join([*lines, "", "What it is for."])).encode(),
        f"{info}/WHEEL": "\n".join(["Wheel-Version: 1.0", *(f"Tag: {tag}" for tag in tags), ""]).encode(),
        f"{info}/RECORD": "".join(f"{path},,\n" for path in members).encode(),
    }
    return archive({**members, **about}, method=method, executable=executable)


def entry_offsets(content: bytes) -> list[int]:
    """Where the entries of the directory begin."""
    end = content.rindex(b"PK\x05\x06")
    count, _, at = struct.unpack_from("<HII", content, end + 10)
    found = []
    for _ in range(count):
        found.append(at)
        at += 46 + sum(struct.unpack_from("<HHH", content, at + 28))
    return found


def patch_entry(content: bytes, index: int, *, local: bool = True, **fields: int) -> bytes:
    """The archive with other values in one directory entry, and in the header before the content unless not `local`."""
    patched = bytearray(content)
    at = entry_offsets(content)[index]
    start = struct.unpack_from("<I", content, at + 42)[0]
    for name, value in fields.items():
        in_entry, in_header, shape = FIELDS[name]
        struct.pack_into(f"<{shape}", patched, at + in_entry, value)
        if local and in_header is not None:
            struct.pack_into(f"<{shape}", patched, start + in_header, value)
    return bytes(patched)
