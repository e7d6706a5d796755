"""Input and output of solvers: a problem and views of its solution, as plain arrays and numbers.

A solver marches through the stages of `ProblemArrays` and shows, at recorded steps, its hidden
units (`UnitView`) or kernels (`KernelView`). The caller makes observables of them at once, so that
memory does not grow with steps. `Solver` is the signature that all solvers share.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

NO_POINTS: NDArray[np.int64] = np.zeros(0, dtype=np.int64)


def trains(trained: Collection[int | str] | None, layer: int | str) -> bool:
    """Return whether a hidden layer's weights, or the "readout", are trained; None means all."""
    return trained is None or layer in trained


class StageRates(NamedTuple):
    """Rates of a stage: gamma, dt, decay lambda, elastic delta, temperature T."""

    richness: Float[Any, ""]
    dt: Float[Any, ""]
    decay: Float[Any, ""] = 0.0
    elastic: Float[Any, ""] = 0.0
    temperature: Float[Any, ""] = 0.0

    def cast(self, precision: str) -> StageRates:
        """Return the rates as numbers of a precision."""
        return StageRates(*(np.dtype(precision).type(rate) for rate in self))


class StageArrays(NamedTuple):
    """One stage of training; points are indices into those of the problem.

    Attributes:
        train: points trained on, at least one.
        y: their labels, (train,), or (train, C) for C outputs.
        query: points of the stage's test set, whose predictor is observed; may be empty.
        rates: its rates.
        records: increasing recorded steps, from 0; the last is the stage's end.
        readout: whether the readout is kept, drawn afresh or set to zero at the start.
        trained: trained weights, numbers of hidden layers from 1 and "readout"; None for all.
        redrawn: hidden layers whose weights are drawn afresh at the start.
        center: whether the predictor at the stage's start is subtracted.
        probe: more points whose features are observed; may be empty.
        window: further steps at which a solver that follows noise is observed.
        loss: name of the loss: see `harness.numerics.error_signal`.
    """

    train: Int[np.ndarray, " train"]
    y: Float[np.ndarray, " train *outputs"]
    query: Int[np.ndarray, " query"]
    rates: StageRates
    records: Int[np.ndarray, " records"]
    readout: Literal["keep", "reset", "zero"] = "keep"
    trained: Collection[int | str] | None = None
    redrawn: Collection[int] = ()
    center: bool = True
    probe: Int[np.ndarray, " probe"] = NO_POINTS
    window: Int[np.ndarray, " observations"] = NO_POINTS
    loss: str = "squared"

    def trains(self, layer: int | str) -> bool:
        """Return whether a hidden layer's weights, or those of the "readout", are trained."""
        return trains(self.trained, layer)

    @property
    def frozen(self) -> bool:
        """Whether the readout alone is trained."""
        return self.trained is not None and set(self.trained) <= {"readout"}

    @property
    def linearised(self) -> bool:
        """Whether the network is linearised around its weights at the start: richness 0."""
        return float(self.rates.richness) == 0.0

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.records[-1])

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of a point's output: (), or (C,) for C outputs."""
        return self.y.shape[1:]

    @property
    def seen(self) -> Int[np.ndarray, " seen"]:
        """All observed points: training points, queries, probes."""
        return np.concatenate([self.train, self.query, self.probe])


class ProblemArrays(NamedTuple):
    """A problem: its points, the network's shape, and the stages of training.

    Attributes:
        x: inputs of the first layer, (points, D), or (points, positions, D) for units at several
            positions.
        tasks: training points and labels of every task, whether or not a stage trains on it.
        activation: name of phi.
        depth: hidden layers L.
        stages: in the order in which they are trained.
        branch_scale: b of layers with skips; None without skips.
        pooling: map from positions to a unit's features, (features, positions); None for all.
        units: whether observables of one's own ask for hidden units at each stage's start and end.
    """

    x: Float[np.ndarray, "points *positions inputs"]
    tasks: Sequence[tuple[Int[np.ndarray, " train"], Float[np.ndarray, " train *outputs"]]]
    activation: str
    depth: int
    stages: Sequence[StageArrays]
    branch_scale: float | None = None
    pooling: Float[np.ndarray, "features positions"] | None = None
    units: bool = False

    @property
    def gram(self) -> Float[np.ndarray, "points points"]:
        """K_x = x.x' / D between all points, which have one position."""
        return np.asarray(self.x @ self.x.T / self.x.shape[1])

    @property
    def trained(self) -> NDArray[np.bool_]:
        """Mask of the points that any stage trains on, (points,)."""
        found = np.zeros(len(self.x), bool)
        for stage in self.stages:
            found[stage.train] = True
        return found


