"""Programs and shells inside an environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from environments.little_index import Child, Listener, PlanMaker
from gpuenv import environments
from gpuenv.environments import layout, shells
from gpuenv.environments.activation import activated
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import PlannedPackage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of POSIX")

RUN = """
from pathlib import Path
from gpuenv import environments
environments.run_in(Path(PREFIX), COMMAND.split("|"))
"""

SHELL = """
from pathlib import Path
from gpuenv import environments
from environments.little_index import Listener
class Printing(Listener):
    def step(self, text):
        print("step:", text, flush=True)
    def detail(self, text):
        print("detail:", text, flush=True)
environments.shell_in(Path(PREFIX), report=Printing(), shell=Path(SHELL))
"""


@pytest.fixture
def prefix(plan_for: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment called `my env` with one variable, and a home directory of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for name in ("VIRTUAL_ENV", "ZDOTDIR", "PYTHONHOME", "TOY_VARIABLE"):
        monkeypatch.delenv(name, raising=False)
    package = PlannedPackage(name="one", version="1", build="0", variables={"TOY_VARIABLE": "0"})
    place = tmp_path / "my env"
    environments.create(plan_for("alpha", packages=(package,)), place, report=Listener())
    return place


def test_run_finds_programs_of_the_environment(child: Child, prefix: Path) -> None:
    """A console script of the environment runs by its name."""
    assert child.run(RUN, PREFIX=str(prefix), COMMAND="alpha-says") == (0, "alpha 2.0 beta 1.0\n", "")


def test_run_gives_arguments_and_status_through(child: Child, prefix: Path) -> None:
    """The program gets its arguments as they are, and its status is that of the command."""
    code, out, _ = child.run(
        RUN, PREFIX=str(prefix), COMMAND="python|-c|import sys; print(sys.argv[1:], sys.prefix); sys.exit(7)|a b|$HOME"
    )
    assert (code, out) == (7, f"['a b', '$HOME'] {prefix}\n")


def test_run_gives_variables_to_programs_that_are_no_python(child: Child, prefix: Path) -> None:
    """A program of the system gets the environment's variables and PATH too."""
    _, out, _ = child.run(RUN, PREFIX=str(prefix), COMMAND='sh|-c|echo "$TOY_VARIABLE $VIRTUAL_ENV"; command -v python')
    assert out == f"0 {prefix}\n{prefix}/bin/python\n"


def test_run_of_what_is_not_there(prefix: Path) -> None:
    """An unknown program, no program, and an environment without its Python are told before anything is started."""
    with pytest.raises(RequestError, match="no program `nonesuch`"):
        environments.run_in(prefix, ["nonesuch"])
    with pytest.raises(RequestError, match="no command"):
        environments.run_in(prefix, [])
    layout.python_of(prefix).unlink()
    with pytest.raises(UnavailableError, match="cannot run") as caught:
        environments.run_in(prefix, ["python"])
    assert "--force" in caught.value.hints[0]


def test_variables_inside(prefix: Path) -> None:
    """Inside, PATH begins with the environment, another one is left, and what the user set stays."""
    environment = environments.load(prefix)
    around = {
        "PATH": "/other/bin:/usr/bin", "VIRTUAL_ENV": "/other", "VIRTUAL_ENV_PROMPT": "other", "PYTHONHOME": "/python",
        "CONDA_PREFIX": "/conda", "CONDA_DEFAULT_ENV": "base", "TOY_VARIABLE": "1", "LANG": "C",
    }  # fmt: skip
    assert activated(environment, around) == {
        "PATH": f"{prefix}/bin:/usr/bin", "VIRTUAL_ENV": str(prefix), "VIRTUAL_ENV_PROMPT": "my env",
        "TOY_VARIABLE": "1", "LANG": "C",
    }  # fmt: skip
    assert activated(environment, {})["PATH"].startswith(f"{prefix}/bin:")


