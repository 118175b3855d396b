"""What a request takes from the files of other tools, and what it says it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuenv
from gpuenv.errors import FormatError, GpuenvError, RequestError, UnavailableError
from gpuenv.machines.written import parse_machine
from gpuenv.plans.specs import read_specs
from gpuenv.workspaces import Imported, read_request
from gpuenv.workspaces.conda_specs import read_conda_spec, spec_of_conda
from gpuenv.workspaces.markers import specs_for
from workspaces.team_workspace import V100, TeamWorkspace, YankingIndex


def written(tmp_path: Path, name: str, text: str) -> Path:
    """A file with that text."""
    path = tmp_path / name
    path.write_text(text)
    return path


def test_requirements(tmp_path: Path) -> None:
    """Requirements and wheels at addresses are specs; options, hashes, projects and repositories are told."""
    path = written(
        tmp_path,
        "requirements.txt",
        "--extra-index-url https://index.invalid/simple\n"
        'torch==2.5.1 ; sys_platform == "linux"   # the one we know\n'
        "numpy<2 --hash=sha256:00\n"
        "-e ./here\n"
        "git+https://index.invalid/a/b\n"
        "https://index.invalid/bar-1.0-py3-none-any.whl\n"
        "baz @ https://index.invalid/baz-1.0.tar.gz\n",
    )
    found = read_request(path)
    assert found.specs == (
        'torch==2.5.1; sys_platform == "linux"',
        "numpy<2",
        "bar @ https://index.invalid/bar-1.0-py3-none-any.whl",
    )
    told = "\n".join(found.notes)
    for text in ("UV_INDEX", "hashes", "./here", "git+https", "baz-1.0.tar.gz"):
        assert text in told


def test_markers_are_decided_for_each_platform() -> None:
    """A package that is for another system is not asked for there; one that waits for the Python keeps its marker."""
    specs = ('torch; sys_platform == "linux"', 'plain; python_version < "3.9"', "numpy")
    assert specs_for(specs, "linux-x86_64", "3.11") == ("torch", "numpy")
    assert specs_for(specs, "windows-x86_64", "3.8") == ("plain", "numpy")
    assert specs_for(specs, "windows-x86_64", None) == ('plain; python_version < "3.9"', "numpy")


def test_a_project_with_extras_and_groups(tmp_path: Path) -> None:
    """Extras that name other extras of the project, and groups that include groups, are followed."""
    path = written(
        tmp_path,
        "pyproject.toml",
        """
        [project]
        name = "Team_Work"
        requires-python = ">=3.10"
        dependencies = ["torch>=2", "numpy"]
        [project.optional-dependencies]
        boost = ["xgboost"]
        all = ["team-work[boost]", "rich"]
        [dependency-groups]
        test = ["pytest"]
        dev = ["ruff", {include-group = "test"}]
        """,
    )
    assert read_request(path).specs == ("torch>=2", "numpy", "python >=3.10")
    found = read_request(path, extras=("all",), groups=("dev",))
    assert set(found.specs) == {"torch>=2", "numpy", "rich", "xgboost", "ruff", "pytest", "python >=3.10"}
    with pytest.raises(RequestError) as caught:
        read_request(path, extras=("nothing",))
    assert caught.value.reasons == ("it has boost, all",)
    with pytest.raises(RequestError):
        read_request(path, groups=("nothing",))


def test_groups_that_cannot_be_read(tmp_path: Path) -> None:
    """A circle of groups is the file's fault."""
    path = written(
        tmp_path,
        "pyproject.toml",
        '[project]\nname = "a"\nversion = "1"\n[dependency-groups]\na = [{include-group = "a"}]\n',
    )
    with pytest.raises(FormatError):
        read_request(path, groups=("a",))


def test_dependencies_that_only_a_build_tells(tmp_path: Path) -> None:
    """They are not guessed."""
    path = written(tmp_path, "pyproject.toml", '[project]\nname = "a"\ndynamic = ["dependencies"]\n')
    with pytest.raises(UnavailableError):
        read_request(path)


ENVIRONMENT = """
name: team
channels: [pytorch, conda-forge, nodefaults]
dependencies:
  - python=3.10
  - pytorch=2.3.0=py3.10_cuda12.1_cudnn8.9.2_0
  - pytorch-cuda=12.1
  - nvidia::cudatoolkit=11.8
  - numpy=1.26.4=py310hb13e2d6_0
  - pytables
  - libgcc-ng=12
  - ffmpeg
  - "scipy >=1.10,<2"
  - tensorflow=2.19=gpu_*
  - __cuda>=12
  - pip
  - pip:
    - rich>=13
    - -e ./here
"""


