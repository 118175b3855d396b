"""A recipe and its variants as `rattler-build` renders them: what will be built, before anything is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gpuenv.errors import RequestError
from gpuenv.recipes.wishes import ARCHITECTURE_KEYS, CUDA_KEYS, Wish, read_wish

if TYPE_CHECKING:
    from rattler_build import RenderedVariant, VariantConfig
    from rattler_build.render import RenderConfig

__all__ = ["Origin", "Rendered", "find_recipe", "find_variants", "render", "render_all", "require_rattler_build"]

_SKIP = "gpuenv_skip"
# Some errors of rattler-build are a structure of Rust's as its debugger prints it.
_STRUCTURE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_LINE = re.compile(r"line: (\d+)")
_VARIANTS = ("variants.yaml", "variants.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is rendered, and for what."""

    recipe: Path
    variants: tuple[Path, ...]
    platform: str | None
    v3: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One package that will be built. `own_string` says that the recipe sets its build string itself; `place` is its
    place among all that `origin` renders to.
    """

    name: str
    version: str
    build: str
    build_number: int
    own_string: bool
    variant: Mapping[str, str]
    wish: Wish
    place: int
    origin: Origin


def require_rattler_build() -> None:
    """RequestError with the command that installs it, where the extra `build` is missing."""
    try:
        import rattler_build  # noqa: F401  (only whether it is there)
    except ImportError as error:
        raise RequestError(
            "building needs `py-rattler-build`, which is not installed",
            reasons=(str(error),),
            hints=("pip install 'gpuenv[build]'",),
        ) from error


def find_recipe(path: Path) -> Path:
    """The `recipe.yaml` that a path means: the file, or the one in that directory."""
    found = path / "recipe.yaml" if path.is_dir() else path
    if not found.is_file():
        raise RequestError(f"there is no recipe `{found}`")
    return found.resolve()


def find_variants(recipe: Path, named: tuple[Path, ...]) -> tuple[Path, ...]:
    """The variants files: those that were named, else the one beside the recipe, else none."""
    for path in named:
        if not path.is_file():
            raise RequestError(f"there is no variants file `{path}`")
    beside = (recipe.parent / name for name in _VARIANTS)
    return named or tuple(path for path in beside if path.is_file())[:1]


def render(recipe: Path, variants: tuple[Path, ...], *, platform: str | None, v3: bool) -> tuple[Rendered, ...]:
    """What the recipe makes of each variant, without those that it skips; RequestError for what neither can be."""
    import rattler_build

    found, config = render_all(recipe, variants, platform=platform, v3=v3)
    try:
        skipped = _skipped(recipe, config, _settings(platform, v3=v3))
    except rattler_build.RattlerBuildError as error:
        raise _wrong("the recipe", recipe, error) from error
    kept = [(place, one) for place, one in enumerate(found) if _key(one.variant) not in skipped]
    used = {key for _, one in kept for key in one.variant}
    if not kept:
        raise RequestError(f"the recipe `{recipe}` skips all of its variants")
    origin = Origin(recipe=recipe, variants=variants, platform=platform, v3=v3)
    rendered = _once_each([_rendered(one, place, origin, config, used) for place, one in kept])
    _refuse_same_names(rendered)
    return rendered


def render_all(
    recipe: Path, variants: tuple[Path, ...], *, platform: str | None, v3: bool
) -> tuple[list[RenderedVariant], VariantConfig]:
    """All variants as rattler-build has them, skipped ones too, in an order that stays; errors as those of `render`."""
    import rattler_build

    settings = _settings(platform, v3=v3)
    try:
        context = rattler_build.JinjaConfig(platform=settings.platform)
    except rattler_build.RattlerBuildError as error:
        raise RequestError(f"`{platform}` is no platform", hints=("name it as channels do: linux-64",)) from error
    try:
        config = rattler_build.VariantConfig.from_files_with_context(list(variants), context)
    except rattler_build.RattlerBuildError as error:
        raise _wrong("the variants file", variants[0], error) from error
    try:
        stage = rattler_build.Stage0Recipe.from_file(recipe, repodata_revision=settings.repodata_revision)
        return stage.render(config, settings), config
    except rattler_build.RattlerBuildError as error:
        raise _wrong("the recipe", recipe, error) from error


def _settings(platform: str | None, *, v3: bool) -> RenderConfig:
    from rattler_build import PlatformConfig, RepodataRevision
    from rattler_build.render import RenderConfig

    revision = RepodataRevision.V3 if v3 else RepodataRevision.LEGACY
    return RenderConfig(platform=PlatformConfig(target_platform=platform), repodata_revision=revision)


def _rendered(one: RenderedVariant, place: int, origin: Origin, config: VariantConfig, used: set[str]) -> Rendered:
    build = one.recipe.build
    string, info = str(build.string), one.hash_info
    number = build.number or 0
    by_itself = f"{info.prefix}h{info.hash}_{number}" if info else None
    return Rendered(
        name=one.recipe.package.name,
        version=one.recipe.package.version,
        build=string,
        build_number=number,
        own_string=string != by_itself,
        variant=one.variant,
        wish=read_wish(_with_unused(one.variant, config, used)),
        place=place,
        origin=origin,
    )


def _with_unused(variant: Mapping[str, str], config: VariantConfig, used: set[str]) -> dict[str, str]:
    """The variant with what its file says of CUDA beside it: rattler-build leaves out keys that a recipe does not use.

    An output that uses none of them, beside others that do, is for all variants alike.
    """
    whole = dict(variant)
    for key in (*CUDA_KEYS, *ARCHITECTURE_KEYS):
        if key in whole or not config.get_values(key):
            continue
        values = {str(row[key]) for row in config.combinations() if key in row and _agrees(row, variant)}
        if len(values) > 1 and key in used:
            continue
        if len(values) > 1:
            raise RequestError(
                f"the recipe does not use `{key}`, of which its variants file has several values",
                hints=(f"use `${{{{ {key} }}}}` in the recipe, or list it in `build.variant.use_keys`",),
            )
        whole |= dict.fromkeys((key,) if values else (), next(iter(values), ""))
    return whole


def _agrees(row: Mapping[str, object], variant: Mapping[str, str]) -> bool:
    return all(str(row.get(name, value)) == value for name, value in variant.items())


def _skipped(recipe: Path, config: VariantConfig, settings: RenderConfig) -> set[tuple[Any, ...]]:
    """The variants that `build.skip` leaves out.

    rattler-build's interface for Python renders them all the same, so the conditions are put into the context of a
    second recipe, where they are worked out.
    """
    from rattler_build import Stage0Recipe

    document = yaml.safe_load(recipe.read_text("utf-8"))
    for output in document.get("outputs") or ():
        if isinstance(output, dict) and (output.get("build") or {}).get("skip"):
            raise RequestError(f"`{recipe}` skips single outputs, which is not supported", hints=("skip at the top",))
    conditions = (document.get("build") or {}).get("skip")
    if not conditions:
        return set()
    listed = conditions if isinstance(conditions, list) else [conditions]
    joined = " or ".join(f"({str(one).lower() if isinstance(one, bool) else one})" for one in listed)
    document["context"] = {**(document.get("context") or {}), _SKIP: f"${{{{ {joined} }}}}"}
    del document["build"]["skip"]
    probe = Stage0Recipe.from_dict(document, recipe_dir=None)
    return {
        _key(one.variant)
        for one in probe.render(config, settings)
        if str(one.recipe.context.get(_SKIP)).lower() == "true"
    }


def _key(variant: Mapping[str, str]) -> tuple[Any, ...]:
    return tuple(sorted(variant.items()))


def _identity(one: Rendered) -> tuple[str | None, ...]:
    return (one.name, one.version, one.build, one.variant.get("target_platform"))


def _once_each(found: Sequence[Rendered]) -> tuple[Rendered, ...]:
    """Without the second and later renderings of what is the same package: rattler-build renders each output for each
    variant, and those that use no key that differs come out alike.
    """
    first: dict[tuple[Any, ...], Rendered] = {}
    for one in found:
        first.setdefault((_identity(one), _key(one.variant)), one)
    return tuple(first.values())


def _refuse_same_names(found: tuple[Rendered, ...]) -> None:
    names = [_identity(one) for one in found]
    for one, rendered in zip(names, found, strict=True):
        if names.count(one) > 1:
            raise RequestError(
                f"several variants are all named `{rendered.name}-{rendered.version}-{rendered.build}`",
                hints=("let `build.string` differ between them, or leave it out",),
            )


def _wrong(what: str, path: Path, error: Exception) -> RequestError:
    said = re.sub(r"\s+", " ", str(error)).strip().strip('"')
    if inner := _STRUCTURE.search(said):
        line = _LINE.search(said, inner.end())
        message = re.sub(r" \(in <string>:\d+\)", "", inner[1].replace('\\"', '"'))
        said = f"line {line[1]}: {message}" if line else message
    return RequestError(f"{what} `{path}` cannot be read", reasons=tuple(said[:1000].split("; ")[:6]))
