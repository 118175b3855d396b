"""The catalog holds what its files promise: names, wheels, builds, repairs, and nothing of one registry."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from gpuenv.channels import catalog
from gpuenv.channels.catalog import Build, Project, builds_of, find_project, nearest_names, project_names, releases_of
from gpuenv.channels.catalog.projects import BuildRule
from gpuenv.channels.catalog.releases import DATA, library_code, wheel_names
from gpuenv.channels.catalog.requires import conda_version
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import GpuSupport, Jit
from gpuenv.versions import CudaVersion, LibcVersion

FOLDER = Path(catalog.__file__).parent / "projects"
PLATFORMS = (
    "linux-x86_64",
    "linux-aarch64",
    "linux-ppc64le",
    "windows-x86_64",
    "windows-aarch64",
    "macos-aarch64",
    "macos-x86_64",
)
PYTHONS = ("3.8", "3.11", "3.13")
TAKES_ITS_CUDA_FROM_OTHERS = {
    "bitsandbytes",
    "numba",
    "spacy",
    "thinc",
    "torch-geometric",
    "torchaudio",
    "torchvision",
    "vllm",
    "xformers",
}


def project(name: str) -> Project:
    """A project of the catalog."""
    found = find_project(name)
    assert found is not None, name
    return found


def all_builds(name: str, platform: str = "linux-x86_64", python: str = "3.11") -> tuple[Build, ...]:
    """The builds of one project."""
    return builds_of(project(name), platform, python)


def rules() -> list[tuple[str, BuildRule]]:
    """Every rule with its project's name."""
    return [(name, rule) for name in project_names() for rule in project(name).builds]


# ---- files by hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: str(file.stem))
def test_a_project_file_says_what_the_project_is(file: Path) -> None:
    """Each file is named for its project, and has a summary and a link to the documentation; CUDA's line has none."""
    row = tomllib.loads(file.read_text("utf-8"))
    assert row["name"] == file.stem
    assert row["summary"]
    assert row.get("documentation", "").startswith("https://") or row["name"] == "cuda-version"
    assert row.get("builds") or row.get("metapackages") or row.get("unavailable")


def test_every_name_means_one_project() -> None:
    """Names, aliases, metapackages, refused names and wheels are each of one project only."""
    names: Counter[str] = Counter()
    for name in project_names():
        one = project(name)
        own = {one.name, *one.aliases, *(extra.name for extra in one.metapackages)}
        own |= {gone.name for gone in one.unavailable} | {rule.wheel for rule in one.builds}
        names.update(own)
    assert [name for name, times in names.items() if times > 1] == []
    assert [name for name in names if name != canonicalize_name(name)] == []


def test_every_rule_has_wheels_that_it_speaks_of() -> None:
    """A rule names a wheel that the catalog holds releases of, and holds for at least one of them somewhere."""
    for name, rule in rules():
        releases = [one for one in releases_of(rule.wheel) if SpecifierSet(rule.versions).contains(one.version)]
        assert releases, f"{name}: {rule.wheel} {rule.versions}"
        platforms = rule.platforms or PLATFORMS
        assert set(platforms) <= set(PLATFORMS), f"{name}: {rule.platforms}"
        served = [one for one in releases if one.pure or one.sdist_only or set(platforms) & one.platforms.keys()]
        assert served, f"{name}: no release of {rule.wheel} {rule.versions} is for {rule.platforms}"


def test_every_rule_parses() -> None:
    """Specifiers, requirements and dependencies of the rules are well formed, and depend on known packages."""
    for name, rule in rules():
        SpecifierSet(rule.versions)
        SpecifierSet(rule.python)
        for text in (*rule.requires, *rule.build_requires):
            Requirement(text.format(line="12.6"))
        for depend in rule.depends:
            assert find_project(depend.split()[0]), f"{name} depends on {depend}"
        for wheel in rule.code_from:
            assert releases_of(wheel), f"{name} takes its code from {wheel}"
        for other in filter(None, (rule.through, rule.beside)):
            assert project(other).name == other
        if rule.withdrawn:
            assert rule.source, f"{name} {rule.versions}: withdrawn without a source"
    for name in project_names():
        for extra in project(name).metapackages:
            for depend in extra.depends:
                assert find_project(depend.split()[0]), f"{extra.name} depends on {depend}"


