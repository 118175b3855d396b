"""Which of the builds of one version solvers take, where several would do.

Solvers take builds without `track_features` before those with them, then the higher build number. What is alike in both
is decided by the order of the records, or by when they were built (measured with rattler 0.28 and conda 26.7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuenv.artifacts.conda_index import pythons_of
from gpuenv.audits.facts import Facts
from gpuenv.audits.finding import error, evidence, warning
from gpuenv.audits.repodata import Record
from gpuenv.audits.saying import build_kind, says_gpu
from gpuenv.model import AuditFinding

__all__ = ["cpu_builds", "gpu_builds", "preference_findings"]

_HINT = "give GPU builds the higher build number, or CPU builds `track_features`"


def gpu_builds(group: Sequence[Facts]) -> list[Facts]:
    """The builds of a version that are for the GPU: by what is in them, else by their name."""
    return [one for one in group if one.has_gpu_code or (build_kind(one.record).gpu and not one.sorted.loaded)]


def cpu_builds(group: Sequence[Facts]) -> list[Facts]:
    """Those for the CPU, where there are GPU builds beside them."""
    gpu = gpu_builds(group)
    others = [one for one in group if gpu and one not in gpu]
    return [one for one in others if not says_gpu(one.record) and not build_kind(one.record).gpu]


def preference_findings(group: Sequence[Facts]) -> Iterator[tuple[Facts, AuditFinding]]:
    """For the GPU builds of one version that are not taken before a CPU build; each told once."""
    cpus = cpu_builds(group)
    for gpu in gpu_builds(group):
        rivals = [cpu for cpu in cpus if _meet(gpu, cpu)]
        # Two forms of one build are the same to a solver.
        tied = next((cpu for cpu in rivals if _key(gpu.record) == _key(cpu.record)), None)
        above = next((cpu for cpu in rivals if _key(cpu.record) > _key(gpu.record)), None)
        if tied:
            yield gpu, _finding(gpu, tied, is_tied=True)
        elif above:
            yield gpu, _finding(gpu, above, is_tied=False)


def _key(record: Record) -> tuple[bool, int]:
    return (not record.is_marked_down, record.build_number)


def _finding(gpu: Facts, cpu: Facts, *, is_tied: bool) -> AuditFinding:
    told = [
        evidence("build number", _in_words(gpu.record), gpu.record.build),
        evidence("build number", _in_words(cpu.record), cpu.record.build),
    ]
    mendable = cpu.mendable and not gpu.record.is_marked_down
    if is_tied:
        return error(
            "preference",
            f"whether it or the CPU build `{cpu.record.build}` is taken is decided by the order of the records",
            *told,
            hints=(_HINT,),
            mendable=mendable,
        )
    return warning(
        "preference",
        f"the CPU build `{cpu.record.build}` is taken before it, on machines with a GPU as well",
        *told,
        hints=(_HINT,),
        mendable=mendable,
    )


def _in_words(record: Record) -> str:
    return f"{record.build_number}{', track_features' if record.is_marked_down else ''}"


def _meet(one: Facts, other: Facts) -> bool:
    """Whether there is a Python for which both could be taken."""
    mine, theirs = pythons_of(one.record.depends), pythons_of(other.record.depends)
    return mine is None or theirs is None or bool(set(mine) & set(theirs))
