"""Conda packages that lie, are broken or would leave their environment: refused or told of, the environment whole."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from environments.conda_archives import Member, entry, locked, plan_of, with_members
from environments.little_index import Listener, beside
from gpuenv import environments
from gpuenv.errors import FormatError, GpuenvError, IntegrityError, UnavailableError
from gpuenv.model import LockedConda
from little_channel import PLACEHOLDER, LittlePackage

ENDINGS = (".conda", ".tar.bz2")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """An environment with one good package and a file of the user's."""
    prefix = tmp_path / "deep" / "down" / "env"
    good = LittlePackage(name="good", files={"share/good.txt": "good"})
    environments.create(plan_of(made(good, tmp_path)), prefix, report=Listener())
    (prefix / "mine.txt").write_text("mine")
    return prefix


def made(package: LittlePackage, tmp_path: Path, members: Iterable[Member] = (), **said: Any) -> LockedConda:
    """A package in a channel of its own, as that lists it."""
    return locked(package, with_members(package, tmp_path / f"channel-{package.name}", members), **said)


def listing(top: Path) -> dict[str, bytes | str]:
    """All files below a directory with their content; links by where they lead."""
    return {
        path.relative_to(top).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def refused(there: Path, *packages: LockedConda, kind: type[GpuenvError] = IntegrityError) -> str:
    """The reasons for which the packages are not installed; nothing has changed but the cache."""
    top = there.parent.parent.parent
    before = {name: content for name, content in listing(top).items() if not name.startswith(("cache/", "channel-"))}
    with pytest.raises(kind) as caught:
        environments.replace(plan_of(*packages), there, report=Listener())
    after = {name: content for name, content in listing(top).items() if not name.startswith(("cache/", "channel-"))}
    assert after == before
    assert beside(there) == set()
    return " ".join((caught.value.message, *caught.value.reasons))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"sha256": "0" * 64}, "sha256"),
        ({"sha256": None, "md5": "0" * 32}, "md5"),
        ({"size": 5}, "5 bytes"),
        ({"size": 5_000_000}, "size"),
        ({"name": "other"}, "it says that it is bad 1.0 0"),
        ({"version": "2.0"}, "it says that it is bad 1.0 0"),
        ({"build": "cuda"}, "it says that it is bad 1.0 0"),
        ({"build": "../../../evil"}, "cannot be part"),
        ({"fn": "../../evil.conda"}, "cannot be part"),
        ({"name": "/tmp/evil"}, "cannot be part"),
    ],
)
def test_channel_that_lies(there: Path, tmp_path: Path, ending: Any, said: dict[str, Any], word: str) -> None:
    """A file is taken only if its hash, size and name are those that the channel promised."""
    package = LittlePackage(name="bad", files={"bad.txt": "bad"}, ending=ending)
    assert word in refused(there, made(package, tmp_path, **said))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("left", [0, 10, 0.5, 0.95])
def test_truncated_archives(there: Path, tmp_path: Path, ending: Any, left: float) -> None:
    """A file that ends early is told by its hash, and where no hash was promised by what can be unpacked of it."""
    package = LittlePackage(
        name="bad", files={f"{number}.txt": str(number) * 999 for number in range(50)}, ending=ending
    )
    whole = made(package, tmp_path)
    path = Path(whole.url.removeprefix("file://"))
    content = path.read_bytes()
    path.write_bytes(content[: int(left if left >= 1 or not left else left * len(content))])
    assert "promised" in refused(there, whole)
    bare = made_again(whole, sha256=None, md5=None, size_bytes=None)
    with pytest.raises((FormatError, IntegrityError)):
        environments.replace(plan_of(bare), there, report=Listener())
    assert (there / "mine.txt").exists()


