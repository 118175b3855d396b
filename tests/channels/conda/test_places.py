"""Words that users have for channels become addresses as conda makes them, and no login is ever shown."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rattler import Channel, Gateway, Subdir
from rattler.exceptions import GatewayError

from gpuenv.channels.conda.client import client_for
from gpuenv.channels.conda.condarc import Condarc
from gpuenv.channels.conda.places import ChannelPlace, resolve_channels, without_secrets
from gpuenv.channels.conda.running import run_rattler
from gpuenv.errors import RequestError
from loopback_server import serving

MIRROR = Condarc(channel_alias="https://mirror.invalid/conda/")
BASE = Path("/srv/team/here")


def resolve(*words: str, condarc: Condarc = MIRROR, base: Path = BASE, **environ: str) -> tuple[ChannelPlace, ...]:
    """The places of some words, without the configuration of this computer."""
    return resolve_channels(words, environ={"HOME": "/home/me", **environ}, condarc=condarc, base=base)


def addresses(*words: str, condarc: Condarc = MIRROR) -> list[str]:
    """Their addresses."""
    return [place.address for place in resolve(*words, condarc=condarc)]


@pytest.mark.parametrize("name", ["conda-forge", "nvidia/label/cuda-12.4.0", "team/dev", "r_x.y"])
def test_names_are_behind_the_alias(name: str) -> None:
    """The setting where there is one, else conda's own default, which rattler knows."""
    (place,) = resolve(name)
    assert (place.name, place.address) == (name, f"https://mirror.invalid/conda/{name}")
    (usual,) = resolve(name, condarc=Condarc())
    assert usual.address == Channel(name).base_url.rstrip("/")
    assert usual.printable == usual.address
    assert usual.path is None


@pytest.mark.parametrize(
    ("word", "address"),
    [
        ("conda-forge/linux-64", "https://mirror.invalid/conda/conda-forge"),
        ("conda-forge/noarch", "https://mirror.invalid/conda/conda-forge"),
        ("conda-forge/", "https://mirror.invalid/conda/conda-forge"),
        ("nvidia/label/dev/win-arm64", "https://mirror.invalid/conda/nvidia/label/dev"),
        ("https://other.invalid/a/b/osx-arm64/", "https://other.invalid/a/b"),
        ("HTTPS://other.invalid/a", "https://other.invalid/a"),
        ("http://127.0.0.1:8000/a//", "http://127.0.0.1:8000/a"),
        ("https://other.invalid/a?b=c#d", "https://other.invalid/a"),
        ("s3://bucket/channel", "s3://bucket/channel"),
        ("oci://registry.invalid/channel", "oci://registry.invalid/channel"),
        ("file:///srv/channel/", "file:///srv/channel"),
        ("file:///srv/channel/linux-64", "file:///srv/channel"),
        ("file:///srv/a%20b", "file:///srv/a%20b"),
        ("file://localhost/srv/a", "file:///srv/a"),
        ("/srv/channel/../other/", "file:///srv/other"),
        ("/srv/channel/noarch", "file:///srv/channel"),
        ("./channel", "file:///srv/team/here/channel"),
        ("../channel", "file:///srv/team/channel"),
        (".", "file:///srv/team/here"),
        ("~/channel", "file:///home/me/channel"),
        ("~", "file:///home/me"),
        (r"C:\channels\mine", "file:///C:/channels/mine"),
        ("c:/channels/mine/win-64", "file:///c:/channels/mine"),
        ("file:///C:/channels/mine", "file:///C:/channels/mine"),
        (r"\\server\share\channel", "file://server/share/channel"),
    ],
)
def test_addresses_and_paths(word: str, address: str) -> None:
    """A platform at the end is left away; relative paths start at the base."""
    assert addresses(word) == [address]


def test_every_platform_at_the_end_is_left_away() -> None:
    """Those that rattler knows, which are those of conda and some more."""
    for subdir in Subdir.all():
        assert addresses(f"team/{subdir}", f"/srv/c/{subdir}") == ["https://mirror.invalid/conda/team", "file:///srv/c"]
    assert addresses("team/linux-66") == ["https://mirror.invalid/conda/team/linux-66"]


def test_a_directory_beside_is_meant_only_by_a_path(tmp_path: Path) -> None:
    """As in conda a bare word is a name, even where a directory of that name is there."""
    (tmp_path / "conda-forge" / "noarch").mkdir(parents=True)
    named, meant = resolve("conda-forge", "./conda-forge", base=tmp_path)
    assert named.address == "https://mirror.invalid/conda/conda-forge"
    assert meant.path == tmp_path / "conda-forge"
    assert meant.name == str(tmp_path / "conda-forge")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1).filter(str.isprintable))
