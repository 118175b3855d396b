"""What the catalog says of the projects beyond the page, held against the metadata and the binaries that were read."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gpuenv.channels import catalog
from gpuenv.channels.catalog import Build, Project, builds_of, find_project, releases_of
from gpuenv.channels.catalog.releases import DATA
from gpuenv.facts.libraries import find_library
from gpuenv.model import GpuSupport
from gpuenv.versions import CudaVersion

FOLDER = Path(catalog.__file__).parent / "projects"


def project(name: str) -> Project:
    """A project of the catalog."""
    found = find_project(name)
    assert found is not None, name
    return found


def builds(name: str, version: str | None = None, platform: str = "linux-x86_64") -> list[Build]:
    """The builds of one project that have a wheel, of one version or of all."""
    found = builds_of(project(name), platform, "3.11")
    return [one for one in found if one.wheel and version in {None, one.version}]


def images(build: Build) -> set[str]:
    """The images of all libraries of a build."""
    libraries = build.needs.libraries
    assert libraries, build
    return {str(image) for library in libraries for group in library.groups for image in group.images}


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("onnxruntime-gpu", "onnxruntime"),
        ("faiss-gpu-cu12", "faiss"),
        ("cudf-cu12", "cudf"),
        ("cuml-cu13", "cuml"),
        ("pyg", "torch-geometric"),
        ("paddlepaddle-gpu", "paddlepaddle"),
        ("tensorrt-cu12", "tensorrt"),
        ("nvidia-cublas-cu13", "cuda-libraries"),
    ],
)
def test_names_of_both_worlds(typed: str, name: str) -> None:
    """What conda and Python call a project, and the names of its wheels, all mean it."""
    assert project(typed).name == name


@pytest.mark.parametrize(
    ("name", "wheel"),
    [
        ("onnxruntime", "onnxruntime"),
        ("faiss", "faiss-cpu"),
        ("lightgbm", "lightgbm"),
        ("catboost", "catboost"),
        ("ctranslate2", "ctranslate2"),
        ("warp-lang", "warp-lang"),
        ("paddlepaddle", "paddlepaddle"),
        ("dgl", "dgl"),
        ("bitsandbytes", "bitsandbytes"),
        ("torch-geometric", "torch-geometric"),
        ("spacy", "spacy"),
        ("thinc", "thinc"),
    ],
)
@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64"])
def test_a_cpu_build_wherever_there_are_wheels(name: str, wheel: str, platform: str) -> None:
    """These compute without a GPU on every platform that they have wheels for."""
    cpu = [one for one in builds(name, platform=platform) if not one.gpu]
    assert cpu
    assert {one.wheel for one in cpu} == {wheel}


@pytest.mark.parametrize("name", ["xformers", "vllm", "cudf", "cuml", "rmm", "tensorrt"])
def test_no_build_without_a_gpu(name: str) -> None:
    """These have GPU builds only, and none for macOS."""
    assert {one.gpu for one in builds(name)} == {True}
    assert not any(one.needs.runs_without_gpu for one in builds(name))
    assert not [one for one in builds(name, platform="macos-aarch64") if one.needs.withdrawn is None]


@pytest.mark.parametrize(
    ("version", "cuda", "by_hand"),
    [
        ("1.31.1", "13.0", False),
        ("1.28.0", "13.0", False),
        ("1.27.0", "13.0", False),
        ("1.26.0", "12.0", False),
        ("1.21.0", "12.0", False),
        ("1.20.2", "12.0", True),
        ("1.18.1", "11.0", True),
    ],
)
def test_the_cuda_of_onnxruntime(version: str, cuda: str, by_hand: bool) -> None:
    """CUDA 13 from 1.27 on and 12 from 1.19 on; from 1.21 on extras bring the libraries."""
    (gpu,) = [one for one in builds("onnxruntime", version) if one.gpu]
    assert gpu.needs.cuda == CudaVersion(cuda)
    assert bool(gpu.needs.system_cuda) is by_hand
    assert set(gpu.extras) == (set() if by_hand else {"cuda", "cudnn"})


def test_onnxruntime_127_asks_for_no_placeholder() -> None:
    """The extra of 1.27 names packages that are placeholders; their real names are asked for instead."""
    (gpu,) = [one for one in builds("onnxruntime", "1.27.0") if one.gpu]
    named = {Requirement(text).name for text in gpu.requirements}
    (release,) = [one for one in releases_of("onnxruntime-gpu") if one.version == "1.27.0"]
    placeholders = {Requirement(text).name for text in release.requires} & {
        gone.name for gone in project("cuda-libraries").unavailable
    }
    assert len(placeholders) == 4
    assert not placeholders & named
    assert {name.removesuffix("-cu13") for name in placeholders} <= named
    assert "nvidia-cudnn-cu13" in named


def test_onnxruntime_read_from_the_wheels() -> None:
    """1.31 begins at 7.5 and has no PTX, 1.26 at 6.0 with PTX for 9.0, 1.18 at 5.2."""
    by_version = {one.version: images(one) for one in builds("onnxruntime") if one.gpu and one.needs.libraries}
    assert {"sm_75", "sm_120a"} <= by_version["1.31.1"]
    assert not {"sm_60", "sm_70"} & by_version["1.31.1"]
    assert not [one for one in by_version["1.31.1"] if one.startswith("compute")]
    assert {"sm_60", "compute_90/ptx8.7"} <= by_version["1.26.0"]
    assert "sm_52" in by_version["1.18.1"]


def test_bitsandbytes_tells_its_libraries_apart() -> None:
    """One library for each CUDA, of which one is loaded; the first for CUDA 13 came with 0.48."""
    loaded = {}
    for one in builds("bitsandbytes"):
        if one.gpu and one.needs.libraries:
            loaded[one.version] = {library.loaded_for for library in one.needs.libraries}
    assert None not in set().union(*loaded.values())
    assert CudaVersion("13.2") in loaded["0.50.2"]
    assert max(str(cuda) for cuda in loaded["0.47.0"]) == "12.9"
    for version, cudas in loaded.items():
        (build,) = [one for one in builds("bitsandbytes", version) if one.gpu]
        has_cuda13 = any(cuda is not None and cuda.major == 13 for cuda in cudas)
        assert ("pytorch * cuda*" in build.depends) is has_cuda13, version


@pytest.mark.parametrize("name", ["xformers", "vllm", "bitsandbytes", "torch-geometric"])
def test_what_is_built_on_pytorch_takes_a_pytorch_with_cuda(name: str) -> None:
    """A GPU build depends on PyTorch's GPU builds, and keeps the pins of its own metadata."""
    for build in (one for one in builds(name) if one.gpu):
        assert any(depend.startswith("pytorch ") and "cuda" in depend for depend in build.depends), build.version
        (release,) = [one for one in releases_of(build.wheel) if one.version == build.version]
        pins = [Requirement(text) for text in release.requires if Requirement(text).name == "torch"]
        exact = [str(pin.specifier) for pin in pins if str(pin.specifier).startswith("==") and pin.marker is None]
        assert all(f"pytorch {pin}" in build.depends for pin in exact), f"{name} {build.version}"


