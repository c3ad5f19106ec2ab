"""Uses that no type checker may complain of. Not to be run."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from urllib3.util import Retry

import reqkit
import reqkit_async

URL = "https://h.example/"


def hook(response: reqkit.Response, **keywords: Any) -> None:
    """See an answer."""


def pieces() -> Iterable[bytes]:
    """Give a body in pieces."""
    yield b""


with reqkit.Session(
    headers={"A": "b", "C": None}, auth=("me", "secret"), timeout=(1, None), prefetch=True,
    proxies={"http": "10.0.0.1:3128", "https": None}, hooks={"response": [hook]}, verify=Path("x"),
    config={"verbose": sys.stderr, "max_retries": Retry(3), "http2": "prior"}, base_url=URL,
    params={"a": [1, 2]}, cookies={"a": "b"}, cert=("a", "b"),
) as session:  # fmt: skip
    session.get("users", params=[("a", 1)], timeout=reqkit.Timeouts(total=5))
    session.post("users", {"a": 1}, json=None, files={"f": ("n", b"", "t/x", {"A": "b"})})
    session.put(b"users", pieces(), headers=[("A", "1"), ("A", "2")])
    session.patch("users", io.BytesIO(), context=object())
    session.headers["X"] = "y"
    session.config["safe_mode"] = True
    unsent: reqkit.Request = session.delete("users", return_response=False)
    answer: reqkit.Response = unsent.send(prefetch=True)
    for line in answer.iter_lines(decode_unicode=True):
        print(line.strip())
    path: Path = answer.download(Path("x"), resume=True, progress=print)

reqkit.request("GET", URL, files=[("f", Path("x")), ("g", io.BytesIO())], timeout=None)
requests = [reqkit_async.get(URL, session=session, callback=hook), reqkit_async.post(URL, b"x")]
reqkit_async.map([URL, *requests], 5, progress="always", rate="5/min", retries=Retry(2))
reqkit_async.map(requests, progress=lambda done, total: print(done, total), session=session)
with ProcessPoolExecutor() as executor:
    for entry in reqkit_async.imap_unordered(iter(requests), executor=executor, workers=2):
        print(entry.context, entry.attempts, entry.timings)
with reqkit_async.Pool(5, per_host=2, delay=0.5, progress=True) as pool:
    pool.spawn(URL)
    print(pool.map(requests, timeout=5), pool.stats.as_dict())


def name_of(request: reqkit.Request, error: Exception) -> str:
    return type(error).__name__


files: list[Path | Exception] = reqkit_async.download([URL], "folder", sha256=None)
named: list[Path | str] = reqkit_async.download([URL], "folder", exception_handler=name_of)
