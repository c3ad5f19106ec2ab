"""The credentials that Digest auth sends in the password's place.

Pure: `usable_parameters` says what a server asks for, `authorization` writes the answer to it.

Source: RFC 7616, and RFC 2617 and 2069 for servers that are older.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple
from unicodedata import normalize
from urllib.parse import quote as percent_encode

from ..exceptions import InvalidHeader
from .challenges import Challenge, parse_challenges, quote

__all__ = ["Parameters", "authorization", "fresh_cnonce", "usable_parameters"]

Hash = Callable[["bytes | Iterable[bytes]"], str]


def _hash(name: str) -> Hash | None:
    """Return a hash of the platform's, or None where it has none of this name."""

    def digest(data: bytes | Iterable[bytes]) -> str:
        # A protocol's use of MD5, not a safe one: platforms under FIPS allow it so.
        found = hashlib.new(name, usedforsecurity=False)
        for piece in (data,) if isinstance(data, bytes) else data:
            found.update(piece)
        return found.hexdigest()

    try:
        digest(b"")
    except ValueError:
        return None
    return digest


#: The algorithms, the strongest first. RFC 7616 section 6.1 registers SHA-512-256, SHA-256 and
#: MD5; SHA-512 and SHA are what some servers offer besides.
_ALGORITHMS: Final[dict[str, Hash]] = {
    token: digest
    for token, digest in (
        ("SHA-512-256", _hash("sha512_256")),
        ("SHA-512", _hash("sha512")),
        ("SHA-256", _hash("sha256")),
        ("SHA", _hash("sha1")),
        ("MD5", _hash("md5")),
    )
    if digest is not None
}
_STRENGTH: Final = {token: -place for place, token in enumerate(_ALGORITHMS)}


class Parameters(NamedTuple):
    """What a challenge asks for, checked to be something that can be answered.

    Attributes:
        algorithm: as the server spells it; None where it named none, which means MD5.
        cnonce: the client's nonce of a ``-sess`` algorithm, for as long as the nonce is used.
        qops: what of ``auth`` and ``auth-int`` is offered; None is RFC 2069's form, without any.
    """

    digest: Hash
    strength: int
    algorithm: str | None
    cnonce: str | None
    realm: str
    nonce: str
    opaque: str | None
    qops: frozenset[str] | None
    userhash: bool
    utf8: bool
    stale: bool

    @classmethod
    def of(cls, challenge: Challenge) -> Parameters | None:
        """Return the parameters of a challenge, or None where it cannot be answered."""
        params = challenge.params
        realm, nonce, opaque = params.get("realm"), params.get("nonce"), params.get("opaque")
        if challenge.scheme != "digest" or realm is None or not nonce:
            return None
        try:
            for echoed in (realm, nonce, opaque or ""):
                quote(echoed)
        except InvalidHeader:
            return None
        algorithm = params.get("algorithm", "").strip() or None
        if algorithm is not None and not algorithm.isascii():
            return None
        token = (algorithm or "MD5").upper()
        session = token.endswith("-SESS")
        token = token[:-5] if session else token
        if token not in _ALGORITHMS:
            return None
        # RFC 7616 section 3.3: options that are not known are ignored.
        offered = params.get("qop", "").lower().replace(",", " ").split()
        qops = frozenset(offered) & {"auth", "auth-int"} if offered else None
        if qops is not None and not qops:
            return None
        return cls(
            digest=_ALGORITHMS[token],
            strength=_STRENGTH[token],
            algorithm=algorithm,
            # RFC 7616 section 3.4.2: a session's A1 is computed once, with the cnonce of the
            # first request, so the session keeps that one.
            cnonce=fresh_cnonce() if session else None,
            realm=realm,
            nonce=nonce,
            opaque=opaque,
            qops=qops,
            userhash=params.get("userhash", "").lower() == "true",
            utf8=params.get("charset", "").upper() == "UTF-8",
            stale=params.get("stale", "").lower() == "true",
        )

    def renewed(self, nonce: str) -> Parameters:
        """Return the same parameters with the nonce that the server named for the next request."""
        return self._replace(
            nonce=nonce, stale=False, cnonce=None if self.cnonce is None else fresh_cnonce()
        )

    def qop_for(self, body: Any) -> str | None:
        """Return the quality of protection for a message with this body: '' is RFC 2069's form.

        Returns:
            None where the whole body must be hashed, and it can be read but once.

        Args:
            body: what `authorization` takes.
        """
        if self.qops is None:
            return ""
        if "auth" in self.qops:
            return "auth"
        known = body is None or isinstance(body, (str, bytes, bytearray)) or callable(body)
        return "auth-int" if known else None


