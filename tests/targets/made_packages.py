"""Small GPU packages for tests of whole verbs: libraries byte by byte, wheels of them, and their place on an index."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path

from artifacts.made_wheels import wheel
from binaries.made_files import container, entry, linked_elf, linked_pe
from loopback_index import File, LoopbackIndex

__all__ = ["LINUX", "WINDOWS", "addressed", "dll", "library", "noise", "ptx", "put", "sass", "sha256", "write_wheel"]

LINUX = "py3-none-manylinux_2_28_x86_64"
WINDOWS = "py3-none-win_amd64"


def sass(*numbers: int) -> bytes:
    """One unit with machine code for these (`80` for 8.0)."""
    return container(*(entry(number) for number in numbers))


def ptx(number: int, isa: tuple[int, int]) -> bytes:
    """One unit with PTX only."""
    return container(entry(number, kind=1, isa=isa))


def noise(size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(size).randbytes(size)


def library(*units: bytes, needed: tuple[str, ...] = (), padding: int = 0, machine: int = 62) -> bytes:
    """A shared library of Linux with these units of GPU code; 62 is x86-64 and 183 AArch64 (ELF, e_machine)."""
    sections = {".rodata": b"text" + noise(padding), **({".nv_fatbin": b"".join(units)} if units else {})}
    return linked_elf(sections, needed=("libc.so.6", *needed), machine=machine)


def dll(*units: bytes, needed: tuple[str, ...] = ()) -> bytes:
    """A library of Windows with these units of GPU code."""
    imports: dict[str, tuple[str, ...]] = dict.fromkeys(("kernel32.dll", *needed), ("f",))
    return linked_pe({".text": b"\xc3" * 16, ".nv_fatb": b"".join(units)}, imports=imports, name="demo.dll")


def put(
    index: LoopbackIndex,
    name: str,
    members: Mapping[str, bytes],
    *,
    version: str = "1.0",
    tag: str = LINUX,
    requires: tuple[str, ...] = (),
) -> str:
    """Adds a wheel of these members to the index; its file name is the result."""
    content = wheel(members, name=name, version=version, tags=(tag,), requires=requires)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata = "\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires), ""]).encode()
    filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    made = File(name=filename, content=content, metadata=metadata, requires_python=None)
    index.projects.setdefault(name, {})[filename] = made
    return filename


def write_wheel(
    directory: Path,
    name: str,
    members: Mapping[str, bytes],
    *,
    version: str = "1.0",
    tag: str = LINUX,
    requires: tuple[str, ...] = (),
) -> Path:
    """A wheel on disk."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name.replace('-', '_')}-{version}-{tag}.whl"
    path.write_bytes(wheel(members, name=name, version=version, tags=(tag,), requires=requires))
    return path


def sha256(content: bytes) -> str:
    """The hash in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def addressed(address: str, content: bytes) -> str:
    """An address with the hash of what is there, as indexes write it."""
    return f"{address}#sha256={sha256(content)}"
