"""Version and settings of drawing and training networks: parts of the key of every network."""

from typing import Literal

TRAINER_VERSION = "2"
"""Version, raised whenever a network of the same problem, width and seed may differ beyond
rounding: by its initial weights, noise, steps or observables. Compiled code, thread counts and
orders of summation change only the last bits, and do not raise it."""

EXPLOSION = 1e3
"""A training loss beyond this many times its start is an explosion, not a transient."""

Dtype = Literal["float32", "float64"]
"""Precisions of networks and their data."""
