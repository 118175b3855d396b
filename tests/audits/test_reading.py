"""Packages are read once and no more than needed, here and on a server; what was read is kept; large channels."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.made_conda import BytesSource
from artifacts.range_server import RangeServer
from audits.gpu_packages import audit, channel, cpu_package, gpu_library, package, rules
from gpuenv.audits import audit_packages
from gpuenv.audits.hashing import HashedSource
from gpuenv.audits.repodata import parse_repodata
from gpuenv.errors import FormatError
from little_channel import LittlePackage

IMAGES = ("sm_80", "sm_90", "compute_90/ptx8.4")


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 30_000),
    reads=st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 30_000)), max_size=6),
)
def test_hashes_are_those_of_the_file_in_whatever_order_it_is_read(size: int, reads: list[tuple[int, int]]) -> None:
    """Parts may be read twice, out of order, or not at all."""
    content = bytes(number * 7 % 251 for number in range(size))
    source = HashedSource(BytesSource(content, "demo.conda"))
    for start, stop in reads:
        low, high = sorted((min(start, size), min(stop, size)))
        assert source.read(low, high) == content[low:high]
    assert source.finish() == (hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest())


def test_what_is_read_for_other_reasons_is_not_read_again_for_hashes() -> None:
    """A file that was read from its end to its start in two parts is fetched once."""
    inner = BytesSource(bytes(10_000), "demo.conda")
    source = HashedSource(inner)
    source.read(4_000, 10_000)
    source.read(0, 4_000)
    source.finish()
    assert inner.fetched_bytes == 10_000


def served(place: Path) -> RangeServer:
    """A channel on a server."""
    return RangeServer({str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()})


def test_a_channel_on_a_server(tmp_path: Path) -> None:
    """Findings are those of the same channel on disk; sums are told without a second download."""
    one = package(*IMAGES, build="cuda12_0", depends=("cuda-version",))
    lying = package(*IMAGES, version="2.0", depends=("__cuda >=12",), constrains=("__cuda_arch >=8.0",))
    place = channel(
        tmp_path,
        one,
        lying,
        LittlePackage(name="plain", ending=".tar.bz2"),
        changed={lying.file_name: {"sha256": "0" * 64}},
        records=[{"name": "ghost", "subdir": "linux-64"}],
    )
    here = audit(place)
    with served(place) as server:
        there = audit(server.address(""), subdirs=["linux-64", "noarch"])
        size = sum(path.stat().st_size for path in place.rglob("*.conda"))
        # Small files come whole when they are opened, and their index with them.
        assert server.sent_bytes < 4 * size + 20_000
    assert rules(there) == rules(here) == ["file-missing", "arch-undeclared", "sums"]
    assert there.problems == ()


def test_logins_and_tokens_are_not_shown(tmp_path: Path) -> None:
    """The report names the channel without what opens it."""
    place = channel(tmp_path, package(*IMAGES))
    with served(place) as server:
        server.login = "ada:secret"
        report = audit(server.address("", login="ada:secret"), subdirs=["linux-64"])
    assert rules(report) == ["gpu-undeclared"]
    assert "secret" not in str(report)


@pytest.mark.parametrize("kind", ["BasicHTTP", "BearerToken", "CondaToken"])
def test_a_name_with_a_login_that_rattler_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """`mine` is behind `channel_alias` of `.condarc`, and its server wants what RATTLER_AUTH_FILE has for it."""
    place = channel(tmp_path / "channel", package(*IMAGES))
    secret = {"BasicHTTP": {"username": "ada", "password": "pw-99"}}.get(kind, "pw-99")
    stored = tmp_path / "auth.json"
    stored.write_text(json.dumps({"127.0.0.1": {kind: secret}}), "utf-8")
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(stored))
    start = "t/pw-99/mine" if kind == "CondaToken" else "mine"
    files = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with RangeServer({f"{start}/{name}": content for name, content in files.items()}) as server:
        server.login = "ada:pw-99" if kind == "BasicHTTP" else None
        (tmp_path / ".condarc").write_text(f"channel_alias: http://{server.host}\n", "utf-8")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("CONDARC", str(tmp_path / ".condarc"))
        report = audit("mine", subdirs=["linux-64"])
        by_address = audit(server.address("mine/linux-64/vectors-1.0-0.conda"))
        shown = {one.get("Authorization", "").partition(" ")[0] for one in server.headers}
    assert shown == {{"BasicHTTP": "Basic", "BearerToken": "Bearer"}.get(kind, "")}
    assert rules(report) == rules(by_address) == ["gpu-undeclared"]
    assert report.audited[0].channel == "mine"
    assert "pw-99" not in str(report)
    assert "pw-99" not in str(by_address)


def test_repodata_that_is_compressed_only_and_a_package_by_address(tmp_path: Path) -> None:
    """A server may have `repodata.json.zst` alone; a package may be named by its address."""
    place = channel(tmp_path, package(*IMAGES), zst=True)
    (place / "linux-64" / "repodata.json").unlink()
    with served(place) as server:
        assert rules(audit(server.address(""))) == ["gpu-undeclared"]
        assert rules(audit(server.address("linux-64/vectors-1.0-0.conda"))) == ["gpu-undeclared"]
        assert audit(server.address("linux-64/none-1.0-0.conda")).problems[0].exit_code == 2
        assert audit(server.address("other")).problems[0].exit_code == 2


def test_what_was_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second audit takes readings from the cache, by the hash of the file that was read."""
    monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
    big = package(*IMAGES, files={"lib/other.so": gpu_library("sm_80") + bytes(range(256)) * 8000})
    place = channel(tmp_path, big, package(*IMAGES, version="2.0"))
    with served(place) as server:
        first = audit_packages([server.address("")], subdirs=["linux-64"])
        sent = server.sent_bytes
        second = audit_packages([server.address("")], subdirs=["linux-64"])
        again = server.sent_bytes - sent
    assert rules(first) == rules(second) == ["gpu-undeclared"] * 2
    assert again <= sent
    # A record that lies about its hash cannot lend its file the reading of another.
    repodata = place / "linux-64" / "repodata.json"
    document = json.loads(repodata.read_text())
    cpu = cpu_package(name="scalars")
    place = channel(tmp_path / "second", cpu)
    other = json.loads((place / "linux-64" / "repodata.json").read_text())
    (record,) = other["packages.conda"].values()
    record["sha256"] = document["packages.conda"]["vectors-2.0-0.conda"]["sha256"]
    (place / "linux-64" / "repodata.json").write_text(json.dumps(other))
    assert rules(audit_packages([str(place)])) == ["sums"]


