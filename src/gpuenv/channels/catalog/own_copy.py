"""The user's own copy of the catalog's releases, which `gpuenv catalog update` writes.

    <data directory>/catalog/manifest.json              format, gpuenv, date, and for each file its sha256 and date
    <data directory>/catalog/releases/NAME.jsonl        as `releases/` in the package

Anything may be wrong with it at any time: then the releases that came with gpuenv count, and `problems` says so.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from gpuenv.errors import FormatError
from gpuenv.model import Noun, from_json

__all__ = ["FORMAT", "MANIFEST", "RELEASES", "SUFFIX", "Manifest", "ManifestFile", "OwnCopy", "is_wheel_name"]

FORMAT = 1
"""To be raised when rows or manifest change so that an older gpuenv would misread them."""

MANIFEST = "manifest.json"
RELEASES = "releases"
SUFFIX = ".jsonl"

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_UPDATE = "`gpuenv catalog update` writes it anew"


class ManifestFile(Noun, frozen=True, kw_only=True):
    """One file of the copy: its sha256, and the newest date of its rows."""

    sha256: str
    date: str


class Manifest(Noun, frozen=True, kw_only=True):
    """What is in the copy, and which gpuenv wrote it when."""

    format: int
    gpuenv: str = ""
    date: str = ""
    files: dict[str, ManifestFile] = {}


class _AnyFormat(msgspec.Struct):
    """What every format of the manifest has."""

    format: int


def is_wheel_name(text: str) -> bool:
    """Whether it is a normalized name on the index (PEP 503), and so a safe name of a file."""
    return _NAME.fullmatch(text) is not None and len(text) <= 200


class OwnCopy:
    """The copy in `directory` as it is found when first looked at. No method fails."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._problems: dict[str, str] = {}
        self._seen: bytes | None = None
        self.manifest: Manifest | None = None
        self._load()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why all of it, or files that were asked for, are not used, a sentence each."""
        return tuple(self._problems.values())

    def date(self, name: str) -> str | None:
        """The newest date in the rows of `name`; None where the copy has none."""
        file = self.manifest.files.get(name) if self.manifest else None
        return file.date if file else None

    def content(self, name: str) -> bytes | None:
        """The rows of `name` as they stand in their file; None where it is not there as the manifest promises."""
        for _ in range(2):
            found = self._read(name)
            # Another process may have replaced the copy since the manifest was read.
            if isinstance(found, bytes) or not self._load():
                break
        if isinstance(found, bytes):
            return found
        if found:
            self.give_up(name, found)
        return None

    def give_up(self, name: str, why: str) -> None:
        """Notes that the rows of `name` are not used."""
        self._problems[name] = (
            f"your copy of the catalog is damaged, so that of `{name}` the releases that came with gpuenv are used: "
            f"{why}; {_UPDATE}"
        )

    def _read(self, name: str) -> bytes | str | None:
        """The bytes, or what is wrong with them; None where the copy has no such file."""
        file = self.manifest.files.get(name) if self.manifest else None
        if file is None:
            return None
        path = self._directory / RELEASES / f"{name}{SUFFIX}"
        try:
            content = path.read_bytes()
        except OSError as error:
            return f"`{path}`: {error.strerror or error}"
        if hashlib.sha256(content).hexdigest() != file.sha256:
            return f"`{path}` has other bytes than were written"
        return content if content.strip() else f"`{path}` is empty"

    def _load(self) -> bool:
        """Reads the manifest; whether it is another one than before."""
        try:
            content = (self._directory / MANIFEST).read_bytes()
        except FileNotFoundError:
            # Without its directory there is no copy, which is no problem.
            return self._without(f"it has no `{MANIFEST}`" if self._directory.is_dir() else None)
        except OSError as error:
            return self._without(f"`{MANIFEST}`: {error.strerror or error}")
        if content == self._seen:
            return False
        self._seen = content
        try:
            written = msgspec.json.decode(content, type=_AnyFormat).format
            if written > FORMAT:
                return self._without(
                    f"a newer gpuenv wrote it (format {written}, this gpuenv reads {FORMAT})",
                    "`pip install --upgrade gpuenv` brings one that reads it",
                )
            manifest = from_json(content, Manifest)
        except (msgspec.MsgspecError, FormatError, UnicodeDecodeError, RecursionError):
            return self._without(f"its `{MANIFEST}` is damaged")
        kept = {name: file for name, file in manifest.files.items() if is_wheel_name(name)}
        self.manifest = msgspec.structs.replace(manifest, files=kept)
        self._problems.pop("", None)
        return True

    def _without(self, why: str | None, hint: str = _UPDATE) -> bool:
        self.manifest = None
        if why:
            self._problems[""] = (
                f"your copy of the catalog in `{self._directory}` is not used, the one that came with gpuenv is: "
                f"{why}; {hint}"
            )
        return False
