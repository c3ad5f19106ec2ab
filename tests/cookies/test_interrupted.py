"""An interrupt between two steps of a jar's: it goes on with what is in it, and with what comes."""

from __future__ import annotations

from typing import Any

import pytest

from reqkit.cookies import CookieJar

URL = "http://a.example/"


class Interrupts(dict[Any, Any]):
    """A dictionary whose next change is interrupted: before it, or after it."""

    after = False
    armed = True

    def _change(self, change: Any, *arguments: Any) -> Any:
        armed, self.armed = self.armed, False
        if armed and not self.after:
            raise KeyboardInterrupt
        result = change(*arguments)
        if armed:
            raise KeyboardInterrupt
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        self._change(super().__setitem__, key, value)

    def __delitem__(self, key: Any) -> None:
        self._change(super().__delitem__, key)

    def pop(self, *arguments: Any) -> Any:
        return self._change(super().pop, *arguments)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("change", ["set", "delete", "domain"])
def test_a_jar_whose_change_was_interrupted_is_sound(change: str, after: bool) -> None:
    jar = CookieJar()
    jar.store(["one=1", "two=2"], URL)
    jar._ages = Interrupts(jar._ages)
    jar._ages.after = after
    domain = next(iter(jar)).domain
    with pytest.raises(KeyboardInterrupt):
        if change == "set":
            jar.store(["three=3"], URL)
        elif change == "delete":
            jar.store(["one=; Max-Age=0"], URL)
        else:
            jar._ages.after = after
            jar.clear(domain, "/", "two")
    header = jar.header_for(URL) or ""
    assert "=" in header
    assert len(list(jar)) == len(jar)
    jar.store([f"{name}={name}" for name in ("one", "two", "three")], URL)
    assert sorted((jar.header_for(URL) or "").split("; ")) == ["one=one", "three=three", "two=two"]
    assert sorted(jar.keys()) == ["one", "three", "two"]
    jar.store([f"n{number}=1" for number in range(200)], URL)  # more than is kept
    jar.clear(domain)
    assert not jar.header_for(URL)
