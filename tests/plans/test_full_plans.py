"""Whole plans, with the real `uv` resolving against an index on this computer."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from gpuenv.channels.catalog import releases_of
from gpuenv.errors import GpuenvError, NoPlanError, RequestError, UnavailableError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, from_json, to_json
from gpuenv.plans.make import make_plan
from loopback_index import LoopbackIndex, Reply

A100 = "gpu=A100,driver=535.129.03"
V100 = "gpu=V100,driver=580.65.06"


def plan_for(machine: str, *specs: str, python: str = "3.11", **more: object) -> Plan:
    """A plan from the index that `uv` was pointed at."""
    return make_plan(Request(specs=specs, python=python), parse_machine(machine), **more)  # type: ignore[arg-type]


def versions(plan: Plan) -> dict[str, str]:
    """What the lock holds."""
    return {wheel.name: wheel.version for wheel in plan.wheels}


def interpreter(version: str) -> Interpreter:
    """A Python that was found, by its version; all are this one, which only reads their names."""
    return Interpreter(version=version, path=sys.executable, found_by="test")


def reasons(plan: Plan) -> str:
    """All that the explanation says."""
    choices = plan.explanation.choices
    passed = [one.reason.message for choice in choices for one in choice.passed_over]
    notes = [note for choice in choices for note in choice.notes]
    return "\n".join((*passed, *notes, *plan.explanation.notes, *plan.explanation.hints))


# ---- what is in the lock ---------------------------------------------------------------------------------------------


def test_the_layers_picks_are_pinned_with_file_and_hash(index: LoopbackIndex) -> None:
    """The lock holds the very versions of the layer, one file each, with the sha256 of that file on the index."""
    plan = plan_for(A100, "pytorch")
    assert versions(plan)["torch"] == "2.10.0"
    assert versions(plan)["triton"] == "3.6.0"
    assert versions(plan)["nvidia-cudnn-cu12"] == "9.10.2.21"
    (torch,) = [wheel for wheel in plan.wheels if wheel.name == "torch"]
    assert torch.filename == "torch-2.10.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert torch.sha256 == index.projects["torch"][torch.filename].sha256
    assert torch.size_bytes == len(index.projects["torch"][torch.filename].content)


def test_the_plan_says_what_was_decided_for_whom(index: LoopbackIndex) -> None:
    """Request, machine, Python, packages with build and CUDA; it survives being written and read."""
    plan = plan_for(A100, "torch>=2", "cupy")
    assert plan.request.specs == ("torch>=2", "cupy")
    assert (plan.python, plan.machine.python) == ("3.11", "3.11")
    assert plan.machine.sources["system.glibc"] == "assumed"
    shown = {package.name: package for package in plan.packages}
    assert (shown["pytorch"].version, shown["pytorch"].build, shown["pytorch"].cuda) == (
        *("2.10.0", "cuda128_py311_0"),
        "12.8",
    )
    assert (shown["cupy"].gpu, shown["cupy"].cuda) == (True, "12.8")
    assert from_json(to_json(plan), Plan) == plan


def test_libraries_that_dropped_the_gpu_stay_out_of_the_lock(index: LoopbackIndex) -> None:
    """TensorFlow 2.21 takes any cuDNN 9, but 9.11 dropped Volta, so the lock for a V100 has 9.10."""
    assert versions(plan_for(V100, "tensorflow-gpu"))["nvidia-cudnn-cu12"].startswith("9.10.")
    newer = versions(plan_for("gpu=L4,driver=580.65.06", "tensorflow-gpu"))["nvidia-cudnn-cu12"]
    assert tuple(map(int, newer.split(".")[:2])) > (9, 10)


def test_the_line_that_numba_needs_reaches_the_lock(index: LoopbackIndex) -> None:
    """Driver 535 serves CUDA 12.2, so the libraries that Numba compiles with are of 12.2, not the newest of CUDA 12."""
    plan = plan_for(A100, "numba")
    assert versions(plan)["cuda-toolkit"].startswith("12.2.")
    assert "numba-cuda" in versions(plan)


def test_cudatoolkit_holds_all_libraries_of_the_lock(index: LoopbackIndex) -> None:
    """With cudatoolkit=12.1 the lock has the libraries of CUDA 12.1 and the PyTorch that pins them."""
    plan = plan_for("gpu=H100,driver=535.129.03", "pytorch", "cudatoolkit=12.1")
    assert versions(plan)["torch"] == "2.4.1"
    assert versions(plan)["cuda-toolkit"].startswith("12.1.")
    assert versions(plan)["nvidia-cublas-cu12"] == "12.1.3.1"


def test_repairs_reach_the_lock(index: LoopbackIndex) -> None:
    """MXNet, Chainer and Caffe get the NumPy, setuptools and protobuf that they still run with."""
    mxnet = versions(plan_for("gpu=none", "mxnet"))
    assert (mxnet["mxnet"], mxnet["numpy"]) == ("1.9.1", "1.23.5")
    chainer = plan_for("gpu=none", "chainer")
    assert versions(chainer)["numpy"] == "1.23.5"
    assert int(versions(chainer)["setuptools"].split(".")[0]) < 74
    caffe = versions(plan_for("gpu=none", "caffe", python="3.8"))
    assert caffe["kendryte-caffe"] == "1.0.0.20210829"
    assert tuple(map(int, caffe["numpy"].split(".")[:2])) < (1, 24)
    assert tuple(map(int, caffe["protobuf"].split(".")[:2])) < (3, 21)


def test_only_a_package_without_wheels_may_be_built(index: LoopbackIndex) -> None:
    """Chainer is source only: the plan names it, and holds its build to an old setuptools. Nothing else is built."""
    plan = plan_for("gpu=none", "chainer")
    assert plan.source_packages == ("chainer",)
    assert plan.build_constraints == ("setuptools<81",)
    files = {wheel.name: wheel.filename or "" for wheel in plan.wheels}
    assert files.pop("chainer").endswith(".tar.gz")
    assert [name for name in files.values() if not name.endswith(".whl")] == []
    index.add_source("gpuenv-test-source-only", "1.0")
    with pytest.raises(NoPlanError):
        plan_for("gpu=none", "numba", "gpuenv-test-source-only")


def test_other_extras_are_passed_on(own_index: LoopbackIndex) -> None:
    """An extra that makes no build of its own is asked for with the wheel."""
    for release in releases_of("numba"):
        own_index.add("numba", release.version, requires=['gpuenv-test-more; extra == "more"'])
    own_index.add("gpuenv-test-more", "1.0")
    assert versions(plan_for("gpu=none", "numba[more]")).keys() == {"numba", "gpuenv-test-more"}
    assert versions(plan_for("gpu=none", "numba")).keys() == {"numba"}


# ---- what the layer cannot see ---------------------------------------------------------------------------------------


def test_a_conflict_that_only_uv_sees_takes_another_release_that_runs(index: LoopbackIndex) -> None:
    """A plain package asks for an old Triton. PyTorch 2.10 pins a newer one, so the layer is chosen anew around the
    release that uv can take, and the plan says so in uv's words.
    """
    index.add("gpuenv-test-old-triton", "1.0", requires=["triton<3.3"])
    plan = plan_for(A100, "pytorch", "gpuenv-test-old-triton")
    assert (versions(plan)["torch"], versions(plan)["triton"]) == ("2.6.0", "3.2.0")
    (torch,) = [package for package in plan.packages if package.name == "pytorch"]
    assert (torch.version, torch.build, torch.cuda, torch.gpu) == ("2.6.0", "cuda124_py311_0", "12.4", True)
    assert "pytorch 2.6.0 rather than 2.10.0" in reasons(plan)
    assert "triton" in reasons(plan)
    assert versions(plan)["nvidia-cudnn-cu12"] == "9.1.0.70"


def test_a_way_out_is_never_a_release_that_does_not_run(index: LoopbackIndex) -> None:
    """Only PyTorch 2.13 and later would go with a newer Triton, and none of those has code for Volta: no plan."""
    index.add("gpuenv-test-new-triton", "1.0", requires=["triton>=3.7"])
    with pytest.raises(NoPlanError) as refusal:
        plan_for(V100, "pytorch-gpu", "gpuenv-test-new-triton")
    assert refusal.value.exit_code == 1
    assert "triton" in " ".join(refusal.value.reasons)
    on_newer = plan_for("gpu=A100,driver=580.65.06", "pytorch-gpu", "gpuenv-test-new-triton")
    assert versions(on_newer)["torch"].startswith("2.15.")


@pytest.mark.parametrize("request_", [("pytorch", "cupy"), ("pytorch", "cupy", "cudatoolkit"), ("pytorch", "numba")])
def test_libraries_of_two_patch_releases_do_not_part_packages(index: LoopbackIndex, request_: tuple[str, ...]) -> None:
    """PyTorch 2.7 pins NVRTC of CUDA 12.6.2 and cuBLAS of 12.6.3, which no cuda-toolkit has together. What would take
    its libraries from one cuda-toolkit takes them one by one, or from another patch release, and stays on the GPU.
    """
    plan = plan_for("gpu=GTX 1080 Ti,driver=580.65.06", *request_)
    held = versions(plan)
    assert (held["torch"], held["nvidia-cuda-nvrtc-cu12"]) == ("2.7.1", "12.6.77")
    asked = [package for package in plan.packages if package.name in {"pytorch", "cupy", "numba"}]
    assert len(asked) == len([name for name in request_ if name != "cudatoolkit"])
    assert all(package.gpu and package.cuda == "12.6" for package in asked)
    assert "cupy" not in request_ or held["cupy-cuda12x"].startswith("14.")


def test_plain_requirements_that_exclude_each_other_are_a_true_no(index: LoopbackIndex) -> None:
    """Uv's own words say why, and the exit code that this is an answer."""
    index.add("gpuenv-test-left", "1.0", requires=["gpuenv-test-shared<2"])
    index.add("gpuenv-test-right", "1.0", requires=["gpuenv-test-shared>=2"])
    index.add("gpuenv-test-shared", "1.0")
    index.add("gpuenv-test-shared", "2.0")
    with pytest.raises(NoPlanError) as refusal:
        plan_for("gpu=none", "numba", "gpuenv-test-left", "gpuenv-test-right")
    assert "gpuenv-test-shared" in " ".join(refusal.value.reasons)


