"""Create, change, list and remove environments with a real `uv`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from little_index import Index, Listener, PlanMaker, PythonRunner, beside, python_version

from gpuenv import environments
from gpuenv.environments import layout
from gpuenv.errors import GpuenvError, IntegrityError, RequestError, UnavailableError
from gpuenv.model import GpuSupport, OperatingSystem, PlannedPackage, System, Verdict, from_json, json_schema, to_json

VERSIONS = "import alpha; alpha.main()"


def test_created_environment_runs_what_was_planned(
    plan_for: PlanMaker, tmp_path: Path, listener: Listener, python_says: PythonRunner
) -> None:
    """A new environment has the planned packages, remembers its plan, and leaves nothing beside itself."""
    prefix = tmp_path / "deep" / "env"
    plan = plan_for("alpha<2")
    before = datetime.now(UTC)
    made = environments.create(plan, prefix, report=listener)
    assert python_says(prefix, VERSIONS) == "alpha 1.0 beta 1.0"
    assert made.plan == plan
    assert before <= made.created <= datetime.now(UTC)
    assert made.problem is None
    assert environments.load(prefix) == made
    assert beside(prefix) == set()
    assert layout.lock_text_path(prefix).read_text() == plan.pylock


def test_progress_of_uv_is_heard_without_passing_names(
    plan_for: PlanMaker, tmp_path: Path, listener: Listener
) -> None:
    """Phases come as steps, uv's lines as details, and none names the directory that exists only meanwhile."""
    environments.create(plan_for("alpha<2"), tmp_path / "env", report=listener)
    assert listener.steps == [
        f"making a virtual environment with Python {python_version(sys.executable)}",
        "installing packages with uv",
    ]
    assert "+ alpha==1.0" in listener.details
    assert not [line for line in listener.details if ".gpuenv-new" in line]


def test_nothing_in_an_environment_knows_where_it_was_built(plan_for: PlanMaker, tmp_path: Path) -> None:
    """No file of a new environment holds the name of the directory it was built in."""
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    texts = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(texts) > 15
    assert [path for path in texts if b".gpuenv-new" in path.read_bytes()] == []


def test_console_scripts_work_after_the_switch_and_after_a_move(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A console script finds its Python by its own place, so it runs where the environment is now."""
    prefix, moved = tmp_path / "env", tmp_path / "with space" / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    environments.replace(plan_for("alpha"), prefix, report=Listener())
    script = layout.scripts_of(prefix) / "alpha-says"
    assert subprocess.run([script], capture_output=True, text=True, check=True).stdout == "alpha 2.0 beta 1.0\n"
    moved.parent.mkdir()
    prefix.rename(moved)
    script = layout.scripts_of(moved) / "alpha-says"
    assert subprocess.run([script], capture_output=True, text=True, check=True).stdout == "alpha 2.0 beta 1.0\n"
    assert environments.load(moved).prefix == moved


def test_replace_changes_the_set_and_keeps_the_date_of_making(
    plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """After a change the environment is wholly that of the new plan; only when it was made stays."""
    prefix = tmp_path / "env"
    first = environments.create(plan_for("alpha<2"), prefix, report=Listener())
    second = environments.replace(plan_for("beta"), prefix, report=Listener())
    assert [package.name for package in environments.list_packages(prefix)] == ["beta"]
    assert second.created == first.created
    assert second.state.changed > first.state.changed
    code = "import importlib.util as u; print(u.find_spec('alpha'))"
    assert python_says(prefix, code) == "None"
    assert not (layout.scripts_of(prefix) / "alpha-says").exists()
    assert beside(prefix) == set()


def test_replace_keeps_the_mode_of_the_directory(plan_for: PlanMaker, tmp_path: Path) -> None:
    """Who may enter an environment is not changed by a change of what is in it."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    prefix.chmod(0o750)
    environments.replace(plan_for("alpha"), prefix, report=Listener())
    assert prefix.stat().st_mode & 0o777 == 0o750


def test_empty_plan_makes_an_empty_environment(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A plan without packages is a Python and nothing else."""
    prefix = tmp_path / "env"
    environments.create(plan_for(), prefix, report=Listener())
    assert environments.list_packages(prefix) == ()


def test_only_named_projects_are_built_from_source(index: Index, plan_for: PlanMaker, tmp_path: Path) -> None:
    """A source distribution is built when the plan names it, with the plan's constraint on its build tools."""
    for version in ("1.0", "2.0"):
        index.backend(version)
    index.sdist("fromsource", "1.0", backend="toybackend")
    plan = plan_for(
        "fromsource", "beta", source_packages=("FromSource",), build_constraints=("toybackend<2",)
    )
    prefix = tmp_path / "env"
    environments.create(plan, prefix, report=Listener())
    library = layout.library_of(prefix)
    assert library
    assert (library / "fromsource.py").read_text() == "BUILT_WITH = '1.0'\n"
    told = (layout.own_directory(prefix) / "build-constraints.txt").read_text()
    assert told == "toybackend<2\n"


def test_source_that_the_plan_does_not_name_is_refused(index: Index, plan_for: PlanMaker, tmp_path: Path) -> None:
    """A lock that would build another project from source is not installed."""
    index.backend("1.0")
    index.sdist("fromsource", "1.0", backend="toybackend")
    plan = from_json(
        to_json(plan_for("fromsource", source_packages=("fromsource",))).replace('["fromsource"]', "[]"),
        type(plan_for()),
    )
    object.__setattr__  # noqa: B018
    with pytest.raises(IntegrityError, match="source") as caught:
        environments.create(_without_source_packages(plan), tmp_path / "env", report=Listener())
    assert caught.value.reasons == ("fromsource",)
    assert not (tmp_path / "env").exists()
