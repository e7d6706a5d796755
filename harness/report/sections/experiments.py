"""One experiment on the page: sentences, figures, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from harness.registry.component import PROBLEM_KINDS
from harness.report.figures import data
from harness.report.parts import figure
from harness.report.sections.draws import Draws
from harness.report.sections.no_result import NoResult, failures, in_other_draws, missing_cells
from harness.report.sections.provenance import NamedValues, as_toml, provenance_tables
from harness.report.wording import experiment_in_words, verdict_sentences
from harness.scoring import PRIMARY
from harness.scoring.row import ScoreRow
from harness.store import CellRecord, ExperimentResults
from harness.store.check import slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.report.figures.svg import Picture


@dataclass(frozen=True)
class Section:
    """One experiment, as text, figures and tables for the page.

    Attributes:
        anchor: id of its heading.
        name: of the experiment.
        filtered: names for the filter, one a line: its own, and those of draws with scores.
        draws: number of draws of the data that it represents.
        alone: whether only theories were run.
        task, architecture, regime: names for the filter; empty without cells.
        words: description in a sentence.
        toml: a suite that runs it again; empty where it has too few cells for one.
        verdicts: rows of the primary observable, with their sentences.
        others: rows of the other observables.
        pictures: its figures; empty where it has none.
        without_result: cells without a result, with reasons.
        notes: notes of the scores: cells kept apart or left out, theories without a score.
        missing: number of missing cells.
        failure: reason why it could not start.
        tables: parameters, seeds and environments.
        fault: reason for a failed section; all else is then empty.
    """

    anchor: str
    name: str
    filtered: str
    draws: int
    alone: bool
    task: str
    architecture: str
    regime: str
    words: str
    toml: str
    verdicts: list[tuple[ScoreRow, list[str]]]
    others: list[ScoreRow]
    pictures: list[Picture]
    without_result: list[NoResult]
    notes: list[str]
    missing: int
    failure: str
    tables: list[tuple[str, NamedValues]]
    fault: str = ""


def section(
    draws: Draws,
    rows: Mapping[str, Sequence[ScoreRow]],
    theories: Sequence[str],
    records: Iterable[CellRecord],
    notes: Iterable[str],
    drawn: bool,
) -> Section:
    """Return the section of an experiment.

    Args:
        draws: the experiment, with its draws.
        rows: leaderboard rows by experiment, of all observables.
        theories: all theories of the page, for the same styles in every figure.
        records: all cells of the folder.
        notes: notes of the scores, for the whole page.
        drawn: whether it has figures.
    """
    experiment = draws.shown
    mine = rows[experiment.name]
    first = experiment.records[0].facts.components if experiment.records else {}
    missing = missing_cells(experiment, records) if experiment.missing else []
    prefixes = tuple(f"{each.name}: " for each in draws.members)
    prefix = prefixes[0] if len(prefixes) == 1 else ""
    return Section(
        anchor=anchor(experiment.name),
        name=experiment.name,
        filtered="\n".join(
            [experiment.name, *(each.name for each in draws.others if rows[each.name])]
        ),
        draws=len(draws.members),
        alone=experiment.theories_alone,
        **{kind: first[kind].name if first else "" for kind in PROBLEM_KINDS},
        words=experiment_in_words(experiment),
        toml=as_toml(experiment),
        verdicts=[(row, verdict_sentences(row)) for row in mine if row.observable == PRIMARY],
        others=sorted(
            (row for row in mine if row.observable != PRIMARY),
            key=lambda row: (row.theory, row.observable),
        ),
        pictures=_pictures(experiment, mine, theories) if drawn else [],
        without_result=[*failures(experiment), *missing, *in_other_draws(draws)],
        notes=[line.removeprefix(prefix) for line in notes if line.startswith(prefixes)],
        missing=sum(each.missing for each in draws.members),
        failure=experiment.failure,
        tables=provenance_tables(experiment),
    )


def broken_section(draws: Draws, fault: str) -> Section:
    """Return a section with only the fault that prevented the full one."""
    name = draws.shown.name
    return Section(
        anchor=anchor(name),
        name=name,
        filtered=name,
        draws=len(draws.members),
        alone=False,
        task="",
        architecture="",
        regime="",
        words="",
        toml="",
        verdicts=[],
        others=[],
        pictures=[],
        without_result=[],
        notes=[],
        missing=0,
        failure="",
        tables=[],
        fault=fault,
    )


def anchor(experiment: str) -> str:
    """Return the id of an experiment's heading."""
    return f"experiment-{slug(experiment)}"


def row_anchor(row: ScoreRow) -> str:
    """Return the id of a row of the leaderboard; the same in every report of the experiment."""
    return f"row-{row.theory}-{slug(row.name)}"


