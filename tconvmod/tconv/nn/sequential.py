"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .activations import Activation
from .convolution import Convolution
from .module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    """Layers one after the other.

    A `ReLU` or `LeakyReLU` that follows a convolution is applied while the outputs are in the
    cache, with the same bits.

    Parameters
    ----------
    *layers : Module
        None of them twice: each keeps what one backward pass needs.

    Examples
    --------
    >>> from tconv import nn
    >>> nn.Sequential(nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1), nn.ReLU())
    Sequential(
      (0): ConvTranspose1d(8, 4, kernel_size=(4,), stride=(2,), padding=(1,))
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        for layer in layers:
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: layers must be Modules, got {type(layer).__name__}")
        if len({id(layer) for layer in layers}) < len(layers):
            raise ValueError("Sequential: a layer may stand at one place only")
        self.layers = layers

    def children(self) -> Iterator[tuple[str, Module]]:
        return ((str(number), layer) for number, layer in enumerate(self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Module:
        found = self.layers[index]
        return Sequential(*found) if isinstance(found, tuple) else found

    def forward(self, input: Any) -> Any:
        number = 0
        while number < len(self.layers):
            layer, after = self.layers[number], (*self.layers[number + 1 :], None)[0]
            number += 1
            if isinstance(layer, Convolution) and isinstance(after, Activation) and after.in_store:
                input = after.keep(layer(input, activation=after.in_store))
                number += 1
            else:
                input = layer(input)
        return input

    def backward(self, grad_output: Any, *, input: bool = True, parameters: bool = True) -> Any:
        for number, layer in reversed(tuple(enumerate(self.layers))):
            grad_output = layer.backward(
                grad_output, input=input or number > 0, parameters=parameters
            )
        return grad_output
