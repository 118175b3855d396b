"""Writes the JSON Schemas in the package from the model: `python scripts/write_schemas.py`."""

from __future__ import annotations

import json
from pathlib import Path

from gpuenv.model import json_schema
from gpuenv.schemas import DOCUMENTS

DIRECTORY = Path(__file__).parent.parent / "src" / "gpuenv" / "schemas"


def schema_text(kind: type) -> str:
    """The schema of one kind of document as it stands in its file."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **json_schema(kind)}, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write one file per kind of document."""
    for name, kind in DOCUMENTS.items():
        (DIRECTORY / f"{name}.json").write_text(schema_text(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
