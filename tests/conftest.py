"""What holds for all tests: the catalog is the one in the package, whatever copy of it the user here has."""

from __future__ import annotations

import os
import tempfile

import pytest

from gpuenv.channels.catalog.releases import own_copy


def pytest_configure(config: pytest.Config) -> None:
    """Has the user's own copy of the catalog looked for in an empty directory, before any test is collected."""
    before = os.environ.get("GPUENV_DATA_DIR")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["GPUENV_DATA_DIR"] = empty
        own_copy()
    if before is None:
        del os.environ["GPUENV_DATA_DIR"]
    else:
        os.environ["GPUENV_DATA_DIR"] = before
