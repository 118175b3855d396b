"""From the words of a user to packages: channels on disk or on a server, and packages by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.artifacts.unpacking import Compression, unpack
from gpuenv.audits.repodata import Explained, Record, Repodata, parse_repodata
from gpuenv.channels.conda.logins import logged_in
from gpuenv.channels.conda.places import ChannelPlace, resolve_channels
from gpuenv.errors import FormatError, GpuenvError, RequestError, UnavailableError
from gpuenv.targets.means import Means
from gpuenv.targets.wanted import WantedFile, conda_file

__all__ = ["Entry", "Gathered", "Subdir", "gather_packages"]

_SUBDIRS = (
    *("noarch", "linux-64", "linux-aarch64", "linux-ppc64le", "win-64", "win-arm64"),
    *("osx-64", "osx-arm64", "linux-32", "linux-armv7l", "linux-s390x", "win-32"),
)
_MOST_BYTES = 2 << 30
_ADDRESSES = ("http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subdir:
    """One directory of a channel: all its records, and what explains them. `repodata` None means that it has none."""

    channel: str
    name: str
    repodata: Repodata | None
    explained: Explained

    @property
    def records(self) -> dict[str, Record]:
        """By file name."""
        return self.repodata.records if self.repodata else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One package to look into. `file` is None where a record has no file, `record` where a file has no record."""

    name: str
    file: WantedFile | None
    record: Record | None = None
    subdir: Subdir | None = None


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What all words stand for. `base` of each channel's directories is in the entries."""

    entries: list[Entry] = field(default_factory=list)
    subdirs: list[Subdir] = field(default_factory=list)
    problems: list[GpuenvError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def gather_packages(words: Sequence[str], means: Means, *, subdirs: Sequence[str] = ()) -> Gathered:
    """The packages behind the words; what cannot be had is among the problems. `subdirs` are those of channels that are
    looked into, all that there are without any.
    """
    gathered = Gathered()
    for word in words:
        try:
            _gather(word, means, tuple(subdirs), gathered)
        except GpuenvError as error:
            gathered.problems.append(error)
    return gathered


def _gather(word: str, means: Means, subdirs: tuple[str, ...], gathered: Gathered) -> None:
    path = Path(word.removeprefix("file://")) if word.startswith("file://") else Path(word)
    if word.partition("#")[0].endswith(CONDA_ENDINGS):
        _gather_package(word, gathered)
    elif not word.startswith(_ADDRESSES) and path.is_dir():
        _gather_directory(Path(unquote(str(path))) if word.startswith("file://") else path, subdirs, gathered)
    elif path.exists() and not word.startswith(_ADDRESSES):
        raise RequestError(f"`{word}` is neither a channel nor a conda package")
    elif word.startswith((".", "/", "~", "file://")):
        raise RequestError(f"there is no channel `{word}`", reasons=("no such directory",))
    else:
        for place in resolve_channels((word,), base=Path.cwd()):
            if place.path is not None:
                _gather_directory(place.path, subdirs, gathered)
            else:
                _gather_remote(place, means, _named_subdir(word) or subdirs, gathered)


def _gather_package(word: str, gathered: Gathered) -> None:
    local = word.removeprefix("file://") if word.startswith("file://") else word
    file = conda_file(unquote(local) if word.startswith("file://") else local)
    gathered.entries.append(Entry(name=file.filename, file=file))


def _named_subdir(word: str) -> tuple[str, ...]:
    last = word.rstrip("/").rpartition("/")[2]
    return (last,) if last in _SUBDIRS else ()


# ---- on disk -----------------------------------------------------------------------------------------------------


def _gather_directory(path: Path, subdirs: tuple[str, ...], gathered: Gathered) -> None:
    """A channel, one directory of a channel, or a directory of packages."""
    try:
        children = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        loose = [one for one in children if one.name.endswith(CONDA_ENDINGS) and one.is_file()]
        if (path / "repodata.json").is_file() or (path / "repodata.json.zst").is_file() or path.name in _SUBDIRS:
            _gather_subdir(path, path.parent, gathered)
            return
        found = [one for one in children if one.is_dir() and (one.name in _SUBDIRS or one.name in subdirs)]
        chosen = [one for one in found if not subdirs or one.name in subdirs]
        for one in chosen:
            _gather_subdir(one, path, gathered)
        if not found:
            gathered.entries += [Entry(name=one.name, file=conda_file(str(one))) for one in loose]
        if not chosen and not (loose and not found):
            raise _no_channel(str(path), subdirs)
    except OSError as error:
        raise UnavailableError(f"cannot read `{path}`", reasons=(error.strerror or str(error),)) from error


def _no_channel(where: str, subdirs: tuple[str, ...]) -> RequestError:
    if subdirs:
        return RequestError(f"`{where}` has no {' or '.join(f'`{one}`' for one in subdirs)}")
    return RequestError(
        f"`{where}` is no channel",
        reasons=("packages of a channel are in directories such as `linux-64` and `noarch`",),
    )


def _gather_subdir(path: Path, channel: Path, gathered: Gathered) -> None:
    def fetch(name: str) -> bytes | None:
        return _read(path / name)

    repodata = _repodata(fetch, str(path))
    names = {one.name for one in path.iterdir() if one.name.endswith(CONDA_ENDINGS) and one.is_file()}
    subdir = Subdir(channel=str(channel), name=path.name, repodata=repodata, explained=Explained(fetch=fetch))
    gathered.subdirs.append(subdir)
    if repodata is None and names:
        gathered.notes.append(f"`{path}` has no repodata.json; its packages were held against what is inside them")
    for name in sorted(names | subdir.records.keys()):
        file = conda_file(str(path / name)) if name in names else None
        gathered.entries.append(Entry(name=name, file=file, record=subdir.records.get(name), subdir=subdir))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size <= _MOST_BYTES else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnavailableError(f"cannot read `{path}`", reasons=(error.strerror or str(error),)) from error


def _repodata(fetch: Callable[[str], bytes | None], where: str) -> Repodata | None:
    content = fetch("repodata.json")
    if content is None and (packed := fetch("repodata.json.zst")) is not None:
        content = _unpacked(packed, where)
    return parse_repodata(content, f"{where}/repodata.json") if content is not None else None


def _unpacked(packed: bytes, where: str) -> bytes:
    parts, size = [], 0
    for part in unpack([packed], Compression.ZSTD):
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise FormatError(f"`{where}/repodata.json.zst` has more than {_MOST_BYTES >> 30} GB")
    return b"".join(parts)


# ---- on a server -------------------------------------------------------------------------------------------------


def _gather_remote(place: ChannelPlace, means: Means, subdirs: tuple[str, ...], gathered: Gathered) -> None:
    if not place.fetch_address.startswith(_ADDRESSES):
        scheme = urlsplit(place.address).scheme
        raise RequestError(f"`{place.name}` is at a `{scheme}:` address, and audits read directories and `https:`")
    found = 0
    for name in subdirs or _SUBDIRS:
        means.report.detail(f"reading {place.name}/{name}/repodata.json")
        fetch = _Fetching(means, f"{place.fetch_address}/{name}")
        repodata = _remote_repodata(fetch, f"{place.address}/{name}")
        if repodata is None:
            continue
        found += 1
        subdir = Subdir(channel=place.name, name=name, repodata=repodata, explained=Explained(fetch=fetch))
        gathered.subdirs.append(subdir)
        gathered.entries += _remote_entries(subdir, f"{place.fetch_address}/{name}")
    if not found:
        raise _no_channel(place.address, subdirs)


def _remote_repodata(fetch: _Fetching, where: str) -> Repodata | None:
    """As a client reads it: the compressed form first."""
    packed = fetch("repodata.json.zst")
    content = _unpacked(packed, where) if packed is not None else fetch("repodata.json")
    return parse_repodata(content, f"{where}/repodata.json") if content is not None else None


def _remote_entries(subdir: Subdir, base: str) -> Iterator[Entry]:
    for name, record in sorted(subdir.records.items()):
        file = conda_file(f"{base}/{quote(name)}", sha256=record.sha256, size=record.size)
        yield Entry(name=name, file=file, record=record, subdir=subdir)


@dataclass(frozen=True, slots=True)
class _Fetching:
    """Files of one directory on a server; None for one that is not there."""

    means: Means
    base: str

    def __call__(self, name: str) -> bytes | None:
        if self.means.offline:
            raise UnavailableError("offline, and the channel is on a server", hints=("leave out `--offline`",))
        with self.means.lock:
            if self.means.client is None:
                from gpuenv._net import Client

                self.means.client = self.means.closing.enter_context(Client())
        address, credentials = logged_in(f"{self.base}/{name}")
        with suppress(RequestError):
            return self.means.client.get_bytes(address, limit=_MOST_BYTES, credentials=credentials)
        return None
