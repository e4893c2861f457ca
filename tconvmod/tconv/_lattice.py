"""Along one axis: how many elements of the kernel join an input with an output.

A convolution and a transposed convolution have a large and a small side, and element k of the
kernel joins position v of the small side with position u of the large,

    u = stride*v + dilation*k - padding

as `tconv.reference` says. Here nothing is computed but how often that happens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    u = np.arange(len(whole)) - padding[0]
    if padding_mode != "zeros":
        u = place(u, output_length, padding_mode)
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


def place(u: NDArray[np.intp], length: int, padding_mode: str) -> NDArray[np.intp]:
    """Where in the image the element is that stands at position u of the padded axis."""
    if padding_mode == "circular":
        return u % length
    if padding_mode == "replicate":
        return u.clip(0, length - 1)
    return (length - 1) - abs((length - 1) - abs(u))
