"""What users type, taken apart: GPU packages for the solver, the rest as requirements for `uv`."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from gpuenv.channels.catalog import find_project, project_names
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.plans.specs import GpuSpec, Wanted, read_specs, spec_name


def only(typed: str) -> GpuSpec:
    """The one GPU spec that `typed` is."""
    wanted = read_specs((typed,))
    assert wanted.plain == ()
    (spec,) = wanted.gpu
    return spec


@pytest.mark.parametrize(
    ("typed", "requirement"),
    [
        ("scipy", "scipy"),
        ("scipy=1.10", "scipy==1.10.*"),
        ("scipy=1.100", "scipy==1.100.*"),
        ("scipy=1", "scipy==1.*"),
        ("scipy==1.10", "scipy==1.10"),
        ("scipy 1.10.1", "scipy==1.10.1"),
        ("numpy 1.26.*", "numpy==1.26.*"),
        ("scipy=1.10.*", "scipy==1.10.*"),
        ("pandas>=2,<3", "pandas<3,>=2"),
        ("pandas >=2, <3", "pandas<3,>=2"),
        ("pandas!=2.0.1", "pandas!=2.0.1"),
        ("pandas~=2.1", "pandas~=2.1"),
        ("requests[socks]>=2", "requests[socks]>=2"),
        ("name[version='>=1,<2']", "name<2,>=1"),
        ("pandas *", "pandas"),
        ("scikit_learn", "scikit_learn"),
        ("Foo.Bar", "Foo.Bar"),
        ("foo; python_version < '3'", 'foo; python_version < "3"'),
        ("foo @ https://example.invalid/foo-1-py3-none-any.whl", "foo@ https://example.invalid/foo-1-py3-none-any.whl"),
        ("torch @ https://example.invalid/torch.whl", "torch@ https://example.invalid/torch.whl"),
    ],
)
def test_packages_outside_the_catalog_become_requirements(typed: str, requirement: str) -> None:
    """A package that the catalog does not know goes to `uv` in Python's form, whichever form it was typed in."""
    wanted = read_specs((typed,))
    assert wanted.gpu == ()
    (plain,) = wanted.plain
    assert Requirement(plain) == Requirement(requirement)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("name[version='>=1|2']", "no form that Python's tools know"),
        ("foo=1|2", "no form that Python's tools know"),
        ("foo=1.2=py_0", "only packages of the catalog have builds"),
        ("", "begin with the name"),
        ("   ", "begin with the name"),
        ("=2", "begin with the name"),
        (">=2", "begin with the name"),
        ("foo*", "begin with the name"),
        ("./folder", "begin with the name"),
        ("https://example.invalid/a.whl", "begin with the name"),
        ("--help", "begin with the name"),
        ("pytorch>", "unable to parse"),
        ("pytorch=", ""),
        ("pytorch[version='>=2'", ""),
        ("foo;", ""),
        ("conda-forge::pytorch", "the request is for wheels only"),
        ("defaults/linux-64::pytorch", "the request is for wheels only"),
        ("jax[cuda12,cuda13]", "several builds"),
        ("python=abc|", ""),
        ("torch>=2; python_version < '3'", "marker does not hold"),
    ],
)
def test_what_is_no_spec_is_refused_with_the_reason(typed: str, reason: str) -> None:
    """A spec that is neither conda's nor Python's is the user's mistake: it is quoted, and the reason is one line."""
    with pytest.raises(RequestError) as refusal:
        read_specs((typed, "pytorch"))
    error = refusal.value
    assert f"`{typed}`" in error.message
    assert reason in " ".join((error.message, *error.reasons))
    assert [line for line in (error.message, *error.reasons, *error.hints) if "\n" in line] == []
    assert error.hints


def test_a_misspelt_gpu_package_brings_the_nearest_names() -> None:
    """`pytorhc>` is no spec, and what was probably meant is offered."""
    with pytest.raises(RequestError) as refusal:
        read_specs(("pytorhc>",))
    assert any("`pytorch`" in hint for hint in refusal.value.hints)


@pytest.mark.parametrize(
    ("typed", "conda"),
    [
        ("pytorch", "pytorch"),
        ("pytorch>=2.5", "pytorch >=2.5"),
        ("pytorch >=2.5", "pytorch >=2.5"),
        ("pytorch=2.7", "pytorch=2.7"),
        ("torch==2.5.1", "pytorch==2.5.1"),
        ("torch===2.5.1", "pytorch==2.5.1"),
        ("torch==2.5.1+cu124", "pytorch ==2.5.1 cuda124*"),
        ("torch==2.5.1+cpu", "pytorch ==2.5.1 cpu*"),
        ("torchvision==0.20.1+cu124", "torchvision ==0.20.1 cuda*"),
        ("tensorflow=2.19=gpu_*", "tensorflow=2.19=gpu_*"),
        ("pytorch 2.7.1 cuda126*", "pytorch 2.7.1 cuda126*"),
        ("cupy[version='>=13']", "cupy[version='>=13']"),
        ("pytorch[build='cpu*']", "pytorch[build='cpu*']"),
        ("jax[cuda12]>=0.5", "jax >=0.5"),
        ("jax[cuda12]", "jax"),
        ("xgboost>=3", "py-xgboost >=3"),
        ("Tensorflow_GPU", "tensorflow-gpu"),
        ("torch>=2; python_version >= '3'", "pytorch >=2"),
    ],
)
def test_packages_of_the_catalog_keep_their_bounds_in_condas_words(typed: str, conda: str) -> None:
    """The solver sees the catalog's name and conda's form of what was typed."""
    assert only(typed).conda == conda


