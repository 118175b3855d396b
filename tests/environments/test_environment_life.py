"""Create, change, list and remove environments with a real `uv`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from environments.little_index import Index, Listener, PlanMaker, PythonRunner, beside, python_version
from gpuenv import environments
from gpuenv.environments import layout
from gpuenv.errors import GpuenvError, IntegrityError, RequestError
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


def test_progress_of_uv_is_heard_without_passing_names(plan_for: PlanMaker, tmp_path: Path, listener: Listener) -> None:
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
    plan = plan_for("fromsource", "beta", source_packages=("FromSource",), build_constraints=("toybackend<2",))
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
    plan = plan_for("fromsource", source_packages=("fromsource",))
    with pytest.raises(IntegrityError, match="source") as caught:
        environments.create(structs.replace(plan, source_packages=()), tmp_path / "env", report=Listener())
    assert caught.value.reasons == ("fromsource",)
    assert not (tmp_path / "env").exists()


def test_wheel_and_directory_by_their_paths(
    index: Index, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """A lock may name a wheel or a directory by its path; neither is foreign, and the directory counts as source."""
    index.backend("1.0")
    wheel = index.wheel("gamma", "3.0")
    project = tmp_path / "fromsource"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["toybackend"]\nbuild-backend = "toybackend"\n'
        '[project]\nname = "fromsource"\nversion = "1.0"\n'
    )
    plan = plan_for(wheel.as_uri(), project.as_uri(), source_packages=("fromsource",))
    prefix = tmp_path / "env"
    environments.create(plan, prefix, report=Listener())
    assert python_says(prefix, "import gamma, fromsource; print(gamma.VERSION, fromsource.BUILT_WITH)") == "3.0 1.0"
    assert environments.foreign_packages(prefix) == ()
    assert [one.source for one in environments.list_packages(prefix)] == ["lock", "lock"]
    with pytest.raises(IntegrityError, match="source"):
        environments.replace(structs.replace(plan, source_packages=()), prefix, report=Listener())


def test_build_tools_come_as_wheels_too(index: Index, plan_for: PlanMaker, tmp_path: Path) -> None:
    """Building one project from source does not allow its build tools to be built from source."""
    index.sdist("toybackend", "1.0", backend="another")
    index.sdist("fromsource", "1.0", backend="toybackend")
    url = (index.root / "fromsource" / "fromsource-1.0.tar.gz").as_uri()
    lock = (
        'lock-version = "1.0"\ncreated-by = "uv"\n[[packages]]\nname = "fromsource"\nversion = "1.0"\n'
        f'sdist = {{ url = "{url}", hashes = {{ sha256 = "{index.sha256("fromsource-1.0.tar.gz")}" }} }}\n'
    )
    plan = structs.replace(plan_for(), pylock=lock, source_packages=("fromsource",))
    with pytest.raises(GpuenvError) as caught:
        environments.create(plan, tmp_path / "env", report=Listener())
    assert "toybackend" in "\n".join(caught.value.reasons)


@pytest.mark.parametrize("what", ["file", "directory", "virtual environment"])
@pytest.mark.parametrize("force", [False, True])
def test_what_gpuenv_did_not_make_is_never_replaced(
    plan_for: PlanMaker, tmp_path: Path, what: str, force: bool
) -> None:
    """A file, a directory with something in it, and another tool's environment stay, also with force."""
    prefix = tmp_path / "env"
    if what == "file":
        prefix.write_text("mine")
    else:
        prefix.mkdir()
        (prefix / ("pyvenv.cfg" if what == "virtual environment" else "mine.txt")).write_text("mine")
    before = sorted(prefix.rglob("*"))
    with pytest.raises(RequestError, match="something else"):
        environments.create(plan_for("beta"), prefix, report=Listener(), force=force)
    assert sorted(prefix.rglob("*")) == before
    assert prefix.exists()
    assert beside(prefix) == set()


