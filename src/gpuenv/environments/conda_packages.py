"""Conda packages in the cache: fetched, checked against what was planned, and unpacked once for all environments.

    CACHE/conda-packages/NAME-VERSION-BUILD-<20 digits of the sha256>/package/    the package, unpacked
    CACHE/conda-packages/NAME-VERSION-BUILD-<20 digits of the sha256>/checked     written when it had been checked
    CACHE/conda-packages/.fetching-1f2e3d4c/                                      one that is being fetched

rattler trusts what it finds in its own cache and does not compare the hash of a file that lies on this computer, so
gpuenv fetches, checks and unpacks packages itself and lets rattler put them into the environment from here.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import shutil
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gpuenv import settings
from gpuenv.channels.conda.places import local_path
from gpuenv.channels.conda.running import run_rattler
from gpuenv.environments.conda_checks import PackageFacts, WasTouched, check_package
from gpuenv.environments.leftovers import delete_tree
from gpuenv.errors import FormatError, IntegrityError, RequestError, UnavailableError
from gpuenv.model import LockedConda, Reporter, Request, printable

if TYPE_CHECKING:
    from rattler import Client

__all__ = ["CachedPackage", "cached_packages", "is_cached"]

_AT_ONCE = 8
_OUR_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_CHUNK = 1 << 20
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!~-]{0,200}")
_ABANDONED_SECONDS = 24 * 3600
# What the system refused within rattler, which tells its number in words.
_OF_SYSTEM = re.compile(r"\(os error (28|30|122)\)")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@|(?<=/t/)[^/\s)]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPackage:
    """A package that was checked, with the directory that it is unpacked in."""

    locked: LockedConda
    directory: Path
    sha256: str
    facts: PackageFacts


@dataclass(slots=True)
class _Pen:
    """Writes a file with its hashes, up to the size that it may have."""

    file: BinaryIO
    most: int | None
    written: int
    sha256: hashlib._Hash
    md5: hashlib._Hash

    def write(self, content: bytes) -> None:
        """Take the next bytes."""
        self.written += len(content)
        if self.most is not None and self.written > self.most:
            raise _TooLong
        self.file.write(content)
        self.sha256.update(content)
        self.md5.update(content)


class _TooLong(Exception):  # noqa: N818  (an answer, not an error)
    """More bytes came than the file has."""


def cached_packages(
    packages: Sequence[LockedConda], request: Request, *, offline: bool, report: Reporter
) -> tuple[CachedPackage, ...]:
    """The packages, fetched where the cache lacks them; all of them checked.

    `request` tells which channels they come from, whose logins are used. IntegrityError for a package that is not what
    its channel says or that would leave the environment, FormatError for one that is broken, UnavailableError where it
    cannot be had, or is not in the cache while `offline`.
    """
    for package in packages:
        _check_names(package)
    found = {package.name: ready for package in packages if (ready := _ready(package))}
    missing = [package for package in packages if package.name not in found]
    if missing:
        if offline and (away := [one for one in missing if not local_path(one.url)]):
            raise UnavailableError(
                "offline, and not all conda packages are in the cache",
                reasons=tuple(one.filename for one in away),
                hints=("try again with the network, without `--offline`",),
            )
        _sweep(_directory())
        for ready in run_rattler(_fetch_all(missing, request, report)):
            found[ready.locked.name] = ready
    return tuple(found[package.name] for package in packages)


def is_cached(package: LockedConda) -> bool:
    """Whether the package needs no fetching; what it is was not looked at."""
    return package.sha256 is not None and (_entry(package, package.sha256) / "checked").is_file()


def _directory() -> Path:
    return settings.cache_directory() / "conda-packages"


def _entry(package: LockedConda, sha256: str) -> Path:
    return _directory() / f"{package.name}-{package.version}-{package.build}-{sha256[:20]}"


def _check_names(package: LockedConda) -> None:
    """Names become paths."""
    for word in (package.name, package.version, package.build, package.filename, package.subdir):
        if not _SAFE.fullmatch(word):
            raise IntegrityError(f"`{printable(word)}` cannot be part of the name of a conda package")


def _ready(package: LockedConda) -> CachedPackage | None:
    if package.sha256 is None:
        return None
    entry = _entry(package, package.sha256)
    try:
        newest = (entry / "checked").stat().st_mtime_ns
        facts = check_package(entry / "package", package, newest=newest)
    except (OSError, WasTouched):
        # Files of environments are the very files of the cache, so that whoever changes one changes the other.
        return None
    return CachedPackage(locked=package, directory=entry / "package", sha256=package.sha256, facts=facts)


async def _fetch_all(packages: Sequence[LockedConda], request: Request, report: Reporter) -> list[CachedPackage]:
    places = _Places.of(request) if any(not local_path(one.url) for one in packages) else _Places()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(package: LockedConda) -> CachedPackage:
        async with gate:
            report.detail(f"fetching {package.filename}{_size(package)}")
            return await _fetch(package, places)

    tasks = [asyncio.ensure_future(one(package)) for package in packages]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fetch(package: LockedConda, places: _Places) -> CachedPackage:
    work = _directory() / f".fetching-{secrets.token_hex(4)}"
    work.mkdir(parents=True)
    try:
        archive = work / package.filename
        sha256 = await _download(package, places, archive)
        await asyncio.to_thread(_unpack, package, archive, work / "package")
        archive.unlink()
        facts = await asyncio.to_thread(check_package, work / "package", package)
        (work / "checked").write_text(f"{sha256}\n", encoding="utf-8")
        entry = _entry(package, sha256)
        _put_in_place(work, entry)
        return CachedPackage(locked=package, directory=entry / "package", sha256=sha256, facts=facts)
    finally:
        delete_tree(work)


def _put_in_place(work: Path, entry: Path) -> None:
    for _ in range(3):
        with suppress(OSError):
            work.rename(entry)
            return
        # What is there was touched, or another command was quicker.
        with suppress(OSError):
            entry.rename(_directory() / f".fetching-{secrets.token_hex(4)}")
    work.rename(entry)


async def _download(package: LockedConda, places: _Places, archive: Path) -> str:
    """Fetch the file and give its sha256; IntegrityError where it is not the planned one."""
    with archive.open("wb") as file:
        pen = _Pen(file, package.size_bytes, 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False))
        try:
            if path := local_path(package.url):
                await asyncio.to_thread(_copy, path, pen)
            else:
                from rattler.package_streaming import download_to_writer

                await download_to_writer(places.client(), places.address_of(package), pen)
        except _TooLong:
            raise _not_planned(package, f"it has more than the {package.size_bytes} bytes promised") from None
        except OSError as error:
            # What the system refuses has a number, what came from a server and was broken off has none.
            is_ours = error.errno is not None and (not local_path(package.url) or error.errno in _OUR_TROUBLE)
            if is_ours:
                raise
            raise _no_file(package, error.strerror or str(error)) from error
        except RuntimeError as error:
            raise _no_file(package, _SECRET.sub("…", str(error))) from error
    found = {"size": str(pen.written), "sha256": pen.sha256.hexdigest(), "md5": pen.md5.hexdigest()}
    promised = {
        "size": None if package.size_bytes is None else str(package.size_bytes),
        "sha256": package.sha256,
        # The weaker hash says nothing where there is the other.
        "md5": None if package.sha256 else package.md5,
    }
    for kind, value in promised.items():
        if value is not None and value.lower() != found[kind]:
            raise _not_planned(package, f"its {kind} is {found[kind]}, where {value} was promised")
    return found["sha256"]


def _copy(path: Path, pen: _Pen) -> None:
    with path.open("rb") as file:
        while content := file.read(_CHUNK):
            pen.write(content)


def _unpack(package: LockedConda, archive: Path, directory: Path) -> None:
    from rattler.package_streaming import extract

    try:
        if archive.suffix == ".conda":
            # rattler unpacks one without its end, which holds the list of what is in it.
            with zipfile.ZipFile(archive) as whole:
                whole.infolist()
        extract(archive, directory)
    except Exception as error:
        # What the system refuses has a number; what rattler finds wrong in the archive has none, whatever its type.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if code := _OF_SYSTEM.search(str(error)):
            raise OSError(int(code[1]), os.strerror(int(code[1])), os.fspath(directory)) from error
        raise FormatError(
            f"`{package.filename}` cannot be unpacked", reasons=tuple(map(printable, str(error).splitlines()[:3]))
        ) from error


@dataclass(slots=True)
class _Places:
    """Where packages are fetched from: a plan holds no logins, so the address is made again from the channel's."""

    addresses: dict[str, str] | None = None
    made: Client | None = None

    @classmethod
    def of(cls, request: Request) -> _Places:
        """The channels of a request, as far as its words still name some."""
        from gpuenv.channels.conda.opening import open_channels

        try:
            channels = open_channels(request.channels, specs=request.specs)
        except RequestError:
            channels = None
        if channels is None:
            return cls()
        addresses = {place.address.rstrip("/"): place.fetch_address.rstrip("/") for place in channels.places}
        return cls(addresses, channels.make_client() if channels.make_client else None)

    def address_of(self, package: LockedConda) -> str:
        """The address to fetch from."""
        for plain, whole in (self.addresses or {}).items():
            if package.url.startswith(f"{plain}/"):
                return whole + package.url[len(plain) :]
        return package.url

    def client(self) -> Client:
        """What fetches, with the logins that rattler stores."""
        if self.made is None:
            from rattler import Client

            self.made = Client.default_client()
        return self.made


def _size(package: LockedConda) -> str:
    return f" ({package.size_bytes / 1e6:.1f} MB)" if package.size_bytes else ""


def _not_planned(package: LockedConda, reason: str) -> IntegrityError:
    return IntegrityError(
        f"`{package.filename}` is not the file that its channel promised",
        reasons=(reason, f"from `{package.url}`"),
        hints=("try again later; if it stays so, tell those who keep the channel",),
    )


def _no_file(package: LockedConda, reason: str) -> UnavailableError:
    return UnavailableError(
        f"cannot fetch `{package.filename}`",
        reasons=(printable(reason), f"from `{package.url}`"),
        hints=("check the network and the channel, and plan again if the package has gone",),
    )


def _sweep(directory: Path) -> None:
    """Delete what killed commands left long ago."""
    for path in directory.glob(".fetching-*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
