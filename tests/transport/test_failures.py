"""The table of errors: each kind of each package, to the class and the words it has here."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl
from typing import Any

import pytest
import urllib3.exceptions as u3

from reqkit import exceptions as ours
from reqkit.transport.failures import translate
from reqkit.transport.routes import Proxy, parse_proxy

URL = "https://example.org/path"
PROXY = parse_proxy("http://ann:hush@proxy.example:3128")
PHASES = ("dns", "connect", "tls", "send", "wait", "receive")
OPENING = ("dns", "connect", "tls")


def translated(error: BaseException, phase: str, proxy: Proxy | None = None) -> Any:
    found = translate(error, phase=phase, host="example.org", port=443, url=URL, proxy=proxy)
    if found is not None and found is not error:
        assert str(found).startswith(f"{URL}: ")
        assert "hush" not in str(found)
    return found


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def unverified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = message
    return error


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "phase", "kind", "text"),
    [
        (os_error(errno.ECONNREFUSED), "connect", ours.ConnectionError, "is the port right?"),
        (os_error(errno.ECONNRESET), "connect", ours.ConnectionError, "reset the connection"),
        (os_error(errno.ECONNRESET), "tls", ours.ConnectionError, "during TLS"),
        (os_error(errno.ECONNRESET), "send", ours.ConnectionError, "reset the connection"),
        (os_error(errno.ECONNRESET), "wait", ours.ConnectionError, "before it answered"),
        (os_error(errno.ECONNRESET), "receive", ours.ChunkedEncodingError, "end of the body"),
        (os_error(errno.EPIPE), "send", ours.ConnectionError, "has closed"),
        (os_error(errno.EHOSTUNREACH), "connect", ours.ConnectionError, "no route"),
        (os_error(errno.ENETUNREACH), "connect", ours.ConnectionError, "no route"),
        (os_error(errno.EMFILE), "connect", ours.ConnectionError, "too many open files"),
        (os_error(errno.ENFILE), "connect", ours.ConnectionError, "too many open files"),
        (os_error(errno.EADDRNOTAVAIL), "connect", ours.ConnectionError, "source_address"),
        (os_error(errno.EACCES), "connect", ours.ConnectionError, "firewall"),
        (os_error(errno.EAFNOSUPPORT), "connect", ours.ConnectionError, "IPv6"),
        (os_error(errno.EXDEV), "connect", ours.ConnectionError, os.strerror(errno.EXDEV)),
        (OSError("odd"), "connect", ours.ConnectionError, "failed: OSError"),
        (os_error(errno.ETIMEDOUT), "connect", ours.ConnectTimeout, "longer than the connect"),
        (TimeoutError(), "dns", ours.ConnectTimeout, "looking up the name 'example.org'"),
        (TimeoutError(), "connect", ours.ConnectTimeout, "connecting to the server at example.org"),
        (TimeoutError(), "tls", ours.ConnectTimeout, "TLS with the server at example.org:443"),
        (TimeoutError(), "send", ours.ReadTimeout, "took no bytes"),
        (TimeoutError(), "wait", ours.ReadTimeout, "sent nothing"),
        (TimeoutError(), "receive", ours.ReadTimeout, "sent nothing"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "dns",
            ours.ConnectionError,
            "'example.org' was not found: there is no such name: check its spelling",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure"),
            "dns",
            ours.ConnectionError,
            "name server did not answer",
        ),
        (socket.gaierror(-999, "odd"), "dns", ours.ConnectionError, "not found: odd"),
        (socket.herror(1, "Unknown host"), "dns", ours.ConnectionError, "Unknown host"),
        (UnicodeError("label too long"), "dns", ours.InvalidURL, "labels"),
        (UnicodeEncodeError("idna", "", 0, 1, "x"), "tls", ours.InvalidURL, "labels"),
        (tls_error("WRONG_VERSION_NUMBER"), "tls", ours.SSLError, "is it plain http://?"),
        (tls_error("HTTP_REQUEST"), "tls", ours.SSLError, "is it plain http://?"),
        (tls_error("RECORD_LAYER_FAILURE"), "tls", ours.SSLError, "is it plain http://?"),
        (tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), "tls", ours.SSLError, "TLS version"),
        (tls_error("UNSUPPORTED_PROTOCOL"), "tls", ours.SSLError, "TLS version"),
        (tls_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "tls", ours.SSLError, "no common cipher"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "wait", ours.SSLError, "cert=(CERT"),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), "wait", ours.SSLError, "check cert="),
        (
            ssl.SSLError(1, "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)"),
            "tls",
            ours.SSLError,
            "none of the protocols that it was offered",
        ),
        (ssl.SSLError(1, "[SSL] hush (_ssl.c:1006)"), "tls", ours.SSLError, "failed: SSLError;"),
        (tls_error("SOMETHING_NEW"), "tls", ours.SSLError, "SOMETHING_NEW"),
        (ssl.SSLEOFError(8, "EOF occurred"), "tls", ours.SSLError, "closed the connection"),
        (ssl.SSLError(), "receive", ours.SSLError, "SSLError"),
        (http.client.BadStatusLine("hush"), "wait", ours.ProtocolError, "breaks HTTP's rules"),
        (http.client.BadStatusLine("x"), "receive", ours.ChunkedEncodingError, "breaks HTTP's"),
        (http.client.IncompleteRead(b"x"), "receive", ours.ChunkedEncodingError, "end of the body"),
        (http.client.RemoteDisconnected(""), "wait", ours.ConnectionError, "failed"),
        (http.client.InvalidURL("hush"), "send", ours.InvalidURL, "cannot be sent"),
    ],
)
def test_the_table(
    error: BaseException, phase: str, kind: type[ours.RequestException], text: str
) -> None:
    found = translated(error, phase)

    assert type(found) is kind
    assert text in str(found)


@pytest.mark.parametrize(
    ("code", "message", "text"),
    [
        (10, "certificate has expired", "has expired; the server's operator has to renew it"),
        (18, "self-signed certificate", "self-signed certificate; if it is the one expected"),
        (19, "self-signed certificate in certificate chain", "verify=PATH"),
        (20, "unable to get local issuer certificate", "give the CA that signed it"),
        (62, "Hostname mismatch, certificate is not valid for 'example.org'.", "host in the URL"),
        (64, "IP address mismatch, certificate is not valid for '::1'.", "host in the URL"),
        (94, "Missing Authority Key Identifier", "Missing Authority Key Identifier"),
        (0, "", "could not be verified"),
    ],
)
def test_a_certificate_that_is_not_good(code: int, message: str, text: str) -> None:
    found = translated(unverified(code, message), "tls")

    assert type(found) is ours.SSLError
    assert "the certificate of 'example.org' could not be verified" in str(found)
    assert text in str(found)


@pytest.mark.parametrize("phase", OPENING)
@pytest.mark.parametrize(
    "error",
    [
        os_error(errno.ECONNREFUSED),
        os_error(errno.EHOSTUNREACH),
        OSError("odd"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        unverified(18, "self-signed certificate"),
        tls_error("WRONG_VERSION_NUMBER"),
    ],
)
def test_what_fails_at_the_proxy_is_the_proxys(error: OSError, phase: str) -> None:
    found = translated(error, phase, PROXY)

    assert type(found) is ours.ProxyError
    assert "proxy.example" in str(found)


def test_a_proxy_that_is_too_slow_is_a_connect_timeout() -> None:
    found = translated(TimeoutError(), "connect", PROXY)

    assert type(found) is ours.ConnectTimeout
    assert "the proxy http://ann:***@proxy.example:3128" in str(found)


def test_once_connected_a_forwarding_proxy_is_the_peer_and_no_more() -> None:
    found = translated(os_error(errno.ECONNRESET), "wait", PROXY)

    assert type(found) is ours.ConnectionError
    assert "the proxy http://ann:***@proxy.example:3128 reset the connection" in str(found)


def test_too_many_open_files_are_not_the_proxys_fault() -> None:
    assert type(translated(os_error(errno.EMFILE), "connect", PROXY)) is ours.ConnectionError


REFUSED = u3.NewConnectionError(None, "refused")  # type: ignore[arg-type]
REFUSED.__cause__ = os_error(errno.ECONNREFUSED)
NO_NAME = u3.NameResolutionError("example.org", None, socket.gaierror(-2, "x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "phase", "kind", "text"),
    [
        (REFUSED, "connect", ours.ConnectionError, "is the port right?"),
        (u3.NewConnectionError(None, "x"), "wait", ours.ConnectionError, "failed"),  # type: ignore[arg-type]
        (NO_NAME, "connect", ours.ConnectionError, "was not found"),
        (u3.ConnectTimeoutError(None, "x"), "send", ours.ConnectTimeout, "connecting to"),
        (u3.ReadTimeoutError(None, "/", "x"), "connect", ours.ReadTimeout, "sent nothing"),  # type: ignore[arg-type]
        (u3.TimeoutError("x"), "wait", ours.ReadTimeout, "sent nothing"),
        (u3.ProtocolError("x"), "wait", ours.ProtocolError, "breaks HTTP's rules"),
        (u3.ProtocolError("x"), "receive", ours.ChunkedEncodingError, "breaks HTTP's rules"),
        (
            u3.ProtocolError("Connection aborted.", os_error(errno.ECONNRESET)),
            "wait",
            ours.ConnectionError,
            "reset the connection before it answered",
        ),
        (
            u3.ProtocolError("Connection broken", http.client.IncompleteRead(b"x")),
            "receive",
            ours.ChunkedEncodingError,
            "before the end of the body",
        ),
        (u3.IncompleteRead(1, 2), "receive", ours.ChunkedEncodingError, "before the end"),
        (u3.ResponseNotChunked("x"), "receive", ours.ChunkedEncodingError, "breaks HTTP's"),
        (u3.DecodeError("x"), "receive", ours.ContentDecodingError, "Content-Encoding"),
        (u3.SSLError("x"), "tls", ours.SSLError, "TLS with"),
        (
            u3.SSLError(unverified(18, "self-signed certificate")),
            "tls",
            ours.SSLError,
            "the certificate of 'example.org'",
        ),
        (u3.ProxyError("x", os_error(errno.ECONNREFUSED)), "wait", ours.ProxyError, "port right?"),
        (u3.ProxyError("x", Exception("hush")), "wait", ours.ProxyError, "failed"),
        (u3.MaxRetryError(None, "/", REFUSED), "wait", ours.ConnectionError, "is the port right?"),  # type: ignore[arg-type]
        (
            u3.MaxRetryError(None, "/", u3.ConnectTimeoutError(None, "x")),  # type: ignore[arg-type]
            "wait",
            ours.ConnectTimeout,
            "connecting to",
        ),
        (
            u3.MaxRetryError(None, "/", u3.ResponseError("too many 500")),  # type: ignore[arg-type]
            "wait",
            ours.RetryError,
            "used up",
        ),
        (u3.MaxRetryError(None, "/"), "wait", ours.ConnectionError, "used up"),  # type: ignore[arg-type]
        (u3.LocationParseError("http://ann:hush@h"), "connect", ours.InvalidURL, "cannot be read"),
        (u3.URLSchemeUnknown("ftp"), "connect", ours.InvalidSchema, "not known"),
        (u3.ProxySchemeUnknown("ftp"), "connect", ours.InvalidProxyURL, "no scheme"),
        (u3.InvalidHeader("x"), "wait", ours.InvalidHeader, "header"),
        (u3.UnrewindableBodyError("x"), "send", ours.UnrewindableBodyError, "again"),
        (u3.ClosedPoolError(None, "x"), "connect", ours.ConnectionError, "closed"),  # type: ignore[arg-type]
        (u3.EmptyPoolError(None, "x"), "connect", ours.ConnectionError, "pool_maxsize"),  # type: ignore[arg-type]
        (u3.HTTPError("x"), "wait", ours.ConnectionError, "failed"),
    ],
)
def test_what_adapters_on_urllib3_raise(
    error: BaseException, phase: str, kind: type[ours.RequestException], text: str
) -> None:
    found = translated(error, phase)

    assert type(found) is kind
    assert text in str(found)


def _all_of_urllib3(kind: type[BaseException] = u3.HTTPError) -> list[type[BaseException]]:
    kinds = [kind]
    for below in kind.__subclasses__():
        if below.__module__ == u3.__name__:
            kinds += _all_of_urllib3(below)
    return kinds


@pytest.mark.parametrize("kind", sorted(set(_all_of_urllib3()), key=repr))
@pytest.mark.parametrize("phase", PHASES)
def test_no_error_of_urllib3_is_left_bare(kind: type[BaseException], phase: str) -> None:
    error = kind.__new__(kind, "http://ann:hush@h")

    assert isinstance(translated(error, phase), ours.RequestException)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("proxy", [None, PROXY])
def test_every_os_error_has_an_error(phase: str, proxy: Proxy | None) -> None:
    for number in errno.errorcode:
        found = translated(os_error(number), phase, proxy)

        assert isinstance(found, ours.RequestException)
        assert "None" not in str(found)


@pytest.mark.parametrize(
    "error", [ours.InvalidURL("x"), ours.TotalTimeout("x"), ours.ConnectTimeout("x")]
)
def test_an_error_of_ours_stays_what_it_is(error: ours.RequestException) -> None:
    assert translated(error, "connect") is error


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), KeyboardInterrupt(), AssertionError()]
)
def test_what_is_no_failure_of_a_request_has_none(error: BaseException) -> None:
    assert translated(error, "connect") is None


def test_a_unicode_error_beyond_the_name_is_not_the_hosts() -> None:
    assert translated(UnicodeError("x"), "send") is None


def test_an_ipv6_server_is_named_in_brackets() -> None:
    found = translate(
        os_error(errno.ECONNREFUSED), phase="connect", host="::1", port=1, url="http://[::1]:1/"
    )

    assert "the server at [::1]:1 refused" in str(found)