def test_conda_environment(tmp_path: Path) -> None:
    """Packages of conda under the names of their wheels, the part for pip, channels, and what is no wheel."""
    found = read_request(written(tmp_path, "environment.yml", ENVIRONMENT))
    assert found.python == "3.10"
    assert found.conda is not None
    assert (found.conda.channels, found.conda.only_own) == (("pytorch", "conda-forge"), True)
    assert found.conda.specs == (
        *("pytorch=2.3.0=py3.10_cuda12.1_cudnn8.9.2_0", "pytorch-cuda=12.1", "nvidia::cudatoolkit=11.8"),
        *("numpy=1.26.4=py310hb13e2d6_0", "pytables", "libgcc-ng=12", "ffmpeg", "scipy >=1.10,<2"),
        *("tensorflow=2.19=gpu_*", "pip"),
    )
    assert found.conda.wheels == ("rich>=13",)
    assert found.specs == (
        *("pytorch=2.3.0=cuda*", "pytorch-cuda=12.1", "cudatoolkit=11.8", "numpy=1.26.4", "tables"),
        *("scipy>=1.10,<2", "tensorflow=2.19=gpu_*", "rich>=13"),
    )
    told = "\n".join(found.conda.notes)
    for text in ("libgcc-ng", "ffmpeg", "py310hb13e2d6_0", "the channels are not asked"):
        assert text in told
    assert len(found.notes) == 1
    assert "./here" in found.notes[0]
    assert read_specs(found.specs, "linux-x86_64").plain == ("numpy==1.26.4.*", "tables", "scipy<2,>=1.10", "rich>=13")
    assert found.requires.unmet(parse_machine("gpu=V100,driver=470.82.01"))
    assert not found.requires.unmet(parse_machine("gpu=V100,driver=535.129.03"))


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        ("numpy", "numpy"),
        ("numpy=1.2", "numpy=1.2"),
        ("numpy == 1.2", "numpy==1.2"),
        ("numpy 1.2.*", "numpy 1.2.*"),
        ("numpy >= 1.20, <2", "numpy>=1.20, <2"),
        ("numpy 1.26 py310_0", "numpy=1.26"),
        ("conda-forge::numpy", "numpy"),
        ("pytorch=*=*cuda*", "pytorch=*=*cuda*"),
        ("pytorch >=2 cuda*", "pytorch >=2 cuda*"),
        ("pytorch=2.1=cpu_generic_py310", "pytorch=2.1=cpu*"),
        ("opencv", "opencv-python-headless"),
        ("gcc_linux-64", None),
        ("_openmp_mutex=4.5=2_gnu", None),
    ],
)
def test_conda_specs(typed: str, spec: str | None) -> None:
    """Each form of a conda spec, and the spec that a request has for it, which is one."""
    found = read_conda_spec(typed)
    assert found is not None
    made, note = spec_of_conda(found)
    assert made == spec
    assert made is not None or note
    if made:
        assert read_specs((made,), "linux-x86_64")


PIXI = """
[workspace]
channels = ["conda-forge", {channel = "pytorch", priority = 1}]
platforms = ["linux-64", "win-64"]
[dependencies]
python = "3.11.*"
pytorch = { version = ">=2.5", build = "*cuda*", channel = "pytorch" }
numpy = "1.26"
polars = "1.2.*"
ffmpeg = "*"
[pypi-dependencies]
rich = ">=13"
foo = { version = "==1", extras = ["a", "b"] }
lost = { git = "https://index.invalid/a" }
[system-requirements]
cuda = "12"
libc = { family = "glibc", version = "2.34" }
[target.linux-64.dependencies]
xgboost = "*"
[target.win.dependencies]
pywin32 = "*"
[feature.dev.dependencies]
pytest = "*"
[environments]
test = ["dev"]
"""


