"""The page of one project on a package index, in JSON or HTML: which files there are, where, and what is said of them.

Sources: the simple repository API of the Python Packaging User Guide (PEP 503, 592, 629, 658, 691, 700, 714).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import msgspec

from gpuenv.channels.index_logins import credentials_for, without_credentials
from gpuenv.errors import FormatError
from gpuenv.model import printable

if TYPE_CHECKING:
    from packaging.version import Version

    from gpuenv._net import Client

__all__ = ["LARGEST_PAGE_BYTES", "ListedFile", "ProjectPage", "list_project", "parse_page", "version_in_name"]

LARGEST_PAGE_BYTES = 48 << 20
"""The largest page that is read."""

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_LONGEST_NAME = 255
_LONGEST_TEXT = 2000
_LONGEST_REASON = 300
_LONGEST_TAG = 1 << 14
_SDIST_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# A whole start tag. Text in quotes may hold `<` and `>`, since many indexes write `data-requires-python=">=3.8,<4"`.
# It can begin anew inside a quoted part, but no three such readings of one text go on together, so time is linear.
_TAG = re.compile(r"<(?:a|base|meta)(?=\s)(?:[^\"'<>]++|\"[^\"]*+\"|'[^']*+')*+>", re.IGNORECASE)


class ListedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a project. `url` is absolute, without login and fragment, and keeps a query.

    `yanked` is the reason for which it was taken back (perhaps empty), None where it was not. `has_metadata` says
    that its core metadata are at `url` + `.metadata`; `metadata_sha256` is their hash where the index tells it.
    """

    filename: str
    url: str
    sha256: str | None = None
    size_bytes: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    has_metadata: bool = False
    metadata_sha256: str | None = None

    @property
    def is_wheel(self) -> bool:
        """Whether its name is that of a wheel."""
        return self.filename.endswith(".whl")

    @property
    def is_sdist(self) -> bool:
        """Whether its name is that of a source distribution."""
        return self.filename.endswith(_SDIST_ENDINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """All files of a project on one index, as it lists them. `location` is the address of the page without login."""

    name: str
    location: str
    files: tuple[ListedFile, ...]


def list_project(
    client: Client, index_url: str, name: str, *, credentials: tuple[str, str] | None = None
) -> ProjectPage:
    """The page of the project `name` on the index at `index_url` (such as `UV_DEFAULT_INDEX` holds).

    Without `credentials` those in the address, in the environment (`index_logins`) or in `.netrc` are used.
    RequestError for a name that the index does not know, UnavailableError where it does not answer or its page is
    larger than `LARGEST_PAGE_BYTES`, FormatError where the page is none.
    """
    from packaging.utils import canonicalize_name

    address = f"{index_url.rstrip('/')}/{canonicalize_name(name)}/"
    login = credentials or credentials_for(address, indexes=(index_url,))
    page = client.get_page(without_credentials(address), limit=LARGEST_PAGE_BYTES, accept=_ACCEPT, credentials=login)
    return parse_page(page.content, kind=page.kind, location=page.location, name=name)


def parse_page(content: bytes, *, kind: str, location: str, name: str) -> ProjectPage:
    """The page in `content`, of the media type `kind`; `location` is what relative addresses start from.

    Files without a usable name or address are left out. FormatError for what is no page, or is one of a newer API.
    """
    is_json = kind.endswith("json") or ("html" not in kind and content.lstrip()[:1] == b"{")
    if not is_json and b"<" not in content:
        raise FormatError(f"`{location}` is no page of a package index", reasons=(f"its type is `{kind[:80]}`",))
    listed = _files_of_json(content, location) if is_json else _files_of_html(content, location)
    return ProjectPage(name=name, location=location, files=tuple(listed))


def version_in_name(filename: str, project: str) -> Version | None:
    """The release of `project` that a wheel or source distribution of this name belongs to; None for other files."""
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    if len(filename) > _LONGEST_NAME:
        return None
    if filename.endswith(".whl"):
        parts = filename.removesuffix(".whl").split("-")
        candidates = [parts[1]] if len(parts) in {5, 6} else []
    else:
        ending = next((one for one in _SDIST_ENDINGS if filename.endswith(one)), None)
        stem = filename.removesuffix(ending) if ending else ""
        places = [found.start() for found in re.finditer("-", stem)]
        wanted = canonicalize_name(project)
        candidates = [stem[one + 1 :] for one in places if canonicalize_name(stem[:one]) == wanted]
    for text in candidates:
        try:
            return Version(text)
        except InvalidVersion:
            continue
    return None


# ---- JSON ------------------------------------------------------------------------------------------------------------


class _JsonFile(msgspec.Struct, rename="kebab"):
    # Of what an index need not give, a wrong kind counts as nothing said.
    filename: str
    url: str
    hashes: Any = None
    requires_python: Any = None
    size: Any = None
    yanked: Any = None
    core_metadata: Any = None
    dist_info_metadata: Any = None


class _JsonMeta(msgspec.Struct, rename="kebab"):
    api_version: str = "1.0"


class _JsonPage(msgspec.Struct):
    files: list[_JsonFile]
    meta: _JsonMeta = msgspec.field(default_factory=_JsonMeta)


def _files_of_json(content: bytes, location: str) -> Iterator[ListedFile]:
    try:
        page = msgspec.json.decode(content, type=_JsonPage)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"`{location}` is no page of a package index", reasons=(str(error)[:300],)) from error
    _check_version(page.meta.api_version, location)
    for file in page.files:
        metadata = file.core_metadata if file.core_metadata is not None else file.dist_info_metadata
        listed = _listed(
            file.filename,
            file.url,
            base=location,
            sha256=_hash_in(file.hashes),
            size=file.size,
            requires_python=file.requires_python,
            yanked=file.yanked if isinstance(file.yanked, str) else "" if file.yanked is True else None,
            metadata=metadata,
        )
        if listed:
            yield listed


