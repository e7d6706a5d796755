"""Questions on where a source helps a linear readout, and where it hurts: a phase diagram."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import harness
from harness import Condition, Evidence, Finding, Judgement, claim, claims

from .phase_map import gain_map
from .ratios import EXACT, with_ratios
from .stopping import stopped_losses

STEPS = 20
"""Steps of a readout that is stopped, each of the largest stable size."""
CLEAR = 0.05
"""Gain of the formula, in size, from which its sign is put to the test: draws decide no less."""
THEORY = "docs/theory.md, Two-layer linear networks"
TARGET, SOURCE = "phase-target", "phase-source"
ALIGNMENT, GAMMA, NU1, NU2 = "task.alignment", "regime.source_richness", "nu1", "nu2"
DRAW = "data_seed"

Losses = Callable[[Evidence, str], Any]
Filter = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SOLVED = 1e-9
"""Eigenvalue over D above which a converged readout has learned a mode."""


@dataclass(frozen=True)
class Plane:
    """Two ratios of the phase diagram: the experiments that sweep them, and their labels."""

    experiment: str
    x: str
    y: str
    x_label: str
    y_label: str
    paired: tuple[str, ...]

    def point(self, at: Any) -> str:
        """Return the name of a point of the plane."""
        names = {ALIGNMENT: "alignment", GAMMA: "gamma_1", NU1: "nu_1", NU2: "nu_2"}
        return ", ".join(f"{names[of]} = {at[of]:g}" for of in (self.x, self.y))


OF_TARGET = Plane(TARGET, NU2, ALIGNMENT, "ν₂ = P₂ / D", "alignment", (DRAW, NU2, ALIGNMENT))
OF_SOURCE = Plane(SOURCE, GAMMA, NU1, "γ₁", "ν₁ = P₁ / D", (DRAW,))


@dataclass(frozen=True)
class Readout:
    """A way to train the readout: the suffix of its experiments, its losses, and its filter."""

    suffix: str
    losses: Losses
    left: Callable[[float, float], Filter]


def _ended(evidence: Evidence, experiment: str) -> Any:
    return _with_nu1(with_ratios(evidence.final(experiment, solver=EXACT)))


def _stopped(evidence: Evidence, experiment: str, same_time: bool = False) -> Any:
    curve = with_ratios(evidence.curve(experiment, solver=EXACT))
    return _with_nu1(stopped_losses(curve, STEPS, same_time=same_time))


def _with_nu1(frame: Any) -> Any:
    return frame.assign(nu1=frame["task.source_points"] / frame["task.dimension"])


def _left_after_steps(nu2: float, chi: float) -> Filter:
    time = STEPS / ((1 + math.sqrt(nu2)) ** 2 + chi * nu2)
    return lambda eigenvalues: np.exp(-time * eigenvalues)


CONVERGED = Readout("", _ended, lambda nu2, chi: lambda s: np.where(s < SOLVED, 1.0, 0.0))
STOPPED = Readout("", _stopped, _left_after_steps)
SAME_TIME = Readout(
    "",
    lambda evidence, name: _stopped(evidence, name, same_time=True),
    lambda nu2, chi: _left_after_steps(nu2, 0.0),
)


def _ridged(evidence: Evidence, plane: Plane) -> Readout:
    cells = evidence.cells(f"{plane.experiment}-ridged", EXACT)
    ridge = float((cells["regime.target_decay"] / cells["task.dimension"]).iloc[0])
    return Readout("-ridged", _ended, lambda nu2, chi: lambda s: ridge / (ridge + s))


def _gains(evidence: Evidence, plane: Plane, readout: Readout, against: Readout) -> Any:
    """Return gains over the control on the same draws, with the formula's gain as ``typical``.

    The gain of a point of the plane is 1 less the ratio of mean losses.

    Args:
        evidence: results.
        plane: the experiments.
        readout: of the features of the source.
        against: readout of the control.
    """
    name, on = f"{plane.experiment}{readout.suffix}", list(plane.paired)
    with_source = readout.losses(evidence, name)
    without = against.losses(evidence, f"{plane.experiment}{against.suffix}-control")
    joined = with_source.merge(without[[*on, "value"]].rename(columns={"value": "other"}), on=on)
    if joined.empty:
        raise harness.NotEnoughError(f"{name} has no draw in common with its control")
    points = joined[["nu2", "chi", "overlap2"]]
    typical = {
        (nu2, chi, overlap2): _typical_gain(nu2, chi, overlap2, readout, against)
        for nu2, chi, overlap2 in points.drop_duplicates().itertuples(index=False, name=None)
    }
    return joined.assign(
        value=claims.gains_by(joined, [plane.x, plane.y]),
        typical=[typical[point] for point in points.itertuples(index=False, name=None)],
    )


def _typical_gain(
    nu2: float, chi: float, overlap2: float, readout: Readout, against: Readout
) -> float:
    losses = harness.numerics.typical_readout_losses
    without = losses(nu2, 0.0, against.left(nu2, 0.0))
    return float(1 - losses(nu2, chi, readout.left(nu2, chi)).at(overlap2) / without.across)


def _signs(gains: Any, plane: Plane) -> list[Finding]:
    """Return the gain at every point of the grid, with the sign of the formula's as its range."""
    return [
        _of_sign(f"gain at {plane.point(part.iloc[0])} (formula {typical:.3f})", part, typical)
        for _, part in gains.groupby([plane.x, plane.y])
        for typical in [float(part["typical"].mean())]
    ]


