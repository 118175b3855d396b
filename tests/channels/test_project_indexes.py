"""Projects' own indexes: what they add to a plan, and how their builds go with those of PyPI."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from channels.made_project_index import CPU_ONLY, H100, P100, TAG, MadeProjectIndex, add_torch, ask, described, named
from gpuenv.channels.catalog import Build, builds_of, find_project
from gpuenv.channels.project_index_releases import releases_on, worth_reading
from gpuenv.channels.project_indexes import IndexAnswer
from gpuenv.channels.pylock import read_lock
from gpuenv.channels.simple_index import ListedFile
from gpuenv.channels.uv import run_uv
from gpuenv.model import Verdict
from gpuenv.rules import check
from loopback_index import LoopbackIndex

HASH = "a" * 64


# ---- what it adds ------------------------------------------------------------------------------------------------


def test_builds_of_an_older_cuda_are_found(index: MadeProjectIndex) -> None:
    """A driver of CUDA 12 gets builds of CUDA 12.6 that PyPI does not have, with the file, its hash, and what they
    ask; nobody has read their code. Lines that the driver does not serve are not asked.
    """
    add_torch(index, "cu126", 11)
    add_torch(index, "cu130", 15)
    answer = ask()
    assert named(answer) == {("2.11.0", "cuda126_py311_1")}
    assert answer.silent == {}
    assert answer.incomplete == 0
    assert "pytorch/cu126" in answer.answered
    assert not [path for path in index.asked if "cu130" in path]
    (build,) = answer.builds["pytorch"]
    (filename,) = index.lines["cu126"]["torch"]
    assert build.index == "pytorch/cu126"
    assert build.file is not None
    assert build.file.sha256 == index.sha256("cu126", "torch", filename)
    assert build.gpu
    assert build.needs.libraries is None
    assert str(build.needs.cuda) == str(build.needs.cuda_newest) == "12.6"
    assert str(build.needs.glibc) == "2.28"
    assert "cuda-version 12.6.*" in build.depends
    assert "cudnn ==9.10.2.21" in build.depends
    requirement = Requirement(build.requirements[0])
    assert requirement.name == "torch"
    assert requirement.url == f"{build.file.url}#sha256={build.file.sha256}"
    assert "%2Bcu126" in build.requirements[0]
    assert {finding.verdict for finding in check(build.needs, P100)} == {Verdict.WORKS, Verdict.UNKNOWN}


def test_pypi_wins_a_tie_and_a_newer_cuda_before_an_older(index: MadeProjectIndex) -> None:
    """Build numbers stand below the catalog's for the same version, and rise with the CUDA line."""
    for line in ("cu126", "cu128"):
        add_torch(index, line, 9)
    numbers = {build.build: build.number for build in ask(machine=H100).builds["pytorch"]}
    pytorch = find_project("pytorch")
    assert pytorch is not None
    (known,) = [one for one in builds_of(pytorch, "linux-x86_64", "3.11") if one.version == "2.9.0" and one.gpu]
    assert known.number > numbers["cuda128_py311_1"] > numbers["cuda126_py311_1"]


def test_a_cpu_build_wins_over_the_cuda_wheel_used_on_the_cpu(index: MadeProjectIndex) -> None:
    """Where PyPI's only wheel brings CUDA along, the index's CPU build has the higher number, and no NVIDIA library."""
    index.add("cpu", "torch", "2.9.0", requires=["filelock"])
    (build,) = ask(machine=CPU_ONLY).builds["pytorch"]
    pytorch = find_project("pytorch")
    assert pytorch is not None
    known = [one for one in builds_of(pytorch, "linux-x86_64", "3.11") if one.version == "2.9.0" and not one.gpu]
    assert build.number > max(one.number for one in known if one.wheel)
    assert not build.gpu
    assert build.needs.libraries == ()
    assert {finding.verdict for finding in check(build.needs, CPU_ONLY)} == {Verdict.WORKS}


