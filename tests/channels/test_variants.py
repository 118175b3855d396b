"""Wheel variants: file names, `variants.json`, which of them a machine can use and in which order."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.channels.variant_order import rank_variants
from gpuenv.channels.variants import LARGEST_VARIANTS_BYTES, VariantName, Variants, read_variants, variant_name
from gpuenv.errors import FormatError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Machine, Verdict

SCHEMA = "https://variants.invalid/peps/825/v0.1.0.json"
TAG = "cp311-cp311-manylinux_2_28_x86_64"
RTX_3090 = parse_machine("gpu=RTX 3090,driver=550.54.15")


def document(
    variants: dict[str, Any],
    *,
    namespace: tuple[str, ...] = ("nvidia",),
    schema: object = SCHEMA,
    **priorities: object,
) -> bytes:
    """A `variants.json`."""
    return json.dumps(
        {"$schema": schema, "default-priorities": {"namespace": namespace, **priorities}, "variants": variants}
    ).encode()


def nvidia(lower: str = "", upper: str = "", sm: tuple[str, ...] = ()) -> dict[str, Any]:
    """Properties in NVIDIA's namespace."""
    features = {
        "cuda_version_lower_bound": [lower] if lower else [],
        "cuda_version_upper_bound": [upper] if upper else [],
        "sm_arch": list(sm),
    }
    return {"nvidia": {feature: values for feature, values in features.items() if values}}


def wheel(label: str = "") -> str:
    """The name of a wheel with this label."""
    return f"torch-2.9.0-{TAG}{f'-{label}' if label else ''}.whl"


def ranked(content: bytes, machine: Machine = RTX_3090, *, plain: bool = False) -> list[tuple[str, Verdict]]:
    """The labels of all variants in the list, in the order of preference, each with its verdict."""
    variants = read_variants(content)
    names = [wheel(label) for label in variants.labels] + ([wheel()] if plain else [])
    orders = {tuple(rank_variants(variants, some, machine)) for some in itertools.permutations(names)}
    assert len(orders) == 1
    return [(fit.label, fit.verdict) for fit in orders.pop()]


def labels(content: bytes, machine: Machine = RTX_3090, *, plain: bool = False) -> list[str]:
    """The labels of those that can be used."""
    return [label for label, verdict in ranked(content, machine, plain=plain) if verdict is Verdict.WORKS]


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "plain", "label"),
    [
        (f"torch-2.9.0-{TAG}-cu126.whl", f"torch-2.9.0-{TAG}.whl", "cu126"),
        (f"torch-2.9.0-{TAG}-null.whl", f"torch-2.9.0-{TAG}.whl", "null"),
        (f"torch-2.9.0-1-{TAG}-x86_64_v3.whl", f"torch-2.9.0-1-{TAG}.whl", "x86_64_v3"),
    ],
)
def test_the_label_stands_after_the_platform(filename: str, plain: str, label: str) -> None:
    """Also after a build tag (PEP 825, variant label)."""
    assert variant_name(filename) == VariantName(plain=plain, label=label)


@pytest.mark.parametrize(
    "filename",
    [
        f"torch-2.9.0-{TAG}.whl",
        f"torch-2.9.0-1-{TAG}.whl",
        f"torch-2.9.0-{TAG}-CU126.whl",
        f"torch-2.9.0-{TAG}-.whl",
        f"torch-2.9.0-x-{TAG}-cu126.whl",
        "torch-2.9.0-variants.json",
        "",
        "-" * 300 + ".whl",
    ],
)
def test_other_names_have_none(filename: str) -> None:
    """Of six parts one is a label or a build tag, which begins with a digit."""
    assert variant_name(filename) is None


# ---- reading -----------------------------------------------------------------------------------------------------