def test_any_directory_can_be_named(name: str) -> None:
    """Whatever characters a directory's name has, its address leads back to it."""
    if name in {".", ".."} or name.endswith((".conda", ".tar.bz2")) or name.strip() != name:
        return
    if resolve(f"/srv/x/{name}") == resolve("/srv/x"):
        return  # A platform.
    (place,) = resolve(f"/srv/{name}")
    assert place.path == Path("/srv", name)
    assert resolve(place.address) == (place,)


def test_each_channel_counts_once_in_order_of_first_mention() -> None:
    """Order is priority."""
    found = resolve("b", "a", "https://mirror.invalid/conda/b", "c", "a/linux-64")
    assert [place.name for place in found] == ["b", "a", "c"]


CUSTOM = Condarc(
    channel_alias="https://mirror.invalid",
    custom_channels={
        "team": "https://me:pw@team.invalid/conda",
        "team/secret": "https://secret.invalid",
        "disk": "/srv/channels",
        "of-file": "file:///srv/files",
    },
    default_channels=("https://mirror.invalid/pkgs/main", "https://x.invalid/pkgs/r", "msys2"),
    custom_multichannels={"both": ("team", "https://one.invalid/c", "plain"), "defaults": ("never",)},
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("team", ["https://team.invalid/conda/team"]),
        ("team/label/dev", ["https://team.invalid/conda/team/label/dev"]),
        ("team/secret", ["https://secret.invalid/team/secret"]),
        ("team/secret/linux-64", ["https://secret.invalid/team/secret"]),
        ("teams", ["https://mirror.invalid/teams"]),
        ("disk", ["file:///srv/channels/disk"]),
        ("of-file", ["file:///srv/files/of-file"]),
        ("pkgs/r", ["https://x.invalid/pkgs/r"]),
        (
            "defaults",
            ["https://mirror.invalid/pkgs/main", "https://x.invalid/pkgs/r", "https://mirror.invalid/msys2"],
        ),
        ("both", ["https://team.invalid/conda/team", "https://one.invalid/c", "https://mirror.invalid/plain"]),
        ("both/noarch", ["https://team.invalid/conda/team", "https://one.invalid/c", "https://mirror.invalid/plain"]),
    ],
)
def test_names_that_the_configuration_knows(word: str, expected: list[str]) -> None:
    """`custom_channels` by the longest beginning, `default_channels`, `custom_multichannels`, then the alias."""
    assert addresses(word, condarc=CUSTOM) == expected


def test_an_address_is_called_by_its_name_and_gets_its_login() -> None:
    """Of what the configuration knows the address suffices."""
    (place,) = resolve("https://team.invalid/conda/team/label/dev", condarc=CUSTOM)
    assert place.name == "team/label/dev"
    assert place.fetch_address == "https://me:pw@team.invalid/conda/team/label/dev"
    (own,) = resolve("https://you:other@team.invalid/conda/team", condarc=CUSTOM)
    assert own.fetch_address == "https://you:other@team.invalid/conda/team"
    (foreign,) = resolve("https://else.invalid/team", condarc=CUSTOM)
    assert foreign.name == foreign.address == foreign.fetch_address


def test_defaults_without_a_setting_are_refused() -> None:
    """Nobody guesses an address; the setting is named."""
    with pytest.raises(RequestError, match="`defaults`") as caught:
        resolve("defaults")
    assert "default_channels" in caught.value.hints[0]


def test_own_builds_are_the_channel_local(tmp_path: Path) -> None:
    """Where conda-build leaves packages, as far as these directories are there."""
    root, home = tmp_path / "root", tmp_path / "home"
    with pytest.raises(RequestError, match="`local` is not there"):
        resolve("local", CONDA_ROOT=str(root), HOME=str(home))
    for directory in (root / "conda-bld", home / "conda-bld", tmp_path / "own"):
        directory.mkdir(parents=True)
    found = resolve("local", CONDA_ROOT=str(root), HOME=str(home))
    assert [place.path for place in found] == [root / "conda-bld", home / "conda-bld"]
    condarc = Condarc(local_builds=(str(tmp_path / "own"),))
    found = resolve("local", condarc=condarc, HOME=str(home))
    assert [place.path for place in found] == [tmp_path / "own", home / "conda-bld"]


