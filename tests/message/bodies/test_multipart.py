"""Multipart bodies, read back by two parsers that are not ours."""

from __future__ import annotations

import email
import email.policy
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import parse_form_data

from reqkit.exceptions import InvalidHeader, RequestException, UnrewindableBodyError
from reqkit.message.bodies import (
    MultipartStream,
    ReadOnce,
    content_length,
    encode_body,
    pieces,
    position,
    rewind,
)
from reqkit.message.bodies.multipart import encode_multipart


def whole(body: Any) -> bytes:
    return b"".join(pieces(body, content_length(body)))


def rendered(data: Any, files: Any) -> str:
    body, content_type = encode_multipart(data, files, boundary="XX")
    assert content_type == "multipart/form-data; boundary=XX"
    return whole(body).decode()


def read_by_werkzeug(body: bytes, content_type: str) -> tuple[list[Any], list[Any]]:
    _, form, files = parse_form_data(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        },
        stream_factory=lambda *args, **kwargs: io.BytesIO(),
        silent=False,
    )
    return list(form.items(multi=True)), [
        (name, file.filename, file.stream.read()) for name, file in files.items(multi=True)
    ]


def read_by_email(body: bytes, content_type: str) -> list[tuple[str, str | None, bytes]]:
    message = email.message_from_bytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP
    )
    read = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        params = part["content-disposition"].params
        read.append((params["name"], params.get("filename"), content))
    return read


@pytest.mark.parametrize(
    ("data", "files", "expected"),
    [
        (
            {"a": "é", "b": ["1", 2, None, b"3"], "c": None},
            {"f": ("n.txt", "text")},
            '--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\né\r\n'
            '--XX\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n'
            '--XX\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n'
            '--XX\r\nContent-Disposition: form-data; name="b"\r\n\r\n3\r\n'
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\n\r\ntext\r\n'
            "--XX--\r\n",
        ),
        (
            None,
            [("f", ("n", b"1", "text/plain")), ("f", (None, "2")), ("g", None), ("h", ("n", None))],
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n'
            "Content-Type: text/plain\r\n\r\n1\r\n"
            '--XX\r\nContent-Disposition: form-data; name="f"\r\n\r\n2\r\n--XX--\r\n',
        ),
        (
            None,
            {"f": ("n", b"", None, {"Content-Type": "a/b", "X-Y": "é", "Z": None})},
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n'
            "Content-Type: a/b\r\nX-Y: é\r\n\r\n\r\n--XX--\r\n",
        ),
        (
            None,
            {"f": ["n", b"", "c/d", {"content-type": "a/b", "content-disposition": "x"}]},
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="n"\r\n'
            "Content-Type: c/d\r\n\r\n\r\n--XX--\r\n",
        ),
        (
            [("\r\n\"'", "\r\n")],
            {'q"': ('\r\n"; x="', 5)},
            '--XX\r\nContent-Disposition: form-data; name="%0D%0A%22\'"\r\n\r\n\r\n\r\n'
            '--XX\r\nContent-Disposition: form-data; name="q%22"; filename="%0D%0A%22; x=%22"'
            "\r\n\r\n5\r\n--XX--\r\n",
        ),
        (
            None,
            {"f": "text", b"g": bytearray(b"b"), "h": io.BytesIO(b"c")},
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\ntext\r\n'
            '--XX\r\nContent-Disposition: form-data; name="g"; filename="g"\r\n\r\nb\r\n'
            '--XX\r\nContent-Disposition: form-data; name="h"; filename="h"\r\n\r\nc\r\n--XX--\r\n',
        ),
        (
            None,
            {"f": [("a", b"1"), io.BytesIO(b"2")]},
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n1\r\n'
            '--XX\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n2\r\n--XX--\r\n',
        ),
    ],
)
def test_what_is_written(data: Any, files: Any, expected: str) -> None:
    assert rendered(data, files) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/some/where/a.txt", "a.txt"),
        (b"/x/b.txt", "b.txt"),
        ("<stdin>", "field"),
        (2, "field"),
        ("", "field"),
        (None, "field"),
    ],
)
def test_the_name_of_a_file(name: Any, expected: str) -> None:
    file = io.BytesIO(b"x")
    if name is not None:
        file.name = name
    assert f'name="field"; filename="{expected}"' in rendered(None, {"field": file})


def test_a_name_that_is_not_utf8_is_sent_as_its_bytes() -> None:
    body, _ = encode_multipart(None, {"f": (os.fsdecode(b"\xff.txt"), b"x")})
    assert b'filename="\xff.txt"' in whole(body)


