"""JSON Schema (2020-12) of every document that gpuenv prints or writes, one file per kind, made from the model.

`python scripts/write_schemas.py` writes the files again; a test holds them to the model.
"""

from __future__ import annotations

from gpuenv.environments.state import EnvironmentState
from gpuenv.machines.recording import Recording
from gpuenv.model import (
    CatalogStatus,
    CatalogUpdate,
    CatalogVerification,
    CheckReport,
    EnvironmentList,
    ErrorDocument,
    InspectionReport,
    Machine,
    MachineReport,
    PackageList,
    Plan,
    PlanSet,
)

__all__ = ["DOCUMENTS"]

DOCUMENTS: dict[str, type] = {
    "catalog-status": CatalogStatus,
    "catalog-update": CatalogUpdate,
    "catalog-verification": CatalogVerification,
    "check": CheckReport,
    "environment": EnvironmentState,
    "environments": EnvironmentList,
    "error": ErrorDocument,
    "inspection": InspectionReport,
    "machine": Machine,
    "machine-report": MachineReport,
    "packages": PackageList,
    "plan": Plan,
    "plans": PlanSet,
    "recording": Recording,
}