def test_records_of_revision_3(tmp_path: Path) -> None:
    """They are audited as well, and no patch of version 1 reaches them."""
    place = channel(
        tmp_path, package(*IMAGES, flags=("cuda",)), package(*IMAGES, version="2.0", extra_depends={"x": ["y"]})
    )
    report = audit(place, patch=tmp_path / "patch")
    assert rules(report, "vectors-1.0-0.conda") == ["arch-undeclared"]
    assert rules(report, "vectors-2.0-0.conda") == ["gpu-undeclared"]
    assert not any(one.mendable for found in report.audited for one in found.findings)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"packages": []}', b'{"packages.conda": 3}', b"\xff", b"[" * 100_000, b'{"v3": {"conda": 1}}'],
)
def test_broken_repodata(content: bytes) -> None:
    """Anything that is no repodata is a FormatError."""
    with pytest.raises(FormatError, match="is broken"):
        parse_repodata(content, "repodata.json")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,packgesond.1', max_size=200).map(str.encode))
def test_hostile_repodata(content: bytes) -> None:
    """Bytes give records or a FormatError, nothing else."""
    try:
        parse_repodata(content, "repodata.json")
    except FormatError:
        return


def test_two_hundred_packages(tmp_path: Path) -> None:
    """A channel of 200 small packages is audited within ten seconds."""
    packages = [
        package(*IMAGES, name=f"vectors{number}", build="cuda124_0", depends=("cuda-version 12.4.*", "__cuda >=12"))
        if number % 2
        else cpu_package(name=f"scalars{number}")
        for number in range(200)
    ]
    place = channel(tmp_path, *packages)
    began = time.monotonic()
    report = audit(place)
    assert time.monotonic() - began < 10
    assert report.packages == 200
    assert rules(report) == ["arch-undeclared"] * 100


def test_zst_beside_json(tmp_path: Path) -> None:
    """On disk `repodata.json` counts, and the compressed one where there is no other."""
    place = channel(tmp_path, package(*IMAGES))
    subdir = place / "linux-64"
    (subdir / "repodata.json.zst").write_bytes(zstd.compress((subdir / "repodata.json").read_bytes()))
    (subdir / "repodata.json").unlink()
    assert rules(audit(place)) == ["gpu-undeclared"]
