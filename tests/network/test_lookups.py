"""Look-ups that are shared: what an interrupt leaves behind is no fault of who asks next."""

from __future__ import annotations

from typing import Any

import pytest

from reqkit.network import lookups


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupt_while_a_look_up_begins_spoils_no_name(
    monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    shared = lookups.SharedLookUps(2)
    start = shared._threads.start
    calls = 0

    def interrupted(function: Any, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        calls += 1
        if begun or calls > 1:
            start(function, arguments)
        if calls == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(shared._threads, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shared.call("a.example", lambda: "first", 10)
    assert shared.call("a.example", lambda: "second", 10) in ("first", "second")
    assert not shared._running
    assert not shared._threads._jobs


def test_an_interrupt_before_a_look_up_is_given_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = lookups.SharedLookUps(2)
    submit = shared._threads.submit
    calls = []

    def interrupted(job: Any) -> None:
        calls.append(job)
        if len(calls) == 1:
            raise KeyboardInterrupt
        submit(job)

    monkeypatch.setattr(shared._threads, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shared.call("a.example", lambda: "first", 10)
    assert shared.call("a.example", lambda: "second", 10) == "second"
