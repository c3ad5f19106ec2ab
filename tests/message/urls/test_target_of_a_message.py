"""The parts of a message's URL are those of the URL as it is now."""

from __future__ import annotations

import pytest

import reqkit


@pytest.mark.parametrize("url", ["http://a.example/x", "http://z.example/", "http://m.example/"])
def test_targets_follow_a_changed_url(url: str) -> None:
    prepared = reqkit.Request("GET", "http://m.example/path?q=1").prepare()
    assert prepared.target.host == "m.example"
    prepared.url = url
    assert (prepared.target.url, prepared.target.host) == (url, url.split("/")[2])
    assert prepared.path_url == "/" + url.split("/", 3)[3]
