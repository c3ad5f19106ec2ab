"""What is remembered of URLs and cookies is small, whatever a server says."""

from __future__ import annotations

import pytest

import reqkit
from reqkit.base.hostnames import ascii_name
from reqkit.cookies.parsing import MAX_OTHERS, parse_set_cookie
from reqkit.message.urls import join, prepare_url
from reqkit.message.urls.sites import site_of
from reqkit.message.urls.targets import _sites, _targets


def test_long_urls_are_not_remembered() -> None:
    before = site_of.cache_info().currsize
    for number in range(3):
        long = "u" * 5000 + str(number)
        for url in (
            f"http://{long}@a.example/",
            f"http://a.example/{long}",
            f"http://{long}@[::1]",
        ):
            target = prepare_url(join("http://a.example/", url))
            assert target.host in ("a.example", "::1")
    assert site_of.cache_info().currsize - before <= 1  # http://a.example
    assert max(map(len, [*_sites, *_targets]), default=0) <= 2048


def test_a_very_long_name_is_none_and_not_remembered() -> None:
    before = ascii_name.cache_info().currsize
    with pytest.raises(reqkit.InvalidURL, match="too long"):
        prepare_url("http://" + "\xfc." * 5000 + "example/")
    assert ascii_name.cache_info().currsize == before


def test_a_cookie_keeps_some_attributes_that_mean_nothing() -> None:
    others = "".join(f"; x{number}={number}" for number in range(1000))
    cookie = parse_set_cookie(f"a=b{others}; Secure; Path=/p; HttpOnly", 0.0)
    assert cookie is not None
    assert len(cookie.rest) == MAX_OTHERS + 1
    assert "HttpOnly" in cookie.rest
    assert (cookie.secure, cookie.path) == (True, "/p")
