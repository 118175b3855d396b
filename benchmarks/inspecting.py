"""Looking into packages on the index, against getting, unpacking and listing them:
`python benchmarks/inspecting.py NAME==VERSION...`.

The alternative is `uv pip install` of the one wheel into an empty directory, then `cuobjdump` on each library in it
(from the package `nvidia-cuda-cuobjdump`, on PATH). Both find the same images, or the differences are printed.
`cuobjdump` 13 prints nothing for files of old images only, and drops the `f` of family-specific machine code.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import BIN, heading, measure, show

_IMAGE = re.compile(r"\.(sm_\d+[af]?)\.(cubin|ptx)$", re.MULTILINE)
_LIBRARY = re.compile(r".+\.(so(\.\d+)*|pyd|dll)", re.IGNORECASE)
Images = dict[str, tuple[set[str], set[str]]]


def main() -> None:
    """Measure and print."""
    if not sys.argv[1:]:
        sys.exit("name packages, such as `cupy-cuda12x==14.2.0`")
    heading("Looking into packages on the index")
    for requirement in sys.argv[1:]:
        print(requirement)
        command = [str(BIN / "gpuenv"), "inspect", requirement, "--no-cache", "--json"]
        show("  gpuenv inspect", measure(command, runs=1))
        ours = _ours(command)
        if shutil.which("cuobjdump"):
            _compare(ours, _theirs(requirement))
        print()


def _ours(command: list[str]) -> Images:
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    (inspection,) = answer["artifacts"]
    print(
        f"  fetched {inspection['fetched_bytes'] / 1e6:.1f} MB of {inspection['artifact']['size_bytes'] / 1e6:.1f} MB"
    )
    return {
        one["path"].rpartition("/")[2]: (
            {image.replace("f", "") for image in one["sass"]},
            {image.partition("/")[0].replace("compute", "sm") for image in one["ptx"]},
        )
        for one in inspection["libraries"]
    }


def _theirs(requirement: str) -> Images:
    found: Images = {}
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        options = ["--no-deps", "--no-cache", "--quiet", "--target", place, "--python", sys.executable]
        subprocess.run([str(BIN / "uv"), "pip", "install", *options, requirement], check=True)
        fetched = time.perf_counter()
        for path in sorted(Path(place).rglob("*")):
            if path.is_file() and _LIBRARY.fullmatch(path.name):
                listed = _list(path)
                if any(listed):
                    found[path.name] = listed
        ended = time.perf_counter()
    print(f"  uv pip install (download, unpack)             {fetched - started:8.3f} s")
    print(f"  cuobjdump on each library                     {ended - fetched:8.3f} s")
    print(f"  together                                      {ended - started:8.3f} s")
    return found


def _list(path: Path) -> tuple[set[str], set[str]]:
    said = subprocess.run(
        ["cuobjdump", "--list-elf", "--list-ptx", str(path)], capture_output=True, text=True, check=False
    ).stdout
    images = set(_IMAGE.findall(said))
    return {name for name, kind in images if kind == "cubin"}, {name for name, kind in images if kind == "ptx"}


def _compare(ours: Images, theirs: Images) -> None:
    differ = False
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            differ = True
            print(f"  {name} differs: gpuenv {_words(ours.get(name))}; cuobjdump {_words(theirs.get(name))}")
    if not differ:
        print(f"  the same images in {len(ours)} libraries")


def _words(images: tuple[set[str], set[str]] | None) -> str:
    return "finds none" if images is None else f"SASS {sorted(images[0])} PTX {sorted(images[1])}"


if __name__ == "__main__":
    main()
