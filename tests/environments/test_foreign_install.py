"""Installing into a venv or conda environment that gpuenv did not make, and the way back from it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from environments.little_index import Listener, this_machine
from gpuenv.channels.uv import find_uv
from gpuenv.environments import foreign_layout
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_places import chosen_foreign, look_at
from gpuenv.environments.foreign_plan import Preview, plan_into
from gpuenv.environments.foreign_undo import changing, undo_install
from gpuenv.errors import IntegrityError, NoPlanError, RequestError, UnavailableError
from gpuenv.machines.written import parse_machine
from gpuenv.model import InstallReport, PackageChange
from lone_uv import alone_with
from loopback_index import LoopbackIndex

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
Change = tuple[str, str | None, str | None]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackIndex]:
    """An index with several versions of `dep`, and of what requires them."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    with alone_with(monkeypatch, tmp_path / "uv-cache") as made:
        monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
        for version in ("1.0", "1.5", "2.0"):
            made.add("dep", version)
        made.add("plain", "1.0", requires=["dep>=1"])
        made.add("plain", "2.0", requires=["dep>=2"])
        made.add("strict", "1.0", requires=["dep<2"])
        made.add("strict", "2.0", requires=["dep"])
        yield made


@pytest.fixture
def venv(index: LoopbackIndex, tmp_path: Path) -> Path:
    """A venv of the standard library's, with dep 1.0 in it."""
    del index
    return made_venv(tmp_path / "venv", "dep==1.0")


def made_venv(prefix: Path, *requirements: str) -> Path:
    """A venv with packages that `uv` installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    if requirements:
        add(prefix, *requirements)
    return prefix


def add(prefix: Path, *words: str) -> None:
    """Install something the way a user would."""
    command = [str(find_uv()), "pip", "install", "--no-config", "--quiet", "--python", str(prefix), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def plan(prefix: Path, *specs: str) -> Preview:
    """What would change."""
    return plan_into(specs, prefix, machine=this_machine(), report=Listener())


def install(prefix: Path, *specs: str) -> InstallReport:
    """Plan and change."""
    return install_into(plan(prefix, *specs), report=Listener())


def changes(report: InstallReport) -> list[Change]:
    """The changes as tuples."""
    return [(one.name, one.before, one.after) for one in report.changes]


def everything(prefix: Path) -> dict[str, str]:
    """Each file with its mode and the hash of its bytes, each link with its target, each directory."""
    found: dict[str, str] = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if foreign_layout.is_own(name.partition("/")[0]):
            continue
        if path.is_symlink():
            found[name] = f"link {path.readlink()}"
        elif path.is_dir():
            found[name] = "directory"
        else:
            mode = path.stat().st_mode
            found[name] = f"{mode:o} {path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def version_of(prefix: Path, module: str) -> str:
    """The version that a module says of itself, asked of the environment's Python."""
    return says(prefix, f"import {module}; print({module}.VERSION)")


