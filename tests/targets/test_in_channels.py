"""Packages of conda channels are found by conda's specs and looked into, each machine's own build."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpuenv
from artifacts.range_server import RangeServer
from gpuenv.cli.main import main
from gpuenv.errors import RequestError
from gpuenv.model import CheckReport, ErrorBody, Verdict
from gpuenv.targets.words import InChannel, parse_target
from little_channel import LittlePackage, make_channel
from targets.made_packages import library, sass

V100 = "gpu=V100,driver=535.129.03"
H100 = "gpu=H100,driver=580.65.06"
NO_GPU = "gpu=none"


def native(version: str, *units: bytes, build: str, depends: tuple[str, ...] = (), number: int = 0) -> LittlePackage:
    """A build of `veclib`."""
    files = {"lib/libveclib.so": library(*units)}
    return LittlePackage(
        name="veclib",
        version=version,
        build=build,
        build_number=number,
        subdir="linux-64",
        files=files,
        depends=depends,
    )


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A channel with two releases in builds for CUDA and the CPU."""
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CONDARC", str(tmp_path / "no-condarc"))
    packages = [
        native("1.0", sass(70, 90), build="cuda124_0", depends=("__cuda >=12",)),
        native("2.0", sass(90), build="cuda130_0", depends=("__cuda >=13",)),
        native("2.0", build="cpu_0", number=9),
    ]
    torch = [
        LittlePackage(name="pytorch", version="2.1", build=f"py3{minor}_0", subdir="linux-64", depends=(python,))
        for minor, python in ((10, "python >=3.10,<3.11.0a0"), (11, "python >=3.11,<3.12.0a0"))
    ]
    return make_channel(tmp_path / "channel", [*packages, *torch])


def checked(channel: Path | str, *words: str, machines: tuple[str, ...], python: str | None = None) -> CheckReport:
    """What the rules say of what these words name."""
    named = [gpuenv.parse_machine(machine) for machine in machines]
    return gpuenv.check_targets(words, machines=named, channels=(str(channel),), python=python)


def test_each_machine_gets_its_build(channel: Path) -> None:
    """The GPU build that runs there by its metadata, else the one for the CPU; read, and judged by its code."""
    report = checked(channel, "veclib", machines=(V100, H100, NO_GPU))
    assert report.problems == ()
    (row,) = report.rows
    told = [(one.artifact.build, one.verdict) for one in row.answers if one and one.artifact]
    assert told == [("cuda124_0", Verdict.WORKS), ("cuda130_0", Verdict.WORKS), ("cpu_0", Verdict.WORKS)]


def test_a_build_that_is_named_is_the_one_that_is_judged(channel: Path) -> None:
    """Be it one that does not run there."""
    (row,) = checked(channel, "veclib=2.0=cuda*", machines=(V100,)).rows
    assert row.answers[0]
    assert row.answers[0].verdict is Verdict.FAILS


def test_a_channel_in_front_needs_no_option(channel: Path) -> None:
    """`./channel::name`, and the address of a channel."""
    files = {
        f"c/{one.relative_to(channel).as_posix()}": one.read_bytes() for one in channel.rglob("*") if one.is_file()
    }
    with RangeServer(files) as server:
        for word in (f"{channel}::veclib==1.0", f"{server.address('c')}::veclib <2"):
            report = gpuenv.inspect_targets([word], platform="linux-x86_64")
            assert report.problems == ()
            assert [one.artifact.filename for one in report.artifacts] == ["veclib-1.0-cuda124_0.conda"]
            assert report.artifacts[0].needs.libraries


def test_inspect_takes_the_newest_with_gpu_code(channel: Path) -> None:
    """Whatever this computer is."""
    report = gpuenv.inspect_targets(["veclib"], platform="linux-x86_64", channels=(str(channel),))
    assert [one.artifact.build for one in report.artifacts] == ["cuda130_0"]


def test_the_python_chooses_among_builds(channel: Path) -> None:
    """And the name of a project's wheel finds the channel's package."""
    (row,) = checked(channel, "torch=2.1", machines=(NO_GPU,), python="3.10").rows
    assert row.answers[0]
    assert row.answers[0].artifact
    assert row.answers[0].artifact.build == "py310_0"


@pytest.mark.parametrize(
    ("word", "message", "more"),
    [
        ("velib", "no channel has `velib`", "did you mean `veclib`?"),
        ("veclib=3", "no channel has `veclib=3`", "it has veclib 1.0, 2.0"),
        ("veclib[", "`veclib[` is not a package spec", ""),
        ("[build=x]", "`[build=x]` is not a package spec", ""),
        ("./nowhere::veclib", "the channel", "there is no directory"),
        ("defaults::veclib", "nothing says which channels `defaults` stands for", ""),
    ],
)
def test_what_cannot_be_found(channel: Path, word: str, message: str, more: str) -> None:
    """A problem of the report, with what is there instead."""
    (problem,) = checked(channel, word, machines=(NO_GPU,)).problems
    assert problem.message.startswith(message)
    assert any(more in text for text in (*problem.reasons, *problem.hints, ""))


def test_words_that_name_channels() -> None:
    """A channel in front counts anywhere, the option for names only: files stay files."""
    assert parse_target("conda-forge::numba=0.58") == InChannel("numba=0.58", "conda-forge")
    assert parse_target("https://a:b@h.invalid/t/x/c::numba") == InChannel("numba", "https://a:b@h.invalid/t/x/c")
    assert parse_target("numba >=0.58", from_channels=True) == InChannel("numba >=0.58")
    with pytest.raises(RequestError):
        parse_target("./numba.conda", from_channels=True)
    with pytest.raises(RequestError):
        parse_target("numba.conda", from_channels=True)


def test_the_commands(channel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gpuenv check -c` and `gpuenv inspect -c`; a login in a word is not shown."""
    assert main(["check", "-c", str(channel), "veclib=2.0=cuda*", "-m", V100]) == 1
    assert "veclib 2.0" in capsys.readouterr().out
    assert main(["inspect", "-c", str(channel), "veclib=1.0", "--platform", "linux-x86_64"]) == 0
    assert "7.0 9.0" in capsys.readouterr().out
    assert main(["check", "http://anna:secret@127.0.0.1:9/c::veclib", "-m", V100]) == 3
    shown = capsys.readouterr()
    assert "secret" not in shown.out + shown.err


def test_several_words_at_once(channel: Path) -> None:
    """They are looked up by several threads over one reading of the channels."""
    report = checked(channel, "veclib", "veclib=1.0", "pytorch", "velib", machines=(H100, NO_GPU))
    assert len(report.rows) == 3
    assert [type(problem) for problem in report.problems] == [ErrorBody]
