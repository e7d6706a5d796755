"""Observables of an experiment's cells, as arrays and frames for figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float
from numpy.typing import NDArray

from harness.scoring import PRIMARY
from harness.scoring.values import last_stage, observable
from harness.store import CellRecord, ExperimentResults, if_readable
from harness.store.tables import CURVES, Allowance, Keep, plain_curves, thinned

DENSITY = "preactivation/density"

CHANGE = "preactivation/change-rms"
"""Observable of the coordinate check."""

DRAWN = 2_000_000
"""Most recorded values in the figures of one experiment."""


@dataclass(frozen=True)
class OutputPair:
    """Centred outputs on the test points at the end of the last stage, networks and a theory.

    Attributes:
        width: the largest width of the networks.
        network: their mean on every point, (points,).
        network_stderr: its standard error; None with a single network.
        theory: the theory's prediction, (points,).
        theory_stderr: its standard error; None where the theory gives none.
    """

    width: int
    network: Float[np.ndarray, " points"]
    network_stderr: Float[np.ndarray, " points"] | None
    theory: Float[np.ndarray, " points"]
    theory_stderr: Float[np.ndarray, " points"] | None


@dataclass(frozen=True)
class KernelPair:
    """Feature kernels of the last hidden layer at the end of training, networks and a theory.

    Attributes:
        theory: its name.
        width: the largest width of the networks.
        theory_kernel, network_kernel: feature kernels, that of the networks a mean over seeds,
            (points, points): training points, then test points, of the last stage.
        train: number of training points.
    """

    theory: str
    width: int
    theory_kernel: Float[np.ndarray, "points points"]
    network_kernel: Float[np.ndarray, "points points"]
    train: int


@dataclass(frozen=True)
class _ReadOnce(CellRecord):
    """A record that keeps the data of its figures in memory after the first reading.

    Data that cannot be read are empty, with a warning, so that other cells keep their figures.

    Attributes:
        allowance: bound on the values in memory at once, for all cells of an experiment.
    """

    allowance: Allowance

    @cached_property
    def drawn(self) -> pa.Table:
        found = if_readable(self._counted)
        return CURVES.empty_table() if found is None else found

    def _counted(self) -> pa.Table:
        with self.allowance.counted(self.folder / "curves.parquet", thinned) as keep:
            return _drawn(self, keep)

    @cached_property
    def _names(self) -> list[str]:
        return if_readable(super().array_names) or []

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any] | None]:
        return {}

    def array_names(self) -> list[str]:
        return self._names

    def array(self, name: str) -> NDArray[Any] | None:
        if name not in self._arrays:
            self._arrays[name] = if_readable(partial(super().array, name))
        return self._arrays[name]


def read_once(experiment: ExperimentResults) -> ExperimentResults:
    """Return an experiment that reads its cells from disk only once, for several figures."""
    held = Allowance(DRAWN)
    records: list[CellRecord] = [
        _ReadOnce(r.key, r.folder, r.facts, held) for r in experiment.records
    ]
    return replace(experiment, records=records)


def stage_names(experiment: ExperimentResults) -> list[str]:
    """Return the names of an experiment's stages, in order.

    These are the tasks that they train on. Older cells do not name them: two stages are then
    source and target, and one is the target.
    """
    done = experiment.with_status("done")
    count = last_stage(done[0]) + 1 if done else 0
    for record in done:
        if len(record.facts.stages) == count:
            return record.facts.stages
    named = {0: [], 1: ["target"], 2: ["source", "target"]}
    return named.get(count, [f"stage {k}" for k in range(1, count + 1)])


def network_curves(experiment: ExperimentResults, name: str) -> pd.DataFrame:
    """Return an observable of every network: columns width, seed, stage, step and value."""
    networks = [r for records in experiment.networks().values() for r in records]
    return _curves(networks, name, {"width": "width", "seed": "seed"})


def theory_curves(experiment: ExperimentResults, name: str) -> pd.DataFrame:
    """Return an observable of every theory: columns theory, stage, step, value and stderr."""
    return _curves(list(experiment.theories().values()), name, {"theory": "name"})


def own_observables(experiment: ExperimentResults) -> list[str]:
    """Return the names of the observables of one's own that an experiment's cells recorded."""
    done = experiment.with_status("done")
    return list(dict.fromkeys(spec.name for record in done for spec in record.facts.observables))


def ends_by_width(
    experiment: ExperimentResults, name: str
) -> dict[int, Float[np.ndarray, "seeds components"]]:
    """Return an observable of networks at the end of training, by width.

    Networks whose number of components differs from that of the first are left out.
    """
    found: dict[int, list[NDArray[Any]]] = {}
    count = 0
    for width, records in experiment.networks().items():
        for record in records:
            values, _ = _final_values(record, name)
            count = count or len(values)
            if count and len(values) == count:
                found.setdefault(width, []).append(values)
    return {width: np.stack(rows) for width, rows in found.items()}


def theory_ends(
    experiment: ExperimentResults, name: str
) -> dict[str, tuple[NDArray[Any], NDArray[Any] | None]]:
    """Return an observable of theories at the end of training, and its errors, by theory."""
    return {theory: _final_values(r, name) for theory, r in experiment.theories().items()}


def output_pair(experiment: ExperimentResults, theory: str) -> OutputPair | None:
    """Return test outputs of the widest networks and of a theory; None where one is missing."""
    networks, record = experiment.networks(), experiment.theories().get(theory)
    if not networks or record is None:
        return None
    width = max(networks)
    outputs = [_final_output(r)[0] for r in networks[width]]
    predicted, stderr = _final_output(record)
    if not predicted.size or any(o.shape != predicted.shape for o in outputs):
        return None
    stacked = np.stack(outputs)
    spread = stacked.std(axis=0, ddof=1) / np.sqrt(len(stacked)) if len(stacked) > 1 else None
    return OutputPair(width, stacked.mean(axis=0), spread, predicted, stderr)


def kernel_pair(experiment: ExperimentResults, theory: str) -> KernelPair | None:
    """Return feature kernels of the widest networks and of a theory; None where one is missing."""
    networks, record = experiment.networks(), experiment.theories().get(theory)
    if not networks or record is None:
        return None
    from harness.observables import KERNEL_POINTS

    width = max(networks)
    predicted = last_layer(record, "kernel/feature")
    kernels = [last_layer(r, "kernel/feature") for r in networks[width]]
    if predicted is None or predicted.ndim != 2 or len(set(predicted.shape)) != 1:
        return None
    if any(k is None or k.shape != predicted.shape for k in kernels):
        return None
    mean = np.mean([k for k in kernels if k is not None], axis=0)
    outputs = networks[width][0].facts.notes.get("outputs", 1)
    if not isinstance(outputs, int) or outputs < 1:
        return None
    test = min(KERNEL_POINTS, len(_final_output(record)[0]) // outputs)
    if not 0 < len(predicted) >= test:
        return None
    return KernelPair(theory, width, predicted, mean, len(predicted) - test)


def densities(
    experiment: ExperimentResults,
) -> tuple[int, Float[np.ndarray, " bins"] | None, dict[str, Float[np.ndarray, " bins"]]]:
    """Return pre-activation densities of the last layer at the end of training.

    Returns:
        The greatest width, the mean density of its networks (None where there is none), and the
        density of every theory that has one.
    """
    from harness.observables import DENSITY_EDGES

    def density(record: CellRecord) -> NDArray[Any] | None:
        found = last_layer(record, DENSITY)
        return None if found is None or found.shape != (len(DENSITY_EDGES) - 1,) else found

    networks = experiment.networks()
    width = max(networks, default=0)
    kept = [m for r in networks.get(width, []) if (m := density(r)) is not None]
    predicted = {name: density(r) for name, r in experiment.theories().items()}
    return (
        width,
        np.mean(kept, axis=0) if kept else None,
        {name: found for name, found in predicted.items() if found is not None},
    )


def recorded(experiment: ExperimentResults, name: str) -> bool:
    """Return whether a finished cell has an observable in its last stage."""
    for record in experiment.with_status("done"):
        stage = last_stage(record)
        if len(observable(_curves_of(record), stage, name)[0]):
            return True
        if f"stage{stage}/{name}" in record.array_names():
            return True
    return False


def last_layer(record: CellRecord, name: str) -> NDArray[Any] | None:
    """Return the last layer's part of a kernel or density at the end of training, if there."""
    found = record.array(f"stage{last_stage(record)}/{name}")
    if found is None or found.ndim < 2 or not len(found):
        return None
    return np.asarray(found[-1], dtype=np.float64)


