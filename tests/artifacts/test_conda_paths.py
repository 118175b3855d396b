"""Of a `.conda` file no more is fetched than its own list of files makes necessary; what is found stays the same."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.made_conda import CONDA, DIST, BytesSource, conda, entry, index_entry, tar
from artifacts.range_server import RangeServer
from binaries.made_files import container, linked_elf
from binaries.made_files import entry as image
from gpuenv._net.client import Client
from gpuenv.artifacts.conda_packages import read_conda
from gpuenv.artifacts.conda_paths import PATHS_BYTES
from gpuenv.artifacts.needs import needs_of
from gpuenv.model import Reading
from little_channel import LittlePackage, write_package

LIBRARY = linked_elf({".nv_fatbin": container(image(90), image(80))}, needed=("libcudart.so.12",))
OTHER = linked_elf({".nv_fatbin": container(image(120))})
PROGRAM = linked_elf({".nv_fatbin": container(image(75)), ".text": bytes(4096)})
NOISE = random.Random(5).randbytes(6 << 20)
SITE = "lib/python3.11/site-packages"


def package(files: Mapping[str, bytes], **more: Any) -> LittlePackage:
    """A package whose files lie in this order."""
    return LittlePackage(name="demo", version="1.2", build="py311_0", subdir="linux-64", files=files, **more)


def both(tmp_path: Path, made: LittlePackage) -> tuple[Reading, Reading, BytesSource]:
    """How the package is read with its list, and without one; and what was taken with it."""
    content = write_package(made, tmp_path).read_bytes()
    source = BytesSource(content, made.file_name)
    return read_conda(source, CONDA), read_conda(BytesSource(without_list(made), made.file_name), CONDA), source


def without_list(made: LittlePackage) -> bytes:
    """The same package with no list of its files."""
    members = [
        entry(path, _bytes(content), mode=0o755 if path in made.executable else 0o644)
        for path, content in made.files.items()
    ]
    return conda(tar(members), info=tar([index_entry(depends=list(made.depends), constrains=None)]), dist=made.stem)


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def found(reading: Reading) -> dict[str, Any]:
    """What is found, but for the sizes that tell the two packages apart."""
    fields = ("files", "imports", "requires", "complete", "problems")
    return {name: getattr(reading, name) for name in fields} | {"needs": needs_of(reading).libraries}


CASES: Mapping[str, tuple[LittlePackage, float]] = {
    "one library, then data": (package({"lib/a.so": LIBRARY, "share/big.bin": NOISE}), 0.1),
    "data, then one library": (package({"share/big.bin": NOISE, "lib/a.so": LIBRARY}), 1.0),
    "no code at all": (package({"share/big.bin": NOISE, "share/LICENSE": b"free"}), 0.01),
    "sources after code": (package({"lib/a.so": LIBRARY, "big": NOISE[:4000], f"{SITE}/a.py": NOISE}), 0.1),
    "sources alone": (package({f"{SITE}/a/__init__.py": b"import cupy\n", "share/big.bin": NOISE}), 0.1),
    "sources that do not count": (package({f"{SITE}/a/tests/x.py": b"import cupy\n", "share/big.bin": NOISE}), 0.01),
    "a linker script, and sources": (
        package({"lib/c.so": b"/* GNU ld script */", f"{SITE}/a.py": b"import torch\n", "share/big.bin": NOISE}),
        0.1,
    ),
    "a program without an ending": (
        package({"bin/tool": PROGRAM, "share/big.bin": NOISE}, executable=frozenset({"bin/tool"})),
        0.1,
    ),
    "a large file without an ending": (package({"share/big.bin": NOISE, "share/words": NOISE[:5000]}), 1.0),
    "nothing": (package({}), 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reading_is_the_same_and_the_rest_is_not_fetched(tmp_path: Path, case: str) -> None:
    """Everything that a reading says is what it says without the list; of the bytes only a part is taken."""
    made, part = CASES[case]
    with_list, plain, source = both(tmp_path, made)
    assert found(with_list) == found(plain)
    assert with_list.members == plain.members == len(made.files)
    assert source.fetched_bytes <= part * len(source.content) + (8 << 10)


def test_links_are_awaited_too(tmp_path: Path) -> None:
    """A link with a library's name might be a file in truth, so that the reading goes on until it was seen."""
    made = package({"lib/a.so.1": LIBRARY, "share/big.bin": NOISE}, links={"lib/a.so": "a.so.1"})
    with_list, _, source = both(tmp_path, made)
    assert [file.path for file in with_list.files] == ["lib/a.so.1"]
    assert source.fetched_bytes > len(NOISE)


