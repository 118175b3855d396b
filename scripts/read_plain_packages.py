"""Writes `src/gpuenv/facts/without_gpu_code.toml`: packages with native code of which none is for a GPU.

    python scripts/read_plain_packages.py [NAME...]

For each name (all of NAMES for none) the newest release's wheel for Linux x86_64 and Python 3.11 is opened, and every
library in it read. A package is listed only when no code for a GPU was found, nothing in it opens a GPU's driver or
libraries, and its requirements name nothing of NVIDIA's. Rows that are there already are read again only by name.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from gpuenv._net import Client
from gpuenv.artifacts.cuda_lines import NVIDIA_PREFIXES
from gpuenv.artifacts.needs import needs_of
from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
from gpuenv.artifacts.wheels import read_wheel
from gpuenv.channels.building.fitting import pick_wheel
from gpuenv.channels.building.indexes import default_index
from gpuenv.channels.index_logins import credentials_for
from gpuenv.channels.simple_index import ListedFile, list_project, version_in_name
from gpuenv.errors import GpuenvError
from gpuenv.model import Reading

OUTPUT = Path(__file__).parent.parent / "src" / "gpuenv" / "facts" / "without_gpu_code.toml"
PLATFORM = "linux-x86_64"
LARGEST_WHEEL_BYTES = 60 * 10**6
BUDGET_BYTES = 10**9

NAMES = [
    "aiohttp",
    "argon2-cffi-bindings",
    "asyncpg",
    "backports-zstd",
    "bcrypt",
    "blake3",
    "blis",
    "bottleneck",
    "brotli",
    "cbor2",
    "cffi",
    "cftime",
    "charset-normalizer",
    "ckzg",
    "contourpy",
    "coverage",
    "crc32c",
    "cryptography",
    "cymem",
    "datrie",
    "debugpy",
    "dm-tree",
    "duckdb",
    "editdistance",
    "fastar",
    "fastparquet",
    "fonttools",
    "frozenlist",
    "gevent",
    "google-crc32c",
    "greenlet",
    "grpcio",
    "h5py",
    "hf-xet",
    "hiredis",
    "httptools",
    "ijson",
    "jiter",
    "kiwisolver",
    "lazy-object-proxy",
    "libclang",
    "librt",
    "llguidance",
    "llvmlite",
    "lxml",
    "lz4",
    "markupsafe",
    "matplotlib",
    "maxminddb",
    "ml-dtypes",
    "mmh3",
    "msgpack",
    "msgspec",
    "multidict",
    "murmurhash",
    "netcdf4",
    "nh3",
    "ninja",
    "numexpr",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "optree",
    "orjson",
    "outlines-core",
    "pandas",
    "pillow",
    "polars",
    "preshed",
    "propcache",
    "protobuf",
    "psutil",
    "psycopg2-binary",
    "pyarrow",
    "pybase64",
    "pycocotools",
    "pycryptodome",
    "pycryptodomex",
    "pydantic-core",
    "pymongo",
    "pynacl",
    "pyproj",
    "pyrsistent",
    "pysam",
    "python-rapidjson",
    "pywavelets",
    "pyyaml",
    "pyzmq",
    "rapidfuzz",
    "rapids-logger",
    "rasterio",
    "regex",
    "rignore",
    "rpds-py",
    "ruamel-yaml-clib",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "sentencepiece",
    "setproctitle",
    "shapely",
    "simplejson",
    "soundfile",
    "soxr",
    "sqlalchemy",
    "srsly",
    "statsmodels",
    "tables",
    "tiktoken",
    "tokenizers",
    "tornado",
    "treelite",
    "ujson",
    "uvloop",
    "wandb",
    "watchdog",
    "watchfiles",
    "wcwidth",
    "websockets",
    "wrapt",
    "xxhash",
    "yarl",
    "z3-solver",
    "zope-interface",
    "zstandard",
    "zstd",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One package that was read: the release, its wheel with sha256, and the day."""

    name: str
    version: str
    wheel: str
    sha256: str
    read: str

    @property
    def text(self) -> str:
        """As it stands in the file."""
        fields = ("version", "wheel", "sha256", "read")
        return "\n".join([f"[{self.name}]", *(f'{field} = "{getattr(self, field)}"' for field in fields)])