def _of_sign(what: str, part: Any, typical: float) -> Finding:
    if abs(typical) < CLEAR:
        return Finding.mean(what, part["value"], -2 * CLEAR, 2 * CLEAR)
    if typical > 0:
        return Finding.mean(what, part["value"], at_least=0.0, smallest=claims.SMALLEST)
    return Finding.mean(what, part["value"], at_most=0.0, smallest=claims.SMALLEST)


def _near(gains: Any) -> Finding:
    """Return the distance of the gains from the formula, as a mean over the grid."""
    apart = gains.assign(apart=gains["value"] - gains["typical"])
    return Finding.mean(
        "gain less that of the formula, mean over the grid",
        apart.groupby(DRAW)["apart"].mean(),
        -claims.TOLERANCE,
        claims.TOLERANCE,
    )


def _networks(evidence: Evidence, suffix: str = "") -> list[Finding]:
    """Return the limit gaps of the exact theory on a few points of the grid."""
    rows = evidence.scores(f"phase-networks{suffix}", EXACT)
    return [Finding.gap(row, claims.TOLERANCE) for row in rows]


def _network_gains(evidence: Evidence, readout: Readout) -> Any:
    """Return the gains of the widest networks at points of the plane of the target."""
    name = f"phase-networks{readout.suffix}"
    with_source, without = (_widest(evidence, each, readout) for each in (name, f"{name}-control"))
    joined = claims.paired(with_source, without, [NU2, ALIGNMENT])
    return joined.assign(value=1 - joined["value"] / joined["other"])


def _widest(evidence: Evidence, experiment: str, readout: Readout) -> Any:
    curve = with_ratios(evidence.curve(experiment, solver="network"))
    curve = curve[curve["width"] == curve["width"].max()]
    if readout is STOPPED:
        return stopped_losses(curve, STEPS)
    return curve[curve["step"] == curve["step"].max()]


def _judged(
    evidence: Evidence,
    plane: Plane,
    readout: Readout,
    conclusion: str,
    conditions: Sequence[Condition] = (),
) -> Judgement:
    gains = _gains(evidence, plane, readout, readout)
    findings = [*_signs(gains, plane), _near(gains)]
    networks = None
    if plane is OF_TARGET:
        findings += _networks(evidence, readout.suffix)
        networks = _network_gains(evidence, readout)
    at = gains.iloc[0]

    def formula(x: float, y: float) -> float:
        """Return the formula's gain at a point of the map."""
        if plane is OF_TARGET:
            nu2, chi, overlap2 = x, at["chi"], y**2 * at["signal"]
        else:
            nu2, chi = at["nu2"], math.sqrt(1 + x**2 * min(y, 1.0)) - 1
            overlap2 = min(y, 1.0) * at[ALIGNMENT] ** 2
        return _typical_gain(nu2, chi, overlap2, readout, readout)

    return Judgement(
        findings,
        conclusion,
        conditions,
        gain_map(gains, networks, formula, (plane.x, plane.y), (plane.x_label, plane.y_label)),
    )


CONVERGED_REASON = (
    "A spike along a useless direction costs one dimension of many, a few per cent at D = 100 and"
    " nothing as D grows; the rest of the kernel still fits all points."
)


@claim(
    "phase-converged",
    version="1",
    statement="Where does a source help a readout that is trained to convergence? At every nu_2,"
    " the more the better aligned; an unaligned one costs less than a tenth of the loss.",
    source=THEORY,
    experiments=[TARGET, f"{TARGET}-control", "phase-networks", "phase-networks-control"],
    order=81,
    tags={"linear", "fine-tuning", "question"},
)
def phase_converged(evidence: Evidence) -> Judgement:
    """Gains over nu_2 and alignment, of the exact theory of each draw and of networks."""
    return _judged(evidence, OF_TARGET, CONVERGED, CONVERGED_REASON)


