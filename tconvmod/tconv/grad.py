"""The gradients of convolutions and transposed convolutions.

A transposed convolution is the gradient of a convolution with respect to its input, so most of
these functions are other names of what the package does anyway:

=================================  ==========================================
gradient of                        is, on `grad_output` and the same weight
=================================  ==========================================
`tconv.conv2d`, input              `tconv.conv_transpose2d`
`tconv.conv_transpose2d`, input    `tconv.conv2d`
either one, weight                 the products of what the kernel joined
=================================  ==========================================

All are linear in each of their two arrays, and their own gradients are among them and the forward
functions again, so one can differentiate as often as one likes.

>>> import numpy as np, tconv
>>> g, w = np.ones((1, 2, 3, 3)), np.ones((2, 4, 3, 3))
>>> g_input = tconv.grad.conv2d_input((1, 4, 5, 5), w, g)
>>> np.array_equal(g_input, tconv.conv_transpose2d(g, w))
True
"""

from __future__ import annotations

import numpy as np

from ._core import (
    conv1d_input,
    conv1d_weight,
    conv2d_input,
    conv2d_weight,
    conv3d_input,
    conv3d_weight,
    conv_transpose1d_input,
    conv_transpose1d_weight,
    conv_transpose2d_input,
    conv_transpose2d_weight,
    conv_transpose3d_input,
    conv_transpose3d_weight,
)

__all__ = [
    "bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
]


def bias(grad_output, *, layout=None):
    """Gradient of any convolution with respect to its bias.

    Parameters
    ----------
    grad_output : array_like
        The gradient with respect to the output, (N, C, *spatial).
    layout : str, optional
        The order of the axes, such as ``"NHWC"``, or ``"CHW"`` for a single sample.

    Returns
    -------
    ndarray
        (C,): the sum over the batch and all positions.

    Examples
    --------
    >>> import numpy as np, tconv
    >>> tconv.grad.bias(np.ones((2, 3, 5, 5)))
    array([50., 50., 50.])
    """
    g = np.asarray(grad_output)
    names = "NCDHW"[: g.ndim] if layout is None else layout
    if len(names) != g.ndim or names.count("C") != 1:
        raise ValueError(
            f"bias: layout must name the axes of grad_output, one of them C, got {layout!r} "
            f"for shape {g.shape}"
        )
    channel = names.index("C")
    return g.sum(axis=tuple(axis for axis in range(g.ndim) if axis != channel))
