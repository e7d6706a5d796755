"""Fast compilation, for programs that run for less time than an optimising compiler takes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

PROCESSOR_OPTIONS = {
    # XLA's newer way to fuse loops takes twice as long to compile them, and few run any faster
    "xla_cpu_use_fusion_emitters": False,
    # programs are small: parts compiled side by side take a quarter more in sum
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""XLA options that make compilation for CPUs faster."""

F = TypeVar("F", bound=Callable[..., Any])


@functools.cache
def compiler_options() -> dict[str, bool | int]:
    """Return the compiler options that the installed version of XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    known: dict[str, bool | int] = {}
    for name, value in PROCESSOR_OPTIONS.items():
        program = jax.jit(lambda: 0, compiler_options={name: value}).lower()
        try:
            program.compile()
        except jax.errors.JaxRuntimeError as error:
            if name not in str(error):
                raise
        else:
            known[name] = value
    return known


def compiled_fast(**facts: Any) -> Callable[[F], F]:
    """Compile a function like `jax.jit` with these arguments, and with `compiler_options`.

    The options are looked up at the first call, not at import.
    """

    def decorate(function: F) -> F:
        @functools.cache
        def program() -> Callable[..., Any]:
            return jax.jit(function, compiler_options=compiler_options(), **facts)

        @functools.wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            return program()(*args, **named)

        return cast(F, call)

    return decorate
