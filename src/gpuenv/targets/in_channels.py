"""From a conda spec to the file of a channel that a machine would get."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

from gpuenv.channels.conda.choosing import choose_package
from gpuenv.channels.conda.opening import open_channels
from gpuenv.channels.conda.view import Channels, ChannelView
from gpuenv.channels.destinations import Destination
from gpuenv.model import Machine
from gpuenv.targets.wanted import Expansion, channel_file

__all__ = ["ChannelPackages"]


@dataclass(slots=True, kw_only=True)
class ChannelPackages:
    """The channels of one command: `words` in order of priority. They are opened when they are first asked."""

    words: tuple[str, ...] = ()
    offline: bool = False
    _lock: Lock = field(default_factory=Lock)
    _opened: dict[tuple[str, ...], Channels] = field(default_factory=dict)

    def expand(self, spec: str, channel: str | None, destination: Destination, machine: Machine | None) -> Expansion:
        """The package of `channel`, or of all that were named, that `choose_package` takes.

        Errors as those of `choose_package`; RequestError for a word that names no channel, UnavailableError and
        FormatError for channels that cannot be read.
        """
        with self._lock:
            view = self._view((channel,) if channel else self.words, destination.platform)
            found = choose_package(spec, view, python=destination.python, machine=machine)
        file = channel_file(
            found.url, name=found.name, version=found.version, sha256=found.sha256, size=found.size_bytes
        )
        return Expansion(files=(file,))

    def _view(self, words: tuple[str, ...], platform: str) -> ChannelView:
        if words not in self._opened:
            opened = open_channels(words, offline=self.offline, must_have=True)
            assert opened is not None
            self._opened[words] = opened
        return self._opened[words].view(platform)
