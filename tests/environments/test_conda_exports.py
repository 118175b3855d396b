"""Environments of conda packages as files for conda and pixi, read again by rattler's own readers."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from environments.conda_prefixes import SUBDIR, conda_plan
from environments.little_index import Index, Listener, PlanMaker
from gpuenv import environments
from gpuenv.environments import ExportFormat, export, export_plan
from gpuenv.environments.commands import CommandFormat, commands
from gpuenv.errors import RequestError
from gpuenv.model import Plan
from little_channel import LittlePackage, make_channel, python_package

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the packages of these tests are for POSIX")


@pytest.fixture
def channel(tmp_path: Path, index: Index) -> Path:
    """A channel with a Python and three packages, one of them needing another."""
    return make_channel(
        tmp_path / "channel",
        [
            python_package(real=True),
            LittlePackage(name="above", version="2.0", build="h1_3", build_number=3, depends=["below >=1"]),
            LittlePackage(name="below", version="1.5", subdir=SUBDIR, files={"below.txt": "1"}),
            LittlePackage(name="old", version="0.1", ending=".tar.bz2"),
        ],
    )


@pytest.fixture
def plan(channel: Path, plan_for: PlanMaker) -> Plan:
    """Conda packages and wheels."""
    wheels = plan_for("alpha")
    plan = conda_plan(channel, "above >=1", "old", "python", pylock=wheels.pylock, asked=["above>=1", "old", "alpha"])
    return msgspec.structs.replace(plan, wheels=wheels.wheels)


def test_explicit_file(plan: Plan, channel: Path, tmp_path: Path) -> None:
    """An explicit file has each address with its hash, dependencies first; rattler reads it; wheels are told of."""
    from rattler.explicit_environment import ExplicitEnvironmentSpec

    text = export_plan(plan, ExportFormat.CONDA_EXPLICIT, name="env")
    spec = ExplicitEnvironmentSpec.from_str(text)
    assert str(spec.platform) == SUBDIR
    packages = {package.name: package for package in plan.conda}
    urls = [package.url for package in spec.packages]
    assert sorted(urls) == sorted(f"{one.url}#sha256:{one.sha256}" for one in packages.values())
    assert urls.index(f"{packages['below'].url}#sha256:{packages['below'].sha256}") < urls.index(
        f"{packages['above'].url}#sha256:{packages['above'].sha256}"
    )
    assert "# Not in this file, a wheel: alpha==2.0" in text


def test_explicit_file_without_python(plan: Plan) -> None:
    """Where the Python is none of conda's, the file says that it is not in it."""
    assert "# Not in this file: Python" not in export_plan(plan, ExportFormat.CONDA_EXPLICIT, name="env")
    without = msgspec.structs.replace(plan, conda=tuple(one for one in plan.conda if one.name != "python"))
    assert "# Not in this file: Python 3.11," in export_plan(without, ExportFormat.CONDA_EXPLICIT, name="env")


def test_explicit_file_of_old_records(plan: Plan) -> None:
    """Where a channel has an MD5 alone, that stands there as conda writes it."""
    bare = msgspec.structs.replace(plan.conda[0], sha256=None)
    text = export_plan(msgspec.structs.replace(plan, conda=(bare,)), ExportFormat.CONDA_EXPLICIT, name="env")
    assert text.splitlines()[-1] == f"{bare.url}#{bare.md5}"


def test_environment_file(plan: Plan, channel: Path) -> None:
    """environment.yml pins conda packages as `conda env export` does, and has the wheels in its part for pip."""
    text = yaml.safe_load(export_plan(plan, ExportFormat.CONDA, name="env"))
    assert text["name"] == "env"
    assert text["channels"] == [str(channel), "nodefaults"]
    *conda, pip = text["dependencies"]
    assert "above=2.0=h1_3" in conda
    assert conda[-1] == "pip"
    assert len([one for one in conda if one.startswith("python=")]) == 1
    assert pip["pip"][-2:] == ["alpha==2.0", "beta==1.0"]


def test_environment_file_from_history(plan: Plan, channel: Path) -> None:
    """The form of `--from-history` has what was asked for, no more."""
    text = yaml.safe_load(export_plan(plan, ExportFormat.CONDA_HISTORY, name="env"))
    assert text["dependencies"] == ["above >=1", "old", "pip", {"pip": ["alpha"]}]
    assert text["channels"] == [str(channel), "nodefaults"]


def test_pixi_lock(plan: Plan, channel: Path, tmp_path: Path) -> None:
    """pixi.lock is read again by rattler with all records, their hashes and the wheels."""
    from rattler import LockFile

    path = tmp_path / "pixi.lock"
    path.write_text(export_plan(plan, ExportFormat.PIXI, name="env"))
    environment = LockFile.from_path(path).default_environment()
    assert environment is not None
    assert [str(one).rstrip("/") for one in environment.channels()] == [channel.as_uri()]
    (records,) = environment.conda_repodata_records().values()
    assert {record.name.normalized: record.sha256.hex() for record in records if record.sha256} == {
        package.name: package.sha256 for package in plan.conda
    }
    (platform,) = environment.platforms()
    wheels = environment.pypi_packages_for_platform(platform) or []
    assert {(one.name, one.version) for one in wheels} == {("alpha", "2.0"), ("beta", "1.0")}


@pytest.mark.parametrize("format", [ExportFormat.REQUIREMENTS, ExportFormat.PYLOCK, ExportFormat.DOCKERFILE])
def test_formats_for_wheels_refuse_conda_packages(plan: Plan, format: ExportFormat) -> None:  # noqa: A002  (its name)
    """No format loses conda packages in silence."""
    with pytest.raises(RequestError, match="wheels only"):
        export_plan(plan, format, name="env")


def test_pixi_lock_of_wheels_alone(plan_for: PlanMaker) -> None:
    """A lock of pixi without conda packages would have no Python."""
    with pytest.raises(RequestError, match="no Python"):
        export_plan(plan_for("alpha"), ExportFormat.PIXI, name="env")


def test_export_of_what_is_there(plan: Plan, channel: Path, tmp_path: Path) -> None:
    """What another tool took away from the prefix is not exported."""
    prefix = tmp_path / "env"
    environments.create(msgspec.structs.replace(plan, pylock="", wheels=()), prefix, report=Listener())
    (prefix / "conda-meta" / "old-0.1-0.json").unlink()
    text = export(prefix, ExportFormat.CONDA_EXPLICIT)
    assert "above-2.0" in text
    assert "old-0.1" not in text


def test_commands(plan: Plan) -> None:
    """As conda commands: the explicit file, a prefix from it, and the wheels through its pip."""
    text = commands(plan, CommandFormat.CONDA, name="mine", environ={}).text
    assert "@EXPLICIT" in text
    assert "conda create --yes --name mine --file gpuenv-explicit.txt" in text
    assert "alpha==2.0" in text
    with pytest.raises(RequestError, match="wheels only"):
        commands(plan, CommandFormat.PIP, environ={})
