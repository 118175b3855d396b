"""Files on a server: what is asked, what a server may do wrong, and what the user is told."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifacts.range_server import Ranges, RangeServer, Reply
from gpuenv._net import Address, Client, Patience, open_remote
from gpuenv.errors import FormatError, GpuenvError, IntegrityError, RequestError, UnavailableError

CONTENT = random.Random(7).randbytes(300_000)
QUICK = Patience(connect_seconds=2.0, read_seconds=2.0, backoff_seconds=0.005, longest_pause_seconds=0.02)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """One file of 300 kB."""
    with RangeServer({"x/a file.whl": CONTENT}) as running:
        yield running


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client that does not wait long, and finds no proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Client(patience=QUICK) as made:
        yield made


def spoil(number: int, how: Callable[[Reply], None]) -> Callable[[int, Reply], None]:
    """Spoils the request of this number and those after it."""

    def change(at: int, reply: Reply) -> None:
        if at >= number:
            how(reply)

    return change


# ---- what is asked -------------------------------------------------------------------------------------------


def test_opening_is_one_request_and_the_end_is_not_asked_for_again(server: RangeServer, client: Client) -> None:
    """The size and the last 64 KiB come with the first request; only what is before them needs another."""
    file = client.open(server.address("x/a%20file.whl", query="token=secret"))
    assert (file.name, file.size_bytes) == ("a file.whl", len(CONTENT))
    assert file.location == f"http://{server.host}/x/a%20file.whl"
    assert file.read(len(CONTENT) - 65536, len(CONTENT)) == CONTENT[-65536:]
    assert server.asked == ["bytes=-65536"]
    assert file.read(200_000, 290_000) == CONTENT[200_000:290_000]
    assert server.asked[1:] == [f"bytes=200000-{len(CONTENT) - 65536 - 1}"]
    assert file.fetched_bytes == server.sent_bytes == 65536 + len(CONTENT) - 65536 - 200_000
    assert server.headers[1]["If-Range"] == '"one"'
    assert server.headers[0]["User-Agent"].startswith("gpuenv/")


@given(bounds=st.tuples(st.integers(0, 300_000), st.integers(0, 300_000)), ranges=st.sampled_from(["all", "none"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_range_is_what_it_says(
    server: RangeServer, client: Client, bounds: tuple[int, int], ranges: Ranges
) -> None:
    """`read` and the chunks of `stream` are the bytes asked for, whether the server gives ranges or not."""
    server.ranges = ranges
    start, stop = sorted(bounds)
    with client.open(server.address("x/a%20file.whl")) as file:
        assert file.read(start, stop) == CONTENT[start:stop]
        assert b"".join(file.stream(start, stop)) == CONTENT[start:stop]


def test_past_the_end_there_is_nothing(server: RangeServer, client: Client) -> None:
    """A position past the end is the archive's mistake, and nothing is asked."""
    file = client.open(server.address("x/a%20file.whl"))
    with pytest.raises(FormatError):
        file.read(0, len(CONTENT) + 1)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("ranges", "requests"),
    [("no suffix", 2), ("suffix read as a start", 2), ("suffix refused", 2), ("none", 1), ("refused", 3)],
)
def test_servers_that_know_less_are_read_as_well(
    server: RangeServer, client: Client, ranges: Ranges, requests: int
) -> None:
    """Without suffix ranges the end is asked for by position; without any the whole file comes."""
    server.ranges = ranges
    server.files["big.whl"] = CONTENT * 40
    name = "x/a%20file.whl" if ranges == "none" else "big.whl"
    whole = server.files[name.replace("%20", " ")]
    if ranges == "refused":
        server.change = lambda number, reply: _serve_plain(number, reply, whole)
    with client.open(server.address(name)) as file:
        assert file.size_bytes == len(whole)
        assert len(server.asked) == requests
        assert file.read(1000, 200_000) == whole[1000:200_000]
        assert file.read(len(whole) - 10, len(whole)) == whole[-10:]


def _serve_plain(number: int, reply: Reply, whole: bytes) -> None:
    """What a server that refuses ranges says to a question without one."""
    if number >= 3:
        reply.status, reply.body = 200, whole


