"""Members of zip archives: what is listed, what streams out, and what hostile archives end in."""

from __future__ import annotations

import io
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_wheels import archive, entry_offsets, patch_entry
from gpuenv.artifacts import inflating
from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.zip_members import Member, list_members, runs_of, stream_member, stream_members
from gpuenv.errors import FormatError

NOISE = random.Random(3).randbytes(700_000)
MEMBERS = {
    "a/one.so": NOISE[:300_000],
    "a/two.txt": b"text " * 100_000,
    "three.bin": b"",
    "b/f\u00fcnf.so": NOISE[300_000:],
}


class Kept:
    """A source in memory that notes what is asked of it."""

    def __init__(self, content: bytes, *, name: str = "kept.zip") -> None:
        self.name = self.location = name
        self.content = content
        self.size_bytes = len(content)
        self.fetched_bytes = 0
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> bytes:
        """The bytes."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes in odd pieces."""
        if not 0 <= start <= stop <= self.size_bytes:
            raise FormatError("past the end")
        self.asked.append((start, stop))
        for at in range(start, stop, 77_777):
            piece = self.content[at : min(stop, at + 77_777)]
            self.fetched_bytes += len(piece)
            yield piece


def contents(source: Kept) -> dict[str, bytes]:
    """All members, one by one."""
    return {one.path: b"".join(stream_member(source, one)) for one in list_members(source).members}


def only(content: bytes) -> tuple[Kept, Member]:
    """The first member of an archive."""
    source = Kept(content)
    return source, list_members(source).members[0]


# ---- what is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("options", [{}, {"zip64": True}, {"streamed": True}, {"comment": b"made in a test"}])
def test_members_are_what_zipfile_wrote(method: int, options: dict[str, bool]) -> None:
    """Each compression, with zip64 fields, with data descriptors and with a comment."""
    source = Kept(archive(MEMBERS, method=method, **options))  # type: ignore[arg-type]  # mixed options of one call
    assert contents(source) == MEMBERS


def test_an_archive_behind_something_else_is_read() -> None:
    """As a program that unpacks itself has it."""
    assert contents(Kept(b"#!/bin/sh\nexit\n" * 99 + archive(MEMBERS))) == MEMBERS


def test_the_directory_says_what_is_a_program() -> None:
    """By the mode that Unix gave it; folders are listed as such."""
    source = Kept(archive({"bin/": b"", "bin/tool": b"x", "bin/data": b"y"}, executable=("bin/tool",)))
    listed = {one.path: one for one in list_members(source).members}
    assert [path for path, one in listed.items() if one.executable] == ["bin/tool"]
    assert [path for path, one in listed.items() if one.is_directory] == ["bin/"]


def test_a_large_directory_comes_with_few_requests(tmp_path: Path) -> None:
    """Twenty thousand members are listed with one read for the end and one for the directory."""
    content = archive({f"package/module_{index:05}.py": b"" for index in range(20_000)}, method=zipfile.ZIP_STORED)
    source = Kept(content)
    assert len(list_members(source).members) == 20_000
    assert len(source.asked) <= 4
    place = tmp_path / "many.zip"
    place.write_bytes(content)
    assert len(list_members(LocalSource(place)).members) == 20_000


