"""Convolution, transposed convolution and their gradients in plain NumPy, written to be read.

A convolution has a large side, its input, and a small side, its output. Along each spatial axis an
element ``k`` of the kernel joins position ``v`` of the small side with position ``u`` of the large:

    u = stride*v + dilation*k - padding

`joined` walks this relation. All operations are sums of products over it, and differ in which of
the three arrays is computed from the other two:

======================================  ==========  ======================================
functions                               compute     from
======================================  ==========  ======================================
`conv`, `conv_transpose_input`          small side  large side, weight: they **gather**
`conv_transpose`, `conv_input`          large side  small side, weight: they **scatter**
`conv_weight`, `conv_transpose_weight`  weight      both sides: they **multiply**
======================================  ==========  ======================================

These are the definitions, and the oracle of the tests. A weight always has the axes
``(small side's channels, large side's channels / groups, *kernel)``.

The transposed convolution is there twice more:

* `conv_transpose_spaced` gathers too: space the input out with zeros, pad it, and convolve it
  with the flipped kernel at stride 1. What the scatter adds up at one place, this reads from
  around that place.
* `conv_transpose_matrix` **transposes**: a convolution is linear, so it is a matrix `W`
  (`conv_matrix`); the transposed convolution with the same parameters is ``W.T``. That is also
  why it is the gradient of the convolution with respect to its input.

All of them take any number of spatial axes, integers, and objects that add and multiply. They are
slow, and nothing fast uses them.

Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
arXiv:1603.07285.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import functional
from ._arguments import Ints
from .functional import pad, per_axis, space_out, windows

__all__ = [
    "conv",
    "conv1d",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "conv3d",
    "conv3d_input",
    "conv3d_weight",
    "conv_input",
    "conv_matrix",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
    "conv_transpose_input",
    "conv_transpose_matrix",
    "conv_transpose_spaced",
    "conv_transpose_weight",
    "conv_weight",
    "joined",
    "space_out",
    "windows",
]


# ---- the relation ----


def joined(
    large: NDArray[Any],
    small: NDArray[Any],
    weight: NDArray[Any],
    stride: Ints = 1,
    padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """What each element of the kernel joins, as views into the three arrays.

    Parameters
    ----------
    large, small : ndarray
        ``(N, C, *spatial)``, or ``(C, *spatial)``.
    weight : ndarray
        ``(channels of small, channels of large / groups, *kernel)``.
    stride, padding, dilation : int or sequence of int
    groups : int

    Yields
    ------
    tuple of ndarray
        For one group and one element: the places of the large side,
        ``(N, Cl/groups, *spatial)``, and those of the small side that it joins with them,
        ``(N, Cs/groups, *spatial)``, equally many; and the element's weights,
        (Cs/groups, Cl/groups). Places in the padding are left out, so that no product with a
        padding zero is ever formed.

    Examples
    --------
    >>> large, small = np.arange(5)[None], np.array([[70, 80]])
    >>> for at_u, at_v, w in joined(large, small, np.array([[[1, 2, 3]]]), stride=2):
    ...     print(at_u[0, 0], at_v[0, 0], w[0, 0])
    [0 2] [70 80] 1
    [1 3] [70 80] 2
    [2 4] [70 80] 3
    """
    rank = weight.ndim - 2
    s, p, d = (per_axis(value, rank) for value in (stride, padding, dilation))
    batches = (x if x.ndim == rank + 2 else x[None] for x in (large, small))
    sides = [np.split(x, groups, axis=1) for x in batches]
    for of_u, of_v, w in zip(*sides, np.split(weight, groups), strict=True):
        for k in itertools.product(*map(range, weight.shape[2:])):
            places = [
                _places(of_u.shape[2 + a], of_v.shape[2 + a], s[a], d[a] * k[a] - p[a])
                for a in range(rank)
            ]
            u, v = zip(*places, strict=True)
            yield of_u[(..., *u)], of_v[(..., *v)], w[(..., *k)]


def _places(large: int, small: int, step: int, shift: int) -> tuple[slice, slice]:
    """Along an axis, the positions u = step*v + shift inside the large side, and their v."""
    first = max(0, -(shift // step))
    last = min(small - 1, (large - 1 - shift) // step)
    if first > last:
        return slice(0), slice(0)
    return slice(step * first + shift, step * last + shift + 1, step), slice(first, last + 1)


def _small_lengths(
    large: Sequence[int], kernel: Sequence[int], stride: Ints, padding: Ints, dilation: Ints
) -> tuple[int, ...]:
    """The output lengths of a convolution."""
    axes = zip(
        large,
        kernel,
        *(per_axis(v, len(kernel)) for v in (stride, padding, dilation)),
        strict=True,
    )
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)


def _large_lengths(
    small: Sequence[int],
    kernel: Sequence[int],
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
) -> tuple[int, ...]:
    """The output lengths of a transposed convolution."""
    options = (stride, padding, output_padding, dilation)
    axes = zip(small, kernel, *(per_axis(v, len(kernel)) for v in options), strict=True)
    return tuple((n - 1) * s - 2 * p + d * (k - 1) + extra + 1 for n, k, s, p, extra, d in axes)


# ---- the three contractions ----


def _gather(
    large: NDArray[Any], weight: NDArray[Any], lengths: Sequence[int], *options: Any
) -> NDArray[Any]:
    """The small side, of these lengths."""
    samples = large.shape[: large.ndim - weight.ndim + 1]
    small = np.zeros((*samples, len(weight), *lengths), np.result_type(large, weight))
    for at_u, at_v, w in joined(large, small, weight, *options):
        at_v += np.einsum("ni...,oi->no...", at_u, w)
    return small


def _scatter(
    small: NDArray[Any], weight: NDArray[Any], lengths: Sequence[int], *options: Any
) -> NDArray[Any]:
    """The large side, of these lengths."""
    samples, groups = small.shape[: small.ndim - weight.ndim + 1], options[-1]
    channels = weight.shape[1] * groups
    large = np.zeros((*samples, channels, *lengths), np.result_type(small, weight))
    for at_u, at_v, w in joined(large, small, weight, *options):
        at_u += np.einsum("ni...,io->no...", at_v, w)
    return large


def _multiply(
    large: NDArray[Any], small: NDArray[Any], shape: Sequence[int], *options: Any
) -> NDArray[Any]:
    """The weight's gradient, of this shape."""
    weight = np.zeros(shape, np.result_type(large, small))
    all_but_channels = (0, *range(2, weight.ndim))
    for at_u, at_v, w in joined(large, small, weight, *options):
        w += np.tensordot(at_v, at_u, (all_but_channels, all_but_channels))
    return weight


