"""The probe of the computer at hand: quick where there is no GPU, and light to import."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from gpuenv.machines import probe_here
from gpuenv.machines.local import LocalHost
from gpuenv.machines.probe import probe
from gpuenv.model import Machine

HEAVY = ("rattler", "httpx", "rich", "asyncio", "pynvml", "psutil", "ctypes", "xml")


@pytest.fixture
def without_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probed machine itself."""
    for name in ("CONDA_OVERRIDE_CUDA", "CONDA_OVERRIDE_CUDA_ARCH", "CONDA_OVERRIDE_GLIBC"):
        monkeypatch.delenv(name, raising=False)


def test_the_system_is_known(without_overrides: None) -> None:
    """Whatever the computer, its architecture, cores and memory are found."""
    machine = probe_here()
    assert isinstance(machine, Machine)
    assert machine.system.arch not in {"unknown", "arm64", "AMD64"}
    assert machine.cpu.cores
    assert machine.memory_bytes
    assert machine.memory_bytes > 1 << 26


def test_the_overrides_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """CONDA_OVERRIDE_CUDA changes what is reported, and is named as the source (CEP 30)."""
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    machine = probe_here()
    assert str(machine.driver.cuda) == "12.4"
    assert "CONDA_OVERRIDE_CUDA" in machine.sources["driver.cuda"]


def test_the_probe_is_quick_without_a_driver() -> None:
    """Once imported, a probe that starts no child takes well under a tenth of a second."""
    host = LocalHost()
    if host.find_library("libcuda.so.1") or host.find_library("libnvidia-ml.so.1"):
        pytest.skip("an NVIDIA driver is installed here")
    probe(host)
    begin = time.perf_counter()
    probe(host)
    assert time.perf_counter() - begin < 0.1


def test_probing_loads_nothing_heavy() -> None:
    """The process that probes loads no solver, no network, no terminal library and no driver library."""
    code = (
        "import json, sys; import gpuenv.machines as m; m.probe_here(); "
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
