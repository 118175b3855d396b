"""How errors look on a terminal and in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

LONG = "no_such_recipe/" * 3 + "that has several words in its name and so is wider than any line of a terminal is"


def test_errors_fit_a_terminal() -> None:
    """Words go to the next line, under the first, where somebody looks; in a pipe a message is one line."""
    command = [sys.executable, "-m", "gpuenv", "channel", "index", LONG]
    environ = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    piped = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert piped.returncode == 2
    assert piped.stderr.splitlines() == [f"error: there is no directory `{LONG}`"]
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=theirs, check=False)
        shown = os.read(ours, 1 << 16).decode().splitlines()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert len(shown) > 1
    assert max(map(len, shown)) <= 80
    assert shown[0].startswith("error: there is no directory")
    assert all(line.startswith(" " * 7) for line in shown[1:])
    assert " ".join(line.strip() for line in shown) == piped.stderr.strip()
