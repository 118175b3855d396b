"""Have `uv` resolve requirements whole for one machine, so that includes, constraints, indexes, hashes, markers and
extras mean what they mean to installers. Nothing is built for that: what has no wheel is listed as source, and then
what it requires stays unknown.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from gpuenv.channels.destinations import Destination
from gpuenv.channels.pylock import parse_lock
from gpuenv.channels.uv import explain_failure, run_uv
from gpuenv.errors import NoPlanError
from gpuenv.targets.requirement_lines import RequirementList
from gpuenv.targets.selection import select_packages
from gpuenv.targets.wanted import Expansion

__all__ = ["resolve_whole"]

_ONLY_SOURCE = re.compile(
    r"Wheels are required for `(?P<name>[\w.-]+)`|Because (?P<other>[\w.-]+)==\S+ has no usable wheels", re.ASCII
)
_NO_EXTRA = re.compile(r"The package `[^`]+` does not have an extra named `[^`]+`")
_MOST_SOURCES = 12


def resolve_whole(
    found: RequirementList, destination: Destination, path: Path | None = None, *, offline: bool = False
) -> Expansion:
    """The files of the set that `uv` finds for a list; `path` is the file that it can be given in place of its text.

    NoPlanError when there is no set, UnavailableError when the index cannot be asked, ToolError for what uv cannot
    read.
    """
    sources: list[str] = []
    while True:
        try:
            return _compile(found, destination, path, tuple(sources), offline=offline)
        except NoPlanError as error:
            said = "\n".join(error.reasons)
            names = {one["name"] or one["other"] for one in _ONLY_SOURCE.finditer(said)} - set(sources)
            if not names or len(sources) >= _MOST_SOURCES:
                raise
            sources += sorted(names)


def _compile(
    found: RequirementList, destination: Destination, path: Path | None, sources: tuple[str, ...], *, offline: bool
) -> Expansion:
    """The set that `uv` finds. `sources` are packages without wheels, which are taken to require nothing."""
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as scratch:
        base = Path(scratch).resolve()
        lock = base / "pylock.targets.toml"
        options: list[str | Path] = ["--offline"] if offline else []
        if sources:
            # Told what they require, uv does not build them, which would run their code.
            known = base / "uv.toml"
            entries = (f'[[dependency-metadata]]\nname = "{name}"\nrequires-dist = []\n' for name in sources)
            known.write_text("\n".join(entries), encoding="utf-8")
            options += ["--config-file", known]
            for name in sources:
                options += ["--no-binary", name]
        completed = run_uv(
            [
                *("pip", "compile", path or "-", "-o", lock, "--no-header", "--no-annotate"),
                *("--only-binary", ":all:", "--python-platform", destination.uv_platform),
                *("--python-version", destination.python, "--python", sys.executable, *options),
            ],
            text_input=None if path else found.text,
            variables=destination.uv_variables,
        )
        if completed.status != 0:
            raise explain_failure(completed, "resolving the requirements")
        parsed = parse_lock(lock.read_text("utf-8"))
    selected = select_packages(parsed, destination, base=base, asking=found.asking(offline=offline))
    files = tuple(
        replace(file, note="it has no wheel; what it requires is only known when it is built")
        if file.name in sources
        else file
        for file in selected.files
    )
    return replace(
        selected, files=files, notes=(*selected.notes, *(one[0] for one in _NO_EXTRA.finditer(completed.stderr)))
    )
