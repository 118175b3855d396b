"""Rules on the machine code that was read: a kernel image for each GPU, and libraries beside the main one."""

from __future__ import annotations

from typing import Any

import pytest

from gpuenv.channels.catalog.releases import library_code, releases_of
from gpuenv.model import LibraryCode, Needs, Verdict
from gpuenv.rules import check
from gpuenv.rules.code import main_library, targets_in_words
from rule_cases import GIB, Case, gpu, library, machine, needs, verdict_of, words_of

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

MIXED = machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"))
OLD = library("10: sm_60 sm_70 sm_80")
NEW = library("10: sm_75 sm_80 sm_90 sm_120")
PORTABLE = library("10: sm_60 sm_70 compute_70/ptx8.4")


def image(verdict: Verdict, code: LibraryCode, *boards: str, says: str = "", hint: str = "", **here: Any) -> Case:
    """A package of CUDA 12.4 with this library, on these boards."""
    return Case(
        rule="kernel-image",
        verdict=verdict,
        needs=needs(cuda="12.4", libraries=(code,)),
        machine=machine(*(gpu(board) for board in boards), **here),
        says=says,
        hint=hint,
    )


def side(verdict: Verdict, *codes: LibraryCode, board: str = "T4", says: str = "", **here: Any) -> Case:
    """A package with these libraries, the main one first."""
    return Case(
        rule="side-library",
        verdict=verdict,
        needs=needs(libraries=codes),
        machine=machine(gpu(board), **here),
        says=says,
        silent=not says,
    )


IMAGES = [
    image(WORKS, OLD, "V100", says="carries code for Tesla V100-SXM2-16GB (7.0)"),
    image(FAILS, NEW, "V100", says="carries no code for Tesla V100-SXM2-16GB (7.0): it has code for 7.5 to 12.0"),
    image(FAILS, OLD, "RTX 5090", says="code for 6.0 to 8.0"),
    image(FAILS, PORTABLE, "K80", says="code for 6.0 to 7.0 and PTX for 7.0"),
    image(FAILS, library("1: sm_90a"), "V100", says="it has code for 9.0"),
    image(WORKS, library("1: sm_100f"), "B300"),
    image(FAILS, library("1: sm_100f"), "RTX 5090"),
    # PTX: compiled at first use, where the driver knows its language.
    image(DEGRADED, PORTABLE, "H100", says="the driver compiles it at first use", driver="550.54.15"),
    image(
        FAILS,
        PORTABLE,
        "H100",
        driver="535.129.03",
        says="for drivers of CUDA 12.4 or later; here is one of 12.2",
        hint="serves CUDA 12.4",
    ),
    image(DEGRADED, PORTABLE, "H100", driver="535.129.03", cuda="12.4"),
    image(UNKNOWN, PORTABLE, "H100", driver=None, cuda=None, says="cannot be told"),
    image(DEGRADED, PORTABLE, "H100", driver="550.54.15", cuda=None),
    image(WORKS, PORTABLE, "V100", driver=None, cuda=None),
    # Jetson: nothing but exact code, or PTX.
    image(FAILS, library("9: sm_80 sm_86"), "Orin"),
    image(WORKS, library("9: sm_80 sm_87"), "Orin"),
    image(DEGRADED, library("9: sm_80 compute_80/ptx7.8"), "Orin"),
    # More than one GPU: what fails on some of them is degraded.
    image(DEGRADED, NEW, "RTX 5090", "GTX 1080 Ti", says="carries no code for NVIDIA GeForce GTX 1080 Ti (6.1)"),
    image(DEGRADED, OLD, "RTX 5090", "GTX 1080 Ti", says="carries no code for NVIDIA GeForce RTX 5090 (12.0)"),
    image(FAILS, library("5: sm_80 sm_90"), "RTX 5090", "GTX 1080 Ti"),
    image(WORKS, library("5: sm_61 sm_120"), "RTX 5090", "GTX 1080 Ti"),
    image(DEGRADED, library("5: sm_61 compute_70/ptx7.0"), "RTX 5090", "GTX 1080 Ti"),
    # Not known.
    image(UNKNOWN, NEW, "mystery"),
    image(DEGRADED, OLD, "V100", "mystery", says="whether its code runs on NVIDIA Board of Tomorrow cannot be told"),
    image(
        DEGRADED, library("20: sm_70 sm_80", "80: sm_80 sm_90"), "V100", "A100", says="V100-SXM2-16GB (7.0) cannot be"
    ),
    image(UNKNOWN, NEW, "GTX 1080 Ti", "mystery"),
    image(UNKNOWN, library("20: sm_70 sm_80", "80: sm_80 sm_90"), "V100", says="cannot be told"),
    Case(
        rule="kernel-image",
        verdict=UNKNOWN,
        needs=needs(cuda="12.4", libraries=None),
        machine=machine(gpu()),
        says="nobody has read",
    ),
    Case(rule="kernel-image", verdict=UNKNOWN, needs=needs(libraries=None), machine=machine(gpu())),
    # No word: compiled at run time, no code of its own, no GPU.
    Case(
        rule="kernel-image",
        verdict=WORKS,
        needs=needs(cuda="12.4", jit="sass", libraries=None),
        machine=machine(gpu()),
        silent=True,
    ),
    Case(rule="kernel-image", verdict=WORKS, needs=needs(cuda="12.4"), machine=machine(gpu()), silent=True),
    Case(rule="kernel-image", verdict=WORKS, needs=needs(libraries=(NEW,)), machine=machine(), silent=True),
    Case(
        rule="kernel-image",
        verdict=WORKS,
        needs=needs(uses_gpu=False, libraries=(NEW,)),
        machine=machine(gpu()),
        silent=True,
    ),
]

