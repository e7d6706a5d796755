"""Put the measured reliability of intervals and verdicts into docs/scoring.md.

Run by `make calibration`: 2000 simulated leaderboards for every planted gap and situation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from marked import fill
from threadpoolctl import threadpool_limits

from harness.formats import markdown_table
from harness.scoring.calibration import GAPS, Situation, VerdictShares, calibration

PAGE = Path(__file__).parent / "scoring.md"
LEADERBOARDS = 2000
SITUATIONS = (
    Situation("correlated points"),
    Situation("independent points", correlation=0.0),
    Situation("less noise, more drift", noise=0.7, bias=6.0),
    Situation("strongly correlated points", components=100, correlation=0.3),
    Situation("a theory with errors of 1 %", noise=1.0, theory_error=0.01),
)


def measured(case: tuple[Situation, float]) -> VerdictShares:
    """Simulate one row of the table."""
    situation, gap = case
    with threadpool_limits(1):  # matrices are small: more threads only wait for each other
        return calibration(gap, situation, LEADERBOARDS)


HEADERS = ("simulated", "planted gap", "interval covers it", "agrees", "undecided", "disagrees")


def lines() -> Iterator[Sequence[str]]:
    """Yield the table's lines."""
    cases = [(situation, gap) for situation in SITUATIONS for gap in GAPS]
    with ProcessPoolExecutor() as pool:
        for (situation, gap), rates in zip(cases, pool.map(measured, cases), strict=True):
            rest = 1 - rates.agrees - rates.disagrees
            shares = (rates.covered, rates.agrees, rest, rates.disagrees)
            cells = (f"{100 * share:.1f} %" for share in shares)
            yield situation.name, f"{100 * gap:g} %", *cells


def main() -> None:
    """Rewrite the table in docs/scoring.md."""
    fill(PAGE, "calibration", markdown_table(HEADERS, list(lines())))


if __name__ == "__main__":
    main()
