"""`gpuenv export`: an environment in the words of other tools."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.options import chosen_prefix, environment_options

__all__ = ["export_command"]

_FORMATS = ("requirements.txt", "pylock.toml", "environment.yml", "json")


@click.command("export", short_help="Write an environment down for other tools.")
@environment_options
@click.option(
    "--format", "-f", "form", type=click.Choice(_FORMATS), default=_FORMATS[0], show_default=True, help="What to write."
)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where to write.")
def export_command(name: str | None, prefix: Path | None, form: str, output: Path | None) -> int:
    """Write the environment -n NAME, -p PATH or the active one down for pip, uv or conda, with hashes."""
    text = gpuenv.export(chosen_prefix(name, prefix), gpuenv.ExportFormat(form))
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        from gpuenv.errors import UnavailableError

        raise UnavailableError(f"cannot write `{output}`", reasons=(error.strerror or str(error),)) from error
    return 0