def says(prefix: Path, code: str) -> str:
    """What a line of Python prints in the environment; the modules that it imports are compiled there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(prefix / "bin" / "python"), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environ).stdout.strip()


def library(prefix: Path) -> Path:
    """Where its packages are."""
    return look_at(prefix).libraries[0]


def owned_by_conda(prefix: Path, *names: str) -> Path:
    """Make a venv look as if conda had installed its Python and some of its distributions."""
    meta = prefix / "conda-meta"
    meta.mkdir(exist_ok=True)
    (meta / "history").touch()
    python = {"name": "python", "version": "3.11.7", "build": "h1_0", "build_number": 0, "files": ["bin/python3.11"]}
    (meta / "python-3.11.7-h1_0.json").write_text(json.dumps(python))
    for name in names:
        (info,) = library(prefix).glob(f"{name}-*.dist-info")
        version = info.name.removesuffix(".dist-info").partition("-")[2]
        (info / "INSTALLER").write_text("conda\n")
        files = [path.relative_to(prefix).as_posix() for path in (info / "METADATA", library(prefix) / f"{name}.py")]
        record = {"name": name, "version": version, "build": "py_0", "build_number": 0, "depends": [], "files": files}
        (meta / f"{name}-{version}-py_0.json").write_text(json.dumps(record))
    return prefix


def test_a_preview_changes_nothing(venv: Path) -> None:
    """Planning says what would come and change, and leaves no trace in the environment or beside it."""
    before, beside = everything(venv), sorted(venv.parent.iterdir())
    report = plan(venv, "plain").report
    assert changes(report) == [("dep", "1.0", "2.0"), ("plain", None, "2.0")]
    assert not report.done
    assert report.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert everything(venv) == before
    assert sorted(venv.parent.iterdir()) == beside
    assert not [path for path in venv.iterdir() if foreign_layout.is_own(path.name)]


def test_what_is_installed_stays_where_it_can(venv: Path) -> None:
    """A version that suits is not renewed, and its files are not touched."""
    file = library(venv) / "dep.py"
    before = file.stat()
    report = install(venv, "plain<2")
    assert changes(report) == [("plain", None, "1.0")]
    assert report.done
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert version_of(venv, "plain") == "1.0"
    assert install(venv, "plain<2").changes == ()


def test_an_empty_environment_can_be_filled_and_emptied(index: LoopbackIndex, tmp_path: Path) -> None:
    """Where nothing is installed there is nothing to prefer, and undo takes all of it away again."""
    del index
    prefix = made_venv(tmp_path / "empty")
    before = everything(prefix)
    assert changes(install(prefix, "plain")) == [("dep", None, "2.0"), ("plain", None, "2.0")]
    undo_install(prefix, report=Listener())
    assert everything(prefix) == before


def test_an_undo_brings_back_every_byte_without_network(
    venv: Path, index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `undo_install` all files, links, modes and times are as before, although no index can be reached."""
    del index
    version_of(venv, "dep")
    before = everything(venv)
    assert [name for name in before if name.endswith(".pyc")]
    install(venv, "plain")
    assert (version_of(venv, "plain"), version_of(venv, "dep")) == ("2.0", "2.0")
    assert everything(venv) != before
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    report = undo_install(venv, report=Listener())
    assert changes(report) == [("dep", "2.0", "1.0"), ("plain", "2.0", None)]
    assert everything(venv) == before
    assert version_of(venv, "dep") == "1.0"
    with pytest.raises(RequestError, match="no installation"):
        undo_install(venv, report=Listener())


