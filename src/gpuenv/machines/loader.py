"""Where the dynamic loader of this computer would find a library, without loading it or starting `ldconfig`.

Order and files after ld.so(8): LD_LIBRARY_PATH, then `/etc/ld.so.cache`, then the default directories. Behind these
come directories that hold NVIDIA's driver on some systems without being known to the loader.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["cached_paths", "find_library"]

CACHE = "/etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER_SIZE = 48
_ENTRY = struct.Struct("<iIIIQ")

_WORD_FLAGS = {"x86_64": 0x0303, "aarch64": 0x0A03, "ppc64le": 0x0503}
"""What marks a 64-bit library in the cache (glibc, sysdeps/generic/ldconfig.h: FLAG_ELF_LIBC6 and the kind)."""

_TRIPLETS = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu"}

_WINDOWS_DIRECTORIES = (("SystemRoot", "System32"), ("ProgramFiles", "NVIDIA Corporation\\NVSMI"))


def find_library(name: str, *, arch: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Each file called `name`, in the order in which the loader would come to it."""
    places = _windows_places(environ) if os.name == "nt" else _places(arch, environ)
    listed = [str(Path(place, name)) for place in places]
    cached = [] if os.name == "nt" else cached_paths(_read(CACHE), name, arch=arch)
    # The cache stands between LD_LIBRARY_PATH and the rest.
    first = sum(1 for _ in _search_path(environ))
    ordered = dict.fromkeys([*listed[:first], *cached, *listed[first:]])
    return tuple(path for path in ordered if Path(path).is_file())


def cached_paths(cache: bytes, name: str, *, arch: str) -> list[str]:
    """The paths under which the loader's cache holds `name` for this architecture; none for a broken cache."""
    # A cache of the form "compat" has the older table in front.
    start = cache.find(_MAGIC)
    if start < 0 or len(cache) < start + _HEADER_SIZE:
        return []
    cache = cache[start:]
    count = min(int.from_bytes(cache[20:24], "little"), (len(cache) - _HEADER_SIZE) // _ENTRY.size)
    table = cache[_HEADER_SIZE : _HEADER_SIZE + count * _ENTRY.size]
    wanted = _WORD_FLAGS.get(arch)
    return [
        _string(cache, value).decode("utf-8", "replace")
        for flags, key, value, _, _ in _ENTRY.iter_unpack(table)
        if (wanted is None or flags == wanted) and _string(cache, key) == name.encode()
    ]


def _string(cache: bytes, offset: int) -> bytes:
    end = cache.find(b"\0", offset)
    return cache[offset:end] if end >= 0 else b""


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _search_path(environ: Mapping[str, str]) -> Iterator[str]:
    if os.name != "nt":
        yield from (part for part in environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if part)


def _places(arch: str, environ: Mapping[str, str]) -> Iterator[str]:
    yield from _search_path(environ)
    triplet = _TRIPLETS.get(arch, f"{arch}-linux-gnu")
    yield from (f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib64", "/usr/lib64", "/lib", "/usr/lib")
    # WSL; Fedora's and Debian's own packages; NixOS; Google's and NVIDIA's container images; Jetson.
    yield from ("/usr/lib/wsl/lib", "/usr/lib64/nvidia", f"/usr/lib/{triplet}/nvidia/current", "/usr/lib/nvidia")
    yield from ("/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib")
    yield from (f"/usr/lib/{triplet}/tegra", f"/usr/lib/{triplet}/nvidia")


def _windows_places(environ: Mapping[str, str]) -> Iterator[str]:
    for variable, directory in _WINDOWS_DIRECTORIES:
        if environ.get(variable):
            yield f"{environ[variable]}\\{directory}"
