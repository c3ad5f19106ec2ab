from __future__ import annotations

import http
from typing import Any

import pytest

from reqkit.status_codes import codes, reason_phrase


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("continue", 100),
        ("early_hints", 103),
        ("checkpoint", 103),
        ("ok", 200),
        ("OK", 200),
        ("okay", 200),
        ("all_good", 200),
        ("\\o/", 200),
        ("✓", 200),
        ("non_authoritative_info", 203),
        ("multi_status", 207),
        ("im_used", 226),
        ("moved", 301),
        ("\\o-", 301),
        ("temporary_redirect", 307),
        ("resume", 308),
        ("bad", 400),
        ("NOT_FOUND", 404),
        ("-o-", 404),
        ("-O-", 404),
        ("request_entity_too_large", 413),
        ("uri_too_long", 414),
        ("request_uri_too_long", 122),
        ("range_not_satisfiable", 416),
        ("teapot", 418),
        ("im_a_teapot", 418),
        ("unprocessable_entity", 422),
        ("precondition_failed", 412),
        ("precondition", 428),
        ("too_many_requests", 429),
        ("header_fields_too_large", 431),
        ("none", 444),
        ("server_error", 500),
        ("/o\\", 500),
        ("✗", 500),
        ("network_authentication", 511),
    ],
)
def test_names(name: str, status: int) -> None:
    assert codes[name] == status
    assert getattr(codes, name) == status


def test_the_names_of_the_standard_library_are_there() -> None:
    for status in http.HTTPStatus:
        if status.name.startswith("REQUEST_URI"):
            continue  # 414 before Python 3.13; the same name has long stood for 122 in `codes`
        assert codes[status.name] == codes[status.name.lower()] == status


def test_an_unknown_name() -> None:
    found: Any = codes["nothing_of_the_kind"]
    assert found is None
    with pytest.raises(AttributeError, match="not_found"):
        codes.not_fuond  # noqa: B018


def test_pictures_are_not_shouted() -> None:
    assert "\\O/" not in codes
    assert "/O\\" not in codes


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (203, "Non-Authoritative Information"),
        (418, "I'm a Teapot"),
        (508, "Loop Detected"),
        (499, "Client Closed Request"),
        (299, ""),
        (0, ""),
    ],
)
def test_phrases(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase
