"""pixi's manifest: `pixi.toml`, or the tables `tool.pixi` of a `pyproject.toml` (pixi's documentation, "Manifest")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from gpuenv.errors import FormatError, RequestError
from gpuenv.workspaces.from_conda import conda_import
from gpuenv.workspaces.imported import Imported, MachineRequirements, cuda_of, glibc_of

__all__ = ["has_pixi", "read_pixi"]

_SYSTEMS = {"linux": ("linux",), "osx": ("osx",), "win": ("win",), "unix": ("linux", "osx")}
_ELSEWHERE = ("git", "path", "url")


@dataclass(slots=True, kw_only=True)
class _Parts:
    """What the tables of a manifest say, gathered."""

    conda: list[str] = field(default_factory=list)
    python: list[str] = field(default_factory=list)
    channels: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    system: dict[str, Any] = field(default_factory=dict)


def has_pixi(document: Mapping[str, Any]) -> bool:
    """Whether a `pyproject.toml` holds a manifest of pixi."""
    tool = document.get("tool")
    return isinstance(tool, dict) and isinstance(tool.get("pixi"), dict)


def read_pixi(
    manifest: Mapping[str, Any], path: Path, *, groups: tuple[str, ...] = (), subdirs: tuple[str, ...] = ()
) -> Imported:
    """What a manifest asks for. `groups` are features or environments of it to take as well.

    Tables for a platform (`target`) are taken where all of `subdirs` (`linux-64`) agree on them, else there is a note.
    RequestError for a feature that is not there, FormatError for what breaks the format.
    """
    workspace = _table(manifest.get("workspace", manifest.get("project")), "workspace", path)
    parts = _Parts()
    for table in _features(manifest, groups, path):
        _take(table, parts, path, subdirs)
    # Channels of a feature go before those of the workspace, unless a priority says otherwise.
    parts.channels += _channels(workspace.get("channels"), path)
    channels = [name for _, name in sorted(parts.channels, key=lambda one: -one[0])]
    platforms = tuple(one for one in _list(workspace.get("platforms")) if isinstance(one, str))
    return conda_import(
        parts.conda,
        channels=channels,
        only_own=True,
        further=parts.python,
        notes=parts.notes,
        where=str(path),
        requires=_requirements(parts.system, platforms, path),
    )


def _features(manifest: Mapping[str, Any], groups: Iterable[str], path: Path) -> Iterator[Mapping[str, Any]]:
    """The manifest itself, which is the default feature, and those that are named."""
    features = _table(manifest.get("feature"), "feature", path)
    environments = _table(manifest.get("environments"), "environments", path)
    yield manifest
    for group in groups:
        named: Any = environments.get(group)
        if isinstance(named, dict):
            named = named.get("features", [])
        for name in named if isinstance(named, list) else [group]:
            if name not in features:
                there = ", ".join(dict.fromkeys((*features, *environments))) or "none"
                raise RequestError(f"`{path}` has no feature or environment `{name}`", reasons=(f"it has {there}",))
            yield _table(features[name], f"feature.{name}", path)


def _take(table: Mapping[str, Any], parts: _Parts, path: Path, subdirs: tuple[str, ...]) -> None:
    parts.channels += _channels(table.get("channels"), path)
    parts.system |= _table(table.get("system-requirements"), "system-requirements", path)
    _take_dependencies(table, parts, path)
    for name, target in _table(table.get("target"), "target", path).items():
        meant = [_is_meant(name, subdir) for subdir in subdirs]
        if meant and all(meant):
            _take_dependencies(_table(target, f"target.{name}", path), parts, path)
        elif any(meant) or not meant:
            parts.notes.append(f"what `target.{name}` adds is not carried over: it is for some of the machines only")


def _is_meant(target: str, subdir: str) -> bool:
    return target == subdir or subdir.partition("-")[0] in _SYSTEMS.get(target, ())


def _take_dependencies(table: Mapping[str, Any], parts: _Parts, path: Path) -> None:
    for name, value in _table(table.get("dependencies"), "dependencies", path).items():
        parts.conda += _conda_spec(name, value, parts, path)
    for name, value in _table(table.get("pypi-dependencies"), "pypi-dependencies", path).items():
        parts.python += _python_spec(name, value, parts, path)


def _conda_spec(name: str, value: Any, parts: _Parts, path: Path) -> Iterator[str]:
    fields = value if isinstance(value, dict) else {"version": value}
    if any(key in fields for key in _ELSEWHERE):
        parts.notes.append(f"`{name}` is not carried over: it comes from an address or a directory")
        return
    version, build = fields.get("version", "*"), fields.get("build")
    if not isinstance(version, str) or not (build is None or isinstance(build, str)):
        raise FormatError(f"`{name}` in `{path}` has no version in text")
    channel = f"{fields['channel']}::" if isinstance(fields.get("channel"), str) else ""
    version = version.strip()
    # A bare version is that version alone here, where in conda's own words it stands for all that begin so.
    exact = f"=={version}" if version[:1].isdigit() and "*" not in version else version
    if build:
        yield f"{channel}{name} {exact} {build}"
    elif exact.endswith(".*") and exact[0].isdigit():
        yield f"{channel}{name}={exact[:-2]}"
    else:
        yield f"{channel}{name}{'' if exact == '*' else f' {exact}'}"


def _python_spec(name: str, value: Any, parts: _Parts, path: Path) -> Iterator[str]:
    fields = value if isinstance(value, dict) else {"version": value}
    url = fields.get("url")
    extras = [one for one in _list(fields.get("extras")) if isinstance(one, str)]
    marked = f"{name}[{','.join(extras)}]" if extras else name
    if isinstance(url, str) and url.partition("#")[0].endswith(".whl"):
        yield f"{marked} @ {url}"
        return
    if any(key in fields for key in _ELSEWHERE):
        parts.notes.append(f"`{name}` is not carried over: it comes from a repository or a directory")
        return
    if "index" in fields:
        parts.notes.append(f"the index of `{name}` is not carried over: name it in `UV_INDEX`")
    version = fields.get("version", "*")
    if not isinstance(version, str):
        raise FormatError(f"`{name}` in `{path}` has no version in text")
    version = "" if version.strip() == "*" else version.strip()
    text = f"{marked}{f'=={version}' if version[:1].isdigit() else version}"
    marker = fields.get("env-markers")
    try:
        yield str(Requirement(f"{text}; {marker}" if isinstance(marker, str) else text))
    except InvalidRequirement as error:
        raise FormatError(
            f"`{name}` in `{path}` is not a requirement", reasons=(str(error).splitlines()[0],)
        ) from error


def _requirements(system: Mapping[str, Any], platforms: tuple[str, ...], path: Path) -> MachineRequirements:
    where = f"`system-requirements` in `{path}`"
    libc = system.get("libc")
    family = libc.get("family", "glibc") if isinstance(libc, dict) else "glibc"
    libc = libc.get("version") if isinstance(libc, dict) else libc
    cuda = system.get("cuda")
    return MachineRequirements(
        cuda=cuda_of(str(cuda), f"`cuda` of {where}") if cuda is not None else None,
        glibc=glibc_of(str(libc), f"`libc` of {where}") if libc is not None and family == "glibc" else None,
        platforms=platforms,
    )


def _channels(value: object, path: Path) -> list[tuple[int, str]]:
    """Channels with their priority, which is 0 unless a table says another one."""
    tables = [one if isinstance(one, dict) else {"channel": one} for one in _list(value)]
    named = [(one.get("priority", 0), one.get("channel")) for one in tables]
    if not all(isinstance(priority, int) and isinstance(name, str) for priority, name in named):
        raise FormatError(f"`channels` in `{path}` is not a list of names")
    return [(int(priority), str(name)) for priority, name in named]


def _table(value: object, name: str, path: Path) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"`{name}` in `{path}` is not a table")
    return value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
