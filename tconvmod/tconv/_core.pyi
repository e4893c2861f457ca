"""Types of the compiled part of tconv; its docstrings are in the extension."""

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypedDict, TypeVar, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)
_Ints = SupportsIndex | Sequence[SupportsIndex] | NDArray[np.integer]
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

@overload
def conv_transpose1d(
    input: NDArray[_Real],
    weight: NDArray[_Real],
    bias: NDArray[_Real] | None = None,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    *,
    output_size: _Ints | NDArray[Any] | None = None,
    out: NDArray[_Real] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[_Real]: ...
@overload
def conv_transpose1d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    *,
    output_size: _Ints | NDArray[Any] | None = None,
    out: NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[Any]: ...
@overload
def conv_transpose2d(
    input: NDArray[_Real],
    weight: NDArray[_Real],
    bias: NDArray[_Real] | None = None,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    *,
    output_size: _Ints | NDArray[Any] | None = None,
    out: NDArray[_Real] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[_Real]: ...
@overload
def conv_transpose2d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    *,
    output_size: _Ints | NDArray[Any] | None = None,
    out: NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[Any]: ...
@overload
def conv_transpose3d(
    input: NDArray[_Real],
    weight: NDArray[_Real],
    bias: NDArray[_Real] | None = None,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    *,
    output_size: _Ints | NDArray[Any] | None = None,
    out: NDArray[_Real] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[_Real]: ...
@overload
def conv_transpose3d(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    *,
    output_size: _Ints | NDArray[Any] | None = None,
    out: NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> NDArray[Any]: ...
def plan(
    op: str,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: _Ints = 1,
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    isa: str | None = None,
    engine: str | None = None,
    threads: SupportsIndex | None = None,
) -> Plan: ...

@final
class Plan:
    @property
    def problem(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def isa(self) -> str: ...
    def __call__(
        self,
        input: ArrayLike,
        *,
        output_size: _Ints | NDArray[Any] | None = None,
        out: NDArray[Any] | None = None,
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
    padding: _Ints = 0,
    output_padding: _Ints = 0,
    groups: SupportsIndex = 1,
    dilation: _Ints = 1,
    output_size: _Ints | NDArray[Any] | None = None,
    isa: str | None = None,
    engine: str | None = None,
    threads: SupportsIndex | None = None,
) -> dict[str, Any]: ...
def config() -> _Config: ...
def set_num_threads(threads: SupportsIndex, /) -> int: ...
def get_num_threads() -> int: ...
