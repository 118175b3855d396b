"""Small wheels whose RECORD is true, and ones that lie."""

from __future__ import annotations

import base64
import hashlib
import stat
import subprocess
import sysconfig
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["LittleWheel", "compile_extension", "record_line"]


def record_line(path: str, content: bytes) -> str:
    """A line of a RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}"


@dataclass(frozen=True, kw_only=True)
class LittleWheel:
    """`files` are beside the metadata; `record` replaces lines of the RECORD by path, None leaves one out; `links` are
    members that are symbolic links; `extra` are members that no RECORD knows.
    """

    name: str = "toy"
    version: str = "1.0"
    tag: str = "py3-none-any"
    files: Mapping[str, bytes] = field(default_factory=dict)
    requires: Sequence[str] = ()
    requires_python: str | None = None
    headers: Sequence[str] = ()
    entry_points: str | None = None
    executable: frozenset[str] = frozenset()
    record: Mapping[str, str | None] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, bytes] = field(default_factory=dict)
    wheel_version: str = "1.0"

    @property
    def info(self) -> str:
        """Its `.dist-info` directory."""
        return f"{self.name}-{self.version}.dist-info"

    def members(self) -> dict[str, bytes]:
        """All files, the RECORD last."""
        lines = [f"Metadata-Version: 2.4\nName: {self.name}\nVersion: {self.version}", "Summary: A toy", *self.headers]
        lines += [f"Requires-Dist: {one}" for one in self.requires]
        lines += [f"Requires-Python: {self.requires_python}"] if self.requires_python else []
        pure = "true" if self.tag.endswith("-any") else "false"
        words = f"Wheel-Version: {self.wheel_version}\nRoot-Is-Purelib: {pure}\nTag: {self.tag}\n"
        about = {
            f"{self.info}/METADATA": "\n".join([*lines, "", "What it is for."]).encode(),
            f"{self.info}/WHEEL": words.encode(),
        }
        if self.entry_points is not None:
            about[f"{self.info}/entry_points.txt"] = self.entry_points.encode()
        found = {**self.files, **about}
        recorded = {path: record_line(path, content) for path, content in found.items()}
        recorded |= {path: line or "" for path, line in self.record.items()}
        text = "\n".join([*(line for line in recorded.values() if line), f"{self.info}/RECORD,,", ""])
        return {**found, **self.extra, f"{self.info}/RECORD": text.encode()}

    def write(self, folder: Path) -> Path:
        """Writes the wheel; gives its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}-{self.version}-{self.tag}.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.members().items():
                entry = zipfile.ZipInfo(name, (2026, 10, 5, 10, 0, 0))
                mode = 0o755 if name in self.executable else 0o644
                entry.external_attr = (stat.S_IFREG | mode) << 16
                archive.writestr(entry, content)
            for name, target in self.links.items():
                entry = zipfile.ZipInfo(name, (2026, 10, 5, 10, 0, 0))
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(entry, target)
        return path


_SOURCE = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_toy", NULL, -1, methods};
PyMODINIT_FUNC PyInit__toy(void) { return PyModule_Create(&module); }
"""


def compile_extension(folder: Path) -> bytes | None:
    """An extension module `_toy` for the Python that runs; None where it has no headers."""
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").is_file():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    source, built = folder / "toy.c", folder / "_toy.so"
    source.write_text(_SOURCE)
    command = ["gcc", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(built)]
    subprocess.run(command, check=True, capture_output=True)
    return built.read_bytes()
