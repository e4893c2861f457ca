"""Transposed convolution built up from strides, a rung at a time, in plain NumPy.

=================================================  ===============================================
rung                                               adds
=================================================  ===============================================
`pad1d`, `pad2d`                                   places around the input, or crops it
`windows`                                          what the kernel covers at each position: a view
`conv1d_minimal`, `conv2d_minimal`                 one contraction of windows and kernel
`conv_transpose1d_minimal`                         the same with the kernel reversed, on an input
                                                   padded by k - 1
`fractional_stride_1d`, `fractional_stride_2d`     zeros between neighbours
`conv_transpose1d`, `conv_transpose2d`             all of it: stride and padding
=================================================  ===============================================

Why the kernel is reversed: in a transposed convolution of stride s, input v is added, times
``w[k]``, to output ``u = s*v + k - p``. Seen from output u, the element ``k = u + p - s*v`` meets
input v. Spaced out, that input lies at place ``s*v``, so k falls by one where the place rises by
one: a convolution of stride 1 with the kernel read backwards. Without padding, output 0 meets input
0 with k = 0, the last of its window, which so begins as many places before input 0 as the kernel
has further elements. Padding crops the output: the first window begins p places later.

The functions take arrays of any dtype and return new arrays, but for `windows`. Those of one axis
work along the last axis and those of two along the last two; of the axes before them only the
channels have a meaning, so that a batch may be there or not. `tconv.reference` has dilation, groups
and all other ways to the same results; `tconv.conv_transpose2d` is the fast one.

Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
arXiv:1603.07285, chapter 4.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "conv1d_minimal",
    "conv2d_minimal",
    "conv_transpose1d",
    "conv_transpose1d_minimal",
    "conv_transpose2d",
    "force_pair",
    "fractional_stride_1d",
    "fractional_stride_2d",
    "pad1d",
    "pad2d",
    "space_out",
    "windows",
]


# ---- numbers ----


def per_axis(value: Any, rank: int, name: str = "option") -> tuple[Any, ...]:
    """One value an axis: a value, or a sequence of one, stands for all axes."""
    values = (value,) if np.ndim(value) == 0 else tuple(value)
    if len(values) not in (1, rank):
        raise ValueError(f"{name} must be one value or {rank}, one an axis, got {value!r}")
    return values * rank if len(values) == 1 else values


def force_pair(value: Any) -> tuple[Any, Any]:
    """A pair, which one value becomes by standing twice.

    Parameters
    ----------
    value : object or sequence of one or two objects

    Returns
    -------
    tuple

    Raises
    ------
    ValueError
        For a sequence of another length.

    Examples
    --------
    >>> force_pair(2)
    (2, 2)
    >>> force_pair((2, 1))
    (2, 1)
    """
    first, second = per_axis(value, 2, "force_pair: value")
    return first, second


def _at_least_1(name: str, values: Iterable[SupportsIndex]) -> list[int]:
    numbers = _integers(name, values)
    if any(number < 1 for number in numbers):
        raise ValueError(f"{name} must be >= 1, got {min(numbers)}")
    return numbers


def _integers(name: str, values: Iterable[SupportsIndex]) -> list[int]:
    try:
        return [operator.index(value) for value in values]
    except TypeError as error:
        raise TypeError(f"{name} must be ints: {error}") from None


def _axes_before(x: NDArray[Any], rank: int) -> int:
    """How many axes there are before the last `rank`."""
    if x.ndim < rank:
        raise ValueError(f"the array must have at least {rank} dimensions, got {x.ndim}")
    return x.ndim - rank


# ---- padding ----


def pad(
    x: ArrayLike, pairs: Sequence[tuple[SupportsIndex, SupportsIndex]], value: Any = 0
) -> NDArray[Any]:
    """Places before and after each of the last ``len(pairs)`` axes; negative numbers crop."""
    x = np.asarray(x)
    sides = [[0, 0]] * _axes_before(x, len(pairs))
    sides += [_integers("padding", pair) for pair in pairs]
    if any(n + lo + hi < 0 for n, (lo, hi) in zip(x.shape, sides, strict=True)):
        raise ValueError(f"padding by {list(pairs)} crops more than there is. Got x {x.shape}")
    grown = np.pad(x, [(max(lo, 0), max(hi, 0)) for lo, hi in sides], constant_values=value)
    ends = zip(grown.shape, sides, strict=True)
    return grown[tuple(slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in ends)]


def pad1d(x: ArrayLike, left: int, right: int, pad_value: Any = 0) -> NDArray[Any]:
    """Put places before and after the last axis.

    Parameters
    ----------
    x : array_like
        (..., L)
    left, right : int
        So many places; a negative number crops.
    pad_value : scalar
        What is in them, in the dtype of `x`.

    Returns
    -------
    ndarray
        (..., left + L + right)

    Raises
    ------
    ValueError
        Where more is cropped than there is.

    Examples
    --------
    >>> pad1d([[1, 2, 3]], 1, 2, 0)
    array([[0, 1, 2, 3, 0, 0]])
    >>> pad1d([[1, 2, 3]], 1, -2, 9)
    array([[9, 1]])
    """
    return pad(x, [(left, right)], pad_value)


def pad2d(
    x: ArrayLike, left: int, right: int, top: int, bottom: int, pad_value: Any = 0
) -> NDArray[Any]:
    """Put columns to the left and right of an image, and rows above and below.

    Parameters
    ----------
    x : array_like
        (..., H, W)
    left, right, top, bottom : int
        So many columns and rows; a negative number crops.
    pad_value : scalar
        What is in them, in the dtype of `x`.

    Returns
    -------
    ndarray
        (..., top + H + bottom, left + W + right)

    Raises
    ------
    ValueError
        Where more is cropped than there is.

    Examples
    --------
    >>> pad2d([[1, 2], [3, 4]], 1, 0, 0, 1, 9)
    array([[9, 1, 2],
           [9, 3, 4],
           [9, 9, 9]])
    """
    return pad(x, [(top, bottom), (left, right)], pad_value)


# ---- convolution ----


def windows(
    x: ArrayLike, kernel: Sequence[SupportsIndex], stride: Any = 1, dilation: Any = 1
) -> NDArray[Any]:
    """Every window of a convolution as a view: no element is copied.

    One step along a window moves through memory as one along `x`, times the dilation; one step
    from window to window likewise, times the stride.

    Parameters
    ----------
    x : array_like
        ``(..., *spatial)``, with as many spatial axes as `kernel` has numbers.
    kernel : sequence of int
        The window's lengths.
    stride, dilation : int or sequence of int

    Returns
    -------
    ndarray
        ``(..., *positions, *kernel)``, read-only.

    Raises
    ------
    ValueError
        For a window that does not fit in `x`, and numbers below 1.

    Examples
    --------
    Of a 3x3 image, the four windows of 2x2 begin at the elements 0, 1, 3 and 4; rows are 3
    elements apart:

    >>> x = np.arange(9).reshape(3, 3)
    >>> view = windows(x, (2, 2))
    >>> view.shape, [step // x.itemsize for step in view.strides]
    ((2, 2, 2, 2), [3, 1, 3, 1])
    >>> view[0, 0].tolist(), view[0, 1].tolist(), view[1, 0].tolist(), view[1, 1].tolist()
    ([[0, 1], [3, 4]], [[1, 2], [4, 5]], [[3, 4], [6, 7]], [[4, 5], [7, 8]])
    """
    x = np.asarray(x)
    rank = len(kernel)
    first = _axes_before(x, rank)
    k = _at_least_1("the kernel's lengths", kernel)
    s = _at_least_1("stride", per_axis(stride, rank, "stride"))
    d = _at_least_1("dilation", per_axis(dilation, rank, "dilation"))
    lengths, steps = x.shape[first:], x.strides[first:]
    spans = [d[a] * (k[a] - 1) + 1 for a in range(rank)]
    if any(span > n for span, n in zip(spans, lengths, strict=True)):
        raise ValueError(f"a window covers {spans}, more than {list(lengths)}. Got x {x.shape}")
    positions = [(n - span) // step + 1 for n, span, step in zip(lengths, spans, s, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:first], *positions, *k),
        (*x.strides[:first], *map(operator.mul, steps, s), *map(operator.mul, steps, d)),
        writeable=False,
    )


def convolve(x: ArrayLike, weight: ArrayLike, stride: Any = 1, dilation: Any = 1) -> NDArray[Any]:
    """Strided windows and one contraction, over channels i and the kernel's elements a, b, c."""
    x, w = np.asarray(x), np.asarray(weight)
    rank = w.ndim - 2
    if x.ndim <= rank or x.shape[-rank - 1] != w.shape[1]:
        raise ValueError(
            f"input must have {w.shape[1]} channels before {rank} spatial axes. "
            f"Got input {x.shape}, kernel {w.shape} [out, in, *kernel]"
        )
    at, over = "uvw"[:rank], "abc"[:rank]
    view = windows(x, w.shape[2:], stride, dilation)
    convolved: NDArray[Any] = np.einsum(f"...i{at}{over},oi{over}->...o{at}", view, w)
    return convolved


def conv1d_minimal(x: ArrayLike, weight: ArrayLike, stride: int = 1) -> NDArray[Any]:
    """Convolution by strided windows and one contraction.

    ``y[o, u] = sum over i and k of x[i, stride*u + k] * weight[o, i, k]``.

    Parameters
    ----------
    x : array_like
        (N, in, L) or (in, L)
    weight : array_like
        (out, in, kernel)
    stride : int

    Returns
    -------
    ndarray
        (N, out, (L - kernel)//stride + 1), or without N.

    Raises
    ------
    ValueError
        For shapes that do not fit together.

    Examples
    --------
    >>> conv1d_minimal([[1, 2, 3, 4]], [[[1, 10]]])
    array([[21, 32, 43]])
    """
    return convolve(x, _kernel(weight, 1), stride)


def conv2d_minimal(x: ArrayLike, weight: ArrayLike, stride: Any = 1) -> NDArray[Any]:
    """Convolution by strided windows and one contraction.

    Parameters
    ----------
    x : array_like
        (N, in, H, W) or (in, H, W)
    weight : array_like
        (out, in, kernel height, kernel width)
    stride : int or pair of int

    Returns
    -------
    ndarray
        (N, out, (H - kernel height)//stride + 1, (W - kernel width)//stride + 1), or without N.

    Raises
    ------
    ValueError
        For shapes that do not fit together.

    Examples
    --------
    >>> conv2d_minimal(np.arange(9).reshape(1, 3, 3), [[[[1, 2], [3, 4]]]])
    array([[[27, 37],
            [57, 67]]])
    """
    return convolve(x, _kernel(weight, 2), stride)


def _kernel(weight: ArrayLike, rank: int) -> NDArray[Any]:
    """The weight as an array with so many spatial axes, none of them empty."""
    w = np.asarray(weight)
    if w.ndim != rank + 2 or 0 in w.shape[2:]:
        raise ValueError(
            f"weight must have two axes of channels and {rank} of a kernel. Got weight {w.shape}"
        )
    return w


# ---- transposed convolution ----


def reverse_kernel(weight: NDArray[Any]) -> NDArray[Any]:
    """The kernel backwards, its channel axes swapped: from (in, out, ...) to (out, in, ...)."""
    return np.flip(weight, tuple(range(2, weight.ndim))).swapaxes(0, 1)


def conv_transpose1d_minimal(x: ArrayLike, weight: ArrayLike) -> NDArray[Any]:
    """Transposed convolution of stride 1 as a convolution.

    Pad by k - 1, flip the kernel, swap its channel axes, convolve.

    Parameters
    ----------
    x : array_like
        (N, in, L) or (in, L)
    weight : array_like
        (in, out, kernel)

    Returns
    -------
    ndarray
        (N, out, L + kernel - 1), or without N.

    Raises
    ------
    ValueError
        For shapes that do not fit together.

    Examples
    --------
    Each input brings a kernel, and they are added up: 1, 10 and 2, 20 and 3, 30.

    >>> conv_transpose1d_minimal([[1, 2, 3]], [[[1, 10]]])
    array([[ 1, 12, 23, 30]])
    """
    w = _kernel(weight, 1)
    margin = w.shape[2] - 1
    return conv1d_minimal(pad1d(x, margin, margin), reverse_kernel(w))


def space_out(x: ArrayLike, stride: Any) -> NDArray[Any]:
    """Put stride - 1 zeros between neighbours along each spatial axis.

    A convolution that goes on by one place then goes on by 1/stride of an input.

    Parameters
    ----------
    x : array_like
        ``(..., *spatial)``.
    stride : int or sequence of int
        A number for each of the last axes; a single one for all axes but the first two.

    Returns
    -------
    ndarray
        ``(..., *lengths)``, a length L having become (L - 1)*stride + 1.

    Raises
    ------
    ValueError
        For a stride below 1.

    Examples
    --------
    >>> space_out([[[1, 2, 3], [4, 5, 6]]], 2)
    array([[[1, 0, 2, 0, 3],
            [4, 0, 5, 0, 6]]])
    """
    x = np.asarray(x)
    strides = stride if np.ndim(stride) else (stride,) * max(0, x.ndim - 2)
    steps = [1] * _axes_before(x, len(strides)) + _at_least_1("stride", strides)
    lengths = [max(0, (n - 1) * s + 1) for n, s in zip(x.shape, steps, strict=True)]
    spaced = np.zeros(lengths, x.dtype)
    spaced[tuple(slice(None, None, s) for s in steps)] = x
    return spaced


def fractional_stride_1d(x: ArrayLike, stride: int) -> NDArray[Any]:
    """Put stride - 1 zeros between neighbours along the last axis.

    Parameters
    ----------
    x : array_like
        (..., L)
    stride : int

    Returns
    -------
    ndarray
        (..., (L - 1)*stride + 1)

    Raises
    ------
    ValueError
        For a stride below 1.

    Examples
    --------
    >>> fractional_stride_1d([[[1, 2, 3], [4, 5, 6]]], 2)
    array([[[1, 0, 2, 0, 3],
            [4, 0, 5, 0, 6]]])
    """
    return space_out(x, [stride])


def fractional_stride_2d(x: ArrayLike, stride_h: int, stride_w: int) -> NDArray[Any]:
    """Put zero rows and columns between neighbours of an image.

    Parameters
    ----------
    x : array_like
        (..., H, W)
    stride_h, stride_w : int

    Returns
    -------
    ndarray
        (..., (H - 1)*stride_h + 1, (W - 1)*stride_w + 1)

    Raises
    ------
    ValueError
        For a stride below 1.

    Examples
    --------
    >>> fractional_stride_2d([[0, 1], [2, 3]], 2, 3)
    array([[0, 0, 0, 1],
           [0, 0, 0, 0],
           [2, 0, 0, 3]])
    """
    return space_out(x, [stride_h, stride_w])


def conv_transpose(
    x: ArrayLike,
    weight: NDArray[Any],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
) -> NDArray[Any]:
    """Transposed convolution: space out, pad by k - 1 - padding, convolve with the flipped kernel.

    A dilated kernel of k elements is as long as one of ``dilation*(k - 1) + 1`` is. `padding`
    beyond the margin crops; `output_padding` adds to the margin at the end.
    """
    kernel = weight.shape[2:]
    rank = len(kernel)
    p = per_axis(padding, rank, "padding")
    extra = per_axis(output_padding, rank, "output_padding")
    d = per_axis(dilation, rank, "dilation")
    x = np.asarray(x)
    if 0 in x.shape[-rank:]:
        raise ValueError(f"input must not have a spatial axis of length 0. Got input {x.shape}")
    around = [d[a] * (kernel[a] - 1) - p[a] for a in range(rank)]
    margins = [(margin, margin + extra[a]) for a, margin in enumerate(around)]
    spaced = space_out(x, per_axis(stride, rank, "stride"))
    return convolve(pad(spaced, margins), reverse_kernel(weight), dilation=dilation)


def conv_transpose1d(
    x: ArrayLike, weight: ArrayLike, stride: int = 1, padding: int = 0
) -> NDArray[Any]:
    """Transposed convolution: space out, pad by k - 1 - padding, convolve with the flipped kernel.

    Parameters
    ----------
    x : array_like
        (N, in, L) or (in, L)
    weight : array_like
        (in, out, kernel)
    stride : int
    padding : int
        So many places are cropped off either end of the output.

    Returns
    -------
    ndarray
        (N, out, (L - 1)*stride + kernel - 2*padding), or without N.

    Raises
    ------
    ValueError
        For shapes that do not fit together.

    Examples
    --------
    >>> conv_transpose1d([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    >>> conv_transpose1d([[1, 2, 3]], [[[1, 10]]], stride=3, padding=1)
    array([[10,  0,  2, 20,  0,  3]])
    """
    return conv_transpose(x, _kernel(weight, 1), stride, padding)


def conv_transpose2d(
    x: ArrayLike, weight: ArrayLike, stride: Any = 1, padding: Any = 0
) -> NDArray[Any]:
    """Transposed convolution: space out, pad by k - 1 - padding, convolve with the flipped kernel.

    Parameters
    ----------
    x : array_like
        (N, in, H, W) or (in, H, W)
    weight : array_like
        (in, out, kernel height, kernel width)
    stride : int or pair of int
    padding : int or pair of int
        So many rows and columns are cropped off either side of the output.

    Returns
    -------
    ndarray
        (N, out, (H - 1)*stride + kernel height - 2*padding, ...), or without N.

    Raises
    ------
    ValueError
        For shapes that do not fit together.

    Examples
    --------
    Without a stride the kernels overlap and add up, with a stride of 2 they lie side by side:

    >>> x = np.array([[[0, 1], [2, 3]]])
    >>> w = x[None]
    >>> conv_transpose2d(x, w)
    array([[[ 0,  0,  1],
            [ 0,  4,  6],
            [ 4, 12,  9]]])
    >>> conv_transpose2d(x, w, stride=2)
    array([[[0, 0, 0, 1],
            [0, 0, 2, 3],
            [0, 2, 0, 3],
            [4, 6, 6, 9]]])

    Padding crops:

    >>> ones = np.ones((1, 1, 3, 3), int)
    >>> conv_transpose2d(ones, ones)[0, 0]
    array([[1, 2, 3, 2, 1],
           [2, 4, 6, 4, 2],
           [3, 6, 9, 6, 3],
           [2, 4, 6, 4, 2],
           [1, 2, 3, 2, 1]])
    >>> conv_transpose2d(ones, ones, padding=(2, 1))[0, 0]
    array([[6, 9, 6]])

    Channels add up:

    >>> x = np.array([[[0, 1], [2, 3]], [[0, 2], [4, 6]]])
    >>> w = np.array([np.ones((1, 2, 2)), np.full((1, 2, 2), 0.5)])
    >>> conv_transpose2d(x, w, stride=2).astype(int)
    array([[[0, 0, 2, 2],
            [0, 0, 2, 2],
            [4, 4, 6, 6],
            [4, 4, 6, 6]]])
    """
    return conv_transpose(x, _kernel(weight, 2), stride, padding)
