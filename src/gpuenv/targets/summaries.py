"""One library's GPU code in the numbers that people compare: images, units, and the coverage of each GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gpuenv.facts.architectures import load_capabilities
from gpuenv.model import Gpu, LibraryCode, LibrarySummary
from gpuenv.rules.coverage import Coverage, breadth, measure_coverage
from gpuenv.versions import CodeImage, CudaVersion

__all__ = ["summarize_library"]

# Newer than any driver, so that no PTX is too new for it: this tells what the code itself can do.
_ANY_DRIVER = CudaVersion("99.0")


def summarize_library(library: LibraryCode) -> LibrarySummary:
    """The numbers of one library, with its coverage of every compute capability that is known."""
    images = {image for group in library.groups for image in group.images}
    whole = _measure(library)
    # The share of general units is told of libraries that choose at run time, too: it says how much is for a GPU.
    shares = _measure(msgspec.structs.replace(library, selects_at_run_time=False))
    ways = {capability: _way_in_words(coverage) for capability, coverage in whole.items()}
    one = next(iter(shares.values()))
    return LibrarySummary(
        path=library.name,
        sass=_names(image for image in images if not image.is_ptx),
        ptx=_names(image for image in images if image.is_ptx),
        relocatable=_names({image for group in library.relocatable for image in group.images}),
        breadth=max((breadth(group) for group in library.groups), default=0),
        general_units=one.general,
        units=sum(group.units for group in library.groups),
        size_bytes=library.size_bytes,
        chooses_at_run_time=any(coverage.selects for coverage in whole.values()),
        coverage={capability: round(coverage.share, 4) for capability, coverage in shares.items()},
        ways=ways,
        runs_on=tuple(_spans({capability for capability, way in ways.items() if way in {"sass", "jit"}})),
        perhaps_on=tuple(_spans({capability for capability, way in ways.items() if way == "unknown"})),
    )


def _measure(library: LibraryCode) -> dict[str, Coverage]:
    return {
        str(row.capability): measure_coverage(
            library,
            Gpu(name=row.architecture_name, compute_capability=row.capability),
            driver_cuda=_ANY_DRIVER,
            built_with=None,
        )
        for row in load_capabilities()
    }


def _way_in_words(coverage: Coverage) -> str:
    return "unknown" if coverage.way is None else coverage.way.name.lower()


def _names(images: Iterable[CodeImage]) -> tuple[str, ...]:
    return tuple(str(image) for image in sorted(images))


def _spans(chosen: set[str]) -> Iterator[str]:
    """Neighbours among the known capabilities as spans.

    Systems on chip, which need code of their own, part no span of the boards around them.
    """
    line = [str(row.capability) for row in load_capabilities() if str(row.capability) in chosen or not row.tegra]
    start = last = ""
    for one in [*line, ""]:
        if one in chosen:
            start, last = start or one, one
        elif start:
            yield start if start == last else f"{start} to {last}"
            start = ""
