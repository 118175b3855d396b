"""The cache of readings: by key, safe with several processes, and harmless whatever happens to its files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gpuenv.artifacts import cache as module
from gpuenv.artifacts.cache import READER_VERSION, ReadingCache, claim_key, hash_key, open_cache, place_key, stamps_of
from gpuenv.model import Artifact, ArtifactKind, NativeFile, Reading

KEY = hash_key("AB" * 32)


def reading(count: int = 1, *, complete: bool = True) -> Reading:
    """A reading of `count` files."""
    files = tuple(NativeFile(path=f"lib{index}.so", needed=None) for index in range(count))
    artifact = Artifact(kind=ArtifactKind.WHEEL, name="kern", version="1")
    return Reading(artifact=artifact, files=files, complete=complete)


def entries(directory: Path, suffix: str = ".json") -> list[Path]:
    """The files of a cache."""
    return sorted(directory.rglob(f"*{suffix}"))


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Another process that runs `code` with this file's names."""
    head = "import sys, time; from pathlib import Path\nfrom artifacts.test_cache import *\n"
    words = [sys.executable, "-c", head + code, *map(str, arguments)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(words, stdout=subprocess.PIPE, env=environ)


def test_what_was_stored_is_loaded(tmp_path: Path) -> None:
    """A reading comes back the same, by its key alone, in upper or lower case."""
    ReadingCache(tmp_path).store(KEY, reading(3))
    assert ReadingCache(tmp_path).load(hash_key("ab" * 32)) == reading(3)
    assert ReadingCache(tmp_path).load(hash_key("cd" * 32)) is None
    assert str(READER_VERSION) in entries(tmp_path)[0].parts


def test_another_version_of_the_readers_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What older readers said is not loaded."""
    ReadingCache(tmp_path).store(KEY, reading())
    monkeypatch.setattr(module, "READER_VERSION", READER_VERSION + 1)
    assert ReadingCache(tmp_path).load(KEY) is None


def test_an_incomplete_reading_is_kept_but_never_in_place_of_a_complete_one(tmp_path: Path) -> None:
    """Who broke off goes on from there; a second one that breaks off does not undo the first one's work."""
    cache = ReadingCache(tmp_path)
    cache.store(KEY, reading(1, complete=False))
    assert cache.load(KEY) == reading(1, complete=False)
    cache.store(KEY, reading(5))
    cache.store(KEY, reading(2, complete=False))
    assert cache.load(KEY) == reading(5)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"reading": 1}', b"[" * 100_000, bytes(4096)])
def test_damaged_entries_are_as_none(tmp_path: Path, content: bytes) -> None:
    """An entry that cannot be read is replaced by the next one that is stored."""
    cache = ReadingCache(tmp_path)
    cache.store(KEY, reading())
    entries(tmp_path)[0].write_bytes(content)
    assert cache.load(KEY) is None
    cache.store(KEY, reading())
    assert cache.load(KEY) == reading()


def test_stamps_hold_a_reading_to_its_files(tmp_path: Path) -> None:
    """A file that changes in size, time or identity, or that appears, ends the reading."""
    cache, place, late = ReadingCache(tmp_path / "cache"), tmp_path / "x.so", tmp_path / "late.so"
    place.write_bytes(b"1")

    def store() -> None:
        cache.store(KEY, reading(), stamps=stamps_of((place, late)))
        assert cache.load(KEY)

    store()
    place.write_bytes(b"12")
    assert cache.load(KEY) is None
    store()
    os.utime(place, ns=(5, 5))
    assert cache.load(KEY) is None
    store()
    twin = tmp_path / "twin"
    twin.write_bytes(b"12")
    os.utime(twin, ns=(5, 5))
    twin.replace(place)
    assert cache.load(KEY) is None
    store()
    late.write_bytes(b"")
    assert cache.load(KEY) is None


def test_the_key_of_a_place_follows_links_and_changes(tmp_path: Path) -> None:
    """One file has one key by whatever name it is called; a changed file has another."""
    place, link = tmp_path / "x.whl", tmp_path / "link.whl"
    place.write_bytes(b"1")
    link.symlink_to(place)
    before = place_key(place)
    assert place_key(link) == before
    place.write_bytes(b"12")
    assert place_key(place) != before


