"""Every mistake in a suite is one line: the place, the value, and what is allowed."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_suite import MISSING, REGISTRY, SUITE, Verbatim, changed
from suite_mistakes import MISTAKES

from harness.errors import SuiteError
from harness.suites import bundled_suites, load_suite
from harness.suites.bounds import ITEMS

# ---------------------------------------------------------------- what is refused, and how


@pytest.mark.parametrize(
    ("changes", "message"),
    [(changes, message) for _, changes, message in MISTAKES],
    ids=[name for name, _, _ in MISTAKES],
)
def test_a_mistake_is_one_line_with_place_value_and_what_is_allowed(
    refusal: Callable[[Any], str], changes: Sequence[tuple[str, Any]], message: str
) -> None:
    assert refusal(changed(*changes)).startswith(message)


def test_the_wrong_experiment_is_named_by_its_position(refusal: Callable[[Any], str]) -> None:
    second = copy.deepcopy(SUITE["experiment"][0]) | {"name": "second", "architecture": {}}
    assert refusal(changed(("experiment/1", second))).startswith("experiment.1.architecture.name")


def test_every_mistake_has_its_line(refusals: Callable[[Any], list[str]]) -> None:
    second = copy.deepcopy(SUITE["experiment"][0]) | {"name": 3, "theories": ["mean-feild", 4]}
    second["architecture"] = {"name": "mpl"}
    second["regime"] |= {"target_richness": -1.0, "source_stpes": 3, "dt": "atuo"}
    del second["regime"]["source_steps"]
    second["sweep"] = {"task.alignment": [0.5, 7.0], "task.dimension": [], "task.dimensoin": [1]}
    table = changed(
        ("suite/widths/0", -1),
        ("suite/dtype", "x"),
        ("suite/name", 3),
        ("experiment/0/task/test_points", 0),
        ("experiment/0/sweep", {"regmie.dt": [0.1], "regime.dt": [0.1, -0.1]}),
        ("experiment/1", second),
    )
    del table["experiment"][1]["task"]["dimension"]
    known = ", ".join(sorted(c.name for c in REGISTRY.components("theory")))
    parameters = {
        c.name: ", ".join(sorted(c.params.model_fields))
        for c in REGISTRY.components()
        if c.name in ("linear-transfer", "jointly-rich") and c.kind in ("task", "regime")
    }
    assert sorted(refusals(table)) == sorted(
        [
            "suite.name = 3: text in quotes",
            "suite.widths.0 = -1: at least 1",
            "suite.dtype = \"x\": 'float32' or 'float64'",
            "experiment.1.name = 3: text in quotes",
            "experiment.1.theories.1 = 4: text in quotes, or a table in braces",
            "experiment.1.sweep.task.dimension = []: at least 1 value",
            "experiment.0.sweep: 'regmie.dt' is no parameter; did you mean 'regime'?; a sweep"
            " names task., architecture. or regime. and a parameter,"
            ' as in "regime.source_richness"',
            "experiment.0.task.test_points = 0: at least 1",
            "experiment.0.sweep.regime.dt = -0.1: more than 0, or 'auto'",
            "experiment.1.architecture.name: unknown architecture 'mpl'; did you mean 'mlp'?;"
            " known are conv, mlp, resmlp",
            "experiment.1.theories.0: unknown theory 'mean-feild'; did you mean 'mean-field'?;"
            f" known are {known}",
            "experiment.1.sweep: 'linear-transfer' has no parameter 'dimensoin'; did you mean"
            f" 'dimension'?; allowed are {parameters['linear-transfer']}, data_seed",
            "experiment.1.sweep.task.alignment = 7.0: at most 1",
            "experiment.1.regime.target_richness = -1.0: at least 0",
            "experiment.1.regime.source_stpes: unknown parameter 'source_stpes'; did you mean"
            f" 'source_steps'?; allowed are {parameters['jointly-rich']}",
            "experiment.1.regime.dt = \"atuo\": a number, or 'auto'; did you mean 'auto'?",
        ]
    )


def test_a_component_that_shape_faults_hide_is_still_looked_at(
    refusals: Callable[[Any], list[str]],
) -> None:
    table = changed(
        ("experiment/0/widths", [0]),
        ("experiment/0/task", MISSING),
        ("experiment/0/architecture", "mlp"),
        ("experiment/0/regime/readout", "kept"),
        ("experiment/0/theories", {"mean-field": 1}),
    )
    assert refusals(table) == [
        "experiment.0.task: missing; give it a value",
        'experiment.0.architecture = "mlp": a table in braces',
        'experiment.0.theories = {"mean-field": 1}: a list in brackets',
        "experiment.0.widths.0 = 0: at least 1",
        "experiment.0.regime.readout = \"kept\": 'keep', 'reset' or 'zero'; did you mean 'keep'?",
    ]


def test_an_experiment_has_theories_of_its_own_or_of_the_suite(
    refusals: Callable[[Any], list[str]],
) -> None:
    assert refusals(changed(("experiment/0/theories", MISSING))) == [
        "experiment.0.theories: missing; list them here, or in [suite] for all"
    ]
    table = changed(("experiment/0/theories", MISSING), ("suite/theories", ["mean-feild", 3]))
    assert refusals(table) == [
        "suite.theories.1 = 3: text in quotes, or a table in braces",
    ]
    unknown = changed(("experiment/0/theories", MISSING), ("suite/theories", ["mean-feild"]))
    (line,) = refusals(unknown)
    assert line.startswith("suite.theories.0: unknown theory 'mean-feild'; did you mean")


def test_what_is_listed_twice_is_told_beside_faults_of_another_kind(
    refusals: Callable[[Any], list[str]],
) -> None:
    first = copy.deepcopy(SUITE["experiment"][0]) | {"seeds": [3, "4", 3]}
    table = changed(
        ("suite/widths", [16, 16, "x"]),
        ("experiment/0/task/alignment", 2.0),
        ("experiment/1", first),
    )
    name = first["name"]
    assert sorted(refusals(table)) == sorted(
        [
            'experiment.1.seeds = [3, "4", 3]: 3 is listed twice; list it once',
            'experiment.1.seeds.1 = "4": a whole number',
            f"experiment: duplicate name {name!r}; names of experiments must be unique",
            "experiment.0.task.alignment = 2.0: at most 1",
            'suite.widths = [16, 16, "x"]: 16 is listed twice; list it once',
            'suite.widths.2 = "x": a whole number',
        ]
    )


OUT_OF_BOUNDS: dict[str, tuple[str, Any]] = {
    "seeds": ("suite/seeds", 10**26),
    "a width": ("suite/widths/1", 10**26),
    "name": ("experiment/0/name", "a\x1b"),
    "required parameter": ("experiment/0/task/dimension", 10**26),
    "name of a component": ("experiment/0/task/name", "a\x1b"),
    "theory": ("experiment/0/theories/0", "a\x1b"),
    "swept value": ("experiment/0/sweep", {"task.dimension": [10**26]}),
    "unknown key": ("experiment/0/a\nb", 1),
    "experiment": ("experiment/0", {f"k{i}": 1 for i in range(ITEMS + 1)}),
}


@pytest.mark.parametrize(("place", "value"), OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_a_value_beyond_the_bounds_hides_no_other_mistake(
    refusals: Callable[[Any], list[str]], place: str, value: Any
) -> None:
    second = copy.deepcopy(SUITE["experiment"][0]) | {"name": ""}
    second["regime"] |= {"target_richness": -1.0}
    second["sweep"] = {"task.alignment": [1, 1.0], "architecture": [3]}
    table = changed((place, value), ("suite/dtype", "x"), ("experiment/1", second))
    beyond, *others = refusals(table)
    assert any(said in beyond for said in ("64 bits", "printable characters", "at most 10,000"))
    assert [line.partition(":")[0] for line in others] == [
        'suite.dtype = "x"',
        'experiment.1.name = ""',
        "experiment.1.sweep.task.alignment = [1, 1.0]",
        "experiment.1.sweep",
        "experiment.1.regime.target_richness = -1.0",
    ]
    assert "'architecture' is no parameter; a sweep names" in others[3]


@pytest.mark.parametrize(("count", "ending"), [(60, "and 10 more"), (3000, "and over 950 more")])
def test_beyond_fifty_mistakes_the_others_are_counted(
    refusals: Callable[[Any], list[str]], count: int, ending: str
) -> None:
    *lines, last = refusals(changed(("suite/widths", list(range(-count, 0)))))
    assert lines == [f"suite.widths.{i} = {i - count}: at least 1" for i in range(50)]
    assert last == f"{ending}; mend these first"


def test_a_mistake_of_a_swept_component_is_told_once(refusal: Callable[[Any], str]) -> None:
    table = changed(
        ("experiment/0/task/alignment", 2.0),
        ("experiment/0/sweep", {"regime.target_richness": [0.25, 0.5, 1.0]}),
    )
    assert refusal(table) == "experiment.0.task.alignment = 2.0: at most 1"


# ---------------------------------------------------------------- files that are no suites


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "suite: missing; give it a value\nexperiment: missing; give it a value"),
        ("# nothing but a comment\n", "suite: missing; give it a value\nexperiment: missing"),
        ("[suite\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1"),
        ("a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value (at line 2"),
        ("\x00", "not valid TOML: Invalid statement (at line 1, column 1)"),
        ("suite = 1", "suite = 1: a table in braces\nexperiment: missing; give it a value"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(
    refusals: Callable[[Any], list[str]], text: str, message: str
) -> None:
    assert "\n".join(refusals(text)).startswith(message)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SuiteError, match=r"bytes\.toml: cannot be read as text .*give a TOML file"):
        load_suite(path, REGISTRY)


def test_a_file_that_is_not_there_is_refused_with_the_bundled_names(tmp_path: Path) -> None:
    bundled = ", ".join(sorted(bundled_suites()))
    for source, message in (
        (
            str(tmp_path / "no.toml"),
            f"{tmp_path / 'no.toml'}: no such file; a suite is a TOML file or one of {bundled}",
        ),
        ("smoek", f"unknown suite 'smoek'; did you mean 'smoke'?; bundled are {bundled}"),
        ("zzz", f"unknown suite 'zzz'; bundled are {bundled}"),
    ):
        with pytest.raises(SuiteError, match=f"^{re.escape(message)}$"):
            load_suite(source, REGISTRY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            [("suite/my-key", 1)],
            "suite.my-key: unknown parameter 'my-key'",
            id="hyphen in suite",
        ),
        pytest.param(
            [("experiment/0/regime/target-richness", 1.0)],
            "experiment.0.regime.target-richness: unknown parameter 'target-richness';"
            " did you mean 'target_richness'?",
            id="hyphen in a parameter",
        ),
        pytest.param(
            [("suite/seeds", [1, -1])],
            "suite.seeds.1 = -1: at least 0",
            id="seed out of range",
        ),
        pytest.param(
            [("experiment/0/theories/0", {"samples": 3})],
            "experiment.0.theories.0.name: missing",
            id="theory without a name",
        ),
        pytest.param(
            [("experiment/0/sweep", {"regime.target_richness": []})],
            "experiment.0.sweep.regime.target_richness = []: at least 1 value",
            id="sweep over nothing",
        ),
        pytest.param(
            [("experiment/0/name", Verbatim("1979-05-27"))],
            "experiment.0.name = ",
            id="date as a name",
        ),
        pytest.param(
            [("experiment/0/task/dimension", Verbatim("9" * 5000))],
            "not valid TOML",
            id="5000 digits",
        ),
        pytest.param(
            [("experiment/0/task/dimension", Verbatim("[" * 5000 + "]" * 5000))],
            "nested too deeply; at most 16 tables or lists",
            id="5000 brackets",
        ),
    ],
)
def test_these_mistakes_are_told_as_well(
    refusal: Callable[[Any], str], changes: Sequence[tuple[str, Any]], message: str
) -> None:
    assert refusal(changed(*changes)).startswith(message)


def test_a_folder_in_the_way_does_not_hide_a_bundled_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "smoke").mkdir()  # as `limitbench run smoke --results smoke` makes it
    monkeypatch.chdir(tmp_path)
    assert load_suite("smoke", REGISTRY).name == "smoke"


def test_a_very_long_name_is_an_unknown_suite() -> None:
    with pytest.raises(SuiteError, match="unknown suite"):
        load_suite("x" * 300, REGISTRY)
