"""Makes conda packages of both forms, whole and broken ones, and a source that can fail while it is read."""

from __future__ import annotations

import bz2
import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from backports import zstd

from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind

KERNEL = "__global__ void twice(float *x) { x[threadIdx.x] *= 2.0f; }\n"
INDEX: dict[str, Any] = {
    "name": "demo",
    "version": "1.2",
    "build": "py311_0",
    "build_number": 0,
    "subdir": "linux-64",
    "depends": ["__glibc >=2.28,<3.0.a0", "cuda-version >=12.4,<13", "python >=3.11,<3.12.0a0", "python_abi 3.11.*"],
    "constrains": ["cupy >=13"],
}
DIST = "demo-1.2-py311_0"
CONDA = Artifact(kind=ArtifactKind.CONDA, name="demo")


class BytesSource:
    """Bytes as a remote source. Whoever takes a byte at or after `fails_at` gets an UnavailableError.
    With `opens` that holds only for requests that begin before it.
    """

    def __init__(self, content: bytes, name: str, *, fails_at: int | None = None, opens: bool = False) -> None:
        self.content = content
        self.name = name
        self.location = f"https://index.invalid/{name}"
        self.size_bytes = len(content)
        self.fetched_bytes = 0
        self.requests = 0
        self._fails_at = len(content) + 1 if fails_at is None else fails_at
        self._opens = opens

    def read(self, start: int, stop: int) -> bytes:
        """Exactly these bytes."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The same in chunks, as many as come before the failure."""
        if not 0 <= start <= stop <= self.size_bytes:
            raise FormatError("past the end")
        self.requests += 1
        for at in range(start, stop, 4096):
            piece = self.content[at : min(at + 4096, stop)]
            if at + len(piece) > self._fails_at and not (self._opens and start >= self._fails_at):
                raise UnavailableError("the server went away", reasons=("connection reset",))
            self.fetched_bytes += len(piece)
            yield piece


def entry(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive; `fields` are those of `TarInfo`."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(entries: Iterable[tuple[tarfile.TarInfo, bytes]], *, form: Literal[0, 1, 2] = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of these members, with its end mark."""
    body = b"".join(
        info.tobuf(form, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512) for info, content in entries
    )
    return body + bytes(1024)


def files_tar(files: dict[str, bytes]) -> bytes:
    """A tar archive of plain files."""
    return tar(entry(name, content) for name, content in files.items())


def index_entry(**changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """`info/index.json` of the demo package; a change to None takes a field away."""
    fields = {name: value for name, value in {**INDEX, **changes}.items() if value is not None}
    return entry("info/index.json", json.dumps(fields).encode())


def info_tar(**changes: Any) -> bytes:
    """The `info` part."""
    return tar([index_entry(**changes), entry("info/about.json", b"{}")])


def conda(
    package: bytes,
    *,
    info: bytes | None = None,
    dist: str = DIST,
    members: dict[str, bytes] | None = None,
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    """A `.conda` file around the tar archive `package`; `members` are more members of the zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{dist}.tar.zst", zstd.compress(package))
        archive.writestr(f"info-{dist}.tar.zst", zstd.compress(info_tar() if info is None else info))
        for name, content in (members or {}).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def both_forms(files: dict[str, bytes], **changes: Any) -> list[BytesSource]:
    """The same package as `.conda`, as `.tar.bz2`, and as `.tar.bz2` with its metadata last."""
    plain = [entry(name, content) for name, content in files.items()]
    index = index_entry(**changes)
    return [
        BytesSource(conda(tar(plain), info=tar([index])), f"{DIST}.conda"),
        BytesSource(bz2.compress(tar([index, *plain])), f"{DIST}.tar.bz2"),
        BytesSource(bz2.compress(tar([*plain, index])), f"{DIST}.tar.bz2"),
    ]


def compile_library(folder: Path, *, soname: str = "libdemo.so.1") -> bytes:
    """A shared library of this machine's own compiler, which must be there."""
    source, built = folder / "demo.c", folder / "libdemo.so"
    source.write_text('#include <stdio.h>\nint demo(void) { return puts("demo"); }\n')
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", str(source), "-o", str(built)]
    subprocess.run(command, check=True, capture_output=True)
    return built.read_bytes()


def compile_kernel(folder: Path, *architectures: int) -> bytes:
    """A shared library with a kernel as SASS for these architectures, and as PTX for the last one."""
    source, built = folder / "kernel.cu", folder / "kernel.so"
    source.write_text(KERNEL)
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
    targets.append(f"-gencode=arch=compute_{architectures[-1]},code=compute_{architectures[-1]}")
    command = ["nvcc", "-shared", "-Xcompiler", "-fPIC", *targets, str(source), "-o", str(built)]
    subprocess.run(command, check=True, capture_output=True)
    return built.read_bytes()


def has_compiler(name: str) -> bool:
    """Whether this compiler is here."""
    return shutil.which(name) is not None
