"""What the index is asked through `uv`: the files of a release, which of them fits a machine, errors, logins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import sys_tags

from gpuenv.channels.destinations import Destination, destination_of
from gpuenv.channels.index import IndexFile, choose_file, find_fitting_release, find_release, nearest_file
from gpuenv.channels.index_logins import credentials_for, without_credentials
from gpuenv.errors import NoPlanError, RequestError, UnavailableError
from gpuenv.machines.written import parse_machine
from gpuenv.versions import LibcVersion
from index_at_hand import require_index
from lone_uv import alone_with
from loopback_index import LoopbackIndex, Reply

LINUX = Destination(platform="linux-x86_64", python="3.11", glibc=LibcVersion("2.28"))


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackIndex]:
    """An empty index, the only one that `uv` knows."""
    with alone_with(monkeypatch, tmp_path / "uv-cache") as made:
        yield made


def wheels(*tags: str) -> tuple[IndexFile, ...]:
    """Wheels of one release with these tags."""
    return tuple(IndexFile(filename=f"x-1.0-{tag}.whl") for tag in tags)


def tag_of(file: IndexFile | None) -> str | None:
    """The tags of such a wheel."""
    return file.filename.removeprefix("x-1.0-").removesuffix(".whl") if file else None


# ---- releases ------------------------------------------------------------------------------------------------


def test_the_newest_release_with_all_its_files(index: LoopbackIndex) -> None:
    """Wheels of every platform and the sources are listed, with address, hash and size; nothing is built."""
    tags = ["cp311-cp311-manylinux_2_28_x86_64", "cp312-cp312-win_amd64", "cp311-cp311-macosx_14_0_arm64"]
    index.add("gt-all", "1.0", tags=tags)
    index.add("gt-all", "2.0", tags=tags)
    index.add_source("gt-all", "2.0")
    release = find_release("gt-all")
    assert (release.name, release.version) == ("gt-all", "2.0")
    assert {file.filename: file.is_wheel for file in release.files} == {
        **{f"gt_all-2.0-{tag}.whl": True for tag in tags},
        "gt_all-2.0.tar.gz": False,
    }
    for file in release.files:
        stored = index.projects["gt-all"][file.filename]
        assert (file.sha256, file.size_bytes) == (stored.sha256, len(stored.content))
        assert file.url is not None
        assert file.url.endswith(f"/simple/gt-all/{file.filename}")
    assert not [asked for asked in index.asked if asked.endswith((".tar.gz", ".whl"))]


def test_the_specifier_decides_and_a_marker_does_not(index: LoopbackIndex) -> None:
    """`<2` gives the newest below 2; a marker, which is about a machine, is left aside."""
    for version in ("1.0", "1.5", "2.0"):
        index.add("gt-spec", version)
    assert find_release("gt-spec<2").version == "1.5"
    assert find_release('gt-spec[extra]==1.*; sys_platform == "nowhere"').version == "1.5"


def test_another_python_is_tried_where_the_first_has_nothing(index: LoopbackIndex) -> None:
    """Wheels for Python 3.7 alone are found, and so is a release for 3.12 and newer."""
    index.add("gt-old", "1.0", tags=["cp37-cp37m-manylinux1_x86_64"])
    index.add("gt-new", "1.0", requires_python=">=3.12")
    assert len(find_release("gt-old").files) == 1
    assert find_release("gt-new==1.0").version == "1.0"


def test_a_release_for_newer_pythons_does_not_hide_the_one_for_this(index: LoopbackIndex) -> None:
    """Where the newest release is for Python 3.12, Python 3.11 gets the one before, with all its files."""
    index.add("gt-fork", "1.0", tags=["cp311-cp311-win_amd64", "cp312-cp312-win_amd64"], requires_python=">=3.8")
    index.add("gt-fork", "2.0", tags=["cp312-cp312-win_amd64"], requires_python=">=3.12")
    assert find_release("gt-fork", pythons=("3.12",)).version == "2.0"
    release = find_release("gt-fork", pythons=("3.11",))
    assert (release.version, len(release.files)) == ("1.0", 2)


def test_a_name_that_is_not_there(index: LoopbackIndex) -> None:
    """An unknown name is the user's mistake, and near names of the catalog are offered."""
    with pytest.raises(RequestError, match="there is no package `pytroch`") as caught:
        find_release("pytroch")
    assert "`pytorch`" in caught.value.hints[0]


