"""The limits on memory and processors that a container or a batch job has under Linux.

Sources: Linux kernel, Documentation/admin-guide/cgroup-v2.rst (`memory.max`, `cpu.max`) and cgroup-v1 (`memory.
limit_in_bytes`, `cpu.cfs_quota_us`). A limit may sit on any group between a process and the root, and in a
container the named group may not be visible while its files are mounted at the root.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gpuenv.machines.host import Host

__all__ = ["cpu_limit", "memory_limit"]

ROOT = "/sys/fs/cgroup"
_DEEPEST = 16


def memory_limit(host: Host) -> tuple[int, str] | None:
    """The smallest memory limit in bytes, and the file that holds it."""
    limits = []
    for directory, is_v2 in _groups(host, "memory"):
        path = f"{directory}/{'memory.max' if is_v2 else 'memory.limit_in_bytes'}"
        value = _number(host.read_text(path))
        if value:
            limits.append((value, path))
    return min(limits, default=None)


def cpu_limit(host: Host) -> tuple[int, str] | None:
    """The smallest quota of processors, rounded up, and the file that holds it."""
    limits = []
    for directory, is_v2 in _groups(host, "cpu"):
        path = f"{directory}/{'cpu.max' if is_v2 else 'cpu.cfs_quota_us'}"
        words = (host.read_text(path) or "").split()
        quota = _number(words[0] if words else None)
        period = _number(words[1] if len(words) > 1 else None) if is_v2 else None
        if quota and not is_v2:
            period = _number(host.read_text(f"{directory}/cpu.cfs_period_us"))
        if quota and period:
            limits.append((max(1, math.ceil(quota / period)), path))
    return min(limits, default=None)


def _groups(host: Host, controller: str) -> Iterator[tuple[str, bool]]:
    """The directories to look into, from the process's own group up, and whether they are of version 2."""
    for line in (host.read_text("/proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        mount = f"{ROOT}/{controllers}" if controllers else ROOT
        parts = [part for part in group.split("/") if part not in {"", "..", "."}][:_DEEPEST]
        for length in range(len(parts), -1, -1):
            yield "/".join((mount, *parts[:length])), not controllers


def _number(text: str | None) -> int | None:
    """A positive whole number; None for `max`, -1 and whatever else is no limit."""
    stripped = text.strip() if text else ""
    value = int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) < 20 else 0
    # Version 1 writes the largest page-aligned number where there is no limit.
    return value if 0 < value < (1 << 62) else None
