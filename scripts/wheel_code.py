"""Opens wheels on the index and reads the GPU code in their libraries, keeping nothing but the answer.

A library is inflated into a temporary file, since an ELF file has its section table at the end, and only headers
are looked at. The answer for a wheel is kept in the cache under its file name.
"""

from __future__ import annotations

import json
import mmap
import re
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import requests
from release_index import RemoteFile
from wheel_ranges import RemoteWheel

from gpuenv.binaries.gpu_code import count_kinds, group_units, read_containers
from gpuenv.binaries.sections import is_elf, is_pe
from gpuenv.errors import FormatError
from gpuenv.model import LibraryCode, UnitGroup

NATIVE = re.compile(r".+\.(so(\.\d+)*|pyd|dll)", re.IGNORECASE)
# The smallest library with one kernel and the static CUDA runtime is larger than this.
SMALLEST_BYTES = 64 * 1024


# 120 MB of every torch wheel. Opened in 2.10.0 and found to hold no GPU code, as its name says.
HOST_ONLY = frozenset({"libtorch_cpu.so"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelCode:
    """What one wheel holds: `libraries` as `releases.json` has them, and how the reading went.

    `searched` False marks an answer of the first reader, which looked at the named sections only and so missed
    kernels that a library carries as plain data.
    """

    wheel_file: str
    sha256: str
    libraries: list[dict[str, Any]]
    kinds: dict[str, int]
    opened: int
    fetched_bytes: int
    seconds: float
    errors: list[str]
    searched: bool = False


def cached_code(file: RemoteFile, cache: Path) -> WheelCode | None:
    """The answer kept for `file`, if it was opened before."""
    stored = cache / "code" / f"{file.filename}.json"
    return WheelCode(**json.loads(stored.read_text())) if stored.is_file() else None


def read_wheel_code(session: requests.Session, file: RemoteFile, cache: Path) -> WheelCode:
    """Opens `file` and keeps the answer; an answer with errors is given but not kept."""
    start = time.monotonic()
    wheel = RemoteWheel.open(session, file)
    libraries: list[LibraryCode] = []
    kinds: Counter[str] = Counter()
    errors: list[str] = []
    members = list(_native_members(wheel))
    for member in members:
        try:
            library, found = _read_member(wheel, member)
        except FormatError as error:
            errors.append(f"{member.filename}: {error}")
            continue
        kinds.update(found)
        if library:
            libraries.append(library)
    code = WheelCode(
        wheel_file=file.filename,
        sha256=file.sha256,
        libraries=[_library_row(library) for library in sorted(libraries, key=lambda one: one.name)],
        kinds=dict(sorted(kinds.items())),
        opened=len(members),
        fetched_bytes=wheel.reader.fetched_bytes,
        seconds=round(time.monotonic() - start, 1),
        errors=errors,
        searched=True,
    )
    if not errors:
        stored = cache / "code" / f"{file.filename}.json"
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(asdict(code)))
    for line in errors:
        print(f"{file.filename}: {line}", file=sys.stderr)
    return code


def _native_members(wheel: RemoteWheel) -> Iterator[zipfile.ZipInfo]:
    for member in wheel.members:
        name = PurePosixPath(member.filename).name
        if NATIVE.fullmatch(name) and name not in HOST_ONLY and member.file_size >= SMALLEST_BYTES:
            yield member


def _read_member(wheel: RemoteWheel, member: zipfile.ZipInfo) -> tuple[LibraryCode | None, dict[str, int]]:
    with tempfile.TemporaryFile() as inflated:
        for chunk in wheel.stream(member):
            inflated.write(chunk)
        inflated.flush()
        with mmap.mmap(inflated.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            if not (is_elf(buffer) or is_pe(buffer)):
                return None, {}
            containers = list(read_containers(buffer))
    name = PurePosixPath(member.filename).name
    return group_units(containers, name=name), count_kinds(containers)


def _library_row(library: LibraryCode) -> dict[str, Any]:
    row = {"name": library.name, "size_bytes": library.size_bytes, "groups": _group_rows(library.groups)}
    return row | ({"relocatable": _group_rows(library.relocatable)} if library.relocatable else {})


def _group_rows(groups: tuple[UnitGroup, ...]) -> list[dict[str, Any]]:
    return [{"images": [str(image) for image in group.images], "units": group.units} for group in groups]
