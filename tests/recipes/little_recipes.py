"""Little recipes of which each variant installs one library that was compiled before, so that builds take no time."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

__all__ = ["HAS_NVCC", "LittleRecipe", "compile_cpu", "compile_gpu", "index_of", "paths_of"]

HAS_NVCC = shutil.which("nvcc") is not None
_KERNEL = """
__global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }
extern "C" int run(float *x) { twice<<<1, 32>>>(x); return 0; }
"""


@cache
def compile_cpu() -> Path:
    """A shared library of this computer's own compiler."""
    folder = Path(mkdtemp(prefix="little-"))
    (folder / "demo.c").write_text("int demo(void) { return 1; }\n")
    built = folder / "libdemo.so"
    subprocess.run(["cc", "-shared", "-fPIC", str(folder / "demo.c"), "-o", str(built)], check=True)
    return built


@cache
def compile_gpu(*targets: str, runtime: str = "static") -> Path:
    """A shared library with a kernel for targets such as `sm_80` and `compute_80`; `runtime` as `nvcc -cudart`."""
    folder = Path(mkdtemp(prefix="little-"))
    (folder / "demo.cu").write_text(_KERNEL)
    built = folder / "libdemo.so"
    gencode = []
    for target in targets:
        number = target.partition("_")[2]
        gencode += ["-gencode", f"arch=compute_{number},code={target}"]
    command = ["nvcc", "--threads", "2", "-shared", "-Xcompiler", "-fPIC", "-cudart", runtime, *gencode]
    subprocess.run([*command, str(folder / "demo.cu"), "-o", str(built)], check=True, capture_output=True)
    return built


@dataclass(frozen=True, kw_only=True)
class LittleRecipe:
    """A recipe of the package `demo`. `libraries` is what each variant installs, in the order of `cuda`; None installs
    a text file.
    """

    cuda: Sequence[str] = ("None",)
    architectures: Sequence[str] = ("",)
    libraries: Sequence[Path | None] = (None,)
    depends: Sequence[str] = ()
    gpu_depends: Sequence[str] = ()
    build: Mapping[str, Any] = field(default_factory=dict)
    subdir: str = "lib"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Writes recipe and variants; gives the directory."""
        folder.mkdir(parents=True, exist_ok=True)
        script = [f"mkdir -p $PREFIX/{self.subdir}", f"echo demo > $PREFIX/{self.subdir}/demo.txt"]
        for number, library in enumerate(self.libraries):
            if library is not None:
                copy = f"cp {library} $PREFIX/{self.subdir}/libdemo.so"
                condition = f'step == "{number}"'
                script.append({"if": condition, "then": copy})  # type: ignore[arg-type]
        recipe = {
            "package": {"name": "demo", "version": "1.0"},
            "build": {
                "number": 0,
                "script": script,
                # Otherwise `patchelf` must be there to give the libraries a search path.
                "dynamic_linking": {"binary_relocation": False},
                "variant": {"use_keys": ["step", "cuda_compiler_version", "cuda_archs"]},
                **self.build,
            },
            "requirements": {
                "run": [*self.depends, {"if": 'cuda_compiler_version != "None"', "then": list(self.gpu_depends)}],
                "run_exports": ["demo >=1"],
            },
            "about": {"license": "MIT", "summary": "a demo"},
            **self.extra,
        }
        variants = {
            "step": [str(number) for number in range(len(self.libraries))],
            "cuda_compiler_version": list(self.cuda),
            "cuda_archs": list(self.architectures),
            "zip_keys": [["step", "cuda_compiler_version", "cuda_archs"]],
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        (folder / "variants.yaml").write_text(yaml.safe_dump(variants, sort_keys=False))
        return folder


def index_of(package: Path) -> dict[str, Any]:
    """The `info/index.json` of a package."""
    return _info(package, "info/index.json")


def paths_of(package: Path) -> dict[str, Any]:
    """The `info/paths.json` of a package."""
    return _info(package, "info/paths.json")


def _info(package: Path, name: str) -> dict[str, Any]:
    from conda_package_streaming.package_streaming import stream_conda_component

    for archive, member in stream_conda_component(package, component="info"):
        if member.name == name:
            file = archive.extractfile(member)
            assert file is not None
            found: dict[str, Any] = json.load(file)
            return found
    raise AssertionError(f"{package} has no {name}")
