"""What locks install on one machine: those that uv, pixi and conda-lock write, and broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.channels.destinations import destination_of
from gpuenv.errors import FormatError, GpuenvError, NoPlanError, UnavailableError
from gpuenv.model import ArtifactKind
from gpuenv.targets.expand import expand
from gpuenv.targets.locks import expand_lock
from gpuenv.targets.words import LockKind, parse_target
from gpuenv.targets.yaml_text import read_yaml
from loopback_index import LoopbackIndex
from targets.made_locks import HEX, LINUX, MACHINES, locked, names
from targets.test_uv_locks import UV_LOCK

# ---- conda ---------------------------------------------------------------------------------------------------

CONDA = "https://conda.invalid/linux-64"
CONDA_LOCK = f"""
version: 1
metadata:
  channels: [{{url: conda-forge}}]
  platforms: [linux-64, win-64]
package:
- name: pytorch
  version: 2.10
  manager: conda
  platform: linux-64
  dependencies: {{python: '>=3.11'}}
  url: {CONDA}/pytorch-2.10-cuda126_py311_0.conda
  hash: {{md5: aa, sha256: {HEX}}}
  category: main
  optional: false
- name: faiss
  version: '1.8'
  manager: pip
  platform: linux-64
  url: https://h.invalid/faiss-1.8-py3-none-any.whl
  hash: {{sha256: {HEX}}}
  category: main
- name: docs
  version: '1'
  manager: conda
  platform: linux-64
  url: {CONDA}/docs-1-0.conda
  hash: {{md5: aa}}
  category: docs
- name: pytorch
  version: 2.10
  manager: conda
  platform: win-64
  url: https://conda.invalid/win-64/pytorch-2.10-cpu_py311_0.conda
  hash: {{sha256: {HEX}}}
"""


def test_a_lock_of_conda_lock(here: Path) -> None:
    """The packages of one platform, conda's and pip's, with hashes; other categories are noted. 2.10 stays 2.10."""
    (here / "conda-lock.yml").write_text(CONDA_LOCK)
    found = locked("conda-lock.yml")
    pytorch, faiss = found.files
    assert (pytorch.kind, pytorch.version, pytorch.build) == (ArtifactKind.CONDA, "2.10", "cuda126_py311_0")
    assert (pytorch.url, pytorch.sha256) == (f"{CONDA}/pytorch-2.10-cuda126_py311_0.conda", HEX)
    assert (faiss.name, faiss.kind, faiss.sha256) == ("faiss", ArtifactKind.WHEEL, HEX)
    assert found.notes == ("not installed by default, and not looked at: docs",)
    assert locked("conda-lock.yml", "windows").files[0].build == "cpu_py311_0"


def test_a_package_of_several_categories_is_one(here: Path) -> None:
    """conda-lock lists it once for each of them."""
    first = CONDA_LOCK.index("- name: pytorch")
    entry = CONDA_LOCK[first : CONDA_LOCK.index("- name: faiss")]
    (here / "conda-lock.yml").write_text(CONDA_LOCK + entry.replace("category: main", "category: dev"))
    assert [file.name for file in locked("conda-lock.yml").files] == ["pytorch", "faiss"]


@pytest.mark.parametrize("name", ["conda-lock.yml", "pixi.lock"])
def test_a_platform_that_the_lock_does_not_have(here: Path, name: str) -> None:
    """For a machine that was asked for this is an answer; without one, what there is is looked at."""
    (here / name).write_text(CONDA_LOCK)
    (problem,) = locked(name, "arm").problems
    assert isinstance(problem, NoPlanError)
    assert problem.reasons == ("it is for linux-64, win-64",)
    kind = LockKind.PIXI if name == "pixi.lock" else LockKind.CONDA_LOCK
    free = expand_lock(here / name, kind, destination_of(MACHINES["arm"]), is_platform_asked=False)
    assert len(free.files) == 2
    assert "linux-64" in free.notes[0]


PIXI_HEAD = f"""
version: VERSION
environments:
  cpu:
    packages: {{}}
  default:
    channels:
    - url: https://conda.invalid/
    packages:
      linux-64:
      - conda: {CONDA}/pytorch-2.5.1-cuda126_0.conda
      - conda: https://conda.invalid/noarch/filelock-3-pyhd_0.tar.bz2
      - pypi: https://h.invalid/faiss-1.8-py3-none-any.whl
      - pypi: ./
      - pypi: ./lib
      - pypi: git+https://h.invalid/x.git@0123
