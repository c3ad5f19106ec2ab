"""Fields of HTTP/2 that may stand once, and stand several times: as those of HTTP/1.1."""

from __future__ import annotations

import pytest

from reqkit.exceptions import ProtocolError
from reqkit.wire.h2.fields import check_strictly, head_of_fields


def test_one_value_is_one_field() -> None:
    fields = [
        (":status", "302"), ("location", "/a"), ("content-type", "a/b"), ("via", "x"),
        ("location", "/a"), ("content-type", "a/b"), ("via", "x"), ("set-cookie", "c=d"),
        ("set-cookie", "c=d"), ("date", "1"), ("date", "2"),
    ]  # fmt: skip
    head = head_of_fields(fields)
    assert head.known == {"location": "/a", "set-cookie": "c=d, c=d"}
    assert head.get("content-type") == "a/b"
    assert head.get("via") == "x, x"
    assert head.get("date") == "1, 2"
    with pytest.raises(ProtocolError, match="'content-type' stands more than once"):
        check_strictly(head)


def test_what_may_be_repeated_is_not_odd() -> None:
    fields = [(":status", "200"), ("vary", "a"), ("vary", "a"), ("date", "1"), ("date", "2")]
    head = head_of_fields(fields)
    assert not head.oddity
    check_strictly(head)


def test_a_redirect_to_several_places() -> None:
    fields = [(":status", "302"), ("location", "/a"), ("location", "/b")]
    with pytest.raises(ProtocolError, match="several places"):
        head_of_fields(fields)
    assert head_of_fields([(":status", "200"), *fields[1:]]).get("location") == "/a, /b"