def test_a_large_file_without_ranges_is_not_kept_in_memory(server: RangeServer, client: Client) -> None:
    """40 MB from a server that ignores ranges go to a temporary file, which is gone when the file is closed."""
    server.ranges = "none"
    server.files["big.whl"] = whole = CONTENT * 134
    tracemalloc.start()
    with client.open(server.address("big.whl")) as file:
        assert file.size_bytes == len(whole)
        assert sum(map(len, file.stream(0, file.size_bytes))) == len(whole)
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The server is in this process too, and sends in pieces of 1 MiB.
    assert peak < 14 << 20
    with pytest.raises(ValueError, match="closed"):
        file.read(0, 10)


def test_a_client_removes_the_temporary_files_of_what_it_opened(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of files that nobody closed."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.ranges = "none"
    server.files["big.whl"] = CONTENT * 40
    with Client(patience=QUICK) as made:
        file = made.open(server.address("big.whl"))
        assert file.read(0, 3) == CONTENT[:3]
    with pytest.raises(ValueError, match="closed"):
        file.read(0, 3)


def test_an_empty_file_has_no_bytes(server: RangeServer, client: Client) -> None:
    """A server answers 416 to any range of it, and says that its size is 0."""
    server.files["empty.whl"] = b""
    file = client.open(server.address("empty.whl"))
    assert (file.size_bytes, file.read(0, 0)) == (0, b"")


def test_several_threads_read_one_file(server: RangeServer, client: Client) -> None:
    """What was fetched is counted to the byte, whichever thread fetched it."""
    file = client.open(server.address("x/a%20file.whl"))
    results: dict[int, bytes] = {}

    def work(index: int) -> None:
        results[index] = file.read(index * 10_000, (index + 1) * 10_000)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"".join(results[index] for index in range(20)) == CONTENT[:200_000]
    assert file.fetched_bytes == 65536 + 200_000


# ---- a file that is no longer the same -----------------------------------------------------------------------


def test_another_etag_is_a_changed_file(server: RangeServer, client: Client) -> None:
    """The server answers the condition with the whole new file, of which no byte is taken for the old one's."""
    file = client.open(server.address("x/a%20file.whl"))
    server.etag = '"two"'
    with pytest.raises(UnavailableError, match="changed while it was read") as caught:
        file.read(0, 100)
    assert caught.value.hints == ("try again",)


def test_another_etag_of_a_server_without_conditions_is_a_changed_file(server: RangeServer, client: Client) -> None:
    """A server that gives the range whatever the condition is caught by the ETag of its answer."""
    file = client.open(server.address("x/a%20file.whl"))
    server.change = spoil(2, lambda reply: reply.headers.update(ETag='"two"'))
    with pytest.raises(UnavailableError, match="changed while it was read"):
        file.read(0, 100)


@pytest.mark.parametrize("etag", ['"one"', None, 'W/"weak"'])
def test_another_size_is_a_changed_file(server: RangeServer, client: Client, etag: str | None) -> None:
    """Whatever the ETag says, a file of another size is another file."""
    server.etag = etag
    file = client.open(server.address("x/a%20file.whl"))
    server.files["x/a file.whl"] += b"more"
    with pytest.raises(UnavailableError, match="changed while it was read"):
        file.read(0, 100)


def test_a_server_that_takes_each_condition_for_failed_is_read_without(server: RangeServer, client: Client) -> None:
    """It answers `If-Range` with the whole file of the same ETag; the condition is left out from then on."""
    server.understands_if_range = False
    file = client.open(server.address("x/a%20file.whl"))
    assert file.read(0, 100) == CONTENT[:100]
    assert file.read(100, 200) == CONTENT[100:200]
    assert [("If-Range" in headers) for headers in server.headers] == [False, True, False, False]


def test_a_file_that_is_gone_in_the_middle_is_unavailable(server: RangeServer, client: Client) -> None:
    """A 404 after the opening is no wrong question."""
    file = client.open(server.address("x/a%20file.whl"))
    del server.files["x/a file.whl"]
    with pytest.raises(UnavailableError, match="changed while it was read") as caught:
        file.read(0, 100)
    assert "404" in caught.value.reasons[0]


# ---- answers that are wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_range",
    ["", "bytes 0-98/300000", "bytes 1-100/300000", "bytes 99-0/300000", "lines 0-99/7", "bytes 0-99/x"],
)
def test_another_range_than_asked_is_refused(server: RangeServer, client: Client, content_range: str) -> None:
    """Bytes of unknown place are worth nothing."""
    file = client.open(server.address("x/a%20file.whl"))
    server.change = spoil(2, lambda reply: reply.headers.update({"Content-Range": content_range}))
    with pytest.raises(UnavailableError, match="other bytes"):
        file.read(0, 100)


