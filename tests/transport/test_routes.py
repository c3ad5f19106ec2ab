"""Routes and proxies: how they are read, and what makes them equal."""

from __future__ import annotations

import pickle
import weakref

import pytest

from reqkit.exceptions import InvalidProxyURL, InvalidURL
from reqkit.transport import routes
from reqkit.transport.routes import Marks, Proxy, Route, authority, parse_proxy
from reqkit.transport.tls.settings import TlsSettings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10.10.1.10:3128", Proxy("http", "10.10.1.10", 3128)),
        ("localhost:8080", Proxy("http", "localhost", 8080)),
        ("proxy.example", Proxy("http", "proxy.example", 80)),
        ("//proxy.example:1", Proxy("http", "proxy.example", 1)),
        ("http://Proxy.EXAMPLE", Proxy("http", "proxy.example", 80)),
        ("HTTP://proxy.example:8080/", Proxy("http", "proxy.example", 8080)),
        ("  http://proxy.example:8080\n", Proxy("http", "proxy.example", 8080)),
        ("http://proxy.example:/", Proxy("http", "proxy.example", 80)),
        ("https://proxy.example", Proxy("https", "proxy.example", 443)),
        ("socks5://proxy.example", Proxy("socks5", "proxy.example", 1080)),
        ("socks5h://proxy.example:9050", Proxy("socks5h", "proxy.example", 9050)),
        ("socks4://proxy.example", Proxy("socks4", "proxy.example", 1080)),
        ("socks4a://ann@proxy.example", Proxy("socks4a", "proxy.example", 1080, "ann", "")),
        ("http://ann:secret@proxy.example:1", Proxy("http", "proxy.example", 1, "ann", "secret")),
        ("ann:secret@proxy.example:1", Proxy("http", "proxy.example", 1, "ann", "secret")),
        (
            "http://an%40n:p%3Aw%2Frd%401@proxy.example:1",
            Proxy("http", "proxy.example", 1, "an@n", "p:w/rd@1"),
        ),
        ("http://ann:a:b@c@proxy.example:1", Proxy("http", "proxy.example", 1, "ann", "a:b@c")),
        ("http://ann:a?b#c@proxy.example:1", Proxy("http", "proxy.example", 1, "ann", "a?b#c")),
        ("http://:secret@proxy.example:1", Proxy("http", "proxy.example", 1, "", "secret")),
        ("http://[::1]:3128", Proxy("http", "::1", 3128)),
        ("[2001:DB8::1]", Proxy("http", "2001:db8::1", 80)),
        ("http://[fe80::1%eth0]:3128", Proxy("http", "fe80::1%eth0", 3128)),
        ("http://bücher.example:1", Proxy("http", "xn--bcher-kva.example", 1)),
    ],
)
def test_a_proxy_is_read(value: str, expected: Proxy) -> None:
    found = parse_proxy(value)

    assert found == expected
    assert tuple(found) == tuple(expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("http://", "no host"),
        ("http://:3128", "no host"),
        ("http://proxy.example:port", "no host and port"),
        ("http://proxy.example:0", "1 to 65535"),
        ("http://proxy.example:65536", "1 to 65535"),
        ("http://proxy.example:123456", "no host and port"),
        ("http://proxy.example:٣", "no host and port"),
        ("::1", "no host and port"),
        ("http://[127.0.0.1]:1", "no IPv6 address"),
        ("http://[::1", "no host and port"),
        ("http://proxy.example/path", "has a path"),
        ("http://proxy.example?query", "no host and port"),
        ("http://pro xy.example", "control character"),
        ("http://proxy.example\r\nX: y", "control character"),
        ("http://proxy.example\0", "control character"),
        ("http://ann%0d%0a:b@proxy.example", "control character in its credentials"),
        ("socks4://a%00b@proxy.example", "control character in its credentials"),
        ("socks5://" + "a" * 256 + ":b@proxy.example", "255 bytes"),
        ("ftp://proxy.example", "has a scheme that no proxy"),
        ("sock5://proxy.example", "did you mean socks5://?"),
        ("htps://proxy.example", "did you mean https://?"),
        ("http://" + "ü" * 64 + ".example", "international"),
    ],
)
def test_a_bad_proxy_is_refused(value: str, message: str) -> None:
    with pytest.raises(InvalidProxyURL) as caught:
        parse_proxy(value)

    assert message in str(caught.value)
    assert "expected HOST:PORT or SCHEME://" in str(caught.value)
    assert isinstance(caught.value, InvalidURL)


