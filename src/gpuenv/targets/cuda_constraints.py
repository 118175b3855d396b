"""Which bounds on the virtual packages `__cuda` and `__cuda_arch` follow from what is inside (CEP 30, CEP 46).

    constraints_of(needs, platform) -> CudaConstraints

The rules decide, one compute capability and one driver after the other; nothing here knows what runs where. A bound
admits what is known to run (or is compiled by the driver at first use); a capability of which the rules cannot tell is
left out. Gaps between capabilities that GPUs have are said with alternatives: `__cuda_arch >=7.0,<8.0|>=9.0`. Numbers
that no GPU has and that lie between two where it runs are let in. `__cuda_arch` is the lowest capability of a machine,
so a second, newer GPU in it is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from gpuenv.facts.architectures import Capability, find_capability, load_capabilities
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import (
    Driver,
    DriverState,
    Gpu,
    GpuSupport,
    LibraryCode,
    Machine,
    Needs,
    OperatingSystem,
    System,
    Verdict,
)
from gpuenv.rules import RULES
from gpuenv.rules.code import main_library
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion

__all__ = ["CudaConstraints", "Doubt", "Span", "constraints_of", "images_of", "known_capabilities", "runs_there"]

# The rules on the driver and on the capability of one GPU. What a package says of itself is not asked.
_DECIDING = tuple(
    rule
    for rule in RULES
    if rule.id
    in {
        "driver-floor",
        "driver-loads-ptx",
        "kernel-image",
        "library-dropped-gpu",
        "toolkit-dropped-gpu",
        "toolkit-older-than-gpu",
    }
)
# A driver that knows every PTX, and a GPU later than any: they tell what the code itself can do.
_ANY_DRIVER = CudaVersion("99.0")
_ANY_LATER = ComputeCapability("99.0")
# From here on a driver runs every minor version of its major (NVIDIA, CUDA Compatibility, Minor Version Compatibility).
_FIRST_COMPATIBLE_MAJOR = 11
_CEP = "CEP 46, notes on usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Capabilities from `first` up to but not including `end`; no `end` means all later ones."""

    first: ComputeCapability
    end: ComputeCapability | None = None

    def __str__(self) -> str:
        return f">={self.first}" + (f",<{self.end}" if self.end else "")

    def admits(self, capability: ComputeCapability) -> bool:
        """Whether a capability is in it."""
        return self.first <= capability and (self.end is None or capability < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What a maintainer should know of the code: a rule's name, one sentence, and what another build would do."""

    rule: str
    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaConstraints:
    """What a package asks of the driver and the GPU.

    `cuda` is a MatchSpec such as `__cuda >=12`, None where nobody can tell (or it uses no GPU). `cuda_arch` is one such
    as `__cuda_arch >=8.0,<10.0`, None where it has no code that could tell. `must_have_gpu` says that the build is of
    no use without a GPU, so that the bounds belong into `depends`; otherwise into `constrains`.

    `oldest` is the oldest CUDA that the driver must serve for every GPU that it runs on and that the driver knows,
    `oldest_for_any` for at least one of them. `spans` are what `cuda_arch` says. `served` and `unsure` are the known
    capabilities on which it runs, and perhaps runs.
    """

    cuda: str | None = None
    cuda_arch: str | None = None
    must_have_gpu: bool = False
    oldest: CudaVersion | None = None
    oldest_for_any: CudaVersion | None = None
    spans: tuple[Span, ...] | None = None
    served: tuple[ComputeCapability, ...] = ()
    unsure: tuple[ComputeCapability, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def specs(self) -> tuple[str, ...]:
        """The MatchSpecs that follow."""
        return tuple(spec for spec in (self.cuda, self.cuda_arch) if spec)

    def placed(self, *, is_must: bool = False, is_soft: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The MatchSpecs for `depends` and those for `constrains`. `is_must` says that machines without a GPU have
        another build, `is_soft` that clients without `__cuda_arch` are to install this one all the same.
        """
        is_required = is_must or self.must_have_gpu
        depends = tuple(spec for spec in self.specs if is_required and not (is_soft and spec == self.cuda_arch))
        return depends, tuple(spec for spec in self.specs if spec not in depends)

    @property
    def any_minor(self) -> bool:
        """Whether a driver of any minor version of a CUDA major will do."""
        return self.oldest is not None and _is_any_minor(self.oldest)

    def admits(self, capability: ComputeCapability) -> bool:
        """Whether `cuda_arch` lets a capability in; without one it lets in all."""
        return self.spans is None or any(span.admits(capability) for span in self.spans)


def constraints_of(needs: Needs, platform: str = "linux-x86_64") -> CudaConstraints:
    """The bounds that follow from the needs of a package, on a platform such as `linux-x86_64`.

    Needs of a package that uses no GPU, or only through another package, give none.
    """
    if not needs.uses_gpu or needs.gpu_support is GpuSupport.THROUGH:
        return CudaConstraints()
    rows = known_capabilities(platform)
    verdicts = {row.capability: _verdict(needs, row.capability, _ANY_DRIVER, platform) for row in rows}
    served = tuple(capability for capability, verdict in verdicts.items() if _is_yes(verdict))
    unsure = tuple(capability for capability, verdict in verdicts.items() if verdict is Verdict.UNKNOWN)
    drivers = _Drivers(needs, [row for row in rows if row.capability in served], platform)
    oldest = drivers.oldest(all)
    tells = any(library.groups for library in needs.libraries or ()) or needs.jit is not None
    found = _spans(
        [row.capability for row in rows],
        lambda one: _is_yes(verdicts.get(one) or _verdict(needs, one, _ANY_DRIVER, platform)),
    )
    spans = tuple(found) if tells else None
    return CudaConstraints(
        cuda=f"__cuda >={_in_words(oldest)}" if oldest else None,
        cuda_arch=f"__cuda_arch {'|'.join(map(str, spans))}" if spans else None,
        must_have_gpu=not needs.runs_without_gpu,
        oldest=oldest,
        oldest_for_any=drivers.oldest(any),
        spans=spans,
        served=served,
        unsure=unsure,
        doubts=(*_doubts_of_code(needs, platform), *_doubts_of_reach(served, unsure, platform)) if tells else (),
    )


def known_capabilities(platform: str) -> tuple[Capability, ...]:
    """The capabilities of GPUs that there are for a platform: systems on chip have Arm processors."""
    on_arm = platform.endswith("-aarch64")
    return tuple(row for row in load_capabilities() if on_arm or not row.tegra)


def images_of(library: LibraryCode) -> tuple[CodeImage, ...]:
    """All images of a library, sorted."""
    return tuple(sorted({image for group in library.groups for image in group.images}))


def runs_there(needs: Needs, capability: ComputeCapability, cuda: CudaVersion, platform: str) -> bool:
    """Whether the rules say that it runs on such a GPU with a driver that serves that CUDA."""
    return _is_yes(_verdict(needs, capability, cuda, platform))


def _is_yes(verdict: Verdict) -> bool:
    return verdict in {Verdict.WORKS, Verdict.DEGRADED}


def _verdict(needs: Needs, capability: ComputeCapability, cuda: CudaVersion, platform: str) -> Verdict:
    machine = _machine(capability, cuda, platform)
    return Verdict.worst(finding.verdict for rule in _DECIDING for finding in rule.check(needs, machine))


@cache
def _machine(capability: ComputeCapability, cuda: CudaVersion, platform: str) -> Machine:
    system, _, arch = platform.partition("-")
    # A GPU has CUDA on Linux and Windows only; a package for another system is looked at as if it were for Linux.
    known = OperatingSystem.WINDOWS if system == "windows" else OperatingSystem.LINUX
    return Machine(
        system=System(os=known, arch=arch or "x86_64"),
        driver=Driver(state=DriverState.LOADED, cuda=cuda),
        gpus=(Gpu(name=f"GPU {capability}", compute_capability=capability),),
    )


# ---- drivers -----------------------------------------------------------------------------------------------------


class _Drivers:
    """Which drivers run it, by the newest CUDA that they serve."""

    def __init__(self, needs: Needs, rows: Sequence[Capability], platform: str) -> None:
        self._needs = needs
        self._rows = rows
        self._platform = platform
        self._known = [toolkit.version for toolkit in load_toolkits()]

    def oldest(self, enough: Callable[[Iterator[bool]], bool]) -> CudaVersion | None:
        """The oldest CUDA from which on each driver runs it on `all` or `any` of the GPUs that both know; None where
        nothing tells. A driver that knows none of its GPUs counts within its major.
        """
        found: CudaVersion | None = None
        for cuda in reversed(self._known):
            met = [row.capability for row in self._rows if row.first_cuda <= cuda]
            if met and not enough(runs_there(self._needs, one, cuda, self._platform) for one in met):
                break
            if met or (found and cuda.major == found.major):
                found = cuda
        # What is newer than all that is known says by its own CUDA which driver it needs.
        return found or self._needs.cuda


def _in_words(oldest: CudaVersion) -> str:
    """`12` where a driver of any minor version of it will do, else `12.4`."""
    return str(oldest.major) if _is_any_minor(oldest) else str(oldest)


def _is_any_minor(oldest: CudaVersion) -> bool:
    known = (toolkit.version for toolkit in load_toolkits() if toolkit.version.major == oldest.major)
    return oldest.major >= _FIRST_COMPATIBLE_MAJOR and oldest == next(known, None)


# ---- capabilities ------------------------------------------------------------------------------------------------


def _spans(known: Sequence[ComputeCapability], runs: Callable[[ComputeCapability], bool]) -> Iterator[Span]:
    """Neighbours among the known capabilities that it runs on, with the numbers between them that no GPU has. A span
    ends before the first number, known or not, that it does not run on.
    """
    first: ComputeCapability | None = None
    for at, capability in enumerate(known):
        if not runs(capability):
            continue
        first = first or capability
        following = known[at + 1] if at + 1 < len(known) else None
        if following and runs(following):
            continue
        yield Span(first=first, end=_end(capability, following, runs))
        first = None


def _end(
    last: ComputeCapability, following: ComputeCapability | None, runs: Callable[[ComputeCapability], bool]
) -> ComputeCapability | None:
    """Where the span that ends with `last` ends: at a later minor that it does not run on, else at the next major."""
    for minor in range(last.minor + 1, 10):
        capability = ComputeCapability(f"{last.major}.{minor}")
        if capability == following or (find_capability(capability) is None and not runs(capability)):
            return capability
    if following is None and runs(_ANY_LATER):
        return None
    return ComputeCapability(f"{last.major + 1}.0")


# ---- doubts ------------------------------------------------------------------------------------------------------


def _doubts_of_code(needs: Needs, platform: str) -> Iterator[Doubt]:
    """What its main library lacks for GPUs to come. NVIDIA's own libraries choose among their units and are renewed."""
    main = main_library(needs.libraries or ())
    if main is None or main.selects_at_run_time:
        return
    images = images_of(main)
    machine_code = [image for image in images if not image.is_ptx]
    portable = [image for image in images if image.is_ptx and not image.suffix]
    if machine_code and all(image.suffix for image in images):
        named = max(machine_code).target
        yield Doubt(
            rule="only-specific-code",
            text=f"the code in `{main.name}` is for {named} and its like alone, which no later GPU runs ({_CEP})",
        )
        return
    newest = max((image.capability for image in machine_code), default=None)
    if newest and not any(image.capability >= newest for image in portable):
        # Some units with PTX are not enough where others have none.
        runs = bool(portable) and runs_there(needs, _ANY_LATER, _ANY_DRIVER, platform)
        then = f"run it as PTX of {max(portable).capability}" if runs else "cannot run all of it"
        yield Doubt(
            rule="no-ptx",
            text=f"`{main.name}` has no PTX for {newest}, its newest architecture, so that GPUs of the next generation "
            f"{then} ({_CEP})",
            remedy=f"add `{newest.sm}-virtual` to its architectures",
        )


def _doubts_of_reach(
    served: Sequence[ComputeCapability], unsure: Sequence[ComputeCapability], platform: str
) -> Iterator[Doubt]:
    rows = [row.capability for row in known_capabilities(platform) if not row.tegra]
    inside = [one for one in rows if served and min(served) < one < max(served)]
    if missing := [str(one) for one in inside if one not in served and one not in unsure]:
        yield Doubt(
            rule="gap",
            text=f"between its lowest and highest architecture it has nothing for {', '.join(missing)} ({_CEP})",
        )
    if unsure:
        named = ", ".join(map(str, unsure))
        yield Doubt(rule="cannot-tell", text=f"whether it runs on {named} cannot be told, so no bound admits them")
