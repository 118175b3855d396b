"""Options that several verbs share, and what they stand for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import gpuenv
from gpuenv import settings
from gpuenv.model import Machine

__all__ = [
    "as_json",
    "chosen_machine",
    "chosen_place",
    "chosen_prefix",
    "environment_options",
    "looking_options",
    "machine_option",
    "python_option",
    "verbose_option",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

machine_option: Decorator = click.option(
    "--machine",
    "-m",
    metavar="MACHINE",
    help="Another machine than this one: a file, or `gpu=2xV100,driver=535.129.03,os=linux,memory=64GiB`.",
)
python_option: Decorator = click.option("--python", metavar="VERSION", help="Python version, such as 3.11.")
as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema in the package).")
verbose_option: Decorator = click.option("--verbose", "-v", is_flag=True, help="Say more.")


def environment_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-n NAME` and `-p PATH`, which say which environment is meant."""
    by_path = click.option(
        "--prefix", "-p", type=click.Path(path_type=Path), metavar="PATH", help="Path of the environment."
    )
    by_name = click.option("--name", "-n", metavar="NAME", help="Name of the environment.")
    return by_name(by_path(function))


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
    """The machine that `--machine` or GPUENV_MACHINE names, else this one."""
    text = text if text is not None else settings.variable("GPUENV_MACHINE") or None
    return gpuenv.parse_machine(text) if text is not None else gpuenv.probe_here()


def is_elsewhere(text: str | None) -> bool:
    """Whether another machine than this one is meant."""
    return text is not None or bool(settings.variable("GPUENV_MACHINE"))


def chosen_prefix(name: str | None, prefix: Path | None) -> Path:
    """The path of the environment that is meant; RequestError when that cannot be told."""
    return gpuenv.resolve_prefix(name, prefix, os.environ)