def test_plain_zlib_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `isal` does not exist for a processor."""
    monkeypatch.setattr(inflating, "_decompressor", lambda _: (inflating._PlainInflater(), (zlib.error,)))
    assert contents(Kept(archive(MEMBERS))) == MEMBERS


def test_tricky_paths_stay_visible_and_are_read() -> None:
    """Nothing is written to a disk; what would change a terminal is escaped."""
    paths = ["../../etc/passwd", "/abs/x.so", "C:\\x.dll", "a\x1b[31m.so", "a\u202ecod.so", "line\nbreak.so"]
    found = list(contents(Kept(archive(dict.fromkeys(paths, b"x")))))
    assert found == ["../../etc/passwd", "/abs/x.so", "C:\\x.dll", "a\\x1b[31m.so", "a\\u202ecod.so", "line\\nbreak.so"]


# ---- several members with one request -------------------------------------------------------------------------


def test_neighbours_come_with_one_request() -> None:
    """Three thousand small members need one request for each 8 MiB."""
    content = archive({f"k/{index}.cubin": NOISE[index : index + 5000] for index in range(3000)})
    source = Kept(content)
    members = list_members(source).members
    source.asked.clear()
    found = {member.path: b"".join(chunks) for member, chunks in stream_members(source, members)}
    assert found == {f"k/{index}.cubin": NOISE[index : index + 5000] for index in range(3000)}
    assert len(source.asked) == 2


def test_what_lies_between_is_fetched_only_where_it_is_little() -> None:
    """A gap of 300 kB parts two requests, one of 20 kB does not."""
    source = Kept(
        archive({"a": NOISE[:9], "gap": NOISE[:20_000], "b": NOISE[:9], "big": NOISE[:300_000], "c": NOISE[:9]})
    )
    wanted = [one for one in list_members(source).members if len(one.path) == 1]
    assert [[one.path for one in run] for run in runs_of(wanted)] == [["a", "b"], ["c"]]
    before = source.fetched_bytes
    assert [(one.path, b"".join(chunks)) for one, chunks in stream_members(source, wanted)] == [
        (path, NOISE[:9]) for path in "abc"
    ]
    assert source.fetched_bytes - before < 30_000


@given(taken=st.lists(st.integers(0, 4), min_size=4, max_size=4))
@settings(max_examples=50, deadline=None)
def test_a_member_need_not_be_taken_to_its_end(taken: list[int]) -> None:
    """Whatever was left of one, the next begins at its beginning; bytes taken late are none."""
    source = Kept(archive(MEMBERS))
    last = None
    for (member, chunks), count in zip(stream_members(source, list_members(source).members), taken, strict=True):
        if last is not None:
            assert list(last) == []
        pieces = [piece for piece, _ in zip(chunks, range(count), strict=False)]
        assert MEMBERS[member.path].startswith(b"".join(pieces))
        last = chunks


def test_much_that_nobody_takes_is_not_fetched() -> None:
    """The rest of a large member is left out with a new request."""
    source = Kept(archive({"large": NOISE * 8, "small": b"x"}, method=zipfile.ZIP_STORED))
    members = list_members(source).members
    before = source.fetched_bytes
    for member, chunks in stream_members(source, members):
        assert next(chunks)
        assert member.path in {"large", "small"}
    assert source.fetched_bytes - before < 200_000


# ---- hostile archives ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 21, 22, 30, 100, 100_000])
def test_a_truncated_archive_is_a_format_error(cut: int) -> None:
    """The directory is at the end."""
    with pytest.raises(FormatError):
        list_members(Kept(archive(MEMBERS)[:-cut]))


def test_what_is_no_archive_is_a_format_error() -> None:
    """Nothing, and noise."""
    for content in (b"", b"PK\x05\x06", NOISE):
        with pytest.raises(FormatError, match="not a zip archive"):
            list_members(Kept(content))


def test_an_encrypted_member_is_named_and_the_others_are_read() -> None:
    """The flag is enough."""
    source = Kept(patch_entry(archive(MEMBERS), 0, flags=1))
    first, *others = list_members(source).members
    with pytest.raises(FormatError, match=r"`a/one.so` in `kept.zip` is encrypted"):
        list(stream_member(source, first))
    assert [b"".join(stream_member(source, one)) for one in others] == list(MEMBERS.values())[1:]


@pytest.mark.parametrize("method", [1, 9, 14, 93, 98, 4711])
def test_an_unknown_compression_is_named(method: int) -> None:
    """With its number."""
    source, member = only(patch_entry(archive(MEMBERS), 0, method=method))
    with pytest.raises(FormatError, match="compressed in a way") as caught:
        list(stream_member(source, member))
    assert str(method) in caught.value.reasons[0]


@pytest.mark.parametrize(
    "fields", [{"crc32": 1}, {"size": 299_999}, {"size": 300_001}, {"size": 0}, {"packed": 200_000}]
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_lying_fields_are_format_errors(fields: dict[str, int], method: int) -> None:
    """Length and checksum are checked at the end, and nothing past the declared length comes out."""
    source, member = only(patch_entry(archive(MEMBERS, method=method), 0, local=True, **fields))
    passed: list[int] = []
    with pytest.raises(FormatError):
        passed.extend(map(len, stream_member(source, member)))
    assert sum(passed) <= member.size_bytes


def test_a_bomb_is_inflated_no_further_than_it_declares() -> None:
    """200 MB of zeros that says it has 1000 bytes costs one chunk."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    content = archive({"bomb.so": packed}, method=zipfile.ZIP_STORED)
    source, member = only(patch_entry(content, 0, method=8, size=1000))
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(FormatError, match="more bytes"):
        list(stream_member(source, member))
    assert time.monotonic() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 3 << 20
    tracemalloc.stop()