def test_a_bound_of_a_plain_package_keeps_its_word(index: LoopbackIndex) -> None:
    """`numpy<2` is both a requirement and a bound for the layer: CuPy 13 is the last that takes it."""
    plan = plan_for(A100, "cupy", "numpy<2")
    assert versions(plan)["numpy"].startswith("1.26.")
    assert versions(plan)["cupy-cuda12x"].startswith("13.")


# ---- the index -------------------------------------------------------------------------------------------------------


def test_an_unknown_package_brings_the_nearest_names(index: LoopbackIndex) -> None:
    """A name that neither the catalog nor the index has is a mistake of the request: exit code 2."""
    with pytest.raises(RequestError, match="there is no package `pytorhc`") as refusal:
        plan_for("gpu=none", "pytorhc")
    assert refusal.value.exit_code == 2
    assert any("`pytorch`" in hint for hint in refusal.value.hints)
    with pytest.raises(RequestError, match="there is no package `gpuenv-test-nowhere`"):
        plan_for(A100, "pytorch", "gpuenv-test-nowhere>=2")


def test_an_unknown_extra_is_a_mistake_of_the_request(index: LoopbackIndex) -> None:
    """Uv would only warn, and install the package without what was asked for."""
    for spec in ("pytorch[gpuenv-test]", "llvmlite[gpuenv-test]"):
        with pytest.raises(RequestError, match="has no extra `gpuenv-test`") as refusal:
            plan_for("gpu=none", spec)
        assert refusal.value.exit_code == 2


