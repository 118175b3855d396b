"""What readings amount to: real packages as they were recorded, and the cases that those do not have."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_readings import code, library, reading, recorded
from gpuenv.artifacts.needs import needs_of
from gpuenv.artifacts.required import parse_requirement
from gpuenv.errors import FormatError
from gpuenv.model import ArtifactKind, GpuSupport, Jit, LibraryCode, NativeFile, Needs, Reading
from gpuenv.rules.code import main_library
from gpuenv.versions import ComputeCapability, CudaVersion, LibcVersion

NONE, COMPILE, RUN, THROUGH = (
    GpuSupport.NONE,
    GpuSupport.COMPILE_TIME,
    GpuSupport.RUN_TIME,
    GpuSupport.THROUGH,
)


def line(needs: Needs) -> str:
    """The CUDA line as text: `12.1 to 12.9`, `12.8`, or nothing."""
    ends = dict.fromkeys(str(end) for end in (needs.cuda, needs.cuda_newest) if end)
    return " to ".join(ends)


def said(needs: Needs, what: str) -> list[str]:
    """The values of one sort of evidence."""
    return [evidence.value for evidence in needs.evidence if evidence.what == what]


@pytest.mark.parametrize(
    ("name", "support", "uses_gpu", "cuda", "jit", "libraries"),
    [
        ("cupy-cuda12x", COMPILE, True, "12.9", None, 3),
        ("bitsandbytes", RUN, True, "11.7 to 12.8", None, 10),
        ("ctranslate2", RUN, True, "12.2", None, 1),
        ("faiss-gpu-cu12", COMPILE, True, "12.1 to 12.9", None, 1),
        ("triton", RUN, True, "12.9 to 13.4", Jit.SASS, 0),
        ("numba", RUN, True, "", Jit.PTX, 0),
        ("nvidia-cuda-nvrtc-cu12", RUN, True, "12.8", Jit.SASS, 0),
        ("keras", THROUGH, False, "", None, 0),
        ("transformers", THROUGH, False, "", None, 0),
        ("numpy", NONE, False, "", None, 0),
        ("opencv-python-headless", NONE, False, "", None, 0),
        ("lightgbm", NONE, False, "", None, 0),
    ],
)
def test_real_packages(
    name: str, support: GpuSupport, uses_gpu: bool, cuda: str, jit: Jit | None, libraries: int
) -> None:
    """Recorded from their wheels; none without GPU code is taken for a GPU package."""
    needs = needs_of(recorded(name))
    assert (needs.gpu_support, needs.uses_gpu, line(needs), needs.jit) == (support, uses_gpu, cuda, jit)
    assert needs.libraries is not None
    assert len(needs.libraries) == libraries
    assert bool(main_library(needs.libraries)) == bool(libraries)


def test_what_the_machine_must_bring_is_what_nobody_else_does() -> None:
    """Wheels of NVIDIA's do for faiss, torch for bitsandbytes; cupy leaves the libraries to an extra. CTranslate2 opens
    cuBLAS by name; it brings cuDNN, and can do without NCCL.
    """
    assert needs_of(recorded("faiss-gpu-cu12")).system_cuda is None
    assert needs_of(recorded("bitsandbytes")).system_cuda is None
    assert needs_of(recorded("ctranslate2")).system_cuda == "libcublas.so.12"
    expected = str(needs_of(recorded("cupy-cuda12x")).system_cuda)
    assert expected.startswith("libcublas.so.12, libcufft.so.11, ")
    assert expected.endswith(" and libnvrtc.so.12")
    assert "libcuda.so" not in expected


def test_triton_takes_no_kernels_from_its_copy_of_cupti() -> None:
    """The profiling library has kernels of its own, which are no part of what triton computes with."""
    needs = needs_of(recorded("triton"))
    assert needs.libraries == ()
    assert said(needs, "GPU code of tests or profiling")
    assert said(needs, "compiler inside") == ["of CUDA 12.9", "of CUDA 13.4"]
    assert needs.other_vendors == ("ROCm",)


def test_the_c_library_is_the_higher_of_promise_and_symbols() -> None:
    """Both are told. Of bitsandbytes' libraries those for CUDA 12.6 and later ask for more than its tag promises."""
    needs = needs_of(recorded("faiss-gpu-cu12"))
    assert needs.glibc == LibcVersion("2.28")
    assert said(needs, "GNU C library promised") == ["2.28"]
    assert said(needs, "GNU C library symbols") == ["2.27"]
    assert needs_of(recorded("bitsandbytes")).glibc == LibcVersion("2.24")
    assert needs_of(recorded("bitsandbytes"), cuda=CudaVersion("12.8")).glibc == LibcVersion("2.34")


