"""Two-layer networks at infinite width, by quasi-Monte Carlo over hidden units."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

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
    Unkeyed,
    Work,
    recorded_steps,
    theory,
)

FIRST_SAMPLES = 8192
MOST_SAMPLES = 2**22
RELATIVE_COST = 1.3
"""Time that a sample takes, beside a hidden unit of the networks of `ProblemSize.training`."""
DRIVEN = 1.6
"""Samples that are driven for each one that is trained, at most, are this times the square root
of the steps: what driving leaves of the error, and the costs of both, are then in balance."""
WEIGHT_COPIES = 4
"""Arrays of the size of the weights that are held: before and after a step, at the stage's start
where something is coupled to them, and one to spare."""


class _Setup(NamedTuple):
    """A stage, where its sets lie, and what its units see."""

    stage: Stage
    sets: Any
    seen: Any


class MeanFieldParams(Params):
    """Parameters of `mean-field`."""

    target_error: float = Field(default=0.01, gt=0)
    """Standard error to reach, as a fraction of the norm of the predictor on the test points."""
    samples: int | None = Field(default=None, ge=32, le=MOST_SAMPLES)
    """Hidden units in all, over the replicates, all of them trained; chosen for the target error
    when not given."""
    replicates: int = Field(default=8, ge=2, le=64)
    """Independent solutions whose spread gives the standard errors."""
    memory_gib: Annotated[float, Field(gt=0), Unkeyed()] = 2.0
    """Bound on the memory of the particles; the target error gives way to it."""
    precision: Literal["float32", "float64"] = "float32"
    """Arithmetic of the particles."""
    seed: int = Field(default=0, ge=0)
    """Seed of the samples."""


@theory(
    "mean-field",
    version="5",
    tags={"two-layer", "adaptive"},
    citation="Lauditi, Bordelon & Pehlevan, arXiv:2507.04448, Result 1",
)
class MeanField:
    """Exact infinite-width limit of two-layer networks, any activation and any stages.

    Each hidden unit is an independent draw of (omega, z), coupled to the rest through the
    average that makes the predictor; the same discrete steps as the networks, so time
    discretisation cancels. Samples are antithetic pairs (omega, +-z) on a scrambled Sobol
    sequence with exact second moments. Where the target error asks for many, most of them are not
    trained but driven through a few long steps by the error signal that is known by then, and
    tell what the trained ones miss of the predictor. Stages with a temperature train all, and
    also give averages over their stationary window. Cost: samples x points x rank a step.

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
        one = size.training(samples // p.replicates, inputs=rank)
        kept = WEIGHT_COPIES * samples * (rank + 1) * np.dtype(p.precision).itemsize
        looks = sum(len(recorded_steps(stage.steps)) for stage in size.stages)
        return replace(
            one.times(RELATIVE_COST * p.replicates),
            calls=float(looks * p.replicates),
            bytes=one.bytes + kept,
        )

    def predict(self, problem: Problem) -> Trajectory:
        """Solve the particle system, with more samples until the target error is met."""
        from harness import numerics, observables

        p, setups = self.params, self._setups(problem)
        stages, activation = [setup.seen for setup in setups], problem.architecture.activation
        most = p.samples or min(MOST_SAMPLES, self._affordable(problem))
        first = p.samples or min(FIRST_SAMPLES, most)
        signals: list[Any] = []

        def draw(samples: int, *entropy: int) -> Any:
            seeds = [(p.seed, r, *entropy) for r in range(p.replicates)]
            return numerics.draw_units(stages, samples, seeds, p.precision)

        def solve(samples: int) -> Trajectory:
            if p.samples is None:  # Sobol points are most even in powers of two
                samples = min(most, 2 ** int(np.ceil(np.log2(samples))))
            drives = numerics.stage_drives(stages, signals)
            trained = max(first, self._least_trained(setups, samples)) if drives else samples
            units = draw(max(2, trained // (2 * p.replicates)) * 2)
            errors = numerics.kernel_errors(stages, units, activation)
            missing: list[Any] = [None] * len(stages)
            taken = 1
            if drives:
                taken = samples // units.z.size
                many = draw(taken * units.z.shape[1], 0)
                missing = numerics.correction(stages, units, errors, many, drives, activation)
            found, signals[:] = self._solve(setups, units, errors, missing, activation)
            return replace(found, notes={"samples": taken * units.z.size, **found.notes})

        # replicates run side by side: threads within their small matrices wait for each other
        with threadpool_limits(1):
            return observables.until_accurate(solve, p.target_error, first, most)

    def _least_trained(self, setups: list[_Setup], samples: int) -> int:
        """Return how many samples are trained if so many are driven, a power of two."""
        steps = sum(setup.stage.steps for setup in setups)
        return int(2 ** np.ceil(np.log2(samples / (DRIVEN * max(steps, 1) ** 0.5))))

    def _affordable(self, problem: Problem) -> int:
        """Return how many samples fit in the memory bound."""
        points = sum(len(d) for d in problem.data.sets().values())
        # pre-activations and what follows from them are there of one replicate at a time
        numbers = 6 * points / self.params.replicates
        numbers += WEIGHT_COPIES * min(points, problem.data.target.x[0].size)
        size = np.dtype(self.params.precision).itemsize
        return max(64, int(self.params.memory_gib * 2**30 / (numbers * size)))

    def _setups(self, problem: Problem) -> list[_Setup]:
        """Return the stages as their units see them."""
        from harness import numerics, observables

        reduced, dtype = _reduce(problem), np.dtype(self.params.precision)
        names = ("richness", "step_size", "decay", "elastic", "temperature")
        found = []
        for stage in problem.protocol.stages:
            points, labels, sets = observables.stage_points(reduced, stage)
            rates = numerics.StageRates(*(dtype.type(getattr(stage, n)) for n in names))
            seen = numerics.ParticleStage(
                factor=points.astype(dtype),
                y=labels.astype(dtype),
                train=sets.train[1],
                looked=sets.test[1],
                rates=rates,
                steps=stage.steps,
                recorded=recorded_steps(stage.steps),
                readout=stage.readout,
                frozen=stage.trainable == "readout",
                center=stage.center,
            )
            found.append(_Setup(stage, sets, seen))
        return found

    def _solve(
        self,
        setups: list[_Setup],
        units: Any,
        controls: list[Any],
        missing: list[Any],
        activation: str,
    ) -> tuple[Trajectory, list[Any]]:
        """Train units through all stages; return also the impulses at their recorded steps."""
        from harness import numerics, observables

        p, particles = self.params, units.particles()
        noise = numerics.ParticleNoise(np.arange(p.replicates) + p.replicates * p.seed, 0)
        found, signals = [], []
        notes: dict[str, float] = {"replicates": p.replicates}
        for index, setup in enumerate(setups):
            stage = setup.stage
            window = numerics.BlockMeans(stage.steps if stage.temperature > 0 else 0)
            particles, observed, signal = self._stage(
                setup,
                units.at_start(particles, index, setup.seen),
                controls[index],
                missing[index],
                noise,
                window,
                activation,
            )
            noise = noise._replace(done=noise.done + stage.steps)
            notes |= observables.stationary_notes(index, stage, window.means)
            found.append(observed)
            signals.append(signal)
        return Trajectory(tuple(found), notes), signals

    def _stage(
        self,
        setup: _Setup,
        particles: Any,
        control: Any,
        missing: Any,
        noise: Any,
        window: Any,
        activation: str,
    ) -> tuple[Any, dict[str, Observable], NDArray[np.float64]]:
        """Train the particles through one stage; without noise if something is missing."""
        from harness import numerics, observables

        stage, sets, seen = setup
        factor, y, rates, train = seen.factor, seen.y, seen.rates, slice(*sets.train)
        particles = particles._replace(impulse=np.zeros((len(control), sets.train[1]), y.dtype))
        zero = np.zeros((len(control), len(y)), y.dtype)
        frame = numerics.ParticleFrame(
            factor=factor,
            start=zero,
            drift=zero,
            control=control,
            reference=particles.omega if stage.elastic > 0 else None,
        )
        if stage.center:
            start = numerics.particle_predictor(
                particles, frame, rates.richness, activation=activation
            )
            frame = frame._replace(start=start)
        if seen.frozen:
            hidden = numerics.kept_hidden(particles, factor, activation=activation)
            frame = frame._replace(hidden=hidden)
        recorded = seen.recorded
        steps = sorted({*recorded.tolist(), *window.at.tolist()})
        starts = np.broadcast_to(frame.start, (len(steps), *frame.start.shape)).copy()
        if missing is not None:
            starts[..., : missing.shape[-1]] -= missing
        rows, signal, done = [], [], 0
        for before, after, step in zip([starts[0], *starts[:-1]], starts, steps, strict=True):
            drift = (after - before) / max(step - done, 1)
            particles = numerics.advance_particles(
                particles,
                frame._replace(start=before, drift=drift),
                y[train],
                rates,
                noise._replace(done=noise.done + done) if stage.temperature > 0 else None,
                step - done,
                activation=activation,
                frozen=seen.frozen,
            )
            done = step
            look = _Look(setup, activation, particles, frame._replace(start=after))
            kept = window.due(step) or step == steps[-1]
            curves, snapshot = look.at_units(with_snapshot=kept)
            if window.due(step):
                window.add(step, curves | snapshot)
            if step not in recorded:
                continue
            rows.append(curves)
            signal.append(np.asarray(particles.impulse, np.float64).mean(axis=0))
            if not np.isfinite(rows[-1]["loss/train"]).all():
                raise DivergenceError(
                    f"mean-field: the loss stopped being finite (dt = {stage.dt:g}, richness ="
                    f" {stage.richness:g}); use a smaller dt, for example"
                    f" {stage.step_size / 4:.2g}"
                )
        curves = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
        observed = observables.stage_observables(
            recorded, curves, snapshot, replicated=True
        ) | observables.stationary_observables(stage.steps, window.means, replicated=True)
        return particles, observed, np.stack(signal)


class _Look(NamedTuple):
    """Units at a recorded step of a stage."""

    setup: _Setup
    activation: str
    particles: Any
    frame: Any

    def at_units(
        self, *, with_snapshot: bool
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Return the curves of every replicate, and its snapshot where it is asked for."""
        from harness import numerics, observables

        sets, seen = self.setup.sets, self.setup.seen

        def one(replicate: int) -> tuple[Any, Any, Any]:
            with np.errstate(all="ignore"):  # what diverges is told by values that are not finite
                output, h, phi = numerics.particle_outputs(
                    self.particles,
                    self.frame,
                    seen.rates.richness,
                    replicate,
                    activation=self.activation,
                )
                blocks = observables.feature_blocks(sets, phi)
                if not with_snapshot:
                    return output, blocks, {}
                snapshot = observables.unit_snapshot(sets, seen.y, output, [h], [phi])
                return output, blocks, snapshot

        numbers = 2 * len(seen.y) * len(self.particles.z[0])
        rows = numerics.side_by_side(one, len(self.particles.z), numbers)
        outputs, blocks, snapshots = zip(*rows, strict=True)
        # small matrices: replicates one at a time would cost several times as much
        curves = observables.block_curves(
            sets, seen.y, np.stack(outputs), observables.stacked(blocks)
        )
        return curves, observables.stacked(snapshots)


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
