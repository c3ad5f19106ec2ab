"""What a user is told when something goes wrong: by errors, by warnings, by failed responses."""

from __future__ import annotations

import linecache
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from servers.handlers import silent
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]


def in_safe_mode(url: str) -> reqkit.Response:
    return reqkit.get(url, config={"safe_mode": True})


def in_a_batch(url: str) -> reqkit.Response:
    (response,) = reqkit_async.map([reqkit_async.get(url)])
    assert isinstance(response, reqkit.Response)
    return response


# -- responses that stand for a failure


@pytest.mark.parametrize("fail", [in_safe_mode, in_a_batch])
def test_a_failed_response_is_empty_and_says_why(
    fail: Callable[[str], reqkit.Response], closed_port: int, tmp_path: Path
) -> None:
    response = fail(f"http://127.0.0.1:{closed_port}/")
    assert repr(response) == "<Response [ConnectionError]>"
    for _ in range(2):  # however often it is asked for, and in whatever order
        assert list(response.iter_content()) == list(response.iter_lines()) == list(response) == []
        assert response.text == ""
        assert not response.content
    received: list[Callable[[], Any]] = [
        response.raise_for_status,
        response.json,
        lambda: response.download(tmp_path / "new"),
        lambda: response.download(tmp_path / "new", resume=True),
    ]
    for ask in received:
        with pytest.raises(reqkit.ConnectionError) as caught:
            ask()
        assert caught.value is response.error
    assert list(tmp_path.iterdir()) == []


# -- JSON


def test_a_json_error_names_the_url_without_its_password(scripted: Scripted) -> None:
    server = scripted([answer(200, b"<html>")])
    url = server("/x").replace("://", "://ann:secret@")
    with pytest.raises(reqkit.JSONDecodeError) as caught:
        reqkit.get(url).json()
    error = caught.value
    assert server("/x").removeprefix("http://") in str(error)
    assert "secret" not in str(error)
    assert "Expecting value: line 1 column 1 (char 0)" in str(error)
    assert (error.msg, error.doc, error.pos) == ("Expecting value", "<html>", 0)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.msg, copy.doc) == (str(error), error.msg, error.doc)


@pytest.mark.parametrize("charset", ["", "; charset=latin-1"])
def test_a_number_of_more_digits_than_python_reads(charset: str, scripted: Scripted) -> None:
    fields = [("Content-Type", "application/json" + charset)]
    server = scripted([answer(200, b"9" * 5000, fields)])
    with pytest.raises(reqkit.JSONDecodeError, match="more digits") as caught:
        reqkit.get(server()).json()
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_a_users_own_function_raises_while_json_is_read(scripted: Scripted) -> None:
    server = scripted([answer(200, b"1.5")])

    def no_fractions(text: str) -> Any:
        raise ValueError("no fractions")

    with pytest.raises(ValueError, match=r"^no fractions$"):
        reqkit.get(server()).json(parse_float=no_fractions)


# -- arguments


@pytest.mark.parametrize(
    ("prefix", "adapter", "received"),
    [
        ("https://", None, r"'https://' is None: expected .*HTTPAdapter\(\)"),
        ("https://", HTTPAdapter, r"is a class: expected an object, HTTPAdapter\(\)"),
        ("https://", "http://ann:secret@proxy", r"is a str: expected an object with send\(\)"),
        (None, HTTPAdapter(), "prefix is a NoneType: expected a str such as 'https://'"),
        (b"https://", HTTPAdapter(), "prefix is a bytes: expected a str"),
    ],
)
def test_what_cannot_be_mounted(
    prefix: Any, adapter: Any, received: str, session: reqkit.Session
) -> None:
    before = dict(session.adapters)
    with pytest.raises(TypeError, match=received) as caught:
        session.mount(prefix, adapter)
    assert "secret" not in str(caught.value)
    assert session.adapters == before


@pytest.mark.parametrize(
    ("url", "kind", "meant"),
    [
        ("localhost:80/x", reqkit.InvalidSchema, "http://localhost:80/x"),
        ("ann:8080@localhost:80", reqkit.InvalidSchema, None),
        ("htps://example.org/", reqkit.InvalidSchema, "https://example.org/"),
        ("example.org/x", reqkit.MissingSchema, "https://example.org/x"),
        ("mailto:ann@example.org", reqkit.InvalidSchema, None),
    ],
)
def test_what_a_url_without_a_good_scheme_may_have_been(
    url: str, kind: type[Exception], meant: str | None
) -> None:
    with pytest.raises(kind) as caught:
        reqkit.get(url)
    assert (meant is not None) == ("meant" in str(caught.value))
    assert meant is None or repr(meant) in str(caught.value)


def test_what_an_unsent_request_is_asked_for_in_place_of_its_response() -> None:
    request: Any = reqkit_async.get("http://127.0.0.1/")
    for name in ("text", "status_code", "raise_for_status"):
        with pytest.raises(AttributeError, match=f"'{name}': it is an unsent request. Send it"):
            getattr(request, name)
    with pytest.raises(AttributeError, match=r"no attribute 'texts'$"):
        request.texts  # noqa: B018
    assert not hasattr(request, "ok")
    assert pickle.loads(pickle.dumps(request)).url == request.url


def test_a_session_that_is_none_is_refused_at_once() -> None:
    wrong: Any = "http://ann:secret@h"
    with pytest.raises(TypeError, match=r"session is of type str: expected"):
        reqkit_async.get("http://127.0.0.1/", session=wrong)


def test_an_unknown_keyword_of_map_lists_each_known_one_once() -> None:
    with pytest.raises(TypeError, match="did you mean 'size'") as caught:
        reqkit_async.map([], sise=3)
    listed = str(caught.value).rpartition("the keywords are ")[2].split(", ")
    assert sorted(listed) == sorted(set(listed))


