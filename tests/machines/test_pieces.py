"""Single pieces of a probe: spellings of addresses and versions, hidden GPUs, groups, what `nvidia-smi` prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv._process import Completed
from gpuenv.machines import local
from gpuenv.machines.answers import FailureKind, read_answer
from gpuenv.machines.cgroups import cpu_limit, memory_limit
from gpuenv.machines.containers import find_container
from gpuenv.machines.found import normal_bus, read_capability
from gpuenv.machines.local import LocalHost
from gpuenv.machines.recording import Asked, RecordedHost, Recording
from gpuenv.machines.smi import ask_smi
from gpuenv.machines.visible import visible_count, visible_note
from gpuenv.machines.windows import driver_version_from_windows
from gpuenv.model import Gpu, OperatingSystem

GPUS = tuple(Gpu(name=f"GPU {index}", uuid=f"GPU-{index}abc") for index in range(4))


def _host(*asked: tuple[str, tuple[str, ...], object]) -> RecordedHost:
    entries = tuple(Asked(question=question, about=about, answer=answer) for question, about, answer in asked)
    return RecordedHost(Recording(recording=1, asked=entries))


@pytest.mark.parametrize(
    ("text", "bus"),
    [
        ("00000000:65:00.0", "0000:65:00.0"),
        ("0000:65:00.0", "0000:65:00.0"),
        ("00010000:0A:1F.7", "10000:0a:1f.7"),
        ("65:00.0", "0000:65:00.0"),
        ("", None),
        ("somewhere", None),
        (None, None),
    ],
)
def test_pci_addresses_have_one_spelling(text: str | None, bus: str | None) -> None:
    """NVML, CUDA and Linux write the same address in three ways."""
    assert normal_bus(text) == bus


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("32.0.15.6094", "560.94"),
        ("31.0.15.3667", "536.67"),
        ("27.21.14.5671", "456.71"),
        ("30.0.15.23", "500.23"),
        ("10.0.22621.1", None),
        ("560.94", None),
        ("", None),
    ],
)
def test_windows_driver_versions(text: str, version: str | None) -> None:
    """NVIDIA's version is the last five digits of the number that Windows shows."""
    found = driver_version_from_windows(text)
    assert (str(found) if found else None) == version


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("0,1,2,3", 4),
        ("2", 1),
        ("", 0),
        ("-1", 0),
        ("0,7,1", 1),
        ("GPU-1,GPU-3abc", 2),
        ("GPU-", 0),
        ("0,0", 0),
        ("NoDevFiles", 0),
        (" 1 , 2", 2),
    ],
)
def test_what_cuda_visible_devices_leaves(value: str, count: int) -> None:
    """Indexes and UUIDs (or their beginnings) up to the first that names no device; a repeated one leaves nothing."""
    assert visible_count(value, GPUS) == count


def test_the_note_on_hidden_gpus() -> None:
    """It names the value and how many are hidden; nothing hidden, nothing said."""
    assert visible_note("", GPUS) == "CUDA_VISIBLE_DEVICES='' hides all GPUs from CUDA programs started here"
    assert "hides 3 of 4 GPUs" in (visible_note("GPU-2", GPUS) or "")
    assert visible_note("3,2,1,0", GPUS) is None
    assert visible_note(None, GPUS) is None
    assert visible_note("0", ()) is None


@given(st.text(max_size=12))
def test_a_visible_count_is_never_more_than_there_are(value: str) -> None:
    """Any value of the variable leaves between none and all."""
    assert 0 <= visible_count(value, GPUS) <= len(GPUS)


def test_capability_zero_is_none() -> None:
    """A driver that does not know says 0.0, which is no capability."""
    assert read_capability("0.0") is None
    assert read_capability(None) is None
    assert str(read_capability(" 9.0 ")) == "9.0"


