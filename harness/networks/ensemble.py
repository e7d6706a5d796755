"""Ensembles of finite networks: their weights, and their training through a stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from harness import observables
from harness.networks import draws
from harness.networks.modules import Layers
from harness.networks.programs import (
    Frame,
    Recorded,
    State,
    StepProgram,
    Training,
    advance,
    compiled_calls,
    filled,
    hidden_layers,
    readout_scale,
    shared_rows,
)
from harness.networks.transforms import Terms, UpdateRates, Weights
from harness.numerics.losses import mean_loss
from harness.records import EXPLOSION, Dtype, Problem, Stage, Units, recorded_steps
from harness.records.protocol import RECORDS_PER_STAGE

BURST_FLOPS = 2e10
"""Work of one compiled call: a fraction of a second, so that Ctrl-C and progress are felt."""

RECORD_BYTES = 2**24
"""Most bytes of features that one compiled call records, if it records more than one step."""

Observed = dict[str, Float[np.ndarray, "networks ..."]]


class Pause(NamedTuple):
    """Records of one call of compiled steps, and the state at its end.

    Attributes:
        steps: recorded steps.
        curves: observables at these steps, (networks, steps).
        weights: of all networks at the last of them, with a leading axis of networks.
        diverged: first step of each network whose loss was not finite or exploded, or -1.
        snapshot: computes the snapshot of the last step.
        features: computes a network's last-layer features of the training points at that step.
    """

    steps: tuple[int, ...]
    curves: Observed
    weights: Weights
    diverged: Int[np.ndarray, " networks"]
    snapshot: Callable[[], Observed]
    features: Callable[[int], Float[np.ndarray, "train units"]]


class Ensemble:
    """Networks of one width and several seeds, trained side by side, stage by stage.

    Args:
        problem: with every dt resolved to a number.
        width: N.
        seeds: one network each; results of a seed do not depend on the others.
        dtype: precision of weights and data.

    Attributes:
        weights: {"hidden", "readout"}, with a leading axis of networks; trained after each stage.
    """

    def __init__(
        self, problem: Problem, width: int, seeds: Sequence[int], dtype: Dtype = "float32"
    ) -> None:
        self.problem, self.width, self.dtype = problem, width, np.dtype(dtype)
        self.seeds = list(seeds)
        self.module = problem.architecture.network(width)
        sample = problem.data.target.x[:1].astype(dtype)
        hidden = [draws.initial_hidden(self.module, width, seed, sample) for seed in seeds]
        self._sample = sample
        self.units = draws.layout(self.module, sample).features
        inputs = problem.architecture.inputs(sample)
        self._positions = inputs.shape[1] if inputs.ndim == 3 else 1
        self.weights: Weights = {
            "hidden": jax.tree.map(lambda *w: np.stack(w), *hidden),
            "readout": self._readouts("readout", problem.protocol.stages[0]),
        }

    def flops(self, stage: Stage) -> float:
        """Return the floating-point operations of one step of all networks, roughly."""
        return self._flops_per_point(stage) * len(self.problem.data.train(stage.data))

    def run(
        self,
        index: int,
        at: Sequence[int],
        stage: Stage | None = None,
        together: int = 1,
        burst_flops: float = BURST_FLOPS,
    ) -> Iterator[Pause]:
        """Train stage `index`, recording at the given steps.

        Args:
            index: 0-based stage of the problem's protocol.
            at: increasing steps at which to record.
            stage: used in place of the problem's own.
            together: most steps to record in one call.
            burst_flops: rough upper bound on the operations of one call; a call takes at least one
                step.

        Yields:
            The records of each call. After exhaustion `weights` holds the trained weights.
        """
        stage = stage or self.problem.protocol.stages[index]
        # the first stage starts from the initial readout unless it asks for zero
        if stage.readout == "zero":
            zeros = np.zeros((len(self.seeds), *self._readout_shape(stage)), self.dtype)
            self.weights = self.weights | {"readout": zeros}
        elif stage.readout == "reset" and index:
            self.weights = self.weights | {"readout": self._readouts(f"readout/{index}", stage)}
        if stage.reset and index:
            self.weights = self.weights | {"hidden": self._redrawn(index, stage)}
        sight = _Sight(self, stage)
        program, frame, data, rates = self._start(index, stage, sight)
        moving = {k: v for k, v in self.weights.items() if k == "readout" or program.terms.hidden}
        if program.terms.linearised:  # steps move displacements
            moving = jax.tree.map(np.zeros_like, moving)
        # steps use up their arguments
        moving = jax.device_put(moving, may_alias=False)
        count = len(self.seeds)
        state = State(moving, np.zeros(count, np.int32), np.full(count, -1, np.int32))
        seen = sight.inputs if program.terms.hidden else None
        burst = max(1, int(burst_flops / max(self.flops(stage), 1.0)))
        for call in compiled_calls(at, burst, together):
            intervals = np.zeros(together, np.int32)
            intervals[: len(call)] = [interval for interval, _ in call]
            state, recorded = advance(program, state, frame, data, rates, seen, intervals)
            steps = tuple(step for _, step in call if step is not None)
            if not steps:
                continue
            displaced = program.terms.linearised
            weights = self.weights if displaced else self.weights | state.weights
            # only the last interval of a call may end between recorded steps
            shown = jax.tree.map(lambda v: np.asarray(v)[:, : len(steps)], recorded)  # noqa: B023
            yield Pause(
                steps,
                sight.curves(shown),
                weights,
                np.asarray(state.diverged),
                lambda: sight.snapshot(weights, shown),  # noqa: B023
                lambda network: sight.features(weights, network),  # noqa: B023
            )
        if not stage.linearised:
            self.weights = self.weights | state.weights

    def records_together(self) -> int:
        """Return the number of records of one call: all of a stage, unless they are large.

        It does not depend on the stage's number of records, as each number needs its own program.
        """
        rows = max(self.seen_rows(stage) for stage in self.problem.protocol.stages)
        one = len(self.seeds) * rows * (self.units + rows) * self.dtype.itemsize
        calls = math.ceil((RECORDS_PER_STAGE + 1) * one / RECORD_BYTES)
        return math.ceil((RECORDS_PER_STAGE + 1) / calls)

    def _start(
        self, index: int, stage: Stage, sight: _Sight
    ) -> tuple[StepProgram, Frame, Training, UpdateRates]:
        """Measure the predictor at a stage's start, and gather the arguments of its steps."""
        terms = self.terms(stage)
        train, points = slice(*sight.sets.train), len(self.problem.data.train(stage.data))
        rows = self.training_rows(stage)
        y, start = sight.labels.train, sight.start[:, train]
        first = mean_loss(stage.loss, y, 0 * y) + mean_loss(stage.loss, y, start)
        frozen = None
        if sight.frozen is not None and not terms.hidden:
            frozen = np.stack([filled(layers.features[-1][train], rows) for layers in sight.frozen])
        reference = self.weights["hidden"] if terms.elastic else None
        keys = [draws.noise_key(seed, self.width, index) for seed in self.seeds]
        frame = Frame(
            np.stack([filled(s, rows) for s in start]),
            frozen,
            reference,
            (EXPLOSION * first).astype(self.dtype),
            np.stack(keys) if terms.noise else None,
            self.weights if terms.linearised else None,
        )
        data = Training(
            filled(sight.x[train], rows) if frozen is None else None,
            filled(y, rows),
            np.arange(rows) < points,
        )
        program = StepProgram(self.module, self.width, terms)
        frame, data, rates = jax.device_put(
            (frame, data, UpdateRates.of(stage, self.width, self.dtype))
        )
        return program, frame, data, rates

    def training_rows(self, stage: Stage) -> int:
        """Return the number of rows for a stage's training points: see `shared_rows`."""
        alike = [s for s in self.problem.protocol.stages if _alike(s, stage)]
        counts = [len(self.problem.data.train(s.data)) for s in alike]
        rows = shared_rows(counts, [s.steps * self._flops_per_point(s) for s in alike])
        return dict(zip(counts, rows, strict=True))[len(self.problem.data.train(stage.data))]

    def seen_rows(self, stage: Stage) -> int:
        """Return the number of rows for all points that a stage observes: see `shared_rows`."""
        sets, stages = self.problem.data.sets(), self.problem.protocol.stages
        counts = [sum(len(sets[name]) for name in s.sets_seen(sets)) for s in stages]
        looks = [len(recorded_steps(s.steps)) if s.trainable != "readout" else 1 for s in stages]
        rows = shared_rows(counts, [2.0 * self._positions * self._hidden_size * n for n in looks])
        return dict(zip(counts, rows, strict=True))[
            sum(len(sets[name]) for name in stage.sets_seen(sets))
        ]

    @property
    def _hidden_size(self) -> int:
        """Number of hidden weights of one network."""
        return sum(w.size for w in jax.tree.leaves(self.weights["hidden"])) // len(self.seeds)

    def _flops_per_point(self, stage: Stage) -> float:
        hidden = 6 * self._positions * self._hidden_size if stage.trainable != "readout" else 0
        return float(len(self.seeds) * (hidden + 4 * self.units))

    def terms(self, stage: Stage) -> Terms:
        """Return the terms of a stage's update."""
        return Terms.of(stage, self._layers)

    def _layers(self) -> list[int]:
        """Return the layer of each array of the hidden weights."""
        found = draws.layout(self.module, self._sample)
        return draws.layers_of(found, self.problem.architecture.depth)

    def _redrawn(self, index: int, stage: Stage) -> Any:
        """Return the hidden weights, with those that a stage draws afresh."""
        drawn = [
            draws.initial_hidden(self.module, self.width, seed, self._sample, f"/{index}")
            for seed in self.seeds
        ]
        fresh, tree = jax.tree.flatten(jax.tree.map(lambda *w: np.stack(w), *drawn))
        layers = [1] * len(fresh) if stage.reset == "all" else self._layers()
        kept = jax.tree.leaves(self.weights["hidden"])
        return jax.tree.unflatten(
            tree,
            [
                new if stage.redraws(layer) else old
                for new, old, layer in zip(fresh, kept, layers, strict=True)
            ],
        )

    def _readout_shape(self, stage: Stage) -> tuple[int, ...]:
        return (self.units, *self.problem.data.train(stage.data).y.shape[1:])

    def _readouts(self, purpose: str, stage: Stage) -> Float[np.ndarray, "networks units *outputs"]:
        shape = self._readout_shape(stage)
        return np.stack(
            [draws.normal(seed, self.width, purpose, shape, self.dtype) for seed in self.seeds]
        )


