"""How the functions written in Python read their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_array"]


def as_array(function: str, name: str, value: Any) -> NDArray[Any]:
    """The function's argument as an array, a view if it can be one.

    Raises
    ------
    TypeError
        For None, masked arrays and what is no array.
    """
    if value is None:
        raise TypeError(f"{function}: {name} must be an array, got None")
    if np.ma.is_masked(value):
        raise TypeError(
            f"{function}: {name} is a masked array, and its mask would be lost; "
            f"pass {name}.filled(value)"
        )
    kind = type(value)
    only_dlpack = hasattr(kind, "__dlpack__") and not hasattr(kind, "__array__")
    try:
        return np.from_dlpack(value) if only_dlpack else np.asarray(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"{function}: {name}, of type {kind.__name__}, cannot be read as an array: {error}"
        ) from error
