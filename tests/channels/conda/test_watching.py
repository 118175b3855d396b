"""Servers of channels that say nothing, and users who stop waiting for them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from rattler import Gateway, Subdir

from artifacts.range_server import RangeServer, Reply
from gpuenv import settings
from gpuenv._net import is_silent
from gpuenv.channels.conda.client import client_for, repodata_directory
from gpuenv.channels.conda.condarc import Condarc
from gpuenv.channels.conda.places import ChannelPlace
from gpuenv.channels.conda.running import run_rattler
from gpuenv.channels.conda.watching import while_they_answer
from gpuenv.errors import UnavailableError
from little_channel import LittlePackage, make_channel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration and no cache of the user's."""
    monkeypatch.setenv("CONDARC", str(tmp_path / "none"))
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(settings, "CHANNEL_SILENT_SECONDS", 0.4)


@contextmanager
def mute() -> Iterator[str]:
    """A server that takes connections and never answers."""
    kept: list[socket.socket] = []
    with ExitStack() as closing:
        listening = closing.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))

        def take() -> None:
            while True:
                try:
                    kept.append(listening.accept()[0])
                except OSError:
                    return

        Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for one in kept:
            one.close()


def names_of(address: str) -> list[str]:
    """The packages of a channel, as rattler tells them while its server is watched."""
    gateway = Gateway(cache_dir=repodata_directory(), client=client_for(Condarc()))
    place = ChannelPlace(name="chan", address=address, fetch_address=address)

    async def watched() -> list[str]:
        asking = gateway.names([address], [Subdir("linux-64"), Subdir("noarch")])
        return [one.normalized for one in await while_they_answer(asking, (place,))]

    return run_rattler(watched())


def test_a_server_that_never_answers_is_given_up_soon() -> None:
    """Not after the time that a large file may take."""
    began = time.monotonic()
    with mute() as address, pytest.raises(UnavailableError, match="`chan` does not answer") as caught:
        names_of(address)
    assert time.monotonic() - began < 10
    assert "said nothing" in caught.value.reasons[0]


def test_a_slow_server_is_waited_for(tmp_path: Path) -> None:
    """One that is there may take as long as it likes with its repodata."""
    channel = make_channel(tmp_path / "chan", [LittlePackage(name="tool")])
    files = {one.relative_to(channel).as_posix(): one.read_bytes() for one in channel.rglob("*") if one.is_file()}

    def slow(_: int, reply: Reply) -> None:
        if reply.body.startswith(b"{") and len(reply.body) > 1:
            reply.seconds_per_byte = 1.5 / len(reply.body)

    with RangeServer(files) as server:
        server.change = slow
        began = time.monotonic()
        assert names_of(f"http://{server.host}") == ["tool"]
        assert time.monotonic() - began > 1


def test_silence_is_no_answer_of_any_kind() -> None:
    """A refused connection or an error is an answer; a server that holds its tongue gives none."""
    with mute() as address:
        assert is_silent(address, seconds=0.2)
    with RangeServer({}) as server:
        assert not is_silent(server.address("nothing"), seconds=2)
    assert not is_silent("http://127.0.0.1:9/", seconds=2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal of an interruption for one process")
def test_a_user_who_stops_waiting_gets_no_panic(tmp_path: Path) -> None:
    """Threads of rattler are let go of before Python ends; half a dozen at once, since not each one would show it."""
    with mute() as address:
        variables = dict(os.environ, GPUENV_CACHE_DIR=str(tmp_path / "cache"))
        command = [sys.executable, "-m", "gpuenv", "plan", "--only", "conda", "-m", "gpu=none", "-c", address, "tool"]
        running = [
            subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(6)
        ]
        time.sleep(5)
        for one in running:
            one.send_signal(signal.SIGINT)
        said = [one.communicate(timeout=30)[1] for one in running]
    assert [one.returncode for one in running] == [130] * 6
    assert not [text for text in said if "panicked" in text or "Fatal" in text]


def test_what_rattler_keeps_is_for_the_user_alone() -> None:
    """Its files name addresses with their logins."""
    assert repodata_directory().stat().st_mode & 0o077 == 0
