"""`nvidia-smi`, for when NVML itself could not be asked: its CSV for the GPUs, its header for the CUDA version.

CSV is asked for, since its columns are named by us; the whole report would also hold names of running programs.
Source: `nvidia-smi --help-query-gpu`; the CUDA version is in the header of every report since driver 410, called
"CUDA UMD Version" from 610 on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from gpuenv._process import Completed
from gpuenv.machines.answers import DriverAnswer, Failure, FailureKind, ListedGpu, MigInstance
from gpuenv.machines.host import Host
from gpuenv.model import OperatingSystem

__all__ = ["ask_smi"]

_OLD_COLUMNS = ("driver_version", "name", "uuid", "pci.bus_id", "pci.device_id", "memory.total")
_NEW_COLUMNS = ("compute_cap", "mig.mode.current")
"""Asked together with the old ones first; a driver that lacks one refuses the whole question."""

_CUDA = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d{1,2})\.(\d{1,2})\b", re.ASCII)
_MIG_LINE = re.compile(r"\s+MIG (\S+)\s+Device\s+\d+:\s+\(UUID:\s*(\S+?)\)", re.ASCII)
_GPU_LINE = re.compile(r"GPU \d+:.*\(UUID:\s*(\S+?)\)", re.ASCII)
_MIB = 1 << 20
_GIB = 1 << 30


def ask_smi(host: Host, os: OperatingSystem) -> DriverAnswer:
    """What `nvidia-smi` says, in the form of the driver libraries' answers."""
    for program in _programs(host, os):
        answer = _ask(host, program)
        if not answer.is_missing:
            return answer
    return DriverAnswer(failure=Failure(kind=FailureKind.MISSING, text="nvidia-smi is not there"))


def _programs(host: Host, os: OperatingSystem) -> Iterator[str]:
    """The names to try. Windows and WSL keep it in places that PATH may lack."""
    if os is OperatingSystem.WINDOWS:
        root = host.environ.get("SystemRoot", "C:\\Windows")
        files = host.environ.get("ProgramFiles", "C:\\Program Files")
        yield f"{root}\\System32\\nvidia-smi.exe"
        yield f"{files}\\NVIDIA Corporation\\NVSMI\\nvidia-smi.exe"
    yield "nvidia-smi"
    if os is OperatingSystem.LINUX:
        yield "/usr/lib/wsl/lib/nvidia-smi"


def _ask(host: Host, program: str) -> DriverAnswer:
    columns: tuple[str, ...] = _OLD_COLUMNS + _NEW_COLUMNS
    done = _query(host, program, columns)
    if done is not None and done.status and "not a valid field" in (done.stdout + done.stderr).lower():
        columns = _OLD_COLUMNS
        done = _query(host, program, columns)
    if done is None:
        return DriverAnswer(failure=Failure(kind=FailureKind.MISSING, text="not there"))
    rows = list(_rows(done.stdout, columns)) if done.status == 0 else []
    if not rows:
        return DriverAnswer(failure=_failure(done))
    header = host.run((program, "-q", "-d", "COMPUTE"))
    cuda = _CUDA.search(header.stdout) if header else None
    instances = _mig_instances(host, program) if any(_mode(row) for row in rows) else {}
    return DriverAnswer(
        version=_value(rows[0], "driver_version"),
        cuda=int(cuda[1]) * 1000 + int(cuda[2]) * 10 if cuda else None,
        gpus=tuple(_gpu(row, instances) for row in rows),
    )


def _query(host: Host, program: str, columns: tuple[str, ...]) -> Completed | None:
    return host.run((program, f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits"))


def _rows(text: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    # A zero byte in the text would be an error to the reader of CSV, and is nothing that nvidia-smi writes.
    for cells in csv.reader(text.replace("\0", "").splitlines(), skipinitialspace=True, quoting=csv.QUOTE_NONE):
        if len(cells) == len(columns):
            yield dict(zip(columns, (cell.strip() for cell in cells), strict=True))


def _failure(done: Completed) -> Failure:
    if done.status is None:
        return Failure(kind=FailureKind.HANG, text="no answer within the time limit")
    if done.status < 0:
        return Failure(kind=FailureKind.CRASH, text=f"ended by signal {-done.status}")
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    return Failure(kind=FailureKind.ERROR, code=done.status or None, text=lines[0] if lines else "printed nothing")


def _value(row: dict[str, str], column: str) -> str | None:
    """The cell, None for what nvidia-smi writes when it has no value: `[N/A]`, `[Not Supported]`, `[GPU is lost]`."""
    text = row.get(column, "")
    return None if not text or text.startswith("[") or text in {"N/A", "Unknown Error"} else text


def _mode(row: dict[str, str]) -> bool | None:
    mode = _value(row, "mig.mode.current")
    return None if mode is None else mode == "Enabled"


def _gpu(row: dict[str, str], instances: dict[str, tuple[MigInstance, ...]]) -> ListedGpu:
    memory, device, uuid = _value(row, "memory.total"), _value(row, "pci.device_id"), _value(row, "uuid")
    digits = device.lower().removeprefix("0x") if device else ""
    whole = memory.partition(".")[0] if memory else ""
    lost = next((text for text in row.values() if "lost" in text.lower()), None)
    return ListedGpu(
        name=_value(row, "name"),
        uuid=uuid,
        bus=_value(row, "pci.bus_id"),
        device_id=f"{digits[4:]}:{digits[:4]}" if len(digits) == 8 else None,
        capability=_value(row, "compute_cap"),
        memory_bytes=int(whole) * _MIB if whole.isascii() and whole.isdigit() and len(whole) < 12 else None,
        mig_enabled=_mode(row),
        mig=instances.get(uuid or "", ()),
        failure=Failure(kind=FailureKind.ERROR, text=lost.strip("[]")) if lost else None,
    )


def _mig_instances(host: Host, program: str) -> dict[str, tuple[MigInstance, ...]]:
    """The MIG devices by the UUID of their board, from `nvidia-smi -L`; the memory is the one in the profile."""
    done = host.run((program, "-L"))
    found: dict[str, tuple[MigInstance, ...]] = {}
    board = ""
    for line in done.stdout.splitlines() if done else ():
        if gpu := _GPU_LINE.match(line):
            board = gpu[1]
        elif mig := _MIG_LINE.match(line):
            memory = re.search(r"\.(\d{1,4})gb", mig[1])
            size = int(memory[1]) * _GIB if memory else None
            found[board] = (*found.get(board, ()), MigInstance(uuid=mig[2], profile=mig[1], memory_bytes=size))
    return found
