"""Bounds on `__cuda` and `__cuda_arch` from what is inside: as the rules have it, no wider and no tighter.

The laws are asked of the MatchSpecs themselves, as rattler reads them, and of `admits`.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec, PackageRecord, VersionWithSource
from rattler.package import BuildString

from gpuenv.facts.architectures import find_capability, load_capabilities
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import GpuSupport, Jit, LibraryCode, Needs, UnitGroup
from gpuenv.targets.cuda_constraints import constraints_of, known_capabilities, runs_there
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, PtxIsa

ANY_DRIVER = CudaVersion("99.0")
PLATFORMS = ("linux-x86_64", "linux-aarch64", "windows-x86_64")
PC, ARM = PLATFORMS[:2]
CUDAS = [toolkit.version for toolkit in load_toolkits() if toolkit.version >= CudaVersion("9.0")]


def needs(*images: str, cuda: str | None = "12.8", jit: Jit | None = None, support: str = "compile-time") -> Needs:
    """A package with one library whose units all carry these images."""
    group = UnitGroup(images=tuple(map(CodeImage.parse, images)), units=3)
    line = CudaVersion(cuda) if cuda else None
    return Needs(
        subject="vectors 1.0",
        gpu_support=GpuSupport(support),
        uses_gpu=True,
        cuda=line,
        cuda_newest=line,
        libraries=(LibraryCode(name="libvectors.so", groups=(group,), size_bytes=1000),) if images else (),
        jit=jit,
    )


def admits(specs: tuple[str, ...], capability: str, cuda: str) -> bool:
    """Whether rattler takes the virtual packages of a machine for these specs."""
    values = {"__cuda": cuda, "__cuda_arch": capability}
    return all(_matches(spec, values[spec.split()[0]]) for spec in specs)


def _matches(spec: str, version: str) -> bool:
    name = spec.split(maxsplit=1)[0]
    record = PackageRecord(name, VersionWithSource(version), BuildString("0"), 0, "noarch")
    return MatchSpec(spec).matches(record)


@pytest.mark.parametrize(
    ("images", "cuda", "platform", "specs"),
    [
        (("sm_80",), "12.8", PC, ("__cuda >=12", "__cuda_arch >=8.0,<9.0")),
        (("sm_80", "sm_90", "compute_90/ptx8.7"), "12.8", PC, ("__cuda >=12", "__cuda_arch >=8.0")),
        (("sm_80", "compute_80/ptx8.7"), "12.8", PC, ("__cuda >=12.8", "__cuda_arch >=8.0")),
        (("sm_80", "sm_90", "compute_90/ptx8.8"), "12.9", PC, ("__cuda >=12.9", "__cuda_arch >=8.0")),
        (("sm_80", "sm_90a"), "12.4", PC, ("__cuda >=12", "__cuda_arch >=8.0,<9.1")),
        (("sm_90a",), "12.9", PC, ("__cuda >=12", "__cuda_arch >=9.0,<9.1")),
        (("sm_100f",), "12.9", PC, ("__cuda >=12", "__cuda_arch >=10.0,<10.8")),
        (("sm_70", "sm_90", "compute_90/ptx8.4"), "12.4", PC, ("__cuda >=12", "__cuda_arch >=7.0,<8.0|>=9.0")),
        (("sm_90", "sm_120", "compute_120/ptx9.0"), "13.0", PC, ("__cuda >=13", "__cuda_arch >=9.0,<10.0|>=12.0")),
        (("sm_75", "compute_75/ptx9.0"), "13.0", PC, ("__cuda >=13", "__cuda_arch >=7.5")),
        (("sm_75", "sm_80", "sm_86"), "13.0", PC, ("__cuda >=13", "__cuda_arch >=7.5,<9.0")),
        (("sm_75", "sm_80", "sm_86"), "13.0", ARM, ("__cuda >=13", "__cuda_arch >=7.5,<8.7|>=8.9,<9.0")),
        (("sm_87",), "13.0", ARM, ("__cuda >=13", "__cuda_arch >=8.7,<8.8")),
        (("sm_35", "sm_50"), "10.2", PC, ("__cuda >=10.2", "__cuda_arch >=3.5,<6.0")),
        (("sm_70", "compute_70/ptx6.5"), "10.2", PC, ("__cuda >=10.2", "__cuda_arch >=7.0")),
        (("sm_80",), "11.1", PC, ("__cuda >=11", "__cuda_arch >=8.0,<9.0")),
        (("sm_70", "sm_80", "compute_80/ptx7.2"), "11.2", PC, ("__cuda >=11", "__cuda_arch >=7.0")),
        ((), "12.4", PC, ("__cuda >=12",)),
    ],
)
def test_the_bounds_of_real_sets_of_architectures(
    images: tuple[str, ...], cuda: str, platform: str, specs: tuple[str, ...]
) -> None:
    """Worked out by hand. SASS bounds from above, PTX of the newest architecture does not; where a GPU of the same
    CUDA major has PTX only, the toolkit's own CUDA is the floor (NVIDIA, CUDA Compatibility, Minor Version
    Compatibility), as it is for all before CUDA 11. Systems on chip count only where their processors are. The suffix
    `a` is for one capability, `f` for its family. What only calls CUDA's libraries asks for a driver.
    """
    found = constraints_of(needs(*images, cuda=cuda), platform)
    assert found.specs == specs
    assert found.must_have_gpu


def test_code_for_systems_on_chip_alone_runs_on_no_pc() -> None:
    """Orin's code on x86_64 is for nobody, which the caller turns into an error."""
    assert constraints_of(needs("sm_87"), PC).spans == ()


