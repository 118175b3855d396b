"""How much of a library runs on a GPU: image by image, and over the units of the libraries in the catalog."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from gpuenv.channels.catalog.releases import Release, library_code, releases_of, wheel_names
from gpuenv.model import Gpu, LibraryCode
from gpuenv.rules.coverage import Coverage, Way, measure_coverage, way_to_run
from gpuenv.versions import CodeImage, CudaVersion
from rule_cases import gpu_of, library

NEWEST = CudaVersion("13.4")
OLDER = ("3.5", "3.7", "5.0", "5.2", "6.0", "6.1", "7.0", "7.5")
GENERATIONS = (*OLDER, "8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0", "12.1")


def way(image: str, device: str, driver: str | None = "13.4", built: str | None = None) -> Way:
    """How one image gets to run on a GPU, with a driver that serves this CUDA."""
    return way_to_run(
        CodeImage.parse(image),
        gpu_of(device),
        driver_cuda=CudaVersion(driver) if driver else None,
        built_with=CudaVersion(built) if built else None,
    )


def cover(code: LibraryCode, device: str, driver: str | None = "13.4") -> Coverage:
    """The coverage of one GPU by a library."""
    return measure_coverage(code, gpu_of(device), driver_cuda=CudaVersion(driver) if driver else None, built_with=None)


# ---- one image -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "runs", "does_not"),
    [
        # The same major, and no lower minor.
        ("sm_50", "5.0 5.2", "3.7 5.3 6.0 7.0"),
        ("sm_60", "6.0 6.1", "5.2 6.2 7.0"),
        ("sm_70", "7.0 7.5", "6.1 7.2 8.0"),
        ("sm_75", "7.5", "7.0 8.0 8.6 9.0"),
        ("sm_80", "8.0 8.6 8.9", "7.5 8.7 9.0 12.0"),
        ("sm_86", "8.6 8.9", "8.0 8.7 9.0"),
        ("sm_89", "8.9", "8.0 8.6 9.0"),
        ("sm_90", "9.0", "8.9 10.0 12.0"),
        ("sm_100", "10.0 10.3 10.7", "9.0 11.0 12.0"),
        ("sm_103", "10.3 10.7", "10.0 11.0 12.0"),
        ("sm_120", "12.0 12.1", "10.0 11.0 9.0"),
        ("sm_121", "12.1", "12.0"),
        # Architecture-specific code stays where it is.
        ("sm_90a", "9.0", "10.0 12.0 8.9"),
        ("sm_100a", "10.0", "10.3 10.7 12.0"),
        ("sm_103a", "10.3", "10.0 10.7"),
        ("sm_120a", "12.0", "12.1"),
        ("compute_90a/ptx8.0", "", "10.0 12.0 8.9"),
        ("compute_100a/ptx8.7", "", "10.3 12.0"),
        # Family-specific code moves up within its family.
        ("sm_100f", "10.0 10.3 10.7", "11.0 12.0 12.1 9.0"),
        ("sm_103f", "10.3 10.7", "10.0 11.0 12.0"),
        ("sm_110f", "11.0", "10.0 12.0"),
        ("sm_120f", "12.0 12.1", "10.0 10.3 11.0"),
        ("sm_121f", "12.1", "12.0"),
        # NVIDIA promises nothing to and from Tegra chips.
        ("sm_30", "3.0 3.5 3.7", "3.2"),
        ("sm_32", "3.2", "3.0 3.5 3.7"),
        ("sm_52", "5.2", "5.3"),
        ("sm_53", "5.3", "5.0 5.2"),
        ("sm_61", "6.1", "6.2"),
        ("sm_62", "6.2", "6.0 6.1"),
        ("sm_72", "7.2", "7.0 7.5"),
        ("sm_87", "8.7", "8.0 8.6 8.9"),
        ("sm_110", "11.0", "10.0 12.0"),
    ],
)
def test_where_machine_code_runs(image: str, runs: str, does_not: str) -> None:
    """CUDA C++ Programming Guide, Binary Compatibility; PTX ISA manual, table of family-specific targets."""
    assert [device for device in runs.split() if way(image, device) is not Way.SASS] == []
    assert [device for device in does_not.split() if way(image, device) is not Way.NONE] == []


@pytest.mark.parametrize(
    ("image", "runs", "does_not"),
    [
        ("compute_50/ptx7.8", "5.0 5.3 6.2 7.2 8.7 9.0 11.0 12.1", "3.5 3.7"),
        ("compute_75/ptx7.8", "7.5 8.0 8.7 12.0", "7.0 7.2 6.1"),
        ("compute_90/ptx8.0", "9.0 10.0 11.0 12.0", "8.9 8.7"),
        ("compute_90a/ptx8.0", "9.0", "10.0 12.0"),
        ("compute_100f/ptx8.8", "10.0 10.3 10.7", "11.0 12.0"),
        ("compute_120f/ptx8.8", "12.0 12.1", "11.0 10.3"),
        ("compute_120/ptx8.7", "12.0 12.1", "11.0 10.3 9.0"),
    ],
)
def test_where_ptx_runs(image: str, runs: str, does_not: str) -> None:
    """PTX is compiled for any later GPU, Tegra too, unless a suffix ties it down."""
    assert [device for device in runs.split() if way(image, device) is not Way.JIT] == []
    assert [device for device in does_not.split() if way(image, device) is not Way.NONE] == []


@pytest.mark.parametrize(
    ("isa", "first"), [("8.4", "12.4"), ("8.5", "12.5"), ("8.7", "12.8"), ("9.0", "13.0"), ("7.8", "11.8")]
)
def test_ptx_needs_a_driver_of_the_cuda_that_knows_its_language(isa: str, first: str) -> None:
    """A driver of the CUDA that brought the PTX ISA compiles it; the one before does not, minor version or not."""
    before = {"12.4": "12.3", "12.5": "12.4", "12.8": "12.7", "13.0": "12.9", "11.8": "11.7"}[first]
    assert way(f"compute_80/ptx{isa}", "9.0", first) is Way.JIT
    assert way(f"compute_80/ptx{isa}", "9.0", before) is Way.NONE
    assert way(f"compute_80/ptx{isa}", "9.0", None) is Way.UNKNOWN


def test_ptx_whose_language_nobody_read_is_of_the_cuda_of_the_build() -> None:
    """Where neither is known, nor is the answer."""
    assert way("compute_80", "9.0", "12.4", "12.4") is Way.JIT
    assert way("compute_80", "9.0", "12.3", "12.4") is Way.NONE
    assert way("compute_80", "9.0", "12.4", None) is Way.UNKNOWN


def test_ptx_isa_that_the_table_does_not_have() -> None:
    """Older than the table any driver of the table knows it; newer than the table no driver of the table does."""
    assert way("compute_20/ptx3.2", "5.0", "7.0") is Way.JIT
    assert way("compute_20/ptx3.2", "5.0", "6.5") is Way.UNKNOWN
    assert way("compute_80/ptx9.9", "9.0", "13.0") is Way.NONE
    assert way("compute_80/ptx9.9", "9.0", "13.4") is Way.UNKNOWN
    assert way("compute_80/ptx9.9", "9.0", "13.4", "13.0") is Way.UNKNOWN


@pytest.mark.parametrize("image", ["sm_101", "sm_101a", "sm_101f", "compute_101a/ptx8.6"])
def test_code_under_the_former_number_of_thor_is_unknown_there(image: str) -> None:
    """Thor was 10.1 and became 11.0. Whether a driver loads the old number was confirmed nowhere."""
    assert way(image, "11.0") is Way.UNKNOWN
    assert way(image, "10.0") is Way.NONE
    assert way(image, "12.0") is Way.NONE


def test_portable_ptx_under_the_former_number_of_thor_is_compiled() -> None:
    """Base PTX runs on any GPU of a higher number, which 11.0 is."""
    assert way("compute_101/ptx8.6", "11.0") is Way.JIT


@pytest.mark.parametrize("image", ["sm_80", "compute_80/ptx7.8", "sm_90a"])
def test_on_a_gpu_of_unknown_capability_nothing_is_known(image: str) -> None:
    """Neither that it runs, nor that it does not."""
    made = way_to_run(CodeImage.parse(image), Gpu(name="GPU"), driver_cuda=NEWEST, built_with=None)
    assert made is Way.UNKNOWN


# ---- units ---------------------------------------------------------------------------------------------------


@cache
def read(wheel: str, version: str, name: str, platform: str = "linux-x86_64") -> LibraryCode:
    """A library of the catalog, as it was read out of its wheel."""
    (release,) = (row for row in releases_of(wheel) if row.version == version)
    return next(code for code in library_code(release.code[platform]) if code.name == name)


def shares(code: LibraryCode) -> dict[str, float]:
    """The coverage of each generation, to two places."""
    return {device: round(cover(code, device).share, 2) for device in (*GENERATIONS, "11.0")}


@pytest.mark.parametrize(
    ("wheel", "version", "name", "breadth", "general", "units", "from_", "to"),
    [
        ("torch", "2.15.0", "libtorch_cuda.so", 5, 476, 534, "7.5", "12.1"),
        ("torch", "2.10.0", "libtorch_cuda.so", 5, 456, 456, "7.0", "12.1"),
        ("torch", "2.10.0", "libtorch_cuda_linalg.so", 7, 107, 107, "5.0", "12.1"),
        ("torch", "2.13.0", "libtorch_cuda_linalg.so", 4, 65, 65, "8.0", "12.1"),
        ("torch", "2.11.0", "libtorch_cuda_linalg.so", 4, 99, 99, "8.0", "12.1"),
        ("xgboost", "3.4.1", "libxgboost.so", 5, 65, 65, "7.5", "12.1"),
        ("cupy-cuda11x", "13.6.0", "cub.cpython-311-x86_64-linux-gnu.so", 6, 1, 1, "3.5", "12.1"),
        ("mxnet-cu112", "1.9.1", "libmxnet.so", 4, 198, 198, "5.0", "8.9"),
    ],
)
def test_general_units_cover_a_generation_or_do_not(
    wheel: str, version: str, name: str, breadth: int, general: int, units: int, from_: str, to: str
) -> None:
    """Measured on the wheels: within its span of generations a library is covered whole, outside not at all."""
    code = read(wheel, version, name)
    counted = cover(code, from_)
    assert (counted.breadth, counted.general) == (breadth, general)
    assert sum(group.units for group in code.groups) == units
    span = GENERATIONS[GENERATIONS.index(from_) : GENERATIONS.index(to) + 1]
    assert {device for device, share in shares(code).items() if share == 1.0} - {"11.0"} == set(span)
    assert {device for device, share in shares(code).items() if share == 0.0} >= set(GENERATIONS) - set(span)


def test_linalg_of_torch_2_15_has_one_unit_of_33_for_turing() -> None:
    """3 % of the units is not covered, though the union of all images has 7.5."""
    code = read("torch", "2.15.0", "libtorch_cuda_linalg.so")
    assert (cover(code, "7.5").general, cover(code, "7.5").runs) == (33, 1)
    assert shares(code)["7.5"] == 0.03
    assert cover(code, "7.5").way is Way.NONE
    assert {shares(code)[device] for device in GENERATIONS[len(OLDER) :]} == {1.0}


def test_torch_1_13_with_cudnn_inside_is_judged_by_82_units_of_400() -> None:
    """The other 318 are cuDNN's, each for one generation. What is for 8.6 is no PTX that 9.0 could use."""
    code = read("torch", "1.13.1", "libtorch_cuda_cpp.so")
    counted = cover(code, "8.0")
    assert (counted.breadth, counted.general, sum(group.units for group in code.groups)) == (5, 82, 400)
    found = shares(code)
    assert found["3.7"] == found["5.0"] == 0.98
    assert {found[device] for device in ("6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9")} == {1.0}
    assert {found[device] for device in ("9.0", "10.0", "11.0", "12.0", "12.1")} == {0.0}


