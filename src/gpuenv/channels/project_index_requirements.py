"""What a wheel on a project's own index requires: from the metadata beside it (PEP 658), or else from its end, by
ranges. Kept under the wheel's sha256, since it never changes.
"""

from __future__ import annotations

import hashlib
from email.message import Message

from packaging.version import InvalidVersion, Version

from gpuenv._net import Client
from gpuenv.artifacts.wheel_metadata import first_value, parse_headers, requirements_of
from gpuenv.artifacts.wheels import read_core_metadata
from gpuenv.channels.index_logins import credentials_for
from gpuenv.channels.project_index_cache import IndexCache, KeptRequirements
from gpuenv.channels.project_index_releases import IndexedRelease
from gpuenv.errors import FormatError, GpuenvError
from gpuenv.model import Artifact, ArtifactKind

__all__ = ["read_requirements"]

_LARGEST_METADATA = 4 << 20
_MOST_REQUIREMENTS = 2000


def read_requirements(client: Client, release: IndexedRelease, index: str, cache: IndexCache) -> KeptRequirements:
    """What the wheel requires; `index` is the address whose login may be that of the file.

    UnavailableError where the server does not give it, FormatError where it is not the metadata of this release.
    """
    headers = _beside(client, release, index)
    if headers is None or not headers.keys():
        headers = _inside(client, release, index)
    try:
        version = Version(first_value(headers, "Version") or "")
    except InvalidVersion as error:
        raise _not_of_it(release, str(error)) from error
    if version.public != str(release.version):
        raise _not_of_it(release, f"it is of version {version}")
    requires = requirements_of(headers)
    if len(requires) > _MOST_REQUIREMENTS:
        raise _not_of_it(release, f"it has {len(requires)} requirements")
    found = KeptRequirements(requires=requires, requires_python=first_value(headers, "Requires-Python"))
    cache.keep_requirements(release.file.sha256 or "", found)
    return found


def _beside(client: Client, release: IndexedRelease, index: str) -> Message | None:
    file = release.file
    if not file.has_metadata:
        return None
    address, _, query = file.url.partition("?")
    url = f"{address}.metadata" + (f"?{query}" if query else "")
    try:
        content = client.get_bytes(url, limit=_LARGEST_METADATA, credentials=credentials_for(url, indexes=(index,)))
    except GpuenvError:
        return None
    if file.metadata_sha256 and hashlib.sha256(content).hexdigest() != file.metadata_sha256:
        raise _not_of_it(release, "its sha256 is not the one that the index tells")
    return parse_headers(content)


def _inside(client: Client, release: IndexedRelease, index: str) -> Message:
    file = release.file
    artifact = Artifact(
        kind=ArtifactKind.WHEEL, name=release.wheel, version=str(release.version), filename=file.filename
    )
    opened = client.open(
        file.url,
        size_bytes=file.size_bytes,
        name=file.filename,
        credentials=credentials_for(file.url, indexes=(index,)),
    )
    try:
        return read_core_metadata(opened, artifact)
    finally:
        opened.close()


def _not_of_it(release: IndexedRelease, reason: str) -> FormatError:
    return FormatError(f"the metadata of `{release.file.filename}` cannot be used", reasons=(reason,))
