"""From what users call a channel to where it is.

Source: conda's documentation, "Managing channels" and "Using the .condarc conda configuration file" (channel_alias,
custom_channels, custom_multichannels, default_channels, allowlist_channels, denylist_channels). As in conda a word
without `/` in front, without `./` and without a scheme is a name, whether a directory of that name is there or not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.channels.conda.condarc import Condarc, read_condarc
from gpuenv.channels.conda.condarc_files import conda_root, home_of
from gpuenv.errors import RequestError

__all__ = ["ChannelPlace", "local_path", "resolve_channels", "without_secrets"]

_SCHEMES = ("http", "https", "file", "s3", "oci", "gcs")
_WITH_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://", re.ASCII)
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\/]", re.ASCII)
_NAME = re.compile(r"[\w.+-]+(?:/[\w.+-]+)*", re.ASCII)
_LOGIN = re.compile(r".*@")
_TOKEN = re.compile(r"/t/[^/]+(?=/|$)")
_SYSTEMS = r"linux|osx|win|freebsd|ios|iossimulator|android|emscripten|wasi|zos"
_PROCESSORS = r"32|64|aarch64|arm64|armv\w+|loongarch64|ppc|ppc64|ppc64le|riscv32|riscv64|s390x|wasm32|wasm64|z"
_SUBDIR = re.compile(rf"(?P<channel>.+)/(?:noarch|(?:{_SYSTEMS})-(?:{_PROCESSORS}))", re.ASCII)
_ALL_DEFAULTS = "defaults"
_OWN_BUILDS = "local"
_LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPlace:
    """One channel. `name` is what users call it: `conda-forge`, `nvidia/label/cuda-12.4.0`, a path, an address.

    `address` is absolute, without a slash at its end and without logins and tokens, so it may be shown and kept.
    `fetch_address` is what to read it from, with logins; it is in no `repr`.
    """

    name: str
    address: str
    fetch_address: str = field(repr=False, compare=False)

    @property
    def printable(self) -> str:
        """The address as it may be shown."""
        return self.address

    @property
    def path(self) -> Path | None:
        """The directory of a channel on this computer; None for others."""
        if not self.address.startswith("file:"):
            return None
        parts = urlsplit(self.address)
        return Path(os.path.normpath(_from_file_address(parts.netloc, unquote(parts.path))))


def resolve_channels(
    words: Sequence[str], *, environ: Mapping[str, str] | None = None, condarc: Condarc | None = None, base: Path
) -> tuple[ChannelPlace, ...]:
    """The channels that the words of `-c` mean, in order of priority, each once. Relative paths start at `base`.

    `condarc` None means that conda's configuration is read. A word with a platform at its end (`conda-forge/linux-64`)
    means the channel. RequestError for a word that names no channel, for `defaults` where no setting says which these
    are, and for a channel that the configuration does not allow.
    """
    variables = os.environ if environ is None else environ
    settled = read_condarc(variables) if condarc is None else condarc
    resolver = _Resolver(condarc=settled, environ=variables, base=base)
    places: dict[str, ChannelPlace] = {}
    for word in words:
        for place in resolver.places(word):
            places.setdefault(place.address, place)
    _refuse_forbidden(resolver, places.values())
    return tuple(places.values())


def local_path(address: str) -> Path | None:
    """Where a `file:` address leads on this computer; None for other addresses."""
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def without_secrets(address: str) -> str:
    """An address without user name, password, token (`/t/…/`), query and fragment."""
    parts = urlsplit(address)
    if parts.scheme not in {*_SCHEMES, ""} or not parts.netloc:
        return address
    path = _TOKEN.sub("", parts.path, count=1) if parts.scheme in {"http", "https"} else parts.path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolver:
    condarc: Condarc
    environ: Mapping[str, str]
    base: Path

    def places(self, word: str) -> Iterator[ChannelPlace]:
        """The channel that a word means, or the several that one of conda's joint names stands for."""
        text = word.strip()
        _refuse_senseless(text)
        if found := _WITH_SCHEME.match(text):
            yield self._at_address(text, found["scheme"].lower())
        elif _WINDOWS_PATH.match(text):
            yield _at_windows_path(text)
        elif text in {".", "~"} or text.startswith(("./", "../", "/", "~", ".\\", "..\\")) or text == "..":
            yield self._at_path(text)
        else:
            yield from self._named(_without_subdir(text.strip("/")))

    def _named(self, name: str) -> Iterator[ChannelPlace]:
        if not _NAME.fullmatch(name):
            raise RequestError(
                f"`{_LOGIN.sub('…@', name)}` names no channel",
                hints=("give a name (`conda-forge`), an address or a path (`./channel`), each with `-c` of its own",),
            )
        if members := self._members(name):
            yield from members
        else:
            yield self._by_name(name)

    def _members(self, name: str) -> list[ChannelPlace]:
        """The channels behind a joint name; none where it is no joint name."""
        if name == _ALL_DEFAULTS:
            listed = self.condarc.default_channels or self.condarc.custom_multichannels.get(name)
            if not listed:
                raise RequestError(
                    "nothing says which channels `defaults` stands for",
                    reasons=("`default_channels` is set in none of conda's configuration files",),
                    hints=(
                        "`conda config --append default_channels ADDRESS` for each of them",
                        "or name the channel you want: `-c conda-forge`",
                    ),
                )
            return [self._listed(one) for one in listed]
        if name == _OWN_BUILDS and name not in self.condarc.custom_multichannels:
            return self._own_builds()
        return [self._listed(one) for one in self.condarc.custom_multichannels.get(name, ())]

    def _listed(self, text: str) -> ChannelPlace:
        """An item of a joint name's list: an address, a path or a name, never another joint name."""
        if _WITH_SCHEME.match(text) or _WINDOWS_PATH.match(text) or text.startswith(("./", "../", "/", "~")):
            return next(self.places(text))
        return self._by_name(_without_subdir(text.strip("/")))

    def _own_builds(self) -> list[ChannelPlace]:
        """Where conda-build leaves what it built, as far as it is there."""
        root = conda_root(self.environ)
        told = [self._path(one) for one in self.condarc.local_builds]
        usual = [*([root / "conda-bld"] if root else []), home_of(self.environ) / "conda-bld"]
        there = [path for path in (*told, *usual) if path.is_dir()]
        if not there:
            raise RequestError(
                "the channel `local` is not there",
                reasons=tuple(f"`{path}` is no directory" for path in (*told, *usual)),
                hints=("build a package first, or name the directory: `-c ./channel`",),
            )
        return [_at_directory(path) for path in there]

    def _by_name(self, name: str) -> ChannelPlace:
        """The order of conda: what `custom_channels` has for the name or its beginning, a channel of `default_channels`
        of that name, else the name behind `channel_alias`.
        """
        custom = self.condarc.custom_channels
        beginning = name
        while beginning not in custom and "/" in beginning:
            beginning = beginning.rpartition("/")[0]
        if beginning in custom:
            return self._behind(custom[beginning], name)
        for listed in self.condarc.default_channels or ():
            if _WITH_SCHEME.match(listed) and urlsplit(without_secrets(listed)).path.strip("/") == name:
                return self._behind(listed.strip().rstrip("/").removesuffix(f"/{name}"), name)
        return self._behind(self.alias, name)

    def _behind(self, location: str, name: str) -> ChannelPlace:
        location = location.strip().rstrip("/")
        if not _WITH_SCHEME.match(location):
            location = _file_address(self._path(location))
        full = f"{location}/{name}"
        return ChannelPlace(name=name, address=without_secrets(full), fetch_address=full)

    @property
    def alias(self) -> str:
        """Where names are looked up when no other setting has them."""
        told = self.condarc.channel_alias
        if told is None:
            return _usual_alias()
        if not _WITH_SCHEME.match(told):
            raise RequestError(
                "`channel_alias` of conda's configuration is no address",
                hints=("it begins with `https://`: `conda config --show channel_alias`",),
            )
        return told.rstrip("/")

    def _at_address(self, text: str, scheme: str) -> ChannelPlace:
        if scheme not in _SCHEMES:
            raise RequestError(
                f"channels cannot be read from `{scheme}://`", hints=(f"one of {', '.join(_SCHEMES)} can",)
            )
        if scheme == "file":
            return _at_file_address(text)
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError as error:
            raise RequestError("the address of a channel is broken", reasons=(str(error),)) from None
        if not parts.hostname:
            raise RequestError(f"`{scheme}://` without a host names no channel")
        path = _without_subdir(parts.path.rstrip("/"))
        fetch = f"{scheme}://{parts.netloc}{quote(path, safe='/%+:@,;=~!$&()*')}"
        address = without_secrets(fetch)
        known, login = self._known(address)
        return ChannelPlace(
            name=known or address,
            address=address,
            fetch_address=login if login and fetch == address else fetch,
        )

    def _known(self, address: str) -> tuple[str | None, str | None]:
        """Name and address with login of a channel that the configuration knows by its address."""
        custom = self.condarc.custom_channels
        named = [(f"{location.rstrip('/')}/{name}", name) for name, location in custom.items()]
        for full, name in named:
            plain = without_secrets(full)
            if address == plain or address.startswith(f"{plain}/"):
                rest = address.removeprefix(plain)
                return f"{name}{rest}", f"{full}{rest}"
        alias = self.alias
        plain = without_secrets(alias)
        if address.startswith(f"{plain}/"):
            rest = address.removeprefix(plain)
            return rest.strip("/"), f"{alias}{rest}"
        return None, None

    def _at_path(self, text: str) -> ChannelPlace:
        return _at_directory(Path(_without_subdir(str(self._path(text)))))

    def _path(self, text: str) -> Path:
        if text == "~" or text.startswith(("~/", "~\\")):
            return home_of(self.environ) / text[2:]
        path = Path(text).expanduser() if text.startswith("~") else Path(text)
        return Path(os.path.normpath(self.base / path))


