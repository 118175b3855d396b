"""The probe through real libraries: loaded by a real child process, built from C, replayed from a recording."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpuenv.machines import local
from gpuenv.model import DriverState, Machine
from gpuenv.versions import ComputeCapability, CudaVersion, DriverVersion
from machines.stub_driver import STUBS, BareHost, Setter, build_stubs, probe_and_replay

H100 = "NVIDIA H100 80GB HBM3|9.0|81559|"
A100 = "NVIDIA A100-SXM4-40GB|8.0|40960|"
MODULE = {"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024"}


class NoLibraries(BareHost):
    """A computer on which the loader finds nothing."""

    def find_library(self, name: str) -> tuple[str, ...]:
        assert name
        return ()


def _listed(machine: Machine) -> list[tuple[str, bool]]:
    return [(gpu.name, gpu.usable) for gpu in machine.gpus or ()]


def test_nvml_and_libcuda_give_every_value(stub_driver: Setter) -> None:
    """Version, CUDA, name, capability, memory, UUID and PCI id come from the libraries, with their names as sources."""
    stub_driver(GPUS=H100, DRIVER="550.90.07", CUDA="12040")
    machine = probe_and_replay(BareHost())
    assert machine.driver.state is DriverState.LOADED
    assert machine.driver.version == DriverVersion("550.90.07")
    assert machine.driver.cuda == CudaVersion("12.4")
    assert machine.driver.error is None
    (gpu,) = machine.gpus or ()
    assert (gpu.name, gpu.compute_capability) == ("NVIDIA H100 80GB HBM3", ComputeCapability("9.0"))
    assert (gpu.memory_bytes, gpu.pci_id) == (81559 << 20, "10de:2330")
    assert (gpu.uuid, gpu.board, gpu.usable) == ("GPU-00000000-0000-0000-0000-000000000000", "datacenter", True)
    assert machine.sources["driver.version"] == machine.sources["gpus"] == "NVML"
    assert machine.sources["driver.cuda"] == "libcuda"


def test_several_gpus_keep_their_order(stub_driver: Setter) -> None:
    """Each GPU is listed once, in NVML's order, with its own values."""
    stub_driver(GPUS=f"{H100};{A100};Tesla T4|7.5|15360|")
    machine = probe_and_replay(BareHost())
    assert [str(gpu.compute_capability) for gpu in machine.nvidia_gpus] == ["9.0", "8.0", "7.5"]
    assert len({gpu.uuid for gpu in machine.nvidia_gpus}) == 3


def test_mig_devices_stand_in_place_of_their_board(stub_driver: Setter) -> None:
    """A board in MIG mode appears as its devices, each with profile, memory and UUID of its own."""
    stub_driver(GPUS=f"{A100}1g.5gb,2g.10gb")
    first, second = probe_and_replay(BareHost()).gpus or ()
    assert (first.name, first.mig, first.memory_bytes) == ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "1g.5gb", 5 << 30)
    assert (second.mig, second.memory_bytes, second.compute_capability) == (
        "2g.10gb",
        10 << 30,
        first.compute_capability,
    )
    assert first.uuid is not None
    assert first.uuid.startswith("MIG-")
    assert first.usable
    assert second.usable


def test_mig_mode_without_a_device_is_not_usable(stub_driver: Setter) -> None:
    """With MIG on and no device made, the driver lists the board and CUDA cannot open it."""
    stub_driver(GPUS=f"{A100}on")
    machine = probe_and_replay(BareHost())
    (gpu,) = machine.gpus or ()
    assert (gpu.mig, gpu.usable, gpu.memory_bytes) == ("enabled", False, 40960 << 20)
    assert machine.driver.error == "libcuda: CUDA_ERROR_NO_DEVICE (100)"


def test_beside_mig_devices_cuda_need_not_list_a_gpu(stub_driver: Setter) -> None:
    """With MIG on, CUDA shows one MIG device at a time, so what it leaves out is not unusable for that."""
    stub_driver(GPUS=f"{A100}1g.5gb;{H100}", CUDA_OPENS="1")
    assert [gpu.usable for gpu in probe_and_replay(BareHost()).nvidia_gpus] == [True, True]


def test_mig_that_is_off_is_no_mig(stub_driver: Setter) -> None:
    """A board that knows MIG but has it off is an ordinary GPU."""
    stub_driver(GPUS=f"{A100}off")
    (gpu,) = probe_and_replay(BareHost()).gpus or ()
    assert (gpu.mig, gpu.usable) == (None, True)


