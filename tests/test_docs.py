"""The documentation is complete and says only what is so: generated pages, names, links, examples."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from write_commands_page import commands_page, every_command
from write_rules_page import rules_page

import gpuenv
from gpuenv import errors, model, versions
from gpuenv.channels.catalog import builds_of, find_project, project_names
from gpuenv.channels.catalog.projects import Project
from gpuenv.cli.main import cli, main
from gpuenv.errors import GpuenvError
from gpuenv.machines.description import KEYS
from gpuenv.machines.machine_file import load_machine
from gpuenv.machines.written import parse_machine
from gpuenv.model import from_builtins
from gpuenv.plans.specs import read_specs
from gpuenv.rules import RULES
from gpuenv.settings import VARIABLES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
SHELL = ("sh", "console")


def page(name: str) -> str:
    """The text of one page of `docs/`."""
    return (DOCS / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language, without indent."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def rows(text: str) -> dict[str, str]:
    """The second cell of each table row whose first cell is one word of code."""
    return dict(re.findall(r"^\| `([^`|]+)` \| (.*?) \|", text, re.MULTILINE))


def command_lines() -> Iterator[list[str]]:
    """Each line of a page's shell blocks that calls gpuenv, as words."""
    for path in PAGES:
        for language in SHELL:
            for block in blocks(path.read_text("utf-8"), language):
                for line in block.splitlines():
                    found = re.fullmatch(r"(?:\$ )?(?:[A-Z_]+=\S* )*(gpuenv .*)", line)
                    if found:
                        yield shlex.split(found[1], comments=True)


# ---- generated pages -----------------------------------------------------------------------------------------


def test_the_page_of_rules_is_current() -> None:
    """`docs/rules.md` is what the table of rules says today."""
    assert page("rules.md") == rules_page(), "run `python scripts/write_rules_page.py`"


def test_the_page_of_commands_is_current() -> None:
    """`docs/commands.md` is what the help texts say today."""
    assert page("commands.md") == commands_page(), "run `python scripts/write_commands_page.py`"


@pytest.mark.parametrize("name", ["rules.md", "commands.md"])
def test_generated_pages_say_how_they_are_made(name: str) -> None:
    """Right under the title stands the script that wrote the page, and it exists."""
    found = re.search(r"<!-- Made by `python (scripts/\w+\.py)`", page(name))
    assert found
    assert (ROOT / found[1]).is_file()


# ---- nothing is missing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", list(every_command()), ids=lambda context: context.command_path)
def test_every_command_and_option_is_documented(context: click.Context) -> None:
    """The section of each command names each spelling of each of its options, and says something of it."""
    sections = dict(re.findall(r"^## (.*)\n([^#]*)", page("commands.md"), re.MULTILINE))
    entries = [line for line in sections[context.command_path].splitlines() if line.startswith("- ")]
    options = [one for one in context.command.get_params(context) if isinstance(one, click.Option)]
    assert options
    for option in options:
        spellings = {*option.opts, *option.secondary_opts}
        (said,) = [
            text
            for names, _, text in (one[3:].partition("`: ") for one in entries)
            if spellings <= set(re.split(r"[ ,]+", names))
        ]
        assert said.strip()


def test_every_rule_is_documented() -> None:
    """Each rule has a section with words of its own and a source."""
    for rule in RULES:
        found = re.search(rf"^## {rule.id}\n\n(.+?)\n\nSource: (.+)\.$", page("rules.md"), re.MULTILINE | re.DOTALL)
        assert found, rule.id
        assert len(found[1].split()) > 5


def test_every_setting_is_documented_and_no_other() -> None:
    """The table of settings is `settings.VARIABLES`."""
    assert rows(page("settings.md")) == VARIABLES


