"""`kill -9` at random moments of an installation into somebody else's environment, and of its undo."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from environments.little_index import Child, Listener, this_machine
from environments.test_environment_kills import moments
from environments.test_foreign_install import everything, made_venv
from gpuenv.environments import foreign_journal, foreign_layout
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_plan import plan_into
from gpuenv.environments.foreign_undo import undo_install
from gpuenv.errors import IntegrityError
from lone_uv import alone_with

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")

KILLS = 4
PACKAGES = 20

WORK = """
from pathlib import Path
from environments.little_index import this_machine
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_plan import plan_into
from gpuenv.environments.foreign_undo import undo_install
from gpuenv.model import Silence
prefix = Path(PREFIX)
if VERB == "undo":
    print("begin", flush=True)
    undo_install(prefix, report=Silence())
else:
    preview = plan_into(("everything>=2",), prefix, machine=this_machine(), report=Silence())
    print("begin", flush=True)
    install_into(preview, report=Silence())
print("end", flush=True)
"""


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A venv with one release of many distributions, of each of which there is a newer one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    with alone_with(monkeypatch, tmp_path / "uv-cache") as index:
        monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
        names = [f"part{number}" for number in range(PACKAGES)]
        for version in ("1.0", "2.0"):
            for name in names:
                index.add(name, version)
            index.add("everything", version, requires=[f"{name}=={version}" for name in names])
        yield made_venv(tmp_path / "venv", "everything==1.0")


def seconds_of(child: Child, verb: str, prefix: Path) -> float:
    """How long the work takes from its beginning to its end."""
    process = begun(child, verb, prefix)
    start = time.monotonic()
    assert process.stdout
    assert process.stdout.readline() == "end\n", process.communicate()
    seconds = time.monotonic() - start
    process.communicate()
    return seconds


def begun(child: Child, verb: str, prefix: Path) -> subprocess.Popen[str]:
    """A child that has begun its work."""
    process = child.start(WORK, VERB=verb, PREFIX=str(prefix))
    assert process.stdout
    assert process.stdout.readline() == "begin\n", process.communicate()
    return process


def test_killed_installation(child: Child, venv: Path) -> None:
    """A killed installation has done nothing, or all, or leaves a journal: the next command says so and how to undo it;
    the undo brings back every byte.
    """
    before = everything(venv)
    seconds = seconds_of(child, "install", venv)
    undo_install(venv, report=Listener())
    assert everything(venv) == before
    said: IntegrityError | None = None
    for moment in moments(KILLS, seconds * 1.05):
        process = begun(child, "install", venv)
        time.sleep(moment)
        Child.kill(process)
        try:
            preview = plan_into(("everything>=2",), venv, machine=this_machine(), report=Listener())
            if preview.is_empty:
                undo_install(venv, report=Listener())
        except IntegrityError as error:
            said = error
            undo_install(venv, report=Listener())
        assert everything(venv) == before
        assert foreign_journal.read_journal(venv) is None
    assert said, "no kill hit the installation itself"
    assert "was interrupted" in said.message
    assert f"`gpuenv install --undo -p {venv}`" in said.hints[0]
    install_into(plan_into(("everything>=2",), venv, machine=this_machine(), report=Listener()), report=Listener())
    assert [path.name for path in venv.iterdir() if foreign_layout.is_own(path.name)] == [".gpuenv-undo"]


def test_killed_undo(child: Child, venv: Path) -> None:
    """A killed undo can be begun again, and the end is the same."""
    before = everything(venv)
    seconds_of(child, "install", venv)
    seconds = seconds_of(child, "undo", venv)
    for moment in moments(KILLS, seconds):
        seconds_of(child, "install", venv)
        process = begun(child, "undo", venv)
        time.sleep(moment)
        Child.kill(process)
        if foreign_journal.read_journal(venv) is not None:
            undo_install(venv, report=Listener())
        assert everything(venv) == before


def test_ctrl_c(child: Child, venv: Path) -> None:
    """Ctrl-C while files are put in place leaves the journal; before that, it leaves nothing."""
    before = everything(venv)
    seconds = seconds_of(child, "install", venv)
    undo_install(venv, report=Listener())
    for part in (0.1, 0.6):
        process = begun(child, "install", venv)
        time.sleep(seconds * part)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        if foreign_journal.read_journal(venv) is not None:
            undo_install(venv, report=Listener())
        assert everything(venv) == before
