"""`kill -9` at random moments of making and changing environments of conda packages, and commands at the same time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

import loopback_server
from environments.conda_prefixes import conda_plan
from environments.little_index import Child, Index, Listener, beside
from gpuenv import environments
from gpuenv.environments.conda_meta import missing_files, read_conda_meta
from gpuenv.errors import UnavailableError
from gpuenv.model import Plan, to_json
from little_channel import PLACEHOLDER, LittlePackage, make_channel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")

KILLS = 6
WORK = """
from pathlib import Path
from gpuenv import environments
from gpuenv.environments import switch
from gpuenv.model import Plan, Silence, from_json
plan = from_json(Path(PLAN).read_text(), Plan)
if STEPS:
    switch._exchange = lambda *_: False
print("begin", flush=True)
getattr(environments, VERB)(plan, Path(PREFIX), report=Silence())
print("end", flush=True)
"""


@pytest.fixture
def channel(tmp_path: Path, index: Index) -> Path:
    """A channel of one package in two versions, each of many files, and what it needs."""
    packages = [LittlePackage(name="base", files={f"share/base/{number}": "x" * 1000 for number in range(200)})]
    for version in ("1.0", "2.0"):
        files = {f"share/many/{number}": f"{version} {PLACEHOLDER}\n" for number in range(200)}
        packages.append(
            LittlePackage(
                name="many",
                version=version,
                files=files,
                prefix_files=dict.fromkeys(files, "text"),
                depends=["base"],
            )
        )
    return make_channel(tmp_path / "channel", packages)


def whole(prefix: Path) -> str | None:
    """Which version is there, all of whose files are; None for no environment."""
    if not prefix.exists():
        return None
    packages, problems = read_conda_meta(prefix)
    assert problems == ()
    assert [*missing_files(prefix, packages)] == []
    found = {one.locked.name: one.locked.version for one in packages}
    version = found["many"]
    texts = {path.read_text() for path in (prefix / "share" / "many").iterdir()}
    assert texts == {f"{version} {prefix}\n"}
    assert len([*(prefix / "share" / "base").iterdir()]) == 200
    planned = {one.name: one.version for one in environments.load(prefix).plan.conda}
    assert planned == found
    return version


def written(plan: Plan, path: Path) -> str:
    """The path of a file with the plan in it."""
    path.write_text(to_json(plan))
    return str(path)


def how_long(child: Child, **values: str) -> float:
    """Seconds from the beginning of the work in a child to its end."""
    process = child.start(WORK, **values)
    assert process.stdout
    assert process.stdout.readline() == "begin\n"
    begun = time.monotonic()
    assert process.stdout.readline() == "end\n", process.communicate()
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


def moments(seconds: float) -> list[float]:
    """Random moments, one in each part of `seconds`."""
    return [seconds * 1.05 * (part + random.random()) / KILLS for part in range(KILLS)]


def test_killed_creation(child: Child, channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed creation leaves nothing or all of it, whether its packages were in the cache or not."""
    plan = conda_plan(channel, "many")
    values = {"PLAN": written(plan, tmp_path / "plan.json"), "VERB": "create", "STEPS": ""}
    seconds = how_long(child, PREFIX=str(tmp_path / "first" / "env"), **values)
    for number, moment in enumerate(moments(seconds)):
        monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / f"cache{number}"))
        prefix = tmp_path / str(number) / "env"
        kill_after(child, moment, PREFIX=str(prefix), **values)
        found = whole(prefix)
        assert found in {None, "2.0"}
        environments.create(plan, prefix, report=Listener(), force=found is not None)
        assert whole(prefix) == "2.0"
        assert beside(prefix) == set()


@pytest.mark.parametrize("steps", ["", "yes"])
def test_killed_change(child: Child, channel: Path, tmp_path: Path, steps: str) -> None:
    """A killed change leaves the old environment or the new one, also where a switch takes two renames."""
    plans = {version: conda_plan(channel, f"many={version}") for version in ("1.0", "2.0")}
    files = {version: written(plan, tmp_path / f"{version}.json") for version, plan in plans.items()}
    prefix = tmp_path / "env"
    environments.create(plans["1.0"], prefix, report=Listener())
    (prefix / "mine.txt").write_text("mine")
    values = {"PREFIX": str(prefix), "VERB": "replace", "STEPS": steps}
    seconds = how_long(child, PLAN=files["2.0"], **values)
    now = "2.0"
    for moment in moments(seconds):
        goal = "1.0" if now == "2.0" else "2.0"
        kill_after(child, moment, PLAN=files[goal], **values)
        environments.load(prefix)
        found = whole(prefix)
        assert found in {now, goal}
        assert (prefix / "mine.txt").read_text() == "mine"
        now = found
        assert now
    environments.replace(plans["1.0"], prefix, report=Listener())
    assert whole(prefix) == "1.0"
    assert beside(prefix) == set()


