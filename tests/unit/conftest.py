"""What unit tests share: strict rules of promotion, and a results folder to copy and change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import optax
import pytest
from made_results import Results

from harness.numerics.settings import SETTINGS

STRICT = {"jax_numpy_rank_promotion": "raise", "jax_numpy_dtype_promotion": "strict"}

_add_noise = optax.add_noise


def _noise(*given: Any, **named: Any) -> Any:
    """Return `optax.add_noise`, which joins types: it takes a fractional power of its count."""
    rule = _add_noise(*given, **named)

    def update(*given: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return rule.update(*given)

    return rule._replace(update=update)


@pytest.fixture(scope="module", autouse=True)
def nothing_promoted() -> Iterator[None]:
    """Let JAX join arrays of different ranks or types only where the code says so.

    This holds in every thread, and in fixtures of whole modules; only Optax's noise is excepted.
    """
    for name, value in STRICT.items():
        jax.config.update(name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optax, "add_noise", _noise)
        yield
    for name in STRICT:
        jax.config.update(name, SETTINGS[name])


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Results(tmp_path_factory.mktemp("made") / "results")
    made.add("e", {"lazy-ntk": 0.0, "mean-field": "failed <b>"}, widths=(16, 64), seeds=(0, 1))
    return made.store.root