def test_the_example_of_the_specification_is_read() -> None:
    """PEP 825, index-level metadata."""
    content = document(
        {
            "null": {},
            "x8664v3_openblas": {"blas_lapack": {"library": ["openblas"]}, "x86_64": {"level": ["v3"]}},
            "x8664v4_mkl": {"blas_lapack": {"library": ["mkl"]}, "x86_64": {"level": ["v4"]}},
        },
        namespace=("x86_64", "aarch64", "blas_lapack"),
        feature={"blas_lapack": ["library"]},
        property={"blas_lapack": {"library": ["mkl", "openblas"]}},
    )
    assert read_variants(content) == Variants(
        namespaces=("x86_64", "aarch64", "blas_lapack"),
        features={"blas_lapack": ("library",)},
        values={"blas_lapack": {"library": ("mkl", "openblas")}},
        labels={
            "null": {},
            "x8664v3_openblas": {"blas_lapack": {"library": ("openblas",)}, "x86_64": {"level": ("v3",)}},
            "x8664v4_mkl": {"blas_lapack": {"library": ("mkl",)}, "x86_64": {"level": ("v4",)}},
        },
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"{" * 5000,
        b'{"variants": {}}',
        document({}, schema=None),
        document({}, schema="https://variants.invalid/v7.0.0.json"),
        document({}, schema="https://variants.invalid/latest.json"),
        document({}, schema="http://[/v0.1.0.json"),
        document({}, schema="https://variants.invalid/v" + "9" * 5000 + ".1.0.json"),
        document({"Label": {}}),
        document({"null": nvidia("12.6")}),
        document({"a": {"amd": {"gfx": ["x"]}}}),
        document({"a": {"nvidia": {"sm_arch": []}}}),
        document({"a": {"nvidia": {"SM": ["x"]}}}),
        document({"a": {"nvidia": {"sm_arch": ["x y"]}}}),
        document({"a": {"nvidia": {"sm_arch": [7]}}}),
        document({"a": {"nvidia": {"sm_arch": [f"{number}" for number in range(100_001)]}}}),
        b" " * (LARGEST_VARIANTS_BYTES + 1),
    ],
)
def test_what_is_no_list_of_variants_is_refused(content: bytes) -> None:
    """Also of a version of the format that is not known, as the specification asks."""
    with pytest.raises(FormatError, match="wheel variants"):
        read_variants(content)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_give_a_structure_or_a_format_error(content: bytes) -> None:
    """Nothing else."""
    with contextlib.suppress(FormatError):
        read_variants(content)


_WORDS = st.sampled_from(
    ["nvidia", "x86_64", "sm_arch", "cuda_version_lower_bound", "12.6", "86_real", "80_virtual", "a"]
)


@given(
    st.dictionaries(_WORDS, st.dictionaries(_WORDS, st.dictionaries(_WORDS, st.lists(_WORDS, min_size=1)))),
    st.dictionaries(_WORDS, st.lists(_WORDS)),
    st.dictionaries(_WORDS, st.dictionaries(_WORDS, st.lists(_WORDS))),
    st.sampled_from(["gpu=RTX 3090,driver=550.54.15", "gpu=none", "os=linux", "gpu=RTX 3090"]),
)
def test_every_list_can_be_ranked_for_every_machine(
    variants: dict[str, Any], features: dict[str, Any], values: dict[str, Any], machine: str
) -> None:
    """Each wheel is in the answer once, and those that work come first."""
    namespaces = ("nvidia", "x86_64", "sm_arch", "cuda_version_lower_bound", "12.6", "86_real", "80_virtual", "a")
    content = document(variants, namespace=namespaces, feature=features, property=values)
    try:
        read = read_variants(content)
    except FormatError:
        return
    names = [wheel(label) for label in read.labels]
    fits = rank_variants(read, names, parse_machine(machine))
    assert sorted(fit.filename for fit in fits) == sorted(names)
    badness = [fit.verdict.badness for fit in fits]
    assert badness == sorted(badness)
    assert all(fit.reasons for fit in fits if fit.verdict is not Verdict.WORKS)


# ---- which a machine can use -------------------------------------------------------------------------------------


def test_a_driver_serves_its_cuda_and_older() -> None:
    """550.54.15 serves 12.4: not a lower bound of 12.6, and no upper bound of 12."""
    content = document(
        {
            "new": nvidia("12.6"),
            "same": nvidia("12.4", "13"),
            "old": nvidia("11.8"),
            "major": nvidia("12"),
            "upper": nvidia("11.8", "12"),
        }
    )
    found = dict(ranked(content))
    assert found == {
        "same": Verdict.WORKS,
        "major": Verdict.WORKS,
        "old": Verdict.WORKS,
        "upper": Verdict.FAILS,
        "new": Verdict.FAILS,
    }
    fits = rank_variants(read_variants(content), [wheel("new"), wheel("upper")], RTX_3090)
    assert {fit.label: fit.reasons for fit in fits} == {
        "new": ("it needs a driver for CUDA 12.6 or newer; this one serves 12.4",),
        "upper": ("it needs a driver for a CUDA older than 12; this one serves 12.4",),
    }


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (("86_real",), True),
        (("80_real", "90_real"), True),
        (("80_virtual",), True),
        (("89_real",), False),
        (("75_real",), False),
        (("75_virtual",), False),
        (("86_virtual",), False),
        (("86a_real",), False),
        (("all",), False),
    ],
)
def test_code_fits_as_nvidias_provider_says(values: tuple[str, ...], fits: bool) -> None:
    """Machine code of the same generation and not newer; PTX of the generation's first GPU."""
    assert (labels(document({"a": nvidia(sm=values)})) == ["a"]) is fits


