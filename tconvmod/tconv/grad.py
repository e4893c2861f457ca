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

from ._core import (
    bias,
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
