"""A Python index on the loopback interface, filled with tiny wheels: names, versions, tags and requirements are those
of the catalog, or made up. The real `uv` resolves against it and installs from it.

    index = LoopbackIndex()
    index.add_catalog("torch", platforms=("linux-x86_64",), pythons=("3.11",))     # and all that it requires
    index.add("plain", "1.0", requires=["torch"])
    with index.serving() as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)

It speaks the simple API in JSON (PEP 691) and in HTML (PEP 503), with metadata beside each wheel (PEP 658).
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpuenv.channels.catalog.releases import Release, releases_of, wheel_names
from loopback_server import serving

__all__ = ["LoopbackIndex", "Reply"]

JSON_TYPE = "application/vnd.pypi.simple.v1+json"

_PLATFORM_TAGS = {
    "linux-x86_64": "manylinux_2_{glibc}_x86_64",
    "linux-aarch64": "manylinux_2_{glibc}_aarch64",
    "windows-x86_64": "win_amd64",
    "windows-aarch64": "win_arm64",
    "macos-aarch64": "macosx_11_0_arm64",
    "macos-x86_64": "macosx_10_9_x86_64",
}

# A build back end inside the source distribution itself, so that nothing has to be fetched to build it.
_BACKEND = """
import os, zipfile
NAME, VERSION, METADATA = {name!r}, {version!r}, {metadata!r}
def build_wheel(directory, settings=None, metadata=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    file = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        archive.writestr(f"{{NAME}}.py", f"VERSION = {{VERSION!r}}\\n")
        archive.writestr(f"{{info}}/METADATA", METADATA)
        archive.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{{info}}/RECORD", f"{{NAME}}.py,,\\n")
    return file
"""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of the index: status, body and its type."""

    body: bytes
    status: int = 200
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a project."""

    name: str
    content: bytes
    metadata: bytes
    requires_python: str | None

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class LoopbackIndex:
    """The files by project, and what was asked. With `always`, every request gets that answer.

    `yanked` holds the reasons for which files were taken back, by file name; `login` is asked for where it is set.
    """

    projects: dict[str, dict[str, File]] = field(default_factory=dict)
    yanked: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    always: Reply | None = None
    login: tuple[str, str] | None = None

    # ---- filling -------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        version: str,
        *,
        requires: Iterable[str] = (),
        tags: Iterable[str] = ("py3-none-any",),
        requires_python: str | None = None,
    ) -> None:
        """Add a release with one wheel for each tag; each holds one module, which knows its version."""
        metadata = _metadata(name, version, tuple(requires), requires_python)
        for tag in tags:
            file = f"{_escaped(name)}-{version}-{tag}.whl"
            self._place(
                name,
                File(
                    name=file,
                    content=_wheel(name, version, tag, metadata),
                    metadata=metadata.encode(),
                    requires_python=requires_python,
                ),
            )

    def add_source(self, name: str, version: str, *, requires: Iterable[str] = ()) -> None:
        """Add a release that is a source distribution only, and can be built without anything else."""
        metadata = _metadata(name, version, tuple(requires), None)
        content = _source(name, version, metadata)
        file = File(name=f"{_escaped(name)}-{version}.tar.gz", content=content, metadata=b"", requires_python=None)
        self._place(name, file)

    def add_catalog(self, *wheels: str, platforms: tuple[str, ...], pythons: tuple[str, ...]) -> None:
        """Add all releases that the catalog has of `wheels`, for some platforms and Pythons, and what they require:
        from the catalog where it knows that, else releases made up to fit.
        """
        waiting: list[str] = [canonicalize_name(wheel) for wheel in wheels]
        made_up: dict[str, set[str]] = {}
        seen: set[str] = set()
        while waiting:
            wheel = str(waiting.pop())
            if wheel in seen:
                continue
            seen.add(wheel)
            for release in releases_of(wheel):
                self._add_release(release, platforms, pythons)
                for requirement in (Requirement(text) for text in release.requires):
                    name = str(canonicalize_name(requirement.name))
                    if name in wheel_names():
                        waiting.append(name)
                    else:
                        made_up.setdefault(name, set()).add(str(requirement.specifier))
        for name, specifiers in made_up.items():
            for version in _versions_for(specifiers):
                self.add(name, version)

    def _add_release(self, release: Release, platforms: tuple[str, ...], pythons: tuple[str, ...]) -> None:
        if release.sdist_only:
            self.add_source(release.wheel, release.version, requires=release.requires)
            return
        tags = ["py3-none-any"] if release.pure else list(_tags(release, platforms, pythons))
        if tags:
            self.add(
                release.wheel,
                release.version,
                requires=release.requires,
                tags=tags,
                requires_python=release.requires_python,
            )

    def _place(self, name: str, file: File) -> None:
        self.projects.setdefault(canonicalize_name(name), {})[file.name] = file

    # ---- serving -------------------------------------------------------------------------------------------------

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Inside, the index is at the address given; it may still be filled."""
        with serving(_handler(self)) as host:
            yield f"http://{host}/simple/"

    def answer(self, path: str, accept: str) -> Reply:
        """What the index answers to a request for `path`."""
        self.asked.append(path)
        if self.always:
            return self.always
        parts = path.strip("/").split("/")
        files = self.projects.get(canonicalize_name(parts[1])) if len(parts) > 1 else None
        if files is None:
            return Reply(status=404, body=b"no such project", content_type="text/plain")
        if len(parts) == 2:
            return _list_json(parts[1], files, self.yanked) if "json" in accept else _list_html(files, self.yanked)
        wanted = parts[2].removesuffix(".metadata")
        if wanted not in files:
            return Reply(status=404, body=b"no such file", content_type="text/plain")
        return Reply(body=files[wanted].metadata if parts[2].endswith(".metadata") else files[wanted].content)


def _handler(index: LoopbackIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reply = index.answer(self.path, self.headers.get("Accept", ""))
            if index.login and self.headers.get("Authorization") != _basic(index.login):
                reply = Reply(status=401, body=b"who are you?", content_type="text/plain")
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that is overridden)
            pass

    return Handler


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()


def _list_json(name: str, files: dict[str, File], yanked: dict[str, str]) -> Reply:
    listed = [
        {
            "filename": file.name,
            "url": file.name,
            "hashes": {"sha256": file.sha256},
            "requires-python": file.requires_python,
            "size": len(file.content),
            "yanked": yanked.get(file.name, False),
            "core-metadata": {"sha256": hashlib.sha256(file.metadata).hexdigest()} if file.metadata else False,
        }
        for file in files.values()
    ]
    document = {"meta": {"api-version": "1.1"}, "name": name, "files": listed, "versions": []}
    return Reply(body=json.dumps(document).encode(), content_type=JSON_TYPE)


def _list_html(files: dict[str, File], yanked: dict[str, str]) -> Reply:
    links = "<br>".join(_link(file, yanked.get(file.name)) for file in files.values())
    return Reply(body=f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), content_type="text/html")


