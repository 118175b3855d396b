"""Rules on the CUDA toolkit that a package compiles with when it runs, or was compiled with when its code is unread."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpuenv.facts.architectures import Capability, find_capability
from gpuenv.model import Evidence, Finding, Gpu, Jit, Machine, Needs, Verdict
from gpuenv.rules.reading import cuda_gpus, driver_evidence, gpu_evidence, gpu_label, served_cuda
from gpuenv.versions import CudaVersion

Judge = Callable[[Gpu, Capability], tuple[Verdict, str] | None]


def toolkit_dropped_gpu(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Each toolkit drops old GPUs: CUDA 13 can make nothing for 7.0 and older, whatever the driver says. A Pascal or
    Volta card on driver 580 is told CUDA 13.0 and still cannot run CUDA 13 packages.
    """
    if needs.cuda is None or not _toolkit_decides(needs):
        return
    oldest = needs.cuda

    def judge(gpu: Gpu, row: Capability) -> tuple[Verdict, str] | None:
        if row.last_cuda is None or oldest <= row.last_cuda:
            return None
        last = row.last_cuda
        return (
            Verdict.FAILS,
            f"CUDA {oldest} makes no code for {gpu_label(gpu)}: {row.architecture_name} ended with CUDA {last}",
        )

    works = f"CUDA {oldest} has not dropped"
    yield from _each_gpu("toolkit-dropped-gpu", needs, machine, judge, cuda=oldest, works=works)


def toolkit_older_than_gpu(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A toolkit older than the GPU cannot make code for it: Volta needs CUDA 9 or later, Blackwell 12.8 or later.
    Only PTX inside a package could help, which the driver compiles at first use.
    """
    newest = needs.cuda_newest or needs.cuda
    if newest is None or not _toolkit_decides(needs) or needs.jit is Jit.PTX:
        return

    def judge(gpu: Gpu, row: Capability) -> tuple[Verdict, str] | None:
        if newest >= row.first_cuda:
            return None
        message = (
            f"CUDA {newest} makes no code for {gpu_label(gpu)}: {row.architecture_name} needs {row.first_cuda} or later"
        )
        return Verdict.FAILS if needs.jit else Verdict.UNKNOWN, message

    works = f"CUDA {newest} makes code for"
    yield from _each_gpu("toolkit-older-than-gpu", needs, machine, judge, cuda=newest, works=works)


def library_dropped_gpu(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A library may serve fewer GPUs than its toolkit does: cuDNN dropped Maxwell, Pascal and Volta with 9.11."""
    lowest = needs.lowest_capability
    if lowest is None or not needs.uses_gpu:
        return
    kinds = cuda_gpus(machine)
    too_old = [gpu for gpu in kinds if gpu.compute_capability and gpu.compute_capability < lowest]
    for gpu in kinds:
        if gpu in too_old:
            verdict = Verdict.FAILS if len(too_old) == len(kinds) else Verdict.DEGRADED
            message = f"serves GPUs from {lowest} on; here is {gpu_label(gpu)}"
        elif gpu.compute_capability is None:
            verdict = Verdict.UNKNOWN
            message = f"serves GPUs from {lowest} on; the compute capability of {gpu.name} is not known"
        else:
            continue
        yield Finding(
            rule="library-dropped-gpu",
            verdict=verdict,
            subject=needs.subject,
            message=message,
            evidence=(gpu_evidence(gpu, machine),),
        )


def driver_loads_ptx(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """PTX is compiled by the driver, which knows the PTX of its own CUDA version and older ones. The rule that lets a
    driver run newer minor versions of CUDA does not cover it.
    """
    if not needs.uses_gpu or needs.jit is not Jit.PTX or needs.cuda is None or not machine.nvidia_gpus:
        return
    serves = served_cuda(machine)
    if serves is None:
        verdict, message = Verdict.UNKNOWN, f"hands PTX of CUDA {needs.cuda} to the driver, whose CUDA is not known"
    elif serves >= needs.cuda:
        verdict, message = Verdict.WORKS, f"the driver (CUDA {serves}) compiles the PTX of CUDA {needs.cuda}"
    else:
        verdict, message = Verdict.FAILS, f"hands PTX of CUDA {needs.cuda} to a driver that knows CUDA {serves} only"
    yield Finding(
        rule="driver-loads-ptx",
        verdict=verdict,
        subject=needs.subject,
        message=message,
        evidence=driver_evidence(machine),
        hints=("update the driver, or take an older CUDA line",) if verdict is Verdict.FAILS else (),
    )


def _toolkit_decides(needs: Needs) -> bool:
    # Where the machine code was read, the code itself decides, more exactly than the toolkit it came from.
    return needs.uses_gpu and (needs.jit is not None or needs.libraries is None)


def _each_gpu(
    rule: str, needs: Needs, machine: Machine, judge: Judge, *, cuda: CudaVersion, works: str
) -> Iterator[Finding]:
    kinds = cuda_gpus(machine)
    rows = [(gpu, find_capability(gpu.compute_capability) if gpu.compute_capability else None) for gpu in kinds]
    said = [(gpu, judge(gpu, row)) for gpu, row in rows if row]
    objections = [(gpu, word) for gpu, word in said if word]
    build = Evidence(what="CUDA of the build", value=str(cuda), source=needs.subject)

    def finding(verdict: Verdict, message: str, *gpus: Gpu) -> Finding:
        evidence = (*(gpu_evidence(gpu, machine) for gpu in gpus), build)
        return Finding(rule=rule, verdict=verdict, subject=needs.subject, message=message, evidence=evidence)

    for gpu, (verdict, message) in objections:
        runs_on_another = len(objections) < len(kinds)
        yield finding(Verdict.DEGRADED if runs_on_another and verdict is Verdict.FAILS else verdict, message, gpu)
    # Where nothing compiles at run time, the rule on kernel images already says that the code was not read.
    for gpu in (gpu for gpu, row in rows if row is None and needs.jit):
        yield finding(Verdict.UNKNOWN, f"whether CUDA {cuda} makes code for {gpu_label(gpu)} is not known", gpu)
    if said and not objections and needs.jit:
        served = ", ".join(gpu_label(gpu) for gpu, _ in said)
        yield finding(Verdict.WORKS, f"{works} {served}")
