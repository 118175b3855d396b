"""A Python environment whose GPU packages are known to run on this machine, before the download and after it.

The verbs are the same as the commands. Each is imported on first use, so that a front end starts quickly::

    import gpuenv
    machine = gpuenv.parse_machine("gpu=V100,driver=580.65.06")
    plan = gpuenv.make_plan(gpuenv.Request(specs=("pytorch",)), machine)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gpuenv.audits import audit_packages
    from gpuenv.channels.building import build_catalog, catalog_status, update_catalog, verify_release
    from gpuenv.channels.catalog import find_project, nearest_names, project_names
    from gpuenv.channels.conda.opening import configured_channels
    from gpuenv.environments import (
        ExportFormat,
        export,
        find_environments,
        list_packages,
        load,
        remove,
        resolve_prefix,
        run_in,
        shell_in,
    )
    from gpuenv.environments.commands import CommandFormat, commands
    from gpuenv.environments.foreign_install import install_into
    from gpuenv.environments.foreign_places import chosen_foreign
    from gpuenv.environments.foreign_plan import Preview, plan_into
    from gpuenv.environments.foreign_undo import undo_install
    from gpuenv.environments.verbs import Change, create_environment, install, plan_install, uninstall, update
    from gpuenv.machines import probe_here, record_here
    from gpuenv.machines.interpreters import find_interpreters
    from gpuenv.machines.virtual_packages import virtual_packages
    from gpuenv.machines.written import parse_machine
    from gpuenv.model import Machine, Plan, Request
    from gpuenv.plans.explained import explain_plans
    from gpuenv.plans.fleet import make_plans
    from gpuenv.plans.make import make_plan
    from gpuenv.plans.specs import spec_name
    from gpuenv.recipes.build import build_channel
    from gpuenv.recipes.indexing import index_channel
    from gpuenv.recipes.wheel import package_wheel
    from gpuenv.rules import RULES, check, report_machine
    from gpuenv.targets.check import check_targets
    from gpuenv.targets.inspect import inspect_targets
    from gpuenv.workspaces import (
        LockOptions,
        check_lock,
        export_lock,
        lock,
        read_request,
        request_with_file,
        sync,
    )
    from gpuenv.workspaces.markers import specs_for

_HOMES = {
    "gpuenv.audits": ("audit_packages",),
    "gpuenv.channels.building": ("build_catalog", "catalog_status", "update_catalog", "verify_release"),
    "gpuenv.channels.catalog": ("find_project", "nearest_names", "project_names"),
    "gpuenv.channels.conda.opening": ("configured_channels",),
    "gpuenv.environments": (
        *("ExportFormat", "export", "find_environments", "list_packages", "load", "remove", "resolve_prefix"),
        *("run_in", "shell_in"),
    ),
    "gpuenv.environments.commands": ("CommandFormat", "commands"),
    "gpuenv.environments.foreign_install": ("install_into",),
    "gpuenv.environments.foreign_places": ("chosen_foreign",),
    "gpuenv.environments.foreign_plan": ("Preview", "plan_into"),
    "gpuenv.environments.foreign_undo": ("undo_install",),
    "gpuenv.environments.verbs": ("Change", "create_environment", "install", "plan_install", "uninstall", "update"),
    "gpuenv.machines": ("probe_here", "record_here"),
    "gpuenv.machines.interpreters": ("find_interpreters",),
    "gpuenv.machines.virtual_packages": ("virtual_packages",),
    "gpuenv.machines.written": ("parse_machine",),
    "gpuenv.model": ("Machine", "Plan", "Request"),
    "gpuenv.plans.explained": ("explain_plans",),
    "gpuenv.plans.fleet": ("make_plans",),
    "gpuenv.plans.make": ("make_plan",),
    "gpuenv.plans.specs": ("spec_name",),
    "gpuenv.recipes.build": ("build_channel",),
    "gpuenv.recipes.indexing": ("index_channel",),
    "gpuenv.recipes.wheel": ("package_wheel",),
    "gpuenv.rules": ("RULES", "check", "report_machine"),
    "gpuenv.targets.check": ("check_targets",),
    "gpuenv.targets.inspect": ("inspect_targets",),
    "gpuenv.workspaces": (
        "LockOptions",
        "check_lock",
        "export_lock",
        "lock",
        "read_request",
        "request_with_file",
        "sync",
    ),
    "gpuenv.workspaces.markers": ("specs_for",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "RULES",
    "Change",
    "CommandFormat",
    "ExportFormat",
    "LockOptions",
    "Machine",
    "Plan",
    "Preview",
    "Request",
    "audit_packages",
    "build_catalog",
    "build_channel",
    "catalog_status",
    "check",
    "check_lock",
    "check_targets",
    "chosen_foreign",
    "commands",
    "configured_channels",
    "create_environment",
    "explain_plans",
    "export",
    "export_lock",
    "find_environments",
    "find_interpreters",
    "find_project",
    "index_channel",
    "inspect_targets",
    "install",
    "install_into",
    "list_packages",
    "load",
    "lock",
    "make_plan",
    "make_plans",
    "nearest_names",
    "package_wheel",
    "parse_machine",
    "plan_install",
    "plan_into",
    "probe_here",
    "project_names",
    "read_request",
    "record_here",
    "remove",
    "report_machine",
    "request_with_file",
    "resolve_prefix",
    "run_in",
    "shell_in",
    "spec_name",
    "specs_for",
    "sync",
    "undo_install",
    "uninstall",
    "update",
    "update_catalog",
    "verify_release",
    "virtual_packages",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module `gpuenv` has no `{name}`")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
