"""From names on the index, file names and addresses to files, against a real `uv` and an index of this computer."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuenv.errors import NoPlanError, RequestError, UnavailableError
from gpuenv.machines.written import parse_machine
from gpuenv.model import ArtifactKind
from gpuenv.targets.expand import expand
from gpuenv.targets.wanted import Expansion, WantedFile
from gpuenv.targets.words import parse_target
from loopback_index import LoopbackIndex, Reply

LINUX = "cp311-cp311-manylinux_2_17_x86_64"
WINDOWS = "cp311-cp311-win_amd64"
ON_LINUX = parse_machine("gpu=T4,driver=535.129.03")
ON_WINDOWS = parse_machine("os=windows,gpu=RTX3090,driver=570.133")


def looked_up(typed: str, machine: str = "linux", python: str = "3.11") -> Expansion:
    """What stands behind `typed` for a machine."""
    chosen = ON_LINUX if machine == "linux" else ON_WINDOWS
    return expand(parse_target(typed), machine=chosen, python=python)


def one_file(typed: str, machine: str = "linux", python: str = "3.11") -> WantedFile:
    """The only file behind `typed`."""
    found = looked_up(typed, machine, python)
    assert not found.problems
    (file,) = found.files
    return file


def test_a_name_is_the_wheel_for_the_machine(index: LoopbackIndex) -> None:
    """Each machine gets its own file, with address, hash and size."""
    index.add("gt-a", "1.0", tags=[LINUX, WINDOWS])
    file = one_file("gt-a")
    stored = index.projects["gt-a"][file.filename]
    assert (file.name, file.version, file.kind) == ("gt-a", "1.0", ArtifactKind.WHEEL)
    assert (file.sha256, file.size_bytes, file.note) == (stored.sha256, len(stored.content), None)
    assert one_file("gt-a", "windows").filename.endswith("win_amd64.whl")


def test_this_computer_without_a_machine(index: LoopbackIndex) -> None:
    """Without a machine the platform of this computer, or the one named, is meant."""
    index.add("gt-a", "1.0", tags=[WINDOWS, "py3-none-any"])
    assert expand(parse_target("gt-a")).files[0].filename.endswith("py3-none-any.whl")
    there = expand(parse_target("gt-a"), platform="windows-x86_64", python="3.11")
    assert there.files[0].filename.endswith("win_amd64.whl")


def test_an_older_release_where_the_newest_has_no_wheel(index: LoopbackIndex) -> None:
    """As an installer would; the note says so."""
    index.add("gt-b", "1.0", tags=[LINUX, WINDOWS])
    index.add("gt-b", "2.0", tags=[LINUX])
    file = one_file("gt-b", "windows")
    assert file.version == "1.0"
    assert file.note == "gt-b 1.0 is the newest with a wheel for windows-x86_64 and Python 3.11, not 2.0"


def test_the_nearest_wheel_where_there_is_none(index: LoopbackIndex) -> None:
    """For another Python first, then for another platform: its GPU code can still be looked into."""
    index.add("gt-c", "1.0", tags=[LINUX, "cp38-cp38-win_amd64"])
    assert one_file("gt-c", "windows").filename.endswith("cp38-cp38-win_amd64.whl")
    index.add("gt-d", "1.0", tags=[LINUX])
    file = one_file("gt-d", "windows")
    assert (file.platform, file.python) == ("linux-x86_64", "3.11")
    assert file.note is not None
    assert "there is no wheel for windows-x86_64" in file.note


def test_a_release_that_is_source_only(index: LoopbackIndex) -> None:
    """It is listed as source, and nothing of it is fetched or run."""
    index.add_source("gt-e", "1.0")
    file = one_file("gt-e")
    assert (file.kind, file.filename) == (ArtifactKind.SDIST, "gt_e-1.0.tar.gz")
    assert file.note is not None
    assert "built from source" in file.note
    assert not [asked for asked in index.asked if asked.endswith(".tar.gz")]


def test_an_extra_brings_its_packages(index: LoopbackIndex) -> None:
    """`name[extra]` is the package and what the extra adds, not what the package requires anyway."""
    index.add("gt-base", "1.0")
    index.add("gt-kernels", "3.0", tags=[LINUX], requires=["gt-runtime"])
    index.add("gt-runtime", "12.0")
    index.add("gt-f", "1.0", requires=["gt-base", 'gt-kernels; extra == "cuda"'])
    assert [file.name for file in looked_up("gt-f").files] == ["gt-f"]
    found = looked_up("gt-f[cuda]")
    assert [file.name for file in found.files] == ["gt-f", "gt-kernels", "gt-runtime"]
    missing = looked_up("gt-f[rocm]")
    assert [file.name for file in missing.files] == ["gt-f"]
    assert "does not have an extra named `rocm`" in missing.notes[0]


def test_condas_names(index: LoopbackIndex) -> None:
    """`pytorch=2.5` is torch 2.5.1 on the index, and of the wheels of CuPy the newest that the driver serves."""
    index.add("torch", "2.5.1", tags=[LINUX])
    index.add("torch", "2.6.0", tags=[LINUX])
    found = looked_up("pytorch=2.5")
    assert [(file.name, file.version) for file in found.files] == [("torch", "2.5.1")]
    assert found.notes == ("`pytorch` is `torch` on the index",)
    index.add("cupy-cuda12x", "13.6.0", tags=[LINUX])
    index.add("cupy-cuda13x", "13.6.0", tags=[LINUX])
    assert looked_up("cupy").files[0].name == "cupy-cuda12x"
    assert expand(parse_target("cupy"), platform="linux-x86_64", python="3.11").files[0].name == "cupy-cuda13x"
    assert looked_up("cupy-cuda13x").files[0].name == "cupy-cuda13x"


def test_names_that_hold_no_files(index: LoopbackIndex) -> None:
    """What only chooses among builds, or cannot be had as a wheel, is said to."""
    (choosing,) = looked_up("pytorch-cuda=12.1").problems
    assert isinstance(choosing, RequestError)
    assert choosing.message == "`pytorch-cuda` has no files"


def test_what_is_not_on_the_index(index: LoopbackIndex, here: Path) -> None:
    """Unknown names and versions are problems of the answer; a directory of that name is pointed out."""
    (here / "gt-nowhere").mkdir()
    (problem,) = looked_up("gt-nowhere").problems
    assert isinstance(problem, RequestError)
    assert problem.hints[0] == "to look into the directory here, write `./gt-nowhere`"
    index.always = Reply(status=401, body=b"", content_type="text/plain")
    (problem,) = looked_up("gt-other").problems
    assert isinstance(problem, UnavailableError)


def test_a_file_name_on_the_index(index: LoopbackIndex) -> None:
    """Exactly that file, whichever Python and platform it is for; a name that the release does not have is missed."""
    tags = ["cp37-cp37m-manylinux1_x86_64", LINUX, "cp314-cp314-win_amd64", "pp310-pypy310_pp73-win_amd64"]
    index.add("gt-g", "1.0", tags=tags)
    index.add_source("gt-g", "1.0")
    for name in [f"gt_g-1.0-{tag}.whl" for tag in tags[:3]] + ["gt_g-1.0.tar.gz"]:
        file = one_file(name, "windows")
        assert file.filename == name
        assert file.sha256 == index.projects["gt-g"][name].sha256
    (problem,) = looked_up("gt_g-1.0-cp39-cp39-win_amd64.whl").problems
    assert "has no file" in problem.message
    assert any(LINUX in reason for reason in problem.reasons)


@pytest.mark.parametrize(
    ("address", "kind", "name", "version", "build"),
    [
        ("https://h.invalid/t/torch-2.1.0%2Bcu118-cp311-cp311-linux_x86_64.whl", "wheel", "torch", "2.1.0+cu118", None),
        ("https://h.invalid/linux-64/pytorch-2.1.0-py3.11_cuda12.1_0.tar.bz2", "conda", "pytorch", "2.1.0",
         "py3.11_cuda12.1_0"),
        ("https://h.invalid/linux-64/libtorch-2.5.1-cuda126_h1_0.conda", "conda", "libtorch", "2.5.1", "cuda126_h1_0"),
        ("https://h.invalid/libfoo.so", "file", "libfoo.so", None, None),
        ("https://h.invalid/foo-1.0.tar.gz?download=1", "sdist", "foo", "1.0", None),
    ],
)  # fmt: skip
def test_addresses(address: str, kind: str, name: str, version: str | None, build: str | None) -> None:
    """The name at the end of an address says what the file is."""
    file = one_file(address)
    assert (file.kind.value, file.name, file.version, file.build) == (kind, name, version, build)
    assert file.url == address


def test_hash_and_login_of_an_address() -> None:
    """A hash may stand at the end; a login is kept apart from what is shown."""
    file = one_file(f"https://m%40e:s%2Fe@h.invalid/x-1.0-py3-none-any.whl#sha256={'AB' * 32}")
    assert (file.url, file.sha256) == ("https://h.invalid/x-1.0-py3-none-any.whl", "ab" * 32)
    assert file.login == ("m@e", "s/e")
    assert file.fetch_url == "https://m%40e:s%2Fe@h.invalid/x-1.0-py3-none-any.whl"
    assert "s/e" not in repr(file)


def test_an_address_without_a_file() -> None:
    """A directory on a server is no artifact."""
    (problem,) = expand(parse_target("https://h.invalid/files/")).problems
    assert "the address of no file" in problem.message


def test_files_here(here: Path) -> None:
    """A file has its path; of a directory the verbs take care, not this."""
    (here / "libfoo.so.1").touch()
    (here / "pytorch-2.1.0-cuda_0.conda").touch()
    assert one_file("libfoo.so.1").path == Path("libfoo.so.1")
    file = one_file("pytorch-2.1.0-cuda_0.conda")
    assert (file.kind, file.build, file.path) == (ArtifactKind.CONDA, "cuda_0", Path("pytorch-2.1.0-cuda_0.conda"))
    assert expand(parse_target(".")) == Expansion()


def test_a_machine_that_uv_has_no_name_for(index: LoopbackIndex) -> None:
    """On ppc64le the nearest wheel is given; requirements cannot be resolved there."""
    index.add("gt-h", "1.0", tags=[LINUX])
    power = parse_machine("arch=ppc64le,gpu=V100")
    assert expand(parse_target("gt-h"), machine=power, python="3.11").files[0].platform == "linux-x86_64"


@pytest.mark.parametrize(("python", "platform"), [("three", None), (None, "beos")])
def test_a_place_that_is_none(python: str | None, platform: str | None) -> None:
    """Wrong options are a problem like others."""
    (problem,) = expand(parse_target("gt-a"), python=python, platform=platform).problems
    assert isinstance(problem, RequestError)
    assert not isinstance(problem, NoPlanError)


def test_offline_the_cache_of_uv_answers(index: LoopbackIndex, here: Path) -> None:
    """What was asked before is known without the network; what was not cannot be found out."""
    index.add("gt-i", "1.0", tags=[LINUX])
    (here / "requirements.txt").write_text("gt-i\n")
    for word in ("gt-i", "requirements.txt"):
        online = looked_up(word)
        asked = len(index.asked)
        offline = expand(parse_target(word), machine=ON_LINUX, python="3.11", offline=True)
        assert (offline.files, offline.problems) == (online.files, ())
        assert len(index.asked) == asked
    (problem,) = expand(parse_target("gt-j"), machine=ON_LINUX, python="3.11", offline=True).problems
    assert isinstance(problem, UnavailableError)
