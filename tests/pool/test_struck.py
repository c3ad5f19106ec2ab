"""What a signal's handler raises, wherever it strikes, comes out: nothing is lost, and no hang."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.network.addresses import Address
from reqkit.transport.h2.shared import SharedConnection
from reqkit.wire.h2.connection import Connection as Wire
from reqkit_async.network.dns import DNSCache
from reqkit_async.network.expiries import Expiries
from reqkit_async.pool import workers
from reqkit_async.pool.batch import Job, ListBatch, QueuedBatch
from reqkit_async.pool.iterated import OrderedBatch, UnorderedBatch
from reqkit_async.pool.limits import HostQueue
from reqkit_async.pool.sending import Sender
from reqkit_async.pool.spawned import SpawnedBatch
from reqkit_async.pool.workers import Workers
from reqkit_async.stats import Stats
from servers.handlers import at_once
from servers.http2 import Http2Server, echo
from servers.scripted import Connection, ScriptedServer


class Alarm(Exception):
    """What the handler raises."""


Start = Callable[..., ScriptedServer]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ScriptedServer(at_once) as server:
        yield server()


class Strike:
    """Raises once, at the beginning of a function or at its end, as a signal's handler may."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, at: int, after: bool):
        self.left = at
        self.done = False
        function = getattr(owner, name)

        def struck(*arguments: Any, **keywords: Any) -> Any:
            if not after:
                self.look()
            result = function(*arguments, **keywords)
            if after:
                self.look()
            return result

        patch.setattr(owner, name, struck)

    def look(self) -> None:
        self.left -= 1
        if not self.left:
            self.done = True
            raise Alarm("now")


def by_map(pool: reqkit_async.Pool, asked: list[Any]) -> list[Any]:
    return pool.map(asked)


def by_imap(pool: reqkit_async.Pool, asked: list[Any]) -> list[Any]:
    return list(pool.imap(asked))


def by_imap_unordered(pool: reqkit_async.Pool, asked: list[Any]) -> list[Any]:
    return list(pool.imap_unordered(asked))


def by_spawn(pool: reqkit_async.Pool, asked: list[Any]) -> list[Any]:
    handles = [pool.spawn(request) for request in asked]
    pool.join()
    return [handle.get() for handle in handles]


PLACES: dict[str, tuple[Any, str, bool]] = {
    "counting": (Stats, "add", False),
    "counted": (Stats, "add", True),
    "settling": (Sender, "_settle", False),
    "pulling a list": (ListBatch, "pull", False),
    "pulled from a list": (ListBatch, "pull", True),
    "pulled from a queue": (QueuedBatch, "pull", True),
    "pulled in order": (OrderedBatch, "pull", True),
    "pulled": (UnorderedBatch, "pull", True),
    "making a job": (Job, "__init__", False),
    "handing over in order": (OrderedBatch, "finish", False),
    "putting in order": (OrderedBatch, "_put", False),
    "handing over": (UnorderedBatch, "finish", False),
    "handing over of a list": (ListBatch, "finish", False),
    "handing over what was spawned": (SpawnedBatch, "_put", False),
    "taking": (Workers, "_take", False),
    "working": (Workers, "_take_and_send", False),
    "worked": (Workers, "_take_and_send", True),
    "arranging": (Workers, "arrange", False),
    "arranged": (Workers, "arrange", True),
    "sending": (Sender, "send", False),
    "sent": (Sender, "send", True),
    "finding the host": (workers, "host_of", True),
    "queueing": (HostQueue, "push", False),
    "giving back": (Workers, "_leave", True),
    "setting the clock": (Workers, "_start_timer", False),
    "woken by the clock": (Workers, "_woken", False),
    "ending": (Workers, "_ended", False),
}  # fmt: skip
WAYS: list[Callable[..., list[Any]]] = [by_map, by_imap, by_imap_unordered, by_spawn]