def fresh_cnonce() -> str:
    """Return a client's nonce that nobody can guess."""
    return os.urandom(16).hex()


def usable_parameters(values: Iterable[str]) -> Parameters | None:
    """Choose among the challenges of WWW-Authenticate: the strongest hash, then the server's order.

    Source: RFC 7616 section 3.7, with the choice by strength that it leaves to the client.
    """
    found = map(Parameters.of, parse_challenges(values))
    usable = [parameters for parameters in found if parameters is not None]
    return max(usable, key=lambda parameters: parameters.strength, default=None)


def authorization(
    parameters: Parameters,
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    body: Any,
    qop: str,
    count: int,
    cnonce: str,
) -> str:
    """Return the value of the Authorization header.

    Args:
        parameters: what the server asked for.
        username: the user's name.
        password: the user's password.
        method: of the message.
        uri: the request's target, as it is sent.
        body: bytes, str, None, or what is called for the pieces of one that is read while it is
            sent; counts for ``auth-int`` alone.
        qop: what ``parameters.qop_for(body)`` says.
        count: how many requests were sent with this nonce, this one among them.
        cnonce: this request's; where the parameters have a session's one, that is used.
    Source: RFC 7616 section 3.4; section 3.4.6 for what is quoted.
    """
    digest = parameters.digest
    cnonce = parameters.cnonce or cnonce
    if parameters.utf8:
        username, password = normalize("NFC", username), normalize("NFC", password)
    name, realm, target = _utf8(username), _server_octets(parameters.realm), _utf8(uri)
    nonce, client, nc = _server_octets(parameters.nonce), cnonce.encode("ascii"), f"{count:08x}"

    a1 = digest(b":".join((name, realm, _utf8(password)))).encode("ascii")
    if parameters.cnonce is not None:
        a1 = digest(b":".join((a1, nonce, client))).encode("ascii")
    # RFC 7616 section 3.4.3
    a2 = [method.encode("ascii"), target]
    if qop == "auth-int":
        if callable(body):
            hashed = digest(body())
        else:
            hashed = digest(body.encode("utf-8") if isinstance(body, str) else bytes(body or b""))
        a2.append(hashed.encode("ascii"))
    secret = [a1, nonce]
    if qop:
        secret += [nc.encode("ascii"), client, qop.encode("ascii")]
    secret.append(digest(b":".join(a2)).encode("ascii"))

    parts = [
        _user_part(parameters, username),
        "realm=" + quote(parameters.realm),
        "nonce=" + quote(parameters.nonce),
        # A header goes out as Latin-1: this is how the target's own octets get through.
        "uri=" + quote(target.decode("latin-1")),
    ]
    if parameters.algorithm is not None:
        parts.append("algorithm=" + parameters.algorithm)
    if qop:
        parts += ["qop=" + qop, "nc=" + nc]
    # RFC 2617 section 3.2.2: no cnonce without qop; yet a session's hash needs it.
    if qop or parameters.cnonce is not None:
        parts.append("cnonce=" + quote(cnonce))
    parts.append("response=" + quote(digest(b":".join(secret))))
    if parameters.opaque is not None:
        parts.append("opaque=" + quote(parameters.opaque))
    if parameters.userhash:
        parts.append("userhash=true")
    return "Digest " + ", ".join(parts)


def _user_part(parameters: Parameters, username: str) -> str:
    # RFC 7616 section 3.4.4
    if parameters.userhash:
        hashed = parameters.digest(_utf8(username) + b":" + _server_octets(parameters.realm))
        return "username=" + quote(hashed)
    # RFC 7616 section 3.4: what a quoted-string cannot have, or not plainly, goes as an ext-value.
    if username.isascii() and username.isprintable() and not {'"', "\\"} & set(username):
        return "username=" + quote(username)
    # RFC 5987 section 3.2.1: attr-char
    return "username*=UTF-8''" + percent_encode(_utf8(username), safe="!#$&+-.^_`|~")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _server_octets(text: str) -> bytes:
    """Return the octets that the server sent, whichever way they were read as text."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return _utf8(text)
