"""Compiled steps of the dynamical mean-field theory: fields of sampled hidden units.

One step fills the layers downward with gradients, moves the weights, and fills the layers upward
with pre-activations (arXiv:2205.09653, eqs. 6-9, with a network's Euler steps).
Arrays of points may hold padding, marked by a mask of zeros, so that stages share compiled code.
Shapes are those of one replicate; in compiled functions, arrays that differ between replicates have
a first axis of replicates, as `units_axes` and `TRAINING_AXES` specify.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from harness.numerics.compiling import compiled_fast
from harness.numerics.dmft import history as hidden
from harness.numerics.dmft.history import REPLICATES, Array, Fresh, Transition, average
from harness.numerics.dmft.tangent import Signals, tangent_kernel
from harness.numerics.losses import along_outputs, error_signal
from harness.numerics.problem import trains

Activation = Callable[[Any], Any]


class Units(NamedTuple):
    """Sampled hidden units of every layer.

    Attributes:
        omega: first-layer weights along the directions of the training points, (rank, samples).
        omega_start: the same at the stage's start.
        w: readout weights, (samples,), or (outputs, samples) for several outputs.
        a: share of the initial hidden weights that remains after decay.
        a_start: the same at the stage's start.
        transitions: weights between hidden layers.
    """

    omega: Float[Any, "rank samples"]
    omega_start: Float[Any, "rank samples"]
    w: Float[Any, "*outputs samples"]
    a: Float[Any, ""]
    a_start: Float[Any, ""]
    transitions: tuple[Transition, ...]


class Fields(NamedTuple):
    """Fields on a stage's training points at the current step.

    Attributes:
        h: pre-activations of every layer, each (train, samples).
        c: coefficients of the features of layers 1 ... L-1, each (capacity, train).
        output: predictor, not centred, (train,) or (train, outputs).
        impulse: sums of dt Delta and of dt Delta times the step, over the stage's steps so far,
            without response functions; None with them.
    """

    h: tuple[Float[Any, "train samples"], ...]
    c: tuple[Float[Any, "capacity train"], ...]
    output: Float[Any, " train *outputs"]
    impulse: Float[Any, "2 train"] | None = None


class Training(NamedTuple):
    """A stage's training points and rates.

    Attributes:
        factor: components of the points along the directions of `Units.omega`, (train, rank).
        mask: one for a point, zero for padding, (train,).
        y: labels, (train,) or (train, outputs).
        start: predictor that the stage subtracts, shaped alike.
        richness, dt, decay, elastic: gamma, step, lambda, delta.
    """

    factor: Float[Any, "train rank"]
    mask: Float[Any, " train"]
    y: Float[Any, " train *outputs"]
    start: Float[Any, " train *outputs"]
    richness: Float[Any, ""]
    dt: Float[Any, ""]
    decay: Float[Any, ""]
    elastic: Float[Any, ""]


TRAINING_AXES: Any = Training(None, None, None, 0, None, None, None, None)
"""Axes of replicates of a stage's training, for `jax.vmap`."""


def units_axes(units: Units) -> Any:
    """Return the axes of replicates of the units, for `jax.vmap`."""
    transitions = (hidden.transition_axes(),) * len(units.transitions)
    return Units(0, 0, 0, None, None, transitions)


class Program(NamedTuple):
    """Constants of compiled steps.

    Attributes:
        phi: activation, elementwise; a module-level function keeps compiled code reusable.
        slope: its derivative.
        tolerance: relative variance below which a new direction of the history is dropped.
        reserved: coordinates set aside for initial noise when the last axis holds exact
            coordinates of linear fields, or None when it holds samples.
        loss: name of the loss.
        branch: s = b / sqrt(L), scale of the branches beside skips; None without skips.
        responses: whether fields respond to the noise of the same weights. An approximation drops
            the response functions, A = B = 0; the predictor, which they help to move, then follows
            the tangent kernel of the fields.
    """

    phi: Activation
    slope: Activation
    tolerance: float
    reserved: int | None = None
    loss: str = "squared"
    branch: float | None = None
    responses: bool = True

    def joined(self, skip: Array, branch: Array) -> Array:
        """Return the field of the next layer, with or without that of the layer before it."""
        return branch if self.branch is None else skip + self.branch * branch

    def joined_variance(self, skip: Array, branch: Array) -> Array:
        """Return the variance, or covariance, of the field of the next layer."""
        return branch if self.branch is None else skip + self.branch**2 * branch


def _sources(program: Program, draws: tuple[Array, ...], block: Array, sign: int) -> list[Fresh]:
    if program.reserved is not None:
        # with skips the Gaussians of all layers meet at the same units
        apart, stride = (0, 2) if program.branch is None else (2, 2 * len(draws))
        first = program.reserved + sign
        return [
            hidden.coordinates(first + apart * i, stride, block.shape, block.dtype)
            for i in range(len(draws))
        ]
    return [
        hidden.sampled(raw, block.shape, block.dtype, responses=program.responses) for raw in draws
    ]


