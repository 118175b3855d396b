"""The pytorch snapshot with its stubs and the TensorFlow channel solve and install as they are meant to."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import rattler

from pytorch_snapshot import Order, pytorch_channel, snapshot
from tensorflow_channel import tensorflow_channel


def test_every_need_that_goes_outside_the_snapshot_can_be_met(tmp_path: Path) -> None:
    """Needs within it are the real channel's own affair: one of them, pytorch-cuda 11.6, nothing there meets."""
    channel = pytorch_channel(tmp_path)
    by_name: dict[str, list[rattler.PackageRecord]] = {}
    for subdir in ("linux-64", "noarch"):
        data = rattler.SparseRepoData(rattler.Channel(channel.as_uri()), subdir, channel / subdir / "repodata.json")
        for name in data.package_names():
            by_name.setdefault(name, []).extend(data.load_records(rattler.PackageName(name)))
    records = snapshot().values()
    own = {record["name"] for record in records}
    needs = {need for record in records for need in record["depends"] if need.split()[0] not in own}
    assert len(needs) > 150
    for need in needs - {"__glibc >=2.17", "__glibc >=2.17,<3.0.a0"}:
        spec = rattler.MatchSpec(need)
        assert any(spec.matches(record) for record in by_name[need.split()[0]]), need


@pytest.mark.parametrize("order", ["reversed", 7])
def test_the_snapshot_can_stand_in_another_order(tmp_path: Path, order: Order) -> None:
    """The same records, in another order."""
    plain, other = (
        json.loads((pytorch_channel(tmp_path / str(one), order=one) / "linux-64/repodata.json").read_text())["packages"]
        for one in ("as is", order)
    )
    assert plain == other
    assert list(plain) != list(other)


def test_tensorflow_changes_its_variant_under_keras(tmp_path: Path) -> None:
    """`keras` needs plain `tensorflow` and finds whichever is there."""
    channel = tensorflow_channel(tmp_path / "channel")
    prefix = tmp_path / "prefix"
    for spec, variant in (("tensorflow-gpu", "gpu"), ("tensorflow * mkl_*", "mkl"), ("tensorflow * eigen_*", "eigen")):
        asyncio.run(_install(channel, ["keras", spec], prefix))
        code = "import keras, tensorflow as tf; print(keras.backend, tf.test.is_built_with_cuda())"
        done = subprocess.run(
            [prefix / "bin/python", "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.split() == [variant, str(variant == "gpu")]


async def _install(channel: Path, specs: list[str], prefix: Path) -> None:
    records = await rattler.solve(
        sources=[channel.as_uri()],
        gateway=rattler.Gateway(),
        platforms=["linux-64", "noarch"],
        specs=[rattler.MatchSpec(text) for text in specs],
    )
    await rattler.install(records, prefix, cache_dir=prefix.parent / "cache", show_progress=False)
