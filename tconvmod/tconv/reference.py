"""Transposed convolution three times in plain NumPy, written to be read.

The same operation, seen from three sides:

* `conv_transpose` **scatters**: each input element adds a copy of the kernel, times its value, to
  the output, one stride further than its neighbour's. This is the definition, and the oracle of
  the tests.
* `conv_transpose_spaced` **gathers**: space the input out with zeros, pad it, and convolve it
  with the flipped kernel at stride 1. What the scatter adds up at one place, this reads from
  around that place.
* `conv_transpose_matrix` **transposes**: a convolution is linear, so it is a matrix `W`
  (`conv_matrix`); the transposed convolution with the same parameters is ``W.T``. That is also
  why it is the gradient of the convolution with respect to its input.

All of them take any number of spatial axes. They are slow, and nothing fast uses them.

Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
arXiv:1603.07285.
"""

from __future__ import annotations

import functools
import itertools
from math import prod

import numpy as np

__all__ = [
    "conv_matrix",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "conv_transpose_matrix",
    "conv_transpose_spaced",
    "space_out",
    "windows",
]


def _per_axis(value, rank):
    """One value an axis."""
    values = (value,) if np.ndim(value) == 0 else tuple(value)
    return values * rank if len(values) == 1 else values


def _batched(compute):
    """Lets a function of a batch take a single sample too."""

    @functools.wraps(compute)
    def wrapper(input, weight, *args, **kwargs):
        x, w = np.asarray(input), np.asarray(weight)
        if x.ndim == w.ndim:
            return compute(x, w, *args, **kwargs)
        return compute(x[None], w, *args, **kwargs)[0]

    return wrapper


