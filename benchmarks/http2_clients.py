"""One client fetching one URL many times over TLS: run by `benchmarks.http2`, in its own process.

``python http2_clients.py CLIENT URL COUNT SIZE CA LENGTH cold|warm`` prints a line of JSON: wall
and processor seconds, and how many answers were as they should be. It imports what it measures and
nothing else, so that any Python that has the client can run it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator


def urls(url: str, count: int) -> Iterator[str]:
    return (url for _ in range(count))


def reqkit(http2: bool) -> Callable[..., Iterator[bool]]:
    def run(url: str, count: int, size: int, ca: str, length: int) -> Iterator[bool]:
        import reqkit_async
        from reqkit import Session

        session = Session(verify=ca, config={"http2": "auto" if http2 else False})
        with reqkit_async.Pool(size=size, session=session) as pool:

            def fetch(count: int) -> int:
                good = 0
                for response in pool.imap_unordered(map(reqkit_async.get, urls(url, count))):
                    good += response.status_code == 200 and len(response.content) == length
                return good

            yield from warmed(fetch, count, size)

    return run


def warmed(fetch: Callable[[int], int], count: int, size: int) -> Iterator[bool]:
    """Fetch some, then tell when to begin, then fetch all."""
    if COLD:
        yield True
    else:
        fetch(size)
        yield True
    global GOOD
    GOOD = fetch(count)
    yield True


def httpx(url: str, count: int, size: int, ca: str, length: int) -> Iterator[bool]:
    import asyncio
    import ssl

    import httpx as package

    loop = asyncio.new_event_loop()
    context = ssl.create_default_context(cafile=ca)
    limits = package.Limits(max_connections=size, max_keepalive_connections=size)
    client = package.AsyncClient(http2=True, verify=context, limits=limits, timeout=60)

    async def all_of(count: int) -> int:
        good = 0
        left = iter(range(count))

        async def worker() -> None:
            nonlocal good
            for _ in left:
                try:
                    response = await client.get(url)
                except package.HTTPError:
                    continue
                good += response.status_code == 200 and len(response.content) == length

        await asyncio.gather(*(worker() for _ in range(size)))
        return good

    yield from warmed(lambda count: loop.run_until_complete(all_of(count)), count, size)


def niquests(url: str, count: int, size: int, ca: str, length: int) -> Iterator[bool]:
    import niquests as package

    with package.Session(multiplexed=True) as session:

        def fetch(count: int) -> int:
            good = 0
            while count:
                batch = min(count, size)
                count -= batch
                responses = [session.get(url, verify=ca) for _ in range(batch)]
                with contextlib.suppress(package.RequestException):
                    session.gather()
                for response in responses:
                    with contextlib.suppress(package.RequestException):
                        good += response.status_code == 200 and (
                            len(response.content or b"") == length
                        )
            return good

        yield from warmed(fetch, count, size)


def pycurl(url: str, count: int, size: int, ca: str, length: int) -> Iterator[bool]:
    import pycurl as package

    multi = package.CurlMulti()
    multi.setopt(package.M_PIPELINING, package.PIPE_MULTIPLEX)
    multi.setopt(package.M_MAX_HOST_CONNECTIONS, 1)
    multi.setopt(package.M_MAX_CONCURRENT_STREAMS, max(size, 100))

    def handle() -> package.Curl:
        curl = package.Curl()
        curl.setopt(package.URL, url)
        curl.setopt(package.CAINFO, ca)
        curl.setopt(package.HTTP_VERSION, package.CURL_HTTP_VERSION_2TLS)
        curl.setopt(package.PIPEWAIT, 1)
        return curl

    handles = [handle() for _ in range(size)]

    def fetch(count: int) -> int:
        import io

        good = running = started = 0
        free = list(handles)
        while started < count or running:
            while free and started < count:
                curl = free.pop()
                curl.body = io.BytesIO()
                curl.setopt(package.WRITEDATA, curl.body)
                multi.add_handle(curl)
                started += 1
                running += 1
            while multi.perform()[0] == package.E_CALL_MULTI_PERFORM:
                pass
            _, done, failed = multi.info_read()
            for curl in [*done, *(one[0] for one in failed)]:
                good += curl.getinfo(package.RESPONSE_CODE) == 200 and (
                    len(curl.body.getvalue()) == length
                )
                multi.remove_handle(curl)
                free.append(curl)
                running -= 1
            if running:
                multi.select(1.0)
        return good

    yield from warmed(fetch, count, size)


CLIENTS = {
    "reqkit-h2": reqkit(True),
    "reqkit-h1": reqkit(False),
    "httpx": httpx,
    "niquests": niquests,
    "libcurl": pycurl,
}
GOOD = 0
COLD = False


def main() -> None:
    global COLD
    name, url, count, size, ca, length, cold = sys.argv[1:]
    COLD = cold == "cold"
    running = CLIENTS[name](url, int(count), int(size), ca, int(length))
    next(running)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    next(running)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": spent, "good": GOOD}), flush=True)


if __name__ == "__main__":
    main()
