"""Machines that people write: the short form, files, and every way to get them wrong."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.errors import RequestError
from gpuenv.facts.gpus import load_gpus
from gpuenv.facts.toolkits import driver_cuda
from gpuenv.machines.description import KEYS
from gpuenv.machines.written import parse_machine
from gpuenv.model import DriverState, Machine, OperatingSystem, Vendor, to_json
from gpuenv.versions import ComputeCapability, CudaVersion, DriverVersion, LibcVersion

GIB = 1 << 30
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and give its path as somebody would type it."""

    def written(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, "utf-8")
        return str(tmp_path / name)

    return written


def refused(text: str) -> RequestError:
    """The error for a machine that makes no sense, which must speak of a conclusion and not end in a full stop."""
    with pytest.raises(RequestError) as caught:
        parse_machine(text)
    assert caught.value.message
    assert not caught.value.message.endswith(".")
    return caught.value


# ---- the short form ------------------------------------------------------------------------------------------


def test_the_example_of_the_documentation() -> None:
    """All that is said is in the machine, and `sources` tells what was said and what was concluded."""
    machine = parse_machine("gpu=2xV100,driver=535.129.03,os=linux,memory=64GiB")
    assert machine.system.os is OperatingSystem.LINUX
    assert machine.memory_bytes == 64 * GIB
    assert machine.driver.state is DriverState.LOADED
    assert machine.driver.version == DriverVersion("535.129.03")
    assert machine.driver.cuda == CudaVersion("12.2")
    assert machine.driver.module == "nvidia"
    assert machine.gpus is not None
    assert len(machine.gpus) == 2
    assert {gpu.compute_capability for gpu in machine.gpus} == {ComputeCapability("7.0")}
    assert machine.sources["driver.version"] == "--machine"
    assert machine.sources["driver.cuda"] == "facts (driver table)"
    assert machine.sources["system.arch"] == "assumed"
    assert any("V100" in note and "16 GiB" in note for note in machine.notes)


def test_every_key_is_understood() -> None:
    """One description with each key that the documentation lists."""
    machine = parse_machine(
        "gpu=H300, capability=9.0, gpu_memory=100 GB, driver=535.54.03, cuda=12.8, os=linux, arch=amd64, "
        "glibc=2.31, memory=1.5TiB, cores=32, name=big node"
    )
    assert machine.name == "big node"
    assert machine.system.glibc == LibcVersion("2.31")
    assert machine.cpu.cores == 32
    assert machine.memory_bytes == 1536 * GIB
    assert machine.driver.cuda == CudaVersion("12.8")
    gpu = machine.nvidia_gpus[0]
    assert (gpu.name, gpu.compute_capability, gpu.memory_bytes) == ("H300", ComputeCapability("9.0"), 100 * GIB)
    assert set(KEYS) == {
        *("gpu", "capability", "gpu_memory", "driver", "cuda", "os", "arch", "glibc", "memory", "cores", "name")
    }


def test_every_known_gpu_can_be_written_by_its_name() -> None:
    """What `nvidia-smi` prints can be copied into `--machine`."""
    for model in load_gpus():
        gpu = parse_machine(f"gpu={model.name}").nvidia_gpus[0]
        assert gpu.compute_capability == model.capability
        assert gpu.memory_bytes


def test_mixed_machines_keep_their_order_and_details() -> None:
    """A detail belongs to the GPU before it."""
    machine = parse_machine("gpu=A100-80GB,gpu=3*T4,gpu_memory=15GiB,gpu=Foo,sm=86")
    names = [gpu.name for gpu in machine.gpus or ()]
    assert names == ["NVIDIA A100-SXM4-80GB", *["Tesla T4"] * 3, "Foo"]
    assert [gpu.memory_bytes for gpu in machine.gpus or ()] == [80 * GIB, *[15 * GIB] * 3, None]
    assert machine.nvidia_gpus[-1].compute_capability == ComputeCapability("8.6")


def test_details_before_the_first_gpu_are_its_own() -> None:
    """Order does not matter where there is only one GPU."""
    assert parse_machine("capability=9.0,gpu=Foo").gpus == parse_machine("gpu=Foo,capability=9.0").gpus


def test_a_capability_alone_is_a_gpu() -> None:
    """Who does not know the name may know the number."""
    gpu = parse_machine("capability=8.6").nvidia_gpus[0]
    assert gpu.compute_capability == ComputeCapability("8.6")
    assert "8.6" in gpu.name


def test_a_capability_decides_between_boards_of_one_name() -> None:
    """`RTX 6000` alone is refused, with its number it is clear."""
    assert parse_machine("gpu=RTX 6000,capability=8.9").nvidia_gpus[0].name == "NVIDIA RTX 6000 Ada Generation"
    error = refused("gpu=RTX 6000")
    assert any("7.5" in reason for reason in error.reasons)
    assert any("Quadro RTX 6000" in hint for hint in error.hints)


