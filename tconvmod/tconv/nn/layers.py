"""Layers without a kernel: products with a matrix, and other shapes of the same elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike

from .._arguments import read_int
from .initial import read_size, weight_and_bias
from .module import Array, Module

__all__ = ["Flatten", "Linear", "Unflatten"]


class Linear(Module):
    """``x @ weight.T + bias`` over the last axis.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        Whether there is a bias.
    dtype : dtype_like
    rng : int or numpy.random.Generator, optional
        Draws the weight and the bias, each uniformly within ``1 / sqrt(in_features)``.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> layer = nn.Linear(2, 3)
    >>> layer.weight.shape, layer(np.ones((5, 2), np.float32)).shape
    ((3, 2), (5, 3))
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        in_features: SupportsIndex,
        out_features: SupportsIndex,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = read_size("Linear", "in_features", in_features)
        self.out_features = read_size("Linear", "out_features", out_features)
        shape = (self.out_features, self.in_features)
        self.weight, self.bias = weight_and_bias(shape, self.out_features, bias, dtype, rng)

    def forward(self, input: Array) -> Array:
        input = np.asarray(input)
        if self.training:
            self._kept = input
        output = input @ self.weight.T
        if self.bias is not None:
            output += self.bias
        return output

    def backward(
        self, grad_output: Array, *, input: bool = True, parameters: bool = True
    ) -> Array | None:
        x = self._recall()
        if parameters:
            gy = grad_output.reshape(-1, self.out_features)
            self._add_gradient("weight", gy.T @ x.reshape(-1, self.in_features))
            if self.bias is not None:
                self._add_gradient("bias", gy.sum(0))
        return grad_output @ self.weight if input else None

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class _Reshaping(Module):
    def forward(self, input: Array) -> Array:
        input = np.asarray(input)
        if self.training:
            self._kept = input.shape
        return input.reshape(self._shape(input.shape))

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        raise NotImplementedError

    def backward(
        self, grad_output: Array, *, input: bool = True, parameters: bool = True
    ) -> Array | None:
        return grad_output.reshape(self._recall()) if input else None


class Flatten(_Reshaping):
    """The axes from `start_dim` to `end_dim` as one.

    Parameters
    ----------
    start_dim, end_dim : int

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> nn.Flatten()(np.ones((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self, start_dim: SupportsIndex = 1, end_dim: SupportsIndex = -1) -> None:
        super().__init__()
        self.start_dim = read_int("Flatten", "start_dim", start_dim)
        self.end_dim = read_int("Flatten", "end_dim", end_dim)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        start, end = (dim % len(shape) for dim in (self.start_dim, self.end_dim))
        return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(_Reshaping):
    """One axis as several.

    Parameters
    ----------
    dim : int
    unflattened_size : sequence of int
        The lengths of the new axes; one of them may be -1.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> nn.Unflatten(1, (3, 4, 5))(np.ones((2, 60))).shape
    (2, 3, 4, 5)
    """

    def __init__(self, dim: SupportsIndex, unflattened_size: Sequence[SupportsIndex]) -> None:
        super().__init__()
        self.dim = read_int("Unflatten", "dim", dim)
        self.unflattened_size = tuple(
            read_int("Unflatten", "unflattened_size", size) for size in unflattened_size
        )

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        dim = self.dim % len(shape)
        return (*shape[:dim], *self.unflattened_size, *shape[dim + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
