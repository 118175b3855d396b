"""`gpuenv inspect` and `gpuenv check` as a user meets them: text, JSON, exit codes, bad input; the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from artifacts.made_conda import conda, files_tar, info_tar
from artifacts.made_environments import install, make_venv
from artifacts.made_wheels import patch_entry
from artifacts.range_server import RangeServer
from binaries.made_files import container, entry
from gpuenv import settings
from gpuenv.model import CheckReport, InspectionReport, from_json, to_json
from lone_uv import alone_with
from loopback_index import LoopbackIndex, Reply
from targets.made_packages import LINUX, addressed, library, put, sass, write_wheel

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCHEMAS = Path(settings.__file__).parent / "schemas"
A100, T4 = "gpu=A100,driver=570.133.07", "gpu=T4,driver=570.133.07"
# PTX 8.7 came with CUDA 12.8, which the first of these drivers serves and the second does not.
H100, H100_OLD = "gpu=H100,driver=570.133.07", "gpu=H100,driver=550.54.15"
CODE = library(sass(80), padding=3000)
FILE = f"gt_a-1.0-{LINUX}.whl"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackIndex]:
    """An empty index, the only one that `uv` knows."""
    with alone_with(monkeypatch, tmp_path_factory.mktemp("uv-cache")) as made:
        yield made


@pytest.fixture
def gpuenv(index: LoopbackIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `gpuenv` in an empty directory with a cache of its own; no answer is a traceback or wider than 80 columns."""
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "gpuenv", *words],
            cwd=tmp_path,
            env=os.environ | {"GPUENV_CACHE_DIR": str(tmp_path / "kept")} | environ,
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
    """What was printed, which the schema admits and the model reads back as it was."""
    found = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    kind = InspectionReport if schema == "inspection" else CheckReport
    assert json.loads(to_json(from_json(done.stdout, kind))) == found
    return found


# ---- answers --------------------------------------------------------------------------------------------------------


def test_inspect_a_name_on_the_index(gpuenv: Run, index: LoopbackIndex) -> None:
    """The table names the library and its GPUs; bytes are fetched once, and nothing else is printed."""
    put(index, "gt-a", {"gt_a/libgt.so": library(sass(80, 86), sass(80, 86))})
    first = document(gpuenv("inspect", "--json", "gt-a"), "inspection")
    assert first["artifacts"][0]["fetched_bytes"] > 0
    again = document(gpuenv("inspect", "--json", "gt-a"), "inspection")
    assert again["artifacts"][0]["fetched_bytes"] == 0
    done = gpuenv("inspect", "gt-a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("gt-a 1.0\n  wheel for Linux x86_64, ")
    assert ["libgt.so", "8.0", "8.6", "2", "8.0", "to", "8.9"] in [line.split() for line in done.stdout.splitlines()]


def test_inspect_says_it_in_one_line_each(gpuenv: Run, tmp_path: Path) -> None:
    """With `--summary`; what uses no GPU is counted."""
    write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE})
    for name in ("gt-b", "gt-c"):
        write_wheel(tmp_path, name, {f"{name}/__init__.py": b""}, tag="py3-none-any")
    done = gpuenv("inspect", "--summary", ".")
    assert [line.split()[0] for line in done.stdout.splitlines() if line] == ["package", "gt-a", "2"]
    assert "2 more use no GPU; `-v` shows them." in done.stdout
    assert len(gpuenv("inspect", "--summary", "-v", ".").stdout.splitlines()) == 4
    write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE}, tag="py3-none-manylinux_2_30_x86_64")
    lines = gpuenv("inspect", "--summary", ".").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [FILE, FILE.replace("2_28", "2_30")]


@pytest.mark.parametrize(
    ("machines", "options", "code"),
    [
        ([A100], [], 0),
        ([T4], [], 1),
        ([H100], [], 0),
        ([H100], ["--strict"], 1),
        ([H100_OLD], [], 1),
        ([A100, T4], [], 1),
        ([A100, H100], [], 0),
        ([A100], ["--strict"], 0),
        ([f"{A100},glibc=2.17"], [], 1),
    ],
)
def test_check_answers_by_exit_code(
    gpuenv: Run, tmp_path: Path, machines: list[str], options: list[str], code: int
) -> None:
    """0 works or degraded, 1 fails, and with `--strict` degraded too; the JSON says the same."""
    unit = container(entry(80), entry(80, kind=1, isa=(8, 7)))
    place = write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": library(unit)})
    words = ["check", place.name, *options, *(word for one in machines for word in ("--machine", one))]
    done = gpuenv(*words, "--json")
    assert (done.returncode, done.stderr) == (code, "")
    found = document(done, "check")
    assert len(found["machines"]) == len(found["rows"][0]["answers"]) == len(machines)


