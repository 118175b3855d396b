"""What a user added to an environment by hand is never lost without a word."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from environments.little_index import Index, Listener, PlanMaker, PythonRunner
from gpuenv import environments
from gpuenv.channels.uv import find_uv
from gpuenv.environments import layout
from gpuenv.errors import RequestError


def add(prefix: Path, *words: str) -> None:
    """Install something the way a user would, beside the lock."""
    command = [str(find_uv()), "pip", "install", "--no-config", "--python", str(prefix), *words]
    subprocess.run(command, check=True, capture_output=True)


def own_project(folder: Path) -> Path:
    """A project of the user's that can be installed from its directory."""
    folder.mkdir()
    build = '[build-system]\nrequires = []\nbuild-backend = "here"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(f'{build}[project]\nname = "mine"\nversion = "0.1"\n')
    (folder / "here.py").write_text(
        "import os, zipfile\n"
        "def build_editable(directory, settings=None, metadata=None):\n"
        "    with zipfile.ZipFile(os.path.join(directory, 'mine-0.1-py3-none-any.whl'), 'w') as archive:\n"
        "        archive.writestr('mine.pth', os.getcwd() + os.linesep)\n"
        "        archive.writestr('mine-0.1.dist-info/METADATA',\n"
        "                         'Metadata-Version: 2.1\\nName: mine\\nVersion: 0.1\\n')\n"
        "        archive.writestr('mine-0.1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n'\n"
        "                         'Tag: py3-none-any\\n')\n"
        "        archive.writestr('mine-0.1.dist-info/RECORD', 'mine.pth,,\\nmine-0.1.dist-info/METADATA,,\\n'\n"
        "                         'mine-0.1.dist-info/WHEEL,,\\nmine-0.1.dist-info/RECORD,,\\n')\n"
        "    return 'mine-0.1-py3-none-any.whl'\n"
        "build_wheel = build_editable\n"
    )
    (folder / "mine.py").write_text("HERE = True\n")
    return folder


def test_untouched_environment_has_no_foreign_packages(plan_for: PlanMaker, tmp_path: Path) -> None:
    """What the lock brought, with its dependencies, is not foreign."""
    environments.create(plan_for("alpha"), tmp_path / "env", report=Listener())
    assert environments.foreign_packages(tmp_path / "env") == ()


