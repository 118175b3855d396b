"""Packages that were read and carry no GPU code."""

from __future__ import annotations

import re
from datetime import date

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from gpuenv.channels.catalog import find_project
from gpuenv.facts.frameworks import find_framework
from gpuenv.facts.plain_packages import carries_no_gpu_code, load_plain_packages


def test_each_row_names_the_wheel_that_was_read() -> None:
    """A row has the release, its wheel for Linux x86_64 with sha256, and the day."""
    assert len(load_plain_packages()) > 100
    for name, row in load_plain_packages().items():
        assert name == canonicalize_name(name)
        wheel, version, _, tags = parse_wheel_filename(row.wheel)
        assert (wheel, str(version)) == (name, row.version)
        assert any("x86_64" in tag.platform for tag in tags)
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        date.fromisoformat(row.read)


def test_no_gpu_package_is_among_them() -> None:
    """What the tables know as a GPU package or as a library of one is no plain package."""
    found = [name for name in load_plain_packages() if find_framework(name)]
    found += [name for name in load_plain_packages() if (one := find_project(name)) and one.listed]
    assert found == []


@pytest.mark.parametrize("name", ["numpy", "NumPy", "PyYAML", "ruamel.yaml.clib", "ml_dtypes", "hf-xet"])
def test_names_however_they_are_spelled(name: str) -> None:
    """The index takes a name in any of these spellings."""
    assert carries_no_gpu_code(name)


@pytest.mark.parametrize("name", ["torch", "thinc", "nvidia-cublas-cu12", "triton", "no-such-package", ""])
def test_what_is_not_known_is_not_plain(name: str) -> None:
    """A package with GPU code, and one that nobody has read, is not among them."""
    assert not carries_no_gpu_code(name)
