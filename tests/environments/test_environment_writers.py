"""Two commands that change one environment at once."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from environments.little_index import Child, Listener, PlanMaker, PythonRunner, beside
from gpuenv import environments
from gpuenv.environments import layout, locking
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import to_json

HOLD = """
import time
from pathlib import Path
from gpuenv.environments.locking import holding
with holding(Path(PREFIX), "changing"):
    print("held", flush=True)
    time.sleep(float(SECONDS))
"""

CREATE = """
from pathlib import Path
from gpuenv import environments
from gpuenv.errors import GpuenvError
from gpuenv.model import Plan, Silence, from_json
try:
    environments.create(from_json(Path(PLAN).read_text(), Plan), Path(PREFIX), report=Silence())
    print("made")
except GpuenvError as error:
    print(type(error).__name__, error.message)
"""


def held(child: Child, prefix: Path, *, seconds: float = 60) -> subprocess.Popen[str]:
    """A process that is changing the environment, for some seconds or until it is killed."""
    process = child.start(HOLD, PREFIX=str(prefix), SECONDS=str(seconds))
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_second_writer_is_told_who_is_first(
    child: Child, plan_for: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits a moment, then fails with the process that holds the environment, and has changed nothing."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    process = held(child, prefix)
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="another gpuenv is changing") as caught:
        environments.replace(plan_for("alpha"), prefix, report=Listener())
    assert locking.LOCK_WAIT_SECONDS <= time.monotonic() - begun < locking.LOCK_WAIT_SECONDS + 5
    assert re.match(rf"process {process.pid} has been changing it for \d+ s", caught.value.reasons[0])
    assert str(process.pid) in caught.value.hints[0]
    assert [one.name for one in environments.list_packages(prefix)] == ["beta"]
    Child.kill(process)
    environments.replace(plan_for("alpha"), prefix, report=Listener())
    assert beside(prefix) == set()


def test_short_work_of_another_is_waited_for(child: Child, plan_for: PlanMaker, tmp_path: Path) -> None:
    """When the first writer ends in time, the second one goes on."""
    prefix = tmp_path / "env"
    process = held(child, prefix, seconds=0.5)
    environments.create(plan_for("beta"), prefix, report=Listener())
    process.communicate()
    assert environments.load(prefix).problem is None


def test_two_creations_at_once_make_one_environment(
    child: Child, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """One of them makes it; the others say that it is being made or is there already."""
    prefix = tmp_path / "env"
    plan = tmp_path / "plan.json"
    plan.write_text(to_json(plan_for("alpha")))
    processes = [child.start(CREATE, PREFIX=str(prefix), PLAN=str(plan)) for _ in range(3)]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in processes)
    assert said.count("made") == 1
    assert all(one.startswith(("made", "RequestError there is", "UnavailableError another gpuenv")) for one in said)
    assert python_says(prefix, "import alpha; print(alpha.VERSION)") == "2.0"
    assert beside(prefix) == set()


def test_plan_made_from_an_older_state_is_refused(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A change that somebody else made while the plan was being made is not undone by it."""
    prefix = tmp_path / "env"
    seen = environments.create(plan_for("beta"), prefix, report=Listener())
    now = environments.replace(plan_for("alpha"), prefix, report=Listener(), seen=seen)
    with pytest.raises(UnavailableError, match="was changed") as caught:
        environments.replace(plan_for("beta"), prefix, report=Listener(), seen=seen)
    assert "again" in caught.value.hints[0]
    assert environments.load(prefix) == now
    environments.replace(plan_for("beta"), prefix, report=Listener(), seen=now)


def test_threads_exclude_each_other_too(tmp_path: Path) -> None:
    """The lock holds between two threads of one process."""
    prefix = tmp_path / "env"
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locking.holding(prefix, "changing"):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(30)
    with pytest.raises(UnavailableError) as caught, locking.holding(prefix, "changing", wait_seconds=0.1):
        pass
    assert f"process {os.getpid()}" in caught.value.reasons[0]
    leave.set()
    thread.join()
    with locking.holding(prefix, "changing", wait_seconds=0):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", [None, "{", '{"pid": 1, "host": "elsewhere", "doing": "creating", "since": "2020-01-01T00:00:00Z"}']
)
def test_holder_that_cannot_be_read_or_is_elsewhere(tmp_path: Path, text: str | None) -> None:
    """Without a readable note the second writer is still refused; a holder on another host is named with it."""
    prefix = tmp_path / "env"
    with locking.holding(prefix, "changing"):
        note = layout.holder_path(prefix)
        assert socket.gethostname() in note.read_text()
        note.unlink()
        if text:
            note.write_text(text)
        again = locking.holding(prefix, "changing", wait_seconds=0)
        with pytest.raises(UnavailableError, match="another gpuenv") as caught, again:
            pass
        assert caught.value.hints
        assert ("on `elsewhere`" in "".join(caught.value.reasons)) is bool(text and len(text) > 1)


def test_leftovers_of_others_wait_for_their_writer(child: Child, plan_for: PlanMaker, tmp_path: Path) -> None:
    """What lies beside an environment that somebody is changing is not touched; when nobody is, it goes."""
    busy = tmp_path / "busy"
    building = tmp_path / ".busy.gpuenv-new-00000000"
    building.mkdir()
    process = held(child, busy)
    environments.create(plan_for("beta"), tmp_path / "env", report=Listener())
    assert building.exists()
    Child.kill(process)
    environments.replace(plan_for("beta"), tmp_path / "env", report=Listener())
    assert not building.exists()


def test_readers_need_no_lock(child: Child, plan_for: PlanMaker, tmp_path: Path) -> None:
    """An environment that is being changed can be read and used meanwhile."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    process = held(child, prefix)
    begun = time.monotonic()
    assert [one.name for one in environments.list_packages(prefix)] == ["beta"]
    assert environments.export(prefix, environments.ExportFormat.JSON)
    assert time.monotonic() - begun < locking.LOCK_WAIT_SECONDS
    Child.kill(process)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file in the place of a lock")
def test_lock_that_cannot_be_made(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A directory in the place of the lock is the system's refusal, not a crash."""
    (tmp_path / ".env.gpuenv-lock").mkdir()
    with pytest.raises((UnavailableError, RequestError)):
        environments.create(plan_for("beta"), tmp_path / "env", report=Listener())