def test_extras_of_rules_exist_in_the_releases() -> None:
    """A rule asks for an extra only of releases that have it: uv would no more than warn, and leave CUDA out."""
    for name, rule in rules():
        for release in releases_of(rule.wheel):
            if not SpecifierSet(rule.versions).contains(release.version):
                continue
            known = set(re.findall(r"""extra == ["']([^"']+)["']""", " ".join(release.requires)))
            assert set(rule.extras) <= known, f"{name}: {rule.wheel} {release.version} lacks {set(rule.extras) - known}"


def test_gpu_notes_and_refusals_have_words() -> None:
    """What is told about systems without a GPU build names systems; what cannot be had says why, and what would do."""
    for name in project_names():
        for note in project(name).gpu_notes:
            assert note.text
            assert set(note.platforms) <= set(PLATFORMS)
        for gone in project(name).unavailable:
            assert gone.reason
            assert gone.hints


# ---- builds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS)
def test_builds_are_told_apart_by_their_build_strings(platform: str) -> None:
    """One version never has two builds of one name, and build strings are as conda writes them."""
    for name in project_names():
        for python in PYTHONS:
            builds = all_builds(name, platform, python)
            twice = [
                key for key, times in Counter((b.project, b.version, b.build) for b in builds).items() if times > 1
            ]
            assert twice == [], f"{name} on {platform}"
            odd = [
                build.build for build in builds if build.wheel and not re.fullmatch(r"[a-z0-9_]*py\d*_0", build.build)
            ]
            assert odd == [], f"{name} on {platform}"


@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-aarch64", "windows-x86_64"])
def test_a_gpu_build_says_which_cuda_it_is_of(platform: str) -> None:
    """A build that uses the GPU has a CUDA line, unless it takes all of CUDA from the package that it is made for."""
    for name in project_names():
        for build in (one for one in all_builds(name, platform) if one.gpu and one.needs.cuda is None):
            assert name in TAKES_ITS_CUDA_FROM_OTHERS, build
            assert [depend for depend in build.depends if re.search(r" \^?cuda", depend) or depend == "numba-cuda"], (
                build
            )


def test_a_build_of_a_line_holds_the_rest_to_it() -> None:
    """GPU builds depend on `cuda-version`, so that one request has one CUDA line."""
    for name in ("pytorch", "tensorflow", "jax", "cupy", "py-xgboost", "mxnet", "numba-cuda"):
        for build in (one for one in all_builds(name) if one.wheel):
            lines = [depend for depend in build.depends if depend.startswith("cuda-version ")]
            assert len(lines) == (1 if build.gpu else 0), f"{name} {build.version} {build.build}: {build.depends}"


def test_cuda_lines_are_toolkits_that_are_known() -> None:
    """Every line of a build is one of the toolkits in the facts, or newer than all of them."""
    known = {toolkit.version for toolkit in load_toolkits()}
    newest = max(known)
    for name in project_names():
        for build in all_builds(name):
            line = build.needs.cuda
            assert line is None or line in known or line > newest, f"{name} {build.version}: CUDA {line}"


@pytest.mark.parametrize(
    ("version", "cuda"),
    [
        ("1.13.1", "11.7"),
        ("2.0.1", "11.7"),
        ("2.1.2", "12.1"),
        ("2.4.1", "12.1"),
        ("2.5.1", "12.4"),
        ("2.6.0", "12.4"),
        ("2.7.1", "12.6"),
        ("2.8.0", "12.8"),
        ("2.10.0", "12.8"),
        ("2.11.0", "13.0"),
        ("2.14.0", "13.0"),
        ("2.15.0", "13.2"),
    ],
)
def test_the_cuda_of_pytorchs_wheels(version: str, cuda: str) -> None:
    """PyPI's Linux wheels of PyTorch are each made with one CUDA, read off their own requirements."""
    (build,) = [one for one in all_builds("pytorch") if one.version == version and one.gpu]
    assert build.needs.cuda == build.needs.cuda_newest == CudaVersion(cuda)
    assert build.build.startswith(f"cuda{cuda.replace('.', '')}_")


@pytest.mark.parametrize(
    ("version", "cuda"),
    [("2.14.1", "11.8"), ("2.15.1", "12.2"), ("2.17.1", "12.3"), ("2.18.1", "12.5"), ("2.19.1", "12.5")],
)
def test_the_cuda_of_tensorflows_extra(version: str, cuda: str) -> None:
    """The and-cuda extra pins the CUDA libraries of one line up to 2.19; later it takes any newer ones of CUDA 12."""
    (build,) = [one for one in all_builds("tensorflow") if one.version == version and one.gpu]
    assert build.needs.cuda == build.needs.cuda_newest == CudaVersion(cuda)
    (range_build,) = [one for one in all_builds("tensorflow") if one.version == "2.21.0" and one.gpu]
    assert (range_build.needs.cuda, range_build.needs.cuda_newest) == (CudaVersion("12.5"), CudaVersion("12.9"))


