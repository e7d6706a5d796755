"""Names of swept experiments: the base name of a sweep, and the swept parameters."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import Any

from harness.errors import SuiteError, nearest
from harness.records.cell import CellFacts
from harness.registry.component import PROBLEM_KINDS

DRAWS = "task.data_seed"
"""Parameter that is swept over draws of the data."""

_PARAMETER = re.compile(rf"(?:^|,)((?:{'|'.join(PROBLEM_KINDS)})\.\w+)=")
_DRAW = re.compile(rf"(?:^|,){re.escape(DRAWS)}=\d+(?=,|$)")


Globs = str | Sequence[str] | None
"""Patterns of names of experiments: one, several of which one must match, or none for all names."""


def matching(names: Sequence[str], only: Globs, where: str) -> frozenset[str]:
    """Return the names of experiments that match one of the globs.

    Brackets in a glob stand for themselves, for sweeps have them in names.

    Args:
        names: all experiments.
        only: globs; all names are returned without any.
        where: the place of the experiments, for the error.

    Raises:
        SuiteError: if a glob matches no name.
    """
    globs = each_glob(only)
    chosen: set[str] = set() if globs else set(names)
    for glob in globs:
        found = {name for name in names if fnmatch.fnmatchcase(name, glob.replace("[", "[[]"))}
        if not found:
            raise SuiteError(
                f"--only {glob!r} matches no experiment {where}{nearest(glob, names)};"
                f" there are {', '.join(names) or 'none'}"
            )
        chosen |= found
    return frozenset(chosen)


def each_glob(only: Globs) -> tuple[str, ...]:
    """Return the globs as a tuple, which is empty for all names."""
    return (only,) if isinstance(only, str) else tuple(only or ())


def swept_parameters(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the name before the brackets, and the dotted parameters in them; () without any."""
    base, bracket, inside = name.removesuffix("]").partition("[")
    parameters = tuple(_PARAMETER.findall(inside)) if bracket else ()
    return (base, parameters) if parameters else (name, ())


def without_draw(name: str) -> str | None:
    """Return the name shared by all draws of the data; None if the name is not that of a draw.

    ``x[regime.decay=0.1,task.data_seed=3]`` is a draw of ``x[regime.decay=0.1]``.
    """
    base, parameters = swept_parameters(name)
    if DRAWS not in parameters:
        return None
    inside = _DRAW.sub("", name.removesuffix("]").partition("[")[2]).removeprefix(",")
    return f"{base}[{inside}]" if inside else base


def draw_of(name: str) -> int | None:
    """Return the data seed in a name; None if the name is not that of a draw."""
    found = _DRAW.search(name.removesuffix("]").partition("[")[2])
    return int(found[0].rpartition("=")[2]) if found else None


def swept_values(name: str, facts: CellFacts) -> dict[str, Any]:
    """Return the swept parameters of an experiment with their values in a cell.

    Empty for an experiment without a sweep, or whose brackets are the author's own, that is, name
    parameters that its components do not have.
    """
    _, parameters = swept_parameters(name)
    components = {str(kind): spec for kind, spec in facts.components.items()}
    found = {}
    for parameter in parameters:
        kind, _, own = parameter.partition(".")
        component = components.get(kind)
        if parameter == DRAWS:
            found[parameter] = facts.data_seed
        elif component is not None and own in component.parameters:
            found[parameter] = component.parameters[own]
        else:
            return {}
    return found
