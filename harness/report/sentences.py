"""What a report says in words: headlines, verdicts, what was run, and what is missing."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.scoring import PRIMARY
from harness.scoring.row import ScoreRow
from harness.scoring.statistics import TOLERANCE
from harness.store import CellRecord, ExperimentResults

NBSP = "\u00a0"


@dataclass(frozen=True)
class Tally:
    """How a theory fared over the experiments that name it.

    Attributes:
        theory: its name.
        agrees, undecided, disagrees: number of experiments with that verdict.
        open: experiments without a verdict: the theory failed, or networks are missing.
        excluded: experiments to which the theory does not apply.
        mean_rank: among the theories of an experiment.
        median_gap: of its limits.
        seconds: the median that the theory takes.
        network_seconds: the median that networks train to come as near to the limit as it does.
    """

    theory: str
    agrees: int
    undecided: int
    disagrees: int
    open: int
    excluded: int
    mean_rank: float | None
    median_gap: float | None
    seconds: float | None
    network_seconds: float | None

    @property
    def total(self) -> int:
        """Number of experiments in which an answer is expected."""
        return self.agrees + self.undecided + self.disagrees + self.open

    @property
    def rest(self) -> str:
        """What became of the experiments on which it does not agree."""
        parts = [
            (self.disagrees, "disagrees on {}"),
            (self.undecided, "undecided on {}"),
            (self.open, "no verdict on {}"),
            (self.excluded, "does not apply to {}"),
        ]
        return ", ".join(text.format(count) for count, text in parts if count)


@dataclass(frozen=True)
class Problem:
    """Cells of an experiment that ended alike and are no result.

    Attributes:
        status: "failed", "does not apply" or "missing".
        cells: which, in words.
        reason: why.
        traceback: of the first of them; empty where there is none.
    """

    status: str
    cells: str
    reason: str
    traceback: str


def tallies(rows: Sequence[ScoreRow], found: Sequence[ExperimentResults]) -> list[Tally]:
    """Count every theory's verdicts on the primary observable, best theory first."""
    verdicts = {(r.experiment, r.theory): r.verdict for r in rows if _primary(r)}
    counts: dict[str, Counter[str]] = {}
    for experiment in found:
        for record in experiment.records:
            solver = record.facts.solver
            if solver.width is None:
                outcome = verdicts.get((experiment.name, solver.name), record.status)
                if outcome == "done" and experiment.theories_alone:
                    continue  # no verdict is expected
                counts.setdefault(solver.name, Counter())[outcome] += 1
    made = []
    for name, c in counts.items():
        mine = [r for r in rows if _primary(r) and r.theory == name]
        known = [s for r in mine if (s := r.network_seconds_same_error) is not None]
        made.append(
            Tally(
                name,
                c["agrees"],
                c["undecided"],
                c["disagrees"],
                c["failed"] + c["done"],
                c["not-applicable"],
                statistics.fmean(r.rank for r in mine) if mine else None,
                statistics.median(r.limit_gap for r in mine) if mine else None,
                statistics.median(r.theory_seconds for r in mine) if mine else None,
                statistics.median(known) if known else None,
            )
        )
    return sorted(
        made, key=lambda t: (-t.agrees / max(t.total, 1), -t.agrees, t.disagrees, t.theory)
    )


def headline(counted: Sequence[Tally]) -> str:
    """Return the answer of the whole report in one sentence."""
    judged = [t for t in counted if t.agrees + t.undecided + t.disagrees]
    if not judged:
        return "There is no verdict yet"
    first, *others = [t for t in counted if t.total]
    if not first.agrees:
        return _none_agrees(judged)
    text = (
        f"{first.theory} describes wide networks in"
        f" {_share(first)} {plural('experiment', first.total)}{_undecided(first)}"
    )
    if len(others) > 2:
        next_best = others[0]
        return (
            f"{text}; the next best theory, {next_best.theory}, in {_share(next_best)}"
            f"{_undecided(next_best)}"
        )
    return "; ".join([text, *(f"{t.theory} in {_share(t)}{_undecided(t)}" for t in others)])


def _none_agrees(judged: Sequence[Tally]) -> str:
    """Return the headline where no theory agrees anywhere: open, or answered with no."""
    unknown = [t.theory for t in judged if t.undecided]
    refuted = [t.theory for t in judged if not t.undecided]
    if not unknown:
        subject = "No theory describes" if len(refuted) > 1 else f"{refuted[0]} does not describe"
        return f"{subject} wide networks in any experiment with a verdict"
    verb = "describes" if len(unknown) == 1 else "describe"
    text = f"It is undecided whether {listed(unknown)} {verb} wide networks"
    return (
        f"{text}; {listed(refuted)} {'does' if len(refuted) == 1 else 'do'} not"
        if refuted
        else text
    )


