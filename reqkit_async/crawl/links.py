"""Pages as trees: their links, and what they say to crawlers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import gevent

from reqkit.base.importing import import_late

from .canonical import Base, Joiner
from .pausing import let_others_run, with_pauses

__all__ = ["Document", "html_parser", "is_html", "robots_tags"]

_HTML: Final = ("text/html", "application/xhtml+xml")
_words = re.compile(r"[a-z][a-z_-]*").findall
#: Attributes that lead somewhere, in the order in which they are looked for.
_LEADING: Final = ("href", "src", "action", "data-href")
#: Bytes of a page that takes so long to parse (some 5 ms) that others should run meanwhile.
_LARGE: Final = 256 * 1024
#: Links of a page that are looked at before others run: a page may have very many.
_AT_ONCE: Final = 1000


def is_html(response: Any) -> bool:
    """Tell whether an answer is a page, by its Content-Type; one without any may be."""
    given = response.headers.get("Content-Type")
    if not given:
        return bool(response.content[:1024].lstrip()[:1] == b"<")
    return given.partition(";")[0].strip().lower() in _HTML


def robots_tags(value: str | None, agent: str) -> set[str]:
    """Return what an X-Robots-Tag field says to a crawler: ``noindex``, ``nofollow``, ``none``.

    A part that begins with another crawler's name is passed over.
    """
    if not value:
        return set()
    directives: set[str] = set()
    counts = True
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview",
                                          "max-video-preview"):  # fmt: skip
            counts = name.strip() == agent.lower()
            part = rest
        if counts:
            directives.update(_words(part))
    return directives


class Document:
    """One answer, parsed once, when it is asked for.

    Args:
        response: the answer.
        url: where it came from.
        agent: the crawler's name.

    Attributes:
        html: whether it is a page.
    """

    def __init__(self, response: Any, url: str, agent: str) -> None:
        self._response = response
        self._url = url
        self._agent = agent
        self._tree: Any = None
        self._tags: set[str] | None = None
        answered = response is not None and getattr(response, "error", None) is None
        self.html: bool = bool(answered and is_html(response))

    @property
    def tree(self) -> Any:
        """The parsed page, a `LexborHTMLParser`. May switch greenlets, where it is large."""
        if self._tree is None:
            text = _text_of(self._response) if self.html else ""
            parse = html_parser()
            if len(text) < _LARGE:
                self._tree = parse(text)
            else:  # in another thread, which lets go of the interpreter's lock; others run
                self._tree = gevent.get_hub().threadpool.apply(parse, (text,))
        return self._tree

    @property
    def tags(self) -> set[str]:
        """What the page says to crawlers, in its head and in its fields, in lower case."""
        if self._tags is None:
            response = self._response
            tags = set()
            if response is not None and response.status_code is not None:
                tags = robots_tags(response.headers.get("X-Robots-Tag"), self._agent)
            names = ("robots", self._agent.lower())
            head = response.content[:65536].lower() if self.html else b""
            if b"<meta" in head and any(name.encode() in head for name in names):
                for node in self.tree.css("meta[name][content]"):
                    attributes = node.attributes
                    if (attributes.get("name") or "").strip().lower() in names:
                        tags.update(_words((attributes.get("content") or "").lower()))
            if "none" in tags:
                tags |= {"noindex", "nofollow"}
            self._tags = tags
        return self._tags

    @property
    def base(self) -> Base:
        """What its links are relative to: its URL, or what ``<base>`` says."""
        if b"<base" in self._response.content[:65536].lower():
            for node in self.tree.css("base[href]"):
                found = Joiner().join(Base(self._url), node.attributes.get("href") or "")
                if found is not None:
                    return Base(found)
                break
        return Base(self._url)

    def links(self, joiner: Joiner, css: str, nofollow: bool) -> Iterator[str]:
        """Yield what the page's links mean, each once, in canonical form.

        Args:
            joiner: joins them.
            css: selects the elements.
            nofollow: leave out what the page, its fields or the link itself say is not to be
                followed.
        """
        if not self.html or (nofollow and "nofollow" in self.tags):
            return
        base = self.base
        seen: set[str] = set()
        found: set[str] = set()
        join = joiner.join
        content = self._response.content
        careful = nofollow and b"nofollow" in content.lower()
        tree = self.tree
        if len(content) >= _LARGE:
            let_others_run()
        try:
            nodes = tree.css(css)
        except Exception as error:  # the parser has no class for that
            raise ValueError(f"css is {css!r}, which is no selector: {error}") from error
        if len(nodes) >= _AT_ONCE:
            let_others_run()
        for node in with_pauses(nodes, _AT_ONCE):
            attributes = node.attributes
            link = attributes.get("href")
            if link is None:
                link = next((attributes[name] for name in _LEADING if attributes.get(name)), None)
            if link is None or link in seen:
                continue
            if careful and "nofollow" in (attributes.get("rel") or "").lower().split():
                continue
            seen.add(link)
            url = join(base, link)
            if url is not None and url not in found:
                found.add(url)
                yield url


def _text_of(response: Any) -> Any:
    """Return a page as its parser takes it: UTF-8 as it is, else decoded."""
    content: bytes = response.content
    given = (response.headers.get("Content-Type") or "").lower()
    if "charset" in given:
        if "utf-8" in given or "utf8" in given:
            return content
    elif content.isascii():
        return content
    return response.text


def html_parser() -> Any:
    """Return what makes trees of pages.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_late("selectolax.lexbor").LexborHTMLParser
    except ImportError as error:
        raise ImportError("reading links needs selectolax: pip install 'reqkit[crawl]'") from error
