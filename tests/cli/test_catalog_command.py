"""`gpuenv catalog` as a user meets it: text, JSON, exit codes, kills; the real program against an index on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gpuenv import settings
from gpuenv.channels.catalog.releases import decode_rows, packaged_content
from lone_uv import alone_with
from loopback_index import LoopbackIndex, Reply
from targets.made_packages import LINUX, library, put, sass

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCHEMAS = Path(settings.__file__).parent / "schemas"
NAME = "xgboost-cpu"
CODE = {"xgb/libxgb.so": library(sass(80, 90))}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackIndex]:
    """An empty index, the only one that `uv` knows."""
    with alone_with(monkeypatch, tmp_path_factory.mktemp("uv-cache")) as made:
        yield made


@pytest.fixture
def environ(index: LoopbackIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a user whose data and cache are empty."""
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    return {**os.environ, "GPUENV_CACHE_DIR": str(tmp_path / "cache"), "GPUENV_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def catalog(environ: dict[str, str], tmp_path: Path) -> Run:
    """Run `gpuenv catalog` in an empty directory; no answer is a traceback or wider than 80 columns."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "gpuenv", "catalog", *words],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        if "--json" not in words:
            assert all(len(line) <= 80 and line == line.rstrip() for line in done.stdout.splitlines()), done.stdout
        return done

    return run


def document(done: subprocess.CompletedProcess[str], schema: str) -> Any:
    """What was printed, which the schema admits."""
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    return found


def test_status_without_a_copy(catalog: Run) -> None:
    """It says how old the catalog is and how much is in it; with -v each name."""
    done = catalog("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "none; `gpuenv catalog update` makes one" in done.stdout
    assert done.stdout.startswith("newest change ")
    assert NAME in catalog("status", "-v").stdout
    status = document(catalog("status", "--json"), "catalog-status")
    assert (status["own_date"], status["problems"]) == (None, [])


def test_update_and_status(catalog: Run, index: LoopbackIndex) -> None:
    """What changed is a table; the copy is told of, and its damage."""
    put(index, NAME, CODE, version="99.0.0")
    done = catalog("update", NAME)
    assert (done.returncode, done.stderr) == (0, "")
    assert "99.0.0" in done.stdout
    assert "1 name asked for, 1 changed" in done.stdout
    assert document(catalog("update", NAME, "--json"), "catalog-update")["changes"] == []
    status = document(catalog("status", "--json"), "catalog-status")
    assert [one["newest"] for one in status["projects"] if one["is_own"]] == ["99.0.0"]
    path = Path(status["directory"], "releases", f"{NAME}.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    damaged = catalog("status")
    assert damaged.returncode == 0
    assert "note: your copy of the catalog is damaged" in damaged.stdout
    assert document(catalog("status", "--json"), "catalog-status")["problems"]
    assert catalog("update", NAME).returncode == 0
    assert "note:" not in catalog("status").stdout


def test_build_writes_files_as_the_package_has_them(catalog: Run, index: LoopbackIndex, tmp_path: Path) -> None:
    """`--budget 0` opens nothing and says what is left."""
    put(index, NAME, CODE, version="99.0.0")
    done = catalog("build", NAME, "-o", "out", "--budget", "0")
    assert done.returncode == 0
    assert "1 wheel is still to be opened" in done.stdout
    assert catalog("build", NAME, "-o", "out").returncode == 0
    (row,) = decode_rows((tmp_path / "out" / f"{NAME}.jsonl").read_bytes())
    assert (row.version, list(row.code)) == ("99.0.0", ["linux-x86_64"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{NAME}.jsonl"]


def test_build_compares_a_second_python(catalog: Run, index: LoopbackIndex) -> None:
    """0 where the GPU code is the same, 1 and what differs where it is not; after the table of what changed."""
    for python, code in (("311", sass(80)), ("312", sass(90))):
        module = {f"xgb/_gpu.cpython-{python}-x86_64-linux-gnu.so": library(code)}
        put(index, NAME, module, version="99.0.0", tag=f"cp{python}-cp{python}-manylinux_2_28_x86_64")
    done = catalog("build", NAME, "-o", "out", "--second-python")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("name")
    assert "1 wheel for another Python compared: 1 thing differs" in lines
    told = document(catalog("build", NAME, "-o", "out", "--second-python", "--json"), "catalog-update")
    assert [(one["recorded"], one["read"]) for one in told["differences"]] == [("1 x sm_80", "1 x sm_90")]


def test_exit_codes_of_verify(catalog: Run, index: LoopbackIndex) -> None:
    """0 equal, 1 different, 2 no such row, 3 could not be read."""
    put(index, NAME, CODE, version="99.0.0")
    catalog("update", NAME)
    same = catalog("verify", f"{NAME}==99.0.0")
    assert (same.returncode, same.stdout.splitlines()[0]) == (0, f"{NAME} 99.0.0: the catalog says what its files say")
    put(index, NAME, {"xgb/libxgb.so": library(sass(75))}, version="99.0.0")
    other = catalog("verify", f"{NAME}==99.0.0")
    assert other.returncode == 1
    assert "sm_75" in other.stdout
    found = document(catalog("verify", f"{NAME}==99.0.0", "--json"), "catalog-verification")
    assert {one["what"] for one in found["differences"]} >= {"linux-x86_64 libxgb.so"}
    assert catalog("verify", "nothing==1.0").returncode == 2
    index.always = Reply(body=b"no", status=403)
    silent = catalog("verify", f"{NAME}==99.0.0")
    assert silent.returncode == 3
    assert silent.stderr.startswith("error: ")


def test_an_update_of_which_a_part_fails(catalog: Run, index: LoopbackIndex) -> None:
    """What could be read is kept, the rest is told, and the exit code is 3."""
    put(index, NAME, CODE, version="99.0.0")
    done = catalog("update", NAME, "xgboost-cu13")
    assert done.returncode == 3
    assert "there is no file" in done.stderr
    status = document(catalog("status", "--json"), "catalog-status")
    assert [one["newest"] for one in status["projects"] if one["wheel"] == NAME] == ["99.0.0"]


class SlowIndex(LoopbackIndex):
    """An index that takes its time with one file."""

    def answer(self, path: str, accept: str) -> Reply:
        """As the others, a minute later."""
        if path.endswith(f"99.2.0-{LINUX}.whl"):
            time.sleep(60)
        return super().answer(path, accept)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_build_that_is_killed_loses_the_wheel_in_work(environ: dict[str, str], tmp_path: Path, number: str) -> None:
    """All rows are whole, those of wheels that were read have their code, and the next build goes on from there."""
    slow = SlowIndex()
    for version in ("99.0.0", "99.1.0", "99.2.0"):
        put(slow, "xgboost", CODE, version=version)
    path = tmp_path / "out" / "xgboost.jsonl"
    command = [sys.executable, "-m", "gpuenv", "catalog", "build", "xgboost", "-o", "out"]
    with slow.serving() as url:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environ | {"UV_DEFAULT_INDEX": url}, stderr=subprocess.PIPE
        )
        until = time.monotonic() + 60
        while sum(bool(row.code) for row in read(path)) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(getattr(signal, number))
        started = time.monotonic()
        _, said = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert b"Traceback" not in said
    assert process.returncode == (-signal.SIGKILL if number == "SIGKILL" else 130)
    assert [(row.version, bool(row.code)) for row in read(path)] == [
        ("99.0.0", True),
        ("99.1.0", True),
        ("99.2.0", False),
    ]
    plain = LoopbackIndex(projects=slow.projects)
    with plain.serving() as url:
        done = subprocess.run(command, cwd=tmp_path, env=environ | {"UV_DEFAULT_INDEX": url}, check=False, timeout=60)
    assert done.returncode == 0
    assert all(row.code for row in read(path))
    assert {one for one in plain.asked if one.endswith(".whl")} == {f"/simple/xgboost/xgboost-99.2.0-{LINUX}.whl"}
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["xgboost.jsonl"]


def read(path: Path) -> list[Any]:
    """The rows of a file that may be replaced at any moment; each reading must find whole ones."""
    return [*decode_rows(path.read_bytes())] if path.exists() else []


def test_a_plan_passes_over_a_release_that_was_yanked(
    catalog: Run, environ: dict[str, str], index: LoopbackIndex
) -> None:
    """After an update no plan takes it, and the packaged rows are as they were."""
    rows = decode_rows(packaged_content(NAME))
    for row in rows:
        index.add(NAME, row.version, tags=(LINUX,), requires=row.requires)
    index.add("numpy", "1.26.4")
    newest = rows[-1].version
    index.yanked[f"xgboost_cpu-{newest}-{LINUX}.whl"] = "broken"
    done = catalog("update", NAME, "--budget", "0", "--json")
    assert document(done, "catalog-update")["changes"][0]["withdrawn"] == [newest]
    planned = subprocess.run(
        [sys.executable, "-m", "gpuenv", "plan", "py-xgboost", "--machine", "gpu=none,glibc=2.35", "--python", "3.11"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert planned.returncode == 0, planned.stderr
    assert rows[-2].version in planned.stdout
    assert f" {newest} " not in planned.stdout
