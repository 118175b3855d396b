"""The toolkit table holds together, and the questions asked of it get the published answers."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import (
    driver_cuda,
    driver_floor,
    find_toolkit,
    last_toolkit_for_platform,
    load_toolkits,
    newest_toolkit,
    ptx_first_cuda,
    toolkit_driver,
    toolkit_sources,
)
from gpuenv.model import OperatingSystem
from gpuenv.versions import CodeImage, CudaVersion, DriverVersion, PtxIsa

LINUX, WINDOWS, MACOS = OperatingSystem.LINUX, OperatingSystem.WINDOWS, OperatingSystem.MACOS
SYSTEMS = (LINUX, WINDOWS)
ANY_DRIVER = st.builds(
    lambda *parts: DriverVersion(".".join(map(str, parts))), st.integers(300, 999), st.integers(0, 99)
)


def test_toolkits_are_in_order_and_each_is_there_once() -> None:
    """Versions rise, and so do the months of release, the PTX ISA and the driver branches with them."""
    for older, newer in pairwise(load_toolkits()):
        assert older.version < newer.version
        assert older.released < newer.released
        assert older.ptx_isa <= newer.ptx_isa
        assert older.driver_branch < newer.driver_branch


def test_every_toolkit_names_known_sources_and_a_month() -> None:
    """Each row says where its figures were read."""
    for toolkit in load_toolkits():
        assert toolkit.source
        assert set(toolkit.source) <= set(toolkit_sources())
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", toolkit.released)
    assert all("<http" in text for text in toolkit_sources().values())


@pytest.mark.parametrize("os", SYSTEMS)
def test_toolkit_drivers_never_fall(os: OperatingSystem) -> None:
    """A newer toolkit never asks for an older driver."""
    drivers = [driver for toolkit in load_toolkits() if (driver := toolkit_driver(toolkit.version, os))]
    assert drivers == sorted(drivers)
    assert len(drivers) > len(load_toolkits()) / 2


@pytest.mark.parametrize("os", SYSTEMS)
def test_driver_floors_never_fall_and_stay_below_newer_majors(os: OperatingSystem) -> None:
    """The floor rises with the CUDA version."""
    floors = [floor.version for toolkit in load_toolkits() if (floor := driver_floor(toolkit.version, os))]
    assert len(floors) == len(load_toolkits())
    assert floors == sorted(floors)


@pytest.mark.parametrize("os", SYSTEMS)
def test_every_toolkit_driver_serves_its_own_cuda(os: OperatingSystem) -> None:
    """The two halves of the table agree: the driver published with a toolkit reports that toolkit's CUDA."""
    for toolkit in load_toolkits():
        driver = toolkit_driver(toolkit.version, os)
        assert driver is None or driver_cuda(driver, os) == toolkit.version


def test_targets_are_known_compute_capabilities_within_their_range() -> None:
    """A toolkit compiles for a capability from its first to its last CUDA, and for nothing else."""
    for toolkit in load_toolkits():
        for target in toolkit.targets:
            row = find_capability(CodeImage.parse(target).capability)
            assert row is not None, target
            assert row.first_cuda <= toolkit.version
            assert row.last_cuda is None or toolkit.version <= row.last_cuda


@pytest.mark.parametrize(
    ("cuda", "linux", "windows"),
    [
        ("11.8", "450.80.02", "452.39"),
        ("12.0", "525.60.13", "527.41"),
        ("12.1", "525.60.13", "527.41"),
        ("12.2", "525.60.13", "527.41"),
    ],
)
def test_the_table_of_the_documentation_page_comes_out(cuda: str, linux: str, windows: str) -> None:
    """Working with GPU packages, required NVIDIA driver versions: the floors of CUDA 11 and 12."""
    for os, wanted in ((LINUX, linux), (WINDOWS, windows)):
        floor = driver_floor(CudaVersion(cuda), os)
        assert floor is not None
        assert str(floor.version) == wanted
        assert floor.is_minor_version_floor
        assert set(floor.source) <= set(toolkit_sources())


