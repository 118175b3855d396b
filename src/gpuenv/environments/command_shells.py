"""How commands are written for the shell of a machine: POSIX shells, or PowerShell where the machine is Windows."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuenv.model import OperatingSystem

__all__ = ["Shell", "shell_of"]

_WIDTH = 100
# What stands for itself as a word in PowerShell and in cmd.
_PLAIN_WORD = re.compile(r"[\w./:\\+-][\w./:\\+=-]*", re.ASCII)


class Shell(ABC):
    """Writes words, files and variables as one shell reads them."""

    is_windows = False

    @abstractmethod
    def quote(self, word: str) -> str:
        """One word that the shell hands on as it is."""

    @abstractmethod
    def line(self, words: Sequence[str]) -> str:
        """One command."""

    @abstractmethod
    def set_variable(self, name: str, value: str) -> str:
        """The command that sets a variable for all that is started afterwards."""

    @abstractmethod
    def run_with(self, variables: Mapping[str, str], words: Sequence[str]) -> Iterator[str]:
        """One command with variables of its own."""

    @abstractmethod
    def write_file(self, name: str, lines: Iterable[str]) -> Iterator[str]:
        """The lines that write a file into the current directory."""


def shell_of(system: OperatingSystem) -> Shell:
    """The shell that people have on a system."""
    return _PowerShell() if system is OperatingSystem.WINDOWS else _Posix()


class _Posix(Shell):
    def quote(self, word: str) -> str:
        return shlex.quote(word)

    def line(self, words: Sequence[str]) -> str:
        rows: list[str] = []
        for word in map(self.quote, words):
            if rows and len(rows[-1]) + len(word) < _WIDTH - 2:
                rows[-1] += f" {word}"
            else:
                rows.append(f"    {word}" if rows else word)
        return " \\\n".join(rows)

    def set_variable(self, name: str, value: str) -> str:
        return f"export {name}={self.quote(value)}"

    def run_with(self, variables: Mapping[str, str], words: Sequence[str]) -> Iterator[str]:
        before = "".join(f"{name}={self.quote(value)} " for name, value in variables.items())
        yield before + self.line(words)

    def write_file(self, name: str, lines: Iterable[str]) -> Iterator[str]:
        yield f"cat > {self.quote(name)} <<'END_OF_GPUENV_FILE'"
        yield from lines
        yield "END_OF_GPUENV_FILE"


class _PowerShell(Shell):
    is_windows = True

    def quote(self, word: str) -> str:
        if _PLAIN_WORD.fullmatch(word):
            return word
        # Double quotes suit cmd as well; single ones hand on what PowerShell would replace within double ones.
        if not set('"$`') & set(word):
            return f'"{word}"'
        return "'" + word.replace("'", "''") + "'"

    def line(self, words: Sequence[str]) -> str:
        return " ".join(map(self.quote, words))

    def set_variable(self, name: str, value: str) -> str:
        return f"$env:{name} = {self._text(value)}"

    def run_with(self, variables: Mapping[str, str], words: Sequence[str]) -> Iterator[str]:
        yield from (self.set_variable(name, value) for name, value in variables.items())
        yield self.line(words)
        if variables:
            yield "Remove-Item " + ", ".join(f"Env:{name}" for name in variables)

    def write_file(self, name: str, lines: Iterable[str]) -> Iterator[str]:
        texts = ", ".join(self._text(line) for line in lines)
        yield f"Set-Content -Encoding ascii -Path {self.quote(name)} -Value {texts}"

    @staticmethod
    def _text(value: str) -> str:
        return "'" + value.replace("'", "''") + "'"
