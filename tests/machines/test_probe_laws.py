"""Laws of the probe: whatever a computer answers, there is a machine, and it can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuenv._process import Completed
from gpuenv.machines.host import ENVIRONMENT, PRESENCE_ONLY, PlatformFacts
from gpuenv.machines.probe import probe
from gpuenv.machines.recording import RecordedHost, RecordingHost, read_recording
from gpuenv.model import Machine, from_json, to_json

_WORDS = (
    "Kernel Module  550.54.15  Open Kernel Module\n",
    "0x10de\n",
    "0x030000\n",
    "0x1002",
    "0x120000",
    "550.54.15",
    "9223372036854771712",
    "100000 100000",
    "0::/a/b/../c\n4:memory:/x\n3:cpu,cpuacct:/y\n",
    'PRETTY_NAME="X"\n',
    "NVIDIA Jetson Orin\0",
    "# R36 (release), REVISION: 4.0",
    "Model: \t NVIDIA H100 80GB HBM3\nGPU UUID: GPU-1\nBus Location: 0000:01:00.0\n",
    "535.1, NVIDIA T4, GPU-1, 00000000:01:00.0, 0x1EB810DE, 15360, 7.5, Enabled\n",
    "CUDA Version : 12.4",
    '{"SPDisplaysDataType": [{"spdisplays_vendor": "sppci_vendor_Apple", "spdisplays_vram": "8 GB"}]}',
    "hw.optional.arm64: 1\nhw.memsize: 99999999999999999999",
    "processor : 0\nmodel name : X\n",
)
_TEXT = st.sampled_from(_WORDS) | st.text(max_size=40)
_NAMES = st.lists(st.sampled_from(["0000:01:00.0", "0000:02:00.0"]) | st.text(max_size=12), max_size=3).map(tuple)
_NUMBER = st.integers(-(2**70), 2**70) | st.sampled_from([0, 12040, 13000, 80 << 30])
_FAILURE = st.fixed_dictionaries(
    {"kind": st.sampled_from(["missing", "load", "error", "hang", "crash", "start"]), "text": st.text(max_size=9)},
    optional={"code": st.sampled_from([9, 18, 100, 803, 804]) | _NUMBER | st.none()},
)
_GPU = st.fixed_dictionaries(
    {},
    optional={
        "name": st.none() | _TEXT | st.sampled_from(["NVIDIA H100 80GB HBM3", "NVIDIA A100 MIG 1g.5gb"]),
        "uuid": st.none() | st.sampled_from(["GPU-1", "GPU-2"]),
        "bus": st.none() | _TEXT | st.sampled_from(["0000:01:00.0", "00000000:02:00.0"]),
        "device_id": st.none() | _TEXT,
        "capability": st.none() | _TEXT | st.sampled_from(["9.0", "8.0", "0.0", "99999.1"]),
        "memory_bytes": st.none() | _NUMBER,
        "mig_enabled": st.none() | st.booleans(),
        "mig": st.lists(st.fixed_dictionaries({}, optional={"profile": _TEXT, "memory_bytes": _NUMBER}), max_size=2),
        "failure": st.none() | _FAILURE,
    },
)
_DRIVER = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "library": st.none() | _TEXT | st.sampled_from(["/usr/lib/libcuda.so.550.54.15", "/x/compat/libcuda.so.1"]),
        "outside_loader_path": st.booleans(),
        "version": st.none() | _TEXT,
        "cuda": st.none() | _NUMBER,
        "gpus": st.lists(_GPU, max_size=3),
        "failure": st.none() | _FAILURE,
    },
)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBER | _TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
_FACTS = st.builds(
    PlatformFacts,
    system=st.sampled_from(["Linux", "Linux", "Linux", "Windows", "Darwin", "FreeBSD", "MSYS_NT-10.0", ""]),
    machine=st.sampled_from(["x86_64", "AMD64", "arm64", ""]) | st.text(max_size=5),
    release=st.sampled_from(["6.1", "5.15-microsoft-standard-WSL2", "4.4.0-Microsoft"]) | st.text(max_size=5),
    libc=st.none() | st.sampled_from(["glibc 2.36", "glibc x", "musl"]),
    cores=st.sampled_from([None, -1, 0, 1, 64]),
    memory_bytes=st.none() | _NUMBER,
)


@dataclass
class ArbitraryHost:
    """Answers every question with something of the right type, and the same question in the same way."""

    data: st.DataObject

    def __post_init__(self) -> None:
        self._said: dict[Any, Any] = {}

    def _draw(self, key: Any, strategy: st.SearchStrategy[Any]) -> Any:
        if key not in self._said:
            self._said[key] = self.data.draw(strategy)
        return self._said[key]

    @property
    def environ(self) -> Mapping[str, str]:
        names = st.sampled_from(ENVIRONMENT + PRESENCE_ONLY)
        said: dict[str, str] = self._draw("environ", st.dictionaries(names, _TEXT, max_size=3))
        return said

    def platform(self) -> PlatformFacts:
        said: PlatformFacts = self._draw("platform", _FACTS)
        return said

    def read_text(self, path: str) -> str | None:
        said: str | None = self._draw(path, st.none() | _TEXT)
        return said

    def listdir(self, path: str) -> tuple[str, ...] | None:
        said: tuple[str, ...] | None = self._draw(("listdir", path), st.none() | _NAMES)
        return said

    def read_link(self, path: str) -> str | None:
        said: str | None = self._draw(("link", path), st.none() | _TEXT | st.sampled_from(["/a/nvidia", "/a/nouveau"]))
        return said

    def exists(self, path: str) -> bool:
        said: bool = self._draw(("exists", path), st.booleans())
        return said

    def may_open(self, path: str) -> bool | None:
        said: bool | None = self._draw(("open", path), st.none() | st.booleans())
        return said

    def run(self, command: tuple[str, ...]) -> Completed | None:
        status = st.none() | st.sampled_from([0, 0, 0, 9, -11])
        done = st.builds(Completed, status=status, stdout=_TEXT, stderr=_TEXT)
        said: Completed | None = self._draw(command, st.none() | done)
        return said

    def driver(self, question: str) -> Any:
        return self._draw(("driver", question), _DRIVER | _JSON)

    def find_library(self, name: str) -> tuple[str, ...]:
        files = st.sampled_from([(), ("/usr/lib/libcuda.so.1",), ("/x/stubs/libcuda.so.1",)])
        said: tuple[str, ...] = self._draw(("library", name), files)
        return said

    def pci_device_name(self, vendor: str, device: str) -> str | None:
        said: str | None = self._draw((vendor, device), st.none() | _TEXT | st.just("GH100 [H100 PCIe]"))
        return said

    def read_registry(self, key: str, names: tuple[str, ...]) -> tuple[dict[str, str | int], ...] | None:
        value = _TEXT | _NUMBER | st.sampled_from(["pci\\ven_10de&dev_2330", "32.0.15.6094"])
        entry = st.dictionaries(st.sampled_from(names), value, max_size=4)
        said: tuple[dict[str, str | int], ...] | None = self._draw(
            key, st.none() | st.lists(entry, max_size=2).map(tuple)
        )
        return said


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=300)
@given(st.data())
def test_the_probe_never_raises_and_replays(data: st.DataObject) -> None:
    """Any answers give a machine that can be written and read, and the recording of them gives it again."""
    recorder = RecordingHost(ArbitraryHost(data))
    machine = probe(recorder)
    assert from_json(to_json(machine), Machine) == machine
    try:
        text = to_json(recorder.recording())
    except OverflowError:
        # An answer with a number beyond 64 bits, which no driver gives, cannot be written down.
        return
    assert to_json(probe(RecordedHost(read_recording(text.encode())))) == to_json(machine)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.data())
def test_sizes_and_counts_are_possible_or_unknown(data: st.DataObject) -> None:
    """No memory and no number of cores is zero, negative or beyond 64 bits, whatever was answered."""
    machine = probe(ArbitraryHost(data))
    values = [machine.memory_bytes, machine.cpu.cores, *(gpu.memory_bytes for gpu in machine.gpus or ())]
    assert all(value is None or 0 < value < 1 << 63 for value in values)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.data())
def test_what_is_found_has_a_source(data: st.DataObject) -> None:
    """A driver version, a CUDA version and a list of GPUs never come from nowhere."""
    machine = probe(ArbitraryHost(data))
    known = {
        "driver.version": machine.driver.version,
        "driver.cuda": machine.driver.cuda,
        "gpus": machine.gpus is not None,
    }
    assert [field for field, value in known.items() if value and not machine.sources.get(field)] == []
