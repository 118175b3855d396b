"""Fixtures: an environment without the variables of this computer's GPUs, and the stand-in driver."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from machines.stub_driver import Setter, build_stubs


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the stand-ins for `libnvidia-ml.so.1` and `libcuda.so.1`."""
    return build_stubs(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def bare_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no program of this computer speaks of a GPU."""
    for name in list(os.environ):
        if name.startswith(("CUDA_", "NVIDIA_", "CONDA_", "STUB_", "LD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def stub_driver(stubs: Path, bare_environ: None, monkeypatch: pytest.MonkeyPatch) -> Setter:
    """The stand-in driver on the loader's path; call it with the settings to give it (see `stubs/nvml.c`)."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stubs))

    def give(**settings: str) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"STUB_{name}", value)

    return give
