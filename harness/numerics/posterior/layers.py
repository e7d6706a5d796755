"""Deep networks under Langevin training: the saddle point of their kernels, by HMC.

With prior variance s^2 = T / lambda of every weight, layer l's pre-activations on the training
points are h = s E u, E E^T = Phi_{l-1}, with the law exp(1/2 phi^T Q_l phi) N(u; 0, I) of the
whitened u, and the kernels and conjugates Q_l (minus Phihat_l of arXiv:2502.07998) solve

    Phi_l = <phi phi^T>_l,     Q_{l-1} = E^{-T} <u grad_u log w^T>_l E^{-1},     l = 1 ... L
    Q_L = gamma^2 / (T lambda) Delta Delta^T,     Delta = lambda (lambda + Phi_L)^{-1} y

Given Delta and Q_1 ... Q_{L-1}, one upward pass gives everything else, so these are the unknowns:
<u grad log w^T> = <u u^T> - I by Stein's lemma. They are found by Newton's method, on a sample of
units that is reweighted for the unknowns' change and moved after every step (docs/theory.md,
adaptive kernels).
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.sparse.linalg import gmres
from jaxtyping import Array, Float, Float64

from harness.numerics.kernels.activations import activation as named
from harness.numerics.kernels.activations import derivative
from harness.numerics.kernels.ridge import ridge_regression
from harness.numerics.posterior.moves import (
    FIRST_STEP,
    FOLLOWED,
    MOST_GROWTH,
    adapted_step,
    move_units,
)
from harness.numerics.posterior.passes import (
    LayerLaw,
    Pass,
    Unknowns,
    kernel_root,
    layer_tilts,
    pass_upwards,
    pull,
)
from harness.numerics.posterior.sampled_state import (
    ConvergenceError,
    SampledState,
    UnitRates,
    label_size,
    mean_and_error,
)

SETTLING_ROUNDS = 16
"""Full Newton steps taken before the search ends, the second half of them with falling gains."""

MOST_ROUNDS = 100

ROUND_MOVES = 4
"""Moves of every unit before each Newton step."""

OBSERVATION_MOVES = 2
"""Moves of every unit between two observations."""

KRYLOV = 16
"""Dimension of the Krylov space of a Newton step between restarts."""


class _Search(NamedTuple):
    """State of the search; `u` and `roots` are the units, and the roots of their law."""

    u: Float[Array, "replicates layers units train"]
    roots: Float[Array, "replicates layers train train"]
    unknowns: Unknowns
    full: Array
    step: Float[Array, ""]
    key: Array


@partial(jax.jit, static_argnames=("activation",))
def _newton(
    search: _Search, law: LayerLaw, observed: Unknowns, held: Array, activation: str
) -> _Search:
    """Take a Newton step for the unknowns of every replicate, with all responses of its sample.

    Args:
        search: units drawn from the law of the unknowns.
        law: constants of the search.
        observed: residual of the unknowns on other units; ignored unless `held`.
        held: whether to take that residual and one full step; otherwise the sample's own residual,
            and the longest step that half of the units of every layer can follow.
        activation: name of phi.
    """
    phi = named(activation)

    def one(entry: tuple[_Search, LayerLaw, Unknowns]) -> tuple[Unknowns, Array, Array]:
        own, law, observed = entry
        drawn = jax.vmap(lambda u, root, *tilt: pull(phi(u @ root.T), *tilt)[1])(
            own.u, own.roots, law.bases, layer_tilts(own.unknowns, law)
        )

        def residual(unknowns: Unknowns) -> Unknowns:
            found = pass_upwards(unknowns, own.u, drawn, law, activation)
            ridged = found.kernels[-1] + law.ridge * jnp.eye(len(law.y))
            delta = law.ridge * jax.scipy.linalg.solve(ridged, law.y, assume_a="pos")
            return Unknowns(unknowns.delta - delta, unknowns.pulls - found.pulls[1:])

        value, response = jax.linearize(residual, own.unknowns)
        wanted = jax.tree.map(lambda a, b: -jnp.where(held, a, b), observed, value)
        direction = Unknowns(*gmres(response, wanted, tol=1e-3, restart=KRYLOV, maxiter=2)[0])

        def ahead(length: Array) -> tuple[Unknowns, Pass]:
            moved = jax.tree.map(lambda a, b: a + length * b, own.unknowns, direction)
            return moved, pass_upwards(moved, own.u, drawn, law, activation)

        def follows(length: Array) -> Array:
            found = ahead(length)[1]
            return (jnp.min(found.share) >= FOLLOWED) & (jnp.max(found.growth) <= MOST_GROWTH)

        length = jax.lax.while_loop(
            lambda a: ~held & (a > 0.5**11) & ~follows(a), lambda a: 0.5 * a, jnp.asarray(1.0)
        )
        full = own.full + (length == 1.0).astype(own.full.dtype)
        falling = length / jnp.maximum(full - SETTLING_ROUNDS // 2, 1).astype(length.dtype)
        gain = jnp.where(held, 1.0, falling)
        unknowns, found = ahead(gain)
        return unknowns, found.roots, full

    mapped = search._replace(step=search.full, key=search.full)  # that have no axis of replicates
    unknowns, roots, full = jax.lax.map(one, (mapped, law, observed))
    return search._replace(unknowns=unknowns, roots=roots, full=full)


@partial(jax.jit, static_argnames=("units", "activation"))
def _start(
    roots: Array, y: Array, key: Array, rates: Array, *, units: int, activation: str
) -> tuple[_Search, LayerLaw]:
    """Return the prior: Delta = 0, Gaussian units, and the bases B; one replicate at a time."""
    spread, tilt, ridge = rates
    (replicates, train), layers = y.shape, len(roots)
    key, draw = jax.random.split(key)
    u = jax.random.normal(draw, (replicates, layers, units, train))
    unknowns = Unknowns(jnp.zeros(train), jnp.zeros((layers - 1, train, train)))
    identity = jnp.broadcast_to(jnp.eye(train), (layers, train, train))

    def one(entry: tuple[Array, Array]) -> tuple[Array, LayerLaw]:
        law = LayerLaw(roots[0], identity, entry[1], spread, tilt, ridge)
        found = pass_upwards(unknowns, entry[0], jnp.zeros((layers, units)), law, activation)
        bases = jnp.concatenate([kernel_root(found.kernels[:-1]), identity[:1]])
        return found.roots, law._replace(bases=bases)

    found, law = jax.lax.map(one, (u, y))
    everywhere = jax.tree.map(lambda a: jnp.broadcast_to(a, (replicates, *a.shape)), unknowns)
    full = jnp.zeros(replicates, jnp.int32)
    return _Search(u, found, everywhere, full, jnp.asarray(FIRST_STEP, jnp.float64), key), law


@partial(jax.jit, static_argnames=("activation", "dtype"))
def _move_layer(
    u: Float[Array, "replicates units train"],
    key: Array,
    step: Float[Array, ""],
    made_of: tuple[Array, Array, Array],
    moves: Array,
    *,
    activation: str,
    dtype: str,
) -> tuple[Float[Array, "replicates units train"], Float[Array, ""]]:
    """Move one layer's units, with the law of root s E, base B and tilt B^T Q B."""
    phi = named(activation)

    def one(entry: tuple[Array, ...]) -> tuple[Array, Array]:
        u, key, root, base, tilt = entry
        inverse = solve_triangular(base, jnp.eye(len(base)), lower=True).astype(dtype)
        root, tilt = root.astype(dtype), tilt.astype(dtype)

        def log_weight(u: Array, _: None) -> Array:
            whitened = inverse @ phi(root @ u)
            return 0.5 * whitened @ (tilt @ whitened)

        moved, rate = move_units(u.astype(dtype), log_weight, None, key, step.astype(dtype), moves)
        return moved.astype(jnp.float64), rate.astype(jnp.float64)

    u, rates = jax.lax.map(one, (u, jax.random.split(key, len(u)), *made_of))
    return u, jnp.mean(rates)


