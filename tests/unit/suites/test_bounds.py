"""Suite files of strangers: a suite or a line for each fault, soon and in little memory."""

from __future__ import annotations

import tempfile
import tomllib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_results import FUZZ
from nested import places

from harness import Registry
from harness.errors import SuiteError
from harness.suites import Suite, load_suite
from harness.suites.bounds import CELLS, DEPTH, EXPERIMENTS, FILE, ITEMS, NAME, TEXT
from harness.suites.faults import MOST

REGISTRY = Registry.load()
TASK = (
    'task = { name = "linear-transfer", dimension = 5, source_points = 6, target_points = 4,'
    " test_points = 5, alignment = 0.5 }"
)
SUITE = f"""[suite]
name = "small"
widths = [16, 32]
seeds = 2

[[experiment]]
name = "first"
{TASK}
architecture = {{ name = "mlp", depth = 1 }}
regime = {{ name = "single", richness = 0.5, steps = 3, dt = 0.1 }}
theories = ["lazy-ntk", {{ name = "mean-field", samples = 64 }}]
"""
SWEEP = '[experiment.sweep]\n"regime.richness" = [0.5, 1.0]\n'
quick = settings(
    max_examples=FUZZ * 100,
    derandomize=FUZZ == 1,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def load(content: str | bytes) -> Suite:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_suite(path, REGISTRY)


def refusal(content: str | bytes) -> str:
    """Return the one line with which a file is refused, less the file's name."""
    with pytest.raises(SuiteError) as raised:
        load(content)
    return one_line(raised.value)


def one_line(error: SuiteError) -> str:
    (line,) = lines(error)
    return line


def lines(error: SuiteError) -> list[str]:
    """Return the lines of an error, less the file's name, which each starts with."""
    found = []
    for text in str(error).split("\n"):
        file, _, line = text.partition("small.toml: ")
        assert file and line and line.isprintable() and len(line) < 1000
        found.append(line)
    assert len(found) == len(set(found)) <= MOST + 1
    return found


def is_a_suite_or_lines(content: str | bytes) -> None:
    try:
        suite = load(content)
    except SuiteError as error:
        lines(error)
    else:
        assert 1 <= len(suite.experiments) <= EXPERIMENTS


# ---------------------------------------------------------------- any content


@quick
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_are_a_suite_or_lines(content: bytes) -> None:
    is_a_suite_or_lines(content)


@quick
@given(st.data())
def test_a_suite_that_is_cut_or_spoilt_is_a_suite_or_lines(data: st.DataObject) -> None:
    whole = SUITE + SWEEP
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    syntax = st.text("[]{}\"'=.,#\n\\ eE+-_0123456789aux", max_size=12)
    put = data.draw(syntax | st.text(max_size=5) | st.just(whole[start:end] * 2))
    is_a_suite_or_lines(whole[:start] + put + whole[end:])


PLAIN: st.SearchStrategy[Any] = (
    st.none().map(lambda _: {})
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, -(2**63), 10**30, 0, -1])
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from(["mlp", "linear-transfer", "auto", "keep", "x" * 300, "\x1b[2J", "\u202e"])
    | st.dates()
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@quick
@given(st.data())
def test_a_suite_with_other_values_is_a_suite_or_lines(data: st.DataObject) -> None:
    table = tomllib.loads(SUITE + SWEEP)
    for _ in range(data.draw(st.integers(1, 3))):
        if not table:
            break
        *parents, last = data.draw(st.sampled_from(places(table)))
        parent: Any = table
        for part in parents:
            parent = parent[part]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del parent[last]
        elif action == "add" and isinstance(parent, dict):
            name = data.draw(st.text(st.characters(codec="utf-8"), max_size=8))
            parent[name] = data.draw(VALUES)
        else:
            parent[last] = data.draw(VALUES)
    is_a_suite_or_lines(tomli_w.dumps(table))


# ---------------------------------------------------------------- bounds


def sweep(**values: int) -> str:
    lines = [f'"{k.replace("__", ".")}" = {list(range(1, n + 1))}\n' for k, n in values.items()]
    return SUITE + "[experiment.sweep]\n" + "".join(lines)