def _forward(
    program: Program, units: Units, training: Training, draws: tuple[Array, ...]
) -> tuple[Units, Fields]:
    """Fill the layers upward, extending the basis of features where they leave it."""
    h = [training.factor @ units.omega]
    c, transitions = [], list(units.transitions)
    mask = training.mask[:, None]
    for i, fresh in enumerate(_sources(program, draws, h[0], 0)):
        transitions[i], found, above = hidden.forward(
            transitions[i],
            mask * program.phi(h[i]),
            units.a,
            fresh,
            program.tolerance,
            responses=program.responses,
        )
        h.append(program.joined(h[i], above))
        c.append(found)
    units = units._replace(transitions=tuple(transitions))
    return units, Fields(tuple(h), tuple(c), _output(program, units, training, h[-1]))


def _output(program: Program, units: Units, training: Training, h: Array) -> Array:
    found = read_out(program.phi(h), units.w)
    return along_outputs(training.mask, found) * found / training.richness


def read_out(
    phi: Float[Any, "points samples"], w: Float[Any, "*outputs samples"]
) -> Float[Any, " points *outputs"]:
    """Return <phi w> for every output."""
    found = average(phi, w.reshape(-1, w.shape[-1]))
    return found if w.ndim == 2 else found[:, 0]


def _signal(error: Array, w: Array) -> tuple[Array, Array]:
    """Return the size of each point's error signal, and the readouts combined along it.

    With several outputs only the combination e = sum_c Delta_c w_c acts on hidden weights
    (docs/theory.md, section 1). Gradients are those of e over the size of Delta, so that they stay
    of order one while Delta vanishes.

    Args:
        error: Delta, (train,) or (train, outputs).
        w: readouts, (samples,) or (outputs, samples).
    """
    if error.ndim == 1:
        return error, w[None]
    size = jnp.linalg.norm(error, axis=1)
    return size, (error / jnp.where(size > 0, size, 1.0)[:, None]) @ w


def backward(
    program: Program,
    units: Units,
    training: Training,
    fields: Fields,
    readout: Float[Any, "#train samples"],
    importance: Float[Any, " train"],
    draws: tuple[Array, ...],
) -> tuple[Units, list[Array], list[Array]]:
    """Fill the layers downward from combined readouts.

    Returns the coefficients of g^2 ... g^L, and g^1 ... g^L.
    """
    transitions = list(units.transitions)
    mask = training.mask[:, None]
    g = [mask * program.slope(fields.h[-1]) * readout]
    d: list[Array] = []
    for i, fresh in reversed(list(enumerate(_sources(program, draws, g[0], 1)))):
        transitions[i], found, z = hidden.backward(
            transitions[i],
            g[0],
            importance,
            units.a,
            fresh,
            program.tolerance,
            responses=program.responses,
        )
        g.insert(0, program.joined(g[0], mask * program.slope(fields.h[i]) * z))
        d.insert(0, found)
    return units._replace(transitions=tuple(transitions)), d, g


@compiled_fast(static_argnames=("program", "frozen"))
def begin(
    program: Program,
    units: Units,
    training: Training,
    up: tuple[Array, ...],
    down: tuple[Array, ...],
    *,
    frozen: bool,
) -> tuple[Units, Fields]:
    """Store the weights at a stage's start, and compute its points' fields, in all replicates.

    Args:
        program: constants of compiled steps.
        units: the weights.
        training: the stage.
        up: Gaussian draws for new directions of features, (train, samples) per pair of layers.
        down: the same for directions of gradients.
        frozen: whether only the readout will be trained.
    """

    def meet(
        units: Units, training: Training, up: tuple[Array, ...], down: tuple[Array, ...]
    ) -> tuple[Units, Fields]:
        noted = tuple(t._replace(reference=t.memory) for t in units.transitions)
        units = units._replace(omega_start=units.omega, a_start=units.a, transitions=noted)
        units, fields = _forward(program, units, training, up)
        if not frozen:
            y = training.y
            _, readout = _signal(error_signal(program.loss, y, jnp.zeros_like(y)), units.w)
            units, _, _ = backward(program, units, training, fields, readout, training.mask, down)
        if not program.responses:
            fields = fields._replace(impulse=jnp.zeros((2, *training.y.shape), training.y.dtype))
        return units, fields

    axes = units_axes(units)
    side_by_side = jax.vmap(meet, (axes, TRAINING_AXES, 0, 0), (axes, 0), axis_name=REPLICATES)
    return side_by_side(units, training, up, down)