@claim(
    "phase-converged-source",
    version="1",
    statement="Which sources help a readout that is trained to convergence? All: the gain grows"
    " with the richness gamma_1 and with the source's points.",
    source=THEORY,
    experiments=[SOURCE, f"{SOURCE}-control"],
    order=82,
    tags={"linear", "fine-tuning", "question"},
)
def phase_converged_source(evidence: Evidence) -> Judgement:
    """Gains over gamma_1 and nu_1, of the exact theory of each draw."""
    return _judged(evidence, OF_SOURCE, CONVERGED, CONVERGED_REASON)


STOPPED_REASON = (
    f"Both readouts take {STEPS} steps of the largest stable size. The spike sets that size, so a"
    " readout on a rich source learns along the spike and little else: this hurts where the target"
    " has little overlap with the spike, and points enough to learn the rest by itself."
)


def _stopped_judged(evidence: Evidence, plane: Plane) -> Judgement:
    same = _signs(_gains(evidence, plane, SAME_TIME, STOPPED), plane)
    return _judged(
        evidence,
        plane,
        STOPPED,
        STOPPED_REASON,
        [Condition("both readouts are trained for the same time", same)],
    )


@claim(
    "phase-stopped",
    version="1",
    statement="Where does a source help a readout that is stopped after a number of largest stable"
    " steps? Where the target is aligned, or has few points; unaligned it hurts, the more the"
    " larger nu_2.",
    source=THEORY,
    experiments=[TARGET, f"{TARGET}-control", "phase-networks", "phase-networks-control"],
    order=83,
    tags={"linear", "fine-tuning", "question"},
)
def phase_stopped(evidence: Evidence) -> Judgement:
    """Gains after equal numbers of steps, each of 1 / lambda_max of the kernel at hand."""
    return _stopped_judged(evidence, OF_TARGET)


@claim(
    "phase-stopped-source",
    version="1",
    statement="Which sources help a readout that is stopped after a number of largest stable"
    " steps? Those with many points; a rich source of few points hurts.",
    source=THEORY,
    experiments=[SOURCE, f"{SOURCE}-control"],
    order=84,
    tags={"linear", "fine-tuning", "question"},
)
def phase_stopped_source(evidence: Evidence) -> Judgement:
    """Gains after equal numbers of steps, over gamma_1 and nu_1."""
    return _stopped_judged(evidence, OF_SOURCE)


RIDGED_REASON = (
    "With the same weight decay on both readouts the ridge acts on the bulk of the kernel as it"
    " does without a source, and less on the spike. Against a readout without a ridge, which is"
    " best for labels without noise, the ridge hurts as stopping does."
)


def _ridged_judged(evidence: Evidence, plane: Plane) -> Judgement:
    readout = _ridged(evidence, plane)
    without = _signs(_gains(evidence, plane, readout, CONVERGED), plane)
    return _judged(
        evidence,
        plane,
        readout,
        RIDGED_REASON,
        [Condition("the readout without a source has no ridge", without)],
    )


@claim(
    "phase-ridged",
    version="1",
    statement="Where does a source help a readout with weight decay? At every nu_2, the more the"
    " better aligned; an unaligned one costs less than a tenth of the loss, if the readout"
    " without a source has the same decay.",
    source=THEORY,
    experiments=[
        *(f"{TARGET}{end}" for end in ("-ridged", "-ridged-control", "-control")),
        "phase-networks-ridged",
        "phase-networks-ridged-control",
    ],
    order=85,
    tags={"linear", "fine-tuning", "question"},
)
def phase_ridged(evidence: Evidence) -> Judgement:
    """Gains over nu_2 and alignment with the same ridge on both readouts."""
    return _ridged_judged(evidence, OF_TARGET)


@claim(
    "phase-ridged-source",
    version="1",
    statement="Which sources help a readout with weight decay? All, the more the richer and the"
    " more points they have, if the readout without a source has the same decay.",
    source=THEORY,
    experiments=[f"{SOURCE}{end}" for end in ("-ridged", "-ridged-control", "-control")],
    order=86,
    tags={"linear", "fine-tuning", "question"},
)
def phase_ridged_source(evidence: Evidence) -> Judgement:
    """Gains over gamma_1 and nu_1 with the same ridge on both readouts."""
    return _ridged_judged(evidence, OF_SOURCE)
