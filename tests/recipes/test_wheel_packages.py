"""Wheels as conda packages: what they say of themselves, and that they install, import and are what they say."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from artifacts.range_server import RangeServer
from audits.gpu_packages import audit, gpu_library, rules
from gpuenv.errors import GpuenvError, IntegrityError, RequestError
from gpuenv.model import BuiltKind, WheelReport
from gpuenv.recipes.indexing import index_channel
from gpuenv.recipes.wheel import package_wheel
from little_channel import python_package, write_package
from recipes.little_wheels import LittleWheel, compile_extension

SHORT = f"{sys.version_info.major}.{sys.version_info.minor}"
DIGITS = SHORT.replace(".", "")
CP = f"cp{DIGITS}-cp{DIGITS}"
MODULE = b'def main():\n    print("toy runs")\n    return 0\n'
IMAGES = ("sm_80", "sm_90", "compute_90/ptx8.4")


def packaged(wheel: LittleWheel | Path, folder: Path, **options: Any) -> WheelReport:
    """The package of a wheel, in the channel below `folder`."""
    path = wheel if isinstance(wheel, Path) else wheel.write(folder / "wheels")
    return package_wheel(str(path), folder / "channel", **{"cache": False, **options})


def info_of(package: Path, folder: Path) -> dict[str, Any]:
    """`info/` of a package, its JSON documents decoded."""
    from conda_package_streaming.extract import extract

    target = folder / f"x-{package.stem}"
    shutil.rmtree(target, ignore_errors=True)
    extract(str(package), str(target))
    found: dict[str, Any] = {}
    for path in (target / "info").rglob("*"):
        if path.is_file():
            text = path.read_text()
            found[str(path.relative_to(target / "info"))] = json.loads(text) if path.suffix == ".json" else text
    return found


def installed(folder: Path, *files: str) -> Path:
    """A prefix with these packages of the channel below `folder`, installed by rattler beside a Python that runs."""
    from rattler import RepoDataRecord, install

    python = write_package(python_package(real=True), folder / "python")
    archives = [python, *(folder / "channel" / file for file in files)]
    prefix = folder / "prefix"

    async def into_prefix() -> None:
        records = [await RepoDataRecord.from_package_archive(archive) for archive in archives]
        await install(records, target_prefix=prefix, cache_dir=folder / "cache", show_progress=False)

    asyncio.run(into_prefix())
    return prefix


def run(prefix: Path, *command: str) -> str:
    """What a command of the prefix prints."""
    program = [str(prefix / "bin" / command[0]), *command[1:]]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip()


def check_record(prefix: Path, info: str) -> set[str]:
    """Each line of the RECORD is of a file that is there, with its hash and size; gives the paths."""
    site = prefix / "lib" / f"python{SHORT}" / "site-packages"
    paths = set()
    for path, digest, size in csv.reader((site / info / "RECORD").read_text().splitlines()):
        content = (site / path).read_bytes()
        if digest:
            found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert digest == f"sha256={found}"
            assert size == str(len(content))
        paths.add(path)
    return paths


PURE = LittleWheel(
    files={
        "toy/__init__.py": MODULE,
        "toy-1.0.data/scripts/toy-script": b"#!python -s\nimport toy\ntoy.main()\n",
        "toy-1.0.data/data/share/toy/toy.txt": b"data\n",
        "toy-1.0.dist-info/licenses/LICENSE.txt": b"Do as you like.\n",
    },
    requires=("numpy>=1.20,<2", "torch ~=2.1", 'pytest; extra == "test"', "colorama; sys_platform == 'win32'"),
    requires_python=">=3.9",
    headers=("License-Expression: MIT", "Project-URL: Homepage, https://toy.invalid"),
    entry_points="[console_scripts]\ntoy = toy:main\n",
)


def test_a_pure_wheel_is_for_any_python(tmp_path: Path) -> None:
    """`noarch: python`, its commands in `link.json`, requirements in conda's words, and notes on what was dropped."""
    report = packaged(PURE, tmp_path, platform="linux-x86_64")
    assert report.package.file == "noarch/toy-1.0-py_0.conda"
    assert report.package.depends == ("python >=3.9", "numpy >=1.20,<2", "pytorch >=2.1,2.*")
    assert report.package.kind is BuiltKind.PLAIN
    assert any("`torch` is the conda package `pytorch`" in note for note in report.notes)
    assert any("colorama" in note for note in report.notes)
    assert not any("pytest" in note for note in report.notes)
    info = info_of(tmp_path / "channel" / report.package.file, tmp_path)
    assert info["index.json"] == {
        "arch": None,
        "build": "py_0",
        "build_number": 0,
        "depends": list(report.package.depends),
        "license": "MIT",
        "name": "toy",
        "noarch": "python",
        "platform": None,
        "subdir": "noarch",
        "timestamp": 1791194400000,
        "version": "1.0",
    }
    assert info["link.json"]["noarch"] == {"type": "python", "entry_points": ["toy = toy:main"]}
    assert info["about.json"]["summary"] == "A toy"
    assert info["licenses/LICENSE.txt"] == "Do as you like.\n"
    paths = {entry["_path"]: entry for entry in info["paths.json"]["paths"]}
    assert info["files"].splitlines() == sorted(paths)
    assert {"site-packages/toy/__init__.py", "python-scripts/toy-script", "share/toy/toy.txt"} <= paths.keys()
    assert paths["python-scripts/toy-script"]["file_mode"] == "text"
    assert paths["site-packages/toy/__init__.py"]["sha256"] == hashlib.sha256(MODULE).hexdigest()


