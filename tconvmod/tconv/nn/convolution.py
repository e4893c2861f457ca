"""Convolutions and transposed ones as layers.

In training a layer calls the functions of the package with its weight as it is. Out of training it
keeps a plan, which has the weight packed, and that must not outlive a change of the weight, be it
another array or the same one changed in place. Comparing all elements before each call would take
as long as packing them. Instead the layer has a plan only while nobody else has the arrays: it
drops the plan whenever it gives `weight` or `bias` out or takes another one, and makes one only if
the arrays own their memory and have no other reference. As long as a variable, a view, a buffer or
a tensor refers to them, it calls the functions as in training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike

from .. import _core
from .._arguments import Ints, Padding, read_ints, read_padding
from .._trilinear import Trilinear
from ..functional import per_axis
from . import initial
from .module import Array, Module

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Convolution",
]


# What sys.getrefcount says of an array that one dict alone refers to.
_HOLDER = {"array": np.empty(1)}
_ALONE = sys.getrefcount(_HOLDER["array"])


def _is_alone(layer: Convolution, name: str) -> bool:
    """Whether nobody but the layer could change the array."""
    if layer.__dict__[name] is None:
        return True
    return layer.__dict__[name].flags.owndata and sys.getrefcount(layer.__dict__[name]) <= _ALONE


class _GivenOut:
    """An array of the layer: whoever gets or sets it ends the layer's plan."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, layer: Convolution | None, owner: type) -> Any:
        if layer is None:
            return self
        layer._planned = None
        return layer.__dict__[self.name]

    def __set__(self, layer: Convolution, array: Array | None) -> None:
        layer._planned = None
        layer.__dict__[self.name] = array


class Convolution(Module):
    """What the layers of both families share.

    Attributes
    ----------
    weight : ndarray
        (out, in/groups, kernel), or (in, out/groups, kernel) of a transposed convolution.
    bias : ndarray or None
        (out,)
    in_channels, out_channels, groups : int
    kernel_size, stride, dilation : tuple of int
    output_padding : tuple of int
        Of transposed convolutions.
    padding : str or tuple
    padding_mode : str
    layout : str or None
    """

    rank: int
    family: str
    parameter_names = ("weight", "bias")
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    _planned: tuple[_core.Plan, Any] | None
    weight = _GivenOut()
    bias = _GivenOut()

    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Ints,
        *,
        padding: Padding,
        groups: SupportsIndex,
        bias: bool,
        padding_mode: str,
        layout: str | None,
        dtype: DTypeLike,
        rng: Any,
        **per_axis_options: Ints,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.in_channels = initial.read_size(where, "in_channels", in_channels)
        self.out_channels = initial.read_size(where, "out_channels", out_channels)
        self.groups = initial.read_size(where, "groups", groups)
        self.kernel_size = self._per_axis("kernel_size", kernel_size)
        self.padding = self._per_axis("padding", padding, read_padding)
        self.padding_mode, self.layout = padding_mode, layout
        for name, value in per_axis_options.items():
            setattr(self, name, self._per_axis(name, value))
        self.weight, self.bias = initial.weight_and_bias(
            self._weight_shape(), self.out_channels, bias, dtype, rng
        )
        self.plan()  # refuses what the options may not be

    def _per_axis(self, name: str, value: Any, read: Any = read_ints) -> Any:
        where = type(self).__name__
        value = read(where, *(() if read is read_padding else (name,)), value)
        return value if isinstance(value, str) else per_axis(value, self.rank, f"{where}: {name}")

    def _weight_shape(self) -> tuple[int, ...]:
        where = type(self).__name__
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ValueError(
                    f"{where}: {name} must be divisible by groups, got {getattr(self, name)} "
                    f"and {self.groups}"
                )
        for length in self.kernel_size:
            initial.read_size(where, "kernel_size", length)
        if self.family == "conv":
            return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    # ---- running ----

    @property
    def _op(self) -> str:
        return f"{self.family}{self.rank}d"

    def _options(self) -> dict[str, Any]:
        """The keyword arguments of the functions, and of their gradients."""
        names = ("stride", "padding", "dilation", "groups", "layout", "padding_mode")
        return {name: getattr(self, name) for name in names}

    def plan(self, activation: Any = None) -> _core.Plan:
        """A plan with the weights as they are now; later changes are none of its business.

        Parameters
        ----------
        activation : str or tuple, optional
            As in ``tconv.conv2d(..., activation=)``.
        """
        options = self._options()
        return _core.plan(self._op, self.weight, self.bias, activation=activation, **options)

    def _current_plan(self, activation: Any) -> _core.Plan | None:
        settings = (activation, self._options())
        if self._planned is None or self._planned[1] != settings:
            if not (_is_alone(self, "weight") and _is_alone(self, "bias")):
                return None
            self._planned = self.plan(activation), settings
        return self._planned[0]

    def __getstate__(self) -> dict[str, Any]:
        """A copy, and a shallow one has the same arrays, makes its own plan."""
        self._planned = None
        return self.__dict__

    def forward(self, input: Any, *, activation: Any = None) -> Array:
        return self._run(input, None, activation)

    def _run(self, input: Any, output_size: Any, activation: Any) -> Array:
        plan = None if self.training else self._current_plan(activation)
        if plan is not None:
            more = {} if output_size is None else {"output_size": output_size}
            return plan(input, **more)
        form = Trilinear(self._op, np.shape(input), self.weight.shape, self._options(), output_size)
        if self.training:
            self._kept = input, form
        return form.compute("output", input, self.weight, self.bias, activation=activation)

    def backward(
        self, grad_output: Array, *, input: bool = True, parameters: bool = True
    ) -> Array | None:
        x, form = self._recall()
        if parameters:
            self._add("weight", form.compute, "weight", x, grad_output)
            if self.bias is not None:
                self._add("bias", form.bias_gradient, grad_output)
        return form.compute("input", self.weight, grad_output) if input else None

    def _add(self, name: str, function: Callable[..., Array], *arguments: Any) -> None:
        """Add the gradient that the function computes to the one there is, in its place."""
        found = self._gradients.get(name)
        self._gradients[name] = function(*arguments, out=found, accumulate=found is not None)

    # ---- in words ----

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        words = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}"]
        words += [f"stride={self.stride}"]
        words += self._unlike(padding=zeros, dilation=ones, output_padding=zeros, groups=1)
        words += ["bias=False"] if self.bias is None else []
        return ", ".join(words + self._unlike(padding_mode="zeros", layout=None))

    def _unlike(self, **defaults: Any) -> list[str]:
        values = {name: getattr(self, name, default) for name, default in defaults.items()}
        return [f"{name}={value}" for name, value in values.items() if value != defaults[name]]