def test_members_that_overlap_are_a_format_error() -> None:
    """Two entries for one place multiply a bomb without a large file."""
    content = archive(MEMBERS)
    first = struct.unpack_from("<I", content, entry_offsets(content)[0] + 42)[0]
    with pytest.raises(FormatError, match="overlaps"):
        list_members(Kept(patch_entry(content, 1, start=first)))
    with pytest.raises(FormatError, match="overlaps"):
        list_members(Kept(patch_entry(content, 1, packed=400_000)))


def test_a_header_that_reaches_into_the_next_member_is_a_format_error() -> None:
    """The header before the content has lengths of its own."""
    content = bytearray(archive({"a": b"abc", "b": b"def"}, method=zipfile.ZIP_STORED))
    struct.pack_into("<H", content, 28, 40)
    source, member = only(bytes(content))
    with pytest.raises(FormatError, match="overlaps"):
        list(stream_member(source, member))


def test_another_name_before_the_content_is_a_format_error() -> None:
    """One name for those who list, and another for those who unpack."""
    source, member = only(archive(MEMBERS).replace(b"a/one.so", b"a/two.so", 1))
    with pytest.raises(FormatError, match="another name"):
        list(stream_member(source, member))


def test_a_declared_size_beyond_all_bounds_is_a_format_error() -> None:
    """Eleven members of 4 GB in a file of a kilobyte."""
    content = archive({str(index): b"" for index in range(11)})
    for index in range(11):
        content = patch_entry(content, index, size=0xFFFFFFFE)
    with pytest.raises(FormatError, match="declares more than 32 GB"):
        list_members(Kept(content))


class Endless(Kept):
    """An archive whose directory is said to be huge, in a file of zeros that is never made."""

    def __init__(self, *, directory: int) -> None:
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 9, 9, directory, 0, 0)
        super().__init__(end)
        self.size_bytes = directory + len(end)

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """Zeros before the end record."""
        directory = self.size_bytes - len(self.content)
        self.asked.append((start, stop))
        yield bytes(max(0, min(stop, directory) - start)) + self.content[max(0, start - directory) : stop - directory]


def test_a_huge_directory_is_refused_before_it_is_fetched() -> None:
    """More than 64 MB are not asked for."""
    source = Endless(directory=65 << 20)
    with pytest.raises(FormatError, match="has a directory of"):
        list_members(source)
    assert max(stop - start for start, stop in source.asked) < 1 << 17


def test_too_many_members_are_refused_before_they_are_taken_apart() -> None:
    """A quarter of a million."""
    entry = archive({"": b""})[30:-22]
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFE, 0xFFFE, len(entry) * 250_000, 0, 0)
    with pytest.raises(FormatError, match="more than 200000 members"):
        list_members(Kept(entry * 250_000 + end))


def read_all(content: bytes) -> None:
    """Lists and streams everything; only FormatErrors."""
    with suppress(FormatError):
        source = Kept(content)
        for member, chunks in stream_members(source, list_members(source).members):
            with suppress(FormatError):
                assert sum(map(len, chunks)) == member.size_bytes


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: archive({"a": b"b"})[:-22] + tail))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_a_format_error(content: bytes) -> None:
    """No other exception."""
    read_all(content)


SMALL = archive({"a/x.so": b"abc" * 50, "b": b"", "c": NOISE[:100]})


@given(
    changes=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 3) | st.integers(0, len(SMALL)),
    twice=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_change_of_an_archive_is_read_or_a_format_error(
    changes: list[tuple[int, int]], cut: int, *, twice: bool
) -> None:
    """Bytes changed, cut off, or the archive before itself."""
    content = bytearray(SMALL)
    for at, value in changes:
        content[at] = value
    read_all((SMALL if twice else b"") + bytes(content)[: len(content) - cut])


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0\\", codec="utf-8"), min_size=1), st.binary(max_size=99), max_size=5
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_zipfile_writes_is_read(members: dict[str, bytes]) -> None:
    """Any names and contents come back as `zipfile` itself reads them."""
    content = archive(members)
    with zipfile.ZipFile(io.BytesIO(content)) as known:
        expected = [known.read(entry) for entry in known.infolist()]
    source = Kept(content)
    assert [b"".join(stream_member(source, one)) for one in list_members(source).members] == expected
