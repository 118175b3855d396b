"""What making a conda package of a wheel leaves behind."""

from __future__ import annotations

from gpuenv.model.building import BuiltPackage
from gpuenv.model.nouns import JSON_VERSION, Noun

__all__ = ["WheelReport"]


class WheelReport(Noun, frozen=True, kw_only=True):
    """A wheel that was made a conda package. `notes` are what conda has no words for, and what was assumed; `replaced`
    says that a package of the same name was there before.
    """

    version: int = JSON_VERSION
    channel: str
    wheel: str
    wheel_sha256: str
    package: BuiltPackage
    replaced: bool = False
    notes: tuple[str, ...] = ()
