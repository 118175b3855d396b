"""The JSON Schemas in the package are those of the model."""

from __future__ import annotations

import json

import jsonschema
import pytest
from write_schemas import DIRECTORY, schema_text

from gpuenv.schemas import DOCUMENTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_schema_is_current_and_valid(name: str) -> None:
    """The file of each kind of document is what the model gives, and is a JSON Schema."""
    text = (DIRECTORY / f"{name}.json").read_text("utf-8")
    assert text == schema_text(DOCUMENTS[name]), "run `python scripts/write_schemas.py`"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_every_schema_file_has_its_document() -> None:
    """No schema is left over from a kind of document that is gone."""
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(DOCUMENTS)
