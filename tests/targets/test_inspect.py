"""`inspect_targets` on real wheels: from an index of this computer, from disk, from environments; and from a script."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gpuenv
from artifacts.made_environments import install, make_venv
from binaries.test_nvcc_kernels import RELEASE
from gpuenv.errors import RequestError
from gpuenv.model import GpuSupport, Inspection, InspectionReport
from loopback_index import LoopbackIndex
from targets.made_packages import LINUX, WINDOWS, dll, library, ptx, put, sass, write_wheel

CODE = library(sass(80, 86), needed=("libcudart.so.12",))


@pytest.fixture(autouse=True)
def cache(index: LoopbackIndex, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of readings for each test."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(place))
    return place


def only(report: InspectionReport) -> Inspection:
    """The one artifact of a report without problems."""
    assert not report.problems
    (one,) = report.artifacts
    return one


# ---- compiled by NVIDIA's own compiler ------------------------------------------------------------------------------

KERNEL = "__global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }\n"
OTHER = "__global__ void other(int *x) { x[threadIdx.x] += 3; }\n"


def compiled(place: Path, output: str, *options: str) -> bytes:
    """A shared library of two sources, compiled by `nvcc`."""
    (place / "one.cu").write_text(KERNEL)
    (place / "two.cu").write_text(OTHER)
    command = ["nvcc", "-shared", "-Xcompiler", "-fPIC", *options, "one.cu", "two.cu", "-o", output]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    return (place / output).read_bytes()


@pytest.mark.skipif(RELEASE < (13, 0), reason="needs `nvcc` 13.0, which knows all architectures used here")
def test_compiled_libraries_in_a_wheel_on_the_index(index: LoopbackIndex, tmp_path: Path) -> None:
    """The images are those that the compiler was asked for, per library. Relocatable code stands apart: its PTX is
    none of the library's, and the driver can link it again all the same.
    """
    isa = f"{RELEASE[0] - 4}.{RELEASE[1]}"
    plain = compiled(
        tmp_path,
        "libplain.so",
        *("-gencode", "arch=compute_80,code=[sm_80,compute_80]"),
        *("-gencode", "arch=compute_90a,code=sm_90a", "-gencode", "arch=compute_120f,code=sm_120f"),
    )
    linked = compiled(tmp_path, "liblinked.so", "-rdc=true", "-gencode", "arch=compute_80,code=[sm_80,compute_80]")
    filename = put(index, "gt-made", {"gt_made/libplain.so": plain, "gt_made/liblinked.so": linked})
    found = only(gpuenv.inspect_targets(["gt-made"]))
    first, second = found.libraries
    assert (first.path, second.path) == ("gt_made/liblinked.so", "gt_made/libplain.so")
    assert (second.sass, second.ptx) == (("sm_80", "sm_90a", "sm_120f"), (f"compute_80/ptx{isa}",))
    assert second.relocatable == ()
    assert (first.sass, first.ptx) == (("sm_80",), ())
    assert first.relocatable == ("sm_80", f"compute_80/ptx{isa}")
    assert (first.ways["7.5"], first.ways["8.6"], first.ways["9.0"]) == ("none", "sass", "jit")
    assert (found.artifact.filename, found.artifact.name, found.artifact.version) == (filename, "gt-made", "1.0")
    assert found.needs.gpu_support is not GpuSupport.NONE
    assert found.needs.uses_gpu
    assert [file.path for file in found.files] == ["gt_made/liblinked.so", "gt_made/libplain.so"]
    assert all(file.static_runtime and file.code is None for file in found.files)
    assert found.fetched_bytes > 0


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs `gcc`")
def test_a_compiled_library_without_gpu_code(tmp_path: Path) -> None:
    """It has no libraries to show and uses no GPU."""
    (tmp_path / "plain.c").write_text("int twice(int x) { return 2 * x; }\n")
    place = tmp_path / "libplain.so"
    subprocess.run(["gcc", "-shared", "-fPIC", tmp_path / "plain.c", "-o", place], check=True)
    found = only(gpuenv.inspect_targets([str(place)]))
    assert (found.libraries, found.needs.gpu_support, found.needs.uses_gpu) == ((), GpuSupport.NONE, False)
    assert [file.kind for file in found.files] == ["elf"]


# ---- from the index -------------------------------------------------------------------------------------------------


def test_the_builds_of_other_systems(index: LoopbackIndex) -> None:
    """`platform` chooses the file; a DLL is read here, and the machine code of another processor too."""
    put(index, "gt-a", {"gt_a/libgt.so": CODE})
    put(index, "gt-a", {"gt_a/gt.dll": dll(sass(75, 120), needed=("cudart64_12.dll",))}, tag=WINDOWS)
    arm = library(sass(90), ptx(90, (8, 4)), machine=183)
    put(index, "gt-a", {"gt_a/libgt.so": arm}, tag="py3-none-manylinux_2_28_aarch64")
    linux = only(gpuenv.inspect_targets(["gt-a"]))
    windows = only(gpuenv.inspect_targets(["gt-a"], platform="windows-x86_64"))
    other = only(gpuenv.inspect_targets(["gt-a"], platform="linux-aarch64"))
    assert [one.artifact.platforms for one in (linux, windows, other)] == [
        ("linux-x86_64",),
        ("windows-x86_64",),
        ("linux-aarch64",),
    ]
    assert (linux.libraries[0].sass, windows.libraries[0].sass) == (("sm_80", "sm_86"), ("sm_75", "sm_120"))
    assert (other.libraries[0].sass, other.libraries[0].ptx) == (("sm_90",), ("compute_90/ptx8.4",))
    assert [file.kind for one in (linux, windows, other) for file in one.files] == ["elf", "pe", "elf"]
    assert str(windows.needs.cuda) == str(linux.needs.cuda) == "12.0"


def test_a_requirement_that_brings_others(index: LoopbackIndex, here: Path) -> None:
    """A requirements file is looked into with all that it installs; a name is looked into alone."""
    put(index, "gt-a", {"gt_a/libgt.so": CODE}, requires=("gt-b",))
    put(index, "gt-b", {"gt_b/__init__.py": b""}, tag="py3-none-any")
    (here / "requirements.txt").write_text("gt-a\n")
    report = gpuenv.inspect_targets(["requirements.txt", "gt-a"])
    assert [(one.target, one.artifact.name) for one in report.artifacts] == [
        ("requirements.txt", "gt-a"),
        ("requirements.txt", "gt-b"),
        ("gt-a", "gt-a"),
    ]
    assert report.artifacts[0].requires == ("gt-b",)


def test_one_file_behind_two_targets_is_fetched_once(index: LoopbackIndex, here: Path) -> None:
    """Also without a cache; the bytes are told where they were fetched."""
    name = put(index, "gt-a", {"gt_a/libgt.so": CODE}, requires=("gt-b",))
    put(index, "gt-b", {"gt_b/__init__.py": b""}, tag="py3-none-any")
    (here / "requirements.txt").write_text("gt-a\n")
    report = gpuenv.inspect_targets(["gt-a", "requirements.txt"], cache=False)
    assert [one.artifact.name for one in report.artifacts] == ["gt-a", "gt-a", "gt-b"]
    assert sorted(one.fetched_bytes > 0 for one in report.artifacts) == [False, True, True]
    assert len([path for path in index.asked if path.endswith(name)]) == 1


def test_what_cannot_be_looked_at_is_beside_the_rest(index: LoopbackIndex, here: Path) -> None:
    """A name that is not on the index, and a file that is not there, leave the others as they are."""
    put(index, "gt-a", {"gt_a/libgt.so": CODE})
    report = gpuenv.inspect_targets(["gt-nothing", "gt-a", "./missing.whl"])
    assert [one.artifact.name for one in report.artifacts] == ["gt-a"]
    assert [problem.exit_code for problem in report.problems] == [2, 2]
    assert "gt-nothing" in report.problems[0].message
    assert "missing.whl" in report.problems[1].message


# ---- from disk ------------------------------------------------------------------------------------------------------


def test_a_directory_of_wheels(here: Path) -> None:
    """Each of them, in the order of their names, and nothing else that lies there."""
    write_wheel(here / "dist", "gt-b", {"gt_b/libgt.so": CODE})
    write_wheel(here / "dist", "gt-a", {"gt_a/libgt.so": CODE})
    write_wheel(here / "dist", "gt-a", {"gt_a/gt.dll": dll(sass(75))}, tag=WINDOWS)
    (here / "dist/notes.txt").write_text("nothing")
    report = gpuenv.inspect_targets(["./dist"])
    assert not report.problems
    assert [one.artifact.filename for one in report.artifacts] == [
        f"gt_a-1.0-{LINUX}.whl",
        f"gt_a-1.0-{WINDOWS}.whl",
        f"gt_b-1.0-{LINUX}.whl",
    ]


def test_the_main_library_is_one(here: Path) -> None:
    """A library of the same name in a directory of tests keeps its own numbers, and is not the one that decides."""
    members = {"gt_a/libgt.so": library(sass(80, 90), padding=5000), "gt_a/tests/libgt.so": library(sass(75))}
    found = only(gpuenv.inspect_targets([str(write_wheel(here, "gt-a", members))]))
    assert [(one.path, one.sass, one.is_main) for one in found.libraries] == [
        ("gt_a/libgt.so", ("sm_80", "sm_90"), True),
        ("gt_a/tests/libgt.so", ("sm_75",), False),
    ]


def test_packages_of_an_environment(tmp_path: Path) -> None:
    """All of them, or those that are named; a name that is not there is a problem with near ones."""
    site = make_venv(tmp_path / "env")
    install(site, "gt-a", "1.0", {"gt_a/libgt.so": CODE}, tags=(LINUX,))
    install(site, "gt-b", "2.0", {"gt_b/__init__.py": b""}, requires=("gt-a",))
    whole = gpuenv.inspect_targets([str(tmp_path / "env")])
    assert [one.artifact.subject for one in whole.artifacts] == ["gt-a 1.0", "gt-b 2.0"]
    named = gpuenv.inspect_targets(["GT_A"], prefix=tmp_path / "env")
    assert only(named).libraries[0].sass == ("sm_80", "sm_86")
    assert len(gpuenv.inspect_targets([], prefix=tmp_path / "env").artifacts) == 2
    (problem,) = gpuenv.inspect_targets(["gt-aa"], prefix=tmp_path / "env").problems
    assert problem.exit_code == 2
    assert "gt-a" in problem.hints[0]


def test_an_environment_that_is_none(tmp_path: Path) -> None:
    """The question is wrong."""
    with pytest.raises(RequestError):
        gpuenv.inspect_targets([], prefix=tmp_path / "nothing")


def test_from_a_script(here: Path) -> None:
    """The verbs are importable, and their answers are plain values."""
    place = write_wheel(here, "gt-a", {"gt_a/libgt.so": CODE})
    code = (
        "import sys, gpuenv\n"
        "report = gpuenv.inspect_targets(sys.argv[1:])\n"
        "print(report.artifacts[0].libraries[0].sass)\n"
        "machine = gpuenv.parse_machine('gpu=T4,driver=570.133.07')\n"
        "print(gpuenv.check_targets(sys.argv[1:], machines=[machine]).verdict.value)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["('sm_80', 'sm_86')", "fails"]
    assert not done.stderr
