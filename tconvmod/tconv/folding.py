"""Images as the columns under a kernel, and back: `unfold`, `fold` and `overlap_add`.

Along a spatial axis, element ``k`` of the kernel at its position ``v`` meets element ``u`` of the
image:

    u = stride*v + dilation*k - padding

`unfold` copies ``image[u]`` to ``columns[k, v]``, and `fold` adds ``columns[k, v]`` to
``image[u]``; pairs whose ``u`` is outside take no part. Each is the other's transpose.

The pairs (v, k) inside form a band, which `_Axis.boxes` covers with a few products of two ranges.
In such a product ``u`` is linear in ``v`` and ``k``, so all that it meets is one strided view of
the image, and the image is never padded. Over several axes, the products are those of the axes'.

`unfold` may meet an element many times. `fold` must not, within one addition: it takes elements of
the kernel together only as long as they cover less than a stride.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import ArrayLike, NDArray

from ._arguments import SPATIAL, Ints, Padding, read_array, read_int, read_ints, read_padding

__all__ = ["fold", "overlap_add", "unfold"]


def unfold(
    input: ArrayLike,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Padding = 0,
    stride: Ints = 1,
    *,
    layout: str | None = None,
) -> NDArray[Any]:
    """The parts of an image that a kernel meets, a column for each of its positions.

    It is torch's ``unfold`` (im2col) for 1, 2 and 3 spatial axes: a convolution is the product of
    its flattened weight and these columns.

    Parameters
    ----------
    input : array_like
        ``(N, C, *spatial)``, or ``(C, *spatial)``; of any dtype.
    kernel_size : int or sequence of int
        A sequence has an int for each spatial axis, and its length says how many there are. With
        an int they are all axes of `input` but the first two: `input` has a batch, unless `layout`
        says otherwise.
    dilation, stride : int or sequence of int
        The distance of the kernel's elements, and of its positions.
    padding : int, sequence of int, sequence of pairs, or str
        As for `tconv.conv2d`: what is beyond the edges counts as zeros, and negative numbers in a
        pair (before, after) crop the image.
    layout : str, optional
        The order of the axes of `input`, such as ``"NHWC"`` or ``"LC"``. The columns' channels are
        where those of the image are; in ``"NHWC->NCHW"`` the second order is that of the columns.

    Returns
    -------
    ndarray
        (N, C*prod(kernel_size), L), or without N, where L counts the positions. With channels last
        (N, L, C*prod(kernel_size)). Channels come before the kernel's elements in either order, as
        in ``weight.reshape(len(weight), -1)``.

    Raises
    ------
    TypeError
        For arguments of the wrong type.
    ValueError
        For values out of range, shapes that do not fit together, and a kernel larger than the
        padded image.

    See Also
    --------
    fold : The transpose of this linear map, and so its gradient.

    Notes
    -----
    Along an axis there are ``floor((n + 2*padding - dilation*(k - 1) - 1)/stride) + 1`` positions.
    The columns take prod(kernel_size) times the memory of the image, which `tconv.conv2d` does
    without. They were introduced in K. Chellapilla, S. Puri, P. Simard, High performance
    convolutional neural networks for document processing (2006).

    Examples
    --------
    >>> import numpy as np, tconv
    >>> tconv.unfold([[[1, 2, 3, 4, 5]]], 3, padding=1, stride=2)
    array([[[0, 2, 4],
            [1, 3, 5],
            [2, 4, 0]]])

    Convolutions, with channels first and last:

    >>> x, w = np.arange(48.0).reshape(1, 3, 4, 4), np.arange(24.0).reshape(2, 3, 2, 2)
    >>> y = w.reshape(2, -1) @ tconv.unfold(x, (2, 2))
    >>> np.array_equal(y.reshape(1, 2, 3, 3), tconv.conv2d(x, w))
    True
    >>> x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    >>> y = tconv.unfold(x, (2, 2), layout="NHWC") @ w.reshape(2, -1).T
    >>> np.array_equal(y.reshape(1, 3, 3, 2), tconv.conv2d(x, w, layout="NHWC"))
    True
    """
    x = read_array("unfold", "input", input)
    options = {
        "kernel_size": kernel_size,
        "dilation": dilation,
        "padding": padding,
        "stride": stride,
    }
    call = _Call("unfold", x.shape, layout, options)
    rank = _rank_of_image(call)
    order = call.order(rank, single=rank + 1)
    image = _channels_first(x if order.batched else x[None], order.input_last)
    if 0 in image.shape[1:]:
        raise call.refusal("input must not have channels or a spatial axis of length 0")
    axes = call.axes(rank, image.shape[2:])
    n, c = image.shape[:2]
    length, size = prod(a.positions for a in axes), c * prod(a.kernel for a in axes)
    columns = call.zeros((n, length, size) if order.output_last else (n, size, length), x.dtype)
    windows = _split(columns, c, axes, order.output_last)
    for boxes in itertools.product(*(axis.boxes(range(axis.kernel)) for axis in axes)):
        windows[_index(boxes)] = _met(image, axes, boxes)
    return columns if order.batched else columns[0]


def fold(
    input: ArrayLike,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Padding = 0,
    stride: Ints = 1,
    *,
    layout: str | None = None,
) -> NDArray[Any]:
    """Add columns up to the image that `unfold` would take them from.

    It is torch's ``fold`` (col2im) for 1, 2 and 3 spatial axes: a transposed convolution is the
    fold of the product of its flattened weight and its input.

    Parameters
    ----------
    input : array_like
        (N, C*prod(kernel_size), L), or (C*prod(kernel_size), L); of any dtype that can be added.
        L is the number of the kernel's positions.
    output_size : int or sequence of int
        The spatial lengths of the image. Either this or `kernel_size` must be a sequence, with an
        int for each spatial axis, if there is no `layout`: columns do not show how many there are.
    kernel_size, dilation, padding, stride
        As for `unfold`.
    layout : str, optional
        The order of the axes of the image, such as ``"NHWC"`` or ``"LC"``. With channels last, the
        input is (N, L, C*prod(kernel_size)); in ``"NHWC->NCHW"`` the first order is that of the
        columns.

    Returns
    -------
    ndarray
        ``(N, C, *output_size)`` in the order of `layout`, without N if the input is.

    Raises
    ------
    TypeError
        For arguments of the wrong type, and for dtypes that cannot be added.
    ValueError
        For values out of range and shapes that do not fit together.

    See Also
    --------
    unfold : The transpose of this linear map, and so its gradient.
    overlap_add : The same for the frames of a signal.

    Notes
    -----
    Sums are in the dtype of the input: integers wrap around, and booleans tell whether any was
    true. An element of the image is counted as often as the kernel meets it. ``fold(unfold(x))`` is
    ``x`` times ``fold(unfold(ones))``, by which one divides to take an average instead.

    Examples
    --------
    >>> import numpy as np, tconv
    >>> columns = tconv.unfold([[[1, 2, 3, 4, 5]]], 3)
    >>> tconv.fold(columns, (5,), 3)
    array([[[1, 4, 9, 8, 5]]])
    >>> tconv.fold(tconv.unfold(np.ones((1, 1, 5), int), 3), (5,), 3)
    array([[[1, 2, 3, 2, 1]]])

    A transposed convolution:

    >>> x, w = np.arange(8.0).reshape(1, 2, 2, 2), np.arange(54.0).reshape(2, 3, 3, 3)
    >>> columns = w.reshape(2, -1).T @ x.reshape(1, 2, -1)
    >>> y = tconv.fold(columns, (5, 5), (3, 3), stride=2)
    >>> np.array_equal(y, tconv.conv_transpose2d(x, w, stride=2))
    True
    """
    x = read_array("fold", "input", input)
    _check_sums("fold", "input", x.dtype)
    options = {
        "output_size": output_size,
        "kernel_size": kernel_size,
        "dilation": dilation,
        "padding": padding,
        "stride": stride,
    }
    call = _Call("fold", x.shape, layout, options)
    rank = _rank_of_columns(call)
    order = call.order(rank, single=2)
    lengths = call.per_axis("output_size", rank, least=1)
    axes = call.axes(rank, lengths)
    columns = x if order.batched else x[None]
    n, c = len(columns), _channels(call, order, axes)
    result = call.zeros((n, *lengths, c) if order.output_last else (n, c, *lengths), x.dtype)
    image = _channels_first(result, order.output_last)
    windows = _split(columns, c, axes, order.input_last)
    for boxes in itertools.product(*(axis.disjoint_boxes() for axis in axes)):
        met = _met(image, axes, boxes)
        met += windows[_index(boxes)]
    return result if order.batched else result[0]


def overlap_add(
    frames: ArrayLike, hop: SupportsIndex, window: ArrayLike | None = None
) -> NDArray[Any]:
    """Add the frames of a signal up where they overlap.

    Parameters
    ----------
    frames : array_like
        (..., frame_length, n_frames), the order of librosa, of SciPy's and torch's short-time
        Fourier transforms, and of `unfold`; of any dtype that can be added. Frames of shape
        (..., n_frames, frame_length), as TensorFlow and `numpy.lib.stride_tricks` have them, are
        passed as ``frames.swapaxes(-1, -2)``: nothing is copied, and it is the faster order.
    hop : int
        The distance of the beginnings of two frames. It may exceed their length; there are zeros
        in between.
    window : array_like, optional
        (frame_length,): each frame is multiplied by it before it is added.

    Returns
    -------
    ndarray
        (..., (n_frames - 1)*hop + frame_length), in the dtype of ``frames * window``.

    Raises
    ------
    TypeError
        For arguments of the wrong type, and for dtypes that cannot be added.
    ValueError
        For values out of range and shapes that do not fit together.

    See Also
    --------
    fold : The same in more dimensions, with padding.

    Notes
    -----
    Of frames (N, frame_length, n_frames) it is
    ``tconv.conv_transpose1d(frames, weight, stride=hop)`` with the weight
    ``np.diag(window)[:, None]``, of shape (frame_length, 1, frame_length).

    The frames that a signal was cut into with one window, and that are added with the same one, sum
    up to the signal times the sum of the squared windows that cover it. Dividing by that sum
    restores the signal, and of altered frames makes the signal whose frames are nearest to them.
    Source: D. W. Griffin, J. S. Lim, Signal estimation from modified short-time Fourier transform,
    IEEE Transactions on Acoustics, Speech, and Signal Processing 32 (1984).

    Examples
    --------
    >>> import numpy as np, tconv
    >>> tconv.overlap_add([[1, 10], [2, 20], [3, 30]], 2)        # the frames 1 2 3 and 10 20 30
    array([ 1,  2, 13, 20, 30])

    A signal, cut and restored; only its first element, where the window is zero, is lost:

    >>> signal, window = np.arange(1.0, 13), np.sin(np.pi * np.arange(4) / 4)
    >>> frames = tconv.unfold(signal[None], (4,), stride=2) * window[:, None]
    >>> covered = tconv.overlap_add(np.ones_like(frames), 2, window**2)
    >>> restored = tconv.overlap_add(frames, 2, window)[1:] / covered[1:]
    >>> bool(np.allclose(restored, signal[1:]))
    True
    """
    x = read_array("overlap_add", "frames", frames)
    step = read_int("overlap_add", "hop", hop)
    shape = f"Got frames {x.shape}, hop={step}"
    if x.ndim < 2:
        raise ValueError(
            "overlap_add: frames must have the dimensions (..., frame_length, n_frames), "
            f"got {x.ndim}. {shape}."
        )
    length, count = x.shape[-2:]
    if length < 1 or count < 1:
        raise ValueError(f"overlap_add: there must be frames, and of length >= 1. {shape}.")
    if step < 1:
        raise ValueError(f"overlap_add: hop must be >= 1, got {step}. {shape}.")
    w = None if window is None else read_array("overlap_add", "window", window)
    if w is not None and w.shape != (length,):
        raise ValueError(
            f"overlap_add: window must have shape ({length},), the frame_length, got {w.shape}. "
            f"{shape}, window {w.shape}."
        )
    return _overlap_add(x, step, w)


def _overlap_add(x: NDArray[Any], hop: int, window: NDArray[Any] | None) -> NDArray[Any]:
    """A hop of every frame at a time: these do not overlap."""
    *batch, length, count = x.shape
    dtype = x.dtype if window is None else np.result_type(x, window)
    _check_sums("overlap_add", "frames", dtype)
    try:
        signal = np.zeros((*batch, (count - 1) * hop + length), dtype.newbyteorder("="))
    except ValueError as error:
        raise ValueError(
            f"overlap_add: the result would be too big. Got frames {x.shape}, hop={hop}."
        ) from error
    *outer, step = signal.strides
    strides = (*outer, _stride(count, hop, step), step)
    for begin in range(0, length, hop):
        part = x[..., begin : begin + hop, :].swapaxes(-1, -2)
        places = as_strided(signal[..., begin:], part.shape, strides)
        places += part if window is None else part * window[begin : begin + hop]
    return signal


# ---- one axis ----

# With so many elements of the kernel in a stride, `fold` adds them together, with fewer one by one:
# NumPy spends about as long on beginning a row as on this many of its elements.
_ROW = 8

_Box = tuple[range, range]


class _Axis(NamedTuple):
    """A spatial axis of an image, and the kernel's way along it."""

    length: int
    kernel: int
    stride: int
    dilation: int
    padding: int  # before the image
    positions: int

    def boxes(self, elements: range) -> list[_Box]:
        """Where these elements of the kernel meet the image: (positions, elements).

        The positions at which all of them do are one box, and each other position is one; or each
        element is one, where these are fewer.
        """
        whole = self._positions_inside(elements)
        if self.positions - len(whole) > len(elements):
            singles = [range(k, k + 1) for k in elements]
            boxes = [(self._positions_inside(single), single) for single in singles]
        else:
            borders = (*range(whole.start), *range(whole.stop, self.positions))
            boxes = [(range(v, v + 1), self._elements_inside(v, elements)) for v in borders]
            boxes.append((whole, elements))
        return [box for box in boxes if all(box)]

    def disjoint_boxes(self) -> list[_Box]:
        """Where the kernel meets the image, in boxes none of which meets a place twice."""
        together = -(-self.stride // self.dilation)
        step = together if together >= _ROW else 1
        parts = [range(k, min(k + step, self.kernel)) for k in range(0, self.kernel, step)]
        return [box for part in parts for box in self.boxes(part)]

    def first_met(self, box: _Box) -> int:
        positions, elements = box
        return self.stride * positions[0] + self.dilation * elements[0] - self.padding

    def _positions_inside(self, elements: range) -> range:
        """The positions at which all of these elements meet the image."""
        begin, end = (self.padding - self.dilation * k for k in (elements[0], elements[-1]))
        first = max(0, -(-begin // self.stride))
        last = min(self.positions - 1, (self.length - 1 + end) // self.stride)
        return range(first, last + 1) if first <= last else range(0)

    def _elements_inside(self, position: int, elements: range) -> range:
        """Those of these elements that meet the image at this position."""
        begin = self.padding - self.stride * position
        first = max(elements[0], -(-begin // self.dilation))
        last = min(elements[-1], (self.length - 1 + begin) // self.dilation)
        return range(first, last + 1)


# ---- all axes ----


def _met(image: NDArray[Any], axes: Sequence[_Axis], boxes: Sequence[_Box]) -> NDArray[Any]:
    """What the boxes meet in (N, C, *spatial), as a view (N, C, *positions, *elements)."""
    corner: tuple[Any, ...] = tuple(
        slice(axis.first_met(box), None) for axis, box in zip(axes, boxes, strict=True)
    )
    distances = [axis.stride for axis in axes] + [axis.dilation for axis in axes]
    outer, spatial = image.strides[:2], image.strides[2:]
    lengths = [len(part) for part in _positions_then_elements(boxes)]
    strides = [_stride(*of_part) for of_part in zip(lengths, distances, spatial * 2, strict=True)]
    return as_strided(image[(..., *corner)], (*image.shape[:2], *lengths), (*outer, *strides))


def _stride(length: int, distance: int, stride: int) -> int:
    """In bytes; the distance of one thing to the next may be anything where there is no next."""
    return distance * stride if length > 1 else stride


def _index(boxes: Sequence[_Box]) -> tuple[Any, ...]:
    """The boxes in (N, C, *positions, *elements)."""
    return (..., *(slice(part.start, part.stop) for part in _positions_then_elements(boxes)))


def _positions_then_elements(boxes: Sequence[_Box]) -> list[range]:
    return [box[side] for side in (0, 1) for box in boxes]


def _split(columns: NDArray[Any], c: int, axes: Sequence[_Axis], last: bool) -> NDArray[Any]:
    """Columns of three dimensions as a view (N, C, *positions, *elements)."""
    n, rank = len(columns), len(axes)
    positions, kernel = [axis.positions for axis in axes], [axis.kernel for axis in axes]
    if last:
        return np.moveaxis(columns.reshape(n, *positions, c, *kernel), rank + 1, 1)
    split = columns.reshape(n, c, *kernel, *positions)
    return split.transpose(0, 1, *range(rank + 2, 2 * rank + 2), *range(2, rank + 2))


def _channels_first(image: NDArray[Any], last: bool) -> NDArray[Any]:
    return np.moveaxis(image, -1, 1) if last else image


# ---- arguments ----

# Name: rank, whether there is a batch, whether channels come last.
_LAYOUTS = {
    batch + axes: (rank, bool(batch), axes.endswith("C"))
    for rank, spatial in SPATIAL.items()
    for batch in ("N", "")
    for axes in (f"C{spatial}", f"{spatial}C")
}


class _Order(NamedTuple):
    """The order of axes on both sides of a call."""

    rank: int
    batched: bool
    input_last: bool = False
    output_last: bool = False


def _read_layout(function: str, layout: Any) -> _Order:
    """One name, or two with an arrow between them that differ in the channels' place at most."""
    if not isinstance(layout, str):
        raise TypeError(f"{function}: layout must be a string, got {type(layout).__name__}")
    sides = [_LAYOUTS.get(side) for side in layout.split("->")]
    first, last = sides[0], sides[-1]
    if len(sides) > 2 or first is None or last is None or first[:2] != last[:2]:
        names = ", ".join(map(repr, _LAYOUTS))
        raise ValueError(
            f"{function}: layout must be one of {names}, or two of them as in 'NHWC->NCHW', "
            f"got {layout[:40]!r}"
        )
    return _Order(*first, last[2])


class _Call:
    """What `unfold` or `fold` was called with, and how it is refused."""

    def __init__(
        self, function: str, shape: tuple[int, ...], layout: str | None, options: dict[str, Any]
    ) -> None:
        self.function, self.shape, self.layout = function, shape, layout
        self.order_given = None if layout is None else _read_layout(function, layout)
        self.options = {
            name: read_padding(function, value)
            if name == "padding"
            else read_ints(function, name, value)
            for name, value in options.items()
        }

    def refusal(self, what: str, hint: str = "") -> ValueError:
        order = "" if self.layout is None else f" [{self.layout}]"
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return ValueError(
            f"{self.function}: {what}. Got input {self.shape}{order}, {options}.{hint}"
        )

    def named_rank(self) -> int | None:
        """The rank of the layout, or the number of ints for a size, if there is either."""
        if self.order_given is not None:
            return self.order_given.rank
        for name in ("output_size", "kernel_size"):
            value = self.options.get(name)
            if isinstance(value, tuple):
                if len(value) not in SPATIAL:
                    rule = "an int or a sequence of 1 to 3 ints"
                    raise self.refusal(f"{name} must be {rule}, got {len(value)}")
                return len(value)
        return None

    def order(self, rank: int, single: int) -> _Order:
        """Of arrays that have `single` dimensions without a batch."""
        given, dimensions = self.order_given, len(self.shape)
        order = given or _Order(rank, dimensions == single + 1)
        if dimensions != single + order.batched:
            wanted = (
                f"the {single + order.batched} dimensions of layout {self.layout!r}"
                if given
                else f"{single + 1} dimensions, or {single} without a batch"
            )
            raise self.refusal(f"input must have {wanted}, got {dimensions}")
        return order

    def per_axis(self, name: str, rank: int, least: int) -> tuple[Any, ...]:
        """One value an axis; or one pair, either number of which may be negative."""
        value = self.options[name]
        values = value if isinstance(value, tuple) else (value,)
        if len(values) not in (1, rank):
            raise self.refusal(
                f"{name} must be an int or a sequence of {rank} ints, got {len(values)}",
                _about_ints(self),
            )
        values = values * (rank // len(values))
        for axis, item in enumerate(values):
            if isinstance(item, int) and item < least:
                raise self.refusal(f"{name} must be >= {least} (axis {axis}), got {item}")
        return values

    def axes(self, rank: int, lengths: Sequence[int]) -> list[_Axis]:
        kernel, stride, dilation = (
            self.per_axis(name, rank, least=1) for name in ("kernel_size", "stride", "dilation")
        )
        padding: Any = self.options["padding"]
        if isinstance(padding, str):
            padding = (padding,) * rank
        else:
            padding = self.per_axis("padding", rank, least=0)
        by_axis = zip(lengths, kernel, stride, dilation, padding, strict=True)
        return [self._axis(number, *values) for number, values in enumerate(by_axis)]

    def _axis(self, number: int, n: int, k: int, s: int, d: int, padding: Any) -> _Axis:
        covered = d * (k - 1) + 1
        before, after = _sides(padding, n, s, covered)
        room = n + before + after - covered
        if room < 0:
            raise self.refusal(
                f"the kernel does not fit in the padded image (axis {number}): it covers "
                f"{d}*({k} - 1) + 1 = {covered} of {n} + {before} + {after}",
                _about_ints(self),
            )
        return _Axis(n, k, s, d, before, room // s + 1)

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        try:
            return np.zeros(shape, dtype.newbyteorder("="))
        except ValueError as error:
            raise self.refusal(f"the result would be too big, {shape}") from error


def _sides(padding: Any, n: int, stride: int, covered: int) -> tuple[int, int]:
    """The padding before and after an axis of length n, from a number, a pair or a rule."""
    if isinstance(padding, tuple):
        return padding[0], padding[1]
    if isinstance(padding, int):
        return padding, padding
    if padding == "valid":
        return 0, 0
    missing = max((-(-n // stride) - 1) * stride + covered - n, 0)
    less, more = missing // 2, missing - missing // 2
    return (less, more) if padding == "same" else (more, less)


def _rank_of_image(call: _Call) -> int:
    """The number of spatial axes of what `unfold` takes."""
    rank = call.named_rank()
    if rank is None:
        rank = len(call.shape) - 2
        if rank not in SPATIAL:
            raise call.refusal(
                f"input must have 3 to 5 dimensions, (N, C, *spatial), got {len(call.shape)}",
                _about_ints(call),
            )
    return rank


def _rank_of_columns(call: _Call) -> int:
    """The number of spatial axes of what `fold` gives."""
    rank = call.named_rank()
    if rank is None:
        size = call.options["output_size"]
        raise call.refusal(
            "output_size or kernel_size must be a tuple with an int for each spatial axis, or a "
            "layout be given: columns do not show how many axes the image has",
            f" For 1 axis pass output_size=({size},), for 2 output_size=({size}, {size}).",
        )
    return rank


def _about_ints(call: _Call) -> str:
    """How to say that there is no batch, where an int was taken to say that there is one."""
    rank = len(call.shape) - 1
    if call.named_rank() is not None or rank not in SPATIAL:
        return ""
    size = (call.options["kernel_size"],) * rank
    return (
        " An int for kernel_size means that input has a batch; if it has none, pass "
        f"kernel_size={size} or layout='C{SPATIAL[rank]}'."
    )


def _channels(call: _Call, order: _Order, axes: Sequence[_Axis]) -> int:
    """The image's channels, after the check that the columns are as many as the positions."""
    kernel, positions = [axis.kernel for axis in axes], [axis.positions for axis in axes]
    rows, columns = call.shape[-2:][:: -1 if order.input_last else 1]
    if rows < 1 or rows % prod(kernel):
        raise call.refusal(
            f"the channels of input must be a multiple of the {prod(kernel)} elements of the "
            f"kernel, got {rows}"
        )
    if columns != prod(positions):
        raise call.refusal(
            f"input must have {prod(positions)} columns, one for each position of the kernel "
            f"({' x '.join(map(str, positions))}), got {columns}"
        )
    return rows // prod(kernel)


def _check_sums(function: str, name: str, dtype: np.dtype[Any]) -> None:
    """That two of this dtype add up to a third."""
    try:
        closed = np.add.resolve_dtypes((dtype, dtype, None))[2] == dtype.newbyteorder("=")
    except TypeError:
        closed = False
    if not closed:
        raise TypeError(f"{function}: {name} has dtype {dtype}, which cannot be added up")