def test_an_extra_that_a_dependency_lacks_is_its_own_affair(index: LoopbackIndex) -> None:
    """A package in the set may ask another for an extra that is gone; pip and uv allow that."""
    index.add("gpuenv-test-loose", "1.0", requires=["llvmlite[gone]"])
    assert "llvmlite" in versions(plan_for("gpu=none", "gpuenv-test-loose"))


def test_an_index_that_is_not_there_could_not_be_asked(only_loopback: pytest.MonkeyPatch) -> None:
    """A closed port: exit code 3, and a hint that names the setting."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    only_loopback.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{port}/simple/")
    with pytest.raises(UnavailableError, match="index did not answer") as failure:
        plan_for("gpu=none", "numba")
    assert failure.value.exit_code == 3
    assert any("UV_DEFAULT_INDEX" in hint for hint in failure.value.hints)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, body=b"<html>Internal Server Error</html>", content_type="text/html"),
        Reply(status=503, body=b"", content_type="text/plain"),
        Reply(status=401, body=b"who are you", content_type="text/plain"),
        Reply(status=403, body=b"not you", content_type="text/plain"),
        Reply(body=b"{", content_type="application/vnd.pypi.simple.v1+json"),
        Reply(body=b"<html><body>Please log in to this network</body></html>", content_type="text/html"),
        Reply(body=b"hello", content_type="text/plain"),
    ],
    ids=["500", "503", "401", "403", "broken JSON", "a login page", "plain text"],
)
def test_an_index_that_answers_nonsense_could_not_be_asked(own_index: LoopbackIndex, reply: Reply) -> None:
    """Errors and pages that are no index are no answer to what was asked: exit code 3, and never an unknown package."""
    own_index.always = reply
    with pytest.raises(GpuenvError) as failure:
        plan_for("gpu=none", "numba")
    assert failure.value.exit_code == 3, (failure.value.message, failure.value.reasons)


def test_a_mirror_without_a_package_of_the_catalog_is_told(own_index: LoopbackIndex) -> None:
    """A release that the catalog read is missing on the index at hand: that is the index's gap, and no answer."""
    with pytest.raises(UnavailableError, match="the package index has no `numba`") as failure:
        plan_for("gpu=none", "numba")
    assert failure.value.exit_code == 3
    assert failure.value.hints


