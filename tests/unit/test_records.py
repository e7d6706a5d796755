"""The records: what they hold, what they refuse, and in which words."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness import (
    Architecture,
    Dataset,
    Observable,
    Problem,
    Protocol,
    Stage,
    Trajectory,
    TransferData,
    recorded_steps,
)
from harness.records.protocol import RECORDS_PER_STAGE

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def points(count: int = 3, dimension: int = 2) -> Dataset:
    return Dataset(np.arange(count * dimension, dtype=float).reshape(count, -1), np.ones(count))


def stage(**changes: Any) -> Stage:
    given: dict[str, Any] = {"data": "target", "richness": 1.0, "steps": 10}
    return Stage(**(given | changes))


def network() -> Architecture:
    return Architecture(network=lambda width: None, depth=1, activation="relu")  # type: ignore[arg-type,return-value]


def exactly(message: str) -> str:
    return f"^{re.escape(message)}$"


# ---------------------------------------------------------------- data sets


@given(
    x=arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=FINITE)
)
def test_a_data_set_keeps_the_values_that_it_is_given(x: np.ndarray) -> None:
    data = Dataset(x, x[:, 0])
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, x[:, 0])
    assert len(data) == len(x)


@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 4, 1)], ids=["vectors", "images"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_points_and_targets_are_stored_as_float64(shape: tuple[int, ...], dtype: Any) -> None:
    data = Dataset(np.ones(shape, dtype), np.ones(3, dtype))
    assert data.x.dtype == data.y.dtype == np.float64
    assert data.x.shape == shape


def test_a_data_set_is_a_copy_that_cannot_be_written_to() -> None:
    x, y = np.zeros((2, 2)), np.zeros(2)
    data = Dataset(x, y)
    x[:], y[:] = 7.0, 7.0
    assert not data.x.any() and not data.y.any()
    for values in (data.x, data.y):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.x = x  # type: ignore[misc]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones(3), np.ones(3), "x has shape (3,); allowed are (P, D) and (P, H, W, C)"),
        (
            np.ones((3, 2, 2)),
            np.ones(3),
            "x has shape (3, 2, 2); allowed are (P, D) and (P, H, W, C)",
        ),
        *(
            (
                np.ones((3, 2)),
                np.ones(shape),
                f"y has shape {shape}; 3 points need (3,), or (3, C) for C outputs",
            )
            for shape in ((2,), (2, 1), (3, 0), (3, 2, 2), ())
        ),
        (
            np.ones((0, 2)),
            np.ones(0),
            "x has shape (0, 2); at least one point and one input are needed",
        ),
        (
            np.ones((2, 0)),
            np.ones(2),
            "x has shape (2, 0); at least one point and one input are needed",
        ),
        (np.array([[np.nan]]), np.ones(1), "x has values that are not finite"),
        (np.ones((1, 1)), np.array([-np.inf]), "y has values that are not finite"),
    ],
)
def test_a_wrong_data_set_says_what_is_allowed(x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        Dataset(x, y)


# ---------------------------------------------------------------- the pair of tasks


def test_sets_come_in_a_fixed_order_and_by_role() -> None:
    sets = [points() for _ in range(4)]
    data = TransferData(target=sets[2], target_test=sets[3], source=sets[0], source_test=sets[1])
    assert list(data.sets().items()) == list(
        zip(("source", "source_test", "target", "target_test"), sets, strict=True)
    )
    assert data.train("source") is sets[0]
    assert data.test("source") is sets[1]
    assert data.train("target") is sets[2]
    assert data.test("target") is sets[3]


@pytest.mark.parametrize("given_one", ["source", "source_test"])
def test_source_sets_come_together(given_one: str) -> None:
    given: dict[str, Any] = {given_one: points()}
    with pytest.raises(
        ValueError, match=exactly("source and source_test come together or not at all")
    ):
        TransferData(target=points(), target_test=points(), **given)


def test_inputs_of_one_problem_have_one_shape() -> None:
    with pytest.raises(
        ValueError, match=exactly("inputs of one problem have one shape, not [(2,), (3,)]")
    ):
        TransferData(target=points(dimension=2), target_test=points(dimension=3))


def test_facts_of_a_task_are_finite_numbers() -> None:
    assert TransferData(target=points(), target_test=points()).facts == {}
    with pytest.raises(
        ValueError, match=exactly("facts: overlap = nan; a finite number is needed")
    ):
        TransferData(target=points(), target_test=points(), facts={"overlap": float("nan")})


@pytest.mark.parametrize("ask", ["train", "test"])
def test_a_single_task_has_no_source_and_says_what_to_use(ask: str) -> None:
    data = TransferData(target=points(), target_test=points())
    assert list(data.sets()) == ["target", "target_test"]
    with pytest.raises(
        ValueError,
        match=exactly(
            "a stage trains on the source, which this task does not have;"
            " use the regime 'single' or a task with a source"
        ),
    ):
        getattr(data, ask)("source")


def test_a_problem_refuses_a_stage_whose_data_it_lacks() -> None:
    data = TransferData(target=points(), target_test=points())
    with pytest.raises(ValueError, match="a stage trains on the source"):
        Problem(data, network(), Protocol((stage(), stage(data="source"))))
    assert Problem(data, network(), Protocol((stage(),))).data is data


def test_other_tasks_lie_between_source_and_target() -> None:
    sets = [points(count) for count in range(1, 9)]
    data = TransferData(
        source=sets[0],
        source_test=sets[1],
        others={"third": (sets[2], sets[3]), "fourth": (sets[4], sets[5])},
        target=sets[6],
        target_test=sets[7],
    )
    assert data.tasks == ["source", "third", "fourth", "target"]
    assert list(data.sets().values()) == sets
    assert data.train("fourth") is sets[4] and data.test("fourth") is sets[5]
    with pytest.raises(
        ValueError,
        match=exactly(
            "a stage trains on 'forth', which this task does not have; did you mean 'fourth'?; its"
            " data are named source, third, fourth, target"
        ),
    ):
        Problem(data, network(), Protocol((stage(data="forth"),)))


def test_the_digest_depends_on_other_tasks_their_names_and_order() -> None:
    pairs = [(points(count), points(count + 1)) for count in (2, 4, 6)]
    (train, test), one, two = pairs

    def digest(**others: Any) -> str:
        return TransferData(target=train, target_test=test, others=others).digest

    assert digest() == TransferData(target=train, target_test=test).digest
    found = {digest(), digest(a=one), digest(b=one), digest(a=one, b=two), digest(b=two, a=one)}
    assert len(found) == 5


def test_the_digest_of_two_tasks_is_that_of_older_results() -> None:
    x = np.arange(6.0).reshape(3, 2)
    sets = [Dataset(x + k, x[:, 0] - k) for k in range(4)]
    data = TransferData(
        source=sets[0], source_test=sets[1], target=sets[2], target_test=sets[3], facts={"a": 1}
    )
    assert data.digest.startswith("903120143932f1183ec5b3be")


@pytest.mark.parametrize("name", ["source", "target", "target_test", "Third", "two words", ""])
def test_the_name_of_another_task_is_a_new_word(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^others: a task is named '{name}'; names are small"):
        TransferData(target=points(), target_test=points(), others={name: (points(), points())})


def test_another_task_has_two_sets() -> None:
    wrong: Any = {"third": points()}
    with pytest.raises(ValueError, match=r"^others: third is not a pair of a training and a test"):
        TransferData(target=points(), target_test=points(), others=wrong)


@pytest.mark.parametrize("depth", [0, -1])
def test_an_architecture_has_a_hidden_layer(depth: int) -> None:
    with pytest.raises(
        ValueError, match=exactly(f"depth = {depth}; at least one hidden layer is needed")
    ):
        dataclasses.replace(network(), depth=depth)


def test_the_default_input_map_flattens_images() -> None:
    assert network().input_map(np.ones((3, 4, 4, 2))).shape == (3, 32)


# ---------------------------------------------------------------- stages and protocols


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_dt_is_positive(value: float) -> None:
    with pytest.raises(ValueError, match=exactly(f"dt = {value!r}; a positive number is needed")):
        stage(dt=value)


@pytest.mark.parametrize("name", ["richness", "decay", "elastic", "temperature"])
@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
def test_rates_are_not_negative(name: str, value: float) -> None:
    with pytest.raises(
        ValueError, match=exactly(f"{name} = {value!r}; a number of at least 0 is needed")
    ):
        stage(**{name: value})


def test_a_stage_may_have_no_steps_but_not_fewer() -> None:
    assert stage(steps=0).steps == 0
    with pytest.raises(ValueError, match=exactly("steps = -1; a number of at least 0 is needed")):
        stage(steps=-1)


@pytest.mark.parametrize(
    ("name", "value"), [("data", "so urce"), ("readout", "rest"), ("trainable", "readuot")]
)
def test_a_misspelt_choice_of_a_stage_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} = '{value}'"):
        stage(**{name: value})


def test_steps_are_whole() -> None:
    with pytest.raises(ValueError, match=r"steps = 1\.5"):
        stage(steps=1.5)


def test_a_step_size_that_is_still_auto_says_how_to_resolve_it() -> None:
    with pytest.raises(
        ValueError,
        match=exactly("dt is 'auto': resolve it with harness.networks.resolve_steps first"),
    ):
        _ = stage().step_size
    assert stage(dt=0.1).step_size == 0.1


def test_a_protocol_has_a_stage_and_keeps_their_order() -> None:
    with pytest.raises(ValueError, match=exactly("a protocol has at least one stage")):
        Protocol(())
    stages = [stage(richness=r) for r in (1.0, 2.0, 3.0)]
    assert Protocol(stages).stages == tuple(stages)  # type: ignore[arg-type]


def test_steps_are_set_stage_by_stage_and_nothing_else_changes() -> None:
    before = Protocol((stage(decay=0.5), stage(data="source", readout="zero")))
    after = before.with_steps([0.1, 0.2])
    assert [s.step_size for s in after.stages] == [0.1, 0.2]
    assert [dataclasses.replace(s, dt="auto") for s in after.stages] == list(before.stages)
    with pytest.raises(ValueError, match="zip"):
        before.with_steps([0.1])


# ---------------------------------------------------------------- recorded steps


@given(st.integers(0, 10**7))
def test_first_and_last_step_are_recorded_and_the_rest_lies_between(steps: int) -> None:
    recorded = recorded_steps(steps)
    assert recorded.dtype == np.int64
    assert (recorded[0], recorded[-1]) == (0, steps)
    assert (np.diff(recorded) > 0).all()


@given(st.integers(0, 10**7))
def test_the_number_of_recorded_steps_is_bounded(steps: int) -> None:
    assert len(recorded_steps(steps)) == min(steps, RECORDS_PER_STAGE) + 1


@pytest.mark.parametrize("steps", range(RECORDS_PER_STAGE + 1))
def test_every_step_of_a_short_stage_is_recorded(steps: int) -> None:
    np.testing.assert_array_equal(recorded_steps(steps), np.arange(steps + 1))


@given(st.integers(RECORDS_PER_STAGE + 1, 10**7))
def test_records_are_dense_at_the_beginning(steps: int) -> None:
    gaps = np.diff(recorded_steps(steps))
    assert gaps[0] == max(1, round(steps / RECORDS_PER_STAGE**2))
    # each record is a step rounded to the nearest, so gaps shrink by rounding alone
    assert (np.diff(gaps) >= -2).all()


# ---------------------------------------------------------------- observables


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 4, 4)], ids=["number", "vector", "kernel"])
def test_an_observable_holds_numbers_vectors_and_kernels(shape: tuple[int, ...]) -> None:
    found = Observable(np.array([0, 5]), np.ones(shape, np.float32), np.zeros(shape))
    assert found.steps.dtype == np.int64
    assert found.values.dtype == np.float32, "precision is the solver's"
    assert found.stderr is not None and found.stderr.shape == shape


@pytest.mark.parametrize(
    ("steps", "values", "stderr", "message"),
    [
        ([], [], None, "steps must increase along one axis; got shape (0,)"),
        ([0, 0], [1.0, 1.0], None, "steps must increase along one axis; got shape (2,)"),
        ([1, 0], [1.0, 1.0], None, "steps must increase along one axis; got shape (2,)"),
        ([[0, 1]], [1.0], None, "steps must increase along one axis; got shape (1, 2)"),
        ([0, 1], [1.0], None, "values of shape (1,) for 2 recorded steps"),
        ([0], 1.0, None, "values of shape () for 1 recorded steps"),
        ([0], [np.nan], None, "values are not finite"),
        ([0], [np.inf], None, "values are not finite"),
        ([0], [1.0], [-0.1], "stderr needs the shape of values, finite and not negative"),
        ([0], [1.0], [np.nan], "stderr needs the shape of values, finite and not negative"),
        ([0], [1.0], [[0.1]], "stderr needs the shape of values, finite and not negative"),
    ],
)
def test_a_wrong_observable_says_what_is_wrong(
    steps: Any, values: Any, stderr: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=exactly(message)):
        Observable(steps, values, stderr)


def test_an_infinite_standard_error_is_refused() -> None:
    with pytest.raises(ValueError, match="stderr"):
        Observable(np.array([0]), np.ones(1), np.array([np.inf]))


def test_a_trajectory_is_read_by_stage_and_name() -> None:
    one, two = (Observable(np.array([0]), np.array([v])) for v in (1.0, 2.0))
    found = Trajectory([{"loss/train": one}, {"loss/train": two}])  # type: ignore[arg-type]
    assert isinstance(found.stages, tuple)
    assert found[0, "loss/train"] is one
    assert found[1, "loss/train"] is two
    assert found.notes == {}


def test_rounded_data_forgive_rounding_errors_alone() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 5)), np.sign(rng.standard_normal(30))

    def data(x: np.ndarray, y: np.ndarray) -> TransferData:
        return TransferData(target=Dataset(x[:20], y[:20]), target_test=Dataset(x[20:], y[20:]))

    first, moved = data(x, y), data(x * (1 + 1e-15), y)
    assert first.digest != moved.digest
    assert first.rounded == moved.rounded
    assert first.rounded != data(x * (1 + 1e-4), y).rounded
    assert first.rounded != data(x, -y).rounded
    assert data(0 * x, y).rounded != first.rounded
