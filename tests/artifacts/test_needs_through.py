"""Which packages compute through another one, and what is only a bridge to it or a GPU of another kind."""

from __future__ import annotations

import pytest

from artifacts.made_readings import code, library, reading
from gpuenv.artifacts.imports import is_bridge, wanted_sources
from gpuenv.artifacts.needs import needs_of
from gpuenv.model import ArtifactKind, GpuSupport, Needs
from gpuenv.versions import LibcVersion

NONE, RUN, THROUGH = GpuSupport.NONE, GpuSupport.RUN_TIME, GpuSupport.THROUGH


def said(needs: Needs, what: str) -> list[str]:
    """The values of one sort of evidence."""
    return [evidence.value for evidence in needs.evidence if evidence.what == what]


@pytest.mark.parametrize(
    ("path", "module", "is_one"),
    [
        ("tqdm/keras.py", "keras", True),
        ("sympy/printing/tensorflow.py", "tensorflow", True),
        ("polars/ml/torch.py", "torch", True),
        ("lib/python3.11/site-packages/tqdm/keras.py", "keras", True),
        ("thing/pytorch.py", "torch", True),
        ("wandb/integration/torch/log.py", "torch", True),
        ("opt_einsum/backends/torch.py", "torch", False),
        ("keras/src/backend/tensorflow/nn.py", "tensorflow", False),
        ("einops/_backends.py", "cupy", False),
        ("skorch/net.py", "torch", False),
        ("mlflow/pytorch/__init__.py", "torch", False),
        ("torchsummary/torchsummary.py", "torch", False),
        ("torch.py", "torch", False),
    ],
)
def test_a_module_of_its_name_is_a_bridge_and_a_backend_is_none(path: str, module: str, is_one: bool) -> None:
    """Who has no tensorflow loses one printer of SymPy; who has no torch loses a backend of Keras."""
    assert is_bridge(path) is is_one
    needs = needs_of(reading("thing", "1.0", imports={module: path}, platforms=()))
    assert needs.gpu_support is (NONE if is_one or path == "torch.py" else THROUGH)


def test_bridges_are_looked_at_last() -> None:
    """So that a bridge does not hide that others of its package import the same."""
    sources = [("einops/layers/torch.py", 100), ("einops/_backends.py", 900), ("einops/einops.py", 5000)]
    assert wanted_sources(sources, budget_bytes=10_000) == (
        "einops/_backends.py",
        "einops/einops.py",
        "einops/layers/torch.py",
    )


@pytest.mark.parametrize(
    ("requires", "support"),
    [
        ('OpenMM-CUDA-12==8.6.1; extra == "cuda12"', THROUGH),
        ('thing-gpu; extra == "gpu"', THROUGH),
        ('thing-gpu; extra == "dev"', NONE),
        ("torch", THROUGH),
        ("keras>=3.12.0", NONE),
        ("gpustat", NONE),
    ],
)
def test_machine_code_beside_requirements(requires: str, support: GpuSupport) -> None:
    """A build for GPUs is told by its name; TensorFlow for the CPU asks for Keras, which works through it."""
    needs = needs_of(reading("thing", "1.0", library("thing/_core.so"), requires=(requires,)))
    assert (needs.gpu_support, needs.uses_gpu) == (support, False)


def test_chainer_needs_none_of_its_cuda_sources() -> None:
    """They are of ChainerX, which is built on demand; Chainer computes with CuPy."""
    needs = needs_of(reading("chainer", "7.8.1", kind=ArtifactKind.SDIST, platforms=(), cuda_sources=24))
    assert (needs.gpu_support, needs.uses_gpu, needs.libraries) == (THROUGH, False, ())


@pytest.mark.parametrize("needed", ["libOpenCL.so.1", "libOpenCL-5519dec5.so.1.0.0", "OpenCL.dll"])
def test_opencl_is_named_and_not_judged(needed: str) -> None:
    """PyOpenCL and the plug-ins of OpenMM are linked with its loader."""
    needs = needs_of(reading("pyopencl", "2026.1.4", library("pyopencl/_cl.so", needed=(needed,))))
    assert (needs.gpu_support, needs.uses_gpu, needs.other_vendors) == (RUN, False, ("OpenCL",))
    assert said(needs, "linked with") == ["OpenCL"]


def test_what_is_linked_for_other_makers_asks_for_no_c_library() -> None:
    """Of the libraries of bitsandbytes 0.50.2 those for Intel's GPUs need a newer one than those for NVIDIA's."""
    cuda = library("b/libb_cuda128.so", has=code("sm_90"), glibc="2.17")
    intel = library("b/libb_xpu2026.so", needed=("libsycl.so.9",), vendors=("SYCL",), glibc="2.32")
    both = needs_of(reading("bitsandbytes", "0.50.2", cuda, intel))
    assert (both.glibc, both.other_vendors) == (LibcVersion("2.17"), ("SYCL",))
    assert needs_of(reading("thing", "1.0", intel)).glibc == LibcVersion("2.32")
