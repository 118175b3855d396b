"""What a driver library answers: the JSON between the child process, a recording and the probe."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["DriverAnswer", "Failure", "FailureKind", "ListedGpu", "MigInstance", "read_answer"]


class FailureKind(StrEnum):
    """How a question to the driver failed."""

    MISSING = "missing"
    """There is no such library."""
    LOAD = "load"
    """The library is there but cannot be loaded."""
    ERROR = "error"
    """The library returned an error code."""
    HANG = "hang"
    """No answer within the time limit."""
    CRASH = "crash"
    """The library ended the process that called it."""
    START = "start"
    """The process that asks could not be started, or its answer could not be read."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer, or not the whole of it. `code` is NVML's or CUDA's own number."""

    kind: FailureKind
    text: str
    code: int | None = None


class MigInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG device; `profile` such as `1g.10gb`."""

    uuid: str | None = None
    profile: str | None = None
    memory_bytes: int | None = None


class ListedGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as a driver library lists it. `bus` is its PCI address, `device_id` vendor and device (`10de:2330`).

    `mig_enabled` None means that the GPU or the driver knows no MIG. `failure` tells which value it refused.
    """

    name: str | None = None
    uuid: str | None = None
    bus: str | None = None
    device_id: str | None = None
    capability: str | None = None
    memory_bytes: int | None = None
    mig_enabled: bool | None = None
    mig: tuple[MigInstance, ...] = ()
    failure: Failure | None = None


class DriverAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `library` is the file that was loaded; `cuda` as `cuDriverGetVersion` encodes it (12040).

    With `outside_loader_path` the library was found only in a known directory where CUDA programs do not look.
    """

    library: str | None = None
    outside_loader_path: bool = False
    version: str | None = None
    cuda: int | None = None
    gpus: tuple[ListedGpu, ...] = ()
    failure: Failure | None = None

    @property
    def is_good(self) -> bool:
        """Whether the library answered without an error."""
        return self.failure is None

    @property
    def is_missing(self) -> bool:
        """Whether there was no library to ask."""
        return self.failure is not None and self.failure.kind is FailureKind.MISSING


NOT_ASKED = DriverAnswer(failure=Failure(kind=FailureKind.MISSING, text="not asked: no sign of an NVIDIA driver"))
"""Stands for the answer where nothing hinted at a driver."""


def read_answer(value: Any) -> DriverAnswer:
    """The answer in JSON values; an answer of another shape counts as a failure. None means: no library."""
    if value is None:
        return NOT_ASKED
    try:
        return msgspec.convert(value, DriverAnswer)
    except msgspec.ValidationError as error:
        return DriverAnswer(failure=Failure(kind=FailureKind.START, text=f"unreadable answer: {error}"))
