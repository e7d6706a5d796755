"""Components: the records that plugins provide, and the base of their parameter models."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict

from harness.records import Problem, Trajectory
from harness.records.cell import ExperimentKind, ProblemKind

PROBLEM_KINDS: tuple[ProblemKind, ...] = get_args(ProblemKind)
"""Kinds of the components of a problem."""

EXPERIMENT_KINDS: tuple[ExperimentKind, ...] = get_args(ExperimentKind)
"""Kinds of the components of an experiment."""

Kind = Literal[ExperimentKind, "observable", "claim"]
KINDS: tuple[Kind, ...] = get_args(Kind)


LONGEST_NAME = 100
"""Most characters of the name of an observable."""


class Params(BaseModel):
    """Base of every parameter model: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Theory(Protocol):
    """Product of a theory component: a solver of problems at infinite width.

    A method ``cost(size: ProblemSize) -> Work | None`` may predict the work of solving.
    """

    def supports(self, problem: Problem) -> str | None:
        """Return None, or the reason why the problem is outside the theory's domain."""

    def predict(self, problem: Problem) -> Trajectory:
        """Solve the problem; observables carry standard errors where they are estimates."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A named, versioned part of an experiment.

    Args:
        kind: task, architecture, regime, theory, observable or claim.
        name: name in suites: lower case words joined by hyphens; that of an observable may have
            two parts with a slash between them.
        version: changes whenever results change; part of every cell's key.
        params: model of the parameters.
        make: the decorated callable: task(params, seed) -> TransferData,
            architecture(params) -> Architecture, regime(params) -> list of Stage,
            theory(params) -> Theory, observable(params, end[, start]) -> number or array,
            claim(evidence) -> Judgement.
        tags: search words.
        citation: source in the literature.
        summary: first paragraph of its docstring, on one line.
        prepare: for a task, fetches data sets that the parameters need; None if there are none.
        statement: for a claim, its statement in words.
        experiments: for a claim, the experiments that it needs: names without the point of a
            sweep, or patterns.
        order: for a claim, its position in lists.
    """

    kind: Kind
    name: str
    version: str
    params: type[Params]
    make: Callable[..., Any] = field(repr=False)
    tags: frozenset[str] = frozenset()
    citation: str = ""
    summary: str = ""
    doc: str = ""
    prepare: Callable[[Any], None] | None = field(default=None, repr=False)
    statement: str = ""
    experiments: tuple[str, ...] = ()
    order: int = 0

    def parse(self, table: Mapping[str, Any]) -> Params:
        """Validate a table of parameters, as read from TOML or JSON.

        Raises:
            pydantic.ValidationError: if a parameter is unknown, missing or out of range.
        """
        return self.params.model_validate_json(as_json(table))


def is_component_name(name: str) -> bool:
    """Return whether a name is lower-case words, or numbers, joined by hyphens."""
    return re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) is not None


def is_observable_name(name: str) -> bool:
    """Return whether a name is one or two component names, with a slash between them."""
    parts = name.split("/")
    return len(parts) <= 2 and len(name) <= LONGEST_NAME and all(map(is_component_name, parts))


def as_json(table: Mapping[str, Any]) -> str:
    """Return a table read from TOML as JSON; dates become tables, which no parameter accepts."""
    return json.dumps(dict(table), default=lambda value: {type(value).__name__: str(value)})