def test_xformers_that_is_linked_with_cuda_12() -> None:
    """0.0.35 takes any PyTorch from 2.10 on by its metadata; its library is linked with `libcudart.so.12`."""
    (build,) = builds("xformers", "0.0.35")
    assert {"pytorch * ^cuda12.*$", "pytorch >=2.10"} <= set(build.depends)


@pytest.mark.parametrize("name", ["catboost", "warp-lang", "ctranslate2"])
def test_cuda_that_is_linked_in_binds_the_driver_only(name: str) -> None:
    """These share no CUDA library with others, so they hold none of them to a CUDA line."""
    for build in (one for one in builds(name) if one.gpu):
        assert build.needs.cuda is not None
        assert build.needs.runs_without_gpu
        assert not [depend for depend in build.depends if depend.startswith("cuda-version")]


def test_lightgbm_and_dgl_carry_no_cuda() -> None:
    """Wheels of both were opened and hold no code for NVIDIA GPUs."""
    for name in ("lightgbm", "dgl"):
        readings = [code for one in releases_of(name) for code in one.code.values()]
        assert len(readings) == 2
        assert not [library for code in readings for library in code.libraries]
        assert not [one for one in builds(name) if one.gpu]


@pytest.mark.parametrize(
    ("version", "platform", "inside", "outside"),
    [
        ("2.2.1", "windows-x86_64", "2.3.0", "2.3.1"),
        ("2.2.0", "macos-aarch64", "2.3.0", "2.0.1"),
        ("2.1.0", "linux-x86_64", "2.2.1", "2.2.2"),
        ("2.0.0", "windows-x86_64", "2.1.2", "2.2.0"),
    ],
)
def test_dgl_is_bound_by_the_libraries_inside(version: str, platform: str, inside: str, outside: str) -> None:
    """DGL 2 has one library for each release of PyTorch that it can be loaded beside, and its metadata say nothing."""
    (build,) = builds("dgl", version, platform)
    (torch,) = [Requirement(text) for text in build.requirements if Requirement(text).name == "torch"]
    assert torch.specifier.contains(inside)
    assert not torch.specifier.contains(outside)
    assert "torchdata<0.10" in build.requirements


