"""Environments of conda packages: made, changed and removed, with wheels beside them, on a Python of conda or not."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from environments.conda_prefixes import SUBDIR, conda_plan
from environments.little_index import Child, Index, Listener, PlanMaker, PythonRunner, beside
from gpuenv import environments
from gpuenv.environments import layout
from gpuenv.environments.conda_history import asked_specs, read_history
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import PlannedPackage, Silence
from little_channel import PLACEHOLDER, LittlePackage, make_channel, python_package

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the packages of these tests are for POSIX")

TEXTS = LittlePackage(
    name="texts",
    subdir=SUBDIR,
    files={
        "share/where.txt": f"prefix={PLACEHOLDER}\n",
        "bin/texts-says": f"#!/bin/sh\necho {PLACEHOLDER}\n",
        "lib/binary.so": b"\x7fELF\0" + PLACEHOLDER.encode() + b"/lib\0rest",
    },
    prefix_files={"share/where.txt": "text", "bin/texts-says": "text", "lib/binary.so": "binary"},
    executable=frozenset({"bin/texts-says"}),
    links={"share/also.txt": "where.txt"},
)
CODE = LittlePackage(
    name="code",
    version="2.0",
    noarch="python",
    depends=("python",),
    files={
        "site-packages/code_module.py": "def main():\n    import sys\n    print('code in', sys.prefix)\n",
        "site-packages/code-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: code\nVersion: 2.0\n",
        "python-scripts/code-script": f"#!{PLACEHOLDER}/bin/python\nprint('script')\n",
    },
    prefix_files={"python-scripts/code-script": "text"},
    executable=frozenset({"python-scripts/code-script"}),
    entry_points=("code-says = code_module:main",),
)
DATA = LittlePackage(name="data", files={"share/data/one.txt": "1"})


@pytest.fixture
def channel(tmp_path: Path, index: Index) -> Path:
    """A channel with a real Python, a package of texts, one of Python code and one of data; caches of its own."""
    return make_channel(tmp_path / "channel", [python_package(real=True), TEXTS, CODE, DATA])


def said_by(*command: str | Path) -> str:
    """What a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def records(prefix: Path) -> dict[str, dict[str, Any]]:
    """The records of a prefix, by package."""
    found = (json.loads(path.read_text("utf-8")) for path in (prefix / "conda-meta").glob("*.json"))
    return {record["name"]: record for record in found}


def names_in(prefix: Path, word: bytes) -> list[str]:
    """The files that hold some bytes."""
    return [
        str(path.relative_to(prefix))
        for path in sorted(prefix.rglob("*"))
        if path.is_file() and not path.is_symlink() and word in path.read_bytes()
    ]


def test_everything_names_the_place_where_it_is(channel: Path, tmp_path: Path) -> None:
    """Files are written as for the place of the environment, though it is built beside it; records are conda's."""
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "texts", "code >=1"), prefix, report=Listener())
    assert (prefix / "share" / "where.txt").read_text() == f"prefix={prefix}\n"
    assert (prefix / "lib" / "binary.so").read_bytes().startswith(b"\x7fELF\0" + os.fsencode(prefix) + b"/lib\0")
    assert said_by(prefix / "bin" / "texts-says") == str(prefix)
    assert said_by(prefix / "bin" / "code-says") == f"code in {prefix}"
    assert said_by(prefix / "bin" / "code-script") == "script"
    assert names_in(prefix, b".gpuenv-new-") == []
    assert beside(prefix) == set()
    found = records(prefix)
    assert set(found) == {"python", "texts", "code"}
    for name, record in found.items():
        assert record["url"] == f"{channel.as_uri()}/{record['subdir']}/{record['fn']}", name
        assert record["channel"].rstrip("/") == channel.as_uri()
        for entry in record["paths_data"]["paths"]:
            if entry["path_type"] == "softlink":
                continue
            content = (prefix / entry["_path"]).read_bytes()
            assert entry["path_type"] != "hardlink" or "sha256_in_prefix" in entry
            assert entry.get("sha256_in_prefix", entry["sha256"]) == hashlib.sha256(content).hexdigest(), entry
        assert Path(record["extracted_package_dir"]).is_dir()
        assert Path(record["package_tarball_full_path"]).name == record["fn"]
        assert isinstance(record["constrains"], list)
        assert record["link"]["source"] == record["extracted_package_dir"]
    assert [found[name].get("requested_spec") for name in ("texts", "code", "python")] == ["texts", "code >=1", None]
    for path in (prefix / "conda-meta").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044, f"{path.name} is not for others to read"


