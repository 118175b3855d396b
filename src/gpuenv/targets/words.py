"""What a user typed as a target, told apart: a file, a directory, a list of requirements, a lock, an address, a name.

A path wins over a name where it has a separator, is a file, or is an environment. `torch` with a directory `torch` here
is the package; `./torch` is the directory.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from gpuenv.channels.catalog import nearest_names
from gpuenv.errors import RequestError

__all__ = [
    "Address",
    "Directory",
    "InChannel",
    "IndexFileName",
    "LocalFile",
    "LockFile",
    "LockKind",
    "OnIndex",
    "RequirementsFile",
    "Target",
    "parse_target",
]


class LockKind(StrEnum):
    """The sorts of files that list packages with their files, or what a resolver would make such a list from."""

    PYLOCK = "pylock.toml"
    UV = "uv.lock"
    CONDA_LOCK = "conda-lock.yml"
    PIXI = "pixi.lock"
    CONDA_ENVIRONMENT = "environment.yml"
    CONDA_EXPLICIT = "conda list --explicit"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this computer: a package, a native file, bare GPU code."""

    path: Path


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory on this computer: an environment, or packages unpacked."""

    path: Path


@dataclass(frozen=True, slots=True)
class RequirementsFile:
    """Requirements, one a line, or a project's `pyproject.toml`."""

    path: Path


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock, or conda's `environment.yml`."""

    path: Path
    kind: LockKind


@dataclass(frozen=True, slots=True)
class Address:
    """A file at an http or https address; `name` is set where a requirement gave it (`torch @ https://…`)."""

    url: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class IndexFileName:
    """The name of a wheel or source distribution that is on the index and not here."""

    filename: str


@dataclass(frozen=True, slots=True)
class OnIndex:
    """A requirement (PEP 508) that the index answers. `typed` is what the user wrote, in conda's words or Python's."""

    requirement: str
    typed: str = ""


@dataclass(frozen=True, slots=True)
class InChannel:
    """A spec of conda that channels answer: the one that it names (`conda-forge::numpy`), or those of the command."""

    spec: str
    channel: str | None = None


Target = LocalFile | Directory | RequirementsFile | LockFile | Address | IndexFileName | OnIndex | InChannel

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://", re.ASCII)
_CHANNEL = re.compile(r"(?P<channel>[^\s\[\]@]+(?:@[^\s\[\]@]+)?)::(?P<spec>[\w.-]+(?:[\s=<>!~\[].*)?)", re.ASCII)
_CONDA = re.compile(
    r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*?)\s*(?:=\s*|\s+)(?P<version>\d[\w.!+]*?)(?:\.?\*)?"
    r"(?P<build>[=\s]+[\w.*]+)?\s*",
    re.ASCII,
)
_ARTIFACT = re.compile(
    r".+\.(whl|conda|tar\.(gz|bz2|xz)|tgz|zip|so(\.\d+)*|dll|pyd|dylib|a|lib|o|obj|cubin|fatbin|ptx|exe)",
    re.IGNORECASE | re.DOTALL,
)
_LIST = re.compile(r".+\.(txt|in|ya?ml|lock|toml)", re.IGNORECASE | re.DOTALL)
_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")


def parse_target(text: str, *, from_channels: bool = False) -> Target:
    """What `text` names; RequestError for a path that is not there, or text that is neither path, address nor name.

    With `from_channels` a name is a spec of conda, as is any that names its channel itself.
    """
    typed = text.strip()
    if not typed or "\0" in typed:
        raise RequestError("a target is empty", hints=("name a file, a package or an address",))
    if found := _CHANNEL.fullmatch(typed):
        return InChannel(found["spec"], found["channel"])
    if found := _SCHEME.match(typed):
        return _address(typed, found["scheme"].lower())
    path = Path(os.path.expanduser(typed))  # noqa: PTH111  (it leaves an unknown user as it is)
    here = _kind_of_path(path)
    if here == "file":
        return _of_file(path)
    if here == "directory" and (_is_path(typed) or not _is_name(typed) or _holds_packages(path)):
        return Directory(path)
    if here == "other":
        raise RequestError(f"`{path}` is not a regular file", hints=("write its content to a file, and name that",))
    if from_channels and not (_is_path(typed) or _ARTIFACT.fullmatch(typed) or _LIST.fullmatch(typed)):
        return InChannel(typed)
    if not _is_path(typed) and (on_index := _file_name(typed)):
        return on_index
    if " @ " not in typed and (_is_path(typed) or _ARTIFACT.fullmatch(typed) or _LIST.fullmatch(typed)):
        raise _no_file(typed)
    return _requirement(typed)


# ---- paths ------------------------------------------------------------------------------------------------------


def _kind_of_path(path: Path) -> str:
    try:
        return "directory" if path.is_dir() else "file" if path.is_file() else "other" if path.exists() else ""
    except (OSError, ValueError):
        return ""


def _is_path(typed: str) -> bool:
    """Whether it is written as a path: with a separator of either system, or a Windows drive."""
    if " @ " in typed:
        return False
    requirement = re.split(r"[;\[]", typed, maxsplit=1)[0]
    return "/" in requirement or "\\" in typed or typed in {".", "..", "~"} or bool(re.match(r"[A-Za-z]:", typed))


def _is_name(typed: str) -> bool:
    try:
        Requirement(typed)
    except InvalidRequirement:
        return False
    return True


