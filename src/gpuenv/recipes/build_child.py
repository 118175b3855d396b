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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rattler_build import RenderedVariant


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
    chosen = found[order["place"]]
    _keep_own_siblings(chosen)
    try:
        built = chosen.run_build(output_dir=order["output"], channels=order["channels"], package_format="conda")
    except rattler_build.RattlerBuildError as error:
        return {"packages": [], "error": str(error), "log": list(getattr(error, "log", None) or [str(error)])}
    return {"packages": [str(path) for path in built.packages], "error": None, "log": list(built.log)}


def _keep_own_siblings(chosen: RenderedVariant) -> None:
    """Leaves it the other outputs that it was rendered with.

    rattler-build (0.73) looks pins up by name among all outputs of all variants, and takes the last: each variant of a
    package would require the last variant of a library that it pins exactly.
    """
    pins = {name: (str(pin.version), pin.build_string) for name, pin in chosen.pin_subpackages.items()}
    own = chosen.recipe
    pins[own.package.name] = (str(own.package.version), str(own.build.string))
    chosen._siblings = [  # noqa: SLF001  (there is no public way to say it)
        one
        for one in chosen._siblings  # noqa: SLF001  (the same)
        if pins.get(one.recipe.package.name) in {None, (str(one.recipe.package.version), str(one.recipe.build.string))}
    ]


if __name__ == "__main__":
    main()
