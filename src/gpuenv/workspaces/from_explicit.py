"""An explicit list of conda packages (conda's documentation, "Explicit specification file"): addresses, with hashes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gpuenv.artifacts.conda_index import CONDA_ENDINGS, split_dist
from gpuenv.channels.conda.places import without_secrets
from gpuenv.errors import FormatError
from gpuenv.targets.text_files import read_text_file
from gpuenv.workspaces.imported import CondaPart, Imported, MachineRequirements, PinnedFile

__all__ = ["read_explicit_list"]

_PLATFORM = re.compile(r"^#\s*platform:\s*(\S+)", re.MULTILINE)
_HASH = re.compile(r"(?:sha256:)?(?P<sha256>[0-9a-fA-F]{64})|(?:md5:)?(?P<md5>[0-9a-fA-F]{32})", re.ASCII)
_PLAIN = re.compile(r"[\w.+!-]+", re.ASCII)


def read_explicit_list(path: Path) -> Imported:
    """Each address as a spec on that one package of its channel; FormatError for a line that is no such address."""
    text = read_text_file(path)
    lines = (line.strip() for line in text.splitlines())
    entries = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith(("#", "@"))]
    pinned = [_pinned(line, path, number) for number, line in entries]
    platform = _PLATFORM.search(text)
    return Imported(
        conda=CondaPart(
            specs=tuple(dict.fromkeys(spec for spec, _ in pinned)),
            pins=tuple(dict.fromkeys(pin for _, pin in pinned)),
            only_own=True,
        ),
        requires=MachineRequirements(platforms=(platform[1],) if platform else ()),
    )


def _pinned(line: str, path: Path, number: int) -> tuple[str, PinnedFile]:
    where = f"`{path}`, line {number}"
    place, _, fragment = line.partition("#")
    channel, subdir, filename = _parts(place.strip(), path, where)
    ending = next((ending for ending in CONDA_ENDINGS if filename.endswith(ending)), "")
    dist = split_dist(filename.removesuffix(ending)) if ending else None
    if not (channel and subdir and dist and all(part and _PLAIN.fullmatch(part) for part in dist)):
        raise FormatError(
            f"{where} is not the address of a conda package",
            reasons=("it is not `CHANNEL/PLATFORM/NAME-VERSION-BUILD.conda`, with one of a conda package's endings",),
        )
    name, version, build = dist
    sha256, md5 = _hashes(fragment.strip(), where)
    pin = PinnedFile(name=name, channel=channel, filename=filename, sha256=sha256, md5=md5)
    hashes = "".join(f",{key}='{value}'" for key, value in (("sha256", sha256), ("md5", md5)) if value)
    return f"{channel}::{name}[version='=={version}',build='{build}'{hashes}]", pin


def _hashes(fragment: str, where: str) -> tuple[str | None, str | None]:
    """SHA-256 and MD5 in what follows the address."""
    found = _HASH.fullmatch(fragment)
    if fragment and not found:
        raise FormatError(f"{where} has a hash that is neither MD5 nor SHA-256: `{fragment[:80]}`")
    sha256, md5 = (found["sha256"], found["md5"]) if found else (None, None)
    return sha256.lower() if sha256 else None, md5.lower() if md5 else None


def _parts(place: str, path: Path, where: str) -> tuple[str, str, str]:
    """Channel, platform and name of the file; without a login. A path starts at the list."""
    if not place.isprintable() or " " in place:
        return "", "", ""
    try:
        is_address = "://" in place
        address = (
            without_secrets(place) if is_address else Path(os.path.normpath(path.absolute().parent / place)).as_uri()
        )
        parts = urlsplit(address)
    except ValueError as error:
        raise FormatError(f"{where} is not an address", reasons=(str(error),)) from error
    channel, _, subdir = parts.path.rpartition("/")[0].rpartition("/")
    there = f"{parts.scheme}://{parts.netloc}{channel}" if channel or parts.netloc else ""
    return there, subdir, unquote(parts.path.rpartition("/")[2])
