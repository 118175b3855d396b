"""What a user says of the GPU, of degraded builds and of indexes, from the command line to the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lone_uv import alone_with
from loopback_index import LoopbackIndex

Run = Callable[..., subprocess.CompletedProcess[str]]
POLICIES = ("--gpu", "never", "--allow-degraded", "--index-policy", "pypi")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackIndex]:
    """An index with two small packages, the only one that `uv` knows."""
    for name in ("VIRTUAL_ENV", "NO_COLOR", "GPUENV_MACHINE"):
        monkeypatch.delenv(name, raising=False)
    with alone_with(monkeypatch, tmp_path / "uv-cache") as made:
        for name in ("data", "cache"):
            monkeypatch.setenv(f"GPUENV_{name.upper()}_DIR", str(tmp_path / name))
        made.add("alpha", "1.0")
        made.add("beta", "1.0")
        yield made


@pytest.fixture
def gpuenv(index: LoopbackIndex, tmp_path: Path) -> Run:
    """Run the program in an empty directory."""
    del index
    place = tmp_path / "work"
    place.mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpuenv", *words]
        done = subprocess.run(
            command, cwd=place, env=os.environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def policies(text: str) -> tuple[object, ...]:
    """The policies of the plan that was printed."""
    request = json.loads(text)["request"]
    return request["gpu"], request["allow_degraded"], request["indexes"]


def test_an_environment_is_made_and_changed_under_its_policies(gpuenv: Run) -> None:
    """`create` takes those of `plan`, and `install` keeps them."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = ("create", "-p", "env", "alpha", "--python", python, "--json")
    made = gpuenv(*words, *POLICIES)
    assert made.returncode == 0, made.stderr
    assert policies(made.stdout) == ("never", True, "pypi")
    changed = gpuenv("install", "-p", "env", "beta", "--json")
    assert changed.returncode == 0, changed.stderr
    assert policies(changed.stdout) == ("never", True, "pypi")
    refused = gpuenv("create", "-p", "other", "xgboost", "--gpu", "require", "-m", "gpu=none")
    assert refused.returncode == 1
    assert not Path("other").exists()


def test_a_lock_without_a_project_file_takes_a_policy_that_is_said(gpuenv: Run, tmp_path: Path) -> None:
    """Also the usual one, which takes another back; what is not said stays."""

    def locked(*words: str) -> str:
        done = gpuenv("lock", *words)
        assert done.returncode == 0, done.stderr
        request = json.loads((tmp_path / "work" / "gpuenv.lock").read_text())["request"]
        return str(request["gpu"])

    assert locked("alpha", "-m", "gpu=none", "--index-policy", "pypi") == "prefer"
    asked = gpuenv("lock", "--check", "--gpu", "never")
    assert asked.returncode == 1
    assert "`gpu` is never in what is asked for and prefer in the lock" in asked.stdout
    assert locked("--gpu", "never") == "never"
    assert locked() == "never"
    assert locked("--gpu", "prefer") == "prefer"


def test_a_project_file_is_not_overruled(gpuenv: Run, tmp_path: Path) -> None:
    """An option that says otherwise is refused, be it the usual value."""
    text = 'packages = ["alpha"]\nmachines = ["gpu=none"]\ngpu = "never"\nindex-policy = "pypi"\n'
    (tmp_path / "work" / "gpuenv.toml").write_text(text)
    assert gpuenv("lock").returncode == 0
    assert gpuenv("lock", "--gpu", "never").returncode == 0
    refused = gpuenv("lock", "--gpu", "prefer")
    assert refused.returncode == 2
    assert "an option says `gpu` otherwise: prefer" in refused.stderr


def test_here_is_this_machine(gpuenv: Run) -> None:
    """The word of project files names it for every verb that takes a machine."""
    locked = gpuenv("lock", "alpha", "-m", "here", "--index-policy", "pypi")
    assert locked.returncode == 0, locked.stderr
    done = gpuenv("export", "--lock", "-m", "here")
    assert (done.returncode, "alpha==1.0" in done.stdout) == (0, True), done.stderr
    assert gpuenv("sync", "-m", "here", "--dry-run").returncode == 0
    planned = gpuenv("plan", "alpha", "-m", "here", "--index-policy", "pypi", "--json")
    assert json.loads(planned.stdout)["machine"]["name"] == "this machine"


def test_the_hint_for_a_stale_lock_names_the_lock(gpuenv: Run, tmp_path: Path) -> None:
    """Where it is not the usual one, `gpuenv lock` alone would make another."""
    file = tmp_path / "work" / "wishes.txt"
    file.write_text("alpha\n")
    assert gpuenv("lock", "-r", "wishes.txt", "--lock", "my.lock", "--index-policy", "pypi").returncode == 0
    file.write_text("alpha\nbeta\n")
    for words in (("sync", "--lock", "my.lock"), ("lock", "--lock", "my.lock", "--check")):
        done = gpuenv(*words)
        assert done.returncode == 1
        assert "`gpuenv lock --lock my.lock`" in done.stdout + done.stderr
