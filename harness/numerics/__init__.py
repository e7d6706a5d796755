"""Numerics that networks and theories share: arrays in, arrays out.

Importing it applies the JAX settings of `harness.numerics.settings`: 64-bit arithmetic is available
(every array states its own precision), and no environment variable changes a number.
"""

from harness.numerics.dmft.causal_pass import RankError
from harness.numerics.dmft.linear import solve_deep_linear
from harness.numerics.dmft.march import DMFTSettings, solve_dmft
from harness.numerics.kernels.activations import Activation, activation, derivative, on_arrays
from harness.numerics.kernels.dual_activations import dual_activation
from harness.numerics.kernels.lazy import LazyKernels, input_kernel, lazy_kernels
from harness.numerics.kernels.march import LazySettings, solve_lazy
from harness.numerics.kernels.ridge import ridge_regression
from harness.numerics.linear.march import solve_linear
from harness.numerics.linear.moments import (
    ReferenceMoments,
    UnitMoments,
    advance_moments,
    asymptotic_fine_tuning_loss,
    boosted_moments,
    initial_moments,
    moment_kernel,
    moment_outputs,
)
from harness.numerics.linear.typical import typical_readout_losses
from harness.numerics.losses import CURVATURE, accuracy, error_signal, mean_loss
from harness.numerics.mean_field.after_kernel import solve_after_kernel
from harness.numerics.mean_field.correction import correction, frozen_signals
from harness.numerics.mean_field.frozen_signal import FrozenSignal, follow_signal, frozen_signal
from harness.numerics.mean_field.kernel_errors import (
    exact_kernels,
    initial_kernel_error,
    kernel_errors,
)
from harness.numerics.mean_field.march import MeanFieldSettings, solve_mean_field
from harness.numerics.mean_field.particles import (
    ParticleFrame,
    ParticleNoise,
    Particles,
    advance_particles,
    kept_hidden,
    particle_outputs,
    particle_predictor,
)
from harness.numerics.mean_field.units import ParticleStage, Units, draw_units
from harness.numerics.posterior.coupled_linear import (
    CoupledLinear,
    LinearReference,
    initial_reference,
    solve_coupled_linear,
    stationary_reference,
)
from harness.numerics.posterior.decayed_units import DecayedUnits, solve_decayed_units
from harness.numerics.posterior.layers import solve_stationary_layers
from harness.numerics.posterior.march import StationarySettings, solve_stationary
from harness.numerics.posterior.mixture import solve_stationary_mixture
from harness.numerics.posterior.rivals import solve_adapted, solve_rescaled
from harness.numerics.posterior.sampled_state import ConvergenceError, SampledState, UnitRates
from harness.numerics.posterior.stationary_linear import (
    StationaryLinear,
    solve_decayed_linear,
    solve_stationary_linear,
)
from harness.numerics.posterior.units import solve_stationary_units
from harness.numerics.problem import (
    KernelView,
    Observe,
    ProblemArrays,
    Solved,
    Solver,
    StageArrays,
    StageRates,
    UnitView,
    always,
)
from harness.numerics.sampling.gaussian import (
    antithetic_gaussian,
    gram_factor,
    span_basis,
    stratified_gaussian,
)
from harness.numerics.sampling.window import BlockMeans, halves_ratio, window_mean
from harness.numerics.settings import pin
from harness.numerics.solver_error import SolverError, UnstableError
from harness.numerics.threads import side_by_side

pin()

__all__ = [
    "CURVATURE",
    "Activation",
    "BlockMeans",
    "ConvergenceError",
    "CoupledLinear",
    "DMFTSettings",
    "DecayedUnits",
    "FrozenSignal",
    "KernelView",
    "LazyKernels",
    "LazySettings",
    "LinearReference",
    "MeanFieldSettings",
    "Observe",
    "ParticleFrame",
    "ParticleNoise",
    "ParticleStage",
    "Particles",
    "ProblemArrays",
    "RankError",
    "ReferenceMoments",
    "SampledState",
    "Solved",
    "Solver",
    "SolverError",
    "StageArrays",
    "StageRates",
    "StationaryLinear",
    "StationarySettings",
    "UnitMoments",
    "UnitRates",
    "UnitView",
    "Units",
    "UnstableError",
    "accuracy",
    "activation",
    "advance_moments",
    "advance_particles",
    "always",
    "antithetic_gaussian",
    "asymptotic_fine_tuning_loss",
    "boosted_moments",
    "correction",
    "derivative",
    "draw_units",
    "dual_activation",
    "error_signal",
    "exact_kernels",
    "follow_signal",
    "frozen_signal",
    "frozen_signals",
    "gram_factor",
    "halves_ratio",
    "initial_kernel_error",
    "initial_moments",
    "initial_reference",
    "input_kernel",
    "kept_hidden",
    "kernel_errors",
    "lazy_kernels",
    "mean_loss",
    "moment_kernel",
    "moment_outputs",
    "on_arrays",
    "particle_outputs",
    "particle_predictor",
    "pin",
    "ridge_regression",
    "side_by_side",
    "solve_adapted",
    "solve_after_kernel",
    "solve_coupled_linear",
    "solve_decayed_linear",
    "solve_decayed_units",
    "solve_deep_linear",
    "solve_dmft",
    "solve_lazy",
    "solve_linear",
    "solve_mean_field",
    "solve_rescaled",
    "solve_stationary",
    "solve_stationary_layers",
    "solve_stationary_linear",
    "solve_stationary_mixture",
    "solve_stationary_units",
    "span_basis",
    "stationary_reference",
    "stratified_gaussian",
    "typical_readout_losses",
    "window_mean",
]
