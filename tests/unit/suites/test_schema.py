"""Bundled suites load, and the schema accepts them and refuses what the loader refuses."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any

import pytest
from small_suite import REGISTRY, SUITE, Table, changed
from suite_mistakes import MISTAKES

from harness.suites import build_problem, bundled_suites, load_suite, suite_schema


@pytest.mark.parametrize("name", sorted(bundled_suites()))
def test_a_bundled_suite_loads_by_name_and_by_path(name: str) -> None:
    suite = load_suite(name, REGISTRY)
    assert suite.name == name
    assert suite == load_suite(bundled_suites()[name], REGISTRY)
    bases = {found.name.partition("[")[0]: found for found in suite.experiments}
    for found in bases.values():
        needs_files = found.task.parameters.get("dataset", "digits") != "digits"
        assert needs_files or build_problem(found, REGISTRY).protocol.stages


@pytest.fixture(scope="module")
def schema() -> Table:
    return suite_schema(REGISTRY)


def accepts(schema: Table, part: Table, value: Any) -> bool:  # noqa: PLR0911
    """Check a value against the part of JSON schema that suites use."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/").replace("~1", "/")
        return accepts(schema, schema["$defs"][name], value)
    if "anyOf" in part:
        return any(accepts(schema, option, value) for option in part["anyOf"])
    if "const" in part and value != part["const"]:
        return False
    if "enum" in part and value not in part["enum"]:
        return False
    if not _is_type(part.get("type"), value) or not _in_range(part, value):
        return False
    if isinstance(value, list):
        shapes = part.get("prefixItems", [])
        rest = part.get("items", {}) or {}
        return all(
            accepts(schema, shapes[i] if i < len(shapes) else rest, inner)
            for i, inner in enumerate(value)
        )
    if isinstance(value, dict):
        known, other = part.get("properties", {}), part.get("additionalProperties", True)
        if not set(part.get("required", [])) <= set(value):
            return False
        return all(
            accepts(schema, known[k], v)
            if k in known
            else other is True or (other is not False and accepts(schema, other, v))
            for k, v in value.items()
        )
    return True


def _is_type(name: str | None, value: Any) -> bool:
    types: dict[str | None, tuple[type, ...]] = {
        None: (object,),
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }
    if isinstance(value, bool) and name not in (None, "boolean"):
        return False
    return isinstance(value, types[name])


def _in_range(part: Table, value: Any) -> bool:
    size = value if isinstance(value, int | float) else 0
    count = len(value) if isinstance(value, str | list) else 0
    return (
        part.get("minimum", size) <= size <= part.get("maximum", size)
        and part.get("exclusiveMinimum", size - 1) < size < part.get("exclusiveMaximum", size + 1)
        and not (part.get("uniqueItems") and _has_repeats(value))
        and part.get("minItems", count) <= count <= part.get("maxItems", count)
        and part.get("minLength", count) <= count <= part.get("maxLength", count)
    )


def _has_repeats(value: Any) -> bool:
    return isinstance(value, list) and len(set(map(json.dumps, value))) < len(value)


def test_the_schema_is_json_and_every_reference_in_it_resolves(schema: Table) -> None:
    text = json.dumps(schema, allow_nan=False)
    assert json.loads(text) == schema
    references = set(re.findall(r'"\$ref": "([^"]*)"', text))
    assert references
    named = {r.removeprefix("#/$defs/").replace("~1", "/") for r in references}
    assert named <= set(schema["$defs"])
    assert schema["type"] == "object"
    assert schema["required"] == ["suite", "experiment"]


def test_the_schema_names_every_component_with_its_parameters(schema: Table) -> None:
    for component in (c for c in REGISTRY.components() if c.kind != "claim"):
        table = schema["$defs"][f"{component.kind}:{component.name}"]
        assert table["properties"]["name"] == {"const": component.name}
        assert set(component.params.model_fields) <= set(table["properties"])
        assert table["required"][0] == "name"
        assert table["additionalProperties"] is False
        seeds = table["properties"].get("data_seed")
        assert (seeds is not None) == (component.kind == "task")
        assert ("scored" in table["properties"]) == (component.kind == "observable")


@pytest.mark.parametrize("name", sorted(bundled_suites()))
def test_the_schema_accepts_the_bundled_suites(schema: Table, name: str) -> None:
    assert accepts(schema, schema, tomllib.loads(bundled_suites()[name].read_text()))


SCHEMA_BLIND = {  # what a JSON schema has no words for, or this one leaves to the loader
    "repeated widths",
    "repeated seeds",
    "theory twice",
    "observable twice",
    "experiment twice",
    "nested deeply",
    "fraction",
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name)
        for name, changes, _ in MISTAKES
        if name not in SCHEMA_BLIND
        and not name.startswith("sweep")
        and "Verbatim" not in repr([type(v).__name__ for _, v in changes])
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(
    schema: Table, changes: Sequence[tuple[str, Any]]
) -> None:
    assert accepts(schema, schema, SUITE)
    assert not accepts(schema, schema, changed(*changes))
