"""How figures show themselves in a notebook: a small table, without pictures or scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .formatting import bytes_text, count_text, seconds_text

__all__ = ["crawl_html", "rows_html", "stats_html", "stats_rows"]


def stats_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and texts of a batch's figures.

    Args:
        figures: as `Stats.as_dict` gives them.
    """
    latency = figures["latency"]
    return [
        ("requests", f"{count_text(figures['requests'])} ({count_text(figures['failed'])} failed)"),
        ("statuses", _counts(figures["statuses"])),
        ("errors", _counts(figures["errors"])),
        ("bodies", bytes_text(figures["bytes"])),
        ("time", f"{seconds_text(figures['seconds'])}, {figures['rate']:,.1f} a second"),
        (
            "latency",
            ", ".join(
                f"{name} {seconds_text(latency[name])}" for name in ("p50", "p90", "p99", "max")
            ),
        ),
        ("connections", count_text(figures["connections"])),
        ("retries", count_text(figures["retries"])),
        ("hook errors", count_text(figures["hook_errors"])),
    ]


def stats_html(figures: Mapping[str, Any], title: str = "Stats") -> str:
    """Return a table of a batch's figures."""
    return rows_html(title, stats_rows(figures))


def crawl_html(title: str, figures: Mapping[str, Any]) -> str:
    """Return a table of a crawl's figures, as `CrawlStats.as_dict` gives them."""
    rows = [
        (name.replace("_", " "), count_text(figures[name]))
        for name in ("known", "done", "queued", "in_flight", "failed", "refused", "items")
    ]
    rows.append(("bodies", bytes_text(figures["bytes"])))
    rows.append(("rate", f"{figures['rate']:,.1f} pages a second"))
    held = figures["held"]
    if held:
        hosts = ", ".join(f"{host} ({seconds_text(held[host])})" for host in list(held)[:5])
        rows.append(("held back", hosts + (", ..." if len(held) > 5 else "")))
    return rows_html(title, rows)


def rows_html(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return a table; all that is given is text."""
    lines = [
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in rows
    ]
    caption = f"<caption style='text-align:left;font-weight:bold'>{escape(title)}</caption>"
    return f"<table>{caption}<tbody>{''.join(lines)}</tbody></table>"


def _counts(counts: Mapping[Any, int]) -> str:
    if not counts:
        return "none"
    most = sorted(counts.items(), key=lambda entry: (-entry[1], str(entry[0])))
    text = ", ".join(f"{name}: {count_text(times)}" for name, times in most[:10])
    return text + (f", and {len(most) - 10} more" if len(most) > 10 else "")
