"""Wheel variants: several builds of one wheel under one name, told apart by a label and what a JSON file says of it.

Sources: PEP 825 (draft of 2026, format 0.1) for file names, `{name}-{version}-variants.json` and the file's structure;
PEP 817 for the whole. What PEP 850 (draft) adds, a list of what is compatible in the file itself, is not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gpuenv.errors import FormatError

__all__ = [
    "LARGEST_VARIANTS_BYTES",
    "NULL_LABEL",
    "VARIANTS_ENDING",
    "VariantName",
    "Variants",
    "read_variants",
    "variant_name",
]

LARGEST_VARIANTS_BYTES = 4 << 20
"""The largest file that is read. One of PyTorch's experiments with 12 variants had some 8 kB."""

VARIANTS_ENDING = "-variants.json"
"""How the name of such a file ends; before it stand name and version as in the names of the wheels."""

NULL_LABEL = "null"
"""The label of the variant that asks for nothing and fits everywhere."""

_MOST_VALUES = 100_000
_LONGEST_NAME = 255
_LABEL = re.compile(r"[0-9a-z_.]+", re.ASCII)
_KEY = re.compile(r"[a-z0-9_]+", re.ASCII)
_BUILD_TAG = re.compile(r"\d\w*", re.ASCII)
_VERSION_IN_URL = re.compile(r"/v(\d+)\.(\d+)\.\d+\.json", re.ASCII)
# Format 0.2 (PEP 850) says the same of variants and labels, and more that is left aside here.
_KNOWN_VERSIONS = {(0, 0), (0, 1), (0, 2)}

Features = dict[str, dict[str, tuple[str, ...]]]
"""Values by namespace and feature, as both a variant's properties and the orders of preference are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantName:
    """A wheel's file name taken apart. `plain` is the name without the label, which every tool understands."""

    plain: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """What a `variants.json` says. `namespaces` come in order of preference; `features` and `values` are what goes
    first among the features of a namespace and the values of a feature. `labels` are the properties of each label.
    """

    namespaces: tuple[str, ...]
    features: dict[str, tuple[str, ...]]
    values: Features
    labels: dict[str, Features]


def variant_name(filename: str) -> VariantName | None:
    """The label in the name of a variant wheel, which stands after the platform tag; None for any other file."""
    if not filename.endswith(".whl") or len(filename) > _LONGEST_NAME:
        return None
    parts = filename.removesuffix(".whl").split("-")
    with_build_tag = len(parts) == 7 and _BUILD_TAG.fullmatch(parts[2])
    # Of six parts the third is a build tag, which begins with a digit, or there is a label.
    with_label = len(parts) == 6 and not _BUILD_TAG.fullmatch(parts[2])
    if not (with_build_tag or with_label) or not _LABEL.fullmatch(parts[-1]):
        return None
    return VariantName(plain="-".join(parts[:-1]) + ".whl", label=parts[-1])


class _Priorities(msgspec.Struct):
    namespace: list[str]
    feature: dict[str, list[str]] = {}
    property: dict[str, dict[str, list[str]]] = {}


class _Document(msgspec.Struct):
    variants: dict[str, dict[str, dict[str, list[str]]]]
    priorities: _Priorities = msgspec.field(name="default-priorities")
    schema: Any = msgspec.field(name="$schema", default=None)


def read_variants(content: bytes) -> Variants:
    """The variants that a `variants.json` lists; FormatError for what is none, or is of a version nobody here knows."""
    if len(content) > LARGEST_VARIANTS_BYTES:
        raise _bad(f"it has more than {LARGEST_VARIANTS_BYTES} bytes")
    try:
        document = msgspec.json.decode(content, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(str(error)[:300]) from error
    _check_schema(document.schema)
    given = document.priorities
    read = Variants(
        namespaces=tuple(dict.fromkeys(given.namespace)),
        features={namespace: tuple(dict.fromkeys(names)) for namespace, names in given.feature.items()},
        values={namespace: _tuples(values) for namespace, values in given.property.items()},
        labels={
            label: {namespace: _tuples(values) for namespace, values in properties.items()}
            for label, properties in document.variants.items()
        },
    )
    _check(read)
    return read


def _tuples(values: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {feature: tuple(dict.fromkeys(found)) for feature, found in values.items()}


def _check_schema(schema: object) -> None:
    """A tool must not use variants of a version of the format that it does not know (PEP 825, variant metadata)."""
    try:
        path = urlsplit(schema).path if isinstance(schema, str) else ""
    except ValueError:
        path = ""
    found = _VERSION_IN_URL.search(path)
    if found is None:
        raise _bad("its `$schema` names no version of the format")
    version = int(found[1][:6]), int(found[2][:6])
    if version not in _KNOWN_VERSIONS:
        raise _bad(f"it is of version {version[0]}.{version[1]} of the format, which is not known here")


def _check(read: Variants) -> None:
    count = 0
    for label, properties in read.labels.items():
        if not _LABEL.fullmatch(label):
            raise _bad(f"`{label[:40]}` is no label")
        if label == NULL_LABEL and properties:
            raise _bad("the variant `null` has properties")
        for namespace, features in properties.items():
            if namespace not in read.namespaces:
                raise _bad(f"`{namespace[:40]}` is not among the namespaces in `default-priorities`")
            for feature, values in features.items():
                count += len(values)
                named = _KEY.fullmatch(namespace) and _KEY.fullmatch(feature)
                if not named or not values or not all(map(_LABEL.fullmatch, values)):
                    raise _bad(f"`{f'{namespace} :: {feature}'[:80]}` of the variant `{label[:40]}` is malformed")
    if count > _MOST_VALUES:
        raise _bad(f"it has more than {_MOST_VALUES} properties")


def _bad(reason: str) -> FormatError:
    return FormatError("the list of wheel variants cannot be used", reasons=(reason,))