@pytest.mark.parametrize(
    ("files", "memory", "cores"),
    [
        (
            {
                "/proc/self/cgroup": "0::/\n",
                "/sys/fs/cgroup/memory.max": "max\n",
                "/sys/fs/cgroup/cpu.max": "max 100000\n",
            },
            None,
            None,
        ),
        (
            {
                "/proc/self/cgroup": "0::/a/b\n",
                "/sys/fs/cgroup/a/b/memory.max": "max\n",
                "/sys/fs/cgroup/a/memory.max": "1048576\n",
                "/sys/fs/cgroup/memory.max": "2097152\n",
                "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            },
            (1 << 20, "/sys/fs/cgroup/a/memory.max"),
            (2, "/sys/fs/cgroup/a/cpu.max"),
        ),
        (
            {
                "/proc/self/cgroup": "4:memory:/docker/0123\n1:cpu,cpuacct:/docker/0123\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            (1 << 20, "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            None,
        ),
        ({}, None, None),
    ],
)
def test_limits_of_groups(files: dict[str, str], memory: tuple[int, str] | None, cores: tuple[int, str] | None) -> None:
    """The smallest limit on the way up counts, in both versions; `max`, -1 and absent files are no limit."""
    host = _host(*(("read_text", (path,), text) for path, text in files.items()))
    assert memory_limit(host) == memory
    assert cpu_limit(host) == cores


@pytest.mark.parametrize(
    ("asked", "container"),
    [
        ([("exists", ("/.dockerenv",), True)], "docker"),
        ([("exists", ("/run/.containerenv",), True)], "podman"),
        ([("environ", (), {"container": "lxc"})], "lxc"),
        ([("environ", (), {"KUBERNETES_SERVICE_HOST": "set"}), ("exists", ("/.dockerenv",), True)], "kubernetes"),
        ([("environ", (), {"SINGULARITY_CONTAINER": "set"})], "apptainer"),
        ([("read_text", ("/proc/self/cgroup",), "5:devices:/kubepods/besteffort/pod1/2\n")], "kubernetes"),
        ([("read_text", ("/run/systemd/container",), "systemd-nspawn\n")], "systemd-nspawn"),
        ([("environ", (), {"container": "wsl"})], None),
        ([], None),
    ],
)
def test_containers_are_told_apart(asked: list[tuple[str, tuple[str, ...], object]], container: str | None) -> None:
    """Each kind by its own sign, the more telling sign first."""
    found = find_container(_host(*asked))
    assert (found[0] if found else None) == container


def test_nvidia_smi_with_missing_cells() -> None:
    """`[N/A]` is no value, and a lost GPU keeps its row with a failure."""
    query = (
        "nvidia-smi",
        "--query-gpu=driver_version,name,uuid,pci.bus_id,pci.device_id,memory.total,compute_cap,mig.mode.current",
        "--format=csv,noheader,nounits",
    )
    text = (
        "550.54.15, NVIDIA A30, GPU-1, 00000000:01:00.0, 0x20B710DE, 24576, 8.0, Disabled\n"
        "550.54.15, [GPU is lost], [GPU is lost], 00000000:02:00.0, [N/A], [N/A], [N/A], [N/A]\n"
        "a line that is no row\n"
    )
    host = _host(("run", query, {"status": 0, "stdout": text, "stderr": ""}))
    good, lost = ask_smi(host, OperatingSystem.LINUX).gpus
    assert (good.device_id, good.memory_bytes, good.mig_enabled, good.failure) == ("10de:20b7", 24 << 30, False, None)
    assert (lost.name, lost.memory_bytes, lost.failure and lost.failure.text) == (None, None, "GPU is lost")


def test_an_answer_of_another_shape_is_a_failure() -> None:
    """What cannot be understood counts as not answered, never as an answer."""
    answer = read_answer({"gpus": "many"})
    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.START


# ---- the local host ------------------------------------------------------------------------------------------


@pytest.fixture
def no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in which `sys.executable` is the program itself."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)


def test_a_frozen_program_does_not_start_itself(no_python: None) -> None:
    """Without a Python program the driver is not asked, and the answer says why."""
    answer = read_answer(LocalHost().driver("nvml"))
    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.START


def test_a_child_that_fails_says_its_last_line() -> None:
    """An exception in the child is no crash of the driver; its last line and what came before it are kept."""
    done = Completed(status=1, stdout='{"version": "550.54.15"}\n', stderr="Traceback\nValueError: x\n")
    answer = read_answer(local._child_answer(done, 1.0))
    assert answer.version == "550.54.15"
    assert answer.failure is not None
    assert answer.failure.text == "could not ask: ValueError: x"


def test_the_child_refuses_a_question_it_does_not_know() -> None:
    """Only the two known questions reach a driver."""
    answer = read_answer(LocalHost().driver("nonsense"))
    assert answer.failure is not None
    assert answer.failure.kind is FailureKind.START


def test_the_local_host_never_raises(tmp_path: Path) -> None:
    """Odd paths, directories, binary files and programs that cannot run are answers, too."""
    host = LocalHost()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "program").write_text("not a program")
    (tmp_path / "program").chmod(0o755)
    assert host.read_text(str(tmp_path)) is None
    assert host.read_text("a\0b") is None
    assert host.read_text(str(tmp_path / "binary")) == "\ufffd\ufffd\0"
    assert host.listdir("a\0b") is None
    assert host.listdir(str(tmp_path)) == ("binary", "program")
    assert host.read_link(str(tmp_path)) is None
    assert not host.exists("a\0b")
    assert host.may_open("a\0b") is None
    assert host.run((str(tmp_path / "program"),)) is None
    assert host.run(("no-such-program-anywhere",)) is None


def test_what_a_user_may_open(tmp_path: Path) -> None:
    """A file that may be read and written, one that may not, and none at all."""
    if os.geteuid() == 0:
        pytest.skip("root may open everything")
    (tmp_path / "file").write_text("")
    host = LocalHost()
    assert host.may_open(str(tmp_path / "file")) is True
    (tmp_path / "file").chmod(0o400)
    assert host.may_open(str(tmp_path / "file")) is False
    assert host.may_open(str(tmp_path / "none")) is None


def test_programs_speak_english_and_see_all_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started gets the C locale and no CUDA_VISIBLE_DEVICES."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    done = LocalHost().run(("env",))
    assert done is not None
    assert "LC_ALL=C\n" in done.stdout
    assert "CUDA_VISIBLE_DEVICES" not in done.stdout
