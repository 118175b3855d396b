"""Runs the build of one rendered variant, and says what went wrong when it fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gpuenv.errors import FormatError, ToolError
from gpuenv.recipes.rendering import Rendered

__all__ = ["compile_variant"]

_MOST_LINES = 12
# The last that rattler-build says before the script has the word, and the first after it.
_BEFORE_SCRIPT = "Successfully updated the host environment"
_AFTER_SCRIPT = "Script execution failed"


def compile_variant(rendered: Rendered, *, output: Path, channels: Sequence[str], log: Path) -> Path:
    """Builds a variant below `output` and gives its package; its log is added to the file `log`.

    ToolError with the last lines of the log where the build fails.
    """
    import rattler_build

    try:
        built = rendered.inner.run_build(output_dir=output, channels=list(channels), package_format="conda")
    except rattler_build.RattlerBuildError as error:
        lines = list(getattr(error, "log", None) or [str(error)])
        _append(log, rendered, lines)
        raise _failure(rendered, str(error), lines, log) from error
    _append(log, rendered, built.log)
    packages = [Path(path) for path in built.packages]
    if len(packages) != 1 or packages[0].suffix != ".conda":
        raise FormatError(f"rattler-build left no package of `{rendered.name}`", reasons=(f"its log is `{log}`",))
    return packages[0]


def _append(log: Path, rendered: Rendered, lines: Iterable[str]) -> None:
    with log.open("a", encoding="utf-8", errors="replace") as file:
        said = ", ".join(f"{key}={value}" for key, value in sorted(rendered.variant.items()))
        file.write(f"== {rendered.name} {rendered.version} {rendered.build} ({said})\n")
        file.writelines(f"{line}\n" for line in lines)


def _failure(rendered: Rendered, said: str, lines: Sequence[str], log: Path) -> ToolError:
    flat = [part for line in lines for part in line.splitlines()]
    start = max((at for at, line in enumerate(flat) if _BEFORE_SCRIPT in line), default=-1) + 1
    end = next((at for at, line in enumerate(flat) if _AFTER_SCRIPT in line), len(flat))
    told = [line.rstrip() for line in flat[start:end] if line.strip()]
    hints: tuple[str, ...] = ()
    if "resolve dependencies" in said:
        hints = ("packages to build with come from channels: name one with `-c`, or use compilers of this machine",)
    reason = said.removeprefix("PyRattlerBuildError: ")
    return ToolError(
        f"building {rendered.wish.label} of `{rendered.name} {rendered.version}` failed: "
        f"{reason[:1].lower()}{reason[1:]}",
        reasons=(*told[-_MOST_LINES:], f"the whole log is `{log}`"),
        hints=hints,
    )
