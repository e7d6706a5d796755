"""Transfer: the gain from a source stage on the target, and the forgetting of the source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from harness.records.cell import CellFacts
from harness.scoring.curves import readable
from harness.scoring.problems import ProblemResults, Solution
from harness.scoring.values import SMALLEST, last_stage
from harness.store import if_readable
from harness.store.tables import Allowance, of_observables
from harness.suites.names import swept_values

LOSS, PROBE = "loss/test", "probe/source-loss"
LAWS = {
    "excess_kurtosis": "preactivation/excess-kurtosis",
    "wasserstein": "preactivation/wasserstein",
}
"""Columns and observables of the pre-activations' distance from a Gaussian."""

MEASURES = (
    *("final_loss", "best_loss", "best_step", "best_time"),
    *("source_probe_start", "source_probe_end", "forgetting"),
    *("gain", "gain_best"),
    *(f"{stage}_{law}" for stage in ("source", "target") for law in LAWS),
)
"""Columns of measures; each has its standard error in ``..._stderr``."""

_CONTROL = "no-pretraining"


@dataclass(frozen=True)
class CurveEstimates:
    """Independent estimates of an observable of one stage, from networks or replicates.

    Attributes:
        ids: seeds of the networks, or numbers of the replicates.
        values: one row an estimate, one column a recorded step.
        steps, times: of the columns.
        exact: whether a single row is free of error, as for a theory that states none.
    """

    ids: tuple[int, ...]
    values: Float64[np.ndarray, "estimates records"]
    steps: Int64[np.ndarray, " records"]
    times: Float64[np.ndarray, " records"]
    exact: bool = False


@dataclass(frozen=True)
class _Case:
    """A solution, and the observables of its last two stages."""

    results: ProblemResults
    solution: Solution
    found: Mapping[tuple[int, str], CurveEstimates]

    @property
    def stage(self) -> int:
        """Index of the target stage."""
        return last_stage(self.solution.records[0])


Curves = Float64[np.ndarray, "means records"]
Statistic = Callable[..., Float64[np.ndarray, " means"]]


def jackknife(statistic: Statistic, *curves: CurveEstimates) -> tuple[float, float]:
    """Return a statistic of mean curves, and its standard error.

    With theta_i the statistic without estimate i, and n estimates, the variance is
    (n - 1) / n sum_i (theta_i - mean theta)^2. Curves of the same ids share their seeds, and
    with them part of their error: an estimate is then left out of all curves at once. Other
    curves take turns, and variances add.

    Args:
        statistic: a function of mean curves, (means, records) each, to (means,).
        curves: estimates of one or more curves.

    Returns:
        Value and standard error: 0 if all curves are exact, nan for a single estimate that is not.
    """
    means = [e.values.mean(axis=0, keepdims=True) for e in curves]
    value = float(statistic(*means)[0])
    together = len({e.ids for e in curves}) == 1 and len(curves[0].ids) > 1
    positions = range(len(curves))
    variance = 0.0
    for group in [tuple(positions)] if together else [(k,) for k in positions]:
        first = curves[group[0]]
        count = len(first.ids)
        if count == 1:
            variance += 0.0 if first.exact else float("nan")
            continue
        without = [
            (count * mean - e.values) / (count - 1)
            if k in group
            else np.repeat(mean, count, axis=0)
            for k, (mean, e) in enumerate(zip(means, curves, strict=True))
        ]
        left = statistic(*without)
        variance += (count - 1) / count * float(np.sum((left - left.mean()) ** 2))
    return value, float(np.sqrt(variance))


