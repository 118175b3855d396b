"""The rule on how new the driver must be for a CUDA line."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.facts.architectures import find_capability
from gpuenv.facts.gpus import find_gpu
from gpuenv.facts.toolkits import driver_cuda, load_toolkits, toolkit_driver
from gpuenv.facts.toolkits import driver_floor as find_floor
from gpuenv.model import DriverState, Evidence, Finding, Machine, Needs, OperatingSystem, Verdict
from gpuenv.rules.driver import asks_driver, is_foreign
from gpuenv.rules.reading import cuda_gpus, driver_evidence, driver_system, numbered_driver, served_cuda
from gpuenv.versions import CudaVersion, DriverVersion

__all__ = ["driver_floor"]

_PROBES = ("libcuda", "NVML", "nvidia-smi")


def driver_floor(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Each CUDA major has an oldest driver, from CUDA 11 on the same for all its minor versions; up to 10.2 each
    toolkit has its own. Newer drivers run older CUDA. A cuda-compat package lifts what the driver serves, on the
    boards that it is made for.
    """
    if not asks_driver(needs, machine) or (needs.cuda is None and needs.driver_floor is None):
        return
    driver = machine.driver
    if driver.state in {DriverState.MISSING, DriverState.INSTALLED} or is_foreign(machine):
        return
    floor, source = _published_floor(needs.cuda, driver_system(machine)) if needs.cuda else (None, "")
    judged = [(_judge_cuda(needs.cuda, floor, machine), floor)] if needs.cuda else []
    if needs.driver_floor:
        judged.append((_judge_own_floor(needs.driver_floor, numbered_driver(machine)), needs.driver_floor))
    # The strictest word; where two say the same, the one that asks for the newer driver.
    verdict, oldest = max(judged, key=lambda one: (one[0].badness, one[1].numbers if one[1] else ()))
    needed = Evidence(what="driver needed", value=str(oldest), source=source if oldest is floor else needs.subject)
    yield Finding(
        rule="driver-floor",
        verdict=verdict,
        subject=needs.subject,
        message=_message(verdict, needs, oldest, machine),
        evidence=(*driver_evidence(machine), *((needed,) if oldest else ())),
        hints=tuple(_advice(oldest, machine)) if verdict is Verdict.FAILS and oldest else (),
    )


def _advice(oldest: DriverVersion, machine: Machine) -> Iterator[str]:
    """To update the driver, where the newer one still serves one of the GPUs."""
    rows = [find_capability(gpu.compute_capability) for gpu in cuda_gpus(machine) if gpu.compute_capability]
    last = [row.last_driver_branch for row in rows if row]
    if not last or any(one is None or one >= oldest.branch for one in last):
        yield f"update the driver to {oldest} or later"


def _message(verdict: Verdict, needs: Needs, oldest: DriverVersion | None, machine: Machine) -> str:
    version, serves = machine.driver.version, served_cuda(machine)
    line = f"CUDA {_line(needs)}" if needs.cuda else "it"
    wanted = f"driver {oldest}" if oldest else "a driver that is not in the table"
    known = f"driver {version}" if version else f"a driver that serves CUDA {serves}" if serves else ""
    if verdict is Verdict.WORKS:
        compares = numbered_driver(machine)
        if compares and oldest and _is_at_least(compares, oldest):
            return f"{line} runs from {wanted} on; here is {known}"
        return f"{line} runs; here is {known}" + (f", which serves CUDA {serves}" if version else "")
    if verdict is Verdict.UNKNOWN:
        here = f"whether {known} will do" if known else "the driver here"
        return f"{line} needs {wanted}; {here} is not known"
    lifts = needs.cuda and _is_lifted(machine) and _judge_served(needs.cuda, serves) is Verdict.WORKS
    lifted = " and cuda-compat, which is not for this board" if lifts else ""
    return f"{line} needs {wanted if oldest else 'a driver of a newer branch'} or later; here is {known}{lifted}"


def _line(needs: Needs) -> str:
    assert needs.cuda
    pinned = needs.cuda_newest is None or needs.cuda_newest == needs.cuda
    return str(needs.cuda) if pinned else str(needs.cuda.major)


