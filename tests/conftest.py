"""Fixtures for all tests: a clean environment, and servers on loopback."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import reqkit
import reqkit_async
from servers.browser import run_browser
from servers.counting import CountingServer
from servers.proxies import Proxy, start_http_proxy, start_socks_proxy
from servers.scripted import Handler, ScriptedServer
from servers.tls import Authority
from servers.town import Town, built, used
from servers.wsgi import WSGIServer

#: Tests that HTTP/2 has no part in, or that count what a gateway opens.
ONLY_HTTP_1 = Path(__file__).parent / "wires" / "only-http1.txt"
#: What a client may take from its environment, and these tests must not (proxies aside).
ENVIRONMENT = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC")

# The same examples in each run, however long one takes on a busy machine.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--over-http2`: see `servers.gateway`."""
    parser.addoption("--over-http2", action="store_true", help="ask all servers over HTTP/2")


def pytest_configure(config: pytest.Config) -> None:
    """Put gateways before the servers, where that was asked for."""
    if config.getoption("--over-http2"):
        from servers.gateway import install

        install()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is of HTTP/1.1 alone, where all is asked over HTTP/2."""
    if not config.getoption("--over-http2"):
        return
    alone = ONLY_HTTP_1.read_text().splitlines()
    names = {line for line in alone if line and not line.startswith("#")}

    def is_alone(item: pytest.Item) -> bool:
        path, *parts = item.nodeid.removeprefix("tests/").split("::")
        function = parts[-1].partition("[")[0]
        return path in names or f"{path}::{function}" in names

    left_out = [item for item in items if is_alone(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not is_alone(item)]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the collector pass over what pytest collects: thousands of tests, never freed.

    It finds nothing in them meanwhile, and each of the full collections that tests ask for, or
    cause, takes half a second else.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


#: Why a test may be skipped in CI, too: whose process it is, and not what is missing there.
MAY_BE_SKIPPED = ("root may write to all files", "this process may not mount a disk")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """In CI, where all that tests need is to be there, have one that would be skipped fail.

    But for the tests of the extension where it is switched off, and for `MAY_BE_SKIPPED`.
    """
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and not report.longrepr[2].endswith(MAY_BE_SKIPPED)
        and os.environ.get("CI")
        and not os.environ.get("REQKIT_NO_EXTENSIONS")
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped in CI: {report.longrepr[2]}"
    return report


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No proxy, CA bundle or netrc from outside; HOME is an empty folder.

    Interrupts come through, to the programs that tests start too: a shell has what it runs in the
    background ignore them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in ENVIRONMENT or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that ``ca_bundle`` trusts; makes server contexts, good and bad."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that ``ca_bundle`` does not know."""
    return Authority(tmp_path_factory.mktemp("other-authority"))


@pytest.fixture(scope="session")
def ca_bundle(authority: Authority) -> str:
    """The path of the authority's certificate, for ``verify=``."""
    return str(authority.bundle)


def send_blocking(url: str, **keywords: Any) -> reqkit.Response:
    response: reqkit.Response = reqkit.get(url, **keywords)
    return response


def send_cooperating(url: str, **keywords: Any) -> reqkit.Response:
    [response] = reqkit_async.map([reqkit_async.get(url, **keywords)])
    assert isinstance(response, reqkit.Response)
    if response.error is not None and not keywords.get("config", {}).get("safe_mode"):
        raise response.error
    return response


@pytest.fixture(params=[send_blocking, send_cooperating], ids=["core", "async"])
def send(request: pytest.FixtureRequest) -> Callable[..., reqkit.Response]:
    """What `reqkit.get` is; the test runs with greenlets too, nothing patched."""
    way: Callable[..., reqkit.Response] = request.param
    return way


@pytest.fixture
def session() -> Iterator[reqkit.Session]:
    """A session, closed at the end."""
    with reqkit.Session() as made:
        yield made


@pytest.fixture(scope="module")
def built_town(authority: Authority) -> Iterator[Town]:
    """Servers at many names and ports, for one module's tests."""
    with built(authority) as town:
        yield town


@pytest.fixture
def town(built_town: Town) -> Iterator[Town]:
    """Servers at many names and ports, that have answered nothing yet."""
    with used(built_town):
        yield built_town


@pytest.fixture(scope="session")
def httpbin(clean_environment: None) -> Iterator[WSGIServer]:
    """httpbin with kept connections; ``httpbin('/get')`` is a URL."""
    from httpbin import app

    with WSGIServer(app) as server:
        yield server


@pytest.fixture(scope="session")
def httpbin_secure(clean_environment: None, authority: Authority) -> Iterator[WSGIServer]:
    """httpbin over TLS, with a certificate for 127.0.0.1 and localhost from ``authority``."""
    from httpbin import app

    with WSGIServer(app, tls=authority.server()) as server:
        yield server


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Start `ScriptedServer`s: ``scripted(handler)``, or ``scripted([b'...', b'...'])``."""
    with ExitStack() as stack:

        def start(what: Handler | list[bytes], **options: object) -> ScriptedServer:
            make = ScriptedServer if callable(what) else ScriptedServer.answers
            return stack.enter_context(make(what, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def echo() -> Iterator[ScriptedServer]:
    """A server that answers with what it received, as JSON: head, order and case of fields."""
    with ScriptedServer.echo() as server:
        yield server


@pytest.fixture
def echo_secure(authority: Authority) -> Iterator[ScriptedServer]:
    """As ``echo``, over TLS."""
    with ScriptedServer.echo(tls=authority.server()) as server:
        yield server


@pytest.fixture
def counting_server() -> Iterator[Callable[..., CountingServer]]:
    """Start `CountingServer`s: ``counting_server(20)`` answers when 20 are in flight at once."""
    with ExitStack() as stack:

        def start(parties: int, **options: object) -> CountingServer:
            server = CountingServer(parties, **options)  # type: ignore[arg-type]
            stack.enter_context(server)
            return server

        yield start


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; skipped where there is none."""
    yield from run_browser()


@pytest.fixture(scope="session")
def http_proxy(
    clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """An HTTP proxy, with CONNECT, for everyone."""
    yield from _run(start_http_proxy(tmp_path_factory.mktemp("http-proxy")))


@pytest.fixture(scope="session")
def auth_proxy(
    clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """An HTTP proxy, with CONNECT, that wants Basic credentials."""
    yield from _run(start_http_proxy(tmp_path_factory.mktemp("auth-proxy"), auth=True))


@pytest.fixture(scope="session")
def socks_proxy(
    clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A SOCKS5 proxy for everyone."""
    yield from _run(start_socks_proxy(tmp_path_factory.mktemp("socks")))


@pytest.fixture(scope="session")
def socks_auth_proxy(
    clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A SOCKS5 proxy that wants a user and a password."""
    yield from _run(start_socks_proxy(tmp_path_factory.mktemp("socks-auth"), auth=True))


@pytest.fixture(scope="session")
def socks4_proxy(
    clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A SOCKS4 proxy for everyone."""
    yield from _run(start_socks_proxy(tmp_path_factory.mktemp("socks4"), "socks4"))


@pytest.fixture(scope="session")
def socks4_user_proxy(
    clean_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A SOCKS4 proxy that wants a user's name."""
    yield from _run(start_socks_proxy(tmp_path_factory.mktemp("socks4-user"), "socks4", auth=True))


def _run(proxy: Proxy) -> Iterator[Proxy]:
    try:
        yield proxy
    finally:
        proxy.stop()