def test_check_of_what_cannot_be_told(gpuenv: Run, tmp_path: Path) -> None:
    """3: a C library newer than the assumed one may be there or not. The hint says how to tell."""
    tag = "py3-none-manylinux_2_34_x86_64"
    place = write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE}, tag=tag)
    done = gpuenv("check", place.name, "-m", A100)
    assert done.returncode == 3
    assert "unknown" in done.stdout
    assert "hint: " in done.stdout
    assert "glibc" in done.stdout.rpartition("hint: ")[2]


def test_check_of_many_on_many_is_a_matrix(gpuenv: Run, tmp_path: Path) -> None:
    """Verdicts by package and machine, with the reasons below, in columns that fit."""
    for name, number in (("gt-a", 80), ("gt-b", 75), ("gt-c", 90), ("gt-d", 120)):
        write_wheel(tmp_path, name, {f"{name}/libgt.so": library(sass(number))})
    done = gpuenv("check", ".", "-m", A100, "-m", T4)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["package", "A100", "T4"] in lines
    assert ["gt-a", "1.0", "works", "fails"] in lines
    assert ["gt-b", "1.0", "fails", "works"] in lines
    assert "why" in done.stdout
    many = [word for one in range(12) for word in ("-m", f"gpu=RTX5090,driver=570.133.07,memory={one + 8}GiB")]
    wide = gpuenv("check", ".", *many)
    lines = [line.split() for line in wide.stdout.splitlines()]
    parts = [line[1:] for line in lines if line[:1] == ["package"]]
    assert [label for part in parts for label in part] == [f"#{number}" for number in range(1, 13)]
    assert sum(line.count("fails") for line in lines if line[:2] == ["gt-a", "1.0"]) == 12
    assert any(line[:4] == ["gt-a", "1.0", "on", "#1,"] for line in lines)


def test_check_of_one_on_several_tells_each(gpuenv: Run, index: LoopbackIndex, tmp_path: Path) -> None:
    """A line for each machine with its reason; of a package that it does not get, that."""
    put(index, "gt-a", {"gt_a/__init__.py": b""}, tag="py3-none-any", requires=('gt-b; sys_platform == "linux"',))
    put(index, "gt-b", {"gt_b/libgt.so": CODE})
    (tmp_path / "requirements.txt").write_text("gt-a\n")
    words = ("check", "requirements.txt", "-m", A100, "-m", "os=windows,gpu=RTX3090,driver=572.16", "-m", T4)
    done = gpuenv(*words)
    assert done.returncode == 1
    assert "A100      works" in done.stdout
    assert "RTX3090            no part of what it gets" in done.stdout
    assert "T4        fails" in done.stdout
    found = document(gpuenv(*words, "--json"), "check")
    by_name = {row["subject"]: row["answers"] for row in found["rows"]}
    assert [answer and answer["verdict"] for answer in by_name["gt-b 1.0"]] == ["works", None, "fails"]


