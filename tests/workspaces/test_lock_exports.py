"""A lock written down for other tools, and read by them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import gpuenv
from gpuenv.environments import ExportFormat, export_plan
from gpuenv.environments.dockerfile import cuda_constraint
from gpuenv.environments.needs_of_plan import needs_of_plan
from gpuenv.errors import IntegrityError, RequestError
from gpuenv.machines.written import parse_machine
from gpuenv.model import LockedWheel, Plan, PlannedPackage, Request
from workspaces.team_workspace import KEPLER, V100, TeamWorkspace, YankingIndex


def plan_of(name: str, version: str, build: str, *, cuda: str | None, python: str = "3.8", machine: str = V100) -> Plan:
    """A plan with one GPU package of the catalog, and a lock without files."""
    package = PlannedPackage(name=name, version=version, build=build, gpu=True, cuda=cuda, requirements=(f"{name}==1",))
    return Plan(
        request=Request(specs=(name,)),
        machine=parse_machine(machine),
        python=python,
        packages=(package,),
        wheels=(LockedWheel(name=name, version=version),),
        pylock='lock-version = "1.0"\ncreated-by = "hand"\npackages = []\n',
    )


def test_pip_takes_the_requirements_with_their_hashes(
    index: YankingIndex, workspace: TeamWorkspace, tmp_path: Path
) -> None:
    """A real pip installs them with `--require-hashes`, and refuses a file that is another by then."""
    workspace.wants("alpha<2", machines=("here",))
    workspace.lock()
    text = gpuenv.export_lock(ExportFormat.REQUIREMENTS, start=workspace.directory)
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    made = subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this Python makes no environment with pip")
    pip = [str(tmp_path / "env/bin/python"), "-m", "pip", "--isolated", "--disable-pip-version-check"]
    install = [*pip, "install", "--no-cache-dir", "--require-hashes", "--index-url", os.environ["UV_DEFAULT_INDEX"]]
    done = subprocess.run([*install, "-r", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([*pip, "freeze"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["alpha==1.0", "beta==2.0"]
    file.write_text(re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", text))
    done = subprocess.run([*install, "--force-reinstall", "-r", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0


def test_a_pylock_of_a_lock_installs_the_same(index: YankingIndex, workspace: TeamWorkspace, tmp_path: Path) -> None:
    """What `uv` installs from the exported file is what `gpuenv sync` installs."""
    from gpuenv.channels.uv import run_uv

    workspace.wants("alpha", machines=("here",))
    workspace.lock()
    file = tmp_path / "pylock.toml"
    file.write_text(gpuenv.export_lock(ExportFormat.PYLOCK, start=workspace.directory))
    assert run_uv(["venv", "--python", sys.executable, tmp_path / "env"]).status == 0
    command: list[str | Path] = ["pip", "sync", "--preview-features", "pylock", "--python", tmp_path / "env"]
    assert run_uv([*command, "--require-hashes", file]).status == 0
    workspace.sync()
    ours = {(one.name, one.version) for one in gpuenv.list_packages(workspace.directory / ".venv")}
    frozen = run_uv(["pip", "freeze", "--python", tmp_path / "env"]).stdout.split()
    assert {tuple(line.split("==")) for line in frozen} == ours


def test_one_plan_of_several(catalog_index: None, workspace: TeamWorkspace) -> None:
    """The machine says which; without a machine a lock with one plan needs none."""
    workspace.wants("xgboost", machines=(V100, "gpu=none,os=windows"))
    workspace.lock()
    text = gpuenv.export_lock(
        ExportFormat.REQUIREMENTS, start=workspace.directory, machine=parse_machine("gpu=none,os=windows")
    )
    assert "gpu=none,os=windows" in text.splitlines()[0]
    assert "nvidia-nccl" not in text
    text = gpuenv.export_lock(ExportFormat.REQUIREMENTS, start=workspace.directory, machine=parse_machine(V100))
    assert "nvidia-nccl" in text


def test_a_stale_lock_is_not_exported(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """What other tools would install is not what the project asks for by now, as for `gpuenv sync`."""
    workspace.wants("alpha", machines=("here",))
    workspace.lock()
    workspace.wants("beta", machines=("here",))
    with pytest.raises(IntegrityError) as caught:
        gpuenv.export_lock(ExportFormat.REQUIREMENTS, start=workspace.directory)
    assert "`gpuenv.toml` asks for `beta`, the lock does not" in caught.value.reasons
    assert caught.value.hints == ("bring it up to date: `gpuenv lock`",)


def test_conda_explicit_is_refused_with_what_to_take(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """An explicit file holds conda packages only, and a plan has wheels."""
    workspace.wants("alpha")
    workspace.lock()
    with pytest.raises(RequestError) as caught:
        gpuenv.export_lock(ExportFormat.CONDA_EXPLICIT, start=workspace.directory)
    assert "2 wheels" in caught.value.reasons[0]
    assert "environment.yml" in caught.value.hints[0]


def test_a_dockerfile_without_cuda_in_the_base(catalog_index: None, workspace: TeamWorkspace) -> None:
    """Where wheels bring all libraries the base is Python's; the driver is asked for, and hashes are kept."""
    workspace.wants("xgboost=3=cuda*", machines=(V100,))
    workspace.lock()
    lines = gpuenv.export_lock(ExportFormat.DOCKERFILE, start=workspace.directory).splitlines()
    assert lines[0] == "# syntax=docker/dockerfile:1"
    assert [line for line in lines if line.startswith("FROM")] == ["FROM --platform=linux/amd64 python:3.11-slim"]
    assert 'ENV NVIDIA_DRIVER_CAPABILITIES="compute,utility"' in lines
    assert 'ENV NVIDIA_REQUIRE_CUDA="cuda>=12.0"' in lines
    begin = next(place for place, line in enumerate(lines) if line.startswith("COPY <<'"))
    end = lines.index("END_OF_REQUIREMENTS")
    assert "--only-binary :all:" in lines[begin:end]
    assert sum("--hash=sha256:" in line for line in lines[begin:end]) == sum("==" in line for line in lines[begin:end])
    assert lines[-1] == "RUN pip install --no-cache-dir --require-hashes -r /opt/requirements.txt"


