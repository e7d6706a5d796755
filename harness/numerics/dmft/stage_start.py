"""A stage's start: layers and readouts drawn afresh or set to zero, and gradients met early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from harness.numerics.compiling import compiled_fast
from harness.numerics.dmft.fields import (
    TRAINING_AXES,
    Fields,
    Program,
    Training,
    Units,
    backward,
    units_axes,
)
from harness.numerics.dmft.history import REPLICATES, Array, Side
from harness.numerics.dmft.noise import Noise, SampledNoise
from harness.numerics.problem import StageArrays


def redrawn(
    units: Units, omega: NDArray[Any], stage: StageArrays, noises: Sequence[SampledNoise]
) -> tuple[Units, NDArray[Any]]:
    """Return the units, and untrained first-layer weights, with a stage's layers drawn afresh.

    The directions of the history remain, and the fresh weights answer them with fresh noise,
    independent of all before; nothing has trained them yet.
    """
    if 1 in stage.redrawn:
        omega = np.stack([noise.white(omega.shape[1]) for noise in noises]).astype(omega.dtype)
        units = units._replace(omega=omega)
    transitions = list(units.transitions)
    for layer in sorted(set(stage.redrawn) - {1}):
        t = transitions[layer - 2]
        empty = np.zeros_like(t.memory)
        transitions[layer - 2] = t._replace(
            lower=t.lower._replace(noise=_answers(t.lower, int(t.gradients), noises)),
            upper=t.upper._replace(noise=_answers(t.upper, int(t.features), noises)),
            memory=empty,
            reference=empty,
        )
    return units._replace(transitions=tuple(transitions)), omega


def _answers(side: Side, used: int, noises: Sequence[SampledNoise]) -> NDArray[Any]:
    """Return fresh noise for the directions in use on the other side of the weights."""
    found = np.zeros_like(np.asarray(side.noise))
    for r, noise in enumerate(noises):
        basis = np.asarray(side.basis[r], np.float64)
        left = 1.0 - np.sum(basis**2) / basis.shape[1] ** 2  # as in `history.unexplored`
        found[r, :used] = np.sqrt(left) * noise.white(used, basis)
    return found


def with_readout(units: Units, stage: StageArrays, index: int, noises: Sequence[Noise]) -> Units:
    """Return the units with the readout of a stage's start: kept, drawn afresh, or zero."""
    if stage.readout == "zero":
        shape = (len(noises), *stage.outputs, units.w.shape[-1])
        return units._replace(w=np.zeros(shape, units.w.dtype))
    if stage.readout == "reset" and index > 0:
        upper = units.transitions[-1].upper if units.transitions else ()
        fresh = [
            n.readout(index, [x[r] for x in upper], stage.outputs) for r, n in enumerate(noises)
        ]
        return units._replace(w=np.stack(fresh).astype(units.w.dtype))
    return units


@compiled_fast(static_argnames=("program",))
def meet_outputs(
    program: Program,
    units: Units,
    training: Training,
    fields: Fields,
    draws: tuple[Array, ...],
) -> Units:
    """Add the gradients of every output to the history at a stage's start, in all replicates.

    A linearised stage then explores nothing new, however its error signal turns from one output to
    another: the sampling noise of new directions, which it would divide by its small richness, does
    not arise.

    Args:
        program: constants of compiled steps.
        units: the weights, which `begin` returned.
        training: the stage.
        fields: its points' fields at the start.
        draws: Gaussian draws for new directions, (outputs, train, samples) per pair of layers.
    """

    def meet(units: Units, training: Training, fields: Fields, draws: tuple[Array, ...]) -> Units:
        for output, w in enumerate(units.w):
            down = tuple(pair[output] for pair in draws)
            units, _, _ = backward(program, units, training, fields, w[None], training.mask, down)
        return units

    axes = units_axes(units)
    side_by_side = jax.vmap(meet, (axes, TRAINING_AXES, 0, 0), axes, axis_name=REPLICATES)
    found: Units = side_by_side(units, training, fields, draws)
    return found
