"""What `plugins check` catches, on which inputs it looks, and when it says that it saw nothing."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checked_plugins import checks, failures, load
from click.testing import CliRunner

import harness
from harness import Component, Params, Problem, Registry, Units
from harness.conformance import check_component
from harness.conformance.samples import on_images, small_problems
from harness.errors import PluginError, SuiteError
from harness.registry.declare import MARK
from harness.suites.expand import spec_of

TASK = '''
import numpy as np
from harness import Dataset, Params, TransferData, task

class Own(Params):
    points: int = 4

@task("own", version="1")
def make(params: Own, seed: int) -> TransferData:
    """A task of a test."""
    x = np.random.default_rng(seed).standard_normal((params.points, {shape}))
    return TransferData(target=Dataset(x, {y}), target_test=Dataset({test}, {y}))
'''
FLAT = {"shape": "2", "y": "x[:, 0]", "test": "-x"}
IMAGES = {"shape": "4, 4, 1", "y": "x[:, 0, 0, 0]", "test": "-x"}


def command(*arguments: str) -> Any:
    from harness.cli.plugins_ import command

    return CliRunner().invoke(command, ["check", *arguments])


# ---------------------------------------------------------------- tasks

BAD_TASKS = {
    "is deterministic in its seed": {"test": "np.random.default_rng().standard_normal(x.shape)"},
    "keeps training and test points apart": {"test": "x"},
    "has the right shapes and finite values": {"y": "np.ones(len(x))"},
}


@pytest.mark.parametrize("inputs", [FLAT, IMAGES], ids=["flat", "images"])
@pytest.mark.parametrize("check", BAD_TASKS)
def test_the_checks_catch_a_bad_task(check: str, inputs: dict[str, str], tmp_path: Path) -> None:
    own = load(tmp_path, TASK.format(**(inputs | BAD_TASKS[check]))).get("task", "own")
    documented = "has a summary, and every parameter is documented"
    found = failures(own)
    assert found.pop(documented) == "ValueError: document points with a string under each parameter"
    assert list(found) == [check]
    assert found[check].startswith("ValueError: ")


@pytest.mark.parametrize("inputs", [FLAT, IMAGES], ids=["flat", "images"])
def test_a_good_task_passes_on_either_kind_of_inputs(
    inputs: dict[str, str], tmp_path: Path
) -> None:
    text = TASK.format(**inputs).replace("int = 4", 'int = 4\n    """How many."""')
    assert failures(load(tmp_path, text).get("task", "own")) == {}


def test_a_component_that_only_this_process_knows_does_not_load_afresh(tmp_path: Path) -> None:
    own = load(tmp_path, TASK.format(**FLAT)).get("task", "own")
    failure = next(c.failure for c in check_component(own, {}) if c.name.startswith("loads"))
    assert "unknown task 'own'" in failure


@pytest.mark.parametrize(
    "field",
    [
        # a validator that converts runs again in a worker
        "@field_validator('points')\n    def twice(cls, n): return 2 * n",
    ],
)
def test_parameters_that_change_on_the_way_to_a_worker_are_caught(
    field: str, tmp_path: Path
) -> None:
    text = TASK.format(**FLAT).replace("int = 4", f"int = 4\n    {field}")
    own = load(tmp_path, "from pydantic import field_validator\n" + text).get("task", "own")
    failure = failures(own, {"points": 3})["has parameters that survive being written and read"]
    assert "points = 6 comes back as 12" in failure


JOINED = """
from pydantic import Field, field_serializer, field_validator
{task}

def pieces(text):
    return frozenset(text.split(",")) if isinstance(text, str) else text
