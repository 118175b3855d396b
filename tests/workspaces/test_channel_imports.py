"""Files of conda and pixi are planned from their channels, with what is told where these lack something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpuenv
from gpuenv.cli.main import main
from gpuenv.errors import FormatError, GpuenvError, IntegrityError, NoPlanError, RequestError, UnavailableError
from gpuenv.model import LockState, Plan, Request, Silence, Sources, from_json
from gpuenv.workspaces import LockOptions, request_with_file
from little_channel import LittlePackage, make_channel, python_package
from workspaces.team_workspace import NO_GPU, V100, YankingIndex

pytestmark = pytest.mark.usefixtures("alone")

PACKAGES = [
    python_package("3.10.13"),
    python_package("3.11.7"),
    LittlePackage(name="tool", version="1.0", noarch="python", depends=("python >=3.8",)),
    LittlePackage(name="tool", version="2.0", noarch="python", depends=("python >=3.8",)),
    LittlePackage(name="libthing", version="1.0", subdir="linux-64"),
]


@pytest.fixture
def here(tmp_path: Path, alone: pytest.MonkeyPatch) -> Path:
    """A directory with two channels, in which the test runs."""
    make_channel(tmp_path / "channel", PACKAGES)
    make_channel(tmp_path / "mine", [LittlePackage(name="only-mine", version="1.0")])
    alone.chdir(tmp_path)
    return tmp_path


def request_of(
    path: Path, *, channels: tuple[str, ...] = (), further: tuple[str, ...] = (), sources: Sources = Sources.ALL
) -> tuple[Request, tuple[str, ...]]:
    """What the file and these options ask for on a computer without a GPU."""
    request = Request(specs=(), channels=channels, sources=sources)
    return request_with_file(request, path, further_channels=further, machines=(gpuenv.parse_machine(NO_GPU),))


def written(directory: Path, name: str, text: str) -> Path:
    """A file with that text."""
    path = directory / name
    path.write_text(text)
    return path


def environment(directory: Path, *dependencies: str, channels: str = "./channel", pip: tuple[str, ...] = ()) -> Path:
    """An `environment.yml`."""
    lines = [f"channels: [{channels}]", "dependencies:", *(f"  - {json.dumps(one)}" for one in dependencies)]
    lines += ["  - pip:", *(f"    - {json.dumps(one)}" for one in pip)] if pip else []
    return written(directory, "environment.yml", "\n".join(lines) + "\n")


def test_conda_specs_are_asked_of_the_channels_and_pip_ones_of_the_index(
    here: Path, index: YankingIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that both have comes from where the file says."""
    index.add("libthing", "7.0")
    path = environment(here, "python=3.10", "tool<2", "pip", pip=("alpha<2", "libthing"))
    assert main(["plan", "-r", str(path), "-m", NO_GPU, "--json", "--index-policy", "pypi"]) == 0
    plan = from_json(capsys.readouterr().out, Plan)
    assert {one.name: one.version for one in plan.conda} == {"python": "3.10.13", "tool": "1.0"}
    assert {one.name: one.version for one in plan.wheels} == {"alpha": "1.0", "beta": "2.0", "libthing": "7.0"}


def test_the_order_of_channels(here: Path) -> None:
    """Those of `-c`, of the file, of the configuration; with `nodefaults` none of the last."""
    path = environment(here, "tool", channels="./channel, ./mine")
    own, further = str(here / "first"), str(here / "last")
    make_channel(here / "first", [])
    make_channel(here / "last", [])
    there = (str(here / "channel"), str(here / "mine"))
    assert request_of(path, channels=(own,), further=(further,))[0].channels == (own, *there, further)
    path = environment(here, "tool", channels="./channel, nodefaults, ./mine")
    assert request_of(path, channels=(own,), further=(further,))[0].channels == (own, *there)


def test_an_exact_python_is_that_of_the_channel(here: Path) -> None:
    """A patch or a build counts where a channel has Python; where none has, the minor version does."""
    path = environment(here, "python=3.10.13=h0_0_cpython", "tool")
    request, _ = request_of(path)
    plan = gpuenv.make_plans(request, [gpuenv.parse_machine(NO_GPU)]).plans[0]
    assert {one.name: one.version for one in plan.conda} == {"python": "3.10.13", "tool": "2.0"}
    path = environment(here, "python=3.10.13=h0_0_cpython", "only-mine", channels="./mine")
    request, _ = request_of(path)
    assert (request.specs, request.python) == (("only-mine",), "3.10.13")


