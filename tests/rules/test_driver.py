"""Rules on NVIDIA's driver: there, whole, new enough for the CUDA line, and made for the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import DriverState, Gpu, Machine, Vendor, Verdict
from gpuenv.rules import check
from gpuenv.versions import DriverVersion
from rule_cases import Case, gpu, machine, needs, verdict_of, words_of

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

WSL: dict[str, Any] = {"wsl": True}
NOT_KNOWN: dict[str, Any] = {"driver": None, "state": DriverState.UNKNOWN}
MISSING: dict[str, Any] = {"driver": None, "state": DriverState.MISSING}
INSTALLED: dict[str, Any] = {"state": DriverState.INSTALLED}
FOREIGN: dict[str, Any] = {"driver": None, "state": DriverState.MISSING, "module": "nouveau"}
HEARD: dict[str, Any] = {"sources": {"driver.cuda": "libcuda"}}
AMD = Gpu(vendor=Vendor.AMD, name="AMD Instinct MI300X")
JETSON: dict[str, Any] = {"arch": "aarch64", "module": "nvgpu", "system": {"jetson": "Jetson AGX Orin"}}


def floor(verdict: Verdict, cuda: str, driver: str | None, served: str | None = "", **case: Any) -> Case:
    """A package pinned to one CUDA on a V100 (Linux) with this driver."""
    return Case(
        rule="driver-floor",
        verdict=verdict,
        needs=needs(cuda=cuda),
        machine=machine(gpu(), driver=driver, cuda=served),
        **case,
    )


def on(system: str, verdict: Verdict, cuda: str, driver: str) -> Case:
    """The same on Windows or WSL, whose drivers have the numbers of Windows."""
    here = machine(
        gpu(), driver=driver, os="linux" if system == "wsl" else system, system=WSL if system == "wsl" else {}
    )
    return Case(rule="driver-floor", verdict=verdict, needs=needs(cuda=cuda), machine=here)


def generation(verdict: Verdict, here: Machine, says: str = "", hint: str = "") -> Case:
    """Whether the driver serves the GPUs of a machine."""
    return Case(rule="driver-generation", verdict=verdict, needs=needs(), machine=here, says=says, hint=hint)


PRESENT = [
    Case(
        rule="driver-present", verdict=WORKS, needs=needs(), machine=machine(gpu()), says="driver 580.65.06 is loaded"
    ),
    Case(
        rule="driver-present",
        verdict=WORKS,
        needs=needs(),
        machine=machine(gpu(), driver=None, cuda="12.4"),
        says="NVIDIA's driver is loaded",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **FOREIGN),
        says="Nouveau drives the GPU",
        hint="`nvidia-driver`, then restart",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **MISSING, module="nova"),
        says="Nova drives the GPU",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **MISSING, module="vfio-pci"),
        says="vfio-pci holds the GPU for a virtual machine",
        hint="virtual machine",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **INSTALLED),
        says="its kernel module is not loaded",
        hint="Secure Boot",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **MISSING),
        says="is not installed",
        hint="`nvidia-driver`",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **MISSING, os="windows"),
        hint="for Windows, from its download page",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **MISSING, system=WSL),
        hint="outside of WSL, and none inside",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), **MISSING, system={"container": "docker"}),
        hint="--gpus all",
    ),
    Case(
        rule="driver-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu("Orin"), **MISSING, system={"jetson": "Jetson AGX Orin"}, arch="aarch64"),
        hint="JetPack",
    ),
    Case(rule="driver-present", verdict=UNKNOWN, needs=needs(), machine=machine(gpu(), **NOT_KNOWN), hint="--machine"),
    Case(rule="driver-present", verdict=WORKS, needs=needs(), machine=machine(AMD, **MISSING), silent=True),
    Case(rule="driver-present", verdict=WORKS, needs=needs(), machine=machine(**MISSING), silent=True),
    Case(rule="driver-present", verdict=FAILS, needs=needs(), machine=machine(**MISSING, gpus=None)),
    # ---- one version
    Case(rule="driver-match", verdict=WORKS, needs=needs(), machine=machine(gpu(), kernel="580.65.06")),
    Case(
        rule="driver-match",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu(), driver="535.129.03", kernel="535.113.01"),
        says="libraries are 535.129.03, its kernel module is 535.113.01",
        hint="restart",
    ),
    Case(rule="driver-match", verdict=WORKS, needs=needs(), machine=machine(gpu()), silent=True),
]

FLOORS = [
    # The page's table, to the last number.
    floor(WORKS, "11.8", "450.80.02"),
    floor(FAILS, "11.8", "450.80.01", says="CUDA 11.8 needs driver 450.80.02 or later", hint="450.80.02"),
    floor(WORKS, "12.0", "525.60.13", says="CUDA 12.0 runs from driver 525.60.13 on; here is driver 525.60.13"),
    floor(FAILS, "12.0", "525.60.12"),
    floor(WORKS, "12.1", "525.60.13"),
    floor(WORKS, "12.2", "525.60.13"),
    floor(FAILS, "12.2", "520.61.05"),
    floor(WORKS, "13.0", "580.65.06"),
    floor(FAILS, "13.0", "575.64.05"),
    on("windows", WORKS, "11.8", "452.39"),
    on("windows", FAILS, "11.8", "452.38"),
    on("windows", WORKS, "12.0", "527.41"),
    on("windows", FAILS, "12.2", "527.40"),
    on("windows", WORKS, "13.0", "580.88"),
    on("windows", FAILS, "13.0", "577.00"),
    # WSL has the driver of Windows: 526.98 would be enough by the numbers of Linux.
    on("wsl", FAILS, "12.2", "526.98"),
    on("wsl", WORKS, "12.2", "527.41"),
    floor(WORKS, "12.2", "526.98"),
    # Minor-version compatibility from 11 on, both ways; none before.
    floor(WORKS, "11.8", "470.57.02"),
    floor(WORKS, "12.9", "525.60.13"),
    floor(WORKS, "11.0", "450.51.05"),
    floor(FAILS, "11.1", "450.51.05"),
    floor(WORKS, "10.2", "440.33"),
    floor(FAILS, "10.2", "440.32"),
    floor(FAILS, "10.2", "418.87.01"),
    floor(WORKS, "10.1", "418.87.01"),
    floor(WORKS, "10.0", "440.33"),
    floor(FAILS, "9.2", "390.46"),
    # Newer drivers run older CUDA, also older than the table.
    floor(WORKS, "8.0", "580.65.06"),
    floor(WORKS, "6.5", "580.65.06"),
    # What libcuda was heard to say decides where it covers the line.
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="12.0"),
        machine=machine(gpu(), driver="525.60.11", cuda="12.0", **HEARD),
    ),
    Case(
        rule="driver-floor",
        verdict=FAILS,
        needs=needs(cuda="11.8"),
        machine=machine(gpu(), driver="450.51.05", cuda="11.0", **HEARD),
    ),
    # cuda-compat lifts what is served.
    floor(WORKS, "12.4", "470.57.02", "12.4", says="CUDA 12.4 runs; here is driver 470.57.02, which serves CUDA 12.4"),
    floor(WORKS, "12.9", "470.57.02", "12.4"),
    floor(FAILS, "13.0", "470.57.02", "12.4"),
    Case(
        rule="driver-floor",
        verdict=FAILS,
        needs=needs(cuda="12.4"),
        machine=machine(gpu("RTX 3090"), driver="470.57.02", cuda="12.4"),
        says="cuda-compat, which is not for this board",
    ),
    Case(
        rule="driver-floor",
        verdict=UNKNOWN,
        needs=needs(cuda="12.4"),
        machine=machine(gpu("RTX A6000"), driver="470.57.02", cuda="12.4"),
    ),
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="12.4"),
        machine=machine(gpu("RTX A6000"), driver="470.57.02", cuda="12.4", **HEARD),
    ),
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="12.9"),
        machine=machine(gpu("RTX A6000"), driver="470.57.02", cuda="12.4", **HEARD),
    ),
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="11.8"),
        machine=machine(gpu("RTX 3090"), driver="470.57.02", cuda="12.4"),
    ),
    # Known by its CUDA alone, or by its branch alone.
    floor(WORKS, "12.4", None, "12.4"),
    floor(WORKS, "12.9", None, "12.0", says="CUDA 12.9 runs; here is a driver that serves CUDA 12.0"),
    floor(WORKS, "11.8", None, "12.0"),
    floor(WORKS, "11.8", None, "11.0"),
    floor(WORKS, "10.2", None, "10.2"),
    floor(FAILS, "13.0", None, "12.9"),
    floor(FAILS, "10.2", None, "10.1"),
    floor(WORKS, "13.0", "580"),
    floor(WORKS, "12.9", "525"),
    floor(FAILS, "12.0", "520"),
    floor(WORKS, "12.2", "535.129.03", None),
    floor(UNKNOWN, "12.4", None, None, says="CUDA 12.4 needs driver 525.60.13; the driver here is not known"),
    # CUDA that is newer than the table: nothing in the table serves it, and what is newer nobody knows.
    floor(FAILS, "14.0", "580.65.06", says="a driver of a newer branch"),
    floor(FAILS, "14.0", "615.31"),
    floor(UNKNOWN, "14.0", "616.10"),
    Case(
        rule="driver-floor",
        verdict=FAILS,
        needs=needs(cuda="14.0"),
        machine=machine(gpu("RTX 4090"), driver="615.31", cuda="14.0"),
    ),
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="14.0"),
        machine=machine(gpu("RTX 4090"), driver="616.10", cuda="14.0"),
    ),
    # A toolkit that never was.
    floor(UNKNOWN, "10.3", "418.87.01"),
    floor(WORKS, "14.0", "640.10", "14.0"),
    # A Jetson's driver has numbers of its own.
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="11.4"),
        machine=machine(gpu("Orin"), driver="35.4.1", cuda="11.4", **JETSON),
    ),
    Case(
        rule="driver-floor",
        verdict=FAILS,
        needs=needs(cuda="13.0"),
        machine=machine(gpu("Orin"), driver="540.4.0", cuda="12.6", **JETSON),
    ),
    # A floor of the package's own.
    Case(
        rule="driver-floor",
        verdict=FAILS,
        needs=needs(cuda="12.0", driver_floor="550.54.14"),
        machine=machine(gpu(), driver="535.129.03"),
        says="needs driver 550.54.14",
    ),
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(driver_floor="550.54.14"),
        machine=machine(gpu(), driver="550.54.15"),
    ),
    Case(
        rule="driver-floor",
        verdict=UNKNOWN,
        needs=needs(cuda="12.0", driver_floor="550.54.14"),
        machine=machine(gpu(), driver=None, cuda="12.4"),
    ),
    *(
        Case(
            rule="driver-floor",
            verdict=verdict,
            needs=needs(driver_floor="550.54.14"),
            machine=machine(gpu(), driver=driver),
        )
        for driver, verdict in (("550.54.14", WORKS), ("550.54.13", FAILS), ("580", WORKS), ("545", FAILS))
    ),
    Case(
        rule="driver-floor",
        verdict=UNKNOWN,
        needs=needs(driver_floor="550.54.14"),
        machine=machine(gpu(), driver="550"),
        says="whether driver 550 will do is not known",
    ),
    Case(
        rule="driver-floor",
        verdict=FAILS,
        needs=needs(cuda="13.0", driver_floor="450.0"),
        machine=machine(gpu(), driver="535.129.03"),
        says="needs driver 580.65.06",
    ),
    # Where there is no driver at all, another rule says so.
    *(
        Case(rule="driver-floor", verdict=WORKS, needs=needs(cuda="12.4"), machine=machine(gpu(), **kind), silent=True)
        for kind in (MISSING, INSTALLED, FOREIGN)
    ),
    Case(rule="driver-floor", verdict=WORKS, needs=needs(), machine=machine(gpu()), silent=True),
    Case(rule="driver-floor", verdict=WORKS, needs=needs(cuda="12.4"), machine=machine(AMD), silent=True),
    Case(
        rule="driver-floor",
        verdict=WORKS,
        needs=needs(cuda="12.0", cuda_newest="12.9"),
        machine=machine(gpu(), driver="525.60.13"),
        says="CUDA 12 runs",
    ),
]

GENERATIONS = [
    generation(WORKS, machine(gpu())),
    # Past its last branch.
    generation(WORKS, machine(gpu("GTX 1080 Ti"), driver="580.95.05")),
    generation(
        FAILS,
        machine(gpu("GTX 1080 Ti"), driver="590.44.01"),
        says="branch R580 was the last for its generation",
        hint="branch R580",
    ),
    generation(FAILS, machine(gpu(), driver="595.45.04")),
    generation(FAILS, machine(gpu("GTX 1080 Ti", usable=False), driver="595.45.04")),
    generation(WORKS, machine(gpu("T4"), driver="615.31")),
    generation(WORKS, machine(gpu("K80"), driver="470.256.02")),
    generation(FAILS, machine(gpu("K80"), driver="495.29.05"), says="R470"),
    # Windows numbers the drivers of one branch higher: 582 is R580, 474 is R470.
    generation(WORKS, machine(gpu("GTX 1080 Ti"), driver="582.28", os="windows")),
    generation(FAILS, machine(gpu("GTX 1080 Ti"), driver="591.44", os="windows")),
    generation(FAILS, machine(gpu("GTX 1080 Ti"), driver="590.10", os="windows")),
    generation(WORKS, machine(gpu("K80"), driver="474.11", os="windows")),
    generation(WORKS, machine(gpu("GTX 1080 Ti"), driver="582.28", system=WSL)),
    # Older than the GPU.
    generation(FAILS, machine(gpu("RTX 5090"), driver="565.57.01"), says="its generation came with branch R570"),
    generation(WORKS, machine(gpu("RTX 5090"), driver="570.86.10")),
    generation(FAILS, machine(gpu("H100"), driver="515.43.04"), hint="branch R520"),
    generation(FAILS, machine(gpu("RTX 4090"), driver="517.48", os="windows")),
    generation(WORKS, machine(gpu("RTX 4090"), driver="522.25", os="windows")),
    # Known by its CUDA alone.
    generation(WORKS, machine(gpu("RTX 5090"), driver=None, cuda="12.8")),
    generation(FAILS, machine(gpu("RTX 5090"), driver=None, cuda="12.4"), says="the driver (CUDA 12.4) does not know"),
    generation(WORKS, machine(gpu("GTX 1080 Ti"), driver=None, cuda="13.0")),
    generation(FAILS, machine(gpu("GTX 1080 Ti"), driver=None, cuda="13.1")),
    # Open kernel modules begin with Turing.
    generation(FAILS, machine(gpu("GTX 1080 Ti"), module="nvidia-open"), says="open kernel modules", hint="closed"),
    generation(FAILS, machine(gpu(), module="nvidia-open")),
    generation(WORKS, machine(gpu("T4"), module="nvidia-open")),
    generation(WORKS, machine(gpu("GTX 1080 Ti"), module="nvidia")),
    # WSL begins with Pascal.
    generation(FAILS, machine(gpu("K80"), driver="471.11", system=WSL), says="Pascal"),
    # A Jetson's driver has numbers of its own.
    generation(WORKS, machine(gpu("Orin"), driver="35.4.1", cuda="11.4", **JETSON)),
    # Two GPUs.
    generation(DEGRADED, machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"), driver="590.44.01"), says="GTX 1080 Ti"),
    generation(DEGRADED, machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"), driver="565.57.01"), says="RTX 5090"),
    generation(WORKS, machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"), driver="580.65.06"), says="RTX 5090 (12.0), NVIDIA"),
    # Not known.
    generation(UNKNOWN, machine(gpu("mystery")), says="whether driver 580.65.06 serves NVIDIA Board of Tomorrow"),
    generation(UNKNOWN, machine(gpu(), gpu("mystery"))),
    Case(rule="driver-generation", verdict=WORKS, needs=needs(), machine=machine(gpu(), **NOT_KNOWN), silent=True),
]

CASES = [*PRESENT, *FLOORS, *GENERATIONS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case} {case.needs.cuda} {case.machine.driver.version}")
def test_driver_rules(case: Case) -> None:
    """Each case gets its verdict and its words."""
    case.check()


def _just_below(version: DriverVersion) -> str:
    """The next lower number, written as long as `version`."""
    *head, last = version.text.split(".")
    return ".".join((*head, f"{int(last) - 1:0{len(last)}d}"))


def _own_figures() -> Iterator[tuple[str, str, str]]:
    for toolkit in load_toolkits():
        if toolkit.version.major <= 10 and toolkit.linux_min_driver and toolkit.windows_min_driver:
            yield str(toolkit.version), "linux", str(toolkit.linux_min_driver)
            yield str(toolkit.version), "windows", str(toolkit.windows_min_driver)


@pytest.mark.parametrize(("cuda", "system", "figure"), list(_own_figures()))
def test_up_to_10_2_each_toolkit_has_its_own_figure(cuda: str, system: str, figure: str) -> None:
    """On the figure it runs; on the number just below it does not."""
    below = _just_below(DriverVersion(figure))
    for driver, verdict in ((figure, WORKS), (below, FAILS)):
        ((said, _),) = words_of("driver-floor", needs(cuda=cuda), machine(gpu("K80"), driver=driver, os=system))
        assert said is verdict, driver


@pytest.mark.parametrize("cuda", [str(row.version) for row in load_toolkits() if row.version.major >= 11])
def test_from_11_on_any_minor_version_runs_from_the_floor_of_its_major(cuda: str) -> None:
    """The floor of the major decides for each of its toolkits (Minor Version Compatibility), on both systems."""
    linux, windows = {"11": ("450.80.02", "452.39"), "12": ("525.60.13", "527.41"), "13": ("580.65.06", "580")}[
        cuda[:2]
    ]
    for system, figure in (("linux", linux), ("windows", windows)):
        ((said, _),) = words_of("driver-floor", needs(cuda=cuda), machine(gpu("T4"), driver=figure, os=system))
        assert said is WORKS


@pytest.mark.parametrize("board", ["RTX 5090", "GTX 1080 Ti"])
def test_an_unread_package_on_a_driver_that_does_not_serve_the_gpu_fails(board: str) -> None:
    """Whatever the CUDA line: on 565 an RTX 5090 is not known, on 590 a GTX 1080 Ti not served any more."""
    driver = "565.57.01" if board == "RTX 5090" else "590.44.01"
    for toolkit in load_toolkits():
        asked = needs(cuda=str(toolkit.version), jit="sass")
        assert verdict_of(check(asked, machine(gpu(board), driver=driver))) is FAILS


def test_cuda_compat_is_only_spoken_of_where_it_decides() -> None:
    """An old driver without it, and a board that may not use it for a line that it would not reach either."""
    for board, driver, served, cuda in (("V100", "470.57.02", "", "12.4"), ("RTX 3090", "470.57.02", "12.4", "13.0")):
        here = machine(gpu(board), driver=driver, cuda=served)
        ((verdict, message),) = words_of("driver-floor", needs(cuda=cuda), here)
        assert verdict is FAILS
        assert message.endswith("or later; here is driver 470.57.02")


def test_of_two_gpus_the_one_that_the_driver_does_not_serve_is_named_and_no_more() -> None:
    """No word says that the driver serves both."""
    here = machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"), driver="590.44.01")
    ((verdict, message),) = words_of("driver-generation", needs(), here)
    assert verdict is DEGRADED
    assert "no longer serves NVIDIA GeForce GTX 1080 Ti (6.1)" in message


@pytest.mark.parametrize(("own", "source"), [("450.80.02", "rn134"), ("550.54.14", "made 1.0")])
def test_the_floor_that_decides_says_whose_it_is(own: str, source: str) -> None:
    """NVIDIA's table, or the package itself where it asks for more."""
    asked = needs(cuda="11.8", driver_floor=own if source == "made 1.0" else None)
    (finding,) = (one for one in check(asked, machine(gpu(), driver="440.33")) if one.rule == "driver-floor")
    (floor_found,) = (one for one in finding.evidence if one.what == "driver needed")
    assert floor_found.value == own
    assert source in floor_found.source


@pytest.mark.parametrize(
    ("board", "advised"),
    [("K80", False), ("V100", True), ("A100", True)],
)
def test_a_newer_driver_is_advised_only_where_it_still_serves_the_gpu(board: str, advised: bool) -> None:
    """Branch 470 is the last for Kepler, so no driver of CUDA 12 is a way out there."""
    found = check(needs(cuda="12.4"), machine(gpu(board), driver="470.82.01"))
    hints = [hint for one in found if one.rule == "driver-floor" for hint in one.hints]
    assert hints == (["update the driver to 525.60.13 or later"] if advised else [])