packages:
"""
PIXI_6 = f"""
- conda: {CONDA}/pytorch-2.5.1-cuda126_0.conda
  sha256: {HEX}
  size: 1234
- conda: https://conda.invalid/noarch/filelock-3-pyhd_0.tar.bz2
  md5: aa
- pypi: https://h.invalid/faiss-1.8-py3-none-any.whl
  name: faiss
  version: '1.8'
  sha256: {HEX}
"""
PIXI_4 = f"""
- kind: conda
  name: pytorch
  version: 2.5.1
  build: cuda126_0
  subdir: linux-64
  url: {CONDA}/pytorch-2.5.1-cuda126_0.conda
  sha256: {HEX}
  size: 1234
- kind: conda
  name: filelock
  version: '3'
  url: https://conda.invalid/noarch/filelock-3-pyhd_0.tar.bz2
- kind: pypi
  name: faiss
  version: '1.8'
  url: https://h.invalid/faiss-1.8-py3-none-any.whl
  sha256: {HEX}
"""


@pytest.mark.parametrize(("version", "packages"), [("6", PIXI_6), ("5", PIXI_4), ("4", PIXI_4)])
def test_a_lock_of_pixi(here: Path, version: str, packages: str) -> None:
    """The environment `default` for one platform, with what is known of each package; sources are said."""
    (here / "pixi.lock").write_text(PIXI_HEAD.replace("VERSION", version) + packages)
    found = locked("pixi.lock")
    pytorch, filelock, faiss = found.files
    assert (pytorch.name, pytorch.version, pytorch.build) == ("pytorch", "2.5.1", "cuda126_0")
    assert (pytorch.sha256, pytorch.size_bytes) == (HEX, 1234)
    assert (filelock.name, filelock.kind, filelock.sha256) == ("filelock", ArtifactKind.CONDA, None)
    assert (faiss.name, faiss.kind, faiss.sha256) == ("faiss", ArtifactKind.WHEEL, HEX)
    assert [problem.message for problem in found.problems] == [
        "`./lib` is not looked at",
        "`git+https://h.invalid/x.git@0123` is not looked at",
    ]
    assert found.notes == ("of the environments of `pixi.lock` this is `default`",)


def test_a_wheel_at_an_address_in_a_lock_of_pixi(here: Path) -> None:
    """`direct+` marks what comes from an address and not from an index."""
    place = "direct+https://h.invalid/faiss-1.8-py3-none-any.whl"
    (here / "pixi.lock").write_text(
        (PIXI_HEAD.replace("VERSION", "6") + PIXI_6).replace("https://h.invalid/faiss-1.8-py3-none-any.whl", place)
    )
    faiss = locked("pixi.lock").files[-1]
    assert (faiss.url, faiss.sha256) == (place.removeprefix("direct+"), HEX)


def test_a_lock_that_rattler_writes(here: Path) -> None:
    """The newest version of the format, from the library that pixi uses."""
    from rattler import PackageRecord, RepoDataRecord
    from rattler.lock import LockFile, LockPlatform
    from rattler.package import BuildString

    record = PackageRecord("pytorch", "2.5.1", BuildString("cuda126_0"), 1, "linux-64", depends=["python"])
    record.sha256, record.size = bytes.fromhex(HEX), 1234
    url = f"{CONDA}/pytorch-2.5.1-cuda126_0.conda"
    platform = LockPlatform("linux-64")
    lock = LockFile([platform])
    name = url.rpartition("/")[2]
    lock.add_conda_package("default", platform, RepoDataRecord(record, name, url, "https://conda.invalid/"))
    wheel = "https://h.invalid/faiss-1.8-py3-none-any.whl"
    lock.add_pypi_package("default", platform, "faiss", "1.8", wheel)
    lock.to_path(here / "pixi.lock")
    pytorch, faiss = locked("pixi.lock").files
    assert (pytorch.url, pytorch.sha256, pytorch.size_bytes, pytorch.build) == (url, HEX, 1234, "cuda126_0")
    assert (faiss.name, faiss.version, faiss.url) == ("faiss", "1.8", wheel)


def test_an_explicit_list(here: Path) -> None:
    """Addresses with and without hashes, of the platform that it names."""
    (here / "spec.txt").write_text(
        f"# platform: linux-64\n@EXPLICIT\n{CONDA}/a-1-0.conda#{HEX}\n{CONDA}/b-1-0.tar.bz2#{'0' * 32}\n"
    )
    found = locked("spec.txt")
    assert [(file.name, file.build, file.sha256) for file in found.files] == [("a", "0", HEX), ("b", "0", None)]
    assert isinstance(locked("spec.txt", "windows").problems[0], NoPlanError)


def test_condas_environment_file(index: LoopbackIndex, here: Path) -> None:
    """The `pip` part is resolved for the Python that the file names; conda's specs are said not to be looked at."""
    index.add("gt-pip", "1.0", tags=["cp310-cp310-manylinux_2_17_x86_64", LINUX])
    (here / "environment.yml").write_text(
        "name: gpu\nchannels: [conda-forge]\ndependencies:\n- python=3.10\n- pip\n- conda-forge::pytorch=2.10\n"
        "- numpy >=1.26\n- pip:\n  - gt-pip\n  - --pre\n"
    )
    found = expand(parse_target("environment.yml"), machine=MACHINES["linux"])
    assert [file.filename for file in found.files] == ["gt_pip-1.0-cp310-cp310-manylinux_2_17_x86_64.whl"]
    (problem,) = found.problems
    assert isinstance(problem, UnavailableError)
    assert "known to use a GPU: conda-forge::pytorch=2.10" in problem.reasons
    assert locked("environment.yml").files[0].filename.endswith(f"{LINUX}.whl")
    (here / "plain.yml").write_text("dependencies:\n- python=3.11\n- pip:\n  - gt-pip\n")
    assert not locked("plain.yml").problems


