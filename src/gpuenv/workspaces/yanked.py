"""Releases of a plan that their project has withdrawn from the index since (PEP 592)."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import run_uv
from gpuenv.errors import GpuenvError
from gpuenv.model import Plan

__all__ = ["yanked_releases"]

_WARNING = re.compile(r"`(?P<name>[\w.-]+)==(?P<version>[^`\s]+)` is yanked(?: \(reason: \"(?P<reason>.*)\"\))?")


def yanked_releases(plan: Plan) -> dict[str, str]:
    """By name, the version that was yanked and why. Empty where the index cannot be asked, since then nobody knows.

    Files from addresses and builds of a project's own index (with a local version) are not asked for.
    """
    if not plan.pylock:
        return {}
    pins = [
        f"{one.name}=={one.version}"
        for one in read_lock(plan.pylock)
        if one.version and "+" not in one.version and not one.direct
    ]
    if not pins:
        return {}
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as scratch:
        command = ["pip", "compile", "-", "--no-deps", "--no-header", "--no-annotate", "--universal"]
        command += ["--python-version", plan.python, "-o", "pins.txt"]
        try:
            completed = run_uv(command, cwd=Path(scratch), text_input="".join(f"{pin}\n" for pin in pins))
        except GpuenvError:
            return {}
    found = _WARNING.finditer(completed.stderr) if completed.status == 0 else ()
    return {one["name"]: _told(one["version"], one["reason"]) for one in found}


def _told(version: str, reason: str | None) -> str:
    return f"{version} ({reason})" if reason else version