def _pictures(
    experiment: ExperimentResults, rows: Sequence[ScoreRow], theories: Sequence[str]
) -> list[Picture]:
    """Return the figures of an experiment that have recorded data."""
    from harness.report.figures.convergence import CAPTION, convergence
    from harness.report.figures.features import KERNEL_SHOWN, feature_kernels, preactivation_density
    from harness.report.figures.predictions import predictions
    from harness.report.figures.training import loss_curves
    from harness.report.figures.widths import over_width

    if not experiment.with_status("done"):
        return []
    experiment = data.read_once(experiment)
    mark, name = anchor(experiment.name), experiment.name
    primary = [row for row in rows if row.observable == PRIMARY]
    made: list[Picture] = []

    def add(key: str, title: str, caption: str, draw: Callable[[], Axes | None]) -> None:
        made.extend(figure(f"{mark}-{key}", title, name, caption, draw))

    def curves_of(observable: str) -> Axes | None:
        if not data.recorded(experiment, observable):
            return None
        return loss_curves(experiment, observable=observable, theories=theories)

    if primary:
        add(
            "width",
            "Convergence in width",
            CAPTION,
            lambda: convergence(primary, theories=theories),
        )
    add(
        "test",
        "Test loss over training",
        "Test loss over training, of each stage's own data and loss. Colour: width of the"
        " networks, mean over seeds, band around two thirds of them. Dashes: theory, band of two"
        " standard errors.",
        lambda: loss_curves(experiment, theories=theories),
    )
    add(
        "accuracy",
        "Test accuracy over training",
        "Share of test points whose class the outputs name, drawn as the test loss.",
        lambda: curves_of("accuracy/test"),
    )
    if primary:
        add(
            "outputs",
            "Networks against theories",
            "Outputs on the test points at the end of training, a dot for each point (and output,"
            " if there are several): mean of the widest networks against the prediction of each"
            " theory. Bars: two standard errors.",
            lambda: predictions(experiment, theories=theories),
        )
        best = primary[0].theory

        def kernels() -> Axes | None:
            found = data.kernel_pair(experiment, best) is not None
            return feature_kernels(experiment, best)[0] if found else None

        add(
            "kernels",
            f"Feature kernels, networks and {best}",
            f"Feature kernel of the last hidden layer at the end of training: {best}, the"
            f" widest networks, and networks minus theory; {KERNEL_SHOWN} training"
            f" points at most, then {KERNEL_SHOWN} test points, each sorted along the kernel's"
            " first principal component.",
            kernels,
        )

    def density() -> Axes | None:
        found = data.recorded(experiment, data.DENSITY)
        return preactivation_density(experiment, theories=theories) if found else None

    add(
        "density",
        "Pre-activation density",
        "Density of pre-activations of the last hidden layer at the end of training, and the"
        " Gaussian of the networks' mean and variance.",
        density,
    )

    stages = data.stage_names(experiment)
    # older cells of many stages do not name them, but recorded the source
    unnamed = stages[:1] == ["stage 1"]
    for task in ["source"] if unnamed else dict.fromkeys(stages[:-1]):
        first = 1 if unnamed else stages.index(task) + 1

        def forgetting(probe: str = f"probe/{task}-loss", first: int = first) -> Axes | None:
            if not data.recorded(experiment, probe):
                return None
            later = range(first, len(stages))
            return loss_curves(experiment, observable=probe, stages=later, theories=theories)

        called, mark_of = ("the source", "") if task == "source" else (task, f"-{task}")
        only = {*stages[first:]} == {"target"}
        add(
            f"forgetting{mark_of}",
            f"{task.capitalize()} loss during {'target' if only else 'later'} training",
            f"Test loss on {called}, of the kernel predictor made of the features, while"
            f" {'the target is' if only else 'later tasks are'} trained. A rise is forgetting.",
            forgetting,
        )
    add(
        "train",
        "Training loss over training",
        "Training loss over training, drawn as the test loss.",
        lambda: loss_curves(experiment, observable="loss/train", theories=theories),
    )
    for own in data.own_observables(experiment):
        title, caption = _over_width_in_words(own)
        draw = partial(over_width, experiment, observable=own, theories=theories)
        add(f"own-{slug(own)}", title, caption, draw)
    return made


def _over_width_in_words(observable: str) -> tuple[str, str]:
    """Return the title and the caption of the figure of an observable over width."""
    drawn = (
        " in the last stage against width. Networks: mean over seeds, bars of two standard errors."
        " Horizontal lines: theories."
    )
    if observable != data.CHANGE:
        return f"{observable} over width", f"{observable}{drawn}"
    return (
        "Coordinate check",
        f"Root mean square of the change of each layer's pre-activations{drawn} The change is flat"
        " where networks learn features, and falls as 1/√N where they are lazy.",
    )