def test_what_nobody_said_stays_unknown() -> None:
    """`os=linux` says nothing of GPUs, `gpu=none` says that there are none."""
    silent, without = parse_machine("os=linux"), parse_machine("gpu=none")
    assert (silent.gpus, silent.driver.state) == (None, DriverState.UNKNOWN)
    assert (without.gpus, without.driver.state) == ((), DriverState.MISSING)
    assert parse_machine("gpu=none,driver=535.54.03").driver.state is DriverState.LOADED
    assert parse_machine("gpu=V100").driver.state is DriverState.UNKNOWN
    assert silent.system.glibc is None
    assert "system.glibc" not in silent.sources


@pytest.mark.parametrize(
    ("text", "state", "module"),
    [
        ("driver=none", DriverState.MISSING, None),
        ("driver=nouveau", DriverState.MISSING, "nouveau"),
        ("cuda=none", DriverState.MISSING, None),
        ("cuda=12.4", DriverState.LOADED, None),
        ("driver=535.54.03", DriverState.LOADED, "nvidia"),
    ],
)
def test_drivers(text: str, state: DriverState, module: str | None) -> None:
    """A driver is there, is not, or another one drives the GPU."""
    driver = parse_machine(f"gpu=V100,{text}").driver
    assert (driver.state, driver.module) == (state, module)


@given(st.integers(346, 620), st.integers(0, 200), st.sampled_from(["linux", "windows", "wsl"]))
def test_the_cuda_of_a_written_driver_is_that_of_the_table(branch: int, release: int, os: str) -> None:
    """Under WSL the numbers are those of Windows."""
    machine = parse_machine(f"gpu=T4,driver={branch}.{release},os={os}")
    numbering = OperatingSystem.LINUX if os == "linux" else OperatingSystem.WINDOWS
    assert machine.driver.cuda == driver_cuda(DriverVersion(f"{branch}.{release}"), numbering)
    assert machine.system.wsl == (os == "wsl")


def test_a_branch_alone_is_its_first_release() -> None:
    """NVIDIA writes `>= 580` for CUDA 13 and means 580.65.06, so `driver=580` must not fall below it."""
    machine = parse_machine("driver=580")
    assert machine.driver.version == DriverVersion("580.65.06")
    assert any("580.65.06" in note for note in machine.notes)
    assert parse_machine("driver=541").driver.version == DriverVersion("541")


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("amd:RX 7900 XTX", Vendor.AMD),
        ("Radeon RX 580", Vendor.AMD),
        ("MI300X", Vendor.AMD),
        ("AMD", Vendor.AMD),
        ("Intel Arc A770", Vendor.INTEL),
        ("Arc B580", Vendor.INTEL),
        ("Apple M3", Vendor.APPLE),
        ("nvidia:V100", Vendor.NVIDIA),
        ("M4", Vendor.NVIDIA),
    ],
)
def test_gpus_of_other_makers(name: str, vendor: Vendor) -> None:
    """They have no compute capability, and with them alone NVIDIA's driver is taken to be missing."""
    machine = parse_machine(f"gpu={name}")
    assert machine.gpus is not None
    assert machine.gpus[0].vendor is vendor
    assert machine.gpus[0].name
    assert (machine.gpus[0].compute_capability is None) == (vendor is not Vendor.NVIDIA)
    assert (machine.driver.state is DriverState.MISSING) == (vendor is not Vendor.NVIDIA)


def test_a_mac_has_apples_gpu_and_no_driver() -> None:
    """A present Mac is aarch64; one with an Intel processor has nothing that packages use."""
    mac, intel = parse_machine("os=macos,arch=arm64"), parse_machine("os=macos,arch=x64")
    assert parse_machine("os=macos").system.arch == mac.system.arch == "aarch64"
    assert [gpu.vendor for gpu in mac.gpus or ()] == [Vendor.APPLE]
    assert intel.gpus == ()
    assert mac.driver.state is intel.driver.state is DriverState.MISSING
    assert [gpu.name for gpu in parse_machine("os=macos,gpu=m4 max").gpus or ()] == ["Apple M4 Max"]
    assert parse_machine("os=macos,gpu=GTX 780M").system.arch == "x86_64"


@pytest.mark.parametrize("name", ["Orin", "Jetson Nano", "GB10", "GH200", "GB200", "Thor", "DGX Spark"])
def test_some_gpus_come_with_an_arm_processor(name: str) -> None:
    """Jetson modules, Grace and GB10 are aarch64 without saying so."""
    machine = parse_machine(f"gpu={name}")
    assert machine.system.arch == "aarch64"
    assert (machine.system.jetson is not None) == (machine.nvidia_gpus[0].board == "jetson")
    assert refused(f"gpu={name},arch=x86_64").reasons


