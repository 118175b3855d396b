"""Records of conda channels as plans keep them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gpuenv.channels.conda.places import ChannelPlace, without_secrets
from gpuenv.model import LockedConda

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["locked_conda", "printable_channel"]


def locked_conda(records: Iterable[RepoDataRecord]) -> tuple[LockedConda, ...]:
    """The packages by name, with their entries of the repodata; no login or token stays in an address."""
    return tuple(sorted(map(_locked, records), key=lambda one: one.name))


def _locked(record: RepoDataRecord) -> LockedConda:
    entry: dict[str, Any] = json.loads(record.to_json())
    entry["url"] = without_secrets(record.url)
    entry["channel"] = without_secrets(record.channel or "")
    return LockedConda(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        subdir=record.subdir,
        filename=record.file_name,
        url=entry["url"],
        channel=entry["channel"],
        sha256=record.sha256.hex() if record.sha256 else None,
        md5=record.md5.hex() if record.md5 else None,
        size_bytes=record.size,
        record=entry,
    )


def printable_channel(address: str, places: Sequence[ChannelPlace]) -> str:
    """What users call the channel at an address."""
    plain = without_secrets(address).rstrip("/")
    return next((place.name for place in places if place.address.rstrip("/") == plain), plain)
