"""`check_targets`: the verdicts that real wheels get on machines, before anything is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import gpuenv
from artifacts.made_environments import install, make_venv
from gpuenv.errors import RequestError
from gpuenv.model import CheckReport, Finding, MachineAnswer, Verdict
from loopback_index import LoopbackIndex, Reply
from targets.made_packages import LINUX, WINDOWS, dll, library, ptx, put, sass, write_wheel

A100 = "gpu=A100,driver=570.133.07"
H100 = "gpu=H100,driver=570.133.07"
T4 = "gpu=T4,driver=570.133.07"
RTX5090 = "gpu=RTX5090,driver=580.65.06"
CUDART = ("libcudart.so.12",)
CUDART_DLL = ("cudart64_12.dll",)
# What brings that library along; without it nobody could tell whether it is there.
RUNTIME = ("nvidia-cuda-runtime-cu12",)


@pytest.fixture(autouse=True)
def cache(index: LoopbackIndex, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of readings for each test."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(place))
    return place


def checked(words: Sequence[str], *machines: str, prefix: Path | None = None, cache: bool = True) -> CheckReport:
    """The report for machines in their short form."""
    return gpuenv.check_targets(
        words, machines=[gpuenv.parse_machine(one) for one in machines], prefix=prefix, cache=cache
    )


def verdicts(report: CheckReport) -> dict[str, list[str | None]]:
    """The verdict of each row for each machine."""
    return {row.subject: [answer.verdict.value if answer else None for answer in row.answers] for row in report.rows}


def answer(report: CheckReport) -> MachineAnswer:
    """The one answer of a report without problems."""
    assert not report.problems
    (row,) = report.rows
    (one,) = row.answers
    assert one is not None
    return one


def of_rule(one: MachineAnswer, rule: str) -> Finding:
    """What one rule says, where it says one thing."""
    (found,) = (finding for finding in one.findings if finding.rule == rule)
    return found


# ---- one machine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "verdict"),
    [
        (A100, "works"),
        ("gpu=RTX3090,driver=570.133.07", "works"),
        (T4, "fails"),
        (RTX5090, "fails"),
        ("gpu=A100,driver=450.80.02", "fails"),
        ("os=macos,arch=arm64", "fails"),
        ("arch=aarch64,gpu=GH200,driver=570.133.07", "fails"),
    ],
)
def test_machine_code_decides(here: Path, machine: str, verdict: str) -> None:
    """Code for 8.0 runs on 8.0 and 8.6, with a driver that serves CUDA 12, on the system it was built for."""
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    one = answer(checked([str(place)], machine))
    assert one.verdict.value == verdict
    assert one.uses_gpu
    assert one.artifact is not None
    assert one.artifact.filename == place.name


@pytest.mark.parametrize(
    ("driver", "verdict"), [("570.133.07", "degraded"), ("580.65.06", "degraded"), ("525.60.13", "fails")]
)
def test_ptx_needs_a_driver_that_knows_it(here: Path, driver: str, verdict: str) -> None:
    """PTX 8.7 (CUDA 12.8) alone is compiled on an RTX 5090 by a driver of 12.8 or later; that of 12.0 cannot."""
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": library(ptx(80, (8, 7)), needed=CUDART)}, requires=RUNTIME)
    one = answer(checked([str(place)], f"gpu=RTX4090,driver={driver}"))
    assert one.verdict.value == verdict
    assert "PTX" in of_rule(one, "kernel-image").message


def test_a_newer_gpu_with_ptx_only(here: Path) -> None:
    """PTX 9.0 on 12.0 is degraded with a driver of CUDA 13.0, and fails with one of 12.8."""
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": library(ptx(90, (9, 0)), needed=CUDART)}, requires=RUNTIME)
    report = checked([str(place)], RTX5090, "gpu=RTX5090,driver=570.133.07")
    assert verdicts(report) == {"gt-a 1.0": ["degraded", "fails"]}
    assert report.verdict is Verdict.FAILS


def test_a_general_side_library_degrades(here: Path) -> None:
    """The one with most code decides; another as general, without code for the GPU, is named."""
    members = {
        "gt_a/libmain.so": library(sass(75, 80, 90), sass(75, 80, 90), sass(75, 80, 90), needed=CUDART),
        "gt_a/libside.so": library(sass(80, 90)),
    }
    place = write_wheel(here, "gt-a", members, requires=RUNTIME)
    one = answer(checked([str(place)], T4))
    assert one.verdict is Verdict.DEGRADED
    assert "`libside.so` has code for" in of_rule(one, "side-library").message
    assert answer(checked([str(place)], A100)).verdict is Verdict.WORKS


@pytest.mark.parametrize(
    ("glibc", "machine", "verdict"),
    [
        ("2_28", A100, "works"),
        ("2_31", A100, "works"),
        ("2_34", A100, "unknown"),
        ("2_34", f"{A100},glibc=2.35", "works"),
        ("2_34", f"{A100},glibc=2.31", "fails"),
    ],
)
def test_the_c_library_where_nobody_says(here: Path, glibc: str, machine: str, verdict: str) -> None:
    """2.31 is assumed: what needs newer ones may work or not, and the hint says how to tell."""
    tag = f"py3-none-manylinux_{glibc}_x86_64"
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, tag=tag, requires=RUNTIME)
    one = answer(checked([str(place)], machine))
    assert one.verdict.value == verdict
    if verdict == "unknown":
        (finding,) = (one for one in one.findings if one.verdict is Verdict.UNKNOWN)
        assert any("glibc" in hint for hint in finding.hints)


def test_no_gpu_code_works_anywhere(here: Path) -> None:
    """Also without a GPU; it is told that it uses none."""
    place = write_wheel(here, "gt-a", {"gt_a/__init__.py": b""}, tag="py3-none-any")
    one = answer(checked([str(place)], "gpu=none"))
    assert (one.verdict, one.uses_gpu) == (Verdict.WORKS, False)


def test_code_that_nobody_could_read_is_unknown(here: Path) -> None:
    """A library that is cut off may hold anything."""
    whole = library(sass(80), needed=CUDART)
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": whole[: len(whole) // 2]})
    assert answer(checked([str(place)], A100)).verdict is Verdict.UNKNOWN


# ---- several machines -----------------------------------------------------------------------------------------------


def test_each_machine_gets_its_own_build(index: LoopbackIndex) -> None:
    """Wheels for Windows and for AArch64 are read here and judged for such machines."""
    put(index, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    put(index, "gt-a", {"gt_a/gt.dll": dll(sass(75), needed=CUDART_DLL)}, tag=WINDOWS, requires=RUNTIME)
    arm = library(sass(90), needed=CUDART, machine=183)
    put(index, "gt-a", {"gt_a/libgt.so": arm}, tag="py3-none-manylinux_2_28_aarch64", requires=RUNTIME)
    report = checked(
        ["gt-a"],
        A100,
        "os=windows,gpu=RTX2080,driver=572.16",
        "os=windows,gpu=RTX3090,driver=572.16",
        "os=windows,gpu=RTX4090,driver=572.16",
        "arch=aarch64,gpu=GH200,driver=570.133.07",
    )
    assert not report.problems
    assert verdicts(report) == {"gt-a 1.0": ["works", "works", "fails", "fails", "works"]}
    (row,) = report.rows
    files = [one.artifact.filename for one in row.answers if one and one.artifact]
    assert [name and name.rpartition("_")[2] for name in files] == [
        "64.whl",
        "amd64.whl",
        "amd64.whl",
        "amd64.whl",
        "aarch64.whl",
    ]
    assert report.machines == tuple(one.machine for one in row.answers if one)


def test_a_dependency_that_only_some_machines_get(index: LoopbackIndex, here: Path) -> None:
    """A requirement with a marker is no part of what the others get: their answer is none."""
    put(index, "gt-a", {"gt_a/__init__.py": b""}, tag="py3-none-any", requires=('gt-b; sys_platform == "linux"',))
    put(index, "gt-b", {"gt_b/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    put(index, "nvidia-cuda-runtime-cu12", {"nvidia/cuda_runtime/lib/libcudart.so.12": library()}, version="12.8.90")
    (here / "requirements.txt").write_text("gt-a\n")
    report = checked(["requirements.txt"], "os=windows,gpu=RTX3090,driver=572.16", A100, T4)
    assert not report.problems
    assert verdicts(report) == {
        "gt-a 1.0": ["works", "works", "works"],
        "gt-b 1.0": [None, "works", "fails"],
        "nvidia-cuda-runtime-cu12 12.8.90": [None, "works", "works"],
    }
    assert report.verdict is Verdict.FAILS


def test_versions_that_differ_by_machine_are_one_row(index: LoopbackIndex) -> None:
    """The older release where the newest has no wheel, which a note says."""
    put(index, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, version="2.0", requires=RUNTIME)
    put(index, "gt-a", {"gt_a/gt.dll": dll(sass(80), needed=CUDART_DLL)}, tag=WINDOWS, requires=RUNTIME)
    report = checked(["gt-a"], A100, "os=windows,gpu=RTX3090,driver=572.16")
    assert verdicts(report) == {"gt-a 2.0 or 1.0": ["works", "works"]}
    assert any("gt-a 1.0 is the newest with a wheel for windows-x86_64" in note for note in report.notes)


def test_a_file_is_fetched_once_for_all_machines(index: LoopbackIndex) -> None:
    """Also where nothing is kept."""
    name = put(index, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    assert verdicts(checked(["gt-a"], A100, T4, H100, cache=False)) == {"gt-a 1.0": ["works", "fails", "fails"]}
    assert len([path for path in index.asked if path.endswith(name)]) == 1


# ---- problems -------------------------------------------------------------------------------------------------------


def test_problems_are_beside_the_answers(index: LoopbackIndex) -> None:
    """A name that is not on the index leaves the rest judged, and is told once for all machines."""
    put(index, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    report = checked(["gt-a", "gt-nothing"], A100, T4)
    assert verdicts(report) == {"gt-a 1.0": ["works", "fails"]}
    assert [problem.exit_code for problem in report.problems] == [2]


def test_an_index_that_does_not_answer(index: LoopbackIndex, here: Path) -> None:
    """What is here is judged; what is there could not be found out."""
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    index.always = Reply(status=503, body=b"", content_type="text/plain")
    report = checked([str(place), "gt-b"], A100)
    assert verdicts(report) == {"gt-a 1.0": ["works"]}
    assert [problem.exit_code for problem in report.problems] == [3]


# ---- environments and directories -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torch", "cudart", "expected"),
    [("2.6.0+cu118", "libcudart.so.11.0", ["works", "fails"]), ("2.8.0+cu128", "libcudart.so.12", ["fails", "works"])],
)
def test_the_alternative_that_is_loaded(tmp_path: Path, torch: str, cudart: str, expected: list[str]) -> None:
    """Of libraries for several CUDA versions the one counts that fits the torch beside it."""
    site = make_venv(tmp_path / "env")
    files = {"gt_a/libgt_cuda118.so": library(sass(75)), "gt_a/libgt_cuda128.so": library(sass(80, 90))}
    install(site, "gt-a", "1.0", files, requires=("torch",), tags=(LINUX,))
    own = {"torch/libtorch_cuda.so": library(sass(75, 80, 90), needed=(cudart,))}
    install(site, "torch", torch, own, tags=(LINUX,))
    assert verdicts(checked([str(tmp_path / "env")], T4, A100))["gt-a 1.0"] == expected


def test_names_in_an_environment(tmp_path: Path) -> None:
    """Those that are named, and a name that is not installed is a wrong question with near names."""
    site = make_venv(tmp_path / "env")
    install(site, "gt-a", "1.0", {"gt_a/libgt.so": library(sass(80))}, tags=(LINUX,))
    install(site, "gt-b", "1.0", {"gt_b/__init__.py": b""})
    assert verdicts(checked(["gt-a"], A100, prefix=tmp_path / "env")) == {"gt-a 1.0": ["works"]}
    assert set(verdicts(checked([], A100, prefix=tmp_path / "env"))) == {"gt-a 1.0", "gt-b 1.0"}
    report = checked(["gt-bb", "gt-a"], A100, prefix=tmp_path / "env")
    assert verdicts(report) == {"gt-a 1.0": ["works"]}
    (problem,) = report.problems
    assert problem.exit_code == 2
    assert "`gt-b`" in problem.hints[0]
    with_version = checked(["gt-b==1.0"], A100, prefix=tmp_path / "env")
    assert with_version.problems[0].hints == ("name it without a version: `gt-b`",)
    with pytest.raises(RequestError) as caught:
        checked([], A100, prefix=tmp_path / "none")
    assert "gpuenv list" in caught.value.hints[0]


def test_a_directory_of_wheels(here: Path) -> None:
    """Each file is a row of its own; those of one package are told apart by their names."""
    write_wheel(here / "dist", "gt-a", {"gt_a/libgt.so": library(sass(80), needed=CUDART)}, requires=RUNTIME)
    write_wheel(here / "dist", "gt-a", {"gt_a/gt.dll": dll(sass(75), needed=CUDART_DLL)}, tag=WINDOWS, requires=RUNTIME)
    write_wheel(here / "dist", "gt-b", {"gt_b/libgt.so": library(sass(75), needed=CUDART)}, requires=RUNTIME)
    report = checked(["./dist"], A100, "os=windows,gpu=RTX2080,driver=572.16")
    assert not report.problems
    assert verdicts(report) == {
        f"gt_a-1.0-{LINUX}.whl": ["works", "fails"],
        f"gt_a-1.0-{WINDOWS}.whl": ["fails", "works"],
        "gt-b 1.0": ["fails", "fails"],
    }
    one_by_one = checked([str(path) for path in sorted((here / "dist").iterdir())], A100)
    assert [row.subject for row in one_by_one.rows] == [row.subject for row in report.rows]
    twice = checked(["./dist/" + row.subject for row in report.rows[:1] * 2], A100)
    assert [row.subject for row in twice.rows] == ["gt-a 1.0"]


def test_a_directory_that_is_none_of_packages(here: Path) -> None:
    """The error says what in it can be named."""
    (here / "requirements.txt").touch()
    write_wheel(here / "dist", "gt-a", {"gt_a/libgt.so": library(sass(80))})
    (problem,) = checked(["."], A100).problems
    assert problem.exit_code == 2
    assert problem.hints == ("name what is in it: `requirements.txt`", "name what is in it: `dist`")