def test_a_pure_wheel_installs_and_runs(tmp_path: Path) -> None:
    """Rattler installs it; it imports, its command and its script run, its metadata and RECORD are true."""
    report = packaged(PURE, tmp_path)
    prefix = installed(tmp_path, report.package.file)
    assert run(prefix, "toy") == "toy runs"
    assert run(prefix, "toy-script") == "toy runs"
    code = "import toy, importlib.metadata as m; print(m.version('toy'), m.distribution('toy').read_text('INSTALLER'))"
    assert run(prefix, "python", "-c", code) == "1.0 conda"
    code = "import importlib.metadata as m; print(all(f.locate().exists() for f in m.files('toy')))"
    assert run(prefix, "python", "-c", code) == "True"
    assert "../../../bin/toy-script" in check_record(prefix, PURE.info)
    assert (prefix / "share" / "toy" / "toy.txt").read_text() == "data\n"


@pytest.mark.skipif(platform.system() != "Linux", reason="makes a wheel for Linux")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler")
def test_a_native_wheel_installs_and_runs(tmp_path: Path) -> None:
    """An extension module goes to the `site-packages` of its Python, and asks for that Python's ABI and its glibc."""
    built = compile_extension(tmp_path)
    if built is None:
        pytest.skip("needs the headers of Python")
    machine = platform.machine()
    wheel = LittleWheel(
        tag=f"{CP}-manylinux_2_17_{machine}",
        files={"_toy.so": built, "toy.py": b"import _toy\ndef main():\n    print(_toy.answer())\n"},
        entry_points="[console_scripts]\ntoy=toy:main\n[gui_scripts]\ntoyw = toy:main [extra]\n",
        executable=frozenset({"_toy.so"}),
    )
    report = packaged(wheel, tmp_path)
    subdir = "linux-64" if machine == "x86_64" else f"linux-{machine}"
    assert report.package.file == f"{subdir}/toy-1.0-py{DIGITS}_0.conda"
    minor = sys.version_info.minor
    assert report.package.depends[:2] == (f"python >={SHORT},<3.{minor + 1}.0a0", f"python_abi {SHORT}.* *_cp{DIGITS}")
    assert report.package.depends[2].startswith("__glibc >=2.")
    package = tmp_path / "channel" / report.package.file
    info = info_of(package, tmp_path)
    assert "link.json" not in info
    assert info["index.json"]["platform"] == "linux"
    assert "/opt/anaconda1anaconda2anaconda3 text bin/toy\n" in info["has_prefix"]
    prefix = installed(tmp_path, report.package.file)
    assert run(prefix, "toy") == "42"
    assert run(prefix, "toyw") == "42"
    assert run(prefix, "python", "-c", "import importlib.metadata as m; print(m.version('toy'))") == "1.0"
    assert {"../../../bin/toy", "_toy.so", "toy-1.0.dist-info/RECORD"} <= check_record(prefix, wheel.info)


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        (
            LittleWheel(tag="cp312-cp312-manylinux_2_28_x86_64", files={"toy.so": gpu_library(*IMAGES)}),
            [
                "python >=3.12,<3.13.0a0",
                "python_abi 3.12.* *_cp312",
                "__glibc >=2.28",
                "__cuda >=12",
                "__cuda_arch >=8.0",
            ],
        ),
        (
            LittleWheel(
                tag="py3-none-manylinux_2_27_x86_64",
                files={"toy/toy.so": gpu_library("sm_80", needed=("libcudart.so.12",))},
                requires=("nvidia-cuda-runtime-cu12==12.6.77",),
            ),
            [
                *("python >=3.11,<3.12.0a0", "nvidia-cuda-runtime-cu12 ==12.6.77", "__glibc >=2.27"),
                *("__cuda >=12", "__cuda_arch >=8.0,<9.0"),
            ],
        ),
        (
            LittleWheel(tag="cp38-abi3-win_amd64", files={"toy/toy.py": b""}, requires_python=">=3.8,!=3.11.1"),
            ["python >=3.8,!=3.11.1"],
        ),
        (
            LittleWheel(tag="cp310-abi3-macosx_11_0_arm64", files={"toy/toy.py": b""}, requires_python=">=3.8,<4"),
            ["python >=3.10,<4", "__osx >=11.0"],
        ),
        (
            LittleWheel(tag="cp311-cp311-macosx_10_9_x86_64.macosx_11_0_arm64", files={"toy/toy.py": b""}),
            ["python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "__osx >=10.9"],
        ),
    ],
)
def test_what_native_wheels_ask_for(tmp_path: Path, wheel: LittleWheel, expected: list[str]) -> None:
    """Python and ABI by the tags, the C library by tag and symbols, driver and GPUs by the code inside."""
    python = None if wheel.tag.startswith("cp312") else "3.11"
    platform = "macos-x86_64" if "macosx_10_9" in wheel.tag else None
    assert list(packaged(wheel, tmp_path, python=python, platform=platform).package.depends) == expected