def test_a_driver_without_a_gpu(stub_driver: Setter) -> None:
    """A driver that lists no GPU is loaded, has no error, and the machine has no GPU (which is not: unknown)."""
    stub_driver(GPUS="")
    machine = probe_and_replay(BareHost())
    assert (machine.driver.state, machine.driver.error, machine.gpus) == (DriverState.LOADED, None, ())


@pytest.mark.parametrize("mode", ["hang", "crash", "1"])
def test_nvml_that_fails_leaves_the_rest_to_libcuda(stub_driver: Setter, mode: str) -> None:
    """NVML may hang, crash or refuse: that is written down, and libcuda gives GPUs, CUDA and its version."""
    stub_driver(GPUS=H100, NVML=mode)
    machine = probe_and_replay(BareHost(timeout_seconds=1))
    says = {
        "hang": "no answer within 1 seconds",
        "crash": "ended the asking process (SIGSEGV)",
        "1": "Uninitialized (1)",
    }
    assert machine.driver.error == f"NVML: {says[mode]}"
    assert _listed(machine) == [("NVIDIA H100 80GB HBM3", True)]
    assert machine.driver.version == DriverVersion("550.54.15")
    assert machine.sources["driver.version"].startswith("file name ")
    assert machine.sources["gpus"] == "libcuda"


@pytest.mark.parametrize(
    ("mode", "says"), [("hang", "no answer"), ("crash", "SIGSEGV"), ("999", "CUDA_ERROR_UNKNOWN (999)")]
)
def test_libcuda_that_fails_makes_the_gpus_unusable(stub_driver: Setter, mode: str, says: str) -> None:
    """What NVML lists stays listed, but CUDA cannot open it."""
    stub_driver(GPUS=H100, CUDA_INIT=mode)
    machine = probe_and_replay(BareHost(timeout_seconds=1))
    assert _listed(machine) == [("NVIDIA H100 80GB HBM3", False)]
    assert says in (machine.driver.error or "")
    assert machine.driver.cuda == CudaVersion("12.4")


def test_both_hang_and_the_probe_ends(stub_driver: Setter) -> None:
    """Two hanging libraries cost two time limits at most, and the kernel's files still tell what they can."""
    stub_driver(NVML="hang", CUDA_INIT="hang")
    begin = time.monotonic()
    machine = probe_and_replay(BareHost(timeout_seconds=1, files=MODULE))
    assert time.monotonic() - begin < 4
    assert machine.driver.state is DriverState.LOADED
    assert (machine.driver.error or "").count("no answer within 1 seconds") == 2


def test_patience_after_a_hang_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one hang the next question gets a short time, not the whole limit again."""
    monkeypatch.setattr(local, "SECONDS_AFTER_HANG", 0.1)
    host = BareHost(timeout_seconds=0.6)
    assert host.run(("/bin/sleep", "30")) is not None
    begin = time.monotonic()
    done = host.run(("/bin/sleep", "30"))
    assert done is not None
    assert done.status is None
    assert time.monotonic() - begin < 0.5


def test_a_crash_keeps_what_was_said_before_it(stub_driver: Setter) -> None:
    """When NVML crashes at the second GPU, the first and the driver's version are kept, and libcuda adds the rest."""
    stub_driver(GPUS=f"{H100};{A100}", NVML="crash-late", DRIVER="550.90.07")
    machine = probe_and_replay(BareHost())
    assert machine.driver.version == DriverVersion("550.90.07")
    assert _listed(machine) == [("NVIDIA H100 80GB HBM3", True), ("NVIDIA A100-SXM4-40GB", True)]


def test_kernel_and_library_of_different_versions(stub_driver: Setter) -> None:
    """After an update without a restart: the library's version from its file name, the module's from /proc."""
    stub_driver(GPUS=H100, NVML="18", CUDA_INIT="803")
    version = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.183.01  Release Build  (builder@host)"
    files = {
        "/proc/driver/nvidia/version": version,
        "/proc/driver/nvidia/gpus/0000:10:00.0/information": "Model: \t NVIDIA H100 80GB HBM3\n",
    }
    machine = probe_and_replay(BareHost(files=files))
    assert machine.driver.version == DriverVersion("550.54.15")
    assert machine.driver.kernel_version == DriverVersion("535.183.01")
    assert machine.driver.module == "nvidia-open"
    assert machine.driver.error == (
        "NVML: driver/library version mismatch (18); libcuda: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)"
    )
    assert _listed(machine) == [("NVIDIA H100 80GB HBM3", False)]