def test_bytes_make_bytes_and_two_boundaries_differ() -> None:
    one, other = (encode_body({"a": "b"}, {"ignored": 1}, {"f": b"x"}) for _ in "12")
    assert isinstance(one.body, bytes)
    assert one.length == len(one.body)
    assert one.content_type is not None
    assert one.content_type.startswith("multipart/form-data; boundary=")
    assert one.content_type != other.content_type


def test_bytes_in_memory_keep_their_position() -> None:
    file = io.BytesIO(b"0123456789")
    file.read(8)
    for _ in range(2):
        assert "\r\n\r\n89\r\n" in rendered(None, {"f": file})


def test_a_large_file_is_read_only_while_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"x" * 1_600_000)
    with open(path, "rb") as file:
        file.read(100_000)
        body, content_type, length = encode_body({"a": "b"}, None, {"f": file})
        assert isinstance(body, MultipartStream)
        assert file.tell() == 100_000
        assert str(length) in repr(body)
        start = position(body)
        for _ in range(2):
            got = list(pieces(body, length))
            assert max(map(len, got)) <= 64 * 1024
            assert sum(map(len, got)) == length
            assert content_type is not None
            form, files = read_by_werkzeug(b"".join(got), content_type)
            assert form == [("a", "b")]
            assert files == [("f", "big.bin", b"x" * 1_500_000)]
            rewind(body, start)


def test_small_files_are_read_at_once_up_to_a_limit_for_all(tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    path.write_bytes(b"x" * 300_000)
    with open(path, "rb") as file:
        file.read(100_000)
        body, content_type = encode_multipart(None, {"f": file})
        assert file.tell() == 100_000
    assert isinstance(body, bytes)
    assert read_by_werkzeug(body, content_type)[1] == [("f", "small.bin", b"x" * 200_000)]
    with open(path, "rb") as file:
        body, content_type = encode_multipart(None, [("f", file)] * 4)
        assert isinstance(body, MultipartStream)
        assert [data for _, _, data in read_by_werkzeug(whole(body), content_type)[1]] == [
            b"x" * 300_000
        ] * 4


def test_a_file_that_may_show_how_far_it_was_read_is_read_only_while_it_is_sent() -> None:
    class Watched:
        def __init__(self) -> None:
            self.file = io.BytesIO(b"abc")
            self.calls = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def read(self, size: int = -1) -> bytes:
            self.calls += 1
            return self.file.read(size)

    watched = Watched()
    body, _ = encode_multipart(None, {"f": watched})
    assert isinstance(body, MultipartStream)
    assert watched.calls == 0
    assert b"abc" in whole(body)


def test_large_bytes_are_not_put_together() -> None:
    large = b"x" * 1_500_000
    body, content_type, length = encode_body({"a": "b"}, None, {"f": large, "g": b"y"})
    assert isinstance(body, MultipartStream)
    got = list(pieces(body, length))
    assert any(piece is large for piece in got)
    assert len(got) == 3
    assert content_type is not None
    assert read_by_werkzeug(b"".join(got), content_type)[1][1] == ("g", "g", b"y")


def test_one_file_in_two_parts(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    with open(path, "rb") as file:
        body, content_type = encode_multipart(None, [("a", file), ("b", file)])
        files = read_by_werkzeug(whole(body), content_type)[1]
        assert files == [("a", "f", b"abc"), ("b", "f", b"abc")]


def generated() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


def test_a_part_of_unknown_length_makes_it_chunked() -> None:
    body, content_type, length = encode_body(None, None, {"f": ("n", generated())})
    assert isinstance(body, MultipartStream)
    assert length is None
    assert "not known" in repr(body)
    assert isinstance(position(body), ReadOnce)
    assert content_type is not None
    assert read_by_werkzeug(whole(body), content_type)[1] == [("f", "n", b"ab")]
    with pytest.raises(UnrewindableBodyError, match="a part of it can be read only once"):
        start = ReadOnce()
        start.begun = True
        rewind(body, start)
    with pytest.raises(UnrewindableBodyError, match=r"'f' \(a generator\) can be read only once"):
        list(body)


def test_text_files_are_sent_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("é".encode("latin-1"))
    with open(path, encoding="latin-1") as file:
        body, content_type = encode_multipart(None, {"f": file})
        files = read_by_werkzeug(whole(body), content_type)[1]
        assert files == [("f", "t.txt", "é".encode())]


def test_a_file_that_shrank_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 2_000_000)
    with open(path, "rb") as file:
        body, _, length = encode_body(None, None, {"f": file})
        os.truncate(path, 4)
        with pytest.raises(RequestException, match="ended after 4 of the 2000000 bytes"):
            list(pieces(body, length))


def test_a_file_that_grew_is_sent_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 2_000_000)
    with open(path, "rb") as file:
        body, _, length = encode_body(None, None, {"f": file})
        with open(path, "ab") as more:
            more.write(b"y" * 10)
        assert b"y" not in b"".join(pieces(body, length))


