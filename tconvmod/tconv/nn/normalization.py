"""Batch normalization.

With m elements a channel, their mean and variance, and the scale a = weight / sqrt(var + eps):

    forward     c = x - mean,  y = a*c + bias
    backward    gx = a*(gy - sum(gy)/m - c * sum(gy*c) / (m*(var + eps)))

The two terms subtracted are what the mean and the variance pass on: a gradient that is constant in
a channel, or in proportion to c (but for eps), changes nothing before the normalization.

Source: S. Ioffe, C. Szegedy, Batch normalization: accelerating deep network training by reducing
internal covariate shift, arXiv:1502.03167 (2015).
"""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
from numpy.typing import DTypeLike

from .. import grad
from .initial import read_size
from .module import Array, Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _BatchNorm(Module):
    parameter_names = ("weight", "bias")
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    ndims: tuple[int, ...]

    def __init__(
        self,
        num_features: SupportsIndex,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        n = self.num_features = read_size(type(self).__name__, "num_features", num_features)
        self.eps, self.momentum, self.layout = eps, momentum, layout
        self.weight = np.ones(n, dtype) if affine else None
        self.bias = np.zeros(n, dtype) if affine and bias else None
        self.running_mean = np.zeros(n, dtype) if track_running_stats else None
        self.running_var = np.ones(n, dtype) if track_running_stats else None
        self.num_batches_tracked = np.array(0) if track_running_stats else None

    # ---- arrays of three axes: (N, C, L), or (1, N*L, C) where the channels are last ----

    @property
    def _last(self) -> bool:
        return self.layout is not None and self.layout.endswith("C")

    def _flat(self, name: str, x: Array) -> Array:
        x = np.asarray(x)
        channel = -1 if self._last else 1
        if x.ndim not in self.ndims or x.shape[channel] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: {name} must have {' or '.join(map(str, self.ndims))} "
                f"dimensions and {self.num_features} channels on axis {channel}, got {x.shape}"
            )
        if self._last:
            return x.reshape(1, -1, self.num_features)
        return x.reshape(len(x), self.num_features, -1)

    def _vector(self, v: Array) -> Array:
        return v if self._last else v[:, None]

    def _sum(self, x: Array) -> Array:
        return grad.bias(x, layout="NLC" if self._last else "NCL")

    def _sum_of_products(self, x: Array, y: Array) -> Array:
        return np.einsum("nlc,nlc->c" if self._last else "ncl,ncl->c", x, y)

    # ---- running ----

    def forward(self, input: Array) -> Array:
        x = self._flat("input", input)
        m = x.size // self.num_features
        if self.training and m < 2:
            raise ValueError(
                f"{type(self).__name__}: a channel must have more than one element in training, "
                f"got input {np.shape(input)}"
            )
        if self.training or self.running_mean is None or self.running_var is None:
            mean = self._sum(x) / m
            centred = x - self._vector(mean)
            var = self._sum_of_products(centred, centred) / m
            self._track(mean, var * (m / max(m - 1, 1)))
        else:
            centred, var = x - self._vector(self.running_mean), self.running_var
        inverse = 1 / np.sqrt(var + self.eps)
        scale = inverse if self.weight is None else inverse * self.weight
        y = centred * self._vector(scale)
        if self.bias is not None:
            y += self._vector(self.bias)
        if self.training:
            self._kept = centred, inverse, scale
        return y.reshape(np.shape(input))

    def _track(self, mean: Array, var: Array) -> None:
        count = self.num_batches_tracked
        if not self.training or count is None:
            return
        count += 1
        share = 1 / int(count) if self.momentum is None else self.momentum
        for running, new in ((self.running_mean, mean), (self.running_var, var)):
            running += share * (new - running)  # type: ignore[operator]

    def backward(
        self, grad_output: Array, *, input: bool = True, parameters: bool = True
    ) -> Array | None:
        centred, inverse, scale = self._recall()
        gy = self._flat("grad_output", grad_output)
        m = gy.size // self.num_features
        of_sum, of_products = self._sum(gy), self._sum_of_products(gy, centred)
        if parameters and self.weight is not None:
            self._add_gradient("weight", of_products * inverse)
        if parameters and self.bias is not None:
            self._add_gradient("bias", of_sum)
        if not input:
            return None
        gx = centred * self._vector(-of_products * inverse * inverse / m)
        gx += gy
        gx -= self._vector(of_sum / m)
        gx *= self._vector(scale)
        return gx.reshape(np.shape(grad_output))

    # ---- in words ----

    def extra_repr(self) -> str:
        words = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"
        words += f", affine={self.weight is not None}, bias={self.bias is not None}"
        words += f", track_running_stats={self.num_batches_tracked is not None}"
        return words + ("" if self.layout is None else f", layout={self.layout}")


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L); parameters as of `BatchNorm2d`."""

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalization of (N, C, H, W): each channel with mean 0 and variance 1.

    In training with the mean and the variance of the batch, and otherwise with averages of those.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    momentum : float or None
        The share of a batch in the running averages; None gives all batches the same share.
    affine : bool
        Whether a weight and a bias for each channel follow.
    track_running_stats : bool
        Whether there are running averages.
    bias : bool
        Whether the bias is among what `affine` says.
    layout : str, optional
        ``"NHWC"`` for channels last.
    dtype : dtype_like

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> layer = nn.BatchNorm1d(1)
    >>> layer(np.array([[1.0], [2.0], [3.0]])).round(3).ravel()
    array([-1.225,  0.   ,  1.225])
    >>> layer.running_mean, layer.running_var, layer.num_batches_tracked
    (array([0.2], dtype=float32), array([1.], dtype=float32), array(1))
    """

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalization of (N, C, D, H, W); parameters as of `BatchNorm2d`."""

    ndims = (5,)