def test_a_version_that_is_not_there(index: LoopbackIndex) -> None:
    """An unknown version is the user's mistake, with uv's words on what there is."""
    index.add("gt-one", "1.0")
    for requirement in ("gt-one==7", "gt-one>=7"):
        with pytest.raises(RequestError, match="no release for `gt-one") as caught:
            find_release(requirement)
        assert any("gt-one" in reason for reason in caught.value.reasons)


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_wants_a_login(index: LoopbackIndex, status: int) -> None:
    """`uv` goes on without such an index and finds nothing; that is no answer about the package."""
    index.always = Reply(status=status, body=b"who are you?", content_type="text/plain")
    with pytest.raises(UnavailableError, match="did not let us in"):
        find_release("gt-secret")


def test_an_index_that_does_not_answer(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is no answer."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple/")
    with pytest.raises(UnavailableError, match="did not answer"):
        find_release("gt-anything")


def test_offline(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `UV_OFFLINE` what is not in the cache cannot be found out."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="offline"):
        find_release("gt-anything")


def test_an_index_in_a_directory(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`UV_FIND_LINKS` names a directory, whose files have paths and no addresses."""
    index.add("gt-dir", "1.0")
    (stored,) = index.projects.pop("gt-dir").values()
    (tmp_path / stored.name).write_bytes(stored.content)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    (file,) = find_release("gt-dir").files
    assert (file.url, file.path) == (None, tmp_path / stored.name)


def test_an_older_release_that_fits(index: LoopbackIndex) -> None:
    """For a machine the newest release with a wheel for it is found, or none."""
    index.add("gt-fit", "1.0", tags=["cp311-cp311-manylinux_2_17_x86_64"])
    index.add("gt-fit", "2.0", tags=["cp311-cp311-manylinux_2_34_x86_64"])
    found = find_fitting_release("gt-fit", LINUX)
    assert found is not None
    assert found.version == "1.0"
    assert find_fitting_release("gt-fit==2.0", LINUX) is None


@pytest.mark.network
def test_the_real_index() -> None:
    """PyTorch 2.10.0 has wheels for six systems and several Pythons there, with the hash that is published."""
    require_index()
    chosen = choose_file(find_release("torch==2.10.0").files, LINUX)
    assert chosen is not None
    assert chosen.filename.startswith("torch-2.10.0-")
    assert chosen.filename.endswith("cp311-cp311-manylinux_2_28_x86_64.whl")
    assert chosen.sha256 is not None
    assert len(chosen.sha256) == 64


# ---- choosing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "tags", "chosen"),
    [
        (LINUX, ("cp311-cp311-manylinux_2_28_x86_64", "py3-none-any"), "cp311-cp311-manylinux_2_28_x86_64"),
        (LINUX, ("cp311-cp311-manylinux_2_34_x86_64", "py3-none-any"), "py3-none-any"),
        (LINUX, ("cp311-cp311-manylinux_2_34_x86_64",), None),
        (LINUX, ("cp311-cp311-manylinux1_x86_64", "cp311-cp311-manylinux2014_x86_64"),
         "cp311-cp311-manylinux2014_x86_64"),
        (LINUX, ("cp39-abi3-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_x86_64"),
         "cp39-abi3-manylinux_2_17_x86_64"),
        (LINUX, ("cp311-none-manylinux1_x86_64",), "cp311-none-manylinux1_x86_64"),
        (LINUX, ("1-cp311-cp311-manylinux1_x86_64", "10-cp311-cp311-manylinux1_x86_64"),
         "10-cp311-cp311-manylinux1_x86_64"),
        (LINUX, ("cp311-cp311-musllinux_1_2_x86_64", "cp311-cp311-manylinux_2_17_aarch64"), None),
        (LINUX, ("cp311-cp311t-manylinux_2_17_x86_64",), None),
        (Destination(platform="linux-x86_64", python="3.7", glibc=LibcVersion("2.17")),
         ("cp37-cp37m-manylinux2010_x86_64",), "cp37-cp37m-manylinux2010_x86_64"),
        (Destination(platform="linux-x86_64", python="3.11"),
         ("cp311-cp311-musllinux_1_1_x86_64", "cp311-cp311-manylinux_2_17_x86_64"),
         "cp311-cp311-musllinux_1_1_x86_64"),
        (Destination(platform="windows-x86_64", python="3.11"), ("cp311-cp311-win_amd64", "cp311-cp311-win32"),
         "cp311-cp311-win_amd64"),
        (Destination(platform="windows-aarch64", python="3.11"), ("cp311-cp311-win_arm64",), "cp311-cp311-win_arm64"),
        (Destination(platform="macos-aarch64", python="3.11"),
         ("cp311-cp311-macosx_11_0_arm64", "cp311-cp311-macosx_15_0_arm64"), "cp311-cp311-macosx_11_0_arm64"),
        (Destination(platform="macos-aarch64", python="3.11", macos="15.1"),
         ("cp311-cp311-macosx_10_9_universal2", "cp311-cp311-macosx_15_0_arm64"), "cp311-cp311-macosx_15_0_arm64"),
        (Destination(platform="linux-aarch64", python="3.13", glibc=LibcVersion("2.39")),
         ("cp313-cp313-manylinux_2_34_aarch64",), "cp313-cp313-manylinux_2_34_aarch64"),
    ],
)  # fmt: skip
def test_the_wheel_that_an_installer_takes(destination: Destination, tags: tuple[str, ...], chosen: str | None) -> None:
    """The best tag for the machine wins, whichever machine this runs on; of equal ones the highest build."""
    assert tag_of(choose_file(wheels(*tags), destination)) == chosen
    assert tag_of(choose_file(reversed(wheels(*tags)), destination)) == chosen


def test_malformed_names_are_passed_over() -> None:
    """A file whose name is no wheel's is not chosen and stops nothing."""
    files = (IndexFile(filename="x.whl"), IndexFile(filename="x-1.0-a-b-c-d-e.whl"), *wheels("py3-none-any"))
    assert tag_of(choose_file(files, LINUX)) == "py3-none-any"


@pytest.mark.skipif(os.name != "posix" or not Path("/etc/os-release").exists(), reason="tags of Linux")
def test_on_this_computer_the_tags_are_packagings() -> None:
    """The list made by hand agrees with `packaging.tags.sys_tags` on what this computer installs, in its order."""
    ours = [str(tag) for tag in destination_of().tags()]
    theirs = [str(tag) for tag in sys_tags()]
    assert [tag for tag in ours if tag in theirs] == [tag for tag in theirs if tag in ours]
    assert {tag for tag in theirs if "linux" in tag} <= set(ours)


@pytest.mark.parametrize(
    ("tags", "near", "where"),
    [
        (("cp310-cp310-manylinux_2_17_x86_64", "cp38-cp38-manylinux_2_17_x86_64"),
         "cp310-cp310-manylinux_2_17_x86_64", "linux-x86_64 and Python 3.10"),
        (("cp311-cp311-manylinux_2_34_x86_64", "cp310-cp310-manylinux_2_17_x86_64"),
         "cp311-cp311-manylinux_2_34_x86_64", "linux-x86_64 and Python 3.11"),
        (("cp311-cp311-win_amd64", "cp312-cp312-manylinux_2_17_aarch64"),
         "cp312-cp312-manylinux_2_17_aarch64", "linux-aarch64 and Python 3.12"),
        (("cp311-cp311-win_amd64",), "cp311-cp311-win_amd64", "windows-x86_64 and Python 3.11"),
    ],
)  # fmt: skip
def test_the_nearest_wheel_where_none_fits(tags: tuple[str, ...], near: str, where: str) -> None:
    """A newer C library is nearer than another Python, and that is nearer than another platform."""
    found = nearest_file(wheels(*tags), LINUX)
    assert found is not None
    assert (tag_of(found[0]), str(found[1])) == (near, where)


def test_no_wheels_no_nearest_one() -> None:
    """Sources are no wheel."""
    assert nearest_file([IndexFile(filename="x-1.0.tar.gz", is_wheel=False)], LINUX) is None


# ---- destinations --------------------------------------------------------------------------------------------


def test_a_machine_is_a_destination() -> None:
    """Platform, Python and C library come from the machine; what it does not say is assumed as for plans."""
    machine = parse_machine("gpu=none,glibc=2.31")
    assert destination_of(machine, python="3.9.2") == Destination(
        platform="linux-x86_64", python="3.9", glibc=LibcVersion("2.31")
    )
    assert destination_of(parse_machine("gpu=none"), python="3.9").glibc == LibcVersion("2.28")
    assert destination_of(platform="linux-aarch64").glibc == LibcVersion("2.28")


@pytest.mark.parametrize("arguments", [{"platform": "linux"}, {"platform": "beos-x86_64"}, {"python": "three"}])
def test_a_destination_that_is_none(arguments: dict[str, str]) -> None:
    """A platform or Python that is not written as they are is the user's mistake."""
    with pytest.raises(RequestError):
        destination_of(None, python=arguments.get("python"), platform=arguments.get("platform"))


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("windows", "windows-x86_64"),
        ("win-64", "windows-x86_64"),
        ("osx-arm64", "macos-aarch64"),
        ("macos", "macos-aarch64"),
        ("linux/arm64", "linux-aarch64"),
        ("linux-64", "linux-x86_64"),
        ("linux-foo", "linux-x86_64"),
        ("manylinux", "linux-x86_64"),
    ],
)
def test_the_platform_that_was_meant(typed: str, near: str) -> None:
    """Other tools' words for a platform, and half ones, are answered with ours."""
    with pytest.raises(RequestError) as caught:
        destination_of(platform=typed)
    assert caught.value.hints == (f"write it as `{near}`",)


