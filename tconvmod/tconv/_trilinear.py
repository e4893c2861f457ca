"""Input, weight and output of a convolution: each gradient is made of the other two.

A convolution or a transposed one, times a gradient of its output, is one sum of products of three,

    T(x, w, y) = sum of  large[u] * w[k] * small[v]  over all  u = s*v + d*k - p

with x and y as the two sides. The function that computes the output is T without y; the gradients
with respect to input and weight are T without x and T without w. So they have each other as
gradients: where a function computes the third array from two, its gradient with respect to one of
them is computed from the other one and the gradient of the result, which takes the place of the
third. That function is again one of the three, and so on to any order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from ._arguments import default_layout
from .explanation import explain

__all__: list[str] = []

ROLES = ("input", "weight", "output")


def others(role: str) -> tuple[str, str]:
    """The two that this one is computed from, in the order of the functions' arguments."""
    first, second = (other for other in ROLES if other != role)
    return first, second


class Trilinear:
    """One operation with its options, for arrays of these shapes.

    Attributes
    ----------
    op : str
        The forward operation, such as ``"conv2d"``.
    input_shape, weight_shape : sequence of int
        The former may be None in a transposed convolution: it follows from the others.
    options : dict
        Keyword arguments of the operation and of its gradients alike: an output size has become
        an output padding.
    """

    def __init__(
        self,
        op: str,
        input_shape: Sequence[int] | None,
        weight_shape: Sequence[int],
        options: Mapping[str, Any],
        output_size: Any = None,
    ) -> None:
        self.op, self.options = op, dict(options)
        self.input_shape, self.weight_shape = input_shape, weight_shape
        if input_shape is not None and output_size is not None:
            wanted = {**options, "output_padding": 0, "output_size": output_size}
            facts = explain(op, input_shape, weight_shape, **wanted)
            self.options["output_padding"] = facts.output_padding

    def compute(self, role: str, first: Any, second: Any, *bias: Any, **more: Any) -> Any:
        """The array of this role from the `others`, and from a bias if it is the output."""
        if role == "output":
            return getattr(_core, self.op)(first, second, *bias, **self.options, **more)
        if role == "input":
            arguments = (self.input_shape, first, second)
        else:
            arguments = (first, self.weight_shape, second)
        return getattr(_core, f"{self.op}_{role}")(*arguments, **self.options, **more)

    def output_layout(self, ndim: int) -> str:
        """The order of the axes of an output of so many."""
        layout = self.options.get("layout")
        if layout is not None:
            return layout.rpartition("->")[2]
        rank = len(self.weight_shape) - 2
        return default_layout(rank, batched=ndim == rank + 2)

    def bias_gradient(self, grad_output: Any, **more: Any) -> Any:
        """The sum over batch and positions."""
        return _core.bias(grad_output, layout=self.output_layout(np.ndim(grad_output)), **more)


# ---- for arrays of other libraries ----

_ARGUMENTS = {"input": "input", "weight": "weight", "output": "grad_output"}

# Arguments of the functions that have no meaning, or no gradient, there.
_LEFT_OUT = frozenset({"activation", "out", "accumulate", "out_dtype"})

_DOC = """`{package}.{name}` of {kind}, to be differentiated as often as wanted.

The arguments are those of `{package}.{name}`, by position or by name, but for `activation`, `out`,
`accumulate` and `out_dtype`.
"""


def bridge(name: str, kind: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `tconv` or `tconv.grad` for another library's arrays, of this kind.

    Calls ``apply(form, role, first, second, bias)``, which has to do ``form.compute`` and to tell
    the library how that is differentiated.
    """
    op = name.removesuffix("_input").removesuffix("_weight")
    role = name[len(op) + 1 :] or "output"
    signature = inspect.signature(getattr(_core, name))
    kept = [p for p in signature.parameters.values() if p.name not in _LEFT_OUT]
    signature = signature.replace(parameters=kept)

    def function(*arguments: Any, **keywords: Any) -> Any:
        given = signature.bind(*arguments, **keywords).arguments
        arrays = {r: given.pop(_ARGUMENTS[r]) for r in others(role)}
        x_shape, w_shape = (
            np.shape(arrays[r]) if r in arrays else given.pop(f"{r}_size")
            for r in ("input", "weight")
        )
        bias, output_size = given.pop("bias", None), given.pop("output_size", None)
        form = Trilinear(op, x_shape, w_shape, given, output_size)
        return apply(form, role, *arrays.values(), bias)

    function.__name__ = function.__qualname__ = name
    function.__signature__ = signature  # type: ignore[attr-defined]
    package = "tconv" if role == "output" else "tconv.grad"
    function.__doc__ = _DOC.format(package=package, name=name, kind=kind)
    return function
