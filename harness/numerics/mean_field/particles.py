"""Two-layer networks at infinite width: an exact mean-field particle system.

Every hidden unit is an independent draw of (omega, z), coupled to the others only through the
average f(x) = <z phi(h(x))> / gamma, with h(x) = omega . E(x) and E E^T = K_x (arXiv:2507.04448,
Result 1; docs/theory.md, section 2). Averages run over samples; leading axes are independent
replicates, each coupled through its own average, whose spread measures the sampling error.

Steps that move hidden weights are one compiled program; all else is NumPy, which needs no program
for each shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Int64
from numpy.typing import NDArray

from harness.numerics.kernels.activations import activation as named
from harness.numerics.kernels.activations import derivative, on_arrays
from harness.numerics.losses import error_signal
from harness.numerics.mean_field.positions import as_rows, hidden, pooled, pulled, spread
from harness.numerics.problem import StageRates
from harness.numerics.threads import MOST_NUMBERS, side_by_side

Array = NDArray[Any]

OfReplicates = Any
"""An array with a first axis of replicates, or a tuple of arrays, which spares copies."""


class Particles(NamedTuple):
    """Hidden units: first-layer weights in the directions that the points span, and readouts.

    Attributes:
        omega: (replicates, rank, samples); samples last, so that all loops run along them.
        z: (replicates, K x samples), or (replicates, outputs, K x samples) for several outputs;
            K is the number of features that a unit shows to the readout.
        impulse: integral of Delta over the stage so far, (replicates, train), with a last axis of
            outputs if there are several, or (replicates, 0).
    """

    omega: OfReplicates
    z: OfReplicates
    impulse: OfReplicates

    @property
    def samples(self) -> int:
        """Number of samples of each replicate."""
        return int(self.omega[0].shape[-1])

    def replicate(self, index: int) -> Particles:
        """Return the units of one replicate, without its axis."""
        return Particles(self.omega[index], self.z[index], self.impulse[index])

    def on_host(self, index: int) -> Particles:
        """Return the units of one replicate as NumPy arrays, whose operations are not compiled."""
        return Particles(*(np.asarray(array) for array in self.replicate(index)))


class ParticleFrame(NamedTuple):
    """Constants of a stage.

    Attributes:
        factor: E on all points, the stage's training points first, (points, rank), or
            (points, positions, rank).
        start: predictor at the stage's start, or zero, minus the correction of the average over
            samples, (replicates, points), with a last axis of outputs if there are several.
        drift: change of `start` in every step of a call of `advance_particles`.
        control: sampling error of the initial kernel between all points and the training points,
            (replicates, points, train); zero leaves the plain average.
        reference: omega at the stage's start with elastic coupling, else None.
        hidden: h and features of every replicate where they are fixed and stored, else None.
        pooling: map from positions to a unit's features, (K, positions); None for all of them.
    """

    factor: Float[np.ndarray, "points *positions rank"]
    start: Float[np.ndarray, "replicates points *outputs"]
    drift: Float[np.ndarray, "replicates points *outputs"]
    control: Float[np.ndarray, "replicates points train"]
    reference: OfReplicates | None
    hidden: Sequence[tuple[Array, Array]] | None = None
    pooling: Float[np.ndarray, "features positions"] | None = None


class ParticleNoise(NamedTuple):
    """Source of the noise of a temperature.

    Attributes:
        seeds: of every replicate.
        done: steps that were taken before, in all stages.
    """

    seeds: Int64[np.ndarray, " replicates"]
    done: int


def particle_outputs(
    particles: Particles,
    frame: ParticleFrame,
    richness: Float[Any, ""],
    replicate: int,
    *,
    activation: str,
) -> tuple[
    Float[np.ndarray, " points *outputs"],
    Float[np.ndarray, "points hidden"],
    Float[np.ndarray, "points features"],
]:
    """Return f = <z psi> / gamma minus start and control, h and features psi of a replicate."""
    own, factor = particles.on_host(replicate), frame.factor
    if frame.hidden is not None:
        h, features = frame.hidden[replicate]
    else:
        # for factors with few columns, the transposed product takes two thirds of the time
        h = (own.omega.T @ factor.T).T if factor.ndim == 2 else hidden(factor, own.omega)
        features = pooled(on_arrays(activation)[0](h), frame.pooling)
    output = features @ own.z.T / (richness * own.z.shape[-1])
    known = frame.start[replicate] + frame.control[replicate] @ own.impulse
    return output - known, h, features


def particle_predictor(
    particles: Particles, frame: ParticleFrame, richness: Float[Any, ""], *, activation: str
) -> Float[np.ndarray, "replicates points *outputs"]:
    """Return f of every replicate on all points: see `particle_outputs`."""

    def one(replicate: int) -> Array:
        return particle_outputs(particles, frame, richness, replicate, activation=activation)[0]

    numbers = 2 * len(as_rows(frame.factor)) * particles.samples
    return np.stack(side_by_side(one, len(particles.z), numbers))


def kept_hidden(
    particles: Particles,
    factor: Float[np.ndarray, "points *positions rank"],
    *,
    activation: str,
    pooling: Float[np.ndarray, "features positions"] | None = None,
    most: int = MOST_NUMBERS,
) -> Sequence[tuple[Array, Array]] | None:
    """Return h and features of every replicate on all points, or None for over `most` numbers.

    Where only readouts are trained, they are the same in every step: see `ParticleFrame`.
    """
    replicates = len(particles.z)
    numbers = 2 * len(as_rows(factor)) * particles.samples
    if replicates * numbers > most:
        return None

    def one(replicate: int) -> tuple[Array, Array]:
        h = hidden(factor, np.asarray(particles.omega[replicate]))
        return h, pooled(on_arrays(activation)[0](h), pooling)

    return side_by_side(one, replicates, numbers)


def advance_particles(
    particles: Particles,
    frame: ParticleFrame,
    y: Float[np.ndarray, " train *outputs"],
    rates: StageRates,
    noise: ParticleNoise | None,
    steps: int,
    *,
    activation: str,
    frozen: bool,
    fixed: bool = False,
    loss: str = "squared",
) -> Particles:
    """Take Euler steps of gradient flow on a stage's training points.

    Per step  omega += dt (gamma sum_mu phi'(h_mu) (sum_c z_c Delta_{mu c}) E_mu - lambda omega
    - delta (omega - omega_ref)),  z_c += dt (gamma sum_mu phi(h_mu) Delta_{mu c} - lambda z_c),
    plus sqrt(2 dt T) noise on both.

    Delta is the loss's error signal at f, minus a control variate: the contribution of the initial
    kernel's sampling error, known exactly, to first order in the impulse. Its expectation is zero,
    and in the lazy limit it removes the sampling error altogether.

    Args:
        particles: state.
        frame: constants of the stage.
        y: labels of the training points.
        rates: numbers of the stage.
        noise: of a temperature, or None.
        steps: number of steps.
        activation: name of phi.
        frozen: whether only z is trained.
        fixed: whether z is not trained.
        loss: name of the loss.
    """
    train = len(y)

    def one(replicate: int) -> Particles:
        own = particles.replicate(replicate)
        stage = _TrainedStage(
            frame.factor[:train],
            frame.pooling,
            y,
            frame.start[replicate, :train],
            frame.drift[replicate, :train],
            frame.control[replicate, :train],
            None if frame.reference is None else frame.reference[replicate],
            rates,
            None if noise is None else (noise.seeds[replicate], np.int64(noise.done)),
        )
        if frozen:
            own = particles.on_host(replicate)
            if frame.hidden is None:
                h = hidden(stage.factor, own.omega)
                features = pooled(on_arrays(activation)[0](h), frame.pooling)
            else:
                features = frame.hidden[replicate][1][:train]
            return _train_readouts(own, features, stage, steps, loss)
        moved = _train_units(own, stage, steps, activation=activation, loss=loss, fixed=fixed)
        return Particles(*moved)

    # one replicate at a time: side by side in one program they would leave the processor's cache
    found = side_by_side(one, len(particles.z), 4 * particles.omega[0].size)
    return Particles(*zip(*found, strict=True))


class _TrainedStage(NamedTuple):
    """A stage for one replicate: entries of `ParticleFrame` on the training points."""

    factor: Array
    pooling: Array | None
    y: Array
    start: Array
    drift: Array
    control: Array
    reference: Array | None
    rates: StageRates
    noise: tuple[np.int64, np.int64] | None

    def error(self, loss: str, done: Any, output: Any, impulse: Any) -> Any:
        """Return Delta."""
        known = self.start + done * self.drift + self.control @ impulse
        return error_signal(loss, self.y, output - known)

    def forget(self, impulse: Any, error: Any) -> Any:
        """Return the impulse after a step: both layers forget at the rate of the decay."""
        dt, decay, delta = self.rates.dt, self.rates.decay, self.rates.elastic
        return (1.0 - dt * (2.0 * decay + delta)) * impulse + dt * error


def _train_readouts(
    own: Particles, features: Array, stage: _TrainedStage, steps: int, loss: str
) -> Particles:
    """Train z alone: products with features of the training points, which do not change."""
    gamma, dt, decay, _, temperature = stage.rates
    z, impulse = own.z, own.impulse
    size = np.sqrt(2.0 * dt * temperature).astype(z.dtype)
    draws = None if stage.noise is None else np.random.default_rng([int(n) for n in stage.noise])
    with np.errstate(all="ignore"):  # the caller checks that the result is finite
        for done in range(steps):
            output = features @ z.T / (gamma * z.shape[-1])
            error = stage.error(loss, z.dtype.type(done), output, impulse)
            impulse = stage.forget(impulse, error)
            z = z + dt * (gamma * (error.T @ features) - decay * z)
            if draws is not None:
                z += size * draws.standard_normal(z.shape, z.dtype)
    return Particles(own.omega, z, impulse)


def combined(z: Any, slope: Any, error: Any) -> Any:
    """Return phi'(h) sum_c z_c Delta_c, the pull on each unit's pre-activations.

    Args:
        z: readouts of each pre-activation, (hidden,) or (outputs, hidden): see `spread`.
        slope: phi'(h), (points, hidden).
        error: Delta, (points,) or (points, outputs).
    """
    if z.ndim == 1:
        return z[None] * slope * error[:, None]
    return slope * (error @ z)


@partial(jax.jit, static_argnames=("activation", "loss", "fixed"))
def _train_units(
    own: Any, stage: _TrainedStage, steps: Int[Any, ""], *, activation: str, loss: str, fixed: bool
) -> Any:
    """Train both layers, or the first alone where z is fixed."""
    phi = named(activation)
    slope = derivative(phi)
    gamma, dt, decay, delta, temperature = stage.rates
    factor, pooling, reference = stage.factor, stage.pooling, stage.reference
    samples = own.omega.shape[-1]
    readouts = own.z.size // samples

    def step(done: Int[Any, ""], now: Any) -> Particles:
        omega, z, impulse = now
        h = hidden(factor, omega)
        features = pooled(phi(h), pooling)
        output = features @ z.T / (gamma * z.shape[-1])
        error = stage.error(loss, done.astype(z.dtype), output, impulse)
        impulse = stage.forget(impulse, error)
        pull = pulled(factor, combined(spread(z, pooling), slope(h), error))
        moved_z = z + dt * (gamma * (error.T @ features) - decay * z)
        moved = omega + dt * (gamma * pull - decay * omega)
        if reference is not None:
            moved = moved - dt * delta * (omega - reference)
        if stage.noise is not None:
            seed, before = stage.noise
            key = jax.random.fold_in(jax.random.key(seed), before + done)
            shape = (readouts + omega.shape[0], samples)
            xi = jnp.sqrt(2.0 * dt * temperature) * jax.random.normal(key, shape, z.dtype)
            moved_z, moved = moved_z + xi[:readouts].reshape(z.shape), moved + xi[readouts:]
        return Particles(moved, z if fixed else moved_z, impulse)

    return jax.lax.fori_loop(0, steps, step, own)
