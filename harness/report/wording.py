"""Verdicts and experiments in sentences, and numbers and names in plain notation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from harness.scoring.row import ScoreRow
from harness.scoring.statistics import TOLERANCE
from harness.store import CellRecord, ExperimentResults

NBSP = "\u00a0"

ROUNDING = 1e-12
"""Largest error, relative to the value, that counts as rounding."""

LONGEST_LIST = 20
"""Most values of a list that are shown; the suite in the page's provenance has them all."""

VERDICT_MARKS = {"agrees": "✓", "disagrees": "✗", "undecided": "?"}


def verdict_sentences(row: ScoreRow) -> list[str]:
    """Return the reason for a theory's verdict, and the networks' approach to the theory."""
    gap, interval = row.limit_gap, row.limit_gap_ci
    tolerance = percent(TOLERANCE)
    if interval is None:
        lone = len(row.widths) == 1
        few = "a single width gives" if lone else "widths with a single network each give"
        more = ["widths"] * lone + ["seeds"] * (row.seeds == 1 or not lone)
        why = (
            f"The gap at infinite width is {percent(gap)}, but {few} no interval: run more"
            f" {joined(more)} for a verdict."
        )
    else:
        span = f"{percent(interval[0])} to {percent(interval[1])}"
        measured = (
            f"at infinite width, the gap between networks and theory is {percent(gap)}"
            f" (95{NBSP}% interval {span})"
            if gap > 0
            else f"at infinite width, no gap can be told from zero (95{NBSP}% interval {span})"
        )
        ending = {
            "agrees": f"within the tolerance of {tolerance}.",
            "disagrees": f"beyond the tolerance of {tolerance}.",
            "undecided": f"on both sides of the tolerance of {tolerance}.",
        }
        why = f"{measured[0].upper()}{measured[1:]}, {ending[row.verdict]}"
    said = [why]
    if row.verdict == "undecided" and interval is not None:
        advice = row.advice or "More seeds or wider networks would decide"
        said.append(f"{advice[0].upper()}{advice[1:].rstrip('.')}.")
    if dropped := row.dropped_widths:
        which = f"{plural('width', len(dropped))} {joined(dropped)}"
        said.append(f"Left out of the limit, as too narrow for its expansion in 1/N: {which}.")
    return said + _approach(row)


def gap_in_words(row: ScoreRow) -> str:
    """Return a theory's gap at infinite width, with its interval and verdict, for a label."""
    found = f"{percent(row.limit_gap)}{interval_in_words(row.limit_gap_ci)}"
    return f"{row.theory}, gap at infinite width: {found}, {row.verdict}"


def interval_in_words(interval: tuple[float, float] | None) -> str:
    """Return a 95 % interval in brackets that follow a number; empty if there is none."""
    if interval is None:
        return ""
    return f" (95{NBSP}% interval {percent(interval[0])} to {percent(interval[1])})"


def experiment_in_words(experiment: ExperimentResults) -> str:
    """Return a description of an experiment."""
    if not experiment.records:
        return "" if experiment.failure else "None of its cells is in the results folder."
    facts = experiment.records[0].facts
    networks = [n for r in experiment.records if (n := r.facts.solver.network)]
    widths = sorted({n.width for n in networks})
    seeds = {n.seed for n in networks}
    theories = [r.facts.solver.name for r in experiment.records if r.facts.solver.width is None]
    text = (
        f"{len(networks) or 'No'} {plural('network', len(networks))} of architecture"
        f" {facts.architecture.name}"
        f"{_brackets(facts.architecture.parameters)} on task {facts.task.name}"
        f"{_brackets(facts.task.parameters)}, trained by regime {facts.regime.name}"
        f"{_brackets(facts.regime.parameters)}."
    )
    if networks:
        text += (
            f" {plural('Width', len(widths))} {joined(widths)},"
            f" {len(seeds)} {plural('seed', len(seeds))} each."
        )
    if theories:
        text += f" {'Theory' if len(theories) == 1 else 'Theories'}: {joined(theories)}."
    return text


def seeds_of(records: Iterable[CellRecord]) -> str:
    """Return the seeds of networks, with runs as ranges."""
    return seed_runs(n.seed for r in records if (n := r.facts.solver.network))


def seed_runs(given: Iterable[int]) -> str:
    """Return seeds in words, with runs as ranges."""
    seeds = sorted(set(given))
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    spans = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    return f"{plural('seed', len(seeds))} {joined(spans)}"


