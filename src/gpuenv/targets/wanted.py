"""Which files stand behind what a user named: the common answer of names, addresses, requirements and locks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from gpuenv.artifacts.conda_index import CONDA_ENDINGS, split_dist
from gpuenv.artifacts.native_files import is_native_name
from gpuenv.channels.conda.places import local_path, without_secrets
from gpuenv.channels.destinations import Destination
from gpuenv.channels.index import PLAIN_ASKING, Asking, IndexFile
from gpuenv.channels.index_logins import credentials_for, without_credentials
from gpuenv.errors import GpuenvError
from gpuenv.model import ArtifactKind

__all__ = [
    "SDIST_ENDINGS",
    "Expansion",
    "WantedFile",
    "channel_file",
    "conda_file",
    "kind_of_name",
    "pinned_file",
    "sha256_in",
]

SDIST_ENDINGS = (".tar.gz", ".zip", ".tgz", ".tar.xz", ".tar.bz2")
"""How the names of source distributions end, old ones too."""

_SHA256 = re.compile(r"sha256[:=]([0-9a-fA-F]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFile:
    """One file to look into: at `url` (without credentials) or at `path`.

    `build` is conda's build string. `login` are user name and password for the address, never printed; `token_url` is
    the address of a conda channel that has a token in it, never printed either. `python` and
    `platform` are what it was chosen for. `note` says how the file differs from what was asked for.
    """

    name: str
    filename: str
    kind: ArtifactKind
    version: str | None = None
    build: str | None = None
    url: str | None = None
    path: Path | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    python: str | None = None
    platform: str | None = None
    note: str | None = None
    login: tuple[str, str] | None = field(default=None, repr=False)
    token_url: str | None = field(default=None, repr=False)

    @property
    def fetch_url(self) -> str | None:
        """The address with user name and password or token in it where there are any: to fetch with, not to show."""
        if self.token_url:
            return self.token_url
        if self.url is None or self.login is None:
            return self.url
        user, password = (quote(part, safe="") for part in self.login)
        parts = urlsplit(self.url)
        return parts._replace(netloc=f"{user}:{password}@{parts.netloc}").geturl()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """The files behind one target, what could not be found out, and remarks on what was chosen."""

    files: tuple[WantedFile, ...] = ()
    problems: tuple[GpuenvError, ...] = ()
    notes: tuple[str, ...] = ()


def kind_of_name(filename: str, *, conda: bool = False) -> ArtifactKind:
    """What a file is by its name alone. `.tar.bz2` is conda's unless its name is a Python release's (`conda` decides).

    Anything else counts as a native file, whose content decides.
    """
    name = filename.lower()
    if name.endswith(".whl"):
        return ArtifactKind.WHEEL
    if name.endswith(".conda") or (name.endswith(".tar.bz2") and (conda or filename.count("-") > 1)):
        return ArtifactKind.CONDA
    return ArtifactKind.SDIST if name.endswith(SDIST_ENDINGS) and not is_native_name(name) else ArtifactKind.FILE


def pinned_file(
    name: str,
    version: str | None,
    file: IndexFile,
    destination: Destination,
    *,
    note: str | None = None,
    asking: Asking = PLAIN_ASKING,
) -> WantedFile:
    """A file of a release as a wanted one; the indexes of `asking` may lend it their login."""
    return WantedFile(
        name=name,
        version=version,
        filename=file.filename,
        kind=ArtifactKind.WHEEL if file.is_wheel else ArtifactKind.SDIST,
        url=without_credentials(file.url) if file.url else None,
        path=file.path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        python=destination.python,
        platform=destination.platform,
        note=note,
        login=credentials_for(file.url, indexes=asking.addresses) if file.url else None,
    )


def conda_file(
    url: str, *, name: str | None = None, version: str | None = None, sha256: str | None = None, size: int | None = None
) -> WantedFile:
    """A conda package at an address or path, whose file name tells name, version and build (`NAME-VERSION-BUILD`)."""
    local = "://" not in url
    address = url.partition("#")[0]
    shown = without_secrets(address)
    has_token = not local and shown.count("/") < without_credentials(address).count("/")
    filename = url.replace("\\", "/").partition("#")[0].rpartition("/")[2]
    stem = filename
    for ending in CONDA_ENDINGS:
        stem = stem.removesuffix(ending)
    told = split_dist(stem) or (stem, None, None)
    return WantedFile(
        name=name or told[0] or filename,
        version=version or told[1],
        build=told[2],
        filename=filename,
        kind=ArtifactKind.CONDA,
        url=None if local else shown if has_token else without_credentials(address),
        token_url=address if has_token else None,
        path=Path(url) if local else None,
        sha256=sha256,
        size_bytes=size,
        login=None if local else credentials_for(url),
    )


def channel_file(url: str, *, name: str, version: str, sha256: str | None, size: int | None) -> WantedFile:
    """A package of a conda channel, at the address that its record has; the channel may be on this computer."""
    return conda_file(str(local_path(url) or url), name=name, version=version, sha256=sha256, size=size)


def sha256_in(text: str) -> str | None:
    """The SHA-256 in text such as `sha256:…` or `#sha256=…`, in lower case."""
    found = _SHA256.search(text)
    return found[1].lower() if found else None
