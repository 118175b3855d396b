"""The hand-made part of the large channel: Python, the runtime libraries, CUDA, and GPU packages in all their builds.

Names, build strings and bounds have the form that conda-forge gives them; the numbers are made up where nothing hangs
on them. A CUDA build has `__cuda` and a range of `cuda-version` among its dependencies, and the higher build number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Build:
    """One record of the channel, without what is made up by chance."""

    name: str
    version: str
    build: str
    number: int = 0
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    subdir: str = "linux-64"
    day: int = 1400
    track_features: str = ""

    @property
    def noarch(self) -> str:
        """`python`, `generic` or empty."""
        if self.subdir != "noarch":
            return ""
        return "python" if any(need.partition(" ")[0] == "python" for need in self.depends) else "generic"

    @property
    def file_name(self) -> str:
        """The archive's name; `.tar.bz2` before the end of 2022."""
        return f"{self.name}-{self.version}-{self.build}" + (".conda" if self.day >= 380 else ".tar.bz2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """A package with CPU and CUDA builds."""

    name: str
    releases: tuple[tuple[str, int, str], ...]
    """Version, day, and its CUDA lines by space."""
    libraries: tuple[str, ...]
    """The CUDA libraries that its CUDA builds need."""
    depends: tuple[str, ...]
    cpu: bool = True
    rebuilds: int = 4


CUDA = tuple(f"11.{minor}" for minor in range(2, 9)) + tuple(f"12.{minor}" for minor in range(10)) + ("13.0",)
COMPONENTS = ("cuda-cudart", "cuda-nvrtc", "cuda-nvtx", "cuda-cupti", "cuda-nvcc-tools", "cuda-nvvm-tools")
LIBRARIES = ("libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse", "libnvjitlink", "libcufile")
RUNTIME = ("libgcc >=13", "libstdcxx >=13", "__glibc >=2.17,<3.0.a0")
MATHS = ("numpy", "scipy", "requests", "jinja2")

FRAMEWORKS = (
    Framework(
        name="pytorch",
        releases=(
            *(("2.0.1", 540, "11.2 11.8"), ("2.1.2", 780, "11.8 12.0"), ("2.3.1", 950, "11.8 12.0")),
            *(("2.4.1", 1040, "11.8 12.0"), ("2.5.1", 1120, "11.8 12.6"), ("2.6.0", 1200, "12.6")),
            *(("2.7.1", 1310, "11.8 12.6 12.8 12.9"), ("2.8.0", 1390, "12.6 12.8 12.9 13.0")),
        ),
        libraries=("libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse", "cudnn", "nccl", "cuda-cudart"),
        depends=("numpy", "pyyaml", "jinja2", "libblas * *openblas", "libtorch"),
        rebuilds=5,
    ),
    Framework(
        name="cupy",
        releases=(
            *(("12.2.0", 650, "11.2 11.8 12.0"), ("13.0.0", 800, "11.8 12.0"), ("13.3.0", 1030, "11.8 12.0 12.6")),
            ("13.6.0", 1380, "11.8 12.6 12.9 13.0"),
        ),
        libraries=("libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse", "cuda-nvrtc"),
        depends=("numpy >=1.0", "scipy"),
        cpu=False,
    ),
    Framework(
        name="jaxlib",
        releases=(
            *(("0.4.23", 790, "11.8 12.0"), ("0.4.31", 1010, "12.0"), ("0.5.2", 1220, "12.6")),
            ("0.7.0", 1370, "12.6 12.9 13.0"),
        ),
        libraries=("libcublas", "libcufft", "libcusolver", "libcusparse", "cudnn", "nccl", "cuda-cupti"),
        depends=("numpy", "scipy", "ml_dtypes"),
    ),
    Framework(
        name="tensorflow",
        releases=(("2.15.0", 790, "11.8 12.0"), ("2.17.0", 1040, "12.0"), ("2.18.0", 1260, "12.6 12.9")),
        libraries=("libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse", "cudnn", "nccl"),
        depends=("numpy", "requests", "keras", "ml_dtypes"),
    ),
    Framework(
        name="xgboost",
        releases=(("2.1.1", 1020, "11.8 12.0"), ("3.0.2", 1330, "11.8 12.6 12.9")),
        libraries=("nccl",),
        depends=("numpy", "scipy", "scikit-learn"),
    ),
    Framework(
        name="torchvision",
        releases=(("0.18.1", 960, "11.8 12.0"), ("0.22.1", 1320, "11.8 12.6 12.9"), ("0.23.0", 1400, "12.9 13.0")),
        libraries=("cuda-cudart",),
        depends=("numpy", "pillow", "pytorch"),
    ),
)


def gpu_builds(pythons: Mapping[str, int]) -> Iterator[Build]:
    """All builds of this part; `pythons` gives the day from which there are builds for each Python."""
    yield from _interpreters(pythons)
    yield from _runtime()
    yield from _cuda()
    for framework in FRAMEWORKS:
        yield from _framework(framework, pythons)
    yield from _on_top()


def _interpreters(pythons: Mapping[str, int]) -> Iterator[Build]:
    for minor, since in sorted(pythons.items()):
        short = minor.replace(".", "")
        yield Build(name="python_abi", version=minor, build=f"8_cp{short}", number=8, subdir="noarch", day=since)
        for patch in range(12):
            day = min(since + 90 * patch, 1450)
            for number in range(3):
                yield Build(
                    name="python",
                    version=f"{minor}.{patch}",
                    build=f"{_hash('python', minor, patch, number)}_{number}_cpython",
                    number=number,
                    depends=(*RUNTIME, "openssl >=3.0,<4.0a0", "libzlib >=1.2,<2.0a0", "tzdata", "ca-certificates"),
                    constrains=(f"python_abi {minor}.* *_cp{short}",),
                    day=day,
                )
    for name in ("pip", "setuptools", "wheel", "tzdata", "ca-certificates", "keras", "typing_extensions"):
        for number in range(20):
            needs = () if name in {"tzdata", "ca-certificates"} else ("python >=3.9",)
            build = "pyhd8ed1ab_0" if needs else "h4bc722e_0"
            version = f"{21 + number // 4}.{number % 4}"
            yield Build(name=name, version=version, build=build, depends=needs, subdir="noarch", day=70 * number)


def _runtime() -> Iterator[Build]:
    yield Build(name="_libgcc_mutex", version="0.1", build="conda_forge", day=0)
    for major in (12, 13, 14, 15):
        for minor in (1, 2):
            version, day = f"{major}.{minor}.0", 300 * (major - 11) + 60 * minor
            for name in ("libgcc", "libstdcxx", "libgomp"):
                needs = ("_libgcc_mutex 0.1 conda_forge",) if name == "libgcc" else (f"libgcc {version}",)
                build = f"{_hash(name, version)}_2"
                yield Build(name=name, version=version, build=build, number=2, depends=needs, day=day)
    for name, versions in (("openssl", ("3.0.9", "3.2.1", "3.5.4")), ("libzlib", ("1.2.13", "1.3.1"))):
        for place, version in enumerate(versions):
            yield Build(name=name, version=version, build=f"{_hash(name, version)}_1", number=1, day=500 * place)
    for kind, number in (("openblas", 0), ("mkl", 0)):
        for revision in range(20, 38):
            yield Build(
                name="libblas",
                version="3.9.0",
                build=f"{revision}_{_hash(kind, revision)}_{kind}",
                number=revision + number,
                constrains=(f"blas * {kind}",),
                day=40 * revision,
                track_features="blas_mkl" if kind == "mkl" else "",
            )


def _cuda() -> Iterator[Build]:
    for place, line in enumerate(CUDA):
        major, minor = line.split(".")
        day = 60 * place
        yield Build(
            name="cuda-version",
            version=line,
            build=f"{_hash('cuda-version', line)}_3",
            number=3,
            constrains=(f"cudatoolkit {line}|{line}.*", f"__cuda >={major}"),
            subdir="noarch",
            day=day,
        )
        if major == "11":
            constrains = (f"__cuda >={major}",)
            for number in (10, 11, 12):
                build = f"{_hash('cudatoolkit', line, number)}_{number}"
                version = f"{line}.{minor}"
                yield Build(
                    name="cudatoolkit", version=version, build=build, number=number, constrains=constrains, day=day
                )
            continue
        for name in (*COMPONENTS, *LIBRARIES):
            for patch in (37, 77, 105):
                version = f"{line}.{patch}"
                needs = (*RUNTIME, f"cuda-version >={line},<{major}.{int(minor) + 1}.0a0")
                build = f"{_hash(name, version)}_0"
                yield Build(name=name, version=version, build=build, depends=needs, day=day + patch // 8)
    for name, versions in (("cudnn", ("8.9.7", "9.1.1", "9.10.1")), ("nccl", ("2.18.5", "2.23.4", "2.27.7"))):
        for place, version in enumerate(versions):
            for number, line in enumerate(("11.8", "12.0", "13.0")):
                if line != "13.0" or place == 2:
                    bounds = (*RUNTIME, *_lines(line))
                    build = f"cuda{line.split('.')[0]}_{_hash(name, version, line)}_{number}"
                    yield Build(
                        name=name, version=version, build=build, number=number, depends=bounds, day=650 + 300 * place
                    )


def _framework(framework: Framework, pythons: Mapping[str, int]) -> Iterator[Build]:
    for place, (version, day, lines) in enumerate(framework.releases):
        newest = place == len(framework.releases) - 1
        for python in (name for name, since in pythons.items() if newest or since <= day):
            for rebuild in range(framework.rebuilds):
                if framework.cpu:
                    yield _cpu(framework, version, python, rebuild, day)
                for line in lines.split():
                    yield _gpu(framework, version, python, rebuild, day, line)
    for version, day, lines in framework.releases:
        if framework.name == "pytorch":
            yield from _libtorch(version, day, lines)
        if framework.cpu:
            for kind in ("cpu", "gpu"):
                needs = (f"{framework.name} {version} {'cuda' if kind == 'gpu' else 'cpu'}*",)
                build = f"{_hash(framework.name, version, kind)}_0"
                yield Build(name=f"{framework.name}-{kind}", version=version, build=build, depends=needs, day=day)


def _cpu(framework: Framework, version: str, python: str, rebuild: int, day: int) -> Build:
    return Build(
        name=framework.name,
        version=version,
        build=f"cpu_generic_py{python.replace('.', '')}_{_hash(framework.name, version, python, rebuild)}_{rebuild}",
        number=rebuild,
        depends=(*RUNTIME, *of_python(python), *_own(framework, version, "cpu_generic")),
        constrains=(f"{framework.name}-cpu {version}", f"{framework.name}-gpu <0.0a0"),
        day=day + 5 * rebuild,
    )


def _gpu(framework: Framework, version: str, python: str, rebuild: int, day: int, line: str) -> Build:
    digits, short = line.replace(".", ""), python.replace(".", "")
    hashed = _hash(framework.name, version, python, rebuild, line)
    old = line.startswith("11.")
    # In CUDA 11 all libraries are one package.
    libraries = (f"cudatoolkit >={line},<12",) if old else tuple(_library(name, line) for name in framework.libraries)
    apart = tuple(name for name in framework.libraries if name in {"cudnn", "nccl"}) if old else ()
    return Build(
        name=framework.name,
        version=version,
        build=f"cuda{digits}_py{short}{hashed}_{200 + rebuild}",
        number=200 + rebuild,
        depends=(
            *("__cuda", *RUNTIME, *_lines(line), *libraries, *apart),
            *(*of_python(python), *_own(framework, version, f"cuda{digits}_generic")),
        ),
        constrains=(f"{framework.name}-gpu {version}", f"{framework.name}-cpu <0.0a0"),
        day=day + 5 * rebuild,
    )


def _own(framework: Framework, version: str, variant: str) -> tuple[str, ...]:
    return tuple(f"libtorch {version} {variant}*" if need == "libtorch" else need for need in framework.depends)


def _libtorch(version: str, day: int, lines: str) -> Iterator[Build]:
    for line in ("", *lines.split()):
        variant = f"cuda{line.replace('.', '')}_generic" if line else "cpu_generic"
        needs = (*RUNTIME, "libblas * *openblas", *(("__cuda", *_lines(line)) if line else ()))
        number = 200 if line else 0
        build = f"{variant}_{_hash('libtorch', version, line)}_{number}"
        yield Build(name="libtorch", version=version, build=build, number=number, depends=needs, day=day)


def _on_top() -> Iterator[Build]:
    for version, day in (("0.4.23", 790), ("0.4.31", 1010), ("0.5.2", 1220), ("0.7.0", 1370)):
        needs = ("python >=3.10", f"jaxlib >={version},<={version}", "ml_dtypes", *MATHS[:2])
        yield Build(name="jax", version=version, build="pyhd8ed1ab_0", depends=needs, subdir="noarch", day=day)
    for place, version in enumerate(("0.2.0", "0.4.0", "0.5.1")):
        for number, python in enumerate(("3.10", "3.11", "3.12", "3.13")):
            build = f"py{python.replace('.', '')}{_hash('ml_dtypes', version, number)}_0"
            bounds = (*RUNTIME, "numpy", *of_python(python))
            yield Build(name="ml_dtypes", version=version, build=build, depends=bounds, day=500 + 300 * place)


def _library(name: str, line: str) -> str:
    major, _, _ = line.partition(".")
    return name if name in {"cudnn", "nccl"} else f"{name} >={line}.37,<{int(major) + 1}.0a0"


def _lines(line: str) -> tuple[str, ...]:
    major, _, _ = line.partition(".")
    return (f"cuda-version >={line},<{int(major) + 1}",)


def of_python(python: str) -> tuple[str, str]:
    """What a package compiled for a Python needs."""
    major, minor = python.split(".")
    return (f"python >={python},<{major}.{int(minor) + 1}.0a0", f"python_abi {python}.* *_cp{major}{minor}")


def _hash(*parts: object) -> str:
    return "h" + hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:7]
