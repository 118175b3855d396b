"""Metadata against binary: what is found in packages whose binaries and words a test has made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from artifacts.range_server import RangeServer
from audits.gpu_packages import audit, audited, channel, cpu_package, finding, gpu_library, package, rules
from gpuenv.model import Severity
from little_channel import LittlePackage, write_package

GOOD = ("__cuda >=12", "cuda-version >=12.4,<13")
ARCH = ("__cuda_arch >=8.0",)
IMAGES = ("sm_80", "sm_90", "compute_90/ptx8.4")


def good(**words: Any) -> LittlePackage:
    """A GPU build that says what is so."""
    given: dict[str, Any] = {"build": "cuda124_100", "build_number": 100, "depends": GOOD, "constrains": ARCH}
    return package(*IMAGES, **(given | words))


def test_a_channel_that_says_what_is_so_has_no_findings(tmp_path: Path) -> None:
    """GPU builds with right bounds and a higher number, CPU builds, packages without native files: not a word."""
    place = channel(
        tmp_path, good(), cpu_package(build="cpu_0"), LittlePackage(name="plain", files={"share/plain.txt": "plain"})
    )
    report = audit(place)
    assert rules(report) == []
    assert (report.packages, report.gpu_packages, report.errors, report.warnings) == (3, 1, 0, 0)
    assert report.problems == ()


def test_gpu_code_that_nothing_declares(tmp_path: Path) -> None:
    """A package with kernels and no word of CUDA would be given to any machine."""
    report = audit(channel(tmp_path, package(*IMAGES)))
    assert rules(report) == ["gpu-undeclared"]
    found = finding(report, "gpu-undeclared")
    assert found.severity is Severity.ERROR
    assert {one.source for one in found.evidence} >= {"libvectors.so"}
    assert "__cuda >=12 and __cuda_arch >=8.0" in {one.value for one in found.evidence}
    assert found.mendable


@pytest.mark.parametrize(
    "says",
    [
        {"depends": ("__cuda >=12",)},
        {"constrains": ("__cuda >=12",)},
        {"depends": ("cuda-version 12.*",)},
        {"depends": ("libcublas",)},
        {"depends": ("pytorch-mutex 1.0 cuda",)},
    ],
)
def test_anything_about_cuda_declares_it(tmp_path: Path, says: dict[str, Any]) -> None:
    """Virtual packages, CUDA's own packages and mutexes all say that a package is for GPUs."""
    assert "gpu-undeclared" not in rules(audit(channel(tmp_path, package(*IMAGES, **says))))


def test_a_package_linked_with_cuda_is_one_with_gpu_code(tmp_path: Path) -> None:
    """Without kernels of its own it still does not load where there is no CUDA."""
    report = audit(channel(tmp_path, package(needed=("libcudart.so.12",))))
    assert "gpu-undeclared" in rules(report)


@pytest.mark.parametrize(
    ("spec", "rule", "severity"),
    [
        ("__cuda >=11", "cuda-too-loose", Severity.ERROR),
        ("__cuda", "cuda-too-loose", Severity.ERROR),
        ("__cuda >=12.4", "cuda-too-tight", Severity.WARNING),
        ("__cuda >=12,<13", "cuda-too-tight", Severity.WARNING),
        ("__cuda >=12", None, None),
    ],
)
def test_bounds_on_the_driver(tmp_path: Path, spec: str, rule: str | None, severity: Severity | None) -> None:
    """A bound on `__cuda` is too loose where no code runs with some driver, too tight where it would run."""
    one = package(*IMAGES, needed=("libcudart.so.12",), depends=(spec, "cuda-cudart"), constrains=ARCH)
    report = audit(channel(tmp_path, one))
    assert rules(report) == ([rule] if rule else [])
    if rule:
        assert finding(report, rule).severity is severity


def test_ptx_of_a_newer_toolkit_needs_a_newer_driver_for_some_gpus(tmp_path: Path) -> None:
    """SASS for 8.0 runs with each driver of CUDA 12, PTX of 12.4 for later GPUs does not: a warning."""
    one = package("sm_80", "compute_80/ptx8.4", depends=("__cuda >=12", "cuda-version 12.*"), constrains=ARCH)
    report = audit(channel(tmp_path, one))
    assert rules(report) == ["cuda-too-loose"]
    assert finding(report, "cuda-too-loose").severity is Severity.WARNING
    assert "__cuda >=12.4" in {one.value for one in finding(report, "cuda-too-loose").evidence}


