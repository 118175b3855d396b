"""The table of rules: well made, and every rule has a case for each verdict that it can give."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from gpuenv.model import Verdict
from gpuenv.rules import RULES, Rule, check
from rule_cases import Case, gpu, machine, needs

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

WORST = {
    "side-library": DEGRADED,
    "host-memory": DEGRADED,
    "cpu-cores": DEGRADED,
    "board-class": DEGRADED,
    "system-cuda": UNKNOWN,
    "jetson-build": UNKNOWN,
}
"""Rules whose worst word is not `fails`: what they judge runs all the same, or nobody can tell."""

ALWAYS_KNOWN = {
    "withdrawn": "the catalog says so, or does not",
    "operating-system": "every machine has a system",
    "cpu-architecture": "every machine has an architecture",
    "python-build": "where no Python is chosen there is nothing to object to yet",
    "gpu-visible": "a GPU that nobody tried counts as usable, and its driver is judged by another rule",
    "driver-match": "it speaks only where both versions are known",
}
"""Rules that are never `unknown`, and why."""

DEGRADED_ON_SOME = {
    "gpu-visible",
    "driver-generation",
    "toolkit-dropped-gpu",
    "toolkit-older-than-gpu",
    "library-dropped-gpu",
    "kernel-image",
}
"""Rules that judge GPU by GPU: what fails on some of them only is degraded."""


@cache
def all_cases() -> tuple[Case, ...]:
    """The CASES of every module beside this one."""
    found: list[Case] = []
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path == Path(__file__):
            continue
        spec = importlib.util.spec_from_file_location(f"cases_of_{path.stem}", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look up the module that they are made in.
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        found += getattr(module, "CASES", [])
    return tuple(found)


def verdicts_of(rule: str) -> set[Verdict]:
    """The verdicts that a rule has cases for."""
    return {case.verdict for case in all_cases() if case.rule == rule}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_has_a_case_for_each_verdict_it_can_give(rule: Rule) -> None:
    """A new rule without cases that work, fail (or what its worst word is) and are unknown does not pass."""
    expected = {WORKS, WORST.get(rule.id, FAILS)}
    if rule.id not in ALWAYS_KNOWN:
        expected.add(UNKNOWN)
    if rule.id in DEGRADED_ON_SOME:
        expected.add(DEGRADED)
    assert expected <= verdicts_of(rule.id), f"tests/rules has no case of `{rule.id}` for all of {expected}"
    assert FAILS not in verdicts_of(rule.id) or rule.id not in WORST
    assert UNKNOWN not in verdicts_of(rule.id) or rule.id not in ALWAYS_KNOWN


def test_every_case_is_of_a_rule() -> None:
    """No case and no exception is left over from a rule that is gone."""
    ids = {rule.id for rule in RULES}
    assert {case.rule for case in all_cases()} == ids
    assert {*WORST, *ALWAYS_KNOWN, *DEGRADED_ON_SOME} <= ids


def test_ids_are_unique_and_spelled_alike() -> None:
    """Kebab case, since people write them in configurations and search for them."""
    ids = [rule.id for rule in RULES]
    assert len(set(ids)) == len(ids)
    assert [rule_id for rule_id in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+|[a-z]+", rule_id)] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_says_what_it_holds_and_where_it_is_from(rule: Rule) -> None:
    """The docstring is the rule's entry in the documentation: whole sentences; the source names a document."""
    assert rule.documentation.endswith(".")
    assert len(rule.documentation.split()) >= 10
    assert len(rule.source.split()) >= 3


def test_the_function_of_a_rule_bears_its_name() -> None:
    """`driver-floor` is `driver_floor`, so that either leads to the other."""
    assert [rule.id for rule in RULES if rule.check.__name__ != rule.id.replace("-", "_")] == []


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_the_whole_table_runs_on_every_case(case: Case) -> None:
    """`check` gives what the rules give, in their order, the same each time."""
    found = check(case.needs, case.machine)
    assert found == check(case.needs, case.machine)
    assert [finding for finding in found if finding.rule == case.rule] == [
        finding for rule in RULES if rule.id == case.rule for finding in rule.check(case.needs, case.machine)
    ]
    order = [rule.id for rule in RULES]
    places = [order.index(finding.rule) for finding in found]
    assert places == sorted(places)


def test_evidence_says_where_a_value_was_read() -> None:
    """The sources of a machine reach the findings."""
    sources = {"driver.version": "NVML", "driver.cuda": "libcuda", "gpus": "nvidia-smi"}
    found = check(needs(cuda="12.4", jit="ptx"), machine(gpu(), sources=sources))
    given = {evidence.source for finding in found for evidence in finding.evidence}
    assert {"NVML", "libcuda", "nvidia-smi"} <= given
