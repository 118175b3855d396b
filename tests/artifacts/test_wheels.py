"""Wheels, here and on a server: what is read, how much is fetched for it, and what is left when something fails."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_wheels import archive, patch_entry, wheel
from artifacts.range_server import RangeServer, Reply
from binaries.made_files import container, elf, entry, linked_pe
from gpuenv._net import Client, Patience
from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.wheels import read_core_metadata, read_wheel
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind, NativeFile, Reading
from gpuenv.versions import LibcVersion

QUICK = Patience(connect_seconds=2.0, read_seconds=5.0, backoff_seconds=0.005)
NAME = "demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
CUBINS = container(entry(80), entry(90), entry(90, kind=1, isa=(8, 4)))
NOISE = random.Random(5).randbytes(4 << 20)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A shared library made by the compiler here, linked with the mathematics library."""
    if not shutil.which("gcc"):
        pytest.skip("needs `gcc`")
    place = tmp_path_factory.mktemp("library")
    (place / "x.c").write_text("#include <math.h>\ndouble twice(double x) { return 2 * cos(x); }\n")
    command = ["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-Wl,-soname,libtwice.so.1", "x.c", "-lm", "-o", "x.so"]
    subprocess.run(command, cwd=place, check=True)
    return (place / "x.so").read_bytes()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client that does not wait long, and finds no proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Client(patience=QUICK) as made:
        yield made


def asked(name: str = "demo") -> Artifact:
    """A wheel of which only the name is known."""
    return Artifact(kind=ArtifactKind.WHEEL, name=name)


def read_here(place: Path, content: bytes, *, name: str = NAME) -> Reading:
    """What is read in a wheel on disk."""
    path = place / name
    path.write_bytes(content)
    return read_wheel(LocalSource(path), asked())


def gpu_library(*, padding: int = 0) -> bytes:
    """A library with code for 8.0 and 9.0."""
    return elf({".rodata": NOISE[:padding], ".nv_fatbin": CUBINS})


# ---- what is read --------------------------------------------------------------------------------------------


def test_a_wheel_is_described_by_its_metadata_and_tags(tmp_path: Path) -> None:
    """Name, version, platform, Pythons, C library, requirements as they are written."""
    content = wheel(
        {"demo/__init__.py": b"", "demo/_c.so": gpu_library()},
        requires=("numpy>=1.24", 'nvidia-cudnn-cu12==9.1.0.70; platform_system == "Linux"'),
        requires_python=">=3.9",
    )
    reading = read_here(tmp_path, content)
    artifact = reading.artifact
    assert (artifact.name, artifact.version, artifact.filename) == ("demo", "1.0", NAME)
    assert (artifact.platforms, artifact.pythons) == (("linux-x86_64",), ("3.11",))
    assert artifact.glibc == LibcVersion("2.28")
    assert (artifact.size_bytes, artifact.location) == (len(content), str(tmp_path / NAME))
    assert reading.requires == ("numpy>=1.24", 'nvidia-cudnn-cu12==9.1.0.70; platform_system == "Linux"')
    assert (reading.members, reading.complete, reading.problems) == (5, True, ())


