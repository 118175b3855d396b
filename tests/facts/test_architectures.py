"""The table of compute capabilities holds together and agrees with the toolkits."""

from __future__ import annotations

from itertools import pairwise

from gpuenv.facts.architectures import architecture_sources, family, find_capability, load_capabilities
from gpuenv.facts.toolkits import driver_cuda, find_toolkit, load_toolkits
from gpuenv.model import OperatingSystem
from gpuenv.versions import ComputeCapability, CudaVersion, DriverVersion


def test_capabilities_are_in_order_and_each_is_there_once() -> None:
    """The look-up finds exactly the rows of the table."""
    rows = load_capabilities()
    assert all(lower.capability < higher.capability for lower, higher in pairwise(rows))
    assert all(find_capability(row.capability) is row for row in rows)
    assert find_capability(ComputeCapability("4.0")) is None


def test_every_row_names_known_sources() -> None:
    """Each row says where it was read."""
    for row in load_capabilities():
        assert row.source
        assert set(row.source) <= set(architecture_sources())


def test_ranges_have_a_beginning_before_their_end() -> None:
    """No capability ends before it begins, neither in toolkits nor in drivers."""
    for row in load_capabilities():
        assert row.last_cuda is None or row.first_cuda < row.last_cuda
        assert row.last_driver_branch is None or row.first_driver_branch < row.last_driver_branch
        assert (row.last_cuda is None) == (row.last_driver_branch is None)


def test_toolkits_compile_for_each_capability_from_its_first_to_its_last_cuda() -> None:
    """The two tables say the same; for the targets that changed their number either name counts."""
    for row in load_capabilities():
        names = {f"sm_{number.sm}" for number in (row.capability, row.formerly) if number}
        compiling = [toolkit.version for toolkit in load_toolkits() if names & set(toolkit.targets)]
        first = find_toolkit(row.first_cuda)
        assert first is None or compiling[0] == row.first_cuda
        assert compiling[-1] == (row.last_cuda or load_toolkits()[-1].version)


def test_the_last_driver_branch_serves_the_last_toolkit_within_its_major() -> None:
    """A GPU that lost support still runs code of its last toolkit, by minor-version compatibility."""
    for row in load_capabilities():
        if row.last_driver_branch is None or row.last_cuda is None:
            continue
        served = driver_cuda(DriverVersion(f"{row.last_driver_branch}.99"), OperatingSystem.LINUX)
        assert served is not None
        assert served.major >= row.last_cuda.major


def test_each_gpu_has_a_kernel_module() -> None:
    """Open kernel modules begin with Turing; GPUs that came later may not have closed ones any more."""
    turing = ComputeCapability("7.5")
    for row in load_capabilities():
        assert row.open_kernel_modules == (row.capability >= turing)
        assert row.open_kernel_modules or row.closed_kernel_modules


def test_families_hold_known_capabilities_of_one_major() -> None:
    """Code with the suffix f moves within a family only, and families do not overlap."""
    assert family(ComputeCapability("12.0")) == {ComputeCapability("12.0"), ComputeCapability("12.1")}
    assert family(ComputeCapability("9.0")) == frozenset()
    for row in load_capabilities():
        members = family(row.capability)
        assert not members or row.capability in members
        assert all(find_capability(member) and family(member) == members for member in members)
        assert {member.major for member in members} <= {row.capability.major}


def test_capabilities_with_family_targets_have_a_family() -> None:
    """Whatever a toolkit compiles with the suffix f belongs to a family."""
    targets = {target for toolkit in load_toolkits() for target in toolkit.targets if target.endswith("f")}
    assert targets
    for target in targets:
        row = find_capability(ComputeCapability(target.removesuffix("f")))
        assert row is not None
        assert family(row.capability)


def test_a_former_number_finds_the_row() -> None:
    """Thor was 10.1 in CUDA 12.8 and 12.9 and is 11.0 since CUDA 13.0."""
    row = find_capability(ComputeCapability("10.1"))
    assert row is not None
    assert row.capability == ComputeCapability("11.0")
    assert row.tegra


def test_volta_needs_cuda_9() -> None:
    """Working with GPU packages: Tesla V100 and Titan V require CUDA 9 or later."""
    volta = find_capability(ComputeCapability("7.0"))
    assert volta is not None
    assert volta.first_cuda == CudaVersion("9.0")
