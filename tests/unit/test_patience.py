"""No test passes or fails by how fast a machine is: only `patience` and benchmarks know a clock."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CLOCKS = re.compile(
    r"\b(perf_counter|monotonic|process_time|time\.time)\(|timeout=[1-9]|_timeout\([1-9]"
)
"""A clock that is read, or a limit in seconds."""
BENCHMARKS = ("brute_force.py", "patience.py", "test_patience.py")


def test_tests_read_no_clock_and_set_no_limit_in_seconds() -> None:
    found = {
        f"{path.relative_to(TESTS)}: {line.strip()}"
        for path in TESTS.rglob("*.py")
        if path.parent.name != "benchmarks" and path.name not in BENCHMARKS
        for line in path.read_text(encoding="utf-8").splitlines()
        if CLOCKS.search(line)
    }
    assert found == set()
