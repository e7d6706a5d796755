"""Losses: error signals, values and curvatures (docs/theory.md, section 1).

Functions take NumPy or JAX arrays and return the same kind.
"""

from __future__ import annotations

from typing import Any, Literal

LossName = Literal["squared", "logistic", "softmax"]

CURVATURE: dict[str, float] = {"squared": 1.0, "logistic": 0.25, "softmax": 0.5}
"""Largest second derivative of a loss with respect to the output, which bounds stable steps."""

AnyArray = Any
"""A NumPy or JAX array."""


def error_signal(loss: str, y: AnyArray, output: AnyArray) -> AnyArray:
    """Return Delta = - d loss / d f, by which gradient flow moves the output f.

    squared, 1/2 |y - f|^2: Delta = y - f. logistic, log(1 + e^{-y f}) with labels y = +-1:
    Delta = y / (1 + e^{y f}). softmax, - sum_c y_c log softmax(f)_c with rows of y that sum to
    one: Delta = y - softmax(f).

    Args:
        loss: name of the loss.
        y: labels, (points,) or (points, outputs).
        output: f, (..., points) or (..., points, outputs).
    """
    if loss == "squared":
        return y - output
    xp = _namespace(output)
    if loss == "softmax":
        grown = xp.exp(output - output.max(axis=-1, keepdims=True))
        return y - grown / grown.sum(axis=-1, keepdims=True)
    # 1 / (1 + e^u) = (1 - tanh(u / 2)) / 2, which does not overflow
    return y * (0.5 - 0.5 * xp.tanh(0.5 * y * output))


def point_losses(loss: str, y: AnyArray, output: AnyArray) -> AnyArray:
    """Return each point's |y - f|^2, log(1 + e^{-y f}), or - sum_c y_c log softmax(f)_c.

    Outputs are summed over.

    Args:
        loss: name of the loss.
        y: labels, (points,) or (points, outputs).
        output: f, (..., points) or (..., points, outputs).

    Returns:
        Losses, (..., points).
    """
    if loss == "softmax":
        top = output.max(axis=-1)
        grown = _namespace(output).exp(output - top[..., None]).sum(axis=-1)
        return top + _namespace(output).log(grown) - (y * output).sum(axis=-1)
    if loss == "squared":
        found = (y - output) ** 2
    else:
        margin = y * output
        found = _namespace(margin).logaddexp(0.0 * margin, -margin)
    return found if y.ndim == 1 else found.sum(axis=-1)


def mean_loss(loss: str, y: AnyArray, output: AnyArray) -> AnyArray:
    """Return the mean over points of `point_losses`, which describes the arguments."""
    return point_losses(loss, y, output).mean(axis=-1)


def accuracy(y: AnyArray, output: AnyArray) -> AnyArray:
    """Return the share of points whose class the output names.

    The class of a point is the sign of its output, or the largest of its outputs; equal ones share
    the point.

    Args:
        y: labels: +-1, (points,), or largest at the class, (points, outputs).
        output: f, (..., points) or (..., points, outputs).
    """
    xp = _namespace(output)
    if y.ndim == 1:
        return (0.5 + 0.5 * xp.sign(y * output)).mean(axis=-1)
    first = (output == output.max(axis=-1, keepdims=True)).astype(output.dtype)
    named = (y == y.max(axis=-1, keepdims=True)).astype(output.dtype)
    return ((first * named).sum(axis=-1) / first.sum(axis=-1)).mean(axis=-1)


def along_outputs(values: AnyArray, like: AnyArray) -> AnyArray:
    """Return values with axes of length one at the end, as many as `like` has more."""
    return values.reshape(*values.shape, *(1,) * (like.ndim - values.ndim))


def _namespace(array: AnyArray) -> Any:
    return array.__array_namespace__()  # which loads no JAX for NumPy arrays
