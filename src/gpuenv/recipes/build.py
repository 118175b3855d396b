"""`build_channel`: from a recipe and its variants to packages in a channel that say where they run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpuenv.errors import IntegrityError, RequestError, ToolError, UnavailableError
from gpuenv.model import BuildReport, Reporter, Silence
from gpuenv.recipes.compiling import compile_variant
from gpuenv.recipes.finishing import Forms, finish
from gpuenv.recipes.indexing import index_locked
from gpuenv.recipes.judging import Checked, check_all
from gpuenv.recipes.looking import Looked, look
from gpuenv.recipes.publishing import channel_lock, publish
from gpuenv.recipes.rendering import Rendered, find_recipe, find_variants, render, require_rattler_build

__all__ = ["build_channel"]


def build_channel(
    recipe: Path,
    channel: Path,
    *,
    variants: Sequence[Path] = (),
    channels: Sequence[str] = (),
    platform: str | None = None,
    metapackage: bool = False,
    mutex: bool = False,
    soft_architectures: bool = False,
    v3: bool = False,
    shards: bool = False,
    report: Reporter | None = None,
) -> BuildReport:
    """Builds every variant of `recipe`, stamps what its binaries ask for, and puts the packages into `channel`.

    `variants` are files of rattler-build's form, by default `variants.yaml` beside the recipe. `channels` are where
    packages to build with come from; by default there are none, and compilers are those of this computer. `platform`
    is a channel's directory, such as `linux-64`. With `soft_architectures` the bounds on `__cuda_arch` go into
    `constrains`, so that clients without that virtual package install the build as well.

    RequestError where recipe or variants are wrong, ToolError where a build fails, IntegrityError where what was built
    is not what was asked for. In each of these cases the channel is as it was before. Of the last two, what was built
    and the log stay in the directory that the error names.
    """
    require_rattler_build()
    report = report or Silence()
    if channel.exists() and not channel.is_dir():
        raise RequestError(f"`{channel}` is a file, and a channel is a directory")
    path = find_recipe(recipe)
    files = find_variants(path, tuple(variants))
    forms = Forms(v3=v3, metapackage=metapackage, mutex=mutex, soft_architectures=soft_architectures)
    report.step("reading the recipe")
    rendered = render(path, files, platform=platform, v3=v3)
    _keep_out_of_packages(channel, path)
    with _work_directory() as work:
        checked = _refuse_wrong(check_all(_built(rendered, tuple(channels), work, report)), work)
        report.step("stamping")
        finished = finish(checked, forms, work).without_known(channel)
        with channel_lock(channel):
            replaced = publish(finished.paths, channel)
            index = index_locked(channel, zst=True, shards=shards, report=report)
    return BuildReport(
        channel=str(channel), recipe=str(recipe), packages=tuple(finished.packages), replaced=replaced, index=index
    )


@contextmanager
def _work_directory() -> Iterator[Path]:
    """A directory to build in. It stays where an error of ours names it, and goes in every other case."""
    try:
        work = Path(tempfile.mkdtemp(prefix="gpuenv-build-"))
    except OSError as error:
        raise UnavailableError("there is no directory to build in", reasons=(str(error),)) from error
    try:
        yield work
    except (ToolError, IntegrityError):
        raise
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)


def _keep_out_of_packages(channel: Path, recipe: Path) -> None:
    """A package holds its recipe's directory. Where the channel lies in that, each build would hold the one before."""
    if not channel.resolve().is_relative_to(recipe.parent):
        return
    try:
        channel.mkdir(parents=True, exist_ok=True)
        (channel / ".condapackageignore").write_text("*\n", "utf-8")
    except OSError as error:
        raise UnavailableError(f"cannot write to `{channel}`", reasons=(error.strerror or str(error),)) from error


def _built(rendered: Sequence[Rendered], channels: Sequence[str], work: Path, report: Reporter) -> list[Looked]:
    """All packages, built and looked into."""
    found = []
    for number, one in enumerate(rendered, start=1):
        report.step(f"building {one.wish.label} of {one.name} ({number} of {len(rendered)})")
        package = compile_variant(one, output=work / "built", channels=channels, log=work / "build.log")
        report.detail(f"looking into {package.name}")
        found.append(look(one, package))
    return found


def _refuse_wrong(checked: tuple[Checked, ...], work: Path) -> tuple[Checked, ...]:
    """The same, where nothing contradicts the recipe; IntegrityError with every contradiction else."""
    wrong = [text for one in checked for text in one.wrong]
    if wrong:
        rendered = checked[0].judged.looked.rendered
        raise IntegrityError(
            f"what was built of `{rendered.name} {rendered.version}` is not what its recipe says",
            reasons=(*wrong, f"the packages are in `{work / 'built'}`, and none of them in the channel"),
        )
    return checked
