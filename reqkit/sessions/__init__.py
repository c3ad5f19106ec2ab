"""What a user's defaults are, and which message comes next.

A session keeps defaults, cookies and adapters. A call's arguments are merged with them into one
message (`merging`), and a chain of messages follows from its answers: redirects, auth challenges
(`chain`). What is sent goes down through an adapter; nothing in here waits.

Stands on: adapters, transport, network, message, cookies, auth, base.
Begin with `session.Session.request`, then `chain`. `overrides` is for programs written for
``requests`` alone, which override a session's steps.
"""

from __future__ import annotations

from ..transport.address_filter import AddressFilter
from .session import Request, Session, SingleUseSession, merge_hooks, session

__all__ = ["AddressFilter", "Request", "Session", "SingleUseSession", "merge_hooks", "session"]
