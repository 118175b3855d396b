"""Conda packages of both forms are read in one pass, whoever made them and wherever they break off."""

from __future__ import annotations

import bz2
import io
import json
import random
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_conda import (
    CONDA,
    DIST,
    BytesSource,
    both_forms,
    compile_kernel,
    compile_library,
    conda,
    entry,
    files_tar,
    has_compiler,
    index_entry,
    info_tar,
    tar,
)
from binaries.made_files import container, linked_elf
from binaries.made_files import entry as image
from gpuenv.artifacts.conda_packages import read_conda
from gpuenv.artifacts.needs import needs_of
from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.tar_members import Limits, plain_path, walk_tar
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import NativeFile, Reading

LIBRARY = linked_elf({".nv_fatbin": container(image(90), image(80))}, needed=("libcudart.so.12",))
NOISE = random.Random(1).randbytes(400_000)
FILES = {"lib/libdemo.so": LIBRARY, "share/readme.txt": b"hello", "lib/python3.11/site-packages/demo.py": b"x = 1\n"}


def read(content: bytes, name: str = f"{DIST}.conda", **options: Any) -> Reading:
    """What is read in these bytes."""
    return read_conda(BytesSource(content, name, **options), CONDA)


def sass(reading: Reading) -> dict[str, set[str]]:
    """The names of all images of each library."""
    return {
        file.path: {str(one) for group in file.code.groups for one in group.images}
        for file in reading.files
        if file.code
    }


@pytest.mark.parametrize("form", [0, 1, 2], ids=["conda", "bz2", "bz2-info-last"])
def test_both_forms_give_the_same_reading(form: int) -> None:
    """Name, version, build, platform, Pythons, C library, requirements and code are read from either form."""
    told: list[NativeFile] = []
    source = both_forms(FILES)[form]
    reading = read_conda(source, CONDA, on_file=told.append)
    artifact = reading.artifact
    assert (artifact.name, artifact.version, artifact.build) == ("demo", "1.2", "py311_0")
    assert (artifact.platforms, artifact.pythons, str(artifact.glibc)) == (("linux-x86_64",), ("3.11",), "2.28")
    assert (artifact.filename, artifact.size_bytes) == (source.name, len(source.content))
    assert reading.requires[1] == "cuda-version >=12.4,<13"
    assert reading.constrains == ("cupy >=13",)
    assert sass(reading) == {"lib/libdemo.so": {"sm_80", "sm_90"}}
    assert told == list(reading.files)
    assert reading.files[0].needed == ("libcudart.so.12",)
    assert (reading.members, reading.problems, reading.complete) == (3, (), True)


@pytest.mark.skipif(not has_compiler("nvcc"), reason="needs `nvcc`")
def test_the_code_that_was_compiled_is_what_is_read(tmp_path: Path) -> None:
    """A kernel of NVIDIA's compiler and a library of `gcc`, packed in both forms: their images, and nothing else."""
    kernel, plain = compile_kernel(tmp_path, 80, 90), compile_library(tmp_path)
    for source in both_forms({"lib/libkernel.so": kernel, "lib/libplain.so.1": plain}):
        place = tmp_path / source.name
        place.write_bytes(source.content)
        reading = read_conda(LocalSource(place), CONDA)
        images = sass(reading)
        assert set(images) == {"lib/libkernel.so"}
        assert {one.partition("/")[0] for one in images["lib/libkernel.so"]} == {"sm_80", "sm_90", "compute_90"}
        assert reading.files[0].static_runtime
        assert reading.files[1].soname == "libdemo.so.1"
        assert reading.files[1].glibc is not None


def test_a_conda_file_costs_few_requests() -> None:
    """The directory, the metadata and the files: no request for every few kB."""
    source = BytesSource(
        conda(files_tar({"lib/libdemo.so": LIBRARY, "big": bytes(range(256)) * 40000})), f"{DIST}.conda"
    )
    read_conda(source, CONDA)
    assert source.requests <= 8


def test_sources_of_a_package_without_code_are_looked_at() -> None:
    """The GPU packages that a `noarch` package imports are found, with the file that does; code would say more."""
    pytest.importorskip("gpuenv.artifacts.imports")
    sources = {"site-packages/demo/__init__.py": b"import cupy as cp\n"}
    noarch = {"subdir": "noarch", "noarch": "python", "depends": ["python >=3.9"]}
    for source in both_forms(sources, **noarch):
        reading = read_conda(source, CONDA)
        assert reading.imports == {"cupy": "site-packages/demo/__init__.py"}
        assert reading.artifact.platforms == ()
    for source in both_forms({**sources, "lib/libdemo.so": LIBRARY}):
        assert read_conda(source, CONDA).imports == {}


