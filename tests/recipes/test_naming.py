"""Build numbers put builds in order, whatever the order of the variants."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpuenv.model import Artifact, ArtifactKind, BuiltKind, Needs, Reading
from gpuenv.recipes.looking import Looked
from gpuenv.recipes.naming import Judged, name_builds
from gpuenv.recipes.rendering import Origin, Rendered
from gpuenv.recipes.wishes import Wish
from gpuenv.targets.cuda_constraints import CudaConstraints, Span
from gpuenv.versions import ComputeCapability, CudaVersion


def judged(cuda: str | None, lowest: str = "8.0", *, number: int = 0, build: str = "h1234567") -> Judged:
    """A package of a variant for this CUDA (None for the CPU) that runs from this capability on."""
    version = CudaVersion(cuda) if cuda else None
    rendered = Rendered(
        name="demo",
        version="1.0",
        build=f"{build}_{number}",
        build_number=number,
        own_string=False,
        variant={},
        wish=Wish(is_gpu=cuda is not None, cuda=version),
        place=0,
        origin=Origin(recipe=Path("recipe.yaml"), variants=(), platform=None, v3=False),
    )
    looked = Looked(
        rendered=rendered,
        path=Path("demo.conda"),
        subdir="linux-64",
        reading=Reading(artifact=Artifact(kind=ArtifactKind.CONDA, name="demo")),
        needs=Needs(subject="demo", uses_gpu=cuda is not None, cuda=version, cuda_newest=version),
    )
    first = ComputeCapability(lowest)
    constraints = CudaConstraints(oldest=version, spans=(Span(first=first),), served=(first,)) if cuda else None
    return Judged(looked=looked, kind=BuiltKind.GPU if cuda else BuiltKind.CPU, constraints=constraints)


variants = st.lists(
    st.tuples(st.sampled_from([None, "11.8", "12.9", "13.0"]), st.sampled_from(["7.5", "8.0", "9.0"])),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(variants, st.integers(0, 50))
def test_gpu_goes_before_cpu_and_newer_before_older(chosen: list[tuple[str | None, str]], number: int) -> None:
    """CPU builds keep the recipe's number; GPU builds rise above them by hundreds, by CUDA and then by lowest GPU; the
    order of the variants makes no difference.
    """
    made = [judged(cuda, lowest, number=number) for cuda, lowest in chosen]
    named = name_builds(made)
    again = dict(zip(chosen, name_builds(made), strict=True))
    backwards = dict(zip(reversed(chosen), name_builds(list(reversed(made))), strict=True))
    assert again == backwards
    for (cuda, _), one in zip(chosen, named, strict=True):
        assert one.build_number % 100 == number
        assert (one.build_number == number) == (cuda is None)
        assert one.build.endswith(f"_{one.build_number}")
        assert one.build.startswith("cpu_" if cuda is None else f"cuda{cuda.replace('.', '')}_")
    gpu = [
        (CudaVersion(cuda).numbers, ComputeCapability(lowest).numbers, again[cuda, lowest].build_number)
        for cuda, lowest in chosen
        if cuda
    ]
    ordered = [number for *_, number in sorted(gpu)]
    assert ordered == sorted(set(ordered))


def test_two_pythons_of_one_cuda_have_one_number() -> None:
    """Builds that differ in something else than CUDA and GPUs are no better or worse than each other."""
    named = name_builds([judged("12.9", build="py311h1"), judged("12.9", build="py312h1"), judged(None)])
    assert [one.build_number for one in named] == [100, 100, 0]
    assert named[0].build == "cuda129_py311h1_100"


def test_numbers_that_rise_in_the_recipe_are_kept() -> None:
    """Whoever numbers the builds has a reason."""
    named = name_builds([judged(None, number=1), judged("12.9", number=201), judged("13.0", number=301)])
    assert [one.build_number for one in named] == [1, 201, 301]
    tied = name_builds([judged(None, number=1), judged("12.9", number=201), judged("13.0", number=201)])
    assert [one.build_number for one in tied] == [1, 301, 401]