def _add_bias(output: NDArray[Any], bias: ArrayLike | None, rank: int) -> NDArray[Any]:
    return output if bias is None else output + np.reshape(bias, (-1,) + (1,) * rank)


# ---- the operations ----


def conv(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Convolution by gathering: the definition.

    Each output is the sum of the inputs under the kernel times its elements; from one output to
    the next the kernel moves on by `stride`. `padding` counts the places that it may reach over
    the edge, where it meets nothing.

    Parameters
    ----------
    input : array_like
        ``(N, Ci, *spatial)``, or ``(Ci, *spatial)``.
    weight : array_like
        ``(Co, Ci/groups, *kernel)``.
    bias : array_like, optional
        (Co,).
    stride, padding, dilation : int or sequence of int
    groups : int

    Returns
    -------
    ndarray
        ``(N, Co, *spatial)``, or ``(Co, *spatial)``.

    Examples
    --------
    >>> conv([[1, 2, 3, 4]], [[[1, 10]]])
    array([[21, 32, 43]])
    >>> conv([[1, 2, 3, 4]], [[[1, 10]]], stride=2, padding=1)
    array([[10, 32,  4]])
    """
    x, w = np.asarray(input), np.asarray(weight)
    rank = w.ndim - 2
    lengths = _small_lengths(x.shape[-rank:], w.shape[2:], stride, padding, dilation)
    return _add_bias(_gather(x, w, lengths, stride, padding, dilation, groups), bias, rank)


def conv_input(
    input_size: Sequence[int],
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Gradient of `conv` with respect to its input: scatters as `conv_transpose` does.

    Each input is told, by every output that it had a part in, that output's gradient times the
    weight it had there.

    Parameters
    ----------
    input_size : sequence of int
        The input's shape, ``(N, Ci, *spatial)`` or ``(Ci, *spatial)``.
    weight : array_like
        ``(Co, Ci/groups, *kernel)``.
    grad_output : array_like
        The gradient with respect to the output, of its shape.
    stride, padding, dilation, groups
        As for `conv`.

    Returns
    -------
    ndarray
        Of shape `input_size`.

    Examples
    --------
    >>> conv_input((1, 4), [[[1, 10]]], [[1, 2, 3]])
    array([[ 1, 12, 23, 30]])
    """
    w, g = np.asarray(weight), np.asarray(grad_output)
    return _scatter(g, w, input_size[2 - w.ndim :], stride, padding, dilation, groups)


def conv_weight(
    input: ArrayLike,
    weight_size: Sequence[int],
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """Gradient of `conv` with respect to its weight.

    Each element of the kernel gets the sum of the inputs that it met times the gradients of the
    outputs that it met them for.

    Parameters
    ----------
    input : array_like
        ``(N, Ci, *spatial)``, or ``(Ci, *spatial)``.
    weight_size : sequence of int
        The weight's shape, ``(Co, Ci/groups, *kernel)``.
    grad_output : array_like
        The gradient with respect to the output, of its shape.
    stride, padding, dilation, groups
        As for `conv`.

    Returns
    -------
    ndarray
        Of shape `weight_size`.

    Examples
    --------
    >>> conv_weight([[1, 2, 3, 4]], (1, 1, 2), [[1, 10, 100]])
    array([[[321, 432]]])
    """
    x, g = np.asarray(input), np.asarray(grad_output)
    return _multiply(x, g, weight_size, stride, padding, dilation, groups)


def conv_transpose(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Transposed convolution by scatter-add: the definition.

    For every element ``k`` of the kernel, the whole input, times that element's weights, is added
    to the output elements ``stride`` apart that begin at ``dilation*k``. `padding` is cropped off
    both sides, and `output_padding` added to the far one.

    Parameters
    ----------
    input : array_like
        ``(N, Ci, *spatial)``, or ``(Ci, *spatial)``.
    weight : array_like
        ``(Ci, Co/groups, *kernel)``.
    bias : array_like, optional
        (Co,).
    stride, padding, output_padding, dilation : int or sequence of int
    groups : int

    Returns
    -------
    ndarray
        ``(N, Co, *spatial)``, or ``(Co, *spatial)``.

    Examples
    --------
    >>> conv_transpose([[1, 2, 3]], [[[1, 10]]])
    array([[ 1, 12, 23, 30]])
    >>> conv_transpose([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    """
    x, w = np.asarray(input), np.asarray(weight)
    rank = w.ndim - 2
    small, kernel = x.shape[-rank:], w.shape[2:]
    lengths = _large_lengths(small, kernel, stride, padding, output_padding, dilation)
    return _add_bias(_scatter(x, w, lengths, stride, padding, dilation, groups), bias, rank)


def conv_transpose_input(
    input_size: Sequence[int] | None,
    weight: ArrayLike,
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Gradient of `conv_transpose` with respect to its input: gathers as `conv` does.

    Parameters
    ----------
    input_size : sequence of int or None
        The input's shape, ``(N, Ci, *spatial)`` or ``(Ci, *spatial)``. None: the shape that leads
        to an output of `grad_output`'s.
    weight : array_like
        ``(Ci, Co/groups, *kernel)``.
    grad_output : array_like
        The gradient with respect to the output, of its shape.
    stride, padding, output_padding, groups, dilation
        As for `conv_transpose`.

    Returns
    -------
    ndarray
        Of shape `input_size`.

    Examples
    --------
    >>> conv_transpose_input((1, 3), [[[1, 10]]], [[1, 2, 3, 4]])
    array([[21, 32, 43]])
    """
    w, g = np.asarray(weight), np.asarray(grad_output)
    rank = w.ndim - 2
    if input_size is None:
        extra = per_axis(output_padding, rank)
        large = tuple(n - e for n, e in zip(g.shape[-rank:], extra, strict=True))
        input_size = _small_lengths(large, w.shape[2:], stride, padding, dilation)
    return _gather(g, w, input_size[-rank:], stride, padding, dilation, groups)


def conv_transpose_weight(
    input: ArrayLike,
    weight_size: Sequence[int],
    grad_output: ArrayLike,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Gradient of `conv_transpose` with respect to its weight.

    It is `conv_weight` with the input and the gradient in each other's place.

    Parameters
    ----------
    input : array_like
        ``(N, Ci, *spatial)``, or ``(Ci, *spatial)``.
    weight_size : sequence of int
        The weight's shape, ``(Ci, Co/groups, *kernel)``.
    grad_output : array_like
        The gradient with respect to the output, of its shape.
    stride, padding, output_padding, groups, dilation
        As for `conv_transpose`. `output_padding` changes nothing: `grad_output` has it.

    Returns
    -------
    ndarray
        Of shape `weight_size`.

    Examples
    --------
    >>> conv_transpose_weight([[1, 10, 100]], (1, 1, 2), [[1, 2, 3, 4]])
    array([[[321, 432]]])
    """
    x, g = np.asarray(input), np.asarray(grad_output)
    return _multiply(g, x, weight_size, stride, padding, dilation, groups)


# ---- the other two ways ----


def conv_transpose_spaced(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Transposed convolution as a convolution of the spaced-out input with the flipped kernel.

    `tconv.functional` builds it up slowly.

    Parameters
    ----------
    input, weight, bias, stride, padding, output_padding, groups, dilation
        As for `conv_transpose`.

    Returns
    -------
    ndarray
        As of `conv_transpose`.

    Examples
    --------
    >>> conv_transpose_spaced([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    """
    x, w = np.asarray(input), np.asarray(weight)
    rank = w.ndim - 2
    options = stride, padding, output_padding, dilation
    groups_of_x = np.split(x, groups, axis=-1 - rank)
    pairs = zip(groups_of_x, np.split(w, groups), strict=True)
    results = [functional.conv_transpose(*pair, *options) for pair in pairs]
    return _add_bias(np.concatenate(results, axis=-1 - rank), bias, rank)


def conv_matrix(
    weight: ArrayLike,
    input_shape: Sequence[int],
    stride: Ints = 1,
    padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> NDArray[Any]:
    """The matrix of a convolution: ``W @ x.ravel()`` is the convolution of one sample.

    `tconv.conv_matrix` is the fast one.

    Parameters
    ----------
    weight : array_like
        ``(out, in/groups, *kernel)``, as a convolution has it.
    input_shape : tuple of int
        ``(in, *spatial)``, of one sample.
    stride, padding, dilation : int or sequence of int
    groups : int

    Returns
    -------
    ndarray
        (out * product of output lengths, in * product of input lengths).

    Examples
    --------
    >>> conv_matrix([[[[1, 2], [3, 4]]]], (1, 3, 3))
    array([[1, 2, 0, 3, 4, 0, 0, 0, 0],
           [0, 1, 2, 0, 3, 4, 0, 0, 0],
           [0, 0, 0, 1, 2, 0, 3, 4, 0],
           [0, 0, 0, 0, 1, 2, 0, 3, 4]])
    """
    w = np.asarray(weight)
    large, kernel = tuple(input_shape[1:]), w.shape[2:]
    rank = len(kernel)
    s, p, d = (per_axis(value, rank) for value in (stride, padding, dilation))
    small = _small_lengths(large, kernel, s, p, d)
    outs, ins = w.shape[0], input_shape[0]
    elements = np.moveaxis(w, 1, -1)  # (out, *kernel, in/groups)
    matrix = np.zeros((outs, *small, ins, *large), w.dtype)
    for o, v in itertools.product(range(outs), itertools.product(*map(range, small))):
        first = o // (outs // groups) * w.shape[1]  # the group's first input channel
        for k in itertools.product(*map(range, kernel)):
            u = tuple(s[a] * v[a] + d[a] * k[a] - p[a] for a in range(rank))
            if all(0 <= u[a] < large[a] for a in range(rank)):
                at: list[Any] = [o, *v, slice(first, first + w.shape[1]), *u]
                matrix[tuple(at)] = elements[(o, *k)]
    return matrix.reshape(outs * prod(small), ins * prod(large))


def conv_transpose_matrix(
    input: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> NDArray[Any]:
    """Transposed convolution as the transpose of a convolution's matrix.

    The weight of the one, ``(in, out/groups, *kernel)``, is the weight of the other, whose outputs
    are the inputs here.

    Parameters
    ----------
    input, weight, bias, stride, padding, output_padding, groups, dilation
        As for `conv_transpose`.

    Returns
    -------
    ndarray
        As of `conv_transpose`.

    Examples
    --------
    >>> conv_transpose_matrix([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    """
    x, w = np.asarray(input), np.asarray(weight)
    kernel = w.shape[2:]
    rank = len(kernel)
    s, extra = per_axis(stride, rank), per_axis(output_padding, rank)
    samples, small = x.shape[: -rank - 1], x.shape[-rank:]
    lengths = _large_lengths(small, kernel, stride, padding, output_padding, dilation)
    shape = (w.shape[1] * groups, *lengths)
    matrix = conv_matrix(w, shape, stride, padding, dilation, groups)
    # An output_padding of a stride or more makes room for further positions of the convolution.
    extra_positions = [(0, extra[a] // s[a]) for a in range(rank)]
    rows = pad(x, extra_positions).reshape(*samples, len(matrix))
    return _add_bias((rows @ matrix).reshape(*samples, *shape), bias, rank)


conv1d = conv2d = conv3d = conv
conv1d_input = conv2d_input = conv3d_input = conv_input
conv1d_weight = conv2d_weight = conv3d_weight = conv_weight
conv_transpose1d = conv_transpose2d = conv_transpose3d = conv_transpose
conv_transpose1d_input = conv_transpose2d_input = conv_transpose3d_input = conv_transpose_input
conv_transpose1d_weight = conv_transpose2d_weight = conv_transpose3d_weight = conv_transpose_weight
