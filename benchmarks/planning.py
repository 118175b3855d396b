"""What a plan costs above `uv`'s own resolve of the same set: `python benchmarks/planning.py`.

For each request gpuenv plans once; then `uv pip compile` is timed on exactly the requirements that the plan gave it,
in turns with `gpuenv plan`, with the same warm cache. Both ask the package index.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from measuring import BIN, Measured, heading, measure, show

from gpuenv.model import Plan, from_json

RUNS = 5
REQUESTS = (
    ("gpu=V100,driver=580.65.06", ("pytorch",)),
    ("gpu=A100,driver=535.129.03", ("tensorflow-gpu", "cupy", "pytorch")),
    ("gpu=H100,driver=580.65.06", ("jax", "pytorch", "numba", "py-xgboost")),
)


def main() -> None:
    """Measure and print."""
    heading("Planning, above uv's own resolve")
    for machine, specs in REQUESTS:
        command = [str(BIN / "gpuenv"), "plan", *specs, "--machine", machine]
        text = subprocess.run([*command, "--json"], check=True, capture_output=True).stdout
        plan = from_json(text, Plan)
        with tempfile.TemporaryDirectory() as scratch:
            inputs = Path(scratch, "requirements.in")
            inputs.write_text("\n".join(one for package in plan.packages for one in package.requirements))
            ours, theirs = _in_turns(command, _uv(inputs, plan.python))
        print(f"{' '.join(specs)}  for  {machine}  ({len(plan.wheels)} wheels)")
        show("  uv pip compile", theirs)
        show("  gpuenv plan", ours)
        print(f"  gpuenv adds {ours.median - theirs.median:.3f} s\n")


def _uv(inputs: Path, python: str) -> list[str]:
    fixed = [
        "--python-platform",
        "x86_64-manylinux_2_28",
        "--only-binary",
        ":all:",
        "--format",
        "pylock.toml",
        "--no-config",
    ]
    return [str(BIN / "uv"), "pip", "compile", str(inputs), "--python-version", python, *fixed]


def _in_turns(first: list[str], second: list[str]) -> tuple[Measured, Measured]:
    """Both commands, each `RUNS` times, by turns, so that a slow moment of the index meets both."""
    rounds = [(measure(first, runs=1), measure(second, runs=1)) for _ in range(RUNS)]
    return _join([one for one, _ in rounds]), _join([two for _, two in rounds])


def _join(parts: list[Measured]) -> Measured:
    medians = sorted(part.median for part in parts)
    return Measured(median=medians[len(medians) // 2], least=medians[0], peak_mib=max(part.peak_mib for part in parts))


if __name__ == "__main__":
    main()
