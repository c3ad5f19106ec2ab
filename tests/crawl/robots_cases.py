"""What Google's robots parser says of which path, as its public cases have it, in a table.

Each row: a robots.txt with ``|`` for line ends, a crawler's name, the paths that it may ask for,
and those that it may not.
"""

# ruff: noqa: E501 - a table

from __future__ import annotations

GROUPS = (
    "allow: /foo/bar/||user-agent: FooBot|disallow: /|allow: /x/|user-agent: BarBot|disallow: /"
    "|allow: /y/|||allow: /w/|user-agent: BazBot||user-agent: FooBot|allow: /z/|disallow: /|"
)
FISH = "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything"
LONG = "/x/" + "a" * 16600
OTHER = "/x/" + "b" * 16600

CASES: tuple[tuple[str, str, str, str], ...] = (
    ("", "FooBot", "/ /x/y", ""),
    ("user-agent: FooBot|disallow: /|", "FooBot", "", "/x/y"),
    ("foo: FooBot|bar: /|", "FooBot", "/x/y", ""),
    ("user-agent FooBot|disallow /|", "FooBot", "", "/x/y"),
    (GROUPS, "FooBot", "/x/b /z/d", "/y/c /foo/bar/"),
    (GROUPS, "BarBot", "/y/c /w/a", "/z/d /foo/bar/"),
    (GROUPS, "BazBot", "/z/d", "/foo/bar/"),
    ("USER-AGENT: FooBot|ALLOW: /x/|DISALLOW: /|", "FooBot", "/x/y", "/a/b"),
    ("user-agent: FooBot|allow: /x/|disallow: /|", "FooBot", "/x/y", "/a/b"),
    ("uSeR-aGeNt: FooBot|AlLoW: /x/|dIsAlLoW: /|", "FooBot", "/x/y", "/a/b"),
    ("User-Agent: FOO BAR|Allow: /x/|Disallow: /|", "Foo", "/x/y", "/a/b"),
    ("User-Agent: foo bar|Allow: /x/|Disallow: /|", "Foo", "/x/y", "/a/b"),
    ("User-Agent: FoO bAr|Allow: /x/|Disallow: /|", "Foo", "/x/y", "/a/b"),
    ("User-Agent: FOO BAR|Allow: /x/|Disallow: /|", "foo", "/x/y", "/a/b"),
    ("User-Agent: foo bar|Allow: /x/|Disallow: /|", "foo", "/x/y", "/a/b"),
    ("User-Agent: FoO bAr|Allow: /x/|Disallow: /|", "foo", "/x/y", "/a/b"),
    ("User-Agent: *|Disallow: /|User-Agent: Foo Bar|Allow: /x/|Disallow: /|", "Foo", "/x/y", ""),
    ("user-agent: *|allow: /|user-agent: FooBot|disallow: /|", "FooBot", "", "/x/y"),
    ("user-agent: *|allow: /|user-agent: FooBot|disallow: /|", "BarBot", "/x/y", ""),
    (
        "user-agent: FooBot|allow: /|user-agent: BarBot|disallow: /|user-agent: BazBot|disallow: /",
        "QuxBot", "/x/y", "",
    ),
    ("user-agent: FooBot|disallow: /x/|", "FooBot", "", "/x/y"),
    ("user-agent: FooBot|disallow: /X/|", "FooBot", "/x/y", ""),
    ("user-agent: FooBot|disallow: /x/page.html|allow: /x/|", "FooBot", "", "/x/page.html"),
    ("user-agent: FooBot|allow: /x/page.html|disallow: /x/|", "FooBot", "/x/page.html", "/x/"),
    ("user-agent: FooBot|disallow: |allow: |", "FooBot", "/x/page.html", ""),
    ("user-agent: FooBot|disallow: /|allow: /|", "FooBot", "/x/page.html", ""),
    ("user-agent: FooBot|disallow: /x|allow: /x/|", "FooBot", "/x/", "/x"),
    ("user-agent: FooBot|disallow: /x/page.html|allow: /x/page.html|", "FooBot", "/x/page.html", ""),
    ("user-agent: FooBot|allow: /page|disallow: /*.html|", "FooBot", "/page", "/page.html"),
    ("user-agent: FooBot|allow: /x/page.|disallow: /*.html|", "FooBot", "/x/page.html", "/x/y.html"),
    ("User-agent: *|Disallow: /x/|User-agent: FooBot|Disallow: /y/|", "FooBot", "/x/page", "/y/page"),
    (
        "User-agent: FooBot|Disallow: /|Allow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par|",
        "FooBot", "/foo/bar?qux=taz&baz=http://foo.bar?tar&par", "",
    ),
    ("User-agent: FooBot|Disallow: /|Allow: /foo/bar/ツ|", "FooBot", "/foo/bar/%E3%83%84", ""),
    ("User-agent: FooBot|Disallow: /|Allow: /foo/bar/%E3%83%84|", "FooBot", "/foo/bar/%E3%83%84", ""),
    ("User-agent: FooBot|Disallow: /|Allow: /foo/bar/%62%61%7A|", "FooBot", "/foo/bar/%62%61%7A", ""),
    (
        "User-agent: FooBot|Disallow: /foo/bar/quz|Allow: /foo/*/qux|", "FooBot",
        "/foo/quz /foo//quz /foo/bax/quz", "/foo/bar/quz",
    ),
    (
        "User-agent: FooBot|Disallow: /foo/bar$|Allow: /foo/bar/qux|", "FooBot",
        "/foo/bar/qux /foo/bar/ /foo/bar/baz", "/foo/bar",
    ),
    (
        "User-agent: FooBot|# Disallow: /|Disallow: /foo/quz#qux|Allow: /|", "FooBot", "/foo/bar",
        "/foo/quz",
    ),
    (
        "User-Agent: *|Allow: /allowed-slash/index.html|Disallow: /|", "foobot",
        "/allowed-slash/ /allowed-slash/index.html", "/allowed-slash/index.htm /anyother-url",
    ),
    (f"user-agent: FooBot|disallow: {LONG}/qux|", "FooBot", "/fux", ""),
    (
        f"user-agent: FooBot|disallow: /|allow: {LONG}/qux|allow: {OTHER}/qux|", "FooBot",
        f"{LONG}/qux", "/",
    ),
    ("user-agent: FooBot|disallow: /|allow: /fish|", "FooBot", FISH,
     "/bar /Fish.asp /catfish /?id=fish"),
    ("user-agent: FooBot|disallow: /|allow: /fish*|", "FooBot", FISH,
     "/bar /Fish.bar /catfish /?id=fish"),
    (
        "user-agent: FooBot|disallow: /|allow: /fish/|", "FooBot",
        "/fish/ /fish/salmon /fish/?salmon /fish/salmon.html /fish/?id=anything",
        "/bar /fish /fish.html /Fish/Salmon.html",
    ),
    (
        "user-agent: FooBot|disallow: /|allow: /*.php|", "FooBot",
        "/filename.php /folder/filename.php /folder/filename.php?parameters"
        " //folder/any.php.file.html /filename.php/ /index?f=filename.php/",
        "/bar /php/ /index?php /windows.PHP",
    ),
    (
        "user-agent: FooBot|disallow: /|allow: /*.php$|", "FooBot",
        "/filename.php /folder/filename.php",
        "/bar /filename.php?parameters /filename.php/ /filename.php5 /php/ /filename?php"
        " /aaaphpaaa //windows.PHP",
    ),
    (
        "user-agent: FooBot|disallow: /|allow: /fish*.php|", "FooBot",
        "/fish.php /fishheads/catfish.php?parameters", "/bar /Fish.PHP",
    ),
    ("user-agent: FooBot|allow: /p|disallow: /|", "FooBot", "/page", ""),
    ("user-agent: FooBot|allow: /folder|disallow: /folder|", "FooBot", "/folder/page", ""),
    ("user-agent: FooBot|allow: /page|disallow: /*.htm|", "FooBot", "", "/page.htm"),
    ("user-agent: FooBot|allow: /$|disallow: /|", "FooBot", "/", "/page.html"),
    # Line ends, and a byte order mark.
    ("User-Agent: foo\r|Allow: /some/path\r|User-Agent: bar\r|\r|\r|Disallow: /\r|", "bar", "", "/x"),
    ("User-Agent: foo|Allow: /some/path|User-Agent: bar|||Disallow: /", "bar", "", "/x"),
    ("\ufeffUser-Agent: foo|Allow: /AnyValue|Disallow: /|", "foo", "/AnyValue", "/x"),
)  # fmt: skip
