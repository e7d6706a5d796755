"""A submission is checked against the data, itself and the same cells run again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from forged_submissions import Facts, forge, sign

import harness
from harness import Registry
from harness.cli.verbs import cli
from harness.numerics.losses import mean_loss
from harness.submissions import read_rows
from harness.submissions.again import Problems
from harness.suites.cells import digest

REGISTRY = Registry.load()
OTHER = {"data": "0" * 64, "rounded": "1" * 64}


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the suite `smoke`, run and packed."""
    folder = tmp_path_factory.mktemp("submission")
    harness.run("smoke", results=folder / "r")
    found = CliRunner().invoke(
        cli, ["pack", str(folder / "r"), "-o", str(folder / "s.parquet")], standalone_mode=False
    )
    assert found.stdout.startswith(f"{folder / 's.parquet'}: 6 cells, ")
    return folder / "s.parquet"


@pytest.fixture
def file(submission: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(submission, tmp_path / "s.parquet"))


def check(file: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status and the outcome of a check."""
    found: Result = CliRunner().invoke(
        cli, ["check", str(file), "--json", *options], standalone_mode=False
    )
    assert found.exception is None, found.exception
    return found.return_value, json.loads(found.stdout)


def rows_at(row: Facts, stage: int, name: str) -> list[int]:
    """Return the places of an observable at its last recorded step."""
    places = zip(row["stage"], row["observable"], row["step"], strict=True)
    found = [(step, at) for at, (s, n, step) in enumerate(places) if (s, n) == (stage, name)]
    return [at for step, at in found if step == max(found)[0]]


def first_network(rows: list[Facts]) -> Facts:
    return next(row for row in rows if json.loads(row["facts"])["solver"]["width"])


def move_outputs(losses: bool) -> Callable[[list[Facts]], None]:
    """Return a forgery of a network's outputs, with losses that fit them or not."""

    def change(rows: list[Facts]) -> None:
        row = first_network(rows)
        places = rows_at(row, 1, "output/test")
        for at in places:
            row["value"][at] *= 1.05
        if losses:
            outputs = np.array([row["value"][at] for at in places])
            (loss,) = rows_at(row, 1, "loss/test")
            row["value"][loss] = float(mean_loss("squared", labels(row), outputs))

    return change


def labels(row: Facts) -> np.ndarray:
    from harness.records.cell import CellFacts

    problem = Problems(REGISTRY).find(CellFacts.model_validate(json.loads(row["facts"])))
    assert not isinstance(problem, str)
    return problem.data.target_test.y


def test_sound_cells_pass_and_a_forged_one_differs_when_run_again(file: Path) -> None:
    forge(file, move_outputs(losses=True))
    sign(file)
    forged = first_network([{"facts": row.text, "key": row.key} for row in read_rows(file)])["key"]
    code, found = check(file, "--workers", "1")
    assert code == 1
    assert found["faults"] == []
    verdicts = {each["cell"]: each["verdict"] for each in found["again"]}
    assert len(verdicts) == found["cells"] == 6
    assert verdicts.pop(forged) == "differs"
    assert set(verdicts.values()) == {"same bits"}
    (worst,) = [each for each in found["again"] if each["cell"] == forged]
    assert worst["observable"] == "output/test of stage 1"
    np.testing.assert_allclose(worst["difference"], 0.05, rtol=1e-5)
    assert worst["allowed"] < 1e-3


def test_nothing_is_wrong_with_what_run_writes(file: Path) -> None:
    code, found = check(file, "--cells", "0")
    assert (code, found["faults"], found["not_compared_with_data"]) == (0, [], {})


def test_a_submission_has_the_leaderboard_of_its_folder(submission: Path) -> None:
    shown = [
        CliRunner().invoke(cli, ["leaderboard", str(place)], standalone_mode=False).stdout
        for place in (submission, submission.parent / "r")
    ]
    assert "mean-field" in shown[0]
    assert shown[0] == shown[1]


def test_outputs_without_their_losses_are_a_fault(file: Path) -> None:
    forge(file, move_outputs(losses=False))
    sign(file)
    code, found = check(file, "--cells", "0")
    (fault,) = found["faults"]
    assert code == 1
    assert fault["fault"].startswith("stage 1: loss/test ends with ")


def test_a_loss_begins_with_that_of_a_predictor_of_zero(file: Path) -> None:
    def change(rows: list[Facts]) -> None:
        row = first_network(rows)
        at = next(
            k
            for k, (n, s, step) in enumerate(
                zip(row["observable"], row["stage"], row["step"], strict=True)
            )
            if (n, s, step) == ("loss/test", 1, 0)
        )
        row["value"][at] *= 1.01

    forge(file, change)
    sign(file)
    (fault,) = check(file, "--cells", "0")[1]["faults"]
    assert fault["fault"].startswith("stage 1: loss/test begins with ")


def test_two_seeds_have_outputs_of_their_own(file: Path) -> None:
    def change(rows: list[Facts]) -> None:
        one, two = [row for row in rows if json.loads(row["facts"])["solver"]["width"] == 16]
        for name in ("value", "arrays"):
            two[name] = one[name]

    forge(file, change)
    sign(file)
    (fault,) = check(file, "--cells", "0")[1]["faults"]
    assert fault["fault"].startswith("has the outputs of cell ")


def rekeyed(rows: list[Facts], change: Callable[[Facts], object]) -> None:
    """Change a network's facts, and give it the key of these."""
    row = first_network(rows)
    facts = json.loads(row["facts"])
    change(facts)
    names = ("format", "data", "architecture", "regime", "dts", "solver")
    facts["key"] = row["key"] = digest({name: facts[name] for name in names})
    row["facts"] = json.dumps(facts)


def test_data_that_are_not_those_of_the_task_are_a_fault(file: Path) -> None:
    forge(file, lambda rows: rekeyed(rows, lambda facts: facts.update(OTHER)))
    sign(file)
    code, found = check(file, "--cells", "0")
    (fault,) = found["faults"]
    assert code == 1
    assert fault["fault"].startswith("its task makes other data here (digest ")


def test_a_cell_of_other_components_cannot_be_run_again(file: Path) -> None:
    forge(file, lambda rows: rekeyed(rows, lambda f: f["architecture"].update(version="9")))
    sign(file)
    rows = [{"facts": row.text, "key": row.key} for row in read_rows(file)]
    key = next(r["key"] for r in rows if '"version":"9"' in r["facts"].replace(" ", ""))
    code, found = check(file, "--cells", "20", "--workers", "1", "--timeout", "300")
    (other,) = [each for each in found["again"] if each["cell"] == key]
    assert code == 1
    assert other["verdict"] == "cannot be re-run"
    assert other["reason"].startswith("architecture 'mlp' is version 1 here, and 9 in the results")
    assert len(found["not_compared_with_data"]) == 1


def test_a_file_that_is_no_submission_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    found = CliRunner().invoke(cli, ["check", str(path)], standalone_mode=False)
    assert str(found.exception).startswith(f"{path}: not a submission (")
