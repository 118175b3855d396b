"""`package_wheel`: a wheel as a conda package whose words are those of its binaries."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_archive import PackedFile, write_conda_package
from gpuenv.artifacts.conda_metadata import InstalledPath, metadata_files
from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
from gpuenv.channels.destinations import Destination, destination_of
from gpuenv.errors import FormatError, IntegrityError, RequestError, UnavailableError
from gpuenv.model import (
    ArtifactKind,
    Reading,
    Reporter,
    Silence,
    WheelReport,
)
from gpuenv.recipes.describing import describe_package
from gpuenv.recipes.wheel_archive import OpenWheel, open_wheel
from gpuenv.recipes.wheel_layout import PLACEHOLDER, Layout, Placed, entry_points, link_words, placed_files
from gpuenv.recipes.wheel_words import Words, words_of
from gpuenv.targets.expand import expand
from gpuenv.targets.look import look_into_file
from gpuenv.targets.means import Means, open_means
from gpuenv.targets.wanted import WantedFile
from gpuenv.targets.words import Address, IndexFileName, LocalFile, OnIndex, parse_target

__all__ = ["package_wheel"]

_FIRST_DATE = 315532800
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")


def package_wheel(
    word: str,
    channel: Path,
    *,
    release: str | None = None,
    python: str | None = None,
    platform: str | None = None,
    number: int = 0,
    soft_architectures: bool = False,
    cache: bool = True,
    offline: bool = False,
    report: Reporter | None = None,
) -> WheelReport:
    """Makes a conda package of a wheel, in the directory of `channel` that it belongs to.

    `word` is a name on the user's index (`release` says which version), a wheel here, or the address of one. `python`
    and `platform` (`linux-x86_64`) choose among a release's wheels, by default those of this computer; a wheel that is
    named itself is taken for what its tags say. `number` is the build number. With `soft_architectures` the bounds on
    `__cuda_arch` go into `constrains`. The same wheel gives the same bytes.

    RequestError where there is no such wheel or it does not fit, FormatError and IntegrityError as those of
    `open_wheel`, UnavailableError where it cannot be had or written.
    """
    reporter = report or Silence()
    with (
        open_means(cache=cache, offline=offline, report=reporter) as means,
        _wheel_here(word, release, python, platform, means) as (path, file),
    ):
        reporter.step(f"checking {file.filename}")
        with open_wheel(path) as wheel:
            destination = _destination(file.filename, python, platform)
            reading = _read(path, file, means)
            words = words_of(
                wheel,
                file.filename,
                reading,
                destination,
                number=number,
                soft_architectures=soft_architectures,
            )
            reporter.step(f"writing {words.dist}.conda")
            target = channel / words.subdir / f"{words.dist}.conda"
            replaced = target.exists()
            index = _write(wheel, words, target, windows=destination.system == "windows", filename=file.filename)
    assert file.sha256
    return WheelReport(
        channel=str(channel),
        wheel=file.filename,
        wheel_sha256=file.sha256,
        package=describe_package(
            target, index, words.kind, cuda=words.needs.cuda, needs=words.needs, constraints=words.constraints
        ),
        replaced=replaced,
        notes=words.notes,
    )


# ---- the wheel ---------------------------------------------------------------------------------------------------


@contextmanager
def _wheel_here(
    word: str, release: str | None, python: str | None, platform: str | None, means: Means
) -> Iterator[tuple[Path, WantedFile]]:
    """The wheel on disk, and what it is called; one from a server is gone afterwards."""
    means.report.step(f"looking for {word.rpartition('@')[2]}")
    file = _chosen(word, release, python, platform, offline=means.offline)
    if file.path is not None:
        yield file.path, replace(file, sha256=_sha256(file.path, file))
        return
    with tempfile.TemporaryDirectory(prefix="gpuenv-wheel-") as folder:
        path = Path(folder, file.filename)
        sha256 = _fetch(file, path, means)
        yield path, replace(file, path=path, sha256=sha256)


def _chosen(word: str, release: str | None, python: str | None, platform: str | None, *, offline: bool) -> WantedFile:
    target = parse_target(word)
    if not isinstance(target, LocalFile | Address | IndexFileName | OnIndex):
        raise RequestError(f"`{word}` is no wheel", hints=("name a package, a wheel here, or the address of one",))
    if release:
        if not isinstance(target, OnIndex) or any(sign in target.requirement for sign in "<>=!~@"):
            raise RequestError("a version is for the name of a package", reasons=(f"`{word}` says by itself which",))
        target = OnIndex(f"{target.requirement}=={release}", word)
    expansion = expand(target, python=python, platform=platform, offline=offline)
    if expansion.problems:
        raise expansion.problems[0]
    file = next(iter(expansion.files), None)
    if file is None or file.kind is not ArtifactKind.WHEEL or not file.filename.endswith(".whl"):
        kind = f"`{file.filename}`" if file else f"`{word}`"
        raise RequestError(f"{kind} is no wheel", hints=("a conda package is made of a built wheel (`.whl`)",))
    artifact_of_wheel_name(file.filename)
    return file


def _sha256(path: Path, file: WantedFile) -> str:
    try:
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise RequestError(f"there is no file `{path}`") from error
    except OSError as error:
        raise UnavailableError(f"cannot read `{path}`", reasons=(error.strerror or str(error),)) from error
    _check_sum(file, found)
    return found


def _fetch(file: WantedFile, path: Path, means: Means) -> str:
    url = file.fetch_url
    if url is None:
        raise RequestError(f"`{file.filename}` has no address and is not here")
    means.report.step(f"fetching {file.filename}")
    sha256, size = hashlib.sha256(), 0
    with means.open_file(url, name=file.filename, size_bytes=file.size_bytes) as remote:
        try:
            with path.open("wb") as out:
                for chunk in remote.stream(0, remote.size_bytes):
                    sha256.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
                    means.report.detail(f"fetched {size >> 20} of {remote.size_bytes >> 20} MB of {file.filename}")
        except OSError as error:
            raise UnavailableError(f"cannot write `{path}`", reasons=(error.strerror or str(error),)) from error
    _check_sum(file, sha256.hexdigest())
    return sha256.hexdigest()


def _check_sum(file: WantedFile, found: str) -> None:
    if file.sha256 and file.sha256.lower() != found:
        raise IntegrityError(
            f"`{file.filename}` is not what the index promised",
            reasons=(f"its sha256 is {found}", f"promised was {file.sha256}"),
        )


def _destination(filename: str, python: str | None, platform: str | None) -> Destination:
    """Where it is to be installed: as asked, else as its tags say, else here."""
    artifact = artifact_of_wheel_name(filename)
    here = destination_of(python=python, platform=platform)
    own_python = (artifact.pythons or (here.python,))[0]
    own_platform = (artifact.platforms or (here.platform,))[0]
    fits_python = artifact.pythons is None or here.python in artifact.pythons
    fits_platform = not artifact.platforms or here.platform in artifact.platforms
    system = own_platform.partition("-")[0]
    if system not in {"linux", "windows", "macos"}:
        raise RequestError(f"conda has no platform for `{filename}`", reasons=(f"it is for {own_platform}",))
    return destination_of(
        python=python or (here.python if fits_python else own_python),
        platform=platform or (here.platform if fits_platform else own_platform),
    )


def _read(path: Path, file: WantedFile, means: Means) -> Reading:
    wanted = replace(file, path=path)
    reading = look_into_file(wanted, means).reading
    told = tuple(one.problem for one in reading.files if one.problem)
    if told or not reading.complete:
        reasons = told or reading.problems
        raise FormatError(f"`{file.filename}` could be read in part only", reasons=reasons[:5])
    return reading


# ---- the package -------------------------------------------------------------------------------------------------


def _write(wheel: OpenWheel, words: Words, target: Path, *, windows: bool, filename: str) -> dict[str, Any]:
    """Writes the package; gives its index."""
    layout = Layout(python=words.python, windows=windows)
    commands = entry_points(wheel)
    files = placed_files(wheel, layout, commands)
    timestamp = max(wheel.date, _FIRST_DATE)
    index = words.index_json(timestamp)
    info = metadata_files(
        index=index,
        about=words.about_json(filename),
        paths=[_installed(file) for file in files],
        noarch=link_words(commands) if words.python is None else None,
    )
    write_conda_package(
        target,
        dist=words.dist,
        info=info | _licences(wheel),
        files=_packed(wheel, files),
        timestamp=timestamp,
        size_bytes=sum(_size(file) for file in files),
    )
    return index


def _size(file: Placed) -> int:
    return file.source.size_bytes if file.source else len(file.content)


def _installed(file: Placed) -> InstalledPath:
    sha256 = file.source.sha256 if file.source else hashlib.sha256(file.content).hexdigest()
    placeholder = PLACEHOLDER if file.has_prefix else None
    return InstalledPath(path=file.path, sha256=sha256, size_bytes=_size(file), placeholder=placeholder)


def _packed(wheel: OpenWheel, files: list[Placed]) -> Iterator[PackedFile]:
    for file in files:
        if file.source:
            with wheel.content(file.source) as content:
                yield PackedFile(
                    path=file.path, size_bytes=file.source.size_bytes, content=content, executable=file.executable
                )
        else:
            content = io.BytesIO(file.content)
            yield PackedFile(path=file.path, size_bytes=len(file.content), content=content, executable=file.executable)


def _licences(wheel: OpenWheel) -> dict[str, bytes]:
    """The licence files of the wheel, as conda packages keep them."""
    found = {}
    for file in wheel.files:
        name = file.path.removeprefix(f"{wheel.info}/")
        plain = name.removeprefix("licenses/")
        is_licence = name.startswith("licenses/") or name.upper().startswith(_LICENCES)
        if name != file.path and is_licence and file.size_bytes <= 1 << 20 and "/" not in plain:
            with wheel.content(file) as content:
                found[f"licenses/{plain}"] = content.read()
    return found