LINUX = 'platform_system == "Linux"'
TORCH_WHEELS = (
    f"cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.2.2; {LINUX}",
    f"nvidia-cudnn-cu13==9.26.0.51; {LINUX}",
    f"nvidia-nccl-cu13==2.30.7; {LINUX}",
    f"nvidia-cusparselt-cu13==0.8.0; {LINUX}",
    f"nvidia-nvshmem-cu13==3.4.5; {LINUX}",
)
TORCH_LINKS = (
    *("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcufft.so.12", "libcurand.so.10", "libcupti.so.13"),
    *(
        "libcusparseLt.so.0",
        "libcudnn.so.9",
        "libnccl.so.2",
        "libnvshmem_host.so.3",
        "libnvToolsExt.so.1",
        "libcuda.so.1",
    ),
    *("libcufile.so.0", "libnvrtc.so.13", "libcusolver.so.12", "libcusparse.so.12"),
)


def test_torch_asks_for_all_the_libraries_that_it_is_linked_with() -> None:
    """Its requirement on the toolkit tells the exact CUDA, and with the other wheels brings every library."""
    file = library("torch/lib/libtorch_cuda.so", needed=TORCH_LINKS, has=code("sm_75", "sm_90", units=500))
    imports = {"torch": "torch/__init__.py", "triton": "torch/_inductor/runtime.py"}
    needs = needs_of(reading("torch", "2.15.0", file, requires=TORCH_WHEELS, imports=imports))
    assert (needs.gpu_support, needs.uses_gpu, line(needs), needs.system_cuda) == (RUN, True, "13.2", None)
    without = needs_of(reading("torch", "2.15.0", file, requires=TORCH_WHEELS[1:]))
    assert str(without.system_cuda).startswith("libcublas.so.13, libcublasLt.so.13, libcudart.so.13, ")


def test_requirements_of_another_platform_say_nothing() -> None:
    """The same requirements stand in the metadata of torch for macOS, which has no CUDA."""
    file = library("torch/lib/libtorch_cpu.dylib", kind="mach-o")
    needs = needs_of(reading("torch", "2.15.0", file, requires=TORCH_WHEELS, platforms=("macos-aarch64",)))
    assert (needs.gpu_support, needs.uses_gpu, needs.cuda) == (NONE, False, None)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("torch", library("torch/lib/libtorch_cpu.so", opened=("libcuda.so.1", "libcupti.so.12", "libnvrtc.so.12"))),
        ("tensorflow-cpu", library("tensorflow/libtensorflow_cc.so.2", opened=("libcudart.so.12", "libcublas.so.12"))),
        ("opencv-python", library("cv2/cv2.abi3.so", opened=("libnvcuvid.so.1", "libcuda.so.1"))),
        ("llvmlite", library("llvmlite/binding/libllvmlite.so", tools=("llvm-nvptx",))),
        ("psutil", library("psutil/_psutil_linux.abi3.so", opened=("libnvidia-ml.so.1",))),
        ("nvitop", library("nvitop/_native.so", needed=("libnvidia-ml.so.1",))),
        ("hwloc", library("lib/libhwloc.so.15", opened=("libcudart.so.12",), vendors=("ROCm",))),
    ],
)
def test_a_name_in_a_text_is_no_use(name: str, file: NativeFile) -> None:
    """Many files name CUDA's libraries; only with something stronger does that count. NVML only tells of GPUs."""
    needs = needs_of(reading(name, "1.0", file, requires=("numpy",)))
    assert (needs.gpu_support, needs.uses_gpu, needs.cuda, needs.jit) == (NONE, False, None, None)