HUGE: dict[str, tuple[str, str]] = {
    "sweep": (
        sweep(regime__richness=10, regime__dt=100, regime__decay=100, task__data_seed=100),
        "experiment.0.sweep: 10 x 100 x 100 x 100 = 10,000,000 points; at most 10,000 experiments"
        " in a suite: leave out values, or make several suites",
    ),
    "experiments": (
        sweep(regime__richness=80, regime__dt=80)
        + sweep(regime__richness=80, regime__dt=80).partition("seeds = 2\n")[2],
        "experiment: 12,800 with all points of sweeps; at most 10,000: leave out values, or make"
        " several suites",
    ),
    "cells": (
        sweep(regime__richness=50, regime__dt=60).replace("seeds = 2", "seeds = 10_000"),
        "suite: 60,006,000 networks and theories of 3,000 experiments; at most 100,000: use fewer"
        " widths, seeds or points, or make several suites",
    ),
    "draws": (
        SUITE + 'data_seeds = 10_000\n[experiment.sweep]\n"regime.richness" = [0.5, 1.0]\n',
        "experiment.0.sweep: 2 x 10000 = 20,000 points; at most 10,000 experiments in a suite:"
        " leave out values, or make several suites",
    ),
    "list": (
        SUITE.replace("[16, 32]", str(list(range(1, ITEMS + 2)))),
        "suite.widths: 10,001 entries; at most 10,000",
    ),
    "nested lists": (
        SUITE.replace("seeds = 2", "seeds = " + "[" * 50 + "]" * 50),
        f"suite.seeds{'.0' * (DEPTH - 1)}: nested too deeply; at most 16 tables or lists",
    ),
    "lists nested beyond the parser": (
        SUITE.replace("seeds = 2", "seeds = " + "[" * 100_000),
        "nested too deeply; at most 16 tables or lists",
    ),
    "dotted name": (
        SUITE + "a" + ".a" * 100_000 + " = 1\n",
        "line 12: a dotted name of more than 32 parts; at most 16 tables within each other",
    ),
    "dotted name in quotes": (
        SUITE + "[ 'a' . \"a b\"" + " . 'a'" * 40 + " ]\n",
        "line 12: a dotted name of more than 32 parts; at most 16 tables within each other",
    ),
    "long name": (
        SUITE + f"{'a' * (NAME + 1)} = 1\n",
        f'experiment.0: name = "{"a" * 56}...: 201 characters; at most 200',
    ),
    "long text": (
        SUITE.replace("dimension = 5", f'dimension = "{"a" * (TEXT + 1)}"'),
        f'experiment.0.task.dimension = "{"a" * 56}...: 4,097 characters; at most 4,096',
    ),
    "digits": (
        SUITE.replace("dimension = 5", f"dimension = {'9' * 5000}"),
        "not valid TOML: a whole number of more than 64 bits, or a date that does not exist",
    ),
    "number": (
        SUITE.replace("dimension = 5", f"dimension = {2**63}"),
        f"experiment.0.task.dimension = {2**63}: a whole number of at most 64 bits",
    ),
    "file": (
        SUITE + "#" * FILE,
        "more than 1,048,576 bytes, which is the most; make several suites",
    ),
    "control characters": (
        SUITE.replace('"first"', '"fi\\u001b[2Jrst"'),
        'experiment.0.name = "fi\\u001b[2Jrst": one line of printable characters',
    ),
    "control characters in a key": (
        SUITE + '"a\\nb" = 1\n',
        'experiment.0: name = "a\\nb": one line of printable characters',
    ),
    "reversed text": (
        SUITE.replace('"first"', '"\\u202etsrif"'),
        'experiment.0.name = "\\u202etsrif": one line of printable characters',
    ),
}


@pytest.mark.parametrize(("content", "line"), HUGE.values(), ids=HUGE)
def test_what_is_too_much_is_refused_before_anything_is_made_of_it(content: str, line: str) -> None:
    tracemalloc.start()
    try:
        assert refusal(content) == line
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_the_most_is_allowed() -> None:
    suite = load(sweep(regime__richness=100, regime__dt=50).replace("seeds = 2", "seeds = 9"))
    assert len(suite.experiments) == 5000
    assert len(suite.experiments) * (2 * 9 + 2) == CELLS


def test_floats_and_lists_of_them_are_no_dotted_names() -> None:
    values = ", ".join(f"{k / 10}" for k in range(1, 200))
    text = SUITE + f'[experiment.sweep]\n"regime.richness" = [{values}]\n'
    assert len(load(text).experiments) == 199


def test_a_byte_order_mark_is_no_matter() -> None:
    assert load(SUITE.encode("utf-8-sig")).name == "small"


def test_looking_for_dotted_names_takes_time_in_proportion() -> None:
    from harness.suites.bounds import refuse_long_keys

    for part in ("a", "a.", "a .", '"', "'a'.", "a.a ", "-", " . "):
        refuse_long_keys(("#" + part * 20 + "\n") * (FILE // (20 * len(part) + 2)))
        if "." not in part:
            refuse_long_keys(part * (FILE // len(part)))


def test_a_validator_that_raises_anything_else_is_named(tmp_path: Path) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "from harness import Params, task\n"
        "from pydantic import field_validator\n"
        "class Own(Params):\n"
        "    points: int\n"
        "    @field_validator('points')\n"
        "    @classmethod\n"
        "    def _check(cls, value):\n"
        "        return {}[value]\n"
        "@task('own', version='1')\n"
        "def own(params: Own, seed: int):\n"
        "    raise NotImplementedError\n"
    )
    path = tmp_path / "small.toml"
    path.write_text(SUITE.replace(TASK, 'task = { name = "own", points = 3 }'))
    with pytest.raises(SuiteError) as raised:
        load_suite(path, Registry.load([str(plugin)]))
    assert one_line(raised.value) == (
        "experiment.0.task: task 'own' raised KeyError on its parameters (3); mend the plugin"
    )
