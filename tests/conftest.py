"""What all tests share: where reference files lie, and compiled programs while they are few."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import shared_files
from hypothesis import HealthCheck, settings

from harness.cache import OWN_VARIABLE
from harness.execution.compilation import release_programs
from harness.execution.programs import VARIABLE, programs_folder, use_kept_programs

# no test fails because a machine is slow
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """Trajectories of real networks that other code made: two layers, ReLU, jointly rich."""
    with np.load(shared_files.reference("A_relu_joint.npz")) as found:
        return {name: found[name] for name in found.files}


@pytest.fixture(scope="session")
def image_sets() -> Path:
    """Folder of subsets of CIFAR-10, MNIST and Fashion-MNIST, in the layout of TFDS."""
    return shared_files.image_sets()


def pytest_configure() -> None:
    """Keep compiled programs for all processes, runs and later sessions.

    Tests may have caches of their own and still share programs: what they start inherits the name
    of the folder.
    """
    use_kept_programs()
    os.environ[VARIABLE] = str(programs_folder())
    os.environ.pop(OWN_VARIABLE, None)  # it would go before the caches that tests name


def pytest_runtest_teardown() -> None:
    """Drop compiled programs where a process has run so many tests that they are too many."""
    release_programs()
