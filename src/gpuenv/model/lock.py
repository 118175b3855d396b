"""What was decided for a workspace, written down: the lock, and what the verbs that make and use it answer."""

from __future__ import annotations

import hashlib
from enum import StrEnum

import msgspec

from gpuenv.errors import FormatError
from gpuenv.model.documents import to_json
from gpuenv.model.nouns import JSON_VERSION, Noun
from gpuenv.model.plan import Plan, Request

__all__ = [
    "LOCK_VERSION",
    "Lock",
    "LockReport",
    "LockSource",
    "LockState",
    "LockedPlan",
    "PackageChange",
    "SyncReport",
    "SyncState",
    "lock_digest",
]

LOCK_VERSION = 1


class LockSource(Noun, frozen=True, kw_only=True):
    """The file that the request was read from, seen from the lock, and which of its parts were taken.

    Beside the file were named: `further` specs, the version `python`, and `channels`, which go before those of the
    file. `further_channels` go after these: those of the configuration of whoever made the lock.
    """

    file: str
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    python: str | None = None
    channels: tuple[str, ...] = ()
    further_channels: tuple[str, ...] = ()


class LockedPlan(Noun, frozen=True, kw_only=True):
    """A plan whose pylock stands line by line beside it, so that a lock can be compared line by line.

    The plan's interpreter is left out, since it is of the computer that the plan was made on.
    """

    plan: Plan
    pylock: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan) -> LockedPlan:
        """The plan as a lock holds it."""
        bare = msgspec.structs.replace(plan, pylock="", interpreter=None)
        return cls(plan=bare, pylock=tuple(plan.pylock.splitlines()))

    @property
    def whole(self) -> Plan:
        """The plan with its pylock, as it can be installed."""
        return msgspec.structs.replace(self.plan, pylock="".join(f"{line}\n" for line in self.pylock))


class Lock(Noun, frozen=True, kw_only=True):
    """What was decided for a request on some machines: what `gpuenv.lock` holds.

    `machines` are the words that named the machines (`here`, a file beside the lock, a short form); the plans hold
    what was known of each. Channels on disk are named by their path from the lock, in the plans too. `created` is a
    time in UTC (ISO 8601). `digest` is `lock_digest` of all other fields.
    """

    version: int = LOCK_VERSION
    gpuenv: str
    created: str
    source: LockSource | None = None
    request: Request
    machines: tuple[str, ...]
    plans: tuple[LockedPlan, ...]
    reasons: tuple[str, ...] = ()
    digest: str = ""

    def sealed(self) -> Lock:
        """The same lock with the digest of what it holds."""
        document = msgspec.json.decode(to_json(self, indent=0))
        return msgspec.structs.replace(self, digest=lock_digest(document))


class LockState(StrEnum):
    """What became of a lock: written anew, left as it was, or, where only asked, up to date or not."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    CURRENT = "current"
    STALE = "stale"


class LockReport(Noun, frozen=True, kw_only=True):
    """What `gpuenv lock` answers. `reasons` say why a lock is not up to date, `notes` what else there is to know."""

    version: int = JSON_VERSION
    path: str
    state: LockState
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lock: Lock


class SyncState(StrEnum):
    """What became of an environment, or would where it was only asked."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    WOULD_CREATE = "would-create"
    WOULD_CHANGE = "would-change"


class PackageChange(Noun, frozen=True, kw_only=True):
    """One distribution that came (`before` None), went (`after` None) or changed its version."""

    name: str
    before: str | None = None
    after: str | None = None


class SyncReport(Noun, frozen=True, kw_only=True):
    """What `gpuenv sync` answers: the environment, the plan of the lock that it has, and what had to change."""

    version: int = JSON_VERSION
    prefix: str
    lock: str
    state: SyncState
    changes: tuple[PackageChange, ...] = ()
    notes: tuple[str, ...] = ()
    plan: Plan


def lock_digest(document: object) -> str:
    """`sha256:` of a lock in its canonical form: JSON with sorted keys and no blanks, without the field `digest`.

    `document` is the lock as dicts and lists, as it was read. So a lock of an older gpuenv, whose nouns had fewer
    fields, keeps its digest. FormatError for what is no JSON object.
    """
    if not isinstance(document, dict):
        raise FormatError("a lock is a JSON object")
    rest = {key: value for key, value in document.items() if key != "digest"}
    return f"sha256:{hashlib.sha256(msgspec.json.encode(rest, order='sorted')).hexdigest()}"
