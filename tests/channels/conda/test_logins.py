"""Which of the logins that rattler keeps in files is for an address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuenv.channels.conda.logins import logged_in

BASIC = {"BasicHTTP": {"username": "ada", "password": "pw"}}


def stored(tmp_path: Path, content: object) -> dict[str, str]:
    """The variables of a user who has this in the file that RATTLER_AUTH_FILE names."""
    file = tmp_path / "auth.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return {"RATTLER_AUTH_FILE": str(file), "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}


@pytest.mark.parametrize(
    ("host", "kept", "address", "credentials"),
    [
        ("host.invalid", BASIC, "https://host.invalid/c/x.conda", ("ada", "pw")),
        ("*.host.invalid", BASIC, "https://a.b.host.invalid:8443/c/x.conda", ("ada", "pw")),
        ("host.invalid", {"BearerToken": "tok"}, "https://host.invalid/c/x.conda", "tok"),
        ("host.invalid", {"OAuth": {"access_token": "tok"}}, "https://host.invalid/c/x.conda", "tok"),
        ("other.invalid", BASIC, "https://host.invalid/c/x.conda", None),
        ("host.invalid", {"S3Credentials": {}}, "https://host.invalid/c/x.conda", None),
        ("host.invalid", BASIC, "https://me:mine@host.invalid/c/x.conda", None),
        ("host.invalid", BASIC, "https://host.invalid/t/mine/c/x.conda", None),
        ("host.invalid", BASIC, "file:///host.invalid/c/x.conda", None),
    ],
)
def test_what_is_shown_to_a_server(tmp_path: Path, host: str, kept: object, address: str, credentials: object) -> None:
    """By host or a domain above it; what the address has already goes before."""
    assert logged_in(address, environ=stored(tmp_path, {host: kept})) == (address, credentials)


def test_a_token_of_condas_becomes_part_of_the_address(tmp_path: Path) -> None:
    """As `conda-token` puts it: `/t/TOKEN` before the channel."""
    environ = stored(tmp_path, {"host.invalid": {"CondaToken": "tok"}})
    assert logged_in("https://host.invalid/c/x.conda", environ=environ) == (
        "https://host.invalid/t/tok/c/x.conda",
        None,
    )


def test_rattlers_own_file(tmp_path: Path) -> None:
    """`~/.rattler/credentials.json`, after the one that is named."""
    own = tmp_path / ".rattler" / "credentials.json"
    own.parent.mkdir()
    own.write_text(json.dumps({"host.invalid": {"BearerToken": "own"}, "b.invalid": {"BearerToken": "own"}}))
    environ = stored(tmp_path, {"host.invalid": {"BearerToken": "named"}})
    assert logged_in("https://host.invalid/x", environ=environ)[1] == "named"
    assert logged_in("https://b.invalid/x", environ=environ)[1] == "own"


@given(
    st.one_of(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["host.invalid", *BASIC, "BearerToken", "CondaToken", "OAuth"]), inner
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_broken_files_have_no_logins(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    """Whatever is in the file, an address comes back that a client can ask."""
    environ = stored(tmp_path_factory.mktemp("logins"), content)
    assert logged_in("https://host.invalid/c", environ=environ)[0].startswith("https://host.invalid/")
