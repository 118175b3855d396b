"""conda's configuration files are read where conda looks for them, and count as its documentation says."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gpuenv.channels.conda.condarc import Condarc, read_condarc
from gpuenv.channels.conda.condarc_files import condarc_files, read_entries
from gpuenv.errors import FormatError, UnavailableError

NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), unique=True, max_size=5)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home directory."""
    path = tmp_path / "home"
    path.mkdir()
    return path


def write(path: Path, text: str) -> Path:
    """A file with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def read(home: Path, **environ: str) -> Condarc:
    """The configuration of a user with this home directory and these variables."""
    return read_condarc(environ, home=home)


def test_without_files_nothing_is_set_and_priority_is_strict(home: Path) -> None:
    """Nobody who has no conda is asked for anything."""
    condarc = read(home)
    assert not condarc.channels
    assert condarc.channel_alias is None
    assert condarc.default_channels is None
    assert condarc.channel_priority == "strict"
    assert condarc.ssl_verify is True
    assert not condarc.offline
    assert condarc.add_pip_as_python_dependency


def test_every_key_that_matters_is_read(home: Path) -> None:
    """The keys with their kinds, under conda's names; others are passed over."""
    write(
        home / ".condarc",
        """
channels: [conda-forge, nvidia]
channel_alias: https://mirror.invalid/conda
default_channels:
- https://mirror.invalid/pkgs/main
custom_channels:
  team: https://team.invalid/conda
custom_multichannels:
  both:
    - one
    - two
channel_priority: flexible
allowlist_channels: [one]
denylist_channels: [two]
channel_settings:
  - channel: https://team.invalid/*
    auth: http-basic
ssl_verify: no
proxy_servers:
  https: http://proxy.invalid:8080
  http:
offline: true
subdirs: [linux-64, noarch]
add_pip_as_python_dependency: false
changeps1: {a: [1, 2, {b: c}]}
always_yes: ~
""",
    )
    condarc = read(home)
    assert condarc.channels == ("conda-forge", "nvidia")
    assert condarc.channel_alias == "https://mirror.invalid/conda"
    assert condarc.default_channels == ("https://mirror.invalid/pkgs/main",)
    assert condarc.custom_channels == {"team": "https://team.invalid/conda"}
    assert condarc.custom_multichannels == {"both": ("one", "two")}
    assert condarc.channel_priority == "flexible"
    assert condarc.allowlist_channels == ("one",)
    assert condarc.denylist_channels == ("two",)
    assert condarc.channel_settings == ({"channel": "https://team.invalid/*", "auth": "http-basic"},)
    assert condarc.ssl_verify is False
    assert condarc.proxy_servers == {"https": "http://proxy.invalid:8080"}
    assert condarc.offline
    assert condarc.subdirs == ("linux-64", "noarch")
    assert not condarc.add_pip_as_python_dependency
    assert condarc.files == (home / ".condarc",)


def test_files_are_found_where_conda_looks_weakest_first(home: Path, tmp_path: Path) -> None:
    """The order of conda's documentation, `condarc.d` by name, and no file twice."""
    root, prefix, xdg = tmp_path / "root", tmp_path / "prefix", tmp_path / "xdg"
    expected = [
        write(root / ".condarc", ""),
        write(root / "condarc", ""),
        write(root / "condarc.d" / "10-a.yml", ""),
        write(root / "condarc.d" / "20-b.yaml", ""),
        write(xdg / "conda" / "condarc", ""),
        write(home / ".config" / "conda" / ".condarc", ""),
        write(home / ".conda" / ".condarc", ""),
        write(home / ".condarc", ""),
        write(prefix / ".condarc", ""),
        write(tmp_path / "own.yml", ""),
    ]
    write(root / "condarc.d" / "README", "no YAML: [")
    environ = {
        "CONDA_ROOT": str(root),
        "CONDA_PREFIX": str(prefix),
        "XDG_CONFIG_HOME": str(xdg),
        "CONDARC": str(tmp_path / "own.yml"),
    }
    found = [path for path in condarc_files(environ, home) if tmp_path in path.parents]
    assert found == expected


def test_the_base_installation_is_beside_the_conda_program(home: Path, tmp_path: Path) -> None:
    """Users have CONDA_EXE set, hardly ever CONDA_ROOT."""
    write(tmp_path / "root" / ".condarc", "channels: [of-root]")
    assert read(home, CONDA_EXE=str(tmp_path / "root" / "bin" / "conda")).channels == ("of-root",)
    assert read(home, CONDA_EXE="conda").channels == ()