def test_paths_in_condas_environment_file(index: LoopbackIndex, here: Path) -> None:
    """That tool runs pip in the directory of the file, so paths start from there."""
    index.add("gt-np", "1.0")
    index.add("gt-wheel", "1.0")
    (stored,) = index.projects.pop("gt-wheel").values()
    (here / "sub/lib").mkdir(parents=True)
    (here / "sub" / stored.name).write_bytes(stored.content)
    (here / "sub/lib/pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\ndependencies = ["gt-np"]\n')
    (here / "sub/environment.yml").write_text(f"dependencies:\n- pip:\n  - -e ./lib\n  - ./{stored.name}\n")
    found = locked("sub/environment.yml")
    assert (names(found), found.problems) == ([("gt-np", "1.0"), ("gt-wheel", "1.0")], ())


# ---- broken and hostile --------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pylock.toml", "lock-version = 1"),
        ("pylock.toml", "= ="),
        ("pylock.toml", 'lock-version = "1.0"\ncreated-by = "x"\npackages = 3\n'),
        ("uv.lock", "version = 2\n"),
        ("uv.lock", "version = 1\npackage = 3\n"),
        ("uv.lock", "version = 1\n[[package]]\nversion = '1'\n"),
        ("uv.lock", "version = 1\nrequires-python = 'three'\n"),
        ("uv.lock", "version = 1\n[[package]]\nname = 'x'\ndependencies = [{ name = 'y', marker = '??' }]\n"),
        ("uv.lock", "version = 1\n[[package]]\nname = 'x'\nwheels = 'x'\n"),
        ("conda-lock.yml", "package: 3\n"),
        ("conda-lock.yml", "package: [3]\n"),
        ("conda-lock.yml", "package:\n- {name: x, platform: linux-64}\n"),
        ("conda-lock.yml", "package:\n- {name: x, platform: linux-64, url: [], hash: {}}\n"),
        ("conda-lock.yml", "- a\n- b\n"),
        ("conda-lock.yml", "a: [b\n"),
        ("conda-lock.yml", "a: *nowhere\n"),
        ("conda-lock.yml", "? [a]\n: b\n"),
        ("conda-lock.yml", ""),
        ("conda-lock.yml", "a: " + "[" * 100_000),
        ("conda-lock.yml", "".join(f"{' ' * n}a:\n" for n in range(500))),
        ("pixi.lock", "version: 6\n"),
        ("pixi.lock", "version: 6\nenvironments: {default: {packages: {linux-64: [{}]}}}\n"),
        ("pixi.lock", "version: 6\nenvironments: {default: 3}\n"),
        ("environment.yml", "name: x\n"),
        ("environment.yml", "dependencies: [[x]]\n"),
        ("environment.yml", "dependencies:\n- pip: x\n"),
    ],
)
def test_what_breaks_its_format(here: Path, name: str, text: str) -> None:
    """A message that names the file or the place, and no other exception."""
    (here / name).write_text(text)
    (problem,) = locked(name).problems
    assert isinstance(problem, FormatError), problem.message
    assert problem.message


