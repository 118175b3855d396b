"""`gpuenv channel audit`: what conda packages say of themselves against what is in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import gpuenv
from gpuenv.cli.audit_text import show_audited, show_totals
from gpuenv.cli.failure import show_problem
from gpuenv.cli.options import as_json, looking_options, verbose_option
from gpuenv.cli.progress import Progress
from gpuenv.model import AuditedPackage, to_json

__all__ = ["audit_command"]


@click.command("audit", short_help="Compare what packages say of themselves with what is in them.")
@click.argument("targets", nargs=-1, required=True, metavar="CHANNEL|PACKAGE...")
@click.option(
    "--subdir", "subdirs", multiple=True, metavar="SUBDIR", help="Only this part of a channel, such as linux-64."
)
@click.option(
    "--patch",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write corrections as a repodata patch: a directory, .zip, .tar.gz, or a conda package for indexers.",
)
@click.option(
    "--jobs", "-j", type=click.IntRange(1, 32), metavar="N", help="How many packages to read at once (4 by default)."
)
@looking_options
@verbose_option
@as_json
def audit_command(
    targets: tuple[str, ...],
    subdirs: tuple[str, ...],
    patch: Path | None,
    jobs: int | None,
    no_cache: bool,
    offline: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Compare the metadata of conda packages with their binaries, for every package of a CHANNEL (a directory, an
    address or a name) or for a PACKAGE (.conda or .tar.bz2, a path or an address).

    Errors are GPU code that nothing declares, bounds on __cuda and __cuda_arch that let in what cannot run it, another
    CUDA than the binary is linked with, CUDA libraries that nothing brings, builds whose order nobody decided, records
    that are not of the file. Packages are told of as they are read; an audit that was stopped goes on where it was.
    The exit code is 1 when something is wrong (warnings alone: 0), 3 when something could not be read.
    """
    with _Beside() as progress:

        def tell(package: AuditedPackage) -> None:
            if not as_json:
                with progress.aside():
                    show_audited(package, verbose=verbose)

        report = gpuenv.audit_packages(
            targets,
            subdirs=subdirs,
            patch=patch,
            cache=not no_cache,
            offline=offline,
            report=progress,
            on_package=tell,
            **({"jobs": jobs} if jobs else {}),
        )
    if as_json:
        click.echo(to_json(report))
    else:
        show_totals(report)
    for problem in report.problems:
        show_problem(problem, verbose=verbose)
    return max((1 if report.errors else 0, *(problem.exit_code for problem in report.problems)))


class _Beside(Progress):
    """Progress that makes way for answers which come while it is shown."""

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, standard output is free."""
        with self._lock:
            if self._status:
                self._status.stop()
            try:
                yield
                sys.stdout.flush()
            finally:
                if self._status:
                    self._status.start()
