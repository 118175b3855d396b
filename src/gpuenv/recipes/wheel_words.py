"""What a conda package of a wheel says of itself: name, build string, requirements, bounds on CUDA, licence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import parse_wheel_filename

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """All of it. `python` is the one that the package is for, None for any (`noarch`)."""

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
            "noarch": "python" if self.subdir == "noarch" else None,
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
    bound = _python_clauses(wheel.metadata)
    pythons = reading.artifact.pythons
    mapped = map_requirements(requirements_of(wheel.metadata), destination, any_python=not native, pythons=pythons)
    is_noarch = not native
    python = None if is_noarch and not mapped.by_python else destination.python
    uses = needs.uses_gpu and needs.gpu_support is not GpuSupport.THROUGH
    constraints = constraints_of(needs, destination.platform) if uses else CudaConstraints()
    # Its build string says that it is for CUDA, so machines without a GPU are not to be given it.
    bounds, constrains = constraints.placed(is_must=True, is_soft=soft_architectures)
    depends = (
        *_python_depends(filename, python, bound, pythons, native=native),
        *sorted(mapped.depends),
        *_system_depends(needs, destination, native=native),
        *bounds,
    )
    return Words(
        name=conda_name(reading.artifact.name),
        version=str(artifact.version),
        build=f"{f'{cuda_label(needs)}_' if uses else ''}py{(python or '').replace('.', '')}_{number}",
        build_number=number,
        subdir="noarch" if is_noarch else subdir_of(destination.platform),
        python=None if is_noarch else destination.python,
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


def _remarks(constraints: CudaConstraints, needs: Needs) -> Iterator[str]:
    yield from (doubt.text for doubt in constraints.doubts)
    if needs.system_cuda:
        yield f"it expects {needs.system_cuda}, which none of its requirements brings"


def _check_fit(filename: str, destination: Destination) -> None:
    tags = parse_wheel_filename(filename)[-1]
    newest = LibcVersion("2.99") if destination.system == "linux" else None
    any_libc = replace(destination, glibc=newest, macos="99.0")
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
    native: bool,
) -> Iterator[str]:
    if python is None:
        yield f"python {conda_versions(bound) or _span(pythons)}"
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


def _span(pythons: Sequence[str] | None) -> str:
    return f">={pythons[0]}" if pythons else ">=3"


def _system_depends(needs: Needs, destination: Destination, *, native: bool) -> Iterator[str]:
    if not native:
        return
    if destination.system == "linux" and needs.glibc:
        yield f"__glibc >={needs.glibc}"


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
