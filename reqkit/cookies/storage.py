"""What is in a jar, what it sends to a URL, and what it takes from an answer.

Never blocks; the lock is held for look-ups only, never while a policy is asked.
"""

from __future__ import annotations

import http.cookiejar
import time
from collections.abc import Collection, Iterable, Iterator
from http.cookiejar import Cookie, CookiePolicy
from operator import itemgetter
from typing import Any, Final

from ..base.locks import native_rlock
from ..exceptions import InvalidHeader
from .conversion import cookie_header
from .policy import is_plain, may_return, may_set
from .scope import SECURE_SCHEMES, Origin, Target, domains_of, path_matches, place_of, read_cookie

__all__ = ["MAX_IN_ALL", "MAX_PER_DOMAIN", "CookieStorage"]

#: Cookies kept for one domain (for its host alone, and for those below it, each), and in all, when
#: answers bring more.
MAX_PER_DOMAIN: Final = 180
MAX_IN_ALL: Final = 3000

#: Longer paths first, then the older.
_AGE: Final = itemgetter(0, 1)

#: Domain, path and name: what makes a cookie the same one.
Key = tuple[str, str, str]


class CookieStorage(http.cookiejar.CookieJar):
    """A `http.cookiejar.CookieJar` by the rules of RFC 6265: the ground of `CookieJar`.

    Args:
        policy: asked, beyond the rules that are always kept, for each cookie that comes or goes.
    """

    _cookies: dict[str, dict[str, dict[str, Cookie]]]
    _cookies_lock: Any
    _policy: CookiePolicy

    def __init__(self, policy: CookiePolicy | None = None) -> None:
        super().__init__(policy)
        self._cookies_lock = native_rlock()
        # When each cookie was made, as a number: replacing one keeps its place (RFC 6265 5.3).
        self._ages: dict[Key, int] = {}
        self._next_age = 1

    # What a session asks.

    def header_for(
        self,
        target: str | Target,
        *,
        bound_to: Origin | None = None,
        over: CookieStorage | None = None,
        without: Collection[str] = (),
    ) -> str | None:
        """Return the value of the Cookie header for a URL, or None where it gets no cookies.

        Args:
            target: the URL, or what has its ``url scheme host port path origin``.
            bound_to: the origin of the chain's first request, to which the unbound cookies go
                alone; None where this is the first request.
            over: the cookies of the call: where one goes to this URL, it takes the place of
                this jar's cookies of its name.
            without: names that the call leaves out.

        Raises:
            InvalidHeader: a cookie cannot be sent as it is.

        Source: RFC 6265 section 5.4.
        """
        if not self._ages and not over:
            return None
        place = place_of(target)
        found = self.cookies_for(place, bound_to=bound_to)
        if without:
            found = [cookie for cookie in found if cookie.name not in without]
        if over and (more := over.cookies_for(place, bound_to=bound_to)):
            names = {cookie.name for cookie in more}
            found = [cookie for cookie in found if cookie.name not in names] + more
            found.sort(key=_path_first)
        return cookie_header(found) if found else None

    def cookies_for(self, target: str | Target, *, bound_to: Origin | None = None) -> list[Cookie]:
        """Return the cookies that go to a URL: longer paths first, then the older.

        Args:
            target: the URL, or what has its ``url scheme host port path origin``.
            bound_to: the only origin that cookies without a domain go to; None for any.
        """
        if not self._ages:
            return []
        place = place_of(target)
        path, secure = place.path.partition("?")[0], place.scheme in SECURE_SCHEMES
        now = time.time()
        found: list[tuple[int, int, Cookie]] = []
        expired = False
        with self._cookies_lock:
            for domain, own in domains_of(place.host):
                if domain not in self._cookies:
                    continue
                if not domain and bound_to is not None and bound_to != place.origin:
                    continue
                for cookie_path, names in self._cookies[domain].items():
                    if not path_matches(path, cookie_path):
                        continue
                    for name, cookie in names.items():
                        if cookie.secure and not secure:
                            continue
                        # Without Domain, a cookie is for exactly its host.
                        if not own and not cookie.domain_specified:
                            continue
                        if cookie.expires is not None and cookie.expires <= now:
                            expired = True
                            continue
                        # Without one where setting or clearing it was interrupted.
                        age = self._ages.get((domain, cookie_path, name), 0)
                        found.append((-len(cookie_path), age, cookie))
        if expired:
            self.clear_expired_cookies()
        if len(found) > 1:
            found.sort(key=_AGE)
        cookies = [entry[2] for entry in found]
        if cookies and not is_plain(self._policy):
            return may_return(self._policy, cookies, place)
        return cookies

    def store(
        self,
        set_cookie_values: Iterable[str],
        target: str | Target,
        *,
        over: CookieStorage | None = None,
    ) -> None:
        """Take the cookies of an answer. What is bad or not allowed is left out, one by one.

        Args:
            set_cookie_values: the values of the Set-Cookie fields, decoded as latin-1.
            target: the URL that was answered.
            over: the cookies of the call: an unbound one whose name the answer has set or deleted
                is dropped from it, as the server's word is the newer.

        Source: RFC 6265 section 5.3.
        """
        place = place_of(target)
        now = time.time()
        touched = set()
        for cookie in self.admitted(set_cookie_values, place, now):
            key = (cookie.domain, cookie.path, cookie.name)
            if cookie.is_expired(int(now)):
                self._drop(key)
            else:
                self.set_cookie(cookie)
                touched.add(cookie.domain)
            if over:
                over.discard_unbound(cookie.name)
        if touched:
            self._trim(touched)

    def admitted(self, values: Iterable[str], place: Target, now: float) -> Iterator[Cookie]:
        """Yield the cookies that an answer may set here; an ended one is to be deleted."""
        for text in values:
            cookie = read_cookie(text, place, now)
            if cookie is None or self._covers_secure(cookie, place, now):
                continue
            if (
                cookie.is_expired(int(now))
                or is_plain(self._policy)
                or may_set(self._policy, cookie, place)
            ):
                yield cookie

    def discard_unbound(self, name: str) -> None:
        """Drop the cookies of a name that have no domain."""
        with self._cookies_lock:
            for path in [p for p, names in (self._get("") or {}).items() if name in names]:
                self._drop(("", path, name))

    def _get(self, domain: str) -> dict[str, dict[str, Cookie]] | None:
        return self._cookies.get(domain)

    def _covers_secure(self, cookie: Cookie, place: Target, now: float) -> bool:
        """Tell whether a plain connection would overlay a secure cookie.

        Source: RFC 6265bis section 5.7 ("leave secure cookies alone").
        """
        if place.scheme in SECURE_SCHEMES or not self._ages:
            return False
        with self._cookies_lock:
            for domain, _ in domains_of(place.host):
                if not domain:
                    continue  # a cookie of the user's is not in the server's way
                for path, names in (self._get(domain) or {}).items():
                    there = names.get(cookie.name)
                    if (
                        there is not None
                        and there.secure
                        and path_matches(cookie.path, path)
                        and not there.is_expired(int(now))
                    ):
                        return True
        return False

    def _trim(self, domains: Collection[str]) -> None:
        """Let cookies go where there are too many: those of who has too many.

        The ended ones first, then the oldest insecure ones, then the oldest: no secure cookie makes
        room for an insecure one (RFC 6265bis section 5.7), nor one host's for another's.
        """
        with self._cookies_lock:
            crowded = [d for d in domains if self._count(d) > MAX_PER_DOMAIN]
            if not crowded and len(self._ages) <= MAX_IN_ALL:
                return
            self.clear_expired_cookies()
            for domain in crowded:
                # What is for one host alone is not put out by those for all hosts below it, which
                # any of these may set.
                for shared in (False, True):
                    keys = self._keys_of(domain, shared)
                    self._let_go(keys, len(keys) - MAX_PER_DOMAIN)
            while (excess := len(self._ages) - MAX_IN_ALL) > 0:
                keys = self._keys_of(self._fullest(domains))
                if len(keys) == 1:  # everybody has but one: the oldest have been there for long
                    keys = [key for key in self._ages if key[0]]
                    excess += MAX_IN_ALL // 20  # not one by one
                    self._let_go(keys, excess)
                else:
                    self._let_go(keys, min(excess, max(1, len(keys) // 8)))

    def _keys_of(self, domain: str, shared: bool | None = None) -> list[Key]:
        """Return a domain's cookies, the oldest first: all, or those for its host alone, or not."""
        found = [
            (domain, path, name)
            for path, names in (self._get(domain) or {}).items()
            for name, cookie in names.items()
            if shared is None or bool(cookie.domain_specified) is shared
        ]
        found.sort(key=lambda key: self._ages.get(key, 0))
        return found

    def _let_go(self, keys: list[Key], excess: int) -> None:
        """Drop so many of these: the insecure ones first, the oldest of each first."""
        if excess <= 0:
            return
        secure = [self._cookies[domain][path][name].secure for domain, path, name in keys]
        order = [key for key, safe in zip(keys, secure, strict=True) if not safe]
        order += [key for key, safe in zip(keys, secure, strict=True) if safe]
        for key in order[:excess]:
            self._drop(key)

    def _fullest(self, touched: Collection[str]) -> str:
        """Return the domain with the most cookies, of the site with the most.

        Of several, one whose cookies have come just now. The user's own unbound cookies are not a
        server's to push out.
        """
        sites: dict[str, int] = {}
        counts: dict[str, int] = {}
        for domain in self._cookies:
            if domain:
                counts[domain] = self._count(domain)
                site = _site_of(domain)
                sites[site] = sites.get(site, 0) + counts[domain]
        now = {_site_of(domain) for domain in touched}
        most = max(sites, key=lambda site: (sites[site], site in now))
        return max(
            (domain for domain in counts if _site_of(domain) == most),
            key=lambda domain: (counts[domain], domain in touched),
        )

    def _count(self, domain: str) -> int:
        return sum(map(len, (self._get(domain) or {}).values()))

    def _drop(self, key: Key) -> None:
        with self._cookies_lock:
            if key in self._ages:
                self.clear(*key)

    # What http.cookiejar's jars do, by the rules here.

    def set_cookie(self, cookie: Cookie) -> None:
        """Put a cookie in, whatever a policy would say.

        Raises:
            InvalidHeader: it has no name.
        """
        if cookie.name is None:
            raise InvalidHeader("a cookie without a name cannot be sent: give it one")
        domain, path, name = cookie.domain, cookie.path, cookie.name
        with self._cookies_lock:
            self._cookies.setdefault(domain, {}).setdefault(path, {})[name] = cookie
            if (domain, path, name) not in self._ages:
                self._ages[domain, path, name] = self._next_age
                self._next_age += 1

    def clear(
        self, domain: str | None = None, path: str | None = None, name: str | None = None
    ) -> None:
        """Remove all cookies, or those of a domain, of its path, or the one with the name.

        Raises:
            KeyError: there is none.
            ValueError: a path without a domain, or a name without both.
        """
        with self._cookies_lock:
            if domain is None and path is None and name is None:
                self._cookies = {}
                self._ages = {}
                return
            # An age always has its cookie, whenever this is interrupted: those go first.
            if domain is not None and path is not None and name is not None:
                self._ages.pop((domain, path, name), None)
            elif domain is not None:
                self._ages = {
                    key: age
                    for key, age in self._ages.items()
                    if key[0] != domain or (path is not None and key[1] != path)
                }
            # Raises what the base raises, and empties what is left there.
            super().clear(domain, path, name)
            if domain is not None and path is not None and name is not None:
                paths = self._cookies[domain]
                if not paths[path]:
                    del paths[path]
            if domain in self._cookies and not self._cookies[domain]:
                del self._cookies[domain]

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Take the cookies of an answer, as `urllib.request` has it done."""
        values = response.info().get_all("Set-Cookie", [])
        self.store(list(values), request.get_full_url())

    def add_cookie_header(self, request: Any) -> None:
        """Give a request its Cookie header, as `urllib.request` has it done."""
        header = self.header_for(request.get_full_url())
        if header is not None and not request.has_header("Cookie"):
            request.add_unredirected_header("Cookie", header)

    def get_policy(self) -> CookiePolicy:
        """Return the policy that is asked beyond the rules that are always kept."""
        return self._policy

    def __iter__(self) -> Iterator[Cookie]:
        """Iterate over the cookies there are now, oldest first."""
        with self._cookies_lock:
            return iter([self._cookies[d][p][n] for d, p, n in self._ages])

    def __len__(self) -> int:
        """Return how many cookies there are."""
        return len(self._ages)

    def __bool__(self) -> bool:
        """Tell whether there are cookies."""
        return bool(self._ages)

    def __repr__(self) -> str:
        """Return the names and domains, never the values."""
        cookies = ", ".join(f"{c.name} for {c.domain or '(no domain)'}{c.path}" for c in self)
        return f"<{type(self).__name__}[{cookies}]>"

    __str__ = __repr__

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all but the lock."""
        with self._cookies_lock:
            state = self.__dict__.copy()
            state["_cookies"] = {
                domain: {path: dict(names) for path, names in paths.items()}
                for domain, paths in self._cookies.items()
            }
            state["_ages"] = dict(self._ages)
        del state["_cookies_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was pickled, with a lock of its own."""
        self.__dict__.update(state)
        self._cookies_lock = native_rlock()


def _site_of(domain: str) -> str:
    """Return what stands for those who may set each other's cookies: the last two labels."""
    if ":" in domain or domain.rpartition(".")[2].isdigit():
        return domain  # an address
    return ".".join(domain.lstrip(".").rsplit(".", 2)[-2:])


def _path_first(cookie: Cookie) -> int:
    return -len(cookie.path)
