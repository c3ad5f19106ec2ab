"""What is said to a proxy so that it connects to the server: CONNECT, SOCKS 4 and 5.

All of it is said on a stream that is connected to the proxy already. Afterwards the same stream
leads to the server. Errors name the proxy without its password.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..base.importing import import_late
from ..exceptions import InvalidSchema, InvalidURL, ProtocolError, ProxyError
from ..network import Stream
from ..wire.h1.errors import TOKEN
from ..wire.h1.head import AnswerHead, find_end, parse_head, write_head
from .routes import Proxy, authority

__all__ = ["require_socks", "socks", "tunnel"]

#: Returns the seconds that are left of the step; raises TimeoutError where there are none.
Left = Callable[[], "float | None"]

#: Answers of 1xx to a CONNECT that are skipped.
_MOST_INTERIM: Final = 8
_REASON_LENGTH: Final = 80

#: Basic, at the beginning of a challenge.
_BASIC: Final = re.compile(r"(?:^|,)\s*basic(?:\s|,|$)", re.IGNORECASE)

_HINTS: Final = {
    403: "it does not allow this host or port",
    405: "it makes no tunnels: is it a proxy for https?",
    501: "it makes no tunnels: is it a proxy for https?",
    502: "it could not reach the server",
    503: "it could not reach the server",
    504: "it could not reach the server in time",
}

#: RFC 1928 section 6.
_SOCKS5_REPLIES: Final = {
    1: "it failed",
    2: "its rules do not allow this host or port",
    3: "the server's network cannot be reached from it",
    4: "the server cannot be reached from it",
    5: "the server refused its connection",
    6: "the server is too far away from it",
    7: "it does not know the command CONNECT",
    8: "it cannot connect to this kind of address",
}

_SOCKS4_REPLIES: Final = {
    0x5B: "it rejected the request, or could not connect",
    0x5C: "it could not ask this machine's identd for the user",
    0x5D: "this machine's identd names another user",
}


def tunnel(
    stream: Stream,
    proxy: Proxy,
    host: str,
    port: int,
    headers: Sequence[tuple[str, str]],
    url: str,
    left: Left,
    strict: bool = False,
) -> str:
    """Ask an HTTP proxy for a tunnel. Blocks.

    Returns:
        what is odd about its answer, for which the tunnel is to be used once; empty for a sound
        one.

    Raises:
        ProxyError: it refused, or what it answered is no answer.
        TimeoutError, OSError: as the stream has it.

    Source: RFC 9110 section 9.3.6.
    """
    target = authority(without_zone(host), port)
    fields = [("Host", target), *headers]
    authorization = proxy.authorization
    if authorization is not None and not any(
        name.lower() == "proxy-authorization" for name, _ in headers
    ):
        fields.append(("Proxy-Authorization", authorization))
    stream.send_all(write_head("CONNECT", target, fields), left())
    try:
        head, surplus, oddity = _answer(stream, left, strict)
    except ProtocolError as error:
        raise ProxyError(f"{url}: the proxy {proxy.url} did not answer CONNECT: {error}") from error
    if not 200 <= head.status < 300:
        raise ProxyError(
            f"{url}: the proxy {proxy.url} refused a tunnel to {_refusal(head, proxy, target)}"
        )
    # A 2xx ends with its head whatever lengths it names, and the server waits for us to begin TLS:
    # what comes before that was not sent by the server.
    if surplus:
        raise ProxyError(
            f"{url}: the proxy {proxy.url} sent {len(surplus)} bytes of its own after it had opened"
            " the tunnel"
        )
    return oddity


def _answer(stream: Stream, left: Left, strict: bool) -> tuple[AnswerHead, bytearray, str]:
    """Read the final head; return what came after it, and what was odd about any, too."""
    buffer = bytearray()
    oddity = ""
    for _ in range(_MOST_INTERIM):
        searched = 0
        while (end := find_end(buffer, searched, strict)) < 0:
            searched = len(buffer)
            data = stream.receive(16384, left())
            if not data:
                raise ProtocolError("it closed the connection")
            buffer += data
        head = parse_head(bytes(buffer[:end]), strict)
        oddity = oddity or head.oddity
        del buffer[:end]
        if head.status >= 200:
            return head, buffer, oddity
    raise ProtocolError(f"it sent {_MOST_INTERIM} interim answers and no final one")


def _refusal(head: AnswerHead, proxy: Proxy, target: str) -> str:
    text = f"{target}: {head.status} {head.reason[:_REASON_LENGTH]}".rstrip()
    hint = _HINTS.get(head.status)
    if head.status == 407:
        hint = _other_schemes(head) or (
            "give its credentials as SCHEME://USER:PASSWORD@HOST:PORT"
            if proxy.authorization is None
            else "it does not take the credentials given for it: are they right?"
        )
    return f"{text} ({hint})" if hint else text


def _other_schemes(head: AnswerHead) -> str:
    """Say which ways to log in a proxy offers, where Basic is none of them."""
    fields = head.get_all("proxy-authenticate")
    if not fields or any(_BASIC.search(field) for field in fields):
        return ""
    offered = sorted({found[0] for field in fields if (found := TOKEN.match(field))})
    return (
        f"it offers {' and '.join(offered)[:_REASON_LENGTH] or 'nothing known'} to log in, and"
        " reqkit logs in to proxies by Basic: set the header Proxy-Authorization by hand, or have"
        " the proxy offer Basic"
    )


def require_socks(proxy: Proxy) -> None:
    """Check that SOCKS can be spoken, before anything is opened.

    Raises:
        InvalidSchema: the package for it is not installed.
    """
    try:
        import_late("socksio", "socksio.socks4", "socksio.socks5")
    except ImportError as error:
        raise InvalidSchema(
            f"the proxy {proxy.url} needs the package socksio:"
            " install reqkit with its extra, reqkit[socks]"
        ) from error


def without_zone(host: str) -> str:
    """Return a host as others are told it: an IPv6 zone is of this machine (RFC 6874 section 4)."""
    return host.partition("%")[0] if ":" in host else host


def socks(stream: Stream, proxy: Proxy, host: str, port: int, url: str, left: Left) -> None:
    """Ask a SOCKS proxy for a connection. Blocks.

    Args:
        stream: connected to the proxy.
        proxy: its scheme says which version is spoken.
        host: the server's address, or (socks4a, socks5h) its name.
        port: the server's port.
        url: what is asked for; for the errors.
        left: the seconds that are left.

    Raises:
        ProxyError: it refused, or does not speak this version.
        InvalidURL: the name is too long.
        TimeoutError, OSError: as the stream has it.
    """
    name = without_zone(host)
    if len(name) > 255:  # RFC 1928 section 5: one byte tells the length
        raise InvalidURL(f"{url}: the host has {len(name)} characters, and SOCKS takes 255")
    talk = _Talk(stream, proxy, authority(host, port), url, left)
    (_socks5 if proxy.scheme.startswith("socks5") else _socks4)(talk, name, port)


class _Talk:
    """A conversation with a SOCKS proxy: messages of known sizes, and how it may fail."""

    __slots__ = ("left", "proxy", "stream", "target", "url")

    def __init__(self, stream: Stream, proxy: Proxy, target: str, url: str, left: Left) -> None:
        self.stream = stream
        self.proxy = proxy
        self.target = target
        self.url = url
        self.left = left

    def send(self, data: bytes) -> None:
        self.stream.send_all(data, self.left())

    def read(self, size: int) -> bytes:
        # Never a byte more: the next one may be the server's.
        data = b""
        while len(data) < size:
            piece = self.stream.receive(size - len(data), self.left())
            if not piece:
                raise self.fault(
                    "closed the connection before it had opened one to the server: are its scheme"
                    " and its credentials right?"
                )
            data += piece
        return data

    def fault(self, what: str) -> ProxyError:
        return ProxyError(f"{self.url}: the proxy {self.proxy.url} {what}")

    def refused(self, why: str) -> ProxyError:
        return self.fault(f"did not connect to {self.target}: {why}")


def _octets(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


def _socks5(talk: _Talk, host: str, port: int) -> None:
    """Speak SOCKS 5 (RFC 1928), with user and password (RFC 1929) where there are any."""
    from socksio import socks5

    connection: Any = socks5.SOCKS5Connection()
    methods: Any = socks5.SOCKS5AuthMethod
    proxy = talk.proxy
    offered = [methods.NO_AUTH_REQUIRED]
    if proxy.user is not None:
        offered.append(methods.USERNAME_PASSWORD)
    connection.send(socks5.SOCKS5AuthMethodsRequest(offered))
    talk.send(connection.data_to_send())
    data = talk.read(2)
    if data[0] != 5:
        raise talk.fault("does not speak SOCKS 5: is its scheme right?")
    if data[1] == 0xFF:
        raise talk.refused(
            "it wants credentials: give them as SCHEME://USER:PASSWORD@HOST:PORT"
            if proxy.user is None
            else "it takes no user and password"
        )
    if data[1:] not in offered:
        raise talk.fault("chose a way to log in that it was not offered")
    reply = connection.receive_data(data)
    if reply.method == methods.USERNAME_PASSWORD:
        connection.send(
            socks5.SOCKS5UsernamePasswordRequest(_octets(proxy.user), _octets(proxy.password))
        )
        talk.send(connection.data_to_send())
        if not connection.receive_data(talk.read(2)).success:
            raise talk.refused("it does not take the credentials given for it: are they right?")
    connection.send(
        socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port))
    )
    talk.send(connection.data_to_send())
    data = talk.read(4)
    if data[0] != 5:
        raise talk.fault("broke the rules of SOCKS 5")
    if data[1]:
        # The rest of a refusal tells nothing more, and some proxies do not send it.
        raise talk.refused(_SOCKS5_REPLIES.get(data[1], f"it answered {data[1]}"))
    # Where it has connected from is of no use here, and may be anything: a name that is none, too.
    if data[3] == 3:
        talk.read(talk.read(1)[0] + 2)
    elif data[3] in (1, 4):
        talk.read(18 if data[3] == 4 else 6)
    else:
        raise talk.fault("broke the rules of SOCKS 5: it gave an address of an unknown kind")


def _socks4(talk: _Talk, host: str, port: int) -> None:
    """Speak SOCKS 4, or 4a where the proxy is to look the name up. There are no passwords."""
    from socksio import ProtocolError as SocksError
    from socksio import socks4

    user = _octets(talk.proxy.user)
    kind: Any = socks4.SOCKS4Request
    if talk.proxy.scheme == "socks4a" and not _is_ipv4(host):
        kind = socks4.SOCKS4ARequest
    connection = socks4.SOCKS4Connection(user_id=user)
    # The user is given twice: an empty one counts as missing in either place alone.
    connection.send(kind.from_address(socks4.SOCKS4Command.CONNECT, (host, port), user))
    talk.send(connection.data_to_send())
    data = talk.read(8)
    try:
        reply = connection.receive_data(data)
    except SocksError as error:
        raise talk.fault("does not speak SOCKS 4: is its scheme right?") from error
    if reply.reply_code != socks4.SOCKS4ReplyCode.REQUEST_GRANTED:
        raise talk.refused(_SOCKS4_REPLIES.get(data[1], f"it answered {data[1]}"))


def _is_ipv4(host: str) -> bool:
    from ..network import numeric_address

    return ":" not in host and numeric_address(host, 0) is not None
