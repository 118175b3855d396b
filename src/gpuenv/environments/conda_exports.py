"""Conda packages of a plan as the files of conda and pixi: explicit lists, environment.yml, pixi.lock."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.channels.pylock import parse_lock, read_lock
from gpuenv.environments.conda_build import asked_of_conda
from gpuenv.environments.conda_install import as_record
from gpuenv.environments.conda_meta import channel_names
from gpuenv.environments.conda_python import needs_placeholder
from gpuenv.errors import RequestError
from gpuenv.model import LockedConda, Plan

__all__ = ["channels_of", "explicit_lines", "history_dependencies", "pinned_dependencies", "pixi_lock"]

_ENVIRONMENT = "default"


def explicit_lines(plan: Plan) -> Iterator[str]:
    """An explicit file (`conda create --file`): an address for each package, with its hash. Wheels are comments.

    Format: conda's documentation, "Managing environments", and `conda/misc.py`.
    """
    for wheel in read_lock(plan.pylock):
        yield f"# Not in this file, a wheel: {wheel.name}=={wheel.version}"
    if not plan.has_conda_python and (plan.wheels or needs_placeholder(plan)):
        yield f"# Not in this file: Python {plan.python}, which is no conda package here."
    yield f"# platform: {subdir_of(plan.machine.platform)}"
    yield "@EXPLICIT"
    for package in _in_order(plan.conda):
        mark = f"#sha256:{package.sha256}" if package.sha256 else f"#{package.md5}" if package.md5 else ""
        yield f"{package.url}{mark}"


def channels_of(plan: Plan) -> list[str]:
    """The channels in order of priority as conda's files name them, with those that packages come from besides."""
    names = channel_names(plan.request)
    used = [names.get(one.channel.rstrip("/"), one.channel.rstrip("/")) for one in plan.conda]
    return list(dict.fromkeys((*names.values(), *used)))


def pinned_dependencies(plan: Plan) -> list[str]:
    """Every package with version and build, as `conda env export` writes it; with its channel where one was named."""
    marks = {name: "".join(spec.rpartition("::")[:2]) for name, spec in asked_of_conda(plan).items()}
    return [f"{marks.get(one.name, '')}{one.name}={one.version}={one.build}" for one in plan.conda]


def history_dependencies(plan: Plan) -> list[str]:
    """What was asked for, as `conda env export --from-history` writes it."""
    return list(asked_of_conda(plan).values())


def pixi_lock(plan: Plan) -> str:
    """The text of a `pixi.lock` with one environment for the platform of the plan.

    Hashes of wheels have no place in it that rattler could write. RequestError for what a lock of pixi cannot hold.
    """
    from rattler import LockChannel, LockFile, LockPlatform

    name = subdir_of(plan.machine.platform)
    platform = LockPlatform(name)
    lock = LockFile([platform])
    channels = dict.fromkeys([*channel_names(plan.request), *(one.channel.rstrip("/") for one in plan.conda)])
    lock.set_channels(_ENVIRONMENT, [LockChannel(f"{address}/") for address in channels])
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as folder:
        for package in plan.conda:
            lock.add_conda_package(_ENVIRONMENT, platform, as_record(package.record, Path(folder)))
        for wheel, version, location in _wheels(plan):
            lock.add_pypi_package(_ENVIRONMENT, platform, wheel, version, location)
        path = Path(folder) / "pixi.lock"
        lock.to_path(path)
        return path.read_text("utf-8")


def _wheels(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for package in parse_lock(plan.pylock).packages:
        file = next(iter(package.wheels or ()), None)
        location = (file.url or file.path) if file else None
        if not location or not package.version:
            raise RequestError(
                f"a pixi.lock cannot hold `{package.name}`",
                reasons=("it is built here, or comes from a directory or repository",),
                hints=("`--format pylock.toml` can, beside `--format conda-explicit` for the conda packages",),
            )
        yield str(package.name), str(package.version), location


def _in_order(packages: tuple[LockedConda, ...]) -> list[LockedConda]:
    """Each package after those that it depends on, since conda links an explicit list in its order."""
    by_name = {package.name: package for package in packages}
    placed: dict[str, LockedConda] = {}
    for first in packages:
        waiting = [(first.name, False)]
        seen: set[str] = set()
        while waiting:
            name, ready = waiting.pop()
            if name in placed or name not in by_name:
                continue
            if ready:
                placed[name] = by_name[name]
            elif name not in seen:
                seen.add(name)
                waiting.append((name, True))
                depends = by_name[name].record.get("depends") or ()
                waiting += [(str(text).split()[0], False) for text in depends if str(text).strip()]
    return [*placed.values()]
