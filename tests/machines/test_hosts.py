"""Recorded computers (`tests/data/hosts`): each note says where the recording came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuenv.machines.probe import probe
from gpuenv.machines.recording import load_recording
from gpuenv.model import DriverState, Machine, OperatingSystem, Vendor, from_json, to_json
from gpuenv.versions import CudaVersion, DriverVersion, LibcVersion

HOSTS = Path(__file__).parents[1] / "data" / "hosts"
NAMES = sorted(path.stem for path in HOSTS.glob("*.json"))


def _machine(name: str) -> Machine:
    return probe(load_recording(HOSTS / f"{name}.json"))


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_says_where_it_came_from_and_gives_a_machine(name: str) -> None:
    """The note is there, and the machine survives the way to JSON and back."""
    assert len(json.loads((HOSTS / f"{name}.json").read_text())["note"]) > 20
    machine = _machine(name)
    assert from_json(to_json(machine), Machine) == machine


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_source(name: str) -> None:
    """What is known of driver, processor, memory and system names where it was read."""
    machine = _machine(name)
    known = {
        "driver.version": machine.driver.version,
        "driver.kernel_version": machine.driver.kernel_version,
        "driver.cuda": machine.driver.cuda,
        "driver.module": machine.driver.module,
        "cpu.model": machine.cpu.model,
        "cpu.cores": machine.cpu.cores,
        "memory_bytes": machine.memory_bytes,
        "gpus": machine.gpus is not None,
        "system": machine.system,
        "system.glibc": machine.system.glibc,
        "system.container": machine.system.container,
        "system.jetson": machine.system.jetson,
    }
    assert [field for field, value in known.items() if value and not machine.sources.get(field)] == []


def test_nouveau_holds_the_gpu() -> None:
    """The GPU is named from the PCI list, its capability from the table, and the module is nouveau."""
    machine = _machine("nouveau")
    assert (machine.driver.state, machine.driver.module) == (DriverState.MISSING, "nouveau")
    (gpu,) = machine.gpus or ()
    assert (gpu.name, str(gpu.compute_capability), gpu.pci_id) == ("NVIDIA Tesla V100 PCIe 32GB", "7.0", "10de:1db6")
    assert machine.system.glibc == LibcVersion("2.17")


def test_nova_holds_the_gpu() -> None:
    """The kernel's own Rust driver is told from NVIDIA's."""
    assert _machine("nova").driver.module == "nova"


def test_one_gpu_of_two_is_given_to_a_virtual_machine() -> None:
    """The driver lists one, the module is NVIDIA's, and a note tells of the other."""
    machine = _machine("vfio")
    assert [gpu.name for gpu in machine.nvidia_gpus] == ["NVIDIA GeForce RTX 4090"]
    assert machine.driver.module == "nvidia"
    assert any("GTX 1080 Ti (0000:02:00.0) is bound to vfio-pci" in note for note in machine.notes)


def test_wsl2_has_the_driver_of_windows() -> None:
    """WSL 2: Linux with glibc, the version of the Windows driver, no kernel module, no note."""
    machine = _machine("wsl2")
    assert (machine.system.os, machine.system.wsl) == (OperatingSystem.LINUX, True)
    assert (machine.driver.version, machine.driver.cuda) == (DriverVersion("560.94"), CudaVersion("12.6"))
    assert (machine.driver.state, machine.driver.module, machine.notes) == (DriverState.LOADED, None, ())
    assert machine.nvidia_gpus[0].usable


def test_wsl2_with_a_linux_driver_in_the_way() -> None:
    """A Linux package's libcuda hides that of Windows: the GPU cannot be opened, and the note names the file."""
    machine = _machine("wsl2-shadowed")
    assert not machine.nvidia_gpus[0].usable
    assert any("/usr/lib/x86_64-linux-gnu/libcuda.so.510.108.03" in note for note in machine.notes)


def test_wsl2_whose_driver_hangs() -> None:
    """No module shows in WSL, so a library that hangs leaves the state unknown, not `installed`."""
    machine = _machine("wsl2-hang")
    assert machine.driver.state is DriverState.UNKNOWN
    assert (machine.driver.error or "").startswith("NVML: no answer within")


def test_wsl1_has_no_gpu() -> None:
    """WSL 1 can have none, and the note tells how to change that."""
    machine = _machine("wsl1")
    assert machine.gpus == ()
    assert "wsl --set-version" in machine.notes[0]


