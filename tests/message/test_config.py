"""Each key of ``config``, seen from outside, for a call and for a session."""

from __future__ import annotations

import datetime
import gzip
import io
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from urllib3.util import Retry

import reqkit
from reqkit.network import StdlibNetwork, Stream, use
from servers.messages import answer, chunks
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]
Get = Callable[..., Any]


def by_call(url: str, config: dict[str, Any], **keywords: Any) -> reqkit.Response:
    return reqkit.get(url, config=config, **keywords)


def by_session(url: str, config: dict[str, Any], **keywords: Any) -> reqkit.Response:
    with reqkit.Session(config=config) as session:
        return session.get(url, **keywords)


def by_item(url: str, config: dict[str, Any], **keywords: Any) -> reqkit.Response:
    with reqkit.Session() as session:
        for key, value in config.items():
            session.config[key] = value
        return session.get(url, **keywords)


@pytest.fixture(params=[by_call, by_session, by_item])
def get(request: pytest.FixtureRequest) -> Get:
    """Each way to give a config."""
    way: Get = request.param
    return way


def fields(response: reqkit.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.json()["fields"]}


def redirecting(connection: Connection) -> None:
    """``/n`` redirects to ``/n-1``."""
    while (request := connection.recv_request()) is not None:
        left = int(request.target.strip("/") or 0)
        to = [("Location", f"/{left - 1}")]
        connection.send(answer(302, b"there", to) if left else answer(200, b"here"))


# -- keys and values


def test_the_defaults() -> None:
    config = dict(reqkit.Session().config)
    base = dict(config.pop("base_headers"))
    assert config == {
        "verbose": None,
        "trace": None,
        "max_redirects": 30,
        "keep_alive": True,
        "max_retries": 0,
        "danger_mode": False,
        "safe_mode": False,
        "pool_connections": 100,
        "pool_maxsize": 10,
        "encode_uri": True,
        "store_cookies": True,
        "trust_env": True,
        "strict": False,
        "max_content_size": None,
        "retry_after_max": 300.0,
        "http2": "auto",
    }
    assert list(base) == ["User-Agent", "Accept-Encoding", "Accept"]
    assert base["User-Agent"] == f"reqkit/{reqkit.__version__}"
    assert base["Accept-Encoding"].startswith("gzip, deflate")
    assert base["Accept"] == "*/*"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"keepalive": False}, r"no config key 'keepalive': did you mean 'keep_alive'\?"),
        ({"max_redirect": 1}, r"did you mean 'max_redirects'\?"),
        ({"zzz": 1}, "the keys are base_headers, verbose, trace, "),
        ({1: 1}, "no config key 1"),
        ({"keep_alive": "no"}, "'keep_alive'.*'no'.*True or False"),
        ({"max_redirects": -1}, "'max_redirects'.*-1.*0 or more"),
        ({"max_redirects": "3"}, "'max_redirects'.*'3'"),
        ({"max_redirects": True}, "'max_redirects'.*True"),
        ({"pool_maxsize": 0}, "'pool_maxsize'.*1 or more"),
        ({"max_retries": "often"}, "'max_retries'.*'often'"),
        ({"max_content_size": 1.5}, "'max_content_size'.*1.5.*None"),
        ({"verbose": 5}, "'verbose'.*5.*write"),
        ({"trace": "text"}, "'trace'.*text.*write"),
        ({"base_headers": "Accept"}, "'base_headers'.*'Accept'.*dictionary"),
        ("keep_alive", "config is 'keep_alive': expected a dictionary"),
    ],
)
def test_a_wrong_key_or_value_is_a_config_error(
    echo: ScriptedServer, config: Any, message: str
) -> None:
    for call in (
        lambda: reqkit.get(echo(), config=config),
        lambda: reqkit.Session(config=config),
        lambda: setattr(reqkit.Session(), "config", config),
        lambda: reqkit.Session().config.update(config),
    ):
        if config == "keep_alive" and call.__code__.co_names[-1] == "update":
            continue
        with pytest.raises(reqkit.ConfigError, match=message) as got:
            call()
        assert isinstance(got.value, ValueError)
        assert isinstance(got.value, reqkit.RequestException)
    assert echo.requests == []


