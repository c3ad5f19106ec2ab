"""Reports in a browser: nothing is asked for, nothing is complained of, nothing is cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reqkit_async.report import write_crawl_report

from .test_report import HOSTILE, crawl_figures, several

pytestmark = pytest.mark.interop

WIDTHS = (1200, 375)
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    stats = several()
    for number in range(40):
        url = f"http://h{number}.example/{HOSTILE}/{'x' * 300}"
        stats.record(None, "SSLError", url=url, message=HOSTILE)
        stats.record(200, latency=1000.0 + number, url=url)
    figures = crawl_figures()
    figures["broken"] = [{"url": HOSTILE, "status": 404, "error": HOSTILE, "found_on": "x" * 900}]
    figures["bounds"] = {"depth": {"times": 3, "example": "http://h.example/" + "y" * 500}}
    return {
        "stats": stats.report(folder / "stats.html"),
        "crawl": write_crawl_report(figures, folder / "crawl.html"),
    }


class Seen:
    """A page that was opened, and what came of it."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str, scripts: bool) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme,
            java_script_enabled=scripts,
        )  # fmt: skip
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri(), wait_until="load")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["stats", "crawl"])
def test_a_report_is_quiet_and_whole(
    browser: Any, pages: dict[str, Path], kind: str, width: int, scheme: str
) -> None:
    seen = Seen(browser, pages[kind], width, scheme, scripts=True)
    assert seen.complaints == []
    assert [url for url in seen.asked if not url.startswith("data:")] == [pages[kind].as_uri()]
    ask = seen.page.evaluate
    assert ask("document.documentElement.scrollWidth <= innerWidth")
    paper = ask("getComputedStyle(document.body).backgroundColor")
    ink = ask("getComputedStyle(document.body).color")
    assert brightness(paper) > 200 if scheme == "light" else brightness(paper) < 60
    assert abs(brightness(paper) - brightness(ink)) > 150
    # Pictures are as wide as there is room for, and their bars have the scheme's colours.
    for svg in seen.page.query_selector_all("figure svg"):
        box = svg.bounding_box()
        assert box is not None
        assert 300 < box["width"] <= width
    fill = ask(
        "getComputedStyle([...document.querySelectorAll('#over-time ~ figure path')]"
        ".find(each => each.getAttribute('style')?.includes('--good'))).fill"
    )
    assert fill == {"light": "rgb(47, 143, 91)", "dark": "rgb(76, 184, 127)"}[scheme]
    # Text in a picture can be read: no smaller than 8 pixels on a phone.
    least = ask(
        "Math.min(...[...document.querySelectorAll('figure svg text')]"
        ".map(each => each.getBoundingClientRect().height))"
    )
    assert least >= 8


def brightness(colour: str) -> float:
    numbers = colour[colour.index("(") + 1 : -1].split(",")
    return sum(map(float, numbers[:3])) / 3


@pytest.mark.parametrize("kind", ["stats", "crawl"])
def test_without_scripts_all_can_be_read(browser: Any, pages: dict[str, Path], kind: str) -> None:
    seen = Seen(browser, pages[kind], 1200, "light", scripts=False)
    assert seen.page.get_by_text("Latency", exact=True).is_visible()
    table = seen.page.locator("details:has(summary:text-is('As a table'))").first
    assert not table.locator("table").is_visible()
    table.locator("summary").click()
    assert table.locator("table").is_visible()


def test_what_others_say_is_shown_as_it_is(browser: Any, pages: dict[str, Path]) -> None:
    seen = Seen(browser, pages["stats"], 1200, "light", scripts=True)
    shown = seen.page.locator(".message").filter(has_text="<script>alert(1)</script>")
    assert shown.first.inner_text() == HOSTILE
    assert seen.complaints == []
