"""Conda packages of prefixes that another tool made: changed in place, taken back, and left whole by a kill."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from environments.conda_prefixes import conda_plan
from environments.little_index import Child, Index, Listener, this_machine
from gpuenv.channels.conda.running import run_rattler
from gpuenv.channels.uv import run_uv
from gpuenv.environments import layout
from gpuenv.environments.conda_history import asked_specs, history_with, read_history, write_history
from gpuenv.environments.conda_into import load_conda_prefix
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_plan import plan_into
from gpuenv.environments.foreign_undo import undo_install
from gpuenv.errors import IntegrityError, NoPlanError, RequestError, UnavailableError
from gpuenv.model import InstallReport
from little_channel import LittlePackage, make_channel, python_package
from tensorflow_channel import tensorflow_channel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the packages of these tests are for POSIX")


def conda_made(prefix: Path, channel: Path, *specs: str) -> Path:
    """A prefix as another tool makes it: rattler's own files, and a history with the specs."""
    from datetime import UTC, datetime

    from rattler import PrefixRecord, install

    prefix.mkdir(parents=True)
    records = []
    for package in conda_plan(channel, *specs).conda:
        place = prefix / "record.json"
        place.write_text(json.dumps({**package.record, "files": [], "paths_data": {"paths_version": 1, "paths": []}}))
        records.append(PrefixRecord.from_path(place))
        place.unlink()
    run_rattler(install([*records], prefix, cache_dir=prefix.parent / "others-cache", show_progress=False))
    lines = [f"{channel.as_uri()}/{one.subdir}::{one.file_name.rpartition('.')[0]}" for one in records]
    text = history_with("", when=datetime.now(UTC), command=["conda"], came=lines, went=[], asked=specs)
    write_history(prefix, text)
    return prefix


@pytest.fixture
def channel(tmp_path: Path, index: Index) -> Path:
    """A channel with a Python, TensorFlow and Keras, and packages that clash or lie."""
    channel = tensorflow_channel(tmp_path / "channel")
    more = [
        LittlePackage(name="one", version="1.0", files={"share/one.txt": "1.0"}),
        LittlePackage(name="one", version="2.0", files={"share/one.txt": "2.0"}),
        LittlePackage(name="liar", files={"share/liar.txt": "lie"}),
    ]
    return make_channel(tmp_path / "second", [*more], changed={"liar-1.0-0.conda": {"sha256": "0" * 64}}) and channel


@pytest.fixture
def second(channel: Path) -> Path:
    """The channel of small packages."""
    return channel.parent / "second"


@pytest.fixture
def prefix(channel: Path, tmp_path: Path) -> Path:
    """An environment of another tool with TensorFlow's eigen variant and Keras, a wheel and a file of the user's."""
    place = conda_made(tmp_path / "place" / "env", channel, "tensorflow=2.4.1=eigen_*", "keras")
    done = run_uv(["pip", "install", "--python", layout.python_of(place), "--no-deps", "beta"])
    assert done.status == 0, done.stderr
    (place / "mine.txt").write_text("mine")
    return place


def changed(prefix: Path, *specs: str, channels: tuple[Path, ...]) -> InstallReport:
    """The report of a change of conda packages."""
    preview = plan_into(specs, prefix, machine=this_machine(), report=Listener(), channels=tuple(map(str, channels)))
    return install_into(preview, report=Listener())


def variants(prefix: Path) -> str:
    """The variants that TensorFlow and Keras have, and whether the wheel is there."""
    code = "import tensorflow, keras, beta; print(tensorflow.variant, keras.backend, beta.VERSION)"
    done = subprocess.run([layout.python_of(prefix), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listing(prefix: Path) -> dict[str, tuple[str, bytes]]:
    """Everything that is there, but for what Python compiled and gpuenv's own."""
    found: dict[str, tuple[str, bytes]] = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if name.startswith((".gpuenv", "lib/python3")) and (name.startswith(".gpuenv") or "__pycache__" in name):
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()).encode())
        elif path.is_file():
            found[name] = ("file", path.read_bytes())
    return found


