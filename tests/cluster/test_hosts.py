"""Which worker a host belongs to."""

from __future__ import annotations

from collections import Counter

from reqkit_async.cluster.hosts import HostTable


def table(most: int = 2, spacing: float = 0.0, workers: int = 2) -> HostTable[str]:
    made: HostTable[str] = HostTable(most, spacing)
    for worker in range(workers):
        made.add(worker)
    return made


def drain(made: HostTable[str], worker: int, now: float = 0.0) -> list[tuple[str, str, float]]:
    out = []
    while (popped := made.pop(worker, now)) is not None:
        out.append(popped)
    return out


def test_hosts_go_to_the_least_loaded_and_stay() -> None:
    made = table()
    assert [made.push(host, host, 0.0) for host in "abcd"] == [0, 1, 0, 1]
    assert [made.push(host, host, 0.0) for host in "abcd"] == [0, 1, 0, 1]
    assert [made.push("e", "e", 0.0) for _ in range(10)] == [0] * 10
    assert made.push("f", "f", 0.0) == 1
    assert len(made) == 19


def test_hosts_come_in_turn_and_no_more_than_so_many_of_each() -> None:
    made = table(most=2, workers=1)
    for number in range(4):
        made.push("a", f"a{number}", 0.0)
    made.push("b", "b0", 0.0)
    assert [item for item, _, _ in drain(made, 0)] == ["a0", "b0", "a1"]
    assert made.ended("a", 0.0) == 0
    assert [item for item, _, _ in drain(made, 0)] == ["a2"]
    assert drain(made, 0) == []


def test_what_comes_before_any_worker_waits() -> None:
    made = table(workers=0)
    assert made.push("a", "a0", 0.0) is None
    made.add("w")
    assert [item for item, _, _ in drain(made, "w")] == ["a0"]  # type: ignore[arg-type]


def test_a_late_worker_gets_a_share_once_nothing_of_it_is_out() -> None:
    made = table(most=1, workers=1)
    for number in range(3):
        for host in "abcd":
            made.push(host, f"{host}{number}", 0.0)
    assert len(drain(made, 0)) == 4
    made.add(1)
    assert drain(made, 1) == []  # all are out at the other
    for host in "abcd":
        made.ended(host, 0.0)
    owners = Counter[int]()
    for worker in (0, 1):
        owners[worker] += len(drain(made, worker))
    assert owners == {0: 2, 1: 2}


def test_one_with_a_single_host_keeps_it() -> None:
    made = table(most=1, workers=1)
    made.push("a", "a0", 0.0)
    made.push("a", "a1", 0.0)
    made.add(1)
    assert not made.share(1)
    assert drain(made, 1) == []


def test_a_host_changes_hands_with_the_time_it_has_to_be_left_alone() -> None:
    made = table(most=2, spacing=0.25)
    made.push("a", "a0", 0.0)
    made.push("a", "a1", 0.0)
    assert drain(made, 0) == [("a0", "a", 0.0), ("a1", "a", 0.0)]
    made.push("a", "a2", 0.0)
    made.remove(0, 10.0)
    assert drain(made, 1, 10.125) == [("a2", "a", 0.125)]


def test_a_hold_goes_along() -> None:
    made = table(most=2)
    made.push("a", "a0", 0.0)
    made.push("a", "a1", 0.0)
    made.hold("a", 7.0)
    made.hold("a", 4.0)  # which is sooner
    made.remove(0, 5.0)
    assert drain(made, 1, 5.0) == [("a0", "a", 2.0), ("a1", "a", 0.0)]


def test_what_a_lost_worker_had_counts_no_more() -> None:
    made = table(most=1)
    made.push("a", "a0", 0.0)
    assert len(drain(made, 0)) == 1
    made.remove(0, 0.0)
    made.push("a", "a0 again", 0.0)
    assert [item for item, _, _ in drain(made, 1)] == ["a0 again"]
    made.remove(1, 0.0)
    assert made.push("b", "b", 0.0) is None
    made.add(2)
    assert [item for item, _, _ in drain(made, 2)] == ["b"]


def test_a_host_that_was_to_move_to_a_worker_that_is_lost_stays() -> None:
    made = table(most=1, workers=1)
    for host in "ab":
        made.push(host, f"{host}0", 0.0)
        made.push(host, f"{host}1", 0.0)
    assert len(drain(made, 0)) == 2
    made.add(1)
    made.remove(1, 0.0)
    for host in "ab":
        made.ended(host, 0.0)
    assert len(drain(made, 0)) == 2


def test_items_are_taken_out() -> None:
    made = table(workers=1)
    for number in range(3):
        made.push("a", f"a{number}", 0.0)
    assert made.take_out(lambda item: item != "a1") == ["a0", "a2"]
    assert len(made) == 1
    assert [item for item, _, _ in drain(made, 0)] == ["a1"]


def test_hosts_that_nothing_is_to_be_remembered_of_are_forgotten() -> None:
    made = table(spacing=0.1, workers=1)
    for number in range(5000):
        made.push(f"h{number}", "x", float(number))
        assert len(drain(made, 0, float(number))) == 1
        made.ended(f"h{number}", float(number))
    assert len(made._hosts) < 600
    assert len(made._owners[0].hosts) < 600