@pytest.mark.parametrize(
    "word",
    [
        "",
        "  ",
        "two words",
        "a,b",
        "a=1.0",
        "a//b",
        "git+https://host.invalid/x",
        "ftp://host.invalid/x",
        "https://",
        "https:///path",
        "https://host.invalid:port/x",
        "https://[::1/x",
        "file:",
        "file://",
        "a\nb",
        "x" * 5000,
        "https://host.invalid/c/linux-64/a-1-0.conda",
        "me:pw@host.invalid/c",
    ],
)
def test_words_that_name_no_channel(word: str) -> None:
    """They are refused with what to do, and without what may be a password."""
    with pytest.raises(RequestError) as caught:
        resolve(word)
    told = " ".join((caught.value.message, *caught.value.reasons, *caught.value.hints))
    assert "pw" not in told
    assert len(told) < 500


def test_allowed_and_denied_channels_are_obeyed() -> None:
    """An administrator's lists hold for names, addresses and joint names alike."""
    allowed = Condarc(channel_alias="https://mirror.invalid", allowlist_channels=("a", "https://b.invalid/c"))
    assert addresses("https://mirror.invalid/a", "https://b.invalid/c", condarc=allowed)
    with pytest.raises(RequestError, match="`x` is not allowed here") as caught:
        resolve("a", "x", condarc=allowed)
    assert "allowlist_channels" in caught.value.reasons[0]
    denied = Condarc(channel_alias="https://mirror.invalid", denylist_channels=("defaults",), default_channels=("m",))
    assert addresses("a", condarc=denied)
    with pytest.raises(RequestError, match="`m` is not allowed here") as caught:
        resolve("https://u:p@mirror.invalid/m", condarc=denied)
    assert "denylist_channels" in caught.value.reasons[0]


@pytest.mark.parametrize(
    ("full", "plain"),
    [
        ("https://me:pw@host.invalid/c", "https://host.invalid/c"),
        ("https://host.invalid:80/t/tk-123/c/", "https://host.invalid:80/c/"),
        ("https://host.invalid/conda/t/tk-123/c/noarch/a.conda", "https://host.invalid/conda/c/noarch/a.conda"),
        ("https://host.invalid/t/********/c/", "https://host.invalid/c/"),
        ("https://host.invalid/c?token=1#x", "https://host.invalid/c"),
        ("s3://key:pw@bucket/c", "s3://bucket/c"),
        ("file:///home/t/me/c", "file:///home/t/me/c"),
        ("/home/t/me/c", "/home/t/me/c"),
        ("conda-forge", "conda-forge"),
        ("", ""),
    ],
)
def test_secrets_are_taken_out(full: str, plain: str) -> None:
    """User, password, token and query; nothing of paths, which may have a `t` in them."""
    assert without_secrets(full) == plain
    assert without_secrets(plain) == plain


@pytest.mark.parametrize("word", ["https://me:pw-99@host.invalid/c", "https://host.invalid/t/pw-99/c"])
def test_no_login_is_in_what_is_shown(word: str) -> None:
    """Name, address and repr are safe; only the address to fetch from has the login."""
    (place,) = resolve(word)
    assert place.address == "https://host.invalid/c"
    assert place.fetch_address == word
    assert "pw-99" not in f"{place!r} {place.name} {place.printable}"
    (named,) = resolve("c", condarc=Condarc(channel_alias=word.removesuffix("/c")))
    assert named.fetch_address == word
    assert "pw-99" not in repr(named)


# ---- reading with logins ---------------------------------------------------------------------------------------

REPODATA = json.dumps(
    {
        "info": {"subdir": "noarch"},
        "packages": {},
        "packages.conda": {
            "foo-1-0.conda": {"name": "foo", "version": "1", "build": "0", "build_number": 0, "depends": []}
        },
    }
).encode()


