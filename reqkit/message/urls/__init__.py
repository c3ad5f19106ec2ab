"""URLs: from what a user gives to what a connection needs, checked once.

`prepare_url` gives a `Target`: the normalised URL, and all that is read from it (host, port, Host
field, request target, userinfo, origin). What one part of reqkit reads from a URL is thus what
every other part reads from it, and what is connected to.

`text` is for URLs as characters, `sites` for what comes before the path, `targets` for the whole,
`joining` for what a Location means.
"""

from __future__ import annotations

from .joining import join, with_base
from .sites import DEFAULT_PORTS
from .targets import Target, encode_params, prepare_url, same_origin
from .text import requote, suggestion, without_password, without_secrets

__all__ = [
    "DEFAULT_PORTS",
    "Target",
    "encode_params",
    "join",
    "prepare_url",
    "requote",
    "same_origin",
    "suggestion",
    "with_base",
    "without_password",
    "without_secrets",
]
