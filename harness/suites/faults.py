"""Faults of a suite file: all of them, one line each, in this project's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from harness.errors import PluginError, SuiteError, nearest
from harness.records.data import TASK_NAME_PATTERN
from harness.suites.bounds import Place, shortened

MOST = 50
"""Largest number of faults that are listed; the others are counted."""

KEPT = 1000
"""Largest number of faults that are kept; a stranger's file may have any number."""

_WHOLE, _NUMBER, _TEXT = "a whole number", "a number", "text in quotes"
_LIST, _TABLE, _TRUTH = "a list in brackets", "a table in braces", "true or false"
_DATE, _TIME = 'a date in quotes, as in "2025-01-31"', 'a time in quotes, as in "13:30:00"'
_MOMENT, _SPAN = 'a date with a time, as in "2025-01-31T13:30:00"', 'a duration, as in "PT1H30M"'

_WORDS: Mapping[str, str] = {
    "bool": _TRUTH,
    "bytes": _TEXT,
    "complex": 'a complex number in quotes, as in "1+2j"',
    "counter": _TABLE,
    "dataclass": _TABLE,
    "date": _DATE,
    "date_from_datetime": _DATE,
    "datetime": _MOMENT,
    "datetime_from_date": _MOMENT,
    "datetime_object": _MOMENT,
    "decimal": _NUMBER,
    "deque": _LIST,
    "dict": _TABLE,
    "finite_number": "a finite number",
    "float": _NUMBER,
    "fraction": 'a fraction in quotes, as in "1/3"',
    "frozen_dict": _TABLE,
    "frozen_set": _LIST,
    "int": _WHOLE,
    "int_from_float": _WHOLE,
    "iterable": _LIST,
    "list": _LIST,
    "mapping": _TABLE,
    "model": _TABLE,
    "model_attributes": _TABLE,
    "named_tuple": _LIST,
    "ordered_dict": _TABLE,
    "set": _LIST,
    "string": _TEXT,
    "time": _TIME,
    "time_delta": _SPAN,
    "tuple": _LIST,
    "url": 'an address in quotes, as in "https://example.org"',
    "uuid": "a UUID in quotes",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "string_pattern_mismatch": "text that matches the pattern {pattern}",
    "string_not_ascii": "text of ASCII characters",
    "date_past": "a date in the past",
    "date_future": "a date in the future",
    "datetime_past": "a time in the past",
    "datetime_future": "a time in the future",
    "date_from_datetime_inexact": _DATE,
    "timezone_naive": "a time without a time zone",
    "timezone_aware": "a time with a time zone",
    "timezone_offset": "a time in the time zone of {tz_expected} seconds",
    "decimal_max_digits": "at most {max_digits} digits",
    "decimal_max_places": "at most {decimal_places} decimal places",
    "decimal_whole_digits": "at most {whole_digits} digits before the decimal point",
    "url_scheme": "an address that starts with {expected_schemes}",
    "uuid_version": "a UUID of version {expected_version}",
    "none_required": "left out",
    "set_item_not_hashable": "text, a number, true or false",
    "union_tag_invalid": "a table whose {discriminator} is one of {expected_tags}",
    "union_tag_not_found": "a table with a value of {discriminator}",
}
"""Allowed values, by pydantic's type of an error without its ending."""

_ENDINGS = re.compile(r"_(type|parsing|parsing_size|invalid|unicode|exact_type|invalid_encoding)$")
_COUNTED = {
    "too_short": ("at least", "min_length", "value"),
    "too_long": ("at most", "max_length", "value"),
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
    "bytes_too_short": ("at least", "min_length", "character"),
    "bytes_too_long": ("at most", "max_length", "character"),
    "url_too_long": ("at most", "max_length", "character"),
}
_OTHER = "a value of another kind"

_PATTERNS = {
    TASK_NAME_PATTERN: "the name of a task: small letters, digits and hyphens, as in 'step-2'",
}
"""Allowed texts, by pattern."""


