"""Numerics that networks and theories share: arrays in, arrays out.

Importing it sets JAX as `harness.numerics.settings` says: 64-bit arithmetic is available (every
array states its own precision), and no environment variable changes a number.
"""

from harness.numerics.activations import Activation, activation, derivative, on_arrays
from harness.numerics.coupled_linear import (
    CoupledLinear,
    LinearReference,
    initial_reference,
    solve_coupled_linear,
    stationary_reference,
)
from harness.numerics.decayed_units import DecayedUnits, solve_decayed_units
from harness.numerics.deep_linear import solve_deep_linear
from harness.numerics.dmft import RankError
from harness.numerics.dmft import Stage as DMFTStage
from harness.numerics.dmft import solve as solve_dmft
from harness.numerics.dual_activations import dual_activation
from harness.numerics.gaussian import (
    antithetic_gaussian,
    gram_factor,
    span_basis,
    stratified_gaussian,
)
from harness.numerics.lazy_kernels import LazyKernels, input_kernel, lazy_kernels
from harness.numerics.linear_moments import (
    ReferenceMoments,
    UnitMoments,
    advance_moments,
    asymptotic_fine_tuning_loss,
    boosted_moments,
    initial_moments,
    moment_kernel,
    moment_outputs,
)
from harness.numerics.ridge import ridge_regression
from harness.numerics.sampled_state import ConvergenceError, SampledState, UnitRates
from harness.numerics.settings import pin
from harness.numerics.solver_error import SolverError
from harness.numerics.stationary import BlockMeans, halves_ratio, window_mean
from harness.numerics.stationary_linear import (
    StationaryLinear,
    solve_decayed_linear,
    solve_stationary_linear,
)
from harness.numerics.threads import side_by_side
from harness.numerics.tilted_layers import solve_stationary_layers
from harness.numerics.tilted_mixture import solve_stationary_mixture
from harness.numerics.tilted_units import solve_stationary_units
from harness.numerics.two_layer import (
    ParticleFrame,
    ParticleNoise,
    ParticleRates,
    Particles,
    advance_particles,
    initial_kernel_error,
    kept_hidden,
    particle_outputs,
    particle_predictor,
)
from harness.numerics.two_layer_drive import Drive, drive_particles, stage_drive

pin()

__all__ = [
    "Activation",
    "BlockMeans",
    "ConvergenceError",
    "CoupledLinear",
    "DMFTStage",
    "DecayedUnits",
    "Drive",
    "LazyKernels",
    "LinearReference",
    "ParticleFrame",
    "ParticleNoise",
    "ParticleRates",
    "Particles",
    "RankError",
    "ReferenceMoments",
    "SampledState",
    "SolverError",
    "StationaryLinear",
    "UnitMoments",
    "UnitRates",
    "activation",
    "advance_moments",
    "advance_particles",
    "antithetic_gaussian",
    "asymptotic_fine_tuning_loss",
    "boosted_moments",
    "derivative",
    "drive_particles",
    "dual_activation",
    "gram_factor",
    "halves_ratio",
    "initial_kernel_error",
    "initial_moments",
    "initial_reference",
    "input_kernel",
    "kept_hidden",
    "lazy_kernels",
    "moment_kernel",
    "moment_outputs",
    "on_arrays",
    "particle_outputs",
    "particle_predictor",
    "ridge_regression",
    "side_by_side",
    "solve_coupled_linear",
    "solve_decayed_linear",
    "solve_decayed_units",
    "solve_deep_linear",
    "solve_dmft",
    "solve_stationary_layers",
    "solve_stationary_linear",
    "solve_stationary_mixture",
    "solve_stationary_units",
    "span_basis",
    "stage_drive",
    "stationary_reference",
    "stratified_gaussian",
    "window_mean",
]
