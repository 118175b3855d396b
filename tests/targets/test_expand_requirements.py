"""From requirements files to files: resolved whole by a real `uv`, or line by line where there is no set."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.errors import GpuenvError, NoPlanError, RequestError, UnavailableError
from gpuenv.machines.written import parse_machine
from gpuenv.model import ArtifactKind
from gpuenv.targets.expand import expand
from gpuenv.targets.requirement_lines import read_requirements, requirements_of_lines
from gpuenv.targets.wanted import Expansion
from gpuenv.targets.words import parse_target
from loopback_index import LoopbackIndex, Reply

LINUX = "cp311-cp311-manylinux_2_17_x86_64"
MACHINE = parse_machine("gpu=T4,driver=535.129.03")


def resolved(path: str = "requirements.txt") -> Expansion:
    """What a file installs on Linux."""
    return expand(parse_target(path), machine=MACHINE, python="3.11")


def names(found: Expansion) -> list[tuple[str, str | None]]:
    """The files by name and version."""
    return [(file.name, file.version) for file in found.files]


def test_the_whole_set(index: LoopbackIndex, here: Path) -> None:
    """Requirements of requirements are there, includes, constraints and comments hold, other machines' are not."""
    index.add("gt-top", "1.0", tags=[LINUX], requires=["gt-lib>=1", 'gt-win; sys_platform == "win32"'])
    for version in ("1.0", "2.0", "3.0"):
        index.add("gt-lib", version)
    (here / "more").mkdir()
    (here / "requirements.txt").write_text("-r more/gpu.txt  # the rest\n-c more/bounds.txt\n")
    (here / "more/gpu.txt").write_text("# GPU packages\ngt-top==1.0 \\\n  ; python_version >= '3.8'\n")
    (here / "more/bounds.txt").write_text("gt-lib<3\n")
    found = resolved()
    assert names(found) == [("gt-lib", "2.0"), ("gt-top", "1.0")]
    assert (found.problems, found.notes) == ((), ())
    top = found.files[1]
    assert top.sha256 == index.projects["gt-top"][top.filename].sha256


def test_source_only_packages_are_listed_and_not_built(index: LoopbackIndex, here: Path) -> None:
    """What has no wheel is source, without what it requires; its code does not run. The rest is resolved whole."""
    index.add("gt-top", "1.0", requires=["gt-src"])
    index.add_source("gt-src", "2.0", requires=["gt-unknown"])
    (here / "requirements.txt").write_text("gt-top\n")
    found = resolved()
    assert names(found) == [("gt-src", "2.0"), ("gt-top", "1.0")]
    assert found.files[0].kind is ArtifactKind.SDIST
    assert found.files[0].note == "it has no wheel; what it requires is only known when it is built"
    assert not found.problems
    assert not [asked for asked in index.asked if asked.endswith(".tar.gz")]


def test_no_set_is_one_problem_and_the_lines_are_looked_up(index: LoopbackIndex, here: Path) -> None:
    """The words of uv are kept, and what can be judged is."""
    index.add("gt-lib", "1.0")
    index.add("gt-lib", "2.0")
    index.add("gt-top", "1.0", tags=[LINUX], requires=["gt-lib<2"])
    (here / "requirements.txt").write_text(
        "gt-top\ngt-lib>=2\ngt-missing\ngt-win; sys_platform == 'win32'\nx @ https://h.invalid/x-1.0-py3-none-any.whl\n"
    )
    (here / "two.txt").write_text("gt-top\ngt-lib>=2\n")
    two = resolved("two.txt")
    assert names(two) == [("gt-top", "1.0"), ("gt-lib", "2.0")]
    (problem,) = two.problems
    assert isinstance(problem, NoPlanError)
    assert "gt-lib" in "\n".join(problem.reasons)
    assert two.notes == ("each requirement is looked up on its own, without what it requires",)
    found = resolved()
    assert names(found) == [("gt-top", "1.0"), ("gt-lib", "2.0"), ("x", "1.0")]
    assert any(problem.message == "there is no package `gt-missing`" for problem in found.problems)


