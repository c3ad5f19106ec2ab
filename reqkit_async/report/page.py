"""From figures to a page: what stands where, and the text that says what each picture shows."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from reqkit.status_codes import reason_phrase

from . import pictures
from .formatting import bytes_text, count_text, moment_text, percent_text, seconds_text

__all__ = ["crawl_page", "stats_page"]

_LATENCIES = ("p50", "p90", "p99")


def stats_page(figures: Mapping[str, Any]) -> str:
    """Return the page of a batch.

    Args:
        figures: as `Stats.as_dict` gives them, or as JSON has kept them.
    """
    return _render("stats.html", title="Requests", **_of_requests(figures))


def crawl_page(figures: Mapping[str, Any]) -> str:
    """Return the page of a crawl.

    Args:
        figures: as `Crawl.figures` gives them.
    """
    return _render(
        "crawl.html",
        title="Crawl",
        crawl=figures,
        states=_states(figures.get("states") or {}),
        depths=_depths(figures.get("depths") or {}),
        **_of_requests(figures["pages"]),
    )


def _render(template: str, **context: Any) -> str:
    text: str = _environment().get_template(template).render(**context)
    return text


@functools.lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        count=count_text, seconds=seconds_text, size=bytes_text, moment=moment_text
    )
    environment.globals.update(percent=percent_text)
    return environment


# -- requests ---------------------------------------------------------------------------------


def _of_requests(figures: Mapping[str, Any]) -> dict[str, Any]:
    statuses = {int(status): times for status, times in figures["statuses"].items()}
    return {
        "stats": figures,
        "good": figures["requests"] - figures["failed"],
        "statuses": _statuses(statuses, figures["requests"]),
        "errors": _errors(figures, statuses),
        "timeline": _timeline(figures["timeline"]),
        "latency": _latency(figures["latency"]),
    }


def _statuses(statuses: Mapping[int, int], requests: int) -> dict[str, Any] | None:
    if not statuses:
        return None
    rows = [
        {"status": status, "reason": reason_phrase(status) or "", "times": times}
        for status, times in sorted(statuses.items())
    ]
    # A hostile server may say any status: the picture has the most frequent ones.
    shown = sorted(sorted(statuses.items(), key=lambda entry: -entry[1])[:12])
    drawn = [
        (f"{status} {reason_phrase(status) or ''}".strip(), times, _colour(status))
        for status, times in shown
    ]
    return {"rows": rows, "picture": Markup(pictures.bars(drawn, "statuses"))}


def _colour(status: int) -> str:
    return (
        "good" if status < 300 else "accent" if status < 400 else "warn" if status < 500 else "bad"
    )


def _errors(figures: Mapping[str, Any], statuses: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return what failed by kind, the most frequent first, with examples."""
    kinds = dict(figures["errors"])
    for status, times in statuses.items():
        if status >= 400 and str(status) in figures["examples"]:
            kinds[str(status)] = times
    return [
        {
            "kind": kind,
            "reason": (reason_phrase(int(kind)) or "") if kind.isdecimal() else "",
            "times": times,
            "examples": figures["examples"].get(kind, []),
        }
        for kind, times in sorted(kinds.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def _timeline(line: Mapping[str, Any]) -> dict[str, Any] | None:
    ended, failed, width = list(line["ended"]), list(line["failed"]), float(line["width"])
    if not ended:
        return None
    while len(ended) > 128:
        ended, failed, width = _pairs(ended), _pairs(failed), 2 * width
    spans = [
        (width * number, (all_ - bad) / width, bad / width)
        for number, (all_, bad) in enumerate(zip(ended, failed, strict=True))
    ]
    most = max(range(len(ended)), key=ended.__getitem__)
    rows = list(zip(ended, failed, strict=True))
    at = 1
    while -(-len(rows) // at) > 20:
        at *= 2
    table = [
        {
            "from": line["from"] + width * number,
            "ended": sum(row[0] for row in rows[number : number + at]),
            "failed": sum(row[1] for row in rows[number : number + at]),
        }
        for number in range(0, len(rows), at)
    ]
    return {
        "picture": Markup(pictures.timeline(spans, width, "timeline")),
        "from": line["from"],
        "to": line["from"] + width * len(ended),
        "most": ended[most] / width,
        "most_at": line["from"] + width * most,
        "rows": table,
    }


def _pairs(values: Sequence[int]) -> list[int]:
    return [sum(values[number : number + 2]) for number in range(0, len(values), 2)]


def _latency(latency: Mapping[str, Any]) -> dict[str, Any] | None:
    classes = [(low, high, count) for low, high, count in latency["histogram"]]
    if not classes:
        return None
    marks = [(f"{name} {seconds_text(latency[name])}", latency[name]) for name in _LATENCIES]
    rows = [{"low": low, "high": high, "times": count} for low, high, count in classes if count]
    return {"picture": Markup(pictures.histogram(classes, marks, "latency")), "rows": rows}


# -- crawls -----------------------------------------------------------------------------------

_STATE_COLOURS = {
    "done": "good", "queued": "accent", "in flight": "accent", "failed": "bad", "refused": "warn",
}  # fmt: skip


def _states(states: Mapping[str, int]) -> dict[str, Any] | None:
    drawn = [
        (state, times, _STATE_COLOURS.get(state, "muted"))
        for state, times in sorted(states.items(), key=lambda entry: -entry[1])
    ]
    if not drawn:
        return None
    return {"rows": drawn, "picture": Markup(pictures.bars(drawn, "states"))}


def _depths(depths: Mapping[Any, int]) -> dict[str, Any] | None:
    ordered = sorted((int(depth), times) for depth, times in depths.items())
    if not ordered:
        return None
    rows = [(str(depth), times, "accent") for depth, times in ordered[:16]]
    deeper = sum(times for _, times in ordered[16:])
    if deeper:
        rows.append(("deeper", deeper, "accent"))
    return {"rows": rows, "picture": Markup(pictures.bars(rows, "depths"))}
