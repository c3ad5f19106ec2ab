"""Test code that uses reqkit: answers without a server, and without a patch.

>>> import reqkit
>>> from reqkit import testing
>>> with testing.Router() as router:
...     router.get("https://api.example/users/1").answer(json={"name": "Ada"})
...     reqkit.get("https://api.example/users/1").json()
<Route GET https://api.example/users/1>
{'name': 'Ada'}

A `Router` stands in for the network: what a program sends through functions, sessions, batches and
pools, in threads and greenlets, goes to its routes. The rest is the real one: the wire, connection
pools, redirects, cookies, limits, retries. A `Recording` keeps real exchanges in a readable file,
and answers from it the next time.

Stands on: transport, network, message, wire, base.
Begin with `router.Router`, then `streams`, where a connection is stood in for.
"""

from __future__ import annotations

from .answers import Answer
from .calls import Call, UnexpectedRequest
from .recording import Recording
from .router import Router
from .routes import Route

__all__ = ["Answer", "Call", "Recording", "Route", "Router", "UnexpectedRequest"]
