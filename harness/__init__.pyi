from . import claims, networks, numerics, observables, solving
from .claims import Condition, Evidence, Finding, Judgement, claim
from .errors import DataError, DivergenceError, LimitbenchError, NotEnoughError, nearest
from .execution.programs import use_kept_programs
from .records import (
    ActivationName,
    Architecture,
    Dataset,
    Observable,
    Problem,
    ProblemSize,
    Protocol,
    Stage,
    Trajectory,
    TransferData,
    Work,
    recorded_steps,
)
from .registry import (
    Component,
    Params,
    Registry,
    Unkeyed,
    architecture,
    hookimpl,
    regime,
    task,
    theory,
)
from .results import Results, load
from .runs import run

__version__: str

__all__ = [
    "ActivationName",
    "Architecture",
    "Component",
    "Condition",
    "DataError",
    "Dataset",
    "DivergenceError",
    "Evidence",
    "Finding",
    "Judgement",
    "LimitbenchError",
    "NotEnoughError",
    "Observable",
    "Params",
    "Problem",
    "ProblemSize",
    "Protocol",
    "Registry",
    "Results",
    "Stage",
    "Trajectory",
    "TransferData",
    "Unkeyed",
    "Work",
    "architecture",
    "claim",
    "claims",
    "hookimpl",
    "load",
    "nearest",
    "networks",
    "numerics",
    "observables",
    "recorded_steps",
    "regime",
    "run",
    "solving",
    "task",
    "theory",
    "use_kept_programs",
]
