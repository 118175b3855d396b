"""The snapshot of the real pytorch channel as a channel on disk, with stubs for all that it needs from elsewhere.

The snapshot lies outside this repository: in the directory that `GPUENV_SHARED_DATA` names, else in `../shared/data`
beside the checkout. The stubs come from the dependencies themselves: for each bound that occurs there is a version that
meets it.

Facts about what the snapshot lacks: pytorch-mutex 1.0 is `noarch` and has the builds `cpu` and `cuda`
(github.com/pytorch/builder, conda/pytorch-mutex/conda_build_config.yaml); cpuonly 2.0 has `track_features: cpuonly` and
needs `pytorch-mutex 1.0 cpu` (conda/cpuonly/meta.yaml there). What build numbers the mutex's builds have is not in what
could be read, so it is an option here.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import rattler
from backports import zstd

from little_channel import filled, write_repodata

FILE_NAME = "pytorch-linux-64-repodata.json.zst"
PYTHONS = ("2.7.18", "3.5.6", "3.6.13", "3.7.16", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.0")
ABI_FLAGS = {"2.7": "mu", "3.5": "m", "3.6": "m", "3.7": "m"}
"""What stood behind a Python's version in names of its ABI, up to 3.7."""
# Read at once, since tests take variables of this name away.
_SHARED = Path(os.environ.get("GPUENV_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
Order = Literal["as is", "reversed"] | int
"""How the records stand in the file; a number is the seed of a shuffle."""
Record = dict[str, Any]


def snapshot_file() -> Path | None:
    """Where the snapshot is, if it is there."""
    path = _SHARED / FILE_NAME
    return path if path.exists() else None


def snapshot() -> dict[str, Record]:
    """The snapshot's records by file name; the test is skipped where it is absent."""
    path = snapshot_file()
    if path is None:
        pytest.skip(
            f"the snapshot of the pytorch channel ({FILE_NAME}) is not here; GPUENV_SHARED_DATA names its place"
        )
    repodata = json.loads(zstd.decompress(path.read_bytes()))
    return {**repodata["packages"], **repodata["packages.conda"]}


def pytorch_channel(
    directory: Path,
    *,
    order: Order = "as is",
    mutex: Mapping[str, int] | None = None,
    python: str | None = None,
) -> Path:
    """Write the snapshot and its stubs as the channel `<directory>/pytorch`; gives that path.

    `mutex` gives the build numbers of pytorch-mutex, by build; without, both are 0, and nothing but the client prefers
    one of them. With `python` there is only that version of Python.
    """
    records = snapshot()
    for stub in stubs(records.values(), mutex=mutex or {}, pythons=(python,) if python else PYTHONS):
        records[f"{stub['name']}-{stub['version']}-{stub['build']}.tar.bz2"] = stub
    names = list(records)
    if order == "reversed":
        names.reverse()
    elif isinstance(order, int):
        random.Random(order).shuffle(names)
    channel = directory / "pytorch"
    for subdir in ("linux-64", "noarch"):
        packages = {name: records[name] for name in names if records[name]["subdir"] == subdir}
        content = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        write_repodata(channel / subdir, content)
    return channel


def stubs(
    records: Iterable[Record], *, mutex: Mapping[str, int] | None = None, pythons: Iterable[str] = PYTHONS
) -> Iterator[Record]:
    """Records, without a file, of everything that the records depend on and that is not among them."""
    listed = list(records)
    own = {record["name"] for record in listed}
    yield from _known(mutex or {}, pythons)
    own |= {"pytorch-mutex", "cpuonly", "python", "python_abi"}
    wanted: dict[str, set[str]] = {}
    for record in listed:
        for need in record.get("depends", ()):
            name = need.partition(" ")[0]
            if name not in own and not name.startswith("__"):
                wanted.setdefault(name, set()).add(need)
    for name, needs in sorted(wanted.items()):
        yield from _meeting(name, needs)


def _known(mutex: Mapping[str, int], pythons: Iterable[str]) -> Iterator[Record]:
    for build in ("cpu", "cuda"):
        yield _stub("pytorch-mutex", "1.0", build=build, build_number=mutex.get(build, 0), subdir="noarch")
    yield _stub("cpuonly", "1.0", track_features="cpuonly", subdir="noarch")
    yield _stub("cpuonly", "2.0", track_features="cpuonly", depends=["pytorch-mutex 1.0 cpu"], subdir="noarch")
    for version in pythons:
        minor = ".".join(version.split(".")[:2])
        tag = f"cp{minor.replace('.', '')}" + (
            "m" if minor in {"3.5", "3.6", "3.7"} else "mu" if minor == "2.7" else ""
        )
        yield _stub("python", version, build="h0_0_cpython", constrains=[f"python_abi {minor}.* *_{tag}"])
        yield _stub("python_abi", minor, build=f"2_{tag}", depends=[f"python {minor}.*"])


def _meeting(name: str, needs: set[str]) -> Iterator[Record]:
    """As few versions of one package as its bounds name, such that each need is met."""
    specs = [rattler.MatchSpec(need) for need in sorted(needs)]
    builds = sorted({need.split()[2] for need in needs if len(need.split()) == 3}) or ["0"]
    versions = {version for need in needs for version in _named(need)} or {"1.0"}
    made = [_stub(name, version, build=build.replace("*", "0")) for version in sorted(versions) for build in builds]
    packages = [_package(one) for one in made]
    for spec in specs:
        assert any(spec.matches(package) for package in packages), f"no stub meets {spec}"
    yield from made


def _named(need: str) -> Iterator[str]:
    """Versions at the bounds of a need, of which one should meet it: the lower bound, else just below the upper one."""
    bounds = [bound for part in need.split()[1:2] for bound in part.split(",") if not bound.startswith("!")]
    below = [bound.removeprefix("<") for bound in bounds if bound.startswith("<") and not bound.startswith("<=")]
    at = [
        bound.lstrip("<>=").removesuffix(".*").rstrip("*") for bound in bounds if bound.removeprefix("<") not in below
    ]
    yield from filter(None, at)
    if not at:
        yield from (str(int(version.partition(".")[0]) - 1) for version in below)


def _package(stub: Record) -> rattler.PackageRecord:
    from rattler.package import BuildString

    return rattler.PackageRecord(
        stub["name"], stub["version"], BuildString(stub["build"]), stub["build_number"], stub["subdir"]
    )


def _stub(name: str, version: str, **fields: Any) -> Record:
    return filled({"name": name, "version": version, "build": "0", "subdir": "linux-64", **fields})
