"""What a program has sent: one request, as its server would have got it."""

from __future__ import annotations

import json as _json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from ..exceptions import RequestException
from ..message.urls import without_password
from ..structures import CaseInsensitiveDict

if TYPE_CHECKING:
    from ..transport.tls.settings import TlsSettings

__all__ = ["Call", "UnexpectedRequest"]


class UnexpectedRequest(RequestException):
    """A request that no route was made for; the text names the nearest one. Never sent again."""


class Call:
    """A request that came over the wire.

    Attributes:
        method: ``GET``, ``POST``, ….
        url: the whole URL.
        pairs: the header fields in their order.
        body: the bytes of the body, put together where it came chunked.
        tls: the settings that count for its connection (``verify``, ``cert``, ...); None for http.
        proxy: ``host:port`` of the proxy that it came through, or None.
        route: the name of the route that answers it, or None.
    """

    def __init__(
        self,
        method: str,
        url: str,
        pairs: list[tuple[str, str]],
        body: bytes = b"",
        tls: TlsSettings | None = None,
        proxy: str | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.pairs = pairs
        self.body = body
        self.tls = tls
        self.proxy = proxy
        self.route: Any = None

    @property
    def headers(self) -> CaseInsensitiveDict:
        """The header fields; several of one name are joined with a comma."""
        found = CaseInsensitiveDict()
        for name, value in self.pairs:
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def params(self) -> dict[str, str]:
        """The query's names and values; the last one of a name counts."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return what the body says as JSON.

        Raises:
            ValueError: it is none.
        """
        return _json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """The body as a form (``application/x-www-form-urlencoded``)."""
        return dict(parse_qsl(self.text, keep_blank_values=True))

    def describe(self) -> str:
        """Return method and URL, without a password."""
        return f"{self.method} {without_password(self.url)}"

    def __repr__(self) -> str:
        return f"<Call {self.describe()}>"
