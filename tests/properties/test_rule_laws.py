"""Laws of the rules: better machines never get worse words, nothing raises, and every noun survives its JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gpuenv.facts.architectures import find_capability, load_capabilities
from gpuenv.facts.toolkits import driver_cuda, load_toolkits
from gpuenv.model import (
    Choice,
    Cpu,
    Driver,
    DriverState,
    Evidence,
    Explanation,
    Finding,
    Gpu,
    GpuSupport,
    Jit,
    LibraryCode,
    LockedWheel,
    Machine,
    Needs,
    OperatingSystem,
    PassedOver,
    Plan,
    PlannedPackage,
    Request,
    System,
    UnitGroup,
    Vendor,
    Verdict,
    from_json,
    to_json,
)
from gpuenv.rules import check, report_machine
from gpuenv.rules.coverage import Way, measure_coverage, way_to_run
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion, PtxIsa
from rule_cases import BOARDS, gpu, gpu_of, verdict_of

QUICK = settings(max_examples=60, deadline=None)
FEW = settings(max_examples=25, deadline=None)

# ---- strategies ----------------------------------------------------------------------------------------------

TEXT = st.text(max_size=12)
CAPABILITIES = st.sampled_from([row.capability for row in load_capabilities()])
ANY_CAPABILITY = CAPABILITIES | st.builds(ComputeCapability, st.from_regex(r"\A[0-9]{1,2}\.[0-9]\Z"))
CUDA = st.sampled_from([toolkit.version for toolkit in load_toolkits()])
ANY_CUDA = CUDA | st.builds(CudaVersion, st.from_regex(r"\A[0-9]{1,2}\.[0-9]{1,2}\Z"))
ISA = st.sampled_from([toolkit.ptx_isa for toolkit in load_toolkits()])
ANY_ISA = ISA | st.builds(PtxIsa, st.from_regex(r"\A[0-9]{1,2}\.[0-9]{1,2}\Z"))
KNOWN_DRIVERS = [toolkit.linux_min_driver for toolkit in load_toolkits() if toolkit.linux_min_driver]
DRIVERS = st.sampled_from(KNOWN_DRIVERS)
ANY_OR_NO_ISA = ANY_ISA | st.none()
ANY_DRIVER = DRIVERS | st.builds(DriverVersion, st.from_regex(r"\A[0-9]{2,4}(\.[0-9]{1,4}){0,3}\Z"))
GLIBC = st.sampled_from([LibcVersion(text) for text in ("2.5", "2.17", "2.28", "2.39")])
PLATFORMS = st.lists(
    st.sampled_from(["linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64", "linux-ppc64le"]) | TEXT,
    max_size=3,
).map(tuple)
NAMES = st.sampled_from([name for name, _, _ in BOARDS.values()]) | TEXT
SUFFIX = st.sampled_from(["", "", "", "a", "f"])


@st.composite
def images(draw: st.DrawFn, isa: st.SearchStrategy[PtxIsa | None] = ANY_OR_NO_ISA) -> CodeImage:
    """One image; machine code has no PTX ISA."""
    is_ptx = draw(st.booleans())
    return CodeImage(draw(CAPABILITIES), is_ptx=is_ptx, suffix=draw(SUFFIX), ptx_isa=draw(isa) if is_ptx else None)


def libraries(of: st.SearchStrategy[CodeImage]) -> st.SearchStrategy[LibraryCode]:
    """A library of a few groups of units."""
    groups = st.builds(UnitGroup, images=st.lists(of, min_size=1, max_size=5).map(tuple), units=st.integers(1, 60))
    return st.builds(
        LibraryCode,
        name=st.sampled_from(["liba.so", "libb.so", "libcublasLt.so.12", "libc_cuda118.so", "libc_cuda128.so"]),
        groups=st.lists(groups, max_size=4).map(tuple),
        size_bytes=st.integers(0, 2**40),
        selects_at_run_time=st.booleans(),
        loaded_for=st.none() | CUDA,
    )


GPUS = st.builds(
    Gpu,
    vendor=st.sampled_from(list(Vendor)),
    name=NAMES,
    compute_capability=st.none() | ANY_CAPABILITY,
    memory_bytes=st.none() | st.integers(0, 2**40),
    mig=st.none() | st.sampled_from(["enabled", "1g.10gb"]) | TEXT,
    usable=st.booleans(),
)
SYSTEMS = st.builds(
    System,
    os=st.sampled_from(list(OperatingSystem)),
    arch=st.sampled_from(["x86_64", "aarch64", "ppc64le"]) | TEXT,
    distribution=st.none() | st.sampled_from(["Alpine Linux v3.20", "Ubuntu 24.04"]) | TEXT,
    glibc=st.none() | GLIBC,
    wsl=st.booleans(),
    container=st.none() | TEXT,
    jetson=st.none() | TEXT,
)
DRIVER_STATES = st.builds(
    Driver,
    state=st.sampled_from(list(DriverState)),
    version=st.none() | ANY_DRIVER,
    kernel_version=st.none() | ANY_DRIVER,
    cuda=st.none() | ANY_CUDA,
    module=st.none() | st.sampled_from(["nvidia", "nvidia-open", "nouveau", "nova", "vfio-pci", "nvgpu"]) | TEXT,
    error=st.none() | TEXT,
)
MACHINES = st.builds(
    Machine,
    name=TEXT,
    system=SYSTEMS,
    cpu=st.builds(Cpu, cores=st.none() | st.integers(0, 512)),
    memory_bytes=st.none() | st.integers(0, 2**45),
    driver=DRIVER_STATES,
    gpus=st.none() | st.lists(GPUS, max_size=4).map(tuple),
    sources=st.dictionaries(st.sampled_from(["gpus", "driver.cuda"]), st.sampled_from(["libcuda", "NVML", ""])),
    notes=st.lists(TEXT, max_size=2).map(tuple),
    python=st.none() | st.sampled_from(["3.9", "3.11"]) | TEXT,
)
NEEDS = st.builds(
    Needs,
    subject=TEXT,
    gpu_support=st.sampled_from(list(GpuSupport)),
    uses_gpu=st.booleans(),
    cuda=st.none() | ANY_CUDA,
    cuda_newest=st.none() | ANY_CUDA,
    driver_floor=st.none() | ANY_DRIVER,
    libraries=st.none() | st.lists(libraries(images()), max_size=3).map(tuple),
    jit=st.none() | st.sampled_from(list(Jit)),
    platforms=PLATFORMS,
    gpu_platforms=PLATFORMS,
    glibc=st.none() | GLIBC,
    system_cuda=st.none() | TEXT,
    lowest_capability=st.none() | ANY_CAPABILITY,
    pythons=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    withdrawn=st.none() | TEXT,
    evidence=st.lists(st.builds(Evidence, what=TEXT, value=TEXT, source=TEXT), max_size=2).map(tuple),
)
VERDICTS = st.sampled_from(list(Verdict))
FINDINGS = st.builds(
    Finding,
    rule=TEXT,
    verdict=VERDICTS,
    subject=TEXT,
    message=TEXT,
    evidence=st.lists(st.builds(Evidence, what=TEXT, value=TEXT), max_size=2).map(tuple),
    hints=st.lists(TEXT, max_size=2).map(tuple),
)
FOUND = st.lists(FINDINGS, max_size=3).map(tuple)
WORDS = st.lists(TEXT, max_size=2).map(tuple)
PLANS = st.builds(
    Plan,
    request=st.builds(Request, specs=WORDS, python=st.none() | TEXT),
    machine=MACHINES,
    python=TEXT,
    interpreter=st.none() | TEXT,
    packages=st.lists(
        st.builds(
            PlannedPackage,
            name=TEXT,
            version=TEXT,
            build=TEXT,
            gpu=st.booleans(),
            gpu_support=st.sampled_from(list(GpuSupport)),
            requirements=WORDS,
            variables=st.dictionaries(TEXT, TEXT, max_size=2),
            verdict=VERDICTS,
            findings=FOUND,
        ),
        max_size=2,
    ).map(tuple),
    wheels=st.lists(
        st.builds(LockedWheel, name=TEXT, version=TEXT, size_bytes=st.none() | st.integers(0)), max_size=2
    ).map(tuple),
    explanation=st.builds(
        Explanation,
        choices=st.lists(
            st.builds(
                Choice,
                package=TEXT,
                passed_over=st.lists(st.builds(PassedOver, version=TEXT, build=TEXT, reason=FINDINGS), max_size=2).map(
                    tuple
                ),
                notes=WORDS,
            ),
            max_size=2,
        ).map(tuple),
        notes=WORDS,
    ),
    pylock=TEXT,
)


# ---- nothing raises ------------------------------------------------------------------------------------------


@QUICK
@given(asked=NEEDS, here=MACHINES)
def test_the_rules_answer_anything_and_the_same_each_time(asked: Needs, here: Machine) -> None:
    """No need and no machine makes a rule raise; a message is there, and what uses no GPU hears nothing of GPUs."""
    found = check(asked, here)
    assert found == check(asked, here)
    for finding in found:
        assert finding.subject == asked.subject
        assert finding.message
    if not asked.uses_gpu:
        assert {finding.rule for finding in found} <= {
            "withdrawn",
            "operating-system",
            "cpu-architecture",
            "python-build",
            "c-library",
            # Where not all could be read, nobody knows that it uses none.
            *(["kernel-image"] if asked.libraries is None else []),
        }


@FEW
@given(here=MACHINES)
def test_any_machine_gets_a_report(here: Machine) -> None:
    """Each toolkit is judged, and a machine without a usable NVIDIA GPU works for none."""
    report = report_machine(here)
    assert len(report.cuda_lines) == len(load_toolkits())
    if here.gpus is not None and not [one for one in here.nvidia_gpus if one.usable]:
        assert {line.verdict for line in report.cuda_lines} == {Verdict.FAILS}


# ---- unknown never becomes works -----------------------------------------------------------------------------


@QUICK
@given(asked=NEEDS, here=MACHINES)
def test_what_is_not_known_does_not_work(asked: Needs, here: Machine) -> None:
    """Code that nobody read, a GPU of unknown capability, a machine whose GPUs or driver nobody knows."""
    asked = msgspec.structs.replace(asked, uses_gpu=True)
    blind = msgspec.structs.replace(here, gpus=None)
    assert verdict_of(check(asked, blind)) in {Verdict.UNKNOWN, Verdict.FAILS}
    unread = msgspec.structs.replace(asked, libraries=None, jit=None)
    assert verdict_of(check(unread, here)) in {Verdict.UNKNOWN, Verdict.FAILS}
    nameless = msgspec.structs.replace(here, gpus=(Gpu(name="GPU"),))
    coded = msgspec.structs.replace(asked, jit=Jit.SASS, cuda=asked.cuda or CudaVersion("12.4"))
    assert verdict_of(check(coded, nameless)) in {Verdict.UNKNOWN, Verdict.FAILS}
    driverless = msgspec.structs.replace(here, driver=Driver())
    assert verdict_of(check(asked, driverless)) in {Verdict.UNKNOWN, Verdict.FAILS}


# ---- a newer driver ------------------------------------------------------------------------------------------

READ_NEEDS = st.builds(
    Needs,
    subject=st.just("made 1.0"),
    uses_gpu=st.just(True),
    cuda=st.none() | CUDA,
    driver_floor=st.none() | DRIVERS,
    # Readings of wheels always have the PTX ISA; without it an old driver fails and a newer one can only be unknown.
    libraries=st.lists(libraries(images(ISA)), max_size=3).map(tuple),
    jit=st.none() | st.sampled_from(list(Jit)),
)
TABLE_GPUS = st.lists(
    st.sampled_from(sorted(set(BOARDS) - {"mystery"})).map(gpu) | CAPABILITIES.map(lambda one: gpu_of(str(one))),
    min_size=1,
    max_size=2,
).map(tuple)


def _serves(version: DriverVersion, gpus: tuple[Gpu, ...]) -> bool:
    rows = [find_capability(one.compute_capability) for one in gpus if one.compute_capability]
    return all(
        row and row.first_driver_branch <= version.branch <= (row.last_driver_branch or version.branch) for row in rows
    )


@st.composite
def gpus_and_drivers(draw: st.DrawFn) -> tuple[tuple[Gpu, ...], DriverVersion, DriverVersion]:
    """GPUs, and two drivers that serve all of them, the older first."""
    gpus = draw(TABLE_GPUS)
    serving = [one for one in KNOWN_DRIVERS if _serves(one, gpus)]
    assume(serving)
    old, new = sorted(draw(st.tuples(st.sampled_from(serving), st.sampled_from(serving))))
    return gpus, old, new


@settings(max_examples=150, deadline=None)
@given(asked=READ_NEEDS, served=gpus_and_drivers(), lifts=st.tuples(st.none() | CUDA, CUDA))
def test_a_newer_driver_never_makes_a_verdict_worse(
    asked: Needs, served: tuple[tuple[Gpu, ...], DriverVersion, DriverVersion], lifts: tuple[Any, CudaVersion]
) -> None:
    """Within the branches that serve the GPUs, a driver of a higher version that serves no less CUDA is no worse."""
    gpus, old, new = served
    of_old, of_new = (driver_cuda(one, OperatingSystem.LINUX) for one in (old, new))
    assert of_old
    assert of_new
    old_cuda = max(of_old, lifts[0]) if lifts[0] else of_old
    new_cuda = max(of_new, old_cuda)

    def verdict(version: DriverVersion, cuda: CudaVersion) -> Verdict:
        driver = Driver(state=DriverState.LOADED, version=version, cuda=cuda)
        system = System(os=OperatingSystem.LINUX, arch="x86_64")
        return verdict_of(check(asked, Machine(system=system, driver=driver, gpus=gpus)))

    assert verdict(new, new_cuda).badness <= verdict(old, old_cuda).badness


# ---- coverage ------------------------------------------------------------------------------------------------


@QUICK
@given(image=images(), device=CAPABILITIES, cuda=st.tuples(CUDA, CUDA), built=st.none() | CUDA)
def test_a_newer_driver_takes_no_image_away(
    image: CodeImage, device: ComputeCapability, cuda: tuple[CudaVersion, CudaVersion], built: CudaVersion | None
) -> None:
    """The way in which one image gets to run only becomes better, and machine code does not ask for it."""
    old, new = sorted(cuda)
    ways = [way_to_run(image, gpu_of(str(device)), driver_cuda=one, built_with=built) for one in (old, new)]
    assert ways[0] <= ways[1]
    if not image.is_ptx:
        assert ways[0] is ways[1]


@QUICK
@given(image=images(), device=CAPABILITIES)
def test_no_image_runs_on_an_older_gpu(image: CodeImage, device: ComputeCapability) -> None:
    """Code for a higher capability never runs on a lower one, but for the GPU that changed its number."""
    way = way_to_run(image, gpu_of(str(device)), driver_cuda=CudaVersion("13.4"), built_with=None)
    if device < image.capability:
        assert way in {Way.NONE, Way.UNKNOWN}
    if way is Way.SASS:
        assert device.major == image.capability.major


@QUICK
@given(code=libraries(images(ISA)), more=images(ISA), device=CAPABILITIES, cuda=CUDA, data=st.data())
def test_more_images_in_a_unit_never_lower_the_coverage(
    code: LibraryCode, more: CodeImage, device: ComputeCapability, cuda: CudaVersion, data: st.DataObject
) -> None:
    """For images of a major that the unit has already: they leave its breadth as it is.

    An image of another major makes the unit broader, and by that other units may no longer count as general.
    """
    assume(code.groups)
    place = data.draw(st.integers(0, len(code.groups) - 1))
    group = code.groups[place]
    assume(more.capability.major in {image.capability.major for image in group.images})
    richer = msgspec.structs.replace(group, images=(*group.images, more))
    groups = (*code.groups[:place], richer, *code.groups[place + 1 :])

    def share(library: LibraryCode) -> float:
        return measure_coverage(library, gpu_of(str(device)), driver_cuda=cuda, built_with=None).share

    selecting = measure_coverage(code, gpu_of(str(device)), driver_cuda=cuda, built_with=None).selects
    assert share(msgspec.structs.replace(code, groups=groups, selects_at_run_time=selecting)) >= share(
        msgspec.structs.replace(code, selects_at_run_time=selecting)
    )


@QUICK
@given(code=libraries(images(ISA)), device=CAPABILITIES, cuda=st.tuples(CUDA, CUDA))
def test_a_newer_driver_never_lowers_the_coverage(
    code: LibraryCode, device: ComputeCapability, cuda: tuple[CudaVersion, CudaVersion]
) -> None:
    """Neither the share of units nor the way of the whole."""
    old, new = (measure_coverage(code, gpu_of(str(device)), driver_cuda=one, built_with=None) for one in sorted(cuda))
    assert old.general == new.general
    assert old.share <= new.share
    rank = [Way.NONE, None, Way.UNKNOWN, Way.JIT, Way.SASS]
    assert rank.index(old.way) <= rank.index(new.way)


# ---- verdicts ------------------------------------------------------------------------------------------------


@given(one=VERDICTS, two=VERDICTS, three=VERDICTS)
def test_the_worst_of_verdicts_is_a_semilattice(one: Verdict, two: Verdict, three: Verdict) -> None:
    """Order, grouping and repetition make no difference, and `works` changes nothing."""
    worst = Verdict.worst
    assert worst([one, worst([two, three])]) is worst([worst([one, two]), three]) is worst([one, two, three])
    assert worst([one, two]) is worst([two, one])
    assert worst([one, one]) is worst([one]) is one
    assert worst([one, Verdict.WORKS]) is one


@QUICK
@given(found=st.lists(FINDINGS, min_size=1, max_size=6), data=st.data())
def test_taking_a_finding_away_never_makes_a_verdict_worse(found: list[Finding], data: st.DataObject) -> None:
    """And adding one never makes it better."""
    place = data.draw(st.integers(0, len(found) - 1))
    fewer = found[:place] + found[place + 1 :]
    assert verdict_of(fewer).badness <= verdict_of(found).badness


# ---- JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [(Machine, MACHINES), (Needs, NEEDS), (Finding, FINDINGS), (Plan, PLANS)],
    ids=lambda it: str(it)[:24],
)
@FEW
@given(data=st.data())
def test_every_noun_survives_its_json(kind: type[Any], values: st.SearchStrategy[object], data: st.DataObject) -> None:
    """Read back it is equal, and written again it is the same text, indented or not."""
    value = data.draw(values)
    for indent in (0, 2):
        text = to_json(value, indent=indent)
        again = from_json(text, kind)
        assert again == value
        assert to_json(again, indent=indent) == text


@FEW
@given(here=MACHINES)
def test_findings_survive_their_json(here: Machine) -> None:
    """What the rules really say, not only what could be said."""
    for finding in check(Needs(subject="GPU packages", uses_gpu=True, libraries=()), here):
        assert from_json(to_json(finding), Finding) == finding
