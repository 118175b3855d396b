"""Which of the specs of a request conda channels have; those are left to the solver in conda's own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gpuenv.channels.catalog import Project, find_project
from gpuenv.channels.catalog.requires import conda_version
from gpuenv.channels.conda.places import without_secrets
from gpuenv.channels.conda.view import ChannelView
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.model import Sources
from gpuenv.plans.specs import GpuSpec

__all__ = ["ChannelSpecs", "without_login"]

_NAMED = re.compile(
    r"\s*(?:(?P<channel>[^\s\[\]]+)::)?(?P<name>[A-Za-z0-9_.-]+?)(?=[\s=<>!~\[@;|]|$)(?P<rest>.*)", re.DOTALL
)
_ONLY_EXTRAS = re.compile(r"\s*\[[A-Za-z0-9_.,\s-]*\].*", re.DOTALL)
_LOCAL = re.compile(r"\s*={2,3}\s*(?P<version>[\d.]+)\+(?P<label>cpu|cu\d+)\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpecs:
    """The channels of one platform, and whether what they lack may come as wheels."""

    view: ChannelView
    sources: Sources

    def find(self, typed: str) -> GpuSpec | None:
        """The spec, where a channel has its package; None where it is to come as a wheel.

        NoPlanError where only conda packages will do and no channel has it; RequestError for what is no spec.
        """
        found = _NAMED.fullmatch(typed)
        if found is None or found["rest"].lstrip().startswith("@"):
            return None
        if found["channel"]:
            self.view.channels.place(found["name"].lower(), found["channel"])
        typed = without_login(typed)
        name = self._name_there(found["name"].lower())
        by_wheel = bool(_ONLY_EXTRAS.fullmatch(found["rest"])) and "=" not in found["rest"].partition("]")[0]
        if name and (not by_wheel or self.sources is Sources.CONDA or found["channel"]):
            return GpuSpec(
                typed=typed,
                name=name,
                conda=_match_spec(typed, name, found["rest"]),
                project=Project(name=name),
                from_channel=True,
            )
        if self.sources is Sources.CONDA or found["channel"]:
            raise self._absent(typed, found["name"])
        return None

    def _name_there(self, name: str) -> str | None:
        """The name that the channels have for a package: as typed, or the project's for a wheel's (`torch`)."""
        project = find_project(name) or find_project(canonicalize_name(name))
        names = dict.fromkeys((name, canonicalize_name(name), *((project.name,) if project else ())))
        return next((one for one in names if self.view.has(one)), None)

    def _absent(self, typed: str, name: str) -> NoPlanError:
        channels = ", ".join(f"`{place.name}`" for place in self.view.channels.places)
        near = self.view.nearest_names(name.lower())
        hints = (f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()
        if self.sources is Sources.CONDA:
            hints = (*hints, "leave out `--only conda`, and it may come as a wheel")
        return NoPlanError(
            f"no channel has `{typed.strip()}`",
            reasons=(f"asked for {self.view.subdir} and noarch: {channels}",),
            hints=hints,
        )


def without_login(typed: str) -> str:
    """A spec whose channel is an address, without the login or token in that."""
    channel, mark, rest = typed.rpartition("::")
    return f"{without_secrets(channel)}{mark}{rest}" if "://" in channel else typed


def _match_spec(typed: str, name: str, rest: str) -> str:
    """The spec in conda's words; bounds may be written as Python's tools write them."""
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    if local := _LOCAL.fullmatch(rest):
        build = "*cpu*" if local["label"] == "cpu" else f"*cuda{_dotted(local['label'][2:])}*"
        rest = f" =={local['version']} {build}"
    elif ";" in rest:
        try:
            requirement = Requirement(f"x{rest}")
        except InvalidRequirement as error:
            raise RequestError(f"`{typed}` is not a package spec", reasons=(str(error),)) from error
        rest = f" {conda_version(requirement.specifier)}"
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
