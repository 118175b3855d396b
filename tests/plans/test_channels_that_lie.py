"""Channels of which some files are not what their index says, or cannot be had: the others count all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from artifacts.range_server import RangeServer, Reply
from gpuenv.errors import GpuenvError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, Sources, Verdict
from gpuenv.plans.make import make_plan
from little_channel import LittlePackage, make_channel
from targets.made_packages import library, noise, sass

A100 = "gpu=A100,driver=580.65.06"
OLD, NEW = "veclib-1.0-cuda124_0.conda", "veclib-2.0-cuda124_0.conda"
BIG = 300_000
pytestmark = pytest.mark.usefixtures("only_loopback")


def made(version: str, number: int, *, padding: int = 0) -> LittlePackage:
    """A release with code for one kind of GPU; with padding too large to come at once."""
    files = {"lib/libveclib.so": library(sass(number)), "share/noise": noise(padding)}
    return LittlePackage(
        name="veclib", version=version, build="cuda124_0", subdir="linux-64", depends=("__cuda",), files=files
    )


def contents(channel: Path) -> dict[str, bytes]:
    """The files of a channel for a server."""
    return {one.relative_to(channel).as_posix(): one.read_bytes() for one in channel.rglob("*") if one.is_file()}


def plan_for(channel: Path | str, *specs: str) -> Plan:
    """A plan of conda packages only, for an A100."""
    request = Request(specs=specs or ("veclib",), channels=(str(channel),), sources=Sources.CONDA)
    return make_plan(request, parse_machine(A100))


def chosen(plan: Plan) -> tuple[str, Verdict]:
    """The release and what is said of it."""
    (package,) = plan.packages
    return package.version, package.verdict


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    """Two releases for the A100."""
    return make_channel(tmp_path / "honest", [made("1.0", 80, padding=BIG), made("2.0", 80, padding=BIG)])


@pytest.fixture
def served(honest: Path) -> Iterator[RangeServer]:
    """The same on a server."""
    with RangeServer(contents(honest)) as running:
        yield running


# ---- hashes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, BIG])
@pytest.mark.parametrize("on_a_server", [False, True])
def test_a_false_hash_harms_no_other_channel(honest: Path, tmp_path: Path, on_a_server: bool, padding: int) -> None:
    """A channel lists its own file under the hash of another channel's; what is read of it is not taken for that."""
    good = hashlib.sha256((honest / "linux-64" / OLD).read_bytes()).hexdigest()
    evil = make_channel(tmp_path / "evil", [made("9.0", 90, padding=padding)])
    changed: dict[str, Any] = {"veclib-9.0-cuda124_0.conda": {"sha256": good}}
    make_channel(evil, [made("9.0", 90, padding=padding)], changed=changed)
    if on_a_server:
        with RangeServer(contents(evil)) as server:
            try_to_plan(f"http://{server.host}")
    else:
        try_to_plan(evil)
    assert chosen(plan_for(honest, "veclib=1.0")) == ("1.0", Verdict.WORKS)


def try_to_plan(channel: Path | str) -> None:
    """Whatever comes of it."""
    with suppress(GpuenvError):
        plan_for(channel)


def test_a_hash_from_elsewhere_does_not_bring_its_reading_along(honest: Path, tmp_path: Path) -> None:
    """Where the good file was read before, the false one is still no such file: it calls itself otherwise."""
    good = hashlib.sha256((honest / "linux-64" / OLD).read_bytes()).hexdigest()
    assert chosen(plan_for(honest, "veclib=1.0")) == ("1.0", Verdict.WORKS)
    changed: dict[str, Any] = {"veclib-9.0-cuda124_0.conda": {"sha256": good}}
    evil = make_channel(tmp_path / "evil", [made("9.0", 90), made("8.0", 80)], changed=changed)
    assert chosen(plan_for(evil)) == ("8.0", Verdict.WORKS)


# ---- one file of several --------------------------------------------------------------------------------------------


def test_a_file_of_another_size_closes_no_channel(tmp_path: Path) -> None:
    """The release whose file is what its index says is read and taken."""
    changed: dict[str, Any] = {NEW: {"size": 5}}
    channel = make_channel(tmp_path, [made("1.0", 80), made("2.0", 80)], changed=changed)
    with RangeServer(contents(channel)) as server:
        plan = plan_for(f"http://{server.host}")
    assert chosen(plan) == ("1.0", Verdict.WORKS)
    assert any("not the file that the index lists" in note for note in plan.explanation.notes)
    assert chosen(plan_for(channel)) == ("1.0", Verdict.WORKS)


def test_a_file_that_is_another_package_is_not_taken(tmp_path: Path) -> None:
    """Without a hash or a size in the index, the package says itself what it is."""
    channel = make_channel(
        tmp_path,
        [made("1.0", 80), made("2.0", 80)],
        changed={NEW: {"sha256": None, "size": None}},
    )
    (channel / "linux-64" / NEW).write_bytes((channel / "linux-64" / OLD).read_bytes())
    assert chosen(plan_for(channel)) == ("1.0", Verdict.WORKS)


def spoil(reply: Reply) -> None:
    reply.status, reply.body, reply.sent = 500, b"", None


def cut(reply: Reply) -> None:
    reply.sent = 10


def swap(reply: Reply) -> None:
    reply.body = bytes(len(reply.body))


def spoil_files(server: RangeServer, ending: str, how: Callable[[Reply], None]) -> None:
    """From now on the answers about some files are spoilt."""
    honestly = server.honest

    def reply(name: str, headers: Mapping[str, str]) -> Reply:
        found = honestly(name, headers)
        if name.endswith(ending):
            how(found)
        return found

    server.honest = reply  # type: ignore[method-assign]


@pytest.mark.parametrize("how", [spoil, cut, swap])
def test_one_file_that_cannot_be_had_closes_no_channel(
    served: RangeServer, how: Callable[[Reply], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that fails at one file is asked for one more before nothing of it counts as readable."""
    monkeypatch.setattr("gpuenv._net.exchange.time.sleep", lambda _: None)
    spoil_files(served, NEW, how)
    assert chosen(plan_for(f"http://{served.host}")) == ("1.0", Verdict.WORKS)


def test_a_server_that_fails_at_all_files_is_given_up(served: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two; then the newest release is as good as any, and the plan says that nothing was read."""
    monkeypatch.setattr("gpuenv._net.exchange.time.sleep", lambda _: None)
    spoil_files(served, ".conda", spoil)
    plan = plan_for(f"http://{served.host}")
    assert chosen(plan) == ("2.0", Verdict.UNKNOWN)
    assert any("was not read" in " ".join(note.split()) for note in plan.explanation.notes)