def test_native_files_of_all_kinds_are_read(tmp_path: Path, library: bytes) -> None:
    """ELF from the compiler, a DLL, a program without extension, bare GPU code; a script is none, whatever its name."""
    dll = linked_pe({".text": b"\x90" * 64, ".nv_fatb": CUBINS}, imports={"cudart64_12.dll": ("cudaMalloc",)})
    members = {
        "demo/libtwice.so.1": library,
        "demo/_c.cp311-win_amd64.pyd": dll,
        "demo/bin/ptxas": gpu_library(padding=5000),
        "demo/bin/script": b"#!/bin/sh\n" * 999,
        "demo/kernels.fatbin": CUBINS,
        "demo/libm.so": b"GROUP ( /lib/libm.so.6 )\n",
        "demo/readme.txt": b"so",
    }
    reading = read_here(tmp_path, wheel(members, executable=("demo/bin/ptxas", "demo/bin/script")))
    files = {file.path: file for file in reading.files}
    assert list(files) == ["demo/_c.cp311-win_amd64.pyd", "demo/bin/ptxas", "demo/kernels.fatbin", "demo/libtwice.so.1"]
    assert files["demo/libtwice.so.1"].soname == "libtwice.so.1"
    assert "libm.so.6" in (files["demo/libtwice.so.1"].needed or ())
    assert files["demo/_c.cp311-win_amd64.pyd"].needed == ("cudart64_12.dll",)
    for path in ("demo/_c.cp311-win_amd64.pyd", "demo/bin/ptxas", "demo/kernels.fatbin"):
        code = files[path].code
        assert code
        assert [str(image) for image in code.groups[0].images] == ["sm_80", "sm_90", "compute_90/ptx8.4"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_wheel_on_a_server_reads_as_it_does_here(
    tmp_path: Path, client: Client, library: bytes, method: int, workers: int
) -> None:
    """The same facts from ranges, in any number of threads, without what no one needs."""
    members = {f"demo/{index}.so": library + bytes(index) for index in range(9)} | {"demo/data.bin": NOISE}
    content = wheel(members, method=method)
    here = read_here(tmp_path, content)
    with RangeServer({NAME: content}) as server:
        source = client.open(server.address(NAME))
        there = read_wheel(source, asked(), workers=workers)
        assert there.files == here.files
        assert there.requires == here.requires
        assert there.artifact.location == server.address(NAME)
        assert source.fetched_bytes == server.sent_bytes < len(content) - len(NOISE) + 200_000


def test_thousands_of_small_files_need_few_requests(client: Client) -> None:
    """Neighbours come together."""
    cubins = {f"demo/k{index}.fatbin": CUBINS + bytes(8 * (index % 5)) for index in range(2000)}
    with RangeServer({NAME: wheel(cubins)}) as server:
        reading = read_wheel(client.open(server.address(NAME)), asked())
        assert len(reading.files) == 2000
        assert len(server.asked) <= 4


def test_a_wheel_without_native_code_costs_little(client: Client) -> None:
    """Of 6 MB come less than 300 kB, and what its sources import is found."""
    members = {f"demo/part{index}.py": b"X = " + repr(NOISE[index : index + 3000]).encode() for index in range(1000)}
    members |= {"demo/__init__.py": b"import torch\n", "demo/data.json": NOISE}
    with RangeServer({"demo-1.0-py3-none-any.whl": wheel(members, requires=("torch",))}) as server:
        source = client.open(server.address("demo-1.0-py3-none-any.whl"))
        reading = read_wheel(source, asked())
        assert reading.imports == {"torch": "demo/__init__.py"}
        assert (reading.files, reading.requires, reading.complete) == ((), ("torch",), True)
        assert source.fetched_bytes == server.sent_bytes < 300_000


def test_metadata_with_broken_lines_is_read(tmp_path: Path) -> None:
    """Lines that are no headers are passed over, folded ones are one line, bytes that are no text are marked."""
    metadata = (
        "Metadata-Version: 2.1\nName: Demo.Pack\nthis is no header\nVersion: 1.0.0\n"
        "Requires-Dist: torch\n  >=2.0\nRequires-Dist: numpy\nRequires-Python: >=3.9, <3.12\n\nRequires-Dist: body\n"
    )
    name = "demo-1.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    reading = read_here(tmp_path, wheel({"demo.so": gpu_library()}, metadata=metadata), name=name)
    assert reading.requires == ("torch >=2.0", "numpy")
    assert (reading.artifact.name, reading.artifact.version) == ("demo-pack", "1.0.0")
    assert reading.artifact.pythons == ("3.9", "3.10", "3.11")
    assert reading.artifact.glibc == LibcVersion("2.17")


def test_a_wheel_of_another_name_goes_by_its_own_tags(tmp_path: Path) -> None:
    """As a browser saves it a second time."""
    reading = read_here(tmp_path, wheel({"d.pyd": CUBINS}, tags=("cp310-cp310-win_amd64",)), name="demo (1).whl")
    assert (reading.artifact.platforms, reading.artifact.pythons) == (("windows-x86_64",), ("3.10",))


# ---- what fails ----------------------------------------------------------------------------------------------


def test_an_archive_without_metadata_is_no_wheel(tmp_path: Path) -> None:
    """Nor one with it in a place where installers do not look."""
    for members in ({"a.so": gpu_library()}, {"x/demo-1.0.dist-info/METADATA": b"Name: demo\n"}):
        with pytest.raises(FormatError, match="is no wheel"):
            read_here(tmp_path, archive(members))


def test_a_broken_member_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """Encrypted, or with a wrong checksum: the rest is read."""
    content = wheel({"a.so": gpu_library(), "b.so": gpu_library(), "c.so": gpu_library(), "d.so": gpu_library()[:70]})
    content = patch_entry(patch_entry(content, 0, flags=1), 1, crc32=7)
    reading = read_here(tmp_path, content)
    problems = {file.path: file.problem for file in reading.files}
    assert "is encrypted" in (problems["a.so"] or "")
    assert "another checksum" in (problems["b.so"] or "")
    assert problems["c.so"] is None
    assert problems["d.so"]
    assert reading.complete


def test_what_was_read_is_kept_when_the_server_fails_and_taken_up_again(client: Client) -> None:
    """A 404 in the middle; the next reading with a server that works fetches only what is missing."""
    members = {f"demo/{index}.so": gpu_library(padding=(9 - index) * 400_000) for index in range(8)}
    content = wheel(members, requires=("torch",), method=zipfile.ZIP_STORED)
    told: list[NativeFile] = []
    with RangeServer({NAME: content}) as server:

        def gone(number: int, reply: Reply) -> None:
            if number > 2:
                reply.status, reply.headers, reply.body = 404, {}, b""

        server.change = gone
        first = read_wheel(client.open(server.address(NAME)), asked(), on_file=told.append, workers=1)
        assert not first.complete
        assert first.requires == ("torch",)
        assert len(first.problems) == 1
        assert "changed while it was read" in first.problems[0]
        assert 0 < len(first.files) < 8
        assert sorted(told, key=lambda file: file.path) == list(first.files)
        server.change = lambda _number, _reply: None
        before = server.sent_bytes
        again = read_wheel(
            client.open(server.address(NAME)),
            asked(),
            known={file.path: file for file in first.files},
            on_file=told.append,
        )
        assert again.complete
        assert [file.path for file in again.files] == sorted(members)
        assert len(told) == 8
        assert server.sent_bytes - before < sum(map(len, members.values())) * 0.75


def test_a_wheel_whose_directory_cannot_be_had_is_unavailable(client: Client) -> None:
    """Nothing was read, so there is no reading."""
    many = {f"demo/{index:05}/{'x' * 80}.py": b"" for index in range(3000)}
    with RangeServer({NAME: wheel(many)}) as server:
        file = client.open(server.address(NAME))
        server.files.clear()
        with pytest.raises(UnavailableError):
            read_wheel(file, asked())


def test_an_error_of_the_listener_ends_the_reading(tmp_path: Path) -> None:
    """What `on_file` raises comes out, and no thread goes on reading."""
    path = tmp_path / NAME
    path.write_bytes(
        wheel({f"{index}.so": gpu_library(padding=3 << 20) for index in range(20)}, method=zipfile.ZIP_STORED)
    )

    def refuse(_: NativeFile) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_wheel(LocalSource(path), asked(), on_file=refuse)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gpuenv-wheel")]


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A library of 40 MB in a wheel of 40 kB passes through a few MB."""
    path = tmp_path / NAME
    large = elf({".data": bytes(40 << 20), ".nv_fatbin": CUBINS})
    path.write_bytes(wheel({"large.so": large}))
    del large
    tracemalloc.start()
    began = time.monotonic()
    reading = read_wheel(LocalSource(path), asked())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading.files[0].code
    assert peak < 12 << 20
    assert time.monotonic() - began < 20


# ---- any bytes -----------------------------------------------------------------------------------------------

SMALL = wheel({"a/x.so": gpu_library(), "a/__init__.py": b"import cupy\n"}, requires=("cupy",))


@given(
    changes=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 2) | st.integers(0, len(SMALL)),
    noise=st.binary(max_size=40),
)
@settings(max_examples=200, deadline=None)
def test_any_change_of_a_wheel_gives_a_reading_or_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int, noise: bytes
) -> None:
    """Bytes changed, cut off at the end, or added there."""
    content = bytearray(SMALL)
    for at, value in changes:
        content[at] = value
    path = tmp_path_factory.getbasetemp() / NAME
    path.write_bytes(bytes(content[: len(content) - cut]) + noise)
    with suppress(FormatError):
        assert read_wheel(LocalSource(path), asked(), workers=1).complete


@given(
    metadata=st.text(max_size=300)
    | st.lists(
        st.sampled_from(["Name: ", "Version: ", "\n", "Requires-Dist: x", " ", "Requires-Python: >=", "é", "\r"])
    ).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_any_metadata_gives_a_reading(tmp_path_factory: pytest.TempPathFactory, metadata: str) -> None:
    """Whatever stands in it."""
    path = tmp_path_factory.getbasetemp() / NAME
    path.write_bytes(wheel({"a.fatbin": CUBINS}, metadata=metadata or "\n", method=zipfile.ZIP_STORED))
    reading = read_wheel(LocalSource(path), asked(), workers=1)
    assert reading.complete
    assert reading.artifact.name


# ---- metadata alone ---------------------------------------------------------------------------------------------


def test_the_metadata_alone_cost_a_few_kilobytes(client: Client) -> None:
    """Its headers come as they are, and of a wheel of 4 MB nothing is fetched but the end."""
    content = wheel({"demo/lib.so": NOISE}, requires=("numpy>=1", 'cupy; extra == "gpu"'), requires_python=">=3.9")
    with RangeServer({NAME: content}) as server, client.open(server.address(NAME)) as source:
        headers = read_core_metadata(source, asked())
        assert headers.get_all("Requires-Dist") == ["numpy>=1", 'cupy; extra == "gpu"']
        assert headers["Requires-Python"] == ">=3.9"
        assert source.fetched_bytes < 100_000


def test_metadata_that_are_broken_are_an_error(tmp_path: Path) -> None:
    """Headers that were not read are not given as if there were none."""
    place = tmp_path / NAME
    content = wheel({"demo/__init__.py": b""})
    place.write_bytes(patch_entry(content, 1, crc32=1))
    with pytest.raises(FormatError, match="cannot read the metadata"):
        read_core_metadata(LocalSource(place), asked())
