"""JSON Schema (2020-12) of every document that gpuenv prints or writes, one file per kind, made from the model.

`python scripts/write_schemas.py` writes the files again; a test holds them to the model.
"""

from __future__ import annotations

from gpuenv import model
from gpuenv.environments.state import EnvironmentState
from gpuenv.machines.recording import Recording

__all__ = ["DOCUMENTS"]

DOCUMENTS: dict[str, type] = {
    "catalog-status": model.CatalogStatus,
    "catalog-update": model.CatalogUpdate,
    "catalog-verification": model.CatalogVerification,
    "channel-audit": model.AuditReport,
    "channel-build": model.BuildReport,
    "channel-index": model.IndexReport,
    "channel-wheel": model.WheelReport,
    "check": model.CheckReport,
    "environment": EnvironmentState,
    "environments": model.EnvironmentList,
    "error": model.ErrorDocument,
    "inspection": model.InspectionReport,
    "installation": model.InstallReport,
    "lock": model.Lock,
    "lock-report": model.LockReport,
    "machine": model.Machine,
    "machine-report": model.MachineReport,
    "packages": model.PackageList,
    "plan": model.Plan,
    "plans": model.PlanSet,
    "recording": Recording,
    "sync": model.SyncReport,
}