def _alike(one: Stage, other: Stage) -> bool:
    """Return whether two stages may share a compiled program."""
    return (one.trainable, one.linearised) == (other.trainable, other.linearised)


class _Sight:
    """Observables of networks at the points of a stage, from its start on.

    Attributes:
        x, labels, sets: points, labels of the sets, and where these lie.
        inputs: x, filled up to the rows that stages share.
        start: predictor at the stage's start, subtracted later; zero if the stage does not centre,
            or if it is linearised.
        frozen: layers of each network if the stage does not change them, else None.
    """

    def __init__(self, ensemble: Ensemble, stage: Stage) -> None:
        self._ensemble, self._richness = (
            ensemble,
            ensemble.dtype.type(stage.richness_at(ensemble.width)),
        )
        x, labels, self.sets = observables.stage_points(ensemble.problem.data, stage)
        self.x, self.labels = x.astype(ensemble.dtype), labels.astype(ensemble.dtype)
        self.inputs = jax.device_put(filled(self.x, ensemble.seen_rows(stage)))
        shape = (len(ensemble.seeds), len(x), *labels.train.shape[1:])
        self.start = np.zeros(shape, ensemble.dtype)
        self.frozen: list[Layers] | None = None
        if not stage.moves_features:
            self.frozen = [self._layers(ensemble.weights, i) for i in self._networks]
        if stage.center and not ensemble.terms(stage).linearised:
            with observables.observing():
                outputs = [self._output(ensemble.weights, i)[0] for i in self._networks]
            self.start = np.stack(outputs)
        self._asked = ensemble.problem.observables
        self._first: list[Units] = []
        if any(each.asks_start for each in self._asked):
            with observables.observing():
                seen = [self._output(ensemble.weights, i) for i in self._networks]
            kept = 0 if stage.linearised else 1  # a linearised predictor starts from zero
            self._first = [self._units(kept * output, layers) for output, layers in seen]

    @property
    def _networks(self) -> range:
        return range(len(self._ensemble.seeds))

    def curves(self, recorded: Recorded) -> Observed:
        """Return the observables of recorded steps."""

        def one(network: int) -> dict[str, NDArray[Any]]:
            if recorded.features is None:
                features = self._layers({}, network).features[-1]
            else:
                features = recorded.features[network, :, : len(self.x)]
            if recorded.output is None:
                output = self._centred(features, recorded.readout[network], network)
            else:
                output = recorded.output[network, :, : len(self.x)]
            return observables.unit_curves(self.sets, self.labels, output, features)

        return self._each(one)

    def snapshot(self, weights: Weights, recorded: Recorded) -> Observed:
        """Return the snapshot at the last of some recorded steps."""
        own: list[dict[str, NDArray[Any]] | None] = []

        def one(network: int) -> dict[str, NDArray[Any]]:
            output, layers = self._output(weights, network)
            if recorded.output is not None:
                output = recorded.output[network, -1, : len(self.x)]
            own.append(self._own(output, layers, network))
            return observables.unit_snapshot(self.sets, self.labels, output, *layers)

        return self._each(one) | observables.together(own)

    def _own(
        self, output: NDArray[Any], layers: Layers, network: int
    ) -> dict[str, NDArray[Any]] | None:
        """Return the observables of one's own of a network; None if it has diverged."""
        if not self._asked:
            return {}
        if not np.isfinite(output).all():
            return None
        first = self._first[network] if self._first else None
        return observables.measured(self._asked, self._units(output, layers), first)

    def _units(self, output: NDArray[Any], layers: Layers) -> Units:
        return observables.units_on(self.sets, self.x, self.labels, output, *layers)

    def features(self, weights: Weights, network: int) -> Float[np.ndarray, "train units"]:
        """Return a network's last-layer features of the training points."""
        return self._layers(weights, network).features[-1][slice(*self.sets.train)]

    def _each(self, one: Callable[[int], dict[str, NDArray[Any]]]) -> Observed:
        with observables.observing():
            return observables.stacked([one(network) for network in self._networks])

    def _output(self, weights: Weights, network: int) -> tuple[NDArray[Any], Layers]:
        """Return the centred predictor and the layers of a network."""
        layers = self._layers(weights, network)
        readout = np.asarray(weights["readout"])[network]
        return self._centred(layers.features[-1], readout, network), layers

    def _centred(
        self, features: NDArray[Any], readout: NDArray[Any], network: int
    ) -> Float[np.ndarray, ...]:
        width = self._ensemble.width
        scale = self._richness * self._richness.dtype.type(
            readout_scale(width, self._ensemble.units)
        )
        several = self.labels.train.ndim == 2
        product = features @ readout if several else np.matvec(features, readout)
        return product / scale - self.start[network]

    def _layers(self, weights: Weights, network: int) -> Layers:
        if self.frozen is not None:
            return self.frozen[network]
        layers = hidden_layers(self._ensemble.module, weights["hidden"], network, self.inputs)
        return jax.tree.map(lambda v: np.asarray(v)[: len(self.x)], layers)
