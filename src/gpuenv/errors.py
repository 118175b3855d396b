"""Every error that gpuenv raises at a user, with its exit code.

    GpuenvError             message, reasons, hints           exit code
    ├─ RequestError         asked for something senseless     2
    ├─ NoPlanError          a true answer: nothing fits       1
    ├─ IntegrityError       bytes or a prefix are not what    1
    │                       was promised
    ├─ FormatError          a file breaks its own format      3
    ├─ UnavailableError     network, index, disk, lock        3
    └─ ToolError            uv or rattler failed              3

An incompatibility is a `Finding`, never an exception: exceptions are for work that could not be done.
Anything else that escapes is our own defect and ends with exit code 70.
"""

from __future__ import annotations

__all__ = [
    "EXIT_BUG",
    "FormatError",
    "GpuenvError",
    "IntegrityError",
    "NoPlanError",
    "RequestError",
    "ToolError",
    "UnavailableError",
]

EXIT_BUG = 70


class GpuenvError(Exception):
    """Conclusion first (no full stop), then one line per reason with its evidence, then what to do about it.

    `details` is what a tool said in its own words, for those who ask for it (`--verbose`).
    """

    exit_code = 3
    code = "error"

    def __init__(
        self, message: str, *, reasons: tuple[str, ...] = (), hints: tuple[str, ...] = (), details: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reasons = reasons
        self.hints = hints
        self.details = details


class RequestError(GpuenvError):
    """The question itself is wrong: a bad spec, an unknown package or GPU, a broken machine file."""

    exit_code = 2
    code = "request"


class NoPlanError(GpuenvError):
    """Nothing that was asked for fits the machine. This is an answer, not a failure to find one."""

    exit_code = 1
    code = "no-plan"


class IntegrityError(GpuenvError):
    """A file, lock or prefix is not what it promised to be."""

    exit_code = 1
    code = "integrity"


class FormatError(GpuenvError):
    """Bytes or text break the format they claim to have."""

    exit_code = 3
    code = "format"


class UnavailableError(GpuenvError):
    """Something outside could not be reached or used: the index, the disk, a lock another process holds."""

    exit_code = 3
    code = "unavailable"


class ToolError(GpuenvError):
    """`uv` or rattler failed in a way that is no answer; the reasons carry its own last lines."""

    exit_code = 3
    code = "tool"
