"""A little Python index made by hand, and what else the tests of environments share."""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import signal
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import loopback_server
from gpuenv.environments import layout
from gpuenv.model import Machine, OperatingSystem, Plan, System

PlanMaker = Callable[..., Plan]


PythonRunner = Callable[..., str]

_SYSTEMS = {"win32": OperatingSystem.WINDOWS, "darwin": OperatingSystem.MACOS}

# A build back end with one fixed answer. What it built says which version of it did.
_BACKEND = """
import os, zipfile
VERSION = {version!r}
def build_wheel(directory, settings=None, metadata=None):
    name, version = os.environ.get("NONE", "fromsource"), "1.0"
    info = f"{{name}}-{{version}}.dist-info"
    file = f"{{name}}-{{version}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, file), "w") as archive:
        archive.writestr(f"{{name}}.py", f"BUILT_WITH = {{VERSION!r}}\\n")
        archive.writestr(f"{{info}}/METADATA", f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n")
        archive.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{{info}}/RECORD", f"{{name}}.py,,\\n")
    return file
def build_sdist(directory, settings=None):
    raise RuntimeError("not asked for")
"""


@dataclass
class Index:
    """A simple index in a directory, to be served as `file://` or over HTTP."""

    root: Path

    @property
    def url(self) -> str:
        """The address to give to uv."""
        return self.root.as_uri()

    def wheel(
        self,
        name: str,
        version: str,
        *,
        files: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
        scripts: Mapping[str, str] | None = None,
    ) -> Path:
        """Add a pure wheel; without `files` it is one module that knows its version."""
        info = f"{name}-{version}.dist-info"
        content = dict(files or {f"{name}.py": f"VERSION = {version!r}\n"})
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
        content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        if scripts:
            lines = "".join(f"{word} = {entry}\n" for word, entry in scripts.items())
            content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
        content[f"{info}/RECORD"] = (
            "".join(_record(path, text) for path, text in content.items()) + f"{info}/RECORD,,\n"
        )
        path = self._place(name) / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for inside, text in content.items():
                archive.writestr(inside, text)
        self._list(name)
        return path

    def sdist(self, name: str, version: str, *, backend: str) -> Path:
        """Add a source distribution that is built with `backend`."""
        build = f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{backend}"\n'
        meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        path = self._place(name) / f"{name}-{version}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for inside, text in {"pyproject.toml": build, "PKG-INFO": meta}.items():
                entry = tarfile.TarInfo(f"{name}-{version}/{inside}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))
        self._list(name)
        return path

    def backend(self, version: str) -> None:
        """Add a version of the build back end `toybackend`, which builds `fromsource` 1.0."""
        self.wheel("toybackend", version, files={"toybackend.py": _BACKEND.format(version=version)})

    def sha256(self, filename: str) -> str:
        """The hash of one of its files."""
        (path,) = self.root.glob(f"*/{filename}")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def _place(self, name: str) -> Path:
        place = self.root / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _list(self, name: str) -> None:
        files = [path for path in sorted(self._place(name).iterdir()) if path.suffix in {".whl", ".gz"}]
        links = (
            f'<a href="{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>'
            for path in files
        )
        (self._place(name) / "index.html").write_text(f"<html><body>{'<br>'.join(links)}</body></html>")


def _record(path: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(text.encode())}\n"


class IndexHandler(SimpleHTTPRequestHandler):
    """Serves an index over HTTP. It answers no HEAD, so that uv does not ask for parts of a wheel."""

    def do_HEAD(self) -> None:
        """Refuse."""
        self.send_error(405)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name that is overridden)
        """Say nothing."""


@contextmanager
def serving(index: Index, handler: type[IndexHandler]) -> Iterator[str]:
    """Inside, the index is served with `handler` at the address given."""
    with loopback_server.serving(partial(handler, directory=str(index.root))) as host:
        yield f"http://{host}"


@dataclass
class Listener:
    """A `Reporter` that keeps what it was told."""

    steps: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        """Keep it."""
        self.steps.append(text)

    def detail(self, text: str) -> None:
        """Keep it."""
        self.details.append(text)


@dataclass
class Child:
    """Starts a line of Python as a process of its own, with `plan` read from a file."""

    folder: Path

    def start(self, code: str, **values: str) -> subprocess.Popen[str]:
        """The running process; `values` are names that the code can use."""
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        script = f"{given}{textwrap.dedent(code)}"
        return subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        )

    def run(self, code: str, **values: str) -> tuple[int, str, str]:
        """Its status and what it printed, after its end."""
        process = self.start(code, **values)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> None:
        """Kill it as `kill -9` does, and no process that it started."""
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)


def this_machine() -> Machine:
    """The computer that the tests run on, as far as an environment asks."""
    arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    return Machine(system=System(os=_SYSTEMS.get(sys.platform, OperatingSystem.LINUX), arch=arch))


def python_version(interpreter: str) -> str:
    """The minor version of an interpreter, such as 3.11."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def beside(prefix: Path) -> set[str]:
    """The names of what lies beside an environment on its account, except the lock."""
    return {path.name for path in prefix.parent.iterdir() if ".gpuenv-" in path.name} - {layout.lock_path(prefix).name}
