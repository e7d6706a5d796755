"""How networks are drawn and trained: parts of the key of every network."""

from typing import Literal

TRAINER_VERSION = "2"
"""Goes up whenever a network of the same problem, width and seed may come out otherwise, beyond
rounding: other initial weights, noise, steps or observables. Compiled code, thread counts and
orders of summation change the last bits only, and leave it as it is."""

EXPLOSION = 1e3
"""A training loss beyond this many times its start is an explosion, not a transient."""

Dtype = Literal["float32", "float64"]
"""Precisions of networks and their data."""
