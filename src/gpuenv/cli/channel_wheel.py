"""`gpuenv channel wheel`: a wheel as a conda package whose constraints are those of its binaries."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.options import as_json, looking_options, python_option
from gpuenv.cli.progress import Progress
from gpuenv.cli.wheel_text import show_wheel
from gpuenv.model import to_json

__all__ = ["wheel_command"]


@click.command("wheel", short_help="Make a conda package of a wheel.")
@click.argument("wheel", metavar="NAME|FILE|URL")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("channel"),
    show_default=True,
    metavar="DIR",
    help="The channel that the package goes into.",
)
@click.option("--version", "release", metavar="VERSION", help="The release of NAME, by default the newest.")
@python_option
@click.option("--platform", metavar="PLATFORM", help="The platform, such as linux-x86_64.")
@click.option("--build-number", "number", type=click.IntRange(0), default=0, metavar="N", help="The build number.")
@click.option(
    "--soft-arch", is_flag=True, help="Let clients without __cuda_arch install it: bounds go into `constrains`."
)
@looking_options
@as_json
def wheel_command(
    wheel: str,
    output: Path,
    release: str | None,
    python: str | None,
    platform: str | None,
    number: int,
    soft_arch: bool,
    no_cache: bool,
    offline: bool,
    as_json: bool,
) -> int:
    """Make a conda package of a wheel: a NAME on your package index, a FILE (.whl), or the URL of one.

    Its requirements are mapped to conda's names, and its tags and its binaries say which Python, C library, driver
    (__cuda) and GPUs (__cuda_arch) it asks for. A wheel without native files becomes one for any Python (noarch). A
    wheel whose RECORD is not true, or with paths that lead out of it, is refused. The same wheel gives the same bytes.
    """
    with Progress() as progress:
        report = gpuenv.package_wheel(
            wheel,
            output,
            release=release,
            python=python,
            platform=platform,
            number=number,
            soft_architectures=soft_arch,
            cache=not no_cache,
            offline=offline,
            report=progress,
        )
    if as_json:
        click.echo(to_json(report))
    else:
        show_wheel(report)
    return 0