def test_what_a_package_requires_may_bound_the_driver(tmp_path: Path) -> None:
    """`cuda-version` of the channel constrains `__cuda`; where it does not, old drivers are let in."""
    for constrains, expected in ((("__cuda >=12",), []), ((), ["cuda-too-loose"])):
        place = tmp_path / str(len(constrains))
        version = LittlePackage(name="cuda-version", version="12.4", constrains=constrains)
        one = package(*IMAGES, depends=("cuda-version 12.4.*",), constrains=ARCH)
        assert rules(audit(channel(place, one, version))) == expected


@pytest.mark.parametrize(
    ("images", "spec", "expected"),
    [
        (IMAGES, "__cuda_arch >=7.0", [("arch-too-loose", "7.0, 7.5")]),
        (IMAGES, "__cuda_arch >=8.6", [("arch-too-tight", "8.0")]),
        (("sm_80", "sm_90"), "__cuda_arch >=8.0", [("arch-too-loose", "10.0"), ("no-ptx", "9.0")]),
        (("sm_120",), "__cuda_arch >=12.0", [("arch-without-end", "generations to come"), ("no-ptx", "12.0")]),
        (("sm_80", "sm_90"), "__cuda_arch >=8.0,<10.0", [("no-ptx", "9.0")]),
        (("sm_90a",), "__cuda_arch 9.0.*", [("only-specific-code", "sm_90a")]),
        (("sm_70", *IMAGES[1:]), "__cuda_arch >=7.0,<8.0|>=9.0", [("gap", "8.0, 8.6, 8.9")]),
        (("sm_70", *IMAGES[1:]), "__cuda_arch >=7.0", [("arch-too-loose", "8.0, 8.6, 8.9"), ("gap", "8.0")]),
        (IMAGES, None, [("arch-undeclared", "7.0")]),
    ],
)
def test_bounds_on_the_capability(
    tmp_path: Path, images: tuple[str, ...], spec: str | None, expected: list[tuple[str, str]]
) -> None:
    """`__cuda_arch` is held against the code, PTX and gaps included (CEP 46)."""
    one = package(*images, depends=GOOD, constrains=(spec,) if spec else ())
    report = audit(channel(tmp_path, one))
    assert rules(report) == [rule for rule, _ in expected]
    for rule, named in expected:
        assert named in finding(report, rule).message


def test_an_own_library_of_nvidias_needs_no_bounds(tmp_path: Path) -> None:
    """`libcublas` is brought along by what has bounds, and chooses among its code when it runs."""
    one = package(name="libcublas", version="12.4.5", files={"lib/libcublas.so.12": gpu_library("sm_80")})
    report = audit(channel(tmp_path, LittlePackage(**_fields(one) | {"depends": ("cuda-version 12.4.*",)})))
    assert rules(report) == []


def _fields(one: LittlePackage) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("name", "version", "build", "subdir", "files")}


# ---- the CUDA that it names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "depends", "needed", "sources"),
    [
        ("cuda118_0", (), "libcudart.so.12", ["the build string cuda118_0"]),
        ("cuda126py311_0", ("cudatoolkit 11.8.*",), "libcublas.so.12", ["cudatoolkit 11.8.*"]),
        ("0", ("cuda-version >=12.6,<13",), "libcudart.so.11.0", ["cuda-version >=12.6,<13"]),
        (
            "cuda102_0",
            ("cudatoolkit 10.2.*",),
            "libcudart.so.10.1",
            ["the build string cuda102_0", "cudatoolkit 10.2.*"],
        ),
    ],
)
def test_another_cuda_than_the_binary_is_linked_with(
    tmp_path: Path, build: str, depends: tuple[str, ...], needed: str, sources: list[str]
) -> None:
    """Build string and requirements are held against `libcudart.so.N`."""
    report = audit(channel(tmp_path, package("sm_60", build=build, depends=depends, needed=(needed,))))
    found = finding(report, "cuda-line")
    assert [one.value for one in found.evidence if one.what == "says"] == sources
    assert [one.value for one in found.evidence if one.what == "shows"] == [needed]


