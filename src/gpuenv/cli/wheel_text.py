"""A wheel that became a conda package, in words."""

from __future__ import annotations

import shlex

from gpuenv.cli.text import bytes_in_words, hanging, heading, indented, page, plain_table, printable
from gpuenv.model import WheelReport

__all__ = ["show_wheel"]


def show_wheel(report: WheelReport) -> None:
    """The package, what it requires, what conda has no words for, and what to do next."""
    package = report.package
    with page() as out:
        out.print(heading(printable(f"made {package.file} of {report.wheel}")))
        table = plain_table("", "")
        rows = (
            ("in", f"{report.channel} ({bytes_in_words(package.size_bytes)})"),
            ("requires", "\n".join(package.depends)),
            ("constrains", "\n".join(package.constrains)),
            ("code for", _targets(package.sass)),
            ("PTX for", _targets(package.ptx)),
        )
        for name, value in rows:
            if value:
                table.add_row(name, printable_lines(value))
        out.print(indented(table, 2))
        if report.replaced:
            out.print(hanging("note: ", "it took the place of a package of the same name"))
        for note in report.notes:
            out.print(hanging("note: ", printable(note)))
        command = f"gpuenv channel index {shlex.quote(report.channel)}"
        out.print(hanging("hint: ", printable(f"`{command}` lists it for clients")))


def printable_lines(text: str) -> str:
    """Several lines, each of them printable."""
    return "\n".join(map(printable, text.split("\n")))


def _targets(images: tuple[str, ...]) -> str:
    """`sm_90a` as `9.0a`, `compute_90/ptx8.4` as `9.0`."""
    numbers = [image.partition("/")[0].partition("_")[2] for image in images]
    digits = [(number, number.rstrip("af")) for number in numbers]
    return " ".join(dict.fromkeys(f"{plain[:-1]}.{plain[-1]}{number[len(plain) :]}" for number, plain in digits))
