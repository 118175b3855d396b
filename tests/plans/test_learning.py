"""The learn loop: wheels that nobody has read are looked into while a plan is made, and judged like the catalog's."""

from __future__ import annotations

import dataclasses

import pytest

from gpuenv.channels.catalog import releases_of
from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, Verdict
from gpuenv.plans.make import make_plan
from gpuenv.plans.rounds import MOST_ROUNDS
from loopback_index import LoopbackIndex, Reply
from targets.made_packages import library, put, sass

V100 = "gpu=V100,driver=580.65.06"
A100 = "gpu=A100,driver=580.65.06"
T4 = "gpu=T4,driver=580.65.06"
NATIVE = "cp311-cp311-manylinux_2_28_x86_64"


def plan_for(machine: str, *specs: str, others: tuple[str, ...] = (), **more: object) -> Plan:
    """A plan for Python 3.11 from the index that `uv` was pointed at."""
    further = tuple(map(parse_machine, others))
    request = Request(specs=specs, python="3.11")
    return make_plan(request, parse_machine(machine), others=further, **more)  # type: ignore[arg-type]


def versions(plan: Plan) -> dict[str, str]:
    """What the lock holds."""
    return {wheel.name: wheel.version for wheel in plan.wheels}


def add(index: LoopbackIndex, version: str, *numbers: int, name: str = "strange-kernels", needs: str = "") -> None:
    """A release with machine code for these compute capabilities (`80` for 8.0) in a package that no catalog knows."""
    code = {"strange/kernels.so": library(sass(*numbers))}
    put(index, name, code, version=version, tag=NATIVE, requires=(needs,) if needs else ())


def test_a_release_without_code_for_the_gpu_is_passed_over(own_index: LoopbackIndex) -> None:
    """The newest has code for 8.0 only, so a V100 gets the one before it; what was read, and why not, is told."""
    add(own_index, "3.0", 80)
    add(own_index, "2.0", 70, 80)
    plan = plan_for(V100, "strange-kernels")
    assert versions(plan) == {"strange-kernels": "2.0"}
    (package,) = plan.packages
    assert (package.name, package.source, package.verdict) == ("strange-kernels", "inspected", Verdict.WORKS)
    refused, taken = plan.explanation.learned
    assert (refused.version, refused.verdict) == ("3.0", Verdict.FAILS)
    assert refused.reason is not None
    assert "carries no code for Tesla V100" in refused.reason.message
    assert (taken.version, taken.verdict, taken.reason) == ("2.0", Verdict.WORKS, None)
    assert versions(plan_for(A100, "strange-kernels")) == {"strange-kernels": "3.0"}


def test_what_comes_along_is_judged_like_what_was_asked_for(own_index: LoopbackIndex) -> None:
    """A package in pure Python that requires one with GPU code gets a release of it that runs there."""
    add(own_index, "3.0", 80)
    add(own_index, "2.0", 70)
    own_index.add("asks-for-it", "1.0", requires=["strange-kernels"])
    assert versions(plan_for(V100, "asks-for-it"))["strange-kernels"] == "2.0"


def test_an_older_release_of_the_one_that_asks_may_be_the_way_out(own_index: LoopbackIndex) -> None:
    """The newest release of the package asked for insists on what does not run, so its own older one is taken."""
    add(own_index, "3.0", 80)
    add(own_index, "2.0", 70)
    own_index.add("asks-for-it", "2.0", requires=["strange-kernels==3.0"])
    own_index.add("asks-for-it", "1.0", requires=["strange-kernels==2.0"])
    assert versions(plan_for(V100, "asks-for-it")) == {"asks-for-it": "1.0", "strange-kernels": "2.0"}


def test_without_a_release_that_runs_there_is_no_plan(own_index: LoopbackIndex) -> None:
    """The refusal names the releases that were looked into, together where the reason is the same."""
    for version in ("1.0", "2.0", "3.0"):
        add(own_index, version, 80, 90)
    with pytest.raises(NoPlanError) as refusal:
        plan_for(V100, "strange-kernels")
    assert "`strange-kernels`" in refusal.value.message
    (reason,) = refusal.value.reasons
    assert reason.startswith("strange-kernels 1.0 to 3.0: carries no code for Tesla V100")
    assert "uv" not in reason


def test_the_rounds_are_bounded(own_index: LoopbackIndex) -> None:
    """With more releases that fail than there are rounds the search ends, and says what it has learned."""
    for minor in range(MOST_ROUNDS + 4):
        add(own_index, f"1.{minor}", 90)
    with pytest.raises(NoPlanError, match=f"{MOST_ROUNDS} rounds") as refusal:
        plan_for(V100, "strange-kernels")
    assert any("strange-kernels 1.4 to 1.19" in reason for reason in refusal.value.reasons)


