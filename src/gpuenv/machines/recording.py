"""Write down what a computer answered, and let the recording answer in its place.

A recording is a JSON object: `{"recording": 1, "gpuenv": "0.1.0", "note": "...", "asked": [...]}`; each entry of
`asked` holds the question (a method of `Host`), what it was about (its arguments) and the answer. The same file is a
bug report, a test, a fleet entry and a machine to plan for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import gpuenv
from gpuenv._process import Completed
from gpuenv.errors import FormatError, RequestError, UnavailableError
from gpuenv.machines.host import Host, PlatformFacts
from gpuenv.machines.scrub import private_words, scrub
from gpuenv.model import Noun, from_json, to_json

__all__ = ["Asked", "RecordedHost", "Recording", "RecordingHost", "load_recording", "save_recording"]

RECORDING_VERSION = 1

_UNKNOWN_PLATFORM = PlatformFacts(system="Linux", machine="unknown")

_ANSWER_TYPES: dict[str, Any] = {
    "driver": Any,
    "environ": dict[str, str],
    "exists": bool,
    "find_library": tuple[str, ...],
    "listdir": tuple[str, ...] | None,
    "may_open": bool | None,
    "pci_device_name": str | None,
    "platform": PlatformFacts,
    "read_link": str | None,
    "read_registry": tuple[dict[str, str | int], ...] | None,
    "read_text": str | None,
    "run": Completed | None,
}

Question = tuple[str, tuple[str, ...]]


class Asked(Noun, frozen=True, kw_only=True):
    """One question with its answer as JSON."""

    question: str
    about: tuple[str, ...] = ()
    answer: Any = None


class Recording(Noun, frozen=True, kw_only=True):
    """The whole file. `note` says where it came from, for those who read it later."""

    recording: int
    gpuenv: str = ""
    note: str = ""
    asked: tuple[Asked, ...] = ()


class RecordingHost:
    """Passes every question on to another host and keeps it with its answer."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kept: dict[Question, Any] = {}

    def recording(self, *, note: str = "") -> Recording:
        """What was asked so far, in the order of the first asking. It may hold private names: see `scrub`."""
        asked = tuple(Asked(question=name, about=about, answer=kept) for (name, about), kept in self._kept.items())
        return Recording(recording=RECORDING_VERSION, gpuenv=gpuenv.__version__, note=note, asked=asked)

    def _keep(self, question: str, about: tuple[str, ...], answer: Any) -> Any:
        self._kept.setdefault((question, about), answer)
        return answer

    @property
    def environ(self) -> Mapping[str, str]:
        kept: Mapping[str, str] = self._keep("environ", (), dict(self._host.environ))
        return kept

    def platform(self) -> PlatformFacts:
        kept: PlatformFacts = self._keep("platform", (), self._host.platform())
        return kept

    def read_text(self, path: str) -> str | None:
        kept: str | None = self._keep("read_text", (path,), self._host.read_text(path))
        return kept

    def listdir(self, path: str) -> tuple[str, ...] | None:
        kept: tuple[str, ...] | None = self._keep("listdir", (path,), self._host.listdir(path))
        return kept

    def read_link(self, path: str) -> str | None:
        kept: str | None = self._keep("read_link", (path,), self._host.read_link(path))
        return kept

    def exists(self, path: str) -> bool:
        kept: bool = self._keep("exists", (path,), self._host.exists(path))
        return kept

    def may_open(self, path: str) -> bool | None:
        kept: bool | None = self._keep("may_open", (path,), self._host.may_open(path))
        return kept

    def run(self, command: tuple[str, ...]) -> Completed | None:
        kept: Completed | None = self._keep("run", command, self._host.run(command))
        return kept

    def driver(self, question: str) -> Any:
        return self._keep("driver", (question,), self._host.driver(question))

    def find_library(self, name: str) -> tuple[str, ...]:
        kept: tuple[str, ...] = self._keep("find_library", (name,), self._host.find_library(name))
        return kept

    def pci_device_name(self, vendor: str, device: str) -> str | None:
        kept: str | None = self._keep("pci_device_name", (vendor, device), self._host.pci_device_name(vendor, device))
        return kept

    def read_registry(self, key: str, names: tuple[str, ...]) -> tuple[dict[str, str | int], ...] | None:
        kept: tuple[dict[str, str | int], ...] | None = self._keep(
            "read_registry", (key, *names), self._host.read_registry(key, names)
        )
        return kept


