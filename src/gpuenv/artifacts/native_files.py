"""Which files of an artifact can hold GPU code, and what one of them holds as a `NativeFile`."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpuenv.artifacts.sources import cannot_open
from gpuenv.binaries.binary import START_BYTES, Binary, detect_kind, read_binary
from gpuenv.binaries.stream import read_stream
from gpuenv.errors import FormatError
from gpuenv.model import Jit, NativeFile

__all__ = ["file_name", "is_native_name", "is_perhaps_program", "read_local_file", "read_passing_file"]

_NATIVE = re.compile(r".+\.(?:so(?:\.[\w.]+)?|pyd|dll|dylib|exe|a|lib|o|obj|cubin|fatbin|ptx|metallib)", re.IGNORECASE)
_SMALLEST_PROGRAM_BYTES = 4096
# What asks the driver or a compiler for PTX, and what gives machine code that the driver only loads.
_GIVES_PTX = frozenset({"nvrtcGetPTX", "nvvmGetCompiledResult"})
_GIVES_SASS = (
    "nvrtcGetCUBIN",
    "nvJitLinkGetLinkedCubin",
    "__nvJitLinkGetLinkedCubin",
    "nvPTXCompilerGetCompiledProgram",
)


def file_name(path: str) -> str:
    """The last part of a path in an archive, whichever slash it is written with."""
    return path.replace("\\", "/").rpartition("/")[2]


def is_native_name(path: str) -> bool:
    """Whether a file of this name is a native library, program, archive of objects, or bare GPU code."""
    return _NATIVE.fullmatch(file_name(path)) is not None


def is_perhaps_program(path: str, size_bytes: int, *, executable: bool) -> bool:
    """Whether a file without an extension may be a program, such as `ptxas`; its first bytes tell."""
    return executable and "." not in file_name(path) and size_bytes >= _SMALLEST_PROGRAM_BYTES


def read_passing_file(chunks: Iterable[bytes], *, path: str, size_bytes: int) -> NativeFile | None:
    """What a file holds whose bytes pass by; all of them are taken. None when it is no native file after all (a
    script, a linker script named `.so`). A broken one comes with its `problem`; errors of `chunks` pass through.
    """
    source = iter(chunks)
    start = b""
    for chunk in source:
        start += chunk
        if len(start) >= START_BYTES:
            break
    try:
        detect_kind(start[:START_BYTES])
    except FormatError:
        for _ in source:
            pass
        return None
    passing = _Passing(start, source)
    try:
        binary = read_stream(passing, name=file_name(path))
    except FormatError as error:
        if passing.error:
            raise passing.error from error
        for _ in passing:
            pass
        return NativeFile(path=path, size_bytes=size_bytes, problem=error.message)
    return _describe(binary, path=path, size_bytes=size_bytes)


class _Passing:
    """The chunks of a file, and the error of whoever brings them, which is not the file's own."""

    def __init__(self, start: bytes, rest: Iterator[bytes]) -> None:
        self._start = start
        self._rest = rest
        self.error: FormatError | None = None

    def __iter__(self) -> Iterator[bytes]:
        start, self._start = self._start, b""
        if start:
            yield start
        try:
            yield from self._rest
        except FormatError as error:
            self.error = error
            raise


def read_local_file(place: Path, *, path: str) -> NativeFile | None:
    """What the file at `place` holds, read where it lies; as `read_passing_file` otherwise.

    RequestError when there is none, UnavailableError when it cannot be read.
    """
    try:
        with place.open("rb") as file:
            size = place.stat().st_size
            if not size:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                try:
                    detect_kind(bytes(buffer[:START_BYTES]))
                except FormatError:
                    return None
                try:
                    return _describe(read_binary(buffer, name=file_name(path)), path=path, size_bytes=size)
                except FormatError as error:
                    return NativeFile(path=path, size_bytes=size, problem=error.message)
    except (OSError, ValueError) as error:
        raise cannot_open(place, error if isinstance(error, OSError) else OSError(str(error))) from error


def _describe(binary: Binary, *, path: str, size_bytes: int) -> NativeFile:
    links, runtime = binary.links, binary.static_runtime
    return NativeFile(
        path=path,
        kind=binary.kind.value,
        size_bytes=size_bytes,
        machine=binary.machine,
        code=binary.code,
        entry_kinds=binary.entry_kinds,
        compressions=binary.compressions,
        soname=links.soname if links else None,
        needed=(*links.needed, *links.delayed) if links else None,
        opened=tuple(library.file for library in binary.opened),
        tools=binary.tools,
        jit=binary.jit,
        hands_over=_hands_over(links.cuda_symbols or ()) if links else None,
        compiler=binary.compiler,
        static_runtime=runtime is not None,
        static_runtime_version=runtime.version if runtime else None,
        other_vendors=binary.other_vendors,
        glibc=links.glibc if links else None,
    )


def _hands_over(symbols: tuple[str, ...]) -> Jit | None:
    """What a run-time compiler's result is when the driver gets it; None when no symbol tells."""
    if any(symbol.startswith(_GIVES_SASS) for symbol in symbols):
        return Jit.SASS
    return Jit.PTX if _GIVES_PTX & set(symbols) else None
