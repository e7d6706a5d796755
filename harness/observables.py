"""One definition of every observable, for networks and theories alike.

A solver hands over what it has at a recorded step: outputs on the stage's points, and blocks of
the last layer's feature kernel. A network averages over its N hidden units, a particle theory
over its samples, a kernel theory knows the average; from there on the code is the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jax.scipy.special import ndtri
from jaxtyping import Array, Float
from numpy.typing import NDArray

from harness.numerics.stationary import halves_ratio, window_mean
from harness.records import Observable, Stage, Trajectory, TransferData

jax.config.update("jax_enable_x64", True)  # as harness.numerics does: arrays state their precision

KERNEL_POINTS = 100
"""Feature kernels are kept on at most this many training and as many test points of a stage."""

PROBE_RIDGE = 1e-2
"""Ridge of the source probe, as a fraction of the mean diagonal of the feature kernel."""

DENSITY_EDGES = np.linspace(-6.0, 6.0, 121)
"""Bin edges of pre-activation densities; what lies outside counts in the outermost bins."""

Bounds = tuple[int, int]
KernelBlock = Callable[[slice, slice], Float[Array, "rows columns"]]


@dataclass(frozen=True)
class Sets:
    """Where the sets of a stage lie in its array of points; hashable, for compiled code.

    `probe` holds the source task's training and test set (the stage's own while it trains on
    the source), or None for a single-task problem.
    """

    train: Bounds
    test: Bounds
    probe: tuple[Bounds, Bounds] | None

    @property
    def kept(self) -> NDArray[np.int64]:
        """Indices of the points on which feature kernels are kept."""
        return np.concatenate([np.arange(*b)[:KERNEL_POINTS] for b in (self.train, self.test)])


def stage_points(
    data: TransferData, stage: Stage
) -> tuple[Float[NDArray[Any], "points ..."], Float[NDArray[Any], " points"], Sets]:
    """Return inputs and labels of every point that a stage looks at, and where its sets lie.

    Training set first, then the others in the order of `Stage.sets_seen`.
    """
    sets = data.sets()
    taken = [sets[name] for name in stage.sets_seen(sets)]
    ends = np.cumsum([0, *(len(d) for d in taken)]).tolist()
    bounds = list(itertools.pairwise(ends))
    probe = None if data.source is None else (bounds[-2], bounds[-1])
    x, y = (np.concatenate([getattr(d, name) for d in taken]) for name in ("x", "y"))
    return x, y, Sets(bounds[0], bounds[1], probe)


def feature_kernel(
    rows: Float[Array, "rows units"], columns: Float[Array, "columns units"]
) -> Float[Array, "rows columns"]:
    """Return Phi = <phi phi>, the average over units (or samples) of products of features."""
    return rows @ columns.T / rows.shape[1]


def mean_squared_error(output: Float[Array, " points"], y: Float[Array, " points"]) -> Array:
    """Return the mean over points of (y - f)^2."""
    return jnp.mean((y - output) ** 2)


def kernel_alignment(kernel: Float[Array, "points points"], y: Float[Array, " points"]) -> Array:
    """Return <Phi, y y^T> / (|Phi| |y y^T|), the cosine of kernel and labels; 0 if one is zero."""
    size = jnp.linalg.norm(kernel) * (y @ y)
    return jnp.where(size > 0, y @ kernel @ y / jnp.where(size > 0, size, 1.0), 0.0)


def probe_loss(
    train: Float[Array, "source source"],
    cross: Float[Array, "source_test source"],
    y: Float[Array, " source"],
    y_test: Float[Array, " source_test"],
) -> Array:
    """Return the source test loss of the kernel predictor of the current features.

    The predictor is Phi(x, X) (Phi(X, X) + rho I)^{-1} y on the source training set, with rho =
    `PROBE_RIDGE` times the mean diagonal of Phi: what a readout could still say of the source.
    """
    ridge = PROBE_RIDGE * jnp.trace(train) / len(train)
    factor = jnp.linalg.cholesky(train + ridge * jnp.eye(len(train), dtype=train.dtype))
    weights = cho_solve((factor, True), y)
    return mean_squared_error(cross @ weights, y_test)


def curves(
    sets: Sets,
    y: Float[Array, " points"],
    output: Float[Array, " points"],
    kernel: KernelBlock,
) -> dict[str, Float[Array, ""]]:
    """Return the observables of one recorded step.

    Args:
        sets: where the stage's sets lie.
        y: labels of all points.
        output: centred predictor; only the stage's own sets are looked at.
        kernel: blocks of the last layer's feature kernel, by slices of points.
    """
    train, test = slice(*sets.train), slice(*sets.test)
    values = {
        "loss/train": mean_squared_error(output[train], y[train]),
        "loss/test": mean_squared_error(output[test], y[test]),
        "kernel/alignment": kernel_alignment(kernel(train, train), y[train]),
    }
    if sets.probe is not None:
        source, held_out = (slice(*bounds) for bounds in sets.probe)
        values["probe/source-loss"] = probe_loss(
            kernel(source, source), kernel(held_out, source), y[source], y[held_out]
        )
    return values


@partial(jax.jit, static_argnames=("sets",))
def recorded_curves(
    sets: Sets,
    y: Float[Array, " points"],
    outputs: Float[Array, "records points"],
    kernels: Float[Array, "records points points"],
) -> dict[str, Float[Array, " records"]]:
    """Return `curves` at every recorded step, from outputs and last-layer feature kernels."""
    return jax.vmap(lambda f, k: curves(sets, y, f, lambda a, b: k[a, b]))(outputs, kernels)


@partial(jax.jit, static_argnames=("sets",))
def kernel_curves(
    sets: Sets,
    y: Float[Array, " points"],
    outputs: Float[Array, "records points"],
    kernel: Float[Array, "points points"],
) -> dict[str, Float[Array, " records"]]:
    """Return `curves` at recorded steps that share one last-layer feature kernel."""
    return jax.vmap(lambda f: curves(sets, y, f, lambda a, b: kernel[a, b]))(outputs)


def unit_curves(
    sets: Sets,
    y: Float[Array, " points"],
    output: Float[Array, " points"],
    features: Float[Array, "points units"],
) -> dict[str, Float[Array, ""]]:
    """Return `curves` for a solver made of hidden units, from their last-layer features."""
    return curves(sets, y, output, lambda a, b: feature_kernel(features[a], features[b]))


def unit_snapshot(
    sets: Sets,
    y: Float[Array, " points"],
    output: Float[Array, " points"],
    preactivations: Sequence[Float[Array, "points units"]],
    features: Sequence[Float[Array, "points units"]],
) -> dict[str, Array]:
    """Return what is kept at the end of a stage by a solver made of hidden units.

    Returns:
        ``output/test`` (test points,), ``kernel/feature`` (L, points kept, points kept), and what
        `preactivation_laws` tells of the stage's training points.
    """
    kept, train = sets.kept, slice(*sets.train)
    return {
        "output/test": output[slice(*sets.test)],
        "kernel/feature": jnp.stack([feature_kernel(phi[kept], phi[kept]) for phi in features]),
        **preactivation_laws([h[train] for h in preactivations], y[train]),
    }


@jax.jit
def preactivation_laws(
    preactivations: Sequence[Float[Array, "points units"]],
    y: Float[Array, " points"] | Float[NDArray[Any], " points"],
) -> dict[str, Array]:
    """Return how the pre-activations of every layer are distributed over units.

    Args:
        preactivations: h of each layer on a training set.
        y: its labels.

    Returns:
        ``preactivation/density`` (L, bins), over points and units. Of the projection h.y of each
        unit on the labels, standardised over units: ``preactivation/excess-kurtosis`` (L,), its
        fourth moment less 3, and ``preactivation/wasserstein`` (L,), its 1-Wasserstein distance
        from a standard Gaussian. Both vanish for Gaussian pre-activations, whatever their
        covariance over points; n units drawn from a Gaussian give distances of about 1 / sqrt(n).
    """
    labels = jnp.asarray(y)
    projections = [_standardised(labels @ h) for h in preactivations]
    return {
        "preactivation/density": jnp.stack([preactivation_density(h) for h in preactivations]),
        "preactivation/excess-kurtosis": jnp.stack([jnp.mean(s**4) - 3.0 for s in projections]),
        "preactivation/wasserstein": jnp.stack([_from_gaussian(s) for s in projections]),
    }


@jax.jit
def replicate_laws(
    preactivations: Sequence[Float[Array, "replicates points units"]],
    y: Float[Array, " points"],
) -> dict[str, Float[Array, "replicates ..."]]:
    """Return `preactivation_laws` of every replicate."""
    return jax.vmap(preactivation_laws, (0, None))(preactivations, y)


def _standardised(values: Float[Array, " units"]) -> Float[Array, " units"]:
    """Return values with mean 0 and variance 1; Gaussian quantiles if all are equal."""
    centred = values - values.mean()
    spread = jnp.sqrt(jnp.mean(centred**2))
    scale = jnp.max(jnp.abs(values))
    tiny = spread <= 100 * np.finfo(values.dtype).eps * scale
    gaussian = _gaussian_quantiles(len(values), values.dtype)
    return jnp.where(
        tiny, gaussian / jnp.sqrt(jnp.mean(gaussian**2)), centred / jnp.where(tiny, 1.0, spread)
    )


def _from_gaussian(values: Float[Array, " units"]) -> Float[Array, ""]:
    """Return the 1-Wasserstein distance of standardised values from N(0, 1)."""
    return jnp.mean(jnp.abs(jnp.sort(values) - _gaussian_quantiles(len(values), values.dtype)))


def _gaussian_quantiles(count: int, dtype: Any) -> Float[Array, " units"]:
    """Return the quantiles of N(0, 1) at (i + 1/2) / count."""
    return ndtri((jnp.arange(count) + 0.5) / count).astype(dtype)


def preactivation_density(h: Float[Array, "points units"]) -> Float[Array, " bins"]:
    """Return the density of pre-activations over points and units, in bins of `DENSITY_EDGES`."""
    edges = jnp.asarray(DENSITY_EDGES, dtype=h.dtype)
    inside = jnp.clip(h.ravel(), edges[0], edges[-1])
    return jnp.histogram(inside, bins=edges, density=True)[0]


@partial(jax.jit, static_argnames=("sets", "evaluate"))
def replicate_curves(
    sets: Sets,
    y: Float[Array, " points"],
    evaluate: Callable[..., tuple[Array, Array, Array]],
    replicates: tuple[Any, ...],
    shared: tuple[Any, ...],
) -> dict[str, Float[Array, " replicates"]]:
    """Return `unit_curves` of every replicate of a two-layer solver, one at a time.

    Args:
        sets: where the stage's sets lie.
        y: labels of all points.
        evaluate: returns f (points,), h and phi(h), both (points, units), of one replicate.
        replicates: its arguments that each replicate has for itself, along their first axis.
        shared: its other arguments.
    """

    def one(entry: tuple[Any, ...]) -> dict[str, Array]:
        output, _, features = evaluate(*entry, *shared)
        return unit_curves(sets, y, output, features)

    return jax.lax.map(one, replicates)


@partial(jax.jit, static_argnames=("sets", "evaluate"))
def replicate_snapshots(
    sets: Sets,
    y: Float[Array, " points"],
    evaluate: Callable[..., tuple[Array, Array, Array]],
    replicates: tuple[Any, ...],
    shared: tuple[Any, ...],
) -> dict[str, Float[Array, "replicates ..."]]:
    """Return `unit_snapshot` of every replicate: see `replicate_curves`."""

    def one(entry: tuple[Any, ...]) -> dict[str, Array]:
        output, h, features = evaluate(*entry, *shared)
        return unit_snapshot(sets, y, output, (h,), (features,))

    return jax.lax.map(one, replicates)


def gaussian_snapshot(
    sets: Sets,
    output: Float[NDArray[Any], " points"],
    variances: Float[NDArray[Any], "layers points"],
    kernels: Float[NDArray[Any], "layers points points"],
) -> dict[str, NDArray[Any]]:
    """Return the same as `unit_snapshot` for Gaussian pre-activations of known variance."""
    from scipy.special import ndtr

    kept = sets.kept
    edges = DENSITY_EDGES.copy()
    edges[[0, -1]] = -np.inf, np.inf
    # a point without variance, such as a zero input, has all its mass around zero
    spread = np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny))
    mass = np.diff(ndtr(edges / spread[:, slice(*sets.train), None]), axis=-1)
    return {
        "output/test": np.asarray(output[slice(*sets.test)]),
        "kernel/feature": np.asarray(kernels[:, kept][:, :, kept]),
        "preactivation/density": mass.mean(axis=1) / np.diff(DENSITY_EDGES),
        "preactivation/excess-kurtosis": np.zeros(len(variances)),
        "preactivation/wasserstein": np.zeros(len(variances)),
    }


def stage_observables(
    steps: NDArray[np.int64],
    recorded: Mapping[str, NDArray[Any]],
    final: Mapping[str, NDArray[Any]],
    replicated: bool = False,
) -> dict[str, Observable]:
    """Make a stage's observables from curves and the snapshot at its end.

    Args:
        steps: recorded steps, (R,).
        recorded: curves by name, each (R,), or (replicates, R).
        final: snapshot by name, each (...), or (replicates, ...).
        replicated: whether arrays lead with an axis of independent replicates; their mean is the
            value, their spread gives its standard error.
    """
    found = {}
    shaped = {name: (steps, v) for name, v in recorded.items()} | {
        name: (steps[-1:], np.expand_dims(v, int(replicated))) for name, v in final.items()
    }
    for name, (at, values) in shaped.items():
        if replicated:
            spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            # kernels and densities are large, and nothing asks how their errors are correlated
            kept = values if values.ndim <= 3 else None
            found[name] = Observable(at, values.mean(axis=0), spread, kept)
        else:
            found[name] = Observable(at, values)
    return found


def solved_observables(
    steps: NDArray[np.int64],
    sets: Sets,
    y: Float[NDArray[Any], " points"],
    outputs: Sequence[Float[NDArray[Any], "records points"]],
    kernels: Sequence[Float[NDArray[Any], "records points points"]],
    final: Sequence[Mapping[str, Any]],
) -> dict[str, Observable]:
    """Make a stage's observables from independent solutions, or from a single exact one.

    Args:
        steps: recorded steps, (R,).
        sets: where the stage's sets lie.
        y: labels of all points that the stage looks at.
        outputs: centred predictor at recorded steps, of every solution.
        kernels: the last layer's feature kernel there, of every solution.
        final: snapshot at the stage's end by name, of every solution.
    """
    curves = [
        {n: np.asarray(v) for n, v in recorded_curves(sets, y, f, k).items()}
        for f, k in zip(outputs, kernels, strict=True)
    ]
    replicated = len(curves) > 1

    def gather(parts: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        if not replicated:
            return {name: np.asarray(value) for name, value in parts[0].items()}
        return {name: np.stack([np.asarray(part[name]) for part in parts]) for name in parts[0]}

    return stage_observables(steps, gather(curves), gather(final), replicated)


def stationary_observables(
    steps: int, blocks: Mapping[str, NDArray[Any]], replicated: bool = False
) -> dict[str, Observable]:
    """Make the averages over a stage's stationary window from their block means.

    Args:
        steps: number of steps of the stage.
        blocks: block means of curves and snapshots by name, each (blocks, ...), or
            (blocks, replicates, ...); empty if there is no window.
        replicated: whether there is an axis of independent replicates, whose spread gives the
            standard error; it comes from the autocorrelation of the blocks otherwise.

    Returns:
        ``loss/test`` averaged is ``stationary/loss-test``, and so on, at the last step.
    """
    found = {}
    for name, values in blocks.items():
        if replicated:
            means = values.mean(axis=0)
            mean, stderr = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(len(means))
        else:
            mean, stderr = window_mean(values)
        found[stationary_name(name)] = Observable(np.array([steps]), mean[None], stderr[None])
    return found


def stationary_name(name: str) -> str:
    """Return the name of an observable's average over the stationary window."""
    return "stationary/" + name.replace("/", "-")


