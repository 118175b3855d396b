"""Machines: probed here, recorded, or written by hand."""

from __future__ import annotations

from gpuenv.model import Machine

__all__ = ["probe_here"]


def probe_here() -> Machine:
    """This computer, with what the CONDA_OVERRIDE variables say in place of what was found (CEP 30, CEP 46)."""
    import os

    from gpuenv.machines.local import LocalHost
    from gpuenv.machines.probe import probe
    from gpuenv.machines.written import apply_overrides

    return apply_overrides(probe(LocalHost()), os.environ)