class RecordedHost:
    """Answers from a recording. What was not asked then is not there; RequestError for answers of a wrong type."""

    def __init__(self, recording: Recording) -> None:
        self._answers = {(asked.question, asked.about): _typed_answer(asked) for asked in recording.asked}

    def _find(self, question: str, *about: str) -> Any:
        return self._answers.get((question, about))

    @property
    def environ(self) -> Mapping[str, str]:
        return self._find("environ") or {}

    def platform(self) -> PlatformFacts:
        return self._find("platform") or _UNKNOWN_PLATFORM

    def read_text(self, path: str) -> str | None:
        found: str | None = self._find("read_text", path)
        return found

    def listdir(self, path: str) -> tuple[str, ...] | None:
        found: tuple[str, ...] | None = self._find("listdir", path)
        return found

    def read_link(self, path: str) -> str | None:
        found: str | None = self._find("read_link", path)
        return found

    def exists(self, path: str) -> bool:
        return bool(self._find("exists", path))

    def may_open(self, path: str) -> bool | None:
        found: bool | None = self._find("may_open", path)
        return found

    def run(self, command: tuple[str, ...]) -> Completed | None:
        found: Completed | None = self._find("run", *command)
        return found

    def driver(self, question: str) -> Any:
        return self._find("driver", question)

    def find_library(self, name: str) -> tuple[str, ...]:
        return self._find("find_library", name) or ()

    def pci_device_name(self, vendor: str, device: str) -> str | None:
        found: str | None = self._find("pci_device_name", vendor, device)
        return found

    def read_registry(self, key: str, names: tuple[str, ...]) -> tuple[dict[str, str | int], ...] | None:
        found: tuple[dict[str, str | int], ...] | None = self._find("read_registry", key, *names)
        return found


def save_recording(path: Path, host: RecordingHost, *, note: str = "") -> None:
    """Write what `host` was asked to `path`, without names of users and computers; the old file or the new one
    stands there at any moment. UnavailableError when it cannot be written.
    """
    plain = msgspec.to_builtins(host.recording(note=note))
    text = to_json(scrub(plain, private_words())) + "\n"
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=path.name, suffix=".new", delete=False
        ) as file:
            temporary = file.name
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise UnavailableError(f"cannot write `{path}`", reasons=(error.strerror or str(error),)) from error


def load_recording(path: Path) -> RecordedHost:
    """The computer that was recorded in `path`; RequestError when it cannot be read or is no recording."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read `{path}`", reasons=(error.strerror or str(error),)) from error
    return RecordedHost(read_recording(text, name=str(path)))


def read_recording(text: bytes, *, name: str = "the text") -> Recording:
    """The recording written in `text`; RequestError, with `name` in it, when it is none."""
    try:
        recording = from_json(text, Recording)
    except FormatError as error:
        raise RequestError(f"`{name}` is not a recorded machine", reasons=(error.message,)) from error
    if recording.recording != RECORDING_VERSION:
        raise RequestError(
            f"`{name}` is a recording of version {recording.recording}; this gpuenv reads {RECORDING_VERSION}",
            hints=("record the machine again: `gpuenv info --record FILE`",),
        )
    return recording


def _typed_answer(asked: Asked) -> Any:
    if asked.question not in _ANSWER_TYPES:
        raise RequestError(f"a recorded machine cannot be asked `{asked.question}`")
    try:
        return msgspec.convert(asked.answer, _ANSWER_TYPES[asked.question])
    except msgspec.ValidationError as error:
        about = " ".join((asked.question, *asked.about))
        raise RequestError(f"the recorded answer to `{about}` is of a wrong type", reasons=(str(error),)) from error
