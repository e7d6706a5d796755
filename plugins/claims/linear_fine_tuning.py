"""Claims on two-layer linear networks: what features of a source do for a readout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Condition, Evidence, Finding, Judgement, claim

PAPER = "Lauditi, Bordelon & Pehlevan, arXiv:2507.04448"
TOLERANCE = 0.05
"""Relative deviation below which two losses count as equal, as for theories and networks."""
EXACT = "linear-transfer"
DRAWS = 120
"""Draws whose kernels are looked at."""
STEPS = 100
"""Steps of an early stopping that counts steps of the largest stable size."""


def _grid(evidence: Evidence, experiment: str) -> Any:
    """Return final losses with nu_1, nu_2, chi, a and the loss of typical draws."""
    frame = evidence.final(experiment, solver=EXACT)
    typical = evidence.final(experiment, "loss/test-asymptotic", solver=EXACT)
    frame = frame.merge(typical[["key", "value"]].rename(columns={"value": "typical"}), on="key")
    return _with_ratios(frame)


def _with_ratios(frame: Any) -> Any:
    signal = np.minimum(frame["task.source_points"] / frame["task.dimension"], 1.0)
    noise = frame["task.noise_alignment"].astype(float).fillna(0.0)
    overlap = np.sqrt(signal) * frame["task.alignment"] + np.sqrt(1 - signal) * noise
    richness = frame["regime.source_richness"]
    return frame.assign(
        signal=signal,
        nu2=frame["task.target_points"] / frame["task.dimension"],
        noise=noise,
        chi=np.sqrt(1 + richness**2 * signal) - 1,
        overlap2=overlap**2,
    )


def _typical_draws(grid: Any) -> list[Finding]:
    """Return how the means over draws compare with the formula for typical draws."""
    points = ["task.alignment", "noise", "regime.source_richness", "nu2"]
    group = grid.groupby(points)
    deviation = (group["value"].mean() - group["typical"].mean()) / group["value"].sem()
    share, count = float((deviation.abs() <= 2).mean()), len(deviation)
    expected = 0.95 - 2 * math.sqrt(0.95 * 0.05 / count)
    relative = grid.assign(value=grid["value"] / grid["typical"] - 1)
    return [
        Finding(
            what=f"share of {count} grid points at which the mean over draws lies within two"
            " standard errors of the formula (95 % expected, less chance)",
            value=share,
            at_least=expected,
        ),
        Finding.mean(
            "loss / formula - 1, mean over the grid",
            relative.groupby("data_seed")["value"].mean(),
            -TOLERANCE,
            TOLERANCE,
        ),
    ]


def _against_formula(grid: Any, by: str, label: str) -> Any:
    """Return a function that draws losses and the formula over nu_2."""

    def draw(ax: Any) -> None:
        from harness import claims

        claims.draw_means(ax, grid, "nu2", by=by, label=label)
        for turn, (_, part) in enumerate(grid.groupby(by)):
            line = part.groupby("nu2")["typical"].mean()
            name = None if turn else "formula, D → ∞"
            ax.plot(line.index, line, ":", color="#767676", lw=1.2, zorder=1 + turn, label=name)
        nu2 = np.linspace(grid["nu2"].min(), grid["nu2"].max(), 50)
        ax.plot(nu2, 1 - nu2, "--", color="#767676", lw=1.2, label="1 - ν₂")
        claims.label_axes(ax, "ν₂ = P₂ / D", "target test loss")

    return draw


def _spike(evidence: Evidence, key: str) -> dict[str, float]:
    """Return the coefficients c_1, c_2, c_3 of the feature kernel after the source stage.

    Least squares of Phi - K_x on products of the points' components along b_s and g.
    """
    data = evidence.problem(key).data
    assert data.source is not None and data.source_test is not None
    x = np.concatenate([data.source.x[:100], data.source_test.x[:100]])
    z = x / math.sqrt(x.shape[1])
    b_s = np.linalg.lstsq(data.source_test.x, data.source_test.y)[0]
    b_s /= np.linalg.norm(b_s)
    found = np.linalg.lstsq(data.source.x, data.source.y)[0]
    g = found - (found @ b_s) * b_s
    size = np.linalg.norm(g) / np.linalg.norm(found)
    s, n = z @ b_s, z @ (g / np.linalg.norm(g))
    products = [np.outer(s, n) + np.outer(n, s), np.outer(s, s), np.outer(n, n)]
    if size < 1e-3:  # the direction is known exactly, and g is rounding
        products = products[1:2]
    kernel = evidence.array(key, "stage0/kernel/feature")
    kernel = kernel.reshape(-1, *kernel.shape[-2:])[-1]
    rest = (kernel - z @ z.T).ravel()
    columns = np.stack([p.ravel() for p in products], 1)
    solved = np.linalg.lstsq(columns, rest)[0]
    names = ("c1", "c2", "c3") if len(products) == 3 else ("c2",)
    return dict(zip(names, map(float, solved), strict=True))


def _spikes(evidence: Evidence, cells: Any) -> Any:
    import pandas as pd

    rows = [{"key": key, **_spike(evidence, str(key))} for key in cells.index]
    cells = _with_ratios(cells)
    return pd.DataFrame(rows).set_index("key").join(cells)


@claim(
    "population-source",
    version="1",
    statement="With more source points than dimensions the kernel has one spike, chi ="
    " sqrt(1 + gamma_1^2) - 1; fine-tuning is never worse than without a source, 1 - nu_2, and its"
    " loss falls with the alignment.",
    source=f"{PAPER}, Result 2",
    experiments=["linear-population", "linear-population-control"],
    order=2,
    tags={"linear", "fine-tuning"},
)
def population_source(evidence: Evidence) -> Judgement:
    """Means over draws of the exact theory, against the formula of typical draws."""
    from harness import claims

    grid = _grid(evidence, "linear-population")
    richest = grid["regime.source_richness"].max()
    low, middle, high = (
        grid[(grid["task.alignment"] == a) & (grid["regime.source_richness"] == richest)]
        .groupby("data_seed")["value"]
        .mean()
        for a in sorted(grid["task.alignment"].unique())[:3]
    )
    control = _with_ratios(evidence.final("linear-population-control", solver=EXACT))
    on = ["data_seed", "task.alignment", "regime.source_richness", "nu2"]
    harm = claims.paired(grid, control, on)
    harm = harm.assign(value=harm["value"] / harm["other"] - 1)
    cells = evidence.cells("linear-population", EXACT)
    first = cells[
        (cells["regime.source_richness"] == richest)
        & (cells["task.target_points"] == cells["task.target_points"].min())
        & (cells["task.alignment"] == cells["task.alignment"].max())
        & (cells["data_seed"] < DRAWS)
    ]
    spikes = _spikes(evidence, first)
    findings = [
        *_typical_draws(grid),
        Finding.mean(
            "spike of the kernel / chi - 1", spikes["c2"] / spikes["chi"] - 1, -TOLERANCE, TOLERANCE
        ),
        *(
            Finding.mean(
                f"loss / loss without a source - 1 at alignment {a:g}, gamma_1 = {g:g}",
                part.groupby("data_seed")["value"].mean(),
                at_most=TOLERANCE,
            )
            for (a, g), part in harm.groupby(["task.alignment", "regime.source_richness"])
        ),
        Finding.mean(
            "loss at the middle alignment less that at the lowest", middle - low, at_most=0
        ),
        Finding.mean(
            "loss at the highest alignment less that at the middle", high - middle, at_most=0
        ),
    ]
    return Judgement(
        findings,
        "Holds for typical draws at D = 200. Dotted: the formula for D -> infinity.",
        figure=_against_formula(
            grid[grid["regime.source_richness"] == richest], "task.alignment", "alignment {}"
        ),
    )


@claim(
    "limited-source-kernel",
    version="1",
    statement="With fewer source points than dimensions the kernel's spike is part signal, part"
    " noise: chi [nu_1 b_s b_s' + sqrt(nu_1 (1 - nu_1)) (g b_s' + b_s g') + (1 - nu_1) g g'], chi ="
    " sqrt(1 + gamma_1^2 nu_1) - 1.",
    source=f"{PAPER}, Result 3",
    experiments=["linear-limited", "linear-networks"],
    order=3,
    tags={"linear", "fine-tuning"},
)
def limited_source_kernel(evidence: Evidence) -> Judgement:
    """Coefficients of the kernel of the exact theory over draws, and of the widest networks."""
    cells = evidence.cells("linear-limited", EXACT)
    chosen = cells[
        (cells["task.noise_alignment"].astype(float) == 0.0)
        & (cells["task.target_points"] == cells["task.target_points"].min())
        & (cells["data_seed"] < DRAWS)
    ]
    found = _spikes(evidence, chosen)
    expected = {
        "c1": np.sqrt(found["signal"] * (1 - found["signal"])),
        "c2": found["signal"],
        "c3": 1 - found["signal"],
    }
    findings = [
        Finding.mean(
            f"{name} / chi less the claimed {expected[name].mean():.3g}, over draws",
            found[name] / found["chi"] - expected[name],
            -TOLERANCE,
            TOLERANCE,
        )
        for name in ("c1", "c2", "c3")
    ]
    grid = _grid(evidence, "linear-limited")
    findings += _typical_draws(grid)
    networks = evidence.cells("linear-networks", "network")
    richest = networks["regime.source_richness"].max()
    networks = networks[
        (networks["width"] == networks["width"].max())
        & (networks["regime.source_richness"] == richest)
    ]
    exact = evidence.cells("linear-networks", EXACT)
    drawn = _spike(evidence, str(exact[exact["regime.source_richness"] == richest].index[0]))
    wide = _spikes(evidence, networks)
    measured = [
        Finding.mean(
            f"{name} / chi of networks of width {networks['width'].max()} less that of the exact"
            " theory on the same draw",
            (wide[name] - drawn[name]) / wide["chi"],
            -TOLERANCE,
            TOLERANCE,
        )
        for name in ("c1", "c2", "c3")
    ]
    scores = evidence.scores("linear-networks", EXACT)
    findings += [Finding.gap(row, TOLERANCE) for row in scores]
    findings.append(
        Finding.mean(
            "exponent of the networks' approach, mean over experiments",
            [row["exponent"] for row in scores if row["exponent"] is not None],
            0.4,
            0.6,
        )
    )
    return Judgement(
        findings,
        "Signal and noise are one spike along the source's predictor: c_1^2 = c_2 c_3.",
        [Condition("the kernel is that of the widest networks", measured)],
        _against_formula(grid, "noise", "noise alignment {}"),
    )


@claim(
    "negative-transfer",
    version="1",
    statement="With limited source data, noise aligned with the target causes negative transfer at"
    " high nu_2: fine-tuning is worse than without a source.",
    source=f"{PAPER}, Section 4 on limited source data",
    experiments=[
        "linear-limited",
        "linear-l*-control",
        "linear-label-noise",
        "linear-j*",
        "linear-rank-one",
    ],
    order=4,
    tags={"linear", "fine-tuning"},
)
def negative_transfer(evidence: Evidence) -> Judgement:
    """Losses with and without a source on the same draws; the control has the initial features."""
    from harness import claims

    on = ["data_seed", "noise", "nu2"]

    def excess(
        experiment: str, control: str, what: str, aligned: bool = True, best: bool = False
    ) -> Finding:
        look = evidence.best if best else evidence.final
        with_source, without = (
            _with_ratios(look(name, solver=EXACT)) for name in (experiment, control)
        )
        joined = claims.paired(with_source, without, on)
        joined = joined[joined["nu2"] == joined["nu2"].max()]
        ends = joined["noise"].max() if aligned else joined["noise"].min()
        joined = joined[joined["noise"] == ends]
        return Finding.mean(
            f"{what}: loss / control - 1 at nu_2 = {joined['nu2'].max():g}, noise alignment"
            f" {ends:g}",
            joined["value"] / joined["other"] - 1,
            at_least=0.0,
        )

    stated = excess("linear-limited", "linear-limited-control", "readout trained to convergence")
    conditions = [
        Condition(
            "the noise is anti-aligned with the target",
            [excess("linear-limited", "linear-limited-control", "converged", aligned=False)],
        ),
        Condition(
            "labels of both tasks are noisy",
            [excess("linear-label-noise", "linear-label-noise-control", "converged")],
        ),
        Condition(
            "labels are noisy and each readout is stopped at its best",
            [excess("linear-label-noise", "linear-label-noise-control", "best", best=True)],
        ),
        Condition(
            "labels are noisy and the noise is anti-aligned",
            [
                excess(
                    "linear-label-noise", "linear-label-noise-control", "converged", aligned=False
                )
            ],
        ),
        Condition(
            "features go on learning on the target, with the readout kept",
            [excess("linear-jointly-rich", "linear-jointly-rich-control", "converged")],
        ),
        Condition(
            "features go on learning, and the noise is anti-aligned",
            [
                excess(
                    "linear-jointly-rich", "linear-jointly-rich-control", "converged", aligned=False
                )
            ],
        ),
        Condition(
            "the readout is so short of time, or so ridged, that it learns along the spike only",
            _plateau_harm(evidence),
        ),
    ]
    grid = _grid(evidence, "linear-limited")
    return Judgement(
        [stated],
        "A converged ridgeless readout cannot lose: a spike, whatever its direction, costs one"
        " dimension of many, and the identity part of the kernel fits the rest (loss never above"
        " 1 - nu_2). The loss exceeds 1 - nu_2 where only the spike is resolved and a^2 < nu_2; and"
        " a little where features go on learning from a source that is of no use (a near 0).",
        conditions,
        _against_formula(grid, "noise", "noise alignment {}"),
    )


def _plateau(evidence: Evidence) -> Any:
    """Return the loss when the readout has learned along the spike, and nothing else yet.

    At the geometric mean of the two times, 1 / (chi P_2) and 1 / (sqrt(D) + sqrt(P_2))^2.
    """
    curve = _with_ratios(evidence.curve("linear-rank-one", solver=EXACT))
    points, dimension = curve["task.target_points"], curve["task.dimension"]
    spike = curve["chi"] * points
    bulk = (np.sqrt(points) + np.sqrt(dimension)) ** 2
    distance = np.log(curve["time"].where(curve["time"] > 0) * np.sqrt(spike * bulk)).abs()
    return curve.loc[distance.groupby(curve["key"]).idxmin()]


def _plateau_harm(evidence: Evidence) -> list[Finding]:
    plateau = _plateau(evidence)
    worst = plateau[plateau["nu2"] == plateau["nu2"].max()]
    return [
        Finding.mean(
            f"loss - (1 - nu_2) at nu_2 = {worst['nu2'].max():g}, noise alignment {noise:g}"
            f" (a^2 = {part['overlap2'].mean():.2g})",
            part["value"] - (1 - part["nu2"]),
            at_least=0.0,
        )
        for noise, part in worst.groupby("noise")
    ]


@claim(
    "optimal-richness",
    version="1",
    statement="There is an optimal source richness gamma_1, and it is larger for small nu_2.",
    source=f"{PAPER}, Section 4 on limited source data",
    experiments=["linear-richness"],
    order=5,
    tags={"linear", "fine-tuning"},
)
def optimal_richness(evidence: Evidence) -> Judgement:
    """Loss over gamma_1 at convergence, and after a fixed number of largest stable steps."""
    converged = _grid(evidence, "linear-richness")
    stopped = _stopped(_with_ratios(evidence.curve("linear-richness", solver=EXACT)))
    return Judgement(
        _optimum(converged, "converged"),
        "At convergence the loss falls with gamma_1 and levels off at (1 - nu_2)(1 - a^2): no"
        " optimum. With a fixed budget of steps of the largest stable size there is one: the spike"
        " limits the step, so that a rich readout learns along it and little else, which hurts"
        " where nu_2 is above a^2.",
        [
            Condition(f"the readout takes {STEPS} steps of the largest stable size; {name}", found)
            for name, found in _stopped_conditions(stopped)
        ],
        _over_richness(converged, stopped),
    )


def _stopped(curve: Any) -> Any:
    """Return losses after `STEPS` steps of 1 / lambda_max, interpolated between records."""
    import pandas as pd

    rows = []
    for key, part in curve.groupby("key", observed=True):
        one = part.iloc[0]
        bulk = (math.sqrt(one["task.dimension"]) + math.sqrt(one["task.target_points"])) ** 2
        time = STEPS / (bulk + one["chi"] * one["task.target_points"])
        rows.append({"key": key, "stopped": np.interp(time, part["time"], part["value"])})
    first = curve.drop_duplicates("key").drop(columns="value")
    return first.merge(pd.DataFrame(rows), on="key").rename(columns={"stopped": "value"})


def _stopped_conditions(stopped: Any) -> list[tuple[str, list[Finding]]]:
    """Return the findings after a fixed number of steps, apart by whether a^2 is below nu_2."""
    *optima, shift = _optimum(stopped, "stopped")
    overlap2 = float(stopped["overlap2"].mean())
    named = [
        (
            f"nu_2 = {nu2:g} is {'above' if nu2 > overlap2 else 'below'} a^2 = {overlap2:.2g}",
            [found],
        )
        for nu2, found in zip(sorted(stopped["nu2"].unique()), optima, strict=True)
    ]
    return [*named, ("how the best gamma_1 moves", [shift])]


def _optimum(frame: Any, what: str) -> list[Finding]:
    """Return how much worse the richest is than the best, and how the best moves with nu_2."""
    gamma = "regime.source_richness"
    findings: list[Finding] = []
    best: dict[float, NDArray[np.float64]] = {}
    for nu2, part in frame.groupby("nu2"):
        table = part.pivot_table(index="data_seed", columns=gamma, values="value")
        best[nu2] = np.log10(_jackknifed(table))
        less = table.iloc[:, :-1]
        chosen = less.mean().idxmin()
        findings.append(
            Finding.mean(
                f"{what}: loss at gamma_1 = {table.columns[-1]:g} over that at {chosen:g}, less 1,"
                f" nu_2 = {nu2:g}",
                table.iloc[:, -1] / less[chosen] - 1,
                at_least=0.0,
            )
        )
    small, large = best[min(best)], best[max(best)]
    pseudo = len(small) * (small.mean() - large.mean()) - (len(small) - 1) * (small - large)
    shift = float(small.mean() - large.mean())
    findings.append(
        Finding(
            what=f"{what}: log10 of the best gamma_1 at nu_2 = {min(best):g} less that at"
            f" {max(best):g}",
            value=shift,
            stderr=float(np.std(pseudo, ddof=1) / math.sqrt(len(pseudo))),
            freedom=len(pseudo) - 1,
            at_least=1e-9,
        )
    )
    return findings


def _jackknifed(table: Any) -> NDArray[np.float64]:
    """Return the best gamma_1 with each draw left out in turn."""
    return np.array([float(table.drop(index=draw).mean().idxmin()) for draw in table.index])


def _over_richness(converged: Any, stopped: Any) -> Any:
    def draw(ax: Any) -> None:
        from harness import claims

        gamma = "regime.source_richness"
        claims.draw_means(ax, converged, gamma, by="nu2", label="ν₂ = {}, converged")
        claims.draw_means(ax, stopped, gamma, by="nu2", label="ν₂ = {}, stopped", dashed=True)
        claims.label_axes(ax, "γ₁", "target test loss", log=True, font=7.0)

    return draw


@claim(
    "rank-one-limit",
    version="1",
    statement="As gamma_1 -> infinity the loss tends to 1 - a^2, whatever nu_2, with a the overlap"
    " of the target with the spike.",
    source=f"{PAPER}, Result 4",
    experiments=["linear-rank-one", "linear-richness"],
    order=6,
    tags={"linear", "fine-tuning"},
)
def rank_one_limit(evidence: Evidence) -> Judgement:
    """The plateau that the loss stays on once the spike is learned, before anything else is."""
    plateau = _plateau(evidence)
    relative = plateau.assign(value=plateau["value"] / (1 - plateau["overlap2"]) - 1)
    points = sorted(relative["nu2"].unique())
    per_point = {
        nu2: part.groupby("data_seed")["value"].mean() for nu2, part in relative.groupby("nu2")
    }
    findings = [
        Finding.mean(
            f"loss / (1 - a^2) - 1 on the plateau, nu_2 = {nu2:g}", found, -TOLERANCE, TOLERANCE
        )
        for nu2, found in per_point.items()
    ]
    findings.append(
        Finding.mean(
            f"the same at nu_2 = {points[-1]:g} less that at {points[0]:g}",
            per_point[points[-1]] - per_point[points[0]],
            -TOLERANCE,
            TOLERANCE,
        )
    )
    end = _grid(evidence, "linear-richness")
    end = end[end["regime.source_richness"] == end["regime.source_richness"].max()]
    ridgeless = [
        Finding.mean(
            f"loss / (1 - a^2) - 1 at the end, gamma_1 = {end['regime.source_richness'].max():g},"
            f" nu_2 = {nu2:g}",
            part["value"] / (1 - part["overlap2"]) - 1,
            -TOLERANCE,
            TOLERANCE,
        )
        for nu2, part in end.groupby("nu2")
    ]

    def draw(ax: Any) -> None:
        from harness import claims

        claims.draw_means(ax, relative, "nu2", by="noise", label="plateau, noise alignment {}")
        late = end.assign(value=end["value"] / (1 - end["overlap2"]) - 1)
        claims.draw_means(ax, late, "nu2", label="converged readout", dashed=True, first=4)
        ax.axhline(0.0, color="#767676", lw=1.0, ls=":")
        claims.label_axes(ax, "ν₂ = P₂ / D", "loss / (1 - a²) - 1")

    return Judgement(
        findings,
        "Holds for a readout that resolves the spike only: the two limits do not commute. Trained"
        " on, the identity part fits what remains, and the loss tends to (1 - nu_2)(1 - a^2).",
        [Condition("the readout is trained to convergence", ridgeless)],
        draw,
    )
