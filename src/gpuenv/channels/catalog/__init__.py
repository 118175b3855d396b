"""The catalog: one name per project, one record per build, made of what people wrote and what machines read.

`projects/*.toml` are written by hand, one per project: its names, how its wheels are published, what its old metadata
lacks. `releases/*.jsonl` is read from the package index and from the wheels themselves by `channels/building`; a user
may have a newer copy of these.
"""

from gpuenv.channels.catalog import builds, projects, releases
from gpuenv.channels.catalog.builds import Build, builds_of
from gpuenv.channels.catalog.projects import Project, find_project, nearest_names, project_names
from gpuenv.channels.catalog.releases import Release, catalog_problems, releases_of

__all__ = [
    "Build",
    "Project",
    "Release",
    "builds_of",
    "catalog_problems",
    "find_project",
    "forget_loaded",
    "nearest_names",
    "project_names",
    "releases_of",
]


def forget_loaded() -> None:
    """Lets the catalog be loaded anew where it is asked for next, since its files have changed."""
    releases.forget_loaded()
    projects.forget_loaded()
    builds.forget_loaded()
