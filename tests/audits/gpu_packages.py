"""Small conda packages with GPU code, whose metadata say what a test wants, and channels of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from binaries.made_files import container, entry, linked_elf
from gpuenv.audits import audit_packages
from gpuenv.model import AuditedPackage, AuditFinding, AuditReport
from little_channel import LittlePackage, make_channel

ELF, PTX = 2, 1
_SUFFIXES = {"a": 0x100000, "f": 0x200000}


def gpu_library(*images: str, needed: tuple[str, ...] = (), units: int = 3) -> bytes:
    """A shared library whose units all carry these images (`sm_90a`, `compute_90/ptx8.4`), linked with `needed`."""
    sections = {".text": b"\xc3" * 16}
    if images:
        sections[".nv_fatbin"] = container(*map(_entry, images)) * units
    return linked_elf(sections, needed=("libc.so.6", *needed), versions=("GLIBC_2.17",))


def _entry(image: str) -> bytes:
    target, _, isa = image.partition("/ptx")
    kind, number = (PTX if target.startswith("compute") else ELF), target.partition("_")[2]
    flags = 0x11 | sum(_SUFFIXES.get(letter, 0) for letter in number)
    major, _, minor = (isa or "0.0").partition(".")
    return entry(int(number.rstrip("af")), kind=kind, flags=flags, isa=(int(major), int(minor)))


def package(
    *images: str, needed: tuple[str, ...] = (), files: dict[str, bytes] | None = None, **words: Any
) -> LittlePackage:
    """A package `vectors` with one library."""
    library = {"lib/libvectors.so": gpu_library(*images, needed=needed)} if images or needed else {}
    given: dict[str, Any] = {"name": "vectors", "subdir": "linux-64", "build": "0", **words}
    return LittlePackage(files={**library, **(files or {})}, **given)


def cpu_package(**words: Any) -> LittlePackage:
    """The same package for the CPU."""
    return package(files={"lib/libvectors.so": linked_elf({".text": b"\xc3"}, needed=("libc.so.6",))}, **words)


def channel(folder: Path, *packages: LittlePackage, **more: Any) -> Path:
    """A channel of these packages."""
    return make_channel(folder / "channel", packages, **more)


def audit(*places: Path | str, **options: Any) -> AuditReport:
    """An audit without the cache of the user."""
    return audit_packages([str(place) for place in places], **{"cache": False, **options})


def rules(report: AuditReport, file: str | None = None) -> list[str]:
    """The rules that spoke, of all packages or of one."""
    return [one.rule for package in report.audited for one in package.findings if file in {None, package.file}]


def finding(report: AuditReport, rule: str) -> AuditFinding:
    """The one finding of a rule."""
    (found,) = [one for package in report.audited for one in package.findings if one.rule == rule]
    return found


def audited(report: AuditReport, file: str) -> AuditedPackage:
    """One package of a report."""
    return next(one for one in report.audited if one.file == file)


def patch_of(folder: Path, subdir: str = "linux-64") -> dict[str, Any]:
    """What a patch directory says of one directory of a channel."""
    document: dict[str, Any] = json.loads((folder / subdir / "patch_instructions.json").read_text())
    return document
