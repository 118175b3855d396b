"""From a request to what its packages are to come from: channels opened, specs taken apart, the Pythons to try."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import msgspec

from gpuenv import settings
from gpuenv.channels.catalog import Project
from gpuenv.channels.conda.opening import open_channels
from gpuenv.errors import NoPlanError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import Reporter, Request, Sources
from gpuenv.plans.channel_specs import ChannelSpecs, without_login
from gpuenv.plans.knowledge import Knowledge
from gpuenv.plans.layer import choose_layer
from gpuenv.plans.pythons import PythonChoice, choose_pythons, conda_pythons
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import GpuSpec, Wanted, read_specs

__all__ = ["in_order", "open_channels_once", "printable_request", "pythons_for", "wanted_of", "with_python"]

_PYTHON = Project(name="python")


def open_channels_once(knowledge: Knowledge, request: Request, *, offline: bool, report: Reporter) -> None:
    """Puts the channels of a request into what is known, where it has any and they are not there yet.

    RequestError for a word that names no channel, or where only conda packages are wanted and there is no channel.
    """
    if request.sources is Sources.WHEELS or knowledge.channels is not None:
        return
    knowledge.channels = open_channels(
        request.channels, specs=request.specs, offline=offline, must_have=request.sources is Sources.CONDA
    )
    if knowledge.channels is not None:
        report.step("reading the channels")


def wanted_of(request: Request, platform: str, knowledge: Knowledge) -> Wanted:
    """The specs of a request taken apart; errors as those of `read_specs`."""
    channels = knowledge.channels
    if channels is None:
        return read_specs(request.specs, platform)
    there = ChannelSpecs(
        view=channels.view(platform),
        sources=request.sources,
        platform=platform,
        python=request.python or settings.variable("GPUENV_PYTHON") or None,
        specs=request.specs,
    )
    return read_specs(request.specs, platform, channels=there)


def pythons_for(
    request: Request, wanted: Wanted, platform: str, knowledge: Knowledge, interpreters: tuple[Interpreter, ...]
) -> tuple[PythonChoice, ...]:
    """The Pythons to try: those of the channels where these have any, else those found on the machine."""
    view = knowledge.channels.view(platform) if knowledge.channels else None
    if view is not None and view.has("python"):
        from rattler import MatchSpec

        typed = [MatchSpec(spec.conda) for spec in wanted.gpu if spec.name == "python"]
        versions = [
            str(record.version) for record in view.records("python") if all(record.matches(spec) for spec in typed)
        ]
        return conda_pythons(request.python, wanted.python, versions, for_wheels=wanted.needs_wheels)
    return choose_pythons(request.python, wanted.python, interpreters)


def in_order(
    pythons: tuple[PythonChoice, ...], wanted: Wanted, setting_for: Callable[[str], Setting]
) -> tuple[PythonChoice, ...]:
    """The Pythons of channels with the one first that the conda packages of a request would bring by themselves: they
    are to be in their newest release, and not where Python is the newest.
    """
    specs = tuple(spec for spec in wanted.gpu if spec.from_channel and spec.name != "python")
    if len(pythons) < 2 or pythons[0].spec is None or not specs:
        return pythons
    with suppress(NoPlanError):
        layer = choose_layer(specs, setting_for(""), wanted.bounds)
        versions = [str(record.version) for record in layer.records if record.name.normalized == "python"]
        return tuple(
            sorted(pythons, key=lambda one: not any(f"{found}.".startswith(f"{one.version}.") for found in versions))
        )
    return pythons


def with_python(wanted: Wanted, choice: PythonChoice) -> Wanted:
    """The specs with one on the Python that was chosen, where that comes from a channel."""
    if choice.spec is None:
        return wanted
    spec = GpuSpec(typed=choice.spec, name="python", conda=choice.spec, project=_PYTHON, from_channel=True)
    return replace(wanted, gpu=(*wanted.gpu, spec))


def printable_request(request: Request, knowledge: Knowledge) -> Request:
    """The request as a plan keeps it: channels without logins and tokens, those in specs too."""
    channels = knowledge.channels
    if channels is None:
        return request
    return msgspec.structs.replace(
        request,
        specs=tuple(map(without_login, request.specs)),
        channels=tuple(str(place.path or place.name) for place in channels.places),
    )