def _hash_in(hashes: object) -> object:
    return hashes.get("sha256") if isinstance(hashes, dict) else None


# ---- HTML ------------------------------------------------------------------------------------------------------------


class _Tag(HTMLParser):
    """One start tag: its name and attributes, with entities undone."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.name = ""
        self.attributes: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.name = tag
        # The first of two attributes with one name counts (HTML, tokenization).
        self.attributes = {name: value or "" for name, value in reversed(attrs)}


def _files_of_html(content: bytes, location: str) -> Iterator[ListedFile]:
    text = _without_comments(content.decode("utf-8", "replace"))
    base = location
    for found in _TAG.finditer(text):
        if found.end() - found.start() > _LONGEST_TAG:
            continue
        tag = _Tag(found[0])
        if tag.name == "meta" and tag.attributes.get("name") == "pypi:repository-version":
            _check_version(tag.attributes.get("content", ""), location)
        elif tag.name == "base" and base == location:
            base = _joined(location, tag.attributes.get("href", "")) or location
        elif tag.name == "a" and (listed := _linked(tag.attributes, base)):
            yield listed


def _linked(attributes: dict[str, str], base: str) -> ListedFile | None:
    try:
        url, fragment = urldefrag(attributes.get("href", ""))
        name = unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return None
    if not name.endswith((".whl", *_SDIST_ENDINGS)):
        return None
    metadata: object = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    if isinstance(metadata, str):
        kind, _, digest = metadata.partition("=")
        metadata = {kind: digest} if digest else metadata.lower() == "true"
    return _listed(
        name,
        url,
        base=base,
        sha256=dict([fragment.partition("=")[::2]]).get("sha256"),
        requires_python=attributes.get("data-requires-python"),
        yanked=attributes.get("data-yanked"),
        metadata=metadata,
    )


def _without_comments(text: str) -> str:
    kept: list[str] = []
    start = 0
    while (begin := text.find("<!--", start)) >= 0:
        kept.append(text[start:begin])
        end = text.find("-->", begin + 4)
        if end < 0:
            return "".join(kept)
        start = end + 3
    return "".join((*kept, text[start:]))


# ---- both ------------------------------------------------------------------------------------------------------------


def _listed(
    filename: str,
    url: str,
    *,
    base: str,
    sha256: object = None,
    size: object = None,
    requires_python: object = None,
    yanked: str | None = None,
    metadata: object = None,
) -> ListedFile | None:
    address = _joined(base, url)
    usable = 0 < len(filename) <= _LONGEST_NAME and filename.isprintable() and not set("/\\") & set(filename)
    if address is None or not usable:
        return None
    return ListedFile(
        filename=filename,
        url=address,
        sha256=_checked(sha256, _is_sha256),
        size_bytes=size if type(size) is int and size >= 0 else None,
        requires_python=_checked(requires_python, str.isprintable) or None,
        yanked=None if yanked is None else printable(yanked.strip()[:_LONGEST_REASON]),
        has_metadata=metadata is True or (isinstance(metadata, dict) and bool(metadata)),
        metadata_sha256=_checked(_hash_in(metadata), _is_sha256),
    )


def _checked(text: object, good: Callable[[str], bool]) -> str | None:
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        return None
    stripped = text.strip()
    return stripped if good(stripped) else None


def _is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def _joined(base: str, url: str) -> str | None:
    """The absolute address of a file; None for what is none of a file on a server."""
    try:
        address = urldefrag(urljoin(base, url.strip())).url
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return without_credentials(address) if usable and address.isprintable() else None


def _check_version(text: str, location: str) -> None:
    """PEP 629: a page of a later major version of the API must not be read."""
    if text and text.partition(".")[0] not in {"0", "1"}:
        raise FormatError(
            f"`{location}` is a page of a newer kind",
            reasons=(f"version {text[:20]} of the simple API",),
            hints=("update gpuenv: `pip install --upgrade gpuenv`",),
        )
