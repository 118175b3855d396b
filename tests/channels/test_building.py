"""The catalog is built from an index and the wheels on it: real wheels, a real index, the real `uv`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from gpuenv.channels import simple_index
from gpuenv.channels.building import build_catalog, catalog_status, update_catalog, verify_release
from gpuenv.channels.building import verify as verifying
from gpuenv.channels.building.fitting import PLATFORM_ORDER
from gpuenv.channels.building.indexes import default_index
from gpuenv.channels.building.listing import list_releases
from gpuenv.channels.building.metadata import requirements_that_matter
from gpuenv.channels.building.openings import Planned, in_order, plan_openings
from gpuenv.channels.building.rows import encode_row
from gpuenv.channels.building.second_python import library_without_python
from gpuenv.channels.building.wanted import merge_wheels, wanted_wheels
from gpuenv.channels.catalog import forget_loaded, project_names, releases_of
from gpuenv.channels.catalog.own_copy import MANIFEST, RELEASES
from gpuenv.channels.catalog.projects import Opening, Wheel
from gpuenv.channels.catalog.releases import DATA, Release, decode_rows, newest_date, packaged_content, wheel_names
from gpuenv.channels.simple_index import ListedFile, ProjectPage
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import CatalogUpdate
from lone_uv import alone_with
from loopback_index import LoopbackIndex, Reply
from targets.made_packages import LINUX, WINDOWS, dll, library, ptx, put, sass

NAME = "xgboost-cpu"
CODE = {"xgb/libxgb.so": library(sass(80, 90), ptx(90, (8, 0)))}
ARM = "py3-none-manylinux_2_28_aarch64"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackIndex]:
    """An empty index, the only one that `uv` knows, and a user without a copy of the catalog."""
    with alone_with(monkeypatch, tmp_path_factory.mktemp("uv-cache")) as made:
        monkeypatch.setenv("GPUENV_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        forget_loaded()
        yield made
    monkeypatch.undo()
    forget_loaded()


def rows(directory: Path, name: str = NAME) -> dict[str, Release]:
    """The rows that were written, by version."""
    return {row.version: row for row in decode_rows((directory / f"{name}.jsonl").read_bytes())}


def told(update: CatalogUpdate) -> dict[str, Any]:
    """What changed in the one project that did."""
    (change,) = update.changes
    return {
        name: getattr(change, name) for name in ("added", "withdrawn", "returned", "changed") if getattr(change, name)
    }


def from_scratch(directory: Path, *names: str, budget_gb: float = 1.0, again: bool = False) -> CatalogUpdate:
    """Builds, and nothing goes wrong."""
    update = build_catalog(directory, names or (NAME,), budget_gb=budget_gb, again=again)
    assert update.problems == ()
    return update


# ---- what there is to read -------------------------------------------------------------------------------------------


def test_what_is_read_stands_in_the_files_of_projects() -> None:
    """Every name that the package has rows of is one that a project asks for, and the other way round."""
    assert set(wanted_wheels()) == set(wheel_names())
    for wheel in wanted_wheels().values():
        Version(wheel.since)
        for opening in wheel.open:
            assert opening.platform in PLATFORM_ORDER
            assert all(Version(text) >= Version(wheel.since) for text in opening.also)


def test_the_rows_in_the_package_are_as_this_program_writes_them() -> None:
    """Written again they are the same bytes, and each requirement in them is one that matters."""
    for name in wheel_names():
        content = packaged_content(name)
        assert b"".join(map(encode_row, decode_rows(content))) == content, name
        for row in decode_rows(content):
            lines = tuple(text for text in row.requires if 'extra == "all"' not in text)
            assert requirements_that_matter(lines) == tuple(sorted({str(Requirement(one)) for one in lines})), name


def test_a_name_that_two_projects_need_is_listed_as_far_as_either_asks() -> None:
    """The oldest bound counts, and everything that either wants opened."""
    opening = Opening(platform="linux-aarch64", minors=1)
    both = merge_wheels(
        (
            Wheel(name="a", since="2.0", open=(Opening(),)),
            Wheel(name="a", since="1.10", last_only=True, open=(opening,)),
        )
    )
    assert both == {"a": Wheel(name="a", since="1.10", open=(Opening(), opening))}
    only = merge_wheels((Wheel(name="a", only=("1.0",)), Wheel(name="a", only=("2.0", "1.0"))))
    assert only["a"].only == ("1.0", "2.0")
    assert merge_wheels((Wheel(name="a", only=("3.0",)), Wheel(name="a", since="2.0")))["a"] == Wheel(
        name="a", since="2.0"
    )


def listed(*filenames: str) -> ProjectPage:
    """A page of files of the same size."""
    files = (ListedFile(filename=one, url=f"https://index.invalid/{one}", size_bytes=10) for one in filenames)
    return ProjectPage(name="demo", location="https://index.invalid/", files=tuple(files))


def planned(wheel: Wheel, *versions: str) -> list[Planned]:
    """What is opened of these versions, each there for three platforms."""
    page = listed(*(f"{wheel.name}-{version}-{tag}.whl" for version in versions for tag in (LINUX, ARM, WINDOWS)))
    return in_order(plan_openings(wheel, list_releases(page, wheel)))


def test_the_newest_minor_of_each_project_is_opened_first() -> None:
    """Then the next minor; within one, first patches come after last ones, and Linux x86_64 before others."""
    openings = (
        Opening(also=("2.1.0",)),
        Opening(platform="linux-aarch64", minors=1),
        Opening(platform="windows-x86_64", since="2"),
    )
    demo = Wheel(name="demo", open=openings)
    found = planned(demo, "1.9.0", "2.0.0", "2.1.0", "2.1.1", "2.0.1", "2.2.0rc1", "2.1.1+cu126", "2.10.0")
    assert [(one.version, one.platform) for one in found] == [
        *(("2.10.0", platform) for platform in PLATFORM_ORDER[:3]),
        ("2.1.1", "linux-x86_64"),
        ("2.1.1", "windows-x86_64"),
        ("2.1.0", "linux-x86_64"),
        ("2.0.1", "linux-x86_64"),
        ("2.0.1", "windows-x86_64"),
        ("1.9.0", "linux-x86_64"),
    ]
    other = planned(Wheel(name="other", open=(Opening(),)), "5.0", "4.0")
    assert [one.version for one in in_order([*other, *found])][:4] == ["2.10.0", "5.0", "2.10.0", "2.10.0"]


@pytest.mark.parametrize(
    ("wheel", "versions"),
    [
        (Wheel(name="demo", since="1.5"), ["2.0", "1.5"]),
        (Wheel(name="demo", only=("1.0", "1.5.0")), ["1.5", "1.0"]),
        (Wheel(name="demo", last_only=True), ["2.0"]),
    ],
)
def test_which_releases_are_listed(wheel: Wheel, versions: list[str]) -> None:
    """From a bound on, named ones, or the last; prereleases and local versions never."""
    names = ("1.0", "1.5", "2.0", "2.1rc1", "2.0+cu126", "2.1.dev1")
    page = listed(*(f"demo-{version}-py3-none-any.whl" for version in names), "demo-9.tar.gz.asc", "demo-9.0.exe")
    assert [str(release.version) for release in list_releases(page, wheel)] == versions


# ---- building --------------------------------------------------------------------------------------------------------


def test_a_release_becomes_a_row(index: LoopbackIndex, tmp_path: Path) -> None:
    """Platforms, requirements that matter, and the GPU code of the newest wheel for Linux."""
    put(
        index,
        NAME,
        CODE,
        version="3.0.0",
        requires=("numpy>=1.2", "scipy", "nvidia-nccl-cu12 ; sys_platform == 'linux'"),
    )
    put(index, NAME, {"xgb/xgb.dll": dll(sass(75))}, version="3.0.0", tag=WINDOWS)
    update = from_scratch(tmp_path)
    assert (told(update), update.changes[0].opened) == ({"added": ("3.0.0",)}, (f"xgboost_cpu-3.0.0-{LINUX}.whl",))
    row = rows(tmp_path)["3.0.0"]
    assert row.requires == ("numpy>=1.2", 'nvidia-nccl-cu12; sys_platform == "linux"')
    assert (row.platforms["linux-x86_64"].glibc, sorted(row.platforms)) == ("2.28", ["linux-x86_64", "windows-x86_64"])
    (found,) = row.code["linux-x86_64"].libraries
    assert [(group.images, group.units) for group in found.groups] == [
        (("compute_90/ptx8.0",), 1),
        (("sm_80", "sm_90"), 1),
    ]
    assert set(row.code) == {"linux-x86_64"}
    assert row.code["linux-x86_64"].sha256 == index.projects[NAME][f"xgboost_cpu-3.0.0-{LINUX}.whl"].sha256


@pytest.mark.parametrize("html", [False, True])
def test_the_same_answers_give_the_same_bytes(
    index: LoopbackIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, html: bool
) -> None:
    """Built twice, from pages in another order, or in one go or two: the files are the same."""
    if html:
        monkeypatch.setattr(simple_index, "_ACCEPT", "text/html")
    for version in ("1.9.0", "2.0.0", "2.0.1", "10.0.0"):
        put(index, NAME, CODE, version=version)
    from_scratch(tmp_path / "one")
    index.projects[NAME] = dict(reversed(index.projects[NAME].items()))
    from_scratch(tmp_path / "two", budget_gb=0)
    from_scratch(tmp_path / "two")
    one, two = ((tmp_path / name / f"{NAME}.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    assert list(rows(tmp_path / "one")) == ["1.9.0", "2.0.0", "2.0.1", "10.0.0"]


def test_what_was_read_is_not_read_again(index: LoopbackIndex, tmp_path: Path) -> None:
    """A second build asks for the page alone; a date changes with what it stands for only."""
    put(index, NAME, CODE, version="3.0.0")
    from_scratch(tmp_path)
    path = tmp_path / f"{NAME}.jsonl"
    old = path.read_bytes().replace(newest_date(path.read_bytes()).encode(), b"2020-02-02")
    path.write_bytes(old)
    index.asked.clear()
    assert from_scratch(tmp_path).changes == ()
    assert (path.read_bytes(), index.asked) == (old, [f"/simple/{NAME}/"])
    put(index, NAME, CODE, version="3.0.1")
    assert told(from_scratch(tmp_path)) == {"added": ("3.0.1",)}
    assert rows(tmp_path)["3.0.0"].read == "2020-02-02"
    assert not [path for path in index.asked if "3.0.0" in path]
    put(index, NAME, {"xgb/xgb.dll": dll(sass(75))}, version="3.0.0", tag=WINDOWS)
    assert told(from_scratch(tmp_path)) == {"changed": ("3.0.0",)}
    assert rows(tmp_path)["3.0.0"].read > "2020-02-02"
    assert rows(tmp_path)["3.0.0"].code


def test_again_opens_wheels_that_were_opened(index: LoopbackIndex, tmp_path: Path) -> None:
    """Of one release, where one is named; a name that is not covered is a question without sense."""
    put(index, NAME, CODE, version="3.0.0")
    put(index, NAME, CODE, version="3.1.0")
    from_scratch(tmp_path)
    assert from_scratch(tmp_path, f"{NAME}==3.1", again=True).fetched_bytes > 0
    assert from_scratch(tmp_path, f"{NAME}==3.1").changes == ()
    for wrong in ("no-such-thing", f"{NAME}==x y"):
        with pytest.raises(RequestError):
            build_catalog(tmp_path, (wrong,))


def test_the_budget_bounds_what_is_opened(index: LoopbackIndex, tmp_path: Path) -> None:
    """It is spent in order, and a wheel that is too large is left for another time."""
    put(index, "xgboost", {"x/x.so": library(sass(80), padding=90_000)}, version="3.4.0")
    put(index, "xgboost", CODE, version="3.3.0")
    assert from_scratch(tmp_path, "xgboost", budget_gb=0).left_unread == 2
    update = from_scratch(tmp_path, "xgboost", budget_gb=50_000 / 1e9)
    assert update.left_unread == 1
    assert [version for version, row in rows(tmp_path, "xgboost").items() if row.code] == ["3.3.0"]
    assert from_scratch(tmp_path, "xgboost").left_unread == 0


def test_a_wheel_that_cannot_be_read_is_told_and_not_recorded(index: LoopbackIndex, tmp_path: Path) -> None:
    """Half of an answer would look like a whole one."""
    name = put(index, NAME, {"xgb/libxgb.so": CODE["xgb/libxgb.so"][:900]}, version="3.0.0")
    update = build_catalog(tmp_path, (NAME,))
    assert update.left_unread == 1
    assert name in update.problems[0].message
    assert rows(tmp_path)["3.0.0"].code == {}


def test_nobody_answers(index: LoopbackIndex, tmp_path: Path) -> None:
    """Then the first question is the last one."""
    index.always = Reply(body=b"no", status=403)
    with pytest.raises(UnavailableError):
        build_catalog(tmp_path)
    assert len(index.asked) == 1


def test_the_default_index_is_that_of_uv(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the variable has it; further indexes play no part."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.invalid/simple/")
    monkeypatch.setenv("UV_INDEX", "https://else.invalid/simple/")
    assert default_index().rstrip("/") == "https://index.invalid/simple"
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.delenv("UV_INDEX")
    assert default_index().startswith("https://")


def test_an_index_in_a_directory_is_not_asked(
    index: LoopbackIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no pages that could be read from a server, which is no sign that its releases are gone."""
    put(index, NAME, CODE, version="1.0.0")
    from_scratch(tmp_path / "out")
    monkeypatch.setenv("UV_DEFAULT_INDEX", tmp_path.as_uri())
    with pytest.raises(RequestError, match="no index on a server"):
        build_catalog(tmp_path / "out", (NAME,))
    assert {row.withdrawn for row in rows(tmp_path / "out").values()} == {None}