def test_switch_in_place(prefix: Path, channel: Path) -> None:
    """A variant is switched; what needs plain `tensorflow`, the wheel and the user's file stay; history goes on."""
    untouched = prefix / "conda-meta" / "keras-2.4.3-hd3eb1b0_0.json"
    before = untouched.stat()
    report = changed(prefix, "tensorflow=2.4.1=mkl_*", channels=(channel,))
    assert variants(prefix) == "mkl mkl 1.0"
    assert (prefix / "mine.txt").read_text() == "mine"
    assert untouched.stat().st_ino == before.st_ino
    assert report.done
    names = {one.name for one in report.changes}
    assert names >= {"tensorflow", "tensorflow-base", "_tflow_select", "mkl"}
    assert "keras" not in names
    first, second = read_history(prefix)
    assert any(line.startswith("-") and "tensorflow-2.4.1-eigen_" in line for line in second.lines)
    assert any(line.startswith("+") and "tensorflow-2.4.1-mkl_" in line for line in second.lines)
    assert asked_specs((first, second)) == {"tensorflow": "tensorflow ==2.4.1 mkl_*", "keras": "keras"}
    record = json.loads(next((prefix / "conda-meta").glob("tensorflow-2.4.1-mkl*.json")).read_text())
    assert record["requested_spec"] == "tensorflow ==2.4.1 mkl_*"
    assert record["url"].startswith(channel.as_uri())
    assert not (prefix / "CACHEDIR.TAG").exists() or "CACHEDIR.TAG" in listing(prefix)


def test_taken_back(prefix: Path, channel: Path) -> None:
    """`--undo` brings back every file, conda's records and history among them."""
    before = listing(prefix)
    changed(prefix, "tensorflow=2.4.1=gpu_*", channels=(channel,))
    assert variants(prefix) == "gpu gpu 1.0"
    undo_install(prefix, report=Listener())
    assert listing(prefix) == before
    assert variants(prefix) == "eigen eigen 1.0"


def test_further_packages_from_another_channel(prefix: Path, second: Path) -> None:
    """A package of a further channel comes, and nothing else changes."""
    report = changed(prefix, "one=1.0", channels=(second,))
    assert [(one.name, one.before, one.after) for one in report.changes] == [("one", None, "1.0")]
    report = changed(prefix, "one", channels=(second,))
    assert report.changes == ()
    report = changed(prefix, "one=2.0", channels=(second,))
    assert [(one.name, one.before, one.after) for one in report.changes] == [("one", "1.0", "2.0")]
    assert variants(prefix) == "eigen eigen 1.0"


def test_a_liar_leaves_all_as_it_was(prefix: Path, second: Path) -> None:
    """A file that is not the promised one is refused before anything is touched."""
    before = listing(prefix)
    with pytest.raises(IntegrityError, match="not the file"):
        changed(prefix, "liar", channels=(second,))
    assert listing(prefix) == before


def test_refusals(prefix: Path, second: Path, tmp_path: Path) -> None:
    """No channel has it; a broken record; no conda environment; changed since it was planned."""
    with pytest.raises(NoPlanError, match="no channel has"):
        changed(prefix, "nonesuch", channels=(second,))
    preview = plan_into(("one",), prefix, machine=this_machine(), report=Listener(), channels=(str(second),))
    changed(prefix, "one=1.0", channels=(second,))
    with pytest.raises(UnavailableError, match="changed by another command"):
        install_into(preview, report=Listener())
    (prefix / "conda-meta" / "keras-2.4.3-hd3eb1b0_0.json").write_text("{")
    with pytest.raises(IntegrityError, match="records"):
        changed(prefix, "one=2.0", channels=(second,))
    run_uv(["venv", tmp_path / "venv", "--python", sys.executable])
    with pytest.raises(RequestError, match="no conda environment"):
        changed(tmp_path / "venv", "one", channels=(second,))


