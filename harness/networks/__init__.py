"""Finite networks: mean-field Flax modules, staged gradient flow, ensembles over seeds."""

from harness.networks.automatic_dt import resolve_steps
from harness.networks.draws import standard_normal
from harness.networks.modules import Layers, MeanFieldDense
from harness.networks.trainer import train
from harness.records import TRAINER_VERSION

__all__ = [
    "TRAINER_VERSION",
    "Layers",
    "MeanFieldDense",
    "resolve_steps",
    "standard_normal",
    "train",
]
