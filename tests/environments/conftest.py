"""Fixtures: the little index, plans from it through the real `uv`, and child processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from environments.little_index import Child, Index, Listener, PlanMaker, PythonRunner, python_version, this_machine
from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import run_uv
from gpuenv.environments import layout
from gpuenv.model import LockedWheel, Plan, PlannedPackage, Request
from lone_uv import leave_alone


@pytest.fixture
def listener() -> Listener:
    """What a front end would hear."""
    return Listener()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index with alpha 1.0 and 2.0 (a console script, needs beta) and beta 1.0; uv is pointed at it alone."""
    leave_alone(monkeypatch, tmp_path / "uv-cache")
    made = Index(tmp_path / "index")
    monkeypatch.setenv("UV_DEFAULT_INDEX", made.url)
    monkeypatch.setenv("GPUENV_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    for version in ("1.0", "2.0"):
        text = (
            f"VERSION = {version!r}\ndef main():\n    import beta\n    print('alpha', VERSION, 'beta', beta.VERSION)\n"
        )
        made.wheel("alpha", version, files={"alpha.py": text}, requires=["beta"], scripts={"alpha-says": "alpha:main"})
    made.wheel("beta", "1.0")
    return made


@pytest.fixture
def plan_for(index: Index, tmp_path: Path) -> PlanMaker:
    """Makes the plan of some requirements through a real `uv pip compile`."""

    def make(
        *specs: str,
        interpreter: str = sys.executable,
        packages: tuple[PlannedPackage, ...] = (),
        source_packages: tuple[str, ...] = (),
        build_constraints: tuple[str, ...] = (),
        size_bytes: int | None = None,
    ) -> Plan:
        folder = tmp_path / "compile"
        folder.mkdir(exist_ok=True)
        (folder / "in.txt").write_text("".join(f"{spec}\n" for spec in specs))
        (folder / "build.txt").write_text("".join(f"{line}\n" for line in build_constraints))
        lock = folder / "pylock.toml"
        lock.unlink(missing_ok=True)
        command = ["pip", "compile", "--format", "pylock.toml", "--generate-hashes", "--python", interpreter]
        command += ["--no-header", "--only-binary", ":all:", "--build-constraints", "build.txt", "-o", lock.name]
        command += [word for name in source_packages for word in ("--no-binary", name)]
        completed = run_uv([*command, "in.txt"], cwd=folder)
        assert completed.status == 0, completed.stderr
        text = lock.read_text()
        return Plan(
            request=Request(specs=specs),
            machine=this_machine(),
            python=python_version(interpreter),
            interpreter=interpreter,
            packages=packages,
            wheels=tuple(
                LockedWheel(name=one.name, version=one.version or "", size_bytes=size_bytes) for one in read_lock(text)
            ),
            pylock=text,
            source_packages=source_packages,
            build_constraints=build_constraints,
        )

    return make


@pytest.fixture
def python_says() -> PythonRunner:
    """Runs a line of Python in an environment and returns what it printed."""

    def say(prefix: Path, code: str, environ: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [layout.python_of(prefix), "-c", code], capture_output=True, text=True, env=environ, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return say


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Starts child processes."""
    return Child(tmp_path)