@pytest.mark.parametrize(
    ("file", "requires", "jit"),
    [
        (library("p/a.so", needed=("libcublas.so.12",)), (), None),
        (library("p/a.so", needed=("libcuda.so.1",)), (), None),
        (library("p/a.so", runtime="12.4"), (), None),
        (library("p/a.so", needed=("libnvrtc.so.12",), jit=("nvrtc",)), (), Jit.SASS),
        (library("p/a.so", needed=("libnvvm.so.4",), jit=("nvvm",)), (), Jit.PTX),
        (library("p/a.so", opened=("libcuda.so.1",), tools=("libdevice", "llvm-nvptx")), (), Jit.PTX),
        (library("p/a.so", opened=("libcuda.so.1",), tools=("llvm-nvptx", "ptxas")), (), Jit.SASS),
        (library("p/a.so"), ("nvidia-nccl-cu12",), None),
        (library("p/a.dll", kind="pe", needed=("cudart64_12.dll", "nvcuda.dll")), (), None),
    ],
)
def test_each_sign_of_gpu_use_is_enough(file: NativeFile, requires: tuple[str, ...], jit: Jit | None) -> None:
    """Links, the runtime linked in, compilers, a requirement on a library of NVIDIA's."""
    needs = needs_of(reading("thing", "1.0", file, requires=requires))
    assert (needs.gpu_support, needs.uses_gpu, needs.jit) == (RUN, True, jit)


def test_kernels_of_its_own_come_before_compilers() -> None:
    """What compiles kernels beside those that it carries is judged by those."""
    file = library("p/a.so", needed=("libnvrtc.so.12",), jit=("nvrtc",), has=code("sm_80"))
    needs = needs_of(reading("thing", "1.0", file))
    assert needs.jit is None
    assert said(needs, "run-time compiler") == ["nvrtc"]


@pytest.mark.parametrize(
    ("name", "version", "support"),
    [
        ("thing-cu12", "1.0", COMPILE),
        ("thing-gpu", "1.0", COMPILE),
        ("thing_cuda", "1.0", COMPILE),
        ("thing", "1.0+cu126", COMPILE),
        ("thing", "1.0", RUN),
        ("torch", "2.6.0+cu126", RUN),
        ("tensorflow", "2.19.0", COMPILE),
        ("numba-cuda", "0.20", RUN),
        ("gpustat-like", "1.0", RUN),
    ],
)
def test_builds_beside_cpu_builds_are_told_by_their_names(name: str, version: str, support: GpuSupport) -> None:
    """Except where a package is known to be otherwise."""
    needs = needs_of(reading(name, version, library("p/a.so", needed=("libcudart.so.12",), has=code("sm_80"))))
    assert needs.gpu_support is support


@pytest.mark.parametrize(
    ("version", "file", "requires", "expected"),
    [
        ("1.0", library("p/a.so", runtime="12.6"), ("nvidia-cuda-runtime-cu12==12.8.90",), "12.8"),
        ("1.0", library("p/a.so"), ("nvidia-cuda-nvrtc-cu12==12.4.127",), "12.4"),
        ("1.0", library("p/a.so", runtime="12.6"), ("nvidia-nccl-cu12",), "12.6"),
        ("1.0+cu118", library("p/a.so", needed=("libcudart.so.11.0",)), (), "11.8"),
        ("1.0", library("p/a.so", needed=("libcudart.so.11.0",)), (), "11.0 to 11.8"),
        ("1.0", library("p/a.so", needed=("libcudart.so.10.2",)), (), "10.2"),
        ("1.0", library("p/a.so", needed=("libcublas.so.12", "libcusparse.so.12")), (), "12.0 to 12.9"),
        ("1.0", library("p/a.so", needed=("libnvrtc.so.11.2",)), (), "11.2 to 11.8"),
        ("1.0", library("p/a.dll", kind="pe", needed=("cudart64_110.dll",)), (), "11.0 to 11.8"),
        ("1.0", library("p/a.so", needed=("libcudnn.so.9",)), (), ""),
        ("1.0", library("p/a.so", has=code("sm_80")), ('cuda-toolkit==12.6.3; extra == "gpu"',), "12.6"),
    ],
)
def test_the_most_exact_word_on_cuda_counts(
    version: str, file: NativeFile, requires: tuple[str, ...], expected: str
) -> None:
    """A pin before the runtime inside, that before a version's suffix, that before links; cuDNN tells nothing."""
    needs = needs_of(reading("thing", version, file, requires=requires))
    assert needs.uses_gpu
    assert line(needs) == expected


def test_disagreement_stays_in_the_evidence() -> None:
    """Who does not believe the answer sees what else was there."""
    file = library("p/a.so", needed=("libcudart.so.12",), runtime="12.6")
    needs = needs_of(reading("thing-cu11", "1.0", file))
    assert said(needs, "CUDA line") == ["12.6", "12.0 to 12.9", "11.0 to 11.8"]