def _usual_alias() -> str:
    """The default of conda for `channel_alias`, which rattler knows."""
    from rattler import Channel

    name = "conda-forge"
    return Channel(name).base_url.rstrip("/").removesuffix(f"/{name}")


def _refuse_senseless(text: str) -> None:
    if not text:
        raise RequestError("an empty word names no channel", hints=("name one: `-c conda-forge`",))
    if len(text) > _LONGEST or not text.isprintable():
        raise RequestError("a word with line breaks, or of this length, names no channel")
    if text.endswith(CONDA_ENDINGS) and "/" in text:
        raise RequestError(
            f"`{without_secrets(text)}` is a package, not a channel",
            hints=("name the channel it is in, which is the address without the platform and the file",),
        )


def _refuse_forbidden(resolver: _Resolver, places: Iterable[ChannelPlace]) -> None:
    """RequestError where the lists of allowed and denied channels in conda's configuration speak against one."""
    condarc = resolver.condarc
    allowed, denied = (
        {place.address for word in words for place in resolver.places(word)}
        for words in (condarc.allowlist_channels, condarc.denylist_channels)
    )
    for place in places:
        if place.address in denied or (allowed and place.address not in allowed):
            names = place.address in denied
            raise RequestError(
                f"the channel `{place.name}` is not allowed here",
                reasons=(
                    "`denylist_channels` of conda's configuration names it"
                    if names
                    else "`allowlist_channels` of conda's configuration lacks it",
                ),
                hints=("`conda config --show-sources` shows which file says so",),
            )


