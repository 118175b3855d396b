"""Where wheels are to be installed: which platform, Python and C library; as `uv`, tags and markers name it."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gpuenv.artifacts.required import marker_environment
from gpuenv.errors import FormatError, NoPlanError, RequestError
from gpuenv.model import Machine, OperatingSystem
from gpuenv.versions import LibcVersion

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["ASSUMED_GLIBC", "ASSUMED_MACOS", "Destination", "destination_of", "running_python"]

ASSUMED_GLIBC = "2.28"
"""The C library to plan for where the machine's is not known: what current wheels of PyTorch and XGBoost need."""

ASSUMED_MACOS = "14.0"
"""The macOS to plan for where the machine's is not known: the oldest that current PyTorch wheels are built for."""

# The manylinux tags that `uv pip compile --python-platform` of uv 0.13 knows.
_GLIBC_MINORS = {"x86_64": (17, 28, *range(31, 41)), "aarch64": (17, 28, *range(31, 40))}
# PEP 513, 571 and 599: the older names of manylinux tags. Before 2.17 only x86 had any.
_OLD_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC_MINOR = {"x86_64": 5}
_MUSL_MINORS = (2, 1, 0)
_SYSTEMS = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}
_ARCHES = {"amd64": "x86_64", "arm64": "aarch64", "x64": "x86_64"}
_KNOWN_ARCHES = ("x86_64", "aarch64", "i686", "ppc64le", "s390x", "armv7l", "riscv64", "loongarch64")
# As conda, Docker and people write them.
_SYSTEM_NAMES = {"win": "windows", "win32": "windows", "osx": "macos", "mac": "macos", "darwin": "macos"}
_ARCH_NAMES = {**_ARCHES, "64": "x86_64", "32": "i686", "x86": "i686", "arm": "aarch64", "armv8": "aarch64"}
_PLATFORM = re.compile(r"(linux|windows|macos)-\w+", re.ASCII)
_PYTHON = re.compile(r"(\d)\.(\d{1,2})(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A CPython `python` (3.11) on a platform (`linux-x86_64`). On Linux `glibc` None means musl in its place.

    `macos` is the release of macOS (14.0) there. RequestError for a platform or Python that is not written so.
    """

    platform: str
    python: str
    glibc: LibcVersion | None = None
    macos: str | None = None

    def __post_init__(self) -> None:
        if not _PLATFORM.fullmatch(self.platform):
            raise _no_platform(self.platform)
        found = _PYTHON.fullmatch(self.python)
        if found is None:
            raise RequestError(f"`{self.python}` is not a version of Python", hints=("write it as `--python 3.11`",))
        object.__setattr__(self, "python", f"{found[1]}.{int(found[2])}")

    def __str__(self) -> str:
        return f"{self.platform} and Python {self.python}"

    @property
    def system(self) -> str:
        """`linux`, `windows` or `macos`."""
        return self.platform.partition("-")[0]

    @property
    def arch(self) -> str:
        """`x86_64`, `aarch64` and the like."""
        return self.platform.partition("-")[2]

    @property
    def uv_platform(self) -> str:
        """As `--python-platform` wants it, with the newest manylinux tag that the C library can load.

        NoPlanError for a platform that uv has no name for.
        """
        if self.system == "windows":
            return f"{self.arch}-pc-windows-msvc"
        if self.system == "macos":
            return f"{self.arch}-apple-darwin"
        if self.arch not in _GLIBC_MINORS:
            raise NoPlanError(
                f"`uv` cannot resolve wheels for Linux on {self.arch}",
                reasons=("PyPI has hardly any wheel for it; the GPU packages for it were conda's",),
            )
        if self.glibc is None:
            return f"{self.arch}-unknown-linux-musl"
        fitting = [one for one in _GLIBC_MINORS[self.arch] if one <= self.glibc.minor]
        return f"{self.arch}-manylinux_2_{max(fitting, default=17)}"

    @property
    def uv_variables(self) -> dict[str, str]:
        """The macOS that wheels may be built for, which uv takes from a variable; it assumes 13 by itself."""
        return {"MACOSX_DEPLOYMENT_TARGET": self.macos_release} if self.system == "macos" else {}

    @property
    def marker_environment(self) -> dict[str, str]:
        """What markers are decided by there (PEP 508)."""
        return {
            **marker_environment(self.platform, self.python),
            # Only packages that are stuck on one kernel ask for these.
            "implementation_version": f"{self.python}.0",
            "platform_release": "",
            "platform_version": "",
        }

    def tags(self) -> tuple[Tag, ...]:
        """The tags of wheels that can be installed there, the best ones first."""
        return _tags(self)

    @property
    def macos_release(self) -> str:
        """The release of macOS, the assumed one where it is not known."""
        return self.macos or ASSUMED_MACOS


def _no_platform(text: str) -> RequestError:
    """The error for what is no platform, with the one that is near."""
    system, _, arch = text.lower().replace("/", "-").replace("_", "-").partition("-")
    system = _SYSTEM_NAMES.get(system, system)
    arch = arch.replace("-", "_")
    arch = _ARCH_NAMES.get(arch, arch)
    known_system = system if system in {"linux", "windows", "macos"} else "linux"
    usual = "aarch64" if known_system == "macos" else "x86_64"
    return RequestError(
        f"`{text}` is not a platform",
        hints=(f"write it as `{known_system}-{arch if arch in _KNOWN_ARCHES else usual}`",),
    )


@cache
def _tags(destination: Destination) -> tuple[Tag, ...]:
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in destination.python.split("."))
    interpreter = f"cp{major}{minor}"
    # Python 3.8 dropped the `m` of pymalloc.
    abi = interpreter if (major, minor) >= (3, 8) else f"{interpreter}{'m' if major == 3 else 'mu'}"
    platforms = [*_platform_tags(destination)]
    native = cpython_tags((major, minor), [abi], platforms)
    return (*native, *compatible_tags((major, minor), interpreter, platforms))


def _platform_tags(destination: Destination) -> Iterator[str]:
    """The platform tags of wheels that run there (PEP 600, PEP 656), in the order of `packaging.tags`."""
    arch = destination.arch
    if destination.system == "windows":
        yield {"x86_64": "win_amd64", "aarch64": "win_arm64", "i686": "win32"}.get(arch, f"win_{arch}")
        return
    if destination.system == "macos":
        from packaging.tags import mac_platforms

        release, _, point = destination.macos_release.partition(".")
        yield from mac_platforms((int(release), int(point or 0)), "arm64" if arch == "aarch64" else arch)
        return
    yield f"linux_{arch}"
    if destination.glibc is None:
        yield from (f"musllinux_1_{minor}_{arch}" for minor in _MUSL_MINORS)
    else:
        for minor in range(destination.glibc.minor, _OLDEST_GLIBC_MINOR.get(arch, 17) - 1, -1):
            yield f"manylinux_2_{minor}_{arch}"
            if minor in _OLD_MANYLINUX:
                yield f"{_OLD_MANYLINUX[minor]}_{arch}"


def running_python() -> str:
    """The Python that this runs with, as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def destination_of(
    machine: Machine | None = None, *, python: str | None = None, platform: str | None = None
) -> Destination:
    """Where files for `machine` go; without one, for `platform`; without both, for this computer.

    `python` goes before the machine's own, which goes before the running one. RequestError for a platform or Python
    that there is not.
    """
    python = python or (machine.python if machine else None) or running_python()
    if machine:
        system = machine.system
        unknown = system.os is OperatingSystem.LINUX and "system.glibc" not in machine.sources
        release = re.match(r"\d{2}(?:\.\d{1,2})?", system.release or "", re.ASCII)
        return Destination(
            platform=machine.platform,
            python=python,
            glibc=system.glibc or (LibcVersion(ASSUMED_GLIBC) if unknown else None),
            macos=release[0] if release and system.os is OperatingSystem.MACOS else None,
        )
    if platform and (named := _named_platform(platform)) != _this_platform():
        return Destination(platform=named, python=python, glibc=LibcVersion(ASSUMED_GLIBC))
    return _this_computer(python)


def _named_platform(text: str) -> str:
    """The platform that a user names, with the usual other words for an architecture (`amd64`, `arm64`)."""
    system, _, arch = text.lower().partition("-")
    arch = _ARCHES.get(arch, arch)
    if system not in set(_SYSTEMS.values()) or arch not in _KNOWN_ARCHES:
        raise _no_platform(text)
    return f"{system}-{arch}"


def _this_platform() -> str:
    arch = platform.machine().lower()
    return f"{_SYSTEMS.get(platform.system(), 'linux')}-{_ARCHES.get(arch, arch) or 'x86_64'}"


def _this_computer(python: str) -> Destination:
    here = _this_platform()
    glibc = macos = None
    if here.startswith("linux"):
        try:
            glibc = LibcVersion((os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc "))
        except (OSError, ValueError, AttributeError, FormatError):
            # musl answers in none of these ways.
            glibc = None
    elif here.startswith("macos"):
        found = re.match(r"\d{2}(?:\.\d{1,2})?", platform.mac_ver()[0], re.ASCII)
        macos = found[0] if found else None
    return Destination(platform=here, python=python, glibc=glibc, macos=macos)
