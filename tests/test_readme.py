"""Every command of the README is run and prints what the README shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from index_at_hand import require_index

README = Path(__file__).parent.parent / "README.md"
BIN = Path(sys.executable).parent
# The day on which the outputs were taken; the index answers as it did then.
TAKEN = "2026-11-24T00:00:00Z"
HERE_ONLY = ("gpuenv create", "gpuenv run", "gpuenv list", "gpuenv env")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def shown_commands() -> list[list[tuple[str, str]]]:
    """For each console block its commands, each with the output that is shown after it."""
    found = []
    for block in blocks("console"):
        parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
        found.append(list(zip(parts[1::2], parts[2::2], strict=True)))
    return found


def run(command: str, directory: Path) -> str:
    """What a command prints, standard output and error together."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GPUENV_", "CONDA_"))}
    environ |= {"PATH": f"{BIN}{os.pathsep}{environ['PATH']}", "UV_EXCLUDE_NEWER": TAKEN, "COLUMNS": "80"}
    # Whether projects' own indexes can be reached is no matter of the README.
    environ |= {"GPUENV_INDEX_PYTORCH": "", "GPUENV_INDEX_PADDLE": ""}
    done = subprocess.run(
        shlex.split(command),
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.network
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the outputs were taken with Python 3.11")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the outputs were taken on Linux")
@pytest.mark.parametrize("commands", shown_commands(), ids=lambda commands: shlex.split(commands[0][0])[1])
def test_commands_print_what_the_readme_shows(commands: list[tuple[str, str]], tmp_path: Path) -> None:
    """The commands of one block, run one after the other in an empty directory, print what stands there."""
    if any(command.startswith(HERE_ONLY) for command, _ in commands) and Path("/proc/driver/nvidia").exists():
        pytest.skip("the outputs were taken on a machine without a GPU")
    if any(command.split()[1] in {"plan", "create", "inspect", "check"} for command, _ in commands):
        require_index()
    for command, shown in commands:
        assert run(command, tmp_path) == shown, command


def test_python_in_the_readme_runs(tmp_path: Path) -> None:
    """The Python block runs and names the release that the first screen shows."""
    require_index()
    (block,) = blocks("python")
    script = tmp_path / "example.py"
    script.write_text(block)
    assert run(f"{shlex.quote(sys.executable)} {script}", tmp_path) == "pytorch 2.10.0 works\n"


def test_make_targets_in_the_readme_exist() -> None:
    """Each `make` command of the README is a target of the Makefile."""
    targets = set(re.findall(r"^(\w+):", (README.parent / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for block in blocks("sh") for line in block.splitlines() if line.startswith("make ")}
    assert named == {"demo", "test"} <= targets
