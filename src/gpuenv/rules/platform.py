"""Rules on the operating system, the processor's architecture, the C library and libraries from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuenv.binaries.cuda_names import cuda_library
from gpuenv.facts.libraries import wheel_with
from gpuenv.facts.toolkits import last_toolkit_for_platform, load_toolkits
from gpuenv.model import Evidence, Finding, Machine, Needs, OperatingSystem, Verdict
from gpuenv.rules.reading import cuda_gpus, driver_evidence, served_cuda
from gpuenv.versions import CudaVersion

_OS_NAMES: dict[str, str] = {
    OperatingSystem.LINUX.value: "Linux",
    OperatingSystem.WINDOWS.value: "Windows",
    OperatingSystem.MACOS.value: "macOS",
}


def operating_system(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A build runs only on the systems it was made for. For CUDA, Linux is best and Windows is served; a Mac has no
    CUDA driver since toolkit 10.2, so nothing that needs CUDA runs there.
    """
    system = machine.system
    found = (Evidence(what="system", value=machine.platform, source=machine.sources.get("system", "")),)
    name = _OS_NAMES[system.os]
    systems = {platform.partition("-")[0] for platform in needs.platforms}
    gpu_systems = {platform.partition("-")[0] for platform in needs.gpu_platforms}

    def finding(verdict: Verdict, message: str, *hints: str) -> Finding:
        return Finding(
            rule="operating-system",
            verdict=verdict,
            subject=needs.subject,
            message=message,
            evidence=found,
            hints=hints,
        )

    if systems and system.os.value not in systems:
        built_for = " and ".join(sorted(_OS_NAMES.get(other, other) for other in systems))
        yield finding(Verdict.FAILS, f"there is no build for {name}: it is built for {built_for}")
    elif not needs.uses_gpu:
        return
    elif system.os is OperatingSystem.MACOS:
        yield finding(
            Verdict.FAILS,
            "macOS has no CUDA: the last toolkit for it was 10.2, and Apple's GPUs are not served",
            "use a Linux or Windows machine with an NVIDIA GPU for CUDA",
        )
    elif gpu_systems and system.os.value not in gpu_systems:
        yield finding(Verdict.FAILS, f"its builds for {name} carry no GPU code")
    elif system.os is OperatingSystem.WINDOWS:
        yield finding(Verdict.WORKS, "Windows runs CUDA; most GPU packages serve Linux first")
    else:
        yield finding(Verdict.WORKS, "Linux under WSL runs CUDA" if system.wsl else "Linux runs CUDA best")