def test_empty_directory_becomes_the_environment(
    plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """A directory made beforehand, with nothing in it, is a good place."""
    prefix = tmp_path / "env"
    prefix.mkdir()
    environments.create(plan_for("beta"), prefix, report=Listener())
    assert python_says(prefix, "import beta; print(beta.VERSION)") == "1.0"


def test_existing_environment_needs_force(plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner) -> None:
    """An environment is made anew only when that is asked for; then nothing of the old one is left."""
    prefix = tmp_path / "env"
    old = environments.create(plan_for("alpha<2"), prefix, report=Listener())
    (prefix / "mine.txt").write_text("mine")
    with pytest.raises(RequestError, match="already"):
        environments.create(plan_for("alpha"), prefix, report=Listener())
    assert python_says(prefix, VERSIONS) == "alpha 1.0 beta 1.0"
    new = environments.create(plan_for("alpha"), prefix, report=Listener(), force=True)
    assert python_says(prefix, VERSIONS) == "alpha 2.0 beta 1.0"
    assert new.created > old.created
    assert not (prefix / "mine.txt").exists()
    assert beside(prefix) == set()


def test_damaged_environment_is_told_and_can_be_forced(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A state that cannot be read is an integrity error with the way out, and force takes that way."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    layout.state_path(prefix).write_text('{"version": 1}')
    for verb in (environments.load, environments.list_packages):
        with pytest.raises(IntegrityError, match="damaged") as caught:
            verb(prefix)
        assert caught.value.hints == (f"make it again: `gpuenv create --force -p {prefix}`",)
    with pytest.raises(IntegrityError, match="damaged"):
        environments.replace(plan_for("beta"), prefix, report=Listener())
    environments.create(plan_for("beta"), prefix, report=Listener(), force=True)
    assert environments.load(prefix).problem is None


def test_remove_deletes_an_environment_and_its_lock(plan_for: PlanMaker, tmp_path: Path) -> None:
    """After removal nothing is left, not even what only a user with rights could delete at first."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    closed = prefix / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    closed.chmod(0o500)
    environments.remove(prefix)
    assert not prefix.exists()
    assert [path.name for path in tmp_path.iterdir() if "gpuenv" in path.name] == []


def test_remove_touches_nothing_that_is_not_gpuenvs(tmp_path: Path) -> None:
    """A directory of the user's, or no directory, is a wrong question."""
    place = tmp_path / "mine"
    place.mkdir()
    (place / "file").write_text("x")
    with pytest.raises(RequestError, match="no environment of gpuenv"):
        environments.remove(place)
    assert (place / "file").read_text() == "x"
    with pytest.raises(RequestError, match="there is no environment"):
        environments.remove(tmp_path / "nothing")
    with pytest.raises(RequestError, match="there is no environment"):
        environments.remove(tmp_path / "not" / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_files_outside_are_not_removed_through_a_link(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A link inside an environment goes, what it points to stays."""
    prefix, outside = tmp_path / "env", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    environments.create(plan_for("beta"), prefix, report=Listener())
    (prefix / "link").symlink_to(outside)
    environments.remove(prefix)
    assert (outside / "file").read_text() == "x"


def test_environment_behind_a_link_is_one_environment(
    plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """A link to an environment stays a link when the environment changes, and goes when it is removed."""
    prefix, link = tmp_path / "env", tmp_path / "link"
    link.symlink_to(prefix)
    environments.create(plan_for("alpha<2"), link, report=Listener())
    environments.replace(plan_for("alpha"), link, report=Listener())
    assert link.is_symlink()
    assert python_says(prefix, VERSIONS) == "alpha 2.0 beta 1.0"
    environments.remove(link)
    assert not prefix.exists()
    assert not link.is_symlink()


def test_list_joins_what_is_installed_with_the_plan(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A distribution that a planned package brought shows that one's build and verdict; others are the lock's."""
    planned = PlannedPackage(
        name="alphabet", version="1.0", build="cuda126_py311_0", gpu=True, gpu_support=GpuSupport.COMPILE_TIME,
        requirements=("Alpha[extra]==1.0",), verdict=Verdict.DEGRADED,
    )  # fmt: skip
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2", packages=(planned,)), prefix, report=Listener())
    alpha, beta = environments.list_packages(prefix)
    assert (alpha.package, alpha.build, alpha.source) == ("alphabet", "cuda126_py311_0", "catalog")
    assert (alpha.gpu, alpha.gpu_support, alpha.verdict) == (True, GpuSupport.COMPILE_TIME, Verdict.DEGRADED)
    assert (beta.name, beta.version, beta.source, beta.verdict) == ("beta", "1.0", "lock", None)
    assert alpha.planned is None


def test_version_changed_by_hand_is_not_the_judged_one(plan_for: PlanMaker, tmp_path: Path) -> None:
    """When another tool changed a planned version, the list says so and the verdict is unknown."""
    planned = PlannedPackage(name="alpha", version="1.0", build="0", requirements=("alpha==1.0",))
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2", packages=(planned,)), prefix, report=Listener())
    library = layout.library_of(prefix)
    assert library
    info = (library / "alpha-1.0.dist-info").rename(library / "alpha-2.0.dist-info")
    (info / "METADATA").unlink()  # a link to the bytes in uv's cache, which must stay
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: alpha\nVersion: 2.0\n")
    alpha, _ = environments.list_packages(prefix)
    assert (alpha.version, alpha.planned, alpha.verdict) == ("2.0", "1.0", Verdict.UNKNOWN)


def test_list_passes_over_remains_without_metadata(plan_for: PlanMaker, tmp_path: Path) -> None:
    """Directories that a broken installation left do not break the list."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    library = layout.library_of(prefix)
    assert library
    for name in ("~eta-1.0.dist-info", "gone-1.0.dist-info", "nameless-1.0.dist-info"):
        (library / name).mkdir()
    (library / "nameless-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    assert [package.name for package in environments.list_packages(prefix)] == ["beta"]


def test_variables_hold_for_every_start_of_the_python(
    plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """The plan's variables are set in a plain start of the environment's Python, unless the user set them."""
    strange = "two words, a \" and a ' and \\ and ü\nline"
    packages = (
        PlannedPackage(name="one", version="1", build="0", variables={"TF_ENABLE_ONEDNN_OPTS": "0"}),
        PlannedPackage(name="two", version="1", build="0", variables={"STRANGE_VALUE": strange}),
    )
    prefix = tmp_path / "env"
    environments.create(plan_for("beta", packages=packages), prefix, report=Listener())
    code = "import os; print(ascii(os.environ.get({!r})))"
    clean = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    assert python_says(prefix, code.format("TF_ENABLE_ONEDNN_OPTS"), clean) == "'0'"
    assert python_says(prefix, code.format("STRANGE_VALUE"), clean | {"PYTHONUTF8": "1"}) == ascii(strange)
    assert python_says(prefix, code.format("TF_ENABLE_ONEDNN_OPTS"), clean | {"TF_ENABLE_ONEDNN_OPTS": "1"}) == "'1'"
    environments.replace(plan_for("beta"), prefix, report=Listener())
    assert python_says(prefix, code.format("TF_ENABLE_ONEDNN_OPTS"), clean) == "None"


def test_variable_that_no_system_can_hold_is_refused_before_anything_is_made(
    plan_for: PlanMaker, tmp_path: Path
) -> None:
    """A name that would be code in the start-up file is not written there."""
    bad = PlannedPackage(name="one", version="1", build="0", variables={"A'); import sys; ('": "1"})
    with pytest.raises(GpuenvError, match="cannot be set"):
        environments.create(plan_for("beta", packages=(bad,)), tmp_path / "env", report=Listener())
    assert not (tmp_path / "env").exists()


def test_plan_for_another_system_is_refused(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A plan for another operating system or processor is not installed here."""
    plan = plan_for("beta")
    for system in (
        System(os=OperatingSystem.WINDOWS, arch="x86_64"),
        System(os=plan.machine.system.os, arch="ppc64le"),
    ):
        if sys.platform in {"win32", "darwin"}:
            pytest.skip("compares with Linux")
        other = structs.replace(plan, machine=structs.replace(plan.machine, system=system))
        with pytest.raises(RequestError, match="this computer is"):
            environments.create(other, tmp_path / "env", report=Listener())
    with pytest.raises(RequestError, match="no lock"):
        environments.create(structs.replace(plan, pylock=""), tmp_path / "env", report=Listener())
    assert not (tmp_path / "env").exists()


def test_change_to_another_python(plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner) -> None:
    """A new plan may bring another Python; nothing of the old one's library stays."""
    other = _another_python()
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha"), prefix, report=Listener())
    environments.replace(plan_for("alpha", interpreter=str(other)), prefix, report=Listener())
    assert python_says(prefix, "import sys, alpha; print('%d.%d' % sys.version_info[:2])") == python_version(str(other))
    assert len(list((prefix / "lib").glob("python*"))) == 1
    assert sorted(path.name for path in layout.scripts_of(prefix).glob("python*.*")) == [
        f"python{python_version(str(other))}"
    ]


def test_find_lists_good_and_broken_ones_and_nothing_else(plan_for: PlanMaker, tmp_path: Path) -> None:
    """The directory of environments is read as it is: broken ones are told, others' directories passed over."""
    data = tmp_path / "data"
    assert environments.find_environments(data) == ()
    for name in ("good", "broken", "headless"):
        environments.create(plan_for("beta"), data / "envs" / name, report=Listener())
    layout.state_path(data / "envs" / "broken").write_text("{")
    python = layout.python_of(data / "envs" / "headless")
    python.unlink()
    python.symlink_to(tmp_path / "gone")
    (data / "envs" / "someone-elses").mkdir()
    found = {one.prefix.name: one for one in environments.find_environments(data)}
    assert sorted(found) == ["broken", "good", "headless"]
    assert found["good"].problem is None
    assert found["broken"].environment is None
    assert "damaged" in (found["broken"].problem or "")
    assert found["headless"].environment
    assert "Python is gone" in (found["headless"].problem or "")


def test_state_has_a_schema_and_reads_back(plan_for: PlanMaker, tmp_path: Path) -> None:
    """What is kept in an environment is one of the JSON documents: it has a schema and a version."""
    made = environments.create(plan_for("beta"), tmp_path / "env", report=Listener())
    assert from_json(to_json(made.state), environments.EnvironmentState) == made.state
    assert made.state.version == 1
    assert "EnvironmentState" in json_schema(environments.EnvironmentState)["$defs"]


def test_import_is_cheap() -> None:
    """Importing the package loads none of the heavy libraries."""
    heavy = {"rattler", "uv", "filelock", "psutil", "asyncio", "rich", "packaging"}
    code = f"import gpuenv.environments, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _another_python() -> Path:
    mine = python_version(sys.executable)
    places = [*Path.home().glob(".pyenv/versions/3.*/bin/python3"), *Path("/usr/bin").glob("python3.?*")]
    for path in places:
        if path.name.endswith("config") or not shutil.which(path):
            continue
        if (version := python_version(str(path))) != mine and tuple(map(int, version.split("."))) >= (3, 8):
            return path
    pytest.skip("there is no second Python on this machine")
