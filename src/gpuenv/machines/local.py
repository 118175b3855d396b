"""`LocalHost`: the computer that runs this process."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpuenv import _process, settings
from gpuenv._process import Completed
from gpuenv.errors import UnavailableError
from gpuenv.machines.architectures import normalise
from gpuenv.machines.host import ENVIRONMENT, PRESENCE_ONLY, PlatformFacts
from gpuenv.machines.loader import find_library

__all__ = ["LocalHost"]

READ_LIMIT = 64 * 1024
PCI_LISTS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids")

# A driver that hung once hardly answers the next question; the user should not wait the full time again.
SECONDS_AFTER_HANG = 2.0


class LocalHost:
    """Asks the real system. Questions to a driver run in a child process and end after `timeout_seconds`."""

    def __init__(self, *, timeout_seconds: float | None = None) -> None:
        self._seconds = settings.PROBE_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds

    @property
    def environ(self) -> Mapping[str, str]:
        kept = {name: _plain(os.environ[name]) for name in ENVIRONMENT if name in os.environ}
        return kept | {name: "set" for name in PRESENCE_ONLY if name in os.environ}

    def platform(self) -> PlatformFacts:
        system = platform.system()
        return PlatformFacts(
            system=system,
            machine=platform.machine(),
            release=_release(system),
            libc=_libc(),
            cores=_cores(),
            memory_bytes=_memory(),
        )

    def read_text(self, path: str) -> str | None:
        try:
            with Path(path).open("rb") as file:
                return file.read(READ_LIMIT).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def listdir(self, path: str) -> tuple[str, ...] | None:
        try:
            return tuple(sorted(_plain(name) for name in os.listdir(path)))  # noqa: PTH208  (names, not paths, are asked for)
        except (OSError, ValueError):
            return None

    def read_link(self, path: str) -> str | None:
        try:
            return _plain(os.path.realpath(path)) if Path(path).is_symlink() else None
        except (OSError, ValueError):
            return None

    def exists(self, path: str) -> bool:
        try:
            return Path(path).exists()
        except (OSError, ValueError):
            return False

    def may_open(self, path: str) -> bool | None:
        return os.access(path, os.R_OK | os.W_OK) if self.exists(path) else None

    def run(self, command: tuple[str, ...]) -> Completed | None:
        program = _find_program(command[0])
        if program is None:
            return None
        try:
            done = _process.run(
                (program, *command[1:]), timeout_seconds=self._seconds, environ=_bare_environ() | {"LC_ALL": "C"}
            )
        except UnavailableError:
            return None
        self._lose_patience(done)
        return done

    def driver(self, question: str) -> Any:
        command = self._child_command(question)
        if isinstance(command, str):
            return {"failure": {"kind": "start", "text": command}}
        try:
            done = _process.run(command, timeout_seconds=self._seconds, environ=_bare_environ())
        except UnavailableError as error:
            return {"failure": {"kind": "start", "text": "; ".join((error.message, *error.reasons))}}
        waited = self._seconds
        self._lose_patience(done)
        return _child_answer(done, waited)

    def find_library(self, name: str) -> tuple[str, ...]:
        return find_library(name, arch=normalise(platform.machine()), environ=self.environ)

    def pci_device_name(self, vendor: str, device: str) -> str | None:
        for path in PCI_LISTS:
            try:
                with Path(path).open(encoding="utf-8", errors="replace") as lines:
                    return find_pci_name(lines, vendor, device)
            except OSError:
                continue
        return None

    def read_registry(self, key: str, names: tuple[str, ...]) -> tuple[dict[str, str | int], ...] | None:
        if sys.platform != "win32":
            return None
        from gpuenv.machines.registry import read_subkeys

        return read_subkeys(key, names)

    def _child_command(self, question: str) -> tuple[str, ...] | str:
        """The command that asks, or why there is none."""
        # A frozen program would start itself again instead of Python.
        if not sys.executable or getattr(sys, "frozen", False):
            return "there is no Python program to ask the driver with"
        spec = importlib.util.find_spec("pynvml")
        if spec is None or spec.origin is None:
            return "nvidia-ml-py is not installed"
        child = Path(__file__).with_name("driver_child.py")
        files = self.find_library("libnvidia-ml.so.1" if question == "nvml" else "libcuda.so.1")
        return sys.executable, "-I", "-S", str(child), question, spec.origin, *files

    def _lose_patience(self, done: Completed) -> None:
        if done.status is None:
            self._seconds = min(self._seconds, SECONDS_AFTER_HANG)


def find_pci_name(lines: Iterator[str] | list[str], vendor: str, device: str) -> str | None:
    """The name of a device in the text of `pci.ids`: a vendor's line, then one line with a tab for each device."""
    of_vendor = False
    for line in lines:
        if line.startswith("\t") and of_vendor and line[1:5] == device:
            return line[5:].strip()
        if line[:1] not in {"\t", "#", "\n"}:
            of_vendor = line.startswith(vendor)
    return None


def _child_answer(done: Completed, seconds: float) -> Any:
    """The last whole line that the child printed, with a failure added when it did not come to its own end."""
    answer: Any = {}
    for line in done.stdout.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            continue
    if done.status is None:
        return answer | {"failure": {"kind": "hang", "text": f"no answer within {seconds:g} seconds"}}
    if done.status == 0:
        return answer
    if done.status < 0 or done.status >= 0xC0000000:
        return answer | {"failure": {"kind": "crash", "text": f"ended the asking process ({_signal(done.status)})"}}
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return answer | {"failure": {"kind": "start", "text": f"could not ask: {last}"}}


def _signal(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status:#x}" if status > 0 else f"signal {-status}"


def _bare_environ() -> dict[str, str]:
    """The environment without what hides GPUs from CUDA, since a probe wants to see them all."""
    hidden = {"CUDA_VISIBLE_DEVICES", "LC_ALL", "LANGUAGE"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _find_program(program: str) -> str | None:
    if os.path.dirname(program):  # noqa: PTH120  (a Windows path under Windows, a POSIX path elsewhere)
        return program if os.access(program, os.X_OK) else None
    endings = (".exe", "") if os.name == "nt" else ("",)
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for ending in endings:
            candidate = Path(directory, program + ending)
            if directory and candidate.is_file() and os.access(candidate, os.X_OK):
                return str(candidate)
    return None


def _release(system: str) -> str:
    if system == "Darwin":
        return platform.mac_ver()[0]
    return platform.version() if system == "Windows" else platform.release()


def _libc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None


def _cores() -> int | None:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        import psutil

        return psutil.virtual_memory().total


def _plain(text: str) -> str:
    """The text with bytes that are no Unicode replaced, so that it can be written as JSON."""
    return text.encode("utf-8", "replace").decode()
