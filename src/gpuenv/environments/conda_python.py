"""The Python of an environment that has conda packages: conda's own, or one found here with a virtual environment."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from gpuenv._process import run
from gpuenv.environments import layout
from gpuenv.environments.conda_checks import PackageFacts
from gpuenv.environments.conda_meta import PLACEHOLDER_CHANNEL
from gpuenv.environments.conda_packages import CachedPackage
from gpuenv.environments.switch import write_whole
from gpuenv.errors import UnavailableError
from gpuenv.model import LockedConda, Plan

__all__ = ["check_runs", "needs_placeholder", "placeholder_python", "point_scripts_at"]

_BUILD = "0_not_of_conda"
_TIMEOUT_SECONDS = 60.0


def needs_placeholder(plan: Plan) -> bool:
    """Whether conda packages of Python code go with a Python that is not conda's."""
    return not plan.has_conda_python and any(one.record.get("noarch") == "python" for one in plan.conda)


def placeholder_python(version: str, subdir: str, work: Path) -> CachedPackage:
    """A package `python` without files, by which conda's tools know the version of the Python that is there.

    Packages for any Python are put where that version has its library. It lies in `work`, which may go afterwards.
    """
    directory = work / "python"
    info = directory / "info"
    info.mkdir(parents=True)
    index = {"name": "python", "version": version, "build": _BUILD, "build_number": 0, "subdir": subdir, "depends": []}
    (info / "index.json").write_text(json.dumps(index), "utf-8")
    (info / "paths.json").write_text(json.dumps({"paths": [], "paths_version": 1}), "utf-8")
    sha256 = hashlib.sha256((info / "index.json").read_bytes()).hexdigest()
    filename = f"python-{version}-{_BUILD}.conda"
    url = f"{PLACEHOLDER_CHANNEL}/{subdir}/{filename}"
    locked = LockedConda(
        name="python",
        version=version,
        build=_BUILD,
        subdir=subdir,
        filename=filename,
        url=url,
        channel=PLACEHOLDER_CHANNEL,
        sha256=sha256,
        record={**index, "fn": filename, "url": url, "channel": PLACEHOLDER_CHANNEL, "sha256": sha256},
    )
    return CachedPackage(locked=locked, directory=directory, sha256=sha256, facts=PackageFacts(paths=()))


def check_runs(prefix: Path) -> None:
    """UnavailableError where the Python that conda brought does not run, so that nothing can be installed for it."""
    python = layout.python_of(prefix)
    if python.exists():
        try:
            done = run((python, "-I", "-c", "print(6 * 7)"), timeout_seconds=_TIMEOUT_SECONDS)
        except UnavailableError as error:
            said = error.reasons
        else:
            if done.stdout.strip() == "42":
                return
            said = tuple(done.stderr.strip().splitlines()[-1:]) or ("it does not answer",)
    else:
        said = ("the package has no interpreter",)
    raise UnavailableError(
        "the Python of the channel does not run here", reasons=said, hints=("take another build of `python`",)
    )


def point_scripts_at(prefix: Path, final: Path) -> None:
    """Make the commands that `uv` wrote for the Python of `prefix` name the one that will be at `final`."""
    library = layout.library_of(prefix)
    if library is None or prefix == final:
        return
    for record in library.glob("*.dist-info/RECORD"):
        if _was_of_uv(record.parent):
            _mend_record(record, library, prefix, final)


def _was_of_uv(metadata: Path) -> bool:
    try:
        return (metadata / "INSTALLER").read_text("utf-8").strip() == "uv"
    except (OSError, UnicodeDecodeError):
        return False


def _mend_record(record: Path, library: Path, prefix: Path, final: Path) -> None:
    old, new = os.fsencode(prefix), os.fsencode(final)
    rows = [*csv.reader(io.StringIO(record.read_text("utf-8")))]
    changed = False
    for row, path in _scripts(rows, library, prefix):
        content = path.read_bytes()
        if old not in content or b"\0" in content:
            continue
        mended = content.replace(old, new)
        status = path.stat()
        # The file may be one with uv's cache.
        path.unlink()
        path.write_bytes(mended)
        path.chmod(status.st_mode)
        digest = base64.urlsafe_b64encode(hashlib.sha256(mended).digest()).rstrip(b"=").decode()
        row[1:] = [f"sha256={digest}", str(len(mended))]
        changed = True
    if changed:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_whole(record, text.getvalue())


def _scripts(rows: list[list[str]], library: Path, prefix: Path) -> Iterator[tuple[list[str], Path]]:
    scripts = layout.scripts_of(prefix)
    for row in rows:
        if row and row[0].startswith(".."):
            path = Path(os.path.normpath(library / row[0]))
            if path.parent == scripts and path.is_file() and not path.is_symlink():
                yield row, path
