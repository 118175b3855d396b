"""Carry out a planned change in an environment that gpuenv did not make, so that there is a way back from it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from gpuenv.channels import uv
from gpuenv.channels.pylock import read_lock
from gpuenv.environments import foreign_journal, foreign_layout, layout
from gpuenv.environments.conda_protection import refuse_frozen
from gpuenv.environments.foreign_conflicts import find_conflicts
from gpuenv.environments.foreign_distributions import Installed, files_of, read_installed
from gpuenv.environments.foreign_journal import Journal, Stage
from gpuenv.environments.foreign_listing import Mark, difference, take_listing
from gpuenv.environments.foreign_lock import part_of_lock
from gpuenv.environments.foreign_places import look_without_asking
from gpuenv.environments.foreign_plan import Preview
from gpuenv.environments.foreign_undo import changing, settle, take_back
from gpuenv.environments.space import check_space
from gpuenv.environments.switch import write_whole
from gpuenv.environments.variables import startup_lines
from gpuenv.errors import GpuenvError, UnavailableError
from gpuenv.model import InstallReport, Plan, Reporter

if TYPE_CHECKING:
    from gpuenv.environments.conda_into import CondaPrefix

__all__ = ["install_into"]


def install_into(preview: Preview, *, report: Reporter, override_frozen: bool = False) -> InstallReport:
    """Change the environment as `preview` says, and nothing else in it; what was there is kept for `undo_install`.

    When it fails, the environment is put back. RequestError where it is frozen, unless `override_frozen`;
    UnavailableError when it was changed since the preview, when another command changes it, or for network and disk;
    IntegrityError for a file that is not the planned one.
    """
    environment = preview.environment
    prefix = environment.prefix
    if preview.is_empty:
        return msgspec.structs.replace(preview.report, done=True)
    refuse_frozen(prefix, override=override_frozen)
    with changing(prefix, "installing into"):
        settle(prefix)
        _check_unchanged(preview)
        check_space(_only_changed(preview), prefix, report=report)
        report.step("keeping what is there for a way back")
        journal, before = _begin(preview)
        notes: tuple[str, ...] = ()
        try:
            if preview.conda is not None:
                notes = _change_conda(preview, preview.conda, report=report)
            else:
                _carry_out(preview, journal, report=report)
        except KeyboardInterrupt:
            # Where nothing was touched yet, as during a download, nothing is left to be taken back either.
            with suppress(GpuenvError):
                settle(prefix)
            raise
        except GpuenvError as error:
            take_back(environment, journal)
            raise _with_note(error, f"`{prefix}` is as it was") from error
        _finish(prefix, journal, before)
    if preview.conda is not None:
        python = preview.plan.python if preview.plan.has_conda_python else ""
        environment = look_without_asking(prefix, python=python)
    after = read_installed(environment)
    platform = preview.plan.machine.platform
    conflicts = find_conflicts(after, platform, environment.minor) if environment.version else ()
    notes = (*preview.report.notes, *notes)
    return msgspec.structs.replace(preview.report, done=True, conflicts=conflicts, notes=notes)


def _check_unchanged(preview: Preview) -> None:
    now = read_installed(preview.environment)
    if now != preview.installed:
        other = sorted(
            key for key in now.keys() | preview.installed.keys() if now.get(key) != preview.installed.get(key)
        )
        raise UnavailableError(
            f"`{preview.environment.prefix}` was changed by another command meanwhile",
            reasons=(", ".join(other),),
            hints=("try again",),
        )


def _only_changed(preview: Preview) -> Plan:
    coming = {one.name for one in preview.report.changes if one.after}
    wheels = tuple(one for one in preview.plan.wheels if one.name in coming)
    conda = tuple(one for one in preview.plan.conda if one.name in coming)
    return msgspec.structs.replace(preview.plan, wheels=wheels, conda=conda)


def _begin(preview: Preview) -> tuple[Journal, dict[str, Mark]]:
    """The journal, written, and all files as they are."""
    prefix = preview.environment.prefix
    changes = preview.report.changes
    coming = {one.name for one in changes if one.after}
    journal = Journal(
        stage=Stage.CHANGING,
        specs=preview.plan.request.specs,
        begun=datetime.now(UTC),
        python=preview.environment.version,
        # uv wants one dot on either side of the name.
        lock=f"pylock.gpuenv{secrets.token_hex(4)}.toml",
        changes=changes,
        conda=preview.conda is not None,
    )
    is_conda = preview.conda is not None
    before = take_listing(prefix, records=is_conda)
    touched = _touched(preview.installed, {one.name for one in changes})
    if preview.conda is not None:
        # The files of every package, since a record is written anew where another package clashes with it.
        touched = _of_conda(preview.conda)
    text = preview.plan.pylock if is_conda else part_of_lock(preview.plan.pylock, coming)
    foreign_journal.begin(prefix, journal, before, text, touched)
    return journal, before


def _touched(installed: Mapping[str, Installed], names: set[str]) -> Iterator[Path]:
    for key in sorted(names & installed.keys()):
        yield from files_of(installed[key])


def _of_conda(there: CondaPrefix) -> Iterator[Path]:
    for one in there.packages:
        yield from (there.prefix / path for path in one.files)
    yield from sorted((there.prefix / "conda-meta").iterdir())


def _change_conda(preview: Preview, there: CondaPrefix, *, report: Reporter) -> tuple[str, ...]:
    from gpuenv.environments.conda_into import change_conda_packages

    work = foreign_layout.undo_directory(there.prefix)
    return change_conda_packages(there, preview.plan, preview.specs, work=work, report=report)


def _carry_out(preview: Preview, journal: Journal, *, report: Reporter) -> None:
    environment, plan = preview.environment, preview.plan
    lock = foreign_layout.undo_directory(environment.prefix) / journal.lock
    report.step("installing packages with uv")
    if any(one.after for one in journal.changes):
        _run_uv(_install_command(plan, lock, environment.python), "installing", report)
    # Only now, so that a failed download has taken nothing away.
    going = [one.name for one in journal.changes if one.after is None]
    if going:
        _run_uv(["pip", "uninstall", "--python", environment.python, *going], "removing", report)
        # What both of two wheels owned went with the one.
        coming = [one.name for one in journal.changes if one.after]
        again = [word for name in coming for word in ("--reinstall-package", name)]
        _run_uv([*_install_command(plan, lock, environment.python), *again], "installing", report)
    if preview.report.variables:
        _write_variables(environment.libraries[0], preview.report.variables)


def _install_command(plan: Plan, lock: Path, python: Path) -> list[str | Path]:
    command: list[str | Path] = ["pip", "install", "--preview-features", "pylock", "--python", python]
    command += ["--no-deps", "--only-binary", ":all:"]
    packages = read_lock(lock.read_text("utf-8"))
    command += [word for one in packages if one.only_source for word in ("--no-binary", one.name)]
    if all(one.hashes for one in packages):
        command.append("--require-hashes")
    if plan.build_constraints:
        constraints = lock.with_name("build-constraints.txt")
        write_whole(constraints, "".join(f"{line}\n" for line in plan.build_constraints))
        command += ["--build-constraints", constraints]
    return [*command, "-r", lock]


def _run_uv(command: list[str | Path], doing: str, report: Reporter) -> None:
    def hear(line: str) -> None:
        if line.strip() and not line.startswith("Using Python"):
            report.detail(line.strip())

    completed = uv.run_uv(command, on_line=hear)
    if completed.status != 0:
        raise uv.explain_failure(completed, doing)


def _write_variables(library: Path, variables: Mapping[str, str]) -> None:
    """Add to what each start of Python sets there."""
    path = library / layout.VARIABLES_FILE
    try:
        old = path.read_text("utf-8")
    except OSError:
        old = ""
    new = startup_lines(dict(variables)).splitlines(keepends=True)
    kept = [line for line in old.splitlines(keepends=True) if line not in new]
    write_whole(path, "".join((*kept, *new)))


def _finish(prefix: Path, journal: Journal, before: Mapping[str, Mark]) -> None:
    """Keep only what the change took away, and say that it is complete."""
    change = difference(before, take_listing(prefix, records=journal.conda))
    # Python takes what it had compiled of a source for current where the new one has the same size and time.
    stale = _compiled_of([*change.lost, *change.replaced], before)
    for path in stale:
        (prefix / path).unlink(missing_ok=True)
    change = replace(change, lost=change.lost | {path: before[path] for path in stale})
    foreign_journal.write_after(prefix, change)
    foreign_journal.prune(foreign_layout.undo_directory(prefix), [*change.lost, *change.replaced])
    foreign_journal.write_journal(prefix, msgspec.structs.replace(journal, stage=Stage.DONE))


def _compiled_of(sources: list[str], before: Mapping[str, Mark]) -> list[str]:
    """What Python had compiled of sources that are gone or others now."""
    stems = {(str(PurePosixPath(one).parent), PurePosixPath(one).stem) for one in sources if one.endswith(".py")}
    directories = {directory for directory, _ in stems}
    found: list[str] = []
    for path in before:
        if path.endswith(".pyc"):
            where = PurePosixPath(path)
            directory = str(where.parent.parent)
            if directory in directories and (directory, where.name.partition(".")[0]) in stems:
                found.append(path)
    return found


def _with_note(error: GpuenvError, note: str) -> GpuenvError:
    return type(error)(error.message, reasons=(*error.reasons, note), hints=error.hints, details=error.details)
