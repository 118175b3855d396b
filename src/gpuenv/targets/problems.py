"""Errors beside answers, as documents."""

from __future__ import annotations

from gpuenv.errors import GpuenvError
from gpuenv.model import ErrorBody

__all__ = ["problem_of"]


def problem_of(error: GpuenvError) -> ErrorBody:
    """The error as it stands in a report."""
    return ErrorBody(
        code=error.code,
        exit_code=error.exit_code,
        message=error.message,
        reasons=error.reasons,
        hints=error.hints,
        details=error.details,
    )
