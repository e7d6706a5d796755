"""Running the cells of a suite."""

from harness.execution.calls import Job
from harness.execution.driver import run_suite
from harness.execution.plan import Plan, plan_suite

__all__ = ["Job", "Plan", "plan_suite", "run_suite"]
