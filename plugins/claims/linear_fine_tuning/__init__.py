"""Claims on two-layer linear networks: the effect of source features on a readout."""

from .crosstalk import crosstalk_hurts
from .deep import deep_linear_spikes
from .negative_transfer import negative_transfer
from .optimal_richness import optimal_richness
from .phase import (
    phase_converged,
    phase_converged_source,
    phase_ridged,
    phase_ridged_source,
    phase_stopped,
    phase_stopped_source,
)
from .rank_one_limit import rank_one_limit
from .source_kernel import limited_source_kernel, population_source

__all__ = [
    "crosstalk_hurts",
    "deep_linear_spikes",
    "limited_source_kernel",
    "negative_transfer",
    "optimal_richness",
    "phase_converged",
    "phase_converged_source",
    "phase_ridged",
    "phase_ridged_source",
    "phase_stopped",
    "phase_stopped_source",
    "population_source",
    "rank_one_limit",
]
