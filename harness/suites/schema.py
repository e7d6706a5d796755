"""The shape of a suite file, before names are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.records import Dtype
from harness.registry import Registry
from harness.registry.component import EXPERIMENT_KINDS, Kind

Name = Annotated[str, Field(min_length=1, max_length=200)]
Width = Annotated[int, Field(ge=1, le=2**20)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[int, Field(ge=1, le=10_000)] | Annotated[list[Seed], Field(min_length=1)]
"""A number n, which stands for 0 to n - 1, or a list."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ComponentTable(BaseModel):
    """A component's name and, beside it, its parameters."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)
    name: Name

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as written."""
        return dict(self.model_extra or {})


class ObservableTable(ComponentTable):
    """An observable's name, its parameters, and whether it is scored."""

    scored: bool = False


Observables = list[Name | ObservableTable]
Theories = Annotated[list[Name | ComponentTable], Field(min_length=1)]


class SuiteTable(_Strict):
    """The [suite] table."""

    name: Name
    widths: Annotated[list[Width], Field(min_length=1)]
    """Widths N of the networks."""
    seeds: Seeds
    """Number of networks of each width, or a list of seeds."""
    dtype: Dtype = "float32"
    """Precision of the networks."""
    theories: Theories | None = None
    """Theories of every experiment that does not list its own."""
    observables: Observables = []
    """Observables of one's own, recorded at the end of every stage."""


class ExperimentTable(_Strict):
    """An [[experiment]] table."""

    name: Name
    task: ComponentTable
    architecture: ComponentTable
    regime: ComponentTable
    theories: Theories | None = None
    """Theories to solve, in place of the suite's."""
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """Values by dotted parameter, such as "regime.target_richness"; their cartesian product."""
    data_seeds: Seeds | None = None
    """Number of draws of the data, or a list of data seeds: a sweep over "task.data_seed"."""
    widths: list[Width] | None = None
    """Widths of its networks, in place of the suite's; none for theories alone."""
    seeds: Seeds | None = None
    """Seeds of its networks, in place of the suite's."""
    observables: Observables | None = None
    """Observables of one's own, in place of the suite's."""


class SuiteFile(_Strict):
    """A suite file."""

    suite: SuiteTable
    experiment: Annotated[list[ExperimentTable], Field(min_length=1)]


def listed(seeds: int | list[int]) -> tuple[int, ...]:
    """Return seeds as a tuple; a suite may give their number alone."""
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)


def bundled_suites() -> dict[str, Path]:
    """Return the suites that come with limitbench, by name."""
    folder = Path(__file__).parent / "bundled"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def suite_schema(registry: Registry) -> dict[str, Any]:
    """Return the JSON schema of suite files, with the parameters of every known component."""
    schema = SuiteFile.model_json_schema()
    kinds: tuple[Kind, ...] = (*EXPERIMENT_KINDS, "observable")
    parts = [c for kind in kinds for c in registry.components(kind)]
    for component in parts:
        table = component.params.model_json_schema()
        table["title"] = f"{component.kind} {component.name}"
        table["properties"] = {"name": {"const": component.name}, **table.get("properties", {})}
        if component.kind == "task":
            table["properties"]["data_seed"] = {"type": "integer", "minimum": 0, "default": 0}
        if component.kind == "observable":
            table["properties"]["scored"] = {"type": "boolean", "default": False}
        table["required"] = ["name", *table.get("required", [])]
        schema["$defs"].update(table.pop("$defs", {}))
        schema["$defs"][f"{component.kind}:{component.name}"] = table
    experiment, suite = (
        schema["$defs"][n]["properties"] for n in ("ExperimentTable", "SuiteTable")
    )
    for kind in kinds:
        names = [c.name for c in registry.components(kind)]
        # a name may have a slash, which a JSON pointer writes as ~1
        known: list[dict[str, Any]] = [
            {"$ref": f"#/$defs/{kind}:{name.replace('/', '~1')}"} for name in names
        ]
        listed_names = {"anyOf": [{"enum": names}, *known]}
        if kind == "theory":
            several = {"type": "array", "minItems": 1, "items": listed_names}
            suite["theories"] |= {"anyOf": [several, {"type": "null"}]}
            experiment["theories"] |= {"anyOf": [several, {"type": "null"}]}
        elif kind == "observable":
            own: dict[str, Any] = {"type": "array", "items": listed_names}
            suite["observables"] |= own
            experiment["observables"] |= {"anyOf": [own, {"type": "null"}]}
        else:
            experiment[kind] = {"anyOf": known}
    for name in ("ComponentTable", "ObservableTable"):
        schema["$defs"].pop(name, None)
    return schema
