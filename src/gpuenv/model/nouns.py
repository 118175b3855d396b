"""What every noun has in common, and the words that all parts use: verdicts, evidence, findings."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

__all__ = ["JSON_VERSION", "Evidence", "Finding", "Noun", "Verdict"]

JSON_VERSION = 1


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all nouns have in common: frozen, named fields only, unknown fields refused when read."""


class Verdict(StrEnum):
    """Whether something runs on a machine. Taken together the worst wins, and `unknown` never becomes `works`."""

    WORKS = "works"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    FAILS = "fails"

    @property
    def badness(self) -> int:
        """0 for works up to 3 for fails."""
        return list(Verdict).index(self)

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The worst of them; `works` for none at all, since nothing was objected."""
        return max(verdicts, key=lambda verdict: verdict.badness, default=cls.WORKS)


class Evidence(Noun, frozen=True, kw_only=True):
    """One value that a statement rests on, and where it was read."""

    what: str
    value: str
    source: str = ""


class Finding(Noun, frozen=True, kw_only=True):
    """One rule's word on one need of one subject; `machine` names the machine where several are judged."""

    rule: str
    verdict: Verdict
    subject: str
    message: str
    evidence: tuple[Evidence, ...] = ()
    hints: tuple[str, ...] = ()
    machine: str | None = None
