"""Pictures as SVG that stands in a page: its colours are the page's, light or dark.

matplotlib draws; what it writes is made fit to stand beside others in one page. No display, no
global state: nothing of a program's own pictures changes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from .formatting import count_text, seconds_text

__all__ = ["bars", "histogram", "timeline"]

#: What stands for the page's colours while matplotlib draws.
_COLOURS: Final = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "good": "#010206",
    "bad": "#010207",
    "accent": "#010208",
    "warn": "#010209",
}
#: Seconds between two moments that are named.
_STEPS: Final = tuple(
    unit * times
    for unit, several in ((0.1, (1, 2, 5)), (1, (1, 2, 5, 10, 15, 30)), (60, (1, 2, 5, 10, 15, 30)),
                          (3600, (1, 2, 3, 6, 12)))
    for times in several
)  # fmt: skip
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _COLOURS["line"],
    "axes.labelcolor": _COLOURS["muted"],
    "axes.axisbelow": True,
    "text.color": _COLOURS["ink"],
    "xtick.color": _COLOURS["line"],
    "ytick.color": _COLOURS["line"],
    "xtick.labelcolor": _COLOURS["muted"],
    "ytick.labelcolor": _COLOURS["muted"],
    "grid.color": _COLOURS["line"],
    "grid.linewidth": 0.6,
    "path.simplify": True,
}


def timeline(spans: Sequence[tuple[float, float, float]], width: float, name: str) -> str:
    """Draw requests a second over time, those that failed in a colour of their own.

    Args:
        spans: begin (seconds from the first on), good and failed requests a second.
        width: of a span, in seconds.
        name: tells its ids from those of other pictures in the page.
    """
    with rc_context(_SETTINGS):
        figure, axes = _figure(2.2)
        begins = [span[0] for span in spans]
        good = [span[1] for span in spans]
        axes.bar(begins, good, width, align="edge", color=_COLOURS["good"], linewidth=0)
        if any(span[2] for span in spans):
            axes.bar(
                begins, [span[2] for span in spans], width, bottom=good, align="edge",
                color=_COLOURS["bad"], linewidth=0,
            )  # fmt: skip
        axes.set_xlim(0, max(begins[-1] + width, width))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds_text(value)))
        axes.xaxis.set_major_locator(FixedLocator(_times(begins[-1] + width)))
        _count_axis(axes)
        axes.set_ylabel("a second")
        return _svg(figure, name)


def histogram(
    classes: Sequence[tuple[float, float, int]], marks: Sequence[tuple[str, float]], name: str
) -> str:
    """Draw how many took how long, on a logarithmic axis.

    Args:
        classes: from and to (seconds), and how many.
        marks: names and seconds of lines to draw, such as percentiles.
        name: as for `timeline`.
    """
    with rc_context(_SETTINGS):
        figure, axes = _figure(2.4)
        axes.bar(
            [low for low, _, _ in classes],
            [count for _, _, count in classes],
            [(high - low) * 0.94 for low, high, _ in classes],
            align="edge", color=_COLOURS["accent"], linewidth=0,
        )  # fmt: skip
        axes.set_xscale("log")
        low, high = classes[0][0], classes[-1][1]
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(_ticks(low, high))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds_text(value)))
        _count_axis(axes)
        most = max(count for _, _, count in classes)
        axes.set_ylim(0, most * 1.42)
        shown = sorted((seconds, mark) for mark, seconds in marks if low <= seconds <= high)
        # Each name is beside its line's top, on the side where no other line is as high.
        early = bool(shown) and math.log(shown[0][0] / low) < 0.3 * math.log(high / low)
        for place, (seconds, mark) in enumerate(reversed(shown) if early else shown):
            top = most * (1.14 + 0.12 * place)
            axes.vlines(
                seconds, 0, top, color=_COLOURS["ink"], linewidth=0.9, linestyle=(0, (3, 2))
            )
            axes.text(
                seconds, top, f" {mark}" if early else f"{mark} ",
                va="top", ha="left" if early else "right", fontsize=8.5,
            )  # fmt: skip
        axes.set_ylabel("requests")
        return _svg(figure, name)


def bars(entries: Sequence[tuple[str, int, str]], name: str) -> str:
    """Draw how many there were of each, one below the other.

    Args:
        entries: what, how many, and the colour's name.
        name: as for `timeline`.
    """
    with rc_context(_SETTINGS):
        figure, axes = _figure(0.4 + 0.28 * len(entries))
        places = range(len(entries))
        axes.barh(
            places, [count for _, count, _ in entries],
            color=[_COLOURS[colour] for _, _, colour in entries], height=0.66, linewidth=0,
        )  # fmt: skip
        axes.set_yticks(places, [_fit(what) for what, _, _ in entries])
        axes.invert_yaxis()
        most = max(count for _, count, _ in entries)
        axes.set_xlim(0, most * 1.14)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        for place, (_, count, _) in zip(places, entries, strict=True):
            axes.text(count + most * 0.01, place, count_text(count), va="center", fontsize=10)
        axes.tick_params(axis="y", length=0, labelcolor=_COLOURS["ink"])
        return _svg(figure, name)


def _figure(height: float) -> tuple[Figure, Any]:
    # Narrow, so that its text can be read on a phone.
    figure = Figure(figsize=(5.8, height), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    return figure, axes


def _count_axis(axes: Any) -> None:
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count_text(value)))
    axes.tick_params(axis="y", length=0)


def _times(length: float) -> list[float]:
    """Return moments to name on an axis of time: so many that they have room."""
    for step in _STEPS:
        if length / step <= 6:
            break
    else:
        step = 86400.0 * math.ceil(length / 86400 / 6)
    return [number * step for number in range(int(length / step) + 1)]


def _ticks(low: float, high: float) -> Any:
    found = []
    for power in range(-7, 8):
        for step in (1, 2, 5):
            value = step * 10.0**power
            if low <= value <= high:
                found.append(value)
    while len(found) > 7:
        found = found[::2]
    return FixedLocator(found)


def _fit(text: str) -> str:
    # A dollar sign begins mathematics in matplotlib.
    text = text if len(text) <= 32 else text[:31] + "…"
    return text.replace("\\", "\\\\").replace("$", r"\$")


def _svg(figure: Figure, name: str) -> str:
    out = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata=metadata, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    # Ids are the whole page's.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for colour, value in _COLOURS.items():
        text = text.replace(value, f"var(--{colour})")
    # As wide as there is room for, and hidden from who is read to: a text says the same.
    head = re.sub(r' (width|height|xmlns:xlink|version)="[^"]*"', "", text[: text.index(">")])
    text = f'{head} aria-hidden="true" focusable="false"{text[text.index(">") :]}'
    text = text.replace("xlink:href", "href")
    return re.sub(r"\n\s*", "\n", text).strip()
