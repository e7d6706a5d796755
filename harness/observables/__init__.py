"""One definition of every observable, for networks and theories alike.

A solver hands over what it has at a recorded step: outputs on the stage's points, and blocks of
the last layer's feature kernel. A network averages over its N hidden units, a particle theory
over its samples, a kernel theory knows the average; from there on the code is the same.
"""

from harness.observables.recorded import (
    PROBE_RIDGE,
    block_curves,
    curves,
    feature_blocks,
    feature_kernel,
    kernel_alignment,
    mean_squared_error,
    observing,
    probe_loss,
    recorded_curves,
    stacked,
    unit_curves,
)
from harness.observables.sets import KERNEL_POINTS, Sets, stage_points
from harness.observables.snapshots import (
    DENSITY_EDGES,
    gaussian_snapshot,
    preactivation_density,
    preactivation_laws,
    replicate_laws,
    unit_snapshot,
)
from harness.observables.stages import (
    predictor_error,
    solved_observables,
    stage_observables,
    stationary_name,
    stationary_notes,
    stationary_observables,
    until_accurate,
)

__all__ = [
    "DENSITY_EDGES",
    "KERNEL_POINTS",
    "PROBE_RIDGE",
    "Sets",
    "block_curves",
    "curves",
    "feature_blocks",
    "feature_kernel",
    "gaussian_snapshot",
    "kernel_alignment",
    "mean_squared_error",
    "observing",
    "preactivation_density",
    "preactivation_laws",
    "predictor_error",
    "probe_loss",
    "recorded_curves",
    "replicate_laws",
    "solved_observables",
    "stacked",
    "stage_observables",
    "stage_points",
    "stationary_name",
    "stationary_notes",
    "stationary_observables",
    "unit_curves",
    "unit_snapshot",
    "until_accurate",
]
