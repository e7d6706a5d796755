"""Arrays of different ranks or types meet only where the code says so, in all unit tests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest


def ranks() -> Any:
    return jnp.ones((2, 2)) + jnp.ones(2)


def types() -> Any:
    return jnp.ones(2, jnp.float32) + jnp.ones(2, jnp.float64)


@pytest.fixture(scope="module")
def refused() -> list[str]:
    """Errors in a fixture that the whole module shares."""
    found = []
    for join in (ranks, types):
        with pytest.raises(ValueError) as refusal:
            join()
        found.append(str(refusal.value))
    return found


def test_is_strict_where_a_module_sets_up(refused: list[str]) -> None:
    of_ranks, of_types = refused
    assert "rank_promotion='raise'" in of_ranks
    assert "dtype_promotion=strict" in of_types


@pytest.mark.parametrize("join", [ranks, types])
def test_is_strict_in_every_thread(join: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="promotion="):
        pool.submit(join).result()


def test_only_the_noise_of_optax_is_excepted() -> None:
    weights = jnp.zeros(2, jnp.float32)
    rule = optax.add_noise(0.1, 0.0, key=jax.random.key(0))
    moved, _ = rule.update(weights, rule.init(weights))
    assert moved.dtype == jnp.float32
    with pytest.raises(ValueError, match="dtype_promotion=strict"):
        types()