def test_faiss_wheels_and_their_cuda() -> None:
    """The project's own wheel is of CUDA 12, others' of 11.8 and 12, and the one with cuVS of 13 from 1.15 on."""
    lines = {(one.wheel, one.version): one.needs.cuda for one in builds("faiss") if one.gpu}
    assert lines["faiss-gpu", "1.15.1"] == CudaVersion("12.6")
    assert lines["faiss-gpu-cu12", "1.14.1.post1"] == CudaVersion("12.1")
    assert lines["faiss-gpu-cu11", "1.14.1.post1"] == CudaVersion("11.8")
    assert lines["faiss-gpu-cuvs", "1.15.1"] == CudaVersion("13.2")
    assert lines["faiss-gpu", "1.7.2"] == CudaVersion("10.0")
    (old,) = [one for one in builds("faiss", "1.7.2") if one.gpu]
    assert "compute_75/ptx6.3" in images(old)
    (others,) = [one for one in builds("faiss", "1.14.1.post1") if one.wheel == "faiss-gpu-cu12"]
    assert images(others) == {"sm_70", "sm_80"}


@pytest.mark.parametrize("name", ["cudf", "cuml", "rmm"])
def test_rapids_lists_no_stub(name: str) -> None:
    """Old releases are stubs that fetch from NVIDIA's own index; each build here has wheels, of its own CUDA."""
    for build in builds(name):
        major = build.wheel.rpartition("-cu")[2]
        assert build.needs.cuda == CudaVersion(f"{major}.0")
        assert not build.from_source
        assert build.needs.lowest_capability is not None
    assert {gone.name for gone in project(name).unavailable} == {f"{name}-cu11"}
    assert not [one for wheel in (f"{name}-cu12", f"{name}-cu13") for one in releases_of(wheel) if one.sdist_only]


def test_the_kernels_of_rapids_were_read_where_they_are() -> None:
    """In cuDF and cuML the kernels are in `libcudf` and `libcuml` of the same version; RMM has none."""
    (cudf,) = [one for one in builds("cudf", "26.10.2") if one.wheel == "cudf-cu13"]
    assert {"sm_75", "sm_120"} <= images(cudf)
    (cuml,) = [one for one in builds("cuml", "26.10.0") if one.wheel == "cuml-cu12"]
    assert "sm_70" in images(cuml)
    assert {one.needs.libraries for one in builds("rmm")} == {()}


def test_tensorrt_that_is_only_a_stub_is_withdrawn() -> None:
    """Releases of TensorRT that PyPI has as source only are refused with the reason; the wheels before are not."""
    for build in builds("tensorrt"):
        assert (build.needs.withdrawn is not None) is build.from_source, build.version
    kept = [one.version for one in builds("tensorrt") if one.needs.withdrawn is None]
    assert max(kept, key=Version) == "8.6.0"


