"""Build a complete environment in a fresh directory: conda packages with rattler, wheels with `uv`."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from gpuenv import __version__
from gpuenv.channels import uv
from gpuenv.channels.pylock import read_lock
from gpuenv.environments import layout
from gpuenv.environments.conda_state import set_conda_variables
from gpuenv.environments.own_files import note_made_files
from gpuenv.environments.state import EnvironmentState, write_state
from gpuenv.environments.switch import write_whole
from gpuenv.environments.variables import startup_lines, variables_of
from gpuenv.errors import IntegrityError, RequestError, ToolError, UnavailableError
from gpuenv.model import OperatingSystem, Plan, Reporter, Request

__all__ = ["build", "check_plan", "with_lock"]

_SYSTEMS = {"linux": OperatingSystem.LINUX, "win32": OperatingSystem.WINDOWS, "darwin": OperatingSystem.MACOS}
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_NO_PYTHON = re.compile(r"No interpreter found|Failed to inspect Python|is not supported but|Invalid version request")

_EMPTY_LOCK = 'lock-version = "1.0"\ncreated-by = "gpuenv"\npackages = []\n'
_PASSING = ("Creating virtual environment", "Activate with", "Using Python")


def check_plan(plan: Plan) -> None:
    """Errors that show before anything is written: no lock, another kind of machine, source that may not be built."""
    from packaging.utils import canonicalize_name

    plan = with_lock(plan)
    here = (_SYSTEMS.get(sys.platform), _ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower()))
    system = plan.machine.system
    # A Mac runs programs of both of its architectures.
    if system.os is not here[0] or (system.arch != here[1] and sys.platform != "darwin"):
        raise RequestError(
            f"the plan is for {plan.machine.platform}, and this computer is {here[0] or sys.platform}-{here[1]}",
            hints=("make the environment on a machine of that kind, or plan for this one",),
        )
    allowed = {canonicalize_name(name) for name in plan.source_packages}
    forbidden = [one.name for one in read_lock(plan.pylock) if one.only_source and one.name not in allowed]
    if forbidden:
        raise IntegrityError(
            "the lock asks to build from source what the plan does not allow to build", reasons=tuple(forbidden)
        )
    variables_of(plan)


def with_lock(plan: Plan) -> Plan:
    """The plan with a lock of wheels, which is empty where all of it is conda packages.

    RequestError where there is nothing at all to install.
    """
    if plan.pylock:
        return plan
    if not plan.conda:
        raise RequestError("the plan has no lock, so there is nothing to install")
    return msgspec.structs.replace(plan, pylock=_EMPTY_LOCK)


def build(
    plan: Plan,
    new: Path,
    *,
    final: Path,
    name: str,
    created: datetime,
    changed: datetime,
    old: Path | None = None,
    offline: bool = False,
    report: Reporter,
    asked_with: Request | None = None,
) -> tuple[str, ...]:
    """Make the environment of `plan` in the directory `new`, which is not there yet; its state is written last.

    Gives what is to be told of its packages.
    It is made for the place `final`: without conda packages the directory can be renamed to anything, with them only
    to that. `old` is the environment whose place it takes, if there is one. `name` is shown by the prompt of an active
    shell. With `offline` only what is in the caches is installed. `asked_with` is the request with the logins of its
    channels, which no plan keeps. Failures of uv are told apart by
    `uv.explain_failure`; what was built by then is left to the caller.
    """
    from gpuenv.environments.conda_build import Linked, link_conda_packages
    from gpuenv.environments.conda_python import needs_placeholder, point_scripts_at

    plan = with_lock(plan)
    packages = read_lock(plan.pylock)
    with_venv = not plan.has_conda_python and (packages or not plan.conda or needs_placeholder(plan))
    if with_venv:
        report.step(f"making a virtual environment with Python {plan.python}")
        _make_virtual_environment(plan, new, name=name, report=report)
    layout.own_directory(new).mkdir(parents=True)
    linked: Linked | None = None
    notes: tuple[str, ...] = ()
    if plan.conda:
        python = _python_version(new) if with_venv else None
        linked = link_conda_packages(
            plan,
            new,
            final=final,
            old=old,
            python=python,
            when=changed,
            offline=offline,
            report=report,
            asked_with=asked_with,
        )
    if plan.has_conda_python and not packages:
        # Nothing is installed with it, so that one which does not run is only told.
        notes = (*notes, *_python_trouble(new))
    if packages or with_venv:
        report.step("installing packages with uv")
        _install(plan, new, offline=offline, report=report)
        point_scripts_at(new, final)
    _set_variables(plan, new)
    note_made_files(new)
    place = os.fspath(final) if linked and linked.holds_prefix else None
    write_state(new, EnvironmentState(plan=plan, gpuenv=__version__, created=created, changed=changed, prefix=place))
    return (*linked.notes, *notes) if linked else notes


def _python_trouble(new: Path) -> tuple[str, ...]:
    from gpuenv.environments.conda_python import check_runs

    try:
        check_runs(new)
    except UnavailableError as error:
        return (": ".join((error.message, *error.reasons[:1])),)
    return ()


def _set_variables(plan: Plan, new: Path) -> None:
    library = layout.library_of(new)
    if library is None and not plan.conda:
        raise ToolError("`uv` made an environment without a library", reasons=(f"`{new}`",))
    variables = variables_of(plan)
    if variables and library:
        write_whole(library / layout.VARIABLES_FILE, startup_lines(variables))
    elif variables:
        set_conda_variables(new, variables)


def _make_virtual_environment(plan: Plan, new: Path, *, name: str, report: Reporter) -> None:
    if plan.interpreter and not Path(plan.interpreter).exists():
        raise _no_python(plan, f"`{plan.interpreter}` is not there")
    # uv writes the prompt unquoted into the activation scripts, so that it must not hold what a shell obeys.
    prompt = re.sub(r"[^\w.+-]", "-", name)
    command = ["venv", "--relocatable", "--no-project", "--prompt", prompt, "--python"]
    completed = uv.run_uv([*command, plan.interpreter or plan.python, new], on_line=_progress(report))
    if completed.status != 0:
        if _NO_PYTHON.search(completed.stderr):
            raise _no_python(plan, *completed.stderr.splitlines())
        raise uv.explain_failure(completed, "making a virtual environment")
    made = _python_version(new)
    if not f"{made}.".startswith(f"{plan.python}."):
        raise _no_python(plan, f"`{plan.interpreter or plan.python}` is Python {made} now")


def _install(plan: Plan, new: Path, *, offline: bool, report: Reporter) -> None:
    lock = layout.lock_text_path(new)
    write_whole(lock, plan.pylock)
    packages = read_lock(plan.pylock)
    command: list[str | Path]
    if plan.conda:
        # `sync` would take away what conda put there.
        if not packages:
            return
        if plan.has_conda_python:
            from gpuenv.environments.conda_python import check_runs

            check_runs(new)
        command = ["pip", "install", "--preview-features", "pylock", "--python", layout.python_of(new)]
        command += ["--no-deps", "--break-system-packages"]
    else:
        command = ["pip", "sync", "--preview-features", "pylock", "--python", new, "--allow-empty-requirements"]
    command += ["--only-binary", ":all:", *(["--offline"] if offline else [])]
    # After `--only-binary :all:`, a package is built from source only where it is named here.
    command += [word for package in packages if package.only_source for word in ("--no-binary", package.name)]
    # A directory or repository, which has no hash, is in the lock only if the plan names it as source.
    if all(package.hashes for package in packages):
        command.append("--require-hashes")
    if plan.build_constraints:
        constraints = layout.own_directory(new) / "build-constraints.txt"
        write_whole(constraints, "".join(f"{line}\n" for line in plan.build_constraints))
        command += ["--build-constraints", constraints]
    completed = uv.run_uv([*command, *(["-r"] if plan.conda else []), lock], on_line=_progress(report))
    if completed.status != 0:
        raise uv.explain_failure(completed, "installing")


def _progress(report: Reporter) -> Callable[[str], None]:
    """Hands on the lines of uv, but for those that name the directory of the moment."""

    def hear(line: str) -> None:
        if line.strip() and not line.startswith(_PASSING):
            report.detail(line.strip())

    return hear


def _python_version(prefix: Path) -> str:
    text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    found = re.search(r"^version(?:_info)?\s*=\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def _no_python(plan: Plan, *reasons: str) -> UnavailableError:
    return UnavailableError(
        f"the plan's interpreter, Python {plan.python}, is missing",
        reasons=reasons,
        hints=(f"install Python {plan.python}, or plan for another with `--python`",),
    )
