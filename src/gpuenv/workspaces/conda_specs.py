"""conda's specs, and their packages under the names that their wheels have.

A name of conda that is no wheel's must not be asked of a Python index: there another project may have it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpuenv.channels.catalog import find_project

__all__ = ["CondaSpec", "read_conda_spec", "spec_of_conda"]

_SPEC = re.compile(
    r"\s*(?:(?P<channel>[^\s\[\]]+?)::)?(?P<name>[\w.-]+?)\s*(?P<rest>(?:[=<>!~\[*\s].*)?)", re.DOTALL | re.ASCII
)
_BUILD = r"(?P<build>[^=\s\[\]<>!~,|]+)"
_WITH_BUILD = re.compile(rf"={{0,2}}\s*(?P<version>[^=\s\[\]<>!~,|]+)(?:\s*=\s*|\s+){_BUILD}")
_RANGE_WITH_BUILD = re.compile(rf"(?P<version>[<>!~=]{{1,2}}[\d*][^\s\[\]]*)\s+{_BUILD}")
_OPERATORS = "=<>!~"

# Where conda's recipe and the wheel of the same project have different names (conda-forge, feedstocks).
_WHEEL_NAMES = {
    "brotli-python": "brotli",
    "dask-core": "dask",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python-blosc": "blosc",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-lmdb": "lmdb",
    "python-xxhash": "xxhash",
}
# What conda has beside Python packages: programs, compilers, libraries. conda's tools and pip are nobody's wish here.
_NO_WHEELS = frozenset(
    (
        *("binutils", "blas", "bzip2", "c-compiler", "ca-certificates", "clang", "clangxx", "compilers", "conda"),
        *("cudnn", "curl", "cxx-compiler", "expat", "ffmpeg", "fontconfig", "fortran-compiler", "freetype", "gcc"),
        *("gettext", "gfortran", "git", "git-lfs", "glib", "gmp", "gxx", "hdf5", "icu", "intel-openmp", "jpeg"),
        *("krb5", "lame", "lcms2", "lerc", "llvm-openmp", "lz4-c", "magma", "make", "mamba", "mkl", "mkl-service"),
        *("mpc", "mpfr", "mpich", "nasm", "nccl", "ncurses", "nettle", "nodejs", "nomkl", "openblas", "openh264"),
        *("openjpeg", "openmpi", "openssl", "pcre", "pcre2", "perl", "pip", "pkg-config", "python_abi"),
        *("readline", "rust", "snappy", "sqlite", "sysroot", "tar", "tbb", "tk", "tzdata", "unzip", "wget"),
        *("x264", "x265", "xz", "yaml", "yasm", "zeromq", "zip", "zlib", "zstd"),
    )
)
_NO_WHEEL_BEGINNINGS = ("_", "lib", "cuda-", "r-", "ld_impl_", "xorg-", "gcc_", "gxx_", "binutils_", "sysroot_")
_NO_WHEEL_ENDINGS = ("-ng", "_impl_linux-64", "-dev", "-static")


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaSpec:
    """One spec taken apart: `rest` is all that follows the name, `build` the part of it that names a build."""

    typed: str
    channel: str | None
    name: str
    version: str
    build: str | None = None


def read_conda_spec(typed: str) -> CondaSpec | None:
    """`channel::name=version=build` or `name >=version` taken apart; None where it is no spec."""
    found = _SPEC.fullmatch(typed.strip())
    if found is None:
        return None
    rest = re.sub(r"(?<=[=<>!~])\s+", "", found["rest"].strip())
    build = _WITH_BUILD.fullmatch(rest)
    version = rest
    if build:
        exact = "==" if rest.startswith("==") else "="
        version = f"{exact}{build['version']}" if build["version"] not in {"", "*"} else ""
    elif build := _RANGE_WITH_BUILD.fullmatch(rest):
        version = build["version"]
    return CondaSpec(
        typed=typed.strip(),
        channel=found["channel"],
        name=found["name"].lower(),
        version=version,
        build=build["build"] if build else None,
    )


def spec_of_conda(found: CondaSpec) -> tuple[str | None, str | None]:
    """The spec as a request takes it, None where the package is no wheel; and a note on what of it stays behind."""
    project = find_project(found.name)
    if project is None and _is_no_wheel(found.name):
        return None, f"`{found.typed}` is not carried over: it is no Python package"
    name = found.name if project else _WHEEL_NAMES.get(found.name, found.name)
    version = "" if found.version in {"*", "=*", "==*"} else found.version
    spec = f"{name}{' ' if version and version[0] not in f'{_OPERATORS}[' else ''}{version}"
    if found.build is None:
        return spec, None
    if project and (kept := _kept_build(found.build)):
        is_pin = not version or (version[0] == "=" and "," not in version)
        spec = f"{name}{version or '=*'}={kept}" if is_pin else f"{name} {version} {kept}"
        note = None if kept == found.build else f"`{found.typed}` is asked for as `{spec}`: builds of wheels differ"
        return spec, note
    return spec, f"the build of `{found.typed}` is not carried over: wheels have none of that name"


def _kept_build(build: str) -> str | None:
    """A build that wheels can have: a pattern as it is; of a conda build whether it is for CUDA or the CPU."""
    if "*" in build:
        return build
    if "cuda" in build:
        return "cuda*"
    return "cpu*" if re.search(r"(^|[_.])cpu", build) else None


def _is_no_wheel(name: str) -> bool:
    return (
        name in _NO_WHEELS
        or name.startswith(_NO_WHEEL_BEGINNINGS)
        or name.endswith(_NO_WHEEL_ENDINGS)
        or name.endswith(("_linux-64", "_win-64", "_osx-64", "_osx-arm64", "_linux-aarch64"))
    )