def test_objects_do_not_count_beside_what_was_linked_from_them() -> None:
    """Version 1.7.6 of xgboost holds 362 units of NCCL's objects without PTX; 41 of its own 42 units have PTX."""
    code = read("xgboost", "1.7.6", "libxgboost.so")
    counted = cover(code, "9.0")
    assert (counted.jit, counted.general) == (41, 42)
    assert counted.way is Way.JIT
    assert sum(group.units for group in code.relocatable) == 362
    together = msgspec.structs.replace(code, groups=(*code.groups, *code.relocatable), relocatable=())
    assert (cover(together, "9.0").general, cover(together, "9.0").way) == (404, None)


def test_on_readings_of_the_catalog_the_answer_is_nearly_always_one_or_zero() -> None:
    """Over all readings and generations, fewer than 1 in 100 answers lie between the bounds."""
    codes = [code for wheel in wheel_names() for row in releases_of(wheel) for code in _codes_of(row)]
    assert len(codes) > 200
    answers = [cover(code, device).way for code in codes for device in ("6.1", "7.0", "7.5", "8.0", "9.0", "12.0")]
    assert answers.count(None) < len(answers) / 100


def _codes_of(row: Release) -> list[LibraryCode]:
    readings = row.code.values()
    return [code for reading in readings for code in library_code(reading) if code.groups]


