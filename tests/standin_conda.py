"""As much of a conda as a plugin of it meets, written after conda's documentation of its plugins.

The hooks run through the real `pluggy`. `make_conda` writes the package to a directory; with `lazy` a virtual package
has the form of recent versions (a version may be a function, called when the package is asked for), without it the
form of older ones.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

__all__ = ["make_conda"]

_AUXLIB = """
class _Null:
    def __bool__(self):
        return False

NULL = _Null()
"""

_PLUGINS = """
import pluggy

hookimpl = pluggy.HookimplMarker("conda")
"""

_HOOKSPEC = """
import pluggy

hookspec = pluggy.HookspecMarker("conda")

class CondaSpecs:
    @hookspec
    def conda_virtual_packages(self): ...

    @hookspec
    def conda_subcommands(self): ...
"""

_LAZY_TYPES = """
from dataclasses import dataclass
from typing import Any

from conda.auxlib import NULL

@dataclass
class CondaSubcommand:
    name: str
    summary: str
    action: Any
    configure_parser: Any = None

@dataclass
class CondaVirtualPackage:
    name: str
    version: Any
    build: Any
    override_entity: str | None = None

    def to_virtual_package(self):
        version = self.version() if callable(self.version) else self.version
        if version is NULL:
            return NULL
        return ("__" + self.name, version or "0", self.build or "0")
"""

_OLD_TYPES = """
from typing import Any, NamedTuple

class CondaSubcommand(NamedTuple):
    name: str
    summary: str
    action: Any
    configure_parser: Any = None

class CondaVirtualPackage(NamedTuple):
    name: str
    version: str | None
    build: str | None

    def to_virtual_package(self):
        return ("__" + self.name, self.version or "0", self.build or "0")
"""

_CUDA = """
import os
from functools import cache

from conda.plugins import hookimpl
from conda.plugins.types import CondaVirtualPackage

@cache
def cached_cuda_version():
    # Stands for what conda asks of libcuda.
    return os.environ.get("STANDIN_CUDA") or None

@hookimpl
def conda_virtual_packages():
    told = os.environ.get("CONDA_OVERRIDE_CUDA")
    version = cached_cuda_version() if told is None else told
    if version:
        yield CondaVirtualPackage("cuda", version, None)
"""

_MANAGER = """
import logging
from importlib import import_module
from importlib.metadata import EntryPoint

import pluggy

from conda.auxlib import NULL
from conda.plugins.hookspec import CondaSpecs
from conda.plugins.virtual_packages import cuda

class PluginError(Exception):
    pass

class CondaPluginManager(pluggy.PluginManager):
    def __init__(self):
        super().__init__("conda")
        self.add_hookspecs(CondaSpecs)
        self.register(cuda, "conda.plugins.virtual_packages.cuda")

    def load_entrypoint(self, name, value):
        plugin = EntryPoint(name=name, value=value, group="conda").load()
        self.register(plugin, plugin.__name__)

    def get_hook_results(self, name):
        found = [item for items in getattr(self.hook, "conda_" + name)() for item in items]
        names = [item.name for item in found]
        if len(set(names)) < len(names):
            raise PluginError(f"Conflicting plugins found for `{name}`")
        return sorted(found, key=lambda item: item.name)

    def get_virtual_package_records(self):
        records = [hook.to_virtual_package() for hook in self.get_hook_results("virtual_packages")]
        return [record for record in records if record is not NULL]
"""

_CONTEXT = """
from functools import cached_property

class Context:
    override_virtual_packages = {}

    @cached_property
    def plugin_manager(self):
        from conda.plugins.manager import CondaPluginManager

        return CondaPluginManager()

context = Context()
"""

_CLI = '''
"""`conda info` prints the virtual packages; other words are subcommands of plugins."""
import json
import os
import sys

from conda.base.context import context

def main():
    manager = context.plugin_manager
    for line in os.environ["STANDIN_ENTRY_POINTS"].split():
        manager.load_entrypoint(*line.split("=", 1))
    context.override_virtual_packages = json.loads(os.environ.get("STANDIN_OVERRIDES", "{}"))
    word, *rest = sys.argv[1:]
    if word == "info":
        print(json.dumps({"virtual_pkgs": manager.get_virtual_package_records()}))
        return 0
    if word == "list":
        return 0
    commands = {command.name: command for command in manager.get_hook_results("subcommands")}
    if word == "--help":
        print("\\n".join(f"{command.name}  {command.summary}" for command in commands.values()))
        return 0
    result = commands[word].action(tuple(rest))
    return result if isinstance(result, int) else 0

sys.exit(main())
'''


def make_conda(directory: Path, *, lazy: bool = True) -> Path:
    """A directory for PYTHONPATH with the package `conda` in it; `python -m conda` is the command."""
    files = {
        "__init__": "",
        "__main__": _CLI,
        "auxlib/__init__": _AUXLIB,
        "base/__init__": "",
        "base/context": _CONTEXT,
        "plugins/__init__": _PLUGINS,
        "plugins/hookspec": _HOOKSPEC,
        "plugins/manager": _MANAGER,
        "plugins/types": _LAZY_TYPES if lazy else _OLD_TYPES,
        "plugins/virtual_packages/__init__": "",
        "plugins/virtual_packages/cuda": _CUDA,
    }
    for name, text in files.items():
        path = directory / "conda" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), "utf-8")
    return directory
