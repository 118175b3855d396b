"""`gpuenv channel build`: the CPU and the GPU packages of a recipe, checked and stamped by what is inside them."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.channel_text import show_build
from gpuenv.cli.failure import show_problem
from gpuenv.cli.options import as_json, verbose_option
from gpuenv.cli.progress import Progress
from gpuenv.model import to_json

__all__ = ["build_command"]

_PATH = click.Path(path_type=Path)


@click.command("build", short_help="Build the CPU and the GPU packages of a recipe.")
@click.argument("recipe", type=_PATH)
@click.option(
    "--variants",
    "-m",
    "variants",
    multiple=True,
    type=_PATH,
    metavar="FILE",
    help="CUDA versions and architectures; by default the variants.yaml beside the recipe.",
)
@click.option(
    "--output",
    "-o",
    type=_PATH,
    default=Path("channel"),
    show_default=True,
    metavar="DIR",
    help="The channel that the packages go into.",
)
@click.option("--channel", "-c", "channels", multiple=True, metavar="CHANNEL", help="Where packages to build with are.")
@click.option("--target-platform", metavar="SUBDIR", help="Build for another platform, such as linux-aarch64.")
@click.option("--metapackage/--no-metapackage", help="Make NAME-gpu, which brings the GPU build of NAME.")
@click.option("--mutex/--no-mutex", help="Make NAME-mutex, of which an environment has one build, cpu or cuda.")
@click.option(
    "--soft-arch", is_flag=True, help="Let clients without __cuda_arch install it: bounds go into `constrains`."
)
@click.option("--v3", is_flag=True, help="Write flags and records of revision 3, which older clients do not see.")
@click.option("--shards/--no-shards", help="Write sharded repodata as well.")
@verbose_option
@as_json
def build_command(
    recipe: Path,
    variants: tuple[Path, ...],
    output: Path,
    channels: tuple[str, ...],
    target_platform: str | None,
    metapackage: bool,
    mutex: bool,
    soft_arch: bool,
    v3: bool,
    shards: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Build RECIPE, a recipe.yaml or its directory, once for each variant, and look into what came out.

    What the binaries ask for is written on the packages: the oldest driver (__cuda), the GPUs (__cuda_arch), what they
    are for (the build string), and which is preferred (the build number). The exit code is 1, and the channel as it
    was, when a package is not what its recipe says: an architecture that was asked for is missing, a CUDA library is
    neither inside nor required, GPU code is in a build for the CPU.
    """
    with Progress() as progress:
        report = gpuenv.build_channel(
            recipe,
            output,
            variants=variants,
            channels=channels,
            platform=target_platform,
            metapackage=metapackage,
            mutex=mutex,
            soft_architectures=soft_arch,
            v3=v3,
            shards=shards,
            report=progress,
        )
    problems = report.index.problems if report.index else ()
    if as_json:
        click.echo(to_json(report))
    else:
        show_build(report, verbose=verbose)
    for problem in problems:
        show_problem(problem, verbose=verbose)
    return 0
