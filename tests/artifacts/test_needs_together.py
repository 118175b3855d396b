"""Alternatives are settled and libraries shared when packages are installed side by side."""

from __future__ import annotations

import msgspec
import pytest

from artifacts.made_readings import code, library, reading, recorded
from gpuenv.artifacts.alternatives import choose_for, find_alternatives
from gpuenv.artifacts.needs import needs_of, needs_together, settle_alternatives, without_system_cuda
from gpuenv.model import ArtifactKind, Needs
from gpuenv.versions import CudaVersion


def names(needs: Needs) -> list[str]:
    """The names of its libraries."""
    return [library.name for library in needs.libraries or ()]


@pytest.mark.parametrize(
    ("paths", "versions"),
    [
        (("p/liba_cuda117.so", "p/liba_cuda128.so", "p/liba_cpu.so"), ["11.7", "12.8"]),
        (("p/a_cu118.so", "p/a_cu121.so", "p/b.so"), ["11.8", "12.1"]),
        (("p/libx-cu11.so", "p/libx-cu12.so"), ["11.0", "12.0"]),
        (("p/cuda12.4/libx.so", "p/cuda11.8/libx.so"), ["12.4", "11.8"]),
        (("p/cu118/x.so", "p/cu128/x.so", "p/cu128/y.so"), ["11.8", "12.8"]),
        (("p/a_cu118.so",), []),
        (("p/a_cu118.so", "q/a_cu121.so"), []),
        (("p_cuda12/a.so", "p_cuda12/b.so"), []),
        (("p/libcublas.so.11", "p/libcublas.so.12"), []),
        (("p/a_sm80.so", "p/a_sm90.so"), []),
        (("p/kernel_cu1.so", "p/kernel_cu2.so"), []),
    ],
)
def test_alternatives_differ_only_in_a_cuda_number(paths: tuple[str, ...], versions: list[str]) -> None:
    """In the name of the file or of a directory, in one place."""
    assert [str(version) for version in find_alternatives(paths).values()] == versions


@pytest.mark.parametrize(
    ("cuda", "chosen"), [("12.1", "12.1"), ("12.7", "12.5"), ("13.0", None), ("11.0", None), ("12.0", None)]
)
def test_the_one_for_the_cuda_in_use_is_loaded(cuda: str, chosen: str | None) -> None:
    """Or the newest older one of its major."""
    members = [CudaVersion(text) for text in ("11.8", "12.1", "12.5")]
    assert choose_for(CudaVersion(cuda), members) == (CudaVersion(chosen) if chosen else None)


def test_bitsandbytes_beside_a_torch_of_cuda_12_6() -> None:
    """Loads one of its ten libraries, which is then what counts, with its CUDA."""
    needs = needs_of(recorded("bitsandbytes"))
    for settled in (
        settle_alternatives(needs, CudaVersion("12.6")),
        needs_of(recorded("bitsandbytes"), cuda=CudaVersion("12.6")),
    ):
        assert names(settled) == ["libbitsandbytes_cuda126.so"]
        assert settled.cuda == settled.cuda_newest == CudaVersion("12.6")
    assert settle_alternatives(needs, CudaVersion("13.0")) == needs
    assert settle_alternatives(needs, None) == needs
    assert len(names(needs_of(recorded("bitsandbytes"), cuda=CudaVersion("13.0")))) == 10


def test_an_environment_is_settled_by_its_torch() -> None:
    """Whose requirement tells its CUDA."""
    torch = reading(
        "torch",
        "2.7.1",
        library("torch/lib/libtorch_cuda.so", needed=("libcudart.so.12",), has=code("sm_90")),
        requires=("nvidia-cuda-runtime-cu12==12.6.77",),
        kind=ArtifactKind.INSTALLED,
    )
    beside = needs_together([recorded("bitsandbytes"), torch])
    assert names(beside[0]) == ["libbitsandbytes_cuda126.so"]
    assert beside[1] == needs_of(torch)
    assert names(needs_together([recorded("bitsandbytes"), torch], cuda=CudaVersion("11.8"))[0]) == [
        "libbitsandbytes_cuda118.so"
    ]


def test_libraries_of_one_package_serve_another() -> None:
    """By the names that they give themselves; what none has is still expected on the machine."""
    user = reading("user", "1.0", library("u/a.so", needed=("libcublas.so.12", "libcufft.so.11", "libcudart.so.12")))
    cublas = reading("x", "1.0", library("n/libcublas.so.12.8.4", soname="libcublas.so.12"))
    runtime = reading("y", "1.0", library("n/libcudart-9335f6a2.so.12.4.127"))
    needs, *_ = needs_together([user, cublas, runtime])
    assert needs.system_cuda == "libcufft.so.11"
    assert needs_together([user])[0].system_cuda == "libcublas.so.12, libcudart.so.12 and libcufft.so.11"


def test_another_major_is_no_substitute() -> None:
    """`libcublas.so.13` does not load where `libcublas.so.12` is asked for."""
    needs = Needs(subject="x", uses_gpu=True, system_cuda="libcublas.so.12")
    assert without_system_cuda(needs, frozenset({"libcublas.so.13", "libcublas.so.1"})) == needs
    expected = msgspec.structs.replace(needs, system_cuda=None)
    assert without_system_cuda(needs, frozenset({"libcublas.so.12.8.4"})) == expected
    assert without_system_cuda(expected, frozenset()) == expected
