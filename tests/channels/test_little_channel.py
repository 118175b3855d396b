"""The little channels of the tests are real: rattler reads, solves and installs them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rattler
from conda_package_streaming import package_streaming
from rattler.package import BuildString

from gpuenv.channels import uv
from little_channel import PLACEHOLDER, LittlePackage, make_channel, python_package, write_package

TOOL = LittlePackage(
    name="tool",
    noarch="python",
    entry_points=["tool = tool:main"],
    depends=["python"],
    files={"site-packages/tool.py": "def main():\n    print('a tool')\n"},
)
OLD = LittlePackage(
    name="old",
    subdir="linux-64",
    ending=".tar.bz2",
    files={"share/old.txt": f"in {PLACEHOLDER}/share", "lib/old.bin": f"{PLACEHOLDER}/lib\0rest"},
    links={"lib/same.bin": "old.bin"},
    prefix_files={"share/old.txt": "text", "lib/old.bin": "binary"},
)


def test_what_a_channel_holds_is_solved_and_installed(tmp_path: Path) -> None:
    """Both endings, a symbolic link, both kinds of placeholder, and a command of a noarch Python package."""
    channel = make_channel(tmp_path / "channel", [python_package(real=True), TOOL, OLD], zst=True)
    prefix = tmp_path / "prefix"
    asyncio.run(_install(channel, ["tool", "old"], prefix))
    assert (prefix / "share/old.txt").read_text() == f"in {prefix}/share"
    content = (prefix / "lib/same.bin").read_bytes()
    assert content.startswith(f"{prefix}/lib\0".encode())
    assert (len(content), content[-4:]) == (len(PLACEHOLDER) + 9, b"rest")
    assert _run(prefix / "bin/tool") == "a tool"
    assert min(path.name for path in (prefix / "conda-meta").glob("*.json")) == "old-1.0-0.json"


def test_the_real_python_is_the_prefixs_own(tmp_path: Path) -> None:
    """It runs in its prefix, imports from there, and `uv` installs a wheel into it."""
    channel = make_channel(tmp_path / "channel", [python_package(real=True)])
    prefix = tmp_path / "prefix"
    asyncio.run(_install(channel, ["python"], prefix))
    python = prefix / "bin/python"
    site = prefix / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    (site / "here.py").write_text("where = __file__\n")
    said = _run(python, "-c", "import sys, here; print(sys.prefix, sys.executable, here.where, sep='\\n')")
    assert said.splitlines() == [str(prefix), str(python), str(site / "here.py")]
    source = tmp_path / "wheeled"
    source.mkdir()
    (source / "wheeled-1.0-py3-none-any.whl").write_bytes(_wheel())
    uv_command = [str(uv.find_uv()), "pip", "install", "--offline", "--no-index", "--find-links", str(source)]
    done = subprocess.run([*uv_command, "--python", python, "wheeled"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert _run(python, "-c", "import wheeled; print(wheeled.__file__)") == str(site / "wheeled.py")


def test_both_readers_of_rattler_see_records_under_v3(tmp_path: Path) -> None:
    """A package with flags is under `v3`, and so is a further record, whatever its ending."""
    flagged = [LittlePackage(name="lib", build=f"{kind}_0", flags=[kind]) for kind in ("cpu", "cuda")]
    further = [{"name": "lib", "version": "2.0", "flags": ["cuda"], "fn": "lib-2.0-0.tar.bz2"}]
    channel = make_channel(tmp_path, flagged, v3=further)
    assert not json.loads((channel / "noarch/repodata.json").read_text())["packages.conda"]
    specs = ["lib", "lib[flags=[cpu]]", "lib[version='1.*', flags=[cuda]]"]
    assert [_solved(channel, spec, sparse=False) for spec in specs] == [["2.0 0"], ["1.0 cpu_0"], ["1.0 cuda_0"]]
    assert [_solved(channel, spec, sparse=True) for spec in specs] == [["2.0 0"], ["1.0 cpu_0"], ["1.0 cuda_0"]]


@pytest.mark.parametrize("ending", [".conda", ".tar.bz2"])
def test_a_package_can_lie(tmp_path: Path, *, ending: str) -> None:
    """Fields of the index, the list of paths and names of files are what the test says."""
    given = LittlePackage(
        name="liar",
        ending=".conda" if ending == ".conda" else ".tar.bz2",
        files={"../outside": "x"},
        paths=[{"_path": "/etc/passwd", "path_type": "hardlink"}],
        index={"name": "another", "license": None},
    )
    inside = _members(write_package(given, tmp_path), "pkg") | _members(tmp_path / "noarch" / given.file_name, "info")
    assert inside["../outside"] == b"x"
    assert json.loads(inside["info/paths.json"])["paths"] == given.paths
    index = json.loads(inside["info/index.json"])
    assert (index["name"], "license" in index) == ("another", False)


def test_a_channel_can_lie_about_a_package(tmp_path: Path) -> None:
    """`changed` replaces fields of a record and leaves the file alone."""
    make_channel(tmp_path, [LittlePackage(name="a")], changed={"a-1.0-0.conda": {"size": 7}})
    record = json.loads((tmp_path / "noarch/repodata.json").read_text())["packages.conda"]["a-1.0-0.conda"]
    assert record["size"] == 7
    assert (tmp_path / "noarch/a-1.0-0.conda").stat().st_size > 7


async def _install(channel: Path, specs: list[str], prefix: Path) -> None:
    records = await rattler.solve(
        sources=[channel.as_uri()],
        gateway=rattler.Gateway(),
        platforms=["linux-64", "noarch"],
        specs=[rattler.MatchSpec(text) for text in specs],
        virtual_packages=[
            rattler.GenericVirtualPackage(rattler.PackageName("__unix"), rattler.Version("0"), BuildString("0"))
        ],
    )
    await rattler.install(records, prefix, cache_dir=prefix.parent / "cache", show_progress=False)


def _solved(channel: Path, spec: str, *, sparse: bool) -> list[str]:
    specs = [rattler.MatchSpec(spec)]
    if sparse:
        data = rattler.SparseRepoData(rattler.Channel(channel.as_uri()), "noarch", channel / "noarch/repodata.json")
        found = asyncio.run(rattler.solve_with_sparse_repodata(specs, [data]))
    else:
        sources = [channel.as_uri()]
        found = asyncio.run(
            rattler.solve(sources=sources, gateway=rattler.Gateway(), platforms=["linux-64", "noarch"], specs=specs)
        )
    return [f"{record.version} {record.build}" for record in found]


def _members(path: Path, component: str) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    with path.open("rb") as stream:
        for tar, member in package_streaming.stream_conda_component(str(path), stream, component):
            opened = tar.extractfile(member)
            members[member.name] = opened.read() if opened else b""
    return members


def _wheel() -> bytes:
    import io
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("wheeled.py", "")
        info = "wheeled-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: wheeled\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"wheeled.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return stream.getvalue()


def _run(*command: Path | str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