def test_cuda_10_has_no_minor_version_floor() -> None:
    """Up to CUDA 10.2 the toolkit's own driver is the floor."""
    floor = driver_floor(CudaVersion("10.2"), LINUX)
    assert floor is not None
    assert not floor.is_minor_version_floor
    assert floor.version == toolkit_driver(CudaVersion("10.2"), LINUX)


def test_a_cuda_without_toolkit_still_has_the_floor_of_its_major() -> None:
    """Drivers report 12.7, for which no toolkit exists: the floor is that of CUDA 12."""
    assert find_toolkit(CudaVersion("12.7")) is None
    assert toolkit_driver(CudaVersion("12.7"), LINUX) is None
    floor, twelve = driver_floor(CudaVersion("12.7"), LINUX), driver_floor(CudaVersion("12.0"), LINUX)
    assert floor is not None
    assert twelve is not None
    assert floor.version == twelve.version


@pytest.mark.parametrize(("cuda", "os"), [("12.4", MACOS), ("14.0", LINUX), ("6.5", LINUX), ("10.9", WINDOWS)])
def test_no_floor_is_invented(cuda: str, os: OperatingSystem) -> None:
    """Nothing is known of CUDA on macOS after 10.2, of majors to come and of toolkits that are not in the table."""
    assert driver_floor(CudaVersion(cuda), os) is None


@pytest.mark.parametrize(
    ("driver", "os", "cuda"),
    [
        ("535.129.03", LINUX, "12.2"),
        ("580.65.06", LINUX, "13.0"),
        ("450.80.02", LINUX, "11.0"),
        ("470.82", LINUX, "11.4"),
        ("570.133.07", LINUX, "12.8"),
        ("565.57.01", LINUX, "12.7"),
        ("551.23", WINDOWS, "12.4"),
        ("452.39", WINDOWS, "11.0"),
        ("538.15", WINDOWS, "12.2"),
    ],
)
def test_driver_branches_report_the_cuda_that_nvidia_smi_prints(driver: str, os: OperatingSystem, cuda: str) -> None:
    """The pairs in the header of `nvidia-smi`."""
    assert driver_cuda(DriverVersion(driver), os) == CudaVersion(cuda)


@given(ANY_DRIVER, ANY_DRIVER)
def test_a_newer_driver_never_serves_less(one: DriverVersion, other: DriverVersion) -> None:
    """CUDA rises with the driver, up to the newest that is known."""
    older, newer = sorted((one, other))
    served, served_by_newer = driver_cuda(older, LINUX), driver_cuda(newer, LINUX)
    assert served is None or (served_by_newer is not None and served <= served_by_newer <= newest_toolkit())


def test_drivers_outside_the_table() -> None:
    """A driver newer than all serves at least the newest CUDA; one older than all, or on macOS, is not known."""
    assert driver_cuda(DriverVersion("999.10"), LINUX) == newest_toolkit()
    assert driver_cuda(DriverVersion("304.137"), LINUX) is None
    assert driver_cuda(DriverVersion("580.65.06"), MACOS) is None


def test_each_ptx_isa_belongs_to_the_first_cuda_that_knows_it() -> None:
    """A later toolkit with the same PTX ISA changes nothing; an ISA without a published toolkit counts."""
    for toolkit in load_toolkits():
        first = ptx_first_cuda(toolkit.ptx_isa)
        assert first is not None
        assert first <= toolkit.version
    assert ptx_first_cuda(PtxIsa("8.5")) == CudaVersion("12.5")
    assert ptx_first_cuda(PtxIsa("8.6")) == CudaVersion("12.7")
    assert ptx_first_cuda(PtxIsa("99.0")) is None


def test_platforms_that_toolkits_left() -> None:
    """CUDA 10.2 is the last for macOS and 12.4 for POWER; Macs with Apple's own processor never had one."""
    assert last_toolkit_for_platform("macos-x86_64") == CudaVersion("10.2")
    assert last_toolkit_for_platform("linux-ppc64le") == CudaVersion("12.4")
    assert last_toolkit_for_platform("macos-aarch64") is None
    for platform in ("linux-x86_64", "linux-aarch64", "windows-x86_64"):
        assert last_toolkit_for_platform(platform) == newest_toolkit()
    assert last_toolkit_for_platform("linux-aarch64-jetson") == CudaVersion("12.9")
