"""The index of a channel: what is whole is in it, what is not is named."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from rattler import Gateway, MatchSpec, solve

from gpuenv.errors import RequestError
from gpuenv.recipes.indexing import index_channel
from little_channel import LittlePackage, write_package

GOOD = LittlePackage(name="good", subdir="linux-64", files={"lib/good.txt": b"good\n"})
OLD = LittlePackage(name="old", subdir="linux-64", ending=".tar.bz2", files={"lib/old.txt": b"old\n"})
EVERYWHERE = LittlePackage(name="everywhere", files={"share/e.txt": b"e\n"}, run_exports={"strong": ["everywhere"]})
NEW = LittlePackage(
    name="new", subdir="linux-64", flags=("cuda",), files={"lib/new.txt": b"n\n"}, index={"repodata_revision": 3}
)


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """Four whole packages of both forms and both revisions."""
    for package in (GOOD, OLD, EVERYWHERE, NEW):
        write_package(package, tmp_path / "channel")
    return tmp_path / "channel"


def records(channel: Path, subdir: str = "linux-64") -> dict[str, dict[str, object]]:
    """The legacy records of a directory."""
    repodata = json.loads((channel / subdir / "repodata.json").read_text())
    return {**repodata["packages"], **repodata["packages.conda"]}


def test_whole_packages_are_indexed(channel: Path) -> None:
    """Each directory has its index; rattler solves with it."""
    report = index_channel(channel)
    assert not report.problems
    assert {one.subdir: one.packages for one in report.subdirs} == {"linux-64": 3, "noarch": 1}
    assert [one.v3_packages for one in report.subdirs] == [1, 0]
    assert set(records(channel)) == {"good-1.0-0.conda", "old-1.0-0.tar.bz2"}
    exports = json.loads((channel / "noarch" / "run_exports.json").read_text())
    assert exports["packages.conda"]["everywhere-1.0-0.conda"]["run_exports"] == {"strong": ["everywhere"]}
    specs = [MatchSpec("good"), MatchSpec("old"), MatchSpec("everywhere")]
    found = asyncio.run(solve([channel.as_uri()], specs, gateway=Gateway(), platforms=["linux-64", "noarch"]))
    assert {record.name.normalized for record in found} == {"good", "old", "everywhere"}


def test_forms_that_were_not_asked_for_do_not_stay_stale(channel: Path) -> None:
    """A client believes `repodata.json.zst`, shards and `current_repodata.json` before `repodata.json`."""
    index_channel(channel, zst=True, shards=True)
    folder = channel / "linux-64"
    assert (folder / "repodata_shards.msgpack.zst").is_file()
    assert list((folder / "shards").iterdir())
    (folder / "current_repodata.json").write_text("{}")
    index_channel(channel, zst=False)
    left = {path.name for path in folder.iterdir() if "repodata" in path.name}
    assert left == {"repodata.json"}


@pytest.mark.parametrize("damage", ["nothing", "half", "flipped", "renamed", "elsewhere", "other"])
def test_a_broken_package_is_named_and_left_out(channel: Path, damage: str) -> None:
    """The others are indexed all the same."""
    folder = channel / "linux-64"
    victim = folder / "bad-1.0-0.conda"
    content = bytearray(
        write_package(LittlePackage(name="bad", subdir="linux-64", files={"a": b"x" * 5000}), channel).read_bytes()
    )
    if damage == "nothing":
        victim.write_bytes(b"")
    elif damage == "half":
        victim.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        at = content.index(b"pkg-bad-1.0-0.tar.zst") + 40
        content[at] ^= 0xFF
        victim.write_bytes(content)
    elif damage == "renamed":
        victim = victim.rename(folder / "bad-2.0-0.conda")
    elif damage == "elsewhere":
        victim = victim.rename(channel / "noarch" / victim.name)
    else:
        victim.write_text("not a package")
    report = index_channel(channel)
    (problem,) = report.problems
    assert f"{victim.parent.name}/{victim.name}" in problem.message
    assert problem.reasons
    assert set(records(channel)) == {"good-1.0-0.conda", "old-1.0-0.tar.bz2"}
    assert victim.exists()


def test_a_truncated_old_package_is_left_out(channel: Path) -> None:
    """The same for `.tar.bz2`."""
    path = channel / "linux-64" / "old-1.0-0.tar.bz2"
    path.write_bytes(path.read_bytes()[:60])
    assert len(index_channel(channel).problems) == 1


def test_what_is_gone_leaves_the_index(channel: Path) -> None:
    """Indexing again forgets packages that were taken away, and reads one anew that was replaced."""
    index_channel(channel)
    before = records(channel)["good-1.0-0.conda"]["sha256"]
    (channel / "linux-64" / "old-1.0-0.tar.bz2").unlink()
    write_package(LittlePackage(name="good", subdir="linux-64", files={"lib/good.txt": b"better\n"}), channel)
    index_channel(channel)
    assert set(records(channel)) == {"good-1.0-0.conda"}
    assert records(channel)["good-1.0-0.conda"]["sha256"] != before


def test_an_empty_directory_becomes_a_channel(tmp_path: Path) -> None:
    """A channel has `noarch/repodata.json` (CEP 26)."""
    report = index_channel(tmp_path)
    assert [one.subdir for one in report.subdirs] == ["noarch"]
    assert (tmp_path / "noarch" / "repodata.json").is_file()


def test_what_is_no_channel_is_refused(channel: Path, tmp_path: Path) -> None:
    """A path that leads nowhere, and packages outside of the directories of platforms."""
    with pytest.raises(RequestError):
        index_channel(tmp_path / "no")
    documents = tmp_path / "documents"
    (documents / "letters").mkdir(parents=True)
    with pytest.raises(RequestError, match="is no channel"):
        index_channel(documents)
    assert [path.name for path in documents.iterdir()] == ["letters"]
    shutil.copy(channel / "linux-64" / "good-1.0-0.conda", channel)
    with pytest.raises(RequestError) as caught:
        index_channel(channel)
    assert "linux-64" in caught.value.message