def test_prefix_without_python(tmp_path: Path, second: Path) -> None:
    """A prefix without a Python is changed and put back as well."""
    prefix = conda_made(tmp_path / "plain" / "env", second, "one=1.0")
    before = listing(prefix)
    changed(prefix, "one=2.0", channels=(second,))
    assert (prefix / "share" / "one.txt").read_text() == "2.0"
    undo_install(prefix, report=Listener())
    assert listing(prefix) == before


def test_file_behind_a_link_of_the_prefix(tmp_path: Path, second: Path) -> None:
    """A file that would go through a link that somebody made in the prefix is refused."""
    prefix = conda_made(tmp_path / "plain" / "env", second, "one=1.0")
    outside = tmp_path / "outside"
    outside.mkdir()
    (prefix / "linked").symlink_to(outside)
    third = make_channel(tmp_path / "third", [LittlePackage(name="through", files={"linked/f": "1"})])
    before = listing(prefix)
    with pytest.raises(IntegrityError, match="may not be installed"):
        changed(prefix, "through", channels=(third,))
    assert listing(prefix) == before
    assert [*outside.iterdir()] == []


def test_what_rattler_knows_and_conda_goes_on_from(prefix: Path, channel: Path) -> None:
    """The records that a change leaves are read again whole, and another tool removes the packages cleanly."""
    changed(prefix, "tensorflow=2.4.1=mkl_*", channels=(channel,))
    there = load_conda_prefix(prefix)
    assert set(there.asked) == {"tensorflow", "keras"}
    from rattler import install

    run_rattler(install([], prefix, show_progress=False))
    left = {name for name in listing(prefix) if not name.startswith(("conda-meta/", "lib/python3"))}
    # What the pretended other tool itself left, beside the file of the user.
    assert left - {"CACHEDIR.TAG", ".lock"} == {"mine.txt"}


WORK = """
from pathlib import Path
from environments.little_index import this_machine
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_plan import plan_into
from gpuenv.model import Silence
preview = plan_into((SPEC,), Path(PREFIX), machine=this_machine(), report=Silence(), channels=(CHANNEL,))
print("begin", flush=True)
install_into(preview, report=Silence())
print("end", flush=True)
"""


def test_killed_changes(prefix: Path, channel: Path, child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill at any moment leaves the old, the new, or what `--undo` brings back to the old."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    values = {"PREFIX": str(prefix), "CHANNEL": str(channel)}
    begun = time.monotonic()
    seconds = 0.0
    for variant in ("mkl", "eigen"):
        process = child.start(WORK, SPEC=f"tensorflow=2.4.1={variant}_*", **values)
        assert process.stdout
        assert process.stdout.readline() == "begin\n"
        begun = time.monotonic()
        assert process.stdout.readline() == "end\n"
        seconds = time.monotonic() - begun
        process.communicate()
    now = "eigen"
    for part in range(6):
        goal = "mkl" if now == "eigen" else "eigen"
        process = child.start(WORK, SPEC=f"tensorflow=2.4.1={goal}_*", **values)
        assert process.stdout
        assert process.stdout.readline() == "begin\n", process.communicate()
        time.sleep(seconds * (part + random.random()) / 6 * 1.05)
        Child.kill(process)
        try:
            changed(prefix, "keras", channels=(channel,))
        except IntegrityError as error:
            interrupted = error.message
        else:
            interrupted = ""
        if interrupted:
            assert "interrupted" in interrupted
            undo_install(prefix, report=Listener())
            assert variants(prefix) == f"{now} {now} 1.0"
        found = variants(prefix).split()[0]
        assert found in {now, goal}
        assert load_conda_prefix(prefix).python
        now = found


def test_python_package_of_the_fixture_runs() -> None:
    """The little Python names its version, on which the prefixes here rest."""
    assert python_package(real=True).version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
