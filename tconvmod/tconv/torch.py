"""The operations of tconv for tensors of torch, to be differentiated as often as one likes.

The functions have the names and the order of arguments of ``torch.nn.functional``, whose place they
take where that is slow, and beyond them the keywords of `tconv`: `layout`, `padding` by rule and
for each side, `padding_mode`. The gradients are there under the names of `tconv.grad`. Tensors are
read where they are, on the CPU, whatever their strides, and the tensor returned is what the kernel
has filled: nothing is copied. Reverse mode, forward mode, ``torch.func.grad`` and ``jvp`` go
through. ``pip install 'tconv[torch]'`` brings torch.

>>> import torch, tconv.torch
>>> x = torch.arange(3.0).reshape(1, 1, 3)
>>> w = torch.tensor([[[1.0, 10.0]]], requires_grad=True)
>>> y = tconv.torch.conv_transpose1d(x, w, stride=2)
>>> y
tensor([[[ 0.,  0.,  1., 10.,  2., 20.]]], grad_fn=<_ContractBackward>)
>>> y.sum().backward()
>>> w.grad
tensor([[[3., 3.]]])

To have a module of torch compute with them, replace its function in ``forward``:

>>> class Upsampling(torch.nn.ConvTranspose1d):
...     def forward(self, input):
...         return tconv.torch.conv_transpose1d(
...             input, self.weight, self.bias, self.stride, self.padding, self.output_padding,
...             self.groups, self.dilation,
...         )
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ._trilinear import Trilinear, bridge, others

__all__ = [
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


# ---- memory ----


def _array(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory as an array."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    import ml_dtypes

    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """The array's memory as a tensor."""
    if array.dtype.name != "bfloat16":
        return torch.from_numpy(array)
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)


# ---- what torch's autograd sees ----


class _Contract(torch.autograd.Function):
    @staticmethod
    def forward(first: Any, second: Any, form: Trilinear, role: str) -> torch.Tensor:
        return _tensor(form.compute(role, _array(first), _array(second)))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: torch.Tensor) -> None:
        *arrays, ctx.form, ctx.role = inputs
        ctx.save_for_backward(*arrays)
        ctx.save_for_forward(*arrays)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> Any:
        names = others(ctx.role)
        arrays = dict(zip(names, ctx.saved_tensors, strict=True))
        return (*_gradients(ctx, arrays, ctx.role, *grad_outputs), None, None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return _tangent(ctx, ctx.role, tangents[0], tangents[1])


class _Affine(torch.autograd.Function):
    """The output, with a bias."""

    @staticmethod
    def forward(input: Any, weight: Any, bias: Any, form: Trilinear) -> torch.Tensor:
        return _tensor(form.compute("output", *map(_array, (input, weight, bias))))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: torch.Tensor) -> None:
        input, weight, _, ctx.form = inputs
        ctx.channel = ctx.form.output_layout(output.ndim).index("C")
        ctx.shape = output.shape
        ctx.save_for_backward(input, weight)
        ctx.save_for_forward(input, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> Any:
        arrays = dict(zip(others("output"), ctx.saved_tensors, strict=True))
        gradients = _gradients(ctx, arrays, "output", *grad_outputs)
        of_bias = None
        if ctx.needs_input_grad[2]:
            (grad_output,) = grad_outputs
            axes = [axis for axis in range(grad_output.ndim) if axis != ctx.channel]
            of_bias = grad_output.sum(axes)
        return (*gradients, of_bias, None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        of_input, of_weight, of_bias, _ = tangents
        result = _tangent(ctx, "output", of_input, of_weight)
        if of_bias is None:
            return result
        axes = [-1 if axis == ctx.channel else 1 for axis in range(len(ctx.shape))]
        spread = of_bias.reshape(axes).expand(ctx.shape)
        return spread.clone() if result is None else result + spread


def _gradients(ctx: Any, arrays: dict[str, Any], role: str, grad_output: Any) -> list[Any]:
    """Of the two arrays; torch wants them conjugate to the derivative."""
    known = {**{name: array.conj() for name, array in arrays.items()}, role: grad_output}
    return [
        _Contract.apply(*(known[other] for other in others(name)), ctx.form, name)
        if ctx.needs_input_grad[place]
        else None
        for place, name in enumerate(arrays)
    ]


def _tangent(ctx: Any, role: str, of_first: Any, of_second: Any) -> Any:
    """What changes of the two arrays make of the result; None for no change."""
    first, second = ctx.saved_tensors
    parts = []
    if of_first is not None:
        parts.append(_Contract.apply(of_first, second, ctx.form, role))
    if of_second is not None:
        parts.append(_Contract.apply(first, of_second, ctx.form, role))
    return sum(parts[1:], parts[0]) if parts else None


# ---- the functions ----


def _apply(form: Trilinear, role: str, first: Any, second: Any, bias: Any) -> torch.Tensor:
    given = {**dict(zip(others(role), (first, second), strict=True)), "bias": bias}
    for name, value in given.items():
        if value is not None and not isinstance(value, torch.Tensor):
            raise TypeError(
                f"tconv.torch: {name} must be a tensor of torch, got {type(value).__name__}"
            )
    if bias is None:
        return _Contract.apply(first, second, form, role)
    return _Affine.apply(first, second, bias, form)


def _bridge(name: str) -> Any:
    return bridge(name, "tensors of torch", _apply)


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
