"""A picture of the results: one panel of bars for each case, as SVG."""

from __future__ import annotations

from html import escape

from .peers import PEERS, REQKIT
from .results import CaseResults, Results
from .table import number

__all__ = ["draw"]

_WIDTH, _BAR, _GAP, _TITLE, _MARGIN = 760, 18, 6, 34, 16
_LABELS, _FIGURES = 190, 130

_STYLE = """
text { font: 12px sans-serif; fill: #222 }
.title { font-weight: bold }
.unit { fill: #666 }
rect.peer { fill: #9db4c8 }
rect.bare { fill: #d5d5d5 }
rect.reqkit { fill: #d1603d }
.ground { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .unit { fill: #999 } .ground { fill: #161616 }
}
"""


def draw(results: Results) -> str:
    """Return an SVG document; bars start at 0, and each panel has a scale of its own."""
    panels: list[str] = []
    top = _MARGIN
    for name, case in results.cases.items():
        if any(case.median(peer) is not None for peer in case.runs):
            lines, height = _panel(name, case, top)
            panels += lines
            top += height
    panels += [_text(_MARGIN, top + 12, line, "unit") for line in _footer(results)[:1]]
    panels += [_text(_MARGIN, top + 28, line, "unit") for line in _footer(results)[1:]]
    top += 40
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}"'
            f' width="{_WIDTH}" height="{top}" role="img">',
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" width="{_WIDTH}" height="{top}"/>',
            *panels,
            "</svg>",
            "",
        ]
    )


def _panel(name: str, case: CaseResults, top: int) -> tuple[list[str], int]:
    found = [(peer, case.median(peer)) for peer in case.runs]
    medians = [(peer, median) for peer, median in found if median is not None]
    medians.sort(key=lambda pair: pair[1], reverse=case.unit.more_is_better)
    most = max(median for _, median in medians)
    room = _WIDTH - 2 * _MARGIN - _LABELS - _FIGURES
    better = "more" if case.unit.more_is_better else "less"
    lines = [
        _text(_MARGIN, top + 14, f"{name}: {case.title}", "title"),
        _text(_MARGIN, top + 29, f"{case.unit.value}; {better} is better", "unit"),
    ]
    y = top + _TITLE
    for peer, median in medians:
        width = max(room * max(median, 0) / max(most, 1e-9), 1)
        kind = peer if peer in (REQKIT, "bare") else "peer"
        x = _MARGIN + _LABELS
        lines.append(_text(x - 8, y + 13, PEERS[peer].title, anchor="end"))
        lines.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        )
        lines.append(_text(x + width + 6, y + 13, number(median)))
        y += _BAR + _GAP
    return lines, y - top + 14


def _footer(results: Results) -> list[str]:
    machine = results.machine
    versions = " · ".join(f"{name} {version}" for name, version in results.versions.items())
    return [
        f"{machine['processor']}, {machine['cores']}; Python {machine['python']};"
        f" medians of {results.rounds} rounds",
        versions,
    ]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        + (f' class="{kind}"' if kind else "")
        + f">{escape(text)}</text>"
    )
