"""Environments written down for other tools, and read by them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from msgspec import structs

from environments.little_index import Index, Listener, PlanMaker, PythonRunner
from gpuenv import environments
from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import find_uv, uv_environ
from gpuenv.environments import ExportFormat, layout
from gpuenv.errors import RequestError
from gpuenv.model import Plan, PlannedPackage, from_json, to_json


@pytest.fixture
def prefix(index: Index, plan_for: PlanMaker, tmp_path: Path) -> Path:
    """An environment with wheels, a project built from source, and a variable."""
    for version in ("1.0", "2.0"):
        index.backend(version)
    index.sdist("fromsource", "1.0", backend="toybackend")
    package = PlannedPackage(name="one", version="1", build="0", variables={"TOY_VARIABLE": 'a "b" \\ c'})
    plan = plan_for(
        "alpha<2",
        "fromsource",
        packages=(package,),
        source_packages=("fromsource",),
        build_constraints=("toybackend<2",),
    )
    environments.create(plan, tmp_path / "env", report=Listener())
    return tmp_path / "env"


def uv(*words: str | Path) -> None:
    """Run uv as a user would."""
    done = subprocess.run([find_uv(), *words], capture_output=True, text=True, env=uv_environ(), check=False)
    assert done.returncode == 0, done.stderr


def test_json_is_the_plan(prefix: Path) -> None:
    """The JSON export is the plan itself."""
    assert from_json(environments.export(prefix, ExportFormat.JSON), Plan) == environments.load(prefix).plan


def test_requirements_install_the_same_set(prefix: Path, tmp_path: Path, python_says: PythonRunner) -> None:
    """Uv installs the file with every hash checked, and what is there is the same."""
    text = environments.export(prefix, ExportFormat.REQUIREMENTS)
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    uv("venv", "--python", sys.executable, tmp_path / "other")
    uv("pip", "install", "--python", tmp_path / "other", "--require-hashes", "-r", file)
    code = "import alpha, beta, fromsource; print(alpha.VERSION, beta.VERSION)"
    assert python_says(tmp_path / "other", code) == "1.0 1.0"
    assert '# Set the environment variable TOY_VARIABLE=a "b" \\ c' in text
    assert "# Build with the constraint toybackend<2" in text
    assert "# Asked for: alpha<2 fromsource" in text
    assert text.count("--hash=sha256:") == 3


def test_requirements_are_read_by_pip(prefix: Path, index: Index, tmp_path: Path) -> None:
    """Pip takes the same file in its mode that checks hashes."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no pip beside this Python")
    # Without the project from source, which pip would build to learn its name.
    text = environments.export(prefix, ExportFormat.REQUIREMENTS).replace("--no-binary fromsource\n", "")
    file = tmp_path / "requirements.txt"
    file.write_text(re.sub(r"fromsource==.*\\\n.*\n", "", text))
    command = [sys.executable, "-m", "pip", "--isolated", "download", "--no-deps", "--require-hashes"]
    command += ["--index-url", index.url, "-d", str(tmp_path / "files"), "-r", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == [
        "alpha-1.0-py3-none-any.whl",
        "beta-1.0-py3-none-any.whl",
    ]


def test_pylock_is_the_lock_with_what_it_has_no_field_for(
    prefix: Path, tmp_path: Path, python_says: PythonRunner
) -> None:
    """Uv installs the file, and the table of the tool holds the variables and what building needs."""
    text = environments.export(prefix, ExportFormat.PYLOCK)
    tool = tomllib.loads(text)["tool"]["gpuenv"]
    assert tool["variables"] == {"TOY_VARIABLE": 'a "b" \\ c'}
    assert tool["build-constraints"] == ["toybackend<2"]
    assert tool["source-packages"] == ["fromsource"]
    assert read_lock(text) == read_lock(environments.load(prefix).plan.pylock)
    (tmp_path / "pylock.toml").write_text(text)
    uv("venv", "--python", sys.executable, tmp_path / "other")
    uv("pip", "sync", "--preview-features", "pylock", "--python", tmp_path / "other", tmp_path / "pylock.toml")
    assert python_says(tmp_path / "other", "import alpha; print(alpha.VERSION)") == "1.0"


def test_conda_file(prefix: Path) -> None:
    """The conda file pins Python, lists every package for pip, and sets the variables, with all strings quoted."""
    text = environments.export(prefix, ExportFormat.CONDA)
    python = environments.load(prefix).plan.python
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'name: "env"',
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={python}.*",
        "  - pip",
        "  - pip:",
        '      - "--only-binary :all:"',
        '      - "--no-binary fromsource"',
        '      - "alpha==1.0"',
        '      - "beta==1.0"',
        '      - "fromsource==1.0"',
        "variables:",
        '  TOY_VARIABLE: "a \\"b\\" \\\\ c"',
    ]
    assert "# Build with the constraint toybackend<2" in text


def test_what_was_added_by_hand_is_a_comment(prefix: Path) -> None:
    """A package beside the lock is in no export but as a comment."""
    library = layout.library_of(prefix)
    assert library
    (library / "gamma-3.0.dist-info").mkdir()
    (library / "gamma-3.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: gamma\nVersion: 3.0\n")
    for kind in (ExportFormat.REQUIREMENTS, ExportFormat.PYLOCK, ExportFormat.CONDA):
        text = environments.export(prefix, kind)
        assert [line for line in text.splitlines() if "gamma" in line] == ["# Added by hand, in no lock: gamma==3.0"]


def test_export_of_what_is_no_environment(tmp_path: Path) -> None:
    """There must be an environment to write down."""
    for kind in ExportFormat:
        with pytest.raises(RequestError, match="there is no environment"):
            environments.export(tmp_path / "env", kind)


def test_packages_that_come_from_addresses(prefix: Path) -> None:
    """An archive, a repository and a directory are written as the requirements that bring them."""
    lock = """
lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "archived"
version = "1.0"
marker = "sys_platform == 'linux'"
archive = { url = "https://files.invalid/archived-1.0.whl", hashes = { sha256 = "00" } }
[[packages]]
name = "cloned"
vcs = { type = "git", url = "https://git.invalid/cloned", commit-id = "abc", subdirectory = "python" }
[[packages]]
name = "here"
directory = { path = "../here", editable = true }
"""
    state = environments.load(prefix).state
    changed = structs.replace(state, plan=structs.replace(state.plan, pylock=lock))
    layout.state_path(prefix).write_text(to_json(changed))
    text = environments.export(prefix, ExportFormat.REQUIREMENTS)
    assert (
        'archived @ https://files.invalid/archived-1.0.whl ; sys_platform == "linux" \\\n    --hash=sha256:00\n' in text
    )
    assert "cloned @ git+https://git.invalid/cloned@abc#subdirectory=python\n" in text
    assert "-e ../here\n" in text
