"""Options that several verbs share, and what they stand for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

import gpuenv
from gpuenv import settings
from gpuenv.model import GpuPolicy, IndexPolicy, Machine, Request, Sources

__all__ = [
    "ChosenSources",
    "as_json",
    "channel_options",
    "chosen_machine",
    "chosen_machines",
    "chosen_place",
    "chosen_prefix",
    "chosen_request",
    "environment_options",
    "looking_options",
    "machine_option",
    "machines_option",
    "policy_options",
    "python_option",
    "said_policies",
    "verbose_option",
]

_UNNAMED = "this machine"
_HERE = "here"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

machine_option: Decorator = click.option(
    "--machine",
    "-m",
    metavar="MACHINE",
    help="Another machine than this one: a file, or `gpu=2xV100,driver=535.129.03,os=linux,memory=64GiB`.",
)
python_option: Decorator = click.option("--python", metavar="VERSION", help="Python version, such as 3.11.")
machines_option: Decorator = click.option(
    "--machine",
    "-m",
    "machines",
    multiple=True,
    metavar="MACHINE",
    help="Another machine than this one, once for each: a file, or `gpu=2xV100,driver=535.129.03,memory=64GiB`.",
)
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema in the package).")
verbose_option: Decorator = click.option("--verbose", "-v", is_flag=True, help="Say more.")


def environment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-n NAME` and `-p PATH`, which say which environment is meant."""
    by_path = click.option(
        "--prefix", "-p", type=click.Path(path_type=Path), metavar="PATH", help="Path of the environment."
    )
    by_name = click.option("--name", "-n", metavar="NAME", help="Name of the environment.")
    return by_name(by_path(function))


def policy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--gpu`, `--allow-degraded` and `--index-policy`: what a plan may be made of."""
    gpu = click.option(
        "--gpu",
        type=click.Choice([one.value for one in GpuPolicy]),
        default=GpuPolicy.PREFER.value,
        help="Whether packages must be on the GPU (require), are if they can (prefer), or never.",
    )
    degraded = click.option(
        "--allow-degraded", is_flag=True, help="Take the newest that runs, even where a part lacks code for the GPU."
    )
    indexes = click.option(
        "--index-policy",
        type=click.Choice([one.value for one in IndexPolicy]),
        default=IndexPolicy.ALL.value,
        help="Ask your index only (pypi), or projects' own indexes as well where they have more (all).",
    )
    return gpu(degraded(indexes(function)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSources:
    """What `channel_options` were given: conda channels in order of priority, and whether only one kind will do.

    `is_said` tells whether any of the options was given.
    """

    channels: tuple[str, ...]
    sources: Sources
    is_said: bool


def channel_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-c CHANNEL`, `--override-channels` and `--only`, handed on together as `sources`."""
    channel = click.option(
        "--channel",
        "-c",
        "channels",
        multiple=True,
        metavar="CHANNEL",
        help="A conda channel by name, address or path, once for each; the first goes first.",
    )
    override = click.option(
        "--override-channels", is_flag=True, help="Only the channels named here, not those of `.condarc`."
    )
    only = click.option(
        "--only",
        type=click.Choice([Sources.CONDA.value, Sources.WHEELS.value]),
        help="Take conda packages only, or wheels only.",
    )

    @wraps(function)
    def with_sources(
        *arguments: Any, channels: tuple[str, ...], override_channels: bool, only: str | None, **options: Any
    ) -> Any:
        is_said = bool(channels or override_channels or only)
        wheels_only = only == Sources.WHEELS.value
        further = () if override_channels or wheels_only else gpuenv.configured_channels()
        chosen = ChosenSources(
            channels=tuple(dict.fromkeys((*channels, *further))),
            sources=Sources(only or Sources.ALL.value),
            is_said=is_said,
        )
        return function(*arguments, sources=chosen, **options)

    return channel(override(only(with_sources)))


def chosen_request(
    specs: tuple[str, ...],
    *,
    python: str | None,
    gpu: str,
    allow_degraded: bool,
    index_policy: str,
    sources: ChosenSources,
) -> Request:
    """The request that the arguments and options of a verb make."""
    return Request(
        specs=specs,
        python=python,
        gpu=GpuPolicy(gpu),
        allow_degraded=allow_degraded,
        indexes=IndexPolicy(index_policy),
        channels=sources.channels,
        sources=sources.sources,
    )


def said_policies() -> frozenset[str]:
    """The fields of a request that the user said by `policy_options`, be it what is usual."""
    context = click.get_current_context()
    options = {"gpu": "gpu", "allow_degraded": "allow_degraded", "index_policy": "indexes"}
    given = (
        field for name, field in options.items() if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )
    return frozenset(given)


def looking_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--no-cache` and `--offline`, for verbs that look into packages."""
    no_cache = click.option("--no-cache", is_flag=True, help="Read again what was read before, and keep nothing.")
    offline = click.option("--offline", is_flag=True, help="Ask no network: only files here and what was read before.")
    return no_cache(offline(function))


def chosen_place(targets: tuple[str, ...], name: str | None, prefix: Path | None) -> Path | None:
    """The environment that targets are packages of, where one is named; a usage error where nothing is named at all."""
    if name is not None or prefix is not None:
        return chosen_prefix(name, prefix)
    if not targets:
        raise click.UsageError("name a package, a file or a directory", click.get_current_context())
    return None


def chosen_machine(text: str | None) -> Machine:
    """The machine that `--machine` or GPUENV_MACHINE names (`here` as in a `gpuenv.toml`), else this one."""
    text = text if text is not None else settings.variable("GPUENV_MACHINE") or None
    return gpuenv.parse_machine(text) if text is not None and text != _HERE else gpuenv.probe_here()


def chosen_machines(texts: tuple[str, ...]) -> tuple[Machine, ...]:
    """The machines that `--machine` names, else the one of GPUENV_MACHINE, else this one."""
    named = texts or ((from_variable,) if (from_variable := settings.variable("GPUENV_MACHINE")) else ())
    return tuple(map(_named_machine, named)) or (gpuenv.probe_here(),)


def _named_machine(text: str) -> Machine:
    """The machine that `text` names; one from a recording, which has no name, is named as the file."""
    if text == _HERE:
        return gpuenv.probe_here()
    machine = gpuenv.parse_machine(text)
    return machine if machine.name != _UNNAMED else msgspec.structs.replace(machine, name=Path(text).stem)


def is_elsewhere(texts: tuple[str, ...]) -> bool:
    """Whether other machines than this one are meant."""
    return bool(texts or settings.variable("GPUENV_MACHINE"))


def chosen_prefix(name: str | None, prefix: Path | None) -> Path:
    """The path of the environment that is meant; RequestError when that cannot be told."""
    return gpuenv.resolve_prefix(name, prefix, os.environ)
