"""The tables that are printed."""

from __future__ import annotations

from .peers import PEERS, REQKIT
from .results import CaseResults, Results, Unit
from .targets import verdicts

__all__ = ["render"]


def render(results: Results) -> str:
    """Return everything there is to say about the results, in lines of plain text."""
    parts = [_heading(results)]
    parts += [_case(name, case) for name, case in results.cases.items()]
    parts.append(_targets(results))
    if results.missing:
        parts.append("\n".join(["Left out", *(f"  {line}" for line in results.missing)]))
    return "\n\n".join(part for part in parts if part)


def _heading(results: Results) -> str:
    lines = [f"{name:10} {value}" for name, value in results.machine.items()]
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    return "\n".join([*lines, f"{'versions':10} {versions}", f"{'rounds':10} {results.rounds}"])


def _case(name: str, case: CaseResults) -> str:
    processor = case.unit in (Unit.RATE, Unit.MEGABYTES)
    modules = case.unit is Unit.MILLISECONDS
    rates = case.unit is Unit.PROCESSOR
    rows = [
        [
            "",
            case.unit.value,
            "CPU µs each" if processor else "modules" if modules else "requests/s" if rates else "",
            "reqkit is so many times as good",
            "in the rounds",
        ]
    ]
    for peer in case.runs:
        median, cpu, ratios = case.median(peer), case.cpu(peer), case.ratios(peer)
        row = [PEERS[peer].title]
        if median is None:
            rows.append([*row, "failed", "", "", ""])
            continue
        row.append(number(median))
        if rates:
            row.append(number(case.rate(peer) or 0))
        else:
            row.append(
                number(cpu or 0) if processor else str(case.modules(peer)) if modules else ""
            )
        if peer == REQKIT or not ratios:
            row += ["", ""]
        else:
            row.append(f"{_middle(ratios):.2f}")
            row.append(f"{min(ratios):.2f} to {max(ratios):.2f}")
        rows.append(row)
    failed = [f"  {PEERS[peer].title} failed: {why[:160]}" for peer, why in case.failures.items()]
    return "\n".join([f"{name}: {case.title}", *_columns(rows), *failed])


def _targets(results: Results) -> str:
    found = verdicts(results)
    if not found:
        return ""
    rows = [["", "against", "wanted", "measured", ""]]
    for verdict in found:
        measured = "nothing" if verdict.measured is None else number(verdict.measured)
        result = "reached" if verdict.reached else "NOT REACHED"
        rows.append([verdict.case, verdict.against, verdict.wanted, measured, result])
    reached = sum(verdict.reached for verdict in found)
    lines = [f"Targets (medians of the ratios in each round): {reached} of {len(found)} reached"]
    return "\n".join([*lines, *_columns(rows, left=(0, 1, 4))])


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _middle(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _columns(rows: list[list[str]], left: tuple[int, ...] = (0,)) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  "
        + "   ".join(
            f"{cell:<{widths[at]}}" if at in left else f"{cell:>{widths[at]}}"
            for at, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]
