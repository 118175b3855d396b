"""Put conda packages into a new prefix with rattler, as if they were linked in the place where it will stand."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuenv.channels.conda.running import run_rattler
from gpuenv.environments import layout
from gpuenv.environments.conda_packages import CachedPackage
from gpuenv.environments.conda_together import check_together, refuse_in_the_way, without_commands
from gpuenv.environments.leftovers import delete_tree
from gpuenv.environments.switch import write_whole
from gpuenv.errors import GpuenvError, ToolError, UnavailableError
from gpuenv.model import LockedConda, Reporter, printable

if TYPE_CHECKING:
    from rattler import PrefixRecord
    from rattler.install import InstallerReporter

__all__ = ["as_record", "link_packages", "mend_records", "notes_of", "run_install", "shown"]

_NOWHERE = "file:///not-to-be-fetched"
_CLOBBERED = "__clobbers__/"


def link_packages(
    packages: Sequence[CachedPackage],
    new: Path,
    *,
    final: Path,
    requested: Mapping[str, str],
    python: str | None = None,
    report: Reporter,
) -> tuple[str, ...]:
    """Put `packages` into `new`, a prefix that will stand at `final`, and nothing else of conda's.

    `requested` are the specs that were asked for, by package; `python` is the version (3.11) of the virtual environment
    that `new` is already, if it is one. No script of a package is run. Gives what is to be told of the packages.
    IntegrityError where packages do not go together, UnavailableError where the path of the environment is too long
    for one.
    """
    every = [(one.locked, one.facts) for one in packages]
    together = check_together(every)
    if python:
        refuse_in_the_way(new, every, python=python)
    cache = layout.own_directory(new) / "packages"
    cache.mkdir(parents=True)
    try:
        records = [shown(one, cache, hidden=together.hidden.get(one.locked.name, ())) for one in packages]
        _run(records, new, final=final, cache=cache, report=report)
    finally:
        delete_tree(cache)
    files, clashes = mend_records(new, packages, requested)
    if "CACHEDIR.TAG" not in files:
        # It would keep the user's own files there out of backups.
        (new / "CACHEDIR.TAG").unlink(missing_ok=True)
    return (*(note for one in packages for note in notes_of(one)), *together.notes, *clashes)


def mend_records(
    prefix: Path, packages: Sequence[CachedPackage], requested: Mapping[str, str]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Bring the records that rattler wrote for `packages` to what conda writes.

    Gives the files of the packages, and a line for each that clashes with another.
    """
    kept = _Kept(packages, requested)
    for place in sorted((prefix / "conda-meta").glob("*.json")):
        kept.mend(place)
    return frozenset(kept.files), tuple(_clashes(kept.entries))


def as_record(entry: Mapping[str, Any], directory: Path) -> PrefixRecord:
    """The record that rattler has of a package, from its entry of the repodata; `directory` is for a file."""
    from rattler import PrefixRecord

    place = directory / "record.json"
    place.write_text(json.dumps({**entry, "files": [], "paths_data": {"paths_version": 1, "paths": []}}), "utf-8")
    record = PrefixRecord.from_path(place)
    place.unlink()
    return record


def notes_of(one: CachedPackage) -> Iterator[str]:
    """What is to be told of a package."""
    for when in sorted(set(one.facts.scripts)):
        yield f"`{one.locked.name}` has a {when} script, which is not run"
    links = [f"`{printable(link.path)}` leads out, to `{printable(link.target)}`" for link in one.facts.links_out]
    for notes in (links, [printable(note) for note in one.facts.notes]):
        more = f" (and {len(notes) - 1} more like it)" if len(notes) > 1 else ""
        yield from (f"`{one.locked.name}`: {note}{more}" for note in notes[:1])


def shown(one: CachedPackage, cache: Path, *, hidden: Sequence[str] = ()) -> PrefixRecord:
    """The record of a package, which is shown to rattler in a cache of its own: a directory, and beside it a file with
    a revision and the sha256. Commands in `hidden` are left out.
    """
    stem = f"{one.locked.name}-{one.locked.version}-{one.locked.build}"
    if hidden:
        without_commands(one.directory, hidden, cache / stem)
    else:
        _link_directory(one.directory, cache / stem)
    (cache / f"{stem}.lock").write_bytes((1).to_bytes(8, "big") + bytes.fromhex(one.sha256))
    entry = one.locked.record or _least_entry(one.locked)
    return as_record(
        {**entry, "sha256": one.sha256, "fn": one.locked.filename, "url": f"{_NOWHERE}/{one.locked.filename}"}, cache
    )


def _least_entry(locked: LockedConda) -> dict[str, Any]:
    """What a record needs, for a plan that came without it."""
    return {
        "name": locked.name,
        "version": locked.version,
        "build": locked.build,
        "build_number": 0,
        "subdir": locked.subdir,
        "depends": [],
        "channel": locked.channel,
    }