def listing(*entries: Mapping[str, Any]) -> bytes:
    """A list of these entries."""
    return json.dumps({"paths": list(entries), "paths_version": 1}).encode()


def listed(path: str, size: int | None = None, kind: str = "hardlink") -> dict[str, Any]:
    """One entry."""
    return {"_path": path, "path_type": kind, **({} if size is None else {"size_in_bytes": size})}


A, B, BIG = listed("lib/a.so", len(LIBRARY)), listed("lib/b.so", len(OTHER)), listed("big.bin", len(NOISE))
LIES: Mapping[str, Sequence[bytes]] = {
    "no list": (),
    "no JSON": (b"<html>",),
    "not of that shape": (b"[]",),
    "no paths": (b"{}",),
    "a path that is a number": (b'{"paths": [{"_path": 5}]}',),
    "too deep": (b'{"paths":' + b"[" * 90_000,),
    "not UTF-8": (b'{"paths": [{"_path": "\xff"}]}',),
    "too many entries": (b'{"paths": [' + b'{"_path": "a"},' * 200_001 + b'{"_path": "b"}]}',),
    "too large": (listing(A, BIG) + b" " * PATHS_BYTES,),
    "two lists": (listing(A, BIG), listing(A, B, BIG)),
    "a path twice": (listing(A, A, B, BIG),),
    "a path that leads outside": (listing(listed("../lib/a.so", 10), A, BIG),),
    "a size below zero": (listing(listed("lib/a.so", -1), BIG),),
    "less than there is": (listing(),),
    "another size": (listing(listed("lib/a.so", 10), BIG),),
    "a file that never comes": (listing(A, BIG, listed("lib/c.so", 10)),),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_lies_is_not_believed(lie: str) -> None:
    """Then every file is read to the last one."""
    members = [entry("lib/a.so", LIBRARY), entry("big.bin", NOISE), entry("lib/b.so", OTHER)]
    info = tar([index_entry(), *(entry("info/paths.json", content) for content in LIES[lie])])
    source = BytesSource(conda(tar(members), info=info), f"{DIST}.conda")
    reading = read_conda(source, CONDA)
    assert [file.path for file in reading.files] == ["lib/a.so", "lib/b.so"]
    assert reading.complete
    assert source.fetched_bytes > len(NOISE)


def test_what_is_not_listed_is_not_waited_for() -> None:
    """Clients do not install it."""
    members = [entry("lib/a.so", LIBRARY), entry("big.bin", NOISE), entry("lib/b.so", OTHER)]
    info = tar([index_entry(), entry("info/paths.json", listing(A, BIG))])
    source = BytesSource(conda(tar(members), info=info), f"{DIST}.conda")
    assert [file.path for file in read_conda(source, CONDA).files] == ["lib/a.so"]
    assert source.fetched_bytes < len(NOISE) // 2


def test_a_link_in_place_of_the_list_is_no_list() -> None:
    """Nor is one in another place."""
    members = [entry("big.bin", NOISE), entry("lib/b.so", OTHER)]
    import tarfile

    for where in (
        entry("info/paths.json", type=tarfile.SYMTYPE, linkname="index.json"),
        entry("../info/paths.json", listing(BIG)),
    ):
        content = conda(tar(members), info=tar([index_entry(), where]))
        assert len(read_conda(BytesSource(content, f"{DIST}.conda"), CONDA).files) == 1


@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_bytes_as_a_list(more: bytes, at: int) -> None:
    """Whatever the list is, the library is found, or is not among the files that are listed."""
    text = listing(A, listed("share/x", 5))
    content = text[:at] + more + text[at + len(more) :]
    members = [entry("share/x", b"hello"), entry("lib/a.so", LIBRARY)]
    info = tar([index_entry(), entry("info/paths.json", content)])
    reading = read_conda(BytesSource(conda(tar(members), info=info), f"{DIST}.conda"), CONDA)
    assert reading.complete
    assert reading.files or b'"lib/a.so"' not in content


def test_over_http_the_rest_stays_on_the_server(tmp_path: Path) -> None:
    """The connection is given up once the last library was read."""
    made = package({"lib/a.so": LIBRARY, "share/big.bin": NOISE * 4})
    content = write_package(made, tmp_path).read_bytes()
    with RangeServer({made.file_name: content}) as server, Client() as client:
        with client.open(server.address(made.file_name)) as source:
            reading = read_conda(source, CONDA)
            fetched = source.fetched_bytes
        assert [file.path for file in reading.files] == ["lib/a.so"]
        assert fetched < 1 << 20
        # The client is of use for the next file.
        began = time.monotonic()
        with client.open(server.address(made.file_name)) as source:
            assert read_conda(source, CONDA) == reading
        assert time.monotonic() - began < 5
