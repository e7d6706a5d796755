"""The tutorial's suite is one that runs, and its messages are those that a reader meets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import Registry
from harness.errors import SuiteError
from harness.suites import build_problem, load_suite

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's suite, beside the table that the page makes."""
    from sklearn.datasets import load_digits

    load_digits(as_frame=True).frame.to_csv(tmp_path / "digits.csv", index=False)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "digits.toml"
    path.write_text(blocks[0] + blocks[1])
    return path


def test_its_suite_makes_ten_classes_and_a_sweep(suite: Path) -> None:
    registry = Registry.load()
    found = load_suite(str(suite), registry)
    assert [e.name for e in found.experiments] == [
        f"digits[regime.richness={gamma}]" for gamma in (0.03, 0.1, 0.3, 1.0)
    ]
    problem = build_problem(found.experiments[0], registry)
    assert problem.data.target.y.shape == (80, 10)


def test_its_mistake_has_the_line_that_it_shows(suite: Path) -> None:
    suite.write_text(suite.read_text().replace('loss = "softmax"', 'loss = "sofmax"'))
    with pytest.raises(SuiteError) as caught:
        load_suite(str(suite), Registry.load())
    line = str(caught.value).splitlines()[0]
    assert line.removeprefix(f"{suite.parent}/") in PAGE