def cpu_architecture(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A build is machine code for one processor architecture. CUDA exists for x86_64, for aarch64 (on Windows from
    toolkit 13.4 on) and, up to toolkit 12.4, for ppc64le.
    """
    platform = machine.platform
    found = (Evidence(what="architecture", value=machine.system.arch, source=machine.sources.get("system", "")),)
    on = f"{machine.system.os.value}-"
    on_system = {known.removeprefix(on) for known in needs.platforms if known.startswith(on)}

    def finding(verdict: Verdict, message: str) -> Finding:
        return Finding(rule="cpu-architecture", verdict=verdict, subject=needs.subject, message=message, evidence=found)

    if on_system and machine.system.arch not in on_system:
        yield finding(
            Verdict.FAILS,
            f"there is no build for {machine.system.arch}: it is built for {', '.join(sorted(on_system))}",
        )
    elif not needs.uses_gpu or machine.system.os is OperatingSystem.MACOS:
        return
    elif needs.gpu_platforms and platform not in needs.gpu_platforms:
        yield finding(Verdict.FAILS, f"its builds for {platform} carry no GPU code")
    else:
        yield finding(*_judge_toolkits(needs, machine))


def _judge_toolkits(needs: Needs, machine: Machine) -> tuple[Verdict, str]:
    """Whether CUDA is published for the platform, and for that platform in the line that is needed."""
    arch, last = machine.system.arch, last_toolkit_for_platform(machine.platform)
    where = f"{arch} under Windows" if machine.platform == "windows-aarch64" else arch
    if last is None:
        return Verdict.FAILS, f"CUDA does not exist for {where}"
    first = _first_toolkit_for_platform(machine.platform)
    newest = needs.cuda_newest or needs.cuda
    if newest and newest < first:
        return Verdict.FAILS, f"CUDA for {where} begins with toolkit {first}"
    if last < load_toolkits()[-1].version:
        message = f"CUDA serves {where} up to toolkit {last}, and few packages are built for it"
        return Verdict.FAILS if needs.cuda and needs.cuda > last else Verdict.DEGRADED, message
    return Verdict.WORKS, f"CUDA serves {where}"


def _first_toolkit_for_platform(platform: str) -> CudaVersion:
    return next(
        toolkit.version
        for toolkit in load_toolkits()
        if any(name == platform or name.startswith(f"{platform}-") for name in toolkit.platforms)
    )


def jetson_build(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Published builds for Arm are for servers. Up to JetPack 6 a Jetson has a CUDA of its own, on which nobody
    promises that they run; with JetPack 7 (CUDA 13) the two became one. Code for exactly the Jetson's GPU tells that a
    build is meant for it.
    """
    serves = served_cuda(machine)
    is_published = needs.uses_gpu and needs.cuda is not None and machine.platform in needs.platforms
    if (
        machine.system.jetson is None
        or not is_published
        or (serves and serves.major >= 13)
        or _is_meant(needs, machine)
    ):
        return
    found = Evidence(what="device", value=machine.system.jetson, source=machine.sources.get("system.jetson", ""))
    yield Finding(
        rule="jetson-build",
        verdict=Verdict.UNKNOWN,
        subject=needs.subject,
        message="it is built for Arm servers; whether it runs on a Jetson before JetPack 7 is not known",
        evidence=(found, *driver_evidence(machine)),
    )


def _is_meant(needs: Needs, machine: Machine) -> bool:
    here = {gpu.compute_capability for gpu in cuda_gpus(machine)}
    images = (image for library in needs.libraries or () for group in library.groups for image in group.images)
    return any(image.capability in here and not image.is_ptx for image in images)


def c_library(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A wheel for Linux names the oldest GNU C library it runs with; an older one cannot load it, nor can musl, the
    C library of Alpine. Where the machine's is not known, an older one that is assumed may do, a newer one may not.
    """
    if needs.glibc is None or machine.system.os is not OperatingSystem.LINUX:
        return
    here = machine.system.glibc
    hints: tuple[str, ...] = ()
    is_assumed = machine.sources.get("system.glibc") == "assumed"
    if here is None and "system.glibc" in machine.sources:
        verdict, message = Verdict.FAILS, f"needs the GNU C library {needs.glibc}; here is another (musl)"
    elif here is None:
        verdict, message = Verdict.UNKNOWN, f"needs the GNU C library {needs.glibc}; the machine's is not known"
    elif here >= needs.glibc:
        verdict, message = Verdict.WORKS, f"the GNU C library {here} is at least {needs.glibc}"
    elif is_assumed:
        verdict, message = Verdict.UNKNOWN, f"needs the GNU C library {needs.glibc}; the machine's is not known"
        hints = ("say which one the machine has: `--machine …,glibc=2.35`",)
    else:
        verdict, message = Verdict.FAILS, f"needs the GNU C library {needs.glibc}; here {here}"
    source = machine.sources.get("system.glibc", "")
    value = str(here) if here else "absent" if source else "unknown"
    found = Evidence(what="GNU C library", value=value, source=source)
    yield Finding(
        rule="c-library", verdict=verdict, subject=needs.subject, message=message, evidence=(found,), hints=hints
    )


def system_cuda(needs: Needs, machine: Machine) -> Iterator[Finding]:  # noqa: ARG001  (every rule takes both)
    """Some builds expect CUDA libraries that no package brings. Whether the machine has them is not known before
    they are loaded, so the answer is unknown.
    """
    if needs.uses_gpu and needs.system_cuda:
        yield Finding(
            rule="system-cuda",
            verdict=Verdict.UNKNOWN,
            subject=needs.subject,
            message=f"expects {needs.system_cuda} on the machine, which no package brings along",
            hints=_what_brings(needs.system_cuda, needs.cuda_newest or needs.cuda),
        )


def _what_brings(text: str, cuda: CudaVersion | None) -> tuple[str, ...]:
    """Which of NVIDIA's wheels hold the libraries that a text names."""
    if cuda is None:
        return ()
    named = (cuda_library(file) for file in re.findall(r"[\w.-]+\.(?:so[.\d]*|dll)", text))
    wheels = [wheel for library in named if library and (wheel := wheel_with(library.name, cuda.major))]
    return (f"NVIDIA's wheels bring them: `pip install {' '.join(dict.fromkeys(wheels))}`",) if wheels else ()


def python_build(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A wheel with machine code is built for one version of Python, and a release for the few that were current."""
    if needs.pythons is None or machine.python is None:
        return
    here = Evidence(what="Python", value=machine.python, source=machine.sources.get("python", ""))
    if machine.python in needs.pythons:
        return
    ends = dict.fromkeys((needs.pythons[0], needs.pythons[-1])) if needs.pythons else {}
    span = " to ".join(ends)
    yield Finding(
        rule="python-build",
        verdict=Verdict.FAILS,
        subject=needs.subject,
        message=f"its wheels are for Python {span}; here {machine.python}" if span else "it has no wheels",
        evidence=(here,),
    )


def withdrawn(needs: Needs, machine: Machine) -> Iterator[Finding]:  # noqa: ARG001  (every rule takes both)
    """Some releases are known not to work as published; nobody should install them."""
    if needs.withdrawn:
        yield Finding(rule="withdrawn", verdict=Verdict.FAILS, subject=needs.subject, message=needs.withdrawn)