def test_history_goes_on(channel: Path, tmp_path: Path) -> None:
    """Each change is a revision, with what came and went and the specs, as conda reads it."""
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "texts", "code"), prefix, report=Listener())
    environments.replace(conda_plan(channel, "texts", "data"), prefix, report=Listener())
    first, second = read_history(prefix)
    dist = f"{channel.as_uri()}/noarch::code-2.0-0"
    assert f"+{dist}" in first.lines
    assert first.asked == ("texts", "code")
    assert f"-{dist}" in second.lines
    assert f"+{channel.as_uri()}/noarch::data-1.0-0" in second.lines
    assert (second.asked, second.removed) == (("data",), ("code",))
    assert asked_specs((first, second)) == {"texts": "texts", "data": "data"}


def test_own_files_and_no_others_come_along(channel: Path, tmp_path: Path) -> None:
    """A change keeps what the user put there, and nothing that a conda package owned."""
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "texts", "code"), prefix, report=Listener())
    library = layout.library_of(prefix)
    assert library
    own = [prefix / "mine.txt", prefix / "share" / "mine.txt", library / "my_module.py"]
    own += [prefix / "conda-meta" / "state", prefix / "etc" / "conda" / "activate.d" / "my.sh"]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    environments.replace(conda_plan(channel, "code", "data"), prefix, report=Listener())
    assert all(path.exists() for path in own)
    assert not (prefix / "share" / "where.txt").exists()
    assert not (prefix / "share" / "also.txt").is_symlink()
    assert (prefix / "share" / "data" / "one.txt").exists()
    assert {path.name.split("-")[0] for path in (prefix / "conda-meta").glob("*.json")} == {"python", "code", "data"}


def test_wheels_go_into_the_python_of_conda(
    channel: Path, plan_for: PlanMaker, tmp_path: Path, python_says: PythonRunner
) -> None:
    """Wheels are installed into conda's Python, their commands name it where it is, and conda's packages stay."""
    prefix = tmp_path / "env"
    plan = msgspec.structs.replace(
        conda_plan(channel, "texts", "code"), pylock=plan_for("alpha").pylock, wheels=plan_for("alpha").wheels
    )
    managed = LittlePackage(
        name="managed",
        subdir=SUBDIR,
        files={f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/EXTERNALLY-MANAGED": "[externally-managed]\n"},
    )
    second = make_channel(tmp_path / "second", [managed])
    plan = msgspec.structs.replace(plan, conda=(*plan.conda, *conda_plan(second, "managed").conda))
    environments.create(plan, prefix, report=Listener())
    assert python_says(prefix, "import alpha, beta, code_module; print(alpha.VERSION)") == "2.0"
    assert said_by(prefix / "bin" / "alpha-says") == "alpha 2.0 beta 1.0"
    assert names_in(prefix, b".gpuenv-new-") == []
    library = layout.library_of(prefix)
    assert library
    with (library / "alpha-2.0.dist-info" / "RECORD").open(newline="") as file:
        rows = {row[0]: row for row in csv.reader(file)}
    script = rows["../../../bin/alpha-says"]
    digest = hashlib.sha256((prefix / "bin" / "alpha-says").read_bytes()).digest()
    assert script[1] == "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    listed = {one.name: one for one in environments.list_packages(prefix)}
    assert sorted(listed) == ["alpha", "beta", "code", "managed", "python", "texts"]
    assert (listed["alpha"].source, listed["code"].source, listed["code"].build) == ("lock", str(channel), "0")
    assert environments.foreign_packages(prefix) == ()


def test_what_was_added_with_uv_is_not_lost(channel: Path, plan_for: PlanMaker, tmp_path: Path, index: Index) -> None:
    """A wheel that somebody installed into conda's Python is in the next plan, or the change is refused."""
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "code"), prefix, report=Listener())
    from gpuenv.channels.uv import run_uv

    done = run_uv(["pip", "install", "--python", layout.python_of(prefix), "beta"])
    assert done.status == 0, done.stderr
    assert environments.foreign_packages(prefix) == ("beta==1.0",)
    with pytest.raises(RequestError) as caught:
        environments.replace(conda_plan(channel, "texts", "code"), prefix, report=Listener())
    assert caught.value.reasons == ("beta 1.0",)
    with_beta = msgspec.structs.replace(conda_plan(channel, "texts", "code"), pylock=plan_for("beta").pylock)
    environments.replace(with_beta, prefix, report=Listener())
    assert {one.name for one in environments.list_packages(prefix)} >= {"beta", "code", "texts"}