class _Conv(Convolution):
    family = "conv"

    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
        rng: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
            layout=layout,
            dtype=dtype,
            rng=rng,
        )


class Conv1d(_Conv):
    """`tconv.conv1d` with a weight and a bias; parameters as of `Conv2d`."""

    rank = 1


class Conv2d(_Conv):
    """`tconv.conv2d` with a weight and a bias.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or tuple of int
    stride, padding, dilation, groups, padding_mode
        As of `tconv.conv2d`.
    bias : bool
        Whether there is a bias.
    layout : str, optional
        The order of the axes, as of `tconv.conv2d`.
    dtype : dtype_like
    rng : int or numpy.random.Generator, optional
        Draws the weight and the bias, each uniformly within one over the root of
        ``weight[0].size``, as in torch.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> layer = nn.Conv2d(3, 8, 3, padding="same", layout="NHWC", rng=0)
    >>> layer(np.ones((1, 5, 5, 3), np.float32)).shape
    (1, 5, 5, 8)
    """

    rank = 2


class Conv3d(_Conv):
    """`tconv.conv3d` with a weight and a bias; parameters as of `Conv2d`."""

    rank = 3


class _ConvTranspose(Convolution):
    family = "conv_transpose"

    def __init__(
        self,
        in_channels: SupportsIndex,
        out_channels: SupportsIndex,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        *,
        layout: str | None = None,
        dtype: DTypeLike = np.float32,
        rng: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
            layout=layout,
            dtype=dtype,
            rng=rng,
        )

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "output_padding": self.output_padding}

    def forward(self, input: Any, output_size: Any = None, *, activation: Any = None) -> Array:
        """The output.

        Parameters
        ----------
        input : array_like
        output_size : int, sequence of int or ndarray, optional
            The lengths wanted, in the place of the layer's output padding; a whole shape, or an
            array that has it, will do.
        activation : str or tuple, optional
            As in ``tconv.conv_transpose2d(..., activation=)``.
        """
        return self._run(input, output_size, activation)


class ConvTranspose1d(_ConvTranspose):
    """`tconv.conv_transpose1d` with a weight and a bias; parameters as of `ConvTranspose2d`."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """`tconv.conv_transpose2d` with a weight and a bias.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or tuple of int
    stride, padding, output_padding, groups, dilation, padding_mode
        As of `tconv.conv_transpose2d`.
    bias : bool
        Whether there is a bias.
    layout : str, optional
        The order of the axes, as of `tconv.conv_transpose2d`.
    dtype : dtype_like
    rng : int or numpy.random.Generator, optional
        Draws the weight and the bias, each uniformly within one over the root of
        ``weight[0].size``, as in torch.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> layer = nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1, rng=0)
    >>> layer
    ConvTranspose2d(8, 3, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
    >>> x = np.ones((1, 8, 5, 5), np.float32)
    >>> layer(x).shape, layer(x, output_size=(11, 10)).shape
    ((1, 3, 10, 10), (1, 3, 11, 10))
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """`tconv.conv_transpose3d` with a weight and a bias; parameters as of `ConvTranspose2d`."""

    rank = 3
