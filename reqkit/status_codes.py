r"""Status codes by name: ``codes.not_found``, ``codes['temporary_redirect']``, ``codes['\\o/']``.

Each code has the name that its phrase spells (``Not Found``: ``not_found``, ``NOT_FOUND``), and
some have shorter or older ones.

Source: the IANA registry of HTTP status codes (RFC 9110 section 16.2)
"""

from __future__ import annotations

from typing import Final

from .structures import LookupDict

__all__ = ["codes", "reason_phrase"]

_REGISTERED: Final[dict[int, str]] = {
    100: "Continue",
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    104: "Upload Resumption Supported",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    207: "Multi-Status",
    208: "Already Reported",
    226: "IM Used",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    306: "Switch Proxy",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}

# Not registered, but sent by servers in the wild.
_UNREGISTERED: Final[dict[int, str]] = {
    122: "Request-URI Too Long",
    444: "No Response",
    449: "Retry With",
    450: "Blocked by Windows Parental Controls",
    499: "Client Closed Request",
    509: "Bandwidth Limit Exceeded",
}

# Further names, separated by spaces.
_NICKNAMES: Final[dict[int, str]] = {
    103: "checkpoint early-hints",
    200: r"okay all_ok all_okay all_good \o/ ✓",
    203: "non_authoritative_info",
    205: "reset",
    206: "partial",
    207: "multiple_status multi_stati multiple_stati",
    301: r"moved \o-",
    303: "other",
    307: "temporary_moved temporary",
    308: "resume_incomplete resume",
    400: "bad",
    402: "payment",
    404: "-o-",
    405: "not_allowed",
    407: "proxy_auth proxy_authentication",
    408: "timeout",
    413: "request_entity_too_large",
    414: "request_uri_too_large",
    415: "unsupported_media media_type",
    416: "requested_range_not_satisfiable requested_range",
    418: "teapot i_am_a_teapot",
    422: "unprocessable_entity unprocessable",
    424: "dependency",
    425: "unordered_collection unordered",
    426: "upgrade",
    428: "precondition",
    429: "too_many",
    431: "header_fields_too_large fields_too_large",
    444: "none",
    449: "retry",
    450: "parental_controls",
    451: "legal_reasons",
    500: r"server_error /o\ ✗",
    503: "unavailable",
    505: "http_version",
    509: "bandwidth",
    511: "network_auth network_authentication",
}


def _names() -> dict[int, tuple[str, ...]]:
    made = {}
    for status, phrase in (_REGISTERED | _UNREGISTERED).items():
        spelled = phrase.lower().replace(" ", "_").replace("-", "_").replace("'", "")
        made[status] = (spelled, *_NICKNAMES.get(status, "").split())
    return made


#: The names of each status, its phrase first: what programs written for ``requests`` look up.
_codes: Final = _names()


def _build() -> LookupDict:
    made = LookupDict("status_codes")
    for status, names in _codes.items():
        for name in names:
            made[name] = status
            # A shout does not change the pictures.
            if not name.startswith(("\\", "/")):
                made[name.upper()] = status
    return made


#: Status codes by name: an attribute or an item; an unknown item is None.
codes: Final = _build()


def reason_phrase(status: int) -> str:
    """Return the phrase that goes with a status, or an empty string for an unknown one."""
    return _REGISTERED.get(status) or _UNREGISTERED.get(status, "")
