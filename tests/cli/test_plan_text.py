"""The text of plans, from plans that are made up for it."""

from __future__ import annotations

import pytest

from gpuenv.cli.plan_text import show_plans, spans_of
from gpuenv.machines.written import parse_machine
from gpuenv.model import (
    Choice,
    Explanation,
    Finding,
    GpuSupport,
    Learned,
    PassedOver,
    Plan,
    PlannedPackage,
    PlanSet,
    Request,
    Verdict,
)


def finding(verdict: Verdict, message: str) -> Finding:
    """A word of one rule."""
    return Finding(rule="kernel-image", verdict=verdict, subject="one", message=message)


def test_a_span_that_ends_at_the_chosen_version_names_the_other_build() -> None:
    """`not 3.1.0 to 3.2.0` would deny the 3.2.0 that was chosen; it is the build for the GPU that was passed over."""
    reason = finding(Verdict.FAILS, "needs a driver")
    passed = tuple(
        PassedOver(version=version, build=f"{build}_0", reason=reason)
        for version, build in (("3.2.0", "cuda13"), ("3.1.0", "cuda13"))
    )
    choice = Choice(package="one", passed_over=passed)
    assert [span for span, _ in spans_of(choice, "3.2.0")] == ["3.1.0 to 3.2.0 (cuda13_0)"]
    assert [span for span, _ in spans_of(choice, "3.1.0")] == ["3.1.0 (cuda13_0) to 3.2.0"]
    assert [span for span, _ in spans_of(choice, "3.0.0")] == ["3.1.0 to 3.2.0"]


def test_what_came_along_and_is_degraded_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A verdict in the table that is not `works` is explained below it, for packages that nobody asked for as well."""
    reason = finding(Verdict.DEGRADED, "carries only PTX that fits")
    package = PlannedPackage(
        name="one",
        version="1.0",
        build="cuda_0",
        gpu=True,
        gpu_support=GpuSupport.COMPILE_TIME,
        verdict=Verdict.DEGRADED,
        findings=(reason, finding(Verdict.WORKS, "the driver is there")),
    )
    machine = parse_machine("gpu=V100,driver=580.65.06")
    plan = Plan(request=Request(specs=("other",)), machine=machine, python="3.11", packages=(package,))
    show_plans(PlanSet(plans=(plan,)), verbose=False, last="")
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("why") + 1 :][:2] == ["  one 1.0", "    carries only PTX that fits"]
    assert "the driver is there" not in "\n".join(lines)


def test_a_release_that_was_looked_into_and_left_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a package that no catalog knows an older release was taken: the reason stands in the plan."""
    reason = finding(Verdict.FAILS, "carries no code")
    left_out = Learned(package="one", version="3.0", filename="one.whl", verdict=Verdict.FAILS, reason=reason)
    package = PlannedPackage(name="one", version="2.0", build="", gpu=True, source="inspected")
    plan = Plan(
        request=Request(specs=("one",)),
        machine=parse_machine("gpu=V100,driver=580.65.06"),
        python="3.11",
        packages=(package,),
        explanation=Explanation(learned=(left_out,)),
    )
    show_plans(PlanSet(plans=(plan,)), verbose=False, last="")
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("why") + 1 :][:2] == ["  one 2.0", "    not 3.0: carries no code"]