@pytest.mark.parametrize("value", [b"http://ann:hush@proxy", None, 3128, ["proxy", 3128]])
def test_a_proxy_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(InvalidProxyURL) as caught:
        parse_proxy(value)  # type: ignore[arg-type]

    assert type(value).__name__ in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "ftp://ann:hush@proxy.example",
        "http://ann:hush@proxy.example:port",
        "http://ann:hu/hush@proxy.example:1",
        "http://ann:12/hush@proxy.example:1",
        "http://ann:hush@hush@proxy.example:port",
        "ann:hush@proxy.example:port",
        "http://ann:hush hush@proxy.example",
        "http://ann:hush@proxy.example/path",
    ],
)
def test_no_error_shows_a_password(value: str) -> None:
    with pytest.raises(InvalidProxyURL) as caught:
        parse_proxy(value)

    assert "hush" not in str(caught.value)
    assert "proxy.example" in str(caught.value)


def test_a_proxy_does_not_show_its_password() -> None:
    proxy = parse_proxy("http://ann:hush@proxy.example:3128")._replace(given="Basic hush")

    for text in (repr(proxy), str(proxy), f"{proxy}", proxy.url, repr(Route.to("http", "a", 1))):
        assert "hush" not in text
    assert proxy.url == "http://ann:***@proxy.example:3128"
    assert "hush" not in repr(Route.to("https", "a.example", 443, proxy=proxy))


