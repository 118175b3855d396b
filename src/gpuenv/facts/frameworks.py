"""GPU packages that others compute through: their names in both worlds and how they use a GPU.

The data is `frameworks.toml`, from the index's metadata and the projects' own installation guides.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path

from gpuenv.model import GpuSupport, Jit, Noun, from_builtins

__all__ = [
    "Framework",
    "find_framework",
    "framework_of_file",
    "framework_sources",
    "gpu_modules",
    "gpu_packages",
    "load_frameworks",
]


_FILE = re.compile(r"(?:lib)?(?P<name>\w+)\.(?:so(?:\.[\w.]+)?|dll)", re.ASCII)


class Framework(Noun, frozen=True, kw_only=True):
    """One GPU package, or several of one kind. `names` and `imports` are as `frameworks.toml` explains them.

    `jit` is what it hands to the driver when it compiles at run time without any file that shows it; `opens_driver`
    says that it computes on a GPU, and no file shows that. `cuda_major_in_version`: its own major is that of CUDA.
    `depends_for_cpu` marks packages that most users have for the CPU, so that a requirement says nothing about GPUs.
    `runs_without_gpu` says that its builds for the GPU run on the CPU too. `brings_cuda` says that it brings the CUDA
    libraries, `extras_bring_cuda` which of its extras do. `opens` are CUDA libraries that it opens by names which it
    puts together, so that no file shows them. `files` are its own libraries that other packages are linked with,
    without prefix and ending.
    """

    names: tuple[str, ...]
    imports: tuple[str, ...]
    gpu_support: GpuSupport
    jit: Jit | None = None
    opens_driver: bool = False
    cuda_major_in_version: bool = False
    depends_for_cpu: bool = False
    runs_without_gpu: bool = False
    brings_cuda: bool = False
    extras_bring_cuda: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    source: tuple[str, ...]


class _Table(Noun, frozen=True, kw_only=True):
    checked: str
    sources: dict[str, str]
    framework: tuple[Framework, ...]


@cache
def _table() -> _Table:
    text = (Path(__file__).parent / "frameworks.toml").read_text("utf-8")
    return from_builtins(tomllib.loads(text), _Table)


def framework_sources() -> dict[str, str]:
    """What the keys in `source` stand for."""
    return dict(_table().sources)


def load_frameworks() -> tuple[Framework, ...]:
    """All rows, in the order of the table."""
    return _table().framework


@cache
def _by_name() -> dict[str, Framework]:
    return {name: row for row in load_frameworks() for name in row.names if "*" not in name}


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Framework], ...]:
    return tuple(
        (re.compile(re.escape(name).replace(r"\*", "[a-z0-9-]*")), row)
        for row in load_frameworks()
        for name in row.names
        if "*" in name
    )


@lru_cache(maxsize=1 << 14)
def find_framework(name: str) -> Framework | None:
    """The GPU package of this distribution name, however it is spelled (`Torch`, `cupy_cuda12x`); None for others."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return _by_name().get(plain) or next((row for pattern, row in _patterns() if pattern.fullmatch(plain)), None)


@cache
def _by_file() -> dict[str, Framework]:
    return {file.lower(): row for row in load_frameworks() for file in row.files}


def framework_of_file(name: str) -> Framework | None:
    """The GPU package that a library of this file name (`libtorch_cuda.so`) is of; None for others."""
    found = _FILE.fullmatch(name)
    return _by_file().get(found["name"].lower()) if found else None


@cache
def gpu_modules() -> dict[str, Framework]:
    """The modules that GPU packages are imported as (`torch`, `numba.cuda`), each with its row."""
    return {module: row for row in load_frameworks() for module in row.imports}


@cache
def gpu_packages() -> frozenset[str]:
    """The top packages of those modules (`numba` for `numba.cuda`)."""
    return frozenset(module.partition(".")[0] for module in gpu_modules())
