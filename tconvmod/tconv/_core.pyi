"""Types of the compiled part of tconv; its docstrings are in the extension."""

from typing import Any, Literal, Protocol, SupportsIndex, TypedDict, TypeVar, final, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._arguments import Ints, Padding

_Number = TypeVar("_Number", bound=np.number[Any])

_Activation = (
    Literal["relu", "leaky_relu", "tanh", "sigmoid"] | tuple[Literal["leaky_relu"], float] | None
)

_Mode = Literal["zeros", "reflect", "replicate", "circular"]
_TransposedMode = Literal["zeros", "circular"]

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

# The functions of the three ranks share their types. The dtype of a result is that of the arrays,
# or the one asked for; in lists of numbers and tensors of other libraries it cannot be seen.

class _Conv(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_Number],
        weight: NDArray[_Number],
        bias: NDArray[_Number] | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        activation: _Activation = None,
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight: _Array,
        bias: _Array | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        activation: _Activation = None,
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: type[_Number] | np.dtype[_Number],
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight: _Array,
        bias: _Array | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
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
        weight: NDArray[_Number],
        grad_output: NDArray[_Number],
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input_size: _Shape,
        weight: _Array,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: type[_Number] | np.dtype[_Number],
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input_size: _Shape,
        weight: _Array,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
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
        input: NDArray[_Number],
        weight_size: _Shape,
        grad_output: NDArray[_Number],
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight_size: _Shape,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: SupportsIndex = 1,
        *,
        layout: str | None = None,
        padding_mode: _Mode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: type[_Number] | np.dtype[_Number],
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight_size: _Shape,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
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
        input: NDArray[_Number],
        weight: NDArray[_Number],
        bias: NDArray[_Number] | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        output_size: Ints | NDArray[Any] | None = None,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        activation: _Activation = None,
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight: _Array,
        bias: _Array | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        output_size: Ints | NDArray[Any] | None = None,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        activation: _Activation = None,
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: type[_Number] | np.dtype[_Number],
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight: _Array,
        bias: _Array | None = None,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        output_size: Ints | NDArray[Any] | None = None,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
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
        weight: NDArray[_Number],
        grad_output: NDArray[_Number],
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input_size: _Shape | None,
        weight: _Array,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: type[_Number] | np.dtype[_Number],
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input_size: _Shape | None,
        weight: _Array,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        out: NDArray[Any] | None = None,
        accumulate: bool = False,
        out_dtype: DTypeLike | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[Any]: ...

class _ConvTransposeWeight(Protocol):
    @overload
    def __call__(
        self,
        input: NDArray[_Number],
        weight_size: _Shape,
        grad_output: NDArray[_Number],
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight_size: _Shape,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
        out: NDArray[_Number] | None = None,
        accumulate: bool = False,
        out_dtype: type[_Number] | np.dtype[_Number],
        threads: SupportsIndex | None = None,
    ) -> NDArray[_Number]: ...
    @overload
    def __call__(
        self,
        input: _Array,
        weight_size: _Shape,
        grad_output: _Array,
        stride: Ints = 1,
        padding: Padding = 0,
        output_padding: Ints = 0,
        groups: SupportsIndex = 1,
        dilation: Ints = 1,
        *,
        layout: str | None = None,
        padding_mode: _TransposedMode = "zeros",
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
    grad_output: NDArray[_Number],
    *,
    layout: str | None = None,
    out: NDArray[_Number] | None = None,
    accumulate: bool = False,
    threads: SupportsIndex | None = None,
) -> NDArray[_Number]: ...
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
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: SupportsIndex = 1,
    dilation: Ints = 1,
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
        output_size: Ints | NDArray[Any] | None = None,
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
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: SupportsIndex = 1,
    dilation: Ints = 1,
    output_size: Ints | NDArray[Any] | None = None,
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