@pytest.mark.skipif(platform.system() != "Linux", reason="makes a wheel for Linux")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a compiler")
def test_a_wheel_of_the_stable_abi_is_for_all_later_pythons(tmp_path: Path) -> None:
    """It is `noarch: python` in the directory of its platform (CEP 20), is indexed there, installs and runs."""
    built = compile_extension(tmp_path)
    if built is None:
        pytest.skip("needs the headers of Python")
    machine = platform.machine()
    wheel = LittleWheel(
        tag=f"cp38-abi3-manylinux_2_17_{machine}",
        files={"_toy.abi3.so": built, "toy.py": b"import _toy\ndef main():\n    print(_toy.answer())\n"},
        entry_points="[console_scripts]\ntoy=toy:main\n",
    )
    report = packaged(wheel, tmp_path)
    subdir = "linux-64" if machine == "x86_64" else f"linux-{machine}"
    assert report.package.file == f"{subdir}/toy-1.0-cp38_abi3_0.conda"
    info = info_of(tmp_path / "channel" / report.package.file, tmp_path)
    assert (info["index.json"]["noarch"], info["index.json"]["subdir"]) == ("python", subdir)
    assert info["link.json"]["noarch"] == {"type": "python", "entry_points": ["toy = toy:main"]}
    indexed = index_channel(tmp_path / "channel")
    assert indexed.problems == ()
    assert {one.subdir: one.packages for one in indexed.subdirs} == {subdir: 1, "noarch": 0}
    assert rules(audit(tmp_path / "channel")) == []
    prefix = installed(tmp_path, report.package.file)
    assert run(prefix, "toy") == "42"
    assert "_toy.abi3.so" in check_record(prefix, wheel.info)


def test_names_keep_their_spelling(tmp_path: Path) -> None:
    """Conda tells dots, `-` and `_` apart, so they stay, in lower case; requirements on one package are one."""
    wheel = LittleWheel(
        name="Zope.Toy_x",
        requires=("Zope.Interface>=5", "zope-interface<8", "ruamel.yaml", "typing_extensions", "flash_attn"),
        files={"toy.py": b""},
    )
    package = packaged(wheel, tmp_path, platform="linux-x86_64").package
    assert package.file == "noarch/zope.toy_x-1.0-py_0.conda"
    assert package.depends[1:] == ("flash-attn", "ruamel.yaml", "typing_extensions", "zope.interface >=5,<8")


