from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from reqkit_async.progress import Reporter, open_progress


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
