"""Activations: functions of each element, whose derivatives are functions of their results."""

from __future__ import annotations

import numpy as np

from .module import Array, Module

__all__ = ["Activation", "LeakyReLU", "ReLU", "Sigmoid", "Tanh"]


class Activation(Module):
    """What the activations share: of a call they keep the result.

    Attributes
    ----------
    in_store : str, tuple or None
        ``activation=`` of the convolutions that has the same bits, if there is one.
    """

    in_store: str | tuple[str, float] | None = None

    def forward(self, input: Array) -> Array:
        return self.keep(self._apply(np.asarray(input)))

    def keep(self, output: Array) -> Array:
        """Take over what a layer has computed with `in_store`; returns it."""
        if self.training:
            self._kept = output
        return output

    def backward(
        self, grad_output: Array, *, input: bool = True, parameters: bool = True
    ) -> Array | None:
        return grad_output * self._derivative(self._recall()) if input else None

    def _apply(self, x: Array) -> Array:
        raise NotImplementedError

    def _derivative(self, y: Array) -> Array:
        """Where the result was `y`."""
        raise NotImplementedError


class ReLU(Activation):
    """``max(x, 0)``."""

    in_store = "relu"

    def _apply(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def _derivative(self, y: Array) -> Array:
        return y > 0


class LeakyReLU(Activation):
    """``x`` where it is positive, ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    negative_slope : float
        From 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> layer = nn.LeakyReLU(0.25)
    >>> layer(np.array([-4.0, 8.0]))
    array([-1.,  8.])
    >>> layer.backward(np.array([1.0, 1.0]))
    array([0.25, 1.  ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        if not 0 <= negative_slope <= 1:
            raise ValueError(f"LeakyReLU: negative_slope must be from 0 to 1, got {negative_slope}")
        self.negative_slope = float(negative_slope)
        self.in_store = ("leaky_relu", self.negative_slope)

    def _apply(self, x: Array) -> Array:
        return np.maximum(x, x * x.dtype.type(self.negative_slope))

    def _derivative(self, y: Array) -> Array:
        return np.maximum(y > 0, y.dtype.type(self.negative_slope))

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Tanh(Activation):
    """The hyperbolic tangent."""

    def _apply(self, x: Array) -> Array:
        return np.tanh(x)

    def _derivative(self, y: Array) -> Array:
        return 1 - y * y


class Sigmoid(Activation):
    """``1 / (1 + exp(-x))``."""

    def _apply(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-x))

    def _derivative(self, y: Array) -> Array:
        return y * (1 - y)
