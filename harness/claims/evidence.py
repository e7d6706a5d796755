"""Evidence for a claim's function: results of the experiments that it names, as tidy frames."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import NotEnoughError

if TYPE_CHECKING:
    import pandas as pd

    from harness.records import Problem
    from harness.registry import Registry
    from harness.results import Results
    from harness.scoring import ScoreRow


class Evidence:
    """Results of a claim's experiments.

    Experiments are named without the point of a sweep, and may be patterns: ``linear-limited``
    also stands for ``linear-limited[task.target_points=40,...]``. Frames have a row for each cell,
    or for each of its recorded steps, with the columns of `Results.cells` (parameters are
    ``task.alignment`` and so on).
    """

    def __init__(self, results: Results, registry: Registry) -> None:
        self._results = results
        self._registry = registry

    def cells(self, experiment: str, solver: str | None = None) -> pd.DataFrame:
        """Return the finished cells of an experiment; the index is their key.

        A cell that several experiments share appears once.

        Raises:
            NotEnoughError: if there are none.
        """
        cells = self._results.cells
        chosen = _matches(cells["experiment"], experiment) & (cells["status"] == "done")
        if solver is not None:
            chosen &= cells["solver"] == solver
        if not chosen.any():
            whose = f" of {solver}" if solver else ""
            raise NotEnoughError(f"no finished cell{whose} of the experiment {experiment}")
        found = cells[chosen]
        return found[~found.index.duplicated()]

    def curve(
        self,
        experiment: str,
        observable: str = "loss/test",
        *,
        solver: str | None = None,
        stage: int = -1,
    ) -> pd.DataFrame:
        """Return an observable at every recorded step of a stage.

        Adds the columns key, step, time, index, value and stderr to those of `cells`.

        Args:
            experiment: name of the experiment, or a pattern.
            observable: name of the observable.
            solver: "network", or a theory; all by default.
            stage: 0-based, or counted from the last one.

        Raises:
            NotEnoughError: if nothing was recorded.
        """
        cells = self.cells(experiment, solver)
        found = self._by_observable.get(observable)
        if found is not None:
            whose = found["key"].astype(object).map(cells["experiment"])
            found = found[whose == found["experiment"].astype(object)]
        if found is None or found.empty:
            raise NotEnoughError(f"{observable} was not recorded in the experiment {experiment}")
        last = found.groupby("key")["stage"].transform("max") if stage < 0 else 0
        found = found[found["stage"] == (last + stage + 1 if stage < 0 else stage)]
        return found.join(cells.drop(columns=["experiment", "seed", "width", "solver"]), on="key")

    def final(
        self,
        experiment: str,
        observable: str = "loss/test",
        *,
        solver: str | None = None,
        stage: int = -1,
    ) -> pd.DataFrame:
        """Return an observable at the end of a stage; arguments as for `curve`."""
        found = self.curve(experiment, observable, solver=solver, stage=stage)
        return found[found["step"] == found.groupby("key")["step"].transform("max")]

    def best(
        self, experiment: str, observable: str = "loss/test", *, solver: str | None = None
    ) -> pd.DataFrame:
        """Return the lowest value over the last stage, which is that of the best stopping time."""
        found = self.curve(experiment, observable, solver=solver)
        return found.loc[found.groupby("key")["value"].idxmin()]

    def gain(
        self,
        transfer: str,
        control: str,
        on: Sequence[str] = (),
        *,
        solver: str = "mean-field",
        best: bool = False,
    ) -> pd.DataFrame:
        """Return 1 - loss / loss of the control for the same draws of the data, as ``value``.

        Args:
            transfer: experiments with a source.
            control: experiments without one.
            on: swept columns on which they are compared, besides data_seed.
            solver: solver of both losses.
            best: take each loss at its best stopping time rather than at the end.
        """
        look = self.best if best else self.final
        joined = paired(
            look(transfer, solver=solver), look(control, solver=solver), [*on, "data_seed"]
        )
        return joined.assign(value=1 - joined["value"] / joined["other"])

    def scores(
        self, experiments: str | Sequence[str], theory: str, observable: str = "output/test"
    ) -> list[ScoreRow]:
        """Return the leaderboard rows of a theory on one experiment, or on several.

        Args:
            experiments: names of experiments, or patterns.
            theory: name of the theory.
            observable: name of the observable; "kernel/feature" and "preactivation/density" are
                scored when they are asked for.

        Raises:
            NotEnoughError: if there are none.
        """
        patterns = [experiments] if isinstance(experiments, str) else experiments
        rows = [
            row
            for row in self._results.rows_of(observable)
            if row.theory == theory
            and row.observable == observable
            and any(fnmatch.fnmatchcase(_base(row.experiment), p) for p in patterns)
        ]
        if not rows:
            named = ", ".join(patterns)
            raise NotEnoughError(f"{theory} has no score on the experiment {named}")
        return rows

    def array(self, key: str, name: str) -> NDArray[Any]:
        """Return an array of a cell, such as ``stage0/kernel/feature``."""
        return self._results.arrays[key][name]

    def problem(self, key: str) -> Problem:
        """Make the problem of a cell again, its data included.

        Raises:
            NotEnoughError: if its task makes other data now.
        """
        from harness.suites.build import build_data, build_problem
        from harness.suites.experiment import Experiment, Spec

        facts = self._results.facts(key)
        task, architecture, regime = (
            Spec(a.name, a.version, a.parameters)
            for a in (facts.task, facts.architecture, facts.regime)
        )
        made = Experiment(facts.experiment, task, facts.data_seed, architecture, regime, ())
        data = build_data(made, self._registry)
        if data.digest != facts.data:
            raise NotEnoughError(
                f"task {made.task.name!r} makes other data now than cell {key} was computed with:"
                " run its suite again"
            )
        return build_problem(made, self._registry, data=data)

    @cached_property
    def _by_observable(self) -> dict[str, pd.DataFrame]:
        frame = self._results.curves.reset_index(drop=True)
        return {str(name): part for name, part in frame.groupby("observable", observed=True)}


def averaged(frame: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """Return the mean of ``value`` for every combination of columns, such as over seeds."""
    return frame.groupby(by, observed=True)["value"].mean().reset_index()


def paired(
    frame: pd.DataFrame, other: pd.DataFrame, on: list[str], by: Sequence[str] = ()
) -> pd.DataFrame:
    """Join two frames on columns such as data_seed; values are ``value`` and ``other``.

    Args:
        frame: rows with ``value``, averaged where several agree in all columns.
        other: rows that they are compared with, averaged alike.
        on: columns that both have.
        by: further columns of `frame` alone, such as a parameter that its control lacks.

    Raises:
        NotEnoughError: if no row has a partner.
    """
    left = averaged(frame, [*on, *by])
    joined = left.merge(averaged(other, on).rename(columns={"value": "other"}), on=on)
    if joined.empty:
        raise NotEnoughError("two experiments have no draw of the data in common")
    return joined


def ratio_of_means(value: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return numbers of draws whose mean is mean(value) / mean(other), with its error.

    They are the ratio to first order in the deviations of a draw from the means. Unlike a mean of
    ratios their mean has no bias where single draws have small losses.

    Args:
        value: losses of draws.
        other: losses of the same draws.
    """
    above, below = (np.asarray(each, dtype=np.float64) for each in (value, other))
    ratio = above.mean() / below.mean()
    return np.asarray(ratio + (above - ratio * below) / below.mean())


def gains_by(joined: pd.DataFrame, by: list[str]) -> pd.Series[float]:
    """Return 1 less the ratio of mean losses at each point of a sweep: see `ratio_of_means`.

    Args:
        joined: rows of draws with ``value`` and ``other``, as `paired` returns them.
        by: columns that tell the points apart.

    Returns:
        A number for each row, with its index.
    """
    import pandas as pd

    return pd.concat(
        pd.Series(1 - ratio_of_means(part["value"], part["other"]), part.index)
        for _, part in joined.groupby(by)
    )


def curve_distances(curve: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    """Return the relative distance |curve - other| / |other| over all steps, for each draw.

    Args:
        curve: values by data_seed and step, the levels of the index.
        other: those that they are compared with.
    """
    squares, size = (
        part.groupby(level="data_seed").sum() for part in ((curve - other) ** 2, other**2)
    )
    found: pd.Series[float] = (squares / size) ** 0.5
    return found


def _base(name: str) -> str:
    return name.partition("[")[0]


def _matches(names: pd.Series[str], pattern: str) -> NDArray[np.bool_]:
    return np.array([fnmatch.fnmatchcase(_base(name), pattern) for name in names], dtype=bool)