def made_again(package: LockedConda, **fields: Any) -> LockedConda:
    """The same with other fields."""
    import msgspec

    return msgspec.structs.replace(package, **fields)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("../evil", "outside"),
        ("../../../../evil", "outside"),
        ("share/../../evil", "outside"),
        ("/tmp/evil", "outside"),
        ("C:/evil", "outside"),
        ("", "no path"),
        (".", "no path"),
        ("a//b", "plainly"),
        ("./a", "plainly"),
        ("conda-meta/history", "belongs"),
        ("conda-meta/good-1.0-0.json", "belongs"),
        ("conda-meta/frozen", "belongs"),
        ("conda-meta/pinned", "belongs"),
        ("conda-meta", "belongs"),
        ("conda-meta/deep/er", "belongs"),
        (".gpuenv/environment.json", "belongs"),
        ("info/index.json", "says of itself"),
    ],
)
def test_paths_outside(there: Path, tmp_path: Path, ending: Any, path: str, word: str) -> None:
    """A list of files that leads out of the environment, or to conda's and gpuenv's own files, is refused."""
    package = LittlePackage(name="bad", files={"a": "1"}, ending=ending, paths=[entry("a", b"1"), entry(path, b"1")])
    assert word in refused(there, made(package, tmp_path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_members_outside(there: Path, tmp_path: Path, ending: Any) -> None:
    """What an archive has outside is not unpacked there; a file that its list names and it lacks is refused."""
    package = LittlePackage(name="bad", files={"a": "1"}, ending=ending)
    members = [Member(name="../../evil", content=b"e"), Member(name=f"{tmp_path}/evil", content=b"e")]
    # Other tests may have made files of that name beside this one's directory.
    before = set(tmp_path.parent.rglob("evil"))
    environments.replace(plan_of(made(package, tmp_path, members)), there, report=Listener())
    assert (there / "a").read_text() == "1"
    new = set(tmp_path.parent.rglob("evil")) - before
    assert not [path for path in new if "conda-packages" not in path.parts]
    lacking = LittlePackage(name="bad", version="2", files={"a": "1"}, ending=ending, paths=[entry("b", b"1")])
    assert "does not hold" in refused(there, made(lacking, tmp_path))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("target", ["../../../../out", "../x", ".."])
def test_relative_links_out(there: Path, tmp_path: Path, ending: Any, target: str) -> None:
    """A link that climbs out of the environment is refused."""
    package = LittlePackage(name="bad", files={"a": "1"}, links={"l": target}, ending=ending)
    assert "leads to" in refused(there, made(package, tmp_path))


def test_absolute_links_are_told_and_nothing_goes_through_them(there: Path, tmp_path: Path) -> None:
    """A link to somewhere else on the computer is told of; a file that would lie behind it is refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    linking = made(LittlePackage(name="linking", files={"a": "1"}, links={"d": str(outside)}), tmp_path)
    notes = environments.replace(plan_of(linking), there, report=Listener()).notes
    assert (there / "d").readlink() == outside
    assert any("leads out" in line and str(outside) in line for line in notes)
    through = made(LittlePackage(name="through", files={"d/evil": "e"}), tmp_path)
    for order in ((linking, through), (through, linking)):
        assert "would lie behind" in refused(there, *order)
    assert [*outside.iterdir()] == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("listed", [True, False])
def test_a_file_through_a_link_of_its_own_package(there: Path, tmp_path: Path, ending: Any, listed: bool) -> None:
    """A link to a directory and then a file behind it: neither unpacked nor read through."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    link = Member(name="d", kind=tarfile.SYMTYPE, link=str(outside))
    paths = [*([entry("d", kind="softlink")] if listed else []), entry("d/secret", b"secret")]
    reading = LittlePackage(name="bad", files={"a": "1"}, ending=ending, paths=paths)
    assert "behind a link" in refused(there, made(reading, tmp_path, [link]))
    writing = [link, Member(name="d/evil", content=b"e")]
    refused(there, made(reading, tmp_path, writing), kind=FormatError)
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_links_that_pose_as_texts(there: Path, tmp_path: Path, ending: Any) -> None:
    """A link whose list calls it a text with a placeholder would bring in what it leads to, and is refused."""
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    paths = [entry("l", file_mode="text", prefix_placeholder="a")]
    package = LittlePackage(name="bad", links={"l": str(secret)}, ending=ending, paths=paths)
    assert "is a link" in refused(there, made(package, tmp_path))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd"])
def test_hard_links_out(there: Path, tmp_path: Path, ending: Any, target: str) -> None:
    """A hard link to a file outside of the package is refused when it is unpacked."""
    package = LittlePackage(name="bad", files={"a": "1"}, ending=ending, paths=[entry("h")])
    member = Member(name="h", kind=tarfile.LNKTYPE, link=target)
    refused(there, made(package, tmp_path, [member]), kind=FormatError)


@pytest.mark.parametrize("ending", ENDINGS)
def test_devices_and_setuid(there: Path, tmp_path: Path, ending: Any) -> None:
    """Device files and pipes become empty plain files, and no file keeps a bit that lends it rights."""
    kinds = {"device": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE}
    members = [Member(name=name, kind=kind) for name, kind in kinds.items()]
    members.append(Member(name="bin/root", content=b"r", mode=0o6755))
    paths = [*(entry(name) for name in kinds), entry("bin/root", b"r")]
    package = LittlePackage(name="bad", ending=ending, paths=paths)
    environments.replace(plan_of(made(package, tmp_path, members)), there, report=Listener())
    assert all((there / name).is_file() and (there / name).stat().st_size == 0 for name in kinds)
    assert (there / "bin" / "root").stat().st_mode & 0o7000 == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_oversized_paths(there: Path, tmp_path: Path, ending: Any) -> None:
    """A name that no file system takes is an error, and no crash."""
    package = LittlePackage(name="bad", files={"n" * 300: "1"}, ending=ending)
    refused(there, made(package, tmp_path), kind=GpuenvError)
    deep = LittlePackage(name="bad", files={"/".join(["n" * 200] * 25): "1"}, ending=ending)
    refused(there, made(deep, tmp_path), kind=GpuenvError)


def test_environment_whose_path_is_too_long(there: Path, tmp_path: Path) -> None:
    """Where a binary has too little room for the environment's path, that is said with what helps."""
    content = b"/short/lib\0rest"
    paths = [entry("lib/b.so", content, file_mode="binary", prefix_placeholder="/short")]
    package = LittlePackage(name="bad", files={"lib/b.so": content}, paths=paths)
    assert "too long" in refused(there, made(package, tmp_path), kind=UnavailableError)


def test_clashing_packages(there: Path, tmp_path: Path) -> None:
    """Of two packages with one path, one gets it, and it is told which; the same bytes twice are no clash."""
    one = made(LittlePackage(name="one", files={"share/x": "of one", "share/same": "same"}), tmp_path)
    two = made(LittlePackage(name="two", files={"share/x": "of two", "share/same": "same"}), tmp_path)
    notes = environments.replace(plan_of(one, two), there, report=Listener()).notes
    winner = (there / "share" / "x").read_text().removeprefix("of ")
    loser = {"one": "two", "two": "one"}[winner]
    assert notes == (f"`share/x` is in `{winner}` and `{loser}`: that of `{winner}` was taken",)


def test_a_file_where_another_package_has_a_directory(there: Path, tmp_path: Path) -> None:
    """A path that is a file of one package and a directory of another: one is put aside, and it is told."""
    one = made(LittlePackage(name="one", files={"x": "file"}), tmp_path)
    two = made(LittlePackage(name="two", files={"x/y": "below"}), tmp_path)
    notes = environments.replace(plan_of(one, two), there, report=Listener()).notes
    assert any("was put aside" in line for line in notes)
    assert (there / "x").exists()


def test_names_that_differ_in_case_alone(there: Path, tmp_path: Path) -> None:
    """Where the file system tells them apart both files are there."""
    (tmp_path / "probe").write_text("")
    if (tmp_path / "PROBE").exists():
        pytest.skip("this file system does not tell upper from lower case")
    package = LittlePackage(name="cases", files={"share/x": "lower", "share/X": "upper"})
    environments.replace(plan_of(made(package, tmp_path)), there, report=Listener())
    assert [(there / "share" / name).read_text() for name in ("x", "X")] == ["lower", "upper"]


def test_scripts_are_never_run(there: Path, tmp_path: Path) -> None:
    """Scripts of packages are not run, neither when they come nor when they go, and it is told."""
    mark = tmp_path / "ran"
    text = f"#!/bin/sh\ntouch {mark}\n"
    names = {f"bin/.bad-{when}.sh" for when in ("post-link", "pre-unlink", "pre-link")}
    package = LittlePackage(name="bad", files=dict.fromkeys(names, text), executable=frozenset(names))
    plan = plan_of(made(package, tmp_path))
    notes = environments.replace(plan, there, report=Listener()).notes
    assert sum("script, which is not run" in line for line in notes) == 3
    good = plan_of(made(LittlePackage(name="good", files={"a": "1"}), tmp_path))
    environments.replace(good, there, report=Listener())
    environments.remove(there)
    assert not mark.exists()


@pytest.mark.parametrize("command", ["../evil = m:f", "/tmp/evil = m:f", ". = m:f", "no command", "x = m:f;import os"])
def test_commands_outside(there: Path, tmp_path: Path, command: str) -> None:
    """The name of a command is that of a file in `bin`, nothing more."""
    package = LittlePackage(name="bad", noarch="python", files={"site-packages/m.py": ""}, entry_points=[command])
    assert "is none" in refused(there, made(package, tmp_path))


@pytest.mark.parametrize("said", [{"path_type": "banana"}, {"size_in_bytes": -5}, {"size_in_bytes": "1"}])
def test_entries_that_say_nonsense(there: Path, tmp_path: Path, said: dict[str, Any]) -> None:
    """A kind of file that nobody knows and a size below nothing break the format."""
    package = LittlePackage(name="bad", files={"a": "1"}, paths=[{**entry("a", b"1"), **said}])
    refused(there, made(package, tmp_path), kind=FormatError)


def test_a_text_listed_twice(there: Path, tmp_path: Path) -> None:
    """A file that is rewritten where the same list has it linked would be written through the link, and is refused."""
    text = entry("a", b"/x/y", file_mode="text", prefix_placeholder="/x/y")
    package = LittlePackage(name="bad", files={"a": "/x/y"}, paths=[entry("a", b"/x/y"), text])
    assert "twice" in refused(there, made(package, tmp_path))


@pytest.mark.parametrize("name", ["index.json", "paths.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"paths": 1}', b"[" * 100_000, b"\xff\xfe"])
def test_broken_descriptions(there: Path, tmp_path: Path, name: str, content: bytes) -> None:
    """What a package says of itself is read with care."""
    package = LittlePackage(name="bad", files={"a": "1"}, ending=".tar.bz2")
    member = Member(name=f"info/{name}", content=content)
    assert name in refused(there, made(package, tmp_path, [member]), kind=FormatError)


def test_description_that_is_a_link(there: Path, tmp_path: Path) -> None:
    """A link in place of the list of files is not followed."""
    elsewhere = tmp_path / "paths.json"
    elsewhere.write_text('{"paths": []}')
    member = Member(name="info/paths.json", kind=tarfile.SYMTYPE, link=str(elsewhere))
    package = LittlePackage(name="bad", files={"a": "1"}, ending=".tar.bz2")
    refused(there, made(package, tmp_path, [member]), kind=FormatError)


def test_touched_cache(there: Path, tmp_path: Path) -> None:
    """A file of the cache that was changed or deleted, also through an environment, is fetched anew."""
    package = made(LittlePackage(name="kept", files={"share/k": "as made", "share/l": f"{PLACEHOLDER}"}), tmp_path)
    environments.replace(plan_of(package), there, report=Listener())
    with (there / "share" / "k").open("a") as file:
        file.write(" and changed")
    second = tmp_path / "deep" / "second"
    environments.create(plan_of(package), second, report=Listener())
    assert (second / "share" / "k").read_text() == "as made"
    (cached,) = (tmp_path / "cache" / "conda-packages").glob("kept-*/package/share/l")
    cached.unlink()
    third = tmp_path / "deep" / "third"
    environments.create(plan_of(package), third, report=Listener())
    assert (third / "share" / "l").exists()


def test_package_that_is_gone(there: Path, tmp_path: Path) -> None:
    """A package that the channel has no more is named; what is in the cache is taken from there."""
    package = made(LittlePackage(name="gone", files={"g": "1"}), tmp_path)
    Path(package.url.removeprefix("file://")).unlink()
    assert "cannot fetch" in refused(there, package, kind=UnavailableError)


def test_same_name_with_other_content(there: Path, tmp_path: Path) -> None:
    """Two channels may have a package of one name, version and build; each is what was planned."""
    first = made(LittlePackage(name="twin", files={"t": "first"}), tmp_path)
    second = made(LittlePackage(name="twin", files={"t": "second"}), tmp_path / "other")
    for package, text in ((first, "first"), (second, "second"), (first, "first")):
        environments.replace(plan_of(package), there, report=Listener())
        assert (there / "t").read_text() == text