def test_without_a_gpu_only_cpu_builds_are_asked_for(index: MadeProjectIndex) -> None:
    """No page of a CUDA line is of use there."""
    ask(machine=CPU_ONLY)
    assert {path.split("/")[2] for path in index.asked} == {"cpu"}


def test_on_macos_nothing_is_asked(index: MadeProjectIndex) -> None:
    """PyPI has all builds that there are."""
    assert ask(machine=described("os=macos,arch=aarch64")) == IndexAnswer()
    assert index.asked == []


def test_windows_gets_its_cuda_builds(index: MadeProjectIndex) -> None:
    """They are on no other index."""
    index.add("cu126", "torch", "2.9.0", tag="cp311-cp311-win_amd64")
    index.add("cu126", "torch", "2.11.0")
    answer = ask(machine=described("os=windows,gpu=RTX 4090,driver=566.03"))
    assert named(answer) == {("2.9.0", "cuda126_py311_1")}


def test_what_is_no_build_for_this_machine_is_left_out(index: MadeProjectIndex) -> None:
    """Other vendors, other C++ ABIs, prereleases, other Pythons and platforms, files taken back, files without a hash,
    and on a page of marked builds those without a mark.
    """
    index.add("cu126", "torch", "2.9.0")
    index.add("cu126", "torch", "2.10.0", local="rocm6.4")
    index.add("cu126", "torch", "2.10.1", local="cu126.with.pypi.cudnn")
    index.add("cu126", "torch", "2.10.2", local="")
    index.add("cu126", "torch", "2.11.0rc1")
    index.add("cu126", "torch", "2.11.1", tag="cp313-cp313-manylinux_2_28_x86_64")
    index.add("cu126", "torch", "2.11.2", tag="cp311-cp311-manylinux_2_28_aarch64")
    index.add("cu126", "torch", "2.11.3", attributes='data-yanked="broken"')
    index.add("cu126", "torch", "2.11.4", hashed=False)
    index.add("cu126", "torch", "2.11.5", attributes='data-requires-python="&gt;=3.12"')
    assert named(ask()) == {("2.9.0", "cuda126_py311_1")}


def test_an_index_without_local_versions_is_understood(index: MadeProjectIndex) -> None:
    """Where no file of a page is marked, the page itself tells the line, as on Paddle's index."""
    index.add("cu126", "torch", "2.9.0", local="", tag="cp311-cp311-linux_x86_64")
    (build,) = ask().builds["pytorch"]
    assert (build.build, build.needs.glibc) == ("cuda126_py311_1", None)