def test_a_mixed_machine_needs_code_for_each_gpu() -> None:
    """One value for each of them is enough."""
    both = parse_machine("gpu=RTX 5090,gpu=GTX 1080 Ti,driver=580.65.06")
    content = document({"one": nvidia(sm=("120_real",)), "two": nvidia(sm=("61_real", "120_real"))})
    assert ranked(content, both) == [("two", Verdict.WORKS), ("one", Verdict.FAILS)]


def test_without_an_nvidia_gpu_the_null_variant_is_left() -> None:
    """It asks for nothing."""
    content = document({"null": {}, "cu126": nvidia("12.6")})
    assert labels(content, parse_machine("gpu=none"), plain=True) == ["null", ""]


def test_what_nobody_knows_never_becomes_works() -> None:
    """A driver or GPU that is not known, and namespaces of others."""
    somewhere = parse_machine("os=linux")
    content = document({"a": nvidia("12.6"), "b": nvidia(sm=("80_real",))})
    assert {verdict for _, verdict in ranked(content, somewhere)} == {Verdict.UNKNOWN}
    other = document({"v3": {"x86_64": {"level": ["v3"]}}}, namespace=("x86_64",))
    assert ranked(other) == [("v3", Verdict.UNKNOWN)]
    mixed = document({"a": {**nvidia("13.0"), "x86_64": {"level": ["v3"]}}}, namespace=("x86_64", "nvidia"))
    assert ranked(mixed) == [("a", Verdict.FAILS)]


def test_a_wheel_whose_label_is_not_in_the_list_is_of_no_use() -> None:
    """PEP 825, installing a package from an index; a null variant needs no entry."""
    read = read_variants(document({"cu126": nvidia("12.6")}))
    fits = rank_variants(read, [wheel("other"), wheel("null")], RTX_3090)
    assert [(fit.label, fit.verdict) for fit in fits] == [("null", Verdict.WORKS), ("other", Verdict.FAILS)]


# ---- order -------------------------------------------------------------------------------------------------------


def test_newer_cuda_first_and_plain_wheels_last() -> None:
    """NVIDIA's provider lists newer CUDA first, a major version after its minor ones; PEP 825 puts the null variant
    after all others, and wheels without a label after that.
    """
    content = document(
        {"old": nvidia("11.8"), "null": {}, "major": nvidia("12"), "new": nvidia("12.4"), "first": nvidia("12.0")}
    )
    assert labels(content, plain=True) == ["new", "first", "major", "old", "null", ""]


def test_more_properties_win_and_labels_break_ties() -> None:
    """PEP 825, variant ordering, step 7."""
    content = document(
        {"b": nvidia("12.4"), "a": nvidia("12.4"), "z": nvidia("12.4", sm=("86_real",)), "y": nvidia(sm=("86_real",))}
    )
    assert labels(content) == ["z", "a", "b", "y"]


def test_the_maker_may_order_features_and_values() -> None:
    """`default-priorities` goes before the provider's own order."""
    variants = {
        "cuda": nvidia("12.4"),
        "near": nvidia(sm=("86_real",)),
        "far": nvidia(sm=("80_real",)),
        "ptx": nvidia(sm=("80_virtual",)),
    }
    assert labels(document(variants)) == ["cuda", "near", "far", "ptx"]
    content = document(
        variants, feature={"nvidia": ["sm_arch"]}, property={"nvidia": {"sm_arch": ["80_virtual", "80_real"]}}
    )
    assert labels(content) == ["ptx", "far", "near", "cuda"]


def test_the_best_of_several_values_counts() -> None:
    """Only values that the machine can use are compared (step 4)."""
    content = document({"a": nvidia(sm=("90_real", "80_real")), "b": nvidia(sm=("86_real", "70_real"))})
    assert labels(content) == ["b", "a"]
