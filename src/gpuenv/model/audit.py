"""What an audit of conda packages says: where metadata and binary differ, and what would correct the metadata."""

from __future__ import annotations

from enum import StrEnum

from gpuenv.model.nouns import JSON_VERSION, Evidence, Noun
from gpuenv.model.telling import ErrorBody

__all__ = ["AuditFinding", "AuditReport", "AuditedPackage", "Correction", "Severity"]


class Severity(StrEnum):
    """How much a finding of an audit matters: an `error` is wrong, a `warning` could be better."""

    ERROR = "error"
    WARNING = "warning"


class AuditFinding(Noun, frozen=True, kw_only=True):
    """One thing that the metadata of a package say otherwise than its binary. `mendable` tells whether a repodata
    patch puts it right.
    """

    rule: str
    severity: Severity
    message: str
    evidence: tuple[Evidence, ...] = ()
    hints: tuple[str, ...] = ()
    mendable: bool = False


class Correction(Noun, frozen=True, kw_only=True):
    """What a repodata patch says of one package; None leaves a field as it is. `remove` takes the record out."""

    depends: tuple[str, ...] | None = None
    constrains: tuple[str, ...] | None = None
    track_features: str | None = None
    remove: bool = False


class AuditedPackage(Noun, frozen=True, kw_only=True):
    """One package of an audit. `gpu_code` says that it carries code for GPUs or is linked with CUDA. `channel` and
    `subdir` are None for a package that was named by itself.
    """

    file: str
    channel: str | None = None
    subdir: str | None = None
    name: str = ""
    version: str = ""
    build: str = ""
    gpu_code: bool = False
    findings: tuple[AuditFinding, ...] = ()
    correction: Correction | None = None


class AuditReport(Noun, frozen=True, kw_only=True):
    """An audit. `audited` are the packages with findings; the others are only counted. `patch` is where the repodata
    patch was written. `problems` are what could not be read. `packages` counts what was judged, `unread_packages` those
    of them whose files are not there, so that their metadata were judged alone.
    """

    version: int = JSON_VERSION
    targets: tuple[str, ...]
    packages: int = 0
    unread_packages: int = 0
    gpu_packages: int = 0
    errors: int = 0
    warnings: int = 0
    audited: tuple[AuditedPackage, ...] = ()
    patch: str | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[ErrorBody, ...] = ()