def _without_subdir(text: str) -> str:
    found = _SUBDIR.fullmatch(text.replace("\\", "/") if os.name == "nt" else text)
    return found["channel"] if found else text


def _at_directory(path: Path) -> ChannelPlace:
    address = _file_address(path)
    return ChannelPlace(name=str(path), address=address, fetch_address=address)


def _file_address(path: Path) -> str:
    return path.as_uri().rstrip("/")


def _at_windows_path(text: str) -> ChannelPlace:
    path = PureWindowsPath(_without_subdir(str(PureWindowsPath(text)).replace("\\", "/")))
    address = path.as_uri().rstrip("/")
    return ChannelPlace(name=str(path), address=address, fetch_address=address)


def _at_file_address(text: str) -> ChannelPlace:
    parts = urlsplit(text.replace("\\", "/"))
    path = unquote(parts.path)
    if not path.startswith("/") or "\0" in path or "@" in parts.netloc:
        raise RequestError(
            f"`{_LOGIN.sub('…@', text)}` names no directory", hints=("an absolute path follows: `file:///srv/channel`",)
        )
    if (host := parts.netloc) not in {"", "localhost"} or re.match(r"/[A-Za-z]:/", path):
        name = _without_subdir(_from_file_address(host, path).rstrip("/"))
        address = PureWindowsPath(name).as_uri().rstrip("/")
        return ChannelPlace(name=name, address=address, fetch_address=address)
    return _at_directory(Path(_without_subdir(os.path.normpath(path))))


def _from_file_address(host: str, path: str) -> str:
    """The path that a `file:` address means; with a host, or a drive, one of Windows."""
    if host not in {"", "localhost"}:
        return f"//{host}{path}"
    return path[1:] if re.match(r"/[A-Za-z]:/", path) else path
