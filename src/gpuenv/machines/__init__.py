"""Machines: probed here, recorded, or written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gpuenv.model import Machine

__all__ = ["probe_here", "record_here"]


def probe_here(*, environ: Mapping[str, str] | None = None) -> Machine:
    """The computer this runs on, as probed and then changed by the CONDA_OVERRIDE variables (CEP 30, CEP 46).

    `environ` is where these variables are looked up, by default the environment of this process.
    """
    import os

    from gpuenv.machines.local import LocalHost
    from gpuenv.machines.probe import probe
    from gpuenv.machines.written import apply_overrides

    return apply_overrides(probe(LocalHost()), os.environ if environ is None else environ)


def record_here(path: Path) -> Machine:
    """The same, with every question and answer of the probe written to `path`; UnavailableError when it cannot be."""
    import os

    from gpuenv.machines.local import LocalHost
    from gpuenv.machines.probe import probe
    from gpuenv.machines.recording import RecordingHost, save_recording
    from gpuenv.machines.written import apply_overrides

    host = RecordingHost(LocalHost())
    machine = probe(host)
    save_recording(path, host)
    return apply_overrides(machine, os.environ)
