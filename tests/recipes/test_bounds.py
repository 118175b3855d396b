"""The law of the bounds: what is stamped on a package admits a machine when the rules say that it runs there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import MatchSpec, PackageRecord, VersionWithSource
from rattler.package import BuildString

from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import Jit, LibraryCode, Needs, UnitGroup
from gpuenv.recipes.bounds import find_bounds, known_capabilities, runs_there
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, PtxIsa

PLATFORMS = ("linux-x86_64", "linux-aarch64", "windows-x86_64")
CUDAS = [toolkit.version for toolkit in load_toolkits() if toolkit.version >= CudaVersion("9.0")]
NEWEST = CUDAS[-1]


def admits(specs: tuple[str, ...], capability: str, cuda: str) -> bool:
    """Whether rattler takes the virtual packages of a machine for these specs."""
    values = {"__cuda": cuda, "__cuda_arch": capability}
    return all(_matches(spec, values[spec.split()[0]]) for spec in specs)


def _matches(spec: str, version: str) -> bool:
    name = spec.split(maxsplit=1)[0]
    record = PackageRecord(name, VersionWithSource(version), BuildString("0"), 0, "noarch")
    return MatchSpec(spec).matches(record)


def code(*images: str, cuda: str = "13.0") -> Needs:
    """A package with one library of these images."""
    group = UnitGroup(images=tuple(map(CodeImage.parse, images)), units=3)
    library = LibraryCode(name="libx.so", groups=(group,), size_bytes=1000)
    version = CudaVersion(cuda)
    return Needs(subject="x 1", uses_gpu=True, cuda=version, cuda_newest=version, libraries=(library,))


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
    return code(*map(str, images), cuda=str(toolkit.version))


@settings(max_examples=60, deadline=None)
@given(packages(), st.sampled_from(PLATFORMS))
def test_bounds_admit_a_gpu_exactly_when_the_rules_say_that_it_runs(needs: Needs, platform: str) -> None:
    """With a driver that serves everything, `__cuda_arch` admits the known capabilities on which the rules see it run,
    and no others; none of them is told apart from its package's name.
    """
    bounds = find_bounds(needs, platform)
    assert bounds.spans is not None
    for row in known_capabilities(platform):
        expected = runs_there(needs, row.capability, NEWEST, platform)
        if bounds.spans == ():
            assert not expected
        else:
            assert admits(bounds.specs, str(row.capability), "99.0") == expected, (row.capability, bounds.specs)


@settings(max_examples=60, deadline=None)
@given(packages(), st.sampled_from(PLATFORMS))
def test_bounds_never_admit_a_machine_on_which_it_fails(needs: Needs, platform: str) -> None:
    """For each GPU and each driver that knows it, what the bounds admit runs: nothing is installed that would fail."""
    bounds = find_bounds(needs, platform)
    if not bounds.spans:
        return
    for row in known_capabilities(platform):
        for cuda in CUDAS:
            if cuda >= row.first_cuda and admits(bounds.specs, str(row.capability), str(cuda)):
                assert runs_there(needs, row.capability, cuda, platform), (row.capability, cuda, bounds.specs)


@settings(max_examples=60, deadline=None)
@given(packages(), st.sampled_from(PLATFORMS))
def test_later_gpus_are_admitted_when_the_code_can_run_there(needs: Needs, platform: str) -> None:
    """Past the newest GPU that is known, the end of the bounds is the end of the code: PTX goes on for ever, machine
    code until the next major.
    """
    bounds = find_bounds(needs, platform)
    newest = known_capabilities(platform)[-1].capability
    if not bounds.spans:
        return
    later = [f"{newest.major}.{minor}" for minor in range(newest.minor + 1, 10)] + [f"{newest.major + 1}.0", "99.0"]
    for capability in later:
        expected = runs_there(needs, ComputeCapability(capability), CudaVersion("99.0"), platform)
        assert admits(bounds.specs, capability, "99.0") == expected, (capability, bounds.specs)


@pytest.mark.parametrize(
    ("needs", "platform", "specs"),
    [
        (code("sm_75", "sm_80", "sm_86"), "linux-x86_64", ("__cuda >=13", "__cuda_arch >=7.5,<9.0")),
        (code("sm_75", "sm_80", "sm_86"), "linux-aarch64", ("__cuda >=13", "__cuda_arch >=7.5,<8.7|>=8.9,<9.0")),
        (
            code("sm_90", "sm_120", "compute_120/ptx9.0"),
            "linux-x86_64",
            ("__cuda >=13", "__cuda_arch >=9.0,<10.0|>=12.0"),
        ),
        (code("sm_90a", cuda="12.9"), "linux-x86_64", ("__cuda >=12", "__cuda_arch >=9.0,<9.1")),
        (code("sm_100f", cuda="12.9"), "linux-x86_64", ("__cuda >=12", "__cuda_arch >=10.0,<10.8")),
        (code("sm_70", "compute_70/ptx6.5", cuda="10.2"), "linux-x86_64", ("__cuda >=10.2", "__cuda_arch >=7.0")),
        (
            code("sm_70", "sm_80", "compute_80/ptx7.2", cuda="11.2"),
            "linux-x86_64",
            ("__cuda >=11", "__cuda_arch >=7.0"),
        ),
    ],
)
def test_bounds_of_usual_builds(needs: Needs, platform: str, specs: tuple[str, ...]) -> None:
    """Worked out by hand: minor version compatibility from CUDA 11 on, the toolkit's own figure before; systems on
    chip only where their processors are; the suffix `a` is for one capability, `f` for its family.
    """
    assert find_bounds(needs, platform).specs == specs


def test_ptx_that_must_be_compiled_raises_the_driver() -> None:
    """Where a GPU that a driver of the same major knows has only PTX, the toolkit's own CUDA is the floor (NVIDIA,
    CUDA Compatibility, Minor Version Compatibility): PTX 8.8 of CUDA 12.9 on a 12.0 card with a driver of 12.8.
    """
    bounds = find_bounds(code("sm_80", "sm_90", "compute_90/ptx8.8", cuda="12.9"), "linux-x86_64")
    assert bounds.specs == ("__cuda >=12.9", "__cuda_arch >=8.0")
    whole = code("sm_80", "sm_90", "sm_100", "sm_120", "compute_120/ptx8.8", cuda="12.9")
    assert find_bounds(whole, "linux-x86_64").specs[0] == "__cuda >=12"


def test_a_package_without_code_of_its_own_names_no_gpu() -> None:
    """Whoever only calls CUDA's libraries asks for a driver."""
    needs = Needs(subject="x 1", uses_gpu=True, cuda=CudaVersion("12.4"), cuda_newest=CudaVersion("12.4"), libraries=())
    assert find_bounds(needs, "linux-x86_64").specs == ("__cuda >=12",)


def test_a_compiler_inside_is_bound_by_what_its_toolkit_knows() -> None:
    """A package that compiles when it runs serves the GPUs of its CUDA: 13.0 has none before 7.5."""
    needs = Needs(
        subject="x 1",
        uses_gpu=True,
        cuda=CudaVersion("13.0"),
        cuda_newest=CudaVersion("13.0"),
        libraries=(),
        jit=Jit.SASS,
    )
    bounds = find_bounds(needs, "linux-x86_64")
    assert bounds.specs[0] == "__cuda >=13"
    assert not admits(bounds.specs, "7.0", "13.0")
    assert admits(bounds.specs, "7.5", "13.0")


def test_code_for_systems_on_chip_alone_runs_on_no_pc() -> None:
    """Orin's code on x86_64 is for nobody, which the caller turns into an error."""
    assert find_bounds(code("sm_87"), "linux-x86_64").spans == ()
    assert find_bounds(code("sm_87"), "linux-aarch64").specs == ("__cuda >=13", "__cuda_arch >=8.7,<8.8")