def test_conda_packages_on_a_python_from_here(
    tmp_path: Path, index: Index, plan_for: PlanMaker, python_says: PythonRunner
) -> None:
    """Without a Python of conda the prefix is a virtual environment as well, with a record that stands for Python."""
    channel = make_channel(tmp_path / "channel", [TEXTS, CODE, replace(python_package("3.11.7"), subdir=SUBDIR)])
    prefix = tmp_path / "env"
    wheels = plan_for("alpha")
    plan = conda_plan(channel, "texts", "code", interpreter=sys.executable, pylock=wheels.pylock)
    plan = msgspec.structs.replace(
        plan, conda=tuple(one for one in plan.conda if one.name != "python"), python=wheels.python
    )
    environments.create(plan, prefix, report=Listener())
    assert python_says(prefix, "import alpha, code_module, sys; print(sys.prefix)") == str(prefix)
    assert said_by(prefix / "bin" / "code-says") == f"code in {prefix}"
    assert said_by(prefix / "bin" / "alpha-says") == "alpha 2.0 beta 1.0"
    python = records(prefix)["python"]
    assert python["version"].startswith(wheels.python)
    assert python["files"] == []
    assert {one.name for one in environments.list_packages(prefix)} == {"alpha", "beta", "code", "texts"}
    assert environments.load(prefix).problem is None


def test_without_any_python(channel: Path, tmp_path: Path) -> None:
    """Packages that need no Python get none, and the variables of the plan are those of the prefix."""
    prefix = tmp_path / "env"
    tuned = PlannedPackage(name="data", version="1.0", build="0", variables={"TUNED": "yes"}, source="channel")
    plan = msgspec.structs.replace(conda_plan(channel, "data"), packages=(tuned,))
    environments.create(plan, prefix, report=Listener())
    assert not layout.python_of(prefix).exists()
    assert environments.load(prefix).problem is None
    assert json.loads((prefix / "conda-meta" / "state").read_text())["env_vars"] == {"TUNED": "yes"}


def test_python_of_conda_that_does_not_run(tmp_path: Path, index: Index, plan_for: PlanMaker) -> None:
    """Wheels for a Python that does not run are an error, and nothing is left; without wheels nobody asks it."""
    channel = make_channel(tmp_path / "channel", [python_package("3.11.7", subdir=SUBDIR)])
    prefix = tmp_path / "env"
    plan = conda_plan(channel, "python")
    with pytest.raises(UnavailableError, match="does not run"):
        environments.create(msgspec.structs.replace(plan, pylock=plan_for("beta").pylock), prefix, report=Listener())
    assert not prefix.exists()
    made = environments.create(plan, prefix, report=Listener())
    assert made.notes[0].startswith("the Python of the channel does not run here: ")
    assert records(prefix)["python"]["version"] == "3.11.7"


def test_v3_fields_stay(tmp_path: Path, index: Index) -> None:
    """Flags and extras of a record are in the record of the prefix, and in the plan that is read from it."""
    package = LittlePackage(name="flagged", flags=("cuda",), extra_depends={"more": ("data",)}, files={"f": "1"})
    channel = make_channel(tmp_path / "channel", [package])
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "flagged"), prefix, report=Listener())
    record = records(prefix)["flagged"]
    assert (record["flags"], record["extra_depends"]) == (["cuda"], {"more": ["data"]})


