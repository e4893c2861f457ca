"""Along one axis: how many elements of the kernel join an input with an output.

A convolution and a transposed convolution have a large and a small side, and element k of the
kernel joins position v of the small side with position u of the large,

    u = stride*v + dilation*k - padding

as `tconv.reference` says. Here nothing is computed but how often that happens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._borders import found

__all__: list[str] = []

Counts = NDArray[np.intp]


def taps_per_output(
    input_length: int,
    output_length: int,
    kernel: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    *,
    transposed: bool = True,
    padding_mode: str = "zeros",
) -> Counts:
    """How many taps reach each output of an axis.

    That is the operation on ones with a kernel of ones. With several axes it is the outer product
    of theirs. How often a convolution reads each of its inputs is this too, for the transposed
    convolution with the lengths in each other's place.

    Parameters
    ----------
    input_length, output_length : int
        `tconv.explain` knows the output's: ``output_lengths``.
    kernel, stride, dilation : int
    padding : tuple of int
        Before and after.
    transposed : bool
        Whether it is a transposed convolution.
    padding_mode : str
        What stands in the padding; with another than ``"zeros"`` its taps count too.

    Returns
    -------
    ndarray of int
        Of `output_length`.

    Examples
    --------
    >>> taps_per_output(4, 9, kernel=3, stride=2)
    array([1, 1, 2, 1, 2, 1, 2, 1, 1])
    >>> taps_per_output(4, 4, kernel=3, padding=(1, 1), transposed=False)
    array([2, 3, 3, 2])
    """
    if not transposed:
        v = np.arange(output_length)
        if padding_mode != "zeros":
            return np.full_like(v, kernel)
        first = padding[0] - stride * v  # what the tap at the large side's first position is
        low, high = (-(-u // dilation) for u in (first, first + input_length))
        return high.clip(0, kernel) - low.clip(0, kernel)
    whole = _scattered(input_length, kernel, stride, dilation)
    positions = range(-padding[0], len(whole) - padding[0])
    u = np.asarray(positions)
    if padding_mode != "zeros":
        u = found(padding_mode, positions, output_length)
    inside = (u >= 0) & (u < output_length)
    counts = np.zeros(output_length, np.intp)
    np.add.at(counts, u[inside], whole[inside])
    return counts


def _scattered(small: int, kernel: int, stride: int, dilation: int) -> Counts:
    """The pairs of v < small and k < kernel for each value of stride*v + dilation*k."""
    length = stride * (small - 1) + dilation * (kernel - 1) + 1
    dilation = min(dilation, length)
    begins = np.zeros((-(-length // dilation), dilation), np.intp)
    begins.reshape(-1)[: stride * (small - 1) + 1 : stride] = 1
    until = begins.cumsum(0)
    until[kernel:] -= until[:-kernel].copy()
    return until.reshape(-1)[:length]


class Reach(NamedTuple):
    """What `taps_per_output` comes to, whatever the length.

    Attributes
    ----------
    first, between, last : int
        Outputs that no tap reaches: before the first that one does, between such, after the last.
    least, most : int
        Taps of an output.
    cycle : tuple of int
        Taps of an output apart from the borders, by its position modulo the period. Empty if the
        axis is too short to have a whole period of others.
    """

    first: int
    between: int
    last: int
    least: int
    most: int
    cycle: tuple[int, ...]


def reach(
    input_length: int,
    output_length: int,
    kernel: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    *,
    transposed: bool = True,
    padding_mode: str = "zeros",
) -> Reach:
    """Sum `taps_per_output` up, in a time that does not depend on the lengths.

    The counts repeat apart from the borders: what an axis has more than two borders and a period is
    left out, and its unreached outputs are added.

    Examples
    --------
    >>> reach(10**15, 2 * 10**15 + 1, kernel=3, stride=2)
    Reach(first=0, between=0, last=0, least=1, most=2, cycle=(2, 1))
    """
    span, ends = dilation * (kernel - 1) + 1, abs(padding[0]) + abs(padding[1])
    steps = (1, stride) if transposed else (stride, 1)
    kept = 2 * (span + ends) // stride + 5
    left_out = max(0, min(input_length // steps[0], output_length // steps[1]) - kept)
    lengths = input_length - left_out * steps[0], output_length - left_out * steps[1]
    counts = taps_per_output(
        *lengths,
        kernel,
        stride,
        padding,
        dilation,
        transposed=transposed,
        padding_mode=padding_mode,
    )
    if transposed:
        begin, end = span - 1 - padding[0], stride * (lengths[0] - 1) - padding[0] + 1
    else:
        begin, end = -(-padding[0] // stride), (lengths[0] + padding[0] - span) // stride + 1
    if transposed and padding_mode != "zeros":
        begin, end = max(begin, ends + 1), min(end, lengths[1] - ends - 1)
    middle = counts[max(begin, 0) : max(end, 0)]
    cycle = np.roll(middle[: steps[1]], max(begin, 0)) if len(middle) >= steps[1] else middle[:0]
    reached = np.flatnonzero(counts)
    first, last = (reached[0], reached[-1]) if len(reached) else (len(counts), len(counts) - 1)
    return Reach(
        first=int(first),
        between=int(last + 1 - first - len(reached) + left_out * np.count_nonzero(cycle == 0)),
        last=len(counts) - 1 - int(last),
        least=int(counts.min()),
        most=int(counts.max()),
        cycle=tuple(cycle.tolist()),
    )