def _link_directory(target: Path, place: Path) -> None:
    try:
        place.symlink_to(target, target_is_directory=True)
    except OSError:
        # Windows lets few users make links to directories.
        import shutil

        shutil.copytree(target, place, symlinks=True, copy_function=os.link)


def _run(records: list[PrefixRecord], new: Path, *, final: Path, cache: Path, report: Reporter) -> None:
    from rattler import install

    linking = install(
        [*records],
        new,
        cache_dir=cache,
        installed_packages=[],
        execute_link_scripts=False,
        show_progress=False,
        reporter=_reporter(report),
        alternative_target_prefix=final,
    )
    run_install(linking, final)


def run_install(linking: Awaitable[None], final: Path) -> None:
    """Wait for rattler's `install`, and tell of its failures in own words."""
    from rattler.exceptions import InstallerError, IoError

    try:
        run_rattler(linking)
    except (InstallerError, IoError) as error:
        raise _explained(str(error), final) from error
    except BaseException as error:
        # A defect within rattler arrives as a type of its own that is no Exception.
        if type(error).__name__ != "RustPanic":
            raise
        raise ToolError("rattler broke off, linking conda packages", reasons=(printable(str(error)),)) from error


def _reporter(report: Reporter) -> InstallerReporter:
    from rattler.install import InstallerReporter

    class Telling(InstallerReporter):
        def on_link_start(self, operation: int, package_name: str) -> int:  # noqa: ARG002  (rattler's own names)
            report.detail(f"linking {package_name}")
            return 0

    return Telling()  # type: ignore[abstract]  # rattler's empty methods are meant to be left as they are


def _explained(said: str, final: Path) -> GpuenvError:
    lines = tuple(printable(line.removeprefix("Caused by: ")) for line in said.splitlines() if line.strip())
    if "cannot be longer than the placeholder" in said:
        return UnavailableError(
            f"the path `{final}` is too long for a package",
            reasons=lines,
            hints=("choose a shorter path with `-p PATH`",),
        )
    if "No space left" in said or "os error 28" in said:
        return UnavailableError(
            "the disk is full, linking conda packages", reasons=lines, hints=("free some space and try again",)
        )
    return ToolError("rattler failed, linking conda packages", reasons=lines)


class _Kept:
    """Brings the records that rattler wrote to what conda writes, and keeps what they say of files."""

    def __init__(self, packages: Iterable[CachedPackage], requested: Mapping[str, str]) -> None:
        self._packages = {one.locked.name: one for one in packages}
        self._requested = requested
        self.files: set[str] = set()
        self.entries: list[tuple[str, dict[str, Any]]] = []

    def mend(self, place: Path) -> None:
        """One record (CEP 32): true addresses, the cache that stays, what was asked for; legible for all who may."""
        record = json.loads(place.read_text("utf-8"))
        one = self._packages.get(record["name"])
        if one is None:
            return
        record["url"] = one.locked.url
        record["channel"] = one.locked.channel
        directory = one.directory.resolve()
        record["extracted_package_dir"] = os.fspath(directory)
        record["package_tarball_full_path"] = os.fspath(directory.parent / one.locked.filename)
        record.setdefault("link", {"type": 1})["source"] = os.fspath(directory)
        record.setdefault("constrains", [])
        spec = self._requested.get(one.locked.name)
        record["requested_specs"] = [spec] if spec else []
        if spec:
            record["requested_spec"] = spec
        for entry in record["paths_data"]["paths"]:
            # rattler hashes where a link leads to, where conda hashes the file that is there.
            if entry["path_type"] == "softlink":
                entry.pop("sha256_in_prefix", None)
            elif entry["path_type"] == "hardlink" and "sha256" in entry:
                entry.setdefault("sha256_in_prefix", entry["sha256"])
            self.entries.append((one.locked.name, entry))
        self.files.update(record["files"])
        write_whole(place, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def _clashes(entries: Iterable[tuple[str, dict[str, Any]]]) -> Iterable[str]:
    """A line for each path that several packages have, and not the same bytes: whose is there."""
    every = list(entries)
    owners = {entry["_path"]: (name, entry.get("sha256")) for name, entry in every}
    lost = [(name, entry) for name, entry in every if entry["_path"].startswith(_CLOBBERED)]
    for name, entry in lost:
        path = str(entry.get("original_path") or entry["_path"].removeprefix(f"{_CLOBBERED}{name}/"))
        winner, sha256 = owners.get(path, (None, None))
        if winner is None:
            below = next((owner for other, (owner, _) in owners.items() if _overlap(other, path)), "another package")
            yield f"`{printable(path)}` of `{name}` is in the way of `{below}` and was put aside"
        elif sha256 != entry.get("sha256"):
            yield f"`{printable(path)}` is in `{winner}` and `{name}`: that of `{winner}` was taken"


def _overlap(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")
