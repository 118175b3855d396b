"""Rules that give advice on the machine as a whole: host memory, processor cores, the class of the board.

They judge a machine for GPU work in general, so they speak only of needs that name no package's code.
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.facts.gpus import find_gpu
from gpuenv.model import Evidence, Finding, Gpu, Machine, Needs, Verdict
from gpuenv.rules.reading import cuda_gpus, gpu_label, names_no_package, opens

GIB = 2**30
_BOARDS = {
    "datacenter": "a data-centre board, for servers and clouds",
    "workstation": "a workstation board, not for data centres",
    "geforce": "a GeForce board, for workstations rather than data centres",
    "laptop": "a laptop GPU",
    "jetson": "a Jetson module, for devices",
}


def _judges_machine(needs: Needs, machine: Machine) -> bool:
    return names_no_package(needs) and bool(cuda_gpus(machine))


def host_memory(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Data goes to the GPU through the host's memory, so two to four times the GPUs' memory is advised there."""
    if not _judges_machine(needs, machine) or machine.system.jetson:
        return
    sizes = [gpu.memory_bytes for gpu in machine.nvidia_gpus if opens(gpu)]
    host = machine.memory_bytes
    evidence = (
        Evidence(what="host memory", value=_gib(host), source=machine.sources.get("memory_bytes", "")),
        Evidence(
            what="GPU memory",
            value=_gib(sum(size for size in sizes if size) or None),
            source=machine.sources.get("gpus", ""),
        ),
    )
    if not host or not all(sizes):
        yield _advice("host-memory", needs, Verdict.UNKNOWN, "host or GPU memory is not known", evidence)
        return
    gpus = sum(size for size in sizes if size)
    # What a system reports is a few per cent below the size that was sold.
    ratio = round(host / gpus, 1)
    enough = ratio >= 1.9
    words = f"host memory is {ratio:g} times GPU memory ({_gib(host)} to {_gib(gpus)})"
    message = words if enough else f"{words}; two to four times is advised"
    yield _advice("host-memory", needs, Verdict.WORKS if enough else Verdict.DEGRADED, message, evidence)


def cpu_cores(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Four processor cores or more are advised, to prepare data while the GPU trains."""
    if not _judges_machine(needs, machine):
        return
    cores = machine.cpu.cores
    found = (Evidence(what="cores", value=str(cores or "unknown"), source=machine.sources.get("cpu.cores", "")),)
    if not cores:
        yield _advice("cpu-cores", needs, Verdict.UNKNOWN, "the number of cores is not known", found)
    elif cores >= 4:
        yield _advice("cpu-cores", needs, Verdict.WORKS, f"{cores} cores prepare data for the GPU", found)
    else:
        noun = "core" if cores == 1 else "cores"
        yield _advice("cpu-cores", needs, Verdict.DEGRADED, f"{cores} {noun}; four or more are advised", found)


def board_class(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Boards are made for different work: training wants tensor cores and memory, inference less; data centres take
    data-centre boards, workstations the others.
    """
    if not _judges_machine(needs, machine):
        return
    for gpu in cuda_gpus(machine):
        yield _judge_board(gpu, needs, machine)


def _judge_board(gpu: Gpu, needs: Needs, machine: Machine) -> Finding:
    model = find_gpu(gpu.name)
    if model is None:
        found = (Evidence(what="board", value=gpu.name, source=machine.sources.get("gpus", "")),)
        return _advice("board-class", needs, Verdict.UNKNOWN, f"{gpu.name} is not in the table of boards", found)
    found = (Evidence(what="board", value=model.board, source="; ".join(model.source)),)
    board = _BOARDS[model.board]
    if not model.roles:
        return _advice(
            "board-class",
            needs,
            Verdict.DEGRADED,
            f"{gpu_label(gpu)} is {board}, too small for today's packages",
            found,
        )
    roles = " and ".join(model.roles)
    return _advice("board-class", needs, Verdict.WORKS, f"{gpu_label(gpu)} is {board}; fit for {roles}", found)


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{round(size / GIB, 1):g} GiB"


def _advice(rule: str, needs: Needs, verdict: Verdict, message: str, evidence: tuple[Evidence, ...]) -> Finding:
    return Finding(rule=rule, verdict=verdict, subject=needs.subject, message=message, evidence=evidence)