@pytest.mark.parametrize(
    ("build", "requires", "support", "expected"),
    [
        ("cuda126_py311h1_200", ("cuda-version >=12.6,<13", "libcublas >=12.6.4,<13.0a0"), COMPILE, "12.6"),
        ("h1_0", ("cuda-version >=12.4,<12.7", "__cuda"), RUN, "12.4 to 12.6"),
        ("py310_gpu_0", ("cudatoolkit 11.8.*",), COMPILE, "11.8"),
        ("py3.10_cuda12.1_cudnn8_0", ("pytorch-cuda >=12.1,<12.2",), COMPILE, "12.1"),
        ("cuda112py39h_1", ("cudatoolkit >=11.2,<12",), COMPILE, "11.2"),
    ],
)
def test_conda_packages_tell_by_build_and_dependencies(
    build: str, requires: tuple[str, ...], support: GpuSupport, expected: str
) -> None:
    """Their libraries come from other packages."""
    file = library("lib/libthing.so", needed=("libcublas.so.12", "libcudart.so.12"), has=code("sm_80"))
    needs = needs_of(reading("thing", "1.0", file, requires=requires, kind=ArtifactKind.CONDA, build=build))
    assert (needs.gpu_support, needs.uses_gpu, line(needs)) == (support, True, expected)


def test_conda_libraries_are_brought_by_what_it_depends_on() -> None:
    """The one that no dependency holds is left, and an installed conda package is no different."""
    file = library("lib/libthing.so", needed=("libcublas.so.12", "libcudart.so.12", "libcufft.so.11"))
    depends = ("libcublas >=12.6,<13.0a0", "conda-forge::cuda-cudart >=12.6,<13.0a0", "__cuda >=12.4")
    for kind in (ArtifactKind.CONDA, ArtifactKind.INSTALLED):
        needs = needs_of(reading("thing", "1.0", file, requires=depends, kind=kind, build="cuda126_0"))
        assert needs.system_cuda == "libcufft.so.11"
        assert said(needs, "driver") == ["__cuda >=12.4"]


def test_a_conda_cpu_build_with_bounds_on_cuda_is_a_cpu_build() -> None:
    """`constrains` says what to avoid beside it, and no more."""
    files = library("lib/libtorch_cpu.so")
    needs = needs_of(
        reading("pytorch", "2.5", files, constrains=("cuda-version >=12",), kind=ArtifactKind.CONDA, build="cpu_0")
    )
    assert (needs.gpu_support, needs.uses_gpu) == (NONE, False)


@pytest.mark.parametrize(
    ("name", "version", "requires"),
    [
        ("torch", "2.6.0+rocm6.2", ()),
        ("torch", "2.6.0", ("pytorch-triton-rocm==3.2.0",)),
        ("cupy-rocm-5-0", "12.0", ()),
    ],
)
def test_builds_for_other_makers_are_named_and_not_judged(name: str, version: str, requires: tuple[str, ...]) -> None:
    """They do use a GPU, but none of NVIDIA's."""
    file = library("p/lib.so", needed=("libamdhip64.so.6",), vendors=("ROCm",))
    needs = needs_of(reading(name, version, file, requires=requires))
    assert (needs.uses_gpu, needs.other_vendors) == (False, ("ROCm",))
    assert needs.gpu_support is not NONE


@pytest.mark.parametrize(
    ("requires", "imports", "support"),
    [
        (("torch>=2",), {}, THROUGH),
        (('torch; extra == "torch"',), {}, THROUGH),
        (('torch; extra == "test"', 'cupy-cuda12x; extra == "dev-gpu"'), {}, NONE),
        (("tensorflow-cpu", "onnxruntime", "numba"), {}, NONE),
        ((), {"torch": "thing/backend/torch.py"}, THROUGH),
        ((), {"torch": "thing/tests/test_torch.py"}, NONE),
        ((), {"torch": "torch/__init__.py"}, NONE),
        ((), {}, NONE),
        (('torch; sys_platform == "never"',), {}, NONE),
        (("torch @ https://index.invalid/torch.whl", "this is no requirement"), {}, THROUGH),
    ],
)
def test_pure_packages_pass_through(requires: tuple[str, ...], imports: dict[str, str], support: GpuSupport) -> None:
    """By a requirement that users can have, or an import from a file that they run."""
    needs = needs_of(reading("thing", "1.0", requires=requires, imports=imports, platforms=()))
    assert (needs.gpu_support, needs.uses_gpu, needs.libraries) == (support, False, ())
    assert (support is THROUGH) == bool(said(needs, "requires") or said(needs, "imports"))


