"""Folding what follows a convolution into its weights, for inference."""

from __future__ import annotations

from numbers import Real
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import read_array, read_int

__all__ = ["fuse_conv_bn"]

_KERNELS = {3: "k", 4: "kH, kW", 5: "kD, kH, kW"}


def fuse_conv_bn(
    weight: ArrayLike,
    bias: ArrayLike | None,
    mean: ArrayLike,
    var: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    eps: float = 1e-5,
    *,
    transposed: bool = False,
    groups: SupportsIndex = 1,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Fold a batch normalization into the convolution before it.

    The convolution with the new weight and bias gives what the old one gives after
    ``gamma * (y - mean) / sqrt(var + eps) + beta``, channel by channel.

    Parameters
    ----------
    weight : array_like
        Of a convolution ``(Co, Ci/groups, *kernel)``, of a transposed one
        ``(Ci, Co/groups, *kernel)``; float32 or float64.
    bias : array_like or None
        (Co,); None stands for zeros.
    mean, var : array_like
        (Co,), the running statistics: torch's ``running_mean`` and ``running_var``.
    gamma, beta : array_like, optional
        (Co,), scale and shift: torch's ``weight`` and ``bias``. By default 1 and 0.
    eps : float
        Added to `var`.
    transposed : bool
        Whether the convolution is a transposed one.
    groups : int
        The groups of the convolution.

    Returns
    -------
    weight, bias : ndarray
        New arrays in the dtype of `weight`.

    Raises
    ------
    TypeError
        For arguments of the wrong type and unsupported dtypes.
    ValueError
        For shapes that do not fit together, and where ``var + eps`` is not positive.

    Notes
    -----
    With ``scale = gamma / sqrt(var + eps)`` the new weight is the old one times the scale of its
    output channel, and the new bias is ``(bias - mean) * scale + beta``. The normalization is that
    of S. Ioffe, C. Szegedy, Batch normalization: accelerating deep network training by reducing
    internal covariate shift, arXiv:1502.03167 (2015).

    Output channels are the first axis of a convolution's weight. In the weight of a transposed
    convolution they lie on two axes: channel ``g * Co/groups + j`` is column j of the rows of
    group g.

    The arithmetic is that of float64, rounded once to the dtype of the weight.

    Examples
    --------
    >>> import numpy as np, tconv
    >>> x = np.array([[[1, 2, 3]]], np.float32)
    >>> w = np.array([[[1, 10], [1, 1]]], np.float32)              # in, out, kernel
    >>> mean, var = [30, 2], [99, 3]
    >>> fused, bias = tconv.fuse_conv_bn(w, None, mean, var, eps=1, transposed=True)
    >>> tconv.conv_transpose1d(x, fused, bias)
    array([[[-2.9, -1.8, -0.7,  0. ],
            [-0.5,  0.5,  1.5,  0.5]]], dtype=float32)
    """
    w = _weight(weight)
    groups = _groups(groups)
    if not isinstance(eps, Real):
        raise TypeError(f"fuse_conv_bn: eps must be a real number, got {type(eps).__name__}")
    given = {"bias": bias, "mean": mean, "var": var, "gamma": gamma, "beta": beta}
    vectors = {
        name: _real_array(name, value)
        for name, value in given.items()
        if value is not None or name in ("mean", "var")
    }
    shapes = _shapes(w, vectors, transposed, groups)
    channels = _output_channels(w, transposed, groups, shapes)
    for name, vector in vectors.items():
        if vector.shape != (channels,):
            raise ValueError(
                f"fuse_conv_bn: {name} must have shape ({channels},), one element an output "
                f"channel, got {vector.shape}. {shapes}"
            )
    v = {name: vector.astype(np.float64) for name, vector in vectors.items()}
    spread = v["var"] + float(eps)
    if not np.all(spread > 0):
        channel = np.argmin(spread > 0)
        raise ValueError(
            f"fuse_conv_bn: var + eps must be > 0, got {v['var'][channel]} + {eps} "
            f"(channel {channel}). {shapes}"
        )
    scale = v.get("gamma", 1.0) / np.sqrt(spread)
    shift = (v.get("bias", 0.0) - v["mean"]) * scale + v.get("beta", 0.0)
    dtype = w.dtype.newbyteorder("=")
    return _scaled(w, scale, transposed, groups).astype(dtype), shift.astype(dtype)


def _scaled(w: NDArray[Any], scale: NDArray[Any], transposed: bool, groups: int) -> NDArray[Any]:
    """The weight, each output channel times its scale, in float64."""
    of_kernel = (1,) * (w.ndim - 2)
    scaled: NDArray[Any]
    if transposed:
        by_group = w.reshape(groups, -1, *w.shape[1:])
        scaled = (by_group * scale.reshape(groups, 1, -1, *of_kernel)).reshape(w.shape)
    else:
        scaled = w * scale.reshape(-1, 1, *of_kernel)
    return scaled


# ---- arguments ----


def _real_array(name: str, value: Any) -> NDArray[Any]:
    array = read_array("fuse_conv_bn", name, value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"fuse_conv_bn: {name} must be real numbers, got dtype {array.dtype}")
    return array


def _weight(weight: Any) -> NDArray[Any]:
    array = _real_array("weight", weight)
    if array.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise TypeError(
            f"fuse_conv_bn: weight has dtype {array.dtype}, which is not supported (float32 and "
            "float64 are); convert it, as in np.asarray(weight, 'float32')"
        )
    return array


def _groups(groups: SupportsIndex) -> int:
    number = read_int("fuse_conv_bn", "groups", groups)
    if number < 1:
        raise ValueError(f"fuse_conv_bn: groups must be >= 1, got {number}")
    return number


def _shapes(
    w: NDArray[Any], vectors: dict[str, NDArray[Any]], transposed: bool, groups: int
) -> str:
    """What was given, for the end of a message."""
    axes = f" [{_axes(transposed)}, {_KERNELS[w.ndim]}]" if w.ndim in _KERNELS else ""
    named = "".join(f"{name} {vector.shape}, " for name, vector in vectors.items())
    return f"Got weight {w.shape}{axes}, {named}groups={groups}."


def _axes(transposed: bool) -> str:
    return "in, out/groups" if transposed else "out, in/groups"


def _output_channels(w: NDArray[Any], transposed: bool, groups: int, shapes: str) -> int:
    if w.ndim not in _KERNELS:
        raise ValueError(
            f"fuse_conv_bn: weight must have 3 to 5 dimensions ({_axes(transposed)}, *kernel), "
            f"got {w.ndim}. {shapes}"
        )
    if 0 in w.shape:
        raise ValueError(f"fuse_conv_bn: weight must not have an axis of length 0. {shapes}")
    if w.shape[0] % groups:
        channels = "input" if transposed else "output"
        raise ValueError(
            f"fuse_conv_bn: the number of {channels} channels must be divisible by groups, "
            f"got {w.shape[0]} and {groups}. {shapes}"
        )
    return int(w.shape[1] * groups if transposed else w.shape[0])
