"""Losses: error signals, values and curvatures (docs/theory.md, section 1).

Functions take NumPy or JAX arrays and return the same kind.
"""

from __future__ import annotations

from typing import Any, Literal

LossName = Literal["squared", "logistic"]

CURVATURE: dict[str, float] = {"squared": 1.0, "logistic": 0.25}
"""Largest second derivative of a loss with respect to the output, which bounds stable steps."""

AnyArray = Any
"""A NumPy or JAX array."""


def error_signal(loss: str, y: AnyArray, output: AnyArray) -> AnyArray:
    """Return Delta = - d loss / d f, by which gradient flow moves the output f.

    squared, 1/2 (y - f)^2: Delta = y - f. logistic, log(1 + e^{-y f}) with labels y = +-1:
    Delta = y / (1 + e^{y f}).

    Args:
        loss: name of the loss.
        y: labels, (..., points).
        output: f, the same shape.
    """
    if loss == "squared":
        return y - output
    # 1 / (1 + e^u) = (1 - tanh(u / 2)) / 2, which does not overflow
    return y * (0.5 - 0.5 * _namespace(output).tanh(0.5 * y * output))


def mean_loss(loss: str, y: AnyArray, output: AnyArray) -> AnyArray:
    """Return the mean over points of the loss: of (y - f)^2, or of log(1 + e^{-y f}).

    Args:
        loss: name of the loss.
        y: labels, (points,).
        output: f, (..., points).
    """
    if loss == "squared":
        return ((y - output) ** 2).mean(axis=-1)
    margin = y * output
    return _namespace(margin).logaddexp(0.0 * margin, -margin).mean(axis=-1)


def accuracy(y: AnyArray, output: AnyArray) -> AnyArray:
    """Return the share of points whose output has the sign of the label; zero counts half.

    Args:
        y: labels of +-1, (points,).
        output: f, (..., points).
    """
    return (0.5 + 0.5 * _namespace(output).sign(y * output)).mean(axis=-1)


def _namespace(array: AnyArray) -> Any:
    return array.__array_namespace__()  # which loads no JAX for NumPy arrays
