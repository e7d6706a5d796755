"""The automatic step: a cheap pilot network measures how stiff the training becomes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from harness import observables
from harness.errors import DivergenceError, LimitbenchError
from harness.networks.ensemble import Ensemble
from harness.networks.programs import apply_layers, filled, predictor
from harness.networks.transforms import Terms, Weights
from harness.numerics.compiling import compiler_options
from harness.numerics.losses import CURVATURE, along_outputs
from harness.records import NARROW_WIDTH, PILOT_WIDTH, Problem, Stage

PILOT_CHECKS = 12
POWER_ITERATIONS = 30
STABILITY = 0.4
"""dt times the largest eigenvalue along the pilot; explicit Euler is stable below 2."""
ATTEMPTS = 12
NARROW_SEEDS = range(32)
NARROW_STABILITY = 1.0
"""The same product for the stiffest of narrow networks, which scatter."""


def _power_iteration(
    module: nn.Module,
    width: int,
    weights: Weights,
    x: Float[Array, "rows ..."],
    counts: Bool[Array, " rows"],
    richness: Float[Array, ""],
    terms: Terms,
) -> Float[Array, ""]:
    """Return the largest eigenvalue of gamma^2 N J J^T, the kernel that moves the predictor.

    J is the Jacobian by the trained weights.
    """

    def output(weights: Weights) -> Float[Array, " rows *outputs"]:
        features = apply_layers(module, weights["hidden"], x).features[-1]
        found = predictor(features, weights, width, richness)
        return jnp.where(along_outputs(counts, found), found, 0)

    weights = jax.tree.map(lambda w: w[0], weights)
    value, push = jax.linearize(output, weights)
    _, pull = jax.vjp(output, weights)

    def iterate(_: Int[Any, ""], v: Array) -> Array:
        (along,) = pull(v / jnp.maximum(jnp.linalg.norm(v), 1e-30))
        moved: Array = push(terms.trained(along))
        return richness**2 * width * moved

    tilted = jnp.linspace(-0.5, 0.5, value.size, dtype=value.dtype).reshape(value.shape)
    start = jnp.ones_like(value) + tilted
    return jnp.linalg.norm(jax.lax.fori_loop(0, POWER_ITERATIONS + 1, iterate, start))


@functools.cache
def _compiled_power_iteration() -> Callable[..., Any]:
    return jax.jit(
        _power_iteration,
        static_argnames=("module", "width", "terms"),
        compiler_options=compiler_options(),
    )


def _largest_eigenvalue(ensemble: Ensemble, stage: Stage, weights: Weights) -> float:
    """Return the largest eigenvalue of the kernel with which the pilot's predictor moves."""
    points, _, sets = observables.stage_points(ensemble.problem.data, stage)
    train, rows = points[slice(*sets.train)], ensemble.training_rows(stage)
    value = _compiled_power_iteration()(
        ensemble.module,
        ensemble.width,
        weights,
        filled(train.astype(ensemble.dtype), rows),
        np.arange(rows) < len(train),
        ensemble.dtype.type(stage.richness_at(ensemble.width)),
        # the other terms have no part in the kernel
        ensemble.terms(replace(stage, elastic=0.0, temperature=0.0, loss="squared")),
    )
    return float(value)


def resolve_steps(problem: Problem, narrowest: int | None = None) -> list[float]:
    """Return a number for every stage's dt; numbers that are given are kept.

    A pilot network of width `PILOT_WIDTH` trains through the protocol. Where dt is "auto" it is
    `STABILITY` over the largest eigenvalue of the kernel seen along the stage (the neural tangent
    kernel, or the feature kernel while only the readout trains; decay and elastic coupling add to
    it), found by repeating the stage with smaller steps until it holds, and rounded down to two
    digits. Where longer trials meet much larger eigenvalues than the last one, as with the logistic
    loss, the step is smaller than that. The result depends on task, architecture and protocol
    alone, so every width and theory of an experiment shares it.

    Networks narrower than `NARROW_WIDTH` may be several times as stiff as the pilot. If there are
    any, the stiffest of `NARROW_SEEDS` at the start, of the narrowest width, trains through the
    protocol too, and steps shrink until theirs times its largest eigenvalue is at most
    `NARROW_STABILITY`.

    Args:
        problem: with steps that are numbers or "auto".
        narrowest: smallest width of the networks that will take the steps.

    Raises:
        DivergenceError: if no stable step is found.
        LimitbenchError: if nothing that a stage trains moves the predictor.
    """
    stages = problem.protocol.stages
    if all(stage.dt != "auto" for stage in stages):
        return [stage.step_size for stage in stages]
    ensemble = Ensemble(problem, PILOT_WIDTH, [0], "float32")
    found: list[float] = []
    for index, stage in enumerate(stages):
        if stage.dt == "auto":
            found.append(_stable_step(ensemble, index, stage))
        else:
            _stiffness(ensemble, index, stage)  # trains, for the stages after this one
            found.append(stage.dt)
    if narrowest is not None and narrowest < NARROW_WIDTH:
        return _narrow_steps(problem, narrowest, found)
    return found


