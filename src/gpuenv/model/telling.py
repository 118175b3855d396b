"""How work tells of itself: errors as documents, who listens while it goes on, and names that anybody may have made."""

from __future__ import annotations

from typing import Protocol

from gpuenv.errors import GpuenvError
from gpuenv.model.nouns import JSON_VERSION, Noun

__all__ = ["ErrorBody", "ErrorDocument", "Reporter", "Silence", "printable"]


class ErrorBody(Noun, frozen=True, kw_only=True):
    """What went wrong, in the shape that every error has in JSON, and the exit code that it leads to."""

    code: str
    exit_code: int = 3
    message: str
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    details: str = ""

    @classmethod
    def of(cls, error: GpuenvError) -> ErrorBody:
        """The error as a document holds it."""
        return cls(
            code=error.code,
            exit_code=error.exit_code,
            message=error.message,
            reasons=error.reasons,
            hints=error.hints,
            details=error.details,
        )


class ErrorDocument(Noun, frozen=True, kw_only=True):
    """What `--json` prints in place of an answer."""

    version: int = JSON_VERSION
    error: ErrorBody


class Reporter(Protocol):
    """Who listens while a verb works. The library calls it; a front end shows it."""

    def step(self, text: str) -> None:
        """A new phase began, such as `resolving with uv`."""

    def detail(self, text: str) -> None:
        """The newest thing that happened within the phase."""


class Silence:
    """A `Reporter` that shows nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def detail(self, text: str) -> None:
        """Nothing."""


def printable(text: str) -> str:
    """`text` from a file or server, with what does not print (line ends, terminal codes, writing from right to left,
    bytes that are no text) written out as Python escapes it.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
