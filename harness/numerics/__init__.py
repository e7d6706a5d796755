"""Numerics that networks and theories share: arrays in, arrays out.

Importing it makes 64-bit arithmetic available in JAX; every array states its own precision.
"""

import jax

from harness.numerics.activations import Activation, activation, derivative
from harness.numerics.deep_linear import solve_deep_linear
from harness.numerics.dmft import RankError
from harness.numerics.dmft import Stage as DMFTStage
from harness.numerics.dmft import solve as solve_dmft
from harness.numerics.dual_activations import dual_activation
from harness.numerics.gaussian import antithetic_gaussian, gram_factor, stratified_gaussian
from harness.numerics.lazy_kernels import LazyKernels, input_kernel, lazy_kernels
from harness.numerics.stationary import BlockMeans, halves_ratio, window_mean
from harness.numerics.stationary_linear import (
    StationaryLinear,
    solve_decayed_linear,
    solve_stationary_linear,
)
from harness.numerics.tilted_units import (
    ConvergenceError,
    StationaryUnits,
    UnitRates,
    solve_stationary_units,
)
from harness.numerics.two_layer import (
    ParticleFrame,
    ParticleRates,
    Particles,
    advance_particles,
    initial_kernel_error,
    particle_outputs,
)

jax.config.update("jax_enable_x64", True)

__all__ = [
    "Activation",
    "BlockMeans",
    "ConvergenceError",
    "DMFTStage",
    "LazyKernels",
    "ParticleFrame",
    "ParticleRates",
    "Particles",
    "RankError",
    "StationaryLinear",
    "StationaryUnits",
    "UnitRates",
    "activation",
    "advance_particles",
    "antithetic_gaussian",
    "derivative",
    "dual_activation",
    "gram_factor",
    "halves_ratio",
    "initial_kernel_error",
    "input_kernel",
    "lazy_kernels",
    "particle_outputs",
    "solve_decayed_linear",
    "solve_deep_linear",
    "solve_dmft",
    "solve_stationary_linear",
    "solve_stationary_units",
    "stratified_gaussian",
    "window_mean",
]
