"""Two-layer networks at infinite width: an exact mean-field particle system.

Every hidden unit is an independent draw of (omega, z), coupled to the others only through the
average f(x) = <z phi(h(x))> / gamma, with h(x) = omega . E(x) and E E^T = K_x (arXiv:2507.04448,
Result 1; docs/theory.md, section 2). Averages run over samples; leading axes are independent
replicates, each coupled through its own average, whose spread measures the sampling error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from harness.numerics.activations import activation as named
from harness.numerics.activations import derivative
from harness.numerics.lazy_kernels import lazy_kernels


class Particles(NamedTuple):
    """Hidden units: first-layer weights in the directions that the points see, and readouts.

    Attributes:
        omega: (replicates, rank, samples); samples last, so that all loops run along them.
        z: (replicates, samples).
        impulse: integral of Delta over the stage so far, (replicates, train), or (replicates, 0).
    """

    omega: Float[Array, "replicates rank samples"]
    z: Float[Array, "replicates samples"]
    impulse: Float[Array, "replicates train"]


class ParticleRates(NamedTuple):
    """Numbers of a stage: gamma, dt, decay lambda, elastic delta, temperature T."""

    richness: Float[Array, ""]
    dt: Float[Array, ""]
    decay: Float[Array, ""]
    elastic: Float[Array, ""]
    temperature: Float[Array, ""]


class ParticleFrame(NamedTuple):
    """What stays fixed during a stage.

    Attributes:
        factor: E on all points, the stage's training points first, (points, rank).
        start: predictor at the stage's start, or zero, less what is known to be missing in the
            average over samples, (replicates, points).
        drift: change of `start` in every step of a call of `advance_particles`.
        control: sampling error of the initial kernel between all points and the training points,
            (replicates, points, train); zero leaves the plain average.
        reference: omega at the stage's start with elastic coupling, else (replicates, 0, samples).
    """

    factor: Float[Array, "points rank"]
    start: Float[Array, "replicates points"]
    drift: Float[Array, "replicates points"]
    control: Float[Array, "replicates points train"]
    reference: Float[Array, "replicates rank samples"]


@partial(jax.jit, static_argnames=("train", "activation"))
def initial_kernel_error(
    particles: Particles, factor: Float[Array, "points rank"], *, train: int, activation: str
) -> tuple[Float[Array, "replicates points train"], Float[Array, "replicates points train"]]:
    """Return sampled minus exact initial kernels: of the features, and of the hidden weights.

    They are between all points and the first `train` of them. The features' is <phi phi> - Phi,
    that of the hidden weights <z^2 phi' phi'> K_x - Phi' K_x; they add up to the error of the
    neural tangent kernel. Particles must be fresh draws.
    """
    phi = named(activation)
    slope = derivative(phi)
    # lazy_kernels divides x.x' by the input dimension
    scaled = factor * jnp.sqrt(jnp.asarray(factor.shape[1], factor.dtype))
    exact = lazy_kernels(scaled, scaled[:train], activation=activation, depth=1)
    inputs = factor @ factor[:train].T

    def one(entry: tuple[Array, Array]) -> tuple[Array, Array]:
        omega, z = entry
        h = factor @ omega
        features, gradients = phi(h), z * slope(h)
        feature_error = features @ features[:train].T / len(z) - exact.features[0]
        hidden = gradients @ gradients[:train].T / len(z) * inputs
        return feature_error, hidden - (exact.ntk - exact.features[0])

    return jax.lax.map(one, (particles.omega, particles.z))


@dataclass(frozen=True)
class ParticleOutputs:
    """What the particles of one replicate say on all points: a function, equal if its phi is."""

    activation: str

    def __call__(
        self,
        particles: Particles,
        start: Float[Array, " points"],
        control: Float[Array, "points train"],
        factor: Float[Array, "points rank"],
        richness: Float[Array, ""],
    ) -> tuple[Array, Array, Array]:
        """Return f = <z phi(h)> / gamma less start and control, (points,), and h and phi(h).

        Both are of shape (points, samples). Arguments are entries of `Particles` and of
        `ParticleFrame` for one replicate.
        """
        h = factor @ particles.omega
        features = named(self.activation)(h)
        output = features @ particles.z / (richness * len(particles.z))
        return output - start - control @ particles.impulse, h, features


@partial(jax.jit, static_argnames=("activation",))
def particle_predictor(
    particles: Particles,
    frame: ParticleFrame,
    richness: Float[Array, ""],
    *,
    activation: str,
) -> Float[Array, "replicates points"]:
    """Return f of every replicate on all points: see `ParticleOutputs`."""
    outputs = ParticleOutputs(activation)

    def one(entry: tuple[Particles, Array, Array]) -> Array:
        own, start, control = entry
        return outputs(own, start, control, frame.factor, richness)[0]

    return jax.lax.map(one, (particles, frame.start, frame.control))


@partial(
    jax.jit,
    static_argnames=("activation", "frozen", "elastic", "noise"),
    donate_argnames=("particles",),
)
def advance_particles(
    particles: Particles,
    frame: ParticleFrame,
    y: Float[Array, " train"],
    rates: ParticleRates,
    keys: Array,
    steps: int,
    *,
    activation: str,
    frozen: bool,
    elastic: bool,
    noise: bool,
) -> tuple[Particles, Array]:
    """Take Euler steps of gradient flow on a stage's training points.

    Per step  omega += dt (gamma sum_mu z phi'(h_mu) Delta_mu E_mu - lambda omega
    - delta (omega - omega_ref)),  z += dt (gamma sum_mu phi(h_mu) Delta_mu - lambda z), plus
    sqrt(2 dt T) noise on both.

    Delta = y - f, where f is corrected by a control variate: what the initial kernel's sampling
    error, known exactly, has contributed to first order in the impulse. Its expectation is zero,
    and in the lazy limit it removes the sampling error altogether.

    Args:
        particles: state; its buffers are given up.
        frame: what the stage keeps fixed.
        y: labels of the training points.
        rates: numbers of the stage.
        keys: one random key for each replicate, and returned for the next call.
        steps: how many.
        activation: name of phi.
        frozen: whether only z is trained.
        elastic: whether hidden weights are coupled to their values at the stage's start.
        noise: whether there is a temperature.
    """
    phi = named(activation)
    slope = derivative(phi)
    gamma, dt, decay, delta, temperature = rates
    samples = particles.z.shape[1]
    factor = frame.factor[: len(y)]
    start, drift, control = (a[:, : len(y)] for a in (frame.start, frame.drift, frame.control))

    def features(omega: Array) -> tuple[Array, Array]:
        h = factor @ omega
        return h, phi(h)

    def one(entry: tuple[Array, ...]) -> tuple[Particles, Array]:
        omega, z, impulse, start, drift, control, reference, key = entry
        fixed = (None, phi(factor @ omega)) if frozen else None

        def step(done: int, carry: tuple[Array, ...]) -> tuple[Array, ...]:
            omega, z, impulse, key = carry
            h, phi_h = fixed or features(omega)
            known = start + done * drift + control @ impulse
            error = y - (phi_h @ z / (gamma * samples) - known)
            # both layers forget at the rate of the decay, hidden weights at the coupling's too
            impulse = (1.0 - dt * (2.0 * decay + delta)) * impulse + dt * error
            moved_z = z + dt * (gamma * (error @ phi_h) - decay * z)
            moved = omega
            if h is not None:
                drive = factor.T @ (z * slope(h) * error[:, None])
                moved = omega + dt * (gamma * drive - decay * omega)
                if elastic:
                    moved = moved - dt * delta * (omega - reference)
            if noise:
                key, draw = jax.random.split(key)
                size = jnp.sqrt(2.0 * dt * temperature)
                rows = 1 if frozen else 1 + len(omega)
                xi = size * jax.random.normal(draw, (rows, samples), z.dtype)
                moved_z = moved_z + xi[0]
                moved = moved + xi[1:] if h is not None else moved
            return moved, moved_z, impulse, key

        omega, z, impulse, key = jax.lax.fori_loop(0, steps, step, (omega, z, impulse, key))
        return Particles(omega, z, impulse), key

    # one replicate after the other: side by side they would leave the processor's cache
    return jax.lax.map(one, (*particles, start, drift, control, frame.reference, keys))
