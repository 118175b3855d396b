"""Recordings: written whole or not at all, without private names, and refused when they are broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import RequestError, UnavailableError
from gpuenv.machines.probe import probe
from gpuenv.machines.recording import RecordedHost, RecordingHost, load_recording, read_recording, save_recording
from gpuenv.machines.scrub import PrivateWords, private_words, scrub
from gpuenv.model import Machine, to_json
from machines.stub_driver import BareHost

WORDS = PrivateWords(home="/gpfs/people/jdoe", words=(("jdoe", "user"), ("node17", "host")))


def _save(path: Path) -> None:
    recorder = RecordingHost(BareHost())
    probe(recorder)
    save_recording(path, recorder, note="this computer")


def test_a_saved_recording_gives_the_same_machine(tmp_path: Path) -> None:
    """What was probed here and what the file tells are one, but for private names."""
    recorder = RecordingHost(BareHost())
    machine = probe(recorder)
    save_recording(tmp_path / "host.json", recorder)
    words = private_words()
    replayed = json.loads(to_json(probe(load_recording(tmp_path / "host.json"))))
    assert replayed == scrub(json.loads(to_json(machine)), words)


def test_the_file_has_the_documented_form(tmp_path: Path) -> None:
    """Version, program version, note, and one entry for each question."""
    _save(tmp_path / "host.json")
    content = json.loads((tmp_path / "host.json").read_text())
    assert (content["recording"], content["note"]) == (1, "this computer")
    assert {"question": "platform", "about": []}.items() <= content["asked"][0].items()
    assert list(tmp_path.iterdir()) == [tmp_path / "host.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses in the middle, the old recording stands and nothing else is left behind."""
    target = tmp_path / "host.json"
    _save(target)
    before = target.read_text()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UnavailableError, match="cannot write"):
        _save(target)
    assert target.read_text() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """Writing into it is an error with the path in it, not a traceback."""
    with pytest.raises(UnavailableError, match=r"none/host\.json"):
        _save(tmp_path / "none" / "host.json")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/gpfs/people/jdoe/cuda/lib64:/usr/lib", "/home/user/cuda/lib64:/usr/lib"),
        ("/home/ann.other/.conda", "/home/user/.conda"),
        ("/scratch/jdoe-tmp/x", "/scratch/user-tmp/x"),
        ("C:\\Users\\Ann Other\\cuda", "C:\\Users\\user Other\\cuda"),
        ("/Users/ann/miniforge3", "/Users/user/miniforge3"),
        ("lib on node17.cluster", "lib on host.cluster"),
        ("Release Build  (ann@build17)  Fri", "Release Build  (builder)  Fri"),
        ("/gpfs/people/jdoe2/x", "/gpfs/people/jdoe2/x"),
        ("/proc/driver/nvidia/version", "/proc/driver/nvidia/version"),
    ],
)
def test_private_names_are_replaced(text: str, expected: str) -> None:
    """Home directories, user names as whole words, host names and builders; nothing else."""
    assert scrub([{"key": text}], WORDS) == [{"key": expected}]


def test_names_that_identify_nobody_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Jetson the user is called nvidia, which is also a word of system paths."""
    monkeypatch.setenv("USER", "nvidia")
    monkeypatch.setenv("LOGNAME", "jdoe")
    words = private_words()
    assert "nvidia" not in dict(words.words)
    assert dict(words.words)["jdoe"] == "user"


def test_the_whole_environment_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A variable that is not on the list does not get into the file; of some only the presence does."""
    monkeypatch.setenv("MY_SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.43.0.1")
    monkeypatch.setenv("CUDA_HOME", "/opt/cuda")
    _save(tmp_path / "host.json")
    text = (tmp_path / "host.json").read_text()
    assert "hunter2" not in text
    assert "10.43.0.1" not in text
    assert "/opt/cuda" in text


def test_the_file_names_no_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A variable with the user's name in it is kept, with another name in its place."""
    monkeypatch.setenv("USER", "jdoe")
    monkeypatch.setenv("CUDA_HOME", "/scratch/jdoe/cuda")
    _save(tmp_path / "host.json")
    text = (tmp_path / "host.json").read_text()
    assert "jdoe" not in text
    assert "/scratch/user/cuda" in text


def test_a_question_that_was_not_asked_is_answered_not_there() -> None:
    """An empty recording is a computer of which nothing is known."""
    host = RecordedHost(read_recording(b'{"recording": 1}'))
    assert host.read_text("/etc/os-release") is None
    assert host.listdir("/") is None
    assert host.read_link("/x") is None
    assert host.exists("/x") is False
    assert host.may_open("/x") is None
    assert host.run(("ls",)) is None
    assert host.driver("nvml") is None
    assert host.find_library("libcuda.so.1") == ()
    assert host.pci_device_name("10de", "2330") is None
    assert host.read_registry("KEY", ("NAME",)) is None
    assert probe(host).gpus is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not a recorded machine"),
        (b"[]", "not a recorded machine"),
        (b'{"gpuenv": "0.1.0"}', "not a recorded machine"),
        (b'{"recording": 2}', "version 2"),
        (b'{"recording": 1, "asked": [{"question": "sudo"}]}', "cannot be asked `sudo`"),
        (b'{"recording": 1, "asked": [{"question": "listdir", "about": ["/"], "answer": 5}]}', "wrong type"),
        (b'{"recording": 1, "asked": [{"question": "run", "about": ["ls"], "answer": {"status": 0}}]}', "wrong type"),
        (b"\xff\xfe", "not a recorded machine"),
    ],
)
def test_a_broken_recording_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    """The error is the user's to understand and names what is wrong."""
    path = tmp_path / "host.json"
    path.write_bytes(text)
    with pytest.raises(RequestError, match=says):
        load_recording(path)


def test_a_missing_recording_is_refused(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(RequestError, match=r"none\.json"):
        load_recording(tmp_path / "none.json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
_QUESTIONS = st.sampled_from(
    ["read_text", "listdir", "read_link", "exists", "may_open", "run", "environ", "platform", "driver", "find_library"]
)
_ENTRY = st.fixed_dictionaries(
    {"question": _QUESTIONS, "about": st.lists(st.text(max_size=9), max_size=2), "answer": _JSON}
)
_RECORDING = st.fixed_dictionaries({"recording": st.just(1), "asked": st.lists(_ENTRY, max_size=6)})


@given(st.binary(max_size=200) | (_JSON | _RECORDING).map(lambda value: json.dumps(value).encode()))
def test_any_content_is_a_host_or_a_request_error(content: bytes) -> None:
    """No file content leads to another error, and a host that was read can be probed."""
    try:
        host = RecordedHost(read_recording(content))
    except RequestError:
        return
    assert isinstance(probe(host), Machine)