class Faults:
    """Collects the faults of a file, each once, in the order in which they are found."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, lines: Iterable[str]) -> None:
        """Add faults, one line each."""
        for line in filter(None, lines):
            if len(self._lines) > KEPT:
                break
            self._lines[line] = None

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Add the faults of an error that is raised inside, and go on afterwards."""
        try:
            yield
        except (SuiteError, PluginError) as error:
            self.add(str(error).split("\n"))

    def error(self, file: object) -> SuiteError:
        """Return the error that lists all faults.

        Args:
            file: name of the file, with which every line starts.

        Returns:
            An error with a line for each fault; beyond `MOST`, a line counts the others.
        """
        lines = [f"{file}: {line}" for line in self._lines]
        if (more := len(lines) - MOST) > 0:
            count = f"over {KEPT - MOST}" if len(lines) > KEPT else str(more)
            lines[MOST:] = [f"{file}: and {count} more; mend these first"]
        return SuiteError("\n".join(lines))


@dataclass(frozen=True)
class Fault:
    """A fault of a table.

    Attributes:
        place: place in the table.
        text: the value and the allowed ones, as shown after the dotted path.
        missing: whether a value is missing.
    """

    place: Place
    text: str
    missing: bool = False

    def line(self, path: str) -> str:
        """Return the line for the fault in a table at a dotted path."""
        return ".".join([*filter(None, [path]), *map(str, self.place)]) + self.text


def explain(
    error: ValidationError, table: Mapping[str, Any], model: type[BaseModel]
) -> list[Fault]:
    """Return the faults of a table.

    A parameter that is missing because its name is misspelt gives one fault, the misspelling.

    Args:
        error: error from validating the table.
        table: table as it was read.
        model: model that validated it.
    """
    details = [(tuple(e["loc"]), e) for e in error.errors(include_url=False)]
    groups = _resolve((), details, table, model)[: KEPT + 1]
    misspelt = {
        (*place[:-1], name)
        for place, found in groups
        if found[0]["type"] == "extra_forbidden"
        for name in [meant(str(place[-1]), _fields(model, place[:-1]))]
    }
    return [
        Fault(place, _told(place, found, model), found[0]["type"] == "missing")
        for place, found in groups
        if not (found[0]["type"] == "missing" and place in misspelt)
        and not (_counts_valid_ones(found[0]) and any(_within(other, place) for other, _ in groups))
    ]


def _counts_valid_ones(error: Any) -> bool:
    """Return whether a list is too short only as pydantic leaves out its invalid entries."""
    given = error["input"]
    long_enough = isinstance(given, list) and len(given) >= error.get("ctx", {}).get(
        "min_length", 0
    )
    return error["type"] == "too_short" and long_enough


def _within(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def words(kind: str, context: Mapping[str, Any], message: str) -> str:
    """Return the allowed values for an error that pydantic reports.

    Args:
        kind: pydantic's name for the type of the error.
        context: numbers and names of the error.
        message: pydantic's message; shown if a component's own validator has written it.
    """
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind in _COUNTED:
        bound, name, unit = _COUNTED[kind]
        count = context[name]
        return f"{bound} {_plain(count)} {unit}{'' if count == 1 else 's'}"
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]]
    if kind in _standard_kinds():
        known = _WORDS.get(kind) or _WORDS.get(_ENDINGS.sub("", kind), _OTHER)
        return known.format_map({name: _plain(value) for name, value in context.items()})
    said = message.removeprefix("Value error, ").removeprefix("Assertion failed, ").strip()
    return " ".join((said[:1].lower() + said[1:]).split()) or _OTHER


def short(value: Any) -> str:
    """Return a value of a table in the form for errors: short, and on one line."""
    if isinstance(value, dict) and value.keys() <= {"date", "datetime", "time"} and value:
        (value,) = value.values()  # as_json made it a table
    return shortened(value)