def test_packages_added_from_an_index_can_be_carried_along(
    index: Index, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """They are given as requirements for the next request; with them in the plan nothing is lost."""
    index.wheel("gamma", "3.0")
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    add(prefix, "gamma")
    assert environments.foreign_packages(prefix) == ("gamma==3.0",)
    assert [one.source for one in environments.list_packages(prefix)] == ["lock", "lock", "added"]
    with pytest.raises(RequestError, match="would lose") as caught:
        environments.replace(plan_for("alpha"), prefix, report=Listener())
    assert caught.value.reasons == ("gamma 3.0",)
    assert python_says(prefix, "import alpha, gamma; print(alpha.VERSION, gamma.VERSION)") == "1.0 3.0"
    environments.replace(plan_for("alpha", *environments.foreign_packages(prefix)), prefix, report=Listener())
    assert python_says(prefix, "import alpha, gamma; print(alpha.VERSION, gamma.VERSION)") == "2.0 3.0"
    assert environments.foreign_packages(prefix) == ()


def test_foreign_packages_are_dropped_only_when_told_so(
    index: Index, plan_for: PlanMaker, tmp_path: Path, listener: Listener
) -> None:
    """With `drop_foreign` they go, files outside the library too, and the listener hears of it."""
    index.wheel("gamma", "3.0", scripts={"gamma-says": "gamma:main"})
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    add(prefix, "gamma")
    assert (layout.scripts_of(prefix) / "gamma-says").exists()
    environments.replace(plan_for("alpha"), prefix, report=listener, drop_foreign=True)
    assert "leaving out gamma 3.0, which was added by hand" in listener.details
    assert [one.name for one in environments.list_packages(prefix)] == ["alpha", "beta"]
    assert not (layout.scripts_of(prefix) / "gamma-says").exists()


@pytest.mark.parametrize("editable", [True, False])
def test_package_from_a_directory_stops_the_change(
    plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner, editable: bool
) -> None:
    """No request can bring back what was installed from a directory, so it is named with its place."""
    project = own_project(tmp_path / "project")
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    add(prefix, *(["-e"] if editable else []), str(project))
    for ask in (
        lambda: environments.foreign_packages(prefix),
        lambda: environments.replace(plan_for("alpha"), prefix, report=Listener()),
    ):
        with pytest.raises(RequestError, match="not installed from an index") as caught:
            ask()
        assert project.as_uri() in caught.value.reasons[0]
        assert ("editable" in caught.value.reasons[0]) is editable
        assert "--drop-foreign" in caught.value.hints[0]
    assert python_says(prefix, "import alpha; print(alpha.VERSION)") == "1.0"
    environments.replace(plan_for("alpha"), prefix, report=Listener(), drop_foreign=True)
    assert [one.name for one in environments.list_packages(prefix)] == ["alpha", "beta"]


def test_planned_package_replaced_by_a_directory_stops_the_change(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A planned name that now comes from the user's directory is as foreign as any."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    library = layout.library_of(prefix)
    assert library
    (library / "beta-1.0.dist-info" / "direct_url.json").write_text('{"url": "file:///home/me/beta", "dir_info": {}}')
    with pytest.raises(RequestError, match="not installed from an index"):
        environments.replace(plan_for("alpha"), prefix, report=Listener())


def test_unreadable_origin_counts_as_elsewhere(index: Index, plan_for: PlanMaker, tmp_path: Path) -> None:
    """A package whose origin cannot be read is not taken for one of an index."""
    index.wheel("gamma", "3.0")
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    add(prefix, "gamma")
    library = layout.library_of(prefix)
    assert library
    (library / "gamma-3.0.dist-info" / "direct_url.json").write_text("[1]")
    with pytest.raises(RequestError, match="not installed from an index"):
        environments.foreign_packages(prefix)


def test_files_of_the_users_own_come_along(plan_for: PlanMaker, tmp_path: Path, listener: Listener) -> None:
    """Data, kernels, hooks and modules that the user put there are in the new environment, byte for byte."""
    prefix = tmp_path / "env"
    environments.create(plan_for("alpha<2"), prefix, report=Listener())
    library = layout.library_of(prefix)
    assert library
    kept = {
        prefix / "share" / "jupyter" / "kernels" / "me" / "kernel.json": b"{}",
        prefix / "etc" / "conda" / "activate.d" / "me.sh": b"export A=1\n",
        prefix / "lib" / "libmine.so": b"\x7fELF",
        layout.scripts_of(prefix) / "mine": b"#!/bin/sh\n",
        library / "sitecustomize.py": b"MINE = 1\n",
        library / "mypackage" / "inner" / "__init__.py": b"",
    }
    for path, content in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (layout.scripts_of(prefix) / "mine").chmod(0o755)
    (prefix / "link").symlink_to("share")
    os.mkfifo(prefix / "pipe")
    lost = [
        library / "__pycache__" / "sitecustomize.pyc",
        library / "~lpha" / "half.py",
        library / "mypackage" / "__pycache__" / "inner.pyc",
    ]
    for path in lost:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"stale")
    environments.replace(plan_for("beta"), prefix, report=listener)
    assert {path: path.read_bytes() for path in kept} == kept
    assert os.access(layout.scripts_of(prefix) / "mine", os.X_OK)
    assert (prefix / "link").readlink() == Path("share")
    assert [path for path in lost if path.exists()] == []
    assert not (library / "alpha.py").exists()
    assert not (layout.scripts_of(prefix) / "alpha-says").exists()
    assert [line for line in listener.details if line.startswith("kept 7 ")]


def test_changed_file_of_the_environment_is_made_anew(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A file that the environment itself needs comes from the new one, whatever was done to the old."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    (prefix / "pyvenv.cfg").write_text("home = /nowhere\n")
    environments.replace(plan_for("beta"), prefix, report=Listener())
    assert "relocatable = true" in (prefix / "pyvenv.cfg").read_text()


def test_own_files_survive_a_second_change(plan_for: PlanMaker, tmp_path: Path) -> None:
    """What was carried over once is still the user's own afterwards."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    (prefix / "notes.txt").write_text("mine")
    for spec in ("alpha<2", "alpha", "beta"):
        environments.replace(plan_for(spec), prefix, report=Listener())
        assert (prefix / "notes.txt").read_text() == "mine"


def test_file_names_of_any_bytes_come_along(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A name that is no text is kept as the bytes it is."""
    prefix = tmp_path / "env"
    environments.create(plan_for("beta"), prefix, report=Listener())
    strange = Path(os.fsdecode(os.fsencode(prefix) + b"/\xff\n.dat"))
    try:
        strange.write_bytes(b"1")
    except OSError:
        pytest.skip("the file system takes text only")
    environments.replace(plan_for("beta"), prefix, report=Listener())
    assert strange.read_bytes() == b"1"
