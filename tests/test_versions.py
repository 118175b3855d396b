"""Version numbers: what they read, how they order and print, and that garbage is a FormatError and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import FormatError
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion, PtxIsa

KINDS: tuple[Any, ...] = (DriverVersion, CudaVersion, PtxIsa, LibcVersion, ComputeCapability, CodeImage)
NUMBERS: tuple[Any, ...] = KINDS[:-1]
NEARLY = st.from_regex(r"\A[ smcopute_/x]{0,9}[0-9.]{0,12}[af]?(/ptx[0-9.]{0,5})?\s?\Z")


@pytest.mark.parametrize(
    ("kind", "text", "printed"),
    [
        (DriverVersion, "550.54.15", "550.54.15"),
        (DriverVersion, " 450.80.02\n", "450.80.02"),
        (DriverVersion, "580", "580"),
        (DriverVersion, "32.0.15.6094", "32.0.15.6094"),
        (CudaVersion, "12.4", "12.4"),
        (CudaVersion, "9.0", "9.0"),
        (PtxIsa, "8.5", "8.5"),
        (LibcVersion, "2.28", "2.28"),
        (LibcVersion, "2.5.1", "2.5.1"),
        (ComputeCapability, "9.0", "9.0"),
        (ComputeCapability, "sm_90", "9.0"),
        (ComputeCapability, "SM90", "9.0"),
        (ComputeCapability, "compute_120", "12.0"),
        (ComputeCapability, "86", "8.6"),
        (CodeImage, "sm_90a", "sm_90a"),
        (CodeImage, "sm_100f", "sm_100f"),
        (CodeImage, "compute_90", "compute_90"),
        (CodeImage, "compute_120f/ptx8.8", "compute_120f/ptx8.8"),
    ],
)
def test_text_is_read_and_printed_as_its_users_write_it(kind: Any, text: str, printed: str) -> None:
    """What is printed reads back as the same value."""
    value = kind.parse(text)
    assert str(value) == printed
    assert kind.parse(str(value)) == value
    assert hash(kind.parse(str(value))) == hash(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (DriverVersion, ""),
        (DriverVersion, "5"),
        (DriverVersion, "550.54.15.1.2"),
        (DriverVersion, "550.54-beta"),
        (DriverVersion, "550,54"),
        (CudaVersion, "12"),
        (CudaVersion, "12.4.1"),
        (CudaVersion, "v12.4"),
        (CudaVersion, "-1.0"),
        (CudaVersion, "\u0661\u0662.\u0664"),
        (PtxIsa, "8"),
        (LibcVersion, "2"),
        (ComputeCapability, "9"),
        (ComputeCapability, "9.00"),
        (ComputeCapability, "sm_90a"),
        (ComputeCapability, "9.0a"),
        (CodeImage, "sm_9"),
        (CodeImage, "sm_90b"),
        (CodeImage, "sm_90/ptx8.0"),
        (CodeImage, "90"),
        (CodeImage, "SM_90"),
        (CodeImage, "compute_90/ptx8"),
        (CodeImage, " sm_90"),
    ],
)
def test_what_is_no_version_is_named_in_the_error(kind: Any, text: str) -> None:
    """The error quotes the text and says what was expected, with an example."""
    with pytest.raises(FormatError, match="such as") as caught:
        kind.parse(text)
    assert f"`{text}`" in caught.value.message
    assert not caught.value.message.endswith(".")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, 12.4, 12, b"12.4", ["12.4"]])
def test_what_is_no_text_is_no_version(kind: Any, value: object) -> None:
    """A number from JSON or TOML is refused, since 12.10 would become 12.1."""
    with pytest.raises(FormatError):
        kind.parse(value)


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=20) | NEARLY)
def test_any_text_gives_a_version_or_a_format_error(kind: Any, text: str) -> None:
    """Nothing else escapes, and a version that was read prints as something that reads back as the same."""
    try:
        value = kind.parse(text)
    except FormatError:
        return
    again = kind.parse(str(value))
    assert (again, hash(again), str(again)) == (value, hash(value), str(value))


@pytest.mark.parametrize(
    ("kind", "ascending"),
    [
        (DriverVersion, "390.46 418.39 450.80.02 525.60.13 525.105.17 580 580.65.06"),
        (CudaVersion, "9.2 10.0 10.2 11.0 11.8 12.0 12.9 12.10 13.0"),
        (PtxIsa, "7.8 8.0 8.9 8.10 9.0"),
        (LibcVersion, "2.5 2.17 2.28 2.28.1 2.39"),
        (ComputeCapability, "3.5 5.0 7.0 7.5 8.9 9.0 10.0 12.1"),
        (CodeImage, "sm_75 sm_90 sm_90a sm_100 sm_100a sm_100f compute_75 compute_90/ptx8.0 compute_90/ptx8.10"),
    ],
)
def test_versions_order_by_their_numbers(kind: Any, ascending: str) -> None:
    """Not by their spelling: 12.10 comes after 12.9, and 10.0 after 9.2."""
    values = [kind.parse(text) for text in ascending.split()]
    backwards = values[::-1]
    assert sorted(backwards) == values
    assert max(values) is values[-1]


@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
def test_order_is_that_of_the_numbers(kind: Any, data: st.DataObject) -> None:
    """Exactly one of less, equal and greater holds, and it is what tuples of numbers say."""
    one, other = (_number(kind, data) for _ in range(2))
    assert (one < other) == (one.numbers < other.numbers)
    assert (one == other) == (one.numbers == other.numbers)
    assert (one <= other) == (one < other or one == other)
    assert [one < other, one == other, one > other].count(True) == 1


def _number(kind: Any, data: st.DataObject) -> Any:
    small = st.integers(0, 9)
    parts = {DriverVersion: st.tuples(st.integers(10, 999), small, small), ComputeCapability: st.tuples(small, small)}
    return kind(".".join(map(str, data.draw(parts.get(kind, st.tuples(st.integers(0, 99), st.integers(0, 99)))))))


def test_spelling_is_kept_and_does_not_count() -> None:
    """450.80.02 is printed as NVIDIA writes it and equals 450.80.2."""
    written, short = DriverVersion("450.80.02"), DriverVersion("450.80.2")
    assert written == short
    assert hash(written) == hash(short)
    assert (str(written), str(short)) == ("450.80.02", "450.80.2")


def test_two_kinds_are_never_mixed_up() -> None:
    """CUDA 12.4 is no compute capability 12.4, and they do not compare."""
    cuda, isa = CudaVersion("8.4"), PtxIsa("8.4")
    assert cuda != isa
    assert len({cuda, isa}) == 2
    for left, right in ((cuda, isa), (cuda, "8.4"), (CodeImage.parse("sm_90"), ComputeCapability("9.0"))):
        with pytest.raises(TypeError):
            _ = left < right


def test_parts_of_a_version() -> None:
    """Major, minor (0 where it was not written), a driver's branch, a capability as machine code names it."""
    assert (DriverVersion("550.54.15").branch, DriverVersion("580").minor) == (550, 0)
    assert (CudaVersion("12.4").major, CudaVersion("12.4").minor) == (12, 4)
    assert (ComputeCapability("12.0").sm, ComputeCapability("8.6").sm) == ("120", "86")
    assert repr(CudaVersion("12.4")) == "CudaVersion('12.4')"


