"""The mean-field march: hidden units through all stages of a problem, replicates side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from harness.numerics.mean_field.correction import correction, frozen_signals
from harness.numerics.mean_field.kernel_errors import exact_kernels, kernel_errors
from harness.numerics.mean_field.linearised import run_linearised
from harness.numerics.mean_field.particles import (
    ParticleFrame,
    ParticleNoise,
    Particles,
    advance_particles,
    kept_hidden,
    particle_outputs,
    particle_predictor,
)
from harness.numerics.mean_field.positions import as_rows
from harness.numerics.mean_field.units import ParticleStage, draw_units
from harness.numerics.problem import Observe, ProblemArrays, Solved, UnitView
from harness.numerics.sampling.gaussian import gram_factor

Signals = list[NDArray[np.float64]]
"""`Particles.impulse` at the recorded steps of each stage, averaged over replicates."""

AtEnd = Callable[[int, ParticleStage, Particles, NDArray[Any]], None]
"""Function of a stage's number, the stage, its units at the end, and the errors of its initial
kernels, (replicates, points, train): see `ParticleFrame.control`."""

FOLLOWING = 1.6
"""Largest ratio of samples under the frozen error signal to trained ones, over the square root of
the steps: the remaining error of the correction and the costs of both are then in balance."""


class MeanFieldSettings(NamedTuple):
    """Settings of `solve_mean_field`.

    Attributes:
        replicates: independent solutions, at least 2.
        precision: of the units, "float32" or "float64".
        seed: of the draws.
        trained: least number of trained samples beside others under a frozen error signal; None to
            train all, and to take exactly the number of samples requested.
        most: most samples where their number is rounded up.
    """

    replicates: int
    precision: str
    seed: int
    trained: int | None
    most: int


def solve_mean_field(
    problem: ProblemArrays,
    settings: MeanFieldSettings,
    samples: int,
    observe: Observe,
    known: Signals | None,
) -> Solved[Signals]:
    """Solve two-layer networks by training samples of their hidden units.

    Where an earlier solution gives an error signal, most samples are not trained but move under
    this frozen error signal: see `harness.numerics.mean_field.correction`.

    Args:
        problem: with one hidden layer.
        settings: of the solver.
        samples: total hidden units, over replicates.
        observe: receives every stage.
        known: error signals of a solution with fewer samples.

    Returns:
        Notes, and the error signals of the trained units.
    """
    return march_units(problem, settings, samples, observe, known)


def march_units(
    problem: ProblemArrays,
    settings: MeanFieldSettings,
    samples: int,
    observe: Observe,
    known: Signals | None,
    at_end: AtEnd | None = None,
) -> Solved[Signals]:
    """Solve as `solve_mean_field` does; also hand the units at every stage's end to `at_end`."""
    stages = particle_stages(problem, settings.precision)
    activation, replicates = problem.activation, settings.replicates
    exact = exact_kernels(stages, activation)

    def draw(count: int, *entropy: int) -> Any:
        seeds = [(settings.seed, r, *entropy) for r in range(replicates)]
        return draw_units(stages, count, seeds, settings.precision)

    # replicates run side by side: threads within their small matrices wait for each other
    with threadpool_limits(1):
        following, trained = frozen_signals(stages, known or []), samples
        if settings.trained is not None:  # Sobol points are most even in powers of two
            samples = trained = min(settings.most, 2 ** int(np.ceil(np.log2(samples))))
            if following:
                trained = max(settings.trained, _least_trained(stages, samples))
        units = draw(max(2, trained // (2 * replicates)) * 2)
        errors = kernel_errors(stages, units, exact, activation)
        corrections: Sequence[NDArray[Any] | None] = [None] * len(stages)
        taken = 1
        if following:
            taken = samples // (replicates * units.samples)
            many = draw(taken * units.samples, 0)
            corrections = correction(stages, units, errors, many, exact, following, activation)
        particles, signals = units.particles(), []
        noise = ParticleNoise(np.arange(replicates) + replicates * settings.seed, 0)
        for index, stage in enumerate(stages):
            start = units.at_start(particles, index, stage)
            if stage.linearised:
                show = partial(observe, index)
                signal = run_linearised(stage, start, errors[index], activation, show)
                particles = start
            else:
                march = _StageMarch(
                    index, stage, activation, errors[index], corrections[index], observe
                )
                particles, signal = march.run(start, noise)
            noise = noise._replace(done=noise.done + stage.steps)
            signals.append(signal)
            if at_end is not None:
                at_end(index, stage, particles, errors[index])
    total = taken * replicates * units.samples
    return Solved({"samples": total, "replicates": replicates}, signals)


def particle_stages(problem: ProblemArrays, precision: str) -> list[ParticleStage]:
    """Return the stages as units see them: inputs in the directions that the points span.

    Rows of their factors E have E(x).E(x') = K_x(x, x'). Its leading directions are those in
    which the training labels of each task pull the weights, then those of decreasing eigenvalue.
    """
    pulls = []
    for train, y in problem.tasks:
        pulls.append(np.zeros((len(problem.x), y.size // len(y))))
        pulls[-1][train] = y.reshape(len(y), -1)
    directions, pooling, features = np.concatenate(pulls, axis=1), None, 1
    if problem.x.ndim == 3:
        pooling = problem.pooling
        features = problem.x.shape[1] if pooling is None else len(pooling)
        directions = _of_features(directions, problem.x.shape[1], pooling)
    rows = gram_factor(as_rows(problem.x), directions)
    factor = rows.reshape(*problem.x.shape[:-1], -1).astype(precision)
    return [
        ParticleStage(
            factor=factor[stage.seen],
            y=stage.y.astype(precision),
            looked=len(stage.train) + len(stage.query),
            rates=stage.rates._replace(
                richness=(1.0 if stage.linearised else stage.rates.richness) / features**0.5
            ).cast(precision),
            recorded=stage.records,
            window=stage.window,
            readout=stage.readout,
            frozen=stage.frozen,
            center=stage.center,
            loss=stage.loss,
            fixed=not stage.trains("readout"),
            redrawn=1 in stage.redrawn,
            linearised=stage.linearised,
            pooling=None if pooling is None else pooling.astype(precision),
        )
        for stage in problem.stages
    ]


def _of_features(
    directions: Float[np.ndarray, "points directions"],
    positions: int,
    pooling: Float[np.ndarray, "features positions"] | None,
) -> Float[np.ndarray, "rows combinations"]:
    """Return combinations of (point, position) for every feature of a unit and direction."""
    of_features = np.eye(positions) if pooling is None else pooling
    return np.einsum("md,kp->mpdk", directions, of_features).reshape(
        len(directions) * positions, -1
    )


def _least_trained(stages: Sequence[ParticleStage], samples: int) -> int:
    """Return the number of trained samples, a power of two, for a total of `samples`."""
    steps = sum(stage.steps for stage in stages)
    return int(2 ** np.ceil(np.log2(samples / (FOLLOWING * max(steps, 1) ** 0.5))))


@dataclass(frozen=True)
class _StageMarch:
    """A stage in progress.

    Attributes:
        index, stage: of the problem.
        activation: name of phi.
        control: errors of the kernels, as in `ParticleFrame`.
        correction: of the predictor at recorded steps, (records, replicates, train and
            test, *outputs), or None.
        observe: receives the stage.
    """

    index: int
    stage: ParticleStage
    activation: str
    control: Float[np.ndarray, "replicates points train"]
    correction: Float[np.ndarray, "records replicates looked *outputs"] | None
    observe: Observe

    def run(
        self, particles: Particles, noise: ParticleNoise
    ) -> tuple[Particles, Float[np.ndarray, "records train *outputs"]]:
        """Train the units through the stage; return them and their error signal."""
        stage, control = self.stage, self.control
        particles = particles._replace(
            impulse=np.zeros((len(control), *stage.y.shape), stage.y.dtype)
        )
        zero = np.zeros((*control.shape[:2], *stage.outputs), stage.y.dtype)
        frame = ParticleFrame(
            factor=stage.factor,
            start=zero,
            drift=zero,
            control=control,
            reference=particles.omega if stage.rates.elastic > 0 else None,
            pooling=stage.pooling,
        )
        richness, activation = stage.rates.richness, self.activation
        if stage.center:
            start = particle_predictor(particles, frame, richness, activation=activation)
            frame = frame._replace(start=start)
        if stage.frozen:
            hidden = kept_hidden(
                particles, stage.factor, activation=activation, pooling=stage.pooling
            )
            frame = frame._replace(hidden=hidden)
        steps = sorted({*stage.recorded.tolist(), *stage.window.tolist()})
        starts = np.broadcast_to(frame.start, (len(steps), *frame.start.shape)).copy()
        if (
            self.correction is not None
        ):  # then there is no window: units with noise have no correction
            starts[:, :, : stage.looked] -= self.correction
        signal, done = [], 0
        for before, after, step in zip([starts[0], *starts[:-1]], starts, steps, strict=True):
            drift = (after - before) / max(step - done, 1)
            particles = advance_particles(
                particles,
                frame._replace(start=before, drift=drift),
                stage.y,
                stage.rates,
                noise._replace(done=noise.done + done) if stage.noisy else None,
                step - done,
                activation=activation,
                frozen=stage.frozen,
                fixed=stage.fixed,
                loss=stage.loss,
            )
            done = step
            self._show(step, particles, frame._replace(start=after))
            signal.append(np.asarray(particles.impulse, np.float64).mean(axis=0))
        return particles, np.stack(signal)

    def _show(self, step: int, particles: Particles, frame: ParticleFrame) -> None:
        def view(replicate: int) -> UnitView:
            output, h, features = particle_outputs(
                particles,
                frame,
                self.stage.rates.richness,
                replicate,
                activation=self.activation,
            )
            apart = h.reshape(*factor.shape[:-1], particles.samples)
            return UnitView(output, [apart], [features])

        factor = self.stage.factor
        numbers = 2 * len(as_rows(factor)) * particles.samples
        self.observe(self.index, step, view, len(particles.z), numbers)
