"""Running the cells of a suite."""

from harness.execution.driver import Plan, plan_suite, run_suite, select
from harness.execution.jobs import Job

__all__ = ["Job", "Plan", "plan_suite", "run_suite", "select"]
