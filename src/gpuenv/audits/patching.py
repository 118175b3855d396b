"""Writes corrections as a repodata patch: one `patch_instructions.json` for each directory of a channel.

Sources: conda-index, `_apply_instructions` in `conda_index/index/__init__.py`; the draft CEP "Repodata hotfixing"
(conda/ceps, pull request 54); rattler's indexer, whose `repodata_patch` is a conda package of such files. Fields of an
entry replace those of the record. An entry for a `.tar.bz2` package counts for the `.conda` package of the same name as
well, unless that one has an entry of its own.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_archive import PackedFile, write_conda_package
from gpuenv.artifacts.conda_index import CONDA_ENDINGS, split_dist
from gpuenv.artifacts.conda_metadata import InstalledPath, metadata_files, platform_fields
from gpuenv.audits.gathering import Subdir
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import Correction

__all__ = ["check_patch_name", "write_patch"]

_NAME = "patch_instructions.json"
_TARS = {".tar": "w:", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz"}
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
_SUMMARY = "Corrections of repodata from what is inside the packages"


def check_patch_name(path: Path) -> None:
    """RequestError where a patch as a conda package has no name of one."""
    ending = next((one for one in CONDA_ENDINGS if path.name.endswith(one)), None)
    if ending and split_dist(path.name.removesuffix(ending)) is None:
        raise RequestError(
            f"`{path.name}` is no name of a conda package",
            hints=(f"such as `channel-patches-1-0{ending}`; without an ending a directory is written",),
        )


def write_patch(path: Path, corrections: Mapping[str, Mapping[str, Correction]], subdirs: Mapping[str, Subdir]) -> None:
    """Writes the patch; `corrections` are by directory and file. The ending of `path` says in which form: `.zip`,
    `.tar`, `.tar.gz`, a conda package (`.conda`, `.tar.bz2`) as indexers take it, else a directory.

    What a patch of the channel says already is kept.
    """
    files = {
        f"{name}/{_NAME}": json.dumps(_instructions(subdir, corrections.get(name, {})), indent=2, sort_keys=True) + "\n"
        for name, subdir in sorted(subdirs.items())
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, {name: text.encode() for name, text in files.items()})
    except OSError as error:
        raise UnavailableError(f"cannot write `{path}`", reasons=(error.strerror or str(error),)) from error


def _instructions(subdir: Subdir, corrections: Mapping[str, Correction]) -> dict[str, Any]:
    document = _patch_there(subdir)
    for file, correction in sorted(corrections.items()):
        if correction.remove:
            document["remove"] = sorted({*document["remove"], file})
            continue
        key = "packages.conda" if file.endswith(".conda") else "packages"
        document[key].setdefault(file, {}).update(_fields(correction))
    _keep_twins(document, subdir, corrections)
    return document


def _patch_there(subdir: Subdir) -> dict[str, Any]:
    """What a patch of the channel says, or an empty one."""
    empty: dict[str, Any] = {
        "patch_instructions_version": 1,
        "packages": {},
        "packages.conda": {},
        "revoke": [],
        "remove": [],
    }
    content = subdir.explained.fetch(_NAME)
    try:
        there = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return empty
    if not isinstance(there, dict):
        return empty
    fitting = {key: value for key, value in there.items() if key not in empty or isinstance(value, type(empty[key]))}
    return {**empty, **fitting}


def _fields(correction: Correction) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if correction.depends is not None:
        found["depends"] = list(correction.depends)
    if correction.constrains is not None:
        found["constrains"] = list(correction.constrains)
    if correction.track_features is not None:
        found["track_features"] = correction.track_features
    return found


def _keep_twins(document: dict[str, Any], subdir: Subdir, corrections: Mapping[str, Correction]) -> None:
    """A `.conda` package keeps its own words where an entry for the `.tar.bz2` of its name would change them."""
    for file, fields in document["packages"].items():
        twin = f"{file.removesuffix('.tar.bz2')}.conda"
        record = subdir.records.get(twin)
        if record is None or file not in corrections:
            continue
        own = document["packages.conda"].setdefault(twin, {})
        for field in fields:
            words = record.words(field) if hasattr(record, field) else None
            kept = " ".join(words) if field == "track_features" and words else words
            if field not in own and kept is not None:
                own[field] = list(kept) if isinstance(kept, tuple) else kept


# ---- forms -------------------------------------------------------------------------------------------------------


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    mode = next((mode for ending, mode in _TARS.items() if path.name.endswith(ending)), None)
    if path.name.endswith(CONDA_ENDINGS):
        _write_package(path, files)
    elif path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _FIRST_DATE), content)
    elif mode:
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    else:
        for name, content in files.items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _write_package(path: Path, files: Mapping[str, bytes]) -> None:
    import hashlib

    ending = next(one for one in CONDA_ENDINGS if path.name.endswith(one))
    dist = path.name.removesuffix(ending)
    named = split_dist(dist)
    assert named
    index: dict[str, Any] = {
        **dict(zip(("name", "version", "build"), named, strict=True)),
        **platform_fields("noarch"),
        "build_number": 0,
        "depends": [],
        "noarch": "generic",
    }
    info = metadata_files(
        index=index,
        about={"summary": _SUMMARY},
        paths=[
            InstalledPath(path=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
            for name, content in files.items()
        ],
        noarch={"type": "generic"},
    )
    packed = (
        PackedFile(path=name, size_bytes=len(content), content=io.BytesIO(content)) for name, content in files.items()
    )
    write_conda_package(
        path,
        dist=dist,
        info=info,
        files=packed,
        timestamp=0,
        size_bytes=sum(map(len, files.values())),
    )