@pytest.mark.parametrize("name", ["spacy", "thinc"])
def test_spacy_and_thinc_compute_through_cupy(name: str) -> None:
    """Their GPU builds are for requests with CuPy, and hold it to the CUDA of the extra."""
    assert project(name).gpu_support is GpuSupport.THROUGH
    for build in (one for one in builds(name) if one.gpu):
        assert build.through == "cupy"
        extra = next(iter(build.extras), "cudax")
        assert f"cupy * {extra.rstrip('x')}*" in build.depends
    assert {one.extras for one in builds(name) if one.gpu} == {(), ("cuda11x",), ("cuda12x",)}


@pytest.mark.parametrize("name", ["cuda-python", "cuda-bindings"])
def test_the_version_of_cuda_python_is_its_cuda(name: str) -> None:
    """The CUDA major of a release is that of its number."""
    for build in builds(name):
        assert build.needs.cuda is not None
        assert build.needs.cuda.major == Version(build.version).major


def test_flash_attn_is_source_only() -> None:
    """There is no build of flash-attn; the name is known, with what would do instead."""
    assert builds("flash-attn") == []
    (gone,) = project("flash-attn").unavailable
    assert "source only" in gone.reason
    assert any("gpuenv plan" in hint for hint in gone.hints)


def test_placeholders_of_nvidias_libraries_are_never_listed() -> None:
    """Names that hold placeholders are refused, and no release of a library is one of them (0.0.1)."""
    for gone in project("cuda-libraries").unavailable:
        assert not (DATA / f"{gone.name}.jsonl").exists()
        assert find_library(gone.name) is not None, f"{gone.name} looks like no library of NVIDIA's"
    for wheel in (one.name for one in project("cuda-libraries").wheels):
        assert releases_of(wheel)
        assert all(Version(one.version) >= Version("1") for one in releases_of(wheel))
        assert not [one.version for one in releases_of(wheel) if one.sdist_only]


@pytest.mark.parametrize("library", ["cublas", "cuda-runtime", "cuda-nvrtc", "cufft", "curand", "cusolver", "cusparse"])
def test_nvidias_libraries_in_three_generations_of_names(library: str) -> None:
    """Each has wheels under `-cu11`, `-cu12` and, from CUDA 13 on, without a suffix."""
    for suffix in ("-cu11", "-cu12", ""):
        assert releases_of(f"nvidia-{library}{suffix}"), suffix
    assert f"nvidia-{library}-cu13" in {gone.name for gone in project("cuda-libraries").unavailable}


@pytest.mark.parametrize(
    "name",
    ["pytorch", "tensorflow", "jax", "py-xgboost", "numba", "torchvision", "torchaudio", "onnxruntime", "catboost"],
)
def test_gpu_builds_that_compute_without_a_gpu(name: str) -> None:
    """Each GPU build of these also computes on the CPU."""
    assert {one.needs.runs_without_gpu for one in builds(name) if one.gpu} == {True}


@pytest.mark.parametrize("name", ["cupy", "tensorrt", "vllm", "rmm"])
def test_gpu_builds_that_need_a_gpu(name: str) -> None:
    """These do nothing where there is no GPU."""
    assert {one.needs.runs_without_gpu for one in builds(name) if one.gpu} == {False}


def test_wheels_to_read_are_those_that_builds_are_made_of() -> None:
    """A file of a project lists each wheel that its rules speak of, and no release older than it says."""
    for name in (path.stem for path in FOLDER.glob("*.toml")):
        listed = {wheel.name: wheel for wheel in project(name).wheels}
        assert {rule.wheel for rule in project(name).builds} <= listed.keys(), name
        for wheel, row in listed.items():
            wanted = SpecifierSet(f">={row.since}")
            early = [one.version for one in releases_of(wheel) if not wanted.contains(one.version, prereleases=True)]
            assert early == [], f"{name}: {wheel}"
