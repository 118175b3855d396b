"""How findings of an audit are made."""

from __future__ import annotations

from gpuenv.model import AuditFinding, Evidence, Severity

__all__ = ["error", "evidence", "warning"]


def error(
    rule: str, message: str, *told: Evidence, hints: tuple[str, ...] = (), mendable: bool = False
) -> AuditFinding:
    """Something that is wrong."""
    return AuditFinding(
        rule=rule, severity=Severity.ERROR, message=message, evidence=told, hints=hints, mendable=mendable
    )


def warning(
    rule: str, message: str, *told: Evidence, hints: tuple[str, ...] = (), mendable: bool = False
) -> AuditFinding:
    """Something that could be better."""
    return AuditFinding(
        rule=rule, severity=Severity.WARNING, message=message, evidence=told, hints=hints, mendable=mendable
    )


def evidence(what: str, value: object, source: str = "") -> Evidence:
    """One value and where it was read."""
    return Evidence(what=what, value=str(value), source=source)
