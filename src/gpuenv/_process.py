"""Run a program and keep what it said. The only module that imports `subprocess`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gpuenv.errors import UnavailableError

__all__ = ["Completed", "Dialogue", "replace_process", "run", "stream"]

_SECONDS_TO_DIE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a program left behind. `status` is None when its time ran out and it was ended."""

    status: int | None
    stdout: str
    stderr: str


def run(
    command: Sequence[str | Path],
    *,
    timeout_seconds: float | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text_input: str | None = None,
) -> Completed:
    """Run `command` to its end and return what it printed; UnavailableError when it cannot be started.

    With a time limit the whole process group is ended, so that a child of the child does not keep the pipes open.
    """
    process = _start(command, environ=environ, cwd=cwd, stdin=text_input is not None)
    try:
        stdout, stderr = process.communicate(text_input, timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        _end(process)
        return Completed(status=None, stdout="", stderr="")
    except BaseException:
        _end(process)
        raise
    return Completed(status=process.returncode, stdout=stdout, stderr=stderr)


def stream(
    command: Sequence[str | Path],
    *,
    on_line: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Completed:
    """Run `command`, calling `on_line` with each line of its standard error as it comes (its progress)."""
    process = _start(command, environ=environ, cwd=cwd, stdin=False, merge=True)
    lines: list[str] = []
    try:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.append(line)
                on_line(line.rstrip("\n"))
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    return Completed(status=status, stdout="", stderr="".join(lines))


class Dialogue:
    """A program that answers each line with one line. Leaving the context ends it, whatever it is doing.

    UnavailableError when it cannot be started. Its standard input ends with this process, however that ends.
    """

    def __init__(self, command: Sequence[str | Path], *, environ: Mapping[str, str] | None = None) -> None:
        self._process = _start(command, environ=environ, cwd=None, stdin=True, silent=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, line: str) -> str | None:
        """Its answer to `line`, without the end of the line; None when the program has ended or ends meanwhile."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (OSError, ValueError):
            # The pipe is broken, or another thread has ended the dialogue and closed it.
            return None
        return answer.removesuffix("\n") if answer.endswith("\n") else None

    def end(self) -> None:
        """Ends the program at once. Another thread that waits in `ask` gets None."""
        if self._process.returncode is None:
            _end(self._process)


def replace_process(command: Sequence[str | Path], environ: Mapping[str, str]) -> int:
    """Become `command`; on Windows, where a process cannot be replaced, run it and return its status."""
    words = [os.fspath(word) for word in command]
    try:
        if os.name == "nt":
            return subprocess.run(words, env=dict(environ), check=False).returncode
        os.execvpe(words[0], words, dict(environ))  # noqa: S606  (a list, never shell text)
    except OSError as error:
        raise _not_started(words[0], error) from error


def _start(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: bool,
    merge: bool = False,
    silent: bool = False,
) -> subprocess.Popen[str]:
    words = [os.fspath(word) for word in command]
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.DEVNULL if silent else subprocess.PIPE,
            env=None if environ is None else dict(environ),
            cwd=cwd,
            encoding="utf-8",
            errors="replace",
            start_new_session=os.name == "posix",
        )
    except OSError as error:
        raise _not_started(words[0], error) from error


def _end(process: subprocess.Popen[str]) -> None:
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (OSError, ProcessLookupError):
        pass
    try:
        process.wait(_SECONDS_TO_DIE)
    except subprocess.TimeoutExpired:
        # A process stuck in a broken driver cannot be ended before the driver lets it go; nobody waits for that.
        process.returncode = -signal.SIGKILL if os.name == "posix" else 1
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            # What was written and never taken cannot be flushed any more.
            with suppress(OSError):
                pipe.close()


def _not_started(program: str, error: OSError) -> UnavailableError:
    return UnavailableError(f"cannot run `{program}`", reasons=(error.strerror or str(error),))
