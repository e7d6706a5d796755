from .distances import convergence
from .features import feature_kernels, preactivation_density
from .figures import loss_curves, predictions
from .freshness import is_current
from .gaps import gap_distribution, overview
from .page import FIGURES, write_report
from .sweeps import Sweep, find_sweeps, sweep_curve, sweep_map

__all__ = [
    "FIGURES",
    "Sweep",
    "convergence",
    "feature_kernels",
    "find_sweeps",
    "gap_distribution",
    "is_current",
    "loss_curves",
    "overview",
    "preactivation_density",
    "predictions",
    "sweep_curve",
    "sweep_map",
    "write_report",
]