"""


@pytest.mark.parametrize(
    ("field", "failure"),
    [
        ("field_serializer('tags')\n    def join(self, tags): return ','.join(tags)", "tags is 'a"),
        ("field_serializer('tags')\n    def join(self, t): return ','.join(sorted(t))", ""),
    ],
    ids=["in an order of chance", "sorted"],
)
def test_parameters_that_are_others_in_a_fresh_worker_are_caught(
    field: str, failure: str, tmp_path: Path
) -> None:
    tags = "tags: frozenset[str] = frozenset({'a', 'ab'})"
    read = "field_validator('tags', mode='before')\n    def read(cls, tags): return pieces(tags)"
    fields = f"int = 4\n    {tags}\n    @{field}\n    @{read}"
    task = textwrap.dedent(TASK.format(**FLAT)).replace("int = 4", fields)
    (tmp_path / "own.py").write_text(JOINED.format(task=task))
    own = Registry.load([tmp_path]).get("task", "own")
    (found,) = (c.failure for c in check_component(own, {}, [str(tmp_path)]) if "fresh" in c.name)
    assert failure in found
    assert bool(found) == bool(failure)
    assert not failure or found.endswith("write sets in order, and give fixed defaults")


def test_a_default_that_is_drawn_anew_is_refused(tmp_path: Path) -> None:
    drawn = "int = Field(default_factory=itertools.count(4).__next__)"
    text = TASK.format(**FLAT).replace("int = 4", drawn)
    registry = load(tmp_path, "import itertools\nfrom pydantic import Field\n" + text)
    own = registry.get("task", "own")
    failure = failures(own)["has parameters that survive being written and read"]
    assert re.search(r"points is \d+ and then \d+, read twice; give fixed defaults", failure)
    with pytest.raises(SuiteError, match=r"e\.task: parameters of task 'own' are new .*; set them"):
        spec_of(registry, own, {}, "e.task")
    assert spec_of(registry, own, {"points": 3}, "e.task").parameters == {"points": 3}


# ---------------------------------------------------------------- theories

SOLVED = "solves supported problems, with finite observables"
IMAGES_TOO = "solves images as well"
DETERMINISTIC = "is deterministic"
REFUSES = "refuses other problems in words"


class NoParams(Params):
    """Of theories of tests."""


def theory(supports: Any, predict: Any = None) -> Component:
    """Return a theory made of functions of a problem."""

    class Own:
        """A theory of a test."""

        def __init__(self, params: NoParams) -> None: ...

        def supports(self, problem: Problem) -> str | None:
            reason: str | None = supports(problem)
            return reason

        def predict(self, problem: Problem) -> Any:
            return predict(problem)

    return Component(
        kind="theory", name="own", version="1", params=NoParams, make=Own, summary="A theory."
    )


def test_a_theory_that_supports_no_small_problem_is_not_said_to_work() -> None:
    found = checks(theory(lambda problem: "describes deep water"))
    reason = "it supports none of 4 small problems; it says: describes deep water"
    assert [found[name].unchecked for name in (SOLVED, IMAGES_TOO, DETERMINISTIC)] == [reason] * 3
    assert all(not c.failure for c in found.values())


@pytest.mark.parametrize("index", range(4))
def test_a_theory_is_checked_where_it_applies(index: int) -> None:
    """Deep, without a source, or with noise: the first problem that it supports."""
    keep = list(small_problems())[index]

    def kind(problem: Problem) -> tuple[Any, ...]:
        stages = problem.protocol.stages
        return problem.architecture.depth, len(stages), stages[0].temperature

    def predict(problem: Problem) -> Any:
        solved.append(problem)
        return None

    solved: list[Problem] = []
    found = checks(theory(lambda p: None if kind(p) == kind(keep) else "no", predict))
    assert kind(solved[0]) == kind(keep)
    assert found[SOLVED].failure.endswith("returns a NoneType, not Trajectory")


def test_a_theory_that_forgets_about_images_is_caught() -> None:
    lazy = Registry.load().get("theory", "lazy-ntk")
    made = lazy.make(lazy.parse({}))

    def predict(problem: Problem) -> Any:
        _ = problem.data.target.x @ np.ones(6)
        return made.predict(problem)

    found = failures(theory(made.supports, predict))
    assert list(found) == [IMAGES_TOO]
    assert found[IMAGES_TOO].startswith("ValueError: matmul")


def test_a_theory_that_is_not_solved_on_images_is_not_said_to_be() -> None:
    lazy = Registry.load().get("theory", "lazy-ntk")
    made = lazy.make(lazy.parse({}))

    def supports(problem: Problem) -> str | None:
        reason: str | None = made.supports(problem)
        return "describes vectors" if problem.data.target.x.ndim > 2 else reason

    found = checks(theory(supports, made.predict))
    assert found[IMAGES_TOO].unchecked == "it supports no images; it says: describes vectors"
    assert [c.name for c in found.values() if c.failure or c.unchecked] == [IMAGES_TOO]


def test_a_theory_that_refuses_nothing_has_not_shown_that_it_can() -> None:
    found = checks(theory(lambda problem: None))
    assert found[REFUSES].unchecked == "it supports all of 8 small problems"


def test_small_problems_have_the_same_numbers_as_images() -> None:
    for problem in small_problems():
        images = on_images(problem)
        for name, flat in problem.data.sets().items():
            found = images.data.sets()[name].x
            assert found.shape == (5, 2, 3, 1)
            assert np.array_equal(problem.architecture.input_map(found), flat.x)


# ---------------------------------------------------------------- the command

TWO = (
    TASK.format(**FLAT).replace("int = 4", 'int = 4\n    """How many."""')
    + '''
class Other(Params):
    scale: float = 1.0
    """Size of inputs."""

@task("other", version="1")
def other(params: Other, seed: int) -> TransferData:
    """Another task."""
    return make(Own(points=4), seed)
'''
)


def test_settings_check_only_the_components_that_have_them(tmp_path: Path) -> None:
    load(tmp_path, TWO)
    path = str(tmp_path / "own.py")
    every = command(path)
    assert {line.split()[2] for line in every.stdout.splitlines()} == {"own", "other"}
    some = command(path, "--set", "points=5")
    assert (some.exit_code, {line.split()[2] for line in some.stdout.splitlines()}) == (0, {"own"})
    assert some.stderr == "not checked: task other, which does not have all of points\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["piont=5"],
            "--set piont: task own and task other: unknown parameter; did you mean 'points'?;"
            " allowed are points, scale",
        ),
        (
            ["points=5", "scale=2"],
            "--set: none of task own and task other has all of points, scale",
        ),
        (["points=many"], 'task own.points = "many": a whole number'),
    ],
)
def test_wrong_settings_are_one_line(settings: list[str], message: str, tmp_path: Path) -> None:
    load(tmp_path, TWO)
    options = [part for setting in settings for part in ("--set", setting)]
    done = command(str(tmp_path / "own.py"), *options)
    assert isinstance(done.exception, PluginError)
    assert str(done.exception) == message


def test_the_command_says_which_checks_saw_nothing(tmp_path: Path) -> None:
    text = '''
    from harness import Params, Problem, Trajectory, theory

    class Own(Params): ...

    @theory("own", version="1")
    class Theory:
        """A theory."""

        def __init__(self, params: Own) -> None: ...

        def supports(self, problem: Problem) -> str | None:
            return "describes deep water"

        def predict(self, problem: Problem) -> Trajectory: ...
    '''
    load(tmp_path, text)
    done = command(str(tmp_path / "own.py"))
    assert done.exit_code == 0
    assert (
        f"none    theory own {SOLVED}: it supports none of 4 small problems; it says: describes"
        " deep water\n"
    ) in done.stdout
    assert done.stderr.startswith("3 checks had nothing to look at: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py", "nowhere.py: no such file; give a plugin file or a component's name"),
        ("notes.txt", "no component 'notes.txt'; try `limitbench list`"),
        ("plugins", "plugins: a folder without __init__.py is no plugin; give one of its files"),
        ("empty.py", "empty.py: declares no component; mark one with a decorator of harness"),
    ],
)
def test_what_cannot_be_checked_is_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "mlp").mkdir()
    done = command(name)
    assert isinstance(done.exception, PluginError)
    assert str(done.exception) == message


# ---------------------------------------------------------------- observables

SHAPE = "gives finite numbers, of one shape for all widths and points"


def observable(measure: Any) -> Component:
    def make(params: NoParams, end: Units, start: Units) -> Any:
        """An observable of a test."""
        return measure(end, start)

    mark = harness.observable("own/one", version="1")
    found: Component = vars(mark(make))[MARK]
    return found


def add_one(end: Units, start: Units) -> float:
    start.test.features[0][:] += 1
    return 0.0


BAD_OBSERVABLES: dict[str, tuple[Any, str]] = {
    "by unit": (
        lambda end, start: end.test.features[0].mean(axis=0),
        "ValueError: has several shapes: (32,) at width 32, on 6 and 5 points, with 1 layers; (64,)"
        " at width 64, on 9 and 7 points, with 1 layers; average over units and points",
    ),
    "by point": (
        lambda end, start: end.train.output,
        "ValueError: has several shapes: (6,) at width 64, on 6 and 5 points, with 1 layers; (9,)"
        " at width 64, on 9 and 7 points, with 1 layers; average over units and points",
    ),
    "not finite": (
        lambda end, start: np.log(-1.0 + 0 * end.test.output.mean()),
        "ValueError: is not finite at width 32, on 6 and 5 points, with 1 layers",
    ),
    "empty": (
        lambda end, start: [],
        "ValueError: is empty at width 32, on 6 and 5 points, with 1 layers",
    ),
    "raises": (
        lambda end, start: 1 / 0,
        "ObservableError: observable 'own/one': ZeroDivisionError: division by zero; mend it, then"
        " run again",
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
@pytest.mark.parametrize(("measure", "failure"), BAD_OBSERVABLES.values(), ids=BAD_OBSERVABLES)
def test_a_bad_value_of_an_observable_is_caught(measure: Any, failure: str) -> None:
    assert failures(observable(measure))[SHAPE] == failure


@pytest.mark.parametrize(
    ("measure", "on"),
    [
        (lambda end, start: float(end.test.y @ end.test.output), "3 outputs"),
        (
            lambda end, start: np.mean(end.test.features[0] @ end.test.features[0].T),
            "4 positions of images",
        ),
        (lambda end, start: 1 / (end.test.x.ndim - 4), "4 positions of images"),
    ],
    ids=["one output", "one position", "flat inputs"],
)
def test_an_observable_of_one_kind_of_problems_is_told_of_the_others(measure: Any, on: str) -> None:
    failure = failures(observable(measure))[SHAPE]
    assert failure.endswith(f" (at width 32, on 6 and 5 points, with 1 layers, {on})")


def test_an_observable_that_draws_or_writes_is_caught() -> None:
    draws = observable(lambda end, start: np.random.default_rng().standard_normal())
    assert list(failures(draws)) == ["is deterministic"]
    assert failures(observable(add_one))["leaves units as they are"] == (
        "ValueError: changes features; copy arrays before writing to them"
    )
