"""In what kind of place a Linux process runs: a container, WSL, a Jetson board."""

from __future__ import annotations

import re

from gpuenv.machines.host import Host

__all__ = ["find_container", "find_jetson", "is_wsl", "is_wsl1"]

_GROUP_NAMES = {
    "kubepods": "kubernetes",
    "libpod": "podman",
    "docker": "docker",
    "containerd": "containerd",
    "lxc": "lxc",
    "machine.slice/machine-": "systemd-nspawn",
}


def find_container(host: Host) -> tuple[str, str] | None:
    """The kind of container (`docker`, `podman`, `kubernetes`, `apptainer`...) and the sign that told it."""
    environ = host.environ
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes", "KUBERNETES_SERVICE_HOST"
    for variable in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if variable in environ:
            return "apptainer", variable
    if host.exists("/run/.containerenv"):
        return "podman", "/run/.containerenv"
    if host.exists("/.dockerenv"):
        return "docker", "/.dockerenv"
    declared = environ.get("container") or (host.read_text("/run/systemd/container") or "").strip()
    # WSL's init declares itself this way, too.
    if declared and declared != "wsl":
        return declared, "container"
    groups = host.read_text("/proc/self/cgroup") or ""
    return next(((kind, "/proc/self/cgroup") for word, kind in _GROUP_NAMES.items() if word in groups), None)


def is_wsl(host: Host, release: str) -> bool:
    """Whether the kernel is that of the Windows Subsystem for Linux; containers inside WSL count."""
    return "microsoft" in release.lower() or (host.exists("/dev/dxg") and host.exists("/usr/lib/wsl"))


def is_wsl1(release: str) -> bool:
    """Whether it is version 1, which has no Linux kernel and no GPU: its release ends in `-Microsoft`."""
    return release.endswith("-Microsoft")


def find_jetson(host: Host) -> tuple[str, str] | None:
    """The board and its Jetson Linux (`... Developer Kit (L4T R36.4.3)`), and the file that told it; else None."""
    tegra = host.read_text("/etc/nv_tegra_release") or ""
    release = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", tegra)
    suffix = f" (L4T R{release[1]}.{release[2]})" if release else ""
    for root in ("/proc/device-tree", "/sys/firmware/devicetree/base"):
        model = (host.read_text(f"{root}/model") or "").strip("\0\n ")
        if not model:
            continue
        compatible = host.read_text(f"{root}/compatible") or ""
        if "jetson" in model.lower() or "tegra" in model.lower() or "nvidia,tegra" in compatible:
            return model + suffix, f"{root}/model"
    return (f"Jetson{suffix}", "/etc/nv_tegra_release") if release else None