def test_a_named_file_that_is_missing_is_no_error(home: Path) -> None:
    """CONDARC may name a file that is not there, as for conda; one with `~` is in the home directory."""
    assert read(home, CONDARC="/nowhere/condarc").channels == ()
    write(home / "own.yml", "channels: [mine]")
    assert read(home, CONDARC="~/own.yml").channels == ("mine",)


def layers(home: Path, *texts: str) -> dict[str, str]:
    """Up to three files, weakest first, and the variables that name them."""
    places = [home / "root" / ".condarc", home / ".condarc", home / "prefix" / ".condarc"]
    for place, text in zip(places, texts, strict=False):
        write(place, text)
    return {"CONDA_ROOT": str(home / "root"), "CONDA_PREFIX": str(home / "prefix")}


def test_single_values_are_the_strongest_files(home: Path) -> None:
    """The file nearer to the end of the search counts, unless one before it says `#!final`."""
    weak, strong = "channel_priority: disabled", "channel_priority: strict"
    assert read(home, **layers(home, weak, strong)).channel_priority == "strict"
    assert read(home, **layers(home, f"{weak}  #!final", strong)).channel_priority == "disabled"
    assert read(home, **layers(home, f"{weak}  # !final", strong)).channel_priority == "strict"


def test_lists_are_joined_strongest_first(home: Path) -> None:
    """What comes first in several files keeps its place in the strongest."""
    condarc = read(home, **layers(home, "channels: [a, b]", "channels: [c, a]", "channels: [d]"))
    assert condarc.channels == ("d", "c", "a", "b")


def test_flags_move_items_to_the_top_and_the_bottom(home: Path) -> None:
    """The administrator's `#!top` goes before the user's channels, the user's `#!bottom` behind all."""
    weak = "channels:\n  - a\n  - must  #!top\n"
    strong = "channels:\n  - c #!bottom\n  - d\n"
    assert read(home, **layers(home, weak, strong)).channels == ("must", "d", "a", "c")


def test_a_final_list_keeps_stronger_ones_out(home: Path) -> None:
    """`#!final` beside the key, whether the list is below it or in brackets."""
    for weak in ("channels: #!final\n  - a\n", "channels: [a]  #!final\n", "channels:   #!final\n- a\n"):
        assert read(home, **layers(home, weak, "channels: [b]")).channels == ("a",)


def test_maps_are_joined_key_by_key(home: Path) -> None:
    """The strongest value of each key, unless a weaker file says `#!final` beside it."""
    weak = "custom_channels:\n  a: https://one.invalid  #!final\n  b: https://one.invalid\n"
    strong = "custom_channels: {a: https://two.invalid, b: https://two.invalid, c: https://two.invalid}"
    assert read(home, **layers(home, weak, strong)).custom_channels == {
        "a": "https://one.invalid",
        "b": "https://two.invalid",
        "c": "https://two.invalid",
    }


@given(lists=st.lists(NAMES, min_size=1, max_size=3))
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_joined_lists_hold_each_item_once_in_the_order_of_the_strongest(home: Path, lists: list[list[str]]) -> None:
    """Without flags the answer is the concatenation from the strongest on, repetitions left out."""
    texts = [f"channels: [{', '.join(one)}]" for one in lists]
    texts += [""] * (3 - len(texts))
    wanted = tuple(dict.fromkeys(name for one in reversed(lists) for name in one))
    assert read(home, **layers(home, *texts)).channels == wanted


def test_variables_are_stronger_than_files(home: Path) -> None:
    """The variables of conda; channels are divided by commas and go before those of the files."""
    write(home / ".condarc", "channels: [a, b]\nchannel_priority: strict\nssl_verify: true\noffline: false")
    condarc = read(
        home,
        CONDA_CHANNELS="c, b",
        CONDA_CHANNEL_PRIORITY="flexible",
        CONDA_CHANNEL_ALIAS="https://mirror.invalid",
        CONDA_OFFLINE="1",
        CONDA_SSL_VERIFY="false",
    )
    assert condarc.channels == ("c", "b", "a")
    assert condarc.channel_priority == "flexible"
    assert condarc.channel_alias == "https://mirror.invalid"
    assert condarc.offline
    assert condarc.ssl_verify is False
    assert read(home, CONDA_SSL_VERIFY="/etc/ca.pem").ssl_verify == "/etc/ca.pem"
    assert read(home, CONDA_CHANNELS="", CONDA_OFFLINE="").channels == ("a", "b")