def test_a_gpu_build_wins_over_the_cpu_build_of_its_version() -> None:
    """Among builds of one version the GPU build has the highest build number."""
    for name in project_names():
        by_version: dict[str, list[Build]] = {}
        for build in all_builds(name):
            by_version.setdefault(build.version, []).append(build)
        for builds in by_version.values():
            gpu = [build.number for build in builds if build.gpu]
            cpu = [build.number for build in builds if not build.gpu]
            assert not gpu or not cpu or min(gpu) > max(cpu), name


def test_what_a_build_requires_brings_that_build() -> None:
    """The requirement of a build pins its wheel in its version, with the extras that make it the build it is."""
    for name in project_names():
        for build in all_builds(name):
            if not build.wheel:
                assert build.requirements == ()
                continue
            first = Requirement(build.requirements[0])
            assert first.name == build.wheel
            assert first.specifier.contains(build.version), name
            assert build.beside or str(first.specifier) == f"=={build.version}", name
            stripped = any(Requirement(one).name != build.wheel for one in build.requirements[1:])
            assert first.extras == set(build.extras) or stripped, name


def test_tensorflow_215_comes_without_the_tensorrt_that_nobody_can_resolve() -> None:
    """The and-cuda extra of 2.14 and 2.15 asks for a TensorRT that PyPI no longer resolves; the rest is asked for."""
    for version in ("2.14.1", "2.15.1"):
        (build,) = [one for one in all_builds("tensorflow") if one.version == version and one.gpu]
        names = {Requirement(text).name for text in build.requirements}
        assert "nvidia-cudnn-cu11" in names or "nvidia-cudnn-cu12" in names
        assert not [name for name in names if name.startswith("tensorrt")]


# ---- repairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "repairs"),
    [
        ("mxnet", ["numpy<1.24"]),
        ("chainer", ["numpy<1.24", "setuptools<74"]),
        ("caffe", ["numpy<1.24", "protobuf<3.21"]),
    ],
)
def test_old_packages_get_what_their_metadata_lacks(name: str, repairs: list[str]) -> None:
    """Measured: these import names that NumPy 1.24 (protobuf 3.21, setuptools 74) no longer has."""
    builds = [build for build in all_builds(name, python="3.8") if build.wheel]
    assert builds
    for build in builds:
        assert set(repairs) <= set(build.requirements), build.build
        assert "numpy <1.24" in build.depends


def test_chainer_is_built_from_source_with_an_old_setuptools() -> None:
    """Chainer is published as source only, and its build imports `pkg_resources`, which setuptools 81 dropped."""
    for build in all_builds("chainer"):
        assert build.from_source
        assert build.build_requires == ("setuptools<81",)


def test_mxnet_ends_with_the_pythons_that_have_an_old_numpy() -> None:
    """NumPy 1.23 has wheels up to Python 3.11, which MXNet's own metadata does not say."""
    for build in all_builds("mxnet"):
        if build.wheel:
            assert build.needs.pythons is not None
            assert max(build.needs.pythons, key=Version) == "3.11"


def test_torchaudio_without_a_pin_is_held_to_its_pytorch() -> None:
    """Release 2.11.0 asks for no PyTorch; its guide says 2.11 and later, its wheel refuses another CUDA than 13.0."""
    (gpu,) = [one for one in all_builds("torchaudio") if one.version == "2.11.0" and one.gpu]
    assert "pytorch >=2.11,<2.15 cuda130*" in gpu.depends
    assert "torch>=2.11,<2.15" in gpu.requirements
    (mac,) = [one for one in all_builds("torchaudio", "macos-aarch64") if one.version == "2.11.0"]
    assert "pytorch >=2.11 cpu*" in mac.depends


# ---- the data that a script reads ------------------------------------------------------------------------------------