def test_without_a_directory_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--no-cache` reads and writes nothing; otherwise the user's directory is used."""
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path))
    off = open_cache(enabled=False)
    off.store(KEY, reading())
    with off.lock(KEY) as held:
        assert not held
    assert off.load(KEY) is None
    assert list(tmp_path.iterdir()) == []
    open_cache().store(KEY, reading())
    assert entries(tmp_path / "readings")


@pytest.mark.parametrize("obstacle", ["a file in the way", "a name that is no text"])
def test_what_cannot_be_written_fails_nothing(tmp_path: Path, obstacle: str) -> None:
    """Where no directory can be made, and for paths that JSON cannot hold, work goes on without."""
    (tmp_path / "file").write_text("")
    cache = ReadingCache(tmp_path / ("file" if obstacle.startswith("a file") else "cache"))
    cache.store(KEY, reading(), stamps={"\udcff.so": None})
    with cache.lock(KEY):
        pass
    assert cache.load(KEY) is None
    assert entries(tmp_path, ".tmp") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the write itself fails, nothing of it stays."""
    real = tempfile.mkstemp

    def full(*, dir: Path, suffix: str) -> tuple[int, str]:  # noqa: A002  (the name is the library's)
        handle, name = real(dir=dir, suffix=suffix)
        os.close(handle)
        return os.open("/dev/full", os.O_WRONLY), name

    monkeypatch.setattr(tempfile, "mkstemp", full)
    cache = ReadingCache(tmp_path)
    cache.store(KEY, reading())
    assert cache.load(KEY) is None
    assert [place for place in tmp_path.rglob("*") if place.is_file()] == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_read_only_cache_is_read(tmp_path: Path) -> None:
    """What is in it is used; what is new is not kept."""
    cache = ReadingCache(tmp_path)
    cache.store(KEY, reading())
    for directory in [tmp_path, *tmp_path.rglob("*")]:
        if directory.is_dir():
            directory.chmod(0o555)
    try:
        cache.store(hash_key("00"), reading())
        with cache.lock(KEY) as held:
            assert not held
        assert cache.load(KEY) == reading()
    finally:
        for directory in [tmp_path, *tmp_path.rglob("*")]:
            directory.chmod(0o755)


def test_many_writers_and_readers_of_one_key(tmp_path: Path) -> None:
    """While four processes write one key, every load gives one of the whole readings."""
    cache = ReadingCache(tmp_path)
    cache.store(KEY, reading(100))
    code = "cache = ReadingCache(Path(sys.argv[1]))\nfor _ in range(60): cache.store(KEY, reading(int(sys.argv[2])))"
    writers = [start(code, tmp_path, 100 * number) for number in range(1, 5)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        loaded = cache.load(KEY)
        assert loaded is not None
        seen.add(len(loaded.files))
    assert [writer.wait() for writer in writers] == [0] * 4
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    assert seen <= {100, 200, 300, 400}
    assert entries(tmp_path, ".tmp") == []


def test_a_writer_killed_at_any_moment_leaves_a_whole_entry(tmp_path: Path) -> None:
    """After each of ten kills the key still loads, and another process can store and lock."""
    cache = ReadingCache(tmp_path)
    cache.store(KEY, reading(300))
    code = """
cache = ReadingCache(Path(sys.argv[1]))
print(flush=True)
while True:
    with cache.lock(KEY):
        cache.store(KEY, reading(3000))
"""
    for number in range(10):
        writer = start(code, tmp_path)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.003 * number)
        writer.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        writer.wait()
        writer.stdout.close()
        loaded = cache.load(KEY)
        assert loaded is not None
        assert len(loaded.files) in {300, 3000}
        with cache.lock(KEY, wait_seconds=5) as held:
            assert held


def test_a_second_process_waits_for_the_first_and_not_for_ever(tmp_path: Path) -> None:
    """While one holds the key's lock another goes on without after its time; afterwards it gets it."""
    code = "with ReadingCache(Path(sys.argv[1])).lock(KEY) as held: print(held, flush=True); time.sleep(60)"
    holder = start(code, tmp_path)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"True\n"
        cache, began = ReadingCache(tmp_path), time.monotonic()
        with cache.lock(KEY, wait_seconds=0.2) as held:
            assert not held
        assert 0.1 < time.monotonic() - began < 10
        with cache.lock(hash_key("other"), wait_seconds=5) as held:
            assert held
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with ReadingCache(tmp_path).lock(KEY, wait_seconds=5) as held:
        assert held


def test_an_error_inside_of_the_lock_passes_through(tmp_path: Path) -> None:
    """The lock is free afterwards, and the error is the caller's."""
    cache = ReadingCache(tmp_path)
    with pytest.raises(OSError, match="of the caller"), cache.lock(KEY):
        raise OSError("of the caller")
    with cache.lock(KEY, wait_seconds=1) as held:
        assert held


def test_what_nobody_used_for_90_days_goes(tmp_path: Path) -> None:
    """Once a day a store lets old entries and left temporary files go, of any version; what is loaded stays."""
    cache, other = ReadingCache(tmp_path), hash_key("ef" * 32)
    cache.store(KEY, reading())
    cache.store(other, reading())
    left = tmp_path / "0" / "aa" / "left.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    long_ago = time.time() - 91 * 86400
    for place in (*entries(tmp_path), left):
        os.utime(place, (long_ago, long_ago))
    assert cache.load(KEY)
    cache.store(hash_key("new"), reading())
    assert cache.load(other)
    for place in entries(tmp_path):
        if place.stat().st_mtime > long_ago + 1 and cache._place(other) == place:
            os.utime(place, (long_ago, long_ago))
    os.utime(tmp_path / "swept", (long_ago, long_ago))
    cache.store(hash_key("new"), reading())
    assert cache.load(KEY)
    assert cache.load(other) is None
    assert not left.exists()


def test_a_claimed_hash_counts_at_its_address_and_after_a_checked_one(tmp_path: Path) -> None:
    """Of two readings of one hash, that of the file whose hash was checked; that of another address never."""
    cache, sha256 = ReadingCache(tmp_path), "ab" * 32
    cache.store(claim_key(sha256, "http://a"), reading(1))
    assert cache.of_file(sha256) is None
    assert cache.of_file(sha256, "http://b") is None
    assert cache.of_file(sha256.upper(), "http://a") == reading(1)
    cache.store(hash_key(sha256), reading(2))
    assert cache.of_file(sha256, "http://a") == cache.of_file(sha256, "http://b") == cache.of_file(sha256) == reading(2)
