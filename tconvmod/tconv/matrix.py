"""A convolution as a matrix, dense or sparse.

Output v of a convolution meets input ``u = s*v + d*k - p`` with the element k of the kernel, so the
matrix W has ``w[o, i, k]`` in row (o, v) and column (i, u). Along an axis these (v, k, u) are few:
`_joined` lists those with u inside the input. Entries are the combinations of one of them for each
axis with an output channel and an input channel of its group; each is listed once, since v and u
determine k. So the work and the memory are those of the entries, not of the places of W.

`tconv.reference.conv_matrix` walks the same relation in loops, to be read, and to test this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core
from ._arguments import read_array

__all__ = ["conv_matrix"]


@overload
def conv_matrix(
    weight: ArrayLike,
    input_shape: Sequence[SupportsIndex],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: SupportsIndex = 1,
    *,
    sparse: Literal[False] = False,
) -> NDArray[Any]: ...
@overload
def conv_matrix(
    weight: ArrayLike,
    input_shape: Sequence[SupportsIndex],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: SupportsIndex = 1,
    *,
    sparse: bool,
) -> Any: ...
def conv_matrix(
    weight: ArrayLike,
    input_shape: Sequence[SupportsIndex],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: SupportsIndex = 1,
    *,
    sparse: bool = False,
) -> Any:
    """The matrix W of a convolution; that of the transposed convolution is ``W.T``.

    With x and y written as vectors, ``W @ x`` is ``tconv.conv2d(x, weight, ...)`` and ``W.T @ y``
    is ``tconv.grad.conv2d_input(input_shape, weight, y, ...)``: ``tconv.conv_transpose2d`` of y
    with the same numbers, and the `output_padding` that leads to `input_shape`. Likewise for one
    and three axes.

    Parameters
    ----------
    weight : array_like
        ``(out, in/groups, *kernel)``, as the convolution has it, with one to three axes of a
        kernel. The transposed convolution reads the same array as ``(in, out/groups, *kernel)``.
    input_shape : sequence of int
        ``(in, *spatial)``: one sample of the convolution's input, or of the transposed
        convolution's output.
    stride, padding, dilation, groups
        As for `tconv.conv2d`: `padding` may be a number, one for each axis, a pair for each axis,
        ``"valid"``, ``"same"`` or ``"same_lower"``.
    sparse : bool
        Whether to return a SciPy array of compressed rows. It has an entry for each place where
        the kernel meets an input, also if the weight there is 0.

    Returns
    -------
    ndarray or scipy.sparse.csr_array
        (out * product of output lengths, in * product of input lengths), in the dtype of `weight`.

    Raises
    ------
    ImportError
        For ``sparse=True`` without SciPy.
    MemoryError
        For a matrix that does not fit in memory.
    TypeError
        For arguments of the wrong type, and dtypes that SciPy does not have.
    ValueError
        For shapes and options that do not fit together.

    Notes
    -----
    The source is V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285, section 4.1.

    Examples
    --------
    >>> import numpy as np, tconv
    >>> W = tconv.conv_matrix([[[[1, 2], [3, 4]]]], (1, 3, 3))
    >>> W
    array([[1, 2, 0, 3, 4, 0, 0, 0, 0],
           [0, 1, 2, 0, 3, 4, 0, 0, 0],
           [0, 0, 0, 1, 2, 0, 3, 4, 0],
           [0, 0, 0, 0, 1, 2, 0, 3, 4]])
    >>> y = W @ np.arange(9)
    >>> y
    array([27, 37, 57, 67])
    >>> (W.T @ y).reshape(3, 3)
    array([[ 27,  91,  74],
           [138, 400, 282],
           [171, 429, 268]])
    """
    w = _weight(weight)
    facts = _facts(w, input_shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    small, large = facts["output_shape"], (w.shape[1] * facts["groups"], *facts["input_lengths"])
    shape = math.prod(small), math.prod(large)
    if sparse:
        return _csr_array(shape, *_entries(w, small, large, facts))
    matrix = _zeros(shape, w.dtype)
    rows, columns, values = _entries(w, small, large, facts)
    matrix[rows, columns] = values
    return matrix


def _entries(
    w: NDArray[Any], small: tuple[int, ...], large: tuple[int, ...], facts: dict[str, Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """Row, column and value of each entry of W; `small` and `large` are (channels, *spatial).

    The arrays have the axes (out, in/groups, *joined), along which the rows may be of length 1.
    """
    out_channels, in_channels_of_group = w.shape[:2]
    options = (facts[name] for name in ("kernel", "stride", "padding", "dilation"))
    joined = zip(*map(_joined, large[1:], small[1:], *options), strict=True)
    channels = np.arange(out_channels), np.arange(in_channels_of_group)
    (o, i, *v), k, (_, _, *u) = (np.ix_(*channels, *places) for places in joined)
    group = o // (out_channels // facts["groups"])
    rows = np.ravel_multi_index((o, *v), small)
    columns = np.ravel_multi_index((group * in_channels_of_group + i, *u), large)
    return rows, columns, w[k]


def _joined(
    large: int, small: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Along an axis, the v, k and u = stride*v + dilation*k - padding inside the large side."""
    v, k = np.ogrid[:small, :kernel]
    u = stride * v + dilation * k - padding
    v, k = np.nonzero((u >= 0) & (u < large))
    return v, k, u[v, k]


