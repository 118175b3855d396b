"""An sdist tells what it requires, imports and would compile; it holds no built code unless it ships some."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_conda import BytesSource, entry, files_tar, tar
from binaries.made_files import container, linked_elf
from binaries.made_files import entry as image
from gpuenv.artifacts.sdists import read_sdist
from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.unpacking import Compression, unpack
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind, Reading

SDIST = Artifact(kind=ArtifactKind.SDIST, name="demo")
PKG_INFO = """\
Metadata-Version: 2.1
Name: demo
Version: 1.2
Requires-Python: >=3.11,<3.13
Requires-Dist: cupy-cuda12x>=13; extra == "gpu"
Requires-Dist: numpy
"""
FILES = {
    "demo-1.2/PKG-INFO": PKG_INFO.encode(),
    "demo-1.2/src/demo/__init__.py": b"import cupy\n",
    "demo-1.2/src/demo/kernels.cu": b"__global__ void f() {}\n",
    "demo-1.2/src/demo/kernels.CUH": b"\n",
    "demo-1.2/src/demo/other.cuda.txt": b"\n",
    "demo-1.2/nested/inner/PKG-INFO": b"Name: other\nRequires-Dist: wrong\n",
}


def packed(files: dict[str, bytes], ending: str) -> BytesSource:
    """The files as an sdist of this form."""
    if ending == ".zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return BytesSource(buffer.getvalue(), "demo-1.2.zip")
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".tar": bytes,
        ".tar.gz": gzip.compress,
        ".tgz": gzip.compress,
        ".tar.bz2": bz2.compress,
        ".tar.xz": lzma.compress,
        ".tar.zst": zstd.compress,
    }
    return BytesSource(packers[ending](files_tar(files)), f"demo-1.2{ending}")


def read(files: dict[str, bytes]) -> Reading:
    """What is read of an sdist of these files."""
    return read_sdist(packed(files, ".tar.gz"), SDIST)


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar"])
def test_every_form_gives_the_same_reading(ending: str) -> None:
    """Metadata of the top directory, imports, and the number of CUDA sources."""
    reading = read_sdist(packed(FILES, ending), SDIST)
    assert reading.artifact.version == "1.2"
    assert reading.artifact.pythons == ("3.11", "3.12")
    assert reading.requires == ('cupy-cuda12x>=13; extra == "gpu"', "numpy")
    assert reading.imports == {"cupy": "demo-1.2/src/demo/__init__.py"}
    assert (reading.cuda_sources, reading.files, reading.members) == (2, (), 6)
    assert (reading.problems, reading.complete) == ((), True)


def test_requirements_of_old_sdists_are_in_requires_txt() -> None:
    """Where PKG-INFO lists none; headings and lines both have markers."""
    lines = 'numpy\nsix; python_version < "3"\n\n[gpu]\ncupy\nnvtx ; os_name == "nt" or extra == "x"\n'
    lines += '\n[:sys_platform == "linux"]\nuvloop\n'
    reading = read(
        {
            "demo-1.2/PKG-INFO": b"Metadata-Version: 1.0\nName: demo\nVersion: 1.2\n",
            "demo-1.2/src/demo.egg-info/requires.txt": lines.encode(),
        }
    )
    assert reading.requires == (
        "numpy",
        'six; python_version < "3"',
        'cupy; extra == "gpu"',
        'nvtx; (extra == "gpu") and (os_name == "nt" or extra == "x")',
        'uvloop; sys_platform == "linux"',
    )


def test_native_files_that_it_ships_are_read() -> None:
    """Beside them its sources count as well."""
    library = linked_elf({".nv_fatbin": container(image(90))})
    reading = read({**FILES, "demo-1.2/prebuilt/libdemo.so": library})
    assert [file.path for file in reading.files] == ["demo-1.2/prebuilt/libdemo.so"]
    assert reading.files[0].code is not None
    assert "cupy" in reading.imports


def test_an_archive_without_metadata_says_so() -> None:
    """Such as one that a forge makes of a tag: nothing is known of its requirements."""
    reading = read({"demo-1.2/setup.py": b"import torch\n"})
    assert reading.problems == ("it has no `PKG-INFO`, which says what it requires",)
    assert reading.artifact.name == "demo"


def test_only_so_much_is_fetched() -> None:
    """Beyond 200 MB a server is not asked; a file on the disk is read whatever its size."""
    source = packed(FILES, ".tar.gz")
    source.size_bytes = 201 << 20
    with pytest.raises(UnavailableError, match="too large") as caught:
        read_sdist(source, SDIST)
    assert "201 MB" in caught.value.reasons[0]
    assert not source.requests


def test_a_file_on_the_disk_is_read(tmp_path: Path) -> None:
    """In the same way."""
    place = tmp_path / "demo-1.2.tar.gz"
    place.write_bytes(packed(FILES, ".tar.gz").content)
    assert read_sdist(LocalSource(place), SDIST).cuda_sources == 2


def test_what_was_read_stays_when_the_server_goes_away() -> None:
    """The reading is incomplete and says why; with nothing read there is none."""
    noise = random.Random(1).randbytes(100_000)
    content = gzip.compress(files_tar({**FILES, "demo-1.2/noise": noise, "demo-1.2/last.cu": b""}), 1)
    reading = read_sdist(BytesSource(content, "demo-1.2.tar.gz", fails_at=len(content) // 2), SDIST)
    assert (reading.complete, reading.cuda_sources, reading.artifact.version) == (False, 2, "1.2")
    assert reading.problems == ("the server went away: connection reset",)
    with pytest.raises(UnavailableError, match="went away"):
        read_sdist(BytesSource(content, "demo-1.2.tar.gz", fails_at=0), SDIST)


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "demo-1.2.tar.gz", "it is empty"),
        (b"<!doctype html><p>Not found", "demo-1.2.tar.gz", "it is an HTML page"),
        (b"\x1f\x8b" + b"\xff" * 100, "demo-1.2.tar.gz", "its gzip stream is broken"),
        (gzip.compress(b""), "demo-1.2.tar.gz", "empty file"),
        (gzip.compress(b"hello" * 1000), "demo-1.2.tar.gz", "broken header"),
        (b"PK\x03\x04", "demo-1.2.zip", "zip archive"),
        (b"\xfd7zXZ\x00" + b"\xff" * 100, "demo-1.2.tar.xz", "its xz stream is broken"),
    ],
)
def test_what_is_no_sdist_is_a_format_error(content: bytes, name: str, reason: str) -> None:
    """The reason says what it is."""
    with pytest.raises(FormatError, match="is no readable sdist") as caught:
        read_sdist(BytesSource(content, name), SDIST)
    assert reason in caught.value.reasons[0]


def test_hostile_metadata_is_read_or_left_out() -> None:
    """Nothing that would write to a terminal is passed on; a huge PKG-INFO is not read; no path is followed."""
    evil = b"Name: demo\nVersion: 1\x1b[2J\nRequires-Dist: x\x1b[2J\n"
    evil += b"Requires-Dist: a\n  ; extra == 'b'\nRequires-Python: ]]\n"
    reading = read({"demo-1.2/PKG-INFO": evil})
    assert (reading.artifact.version, reading.requires) == (None, ("a ; extra == 'b'",))
    huge = tar([entry("demo-1.2/PKG-INFO", b" " * (5 << 20)), entry("../PKG-INFO", PKG_INFO.encode())])
    reading = read_sdist(BytesSource(gzip.compress(huge), "demo-1.2.tar.gz"), SDIST)
    assert (reading.artifact.version, reading.requires) == (None, ())
    assert len(reading.problems) == 2


def test_an_xz_stream_that_wants_much_memory_is_refused() -> None:
    """A dictionary of 1 GB is beyond what any package needs; the default of the highest preset is not."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    content = lzma.compress(b"x" * 1000, filters=filters)
    with pytest.raises(FormatError, match="xz stream is broken"):
        list(unpack([content], Compression.XZ))
    assert b"".join(unpack([lzma.compress(b"x" * 1000, preset=9)], Compression.XZ)) == b"x" * 1000


PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.GZIP: gzip.compress,
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
    Compression.ZSTD: zstd.compress,
}


@given(st.lists(st.binary(max_size=3000), max_size=4), st.integers(1, 5000), st.sampled_from(list(Compression)))
@settings(max_examples=100, deadline=None)
def test_streams_in_any_pieces_are_unpacked(contents: list[bytes], size: int, compression: Compression) -> None:
    """Several streams one after the other, in chunks of any size, with padding or rubbish behind."""
    packed_bytes = b"".join(map(PACKERS[compression], contents)) or PACKERS[compression](b"")
    for behind in (b"", bytes(700), b"rubbish"):
        stream = packed_bytes + behind
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert b"".join(unpack(chunks, compression)) == b"".join(contents)
    with pytest.raises(FormatError, match="breaks off"):
        list(unpack([packed_bytes[:-1]], compression))


@pytest.mark.parametrize("compression", list(Compression))
def test_many_empty_streams_take_no_time(compression: Compression) -> None:
    """100,000 streams without content are passed in seconds, not in hours."""
    assert list(unpack([PACKERS[compression](b"") * 100_000], compression)) == []


GOOD = [packed(FILES, ending).content for ending in (".tar.gz", ".zip", ".tar.xz", ".tar")]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_mutations_give_a_reading_or_a_format_error(data: st.DataObject) -> None:
    """Changed and cut bytes anywhere in any form."""
    form = data.draw(st.integers(0, 3))
    content = bytearray(GOOD[form])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)):
        content[at] = value
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    with suppress(FormatError):
        read_sdist(BytesSource(bytes(content[:cut]), "demo-1.2.zip" if form == 1 else "demo-1.2.tar.gz"), SDIST)


@given(st.binary(max_size=500), st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_metadata_give_a_reading(info: bytes, listed: bytes) -> None:
    """Whatever PKG-INFO and requires.txt hold."""
    files = {"demo-1.2/PKG-INFO": b"Requires-Python: " + info, "demo-1.2/demo.egg-info/requires.txt": listed}
    reading = read_sdist(BytesSource(files_tar(files), "demo-1.2.tar"), SDIST)
    assert all(map(str.isprintable, reading.requires))
