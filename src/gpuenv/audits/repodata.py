"""The records of one directory of a channel: `repodata.json` (CEP 36) with the records of revision 3 (CEP 48), and what
explains where they differ from the packages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.errors import FormatError
from gpuenv.model import printable

__all__ = ["PATCHABLE", "Explained", "Record", "Repodata", "as_features", "parse_record", "parse_repodata"]

PATCHABLE = ("depends", "constrains", "track_features", "features", "build_number")
"""The fields of a record that repodata patches change."""

_V3_KINDS = {"conda": ".conda", "tar.bz2": ".tar.bz2"}
_LEGACY = ("packages", "packages.conda")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What repodata, or `index.json`, says of one package; the fields that matter here."""

    name: str
    version: str
    build: str = ""
    build_number: int = 0
    subdir: str | None = None
    noarch: str | bool | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    track_features: str | tuple[str, ...] | None = None
    features: str | tuple[str, ...] | None = None
    flags: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    timestamp: float | None = None

    @property
    def is_marked_down(self) -> bool:
        """Whether solvers prefer any other build of its name (`track_features`)."""
        return bool(as_features(self.track_features))

    def words(self, field: str) -> Any:
        """A patchable field in one form, whatever form it was written in."""
        value = getattr(self, field)
        return as_features(value) if field in {"track_features", "features"} else value


def as_features(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Features, which are written as a list or as words parted by blanks or commas."""
    parts = value.replace(",", " ").split() if isinstance(value, str) else (value or ())
    return tuple(part for part in parts if part)


def parse_record(content: bytes, what: str) -> Record:
    """The record that `content` is; FormatError where it is none."""
    try:
        return msgspec.json.decode(content, type=Record)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise FormatError(f"{what} is broken", reasons=(printable(str(error)),)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Repodata:
    """Records by file name. `v3` are the names of those of revision 3, which no patch of version 1 reaches; `broken`
    are entries that are no records, each with the reason.
    """

    records: dict[str, Record]
    v3: frozenset[str] = frozenset()
    broken: Mapping[str, str]


def parse_repodata(content: bytes, where: str) -> Repodata:
    """The records of `repodata.json`; FormatError where it is not JSON of that shape."""
    try:
        document = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        entries = {
            key: msgspec.json.decode(document[key], type=dict[str, msgspec.Raw]) for key in _LEGACY if key in document
        }
        revision3 = (
            msgspec.json.decode(document["v3"], type=dict[str, dict[str, msgspec.Raw]]) if "v3" in document else {}
        )
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise FormatError(f"`{where}` is broken", reasons=(printable(str(error)),)) from error
    named = [(name, raw) for key in _LEGACY for name, raw in entries.get(key, {}).items()]
    v3 = [
        (name if name.endswith(CONDA_ENDINGS) else name + ending, raw)
        for kind, ending in _V3_KINDS.items()
        for name, raw in revision3.get(kind, {}).items()
    ]
    records, broken = {}, {}
    for name, raw in (*named, *v3):
        try:
            records[name] = parse_record(bytes(raw), "its record")
        except FormatError as error:
            broken[printable(name)] = error.reasons[0]
    return Repodata(records=records, v3=frozenset(name for name, _ in v3), broken=broken)


@dataclass(slots=True, kw_only=True)
class Explained:
    """What a channel gives beside its repodata to tell which records were patched. `fetch` gives a file beside it, None
    where there is none; each is asked for when a difference is to be explained.

    conda-index writes `patch_instructions.json`, and both it and rattler `repodata_from_packages.json`.
    """

    fetch: Callable[[str], bytes | None]
    _patch: dict[str, dict[str, Any]] | None = None
    _unpatched: dict[str, Record] | None = None

    def explains(self, file: str, field: str, *, record: Record, index: Record) -> bool:
        """Whether a patch made the field of the record differ from what the package says."""
        patched = self.patch.get(file, {})
        if field in patched and _same(patched[field], record.words(field)):
            return True
        before = self._before.get(file)
        return before is not None and before.words(field) == index.words(field)

    @property
    def patch(self) -> dict[str, dict[str, Any]]:
        """What the patch there says of each file."""
        if self._patch is None:
            content = self.fetch("patch_instructions.json")
            self._patch = _patched_fields(content) if content else {}
        return self._patch

    @property
    def _before(self) -> dict[str, Record]:
        if self._unpatched is None:
            content = self.fetch("repodata_from_packages.json")
            try:
                self._unpatched = parse_repodata(content, "repodata_from_packages.json").records if content else {}
            except FormatError:
                self._unpatched = {}
        return self._unpatched


def _same(patched: Any, words: Any) -> bool:
    if isinstance(patched, list):
        return bool(tuple(patched) == words)
    return bool((as_features(patched) if isinstance(patched, str | None) else patched) == words)


def _patched_fields(content: bytes) -> dict[str, dict[str, Any]]:
    """A fix of a `.tar.bz2` package counts for the `.conda` package of the same name (conda-index)."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, dict[str, Any]] = {}
    legacy, newer = (document.get(key) if isinstance(document, dict) else None for key in _LEGACY)
    for entries in (legacy, newer):
        for name, fields in (entries if isinstance(entries, dict) else {}).items():
            if isinstance(fields, dict):
                twin = f"{name.removesuffix('.tar.bz2')}.conda" if name.endswith(".tar.bz2") else name
                for one in {name, twin}:
                    found[one] = {**found.get(one, {}), **fields}
    return found
