"""TensorFlow in three variants, as Anaconda's own channel has it, in small packages that say what they are.

The shape is that of github.com/AnacondaRecipes/tensorflow_recipes: `tensorflow` has no files; it needs one exact build
of `tensorflow-base`, one version and build of `_tflow_select`, and a Python (tensorflow/meta.yaml). `_tflow_select` is
2.1.0 `gpu`, 2.2.0 `eigen` or 2.3.0 `mkl`, so that the highest, mkl, is what is installed if nothing is said
(_tflow_select/conda_build_config.yaml and the README). `tensorflow-base` gpu builds need `cudatoolkit`, `cudnn` and
`cupti` and nothing virtual (tensorflow-base-gpu/meta.yaml), and all builds have number 0. `tensorflow-gpu`,
`tensorflow-mkl` and `tensorflow-eigen` name a version of `tensorflow` and a variant (tensorflow-variants/meta.yaml).
The CUDA lines are those of the recipes. Build strings are the real ones where they could be read, else made up; so are
the builds for other Pythons than TensorFlow had then. `keras` needs plain `tensorflow`, as it did up to 2.4; that
TensorFlow 2.9 itself needs a Keras of its own is left out.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

from little_channel import LittlePackage, make_channel, python_package

SELECT = {"gpu": "2.1.0", "eigen": "2.2.0", "mkl": "2.3.0"}
"""The variants, each with the version of `_tflow_select` that stands for it."""
BUILDS = {
    ("2.2.0", "gpu", "3.7"): "h1a511ff",
    ("2.2.0", "gpu", "3.8"): "hb782248",
    ("2.2.0", "eigen", "3.7"): "h1b16bb3",
}
CUDA = {"2.2.0": "10.1", "2.4.1": "10.1", "2.9.1": "11.3"}
"""The CUDA line of each version's gpu build."""
TOOLKITS = {
    "10.1": ("10.1.243", "h6bb024c_0", "7.6.5", "10.1.168"),
    "11.3": ("11.3.1", "h2bc3f7f_2", "8.2.1", "11.3.1"),
}
"""By CUDA line: version and build of `cudatoolkit`, version of `cudnn`, version of `cupti`."""
MODULE = '''"""A stand-in for TensorFlow {version}: it knows which variant it is, and nothing else."""

__version__ = "{version}"
variant = "{variant}"


class test:
    """What programs ask whether there is a GPU build."""

    @staticmethod
    def is_built_with_cuda():
        return variant == "gpu"
'''
KERAS = '''"""A stand-in for Keras {version}, on whatever TensorFlow is here."""

import tensorflow

__version__ = "{version}"
backend = tensorflow.variant
'''


def tensorflow_channel(directory: Path, *, real_python: bool = True, zst: bool = False) -> Path:
    """Write the channel for one Python: the running one, which then works in a prefix, or a record of 3.7.

    Gives `directory`. Every version of `tensorflow` is there in all three variants.
    """
    python = ".".join(platform.python_version_tuple()[:2]) if real_python else "3.7"
    interpreter = python_package("3.7.16", real=real_python)
    return make_channel(directory, [interpreter, *tensorflow_packages(python)], zst=zst)


def tensorflow_packages(python: str = "3.7") -> list[LittlePackage]:
    """All packages of the channel but the interpreter, with the builds for that Python."""
    return [
        *(_select(variant) for variant in SELECT),
        *_libraries(),
        *(one for version in CUDA for variant in SELECT for one in _tensorflow(version, variant, python)),
        *(one for version in CUDA for one in _on_top(version)),
        *_keras(),
    ]


def tensorflow_build(version: str, variant: str, python: str) -> str:
    """The build string of `tensorflow` in that variant."""
    hashed = BUILDS.get((version, variant, python)) or _hash("tensorflow", version, variant, python)
    return f"{variant}_py{python.replace('.', '')}{hashed}_0"


def _select(variant: str) -> LittlePackage:
    return LittlePackage(name="_tflow_select", version=SELECT[variant], build=variant, subdir="linux-64")


