"""What the name of a wheel says; the names are of wheels that exist, or differ from one by a tag."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.artifacts.wheel_names import admitted_pythons, artifact_of_wheel_name, narrow_pythons
from gpuenv.errors import FormatError

SINCE_39 = tuple(f"3.{minor}" for minor in range(9, 16))


@pytest.mark.parametrize(
    ("name", "platforms", "pythons", "glibc"),
    [
        ("torch-2.10.0-cp311-cp311-manylinux_2_28_x86_64", ("linux-x86_64",), ("3.11",), "2.28"),
        ("torch-2.10.0-cp311-none-macosx_11_0_arm64", ("macos-aarch64",), ("3.11",), None),
        ("vllm-0.11.0-cp39-abi3-manylinux1_x86_64", ("linux-x86_64",), SINCE_39, "2.5"),
        ("numpy-2.0.0-cp312-cp312-win_amd64", ("windows-x86_64",), ("3.12",), None),
        ("numpy-2.0.0-cp312-cp312-win32", ("windows-i686",), ("3.12",), None),
        ("numpy-1.9-cp27-cp27mu-manylinux2010_x86_64", ("linux-x86_64",), ("2.7",), "2.12"),
        ("scipy-1.0-cp36-cp36m-manylinux2014_aarch64", ("linux-aarch64",), ("3.6",), "2.17"),
        ("x-1-cp313-cp313t-manylinux_2_28_x86_64", ("linux-x86_64",), (), "2.28"),
        ("x-1-pp310-pypy310_pp73-manylinux_2_28_x86_64", ("linux-x86_64",), (), "2.28"),
        ("x-1-cp311-cp311-musllinux_1_2_x86_64", ("linux-x86_64",), ("3.11",), None),
        ("x-1-cp311-cp311-linux_x86_64", ("linux-x86_64",), ("3.11",), None),
        ("x-1-cp311-cp311-macosx_10_9_universal2", ("macos-aarch64", "macos-x86_64"), ("3.11",), None),
        ("nvidia_cublas_cu12-12.8.4.1-py3-none-manylinux_2_27_x86_64", ("linux-x86_64",), None, "2.27"),
        (
            "cupy_cuda12x-13.6.0-cp310-cp310-manylinux2014_x86_64.manylinux_2_5_x86_64",
            ("linux-x86_64",),
            ("3.10",),
            "2.5",
        ),
        ("keras-3.0-py3-none-any", (), None, None),
        ("six-1.16-py2.py3-none-any", (), None, None),
        ("old-1-py2-none-any", (), ("2.7",), None),
        ("x-1-py39-none-any", (), SINCE_39, None),
        ("x-1-cp311-cp311-ios_13_0_arm64_iphoneos", ("ios_13_0_arm64_iphoneos",), ("3.11",), None),
    ],
)
def test_tags_tell_where_a_wheel_runs(
    name: str, platforms: tuple[str, ...], pythons: tuple[str, ...] | None, glibc: str | None
) -> None:
    """Platforms as plans name them, the Pythons that would take it, the oldest C library of all its tags."""
    artifact = artifact_of_wheel_name(name + ".whl")
    assert (artifact.platforms, artifact.pythons) == (platforms, pythons)
    assert (str(artifact.glibc) if artifact.glibc else None) == glibc


def test_names_and_versions_are_written_in_one_way() -> None:
    """As Python compares them; a local version stays."""
    artifact = artifact_of_wheel_name("Flash_Attn-2.8.3+cu12torch2.8-1-cp312-cp312-linux_x86_64.whl")
    assert (artifact.name, artifact.version) == ("flash-attn", "2.8.3+cu12torch2.8")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "torch.whl",
        "torch-2.0-cp311-linux.whl",
        "torch-x-cp311-cp311-any.whl",
        f"a-1-{'a.' * 99}a-{'b.' * 99}b-any.whl",
    ],
)
def test_a_bad_name_is_a_format_error(name: str) -> None:
    """Also one whose sets of tags would have millions of combinations."""
    with pytest.raises(FormatError, match="is not the name of a wheel"):
        artifact_of_wheel_name(name)


@pytest.mark.parametrize(
    ("requires", "first", "last"),
    [(">=3.9", "3.9", "3.15"), (">=3.9.1,<3.13", "3.9", "3.12"), ("!=3.6.*", "3.7", "3.15")],
)
def test_requires_python_admits_minor_versions(requires: str, first: str, last: str) -> None:
    """One is admitted where any of its releases is."""
    admitted = admitted_pythons(requires) or ()
    assert (admitted[0], admitted[-1]) == (first, last)


def test_requires_python_narrows_the_tags() -> None:
    """None is any Python on either side; a Python older than those that are counted is left as the tag says."""
    assert admitted_pythons(">=nonsense") is None
    assert narrow_pythons(None, ("3.9",)) == ("3.9",)
    assert narrow_pythons(("3.9", "3.10"), ("3.10", "3.11")) == ("3.10",)
    assert narrow_pythons(("2.7",), None) == ("2.7",)
    assert narrow_pythons(("2.7",), ("3.9",)) == ("2.7",)


WORDS = st.sampled_from(
    ["torch", "1.0", "cp311", "abi3", "any", "manylinux_2_28_x86_64", "py3", "none", "-", ".", "_", "9" * 20]
)


@given(st.text(max_size=80) | st.lists(WORDS, max_size=12).map("-".join).map(lambda text: text + ".whl"))
@settings(max_examples=300, deadline=None)
def test_any_name_is_a_wheel_or_a_format_error(name: str) -> None:
    """No other exception."""
    with suppress(FormatError):
        assert artifact_of_wheel_name(name).filename == name