def test_variables_inside_values_are_replaced(home: Path) -> None:
    """`${NAME}` and `$NAME` as in conda; what is not set stays as it stands."""
    write(home / ".condarc", "channels: ['https://$USER_:${TOKEN}@host.invalid/c', '$NOWHERE/x']")
    condarc = read(home, TOKEN="s3cret", USER_="me")
    assert condarc.channels == ("https://me:s3cret@host.invalid/c", "$NOWHERE/x")
    assert "s3cret" not in repr(condarc)


def test_older_names_of_keys_and_values(home: Path) -> None:
    """`whitelist_channels`, `verify_ssl`, and a priority that is true or false."""
    write(home / ".condarc", "whitelist_channels: [a]\nverify_ssl: false\nchannel_priority: false")
    condarc = read(home)
    assert condarc.allowlist_channels == ("a",)
    assert condarc.ssl_verify is False
    assert condarc.channel_priority == "disabled"
    write(home / ".condarc", "channel_priority: yes")
    assert read(home).channel_priority == "flexible"


@pytest.mark.parametrize("text", ["", "# nothing\n", "~\n", "channels:\n", "channels: ~\ncustom_channels:\n", "\ufeff"])
def test_empty_files_and_values_say_nothing(home: Path, text: str) -> None:
    """`conda config --remove` leaves such files behind."""
    write(home / ".condarc", text)
    assert read(home) == Condarc(files=(home / ".condarc",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("channels:\n  - a\n - b\n", 3),
        ("a: b\nchannels: [a, b\n", 3),
        ("channels: a\n", 1),
        ("\nchannels:\n  - a\n  - b: [c]\n", 4),
        ("offline: true\n\nchannel_priority: sometimes\n", 3),
        ("offline: perhaps\n", 1),
        ("custom_channels: [a]\n", 1),
        ("channel_settings: [a]\n", 1),
        ("channels: [a]\nchannels: [b]\n", 2),
        ("- a\n", 1),
        ("just words\n", 1),
        ("a: b\n---\nc: d\n", 2),
        ("a: *nothing\n", 1),
    ],
)
def test_a_broken_file_is_named_with_its_line(home: Path, text: str, line: int) -> None:
    """A file whose settings cannot be known stops the work, since it may say where packages must not come from."""
    path = write(home / ".condarc", text)
    with pytest.raises(FormatError) as caught:
        read(home)
    assert f"`{path}`, line {line}:" in caught.value.message
    assert caught.value.hints


def test_a_variable_of_the_wrong_kind_is_named(home: Path) -> None:
    """There is no line in a variable."""
    with pytest.raises(FormatError, match=r"^`CONDA_CHANNEL_PRIORITY`: "):
        read(home, CONDA_CHANNEL_PRIORITY="sometimes")


def test_bytes_that_are_no_text_are_a_format_error(home: Path) -> None:
    """With the line of the first wrong byte."""
    (home / ".condarc").write_bytes(b"channels: [a]\n# caf\xe9\n")
    with pytest.raises(FormatError, match="line 2: it is not text in UTF-8"):
        read(home)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="whoever may read everything is never refused")
def test_a_file_that_may_not_be_read_is_told(home: Path) -> None:
    """Its settings would be missing in silence otherwise."""
    write(home / ".condarc", "channels: [a]").chmod(0)
    with pytest.raises(UnavailableError, match=r"\.condarc` cannot be read"):
        read(home)


def test_hostile_files_end_in_time(home: Path) -> None:
    """A file of aliases on aliases, one nested without end and one of a megabyte and more: no hang, no crash."""
    wide = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    wide += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    begun = time.monotonic()
    write(home / ".condarc", "\n".join(wide) + "\nchannels: *a0")
    assert read(home).channels == ("x",)
    for text in ("channels: " + "[" * 100_000, "{" * 5000, "channels: [a]\n" + "#" * (1 << 20)):
        write(home / ".condarc", text)
        with pytest.raises(FormatError):
            read(home)
    assert time.monotonic() - begun < 5


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_entries_or_a_format_error(tmp_path: Path, content: bytes) -> None:
    """No other exception escapes the reader."""
    path = tmp_path / ".condarc"
    path.write_bytes(content)
    with suppress(FormatError):
        assert isinstance(read_entries(path), dict)
