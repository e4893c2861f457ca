"""Reading arguments as the compiled functions read them, with the same texts for what is wrong."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import NDArray

Ints = SupportsIndex | Sequence[SupportsIndex] | NDArray[np.integer[Any]]
Padding = Ints | Sequence[Sequence[SupportsIndex]] | Literal["valid", "same", "same_lower"]

# The names of the spatial axes, by their number.
SPATIAL = {1: "L", 2: "HW", 3: "DHW"}


def read_array(function: str, name: str, value: Any) -> NDArray[Any]:
    """The argument as an array, a view if it can be one."""
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


def read_int(function: str, name: str, value: Any, rule: str = "an int") -> int:
    """Anything with __index__ but bool."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{function}: {name} must be {rule}, got {type(value).__name__}")
    if not -(2**63) <= number < 2**63:
        raise OverflowError(f"{function}: {name} does not fit 64 bits")
    return number


def default_layout(rank: int, batched: bool = True) -> str:
    """The order of axes where no layout is given."""
    return f"{'N' if batched else ''}C{SPATIAL[rank]}"


def is_sequence(value: Any) -> bool:
    """Whether it has items: a text is one value, and so is an array of no dimensions."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def read_ints(function: str, name: str, value: Any) -> tuple[int, ...] | int:
    """An int, or a sequence of ints as a tuple."""
    rule = "an int or a sequence of ints"
    if is_sequence(value):
        return tuple(read_int(function, name, item, rule) for item in value)
    return read_int(function, name, value, rule)


def read_padding(function: str, padding: Any) -> Any:
    """A rule's name, an int, or a tuple of ints or of pairs (before, after)."""
    if isinstance(padding, str):
        if padding not in ("valid", "same", "same_lower"):
            raise ValueError(
                f"{function}: padding must be numbers, 'valid', 'same' or 'same_lower', "
                f"got {padding!r}"
            )
        return padding
    if not is_sequence(padding) or not any(is_sequence(item) for item in padding):
        return read_ints(function, "padding", padding)
    pairs = [read_ints(function, "padding", item) for item in padding]
    for pair in pairs:
        count = len(pair) if isinstance(pair, tuple) else 1
        if count != 2:
            raise ValueError(
                f"{function}: padding must be one pair (before, after) an axis, got {count} "
                "values in the place of one"
            )
    return tuple(pairs)