def test_several_machines_need_a_release_that_runs_on_each(own_index: LoopbackIndex) -> None:
    """3.0 runs on the first and 2.0 on the second; 1.0 on both."""
    add(own_index, "3.0", 80)
    add(own_index, "2.0", 70)
    add(own_index, "1.0", 70, 80)
    plan = plan_for(A100, "strange-kernels", others=(V100,))
    assert versions(plan) == {"strange-kernels": "1.0"}
    assert {one.reason.machine for one in plan.explanation.learned if one.reason} == {A100, V100}


def test_a_machine_without_a_gpu_keeps_what_came_along(own_index: LoopbackIndex) -> None:
    """Whether it can do without a GPU nobody knows, so it is taken, with a word on it."""
    add(own_index, "3.0", 80)
    plan = plan_for("gpu=none", "strange-kernels")
    assert versions(plan) == {"strange-kernels": "3.0"}
    assert plan.verdict is Verdict.DEGRADED
    assert any("can only use the CPU" in note for note in plan.explanation.notes)


def test_a_package_without_gpu_code_is_no_matter(own_index: LoopbackIndex) -> None:
    """A library for the processor alone is looked into and not told of."""
    put(own_index, "plain-native", {"plain/fast.so": library()}, tag=NATIVE)
    plan = plan_for(V100, "plain-native")
    assert versions(plan) == {"plain-native": "1.0"}
    assert plan.packages == ()
    assert plan.explanation.learned == ()


def test_a_wheel_that_cannot_be_read_stays_unknown(own_index: LoopbackIndex) -> None:
    """A damaged archive is no reason against a plan, nor for it: the plan says that it was not looked into."""
    add(own_index, "1.0", 70)
    (file,) = own_index.projects["strange-kernels"].values()
    broken = type(file)(name=file.name, content=b"PK" + file.content[:40], metadata=file.metadata, requires_python=None)
    own_index.projects["strange-kernels"][file.name] = broken
    plan = plan_for(V100, "strange-kernels")
    assert versions(plan) == {"strange-kernels": "1.0"}
    assert any("strange_kernels-1.0" in note for note in plan.explanation.notes)


def test_what_was_read_once_is_not_fetched_again(own_index: LoopbackIndex) -> None:
    """The second plan asks for no wheel, and with nothing but caches there is a plan still."""
    add(own_index, "3.0", 80)
    add(own_index, "2.0", 70)
    first = plan_for(V100, "strange-kernels")
    own_index.asked.clear()
    assert plan_for(V100, "strange-kernels") == first
    assert not [path for path in own_index.asked if path.endswith(".whl")]
    own_index.always = Reply(status=503, body=b"gone", content_type="text/plain")
    assert plan_for(V100, "strange-kernels", offline=True).wheels == first.wheels


# ---- packages of the catalog -----------------------------------------------------------------------------------------


def test_a_package_of_the_catalog_that_comes_along_is_chosen_by_the_rules(index: LoopbackIndex) -> None:
    """`uv` alone would bring the newest PyTorch for a package that requires it, which has no code for a V100."""
    index.add("brings-torch", "1.0", requires=["torch>=2"])
    plan = plan_for(V100, "brings-torch")
    assert versions(plan)["torch"] == "2.10.0"
    torch = next(package for package in plan.packages if package.name == "pytorch")
    assert (torch.gpu, torch.verdict) == (True, Verdict.WORKS)


def test_what_comes_along_and_cannot_be_had_is_named(index: LoopbackIndex) -> None:
    """A package that insists on a release which does not run there has no plan, and the reason is in GPU words."""
    index.add("insists-on-torch", "1.0", requires=["torch==2.15.0"])
    with pytest.raises(NoPlanError):
        plan_for(V100, "insists-on-torch")


def _unread_release() -> str:
    """A release of PyTorch that is in the catalog without a reading of its Linux wheel."""
    return next(one.version for one in releases_of("torch") if "linux-x86_64" not in one.code and one.version > "2.1")