def test_programs_and_scripts_are_told_apart() -> None:
    """A program without an ending is read where it may be run; a linker script named `.so` is no native file."""
    program = linked_elf({".text": bytes(4096)})
    package = tar(
        [
            entry("bin/ptxas", program, mode=0o755),
            entry("bin/notes", program, mode=0o644),
            entry("bin/run", b"#!/bin/sh\n" + b"#" * 5000, mode=0o755),
            entry("lib/libc.so", b"/* GNU ld script */ GROUP ( libc.so.6 )"),
        ]
    )
    reading = read(conda(package))
    assert [file.path for file in reading.files] == ["bin/ptxas"]
    assert reading.members == 4


def test_a_renamed_file_is_read_and_other_names_inside_are_told() -> None:
    """Parts are found by their kind, not by the file's name; a package that says it is another one is reported."""
    content = conda(files_tar(FILES))
    assert read(content, "download.conda").problems == ()
    assert read(content, "download (1)").artifact.version == "1.2"
    assert "says of itself that it is `demo-1.2-py311_0`" in read(content, "other-1-0.conda").problems[0]
    assert "named `x-1-0`" in read(conda(files_tar(FILES), dist="x-1-0")).problems[0]


def index_with(**changes: Any) -> bytes:
    """A package with a changed index."""
    return conda(files_tar({}), info=info_tar(**changes))


@pytest.mark.parametrize(
    "content",
    [
        index_with(name=5),
        index_with(name="demo\x1b[2J"),
        index_with(version=None),
        index_with(version=""),
        index_with(depends="python"),
        index_with(depends=[1]),
        index_with(depends=["x\ny"]),
        index_with(depends=["x" * 5000]),
        index_with(subdir=["linux-64"]),
        conda(files_tar({}), info=tar([entry("info/index.json", b"{")])),
        conda(files_tar({}), info=tar([entry("info/index.json", b'{"name":' + b"[" * 90000)])),
        conda(files_tar({}), info=tar([entry("info/index.json", b" " * (2 << 20))])),
        conda(files_tar({}), info=tar([index_entry(), index_entry()])),
        conda(files_tar({}), info=tar([entry("info/index.json", type=tarfile.SYMTYPE, linkname="/etc/passwd")])),
        conda(files_tar({}), info=tar([entry("../info/index.json", index_entry()[1])])),
        conda(files_tar({}), info=files_tar({"info/about.json": b"{}"})),
        conda(files_tar({}), info=b""),
        conda(files_tar({}), method=zipfile.ZIP_DEFLATED),
        conda(files_tar({}), members={"pkg-demo-1.2-py311_1.tar.zst": b""}),
        conda(files_tar({}), members={"info-other-1-0.tar.zst": b""}),
        b"",
        b"<!DOCTYPE html><html></html>",
        b"PK\x05\x06" + bytes(18),
    ],
)
def test_what_is_no_package_is_a_format_error(content: bytes) -> None:
    """Metadata that are missing, of wrong types or beyond reason, parts that are twice there or not stored plainly."""
    with pytest.raises(FormatError, match="is no readable conda package"):
        read(content)


def test_encrypted_and_unlisted_parts_are_format_errors() -> None:
    """A flag for encryption in the directory, and a part that is not there."""
    content = bytearray(conda(files_tar(FILES)))
    directory = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    content[directory + 8] |= 1
    reading = read(bytes(content))
    assert not reading.complete
    assert "encrypted" in reading.problems[0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"info-{DIST}.tar.zst", zstd.compress(info_tar()))
    with pytest.raises(FormatError) as caught:
        read(buffer.getvalue())
    assert "no part `pkg-" in caught.value.reasons[0]


