"""Worker processes of this machine: started, watched, and what goes on inside."""

from harness.execution.workers.local import LocalWorkers
from harness.execution.workers.worker import Settings

__all__ = ["LocalWorkers", "Settings"]
