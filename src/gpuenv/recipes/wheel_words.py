"""What a conda package of a wheel says of itself: name, build string, requirements, bounds on CUDA, licence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.artifacts.conda_metadata import platform_fields
from gpuenv.artifacts.needs import needs_of
from gpuenv.artifacts.wheel_metadata import first_value, requirements_of
from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
from gpuenv.channels.destinations import Destination
from gpuenv.errors import FormatError, RequestError
from gpuenv.model import BuiltKind, GpuSupport, Needs, Reading
from gpuenv.recipes.naming import cuda_label
from gpuenv.recipes.wheel_archive import OpenWheel
from gpuenv.recipes.wheel_requirements import conda_name, conda_versions, map_requirements
from gpuenv.targets.cuda_constraints import CudaConstraints, constraints_of
from gpuenv.versions import LibcVersion

__all__ = ["Words", "words_of"]

_ABI_BOUND = re.compile(r"cp(\d)(\d+)[dmut]*|abi3", re.ASCII)
_MACOS = re.compile(r"macosx_(\d+)_(\d+)_", re.ASCII)
_ANY_MACOS = "99.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """All of it. `python` is the one whose `site-packages` has the files, None where the client says which: then the
    package is `noarch: python`, in a platform's directory as well (CEP 20).
    """

    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    python: str | None
    depends: tuple[str, ...]
    constrains: tuple[str, ...]
    kind: BuiltKind
    needs: Needs
    constraints: CudaConstraints
    licence: str | None
    summary: str | None
    home: str | None
    notes: tuple[str, ...]

    @property
    def dist(self) -> str:
        """The name of the file without its ending."""
        return f"{self.name}-{self.version}-{self.build}"

    def index_json(self, timestamp: int) -> dict[str, Any]:
        """`info/index.json` (CEP 34); `timestamp` in seconds."""
        index: dict[str, Any] = {
            "build": self.build,
            "build_number": self.build_number,
            "constrains": list(self.constrains) or None,
            "depends": list(self.depends),
            "license": self.licence,
            "name": self.name,
            "noarch": "python" if self.python is None else None,
            "timestamp": timestamp * 1000,
            "version": self.version,
        }
        return {key: value for key, value in index.items() if value is not None} | platform_fields(self.subdir)

    def about_json(self, wheel: str) -> dict[str, Any]:
        """`info/about.json`: what the wheel's metadata says for people."""
        about = {"home": self.home, "license": self.licence, "summary": self.summary, "source": f"the wheel {wheel}"}
        return {key: value for key, value in about.items() if value}


def words_of(
    wheel: OpenWheel,
    filename: str,
    reading: Reading,
    destination: Destination,
    *,
    number: int = 0,
    soft_architectures: bool = False,
) -> Words:
    """What the package says. RequestError where the wheel does not fit the destination, or conda has no such platform;
    FormatError where its metadata is broken.
    """
    artifact = artifact_of_wheel_name(filename)
    _check_fit(filename, destination)
    needs = needs_of(reading)
    native = bool(reading.files) or bool(artifact.platforms)
    tags = parse_wheel_filename(filename)[-1]
    stable = native and {tag.abi for tag in tags} == {"abi3"}
    free = stable or not native
    bound = _python_clauses(wheel.metadata)
    pythons = reading.artifact.pythons
    mapped = map_requirements(requirements_of(wheel.metadata), destination, any_python=free, pythons=pythons)
    python = None if free and not mapped.by_python else destination.python
    uses = needs.uses_gpu and needs.gpu_support is not GpuSupport.THROUGH
    constraints = constraints_of(needs, destination.platform) if uses else CudaConstraints()
    # Its build string says that it is for CUDA, so machines without a GPU are not to be given it.
    bounds, constrains = constraints.placed(is_must=True, is_soft=soft_architectures)
    depends = (
        *_python_depends(filename, python, bound, pythons, lowest=(artifact.pythons or ("3",))[0], native=native),
        *sorted(mapped.depends),
        *_system_depends(needs, destination, tags, native=native),
        *bounds,
    )
    return Words(
        name=_name(wheel.metadata, artifact.name),
        version=str(artifact.version),
        build=f"{f'{cuda_label(needs)}_' if uses else ''}{_of_python(python, tags, stable=stable)}_{number}",
        build_number=number,
        subdir=subdir_of(destination.platform) if native else "noarch",
        python=None if free else destination.python,
        depends=tuple(dict.fromkeys(depends)),
        constrains=constrains,
        kind=BuiltKind.GPU if uses else BuiltKind.PLAIN,
        needs=needs,
        constraints=constraints,
        licence=_licence(wheel.metadata),
        summary=first_value(wheel.metadata, "Summary"),
        home=_home(wheel.metadata),
        notes=(*mapped.notes, *_remarks(constraints, needs)),
    )


