"""Reads native files for another process: `python -I -S read_child.py`, run by `at_once`.

The first line on standard input is a JSON list, the search path for modules, and is answered with an empty line once
they are loaded. Each further line is a JSON list of files (where each lies, its path in the artifact) and is answered
with one line, an `at_once.Answer`. The end of the input ends it, so that it never outlives who asks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Answer until the input ends."""
    sys.path[:] = json.loads(sys.stdin.readline())
    from gpuenv.artifacts.at_once import Answer, read_one_file
    from gpuenv.model import to_json

    _say("")
    for line in sys.stdin:
        files = tuple(read_one_file(Path(place), path) for place, path in json.loads(line))
        _say(to_json(Answer(files=files), indent=0))


def _say(line: str) -> None:
    # Not as text, for which systems have encodings and line ends of their own.
    sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