@pytest.mark.parametrize(
    ("running", "expected"), [(0, Way.NONE), (9, Way.NONE), (10, None), (49, None), (50, Way.SASS), (100, Way.SASS)]
)
def test_from_half_of_the_general_units_on_a_gpu_is_covered_and_below_a_tenth_not(
    running: int, expected: Way | None
) -> None:
    """0.5 and 0.1 are the bounds, both exact."""
    code = library(*([f"{running}: sm_70 sm_80"] if running else []), f"{100 - running}: sm_80 sm_90")
    assert cover(code if running < 100 else library("100: sm_70 sm_80"), "7.0").way is expected


def test_units_that_perhaps_run_make_the_answer_unknown_where_it_depends_on_them() -> None:
    """40 units run, 30 more perhaps: not known. 60 run: covered, whatever becomes of the others."""
    assert cover(library("40: sm_70 sm_80", "30: compute_60/ptx6.0 sm_80", "30: sm_80 sm_90"), "7.0", None).way is (
        Way.UNKNOWN
    )
    assert cover(library("60: sm_70 sm_80", "40: compute_60/ptx6.0 sm_80"), "7.0", None).way is Way.SASS


def test_breadth_counts_majors_and_half_of_it_is_rounded_up() -> None:
    """Of B = 5, units with 3 majors are general and those with 2 are not; 7.0 and 7.5 are one major."""
    code = library("10: sm_50 sm_60 sm_70 sm_75 sm_80 sm_90", "20: sm_70 sm_80 sm_90", "40: sm_80 sm_86 sm_90")
    counted = cover(code, "9.0")
    assert (counted.breadth, counted.general) == (5, 30)
    even = cover(library("10: sm_60 sm_70 sm_80 sm_90", "20: sm_80 sm_90", "40: sm_90"), "9.0")
    assert (even.breadth, even.general) == (4, 30)


