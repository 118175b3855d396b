"""`kill -9` at random moments of a real creation or change, and what the next command finds."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from environments.little_index import Child, Index, IndexHandler, Listener, PlanMaker, PythonRunner, beside, serving
from gpuenv import environments
from gpuenv.environments import layout
from gpuenv.model import Plan, to_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")

KILLS = 12

WORK = """
from pathlib import Path
from gpuenv import environments
from gpuenv.environments import switch
from gpuenv.model import Plan, Silence, from_json
plan = from_json(Path(PLAN).read_text(), Plan)
if STEPS:
    switch._exchange = lambda *_: False
print("begin", flush=True)
if VERB == "remove":
    environments.remove(Path(PREFIX))
else:
    getattr(environments, VERB)(plan, Path(PREFIX), report=Silence())
print("end", flush=True)
"""


def written(plan: Plan, path: Path) -> str:
    """The path of a file with the plan in it."""
    path.write_text(to_json(plan))
    return str(path)


def whole(prefix: Path, python_says: PythonRunner) -> str | None:
    """Which environment is there, asked of its Python, its metadata, its state and its scripts; None for none."""
    if not prefix.exists():
        return None
    version = python_says(prefix, "import alpha, beta; print(alpha.VERSION)")
    assert [(one.name, one.version) for one in environments.list_packages(prefix)] == [
        ("alpha", version),
        ("beta", "1.0"),
    ]
    assert environments.load(prefix).plan.wheels[0].version == version
    assert environments.foreign_packages(prefix) == ()
    assert (layout.scripts_of(prefix) / "alpha-says").exists()
    return version


def moments(count: int, seconds: float) -> list[float]:
    """Random moments, one in each of `count` equal parts of `seconds`."""
    return [seconds * (part + random.random()) / count for part in range(count)]


def how_long(child: Child, **values: str) -> float:
    """Seconds from the beginning of the work in a child to its end."""
    process = child.start(WORK, **values)
    assert process.stdout
    assert process.stdout.readline() == "begin\n"
    begun = time.monotonic()
    assert process.stdout.readline() == "end\n"
    seconds = time.monotonic() - begun
    process.communicate()
    return seconds


def kill_after(child: Child, seconds: float, **values: str) -> None:
    """Begin the work in a child and kill it after some seconds."""
    process = child.start(WORK, **values)
    assert process.stdout
    assert process.stdout.readline() == "begin\n"
    time.sleep(seconds)
    Child.kill(process)


def test_killed_creation(child: Child, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner) -> None:
    """A killed creation leaves nothing or all of it; the next creation works and clears what was left."""
    plan = plan_for("alpha")
    values = {"PLAN": written(plan, tmp_path / "plan.json"), "VERB": "create", "STEPS": ""}
    seconds = how_long(child, PREFIX=str(tmp_path / "first" / "env"), **values)
    for number, moment in enumerate(moments(KILLS, seconds * 1.05)):
        prefix = tmp_path / str(number) / "env"
        kill_after(child, moment, PREFIX=str(prefix), **values)
        found = whole(prefix, python_says)
        assert found in {None, "2.0"}
        environments.create(plan, prefix, report=Listener(), force=found is not None)
        assert whole(prefix, python_says) == "2.0"
        assert beside(prefix) == set()


@pytest.mark.parametrize("steps", ["", "yes"])
def test_killed_change(
    child: Child, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner, steps: str
) -> None:
    """A killed change leaves the old environment or the new one, also where a switch takes two renames."""
    plans = {"1.0": plan_for("alpha<2"), "2.0": plan_for("alpha")}
    files = {version: written(plan, tmp_path / f"{version}.json") for version, plan in plans.items()}
    prefix = tmp_path / "env"
    environments.create(plans["1.0"], prefix, report=Listener())
    values = {"PREFIX": str(prefix), "VERB": "replace", "STEPS": steps}
    seconds = how_long(child, PLAN=files["2.0"], **values)
    now = "2.0"
    for moment in moments(KILLS, seconds * 1.05):
        goal = "1.0" if now == "2.0" else "2.0"
        kill_after(child, moment, PLAN=files[goal], **values)
        environments.load(prefix)
        found = whole(prefix, python_says)
        assert found in {now, goal}
        now = found
        assert now
    environments.replace(plans["1.0"], prefix, report=Listener())
    assert whole(prefix, python_says) == "1.0"
    assert beside(prefix) == set()


def test_killed_removal(child: Child, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner) -> None:
    """A killed removal leaves the environment or nothing; any later command in that directory clears the rest."""
    plan = plan_for("alpha")
    values = {"PLAN": written(plan, tmp_path / "plan.json"), "VERB": "remove", "STEPS": ""}
    environments.create(plan, tmp_path / "first", report=Listener())
    seconds = how_long(child, PREFIX=str(tmp_path / "first"), **values)
    for number, moment in enumerate(moments(4, seconds)):
        prefix = tmp_path / "all" / f"env{number}"
        environments.create(plan, prefix, report=Listener())
        kill_after(child, moment, PREFIX=str(prefix), **values)
        assert whole(prefix, python_says) in {None, "2.0"}
    environments.create(plan, tmp_path / "all" / "other", report=Listener())
    assert [path.name for path in (tmp_path / "all").iterdir() if "-old-" in path.name or "-new-" in path.name] == []


class _Slow(IndexHandler):
    """Serves the index, but a wheel only when `gate` is open."""

    gate = threading.Event()
    asked = threading.Event()

    def do_GET(self) -> None:  # noqa: N802  (the name that is overridden)
        if self.path.endswith(".whl"):
            self.asked.set()
            self.gate.wait(60)
        super().do_GET()


@pytest.fixture
def slow(index: Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Slow]]:
    """The index over loopback HTTP, which holds wheels back until its gate is opened."""

    class Handler(_Slow):
        gate = threading.Event()
        asked = threading.Event()

    with serving(index, Handler) as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        yield Handler
        Handler.gate.set()


def test_downloader_that_outlives_its_maker_is_ended(
    child: Child, slow: type[_Slow], plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """When gpuenv is killed during a download, the next command ends the `uv` left over and clears its directory."""
    slow.gate.set()
    plan = plan_for("alpha")
    slow.gate.clear()
    slow.asked.clear()
    prefix = tmp_path / "env"
    values = {"PLAN": written(plan, tmp_path / "plan.json"), "VERB": "create", "STEPS": "", "PREFIX": str(prefix)}
    process = child.start(WORK, **values)
    assert slow.asked.wait(60)
    Child.kill(process)
    assert not prefix.exists()
    orphans = [one for one in psutil.process_iter(["cmdline"]) if f"{tmp_path}/.env.gpuenv-new" in _words(one)]
    assert len(orphans) == 1
    slow.gate.set()
    environments.create(plan, prefix, report=Listener())
    assert whole(prefix, python_says) == "2.0"
    assert not orphans[0].is_running() or orphans[0].status() == psutil.STATUS_ZOMBIE
    time.sleep(0.2)
    assert beside(prefix) == set()


def _words(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or ())
