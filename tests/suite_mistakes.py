"""Mistakes in a suite: a name, what is changed in the small suite, and how its line begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from small_suite import MISSING, SUITE, Verbatim

CHANGE = "preactivation/change-rms"

MISTAKES: list[tuple[str, Sequence[tuple[str, Any]], str]] = [
    # unknown keys, at every level
    (
        "top level",
        [("siute", {})],
        "siute: unknown parameter 'siute'; did you mean 'suite'?; allowed are experiment, suite",
    ),
    (
        "suite",
        [("suite/sedes", 1)],
        "suite.sedes: unknown parameter 'sedes'; did you mean 'seeds'?;"
        " allowed are dtype, name, observables, seeds, theories, widths",
    ),
    (
        "experiment",
        [("experiment/0/sweeps", {})],
        "experiment.0.sweeps: unknown parameter 'sweeps'; did you mean 'sweep'?;"
        " allowed are architecture, data_seeds, name, observables, regime, seeds, sweep, task,"
        " theories, widths",
    ),
    (
        "task",
        [("experiment/0/task/dimensoin", 3)],
        "experiment.0.task.dimensoin: unknown parameter 'dimensoin'; did you mean 'dimension'?;",
    ),
    (
        "architecture",
        [("experiment/0/architecture/dept", 1)],
        "experiment.0.architecture.dept: unknown parameter 'dept'; did you mean 'depth'?;"
        " allowed are activation, depth",
    ),
    (
        "regime",
        [("experiment/0/regime/richness", 1.0)],
        "experiment.0.regime.richness: unknown parameter 'richness'",
    ),
    (
        "theory",
        [("experiment/0/theories/0", {"name": "mean-field", "sampels": 1})],
        "experiment.0.theories.0.sampels: unknown parameter 'sampels'; did you mean 'samples'?;",
    ),
    # what is missing
    ("no suite", [("suite", MISSING)], "suite: missing; give it a value"),
    ("no experiment", [("experiment", MISSING)], "experiment: missing; give it a value"),
    ("no widths", [("suite/widths", MISSING)], "suite.widths: missing"),
    (
        "no task",
        [("experiment/0/task", MISSING)],
        "experiment.0.task: missing; give it a value",
    ),
    (
        "no task name",
        [("experiment/0/task/name", MISSING)],
        "experiment.0.task.name: missing; give it a value",
    ),
    (
        "required parameter",
        [("experiment/0/regime/target_richness", MISSING)],
        "experiment.0.regime.target_richness: missing (gamma of the target stage; at 0 it is"
        " linearised around the weights at its start.);"
        " give it a value",
    ),
    # widths, seeds and dtype
    ("width", [("suite/widths/1", -32)], "suite.widths.1 = -32: at least 1"),
    ("zero width", [("suite/widths/1", 0)], "suite.widths.1 = 0: at least 1"),
    (
        "huge width",
        [("suite/widths/1", 2**21)],
        f"suite.widths.1 = {2**21}: at most 1048576",
    ),
    ("no width", [("suite/widths", [])], "suite.widths = []: at least 1 value"),
    (
        "repeated widths",
        [("suite/widths", [16, 16])],
        "suite.widths = [16, 16]: 16 is listed twice; list it once",
    ),
    (
        "fraction",
        [("suite/widths/0", 16.0)],
        "suite.widths.0 = 16.0: a whole number",
    ),
    ("text", [("suite/widths/0", "16")], 'suite.widths.0 = "16": a whole number'),
    ("one width", [("suite/widths", 16)], "suite.widths = 16: a list in brackets"),
    (
        "seeds in words",
        [("suite/seeds", "two")],
        'suite.seeds = "two": a whole number, or a list in brackets',
    ),
    ("seeds as truth", [("suite/seeds", True)], "suite.seeds = true: a whole number"),
    (
        "no seeds",
        [("suite/seeds", 0)],
        "suite.seeds = 0: at least 1, or a list in brackets",
    ),
    (
        "repeated seeds",
        [("suite/seeds", [1, 1])],
        "suite.seeds = [1, 1]: 1 is listed twice; list it once",
    ),
    (
        "dtype",
        [("suite/dtype", "float46")],
        "suite.dtype = \"float46\": 'float32' or 'float64'; did you mean 'float64'?",
    ),
    # names
    ("empty name", [("suite/name", "")], 'suite.name = "": at least 1 character'),
    (
        "long name",
        [("experiment/0/name", "x" * 201)],
        f'experiment.0.name = "{"x" * 56}...: at most 200 characters',
    ),
    (
        "unknown task",
        [("experiment/0/task/name", "linear-tranfser")],
        "experiment.0.task.name: unknown task 'linear-tranfser'; did you mean 'linear-transfer'?;"
        " known are image-classes, image-pairs, ",
    ),
    (
        "unknown architecture",
        [("experiment/0/architecture/name", "mpl")],
        "experiment.0.architecture.name: unknown architecture 'mpl'; did you mean 'mlp'?;",
    ),
    (
        "unknown regime",
        [("experiment/0/regime/name", "jointly-rihc")],
        "experiment.0.regime.name: unknown regime 'jointly-rihc'; did you mean 'jointly-rich'?;",
    ),
    (
        "unknown theory",
        [("experiment/0/theories/1", "mean-feild")],
        "experiment.0.theories.1: unknown theory 'mean-feild'; did you mean 'mean-field'?;",
    ),
    (
        "theory twice",
        [("experiment/0/theories", ["mean-field", {"name": "mean-field", "samples": 64}])],
        "experiment.0.theories: 'mean-field' is listed twice; each theory runs once in an"
        " experiment",
    ),
    # observables
    (
        "unknown observable",
        [("suite/observables", ["preactivation/change"])],
        "suite.observables.0: unknown observable 'preactivation/change'; did you mean"
        " 'preactivation/change-rms'?; known are ",
    ),
    (
        "parameter of an observable",
        [("experiment/0/observables", [{"name": CHANGE, "pionts": "train"}])],
        "experiment.0.observables.0.pionts: unknown parameter 'pionts'; did you mean 'points'?;",
    ),
    (
        "scored in words",
        [("suite/observables", [{"name": CHANGE, "scored": "yes"}])],
        'suite.observables.0.scored = "yes": true or false',
    ),
    (
        "no list of observables",
        [("suite/observables", CHANGE)],
        f'suite.observables = "{CHANGE}": a list in brackets',
    ),
    (
        "observable twice",
        [("suite/observables", [CHANGE, {"name": CHANGE, "points": "train"}])],
        f"suite.observables: {CHANGE!r} is listed twice; each observable is recorded once",
    ),
    (
        "no theories",
        [("experiment/0/theories", [])],
        "experiment.0.theories = []: at least 1 value",
    ),
    (
        "theories as text",
        [("experiment/0/theories", "mean-field")],
        'experiment.0.theories = "mean-field": a list in brackets',
    ),
    (
        "experiment twice",
        [("experiment/1", SUITE["experiment"][0])],
        "experiment: duplicate name 'first'; names of experiments must be unique",
    ),
    # values of parameters
    (
        "task as text",
        [("experiment/0/task", "linear-transfer")],
        'experiment.0.task = "linear-transfer": a table in braces',
    ),
    (
        "type",
        [("experiment/0/task/dimension", "five")],
        'experiment.0.task.dimension = "five": a whole number',
    ),
    (
        "range",
        [("experiment/0/task/alignment", 5.0)],
        "experiment.0.task.alignment = 5.0: at most 1",
    ),
    (
        "NaN",
        [("experiment/0/task/alignment", Verbatim("nan"))],
        "experiment.0.task.alignment = NaN: a finite number",
    ),
    (
        "infinity",
        [("experiment/0/regime/source_richness", Verbatim("inf"))],
        "experiment.0.regime.source_richness = Infinity: a finite number",
    ),
    (
        "date",
        [("experiment/0/regime/source_richness", Verbatim("1979-05-27"))],
        'experiment.0.regime.source_richness = "1979-05-27": a number',
    ),
    (
        "table",
        [("experiment/0/regime/source_richness", {"a": 1})],
        'experiment.0.regime.source_richness = {"a": 1}: a number',
    ),
    (
        "choice",
        [("experiment/0/regime/readout", "kept")],
        "experiment.0.regime.readout = \"kept\": 'keep', 'reset' or 'zero'; did you mean 'keep'?",
    ),
    (
        "dt",
        [("experiment/0/regime/dt", -1)],
        "experiment.0.regime.dt = -1: more than 0, or 'auto'",
    ),
    (
        "dt in words",
        [("experiment/0/regime/dt", "atuo")],
        "experiment.0.regime.dt = \"atuo\": a number, or 'auto'; did you mean 'auto'?",
    ),
    (
        "data seed",
        [("experiment/0/task/data_seed", -1)],
        "experiment.0.task.data_seed = -1: a whole number of at least 0",
    ),
    (
        "data seed type",
        [("experiment/0/task/data_seed", True)],
        "experiment.0.task.data_seed = true: a whole number of at least 0",
    ),
    (
        "nested",
        [("experiment/0/task/dimension", Verbatim("[" * 12 + "]" * 12))],
        f"experiment.0.task.dimension = {'[' * 12}{']' * 12}: a whole number",
    ),
    (
        "layer twice",
        [("experiment/0/regime/trainable", [1, "readout", 1])],
        'experiment.0.regime.trainable = [1, "readout", 1]: 1 is listed twice; list it once',
    ),
    # sweeps
    (
        "sweep over an unknown parameter",
        [("experiment/0/sweep", {"regime.target_richnes": [1.0]})],
        "experiment.0.sweep: 'jointly-rich' has no parameter 'target_richnes';"
        " did you mean 'target_richness'?; allowed are decay, dt,",
    ),
    (
        "sweep over an unknown kind",
        [("experiment/0/sweep", {"regmie.target_richness": [1.0]})],
        "experiment.0.sweep: 'regmie.target_richness' is no parameter; did you mean 'regime'?;"
        " a sweep names task., architecture. or regime. and a parameter,"
        ' as in "regime.source_richness"',
    ),
    (
        "sweep over a bare name",
        [("experiment/0/sweep", {"regime": [1.0]})],
        "experiment.0.sweep: 'regime' is no parameter",
    ),
    (
        "sweep over a theory",
        [("experiment/0/sweep", {"theory.samples": [1]})],
        "experiment.0.sweep: 'theory.samples' is no parameter",
    ),
    (
        "sweep over the name",
        [("experiment/0/sweep", {"regime.name": ["single"]})],
        "experiment.0.sweep: 'jointly-rich' has no parameter 'name'; allowed are",
    ),
    (
        "sweep value out of range",
        [("experiment/0/sweep", {"regime.target_richness": [1.0, -1.0]})],
        "experiment.0.sweep.regime.target_richness = -1.0: at least 0",
    ),
    (
        "sweep value NaN",
        [("experiment/0/sweep", {"regime.target_richness": Verbatim("[nan]")})],
        "experiment.0.sweep.regime.target_richness = NaN: a finite number",
    ),
    (
        "sweep value of another type",
        [("experiment/0/sweep", {"task.dimension": ["5"]})],
        'experiment.0.sweep.task.dimension = "5": a whole number',
    ),
    (
        "sweep value twice",
        [("experiment/0/sweep", {"regime.target_richness": [1.0, 1.0]})],
        "experiment.0.sweep.regime.target_richness = [1.0, 1.0]: 1.0 is listed twice; list it once",
    ),
    (
        "sweep value with a layer twice",
        [("experiment/0/sweep", {"regime.trainable": [[1], [1, 1]]})],
        "experiment.0.sweep.regime.trainable = [1, 1]: 1 is listed twice; list it once",
    ),
    (
        "sweep of data seeds",
        [("experiment/0/sweep", {"task.data_seed": [0, -1]})],
        "experiment.0.sweep.task.data_seed = -1: a whole number of at least 0",
    ),
    (
        "sweep with a dotted key of TOML",
        [("experiment/0/sweep", {"regime": {"target_richness": [1.0]}})],
        'experiment.0.sweep.regime = {"target_richness": [1.0]}: a list in brackets',
    ),
]
