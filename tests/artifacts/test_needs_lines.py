"""CUDA lines and kernels of packages as they are published: extras, names, PTX, bundled compilers, loose PTX."""

from __future__ import annotations

import pytest

from artifacts.made_readings import code, library, reading
from gpuenv.artifacts.needs import needs_of
from gpuenv.model import GpuSupport, Jit, Needs


def line(needs: Needs) -> str:
    """The CUDA line as text."""
    return " to ".join(dict.fromkeys(str(end) for end in (needs.cuda, needs.cuda_newest) if end))


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ({"cu12": "cuda-toolkit[nvcc]==12.*", "cu13": "cuda-toolkit[nvvm]==13.*"}, "12.0 to 13.4"),
        ({"cu12": "cuda-toolkit==12.*"}, "12.0 to 12.9"),
        ({"cu13": "cuda-toolkit==13.*", "test-cu12": "cuda-toolkit==12.*"}, "13.0 to 13.4"),
    ],
)
def test_extras_for_several_cuda_are_a_choice(extras: dict[str, str], expected: str) -> None:
    """The wheel of numba-cuda is one for CUDA 12 and 13; what only its tests ask for says nothing."""
    requires = tuple(f'{text}; extra == "{extra}"' for extra, text in extras.items())
    assert line(needs_of(reading("numba-cuda", "0.30.4", library("n/a.so"), requires=requires))) == expected


def test_an_exact_name_tells_more_than_the_runtime_that_moves() -> None:
    """From 11.0 on the runtime's file name is that of its major."""
    file = library("mxnet/libmxnet.so", needed=("libcudart.so.11.0",), has=code("sm_80"))
    assert line(needs_of(reading("mxnet-cu112", "1.9.1", file))) == "11.2"
    assert line(needs_of(reading("thing-cu11", "1.9.1", file))) == "11.0 to 11.8"


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (("sm_60", "compute_75/ptx6.3"), "10.0"),
        (("sm_60", "compute_90/ptx8.5"), "12.5 to 12.6"),
        (("compute_50/ptx6.5",), ""),
        (("sm_60",), ""),
    ],
)
def test_ptx_beside_machine_code_tells_the_toolkit(images: tuple[str, ...], expected: str) -> None:
    """Nothing else does for faiss-gpu 1.7.2, which has an old runtime linked in. PTX alone may be written by hand."""
    file = library("faiss/_swigfaiss.so", has=code(*images))
    assert line(needs_of(reading("faiss-gpu", "1.7.2", file))) == expected


def test_a_compiler_that_a_library_names_is_there_to_be_called() -> None:
    """In the wheel of triton 3.5.0 no library opens the driver: what does is compiled when it first runs."""
    names = library("t/_C/libt.so", tools=("llvm-nvptx", "ptxas"))
    ptxas = library("t/backends/nvidia/bin/ptxas", tools=("ptxas",), compiler="12.8")
    lister = library("t/backends/nvidia/bin/cuobjdump", tools=("ptxas",), compiler="12.9")
    needs = needs_of(reading("thing", "3.5.0", names, ptxas, lister))
    assert (needs.gpu_support, needs.uses_gpu, needs.jit, line(needs)) == (
        GpuSupport.RUN_TIME,
        True,
        Jit.SASS,
        "12.8",
    )
    assert not needs_of(reading("thing", "3.5.0", names, lister)).uses_gpu


def test_triton_is_known_whatever_shows() -> None:
    """In 2.0.0 not even the version of its compiler does."""
    needs = needs_of(reading("triton", "2.0.0", library("triton/_C/libtriton.so"), requires=("torch",)))
    assert (needs.gpu_support, needs.uses_gpu, needs.jit) == (GpuSupport.RUN_TIME, True, Jit.SASS)


def test_loose_ptx_beside_compiled_libraries_is_for_linking() -> None:
    """`shim.fatbin` of cuDF is larger than its compiled kernels, and linked with what users write, in the process."""
    compiled = library("cudf/_lib/libcudf_strings_udf.so", has=code("sm_70", "compute_120/ptx8.8", size=100))
    loose = library("cudf/core/udf/shim.fatbin", kind="fatbin", has=code("compute_70/ptx8.8", size=10_000))
    sass = library("cudf/core/udf/kernels.fatbin", kind="fatbin", has=code("sm_70", "compute_70/ptx8.8"))
    names = [one.name for one in needs_of(reading("cudf-cu12", "26.10.2", compiled, loose)).libraries or ()]
    assert names == ["libcudf_strings_udf.so"]
    assert len(needs_of(reading("cudf-cu12", "26.10.2", compiled, sass)).libraries or ()) == 2
    assert len(needs_of(reading("thing", "1.0", loose)).libraries or ()) == 1