def _resolve(
    place: Place, details: Sequence[tuple[Place, Any]], table: Any, model: type[BaseModel]
) -> list[tuple[Place, list[Any]]]:
    """Return errors by their place in a table; for a union, those of the branch that was meant.

    Pydantic's place of an error holds, beside keys and positions, the names of branches of unions;
    these are not in the table.

    Args:
        place: the present place.
        details: errors with the rest of their places.
        table: value at this place.
        model: model that validated the whole.
    """
    known_here = _fields(model, place)
    found: list[tuple[Place, list[Any]]] = [(place, [e]) for rest, e in details if not rest]
    inner: dict[int | str, list[tuple[Place, Any]]] = {}
    branches: dict[int | str, list[tuple[Place, Any]]] = {}
    for (part, *rest), error in ((r, e) for r, e in details if r):
        # a field that is left out: required, or with a default that a validator refuses
        lost = not rest and (error["type"] == "missing" or part in known_here)
        known = branches if not lost and not has_part(table, part) else inner
        known.setdefault(part, []).append((tuple(rest), error))
    for part, errors in inner.items():
        within = table[part] if has_part(table, part) else None
        found += _resolve((*place, part), errors, within, model)
    choices = [_resolve(place, errors, table, model) for errors in branches.values()]
    further = [choice for choice in choices if any(len(p) > len(place) for p, _ in choice)]
    if further:
        shortest = min(further, key=len)
        found += shortest
    elif choices:
        found.append((place, [e for choice in choices for _, errors in choice for e in errors]))
    return found


def has_part(table: Any, part: int | str) -> bool:
    """Return whether a table, or a list, has a part of that key or position."""
    if isinstance(table, list | tuple):
        return isinstance(part, int) and part < len(table)
    return isinstance(table, Mapping) and part in table


def _told(place: Place, found: Sequence[Any], model: type[BaseModel]) -> str:
    """Return the text after the dotted path: the value, the allowed values, the nearest name."""
    first = found[0]
    if first["type"] == "extra_forbidden":
        known = _fields(model, place[:-1])
        hint = nearest(str(place[-1]), list(known))
        allowed = f"; allowed are {', '.join(sorted(known))}" if known else ""
        return f": unknown parameter {str(place[-1])!r}{hint}{allowed}"
    if first["type"] == "missing":
        description = getattr(_fields(model, place[:-1]).get(str(place[-1])), "description", None)
        meaning = f" ({' '.join(description.split())})" if description else ""
        return f": missing{meaning}; give it a value"
    described = getattr(_fields(model, place[:-1]).get(str(place[-1])), "description", None)
    wanted = dict.fromkeys(
        f"text of this form: {' '.join(described.split()).removesuffix('.')}"
        if described and e["type"] == "string_pattern_mismatch"
        else words(e["type"], e.get("ctx", {}), e["msg"])
        for e in found
    )
    hint = ""
    if isinstance(first["input"], str):
        choices = " ".join(str(e.get("ctx", {}).get("expected", "")) for e in found)
        hint = nearest(first["input"], re.findall(r"'([^']*)'", choices))
    return f" = {short(first['input'])}: {', or '.join(wanted)}{hint}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return the known name that an unknown one probably means; empty if there is none."""
    return nearest(name, list(known)).partition("'")[2].partition("'")[0]


def _fields(model: Any, place: Place) -> dict[str, Any]:
    """Return the fields of the model that describes a place in a table, following lists."""
    for part in place:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            continue
        candidates = [field.annotation, *get_args(field.annotation)]
        candidates += [inner for c in candidates for inner in get_args(c)]
        model = next((c for c in candidates if hasattr(c, "model_fields")), None)
    found: dict[str, Any] = getattr(model, "model_fields", {})
    return found


def _standard_kinds() -> frozenset[str]:
    """Return the types of errors whose messages are pydantic's own, not a validator's."""
    from pydantic_core import core_schema

    return frozenset(get_args(core_schema.ErrorType)) - {"value_error", "assertion_error"}


def _plain(value: Any) -> str:
    """Return a bound as a reader would write it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value)