def test_libraries_without_a_module_are_installed(stub_driver: Setter) -> None:
    """Libraries that say the driver is not loaded, and no module: the state is `installed`."""
    stub_driver(NVML="9", CUDA_INIT="100")
    machine = probe_and_replay(BareHost())
    assert machine.driver.state is DriverState.INSTALLED
    assert machine.driver.error == "NVML: driver not loaded (9)"


def test_a_lost_gpu_is_listed_and_noted(stub_driver: Setter) -> None:
    """A GPU that fell off the bus keeps the name that libcuda or the kernel knows, and is not usable."""
    stub_driver(GPUS=f"{H100};{A100}", LOST="1")
    machine = probe_and_replay(BareHost())
    assert _listed(machine) == [("NVIDIA H100 80GB HBM3", True), ("NVIDIA A100-SXM4-40GB", False)]
    assert "NVIDIA A100-SXM4-40GB (0000:11:00.0): GPU is lost" in machine.notes


def test_what_cuda_does_not_open_is_not_usable(stub_driver: Setter) -> None:
    """NVML lists two GPUs and libcuda opens one: the other one is not usable."""
    stub_driver(GPUS=f"{H100};{A100}", CUDA_OPENS="1")
    assert [gpu.usable for gpu in probe_and_replay(BareHost()).nvidia_gpus] == [True, False]


def test_libcuda_fills_what_nvml_lacks(stub_driver: Setter) -> None:
    """An NVML that knows no compute capability and no memory leaves both to libcuda, and the sources say so."""
    stub_driver(GPUS="NVIDIA X|9.0||", NO_CAPABILITY="1")
    machine = probe_and_replay(BareHost())
    assert str(machine.nvidia_gpus[0].compute_capability) == "9.0"
    assert machine.sources["gpus[0].compute_capability"] == "libcuda"


