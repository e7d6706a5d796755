"""Suites: TOML files that name many cells, their sweeps, and the cells' keys."""

from harness.suites.cells import Cell, Solver, cells_of
from harness.suites.expand import Experiment, Suite, build_problem, load_suite
from harness.suites.repeats import same_problems
from harness.suites.schema import bundled_suites, suite_schema

__all__ = [
    "Cell",
    "Experiment",
    "Solver",
    "Suite",
    "build_problem",
    "bundled_suites",
    "cells_of",
    "load_suite",
    "same_problems",
    "suite_schema",
]
