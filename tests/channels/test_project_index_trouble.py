"""Projects' own indexes that are slow, gone, damaged or hostile: they cost little time, and nothing else."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.made_project_index import H100, MadeProjectIndex, add_torch, ask, named
from gpuenv import settings
from gpuenv.channels.project_index_cache import IndexCache, KeptPage
from gpuenv.channels.project_indexes import IndexAnswer
from gpuenv.model import IndexPolicy

# ---- metadata ----------------------------------------------------------------------------------------------------


def test_a_large_file_of_a_server_without_ranges_is_not_waited_for(
    index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requirements are not told in time, and the release is left out."""
    monkeypatch.setattr(settings, "PROJECT_INDEX_SECONDS", 0.6)
    index.ranges = False
    index.pause = 0.05
    index.add("cu126", "torch", "2.9.0", beside=False, members={"torch/data.bin": os.urandom(9 << 20)})
    index.add("cu126", "torch", "2.8.0")
    began = time.monotonic()
    answer = ask()
    assert time.monotonic() - began < 0.9
    assert {version for version, _ in named(answer)} == {"2.8.0"}
    assert answer.incomplete == 1
    _wait_for_threads()


@pytest.mark.parametrize("metadata", [b"", b"\xff\xfe\0", b"<html>sign in</html>"], ids=["empty", "no text", "page"])
def test_where_metadata_beside_a_wheel_are_none_the_wheel_tells(index: MadeProjectIndex, metadata: bytes) -> None:
    """It is read at its end."""
    filename = index.add("cu126", "torch", "2.9.0", requires=["nvidia-cudnn-cu12==9.10.2.21"])
    index.lines["cu126"]["torch"][filename].metadata = metadata
    (build,) = ask().builds["pytorch"]
    assert "cudnn ==9.10.2.21" in build.depends


@pytest.mark.parametrize(
    "metadata",
    [
        b"Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n",
        b"Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\nRequires-Dist: !!!\n",
        b"Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\nRequires-Dist: x; no marker\n",
        b"Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\nRequires-Python: <3.9\n",
        b"Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\n" + b"Requires-Dist: x\n" * 3000,
    ],
    ids=["of another version", "no requirement", "no marker", "other Pythons", "countless"],
)
def test_a_release_with_bad_metadata_is_left_out(index: MadeProjectIndex, metadata: bytes) -> None:
    """The others stay."""
    bad = index.add("cu126", "torch", "2.9.0")
    index.add("cu126", "torch", "2.8.0")
    index.lines["cu126"]["torch"][bad].metadata = metadata
    assert {version for version, _ in named(ask())} == {"2.8.0"}


