"""Stand-ins for NVIDIA's libraries, built from C, and a host on which only they are to be seen."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gpuenv.machines.local import LocalHost
from gpuenv.machines.probe import probe
from gpuenv.machines.recording import RecordedHost, RecordingHost, read_recording
from gpuenv.model import Machine, to_json

STUBS = Path(__file__).with_name("stubs")
VERSION = "550.54.15"

Setter = Callable[..., None]
"""Gives the stand-ins their settings, each without its `STUB_` in front."""

_NVIDIA_PATHS = ("/proc/driver/nvidia", "/sys/module/n", "/sys/bus/pci", "/dev/nv", "/dev/dxg", "/usr/lib/wsl")


def build_stubs(directory: Path, *, version: str = VERSION) -> Path:
    """The two libraries under the names that a driver package gives them; skips where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-ins for NVIDIA's libraries with")
    for source, stem in (("nvml.c", "libnvidia-ml.so"), ("cuda.c", "libcuda.so")):
        target = directory / f"{stem}.{version}"
        words = [compiler, "-shared", "-fPIC", "-O1", f"-Wl,-soname,{stem}.1", "-o", str(target), str(STUBS / source)]
        subprocess.run(words, check=True)
        (directory / f"{stem}.1").symlink_to(target.name)
    return directory


class BareHost(LocalHost):
    """The local computer without its own NVIDIA driver and PCI bus, with the files of `files` laid over it."""

    def __init__(self, *, files: Mapping[str, str] | None = None, timeout_seconds: float | None = None) -> None:
        super().__init__(timeout_seconds=timeout_seconds)
        self._files = dict(files or {})

    def _hides(self, path: str) -> bool:
        return path.startswith(_NVIDIA_PATHS)

    def read_text(self, path: str) -> str | None:
        if path in self._files:
            return self._files[path]
        return None if self._hides(path) else super().read_text(path)

    def listdir(self, path: str) -> tuple[str, ...] | None:
        below = {known[len(path) + 1 :].split("/")[0] for known in self._files if known.startswith(path + "/")}
        if below or path == "/sys/bus/pci/devices":
            return tuple(sorted(below))
        return None if self._hides(path) else super().listdir(path)

    def exists(self, path: str) -> bool:
        if path in self._files or any(known.startswith(path + "/") for known in self._files):
            return True
        return not self._hides(path) and super().exists(path)


def probe_and_replay(host: LocalHost) -> Machine:
    """The probed machine, after a check that its recording, written and read again, gives the very same."""
    recorder = RecordingHost(host)
    machine = probe(recorder)
    text = to_json(recorder.recording(note="a test"))
    replayed = probe(RecordedHost(read_recording(text.encode())))
    assert to_json(replayed) == to_json(machine)
    return machine
