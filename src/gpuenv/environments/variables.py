"""The environment variables that the packages of an environment need."""

from __future__ import annotations

import re

from gpuenv.errors import FormatError
from gpuenv.model import Plan

__all__ = ["startup_lines", "variables_of"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variables_of(plan: Plan) -> dict[str, str]:
    """The variables of all packages, by name; a later package wins over an earlier one.

    FormatError for a name or value that no environment can hold.
    """
    found = {name: value for package in plan.packages for name, value in package.variables.items()}
    for name, value in found.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise FormatError(f"`{name}` cannot be set as an environment variable")
    return dict(sorted(found.items()))


def startup_lines(variables: dict[str, str]) -> str:
    """The text of a .pth file that sets `variables` at each start of Python where the user did not set them.

    Python runs the lines that begin with `import` (library reference, module site).
    """
    return "".join(f"import os; os.environ.setdefault({name!r}, {value!a})\n" for name, value in variables.items())
