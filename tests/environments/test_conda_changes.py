"""Changes of environments of conda packages by the verbs, also after conda or another tool was at work there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from environments.conda_prefixes import conda_plan
from environments.little_index import Index, Listener, this_machine
from gpuenv import environments
from gpuenv.channels.conda.running import run_rattler
from gpuenv.environments import layout
from gpuenv.environments.conda_history import asked_specs, history_with, read_history, write_history
from gpuenv.environments.conda_meta import channel_names
from gpuenv.environments.conda_truth import as_it_is, conda_problems
from gpuenv.environments.verbs import create_environment, install, plan_install, uninstall, update
from gpuenv.errors import RequestError
from gpuenv.model import Machine, Plan, Request, Sources
from little_channel import LittlePackage, make_channel
from tensorflow_channel import tensorflow_channel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the packages of these tests are for POSIX")


@pytest.fixture
def machine(index: Index) -> Machine:
    """The computer at hand, which `uv` asks a little index for; without a GPU, whatever it has."""
    return this_machine()


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """A channel of plain packages in several versions."""
    return make_channel(
        tmp_path / "channel",
        [
            LittlePackage(name="one", version="1.0", files={"share/one.txt": "1.0"}),
            LittlePackage(name="one", version="2.0", files={"share/one.txt": "2.0"}),
            LittlePackage(name="two", version="1.0", files={"share/two.txt": "1.0"}, depends=["one"]),
            LittlePackage(name="three", version="3.0", files={"share/three.txt": "3.0"}),
        ],
    )


def made(channel: Path, prefix: Path, machine: Machine, *specs: str) -> Plan:
    """An environment of conda packages by the verb."""
    request = Request(specs=specs, channels=(str(channel),), sources=Sources.CONDA)
    return create_environment(request, prefix, machine=machine, report=Listener()).environment.plan


def with_rattler(prefix: Path, plan: Plan, *specs: str) -> None:
    """What another tool does: the packages of `plan` in the prefix, and a revision in the history."""
    import json
    from datetime import UTC, datetime

    from rattler import PrefixRecord, install

    records = []
    for package in plan.conda:
        place = prefix.parent / "record.json"
        place.write_text(json.dumps({**package.record, "files": [], "paths_data": {"paths_version": 1, "paths": []}}))
        records.append(PrefixRecord.from_path(place))
    run_rattler(install([*records], prefix, cache_dir=prefix.parent / "other-cache", show_progress=False))
    text = (prefix / "conda-meta" / "history").read_text()
    write_history(prefix, history_with(text, when=datetime.now(UTC), command=["conda"], came=[], went=[], asked=specs))


def versions(prefix: Path) -> dict[str, str]:
    """What is installed."""
    return {one.name: one.version for one in environments.list_packages(prefix)}


def test_install_update_remove(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """What is there stays where it can; an update takes the newest; a removal takes along what only it needed."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0")
    change = install(("two",), prefix, machine=machine, report=Listener())
    assert versions(prefix) == {"one": "1.0", "two": "1.0"}
    assert change.before
    assert [one.name for one in change.before.conda] == ["one"]
    install(("one",), prefix, machine=machine, report=Listener())
    update((), prefix, machine=machine, report=Listener())
    assert versions(prefix) == {"one": "2.0", "two": "1.0"}
    assert (prefix / "share" / "one.txt").read_text() == "2.0"
    uninstall(("one",), prefix, machine=machine, report=Listener())
    assert versions(prefix) == {"one": "2.0", "two": "1.0"}, "`two` needs it"
    install(("three",), prefix, machine=machine, report=Listener())
    uninstall(("two",), prefix, machine=machine, report=Listener())
    assert versions(prefix) == {"three": "3.0"}
    assert [path.name for path in (prefix / "share").iterdir()] == ["three.txt"]
    with pytest.raises(RequestError, match="`one` is not in"):
        uninstall(("one",), prefix, machine=machine, report=Listener())
    assert len(read_history(prefix)) == 7


def test_switching_tensorflow(tmp_path: Path, machine: Machine) -> None:
    """Another variant of TensorFlow takes the place of the first, and Keras on plain `tensorflow` stays."""
    channel = tensorflow_channel(tmp_path / "tensorflow")
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "tensorflow=2.4.1=eigen_*", "keras")
    assert python_says(prefix) == "eigen eigen"
    keras = [one for one in environments.list_packages(prefix) if one.name.startswith("keras")]
    for variant in ("mkl", "eigen", "gpu"):
        change = install((f"tensorflow=2.4.1={variant}_*",), prefix, machine=machine, report=Listener())
        assert python_says(prefix) == f"{variant} {variant}"
        assert [one for one in environments.list_packages(prefix) if one.name.startswith("keras")] == keras
        assert change.environment.plan.request.specs[0] == "keras"
    assert asked_specs(read_history(prefix))["tensorflow"] == "tensorflow ==2.4.1 gpu_*"