def test_cuda_visible_devices_hides_nothing_from_the_probe(
    stub_driver: Setter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is dropped for the questions, kept in `environ`, and a note tells what it hides from programs."""
    stub_driver(GPUS=f"{H100};{A100}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    machine = probe_and_replay(BareHost())
    assert [gpu.usable for gpu in machine.nvidia_gpus] == [True, True]
    assert machine.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES='1' hides 1 of 2 GPUs from CUDA programs started here" in machine.notes


def test_a_driver_that_prints_does_not_spoil_the_answer(stub_driver: Setter) -> None:
    """What a library writes to standard output is not taken for the answer."""
    stub_driver(GPUS=H100, NOISE="1")
    assert _listed(probe_and_replay(BareHost())) == [("NVIDIA H100 80GB HBM3", True)]


def test_cuda_compat_lifts_the_cuda_version(
    stub_driver: Setter, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cuda-compat libcuda on the loader's path decides the CUDA version; the driver's version stays NVML's."""
    compat = tmp_path / "cuda-12.8" / "compat"
    compat.mkdir(parents=True)
    shutil.copy(stubs / "libcuda.so.550.54.15", compat / "libcuda.so.570.86.10")
    (compat / "libcuda.so.1").symlink_to("libcuda.so.570.86.10")
    stub_driver(GPUS=H100, CUDA_UMD="12080", CUDA="12040")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{compat}:{stubs}")
    machine = probe_and_replay(BareHost())
    assert (machine.driver.cuda, machine.driver.version) == (CudaVersion("12.8"), DriverVersion("550.54.15"))
    assert machine.sources["driver.cuda"] == "libcuda (NVML: 12.4)"
    assert any("cuda-compat" in note for note in machine.notes)


def test_a_cuda_compat_that_may_not_run_lifts_nothing(
    stub_driver: Setter, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Error 804: the figure of the compat library does not count, the driver's own branch does."""
    compat = tmp_path / "compat"
    compat.mkdir()
    shutil.copy(stubs / "libcuda.so.550.54.15", compat / "libcuda.so.1")
    stub_driver(GPUS="NVIDIA GeForce RTX 3090|8.6|24576|", CUDA="12080", CUDA_INIT="804")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{compat}:{stubs}")
    machine = probe_and_replay(BareHost())
    assert machine.driver.cuda == CudaVersion("12.4")
    assert machine.sources["driver.cuda"] == "table of driver versions"
    assert _listed(machine) == [("NVIDIA GeForce RTX 3090", False)]


def test_a_library_that_cannot_be_loaded(stub_driver: Setter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A libcuda that is no library is told from one that is not there."""
    (tmp_path / "libcuda.so.1").write_text("nothing")
    stub_driver(GPUS=H100)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    machine = probe_and_replay(BareHost())
    assert (machine.driver.error or "").startswith("libcuda: ")
    assert "libcuda.so.1" in (machine.driver.error or "")


def test_without_any_sign_no_process_is_started(bare_environ: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither library nor module nor device is to be seen, the driver is not asked at all."""
    host = NoLibraries()
    monkeypatch.setattr(host, "driver", lambda _: pytest.fail("a child process was started"))
    machine = probe_and_replay(host)
    assert (machine.driver.state, machine.gpus) == (DriverState.MISSING, ())


# ---- nvidia-smi ----------------------------------------------------------------------------------------------


@pytest.fixture
def smi(bare_environ: None, monkeypatch: pytest.MonkeyPatch) -> Setter:
    """The stand-in `nvidia-smi` on PATH, and no library; call it with its settings."""
    monkeypatch.setenv("PATH", f"{STUBS}:/usr/bin:/bin")

    def give(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"STUB_{name}", value)

    return give


@pytest.mark.parametrize("mode", ["", "old"])
def test_nvidia_smi_is_asked_when_there_is_no_library(smi: Setter, mode: str) -> None:
    """Its CSV gives driver, GPU and memory, its header CUDA; a driver without `compute_cap` is asked without it."""
    smi(SMI=mode)
    machine = probe_and_replay(NoLibraries())
    (gpu,) = machine.gpus or ()
    assert (gpu.name, str(gpu.compute_capability), gpu.memory_bytes) == ("NVIDIA RTX A5000", "8.6", 24564 << 20)
    assert gpu.pci_id == "10de:2231"
    assert (machine.driver.version, machine.driver.cuda) == (DriverVersion("535.183.01"), CudaVersion("12.2"))
    assert machine.driver.state is DriverState.LOADED
    assert machine.sources["driver.version"] == machine.sources["gpus"] == "nvidia-smi"
    assert machine.sources.get("gpus[0].compute_capability") == ("table of GPUs" if mode else None)


def test_nvidia_smi_lists_mig_devices(smi: Setter) -> None:
    """MIG devices come from `nvidia-smi -L`, their memory from the profile's name."""
    smi(SMI="mig")
    machine = probe_and_replay(NoLibraries())
    assert [(gpu.mig, gpu.memory_bytes) for gpu in machine.nvidia_gpus] == [
        ("3g.20gb", 20 << 30),
        ("1c.3g.20gb", 20 << 30),
    ]


@pytest.mark.parametrize(
    "mode", ["hang", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."]
)
def test_nvidia_smi_that_fails_is_an_error(smi: Setter, mode: str) -> None:
    """A hang or a message with a status is written down as the driver's error, and the probe ends."""
    smi(SMI=mode)
    machine = probe_and_replay(NoLibraries(timeout_seconds=1))
    assert (machine.driver.error or "").startswith("nvidia-smi: ")
    assert machine.driver.version is None


# ---- the whole program ---------------------------------------------------------------------------------------


def test_a_fresh_process_probes_the_stub_driver(stubs: Path, tmp_path: Path) -> None:
    """`probe_here` in a process of its own finds a driver that only LD_LIBRARY_PATH knows of."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CONDA_", "CUDA_"))}
    environ |= {"LD_LIBRARY_PATH": str(stubs), "STUB_GPUS": H100, "STUB_DRIVER": "550.54.15"}
    code = "import gpuenv.machines, gpuenv.model as m; print(m.to_json(gpuenv.machines.probe_here(), indent=0))"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    machine = json.loads(done.stdout)
    assert machine["driver"]["version"] == "550.54.15"
    assert machine["gpus"][0]["compute_capability"] == "9.0"


def test_the_stubs_differ_from_no_driver(tmp_path: Path) -> None:
    """The file names carry the version that they were built with, as the probe expects of a driver's libraries."""
    built = build_stubs(tmp_path, version="570.86.10")
    assert (built / "libcuda.so.1").readlink() == Path("libcuda.so.570.86.10")
