"""Whether the Python package index can be asked from here, for the few tests that need it."""

from __future__ import annotations

from functools import cache

import pytest

from gpuenv.channels.uv import run_uv


@cache
def _answers() -> str:
    """Empty when the index answers, else what uv said of it."""
    done = run_uv(["pip", "compile", "-", "--no-header", "--quiet", "--no-cache"], text_input="iniconfig==2.1.0\n")
    return "" if done.status == 0 else done.stderr.strip().splitlines()[0]


def require_index() -> None:
    """Skip the test, with the reason, where the index does not answer."""
    reason = _answers()
    if reason:
        pytest.skip(f"the package index does not answer here: {reason}")
