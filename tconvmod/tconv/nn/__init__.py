"""Layers to build generators and decoders from, and to train them: on NumPy, without a framework.

One step of training an autoencoder, and what it has learnt:

>>> import numpy as np
>>> from tconv import nn
>>> rng = np.random.default_rng(0)
>>> net = nn.Sequential(
...     nn.Conv2d(1, 8, 4, stride=2, padding=1, rng=rng),             # (N, 1, 8, 8) -> (N, 8, 4, 4)
...     nn.LeakyReLU(0.2),
...     nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1, rng=rng),    # and back
...     nn.Sigmoid(),
... )
>>> optimizer = nn.Adam(net, lr=1e-2)
>>> images = np.tri(8, dtype=np.float32)[None, None]                  # a batch
>>> def step(images):
...     optimizer.zero_grad()
...     error = net(images) - images
...     net.backward(2 * error / error.size, input=False)             # of the mean of the squares
...     optimizer.step()
...     return np.mean(error**2)
>>> losses = [step(images) for _ in range(100)]
>>> bool(losses[-1] < losses[0] / 5)
True
>>> net.eval()(images).shape                                          # out of training: plans
(1, 1, 8, 8)

Constructors, initial values, `repr` and the names in a state dict are torch's, so that weights go
from one to the other (``pip install 'tconv[nn]'`` brings safetensors, the format of `Module.save`).

* A layer is called, and `Module.backward` takes the gradient with respect to its output and gives
  the one with respect to its input. It belongs to the last call, of which the layer keeps what it
  needs; none of that may be changed in between.
* ``parameters()``, ``grads`` and ``state_dict()`` are dicts of arrays with the same names, such as
  ``"0.weight"``. ``backward`` adds to ``grads``; ``zero_grad`` forgets them.
* Where a loss goes through another network, that one's own gradients are not wanted:
  ``generator.backward(discriminator.backward(g, parameters=False), input=False)``.
"""

from .activations import Activation, LeakyReLU, ReLU, Sigmoid, Tanh
from .convert import convert_weight
from .convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    Convolution,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from .layers import Flatten, Linear, Unflatten
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from .optim import SGD, Adam
from .sequential import Sequential

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Convolution",
    "Flatten",
    "LeakyReLU",
    "Linear",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "Unflatten",
    "convert_weight",
]
