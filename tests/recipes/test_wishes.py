"""What a variant asks for, in the words of conda-forge, CMake and PyTorch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import RequestError
from gpuenv.recipes.wishes import parse_architectures, read_wish

numbers = st.sampled_from([50, 75, 80, 86, 90, 100, 120])
suffixes = st.sampled_from(["", "a", "f"])


@given(st.lists(st.tuples(numbers, suffixes, st.sampled_from(["-real", "-virtual", ""])), max_size=6))
def test_cmake_words_name_machine_code_and_ptx(words: list[tuple[int, str, str]]) -> None:
    """`90-real` is machine code, `90-virtual` PTX, `90` both (CMake, CUDA_ARCHITECTURES)."""
    found = parse_architectures(";".join(f"{number}{suffix}{kind}" for number, suffix, kind in words))
    assert found is not None
    wanted = {f"sm_{number}{suffix}" for number, suffix, kind in words if kind != "-virtual"}
    wanted |= {f"compute_{number}{suffix}" for number, suffix, kind in words if kind != "-real"}
    assert {image.target for image in found} == wanted


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("8.0 9.0+PTX", ["sm_80", "sm_90", "compute_90"]),
        ("8.0;9.0a", ["sm_80", "sm_90a"]),
        ("sm_80, compute_80-virtual", ["sm_80", "compute_80"]),
        ("", []),
    ],
)
def test_pytorch_words_name_ptx_apart(text: str, targets: list[str]) -> None:
    """`9.0` is machine code, `9.0+PTX` both; commas, semicolons and blanks part them."""
    if "sm_80" in text:
        text = text.replace("sm_80", "sm_80-real")
    found = parse_architectures(text)
    assert found is not None
    assert sorted(image.target for image in found) == sorted(targets)


@pytest.mark.parametrize("text", ["native", "all", "all-major", "80-real;native"])
def test_words_for_whatever_is_there_promise_nothing(text: str) -> None:
    """What depends on the compiler or the machine cannot be held against a build."""
    assert parse_architectures(text) is None


@pytest.mark.parametrize("text", ["ampere", "90-what", "9", "9.x", "sm_90z", "90+PTX"])
def test_other_words_are_refused(text: str) -> None:
    """Anything else is an error that says how architectures are written."""
    with pytest.raises(RequestError) as caught:
        parse_architectures(text)
    assert "is not an architecture" in caught.value.message
    assert "80-real" in caught.value.hints[0]


@given(st.text(max_size=30))
def test_no_text_gives_another_error(text: str) -> None:
    """Whatever a file holds, it is read or refused with an error of ours."""
    for key in ("cuda_compiler_version", "cuda_archs"):
        try:
            read_wish({key: text})
        except RequestError:
            continue


@pytest.mark.parametrize("text", ["None", "none", "", "cpu"])
def test_none_is_the_cpu_variant(text: str) -> None:
    """conda-forge's `None` is the build without CUDA."""
    assert read_wish({"cuda_compiler_version": text}).is_gpu is False


@pytest.mark.parametrize("text", ["12.9", "12.9.1", "12.9.*", " 12.9 "])
def test_a_cuda_version_is_major_and_minor(text: str) -> None:
    """Patch releases and a glob make no difference."""
    wish = read_wish({"cuda_compiler_version": text, "cuda_archs": "80"})
    assert (wish.is_gpu, str(wish.cuda)) == (True, "12.9")


def test_contradictory_variants_are_refused() -> None:
    """A CPU variant with architectures and a CUDA version without its minor are errors of the variants file."""
    with pytest.raises(RequestError):
        read_wish({"cuda_compiler_version": "None", "cuda_archs": "80"})
    with pytest.raises(RequestError) as caught:
        read_wish({"cuda_compiler_version": "12"})
    assert "12.9" in caught.value.hints[0]


def test_a_variant_that_says_nothing_asks_for_nothing() -> None:
    """Without any of the keys the binaries alone tell what a build is for."""
    wish = read_wish({"target_platform": "linux-64"})
    assert (wish.is_gpu, wish.cuda, wish.images) == (None, None, ())
