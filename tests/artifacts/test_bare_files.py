"""One native file by itself is read here and from a server alike; anything else is named for what it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_conda import KERNEL, BytesSource, compile_kernel, compile_library, has_compiler
from binaries.made_files import archive, container, elf, linked_elf, linked_pe, pe
from binaries.made_files import entry as image_entry
from gpuenv.artifacts.bare_files import describe_start, read_bare_file
from gpuenv.artifacts.sources import LocalSource, Source
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind, Reading

FILE = Artifact(kind=ArtifactKind.FILE, name="")
PTX = b"//\n.version 8.4\n.target sm_90\n.address_size 64\n"


def here_and_there(content: bytes, name: str, folder: Path) -> Iterator[Source]:
    """The same file on the disk and on a server."""
    place = folder / name
    place.write_bytes(content)
    yield LocalSource(place)
    yield BytesSource(content, name)


def images(reading: Reading) -> set[str]:
    """The names of all images."""
    code = reading.files[0].code
    return {str(one) for group in code.groups for one in group.images} if code else set()


def targets(reading: Reading) -> set[str]:
    """The same without the versions of PTX."""
    return {image.partition("/")[0] for image in images(reading)}


@pytest.mark.parametrize(
    ("content", "name", "platforms", "expected"),
    [
        (linked_elf({".nv_fatbin": container(image_entry(90))}), "libx.so", ("linux-x86_64",), {"sm_90"}),
        (linked_elf({}, machine=183), "libx.so.1", ("linux-aarch64",), set()),
        (elf({".nv_fatbin": container(image_entry(80))}), "program", ("linux-x86_64",), {"sm_80"}),
        (pe({".nv_fatb": container(image_entry(75))}), "x.dll", ("windows-x86_64",), {"sm_75"}),
        (linked_pe({}, imports={"cudart64_12.dll": ("cudaMalloc",)}), "x.pyd", ("windows-x86_64",), set()),
        (b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01" + bytes(100), "libx.dylib", ("macos-aarch64",), set()),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x02" + bytes(100), "libx.dylib", ("macos-aarch64", "macos-x86_64"), set()),
        (container(image_entry(90), image_entry(100)), "x.fatbin", (), {"sm_90", "sm_100"}),
        (archive(elf({".nv_fatbin": container(image_entry(70))})), "libx.a", (), {"sm_70"}),
        (PTX, "x.ptx", (), {"compute_90/ptx8.4"}),
    ],
)
def test_each_kind_is_read_here_and_there(
    content: bytes, name: str, platforms: tuple[str, ...], expected: set[str], tmp_path: Path
) -> None:
    """What it holds, for which platform it is, the same from the disk and from a server."""
    readings = [read_bare_file(source, FILE) for source in here_and_there(content, name, tmp_path)]
    assert readings[0].files == readings[1].files
    assert readings[1].artifact.location == f"https://index.invalid/{name}"
    assert images(readings[0]) == expected
    artifact = readings[0].artifact
    assert (artifact.name, artifact.platforms, artifact.size_bytes) == (name, platforms, len(content))
    assert (readings[0].members, readings[0].complete) == (1, True)


@pytest.mark.skipif(not has_compiler("gcc"), reason="needs `gcc`")
def test_a_library_of_the_compiler_is_read(tmp_path: Path) -> None:
    """Its soname, what it is linked with, and the C library that it needs."""
    content = compile_library(tmp_path)
    for source in here_and_there(content, "libdemo.so.1.0", tmp_path):
        file = read_bare_file(source, FILE).files[0]
        assert file.soname == "libdemo.so.1"
        assert file.needed == ("libc.so.6",)
        assert file.code is None


@pytest.mark.skipif(not has_compiler("nvcc"), reason="needs `nvcc`")
def test_what_the_cuda_compiler_writes_is_read(tmp_path: Path) -> None:
    """A shared library, and the same kernel as bare cubin, fatbin and PTX."""
    for source in here_and_there(compile_kernel(tmp_path, 80, 90), "libkernel.so", tmp_path):
        assert targets(read_bare_file(source, FILE)) == {"sm_80", "sm_90", "compute_90"}
    code = tmp_path / "kernel.cu"
    code.write_text(KERNEL)
    for form, target in (("cubin", "sm_90"), ("fatbin", "sm_90"), ("ptx", "compute_90")):
        built = tmp_path / f"bare.{form}"
        chosen = f"-gencode=arch=compute_90,code={target}"
        subprocess.run(["nvcc", f"-{form}", chosen, str(code), "-o", str(built)], check=True)
        for source in here_and_there(built.read_bytes(), built.name, tmp_path):
            assert targets(read_bare_file(source, FILE)) == {target}


@pytest.mark.parametrize(
    ("content", "name", "what"),
    [
        (b"", "libx.so", "is empty"),
        (b"import torch\n", "train.py", "is Python source"),
        (b"#!/bin/sh\n", "run", "is a script"),
        (b"  <!DOCTYPE HTML>\n<html>", "libx.so", "is an HTML page"),
        (b"PK\x03\x04abc", "libx.so", "is a zip archive"),
        (b"\x1f\x8b\x08", "x.gz", "is a gzip archive"),
        (b"/* GNU ld script\n*/\nGROUP ( /lib/libc.so.6 )", "libc.so", "is a script for the linker"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "libx.so", "is a pointer of Git LFS"),
        (b"!<thin>\n", "libx.a", "is a thin archive"),
        ("schön".encode()[:-2], "notes.txt", "is text"),
        (b"\x00\x01\x02\x03", "data.bin", "is no native library"),
        (b"\x7fELF\x09", "libx.so", "is a broken ELF file"),
        (linked_elf({".nv_fatbin": container(image_entry(90))})[:120], "libx.so", "is broken"),
    ],
)
def test_anything_else_is_named(content: bytes, name: str, what: str, tmp_path: Path) -> None:
    """A FormatError that says what the file is, from the disk and from a server."""
    for source in here_and_there(content, name, tmp_path):
        with pytest.raises(FormatError, match=what) as caught:
            read_bare_file(source, FILE)
        assert caught.value.reasons


def test_little_is_fetched_of_what_is_no_native_file() -> None:
    """The first bytes tell."""
    source = BytesSource(b"<html>" + b"x" * (10 << 20), "libx.so")
    with pytest.raises(FormatError, match="HTML"):
        read_bare_file(source, FILE)
    assert source.fetched_bytes < 100_000


def test_a_server_that_goes_away_is_an_error() -> None:
    """A file that was not read to its end tells nothing."""
    content = linked_elf({".nv_fatbin": container(image_entry(90)), ".data": bytes(100_000)})
    with pytest.raises(UnavailableError, match="went away"):
        read_bare_file(BytesSource(content, "libx.so", fails_at=90_000), FILE)


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x7fELF\x02\x01\x01", b"MZ", b"!<arch>\n", b"\x50\xed\x55\xba"])
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_reading_or_a_format_error(content: bytes, start: bytes) -> None:
    """Whatever begins like a native file, or does not."""
    assert describe_start(start + content, "x")
    with suppress(FormatError):
        read_bare_file(BytesSource(start + content, "x.so"), FILE)