@pytest.mark.parametrize(("progress", "shown"), [(True, "True"), ("always", "a str"), (5, "a int")])
def test_progress_that_cannot_be_called(
    progress: Any, shown: str, scripted: Scripted, tmp_path: Path
) -> None:
    response = reqkit.get(scripted([answer(200, b"body")])())
    with pytest.raises(TypeError, match=rf"progress is {shown}: expected .*\(done, total\)"):
        response.download(tmp_path / "new", progress=progress)
    assert list(tmp_path.iterdir()) == []
    assert response.content == b"body"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bad_bundle_of_the_environment_is_blamed_on_it(
    variable: str,
    content: str | None,
    tmp_path: Path,
    echo_secure: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(reqkit.SSLError, match=f"the environment's {variable} names"):
        reqkit.get(echo_secure())
    other = tmp_path / "other.pem"
    other.write_text("no certificate either")
    with pytest.raises(reqkit.SSLError, match="verify names"):
        reqkit.get(echo_secure(), verify=str(other))


# -- time limits


def test_a_read_timeout_says_how_long(send: Any, scripted: Scripted) -> None:
    server = scripted(silent)
    with pytest.raises(reqkit.ReadTimeout, match=r"the read timeout of 0\.05 s"):
        send(server(), timeout=(30, 0.05))


def test_a_read_timeout_in_the_body_says_how_long(scripted: Scripted) -> None:
    def half(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        connection.wait_closed()

    response = reqkit.get(scripted(half)(), timeout=(30, 0.05))
    with pytest.raises(reqkit.ReadTimeout, match=r"the read timeout of 0\.05 s"):
        response.content  # noqa: B018 reads it


def test_a_connect_timeout_says_how_long(scripted: Scripted, authority: Authority) -> None:
    server = scripted(silent)  # it does not answer the handshake either
    with pytest.raises(reqkit.ConnectTimeout, match=r"the connect timeout of 0\.05 s"):
        reqkit.get(server().replace("http:", "https:"), timeout=(0.05, 30))


# -- hooks that return what cannot be used


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("args", "a dictionary of arguments"),
        ("pre_request", "a PreparedRequest"),
        ("post_request", "a PreparedRequest"),
    ],
)
def test_a_hook_that_returns_something_else(
    name: str, expected: str, send: Any, echo: ScriptedServer
) -> None:
    def wrong(data: Any) -> Any:
        return "secret"

    seen: list[Any] = []
    received = f"the {name} hook .*wrong returned a str: expected {expected}, or None"
    with pytest.warns(reqkit.HookWarning, match=received) as warned:
        response = send(echo("/x"), hooks={name: [wrong, seen.append]})
    assert "secret" not in str(warned[0].message)
    assert response.json()["target"] == "/x"
    assert [str(error) for error in response.hook_errors] == [str(warned[0].message)]
    assert len(seen) == 1
    assert not isinstance(seen[0], str)


def test_a_response_hook_may_return_anything(send: Any, echo: ScriptedServer) -> None:
    (found,) = reqkit_async.map([reqkit_async.get(echo(), hooks={"response": lambda r: 42})])
    assert found == 42
    assert reqkit.get(echo(), hooks={"response": lambda r: r.json()["target"]}) == "/"


# -- where warnings point to


def line_of(warned: warnings.WarningMessage) -> str:
    assert warned.filename == __file__
    return linecache.getline(warned.filename, warned.lineno)


def broken(data: Any) -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize("name", ["args", "pre_request", "post_request", "response"])
def test_a_hook_warning_points_to_the_users_line(
    name: str, echo: ScriptedServer, session: reqkit.Session
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: reqkit.get(echo(), hooks={name: broken}),  # call
        lambda: session.post(echo(), hooks={name: [broken]}),  # call
        lambda: reqkit.get(echo(), hooks={name: broken}, return_response=False).send(),  # call
    ]
    for call in calls:
        with pytest.warns(reqkit.HookWarning) as warned:
            call()
        assert "# call" in line_of(warned[0])


@pytest.mark.parametrize("name", ["pre_request", "post_request", "response"])
def test_in_a_greenlet_a_hook_warning_points_to_the_hook(name: str, echo: ScriptedServer) -> None:
    requests = [reqkit_async.get(echo(), hooks={name: broken}) for _ in range(3)]
    with pytest.warns(reqkit.HookWarning) as warned:
        reqkit_async.map(requests)
    assert "def broken" in line_of(warned[0])


def test_a_progress_warning_points_to_the_users_line(scripted: Scripted, tmp_path: Path) -> None:
    response = reqkit.get(scripted([answer(200, b"body")])())
    with pytest.warns(RuntimeWarning, match="progress raised") as warned:
        response.download(tmp_path / "new", progress=lambda: None)  # type: ignore  # call
    assert "# call" in line_of(warned[0])


def test_a_handlers_warning_points_to_the_handler(closed_port: int) -> None:
    def handler(request: Any, error: Any) -> None:
        raise RuntimeError("broken")

    request = reqkit_async.get(f"http://127.0.0.1:{closed_port}/")
    with pytest.warns(RuntimeWarning, match="exception_handler raised") as warned:
        reqkit_async.map([request], exception_handler=handler)
    assert "def handler" in line_of(warned[0])


def test_a_malformed_netrc_is_told_at_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: ScriptedServer
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine\nnonsense here")
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.warns(reqkit.exceptions.RequestsWarning, match="malformed") as warned:
        reqkit.get(echo())  # call
    assert "# call" in line_of(warned[0])