def _name(metadata: Message, plain: str) -> str:
    """Its own name as its metadata spell it; the file name has `_` for `-`."""
    told = first_value(metadata, "Name") or plain
    return conda_name(told if canonicalize_name(told) == plain else plain)


def _of_python(python: str | None, tags: Collection[Tag], *, stable: bool) -> str:
    """`py311` for one Python, `cp38_abi3` for the stable ABI, of which a release may have several, else `py`."""
    if python is None and stable:
        return f"{min((tag.interpreter for tag in tags), key=lambda one: (len(one), one))}_abi3"
    return f"py{(python or '').replace('.', '')}"


def _remarks(constraints: CudaConstraints, needs: Needs) -> Iterator[str]:
    yield from (doubt.text for doubt in constraints.doubts)
    if needs.system_cuda:
        yield f"it expects {needs.system_cuda}, which none of its requirements brings"


def _check_fit(filename: str, destination: Destination) -> None:
    tags = parse_wheel_filename(filename)[-1]
    newest = LibcVersion("2.99") if destination.system == "linux" else None
    any_libc = replace(destination, glibc=newest, macos=_ANY_MACOS)
    if not set(any_libc.tags()) & tags:
        if any("musllinux" in tag.platform for tag in tags):
            reason = "it is for musl, and conda packages for Linux are for glibc"
        else:
            reason = f"its tags are {', '.join(sorted(map(str, tags))[:4])}"
        raise RequestError(
            f"`{filename}` does not fit {destination}",
            reasons=(reason,),
            hints=("name another Python with `--python`, or another platform with `--platform`",),
        )


# ---- requirements ------------------------------------------------------------------------------------------------


def _python_clauses(metadata: Message) -> SpecifierSet:
    text = first_value(metadata, "Requires-Python")
    try:
        return SpecifierSet(text or "")
    except InvalidSpecifier as error:
        raise FormatError(f"the wheel requires no Python that can be told: `{text}`") from error


def _python_depends(
    filename: str,
    python: str | None,
    bound: SpecifierSet,
    pythons: Sequence[str] | None,
    *,
    lowest: str,
    native: bool,
) -> Iterator[str]:
    if python is None:
        yield f"python {conda_versions(_from_lowest(bound, lowest) if native else bound) or _span(pythons)}"
        return
    if pythons is not None and python not in pythons:
        raise RequestError(
            f"`{filename}` is not for Python {python}",
            reasons=(f"it is for {', '.join(pythons)}; it requires Python {bound or 'any'}",),
            hints=("name another with `--python`",),
        )
    major, minor = map(int, python.split("."))
    # What its metadata says of patch releases of this Python holds beside the bounds on the minor.
    patches = [str(one) for one in bound if one.version.startswith(f"{python}.") and one.version.count(".") == 2]
    yield ",".join((f"python >={python}", f"<{major}.{minor + 1}.0a0", *sorted(patches)))
    tags = parse_wheel_filename(filename)[-1]
    if native and all(_ABI_BOUND.fullmatch(tag.abi) for tag in tags):
        yield f"python_abi {python}.* *_cp{major}{minor}"


def _from_lowest(bound: SpecifierSet, lowest: str) -> SpecifierSet:
    """The bounds, and that of the tag instead of those that say less."""
    least = Version(lowest)
    kept = [one for one in bound if one.operator not in {">=", ">"} or Version(one.version) > least]
    lower = [] if any(one.operator in {">=", ">"} for one in kept) else [f">={lowest}"]
    return SpecifierSet(",".join((*lower, *map(str, kept))))


def _span(pythons: Sequence[str] | None) -> str:
    return f">={pythons[0]}" if pythons else ">=3"


def _system_depends(needs: Needs, destination: Destination, tags: Collection[Tag], *, native: bool) -> Iterator[str]:
    if not native:
        return
    if destination.system == "linux" and needs.glibc:
        yield f"__glibc >={needs.glibc}"
    if destination.system == "macos":
        fitting = set(replace(destination, macos=_ANY_MACOS).tags()) & set(tags)
        found = [match for tag in fitting if (match := _MACOS.match(tag.platform))]
        if found:
            major, minor = min((int(one[1]), int(one[2])) for one in found)
            yield f"__osx >={major}.{minor}"


# ---- for people --------------------------------------------------------------------------------------------------


def _licence(metadata: Message) -> str | None:
    told = first_value(metadata, "License-Expression") or first_value(metadata, "License")
    return told if told and len(told) <= 100 else None


def _home(metadata: Message) -> str | None:
    if home := first_value(metadata, "Home-page"):
        return home
    urls = [str(value).partition(",") for value in metadata.get_all("Project-URL", [])]
    named = {label.strip().lower(): url.strip() for label, _, url in urls}
    return next((named[label] for label in ("homepage", "home", "repository", "source") if label in named), None)
