"""Targets: URLs that can be sent to.

The site (``scheme://user@host:port``) and the rest of a URL are looked at apart. The rest is passed
as it is where one regular expression finds it in its normal form already; otherwise it is
normalised by urllib3's parser, as ``requests`` does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ...base.deferred import DeferredModule
from ...exceptions import InvalidURL, MissingSchema, URLRequired
from ..multimapping import urlencoded
from .sites import DEFAULT_PORTS, Site, UnusableSite, decoded_userinfo, fault, site_of
from .text import plain_escapes, requote, shown, suggestion, without_dots, without_secrets

if TYPE_CHECKING:
    import urllib3
    import urllib3.exceptions
    import urllib3.util
else:
    urllib3 = DeferredModule("urllib3")

__all__ = ["Target", "encode_params", "prepare_url", "same_origin"]

#: Longer URLs are not remembered, so that the memory for them stays small.
_LONGEST_REMEMBERED: Final = 2048

# What a path or a query may have (RFC 3986 section 3.3), but for '%'; and '?', which starts a query
# or is a part of it.
_PLAIN: Final = r"[!$&-;=?-Z_a-z~]"
_NOT_PLAIN: Final = r"[^!$&-;=?-Z_a-z~]"
# An escape in its normal form (RFC 3986 section 6.2.2): upper case, of nothing unreserved.
_ESCAPE: Final = r"%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|[46]0|5[B-E]|7[BCDF])"
# The site is visible ASCII without '#/?\', then path and query. No fragment: it is rare.
_normal_site = re.compile(r"https?://[!\"$-.0->@-\[\]-~]+").fullmatch
_normal_rest = re.compile(rf"/{_PLAIN}*(?:{_ESCAPE}{_PLAIN}*)*").fullmatch
_not_plain = re.compile(_NOT_PLAIN).search

_SCHEME: Final = re.compile(r"([A-Za-z0-9+.-]+):(//)?")
_HTTP_URL: Final = re.compile(r"(https?://[^/?#\\]+)(\\)?", re.IGNORECASE)
_LINE_BREAK_OR_NUL: Final = re.compile(r"[\r\n\0]")
_SPACE_OR_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(r"/\.\.?(?:/|\Z)")


class Target:
    """A URL that can be sent to, and what is read from it. Immutable.

    For a URL whose scheme is not http(s), ``url``, ``scheme`` and ``origin`` alone are set (the
    rest is empty, the port 0): what it means is known to the adapter mounted for it.

    Attributes:
        url: the whole URL, normalised; it keeps the userinfo and the fragment.
        scheme: ``http`` or ``https``, in lower case.
        host: in lower case, IDNA-encoded; an IPv6 address without its brackets.
        port: the scheme's own where none was given.
        authority: the value of the Host field: no userinfo, no default port, no IPv6 zone.
        path: the request target in origin form: path and query. Each character stands for the
            byte of the same number (Latin-1), which matters for ``encode=False`` only.
        userinfo: the user and the password, percent-decoded (``""`` where there is none); or None.
        origin: scheme, host and port.
    """

    # No named tuple: what is asked for with each request is found faster in a slot.
    __slots__ = ("authority", "host", "origin", "path", "port", "scheme", "url", "userinfo")

    def __init__(
        self,
        url: str,
        scheme: str,
        host: str,
        port: int,
        authority: str,
        path: str,
        userinfo: tuple[str, str] | None,
        origin: tuple[str, str, int],
    ) -> None:
        self.url: str = url
        self.scheme: str = scheme
        self.host: str = host
        self.port: int = port
        self.authority: str = authority
        self.path: str = path
        self.userinfo: tuple[str, str] | None = userinfo
        self.origin: tuple[str, str, int] = origin

    def with_path(self, url: str, path: str) -> Target:
        """Return a target of the same origin with another path, and the URL that has it."""
        return Target(
            url, self.scheme, self.host, self.port, self.authority, path, self.userinfo, self.origin
        )

    def __eq__(self, other: object) -> bool:
        # All else is read from these two.
        return isinstance(other, Target) and (self.url, self.path) == (other.url, other.path)

    def __hash__(self) -> int:
        return hash((self.url, self.path))

    def __repr__(self) -> str:
        return f"<Target {without_secrets(self.url)}>"


def prepare_url(url: Any, params: Any = None, encode: bool = True) -> Target:
    """Check a URL, normalise it, and read from it what a connection needs. Never blocks.

    Normalised means, as in ``requests``: scheme and host in lower case, the host in IDNA, ``.``
    and ``..`` segments resolved, what a URL may not have percent-encoded as UTF-8, escapes in upper
    case, none for letters, digits and ``-._~``, a ``%`` that starts no escape as ``%25``, ``/`` for
    an empty path, no empty query or fragment. White space before the URL is left out.

    Args:
        url: str, UTF-8 bytes, or an object whose ``str()`` is a URL.
        params: added to the query: see `encode_params`. None adds nothing.
        encode: False leaves path, query and fragment as they are given; text that is not ASCII goes
            out as UTF-8.

    Returns: a `Target`. A URL of another scheme is as it was given, for the adapter mounted for it;
        one that starts with ``http`` (``http+unix://``) is quoted and takes params, as in
        ``requests``.

    Raises:
        URLRequired: there is none.
        MissingSchema: it does not start with a scheme.
        InvalidURL: it cannot be sent.
        TypeError: params are not of a kind that can be encoded.
        ValueError: an item of params cannot be encoded.

    Source: RFC 3986; RFC 9110 section 4.2; RFC 9112 section 3.2.1.
    """
    if type(url) is not str:
        url = _text(url)
    if not encode:
        target = _as_given(url)
    else:
        known = _targets.get(url)
        target = _parsed(url) if known is None else known
    if params is None or not target.path:
        return target
    query = encode_params(params)
    if not query:
        return target
    return _with_query(target, query, encode, raw=isinstance(params, (str, bytes, bytearray)))


def _text(url: Any) -> str:
    if url is None:
        raise URLRequired("no URL was given: expected one such as 'https://example.org/'")
    if not isinstance(url, (bytes, bytearray)):
        return str.__str__(str(url))
    try:
        return url.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidURL(
            f"URL {shown(url.decode('latin-1'))} is bytes that are not UTF-8: percent-encode them"
        ) from error


#: URLs that were asked for, and what came before the path in others. When there are many, all are
#: forgotten: a program that has many has ever new ones.
_targets: Final[dict[str, Target]] = {}
_sites: Final[dict[str, Site]] = {}
_MOST_REMEMBERED: Final = 128
_new: Final = object.__new__


def _parsed(url: str) -> Target:
    at = url.find("/", 8)
    if at < 0:
        return _remember(url, _normalised(url))
    prefix = url[:at]
    site = _sites.get(prefix)
    if site is None:
        if _normal_site(prefix) is None:
            return _remember(url, _normalised(url))
        site = _site(url, prefix)
        if at <= _LONGEST_REMEMBERED:
            if len(_sites) >= _MOST_REMEMBERED:
                _sites.clear()
            _sites[prefix] = site
    path = url[at:]
    if (
        (_not_plain(path) is not None and _normal_rest(path) is None)
        or "/." in path
        or path[-1] == "?"
    ):
        return _remember(url, _normalised(url))
    # As the class and `_remember` have it, without two calls: this is done for each new URL.
    target = _new(Target)
    (
        start, target.scheme, target.host, target.port, target.authority, target.userinfo,
        target.origin,
    ) = site  # fmt: skip
    target.url = start + path
    target.path = path
    if len(url) <= _LONGEST_REMEMBERED:
        if len(_targets) >= _MOST_REMEMBERED:
            _targets.clear()
        _targets[url] = target
    return target


def _remember(url: str, target: Target) -> Target:
    if len(url) <= _LONGEST_REMEMBERED:
        if len(_targets) >= _MOST_REMEMBERED:
            _targets.clear()
        _targets[url] = target
    return target


def _target(url: str, prefix: str, rest: str, path: str) -> Target:
    """Put a target together; ``rest`` follows the site in the URL, ``path`` is what is sent."""
    start, scheme, host, port, authority, userinfo, origin = _site(url, prefix)
    return Target(start + rest, scheme, host, port, authority, path, userinfo, origin)


def _site(url: str, prefix: str) -> Site:
    read = site_of if len(prefix) <= _LONGEST_REMEMBERED else site_of.__wrapped__
    try:
        return read(prefix)
    except UnusableSite as error:
        raise InvalidURL(f"URL {shown(url)} cannot be sent to: {error}") from error


def _normalised(url: str) -> Target:
    """Take the slow way: for all that is not in its normal form already."""
    url = url.lstrip()
    scheme = _scheme(url)
    if scheme not in DEFAULT_PORTS:
        return _of_other_scheme(url, scheme)
    prefix, given = _split(url)
    # urllib3 would encode each escape anew where one '%' is none.
    parsed = urllib3.util.parse_url("http://h" + _NO_ESCAPE.sub("%25", given))
    path = plain_escapes(parsed.path or "/")
    if _DOT_SEGMENT.search(path):
        # They were written %2E, and an escaped dot is a dot (RFC 3986 section 6.2.2.2).
        path = without_dots(path)
    if parsed.query:
        path += "?" + plain_escapes(parsed.query)
    fragment = "#" + plain_escapes(parsed.fragment) if parsed.fragment else ""
    return _target(url, prefix, path + fragment, path)


def _as_given(url: str) -> Target:
    """Check a URL that is not to be encoded."""
    url = url.lstrip()
    scheme = _scheme(url)
    if scheme not in DEFAULT_PORTS:
        return _of_other_scheme(url, scheme)
    prefix, rest = _split(url)
    _refuse_spaces(url, rest)
    if rest[:1] != "/":
        rest = "/" + rest
    return _target(url, prefix, rest, _octets(url, rest.partition("#")[0]))


def _scheme(url: str) -> str:
    """Return the scheme, in lower case, of a URL that could be sent somewhere."""
    if not url:
        raise URLRequired("the URL is empty: expected one such as 'https://example.org/'")
    bad = _LINE_BREAK_OR_NUL.search(url)
    if bad:
        what = "strip it" if not url[bad.start() :].strip() else "percent-encode it, or take it out"
        raise InvalidURL(
            f"URL {shown(url)} has a {bad.group()!r} at position {bad.start()}: {what}"
        )
    match = _SCHEME.match(url)
    if match is not None:
        scheme = match.group(1).lower()
        # 'httpbin.org:80' is a host and a port. 'localhost:80' looks like a scheme, and is left to
        # the adapters, as in requests.
        if scheme in DEFAULT_PORTS or match.group(2) or not scheme.startswith("http"):
            return scheme
    likely = suggestion(url)
    raise MissingSchema(
        f"URL {shown(url)} has no scheme: expected it to start with 'http://' or 'https://'"
        + (f"; perhaps you meant {shown(likely)}" if likely else "")
    )


def _split(url: str) -> tuple[str, str]:
    """Return the site and the rest of an http(s) URL."""
    match = _HTTP_URL.match(url)
    if match is None:
        raise InvalidURL(
            f"URL {shown(url)} has no host: expected one such as 'https://example.org/'"
        )
    if match.group(2):
        # Browsers read it as '/', others as a part of the host: no two would agree on the host.
        raise InvalidURL(
            f"URL {shown(url)} has a backslash after its host: write '/', or '%5C' in a path"
        )
    return match.group(1), url[match.end(1) :]


def _of_other_scheme(url: str, scheme: str) -> Target:
    """Return the target of a URL whose scheme is not http(s)."""
    if not scheme.startswith("http"):
        return Target(url, scheme, "", 0, "", "", None, (scheme, "", 0))
    # http+unix and the like: a host whose meaning is the adapter's, then a path of HTTP's kind.
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise InvalidURL(f"URL {shown(url)}: {fault(_place(url))}") from None
    if not parsed.host:
        raise InvalidURL(f"URL {shown(url)} has no host")
    auth = f"{parsed.auth}@" if parsed.auth else ""
    port = parsed.port or 0
    authority = f"{parsed.host}:{port}" if port else parsed.host
    path = requote((parsed.path or "/") + (f"?{parsed.query}" if parsed.query else ""))
    fragment = "#" + requote(parsed.fragment) if parsed.fragment else ""
    return Target(
        requote(f"{scheme}://{auth}{authority}") + path + fragment,
        scheme,
        parsed.host,
        port,
        authority,
        path,
        decoded_userinfo(parsed.auth),
        (scheme, parsed.host, port),
    )


def _place(url: str) -> str:
    return re.split(r"[/?#\\]", url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]


def _refuse_spaces(url: str, text: str) -> None:
    bad = _SPACE_OR_CONTROL.search(text)
    if bad:
        raise InvalidURL(
            f"URL {shown(url)} has a {bad.group()!r}, which cannot be sent as it is:"
            " percent-encode it, or have all encoded (config encode_uri=True)"
        )


def _octets(url: str, text: str) -> str:
    """Return text whose characters stand for the bytes of its UTF-8."""
    try:
        return text if text.isascii() else text.encode("utf-8").decode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidURL(
            f"URL {shown(url)} has a lone surrogate, which UTF-8 cannot express"
        ) from error


def encode_params(params: Any) -> str:
    """Return a query string, without its ``?``.

    Args:
        params: a mapping or pairs, whose values may be lists; None values are left out, and what is
            not text is written as ``str()`` has it. A str, or UTF-8 bytes, is a query already and
            returned as it is. None gives an empty query.

    Raises:
        TypeError: it is none of these.
        ValueError: an item is not a pair, or text that UTF-8 cannot express.
    """
    if params is None:
        return ""
    if isinstance(params, str):
        return params
    if not isinstance(params, (bytes, bytearray)):
        return urlencoded(params, "params")
    try:
        return params.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"params is bytes that are not UTF-8 ({error.reason} at {error.start}):"
            " percent-encode them"
        ) from error


def _with_query(target: Target, query: str, encode: bool, *, raw: bool) -> Target:
    """Return the target with more in its query. What is not raw is encoded already."""
    if raw and encode:
        # A '#' would start the fragment: it can only be meant as a part of a value.
        query = requote(query).replace("#", "%23")
    elif raw:
        _refuse_spaces(target.url, query)
    base, mark, fragment = target.url.partition("#")
    start = target.path.find("?")
    # Only with encode=False is a query that is there an empty one.
    joint = "?" if start < 0 else "" if start == len(target.path) - 1 else "&"
    return target.with_path(
        f"{base}{joint}{query}{mark}{fragment}",
        f"{target.path}{joint}{_octets(target.url, query)}",
    )


def same_origin(a: Target, b: Target) -> bool:
    """Tell whether scheme, host and port are the same (RFC 9110 section 4.3.1)."""
    return a.origin == b.origin
