"""The small site that the examples ask when they are given no address of yours.

It runs in a process of its own, on loopback and a port that the system chooses, and ends when the
example that started it does: its end of a pipe closes then.

    /page/N         a page of some 2 KB
    /tree/A/B       a page with links: three below it, up to three deep, and some to leave alone
    /live/NAME      lines of JSON, one every few milliseconds, for a second or so
    /files/NAME     a file; the first answer for `broken-...` breaks off half way
    /api/items      takes JSON by POST from who has the token, and is busy now and then
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

TOKEN = "let-me-in"
FILE_SIZE = 1_000_000
LINES = 30

_PARAGRAPH = "<p>" + "All work and no play makes a dull page. " * 12 + "</p>\n"


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Start the site, give its URL (without a slash at the end), and end it."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.stdin.close()  # the site ends with this; Popen waits for it


@dataclass
class Request:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """An answer; a body of unknown length comes in pieces."""

    status: int = 200
    body: bytes = b""
    type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: AsyncIterator[bytes] | None = None
    breaks_at: int | None = None


_seen: set[str] = set()


def _first_time(what: str) -> bool:
    if what in _seen:
        return False
    _seen.add(what)
    return True


def _page(name: str) -> Answer:
    return Answer(body=f"<title>Page {name}</title>\n{_PARAGRAPH * 4}".encode())


def _tree(path: str) -> Answer:
    here = path.rstrip("/")
    depth = here.count("/") - 1
    links = [f"{here}/{name}" for name in ("a", "b", "c")] if depth < 3 else []
    links += ["/tree", f"{here}#middle", "https://elsewhere.invalid/", "mailto:nobody@invalid"]
    if depth == 2:
        links.append("/missing")
    body = "".join(f'<a href="{link}">{link}</a>\n' for link in links)
    return Answer(body=f"<title>{here}</title>\n{body}".encode())


async def _live(name: str) -> AsyncIterator[bytes]:
    for number in range(LINES):
        await asyncio.sleep(0.02)
        line = json.dumps({"stream": name, "number": number, "text": "grüße"}) + "\n"
        half = len(line) // 2
        yield line[:half].encode()  # lines do not come in whole pieces
        yield line[half:].encode()
        if number % 10 == 9:
            yield b"\n"  # "still here"


def _file(name: str, headers: dict[str, str]) -> Answer:
    content = hashlib.shake_128(name.encode()).digest(FILE_SIZE)
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    answer = Answer(200, content, "application/octet-stream", {"ETag": tag})
    wanted = headers.get("range", "")
    if wanted.startswith("bytes=") and headers.get("if-range", tag) == tag:
        start = int(wanted[6:].split("-")[0])
        answer.status, answer.body = 206, content[start:]
        answer.headers["Content-Range"] = f"bytes {start}-{FILE_SIZE - 1}/{FILE_SIZE}"
    if name.startswith("broken-") and _first_time(name):
        answer.breaks_at = FILE_SIZE // 2
    return answer


def _item(asked: Request) -> Answer:
    if asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return Answer(401, b'{"error": "a token is wanted"}', "application/json")
    item = json.loads(asked.body)
    if item["number"] % 20 == 7 and _first_time(f"item {item['number']}"):
        return Answer(503, b'{"error": "busy, try again"}', "application/json")
    if item["number"] == 50 and _first_time("too many"):
        headers = {"Retry-After": "1"}
        return Answer(429, b'{"error": "slower, please"}', "application/json", headers)
    return Answer(201, json.dumps({"id": 1000 + item["number"]}).encode(), "application/json")


def _answer(asked: Request) -> Answer:
    kind, _, rest = asked.path.lstrip("/").partition("/")
    if kind == "page":
        return _page(rest)
    if kind == "tree":
        return _tree(asked.path)
    if kind == "live":
        return Answer(type="application/x-ndjson", pieces=_live(rest))
    if kind == "files":
        return _file(rest, asked.headers)
    if asked.path == "/api/items" and asked.method == "POST":
        return _item(asked)
    return Answer(404, b"<title>Not found</title>")


async def _read(reader: asyncio.StreamReader) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {}
    for line in filter(None, lines[1:]):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            answer = _answer(await _read(reader))
            head = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
            head.append(f"Content-Type: {answer.type}")
            head += [f"{name}: {value}" for name, value in answer.headers.items()]
            if answer.pieces is None:
                head.append(f"Content-Length: {len(answer.body)}")
            else:
                head.append("Transfer-Encoding: chunked")
            body = answer.body[: answer.breaks_at]
            writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
            if answer.pieces is not None:
                async for piece in answer.pieces:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
            await writer.drain()
            if answer.breaks_at is not None:
                break
    writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_connection, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    # The pipe's end: the example has ended, however it did.
    asyncio.get_running_loop().add_reader(0, os._exit, 0)
    await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the example's to deal with
    asyncio.run(_main())