def _undecided(tally: Tally) -> str:
    """Return in brackets on how many experiments it is undecided, lest that be read as a no."""
    return f" (undecided on {tally.undecided})" if tally.undecided else ""


def verdict_sentences(row: ScoreRow) -> list[str]:
    """Return why a theory got its verdict, and how networks approach it."""
    gap, interval = row.limit_gap, row.limit_gap_ci
    tolerance = percent(TOLERANCE)
    if interval is None:
        why = (
            f"The gap at infinite width is {percent(gap)}, but a width with a single network gives"
            " no interval: run more seeds for a verdict."
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
        which = f"{plural('width', len(dropped))} {listed(dropped)}"
        said.append(f"Left out of the limit, as too narrow for its expansion in 1/N: {which}.")
    return said + _approach(row)


def in_words(experiment: ExperimentResults) -> str:
    """Return what was run in an experiment."""
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
            f" {plural('Width', len(widths))} {listed(widths)},"
            f" {len(seeds)} {plural('seed', len(seeds))} each."
        )
    if theories:
        text += f" {'Theory' if len(theories) == 1 else 'Theories'}: {listed(theories)}."
    return text


def problems(experiment: ExperimentResults) -> list[Problem]:
    """Return what failed and what does not apply, cells with the same reason together."""
    groups: dict[tuple[Any, ...], list[CellRecord]] = {}
    for record in experiment.records:
        if record.status != "done":
            facts = record.facts
            solver = facts.solver
            whose = (solver.name, solver.width)
            why = (record.status, facts.message, facts.phase)
            groups.setdefault((*whose, *why), []).append(record)
    return [
        Problem(
            "failed" if status == "failed" else "does not apply",
            solver if width is None else f"networks of width {width}, {seeds_of(records)}",
            (message or "no reason was recorded") + (f" (phase: {phase})" if phase else ""),
            records[0].facts.traceback.strip(),
        )
        for (solver, width, status, message, phase), records in groups.items()
    ]


def seeds_of(records: Iterable[CellRecord]) -> str:
    """Return the seeds of networks, runs of them as ranges."""
    return seed_runs(n.seed for r in records if (n := r.facts.solver.network))


def seed_runs(given: Iterable[int]) -> str:
    """Return seeds in words, runs of them as ranges."""
    seeds = sorted(set(given))
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    spans = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    return f"{plural('seed', len(seeds))} {listed(spans)}"


def listed(items: Iterable[Any]) -> str:
    """Return items as a list in a sentence."""
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def plain(value: Any) -> str:
    """Return a parameter's value as a reader writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return "none" if value is None else str(value)


def decimal(value: float) -> str:
    """Return a number with two decimals, and zero without a sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def duration(seconds: float) -> str:
    """Return a time with two significant digits, in the unit that suits it."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g}{NBSP}{unit}"
    return f"{seconds:.2g}{NBSP}s"


def percent(share: float) -> str:
    """Return a share in percent, with as many digits as can matter to a reader."""
    value = 100 * share
    if value == 0 or value >= 0.01:
        digits = 0 if value >= 100 or value == 0 else 1 if value >= 10 else 2
        text = f"{value:.{digits}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) + NBSP + "%"
    return f"below 0.01{NBSP}%"


def _share(tally: Tally) -> str:
    """Return on how many experiments a theory agrees, never broken over lines."""
    return f"{tally.agrees}{NBSP}of{NBSP}{tally.total}"


def _primary(row: ScoreRow) -> bool:
    return bool(row.observable == PRIMARY)


def _approach(row: ScoreRow) -> list[str]:
    """Return how the distance of a single network falls with width."""
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

    Only a gap that is shown to lie beyond the tolerance is a reason to say never.
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
    """Return the width at which a single network comes within the tolerance, as a table says it."""
    reach = reaches_tolerance(row)
    if reach == "at a width":
        return f"{row.width_at_5_percent:,.0f}"
    return "any" if reach == "everywhere" else reach


def _brackets(parameters: Mapping[str, Any]) -> str:
    """Return the parameters that say something in brackets: neither unset nor zero."""
    said = [
        f"{name.replace('_', ' ')} {plain(value)}"
        for name, value in parameters.items()
        if value is not None and value is not False and value not in (0.0, "auto")
    ]
    return f" ({'; '.join(said)})" if said else ""


def plural(word: str, count: int) -> str:
    """Return a word as it stands beside a number: with an s unless that is one."""
    return word if count == 1 else f"{word}s"