def test_jetson_orin() -> None:
    """The board and its release, nvgpu as module, memory and capability from libcuda where NVML lacks them."""
    machine = _machine("jetson-orin")
    assert machine.system.jetson == "NVIDIA Jetson AGX Orin Developer Kit (L4T R36.4.0)"
    assert (machine.system.arch, machine.driver.module) == ("aarch64", "nvgpu")
    (gpu,) = machine.gpus or ()
    assert (str(gpu.compute_capability), gpu.memory_bytes, gpu.board) == ("8.7", 64353869824, "jetson")
    assert machine.notes == ()


def test_jetson_nano_without_nvml() -> None:
    """JetPack 4 has no NVML: libcuda alone tells, and that is no error."""
    machine = _machine("jetson-nano")
    assert (machine.driver.state, machine.driver.error) == (DriverState.LOADED, None)
    assert (machine.driver.cuda, str(machine.nvidia_gpus[0].compute_capability)) == (CudaVersion("10.2"), "5.3")


def test_amd_gpus_are_named_and_are_not_nvidia() -> None:
    """Accelerators and display boards of AMD: the product's name where amdgpu tells it, else the PCI list's."""
    machine = _machine("amd")
    assert {gpu.vendor for gpu in machine.gpus or ()} == {Vendor.AMD}
    names = [gpu.name for gpu in machine.gpus or ()]
    assert names == ["AMD Instinct MI300X OAM", "AMD Instinct MI300X", "AMD Radeon RX 7900 XT/7900 XTX/7900M"]
    assert (machine.gpus or ())[0].memory_bytes == 206141652992
    assert machine.nvidia_gpus == ()


def test_a_gpu_that_nobody_names_has_its_numbers() -> None:
    """Without a PCI list the name is the maker's with the two numbers."""
    (gpu,) = _machine("intel").gpus or ()
    assert (gpu.vendor, gpu.name) == (Vendor.INTEL, "Intel GPU 8086:a7a0")


def test_virtual_and_console_adapters_are_no_gpus() -> None:
    """Nor is an NVSwitch, though NVIDIA made it."""
    assert _machine("virtual-adapters").gpus == ()


def test_container_limits_are_honoured() -> None:
    """Memory and processors are those of the container (cgroup 2), and the host's other GPUs are not counted."""
    machine = _machine("container-with-gpu")
    assert (machine.system.container, machine.memory_bytes, machine.cpu.cores) == ("docker", 32 << 30, 8)
    assert machine.sources["memory_bytes"] == "/sys/fs/cgroup/memory.max"
    assert len(machine.nvidia_gpus) == 1
    assert machine.notes == ()


def test_slurm_limits_are_honoured() -> None:
    """Version 1 of the groups: the limit sits one level above the process, and the huge number is none."""
    machine = _machine("slurm-cgroup-v1")
    assert (machine.memory_bytes, machine.cpu.cores) == (64 << 30, 8)
    assert machine.environ == {"SLURM_JOB_ID": "set"}


def test_cuda_compat_in_a_container() -> None:
    """What libcuda serves counts, the driver's version is the host's, and there is no false mismatch."""
    driver = _machine("container-cuda-compat").driver
    assert driver.cuda == CudaVersion("12.4")
    assert driver.version == driver.kernel_version == DriverVersion("535.129.03")


def test_cuda_compat_on_a_geforce() -> None:
    """Error 804: not usable, and CUDA as the driver's own branch serves it."""
    machine = _machine("compat-on-geforce")
    assert (machine.driver.cuda, machine.nvidia_gpus[0].usable) == (CudaVersion("12.2"), False)


def test_a_container_without_the_gpu() -> None:
    """The module shows, the libraries do not: CUDA cannot run here, and the note says how to start the container."""
    machine = _machine("container-without-gpu")
    assert (machine.driver.state, machine.driver.version) == (DriverState.MISSING, None)
    assert machine.driver.kernel_version == DriverVersion("535.129.03")
    assert [gpu.usable for gpu in machine.nvidia_gpus] == [False]
    assert any("--gpus all" in note for note in machine.notes)


def test_a_container_without_compute() -> None:
    """NVML without libcuda: no CUDA, and the note names the variable."""
    machine = _machine("container-without-compute")
    assert machine.system.container == "kubernetes"
    assert (machine.nvidia_gpus[0].usable, machine.driver.error) == (False, "libcuda: the library is missing")
    assert any("NVIDIA_DRIVER_CAPABILITIES" in note for note in machine.notes)


