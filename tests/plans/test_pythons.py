"""For which Python a plan is made."""

from __future__ import annotations

import sys

import pytest

from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.plans.pythons import choose_pythons

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
FOUND = tuple(
    Interpreter(version=version, path=f"/opt/python-{version}/bin/python3", found_by="test")
    for version in ("3.11.7", "3.13.1", "3.12.4", "3.8.18")
)


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tester's own preference stays out."""
    monkeypatch.delenv("GPUENV_PYTHON", raising=False)


def chosen(asked: str | None, spec: str | None, found: tuple[Interpreter, ...] = FOUND) -> list[str]:
    """The versions to try, in order."""
    return [one.version for one in choose_pythons(asked, spec, found)]


def test_the_interpreters_found_are_tried_in_their_order() -> None:
    """The preferred one comes first, as the search gave them, each with its path."""
    choices = choose_pythons(None, None, FOUND)
    assert [one.version for one in choices] == ["3.11", "3.13", "3.12", "3.8"]
    assert choices[0].path == "/opt/python-3.11.7/bin/python3"


@pytest.mark.parametrize(
    ("asked", "spec", "versions"),
    [
        ("3.12", None, ["3.12"]),
        ("3.12.9", None, ["3.12"]),
        (None, "3.8.*", ["3.8"]),
        (None, ">=3.12", ["3.13", "3.12"]),
        (None, ">=3.12.2", ["3.13", "3.12"]),
        (None, "<3.12", ["3.11", "3.8"]),
        ("3.12", ">=3.10", ["3.12"]),
        (None, "*", ["3.11", "3.13", "3.12", "3.8"]),
    ],
)
def test_what_was_asked_for_narrows_them(asked: str | None, spec: str | None, versions: list[str]) -> None:
    """An option and a spec of the request both hold; a version stands for any patch of it."""
    assert chosen(asked, spec) == versions


def test_the_setting_is_a_preference_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUENV_PYTHON counts where `--python` was not given."""
    monkeypatch.setenv("GPUENV_PYTHON", "3.12")
    assert chosen(None, None) == ["3.12"]
    assert chosen("3.8", None) == ["3.8"]


def test_elsewhere_the_plan_is_for_one_python() -> None:
    """Without interpreters the machine is another one: for what was asked, or the Python that runs this."""
    assert chosen(None, None, ()) == [HERE]
    assert chosen("3.9", None, ()) == ["3.9"]
    assert chosen(None, ">=3.9,<3.10", ()) == ["3.9"]


@pytest.mark.parametrize(("asked", "spec"), [("3.10", None), (None, "3.10.*"), ("3.12", "<3.12")])
def test_a_python_that_is_not_here_is_a_true_no(asked: str | None, spec: str | None) -> None:
    """The reasons name those that were found."""
    with pytest.raises(NoPlanError) as refusal:
        chosen(asked, spec)
    assert "3.11, 3.13, 3.12, 3.8" in " ".join(refusal.value.reasons)


@pytest.mark.parametrize("asked", ["3", "abc", "3.x", "3.11.7.1", "-3.11", "3..11", "³.11"])
def test_what_is_no_version_of_python_is_a_mistake(asked: str) -> None:
    """`--python` takes 3.11 or 3.11.7."""
    with pytest.raises(RequestError, match="is not a version of Python"):
        chosen(asked, None)