@pytest.mark.parametrize(("build", "needed"), [("cuda118_0", "libcudart.so.11.0"), ("cuda12_0", "libcudart.so.12")])
def test_minor_versions_mix_within_a_major(tmp_path: Path, build: str, needed: str) -> None:
    """`libcudart.so.11.0` is the name for all of CUDA 11."""
    report = audit(channel(tmp_path, package("sm_80", build=build, depends=("cuda-version",), needed=(needed,))))
    assert "cuda-line" not in rules(report)


def test_code_that_the_named_cuda_cannot_have_made(tmp_path: Path) -> None:
    """No CUDA 11 makes code for Blackwell."""
    report = audit(channel(tmp_path, package("sm_80", "sm_100", build="cuda118_0", depends=("cuda-version",))))
    assert "which no CUDA before 12.8 makes" in finding(report, "cuda-line").message


def test_a_cuda_library_that_nothing_brings(tmp_path: Path) -> None:
    """A library that is linked is in the package, in what it requires, or in what comes along with that."""
    wants = package(*IMAGES, needed=("libcublas.so.12",), depends=("__cuda >=12", "middle"), constrains=ARCH)
    report = audit(channel(tmp_path / "none", wants))
    found = finding(report, "library-missing")
    assert "`libcublas.so.12`" in found.message
    assert found.hints == ("require `libcublas`",)
    assert not found.mendable
    through = LittlePackage(name="middle", depends=("libcublas >=12",))
    assert rules(audit(channel(tmp_path / "known", wants, through))) == []
    brings = package(name="middle", files={"lib/libcublas.so.12": gpu_library("sm_80")}, depends=("__cuda",))
    assert "library-missing" not in rules(audit(channel(tmp_path / "own", wants, brings)), "vectors-1.0-0.conda")


def test_build_strings_that_lie(tmp_path: Path) -> None:
    """A CPU build has no GPU code, and a GPU build has some."""
    report = audit(
        channel(
            tmp_path, package(*IMAGES, build="py311_cpu_0", depends=GOOD), cpu_package(version="2.0", build="cuda118_0")
        )
    )
    assert "cpu-build-with-gpu-code" in rules(report, "vectors-1.0-py311_cpu_0.conda")
    assert rules(report, "vectors-2.0-cuda118_0.conda") == ["gpu-build-without-gpu-code"]


# ---- preference --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpu", "cpu", "severity"),
    [
        ({"build_number": 0}, {"build_number": 0}, Severity.ERROR),
        ({"build_number": 1}, {"build_number": 0}, None),
        ({"build_number": 0}, {"build_number": 1}, Severity.WARNING),
        ({"build_number": 0}, {"build_number": 5, "track_features": "cpu"}, None),
        ({"build_number": 0, "depends": (*GOOD, "python 3.11.*")}, {"depends": ("python 3.12.*",)}, None),
    ],
)
def test_the_order_of_gpu_and_cpu_builds(
    tmp_path: Path, gpu: dict[str, Any], cpu: dict[str, Any], severity: Severity | None
) -> None:
    """Same number and no features: the order of the records decides. A higher CPU number wins even on a GPU."""
    report = audit(channel(tmp_path, good(**gpu), cpu_package(build="cpu_0", **cpu)))
    assert rules(report) == (["preference"] if severity else [])
    if severity:
        assert finding(report, "preference").severity is severity


def test_a_gpu_build_beside_a_cpu_build_requires_a_gpu(tmp_path: Path) -> None:
    """A constraint keeps old drivers out, and not machines without any."""
    one = good(depends=("cuda-version 12.*",), constrains=("__cuda >=12", *ARCH))
    assert rules(audit(channel(tmp_path / "alone", one))) == []
    assert rules(audit(channel(tmp_path / "both", one, cpu_package(build="cpu_0")))) == ["gpu-not-required"]


# ---- metapackages and mutexes ------------------------------------------------------------------------------------


