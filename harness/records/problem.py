"""A problem: what both a network and a theory solve."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.architecture import Architecture
from harness.records.data import TransferData
from harness.records.protocol import Protocol


@dataclass(frozen=True, eq=False)
class Problem:
    """Task data, architecture and protocol.

    Raises:
        ValueError: if a stage asks for a data set that the task does not have.
    """

    data: TransferData
    architecture: Architecture
    protocol: Protocol

    def __post_init__(self) -> None:
        for stage in self.protocol.stages:
            self.data.train(stage.data)
