"""Where the wheels of a release fit, and which of them stands for the others when one is opened."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from gpuenv.channels.building.listing import wheel_of
from gpuenv.channels.catalog.releases import PlatformWheels
from gpuenv.channels.simple_index import ListedFile
from gpuenv.model import Artifact

__all__ = ["PLATFORM_ORDER", "is_pure", "pick_other_python", "pick_wheel", "platforms_of"]

PLATFORM_ORDER = (
    *("linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64", "macos-x86_64"),
    *("linux-ppc64le", "windows-aarch64"),
)
"""The platforms of the catalog, in the order of how much is known to depend on them; on others nothing is planned."""

_PLATFORMS = frozenset(PLATFORM_ORDER)
_USUAL_PYTHON = "3.11"

_Fitting = tuple[Artifact, ListedFile]


def platforms_of(files: Iterable[ListedFile]) -> dict[str, PlatformWheels]:
    """Per platform the Pythons with a wheel, the oldest C library and the size of the largest wheel.

    Wheels less than half as large as the largest are another build (a CPU build for an older C library), so `glibc`
    is that of the others.
    """
    found: dict[str, list[_Fitting]] = {}
    for wheel, file in _fitting_wheels(files):
        for platform in _PLATFORMS.intersection(wheel.platforms):
            found.setdefault(platform, []).append((wheel, file))
    return {platform: _platform_wheels(found[platform]) for platform in sorted(found)}


def is_pure(file: ListedFile) -> bool:
    """Whether it is a wheel for any platform."""
    return (wheel := wheel_of(file)) is not None and not wheel.platforms


def pick_wheel(files: Iterable[ListedFile], platform: str) -> ListedFile | None:
    """The wheel to open for `platform`: of the largest build, for Python 3.11 or else the newest Python."""
    fitting = [(wheel, file) for wheel, file in _fitting_wheels(files) if platform in wheel.platforms]
    if not fitting:
        return None

    def preference(pair: _Fitting) -> tuple[bool, Version, str]:
        pythons = sorted(_pythons(pair[0]) or {_USUAL_PYTHON}, key=Version)
        return _USUAL_PYTHON in pythons, Version(pythons[-1]), pair[1].filename

    return max(_full_builds(fitting), key=preference)[1]


def pick_other_python(files: Iterable[ListedFile], platform: str, *, than: str) -> ListedFile | None:
    """The wheel of the largest build for the newest Python that the wheel `than` is not for; None where it serves all.

    `than` is a file name among `files`.
    """
    fitting = [(wheel, file) for wheel, file in _fitting_wheels(files) if platform in wheel.platforms]
    first = next((wheel for wheel, file in fitting if file.filename == than), None)
    served = _pythons(first) if first else None
    if served is None:
        return None
    others = [
        (max(map(Version, pythons)), file.filename, file)
        for wheel, file in _full_builds(fitting)
        if (pythons := _pythons(wheel)) and not pythons & served
    ]
    return max(others, key=lambda other: other[:2])[2] if others else None


def _fitting_wheels(files: Iterable[ListedFile]) -> list[_Fitting]:
    """The wheels for one of the platforms, without those that are only for musl, PyPy, Python 2 or free-threaded
    Python.
    """
    wheels = [(wheel, file) for file in files if (wheel := wheel_of(file))]
    return [
        (wheel, file)
        for wheel, file in wheels
        if _PLATFORMS.intersection(wheel.platforms)
        and _pythons(wheel) != set()
        and not ("-musllinux_" in file.filename and wheel.glibc is None)
    ]


def _pythons(wheel: Artifact) -> set[str] | None:
    return None if wheel.pythons is None else {python for python in wheel.pythons if python.startswith("3.")}


def _platform_wheels(wheels: list[_Fitting]) -> PlatformWheels:
    glibcs = [wheel.glibc for wheel, _ in _full_builds(wheels) if wheel.glibc]
    named = [_pythons(wheel) for wheel, _ in wheels]
    pythons = {python for one in named if one for python in one}
    return PlatformWheels(
        pythons=None if None in named else tuple(sorted(pythons, key=Version)),
        glibc=str(min(glibcs)) if glibcs else None,
        size_bytes=_largest(wheels),
    )


def _full_builds(wheels: list[_Fitting]) -> list[_Fitting]:
    half = (_largest(wheels) or 0) / 2
    # Where an index tells no sizes all of them may be of the largest build.
    return [(wheel, file) for wheel, file in wheels if file.size_bytes is None or file.size_bytes >= half]


def _largest(wheels: list[_Fitting]) -> int | None:
    return max((file.size_bytes for _, file in wheels if file.size_bytes is not None), default=None)