def test_an_environment_and_its_packages(gpuenv: Run, tmp_path: Path) -> None:
    """By its path as a target, and with `-p`; a name that is not there ends with 2 and near names."""
    site = make_venv(tmp_path / "env")
    install(site, "gt-a", "1.0", {"gt_a/libgt.so": CODE}, tags=(LINUX,))
    install(site, "gt-b", "1.0", {"gt_b/__init__.py": b""})
    assert gpuenv("check", "./env", "-m", A100).returncode == 0
    assert gpuenv("check", "-p", "env", "gt-a", "-m", T4).returncode == 1
    done = gpuenv("check", "-p", "env", "gt-aa", "-m", A100)
    assert done.returncode == 2
    assert "`gt-aa` is not installed" in done.stderr
    assert "hint: did you mean `gt-a`" in done.stderr
    assert gpuenv("inspect", "-p", "nothing").returncode == 2


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["inspect", "check"])
@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("gt_a-1.0-py3-none-any.whl", None, 2, "there is no file"),
        ("gt_a-1.0-py3-none-any.whl", b"<!DOCTYPE html><html>Please log in</html>", 3, "is not a zip archive"),
        ("gt_a-1.0-py3-none-any.whl", b"", 3, "is not a zip archive"),
        ("libgt.so", b"\x7fELF", 3, "libgt.so"),
        ("libgt.so", b"nothing of the kind", 3, "libgt.so"),
        ("gt.conda", b"PK", 3, "gt.conda"),
    ],
)
def test_files_that_are_not_what_they_seem(
    gpuenv: Run, tmp_path: Path, verb: str, name: str, content: bytes | None, code: int, said: str
) -> None:
    """A message on standard error, and the same in JSON, with its exit code."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = gpuenv(verb, f"./{name}", "--json", *(("-m", A100) if verb == "check" else ()))
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    found = document(done, "inspection" if verb == "inspect" else "check")
    assert [problem["exit_code"] for problem in found["problems"]] == [code]


def test_a_truncated_wheel(gpuenv: Run, tmp_path: Path) -> None:
    """Its directory is at its end; the others are told."""
    place = write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE})
    place.write_bytes(place.read_bytes()[:-100])
    other = write_wheel(tmp_path, "gt-b", {"gt_b/libgt.so": CODE})
    done = gpuenv("inspect", place.name, other.name)
    assert done.returncode == 3
    assert done.stdout.startswith("gt-b 1.0")
    assert "is not a zip archive" in done.stderr


def test_an_encrypted_member(gpuenv: Run, tmp_path: Path) -> None:
    """It is named, and the other libraries are read."""
    place = write_wheel(tmp_path, "gt-a", {"gt_a/one.so": CODE, "gt_a/two.so": library(sass(90))})
    place.write_bytes(patch_entry(place.read_bytes(), 1, flags=1))
    done = gpuenv("inspect", place.name)
    assert done.returncode == 3
    assert "one.so" in done.stdout
    assert "`gt_a/two.so` in" in done.stderr
    assert "is encrypted" in done.stderr


def test_a_member_that_lies_about_its_size(gpuenv: Run, tmp_path: Path) -> None:
    """Nobody knows what it holds, and so whether the package uses a GPU."""
    place = write_wheel(tmp_path, "gt-a", {"gt_a/one.so": CODE})
    place.write_bytes(patch_entry(place.read_bytes(), 0, size=1000))
    done = gpuenv("inspect", place.name)
    assert done.returncode == 3
    assert "uses a GPU  unknown" in done.stdout
    assert "1000" in done.stderr
    assert gpuenv("check", place.name, "-m", A100).returncode == 3


def test_a_bomb(gpuenv: Run, tmp_path: Path) -> None:
    """A member of 200 MB that is packed into 200 kB passes by; one that declares more than anybody makes is refused."""
    place = write_wheel(tmp_path, "gt-a", {"gt_a/one.so": CODE + bytes(200_000_000)})
    code = (
        "import sys; from gpuenv.cli.main import main; main(['inspect', '--no-cache', sys.argv[1]]);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    assert "8.0 to 8.9" in gpuenv("inspect", place.name).stdout
    if sys.platform == "linux":
        child = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=True)
        assert int(child.stdout.splitlines()[-1]) < 100_000
    huge = write_wheel(tmp_path, "gt-b", {f"gt_b/{number}.so": CODE for number in range(9)})
    content = huge.read_bytes()
    for number in range(9):
        content = patch_entry(content, number, size=0xFFFFFFF0)
    huge.write_bytes(content)
    done = gpuenv("inspect", huge.name)
    assert done.returncode == 3
    assert "declares more than 32 GB" in done.stderr


def test_names_that_a_terminal_would_obey(gpuenv: Run, tmp_path: Path) -> None:
    """They are printed escaped, in the table, the reasons and the errors; conda packages named so are refused."""
    evil = "gt_a/\x1b[2J\x07\u202egt.so"
    place = write_wheel(tmp_path, "gt-a", {evil: CODE, "gt_a/other\x1b].so": library(sass(90))})
    place.write_bytes(patch_entry(place.read_bytes(), 1, flags=1))
    for words in (("inspect", "-v", place.name), ("check", "-v", place.name, "-m", T4)):
        done = gpuenv(*words)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\u202e" not in done.stdout + done.stderr
    assert r"\x1b[2J\x07\u202egt.so" in gpuenv("inspect", place.name).stdout
    made = tmp_path / "gt-1.0-0.conda"
    made.write_bytes(conda(files_tar({"lib/libgt.so": CODE}), info=info_tar(build="\x1b[31mred", version="1\x1b[0m")))
    done = gpuenv("inspect", made.name)
    assert done.returncode == 3
    assert "is no readable conda package" in done.stderr


# ---- servers --------------------------------------------------------------------------------------------------------


def test_a_file_on_a_server_that_is_none(gpuenv: Run) -> None:
    """A page in its place, and nothing in its place."""
    with RangeServer({FILE: b"<!DOCTYPE html><html>Sign in</html>"}) as server:
        server.content_type = "text/html"
        page = gpuenv("inspect", server.address(FILE))
        assert page.returncode == 3
        assert "web page" in page.stderr
        gone = gpuenv("inspect", server.address("other-1.0-py3-none-any.whl"))
        assert gone.returncode == 2
        assert "404" in gone.stderr


def test_a_server_that_wants_a_login(gpuenv: Run, tmp_path: Path) -> None:
    """It is said so; the password is printed nowhere and kept nowhere, right or wrong."""
    content = write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE}).read_bytes()
    with RangeServer({FILE: content}) as server:
        server.login = "me:s3cr3t"
        without = gpuenv("inspect", server.address(FILE))
        assert without.returncode == 3
        assert "wants a login" in without.stderr
        wrong = gpuenv("inspect", server.address(FILE, login="me:wr0ng"), "-v")
        assert wrong.returncode == 3
        assert "does not accept the login" in wrong.stderr
        right = gpuenv("inspect", "--json", addressed(server.address(FILE, login="me:s3cr3t"), content))
        assert document(right, "inspection")["artifacts"][0]["artifact"]["location"] == server.address(FILE)
        for done in (without, wrong, right):
            assert "s3cr3t" not in done.stdout + done.stderr
            assert "wr0ng" not in done.stdout + done.stderr
        kept = [place.read_bytes() for place in (tmp_path / "kept").rglob("*") if place.is_file()]
        assert kept
        assert not any(b"s3cr3t" in one for one in kept)


@pytest.mark.parametrize(("status", "code", "said"), [(401, 3, "password"), (503, 3, ""), (404, 2, "gt-a")])
def test_an_index_that_refuses(gpuenv: Run, index: LoopbackIndex, status: int, code: int, said: str) -> None:
    """A login that is wrong, an index that does not work, and a name that it does not have."""
    index.always = Reply(status=status, body=b"", content_type="text/plain")
    secret = os.environ["UV_DEFAULT_INDEX"].replace("http://", "http://me:s3cr3t@")
    done = gpuenv("inspect", "gt-a", UV_DEFAULT_INDEX=secret)
    assert done.returncode == code
    assert said in done.stderr.lower()
    assert "s3cr3t" not in done.stdout + done.stderr


def test_offline(gpuenv: Run, index: LoopbackIndex) -> None:
    """What was looked into before is told; what was not ends with 3 and a hint."""
    put(index, "gt-a", {"gt_a/libgt.so": CODE})
    put(index, "gt-b", {"gt_b/libgt.so": CODE}, version="2.0")
    online = gpuenv("inspect", "gt-a")
    asked = len(index.asked)
    offline = gpuenv("inspect", "--offline", "gt-a")
    assert (offline.returncode, offline.stdout) == (0, online.stdout)
    unknown = gpuenv("inspect", "--offline", "gt-b")
    assert unknown.returncode == 3
    assert unknown.stderr.startswith("error: offline")
    assert "hint: " in unknown.stderr
    assert len(index.asked) == asked


def test_problems_beside_answers(gpuenv: Run, index: LoopbackIndex) -> None:
    """The answer stands on standard output, the problem on standard error, and the exit code is the problem's."""
    put(index, "gt-a", {"gt_a/libgt.so": CODE})
    done = gpuenv("check", "gt-a", "gt-nothing", "-m", A100)
    assert done.returncode == 2
    assert "gt-a 1.0  works" in done.stdout
    assert "gt-nothing" in done.stderr
    assert "gt-nothing" not in done.stdout


