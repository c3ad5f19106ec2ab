"""Challenges: what servers write, well and badly."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.auth.challenges import Challenge, parse_challenges, parse_params, quote


def challenge(scheme: str, token68: str | None = None, **params: str) -> Challenge:
    return Challenge(scheme, token68, params)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("Negotiate", [challenge("negotiate")]),
        ("NTLM TlRMTVNTUAAC==", [challenge("ntlm", "TlRMTVNTUAAC==")]),
        ("Negotiate oWE=  ", [challenge("negotiate", "oWE=")]),
        ('Basic realm="x"', [challenge("basic", realm="x")]),
        ("BASIC REALM=x", [challenge("basic", realm="x")]),
        (
            'Basic realm = "x" , charset\t=\t"UTF-8"',
            [challenge("basic", realm="x", charset="UTF-8")],
        ),
        (
            "Negotiate, NTLM, Basic realm=x",
            [challenge("negotiate"), challenge("ntlm"), challenge("basic", realm="x")],
        ),
        (
            "Negotiate abc=, Basic realm=x",
            [challenge("negotiate", "abc="), challenge("basic", realm="x")],
        ),
        # RFC 9110 section 11.6.1
        (
            'Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',
            [
                challenge("newauth", realm="apps", type="1", title='Login to "apps"'),
                challenge("basic", realm="simple"),
            ],
        ),
        # Commas, an equals sign and another scheme within quotes; escapes.
        (
            'Digest realm="a, Basic realm=b", qop="auth,auth-int"',
            [challenge("digest", realm="a, Basic realm=b", qop="auth,auth-int")],
        ),
        ('Digest realm="a\\\\", nonce="\\n"', [challenge("digest", realm="a\\", nonce="n")]),
        ('Digest realm=""', [challenge("digest", realm="")]),
        # What is not allowed, and is sent.
        ("Digest nonce=a/b+c==, realm=x", [challenge("digest", nonce="a/b+c==", realm="x")]),
        ('Digest realm="x" nonce="n"', [challenge("digest", realm="x", nonce="n")]),
        ('Digest,realm="x"', [challenge("digest", realm="x")]),
        ('Digest realm="x", realm="y"', [challenge("digest", realm="x")]),
        ('Digest realm="open', [challenge("digest", realm="open")]),
        ('Digest realm="open\\', [challenge("digest", realm="open")]),
        ('realm="x", Basic realm="y"', [challenge("basic", realm="y")]),
        ('"Digest nonce=1", Basic realm=x', [challenge("basic", realm="x")]),
        ('="Digest a=b", Basic realm=x', [challenge("basic", realm="x")]),
        ('Basic realm=x"Digest a=b"', [challenge("basic", realm="x")]),
        ("@@@ Basic realm=x ???", [challenge("basic", realm="x")]),
        ("Basic Digest realm=x", [challenge("basic"), challenge("digest", realm="x")]),
        ("Digest a=b, realm=", [challenge("digest", a="b", realm="")]),
        ("Digest a=b, realm=, c=d", [challenge("digest", a="b", realm="", c="d")]),
        ("Basic realm=ümlaut", [challenge("basic", realm="ümlaut")]),
    ],
)
def test_parse(value: str, expected: list[Challenge]) -> None:
    assert parse_challenges([value]) == expected


def test_several_fields_are_read_one_by_one() -> None:
    values = ['Digest realm="open', 'Basic realm="x"', "nonce=1"]
    assert parse_challenges(iter(values)) == [
        challenge("digest", realm="open"),
        challenge("basic", realm="x"),
    ]


def test_params_alone() -> None:
    assert parse_params('nextnonce="a,b", qop=auth, NC=00000001') == {
        "nextnonce": "a,b",
        "qop": "auth",
        "nc": "00000001",
    }
    assert parse_params("") == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("tab\tü", '"tab\tü"'),
    ],
)
def test_quote(value: str, expected: str) -> None:
    assert quote(value) == expected


@pytest.mark.parametrize("value", ["a\r\nX: y", "\r", "\n", "\x00", "\x1b", "\x7f"])
def test_quote_refuses_what_would_break_a_header(value: str) -> None:
    with pytest.raises(ValueError, match="header"):
        quote(value)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_what_is_quoted_is_read_back(value: str) -> None:
    assert parse_params("x=" + quote(value)) == {"x": value}


@given(st.lists(st.text(st.sampled_from('ab=,"\\ \t\n/é\r\x00')), max_size=4))
def test_junk_never_raises(values: list[str]) -> None:
    for found in parse_challenges(values):
        assert found.scheme


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a ",
        "a, ",
        "a=b ",
        '"',
        '\\"',
        '"\\',
        "a=",
        " ",
        "=",
        ",",
        'a="\\"',
        "a " + " " * 9,
        "\x00",
    ],
)
def test_time_is_linear(piece: str) -> None:
    def seconds(size: int) -> float:
        text = "Digest x" + piece * (size // len(piece)) + "\x01"
        begin = time.process_time()
        parse_challenges([text, 'Digest realm="' + text])
        return time.process_time() - begin

    # A quadratic reader would need minutes.
    assert seconds(100_000) < 3
