"""An inspected artifact in words: what it is, how it uses a GPU, and its libraries with the GPUs that they run on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from gpuenv.cli.text import bytes_in_words, hanging, heading, indented, plain_table, printable
from gpuenv.model import ArtifactKind, GpuSupport, Inspection, LibrarySummary, Needs

__all__ = ["runs_on_in_words", "show_inspection", "summary_row", "support_in_words"]

_KINDS = {
    ArtifactKind.FILE: "file",
    ArtifactKind.WHEEL: "wheel",
    ArtifactKind.CONDA: "conda package",
    ArtifactKind.SDIST: "source",
    ArtifactKind.INSTALLED: "installed",
}
_SYSTEMS = {"linux": "Linux", "windows": "Windows", "macos": "macOS"}
_MOST_ROWS = 20
_PACKAGE = re.compile(r"[A-Za-z0-9_.-]+")
# What a requirement says beside the name and the version: extras and markers.
_DETAILS = re.compile(r"\[[^\]]*\]|;.*", re.DOTALL)


def show_inspection(out: Console, inspection: Inspection, *, verbose: bool) -> None:
    """Print one artifact."""
    artifact, needs = inspection.artifact, inspection.needs
    out.print(heading(printable(artifact.subject)))
    out.print(indented(printable(_what_it_is(inspection)), 2))
    facts = plain_table("", "", "")
    for name, value, source in _facts(needs):
        facts.add_row(name, printable(value), printable(source))
    out.print(indented(facts, 2))
    if needs.system_cuda:
        out.print(hanging("  expects     ", printable(f"{needs.system_cuda} on the machine")))
    if inspection.libraries:
        out.print()
        out.print(_libraries(inspection.libraries, verbose=verbose))
    if verbose:
        _show_evidence(out, inspection)
    for problem in inspection.problems:
        out.print(hanging("note: ", printable(problem)))


def summary_row(inspection: Inspection, *, name: str | None = None) -> tuple[str, str, str, str]:
    """Name (with version, or the one given), how it uses a GPU, CUDA, and the GPUs that its main library runs on."""
    needs = inspection.needs
    main = next((one for one in inspection.libraries if one.is_main), None)
    return (
        printable(name or inspection.artifact.subject),
        support_in_words(needs),
        _cuda_in_words(needs),
        runs_on_in_words(main) if main else "",
    )


def support_in_words(needs: Needs) -> str:
    """How a package uses a GPU: `run-time`, `through torch`, `no`, `unknown` where what could tell was not read."""
    if needs.gpu_support is GpuSupport.NONE:
        return "unknown" if needs.libraries is None else "no"
    if needs.gpu_support is not GpuSupport.THROUGH:
        return needs.gpu_support.value
    told = [one.value for one in needs.evidence if one.what in {"requires", "imports"}]
    names = dict.fromkeys(found[0] for text in told if (found := _PACKAGE.match(text)))
    return f"through {' or '.join(names)}" if names else "through another package"


def runs_on_in_words(library: LibrarySummary) -> str:
    """The compute capabilities that a library serves: `7.5 to 9.0, 10.0 to 12.1`."""
    text = ", ".join(library.runs_on) or "none"
    return f"{text}; perhaps {', '.join(library.perhaps_on)}" if library.perhaps_on else text


def _what_it_is(inspection: Inspection) -> str:
    artifact = inspection.artifact
    systems = ", ".join(_platform(one) for one in artifact.platforms)
    pythons = artifact.pythons
    span = "" if not pythons else pythons[0] if len(pythons) == 1 else f"{pythons[0]} to {pythons[-1]}"
    native = len(inspection.files)
    build = f" {artifact.build}" if artifact.build else ""
    parts = [
        f"{_KINDS[artifact.kind]}{build}" + (f" for {systems}" if systems else ""),
        f"Python {span}" if span else "",
        bytes_in_words(artifact.size_bytes) if artifact.size_bytes else "",
        f"{native} native of {inspection.members} files" if artifact.kind is not ArtifactKind.FILE else "",
    ]
    return ", ".join(part for part in parts if part)


def _platform(platform: str) -> str:
    system, _, arch = platform.partition("-")
    return f"{_SYSTEMS.get(system, system)} {arch}".strip()


def _facts(needs: Needs) -> Iterator[tuple[str, str, str]]:
    yield "uses a GPU", support_in_words(needs), ""
    if needs.cuda:
        yield "CUDA", _cuda_in_words(needs), _source(needs, "CUDA line")
    if needs.driver_floor:
        yield "driver", f"{needs.driver_floor} or later", _source(needs, "driver")
    if needs.jit:
        yield "compiles", f"when it runs, to {needs.jit.value.upper()}", _source(needs, "run-time compiler")
    if needs.lowest_capability:
        yield "documented", f"for {needs.lowest_capability} and later", _source(needs, "lowest compute capability")
    if needs.glibc:
        yield "C library", f"glibc {needs.glibc} or later", _source(needs, "GNU C library symbols")
    if needs.other_vendors:
        yield "also for", f"{', '.join(needs.other_vendors)}, which is not judged", ""


def _cuda_in_words(needs: Needs) -> str:
    if needs.cuda is None:
        return ""
    newest = needs.cuda_newest or needs.cuda
    return str(needs.cuda) if newest == needs.cuda else f"{needs.cuda} to {newest}"


def _source(needs: Needs, what: str) -> str:
    """Where the first evidence of its kind was read, without a requirement's markers and a path's directories."""
    found = next((one.source for one in needs.evidence if one.what == what), "")
    return _DETAILS.sub("", found).rpartition("/")[2]


def _libraries(libraries: tuple[LibrarySummary, ...], *, verbose: bool) -> object:
    shown = sorted(libraries, key=lambda one: -one.size_bytes)
    rest = [] if verbose else shown[_MOST_ROWS:]
    names = Counter(one.path.rpartition("/")[2] for one in libraries)
    table = plain_table("library", "machine code for", "PTX", "units", "runs on", right=("units",))
    for one in shown if verbose else shown[:_MOST_ROWS]:
        name = one.path.rpartition("/")[2]
        table.add_row(
            printable(one.path if verbose or names[name] > 1 else name),
            _targets(one.sass),
            _targets(one.ptx),
            str(one.units) if one.units == one.general_units else f"{one.general_units} of {one.units}",
            runs_on_in_words(one),
        )
    if rest:
        table.add_row(f"and {len(rest)} more: `-v` lists them", "", "", str(sum(one.units for one in rest)), "")
    return table


def _targets(images: tuple[str, ...]) -> str:
    """`sm_90a` as `9.0a`, `compute_90/ptx8.4` as `9.0`."""
    found = dict.fromkeys(image.partition("/")[0].partition("_")[2] for image in images)
    return " ".join(_dotted(one) for one in found)


def _dotted(number: str) -> str:
    digits = number.rstrip("af")
    return f"{digits[:-1]}.{digits[-1]}{number[len(digits) :]}"


def _show_evidence(out: Console, inspection: Inspection) -> None:
    if inspection.needs.evidence:
        out.print()
        table = plain_table("found", "", "where")
        for one in inspection.needs.evidence:
            table.add_row(printable(one.what), printable(one.value), printable(one.source))
        out.print(table)