def test_machine_code_of_its_own_outweighs_imports() -> None:
    """SciPy imports torch and cupy to take their arrays, and computes without them."""
    file, imports = library("scipy/linalg/_flapack.so"), {"torch": "scipy/_lib/_array_api.py"}
    assert needs_of(reading("scipy", "1.17", file, imports=imports)).gpu_support is NONE
    required = reading("thing", "1.0", file, imports=imports, requires=("torch",))
    assert needs_of(required).gpu_support is THROUGH


@pytest.mark.parametrize(("sources", "libraries", "uses_gpu"), [(12, None, True), (0, (), False)])
def test_a_source_has_no_code_yet(sources: int, libraries: tuple[LibraryCode, ...] | None, uses_gpu: bool) -> None:
    """With CUDA sources in it nobody knows what it will have."""
    needs = needs_of(reading("thing", "1.0", kind=ArtifactKind.SDIST, platforms=(), cuda_sources=sources))
    assert (needs.libraries, needs.uses_gpu) == (libraries, uses_gpu)


@pytest.mark.parametrize(
    ("name", "version", "cuda", "lowest"),
    [
        ("nvidia-cublas-cu12", "12.8.4.1", "12.8", "5.0"),
        ("nvidia-cudnn-cu12", "9.11.0.98", "12.0 to 12.9", "7.5"),
        ("nvidia-cufft", "12.0.0.61", "13.0 to 13.4", "7.5"),
        ("nvidia-cuda-runtime-cu11", "11.8.89", "11.8", "3.5"),
    ],
)
def test_nvidias_own_libraries_have_documented_ranges(name: str, version: str, cuda: str, lowest: str) -> None:
    """And tell their CUDA by name and number."""
    file = library("nvidia/lib/libcublasLt.so.12", has=code("sm_90"), soname="libcublasLt.so.12")
    needs = needs_of(reading(name, version, file))
    assert (needs.uses_gpu, line(needs), needs.lowest_capability) == (True, cuda, ComputeCapability(lowest))
    assert needs.libraries
    assert needs.libraries[0].selects_at_run_time


def test_only_what_is_loaded_counts() -> None:
    """Archives and objects are for linking, tests are for developers; alone, an archive is all there is."""
    archive = library("p/libx_static.a", kind="archive", has=code("sm_70"))
    test = library("p/tests/kernel.so", has=code("sm_70"))
    main = library("p/libx.so", has=code("sm_80"))
    needs = needs_of(reading("thing", "1.0", archive, test, main))
    assert [one.name for one in needs.libraries or ()] == ["libx.so"]
    assert len(said(needs, "GPU code for linking only")) == len(said(needs, "GPU code of tests or profiling")) == 1
    assert [one.name for one in needs_of(reading("thing", "1.0", archive)).libraries or ()] == ["libx_static.a"]


def test_copies_of_one_library_count_once() -> None:
    """Wheels cannot hold links, so that one library is there under each of its names."""
    names = ("libx.so", "libx.so.1", "libx.so.1.2")
    files = [library(f"p/{name}", has=code("sm_80"), soname="libx.so.1") for name in names]
    assert len(needs_of(reading("thing", "1.0", *files)).libraries or ()) == 1


def test_two_files_of_one_name_are_told_by_their_paths() -> None:
    """A message could not tell them apart otherwise."""
    files = [library(f"p/{folder}/_C.so", has=code("sm_80")) for folder in ("a", "b")]
    assert [one.name for one in needs_of(reading("thing", "1.0", *files)).libraries or ()] == ["p/a/_C.so", "p/b/_C.so"]


def test_loose_gpu_code_is_one_choice_for_each_directory() -> None:
    """The program loads the one for its GPU; the file alone is what it is."""
    files = [library(f"p/kernels/k_sm{sm}.cubin", kind="cubin", has=code(f"sm_{sm}")) for sm in (80, 90)]
    (one,) = needs_of(reading("thing", "1.0", *files)).libraries or ()
    assert (one.name, one.selects_at_run_time, sum(group.units for group in one.groups)) == ("p/kernels/*", True, 2)
    (alone,) = needs_of(reading("k.cubin", "", files[0], kind=ArtifactKind.FILE)).libraries or ()
    assert (alone.name, alone.selects_at_run_time) == ("k_sm80.cubin", False)


