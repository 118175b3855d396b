"""`run_exports.json` of a channel's directory: what packages ask of those that are built with them (CEP 12)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpuenv.recipes.packed import Packed

__all__ = ["write_run_exports"]


def write_run_exports(directory: Path, packages: Iterable[Packed]) -> None:
    """Writes the file for the packages of a directory.

    A package without run exports has an empty entry: only then a client need not look into the package itself.
    """
    found: dict[str, dict[str, Any]] = {"packages": {}, "packages.conda": {}}
    for one in packages:
        group = "packages.conda" if one.path.name.endswith(".conda") else "packages"
        found[group][one.path.name] = {"run_exports": one.run_exports}
    document = {"info": {"subdir": directory.name, "version": 1}, **found}
    (directory / "run_exports.json").write_text(json.dumps(document), "utf-8")
