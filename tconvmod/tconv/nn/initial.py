"""How parameters begin: as in torch, uniform within one over the root of the fan in."""

from __future__ import annotations

import math
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike

from .._arguments import read_int
from .module import Array

__all__: list[str] = []


def read_size(where: str, name: str, value: SupportsIndex) -> int:
    """A number of channels, groups or features."""
    number = read_int(where, name, value)
    if number < 1:
        raise ValueError(f"{where}: {name} must be >= 1, got {number}")
    return number


def weight_and_bias(
    shape: tuple[int, ...], outputs: int, bias: bool, dtype: DTypeLike, rng: Any
) -> tuple[Array, Array | None]:
    """A weight of this shape, and a bias of so many outputs if one is wanted.

    The fan in is what torch counts: the elements of a weight along all axes but its first, though
    of a transposed convolution the first is that of its inputs.
    """
    rng = np.random.default_rng(rng)
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    weight = rng.uniform(-bound, bound, shape).astype(dtype)
    return weight, rng.uniform(-bound, bound, outputs).astype(dtype) if bias else None