def _zeros(shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return np.zeros(shape, dtype)
    except (MemoryError, ValueError):
        raise MemoryError(
            f"conv_matrix: W of shape {shape} and dtype {dtype} does not fit in memory; "
            "sparse=True takes memory for its entries alone"
        ) from None


def _csr_array(
    shape: tuple[int, int],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    values: NDArray[Any],
) -> Any:
    try:
        from scipy.sparse import coo_array  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "conv_matrix: sparse=True needs SciPy; install it, or tconv with its extra: "
            "pip install 'tconv[sparse]'"
        ) from error
    rows, columns = (np.broadcast_to(a, values.shape).ravel() for a in (rows, columns))
    try:
        return coo_array((values.ravel(), (rows, columns)), shape).tocsr()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"conv_matrix: SciPy has no sparse array of dtype {values.dtype}: {error}"
        ) from error


# ---- arguments ----


def _weight(weight: Any) -> NDArray[Any]:
    w = read_array("conv_matrix", "weight", weight)
    if w.dtype.kind in "MmSTU":
        raise TypeError(f"conv_matrix: weight must be numbers, got dtype {w.dtype}")
    if not 3 <= w.ndim <= 5:
        raise ValueError(
            "conv_matrix: weight must have 3 to 5 dimensions (out, in/groups, *kernel), "
            f"got {w.ndim}. Got weight {w.shape}."
        )
    return w.astype(w.dtype.newbyteorder("="), copy=False)


def _facts(w: NDArray[Any], input_shape: Any, **options: Any) -> dict[str, Any]:
    """Lengths and options, checked and written out an axis, as `tconv.explain` knows them."""
    rank = w.ndim - 2
    try:
        shape = tuple(input_shape)
    except TypeError:
        raise TypeError(
            f"conv_matrix: input_shape must be a sequence of ints, got {input_shape!r}"
        ) from None
    if len(shape) != rank + 1:
        raise ValueError(
            f"conv_matrix: input_shape must have {rank + 1} numbers, those of one sample "
            f"(channels, *spatial), got {len(shape)}. Got input {shape}, weight {w.shape}."
        )
    try:
        return _core.explain(f"conv{rank}d", shape, w.shape, "float32", **options)
    except (TypeError, ValueError, OverflowError) as error:
        text = str(error).partition(": ")[2]  # without the name of the function asked
        raise type(error)(f"conv_matrix: {text}") from None