def test_tags_build_nothing_and_aliases_take_no_room(here: Path) -> None:
    """A tag that names a Python function is text; nested aliases stay references."""
    text = read_yaml(f"a: !!python/object/apply:os.system [touch {here}/RAN]\n" + LAUGHS, where="x")
    assert isinstance(text, dict)
    assert text["a"] == [f"touch {here}/RAN"]
    assert not (here / "RAN").exists()
    assert text["a29"][0] is text["a28"]


def test_scalars_stay_as_they_are_written() -> None:
    """Numbers, dates and words are text; an absent value is empty."""
    assert read_yaml("{a: 1.10, b: 2024-01-01, c: no, d: ~, e: '~', f: 0x10}", where="x") == {
        "a": "1.10",
        "b": "2024-01-01",
        "c": "no",
        "d": "",
        "e": "~",
        "f": "0x10",
    }


def test_a_file_that_is_too_large(here: Path) -> None:
    """No list of packages is that large."""
    with (here / "pixi.lock").open("wb") as file:
        file.truncate((64 << 20) + 1)
    (problem,) = locked("pixi.lock").problems
    assert "larger than 64 MiB" in problem.message


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_a_problem_or_an_answer(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A lock in which a piece was replaced ends in files or in an error of ours."""
    name, text = data.draw(
        st.sampled_from([("uv.lock", UV_LOCK), ("conda-lock.yml", CONDA_LOCK), ("pixi.lock", PIXI_HEAD + PIXI_6)])
    )
    start = data.draw(st.integers(0, len(text)))
    stop = min(len(text), start + data.draw(st.integers(0, 40)))
    piece = data.draw(
        st.sampled_from(["", "[", "{", "'", "1", "x: y", "\n", "= 3\n", "[[package]]\n", "- ", "&a ", "%"])
    )
    path = tmp_path_factory.getbasetemp() / name
    path.write_text(text[:start] + piece + text[stop:])
    found = expand(parse_target(str(path)), machine=MACHINES["linux"], python="3.11")
    assert all(isinstance(problem, GpuenvError) for problem in found.problems)


def test_a_lock_that_is_gone(here: Path) -> None:
    """Between the word and the reading."""
    (here / "uv.lock").write_text("version = 1\n")
    target = parse_target("uv.lock")
    (here / "uv.lock").unlink()
    (problem,) = expand(target).problems
    assert problem.exit_code == 2