def _libraries() -> Iterator[LittlePackage]:
    for line, (version, build, cudnn, cupti) in TOOLKITS.items():
        library = {f"lib/libcudart.so.{version}": f"stand-in for CUDA {version}\n"}
        links = {f"lib/libcudart.so.{line}": f"libcudart.so.{version}"}
        yield LittlePackage(
            name="cudatoolkit", version=version, build=build, subdir="linux-64", files=library, links=links
        )
        yield LittlePackage(
            name="cudnn",
            version=cudnn,
            build=f"cuda{line}_0",
            subdir="linux-64",
            depends=[f"cudatoolkit {line}.*"],
            files={f"lib/libcudnn.so.{cudnn}": f"stand-in for cuDNN {cudnn}\n"},
        )
        yield LittlePackage(name="cupti", version=cupti, build="0", subdir="linux-64")
    yield LittlePackage(name="mkl", version="2020.2", build="256", subdir="linux-64")
    for name, version in (("six", "1.15.0"), ("absl-py", "0.11.0"), ("numpy", "1.19.2")):
        file = f"site-packages/{name.split('-')[0]}.py"
        yield LittlePackage(name=name, version=version, noarch="python", depends=["python"], files={file: "\n"})
    for version in CUDA:
        needs = ["python", "absl-py >=0.4", "six >=1.10.0"]
        for name, build in (("tensorboard", "pyhc547734_0"), ("tensorflow-estimator", "pyh208ff02_0")):
            yield LittlePackage(name=name, version=version, build=build, noarch="python", depends=needs)


def _tensorflow(version: str, variant: str, python: str) -> Iterator[LittlePackage]:
    short, minor = python.replace(".", ""), int(python.split(".")[1])
    of_python = f"python >={python},<3.{minor + 1}.0a0"
    line = CUDA[version]
    cudnn = TOOLKITS[line][2]
    cuda = [f"cudatoolkit {line}.*", f"cudnn >={cudnn},<{int(cudnn[0]) + 1}.0a0", f"cupti {line}.*"]
    base = f"{variant}_py{short}{_hash('base', version, variant, python)}_0"
    site = f"lib/python{python}/site-packages"
    yield LittlePackage(
        name="tensorflow-base",
        version=version,
        build=base,
        subdir="linux-64",
        depends=[
            *(of_python, "absl-py >=0.7.0", "numpy >=1.16.6,<2.0a0", "six >=1.12.0"),
            *({"gpu": cuda, "mkl": ["mkl >=2020.1,<2021.0a0"]}.get(variant, [])),
        ],
        files={
            f"{site}/tensorflow/__init__.py": MODULE.format(version=version, variant=variant),
            f"{site}/tensorflow-{version}.dist-info/METADATA": _metadata("tensorflow", version),
            f"{site}/tensorflow-{version}.dist-info/INSTALLER": "conda\n",
        },
        license="Apache-2.0",
    )
    yield LittlePackage(
        name="tensorflow",
        version=version,
        build=tensorflow_build(version, variant, python),
        subdir="linux-64",
        depends=[
            f"_tflow_select {SELECT[variant]} {variant}",
            *(of_python, f"tensorboard {version[:3]}.*", f"tensorflow-base {version} {base}"),
            f"tensorflow-estimator {version[:3]}.*",
        ],
        license="Apache-2.0",
    )


def _on_top(version: str) -> Iterator[LittlePackage]:
    for variant, select in SELECT.items():
        yield LittlePackage(
            name=f"tensorflow-{variant}",
            version=version,
            build=f"{_hash('metapackage', version, variant)}_0",
            subdir="linux-64",
            depends=[f"_tflow_select {select} {variant}", f"tensorflow {version}"],
            license="Apache-2.0",
        )


def _keras() -> Iterator[LittlePackage]:
    """Keras on plain `tensorflow`, whichever it is, and its own `-gpu` name on the GPU one."""
    version = "2.4.3"
    yield LittlePackage(
        name="keras-base",
        version=version,
        build="pyhd3eb1b0_0",
        noarch="python",
        depends=["numpy", "python >=3.6"],
        files={"site-packages/keras/__init__.py": KERAS.format(version=version)},
        license="MIT",
    )
    for name, need in (("keras", "tensorflow"), ("keras-gpu", "tensorflow-gpu")):
        needs = [f"keras-base {version}.*", need]
        yield LittlePackage(name=name, version=version, build="hd3eb1b0_0", depends=needs, license="MIT")


def _metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def _hash(*parts: str) -> str:
    return "h" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:7]
