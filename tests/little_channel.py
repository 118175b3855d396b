"""Small real conda channels on disk, for tests: packages that a conda client can install, and `repodata.json` of them.

The packages are put together from their parts (a tar of files, a tar of `info/`), so that a test can also make one that
lies: `paths` and `index` replace what would be true, names of files are taken as they are given, and `make_channel`
takes records without a file and changed fields of records that have one.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import posixpath
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from backports import zstd
from conda_package_streaming import create

PLACEHOLDER = ("/placeholder_" * 20)[:255]
"""Where files of these packages say they were built: as long as conda-build's own, so that any prefix fits in it."""
TIMESTAMP = 1_700_000_000_000
"""When these packages were built if they do not say: 14 November 2023, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LittlePackage:
    """What is in a package and what its `info/index.json` says. A file's text may hold `PLACEHOLDER`."""

    name: str
    version: str = "1.0"
    build: str = "0"
    build_number: int = 0
    subdir: str = "noarch"
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    files: Mapping[str, bytes | str] = field(default_factory=dict)
    """Path in the package to content."""
    executable: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    """Path of a symbolic link to its target."""
    prefix_files: Mapping[str, str] = field(default_factory=dict)
    """The files that hold `PLACEHOLDER`, each with its mode: `text` or `binary`."""
    noarch: Literal["python", "generic"] | None = None
    """`generic` where `subdir` is `noarch` and nothing is said."""
    entry_points: Sequence[str] = ()
    """Commands of a `noarch: python` package: `name = module:function`."""
    track_features: str = ""
    features: str = ""
    timestamp: int | None = TIMESTAMP
    license: str = "BSD-3-Clause"
    flags: Sequence[str] = ()
    extra_depends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    run_exports: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ending: Literal[".conda", ".tar.bz2"] = ".conda"
    paths: Sequence[Mapping[str, Any]] | None = None
    """Entries of `info/paths.json` in place of the true ones."""
    index: Mapping[str, Any] = field(default_factory=dict)
    """Further or other fields of `info/index.json`; a field that is None here is left out."""

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def file_name(self) -> str:
        """The file's name."""
        return self.stem + self.ending

    @property
    def only_v3(self) -> bool:
        """Whether its record needs what only `v3` records may have: flags, extras or conditions."""
        return bool(self.flags or self.extra_depends or any("when=" in text for text in self.depends))


def write_package(package: LittlePackage, directory: Path) -> Path:
    """Write the package as `<directory>/<subdir>/<name>-<version>-<build><ending>`; gives that path."""
    folder = directory / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / package.file_name
    target.unlink(missing_ok=True)
    with _archive(package, folder) as archive:
        for name, content in _info_files(package).items():
            _add(archive, f"info/{name}", content)
        for name, given in package.files.items():
            _add(archive, name, _bytes(given), executable=name in package.executable)
        for name, to in package.links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mtime = tarfile.SYMTYPE, to, TIMESTAMP // 1000
            archive.addfile(member)
    return target


