"""JAX settings that numbers depend on, fixed against environment variables."""

from __future__ import annotations

import contextlib

import jax

PRNG = "threefry2x32"
"""Generator of every stream of random numbers that JAX draws."""

SETTINGS: dict[str, bool | int | str | None] = {
    "jax_enable_x64": True,  # arrays state their precision
    "jax_default_prng_impl": PRNG,
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_high_dynamic_range_gumbel": False,
    "jax_transfer_guard": None,
    "jax_no_tracing": False,
    "jax_no_execution": False,
}


def pin() -> None:
    """Set JAX's options, against environment variables such as JAX_RANDOM_SEED_OFFSET.

    Options that the installed JAX lacks belong to other versions; every cell records the version.
    """
    for name, value in SETTINGS.items():
        with contextlib.suppress(AttributeError):
            jax.config.update(name, value)
