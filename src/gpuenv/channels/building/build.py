"""The verbs that read the package index: build a catalog in a directory, bring the user's own copy up to date."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gpuenv import settings
from gpuenv._net import Client
from gpuenv.channels.building.indexes import default_index
from gpuenv.channels.building.openings import Planned
from gpuenv.channels.building.publishing import alone_in, publish, repair, work_directory
from gpuenv.channels.building.row_files import RowFiles
from gpuenv.channels.building.wanted import wanted_wheels
from gpuenv.channels.building.work import Asked, Work
from gpuenv.channels.catalog import forget_loaded
from gpuenv.channels.catalog.own_copy import SUFFIX
from gpuenv.channels.catalog.releases import Release, decode_rows, own_copy, packaged_content
from gpuenv.errors import FormatError, RequestError
from gpuenv.model import CatalogUpdate, Reporter, Silence

__all__ = ["build_catalog", "update_catalog"]


def build_catalog(
    directory: Path,
    names: Sequence[str] = (),
    *,
    budget_gb: float = settings.CATALOG_BUDGET_GB,
    again: bool = False,
    second_python: bool = False,
    report: Reporter | None = None,
) -> CatalogUpdate:
    """Writes the rows of all names that the catalog covers, or of `names` (`torch`, `torch==2.10.0`), to `directory`.

    What is in its files is kept and brought up to date: nothing is read that was read before. Wheels of `budget_gb`
    together are opened, the newest minor release of each project first; `again` opens those again that were opened
    before. With `second_python` what is left of the budget goes to a check: of each project's newest opened release the
    wheel for another Python is opened too, and what differs is told in `differences`; the rows stay as they are. It can
    be stopped at any moment and goes on from there. RequestError for a name that the catalog does not
    cover, UnavailableError where the index does not answer or the directory cannot be written; what else could not be
    read is told in `problems`.
    """
    asked = _asked(names)
    with alone_in(directory):
        return _run(
            RowFiles(directory),
            asked,
            lambda _: (),
            budget_gb=budget_gb,
            again=again,
            second_python=second_python,
            report=report,
        )


def update_catalog(
    names: Sequence[str] = (),
    *,
    budget_gb: float = settings.CATALOG_BUDGET_GB,
    report: Reporter | None = None,
) -> CatalogUpdate:
    """Brings the user's own copy of the catalog up to date with the index, for all names or for `names`.

    New releases are added, and wheels of their newest minor releases opened, `budget_gb` together; releases that were
    yanked or are gone are marked, so that no plan takes them. The copy is replaced when all is done; an update that was
    stopped goes on where it was. Errors as those of `build_catalog`.
    """
    asked = _asked(names)
    with alone_in(settings.catalog_directory()):
        repair()
        forget_loaded()
        files = RowFiles(work_directory())
        done = _run(files, asked, _known_rows, budget_gb=budget_gb, newest_only=True, report=report)
        publish(_contents(files, asked))
        shutil.rmtree(files.directory, ignore_errors=True)
    return _placed(done)


def _run(
    files: RowFiles,
    asked: list[Asked],
    base: Callable[[str], Iterable[Release]],
    *,
    budget_gb: float,
    again: bool = False,
    newest_only: bool = False,
    second_python: bool = False,
    report: Reporter | None,
) -> CatalogUpdate:
    with Client() as client:
        work = Work(
            client=client, index=default_index(), files=files, base=base, report=report or Silence(), again=again
        )
        planned = work.list_all(asked)
        due = [one for one in planned if _is_due(one, newest_only=newest_only)]
        left = work.open_all(due, budget_bytes=budget_gb * 1e9)
        if second_python:
            work.compare_pythons(budget_bytes=left)
    return CatalogUpdate(
        directory=str(files.directory),
        projects=len(asked),
        changes=work.changes(),
        fetched_bytes=work.fetched_bytes,
        left_unread=work.left_unread,
        compared=tuple(work.compared),
        differences=tuple(work.differences),
        problems=tuple(work.problems),
    )


def _is_due(planned: Planned, *, newest_only: bool) -> bool:
    """An update is for what is new; older wheels are read when a plan needs them."""
    return not newest_only or planned.rank == 0


def _asked(names: Sequence[str]) -> list[Asked]:
    wanted = wanted_wheels()
    if not names:
        return [Asked(wheel=wheel) for wheel in wanted.values()]
    found: dict[str, Asked] = {}
    for text in names:
        name, separator, version = text.partition("==")
        wheel = wanted.get(str(canonicalize_name(name.strip())))
        if wheel is None:
            raise RequestError(
                f"the catalog does not cover `{name}`",
                hints=("names are those of wheels, as `gpuenv catalog status` lists them",),
            )
        known = found.get(wheel.name)
        versions = frozenset({_version(text, version)} if separator else ())
        # The name alone means all of its releases.
        if known and versions:
            versions = versions | known.versions if known.versions else frozenset()
        found[wheel.name] = Asked(wheel=wheel, versions=versions)
    return list(found.values())


def _version(text: str, version: str) -> Version:
    try:
        return Version(version.strip())
    except InvalidVersion as error:
        raise RequestError(f"`{text}` names no release") from error


def _known_rows(name: str) -> tuple[Release, ...]:
    """What came with gpuenv, and what is in the user's own copy."""
    content = own_copy().content(name)
    try:
        own = decode_rows(content) if content else ()
    except FormatError:
        own = ()
    return (*own, *decode_rows(packaged_content(name)))


def _contents(files: RowFiles, asked: list[Asked]) -> dict[str, bytes]:
    """The files of the new copy: those that were worked on, and the others of the old copy."""
    manifest = own_copy().manifest
    kept = {name: own_copy().content(name) for name in (manifest.files if manifest else ())}
    contents = {name: content for name, content in kept.items() if content}
    for one in asked:
        path = files.directory / f"{one.wheel.name}{SUFFIX}"
        if path.is_file():
            contents[one.wheel.name] = path.read_bytes()
    return contents


def _placed(update: CatalogUpdate) -> CatalogUpdate:
    import msgspec

    return msgspec.structs.replace(update, directory=str(settings.catalog_directory()))
