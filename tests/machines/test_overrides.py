"""The variables of CEP 30 and CEP 46 change what is believed of a machine, and no more than they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import RequestError
from gpuenv.facts.architectures import load_capabilities
from gpuenv.machines.overrides import apply_overrides
from gpuenv.machines.virtual_packages import virtual_packages
from gpuenv.machines.written import parse_machine
from gpuenv.model import DriverState, Machine, Vendor
from gpuenv.versions import ComputeCapability, CudaVersion, DriverVersion, LibcVersion

NODE = "gpu=V100,gpu=H100,driver=535.129.03,glibc=2.28"
CAPABILITIES = st.sampled_from([row.capability for row in load_capabilities()])


def overridden(text: str, **environ: str) -> Machine:
    """The machine described by `text`, seen through variables named without their common beginning."""
    return apply_overrides(parse_machine(text), {f"CONDA_OVERRIDE_{name}": value for name, value in environ.items()})


def version_of(package: str, machine: Machine) -> str | None:
    """The version of a virtual package, None when it is absent."""
    return next((version for name, version, _ in virtual_packages(machine) if name == package), None)


def test_without_variables_nothing_changes() -> None:
    """A variable that is not set says nothing, and others do not count."""
    machine = parse_machine(NODE)
    assert apply_overrides(machine, {}) is machine
    assert apply_overrides(machine, {"CONDA_OVERRIDE_UNIX": "1", "PATH": ""}) is machine


@pytest.mark.parametrize(("text", "cuda"), [("12.4", "12.4"), (" 11.8 ", "11.8"), ("12", "12.0"), ("12.4.1", "12.4")])
def test_a_cuda_version_is_believed(text: str, cuda: str) -> None:
    """CEP 30: `__cuda` has that version."""
    machine = overridden(NODE, CUDA=text)
    assert machine.driver.cuda == CudaVersion(cuda)
    assert machine.driver.state is DriverState.LOADED
    assert machine.sources["driver.cuda"] == "CONDA_OVERRIDE_CUDA"
    assert version_of("__cuda", machine) == cuda


def test_a_driver_version_stays_only_where_it_agrees() -> None:
    """A version that serves another CUDA would contradict what is to be believed."""
    assert overridden(NODE, CUDA="12.2").driver.version == DriverVersion("535.129.03")
    assert overridden(NODE, CUDA="12.4").driver.version is None
    assert overridden("gpu=V100,driver=nouveau", CUDA="12.4").driver.module is None


def test_a_cuda_version_promises_a_gpu_that_nobody_named() -> None:
    """On a login node without GPU the variable stands for the node that has one."""
    assert overridden("gpu=none", CUDA="12.4").gpus is None
    assert overridden(NODE, CUDA="12.4").gpus == parse_machine(NODE).gpus


def test_an_empty_cuda_version_takes_driver_and_nvidia_gpus_away() -> None:
    """An empty value means absent, as it does to conda and rattler; GPUs of other makers stay."""
    machine = overridden(f"{NODE},gpu=Radeon RX 580", CUDA="")
    assert machine.driver.state is DriverState.MISSING
    assert machine.driver.version is None
    assert [gpu.vendor for gpu in machine.gpus or ()] == [Vendor.AMD]
    assert version_of("__cuda", machine) is None
    assert overridden("os=linux", CUDA="").gpus == ()


@given(st.lists(CAPABILITIES, min_size=1, max_size=4), CAPABILITIES)
def test_the_lowest_capability_becomes_the_value(present: list[ComputeCapability], value: ComputeCapability) -> None:
    """CEP 46: `__cuda_arch` has that version, whatever is there, and better GPUs stay as they are."""
    gpus = ",".join(f"gpu=Thing,capability={capability}" for capability in present)
    machine = overridden(f"{gpus},driver=580.65.06", CUDA_ARCH=str(value))
    after = [gpu.compute_capability for gpu in machine.nvidia_gpus]
    assert version_of("__cuda_arch", machine) == str(value)
    assert len(after) == len(present)
    changed = [(old, new) for old, new in zip(present, after, strict=True) if old != new]
    assert all(new == value for _, new in changed)
    assert all(old < value or old == min(present) for old, _ in changed)


def test_a_gpu_that_changes_loses_its_name() -> None:
    """A V100 of compute capability 8.0 does not exist."""
    machine = overridden(NODE, CUDA_ARCH="8.0")
    assert [gpu.name for gpu in machine.nvidia_gpus] == ["GPU of compute capability 8.0", "NVIDIA H100 80GB HBM3"]
    assert machine.sources["gpus"] == "CONDA_OVERRIDE_CUDA_ARCH"
    assert overridden(NODE, CUDA_ARCH="7.0").gpus == parse_machine(NODE).gpus


def test_a_capability_makes_a_gpu_where_none_is_known() -> None:
    """CEP 46 has it count also where no device was found, given a driver."""
    machine = overridden("gpu=none", CUDA="12.4", CUDA_ARCH="8.6")
    assert [gpu.compute_capability for gpu in machine.nvidia_gpus] == [ComputeCapability("8.6")]
    assert version_of("__cuda_arch", machine) == "8.6"
    assert version_of("__cuda_arch", overridden("os=linux,driver=580", CUDA_ARCH="8.6=Some")) == "8.6"


def test_a_capability_counts_only_with_a_driver() -> None:
    """CEP 46: `__cuda_arch` is absent where `__cuda` is; the user is told."""
    machine = overridden("gpu=V100,driver=none", CUDA_ARCH="9.0")
    assert machine.gpus == parse_machine("gpu=V100,driver=none").gpus
    assert any("CONDA_OVERRIDE_CUDA_ARCH" in note for note in machine.notes)
    assert version_of("__cuda_arch", overridden(NODE, CUDA="", CUDA_ARCH="9.0")) is None


def test_an_empty_capability_takes_away_the_knowledge_not_the_driver() -> None:
    """CEP 46: `__cuda_arch` is absent; `__cuda` stays, and the GPUs are there but nobody knows what they are."""
    machine = overridden(NODE, CUDA_ARCH="")
    assert version_of("__cuda_arch", machine) is None
    assert version_of("__cuda", machine) == "12.2"
    assert [gpu.compute_capability for gpu in machine.nvidia_gpus] == [None, None]
    assert not any("V100" in gpu.name or "H100" in gpu.name for gpu in machine.nvidia_gpus)


def test_the_c_library() -> None:
    """A version is believed, nothing means absent, and on Windows there is no GNU C library to speak of."""
    assert overridden(NODE, GLIBC="2.17").system.glibc == LibcVersion("2.17")
    assert version_of("__glibc", overridden(NODE, GLIBC="2.17")) == "2.17"
    assert version_of("__glibc", overridden(NODE, GLIBC="")) is None
    assert overridden("os=windows,gpu=V100", GLIBC="2.17") == parse_machine("os=windows,gpu=V100")


@pytest.mark.parametrize("name", ["CUDA", "CUDA_ARCH", "GLIBC"])
@pytest.mark.parametrize("value", ["new", "12,4", "-1", "\u0661\u0662.4", "1.2.3.4.x"])
def test_a_value_that_is_no_version_is_refused(name: str, value: str) -> None:
    """The message names the variable."""
    with pytest.raises(RequestError, match=f"CONDA_OVERRIDE_{name}"):
        overridden(NODE, **{name: value})


@given(st.dictionaries(st.sampled_from(["CUDA", "CUDA_ARCH", "GLIBC"]), st.text(max_size=6)))
def test_any_value_is_believed_or_refused(environ: dict[str, str]) -> None:
    """No value ends in a traceback."""
    try:
        machine = overridden(NODE, **environ)
    except RequestError:
        return
    assert virtual_packages(machine)


def build_of(package: str, machine: Machine) -> str | None:
    """The build string of a virtual package."""
    return next((build for name, _, build in virtual_packages(machine) if name == package), None)


@pytest.mark.parametrize(
    ("os", "name", "package", "version"),
    [
        ("linux", "LINUX", "__linux", "5.15.0.1"),
        ("macos", "OSX", "__osx", "11.3.1"),
        ("windows", "WIN", "__win", "10.0.19044"),
    ],
)
def test_the_version_of_the_system_is_believed_on_that_system_only(
    os: str, name: str, package: str, version: str
) -> None:
    """CEP 30: the variable of another system is ignored, and an empty one says nothing."""
    assert version_of(package, overridden(f"os={os}", **{name: version})) == version
    assert version_of(package, overridden(f"os={os}", **{name: ""})) == version_of(package, parse_machine(f"os={os}"))
    other = "linux" if os != "linux" else "macos"
    assert overridden(f"os={other}", **{name: version}) == parse_machine(f"os={other}")


def test_the_processor_is_believed() -> None:
    """CEP 30: the build string of `__archspec`, with version 1; an empty value says nothing."""
    machine = overridden("os=linux,arch=x86_64", ARCHSPEC="x86_64_v3")
    assert (version_of("__archspec", machine), build_of("__archspec", machine)) == ("1", "x86_64_v3")
    assert build_of("__archspec", overridden("os=linux,arch=x86_64", ARCHSPEC="")) == "x86_64"


@pytest.mark.parametrize(("name", "text"), [("LINUX", "five"), ("LINUX", "5.15-generic"), ("ARCHSPEC", "a=b")])
def test_what_is_no_version_or_processor_is_refused(name: str, text: str) -> None:
    """The variable is named."""
    with pytest.raises(RequestError, match=f"^CONDA_OVERRIDE_{name}: "):
        overridden("os=linux", **{name: text})