def test_what_no_channel_has_is_no_wheel_of_that_name(here: Path, index: YankingIndex) -> None:
    """An index may have another project under the name, so it is not asked; packages of the catalog are known."""
    index.add("libother", "1.0")
    with pytest.raises(NoPlanError) as caught:
        request_of(environment(here, "tool", "libother=1.0"))
    assert caught.value.message == "no channel has `libother=1.0`"
    assert any("--only wheels" in hint for hint in caught.value.hints)
    request, _ = request_of(environment(here, "tool", "pytorch"))
    assert request.specs == ("tool", "pytorch")
    with pytest.raises(NoPlanError):
        request_of(environment(here, "./mine::tool"))


def test_wheels_instead(here: Path, index: YankingIndex) -> None:
    """With `--only wheels`, and where there is no channel at all, conda's names are translated as before."""
    path = environment(here, "python=3.11", "alpha=1.0", "libthing", pip=("beta",))
    request, notes = request_of(path, sources=Sources.WHEELS)
    assert (request.specs, request.python, request.channels) == (("alpha=1.0", "beta"), "3.11", ())
    assert any("libthing" in note for note in notes)
    assert any("channels are not asked: ./channel" in note for note in notes)
    path = environment(here, "alpha=1.0", channels="")
    assert request_of(path)[0] == Request(specs=("alpha=1.0",))


def test_only_conda_takes_the_pip_part_from_channels_too(here: Path) -> None:
    """Then there is nothing else to take it from."""
    request, _ = request_of(environment(here, "libthing", pip=("tool==1.0",)), sources=Sources.CONDA)
    plan = gpuenv.make_plans(request, [gpuenv.parse_machine(NO_GPU)]).plans[0]
    assert {one.name: one.version for one in plan.conda if one.name != "python"} == {"libthing": "1.0", "tool": "1.0"}


@pytest.mark.parametrize("channel", ["./nowhere", "http://127.0.0.1:9/nowhere"])
def test_channels_that_cannot_be_reached(here: Path, channel: str) -> None:
    """The error says so, and what to do instead."""
    with pytest.raises(UnavailableError) as caught:
        request_of(environment(here, "tool", channels=channel))
    assert "--only wheels" in caught.value.hints[-1]


def test_defaults_are_those_of_the_configuration(here: Path, alone: pytest.MonkeyPatch) -> None:
    """Where nothing says which these are, they are left aside for other channels, and alone they are an error."""
    path = environment(here, "tool", channels="./channel, defaults")
    request, notes = request_of(path)
    assert request.channels == (str(here / "channel"),)
    assert any("`defaults` is not asked" in note for note in notes)
    with pytest.raises(RequestError) as caught:
        request_of(environment(here, "tool", channels="defaults"))
    assert "--only wheels" in caught.value.hints[-1]
    condarc = written(here, "condarc", f"default_channels: [{here / 'channel'}]\n")
    alone.setenv("CONDARC", str(condarc))
    request, notes = request_of(environment(here, "tool", channels="defaults"))
    assert (request.channels, notes) == (("defaults",), ())


def test_pixi_is_planned_from_its_channels(here: Path, index: YankingIndex) -> None:
    """And from no others; features bring their channels before those of the workspace."""
    text = (
        '[workspace]\nchannels = ["./channel"]\nplatforms = ["linux-64"]\n[dependencies]\ntool = "1.*"\n'
        '[pypi-dependencies]\nalpha = "*"\n[feature.more]\nchannels = ["./mine"]\n'
        '[feature.more.dependencies]\nonly-mine = "*"\n'
    )
    path = written(here, "pixi.toml", text)
    request, _ = request_of(path, further=("conda-forge",))
    assert request.channels == (str(here / "channel"),)
    assert request.specs == ("tool=1", "alpha[]")
    machine = gpuenv.parse_machine(NO_GPU)
    asked, _ = request_with_file(Request(specs=()), path, groups=("more",), machines=(machine,))
    assert asked.channels == (str(here / "mine"), str(here / "channel"))
    plan = gpuenv.make_plans(asked, [machine]).plans[0]
    assert {one.name for one in plan.conda} == {"only-mine", "python", "tool"}
    assert {one.name for one in plan.wheels} == {"alpha", "beta"}


def explicit(directory: Path, *lines: str) -> Path:
    """An explicit list."""
    return written(directory, "explicit.txt", "\n".join(("# platform: linux-64", "@EXPLICIT", *lines)) + "\n")


def address(directory: Path, file: str) -> str:
    """Where a file of the channel is."""
    return f"{(directory / 'channel').as_uri()}/{file}"


def hashes(directory: Path, file: str) -> dict[str, str]:
    """What the channel says of a file."""
    subdir, _, name = file.partition("/")
    record: dict[str, str] = json.loads((directory / "channel" / subdir / "repodata.json").read_text())[
        "packages.conda"
    ][name]
    return record


