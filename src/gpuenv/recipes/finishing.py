"""From packages that were built and checked to those that go into the channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpuenv.model import BuiltKind, BuiltPackage
from gpuenv.recipes.companions import make_metapackage, make_mutexes, mutex_spec, pattern_of
from gpuenv.recipes.describing import describe_built, describe_package
from gpuenv.recipes.judging import Checked
from gpuenv.recipes.naming import Judged, Named, name_builds
from gpuenv.recipes.rendering import Rendered
from gpuenv.recipes.stamping import Stamp, restamp
from gpuenv.targets.cuda_constraints import CudaConstraints

__all__ = ["Finished", "Forms", "finish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """What a maintainer chose: revision 3, packages beside the others, and bounds that older clients pass over."""

    v3: bool = False
    metapackage: bool = False
    mutex: bool = False
    soft_architectures: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """The files, each in a directory named as the channel's, and what is told of them."""

    paths: list[Path] = field(default_factory=list)
    packages: list[BuiltPackage] = field(default_factory=list)

    def without_known(self, channel: Path) -> Finished:
        """The same without mutexes that the channel has: releases share them, and a new one would be the same."""
        pairs = [
            (path, package)
            for path, package in zip(self.paths, self.packages, strict=True)
            if package.kind is not BuiltKind.MUTEX or not (channel / package.file).exists()
        ]
        return Finished([path for path, _ in pairs], [package for _, package in pairs])

    def add(self, path: Path, package: BuiltPackage) -> None:
        """One more."""
        self.paths.append(path)
        self.packages.append(package)


def finish(checked: Sequence[Checked], forms: Forms, work: Path) -> Finished:
    """Stamps the packages and makes those that go with them, below `work`."""
    names = name_builds([one.judged for one in checked])
    renamed = {
        (one.judged.looked.rendered.name, one.judged.looked.rendered.build): name.build
        for one, name in zip(checked, names, strict=True)
    }
    with_cpu = {one.judged.looked.rendered.name for one in checked if one.judged.kind is BuiltKind.CPU}
    finished = Finished()
    for one, name in zip(checked, names, strict=True):
        looked = one.judged.looked
        directory = work / "finished" / looked.subdir
        directory.mkdir(parents=True, exist_ok=True)
        stamp = _stamp(one, name, forms, has_cpu=looked.rendered.name in with_cpu)
        path, index = restamp(looked.path, directory, stamp, renamed=renamed)
        finished.add(path, describe_built(one.judged, path, index, warnings=one.warnings))
    _add_companions(finished, checked, forms, work)
    return finished


def _stamp(checked: Checked, name: Named, forms: Forms, *, has_cpu: bool) -> Stamp:
    """A build of a CUDA variant requires the driver and the GPU. One for all computers alike, which looks for a GPU
    when it runs, only says what it wants of one.
    """
    judged = checked.judged
    asked = judged.constraints or CudaConstraints()
    is_must = has_cpu or judged.looked.rendered.wish.is_gpu is True
    depends, constrains = asked.placed(is_must=is_must, is_soft=forms.soft_architectures)
    if forms.mutex and judged.kind is not BuiltKind.PLAIN:
        depends += (mutex_spec(judged.looked.rendered.name, judged.kind),)
    return Stamp(
        build=name.build,
        build_number=name.build_number,
        depends=depends,
        constrains=constrains,
        flags=_flags(judged) if forms.v3 else (),
        v3=forms.v3,
    )


def _flags(judged: Judged) -> tuple[str, ...]:
    """The flags of a build (CEP 45): `cpu`, or `cuda` and `cuda:12`."""
    if judged.kind is BuiltKind.CPU:
        return ("cpu",)
    if judged.kind is not BuiltKind.GPU:
        return ()
    return ("cuda", f"cuda:{judged.cuda.major}") if judged.cuda else ("cuda",)


def _add_companions(finished: Finished, checked: Sequence[Checked], forms: Forms, work: Path) -> None:
    built = tuple(finished.packages)
    for name in dict.fromkeys(one.name for one in built if one.kind is BuiltKind.GPU):
        same = [one for one in built if one.name == name]
        subdir = same[0].subdir
        if forms.metapackage:
            numbers = [one.build_number for one in map(_rendered, checked) if one.name == name]
            path, index = make_metapackage(
                name,
                same[0].version,
                pattern="*" if forms.v3 else _pattern(same),
                number=min(numbers),
                subdir=subdir,
                work=work,
                v3=forms.v3,
            )
            finished.add(path, describe_package(path, index, BuiltKind.METAPACKAGE))
        if forms.mutex:
            for path, index in make_mutexes(name, subdir=subdir, work=work):
                finished.add(path, describe_package(path, index, BuiltKind.MUTEX))


def _rendered(checked: Checked) -> Rendered:
    return checked.judged.looked.rendered


def _pattern(same: Sequence[BuiltPackage]) -> str:
    gpu = [one.build for one in same if one.kind is BuiltKind.GPU]
    return pattern_of(gpu, [one.build for one in same if one.kind is not BuiltKind.GPU])
