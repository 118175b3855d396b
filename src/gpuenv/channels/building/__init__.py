"""Makes the machine-made half of the catalog from the package index and the wheels on it, and checks what was read."""

from gpuenv.channels.building.build import build_catalog, update_catalog
from gpuenv.channels.building.status import catalog_status
from gpuenv.channels.building.verify import verify_release

__all__ = ["build_catalog", "catalog_status", "update_catalog", "verify_release"]