def test_where_the_bounds_are_written() -> None:
    """A build that is of no use without a GPU requires them, one for all computers only constrains them, unless there
    is another build for those without; clients without `__cuda_arch` can be let in.
    """
    cuda, capability = "__cuda >=12", "__cuda_arch >=8.0,<9.0"
    only = constraints_of(needs("sm_80"))
    assert only.placed() == ((cuda, capability), ())
    assert only.placed(is_soft=True) == ((cuda,), (capability,))
    for_all = constraints_of(msgspec.structs.replace(needs("sm_80"), runs_without_gpu=True))
    assert for_all.placed() == ((), (cuda, capability))
    assert for_all.placed(is_must=True) == ((cuda, capability), ())


def test_what_uses_no_gpu_has_no_bounds() -> None:
    """A package without GPU code, and one that works through another, ask for nothing."""
    for support, uses in (("none", False), ("through", False), ("through", True)):
        asks = Needs(subject="x", gpu_support=GpuSupport(support), uses_gpu=uses)
        assert constraints_of(asks).specs == ()


def test_a_compiler_at_run_time_reaches_what_its_toolkit_does() -> None:
    """What compiles with CUDA 13 serves 7.5 and later, and no GPU that is not known yet."""
    found = constraints_of(needs(cuda="13.0", jit=Jit.SASS))
    assert found.cuda == "__cuda >=13"
    assert not admits(found.specs, "7.0", "13.0")
    assert admits(found.specs, "7.5", "13.0")
    assert not admits(found.specs, "99.0", "13.0")


def test_code_that_nobody_read_bounds_the_driver_only() -> None:
    """Without machine code there is no bound on the capability."""
    unread = Needs(
        subject="x", gpu_support=GpuSupport.RUN_TIME, uses_gpu=True, runs_without_gpu=True, cuda=CudaVersion("12.4")
    )
    found = constraints_of(unread)
    assert found.cuda_arch is None
    assert not found.must_have_gpu


@pytest.mark.parametrize(
    ("images", "rules"),
    [
        (("sm_80",), ["no-ptx"]),
        (("sm_80", "compute_80/ptx8.4"), []),
        (("sm_80", "sm_90", "compute_80/ptx8.4"), ["no-ptx"]),
        (("sm_90a",), ["only-specific-code"]),
        (("sm_70", "sm_90", "compute_90/ptx8.4"), ["gap"]),
        (("compute_60/ptx8.4",), []),
    ],
)
def test_doubts_as_cep_46_has_them(images: tuple[str, ...], rules: list[str]) -> None:
    """PTX belongs to the newest architecture, code for one GPU alone is not enough, gaps are told."""
    assert [doubt.rule for doubt in constraints_of(needs(*images)).doubts] == rules


@pytest.mark.parametrize(("units", "words"), [(0, "run it as PTX of 8.0"), (30, "cannot run all of it")])
def test_what_a_doubt_says_of_later_gpus_is_what_the_bound_says(units: int, words: str) -> None:
    """PTX in a few units of a library does not carry the rest of it to later GPUs."""
    with_ptx = UnitGroup(images=tuple(map(CodeImage.parse, ("sm_80", "sm_90", "compute_80/ptx8.4"))), units=3)
    without = UnitGroup(images=tuple(map(CodeImage.parse, ("sm_80", "sm_90"))), units=units)
    groups = (with_ptx, without) if units else (with_ptx,)
    library = LibraryCode(name="libvectors.so", groups=groups, size_bytes=1000)
    found = constraints_of(msgspec.structs.replace(needs("sm_80"), libraries=(library,)))
    assert words in found.doubts[0].text
    assert found.admits(ComputeCapability("99.0")) == (units == 0)


IMAGES = st.builds(
    lambda row, kind: kind.format(row.capability.sm),
    st.sampled_from(load_capabilities()),
    st.sampled_from(["sm_{}", "sm_{}", "sm_{}a", "sm_{}f", "compute_{}/ptx8.4", "compute_{}/ptx9.0"]),
)
CAPABILITIES = st.builds(
    lambda major, minor: ComputeCapability(f"{major}.{minor}"), st.integers(2, 30), st.integers(0, 9)
)


