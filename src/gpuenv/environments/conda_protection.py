"""What the owner of a conda prefix forbids: any change (`conda-meta/frozen`), versions (`conda-meta/pinned`).

Formats: CEP 22 (frozen environments); conda's documentation, "Managing packages", and `conda/core/solve.py` (pinned).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gpuenv.errors import NoPlanError, RequestError
from gpuenv.model import LockedConda, Plan, Request, printable

if TYPE_CHECKING:
    from rattler import MatchSpec

__all__ = ["Pin", "broken_pins", "check_pins", "frozen_message", "read_pins", "refuse_frozen", "within_pins"]

_MOST_BYTES = 1 << 20
_MOST_LINES = 20


class _Frozen(msgspec.Struct):
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A line of `conda-meta/pinned`, and the package that it is for."""

    text: str
    name: str
    spec: MatchSpec


def refuse_frozen(prefix: Path, *, override: bool) -> None:
    """RequestError where the environment at `prefix` is marked as frozen, unless that is to be overridden."""
    message = None if override else frozen_message(prefix)
    if message is not None:
        raise RequestError(
            f"`{prefix}` is frozen: it is not to be changed",
            reasons=tuple(line for line in map(printable, message.splitlines()[:_MOST_LINES]) if line),
            hints=("change it nevertheless, at your own risk, with `--override-frozen`",),
        )


def frozen_message(prefix: Path) -> str | None:
    """What the mark of a frozen environment says, which may be nothing; None where there is no mark."""
    place = prefix / "conda-meta" / "frozen"
    try:
        with place.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        # A mark that cannot be read is one.
        return ""
    try:
        return msgspec.json.decode(content, type=_Frozen).message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return content.decode("utf-8", "replace")


def read_pins(prefix: Path) -> tuple[Pin, ...]:
    """The pins of a prefix. RequestError for a line that is no spec."""
    place = prefix / "conda-meta" / "pinned"
    try:
        with place.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    pins: list[Pin] = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        try:
            spec = MatchSpec(line)
            name = spec.name.normalized if spec.name else ""
        except (InvalidMatchSpecError, AttributeError, ValueError):
            name = ""
        if not name:
            raise RequestError(
                f"`{printable(line)}` in `{place}` is not a package spec",
                hints=("mend that line or take it out",),
            )
        pins.append(Pin(text=line, name=name, spec=spec))
    return tuple(pins)


def broken_pins(pins: Iterable[Pin], packages: Iterable[LockedConda]) -> tuple[tuple[Pin, LockedConda], ...]:
    """The pins that packages do not keep, each with its package. One that is not among them keeps any pin."""
    there = {one.name: one for one in packages}
    return tuple((pin, there[pin.name]) for pin in pins if pin.name in there and not _keeps(there[pin.name], pin))


def check_pins(pins: Iterable[Pin], packages: Iterable[LockedConda]) -> None:
    """NoPlanError where a package does not keep a pin."""
    if broken := broken_pins(pins, packages):
        raise NoPlanError(
            "what was asked for breaks a pin of the environment",
            reasons=tuple(
                f"`conda-meta/pinned` says `{printable(pin.text)}`, and {one.name} {one.version} {one.build} would come"
                for pin, one in broken
            ),
            hints=("ask for what the pin allows, or take its line out of `conda-meta/pinned`",),
        )


def within_pins(request: Request, make: Callable[[Request], Plan], pins: tuple[Pin, ...]) -> Plan:
    """The plan of `request` that `make` gives, with the pins as further bounds on the packages that it has.

    NoPlanError as `make` and `check_pins`.
    """
    first, bounds = make(request), dict[str, None]()
    plan = first
    while broken := [pin for pin, _ in broken_pins(pins, plan.conda) if pin.text not in bounds]:
        bounds |= dict.fromkeys(pin.text for pin in broken)
        try:
            plan = make(msgspec.structs.replace(request, specs=(*request.specs, *bounds)))
        except NoPlanError as error:
            said = tuple(f"`conda-meta/pinned` says `{printable(text)}`" for text in bounds)
            raise NoPlanError(
                error.message, reasons=(*said, *error.reasons), hints=error.hints, details=error.details
            ) from error
    check_pins(pins, plan.conda)
    return msgspec.structs.replace(plan, request=first.request)


def _keeps(package: LockedConda, pin: Pin) -> bool:
    from rattler import PackageRecord, VersionWithSource
    from rattler.package import BuildString

    number = package.record.get("build_number")
    record = PackageRecord(
        package.name,
        VersionWithSource(package.version),
        BuildString(package.build),
        number if isinstance(number, int) else 0,
        package.subdir,
    )
    return pin.spec.matches(record)