def test_offline_takes_what_is_cached(channel: Path, tmp_path: Path) -> None:
    """A plan whose packages are in the cache is carried out when the channel is gone."""
    plan = conda_plan(channel, "texts", "code")
    environments.create(plan, tmp_path / "first", report=Listener())
    channel.rename(tmp_path / "gone")
    environments.create(plan, tmp_path / "second", report=Listener(), offline=True)
    assert said_by(tmp_path / "second" / "bin" / "texts-says") == str(tmp_path / "second")


def test_failed_change_leaves_the_old(channel: Path, tmp_path: Path) -> None:
    """A package that cannot be fetched leaves the environment as it was, its history too."""
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "texts"), prefix, report=Listener())
    before = {path: path.read_bytes() for path in prefix.rglob("*") if path.is_file()}
    plan = conda_plan(channel, "texts", "data")
    (channel / "noarch" / "data-1.0-0.conda").unlink()
    with pytest.raises(UnavailableError):
        environments.replace(plan, prefix, report=Listener())
    assert {path: path.read_bytes() for path in prefix.rglob("*") if path.is_file()} == before


def environment_of(prefix: Path, child: Child, command: Iterable[str], **environ: str) -> dict[str, str]:
    """The variables that a command sees in the environment."""
    code = f"""
        import os
        from pathlib import Path
        from gpuenv import environments
        os.environ.update({environ!r})
        environments.run_in(Path(PREFIX), {list(command)!r})
    """
    status, out, err = child.run(code, PREFIX=str(prefix))
    assert status == 0, err
    return dict(line.partition("=")[::2] for line in out.split("\0") if line)


def test_activation(channel: Path, tmp_path: Path, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment conda's variables, those of packages and of the user, and activation scripts take effect."""
    active = LittlePackage(
        name="active",
        files={
            "etc/conda/activate.d/20-second.sh": 'export ORDER="$ORDER second"\n',
            "etc/conda/activate.d/10-first.sh": 'export ORDER="first"; export SEEN="$CONDA_PREFIX"\n',
            "etc/conda/env_vars.d/active.json": '{"FROM_PACKAGE": "package", "BOTH": "package"}',
        },
    )
    second = make_channel(tmp_path / "second", [active])
    prefix = tmp_path / "an env"
    environments.create(conda_plan(channel, "code", "active", more=[second]), prefix, report=Listener())
    (prefix / "conda-meta" / "state").write_text('{"env_vars": {"BOTH": "user", "SPACED": "a b $c"}}')
    monkeypatch.setenv("CONDA_PREFIX", "/somewhere/else")
    seen = environment_of(prefix, child, ["env", "-0"], VIRTUAL_ENV="/nowhere")
    assert (seen["ORDER"], seen["SEEN"]) == ("first second", str(prefix))
    assert (seen["FROM_PACKAGE"], seen["BOTH"], seen["SPACED"]) == ("package", "user", "a b $c")
    assert (seen["CONDA_PREFIX"], seen["CONDA_DEFAULT_ENV"], seen["CONDA_SHLVL"]) == (str(prefix), "an env", "1")
    assert seen["PATH"].split(os.pathsep)[0] == str(prefix / "bin")
    code = "import sys; print('\\0'.join(f'{k}={v}' for k, v in enumerate(sys.argv[1:])), end='')"
    words = ["a b", "$HOME", "'quoted'", "", "*"]
    assert list(environment_of(prefix, child, ["python", "-c", code, *words]).values()) == words


def test_scripts_that_change_words(tmp_path: Path, child: Child, index: Index) -> None:
    """A script that sets words and variables of its own keeps neither the others nor the command from running."""
    scripts = {
        "etc/conda/activate.d/1.sh": "set -- x y; n=5; shift; f() { :; }\nexport FIRST=1\n",
        "etc/conda/activate.d/2 'b'.sh": "export SECOND=2\nreturn 0\n",
        "etc/conda/activate.d/c.sh/deeper.sh": "export DEEPER=3\n",
        "etc/conda/activate.d/B.sh": "export LAST=B\n",
        "etc/conda/activate.d/a.b.sh": "export LAST=a\n",
    }
    second = make_channel(tmp_path / "second", [LittlePackage(name="active", files=scripts)])
    prefix = tmp_path / "an env"
    environments.create(conda_plan(second, "active"), prefix, report=Listener())
    seen = environment_of(prefix, child, ["env", "-0"])
    assert (seen.get("FIRST"), seen.get("SECOND"), seen.get("LAST")) == ("1", "2", "a")
    assert "DEEPER" not in seen


def test_shell_activates_a_conda_prefix(channel: Path, tmp_path: Path, index: Index) -> None:
    """A bash in the environment reads the activation scripts after the user's own start files."""
    import shutil

    from gpuenv.environments.shells import shell_command

    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash on this machine")
    files = {
        "etc/conda/activate.d/a.sh": "export ACTIVE=yes\n",
        "etc/conda/activate.d/B.sh": "export ACTIVE=no\n",
        "etc/conda/activate.d/deeper/z.sh": "export ACTIVE=no\n",
    }
    active = LittlePackage(name="active", files=files)
    second = make_channel(tmp_path / "second", [active])
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "texts", "active", more=[second]), prefix, report=Listener())
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("export CONDA_PREFIX=/base PATH=/base/bin:$PATH\n")
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command, variables = shell_command(environments.load(prefix), Path(bash), environ)
    asked = 'echo "$ACTIVE $CONDA_PREFIX $(command -v texts-says) ${VIRTUAL_ENV-none} $PS1"; exit\n'
    done = subprocess.run(command, env=variables, input=asked, capture_output=True, text=True, check=False)
    assert f"yes {prefix} {prefix}/bin/texts-says none (env) " in done.stdout, done.stderr