def test_a_mirror_with_older_releases_gives_those(own_index: LoopbackIndex) -> None:
    """Where the index has not the release that was picked, the newest that it has is taken, and the plan says so."""
    own_index.add("numba", "0.61.2")
    plan = plan_for("gpu=none", "numba")
    assert versions(plan) == {"numba": "0.61.2"}
    assert "numba 0.61.2 rather than" in reasons(plan)


def test_cudas_python_packages_may_be_older_than_the_newest(index: LoopbackIndex) -> None:
    """They pin each other, so one that holds them a release back takes no older PyTorch."""
    index.add("holds-bindings", "1.0", requires=["cuda-bindings<13.5"])
    newest = versions(plan_for("gpu=H100,driver=580.65.06", "pytorch"))
    held = versions(plan_for("gpu=H100,driver=580.65.06", "pytorch", "holds-bindings"))
    assert newest["cuda-bindings"] == "13.5.0"
    assert (held["torch"], held["cuda-bindings"]) == (newest["torch"], "13.4.4")


# ---- keep and renew --------------------------------------------------------------------------------------------------


def test_what_is_installed_stays_where_it_is(own_index: LoopbackIndex) -> None:
    """With a plan to keep, a newer release on the index changes nothing, except for what is to be renewed."""
    own_index.add("plain", "1.0")
    own_index.add("other", "1.0", requires=["plain"])
    before = plan_for("gpu=none", "plain", "other")
    own_index.add("plain", "2.0")
    own_index.add("other", "2.0", requires=["plain"])
    own_index.add("third", "1.0")
    assert versions(plan_for("gpu=none", "plain", "other")) == {"plain": "2.0", "other": "2.0"}
    kept = plan_for("gpu=none", "plain", "other", "third", keep=before)
    assert versions(kept) == {"plain": "1.0", "other": "1.0", "third": "1.0"}
    renewed = plan_for("gpu=none", "plain", "other", keep=before, renew=frozenset({"plain"}))
    assert versions(renewed) == {"plain": "2.0", "other": "1.0"}