@settings(max_examples=150, deadline=None)
@given(
    images=st.lists(IMAGES, min_size=1, max_size=6, unique=True),
    cuda=st.sampled_from([toolkit.version for toolkit in load_toolkits()]),
    platform=st.sampled_from(PLATFORMS),
    other=CAPABILITIES,
)
def test_a_bound_admits_exactly_where_the_rules_say_that_it_runs(
    images: list[str], cuda: CudaVersion, platform: str, other: ComputeCapability
) -> None:
    """Of the capabilities that GPUs have, those are admitted that the rules let run with some driver, and no other. A
    number that no GPU has is admitted where it runs; else only between two that are.
    """
    asks = needs(*images, cuda=str(cuda))
    found = constraints_of(asks, platform)
    known = [row.capability for row in known_capabilities(platform)]
    for capability in known:
        assert found.admits(capability) == runs_there(asks, capability, ANY_DRIVER, platform), capability
    if find_capability(other) is None and found.admits(other) and not runs_there(asks, other, ANY_DRIVER, platform):
        served = found.served
        assert any(one < other for one in served)
        assert any(one > other for one in served)


@settings(max_examples=100, deadline=None)
@given(
    images=st.lists(IMAGES, min_size=1, max_size=5, unique=True),
    cuda=st.sampled_from([toolkit.version for toolkit in load_toolkits()]),
)
def test_from_the_bound_on_every_driver_runs_it(images: list[str], cuda: CudaVersion) -> None:
    """From the oldest driver on, each runs it on all GPUs that it serves and the driver knows; one driver before it
    there is a GPU where it does not run, or none that the driver knows.
    """
    asks = needs(*images, cuda=str(cuda))
    found = constraints_of(asks)
    known = [toolkit.version for toolkit in load_toolkits()]

    def run_all(driver: CudaVersion) -> bool:
        met = [one for one in found.served if (row := find_capability(one)) and row.first_cuda <= driver]
        return all(runs_there(asks, one, driver, "linux-x86_64") for one in met)

    assert found.oldest is not None
    if found.served:
        assert all(run_all(driver) for driver in known if driver >= found.oldest)
        assert found.oldest_for_any is not None
        assert found.oldest_for_any <= found.oldest


@st.composite
def packages(draw: st.DrawFn) -> Needs:
    """Code that one toolkit can have made: machine code for some of its targets, and PTX for some."""
    toolkit = draw(st.sampled_from([one for one in load_toolkits() if one.version in CUDAS]))
    targets = sorted(set(toolkit.targets))
    machine_code = draw(st.lists(st.sampled_from(targets), unique=True, max_size=6))
    portable = draw(st.lists(st.sampled_from(targets), unique=True, max_size=2))
    images = [CodeImage.parse(target) for target in machine_code]
    isa = PtxIsa(str(toolkit.ptx_isa))
    for target in portable:
        image = CodeImage.parse(target)
        images.append(CodeImage(image.capability, is_ptx=True, suffix=image.suffix, ptx_isa=isa))
    if not images:
        images = [CodeImage.parse(targets[0])]
    return needs(*map(str, images), cuda=str(toolkit.version))


@settings(max_examples=60, deadline=None)
@given(packages(), st.sampled_from(PLATFORMS))
def test_bounds_admit_a_gpu_exactly_when_the_rules_say_that_it_runs(asks: Needs, platform: str) -> None:
    """With a driver that serves everything, `__cuda_arch` admits the known capabilities on which the rules see it run,
    and no others; none of them is told apart from its package's name.
    """
    found = constraints_of(asks, platform)
    assert found.spans is not None
    for row in known_capabilities(platform):
        expected = runs_there(asks, row.capability, CUDAS[-1], platform)
        if found.spans == ():
            assert not expected
        else:
            assert admits(found.specs, str(row.capability), "99.0") == expected, (row.capability, found.specs)


@settings(max_examples=60, deadline=None)
@given(packages(), st.sampled_from(PLATFORMS))
def test_bounds_never_admit_a_machine_on_which_it_fails(asks: Needs, platform: str) -> None:
    """For each GPU and each driver that knows it, what the bounds admit runs: nothing is installed that would fail."""
    found = constraints_of(asks, platform)
    if not found.spans:
        return
    for row in known_capabilities(platform):
        for cuda in CUDAS:
            if cuda >= row.first_cuda and admits(found.specs, str(row.capability), str(cuda)):
                assert runs_there(asks, row.capability, cuda, platform), (row.capability, cuda, found.specs)


@settings(max_examples=60, deadline=None)
@given(packages(), st.sampled_from(PLATFORMS))
def test_later_gpus_are_admitted_when_the_code_can_run_there(asks: Needs, platform: str) -> None:
    """Past the newest GPU that is known, the end of the bounds is the end of the code: PTX goes on for ever, machine
    code until the next major.
    """
    found = constraints_of(asks, platform)
    newest = known_capabilities(platform)[-1].capability
    if not found.spans:
        return
    later = [f"{newest.major}.{minor}" for minor in range(newest.minor + 1, 10)] + [f"{newest.major + 1}.0", "99.0"]
    for capability in later:
        expected = runs_there(asks, ComputeCapability(capability), CudaVersion("99.0"), platform)
        assert admits(found.specs, capability, "99.0") == expected, (capability, found.specs)
