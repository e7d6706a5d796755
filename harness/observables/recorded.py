"""Observables of one recorded step: losses, the kernel's alignment, probes of tasks.

Functions of one step take NumPy or JAX arrays, also within a compiled program, and return the same
kind. Functions of several steps or replicates use NumPy, which needs no program for each shape.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from harness.observables.points import Bounds, Labels, Sets
from harness.processes import one_thread

PROBE_RIDGE = 1e-2
"""Ridge of a probe, as a fraction of the mean diagonal of the feature kernel."""

K = TypeVar("K", bound=Hashable)

AnyArray = Any
"""A NumPy or JAX array."""

KernelBlock = Callable[[slice, slice], AnyArray]

KernelBlocks = dict[tuple[Bounds, Bounds], NDArray[Any]]
"""Blocks of a kernel by the bounds of their rows and columns."""


@contextmanager
def observing() -> Iterator[None]:
    """Compute observables with one thread, without warnings about values that are not finite.

    With one thread, sums also have the same order on every machine. Values that are not finite mark
    divergence.
    """
    with one_thread(), np.errstate(all="ignore"):
        yield


def feature_kernel(rows: AnyArray, columns: AnyArray) -> AnyArray:
    """Return Phi = <phi phi>, the average over units (or samples) of products of features.

    Args:
        rows: features of the row points, (..., points, units).
        columns: features of the column points.
    """
    return rows @ columns.swapaxes(-1, -2) / rows.shape[-1]


def kernel_alignment(kernel: AnyArray, y: AnyArray) -> AnyArray:
    """Return <Phi, y y^T> / (|Phi| |y y^T|), the cosine of kernel and labels; 0 if one is zero.

    Args:
        kernel: Phi, (..., points, points).
        y: labels, (points,) or (points, outputs).
    """
    xp = _namespace(kernel)
    if y.ndim == 1:
        along, labels = kernel @ y @ y, y @ y
    else:
        along, labels = (y * (kernel @ y)).sum(axis=(-2, -1)), xp.linalg.norm(y.T @ y)
    size = xp.linalg.norm(kernel, axis=(-2, -1)) * labels
    return xp.where(size > 0, along / xp.where(size > 0, size, 1.0), 0.0)


def probe_loss(train: AnyArray, cross: AnyArray, y: AnyArray, y_test: AnyArray) -> AnyArray:
    """Return a task's test loss of the kernel predictor of the current features.

    The predictor is Phi(x, X) (Phi(X, X) + rho I)^{-1} y on the task's training set, with rho =
    `PROBE_RIDGE` times the mean diagonal of Phi. It measures the information about the task
    that a readout could still extract, and is zero where all features are.

    Args:
        train: Phi(X, X), (..., train, train).
        cross: Phi(x, X), (..., test, train).
        y: labels of the training set, (train,) or (train, outputs).
        y_test: labels of the test set.
    """
    from harness.numerics.losses import mean_loss  # loads JAX, which reports do not need

    xp, count = _namespace(train), train.shape[-1]
    ridge = PROBE_RIDGE * xp.trace(train, axis1=-2, axis2=-1) / count
    ridge = xp.where(ridge == 0, 1.0, ridge).astype(train.dtype)[..., None, None]
    weights = xp.linalg.solve(train + ridge * xp.eye(count, dtype=train.dtype), y)
    output = cross @ weights if y.ndim == 2 else (cross @ weights[..., None])[..., 0]
    return mean_loss("squared", y_test, output)


def _namespace(array: AnyArray) -> Any:
    return array.__array_namespace__()  # which loads no JAX for NumPy arrays


def curves(
    sets: Sets, labels: Labels, output: AnyArray, kernel: KernelBlock
) -> dict[str, AnyArray]:
    """Return the observables of one recorded step, or of several along leading axes.

    Args:
        sets: positions of the stage's sets.
        labels: labels of the stage's sets.
        output: centred predictor, (..., points) or (..., points, outputs); only the stage's own
            sets are used.
        kernel: blocks of the last layer's feature kernel by slices of points, (..., rows, columns).
            Steps may share one kernel; its observables then have no leading axes.
    """
    from harness.numerics.losses import accuracy, mean_loss  # loads JAX, which reports do not need

    train, test = slice(*sets.train), slice(*sets.test)
    own, other = labels.part(output, train), labels.part(output, test)
    values = {
        "loss/train": mean_loss(sets.loss, labels.train, own),
        "loss/test": mean_loss(sets.loss, labels.test, other),
        "kernel/alignment": kernel_alignment(kernel(train, train), labels.train),
    }
    if sets.classes:
        values["accuracy/train"] = accuracy(labels.train, own)
        values["accuracy/test"] = accuracy(labels.test, other)
    for (name, *bounds), known in zip(sets.probes, labels.probes, strict=True):
        train, test = (slice(*b) for b in bounds)
        values[f"probe/{name}-loss"] = probe_loss(kernel(train, train), kernel(test, train), *known)
    return values


def recorded_curves(
    sets: Sets, labels: Labels, outputs: AnyArray, kernels: AnyArray
) -> dict[str, Float[np.ndarray, " records"]]:
    """Return `curves` at every recorded step.

    Args:
        sets: positions of the stage's sets.
        labels: labels of the stage's sets.
        outputs: centred predictor at recorded steps, (records, points) or (records, points,
            outputs).
        kernels: the last layer's feature kernel at each of them, (records, points, points), or one
            that all share, (points, points).
    """
    steps, known = np.asarray(outputs), np.asarray(kernels)
    return _recorded(sets, labels, steps, lambda a, b: known[..., a, b])


def unit_curves(
    sets: Sets, labels: Labels, output: AnyArray, features: AnyArray
) -> dict[str, Float[np.ndarray, "*records"]]:
    """Return `curves` for a solver made of hidden units, from their last-layer features.

    Args:
        sets: positions of the stage's sets.
        labels: labels of the stage's sets.
        output: centred predictor, (points,) or (points, outputs), at several steps with a leading
            axis of records.
        features: (points, units), also for all steps, or (records, points, units).
    """
    return block_curves(sets, labels, output, feature_blocks(sets, features))


def feature_blocks(sets: Sets, features: AnyArray) -> KernelBlocks:
    """Return the blocks of the feature kernel that `curves` needs, from (..., points, units)."""
    phi = np.asarray(features)
    return {
        (a, b): feature_kernel(phi[..., slice(*a), :], phi[..., slice(*b), :])
        for a, b in sets.blocks
    }


def block_curves(
    sets: Sets, labels: Labels, output: AnyArray, blocks: KernelBlocks
) -> dict[str, Float[np.ndarray, "*records"]]:
    """Return `curves` from `feature_blocks`, of steps or replicates along leading axes."""

    def block(rows: slice, columns: slice) -> NDArray[Any]:
        return blocks[(rows.start, rows.stop), (columns.start, columns.stop)]

    return _recorded(sets, labels, np.asarray(output), block)


def _recorded(
    sets: Sets, labels: Labels, output: NDArray[Any], kernel: KernelBlock
) -> dict[str, NDArray[Any]]:
    with observing():
        found = curves(sets, labels, output, kernel)
    records = output.shape[: output.ndim - labels.train.ndim]
    return {name: np.broadcast_to(v, records) for name, v in found.items()}


def stacked(rows: Sequence[dict[K, AnyArray]]) -> dict[K, NDArray[Any]]:
    """Return the arrays of all rows, stacked, by name."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
