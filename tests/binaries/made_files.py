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


def archive(*members: bytes, names: tuple[str, ...] = ()) -> bytes:
    """A static archive of these members; a name `#1/N` says that the first N bytes of a member are its name."""
    body = b"!<arch>\n"
    for index, member in enumerate(members):
        name = names[index] if index < len(names) else f"m{index}.o/"
        body += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(member):<10}`\n".encode() + member + b"\n" * (len(member) % 2)
        )
    return body


def linked_elf(
    sections: dict[str, bytes],
    *,
    needed: tuple[str, ...] = (),
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    undefined: tuple[str, ...] = (),
    defined: tuple[str, ...] = (),
    versions: tuple[str, ...] = (),
    machine: int = 62,
    strings_last: bool = False,
) -> bytes:
    """A shared library of 64 bits as a linker makes it; `strings_last` moves `.dynstr` to the end as `patchelf` does.

    `.text` is executable; all other sections are data. Addresses are offsets.
    """
    strings = b"\0"

    def text(value: str) -> int:
        nonlocal strings
        at = len(strings)
        strings += value.encode() + b"\0"
        return at

    tags = [(1, text(name)) for name in needed]
    tags += [(tag, text(value)) for tag, value in ((14, soname), (15, rpath), (29, runpath)) if value is not None]
    symbols = bytes(24) + b"".join(struct.pack("<IBBHQQ", text(name), 0x12, 0, 0, 0, 0) for name in undefined)
    count = len(symbols) // 24
    symbols += b"".join(struct.pack("<IBBHQQ", text(name), 0x12, 0, 7, 64, 1) for name in defined)
    needs = struct.pack("<HHIII", 1, len(versions), text("libc.so.6"), 16, 0) if versions else b""
    for index, version in enumerate(versions):
        needs += struct.pack("<IHHII", 0, 0, index + 2, text(version), 16 if index + 1 < len(versions) else 0)
    hashes = struct.pack("<IIII", 1, count, 1, 0) + bytes(12)
    tables = {".dynsym": (11, symbols), ".gnu.hash": (0x6FFFFFF6, hashes), ".gnu.version_r": (0x6FFFFFFE, needs)}
    content = {name: (1, data) for name, data in sections.items()}
    dynamic = {".dynamic": (6, bytes(16 * (len(tags) + 8)))}
    names = {".dynstr": (3, strings)}
    parts = {**tables, **content, **dynamic, **names} if strings_last else {**tables, **names, **content, **dynamic}
    shstrtab = b"\0" + b"".join(name.encode() + b"\0" for name in [*parts, ".shstrtab"])
    parts[".shstrtab"] = (3, shstrtab)
    body, at, headers, places = b"", 1, [bytes(64)], {}
    for name, (kind, data) in parts.items():
        body += bytes(-(176 + len(body)) % 8)
        places[name] = 176 + len(body)
        flags = 6 if name == ".text" else 0 if name == ".shstrtab" else 2
        headers.append(struct.pack("<IIQQQQIIQQ", at, kind, flags, places[name], places[name], len(data), 0, 0, 8, 0))
        body += data
        at += len(name) + 1
    tags += [(5, places[".dynstr"]), (10, len(strings)), (6, places[".dynsym"]), (0x6FFFFEF5, places[".gnu.hash"])]
    tags += [(0x6FFFFFFE, places[".gnu.version_r"]), (0x6FFFFFFF, 1)] if versions else []
    listed = b"".join(struct.pack("<QQ", *tag) for tag in tags).ljust(len(dynamic[".dynamic"][1]), b"\0")
    start = places[".dynamic"] - 176
    body = body[:start] + listed + body[start + len(listed) :]
    size = 176 + len(body)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    segments += struct.pack("<IIQQQQQQ", 2, 6, places[".dynamic"], places[".dynamic"], 0, len(listed), len(listed), 8)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + struct.pack(
        "<HHIQQQI6H", 3, machine, 1, 0, 64, size, 0, 64, 56, 2, 64, len(headers), len(headers) - 1
    )
    return head + segments + body + b"".join(headers)


def linked_pe(
    sections: dict[str, bytes],
    *,
    imports: dict[str, tuple[str, ...]],
    delayed: dict[str, tuple[str, ...]] | None = None,
    name: str = "",
) -> bytes:
    """A DLL of 64 bits whose last section `.idata` holds the import, delay import and export directories."""
    table_at = 64 + 24 + 240
    first = table_at + 40 * (len(sections) + 1)
    idata_at = first + sum(map(len, sections.values()))
    body = bytearray(20 * (len(imports) + 1) + 32 * (len(delayed or {}) + 1) + 40)

    def put(content: bytes) -> int:
        body.extend(content)
        return idata_at + len(body) - len(content)

    def thunks(symbols: tuple[str, ...]) -> int:
        values = [put(b"\0\0" + symbol.encode() + b"\0") for symbol in symbols]
        return put(struct.pack(f"<{len(values) + 2}Q", *values, 1 << 63 | 7, 0))

    for index, (library, symbols) in enumerate(imports.items()):
        body[index * 20 : index * 20 + 20] = struct.pack("<5I", thunks(symbols), 0, 0, put(library.encode() + b"\0"), 0)
    delay_at = 20 * (len(imports) + 1)
    for index, (library, symbols) in enumerate((delayed or {}).items()):
        row = struct.pack("<8I", 1, put(library.encode() + b"\0"), 0, 0, thunks(symbols), 0, 0, 0)
        body[delay_at + index * 32 : delay_at + index * 32 + 32] = row
    export_at = delay_at + 32 * (len(delayed or {}) + 1)
    if name:
        body[export_at : export_at + 40] = struct.pack("<12xI24x", put(name.encode() + b"\0"))
    directories = [0] * 32
    directories[0], directories[2] = (idata_at + export_at) * bool(name), idata_at * bool(imports)
    directories[26] = (idata_at + delay_at) * bool(delayed)
    table, offset = b"", first
    for section, content in {**sections, ".idata": bytes(body)}.items():
        flags = 0x60000020 if section == ".text" else 0x40000040
        table += struct.pack("<8sIIII12xI", section.encode()[:8], len(content), offset, len(content), offset, flags)
        offset += len(content)
    optional = struct.pack("<H22xQ76xI", 0x20B, 0x180000000, 16) + struct.pack("<32I", *directories)
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections) + 1, 0, 0, 0, len(optional), 0x2022)
    return dos + coff + optional + table + b"".join(sections.values()) + bytes(body)