def test_the_cuda_of_a_wheel_is_in_its_build_string(tmp_path: Path) -> None:
    """`cuda126_py311_0` for what is pinned to 12.6, `cuda124_…` by its PTX; bounds may go into `constrains`."""
    files = {"toy/toy.so": gpu_library(*IMAGES)}
    tag = "py3-none-manylinux_2_28_x86_64"
    pinned = LittleWheel(tag=tag, files=files, requires=("nvidia-cuda-runtime-cu12==12.6.77",))
    report = packaged(pinned, tmp_path / "a", python="3.11")
    assert report.package.build == "cuda126_py311_0"
    assert report.package.kind is BuiltKind.GPU
    assert report.package.runs_on == (">=8.0",)
    report = packaged(
        LittleWheel(tag=tag, files=files), tmp_path / "b", python="3.11", number=7, soft_architectures=True
    )
    assert report.package.build == "cuda124_py311_7"
    assert report.package.constrains == ("__cuda_arch >=8.0",)
    assert "__cuda >=12" in report.package.depends
    # The audit, which reads the package alone, has nothing to say.
    assert rules(audit(tmp_path / "b" / "channel" / report.package.file)) == []


def test_requirements_that_differ_by_python(tmp_path: Path) -> None:
    """A pure wheel whose markers tell Pythons apart becomes a package for one."""
    wheel = LittleWheel(
        requires=("tomli; python_version < '3.11'", "numpy"), requires_python=">=3.9", files={"toy.py": b""}
    )
    newer = packaged(wheel, tmp_path, python="3.12").package
    assert (newer.file, newer.depends) == ("noarch/toy-1.0-py312_0.conda", ("python >=3.12,<3.13.0a0", "numpy"))
    older = packaged(wheel, tmp_path, python="3.10").package
    assert older.depends == ("python >=3.10,<3.11.0a0", "numpy", "tomli")
    never = LittleWheel(requires=("tomli; python_version < '3.8'",), requires_python=">=3.9", files={"toy.py": b""})
    assert packaged(never, tmp_path / "never").package.depends == ("python >=3.9",)


def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whenever and wherever it is made; a second time it is told that it was there."""
    path = PURE.write(tmp_path / "wheels")
    first = packaged(path, tmp_path / "a")
    second = packaged(path, tmp_path / "b")
    assert first.package.sha256 == second.package.sha256
    assert not second.replaced
    assert packaged(path, tmp_path / "b").replaced


def test_a_wheel_by_address_and_its_hash(tmp_path: Path) -> None:
    """It is fetched whole; another hash than was promised is refused, and nothing is left behind."""
    path = PURE.write(tmp_path / "wheels")
    with RangeServer({path.name: path.read_bytes()}) as server:
        address = server.address(path.name)
        report = package_wheel(address, tmp_path / "channel", cache=False)
        assert report.wheel_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        with pytest.raises(IntegrityError, match="not what the index promised"):
            package_wheel(f"{address}#sha256={'0' * 64}", tmp_path / "other", cache=False)
    assert not (tmp_path / "other").exists()


def test_a_name_is_asked_of_the_users_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name, with a version or without, is found where `UV_FIND_LINKS` and the indexes say."""
    for version in ("1.0", "2.0"):
        LittleWheel(name="little_toy_of_tests", version=version, files={"little.py": b""}).write(tmp_path / "links")
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "links").as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    newest = package_wheel("little-toy-of-tests", tmp_path / "channel", cache=False, offline=True)
    assert newest.package.file == "noarch/little_toy_of_tests-2.0-py_0.conda"
    older = package_wheel("little-toy-of-tests", tmp_path / "channel", release="1.0", cache=False, offline=True)
    assert older.package.version == "1.0"


@pytest.mark.parametrize(
    ("tag", "options", "said"),
    [
        ("cp310-cp310-manylinux_2_17_x86_64", {"python": "3.12"}, "does not fit"),
        ("cp311-cp311-manylinux_2_17_x86_64", {"platform": "windows-x86_64"}, "does not fit"),
        ("cp311-cp311-musllinux_1_2_x86_64", {}, "does not fit"),
        ("cp311-cp311-manylinux_2_17_x86_64", {"release": "1.0"}, "a version is for the name"),
    ],
)
def test_wheels_that_do_not_fit(tmp_path: Path, tag: str, options: dict[str, Any], said: str) -> None:
    """Another Python or platform, musl, and a version for a file are refused with what to do."""
    with pytest.raises(RequestError, match=said):
        packaged(LittleWheel(tag=tag, files={"toy.py": b""}), tmp_path, **options)


def test_no_wheel_at_all(tmp_path: Path) -> None:
    """A missing file, a source distribution and a bad name are refused."""
    sdist = tmp_path / "toy-1.0.tar.gz"
    sdist.write_bytes(b"")
    for word in (str(tmp_path / "none-1.0-py3-none-any.whl"), str(sdist)):
        with pytest.raises(GpuenvError):
            package_wheel(word, tmp_path / "channel", cache=False)
