"""Plans of conda packages from little channels, for tests of environments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from environments.little_index import this_machine
from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.channels.conda.records import locked_conda
from gpuenv.channels.conda.running import run_rattler
from gpuenv.model import Plan, Request

SUBDIR = subdir_of(this_machine().platform)


def conda_plan(
    channel: Path,
    *specs: str,
    python: str = "3.11",
    interpreter: str | None = None,
    pylock: str = "",
    more: Iterable[Path] = (),
    asked: Sequence[str] | None = None,
) -> Plan:
    """The plan of `specs` from a channel, solved by rattler without any virtual package."""
    from rattler import Gateway, MatchSpec, solve
    from rattler.platform import Subdir

    channels = [channel.as_uri(), *(one.as_uri() for one in more)]
    records = run_rattler(
        solve(
            sources=channels,
            gateway=Gateway(),
            specs=[MatchSpec(spec) for spec in specs],
            platforms=[Subdir(SUBDIR), Subdir("noarch")],
        )
    )
    return Plan(
        request=Request(specs=tuple(specs if asked is None else asked), channels=tuple(channels)),
        machine=this_machine(),
        python=python,
        interpreter=interpreter,
        conda=locked_conda(records),
        pylock=pylock,
    )