@pytest.mark.filterwarnings("ignore::reqkit.exceptions.HookWarning")
@pytest.mark.parametrize("limits", [{}, {"per_host": 2, "rate": 5000}], ids=["free", "limited"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("at", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_batch_ends_with_it(
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    place: str,
    way: Callable[..., list[Any]],
    limits: dict[str, Any],
    at: int,
) -> None:
    owner, name, after = PLACES[place]
    hooked: list[Any] = []
    pool = reqkit_async.Pool(3, **limits)
    asked = [reqkit_async.get(url, callback=hooked.append) for _ in range(8)]
    with monkeypatch.context() as patch, gevent.Timeout(30, RuntimeError("it hangs")):
        strike = Strike(patch, owner, name, at, after)
        try:
            entries = way(pool, asked)
        except Alarm:
            pass
        else:
            # It was in the way of no request, or is told of.
            told = [entry for entry in entries if isinstance(entry.error, Alarm)]
            assert not strike.done or told or "Alarm: now" in capfd.readouterr().err
            assert all(entry.ok for entry in entries if entry not in told)
            assert len(entries) == len(hooked) == 8
        pool.kill()
    # Whatever has happened, the pool has all its places.
    hooked.clear()
    assert [entry.status_code for entry in pool.map(asked)] == [200] * 8
    assert len(hooked) == 8
    assert pool._workers.active == 0
    assert pool._workers.most == 3


# -- what the loop runs: struck there, it is told of, and goes on


def silent(connection: Connection) -> None:
    connection.recv_request()
    connection.server.stopping.wait()


@pytest.fixture
def told() -> Iterator[io.StringIO]:
    """What gevent tells of."""
    hub = gevent.get_hub()
    before, hub.exception_stream = hub.exception_stream, io.StringIO()
    yield hub.exception_stream
    hub.exception_stream = before


def test_limits_on_reading_are_kept(
    scripted: Start, monkeypatch: pytest.MonkeyPatch, told: io.StringIO
) -> None:
    server = scripted(silent)
    strike = Strike(monkeypatch, Expiries, "_look", 1, after=False)
    with gevent.Timeout(30, RuntimeError("it hangs")):
        (entry,) = reqkit_async.map([reqkit_async.get(server(), timeout=(9, 0.1))])
    assert isinstance(entry.error, reqkit.ReadTimeout)
    assert strike.done
    assert "Alarm: now" in told.getvalue()


@pytest.mark.parametrize("way", ["map", "imap", "imap_unordered"])
def test_deadlines_are_kept(
    scripted: Start, monkeypatch: pytest.MonkeyPatch, told: io.StringIO, way: str
) -> None:
    server = scripted(silent)
    strike = Strike(monkeypatch, reqkit_async.Pool, "_expire", 1, after=False)
    with gevent.Timeout(30, RuntimeError("it hangs")):
        entries = list(getattr(reqkit_async, way)([server()] * 3, timeout=0.1))
    assert all(isinstance(entry.error, reqkit.TotalTimeout) for entry in entries)
    assert len(entries) == 3
    assert strike.done
    assert "Alarm: now" in told.getvalue()


@pytest.mark.parametrize(
    ("owner", "name"),
    [(SharedConnection, "_turn"), (SharedConnection, "_flush"), (Wire, "receive_buffer")],
)
def test_streams_of_http_2_go_on_or_end(
    monkeypatch: pytest.MonkeyPatch, told: io.StringIO, owner: Any, name: str
) -> None:
    strike = Strike(monkeypatch, owner, name, 2, after=False)
    with (
        Http2Server(echo) as server,
        reqkit.Session(config={"http2": "prior"}) as session,
        gevent.Timeout(30, RuntimeError("it hangs")),
    ):
        asked = [reqkit_async.get(server(), session=session) for _ in range(30)]
        entries = reqkit_async.map(asked, size=5)
        assert strike.done
        assert all(
            entry.ok
            or isinstance(entry.error, (reqkit.ConnectionError, reqkit.ChunkedEncodingError, Alarm))
            for entry in entries
        )
        # Those in flight at most.
        assert sum(not entry.ok for entry in entries) <= 5
        assert all(entry.ok for entry in reqkit_async.map(asked, size=5))


def test_a_name_is_looked_up_again(monkeypatch: pytest.MonkeyPatch, told: io.StringIO) -> None:
    class Resolver:
        def resolve(self, host: str, port: int) -> list[Address | str]:
            return ["192.0.2.1"]

    names = DNSCache(Resolver())
    strike = Strike(monkeypatch, DNSCache, "_look_up", 1, after=False)
    with pytest.raises(TimeoutError):
        names.resolve("host.example", 80, 0.05)
    assert strike.done
    assert "Alarm: now" in told.getvalue()
    (found,) = names.resolve("host.example", 80, 9)
    assert found.sockaddr == ("192.0.2.1", 80)