def test_kernel_and_user_parts_differ() -> None:
    """Both versions are known and the error keeps NVML's and CUDA's own codes."""
    driver = _machine("mismatch").driver
    assert (driver.version, driver.kernel_version) == (DriverVersion("535.129.03"), DriverVersion("535.113.01"))
    assert "(18)" in (driver.error or "")
    assert "(803)" in (driver.error or "")


def test_secure_boot_keeps_the_module_out() -> None:
    """Libraries without a module are `installed`; the version is in the library's name; the note gives the reason."""
    machine = _machine("secure-boot")
    assert (machine.driver.state, machine.driver.version) == (DriverState.INSTALLED, DriverVersion("550.90.07"))
    assert any("Secure Boot" in note for note in machine.notes)


def test_a_driver_that_dropped_the_gpu() -> None:
    """The driver answers and lists nothing; the GPU on the bus is kept, unusable, so that rules can say why."""
    machine = _machine("pascal-on-595")
    (gpu,) = machine.gpus or ()
    assert (gpu.name, str(gpu.compute_capability), gpu.usable) == ("NVIDIA GeForce GTX 1080 Ti", "6.1", False)


def test_a_driver_without_a_gpu_is_no_error() -> None:
    """A login node: driver loaded, no GPU, nothing wrong."""
    machine = _machine("driver-without-gpu")
    assert (machine.driver.state, machine.driver.error, machine.gpus) == (DriverState.LOADED, None, ())
    assert machine.notes == ()


def test_closed_device_files_are_noted() -> None:
    """The GPU keeps the name that the kernel knows, and the note names the file that this user may not open."""
    machine = _machine("device-files-closed")
    assert machine.nvidia_gpus[0].name == "NVIDIA GeForce RTX 3090"
    assert any(note.startswith("this user may not open /dev/nvidia0,") for note in machine.notes)


def test_musl_is_noted() -> None:
    """Alpine has no glibc, and the note says what does not run there."""
    machine = _machine("alpine")
    assert machine.system.glibc is None
    assert any("musl" in note for note in machine.notes)


def test_windows() -> None:
    """NVML and nvcuda tell of the GPU, the registry of the other adapters and the processor."""
    machine = _machine("windows")
    assert machine.platform == "windows-x86_64"
    assert machine.driver.version == DriverVersion("560.94")
    assert [(gpu.vendor, gpu.name) for gpu in machine.gpus or ()] == [
        (Vendor.NVIDIA, "NVIDIA GeForce RTX 4090"),
        (Vendor.INTEL, "Intel(R) UHD Graphics 770"),
    ]
    assert machine.cpu.model == "13th Gen Intel(R) Core(TM) i9-13900K"
    assert set(machine.environ) == {"CUDA_PATH"}


def test_windows_with_nvidia_smi_in_its_old_place() -> None:
    """Driver 452 keeps nvidia-smi.exe in the folder NVSMI; NVML that is not found is no error."""
    machine = _machine("windows-old-smi")
    assert (machine.driver.version, machine.sources["driver.version"]) == (DriverVersion("452.57"), "nvidia-smi")
    assert machine.driver.error is None


def test_windows_with_the_registry_alone() -> None:
    """The version in the registry's own numbering; the driver counts as missing without its libraries."""
    machine = _machine("windows-registry-only")
    assert (machine.driver.version, machine.driver.state) == (DriverVersion("560.94"), DriverState.MISSING)
    assert machine.nvidia_gpus[0].memory_bytes == 25757220864


def test_windows_on_arm_under_emulation() -> None:
    """The hardware counts, not what the emulated Python says."""
    assert _machine("windows-arm").system.arch == "aarch64"


@pytest.mark.parametrize("name", ["macos-arm", "macos-rosetta"])
def test_apple_silicon(name: str) -> None:
    """Under Rosetta, too, the hardware is reported."""
    machine = _machine(name)
    assert machine.platform == "macos-aarch64"
    assert [(gpu.vendor, gpu.name) for gpu in machine.gpus or ()] == [(Vendor.APPLE, "Apple M3 Pro")]
    assert machine.memory_bytes == 38654705664


def test_an_intel_mac_with_an_nvidia_gpu() -> None:
    """Both GPUs are named by macOS; there is no driver for the NVIDIA one."""
    machine = _machine("macos-intel")
    assert machine.platform == "macos-x86_64"
    assert {gpu.vendor for gpu in machine.gpus or ()} == {Vendor.NVIDIA, Vendor.INTEL}
    assert machine.driver.state is DriverState.MISSING
    assert machine.memory_bytes == 16 << 30