@pytest.mark.parametrize(
    ("value", "authorization"),
    [
        ("http://proxy.example", None),
        ("http://Aladdin:open%20sesame@proxy.example", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("http://ann@proxy.example", "Basic YW5uOg=="),
        ("http://test:123%C2%A3@proxy.example", "Basic dGVzdDoxMjPCow=="),  # RFC 7617 section 2.1
        ("http://test:123%A3@proxy.example", "Basic dGVzdDoxMjOj"),
    ],
)
def test_credentials_are_said_as_basic(value: str, authorization: str | None) -> None:
    assert parse_proxy(value).authorization == authorization


def test_a_given_authorization_goes_first() -> None:
    proxy = parse_proxy("http://ann:hush@proxy.example")._replace(given="Bearer abc")

    assert proxy.authorization == "Bearer abc"


def test_a_proxy_whose_user_is_no_text_can_be_shown() -> None:
    shown = parse_proxy("http://a%FFb:hush@proxy.example").url.encode()

    assert b"proxy.example" in shown
    assert b"hush" not in shown


def test_a_proxy_is_read_once() -> None:
    assert parse_proxy("http://proxy.example:1") is parse_proxy("http://proxy.example:1")


HTTP = parse_proxy("http://proxy.example:3128")
HTTPS = parse_proxy("https://proxy.example:3128")
SOCKS = parse_proxy("socks5h://proxy.example:1080")


def test_a_proxy_that_forwards_has_one_route_for_all_hosts() -> None:
    one = Route.to("http", "one.example", 80, TlsSettings(verify=False), HTTP)
    two = Route.to("http", "two.example", 8080, None, HTTP, proxy_headers=[("X-A", "b")])

    assert one == two
    assert one.forwarding
    assert one.origin == "http://proxy.example:3128"
    assert one != Route.to("http", "one.example", 80)
    assert one != Route.to("http", "proxy.example", 3128)


@pytest.mark.parametrize(
    ("scheme", "proxy", "forwarding"),
    [
        ("http", None, False),
        ("https", None, False),
        ("http", HTTP, True),
        ("http", HTTPS, True),
        ("https", HTTP, False),
        ("https", HTTPS, False),
        ("http", SOCKS, False),
        ("https", SOCKS, False),
    ],
)
def test_what_is_forwarded(scheme: str, proxy: Proxy | None, forwarding: bool) -> None:
    route = Route.to(scheme, "one.example", 80, None, proxy)

    assert route.forwarding is forwarding
    assert route.host == ("proxy.example" if forwarding else "one.example")
    assert (route.tls is not None) is (scheme == "https")
    assert (route.proxy_tls is not None) is (proxy is HTTPS)


DIFFERENT = [
    Route.to("http", "one.example", 80),
    Route.to("http", "one.example", 81),
    Route.to("http", "two.example", 80),
    Route.to("https", "one.example", 80),
    Route.to("https", "one.example", 80, TlsSettings(verify=False)),
    Route.to("https", "one.example", 80, TlsSettings(verify="ca.pem")),
    Route.to("https", "one.example", 80, TlsSettings(cert="client.pem")),
    Route.to("https", "one.example", 80, TlsSettings(server_hostname="two.example")),
    Route.to("https", "one.example", 80, TlsSettings(), HTTP),
    Route.to("https", "one.example", 80, TlsSettings(), HTTP._replace(user="ann", password="a")),
    Route.to("https", "one.example", 80, TlsSettings(), HTTP._replace(user="ann", password="b")),
    Route.to("https", "one.example", 80, TlsSettings(), HTTP._replace(given="Basic abc")),
    Route.to("https", "one.example", 80, TlsSettings(), HTTP, proxy_headers=[("X-A", "b")]),
    Route.to("https", "one.example", 80, TlsSettings(), HTTPS),
    Route.to("https", "one.example", 80, TlsSettings(), HTTPS, TlsSettings(verify=False)),
    Route.to("http", "one.example", 80, source=("127.0.0.1", 0)),
    Route.to("http", "one.example", 80, options=[(6, 1, 1)]),
    Route.to("http", "one.example", 80, options=[]),
]


def test_whatever_makes_connections_differ_makes_routes_differ() -> None:
    assert len(set(DIFFERENT)) == len(DIFFERENT)


def test_what_does_not_count_makes_no_difference() -> None:
    plain = Route.to("http", "one.example", 80)

    assert plain == Route.to("http", "one.example", 80, TlsSettings(verify=False))
    assert plain == Route.to("http", "one.example", 80, proxy_tls=TlsSettings())
    assert plain == Route.to("http", "one.example", 80, proxy_headers=[("X-A", "b")])
    assert hash(plain) == hash(Route.to("http", "one.example", 80))


def test_a_way_has_one_route_as_long_as_somebody_has_it() -> None:
    route = Route.to("https", "only.example", 443)

    assert Route.to("https", "only.example", 443) is route
    assert route.without_http2() is route
    offering = Route.to("https", "only.example", 443, TlsSettings(http2=True))
    assert offering is not route
    assert offering.without_http2() is route
    dropped = weakref.ref(offering)
    del offering
    assert dropped() is None
    assert not [parts for parts in routes._routes if parts[1] == "only.example" and parts[3].http2]


def test_an_https_proxy_is_verified_as_the_server_but_never_gets_its_certificate() -> None:
    settings = TlsSettings(verify="ca.pem", cert="client.pem", assert_fingerprint="ab")

    route = Route.to("https", "one.example", 443, settings, HTTPS)

    assert route.tls == settings
    assert route.proxy_tls == TlsSettings(verify="ca.pem")


def test_a_route_pickles() -> None:
    for route in DIFFERENT:
        assert pickle.loads(pickle.dumps(route)) == route


def test_settings_do_not_show_the_keys_password() -> None:
    settings = TlsSettings(verify=False, cert=("client.pem", "client.key", "hush"))

    assert repr(settings) == "TlsSettings(verify=False, cert=('client.pem', 'client.key', '***'))"
    assert "hush" not in repr(Route.to("https", "a.example", 443, settings))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("one.example", "one.example:80"), ("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80")],
)
def test_authority(host: str, expected: str) -> None:
    assert authority(host, 80) == expected


def test_marks_add_up() -> None:
    marks = Marks()
    assert (marks.dns, marks.connect, marks.tls) == (None, None, None)

    marks.add("tls", 0.25)
    marks.add("tls", 0.5)

    assert (marks.dns, marks.connect, marks.tls) == (None, None, 0.75)