def _link(file: File, yanked: str | None) -> str:
    attributes = "" if yanked is None else f' data-yanked="{html.escape(yanked)}"'
    if file.requires_python:
        attributes += f' data-requires-python="{html.escape(file.requires_python)}"'
    return f'<a href="{file.name}#sha256={file.sha256}"{attributes}>{file.name}</a>'


# ---- files -----------------------------------------------------------------------------------------------------------


def _escaped(name: str) -> str:
    return canonicalize_name(name).replace("-", "_")


def _metadata(name: str, version: str, requires: tuple[str, ...], requires_python: str | None) -> str:
    extras = sorted({extra for text in requires for extra in _extras(Requirement(text))})
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {text}" for text in requires]
    return "\n".join(lines) + "\n"


def _extras(requirement: Requirement) -> Iterator[str]:
    """The extras that a requirement's marker names."""
    words = str(requirement.marker or "").replace("'", '"').split()
    for position, word in enumerate(words):
        if word.strip("()") == "extra" and words[position + 1] == "==":
            yield words[position + 2].strip('()"')


def _wheel(name: str, version: str, tag: str, metadata: str) -> bytes:
    info = f"{_escaped(name)}-{version}.dist-info"
    module = f"{_escaped(name)}.py"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in {
            module: f"VERSION = {version!r}\n",
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{info}/RECORD": f"{module},,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
        }.items():
            # A fixed date keeps the bytes, and so the hash, the same.
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def _source(name: str, version: str, metadata: str) -> bytes:
    top = f"{_escaped(name)}-{version}"
    texts = {
        "PKG-INFO": metadata,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": _BACKEND.format(name=_escaped(name), version=version, metadata=metadata),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in texts.items():
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _tags(release: Release, platforms: tuple[str, ...], pythons: tuple[str, ...]) -> Iterator[str]:
    for platform in platforms:
        wheels = release.platforms.get(platform)
        if wheels is None:
            continue
        where = _PLATFORM_TAGS[platform].format(glibc=(wheels.glibc or "2.17").partition(".")[2])
        if wheels.pythons is None:
            yield f"py3-none-{where}"
            continue
        for python in pythons:
            if python in wheels.pythons:
                tag = f"cp{python.replace('.', '')}"
                yield f"{tag}-{tag}-{where}"


def _versions_for(specifiers: Iterable[str]) -> set[str]:
    """Versions of which each specifier admits one: those that it names, and 1.0 where it names none."""
    found = set()
    for text in specifiers:
        named = [one.version.removesuffix(".*") for one in Requirement(f"x{text}").specifier if one.operator != "!="]
        admitted = [version for version in named if Requirement(f"x{text}").specifier.contains(version)]
        found.update(admitted or ["1.0"])
    return found
