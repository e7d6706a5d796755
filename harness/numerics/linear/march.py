"""Exact moments of two-layer linear networks through all stages of a problem."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.numerics.linear.moments import (
    ReferenceMoments,
    UnitMoments,
    advance_moments,
    boosted_moments,
    initial_moments,
    moment_kernel,
    moment_outputs,
)
from harness.numerics.problem import KernelView, Observe, ProblemArrays, Solved, always
from harness.numerics.sampling.gaussian import span_basis


def solve_linear(
    problem: ProblemArrays,
    settings: None,
    samples: int,
    observe: Observe,
    known: None,
) -> Solved[None]:
    """Take second moments of the hidden units through every stage, without sampling.

    Args:
        problem: with one linear hidden layer.
        settings: ignored.
        samples: ignored.
        observe: receives every stage.
        known: ignored.

    Returns:
        Notes: the ``rank`` of the training points; after a first stage of gradient flow
        ``boost_deviation``, the relative deviation of <W W^T> from its boost by discrete steps.
    """
    basis = span_basis(problem.x[problem.trained])
    moments = initial_moments(basis.shape[1])
    notes: dict[str, float | int] = {"rank": basis.shape[1]}
    for index, stage in enumerate(problem.stages):
        if stage.readout != "keep":
            fresh = initial_moments(basis.shape[1])
            readout = fresh.readout * float(stage.readout == "reset")
            moments = fresh._replace(readout=readout, hidden=moments.hidden)
        moments = _march(problem, index, basis, moments, observe)
        rates = stage.rates
        forces = (rates.decay, rates.elastic, rates.temperature)
        if index == 0 and not stage.frozen and stage.readout != "zero" and not any(forces):
            notes["boost_deviation"] = _boost_deviation(moments, rates.richness)
    return Solved(notes, None)


def _march(
    problem: ProblemArrays,
    index: int,
    basis: NDArray[np.float64],
    moments: UnitMoments,
    observe: Observe,
) -> UnitMoments:
    """Return the moments at the end of a stage, after showing its recorded steps."""
    stage, rates = problem.stages[index], problem.stages[index].rates.cast("float64")
    x, train = problem.x[stage.seen], slice(0, len(stage.train))
    factor, gram = x @ basis, x @ x.T / x.shape[1]
    offset = moment_outputs(moments, factor, rates.richness) * float(stage.center)
    reference = None
    if rates.elastic > 0:
        reference = ReferenceMoments(moments.cross, moments.hidden, moments.hidden)
    outputs = []
    looks = stage.records if stage.frozen else np.union1d(stage.records, stage.window)
    whole = {stage.steps, *stage.window.tolist()}
    for step, interval in zip(looks.tolist(), np.diff(looks, prepend=0).tolist(), strict=True):
        moments, reference = advance_moments(
            moments,
            reference,
            factor[train],
            stage.y + offset[train],
            rates,
            interval,
            frozen=stage.frozen,
        )
        with np.errstate(all="ignore"):  # the observer reports divergence
            outputs.append(moment_outputs(moments, factor, rates.richness) - offset)
        if not stage.frozen:
            shown = _view(outputs[-1], moments, factor, gram, whole=step in whole)
            observe(index, step, always(shown))
    if stage.frozen:  # one kernel for all records
        shown = _view(np.stack(outputs), moments, factor, gram, whole=True)
        observe(index, stage.records, always(shown))
    return moments


def _view(
    output: NDArray[Any],
    moments: UnitMoments,
    factor: NDArray[Any],
    gram: NDArray[Any],
    *,
    whole: bool,
) -> KernelView:
    """Return the view of moments, with the whole kernel at a stage's end and in its window."""

    def kernel(rows: slice, columns: slice) -> NDArray[Any]:
        return moment_kernel(moments, factor[rows], factor[columns], gram[rows, columns])

    if not whole:
        return KernelView(output, kernel)
    full = moment_kernel(moments, factor, factor, gram)
    return KernelView(output, kernel, full[None], variances=np.maximum(np.diag(full), 0.0)[None])


def _boost_deviation(moments: UnitMoments, richness: float) -> float:
    boost = boosted_moments(moments.cross / richness, richness).hidden
    return float(np.linalg.norm(moments.hidden - boost) / np.linalg.norm(boost))
