"""What is told of a channel that was built or indexed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gpuenv.cli.text import bytes_in_words, hanging, heading, indented, page, plain_table, printable
from gpuenv.model import BuildReport, BuiltKind, BuiltPackage, IndexReport

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_build", "show_index"]

_WITHOUT_FILES = (BuiltKind.METAPACKAGE, BuiltKind.MUTEX)


def show_build(report: BuildReport, *, verbose: bool) -> None:
    """The builds, with what was written on them, then the files, then what to know."""
    with page() as out:
        out.print(heading(printable(f"built {_what(report.packages)} into {report.channel}")))
        _show_builds(out, report.packages, verbose=verbose)
        out.print()
        files = plain_table("", "")
        for one in report.packages:
            files.add_row(printable(one.file), bytes_in_words(one.size_bytes))
        out.print(indented(files, 2))
        for name in report.replaced:
            out.print(hanging("note: ", printable(f"replaced {name}, which the channel had before")))
        for one in report.packages:
            for warning in one.warnings:
                out.print(hanging("warning: ", printable(f"{one.build}: {warning}")))


def _show_builds(out: Console, packages: Iterable[BuiltPackage], *, verbose: bool) -> None:
    listed = [one for one in packages if one.kind not in _WITHOUT_FILES]
    table = plain_table("build", "CUDA", "machine code", "PTX", "asks for")
    table.columns[0].no_wrap = True
    several = len({one.name for one in listed}) > 1
    for one in listed:
        specs = (*one.depends, *one.constrains) if verbose else one.stamped
        flags = (f"flags {', '.join(one.flags)}",) if one.flags else ()
        name = f"{one.name} {one.build}" if several else one.build
        table.add_row(
            printable(name),
            str(one.cuda) if one.cuda else "-",
            _targets(one.sass) or "-",
            _targets(one.ptx) or "-",
            "\n".join(map(printable, (*specs, *flags))) or "-",
        )
    out.print(indented(table, 2))


def _what(packages: Iterable[BuiltPackage]) -> str:
    """`vectors 1.0: 1 CPU and 2 GPU builds, 1 metapackage`."""
    listed = list(packages)
    subjects = dict.fromkeys(f"{one.name} {one.version}" for one in listed if one.kind not in _WITHOUT_FILES)
    counts = Counter(one.kind for one in listed)
    builds = [
        f"{counts[kind]} {word}"
        for kind, word in ((BuiltKind.CPU, "CPU"), (BuiltKind.GPU, "GPU"), (BuiltKind.PLAIN, "plain"))
        if counts[kind]
    ]
    total = counts[BuiltKind.CPU] + counts[BuiltKind.GPU] + counts[BuiltKind.PLAIN]
    *first, last = builds or ["no"]
    counted = f"{', '.join(first)} and {last}" if first else last
    text = f"{', '.join(subjects)}: {counted} build{'' if total == 1 else 's'}"
    beside = sum(counts[kind] for kind in _WITHOUT_FILES)
    return f"{text}, {beside} without files" if beside else text


def _targets(images: tuple[str, ...]) -> str:
    """`sm_90a` as `9.0a`, `compute_90/ptx8.4` as `9.0`."""
    numbers = [image.partition("/")[0].partition("_")[2] for image in images]
    return " ".join(dict.fromkeys(_dotted(number) for number in numbers))


def _dotted(number: str) -> str:
    digits = number.rstrip("af")
    return f"{digits[:-1]}.{digits[-1]}{number[len(digits) :]}"


def show_index(report: IndexReport) -> None:
    """How many packages each directory has."""
    total = sum(one.packages for one in report.subdirs)
    with page() as out:
        out.print(heading(printable(f"indexed {total} package{'' if total == 1 else 's'} of {report.channel}")))
        table = plain_table("directory", "packages", "of revision 3", "files", right=("packages", "of revision 3"))
        for one in report.subdirs:
            table.add_row(one.subdir, str(one.packages), str(one.v3_packages or "-"), ", ".join(one.files))
        out.print(indented(table, 2))
