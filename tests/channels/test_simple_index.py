"""Pages of package indexes: JSON and HTML say the same, and no page brings the reader down."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from gpuenv._net import Client
from gpuenv.channels import simple_index
from gpuenv.channels.simple_index import ListedFile, ProjectPage, list_project, parse_page, version_in_name
from gpuenv.errors import FormatError, RequestError, UnavailableError
from lone_uv import alone_with
from loopback_index import LoopbackIndex, Reply

PLACE = "https://index.invalid/simple/demo/"
DIGEST = "ab" * 32
JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"


def read_json(*files: dict[str, object], **page: object) -> tuple[ListedFile, ...]:
    """The files that a JSON page with these entries lists."""
    document = {"meta": {"api-version": "1.0"}, "name": "demo", "files": list(files)} | page
    return parse_page(json.dumps(document).encode(), kind=JSON, location=PLACE, name="demo").files


def read_html(text: str, location: str = PLACE) -> tuple[ListedFile, ...]:
    """The files that an HTML page lists."""
    return parse_page(text.encode(), kind=HTML, location=location, name="demo").files


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackIndex]:
    """An empty index, the only one that `uv` knows."""
    with alone_with(monkeypatch, tmp_path_factory.mktemp("uv-cache")) as made:
        yield made


# ---- what is read ----------------------------------------------------------------------------------------------------

ALL = ListedFile(
    filename="demo-1.0-py3-none-any.whl",
    url="https://index.invalid/files/demo-1.0-py3-none-any.whl?x=1",
    sha256=DIGEST,
    requires_python=">=3.8,<4",
    yanked="broken & bad",
    has_metadata=True,
    metadata_sha256="cd" * 32,
)


def test_a_json_page() -> None:
    """All that the API tells of a file is read; the address is made absolute."""
    (file,) = read_json(
        {
            "filename": ALL.filename,
            "url": "../../files/demo-1.0-py3-none-any.whl?x=1",
            "hashes": {"sha256": DIGEST},
            "requires-python": ">=3.8,<4",
            "yanked": "broken & bad",
            "core-metadata": {"sha256": "cd" * 32},
            "size": 77,
            "upload-time": "2026-01-01T00:00:00Z",
        }
    )
    assert file == ListedFile(**{name: getattr(ALL, name) for name in ALL.__struct_fields__} | {"size_bytes": 77})


@pytest.mark.parametrize("metadata", ["data-core-metadata", "data-dist-info-metadata"])
@pytest.mark.parametrize("python", ["&gt;=3.8,&lt;4", ">=3.8,<4"])
def test_an_html_page_says_the_same(metadata: str, python: str) -> None:
    """Old and new names of attributes count, and text in quotes that should have been escaped."""
    href = f"/files/demo-1.0-py3-none-any.whl?x=1#sha256={DIGEST}"
    attributes = f'{metadata}="sha256={"cd" * 32}" data-requires-python="{python}" data-yanked="broken &amp; bad"'
    assert read_html(f"<html><body><A {attributes}\n HREF='{href}'>x</a>") == (ALL,)


def test_html_as_servers_write_it() -> None:
    """Comments are no links, `base` counts, an attribute may have no value, and other links are passed over."""
    page = """<head><base href="https://else.invalid/whl/"><meta name="pypi:repository-version" content="1.3"></head>
    <!-- <a href="demo-0.1.tar.gz">gone</a> --> <a href="..">up</a> <a>nothing</a> <a href="demo-1.0.exe">x</a>
    <a data-yanked href=demo-1.0.tar.gz>demo</a> <a href="a%2Bb/demo-1.0%2Bcu126-py3-none-any.whl">local</a>"""
    first, second = read_html(page)
    assert (first.url, first.yanked, first.is_sdist) == ("https://else.invalid/whl/demo-1.0.tar.gz", "", True)
    assert (second.filename, second.yanked) == ("demo-1.0+cu126-py3-none-any.whl", None)
    assert second.url == "https://else.invalid/whl/a%2Bb/demo-1.0%2Bcu126-py3-none-any.whl"


@pytest.mark.parametrize(
    "wrong",
    [
        {"hashes": ["md5"], "size": "big", "yanked": 3, "requires-python": 3, "core-metadata": "yes"},
        {"hashes": {"sha256": "short"}, "size": -1, "yanked": False, "requires-python": "x" * 5000},
        {"hashes": {"sha256": 7}, "size": True, "yanked": None, "requires-python": "\x1b[2J", "core-metadata": False},
    ],
)
def test_what_need_not_be_there_counts_as_not_said_when_it_is_wrong(wrong: dict[str, object]) -> None:
    """A file is listed for its name and address alone."""
    (file,) = read_json({"filename": "demo-1.0.tar.gz", "url": "demo-1.0.tar.gz"} | wrong)
    assert file == ListedFile(filename="demo-1.0.tar.gz", url=PLACE + "demo-1.0.tar.gz")


@pytest.mark.parametrize(
    ("filename", "url"),
    [
        ("../../etc/passwd.whl", "x.whl"),
        ("a\\b.whl", "x.whl"),
        ("a\nb.whl", "x.whl"),
        ("", "x.whl"),
        ("x" * 300 + ".whl", "x.whl"),
        ("x.whl", "file:///etc/passwd"),
        ("x.whl", "http://[::1"),
        ("x.whl", "http://host:99999/x.whl"),
        ("x.whl", "http:///x.whl"),
        ("x.whl", "javascript:alert(1)"),
    ],
)
def test_files_without_a_usable_name_or_address_are_left_out(filename: str, url: str) -> None:
    """The others on the page are read."""
    good: dict[str, object] = {"filename": "demo-1.0.tar.gz", "url": "demo-1.0.tar.gz"}
    assert [file.filename for file in read_json({"filename": filename, "url": url}, good)] == ["demo-1.0.tar.gz"]


def test_a_login_in_an_address_of_a_page_is_not_kept() -> None:
    """Addresses are written to messages; logins are found again where they are needed."""
    (file,) = read_json({"filename": "demo-1.0.tar.gz", "url": "https://me:secret@files.invalid/demo-1.0.tar.gz"})
    assert file.url == "https://files.invalid/demo-1.0.tar.gz"


def test_pages_of_a_newer_api_are_refused() -> None:
    """A reader must not read what has another major version (PEP 629)."""
    with pytest.raises(FormatError, match="newer kind"):
        read_json(meta={"api-version": "2.0"})
    with pytest.raises(FormatError, match="newer kind"):
        read_html('<meta name="pypi:repository-version" content="2.1"><a href="demo-1.0.tar.gz">x</a>')


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("demo_pack-1.0-py3-none-any.whl", "1.0"),
        ("demo_pack-1.0-2cu-py3-none-any.whl", "1.0"),
        ("demo-pack-1.0.post1.tar.gz", "1.0.post1"),
        ("Demo.Pack-1.0rc1.zip", "1.0rc1"),
        ("demo_pack-1.0.tgz", "1.0"),
        ("demo_pack-old.tar.gz", None),
        ("other-1.0.tar.gz", None),
        ("demo_pack-1.0.egg", None),
        ("demo_pack.whl", None),
        ("-" * 5000 + ".tar.gz", None),
    ],
)
def test_the_release_that_a_file_belongs_to(filename: str, version: str | None) -> None:
    """Names of source distributions are split where the project's own name ends, however it is written."""
    assert version_in_name(filename, "demo-pack") == (Version(version) if version else None)


