"""Writes the JSON Schemas in the package from the model: `python scripts/write_schemas.py`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from gpuenv.model import json_schema
from gpuenv.schemas import DOCUMENTS

DIRECTORY = Path(__file__).parent.parent / "src" / "gpuenv" / "schemas"


def schema_text(kind: type) -> str:
    """The schema of one kind of document as it stands in its file."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **_plain(json_schema(kind))}, indent=2, sort_keys=True) + "\n"


def _plain(part: Any) -> Any:
    """`part` with its descriptions free of the indentation that docstrings have before Python 3.13."""
    if isinstance(part, dict):
        return {
            name: inspect.cleandoc(value) if name == "description" and isinstance(value, str) else _plain(value)
            for name, value in part.items()
        }
    return [_plain(one) for one in part] if isinstance(part, list) else part


def main() -> None:
    """Write one file per kind of document."""
    for name, kind in DOCUMENTS.items():
        (DIRECTORY / f"{name}.json").write_text(schema_text(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
