from .errors import DataError, DivergenceError, LimitbenchError, nearest
from .frames import Results, load
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
    architecture,
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
    "DataError",
    "Dataset",
    "DivergenceError",
    "LimitbenchError",
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
    "Work",
    "architecture",
    "hookimpl",
    "load",
    "nearest",
    "recorded_steps",
    "regime",
    "task",
    "theory",
]
