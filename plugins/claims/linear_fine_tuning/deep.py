"""The claim on deep linear networks: every layer's kernel has one spike along the source."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Condition, Evidence, Finding, Judgement, NotEnoughError, claim, claims

from .ratios import PAPER
from .spike import source_axes

SPIKE = 0.05
"""Smallest difference of two spikes that counts, in eigenvalues of the input kernel."""
GAMMA, DEPTH = "regime.source_richness", "architecture.depth"
DEEP, CONTROL = "deep-linear", "deep-linear-control"


@claim(
    "deep-linear-spikes",
    version="1",
    statement="In linear networks of any depth the kernel of every layer has one spike along the"
    " source, whose strength chi_l grows with gamma_1, and the loss of fine-tuning is that of the"
    " last layer's spike.",
    source=f"{PAPER}, Result 2 for L layers",
    experiments=[DEEP, CONTROL],
    order=13,
    tags={"linear", "fine-tuning", "deep"},
)
def deep_linear_spikes(evidence: Evidence) -> Judgement:
    """Spikes of networks' kernels by layer, and losses over those without a source, by draw."""
    spikes = _spikes(evidence)
    findings = []
    for (depth, layer), part in spikes.groupby([DEPTH, "layer"]):
        table = part.pivot_table(index="data_seed", columns=GAMMA, values="spike")
        name = f"L = {depth}, layer {layer}"
        findings += [
            Finding.mean(
                f"{name}: spike at gamma_1 = {high:g} less that at {low:g}",
                table[high] - table[low],
                at_least=0.0,
                smallest=SPIKE,
            )
            for low, high in itertools.pairwise(table.columns)
        ]
        richest = part[part[GAMMA] == part[GAMMA].max()]
        findings.append(
            Finding.mean(
                f"{name}, gamma_1 = {richest[GAMMA].max():g}: second largest change of the kernel"
                " less that without learning, over the spike",
                richest["second"],
                at_most=0.1,
            )
        )
    losses = _relative_losses(evidence, spikes)
    findings += [
        Finding.mean(
            f"L = {depth}, gamma_1 = {gamma:g}: loss over that without a source, less that of a"
            " kernel with the spike alone",
            part["measured"] - part["exact"],
            -claims.TOLERANCE,
            claims.TOLERANCE,
        )
        for (depth, gamma), part in losses.groupby([DEPTH, GAMMA])
    ]
    typical = [
        Finding.mean(
            f"L = {depth}: the same less the formula, mean over gamma_1",
            (part["measured"] - part["typical"]).groupby(part["data_seed"]).mean(),
            -2 * claims.TOLERANCE,
            2 * claims.TOLERANCE,
        )
        for depth, part in losses.groupby(DEPTH)
    ]

    def draw(ax: Any) -> None:
        for turn, (depth, part) in enumerate(spikes.groupby(DEPTH)):
            claims.draw_means(
                ax,
                part.rename(columns={"spike": "value"}),
                GAMMA,
                by="layer",
                label=f"L = {depth}, layer {{}}",
                dashed=bool(turn),
                first=2 * turn,
            )
        claims.label_axes(ax, "γ₁", "spike χ of the layer's kernel", log=True)

    return Judgement(
        findings,
        "Networks of one width: their kernels carry noise of order 1 / sqrt(N), which is taken off"
        " with networks of the same draw that have learned nothing.",
        [Condition("D = 40 is taken for D -> infinity, within 0.1", typical)],
        draw,
    )