def test_what_was_not_read_stays_unknown() -> None:
    """Unless it is smaller than what was read, it could hold most of the code."""
    small, big = library("p/a.so", has=code("sm_80"), size=10), library("p/b.so", has=code("sm_80"), size=10**9)
    broken = library("p/c.so", problem="it ends within a header")
    assert needs_of(reading("thing-gpu", "1.0", small, broken)).libraries is None
    assert needs_of(reading("thing-gpu", "1.0", big, broken)).libraries is not None
    cut = needs_of(reading("thing-gpu", "1.0", complete=False))
    assert (cut.libraries, cut.uses_gpu) == (None, True)
    assert said(cut, "not read") == ["the connection broke off"]


WORDS = st.sampled_from(
    ["libcuda.so.1", "libcudart.so.12", "nvrtc64_112_0.dll", "cu12", "libx.so", "", "a/b_cu118.so", "__cuda >=12", "\0"]
) | st.text(max_size=30)
TEXTS = st.lists(WORDS, max_size=4).map(tuple)
FILES = st.builds(
    library,
    WORDS,
    needed=TEXTS | st.none(),
    has=st.sampled_from([None, code("sm_80"), code("compute_90")]),
    kind=st.sampled_from(["elf", "pe", "archive", "cubin", "mach-o", "nonsense"]),
    soname=st.none() | WORDS,
    opened=TEXTS,
    tools=TEXTS,
    compiler=st.sampled_from([None, "12.8"]),
    runtime=st.sampled_from([None, "11.2"]),
    problem=st.none() | st.text(max_size=5),
)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        lambda name, version, files, **rest: reading(name, version, *files, **rest),
        st.sampled_from(["torch", "nvidia-cublas-cu12", "thing-cu12", "cuda-python"]) | st.text(max_size=20),
        st.sampled_from(["1.0+cu126", "12.8.4.1", ""]) | st.text(max_size=20),
        st.lists(FILES, max_size=4),
        requires=st.lists(
            st.sampled_from(["torch", "nvidia-nccl-cu12; extra == 'a'", "x; ((("]) | WORDS, max_size=5
        ).map(tuple),
        constrains=TEXTS,
        imports=st.dictionaries(WORDS, WORDS, max_size=3),
        kind=st.sampled_from(ArtifactKind),
        build=st.none() | WORDS,
        platforms=TEXTS,
        cuda_sources=st.integers(0, 3),
        complete=st.booleans(),
    )
)
def test_any_reading_gives_needs(made: Reading) -> None:
    """Always the same ones, and consistent: a CUDA line only where a GPU is used, its ends in order."""
    needs = needs_of(made)
    assert needs == needs_of(made)
    assert needs.uses_gpu or not (needs.cuda or needs.jit or needs.system_cuda)
    assert needs.cuda is None or (needs.cuda_newest is not None and needs.cuda <= needs.cuda_newest)
    assert needs.jit is None or not any(one.groups for one in needs.libraries or ())


@pytest.mark.parametrize("version", ["123456.7", "1000.5", "00000.1", "9" * 5000, "12." + "1" * 50])
def test_library_names_with_senseless_versions_are_no_error(version: str) -> None:
    """What a file is linked with is text that anyone can write; it tells no CUDA line then."""
    file = NativeFile(path="x/a.so", kind="elf", needed=(f"libcudart.so.{version}",))
    needs = needs_of(reading("x", "1.0", file))
    assert needs.uses_gpu
    assert needs.cuda is None


@pytest.mark.parametrize("text", ["a" + " " * 9000 + "((", "a" + " " * 9000 + "x", "a [" * 3000, "a" * 10001])
def test_requirements_that_are_none_take_no_time(text: str) -> None:
    """Each is refused at once, however many ways there are to divide its spaces."""
    began = time.monotonic()
    with pytest.raises(FormatError):
        parse_requirement(text)
    assert time.monotonic() - began < 2


def test_an_address_and_extras_stand_in_a_requirement_with_any_spaces() -> None:
    """PEP 508 allows spaces between all parts."""
    found = parse_requirement("  a.b [ x , y ]  @ https://h.invalid/a.whl ; extra == 'z'")
    assert (found.name, found.extras, found.marker) == ("a.b", ("x", "y"), "extra == 'z'")
    assert str(parse_requirement("a [x] ( >=1 )").specifier) == ">=1"
