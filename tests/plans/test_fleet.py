"""Plans for several machines: one where one does for all, else the fewest, with what forces each further one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import GpuPolicy, IndexPolicy, PlanSet, Request, Verdict
from gpuenv.plans.fleet import divide, make_plans
from gpuenv.plans.layer import choose_layer
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import read_specs
from gpuenv.plans.what_if import what_would_change
from loopback_index import LoopbackIndex

H100 = "gpu=H100,driver=580.65.06"
V100 = "gpu=V100,driver=580.65.06"
T4 = "gpu=T4,driver=570.133.07"
B200 = "gpu=B200,driver=580.65.06"
GTX_1080_TI = "gpu=GTX 1080 Ti,driver=580.65.06"
RTX_5090 = "gpu=RTX 5090,driver=580.65.06"
K80 = "gpu=K80,driver=470.57.02"
LOGIN = "gpu=none"
FLEET = (
    H100,
    V100,
    T4,
    B200,
    GTX_1080_TI,
    RTX_5090,
    K80,
    LOGIN,
    "gpu=A100,driver=525.85.12",
    "gpu=L4,driver=550.54.15",
)


def plans_for(*machines: str, specs: tuple[str, ...] = ("pytorch",), **more: object) -> PlanSet:
    """Plans for Python 3.11."""
    request = Request(specs=specs, python="3.11", indexes=IndexPolicy.PYPI, **more)  # type: ignore[arg-type]
    return make_plans(request, [parse_machine(text) for text in machines])


def names(found: PlanSet) -> list[set[str]]:
    """The machines of each plan."""
    return [{machine.name for machine in plan.machines} for plan in found.plans]


def versions(found: PlanSet, package: str = "pytorch") -> list[str]:
    """The version of a package in each plan."""
    return [one.version for plan in found.plans for one in plan.packages if one.name == package]


def test_one_plan_does_for_machines_that_have_a_release_in_common(index: LoopbackIndex) -> None:
    """PyTorch 2.10 has code for 7.0 to 10.0, and is the newest that a V100 can use."""
    found = plans_for(V100, B200, T4)
    assert (names(found), versions(found), found.reasons) == ([{V100, B200, T4}], ["2.10.0"], ())
    assert found.plans[0].verdict is Verdict.WORKS


def test_machines_that_share_no_release_get_environments_of_their_own(index: LoopbackIndex) -> None:
    """No release has code for 6.1 and 12.0; the reason names the machines, and what is missing on which GPU."""
    found = plans_for(RTX_5090, GTX_1080_TI)
    assert names(found) == [{RTX_5090}, {GTX_1080_TI}]
    (reason,) = found.reasons
    assert f"`{GTX_1080_TI}` cannot share an environment with `{RTX_5090}`" in reason
    assert ": carries no code for GeForce GTX 1080 Ti (6.1)" in reason


def test_the_environments_are_as_few_as_can_be(index: LoopbackIndex) -> None:
    """To put each machine where it fits first would be one too many: the order of the machines does not matter."""
    machines = (H100, GTX_1080_TI, K80, RTX_5090, T4)
    for order in (machines, machines[::-1]):
        found = plans_for(*order)
        assert len(found.plans) == 2
        assert len(found.reasons) == 1
        assert sorted(one for group in names(found) for one in group) == sorted(machines)


def test_a_machine_without_a_gpu_shares_the_gpu_build(index: LoopbackIndex) -> None:
    """PyTorch's CUDA build computes on the CPU as well, so a login node needs no environment of its own."""
    found = plans_for(H100, LOGIN)
    assert names(found) == [{H100, LOGIN}]
    (pytorch,) = [one for one in found.plans[0].packages if one.name == "pytorch"]
    assert pytorch.gpu
    assert any(finding.machine == LOGIN and finding.verdict is Verdict.DEGRADED for finding in pytorch.findings)


def test_machines_that_are_alike_count_once(index: LoopbackIndex) -> None:
    """Sixty equal nodes under sixty names get one plan, in which all are named."""
    nodes = [f"{V100},name=node{number}" for number in range(60)]
    found = plans_for(*nodes)
    assert names(found) == [{f"node{number}" for number in range(60)}]


def test_platforms_never_share(index: LoopbackIndex) -> None:
    """Wheels of Linux and Windows are other files; that is said as the reason."""
    index.add("for-any-platform", "1.0")
    found = plans_for(H100, "os=macos", specs=("for-any-platform",))
    assert len(found.plans) == 2
    assert found.reasons == ("linux-x86_64 and macos-aarch64 need environments of their own",)