def test_pixi(tmp_path: Path) -> None:
    """Dependencies of both kinds, targets and features, and what the machine must offer."""
    path = written(tmp_path, "pixi.toml", PIXI)
    machine = parse_machine(V100)
    found = read_request(path, groups=("test",), machines=(machine,))
    assert found.python == "3.11"
    assert found.specs == (
        *("pytorch >=2.5 *cuda*", "numpy==1.26", "polars=1.2", "xgboost", "pytest", "rich>=13", "foo[a,b]==1"),
    )
    assert found.conda is not None
    assert found.conda.channels == ("pytorch", "conda-forge")
    assert found.conda.specs == (
        *("pytorch::pytorch >=2.5 *cuda*", "numpy ==1.26", "polars=1.2", "ffmpeg", "xgboost", "pytest"),
    )
    assert found.conda.wheels == ("rich>=13", "foo[a,b]==1")
    assert any("lost" in note for note in found.notes)
    assert not found.requires.unmet(machine)
    old = parse_machine("gpu=V100,driver=470.82.01,glibc=2.31,os=linux,arch=aarch64")
    assert found.requires.unmet(old) == (
        f"it is for linux-64, win-64, and `{old.name}` is linux-aarch64",
        f"it asks for a driver that serves CUDA 12.0; the driver of `{old.name}` serves 11.4",
        f"it asks for the GNU C library 2.34; `{old.name}` has 2.31",
    )
    assert any("target.linux-64" in note for note in read_request(path).notes)
    with pytest.raises(RequestError) as caught:
        read_request(path, groups=("nothing",))
    assert caught.value.reasons == ("it has dev, test",)


def test_pixi_within_a_project(tmp_path: Path) -> None:
    """`tool.pixi` of a `pyproject.toml` goes together with the project's own dependencies."""
    text = '[project]\nname = "a"\ndependencies = ["rich"]\n[tool.pixi.workspace]\nchannels = ["conda-forge"]\n'
    text += '[tool.pixi.dependencies]\npytorch = "*"\n'
    found = read_request(written(tmp_path, "pyproject.toml", text))
    assert found.specs == ("pytorch", "rich")
    assert found.conda is not None
    assert found.conda.channels == ("conda-forge",)
    assert found.conda.wheels == ("rich",)


def test_pylock(tmp_path: Path) -> None:
    """Each package of a pylock in the version that it locks."""
    text = """
        lock-version = "1.0"
        created-by = "uv"
        requires-python = ">=3.11"
        [[packages]]
        name = "alpha"
        version = "1.0"
        marker = "sys_platform == 'linux'"
        wheels = [{ url = "https://index.invalid/alpha-1.0-py3-none-any.whl", hashes = { sha256 = "00" } }]
        [[packages]]
        name = "lost"
        vcs = { type = "git", url = "https://index.invalid/a", commit-id = "1" }
    """
    found = read_request(written(tmp_path, "pylock.dev.toml", text))
    assert found.specs == ('alpha==1.0 ; sys_platform == "linux"', "python >=3.11")
    assert any("lost" in note for note in found.notes)


def test_files_that_are_no_request(tmp_path: Path) -> None:
    """Locks of others, what is not there, and options that do not belong."""
    for name, text in (("uv.lock", "version = 1\n"), ("pixi.lock", "version: 6\n"), ("a.json", "{}")):
        with pytest.raises(RequestError):
            read_request(written(tmp_path, name, text))
    with pytest.raises(RequestError):
        read_request(tmp_path / "missing.txt")
    with pytest.raises(RequestError):
        read_request(written(tmp_path, "requirements.txt", "a\n"), extras=("x",))


@given(
    st.sampled_from(["requirements.txt", "pyproject.toml", "environment.yml", "pixi.toml", "pylock.toml"]),
    st.binary(max_size=120) | st.sampled_from([ENVIRONMENT, PIXI]).map(str.encode),
    st.integers(0, 600),
    st.binary(max_size=3),
)
def test_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes, place: int, more: bytes
) -> None:
    """Whatever is in such a file, it is a request or an error of ours."""
    directory = tmp_path_factory.getbasetemp() / "any-files"
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_bytes(content[:place] + more + content[place:])
    try:
        assert isinstance(read_request(path), Imported)
    except GpuenvError:
        return


def test_plan_and_create_take_a_file(
    index: YankingIndex,
    workspace: TeamWorkspace,
    alone: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`-r FILE` stands for the packages, and what stays behind is a note of the plan."""
    from gpuenv.cli.main import main

    alone.chdir(workspace.directory)
    written(workspace.directory, "requirements.txt", '-e ./here\nalpha<2\nbeta ; sys_platform == "win32"\n')
    command = ["-r", "requirements.txt", "--index-policy", "pypi"]
    assert main(["plan", *command, "-m", "gpu=none", "--python", "3.11"]) == 0
    text = capsys.readouterr().out
    assert "./here" in text
    assert "alpha" in text
    assert main(["create", "-r", "requirements.txt", "-p", "env"]) == 0
    assert [one.version for one in gpuenv.list_packages(Path("env")) if one.name == "alpha"] == ["1.0"]
    assert main(["plan"]) == 2
    assert main(["plan", "alpha", "--extra", "x"]) == 2
