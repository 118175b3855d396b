"""One native file by itself: a shared library, a DLL, a program, a static archive, or bare GPU code."""

from __future__ import annotations

import codecs
import re
from itertools import chain
from pathlib import Path

import msgspec

from gpuenv.artifacts.native_files import read_local_file, read_passing_file
from gpuenv.artifacts.sources import LocalSource, Source
from gpuenv.binaries.binary import START_BYTES, BinaryKind, detect_kind
from gpuenv.errors import FormatError
from gpuenv.model import Artifact, NativeFile, Reading

__all__ = ["describe_start", "read_bare_file"]

_SYSTEMS = {BinaryKind.ELF: "linux", BinaryKind.OBJECT: "linux", BinaryKind.PE: "windows", BinaryKind.MACH_O: "macos"}
_CAN_BE_READ = (
    "what can be inspected: shared libraries, DLLs, programs, `.a`, `.cubin`, `.fatbin` and `.ptx` files, wheels"
    " (`.whl`), conda packages (`.conda`, `.tar.bz2`), sdists, environments, lists of requirements, names of packages"
)
# How other files begin that people have at hand in place of a library.
_STARTS = (
    (rb"PK\x03\x04|PK\x05\x06", "a zip archive without the name of a wheel or conda package"),
    (rb"\x1f\x8b", "a gzip archive without the name of a package"),
    (rb"BZh", "a bzip2 archive without the name of a package"),
    (rb"\xfd7zXZ\x00", "an xz archive without the name of a package"),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive without the name of a package"),
    (rb"!<thin>\n", "a thin archive, which names its members and does not hold them"),
    (rb"version https://git-lfs", "a pointer of Git LFS in place of the file"),
    (rb"(?i)\s{0,64}<(?:!doctype\s+html|html|head)\b", "an HTML page"),
    (rb"(?s)\s{0,64}(?:/\*.{0,200}\bld script\b|(?:INPUT|GROUP|OUTPUT_FORMAT)\s*\()", "a script for the linker"),
    (rb"#!", "a script"),
)


def read_bare_file(source: Source, artifact: Artifact) -> Reading:
    """What the file holds: mapped where it is on this disk, streamed once where it is not.

    FormatError, which says what it is, when it is no native file or a broken one; errors of the source pass through.
    """
    if not source.size_bytes:
        raise FormatError(f"`{source.name}` is empty", reasons=(_CAN_BE_READ,))
    file = _read_here(source) if isinstance(source, LocalSource) else _read_passing(source)
    if file.problem:
        raise FormatError(f"`{source.name}` is broken", reasons=(file.problem,))
    described = msgspec.structs.replace(
        artifact,
        name=source.name,
        filename=artifact.filename or source.name,
        location=artifact.location or source.location,
        size_bytes=source.size_bytes,
        platforms=_platforms(file),
    )
    return Reading(artifact=described, files=(file,), members=1)


def _read_here(source: LocalSource) -> NativeFile:
    start = source.read(0, min(START_BYTES, source.size_bytes))
    _check_start(start, source.name)
    file = read_local_file(Path(source.location), path=source.name)
    if not file:
        raise FormatError(f"`{source.name}` became another file while it was read")
    return file


def _read_passing(source: Source) -> NativeFile:
    chunks = source.stream(0, source.size_bytes)
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= START_BYTES:
            break
    _check_start(start[:START_BYTES], source.name)
    file = read_passing_file(chain([start], chunks), path=source.name, size_bytes=source.size_bytes)
    if not file:
        raise FormatError(f"`{source.name}` became another file while it was read")
    return file


def _check_start(start: bytes, name: str) -> None:
    """FormatError unless a native file begins like this."""
    try:
        detect_kind(start)
    except FormatError as error:
        broken = (error.message,) if start[:4] == b"\x7fELF" else ()
        what = "a broken ELF file" if broken else describe_start(start, name)
        raise FormatError(f"`{name}` is {what}", reasons=(*broken, _CAN_BE_READ)) from error


def describe_start(start: bytes, name: str) -> str:
    """What a file that begins like this is, for a message: `an HTML page`."""
    for pattern, what in _STARTS:
        if re.match(pattern, start):
            return what
    try:
        # One that is fed piece by piece does not mind that the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return "no native library, object, archive or GPU code"
    return "Python source" if name.lower().endswith((".py", ".pyi")) else "text, no native file"


def _platforms(file: NativeFile) -> tuple[str, ...]:
    system = _SYSTEMS.get(BinaryKind(file.kind)) if file.kind else None
    if not system or (not file.machine and system != "macos"):
        return ()
    # A file of Apple's without a processor of its own holds code for both.
    machines = (file.machine,) if file.machine else ("aarch64", "x86_64")
    return tuple(f"{system}-{machine}" for machine in machines)
