"""Makes small fat binaries, ELF files and PE files byte by byte, so that tests know exactly what is in them."""

from __future__ import annotations

import struct

from gpuenv.binaries.fatbin import MAGIC


def entry(
    architecture: int, *, kind: int = 2, flags: int = 0x11, isa: tuple[int, int] = (0, 0), payload: bytes = b"\0" * 16
) -> bytes:
    """One entry with a header of 64 bytes; `isa` is (major, minor)."""
    major, minor = isa
    head = struct.pack("<HHIQ8xHHI8xQ8xQ", kind, 0x101, 64, len(payload), minor, major, architecture, flags, 0)
    return head + payload


def container(*entries: bytes) -> bytes:
    """One container around the entries."""
    body = b"".join(entries)
    return struct.pack("<IHHQ", MAGIC, 1, 16, len(body)) + body


def elf(sections: dict[str, bytes], *, order: str = "<", bits: int = 64) -> bytes:
    """An ELF file with the named sections, their names in `.shstrtab`, and the section table at its end."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    header_size = 64 if bits == 64 else 52
    shape = struct.Struct(order + ("IIQQQQIIQQ" if bits == 64 else "IIIIIIIIII"))
    body, headers, at = b"", [bytes(shape.size)], 1
    for name, content in {**sections, ".shstrtab": names}.items():
        body += b"\0" * (-(header_size + len(body)) % 8)
        headers.append(shape.pack(at, 1, 0, 0, header_size + len(body), len(content), 0, 0, 8, 0))
        body += content
        at += len(name) + 1
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    table = header_size + len(body)
    word = "Q" if bits == 64 else "I"
    tail = (header_size, 0, 0, shape.size, len(headers), len(headers) - 1)
    head = ident + struct.pack(f"{order}HHI{word}{word}{word}I6H", 3, 62, 1, 0, 0, table, 0, *tail)
    return head + body + b"".join(headers)


def pe(sections: dict[str, bytes], *, padding: int = 0) -> bytes:
    """A PE file with the named sections; `padding` zeros follow each, as a linker's file alignment leaves them."""
    table_at = 64 + 24
    offset = table_at + 40 * len(sections)
    table, body = b"", b""
    for name, content in sections.items():
        size = len(content) + padding
        raw = name.encode()[:8]
        table += struct.pack("<8sIIII16x", raw, len(content), 0, size, offset + len(body))
        body += content + b"\0" * padding
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 0, 0)
    return dos + coff + table + body
