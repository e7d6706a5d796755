"""Suites: TOML files that name many cells, their sweeps, and the cells' keys."""

from harness.suites.build import build_data, build_observables, build_problem
from harness.suites.cells import Cell, Resolved, Solver, cells_of, solvers_of
from harness.suites.experiment import Experiment, Suite
from harness.suites.load import load_suite
from harness.suites.names import Globs, each_glob, matching
from harness.suites.repeats import same_problems
from harness.suites.schema import bundled_suites, suite_schema

__all__ = [
    "Cell",
    "Experiment",
    "Globs",
    "Resolved",
    "Solver",
    "Suite",
    "build_data",
    "build_observables",
    "build_problem",
    "bundled_suites",
    "cells_of",
    "each_glob",
    "load_suite",
    "matching",
    "same_problems",
    "solvers_of",
    "suite_schema",
]
