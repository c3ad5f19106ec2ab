"""Where each thread is, whatever the collector does meanwhile."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable

import pytest

from reqkit_async.network import frames
from servers.processes import alone

#: Both ways where there are both: `operator.call` came with Python 3.11.
WAYS = [frames.current_frames]
if sys.version_info >= (3, 11):
    WAYS.append(frames._without_collecting)


def test_no_deadlock_with_threads_that_end_while_garbage_is_collected() -> None:
    """Python 3.11.7, for one, waits for ever where `sys._current_frames` itself is called."""
    code = """
        import faulthandler, gc, threading, time
        from reqkit_async.network.frames import current_frames

        faulthandler.dump_traceback_later(60, exit=True)
        going = True

        def come_and_go():
            while going:
                threading.Thread(target=int).start()

        def wait_somewhere(depth):
            # Each call has a frame that nobody has asked for yet.
            while going:
                time.sleep(0)

        threads = [threading.Thread(target=come_and_go)]
        threads += [threading.Thread(target=wait_somewhere, args=(0,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        # All that is made has the collector run, and others while it does.
        gc.callbacks.append(lambda phase, info: time.sleep(0))
        gc.set_threshold(1)
        for _ in range(300):
            assert threading.get_ident() in current_frames()
        going = False
        gc.set_threshold(700)
        for thread in threads:
            thread.join()
        print("done")
    """
    assert alone(code) == "done\n"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_is_left_as_it_was(way: Callable[[], object], collects: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        assert way() is not None
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("way", WAYS)
def test_each_thread_has_its_frame(way: Callable[[], dict[int, object]]) -> None:
    begun, end = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        end.wait(60)

    thread = threading.Thread(target=wait)
    thread.start()
    assert begun.wait(60)
    assert {thread.ident, threading.get_ident()} <= way().keys()
    end.set()
    thread.join()
    assert thread.ident not in way()


if sys.version_info >= (3, 11):

    @pytest.mark.parametrize("collects", [True, False])
    def test_an_audit_hook_that_refuses(collects: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> object:
            raise PermissionError("not here")

        monkeypatch.setattr(sys, "_current_frames", refuse)
        before = gc.isenabled()
        try:
            (gc.enable if collects else gc.disable)()
            with pytest.raises(PermissionError):
                frames._without_collecting()
            assert gc.isenabled() is collects
        finally:
            (gc.enable if before else gc.disable)()