def test_an_undo_works_where_files_cannot_have_second_names(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links the files that go are copied, and come back the same."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    version_of(venv, "dep")
    before = everything(venv)
    monkeypatch.setattr(os, "link", refuse)
    install(venv, "plain")
    undo_install(venv, report=Listener())
    assert everything(venv) == before


def test_only_the_last_of_two_changes_can_be_undone(venv: Path) -> None:
    """The second change takes the place of the first in the journal; undoing it leaves what the first made."""
    install(venv, "plain<2")
    between = everything(venv)
    install(venv, "plain>=2")
    undo_install(venv, report=Listener())
    assert everything(venv) == between
    with pytest.raises(RequestError, match="no installation"):
        undo_install(venv, report=Listener())


def test_what_a_user_adds_afterwards_stays(venv: Path, index: LoopbackIndex) -> None:
    """Files and distributions that came after the change survive its undo; a directory that holds one is named."""
    index.add("later", "1.0")
    install(venv, "plain")
    add(venv, "later")
    (venv / "notes.txt").write_text("mine")
    undo_install(venv, report=Listener())
    assert version_of(venv, "later") == "1.0"
    assert (venv / "notes.txt").read_text() == "mine"


def test_an_undo_does_not_run_over_what_another_tool_did_since(venv: Path) -> None:
    """Where a changed distribution was changed again, undo says so and does nothing, unless it is told to."""
    before = everything(venv)
    install(venv, "plain")
    add(venv, "dep==1.5", "--no-deps")
    now = everything(venv)
    with pytest.raises(IntegrityError, match="changed again") as raised:
        undo_install(venv, report=Listener())
    assert "--yes" in " ".join(raised.value.hints)
    assert everything(venv) == now
    undo_install(venv, report=Listener(), force=True)
    assert everything(venv) == before


def test_requirements_of_what_stays_are_respected(venv: Path) -> None:
    """A plan is not made on the cost of an installed distribution: its requirement bounds the new ones."""
    add(venv, "strict==1.0")
    report = install(venv, "plain")
    assert changes(report) == [("plain", None, "1.0")]
    assert report.conflicts == ()


def test_a_set_that_would_break_what_stays_is_no_plan(venv: Path) -> None:
    """The answer names who is in the way, and how it may be changed as well; which then works."""
    add(venv, "strict==1.0")
    before = everything(venv)
    with pytest.raises(NoPlanError, match="nothing fits beside") as raised:
        plan(venv, "plain>=2")
    assert "strict 1.0 is installed and needs dep<2" in raised.value.reasons
    assert f"`gpuenv install -p {venv} 'plain>=2' strict`" in raised.value.hints[0]
    assert everything(venv) == before
    assert changes(install(venv, "plain>=2", "strict"))[1] == ("plain", None, "2.0")


def test_conflicts_that_were_there_before_are_told_apart(venv: Path) -> None:
    """A conflict that existed is reported as such, and neither mended nor held against the change."""
    add(venv, "strict==1.0", "dep==2.0", "--no-deps")
    report = install(venv, "plain")
    assert [one.requires for one in report.conflicts_before] == ["dep<2"]
    assert report.conflicts == report.conflicts_before
    assert changes(report) == [("plain", None, "2.0")]


def test_packages_of_conda_bound_the_plan(venv: Path) -> None:
    """What conda installed keeps its version: the plan is made around it."""
    owned_by_conda(venv, "dep")
    assert changes(install(venv, "plain")) == [("plain", None, "1.0")]


def test_packages_of_conda_are_not_changed_by_pip(venv: Path) -> None:
    """Where the plan would need another version of one, it stops with the reason and conda's own command."""
    owned_by_conda(venv, "dep")
    before = everything(venv)
    with pytest.raises(NoPlanError, match="what conda installed") as raised:
        plan(venv, "plain>=2")
    assert any(reason.startswith("conda installed dep 1.0") for reason in raised.value.reasons)
    assert f"`conda update -p {venv} dep`" in raised.value.hints[0]
    assert everything(venv) == before


def test_conda_keeps_its_own_account(venv: Path) -> None:
    """`conda-meta` is neither written nor part of the way back."""
    owned_by_conda(venv, "dep")
    before = {path.name: path.read_bytes() for path in (venv / "conda-meta").iterdir()}
    install(venv, "plain")
    undo_install(venv, report=Listener())
    assert {path.name: path.read_bytes() for path in (venv / "conda-meta").iterdir()} == before


def test_editable_and_direct_distributions_are_kept_and_named(venv: Path, index: LoopbackIndex, tmp_path: Path) -> None:
    """What came from a directory stays as it is even where the plan has another version of it, and is named."""
    index.add("mine", "3.0")
    index.add("wants-mine", "1.0", requires=["mine"])
    folder = tmp_path / "mine"
    folder.mkdir()
    project = '[project]\nname = "mine"\nversion = "0.1"\n'
    build = '[build-system]\nrequires = []\nbuild-backend = "here"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(build + project)
    (folder / "here.py").write_text(BACKEND)
    add(venv, "-e", str(folder))
    report = install(venv, "wants-mine")
    assert changes(report) == [("wants-mine", None, "1.0")]
    (kept,) = report.kept
    assert kept.startswith("mine 0.1 from `file://")
    assert "(editable), where the plan has 3.0" in kept


BACKEND = """
import os, zipfile
def build_editable(directory, settings=None, metadata=None):
    with zipfile.ZipFile(os.path.join(directory, "mine-0.1-py3-none-any.whl"), "w") as archive:
        archive.writestr("mine.pth", os.getcwd() + os.linesep)
        archive.writestr("mine-0.1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 0.1\\n")
        wheel = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("mine-0.1.dist-info/WHEEL", wheel)
        archive.writestr("mine-0.1.dist-info/RECORD", "mine.pth,,\\n")
    return "mine-0.1-py3-none-any.whl"
"""


def test_a_failed_installation_leaves_the_environment_as_it_was(venv: Path, index: LoopbackIndex) -> None:
    """A file that is not the planned one is refused; nothing has changed, and no way back is left over."""
    before = everything(venv)
    preview = plan(venv, "plain")
    index.add("plain", "2.0", requires=["dep>=9"])
    with pytest.raises(IntegrityError) as raised:
        install_into(preview, report=Listener())
    assert f"`{venv}` is as it was" in raised.value.reasons
    assert everything(venv) == before
    assert not foreign_layout.undo_directory(venv).exists()


def test_a_wheel_that_takes_the_place_of_another_puts_it_out(index: LoopbackIndex, tmp_path: Path) -> None:
    """Two wheels of one project own the same modules: the one that is not planned goes, and undo brings it back."""
    here = f"linux-{this_machine().system.arch}"
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    index.add_catalog("xgboost", "xgboost-cpu", platforms=(here,), pythons=(minor,))
    prefix = made_venv(tmp_path / "own", "xgboost-cpu", "--no-deps")
    before = everything(prefix)
    machine = parse_machine(f"gpu=A100,driver=580.65.06,arch={this_machine().system.arch}")
    preview = plan_into(("py-xgboost-gpu",), prefix, machine=machine, report=Listener())
    gone = [one.name for one in preview.report.changes if one.after is None]
    assert gone == ["xgboost-cpu"]
    install_into(preview, report=Listener())
    assert not list(library(prefix).glob("xgboost_cpu-*.dist-info"))
    undo_install(prefix, report=Listener())
    assert everything(prefix) == before


def test_gpu_packages_that_are_there_stay_as_they_are(index: LoopbackIndex, tmp_path: Path) -> None:
    """They are part of the plan in the build that they are, so that nothing is added to them that nobody asked for."""
    here = f"linux-{this_machine().system.arch}"
    index.add_catalog("numba", "numba-cuda", "xgboost", platforms=(here,), pythons=(MINOR,))
    prefix = made_venv(tmp_path / "own", "numba==0.61.2")
    machine = parse_machine(f"gpu=A100,driver=580.65.06,arch={this_machine().system.arch}")
    preview = plan_into(("py-xgboost",), prefix, machine=machine, report=Listener())
    names = {one.name for one in preview.report.changes}
    assert "xgboost" in names
    assert not names & {"numba", "numba-cuda", "llvmlite", "numpy"}
    assert {package.name: package.version for package in preview.plan.packages}["numba"] == "0.61.2"


def test_variables_are_set_at_each_start_and_taken_back(venv: Path) -> None:
    """What the packages need is in the environment's Python afterwards, and gone after an undo."""
    before = everything(venv)
    preview = plan(venv, "plain")
    preview = replace(preview, report=msgspec.structs.replace(preview.report, variables={"SOME_SETTING": "0"}))
    install_into(preview, report=Listener())
    code = "import os; print(os.environ['SOME_SETTING'])"
    assert says(venv, code) == "0"
    undo_install(venv, report=Listener())
    assert everything(venv) == before


def test_a_change_since_the_preview_is_noticed(venv: Path) -> None:
    """Between showing and changing somebody else may install; then nothing is done."""
    preview = plan(venv, "plain")
    add(venv, "strict==1.0")
    with pytest.raises(UnavailableError, match="meanwhile"):
        install_into(preview, report=Listener())


def test_one_writer_at_a_time(venv: Path) -> None:
    """While another command holds the environment, a second one says so and changes nothing."""
    preview = plan(venv, "plain")
    code = (
        "import sys; from pathlib import Path; from gpuenv.environments.foreign_undo import changing\n"
        "with changing(Path(sys.argv[1]), 'installing into'): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(venv)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    before = everything(venv)
    with pytest.raises(UnavailableError, match="another gpuenv is changing") as raised:
        install_into(preview, report=Listener())
    assert str(holder.pid) in raised.value.reasons[0]
    holder.communicate()
    assert everything(venv) == before
    with changing(venv, "testing"):
        pass


def test_interpreters_of_the_system_are_refused(tmp_path: Path) -> None:
    """The home of a Python is no environment, and one that is marked as managed (PEP 668) is named as such."""
    with pytest.raises(RequestError, match=r"home of a Python|managed by the system"):
        look_at(Path(sys.base_prefix))
    marked = list(Path("/usr/lib").glob("python3.*/EXTERNALLY-MANAGED"))
    if marked and Path("/usr/bin/python3").exists():
        with pytest.raises(RequestError, match="PEP 668"):
            look_at(Path("/usr"))
    with pytest.raises(RequestError):
        look_at(owned_home(tmp_path))


def owned_home(folder: Path) -> Path:
    """A conda prefix without a Python."""
    (folder / "empty" / "conda-meta").mkdir(parents=True)
    return folder / "empty"


def test_which_environment_is_meant(venv: Path, tmp_path: Path) -> None:
    """A path, else VIRTUAL_ENV, else CONDA_PREFIX; conda's own environment only by its path."""
    conda = owned_by_conda(made_venv(tmp_path / "conda"))
    assert chosen_foreign(None, venv, {}) == venv
    assert chosen_foreign("name", None, {"VIRTUAL_ENV": str(venv)}) is None
    assert chosen_foreign(None, None, {"VIRTUAL_ENV": str(venv), "CONDA_PREFIX": str(conda)}) == venv
    assert chosen_foreign(None, None, {"CONDA_PREFIX": str(conda)}) == conda
    assert chosen_foreign(None, None, {}) is None
    assert chosen_foreign(None, tmp_path / "nowhere", {}) is None
    (conda / "condabin").mkdir()
    with pytest.raises(RequestError, match="conda's own"):
        chosen_foreign(None, None, {"CONDA_PREFIX": str(conda)})
    assert chosen_foreign(None, conda, {}) == conda


def test_an_undo_names_what_it_cannot_take_away(venv: Path) -> None:
    """A directory that the change made and in which somebody put a file stays, and is named."""
    install(venv, "plain")
    (info,) = library(venv).glob("plain-*.dist-info")
    (info / "note.txt").write_text("mine")
    report = undo_install(venv, report=Listener())
    assert report.changes[-1] == PackageChange(name="plain", before="2.0")
    assert len(report.notes) == 1
    assert info.name in report.notes[0]


@pytest.mark.parametrize("name", ["journal.json", "before.json", "after.json"])
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 1}', None], ids=str)
def test_a_damaged_way_back_is_said_to_be_damaged(venv: Path, name: str, damage: str | None) -> None:
    """Undo then does nothing, and says which file it is and what to do. None stands for paths that lead out."""
    if (name, damage) == ("before.json", '{"version": 1}'):
        damage = '{"a": 1}'
    install(venv, "plain")
    now = everything(venv)
    file = foreign_layout.undo_directory(venv) / name
    text = file.read_text()
    out = text.replace('"lib', '"../lib').replace('"pylock', '"../pylock')
    file.write_text(out if damage is None else damage)
    with pytest.raises(IntegrityError, match="damaged") as raised:
        undo_install(venv, report=Listener())
    assert name in raised.value.reasons[0]
    assert everything(venv) == now