def test_every_noun_is_in_the_glossary_and_no_other() -> None:
    """The glossary names each noun of the model and each kind of version, and no type that does not exist."""
    kinds = {
        name
        for module in (model, versions)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__.startswith(module.__name__) and not name.startswith("_")
    }
    cells = re.findall(r"^\| ([^|]+) \|", page("glossary.md"), re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == kinds - {"Noun", "Silence"}


def test_every_key_of_a_machine_is_documented() -> None:
    """The table of keys is `description.KEYS`."""
    assert rows(page("machines.md")) == KEYS


def test_every_name_of_the_catalog_is_documented() -> None:
    """The page of specs has each project, each alias, each metapackage and each name that cannot be had."""
    text = page("specs.md")
    for name in project_names():
        project = find_project(name)
        assert project is not None
        others = (*(one.name for one in project.metapackages), *(one.name for one in project.unavailable))
        names = [name, *project.aliases, *others]
        assert [one for one in names if f"`{one}`" not in text] == []
        assert f"| `{name}` |" in text


def test_every_error_stands_in_the_design_with_its_exit_code() -> None:
    """The table of errors has each error that is raised, and its code."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GpuenvError)]
    table = re.findall(r"^\| `(\w+Error)` \|.*\| (\d+) \|$", page("design.md"), re.MULTILINE)
    assert dict(table) == {kind.__name__: str(kind.exit_code) for kind in kinds if kind is not GpuenvError}


def test_every_part_stands_in_the_design() -> None:
    """Each module and package at the top of gpuenv is named there."""
    source = ROOT / "src" / "gpuenv"
    parts = {path.stem for path in source.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert {"rules", "errors"} <= parts
    for part in parts - {"__init__", "__main__"}:
        assert re.search(rf"`(?:src/gpuenv/)?{part}/?`", page("design.md")), part


def test_the_changelog_has_the_version() -> None:
    """The version that `gpuenv --version` prints has its own heading."""
    assert f"\n## [{gpuenv.__version__}] - " in (ROOT / "CHANGELOG.md").read_text("utf-8")


# ---- what is named exists ------------------------------------------------------------------------------------


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Where the relative links of a page lead: a file, and the heading in it or nothing."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            file, _, heading = target.partition("#")
            yield (path.parent / file if file else path), heading


def headings(path: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    """The file is there, and the heading in it."""
    for target, heading in links(path):
        assert target.exists(), f"{path.name} links to {target}"
        assert not heading or heading in headings(target), f"{path.name} links to {target}#{heading}"


def test_every_page_can_be_reached_from_the_index() -> None:
    """A newcomer who starts at `docs/index.md` finds all pages."""
    reached: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        path = waiting.pop().resolve()
        if path not in reached and path.suffix == ".md":
            reached.add(path)
            waiting += [target for target, _ in links(path)]
    assert reached >= {path.resolve() for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_paths_that_are_named_exist(path: Path) -> None:
    """A path of this project in backticks or in a command is there; NAME stands for one to be made."""
    text = path.read_text("utf-8")
    for named in re.findall(r"(?<![\w/.])(?:src|tests|scripts|docs|benchmarks|examples)/[\w./*-]+", text):
        if "NAME" not in named:
            assert list(ROOT.glob(named.rstrip("./"))), f"{path.name} names {named}"


# ---- examples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_commands_in_pages_are_ones_that_gpuenv_takes(words: list[str]) -> None:
    """Each command with its options is parsed, and a machine that it names is understood; nothing is run."""
    context = click.Context(cli, info_name="gpuenv", **cli.context_settings)
    command: click.Command | None = cli
    rest = words[1:]
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        if isinstance(command, click.Group):
            context = click.Context(command, parent=context, info_name=name)
    assert command is not None
    machine = command.make_context(command.name, list(rest), parent=context).params.get("machine")
    if machine and not machine.endswith((".toml", ".json")):
        parse_machine(machine)


def test_console_blocks_of_the_docs_print_what_they_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command of a console block under `docs/` prints what stands below it; those of the README have a test."""
    monkeypatch.setenv("COLUMNS", "80")
    found = [block for path in PAGES if path.parent == DOCS for block in blocks(path.read_text("utf-8"), "console")]
    assert found
    for block in found:
        parts = re.split(r"^\$ gpuenv (.*)\n", block, flags=re.MULTILINE)
        for command, shown in zip(parts[1::2], parts[2::2], strict=True):
            main(shlex.split(command))
            assert capsys.readouterr().out == shown, command


def test_short_forms_of_machines_are_understood() -> None:
    """Each line of the examples is a machine."""
    (examples,) = blocks(page("machines.md"), "text")
    assert len(examples.splitlines()) > 5
    for line in examples.splitlines():
        parse_machine(line)


def test_machine_files_are_understood(tmp_path: Path) -> None:
    """Each TOML file of the page is a machine with a GPU and a driver."""
    for number, text in enumerate(blocks(page("machines.md"), "toml")):
        path = tmp_path / f"machine{number}.toml"
        path.write_text(text)
        machine = load_machine(path)
        assert machine.nvidia_gpus
        assert machine.driver.version


def test_specs_are_understood() -> None:
    """Each spec of the page is read as a package of the catalog, a Python or a plain requirement."""
    specs = [re.split(r"  +", line)[0] for block in blocks(page("specs.md"), "text") for line in block.splitlines()]
    assert len(specs) > 10
    for spec in specs:
        wanted = read_specs((spec, "iniconfig"))
        assert len(wanted.gpu) + len(wanted.plain) + bool(wanted.python) == 2, spec


def test_build_strings_are_ones_that_the_catalog_makes() -> None:
    """Each build string of the page is that of a build for Linux x86_64 and Python 3.11."""
    made = {
        build.build
        for name in project_names()
        if (project := find_project(name))
        for build in builds_of(project, "linux-x86_64", "3.11")
    }
    shown = set(re.findall(r"`(\w+_0)`", page("specs.md")))
    assert len(shown) > 8
    assert shown <= made


def test_the_example_of_a_catalog_file_is_a_project() -> None:
    """What the how-to shows can be read as it stands, and is the file that it says."""
    (text,) = blocks(page("add-a-package.md"), "toml")
    project = from_builtins(tomllib.loads(text), Project)
    assert project == find_project(project.name)