HELD = 2**25
"""Most numbers of units that are kept from a stage's start to its end, over replicates."""

FEWEST = 64
"""Fewest units of a replicate that are kept, whatever their points."""


class UnitView(NamedTuple):
    """Hidden units of one replicate at a step, on the points of a stage.

    Attributes:
        output: centred predictor, (points,), or (points, C) for C outputs.
        preactivations: h of each layer, (points, units), or (points, positions, units).
        features: phi(h) of each layer, (points, units); in the last layer as the readout sees them.
    """

    output: Float[np.ndarray, " points *outputs"]
    preactivations: Sequence[Float[np.ndarray, "points *positions units"]]
    features: Sequence[Float[np.ndarray, "points units"]]


class KernelView(NamedTuple):
    """Kernels of a solver that knows them, at one or several steps, on the points of a stage.

    Attributes:
        output: centred predictor, (points,) or (records, points); for C outputs with a last axis.
        kernel: returns blocks of the last layer's feature kernel by slices of rows and columns,
            (rows, columns), or (records, rows, columns) where it changes.
        kernels: feature kernels of all layers at the last of the steps, (layers, points, points);
            None where that is not the stage's end.
        preactivations: draws of h of each layer then, (points, draws), where they are known.
        variances: of h, (layers, points), where it is Gaussian; (layers, points, positions) for
            units at several positions.
        units: hidden units at the first and the last of the steps, where observables of one's own
            ask for them and the solver has them.
    """

    output: Float[np.ndarray, ...]
    kernel: Callable[[slice, slice], Float[np.ndarray, "*records rows columns"]]
    kernels: Float[np.ndarray, "layers points points"] | None = None
    preactivations: Sequence[Float[np.ndarray, "points draws"]] | None = None
    variances: Float[np.ndarray, "layers points *positions"] | None = None
    units: tuple[UnitView, UnitView] | None = None


def always(view: KernelView) -> Callable[[int], KernelView]:
    """Return a function that gives every replicate the same view, for an exact solution."""
    return lambda _: view


@runtime_checkable
class Observe(Protocol):
    """Makes observables of a solver's views."""

    def __call__(
        self,
        stage: int,
        steps: int | Int[np.ndarray, " records"],
        view: Callable[[int], UnitView | KernelView],
        replicates: int = 1,
        numbers: int = 0,
    ) -> None:
        """Take the views of a stage, at steps in increasing order.

        Args:
            stage: number of the stage.
            steps: recorded step or steps of the view.
            view: returns the view of one replicate; may be called by several threads.
            replicates: independent solutions, whose spread gives standard errors; 1 if exact.
            numbers: count of numbers in a view; large views are made one after the other.
        """


S_contra = TypeVar("S_contra", contravariant=True)
P = TypeVar("P")


@dataclass(frozen=True)
class Solved(Generic[P]):
    """Result of a solver, besides its views.

    Attributes:
        notes: facts for the reader: total ``samples``, residuals.
        known: starting point of a solution with more samples.
    """

    notes: Mapping[str, int | float]
    known: P


@runtime_checkable
class Solver(Protocol[S_contra, P]):
    """The signature of every solver: ``numerics/<family>/march.py``."""

    def __call__(
        self,
        problem: ProblemArrays,
        settings: S_contra,
        samples: int,
        observe: Observe,
        known: P | None,
        /,
    ) -> Solved[P]:
        """Solve a problem and show every stage.

        Args:
            problem: problem to solve.
            settings: of the solver.
            samples: approximate total of hidden units; 0 where none are needed.
            observe: receives every stage's recorded steps.
            known: from a solution of the same problem with fewer samples; None for the first.

        Raises:
            SolverError: if these settings find no solution.
        """