def test_a_library_that_selects_is_covered_by_any_unit_that_runs() -> None:
    """So does cuBLASLt: it covers 7.5 with a twentieth of its units; without the mark that is not enough."""
    groups = ("5: sm_75", "95: sm_80", "900: sm_90")
    assert cover(library(*groups, selects=True), "7.5").way is Way.SASS
    assert cover(library(*groups, selects=True), "7.0").way is Way.NONE
    assert cover(library("5: sm_75 sm_80", "95: sm_80 sm_90", selects=True), "7.5").way is Way.SASS
    assert cover(library("5: sm_75 sm_80", "95: sm_80 sm_90"), "7.5").way is Way.NONE
    assert cover(library("5: compute_70/ptx6.0", "95: sm_80", selects=True), "7.5", None).way is Way.UNKNOWN
    assert cover(library("5: compute_70/ptx6.0", "95: sm_80", selects=True), "7.5").way is Way.JIT


def test_units_for_single_generations_mean_that_the_library_selects() -> None:
    """As in FlashAttention 3, whose units are for 8.0 or for 9.0a."""
    code = library("30: sm_80", "70: sm_90a")
    assert cover(code, "8.0").way is cover(code, "9.0").way is Way.SASS
    assert cover(code, "12.0").way is cover(code, "7.5").way is Way.NONE