@pytest.mark.parametrize("kind", ["sha256", "sha256:", "md5", ""])
def test_an_explicit_list_gives_exactly_these_packages(here: Path, kind: str) -> None:
    """Each address is one package of its channel, with its hash."""
    file = "noarch/tool-1.0-0.conda"
    record = hashes(here, file)
    fragment = {"": "", "md5": f"#{record['md5']}"}.get(
        kind, f"#{kind.partition(':')[1] and 'sha256:'}{record['sha256']}"
    )
    python = "linux-64/python-3.10.13-h0_0_cpython.conda"
    path = explicit(here, address(here, file) + fragment, f"./channel/{python}")
    request, _ = request_of(path, further=("conda-forge",))
    plan = gpuenv.make_plans(request, [gpuenv.parse_machine(NO_GPU)]).plans[0]
    assert {one.name: one.version for one in plan.conda} == {"python": "3.10.13", "tool": "1.0"}
    assert request.channels == ()


def test_an_explicit_list_with_another_hash_is_refused(here: Path) -> None:
    """Before anything is fetched; and so is a file that the channel no longer has."""
    file = "noarch/tool-1.0-0.conda"
    with pytest.raises(IntegrityError) as caught:
        request_of(explicit(here, f"{address(here, file)}#{'0' * 64}"))
    assert "tool-1.0-0.conda" in caught.value.message
    with pytest.raises(IntegrityError):
        request_of(explicit(here, f"{address(here, file)}#{'0' * 32}"))
    with pytest.raises(NoPlanError) as gone:
        request_of(explicit(here, address(here, "noarch/tool-0.5-0.conda")))
    assert "has no `tool-0.5-0.conda`" in gone.value.message
    with pytest.raises(RequestError):
        request_of(explicit(here, address(here, file)), sources=Sources.WHEELS)


@pytest.mark.parametrize(
    "line",
    [
        "tool",
        "https://index.invalid/tool-1.0-0.conda",
        "https://[/linux-64/a-1-0.conda",
        "a b",
        "\x00/noarch/a-1-0.conda",
    ]
    + [f"https://index.invalid/c/noarch/{name}" for name in ("a.whl", "a-1.conda", "a]-1-0.conda", "a-1-0.conda#xyz")],
)
def test_lines_that_are_no_address_of_a_conda_package(here: Path, line: str) -> None:
    """They are named with their number."""
    with pytest.raises(FormatError) as caught:
        request_of(explicit(here, line))
    assert "line 3" in caught.value.message


def test_a_lock_of_an_environment_file(here: Path, index: YankingIndex) -> None:
    """It remembers the file and the words beside it, and is up to date as long as both say the same."""
    team = here / "team"
    team.mkdir()
    path = environment(here, "python=3.11", "tool", channels="./channel", pip=("alpha",))
    request = Request(specs=("only-mine",), channels=("./mine",))
    options = LockOptions(request=request, machines=(V100,), file=path)
    report = gpuenv.lock(options, start=team, report=Silence())
    assert report.lock.request.channels == ("../mine", "../channel")
    assert report.lock.request.specs == ("tool", "alpha[]", "only-mine")
    assert report.lock.source is not None
    assert (report.lock.source.file, report.lock.source.channels) == ("../environment.yml", ("../mine",))
    assert {one.name for one in report.lock.plans[0].plan.conda} == {"python", "tool", "only-mine"}
    again = LockOptions(request=Request(specs=()))
    assert gpuenv.lock(again, start=team, report=Silence()).state is LockState.UNCHANGED
    assert gpuenv.check_lock(again, start=team, report=Silence()).state is LockState.CURRENT
    environment(here, "python=3.11", "tool", channels="./channel, ./mine", pip=("alpha",))
    assert gpuenv.check_lock(again, start=team, report=Silence()).state is LockState.CURRENT
    environment(here, "python=3.11", "tool<2", channels="./channel", pip=("alpha",))
    stale = gpuenv.check_lock(again, start=team, report=Silence())
    assert "`../environment.yml` asks for `tool<2`, the lock does not" in stale.reasons


def test_a_project_file_as_a_request(here: Path) -> None:
    """Its channels start at its directory, and what they lack may come as a wheel."""
    (here / "sub").mkdir()
    path = written(here / "sub", "gpuenv.toml", 'packages = ["tool", "alpha"]\nchannels = ["../channel"]\n')
    request, _ = request_of(path, further=("conda-forge",))
    assert (request.specs, request.channels) == (("tool", "alpha"), (str(here / "channel"),))


def test_errors_are_ours(here: Path) -> None:
    """Whatever stands among channels and dependencies."""
    for channels, spec in (("[1]", "tool"), ("'a b'", "tool"), ("./channel", "::"), ("./channel", "a::b::c")):
        with pytest.raises(GpuenvError):
            request_of(environment(here, spec, channels=channels))