def test_an_index_named_in_the_file(index: LoopbackIndex, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's own index is asked, with its login, also line by line; the login is not in the address shown."""
    index.add("gt-own", "1.0")
    with index.serving() as url:
        # This variable would go before the file.
        monkeypatch.delenv("UV_DEFAULT_INDEX")
        monkeypatch.setenv("TOKEN", "secret")
        own = url.replace("http://", "http://me:${TOKEN}@")
        (here / "requirements.txt").write_text(f"--index-url {own}\ngt-own\n")
        (here / "alone.txt").write_text(f"--index-url {own}\ngt-own\ngt-missing\n")
        for path in ("requirements.txt", "alone.txt"):
            (file,) = resolved(path).files
            assert file.login == ("me", "secret")
            assert file.url is not None
            assert file.url.startswith(url)


def test_projects_on_disk_give_what_they_require(index: LoopbackIndex, here: Path) -> None:
    """`-e .` is not built: its `pyproject.toml` says what it requires, with the extras asked for."""
    index.add("gt-lib", "1.0")
    index.add("gt-gpu", "1.0", tags=[LINUX])
    (here / "pyproject.toml").write_text(
        '[project]\nname = "own"\nversion = "1"\ndependencies = ["gt-lib"]\n'
        '[project.optional-dependencies]\ngpu = ["gt-gpu"]\n'
        '[build-system]\nrequires = ["nothing-such"]\nbuild-backend = "nothing_such"\n'
    )
    (here / "requirements.txt").write_text("-e .[gpu]\n")
    found = resolved()
    assert names(found) == [("gt-gpu", "1.0"), ("gt-lib", "1.0")]
    assert found.notes == ("`.` is a project on disk: only what it requires is looked at",)
    assert names(resolved("pyproject.toml")) == [("gt-lib", "1.0")]
    with (here / "pyproject.toml").open("a") as file:
        file.write('[tool.uv.sources]\ngt-lib = { index = "own" }\n')
    (note,) = resolved("pyproject.toml").notes
    assert note == "what `tool.uv` in `pyproject.toml` says of indexes and sources is left aside; `uv.lock` has it"


def test_what_would_have_to_be_built_is_said(index: LoopbackIndex, here: Path) -> None:
    """A repository, a project without metadata and a missing path are problems; their code does not run."""
    index.add("gt-lib", "1.0")
    (here / "old").mkdir()
    (here / "old/setup.py").write_text(f"open({str(here / 'RAN')!r}, 'w')\n")
    (here / "requirements.txt").write_text(
        "-e ./old\ngit+https://h.invalid/x.git#egg=x\ny @ git+https://h.invalid/y\n./missing\ntorch=2\ngt-lib\n"
    )
    found = resolved()
    assert names(found) == [("gt-lib", "1.0")]
    assert [type(problem) for problem in found.problems] == [
        *(UnavailableError, UnavailableError, UnavailableError, RequestError, RequestError)
    ]
    assert "line 5" in found.problems[-1].reasons[0]
    assert not (here / "RAN").exists()


def test_wheels_on_disk(index: LoopbackIndex, here: Path) -> None:
    """A wheel beside the file is installed from there."""
    index.add("gt-lib", "1.0")
    (stored,) = index.projects["gt-lib"].values()
    (here / stored.name).write_bytes(stored.content)
    (here / "requirements.txt").write_text(f"./{stored.name}\n")
    (file,) = resolved().files
    assert file.path is not None
    assert file.path.resolve() == here / stored.name
    assert (file.name, file.kind) == ("gt-lib", ArtifactKind.WHEEL)


def test_an_index_that_does_not_answer_is_asked_once(index: LoopbackIndex, here: Path) -> None:
    """Not again for each line."""
    index.always = Reply(status=401, body=b"", content_type="text/plain")
    (here / "requirements.txt").write_text("gt-a\ngt-b\n")
    (problem,) = resolved().problems
    assert isinstance(problem, UnavailableError)


def test_an_extra_that_is_not_there_is_noted(index: LoopbackIndex, here: Path) -> None:
    """As uv does, which goes on."""
    index.add("gt-lib", "1.0")
    (here / "requirements.txt").write_text("gt-lib[gpu]\n")
    assert "gpu" in resolved().notes[0]


def test_nothing_asked_for(index: LoopbackIndex, here: Path) -> None:
    """An empty file installs nothing."""
    (here / "requirements.txt").write_text("# later\n")
    assert resolved() == Expansion()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_text_with_a_mark_at_its_beginning(index: LoopbackIndex, here: Path, encoding: str) -> None:
    """`pip freeze > requirements.txt` in Windows PowerShell writes UTF-16."""
    index.add("gt-lib", "1.0")
    (here / "requirements.txt").write_text("gt-lib==1.0\r\n", encoding=encoding)
    found = resolved()
    assert (names(found), found.problems) == ([("gt-lib", "1.0")], ())


def test_an_included_file_that_is_not_there(here: Path) -> None:
    """The line that names it is told."""
    (here / "requirements.txt").write_text("# one\n-r more.txt\n")
    (problem,) = resolved().problems
    assert problem.message == "there is no file `more.txt`"
    assert problem.reasons == ("requirements.txt, line 2 names it",)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"\xff\xfe\x00", "format"), (b"-r nowhere.txt\n", "request"), (b"-r requirements.txt\ngt-lib\n", "")],
)
def test_files_that_break(index: LoopbackIndex, here: Path, content: bytes, kind: str) -> None:
    """No text, a missing include: a problem. A file that includes itself is read once."""
    index.add("gt-lib", "1.0")
    (here / "requirements.txt").write_bytes(content)
    found = resolved()
    assert [problem.code for problem in found.problems] == ([kind] if kind else [])
    assert bool(found.files) is not bool(kind)


def test_a_project_that_requires_itself(here: Path) -> None:
    """A circle ends in a problem."""
    (here / "pyproject.toml").write_text(
        f'[project]\nname = "own"\nversion = "1"\ndependencies = ["own @ {here.as_uri()}"]\n'
    )
    (here / "requirements.txt").write_text("-e .\n")
    (problem,) = read_requirements(here / "requirements.txt").left_out
    assert "requires itself" in problem.message


@settings(max_examples=200)
@given(lines=st.lists(st.text(max_size=40) | st.from_regex(r"(-[refci] ?)?[a-z./\[\]@:+;= ]{0,20}", fullmatch=True)))
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    """No text ends in another exception."""
    try:
        found = requirements_of_lines(lines, base=Path("/nowhere"), name="x")
    except GpuenvError:
        return
    assert found.depth == 0
    assert all(line.text for line in found.lines)
