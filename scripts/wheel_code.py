"""The GPU code of wheels on the index, as rows of `releases/*.jsonl`. The answer for a wheel is kept in the cache."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from release_index import ListedFile

from gpuenv._net import Client
from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
from gpuenv.artifacts.wheels import read_wheel
from gpuenv.model import LibraryCode, Reading, UnitGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelCode:
    """What one wheel holds: `libraries` as `releases/*.jsonl` has them, and how the reading went.

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


def cached_code(file: ListedFile, cache: Path) -> WheelCode | None:
    """The answer kept for `file`, if it was opened before."""
    stored = cache / "code" / f"{file.filename}.json"
    return WheelCode(**json.loads(stored.read_text())) if stored.is_file() else None


def read_wheel_code(client: Client, file: ListedFile, cache: Path) -> WheelCode:
    """Opens `file` and keeps the answer; an answer with errors is given but not kept."""
    start = time.monotonic()
    with client.open(file.url, size_bytes=file.size_bytes or None, name=file.filename) as source:
        reading = read_wheel(source, artifact_of_wheel_name(file.filename))
        fetched_bytes = source.fetched_bytes
    code = code_of(reading, file, fetched_bytes=fetched_bytes, seconds=round(time.monotonic() - start, 1))
    for line in code.errors:
        print(f"{file.filename}: {line}", file=sys.stderr)
    if not code.errors:
        stored = cache / "code" / f"{file.filename}.json"
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(asdict(code)))
    return code


def code_of(reading: Reading, file: ListedFile, *, fetched_bytes: int, seconds: float) -> WheelCode:
    """What was read in the wheel `file`, without what the catalog has no place for."""
    kinds: Counter[str] = Counter()
    for one in reading.files:
        kinds.update(one.entry_kinds)
    libraries = sorted((one.code for one in reading.files if one.code), key=lambda code: code.name)
    return WheelCode(
        wheel_file=file.filename,
        sha256=file.sha256,
        libraries=[_library_row(library) for library in libraries],
        kinds=dict(sorted(kinds.items())),
        opened=len(reading.files),
        fetched_bytes=fetched_bytes,
        seconds=seconds,
        errors=[*reading.problems, *(f"{one.path}: {one.problem}" for one in reading.files if one.problem)],
        searched=True,
    )


def _library_row(library: LibraryCode) -> dict[str, Any]:
    row = {"name": library.name, "size_bytes": library.size_bytes, "groups": _group_rows(library.groups)}
    return row | ({"relocatable": _group_rows(library.relocatable)} if library.relocatable else {})


def _group_rows(groups: tuple[UnitGroup, ...]) -> list[dict[str, Any]]:
    return [{"images": [str(image) for image in group.images], "units": group.units} for group in groups]