# ---- from a server ---------------------------------------------------------------------------------------------------


def test_both_kinds_of_page_from_a_server(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files come from a server that gives JSON and from one that gives HTML only, in any spelling."""
    index.add("demo-pack", "1.0", requires_python=">=3.8")
    index.add_source("demo-pack", "0.9")
    index.yanked["demo_pack-0.9.tar.gz"] = "old"
    with index.serving() as url, Client() as client:
        known = list_project(client, url, "Demo_Pack")
        monkeypatch.setattr(simple_index, "_ACCEPT", "text/html")
        plain = list_project(client, url, "demo.pack")
    assert [(one.filename, one.yanked) for one in known.files] == [(one.filename, one.yanked) for one in plain.files]
    assert [one.sha256 for one in known.files] == [one.sha256 for one in plain.files]
    assert (plain.files[0].requires_python, known.files[0].has_metadata) == (">=3.8", True)
    assert set(index.asked) == {"/simple/demo-pack/"}


def test_an_unknown_name_and_a_server_that_is_ill(index: LoopbackIndex) -> None:
    """The first is the question's fault, the second is not, and a page that is none breaks the format."""
    with index.serving() as url, Client() as client:
        with pytest.raises(RequestError):
            list_project(client, url, "nothing")
        index.always = Reply(body=b"no", status=403)
        with pytest.raises(UnavailableError):
            list_project(client, url, "demo")
        index.always = Reply(body=b"{}", content_type=JSON)
        with pytest.raises(FormatError):
            list_project(client, url, "demo")


def test_a_page_is_read_to_a_bound(index: LoopbackIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without end is given up."""
    monkeypatch.setattr(simple_index, "LARGEST_PAGE_BYTES", 10_000)
    index.always = Reply(body=b" " * 10_001, content_type=JSON)
    with index.serving() as url, Client() as client, pytest.raises(UnavailableError, match="more than 10000 bytes"):
        list_project(client, url, "demo")


# ---- hostile pages ---------------------------------------------------------------------------------------------------


def page_or_error(content: bytes, kind: str) -> ProjectPage | None:
    """The page; None for the one error that there may be."""
    try:
        return parse_page(content, kind=kind, location=PLACE, name="demo")
    except FormatError:
        return None


@given(st.binary(max_size=400), st.sampled_from([JSON, HTML, "", "application/json"]))
def test_any_bytes_give_a_page_or_a_format_error(content: bytes, kind: str) -> None:
    """Nothing else is raised."""
    page_or_error(content, kind)


@given(
    st.lists(
        st.sampled_from(
            [
                "<a ",
                "<base ",
                "<meta ",
                "href",
                "=",
                '"',
                "'",
                ">",
                "<",
                "x.whl",
                "<!--",
                "-->",
                " ",
                "http://[",
                "#",
                "&#0;",
            ]
        ),
        max_size=60,
    )
)
def test_any_pieces_of_html_give_a_page_or_a_format_error(pieces: list[str]) -> None:
    """Nothing else is raised, and what is listed has an address of a server."""
    page = page_or_error("".join(pieces).encode(), HTML)
    assert page is None or all(one.url.startswith(("http://", "https://")) for one in page.files)


@pytest.mark.parametrize(
    "piece",
    ['<a "', "<a '\"", "<a ", "<!--", "<a href=", "<a x=y ", "<a =", '<a href="', "<base href='x'>", "&#x", "<"],
)
def test_html_is_read_in_time_in_proportion(piece: str) -> None:
    """A megabyte of what makes parsers slow takes no longer than a megabyte of anything."""
    content = (piece * (1_000_000 // len(piece))).encode()
    started = time.perf_counter()
    page_or_error(content, HTML)
    assert time.perf_counter() - started < 5


def test_nested_json_is_refused() -> None:
    """A page of brackets ends in an error and not in an overflow."""
    for content in (
        b"[" * 100_000,
        b'{"files":' * 100_000,
        b'{"files":[{"filename":"a","url":"b","size":' + b"[" * 10**5,
    ):
        assert page_or_error(content, JSON) is None