MAIN = library("90: sm_75 sm_80 sm_90 sm_100 sm_120", name="libmain.so", size=2 * GIB)
SIDES = [
    side(WORKS, MAIN, library("9: sm_75 sm_80 sm_90 sm_100", name="libside.so")),
    side(
        DEGRADED,
        MAIN,
        library("32: sm_80 sm_90 sm_100 sm_120", "1: sm_75 sm_80 sm_90 sm_100 sm_120", name="libside.so"),
        says="`libside.so` has code for Tesla T4 (7.5) in 1 of 33 units",
    ),
    # Half as general as the main library (3 of 5 majors) is a defect, less is on purpose.
    side(DEGRADED, MAIN, library("9: sm_80 sm_90 sm_100", name="libside.so"), says="in none of 9 units"),
    side(
        DEGRADED,
        library("9: sm_75 sm_80 sm_90 sm_120"),
        library("9: sm_80 sm_90", name="b.so", size=GIB // 4),
        says="in none of",
    ),
    side(
        WORKS,
        library("9: sm_75 sm_80 sm_90 sm_120"),
        library("9: sm_80", name="b.so", size=GIB // 4),
        says="on purpose",
    ),
    side(WORKS, MAIN, library("9: sm_90a sm_100a", name="_flashmla_C.so"), says="for other GPUs on purpose"),
    # cuFFT's compatibility library has one unit without a kernel.
    side(WORKS, library("9: sm_75", "9: sm_80"), library("1: sm_52", name="libcufftw.so.11", size=872)),
    side(WORKS, MAIN, library("9: sm_90a sm_100a", name="_flashmla_C.so"), board="H100"),
    # A part of its units without code is enough.
    side(
        DEGRADED,
        MAIN,
        library("3: sm_75 sm_80 sm_90 sm_100", "7: sm_80 sm_90 sm_100 sm_120", name="libside.so"),
        says="in 3 of 10 units",
    ),
    side(
        UNKNOWN,
        MAIN,
        library("9: compute_70/ptx9.0 sm_80 sm_90", name="libside.so"),
        says="cannot be told",
        driver=None,
        cuda=None,
    ),
    side(WORKS, MAIN, library("9: compute_70/ptx9.0 sm_80 sm_90", name="libside.so")),
    side(
        DEGRADED,
        MAIN,
        library("9: compute_70/ptx9.0 sm_80 sm_90", name="libside.so"),
        says="in none of 9 units",
        driver="575.51.03",
    ),
    # Where the main library does not run, the side libraries do not matter.
    side(WORKS, MAIN, library("9: sm_80 sm_90 sm_100", name="libside.so"), board="V100"),
    side(WORKS, MAIN),
    Case(rule="side-library", verdict=WORKS, needs=needs(libraries=None), machine=machine(gpu()), silent=True),
]

CASES = [*IMAGES, *SIDES]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_code_rules(case: Case) -> None:
    """Each case gets its verdict and its words."""
    case.check()


def test_each_kind_of_gpu_is_judged_once() -> None:
    """Eight of one board are one word."""
    eight = machine(*(gpu("A100", uuid=f"GPU-{index}") for index in range(8)))
    assert len(words_of("kernel-image", needs(libraries=(NEW,)), eight)) == 1


def test_where_one_of_two_gpus_runs_the_words_tell_which() -> None:
    """The RTX 5090 works and the GTX 1080 Ti does not: the package is degraded, not refused."""
    said = words_of("kernel-image", needs(libraries=(NEW,)), MIXED)
    assert said == [
        (WORKS, "carries code for NVIDIA GeForce RTX 5090 (12.0)"),
        (DEGRADED, "carries no code for NVIDIA GeForce GTX 1080 Ti (6.1): it has code for 7.5 to 12.0"),
    ]


def test_code_that_waits_for_a_newer_driver_says_for_which() -> None:
    """Two in eight units have machine code for the GPU, and the driver is too old for the PTX of the others."""
    mixed = library("2: sm_80 sm_90", "6: sm_80 compute_90/ptx8.5")
    h100 = machine(gpu("H100"), driver="535.129.03")
    (said,) = words_of("kernel-image", needs(libraries=(mixed,)), h100)
    assert said[0] is UNKNOWN
    assert said[1].startswith("2 of 8 units run on")
    assert said[1].endswith("PTX for drivers of CUDA 12.5 or later, and here is one of 12.2")


ALTERNATIVES = (
    library("9: sm_50 sm_60 sm_70 sm_75 sm_80", name="libmade_cuda118.so", loaded_for="11.8"),
    library("9: sm_70 sm_75 sm_80 sm_90 sm_100 sm_120", name="libmade_cuda128.so", loaded_for="12.8"),
)


@pytest.mark.parametrize(
    ("board", "driver", "verdict", "says"),
    [
        ("RTX 5090", "570.133.07", WORKS, "in `libmade_cuda128.so`, which CUDA 12.8 loads"),
        ("GTX 1080 Ti", "570.133.07", WORKS, "in `libmade_cuda118.so`, which CUDA 11.8 loads"),
        ("A100", "470.256.02", WORKS, "in `libmade_cuda118.so`"),
        ("K80", "470.256.02", FAILS, "carries no code for"),
        ("RTX 5090", None, WORKS, "in `libmade_cuda128.so`"),
    ],
)
def test_of_libraries_for_different_cuda_versions_the_one_that_fits_counts(
    board: str, driver: str | None, verdict: Verdict, says: str
) -> None:
    """One of them is loaded, by the CUDA in use; those for a CUDA that the driver does not serve cannot be."""
    asked = needs(libraries=ALTERNATIVES)
    here = machine(gpu(board), driver=driver) if driver else machine(gpu(board))
    found = [one for one in check(asked, here) if one.rule in {"kernel-image", "side-library"}]
    assert [(one.rule, one.verdict) for one in found] == [("kernel-image", verdict)]
    assert says in found[0].message


def test_an_alternative_for_a_cuda_that_the_driver_does_not_serve_is_no_way_to_run() -> None:
    """Code for the GPU in a library that CUDA 12 loads does not help a driver that serves CUDA 11."""
    asked = needs(libraries=(ALTERNATIVES[1],))
    found = [one for one in check(asked, machine(gpu("A100"), driver="470.256.02")) if one.rule == "kernel-image"]
    assert found[0].verdict is FAILS
    assert found[0].hints == ("update the driver to one that serves CUDA 12.8",)


def test_the_main_library_has_most_code_and_is_not_one_of_nvidias() -> None:
    """Bytes decide, then units; a bundled cuBLAS is larger than the package's own code, and no measure of it."""
    small, large = library("9: sm_80", name="a.so", size=1), library("1: sm_80", name="b.so", size=2)
    bundled = library("9: sm_80", name="libcublasLt.so.12", size=9, selects=True)
    assert main_library((small, large, bundled)) is large
    assert main_library((library("1: sm_80", name="c.so", size=1), small)) is small
    assert main_library((bundled,)) is bundled
    assert main_library((library(),)) is main_library(()) is None


def test_many_libraries_of_one_size_have_a_main_library() -> None:
    """Each of them is as large as the largest, however many there are."""
    many = tuple(library("1: sm_80", name=f"lib{number}.so", size=GIB) for number in range(30))
    assert main_library(many) in many
    assert verdict_of(check(needs(libraries=many), machine(gpu("T4")))) is FAILS


def test_the_main_library_is_a_general_one() -> None:
    """The largest may be for few GPUs on purpose; a small one for many GPUs stands for nothing."""
    special = library("300: sm_80 sm_90a", name="attention.so", size=55)
    general = library("28: sm_70 sm_75 sm_80 sm_90 sm_100 sm_120", name="_C.so", size=35)
    helper = library("1: sm_50 sm_60 sm_70 sm_80 sm_90 sm_100 sm_120", name="helper.so", size=5)
    assert main_library((special, general, helper)) is general
    assert main_library((special, helper)) is special
    assert main_library((special, library("1: sm_60 sm_70 sm_80", name="other.so", size=50))) is special


def test_targets_are_named_by_the_general_units() -> None:
    """Units for one generation beside them are left out."""
    code = library("9: sm_75 sm_80 sm_90 compute_90/ptx8.0", "99: sm_50", "1: sm_75 sm_80 sm_90 sm_100")
    assert targets_in_words(code) == "it has code for 7.5 to 9.0 and PTX for 9.0"
    assert targets_in_words(library("9: sm_75 sm_80", "1: sm_75 sm_80 sm_90 sm_100")) == "it has code for 7.5 to 8.0"
    assert targets_in_words(library("1: compute_70/ptx6.0")) == "it has PTX for 7.0"
    assert targets_in_words(library("9: sm_80", "1: sm_50", selects=True)) == "it has code for 5.0 to 8.0"


def test_ptx_of_a_span_of_toolkits_is_unknown_for_a_driver_between_them() -> None:
    """Nobody read the PTX ISA: a driver of the newest toolkit will do, one older than the oldest will not."""
    asked = needs(cuda="12.1", cuda_newest="12.6", libraries=(library("9: sm_60 compute_60"),))
    for driver, verdict in (
        ("525.60.13", FAILS),
        ("530.30.02", UNKNOWN),
        ("550.54.15", UNKNOWN),
        ("560.28.03", DEGRADED),
    ):
        assert {said for said, _ in words_of("kernel-image", asked, machine(gpu("H100"), driver=driver))} == {verdict}


def _torch(version: str) -> Needs:
    (release,) = (row for row in releases_of("torch") if row.version == version)
    return needs(subject=f"torch {version}", libraries=library_code(release.code["linux-x86_64"]))


@pytest.mark.parametrize("version", ["2.11.0", "2.13.0", "2.15.0"])
def test_torch_from_2_11_on_lacks_linear_algebra_for_turing(version: str) -> None:
    """`libtorch_cuda.so` has code for a T4, `libtorch_cuda_linalg.so` has not: part of torch.linalg does not run."""
    found = check(_torch(version), machine(gpu("T4")))
    assert verdict_of(found) is DEGRADED
    (objection,) = (finding for finding in found if finding.verdict is not WORKS)
    assert objection.rule == "side-library"
    assert "`libtorch_cuda_linalg.so` has code for Tesla T4 (7.5) in" in objection.message


def test_torch_2_10_has_code_for_pascal_beside_the_main_library_only() -> None:
    """The union over the package has 6.0; the library that matters starts at 7.0."""
    assert verdict_of(check(_torch("2.10.0"), machine(gpu("GTX 1080 Ti")))) is FAILS
    assert verdict_of(check(_torch("2.10.0"), machine(gpu("V100")))) is WORKS
