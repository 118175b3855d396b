"""What conda packages ask of the machine through virtual packages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuenv.model import DriverState, Verdict
from gpuenv.rules import check
from rule_cases import Case, gpu, machine, needs

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict
RULE = "virtual-package"

V100 = machine(gpu("V100"), driver="535.129.03")
MIXED = machine(gpu("V100"), gpu("A100"), driver="535.129.03")
NO_DRIVER = machine(gpu("V100"), driver=None)
NO_GPU = machine(driver=None)
UNSEEN = machine(driver=None, state=DriverState.UNKNOWN, gpus=None)
MYSTERY = machine(gpu("mystery"), driver="580.65.06")


def asks(**bounds: str) -> dict[str, dict[str, str]]:
    """The field of needs: `cuda=">=12"` is a bound on `__cuda`."""
    return {"virtual_packages": {f"__{name}": text for name, text in bounds.items()}}


CASES = [
    Case(rule=RULE, verdict=WORKS, needs=needs(), machine=V100, silent=True),
    Case(rule=RULE, verdict=WORKS, needs=needs(**asks(cuda=">=12")), machine=V100, says="the driver serves CUDA 12.2"),
    Case(rule=RULE, verdict=WORKS, needs=needs(**asks(cuda="")), machine=V100, says="asks for `__cuda`;"),
    # Minor version compatibility would let it run; conda does not install it.
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda=">=12.4")), machine=V100, says="asks for `__cuda >=12.4`"),
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda=">=12")), machine=NO_DRIVER, says="no driver"),
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda="")), machine=NO_GPU, says="no driver"),
    Case(rule=RULE, verdict=UNKNOWN, needs=needs(**asks(cuda=">=12")), machine=UNSEEN, says="not known"),
    Case(rule=RULE, verdict=WORKS, needs=needs(**asks(cuda_arch=">=7.0")), machine=V100, says="Tesla V100"),
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda_arch=">=8.0")), machine=V100, says="`__cuda_arch >=8.0`"),
    # The oldest GPU decides (CEP 46).
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda_arch=">=8.0")), machine=MIXED, says="Tesla V100"),
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda_arch="<7")), machine=V100),
    Case(rule=RULE, verdict=UNKNOWN, needs=needs(**asks(cuda_arch=">=8.0")), machine=MYSTERY, says="not known"),
    Case(rule=RULE, verdict=UNKNOWN, needs=needs(**asks(cuda_arch=">=8.0")), machine=UNSEEN, says="not known"),
    Case(rule=RULE, verdict=FAILS, needs=needs(**asks(cuda_arch=">=5.0")), machine=NO_GPU, says="no GPU"),
]

DRIVERS = ("450.80.02", "470.82.01", "525.60.13", "535.129.03", "550.54.14", "580.65.06")


@given(st.sampled_from(DRIVERS), st.sampled_from(DRIVERS), st.integers(10, 13), st.integers(0, 9))
def test_a_newer_driver_meets_what_an_older_one_does(one: str, other: str, major: int, minor: int) -> None:
    """A lower bound on `__cuda` that one driver meets is met by each newer one."""
    asked = needs(**asks(cuda=f">={major}.{minor}"))

    def badness(driver: str) -> int:
        found = check(asked, machine(gpu("V100"), driver=driver))
        return next(finding.verdict.badness for finding in found if finding.rule == RULE)

    older, newer = sorted((one, other), key=DRIVERS.index)
    assert badness(newer) <= badness(older)
