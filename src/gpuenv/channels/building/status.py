"""How much the catalog knows, and how old it is."""

from __future__ import annotations

from packaging.version import Version

from gpuenv import __version__, settings
from gpuenv.channels.catalog import catalog_problems
from gpuenv.channels.catalog.releases import load_rows, newest_date, own_copy, packaged_content, wheel_names
from gpuenv.model import CatalogProject, CatalogStatus

__all__ = ["catalog_status"]


def catalog_status() -> CatalogStatus:
    """The catalog as plans use it: all of its files are loaded, and what is wrong with the user's own copy is told.

    FormatError where the catalog that came with gpuenv is damaged.
    """
    projects = tuple(_project(name) for name in sorted(wheel_names()))
    manifest = own_copy().manifest
    return CatalogStatus(
        gpuenv=__version__,
        date=max((one.date for one in projects), default=""),
        packaged_date=max((newest_date(packaged_content(name)) for name in wheel_names()), default=""),
        own_date=manifest.date if manifest else None,
        directory=str(settings.catalog_directory()),
        projects=projects,
        problems=catalog_problems(),
    )


def _project(name: str) -> CatalogProject:
    loaded = load_rows(name)
    given = [row for row in loaded.rows if row.withdrawn is None]
    newest = max((Version(row.version) for row in given), default=None)
    return CatalogProject(
        wheel=name,
        releases=len(loaded.rows),
        newest=str(newest) if newest else None,
        opened=sum(len(row.code) for row in loaded.rows),
        withdrawn=len(loaded.rows) - len(given),
        date=max((row.read for row in loaded.rows), default=""),
        size_bytes=loaded.size_bytes,
        is_own=loaded.is_own,
    )
