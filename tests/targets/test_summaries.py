"""The numbers of one library: those that were measured on real wheels, and laws of the spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.made_readings import code
from gpuenv.channels.catalog.releases import library_code, releases_of
from gpuenv.facts.architectures import load_capabilities
from gpuenv.model import LibraryCode, LibrarySummary, UnitGroup
from gpuenv.targets.summaries import summarize_library
from gpuenv.versions import CodeImage

KNOWN = [str(row.capability) for row in load_capabilities()]
BOARDS = [str(row.capability) for row in load_capabilities() if not row.tegra]


def of_torch(version: str, name: str) -> LibrarySummary:
    """What the catalog read in the wheel for Linux on x86-64."""
    (release,) = (one for one in releases_of("torch") if one.version == version)
    (library,) = (one for one in library_code(release.code["linux-x86_64"]) if one.name == name)
    return summarize_library(library)


def span(first: str, last: str) -> list[str]:
    """The boards from one capability to another."""
    return BOARDS[BOARDS.index(first) : BOARDS.index(last) + 1]


# docs/coverage.md: B, general units, all units, the shares that are neither 0 nor 1, and the boards with 1.
MEASURED = [
    ("2.15.0", "libtorch_cuda.so", 5, 476, 534, {}, span("7.5", "12.1")),
    ("2.15.0", "libtorch_cuda_linalg.so", 5, 33, 33, {"7.5": 0.0303}, span("8.0", "12.1")),
    ("2.13.0", "libtorch_cuda_linalg.so", 4, 65, 65, {}, span("8.0", "12.1")),
    ("2.10.0", "libtorch_cuda.so", 5, 456, 456, {}, span("7.0", "12.1")),
    (
        *("1.13.1", "libtorch_cuda_cpp.so", 5, 82, 400),
        {"3.5": 0.1829, "3.7": 0.9756, "5.0": 0.9756, "5.2": 0.9756},
        span("6.0", "8.9"),
    ),
]


@pytest.mark.parametrize(("version", "name", "breadth", "general", "units", "between", "whole"), MEASURED)
def test_the_table_of_real_wheels(
    version: str, name: str, breadth: int, general: int, units: int, between: dict[str, float], whole: list[str]
) -> None:
    """Breadth, units and coverage of PyTorch's libraries are those that were measured, for every board."""
    summary = of_torch(version, name)
    assert (summary.breadth, summary.general_units, summary.units) == (breadth, general, units)
    expected = {one: 1.0 if one in whole else between.get(one, 0.0) for one in BOARDS}
    assert {one: summary.coverage[one] for one in BOARDS} == expected
    assert list(summary.coverage) == list(summary.ways) == KNOWN


def test_what_runs_is_what_the_rules_say() -> None:
    """At least half is enough, under a tenth is nothing, and between them nobody knows."""
    linalg, main = of_torch("2.15.0", "libtorch_cuda_linalg.so"), of_torch("2.15.0", "libtorch_cuda.so")
    old = of_torch("1.13.1", "libtorch_cuda_cpp.so")
    assert (linalg.ways["7.5"], linalg.ways["8.0"], linalg.runs_on) == ("none", "sass", ("8.0 to 12.1",))
    assert main.runs_on == ("7.5 to 12.1",)
    assert (old.ways["3.5"], old.perhaps_on, old.runs_on) == ("unknown", ("3.5",), ("3.7 to 8.9",))
    # 11.0 is a system on chip, for which this wheel has nothing.
    assert main.ways["11.0"] == "none"


def test_ptx_runs_on_what_comes_later() -> None:
    """The driver compiles it there, which is another way than machine code of its own."""
    summary = summarize_library(code("sm_80", "compute_90/ptx8.4"))
    assert summary.sass == ("sm_80",)
    assert summary.ptx == ("compute_90/ptx8.4",)
    told = [summary.ways[one] for one in ("7.5", "8.0", "8.9", "9.0", "12.0")]
    assert told == ["none", "sass", "sass", "jit", "jit"]
    assert summary.runs_on == ("8.0 to 12.1",)


def test_gaps_between_boards_part_spans() -> None:
    """Code for Volta and Hopper alone is no code for what lies between."""
    summary = summarize_library(code("sm_70", "sm_90"))
    assert summary.runs_on == ("7.0 to 7.5", "9.0")


def test_relocatable_code_is_told_apart() -> None:
    """It is no image of the library, yet the driver links its PTX again for what comes later."""
    linked = code("sm_80")
    objects = (UnitGroup(images=tuple(map(CodeImage.parse, ("sm_80", "compute_80/ptx8.0"))), units=2),)
    summary = summarize_library(LibraryCode(name="x", groups=linked.groups, relocatable=objects))
    assert (summary.sass, summary.ptx) == (("sm_80",), ())
    assert summary.relocatable == ("sm_80", "compute_80/ptx8.0")
    assert (summary.ways["8.0"], summary.ways["9.0"], summary.ways["7.5"]) == ("sass", "jit", "none")


def test_a_library_that_chooses_tells_its_shares_all_the_same() -> None:
    """One unit for each generation is what NVIDIA's own do: any that runs is enough, and the share says how many."""
    groups = tuple(UnitGroup(images=(CodeImage.parse(f"sm_{one}"),), units=1) for one in (70, 80, 90, 100))
    summary = summarize_library(LibraryCode(name="x", groups=groups))
    assert summary.chooses_at_run_time
    assert summary.coverage["8.0"] == 0.25
    assert summary.ways["8.0"] == "sass"
    assert summary.runs_on == ("7.0 to 10.7",)


NUMBERS = st.sampled_from([50, 60, 61, 70, 75, 80, 86, 89, 90, 100, 103, 110, 120, 121])
IMAGES = st.one_of(
    NUMBERS.map(lambda number: f"sm_{number}"),
    NUMBERS.map(lambda number: f"compute_{number}/ptx8.7"),
    st.sampled_from(["sm_90a", "sm_100a", "sm_100f", "compute_120f/ptx9.0"]),
)
GROUPS = st.builds(
    lambda images, units: UnitGroup(images=tuple(map(CodeImage.parse, images)), units=units),
    st.lists(IMAGES, min_size=1, max_size=6, unique=True),
    st.integers(1, 50),
)


@given(groups=st.lists(GROUPS, max_size=6).map(tuple), selects=st.booleans())
def test_spans_say_what_the_ways_say(groups: tuple[UnitGroup, ...], selects: bool) -> None:
    """Each board is in a span where it runs, and in none where it does not; shares are shares."""
    summary = summarize_library(LibraryCode(name="x", groups=groups, selects_at_run_time=selects))
    assert all(0.0 <= share <= 1.0 for share in summary.coverage.values())
    assert summary.general_units <= summary.units == sum(group.units for group in groups)
    for spans, ways in ((summary.runs_on, {"sass", "jit"}), (summary.perhaps_on, {"unknown"})):
        told = {
            one
            for text in spans
            for first, _, last in [text.partition(" to ")]
            for one in KNOWN[KNOWN.index(first) : KNOWN.index(last or first) + 1]
        }
        assert {one for one in BOARDS if summary.ways[one] in ways} == told & set(BOARDS)
        assert {one for one in KNOWN if summary.ways[one] in ways} <= told