def test_metadata_that_are_not_those_of_the_page_are_refused(
    index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their sha256 stands on the page, and decides."""
    filename = index.add("cu126", "torch", "2.9.0")
    file = index.lines["cu126"]["torch"][filename]
    page = index.answer("/whl/cu126/torch/")
    other = (file.metadata or b"").replace(b"\n\n", b"\nRequires-Dist: evil\n\n")
    plain = index.answer

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.endswith(".metadata"):
            return 200, {"Content-Type": "text/plain"}, other
        return page if path == "/whl/cu126/torch/" else plain(path)

    monkeypatch.setattr(index, "answer", answer)
    assert named(ask()) == set()


# ---- the cache, policy and offline -------------------------------------------------------------------------------


def test_what_was_told_is_kept(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next plan asks nothing, also offline; after some hours the pages are asked again, metadata never."""
    add_torch(index, "cu126", 9)
    first = ask("pytorch", "torchvision")
    count = len(index.asked)
    assert ask("pytorch", "torchvision") == first
    assert ask("pytorch", "torchvision", offline=True) == first
    assert len(index.asked) == count
    monkeypatch.setattr(settings, "PROJECT_INDEX_KEPT_SECONDS", 0.0)
    assert ask("pytorch", "torchvision", offline=True) == first
    assert len(index.asked) == count
    assert ask("pytorch", "torchvision") == first
    assert not [path for path in index.asked[count:] if path.endswith(".metadata")]


def test_offline_and_never_asked_is_silence(index: MadeProjectIndex) -> None:
    """Nothing is sent."""
    answer = ask(offline=True)
    assert answer.builds == {}
    assert list(answer.silent) == ["pytorch"]
    assert "offline" in answer.silent["pytorch"]
    assert index.asked == []


def test_policy_and_an_empty_variable_switch_it_off(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--index-policy pypi` and `GPUENV_INDEX_PYTORCH=` ask nobody, and say nothing of silence."""
    add_torch(index, "cu126", 9)
    assert ask(policy=IndexPolicy.PYPI) == IndexAnswer()
    monkeypatch.setenv("GPUENV_INDEX_PYTORCH", "")
    assert ask() == IndexAnswer()
    assert index.asked == []


def test_a_project_without_an_index_of_its_own_asks_nobody(index: MadeProjectIndex) -> None:
    """NumPy, say."""
    assert ask("numba") == IndexAnswer()
    assert index.asked == []


def test_the_address_may_say_where_the_line_stands(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror can have another layout."""
    add_torch(index, "cu126", 9)
    url = os.environ["GPUENV_INDEX_PYTORCH"]
    monkeypatch.setenv("GPUENV_INDEX_PYTORCH", url + "/{line}/")
    assert named(ask()) == {("2.9.0", "cuda126_py311_1")}


@given(st.binary(max_size=300))
def test_a_damaged_cache_is_no_cache(content: bytes) -> None:
    """Whatever the file holds."""
    with tempfile.TemporaryDirectory() as directory:
        cache = IndexCache(Path(directory))
        cache.keep_page("key", KeptPage(asked=1.0))
        (place,) = Path(directory).rglob("page-*.json")
        place.write_bytes(content)
        kept = cache.page("key")
        assert kept is None or isinstance(kept, KeptPage)


def test_a_page_from_the_future_is_asked_for_again() -> None:
    """The clock was set back."""
    now = time.time()
    assert not KeptPage(asked=now + 60).is_current(now)
    assert KeptPage(asked=now - 60).is_current(now)
    assert not KeptPage(asked=now - 3600, problem="gone").is_current(now)


def test_a_cache_that_cannot_be_written_is_no_harm(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the directory should be."""
    add_torch(index, "cu126", 9)
    place = settings.cache_directory()
    place.parent.mkdir(exist_ok=True, parents=True)
    place.write_bytes(b"")
    assert named(ask()) == {("2.9.0", "cuda126_py311_1")}


# ---- indexes that do not answer ----------------------------------------------------------------------------------


def silent_reason(seconds: float = 2.0) -> str:
    """Why the index is silent; asking took at most `seconds`, and asking again takes no time."""
    began = time.monotonic()
    answer = ask("pytorch", "torchvision", machine=H100)
    took = time.monotonic() - began
    assert took < seconds
    assert answer.builds == {}
    assert answer.answered == ()
    assert list(answer.silent) == ["pytorch"]
    began = time.monotonic()
    assert ask("pytorch", "torchvision", machine=H100) == answer
    assert time.monotonic() - began < 0.2
    return answer.silent["pytorch"]


def test_nobody_listens(own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is known at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("GPUENV_INDEX_PYTORCH", f"http://127.0.0.1:{port}/whl")
    assert silent_reason(1.0) == "Connection refused"


def test_a_host_that_is_not_there(own_cache: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name server knows it, or none can be asked."""
    monkeypatch.setenv("GPUENV_INDEX_PYTORCH", "http://nowhere.invalid/whl")
    reason = silent_reason()
    assert "not known" in reason or "no answer" in reason


@contextmanager
def _raw_server(sent: bytes, pause: float) -> Iterator[str]:
    """Sends the bytes one at a time with a pause after each, and then nothing."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                for byte in sent:
                    connection.sendall(bytes([byte]))
                    if stop.wait(pause):
                        return
                stop.wait(20)
            except OSError:
                pass

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/whl"
    finally:
        stop.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.mark.parametrize(
    ("sent", "pause"),
    [
        (b"", 0.0),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n" + b"<" * 9000, 0.01),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 60_000, 0.02),
    ],
    ids=["says nothing", "trickles a page", "trickles headers"],
)
def test_a_server_that_hangs_costs_the_time_limit_and_no_more(
    sent: bytes, pause: float, own_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it hangs."""
    monkeypatch.setattr(settings, "PROJECT_INDEX_SECONDS", 0.6)
    with _raw_server(sent, pause) as url:
        monkeypatch.setenv("GPUENV_INDEX_PYTORCH", url)
        assert silent_reason(0.9)
    _wait_for_threads()


def _wait_for_threads() -> None:
    """The threads that hang end by themselves."""
    end = time.monotonic() + 10
    while time.monotonic() < end and any(one.name == "gpuenv-index" for one in threading.enumerate()):
        time.sleep(0.05)
    assert time.monotonic() < end


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((200, {"Content-Type": "text/plain"}, b"nothing here"), "its type is `text/plain`"),
        ((200, {"Content-Type": "application/json"}, b'{"files": 7}'), "Expected"),
        ((503, {}, b""), "503"),
        ((401, {}, b""), "401"),
        ((302, {"Location": "/whl/again/"}, b""), "redirects"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "file"),
    ],
    ids=["text", "JSON", "error", "login", "redirects", "redirect to a file"],
)
def test_an_index_that_answers_nonsense_is_silent(
    index: MadeProjectIndex, reply: tuple[int, dict[str, str], bytes], reason: str
) -> None:
    """With the reason, and without a word of it in the plan."""
    index.always = reply
    assert reason in silent_reason()


def test_a_login_page_lists_nothing(index: MadeProjectIndex) -> None:
    """It is HTML as the index's own pages are, so it counts as an answer, in which no wheel is."""
    index.always = (200, {"Content-Type": "text/html"}, b"<html><a href='/login'>sign in</a></html>")
    answer = ask(machine=H100)
    assert answer.builds == {}
    assert answer.silent == {}


def test_a_line_of_which_a_page_is_missing_is_left_out_whole(
    index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels of a line go together. The other lines stay, and the plan can say which answered."""
    add_torch(index, "cu126", 9)
    add_torch(index, "cu128", 9)
    plain = index.answer
    broken = (500, {"Content-Type": "text/html"}, b"")
    monkeypatch.setattr(index, "answer", lambda path: broken if "/cu128/torchvision/" in path else plain(path))
    answer = ask("pytorch", "torchvision")
    assert named(answer) == {("2.9.0", "cuda126_py311_1")}
    assert list(answer.silent) == ["pytorch/cu128"]
    assert "500" in answer.silent["pytorch/cu128"]
    assert "pytorch/cu126" in answer.answered
    assert "pytorch/cu128" not in answer.answered


def test_no_login_of_the_address_is_shown(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in what is silent, nor in the cache, nor in a requirement."""
    add_torch(index, "cu126", 9)
    url = os.environ["GPUENV_INDEX_PYTORCH"].replace("//", "//user:secret@")
    monkeypatch.setenv("GPUENV_INDEX_PYTORCH", url)
    answer = ask()
    assert named(answer)
    index.always = (401, {}, b"")
    monkeypatch.setattr(settings, "PROJECT_INDEX_KEPT_SECONDS", 0.0)
    refused = ask()
    assert "401" in refused.silent["pytorch"]
    kept = b"".join(path.read_bytes() for path in settings.cache_directory().rglob("*") if path.is_file())
    assert b"secret" not in kept
    assert "secret" not in repr((answer, refused))