def _curves(records: Sequence[CellRecord], name: str, solver: dict[str, str]) -> pd.DataFrame:
    """Return an observable of cells, with columns that identify their solver."""
    chosen = pc.field("observable") == name
    tables = [_curves_of(record).filter(chosen) for record in records]
    if not any(map(len, tables)):
        return pd.DataFrame(columns=["stage", "step", "value", "stderr", *solver])
    kept = ["stage", "step", "value", "stderr"]
    frame = pa.concat_tables(tables).select(kept).to_pandas()
    counts = [len(table) for table in tables]
    for column, fact in solver.items():
        frame[column] = np.repeat(
            [getattr(record.facts.solver, fact) for record in records], counts
        )
    return frame


def _curves_of(record: CellRecord) -> pa.Table:
    """Return the data of figures: numbers at every step, vectors at the last of a stage."""
    return record.drawn if isinstance(record, _ReadOnce) else _drawn(record)


def _drawn(record: CellRecord, keep: Keep = thinned) -> pa.Table:
    return plain_curves(thinned(record.columns(keep=keep)))


def _final_output(record: CellRecord) -> tuple[NDArray[Any], NDArray[Any] | None]:
    return _final_values(record, PRIMARY)


def _final_values(record: CellRecord, name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    steps, values, stderr = observable(_curves_of(record), last_stage(record), name)
    last = steps == steps.max() if len(steps) else np.zeros(0, dtype=bool)
    return values[last], None if stderr is None else stderr[last]