def _published_floor(cuda: CudaVersion, os: OperatingSystem) -> tuple[DriverVersion | None, str]:
    """The lowest driver for this CUDA and who says so: the major's floor, or the toolkit's own driver where lower.

    Only 11.0 came with a driver below the floor of its major.
    """
    floor = find_floor(cuda, os)
    if floor is None:
        return None, ""
    own = toolkit_driver(cuda, os)
    return min(floor.version, own or floor.version), ", ".join(floor.source)


def _judge_own_floor(floor: DriverVersion, version: DriverVersion | None) -> Verdict:
    met = _is_at_least(version, floor) if version else None
    return {True: Verdict.WORKS, False: Verdict.FAILS, None: Verdict.UNKNOWN}[met]


def _is_at_least(version: DriverVersion, floor: DriverVersion) -> bool | None:
    """Whether `version` reaches `floor`; None where it names the floor's branch alone (525), which does not tell."""
    written = len(version.numbers)
    if written < len(floor.numbers) and version.numbers == floor.numbers[:written]:
        return None
    return version >= floor


def _judge_cuda(cuda: CudaVersion, floor: DriverVersion | None, machine: Machine) -> Verdict:
    version, serves = numbered_driver(machine), served_cuda(machine)
    by_cuda = _judge_served(cuda, serves)
    if version is None:
        return by_cuda
    # What cuDriverGetVersion was heard to say decides where it covers the line.
    met = _is_at_least(version, floor) if floor else False
    if met or (_is_measured(machine) and serves and serves >= cuda):
        return Verdict.WORKS
    if _is_lifted(machine) and by_cuda is Verdict.WORKS:
        return Verdict.WORKS if _is_measured(machine) else _judge_lifted(machine)
    if floor is None:
        return _judge_unlisted(cuda, version, serves)
    # A driver named by its branch alone is known only by the CUDA that the branch serves.
    return by_cuda if met is None else Verdict.FAILS


def _judge_served(cuda: CudaVersion, serves: CudaVersion | None) -> Verdict:
    """By the CUDA that the driver serves. From 11 on any minor version runs on a driver of the same major."""
    if serves is None:
        return Verdict.UNKNOWN
    minor_versions_mix = cuda.major >= 11 and serves.major == cuda.major
    return Verdict.WORKS if serves >= cuda or minor_versions_mix else Verdict.FAILS


def _judge_unlisted(cuda: CudaVersion, version: DriverVersion, serves: CudaVersion | None) -> Verdict:
    """For a CUDA that the table does not have. One newer than all of it needs a driver newer than all of it."""
    newest = load_toolkits()[-1]
    if serves and serves >= cuda:
        return Verdict.WORKS
    return Verdict.FAILS if cuda > newest.version and version.branch <= newest.driver_branch else Verdict.UNKNOWN


def _is_measured(machine: Machine) -> bool:
    return machine.driver.cuda is not None and machine.sources.get("driver.cuda", "").startswith(_PROBES)


def _is_lifted(machine: Machine) -> bool:
    """Whether more CUDA is served than the driver's branch does by itself, as with a cuda-compat package.

    A driver newer than the table is no such case, and Windows has no cuda-compat.
    """
    version, cuda = numbered_driver(machine), machine.driver.cuda
    if version is None or cuda is None or driver_system(machine) is not OperatingSystem.LINUX:
        return False
    own = driver_cuda(version, OperatingSystem.LINUX)
    return own is not None and cuda > own and version.branch <= load_toolkits()[-1].driver_branch


def _judge_lifted(machine: Machine) -> Verdict:
    """Whether cuda-compat may be used: on data-centre boards and Jetson, on a few workstation boards, not on GeForce
    (NVIDIA, CUDA Compatibility, Forward Compatibility).
    """
    models = [find_gpu(gpu.name) for gpu in cuda_gpus(machine)]
    boards = {model.board if model else "unknown" for model in models}
    if boards & {"datacenter", "jetson"}:
        return Verdict.WORKS
    return Verdict.FAILS if boards and boards <= {"geforce", "laptop"} else Verdict.UNKNOWN
