"""Recipes of several outputs: what they require of each other, and how often each is built."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from gpuenv.recipes.build import build_channel
from recipes.little_recipes import HAS_NVCC, compile_gpu

LOW = ("sm_80", "compute_80")
needs_nvcc = pytest.mark.skipif(not HAS_NVCC, reason="needs `nvcc`")


@needs_nvcc
def test_outputs_that_pin_each_other_follow_the_new_names(tmp_path: Path) -> None:
    """A second output that requires exactly the build of the first still does after both have their new names, and
    has the CUDA library from there.
    """
    shared = compile_gpu(*LOW, runtime="shared")
    folder = tmp_path / "recipe"
    folder.mkdir()
    keys = {
        "variant": {"use_keys": ["cuda_compiler_version", "cuda_archs"]},
        "dynamic_linking": {"binary_relocation": False},
    }
    (folder / "variants.yaml").write_text("cuda_compiler_version: ['13.0']\ncuda_archs: ['80']\n")
    recipe = {
        "recipe": {"name": "demo", "version": "1.0"},
        "outputs": [
            {
                "package": {"name": "libdemo", "version": "1.0"},
                "build": {"script": [f"mkdir -p $PREFIX/lib && cp {shared} $PREFIX/lib/libdemo.so"], **deepcopy(keys)},
                "requirements": {"run": ["cuda-cudart >=13.0,<14.0a0"]},
            },
            {
                "package": {"name": "demo", "version": "1.0"},
                "build": {"script": ["mkdir -p $PREFIX/share && echo demo > $PREFIX/share/demo"], **deepcopy(keys)},
                "requirements": {"run": ['${{ pin_subpackage("libdemo", exact=true) }}']},
            },
        ],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    report = build_channel(folder, tmp_path / "channel")
    by_name = {one.name: one for one in report.packages}
    assert by_name["libdemo"].build.startswith("cuda130_")
    assert by_name["demo"].depends == (f"libdemo ==1.0 {by_name['libdemo'].build}",)
    assert by_name["demo"].build.startswith("cuda130_")


def test_an_output_that_uses_no_key_is_built_once(tmp_path: Path) -> None:
    """rattler-build renders a plain output once for each variant of the others, always as the same package."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "variants.yaml").write_text("flavour: ['a', 'b']\n")
    script = "mkdir -p $PREFIX/share && echo {} > $PREFIX/share/{}"
    recipe = {
        "recipe": {"name": "demo", "version": "1.0"},
        "outputs": [
            {"package": {"name": "libdemo"}, "build": {"script": [script.format("${{ flavour }}", "lib")]}},
            {"package": {"name": "demo-tools"}, "build": {"noarch": "generic", "script": [script.format("x", "tool")]}},
            {
                "package": {"name": "demo"},
                "requirements": {"run": ['${{ pin_subpackage("libdemo", exact=true) }}', "demo-tools"]},
            },
        ],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    report = build_channel(folder, tmp_path / "channel")
    assert sorted(one.name for one in report.packages) == ["demo", "demo", "demo-tools", "libdemo", "libdemo"]
    builds = {one.build for one in report.packages if one.name == "libdemo"}
    asked = {one.depends[0] for one in report.packages if one.name == "demo"}
    assert asked == {f"libdemo ==1.0 {build}" for build in builds}
