"""Writes the index of a channel: `repodata.json`, compressed and in shards, and `run_exports.json` (CEP 12, 16, 36)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.errors import FormatError, GpuenvError, RequestError, ToolError, UnavailableError
from gpuenv.model import ErrorBody, IndexedSubdir, IndexReport, Reporter, Silence
from gpuenv.recipes.packed import Packed, read_packed
from gpuenv.recipes.publishing import channel_lock
from gpuenv.recipes.run_exports import write_run_exports

__all__ = ["index_channel", "index_locked"]

_SUBDIR = re.compile(r"noarch|(?:linux|osx|win|freebsd|emscripten|wasi|zos)-[a-z0-9]+", re.ASCII)
_REPODATA = "repodata.json"
# What other indexers leave, and clients believe before `repodata.json`; and ours, where they are not wanted again.
_OTHER_FORMS = (
    "current_repodata.json",
    "current_repodata.json.bz2",
    "current_repodata.json.zst",
    "repodata.json.bz2",
    "repodata.json.zst",
    "repodata_shards.msgpack.zst",
)


def index_channel(
    directory: Path, *, zst: bool = True, shards: bool = False, report: Reporter | None = None
) -> IndexReport:
    """Indexes all packages of a channel on disk anew.

    A package that is broken, or is not what its name and directory say, is left out and is a problem of the report.
    RequestError where there is no such directory or it is no channel. An empty directory becomes one.
    """
    if not directory.is_dir():
        raise RequestError(f"there is no directory `{directory}`")
    loose = next((path for path in sorted(directory.iterdir()) if path.name.endswith(CONDA_ENDINGS)), None)
    if loose:
        raise _no_channel(directory, f"`{loose.name}` lies beside them")
    named = [path.name for path in sorted(directory.iterdir()) if not path.name.startswith(".")]
    if named and not any(_SUBDIR.fullmatch(name) and (directory / name).is_dir() for name in named):
        raise _no_channel(directory, f"it has {', '.join(f'`{name}`' for name in named[:3])}, and none of these")
    with channel_lock(directory):
        return index_locked(directory, zst=zst, shards=shards, report=report)


def _no_channel(directory: Path, reason: str) -> RequestError:
    return RequestError(
        f"`{directory}` is no channel: packages lie in directories such as `linux-64` and `noarch` of a channel",
        reasons=(reason,),
    )


def index_locked(directory: Path, *, zst: bool, shards: bool, report: Reporter | None = None) -> IndexReport:
    """The same for who holds the lock of the channel."""
    report = report or Silence()
    (directory / "noarch").mkdir(exist_ok=True)
    subdirs = sorted(path for path in directory.iterdir() if path.is_dir() and _SUBDIR.fullmatch(path.name))
    good, problems = _sorted_out(subdirs, report)
    report.step("indexing")
    work = Path(tempfile.mkdtemp(prefix=".gpuenv-index-", dir=directory))
    try:
        for path in subdirs:
            (work / path.name).mkdir()
        for package in good:
            _link(package.path, work / package.path.parent.name / package.path.name)
        _run_indexer(work, zst=zst, shards=shards)
        for path in subdirs:
            write_run_exports(work / path.name, [one for one in good if one.path.parent == path])
        indexed = tuple(_take_over(work / path.name, path) for path in subdirs)
    except OSError as error:
        raise UnavailableError(f"cannot write to `{directory}`", reasons=(error.strerror or str(error),)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return IndexReport(channel=str(directory), subdirs=indexed, problems=tuple(problems))


def _sorted_out(subdirs: Sequence[Path], report: Reporter) -> tuple[list[Packed], list[ErrorBody]]:
    """The packages that are what they say, and what is wrong with the others."""
    report.step("reading packages")
    good, problems = [], []
    for path in (path for subdir in subdirs for path in sorted(subdir.iterdir())):
        if path.name.startswith(".") or not path.name.endswith(CONDA_ENDINGS):
            continue
        report.detail(path.name)
        try:
            good.append(read_packed(path))
        except GpuenvError as error:
            name = f"{path.parent.name}/{path.name}"
            wrong = FormatError(f"`{name}` is broken and was left out", reasons=(error.message, *error.reasons))
            problems.append(ErrorBody.of(wrong))
    return good, problems


def _link(package: Path, place: Path) -> None:
    try:
        os.link(package, place)
    except OSError:
        place.symlink_to(package.resolve())


def _run_indexer(work: Path, *, zst: bool, shards: bool) -> None:
    from rattler.index.index import index_fs

    try:
        asyncio.run(index_fs(work, force=True, write_zst=zst, write_shards=shards))
    except Exception as error:
        raise ToolError("rattler could not index the channel", reasons=(str(error)[:500],)) from error


def _take_over(made: Path, subdir: Path) -> IndexedSubdir:
    """Puts the new index in the place of the old one; what was written in another form before is stale and goes."""
    names = sorted(path.name for path in made.iterdir() if not path.name.endswith(CONDA_ENDINGS))
    repodata: dict[str, Any] = json.loads((made / _REPODATA).read_bytes())
    for name in [name for name in names if name != _REPODATA] + [_REPODATA]:
        target = subdir / name
        if (made / name).is_dir():
            # Shards are named by their content, so old and new ones may lie side by side.
            target.mkdir(exist_ok=True)
            for shard in (made / name).iterdir():
                shard.replace(target / shard.name)
        else:
            (made / name).replace(target)
    for name in set(_OTHER_FORMS) - set(names):
        (subdir / name).unlink(missing_ok=True)
    revision3: dict[str, Any] = repodata.get("v3") or {}
    v3_packages = sum(map(len, revision3.values()))
    legacy = len(repodata.get("packages", ())) + len(repodata.get("packages.conda", ()))
    return IndexedSubdir(subdir=subdir.name, packages=legacy + v3_packages, v3_packages=v3_packages, files=tuple(names))