def test_list_of_conda(channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments of conda packages are on conda's list while they are there, for users of conda alone."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    environments.create(conda_plan(channel, "data"), tmp_path / "before", report=Listener())
    assert not (home / ".conda").exists()
    (home / ".conda").mkdir()
    listed = home / ".conda" / "environments.txt"
    prefix = tmp_path / "an env"
    environments.create(conda_plan(channel, "data"), prefix, report=Listener())
    environments.replace(conda_plan(channel, "texts"), prefix, report=Listener())
    assert listed.read_text() == f"{prefix}\n"
    listed.write_text(f"/other/one\n{prefix}\n")
    environments.remove(prefix)
    assert listed.read_text() == "/other/one\n"
    listed.unlink()
    listed.mkdir()
    environments.create(conda_plan(channel, "data"), prefix, report=Listener())


def test_moved(channel: Path, tmp_path: Path) -> None:
    """An environment whose files name its old place is said to be moved; one of data alone may be moved."""
    first, data = tmp_path / "first", tmp_path / "data"
    environments.create(conda_plan(channel, "texts"), first, report=Listener())
    environments.create(conda_plan(channel, "data"), data, report=Listener())
    for prefix in (first, data):
        assert environments.load(prefix).problem is None
        prefix.rename(prefix.with_name(f"moved-{prefix.name}"))
    problem = environments.load(tmp_path / "moved-first").problem or ""
    assert problem.startswith(f"it was moved here from `{first}`")
    with pytest.raises(UnavailableError, match="cannot run"):
        environments.run_in(tmp_path / "moved-first", ["true"])
    assert environments.load(tmp_path / "moved-data").problem is None
    first.symlink_to(tmp_path / "moved-first")
    assert environments.load(tmp_path / "moved-first").problem is None


def test_active_conda_prefix_is_meant_without_a_name(channel: Path, tmp_path: Path) -> None:
    """Inside of an environment of conda packages commands mean that one."""
    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "data"), prefix, report=Listener())
    assert environments.resolve_prefix(None, None, {"CONDA_PREFIX": str(prefix)}) == prefix


def test_second_writer_is_kept_out(channel: Path, tmp_path: Path) -> None:
    """While one command changes the environment another is refused."""
    from gpuenv.environments.locking import holding

    prefix = tmp_path / "env"
    environments.create(conda_plan(channel, "data"), prefix, report=Listener())
    with holding(prefix, "changing"), pytest.raises(UnavailableError, match="another gpuenv"):
        environments.replace(conda_plan(channel, "texts"), prefix, report=Silence())