def joined(items: Iterable[Any]) -> str:
    """Return items as a list in a sentence."""
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def value_in_words(value: Any) -> str:
    """Return a parameter's value in plain notation."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and value:
        shown = [value_in_words(item) for item in value[:LONGEST_LIST]]
        return ", ".join(shown) + (f", ... ({len(value)} values)" if value[LONGEST_LIST:] else "")
    return "none" if value is None or value == [] else str(value)


def decimal(value: float) -> str:
    """Return a number with two decimals, and zero without a sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def duration(seconds: float) -> str:
    """Return a time with two significant digits, in the unit that suits it."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g}{NBSP}{unit}"
    return f"{seconds:.2g}{NBSP}s"


def number_in_words(value: float, error: float) -> tuple[str, float | None]:
    """Return a number as text, with two digits of its error if it has one, and as a sort key."""
    if not math.isfinite(value):
        return "–", None
    text = f"{value:.4g}"
    if math.isfinite(error) and error > ROUNDING * abs(value):
        digits = 1 - math.floor(math.log10(error))
        if digits <= 6:
            places = max(digits, 0)
            text = f"{value:.{places}f}{NBSP}±{NBSP}{error:.{places}f}"
        else:
            text = f"{value:.6g}{NBSP}±{NBSP}{error:.1e}"
    return text.replace("-", "\u2212"), float(value)


def percent(share: float) -> str:
    """Return a share in percent, with only the digits that matter to a reader."""
    value = 100 * share
    if value == 0 or value >= 0.01:
        digits = 0 if value >= 100 or value == 0 else 1 if value >= 10 else 2
        text = f"{value:.{digits}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) + NBSP + "%"
    return f"below 0.01{NBSP}%"


def _approach(row: ScoreRow) -> list[str]:
    """Return sentences on the decay of a single network's distance with width."""
    widest = row.widths[-1]
    at = row.width_at_5_percent
    text = f"A single network of width {widest} is {percent(row.discrepancy[widest])} away"
    if row.exponent is not None:
        text += f"; over these widths the distance falls with exponent {decimal(row.exponent)}"
        if row.exponent_ci:
            low, high = row.exponent_ci
            text += f" ({decimal(low)} to {decimal(high)}; a correct theory has 0.5)"
    reach = reaches_tolerance(row)
    if reach == "at a width":
        marked = " (extrapolated)" if row.width_at_5_percent_kind == "extrapolated" else ""
        return [f"{text}. It reaches {percent(TOLERANCE)} at a width of about {at:,.0f}{marked}."]
    if len(row.widths) > 1:
        text += {
            "everywhere": f". It is within {percent(TOLERANCE)} at every width",
            "never": f". As the gap remains, it never reaches {percent(TOLERANCE)}",
            "unknown": f". At which width it reaches {percent(TOLERANCE)} is not known",
        }[reach]
    return [f"{text}."]


def reaches_tolerance(row: ScoreRow) -> Literal["at a width", "everywhere", "never", "unknown"]:
    """Return whether a single network comes within the tolerance of a theory.

    The answer is "never" only where the gap is shown to exceed the tolerance.
    """
    refuted = row.verdict == "disagrees"
    at = row.width_at_5_percent
    if at is not None and not (refuted and row.width_at_5_percent_kind == "extrapolated"):
        return "at a width"
    if refuted:
        return "never"
    within = all(distance <= TOLERANCE for distance in row.discrepancy.values())
    return "everywhere" if within else "unknown"


def width_at_tolerance(row: ScoreRow) -> str:
    """Return the width at which a single network comes within the tolerance, for a table."""
    reach = reaches_tolerance(row)
    if reach == "at a width":
        return f"{row.width_at_5_percent:,.0f}"
    return "any" if reach == "everywhere" else reach


def _brackets(parameters: Mapping[str, Any]) -> str:
    """Return the parameters that are neither unset, empty nor zero, in brackets."""
    said = [
        f"{name.replace('_', ' ')} {value_in_words(value)}"
        for name, value in parameters.items()
        if value is not None and value is not False and value not in (0.0, "auto", [])
    ]
    return f" ({'; '.join(said)})" if said else ""


def plural(word: str, count: int) -> str:
    """Return a word for a count: with an s unless the count is one."""
    return word if count == 1 else f"{word}s"