def _narrow_steps(problem: Problem, width: int, dts: list[float]) -> list[float]:
    """Return the steps, with the automatic ones shortened until narrow networks can take them."""
    first = replace(problem.protocol.stages[0], steps=0, dt=1.0)

    def start(seed: int) -> float:
        return _stiffness(Ensemble(problem, width, [seed], "float32"), 0, first)

    ensemble = Ensemble(problem, width, [max(NARROW_SEEDS, key=start)], "float32")
    found: list[float] = []
    for index, (stage, dt) in enumerate(zip(problem.protocol.stages, dts, strict=True)):
        trial = replace(stage, dt=dt)
        before, seen = ensemble.weights, _stiffness(ensemble, index, trial)
        for _ in range(ATTEMPTS):
            if stage.dt != "auto" or seen * trial.step_size <= NARROW_STABILITY:
                break
            shorter = NARROW_STABILITY / (1.05 * seen) if math.isfinite(seen) else 0.0
            trial = replace(stage, dt=_round_down(shorter or trial.step_size / 2))
            ensemble.weights = before
            seen = _stiffness(ensemble, index, trial)
        else:
            raise _no_step(trial, index)
        found.append(trial.step_size)
    return found


def _stable_step(ensemble: Ensemble, index: int, stage: Stage) -> float:
    before = ensemble.weights
    trial = replace(stage, steps=0, dt=1.0)
    eigenvalue = _stiffness(ensemble, index, trial)
    if eigenvalue <= 0:
        raise LimitbenchError(
            f'dt = "auto": no weight that stage {index} trains moves the predictor, so that no step'
            " is the largest stable one; train other layers, or give dt as a number"
        )
    for _ in range(ATTEMPTS):
        trial = replace(stage, dt=_round_down(STABILITY / eigenvalue))
        ensemble.weights = before
        seen = _stiffness(ensemble, index, trial)
        if seen * trial.step_size <= 1.1 * STABILITY:
            return trial.step_size
        eigenvalue = 1.05 * seen if math.isfinite(seen) else 2.0 * eigenvalue
    raise _no_step(trial, index)


def _no_step(stage: Stage, index: int) -> DivergenceError:
    return DivergenceError(
        f'dt = "auto": no stable step for stage {index} was found in {ATTEMPTS} pilot runs, the'
        f" last with dt = {stage.step_size:g}; lower the richness ({stage.richness:g}) or the"
        f" number of steps ({stage.steps}), or give dt as a number"
    )


def _stiffness(ensemble: Ensemble, index: int, stage: Stage) -> float:
    """Train a stage and return the largest rate seen; infinity if it diverged."""
    # features that do not move have one kernel
    checks = PILOT_CHECKS if stage.moves_features else 1
    pauses = sorted({round(stage.steps * i / checks) for i in range(checks + 1)})
    largest = 0.0
    for pause in ensemble.run(index, pauses, stage):
        if stage.trainable != "readout":
            value = _largest_eigenvalue(ensemble, stage, pause.weights)
        else:
            features = pause.features(0)
            with observables.observing():
                kernel = observables.feature_kernel(features, features)
                value = float(np.linalg.eigvalsh(kernel)[-1])
        if int(pause.diverged[0]) >= 0 or not math.isfinite(value):
            return math.inf
        largest = max(largest, value)
    return CURVATURE[stage.loss] * largest + stage.decay + stage.elastic


def _round_down(value: float) -> float:
    """Return the value cut to two significant digits."""
    digits = 1 - math.floor(math.log10(value))
    return math.floor(value * 10**digits) / 10**digits