class Demanding(BaseHTTPRequestHandler):
    """Gives repodata to whoever shows the right login, in the way that the path asks for."""

    demands: ClassVar[dict[str, str]] = {
        "/basic/": "Basic " + base64.b64encode(b"me:p@w").decode(),
        "/bearer/": "Bearer pw-99",
    }

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        """The same without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """401 for the wrong login, 404 for what is not there."""
        demanded = next((login for start, login in self.demands.items() if self.path.startswith(start)), None)
        if demanded and self.headers.get("Authorization") != demanded:
            return self._answer(401, b"")
        is_there = demanded is not None or self.path.startswith("/t/pw-99/") or "proxied.invalid" in self.path
        found = is_there and self.path.endswith("/noarch/repodata.json")
        return self._answer(200, REPODATA) if found else self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def names_in(place: ChannelPlace, cache: Path, condarc: Condarc = MIRROR) -> list[str]:
    """The names of the packages called foo that rattler finds in a channel."""
    gateway = Gateway(cache_dir=cache, client=client_for(condarc))
    found = run_rattler(gateway.query([place.fetch_address], ["noarch"], ["foo"], recursive=False))
    return [record.name.normalized for records in found for record in records]


@pytest.fixture
def server() -> Iterator[str]:
    """The host and port of a server that wants logins."""
    with serving(Demanding) as host:
        yield host


def test_a_login_or_token_in_the_address_is_shown_to_the_server(server: str, tmp_path: Path) -> None:
    """User and password become basic authentication; a token stays in the path."""
    (basic,) = resolve(f"http://me:p%40w@{server}/basic/c")
    (token,) = resolve(f"http://{server}/t/pw-99/c")
    assert names_in(basic, tmp_path / "1") == ["foo"]
    assert names_in(token, tmp_path / "2") == ["foo"]


def test_the_server_of_these_tests_does_refuse(server: str, tmp_path: Path) -> None:
    """Without a login, or with a wrong one, there is nothing to read."""
    for word in (f"http://{server}/basic/c", f"http://me:wrong@{server}/basic/c", f"http://{server}/t/wrong/c"):
        (place,) = resolve(word)
        with pytest.raises(GatewayError):
            names_in(place, tmp_path)


@pytest.mark.parametrize(
    ("path", "login"),
    [
        ("basic/c", {"BasicHTTP": {"username": "me", "password": "p@w"}}),
        ("bearer/c", {"BearerToken": "pw-99"}),
        ("c", {"CondaToken": "pw-99"}),
    ],
)
def test_logins_are_taken_from_rattlers_file(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, login: dict[str, object]
) -> None:
    """RATTLER_AUTH_FILE, as `rattler auth login` writes it: basic, bearer and conda tokens."""
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({server.partition(":")[0]: login}), "utf-8")
    monkeypatch.setenv("RATTLER_AUTH_FILE", str(file))
    (place,) = resolve(f"http://{server}/{path}")
    assert names_in(place, tmp_path / "cache") == ["foo"]


def test_logins_are_taken_from_netrc(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that NETRC names."""
    file = tmp_path / "netrc"
    file.write_text(f"machine {server.partition(':')[0]} login me password p@w\n", "utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.delenv("RATTLER_AUTH_FILE", raising=False)
    (place,) = resolve(f"http://{server}/basic/c")
    assert names_in(place, tmp_path / "cache") == ["foo"]


def test_condas_proxy_is_used(server: str, tmp_path: Path) -> None:
    """A host that does not exist answers through the proxy."""
    (place,) = resolve("http://proxied.invalid/c")
    assert names_in(place, tmp_path, Condarc(proxy_servers={"http": f"http://{server}"})) == ["foo"]


def test_a_proxy_that_is_no_address_is_told_without_its_password() -> None:
    """The setting is named."""
    with pytest.raises(RequestError, match="`proxy_servers`") as caught:
        client_for(Condarc(proxy_servers={"https": "http://me:pw-99@["}))
    assert caught.value.__cause__ is None
    assert "pw-99" not in str(caught.value)


@contextmanager
def serving_tls(directory: Path) -> Iterator[str]:
    """A server whose certificate an authority of its own signed, which is in `ca.pem`."""
    (directory / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n", "utf-8")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    signing = ("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key")
    for command in (
        ("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority"),
        ("req", *new, "-keyout", "key.pem", "-out", "request", "-subj", "/CN=localhost"),
        (*signing, "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", "cert.pem"),
    ):
        subprocess.run(("openssl", *command), cwd=directory, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Demanding)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.skipif(which("openssl") is None, reason="certificates are made with openssl, which is not here")
def test_own_certificates_are_trusted_or_not_looked_at(tmp_path: Path) -> None:
    """`ssl_verify` as a file, and as false."""
    with serving_tls(tmp_path) as host:
        (place,) = resolve(f"https://{host}/t/pw-99/c")
        assert names_in(place, tmp_path / "1", Condarc(ssl_verify=str(tmp_path / "ca.pem"))) == ["foo"]
        assert names_in(place, tmp_path / "2", Condarc(ssl_verify=False)) == ["foo"]


def test_certificates_that_are_not_there_are_told() -> None:
    """The setting is named, with the file."""
    with pytest.raises(RequestError, match="`ssl_verify`") as caught:
        client_for(Condarc(ssl_verify="/nowhere/ca.pem"))
    assert "/nowhere/ca.pem" in caught.value.reasons[0]
