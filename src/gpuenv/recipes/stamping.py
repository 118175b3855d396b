"""Writes a `.conda` package anew with other words in `info/index.json`; what it installs stays byte for byte."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_archive import zstd_writer
from gpuenv.artifacts.unpacking import Compression, unpack
from gpuenv.errors import FormatError, UnavailableError

__all__ = ["Renamed", "Stamp", "in_brackets", "restamp", "stamped_index"]

Renamed = Mapping[tuple[str, str], str]
"""From a name and the build string that a package had to the one that it has now."""

# CEP 45 asks for schema version 3 in packages with flags; rattler's indexer goes by `repodata_revision`.
_REVISION = 3
_INDEX = "info/index.json"
_RUN_EXPORTS = "info/run_exports.json"
_CHUNK_BYTES = 1 << 20
# A positional MatchSpec (CEP 29): name, version and build, parted by blanks.
_POSITIONAL = re.compile(r"([\w.-]+)(?:\s+(\S+)(?:\s+(\S+))?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a package says of itself from now on. `flags` and the form of revision 3 are written with `v3` only."""

    build: str
    build_number: int
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    v3: bool = False


def restamp(
    package: Path, directory: Path, stamp: Stamp, *, renamed: Renamed | None = None
) -> tuple[Path, dict[str, Any]]:
    """Writes the package to `directory` under the name that follows from the stamp; gives its path and its index.

    `stamp.depends` and `stamp.constrains` are added to what is there. Requirements on exact builds of packages in
    `renamed` follow them. FormatError where it is no `.conda` package.
    """
    try:
        with zipfile.ZipFile(package) as archive:
            info = next(name for name in archive.namelist() if name.startswith("info-"))
            content, index = _restamped_info(archive.read(info), stamp, renamed or {})
            dist = f"{index['name']}-{index['version']}-{index['build']}"
            target = directory / f"{dist}.conda"
            _write(archive, target, dist, info, content)
    except (zipfile.BadZipFile, tarfile.TarError, StopIteration, KeyError, ValueError) as error:
        raise FormatError(f"`{package.name}` is no readable conda package", reasons=(str(error),)) from error
    except OSError as error:
        raise UnavailableError(f"cannot write to `{directory}`", reasons=(error.strerror or str(error),)) from error
    return target, index


def _write(archive: zipfile.ZipFile, target: Path, dist: str, info: str, content: bytes) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as written:
        for member in archive.infolist():
            start = member.filename.partition("-")[0]
            name = f"{start}-{dist}.tar.zst" if start in {"info", "pkg"} else member.filename
            entry = zipfile.ZipInfo(name, date_time=member.date_time)
            entry.external_attr = member.external_attr
            if member.filename == info:
                written.writestr(entry, content)
                continue
            is_large = member.file_size > 1 << 31
            with archive.open(member) as source, written.open(entry, "w", force_zip64=is_large) as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)


def _restamped_info(packed: bytes, stamp: Stamp, renamed: Renamed) -> tuple[bytes, dict[str, Any]]:
    index: dict[str, Any] = {}
    out = io.BytesIO()
    plain = io.BytesIO(b"".join(unpack([packed], Compression.ZSTD)))
    with tarfile.open(fileobj=plain) as old, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in old:
            file = old.extractfile(member) if member.isfile() else None
            content = file.read() if file else b""
            if member.name == _INDEX:
                index = stamped_index(json.loads(content), stamp, renamed)
                content = json.dumps(index, indent=2).encode()
            elif member.name == _RUN_EXPORTS:
                content = json.dumps(_repinned(json.loads(content), renamed), indent=2).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content) if file else None)
    if not index:
        raise ValueError(f"it has no `{_INDEX}`")
    return _compressed(out.getvalue()), index


def _compressed(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zstd_writer(packed, size_bytes=len(content)) as out:
        out.write(content)
    return packed.getvalue()


def stamped_index(index: Mapping[str, Any], stamp: Stamp, renamed: Renamed | None = None) -> dict[str, Any]:
    """What `index.json` says with the stamp on it. What the stamp asks for is added to what is there; requirements on
    exact builds of packages in `renamed` follow them.
    """
    depends = _repinned([*index.get("depends", ()), *stamp.depends], renamed or {})
    constrains = _repinned([*index.get("constrains", ()), *stamp.constrains], renamed or {})
    changed = {
        **index,
        "build": stamp.build,
        "build_number": stamp.build_number,
        "depends": [*dict.fromkeys(depends)],
        "constrains": [*dict.fromkeys(constrains)],
    }
    if not changed["constrains"]:
        del changed["constrains"]
    if stamp.v3:
        for name in ("depends", "constrains"):
            if name in changed:
                changed[name] = [in_brackets(text) for text in changed[name]]
        changed |= {"flags": list(stamp.flags), "schema_version": _REVISION, "repodata_revision": _REVISION}
    return dict(sorted(changed.items()))


def _repinned(value: Any, renamed: Renamed) -> Any:
    if isinstance(value, dict):
        return {key: _repinned(one, renamed) for key, one in value.items()}
    if isinstance(value, list):
        return [_repinned(one, renamed) for one in value]
    if not isinstance(value, str):
        return value
    found = _POSITIONAL.fullmatch(value.strip())
    if not (found and found[3]):
        return value
    return f"{found[1]} {found[2]} {renamed.get((found[1], found[3]), found[3])}"


def in_brackets(spec: str) -> str:
    """A MatchSpec as records of revision 3 write it (CEP 48): `numpy[version=">=1.26"]`, and a bare name alone."""
    found = _POSITIONAL.fullmatch(spec.strip())
    if found is None:
        return spec
    fields: Iterable[tuple[str, str | None]] = (("version", found[2]), ("build", found[3]))
    said = ",".join(f'{name}="{value}"' for name, value in fields if value and value != "*")
    return f"{found[1]}[{said}]" if said else found[1]
