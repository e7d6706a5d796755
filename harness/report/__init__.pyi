from .figures.convergence import convergence
from .figures.features import feature_kernels, preactivation_density
from .figures.overview import gap_distribution, overview
from .figures.predictions import predictions
from .figures.sweeps import Sweep, find_sweeps, sweep_curve, sweep_map
from .figures.training import loss_curves
from .figures.widths import over_width
from .freshness import FIGURES, is_current
from .page import write_report

__all__ = [
    "FIGURES",
    "Sweep",
    "convergence",
    "feature_kernels",
    "find_sweeps",
    "gap_distribution",
    "is_current",
    "loss_curves",
    "over_width",
    "overview",
    "preactivation_density",
    "predictions",
    "sweep_curve",
    "sweep_map",
    "write_report",
]
