"""The power of an experiment: does it tell a right theory from one that is a tenth off?"""

from __future__ import annotations

from pathlib import Path

from made_results import WIDTHS, Results

from harness.scoring import power, read_problems
from harness.scoring.power import Power


def measured(folder: Path, seeds: int, widths: tuple[int, ...] = WIDTHS) -> Power:
    made = Results(folder)
    gaps: dict[str, float | str] = {"right": 0.0, "wrong": 0.5}
    made.add("one", gaps, widths=widths, seeds=tuple(range(seeds)))
    (found,) = power(read_problems([made.store], []), ["absent", "right", "wrong"], 40)
    return found


def test_many_networks_find_out_a_theory_that_is_a_tenth_off(tmp_path: Path) -> None:
    found = measured(tmp_path, 16)
    assert (found.experiment, found.theory, found.verdict) == ("one", "right", "agrees")
    assert (found.wrong, found.apart) == ("disagrees", "disagrees")
    assert found.agreed == 1.0
    assert found.found_out > 0.9


def test_few_networks_do_not(tmp_path: Path) -> None:
    narrow = (4, 8, 16)
    few = measured(tmp_path / "few", 3, narrow)
    many = measured(tmp_path / "many", 16, narrow)
    assert few.interval[1] > many.interval[1]
    assert few.found_out < many.found_out


def test_an_experiment_without_a_right_theory_is_left_out(tmp_path: Path) -> None:
    made = Results(tmp_path)
    made.add("one", {"wrong": 0.5})
    assert power(read_problems([made.store], []), ["right"]) == []


def test_the_same_results_have_the_same_power(tmp_path: Path) -> None:
    assert measured(tmp_path / "a", 8) == measured(tmp_path / "b", 8)