def test_a_gpu_package_stays_in_its_build(index: LoopbackIndex) -> None:
    """PyTorch 2.9.1 stays when CuPy is added, and moves to 2.10 when it is to be renewed."""
    before = plan_for(A100, "pytorch=2.9")
    kept = plan_for(A100, "pytorch", "cupy", keep=before)
    assert versions(kept)["torch"] == "2.9.1"
    assert "cupy-cuda12x" in versions(kept)
    renewed = plan_for(A100, "pytorch", "cupy", keep=before, renew=frozenset({"pytorch"}))
    assert versions(renewed)["torch"] == "2.10.0"


def test_a_new_bound_moves_one_package_and_what_comes_along_with_it(index: LoopbackIndex) -> None:
    """PyTorch moves to what is asked for now, and Triton with it; CuPy and plain packages stay."""
    index.add("gpuenv-test-stays", "1.0")
    before = plan_for(A100, "pytorch=2.9", "cupy=14.1", "gpuenv-test-stays")
    index.add("gpuenv-test-stays", "2.0")
    after = versions(plan_for(A100, "pytorch=2.10", "cupy", "gpuenv-test-stays", keep=before))
    assert (after["torch"], after["triton"]) == ("2.10.0", "3.6.0")
    assert after["cupy-cuda12x"] == versions(before)["cupy-cuda12x"]
    assert after["gpuenv-test-stays"] == "1.0"


def test_a_metapackage_is_renewed_with_what_it_stands_for(index: LoopbackIndex) -> None:
    """Renewing pytorch-gpu moves PyTorch."""
    before = plan_for(A100, "pytorch-gpu=2.9")
    kept = plan_for(A100, "pytorch-gpu", keep=before)
    assert versions(kept)["torch"] == "2.9.1"
    renewed = plan_for(A100, "pytorch-gpu", keep=before, renew=frozenset({"pytorch-gpu"}))
    assert versions(renewed)["torch"] == "2.10.0"


def test_keeping_what_cannot_stay_is_refused(index: LoopbackIndex) -> None:
    """PyTorch 2.10 is of CUDA 12.8; with it kept there is no room for CUDA 12.1, and the caller plans anew."""
    before = plan_for(A100, "pytorch")
    with pytest.raises(NoPlanError):
        plan_for(A100, "pytorch", "cudatoolkit=12.1", keep=before)


# ---- Python ----------------------------------------------------------------------------------------------------------


def test_the_first_python_with_builds_for_all_is_taken(index: LoopbackIndex) -> None:
    """Caffe has no wheel for Python 3.11; an older interpreter that was found is taken, and the plan says so."""
    found = (interpreter("3.11.7"), interpreter("3.12.1"), interpreter("3.8.18"))
    plan = make_plan(Request(specs=("caffe",)), parse_machine("gpu=none"), interpreters=found)
    assert (plan.python, plan.interpreter) == ("3.8", sys.executable)
    assert "Python 3.8 rather than 3.11" in reasons(plan)
    preferred = make_plan(Request(specs=("numba",)), parse_machine("gpu=none"), interpreters=found)
    assert preferred.python == "3.11"
    assert "rather than" not in reasons(preferred)