def test_metapackages_that_point_to_nothing(tmp_path: Path) -> None:
    """A metapackage names a build of the channel; one that is not there is wrong, another channel's is remarked."""
    place = channel(
        tmp_path,
        good(),
        LittlePackage(name="vectors-gpu", version="1.0", depends=("vectors 1.0 cuda124_*",)),
        LittlePackage(name="vectors-gpu", version="2.0", depends=("vectors 2.0 cuda*",)),
        LittlePackage(name="vectors-gpu", version="3.0", depends=('vectors[version="1.0", build="gpu*"]',)),
        LittlePackage(name="elsewhere-gpu", depends=("elsewhere 1.0 cuda*",)),
    )
    report = audit(place)
    assert rules(report, "vectors-gpu-1.0-0.conda") == []
    assert rules(report, "vectors-gpu-2.0-0.conda") == ["points-nowhere"]
    assert rules(report, "vectors-gpu-3.0-0.conda") == ["points-nowhere"]
    assert rules(report, "elsewhere-gpu-1.0-0.conda") == ["points-outside"]
    assert report.errors == 2


def test_mutexes(tmp_path: Path) -> None:
    """A build of a mutex that is not there makes a package impossible; a mutex that nobody asks for does nothing."""
    place = channel(
        tmp_path,
        good(depends=(*GOOD, "vectors-mutex 1.0 gpu")),
        LittlePackage(name="vectors-mutex", build="cuda"),
        LittlePackage(name="other-mutex", build="cuda"),
    )
    report = audit(place)
    assert rules(report, "vectors-1.0-cuda124_100.conda") == ["points-nowhere"]
    assert rules(report, "vectors-mutex-1.0-cuda.conda") == []
    assert rules(report, "other-mutex-1.0-cuda.conda") == ["mutex-unused"]


# ---- records against files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"sha256": "0" * 64}, "sums"),
        ({"md5": "0" * 32}, "sums"),
        ({"size": 17}, "sums"),
        ({"name": "scalars"}, "identity"),
        ({"version": "2.0"}, "identity"),
        ({"build": "cuda124_1"}, "identity"),
        ({"build_number": 3}, "record-differs"),
        ({"track_features": "gpu"}, "record-differs"),
        ({"depends": [*GOOD, "numpy"]}, "record-differs"),
        ({"depends": list(reversed(GOOD))}, None),
    ],
)
def test_records_that_are_not_of_the_file(tmp_path: Path, changes: dict[str, Any], rule: str | None) -> None:
    """Sums, size, name, version, build and requirements of the record are those of the file."""
    one = good()
    report = audit(channel(tmp_path, one, changed={one.file_name: changes}))
    assert rules(report) == ([rule] if rule else [])


def test_a_package_in_the_wrong_place_and_files_without_records(tmp_path: Path) -> None:
    """What is for another platform, what no record names and what has no file is told."""
    place = channel(tmp_path, good(), records=[{"name": "ghost", "subdir": "linux-64"}])
    write_package(good(version="2.0"), place)
    write_package(good(version="3.0", index={"subdir": "linux-aarch64"}), place)
    report = audit(place)
    assert rules(report, "ghost-1.0-0.conda") == ["file-missing"]
    assert rules(report, "vectors-2.0-cuda124_100.conda") == ["record-missing"]
    assert rules(report, "vectors-3.0-cuda124_100.conda") == ["record-missing"]


def test_a_difference_that_a_patch_explains(tmp_path: Path) -> None:
    """`patch_instructions.json` and `repodata_from_packages.json` beside the index tell what was patched."""
    one = good()
    more = [*GOOD, "numpy"]
    place = channel(tmp_path, one, changed={one.file_name: {"depends": more}})
    patch = {"packages.conda": {one.file_name: {"depends": more}}}
    (place / "linux-64" / "patch_instructions.json").write_text(json.dumps(patch))
    assert rules(audit(place)) == []