def _holds_packages(path: Path) -> bool:
    """Whether a directory whose name could be a package's is what is meant: an environment, or a place like `dist`."""
    try:
        if any((path / mark).exists() for mark in ("pyvenv.cfg", "conda-meta")):
            return True
        return any(one.suffix in {".whl", ".conda"} for one in path.iterdir())
    except OSError:
        return False


def _of_file(path: Path) -> Target:
    name = path.name.lower()
    if _PYLOCK.fullmatch(name):
        return LockFile(path, LockKind.PYLOCK)
    if name == "pyproject.toml":
        return RequirementsFile(path)
    if name.endswith((".lock", ".yml", ".yaml")):
        return LockFile(path, _lock_kind(path, name))
    if name.endswith((".txt", ".in")):
        return LockFile(path, LockKind.CONDA_EXPLICIT) if _is_explicit(path) else RequirementsFile(path)
    if name.endswith(".toml"):
        raise RequestError(
            f"`{path}` is not a list of packages that is known here",
            hints=("locks are named `pylock.toml` or `pylock.NAME.toml`; of projects `pyproject.toml` is read",),
        )
    return LocalFile(path)


def _lock_kind(path: Path, name: str) -> LockKind:
    """By the file's name where it is the usual one, else by how it begins."""
    if name == "pixi.lock":
        return LockKind.PIXI
    if "conda-lock" in name:
        return LockKind.CONDA_LOCK
    begin = _beginning(path)
    if name.endswith(".lock"):
        if "@EXPLICIT" in begin:
            return LockKind.CONDA_EXPLICIT
        if re.search(r"^(environments|packages|package):", begin, re.MULTILINE):
            return LockKind.PIXI
        return LockKind.UV
    if re.search(r"^package:", begin, re.MULTILINE):
        return LockKind.CONDA_LOCK
    return LockKind.CONDA_ENVIRONMENT


def _is_explicit(path: Path) -> bool:
    return "@EXPLICIT" in _beginning(path)


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _no_file(typed: str) -> RequestError:
    hints = (f"the package index does not have conda's files; give the path or the address of `{typed}`",)
    return RequestError(
        f"there is no file `{typed}`",
        hints=hints if typed.endswith((".conda", ".tar.bz2")) and not _is_path(typed) else ("check the path",),
    )


# ---- addresses and names ----------------------------------------------------------------------------------------


def _address(typed: str, scheme: str, name: str | None = None) -> Target:
    if scheme in {"http", "https"}:
        try:
            hostname = urlsplit(typed).hostname
        except ValueError:
            hostname = None
        if not hostname:
            raise RequestError("the address has no host", hints=("write it as `https://host/path/to/file.whl`",))
        if _LIST.fullmatch(urlsplit(typed).path) and not typed.endswith(".tar.gz"):
            raise RequestError(
                "lists and locks are read from disk, not from an address", hints=("download it, and name the file",)
            )
        return Address(typed, name)
    if scheme == "file":
        from urllib.request import url2pathname

        try:
            path = Path(url2pathname(urlsplit(typed).path))
        except ValueError as error:
            raise RequestError("the address cannot be understood", reasons=(str(error),)) from error
        if _kind_of_path(path) == "directory":
            return Directory(path)
        if not _kind_of_path(path):
            raise RequestError(f"there is no file `{path}`", hints=("check the path",))
        return _of_file(path)
    if scheme.startswith("git+"):
        raise RequestError("sources in a repository hold no GPU code", hints=("build a wheel, and name that",))
    raise RequestError(f"addresses with `{scheme}:` cannot be fetched", hints=("use http, https, or a file here",))


def _file_name(typed: str) -> IndexFileName | None:
    name = typed.lower()
    try:
        if name.endswith(".whl"):
            parse_wheel_filename(typed)
            return IndexFileName(typed)
        if name.endswith((".tar.gz", ".zip")):
            parse_sdist_filename(typed)
            return IndexFileName(typed)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return None


def _requirement(typed: str) -> Target:
    try:
        requirement = Requirement(typed)
    except InvalidRequirement as error:
        return _in_condas_words(typed, str(error).splitlines()[0])
    if requirement.url:
        found = _SCHEME.match(requirement.url)
        if found is None:
            raise RequestError(f"`{requirement.url}` is not an address", hints=("write it as `NAME @ https://…`",))
        return _address(requirement.url, found["scheme"].lower(), requirement.name)
    return OnIndex(str(requirement), typed)


def _in_condas_words(typed: str, reason: str) -> OnIndex:
    found = _CONDA.fullmatch(typed)
    if found is None:
        near = nearest_names(re.split(r"[=<>!~\s\[]", typed, maxsplit=1)[0].lower())
        raise RequestError(
            f"`{typed}` is neither a file here nor a package",
            reasons=(reason,),
            hints=(
                "packages are written `NAME`, `NAME==VERSION` or `NAME=VERSION`",
                *((f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()),
            ),
        )
    if found["build"]:
        raise RequestError(
            f"`{typed}` names one of conda's builds, and no channel",
            hints=("name the channel: `-c conda-forge`", f"or the wheel: `{found['name']}`"),
        )
    exact = re.fullmatch(r"[\w.-]+\s+\S*[^*]", typed)
    version = found["version"].rstrip(".")
    text = f"{found['name']}=={version}" + ("" if exact else ".*")
    return OnIndex(str(Requirement(text)) if _is_name(text) else f"{found['name']}=={version}", typed)