def test_without_an_older_python_the_refusal_names_those_found(index: LoopbackIndex) -> None:
    """The reasons say for which Pythons there are wheels, and which were found."""
    with pytest.raises(NoPlanError) as refusal:
        make_plan(
            Request(specs=("caffe",)),
            parse_machine("gpu=none"),
            interpreters=(interpreter("3.11.7"), interpreter("3.12.1")),
        )
    said = " ".join(refusal.value.reasons)
    assert "wheels are for Python 3.6 to 3.9; here 3.11" in said
    assert "3.11, 3.12" in said
    assert any("--python 3.9" in hint for hint in refusal.value.hints)


def test_the_python_of_the_request_is_the_one_planned_for(index: LoopbackIndex) -> None:
    """`python=3.8` among the specs and `--python 3.8` both choose among the interpreters found."""
    found = (interpreter("3.11.7"), interpreter("3.8.18"))
    for request in (Request(specs=("numba", "python=3.8")), Request(specs=("numba",), python="3.8")):
        plan = make_plan(request, parse_machine("gpu=none"), interpreters=found)
        assert plan.python == "3.8"
        assert {wheel.filename for wheel in plan.wheels if wheel.name == "numba"} == {
            f"numba-{versions(plan)['numba']}-cp38-cp38-manylinux_2_17_x86_64.whl"
        }


# ---- why -------------------------------------------------------------------------------------------------------------


def test_reasons_carry_the_machines_own_numbers(index: LoopbackIndex) -> None:
    """What was passed over for the driver names the driver needed and the one that is there; for the GPU likewise."""
    assert "580.65.06" in reasons(plan_for(A100, "pytorch"))
    assert "535.129.03" in reasons(plan_for(A100, "pytorch"))
    assert "(7.0)" in reasons(plan_for(V100, "pytorch"))


def test_a_cpu_choice_says_what_a_gpu_machine_would_get(index: LoopbackIndex) -> None:
    """No GPU was found, so CPU builds were taken; the plan compares, and its hint names the option."""
    plan = plan_for("gpu=none", "numba", "py-xgboost")
    assert "no NVIDIA GPU was found" in reasons(plan)
    assert "a machine with an NVIDIA GPU would get" in reasons(plan)
    assert "(cuda_py311_0)" in reasons(plan)
    assert "cuda-bindings" not in reasons(plan)
    assert "`--machine gpu=NAME,driver=VERSION`" in reasons(plan)
    assert not [package.name for package in plan.packages if package.gpu]


def test_nothing_is_said_of_a_gpu_where_none_would_matter(index: LoopbackIndex) -> None:
    """A request without GPU packages says nothing of GPUs."""
    index.add("gpuenv-test-plain", "1.0")
    assert reasons(plan_for("gpu=none", "gpuenv-test-plain")) == ""


def test_nothing_is_written_outside_the_cache(
    index: LoopbackIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan is an answer: the directory it is made in stays empty."""
    monkeypatch.chdir(tmp_path)
    plan_for("gpu=none", "numba")
    assert list(tmp_path.iterdir()) == []


def test_two_cuda_majors_are_never_side_by_side_in_silence(index: LoopbackIndex) -> None:
    """A plain requirement on a library of CUDA 12 beside a PyTorch of CUDA 13 is told, with who brings what."""
    index.add("wants-old-cuda", "1.0", requires=["nvidia-cudnn-cu12"])
    plan = plan_for("gpu=H100,driver=580.65.06", "pytorch", "wants-old-cuda")
    (note,) = [note for note in plan.explanation.notes if "side by side" in note]
    assert "CUDA 12 by nvidia-cublas-cu12 and" in note
    assert "CUDA 13 by cuda-toolkit and" in note
    alone = plan_for("gpu=H100,driver=580.65.06", "pytorch")
    assert not [note for note in alone.explanation.notes if "side by side" in note]
