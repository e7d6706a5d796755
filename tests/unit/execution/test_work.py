"""Work is counted from the sizes of a problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from problems import gaussian_data, make, problem

from harness import Params, ProblemSize, Registry, Stage, Work
from harness.execution.cost.work import works_of
from harness.suites import load_suite
from harness.suites.cells import Solver

TARGET = Stage(data="target", richness=1.0, steps=50, dt=0.1)
SIZE = ProblemSize.of(problem(gaussian_data(dimension=8, points=12), TARGET))


def test_sizes_are_those_of_the_data() -> None:
    assert (SIZE.inputs, SIZE.points["target"], SIZE.depth) == (8, 12, 1)
    assert SIZE.seen(TARGET) == SIZE.total == 48
    assert SIZE.seen(replace(TARGET, data="source")) == 24


def test_the_work_of_training_counts_what_networks_do() -> None:
    one = SIZE.training(100)
    longer = replace(SIZE, stages=(replace(TARGET, steps=150),)).training(100)
    # forward pass and gradient of 8 x 100 weights on 12 points, and the readout
    assert (longer.flops - one.flops) / 100 == pytest.approx(4 * 12 * (8 * 100 + 100), rel=0.01)
    frozen = replace(SIZE, stages=(replace(TARGET, trainable="readout"),)).training(100)
    assert frozen.flops < one.flops
    deep = replace(SIZE, depth=3)
    assert deep.training(400).flops / deep.training(100).flops == pytest.approx(16, rel=0.2)
    assert deep.training(400, itemsize=8).bytes > 1.9 * deep.training(400).bytes


def test_work_adds_up_and_memory_is_that_of_the_largest() -> None:
    total = Work(1, 2, 3, 4, programs=5) + Work(10, 20, 30, 2, programs=6)
    assert total == Work(11, 22, 33, 4, programs=11)
    assert total.times(2) == Work(22, 44, 66, 4, programs=11)


@pytest.mark.parametrize(
    "name", ["mean-field", "lazy-ntk", "lazy-nngp", "linear-transfer", "dmft", "adaptive-kernel"]
)
def test_every_theory_says_what_it_takes_and_more_steps_never_less(name: str) -> None:
    few = make("theory", name).cost(SIZE)
    many = make("theory", name).cost(replace(SIZE, stages=(replace(TARGET, steps=500),)))
    assert 0 < few.flops <= many.flops
    assert few.bytes > 0
    assert few.programs == many.programs, "steps are a number, not a program"


def test_a_deep_linear_network_takes_what_its_exact_solution_does() -> None:
    linear = replace(SIZE, activation="linear", depth=3)
    exact = make("theory", "dmft").cost(linear)
    assert make("theory", "dmft", samples=65536).cost(linear) == exact
    deeper = make("theory", "dmft").cost(replace(linear, depth=5))
    assert deeper.flops == pytest.approx(2 * exact.flops, rel=0.05)


def test_a_theory_may_say_nothing_or_fail_to(caplog: pytest.LogCaptureFixture) -> None:
    class Silent:
        def __init__(self, params: Params) -> None: ...

    class Broken(Silent):
        def cost(self, size: ProblemSize) -> Work:
            raise ZeroDivisionError("no idea")

    class Loose(Registry):
        def get(self, kind: Any, name: str) -> Any:
            known = Registry.load().get("theory", "lazy-ntk")
            return replace(known, make=Silent if name == "silent" else Broken)

    def solver(name: str) -> Solver:
        spec = load_suite("smoke", Registry.load()).experiments[0].theories[1]
        return Solver(name, theory=replace(spec, name=name, source=""))

    wanted = [solver("silent"), solver("broken"), Solver("network", 8, 0, "float32")]
    works = works_of(SIZE, wanted, Loose())
    assert works == (None, None, SIZE.training(8))
    assert "theory 'broken': cost: ZeroDivisionError: no idea" in caplog.text
