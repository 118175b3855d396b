"""Repodata patches: applied to the channel, the audit is silent about all that a patch can put right."""

from __future__ import annotations

import asyncio
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audits.gpu_packages import audit, channel, cpu_package, gpu_library, package, patch_of, rules
from gpuenv.errors import RequestError
from gpuenv.model import AuditReport
from little_channel import LittlePackage

SASS, PTX = ("sm_80",), ("sm_80", "sm_90", "compute_90/ptx8.4")
NEVER_MENDED = {"no-ptx", "cpu-build-with-gpu-code", "gpu-build-without-gpu-code", "cuda-line", "gap"}


def wrong_packages() -> list[LittlePackage]:
    """GPU builds that each say something wrong, CPU builds of the same number, and CUDA packages to require."""
    return [
        package(*PTX, version="1.0", build="0"),
        package(*PTX, version="2.0", build="cuda124_0", depends=("cuda-version >=12.4,<13",)),
        cpu_package(version="2.0", build="cpu_0"),
        cpu_package(version="1.5", build="cpu_0"),
        package(*SASS, version="3.0", build="cuda12_0", depends=("__cuda >=11", "__cuda_arch >=8.0", "cuda-version")),
        package(
            *PTX, version="4.0", build="cuda12_0", depends=("cuda-version", "__cuda >=12.4,<13"), ending=".tar.bz2"
        ),
        package(*PTX, version="5.0", build="cuda12_0", depends=("cuda-version",), constrains=("__cuda_arch >=9.0",)),
        package(*PTX, version="6.0", build="cuda12_0", depends=("__cuda >=12",), needed=("libcublas.so.12",)),
        package(*PTX, version="7.0", build="cuda12_0", depends=("__cuda >=11",)),
        LittlePackage(name="cuda-version", version="12.4", constrains=("__cuda >=12",)),
        package(
            name="libcublas",
            version="12.4.5",
            depends=("cuda-version",),
            files={"lib/libcublas.so.12": gpu_library("sm_80")},
        ),
    ]


