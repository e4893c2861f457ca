"""The orders in which frameworks keep the axes of a kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._arguments import read_array
from .module import Array

__all__ = ["convert_weight"]

_ORDERS = ("torch", "onnx", "keras", "jax")


def convert_weight(
    weight: ArrayLike, source: str, target: str, *, transposed: bool = False
) -> Array:
    """A weight of one framework in the order of another.

    Parameters
    ----------
    weight : array_like
    source, target : str
        "torch" (the order of this package), "onnx", "keras" or "jax".
    transposed : bool
        Whether it is the weight of a transposed convolution.

    Returns
    -------
    ndarray
        A view of `weight`: the functions and layers of this package take any strides.

    Notes
    -----
    =========  =======================  ======================================
    order      convolution              transposed convolution
    =========  =======================  ======================================
    torch      (out, in/groups, k)      (in, out/groups, k)
    onnx       (out, in/groups, k)      (in, out/groups, k)
    keras      (k, in/groups, out)      (k, out, in)
    jax        (k, in/groups, out)      (k, in, out), the kernel reversed
    =========  =======================  ======================================

    where k stands for the kernel's axes.

    That of jax is the kernel of ``flax.linen.ConvTranspose`` and of ``jax.lax.conv_transpose``,
    which convolve a spaced-out input with the kernel as it is; with ``transpose_kernel=True`` they
    use the order of keras. The padding "SAME" of all these is ``padding="same"`` here.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> kernel = np.zeros((5, 4, 3, 8), np.float32)           # height, width, out, in
    >>> nn.convert_weight(kernel, "keras", "torch", transposed=True).shape
    (8, 3, 5, 4)
    """
    w = read_array("convert_weight", "weight", weight)
    if w.ndim not in (3, 4, 5):
        raise ValueError(f"convert_weight: weight must have 3 to 5 dimensions, got {w.ndim}")
    for name, order in (("source", source), ("target", target)):
        if order not in _ORDERS:
            raise ValueError(
                f"convert_weight: {name} must be one of {', '.join(_ORDERS)}, got {order!r}"
            )
    rank = w.ndim - 2
    kernel = tuple(range(2, w.ndim))
    if source == "keras" or (source == "jax" and not transposed):
        w = w.transpose(rank + 1, rank, *range(rank))
    elif source == "jax":
        w = np.flip(w.transpose(rank, rank + 1, *range(rank)), kernel)
    if target == "keras" or (target == "jax" and not transposed):
        w = w.transpose(*kernel, 1, 0)
    elif target == "jax":
        w = np.flip(w, kernel).transpose(*kernel, 0, 1)
    return w
