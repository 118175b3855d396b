"""The large made-up channel, made small: the same bytes for the same seed, and solvable."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
import rattler
from make_large_channel import write_channel
from rattler.package import BuildString

CUDA = {"__glibc": "2.36", "__cuda": "12.2"}


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight thousand records of six hundred names."""
    directory = tmp_path_factory.mktemp("large")
    assert write_channel(directory, records=8_000, names=600, seed=5) == 8_000
    return directory


def test_the_same_seed_gives_the_same_bytes(channel: Path, tmp_path: Path) -> None:
    """And another seed others; the compressed file too."""
    write_channel(tmp_path / "again", records=8_000, names=600, seed=5)
    write_channel(tmp_path / "other", records=8_000, names=600, seed=6)
    assert _sums(tmp_path / "again") == _sums(channel)
    assert _sums(tmp_path / "other") != _sums(channel)


def test_it_has_as_many_records_and_names_as_asked(channel: Path) -> None:
    """No key is there twice, and every key is the file's name of its record."""
    keys: list[str] = []
    names: set[str] = set()
    for subdir in ("linux-64", "noarch"):
        pairs = json.loads((channel / subdir / "repodata.json").read_text(), object_pairs_hook=list)
        for section, entries in pairs:
            for key, fields in entries if section.startswith("packages") else ():
                record = dict(fields)
                ending = ".conda" if section == "packages.conda" else ".tar.bz2"
                assert key == f"{record['name']}-{record['version']}-{record['build']}{ending}"
                assert record["subdir"] == subdir
                keys.append(key)
                names.add(record["name"])
    assert len(keys) == len(set(keys)) == 8_000
    assert len(names) == 600


@pytest.mark.parametrize(
    ("specs", "virtual", "builds"),
    [
        (["pytorch", "cupy", "pandas", "scikit-learn"], CUDA, {"pytorch": "cuda129", "cupy": "cuda129"}),
        (["pytorch", "pandas"], {"__glibc": "2.36"}, {"pytorch": "cpu"}),
        (
            ["pytorch * cuda*", "cuda-version 11.8.*", "python 3.11.*"],
            CUDA,
            {"pytorch": "cuda118", "libtorch": "cuda118"},
        ),
        (["jax", "jaxlib * cuda*", "tensorflow * cuda*"], CUDA, {"jaxlib": "cuda126", "tensorflow": "cuda126"}),
    ],
)
def test_requests_have_a_solution(
    channel: Path, specs: list[str], virtual: dict[str, str], builds: dict[str, str]
) -> None:
    """With the CUDA builds where there is a driver, the CPU builds where there is none."""
    machine = [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString("0"))
        for name, version in virtual.items()
    ]
    found = asyncio.run(
        rattler.solve(
            sources=[channel.as_uri()],
            gateway=rattler.Gateway(),
            platforms=["linux-64", "noarch"],
            specs=[rattler.MatchSpec(text) for text in specs],
            virtual_packages=machine,
        )
    )
    picked = {record.name.normalized: str(record.build) for record in found}
    for name, build in builds.items():
        assert picked[name].startswith(build)


def _sums(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*.*"))
    }