def test_an_unread_release_of_the_catalog_is_read_when_it_is_picked(index: LoopbackIndex) -> None:
    """Asked for by name, its wheel decides: with code for the GPU the verdict is `works` and no longer
    `unknown`. Where its neighbours lack code for the GPU, it is taken on the CPU.
    """
    version = _unread_release()
    name = f"torch-{version}-{NATIVE}.whl"
    kept = index.projects["torch"].get(name)
    put(
        index,
        "torch",
        {"torch/lib/libtorch_cuda.so": library(sass(70, 75))},
        version=version,
        tag=NATIVE,
        requires=next(one.requires for one in releases_of("torch") if one.version == version),
    )
    try:
        plan = plan_for(T4, f"pytorch=={version}")
        torch = next(package for package in plan.packages if package.name == "pytorch")
        assert (torch.version, torch.verdict) == (version, Verdict.WORKS)
        assert [one.filename for one in plan.explanation.learned] == [name]
        there = plan_for("gpu=RTX 5090,driver=580.65.06", f"pytorch=={version}")
        assert not next(package for package in there.packages if package.name == "pytorch").gpu
        # The releases beside it were read and have no code for it, so this one is not even looked into.
        assert there.explanation.learned == ()
    finally:
        if kept:
            index.projects["torch"][name] = kept


# ---- whole rather than newest ----------------------------------------------------------------------------------------


def add_in_parts(index: LoopbackIndex, version: str, main: tuple[int, ...], side: tuple[int, ...]) -> None:
    """A release with a large library and a smaller one beside it, each for as many GPU generations."""
    code = {
        "strange/kernels.so": library(*(sass(*main) for _ in range(4))),
        "strange/more.so": library(*(sass(*side) for _ in range(2))),
    }
    put(index, "strange-kernels", code, version=version, tag=NATIVE)


def test_an_older_release_that_runs_whole_goes_first(own_index: LoopbackIndex) -> None:
    """Of 3.0 a side library lacks code for the GPU, and 2.0 has all of it."""
    add_in_parts(own_index, "3.0", (70, 80), (80, 90))
    add_in_parts(own_index, "2.0", (70, 80), (70, 80))
    plan = plan_for(V100, "strange-kernels")
    assert versions(plan) == {"strange-kernels": "2.0"}
    assert plan.verdict is Verdict.WORKS
    aside = plan.explanation.learned[0]
    assert (aside.version, aside.verdict) == ("3.0", Verdict.DEGRADED)
    assert aside.reason is not None
    assert "`more.so` has code for Tesla V100-SXM2-16GB (7.0) in none of 2 units" in aside.reason.message


def test_where_none_runs_whole_the_newest_that_runs_is_taken(own_index: LoopbackIndex) -> None:
    """It is `degraded`, with the library named; with leave to be degraded nothing older is looked into."""
    for version in ("2.0", "3.0"):
        add_in_parts(own_index, version, (70, 80), (80, 90))
    plan = plan_for(V100, "strange-kernels")
    assert versions(plan) == {"strange-kernels": "3.0"}
    assert plan.verdict is Verdict.DEGRADED
    assert any("`more.so`" in note for note in plan.explanation.notes)
    request = Request(specs=("strange-kernels",), python="3.11", allow_degraded=True)
    leave = make_plan(request, parse_machine(V100))
    assert [one.version for one in leave.explanation.learned] == ["3.0"]


def test_what_comes_along_is_no_reason_for_an_age_old_release(own_index: LoopbackIndex) -> None:
    """The newest of a catalog's package insists on kernels that do not run; the one before it is taken, with the
    PyTorch that it needs, and the plan says what was left out and why.
    """
    add(own_index, "3.0", 80)
    add(own_index, "2.0", 70)
    for version, torch, triton, kernels in (
        ("0.25.0", "2.10.0", "3.6.0", "3.0"),
        ("0.24.1", "2.9.1", "3.5.1", "2.0"),
        ("0.15.1", "2.0.0", "2.0.0", "2.0"),
    ):
        needs = [f"torch=={torch}", f"strange-kernels=={kernels}"]
        own_index.add("torchvision", version, requires=needs, tags=(NATIVE,))
        own_index.add("torch", torch, requires=[f"triton=={triton}"], tags=(NATIVE,))
        own_index.add("triton", triton, tags=(NATIVE,))
    plan = plan_for(V100, "torchvision")
    assert {"torchvision": "0.24.1", "torch": "2.9.1", "strange-kernels": "2.0"}.items() <= versions(plan).items()
    notes = "\n".join(plan.explanation.notes)
    assert "looked into and left out: strange-kernels 3.0" in notes
    assert "strange-kernels 3.0: carries no code for Tesla V100" in notes


def test_what_could_not_be_read_is_not_known_to_run(own_index: LoopbackIndex) -> None:
    """The index lists a wheel that is no archive: it is taken, since nobody knows better, and the plan says so."""
    add(own_index, "3.0", 80)
    (listed,) = own_index.projects["strange-kernels"].values()
    own_index.projects["strange-kernels"][listed.name] = dataclasses.replace(listed, content=b"no archive")
    plan = plan_for(V100, "strange-kernels")
    notes = "\n".join(plan.explanation.notes)
    assert "whether strange-kernels 3.0 can run there is not known" in notes
