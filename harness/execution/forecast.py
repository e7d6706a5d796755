"""How much of a run's work is done, and when the rest will be."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """What a job is expected to take.

    Attributes:
        kind: jobs of one kind are mispredicted alike.
        seconds: on one worker; infinitely many if it is not known.
        bytes: of memory; 0 if it is not known.
    """

    kind: str
    seconds: float = math.inf
    bytes: float = 0.0


class Forecast:
    """Follows jobs, and corrects what was expected of each kind by what jobs of it have taken.

    Args:
        jobs: by number.
        clock: seconds that only grow.
    """

    def __init__(
        self, jobs: Sequence[Expected], clock: Callable[[], float] = time.monotonic
    ) -> None:
        known = [j.seconds for j in jobs if math.isfinite(j.seconds)]
        usual = sum(known) / len(known) if known else 1.0
        # a job also costs its way to the worker and back, and is never for nothing
        self._seconds = [0.02 + (j.seconds if math.isfinite(j.seconds) else usual) for j in jobs]
        self._kinds, self._clock = [j.kind for j in jobs], clock
        self._shares: dict[int, float] = {}
        self._started: dict[int, float] = {}
        self._taken: dict[str, float] = defaultdict(float)
        self._expected: dict[str, float] = defaultdict(float)

    def start(self, number: int) -> None:
        """Note that a job begins, or begins again."""
        self._started[number] = self._clock()
        self._shares[number] = 0.0

    def share(self, number: int, done: float) -> None:
        """Note the share of a job that is done."""
        self._shares[number] = min(max(done, 0.0), 1.0)

    def finish(self, number: int, failed: bool = False) -> None:
        """Note that a job has ended; one that failed says nothing of what others will take."""
        self._shares[number] = 1.0
        started = self._started.pop(number, None)
        if started is not None and not failed:
            self._taken[self._kinds[number]] += self._clock() - started
            self._expected[self._kinds[number]] += self._seconds[number]

    @property
    def done(self) -> float:
        """The share of the work that is done, between 0 and 1."""
        work = sum(self._seconds[n] * share for n, share in self._shares.items())
        return work / sum(self._seconds) if self._seconds else 1.0

    def seconds_left(self, workers: int) -> float | None:
        """Return the time until all is done by so many workers; None before anything is known."""
        if not self._expected:
            return None
        overall = sum(self._taken.values()) / sum(self._expected.values())
        left = []
        for number, seconds in enumerate(self._seconds):
            name = self._kinds[number]
            ratio = self._taken[name] / self._expected[name] if name in self._expected else overall
            left.append(seconds * ratio * (1.0 - self._shares.get(number, 0.0)))
        return max(sum(left) / max(1, workers), max(left, default=0.0))
