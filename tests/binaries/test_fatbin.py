"""Fat binaries: what a container and its entries say, and that no bytes can break the walk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binaries.made_files import container, entry
from gpuenv.binaries.fatbin import search, walk
from gpuenv.errors import FormatError

TWO = container(entry(70), entry(75)) + container(entry(90, kind=1, isa=(8, 4)))


def images(content: bytes) -> list[list[str]]:
    """The images of each container, as text."""
    return [[str(image) for image in one.images] for one in walk(content)]


def test_containers_follow_one_another_and_keep_their_images_apart() -> None:
    """Each container is one translation unit with images of its own."""
    assert images(TWO) == [["sm_70", "sm_75"], ["compute_90/ptx8.4"]]


@pytest.mark.parametrize(
    ("architecture", "flags", "text"),
    [(90, 0x100011, "sm_90a"), (100, 0x1200011, "sm_100f"), (120, 0x1000011, "sm_120"), (35, 0x11, "sm_35")],
)
def test_flags_tell_code_for_one_architecture_from_code_for_a_family(architecture: int, flags: int, text: str) -> None:
    """0x100000 is the suffix a, 0x200000 the suffix f; other flags change nothing."""
    assert images(container(entry(architecture, flags=flags))) == [[text]]


def test_ptx_has_a_language_version_and_sass_has_none() -> None:
    """The pair at byte 24 is the PTX ISA of PTX and something else in SASS."""
    both = container(entry(80, isa=(7, 1)), entry(80, kind=1, isa=(7, 1)))
    assert images(both) == [["sm_80", "compute_80/ptx7.1"]]


@pytest.mark.parametrize(("flags", "compression"), [(0x11, None), (0x2011, "lz4"), (0x8011, "zstd")])
def test_compression_is_told_by_flags(flags: int, compression: str | None) -> None:
    """The payload is never touched: flags say how it was compressed."""
    (one,) = walk(container(entry(80, flags=flags)))
    assert one.entries[0].compression == compression


def test_an_unknown_kind_is_kept_and_named_by_its_number() -> None:
    """An entry of a kind that this version does not know is no image, and does not stop the walk."""
    (one,) = walk(container(entry(90, kind=64), entry(90, kind=8), entry(90)))
    assert [found.kind_name for found in one.entries] == ["kind 64", "lto", "elf"]
    assert [str(image) for image in one.images] == ["sm_90"]


def test_an_architecture_that_no_gpu_has_is_no_image() -> None:
    """A number below 10 or above 999 names no compute capability."""
    (one,) = walk(container(entry(5), entry(0xFFFF)))
    assert one.images == ()
    assert len(one.entries) == 2


def test_zeros_between_containers_are_padding() -> None:
    """Linkers align containers, so zeros may stand between, before and after them."""
    assert images(bytes(24) + TWO + bytes(13)) == images(TWO)


def test_a_walk_can_start_and_stop_inside_a_buffer() -> None:
    """Offsets are those of the whole buffer, and a start that is not aligned is as good."""
    found = list(walk(b"abc" + TWO + b"abc", start=3, stop=3 + len(TWO)))
    assert [one.offset for one in found] == [3, 3 + len(container(entry(70), entry(75)))]


@pytest.mark.parametrize(
    "broken",
    [
        b"not GPU code at all",
        TWO + b"\x01",
        TWO[:-1],
        container(entry(90)[:40]),
        container(entry(90)).replace(b"\x40\0\0\0", b"\x04\0\0\0", 1),
        container(entry(90, payload=b"1234"))[:-4] + b"\xff" * 2,
    ],
)
def test_broken_bytes_are_a_format_error(broken: bytes) -> None:
    """What is cut off or claims to be longer than its surroundings is refused, with the place."""
    with pytest.raises(FormatError, match="byte "):
        list(walk(broken))


def test_search_finds_containers_among_other_data() -> None:
    """Kernels that are carried as plain data lie unaligned among anything; a bare magic number is passed over."""
    noise = b"text \x50\xed\x55\xba more \x50\xed\x55\xba\x01\x00\x10\x00" + b"\xff" * 8
    found = list(search(noise + TWO + noise + container(entry(60))))
    assert [[str(image) for image in one.images] for one in found] == [*images(TWO), ["sm_60"]]


@given(st.binary(max_size=400))
def test_any_bytes_give_containers_or_a_format_error(content: bytes) -> None:
    """Nothing else can come out, whatever the file holds."""
    try:
        found = list(walk(content))
    except FormatError:
        return
    assert all(one.offset + one.size_bytes <= len(content) for one in found)


@given(st.data())
def test_changed_bytes_give_containers_or_a_format_error(data: st.DataObject) -> None:
    """The same for bytes that are nearly right, which go deeper."""
    content = bytearray(TWO)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = list(walk(content))
    except FormatError:
        found = []
    for one in [*found, *search(content)]:
        assert one.code_bytes <= one.size_bytes <= len(content)
        assert all(image.target for image in one.images)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from([50, 75, 90, 100, 121]), st.binary(max_size=64)), max_size=5), max_size=5
    )
)
def test_what_was_written_is_read_again(units: list[list[tuple[int, bytes]]]) -> None:
    """Architectures and payload sizes come back as they were put in, container by container."""
    content = b""
    for unit in units:
        content += container(*(entry(architecture, payload=payload) for architecture, payload in unit))
        content += bytes(-len(content) % 8)
    found = [[(one.architecture, one.size_bytes) for one in read.entries] for read in walk(content)]
    assert found == [[(architecture, len(payload)) for architecture, payload in unit] for unit in units]
