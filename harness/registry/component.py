"""Components and the decorators with which a plugin file declares them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict

from harness.errors import PluginError
from harness.records import Architecture, Problem, Stage, Trajectory, TransferData
from harness.records import Protocol as TrainingProtocol

if TYPE_CHECKING:
    from harness.claims import Evidence, Judgement

Kind = Literal["task", "architecture", "regime", "theory", "claim"]
KINDS: tuple[Kind, ...] = ("task", "architecture", "regime", "theory", "claim")
MARK = "__limitbench_component__"


class Params(BaseModel):
    """Base of every parameter model: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Theory(Protocol):
    """What a theory component makes: a solver of problems at infinite width.

    A method ``cost(size: ProblemSize) -> Work | None`` may say beforehand what solving takes.
    """

    def supports(self, problem: Problem) -> str | None:
        """Return None, or the reason why the problem is outside the theory's domain."""

    def predict(self, problem: Problem) -> Trajectory:
        """Solve the problem; observables carry standard errors where they are estimates."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A named, versioned part of an experiment.

    Args:
        kind: task, architecture, regime, theory or claim.
        name: what suites call it: lower case words joined by hyphens.
        version: changes whenever results change; part of every cell's key.
        params: model of the parameters.
        make: the decorated callable: task(params, seed) -> TransferData,
            architecture(params) -> Architecture, regime(params) -> list of Stage,
            theory(params) -> Theory, claim(evidence) -> Judgement.
        tags: words to find it by.
        citation: where it comes from.
        summary: first line of its docstring.
        prepare: for a task, fetches what the parameters need (data sets); None where nothing is.
        statement: of a claim, what it says in words.
        experiments: of a claim, the experiments that it needs: names without the point of a
            sweep, or patterns.
        order: of a claim, its place in lists.
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


def as_json(table: Mapping[str, Any]) -> str:
    """Return a table read from TOML as JSON; dates become tables, which pass for nothing else."""
    return json.dumps(dict(table), default=lambda value: {type(value).__name__: str(value)})


C = TypeVar("C", bound=Callable[..., Any])


def parameters(make: Callable[..., Any]) -> type[Params]:
    """Return the parameter model that a component's callable takes as its first argument.

    Raises:
        PluginError: if it takes none, or one that does not derive from `Params`.
    """
    target = make.__init__ if inspect.isclass(make) else make
    names = list(inspect.signature(make).parameters)
    found = get_type_hints(target).get(names[0]) if names else None
    if not (inspect.isclass(found) and issubclass(found, Params)):
        raise PluginError(
            f"{make.__name__}: the first argument needs a type that derives from harness.Params,"
            " such as 'def my_task(params: MyParams, seed: int)'"
        )
    return found


def _check_name(kind: Kind, name: str) -> None:
    if not is_component_name(name):
        raise PluginError(
            f"{kind} name {name!r}: allowed are lower-case words joined by hyphens, as in 'my-task'"
        )


def _declare(
    kind: Kind,
    name: str,
    version: str,
    tags: set[str] | frozenset[str],
    citation: str,
    prepare: Callable[[Any], None] | None = None,
) -> Callable[[C], C]:
    _check_name(kind, name)

    def mark(make: C) -> C:
        doc = inspect.getdoc(make) or ""
        component = Component(
            kind=kind,
            name=name,
            version=str(version),
            params=parameters(make),
            make=make,
            tags=frozenset(tags),
            citation=citation,
            summary=doc.partition("\n")[0],
            doc=doc,
            prepare=prepare,
        )
        setattr(make, MARK, component)
        return make

    return mark


def task(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
    prepare: Callable[[Any], None] | None = None,
) -> Callable[[Callable[[Any, int], TransferData]], Callable[[Any, int], TransferData]]:
    """Declare a task: a function (params, seed) -> TransferData, deterministic in its seed."""
    return _declare("task", name, version, tags, citation, prepare)


def architecture(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[[Callable[[Any], Architecture]], Callable[[Any], Architecture]]:
    """Declare an architecture: a function (params) -> Architecture."""
    return _declare("architecture", name, version, tags, citation)


def regime(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[
    [Callable[[Any], list[Stage] | TrainingProtocol]],
    Callable[[Any], list[Stage] | TrainingProtocol],
]:
    """Declare a regime: a function (params) -> list of Stage."""
    return _declare("regime", name, version, tags, citation)


def theory(
    name: str,
    *,
    version: str,
    tags: set[str] | frozenset[str] = frozenset(),
    citation: str = "",
) -> Callable[[C], C]:
    """Declare a theory: a class made from its params, with `supports` and `predict`."""
    return _declare("theory", name, version, tags, citation)


def claim(
    name: str,
    *,
    version: str,
    statement: str,
    source: str,
    experiments: Sequence[str],
    order: int = 0,
    tags: set[str] | frozenset[str] = frozenset(),
) -> Callable[[Callable[[Evidence], Judgement]], Callable[[Evidence], Judgement]]:
    """Declare a claim: a function from the evidence to a judgement.

    Args:
        name: what it is called.
        version: changes whenever verdicts may.
        statement: what is claimed, in words.
        source: paper, and figure or equation.
        experiments: names of the experiments that it looks at, without the point of a sweep.
        order: place in lists.
        tags: words to find it by.
    """
    _check_name("claim", name)

    def mark(make: Callable[[Evidence], Judgement]) -> Callable[[Evidence], Judgement]:
        doc = inspect.getdoc(make) or ""
        component = Component(
            kind="claim",
            name=name,
            version=str(version),
            params=Params,
            make=make,
            tags=frozenset(tags),
            citation=source,
            summary=statement,
            doc=doc,
            statement=statement,
            experiments=tuple(experiments),
            order=order,
        )
        setattr(make, MARK, component)
        return make

    return mark
