"""Rules on the operating system, the processor, Python, the C library, and what a release says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from gpuenv.model import Gpu, Machine, Needs, Vendor, Verdict
from gpuenv.rules import check
from gpuenv.versions import LibcVersion
from rule_cases import Case, gpu, library, machine, needs

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

LINUX = machine(gpu())
WINDOWS = machine(gpu(), os="windows", driver="560.94")
WSL = machine(gpu(), driver="560.94", system={"wsl": True})
MAC = machine(Gpu(vendor=Vendor.APPLE, name="Apple M3 Pro"), os="macos", arch="aarch64", driver=None)
MAC_INTEL = machine(gpu("K80"), os="macos", driver=None)
POWER = machine(gpu(), arch="ppc64le", driver="535.129.03")
ARM = machine(gpu("H100"), arch="aarch64")
WINDOWS_ARM = machine(gpu("RTX 5090"), os="windows", arch="aarch64", driver="616.41")
RISCV = machine(gpu(), arch="riscv64")
ORIN = machine(
    gpu("Orin"), arch="aarch64", driver="540.4.0", cuda="12.6", module="nvgpu", system={"jetson": "Jetson AGX Orin"}
)
ORIN_JETPACK_7 = machine(
    gpu("Orin"), arch="aarch64", driver="595.58.03", module="nvidia-open", system={"jetson": "Jetson AGX Orin"}
)


def with_glibc(version: str) -> dict[str, Any]:
    """The field of a machine that has this C library."""
    return {"system": {"glibc": LibcVersion(version)}}


ASSUMED = machine(gpu(), **with_glibc("2.28"), sources={"system.glibc": "assumed"})

CASES = [
    Case(rule="withdrawn", verdict=WORKS, needs=needs(), machine=LINUX, silent=True),
    Case(rule="withdrawn", verdict=FAILS, needs=needs(withdrawn="imports a module that it lacks"), machine=LINUX),
    # ---- operating system
    Case(rule="operating-system", verdict=WORKS, needs=needs(), machine=LINUX, says="Linux runs CUDA best"),
    Case(rule="operating-system", verdict=WORKS, needs=needs(), machine=WINDOWS, says="Windows runs CUDA"),
    Case(rule="operating-system", verdict=WORKS, needs=needs(), machine=WSL, says="under WSL"),
    Case(rule="operating-system", verdict=FAILS, needs=needs(), machine=MAC, says="macOS has no CUDA"),
    Case(rule="operating-system", verdict=FAILS, needs=needs(), machine=MAC_INTEL, says="10.2"),
    Case(rule="operating-system", verdict=FAILS, needs=needs(cuda="10.2"), machine=MAC_INTEL, says="macOS has no CUDA"),
    Case(rule="operating-system", verdict=WORKS, needs=needs(uses_gpu=False), machine=MAC, silent=True),
    Case(
        rule="operating-system",
        verdict=FAILS,
        needs=needs(platforms=("linux-aarch64", "linux-x86_64")),
        machine=WINDOWS,
        says="no build for Windows: it is built for Linux",
    ),
    Case(
        rule="operating-system",
        verdict=FAILS,
        needs=needs(uses_gpu=False, platforms=("macos-aarch64", "windows-x86_64")),
        machine=LINUX,
        says="built for Windows and macOS",
    ),
    Case(
        rule="operating-system",
        verdict=FAILS,
        needs=needs(gpu_platforms=("linux-x86_64",)),
        machine=WINDOWS,
        says="its builds for Windows carry no GPU code",
    ),
    Case(rule="operating-system", verdict=WORKS, needs=needs(gpu_platforms=("linux-aarch64",)), machine=LINUX),
    Case(rule="operating-system", verdict=FAILS, needs=needs(platforms=("freebsd-x86_64",)), machine=LINUX),
    # ---- processor
    Case(rule="cpu-architecture", verdict=WORKS, needs=needs(), machine=LINUX, says="CUDA serves x86_64"),
    Case(rule="cpu-architecture", verdict=WORKS, needs=needs(cuda="12.4"), machine=ARM, says="CUDA serves aarch64"),
    Case(rule="cpu-architecture", verdict=FAILS, needs=needs(), machine=RISCV, says="does not exist for riscv64"),
    Case(rule="cpu-architecture", verdict=DEGRADED, needs=needs(), machine=POWER, says="up to toolkit 12.4"),
    Case(rule="cpu-architecture", verdict=DEGRADED, needs=needs(cuda="12.4"), machine=POWER),
    Case(rule="cpu-architecture", verdict=DEGRADED, needs=needs(cuda="12.0", cuda_newest="13.4"), machine=POWER),
    Case(rule="cpu-architecture", verdict=FAILS, needs=needs(cuda="12.5"), machine=POWER),
    Case(
        rule="cpu-architecture", verdict=FAILS, needs=needs(cuda="7.5"), machine=POWER, says="begins with toolkit 8.0"
    ),
    Case(rule="cpu-architecture", verdict=FAILS, needs=needs(cuda="13.3"), machine=WINDOWS_ARM, says="13.4"),
    Case(rule="cpu-architecture", verdict=WORKS, needs=needs(cuda="13.4"), machine=WINDOWS_ARM, says="under Windows"),
    Case(
        rule="cpu-architecture",
        verdict=FAILS,
        needs=needs(platforms=("linux-x86_64", "windows-aarch64")),
        machine=ARM,
        says="no build for aarch64: it is built for x86_64",
    ),
    Case(
        rule="cpu-architecture",
        verdict=FAILS,
        needs=needs(platforms=("linux-aarch64", "linux-x86_64"), gpu_platforms=("linux-x86_64",)),
        machine=ARM,
        says="its builds for linux-aarch64 carry no GPU code",
    ),
    # ---- Jetson
    Case(
        rule="jetson-build",
        verdict=UNKNOWN,
        needs=needs(cuda="12.6", platforms=("linux-aarch64",)),
        machine=ORIN,
        says="built for Arm servers",
    ),
    Case(
        rule="jetson-build",
        verdict=WORKS,
        needs=needs(cuda="12.6", platforms=("linux-aarch64",), libraries=(library("3: sm_80 sm_87"),)),
        machine=ORIN,
        silent=True,
    ),
    Case(
        rule="jetson-build",
        verdict=UNKNOWN,
        needs=needs(cuda="12.6", platforms=("linux-aarch64",), libraries=(library("3: sm_80 compute_87/ptx8.5"),)),
        machine=ORIN,
    ),
    Case(
        rule="jetson-build",
        verdict=WORKS,
        needs=needs(cuda="13.0", platforms=("linux-aarch64",)),
        machine=ORIN_JETPACK_7,
        silent=True,
    ),
    Case(
        rule="jetson-build",
        verdict=WORKS,
        needs=needs(cuda="12.6", platforms=("linux-aarch64",)),
        machine=ARM,
        silent=True,
    ),
    *(
        Case(rule="jetson-build", verdict=WORKS, needs=asked, machine=ORIN, silent=True)
        for asked in (
            needs(platforms=("linux-aarch64",)),
            needs(cuda="12.6"),
            needs(uses_gpu=False, cuda="12.6", platforms=("linux-aarch64",)),
        )
    ),
    # ---- Python
    Case(rule="python-build", verdict=WORKS, needs=needs(), machine=machine(gpu(), python="3.11"), silent=True),
    Case(
        rule="python-build",
        verdict=WORKS,
        needs=needs(pythons=("3.10", "3.11")),
        machine=machine(gpu(), python="3.11"),
        silent=True,
    ),
    Case(
        rule="python-build",
        verdict=FAILS,
        needs=needs(pythons=("3.8", "3.9", "3.10")),
        machine=machine(gpu(), python="3.11"),
        says="for Python 3.8 to 3.10; here 3.11",
    ),
    Case(
        rule="python-build",
        verdict=FAILS,
        needs=needs(pythons=("3.1",)),
        machine=machine(gpu(), python="3.11"),
        says="for Python 3.1; here 3.11",
    ),
    Case(
        rule="python-build",
        verdict=FAILS,
        needs=needs(pythons=()),
        machine=machine(gpu(), python="3.11"),
        says="it has no wheels",
    ),
    Case(rule="python-build", verdict=WORKS, needs=needs(pythons=("3.8",)), machine=LINUX, silent=True),
    # ---- C library
    Case(rule="c-library", verdict=WORKS, needs=needs(), machine=LINUX, silent=True),
    Case(rule="c-library", verdict=WORKS, needs=needs(glibc="2.28"), machine=machine(gpu(), **with_glibc("2.28"))),
    Case(rule="c-library", verdict=FAILS, needs=needs(glibc="2.28"), machine=machine(gpu(), **with_glibc("2.17"))),
    Case(rule="c-library", verdict=WORKS, needs=needs(glibc="2.5"), machine=machine(gpu(), **with_glibc("2.17"))),
    Case(rule="c-library", verdict=UNKNOWN, needs=needs(glibc="2.28"), machine=LINUX, says="is not known"),
    Case(rule="c-library", verdict=WORKS, needs=needs(glibc="2.28"), machine=WINDOWS, silent=True),
    Case(rule="c-library", verdict=WORKS, needs=needs(glibc="2.28"), machine=ASSUMED),
    Case(rule="c-library", verdict=UNKNOWN, needs=needs(glibc="2.34"), machine=ASSUMED, hint="glibc=2.35"),
    Case(
        rule="c-library",
        verdict=FAILS,
        needs=needs(glibc="2.17", uses_gpu=False),
        machine=machine(sources={"system.glibc": "/lib/ld-musl-x86_64.so.1"}),
        says="musl",
    ),
    Case(
        rule="c-library",
        verdict=FAILS,
        needs=needs(glibc="2.17"),
        machine=machine(gpu(), sources={"system.glibc": "/lib/ld-musl-x86_64.so.1"}),
        says="musl",
    ),
    # ---- libraries from outside
    Case(rule="system-cuda", verdict=WORKS, needs=needs(), machine=LINUX, silent=True),
    Case(rule="system-cuda", verdict=UNKNOWN, needs=needs(system_cuda="the CUDA 11 libraries"), machine=LINUX),
    Case(
        rule="system-cuda",
        verdict=UNKNOWN,
        needs=needs(system_cuda="libcublas.so.12, libcublasLt.so.12 and libcurand.so.10", cuda="12.4"),
        machine=LINUX,
        hint="`pip install nvidia-cublas-cu12 nvidia-curand-cu12`",
    ),
    Case(
        rule="system-cuda",
        verdict=UNKNOWN,
        needs=needs(system_cuda="cublas64_13.dll", cuda="13.0"),
        machine=WINDOWS,
        hint="`pip install nvidia-cublas`",
    ),
    Case(
        rule="system-cuda",
        verdict=WORKS,
        needs=needs(uses_gpu=False, system_cuda="the CUDA 11 libraries"),
        machine=LINUX,
        silent=True,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_platform_rules(case: Case) -> None:
    """Each case gets its verdict and its words."""
    case.check()


@pytest.mark.parametrize("here", [LINUX, WINDOWS, MAC, POWER, RISCV, ORIN])
def test_what_uses_no_gpu_runs_on_any_machine_that_it_is_built_for(here: Machine) -> None:
    """A pure Python package gets no word at all."""
    assert check(Needs(subject="six 1.17", libraries=()), here) == ()
