"""Workspaces: a directory with a `gpuenv.toml` that says what a team wants, and a `gpuenv.lock` that says what was
decided, for all of its machines. Make and check locks, make environments from them, read what other tools wrote.
"""

from __future__ import annotations

from gpuenv.workspaces.asking import request_with_file
from gpuenv.workspaces.exporting import export_lock
from gpuenv.workspaces.imported import Imported, MachineRequirements
from gpuenv.workspaces.locking import check_lock, lock
from gpuenv.workspaces.manifest import Workspace, read_workspace
from gpuenv.workspaces.other_files import read_request
from gpuenv.workspaces.syncing import sync
from gpuenv.workspaces.wanted_lock import LockOptions

__all__ = [
    "Imported",
    "LockOptions",
    "MachineRequirements",
    "Workspace",
    "check_lock",
    "export_lock",
    "lock",
    "read_request",
    "read_workspace",
    "request_with_file",
    "sync",
]
