"""Environments that are frozen (CEP 22), and versions that are pinned: what their owner forbids is not done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from environments.little_index import Index, Listener, this_machine
from environments.test_conda_into import conda_made
from gpuenv import environments
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_plan import plan_into
from gpuenv.environments.foreign_undo import undo_install
from gpuenv.environments.verbs import Change, apply_plan, create_environment, install, uninstall, update
from gpuenv.errors import GpuenvError, NoPlanError, RequestError
from gpuenv.model import Request, Sources
from little_channel import LittlePackage, make_channel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the packages of these tests are for POSIX")


@pytest.fixture
def channel(tmp_path: Path, index: Index) -> Path:
    """A package in three versions, one that needs any of them, and one that needs the newest."""
    packages = [LittlePackage(name="tool", version=f"{one}.0", files={"share/tool": f"{one}"}) for one in (1, 2, 3)]
    return make_channel(
        tmp_path / "channel",
        [*packages, LittlePackage(name="needs", depends=["tool"]), LittlePackage(name="new", depends=["tool >=3"])],
    )


def made(channel: Path, prefix: Path, *specs: str) -> Change:
    """An environment of conda packages."""
    request = Request(specs=specs, channels=(str(channel),), sources=Sources.CONDA)
    return create_environment(request, prefix, machine=this_machine(), report=Listener())


def versions(prefix: Path) -> dict[str, str]:
    """What is installed."""
    return {one.name: one.version for one in environments.list_packages(prefix)}


def _install(prefix: Path, override: bool) -> object:
    return install(("needs",), prefix, machine=this_machine(), report=Listener(), override_frozen=override)


def _update(prefix: Path, override: bool) -> object:
    return update((), prefix, machine=this_machine(), report=Listener(), override_frozen=override)


def _uninstall(prefix: Path, override: bool) -> object:
    return uninstall(("needs",), prefix, machine=this_machine(), report=Listener(), override_frozen=override)


def _apply(prefix: Path, override: bool) -> object:
    return apply_plan(environments.load(prefix).plan, prefix, report=Listener(), override_frozen=override)


def _create(prefix: Path, override: bool) -> object:
    plan = environments.load(prefix).plan
    return environments.create(plan, prefix, report=Listener(), force=True, override_frozen=override)


def _remove(prefix: Path, override: bool) -> object:
    environments.remove(prefix, override_frozen=override)
    return None


@pytest.mark.parametrize("verb", [_install, _update, _uninstall, _apply, _create, _remove])
@pytest.mark.parametrize(
    ("content", "words"),
    [("", ""), ('{"message": "In production.\\nAsk Ada."}', "In production. Ask Ada."), ("{", "{"), ("plain", "plain")],
)
def test_frozen(channel: Path, tmp_path: Path, verb: Callable[[Path, bool], object], content: str, words: str) -> None:
    """Each change of a frozen environment is refused with what its mark says, and made where that is overridden."""
    prefix = tmp_path / "env"
    made(channel, prefix, "tool=1.0", "needs")
    (prefix / "conda-meta" / "frozen").write_text(content)
    with pytest.raises(RequestError, match="is frozen") as caught:
        verb(prefix, False)
    assert " ".join(caught.value.reasons) == words
    assert "--override-frozen" in caught.value.hints[0]
    assert versions(prefix) == {"tool": "1.0", "needs": "1.0"}
    verb(prefix, True)


def test_frozen_stays_frozen(channel: Path, tmp_path: Path) -> None:
    """The mark of an environment is there after a change that overrode it."""
    prefix = tmp_path / "env"
    made(channel, prefix, "tool=1.0")
    (prefix / "conda-meta" / "frozen").touch()
    _install(prefix, True)
    assert (prefix / "conda-meta" / "frozen").exists()


def test_frozen_in_place(channel: Path, tmp_path: Path) -> None:
    """The mark counts in an environment of another tool, for a change as for taking one back; a preview tells it."""
    prefix = conda_made(tmp_path / "place" / "env", channel, "tool=1.0")
    mark = prefix / "conda-meta" / "frozen"
    mark.write_text('{"message": "not you"}')
    preview = plan_into(("needs",), prefix, machine=this_machine(), report=Listener(), channels=(str(channel),))
    assert "not you" in preview.report.notes[0]
    with pytest.raises(RequestError, match="is frozen"):
        install_into(preview, report=Listener())
    assert not (prefix / "conda-meta" / "needs-1.0-0.json").exists()
    install_into(preview, report=Listener(), override_frozen=True)
    assert (prefix / "conda-meta" / "needs-1.0-0.json").exists()
    with pytest.raises(RequestError, match="is frozen"):
        undo_install(prefix, report=Listener())
    undo_install(prefix, report=Listener(), override_frozen=True)
    assert not (prefix / "conda-meta" / "needs-1.0-0.json").exists()


@pytest.mark.parametrize("pinned", ["tool <3\n", "# a comment\n\n  tool<3\nabsent=1\n", "tool 2.*", "tool=2.0=0"])
def test_pins_are_further_bounds(channel: Path, tmp_path: Path, pinned: str) -> None:
    """What is pinned bounds updates and what comes along, and is not asked for thereby."""
    prefix = tmp_path / "env"
    made(channel, prefix, "tool=1.0")
    (prefix / "conda-meta" / "pinned").write_text(pinned)
    install(("tool",), prefix, machine=this_machine(), report=Listener())
    change = update((), prefix, machine=this_machine(), report=Listener())
    assert versions(prefix) == {"tool": "2.0"}
    assert change.environment.plan.request.specs == ("tool",)
    assert (prefix / "conda-meta" / "pinned").read_text() == pinned


def test_pins_against_what_is_asked(channel: Path, tmp_path: Path) -> None:
    """Where what is asked for breaks a pin, that is refused with its line; so is a plan that came from elsewhere."""
    prefix = tmp_path / "env"
    made(channel, prefix, "tool=1.0")
    other = made(channel, tmp_path / "other", "tool=3.0").environment.plan
    (prefix / "conda-meta" / "pinned").write_text("tool <3\n")
    for specs in (("tool=3.0",), ("tool", "new")):
        with pytest.raises(NoPlanError) as caught:
            install(specs, prefix, machine=this_machine(), report=Listener())
        assert "`conda-meta/pinned` says `tool <3`" in caught.value.reasons[0]
    with pytest.raises(NoPlanError, match="breaks a pin") as caught:
        apply_plan(other, prefix, report=Listener())
    assert "`conda-meta/pinned` says `tool <3`" in caught.value.reasons[0]
    assert versions(prefix) == {"tool": "1.0"}


def test_pins_in_place(channel: Path, tmp_path: Path) -> None:
    """Pins count in an environment of another tool."""
    prefix = conda_made(tmp_path / "place" / "env", channel, "needs", "tool=1.0")
    (prefix / "conda-meta" / "pinned").write_text("tool <3\n")
    preview = plan_into(("tool>1",), prefix, machine=this_machine(), report=Listener(), channels=(str(channel),))
    assert [(one.name, one.after) for one in preview.report.changes] == [("tool", "2.0")]
    with pytest.raises(NoPlanError, match="tool"):
        plan_into(("tool=3.0",), prefix, machine=this_machine(), report=Listener(), channels=(str(channel),))


@pytest.mark.parametrize("pinned", ["tool >=1 <", "[[[", "tool[version='", "*"])
def test_pins_that_are_none(channel: Path, tmp_path: Path, pinned: str) -> None:
    """A line that is no spec is named, and nothing is changed."""
    prefix = tmp_path / "env"
    made(channel, prefix, "tool=1.0")
    (prefix / "conda-meta" / "pinned").write_text(pinned)
    with pytest.raises(GpuenvError) as caught:
        update((), prefix, machine=this_machine(), report=Listener())
    assert pinned in caught.value.message
    assert versions(prefix) == {"tool": "1.0"}