def apply(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """As conda-index applies a patch (`_apply_instructions`): fields replace those of the record, and entries of
    `.tar.bz2` packages count for `.conda` packages of the same name first.
    """
    twins = {name.replace(".tar.bz2", ".conda"): fields for name, fields in patch["packages"].items()}
    for kind, fixes in (
        ("packages", patch["packages"]),
        ("packages.conda", twins),
        ("packages.conda", patch["packages.conda"]),
    ):
        for name, fields in fixes.items():
            if name in document[kind]:
                document[kind][name].update(fields)
    for name in patch["remove"]:
        document["packages"].pop(name, None)
        document["packages.conda"].pop(name, None)
    return document


def apply_all(place: Path, patch: Path) -> None:
    """Applies a patch directory to the repodata of a channel."""
    for subdir in (one for one in place.iterdir() if one.is_dir()):
        repodata = subdir / "repodata.json"
        repodata.write_text(json.dumps(apply(json.loads(repodata.read_text()), patch_of(patch, subdir.name))))


def index_with(place: Path, patch: str) -> None:
    """Indexes a channel with rattler, and has it apply the patch that is a conda package in `noarch`."""
    import importlib

    index_fs = importlib.import_module("rattler.index.index").index_fs
    asyncio.run(index_fs(place, repodata_patch=patch, force=True, write_zst=False, write_shards=False))


def mendable(report: AuditReport) -> list[str]:
    """The rules whose findings a patch puts right."""
    return [one.rule for found in report.audited for one in found.findings if one.mendable]


def test_after_the_patch_the_audit_is_silent_about_what_it_can_mend(tmp_path: Path) -> None:
    """Every kind of wrong metadata that a patch reaches, as conda-index applies it."""
    place = channel(tmp_path, *wrong_packages(), records=[{"name": "ghost", "subdir": "linux-64"}])
    before = audit(place, patch=tmp_path / "patch")
    assert {
        *("gpu-undeclared", "arch-undeclared", "preference", "gpu-not-required", "cuda-too-loose", "arch-too-loose"),
        *("cuda-too-tight", "arch-too-tight", "library-missing", "file-missing"),
    } <= set(mendable(before))
    apply_all(place, tmp_path / "patch")
    after = audit(place)
    assert mendable(after) == []
    assert set(rules(after)) <= NEVER_MENDED
    assert after.errors == 0


def test_after_the_patch_as_rattler_applies_it(tmp_path: Path) -> None:
    """The patch as a conda package in `noarch`, which rattler's indexer takes."""
    place = channel(tmp_path, *wrong_packages())
    audit(place, patch=place / "noarch" / "channel-patches-1-0.conda")
    index_with(place, "channel-patches-1-0.conda")
    after = audit(place)
    assert mendable(after) == []
    assert set(rules(after)) <= NEVER_MENDED


def test_solvers_take_the_gpu_build_after_the_patch(tmp_path: Path) -> None:
    """Whatever the order of the records: with a GPU the GPU build of a version, without one the newest CPU build."""
    from rattler import Gateway, GenericVirtualPackage, MatchSpec, PackageName, Version, solve
    from rattler.package import BuildString

    cpus = [cpu_package(version=version, build="cpu_0") for version in ("1.5", "2.0")]
    gpu = package(*PTX, version="2.0", build="cuda124_0", depends=("cuda-version 12.4",))
    version = LittlePackage(name="cuda-version", version="12.4", constrains=("__cuda >=12",))

    def solved(place: Path, *cuda: str) -> str:
        virtual = [
            GenericVirtualPackage(PackageName(name), Version(value), BuildString("0"))
            for name, value in zip(("__cuda", "__cuda_arch"), cuda, strict=False)
        ]
        found = asyncio.run(
            solve(
                sources=[place.as_uri()],
                gateway=Gateway(cache_dir=tmp_path / "cache"),
                specs=[MatchSpec("vectors")],
                platforms=["linux-64", "noarch"],
                virtual_packages=virtual,
            )
        )
        return next(f"{one.version} {one.build}" for one in found if one.name.normalized == "vectors")

    for number, packages in enumerate(([*cpus, gpu], [gpu, *cpus])):
        place = channel(tmp_path / str(number), *packages, version)
        audit(place, patch=tmp_path / f"patch{number}")
        apply_all(place, tmp_path / f"patch{number}")
        assert solved(place, "12.4", "9.0") == "2.0 cuda124_0"
        assert solved(place, "12.4", "7.0") == "2.0 cpu_0"
        assert solved(place, "11.8", "9.0") == "2.0 cpu_0"
        assert solved(place) == "2.0 cpu_0"


def test_a_tar_bz2_and_its_twin_are_patched_each_for_itself(tmp_path: Path) -> None:
    """An entry for a `.tar.bz2` would change the `.conda` of the same name; that one keeps its own words."""
    right: dict[str, Any] = {"depends": ("__cuda >=12",), "constrains": ("__cuda_arch >=8.0",), "build": "cuda12_0"}
    old = package(*PTX, **{**right, "depends": ("__cuda >=11", "cuda-version"), "ending": ".tar.bz2"})
    place = channel(tmp_path, old, package(*PTX, **right))
    audit(place, patch=tmp_path / "patch")
    said = patch_of(tmp_path / "patch")
    assert said["packages"]["vectors-1.0-cuda12_0.tar.bz2"]["depends"] == ["__cuda >=12", "cuda-version"]
    apply_all(place, tmp_path / "patch")
    records = json.loads((place / "linux-64" / "repodata.json").read_text())
    assert records["packages.conda"]["vectors-1.0-cuda12_0.conda"]["depends"] == ["__cuda >=12"]
    assert rules(audit(place)) == []


def test_what_a_patch_of_the_channel_says_is_kept(tmp_path: Path) -> None:
    """Indexers apply one patch to the packages' own words, so the new one holds the old one."""
    place = channel(tmp_path, package(*PTX), LittlePackage(name="other", subdir="linux-64"))
    there = {
        "patch_instructions_version": 1,
        "packages": {},
        "packages.conda": {"other-1.0-0.conda": {"depends": ["numpy <2"]}},
        "remove": ["old-1.0-0.conda"],
        "revoke": [],
    }
    (place / "linux-64" / "patch_instructions.json").write_text(json.dumps(there))
    audit(place, patch=tmp_path / "patch")
    said = patch_of(tmp_path / "patch")
    assert said["packages.conda"]["other-1.0-0.conda"] == {"depends": ["numpy <2"]}
    assert set(said["packages.conda"]) == {"other-1.0-0.conda", "vectors-1.0-0.conda"}
    assert said["remove"] == ["old-1.0-0.conda"]


@pytest.mark.parametrize("name", ["patch.zip", "patch.tar", "patch.tar.gz", "patches-1-0.tar.bz2", "patch"])
def test_the_forms_of_a_patch(tmp_path: Path, name: str) -> None:
    """A zip, tar archives, a conda package of the old form and a directory hold the same files."""
    place = channel(tmp_path, package(*PTX))
    target = tmp_path / "out" / name
    assert audit(place, patch=target).patch == str(target)
    member = "linux-64/patch_instructions.json"
    if name.endswith(".zip"):
        content = zipfile.ZipFile(target).read(member)
    elif ".tar" in name:
        with tarfile.open(target) as tar:
            file = tar.extractfile(member)
            assert file
            content = file.read()
    else:
        content = (target / member).read_bytes()
    said = json.loads(content)
    assert said["patch_instructions_version"] == 1
    assert list(said["packages.conda"]) == ["vectors-1.0-0.conda"]
    assert {"packages", "packages.conda", "remove", "revoke"} <= said.keys()


def test_patches_that_make_no_sense(tmp_path: Path) -> None:
    """One patch is for one channel, and a patch that is a conda package has the name of one."""
    first, second = channel(tmp_path / "a", package(*PTX)), channel(tmp_path / "b", package(*PTX))
    with pytest.raises(RequestError, match="for one channel"):
        audit(first, second, patch=tmp_path / "patch")
    with pytest.raises(RequestError, match="no name of a conda package"):
        audit(first, patch=tmp_path / "patch.conda")


CUDA = st.sampled_from(
    ["__cuda", "__cuda >=11", "__cuda >=12", "__cuda >=12.4,<13", "__cuda_arch >=7.0", "__cuda_arch 8.*"]
)
SPECS = st.lists(CUDA | st.sampled_from(["cuda-version", "python"]), max_size=3, unique=True).map(tuple)
IMAGES = st.lists(
    st.sampled_from(["sm_70", "sm_80", "sm_90", "sm_90a", "compute_70/ptx8.0", "compute_90/ptx8.4"]),
    min_size=1,
    max_size=3,
    unique=True,
)


@settings(max_examples=40, deadline=None)
@given(images=IMAGES, depends=SPECS, constrains=SPECS, beside=st.booleans())
def test_any_patch_leaves_nothing_that_it_could_mend(
    tmp_path_factory: pytest.TempPathFactory,
    images: list[str],
    depends: tuple[str, ...],
    constrains: tuple[str, ...],
    beside: bool,
) -> None:
    """Whatever the code and the words: after the patch nothing mendable is left, and no error about bounds."""
    folder = tmp_path_factory.mktemp("law")
    packages = [package(*images, build="cuda12_0", depends=depends, constrains=constrains)]
    place = channel(folder, *packages, *([cpu_package(build="cpu_0")] if beside else []))
    audit(place, patch=folder / "patch")
    apply_all(place, folder / "patch")
    after = audit(place)
    assert mendable(after) == []
    assert not {"cuda-too-loose", "arch-too-loose", "arch-without-end", "gpu-undeclared", "preference"} & set(
        rules(after)
    )
