from __future__ import annotations

import io
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import reqkit_async
from reqkit_async.progress import Reporter, open_progress
from servers.wsgi import WSGIServer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Bar:
    def __init__(self, fails: bool = False) -> None:
        self.calls: list[Any] = []
        self.fails = fails

    def update(self, n: int) -> None:
        self.calls.append(n)
        if self.fails:
            raise ZeroDivisionError

    def close(self) -> None:
        self.calls.append("closed")
        if self.fails:
            raise ZeroDivisionError


def run(reporter: Reporter, steps: int = 3) -> None:
    for _ in range(steps):
        reporter.step()
    reporter.close()
    reporter.close()


@pytest.mark.parametrize("progress", [None, False])
def test_nothing(progress: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(open_progress(progress, 3))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [3, None])
def test_a_function(total: int | None) -> None:
    calls: list[Any] = []
    run(open_progress(lambda done, total: calls.append((done, total)), total))
    assert calls == [(1, total), (2, total), (3, total)]


def test_a_function_that_raises_is_harmless() -> None:
    calls: list[int] = []

    def broken(done: int, total: int | None) -> None:
        calls.append(done)
        raise ZeroDivisionError("oops")

    reporter = open_progress(broken, 3)
    with pytest.warns(RuntimeWarning, match=r"broken raised:[\s\S]*ZeroDivisionError: oops"):
        run(reporter)
    assert calls == [1, 2, 3]


def test_a_tqdm_like_object() -> None:
    bar = Bar()
    run(open_progress(bar, 3))
    assert bar.calls == [1, 1, 1, "closed"]


def test_a_tqdm_like_object_that_can_be_called() -> None:
    class Callable(Bar):
        def __call__(self, done: int, total: int | None) -> None:
            raise AssertionError

    bar = Callable()
    run(open_progress(bar, 3))
    assert bar.calls == [1, 1, 1, "closed"]


def test_a_tqdm_like_object_that_raises_is_harmless() -> None:
    bar = Bar(fails=True)
    with pytest.warns(RuntimeWarning, match="Bar raised"):
        run(open_progress(bar, 3))
    assert bar.calls == [1, 1, 1, "closed"]


def test_true_is_silent_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written, closed = io.StringIO(), io.StringIO()
    closed.close()
    for stream in (written, closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        reporter = open_progress(True, 3)
        run(reporter)
        assert type(reporter) is Reporter
    assert written.getvalue() == ""


@pytest.mark.parametrize(("progress", "kind"), [(True, Terminal), ("always", io.StringIO)])
def test_a_bar(progress: Any, kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    stream = kind()
    monkeypatch.setattr(sys, "stderr", stream)
    run(open_progress(progress, 3))
    assert "3/3" in stream.getvalue()


@pytest.mark.parametrize(("progress", "kind"), [(True, Terminal), ("always", io.StringIO)])
def test_without_tqdm(
    progress: Any, kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", kind())
    with pytest.raises(ImportError, match=r"tqdm.*reqkit\[progress\]"):
        open_progress(progress, 3)


@pytest.mark.parametrize("progress", ["yes", 1.5, object(), {"update": 1}, {}])
def test_anything_else(progress: Any) -> None:
    with pytest.raises(ValueError, match=r"progress is .*expected True, 'always'") as caught:
        open_progress(progress, 3)
    assert repr(progress) in str(caught.value)


class Kernel:
    """What IPython's `get_ipython` returns in a notebook."""

    kernel = object()
    config: dict[str, Any] = {"IPKernelApp": {}}  # noqa: RUF012


def test_in_a_notebook_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = pytest.importorskip("tqdm.auto")
    made: list[dict[str, Any]] = []

    class Widget(Bar):
        def __init__(self, **keywords: Any) -> None:
            super().__init__()
            made.append(keywords)

    ipython = types.ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(auto, "tqdm", Widget)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for found in (None, object()):  # not IPython, and IPython in a terminal
        ipython.get_ipython = lambda found=found: found  # type: ignore[attr-defined]
        assert type(open_progress(True, 3)) is Reporter
    ipython.get_ipython = Kernel  # type: ignore[attr-defined]
    run(open_progress(True, 3))
    assert [keywords["total"] for keywords in made] == [3]


def test_total_is_told_where_the_iterable_has_no_length(httpbin: WSGIServer) -> None:
    def requests() -> Iterator[str]:
        yield from [httpbin("/get")] * 2

    seen: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        seen.append((done, total))

    keywords: Any = {"progress": progress, "total": 7}
    for function in (
        reqkit_async.imap, reqkit_async.imap_unordered, reqkit_async.imap_enumerated,
    ):  # fmt: skip
        list(function(requests(), **keywords))
    with reqkit_async.Pool(**keywords) as pool:
        list(pool.imap(requests()))
        list(pool.imap(requests(), total=9))
        pool.map(requests())  # it has made a list of it, and knows
        for request in requests():
            pool.spawn(request)
    reqkit_async.map(requests(), **keywords)
    totals = [7, 7, 7, 7, 9, 2, 7, 2]
    assert seen == [(done, total) for total in totals for done in (1, 2)]


@pytest.mark.parametrize("total", [-1, "7", 1.5, True])
def test_a_total_that_is_none(total: Any) -> None:
    with pytest.raises(ValueError, match="total is"):
        reqkit_async.map([], total=total)
    with pytest.raises(ValueError, match="total is"):
        reqkit_async.Pool().imap([], total=total)
