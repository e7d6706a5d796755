"""Draws of hidden units for all stages of a problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import NDArray

from harness.numerics.mean_field.particles import Particles
from harness.numerics.problem import StageRates
from harness.numerics.sampling.gaussian import antithetic_gaussian, stratified_gaussian

Array = NDArray[Any]


class ParticleStage(NamedTuple):
    """A stage as arrays for its units.

    Attributes:
        factor: E on its points: the training points, the test points, then others; (points, rank),
            or (points, positions, rank).
        y: labels of the training points, with a last axis of outputs if there are several.
        looked: number of training and test points.
        rates: its rates, in the precision of the units; its richness is gamma / sqrt(K), so that
            sums over the K features of a unit are means over all features.
        recorded: recorded steps, from 0 to its end.
        window: further observed steps, for stages with noise.
        readout: the readout at its start: kept, drawn afresh or zero.
        frozen: whether only the readout is trained.
        fixed: whether the readout is not trained.
        redrawn: whether the hidden weights are drawn afresh at its start.
        linearised: whether the network is linearised around its weights at the start; the richness
            is then 1 / sqrt(K).
        center: whether the predictor at its start is subtracted.
        loss: name of the loss.
        pooling: map from positions to a unit's features, (K, positions); None for all of them.
    """

    factor: Float[np.ndarray, "points *positions rank"]
    y: Float[np.ndarray, " train *outputs"]
    looked: int
    rates: StageRates
    recorded: Int64[np.ndarray, " records"]
    window: Int64[np.ndarray, " observations"]
    readout: Literal["keep", "reset", "zero"]
    frozen: bool
    center: bool
    loss: str
    fixed: bool = False
    redrawn: bool = False
    linearised: bool = False
    pooling: Float[np.ndarray, "features positions"] | None = None

    @property
    def features(self) -> int:
        """Number K of features that a unit shows to the readout."""
        if self.pooling is not None:
            return len(self.pooling)
        return 1 if self.factor.ndim == 2 else self.factor.shape[1]

    @property
    def train(self) -> int:
        """Number of training points."""
        return len(self.y)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of a point's output: (), or (C,) for C outputs."""
        return self.y.shape[1:]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.recorded[-1])

    @property
    def noisy(self) -> bool:
        """Whether the stage has a temperature."""
        return bool(self.rates.temperature > 0)


class Units(NamedTuple):
    """Draws of hidden units.

    Attributes:
        omega: (replicates, rank, samples).
        z: (replicates, K x samples), or (replicates, outputs, K x samples), for K features of a
            unit.
        fresh: new readouts, shaped alike, by the number of the stage that draws them.
        redrawn: new omega, shaped alike, by the number of the stage that draws it.
    """

    omega: Float[np.ndarray, "replicates rank samples"]
    z: Float[np.ndarray, "replicates *outputs readouts"]
    fresh: Mapping[int, Array]
    redrawn: Mapping[int, Array]

    def part(self, taken: slice) -> Units:
        """Return some of the samples of every replicate."""

        def some(z: Array) -> Array:
            apart = z.reshape(*z.shape[:-1], -1, self.samples)[..., taken]
            return apart.reshape(*z.shape[:-1], -1)

        fresh = {index: some(z) for index, z in self.fresh.items()}
        redrawn = {index: omega[..., taken] for index, omega in self.redrawn.items()}
        return Units(self.omega[..., taken], some(self.z), fresh, redrawn)

    @property
    def samples(self) -> int:
        """Number of samples of a replicate."""
        return int(self.omega.shape[-1])

    def particles(self) -> Particles:
        """Return the initial units."""
        return Particles(self.omega, self.z, np.zeros((len(self.z), 0), self.z.dtype))

    def at_start(self, particles: Particles, index: int, stage: ParticleStage) -> Particles:
        """Return trained units with the weights of a stage's start."""
        if index in self.redrawn:
            particles = particles._replace(omega=self.redrawn[index])
        if stage.readout == "zero":
            shape = (len(self.omega), *stage.outputs, self.z.shape[-1])
            return particles._replace(z=np.zeros(shape, self.z.dtype))
        if index in self.fresh:
            return particles._replace(z=self.fresh[index].astype(self.z.dtype))
        return particles


def draw_units(
    stages: Sequence[ParticleStage], samples: int, seeds: Sequence[tuple[int, ...]], precision: str
) -> Units:
    """Draw units for every replicate.

    Args:
        stages: of the problem.
        samples: units of a replicate, an even number.
        seeds: entropy of every replicate.
        precision: of the units.
    """
    rank, outputs, features = stages[0].factor.shape[-1], stages[0].outputs, stages[0].features
    omega = np.empty((len(seeds), rank, samples), precision)
    z = np.empty((len(seeds), *outputs, features * samples), precision)
    for r, seed in enumerate(seeds):
        drawn, readouts = antithetic_gaussian(samples, rank, seed, features * math.prod(outputs))
        omega[r], z[r] = drawn.T, readouts.T.reshape(z[r].shape)

    def readout(seed: tuple[int, ...], index: int) -> Array:
        outputs = stages[index].outputs
        if not outputs and features == 1:
            return stratified_gaussian(samples, (*seed, index))
        count = features * math.prod(outputs)
        draws = [stratified_gaussian(samples, (*seed, index, k)) for k in range(count)]
        return np.stack(draws).reshape(*outputs, -1)

    fresh = {
        index: np.stack([readout(seed, index) for seed in seeds])
        for index, stage in enumerate(stages)
        if stage.readout == "reset" and index > 0
    }
    redrawn = {
        index: np.stack([_redrawn(samples, rank, (*seed, index)) for seed in seeds]).astype(
            precision
        )
        for index, stage in enumerate(stages)
        if stage.redrawn and index > 0
    }
    return Units(omega, z, fresh, redrawn)


def _redrawn(samples: int, rank: int, seed: tuple[int, ...]) -> Float[np.ndarray, "rank samples"]:
    """Return a fresh omega, in an order of its own: evenly spread draws share theirs."""
    drawn, _ = antithetic_gaussian(2 * samples, rank, (*seed, 1))
    order = np.random.default_rng((*seed, 2)).permutation(samples)
    return drawn[order].T