def test_releases_are_well_formed() -> None:
    """Versions, requirements and C libraries parse, each row has the day it was read, and no version is there twice."""
    for wheel in wheel_names():
        releases = releases_of(wheel)
        assert len({Version(one.version) for one in releases}) == len(releases), wheel
        for one in releases:
            date.fromisoformat(one.read)
            SpecifierSet(one.requires_python or "")
            for text in one.requires:
                Requirement(text)
            for wheels in one.platforms.values():
                assert wheels.glibc is None or LibcVersion(wheels.glibc)
            assert one.pure or one.sdist_only or one.platforms, f"{wheel} {one.version} has no file"
            assert set(one.platforms) <= set(PLATFORMS)


def test_machine_code_that_was_read_names_the_file_and_its_hash() -> None:
    """Each reading names a wheel of its release with its sha256, and its images parse."""
    readings = 0
    for wheel in wheel_names():
        for one in releases_of(wheel):
            for reading in one.code.values():
                readings += 1
                assert reading.wheel_file.endswith(".whl")
                assert f"-{one.version}-" in reading.wheel_file
                assert re.fullmatch(r"[0-9a-f]{64}", reading.sha256 or "")
                assert [library.name for library in library_code(reading) if not library.groups] == []
    assert readings > 50


def test_run_time_compilers_say_what_they_hand_to_the_driver() -> None:
    """Numba hands PTX to the driver; CuPy and JAX machine code."""
    for name, jit in (("numba-cuda", Jit.PTX), ("cupy", Jit.SASS), ("jax", Jit.SASS)):
        assert {build.needs.jit for build in all_builds(name) if build.gpu} == {jit}


def test_the_catalog_holds_no_address_to_fetch_from() -> None:
    """The index comes from the user's settings: addresses are those of documentation, of sources and of projects' own
    indexes, and no others.
    """
    assert not [path.name for path in DATA.iterdir() if "://" in path.read_text("utf-8")]
    for file in FOLDER.glob("*.toml"):
        lines = [line for line in file.read_text("utf-8").splitlines() if "://" in line]
        others = [
            line for line in lines if not re.match(r"(documentation|source|url) = \"https://[\w./#{}-]+\"$", line)
        ]
        assert others == [], file.name


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pytorhc", "pytorch"),
        ("tensorflo", "tensorflow"),
        ("xgbost", "xgboost"),
        ("cupy-cuda12", "cupy-cuda12x"),
        ("cudatolkit", "cudatoolkit"),
        ("py-torch", "pytorch"),
    ],
)
def test_the_nearest_names_are_those_that_people_mean(typed: str, meant: str) -> None:
    """A slip of the finger is answered with the name that was meant."""
    assert meant in nearest_names(typed)


def test_a_name_like_nothing_has_no_nearest_names() -> None:
    """A guess that is no better than chance is not made."""
    assert nearest_names("qqqqqq") == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tensorflow", GpuSupport.COMPILE_TIME),
        ("cupy", GpuSupport.COMPILE_TIME),
        ("pytorch", GpuSupport.RUN_TIME),
        ("numba", GpuSupport.RUN_TIME),
        ("chainer", GpuSupport.THROUGH),
        ("keras", GpuSupport.THROUGH),
    ],
)
def test_kinds_of_gpu_support(name: str, kind: GpuSupport) -> None:
    """CPU and GPU are separate builds of some projects, one build of others, or another package's affair."""
    assert project(name).gpu_support is kind


@pytest.mark.parametrize(
    ("python", "conda"),
    [
        ("==2.10.0", "==2.10.0"),
        ("==12.*", "12.*"),
        ("~=3.9.0", "3.9.*,>=3.9.0"),
        ("~=13.0", "13.*,>=13.0"),
        (">=2,<3", "<3,>=2"),
        ("!=2.1", "!=2.1"),
        ("==2.5.1+cu124", "==2.5.1"),
        ("", "*"),
    ],
)
def test_python_bounds_in_condas_words(python: str, conda: str) -> None:
    """A specifier of PEP 440 means the same set of releases as the conda spec it becomes."""
    from rattler import Version as CondaVersion
    from rattler import VersionSpec

    assert conda_version(SpecifierSet(python)) == conda
    spec = VersionSpec(conda)
    for version in (
        "1.9",
        "2",
        "2.1",
        "2.5.1",
        "2.10.0",
        "3",
        "3.9.0",
        "3.9.4",
        "3.10.0",
        "12.4",
        "13.0",
        "13.2",
        "14",
    ):
        assert spec.matches(CondaVersion(version)) == SpecifierSet(python.partition("+")[0]).contains(version), version
