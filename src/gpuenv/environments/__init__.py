"""Environments made of Python wheels: create, change and remove them, all or nothing; run in them, write them down.

An environment is a virtual environment that can be moved, with the plan it was made from inside. A new one is built
beside the old and switched in when it is complete, so a kill at any moment leaves the old one or the new one.
"""

from __future__ import annotations

from gpuenv.environments.activation import run_in
from gpuenv.environments.changes import create, remove, replace
from gpuenv.environments.exports import ExportFormat, export, export_plan
from gpuenv.environments.foreign import foreign_packages
from gpuenv.environments.installed import InstalledPackage, list_packages
from gpuenv.environments.naming import resolve_prefix
from gpuenv.environments.shells import shell_in
from gpuenv.environments.state import Environment, EnvironmentState, Found, find_environments, load

__all__ = [
    "Environment",
    "EnvironmentState",
    "ExportFormat",
    "Found",
    "InstalledPackage",
    "create",
    "export",
    "export_plan",
    "find_environments",
    "foreign_packages",
    "list_packages",
    "load",
    "remove",
    "replace",
    "resolve_prefix",
    "run_in",
    "shell_in",
]
