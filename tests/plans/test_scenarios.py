"""Machine, request and Python to picks or refusal: the files in `tests/data/scenarios`, on the GPU layer alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
from packaging.specifiers import SpecifierSet

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.errors import GpuenvError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Explanation
from gpuenv.plans.explain import explain
from gpuenv.plans.layer import Layer, choose_layer
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import read_specs

FILES = Path(__file__).parent.parent / "data" / "scenarios"


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One package of the layer. `version` is a specifier, `build` a glob, `cuda` the beginning of the CUDA line."""

    name: str
    version: str = ""
    gpu: bool | None = None
    cuda: str | None = None
    build: str | None = None
    wheel: str | None = None
    verdict: str | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `machine` gets for `request`: `picks`, or no plan with the words `refused` in what is said.

    `because` are words of the explanation, `absent` packages that must not be there, `not_said` words that must not.
    """

    fact: str
    machine: str
    request: tuple[str, ...]
    python: str = "3.11"
    picks: tuple[Expected, ...] = ()
    absent: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    not_said: tuple[str, ...] = ()
    error: str = "NoPlanError"


def _read(file: Path) -> Iterator[Scenario]:
    document = tomllib.loads(file.read_text("utf-8"))
    for row in document.get("scenario", []):
        yield msgspec.convert(row, Scenario)
    for row in document.get("machine", []):
        yield from _read_machine(row)


def _read_machine(row: dict[str, Any]) -> Iterator[Scenario]:
    """A row of the matrix: one scenario for each package."""
    for name, cell in row.items():
        if name in {"machine", "about"}:
            continue
        picked = name.removesuffix("-gpu")
        told = {key: cell.pop(key) for key in ("because", "refused", "fact") if key in cell}
        cudnn = cell.pop("cudnn", None)
        picks = [{"name": picked, **cell}] if "refused" not in told else []
        picks += [{"name": "cudnn", "version": cudnn}] if cudnn else []
        fact = f"{row['about']}: {told.pop('fact')}"
        yield msgspec.convert(
            {"fact": fact, "machine": row["machine"], "request": [name], "picks": picks, **told}, Scenario
        )


def _scenarios() -> list[Any]:
    return list(_named_scenarios())


def _named_scenarios() -> Iterator[Any]:
    for file in sorted(FILES.glob("*.toml")):
        for number, scenario in enumerate(_read(file), start=1):
            yield pytest.param(scenario, id=f"{file.stem}-{number}-{'+'.join(scenario.request)}-{scenario.machine}")


def _text(explanation: Explanation) -> str:
    lines = [*explanation.notes, *explanation.hints]
    for choice in explanation.choices:
        lines += [f"{choice.package} {passed.version}: {passed.reason.message}" for passed in choice.passed_over]
        lines += choice.notes
    return "\n".join(lines)


def _check(expected: Expected, layer: Layer) -> None:
    assert expected.name in layer.picks, f"{expected.name} is not among {sorted(layer.picks)}"
    pick = layer.picks[expected.name]
    build = pick.build
    is_version = SpecifierSet(expected.version).contains(build.version, prereleases=True)
    assert is_version, f"{expected.name} {build.version} is not {expected.version}"
    assert expected.gpu is None or build.gpu is expected.gpu, f"{expected.name} {build.version} {build.build}"
    assert expected.build is None or fnmatchcase(build.build, expected.build), build.build
    assert expected.wheel is None or build.wheel == expected.wheel, build.wheel
    assert expected.verdict is None or pick.verdict.value == expected.verdict, pick.findings
    if expected.cuda is not None:
        line = layer.picks["cuda-version"].build.version
        assert f"{line}.".startswith(f"{expected.cuda}."), f"CUDA {line} is not {expected.cuda}"


@pytest.mark.parametrize("scenario", [one for one in _scenarios() if not one.values[0].refused])
def test_what_a_machine_gets(scenario: Scenario) -> None:
    """Each scenario's `fact` says what it shows."""
    setting = Setting(machines=(with_assumptions(parse_machine(scenario.machine), scenario.python),))
    wanted = read_specs(scenario.request)
    layer = choose_layer(wanted.gpu, setting, wanted.bounds)
    for expected in scenario.picks:
        _check(expected, layer)
    assert [name for name in scenario.absent if name in layer.picks] == [], scenario.fact
    said = _text(explain(layer, wanted.gpu, setting))
    assert [word for word in scenario.because if word not in said] == [], f"{scenario.fact}\n{said}"


@pytest.mark.parametrize("scenario", [one for one in _scenarios() if one.values[0].refused])
def test_what_a_machine_is_refused(scenario: Scenario) -> None:
    """Each scenario's `fact` says why there is no plan."""
    setting = Setting(machines=(with_assumptions(parse_machine(scenario.machine), scenario.python),))
    with pytest.raises(GpuenvError) as refusal:
        choose_layer(read_specs(scenario.request).gpu, setting, read_specs(scenario.request).bounds)
    said = "\n".join((refusal.value.message, *refusal.value.reasons, *refusal.value.hints))
    assert type(refusal.value).__name__ == scenario.error, f"{scenario.fact}\n{said}"
    assert [word for word in scenario.refused if word not in said] == [], f"{scenario.fact}\n{said}"
    assert [word for word in scenario.not_said if word in said] == [], f"{scenario.fact}\n{said}"


def test_every_scenario_states_its_fact_and_expects_something() -> None:
    """A scenario without picks, words or refusal would hold for any answer."""
    scenarios = [scenario for file in FILES.glob("*.toml") for scenario in _read(file)]
    assert len(scenarios) > 150
    empty = [one.fact for one in scenarios if not (one.fact and (one.picks or one.refused or one.because))]
    assert empty == []