# ---- packages by themselves, and trouble -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".conda", ".tar.bz2"])
def test_packages_by_themselves(tmp_path: Path, ending: Any) -> None:
    """A file is held against its own `index.json`, whatever it is named."""
    path = write_package(package(*IMAGES, ending=ending), tmp_path)
    report = audit(path)
    assert rules(report) == ["gpu-undeclared"]
    assert report.audited[0].subdir is None
    other = path.rename(path.with_name(f"vectors-9.0-0{ending}"))
    assert rules(audit(f"file://{other}")) == ["identity", "gpu-undeclared"]
    renamed = other.rename(path.with_name(f"download{ending}"))
    assert rules(audit(renamed)) == ["gpu-undeclared"]


def test_a_directory_of_packages_and_one_part_of_a_channel(tmp_path: Path) -> None:
    """`channel/linux-64` and a plain directory of packages are looked into as well; `subdirs` chooses."""
    place = channel(tmp_path, package(*IMAGES), LittlePackage(name="plain"))
    assert audit(place).packages == 2
    assert audit(place / "linux-64").packages == 1
    assert audit(place, subdirs=["noarch"]).packages == 1
    loose = tmp_path / "dist"
    loose.mkdir()
    os.link(place / "linux-64" / "vectors-1.0-0.conda", loose / "vectors-1.0-0.conda")
    assert rules(audit(loose)) == ["gpu-undeclared"]


def test_what_cannot_be_read_is_a_problem_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Broken packages, words that name nothing and broken records stop nobody."""
    place = channel(tmp_path, package(*IMAGES), good(version="2.0"))
    broken = place / "linux-64" / "vectors-2.0-cuda124_100.conda"
    broken.write_bytes(broken.read_bytes()[:300])
    report = audit(place, tmp_path / "nothing", "./nowhere")
    assert rules(report) == ["gpu-undeclared"]
    assert {problem.exit_code for problem in report.problems} == {2, 3}
    repodata = place / "linux-64" / "repodata.json"
    repodata.write_text(repodata.read_text().replace('"build_number": 0', '"build_number": "none"', 1))
    report = audit(place)
    assert "record-broken" in rules(report)
    repodata.write_text("{")
    report = audit(place, subdirs=["linux-64"])
    assert [problem.code for problem in report.problems] == ["format"]


def test_an_index_without_files_is_judged_by_its_words(tmp_path: Path) -> None:
    """Most files are elsewhere: one problem for the directory, what metadata show by themselves, no record removed."""
    gpu, cpu = good(build_number=0), cpu_package(build="cpu_0")
    points = LittlePackage(name="all", subdir="linux-64", depends=("vectors 1.0 cuda999_0",))
    place = channel(tmp_path, gpu, cpu, points, cpu_package(version="9.0"))
    for one in (gpu, cpu, points):
        (place / "linux-64" / one.file_name).unlink()
    report = audit(place, patch=tmp_path / "patch")
    assert sorted(rules(report)) == ["points-nowhere", "preference"]
    (problem,) = report.problems
    assert problem.code == "unavailable"
    assert "3 of the 4 files" in problem.message
    assert (report.packages, report.unread_packages) == (4, 3)
    patch = json.loads((tmp_path / "patch" / "linux-64" / "patch_instructions.json").read_text())
    assert patch["remove"] == []
    assert patch["packages.conda"] == {
        name: {"track_features": "vectors-cpu"} for name in (cpu.file_name, "vectors-9.0-0.conda")
    }


def test_a_server_with_an_index_alone(tmp_path: Path) -> None:
    """The same where the files are not found over HTTP."""
    place = channel(tmp_path, good(), cpu_package(version="2.0"))
    with RangeServer({"linux-64/repodata.json": (place / "linux-64" / "repodata.json").read_bytes()}) as server:
        report = audit(server.address(""), subdirs=["linux-64"])
    assert rules(report) == []
    assert [problem.code for problem in report.problems] == ["unavailable"]


def test_packages_are_told_of_as_they_are_judged(tmp_path: Path) -> None:
    """Each package with findings is told of once, those without are only counted."""
    told: list[str] = []
    place = channel(tmp_path, package(*IMAGES), good(version="2.0"), package(*IMAGES, version="3.0"))
    report = audit(place, on_package=lambda one: told.append(one.file), jobs=1)
    assert told == ["vectors-1.0-0.conda", "vectors-3.0-0.conda"]
    assert audited(report, told[0]).gpu_code
    assert report.packages == 3