def test_a_login_of_the_index_reaches_the_server(
    index: LoopbackIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands in the variable, and for the files as well as for the page; no message or row shows it."""
    put(index, NAME, CODE, version="1.0.0")
    index.login = ("me", "s#cret")
    url = default_index()
    monkeypatch.setenv("UV_DEFAULT_INDEX", url.replace("://", "://me:s%23cret@"))
    from_scratch(tmp_path)
    assert rows(tmp_path)["1.0.0"].code
    assert b"cret" not in (tmp_path / f"{NAME}.jsonl").read_bytes()
    monkeypatch.setenv("UV_DEFAULT_INDEX", url.replace("://", "://me:wr0ng@"))
    with pytest.raises(UnavailableError) as failure:
        build_catalog(tmp_path, (NAME,))
    assert "wr0ng" not in str((failure.value.message, failure.value.reasons, failure.value.hints))


# ---- releases that go ------------------------------------------------------------------------------------------------


def test_yanked_and_vanished_releases_are_marked(index: LoopbackIndex, tmp_path: Path) -> None:
    """They stay as rows that say why, and lose the mark when they come back; what was yanked before gets no row."""
    files = {version: put(index, NAME, CODE, version=version) for version in ("1.0.0", "2.0.0", "3.0.0", "4.0.0")}
    index.yanked[files["4.0.0"]] = "never mind"
    from_scratch(tmp_path)
    assert list(rows(tmp_path)) == ["1.0.0", "2.0.0", "3.0.0"]
    index.yanked[files["2.0.0"]] = "broken on \x1b[31mMondays"
    gone = index.projects[NAME].pop(files["3.0.0"])
    assert told(from_scratch(tmp_path)) == {"withdrawn": ("2.0.0", "3.0.0")}
    found = rows(tmp_path)
    assert found["1.0.0"].withdrawn is None
    assert found["2.0.0"].withdrawn == "it was yanked: broken on \\x1b[31mMondays"
    assert found["3.0.0"].withdrawn == "the package index no longer has it"
    assert found["3.0.0"].code
    assert from_scratch(tmp_path).changes == ()
    index.projects[NAME][files["3.0.0"]] = gone
    del index.yanked[files["2.0.0"]]
    assert told(from_scratch(tmp_path)) == {"returned": ("2.0.0", "3.0.0")}
    assert {row.withdrawn for row in rows(tmp_path).values()} == {None}


def test_a_release_of_which_one_file_is_yanked_stays(index: LoopbackIndex, tmp_path: Path) -> None:
    """The other files are what it is then."""
    put(index, NAME, CODE, version="1.0.0")
    index.yanked[put(index, NAME, {"x.dll": dll(sass(75))}, version="1.0.0", tag=WINDOWS)] = ""
    from_scratch(tmp_path)
    assert set(rows(tmp_path)["1.0.0"].platforms) == {"linux-x86_64"}


def test_a_project_that_is_gone_and_a_page_without_files(index: LoopbackIndex, tmp_path: Path) -> None:
    """The first withdraws all of its releases; the second may be a page that asks for a login, and changes nothing."""
    put(index, NAME, CODE, version="1.0.0")
    from_scratch(tmp_path)
    index.always = Reply(body=b"<html><a href='/login'>log in</a></html>", content_type="text/html")
    update = build_catalog(tmp_path, (NAME,))
    assert (update.changes, len(update.problems)) == ((), 1)
    index.always = None
    del index.projects[NAME]
    assert told(build_catalog(tmp_path, (NAME,))) == {"withdrawn": ("1.0.0",)}


def test_code_of_a_file_that_was_replaced_is_dropped(index: LoopbackIndex, tmp_path: Path) -> None:
    """Another file under the same name is read anew."""
    put(index, NAME, CODE, version="1.0.0")
    from_scratch(tmp_path)
    put(index, NAME, {"xgb/libxgb.so": library(sass(120))}, version="1.0.0")
    from_scratch(tmp_path)
    (found,) = rows(tmp_path)["1.0.0"].code["linux-x86_64"].libraries
    assert found.groups[0].images == ("sm_120",)


# ---- a second Python -------------------------------------------------------------------------------------------------


def put_for(index: LoopbackIndex, python: str, *units: bytes, version: str = "3.1.0", padding: int = 0) -> str:
    """A wheel for one Python with one extension module of these units."""
    module = library(*units, padding=padding)
    files = {f"xgb/_gpu.cpython-{python}-x86_64-linux-gnu.so": module}
    return put(index, NAME, files, version=version, tag=f"cp{python}-cp{python}-manylinux_2_28_x86_64")


def test_the_wheel_of_a_second_python_is_compared(index: LoopbackIndex, tmp_path: Path) -> None:
    """Of the newest release; module names count without their Python, bytes do not count, and no row changes."""
    put_for(index, "311", sass(80), version="3.0.0")
    put_for(index, "312", sass(90), version="3.0.0")
    put_for(index, "311", sass(80, 90))
    put_for(index, "310", sass(80))
    second = put_for(index, "312", sass(80, 90), padding=64)
    update = from_scratch(tmp_path)
    assert (update.compared, update.differences) == ((), ())
    before = (tmp_path / f"{NAME}.jsonl").read_bytes()
    update = build_catalog(tmp_path, (NAME,), second_python=True)
    assert (update.compared, update.differences, update.problems, update.changes) == ((second,), (), (), ())
    assert update.fetched_bytes > 0
    assert (tmp_path / f"{NAME}.jsonl").read_bytes() == before


def test_what_differs_between_two_pythons_is_told(index: LoopbackIndex, tmp_path: Path) -> None:
    """By file and library, what the row has and what the other wheel has."""
    put_for(index, "311", sass(80, 90))
    second = put_for(index, "313", sass(80))
    update = build_catalog(tmp_path, (NAME,), second_python=True)
    assert update.compared == (second,)
    (found,) = update.differences
    assert found.what == f"{second} _gpu.so"
    assert (found.recorded, found.read) == ("1 x sm_80 sm_90", "1 x sm_80")


def test_a_second_python_is_opened_within_the_budget(index: LoopbackIndex, tmp_path: Path) -> None:
    """Where the budget is spent it counts as unread, and a wheel for every Python has no second."""
    put_for(index, "311", sass(80))
    put_for(index, "312", sass(80))
    from_scratch(tmp_path)
    spent = build_catalog(tmp_path, (NAME,), budget_gb=0, second_python=True)
    assert (spent.compared, spent.left_unread) == ((), 1)
    put(index, NAME, CODE, version="3.2.0")
    assert build_catalog(tmp_path, (NAME,), second_python=True).compared == ()


def test_a_second_python_that_cannot_be_read_is_told(index: LoopbackIndex, tmp_path: Path) -> None:
    """It is a problem, no difference."""
    put_for(index, "311", sass(80))
    broken = {"xgb/_gpu.cpython-312-x86_64-linux-gnu.so": CODE["xgb/libxgb.so"][:900]}
    second = put(index, NAME, broken, version="3.1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    update = build_catalog(tmp_path, (NAME,), second_python=True)
    assert second in update.problems[0].message
    assert (update.compared, update.differences, update.left_unread) == ((), (), 1)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("_C.cpython-311-x86_64-linux-gnu.so", "_C.so"),
        ("core.cpython-313t-darwin.so", "core.so"),
        ("core.cp312-win_amd64.pyd", "core.pyd"),
        ("libfoo-1a2b3c4d.so.12", "libfoo.so.12"),
        ("libtorch_cuda.so", "libtorch_cuda.so"),
        ("xla_cuda_plugin.so", "xla_cuda_plugin.so"),
        ("_C.abi3.so", "_C.abi3.so"),
    ],
)
def test_names_of_libraries_without_their_python(name: str, bare: str) -> None:
    """Names of extension modules and of vendored libraries, as Pythons and repairing tools write them."""
    assert library_without_python(name) == bare


# ---- the user's own copy ---------------------------------------------------------------------------------------------


def own_directory() -> Path:
    """Where the user's own copy is."""
    return Path(catalog_status().directory)


def test_an_update_adds_to_what_came_along(index: LoopbackIndex) -> None:
    """Afterwards plans know the new release and the old ones, and the status says where they are from."""
    for row in releases_of(NAME):
        index.add(NAME, row.version, tags=(LINUX,))
    known = len(releases_of(NAME))
    put(index, NAME, CODE, version="99.0.0")
    update = update_catalog((NAME,))
    assert update.problems == ()
    assert update.changes[0].added == ("99.0.0",)
    assert update.changes[0].opened == (f"xgboost_cpu-99.0.0-{LINUX}.whl",)
    assert (len(releases_of(NAME)), releases_of(NAME)[-1].version) == (known + 1, "99.0.0")
    status = catalog_status()
    assert [(one.wheel, one.newest) for one in status.projects if one.is_own] == [(NAME, "99.0.0")]
    assert (status.problems, status.own_date is not None) == ((), True)
    assert sorted(path.name for path in own_directory().parent.iterdir()) == ["catalog"]


def test_an_update_withdraws_what_the_index_has_no_more(index: LoopbackIndex) -> None:
    """No build is made that a solver would take: its need says why it was withdrawn, which a rule refuses."""
    from gpuenv.channels.catalog import builds_of, find_project

    put(index, NAME, CODE, version="99.0.0")
    update_catalog((NAME,))
    gone = {row.version for row in releases_of(NAME) if row.withdrawn}
    assert gone == {row.version for row in releases_of(NAME)} - {"99.0.0"}
    project = find_project(NAME)
    assert project is not None
    builds = [one for one in builds_of(project, "linux-x86_64", "3.11") if one.wheel == NAME]
    assert {one.version for one in builds if one.needs.withdrawn} == gone


def test_an_update_opens_wheels_of_the_newest_minor_only(index: LoopbackIndex) -> None:
    """Older ones are read when a plan needs them."""
    for version in ("98.0.0", "99.0.0", "99.0.1"):
        put(index, "xgboost", CODE, version=version)
    update = update_catalog(("xgboost",))
    assert update.changes[0].opened == (f"xgboost-99.0.1-{LINUX}.whl",)


def test_names_that_were_not_asked_for_stay_in_the_copy(index: LoopbackIndex) -> None:
    """An update of one name keeps what an earlier one read of another."""
    put(index, NAME, CODE, version="99.0.0")
    put(index, "xgboost-cu13", CODE, version="98.0.0")
    update_catalog((NAME,))
    update_catalog(("xgboost-cu13",))
    own = [one.wheel for one in catalog_status().projects if one.is_own]
    assert own == [NAME, "xgboost-cu13"]


def test_a_clock_in_the_past_breaks_nothing(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """New rows are dated no earlier than those that are there, so the copy counts as the newer one."""
    from gpuenv.channels.building import publishing, work

    class Past(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(1970, 1, 1, tzinfo=tz)

    monkeypatch.setattr(work, "datetime", Past)
    monkeypatch.setattr(publishing, "datetime", Past)
    put(index, NAME, CODE, version="99.0.0")
    update_catalog((NAME,))
    assert releases_of(NAME)[-1].version == "99.0.0"
    assert releases_of(NAME)[-1].read == newest_date(packaged_content(NAME))
    manifest = json.loads((own_directory() / MANIFEST).read_text())
    assert manifest["date"] == newest_date(packaged_content(NAME))


def test_an_update_that_was_killed_is_taken_up(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had read is not read again; a switch that was cut in two is put right."""
    put(index, NAME, CODE, version="99.0.0")
    update_catalog((NAME,))
    place = own_directory()
    place.rename(place.with_name("catalog.old"))
    put(index, NAME, CODE, version="99.1.0")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gpuenv.channels.building.build.publish", stop)
        with pytest.raises(KeyboardInterrupt):
            update_catalog((NAME,))
    assert "99.0.0" in {row.version for row in releases_of(NAME)}
    index.asked.clear()
    assert update_catalog((NAME,)).problems == ()
    assert index.asked == [f"/simple/{NAME}/"]
    assert releases_of(NAME)[-1].version == "99.1.0"
    assert sorted(path.name for path in place.parent.iterdir()) == ["catalog"]


def test_two_updates_at_once(index: LoopbackIndex) -> None:
    """The second is told so."""
    from gpuenv.channels.building.publishing import alone_in

    with alone_in(own_directory()), pytest.raises(UnavailableError, match="another gpuenv"):
        update_catalog((NAME,))


def test_a_place_that_cannot_be_written(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is named, and nothing else happens."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUENV_DATA_DIR", str(tmp_path / "file"))
    put(index, NAME, CODE, version="99.0.0")
    with pytest.raises(UnavailableError, match="cannot write"):
        update_catalog((NAME,))


# ---- reading again ---------------------------------------------------------------------------------------------------


def test_verify_compares_row_and_binary(index: LoopbackIndex) -> None:
    """The same bytes are equal; what the row has different, or the index, is a difference each."""
    requires = ("numpy",)
    put(index, NAME, CODE, version="99.0.0", requires=requires)
    update_catalog((NAME,))
    same = verify_release(f"{NAME}==99.0.0")
    assert (same.equal, same.differences, len(same.files)) == (True, (), 1)
    put(
        index,
        NAME,
        {"xgb/libxgb.so": library(sass(80, 90)), "xgb/b.so": library(sass(75))},
        version="99.0.0",
        requires=("numpy>=2",),
    )
    found = verify_release(f"{NAME}==99")
    assert found.equal is False
    whats = [(one.what, one.recorded, one.read) for one in found.differences]
    assert ("requires", "numpy", None) in whats
    assert ("requires", None, "numpy>=2") in whats
    assert {what for what, _, _ in whats} >= {"linux-x86_64 sha256", "linux-x86_64 libxgb.so", "linux-x86_64 b.so"}
    assert [recorded for what, recorded, _ in whats if what == "linux-x86_64 b.so"] == [None]


def test_verify_says_what_could_not_be_read(index: LoopbackIndex) -> None:
    """A wheel that is gone, an index that does not answer: no answer is not the answer that all is well."""
    name = put(index, NAME, CODE, version="99.0.0")
    put(index, NAME, CODE, version="99.0.0", tag=ARM)
    update_catalog((NAME,))
    kept = index.projects[NAME].pop(name)
    assert verify_release(f"{NAME}==99.0.0").problems[0].message == f"the index no longer lists `{name}`"
    index.projects[NAME][name] = kept
    index.yanked |= dict.fromkeys(index.projects[NAME], "bad")
    assert [one.read for one in verify_release(f"{NAME}==99.0.0").differences] == ["yanked: bad"]
    index.always = Reply(body=b"no", status=403)
    silent = verify_release(f"{NAME}==99.0.0")
    assert (silent.equal, silent.problems[0].exit_code) == (None, 3)


@pytest.mark.parametrize("words", ["nothing==1.0", NAME, f"{NAME}==", f"{NAME}==77.7", f"{NAME}==a b"])
def test_verify_wants_a_row_of_the_catalog(words: str) -> None:
    """What is none is a question without sense."""
    with pytest.raises(RequestError):
        verifying.recorded_row(words)


def test_every_project_of_the_package_is_in_the_status() -> None:
    """It counts what is there."""
    status = catalog_status()
    assert {one.wheel for one in status.projects} == {path.stem for path in DATA.glob("*.jsonl")}
    assert status.date == status.packaged_date
    assert len(project_names()) > 10
    assert DATA.name == RELEASES
