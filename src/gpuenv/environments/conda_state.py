"""`conda-meta/state`, where conda keeps the variables that it sets when an environment is activated.

Format: conda's documentation, "Managing environments", and `conda/core/prefix_data.py` (`env_vars`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from gpuenv.environments.switch import write_whole

__all__ = ["conda_variables", "set_conda_variables"]

_UNSET = "***unset***"
_MOST_BYTES = 16 << 20


def conda_variables(prefix: Path) -> dict[str, str]:
    """The variables of a conda prefix: of its packages (`etc/conda/env_vars.d`), then the user's own.

    A file that is broken counts as if it were not there, as it does for conda's own activation.
    """
    found: dict[str, str] = {}
    directory = prefix / "etc" / "conda" / "env_vars.d"
    for place in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        found |= _strings(_read(place))
    own = _read(prefix / "conda-meta" / "state").get("env_vars")
    found |= _strings(own if isinstance(own, dict) else {})
    return {name: value for name, value in found.items() if value != _UNSET}


def set_conda_variables(prefix: Path, variables: Mapping[str, str]) -> None:
    """Add variables to those that are set when the environment is activated."""
    place = prefix / "conda-meta" / "state"
    state = _read(place)
    own = state.get("env_vars")
    state["env_vars"] = {**(own if isinstance(own, dict) else {}), **variables}
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, json.dumps(state, indent=2) + "\n")


def _read(place: Path) -> dict[str, object]:
    try:
        with place.open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _strings(found: Mapping[str, object]) -> dict[str, str]:
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, str) and name and "=" not in name and "\0" not in name + value
    }
