"""Looks into wheels that nobody has read, while a plan is made, so that it rests on what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuenv.channels.catalog import Build
from gpuenv.channels.destinations import Destination
from gpuenv.errors import FormatError, GpuenvError, IntegrityError
from gpuenv.model import ArtifactKind, Reading, Reporter
from gpuenv.plans.knowledge import Knowledge, WheelRelease

if TYPE_CHECKING:
    from rattler import RepoDataRecord

    from gpuenv.targets.means import Means
    from gpuenv.targets.wanted import WantedFile

__all__ = ["Learner"]

_MOST_LOST = 2
"""After how many packages that a channel lists and does not give it is not asked for further ones."""


@dataclass(slots=True, kw_only=True)
class Learner:
    """Reads for one plan. `files` are those of builds that were read, by release, `readings` all others, by name.
    `lost` counts by channel the packages that could not be had.

    Most plans read nothing, so what reading takes is loaded and opened when it is needed (`open_means`).
    """

    knowledge: Knowledge
    destination: Destination
    offline: bool
    report: Reporter
    open_means: Callable[[], Means]
    files: dict[WheelRelease, WantedFile] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    _means: Means | None = None

    @property
    def means(self) -> Means:
        """The client, the cache and the threads; the same for the whole plan."""
        if self._means is None:
            self._means = self.open_means()
        return self._means

    def read_builds(self, builds: Iterable[Build]) -> None:
        """Reads the wheels of builds that nobody has read. What cannot be read is remembered with the reason."""
        from gpuenv.artifacts.needs import needs_of
        from gpuenv.targets.gather import look_into_each

        releases = self.knowledge.unread(builds)
        for release, build in releases.items():
            self.report.step(f"looking into {release[0]} {release[1]}")
            try:
                self.files[release] = self._file(release, build)
            except GpuenvError as error:
                self.knowledge.unreadable[release] = error.message
        found, problems = look_into_each([self.files[one] for one in releases if one in self.files], self.means)
        # Several channels may have files of one name.
        read = {one.reading.artifact.location: one.reading for one in found if one.reading.complete}
        for release, build in releases.items():
            file = self.files.get(release)
            reading = read.get(str(file.path or file.url)) if file else None
            if reading is not None and build.record is not None and (other := _other_package(reading, build.record)):
                self._give_up(release, build, (other,))
            elif reading is not None and build.record is not None:
                self.knowledge.needs[release] = needs_of(reading)
            elif reading is not None:
                self.knowledge.code[release] = needs_of(reading).libraries or ()
            else:
                self._give_up(release, build, problems)

    def _give_up(self, release: WheelRelease, build: Build, problems: tuple[GpuenvError, ...]) -> None:
        own = tuple(one for one in problems if release[0] in " ".join((one.message, *one.reasons))) or problems
        self.knowledge.unreadable.setdefault(release, _said(own))
        if build.channel is None or any(isinstance(one, FormatError | IntegrityError) for one in own):
            # What is wrong with one file says nothing of the others.
            if any(isinstance(one, IntegrityError) for one in own):
                self.knowledge.refused_files[release] = _said(own)
            return
        lost = self.lost[build.channel] = self.lost.get(build.channel, 0) + 1
        if self.offline or lost >= _MOST_LOST:
            # What others have would not be had either, and older releases are no better for being unread.
            self.knowledge.closed[build.channel] = _said(own)

    def read_files(self, files: Sequence[WantedFile]) -> tuple[GpuenvError, ...]:
        """Reads files that `uv` chose, and gives what went wrong; what could be read is in `readings`."""
        unread = [file for file in files if file.filename not in self.readings]
        if not unread:
            return ()
        from gpuenv.targets.gather import look_into_each

        self.report.step(f"looking into {', '.join(file.name for file in unread)}")
        found, problems = look_into_each(unread, self.means)
        self.readings |= {one.reading.artifact.filename or "": one.reading for one in found}
        return problems

    def _file(self, release: WheelRelease, build: Build) -> WantedFile:
        from gpuenv.channels.index import PLAIN_ASKING, Asking
        from gpuenv.targets.named import expand_requirement
        from gpuenv.targets.wanted import pinned_file

        wheel, version, _ = release
        if build.record is not None:
            return _channel_file(build.record)
        if build.file is not None:
            return pinned_file(wheel, version, build.file, self.destination)
        asking = Asking(offline=True) if self.offline else PLAIN_ASKING
        found = expand_requirement(f"{wheel}=={version}", self.destination, asking=asking, with_extras=False)
        return next(file for file in found.files if file.kind is ArtifactKind.WHEEL)


def _channel_file(record: RepoDataRecord) -> WantedFile:
    from gpuenv.targets.wanted import channel_file

    sha256 = record.sha256.hex() if record.sha256 else None
    return channel_file(
        record.url, name=record.name.normalized, version=str(record.version), sha256=sha256, size=record.size
    )


def _other_package(reading: Reading, record: RepoDataRecord) -> IntegrityError | None:
    """The error for a file that says of itself that it is another package than the one that its channel lists."""
    artifact = reading.artifact
    dist = f"{artifact.name}-{artifact.version}-{artifact.build}"
    listed = f"{record.name.normalized}-{record.version}-{record.build}"
    if dist.lower() == listed.lower():
        return None
    return IntegrityError(
        f"`{record.file_name}` is not the package that the channel lists",
        reasons=(f"it says of itself that it is `{dist}`, and the channel says `{listed}`",),
    )


def _said(problems: tuple[GpuenvError, ...]) -> str:
    return problems[0].message if problems else "it could not be read whole"
