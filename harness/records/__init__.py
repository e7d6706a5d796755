"""The records that flow from suite to score: frozen, validated, without behaviour."""

from harness.records.architecture import ActivationName, Architecture
from harness.records.data import Dataset, TaskName, TransferData
from harness.records.problem import Problem
from harness.records.protocol import NARROW_WIDTH, PILOT_WIDTH, Protocol, Stage, recorded_steps
from harness.records.size import ProblemSize, Work
from harness.records.trainer import EXPLOSION, TRAINER_VERSION, Dtype
from harness.records.trajectory import Observable, Trajectory
from harness.records.units import UnitObservable, Units, UnitSet

__all__ = [
    "EXPLOSION",
    "NARROW_WIDTH",
    "PILOT_WIDTH",
    "TRAINER_VERSION",
    "ActivationName",
    "Architecture",
    "Dataset",
    "Dtype",
    "Observable",
    "Problem",
    "ProblemSize",
    "Protocol",
    "Stage",
    "TaskName",
    "Trajectory",
    "TransferData",
    "UnitObservable",
    "UnitSet",
    "Units",
    "Work",
    "recorded_steps",
]