def test_parts_of_an_image() -> None:
    """What the name says: kind, capability, suffix, PTX ISA; its repr makes it again."""
    image = CodeImage.parse("compute_120f/ptx8.8")
    assert (image.is_ptx, image.suffix, image.target) == (True, "f", "compute_120f")
    assert (image.capability, image.ptx_isa) == (ComputeCapability("12.0"), PtxIsa("8.8"))
    assert eval(repr(image), {"CodeImage": CodeImage}) == image


@pytest.mark.parametrize(("integer", "cuda"), [(12040, "12.4"), (9000, "9.0"), (11080, "11.8"), (13000, "13.0")])
def test_the_driver_encodes_its_cuda_as_a_number(integer: int, cuda: str) -> None:
    """CUDA Driver API, cuDriverGetVersion: 1000 times the major plus 10 times the minor."""
    assert CudaVersion.from_driver_integer(integer) == CudaVersion(cuda)


@pytest.mark.parametrize("integer", [-1, 0, 999, 100000, 2**40])
def test_what_the_driver_cannot_have_meant(integer: int) -> None:
    """Zero is what cuDriverGetVersion gives where there is no driver."""
    with pytest.raises(FormatError, match="as the driver encodes it"):
        CudaVersion.from_driver_integer(integer)


@given(integer=st.integers())
def test_any_integer_gives_a_cuda_version_or_a_format_error(integer: int) -> None:
    """Whatever a broken driver answers."""
    try:
        version = CudaVersion.from_driver_integer(integer)
    except FormatError:
        return
    assert version.major == integer // 1000
