"""Tables of numbers with errors: averages over draws of the data, and transfer."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.report.wording import number_in_words, value_in_words
from harness.scoring import ProblemResults
from harness.scoring.draws import draw_averages
from harness.scoring.transfer import LOSS, transfer
from harness.suites.names import DRAWS, swept_parameters, swept_values, without_draw

ASYMPTOTIC = "loss/test-asymptotic"

_TRANSFER = {
    "gain": "Gain, equal steps",
    "gain_best": "Gain, best stopping",
    "best_step": "Best step",
    "forgetting": "Forgetting",
    "source_excess_kurtosis": "Kurtosis, source",
    "target_excess_kurtosis": "Kurtosis, target",
    "source_wasserstein": "Distance, source",
    "target_wasserstein": "Distance, target",
}


@dataclass(frozen=True)
class NumberRow:
    """A row of a table.

    Attributes:
        experiment: name of an experiment in the folder; the row links to its section.
        name: name of the experiment in the row.
        parameters: swept parameters, in words.
        solver: a theory, or networks of a width.
        draws: number of draws.
        values: numbers with errors, in words, each with a number to sort by, or None.
    """

    experiment: str
    name: str
    parameters: str
    solver: str
    draws: int
    values: list[tuple[str, float | None]]


@dataclass(frozen=True)
class NumberTable:
    """A table, cut off after its first rows where it has too many.

    Attributes:
        headings: of the values.
        lines: rows shown.
        total: number of all rows.
        folded: whether the table starts folded, as few readers need it.
    """

    headings: list[str]
    lines: list[NumberRow]
    total: int
    folded: bool = False

    @property
    def swept(self) -> bool:
        """Whether any row has swept parameters."""
        return any(line.parameters for line in self.lines)

    @property
    def drawn(self) -> bool:
        """Whether any row represents several draws of the data."""
        return any(line.draws > 1 for line in self.lines)


def averages_table(problems: Sequence[ProblemResults], most: int) -> NumberTable | None:
    """Return final test losses of the last stage, averaged over draws; None without draws.

    Args:
        problems: whose draws are averaged.
        most: rows that are shown.
    """
    frame = draw_averages(problems)
    wanted = frame["observable"].isin([LOSS, ASYMPTOTIC])
    found = frame[wanted].astype({"observable": str})
    rows: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
    keys = ["experiment", "solver", "width", "apart"]
    for _, group in found.groupby(keys, sort=False, dropna=False):
        last = group[group["stage"] == group["stage"].max()].sort_values("step")
        ends = {name: part.iloc[-1] for name, part in last.groupby("observable")}
        if LOSS in ends and group["draws"].max() > 1:
            rows.append((ends[LOSS], ends))
    if not rows:
        return None
    asymptotic = any(ASYMPTOTIC in ends for _, ends in rows)
    headings = ["Final test loss", *(["Typical draws, asymptotic"] if asymptotic else [])]
    facts = _facts_by_name(problems)
    lines = []
    for head, ends in rows[:most]:
        shown, swept = facts[head["experiment"]]
        names = [LOSS, *([ASYMPTOTIC] if asymptotic else [])]
        values = [
            number_in_words(ends[n]["mean"], ends[n]["stderr"]) if n in ends else ("–", None)
            for n in names
        ]
        solver = _solver(head["solver"], head["width"], head["apart"])
        base = swept_parameters(head["experiment"])[0]
        lines.append(NumberRow(shown, base, _in_words(swept), solver, int(head["draws"]), values))
    return NumberTable(headings, lines, len(rows))


def transfer_table(
    problems: Sequence[ProblemResults], names: Container[str], most: int
) -> NumberTable | None:
    """Return gains, stopping, forgetting and non-Gaussianity; None without a source stage.

    Draws of an experiment are averaged, and their spread gives the error. Only the widest networks
    of each experiment are shown. Without a control there is no gain, and the table is folded.

    Args:
        problems: all problems, controls included.
        names: experiments on the page.
        most: rows that are shown.
    """
    frame = transfer(problems)
    frame = frame[[name in names for name in frame["experiment"]]]
    if frame.empty:
        return None
    widest = frame.groupby("experiment")["width"].transform("max")
    frame = frame[frame["width"].isna() | (frame["width"] == widest)]
    shared = frame["experiment"].map(lambda name: without_draw(name) or name)
    facts = _facts_by_name(problems)
    keys = [shared, frame["solver"], frame["width"], frame["apart"]]
    groups: list[tuple[Any, pd.DataFrame]] = list(frame.groupby(keys, sort=False, dropna=False))
    kept = [column for column in _TRANSFER if frame[column].notna().any()]
    lines = []
    for (name, solver, width, apart), group in groups[:most]:
        shown, swept = facts[name]
        values = [_over_draws(group, column) for column in kept]
        base = swept_parameters(name)[0]
        who = _solver(solver, width, apart)
        lines.append(NumberRow(shown, base, _in_words(swept), who, len(group), values))
    gains = {"gain", "gain_best"}.intersection(kept)
    return NumberTable([_TRANSFER[column] for column in kept], lines, len(groups), folded=not gains)


def _over_draws(group: pd.DataFrame, column: str) -> tuple[str, float | None]:
    if len(group) == 1:
        return number_in_words(group[column].iloc[0], group[f"{column}_stderr"].iloc[0])
    known = group[column].dropna()
    if known.empty:
        return "–", None
    spread = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else float("nan")
    return number_in_words(float(known.mean()), float(spread))


def _facts_by_name(problems: Sequence[ProblemResults]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the first experiment and its swept parameters, by name without the draw."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for results in problems:
        name = without_draw(results.experiment) or results.experiment
        if name not in found and (first := next(results.solutions(), None)):
            swept = swept_values(results.experiment, first.facts)
            swept.pop(DRAWS, None)
            found[name] = results.experiment, swept
    return found


def _in_words(swept: Mapping[str, Any]) -> str:
    said = (f"{name.partition('.')[2]} {value_in_words(value)}" for name, value in swept.items())
    return "; ".join(said).replace("_", " ")


def _solver(name: str, width: Any, apart: Any) -> str:
    text = name if pd.isna(width) else f"networks, width {width}"
    return text if pd.isna(apart) else f"{text} ({apart})"
