"""`gpuenv export`: an environment in the words of other tools."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.options import chosen_machine, chosen_prefix, environment_options, is_elsewhere, machine_option

__all__ = ["export_command"]

_FORMATS = (
    *("requirements.txt", "pylock.toml", "environment.yml", "environment.yml-from-history", "conda-explicit"),
    *("pixi.lock", "dockerfile", "json"),
)


@click.command("export", short_help="Write an environment down for other tools.")
@environment_options
@click.option(
    "--lock",
    "lock",
    type=click.Path(path_type=Path, dir_okay=False),
    is_flag=False,
    flag_value="gpuenv.lock",
    metavar="[FILE]",
    help="Write a plan of this lock instead (`--lock gpuenv.lock`).",
)
@machine_option
@click.option(
    "--format", "-f", "form", type=click.Choice(_FORMATS), default=_FORMATS[0], show_default=True, help="What to write."
)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where to write.")
def export_command(
    name: str | None, prefix: Path | None, lock: Path | None, machine: str | None, form: str, output: Path | None
) -> int:
    """Write the environment -n NAME, -p PATH or the active one down for pip, uv, conda or Docker, with hashes.

    With --lock it is what a lock holds for this machine or for -m MACHINE. A Dockerfile takes one of NVIDIA's images
    only where packages need CUDA libraries that no wheel brings.
    """
    text = _text(name, prefix, lock, machine, gpuenv.ExportFormat(form))
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        from gpuenv.errors import UnavailableError

        raise UnavailableError(f"cannot write `{output}`", reasons=(error.strerror or str(error),)) from error
    return 0


def _text(
    name: str | None, prefix: Path | None, lock: Path | None, machine: str | None, form: gpuenv.ExportFormat
) -> str:
    if lock is None:
        if machine is not None:
            raise click.UsageError("`--machine` belongs to `--lock`", click.get_current_context())
        return gpuenv.export(chosen_prefix(name, prefix), form)
    if name is not None or prefix is not None:
        raise click.UsageError("name an environment or a lock, not both", click.get_current_context())
    named = (machine,) if machine is not None else ()
    return gpuenv.export_lock(
        form,
        start=Path.cwd(),
        path=None if lock == Path("gpuenv.lock") and not lock.exists() else lock,
        machine=chosen_machine(machine) if is_elsewhere(named) else None,
    )