def transfer(problems: Sequence[ProblemResults]) -> pd.DataFrame:
    """Return gain and forgetting of every experiment with a source stage.

    Args:
        problems: of one or more results folders.

    Returns:
        One row for each experiment whose source stage has steps, solver and width, that recorded
        a test loss: ``experiment``,
        ``solver``, ``width``, ``apart``, ``estimates`` (networks, or replicates of a theory),
        ``control`` (name of the experiment without pretraining, None where there is none), then
        `MEASURES`, each with ``..._stderr``, and the swept parameters. Losses are test losses of
        the target stage: at its end, and at the best recorded step of the mean curve. The source
        probe is taken at start and end of that stage, ``forgetting`` is its rise. ``gain`` is the
        control's loss less this one at the last step that both recorded, ``gain_best`` the same
        at the best step of each. Excess kurtosis and distance from a Gaussian are the last
        layer's at the end of the stage before (``source_``) and of the last one (``target_``).
        Measures without records are nan.
    """
    pretrained: list[_Case] = []
    controls: dict[str, _Case] = {}
    allowance = Allowance()
    for results in problems:
        for solution in results.solutions():
            control, source = _is_control(solution.facts), _has_source(solution.facts)
            if not control and not source:
                continue
            case = _Case(results, solution, _observables(solution, allowance))
            if (case.stage, LOSS) not in case.found:
                continue
            if control:
                controls.setdefault(_key(solution, _role(solution.facts)), case)
            else:
                pretrained.append(case)
    rows = []
    for case in pretrained:
        keys = [_key(case.solution, role) for role in (_CONTROL, _role(case.solution.facts))]
        rows.append(_row(case, next((controls[key] for key in keys if key in controls), None)))
    if not rows:
        return pd.DataFrame(columns=["experiment", "solver", "width"])
    return pd.DataFrame(rows).astype({"width": "Int64"})