@pytest.mark.parametrize(
    ("data", "files", "error", "text"),
    [
        (None, {"f": ("n", b"", "a\r\nX: y")}, InvalidHeader, "the header 'Content-Type'"),
        (None, {"f": ("n", b"", "a", {"X": "a\nb"})}, InvalidHeader, "no line break"),
        (None, {"f": ("n", b"", "a", {"X": "a\0b"})}, InvalidHeader, "no NUL"),
        (None, {"f": ("n", b"", "a", {"X\r\nY": "a"})}, InvalidHeader, "cannot be sent"),
        (None, {"f": ("n", b"", "a", {"": "a"})}, InvalidHeader, "cannot be sent"),
        (None, {"f": ("n", b"", "a", {"X": 5})}, InvalidHeader, "is a int: expected str"),
        (None, {"f": ("n", b"", "a", 5)}, TypeError, r"the headers of files\['f'\] is a int"),
        (None, {"f": ("a\0", b"")}, InvalidHeader, "has a NUL"),
        ({"a\0": 1}, {"f": b""}, InvalidHeader, "has a NUL"),
        (None, {"f": ()}, ValueError, "is a tuple of 0: expected"),
        (None, {"f": ("n",)}, ValueError, "is a tuple of 1: expected"),
        (None, {"f": ("n", b"", "a", {}, 5)}, ValueError, "is a tuple of 5: expected"),
        (None, {"f": object()}, TypeError, r"files\['f'\] is a object: expected an open file"),
        (None, {"f": Path("x")}, FileNotFoundError, "nothing was sent"),
        (None, {"f": {"a": 1}}, TypeError, r"files\['f'\] is a dict"),
        (None, ["f"], ValueError, "files: item 0 is a str"),
        (None, "f", TypeError, "files is a str"),
        (5, {"f": b""}, TypeError, "data is a int"),
        ({"a": io.BytesIO()}, {"f": b""}, TypeError, "give files with files="),
        (None, {"f": "\ud800"}, ValueError, "lone surrogate"),
    ],
)
def test_what_is_refused(data: Any, files: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        encode_body(data, None, files)


def test_a_closed_file_is_refused() -> None:
    file = io.BytesIO(b"x")
    file.close()
    with pytest.raises(ValueError, match=r"files\['f'\] is a closed BytesIO"):
        encode_body(None, None, {"f": file})


# Backslashes and ';' aside, in which the parsers do not agree with browsers or each other.
names = st.text(st.characters(codec="utf-8", exclude_characters="\\\0;"), min_size=1, max_size=8)
contents = st.binary(max_size=40) | st.text(st.characters(codec="utf-8"), max_size=20)


def escaped(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def by_name(read: list[Any]) -> list[Any]:
    """Return them as a MultiDict has them: those of one name together, else in their order."""
    seen = [one[0] for one in read]
    return sorted(read, key=lambda one: seen.index(one[0]))


def octets(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@given(
    st.lists(st.tuples(names, st.text(st.characters(codec="utf-8"), max_size=20)), max_size=3),
    st.lists(st.tuples(names, names, contents, st.booleans()), min_size=1, max_size=3),
)
def test_werkzeug_reads_the_same(data: list[Any], files: list[Any]) -> None:
    given_files = [
        (name, (filename, iter([octets(content)]) if streamed else content))
        for name, filename, content, streamed in files
    ]
    body, content_type = encode_multipart(data, given_files)
    form, read = read_by_werkzeug(whole(body), content_type)
    # Newer versions take the escapes of quotes out again.
    assert [(escaped(name), value) for name, value in form] == by_name(
        [(escaped(name), value) for name, value in data]
    )
    assert [(escaped(name), escaped(filename), content) for name, filename, content in read] == (
        by_name(
            [
                (escaped(name), escaped(filename), octets(content))
                for name, filename, content, _ in files
            ]
        )
    )


ascii_names = st.text("abcXYZ019 _-.'%=,\r\n\"", min_size=1, max_size=8).filter(
    lambda name: name == name.strip()
)


@given(st.lists(st.tuples(ascii_names, ascii_names, contents), min_size=1, max_size=3))
def test_the_email_parser_reads_the_same(files: list[Any]) -> None:
    given_files = [(name, (filename, content)) for name, filename, content in files]
    body, content_type = encode_multipart(None, given_files)
    read = read_by_email(whole(body), content_type)
    assert [(name, filename) for name, filename, _ in read] == [
        (escaped(name), escaped(filename)) for name, filename, _ in files
    ]
    # It takes lone CRs for line ends and so on, but loses none of the rest.
    for (_, _, got), (_, _, content) in zip(read, files, strict=True):
        assert got.split() == octets(content).split()
