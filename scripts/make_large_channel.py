"""Writes a large made-up channel, of conda-forge's shape: `python scripts/make_large_channel.py OUT`.

The same seed gives the same bytes. What it has of a real channel: names with very unequal numbers of builds, versions
over four years, one build for each Python, libraries whose bounds follow the version of their day, `noarch` packages,
archives of both endings, and GPU packages with CPU and CUDA builds (`large_channel_gpu.py`). What it makes easier: the
newest builds of all packages fit each other, but for one leaf in fifty that nobody has built for long. Nothing here has
a file behind it.
"""

from __future__ import annotations

import argparse
import bisect
import json
import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from backports import zstd
from large_channel_gpu import Build, gpu_builds, of_python

LAST_DAY = 1460
"""The day of the newest builds, counted from `FIRST_SECOND`."""
FIRST_SECOND = 1_636_000_000
"""November 2021, in seconds since 1970."""
FIRST_CONDA_DAY = 380
"""Before this day packages end in `.tar.bz2`."""
PYTHONS = (("3.12", 700), ("3.11", 360), ("3.13", 1080), ("3.10", 0))
"""Minor versions of Python and the day from which packages are built for them."""
FOUNDATION = 300
"""How many names only have few dependencies, and are what most others end at."""
KNOWN = ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib-base", "pillow", "requests", "jinja2", "pyyaml")
SYLLABLES = re.findall(
    "[a-z]+", "ba co di fa gu ha in jo ka lo me nu or pa qui ra se ti ul va we xy zo er an th ing sta pro net data"
)
LICENSES = (("MIT", "MIT"), ("BSD-3-Clause", "BSD"), ("Apache-2.0", "Apache"), ("GPL-3.0-or-later", "GPL"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One name of the channel: what kind it is, how many builds it has, its versions by day, and what it needs."""

    name: str
    kind: str
    """`library` (compiled, no Python), `extension` (compiled for each Python) or `pure` (`noarch: python`)."""
    count: int
    left: bool
    """Not built any more since before the last changes of its libraries."""
    days: tuple[int, ...]
    versions: tuple[tuple[int, int, int], ...]
    needs: tuple[int, ...]
    once: tuple[int, ...]
    """What only its older versions need."""

    def at(self, day: int) -> tuple[int, int, int]:
        """The newest version of that day."""
        return self.versions[max(0, bisect.bisect_right(self.days, day) - 1)]


def main() -> None:
    """Write the channel into the directory that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--names", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    written = write_channel(given.out, records=given.records, names=given.names, seed=given.seed)
    print(f"{given.out}: {written} records")


def write_channel(out: Path, *, records: int, names: int, seed: int) -> int:
    """Write `linux-64` and `noarch` with `repodata.json` and `repodata.json.zst`; gives the number of records."""
    special: dict[str, list[Build]] = {}
    for build in gpu_builds(dict(PYTHONS)):
        special.setdefault(build.name, []).append(build)
    fixed = sum(map(len, special.values()))
    world = made_names(random.Random(seed), records - fixed, names - len(special), taken=set(special))
    by_name = {one.name: one for one in world}
    written = 0
    with tempfile.TemporaryDirectory() as scratch:
        parts = Parts(Path(scratch))
        # A name's files sort before those of names that go on with `-x`: the order of a real channel's keys.
        for name in sorted([*by_name, *special], key=lambda text: f"{text}-"):
            stream = random.Random(f"{seed} {name}")
            builds = iter(special[name]) if name in special else builds_of(by_name[name], world, stream)
            for line_key, build in sorted((build.file_name, build) for build in builds):
                parts.add(line_key, build, stream)
                written += 1
        parts.join(out)
    return written


def made_names(stream: random.Random, records: int, names: int, *, taken: set[str]) -> list[Name]:
    """The names with all but the text of their builds; each needs only ones that come before it."""
    world: list[Name] = []
    by_kind: dict[str, list[int]] = {"library": [], "extension": [], "pure": []}
    words, counts = _words(stream, names, taken), _counts(stream, records, names)
    for number, (name, count) in enumerate(zip(words, counts, strict=True)):
        kind = _kind(stream, number, count, name)
        left = number > names // 2 and stream.random() < 0.02
        days, versions = _history(stream, kind, count, last=500 if left else LAST_DAY, steady=name in KNOWN)
        by_kind[kind].append(number)
        needs = _needs(stream, number, kind, by_kind)
        once = _needs(stream, number, kind, by_kind)[:3] if number >= FOUNDATION else ()
        world.append(
            Name(name=name, kind=kind, count=count, left=left, days=days, versions=versions, needs=needs, once=once)
        )
    return world


def builds_of(one: Name, world: list[Name], stream: random.Random) -> Iterator[Build]:
    """Its builds, newest version first, as many as it has."""
    remaining = one.count
    newest = len(one.days) - 1
    for place in range(newest, -1, -1):
        day = one.days[place]
        version = _text(one.versions[place])
        # The newest version of what is cared for is rebuilt whenever a library moves.
        pinned = LAST_DAY if place == newest and not one.left else day
        wanted = [python for python, since in PYTHONS if since <= pinned] if one.kind == "extension" else [""]
        for number in range(_rebuilds(one, place)):
            for python in wanted:
                if not remaining:
                    return
                remaining -= 1
                yield _build(one, world, stream, version=version, number=number, day=day, pinned=pinned, python=python)


def _build(
    one: Name,
    world: list[Name],
    stream: random.Random,
    *,
    version: str,
    number: int,
    day: int,
    pinned: int,
    python: str,
) -> Build:
    short = python.replace(".", "")
    hashed = f"h{stream.getrandbits(28):07x}"
    build = {"library": hashed, "extension": f"py{short}{hashed}", "pure": "pyhd8ed1ab"}[one.kind]
    needs = dict.fromkeys((*one.needs, *(one.once if pinned < LAST_DAY // 2 else ())))
    depends = [_bound(world[place], pinned, stream) for place in needs]
    if one.kind != "pure":
        depends += ["__glibc >=2.17,<3.0.a0", "libgcc >=13", "libstdcxx >=13"]
    if python:
        depends += of_python(python)
    elif one.kind == "pure":
        depends.append("python >=3.9" if day > 700 else "python >=3.7")
    return Build(
        name=one.name,
        version=version,
        build=f"{build}_{number}",
        number=number,
        depends=tuple(sorted(depends)),
        constrains=(f"{world[one.needs[0]].name} >=0.0.1",) if one.needs and stream.random() < 0.03 else (),
        subdir="noarch" if one.kind == "pure" else "linux-64",
        day=day + min(number * 9, 60),
    )


def _bound(need: Name, day: int, stream: random.Random) -> str:
    major, minor, _ = version = need.at(day)
    if need.kind == "library":
        return f"{need.name} >={_text(version)},<{major + 1}.0a0"
    chance = stream.random()
    if chance < 0.6:
        return need.name
    lower = f"{need.name} >={need.at(day - stream.randrange(700))[0]}.0"
    return lower if chance < 0.95 else f"{need.name} >={major}.{minor},<{major + 1}"


def _words(stream: random.Random, names: int, taken: set[str]) -> Iterator[str]:
    seen, known = {*taken, *KNOWN}, {place: name for name, place in _known_places(names).items()}
    for number in range(names):
        name = known.get(number, "")
        while not name or (name in seen and number not in known):
            name = "".join(stream.choices(SYLLABLES, k=stream.randint(2, 4)))
            if stream.random() < 0.3:
                name += "-" + "".join(stream.choices(SYLLABLES, k=2))
        seen.add(name)
        yield name


def _known_places(names: int) -> dict[str, int]:
    # Behind the foundation, so that they need much, and apart from each other.
    step = min(FOUNDATION // 2, names // (len(KNOWN) + 2))
    return {name: step * (place + 2) for place, name in enumerate(KNOWN)}


def _counts(stream: random.Random, records: int, names: int) -> list[int]:
    known = set(_known_places(names).values())
    weights = [
        (number + 30) ** -0.6 * (6 if number in known else stream.choice((0.3, 0.6, 1.0, 1.0, 1.7, 2.5)))
        for number in range(names)
    ]
    share = records / sum(weights)
    counts = [max(1, int(weight * share)) for weight in weights]
    # What rounding took or gave is spread over the largest, whose numbers it hardly changes.
    wrong, large = records - sum(counts), sorted(range(names), key=lambda place: -counts[place])[: names // 20 + 1]
    for turn, place in enumerate(large):
        counts[place] = max(1, counts[place] + wrong // len(large) + (turn < wrong % len(large)))
    return counts


def _kind(stream: random.Random, number: int, count: int, name: str) -> str:
    if name in KNOWN:
        return "pure" if name in {"requests", "jinja2"} else "extension"
    if number < FOUNDATION // 2:
        return "library"
    return stream.choice(("library", "extension", "extension", "pure") if count > 12 else ("pure", "pure", "library"))


def _history(
    stream: random.Random, kind: str, count: int, *, last: int, steady: bool
) -> tuple[tuple[int, ...], tuple[tuple[int, int, int], ...]]:
    per_version = {"library": 2, "extension": 6, "pure": 1}[kind]
    number = max(1, -(-count // per_version))
    days = sorted(stream.randrange(last - 30) for _ in range(number))
    # The known names keep their first number, since what needs them in a real catalog has bounds on it.
    version = (1, 20, 0) if steady else (stream.randrange(3), stream.randrange(10), 0)
    versions = []
    for _ in days:
        versions.append(version)
        major, minor, patch = version
        if stream.random() * number < 4 and not steady:
            version = (major + 1, 0, 0)
        else:
            version = (major, minor + 1, 0) if stream.random() < 0.5 else (major, minor, patch + 1)
    return tuple(days), tuple(versions)


def _needs(stream: random.Random, number: int, kind: str, by_kind: dict[str, list[int]]) -> tuple[int, ...]:
    wanted = stream.randint(0, 3) if number < FOUNDATION else stream.randint(2, 8)
    found: set[int] = set()
    for _ in range(wanted):
        if kind == "library" or (kind == "extension" and stream.random() < 0.4):
            earlier = by_kind["library"]
        else:
            earlier = by_kind["pure" if stream.random() < 0.6 else "extension"]
        place = int(len(earlier) * stream.random() ** 2.2)
        if earlier and earlier[place] != number:
            found.add(earlier[place])
    return tuple(sorted(found))


def _rebuilds(one: Name, place: int) -> int:
    if one.kind == "pure":
        return 1
    # Old versions take up what is left of the number of builds.
    return 1 + (place * 7 + one.count) % 3 if place else one.count


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))


class Parts:
    """The sections of each subdir, written as they come, and put together at the end."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._streams: dict[tuple[str, str], IO[str]] = {}

    def add(self, key: str, build: Build, stream: random.Random) -> None:
        """Write one record into its section."""
        section = "packages.conda" if key.endswith(".conda") else "packages"
        place = (build.subdir, section)
        opened = self._streams.get(place)
        if opened is None:
            opened = self._streams[place] = (self._scratch / "-".join(place)).open("w", encoding="ascii")
        else:
            opened.write(",\n")
        opened.write(f'"{key}":{record_text(build, stream)}')

    def join(self, out: Path) -> None:
        """Write `repodata.json` and `repodata.json.zst` of both subdirs."""
        for opened in self._streams.values():
            opened.close()
        for subdir in ("linux-64", "noarch"):
            folder = out / subdir
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / "repodata.json"
            with target.open("wb") as whole:
                whole.write(b'{\n  "info": {"subdir": "%s"},\n' % subdir.encode())
                for section in ("packages", "packages.conda"):
                    whole.write(b'  "%s": {\n' % section.encode())
                    part = self._scratch / f"{subdir}-{section}"
                    if part.exists():
                        with part.open("rb") as stream:
                            shutil.copyfileobj(stream, whole, 1 << 20)
                    whole.write(b"\n  },\n")
                whole.write(b'  "removed": [],\n  "repodata_version": 1\n}\n')
            with target.open("rb") as whole, zstd.open(folder / "repodata.json.zst", "wb", level=3) as packed:
                shutil.copyfileobj(whole, packed, 1 << 20)


def record_text(build: Build, stream: random.Random) -> str:
    """The record as it stands in `repodata.json`."""
    license_name, family = LICENSES[len(build.name) % len(LICENSES)]
    constrains = f'"constrains":{_list(build.constrains)},' if build.constrains else ""
    noarch = f'"noarch":"{build.noarch}",' if build.noarch else ""
    features = f'"track_features":"{build.track_features}",' if build.track_features else ""
    return (
        f'{{"build":"{build.build}","build_number":{build.number},{constrains}"depends":{_list(build.depends)},'
        f'"license":"{license_name}","license_family":"{family}","md5":"{stream.getrandbits(128):032x}",'
        f'"name":"{build.name}",{noarch}"sha256":"{stream.getrandbits(256):064x}",'
        f'"size":{stream.randrange(5_000, 9_000_000)},"subdir":"{build.subdir}",'
        f'"timestamp":{(FIRST_SECOND + build.day * 86_400) * 1000 + stream.randrange(86_400_000)},{features}'
        f'"version":"{build.version}"}}'
    )


def _list(texts: tuple[str, ...]) -> str:
    return json.dumps(texts, separators=(",", ":"))


if __name__ == "__main__":
    main()
