"""Refuse early when an environment cannot fit on the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gpuenv.channels import uv
from gpuenv.errors import UnavailableError
from gpuenv.model import Plan, Reporter

__all__ = ["check_space"]

_UNPACKED = 2.5  # a GPU wheel unpacked against its file, roughly


def check_space(plan: Plan, parent: Path, *, report: Reporter) -> None:
    """UnavailableError when the packages of `plan` certainly cannot fit below `parent`; a word when it looks tight.

    Certain is only the size of the files themselves. Where uv links from its cache, what is cached needs no new
    space, so the whole cache counts in favour.
    """
    size = sum(wheel.size_bytes or 0 for wheel in plan.wheels)
    if plan.conda:
        from gpuenv.environments.conda_packages import is_cached

        size += sum(package.size_bytes or 0 for package in plan.conda if not is_cached(package))
    free = shutil.disk_usage(parent).free
    if free >= size * _UNPACKED:
        return
    if free + _cached_bytes(parent, at_least=size - free) < size:
        raise UnavailableError(
            f"there is no room for this environment in `{parent}`",
            reasons=(f"its files have {_gigabytes(size)} packed, and {_gigabytes(free)} are free",),
            hints=("free some space, or choose another place with `-p PATH`",),
        )
    report.detail(f"little space: about {_gigabytes(size * _UNPACKED)} may be needed, {_gigabytes(free)} are free")


def _cached_bytes(parent: Path, *, at_least: float) -> float:
    """How much of uv's cache could be linked into `parent`, counted until it is enough."""
    if at_least <= 0 or os.environ.get("UV_LINK_MODE") == "symlink":
        return max(at_least, 0)
    said = uv.run_uv(["cache", "dir"])
    cache = Path(said.stdout.strip())
    if said.status != 0 or not cache.is_dir() or cache.stat().st_dev != parent.stat().st_dev:
        return 0
    total = 0
    for directory, _, names in os.walk(cache):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118  (a loop over 100000s)
            except OSError:
                continue
        if total >= at_least:
            break
    return total


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
