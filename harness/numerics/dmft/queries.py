"""Observation of points outside the training set: predictors and kernels at recorded steps.

A query needs its own row against the history, and joins it only if it is trained on. Observation
has its own programs, apart from that of the steps, which is by far the largest: stages that observe
other points share it. Shapes are those of one replicate; in compiled functions, arrays that differ
between replicates have a first axis of replicates.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.compiling import compiled_fast
from harness.numerics.dmft import history as hidden
from harness.numerics.dmft.fields import (
    Fields,
    Program,
    Training,
    Units,
    read_out,
    units_axes,
)
from harness.numerics.dmft.history import REPLICATES, Array, average
from harness.numerics.losses import along_outputs


class Queries(NamedTuple):
    """Points whose predictor is observed.

    Attributes:
        factor: components of the queries along the training directions, in blocks that bound
            memory and may end in padding, (blocks, block, rank).
        rest: variance of the queries' inputs beyond these, (blocks, block).
        nodes: nodes in every sample, for every layer, weighted by their Gaussian density.
        omega: untrained first-layer weights, as `Units.omega`.
        w: readout weights at the stage's start.
    """

    factor: Float[Any, "blocks block rank"]
    rest: Float[Any, "blocks block"]
    nodes: Float[Any, "layers nodes samples"]
    omega: Float[Any, "rank samples"]
    w: Float[Any, "*outputs samples"]


class Joint(NamedTuple):
    """Points whose kernels are observed: queries, then probes.

    Attributes:
        factor: components along the training directions.
        root: square root of the covariance of their inputs beyond these.
        noise: draws of these points' own fields, for every layer.
    """

    factor: Float[Any, "looked rank"]
    root: Float[Any, "looked looked"]
    noise: Float[Any, "layers looked samples"]


QUERIES_AXES: Any = Queries(None, None, 0, 0, 0)
JOINT_AXES: Any = Joint(None, None, 0)
"""Axes of replicates, for `jax.vmap`."""


class ReadQueries:
    """Predictor on a stage's queries, read out of the fields.

    Args:
        program: constants of compiled steps.
        queries: the queries.
        count: number of queries, without padding.
        training: the stage.
        units: the weights at the stage's start.
        centred: whether the predictor at the start is subtracted.
    """

    def __init__(
        self,
        program: Program,
        queries: Queries,
        count: int,
        training: Training,
        units: Units,
        centred: bool,
    ) -> None:
        self._program, self._queries, self._count = program, queries, count
        self._richness = training.richness
        start, self._untrained, _ = self._look(units)
        self._start = start if centred else np.zeros_like(start)

    def output(
        self, units: Units, fields: Fields, step: int
    ) -> Float[np.ndarray, "replicates query *outputs"]:
        """Return the predictor at a recorded step."""
        found, initial, share = self._look(units)
        known = along_outputs(share, found) * (initial - self._untrained)
        return np.asarray(found - known - self._start)

    def _look(self, units: Units) -> list[NDArray[Any]]:
        """Return `query_outputs` on the queries, without padding."""
        found = query_outputs(self._program, units, self._queries, self._richness)
        return [np.asarray(values)[:, : self._count] for values in found]


@compiled_fast(static_argnames=("program",))
def query_outputs(
    program: Program, units: Units, queries: Queries, richness: Float[Any, ""]
) -> tuple[
    Float[Any, "replicates query *outputs"],
    Float[Any, "replicates query *outputs"],
    Float[Any, "replicates query"],
]:
    """Return `_query_outputs` in all replicates, padding included."""
    one = partial(_query_outputs, program)
    axes = (units_axes(units), QUERIES_AXES, None)
    found: tuple[Array, Array, Array] = jax.vmap(one, axes, axis_name=REPLICATES)(
        units, queries, richness
    )
    return found


def shared(
    phi: Float[Any, "query samples"], first: Float[Any, "query samples"]
) -> Float[Any, " query"]:
    """Return the regression coefficients of features on those of untrained layers."""
    square = jnp.mean(first**2, axis=1)
    return jnp.mean(phi * first, axis=1) / jnp.where(square > 0, square, 1.0)


def _query_outputs(
    program: Program, units: Units, queries: Queries, richness: Float[Any, ""]
) -> tuple[Float[Any, " query *outputs"], Float[Any, " query *outputs"], Float[Any, " query"]]:
    """Return the predictor on points that are not trained on, and the control variate of its noise.

    The part of a query's field that is independent of the history is averaged over in every
    sample, instead of joining the history; a query sees only its own variance. Evenly spaced nodes
    integrate smooth functions of a Gaussian exponentially well, and their random shift makes the
    average unbiased for any other.

    As the history grows, the sample replaces the average along its new directions, which moves a
    predictor by noise of order 1 / (richness sqrt(S)). Features of the untrained hidden layers,
    seen with the same history, share that noise, and their averages are known.

    Returns:
        The predictor f, not centred; the untrained layers' predictor f_0; and the coefficient b of
        the regression of f's features on theirs. The average of f_0 does not change.
    """
    nodes = queries.nodes
    weights = jax.nn.softmax(-(nodes**2) / 2, axis=1)

    def smooth(layer: int, mean: Array, variance: Array) -> tuple[Array, Array]:
        size = jnp.sqrt(variance)

        def add(k: Array, total: tuple[Array, Array]) -> tuple[Array, Array]:
            phi = program.phi(mean + size[:, None] * nodes[layer, k][None])
            weighed = weights[layer, k][None] * phi
            return total[0] + weighed, total[1] + jnp.mean(weighed * phi, axis=1)

        start = jnp.zeros_like(mean), jnp.zeros_like(size)
        return jax.lax.fori_loop(0, nodes.shape[1], add, start)

    def block(entry: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        factor, rest = entry
        mean, variance = factor @ units.omega, units.a**2 * rest
        first_mean, first_variance = factor @ queries.omega, rest
        phi, square = smooth(0, mean, variance)
        first, first_square = smooth(0, first_mean, first_variance)
        for i, t in enumerate(units.transitions):
            c, first_c = average(t.lower.basis, phi), average(t.lower.basis, first)
            # the noise is independent of untrained features: their average is zero
            share = shared(phi, first)[:, None]
            news = phi - share * first
            response = average(t.lower.noise, news)
            mean = program.joined(mean, hidden.propagate(t, c, response, units.a))
            rest = square - jnp.sum(c**2, axis=0)
            if program.reserved is None:
                # the sampling error of the response has its share of the variance already
                known = jnp.sum((c - share.T * first_c) ** 2, axis=0)
                error = jnp.maximum(jnp.mean(news**2, axis=1) - known, 0.0)
                rest = rest - (1.0 - hidden.unexplored(t.upper)) * error
            variance = program.joined_variance(variance, units.a**2 * jnp.maximum(rest, 0.0))
            phi, square = smooth(i + 1, mean, variance)
            first_mean = program.joined(first_mean, first_c.T @ t.upper.noise)
            first_rest = jnp.maximum(first_square - jnp.sum(first_c**2, axis=0), 0.0)
            first_variance = program.joined_variance(first_variance, first_rest)
            first, first_square = smooth(i + 1, first_mean, first_variance)
        output, initial = read_out(phi, units.w), read_out(first, queries.w)
        return output / richness, initial / richness, shared(phi, first)

    found: tuple[Array, Array, Array] = jax.lax.map(block, (queries.factor, queries.rest))
    output, initial, share = (values.reshape(-1, *values.shape[2:]) for values in found)
    return output, initial, share


@compiled_fast(static_argnames=("program", "trained"))
def joint_fields(
    program: Program, units: Units, fields: Fields, joint: Joint, trained: int
) -> tuple[
    tuple[Float[Any, "replicates points samples"], ...], Float[Any, "replicates points points"]
]:
    """Return the fields of every layer, and the last feature kernel, in all replicates.

    Points are the training points without padding, then queries and probes, drawn jointly.
    """

    def one(units: Units, fields: Fields, joint: Joint) -> tuple[tuple[Array, ...], Array]:
        h = _joint_fields(program, units, fields, joint, trained)
        features = program.phi(h[-1])
        return h, average(features, features)

    axes = (units_axes(units), 0, JOINT_AXES)
    found: tuple[tuple[Array, ...], Array] = jax.vmap(one, axes, axis_name=REPLICATES)(
        units, fields, joint
    )
    return found


def _joint_fields(
    program: Program, units: Units, fields: Fields, joint: Joint, trained: int
) -> tuple[Float[Any, "points samples"], ...]:
    """Return h^1 ... h^L on the training points, then on queries and probes drawn jointly."""
    looked, samples = joint.factor.shape[0], units.w.shape[-1]
    known = tuple(h[:trained] for h in fields.h)
    if looked == 0:
        return known

    def own(layer: int, root: Array, *history: Array) -> Array:
        noise = joint.noise[layer]
        if program.reserved is None and samples > 4 * (looked + sum(map(len, history))):
            noise = hidden.white_noise(noise, *history)
        return units.a * root @ noise

    mean, spread = joint.factor @ units.omega, joint.root @ joint.root.T
    h = mean + own(0, joint.root)
    found = [jnp.concatenate([known[0], h])]
    for i, t in enumerate(units.transitions):
        phi = program.phi(h)
        c = average(t.lower.basis, phi)
        response = average(t.lower.noise, phi) if program.responses else jnp.zeros_like(c)
        mean = program.joined(mean, hidden.propagate(t, c, response, units.a))
        square = average(phi, phi)
        left = square - c.T @ c
        answered = program.reserved is None and program.responses
        share = hidden.unexplored(t.upper) if answered else 1.0
        if program.branch is None:
            root = jnp.sqrt(share) * factor_of(left, square)
        else:
            spread = program.joined_variance(spread, share * left)
            root = factor_of(spread, square)
        h = mean + own(i + 1, root, *t.upper)
        found.append(jnp.concatenate([known[i + 1], h]))
    return tuple(found)


def factor_of(left: Array, covariance: Array) -> Array:
    """Return a factor of what is left of a covariance, made definite at the level of rounding."""
    level = np.sqrt(np.finfo(covariance.dtype).eps) / 4 * jnp.max(jnp.diag(covariance))
    return jnp.linalg.cholesky(left + level * jnp.eye(len(left), dtype=left.dtype))
