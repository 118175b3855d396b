"""Variant wheels (PEP 825) on a project's own index: builds like those of its lines, which no lock can hold yet.

uv 0.13 installs them with a preview feature but cannot write them into a pylock, so the rule `withdrawn` refuses them
with that reason, and the explanation of a plan names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from gpuenv.artifacts.cuda_lines import exact_line
from gpuenv.channels.project_index_pages import Page
from gpuenv.channels.project_index_releases import IndexedRelease
from gpuenv.channels.simple_index import ListedFile
from gpuenv.channels.variants import VARIANTS_ENDING, Variants, read_variants
from gpuenv.errors import FormatError
from gpuenv.versions import CudaVersion

__all__ = ["NOT_LOCKABLE", "described", "list_addresses"]

NOT_LOCKABLE = "it is a variant wheel (PEP 825), which uv 0.13 cannot write into a lock"

_CUDA = re.compile(r"\d{1,2}\.\d{1,2}", re.ASCII)


def list_addresses(
    releases: Mapping[IndexedRelease, Page], files: Mapping[Page, Iterable[ListedFile]]
) -> dict[IndexedRelease, str]:
    """Where the list of variants of each variant wheel is: as the page links it, else beside the wheel."""
    found: dict[IndexedRelease, str] = {}
    linked = {page: {file.filename: file.url for file in listed} for page, listed in files.items()}
    for release, page in releases.items():
        if release.label:
            name = "-".join(release.file.filename.split("-")[:2]) + VARIANTS_ENDING
            beside = release.file.url.partition("?")[0].rpartition("/")[0] + "/" + name.replace("+", "%2B")
            found[release] = linked.get(page, {}).get(name, beside)
    return found


def described(release: IndexedRelease, content: bytes | None) -> IndexedRelease | None:
    """The variant wheel with the CUDA that its list tells; None where it tells none, or is no list."""
    if content is None:
        return None
    variants: Variants | None = None
    with suppress(FormatError):
        variants = read_variants(content)
    properties = variants.labels.get(release.label) if variants else None
    bounds = properties.get("nvidia", {}).get("cuda_version_lower_bound", ()) if properties else ()
    exact = [CudaVersion(bound) for bound in bounds if _CUDA.fullmatch(bound)]
    return replace(release, cuda=exact_line(min(exact))) if exact else None