def test_a_wheels_name_and_an_extra_choose_among_builds() -> None:
    """`cupy-cuda12x` leaves the builds of that wheel, `jax[cuda12]` those with that extra; other extras go along."""
    assert (only("cupy-cuda12x").name, only("cupy-cuda12x").wheel) == ("cupy", "cupy-cuda12x")
    assert (only("xgboost-cpu").name, only("xgboost-cpu").wheel) == ("py-xgboost", "xgboost-cpu")
    assert only("torch").wheel is None
    jax = only("jax[cuda12,k8s]")
    assert (jax.extra, jax.extras) == ("cuda12", ("k8s",))
    assert only("jax[cuda]").extra == "cuda12"
    assert only("tensorflow[and-cuda]").extra == "and-cuda"


def test_a_metapackage_stays_what_it_is() -> None:
    """`tensorflow-gpu` is a record of its own, which pulls in builds of `tensorflow`."""
    spec = only("tensorflow-gpu>=2.15")
    assert (spec.name, spec.project.name, spec.conda) == ("tensorflow-gpu", "tensorflow", "tensorflow-gpu >=2.15")


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        ("python=3.12", "3.12.*"),
        ("python==3.12", "3.12.*"),
        ("python 3.12", "3.12.*"),
        ("python>=3.10", ">=3.10"),
        ("python >=3.10,<3.13", ">=3.10,<3.13"),
        ("python", "*"),
    ],
)
def test_python_is_the_interpreter_and_no_package(typed: str, spec: str) -> None:
    """`python=3.12` chooses the Python to plan for; 3.12 stands for any patch of it."""
    wanted = read_specs((typed, "pytorch"))
    assert (wanted.python, wanted.plain, len(wanted.gpu)) == (spec, (), 1)


def test_nothing_asked_for_is_a_mistake() -> None:
    """A request without any package is refused."""
    for specs in ((), ("python=3.12",)):
        with pytest.raises(RequestError, match="nothing was asked for"):
            read_specs(specs)


def test_a_name_that_no_wheel_has_is_refused_with_what_would_provide_it() -> None:
    """caffe-gpu is known, cannot be had, and exit code 1 says that this is an answer."""
    with pytest.raises(NoPlanError, match="caffe-gpu") as refusal:
        read_specs(("caffe-gpu",))
    assert refusal.value.exit_code == 1
    assert "Linux" in " ".join(refusal.value.reasons)


def test_a_bound_on_a_library_that_nobody_lists_is_kept_for_the_layer() -> None:
    """`numpy<2` is a plain requirement, and a bound that GPU packages must live with."""
    wanted = read_specs(("cupy", "numpy<2"))
    assert (wanted.plain, wanted.bounds) == (("numpy<2",), ("numpy <2",))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("torch>=2", "pytorch"),
        ("tensorflow-gpu=2.15", "tensorflow-gpu"),
        ("cupy-cuda12x", "cupy"),
        ("jax[cuda12]", "jax"),
        ("Scikit_Learn>=1", "scikit-learn"),
        ("python=3.12", "python"),
    ],
)
def test_spec_name_is_what_an_environment_remembers_a_package_by(typed: str, name: str) -> None:
    """Two spellings of one package are one package."""
    assert spec_name(typed) == name


ANY_NAME = st.sampled_from(
    (*project_names(), "torch", "tensorflow-gpu", "cupy-cuda12x", "cpuonly", "caffe-gpu", "python", "scipy", "a", "_")
)
SIGNS = st.text(alphabet="=<>!~*[]()'\",;@ .0123456789abcuvxpy-_+:#|/\\\n\té€", max_size=16)
BOUNDS = st.builds(
    lambda sign, version, rest: sign + version + rest,
    st.sampled_from(["=", "==", ">=", "~=", "!=", " ", "===", "<", "=="]),
    st.sampled_from(
        ["1", "1.2", "2.*", "*", "1.2.3+cu118", "1+cpu", "abc", "1|2", "1.0a1", "1!2", "v1", "1.", "..", ""]
    ),
    SIGNS,
)


@given(st.one_of(st.text(max_size=30), st.builds(lambda name, rest: name + rest, ANY_NAME, st.one_of(SIGNS, BOUNDS))))
@example("pytorch[")
@example("pytorch==1|==2")
@example("torch==\n")
@example("jax[cuda12]]")
@example("\x00")
def test_any_text_is_a_request_or_a_refusal(typed: str) -> None:
    """Whatever is typed gives a request or an error with a message of ours, never another exception."""
    try:
        wanted = read_specs((typed,))
    except (RequestError, NoPlanError) as refusal:
        assert refusal.message  # noqa: PT017  (either outcome is fine; this one must have words)
        return
    assert isinstance(wanted, Wanted)
    assert wanted.gpu or wanted.plain
    for text in wanted.plain:
        Requirement(text)
    for spec in wanted.gpu:
        assert find_project(spec.name) is spec.project


def test_markers_are_decided_for_the_machine_that_is_planned_for() -> None:
    """A marker for Windows holds for a plan for Windows, wherever the plan is made."""
    typed = "torch>=2; sys_platform == 'win32'"
    assert read_specs((typed,), "windows-x86_64").gpu[0].name == "pytorch"
    with pytest.raises(RequestError, match="not a package spec"):
        read_specs((typed,), "linux-x86_64")
