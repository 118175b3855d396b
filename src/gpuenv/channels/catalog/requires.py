"""What a release requires, seen from the GPU layer: markers decided for one platform, in conda's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from gpuenv.channels.catalog.releases import Release, releases_of
from gpuenv.errors import FormatError
from gpuenv.versions import CudaVersion

__all__ = [
    "EXTRA",
    "NVIDIA_PREFIXES",
    "CudaLine",
    "Required",
    "conda_version",
    "cuda_line",
    "is_runtime",
    "line_from_text",
    "marker_environment",
    "required",
]

NVIDIA_PREFIXES = ("nvidia-", "cuda-")
"""How the names of NVIDIA's own wheels begin."""

_SYSTEMS = {
    "linux": ("Linux", "linux", "posix"),
    "windows": ("Windows", "win32", "nt"),
    "macos": ("Darwin", "darwin", "posix"),
}
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(?:\[(?P<extras>[^\]]*)\])?\s*\(?(?P<rest>[^()]*)\)?")
# Only an `or` in parentheses may stand before the last `and`, which binds more tightly.
_LAST_EXTRA = re.compile(r"""(?:(?P<before>\([^()]*\)|(?:(?! or )[^()])*) and )?extra == ["'](?P<extra>[^"']+)["']""")
EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")
_OF_RUNTIME = re.compile(r"nvidia-cuda-runtime(?:-cu(?P<major>\d+))?|cuda-toolkit")
_OF_MAJOR = re.compile(r"nvidia-[a-z-]+-cu(?P<major>\d{2})|cupy-cuda(?P<cupy>\d{2})x|jax-cuda(?P<jax>\d{2})-plugin")


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaLine:
    """The CUDA runtimes that a build can be used with, `oldest` to `newest` (the same when it is pinned)."""

    oldest: CudaVersion
    newest: CudaVersion

    @property
    def label(self) -> str:
        """As build strings write it: `128` for CUDA 12.8, `12` for any of 12."""
        return f"{self.oldest.major}{self.oldest.minor}" if self.oldest == self.newest else str(self.oldest.major)

    @property
    def conda_spec(self) -> str:
        """As a version spec for `cuda-version`."""
        if self.oldest == self.newest:
            return f"{self.oldest}.*"
        return f">={self.oldest},<{self.newest.major + 1}"


def is_runtime(wheel: str) -> bool:
    """Whether the version of this wheel is a CUDA version."""
    return _OF_RUNTIME.fullmatch(wheel) is not None


def newest_minor(major: int) -> CudaVersion:
    """The newest toolkit of a CUDA major that is known."""
    from gpuenv.facts.toolkits import load_toolkits

    known = [toolkit.version for toolkit in load_toolkits() if toolkit.version.major == major]
    return max(known, default=CudaVersion(f"{major}.9"))


def line_from_text(text: str) -> CudaLine:
    """The line that a catalog file writes: `12` for any of 12, `11.2` for that one."""
    if "." in text:
        return CudaLine(oldest=CudaVersion(text), newest=CudaVersion(text))
    return CudaLine(oldest=CudaVersion(f"{text}.0"), newest=newest_minor(int(text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Required:
    """One requirement of a release. Thousands are looked at for a plan, so only what is needed is parsed."""

    name: str
    extras: tuple[str, ...]
    specifier: SpecifierSet
    marker: str


@cache
def _parse(text: str) -> Required:
    wanted, _, marker = text.partition(";")
    found = _REQUIREMENT.fullmatch(wanted.strip())
    if found is None:
        raise FormatError(f"`{text}` in the catalog is not a requirement")
    extras = tuple(extra.strip() for extra in (found["extras"] or "").split(",") if extra.strip())
    return Required(name=found["name"], extras=extras, specifier=SpecifierSet(found["rest"]), marker=marker.strip())


@cache
def _holds(marker: str, platform: str, python: str, extras: frozenset[str]) -> bool:
    """Whether a marker holds. Most end in `and extra == "…"`; what stands before it is the same for many of them."""
    last = _LAST_EXTRA.fullmatch(marker)
    if last and "extra" not in (before := last["before"] or ""):
        return last["extra"] in extras and (not before or _holds(before, platform, python, frozenset()))
    parsed = Marker(marker)
    environment = marker_environment(platform, python)
    named = extras.intersection(EXTRA.findall(marker))
    return any(parsed.evaluate({**environment, "extra": extra}) for extra in named or ("",))


@cache
def marker_environment(platform: str, python: str) -> dict[str, str]:
    """What markers are decided by (PEP 508), for CPython of the version `python` (3.11) on a platform."""
    system, _, arch = platform.partition("-")
    platform_system, sys_platform, os_name = _SYSTEMS[system]
    return {
        "platform_system": platform_system,
        "sys_platform": sys_platform,
        "os_name": os_name,
        "platform_machine": {("windows", "x86_64"): "AMD64", ("macos", "aarch64"): "arm64"}.get((system, arch), arch),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def required(release: Release, platform: str, python: str, extras: Iterable[str] = ()) -> Iterator[Required]:
    """The requirements of a release that hold on `platform` and `python` with `extras`.

    Extras of an exactly pinned requirement (`jax-cuda12-plugin[with-cuda]==0.10.2`) are followed into it.
    """
    wanted = frozenset(extras)
    for text in release.requires:
        requirement = _parse(text)
        if requirement.marker and not _holds(requirement.marker, platform, python, wanted):
            continue
        yield requirement
        if requirement.extras and requirement.name != "cuda-toolkit":
            pinned = [row for row in releases_of(requirement.name) if requirement.specifier.contains(row.version)]
            if len(pinned) == 1:
                yield from required(pinned[0], platform, python, requirement.extras)


def cuda_line(requirements: Iterable[Required]) -> CudaLine | None:
    """The CUDA line that requirements on NVIDIA's libraries amount to; None where they name none."""
    majors: list[int] = []
    for requirement in requirements:
        runtime = _OF_RUNTIME.fullmatch(requirement.name)
        if runtime and (line := _line_of_specifier(requirement.specifier, runtime["major"])):
            return line
        of_major = _OF_MAJOR.fullmatch(requirement.name)
        if of_major:
            majors.append(int(of_major["major"] or of_major["cupy"] or of_major["jax"]))
    return line_from_text(str(max(majors))) if majors else None


def _line_of_specifier(specifier: SpecifierSet, major: str | None) -> CudaLine | None:
    floors = [one.version for one in specifier if one.operator in {"==", ">=", "~="}]
    if not floors:
        return line_from_text(major) if major else None
    numbers = re.findall(r"\d+", floors[0])
    if any(one.operator == "==" for one in specifier) and len(numbers) > 1:
        exact = CudaVersion(f"{numbers[0]}.{numbers[1]}")
        return CudaLine(oldest=exact, newest=exact)
    oldest = CudaVersion(f"{numbers[0]}.{numbers[1] if len(numbers) > 1 else 0}")
    return CudaLine(oldest=oldest, newest=max(oldest, newest_minor(oldest.major)))


def conda_version(specifier: SpecifierSet) -> str:
    """A PEP 440 specifier as a conda version spec: `~=3.9.0` becomes `>=3.9.0,3.9.*`; `*` for an empty one."""
    parts: list[str] = []
    for one in specifier:
        version = one.version.partition("+")[0]
        if one.operator == "~=":
            parts += [f">={version}", f"{version.rpartition('.')[0]}.*"]
        elif one.operator in {"==", "==="}:
            parts.append(version if version.endswith("*") else f"=={version}")
        else:
            parts.append(f"{one.operator}{version}")
    return ",".join(sorted(parts)) or "*"
