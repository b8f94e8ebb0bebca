"""Augmentations that convert floating-point numbers to 8-bit integers are refused.

XLA cuts such a number off: 3.7 becomes 3. Its library of kernels for the CPU, YNN, rounds it to 4. So the
same augmentation would give other pixels on another device, and nobody would notice.
"""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jax.extend import core

_EIGHT_BITS = (jnp.dtype(jnp.int8), jnp.dtype(jnp.uint8))


def converted(jaxpr: core.ClosedJaxpr) -> bool:
    """Whether a traced function converts floating-point numbers to int8 or uint8 anywhere.

    Example:
      >>> import jax
      >>> brighter = lambda image: (1.2 * image).astype("uint8")
      >>> through_int32 = lambda image: (1.2 * image).astype("int32").astype("uint8")
      >>> image = jax.ShapeDtypeStruct((2, 2, 1), "uint8")
      >>> converted(jax.make_jaxpr(brighter)(image)), converted(jax.make_jaxpr(through_int32)(image))
      (True, False)
    """
    return any(
        equation.primitive.name == "convert_element_type"
        and equation.params["new_dtype"] in _EIGHT_BITS
        and jnp.issubdtype(equation.invars[0].aval.dtype, jnp.floating)
        for equation in _equations(jaxpr.jaxpr)
    )


def _equations(jaxpr: Any) -> Iterator[Any]:
    """The equations of a jaxpr and of those within it."""
    for equation in jaxpr.eqns:
        yield equation
        for parameter in equation.params.values():
            for part in parameter if isinstance(parameter, (tuple, list)) else (parameter,):
                part = getattr(part, "jaxpr", part)  # of a closed one
                if hasattr(part, "eqns"):
                    yield from _equations(part)