def test_a_server_that_always_gives_the_same_part_cannot_be_read(server: RangeServer, client: Client) -> None:
    """The opening already fails, since the end of the file cannot be had."""
    server.ranges = "other bytes"
    with pytest.raises(UnavailableError, match="something else"):
        client.open(server.address("x/a%20file.whl"))


def test_more_bytes_than_asked_are_refused(server: RangeServer, client: Client) -> None:
    """The header says one thing and the body another."""
    file = client.open(server.address("x/a%20file.whl"))
    server.change = spoil(2, lambda reply: setattr(reply, "body", reply.body + b"x"))
    with pytest.raises(UnavailableError, match="more"):
        file.read(0, 100)


def test_a_compressed_body_is_refused(server: RangeServer, client: Client) -> None:
    """`identity` was asked for; ranges of something else are other bytes."""
    server.change = spoil(1, lambda reply: reply.headers.update({"Content-Encoding": "gzip"}))
    with pytest.raises(UnavailableError, match="another form"):
        client.open(server.address("x/a%20file.whl"))
    assert server.headers[0]["Accept-Encoding"] == "identity"


def test_a_size_other_than_the_index_says_is_refused(server: RangeServer, client: Client) -> None:
    """The index and the server must mean the same file."""
    assert client.open(server.address("x/a%20file.whl"), size_bytes=len(CONTENT)).size_bytes == len(CONTENT)
    with pytest.raises(IntegrityError, match="not the file that the index lists"):
        client.open(server.address("x/a%20file.whl"), size_bytes=5)


@pytest.mark.parametrize("ranges", ["all", "none"])
def test_a_web_page_is_not_a_file(server: RangeServer, client: Client, ranges: Ranges) -> None:
    """A login page or the portal of a guest network is said to be one."""
    server.ranges, server.content_type = ranges, "text/html; charset=utf-8"
    server.files["x/a file.whl"] = b"\n<!DOCTYPE html><html><body>Welcome, guest</body></html>"
    with pytest.raises(UnavailableError, match="web page came instead"):
        client.open(server.address("x/a%20file.whl"))
    with pytest.raises(UnavailableError, match="web page came instead"):
        client.get_bytes(server.address("x/a%20file.whl"), limit=1000)


def test_a_file_served_as_html_that_is_none_is_read(server: RangeServer, client: Client) -> None:
    """The type alone is no proof."""
    server.content_type = "text/html"
    assert client.open(server.address("x/a%20file.whl")).read(0, 9) == CONTENT[:9]


# ---- logins --------------------------------------------------------------------------------------------------


def test_a_login_in_the_address_is_used_and_never_shown(server: RangeServer, client: Client) -> None:
    """Also one with letters outside of Latin-1; no name, message or text of the objects has it."""
    server.login = "ann:s€cret/1"
    file = client.open(server.address("x/a%20file.whl", login="ann:s%E2%82%ACcret%2F1"))
    assert file.read(0, 9) == CONTENT[:9]
    assert "cret" not in file.location + repr(Address.parse("https://a:secret@h/b?k=secret"))
    with client.open(server.address("x/a%20file.whl"), credentials=("ann", "s€cret/1")) as again:
        assert again.size_bytes == len(CONTENT)


@pytest.mark.parametrize(("login", "said"), [("", "wants a login"), ("ann:wrongword", "does not accept the login")])
def test_a_server_that_wants_a_login_is_told_from_one_that_fails(
    server: RangeServer, client: Client, login: str, said: str
) -> None:
    """Exit code 3, with where a login is put."""
    server.login = "ann:secret"
    with pytest.raises(UnavailableError, match=said) as caught:
        client.open(server.address("x/a%20file.whl", login=login, query="key=abc"))
    assert "UV_DEFAULT_INDEX" in caught.value.hints[0]
    told = " ".join((caught.value.message, *caught.value.reasons, *caught.value.hints))
    assert "wrongword" not in told
    assert "abc" not in told
    assert len(server.asked) == 1


