"""Which of the specs of a request conda channels have; those are left to the solver in conda's own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gpuenv.artifacts.required import marker_holds
from gpuenv.channels.catalog import Project, find_project
from gpuenv.channels.catalog.requires import conda_version
from gpuenv.channels.conda.places import without_secrets
from gpuenv.channels.conda.spec_words import channel_in_front, subdir_asked
from gpuenv.channels.conda.view import ChannelView
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.model import Sources
from gpuenv.plans.pythons import choose_pythons, minor_of
from gpuenv.plans.specs import GpuSpec

__all__ = ["ChannelSpecs", "without_login"]

_NAMED = re.compile(
    r"\s*(?:(?P<channel>[^\s\[\]]+)::)?(?P<name>[A-Za-z0-9_.-]+?)(?=[\s=<>!~\[@;|]|$)(?P<rest>.*)", re.DOTALL
)
_ONLY_EXTRAS = re.compile(r"\s*\[[A-Za-z0-9_.,\s-]*\].*", re.DOTALL)
_LOCAL = re.compile(r"\s*={2,3}\s*(?P<version>[\d.]+)\+(?P<label>cpu|cu\d+)\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpecs:
    """The channels of one platform, and whether what they lack may come as wheels. `specs` are all of the request, and
    `python` is the version that it is for, where it says so.
    """

    view: ChannelView
    sources: Sources
    platform: str
    python: str | None = None
    specs: tuple[str, ...] = ()

    def find(self, typed: str) -> tuple[GpuSpec, ...] | None:
        """The spec, where a channel has its package; nothing where its marker does not hold; None where it is to come
        as a wheel.

        NoPlanError where only conda packages will do and no channel has it; RequestError for what is no spec, or cannot
        be met by any conda package here.
        """
        typed = channel_in_front(typed)
        found = _NAMED.fullmatch(typed)
        if found is None:
            return None
        if found["rest"].lstrip().startswith("@"):
            self._refuse_address(found["name"])
            return None
        self._refuse_other_subdir(typed)
        name = self._name_there(found["name"].lower(), found["channel"])
        typed = without_login(typed)
        is_condas = self.sources is Sources.CONDA or bool(found["channel"]) or found["name"].startswith("_")
        by_wheel = bool(_ONLY_EXTRAS.fullmatch(found["rest"])) and "=" not in found["rest"].partition("]")[0]
        if not is_condas and (name is None or by_wheel):
            return None
        rest, marker = _without_marker(typed, found["rest"])
        if marker is not None and not self._holds(marker, typed):
            return ()
        if name is None:
            raise self._absent(typed, found["name"])
        conda = _match_spec(typed, name, rest)
        return (GpuSpec(typed=typed, name=name, conda=conda, project=Project(name=name), from_channel=True),)

    def _refuse_address(self, name: str) -> None:
        if self.sources is Sources.CONDA:
            raise RequestError(
                f"`{name} @ …` is a file for Python's tools, and only conda packages are wanted",
                hints=("leave out `--only conda`", f"or take the channels' package: `{name}`"),
            )

    def _refuse_other_subdir(self, typed: str) -> None:
        asked = subdir_asked(typed)
        if asked not in {None, "noarch", self.view.subdir}:
            raise RequestError(
                f"`{without_login(typed).strip()}` is about {asked}, and the plan about {self.view.subdir}",
                hints=("plan for a machine of that kind with `--machine`, or leave it out of the spec",),
            )

    def _holds(self, marker: Marker, typed: str) -> bool:
        """Whether a marker holds on the platform, with whichever Python of those that may be taken."""
        answers = {marker_holds(str(marker), self.platform, python, frozenset()): python for python in self._pythons()}
        if len(answers) > 1:
            raise RequestError(
                f"the marker of `{typed.strip()}` holds for some Pythons only, and which one it is to be is left open",
                reasons=tuple(
                    f"it {'holds' if holds else 'does not hold'} for Python {python}, which the channels have"
                    for holds, python in answers.items()
                ),
                hints=("name the Python: `--python 3.11`",),
            )
        return next(iter(answers))

    def _pythons(self) -> tuple[str, ...]:
        """The Pythons that may be taken, as 3.11."""
        from rattler import MatchSpec

        if self.python:
            return (minor_of(self.python),)
        named = (_NAMED.fullmatch(channel_in_front(spec)) for spec in self.specs)
        rests = [one["rest"] for one in named if one and one["name"].lower() == "python" and ";" not in one["rest"]]
        wanted = [MatchSpec(_match_spec(f"python{rest}", "python", rest)) for rest in rests]
        there = self.view.records("python")
        fitting = {minor_of(str(one.version)): None for one in there if all(spec.matches(one) for spec in wanted)}
        bounds = ",".join(str(one.version) for one in wanted if one.version is not None)
        # Where the channels have none, it is one that is there already.
        return tuple(fitting) or (choose_pythons(None, bounds or None, ())[0].version,)

    def _name_there(self, name: str, channel: str | None) -> str | None:
        """The name that the channels have for a package: as typed, or the project's for a wheel's (`torch`). What
        machines offer (`__cuda`) is in no channel, and asked for all the same.
        """
        if name.startswith("__"):
            return name
        if channel:
            self.view.channels.place(name, channel)
        if name.startswith("_"):
            return name if self.view.has(name) else None
        project = find_project(name) or find_project(canonicalize_name(name))
        names = dict.fromkeys((name, canonicalize_name(name), *((project.name,) if project else ())))
        return next((one for one in names if self.view.has(one)), None)

    def _absent(self, typed: str, name: str) -> NoPlanError:
        channels = ", ".join(f"`{place.name}`" for place in self.view.channels.places)
        near = self.view.nearest_names(name.lower())
        hints = (f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()
        if self.sources is Sources.CONDA and not name.startswith("_"):
            hints = (*hints, "leave out `--only conda`, and it may come as a wheel")
        return NoPlanError(
            f"no channel has `{typed.strip()}`",
            reasons=(f"asked for {self.view.subdir} and noarch: {channels}",),
            hints=hints,
        )


def without_login(typed: str) -> str:
    """A spec whose channel is an address, without the login or token in that."""
    channel, mark, rest = channel_in_front(typed).rpartition("::")
    return f"{without_secrets(channel)}{mark}{rest}" if "://" in channel else typed


def _without_marker(typed: str, rest: str) -> tuple[str, Marker | None]:
    """What follows the name in conda's words, and the marker behind it (PEP 508)."""
    if ";" not in rest:
        return rest, None
    bounds, _, text = rest.partition(";")
    try:
        marker = Marker(text)
    except InvalidMarker as error:
        raise RequestError(
            f"`{typed}` is not a package spec",
            reasons=tuple(str(error).splitlines()[:1]),
            hints=("behind `;` stands a marker, such as `sys_platform == 'linux'`",),
        ) from error
    try:
        # Bounds such as `~=1.4` mean other things to conda.
        specifier = Requirement(f"x{bounds}").specifier
    except InvalidRequirement:
        return bounds.rstrip(), marker
    return bounds if _LOCAL.fullmatch(bounds) else f" {conda_version(specifier)}", marker


def _match_spec(typed: str, name: str, rest: str) -> str:
    """The spec in conda's words; bounds may be written as Python's tools write them."""
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    if local := _LOCAL.fullmatch(rest):
        build = "*cpu*" if local["label"] == "cpu" else f"*cuda{_dotted(local['label'][2:])}*"
        rest = f" =={local['version']} {build}"
    text = f"{name}{rest if rest[:1] in {'', ' ', '[', '='} else ' ' + rest}".strip().replace("===", "==", 1)
    try:
        MatchSpec(text)
    except InvalidMatchSpecError as error:
        raise RequestError(
            f"`{typed}` is not a package spec",
            reasons=tuple(str(error).splitlines()[:1]),
            hints=("conda's form is `NAME`, `NAME=VERSION`, `NAME>=VERSION`, `NAME=VERSION=BUILD` or `CHANNEL::NAME`",),
        ) from error
    return text


def _dotted(digits: str) -> str:
    """Build strings write CUDA 12.4 as 124 or as 12.4."""
    return f"{digits[:-1]}*{digits[-1]}"