@_batched
def conv_transpose(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Transposed convolution by scatter-add: the definition.

    For every element ``k`` of the kernel, the whole input, times that element's weights, is added
    to the output elements ``stride`` apart that begin at ``dilation*k``. Then `padding` is cropped
    off both sides, after `output_padding` was added to the far one.

    Parameters
    ----------
    input : array_like
        (N, Ci, *spatial), or (Ci, *spatial).
    weight : array_like
        (Ci, Co/groups, *kernel).
    bias : array_like, optional
        (Co,).
    stride, padding, output_padding, dilation : int or sequence of int
    groups : int

    Returns
    -------
    ndarray
        (N, Co, *spatial), or (Co, *spatial).

    Examples
    --------
    >>> conv_transpose([[1, 2, 3]], [[[1, 10]]])
    array([[ 1, 12, 23, 30]])
    >>> conv_transpose([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    """
    lengths, kernel = input.shape[2:], weight.shape[2:]
    rank = len(kernel)
    s, p, d = (_per_axis(value, rank) for value in (stride, padding, dilation))
    extra = _per_axis(output_padding, rank)
    full = tuple(
        (lengths[a] - 1) * s[a] + d[a] * (kernel[a] - 1) + 1 + extra[a] for a in range(rank)
    )
    n, ci, co = input.shape[0], weight.shape[0] // groups, weight.shape[1]
    output = np.zeros((n, groups * co, *full), np.result_type(input, weight))
    for g in range(groups):
        x, w = input[:, g * ci : (g + 1) * ci], weight[g * ci : (g + 1) * ci]
        y = output[:, g * co : (g + 1) * co]
        for k in itertools.product(*map(range, kernel)):
            reached = tuple(
                slice(d[a] * k[a], d[a] * k[a] + s[a] * (lengths[a] - 1) + 1, s[a])
                for a in range(rank)
            )
            y[(..., *reached)] += np.einsum("ni...,io->no...", x, w[(..., *k)])
    output = output[(..., *(slice(p[a], full[a] - p[a]) for a in range(rank)))]
    return output if bias is None else output + np.reshape(bias, (-1,) + (1,) * rank)


def space_out(x, stride):
    """Insert ``stride - 1`` zeros between neighbours along each spatial axis.

    Examples
    --------
    >>> space_out(np.array([[[1, 2, 3], [4, 5, 6]]]), 2)
    array([[[1, 0, 2, 0, 3],
            [4, 0, 5, 0, 6]]])
    """
    s = _per_axis(stride, x.ndim - 2)
    lengths = tuple((n - 1) * step + 1 for n, step in zip(x.shape[2:], s, strict=True))
    result = np.zeros(x.shape[:2] + lengths, x.dtype)
    result[(..., *(slice(None, None, step) for step in s))] = x
    return result


def windows(x, kernel, stride=1, dilation=1):
    """Every window of a convolution as a view: no element is copied.

    Parameters
    ----------
    x : ndarray
        (N, C, *spatial).
    kernel : sequence of int

    Returns
    -------
    ndarray
        (N, C, *positions, *kernel), read-only.

    Examples
    --------
    >>> x = np.arange(9).reshape(1, 1, 3, 3)
    >>> windows(x, (2, 2))[0, 0, 1, 0]
    array([[3, 4],
           [6, 7]])
    """
    rank = x.ndim - 2
    s, d = _per_axis(stride, rank), _per_axis(dilation, rank)
    positions = tuple(
        (x.shape[2 + a] - d[a] * (kernel[a] - 1) - 1) // s[a] + 1 for a in range(rank)
    )
    steps = x.strides[2:]
    return np.lib.stride_tricks.as_strided(
        x,
        x.shape[:2] + positions + tuple(kernel),
        x.strides[:2]
        + tuple(step * s[a] for a, step in enumerate(steps))
        + tuple(step * d[a] for a, step in enumerate(steps)),
        writeable=False,
    )


@_batched
def conv_transpose_spaced(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Transposed convolution as a convolution of the spaced-out input with the flipped kernel.

    Parameters and result are those of `conv_transpose`.

    Examples
    --------
    >>> conv_transpose_spaced([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    """
    kernel = weight.shape[2:]
    rank = len(kernel)
    p, d = _per_axis(padding, rank), _per_axis(dilation, rank)
    extra = _per_axis(output_padding, rank)
    around = [d[a] * (kernel[a] - 1) - p[a] for a in range(rank)]
    spaced = _pad(space_out(input, stride), [(m, m + extra[a]) for a, m in enumerate(around)])
    flipped = np.flip(weight, axis=tuple(range(2, 2 + rank)))
    ci, results = weight.shape[0] // groups, []
    for g in range(groups):
        mine = slice(g * ci, (g + 1) * ci)
        view = windows(spaced[:, mine], kernel, dilation=dilation)
        letters = "abc"[:rank]  # sums over channels and kernel; positions stay
        results.append(np.einsum(f"ni...{letters},io{letters}->no...", view, flipped[mine]))
    output = np.concatenate(results, axis=1)
    return output if bias is None else output + np.reshape(bias, (-1,) + (1,) * rank)


def _pad(x, pairs):
    """Zeros around the spatial axes; negative numbers crop."""
    crop = tuple(
        slice(max(-low, 0), x.shape[2 + a] - max(-high, 0)) for a, (low, high) in enumerate(pairs)
    )
    grow = [(0, 0), (0, 0)] + [(max(low, 0), max(high, 0)) for low, high in pairs]
    return np.pad(x[(..., *crop)], grow)


def conv_matrix(weight, input_shape, stride=1, padding=0, dilation=1, groups=1):
    """The matrix of a convolution: ``W @ x.ravel()`` is the convolution of one sample.

    Parameters
    ----------
    weight : array_like
        (out, in/groups, *kernel), as a convolution has it.
    input_shape : tuple of int
        (in, *spatial), of one sample.

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
    s, p, d = (_per_axis(value, rank) for value in (stride, padding, dilation))
    small = tuple(
        (large[a] + 2 * p[a] - d[a] * (kernel[a] - 1) - 1) // s[a] + 1 for a in range(rank)
    )
    outs, ins = w.shape[0], input_shape[0]
    matrix = np.zeros((outs, *small, ins, *large), w.dtype)
    for o, v in itertools.product(range(outs), itertools.product(*map(range, small))):
        first = o // (outs // groups) * w.shape[1]  # the group's first input channel
        for k in itertools.product(*map(range, kernel)):
            u = tuple(s[a] * v[a] + d[a] * k[a] - p[a] for a in range(rank))
            if all(0 <= u[a] < large[a] for a in range(rank)):
                matrix[(o, *v, slice(first, first + w.shape[1]), *u)] = w[(o, slice(None), *k)]
    return matrix.reshape(outs * prod(small), ins * prod(large))


@_batched
def conv_transpose_matrix(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Transposed convolution as the transpose of a convolution's matrix.

    Parameters and result are those of `conv_transpose`. The weight of the one, (in, out/groups,
    *kernel), is the weight of the other, whose outputs are the inputs here.

    Examples
    --------
    >>> conv_transpose_matrix([[1, 2, 3]], [[[1, 10]]], stride=3)
    array([[ 1, 10,  0,  2, 20,  0,  3, 30]])
    """
    kernel = weight.shape[2:]
    rank = len(kernel)
    s, p, d = (_per_axis(value, rank) for value in (stride, padding, dilation))
    extra = _per_axis(output_padding, rank)
    lengths = tuple(
        (input.shape[2 + a] - 1) * s[a] - 2 * p[a] + d[a] * (kernel[a] - 1) + extra[a] + 1
        for a in range(rank)
    )
    shape = (weight.shape[1] * groups, *lengths)
    matrix = conv_matrix(weight, shape, stride, padding, dilation, groups)
    # An output_padding of a stride or more makes room for further positions of the convolution.
    extra_positions = [(0, extra[a] // s[a]) for a in range(rank)]
    samples = _pad(input, extra_positions).reshape(len(input), -1)
    output = (samples @ matrix).reshape(-1, *shape)
    return output if bias is None else output + np.reshape(bias, (-1,) + (1,) * rank)


conv_transpose1d = conv_transpose2d = conv_transpose3d = conv_transpose