def test_an_item_is_checked_when_it_is_set() -> None:
    session = reqkit.Session()
    with pytest.raises(reqkit.ConfigError, match="'keep_alive'"):
        session.config["keep_alve"] = False
    del session.config["max_redirects"]
    assert session.config["max_redirects"] == 30


# -- base_headers


def test_base_headers_are_merged_and_overridden(echo: ScriptedServer, get: Get) -> None:
    config = {"base_headers": {"user-agent": "mine", "X-Base": "1", "Accept": None}}
    head = fields(get(echo(), config))
    assert (head["user-agent"], head["x-base"]) == ("mine", "1")
    assert "accept" not in head
    assert "accept-encoding" in head
    head = fields(get(echo(), config, headers={"X-BASE": "2", "User-Agent": None}))
    assert head["x-base"] == "2"
    assert "user-agent" not in head


# -- verbose


def test_verbose_writes_a_line_for_each_message(scripted: Scripted, get: Get) -> None:
    server = scripted(redirecting)
    stream = io.StringIO()
    before = datetime.datetime.now()
    url = server("/1").replace("http://", "http://user:secret@")
    get(url, {"verbose": stream})
    after = datetime.datetime.now()
    text = stream.getvalue()
    assert "secret" not in text
    assert text.endswith("/0\n")
    lines = text.splitlines()
    pattern = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})   GET   (http://\S+/[10])"
    for line in lines:
        match = re.fullmatch(pattern, line)
        assert match is not None, line
        assert before <= datetime.datetime.fromisoformat(match[1]) <= after  # local time
    assert len(lines) == 2


# -- max_redirects


@pytest.mark.parametrize(("most", "length", "enough"), [(2, 2, True), (2, 3, False), (0, 1, False)])
def test_max_redirects(scripted: Scripted, get: Get, most: int, length: int, enough: bool) -> None:
    server = scripted(redirecting)
    if enough:
        assert get(server(f"/{length}"), {"max_redirects": most}).text == "here"
        return
    with pytest.raises(reqkit.TooManyRedirects, match=f"more than {most} redirects") as got:
        get(server(f"/{length}"), {"max_redirects": most})
    assert len(server.requests) == most + 1
    response = got.value.response
    assert response.status_code == 302
    assert len(response.history) == most
    assert response.text == "there"


def test_thirty_redirects_are_followed_by_default(scripted: Scripted) -> None:
    server = scripted(redirecting)
    assert len(reqkit.get(server("/30")).history) == 30
    with pytest.raises(reqkit.TooManyRedirects):
        reqkit.get(server("/31"))


# -- keep_alive


def test_without_keep_alive_no_connection_is_kept(echo: ScriptedServer) -> None:
    """Though the server would keep it: ``echo`` does not heed ``Connection: close``."""
    session = reqkit.Session(config={"keep_alive": False})
    for number in (1, 2, 3):
        response = session.get(echo())
        assert fields(response)["connection"] == "close"
        assert response.json()["connection"] == number
    echo.wait_for_no_connections()
    session.config["keep_alive"] = True
    assert [session.get(echo()).json()["connection"] for _ in "12"] == [4, 4]
    assert session.get(echo(), config={"keep_alive": False}).status_code == 200
    echo.wait_for_no_connections()


def test_a_connection_header_set_by_hand_counts_too(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    assert session.get(echo(), headers={"connection": "Close"}).status_code == 200
    echo.wait_for_no_connections()


# -- max_retries


class Refusing(StdlibNetwork):
    """A network on which connecting fails a few times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.tried = 0
        self.slept: list[float] = []

    def connect(self, *args: Any, **keywords: Any) -> Stream:
        self.tried += 1
        if self.left:
            self.left -= 1
            raise ConnectionRefusedError(111, "refused")
        return super().connect(*args, **keywords)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.mark.parametrize(
    ("retries", "failures", "succeeds"),
    [
        (0, 1, False),
        (2, 2, True),
        (2, 3, False),
        (Retry(connect=1), 1, True),
        (Retry(1, connect=0), 1, False),
        (False, 1, False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_failed_connections_are_tried_again(
    echo: ScriptedServer, method: str, retries: Any, failures: int, succeeds: bool
) -> None:
    network = Refusing(failures)
    session = reqkit.Session(config={"max_retries": retries})
    with use(network):
        if succeeds:
            assert session.request(method, echo(), data="x").json()["body"] == "x"
        else:
            with pytest.raises(reqkit.ConnectionError, match="refused"):
                session.request(method, echo(), data="x")
    assert network.tried == (failures + 1 if succeeds else failures)


def test_an_int_counts_failed_connections_alone(scripted: Scripted, get: Get) -> None:
    server = scripted(lambda connection: connection.recv_request() and None)
    with pytest.raises(reqkit.ConnectionError, match="without an answer"):
        get(server(), {"max_retries": 3})
    assert len(server.requests) == 1
    server = scripted([answer(503, b"busy")])
    assert get(server(), {"max_retries": 3}).text == "busy"


def test_a_retry_for_statuses(scripted: Scripted, get: Get) -> None:
    server = scripted([answer(503), answer(429), answer(200, b"at last")])
    retries = Retry(total=5, status_forcelist=[503, 429])
    assert get(server(), {"max_retries": retries}).text == "at last"
    assert retries.total == 5
    assert len(server.requests) == 3


def test_a_retry_that_is_used_up(scripted: Scripted) -> None:
    server = scripted([answer(503, b"busy")] * 6)
    retries = Retry(total=2, status_forcelist=[503])
    with pytest.raises(reqkit.RetryError, match="answered 503 every time"):
        reqkit.get(server(), config={"max_retries": retries})
    assert len(server.requests) == 3
    quiet = Retry(total=2, status_forcelist=[503], raise_on_status=False)
    assert reqkit.get(server(), config={"max_retries": quiet}).text == "busy"
    assert len(server.requests) == 6


def test_a_retry_counts_idempotent_methods_alone(scripted: Scripted) -> None:
    server = scripted([answer(503, b"busy")] * 3)
    retries = Retry(total=2, status_forcelist=[503])
    assert reqkit.post(server(), data="x", config={"max_retries": retries}).text == "busy"
    assert len(server.requests) == 1


def test_a_retry_after_a_broken_connection(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        if connection.number == 3:
            connection.send(answer(200, b"third"))

    server = scripted(handler)
    assert reqkit.get(server(), config={"max_retries": Retry(read=2)}).text == "third"


def test_a_body_is_sent_again_on_a_retry(scripted: Scripted) -> None:
    server = scripted([answer(503), answer(200, b"done")])
    retries = Retry(total=1, status_forcelist=[503])
    file = io.BytesIO(b"skipped,sent")
    file.seek(8)
    assert reqkit.put(server(), data=file, config={"max_retries": retries}).text == "done"
    assert [request.body for request in server.requests] == [b"sent"] * 2


def test_back_off_and_retry_after(scripted: Scripted) -> None:
    server = scripted([answer(503), answer(503), answer(503, b"", [("Retry-After", "7")]),
                       answer(200, b"ok")])  # fmt: skip
    network = Refusing(0)
    retries = Retry(total=9, status_forcelist=[503], backoff_factor=0.5)
    with use(network):
        assert reqkit.get(server(), config={"max_retries": retries}).text == "ok"
    assert network.slept == [1.0, 7]


# -- danger_mode and safe_mode


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_danger_mode_raises_for_statuses(scripted: Scripted, get: Get, status: int) -> None:
    server = scripted([answer(status, b"why")])
    seen: list[int | None] = []
    hooks = {"response": lambda response: seen.append(response.status_code)}
    with pytest.raises(reqkit.HTTPError, match=f"^{status} ") as got:
        get(server(), {"danger_mode": True}, hooks=hooks)
    assert got.value.response.text == "why"
    assert got.value.request.url == server()
    assert seen == [status]


def test_danger_mode_lets_the_rest_pass(scripted: Scripted, get: Get) -> None:
    server = scripted([answer(204), answer(304)])
    assert get(server(), {"danger_mode": True}).status_code == 204
    assert get(server(), {"danger_mode": True}).status_code == 304


def refused() -> str:
    with ScriptedServer.answers([]) as server:
        return server()


def short(connection: Connection) -> None:
    connection.recv_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("refused", reqkit.ConnectionError),
        ("bad url", reqkit.InvalidURL),
        ("no scheme", reqkit.MissingSchema),
        ("no url", reqkit.URLRequired),
        ("scheme", reqkit.InvalidSchema),
        ("header", reqkit.InvalidHeader),
        ("redirects", reqkit.TooManyRedirects),
        ("short", reqkit.ChunkedEncodingError),
        ("read", reqkit.ReadTimeout),
        ("total", reqkit.TotalTimeout),
        ("danger", reqkit.HTTPError),
    ],
)
def test_safe_mode_raises_nothing(scripted: Scripted, get: Get, case: str, kind: type) -> None:
    config: dict[str, Any] = {"safe_mode": True}
    keywords: dict[str, Any] = {}
    urls: dict[str, Any] = {"bad url": "http://", "no scheme": "nowhere/", "no url": None,
                            "scheme": "gopher://x/"}  # fmt: skip
    in_hand: tuple[int, bytes] | None = None
    if case in urls:
        url = urls[case]
    elif case == "refused":
        url = refused()
    elif case == "redirects":
        url = scripted(redirecting)("/5")
        config["max_redirects"] = 2
        in_hand = 302, b"there"
    elif case == "short":
        url = scripted(short)()
        keywords["prefetch"] = True
        in_hand = 200, b""
    elif case == "header":
        url = refused()
        keywords["headers"] = {"X-A": "b\r\nc: d"}
    elif case == "danger":
        url = scripted([answer(404, b"gone")])()
        config["danger_mode"] = True
        in_hand = 404, b"gone"
    else:
        url = scripted(lambda connection: connection.wait_closed() and None)()
        read = 0.1 if case == "read" else 10
        keywords["timeout"] = reqkit.Timeouts(read=read, total=None if case == "read" else 0.1)
    seen: list[Any] = []
    response = get(url, config, hooks={"response": seen.append}, **keywords)
    assert isinstance(response.error, kind)
    assert type(response.error) is kind
    assert (response.status_code, response.ok, bool(response)) == (None, False, False)
    assert seen == [response]
    assert repr(response) == f"<Response [{kind.__name__}]>"
    assert (response.content, response.text, response.history) == (None, "", [])
    with pytest.raises(kind):
        response.raise_for_status()
    assert response.error.request is not None
    answer_in_hand = response.error.response
    if in_hand is None:
        assert answer_in_hand is None
    else:
        assert answer_in_hand.status_code == in_hand[0]
        if case != "short":
            assert answer_in_hand.content == in_hand[1]


def test_safe_mode_lets_answers_pass(scripted: Scripted, get: Get) -> None:
    response = get(scripted([answer(404, b"gone")])(), {"safe_mode": True})
    assert (response.status_code, response.error, response.text) == (404, None, "gone")


def test_a_mistake_in_the_call_is_raised_in_safe_mode_too(echo: ScriptedServer) -> None:
    session = reqkit.Session(config={"safe_mode": True})
    with pytest.raises(TypeError):
        session.get(echo(), data=5)
    with pytest.raises(ValueError, match="timeout"):
        session.get(echo(), timeout="5")


def test_safe_mode_for_send(scripted: Scripted) -> None:
    session = reqkit.Session(config={"safe_mode": True})
    prepared = reqkit.Request("GET", refused()).prepare()
    response = session.send(prepared)
    assert isinstance(response.error, reqkit.ConnectionError)
    assert response.request is prepared
    with pytest.raises(reqkit.ConnectionError):
        session.send(prepared, config={"safe_mode": False})
    with pytest.raises(reqkit.HTTPError):
        session.send(
            reqkit.Request("GET", scripted([answer(404)])()).prepare(),
            config={"safe_mode": False, "danger_mode": True},
        )


# -- encode_uri


def test_encode_uri_false_sends_the_url_as_it_is(echo: ScriptedServer, get: Get) -> None:
    path = "/a|b/{c}/%zz/é?q=<d>"
    raw = path.encode().decode("latin-1")
    assert get(echo(path), {"encode_uri": False}).json()["target"] == raw
    assert get(echo(path), {}).json()["target"] == "/a%7Cb/%7Bc%7D/%25zz/%C3%A9?q=%3Cd%3E"


@pytest.mark.parametrize("path", ["/a b", "/a\tb", "/a\r\nX: y", "/a\x00"])
def test_encode_uri_false_refuses_what_would_break_the_line(
    echo: ScriptedServer, get: Get, path: str
) -> None:
    with pytest.raises(reqkit.InvalidURL):
        get(echo(path), {"encode_uri": False})
    assert echo.requests == []


# -- store_cookies


def test_store_cookies_false_keeps_none(scripted: Scripted) -> None:
    setting = answer(200, b"", [("Set-Cookie", "a=1")])
    server = scripted([setting] * 4)
    session = reqkit.Session(config={"store_cookies": False}, cookies={"own": "1"})
    assert session.get(server()).cookies.get_dict() == {"a": "1"}
    assert session.cookies.get_dict() == {"own": "1"}
    session.get(server())
    assert server.requests[1].get("Cookie") == "own=1"
    session.get(server(), config={"store_cookies": True})
    assert session.cookies.get_dict() == {"own": "1", "a": "1"}


# -- trust_env


def test_trust_env_false_looks_at_no_environment(
    echo: ScriptedServer, get: Get, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login net password rc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert "authorization" in fields(get(echo(), {}))
    monkeypatch.setenv("http_proxy", refused())
    with pytest.raises(reqkit.ProxyError):
        get(echo(), {})
    assert "authorization" not in fields(get(echo(), {"trust_env": False}))


# -- max_content_size


PLAIN = b"0123456789" * 100
PACKED = gzip.compress(PLAIN)


def later(head: bytes, body: bytes) -> Callable[[Connection], None]:
    """Send the body apart from the head."""

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
            connection.pause(0.01)
            connection.send(body)

    return handler


@pytest.mark.parametrize(
    "answering",
    [
        [answer(200, PLAIN)] * 2,
        [answer(200, PACKED, [("Content-Encoding", "gzip")])] * 2,
        later(b"Content-Length: 1000", PLAIN),
        later(b"Transfer-Encoding: chunked", chunks([PLAIN])),
        later(b"Content-Encoding: gzip\r\nContent-Length: %d" % len(PACKED), PACKED),
    ],
)
def test_max_content_size(scripted: Scripted, get: Get, answering: Any) -> None:
    server = scripted(answering)
    assert get(server(), {"max_content_size": 1000}).content == PLAIN
    with pytest.raises(reqkit.ContentTooLarge, match=r"999 bytes") as got:
        get(server(), {"max_content_size": 999}).content  # noqa: B018
    assert got.value.response.status_code == 200
    assert got.value.request.url == server()


def test_max_content_size_while_streaming_and_prefetching(scripted: Scripted) -> None:
    def endless(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)

    server = scripted(endless)
    config = {"max_content_size": 1_000_000}
    got = 0
    with pytest.raises(reqkit.ContentTooLarge):
        for piece in reqkit.get(server(), config=config).iter_content(1000):
            got += len(piece)
    assert got <= 1_000_000
    with pytest.raises(reqkit.ContentTooLarge):
        reqkit.get(server(), config=config, prefetch=True)
    server.wait_for_no_connections()


@pytest.mark.parametrize("whole", [True, False])
def test_a_bomb_costs_no_more_memory_than_the_limit(scripted: Scripted, whole: bool) -> None:
    bomb = gzip.compress(gzip.compress(bytes(200_000_000)))
    head = b"Content-Encoding: gzip, gzip\r\nContent-Length: %d" % len(bomb)
    handler: Any = later(head, bomb)
    if whole:
        handler = [answer(200, bomb, [("Content-Encoding", "gzip, gzip")])]
    response = reqkit.get(scripted(handler)(), config={"max_content_size": 1_000_000})
    tracemalloc.start()
    try:
        with pytest.raises(reqkit.ContentTooLarge):
            response.content  # noqa: B018
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6_000_000


def test_a_limit_of_zero_allows_empty_bodies(scripted: Scripted, get: Get) -> None:
    server = scripted([answer(200, b""), answer(200, b"x")])
    assert get(server(), {"max_content_size": 0}).content == b""
    with pytest.raises(reqkit.ContentTooLarge):
        get(server(), {"max_content_size": 0}).content  # noqa: B018