def test_other_words_for_an_architecture() -> None:
    """`amd64` and `arm64` are what some systems call them."""
    assert destination_of(platform="windows-amd64").platform == "windows-x86_64"
    assert destination_of(platform="linux-arm64").platform == "linux-aarch64"


def test_power_has_tags_although_uv_does_not_know_it() -> None:
    """A lock can be read for ppc64le; only uv cannot be asked."""
    power = destination_of(platform="linux-ppc64le", python="3.11")
    assert tag_of(choose_file(wheels("cp311-cp311-manylinux2014_ppc64le"), power))
    with pytest.raises(NoPlanError, match="ppc64le"):
        _ = power.uv_platform


# ---- logins --------------------------------------------------------------------------------------------------

FILE = "https://index.invalid/files/x-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("environ", "login"),
    [
        ({}, None),
        ({"UV_DEFAULT_INDEX": "https://me:secret@index.invalid/simple"}, ("me", "secret")),
        ({"UV_DEFAULT_INDEX": "own=https://me:secret@index.invalid/simple"}, ("me", "secret")),
        ({"UV_DEFAULT_INDEX": "https://m%40e:s%2Fe@INDEX.invalid:443/simple"}, ("m@e", "s/e")),
        ({"UV_INDEX": "https://other.invalid/simple a=https://token@index.invalid/simple"}, ("token", "")),
        ({"UV_EXTRA_INDEX_URL": "https://me:secret@index.invalid/simple"}, ("me", "secret")),
        ({"UV_INDEX_URL": "https://me:secret@index.invalid/simple"}, ("me", "secret")),
        ({"UV_FIND_LINKS": "/somewhere,https://me:secret@index.invalid/files"}, ("me", "secret")),
        (
            {
                "UV_INDEX": "my-own.one=https://index.invalid/simple",
                "UV_INDEX_MY_OWN_ONE_USERNAME": "me",
                "UV_INDEX_MY_OWN_ONE_PASSWORD": "secret",
            },
            ("me", "secret"),
        ),
        ({"UV_DEFAULT_INDEX": "https://me:secret@other.invalid/simple"}, None),
        ({"UV_DEFAULT_INDEX": "http://me:secret@index.invalid/simple"}, None),
        ({"UV_DEFAULT_INDEX": "https://me:secret@index.invalid:8443/simple"}, None),
        ({"UV_DEFAULT_INDEX": "https://me:secret@index.invalid:port/simple"}, None),
    ],
)
def test_the_login_of_the_index_on_the_same_host(environ: dict[str, str], login: tuple[str, str] | None) -> None:
    """Only an index on the same scheme, host and port lends its login: a secret does not travel elsewhere."""
    assert credentials_for(FILE, environ=environ) == login


def test_a_login_in_the_address_or_in_the_file_comes_first() -> None:
    """The address itself, then the indexes that a requirements file names, then the environment."""
    environ = {"UV_DEFAULT_INDEX": "https://env:e@index.invalid/simple"}
    indexes = ("https://file:f@index.invalid/simple",)
    own = FILE.replace("https://", "https://own:o@")
    assert credentials_for(own, indexes=indexes, environ=environ) == ("own", "o")
    assert credentials_for(FILE, indexes=indexes, environ=environ) == ("file", "f")
    assert credentials_for(FILE, environ=environ) == ("env", "e")
    assert without_credentials(own) == FILE


@given(text=st.text())
def test_any_text_is_an_address_without_a_login_or_not(text: str) -> None:
    """No text, in an address or a variable, is more than a missing login."""
    assert credentials_for(text, environ={"UV_INDEX": text, "UV_FIND_LINKS": text}) is None or "@" in text
