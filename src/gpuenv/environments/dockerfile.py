"""A plan as a Dockerfile: the base that brings what no wheel brings, what the driver must serve, files with hashes.

Sources: NVIDIA Container Toolkit documentation, "Specialized Configurations with Docker" (NVIDIA_VISIBLE_DEVICES,
NVIDIA_DRIVER_CAPABILITIES, NVIDIA_REQUIRE_CUDA and its constraints); Dockerfile reference, "Here-Documents".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gpuenv.environments.needs_of_plan import needs_of_plan
from gpuenv.environments.variables import variables_of
from gpuenv.errors import FormatError, RequestError
from gpuenv.facts.toolkits import driver_cuda, driver_floor
from gpuenv.model import Jit, Machine, Needs, OperatingSystem, Plan, PlannedPackage
from gpuenv.versions import CudaVersion

__all__ = ["cuda_constraint", "dockerfile_lines"]

_PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "ppc64le": "linux/ppc64le"}
_END = "END_OF_REQUIREMENTS"

# The last image with the libraries of each CUDA that builds of the catalog ask for (tags of `nvidia/cuda`).
_CUDA_IMAGES = {
    "10.2": ("10.2", "ubuntu18.04"),
    "11.0": ("11.0.3", "ubuntu20.04"),
    "11.2": ("11.2.2", "ubuntu20.04"),
    "11.7": ("11.7.1", "ubuntu22.04"),
    "11.8": ("11.8.0", "ubuntu22.04"),
    "12.9": ("12.9.1", "ubuntu22.04"),
    "13.0": ("13.0.1", "ubuntu24.04"),
}
_UNNUMBERED_CUDNN = CudaVersion("12.4")
"""From this CUDA on the tags of images with cuDNN do not name its version."""


def dockerfile_lines(plan: Plan, requirements: Iterable[str]) -> Iterator[str]:
    """The lines of a Dockerfile that installs `requirements`, the lines of a requirements file with hashes.

    RequestError for a plan that is not for Linux, where no image of NVIDIA's has what it asks for.
    """
    system = plan.machine.system
    if system.os is not OperatingSystem.LINUX:
        raise RequestError(
            f"a Dockerfile is for Linux, and the plan is for {plan.machine.platform}",
            hints=("plan for such a machine: `--machine os=linux,…`",),
        )
    needs = needs_of_plan(plan)
    wanted = [found for package in plan.packages if package.gpu and (found := needs[package.name])]
    by_hand = [one for one in wanted if one.system_cuda]
    platform = _PLATFORMS.get(system.arch)
    from_option = f"--platform={platform} " if platform else ""
    if by_hand:
        yield f"# {', '.join(f'{one.subject} expects {one.system_cuda}' for one in by_hand)}: the base brings them."
        yield f"FROM {from_option}{_cuda_image(by_hand)}"
    else:
        yield f"FROM {from_option}{_python_image(plan.machine, plan.python)}"
    yield from _environment(plan, needs)
    uses_uv = bool(by_hand or plan.build_constraints)
    if uses_uv:
        yield "COPY --from=astral/uv:0.13 /uv /usr/local/bin/uv"
    yield f"COPY <<'{_END}' /opt/requirements.txt"
    yield from _checked(requirements)
    yield _END
    if plan.build_constraints:
        yield f"COPY <<'{_END}' /opt/build-constraints.txt"
        yield from _checked(plan.build_constraints)
        yield _END
    yield from _install(plan, own_python=bool(by_hand), uses_uv=uses_uv)


def _python_image(machine: Machine, python: str) -> str:
    has_musl = machine.system.glibc is None and "system.glibc" in machine.sources
    return f"python:{python}-{'alpine' if has_musl else 'slim'}"


def _cuda_image(by_hand: list[Needs]) -> str:
    lines = [line for one in by_hand if (line := one.cuda_newest or one.cuda)]
    text = " ".join(one.system_cuda or "" for one in by_hand)
    known = {CudaVersion(key): value for key, value in _CUDA_IMAGES.items()}
    line = min(lines, default=None)
    same = [one for one in known if line and one.major == line.major]
    if line is None or not same:
        raise RequestError(
            f"no image of NVIDIA's is known to bring {text}",
            hints=("write the file for another tool: `gpuenv export --format requirements.txt`",),
        )
    chosen = line if line in known else max(same)
    version, distribution = known[chosen]
    cudnn = re.search(r"cuDNN (\d+)", text)
    named = cudnn[1] if cudnn and chosen < _UNNUMBERED_CUDNN else ""
    return f"nvidia/cuda:{version}-{f'cudnn{named}-' if cudnn else ''}runtime-{distribution}"


def _environment(plan: Plan, needs: dict[str, Needs | None]) -> Iterator[str]:
    values: dict[str, str] = {}
    if any(package.gpu for package in plan.packages):
        values = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
        constraint = cuda_constraint(plan.packages, needs)
        values |= {"NVIDIA_REQUIRE_CUDA": constraint} if constraint else {}
    values |= variables_of(plan)
    yield from (f"ENV {name}={_quoted(value)}" for name, value in values.items())


def cuda_constraint(packages: Iterable[PlannedPackage], needs: dict[str, Needs | None]) -> str | None:
    """What the driver must offer, in the words of NVIDIA's container runtime: `cuda>=12.0`. None where nothing says it.

    Machine code runs from the driver floor of its CUDA on, which for a whole major is the same; what is compiled from
    PTX when it runs needs a driver of its own CUDA.
    """
    lines: list[CudaVersion] = []
    drivers: list[int] = []
    for package in packages:
        wanted = needs.get(package.name)
        if not package.gpu:
            continue
        line = CudaVersion(package.cuda) if package.cuda else wanted.cuda if wanted else None
        if line is not None:
            lines.append(line if _is_compiled_there(package, wanted) else _floor(line))
        if wanted and wanted.driver_floor:
            drivers.append(wanted.driver_floor.branch)
    texts = [f"cuda>={max(lines)}"] if lines else []
    texts += [f"driver>={max(drivers)}"] if drivers else []
    return ",".join(texts) or None


def _is_compiled_there(package: PlannedPackage, needs: Needs | None) -> bool:
    by_driver = any(one.rule == "kernel-image" and "compiles it" in one.message for one in package.findings)
    return by_driver or (needs is not None and needs.jit is Jit.PTX)


def _floor(line: CudaVersion) -> CudaVersion:
    """The oldest CUDA that a driver may serve for machine code of `line` to run."""
    floor = driver_floor(line, OperatingSystem.LINUX)
    serves = driver_cuda(floor.version, OperatingSystem.LINUX) if floor else None
    return min(serves, line) if serves else line


def _install(plan: Plan, *, own_python: bool, uses_uv: bool) -> Iterator[str]:
    if not uses_uv:
        yield "RUN pip install --no-cache-dir --require-hashes -r /opt/requirements.txt"
        return
    constraints = " --build-constraints /opt/build-constraints.txt" if plan.build_constraints else ""
    options = f"--no-cache --require-hashes{constraints} -r /opt/requirements.txt"
    if own_python:
        # The base has another Python or none.
        yield f"RUN uv venv --python {plan.python} --managed-python /opt/venv"
        yield f"RUN uv pip install --python /opt/venv {options}"
        yield "ENV PATH=/opt/venv/bin:$PATH"
    else:
        yield f"RUN uv pip install --system {options}"


def _checked(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == _END:
            raise FormatError(f"`{_END}` cannot stand in a Dockerfile's here-document")
        yield line


def _quoted(value: str) -> str:
    """A value as Docker reads it in double quotes: it expands `$` and takes backslashes for escapes."""
    if "\n" in value:
        raise FormatError("a variable with a line break cannot stand in a Dockerfile")
    escaped = re.sub(r'(["\\$])', r"\\\1", value)
    return f'"{escaped}"'
