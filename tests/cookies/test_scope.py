"""Who may set a cookie, and where it goes."""

from __future__ import annotations

import http.cookiejar
import pickle
import time
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit import cookies
from reqkit.cookies import CookieJar, Place, create_cookie, storage
from reqkit.exceptions import InvalidHeader, InvalidURL


def set_by(url: str, *values: str) -> CookieJar:
    jar = CookieJar()
    jar.store(list(values), url)
    return jar


@pytest.mark.parametrize(
    ("setter", "value", "goes_to", "not_to"),
    [
        # Without Domain: exactly the host, whatever the port.
        (
            "http://example.com:8080/",
            "a=1",
            ["http://example.com/", "http://EXAMPLE.com:9/", "https://example.com/"],
            ["http://www.example.com/", "http://notexample.com/", "http://com/"],
        ),
        ("http://localhost/", "a=1", ["http://localhost:81/"], ["http://localhost.local/"]),
        ("http://foo/", "a=1", ["http://foo/"], ["http://foo.local/", "http://x.foo/"]),
        ("http://127.0.0.1/", "a=1", ["http://127.0.0.1:1/"], ["http://1.127.0.0.1/"]),
        ("http://[::1]/", "a=1", ["http://[::1]:81/"], ["http://[::2]/", "http://localhost/"]),
        # With Domain: the host and what is below.
        (
            "http://www.example.com/",
            "a=1; Domain=example.com",
            ["http://example.com/", "http://a.b.example.com/"],
            ["http://badexample.com/", "http://example.com.evil.org/"],
        ),
        ("http://x.a.de/", "a=1; Domain=.A.de", ["http://a.de/"], ["http://b.de/"]),
        ("http://b.a.de/", "a=1; Domain=", ["http://b.a.de/"], ["http://c.b.a.de/"]),
        ("http://b.a.de/", "a=1; Domain=.", ["http://b.a.de/"], ["http://c.b.a.de/"]),
        ("http://b.a.de/", "a=1; Domain=x.de; Domain=a.de", ["http://a.de/"], []),
        ("http://xn--bcher-kva.de/", "a=1; Domain=b\xc3\xbccher.de", ["http://bücher.de/"], []),
        # A Domain that is one label or an address: the host alone.
        (
            "http://localhost/",
            "a=1; Domain=localhost",
            ["http://localhost/"],
            ["http://b.localhost/"],
        ),
        ("http://com/", "a=1; Domain=com", ["http://com/"], ["http://example.com/"]),
        ("http://10.0.0.1/", "a=1; Domain=10.0.0.1", ["http://10.0.0.1/"], ["http://0.0.1/"]),
        # Paths.
        (
            "http://h.de/a/b",
            "a=1",
            ["http://h.de/a", "http://h.de/a/", "http://h.de/a/c?x=/", "http://h.de/a?x"],
            ["http://h.de/", "http://h.de/ab", "http://h.de/A"],
        ),
        ("http://h.de/a?q=/b/c", "a=1", ["http://h.de/"], []),
        ("http://h.de", "a=1", ["http://h.de/x"], []),
        (
            "http://h.de/x",
            "a=1; Path=/a/",
            ["http://h.de/a/", "http://h.de/a/b"],
            ["http://h.de/a"],
        ),
        ("http://h.de/a/b", "a=1; Path=b", ["http://h.de/a"], ["http://h.de/b"]),
        # Secure.
        ("https://h.de/", "a=1; Secure", ["https://h.de/", "wss://h.de/"], ["http://h.de/"]),
        ("https://localhost/", "a=1; Secure", ["https://localhost/"], ["http://localhost/"]),
        ("https://h.de/", "__Secure-a=1; Secure", ["https://h.de/"], ["http://h.de/"]),
        ("https://h.de/", "__Host-a=1; Secure; Path=/", ["https://h.de/"], ["https://x.h.de/"]),
    ],
)
def test_scope(setter: str, value: str, goes_to: list[str], not_to: list[str]) -> None:
    jar = set_by(setter, value)
    for kept in (jar, pickle.loads(pickle.dumps(jar)), jar.copy(), cookies.to_jar(jar)):
        for url in goes_to:
            header = kept.header_for(url)
            assert header is not None, url
            assert header.endswith("a=1")
        for url in not_to:
            assert kept.header_for(url) is None, url


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("http://example.com/", "a=1; Domain=com"),
        ("http://example.com/", "a=1; Domain=.com"),
        ("http://example.com./", "a=1; Domain=com."),
        ("http://example.com/", "a=1; Domain=.com."),
        ("http://example.com/", "a=1; Domain=..com"),
        ("http://example.com/", "a=1; Domain=other.com"),
        ("http://example.com/", "a=1; Domain=ample.com"),
        ("http://example.com/", "a=1; Domain=www.example.com"),
        ("http://example.com/", "a=1; Domain=example.com; Domain=com"),
        ("http://app.localhost/", "a=1; Domain=localhost"),
        ("http://localhost/", "a=1; Domain=local"),
        ("http://10.0.0.1/", "a=1; Domain=0.0.1"),
        ("http://10.0.0.1/", "a=1; Domain=0.1"),
        ("http://[::1]/", "a=1; Domain=1"),
        ("http://example.com/", "a=1; Domain=\xff" + "x" * 500),
        ("http://example.com/", "a=1; Secure"),
        ("http://localhost/", "a=1; Secure"),
        ("https://example.com/", "__Secure-a=1"),
        ("http://example.com/", "__Secure-a=1; Secure"),
        ("https://example.com/", "__secure-a=1"),
        ("https://example.com/", "__Host-a=1; Path=/"),
        ("https://example.com/", "__Host-a=1; Secure"),
        ("https://example.com/", "__Host-a=1; Secure; Path=/x"),
        ("https://example.com/", "__Host-a=1; Secure; Path=/; Domain=example.com"),
        ("https://example.com/", "__HOST-a; Secure"),
        ("http://example.com/", "a=1\r\nX: y"),
    ],
)
def test_refused(url: str, value: str) -> None:
    jar = set_by(url, "before=1", value, "after=1")
    assert jar.keys() == ["before", "after"]