# ---- words ----------------------------------------------------------------------------------------------------------


def test_nothing_for_a_gpu_is_said_in_a_line(gpuenv: Run, index: LoopbackIndex, tmp_path: Path) -> None:
    """No table without rows; and a list that asks for nothing is said to do so."""
    for name in ("gt-a", "gt-b", "gt-c"):
        write_wheel(tmp_path / "dist", name, {f"{name}/__init__.py": b""}, tag="py3-none-any")
    done = gpuenv("check", "./dist", "-m", A100)
    assert done.stdout.splitlines()[-1] == "none of the 3 packages uses a GPU, and all fit"
    assert "verdict" not in done.stdout
    done = gpuenv("inspect", "./dist")
    assert done.stdout == "none of the 3 packages uses a GPU; `-v` shows them\n"
    (tmp_path / "none.txt").write_text('gt-a; sys_platform == "win32"\n')
    done = gpuenv("check", "none.txt", "-m", A100)
    assert (done.returncode, done.stdout) == (0, "nothing to check: there is no package in it for the machine\n")
    done = gpuenv("inspect", "none.txt", "--platform", "linux-x86_64")
    assert (done.returncode, done.stdout) == (0, "nothing to inspect: there is no package in it\n")


def test_the_same_reasons_are_told_once(gpuenv: Run, tmp_path: Path) -> None:
    """For all packages that have them; with `-v` each has its own evidence."""
    for name in ("gt-a", "gt-b", "gt-c", "gt-d"):
        write_wheel(tmp_path, name, {f"{name}/libgt.so": CODE})
    words = ("check", ".", "-m", A100, "-m", T4)
    lines = gpuenv(*words).stdout.splitlines()
    assert "  gt-a 1.0, gt-b 1.0, gt-c 1.0, gt-d 1.0 on T4" in lines
    assert sum("carries no code for" in line for line in lines) == 1
    assert sum("carries no code for" in line for line in gpuenv(*words, "-v").stdout.splitlines()) == 4


