"""How work tells of itself: errors as documents, and who listens while it goes on."""

from __future__ import annotations

from typing import Protocol

from gpuenv.model.nouns import JSON_VERSION, Noun

__all__ = ["ErrorBody", "ErrorDocument", "Reporter", "Silence"]


class ErrorBody(Noun, frozen=True, kw_only=True):
    """What went wrong, in the shape that every error has in JSON, and the exit code that it leads to."""

    code: str
    exit_code: int = 3
    message: str
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    details: str = ""


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
