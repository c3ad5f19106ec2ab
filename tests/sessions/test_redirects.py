"""Redirects: where they lead, how long a chain may be, and what becomes of bodies.

What each hop is told is in `test_redirect_matrix`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import reqkit
from servers.messages import answer
from servers.town import Town

Send = Callable[..., reqkit.Response]


# What is given, over a longer way


def test_what_was_given_comes_back_home_but_what_was_set_by_hand_does_not(town: Town) -> None:
    town.redirect("http://b.example/away")
    town.redirect("http://a.example/end", path="/away")
    town.get(headers={"Cookie": "by=hand"}, auth=("user", "pw"))
    assert [hop.get("Authorization") for hop in town.hops] == [
        "Basic dXNlcjpwdw==", None, "Basic dXNlcjpwdw==",
    ]  # fmt: skip
    assert [hop.get("Cookie") for hop in town.hops] == ["by=hand", None, None]


def test_a_custom_auth_is_asked_again_at_home_only(town: Town) -> None:
    asked: list[str | None] = []

    def auth(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        asked.append(prepared.url)
        prepared.headers["X-Signature"] = f"of {prepared.url}"
        return prepared

    town.redirect("/two")
    town.redirect("http://b.example/three", path="/two")
    town.get(auth=auth)
    assert asked == ["http://a.example/start", "http://a.example/two"]
    assert [hop.get("X-Signature") for hop in town.hops] == [
        "of http://a.example/start", "of http://a.example/two", None,
    ]  # fmt: skip


def test_other_headers_follow(town: Town) -> None:
    town.redirect("http://b.example/end")
    town.get(headers={"X-Trace": "1", "Accept-Language": "sv"})
    assert town.hop("/end").get("X-Trace") == "1"
    assert town.hop("/end").get("Accept-Language") == "sv"


# Bodies


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_chunked_body_is_dropped_whole(town: Town, status: int) -> None:
    town.redirect("/end", status)
    town.get(method="POST", data=iter([b"a", b"b"]))
    assert town.hop("/start").body == b"ab"
    end = town.hop("/end")
    assert (end.method, end.body, end.get("Transfer-Encoding")) == ("GET", b"", None)


@pytest.mark.parametrize("status", [307, 308])
def test_a_file_is_rewound(town: Town, status: int, tmp_path: Path) -> None:
    town.redirect("/end", status)
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        town.get(method="PUT", data=file)
    assert [hop.body for hop in town.hops] == [b"456789"] * 2


@pytest.mark.parametrize("status", [307, 308])
def test_what_cannot_be_rewound_is_an_error_that_says_so(town: Town, status: int) -> None:
    town.redirect("/end", status)
    with pytest.raises(reqkit.UnrewindableBodyError, match=r"http://a\.example/start") as caught:
        town.get(method="POST", data=(piece for piece in [b"a"]))
    assert caught.value.response.status_code == status
    assert len(town.hops) == 1


# Where a Location leads

#: Location as bytes, to the Host and target of the next message.
LEADS: Mapping[bytes, tuple[str, str]] = {
    b"end": ("a.example", "/dir/end"),
    b"./end": ("a.example", "/dir/end"),
    b"../end": ("a.example", "/end"),
    b"../../../end": ("a.example", "/end"),
    b"/end": ("a.example", "/end"),
    b"?q=1": ("a.example", "/dir/start?q=1"),
    b"//b.example/end": ("b.example", "/end"),
    b"//b.example": ("b.example", "/"),
    b"http://b.example": ("b.example", "/"),
    b"http://b.example?q": ("b.example", "/?q"),
    b"http://[::1]/end": ("[::1]", "/end"),
    b"http://[::1]:8080/end": ("[::1]:8080", "/end"),
    b"http://u:p@b.example/end": ("b.example", "/end"),
    b"/a b": ("a.example", "/a%20b"),
    b"  /end  ": ("a.example", "/end"),
    b"/\xc3\xbc": ("a.example", "/%C3%BC"),  # raw UTF-8
    b"/\xfc": ("a.example", "/%FC"),  # raw Latin-1
    b"/%C3%BC?x=%2f": ("a.example", "/%C3%BC?x=%2F"),
    b"/a%0d%0ab": ("a.example", "/a%0D%0Ab"),
    b"/100%": ("a.example", "/100%25"),
    b"http://B.EXAMPLE/End": ("b.example", "/End"),
    b"http://b%C3%BC.example/": ("", ""),
    "http://bücher.example/end".encode(): ("xn--bcher-kva.example", "/end"),
    b"http:/end": ("a.example", "/end"),
    b"http:end": ("a.example", "/dir/end"),
    b"/end#fragment": ("a.example", "/end"),
}


@pytest.mark.parametrize("location", [one for one in LEADS if LEADS[one][0]])
def test_where_it_leads(town: Town, location: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    town.answers["/dir/start"] = head
    if location.startswith(b"?"):  # the same path again
        with pytest.raises(reqkit.TooManyRedirects):
            town.get("http://a.example/dir/start", config={"max_redirects": 1})
    else:
        assert town.get("http://a.example/dir/start").status_code == 200
    assert (town.hops[1].get("Host"), town.hops[1].target) == LEADS[location]


def test_fragments_are_inherited(town: Town) -> None:
    town.redirect("/end")
    assert town.get("http://a.example/start#part").url == "http://a.example/end#part"
    town.redirect("/end#other")
    assert town.get("http://a.example/start#part").url == "http://a.example/end#other"


REFUSED: Mapping[bytes, type[reqkit.RequestException]] = {
    b"file:///etc/passwd": reqkit.InvalidSchema,
    b"ftp://b.example/": reqkit.InvalidSchema,
    b"javascript:alert(1)": reqkit.InvalidSchema,
    b"data:text/plain,hi": reqkit.InvalidSchema,
    b"gopher://b.example/_x": reqkit.InvalidSchema,
    b"mailto:me@b.example": reqkit.InvalidSchema,
    b"httpx://b.example/": reqkit.InvalidSchema,
    b"http://": reqkit.InvalidURL,
    b"http:///end": reqkit.InvalidURL,
    b"//": reqkit.InvalidURL,
    b"http://b.example:99999/": reqkit.InvalidURL,
    b"http://b.example:port/": reqkit.InvalidURL,
    b"http://b.example\\@a.example/": reqkit.InvalidURL,
    b"http://[::1/": reqkit.InvalidURL,
    b"http://.b.example/": reqkit.InvalidURL,
    b"http://b..example/": reqkit.InvalidURL,
    b"http://b.exa mple/": reqkit.InvalidURL,
}


@pytest.mark.parametrize("location", REFUSED)
def test_what_is_no_place_to_go_is_an_error(
    town: Town, location: bytes, session: reqkit.Session, send: Send
) -> None:
    for sent, status in enumerate((301, 302, 303, 307, 308), 1):
        head = f"HTTP/1.1 {status} Moved\r\nContent-Length: 0\r\nLocation: ".encode()
        town.answers["/start"] = head + location + b"\r\n\r\n"
        with pytest.raises(REFUSED[location]) as caught:
            send("http://user:s3cret@a.example/start", session=session)
        error = caught.value
        assert error.response.status_code == status
        assert error.request.url == "http://user:s3cret@a.example/start"
        assert "a.example/start" in str(error)
        assert "s3cret" not in str(error)
        assert len(town.hops) == sent


@pytest.mark.parametrize("inside", [b"\r", b"\0"])
def test_line_breaks_inside_a_location_are_a_broken_head(town: Town, inside: bytes) -> None:
    town.answers["/start"] = (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /a" + inside + b"b\r\n\r\n"
    )
    with pytest.raises(reqkit.ProtocolError):
        town.get()
    assert len(town.hops) == 1


@pytest.mark.parametrize(
    ("inside", "target"),
    [(b"\n", "/a"), (b"\r\n evil", "/a%20evilb"), (b"\nLocation: /a\nX: ", "/a")],
)
def test_line_breaks_that_all_clients_read_in_one_way(
    town: Town, inside: bytes, target: str
) -> None:
    town.answers["/start"] = (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /a" + inside + b"b\r\n\r\n"
    )
    town.get()
    assert town.hops[1].target == target


def test_a_location_with_a_line_break_starts_no_other_field(town: Town) -> None:
    town.redirect("/a%0d%0aX-Evil:%201")
    town.get()
    assert town.hops[1].target == "/a%0D%0AX-Evil:%201"
    assert town.hops[1].get("X-Evil") is None


def test_two_locations_that_differ_are_no_place_to_go(town: Town) -> None:
    town.answers["/start"] = answer(302, b"", [("Location", "/a"), ("Location", "/b")])
    with pytest.raises(reqkit.ProtocolError, match="several places"):
        town.get()
    assert len(town.hops) == 1


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_other_statuses_are_not_followed(town: Town, status: int) -> None:
    town.answers["/start"] = (
        f"HTTP/1.1 {status} x\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert town.get().status_code == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_without_a_location_is_an_answer(town: Town, status: int) -> None:
    for fields in ([], [("Location", "")], [("Location", " \t")], [("Location", "")] * 2):
        town.answers["/start"] = answer(status, b"x", fields)
        response = town.get()
        assert response.status_code == status
        assert not response.is_redirect
        assert not response.is_permanent_redirect


# How long a chain may be


@pytest.mark.parametrize("most", [0, 1, 5])
def test_loops_end(town: Town, most: int, session: reqkit.Session, send: Send) -> None:
    town.redirect("/start")
    with pytest.raises(reqkit.TooManyRedirects, match=f"more than {most}") as caught:
        send("http://u:s3cret@a.example/start", config={"max_redirects": most}, session=session)
    assert len(town.hops) == most + 1
    assert caught.value.response.status_code == 302
    assert len(caught.value.response.history) == most
    assert "http://u:***@a.example/start" in str(caught.value)


def test_thirty_are_followed_by_default(town: Town) -> None:
    town.redirect("/start")
    with pytest.raises(reqkit.TooManyRedirects):
        town.get()
    assert len(town.hops) == 31


def test_so_many_as_allowed_are_followed(town: Town) -> None:
    town.redirect("/1")
    town.redirect("/end", path="/1")
    response = town.get(config={"max_redirects": 2})
    assert response.url == "http://a.example/end"
    assert [one.url for one in response.history] == [
        "http://a.example/start", "http://a.example/1",
    ]  # fmt: skip


def test_a_chain_takes_one_connection_for_each_origin(town: Town) -> None:
    town.redirect("https://a.example/1")
    town.redirect("http://a.example/2", path="/1")
    town.redirect("https://a.example/3", path="/2")
    before = town.plain.connections_opened, town.secure.connections_opened
    town.get()
    opened = town.plain.connections_opened - before[0], town.secure.connections_opened - before[1]
    assert opened == (1, 1)


def test_the_body_of_a_redirect_can_be_read(town: Town) -> None:
    town.redirect("/end")
    assert [one.content for one in town.get().history] == [b"moved"]


def test_stepping_has_the_same_rules(town: Town) -> None:
    town.redirect("http://b.example/end", 307)
    with reqkit.Session() as session:
        first = session.post(
            "http://a.example/start", data=b"x", auth=("u", "p"), cookies={"c": "1"},
            allow_redirects=False,
        )  # fmt: skip
        message = first.next
        assert message is not None
        assert (message.method, message.url, message.body) == (
            "POST", "http://b.example/end", b"x",
        )  # fmt: skip
        assert {"authorization", "cookie"} & {name.lower() for name in message.headers} == set()
        assert session.send(message).status_code == 200