def target_stage(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a regime's parameters of the target stage, without its step.

    A value for all stages is left out where the stage has its own. The last stage of a curriculum
    that ends with the target has the parameters of `no-pretraining`.
    """
    found, parameters = {}, _of_last_task(parameters)
    for name, value in parameters.items():
        shared = name.removeprefix("target_")
        if name.startswith("source_") or shared == "dt":
            continue
        if shared != name and shared in parameters:
            continue
        own = parameters.get(f"target_{name}")
        found[name] = value if own is None else own
    return found


def _of_last_task(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a regime's parameters, with those of its last task alone if it has a list of tasks."""
    tasks = parameters.get("tasks")
    if not isinstance(tasks, list) or tasks[-1:] != ["target"]:
        return parameters
    found = {name: value for name, value in parameters.items() if name != "tasks"}
    for name in ("richness", "steps"):
        value = found.pop(name, None)
        found[f"target_{name}"] = value[-1] if isinstance(value, list) and value else value
    return found


def _has_source(facts: CellFacts) -> bool:
    """Return whether any stage trained before the last one."""
    return len(facts.dts) > 1 and facts.regime.parameters.get("source_steps") != 0


def _is_control(facts: CellFacts) -> bool:
    """Return whether the target stage starts from initial features."""
    alone = facts.regime.name == _CONTROL
    return alone or facts.regime.parameters.get("source_steps") == 0


def _role(facts: CellFacts) -> str:
    """Return the role of a control: for any regime with its stage, or for its own regime."""
    name, version = facts.regime.name, facts.regime.version
    return _CONTROL if name == _CONTROL else f"{name} {version}"


def _key(solution: Solution, role: str) -> str:
    """Return the key that a solution shares with its control."""
    facts = solution.facts
    solver, theory = facts.solver, facts.solver.theory
    stage = target_stage(facts.regime.parameters)
    if role == _CONTROL:  # has a readout that was never trained, as at the start
        stage.pop("readout", None)
    named = None if theory is None else [theory.name, theory.version]
    return json.dumps(
        [
            *(facts.task.model_dump(), facts.data_seed, facts.architecture.model_dump()),
            *(facts.dts[-1], role, stage, solver.width, solver.dtype, named),
        ],
        sort_keys=True,
    )


def _observables(solution: Solution, allowance: Allowance) -> dict[tuple[int, str], CurveEstimates]:
    """Return the curves of the last two stages, by stage and observable."""
    keep = of_observables(LOSS, PROBE, *LAWS.values())
    found_cells = list(readable(solution.records, keep, allowance))
    if not found_cells:
        return {}
    records, tables = zip(*found_cells, strict=True)
    last = last_stage(records[0])
    wanted = [(last, LOSS), (last, PROBE)]
    wanted += [(k, law) for k in (last - 1, last) if k >= 0 for law in LAWS.values()]
    found = {}
    for stage, name in wanted:
        chosen = [table.where(stage, name) for table in tables]
        if not all(mask.any() for mask in chosen):
            continue
        if name in LAWS.values():
            for k, table in enumerate(tables):
                chosen[k] &= table.index == table.index[chosen[k]].max()
        taken = [t.step[mask].tobytes() for t, mask in zip(tables, chosen, strict=True)]
        ((usual, _),) = Counter(taken).most_common(1)  # scores name the cells with other steps
        kept = [k for k, steps in enumerate(taken) if steps == usual]
        first, at = tables[kept[0]], chosen[kept[0]]
        values = np.stack([tables[k].value[chosen[k]] for k in kept])
        ids = [records[k].facts.solver.seed for k in kept]
        exact = False
        if solution.width is None:
            exact = bool(np.isnan(first.stderr[at]).all())
            read = partial(records[0].array, f"stage{stage}/{name}/replicates")
            array = None if exact else if_readable(read)
            if array is not None and array.ndim == 3 and name in LAWS.values() and array.size:
                array = array[..., -1]
            if array is not None and array.ndim == 2 and array.shape[1] == values.shape[1]:
                values = array if len(array) else values
                ids = list(range(len(values)))
        if float(np.abs(values).max()) > 1 / SMALLEST:  # numbers of single precision overflow
            continue
        found[stage, name] = CurveEstimates(
            tuple(ids), values, first.step[at], first.time[at], exact
        )
    return found


def _row(case: _Case, control: _Case | None) -> dict[str, Any]:
    name, solution = case.results.experiment, case.solution
    loss = case.found[case.stage, LOSS]
    row: dict[str, Any] = {
        "experiment": name,
        "solver": solution.solver,
        "width": solution.width,
        "apart": solution.apart,
        "estimates": len(loss.ids),
        "control": None if control is None else control.results.experiment,
    }
    measured = dict(_measured(case, control))
    for measure in MEASURES:
        row[measure], row[f"{measure}_stderr"] = measured.get(measure, (np.nan, np.nan))
    return row | swept_values(name, solution.facts)


def _measured(case: _Case, control: _Case | None) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the measures that have records, with their errors."""
    stage, loss = case.stage, case.found[case.stage, LOSS]
    yield "final_loss", jackknife(_last, loss)
    yield "best_loss", jackknife(_best, loss)
    yield "best_step", jackknife(lambda c: loss.steps[c.argmin(axis=-1)], loss)
    yield "best_time", jackknife(lambda c: loss.times[c.argmin(axis=-1)], loss)
    if probe := case.found.get((stage, PROBE)):
        yield "source_probe_start", jackknife(_first, probe)
        yield "source_probe_end", jackknife(_last, probe)
        yield "forgetting", jackknife(lambda c: _last(c) - _first(c), probe)
    if control is not None:
        scratch = control.found[control.stage, LOSS]
        common, here, there = np.intersect1d(loss.steps, scratch.steps, return_indices=True)
        if len(common):
            i, j = here[-1], there[-1]
            yield "gain", jackknife(lambda c, s: s[:, j] - c[:, i], loss, scratch)
        yield "gain_best", jackknife(lambda c, s: _best(s) - _best(c), loss, scratch)
    for prefix, at in (("source", stage - 1), ("target", stage)):
        for column, law in LAWS.items():
            if law_found := case.found.get((at, law)):
                yield f"{prefix}_{column}", jackknife(_last, law_found)


def _first(curves: Curves) -> Float64[np.ndarray, " means"]:
    return curves[:, 0]


def _last(curves: Curves) -> Float64[np.ndarray, " means"]:
    return curves[:, -1]


def _best(curves: Curves) -> Float64[np.ndarray, " means"]:
    found: NDArray[np.float64] = curves.min(axis=-1)
    return found
