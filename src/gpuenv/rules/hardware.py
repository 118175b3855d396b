"""Rules on the GPUs themselves: that there is one, that NVIDIA made it, and that CUDA can open it."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.model import Evidence, Finding, Gpu, Machine, Needs, OperatingSystem, Vendor, Verdict
from gpuenv.rules.reading import cuda_gpus, gpu_label, opens

_VENDORS = {Vendor.AMD: "AMD", Vendor.INTEL: "Intel", Vendor.APPLE: "Apple", Vendor.OTHER: "an unknown maker"}
_OTHER_WAYS = {
    Vendor.AMD: "builds for AMD GPUs (ROCm) come from the projects' own indexes, not from here",
    Vendor.INTEL: "builds for Intel GPUs (SYCL, OpenVINO) come from the projects' own indexes, not from here",
    Vendor.APPLE: "PyTorch and JAX use Apple GPUs through Metal with their builds for macOS",
}


def gpu_present(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """CUDA runs on NVIDIA GPUs only. A machine without one can run the CPU build of a package, if there is one, or a
    build that looks for a GPU when it runs and can do without.
    """
    if not needs.uses_gpu:
        return
    source = machine.sources.get("gpus", "")

    def finding(verdict: Verdict, message: str, value: str, *hints: str) -> Finding:
        return Finding(
            rule="gpu-present",
            verdict=verdict,
            subject=needs.subject,
            message=message,
            evidence=(Evidence(what="GPUs", value=value, source=source),),
            hints=hints,
        )

    if machine.gpus is None:
        yield finding(
            Verdict.UNKNOWN, "which GPUs the machine has is not known", "unknown", "name them: `--machine gpu=…`"
        )
    elif machine.nvidia_gpus:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in machine.nvidia_gpus))
        yield finding(Verdict.WORKS, f"NVIDIA made the GPU: {names}", names)
    elif needs.runs_without_gpu:
        names = ", ".join(dict.fromkeys(gpu.name for gpu in machine.gpus)) or "none"
        yield finding(Verdict.DEGRADED, "there is no NVIDIA GPU here, so it can only use the CPU", names)
    elif machine.gpus:
        vendors = tuple(dict.fromkeys(gpu.vendor for gpu in machine.gpus))
        names = ", ".join(dict.fromkeys(gpu.name for gpu in machine.gpus))
        here = "; ".join(_of_vendor(vendor, machine.gpus) for vendor in vendors)
        hints = tuple(_OTHER_WAYS[vendor] for vendor in vendors if vendor in _OTHER_WAYS)
        yield finding(Verdict.FAILS, f"CUDA needs an NVIDIA GPU; here is {here}", names, *hints)
    else:
        hints = (
            ()
            if machine.system.os is OperatingSystem.MACOS
            else ("to plan for a machine that has one: `--machine gpu=V100,driver=535.129.03`",)
        )
        yield finding(Verdict.FAILS, "needs an NVIDIA GPU; this machine has none", "none", *hints)


def _of_vendor(vendor: Vendor, gpus: tuple[Gpu, ...]) -> str:
    names = ", ".join(dict.fromkeys(gpu.name for gpu in gpus if gpu.vendor is vendor))
    return f"{names}, of {_VENDORS[vendor]}"


def gpu_visible(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """The driver can list a GPU on which CUDA finds no device: in MIG mode without a MIG device, or where CUDA could
    not start at all.
    """
    if not needs.uses_gpu:
        return
    hidden = [gpu for gpu in machine.nvidia_gpus if not opens(gpu)]
    for gpu in hidden:
        in_mig_mode = gpu.mig == "enabled"
        error = machine.driver.error
        reason = ": MIG mode is on and no instance was made" if in_mig_mode else f": {error}" if error else ""
        found = Evidence(what="MIG", value=gpu.mig or "off", source=machine.sources.get("gpus", ""))
        said = Evidence(what="driver's error", value=error or "", source=machine.sources.get("driver.state", ""))
        yield Finding(
            rule="gpu-visible",
            verdict=Verdict.DEGRADED if cuda_gpus(machine) else Verdict.FAILS,
            subject=needs.subject,
            message=f"CUDA finds no device on {gpu_label(gpu)}{reason}",
            evidence=(found, said) if error else (found,),
            hints=("make an instance: `sudo nvidia-smi mig -cgi 0 -C`",) if in_mig_mode else (),
        )
