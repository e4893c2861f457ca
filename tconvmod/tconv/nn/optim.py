"""Optimisers: they change the parameters of a module in place, by its gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .module import Array, Module

__all__ = ["SGD", "Adam"]

# So many elements are updated at a time: a piece stays in the cache from its first operation to its
# last.
_PIECE = 16384


class _Optimizer:
    def __init__(self, module: Module, lr: float) -> None:
        self.module, self.lr = module, lr
        self._state: dict[str, tuple[Array, ...]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients: ``module.zero_grad()``."""
        self.module.zero_grad()

    def step(self) -> None:
        """Change each parameter that has a gradient."""
        raise NotImplementedError

    def _pieces(self, states: int) -> Iterator[tuple[Array, ...]]:
        """Parameter, gradient and so many arrays of state, which begin as zeros, in 1-D pieces."""
        parameters = self.module.parameters()
        for name, gradient in self.module.grads.items():
            parameter = parameters[name]
            if name not in self._state:
                self._state[name] = tuple(np.zeros_like(parameter) for _ in range(states))
            flags = [["readwrite"], ["readonly"], *[["readwrite"]] * states]
            with np.nditer(
                (parameter, gradient, *self._state[name]),
                flags=["external_loop", "buffered"],
                op_flags=flags,  # type: ignore[arg-type]
                buffersize=_PIECE,
            ) as pieces:
                yield from pieces


class SGD(_Optimizer):
    """Gradient descent, with momentum if wanted.

    Parameters
    ----------
    module : Module
    lr : float
        The learning rate.
    momentum : float
        The share of the last step's direction in the next one's.
    """

    def __init__(self, module: Module, lr: float = 1e-3, momentum: float = 0.0) -> None:
        super().__init__(module, lr)
        self.momentum = momentum

    def step(self) -> None:
        for w, g, direction in self._pieces(states=1):
            direction *= self.momentum
            direction += g
            w -= self.lr * direction


class Adam(_Optimizer):
    """Adam: steps in proportion to the mean of the gradients over the root of their mean square.

    Parameters
    ----------
    module : Module
    lr : float
        The learning rate.
    betas : tuple of float
        How much of the running means of the gradient and of its square remains in a step.
    eps : float
        Added to the root.

    Notes
    -----
    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, arXiv:1412.6980 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> layer = nn.Linear(1, 1, bias=False, rng=0)
    >>> optimizer = nn.Adam(layer, lr=0.1)
    >>> x = np.ones((1, 1), np.float32)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     _ = layer.backward(2 * (layer(x) - 3))      # of the loss (y - 3)**2
    ...     optimizer.step()
    >>> bool(abs(layer.weight[0, 0] - 3) < 0.1)
    True
    """

    def __init__(
        self,
        module: Module,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(module, lr)
        self.betas, self.eps = betas, eps
        self._steps = 0

    def step(self) -> None:
        self._steps += 1
        beta1, beta2 = self.betas
        rate = self.lr / (1 - beta1**self._steps)
        root = 1 / math.sqrt(1 - beta2**self._steps)
        for w, g, mean, square in self._pieces(states=2):
            mean += (1 - beta1) * (g - mean)
            square += (1 - beta2) * (g * g - square)
            w -= rate * mean / (root * np.sqrt(square) + self.eps)
