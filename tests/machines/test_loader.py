"""Where the loader would find a library: the same answer as the loader's own cache and search path."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.machines.architectures import normalise
from gpuenv.machines.loader import CACHE, cached_paths, find_library
from gpuenv.machines.local import find_pci_name


def _cache(*entries: tuple[int, str, str], prefix: bytes = b"") -> bytes:
    """A cache file as ldconfig writes it, of (flags, name, path)."""
    start = 48 + 24 * len(entries)
    strings, rows = b"", b""
    for flags, name, path in entries:
        key = start + len(strings)
        strings += name.encode() + b"\0"
        rows += struct.pack("<iIIIQ", flags, key, start + len(strings), 0, 0)
        strings += path.encode() + b"\0"
    head = b"glibc-ld.so.cache1.1" + struct.pack("<II", len(entries), len(strings)) + bytes(20)
    return prefix + head + rows + strings


def test_the_cache_is_read_by_name_and_architecture() -> None:
    """Of two files with one name that of the wanted architecture is taken; older forms may stand in front."""
    content = _cache(
        (0x0303, "libcuda.so.1", "/usr/lib64/libcuda.so.1"),
        (0x0803, "libcuda.so.1", "/usr/lib/libcuda.so.1"),
        (0x0303, "libcuda.so.10", "/usr/lib64/libcuda.so.10"),
        prefix=b"ld.so-1.7.0\0\0\0\0\0",
    )
    assert cached_paths(content, "libcuda.so.1", arch="x86_64") == ["/usr/lib64/libcuda.so.1"]
    assert cached_paths(content, "libcuda.so", arch="x86_64") == []
    assert cached_paths(content, "libcuda.so.1", arch="aarch64") == []


@given(st.binary(max_size=60), st.integers(0, 120))
def test_a_broken_cache_is_an_empty_one(noise: bytes, cut: int) -> None:
    """Bytes of any kind, and a cache that ends early, give no path that is not in it."""
    assert cached_paths(noise, "libcuda.so.1", arch="x86_64") == []
    whole = _cache((0x0303, "libcuda.so.1", "/usr/lib64/libcuda.so.1"))
    for path in cached_paths(whole[:cut], "libcuda.so.1", arch="x86_64"):
        assert "/usr/lib64/libcuda.so.1".startswith(path)


def test_the_real_cache_agrees_with_ldconfig() -> None:
    """On this computer the C library is found where `ldconfig -p` says."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/usr/bin")
    if ldconfig is None or not Path(CACHE).exists():
        pytest.skip("no glibc loader cache here")
    listed = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    arch = normalise(subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout)
    mine = cached_paths(Path(CACHE).read_bytes(), "libc.so.6", arch=arch)
    assert mine
    assert all(f"=> {path}\n" in listed for path in mine)


def test_the_search_path_comes_first(tmp_path: Path) -> None:
    """A file on LD_LIBRARY_PATH is found before the same name elsewhere; names of directories do not count."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "libnothing.so.1").write_text("")
    (tmp_path / "third" / "libnothing.so.1").mkdir(parents=True)
    path = ":".join(str(tmp_path / name) for name in ("third", "second", "first"))
    found = find_library("libnothing.so.1", arch="x86_64", environ={"LD_LIBRARY_PATH": path})
    assert found == (f"{tmp_path}/second/libnothing.so.1", f"{tmp_path}/first/libnothing.so.1")
    assert find_library("libnothing.so.1", arch="x86_64", environ={}) == ()


@pytest.mark.parametrize(
    ("machine", "arch"),
    [
        ("AMD64", "x86_64"),
        ("x64", "x86_64"),
        ("arm64", "aarch64"),
        ("i386", "i686"),
        ("ppc64le", "ppc64le"),
        ("", "unknown"),
    ],
)
def test_one_spelling_for_each_architecture(machine: str, arch: str) -> None:
    """Windows says AMD64 and macOS arm64 where wheels and conda say otherwise."""
    assert normalise(machine) == arch


PCI_IDS = """# a comment
10de  NVIDIA Corporation
\t2330  GH100 [H100 SXM5 80GB]
\t\t10de 16c1  a board of it
\t2331  GH100 [H100 PCIe]
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t2330  something else
"""


@pytest.mark.parametrize(
    ("vendor", "device", "name"),
    [
        ("10de", "2330", "GH100 [H100 SXM5 80GB]"),
        ("10de", "2331", "GH100 [H100 PCIe]"),
        ("1002", "2330", "something else"),
        ("10de", "ffff", None),
        ("beef", "2330", None),
    ],
)
def test_the_pci_list_is_read_by_vendor_and_device(vendor: str, device: str, name: str | None) -> None:
    """A device's number only means something under its vendor; lines of boards do not count."""
    assert find_pci_name(iter(PCI_IDS.splitlines(keepends=True)), vendor, device) == name