def test_a_mig_device_has_its_share_of_memory() -> None:
    """The profile tells the memory; the compute capability is the board's."""
    gpu = parse_machine("gpu=2xA100-SXM4-40GB MIG 1g.5gb").nvidia_gpus[1]
    assert (gpu.mig, gpu.memory_bytes, gpu.compute_capability) == ("1g.5gb", 5 * GIB, ComputeCapability("8.0"))


@pytest.mark.parametrize(
    "size", ["64GiB", "64gib", "64 GB", "64G", "65536MiB", "65536 MB", "65536m", "0.0625TiB", "67108864K"]
)
def test_sizes(size: str) -> None:
    """GB counts as GiB, as it does on memory that is sold."""
    assert parse_machine(f"memory={size}").memory_bytes == 64 * GIB


# ---- wrong descriptions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("V100", "V100"),
        ("some/where", "some/where"),
        ("gpuu=V100", "gpuu"),
        ("python=3.11", "python"),
        ("gpu=V10", "V10"),
        ("gpu=", "GPU"),
        ("gpu=nvidia", "GPU"),
        ("gpu=0xV100", "0"),
        ("gpu=999999xV100", "999999"),
        ("driver=new", "new"),
        ("driver=", "driver"),
        ("cuda=12", "12"),
        ("os=beos", "beos"),
        ("arch=sparc", "sparc"),
        ("glibc=new", "new"),
        ("memory=64", "64"),
        ("memory=0GiB", "0GiB"),
        ("memory=-1GiB", "-1GiB"),
        ("cores=0", "0"),
        ("cores=4.5", "4.5"),
        ("capability=nine", "nine"),
        ("gpu=V100,gpu_memory=lots", "lots"),
    ],
)
def test_malformed_values_are_named(text: str, word: str) -> None:
    """The message says which word is wrong."""
    assert word in refused(text).message


@pytest.mark.parametrize(
    "text",
    [
        "gpu=none,gpu=V100",
        "gpu=none,capability=8.6",
        "gpu=none,gpu_memory=8GiB",
        "driver=535.54.03,driver=550.54.14",
        "gpu=V100,capability=7.0,capability=8.0",
        "driver=none,cuda=12.4",
        "driver=nouveau,cuda=12.4",
        "driver=535.54.03,cuda=none",
        "driver=580.65.06,cuda=12.4",
        "os=windows,glibc=2.28",
        "os=windows,driver=nouveau",
        "os=windows,arch=ppc64le",
        "os=macos,arch=arm64,gpu=V100",
        "gpu=Orin,arch=x86_64",
        "gpu=Radeon RX 580,capability=8.0",
    ],
)
def test_contradictions_are_refused_with_the_reason(text: str) -> None:
    """Two things that cannot both be true are no machine."""
    error = refused(text)
    assert error.reasons or "capability" in error.message


def test_saying_a_thing_twice_is_no_contradiction() -> None:
    """Only two different values are."""
    assert parse_machine("os=linux,os=linux,gpu=none,gpu=none").gpus == ()


def test_hints_lead_on() -> None:
    """The nearest names, the nearest key, and the way out for a GPU that is not in the list."""
    assert any("V100" in hint for hint in refused("gpu=V10").hints)
    assert any("capability" in hint for hint in refused("gpu=Zork 9").hints)
    assert any("`driver`" in hint for hint in refused("drivr=535").hints)
    assert any("gpu=V100" in hint for hint in refused("V100").hints)


# ---- files ---------------------------------------------------------------------------------------------------


TOML = """
name = "cluster node"
memory = "256GiB"

[system]
os = "linux"
arch = "x86_64"
glibc = "2.28"

[driver]
version = "535.129.03"

[cpu]
cores = 32

[[gpu]]
name = "V100"
count = 2
memory = "32GiB"

[[gpu]]
name = "New One"
capability = "9.0"
"""


def test_tables_and_the_short_form_say_the_same(write: Write) -> None:
    """What a TOML file says in tables can be said on one line."""
    machine = parse_machine(write("node.toml", TOML))
    line = parse_machine(
        "name=cluster node,memory=256GiB,os=linux,arch=x86_64,glibc=2.28,driver=535.129.03,cores=32,"
        "gpu=2xV100,gpu_memory=32GiB,gpu=New One,capability=9.0"
    )
    assert machine.sources["driver.version"] == "node.toml"
    assert to_json(machine).replace("node.toml", "--machine") == to_json(line)