@partial(jax.jit, static_argnames=("activation", "dtype"))
def _observe_layer(
    u: Float[Array, "replicates units train"],
    key: Array,
    root: Float[Array, "replicates points points"],
    base: Float[Array, "replicates train train"],
    tilt: Float[Array, "replicates train train"],
    *,
    activation: str,
    dtype: str,
) -> tuple[Array, Array, Array]:
    """Return <phi phi^T> on all points, <u grad log w^T> and h, (replicates, points, units)."""
    phi = named(activation)
    slope = derivative(phi)
    _, units, train = u.shape

    def one(entry: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        u, key, root, base, tilt = entry
        rest = jax.random.normal(key, (units, len(root) - train))
        h = (jnp.concatenate([u, rest], axis=1) @ root.T).astype(dtype)
        features = phi(h)
        pulled, _ = pull(features[:, :train].astype(jnp.float64), base, tilt)
        slopes = slope(h[:, :train]).astype(jnp.float64)
        moment = u.T @ ((pulled * slopes) @ root[:train, :train]) / units
        return (features.T @ features / units).astype(jnp.float64), moment, h.T

    return jax.lax.map(one, (u, jax.random.split(key, len(u)), root, base, tilt))


class _Sweep(NamedTuple):
    """Averages of an upward pass at fixed unknowns; every leading axis runs over replicates."""

    kernels: list[Float[Array, "replicates points points"]]
    fields: list[Float[Array, "replicates points units"]]
    residual: Unknowns
    acceptance: float


def _sweep(
    search: _Search,
    law: LayerLaw,
    first: Float[Array, "points points"],
    key: Array,
    observations: int,
    *,
    activation: str,
    dtype: str,
) -> tuple[_Search, _Sweep]:
    """Take averages layer by layer, on units that move further, at fixed unknowns."""
    tilts = jax.vmap(layer_tilts)(search.unknowns, law)
    replicates, train = law.y.shape
    root = jnp.broadcast_to(first, (replicates, *first.shape))
    named_by = {"activation": activation, "dtype": dtype}
    spread = law.spread[0]
    u, roots, kernels, fields, pulls, accepted = [], [], [], [], [], 0.0
    for layer in range(search.u.shape[1]):
        units = search.u[:, layer]
        base, tilt, own = law.bases[:, layer], tilts[:, layer], root[:, :train, :train]
        kernel, moment = jnp.zeros_like(root), jnp.zeros_like(own)
        for _ in range(observations):
            key, move_key, draw = jax.random.split(key, 3)
            units, rate = _move_layer(
                units, move_key, search.step, (own, base, tilt), OBSERVATION_MOVES, **named_by
            )
            product, pulled, h = _observe_layer(units, draw, root, base, tilt, **named_by)
            kernel, moment = kernel + product / observations, moment + pulled / observations
            accepted += float(rate) / observations / search.u.shape[1]
        if layer > 0:
            whitened = spread * solve_triangular(own, law.bases[:, layer - 1], lower=True)
            symmetric = 0.5 * (moment + jnp.swapaxes(moment, 1, 2))
            pulls.append(jnp.swapaxes(whitened, 1, 2) @ symmetric @ whitened)
        u.append(units)
        roots.append(own)
        kernels.append(kernel)
        fields.append(h)
        root = spread * kernel_root(kernel)
    ridged = kernels[-1][:, :train, :train] + law.ridge[:, None, None] * jnp.eye(train)[None]
    v = jnp.linalg.solve(ridged, law.y[:, :, None])[:, :, 0]
    lower = jnp.stack(pulls, axis=1) if pulls else jnp.zeros_like(search.unknowns.pulls)
    residual = Unknowns(
        search.unknowns.delta - law.ridge[:, None] * v, search.unknowns.pulls - lower
    )
    search = search._replace(u=jnp.stack(u, axis=1), roots=jnp.stack(roots, axis=1))
    return search, _Sweep(kernels, fields, residual, accepted)


def solve_stationary_layers(
    gram: Float64[np.ndarray, "points points"],
    y: Float64[np.ndarray, "replicates train"],
    rates: UnitRates,
    *,
    depth: int,
    activation: str,
    units: int,
    observations: int,
    seed: int,
    dtype: str = "float32",
) -> SampledState:
    """Find the stationary state of a stage of Langevin training of a deep network.

    The search starts at the prior, Delta = 0, and takes Newton steps for Delta and the conjugate
    kernels, each as long as half of the units of every layer can follow. After `SETTLING_ROUNDS`
    full steps, the second half with falling gains, the unknowns are fixed, and one upward pass
    takes averages layer by layer on all points.

    Args:
        gram: K_x between all points, the training points first.
        y: labels of the training points, of every replicate.
        rates: numbers of the stage, decay and temperature positive; no coupling.
        depth: hidden layers L.
        activation: name of phi.
        units: hidden units of each layer and replicate.
        observations: number of observations in every layer.
        seed: of the random draws.
        dtype: precision in which units move; the fixed point is solved in float64.

    Raises:
        ConvergenceError: if the search does not settle, or its values stop being finite.
    """
    replicates, train = y.shape
    spread = math.sqrt(rates.temperature / rates.decay)
    numbers = (spread, rates.richness**2 / (rates.temperature * rates.decay), rates.decay)
    first = spread * kernel_root(jnp.asarray(gram))
    key, start = jax.random.split(jax.random.key(seed))
    search, law = _start(
        jnp.broadcast_to(first[:train, :train], (depth, train, train)),
        jnp.asarray(y),
        start,
        jnp.asarray(numbers),
        units=units,
        activation=activation,
    )
    kind = {"activation": activation, "dtype": dtype}
    own_residual = (search.unknowns, jnp.asarray(False))
    rounds = 0
    while int(search.full.min()) < SETTLING_ROUNDS:
        search = _moved(search, law, **kind)
        search = _newton(search, law, *own_residual, activation=activation)
        rounds += 1
        if not bool(jnp.isfinite(search.unknowns.delta).all()) or rounds == MOST_ROUNDS:
            raise ConvergenceError(
                f"the Newton search for the conjugate kernels did not settle in {rounds} rounds"
            )
    key, *keys = jax.random.split(key, 3)
    search, found = _sweep(search, law, first, keys[0], observations, **kind)
    search = _newton(search, law, found.residual, jnp.asarray(True), activation=activation)
    search, found = _sweep(search, law, first, keys[1], observations, **kind)
    residual = np.concatenate(
        [
            np.asarray(found.residual.delta) / label_size(y),
            np.asarray(found.residual.pulls).reshape(replicates, -1) / math.sqrt(train),
        ],
        axis=1,
    )
    return SampledState(
        ridge_regression(np.asarray(found.kernels[-1]), y, rates.decay),
        np.stack([np.asarray(kernel) for kernel in found.kernels], axis=1),
        tuple(np.asarray(h) for h in found.fields),
        None,
        *mean_and_error(residual),
        rounds,
        found.acceptance,
    )


def _moved(search: _Search, law: LayerLaw, *, activation: str, dtype: str) -> _Search:
    """Move the units of all layers."""
    tilts = jax.vmap(layer_tilts)(search.unknowns, law)
    u, lowest, key = [], jnp.asarray(1.0), search.key
    for layer in range(search.u.shape[1]):
        key, own = jax.random.split(key)
        made_of = (search.roots[:, layer], law.bases[:, layer], tilts[:, layer])
        moved, rate = _move_layer(
            search.u[:, layer],
            own,
            search.step,
            made_of,
            ROUND_MOVES,
            activation=activation,
            dtype=dtype,
        )
        u.append(moved)
        lowest = jnp.minimum(lowest, rate)
    step = adapted_step(search.step, lowest)
    return search._replace(u=jnp.stack(u, axis=1), step=step, key=key)
