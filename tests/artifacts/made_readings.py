"""Readings for tests: recorded ones of real packages, and ones made by hand for what is not recorded."""

from __future__ import annotations

from pathlib import Path

from gpuenv.model import Artifact, ArtifactKind, LibraryCode, NativeFile, Reading, UnitGroup, from_json
from gpuenv.versions import CodeImage, CudaVersion, LibcVersion

RECORDED = Path(__file__).parent.parent / "data" / "readings"


def recorded(name: str) -> Reading:
    """What was read in a real wheel on 2026-11-24."""
    return from_json((RECORDED / f"{name}.json").read_bytes(), Reading)


def code(*images: str, units: int = 1, size: int = 1000) -> LibraryCode:
    """GPU code of units that all carry these images."""
    group = UnitGroup(images=tuple(map(CodeImage.parse, images)), units=units)
    return LibraryCode(name="x", groups=(group,), size_bytes=size)


def library(
    path: str,
    *,
    needed: tuple[str, ...] | None = (),
    has: LibraryCode | None = None,
    kind: str = "elf",
    soname: str | None = None,
    opened: tuple[str, ...] = (),
    tools: tuple[str, ...] = (),
    jit: tuple[str, ...] = (),
    compiler: str | None = None,
    runtime: str | None = None,
    vendors: tuple[str, ...] = (),
    glibc: str | None = None,
    problem: str | None = None,
    size: int = 5000,
) -> NativeFile:
    """One native file."""
    return NativeFile(
        path=path,
        kind=None if problem else kind,
        size_bytes=size,
        code=has,
        soname=soname,
        needed=needed,
        opened=opened,
        tools=tools,
        jit=jit or tools,
        compiler=CudaVersion(compiler) if compiler else None,
        static_runtime=runtime is not None,
        static_runtime_version=CudaVersion(runtime) if runtime else None,
        other_vendors=vendors,
        glibc=LibcVersion(glibc) if glibc else None,
        problem=problem,
    )


def reading(
    name: str,
    version: str = "1.0",
    *files: NativeFile,
    requires: tuple[str, ...] = (),
    constrains: tuple[str, ...] = (),
    imports: dict[str, str] | None = None,
    kind: ArtifactKind = ArtifactKind.WHEEL,
    build: str | None = None,
    platforms: tuple[str, ...] = ("linux-x86_64",),
    cuda_sources: int = 0,
    complete: bool = True,
) -> Reading:
    """What was read in one artifact."""
    artifact = Artifact(
        kind=kind, name=name, version=version, build=build, platforms=platforms, filename=f"{name}-{version}.whl"
    )
    return Reading(
        artifact=artifact,
        requires=requires,
        constrains=constrains,
        imports=imports or {},
        files=files,
        members=len(files),
        cuda_sources=cuda_sources,
        problems=() if complete else ("the connection broke off",),
        complete=complete,
    )
