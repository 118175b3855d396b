"""Packages that only choose among builds of others, metapackages and mutexes: whether what they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuenv.audits.facts import Facts
from gpuenv.audits.finding import error, evidence, warning
from gpuenv.audits.saying import build_kind, name_of
from gpuenv.audits.surroundings import Surroundings
from gpuenv.model import AuditFinding

__all__ = ["pointing_findings"]

_WITH_BUILD = re.compile(r"\[.*\bbuild=|(?:[^\s\[\]]*::)?[\w.-]+\s+\S+\s+\S+")
_MUTEX = re.compile(r"mutex|_select\b|selector", re.ASCII)


def pointing_findings(facts: Facts, around: Surroundings) -> Iterator[AuditFinding]:
    """Requirements on builds that the channel has not. A metapackage is held to all of its requirements, any other
    package to those that name a build.
    """
    subdir = facts.subdir
    if subdir is None:
        return
    is_empty = facts.contents.reading.members == 0
    for spec in facts.record.depends:
        name = name_of(spec)
        names_build = _WITH_BUILD.match(spec.strip()) is not None
        if name.startswith("__") or not (names_build or is_empty):
            continue
        if around.has(name):
            if not around.records(spec, subdir.name):
                yield error(
                    "points-nowhere",
                    f"it requires `{spec}`, and the channel has no such build",
                    evidence("requires", spec, facts.said_in),
                    evidence(
                        f"builds of {name}", ", ".join(around.builds(name, subdir.name)) or "none", subdir.channel
                    ),
                    hints=("build what it names, or take it out of the channel",),
                )
        elif is_empty and names_build:
            yield warning(
                "points-outside",
                f"it has no files and pulls in `{spec}`, of which the channel has no build at all",
                evidence("requires", spec, facts.said_in),
            )
    if is_empty and _is_mutex(facts) and not around.is_asked_for(facts.record.name):
        yield warning(
            "mutex-unused",
            "it keeps CPU and GPU builds apart, and no package of the channel asks for it",
            evidence("build", facts.record.build, facts.said_in),
        )


def _is_mutex(facts: Facts) -> bool:
    kind = build_kind(facts.record)
    return (kind.cpu or kind.gpu) and _MUTEX.search(facts.record.name) is not None