def newest_wheel(client: Client, index: str, name: str) -> tuple[Version, ListedFile] | None:
    """The wheel of the newest final release that has one for the platform; None where it has none, as pure Python."""
    releases: dict[Version, list[ListedFile]] = {}
    for file in list_project(client, index, name).files:
        version = version_in_name(file.filename, name)
        if version and file.is_wheel and file.yanked is None and not version.is_prerelease:
            releases.setdefault(version, []).append(file)
    for version in sorted(releases, reverse=True):
        if wheel := pick_wheel(releases[version], PLATFORM):
            return version, wheel
    return None


def objections(reading: Reading) -> list[str]:
    """What keeps a package from being listed."""
    needs = needs_of(reading)
    found = [*reading.problems, *(f"{one.path}: {one.problem}" for one in reading.files if one.problem)]
    found += [f"`{one.path}` has code for a GPU" for one in reading.files if one.code]
    found += ["it computes on a GPU"] if needs.uses_gpu else []
    found += [f"it has code for GPUs of {vendor}" for vendor in needs.other_vendors]
    found += [f"it requires `{name}`" for name in required_names(reading) if name.startswith(NVIDIA_PREFIXES)]
    return found if reading.complete else [*found, "the reading broke off"]


def required_names(reading: Reading) -> list[str]:
    """The packages that it requires without being asked for an extra."""
    names = []
    for line in reading.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if "extra" not in str(requirement.marker or ""):
            names.append(str(canonicalize_name(requirement.name)))
    return names


def read_package(client: Client, index: str, name: str, left_bytes: int) -> tuple[Row | None, int, str]:
    """The row of one package, None with the reason where it gets none; and the bytes that were fetched."""
    found = newest_wheel(client, index, name)
    if found is None:
        return None, 0, f"no wheel for {PLATFORM}"
    version, file = found
    size = file.size_bytes or LARGEST_WHEEL_BYTES
    if size > LARGEST_WHEEL_BYTES or size > left_bytes or not file.sha256:
        return None, 0, f"{file.filename} is left out, with {size / 1e6:.0f} MB"
    login = credentials_for(file.url, indexes=(index,))
    with client.open(file.url, size_bytes=file.size_bytes, name=file.filename, credentials=login) as source:
        reading = read_wheel(source, artifact_of_wheel_name(file.filename))
        fetched = source.fetched_bytes
    if reasons := objections(reading):
        return None, fetched, "; ".join(reasons)
    today = datetime.now(UTC).date().isoformat()
    row = Row(name=name, version=str(version), wheel=file.filename, sha256=file.sha256, read=today)
    return row, fetched, f"{file.filename}: nothing for a GPU in {len(reading.files)} files"


def load_rows() -> dict[str, Row]:
    """The rows that are there, by name."""
    table = tomllib.loads(OUTPUT.read_text("utf-8")) if OUTPUT.is_file() else {}
    return {name: Row(name=name, **fields) for name, fields in table.items()}


def save_rows(rows: dict[str, Row]) -> None:
    """Writes all rows, sorted by name."""
    head = (
        "# Packages with native code that was read and has none for a GPU: the newest release that was opened, with\n"
        "# its wheel for Linux x86_64 and Python 3.11. Made by `scripts/read_plain_packages.py`.\n"
    )
    part = OUTPUT.with_suffix(".part")
    part.write_text("\n\n".join([head.rstrip("\n"), *(rows[name].text for name in sorted(rows))]) + "\n", "utf-8")
    part.replace(OUTPUT)


def main() -> int:
    """Reads, writes, and says what it did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these packages, also those that were read before")
    asked = parser.parse_args().names
    rows = load_rows()
    fetched_bytes = 0
    with Client() as client:
        index = default_index()
        for name in asked or [name for name in NAMES if name not in rows]:
            try:
                row, fetched, said = read_package(client, index, name, BUDGET_BYTES - fetched_bytes)
            except GpuenvError as error:
                row, fetched, said = None, 0, str(error)
            fetched_bytes += fetched
            print(f"{fetched_bytes / 1e6:6.0f} MB {name}: {said}", flush=True)
            rows.pop(name, None)
            if row:
                rows[name] = row
            save_rows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
