from .claims import Condition, Evidence, Finding, Judgement, NotEnoughError
from .errors import DataError, DivergenceError, LimitbenchError, nearest
from .frames import Results, load
from .records import (
    ActivationName,
    Architecture,
    Dataset,
    Observable,
    Problem,
    Protocol,
    Stage,
    Trajectory,
    TransferData,
    recorded_steps,
)
from .registry import (
    Component,
    Params,
    Registry,
    architecture,
    claim,
    hookimpl,
    regime,
    task,
    theory,
)

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
    "Protocol",
    "Registry",
    "Results",
    "Stage",
    "Trajectory",
    "TransferData",
    "architecture",
    "claim",
    "hookimpl",
    "load",
    "nearest",
    "recorded_steps",
    "regime",
    "task",
    "theory",
]
