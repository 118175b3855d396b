"""Which projects the catalog of releases covers, from which version on, and whose wheels are opened for GPU code.

Every name here is a package that gpuenv installs or that a GPU package pins; nothing is looked up by pattern.
`cuda-toolkit` stands for NVIDIA's own library wheels: its extras pin each of them for each release of CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass

from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One project: the oldest release that counts, or exactly which releases, or only the newest."""

    name: str
    since: str = "0"
    only: tuple[str, ...] = ()
    last_only: bool = False

    def admits(self, version: Version) -> bool:
        """Whether `version` is a final release that the catalog lists."""
        if version.is_prerelease or version.local:
            return False
        if self.only:
            return version in {Version(text) for text in self.only}
        return version >= Version(self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Wheels to open: the last patch of each of the newest `minors` minor releases (None: of all), and `also`."""

    name: str
    platform: str = "linux-x86_64"
    minors: int | None = None
    since: str = "0"
    also: tuple[str, ...] = ()


WANTED = (
    Wanted(name="torch", since="1.13.0"),
    Wanted(name="torchvision", since="0.14.0"),
    Wanted(name="torchaudio", since="0.13.0"),
    Wanted(name="triton", since="2.0.0"),
    Wanted(name="tensorflow", since="2.8.0"),
    Wanted(name="tensorflow-cpu", since="2.8.0"),
    Wanted(name="keras", since="2.8.0"),
    Wanted(name="jax", since="0.4.26"),
    Wanted(name="jaxlib", since="0.4.26"),
    Wanted(name="jax-cuda12-plugin", since="0.4.26"),
    Wanted(name="jax-cuda12-pjrt", since="0.4.26"),
    Wanted(name="jax-cuda13-plugin", since="0.4.26"),
    Wanted(name="jax-cuda13-pjrt", since="0.4.26"),
    Wanted(name="cupy-cuda11x", since="12.0.0"),
    Wanted(name="cupy-cuda12x", since="12.0.0"),
    Wanted(name="cupy-cuda13x", since="12.0.0"),
    Wanted(name="cupy-cuda102", last_only=True),
    Wanted(name="chainer", only=("7.8.1", "7.8.0.post1")),
    Wanted(name="numba", since="0.56.0"),
    Wanted(name="numba-cuda"),
    Wanted(name="xgboost", since="1.6.0"),
    Wanted(name="xgboost-cpu"),
    Wanted(name="xgboost-cu12"),
    Wanted(name="xgboost-cu13"),
    Wanted(name="mxnet", since="1.7.0"),
    Wanted(name="mxnet-cu102", last_only=True),
    Wanted(name="mxnet-cu110", last_only=True),
    Wanted(name="mxnet-cu112", last_only=True),
    Wanted(name="mxnet-cu117", last_only=True),
    Wanted(name="kendryte-caffe"),
    Wanted(name="cuda-toolkit"),
    Wanted(name="nvidia-nccl-cu12"),
    Wanted(name="nvidia-cudnn-cu12"),
    Wanted(name="nvidia-cublas-cu12"),
    Wanted(name="nvidia-cudnn-cu11"),
    Wanted(name="nvidia-cudnn-cu13"),
    Wanted(name="nvidia-nccl-cu11"),
    Wanted(name="nvidia-nccl-cu13"),
    Wanted(name="nvidia-nvjitlink-cu12"),
    Wanted(name="numpy", since="1.21.0"),
)

# In order of importance: the reader stops where the download budget ends.
READINGS = (
    Reading(name="torch", minors=6),
    Reading(name="xgboost", minors=3),
    Reading(name="cupy-cuda12x", minors=2),
    Reading(name="cupy-cuda13x", minors=2),
    Reading(name="cupy-cuda11x", minors=1),
    Reading(name="tensorflow", minors=4),
    Reading(name="tensorflow", platform="windows-x86_64", minors=0, also=("2.10.1",)),
    Reading(name="torch", since="1.13.0"),
    Reading(name="jax-cuda12-plugin", minors=6, also=("0.4.38", "0.4.31")),
    Reading(name="jax-cuda13-plugin", minors=6),
    Reading(name="jax-cuda12-pjrt", minors=3, also=("0.4.38", "0.4.31")),
    Reading(name="jax-cuda13-pjrt", minors=3),
    Reading(name="xgboost", since="1.7.0"),
    Reading(name="xgboost-cu12", minors=3),
    Reading(name="xgboost-cu13", minors=3),
    Reading(name="torchvision", minors=8),
    Reading(name="torchaudio", minors=2),
    Reading(name="mxnet-cu112"),
    Reading(name="mxnet-cu117"),
    Reading(name="mxnet-cu102"),
    Reading(name="kendryte-caffe"),
    Reading(name="numba-cuda", minors=1),
    Reading(name="numba", minors=1),
    Reading(name="xgboost-cpu", minors=1),
    Reading(name="triton", minors=1),
    Reading(name="xgboost", platform="windows-x86_64", minors=2),
    Reading(name="cupy-cuda12x", platform="windows-x86_64", minors=1),
    Reading(name="cupy-cuda13x", platform="windows-x86_64", minors=1),
    Reading(name="torch", platform="windows-x86_64", minors=1),
    Reading(name="xgboost", platform="linux-aarch64", minors=2),
    Reading(name="cupy-cuda12x", platform="linux-aarch64", minors=1),
    Reading(name="cupy-cuda13x", platform="linux-aarch64", minors=1),
    Reading(name="torch", platform="linux-aarch64", minors=6),
    Reading(name="cupy-cuda12x"),
    Reading(name="cupy-cuda13x"),
    Reading(name="cupy-cuda11x"),
    Reading(name="tensorflow", since="2.14.0"),
    Reading(name="tensorflow", minors=0, also=("2.10.1", "2.12.1")),
    Reading(name="cupy-cuda102"),
    Reading(name="nvidia-nccl-cu12", minors=1, also=("2.27.5",)),
    Reading(name="nvidia-cudnn-cu12", minors=0, also=("9.10.2.21",)),
    Reading(name="nvidia-cublas-cu12", minors=1),
    Reading(name="nvidia-cudnn-cu12", minors=1),
    Reading(name="jax-cuda12-pjrt", minors=6),
    Reading(name="jax-cuda13-pjrt", minors=6),
    Reading(name="tensorflow", since="2.8.0"),
    Reading(name="mxnet-cu110"),
    # The first patches of the newer minors, so that a plan has one reason for a whole run of releases.
    Reading(name="torch", minors=0, also=("2.14.0", "2.12.0", "2.9.0", "2.7.0", "2.5.0")),
    # `tensorflow=2.19=gpu_*` is 2.19.0 to conda, so the first patches are asked for by name.
    Reading(name="tensorflow", minors=0, also=("2.19.0", "2.18.0", "2.17.0", "2.15.0", "2.14.0")),
    Reading(name="xgboost", minors=0, also=("3.4.0", "3.1.0", "3.0.0", "2.1.0", "2.0.0", "1.7.5")),
)