def test_longer_paths_first_then_the_older() -> None:
    jar = set_by(
        "http://b.a.de/", "n1=1; Domain=a.de", "n2=2", "n3=3; Path=/x", "n4=4; Domain=a.de"
    )
    jar.set("u", "5")
    jar.store(["n1=new; Domain=a.de"], "http://b.a.de/")
    assert jar.header_for("http://b.a.de/x") == "n3=3; n1=new; n2=2; n4=4; u=5"
    assert [cookie.name for cookie in jar] == ["n1", "n2", "n3", "n4", "u"]


def test_the_header_has_values_as_they_were() -> None:
    jar = set_by("http://h.de/", 'q="a b, c"', "e=", "n", "v=x=y", "l=\xe9")
    assert jar.header_for("http://h.de/") == 'q="a b, c"; e=; n; v=x=y; l=\xe9'


@pytest.mark.parametrize(
    "delete",
    ["a=; Max-Age=0", "a; Max-Age=-5", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
)
def test_an_ended_cookie_deletes(delete: str) -> None:
    jar = set_by("http://h.de/", "a=1", "b=2", delete)
    assert jar.keys() == ["b"]
    assert jar.list_domains() == ["h.de"]
    jar.store([delete], "http://h.de/")
    assert len(jar) == 1


def test_a_deletion_needs_the_same_domain_and_path() -> None:
    jar = set_by("http://b.a.de/", "a=1; Domain=a.de", "a=2; Path=/x")
    jar.store(["a=; Max-Age=0"], "http://b.a.de/")
    assert len(jar) == 2


def test_cookies_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    jar = set_by("http://h.de/", "a=1; Max-Age=10", "b=2")
    assert jar.header_for("http://h.de/") == "a=1; b=2"
    clock[0] = 1010.0
    assert jar.header_for("http://h.de/") == "b=2"
    assert jar.keys() == ["b"]


def test_a_plain_connection_leaves_secure_cookies_alone() -> None:
    jar = set_by("https://h.de/", "a=1; Secure; Path=/x", "b=1")
    jar.store(["a=2; Path=/x/y", "a=3; Path=/x; Max-Age=0", "b=2", "a=4; Path=/z"], "http://h.de/")
    assert jar.header_for("https://h.de/x") == "a=1; b=2"
    assert jar.header_for("http://h.de/z") == "a=4; b=2"


HOSTS = [f"h{i}.evil.example" for i in range(100)]


def flood(jar: CookieJar, host: str, count: int, more: str = "", scheme: str = "https") -> None:
    jar.store([f"f{i}=x{more}" for i in range(count)], f"{scheme}://{host}/")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_insecure_cookies_put_out_no_secure_one(scheme: str) -> None:
    jar = CookieJar()
    jar.store(["session=1; Secure", "old=1"], "https://a.example/")
    flood(jar, "a.example", 400, scheme=scheme)
    assert jar.get("session") == "1"
    assert jar.get("old") is None
    assert len(jar) == storage.MAX_PER_DOMAIN


def test_a_jar_full_of_secure_ones_takes_no_insecure_one() -> None:
    jar = CookieJar()
    flood(jar, "a.example", 180, "; Secure")
    jar.store(["late=1"], "http://a.example/")
    assert jar.get("late") is None
    jar.store(["late=1; Secure"], "https://a.example/")
    assert jar.get("late") == "1"
    assert jar.get("f0") is None


def test_hosts_below_put_out_no_cookie_of_the_host_alone() -> None:
    jar = CookieJar()
    jar.store(["session=1", "shared=1; Domain=a.example"], "https://a.example/")
    flood(jar, "sub.a.example", 400, "; Domain=a.example")
    assert jar.get("session") == "1"
    assert jar.get("shared") is None


def test_one_hosts_cookies_are_not_put_out_by_anothers() -> None:
    jar = CookieJar()
    flood(jar, "bank.example", 50)
    jar.store(["x=1"], "https://sub.bank.example/")
    for host in HOSTS:
        flood(jar, host, 180)
    assert len(jar) == storage.MAX_IN_ALL
    assert len(jar.get_dict(domain="bank.example")) == 50
    assert len(jar.get_dict(domain="sub.bank.example")) == 1


def test_many_hosts_with_few_cookies_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_IN_ALL", 100)
    jar = CookieJar()
    jar.set("mine", "1")
    for i in range(1000):
        jar.store(["a=1"], f"http://h{i}.example{i}/")
    assert 90 <= len(jar) <= 100
    assert "mine" in jar
    assert "h999.example999" in jar.list_domains()


def test_few_of_many_are_kept_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_PER_DOMAIN", 3)
    monkeypatch.setattr(storage, "MAX_IN_ALL", 5)
    jar = CookieJar()
    jar.set("mine", "1")
    jar.store([f"n{i}=x; Path=/{i % 2}" for i in range(10)], "http://a.de/")
    assert jar.keys() == ["mine", "n7", "n8", "n9"]
    jar.store(["m1=x", "m2=x", "m3=x"], "http://b.de/")
    assert jar.keys() == ["mine", "n8", "n9", "m2", "m3"]


def test_ended_cookies_go_before_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_PER_DOMAIN", 2)
    jar = set_by("http://a.de/", "n1=x")
    jar.set_cookie(create_cookie("old", "x", domain="a.de", expires=5))
    jar.store(["n2=x"], "http://a.de/")
    assert jar.keys() == ["n1", "n2"]


ORIGIN = ("http", "first.de", 80)


@pytest.mark.parametrize(
    ("url", "bound_to", "sent"),
    [
        ("http://first.de/", None, True),
        ("http://first.de/x", ORIGIN, True),
        ("http://first.de:80/", ORIGIN, True),
        ("https://first.de/", ORIGIN, False),
        ("http://first.de:81/", ORIGIN, False),
        ("http://www.first.de/", ORIGIN, False),
        ("http://other.de/", ORIGIN, False),
        ("http://other.de/", None, True),
    ],
)
@pytest.mark.parametrize("make", [CookieJar, http.cookiejar.CookieJar])
def test_unbound_cookies_stay_with_the_first_origin(
    make: Callable[[], http.cookiejar.CookieJar],
    url: str,
    bound_to: tuple[str, str, int] | None,
    sent: bool,
) -> None:
    jar = cookies.cookiejar_from_dict({"a": "1"}, make())
    assert (cookies.header_for(jar, url, bound_to=bound_to) is not None) is sent
    call = cookies.to_jar({"b": "2"})
    header = cookies.header_for(make(), url, bound_to=bound_to, over=call)
    assert (header is not None) is sent


def test_a_bound_cookie_follows_its_domain() -> None:
    jar = CookieJar()
    jar.set("a", "1", domain="other.de")
    assert jar.header_for("http://other.de/", bound_to=ORIGIN) == "a=1"
    assert jar.header_for("http://sub.other.de/", bound_to=ORIGIN) == "a=1"
    assert jar.header_for("http://first.de/") is None


@pytest.mark.parametrize(
    ("domain", "goes_to", "not_to"),
    [
        ("localhost", "http://localhost/", "http://x.localhost/"),
        ("localhost.local", "http://localhost/", "http://local/"),
        ("127.0.0.1", "http://127.0.0.1/", "http://0.127.0.0.1/"),
        ("[::1]", "http://[::1]/", "http://localhost/"),
        ("::1", "http://[::1]/", "http://localhost/"),
        (".example.com", "http://example.com/", "http://com/"),
        ("Example.com", "http://www.example.com/", "http://com/"),
        ("com", "http://com/", "http://example.com/"),
        ("bücher.de", "http://www.xn--bcher-kva.de/", "http://de/"),
        (".bücher.de", "http://xn--bcher-kva.de/", "http://de/"),
    ],
)
def test_a_domain_given_by_the_user(domain: str, goes_to: str, not_to: str) -> None:
    jar = CookieJar()
    jar.set("a", "1", domain=domain)
    assert jar.header_for(goes_to) == "a=1"
    assert jar.header_for(not_to) is None


def test_the_call_wins_by_name_where_its_cookie_goes() -> None:
    jar = set_by("http://h.de/", "a=server", "b=server", "c=server")
    jar.store(["a=elsewhere"], "http://other.de/")
    call = {"a": "call", "c": None, "d": 4}
    over, without = cookies.to_jar(call), cookies.left_out(call)
    first = ("http", "h.de", 80)
    assert jar.header_for("http://h.de/", over=over, without=without) == "b=server; a=call; d=4"
    assert jar.header_for("http://other.de/", bound_to=first, over=over) == "a=elsewhere"
    assert jar["b"] == "server"
    assert len(jar) == 4


def test_longer_paths_come_first_across_both_jars() -> None:
    jar = set_by("http://h.de/", "a=1", "b=2; Path=/x/y")
    over = CookieJar()
    over.set("c", "3", domain="h.de", path="/x")
    assert jar.header_for("http://h.de/x/y", over=over) == "b=2; c=3; a=1"


@pytest.mark.parametrize("make", [CookieJar, http.cookiejar.CookieJar])
@pytest.mark.parametrize("value", ["a=new", "a=; Max-Age=0"])
def test_an_answer_ends_what_the_call_said(
    make: Callable[[], http.cookiejar.CookieJar], value: str
) -> None:
    over = cookies.to_jar({"a": "old", "b": "2"})
    over.set("a", "kept", domain="other.de")
    cookies.store(make(), [value, "b=refused; Domain=com"], "http://h.de/", over=over)
    assert over.items() == [("b", "2"), ("a", "kept")]


@pytest.mark.parametrize("bad", ["x\r\ny", "x\ny", "x\0y", "x;y", "x\x7f"])
def test_bad_values_name_the_cookie_never_the_value(bad: str) -> None:
    with pytest.raises(InvalidHeader, match="'tasty'") as caught:
        CookieJar().set("tasty", f"secret{bad}")
    assert "secret" not in str(caught.value)
    jar = CookieJar()
    cookie = create_cookie("tasty", "fine")
    cookie.value = f"secret{bad}"
    jar.set("other", "1")
    jar.set_cookie(cookie)
    with pytest.raises(InvalidHeader, match="'tasty'") as caught:
        jar.header_for("http://h.de/")
    assert "secret" not in str(caught.value)


def test_values_beyond_latin_1_go_as_utf_8() -> None:
    jar = cookies.to_jar({"a": "é", "b": "ж"})
    header = jar.header_for("http://h.de/")
    assert header is not None
    assert header.encode("latin-1") == b"a=\xe9; b=\xd0\xb6"
    with pytest.raises(InvalidHeader, match="'c'"):
        cookies.to_jar({"c": "\ud800"}).header_for("http://h.de/")


def target(url: str, host: str, path: str = "/") -> Place:
    scheme = url.partition(":")[0]
    return Place(url, scheme, host, 0, path, (scheme, host, 0))


def test_a_target_has_its_query_in_its_path() -> None:
    jar = CookieJar()
    jar.store(["a=1", "b=2; Path=/x?q", "c=3; Path=/x"], target("http://h.de/", "h.de", "/x?y=/z/"))
    assert [cookie.path for cookie in jar] == ["/", "/x?q", "/x"]
    assert jar.header_for(target("http://h.de/", "h.de", "/x?q/c")) == "c=3; a=1"


def test_a_scheme_of_an_adapters_own() -> None:
    jar = CookieJar()
    jar.store(["a=1"], target("mock://h.de/", ""))
    jar.store(["b=2"], target("mock:nothing", ""))
    jar.store(["c=3"], target("http+unix://%2Fvar/", "%2Fvar"))
    jar.set("u", "4")
    assert jar.list_domains() == ["h.de", "%2fvar", ""]
    assert jar.header_for(target("mock://h.de/", ""), bound_to=("mock", "", 0)) == "a=1; u=4"
    assert jar.header_for(target("mock:nothing", "")) == "u=4"
    assert jar.header_for(target("mock:nothing", ""), bound_to=("mock", "h.de", 0)) is None
    assert jar.header_for(target("http+unix://%2Fvar/", "%2Fvar")) == "c=3; u=4"


@pytest.mark.parametrize("url", ["nonsense", "/path", "http://", "http://[::1/", "http://h:x/"])
def test_a_url_without_a_host_is_an_error(url: str) -> None:
    with pytest.raises(InvalidURL):
        cookies.to_jar({"a": "1"}).header_for(url)
    assert CookieJar().header_for(url) is None


class BlockAll(http.cookiejar.CookiePolicy):
    """The usual way to have no cookies."""

    netscape = True
    rfc2965 = hide_cookie2 = False

    def set_ok(self, cookie: object, request: object) -> bool:
        return False

    return_ok = set_ok

    def domain_return_ok(self, domain: object, request: object) -> bool:
        return False

    def path_return_ok(self, path: object, request: object) -> bool:
        return False


@pytest.mark.parametrize("policy", [BlockAll(), DefaultCookiePolicy(allowed_domains=[])])
def test_a_policy_can_refuse_all(policy: http.cookiejar.CookiePolicy) -> None:
    jar = CookieJar()
    jar.set("mine", "1")
    jar.set_policy(policy)
    jar.store(["a=1"], "http://h.de/")
    assert jar.keys() == ["mine"]
    assert jar.header_for("http://h.de/") is None
    twin = pickle.loads(pickle.dumps(jar))
    assert twin.header_for("http://h.de/") is None
    assert jar.copy().get_policy() is policy


@pytest.mark.parametrize("host", ["good.de", "localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("make", [CookieJar, http.cookiejar.CookieJar])
def test_a_policy_that_blocks_some(make: Callable[[], http.cookiejar.CookieJar], host: str) -> None:
    jar = make()
    jar.set_policy(DefaultCookiePolicy(blocked_domains=["bad.de"]))
    cookies.store(jar, ["a=1"], f"http://{host}/")
    cookies.store(jar, ["a=1"], "http://bad.de/")
    assert cookies.header_for(jar, f"http://{host}/") == "a=1"
    assert cookies.header_for(jar, "http://bad.de/") is None
    assert len(jar) == 1


def test_a_policy_changed_in_place_counts() -> None:
    jar = set_by("http://h.de/", "a=1")
    policy = jar.get_policy()
    assert isinstance(policy, DefaultCookiePolicy)
    policy.set_blocked_domains(["h.de"])
    assert jar.header_for("http://h.de/") is None


def test_a_policy_never_allows_more() -> None:
    class AllowAll(http.cookiejar.CookiePolicy):
        def set_ok(self, cookie: object, request: object) -> bool:
            return True

        return_ok = set_ok

    jar = CookieJar(AllowAll())
    jar.store(["a=1; Domain=com", "b=1; Secure", "c=1"], "http://h.com/")
    assert jar.keys() == ["c"]
    assert jar.header_for("http://x.h.com/") is None


@given(
    st.lists(
        st.text(alphabet=st.characters(max_codepoint=255))
        | st.builds(
            lambda *parts: "; ".join(parts),
            st.text(alphabet="ab=\xe9 ", max_size=5),
            st.sampled_from(["Domain=", "Max-Age=", "Path=", "Expires="]).flatmap(
                lambda key: st.text(st.characters(max_codepoint=255), max_size=20).map(key.__add__)
            ),
        ),
        max_size=5,
    )
)
def test_store_never_raises_and_what_it_keeps_can_be_sent(values: list[str]) -> None:
    jar = CookieJar()
    jar.store(values, "http://www.example.com/x/")
    header = jar.header_for("http://www.example.com/x/")
    if header is not None:
        header.encode("latin-1")
    for cookie in jar:
        assert cookie.domain in ("www.example.com", ".www.example.com", ".example.com")


@pytest.mark.parametrize(
    ("url", "domain", "taken"),
    [
        ("http://a.shop.co.uk/", "co.uk", False),
        ("http://a.shop.co.uk/", "shop.co.uk", True),
        ("http://me.github.io/", "github.io", False),
        ("http://a.me.github.io/", "me.github.io", True),
        ("http://a.b.invalid/", "b.invalid", True),
        ("http://a.example.com/", "example.com", True),
        ("http://co.uk/", "co.uk", True),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_public_suffixes_where_the_list_is_installed(
    monkeypatch: pytest.MonkeyPatch, url: str, domain: str, taken: bool, listed: bool
) -> None:
    from reqkit.cookies import scope

    pytest.importorskip("publicsuffixlist")
    scope.is_public_suffix.cache_clear()
    if not listed:
        monkeypatch.setattr(scope, "_suffixes", lambda: None)
    jar = set_by(url, f"a=1; Domain={domain}")
    assert bool(list(jar)) == (taken or not listed)
    if url == "http://co.uk/" and listed:
        assert [cookie.domain for cookie in jar] == ["co.uk"]  # for the host alone
    scope.is_public_suffix.cache_clear()