def make_channel(
    directory: Path,
    packages: Iterable[LittlePackage],
    *,
    records: Iterable[Mapping[str, Any]] = (),
    zst: bool = False,
    v3: Iterable[Mapping[str, Any]] = (),
    changed: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write the packages and a `repodata.json` for each subdir, `noarch` always; gives `directory`.

    `records` and `v3` are further records without a file, as `repodata.json` holds them (`subdir` is `noarch` where
    they do not say). A package with flags, extras or conditions has its record under `v3`. `changed` gives fields to
    replace in the record of a file name: a channel that lies. With `zst`, `repodata.json.zst` stands beside each.
    """
    subdirs: dict[str, dict[str, Any]] = {"noarch": _empty("noarch")}
    for package in packages:
        found = {**record_of(package, write_package(package, directory)), **(changed or {}).get(package.file_name, {})}
        _place(subdirs, found, package.file_name, v3=package.only_v3)
    for number, given in enumerate(records):
        _place(subdirs, filled(given, number), str(given.get("fn") or ""), v3=False)
    for number, given in enumerate(v3):
        _place(subdirs, filled(given, number), str(given.get("fn") or ""), v3=True)
    for subdir, repodata in subdirs.items():
        write_repodata(directory / subdir, repodata, zst=zst)
    return directory


def record_of(package: LittlePackage, path: Path) -> dict[str, Any]:
    """The record that an indexer writes of this file: `info/index.json` with sizes and hashes."""
    content = path.read_bytes()
    return index_json(package) | {
        "md5": hashlib.md5(content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }


def index_json(package: LittlePackage) -> dict[str, Any]:
    """`info/index.json` of the package."""
    noarch = package.noarch or ("generic" if package.subdir == "noarch" else None)
    system, _, arch = package.subdir.partition("-")
    fields = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "arch": {"64": "x86_64"}.get(arch, arch) or None,
        "platform": system if arch else None,
        "depends": list(package.depends),
        "constrains": list(package.constrains) or None,
        "noarch": noarch,
        "license": package.license,
        "timestamp": package.timestamp,
        "track_features": package.track_features or None,
        "features": package.features or None,
        "flags": list(package.flags) or None,
        "extra_depends": {key: list(value) for key, value in package.extra_depends.items()} or None,
        **package.index,
    }
    return {key: value for key, value in fields.items() if value is not None}


def python_package(version: str = "3.11.7", *, real: bool = False, subdir: str = "linux-64") -> LittlePackage:
    """A package `python`: a record with an empty file, or one whose `bin/python` runs in its prefix.

    The real one is of the running interpreter's version, whatever `version` says. Its `bin/python3.N` starts that
    interpreter under its own name, and a `pyvenv.cfg` makes it take the prefix's `site-packages`: what conda's own does
    with a whole copy, at the price of one small file. It holds no link that leaves the prefix.
    """
    if real:
        version = platform.python_version()
    short = ".".join(version.split(".")[:2])
    files: dict[str, str] = {f"bin/python{short}": "", f"lib/python{short}/site-packages/README.txt": "Packages.\n"}
    if real:
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        files[f"bin/python{short}"] = f'#!/bin/bash\nexec -a "$0" {base} "$@"\n'
        files["pyvenv.cfg"] = f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    return LittlePackage(
        name="python",
        version=version,
        build="h0_0_cpython" if int(short.split(".")[1]) >= 7 else "h0_0",
        subdir=subdir,
        files=files,
        executable=frozenset({f"bin/python{short}"}),
        links={"bin/python": f"python{short}", "bin/python3": f"python{short}"},
        license="Python-2.0",
    )


def filled(given: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
    """A record with every field that clients need; hashes and size are made up where it has none."""
    made = hashlib.sha256(json.dumps([number, dict(given)], sort_keys=True).encode()).hexdigest()
    defaults = {
        "version": "1.0",
        "build": f"{given.get('build_number', 0)}",
        "build_number": 0,
        "subdir": "noarch",
        "depends": [],
        "timestamp": TIMESTAMP,
        "license": "BSD-3-Clause",
        "md5": made[:32],
        "sha256": made,
        "size": 1000,
    }
    if given.get("subdir", "noarch") == "noarch":
        defaults["noarch"] = "generic"
    return {**defaults, **{key: value for key, value in given.items() if key != "fn"}}


def write_repodata(folder: Path, repodata: Mapping[str, Any], *, zst: bool = False) -> None:
    """Write one subdir's `repodata.json`, and the compressed one beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(repodata, indent=1).encode()
    (folder / "repodata.json").write_bytes(content)
    if zst:
        (folder / "repodata.json.zst").write_bytes(zstd.compress(content))


def _empty(subdir: str) -> dict[str, Any]:
    return {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "repodata_version": 1}


def _place(subdirs: dict[str, dict[str, Any]], record: dict[str, Any], file_name: str, *, v3: bool) -> None:
    stem = f"{record['name']}-{record['version']}-{record['build']}"
    file_name = file_name or stem + ".conda"
    repodata = subdirs.setdefault(record["subdir"], _empty(record["subdir"]))
    old = file_name.endswith(".tar.bz2")
    if v3:
        kind = repodata.setdefault("v3", {"tar.bz2": {}, "conda": {}})["tar.bz2" if old else "conda"]
        kind[file_name.removesuffix(".tar.bz2").removesuffix(".conda")] = record
    else:
        repodata["packages" if old else "packages.conda"][file_name] = record


def _archive(package: LittlePackage, folder: Path) -> AbstractContextManager[tarfile.TarFile]:
    if package.ending == ".tar.bz2":
        return tarfile.open(folder / package.file_name, "w:bz2")
    builder: AbstractContextManager[tarfile.TarFile] = create.conda_builder(
        package.stem, folder, compression_level=1, compression_threads=0
    )
    return builder


def _info_files(package: LittlePackage) -> dict[str, bytes]:
    entries = _path_entries(package) if package.paths is None else package.paths
    documents: dict[str, Any] = {
        "index.json": index_json(package),
        "paths.json": {"paths": list(entries), "paths_version": 1},
        "about.json": {"license": package.license, "summary": f"A little {package.name}"},
    }
    noarch = index_json(package).get("noarch")
    if noarch == "python":
        kind = {"type": "python", **({"entry_points": list(package.entry_points)} if package.entry_points else {})}
        documents["link.json"] = {"noarch": kind, "package_metadata_version": 1}
    elif noarch:
        documents["link.json"] = {"noarch": {"type": "generic"}, "package_metadata_version": 1}
    if package.run_exports:
        documents["run_exports.json"] = {key: list(value) for key, value in package.run_exports.items()}
    files = {name: json.dumps(document, indent=2, sort_keys=True).encode() for name, document in documents.items()}
    files["files"] = "".join(f"{name}\n" for name in sorted([*package.files, *package.links])).encode()
    if package.prefix_files:
        lines = [f"{PLACEHOLDER} {mode} {name}\n" for name, mode in package.prefix_files.items()]
        files["has_prefix"] = "".join(lines).encode()
    return files


def _path_entries(package: LittlePackage) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for name, given in package.files.items():
        entry = {"_path": name, "path_type": "hardlink", **_sums(_bytes(given))}
        if mode := package.prefix_files.get(name):
            entry |= {"file_mode": mode, "prefix_placeholder": PLACEHOLDER}
        entries.append(entry)
    for name, to in package.links.items():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), to))
        sums = _sums(_bytes(package.files[target])) if target in package.files else {}
        entries.append({"_path": name, "path_type": "softlink", **sums})
    return sorted(entries, key=lambda entry: str(entry["_path"]))


def _sums(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}


def _bytes(given: bytes | str) -> bytes:
    return given.encode() if isinstance(given, str) else given


def _add(archive: tarfile.TarFile, name: str, content: bytes, *, executable: bool = False) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o755 if executable else 0o644, TIMESTAMP // 1000
    archive.addfile(member, io.BytesIO(content))
