"""gpuenv inside conda: the virtual package `__cuda_arch` and the subcommand `conda gpu`.

conda imports this module at each start (entry point group `conda`), so it imports nothing itself but what conda has
loaded already. Sources: CEP 46 for the virtual package; conda's documentation, "Plugins", for the hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

__all__ = ["conda_subcommands", "conda_virtual_packages"]

_NAME = "cuda_arch"
"""conda puts the underscores in front."""


def _marker() -> Callable[[Any], Any]:
    """What marks a function as a hook; without conda, or with one older than plugins (22.11), nothing does."""
    try:
        from conda.plugins import hookimpl
    except ImportError:
        return lambda function: function
    marker: Callable[[Any], Any] = hookimpl
    return marker


_hook = _marker()


@_hook
def conda_virtual_packages() -> Iterator[Any]:
    """`__cuda_arch`: the lowest compute capability of the GPUs here (CEP 46).

    It is found out when conda asks for its version; older ones want it at once. Where it cannot be told the
    package is absent. Another plugin that has it (conda itself may one day) goes first, since conda stops at two.
    """
    from conda.plugins.types import CondaVirtualPackage

    is_lazy = "override_entity" in getattr(CondaVirtualPackage, "__dataclass_fields__", {})
    if _is_provided_by_others(also_by_conda=is_lazy):
        return
    if is_lazy:
        yield CondaVirtualPackage(name=_NAME, version=_version_or_null, build="0")
    elif version := _version():
        yield CondaVirtualPackage(name=_NAME, version=version, build="0")


@_hook
def conda_subcommands() -> Iterator[Any]:
    """`conda gpu …`, which does what `gpuenv …` does."""
    from conda.plugins.types import CondaSubcommand

    yield CondaSubcommand(
        name="gpu", summary="Plan and make environments whose GPU packages run here (gpuenv).", action=_run_gpuenv
    )


def _run_gpuenv(words: Sequence[str]) -> int:
    """The exit code of gpuenv, which conda passes on. Its base installation is where conda's configuration is."""
    import os
    import sys
    from importlib import import_module

    # conda finds its own configuration without a variable; gpuenv runs inside it and should read the same.
    os.environ.setdefault("CONDA_ROOT", sys.prefix)
    code: int = import_module("gpuenv.cli.main").main(list(words))
    return code


def _version_or_null() -> Any:
    """The version, or what stands for `no such package` in conda."""
    from conda.auxlib import NULL

    return _version() or NULL


def _version() -> str | None:
    """The version of `__cuda_arch`, None where it is absent. Whatever goes wrong, nothing is raised into conda."""
    try:
        return _found_version()
    except Exception:
        # conda must work on where a driver, a file or gpuenv itself is broken.
        import logging

        logging.getLogger(__name__).debug("`__cuda_arch` could not be found out", exc_info=True)
        return None


def _found_version() -> str | None:
    cuda, capability = _override("cuda", r"(\d+(?:\.\d+)*)"), _override(_NAME, r"(\d+\.\d+)[af]?(?:=.*)?")
    if "" in {cuda, capability}:
        return None
    has_driver = True if cuda else _conda_finds_a_driver()
    if has_driver is False:
        return None
    return capability if has_driver and capability else _probed_version(cuda, capability)


@cache
def _probed_version(cuda: str | None, capability: str | None) -> str | None:
    """What is found here, once for each process: conda asks for its virtual packages several times."""
    import gpuenv

    overrides = {"CONDA_OVERRIDE_CUDA": cuda, "CONDA_OVERRIDE_CUDA_ARCH": capability}
    machine = gpuenv.probe_here(environ={name: value for name, value in overrides.items() if value})
    return next((version for name, version, _ in gpuenv.virtual_packages(machine) if name == f"__{_NAME}"), None)


def _override(name: str, shape: str) -> str | None:
    """What a user set in place of the truth, in a variable or in conda's configuration: empty for `absent`.

    None where nothing is set, or something that is no version.
    """
    import os
    import re

    told = os.environ.get(f"CONDA_OVERRIDE_{name.upper()}")
    if told is None:
        from conda.base.context import context

        told = (getattr(context, "override_virtual_packages", None) or {}).get(name)
    if told is None or not str(told).strip():
        return None if told is None else ""
    found = re.fullmatch(shape, str(told).strip(), re.ASCII)
    return found[1] if found else None


def _conda_finds_a_driver() -> bool | None:
    """Whether conda has `__cuda`, without which there is no `__cuda_arch`; None where it cannot be asked."""
    try:
        from conda.plugins.virtual_packages.cuda import cached_cuda_version
    except ImportError:
        return None
    # conda keeps the answer, which it needs for `__cuda` anyway.
    return bool(cached_cuda_version())


def _is_provided_by_others(*, also_by_conda: bool) -> bool:
    """Whether another plugin has the same virtual package."""
    try:
        from conda.base.context import context

        plugins = context.plugin_manager.list_name_plugin()
    except Exception:  # noqa: BLE001  (a conda that cannot tell its plugins is not to be stopped by this one)
        return False
    return any(
        _has_it(plugin)
        for name, plugin in plugins
        if plugin is not None
        and getattr(plugin, "__name__", None) != __name__
        and (also_by_conda or not name.startswith("conda.plugins."))
    )


def _has_it(plugin: Any) -> bool:
    hook = getattr(plugin, "conda_virtual_packages", None)
    if hook is None:
        return False
    try:
        return any(getattr(one, "name", None) == _NAME for one in hook())
    except Exception:  # noqa: BLE001  (conda tells of plugins that fail by itself)
        return False
