"""Types of the compiled part of tconv; its docstrings are in the extension."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, SupportsIndex, TypedDict, TypeVar, final, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

_Real = TypeVar("_Real", bound=np.number[Any])
_Ints = SupportsIndex | Sequence[SupportsIndex] | NDArray[np.integer]

_Activation = (
    Literal["relu", "leaky_relu", "tanh", "sigmoid"] | tuple[Literal["leaky_relu"], float] | None
)

_Mode = Literal["zeros", "reflect", "replicate", "circular"]
_Padding = _Ints | Sequence[Sequence[SupportsIndex]] | Literal["valid", "same", "same_lower"]

class _Tensor(Protocol):
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

_Array = ArrayLike | _Tensor
_Shape = tuple[SupportsIndex, ...] | list[int]

class _Config(TypedDict):
    isa: str
    isas: tuple[str, ...]
    engines: tuple[str, ...]
    openmp: bool
    compiler: str
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int

# The functions of the three ranks share their types.

class _Conv(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_Real],
        weight: NDArray[_Real],
        bias: NDArray[_Real] | None = None,
        stride: _Ints = 1,
        padding: _Padding = 0,
        dilation: _Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        activation: _Activation = None,
        out: NDArray[_Real] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Real]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight: _Array,
        bias: _Array | None = None,
        stride: _Ints = 1,
        padding: _Padding = 0,
        dilation: _Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        activation: _Activation = None,
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

class _ConvInput(Protocol):
    @overload
    def __call__(
        self,
        input_size: _Shape,
        weight: NDArray[_Real],
        grad_output: NDArray[_Real],
        stride: _Ints = 1,
        padding: _Padding = 0,
        dilation: _Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Real] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Real]: ...
    @overload
    def __call__(
        self,
        input_size: _Shape,
        weight: _Array,
        grad_output: _Array,
        stride: _Ints = 1,
        padding: _Padding = 0,
        dilation: _Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

class _ConvWeight(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_Real],
        weight_size: _Shape,
        grad_output: NDArray[_Real],
        stride: _Ints = 1,
        padding: _Padding = 0,
        dilation: _Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Real] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Real]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight_size: _Shape,
        grad_output: _Array,
        stride: _Ints = 1,
        padding: _Padding = 0,
        dilation: _Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

class _ConvTranspose(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_Real],
        weight: NDArray[_Real],
        bias: NDArray[_Real] | None = None,
        stride: _Ints = 1,
        padding: _Padding = 0,
        output_padding: _Ints = 0,
        groups: SupportsIndex = 1,
        dilation: _Ints = 1,
        *,
        output_size: _Ints | NDArray[Any] | None = None,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        activation: _Activation = None,
        out: NDArray[_Real] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Real]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight: _Array,
        bias: _Array | None = None,
        stride: _Ints = 1,
        padding: _Padding = 0,
        output_padding: _Ints = 0,
        groups: SupportsIndex = 1,
        dilation: _Ints = 1,
        *,
        output_size: _Ints | NDArray[Any] | None = None,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        activation: _Activation = None,
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

class _ConvTransposeInput(Protocol):
    @overload
    def __call__(
        self,
        input_size: _Shape | None,
        weight: NDArray[_Real],
        grad_output: NDArray[_Real],
        stride: _Ints = 1,
        padding: _Padding = 0,
        output_padding: _Ints = 0,
        groups: SupportsIndex = 1,
        dilation: _Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Real] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Real]: ...
    @overload
    def __call__(
        self,
        input_size: _Shape | None,
        weight: _Array,
        grad_output: _Array,
        stride: _Ints = 1,
        padding: _Padding = 0,
        output_padding: _Ints = 0,
        groups: SupportsIndex = 1,
        dilation: _Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

class _ConvTransposeWeight(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_Real],
        weight_size: _Shape,
        grad_output: NDArray[_Real],
        stride: _Ints = 1,
        padding: _Padding = 0,
        output_padding: _Ints = 0,
        groups: SupportsIndex = 1,
        dilation: _Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Real] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Real]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight_size: _Shape,
        grad_output: _Array,
        stride: _Ints = 1,
        padding: _Padding = 0,
        output_padding: _Ints = 0,
        groups: SupportsIndex = 1,
        dilation: _Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

conv1d: _Conv
conv2d: _Conv
conv3d: _Conv
conv1d_input: _ConvInput
conv2d_input: _ConvInput
conv3d_input: _ConvInput
conv1d_weight: _ConvWeight
conv2d_weight: _ConvWeight
conv3d_weight: _ConvWeight
conv_transpose1d: _ConvTranspose
conv_transpose2d: _ConvTranspose
conv_transpose3d: _ConvTranspose
conv_transpose1d_input: _ConvTransposeInput
conv_transpose2d_input: _ConvTransposeInput
conv_transpose3d_input: _ConvTransposeInput
conv_transpose1d_weight: _ConvTransposeWeight
conv_transpose2d_weight: _ConvTransposeWeight
conv_transpose3d_weight: _ConvTransposeWeight

@overload
def bias(
    grad_output: NDArray[_Real],
    *,
    layout: str | None = None,
    out: NDArray[_Real] | None = None,
    accumulate: bool = False,
    threads: SupportsIndex | None = None,
) -> NDArray[_Real]: ...
@overload
def bias(
    grad_output: _Array,
    *,
    layout: str | None = None,
    out: NDArray[Any] | None = None,
    accumulate: bool = False,
    threads: SupportsIndex | None = None,
) -> NDArray[Any]: ...
def plan(
    op: str,
    weight: _Array,
    bias: _Array | None = None,
    *,
    stride: _Ints = 1,
    padding: _Padding = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    layout: str | None = None,
    padding_mode: _Mode = "zeros",
    activation: _Activation = None,
    isa: str | None = None,
    engine: str | None = None,
    threads: SupportsIndex | None = None,
    out_dtype: DTypeLike | None = None,
) -> Plan: ...

@final
class Plan:
    @property
    def problem(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def isa(self) -> str: ...
    def explain(self, input_shape: _Shape, /, **options: Any) -> Any: ...
    def __call__(
        self,
        input: _Array,
        *,
        output_size: _Ints | NDArray[Any] | None = None,
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

def explain(
    op: str,
    input_shape: _Shape,
    weight_shape: _Shape,
    dtype: str | None = "float32",
    *,
    bias: bool = False,
    stride: _Ints = 1,
    padding: _Padding = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    output_size: _Ints | NDArray[Any] | None = None,
    layout: str | None = None,
    isa: str | None = None,
    engine: str | None = None,
    threads: SupportsIndex | None = None,
    padding_mode: _Mode = "zeros",
) -> dict[str, Any]: ...
def convert_half(dst: NDArray[np.floating], src: NDArray[np.floating], threads: int, /) -> None: ...
def config() -> _Config: ...
def set_num_threads(threads: SupportsIndex, /) -> int: ...
def get_num_threads() -> int: ...
