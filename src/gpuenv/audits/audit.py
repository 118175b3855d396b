"""`audit_packages`: metadata against binary, for every package of channels and for packages by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import msgspec

from gpuenv.audits.absent import files_are_elsewhere, from_words_alone, is_index_alone
from gpuenv.audits.correcting import marked_down
from gpuenv.audits.facts import Facts
from gpuenv.audits.gathering import Entry, Gathered, Subdir, gather_packages
from gpuenv.audits.judging import judge_group, without_file
from gpuenv.audits.patching import check_patch_name, write_patch
from gpuenv.audits.preference import cpu_builds
from gpuenv.audits.reading import look_into_package
from gpuenv.audits.records import broken_record
from gpuenv.audits.repodata import Record
from gpuenv.audits.saying import build_kind, says_gpu
from gpuenv.audits.surroundings import Surroundings
from gpuenv.errors import GpuenvError, RequestError
from gpuenv.model import AuditedPackage, AuditReport, Correction, ErrorBody, Reading, Reporter, Severity, Silence
from gpuenv.targets.means import Means, open_means
from gpuenv.targets.stopping import Crew

__all__ = ["PACKAGES_AT_ONCE", "audit_packages"]

PACKAGES_AT_ONCE = 4
"""How many packages are read at once when nobody says how many."""

_MOST_AT_ONCE = 32
_SECONDS_TO_STOP = 2.0
_ALONE = "packages that were named"

OnPackage = Callable[[AuditedPackage], None]


def audit_packages(
    words: Sequence[str],
    *,
    subdirs: Sequence[str] = (),
    patch: Path | None = None,
    jobs: int = PACKAGES_AT_ONCE,
    cache: bool = True,
    offline: bool = False,
    report: Reporter | None = None,
    on_package: OnPackage | None = None,
) -> AuditReport:
    """Reads each package, and says where its record is not what its binary is. Nothing is installed, imported or run.

    A word is a channel (a directory, an address, a name) or a package (a path, an address). `on_package` is told of
    each package with findings when it is judged, which is when all builds of its version are read; the report has them
    in order. `patch` is where corrections are written as a repodata patch. What was read is kept in the cache, so that
    an audit that was stopped goes on where it was. RequestError for a patch of several channels, and for one whose name
    is none; what is wrong with a word is a problem of the report.
    """
    if patch:
        check_patch_name(patch)
    reporter = report or Silence()
    with open_means(cache=cache, offline=offline, report=reporter) as means:
        reporter.step("reading records")
        gathered = gather_packages(words, means, subdirs=subdirs)
        channels = dict.fromkeys(subdir.channel for subdir in gathered.subdirs)
        if patch and len(channels) > 1:
            raise RequestError(
                "a patch is for one channel", reasons=(f"named are {' and '.join(channels)}",), hints=("name one",)
            )
        audit = _Audit(means=means, gathered=gathered, on_package=on_package or (lambda _: None))
        audit.run(min(max(1, jobs), _MOST_AT_ONCE))
    if patch:
        write_patch(patch, audit.corrections(), {subdir.name: subdir for subdir in gathered.subdirs})
    return audit.report(tuple(words), patch)


@dataclass(slots=True, kw_only=True)
class _Build:
    """What is kept of each package of a name: enough to mark its CPU builds."""

    file: str
    record: Record
    gpu: bool
    mendable: bool


class _Missing:
    """In the place of a package: the index lists it, and there is no file."""


@dataclass(slots=True, kw_only=True)
class _Audit:
    """One audit while it goes on. Groups are judged in threads."""

    means: Means
    gathered: Gathered
    on_package: OnPackage
    packages: int = 0
    gpu_packages: int = 0
    done: dict[tuple[str, str, str], AuditedPackage] = field(default_factory=dict)
    builds: dict[tuple[str, str], list[_Build]] = field(default_factory=dict)
    unordered: set[tuple[str, str]] = field(default_factory=set)
    problems: list[GpuenvError] = field(default_factory=list)
    around: dict[str, Surroundings] = field(default_factory=dict)
    missing: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    there: Counter[tuple[str, str]] = field(default_factory=Counter)
    unread: int = 0
    lock: Lock = field(default_factory=Lock)

    def run(self, jobs: int) -> None:
        """Judges all packages; the first error that is none of a package ends it."""
        entries = self.gathered.entries
        by_file = {(one.subdir.channel, one.subdir.name, one.name): one for one in entries if one.subdir}
        for channel in {subdir.channel for subdir in self.gathered.subdirs}:
            own = [subdir for subdir in self.gathered.subdirs if subdir.channel == channel]
            self.around[channel] = Surroundings(subdirs=own, read=self._reader(by_file))
        self.around[_ALONE] = Surroundings(subdirs=(), read=lambda *_: None)
        self._tell_broken()
        self.means.report.step(f"auditing {len(entries)} package{'' if len(entries) == 1 else 's'}")
        groups = list(_groups(entries))
        crew = Crew(self._audit_group, groups)
        try:
            crew.run(min(jobs, len(groups)))
        except BaseException:
            self.means.stopped.set()
            crew.end(_SECONDS_TO_STOP)
            raise
        self._judge_missing()

    def _reader(self, by_file: dict[tuple[str, str, str], Entry]) -> Callable[[Subdir, str], Reading | None]:
        def read(subdir: Subdir, file: str) -> Reading | None:
            entry = by_file.get((subdir.channel, subdir.name, file))
            if entry is None or entry.file is None:
                return None
            try:
                return look_into_package(entry.file, self.means).reading
            except GpuenvError:
                return None

        return read

    def _tell_broken(self) -> None:
        """Entries of indexes that are no records, and of which there is no file to look into."""
        looked = {(one.subdir.channel, one.subdir.name, one.name) for one in self.gathered.entries if one.subdir}
        for subdir in self.gathered.subdirs:
            for name, reason in (subdir.repodata.broken if subdir.repodata else {}).items():
                if (subdir.channel, subdir.name, name) not in looked:
                    findings = (broken_record(reason),)
                    self._add(AuditedPackage(file=name, channel=subdir.channel, subdir=subdir.name, findings=findings))

    def _audit_group(self, entries: list[Entry]) -> None:
        facts = []
        for entry in entries:
            try:
                found = self._look(entry)
            except GpuenvError as problem:
                with self.lock:
                    self.problems.append(problem)
                found = None
            with self.lock:
                if entry.subdir and isinstance(found, _Missing):
                    self.missing.setdefault((entry.subdir.channel, entry.subdir.name), []).append(entry)
                elif entry.subdir and entry.record:
                    self.there[entry.subdir.channel, entry.subdir.name] += 1
            if isinstance(found, Facts):
                facts.append(found)
        self._judge(facts)

    def _judge(self, facts: Sequence[Facts], *, by_words_alone: bool = False) -> None:
        if not facts:
            return
        around = self.around[facts[0].subdir.channel if facts[0].subdir else _ALONE]
        judged = judge_group(facts, around, by_words_alone=by_words_alone)
        self._remember(facts, judged)
        for one in judged:
            self._add(one)

    def _look(self, entry: Entry) -> Facts | _Missing:
        if entry.file is None:
            return _Missing()
        try:
            return Facts(entry=entry, contents=look_into_package(entry.file, self.means))
        except RequestError:
            if entry.record is None or entry.file.url is None:
                raise
            return _Missing()

    def _judge_missing(self) -> None:
        """Records without a file: each is an error, unless it is most of a directory, which is told once."""
        for place, entries in sorted(self.missing.items()):
            subdir = entries[0].subdir
            if subdir and is_index_alone(len(entries), self.there[place]):
                self.problems.append(files_are_elsewhere(subdir, entries, self.there[place]))
                self.unread += len(entries)
                for group in _groups(entries):
                    self._judge([from_words_alone(entry) for entry in group], by_words_alone=True)
            else:
                for entry in sorted(entries, key=lambda one: one.name):
                    self._add(without_file(entry))

    def _remember(self, group: Sequence[Facts], judged: Sequence[AuditedPackage]) -> None:
        cpus = cpu_builds(group)
        with self.lock:
            for facts, package in zip(group, judged, strict=True):
                if facts.subdir is None:
                    continue
                key = (facts.subdir.name, facts.record.name)
                gpu = facts not in cpus and (
                    facts.has_gpu_code or says_gpu(facts.record) or build_kind(facts.record).gpu
                )
                build = _Build(file=facts.file, record=facts.record, gpu=gpu, mendable=facts.mendable)
                self.builds.setdefault(key, []).append(build)
                if any(finding.rule == "preference" and finding.mendable for finding in package.findings):
                    self.unordered.add(key)

    def _add(self, package: AuditedPackage) -> None:
        with self.lock:
            self.packages += 1
            self.gpu_packages += package.gpu_code
            if package.findings:
                self.done[package.channel or "", package.subdir or "", package.file] = package
                self.on_package(package)

    def corrections(self) -> dict[str, dict[str, Correction]]:
        """What a patch says, by directory and file."""
        found: dict[str, dict[str, Correction]] = {}
        for package in self.done.values():
            if package.correction and package.subdir:
                found.setdefault(package.subdir, {})[package.file] = package.correction
        for subdir, name in sorted(self.unordered):
            for build in self.builds[subdir, name]:
                if build.gpu or not build.mendable or build.record.is_marked_down:
                    continue
                own = found.setdefault(subdir, {})
                own[build.file] = msgspec.structs.replace(
                    own.get(build.file, Correction()), track_features=marked_down(build.record)
                )
        return found

    def report(self, words: tuple[str, ...], patch: Path | None) -> AuditReport:
        """What was found."""
        audited = tuple(package for _, package in sorted(self.done.items()))
        severities = [finding.severity for package in audited for finding in package.findings]
        return AuditReport(
            targets=tuple(_shown(word) for word in words),
            packages=self.packages,
            unread_packages=self.unread,
            gpu_packages=self.gpu_packages,
            errors=severities.count(Severity.ERROR),
            warnings=severities.count(Severity.WARNING),
            audited=audited,
            patch=str(patch) if patch else None,
            notes=tuple(self.gathered.notes),
            problems=tuple(ErrorBody.of(one) for one in (*self.gathered.problems, *self.problems)),
        )


def _shown(word: str) -> str:
    from gpuenv.channels.conda.places import without_secrets

    return without_secrets(word)


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The builds of one version in one directory together, since they are judged against each other."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        place = (entry.subdir.channel, entry.subdir.name) if entry.subdir else ("", "")
        if entry.record:
            named = (entry.record.name, entry.record.version)
        else:
            named = (entry.file.name, entry.file.version or "") if entry.file else (entry.name, "")
        groups.setdefault((*place, *named), []).append(entry)
    for _, group in sorted(groups.items()):
        yield group
