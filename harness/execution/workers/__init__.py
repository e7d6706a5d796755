"""Worker processes of this machine: their start, their supervision, and their inside."""

from harness.execution.workers.local import LocalWorkers
from harness.execution.workers.worker import Settings

__all__ = ["LocalWorkers", "Settings"]