def test_a_machine_that_nothing_fits_is_named(index: LoopbackIndex) -> None:
    """CuPy has no build for the CPU, so a machine without a GPU has no plan at all."""
    with pytest.raises(NoPlanError, match=LOGIN):
        plans_for(H100, LOGIN, specs=("cupy",))


@given(st.lists(st.sampled_from(FLEET), min_size=1, max_size=4, unique=True))
@settings(max_examples=12, deadline=None)
def test_every_machine_is_in_one_plan_and_loses_no_gpu_package(machines: list[str]) -> None:
    """However a fleet is divided, each machine gets what it could use alone on the GPU, and is in one group."""
    here = [with_assumptions(parse_machine(text), "3.11") for text in machines]
    request = Request(specs=("pytorch",), python="3.11")
    groups, reasons = divide(request, here, python="3.11")
    assert sorted(one.name for group in groups for one in group) == sorted(machines)
    assert bool(reasons) == (len(groups) > 1)
    wanted = read_specs(request.specs)
    for group in groups:
        together = choose_layer(wanted.gpu, Setting(machines=tuple(group)))
        for machine in group:
            alone = choose_layer(wanted.gpu, Setting(machines=(machine,)))
            assert together.picks["pytorch"].build.gpu or not alone.picks["pytorch"].build.gpu


# ---- policies --------------------------------------------------------------------------------------------------------


def test_never_keeps_everything_on_the_cpu(index: LoopbackIndex) -> None:
    """With the policy `never` a machine with a GPU gets CPU builds, and the explanation says why."""
    (plan,) = plans_for(H100, specs=("pytorch", "py-xgboost"), gpu=GpuPolicy.NEVER).plans
    assert {one.gpu for one in plan.packages} == {False}


def test_require_refuses_where_a_package_would_be_on_the_cpu(index: LoopbackIndex) -> None:
    """With the policy `require` there is no plan without a GPU; with a GPU it is the same as ever."""
    with pytest.raises(NoPlanError) as refusal:
        plans_for(LOGIN, gpu=GpuPolicy.REQUIRE)
    assert any("NVIDIA GPU" in reason for reason in refusal.value.reasons)
    assert versions(plans_for(H100, gpu=GpuPolicy.REQUIRE)) == versions(plans_for(H100))


def test_degraded_builds_are_taken_where_they_are_allowed(index: LoopbackIndex) -> None:
    """A T4 gets 2.10 because newer releases lack code for it in a side library; if that is no matter, the newest."""
    on_580 = "gpu=T4,driver=580.65.06"
    assert versions(plans_for(on_580)) == ["2.10.0"]
    (plan,) = plans_for(on_580, allow_degraded=True).plans
    (pytorch,) = [one for one in plan.packages if one.name == "pytorch"]
    assert (pytorch.version, pytorch.verdict) == ("2.15.0", Verdict.DEGRADED)
    assert any("libtorch_cuda_linalg.so" in finding.message for finding in pytorch.findings)


# ---- what would change it --------------------------------------------------------------------------------------------


def test_the_oldest_driver_that_helps_is_named() -> None:
    """On driver 470 a V100 is bound to CUDA 11; any driver of CUDA 12 gives it the newest it can use."""
    first = what_would_change(Request(specs=("pytorch",)), [parse_machine("gpu=V100,driver=470.57.02")], python="3.11")[
        0
    ]
    assert first.change == "driver 525.60.13 or later"
    assert first.gains == ("pytorch 2.10.0 rather than 2.0.1",)


def test_no_driver_is_advised_that_does_not_serve_the_gpu() -> None:
    """Branch 470 is the last for a K80, so a newer driver is no way out."""
    found = what_would_change(Request(specs=("pytorch",)), [parse_machine(K80)], python="3.11")
    assert not [one for one in found if one.change.startswith("driver")]


def test_a_package_less_can_be_the_greatest_gain() -> None:
    """TensorFlow holds PyTorch at CUDA 12; without it PyTorch is the newest."""
    request = Request(specs=("pytorch", "tensorflow"))
    changes = {one.change: one.gains for one in what_would_change(request, [parse_machine(H100)], python="3.11")}
    assert changes["without `tensorflow`"] == ("pytorch 2.15.0 rather than 2.10.0",)


def test_where_nothing_would_change_nothing_is_told() -> None:
    """The newest of everything on a current driver leaves no gain, but for another Python."""
    found = what_would_change(Request(specs=("pytorch",), python="3.11"), [parse_machine(H100)], python="3.11")
    assert found == ()
