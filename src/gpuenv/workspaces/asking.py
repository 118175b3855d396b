"""What a file of another tool and the words beside it ask for together; and what channels have of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from gpuenv.channels.catalog import find_project
from gpuenv.channels.conda.condarc import read_condarc
from gpuenv.channels.conda.opening import open_channels
from gpuenv.channels.conda.view import ChannelView
from gpuenv.errors import FormatError, GpuenvError, IntegrityError, NoPlanError, RequestError, UnavailableError
from gpuenv.model import Machine, Request, Sources
from gpuenv.workspaces.channel_words import from_directory
from gpuenv.workspaces.conda_specs import read_conda_spec
from gpuenv.workspaces.from_conda import python_elsewhere
from gpuenv.workspaces.imported import CondaPart, Imported, PinnedFile
from gpuenv.workspaces.markers import specs_for
from gpuenv.workspaces.other_files import read_request

__all__ = ["located", "of_channels", "request_of_import", "request_with_file", "without_unknown_defaults"]

_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<rest>(?:[=<>!~;].*)?)", re.DOTALL | re.ASCII)
_DEFAULTS = "defaults"
_OF_EVERY_ENVIRONMENT = frozenset({"python", "pip", "conda"})
"""What an environment has, or does without, where no channel has it."""

_HINT = "take the wheels of the same projects instead: `--only wheels`"


def request_with_file(
    request: Request,
    path: Path,
    *,
    further_channels: tuple[str, ...] = (),
    extras: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    machines: tuple[Machine, ...],
    offline: bool = False,
) -> tuple[Request, tuple[str, ...]]:
    """`request` with what the file at `path` asks for on `machines`, and notes on what stays behind.

    Channels of the file go after those of the request and before `further_channels`, those of the user's configuration.
    What conda's part of the file names must be in the channels. Errors as those of `read_request`; UnavailableError
    and FormatError for channels that cannot be read, NoPlanError for what they lack.
    """
    there = path.absolute().parent
    found = located(
        read_request(path, extras=extras, groups=groups, machines=machines), lambda one: from_directory(one, there)
    )
    asked, notes = request_of_import(found, request, after=further_channels)
    if found.conda is not None:
        asked, more = without_unknown_defaults(asked)
        notes += more
    for platform in dict.fromkeys(machine.platform for machine in machines):
        placed = of_channels(asked, found.conda, platform, offline=offline)
        if all(machine.platform == platform for machine in machines):
            asked = msgspec.structs.replace(placed, specs=specs_for(placed.specs, platform, placed.python))
    unmet = (text for machine in machines for text in found.requires.unmet(machine))
    return asked, tuple(dict.fromkeys((*notes, *unmet)))


def located(found: Imported, change: Callable[[Request], Request]) -> Imported:
    """What was imported, with the paths of its channels changed as those of a request."""
    part = found.conda
    if part is None:
        return found
    moved = change(Request(specs=part.specs, channels=part.channels))
    return replace(found, conda=replace(part, specs=moved.specs, channels=moved.channels))


def request_of_import(
    found: Imported, request: Request, *, after: tuple[str, ...] = ()
) -> tuple[Request, tuple[str, ...]]:
    """`request` with what was imported before its own specs, and the notes on that.

    Where there is a channel conda's part is in conda's words, else it is the wheels of the same projects. `after` are
    channels that go after all others, unless the file wants none of them.
    """
    part, python = found.conda, request.python or found.python
    others = after if part is None or not part.only_own else ()
    channels = tuple(dict.fromkeys((*request.channels, *(part.channels if part else ()), *others)))
    is_from_channels = part is not None and (bool(channels) or part.names_channels)
    if part is not None and is_from_channels and request.sources is not Sources.WHEELS:
        wheels = part.wheels if request.sources is Sources.CONDA else map(_as_wheel, part.wheels)
        specs = (*part.specs, *wheels, *request.specs)
        return msgspec.structs.replace(request, specs=specs, python=python, channels=channels), found.notes
    if part is not None and part.pins:
        raise RequestError(
            "an explicit list holds conda packages, and the request is for wheels only",
            hints=("leave out `--only wheels`",),
        )
    kept = () if request.sources is Sources.WHEELS else channels
    asked = msgspec.structs.replace(request, specs=(*found.specs, *request.specs), python=python, channels=kept)
    return asked, (*found.notes, *(part.notes if part else ()))


def without_unknown_defaults(request: Request) -> tuple[Request, tuple[str, ...]]:
    """The request without the channel `defaults` where there are others and nothing says what it stands for."""
    others = tuple(word for word in request.channels if word != _DEFAULTS)
    if not others or others == request.channels:
        return request, ()
    condarc = read_condarc()
    if condarc.default_channels or _DEFAULTS in condarc.custom_multichannels:
        return request, ()
    note = "its channel `defaults` is not asked: `default_channels` in conda's configuration would say what it is"
    return msgspec.structs.replace(request, channels=others), (note,)


def of_channels(request: Request, part: CondaPart | None, platform: str, *, offline: bool = False) -> Request:
    """The request as it can be planned for a platform, where `part` is planned from channels.

    All that conda's part names must be in the channels, but for packages of the catalog, whose wheels are known: under
    the other names an index may have other projects. A Python that no channel has is one of the machine. IntegrityError
    where a channel has another file than an explicit list says, else errors as those of `request_with_file`.
    """
    if part is None or not part.is_strict or request.sources is Sources.WHEELS:
        return request
    own = [spec for spec in part.specs if spec in request.specs]
    if not own:
        return request
    try:
        channels = open_channels(request.channels, specs=own, offline=offline)
        if channels is None:
            return request
        view = channels.view(platform)
        absent = [spec for spec in own if not _is_there(spec, view)]
        for pin in part.pins:
            _check_pin(pin, view)
    except (UnavailableError, FormatError, RequestError) as error:
        raise error if part.pins else _with_hint(error) from error
    elsewhere = {spec: python_elsewhere(spec) for spec in absent if _name(spec) in _OF_EVERY_ENVIRONMENT}
    lacking = [spec for spec in absent if spec not in elsewhere and (find_project(_name(spec)) is None or "::" in spec)]
    if lacking:
        raise _lacking(lacking, view)
    specs = (one for spec in request.specs for one in elsewhere.get(spec, (spec,)))
    return msgspec.structs.replace(request, specs=tuple(specs))


def _as_wheel(spec: str) -> str:
    """The requirement as one that no channel is asked for: PEP 508 lets a list of extras be empty."""
    found = _REQUIREMENT.fullmatch(spec)
    return f"{found['name']}[]{found['rest']}" if found and found["name"].lower() != "python" else spec


def _is_there(spec: str, view: ChannelView) -> bool:
    found = read_conda_spec(spec)
    if found is None:
        return True
    if found.channel:
        view.channels.place(found.name, found.channel)
    project = find_project(found.name)
    return any(map(view.has, dict.fromkeys((found.name, *((project.name,) if project else ())))))


def _name(spec: str) -> str:
    found = read_conda_spec(spec)
    return found.name if found else ""


def _check_pin(pin: PinnedFile, view: ChannelView) -> None:
    same = [record for record in view.records(pin.name) if record.file_name == pin.filename]
    if not same:
        raise NoPlanError(
            f"the channel `{pin.channel}` has no `{pin.filename}`",
            reasons=(f"asked for {view.subdir} and noarch",),
            hints=("an older file may be gone: make the list anew",),
        )
    for told, kind, is_as_listed in (
        (pin.sha256, "SHA-256", any(_hex(one.sha256) == pin.sha256 for one in same)),
        (pin.md5, "MD5", any(_hex(one.md5) == pin.md5 for one in same)),
    ):
        if told and not is_as_listed:
            raise IntegrityError(
                f"`{pin.filename}` of `{pin.channel}` is not the file of the list",
                reasons=(f"the list says {kind} {told}, the channel says another",),
            )


def _hex(digest: bytes | None) -> str | None:
    return digest.hex() if digest else None


def _with_hint(error: GpuenvError) -> GpuenvError:
    if any("--only wheels" in hint for hint in error.hints):
        return error
    return type(error)(error.message, reasons=error.reasons, hints=(*error.hints, _HINT), details=error.details)


def _lacking(specs: list[str], view: ChannelView) -> NoPlanError:
    names = ", ".join(f"`{place.name}`" for place in view.channels.places)
    return NoPlanError(
        f"no channel has {', '.join(f'`{spec}`' for spec in specs)}",
        reasons=(f"asked for {view.subdir} and noarch: {names}",),
        hints=("name a channel that has it with `-c`", _HINT),
    )
