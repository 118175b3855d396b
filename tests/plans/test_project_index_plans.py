"""Whole plans with a project's own index beside PyPI: PyTorch's layout on loopback, wheels with GPU code made here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from channels.made_project_index import TAG, MadeProjectIndex
from gpuenv.channels.catalog import releases_of
from gpuenv.machines.written import parse_machine
from gpuenv.model import IndexPolicy, Plan, PlannedPackage, Request, Verdict
from gpuenv.plans.make import make_plan
from loopback_index import LoopbackIndex
from targets.made_packages import library, sass

P100 = "gpu=P100,driver=550.54.15"
PYPIS = "2.7.1"
"""The newest PyTorch with code for 6.0 that PyPI has."""


@pytest.fixture
def project_index(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeProjectIndex]:
    """An empty index of PyTorch's layout, beside one with the catalog's packages in PyPI's place."""
    del index
    made = MadeProjectIndex()
    with made.serving() as url:
        monkeypatch.setenv("GPUENV_INDEX_PYTORCH", url)
        yield made


def add_torch(made: MadeProjectIndex, line: str, version: str, *numbers: int, tag: str = TAG) -> str:
    """PyTorch of one line with machine code for these compute capabilities; it requires nothing."""
    code = {"torch/lib/libtorch_cuda.so": library(sass(*numbers))} if numbers else {}
    return made.add(line, "torch", version, members=code, tag=tag)


def plan_for(machine: str, *specs: str, policy: IndexPolicy = IndexPolicy.ALL, **more: object) -> Plan:
    """A plan for Python 3.11."""
    request = Request(specs=specs, python="3.11", indexes=policy)
    return make_plan(request, parse_machine(machine), **more)  # type: ignore[arg-type]


def package(plan: Plan, name: str = "pytorch") -> PlannedPackage:
    """One package of a plan."""
    return next(one for one in plan.packages if one.name == name)


def test_an_old_gpu_gets_the_newer_build_of_the_index(project_index: MadeProjectIndex) -> None:
    """PyPI's newest for a P100 is older than what the line `cu126` has, whose wheel is read before it is taken."""
    filename = add_torch(project_index, "cu126", "2.10.0", 60, 70, 80)
    plan = plan_for(P100, "pytorch")
    torch = package(plan)
    assert (torch.version, torch.build, torch.source) == ("2.10.0", "cuda126_py311_1", "pytorch/cu126")
    assert (torch.gpu, torch.verdict) == (True, Verdict.WORKS)
    assert plan.indexes == ("pytorch/cu126",)
    (learned,) = plan.explanation.learned
    assert learned.filename == filename
    assert project_index.sha256("cu126", "torch", filename) in plan.pylock


def test_a_build_of_the_index_without_code_for_the_gpu_is_passed_over(project_index: MadeProjectIndex) -> None:
    """The newest release of the line lost the code for 6.0, which only reading tells; the one before has it."""
    add_torch(project_index, "cu126", "2.12.0", 70, 80)
    add_torch(project_index, "cu126", "2.10.0", 60, 70)
    plan = plan_for(P100, "pytorch")
    assert package(plan).version == "2.10.0"
    assert {one.version: one.verdict for one in plan.explanation.learned} == {
        "2.12.0": Verdict.FAILS,
        "2.10.0": Verdict.WORKS,
    }


def test_where_the_own_index_has_the_newest_no_other_is_asked(project_index: MadeProjectIndex) -> None:
    """An H100 gets the newest release from PyPI, so nothing could be better."""
    add_torch(project_index, "cu130", releases_of("torch")[-1].version, 90)
    plan = plan_for("gpu=H100,driver=580.65.06", "pytorch")
    assert package(plan).source == "catalog"
    assert project_index.asked == []


def test_the_policy_keeps_project_indexes_out(project_index: MadeProjectIndex) -> None:
    """With `pypi` they are not asked at all."""
    add_torch(project_index, "cu126", "2.10.0", 60)
    assert package(plan_for(P100, "pytorch", policy=IndexPolicy.PYPI)).version == PYPIS
    assert project_index.asked == []


def test_without_a_gpu_the_cpu_build_of_the_index_saves_the_libraries(project_index: MadeProjectIndex) -> None:
    """PyPI's wheel for Linux carries CUDA along; the plan says how much smaller it is without."""
    newest = releases_of("torch")[-1].version
    add_torch(project_index, "cpu", newest)
    plan = plan_for("gpu=none", "pytorch")
    torch = package(plan)
    assert (torch.version, torch.source, torch.gpu) == (newest, "pytorch/cpu", False)
    assert any("to download rather than" in note for note in plan.explanation.notes)
    assert all(wheel.size_bytes for wheel in plan.wheels)


def test_an_index_that_is_dead_changes_nothing_but_a_note(
    index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is that of PyPI alone, and says which index was left out."""
    monkeypatch.setenv("GPUENV_INDEX_PYTORCH", "http://127.0.0.1:9/whl")
    plan = plan_for(P100, "pytorch")
    alone = plan_for(P100, "pytorch", policy=IndexPolicy.PYPI)
    assert (plan.packages, plan.wheels) == (alone.packages, alone.wheels)
    assert any("`pytorch` was left out" in note for note in plan.explanation.notes)


def test_packages_of_one_line_stay_together(project_index: MadeProjectIndex) -> None:
    """Torchvision comes from the same line as PyTorch, never from PyPI."""
    add_torch(project_index, "cu126", "2.10.0", 60, 70)
    project_index.add(
        "cu126",
        "torchvision",
        "0.25.0",
        requires=["torch==2.10.0"],
        members={"torchvision/_C.so": library(sass(60, 70))},
    )
    plan = plan_for(P100, "pytorch", "torchvision")
    assert {package(plan).source, package(plan, "torchvision").source} == {"pytorch/cu126"}


def test_a_later_change_keeps_what_came_from_the_index(project_index: MadeProjectIndex) -> None:
    """When a package is added, the build of the index stays."""
    add_torch(project_index, "cu126", "2.10.0", 60, 70)
    machine = "gpu=P100,driver=560.35.05"
    first = plan_for(machine, "pytorch")
    plan = plan_for(machine, "pytorch", "numba", keep=first)
    assert package(plan).source == "pytorch/cu126"
    assert package(plan, "numba").gpu


def test_windows_gets_its_gpu_build_from_the_index(project_index: MadeProjectIndex) -> None:
    """PyPI's wheels for Windows are for the CPU."""
    add_torch(project_index, "cu126", "2.9.0", 89, tag="cp311-cp311-win_amd64")
    plan = plan_for("os=windows,gpu=RTX 4090,driver=560.94", "pytorch")
    assert (package(plan).version, package(plan).gpu, package(plan).source) == ("2.9.0", True, "pytorch/cu126")