@partial(jax.jit, static_argnames=("program", "trained"), donate_argnames=("units", "fields"))
def advance(
    program: Program,
    units: Units,
    fields: Fields,
    training: Training,
    entropy: Array,
    stage: Array,
    first: Array,
    last: Array,
    *,
    trained: tuple[int | str, ...] | None,
) -> tuple[Units, Fields, Array]:
    """Take Euler steps `first` to `last` of all replicates; stop early where a history is full.

    Args:
        program: constants of compiled steps.
        units: the weights at step `first`; used up.
        fields: the fields at step `first`; used up.
        training: the stage.
        entropy: seed of every replicate's random keys.
        stage: number of the stage, which has its own keys.
        first: step of the state given.
        last: step to reach.
        trained: trained weights, numbers of hidden layers from 1 and "readout"; None for all. No
            constant of the program, so that stages share the programs of observation.

    Returns:
        The state, and the step reached.
    """

    def one(
        units: Units, fields: Fields, training: Training, entropy: Array
    ) -> tuple[Units, Fields, Array]:
        key = jax.random.fold_in(jax.random.key(entropy), stage)
        return _advance(program, units, fields, training, key, first, last, trained=trained)

    axes = units_axes(units)
    side_by_side = jax.vmap(one, (axes, 0, TRAINING_AXES, 0), (axes, 0, None), axis_name=REPLICATES)
    found: tuple[Units, Fields, Array] = side_by_side(units, fields, training, entropy)
    return found


def _advance(
    program: Program,
    units: Units,
    fields: Fields,
    training: Training,
    key: Array,
    first: Array,
    last: Array,
    *,
    trained: tuple[int | str, ...] | None,
) -> tuple[Units, Fields, Array]:
    """Take the steps of one replicate, with the random key of its stage."""
    gamma, dt, decay, elastic = training[4:]
    layers = len(units.transitions)
    frozen = not any(trains(trained, layer) for layer in range(1, layers + 2))
    labels = jnp.abs(training.y) if training.y.ndim == 1 else jnp.linalg.norm(training.y, axis=1)
    largest = jnp.maximum(jnp.max(labels), 1e-30)

    def relax(now: Array, start: Array) -> Array:
        return now - dt * (decay * now + elastic * (now - start))

    def step(carry: tuple[Units, Fields, Array]) -> tuple[Units, Fields, Array]:
        units, fields, i = carry
        error = error_signal(program.loss, training.y, fields.output - training.start)
        error = along_outputs(training.mask, error) * error
        w = units.w
        if trains(trained, "readout"):
            w = w + dt * ((gamma * error).T @ program.phi(fields.h[-1]) - decay * w)
        if frozen:
            units = units._replace(w=w)
            output = _output(program, units, training, fields.h[-1])
            impulse = _pushed(fields, dt * error, i)
            return units, fields._replace(output=output, impulse=impulse), i + 1
        keys = tuple(jax.random.split(jax.random.fold_in(key, i), 2 * layers + 1))
        size, readout = _signal(error, units.w)
        importance = jnp.minimum(jnp.abs(size) / largest, 1.0)
        units, d, g = backward(program, units, training, fields, readout, importance, keys[:layers])
        pull = dt * gamma * size
        omega = units.omega
        if trains(trained, 1):
            omega = relax(omega, units.omega_start) + (pull[:, None] * training.factor).T @ g[0]
        kick = pull if program.branch is None else program.branch * pull
        moved = tuple(
            t._replace(memory=relax(t.memory, t.reference) + (kick[None] * d_l) @ c_l.T)
            if trains(trained, layer)
            else t
            for layer, t, d_l, c_l in zip(
                range(2, layers + 2), units.transitions, d, fields.c, strict=True
            )
        )
        a = relax(units.a, units.a_start)
        units = Units(omega, units.omega_start, w, a, units.a_start, moved)
        units, found = _forward(program, units, training, keys[layers : 2 * layers])
        if not program.responses:
            features = [training.mask[:, None] * program.phi(h) for h in fields.h]
            own, inputs = Signals(features, g), training.factor @ training.factor.T
            output = fields.output + tangent_kernel(own, own, inputs) @ (dt * error)
            found = found._replace(output=output, impulse=_pushed(fields, dt * error, i))
        return units, found, i + 1

    def more(carry: tuple[Units, Fields, Array]) -> Array:
        return (carry[2] < last) & (frozen | has_room(carry[0], training.y.shape[0]))

    return jax.lax.while_loop(more, step, (units, fields, first))


def _pushed(fields: Fields, push: Array, step: Array) -> Array | None:
    """Return the impulse after a step with dt Delta = push."""
    if fields.impulse is None:
        return None
    return fields.impulse + jnp.stack([push, step.astype(push.dtype) * push])


def has_room(units: Units, train: int) -> Array:
    """Return whether the histories have room for another block of training points."""
    room = jnp.bool_(True)
    for t in units.transitions:
        room &= jnp.maximum(t.features, t.gradients) + train <= t.memory.shape[-1]
    return room
