"""Builds one variant for another process: `python -I -S build_child.py`, run by `compiling`.

rattler-build holds the interpreter's lock as long as a compiler runs, draws on the terminal, and cannot be stopped; as
a process of its own it does none of that to whoever waits. The first line on standard input is a JSON list, the search
path for modules; the second a JSON object, what to build. The answer is written to the file that it names: the paths of
the packages, or the error, and the log.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Build what the input names."""
    sys.path[:] = json.loads(sys.stdin.readline())
    order = json.loads(sys.stdin.readline())
    answer = json.dumps(_build(order))
    Path(order["answer"]).write_text(answer, "utf-8")


def _build(order: dict[str, Any]) -> dict[str, Any]:
    import rattler_build

    from gpuenv.recipes.rendering import render_all

    variants = tuple(map(Path, order["variants"]))
    found, _ = render_all(Path(order["recipe"]), variants, platform=order["platform"], v3=order["v3"])
    try:
        built = found[order["place"]].run_build(
            output_dir=order["output"], channels=order["channels"], package_format="conda"
        )
    except rattler_build.RattlerBuildError as error:
        return {"packages": [], "error": str(error), "log": list(getattr(error, "log", None) or [str(error)])}
    return {"packages": [str(path) for path in built.packages], "error": None, "log": list(built.log)}


if __name__ == "__main__":
    main()
