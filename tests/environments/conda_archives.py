"""Conda packages that no honest tool makes: members of any kind in the archive, records that say anything."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conda_package_streaming import create

from environments.little_index import this_machine
from gpuenv.model import LockedConda, Plan, Request
from little_channel import LittlePackage, record_of, write_package

MTIME = 1_700_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One more member of an archive."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644


def entry(path: str, content: bytes = b"", kind: str = "hardlink", **more: Any) -> dict[str, Any]:
    """A line of paths.json."""
    sums = {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
    return {"_path": path, "path_type": kind, **sums, **more}


def with_members(package: LittlePackage, directory: Path, members: Iterable[Member]) -> Path:
    """The archive of a package with further members at its end."""
    path = write_package(package, directory)
    if not (added := list(members)):
        return path
    with ExitStack() as stack:
        parts = _parts(path)
        path.unlink()
        if package.ending == ".tar.bz2":
            archive = stack.enter_context(tarfile.open(path, "w:bz2"))
        else:
            archive = stack.enter_context(
                create.conda_builder(package.stem, path.parent, compression_level=1, compression_threads=0)
            )
        for info, content in parts:
            archive.addfile(info, io.BytesIO(content))
        for one in added:
            info = tarfile.TarInfo(one.name)
            info.type, info.linkname, info.mode, info.mtime = one.kind, one.link, one.mode, MTIME
            info.size = len(one.content)
            info.devmajor, info.devminor = 1, 3
            archive.addfile(info, io.BytesIO(one.content))
    return path


def _parts(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    from conda_package_streaming.package_streaming import CondaComponent, stream_conda_component

    parts: list[tuple[tarfile.TarInfo, bytes]] = []
    whole = [CondaComponent.pkg] if path.suffix == ".bz2" else [CondaComponent.info, CondaComponent.pkg]
    for component in whole:
        for archive, info in stream_conda_component(path, component=component):
            file = archive.extractfile(info) if info.isreg() else None
            parts.append((info, file.read() if file else b""))
    return parts


def locked(package: LittlePackage, path: Path, **said: Any) -> LockedConda:
    """The package as a channel would list it; `said` replaces fields of its record."""
    channel = path.parent.parent.as_uri()
    record: Mapping[str, Any] = {
        **record_of(package, path),
        "fn": path.name,
        "url": path.as_uri(),
        "channel": channel,
        **said,
    }
    return LockedConda(
        name=record["name"],
        version=record["version"],
        build=record["build"],
        subdir=record["subdir"],
        filename=record["fn"],
        url=record["url"],
        channel=channel,
        sha256=record["sha256"],
        md5=record["md5"],
        size_bytes=record["size"],
        record={key: value for key, value in record.items() if value is not None},
    )


def plan_of(*packages: LockedConda) -> Plan:
    """A plan of packages that nobody solved."""
    return Plan(
        request=Request(specs=tuple(one.name for one in packages)),
        machine=this_machine(),
        python="3.11",
        conda=packages,
    )
