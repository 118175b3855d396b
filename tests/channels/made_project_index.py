"""An index of PyTorch's layout on the loopback interface: one directory per CUDA line, HTML pages, local versions that
are percent-encoded in addresses, real wheels, and no sizes.

    index = MadeProjectIndex()
    index.add("cu126", "torch", "2.9.1", requires=["nvidia-cudnn-cu12==9.10.2.21"])
    with index.serving() as url:
        monkeypatch.setenv("GPUENV_INDEX_PYTORCH", url)

Files come in ranges, so that uv and gpuenv read the metadata of a wheel as they do on the real one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import quote, unquote

from artifacts.made_wheels import wheel
from gpuenv.channels.assumptions import with_assumptions
from gpuenv.channels.catalog import find_project
from gpuenv.channels.project_indexes import IndexAnswer, with_project_indexes
from gpuenv.machines.written import parse_machine
from gpuenv.model import Machine
from loopback_server import serving

__all__ = ["CPU_ONLY", "H100", "P100", "TAG", "MadeProjectIndex", "add_torch", "ask", "described", "named"]


def described(text: str) -> Machine:
    """The machine of a short form, as a plan takes it."""
    return with_assumptions(parse_machine(text), "3.11")


P100 = described("gpu=P100,driver=550.54.15")
H100 = described("gpu=H100,driver=580.65.06")
CPU_ONLY = described("gpu=none")

TAG = "cp311-cp311-manylinux_2_28_x86_64"
"""The tags of a wheel where a test does not say others."""


@dataclass(kw_only=True)
class MadeFile:
    """One file of a page, and what the page says of it."""

    content: bytes
    metadata: bytes | None = None
    hashed: bool = True
    attributes: str = ""


@dataclass
class MadeProjectIndex:
    """Files by line, project and name. `always` answers every request for a page, `delay` comes before each answer,
    and `pause` before each 64 KiB of a file.
    """

    lines: dict[str, dict[str, dict[str, MadeFile]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    always: tuple[int, dict[str, str], bytes] | None = None
    delay: float = 0.0
    pause: float = 0.0
    ranges: bool = True
    sent_bytes: int = 0

    def add(
        self,
        line: str,
        name: str,
        version: str,
        *,
        requires: Iterable[str] = (),
        tag: str = TAG,
        local: str | None = None,
        beside: bool = True,
        hashed: bool = True,
        attributes: str = "",
        label: str = "",
        members: dict[str, bytes] | None = None,
    ) -> str:
        """Add a wheel and give its name. `local` is the local version (that of the line by itself, empty for none);
        `beside` says whether its metadata stand beside it (PEP 658).
        """
        own = line if local is None else local
        full = f"{version}+{own}" if own else version
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {full}"]
        metadata = "\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires), "", ""])
        content = wheel(
            {f"{name}/__init__.py": b"", **(members or {})}, name=name, version=full, tags=(tag,), metadata=metadata
        )
        filename = f"{name}-{full}-{tag}{f'-{label}' if label else ''}.whl"
        made = MadeFile(
            content=content, metadata=metadata.encode() if beside else None, hashed=hashed, attributes=attributes
        )
        self.lines.setdefault(line, {}).setdefault(name, {})[filename] = made
        return filename

    def sha256(self, line: str, name: str, filename: str) -> str:
        """The hash of a file."""
        return hashlib.sha256(self.lines[line][name][filename].content).hexdigest()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Inside, the index is at the address given, to which `/cu126` and the like are added."""
        with serving(_handler(self)) as host:
            yield f"http://{host}/whl"

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if len(parts) == 3:
            parts[2] = parts[2].replace("-", "_")
        if len(parts) == 3 and parts[2] in self.lines.get(parts[1], {}):
            page = self._page(parts[1], parts[2])
            return 200, {"Content-Type": "text/html"}, page.encode()
        if len(parts) == 4:
            files = self.lines.get(parts[1], {}).get(parts[2], {})
            name = parts[3].removesuffix(".metadata")
            if name in files and parts[3] == name:
                return 200, {"Content-Type": "binary/octet-stream"}, files[name].content
            if name in files and (metadata := files[name].metadata) is not None:
                return 200, {"Content-Type": "binary/octet-stream"}, metadata
        return 404, {"Content-Type": "text/html"}, b"<h1>not found</h1>"

    def _page(self, line: str, name: str) -> str:
        links = []
        for filename, file in self.lines[line][name].items():
            digest = f"#sha256={hashlib.sha256(file.content).hexdigest()}" if file.hashed else ""
            told = ""
            if file.metadata is not None:
                hashed = hashlib.sha256(file.metadata).hexdigest()
                told = f' data-dist-info-metadata="sha256={hashed}" data-core-metadata="sha256={hashed}"'
            address = f"/whl/{line}/{name}/{quote(filename)}"
            links.append(f'<a href="{address}{digest}"{told} {file.attributes}>{filename}</a><br/>')
        return f"<!DOCTYPE html>\n<html><body><h1>Links for {name}</h1>{''.join(links)}</body></html>\n"


def _handler(index: MadeProjectIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, *, body: bool = True) -> None:
            index.asked.append(self.path)
            time.sleep(index.delay)
            status, headers, content = index.always or index.answer(self.path)
            total = len(content)
            wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            headers = dict(headers)
            if wanted and status == 200 and index.ranges:
                start = int(wanted[1]) if wanted[1] else max(0, total - int(wanted[2]))
                stop = min(total, int(wanted[2]) + 1) if wanted[1] and wanted[2] else total
                status, content = 206, content[start:stop]
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
            self.send_response(status)
            for name, value in {"Accept-Ranges": "bytes", **headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            for start in range(0, len(content) if body else 0, 1 << 16):
                time.sleep(index.pause if total > 1 << 16 else 0)
                self.wfile.write(content[start : start + (1 << 16)])
            index.sent_bytes += len(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that is overridden)
            pass

    return Handler


# ---- asking ----------------------------------------------------------------------------------------------------------


def add_torch(index: MadeProjectIndex, line: str, minor: int, **options: object) -> None:
    """A release of torch with the torchvision and torchaudio that are made for it."""
    cudnn = ["nvidia-cudnn-cu12==9.10.2.21; platform_system == 'Linux'"] if line.startswith("cu12") else []
    index.add(line, "torch", f"2.{minor}.0", requires=["filelock", *cudnn], **options)  # type: ignore[arg-type]
    pinned = [f"torch==2.{minor}.0"]
    index.add(line, "torchvision", f"0.{minor + 15}.0", requires=pinned, **options)  # type: ignore[arg-type]
    index.add(line, "torchaudio", f"2.{minor}.0", requires=pinned, **options)  # type: ignore[arg-type]


def ask(*names: str, machine: Machine = P100, **options: object) -> IndexAnswer:
    """What the own indexes of these projects have for a machine."""
    projects = [project for name in names or ("pytorch",) if (project := find_project(name))]
    return with_project_indexes(
        projects,
        machine.platform,
        "3.11",
        machines=(machine,),
        **options,  # type: ignore[arg-type]
    )


def named(answer: IndexAnswer, project: str = "pytorch") -> set[tuple[str, str]]:
    """Versions and build strings."""
    return {(build.version, build.build) for build in answer.builds.get(project, ())}
