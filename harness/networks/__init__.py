"""Finite networks: mean-field Flax modules, staged gradient flow, ensembles over seeds."""

from harness.networks.modules import Layers, MeanFieldDense
from harness.networks.pilot import resolve_steps
from harness.networks.trainer import train

__all__ = ["Layers", "MeanFieldDense", "resolve_steps", "train"]
