"""The core metadata of a release, and which of its requirements matter to a GPU layer."""

from __future__ import annotations

import hashlib
import re
from email.message import Message

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gpuenv._net import Client
from gpuenv.artifacts.sdists import read_sdist
from gpuenv.artifacts.wheel_metadata import parse_headers, requirements_of
from gpuenv.artifacts.wheels import read_core_metadata
from gpuenv.channels.building.fitting import PLATFORM_ORDER, is_pure, pick_wheel
from gpuenv.channels.index_logins import credentials_for
from gpuenv.channels.simple_index import ListedFile
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind

__all__ = ["Metadata", "read_metadata", "requirements_that_matter"]

_LARGEST_METADATA = 4 << 20
# What else a release requires is the resolver's business when a plan is made.
_MATTERS = re.compile(
    r"nvidia-.+|cuda-.+|triton|pytorch-triton|numpy|jax|jaxlib|jax-.+-(plugin|pjrt)|torch|tensorflow.*"
    r"|keras|tf-keras|llvmlite|numba.*|cupy|cupy-cuda(102|1\dx)|protobuf|setuptools"
    r"|torchvision|torchaudio|torchdata|xformers|flash-attn.*|flashinfer.*|thinc|spacy|tensorrt.*"
    r"|(lib|pylib)?(cudf|cuml|rmm|raft|cuvs|kvikio)-cu\d+"
)
# The extra `all` repeats the others.
_ALL_EXTRAS = re.compile(r'extra == "all"')

Metadata = tuple[str | None, tuple[str, ...]]
"""`Requires-Python`, and the requirements that matter."""


def read_metadata(client: Client, index: str, files: tuple[ListedFile, ...]) -> Metadata:
    """From one wheel (Linux x86_64 where there is one), else from the source distribution.

    RequestError, UnavailableError or FormatError where it cannot be had or read.
    """
    chosen = next((wheel for key in PLATFORM_ORDER if (wheel := pick_wheel(files, key))), None)
    chosen = chosen or next((file for file in files if is_pure(file)), None)
    chosen = chosen or next((file for file in files if file.is_wheel), files[0])
    if not chosen.is_wheel:
        return chosen.requires_python, requirements_that_matter(_requirements_of_sdist(client, index, chosen))
    headers = _beside(client, index, chosen) or _inside(client, index, chosen)
    return headers.get("Requires-Python") or chosen.requires_python, requirements_that_matter(requirements_of(headers))


def requirements_that_matter(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The requirements whose name matters to a GPU layer, normalised and sorted, with their markers and extras."""
    kept = set()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        requirement.name = str(canonicalize_name(requirement.name))
        if _MATTERS.fullmatch(requirement.name) and not _ALL_EXTRAS.search(str(requirement.marker or "")):
            kept.add(str(requirement))
    return tuple(sorted(kept))


def _beside(client: Client, index: str, file: ListedFile) -> Message | None:
    """The metadata that the index serves beside the wheel (PEP 658); None where it has none, or others."""
    if not file.has_metadata:
        return None
    address, _, query = file.url.partition("?")
    address = f"{address}.metadata" + (f"?{query}" if query else "")
    try:
        content = client.get_bytes(address, limit=_LARGEST_METADATA, credentials=_login(file, index))
    except RequestError:
        return None
    if file.metadata_sha256 and hashlib.sha256(content).hexdigest() != file.metadata_sha256:
        return None
    return parse_headers(content)


def _inside(client: Client, index: str, file: ListedFile) -> Message:
    artifact = Artifact(kind=ArtifactKind.WHEEL, name=file.filename.partition("-")[0])
    with client.open(
        file.url, size_bytes=file.size_bytes, name=file.filename, credentials=_login(file, index)
    ) as source:
        return read_core_metadata(source, artifact)


def _requirements_of_sdist(client: Client, index: str, file: ListedFile) -> tuple[str, ...]:
    artifact = Artifact(kind=ArtifactKind.SDIST, name=file.filename.partition("-")[0])
    with client.open(
        file.url, size_bytes=file.size_bytes, name=file.filename, credentials=_login(file, index)
    ) as source:
        reading = read_sdist(source, artifact)
    if not reading.complete:
        raise UnavailableError(f"`{file.filename}` breaks off", reasons=reading.problems)
    return reading.requires


def _login(file: ListedFile, index: str) -> tuple[str, str] | None:
    return credentials_for(file.url, indexes=(index,))
