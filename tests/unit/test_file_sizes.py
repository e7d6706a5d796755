"""No file of tests grows beyond one topic."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
MOST = 600
"""Lines of a file; split a longer one by topic, with what its parts share in a module beside."""


def test_no_file_of_tests_is_longer_than_a_topic() -> None:
    lines = {
        path.relative_to(TESTS).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in TESTS.rglob("*.py")
    }
    assert {name: count for name, count in lines.items() if count > MOST} == {}