def _talk(child: Child, prefix: Path, shell: str, lines: str, environ: Mapping[str, str] | None = None) -> str:
    """What an interactive shell prints, prompts included, when it is given some lines."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} on this machine")
    given = f"PREFIX = {str(prefix)!r}\nSHELL = {program!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", given + SHELL],
        input=lines,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # On a terminal without a name, bash scrolls long lines sideways in what it prints.
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **(environ or {}), "TERM": "xterm"},
        cwd=child.folder,
        timeout=60,
        check=False,
    )
    return done.stdout


LINES = """
echo "<$VIRTUAL_ENV><$TOY_VARIABLE>"
command -v python
alpha-says
echo "prompt: $VIRTUAL_ENV_PROMPT"
"""


@pytest.mark.parametrize(
    ("shell", "start_file"), [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/config.fish")]
)
def test_shell_with_its_start_files(child: Child, prefix: Path, shell: str, start_file: str) -> None:
    """The user's start file runs first, even one that puts another Python in front; then the environment is active."""
    file = Path.home() / start_file
    file.parent.mkdir(parents=True, exist_ok=True)
    (child.folder / "others").mkdir()
    other = child.folder / "others" / "python"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    file.write_text(f'export PATH="{other.parent}:$PATH"\necho start file ran\n')
    said = _talk(child, prefix, shell, LINES)
    assert "start file ran" in said
    assert f"<{prefix}><0>" in said
    assert f"{prefix}/bin/python\n" in said.replace("\r", "")
    assert "alpha 2.0 beta 1.0" in said
    assert f"step: {shell} in `my env`; `exit` leaves it" in said
    assert "prompt: my-env\n" in said
    if shell == "bash":
        assert "(my-env) " in said


def test_zsh_reads_from_the_users_directory(child: Child, prefix: Path) -> None:
    """A user's ZDOTDIR is obeyed and is what the shell knows afterwards."""
    own = child.folder / "zdot"
    own.mkdir()
    (own / ".zshenv").write_text("echo env file ran\n")
    (own / ".zshrc").write_text("echo rc file ran\n")
    said = _talk(child, prefix, "zsh", 'echo "<$ZDOTDIR>"\n', {"ZDOTDIR": str(own)})
    assert "env file ran" in said
    assert "rc file ran" in said
    assert f"<{own}>" in said


@pytest.mark.parametrize("shell", ["dash", "sh"])
def test_plain_shell(child: Child, prefix: Path, shell: str) -> None:
    """A shell without activation script has the environment and a prompt by its variables alone."""
    said = _talk(child, prefix, shell, LINES)
    assert f"<{prefix}><0>" in said
    assert f"{prefix}/bin/python\n" in said
    assert "(my env) $" in said


def test_shell_inside_a_shell_is_said(child: Child, prefix: Path, plan_for: PlanMaker, tmp_path: Path) -> None:
    """A shell in the shell of another environment says so, and has only the inner one on PATH."""
    inner = tmp_path / "inner"
    environments.create(plan_for("beta"), inner, report=Listener())
    _, environ = shells.shell_command(environments.load(prefix), Path("/bin/sh"), os.environ)
    said = _talk(child, inner, "bash", 'echo "<$PATH>"\n', environ)
    assert "detail: inside the shell of `my env`, 2 deep" in said
    path = said.rpartition("<")[2].partition(">")[0].split(":")
    assert path[0] == f"{inner}/bin"
    assert f"{prefix}/bin" not in path


def test_commands_of_shells_that_are_not_here(prefix: Path) -> None:
    """PowerShell gets the prompt as a command, not as a script that a policy might forbid; cmd its batch file."""
    environment = environments.load(prefix)
    command, environ = shells.shell_command(environment, Path("/opt/pwsh"), {"PATH": "/usr/bin"})
    assert command[:4] == ["/opt/pwsh", "-NoLogo", "-NoExit", "-Command"]
    assert "(my env) " in command[4]
    assert environ["PATH"] == f"{prefix}/bin:/usr/bin"
    command, environ = shells.shell_command(environment, Path("cmd.exe"), {"PATH": "/usr/bin"})
    assert command == ["cmd.exe", "/K", f"{prefix}/bin/activate.bat"]
    assert environ["TOY_VARIABLE"] == "0"


def test_find_shell_falls_back_to_the_login_shell(child: Child) -> None:
    """Started by a shell, that shell is found; with none among the parents, the login shell."""
    code = """
    import os
    import psutil
    from gpuenv.environments.shells import find_shell
    psutil.Process.parents = lambda self: []
    print(find_shell({"SHELL": "/bin/login-shell"}), find_shell({}))
    """
    assert child.run(code)[1] == "/bin/login-shell /bin/sh\n"
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash on this machine")
    line = f"{sys.executable} -c 'from gpuenv.environments.shells import find_shell; print(find_shell({{}}))'; true"
    said = subprocess.run([bash, "-c", line], capture_output=True, text=True, check=True).stdout
    assert Path(said.strip()).name == "bash"
