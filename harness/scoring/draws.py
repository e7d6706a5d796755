"""Averages over draws of the data: curves of experiments that differ only in the draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.scoring.curves import readable
from harness.scoring.problems import ProblemResults
from harness.store.tables import Allowance, numbers
from harness.suites.names import swept_values, without_draw

COLUMNS = ("stage", "observable", "step", "time", "mean", "stderr", "draws")
"""Columns of a value, after those that identify its solver."""


PLACE = ("stage", "observable", "step")
"""Columns that identify a value within its cell."""


def draw_averages(problems: Sequence[ProblemResults]) -> pd.DataFrame:
    """Return means of every scalar observable over draws.

    Draws are experiments whose names differ in ``task.data_seed`` alone. Networks are averaged over
    seeds within a draw first, so that the error is that of independent draws.

    Args:
        problems: of one or more results folders.

    Returns:
        One row for each experiment without its draw, solver, width, stage, observable and step:
        ``experiment``, ``solver``, ``width``, ``apart`` (the difference of a solver from others of
        the same name), a column for every swept parameter, such as ``task.alignment``, and
        `COLUMNS`: ``mean`` with its standard error over ``draws`` draws (nan for a single one),
        ``time`` their mean where the draws have different steps.
    """
    groups: dict[tuple[object, ...], int] = {}
    heads: list[dict[str, object]] = []
    parts: list[pd.DataFrame] = []
    names: dict[str, int] = {}
    allowance = Allowance()
    for results in problems:
        experiment = without_draw(results.experiment)
        if experiment is None:
            continue
        for solution in results.solutions():
            head = {
                "experiment": experiment,
                "solver": solution.solver,
                "width": solution.width,
                "apart": solution.apart,
            }
            group = groups.setdefault(tuple(head.values()), len(groups))
            if group == len(heads):
                heads.append({**head, **swept_values(experiment, solution.facts)})
            seeds = []
            for record, curves in readable(solution.records, numbers, Allowance()):
                codes = np.array([names.setdefault(n, len(names)) for n in curves.names])
                part = {
                    "draw": record.facts.data_seed,
                    "stage": curves.stage,
                    "observable": codes[curves.observable],
                    "step": curves.step,
                    "time": curves.time,
                    "mean": curves.value,
                }
                seeds.append(pd.DataFrame(part))
            if seeds:
                mean = pd.concat(seeds).groupby(["draw", *PLACE])[["time", "mean"]].mean()
                allowance.take(solution.records[0].folder, len(mean))
                parts.append(mean.reset_index().assign(group=group))
    if not parts:
        return pd.DataFrame(columns=["experiment", "solver", "width", "apart", *COLUMNS])
    found = _averaged(pd.concat(parts, ignore_index=True))
    found["observable"] = pd.Categorical.from_codes(
        found["observable"].to_numpy(), pd.Index(list(names))
    )
    head_frame = pd.DataFrame(heads).astype({"width": "Int64"})
    owner = head_frame.take(found.pop("group").to_numpy()).reset_index(drop=True)
    return pd.concat([owner, found], axis=1)


def _averaged(values: pd.DataFrame) -> pd.DataFrame:
    """Return means over draws, with standard errors and numbers of draws."""
    place = ["group", *PLACE]
    draws = values.groupby([*place, "draw"])[["time", "mean"]].mean()
    over = draws.groupby(level=place)
    found = over.mean()
    count = over["mean"].size()
    found["stderr"] = over["mean"].std(ddof=1) / np.sqrt(count)
    found["draws"] = count
    return found.reset_index()[["group", *COLUMNS]]
