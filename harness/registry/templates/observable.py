"""my-observable: an observable for limitbench to record at the end of every stage."""

from typing import Any, Literal

import numpy as np

from harness import Params, Units, observable


class MyObservable(Params):
    """Parameters, as suites give them."""

    points: Literal["train", "test"] = "test"
    """Set of the stage on which units are seen."""


@observable("my-observable", version="1")  # raise the version whenever values change
def my_observable(params: MyObservable, end: Units) -> Any:
    """Mean square of the features of every layer, (L,)."""
    # a third argument, start: Units, receives the same units at the stage's start
    seen = end.train if params.points == "train" else end.test
    # per layer (points, ..., units); seen.x, .y, .output and .preactivations are there as well
    return np.array([np.mean(np.square(phi)) for phi in seen.features])
