"""The operations of tconv in HIPS autograd, to be differentiated as often as one likes.

The functions take arrays in the place of ``autograd.numpy`` ones and are primitives: autograd
differentiates them by calling each other, in reverse and in forward mode. They have the names and
the order of arguments of `tconv` and `tconv.grad`, with the keywords that make sense there.
``pip install 'tconv[autograd]'`` brings autograd.

>>> import autograd, autograd.numpy as np
>>> import tconv.autograd as ta
>>> x, w = np.ones((1, 1, 3)), np.array([[[1.0, 2.0]]])
>>> def energy(w):
...     return np.sum(ta.conv_transpose1d(x, w, stride=2) ** 2)
>>> autograd.grad(energy)(w)
array([[[ 6., 12.]]])

A penalty on the norm of a gradient, as in Wasserstein GANs, needs the gradient of a gradient:

>>> def penalty(w):
...     slope = autograd.grad(lambda x: np.sum(np.tanh(ta.conv1d(x, w))))(x)
...     return (np.sqrt(np.sum(slope**2)) - 1) ** 2
>>> autograd.grad(penalty)(w).shape
(1, 1, 2)
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp  # type: ignore[import-untyped]
import numpy as np
from autograd.extend import (  # type: ignore[import-untyped]
    def_linear,
    defjvp,
    defvjp,
    primitive,
)

from . import _core
from ._arguments import default_layout
from ._trilinear import Trilinear, bridge, others

__all__ = [
    "bias",
    "conv1d",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "conv3d",
    "conv3d_input",
    "conv3d_weight",
    "conv_transpose1d",
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
]


# ---- the primitives ----


# autograd makes gradients in float64 of what is float32; they are computed with, and given, in the
# dtype of the arrays that the function was called with.


@primitive
def _contract(first: Any, second: Any, form: Trilinear, role: str, dtype: Any = None) -> Any:
    return form.compute(role, np.asarray(first, dtype), np.asarray(second, dtype))


def _of_contract(argnum: int) -> Any:
    """The gradient with respect to one of the two arrays, made of the other one."""

    def make(
        ans: Any, first: Any, second: Any, form: Trilinear, role: str, dtype: Any = None
    ) -> Any:
        names = others(role)
        known = {names[1 - argnum]: (first, second)[1 - argnum]}

        def vjp(g: Any) -> Any:
            arrays = {**known, role: g}
            return _contract(*_ordered(names[argnum], arrays), form, names[argnum], ans.dtype)

        return vjp

    return make


def _ordered(role: str, arrays: dict[str, Any]) -> tuple[Any, Any]:
    first, second = (arrays[other] for other in others(role))
    return first, second


defvjp(_contract, _of_contract(0), _of_contract(1))
def_linear(_contract)


@primitive
def _affine(input: Any, weight: Any, bias: Any, form: Trilinear) -> Any:
    return form.compute("output", input, weight, bias)


defvjp(
    _affine,
    lambda ans, x, w, b, form: lambda g: _contract(w, g, form, "input", ans.dtype),
    lambda ans, x, w, b, form: lambda g: _contract(x, g, form, "weight", ans.dtype),
    lambda ans, x, w, b, form: lambda g: _sum(g, form.output_layout(ans.ndim), ans.dtype),
)
defjvp(
    _affine,
    lambda g, ans, x, w, b, form: _contract(g, w, form, "output", ans.dtype),
    lambda g, ans, x, w, b, form: _contract(x, g, form, "output", ans.dtype),
    lambda g, ans, x, w, b, form: _spread(g, ans.shape, form.output_layout(ans.ndim)),
)


@primitive
def _sum(grad_output: Any, layout: str, dtype: Any = None) -> Any:
    return _core.bias(np.asarray(grad_output, dtype), layout=layout)


def _spread(vector: Any, shape: tuple[int, ...], layout: str) -> Any:
    """An output's shape, with the channel's value everywhere: what `bias` is the transpose of."""
    channel = layout.index("C")
    ones = [-1 if axis == channel else 1 for axis in range(len(shape))]
    return anp.reshape(vector, ones) * np.ones(shape, vector.dtype)


defvjp(_sum, lambda ans, gy, layout, dtype=None: lambda g: _spread(g, gy.shape, layout))
def_linear(_sum)


# ---- the functions ----


def bias(grad_output: Any, *, layout: str | None = None) -> Any:
    """`tconv.grad.bias`: the sum over batch and positions, (out,)."""
    ndim = np.ndim(grad_output)
    return _sum(grad_output, layout or default_layout(max(ndim - 2, 1), batched=ndim > 2))


def _apply(form: Trilinear, role: str, first: Any, second: Any, bias: Any) -> Any:
    if bias is None:
        return _contract(first, second, form, role)
    return _affine(first, second, bias, form)


def _bridge(name: str) -> Any:
    return bridge(name, "arrays that autograd follows", _apply)


conv1d = _bridge("conv1d")
conv1d_input = _bridge("conv1d_input")
conv1d_weight = _bridge("conv1d_weight")
conv2d = _bridge("conv2d")
conv2d_input = _bridge("conv2d_input")
conv2d_weight = _bridge("conv2d_weight")
conv3d = _bridge("conv3d")
conv3d_input = _bridge("conv3d_input")
conv3d_weight = _bridge("conv3d_weight")
conv_transpose1d = _bridge("conv_transpose1d")
conv_transpose1d_input = _bridge("conv_transpose1d_input")
conv_transpose1d_weight = _bridge("conv_transpose1d_weight")
conv_transpose2d = _bridge("conv_transpose2d")
conv_transpose2d_input = _bridge("conv_transpose2d_input")
conv_transpose2d_weight = _bridge("conv_transpose2d_weight")
conv_transpose3d = _bridge("conv_transpose3d")
conv_transpose3d_input = _bridge("conv_transpose3d_input")
conv_transpose3d_weight = _bridge("conv_transpose3d_weight")
