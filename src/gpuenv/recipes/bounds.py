"""Where a package runs, as bounds on the virtual packages `__cuda` and `__cuda_arch` (CEP 30, CEP 46).

The rules decide, one capability and one driver after the other; nothing here knows what runs where. A bound admits
what is known to run, so a capability of which the rules cannot tell is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from gpuenv.facts.architectures import Capability, find_capability, load_capabilities
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import Driver, DriverState, Gpu, Machine, Needs, OperatingSystem, System, Verdict
from gpuenv.rules import RULES
from gpuenv.versions import ComputeCapability, CudaVersion

__all__ = ["Bounds", "Span", "find_bounds", "known_capabilities", "runs_there"]

# The rules on the driver and on the capability of one GPU. What a package says of itself is not asked.
_DECIDING = {
    "driver-floor",
    "driver-loads-ptx",
    "kernel-image",
    "library-dropped-gpu",
    "toolkit-dropped-gpu",
    "toolkit-older-than-gpu",
}
# A driver that knows every PTX, and a GPU later than any: they tell what the code itself can do.
_ANY_DRIVER = CudaVersion("99.0")
_ANY_LATER = ComputeCapability("99.0")
# From here on a driver runs every minor version of its major (NVIDIA, CUDA Compatibility).
_FIRST_COMPATIBLE_MAJOR = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Capabilities from `first` up to but not including `end`; no `end` means all later ones."""

    first: ComputeCapability
    end: ComputeCapability | None = None

    def __str__(self) -> str:
        return f">={self.first}" + (f",<{self.end}" if self.end else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a package asks of the driver and the GPU. `cuda` is the oldest CUDA that the driver must serve, None where
    nobody can tell. `spans` are the capabilities that it runs on; None where it has no code that could tell.
    `served` and `unsure` are the known capabilities on which it runs, and perhaps runs.
    """

    cuda: CudaVersion | None
    any_minor: bool = False
    spans: tuple[Span, ...] | None = None
    served: tuple[ComputeCapability, ...] = ()
    unsure: tuple[ComputeCapability, ...] = ()

    @property
    def specs(self) -> tuple[str, ...]:
        """The same as MatchSpecs: `__cuda >=12`, `__cuda_arch >=7.5,<9.0`."""
        found = [f"__cuda >={self.cuda.major if self.any_minor else self.cuda}"] if self.cuda else []
        found += [f"__cuda_arch {'|'.join(map(str, self.spans))}"] if self.spans else []
        return tuple(found)


def known_capabilities(platform: str) -> tuple[Capability, ...]:
    """The capabilities of GPUs that there are for a platform: systems on chip have 64-bit Arm processors (or, up to
    3.2, 32-bit ones).
    """
    on_arm = platform == "linux-aarch64"
    return tuple(row for row in load_capabilities() if on_arm or not row.tegra)


def find_bounds(needs: Needs, platform: str) -> Bounds:
    """The bounds of a package that uses a GPU, on a platform such as `linux-x86_64`."""
    rows = known_capabilities(platform)
    verdicts = {row.capability: _verdict(needs, row.capability, _ANY_DRIVER, platform) for row in rows}
    served = tuple(capability for capability, verdict in verdicts.items() if _is_yes(verdict))
    oldest, any_minor = _oldest_driver(needs, [row for row in rows if row.capability in served], platform)
    tells = any(library.groups for library in needs.libraries or ()) or needs.jit is not None
    spans = _spans(
        [row.capability for row in rows],
        lambda capability: _is_yes(verdicts.get(capability) or _verdict(needs, capability, _ANY_DRIVER, platform)),
    )
    return Bounds(
        cuda=oldest,
        any_minor=any_minor,
        spans=tuple(spans) if tells else None,
        served=served,
        unsure=tuple(capability for capability, verdict in verdicts.items() if verdict is Verdict.UNKNOWN),
    )


def runs_there(needs: Needs, capability: ComputeCapability, cuda: CudaVersion, platform: str) -> bool:
    """Whether the rules say that it runs on such a GPU with a driver that serves that CUDA."""
    return _is_yes(_verdict(needs, capability, cuda, platform))


def _is_yes(verdict: Verdict) -> bool:
    return verdict in {Verdict.WORKS, Verdict.DEGRADED}


def _verdict(needs: Needs, capability: ComputeCapability, cuda: CudaVersion, platform: str) -> Verdict:
    machine = _machine(capability, cuda, platform)
    return Verdict.worst(
        finding.verdict for rule in RULES if rule.id in _DECIDING for finding in rule.check(needs, machine)
    )


@cache
def _machine(capability: ComputeCapability, cuda: CudaVersion, platform: str) -> Machine:
    system, _, arch = platform.partition("-")
    return Machine(
        system=System(os=OperatingSystem(system), arch=arch),
        driver=Driver(state=DriverState.LOADED, cuda=cuda),
        gpus=(Gpu(name=f"GPU {capability}", compute_capability=capability),),
    )


def _oldest_driver(needs: Needs, rows: Sequence[Capability], platform: str) -> tuple[CudaVersion | None, bool]:
    """The oldest CUDA from which on every driver runs it on all GPUs that it serves and the driver knows, and whether
    that is the first of a major of which any minor version will do.
    """
    known = [toolkit.version for toolkit in load_toolkits()]
    found: CudaVersion | None = None
    for cuda in reversed(known):
        met = [row.capability for row in rows if row.first_cuda <= cuda]
        if not all(runs_there(needs, capability, cuda, platform) for capability in met):
            break
        # A driver that knows none of its GPUs is on no machine that matters; it counts within its major.
        if met or (found and cuda.major == found.major):
            found = cuda
    if found is None:
        # It is newer than all that is known: its own CUDA says which driver it needs.
        return needs.cuda, False
    first = next(version for version in known if version.major == found.major)
    return found, found == first and found.major >= _FIRST_COMPATIBLE_MAJOR


def _spans(known: Sequence[ComputeCapability], runs: Callable[[ComputeCapability], bool]) -> Iterator[Span]:
    """Neighbours among the known capabilities that it runs on. A span ends before the first number, known or not, that
    it does not run on.
    """
    first: ComputeCapability | None = None
    for at, capability in enumerate(known):
        if not runs(capability):
            continue
        first = first or capability
        following = known[at + 1] if at + 1 < len(known) else None
        if following and runs(following):
            continue
        end = _end(capability, following, runs)
        yield Span(first=first, end=end)
        first = None


def _end(
    last: ComputeCapability, following: ComputeCapability | None, runs: Callable[[ComputeCapability], bool]
) -> ComputeCapability | None:
    """Where the span that ends with `last` ends: at a later minor that it does not run on, else at the next major."""
    between = [ComputeCapability(f"{last.major}.{minor}") for minor in range(last.minor + 1, 10)]
    for capability in between:
        if capability == following or (find_capability(capability) is None and not runs(capability)):
            return capability
    if following is None and runs(_ANY_LATER):
        return None
    return ComputeCapability(f"{last.major + 1}.0")
