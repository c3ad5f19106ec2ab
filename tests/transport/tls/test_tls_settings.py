"""What may be said as verify= and cert=."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reqkit.exceptions import RequestException, SSLError
from reqkit.transport.tls.settings import check_cert, check_verify
from servers.tls import Authority


def test_verify_is_checked_at_once(tmp_path: Path, ca_bundle: str) -> None:
    assert check_verify(True) is True
    assert check_verify(False) is False
    assert check_verify(ca_bundle) == ca_bundle
    assert check_verify(Path(ca_bundle)) == ca_bundle
    assert check_verify(os.fsencode(ca_bundle)) == ca_bundle
    assert check_verify(tmp_path) == str(tmp_path)


@pytest.mark.parametrize("verify", [None, 0, 1, "", object(), ["ca.pem"], "/no/such/ca.pem"])
def test_a_verify_that_cannot_be_is_refused(verify: object) -> None:
    with pytest.raises(SSLError) as caught:
        check_verify(verify)

    assert "expected" in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, RequestException)


def test_cert_is_checked_at_once(authority: Authority) -> None:
    cert, key = authority.client()

    assert check_cert(None) is None
    assert check_cert(cert) == cert
    assert check_cert(Path(cert)) == cert
    assert check_cert((cert, key)) == (cert, key)
    assert check_cert([cert, Path(key)]) == (cert, key)
    assert check_cert((cert, None)) == (cert, cert)
    assert check_cert((cert, key, b"hush")) == (cert, key, "hush")
    assert check_cert((cert, key, None)) == (cert, key)


@pytest.mark.parametrize(
    "cert",
    ["/no/such.pem", "", 1, (), ("/no/such.pem", "hush"), ("a", "b", "hush", "hush"), {"hush": 1}],
)
def test_a_cert_that_cannot_be_is_refused(cert: object) -> None:
    with pytest.raises(SSLError, match=r"^cert") as caught:
        check_cert(cert)

    assert "hush" not in str(caught.value)


def test_a_missing_key_is_named(authority: Authority) -> None:
    cert, _ = authority.client()

    with pytest.raises(SSLError, match=r"the key '/no/such\.key' is not there"):
        check_cert((cert, "/no/such.key"))
    with pytest.raises(SSLError, match="password"):
        check_cert((cert, cert, 3))