def test_units_for_one_generation_that_differ_in_form_only_do_not_select() -> None:
    """One unit of 101 with PTX does not carry a library for 7.0 onto 9.0."""
    code = library("100: sm_70", "1: compute_70/ptx6.0")
    assert not cover(code, "9.0").selects
    assert cover(code, "9.0").way is Way.NONE


def test_ptx_in_most_units_is_a_way_by_compilation() -> None:
    """With machine code in fewer than half of the units the library as a whole is compiled."""
    assert cover(library("10: sm_80 compute_70/ptx6.3 sm_60"), "7.5").way is Way.JIT
    assert cover(library("4: sm_75 sm_80", "6: sm_80 compute_70/ptx6.3 sm_60"), "7.5").way is Way.JIT
    assert cover(library("5: sm_75 sm_80", "5: sm_80 compute_70/ptx6.3 sm_60"), "7.5").way is Way.SASS
    assert cover(library("4: sm_75 sm_80", "1: compute_70/ptx6.3 sm_60", "5: sm_80 sm_90"), "7.5").way is Way.JIT


def test_a_library_without_units_covers_nothing() -> None:
    """There is nothing to divide by."""
    counted = cover(library(), "8.0")
    assert (counted.share, counted.way, counted.general) == (0.0, Way.NONE, 0)


# ---- code that the device linker made ------------------------------------------------------------------------


def relinkable(*linked: str, objects: tuple[str, ...]) -> LibraryCode:
    """A library with these groups, linked from these objects."""
    return msgspec.structs.replace(library(*linked), relocatable=library(*objects).groups)


@pytest.mark.parametrize(
    ("objects", "device", "driver", "runs"),
    [
        # Each object has PTX: the driver links them again.
        (("2: sm_80 sm_90 compute_90/ptx8.4",), "12.0", "13.4", Way.JIT),
        (("2: sm_80 sm_90 compute_90/ptx8.4",), "9.0", "13.4", Way.SASS),
        # One has none for this GPU, none at all, or PTX that the driver does not know.
        (("1: sm_80 sm_90 compute_90/ptx8.4", "1: sm_80 sm_90"), "12.0", "13.4", Way.NONE),
        (("1: sm_80 sm_90",), "12.0", "13.4", Way.NONE),
        (("2: sm_80 sm_90 compute_90/ptx8.4",), "12.0", "12.2", Way.NONE),
        (("2: sm_80 sm_90 compute_90/ptx8.4",), "7.5", "13.4", Way.NONE),
        (("2: sm_80 sm_90 compute_90/ptx8.4",), "12.0", None, Way.UNKNOWN),
    ],
)
def test_objects_are_linked_again_where_each_has_ptx(
    objects: tuple[str, ...], device: str, driver: str | None, runs: Way
) -> None:
    """What the device linker made has no PTX; the objects beside it may."""
    assert cover(relinkable("1: sm_80 sm_90", objects=objects), device, driver).way is runs


def test_only_the_linked_unit_is_linked_again() -> None:
    """Other units of the library are not made from those objects, and do not run because of their PTX."""
    objects = ("3: sm_80 sm_90 compute_90/ptx8.4",)
    mixed = cover(relinkable("38: sm_70 sm_80 sm_90", "1: sm_80 sm_90", objects=objects), "12.0")
    assert (mixed.jit, mixed.unknown, mixed.general, mixed.way) == (1, 0, 39, Way.NONE)
    nobody_knows = cover(relinkable("38: sm_70 sm_80 sm_90", "1: sm_90", objects=objects), "12.0")
    assert nobody_knows.way is Way.UNKNOWN