def test_a_dockerfile_for_the_cpu_asks_for_no_driver(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """No NVIDIA variable stands in it."""
    workspace.wants("alpha")
    workspace.lock()
    assert "NVIDIA" not in gpuenv.export_lock(ExportFormat.DOCKERFILE, start=workspace.directory)


@pytest.mark.parametrize(
    ("name", "python", "cuda", "image", "constraint"),
    [
        ("tensorflow", "3.9", "11.8", "nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04", "cuda>=11.0"),
        ("tensorflow", "3.8", "11.2", "nvidia/cuda:11.2.2-cudnn8-runtime-ubuntu20.04", "cuda>=11.0"),
        ("mxnet", "3.8", "10.2", "nvidia/cuda:10.2-runtime-ubuntu18.04", "cuda>=10.2"),
    ],
)
def test_a_dockerfile_with_cuda_in_the_base(name: str, python: str, cuda: str, image: str, constraint: str) -> None:
    """Where no wheel brings CUDA's libraries the base is NVIDIA's, with cuDNN where the package names it."""
    project = gpuenv.find_project(name)
    assert project is not None
    from gpuenv.channels.catalog import builds_of

    build = next(
        one
        for one in builds_of(project, "linux-x86_64", python)
        if one.needs.system_cuda and str(one.needs.cuda) == cuda and one.project == name
    )
    plan = plan_of(name, build.version, build.build, cuda=cuda, python=python)
    lines = export_plan(plan, ExportFormat.DOCKERFILE, name="x").splitlines()
    assert [line for line in lines if line.startswith("FROM")] == [f"FROM --platform=linux/amd64 {image}"]
    assert f"RUN uv venv --python {python} --managed-python /opt/venv" in lines
    assert cuda_constraint(plan.packages, needs_of_plan(plan)) == constraint


def test_code_that_the_driver_compiles_asks_for_a_driver_of_its_cuda() -> None:
    """Numba hands PTX of its CUDA to the driver, which must know it; the floor of the major is not enough."""
    from gpuenv.channels.catalog import builds_of

    project = gpuenv.find_project("numba-cuda") or gpuenv.find_project("numba")
    assert project is not None
    build = next(one for one in builds_of(project, "linux-x86_64", "3.11") if one.needs.jit == "ptx" and one.gpu)
    plan = plan_of(project.name, build.version, build.build, cuda="12.4", python="3.11")
    assert cuda_constraint(plan.packages, needs_of_plan(plan)) == "cuda>=12.4"


def test_a_dockerfile_is_for_linux() -> None:
    """A plan for Windows is refused."""
    plan = plan_of("pytorch", "1", "0", cuda="12.6", machine="gpu=V100,os=windows")
    with pytest.raises(RequestError):
        export_plan(plan, ExportFormat.DOCKERFILE, name="x")


def test_variables_in_a_dockerfile_are_quoted() -> None:
    """What Docker would expand or end a text with is escaped."""
    plan = plan_of("pytorch", "1", "0", cuda="12.6", machine=KEPLER)
    package = msgspec.structs.replace(plan.packages[0], variables={"A": 'b "c" $d \\e'})
    lines = export_plan(
        msgspec.structs.replace(plan, packages=(package,)), ExportFormat.DOCKERFILE, name="x"
    ).splitlines()
    assert 'ENV A="b \\"c\\" \\$d \\\\e"' in lines
