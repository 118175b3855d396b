"""What a plan costs above `uv`'s own resolve of the same set: `python benchmarks/planning.py`.

For each request gpuenv plans once, and what it asks of `uv` is written down: requirements, constraints, options. Then
`gpuenv plan` and that same `uv` command alone are timed by turns, with the same warm cache. Both ask the package index.
Then ten machines in one plan beside one of them, and a plan that has to look into a large wheel that no catalog knows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from measuring import BIN, Measured, heading, measure, show

import gpuenv
from gpuenv._process import Completed
from gpuenv.channels import uv
from gpuenv.plans import wheels

RUNS = 7
REQUESTS = (
    ("gpu=V100,driver=580.65.06", ("pytorch",)),
    ("gpu=A100,driver=535.129.03", ("tensorflow-gpu", "cupy", "pytorch")),
    ("gpu=H100,driver=580.65.06", ("jax", "pytorch", "numba", "py-xgboost")),
)
TEN = (
    *(
        "gpu=V100,driver=580.65.06",
        "gpu=B200,driver=580.65.06",
        "gpu=T4,driver=570.133.07",
        "gpu=H100,driver=535.129.03",
    ),
    *("gpu=A100,driver=525.85.12", "gpu=L4,driver=550.54.15", "gpu=RTX 5090,driver=570.133.07"),
    *("gpu=RTX 4090,driver=560.35.05", "gpu=RTX 3090,driver=550.54.15", "gpu=A100-80GB,driver=580.65.06"),
)
FOR_TEN = (("pytorch",), ("pytorch", "tensorflow", "jax"))
UNKNOWN = "sgl-kernel==0.3.21"
"""A wheel of 546 MB with GPU code, of which the catalog knows nothing."""


def main() -> None:
    """Measure and print."""
    heading("Planning, above uv's own resolve")
    for machine, specs in REQUESTS:
        ours = [str(BIN / "gpuenv"), "plan", *specs, "--machine", machine]
        with tempfile.TemporaryDirectory() as scratch:
            alone, count = what_uv_is_asked(specs, machine, Path(scratch))
            plan, resolve = _by_turns(ours, alone)
        print(f"{' '.join(specs)}  for  {machine}  ({count} wheels)")
        show("  uv pip compile", resolve)
        show("  gpuenv plan", plan)
        print(f"  gpuenv adds {plan.median - resolve.median:.3f} s\n")
    for specs in FOR_TEN:
        one, ten = _by_turns(planning(specs, TEN[:1]), planning(specs, TEN))
        print(f"{' '.join(specs)}  for one machine and for ten unlike ones in one plan")
        show("  one machine", one)
        show("  ten machines", ten)
        print(f"  {ten.median / one.median:.2f} times\n")
    print(f"{UNKNOWN}, unknown to the catalog, read anew")
    show("  gpuenv plan --no-cache", measure([*planning((UNKNOWN,), TEN[3:4]), "--no-cache"], runs=3))


def planning(specs: tuple[str, ...], machines: tuple[str, ...]) -> list[str]:
    """The command that plans for these machines from the user's own index."""
    named = [word for machine in machines for word in ("--machine", machine)]
    return [str(BIN / "gpuenv"), "plan", *specs, "--index-policy", "pypi", *named]


def what_uv_is_asked(specs: tuple[str, ...], machine: str, scratch: Path) -> tuple[list[str], int]:
    """The `uv` command that planning runs, to run again with its files in `scratch`; and how many wheels it gives."""
    commands: list[list[str]] = []

    def listen(arguments: Sequence[str | Path], **options: object) -> Completed:
        given = scratch / f"requirements-{len(commands)}.in"
        given.write_text(str(options["text_input"]))
        words = [str(given) if word == "-" else _kept(word, scratch) for word in arguments]
        # Without an output file: one that is there already would make the next resolve an easier one.
        words[words.index("-o") : words.index("-o") + 2] = ["--format", "pylock.toml"]
        commands.append([str(uv.find_uv()), *words, "--no-config"])
        return uv.run_uv(arguments, **options)  # type: ignore[arg-type]

    setattr(wheels, "run_uv", listen)  # noqa: B010  (the name is none of the module's own)
    plan = gpuenv.make_plan(gpuenv.Request(specs=specs), gpuenv.parse_machine(machine))
    assert len(commands) == 1, "uv was asked more than once"
    return commands[0], len(plan.wheels)


def _kept(word: str | Path, scratch: Path) -> str:
    """A word of the command, with files of the plan's own scratch directory copied to one that stays."""
    path = Path(word)
    if not path.is_absolute() or not path.parent.name.startswith("gpuenv-"):
        return str(word)
    if path.exists():
        (scratch / path.name).write_bytes(path.read_bytes())
    return str(scratch / path.name)


def _by_turns(first: list[str], second: list[str]) -> tuple[Measured, Measured]:
    """Both commands, each `RUNS` times, by turns, so that a slow moment of the index meets both."""
    rounds = [(measure(first, runs=1), measure(second, runs=1)) for _ in range(RUNS)]
    return _join([one for one, _ in rounds]), _join([two for _, two in rounds])


def _join(parts: list[Measured]) -> Measured:
    medians = sorted(part.median for part in parts)
    return Measured(median=medians[len(medians) // 2], least=medians[0], peak_mib=max(part.peak_mib for part in parts))


if __name__ == "__main__":
    main()
