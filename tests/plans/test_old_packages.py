"""The old projects, planned, installed from the real index and made to compute on the CPU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gpuenv.environments import layout
from gpuenv.environments.verbs import create_environment
from gpuenv.machines import probe_here
from gpuenv.machines.interpreters import find_interpreters
from gpuenv.model import Machine, OperatingSystem, Request, Silence
from index_at_hand import require_index

pytestmark = [pytest.mark.network, pytest.mark.slow]

MXNET = """
import mxnet as mx
ones = mx.nd.ones((2, 8))
print(mx.nd.dot(ones, ones.T).asnumpy().tolist())
"""
CHAINER = """
import numpy, chainer, chainer.functions as F
print(chainer.backends.cuda.available, F.relu(numpy.array([-1.0, 2.0], "float32")).array.tolist())
"""
CAFFE = '''
import tempfile, numpy, caffe
net = """
name: "little"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "sum" type: "InnerProduct" bottom: "data" top: "sum"
        inner_product_param { num_output: 2 weight_filler { type: "constant" value: 1 } } }
layer { name: "relu" type: "ReLU" bottom: "sum" top: "sum" }
"""
with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
    file.write(net); file.flush()
    caffe.set_mode_cpu()
    little = caffe.Net(file.name, caffe.TEST)
    little.blobs["data"].data[...] = numpy.array([[1, 2, 3]])
    print(little.forward()["sum"].tolist())
'''


@pytest.fixture
def linux() -> Machine:
    """The computer at hand, where it is one that the old wheels are for."""
    require_index()
    here = probe_here()
    if here.system.os is not OperatingSystem.LINUX or here.system.arch != "x86_64":
        pytest.skip(f"the old wheels are for Linux x86_64, and this is {here.platform}")
    return here


def computed(package: str, program: str, machine: Machine, prefix: Path) -> str:
    """What `program` prints in an environment that was made for `package` with one call."""
    create_environment(Request(specs=(package,)), prefix, machine=machine, report=Silence())
    done = subprocess.run([layout.python_of(prefix), "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def need_python(oldest: tuple[int, int], newest: tuple[int, int]) -> None:
    """Skip where no interpreter in this span was found."""
    found = [tuple(map(int, one.minor.split("."))) for one in find_interpreters()]
    if not any(oldest <= one <= newest for one in found):
        pytest.skip(f"no Python {'.'.join(map(str, oldest))} to {'.'.join(map(str, newest))} on this computer")


def test_mxnet_computes(linux: Machine, tmp_path: Path) -> None:
    """MXNet 1.9.1 runs with NumPy 1.23, the last before names that it imports were removed."""
    need_python((3, 8), (3, 11))
    assert computed("mxnet", MXNET, linux, tmp_path / "mxnet") == "[[8.0, 8.0], [8.0, 8.0]]"


def test_chainer_computes(linux: Machine, tmp_path: Path) -> None:
    """Chainer 7.8.1, built from source with an old setuptools, runs on NumPy, and knows that there is no CuPy."""
    need_python((3, 8), (3, 11))
    assert computed("chainer", CHAINER, linux, tmp_path / "chainer") == "False [0.0, 2.0]"


def test_caffe_computes(linux: Machine, tmp_path: Path) -> None:
    """Caffe 1.0 for the CPU, on an interpreter as old as its wheels: an inner product and a rectifier."""
    need_python((3, 6), (3, 9))
    assert computed("caffe", CAFFE, linux, tmp_path / "caffe").endswith("[[6.0, 6.0]]")
