"""What is looked at without being trained on: predictors and feature kernels at recorded steps.

A query needs its own row against the history, and joins it only if it is trained on. All recorded
steps of a stage run in one compiled loop. Shapes are those of one replicate; compiled functions
take replicates along a first axis of whatever differs between them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from harness.numerics import causal_cholesky as hidden
from harness.numerics.causal_cholesky import REPLICATES, average
from harness.numerics.dmft_fields import (
    TRAINING_AXES,
    Fields,
    Program,
    Training,
    Units,
    advance,
    has_room,
    units_axes,
)


class Looks(NamedTuple):
    """What a stage looks at.

    Attributes:
        factor: components of the queries along the training directions, in blocks that bound
            memory and may end in padding, (blocks, block, rank).
        rest: variance of the queries' inputs beyond these, (blocks, block).
        nodes: nodes in every sample, for every layer, weighted by their Gaussian density.
        joint_factor: components of queries and probes, whose kernels are looked at.
        joint_root: square root of the covariance of their inputs beyond these.
        noise: draws of these points' own fields, for every layer.
        start: predictor that the stage subtracts, (query,).
        omega: untrained first-layer weights, as `Units.omega`.
        w: readout weights at the stage's start.
        initial: predictor of the untrained hidden layers with these readout weights, (query,).
    """

    factor: Float[Array, "blocks block rank"]
    rest: Float[Array, "blocks block"]
    nodes: Float[Array, "layers nodes samples"]
    joint_factor: Float[Array, "looked rank"]
    joint_root: Float[Array, "looked looked"]
    noise: Float[Array, "layers looked samples"]
    start: Float[Array, " query"]
    omega: Float[Array, "rank samples"]
    w: Float[Array, " samples"]
    initial: Float[Array, " query"]


class Records(NamedTuple):
    """Recorded steps, of which `done` are filled.

    Attributes:
        steps: recorded steps, (records,).
        done: number of rows that are filled.
        train: centred predictor on the training points, (records, train).
        query: centred predictor on the queries, (records, query).
        kernels: last feature kernel, (records, points, points), or (records, 0, 0).
    """

    steps: Int[Array, " records"]
    done: Int[Array, ""]
    train: Float[Array, "records train"]
    query: Float[Array, "records query"]
    kernels: Float[Array, "records points points"]


LOOKS_AXES: Any = Looks(None, None, 0, None, None, 0, 0, 0, 0, 0)  # type: ignore[arg-type]
RECORDS_AXES: Any = Records(None, None, 0, 0, 0)  # type: ignore[arg-type]
"""Axes of replicates, for `jax.vmap`."""


@partial(jax.jit, static_argnames=("program", "frozen", "trained"))
def record(
    program: Program,
    units: Units,
    fields: Fields,
    training: Training,
    looks: Looks,
    records: Records,
    key: Array,
    step: Array,
    *,
    frozen: bool,
    trained: int,
) -> tuple[Units, Fields, Array, Records]:
    """Train all replicates through the recorded steps, stopping early without room.

    Args:
        program: what is fixed at compilation.
        units: the weights at `step`.
        fields: the fields at `step`.
        training: the stage.
        looks: what is looked at.
        records: what has been recorded.
        key: random key of the stage, one for each replicate.
        step: step of the state given.
        frozen: whether only the readout is trained.
        trained: number of training points that are not padding.

    Returns:
        The state, its step, and the records.
    """
    axes = units_axes(units)
    one = partial(_record, program, frozen=frozen, trained=trained)
    side_by_side = jax.vmap(
        one,
        (axes, 0, TRAINING_AXES, LOOKS_AXES, RECORDS_AXES, 0, None),
        (axes, 0, None, RECORDS_AXES),
        axis_name=REPLICATES,
    )
    found: tuple[Units, Fields, Array, Records] = side_by_side(
        units, fields, training, looks, records, key, step
    )
    return found


def _record(
    program: Program,
    units: Units,
    fields: Fields,
    training: Training,
    looks: Looks,
    records: Records,
    key: Array,
    step: Array,
    *,
    frozen: bool,
    trained: int,
) -> tuple[Units, Fields, Array, Records]:
    keep_kernels = records.kernels.shape[1] > 0

    def kernel(units: Units, fields: Fields) -> Array:
        last = _joint_fields(program, units, fields, looks, trained)[-1]
        return feature_kernel(program, last)

    fixed = kernel(units, fields) if frozen and keep_kernels else None

    def fill(units: Units, fields: Fields, records: Records) -> Records:
        row = records.done
        found = records.kernels
        if keep_kernels:
            found = found.at[row].set(kernel(units, fields) if fixed is None else fixed)
        output, initial, share = _query_outputs(program, units, looks, training.richness)
        output = output - share * (initial - looks.initial) - looks.start
        return Records(
            records.steps,
            row + 1,
            records.train.at[row].set(fields.output - training.start),
            records.query.at[row].set(output),
            found,
        )

    def body(
        carry: tuple[Units, Fields, Array, Records],
    ) -> tuple[Units, Fields, Array, Records]:
        units, fields, step, records = carry
        pause = records.steps[records.done]
        units, fields, step = advance(
            program, units, fields, training, key, step, pause, frozen=frozen
        )
        records = jax.lax.cond(
            step == pause, fill, lambda units, fields, records: records, units, fields, records
        )
        return units, fields, step, records

    def more(carry: tuple[Units, Fields, Array, Records]) -> Array:
        units, _, step, records = carry
        reached = step == records.steps[records.done]
        room = frozen | has_room(units, training.y.shape[0])
        return (records.done < len(records.steps)) & (reached | room)

    return jax.lax.while_loop(more, body, (units, fields, step, records))


@partial(jax.jit, static_argnames=("program",))
def query_outputs(
    program: Program, units: Units, looks: Looks, richness: Float[Array, ""]
) -> tuple[
    Float[Array, "replicates query"],
    Float[Array, "replicates query"],
    Float[Array, "replicates query"],
]:
    """Return `_query_outputs` in all replicates."""
    one = partial(_query_outputs, program)
    axes = (units_axes(units), LOOKS_AXES, None)
    found: tuple[Array, Array, Array] = jax.vmap(one, axes, axis_name=REPLICATES)(
        units, looks, richness
    )
    return found


def shared(
    phi: Float[Array, "query samples"], first: Float[Array, "query samples"]
) -> Float[Array, " query"]:
    """Return the regression coefficients of features on those of untrained layers."""
    square = jnp.mean(first**2, axis=1)
    return jnp.mean(phi * first, axis=1) / jnp.where(square > 0, square, 1.0)


def _query_outputs(
    program: Program, units: Units, looks: Looks, richness: Float[Array, ""]
) -> tuple[Float[Array, " query"], Float[Array, " query"], Float[Array, " query"]]:
    """Return the predictor on points that are not trained on, and what cancels its noise.

    The part of a query's field that is independent of the history is averaged over in every
    sample, instead of joining the history; a query sees only its own variance. Evenly spaced nodes
    integrate smooth functions of a Gaussian exponentially well, and their random shift makes the
    average unbiased for any other.

    As the history grows, directions that it meets are sampled that were averaged over before,
    which moves a predictor by noise of order 1 / (richness sqrt(S)). Features of the untrained
    hidden layers, seen with the same history, share that noise, and their averages are known.

    Returns:
        The predictor f, not centred; the untrained layers' predictor f_0; and how much of f's
        features is theirs, the regression coefficient b. The average of f_0 does not change.
    """
    nodes = looks.nodes
    weights = jax.nn.softmax(-(nodes**2) / 2, axis=1)

    def smooth(layer: int, mean: Array, variance: Array) -> tuple[Array, Array]:
        size = jnp.sqrt(variance)

        def add(k: Array, total: tuple[Array, Array]) -> tuple[Array, Array]:
            phi = program.phi(mean + size[:, None] * nodes[layer, k])
            weighed = weights[layer, k] * phi
            return total[0] + weighed, total[1] + jnp.mean(weighed * phi, axis=1)

        start = jnp.zeros_like(mean), jnp.zeros_like(size)
        return jax.lax.fori_loop(0, nodes.shape[1], add, start)

    def block(entry: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        factor, rest = entry
        phi, square = smooth(0, factor @ units.omega, units.a**2 * rest)
        first, first_square = smooth(0, factor @ looks.omega, rest)
        for i, t in enumerate(units.transitions):
            c, first_c = average(t.lower.basis, phi), average(t.lower.basis, first)
            # the weights' answers are independent of untrained features: their average is zero
            share = shared(phi, first)[:, None]
            news = phi - share * first
            response = average(t.lower.noise, news)
            mean = hidden.propagate(t, c, response, units.a)
            rest = square - jnp.sum(c**2, axis=0)
            if program.reserved is None:
                # the sampling error of the response has its share of the variance already
                known = jnp.sum((c - share[:, 0] * first_c) ** 2, axis=0)
                error = jnp.maximum(jnp.mean(news**2, axis=1) - known, 0.0)
                rest = rest - (1.0 - hidden.unexplored(t.upper)) * error
            first_rest = first_square - jnp.sum(first_c**2, axis=0)
            phi, square = smooth(i + 1, mean, units.a**2 * jnp.maximum(rest, 0.0))
            first, first_square = smooth(
                i + 1, first_c.T @ t.upper.noise, jnp.maximum(first_rest, 0.0)
            )
        output = average(phi, units.w[None])[:, 0] / richness
        return output, average(first, looks.w[None])[:, 0] / richness, shared(phi, first)

    found: tuple[Array, Array, Array] = jax.lax.map(block, (looks.factor, looks.rest))
    output, initial, share = (values.ravel()[: len(looks.start)] for values in found)
    return output, initial, share


@partial(jax.jit, static_argnames=("program", "trained"))
def snapshot(
    program: Program, units: Units, fields: Fields, looks: Looks, trained: int
) -> tuple[
    Float[Array, "replicates layers points samples"],
    Float[Array, "replicates layers points points"],
]:
    """Return the fields and feature kernels of every layer, in all replicates.

    Points are those trained on, then queries and probes, drawn jointly.
    """

    def one(units: Units, fields: Fields, looks: Looks) -> tuple[Array, Array]:
        h = _joint_fields(program, units, fields, looks, trained)
        return jnp.stack(h), jnp.stack([feature_kernel(program, layer) for layer in h])

    axes = (units_axes(units), 0, LOOKS_AXES)
    found: tuple[Array, Array] = jax.vmap(one, axes, axis_name=REPLICATES)(units, fields, looks)
    return found


def _joint_fields(
    program: Program, units: Units, fields: Fields, looks: Looks, trained: int
) -> tuple[Float[Array, "points samples"], ...]:
    """Return h^1 ... h^L on the training points, then on queries and probes drawn jointly."""
    looked, samples = looks.joint_factor.shape[0], units.w.shape[0]
    known = tuple(h[:trained] for h in fields.h)
    if looked == 0:
        return known

    def own(layer: int, root: Array, *history: Array) -> Array:
        noise = looks.noise[layer]
        if program.reserved is None and samples > 4 * (looked + sum(map(len, history))):
            noise = hidden.white_noise(noise, *history)
        return units.a * root @ noise

    h = looks.joint_factor @ units.omega
    h = h + own(0, looks.joint_root)
    found = [jnp.concatenate([known[0], h])]
    for i, t in enumerate(units.transitions):
        phi = program.phi(h)
        c, response = average(t.lower.basis, phi), average(t.lower.noise, phi)
        h = hidden.propagate(t, c, response, units.a)
        root = _root(average(phi, phi), c)
        if program.reserved is None:
            root = jnp.sqrt(hidden.unexplored(t.upper)) * root
        h = h + own(i + 1, root, *t.upper)
        found.append(jnp.concatenate([known[i + 1], h]))
    return tuple(found)


def _root(covariance: Array, explained: Array) -> Array:
    """Return a factor of what is left of a covariance, made definite at the level of rounding."""
    level = np.sqrt(np.finfo(covariance.dtype).eps) / 4 * jnp.max(jnp.diag(covariance))
    left = covariance - explained.T @ explained
    return jnp.linalg.cholesky(left + level * jnp.eye(len(left), dtype=left.dtype))


def feature_kernel(
    program: Program, h: Float[Array, "points samples"]
) -> Float[Array, "points points"]:
    """Return Phi = <phi(h) phi(h)^T>."""
    features = program.phi(h)
    return average(features, features)
