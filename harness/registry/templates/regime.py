"""my-regime: a training protocol for limitbench."""

from pydantic import Field

from harness import Params, Stage, regime


class MyRegime(Params):
    """Parameters, as suites give them."""

    richness: float = Field(default=1.0, gt=0)
    """gamma of both stages."""
    steps: int = Field(default=100, ge=0)
    """Euler steps of each stage."""


@regime("my-regime", version="1")  # raise the version whenever results change
def my_regime(params: MyRegime) -> list[Stage]:
    """Learn the source, draw a fresh readout, learn the target."""
    # dt is "auto" unless given; see `harness.Stage` for decay, elastic, temperature and center
    return [
        Stage(data="source", richness=params.richness, steps=params.steps),
        Stage(data="target", richness=params.richness, steps=params.steps, readout="reset"),
    ]
