"""Virtual packages as CEP 30 and CEP 46 list them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.machines.virtual_packages import virtual_packages
from gpuenv.machines.written import parse_machine
from gpuenv.model import DriverState, Machine


def packages(machine: Machine) -> dict[str, tuple[str, str]]:
    """Version and build string by name."""
    found = virtual_packages(machine)
    assert list(found) == sorted(found)
    by_name = {name: (version, build) for name, version, build in found}
    assert len(by_name) == len(found)
    return by_name


def of(text: str) -> dict[str, tuple[str, str]]:
    """The virtual packages of a machine in the short form."""
    return packages(parse_machine(text))


def with_release(text: str, release: str) -> Machine:
    """A machine with this release of its system."""
    machine = parse_machine(text)
    return msgspec.structs.replace(machine, system=msgspec.structs.replace(machine.system, release=release))


def test_a_linux_machine_with_two_gpus() -> None:
    """`__cuda` is what the driver serves, `__cuda_arch` the lowest of all GPUs."""
    assert of("gpu=H100,gpu=2xV100,driver=535.129.03,glibc=2.31") == {
        "__archspec": ("1", "x86_64"),
        "__cuda": ("12.2", "0"),
        "__cuda_arch": ("7.0", "0"),
        "__glibc": ("2.31", "0"),
        "__linux": ("0", "0"),
        "__unix": ("0", "0"),
    }


@pytest.mark.parametrize(
    ("os", "there", "absent"),
    [
        ("linux", {"__linux", "__unix", "__glibc"}, {"__osx", "__win"}),
        ("macos", {"__osx", "__unix"}, {"__linux", "__win", "__glibc", "__cuda"}),
        ("windows", {"__win"}, {"__linux", "__unix", "__osx", "__glibc"}),
    ],
)
def test_each_system_has_its_own(os: str, there: set[str], absent: set[str]) -> None:
    """`__unix` is for Linux and macOS, `__glibc` for Linux, `__archspec` for all."""
    names = set(of(f"os={os}"))
    assert there | {"__archspec"} <= names
    assert not absent & names


@pytest.mark.parametrize(
    "text", ["gpu=V100", "gpu=V100,driver=none", "gpu=V100,driver=nouveau", "gpu=none", "os=linux"]
)
def test_no_driver_no_cuda(text: str) -> None:
    """CEP 30: without a driver that serves CUDA there is no `__cuda`, and CEP 46: then no `__cuda_arch` either."""
    assert not {"__cuda", "__cuda_arch"} & set(of(text))


def test_a_driver_without_its_module_serves_nothing() -> None:
    """To conda a driver is one whose `cuInit` succeeds, which it does not while the kernel module is not loaded."""
    machine = parse_machine("gpu=V100,driver=535.129.03")
    installed = msgspec.structs.replace(machine.driver, state=DriverState.INSTALLED)
    assert "__cuda" not in packages(msgspec.structs.replace(machine, driver=installed))


def test_a_driver_without_gpus_has_no_arch() -> None:
    """CEP 46: no device, no `__cuda_arch`; and one GPU of unknown capability could be the lowest."""
    assert "__cuda_arch" not in of("gpu=none,driver=535.129.03")
    machine = parse_machine("gpu=2xV100,driver=535.129.03")
    gpus = (*machine.nvidia_gpus[1:], msgspec.structs.replace(machine.nvidia_gpus[0], compute_capability=None))
    assert "__cuda_arch" not in packages(msgspec.structs.replace(machine, gpus=gpus))


def test_gpus_that_cuda_cannot_open_do_not_count() -> None:
    """The lowest of the devices that CUDA sees."""
    machine = parse_machine("gpu=V100,gpu=H100,driver=535.129.03")
    gpus = (msgspec.structs.replace(machine.nvidia_gpus[0], usable=False), machine.nvidia_gpus[1])
    assert packages(msgspec.structs.replace(machine, gpus=gpus))["__cuda_arch"] == ("9.0", "0")


def test_an_unknown_c_library_gets_a_default_and_an_absent_one_none() -> None:
    """CEP 30 lets the tool choose a version where it cannot tell."""
    assert "__glibc" in of("os=linux")
    machine = parse_machine("os=linux")
    absent = msgspec.structs.replace(machine, sources=machine.sources | {"system.glibc": "ldd"})
    assert "__glibc" not in packages(absent)


@pytest.mark.parametrize(
    ("os", "release", "version"),
    [
        ("linux", "5.15.0-105-generic", "5.15.0"),
        ("linux", "6.1.0", "6.1.0"),
        ("linux", "5.15.153.1-microsoft-standard-WSL2", "5.15.153.1"),
        ("linux", "4.18.0-553.el8_10.x86_64", "4.18.0"),
        ("macos", "14.5.1", "14.5"),
        ("windows", "10.0.22631", "10.0.22631"),
        ("windows", "10.0.22631.3880", "10.0.22631"),
        ("linux", "unknown", "0"),
    ],
)
def test_releases_lose_what_distributions_add(os: str, release: str, version: str) -> None:
    """CEP 30: the kernel of kernel.org, two numbers of macOS, three of Windows."""
    name = {"linux": "__linux", "macos": "__osx", "windows": "__win"}[os]
    assert packages(with_release(f"os={os}", release))[name] == (version, "0")


@pytest.mark.parametrize(("arch", "build"), [("arm64", "aarch64"), ("x64", "x86_64"), ("ppc64le", "ppc64le")])
def test_the_processor_is_a_family_of_archspec(arch: str, build: str) -> None:
    """CEP 30, appendix A."""
    assert of(f"os=linux,arch={arch}")["__archspec"] == ("1", build)


@given(st.text(max_size=30))
def test_every_version_can_be_parsed(release: str) -> None:
    """Whatever a system calls its release, versions consist of numbers and points."""
    for os in ("linux", "macos", "windows"):
        for version, build in packages(with_release(f"os={os}", release)).values():
            assert all(part.isascii() and part.isdigit() for part in version.split("."))
            assert build
