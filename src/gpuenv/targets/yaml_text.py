"""Read YAML as what lock files use of it: mappings, lists and text. Nothing is built from tags.

Scalars stay as they were written, so that the version `1.10` is not the number 1.1. Depth and count of nodes are
bounded, and an alias is a reference to what it names, so that no file is larger in memory than its text suggests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpuenv.errors import FormatError

__all__ = ["Node", "as_list", "as_mapping", "as_text", "read_yaml"]

Node = dict[str, Any] | list[Any] | str

_DEEPEST = 60
_MOST_NODES = 6_000_000


def read_yaml(text: str, *, where: str) -> Node:
    """The first document in `text`; FormatError, naming `where` and the line, for what is none."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(yaml.parse(text, Loader=loader), where).document()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise FormatError(f"`{where}` is not YAML", reasons=(f"{reason}{line}",)) from error


class _Builder:
    """Makes nodes of the parser's events, without recursion deeper than `_DEEPEST`."""

    def __init__(self, events: Iterator[Any], where: str) -> None:
        self._events = events
        self._where = where
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def document(self) -> Node:
        import yaml

        for event in self._events:
            if isinstance(event, yaml.NodeEvent):
                return self._node(event, 0)
        raise FormatError(f"`{self._where}` is empty")

    def _node(self, event: Any, depth: int) -> Node:
        import yaml

        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise FormatError(
                f"`{self._where}` is no list of packages", reasons=(f"line {self._line(event)}: too deep or too long",)
            )
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise FormatError(
                    f"`{self._where}` is not YAML", reasons=(f"line {self._line(event)}: `*{event.anchor}` is unknown",)
                )
            return self._anchors[event.anchor]
        if isinstance(event, yaml.ScalarEvent):
            return self._named(event, "" if not event.style and event.value in {"~", "null"} else event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _sequence(self, start: Any, depth: int) -> Node:
        import yaml

        items: list[Any] = []
        self._named(start, items)
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, depth + 1))
        return items

    def _mapping(self, start: Any, depth: int) -> Node:
        import yaml

        pairs: dict[str, Any] = {}
        self._named(start, pairs)
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            if not isinstance(key, str):
                raise FormatError(
                    f"`{self._where}` is no list of packages",
                    reasons=(f"line {self._line(event)}: a key is not text",),
                )
            pairs[key] = self._node(next(self._events), depth + 1)
        return pairs

    def _named(self, event: Any, node: Node) -> Node:
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    @staticmethod
    def _line(event: Any) -> int:
        return int(event.start_mark.line) + 1


def as_mapping(node: object, where: str) -> dict[str, Any]:
    """The node as a mapping; an absent one is empty. FormatError for anything else."""
    if node is None or node == "":
        return {}
    if not isinstance(node, dict):
        raise FormatError(f"{where} is not a mapping")
    return node


def as_list(node: object, where: str) -> list[Any]:
    """The node as a list; an absent one is empty. FormatError for anything else."""
    if node is None or node == "":
        return []
    if not isinstance(node, list):
        raise FormatError(f"{where} is not a list")
    return node


def as_text(node: object, where: str) -> str:
    """The node as text; an absent one is empty. FormatError for anything else."""
    if node is None:
        return ""
    if not isinstance(node, str):
        raise FormatError(f"{where} is not text")
    return node
