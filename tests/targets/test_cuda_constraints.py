"""Bounds on `__cuda` and `__cuda_arch` from what is inside: as the rules have it, no wider and no tighter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.facts.architectures import find_capability, load_capabilities
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import GpuSupport, Jit, LibraryCode, Needs, UnitGroup
from gpuenv.targets.cuda_constraints import constraints_of, known_capabilities, runs_there
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion

ANY_DRIVER = CudaVersion("99.0")
PLATFORMS = ("linux-x86_64", "linux-aarch64", "windows-x86_64")


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


@pytest.mark.parametrize(
    ("images", "cuda", "specs"),
    [
        (("sm_80",), "12.8", ("__cuda >=12", "__cuda_arch >=8.0,<9.0")),
        (("sm_80", "sm_90", "compute_90/ptx8.7"), "12.8", ("__cuda >=12", "__cuda_arch >=8.0")),
        (("sm_80", "compute_80/ptx8.7"), "12.8", ("__cuda >=12.8", "__cuda_arch >=8.0")),
        (("sm_80", "sm_90a"), "12.4", ("__cuda >=12", "__cuda_arch >=8.0,<9.1")),
        (("sm_100f",), "12.9", ("__cuda >=12", "__cuda_arch >=10.0,<10.8")),
        (("sm_70", "sm_90", "compute_90/ptx8.4"), "12.4", ("__cuda >=12", "__cuda_arch >=7.0,<8.0|>=9.0")),
        (("sm_75", "compute_75/ptx9.0"), "13.0", ("__cuda >=13", "__cuda_arch >=7.5")),
        (("sm_35", "sm_50"), "10.2", ("__cuda >=10.2", "__cuda_arch >=3.5,<6.0")),
        (("sm_80",), "11.1", ("__cuda >=11", "__cuda_arch >=8.0,<9.0")),
    ],
)
def test_the_bounds_of_real_sets_of_architectures(images: tuple[str, ...], cuda: str, specs: tuple[str, ...]) -> None:
    """SASS bounds from above, PTX of the newest architecture does not, PTX of an older one asks for a newer driver."""
    found = constraints_of(needs(*images, cuda=cuda))
    assert found.specs == specs
    assert found.must_have_gpu


def test_what_uses_no_gpu_has_no_bounds() -> None:
    """A package without GPU code, and one that works through another, ask for nothing."""
    for support, uses in (("none", False), ("through", False), ("through", True)):
        asks = Needs(subject="x", gpu_support=GpuSupport(support), uses_gpu=uses)
        assert constraints_of(asks).specs == ()


def test_a_compiler_at_run_time_reaches_what_its_toolkit_does() -> None:
    """What compiles with CUDA 13 serves 7.5 and later, and no GPU that is not known yet."""
    found = constraints_of(needs(cuda="13.0", jit=Jit.SASS))
    assert found.cuda == "__cuda >=13"
    assert found.cuda_arch is not None
    assert found.cuda_arch.startswith("__cuda_arch >=7.5,<")


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
