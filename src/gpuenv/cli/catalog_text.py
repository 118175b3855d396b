"""What is told of the catalog on a terminal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from gpuenv.cli.text import bytes_in_words, hanging, page, plain_table, printable
from gpuenv.model import CatalogDifference, CatalogStatus, CatalogUpdate, CatalogVerification

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_status", "show_update", "show_verification"]

_MOST_CHANGES = 12


def show_status(status: CatalogStatus, *, verbose: bool) -> None:
    """How much there is, how old it is, and what is wrong with the user's own copy."""
    projects = status.projects
    own = sum(one.is_own for one in projects)
    with page() as out:
        out.print(hanging("newest change  ", f"{status.date}{_age(status.date)}"))
        if status.own_date:
            said = f"last updated {status.own_date}{_age(status.own_date)}; {own} of {len(projects)} names are from it"
            out.print(hanging("your copy      ", said))
            out.print(hanging("               ", status.directory))
        else:
            out.print(hanging("your copy      ", "none; `gpuenv catalog update` makes one"))
        out.print(hanging("with gpuenv    ", f"{status.gpuenv}, of {status.packaged_date}"))
        counts = (
            f"{len(projects)} names, {sum(one.releases for one in projects)} releases "
            f"({sum(one.withdrawn for one in projects)} withdrawn), "
            f"{sum(one.opened for one in projects)} wheels opened, "
            f"{bytes_in_words(sum(one.size_bytes for one in projects))}"
        )
        out.print(hanging("in it          ", counts))
        if verbose:
            table = plain_table("name", "newest", "releases", "opened", "changed", "from", right=("releases", "opened"))
            for one in projects:
                origin = "your copy" if one.is_own else "gpuenv"
                table.add_row(one.wheel, one.newest or "-", str(one.releases), str(one.opened), one.date, origin)
            out.print()
            out.print(table)
        for problem in status.problems:
            out.print(hanging("note: ", printable(problem)))


def show_update(update: CatalogUpdate, *, verbose: bool) -> None:
    """What changed, a line for each name; the first ones unless all are wanted."""
    shown = update.changes if verbose else update.changes[:_MOST_CHANGES]
    with page() as out:
        if shown:
            table = plain_table("name", "added", "withdrawn", "back", "changed", "wheels opened")
            for one in shown:
                versions = (one.added, one.withdrawn, one.returned, one.changed)
                table.add_row(one.wheel, *(_versions(names) for names in versions), str(len(one.opened) or "-"))
            out.print(table)
            if len(shown) < len(update.changes):
                out.print(f"and {len(update.changes) - len(shown)} names more; `-v` lists them")
            out.print()
        names = "name" if update.projects == 1 else "names"
        said = f"{update.projects} {names} asked for, {len(update.changes)} changed"
        if update.fetched_bytes:
            said += f", {bytes_in_words(update.fetched_bytes)} of wheels read"
        out.print(said)
        if update.left_unread:
            left = f"{update.left_unread} wheel{'s are' if update.left_unread > 1 else ' is'} still to be opened"
            out.print(hanging("note: ", f"{left}; `--budget GB` says how much may be read"))
        if update.compared:
            _show_comparison(out, update)
        out.print(hanging("written to ", update.directory))


def _show_comparison(out: Console, update: CatalogUpdate) -> None:
    """What differs between wheels of one release for two Pythons."""
    wheels = f"{len(update.compared)} wheel{'s' if len(update.compared) > 1 else ''} for another Python"
    count = len(update.differences)
    said = f"{count} thing{'s differ' if count > 1 else ' differs'}" if count else "the GPU code is the same"
    out.print(f"{wheels} compared: {said}")
    _show_differences(out, update.differences)


def _show_differences(out: Console, differences: tuple[CatalogDifference, ...]) -> None:
    for one in differences:
        out.print(hanging("  ", one.what))
        out.print(hanging("    recorded  ", printable(one.recorded or "-")))
        out.print(hanging("    read      ", printable(one.read or "-")))


def show_verification(found: CatalogVerification) -> None:
    """Whether it is the same, and what differs."""
    subject = f"{found.wheel} {found.release}"
    with page() as out:
        if found.equal:
            about = "" if found.files else " of platforms, Pythons and requirements; none of its wheels is read for it"
            out.print(f"{subject}: the catalog says what its files say{about}")
        elif found.equal is None:
            out.print(f"{subject}: could not be read whole")
        else:
            count = len(found.differences)
            out.print(f"{subject}: {count} thing{'s differ' if count > 1 else ' differs'}")
        _show_differences(out, found.differences)
        for name in found.files:
            out.print(hanging("opened ", name))
        if found.fetched_bytes:
            out.print(f"{bytes_in_words(found.fetched_bytes)} fetched")
        if found.equal is False:
            out.print(hanging("hint: ", f"`gpuenv catalog build {found.wheel}=={found.release} --again -o DIRECTORY`"))


def _versions(names: tuple[str, ...]) -> str:
    if len(names) > 2:
        return f"{len(names)}, {names[-1]} last"
    return ", ".join(names) or "-"


def _age(day: str) -> str:
    """How long ago that was by this computer's clock; a clock in the past says nothing."""
    try:
        days = (datetime.now(UTC).date() - date.fromisoformat(day)).days
    except ValueError:
        return ""
    if days < 0:
        return ", after the day on this computer's clock"
    return ", today" if days == 0 else f", {days} day{'s' if days > 1 else ''} ago"
