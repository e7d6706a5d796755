"""Two-layer networks at infinite width, by quasi-Monte Carlo over hidden units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from harness import (
    Dataset,
    DivergenceError,
    Observable,
    Params,
    Problem,
    ProblemSize,
    Stage,
    Trajectory,
    TransferData,
    Work,
    recorded_steps,
    theory,
)

FIRST_SAMPLES = 8192
MOST_SAMPLES = 2**20
RELATIVE_COST = 1.15
"""Time that a sample takes, beside a hidden unit of the networks of `ProblemSize.training`."""
WEIGHT_COPIES = 4
"""Arrays of the size of the weights that are held: before and after a step, at the stage's start
where something is coupled to them, and one to spare."""


class MeanFieldParams(Params):
    """Parameters of `mean-field`."""

    target_error: float = Field(default=0.01, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    samples: int | None = Field(default=None, ge=32, le=MOST_SAMPLES)
    """Hidden units in all, over the replicates; chosen for the target error when not given."""
    replicates: int = Field(default=8, ge=2, le=64)
    """Independent solutions whose spread gives the standard errors."""
    memory_gib: float = Field(default=2.0, gt=0)
    """Bound on the memory of the particles; the target error gives way to it."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the particles."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples."""


@theory(
    "mean-field",
    version="3",
    tags={"two-layer", "adaptive"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448, Result 1",
)
class MeanField:
    """Exact infinite-width limit of two-layer networks, any activation and any stages.

    Each hidden unit is an independent draw of (omega, z), coupled to the rest through the
    average that makes the predictor; the same discrete steps as the networks, so time
    discretisation cancels. Samples are antithetic pairs (omega, +-z) on a scrambled Sobol
    sequence with exact second moments. Stages with a temperature also give averages over their
    stationary window. Cost: samples x points x rank a step.

    Domain: one hidden layer, dense, every protocol option.
    """

    def __init__(self, params: MeanFieldParams) -> None:
        self.params = params

    def supports(self, problem: Problem) -> str | None:
        """Return None for one dense hidden layer, else the reason."""
        architecture = problem.architecture
        if architecture.connectivity != "dense":
            return f"describes dense layers, not {architecture.connectivity} ones"
        if architecture.depth != 1:
            return f"describes one hidden layer, not {architecture.depth}"
        return None

    def cost(self, size: ProblemSize) -> Work:
        """Return the work of one solution; without given samples, of the first and smallest."""
        rank, p = min(size.total, size.inputs), self.params
        samples = p.samples or FIRST_SAMPLES
        work = size.training(samples, inputs=rank, keeps_features=False).times(RELATIVE_COST)
        one = size.training(samples // p.replicates, inputs=rank)
        kept = WEIGHT_COPIES * samples * (rank + 1) * np.dtype(p.precision).itemsize
        return replace(work, bytes=one.bytes + kept)

    def predict(self, problem: Problem) -> Trajectory:
        """Solve the particle system, with more samples until the target error is met."""
        from harness import observables

        p = self.params
        most = p.samples or min(MOST_SAMPLES, self._affordable(problem))
        first = p.samples or min(FIRST_SAMPLES, most)

        def solve(samples: int) -> Trajectory:
            if p.samples is None:  # Sobol points are most even in powers of two
                samples = min(most, 2 ** int(np.ceil(np.log2(samples))))
            return self._solve(problem, max(2, samples // (2 * p.replicates)) * 2)

        return observables.until_accurate(solve, p.target_error, first, most)

    def _affordable(self, problem: Problem) -> int:
        """Return how many samples fit in the memory bound."""
        points = sum(len(d) for d in problem.data.sets().values())
        # pre-activations and what follows from them are there of one replicate at a time
        numbers = 6 * points / self.params.replicates
        numbers += WEIGHT_COPIES * min(points, problem.data.target.x[0].size)
        size = np.dtype(self.params.precision).itemsize
        return max(64, int(self.params.memory_gib * 2**30 / (numbers * size)))

    def _solve(self, problem: Problem, samples: int) -> Trajectory:
        """Solve with a number of samples in each replicate."""
        import jax
        import jax.numpy as jnp

        from harness import numerics, observables

        p, stages = self.params, problem.protocol.stages
        reduced = _reduce(problem)
        rank = reduced.target.x.shape[1]
        draws = [
            numerics.antithetic_gaussian(samples, rank, (p.seed, r)) for r in range(p.replicates)
        ]
        particles = numerics.Particles(
            jnp.asarray(np.stack([omega.T for omega, _ in draws]), p.precision),
            jnp.asarray(np.stack([z for _, z in draws]), p.precision),
            jnp.zeros((p.replicates, 0), p.precision),
        )
        activation = problem.architecture.activation
        controls = [
            # noise wipes out the initial draw, and with it what its error has contributed
            control * all(s.temperature == 0 for s in stages[: index + 1])
            for index, stage in enumerate(stages)
            for control in [self._control(particles, reduced, stage, activation)]
        ]
        keys = jax.vmap(jax.random.key)(jnp.arange(p.replicates) + p.replicates * p.seed)
        found = []
        notes: dict[str, float] = {"samples": samples * p.replicates, "replicates": p.replicates}
        for index, stage in enumerate(stages):
            if stage.readout == "zero":
                particles = particles._replace(z=jnp.zeros_like(particles.z))
            elif stage.readout == "reset" and index > 0:
                fresh = [
                    numerics.stratified_gaussian(samples, (p.seed, r, index))
                    for r in range(p.replicates)
                ]
                particles = particles._replace(z=jnp.asarray(np.stack(fresh), p.precision))
            window = numerics.BlockMeans(stage.steps if stage.temperature > 0 else 0)
            particles, keys, observed = self._stage(
                reduced, stage, particles, controls[index], keys, activation, window
            )
            notes |= observables.stationary_notes(index, stage, window.means)
            found.append(observed)
        return Trajectory(tuple(found), notes)

    def _control(self, particles: Any, data: TransferData, stage: Stage, activation: str) -> Any:
        """Return the sampling error of the kernel with which a lazy network would learn."""
        import jax.numpy as jnp

        from harness import numerics, observables

        points, _, sets = observables.stage_points(data, stage)
        factor = jnp.asarray(points, self.params.precision)
        features, hidden = numerics.initial_kernel_error(particles, factor, activation=activation)
        readout_only = stage.trainable == "readout" or stage.readout == "zero"
        error = features if readout_only else features + hidden
        return error[:, :, slice(*sets.train)]

    def _stage(
        self,
        data: TransferData,
        stage: Stage,
        particles: Any,
        control: Any,
        keys: Any,
        activation: str,
        window: Any,
    ) -> tuple[Any, Any, dict[str, Observable]]:
        """Train the particles through one stage; `data` holds reduced inputs."""
        import jax.numpy as jnp

        from harness import numerics, observables

        dtype = self.params.precision
        points, labels, sets = observables.stage_points(data, stage)
        y = jnp.asarray(labels, dtype)
        names = ("richness", "step_size", "decay", "elastic", "temperature")
        rates = numerics.ParticleRates(*(jnp.asarray(getattr(stage, n), dtype) for n in names))
        particles = particles._replace(impulse=jnp.zeros((len(control), control.shape[2]), dtype))
        frame = numerics.ParticleFrame(
            factor=jnp.asarray(points, dtype),
            start=jnp.zeros((len(control), len(y)), dtype),
            control=control,
            reference=jnp.copy(particles.omega) if stage.elastic > 0 else particles.omega[:, :0],
        )
        if stage.center:
            start = numerics.particle_predictor(
                particles, frame, rates.richness, activation=activation
            )
            frame = frame._replace(start=start)
        outputs = numerics.ParticleOutputs(activation)
        steps = recorded_steps(stage.steps)
        rows, done = [], 0
        for step in sorted({*steps.tolist(), *window.at.tolist()}):
            particles, keys = numerics.advance_particles(
                particles,
                frame,
                y[slice(*sets.train)],
                rates,
                keys,
                step - done,
                activation=activation,
                frozen=stage.trainable == "readout",
                elastic=stage.elastic > 0,
                noise=stage.temperature > 0,
            )
            done = step
            now = (particles, frame.start, frame.control), (frame.factor, rates.richness)
            curves = observables.replicate_curves(sets, y, outputs, *now)
            if window.due(step):
                snapshot = observables.replicate_snapshots(sets, y, outputs, *now)
                window.add(step, curves | snapshot)
            if step not in steps:
                continue
            rows.append(curves)
            if not np.isfinite(rows[-1]["loss/train"]).all():
                raise DivergenceError(
                    f"mean-field: the loss stopped being finite (dt = {stage.dt:g}, richness ="
                    f' {stage.richness:g}); use a smaller dt, or dt = "auto"'
                )
        final = observables.replicate_snapshots(sets, y, outputs, *now)
        recorded = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
        kept = {name: np.asarray(value) for name, value in final.items()}
        return (
            particles,
            keys,
            observables.stage_observables(steps, recorded, kept, replicated=True)
            | observables.stationary_observables(stage.steps, window.means, replicated=True),
        )


def _reduce(problem: Problem) -> TransferData:
    """Return the data with inputs replaced by E, in the directions that the points span.

    Rows of E have E(x).E(x') = K_x(x, x'). Its leading directions are those in which the
    training labels pull the weights, then those of decreasing eigenvalue.
    """
    from harness import numerics
    from harness import points as points_of

    points, sets = points_of.stacked_points(problem), problem.data.sets()
    pulls = [
        np.concatenate([d.y * (name == trained) for name, d in sets.items()])
        for trained in ("source", "target")
        if trained in sets
    ]
    factor = numerics.gram_factor(points.x, np.stack(pulls, axis=1))
    return TransferData(
        **{name: Dataset(factor[points.where[name]], d.y) for name, d in sets.items()},
        facts=problem.data.facts,
    )
