"""Predictors without response functions, A = B = 0: they follow the tangent kernel of the fields.

Read out of the fields, f = <z phi> / gamma, a predictor needs the responses even in the lazy limit:
through them h^2 feels the change of the first layer. Without them it is integrated instead,
f <- f + dt K Delta with K = Phi^L + sum_l G^l Phi^{l-1} at every step, as for gradients that are
independent of the forward pass (arXiv:2205.09653, gradient independence).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.numerics.compiling import compiled_fast
from harness.numerics.dmft import history as hidden
from harness.numerics.dmft.fields import Fields, Program, Training, Units, units_axes
from harness.numerics.dmft.history import REPLICATES, Array, average
from harness.numerics.dmft.queries import QUERIES_AXES, Queries
from harness.numerics.dmft.tangent import Signals, tangent_kernel


class FollowedQueries:
    """Predictor on a stage's queries, from the kernel at its recorded steps.

    Between two of them K is taken as linear in the step; the sums of Delta over steps are exact.

    Args:
        program: constants of compiled steps.
        queries: the queries.
        count: number of queries, without padding.
        training: the stage.
        frozen: whether only the readout is trained.
    """

    def __init__(
        self, program: Program, queries: Queries, count: int, training: Training, frozen: bool
    ) -> None:
        self._program, self._queries, self._count = program, queries, count
        self._factor, self._frozen = training.factor, frozen
        self._step = 0
        self._output: NDArray[Any] = np.zeros(0)
        self._kernel: NDArray[Any] = np.zeros(0)
        self._impulse: NDArray[Any] = np.zeros(0)

    def output(
        self, units: Units, fields: Fields, step: int
    ) -> Float[np.ndarray, "replicates query"]:
        """Return the centred predictor at a recorded step; steps come in increasing order."""
        found = query_kernels(
            self._program, units, fields, self._queries, self._factor, frozen=self._frozen
        )
        kernel, impulse = np.asarray(found)[:, : self._count], np.asarray(fields.impulse)
        if step == 0:
            self._output = np.zeros(kernel.shape[:2], kernel.dtype)
        else:
            with np.errstate(all="ignore"):  # the observer reports divergence
                sums, moments = np.moveaxis(impulse - self._impulse, 1, 0)
                later = (moments - self._step * sums) / (step - self._step)
                change = np.matvec(kernel - self._kernel, later)
                self._output = self._output + np.matvec(self._kernel, sums) + change
        self._step, self._kernel, self._impulse = step, kernel, impulse
        return self._output


@compiled_fast(static_argnames=("program", "frozen"))
def query_kernels(
    program: Program,
    units: Units,
    fields: Fields,
    queries: Queries,
    factor: Float[Any, "train rank"],
    *,
    frozen: bool,
) -> Float[Any, "replicates query train"]:
    """Return the tangent kernel between queries and training points, padding included.

    Args:
        program: constants of compiled steps.
        units: the weights of all replicates.
        fields: on the training points.
        queries: the queries.
        factor: components of the training points, as `Training.factor`.
        frozen: whether only the readout is trained.
    """

    def one(units: Units, fields: Fields, queries: Queries) -> Array:
        own = [program.phi(h) for h in fields.h], [program.slope(h) for h in fields.h]
        columns = _signals(units, *own, frozen)

        def block(entry: tuple[Array, Array]) -> Array:
            rows = _signals(units, *_smooth_layers(program, units, queries, *entry), frozen)
            return tangent_kernel(rows, columns, entry[0] @ factor.T)

        found = jax.lax.map(block, (queries.factor, queries.rest))
        return found.reshape(-1, factor.shape[0])

    axes = (units_axes(units), 0, QUERIES_AXES)
    found: Array = jax.vmap(one, axes, axis_name=REPLICATES)(units, fields, queries)
    return found


def _signals(
    units: Units, features: Sequence[Array], slopes: Sequence[Array], frozen: bool
) -> Signals:
    """Return the signals of points from phi(h) and phi'(h), gradients along the history alone.

    Noise of z beyond the history is independent between points: averages do not see it.
    """
    if frozen:
        return Signals(features, [])
    g = [slopes[-1] * units.w[None]]
    for slope, t in zip(slopes[-2::-1], units.transitions[::-1], strict=True):
        d = average(t.upper.basis, g[0])
        g.insert(0, slope * hidden.propagate_back(t, d, jnp.zeros_like(d), units.a))
    return Signals(features, g)


def _smooth_layers(
    program: Program, units: Units, queries: Queries, factor: Array, rest: Array
) -> tuple[list[Array], list[Array]]:
    """Return phi(h) and phi'(h) of every layer, averaged over the queries' own noise."""
    weights = jax.nn.softmax(-(queries.nodes**2) / 2, axis=1)
    mean, variance = factor @ units.omega, jnp.broadcast_to(rest[:, None], (len(rest), 1))
    features, slopes = [], []
    for layer in range(len(units.transitions) + 1):
        h = mean[None] + jnp.sqrt(variance)[None] * queries.nodes[layer][:, None]
        phi, weight = program.phi(h), weights[layer][:, None]
        features.append(jnp.sum(weight * phi, axis=0))
        slopes.append(jnp.sum(weight * program.slope(h), axis=0))
        if layer < len(units.transitions):
            t = units.transitions[layer]
            c = average(t.lower.basis, features[-1])
            square = jnp.mean(jnp.sum(weight * phi**2, axis=0), axis=1)
            mean = hidden.propagate(t, c, jnp.zeros_like(c), units.a)
            variance = jnp.maximum(square - jnp.sum(c**2, axis=0), 0.0)[:, None]
    return features, slopes
