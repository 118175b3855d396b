"""`uv` turns the GPU layer's requirements and the plain ones into one set of wheels with hashes (PEP 751)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import explain_failure, run_uv
from gpuenv.errors import NoPlanError
from gpuenv.model import LockedWheel, Machine, OperatingSystem, Reporter

__all__ = ["ASSUMED_GLIBC", "lock_wheels", "locked_wheels"]

ASSUMED_GLIBC = "2.28"
"""The C library to plan for where the machine's is not known: what current wheels of PyTorch and XGBoost need."""

# The manylinux tags that `uv pip compile --python-platform` of uv 0.13 knows.
_GLIBC_MINORS = {"x86_64": (17, 28, *range(31, 41)), "aarch64": (17, 28, *range(31, 40))}


def uv_platform(machine: Machine) -> str:
    """The platform of a machine as uv names it, with the newest manylinux tag that its C library can load."""
    arch = machine.system.arch
    if machine.system.os is OperatingSystem.WINDOWS:
        return f"{arch}-pc-windows-msvc"
    if machine.system.os is OperatingSystem.MACOS:
        return f"{arch}-apple-darwin"
    minor = machine.system.glibc.minor if machine.system.glibc else int(ASSUMED_GLIBC.partition(".")[2])
    if arch not in _GLIBC_MINORS:
        raise NoPlanError(
            f"`uv` cannot resolve wheels for Linux on {arch}",
            reasons=("PyPI has hardly any wheel for it; the GPU packages for it were conda's",),
        )
    fitting = [one for one in _GLIBC_MINORS[arch] if one <= minor]
    return f"{arch}-manylinux_2_{max(fitting, default=17)}"


def lock_wheels(
    requirements: list[str],
    constraints: list[str],
    *,
    machine: Machine,
    python: str,
    interpreter: str | None,
    source_packages: tuple[str, ...],
    build_constraints: tuple[str, ...],
    preferred: str = "",
    renew: frozenset[str] = frozenset(),
    report: Reporter,
) -> str:
    """The text of a pylock for `requirements`, one file per package. Nothing but metadata is fetched, except for
    `source_packages`, whose metadata only their build tells. Versions of the pylock `preferred` are kept where they
    fit, except those of `renew`.

    NoPlanError when no set fits together, UnavailableError when the index cannot be asked.
    """
    report.step("resolving with uv")
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as scratch:
        files = {"constraints": constraints, "build-constraints": list(build_constraints)}
        options: list[str | Path] = []
        for name, lines in files.items():
            if lines:
                path = Path(scratch, f"{name}.txt")
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")
                options += [f"--{name}", path]
        for name in source_packages:
            options += ["--no-binary", name]
        lock = Path(scratch, "pylock.gpuenv.toml")
        if preferred:
            lock.write_text(preferred, encoding="utf-8")
        for name in sorted(renew):
            options += ["--upgrade-package", name]
        completed = run_uv(
            [
                *("pip", "compile", "-", "-o", lock, "--no-header", "--no-annotate", "--quiet"),
                *("--only-binary", ":all:", "--python-version", python, "--python-platform", uv_platform(machine)),
                *(("--python", interpreter) if interpreter else ()),
                *options,
            ],
            cwd=Path(scratch),
            text_input="\n".join(requirements) + "\n",
        )
        if completed.status != 0:
            raise explain_failure(completed, "resolving")
        if "does not have an extra named" in completed.stderr:
            raise NoPlanError("a release lacks what it was chosen for", reasons=(completed.stderr.strip(),))
        return lock.read_text("utf-8")


def locked_wheels(text: str) -> tuple[LockedWheel, ...]:
    """The distributions of a pylock with the file that each is installed from; FormatError when it is none."""
    return tuple(
        LockedWheel(
            name=one.name,
            version=one.version or "0",
            filename=one.filename,
            sha256=one.sha256,
            size_bytes=one.size_bytes,
        )
        for one in read_lock(text)
    )