def test_a_login_in_netrc_is_found(
    server: RangeServer, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `pip`, `uv` and `curl` find it."""
    server.login = "ann:secret"
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert client.open(server.address("x/a%20file.whl")).size_bytes == len(CONTENT)


def test_a_login_goes_to_no_other_server(server: RangeServer, client: Client) -> None:
    """A redirect to another port is another server; one within the same server keeps the login."""
    with RangeServer({"b.whl": CONTENT}) as other:
        server.redirects = {"a.whl": other.address("b.whl"), "c.whl": "/x/a%20file.whl"}
        assert client.open(server.address("a.whl", login="ann:secret")).name == "a.whl"
        assert "Authorization" in server.headers[0]
        assert "Authorization" not in other.headers[0]
    server.login = "ann:secret"
    assert client.open(server.address("c.whl", login="ann:secret")).size_bytes == len(CONTENT)


# ---- servers that fail ---------------------------------------------------------------------------------------


def test_what_is_not_there_is_a_wrong_question(server: RangeServer, client: Client) -> None:
    """Exit code 2, after one request."""
    with pytest.raises(RequestError, match="there is no file at") as caught:
        client.open(server.address("nothing.whl", query="token=abc"))
    assert "abc" not in caught.value.message
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again(server: RangeServer, client: Client) -> None:
    """503 twice, then the file; also while it is read."""

    def fail(number: int, reply: Reply) -> None:
        if number in {1, 2, 4, 5}:
            reply.status, reply.body, reply.headers = 503, b"busy" * 1000, {"Retry-After": "0"}

    server.change = fail
    file = client.open(server.address("x/a%20file.whl"))
    assert file.read(0, 100_000) == CONTENT[:100_000]
    assert len(server.asked) == 6


def test_a_server_that_stays_in_trouble_is_given_up(server: RangeServer, client: Client) -> None:
    """After four tries, with what it said."""
    server.change = spoil(1, lambda reply: setattr(reply, "status", 503))
    with pytest.raises(UnavailableError) as caught:
        client.open(server.address("x/a%20file.whl"))
    assert caught.value.reasons == ("the server answers 503 Service Unavailable",)
    assert len(server.asked) == 4


def test_a_connection_that_breaks_is_taken_up_where_it_was(server: RangeServer, client: Client) -> None:
    """Bytes that came are not asked for again."""

    def cut(number: int, reply: Reply) -> None:
        reply.sent = 60_000 if number in {2, 3} else None

    server.change = cut
    file = client.open(server.address("x/a%20file.whl"))
    assert file.read(0, 200_000) == CONTENT[:200_000]
    assert server.asked[1:] == ["bytes=0-199999", "bytes=60000-199999", "bytes=120000-199999"]


def test_a_connection_that_always_breaks_is_given_up(server: RangeServer, client: Client) -> None:
    """A few times only, though each time some bytes come."""
    server.change = spoil(2, lambda reply: setattr(reply, "sent", 10))
    file = client.open(server.address("x/a%20file.whl"))
    with pytest.raises(UnavailableError, match="breaks off at byte 40"):
        file.read(0, 200_000)
    assert len(server.asked) == 5


def test_a_short_body_is_a_connection_that_breaks(server: RangeServer, client: Client) -> None:
    """The length says 10 and the range says 100 bytes: the rest is asked for."""

    def shorten(number: int, reply: Reply) -> None:
        reply.body = reply.body[:10] if number == 2 else reply.body

    server.change = shorten
    file = client.open(server.address("x/a%20file.whl"))
    assert file.read(0, 100) == CONTENT[:100]
    assert server.asked[2] == "bytes=10-99"


def test_a_server_that_trickles_does_not_hang_the_reader(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no connection alive."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    patience = Patience(read_seconds=0.3, slowest=1000, backoff_seconds=0.0, tries=2)
    with Client(patience=patience) as client:
        file = client.open(server.address("x/a%20file.whl"))
        server.change = spoil(2, lambda reply: setattr(reply, "seconds_per_byte", 0.02))
        with pytest.raises(UnavailableError, match="breaks off") as caught:
            file.read(0, 100_000)
        assert "bytes came in" in caught.value.reasons[0]


def test_nobody_listens(client: Client) -> None:
    """The system's own words, and nothing of the query."""
    with RangeServer({}) as gone:
        address = gone.address("a.whl", query="token=abc")
    with pytest.raises(UnavailableError, match="cannot be reached") as caught:
        client.open(address)
    assert caught.value.reasons == ("Connection refused",)


def test_redirects_are_bounded(server: RangeServer, client: Client) -> None:
    """A circle ends, and a redirect to something else than a server is refused."""
    server.redirects = {"a.whl": "/b.whl", "b.whl": "/a.whl", "c.whl": "file:///etc/passwd"}
    with pytest.raises(UnavailableError, match="without end"):
        client.open(server.address("a.whl"))
    with pytest.raises(UnavailableError, match="leads to an address that is none"):
        client.open(server.address("c.whl"))


@pytest.mark.parametrize(
    "address", ["file:///tmp/a.whl", "ftp://host/a.whl", "a.whl", "", "https://", "http://[::1", "https://h:99999/a"]
)
def test_what_is_no_address_of_a_server_is_a_wrong_question(client: Client, address: str) -> None:
    """Only http and https."""
    with pytest.raises(RequestError):
        client.open(address)


@given(address=st.text(max_size=60) | st.from_regex(r"https?://[^/]{0,20}(/.{0,20})?", fullmatch=True))
@settings(max_examples=200, deadline=None)
def test_any_text_is_an_address_or_a_wrong_question(address: str) -> None:
    """No other exception."""
    with suppress(RequestError):
        assert Address.parse(address).name


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_server_answers_there_is_a_file_or_an_error(
    server: RangeServer, client: Client, data: st.DataObject
) -> None:
    """Any status, headers and body end in bytes that are right or in one of our errors."""

    def garble(_number: int, reply: Reply) -> None:
        reply.status = data.draw(st.sampled_from([200, 206, 206, 206, 204, 301, 304, 400, 403, 404, 416, 500, 599]))
        name = data.draw(
            st.sampled_from(["Content-Range", "ETag", "Content-Type", "Location", "Content-Encoding", "X"])
        )
        words = st.sampled_from(["bytes 0-1/2", "bytes 0-65535/65536", "*", '"x"', "text/html", "/", "gzip", "9" * 30])
        reply.headers[name] = data.draw(words)
        reply.body = data.draw(st.sampled_from([b"", reply.body, reply.body[:9], b"<html>"]))

    server.change = garble
    with suppress(GpuenvError), client.open(server.address("x/a%20file.whl")) as file:
        assert len(file.read(0, min(10, file.size_bytes))) <= 10
    server.change = lambda _number, _reply: None


# ---- small files and pages -----------------------------------------------------------------------------------


def test_small_files_come_whole_within_a_limit(server: RangeServer, client: Client) -> None:
    """One request without a range; more than the limit is refused."""
    assert client.get_bytes(server.address("x/a%20file.whl"), limit=len(CONTENT)) == CONTENT
    assert server.asked == [None]
    with pytest.raises(UnavailableError, match="more than 1000 bytes"):
        client.get_bytes(server.address("x/a%20file.whl"), limit=1000)


def test_a_page_of_an_index_may_be_html(server: RangeServer, client: Client) -> None:
    """It comes with its type."""
    server.files["simple/"], server.content_type = b"<!DOCTYPE html><html></html>", "text/html; charset=utf-8"
    page = client.get_page(server.address("simple/"), limit=1000, accept="text/html")
    assert (page.content, page.kind) == (server.files["simple/"], "text/html")
    assert server.headers[0]["Accept"] == "text/html"


def test_one_file_alone_closes_its_connections(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`open_remote` needs no client."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with open_remote(server.address("x/a%20file.whl"), name="other.whl", patience=QUICK) as file:
        assert (file.name, file.read(0, 5)) == ("other.whl", CONTENT[:5])


def test_a_token_of_conda_is_never_shown_wherever_it_stands() -> None:
    """Behind a prefix of the server's, too; directories `t` of wheels are no tokens."""
    for prefix in ("", "/conda"):
        shown = Address.parse(f"https://host.invalid{prefix}/t/tk-1/chan/noarch/a-1-0.conda").shown
        assert shown == f"https://host.invalid{prefix}/chan/noarch/a-1-0.conda"
    wheel = "https://host.invalid/packages/t/torch/torch-1.0-py3-none-any.whl"
    assert Address.parse(wheel).shown == wheel
