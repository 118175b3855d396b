"""The way back of the last change to an environment that gpuenv did not make."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import msgspec

from gpuenv.environments import foreign_journal, foreign_layout
from gpuenv.environments.conda_protection import refuse_frozen
from gpuenv.environments.failures import refusals_explained
from gpuenv.environments.foreign_distributions import files_of, read_installed
from gpuenv.environments.foreign_journal import Journal, Stage
from gpuenv.environments.foreign_listing import Difference, Mark, difference, mark_of, same, take_listing
from gpuenv.environments.foreign_places import ForeignEnvironment, check_writable, look_at, look_without_asking
from gpuenv.environments.leftovers import delete_tree, end_orphans
from gpuenv.environments.locking import holding
from gpuenv.environments.naming import real_prefix
from gpuenv.errors import IntegrityError, RequestError
from gpuenv.model import InstallReport, PackageChange, Reporter

__all__ = ["changing", "check_unfinished", "settle", "take_back", "undo_install"]

_MOST_NAMED = 6


def undo_install(
    prefix: Path, *, report: Reporter, force: bool = False, override_frozen: bool = False
) -> InstallReport:
    """Put the environment at `prefix` back to what it was before the last change there, complete or interrupted.

    No network is needed. RequestError where there is nothing to take back, IntegrityError where files of the change
    were changed again since, which `force` overrides. RequestError where the environment is frozen by now, unless
    `override_frozen`.
    """
    prefix = real_prefix(prefix)
    refuse_frozen(prefix, override=override_frozen)
    journal = foreign_journal.read_journal(prefix)
    if journal is None:
        raise _nothing_to_undo(prefix)
    # Where conda packages were half changed, the Python among them may not run.
    environment = look_without_asking(prefix, python=journal.python) if journal.conda else look_at(prefix)
    check_writable(environment)
    with changing(prefix, "undoing"):
        journal = foreign_journal.read_journal(prefix)
        if journal is None:
            raise _nothing_to_undo(prefix)
        report.step(f"putting `{prefix}` back")
        left = take_back(environment, journal, force=force)
    return InstallReport(
        prefix=str(prefix),
        python=environment.minor,
        done=True,
        changes=tuple(PackageChange(name=one.name, before=one.after, after=one.before) for one in journal.changes),
        notes=left,
    )


@contextmanager
def changing(prefix: Path, doing: str) -> Iterator[None]:
    """Inside, this process alone changes `prefix`, and no `uv` of a killed command does."""
    with refusals_explained(doing, prefix), holding(prefix, doing, at=foreign_layout.lock_place(prefix)):
        foreign_journal.sweep(prefix)
        journal = foreign_journal.read_journal(prefix)
        if journal and journal.stage is Stage.CHANGING:
            end_orphans(Path(journal.lock))
        yield


def check_unfinished(prefix: Path) -> None:
    """IntegrityError where the last change was interrupted half-way; one that had touched nothing yet is forgotten."""
    journal = foreign_journal.read_journal(prefix)
    if journal is None or journal.stage is Stage.DONE:
        return
    with changing(prefix, "repairing"):
        settle(prefix)


def settle(prefix: Path) -> None:
    """As `check_unfinished`, for whoever changes `prefix` already."""
    journal = foreign_journal.read_journal(prefix)
    if journal is None or journal.stage is Stage.DONE:
        return
    now = take_listing(prefix, records=journal.conda)
    if journal.stage is Stage.CHANGING and not difference(foreign_journal.read_before(prefix), now):
        foreign_journal.drop(prefix)
        return
    what = "undo" if journal.stage is Stage.UNDOING else "installation"
    raise IntegrityError(
        f"the last {what} in `{prefix}` was interrupted",
        reasons=(f"it was begun {journal.begun:%Y-%m-%d %H:%M:%S} UTC: {' '.join(journal.specs)}",),
        hints=(f"put it back as it was before: `gpuenv install --undo -p {shlex.quote(os.fspath(prefix))}`",),
    )


def take_back(environment: ForeignEnvironment, journal: Journal, *, force: bool = False) -> tuple[str, ...]:
    """Undo the change of `journal`; what was left in place and why. It can be begun again when it is interrupted."""
    prefix = environment.prefix
    before = foreign_journal.read_before(prefix)
    if journal.stage is Stage.CHANGING:
        change = _of_interrupted(environment, journal, before)
        foreign_journal.write_after(prefix, change)
    else:
        change = foreign_journal.read_after(prefix)
        if journal.stage is Stage.DONE and not force:
            _check_untouched(prefix, change)
    if journal.stage is Stage.DONE and force:
        _remove_what_came_since(environment, journal, before)
    foreign_journal.write_journal(prefix, msgspec.structs.replace(journal, stage=Stage.UNDOING))
    _remove_created(prefix, change, before)
    _restore(prefix, change, before)
    left = _remove_directories(prefix, change)
    _verify(prefix, change, before)
    foreign_journal.drop(prefix)
    return left


def _of_interrupted(environment: ForeignEnvironment, journal: Journal, before: Mapping[str, Mark]) -> Difference:
    """What a change had done when it was interrupted, without what somebody installed by hand since."""
    change = difference(before, take_listing(environment.prefix, records=journal.conda))
    own = {one.name for one in journal.changes}
    others: set[str] = set()
    # Of conda's packages nobody knows half-way which files are theirs, so that all goes that came.
    for one in () if journal.conda else read_installed(environment).values():
        metadata = one.metadata.relative_to(environment.prefix).as_posix()
        if metadata not in before and one.key not in own:
            paths = [path for path in files_of(one) if path.is_relative_to(environment.prefix)]
            others |= {path.relative_to(environment.prefix).as_posix() for path in paths}
    created = {path: mark for path, mark in change.created.items() if path not in others}
    return Difference(created=created, lost=change.lost, replaced=change.replaced)


def _check_untouched(prefix: Path, change: Difference) -> None:
    """IntegrityError where the files that a change made are not as it left them."""
    left: dict[str, Mark | None] = {**change.created, **change.replaced, **dict.fromkeys(change.lost)}
    other = [
        path
        for path, mark in left.items()
        # What Python compiled and which directories there are by now is nobody's decision.
        if not (path.endswith(".pyc") or _is_directory(prefix / path, mark)) and not same(mark_of(prefix / path), mark)
    ]
    if other:
        shown = other[:_MOST_NAMED]
        more = len(other) - len(shown)
        where = shlex.quote(os.fspath(prefix))
        raise IntegrityError(
            f"`{prefix}` was changed again since the last installation of gpuenv",
            reasons=(*(f"`{path}`" for path in shown), *((f"and {more} more files",) if more else ())),
            hints=(
                "take back what the other tool did first",
                f"or put gpuenv's part back all the same: `gpuenv install --undo --yes -p {where}`",
            ),
        )


def _is_directory(path: Path, mark: Mark | None) -> bool:
    return (mark.kind == "d") if mark else (path.is_dir() and not path.is_symlink())


def _remove_what_came_since(environment: ForeignEnvironment, journal: Journal, before: Mapping[str, Mark]) -> None:
    """Delete the files of other versions that somebody put in the place of those that the change made."""
    own = {one.name for one in journal.changes}
    for one in read_installed(environment).values():
        if one.key in own and one.metadata.relative_to(environment.prefix).as_posix() not in before:
            for path in list(files_of(one)):
                if (
                    path.is_relative_to(environment.prefix)
                    and path.relative_to(environment.prefix).as_posix() not in before
                ):
                    _unlink(path)
            with suppress(OSError):
                one.metadata.rmdir()


def _remove_created(prefix: Path, change: Difference, before: Mapping[str, Mark]) -> None:
    for path, mark in change.created.items():
        if mark.kind != "d":
            _unlink(prefix / path)
    # What Python compiled of such files since would outlive its source.
    for path in (*change.created, *change.replaced, *change.lost):
        if path.endswith(".py"):
            for compiled in _compiled_of(prefix, path):
                if compiled not in before:
                    _unlink(prefix / compiled)


def _compiled_of(prefix: Path, source: str) -> Iterator[str]:
    where = PurePosixPath(source)
    directory = where.parent / "__pycache__"
    try:
        names = os.listdir(prefix / directory)  # noqa: PTH208  (names are all that is wanted)
    except OSError:
        return
    for name in names:
        if name.endswith(".pyc") and name.startswith(f"{where.stem}."):
            yield (directory / name).as_posix()


def _restore(prefix: Path, change: Difference, before: Mapping[str, Mark]) -> None:
    directory = foreign_layout.undo_directory(prefix)
    changed = [*change.lost, *change.replaced]
    compiled = [one for path in changed if path.endswith(".py") for one in _kept_compiled(directory, path)]
    wanted = dict.fromkeys((*changed, *(path for path in compiled if path in before)))
    for path in sorted(wanted, key=lambda one: one.count("/")):
        mark = before[path]
        target = prefix / path
        # Files of one wheel often have one time, so that two of one size look alike but for their place on the disk.
        if same(mark_of(target), mark, inode=True):
            continue
        if mark.kind == "d":
            _make_directory(target, mark)
        else:
            _put_back(foreign_layout.saved_file(directory, path), target)


def _kept_compiled(directory: Path, source: str) -> Iterator[str]:
    for place in (foreign_layout.kept_directory(directory), foreign_layout.files_directory(directory)):
        yield from _compiled_of(place, source)


def _make_directory(target: Path, mark: Mark) -> None:
    if os.path.lexists(target) and (target.is_symlink() or not target.is_dir()):
        target.unlink()
    target.mkdir(parents=True, exist_ok=True)
    target.chmod(mark.mode)


def _put_back(saved: Path, target: Path) -> None:
    """A saved file to its place, in one step; the saved one stays for the case that this is interrupted."""
    if not os.path.lexists(saved):
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.gpuenv-draft")
    _unlink(draft)
    try:
        os.link(saved, draft, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(saved, draft, follow_symlinks=False)
    # Of two names of one file a rename takes neither away (POSIX), as after an interrupted undo.
    draft.replace(target)
    _unlink(draft)


def _remove_directories(prefix: Path, change: Difference) -> tuple[str, ...]:
    """Take the created directories away again, deepest first; those in which somebody put something stay."""
    left: list[str] = []
    created = [path for path, mark in change.created.items() if mark.kind == "d"]
    for path in sorted(created, key=lambda one: one.count("/"), reverse=True):
        place = prefix / path
        with suppress(OSError):
            if [entry.name for entry in place.iterdir()] == ["__pycache__"]:
                delete_tree(place / "__pycache__")
        try:
            place.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            left.append(path)
    tops = [path for path in left if str(PurePosixPath(path).parent) not in left]
    return tuple(f"`{path}` stays, since something was put into it since" for path in sorted(tops))


def _verify(prefix: Path, change: Difference, before: Mapping[str, Mark]) -> None:
    """IntegrityError where something is not as it was."""
    wrong = [path for path, mark in change.created.items() if mark.kind != "d" and os.path.lexists(prefix / path)]
    wrong += [path for path in (*change.lost, *change.replaced) if not same(mark_of(prefix / path), before[path])]
    if wrong:
        raise IntegrityError(
            f"`{prefix}` could not be put back as it was",
            reasons=tuple(f"`{path}`" for path in wrong[:_MOST_NAMED]),
            hints=("try it again; the files as they were are in " + f"`{foreign_layout.undo_directory(prefix)}`",),
        )


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def _nothing_to_undo(prefix: Path) -> RequestError:
    return RequestError(
        f"there is no installation of gpuenv to take back in `{prefix}`",
        reasons=("only the last one can be, and only where gpuenv did not make the environment",),
    )