def test_another_projects_index_and_names(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paddle's GPU wheels have a name of their own, and builds are called as the catalog calls them. Those that require
    no CUDA libraries expect them on the machine, as the catalog says of their kind.
    """
    monkeypatch.setenv("GPUENV_INDEX_PADDLE", os.environ["GPUENV_INDEX_PYTORCH"])
    tag = "cp311-cp311-linux_x86_64"
    index.add("cu126", "paddlepaddle_gpu", "3.2.0", local="", tag=tag, requires=["nvidia-cudnn-cu12==9.5.1.17"])
    index.add("cu118", "paddlepaddle_gpu", "2.6.2", local="", tag=tag)
    answer = ask("paddlepaddle")
    assert named(answer, "paddlepaddle") == {
        ("3.2.0", "gpu_cuda126_py311_1"),
        ("2.6.2", "gpu_cuda118_py311_1"),
    }
    builds = {build.version: build for build in answer.builds["paddlepaddle"]}
    assert builds["3.2.0"].index == "paddle/cu126"
    assert builds["3.2.0"].constrains == ()
    assert builds["3.2.0"].requirements[0].startswith("paddlepaddle-gpu @ ")
    assert builds["3.2.0"].needs.system_cuda is None
    assert builds["2.6.2"].needs.system_cuda == "the CUDA 11.8 libraries"


def test_of_several_files_the_one_for_the_oldest_c_library_is_taken(index: MadeProjectIndex) -> None:
    """It runs on the most machines."""
    for tag in ("manylinux_2_35_x86_64", "manylinux_2_28_x86_64", "linux_x86_64"):
        index.add("cu126", "torch", "2.9.0", tag=f"cp311-cp311-{tag}")
    (build,) = ask().builds["pytorch"]
    assert build.file is not None
    assert "2_28" in build.file.filename


def test_the_last_patches_and_what_was_asked_for_are_looked_at(index: MadeProjectIndex) -> None:
    """Not every release of years: their metadata would have to be read."""
    for version in ("2.9.1", "2.9.0", "2.8.0"):
        index.add("cu126", "torch", version)
    assert {version for version, _ in named(ask())} == {"2.9.1", "2.8.0"}
    assert {version for version, _ in named(ask(wanted={"pytorch": "==2.9.0"}))} == {"2.9.1", "2.9.0", "2.8.0"}
    many = [_listed(f"torch-2.{minor}.0+cu126-{TAG}.whl") for minor in range(40)]
    releases = releases_on(many, wheel="torch", line="cu126", platform="linux-x86_64", python="3.11")
    assert [str(one.version) for one in worth_reading(releases)] == [f"2.{minor}.0" for minor in range(39, 27, -1)]
    assert [str(one.version) for one in worth_reading(releases, "<2.2")][-2:] == ["2.1.0", "2.0.0"]


def test_a_project_that_others_are_made_for_is_asked_as_well(index: MadeProjectIndex) -> None:
    """Who asks for torchvision gets torch of the same line, and no torchaudio."""
    add_torch(index, "cu126", 9)
    assert set(ask("torchvision").builds) == {"pytorch", "torchvision"}


def test_what_the_catalog_repairs_holds_here_too(index: MadeProjectIndex) -> None:
    """Torchaudio 2.11.0 asks for no torch at all; its build asks for that of its own line, not of PyPI's CUDA."""
    index.add("cu126", "torchaudio", "2.11.0")
    (build,) = ask("torchaudio").builds["torchaudio"]
    assert "pytorch >=2.11,<2.15 *cuda126_*_1" in build.depends
    assert build.requirements[1:] == ("torch>=2.11,<2.15",)


# ---- metadata ----------------------------------------------------------------------------------------------------


def test_without_metadata_beside_it_a_wheel_is_read_at_its_end(index: MadeProjectIndex) -> None:
    """Only by ranges: the wheel itself never comes whole."""
    index.add(
        *("cu126", "torch", "2.9.0"),
        requires=["nvidia-cudnn-cu12==9.10.2.21"],
        beside=False,
        members={"torch/lib/libtorch.so": os.urandom(9 << 20)},
    )
    (build,) = ask().builds["pytorch"]
    assert "cudnn ==9.10.2.21" in build.depends
    assert not [path for path in index.asked if path.endswith(".metadata")]
    assert index.sent_bytes < 1 << 20


# ---- hostile names -----------------------------------------------------------------------------------------------


def _listed(filename: str, url: str = "") -> ListedFile:
    return ListedFile(filename=filename, url=url or f"http://index.invalid/{filename}", sha256=HASH)


@given(
    st.lists(st.text(max_size=80).map(lambda text: text + ".whl"), max_size=20), st.sampled_from(["cu126", "cpu", ""])
)
def test_any_file_names_give_releases(names: list[str], line: str) -> None:
    """No name is an error."""
    releases_on(map(_listed, names), wheel="torch", line=line, platform="linux-x86_64", python="3.11")


def test_signs_in_an_address_do_not_become_part_of_a_requirement(index: MadeProjectIndex) -> None:
    """A blank and a semicolon would begin a marker."""
    filename = index.add("cu126", "torch", "2.9.0")
    digest = index.sha256("cu126", "torch", filename)
    link = f'<a href="/whl/cu126/torch/x y;z/{filename}#sha256={digest}">x</a>'
    metadata = index.lines["cu126"]["torch"][filename].metadata or b""
    plain = index.answer

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/whl/cu126/torch/":
            linked = link.replace('">', f'" data-core-metadata="sha256={hashlib.sha256(metadata).hexdigest()}">')
            return 200, {"Content-Type": "text/html"}, linked.encode()
        return (200, {"Content-Type": "text/plain"}, metadata) if "x%20y" in path else plain(path)

    index.answer = answer  # type: ignore[method-assign]
    (build,) = ask().builds["pytorch"]
    requirement = Requirement(build.requirements[0])
    assert requirement.marker is None
    assert requirement.url is not None
    assert "x%20y%3Bz" in requirement.url


# ---- with the real solvers ---------------------------------------------------------------------------------------


def _solve(builds: list[Build], specs: list[str]) -> dict[str, str]:
    """What rattler picks: build string with version by project; empty where there is no set."""
    from rattler import Gateway, MatchSpec, PackageName, PackageRecord, RepoDataRecord, solve
    from rattler.exceptions import SolverError
    from rattler.package import BuildString
    from rattler.platform import Subdir

    names = {build.project for build in builds}
    records: dict[str, list[RepoDataRecord]] = {}
    for build in builds:
        record = PackageRecord(
            build.project,
            build.version,
            BuildString(build.build),
            build.number,
            "noarch",
            noarch="generic",
            depends=[depend for depend in build.depends if depend.split()[0] in names],
            constrains=list(build.constrains),
        )
        file = f"{build.project}-{build.version}-{build.build}.conda"
        records.setdefault(build.project, []).append(
            RepoDataRecord(record, file, f"https://gpu.invalid/noarch/{file}", "https://gpu.invalid/")
        )

    class Source:
        async def fetch_package_records(self, platform: Subdir, name: PackageName) -> list[RepoDataRecord]:
            return records.get(name.normalized, []) if str(platform) == "noarch" else []

        def package_names(self, platform: Subdir) -> list[str]:
            return sorted(records) if str(platform) == "noarch" else []

    async def run() -> dict[str, str]:
        try:
            picked = await solve(
                sources=[Source()],
                gateway=Gateway(),
                specs=[MatchSpec(spec) for spec in specs],
                platforms=["noarch"],
                virtual_packages=[],
            )
        except SolverError:
            return {}
        return {one.name.normalized: f"{one.version} {one.build}" for one in picked}

    return asyncio.run(run())


def test_wheels_of_one_line_go_together_in_the_solver(index: MadeProjectIndex) -> None:
    """Rattler never puts an index's torch beside PyPI's torchvision, nor two lines side by side, and PyPI's builds
    need no mark for it.
    """
    add_torch(index, "cu126", 9)
    add_torch(index, "cu128", 9)
    answer = ask("pytorch", "torchvision", machine=H100)
    of_index = [build for builds in answer.builds.values() for build in builds]
    pypi = [
        build
        for name in ("pytorch", "torchvision")
        if (project := find_project(name))
        for build in builds_of(project, "linux-x86_64", "3.11")
        if build.wheel and build.gpu and (build.version.startswith(("2.9.0", "0.24.0")))
    ]
    assert len(pypi) == 2
    everything = [*of_index, *pypi]
    assert _solve(everything, ["pytorch", "torchvision"]) == {
        "pytorch": "2.9.0 cuda128_py311_0",
        "torchvision": "0.24.0 cuda_py311_0",
    }
    assert _solve(everything, ["pytorch * cuda126*", "torchvision"]) == {
        "pytorch": "2.9.0 cuda126_py311_1",
        "torchvision": "0.24.0 cuda126_py311_1",
    }
    without_its_torch = [build for build in everything if build not in pypi[:1]]
    assert _solve(without_its_torch, ["pytorch", "torchvision"])["torchvision"] == "0.24.0 cuda128_py311_1"
    assert _solve(everything, ["pytorch * cuda126_*_1", "torchvision * cuda128_*_1"]) == {}
    assert _solve(everything, ["pytorch * cuda126_*_1", "torchvision * cuda_py311_0"]) == {}


def test_uv_takes_exactly_that_file_and_the_rest_from_the_users_index(
    index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A torchvision from elsewhere that pins `torch==2.9.0` is content with 2.9.0+cu126 (PEP 440); the lock lists the
    wheel by its address with its hash; a bound on the GPU layer (`torch==2.9.0`) holds for it, too.
    """
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    index.add("cu126", "torch", "2.9.0", requires=["plain"])
    (build,) = ask().builds["pytorch"]
    users = LoopbackIndex()
    users.add("plain", "1.0")
    users.add("torch", "2.9.0", requires=["plain", "not-there"], tags=[TAG])
    users.add("torchvision", "0.24.0", requires=["torch==2.9.0"], tags=[TAG])
    lock, bounds = tmp_path / "pylock.gpu.toml", tmp_path / "bounds.txt"
    bounds.write_text("torch==2.9.0\n")
    with users.serving() as url:
        monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        done = run_uv(
            [
                *("pip", "compile", "-", "-o", lock, "--constraints", bounds, "--only-binary", ":all:"),
                *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
            ],
            cwd=tmp_path,
            text_input="\n".join([*build.requirements, "torchvision", ""]),
        )
    assert done.status == 0, done.stderr
    packages = {one.name: one for one in read_lock(lock.read_text())}
    assert set(packages) == {"plain", "torch", "torchvision"}
    assert packages["torch"].version == "2.9.0+cu126"
    assert build.file is not None
    assert packages["torch"].direct == build.file.url
    assert packages["torch"].sha256 == build.file.sha256


# ---- variants ----------------------------------------------------------------------------------------------------


def _with_variant(index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch, document: bytes) -> None:
    """Two variant wheels beside a plain one, and their list beside them."""
    index.add("cu126", "torch", "2.9.0")
    index.add("cu126", "torch", "2.10.0", local="", label="cu126")
    plain = index.answer

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("/torch-2.10.0-variants.json"):
            return 200, {"Content-Type": "application/json"}, document
        return plain(path)

    monkeypatch.setattr(index, "answer", answer)


def _variants(lower: str) -> bytes:
    return json.dumps(
        {
            "$schema": "https://variants.invalid/peps/825/v0.1.0.json",
            "default-priorities": {"namespace": ["nvidia"]},
            "variants": {"cu126": {"nvidia": {"cuda_version_lower_bound": [lower]}}},
        }
    ).encode()


def test_variant_wheels_become_builds_that_no_lock_can_hold(
    index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told by name with the CUDA of their list, and refused with the reason."""
    _with_variant(index, monkeypatch, _variants("12.6"))
    answer = ask()
    assert named(answer) == {("2.9.0", "cuda126_py311_1"), ("2.10.0", "cuda126_py311_cu126_1")}
    (variant,) = [build for build in answer.builds["pytorch"] if build.version == "2.10.0"]
    refusals = [finding for finding in check(variant.needs, P100) if finding.verdict is Verdict.FAILS]
    assert [finding.rule for finding in refusals] == ["withdrawn"]
    assert "variant" in refusals[0].message
    assert ask(offline=True) == answer


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", _variants("0"), _variants("12.6").replace(b"v0.1", b"v7.1")])
def test_variant_wheels_without_a_usable_list_are_left_out(
    index: MadeProjectIndex, monkeypatch: pytest.MonkeyPatch, document: bytes
) -> None:
    """PEP 825: without it they are not compatible with anything."""
    _with_variant(index, monkeypatch, document)
    assert named(ask()) == {("2.9.0", "cuda126_py311_1")}