def test_commands_at_the_same_time(child: Child, channel: Path, tmp_path: Path) -> None:
    """Several commands that make environments of the same packages at once share one cache and do not disturb it."""
    plan = conda_plan(channel, "many")
    values = {"PLAN": written(plan, tmp_path / "plan.json"), "VERB": "create", "STEPS": ""}
    processes = [child.start(WORK, PREFIX=str(tmp_path / f"env{number}"), **values) for number in range(4)]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert [whole(tmp_path / f"env{number}") for number in range(4)] == ["2.0"] * 4


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a channel, after `gate` is open, and breaks off in the middle where it is told to."""

    gate: threading.Event
    breaks = False

    def do_GET(self) -> None:
        """Answer."""
        self.gate.wait(60)
        if self.breaks and self.path.endswith(".conda"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that is overridden)
        """Say nothing."""


def test_from_a_server(channel: Path, tmp_path: Path) -> None:
    """Packages are fetched from a server; one that breaks off is an error, and the environment stays as it was."""

    class Handler(_Quiet):
        gate = threading.Event()

    Handler.gate.set()
    prefix = tmp_path / "env"
    with loopback_server.serving(partial(Handler, directory=str(channel))) as host:
        plan = conda_plan(channel, "many=1.0")
        text = to_json(plan).replace(channel.as_uri(), f"http://{host}")
        from gpuenv.model import from_json

        served = from_json(text, Plan)
        environments.create(served, prefix, report=Listener())
        assert whole(prefix) == "1.0"
        Handler.breaks = True
        other = from_json(to_json(conda_plan(channel, "many=2.0")).replace(channel.as_uri(), f"http://{host}"), Plan)
        with pytest.raises(UnavailableError, match="cannot fetch"):
            environments.replace(other, prefix, report=Listener())
        assert whole(prefix) == "1.0"


def test_place_that_is_read_only(channel: Path, tmp_path: Path) -> None:
    """Where nothing may be written the change is refused, with the reason."""
    if os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere")
    prefix = tmp_path / "closed" / "env"
    environments.create(conda_plan(channel, "many=1.0"), prefix, report=Listener())
    prefix.parent.chmod(0o555)
    try:
        with pytest.raises(UnavailableError, match="not writable"):
            environments.replace(conda_plan(channel, "many=2.0"), prefix, report=Listener())
        assert whole(prefix) == "1.0"
    finally:
        prefix.parent.chmod(0o755)


def test_unwritable_cache(channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is no directory is an error with its name, and no environment is left."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UnavailableError) as caught:
        environments.create(conda_plan(channel, "many"), tmp_path / "env", report=Listener())
    assert str(tmp_path / "file") in " ".join(caught.value.reasons)
    assert not (tmp_path / "env").exists()


def test_nothing_is_left_when_interrupted(child: Child, channel: Path, tmp_path: Path) -> None:
    """An interruption (Ctrl-C) while packages are fetched ends at once and leaves nothing."""

    class Handler(_Quiet):
        gate = threading.Event()

    prefix = tmp_path / "env"
    with loopback_server.serving(partial(Handler, directory=str(channel))) as host:
        text = to_json(conda_plan(channel, "many")).replace(channel.as_uri(), f"http://{host}")
        (tmp_path / "plan.json").write_text(text)
        process = child.start(WORK, PLAN=str(tmp_path / "plan.json"), VERB="create", STEPS="", PREFIX=str(prefix))
        assert process.stdout
        assert process.stdout.readline() == "begin\n"
        time.sleep(1.0)
        import signal

        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            Child.kill(process)
            pytest.fail("it did not end")
        finally:
            Handler.gate.set()
    assert not prefix.exists()
    assert beside(prefix) == set()
