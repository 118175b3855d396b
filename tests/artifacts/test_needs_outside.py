"""Which CUDA libraries a package wants from outside: linked, opened by name, or known to be opened."""

from __future__ import annotations

import pytest

from artifacts.made_readings import code, library, reading
from gpuenv.artifacts.needs import needs_of, needs_together
from gpuenv.model import NativeFile

KERNELS = code("sm_75", "sm_90")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (library("p/a.so", has=KERNELS, opened=("libcublas.so.12", "libcuda.so.1")), "libcublas.so.12"),
        (library("p/a.so", has=KERNELS, opened=("libcublas.so",)), None),
        (library("p/a.so", has=KERNELS, opened=("libnvrtc.so.12", "libnvrtc.so.13")), None),
        (library("p/a.so", has=KERNELS, opened=("libnccl.so.2", "libcudnn.so.9")), None),
        (library("p/a.so", has=KERNELS, opened=("libnvrtc-builtins.so.13.4",), compiler="13.4"), None),
        (library("p/a.so", opened=("libcublas.so.12",), runtime="12.8"), None),
        (library("p/a.dll", kind="pe", has=KERNELS, opened=("cublas64_12.dll",)), "cublas64_12.dll"),
    ],
)
def test_a_library_opened_by_its_one_name_is_wanted(file: NativeFile, expected: str | None) -> None:
    """From beside the kernels and of the toolkit; of names without a version, or of several, it may do without."""
    assert needs_of(reading("thing", "1.0", file)).system_cuda == expected


def test_plugins_do_not_ask_for_the_whole_package() -> None:
    """Bindings without kernels to what is not in the toolkit (cuTENSOR, NCCL, TensorRT) are for who has it."""
    files = (
        library("p/kernels.so", has=KERNELS, needed=("libcudart.so.13",)),
        library("p/cublas.so", needed=("libcublas.so.13",)),
        library("p/cutensor.so", needed=("libcutensor.so.2",)),
        library("p/providers_tensorrt.so", needed=("libnvinfer.so.10", "libcudnn.so.9")),
    )
    assert needs_of(reading("thing", "1.0", *files)).system_cuda == "libcublas.so.13 and libcudart.so.13"
    with_kernels = library("p/kernels.so", has=KERNELS, needed=("libcudnn.so.8", "libnccl.so.2"))
    assert needs_of(reading("thing", "1.0", with_kernels)).system_cuda == "libcudnn.so.8 and libnccl.so.2"


def test_who_is_linked_with_torch_has_the_libraries_of_torch() -> None:
    """The wheels of torchaudio 2.11.0 require nothing, and are linked with torch and the CUDA runtime."""
    needed = ("libc10_cuda.so", "libtorch_cuda.so", "libcudart.so.13")
    file = library("torchaudio/lib/libtorchaudio.abi3.so", needed=needed, has=KERNELS)
    assert needs_of(reading("torchaudio", "2.11.0", file)).system_cuda is None
    windows = library("t/t.pyd", kind="pe", needed=("torch_cuda.dll", "cudart64_12.dll"), has=KERNELS)
    assert needs_of(reading("thing", "1.0", windows, platforms=("windows-x86_64",))).system_cuda is None


def test_the_hash_of_a_repaired_wheel_is_no_part_of_a_name() -> None:
    """With a dash, as auditwheel writes it, or a dot, as in torchvision's wheels."""
    user = library("p/a.so", needed=("libcudart.3eda8113.so.13", "libnvjpeg-4a0b5c81.so.13"), has=KERNELS)
    copies = (library("p.libs/libcudart.3eda8113.so.13"), library("p.libs/libnvjpeg-4a0b5c81.so.13"))
    assert needs_of(reading("thing", "1.0", user, *copies)).system_cuda is None
    assert needs_of(reading("thing", "1.0", user)).system_cuda == "libcudart.so.13 and libnvjpeg.so.13"


def test_nvidias_own_libraries_expect_nothing() -> None:
    """The wheel of cuRAND 13 is linked with the CUDA runtime; who asks for it asks for both."""
    file = library("nvidia/cu13/lib/libcurand.so.10", needed=("libcudart.so.13",), has=KERNELS)
    assert needs_of(reading("nvidia-curand", "10.4.5.25", file)).system_cuda is None


TENSORFLOW = library("tensorflow/libtensorflow_cc.so.2", has=KERNELS, opened=("libcuda.so.1",), runtime="12.5")


def test_tensorflow_without_its_extra_expects_the_libraries() -> None:
    """It puts their names together, so that no file shows them, and computes on the CPU where they are missing."""
    wanted = ("cublas", "cudart", "cudnn", "cufft", "cusolver", "cusparse")
    files = [f"lib{name}.so" for name in wanted]
    assert (
        needs_of(reading("tensorflow", "2.19.0", TENSORFLOW)).system_cuda == f"{', '.join(files[:-1])} and {files[-1]}"
    )
    windows = needs_of(reading("tensorflow-gpu", "2.10.0", TENSORFLOW, platforms=("windows-x86_64",)))
    assert str(windows.system_cuda).startswith("cublas64.dll, cudart64.dll")


def test_wheels_of_nvidia_beside_it_bring_them() -> None:
    """Whatever version is in their names."""
    names = ("libcublas.so.12", "libcudart.so.12", "libcudnn.so.9", "libcufft.so.11", "libcusolver.so.11")
    brought = reading("nvidia-things", "1.0", *(library(f"nvidia/lib/{name}") for name in names))
    together = needs_together([reading("tensorflow", "2.19.0", TENSORFLOW), brought])
    assert together[0].system_cuda == "libcusparse.so"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tensorflow", library("tensorflow/libtensorflow_cc.so.2", tools=("llvm-nvptx", "ptxas"))),
        ("jax", library("jax/_extension.so")),
    ],
)
def test_a_cpu_build_expects_nothing(name: str, file: NativeFile) -> None:
    """The wheels of TensorFlow for aarch64 and Windows have no GPU code."""
    needs = needs_of(reading(name, "2.21.0", file))
    assert (needs.uses_gpu, needs.system_cuda) == (False, None)