def stationary_notes(
    index: int, stage: Stage, blocks: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """Return what tells whether a stage's window is stationary; empty if there is no window.

    Args:
        index: 0-based stage.
        stage: the stage, with a temperature.
        blocks: as for `stationary_observables`, with ``output/test`` among them.

    Returns:
        ``stage<k>/relaxation-times``, how many times 1 / decay ran before the window and again
        within it, and ``stage<k>/halves``, the distance between the predictor's averages over the
        halves of the window in units of its expectation: about 1 if the window is stationary.
    """
    if not blocks:
        return {}
    return {
        f"stage{index}/relaxation-times": stage.steps / 2 * stage.step_size * stage.decay,
        f"stage{index}/halves": halves_ratio(blocks["output/test"]),
    }


def predictor_error(found: Trajectory) -> float:
    """Return the largest standard error of a stage's test predictor, relative to its norm.

    Outputs of 1e-6 and less are rounding errors of zero, and count as 1e-6.
    """
    errors = []
    for stage in found.stages:
        output = stage["output/test"]
        norm = max(float(np.linalg.norm(output.values)), 1e-6 * output.values.size**0.5)
        spread = 0.0 if output.stderr is None else float(np.linalg.norm(output.stderr))
        errors.append(spread / norm)
    return max(errors)


def until_accurate(
    solve: Callable[[int], Trajectory], target: float, first: int, most: int
) -> Trajectory:
    """Solve with more and more samples until the error of the test predictor is small enough.

    Args:
        solve: solves with about so many samples in all, over replicates, and notes how many it
            has taken as ``samples``.
        target: `predictor_error` to reach.
        first: samples to begin with.
        most: samples that the target error gives way to; `first` for a number that is given.
    """
    samples = first
    while True:
        found = solve(samples)
        missing = (predictor_error(found) / target) ** 2
        samples = max(samples, int(found.notes["samples"]))
        if missing <= 1 or samples >= most:
            return found
        # errors fall at least like the square root; aim a little below the target
        samples = min(most, int(np.ceil(samples * min(16.0, 1.2 * missing))))