def test_paths_links_and_devices_are_not_followed() -> None:
    """What leads out of the package is named and not read; links, devices and files with holes are no files."""
    package = tar(
        [
            entry("../../lib/evil.so", LIBRARY),
            entry("/lib/evil.so", LIBRARY),
            entry("lib\\..\\..\\evil.dll", LIBRARY),
            entry("lib/link.so", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            entry("lib/hard.so", type=tarfile.LNKTYPE, linkname="lib/libdemo.so"),
            entry("lib/device.so", type=tarfile.CHRTYPE),
            entry("lib/pipe.so", type=tarfile.FIFOTYPE),
            entry("lib", type=tarfile.DIRTYPE),
            entry("./lib/libdemo.so", LIBRARY),
            entry("lib/x\x1b[31m\udcff.so", LIBRARY),
        ]
    )
    reading = read(conda(package))
    assert [file.path for file in reading.files] == ["lib/libdemo.so", "lib/x\\x1b[31m\\xff.so"]
    assert reading.problems == ("`../../lib/evil.so` leads out of the package and was not read",)
    assert reading.members == 9


def test_a_file_with_holes_is_named() -> None:
    """GNU tar's sparse members, in the old form and in that of pax, are not read, and said so."""
    old = entry("lib/holes.so", type=tarfile.GNUTYPE_SPARSE)
    holes = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "lib/new.so",
        "GNU.sparse.realsize": "9",
    }
    new = entry("lib/GNUSparse/new.so", b"1\n0\n9\n".ljust(512, b"\0") + b"123456789", pax_headers=holes)
    reading = read(conda(tar([old, new, entry("lib/libdemo.so", LIBRARY)])))
    problem = "it is stored with holes and was not read"
    assert [(file.path, file.problem) for file in reading.files] == [
        ("lib/holes.so", problem),
        ("lib/libdemo.so", None),
        ("lib/new.so", problem),
    ]


def test_a_package_of_nothing_but_a_file_with_holes_is_unknown() -> None:
    """What was not read could hold GPU code."""
    old = entry("lib/holes.so", type=tarfile.GNUTYPE_SPARSE)
    assert needs_of(read(conda(tar([old])))).libraries is None


def test_of_two_members_with_one_path_the_later_counts() -> None:
    """As on disk after unpacking."""
    other = linked_elf({".nv_fatbin": container(image(120))})
    package = tar([entry("lib/libdemo.so", LIBRARY), entry("./lib//libdemo.so", other)])
    assert sass(read(conda(package))) == {"lib/libdemo.so": {"sm_120"}}


def test_a_broken_library_does_not_end_the_reading() -> None:
    """It comes with its problem, and what follows is read."""
    broken = LIBRARY[:200]
    reading = read(conda(tar([entry("lib/broken.so", broken), entry("lib/libdemo.so", LIBRARY)])))
    assert reading.files[0].problem
    assert sass(reading) == {"lib/libdemo.so": {"sm_80", "sm_90"}}
    assert reading.complete


