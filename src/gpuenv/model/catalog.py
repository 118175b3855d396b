"""What is told of the catalog: how old it is, what an update changed, whether a row can be read again."""

from __future__ import annotations

from gpuenv.model.nouns import JSON_VERSION, Noun
from gpuenv.model.telling import ErrorBody

__all__ = [
    "CatalogChange",
    "CatalogDifference",
    "CatalogProject",
    "CatalogStatus",
    "CatalogUpdate",
    "CatalogVerification",
]


class CatalogProject(Noun, frozen=True, kw_only=True):
    """The rows of one name on the index. `opened` counts its wheels that were opened, `withdrawn` the releases that the
    index gives no more; `date` is the day of the newest change. `is_own` says that the rows are the user's own copy.
    """

    wheel: str
    releases: int
    newest: str | None = None
    opened: int = 0
    withdrawn: int = 0
    date: str
    size_bytes: int
    is_own: bool = False


class CatalogStatus(Noun, frozen=True, kw_only=True):
    """How much the catalog knows and how old it is.

    `date` is the day of the newest change in the rows that are used, `packaged_date` that of those that came with
    gpuenv, `own_date` the day on which the user's own copy in `directory` was last brought up to date (None: there is
    none, or it is not used). `problems` say what is wrong with that copy.
    """

    version: int = JSON_VERSION
    gpuenv: str
    date: str
    packaged_date: str
    own_date: str | None = None
    directory: str
    projects: tuple[CatalogProject, ...]
    problems: tuple[str, ...] = ()


class CatalogChange(Noun, frozen=True, kw_only=True):
    """What changed in the rows of one name: versions added, withdrawn (yanked or gone), back again, or listed with
    other files; and the wheels that were opened.
    """

    wheel: str
    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()


class CatalogDifference(Noun, frozen=True, kw_only=True):
    """One thing in which the catalog and what was read again differ; None on a side that does not have it."""

    what: str
    recorded: str | None
    read: str | None


class CatalogUpdate(Noun, frozen=True, kw_only=True):
    """What a build or update of the catalog did in `directory`.

    `projects` counts the names that were asked for, `fetched_bytes` what was fetched of wheels that were opened.
    `left_unread` counts the wheels that are still to be opened, for the budget or for a problem.
    `compared` are the wheels for another Python that were opened as a check, `differences` what was found: `recorded`
    is what the row has, `read` what that wheel has.
    """

    version: int = JSON_VERSION
    directory: str
    projects: int
    changes: tuple[CatalogChange, ...] = ()
    fetched_bytes: int = 0
    left_unread: int = 0
    compared: tuple[str, ...] = ()
    differences: tuple[CatalogDifference, ...] = ()
    problems: tuple[ErrorBody, ...] = ()


class CatalogVerification(Noun, frozen=True, kw_only=True):
    """A row of the catalog against its release, read again.

    `equal` is None where it could not be read whole; `problems` say why. `files` are the wheels that were opened again.
    """

    version: int = JSON_VERSION
    wheel: str
    release: str
    equal: bool | None
    differences: tuple[CatalogDifference, ...] = ()
    files: tuple[str, ...] = ()
    fetched_bytes: int = 0
    problems: tuple[ErrorBody, ...] = ()
