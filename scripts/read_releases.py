"""Writes the machine-made half of the catalog: `src/gpuenv/channels/catalog/releases/*.jsonl`.

    python scripts/read_releases.py --cache DIR                  the releases and their requirements
    python scripts/read_releases.py --cache DIR --code           and the GPU code of the wheels in READINGS

Both can be stopped and started again: what was read is in the cache, and rows are merged into the file that is
there. A run from an empty cache asks the index about the projects in WANTED, and one wheel per release.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from packaging.version import Version
from reading_plan import Planned, plan_readings
from release_index import ListedFile, by_release, list_files
from release_rows import Row, make_row, read_metadata
from wanted_releases import WANTED, Wanted
from wheel_code import WheelCode, cached_code, read_wheel_code

from gpuenv._net import Client
from gpuenv.errors import GpuenvError, RequestError

OUTPUT = Path(__file__).parent.parent / "src" / "gpuenv" / "channels" / "catalog" / "releases"
PARALLEL = 4
READERS = 2


def load_rows(directory: Path, name: str) -> dict[str, Row]:
    """The rows of one project in `directory` by version; none when there is no file yet."""
    path = directory / f"{name}.jsonl"
    rows = map(json.loads, path.read_text().splitlines()) if path.is_file() else ()
    return {row["version"]: row for row in rows}


def save_rows(directory: Path, name: str, rows: Iterable[Row]) -> None:
    """Writes one row a line, sorted by version; the file is replaced in one step."""
    ordered = sorted(rows, key=lambda row: Version(row["version"]))
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.jsonl"
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in ordered))
    part.replace(path)


def releases_of(files: list[ListedFile], wanted: Wanted) -> Iterator[tuple[Version, list[ListedFile]]]:
    """The releases that the catalog lists, newest first."""
    admitted = [(version, group) for version, group in by_release(files).items() if wanted.admits(version)]
    yield from admitted[:1] if wanted.last_only else admitted


def merge(old: Row | None, new: Row) -> Row:
    """`new` with the code that was read before; the date stays where nothing else changed."""
    if old is None:
        return new
    new["code"] = old["code"]
    return old if {**new, "read": old["read"]} == old else new


def read_project(client: Client, wanted: Wanted, cache: Path) -> list[Row]:
    """The rows of one project, without code; a release that cannot be read is said and left out."""
    today = datetime.now(UTC).date().isoformat()

    def read(pair: tuple[Version, list[ListedFile]]) -> Row | None:
        version, files = pair
        try:
            return make_row(wanted.name, version, files, read_metadata(client, files, cache), today=today)
        except GpuenvError as error:
            print(f"{wanted.name} {version}: not read: {error}", file=sys.stderr)
            return None

    releases = list(releases_of(list_files(client, wanted.name, cache), wanted))
    with ThreadPoolExecutor(PARALLEL) as pool:
        return [row for row in pool.map(read, releases) if row]


def read_metadata_of_all(client: Client, names: set[str], cache: Path, output: Path) -> None:
    """Reads the releases of the named projects (all of WANTED for none) and merges them into `output`."""
    for wanted in WANTED:
        if names and wanted.name not in names:
            continue
        start = time.monotonic()
        try:
            found = read_project(client, wanted, cache)
        except RequestError:
            print(f"{wanted.name}: the index does not know it", file=sys.stderr)
            continue
        rows = load_rows(output, wanted.name)
        save_rows(output, wanted.name, [merge(rows.get(row["version"]), row) for row in found])
        print(f"{wanted.name}: {len(found)} releases, {time.monotonic() - start:.1f} s", flush=True)


@dataclass(slots=True)
class CodeRun:
    """One run over the planned wheels: its options, and how much was downloaded so far."""

    client: Client
    cache: Path
    output: Path
    budget_bytes: float
    again: bool
    fetched_bytes: int = 0
    start: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)

    def read(self, planned: Planned) -> None:
        """Opens one wheel, unless the cache or the budget says otherwise, and merges its answer at once."""
        code = cached_code(planned.file, self.cache)
        if code is None or (self.again and not code.searched):
            with self.lock:
                if self.fetched_bytes + planned.file.size_bytes > self.budget_bytes:
                    print(f"{planned.file.filename}: left out, the budget is used up", flush=True)
                    return
                self.fetched_bytes += planned.file.size_bytes
            code = self._open(planned)
        if code:
            with self.lock:
                add_code(self.output, planned, code)

    def _open(self, planned: Planned) -> WheelCode | None:
        try:
            code = read_wheel_code(self.client, planned.file, self.cache)
        except GpuenvError as error:
            print(f"{planned.file.filename}: not read: {error}", file=sys.stderr, flush=True)
            return None
        with self.lock:
            self.fetched_bytes += code.fetched_bytes - planned.file.size_bytes
        spent = f"{self.fetched_bytes / 1e9:6.2f} GB {time.monotonic() - self.start:5.0f} s"
        print(f"{spent} {planned.platform} {summary(code)}", flush=True)
        return code


def summary(code: WheelCode) -> str:
    """One line about a wheel that was opened."""
    units = sum(group["units"] for library in code.libraries for group in library["groups"])
    return f"{code.wheel_file}: {units} units in {len(code.libraries)} of {code.opened} libraries, kinds {code.kinds}"


def add_code(output: Path, planned: Planned, code: WheelCode) -> None:
    """Puts what one wheel holds into its row; a wheel of which part could not be read is not put there."""
    rows = load_rows(output, planned.name)
    row = rows.get(planned.version)
    answer = {"wheel_file": code.wheel_file, "sha256": code.sha256, "libraries": code.libraries}
    if row is None or code.errors or row["code"].get(planned.platform) == answer:
        return
    row["code"] = dict(sorted({**row["code"], planned.platform: answer}.items()))
    row["read"] = datetime.now(UTC).date().isoformat()
    save_rows(output, planned.name, rows.values())


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="where fetched pages and metadata are kept")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--code", action="store_true", help="open wheels and read the GPU code in them")
    parser.add_argument("--budget-gb", type=float, default=20.0, help="stop opening wheels after this many GB")
    parser.add_argument("--again", action="store_true", help="open wheels again whose answer an older reader gave")
    parser.add_argument("names", nargs="*", help="only these projects, with --code also NAME==VERSION")
    return parser.parse_args()


def main() -> int:
    """Reads, writes, and says what it did."""
    options = parse_arguments()
    with Client() as client:
        names = set(options.names)
        if options.code:
            run = CodeRun(
                client=client,
                cache=options.cache,
                output=options.output,
                budget_bytes=options.budget_gb * 1e9,
                again=options.again,
            )
            with ThreadPoolExecutor(READERS) as pool:
                list(pool.map(run.read, plan_readings(client, names, options.cache)))
        else:
            read_metadata_of_all(client, names, options.cache, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
