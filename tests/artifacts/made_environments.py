"""Environments and distributions on disk, made by hand, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from binaries.made_files import container, entry, linked_elf

CODE = linked_elf({".nv_fatbin": container(entry(80), entry(90, kind=1, isa=(8, 4)))}, needed=("libcudart.so.12",))
"""A shared library with code for 8.0 and PTX for 9.0, linked with the CUDA 12 runtime."""

PLAIN = linked_elf({".rodata": b"nothing here"}, needed=("libc.so.6",))
"""A shared library without GPU code."""


def make_venv(prefix: Path, *, python: str = "3.11") -> Path:
    """An empty venv as `python -m venv --without-pip` lays it out; its library is the result."""
    library = prefix / "lib" / f"python{python}" / "site-packages"
    library.mkdir(parents=True)
    (prefix / "bin").mkdir()
    (prefix / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    return library


def write_files(base: Path, files: Mapping[str, bytes]) -> None:
    """Puts each file below `base`."""
    for path, content in files.items():
        place = base / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def install(
    library: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    requires: Sequence[str] = (),
    tags: Sequence[str] = ("py3-none-any",),
    record: str | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """A distribution as installers leave it; `record` in place of the RECORD that fits. Its dist-info is the result."""
    write_files(library, files)
    info = library / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    fields = [f"Requires-Dist: {one}\n" for one in requires]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{''.join(fields)}\nName: not this one\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))
    lines = [f"{path},sha256=x,{len(content)}" for path, content in files.items()]
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,", ""]) if record is None else record)
    write_files(info, extra or {})
    return info


def install_conda(
    prefix: Path,
    name: str,
    version: str,
    build: str,
    files: Mapping[str, bytes],
    *,
    links: Mapping[str, str] | None = None,
    **fields: object,
) -> Path:
    """A conda package as conda leaves it, with symbolic links beside its files; its record is the result."""
    write_files(prefix, files)
    for path, target in (links or {}).items():
        (prefix / path).symlink_to(target)
    record = prefix / "conda-meta" / f"{name}-{version}-{build}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    told = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": "linux-64", "depends": []}
    record.write_text(json.dumps({**told, "files": sorted([*files, *(links or ())]), "paths_data": {}, **fields}))
    return record