def _spikes(evidence: Evidence) -> Any:
    """Return spike and second largest change of every layer's kernel, a row for each cell."""
    import pandas as pd

    plain = evidence.cells(CONTROL, "network")
    noise = {
        (cell["data_seed"], cell[DEPTH]): _changes(evidence, str(key), after=False)
        for key, cell in plain.iterrows()
    }
    rows = []
    for key, cell in evidence.cells(DEEP, "network").iterrows():
        unlearned = noise.get((cell["data_seed"], cell[DEPTH]), ())  # none: not run yet
        for layer, ((spike, second), (_, other)) in enumerate(
            zip(_changes(evidence, str(key)) if unlearned else (), unlearned, strict=True), start=1
        ):
            rows.append(
                {
                    "key": key,
                    "layer": layer,
                    "spike": spike,
                    "second": (second - other) / spike,
                    "data_seed": cell["data_seed"],
                    DEPTH: cell[DEPTH],
                    GAMMA: cell[GAMMA],
                }
            )
    if not rows:
        raise NotEnoughError(f"{DEEP} and {CONTROL} have no draw of the data in common")
    return pd.DataFrame(rows)


def _changes(evidence: Evidence, key: str, after: bool = True) -> list[tuple[float, float]]:
    """Return the spike along the source and the largest eigenvalue apart from it, by layer.

    Both are of the change of a layer's kernel from K_x, as a form on input space. The first is 0
    where nothing was learned.
    """
    b, _, _ = source_axes(evidence.problem(key).data)
    found = []
    for form in _forms(evidence, key):
        change = form - np.eye(len(b))
        spike = float(b @ change @ b) if after else 0.0
        rest = change - spike * np.outer(b, b)
        found.append((spike, float(np.linalg.eigvalsh(rest)[-1])))
    return found


def _forms(evidence: Evidence, key: str) -> list[NDArray[Any]]:
    """Return M of every layer, (D, D), with which its kernel after the source is z M z'."""
    data = evidence.problem(key).data
    assert data.source is not None and data.source_test is not None
    kernels = evidence.array(key, "stage0/kernel/feature")
    x = np.concatenate([data.source.x, data.source_test.x])[: kernels.shape[-1]]
    inverse = np.linalg.pinv(x / np.sqrt(x.shape[1]))
    return [inverse @ kernel @ inverse.T for kernel in kernels]


def _relative_losses(evidence: Evidence, spikes: Any) -> Any:
    """Return losses over those without a source: measured, with the spike alone, and typical.

    The second is that of kernel regression without a ridge on the same draw, with the last layer's
    kernel of the networks that have learned nothing (the same initial weights) and a spike of the
    measured strength along the source; the third is its limit as D and N -> infinity,
    1 - a^2 + a^2 / (1 + chi nu_2)^2.
    """
    last = spikes[spikes["layer"] == spikes[DEPTH]].set_index("key")["spike"]
    without = evidence.final(CONTROL, solver="network")[["key", "data_seed", DEPTH, "value"]]
    losses = evidence.final(DEEP, solver="network").merge(
        without, on=["data_seed", DEPTH], suffixes=("", "_without")
    )
    spike = losses["key"].map(last).astype(float)
    plain = {str(key): _forms(evidence, str(key))[-1] for key in without["key"]}
    data = {key: evidence.problem(key).data for key in plain}
    exact = []
    for key, strength in zip(losses["key_without"], spike, strict=True):
        b, _, _ = source_axes(data[key])
        learned = plain[key] + strength * np.outer(b, b)
        exact.append(_regression_loss(data[key], learned) / _regression_loss(data[key], plain[key]))
    ratio = losses["task.target_points"] / losses["task.dimension"]
    overlap2 = losses["task.alignment"] ** 2
    return losses.assign(
        measured=losses["value"] / losses["value_without"],
        exact=exact,
        typical=1 - overlap2 + overlap2 / (1 + spike * ratio) ** 2,
    )


def _regression_loss(data: Any, form: NDArray[Any]) -> float:
    """Return the test loss of regression without a ridge with the kernel z M z'."""
    x, metric = data.target.x, data.target.x @ form
    weights = metric.T @ np.linalg.solve(metric @ x.T, data.target.y)
    return float(np.mean((data.target_test.x @ weights - data.target_test.y) ** 2))