def test_machines_from_files_are_named_as_the_files(gpuenv: Run, tmp_path: Path) -> None:
    """A recording has no name of its own, and one from TOML has its file's."""
    write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE})
    assert gpuenv("info", "--record", "node1.json").returncode in {0, 1}
    (tmp_path / "lab.toml").write_text('gpu = "A100"\ndriver = "570.133.07"\n')
    words = ("check", ".", "-m", "node1.json", "-m", "lab.toml", "-m", T4)
    lines = [line.split() for line in gpuenv(*words).stdout.splitlines()]
    assert [line[0] for line in lines[1:4]] == ["node1", "lab", "T4"]
    assert document(gpuenv(*words, "--json"), "check")["machines"] == ["node1", "lab", T4]


@pytest.mark.parametrize(
    "words",
    [
        ("inspect",),
        ("check",),
        ("check", "./x.so", "-m", "gpu=nothing-such"),
        ("inspect", "./x.so", "--platform", "beos"),
        ("inspect", ""),
        ("check", "gt-a", "--python", "three", "-m", A100),
    ],
)
def test_questions_that_are_wrong(gpuenv: Run, words: tuple[str, ...]) -> None:
    """End with 2, a message and nothing on standard output but the machine that was asked about."""
    done = gpuenv(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stdout.count("\n") <= 2


def test_colour_only_where_it_is_wanted(gpuenv: Run, tmp_path: Path) -> None:
    """On a terminal verdicts have colours; with NO_COLOR, and in a pipe, none."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    place = write_wheel(tmp_path, "gt-a", {"gt_a/libgt.so": CODE})

    def on_terminal(**environ: str) -> str:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "gpuenv", "check", str(place), "-m", A100]
        kept = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | environ
        subprocess.run(command, env=kept, stdout=theirs, stderr=theirs, stdin=theirs, check=True, timeout=60)
        os.close(theirs)
        text = b""
        try:
            while chunk := os.read(ours, 65536):
                text += chunk
        except OSError:
            pass
        os.close(ours)
        return text.decode()

    assert "\x1b[32mworks" in on_terminal()
    plain = on_terminal(NO_COLOR="1")
    assert "works" in plain
    assert "\x1b[3" not in plain


def test_a_reader_that_leaves_is_no_answer(tmp_path: Path) -> None:
    """Whoever reads our output may close it at any time (`| head`): no traceback, and not the exit code of `no`."""
    place = tmp_path / "env"
    packages = make_venv(place)
    for number in range(40):
        install(packages, f"gt-{number}", "1.0", {f"gt_{number}/__init__.py": b""})
    command = [sys.executable, "-m", "gpuenv", "inspect", str(place), "-v", "--no-cache"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    """There is no room for the answer: exit 3, and no traceback."""
    (tmp_path / "libgt.so").write_bytes(CODE)
    command = [sys.executable, "-m", "gpuenv", "inspect", str(tmp_path / "libgt.so")]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert done.stderr.startswith("error: there is no room for the answer")