def python_says(prefix: Path) -> str:
    """The variants that TensorFlow and Keras have, asked of the Python of the environment."""
    code = "import tensorflow, keras; print(tensorflow.variant, keras.backend)"
    return subprocess.run(
        [layout.python_of(prefix), "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_another_channel_joins(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """A channel that is named for a change goes before the others, and stays one of the environment's."""
    second = make_channel(tmp_path / "second", [LittlePackage(name="four", files={"share/four.txt": "4"})])
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0")
    before, after = plan_install(("four",), prefix, machine=machine, report=Listener(), channels=(str(second),))
    assert {one.name for one in after.conda} - {one.name for one in before.conda} == {"four"}
    change = install(("four",), prefix, machine=machine, report=Listener(), channels=(str(second),))
    assert versions(prefix) == {"one": "1.0", "four": "1.0"}
    assert [*channel_names(change.environment.plan.request)] == [second.as_uri(), channel.as_uri()]
    install(("three",), prefix, machine=machine, report=Listener())
    assert set(versions(prefix)) == {"one", "three", "four"}


def test_what_another_tool_did_counts(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """After another tool changed the prefix, gpuenv says so and goes on from what is there and was asked for."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0")
    with_rattler(prefix, conda_plan(channel, "one=2.0", "two"), "one=2.0", "two")
    heard = Listener()
    now = as_it_is(environments.load(prefix), report=heard)
    assert "`two` 1.0 was added with another tool" in heard.details
    assert any(line.startswith("`one` was changed with another tool: 2.0") for line in heard.details)
    assert {one.name: one.version for one in now.plan.conda} == {"one": "2.0", "two": "1.0"}
    assert now.plan.request.specs[-1].startswith("two")
    listed = {one.name: one for one in environments.list_packages(prefix)}
    assert (listed["one"].version, listed["one"].planned) == ("2.0", "1.0 0")
    before, after = plan_install(("three",), prefix, machine=machine, report=Listener())
    assert "`two` 1.0 was added with another tool" in after.explanation.notes
    change = install(("three",), prefix, machine=machine, report=Listener())
    assert "`two` 1.0 was added with another tool" in change.notes
    assert versions(prefix) == {"one": "2.0", "two": "1.0", "three": "3.0"}
    assert change.before == before
    assert [one.version for one in change.before.conda] == ["2.0", "1.0"]


def test_what_another_tool_asked_for_counts(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """Specs of a later revision take the place of those that gpuenv was asked for, though no package changed."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0", "two")
    with_rattler(prefix, conda_plan(channel, "one=2.0", "two"), "one >=2")
    install(("three",), prefix, machine=machine, report=Listener())
    assert versions(prefix) == {"one": "2.0", "two": "1.0", "three": "3.0"}
    with_rattler(prefix, conda_plan(channel, "one=2.0", "two", "three"), "one=2.0")
    change = install(("three",), prefix, machine=machine, report=Listener())
    assert change.environment.plan.request.specs == ("one=2.0", "two", "three")
    text = (prefix / "conda-meta" / "history").read_text()
    write_history(prefix, text + "==> 2030-01-01 00:00:00 <==\n# remove specs: ['two']\n")
    assert as_it_is(environments.load(prefix), report=Listener()).plan.request.specs == ("one=2.0", "three")
    write_history(prefix, "")
    assert as_it_is(environments.load(prefix), report=Listener()).plan.request.specs == ("one=2.0", "two", "three")


def test_channel_of_a_spec_stays(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """`CHANNEL::NAME` is in the history and in files for conda with its channel, and counts at the next change."""
    second = make_channel(tmp_path / "second", [LittlePackage(name="one", version="9.0", files={"share/one.txt": "9"})])
    prefix = tmp_path / "env"
    made(channel, prefix, machine, f"{second}::one", "three")
    assert versions(prefix)["one"] == "9.0"
    assert asked_specs(read_history(prefix))["one"] == f"{second.as_uri()}::one"
    for kind in (environments.ExportFormat.CONDA, environments.ExportFormat.CONDA_HISTORY):
        assert f"{second.as_uri()}::one" in environments.export(prefix, kind)
    with_rattler(prefix, environments.load(prefix).plan, f"{second.as_uri()}::one >=9")
    update((), prefix, machine=machine, report=Listener())
    assert versions(prefix)["one"] == "9.0"


def test_what_another_tool_removed_is_not_brought_back(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """A package that was asked for and then removed with another tool is no longer wanted."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0", "three")
    with_rattler(prefix, conda_plan(channel, "one=1.0"))
    install(("two",), prefix, machine=machine, report=Listener())
    assert versions(prefix) == {"one": "1.0", "two": "1.0"}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"name": 1}', '{"name": "one", "version": "1.0"}', "\0", "[" * 9999]
)
def test_broken_records(channel: Path, tmp_path: Path, machine: Machine, content: str) -> None:
    """A record that is broken is told of, hides nothing else, and is whole again after the next change."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0", "three")
    (prefix / "conda-meta" / "one-1.0-0.json").write_text(content)
    assert any("one-1.0-0.json" in line for line in conda_problems(environments.load(prefix)))
    assert "three" in versions(prefix)
    change = install(("two",), prefix, machine=machine, report=Listener())
    assert any("one-1.0-0.json" in line for line in change.notes)
    assert versions(prefix) == {"one": "1.0", "two": "1.0", "three": "3.0"}
    assert conda_problems(environments.load(prefix)) == ()


def test_missing_files(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """Files that are gone are told of, and are there again after the next change."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0")
    (prefix / "share" / "one.txt").unlink()
    assert environments.load(prefix).conda_problems == ("`one` misses a file, such as `share/one.txt`",)
    install(("three",), prefix, machine=machine, report=Listener())
    assert (prefix / "share" / "one.txt").read_text() == "1.0"


def test_a_lost_history_begins_with_all_packages(channel: Path, tmp_path: Path, machine: Machine) -> None:
    """The first revision of a history that was lost names every package, also those that were there."""
    prefix = tmp_path / "env"
    made(channel, prefix, machine, "one=1.0")
    (prefix / "conda-meta" / "history").unlink()
    install(("three",), prefix, machine=machine, report=Listener())
    (revision,) = read_history(prefix)
    assert {line.rpartition("::")[2] for line in revision.lines} == {"one-1.0-0", "three-3.0-0"}
    assert revision.asked == ("one 1.0.*", "three")


def test_channels_of_a_history_have_their_names(tmp_path: Path) -> None:
    """A history names a channel as conda does where it has a name, and by its address where it has none."""
    from gpuenv.environments.conda_build import dist_names
    from gpuenv.model import LockedConda

    request = Request(specs=("a",), channels=("some-forge", "https://host.invalid/mine"))
    (named, plain) = channel_names(request)
    packages = [
        LockedConda(name=name, version="1", build="0", subdir="noarch", filename="f", url="u", channel=address)
        for name, address in (("a", named), ("b", f"{plain}/"))
    ]
    assert dist_names(packages, request) == {"some-forge/noarch::a-1-0", "https://host.invalid/mine/noarch::b-1-0"}


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("", {}),
        ("==> 2024-01-01 00:00:00 <==\n# cmd: conda create\n# update specs: ['numpy', 'b >=1,<2']\n", {"numpy", "b"}),
        ("==> x <==\n# install specs: ['a=1']\n==> y <==\n# remove specs: ['a']\n", set()),
        ("==> x <==\n# update specs: a >=1,<2,b\n", {"a", "b"}),
        ("==> x <==\n# update specs: ['a'\n# update specs: __import__('os')\n", {"__import__"}),
        ("==> x <==\n# update specs: ['conda-forge::a=1', 'B[version=1]']\n# neutered specs: ['a']\n", {"a", "b"}),
        ("no history at all\n\0\xff", {}),
    ],
)
def test_histories_of_others(tmp_path: Path, text: str, specs: set[str]) -> None:
    """Histories are read as conda writes and wrote them, and nothing in them is run."""
    write_history(tmp_path, text)
    assert set(asked_specs(read_history(tmp_path))) == set(specs)


def test_no_login_in_a_history() -> None:
    """The command that a history names has no password or token in it."""
    from datetime import UTC, datetime

    command = ["gpuenv", "install", "-c", "https://me:secret@host.invalid/t/tk-1234/mine", "one"]
    text = history_with("", when=datetime.now(UTC), command=command, came=[], went=[], asked=["one"])
    assert "# cmd: gpuenv install -c https://host.invalid/mine one\n" in text
