"""The rounds in which a plan is settled: choose, let `uv` complete it, look into what nobody has read, choose again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpuenv.channels.conda.records import printable_channel
from gpuenv.errors import NoPlanError
from gpuenv.model import Learned, LockedWheel, Plan, Reporter, Verdict
from gpuenv.plans.candidates import Candidate, objections
from gpuenv.plans.conflicts import in_own_words
from gpuenv.plans.indexes import ProjectIndexes
from gpuenv.plans.knowledge import WheelRelease, is_there
from gpuenv.plans.layer import Layer, choose_layer
from gpuenv.plans.learning import Learner
from gpuenv.plans.outside import Outside, brought_along, judge_files, native_files, side_by_side
from gpuenv.plans.pythons import PythonChoice
from gpuenv.plans.resolve import resolve
from gpuenv.plans.setting import Setting
from gpuenv.plans.sizes import in_gigabytes, sized_wheels, total_bytes
from gpuenv.plans.specs import GpuSpec, Wanted
from gpuenv.plans.wheels import locked_wheels
from gpuenv.plans.wording import listed

__all__ = ["Rounds", "Settled"]

MOST_ROUNDS = 16
"""After how many rounds a request counts as one without a plan."""

_MOST_SET_ASIDE = 4
"""How many releases of which a part lacks code are passed over in search of one that runs whole."""

# Advice on the machine, which `gpuenv info` gives.
_NOT_TOLD = {"host-memory", "cpu-cores", "board-class"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The end of the rounds: the layer, the lock, what `uv` added that uses a GPU, and the specs that count."""

    layer: Layer
    pylock: str
    wheels: tuple[LockedWheel, ...]
    outside: tuple[Outside, ...]
    specs: tuple[GpuSpec, ...]
    learned: tuple[Learned, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Rounds:
    """One plan in the making. `refused` are the wheels that were looked into and do not run there, `set_aside` those of
    which a part does not, while an older release that runs whole is looked for.
    """

    wanted: Wanted
    setting: Setting
    interpreter: PythonChoice
    bounds: tuple[str, ...]
    learner: Learner
    indexes: ProjectIndexes
    report: Reporter
    keep: Plan | None = None
    renew: frozenset[str] = frozenset()
    refused: list[Outside] = field(default_factory=list)
    set_aside: list[Outside] = field(default_factory=list)
    along: list[GpuSpec] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    before_indexes: Layer | None = None

    def settle(self, layer: Layer) -> Settled:
        """From a first layer to the plan. NoPlanError where there is none, or none was found in the bounded number of
        rounds; UnavailableError when the index does not answer.
        """
        degraded: Settled | None = None
        for number in range(MOST_ROUNDS):
            try:
                found = self._round(layer)
            except NoPlanError:
                if degraded is None:
                    raise
                return degraded
            if isinstance(found, Layer):
                layer = found
                continue
            worse = [one for one in found.outside if one.is_degraded] if not self.setting.allow_degraded else []
            if not worse:
                return found
            # An older release that runs whole is better than one of which a part lacks code for the GPU; but one is
            # better than none.
            degraded = degraded or found
            if number >= MOST_ROUNDS - 1 or len(self.set_aside) >= _MOST_SET_ASIDE:
                return degraded
            self.set_aside += worse
        if degraded is not None:
            return degraded
        raise NoPlanError(
            f"no set was found in {MOST_ROUNDS} rounds",
            reasons=tuple(self._refusals()),
            hints=("name releases that you know to run there",),
        )

    def _round(self, layer: Layer) -> Layer | Settled:
        """The end, or the layer to begin the next round with."""
        if self.indexes.widen(self.specs, self.setting, layer=layer):
            self.before_indexes = layer
            layer = self._choose()
        if self._read(layer):
            return self._choose()
        layer, pylock = self._resolve(layer)
        if self._read(layer):
            return self._choose()
        names = tuple(wheel.name for wheel in locked_wheels(pylock)) if pylock else ()
        if more := brought_along(names, layer):
            self.along += more
            return self._choose()
        outside = self._look_outside(pylock, names, layer)
        failing = [one for one in outside if one.reason]
        if failing:
            self.refused += failing
            return layer
        return self._settled(layer, pylock, outside)

    @property
    def specs(self) -> tuple[GpuSpec, ...]:
        """What was asked for of the catalog's packages, and what others bring along."""
        return (*self.wanted.gpu, *self.along)

    def _choose(self) -> Layer:
        try:
            return choose_layer(self.specs, self.setting, self.bounds)
        except NoPlanError as refusal:
            if not self.along:
                raise
            names = listed([f"`{spec.typed}`" for spec in self.along])
            raise NoPlanError(
                refusal.message,
                reasons=(*refusal.reasons, f"{names} came along with what was asked for"),
                hints=refusal.hints,
                details=refusal.details,
            ) from refusal

    def _resolve(self, layer: Layer) -> tuple[Layer, str]:
        without = tuple(f"{one.file.name}!={one.file.version}" for one in (*self.refused, *self.set_aside))
        try:
            return resolve(
                layer,
                replace(self.wanted, gpu=self.specs),
                self.setting,
                self.interpreter,
                self.report,
                keep=self.keep,
                renew=self.renew,
                without=without,
                offline=self.learner.offline,
            )
        except NoPlanError as conflict:
            if not self.refused:
                raise self._in_own_words(conflict, layer) from conflict
            names = dict.fromkeys(f"`{one.file.name}`" for one in self.refused)
            raise NoPlanError(
                f"no release of {listed([*names])} that fits runs on this machine",
                reasons=tuple(self._refusals()),
                hints=tuple(dict.fromkeys(hint for one in self.refused if one.reason for hint in one.reason.hints)),
                details="\n".join((*conflict.reasons, conflict.details)).strip(),
            ) from conflict

    def _in_own_words(self, conflict: NoPlanError, layer: Layer) -> NoPlanError:
        typed: dict[str, str] = {canonicalize_name(Requirement(text).name): text for text in self.wanted.plain}
        for spec in self.specs:
            pick = layer.picks.get(spec.project.name)
            if pick and pick.build.wheel:
                typed[canonicalize_name(pick.build.wheel)] = spec.typed
        glibc = self.setting.oldest.system.glibc
        with_glibc = f" with glibc {glibc}" if glibc else ""
        place = f"Python {self.interpreter.version} on {self.setting.platform}{with_glibc}"
        return in_own_words(conflict, typed, place=place)

    def _read(self, layer: Layer) -> bool:
        """Whether something of the layer had to be read first."""
        unread = [pick.build for pick in layer.picks.values() if pick.is_unread]
        if unread:
            self.learner.read_builds(unread)
        return bool(unread)

    def _look_outside(self, pylock: str, names: tuple[str, ...], layer: Layer) -> tuple[Outside, ...]:
        if not (self.setting.knowledge.can_learn and pylock):
            return ()
        files = native_files(pylock, self.learner.destination)
        for problem in self.learner.read_files(files):
            self.problems[problem.message] = None
        readings = self.learner.readings
        self.unread = [f"{file.name} {file.version}" for file in files if file.filename not in readings]
        return judge_files(files, self.learner.readings, names, layer, self.setting)

    def _settled(self, layer: Layer, pylock: str, outside: tuple[Outside, ...]) -> Settled:
        wheels = self._sized(pylock) if pylock else ()
        return Settled(
            layer=layer,
            pylock=pylock,
            wheels=wheels,
            outside=outside,
            specs=self.specs,
            learned=tuple(self._learned(layer, outside)),
            notes=tuple(dict.fromkeys(self._all_notes(layer, outside, wheels))),
        )

    def _all_notes(self, layer: Layer, outside: tuple[Outside, ...], wheels: tuple[LockedWheel, ...]) -> Iterator[str]:
        yield from self._left_out(layer)
        yield from self._notes(layer, outside, wheels)
        yield from self._saved(layer, wheels)

    def _learned(self, layer: Layer, outside: tuple[Outside, ...]) -> Iterator[Learned]:
        for release, file in self.learner.files.items():
            candidate = _candidate_of(release, layer)
            known = self.setting.knowledge
            if candidate is None or not (release in known.code or release in known.needs):
                continue
            against = objections(candidate)
            yield Learned(
                package=candidate.build.project,
                version=candidate.build.version,
                filename=file.filename,
                sha256=file.sha256,
                verdict=candidate.verdict,
                reason=against[0] if against and candidate.tier > layer.worst else None,
            )
        for one in (*self.refused, *self.set_aside, *outside):
            yield Learned(
                package=one.file.name,
                version=one.file.version or "",
                filename=one.file.filename,
                sha256=one.file.sha256,
                verdict=one.verdict,
                reason=one.reason or (one.objection if one in self.set_aside else None),
            )

    def _notes(self, layer: Layer, outside: tuple[Outside, ...], wheels: tuple[LockedWheel, ...]) -> Iterator[str]:
        if majors := side_by_side(wheels):
            yield majors
        knowledge = self.setting.knowledge
        for (wheel, version, place), reason in knowledge.unreadable.items():
            if place not in knowledge.closed:
                yield f"`{wheel}` {version} was not looked into: {reason}"
        view = self.setting.view
        absent = {
            pick.build.channel or "": f"it lists `{pick.build.record.file_name}`, which is not there"
            for pick in layer.picks.values()
            if pick.build.gpu and pick.build.record is not None and not is_there(pick.build)
        }
        for channel, reason in {**absent, **knowledge.closed}.items():
            name = printable_channel(channel, view.channels.places) if view else channel
            yield f"what the machine code in packages of `{name}` is for was not read: {reason}"
        yield from self.problems
        if self.unread:
            yield f"whether {listed(self.unread)} can run there is not known: no file of it was read"
        yield from self.indexes.notes()
        for one in outside:
            for finding in one.findings:
                if finding.verdict in {Verdict.DEGRADED, Verdict.UNKNOWN} and finding.rule not in _NOT_TOLD:
                    where = f"on {finding.machine}, " if finding.machine else ""
                    yield f"{one.file.name} {one.file.version}: {where}{finding.message}"

    def _sized(self, pylock: str) -> tuple[LockedWheel, ...]:
        return sized_wheels(pylock, self.learner)

    def _saved(self, layer: Layer, wheels: tuple[LockedWheel, ...]) -> Iterator[str]:
        """How much smaller the download is by CPU builds that the user's own index does not have."""
        on_cpu = [name for name, pick in layer.picks.items() if pick.build.index and not pick.build.gpu]
        if not on_cpu or self.before_indexes is None:
            return
        with suppress(NoPlanError):
            _, other = self._resolve(self.before_indexes)
            after, before = total_bytes(wheels), total_bytes(self._sized(other))
            names = listed([*on_cpu])
            saved = f"{in_gigabytes(after)} to download rather than {in_gigabytes(before)}"
            yield f"the CPU builds of {names} from a project index make it {saved}"

    def _left_out(self, layer: Layer) -> Iterator[str]:
        """What was refused, where the layer is another one for it."""
        if layer.notes:
            yield from self._refusals()

    def _refusals(self) -> Iterator[str]:
        """What was looked into and refused: one line for all releases of a package with the same reason."""
        releases: dict[tuple[str, str], list[str]] = {}
        for one in self.refused:
            if one.reason:
                where = f" ({one.reason.machine})" if one.reason.machine else ""
                releases.setdefault((one.file.name, one.reason.message + where), []).append(one.file.version or "")
        for (name, message), versions in releases.items():
            span = versions[0] if len(versions) == 1 else f"{versions[-1]} to {versions[0]}"
            yield f"{name} {span}: {message}"


def _candidate_of(release: WheelRelease, layer: Layer) -> Candidate | None:
    """The build whose code a wheel or a conda package holds; of several the best."""
    wheel, version, index = release
    for one in (one for builds in layer.candidates.values() for one in builds if one.build.channel == index):
        if one.build.record is not None and one.build.record.file_name == wheel:
            return one
    found = [
        one
        for builds in layer.candidates.values()
        for one in builds
        if (one.build.version, one.build.index or "") == (version, index)
        and wheel in (one.build.code_from or (one.build.wheel,))
        and one.build.gpu
    ]
    return min(found, key=lambda one: one.tier, default=None)
