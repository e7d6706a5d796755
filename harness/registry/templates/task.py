"""my-task: a task for limitbench."""

import numpy as np
from pydantic import Field

from harness import Dataset, Params, TransferData, task


class MyTask(Params):
    """Parameters, as suites give them."""

    points: int = Field(default=40, ge=2)
    """Training points of the source and of the target."""
    angle: float = 0.5
    """Angle between the two teachers, in radians."""


@task("my-task", version="1", tags={"synthetic"})  # raise the version whenever results change
def my_task(params: MyTask, seed: int) -> TransferData:
    """Two linear teachers at an angle, on Gaussian inputs."""
    rng = np.random.default_rng(seed)  # the seed alone decides every number

    def draw(angle: float) -> Dataset:
        x = rng.standard_normal((params.points, 10))
        return Dataset(x, np.cos(angle) * x[:, 0] + np.sin(angle) * x[:, 1])

    return TransferData(
        source=draw(0.0),
        source_test=draw(0.0),
        target=draw(params.angle),
        target_test=draw(params.angle),
        # others={"third": (draw(0.1), draw(0.1))} adds a task that stages may train on by name
    )