def test_flat_files(write: Write) -> None:
    """The keys of the short form stand at the top of a file, and `gpu` may be a list; the name is the file's."""
    machine = parse_machine(write("login.toml", 'gpu = ["2xT4", {name = "A10"}]\ndriver = 580\ncores = 8\n'))
    assert machine.name == "login"
    assert [gpu.name for gpu in machine.gpus or ()] == ["Tesla T4", "Tesla T4", "NVIDIA A10"]
    assert machine.driver.cuda == CudaVersion("13.0")
    assert parse_machine(write("cpu.toml", 'gpu = "none"\n')).gpus == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["bad.toml"]),
        ("gpu = ", ["bad.toml"]),
        ("driver = 535.54\n", ["bad.toml", "driver"]),
        ("[driver]\ncuda = 12.4\n", ["bad.toml", "driver.cuda"]),
        ("[driver]\nvresion = '535.54.03'\n", ["bad.toml", "driver.vresion"]),
        ("[[gpu]]\nname = 'V100'\nvram = '32GiB'\n", ["bad.toml", "gpu.vram"]),
        ("[[gpu]]\ncount = 2\n", ["bad.toml", "GPU"]),
        ("[[gpu]]\nname = 'V100'\ncount = 0\n", ["bad.toml", "0"]),
        ("colour = 'red'\n", ["bad.toml", "colour"]),
        ("cores = true\n", ["bad.toml", "cores"]),
        ("cores = [1]\n", ["bad.toml", "cores"]),
        ("os = 1979-05-27\n", ["bad.toml", "os"]),
        ("system = 'linux'\n", ["bad.toml", "system"]),
        ("memory = {size = 3}\n", ["bad.toml", "memory"]),
        ("gpu = 'V10'\n", ["bad.toml", "V10"]),
    ],
)
def test_broken_files_are_refused_with_file_and_key(write: Write, text: str, words: list[str]) -> None:
    """The message names the file and the key."""
    message = refused(write("bad.toml", text)).message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"version": 1}', '{"recording": 99}', '{"recording": "x"}'])
def test_json_that_is_no_machine(write: Write, content: str) -> None:
    """Neither a machine nor a recording."""
    assert "bad.json" in refused(write("bad.json", content)).message


def test_a_recorded_host_is_probed(write: Write) -> None:
    """A recording answers the questions of a probe, as the computer would."""
    platform = {"system": "Linux", "machine": "x86_64", "libc": "glibc 2.31", "cores": 4}
    recording = {"recording": 1, "asked": [{"question": "platform", "answer": platform}]}
    machine = parse_machine(write("host.json", json.dumps(recording)))
    assert machine.platform == "linux-x86_64"
    assert machine.system.glibc == LibcVersion("2.31")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a directory, bytes that are not text."""
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "dir.json").mkdir()
    for name in ("missing.toml", "raw.toml", "dir.json"):
        error = refused(str(tmp_path / name))
        assert name in error.message
        assert error.reasons


def test_a_machine_of_a_newer_gpuenv_is_refused(write: Write) -> None:
    """What a later version means by its fields is not guessed at."""
    content = json.loads(to_json(parse_machine("gpu=V100"))) | {"version": 99}
    assert "99" in refused(write("new.json", json.dumps(content))).reasons[0]


# ---- laws ----------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["V100", "2xA100", "none", "535.54.03", "12.4", "linux", "wsl", "64GiB", "8", "9.0", "RTX 6000"]),
)
LINES = st.lists(st.tuples(st.sampled_from([*KEYS, "gpus", "sm", "x"]), VALUES), max_size=6).map(
    lambda items: ",".join(f"{key}={value}" for key, value in items)
)


def answer(text: str) -> Machine | None:
    """The machine, or None where the text was refused; nothing else may happen."""
    try:
        return parse_machine(text)
    except RequestError:
        return None


@given(st.one_of(st.text(max_size=40), LINES))
def test_any_text_is_a_machine_or_is_refused(text: str) -> None:
    """No text ends in a traceback, and what comes out tells where its values are from."""
    machine = answer(text)
    if machine is not None:
        assert machine.sources
        assert machine.gpus is None or "gpus" in machine.sources


@given(LINES)
def test_a_machine_survives_its_json(line: str) -> None:
    """A machine that was written to a file is the same machine when it is read."""
    machine = answer(line)
    if machine is None:
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "machine.json"
        path.write_text(to_json(machine), "utf-8")
        assert parse_machine(str(path)) == machine


@given(st.text(max_size=60))
def test_any_toml_is_a_machine_or_is_refused(text: str) -> None:
    """No file ends in a traceback either."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "any.toml"
        path.write_text(text, "utf-8", "surrogatepass")
        answer(str(path))