@pytest.mark.parametrize("ending", ["conda", "tar.bz2"])
def test_what_was_read_stays_when_the_server_goes_away(ending: str) -> None:
    """The reading is incomplete, holds what came before, and says why."""
    files = [entry("lib/libdemo.so", LIBRARY), entry("lib/noise.bin", NOISE), entry("lib/second.so", LIBRARY)]
    content = conda(tar(files)) if ending == "conda" else bz2.compress(tar([index_entry(), *files]), 1)
    # Of a `.conda` file the end is read first, so that only requests for its beginning fail.
    source = BytesSource(content, f"{DIST}.{ending}", fails_at=len(content) * 3 // 4, opens=ending == "conda")
    reading = read_conda(source, CONDA)
    assert not reading.complete
    assert reading.problems == ("the server went away: connection reset",)
    assert list(sass(reading)) == ["lib/libdemo.so"]
    assert reading.artifact.version == "1.2"


@pytest.mark.parametrize("ending", ["conda", "tar.bz2"])
def test_a_server_that_gives_nothing_is_an_error(ending: str) -> None:
    """Nothing was read, so there is no reading."""
    with pytest.raises(UnavailableError, match="went away"):
        read(both_forms(FILES)[ending != "conda"].content, f"{DIST}.{ending}", fails_at=0)


def test_a_stream_that_breaks_off_before_its_metadata_keeps_its_libraries() -> None:
    """The file's name says which package it is, where the server went away before the metadata came."""
    content = bz2.compress(tar([entry("lib/libdemo.so", LIBRARY), entry("noise", NOISE), index_entry()]), 1)
    reading = read(content, f"{DIST}.tar.bz2", fails_at=len(content) * 3 // 4)
    assert (reading.artifact.version, reading.artifact.build, reading.complete) == ("1.2", "py311_0", False)
    assert list(sass(reading)) == ["lib/libdemo.so"]


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_stream_is_incomplete_or_no_package(part: float) -> None:
    """A `.tar.bz2` cut anywhere, and a `.conda` whose second part is cut."""
    packed = bz2.compress(tar([index_entry(), entry("lib/libdemo.so", LIBRARY), entry("noise", NOISE)]), 1)
    reading = read(packed[: int(len(packed) * part)], f"{DIST}.tar.bz2")
    assert not reading.complete
    assert "breaks off" in reading.problems[0]
    package = zstd.compress(files_tar({"lib/libdemo.so": LIBRARY, "noise": NOISE}))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"info-{DIST}.tar.zst", zstd.compress(info_tar()))
        archive.writestr(f"pkg-{DIST}.tar.zst", package[: int(len(package) * part)])
    reading = read(buffer.getvalue())
    assert not reading.complete
    assert reading.artifact.version == "1.2"


def test_a_changed_byte_is_noticed() -> None:
    """The checksum of the zip archive covers what zstd itself may not notice, to the last byte of the part."""
    package = zstd.compress(files_tar(FILES))
    content = bytearray(conda(files_tar(FILES)))
    place = content.index(package)
    for at in (place + len(package) // 2, place + len(package) - 1):
        changed = bytearray(content)
        changed[at] ^= 0x10
        reading = read(bytes(changed))
        assert not reading.complete
        assert reading.problems


def test_a_window_beyond_reason_is_refused() -> None:
    """Zstd asks for up to 2 GiB; 128 MiB, which its highest level uses, are allowed."""
    for log, is_read in ((27, True), (30, False)):
        options = {
            zstd.CompressionParameter.window_log: log,
            zstd.CompressionParameter.enable_long_distance_matching: 1,
        }
        packer = zstd.ZstdCompressor(options={int(key): value for key, value in options.items()})
        packed = packer.compress(files_tar(FILES)) + packer.flush()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"info-{DIST}.tar.zst", zstd.compress(info_tar()))
            archive.writestr(f"pkg-{DIST}.tar.zst", packed)
        reading = read(buffer.getvalue())
        assert reading.complete is is_read, reading.problems
        assert is_read or "zstd stream is broken" in reading.problems[0]


def pax_header(content: bytes, kind: bytes = b"x") -> bytes:
    """An extended header with this content, whatever it is."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


LYING = entry("lib/lying.so", LIBRARY)[0].tobuf(tarfile.USTAR_FORMAT)
MEMBER = entry("lib/x.so", LIBRARY)


@pytest.mark.parametrize(
    "content",
    [
        pax_header(b"5 a=\n"[:4] + b"a" * 300_000) + tar([MEMBER]),
        pax_header(b"%d path=" % 400_013 + b"a" * 400_000 + b"\n") + tar([MEMBER]),
        pax_header(b"1" * 100_000) + tar([MEMBER]),
        pax_header(b"99999999999999999999 a=b\n") + tar([MEMBER]),
        pax_header(b"0 a=b\n") + tar([MEMBER]),
        pax_header(b"2 " * 1000 + b"=") + tar([MEMBER]),
        pax_header(b"17 size=-1000000\n") + tar([MEMBER]),
        b"".join(pax_header(b"20 comment=aaaaaaaa\n") for _ in range(2000)) + tar([MEMBER]),
        b"".join(pax_header(b"%d %05d=" % (1014, at) + b"a" * 1002 + b"\n", b"g") for at in range(200)) + tar([MEMBER]),
        pax_header(b"a" * 400_000, b"L") + tar([MEMBER]),
        LYING[:124] + b"77777777777\0" + LYING[136:],
        LYING[:124] + b"\xff" * 12 + LYING[136:148] + b"        " + LYING[156:],
        LYING[:148] + b"000000\0 " + LYING[156:] + LIBRARY,
        b"\xff" * 512,
        LIBRARY.ljust(2048, b"x"),
    ],
)
def test_hostile_headers_end_the_reading(content: bytes) -> None:
    """Extended headers of any size, number and nonsense; sizes that lie, are negative, or go beyond the end."""
    tracemalloc.start()
    try:
        for package in (content, tar([MEMBER])[:-1024] + content):
            reading = read(conda(package))
            assert not reading.complete, reading
            assert reading.problems
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_limits_hold() -> None:
    """Members, unpacked bytes and numbers in headers are counted; each limit names itself."""
    content = tar([entry(f"f{number}", b"x" * 1000) for number in range(20)])
    for limits, message in (
        (Limits(members=10), "more than 10 members"),
        (Limits(unpacked_bytes=9000), "unpacks to more than 9000 bytes"),
        (Limits(header_bytes=100), "header of more than 100 bytes"),
    ):
        with pytest.raises(FormatError, match=message):
            list(walk_tar([content], limits=limits))
    single = tar([MEMBER])[:-1024]
    digits = (pax_header(b"2000 a=" + b"1" * 1992 + b"\n") + single) * 5
    many = (pax_header(b"6 a=b\n" * 100) + single) * 5
    for_all = pax_header(b"6 a=b\n" * 100, b"g") + single * 5
    for stream, limits in (
        (digits, Limits(digit_steps=10_000_000)),
        (many, Limits(records=450)),
        (for_all, Limits(records=450)),
        (for_all, Limits(global_bytes=500)),
    ):
        assert len(list(walk_tar([stream + bytes(1024)]))) == 5
        with pytest.raises(FormatError, match="beyond reason"):
            list(walk_tar([stream + bytes(1024)], limits=limits))


def test_a_bomb_is_read_in_bounded_memory() -> None:
    """300 MB of zeros in some kB: read in one pass, with less than 24 MB in hand; members are forgotten."""
    packer = zstd.ZstdCompressor()
    big = entry("lib/zeros.so")[0]
    big.size = 300 << 20
    packed = packer.compress(big.tobuf(tarfile.USTAR_FORMAT))
    for _ in range(300):
        packed += packer.compress(bytes(1 << 20))
    packed += packer.compress(files_tar({f"f{number}": b"" for number in range(10_000)})) + packer.flush()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"info-{DIST}.tar.zst", zstd.compress(info_tar()))
        archive.writestr(f"pkg-{DIST}.tar.zst", packed)
    content = buffer.getvalue()
    assert len(content) < 200_000
    tracemalloc.start()
    try:
        reading = read(content)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    assert (reading.members, reading.complete) == (10_001, True)


def test_nested_archives_are_passed_over() -> None:
    """A package in a package is a file like any other."""
    inner = conda(files_tar(FILES))
    reading = read(conda(files_tar({"pkgs/inner.conda": inner, "x.whl": inner, "lib/libdemo.so": LIBRARY})))
    assert len(reading.files) == 1


@pytest.mark.parametrize(
    ("name", "path", "is_outside"),
    [
        ("a/b.so", "a/b.so", False),
        ("./a//b.so", "a/b.so", False),
        ("a/../b", "a/../b", True),
        ("/a", "a", True),
        ("C:\\a.dll", "C:\\a.dll", True),
        ("a\nb", "a\\nb", False),
        ("", ".", False),
    ],
)
def test_paths_are_plain_and_printable(name: str, path: str, is_outside: bool) -> None:
    """Whatever an archive writes."""
    assert plain_path(name) == (path, is_outside)


GOOD = [source.content for source in both_forms(FILES)]
PLAIN = tar([entry("a.so", LIBRARY), entry("p" * 200, b"1"), entry("l", type=tarfile.SYMTYPE, linkname="x" * 300)])


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_mutations_give_a_reading_or_a_format_error(data: st.DataObject) -> None:
    """Changed, cut and doubled bytes anywhere in either form."""
    form = data.draw(st.integers(0, 1))
    content = bytearray(GOOD[form])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)):
        content[at] = value
    cut = data.draw(st.integers(0, len(content)))
    with suppress(FormatError):
        read(bytes(content[:cut] if data.draw(st.booleans()) else content), f"{DIST}.{('conda', 'tar.bz2')[form]}")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_changed_tar_streams_give_members_or_a_format_error(data: st.DataObject) -> None:
    """Bytes of headers are changed and their checksums made right again, so that what they say is believed."""
    content = bytearray(
        data.draw(st.sampled_from([PLAIN, files_tar({"x/y.so": b"abc"}), pax_header(b"9 path=a\n") + PLAIN]))
    )
    for block in range(0, len(content) - 511, 512):
        if content[block + 257 : block + 262] == b"ustar" and data.draw(st.booleans()):
            for at, value in data.draw(st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), max_size=4)):
                content[block + at] = value
            content[block + 148 : block + 156] = b" " * 8
            content[block + 148 : block + 156] = b"%06o\0 " % sum(content[block : block + 512])
    pieces = [bytes(content[at : at + 700]) for at in range(0, len(content), 700)]
    try:
        for member in walk_tar(pieces):
            json.dumps(member.path).encode()
            if data.draw(st.booleans()):
                assert sum(map(len, member.chunks)) == member.size_bytes or member.kind != "file"
    except FormatError:
        pass


@given(st.binary(max_size=2000), st.sampled_from(["x.conda", "x.tar.bz2", "x"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_no_package(content: bytes, name: str) -> None:
    """They are refused, never anything else."""
    with pytest.raises(FormatError):
        read(content, name)
