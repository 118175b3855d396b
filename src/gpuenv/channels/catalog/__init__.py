"""The catalog: one name per project, one record per build, made of what people wrote and what machines read.

`projects/*.toml` are written by hand, one per project: its names, how its wheels are published, what its old metadata
lacks. `releases/*.jsonl` is read from the package index and from the wheels themselves by `scripts/read_releases.py`.
"""

from gpuenv.channels.catalog.builds import Build, builds_of
from gpuenv.channels.catalog.projects import Project, find_project, nearest_names, project_names
from gpuenv.channels.catalog.releases import Release, releases_of

__all__ = [
    "Build",
    "Project",
    "Release",
    "builds_of",
    "find_project",
    "nearest_names",
    "project_names",
    "releases_of",
]
