"""Padding with something else than zeros: the border of an image apart from its middle.

What stands at position u of the padded large side is element m(u) of the image,

    circular    u mod L
    replicate   0 if u < 0, L - 1 if u >= L
    reflect     -u if u < 0, 2*(L - 1) - u if u >= L

and u itself in the image. An output of a convolution whose taps all meet the image needs none of
this: the middle, which is computed in place. What is left are thin pieces at the ends of each axis;
the windows they read are copied, a few lines each, and then it is a convolution without padding.

    small from large    each piece of outputs from its window
    weight              the sum of what all pieces of the small side and their windows give
    large from small    what zeros would give; then what reaches the padding at u is added at m(u)

The last is the transpose of the first: with "circular" it is also what a transposed convolution
does, whose overhang goes on at the other end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__: list[str] = []

Ranges = tuple[range, ...]


def fill(
    function: Callable[..., np.ndarray],
    result: np.ndarray,
    arrays: tuple[Any, Any, Any, np.ndarray | None],
    options: dict[str, Any],
    last: dict[str, Any],
) -> None:
    """Compute ``result``; arrays are input, weight, grad_output and bias, None where absent."""
    x, w, gy, bias = arrays
    computes = function.__name__.partition("d_")[2]
    input_layout, _, output_layout = (options.pop("layout") or "").partition("->")
    x = _channels_first(result if computes == "input" else x, input_layout)
    y = _channels_first(gy if computes else result, output_layout or input_layout)
    job = _Job(function, x, result if computes == "weight" else w, y, bias, **options)
    if computes == "weight":
        job.weight_from_both()
    elif job.transposed == (computes == "input"):
        job.small_from_large()
    else:
        job.large_from_small()


def _channels_first(array: np.ndarray, layout: str) -> np.ndarray:
    if not layout.endswith("C"):
        return array
    return np.moveaxis(array, -1, 1 if layout.startswith("N") else 0)


@dataclass(eq=False, repr=False)
class _Job:
    """One call: x, w and y are the forward operation's, and one of them is to be filled."""

    function: Callable[..., np.ndarray]
    x: np.ndarray
    w: np.ndarray
    y: np.ndarray
    bias: np.ndarray | None
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    threads: int
    output_padding: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.transposed = self.function.__name__.startswith("conv_transpose")
        self.rank = len(self.stride)
        self.large, self.small = (self.y, self.x) if self.transposed else (self.x, self.y)
        self.spans = tuple(
            d * (k - 1) + 1 for d, k in zip(self.dilation, self.w.shape[-self.rank :], strict=True)
        )

    def lengths(self, array: np.ndarray) -> tuple[int, ...]:
        return array.shape[-self.rank :]

    def call(
        self, x: np.ndarray, w: np.ndarray, y: np.ndarray, padding: Any = 0, **more: Any
    ) -> np.ndarray:
        """The function, with what it takes of the three: a shape in the place of what it gives."""
        name = self.function.__name__
        options = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        options |= {"padding": padding, "threads": self.threads, **more}
        if name.endswith("_input"):
            return self.function(x.shape, w, y, **options)
        if name.endswith("_weight"):
            return self.function(x, w.shape, y, **options)
        return self.function(x, w, **options)

    # ---- the three contractions ----

    def small_from_large(self) -> None:
        for piece in self.pieces():
            part, window = _cut(self.small, piece), self.window(piece)
            if self.transposed:
                self.call(part, self.w, window, out=part)
            else:
                self.call(window, self.w, part, out=part, bias=self.bias)

    def weight_from_both(self) -> None:
        for number, piece in enumerate(self.pieces()):
            part, window = _cut(self.small, piece), self.window(piece)
            x, y = (part, window) if self.transposed else (window, part)
            self.call(x, self.w, y, out=self.w, accumulate=number > 0)

    def large_from_small(self) -> None:
        more: dict[str, Any] = {}
        if self.transposed:
            more = {"output_padding": self.output_padding, "bias": self.bias}
        self.call(self.x, self.w, self.y, self.padding, out=self.large, **more)
        for region in self.regions():
            reached = self.reached(region)
            if all(reached):
                self.add_region(region, reached)

    # ---- the small side in pieces ----

    def pieces(self) -> Iterator[Ranges]:
        """Ranges of the small side: thin ones at the ends of each axis, the middle at last."""
        middles: Ranges = ()
        rest = tuple(range(n) for n in self.lengths(self.small))
        for axis, whole in enumerate(rest):
            low, middle, high = self.split(axis, whole)
            for end in (low, high):
                if end:
                    yield (*middles, end, *rest[axis + 1 :])
            if not middle:
                return
            middles = (*middles, middle)
        yield middles

    def split(self, axis: int, whole: range) -> tuple[range, range, range]:
        """The positions of an axis before, in and behind those whose taps all meet the image."""
        s, low = self.stride[axis], self.padding[axis][0]
        length = self.lengths(self.large)[axis]
        begin = min(max(-(-low // s), 0), len(whole))
        end = min(max((length + low - self.spans[axis]) // s + 1, begin), len(whole))
        if begin == end:
            return whole, range(0), range(0)
        return whole[:begin], whole[begin:end], whole[end:]

    def window(self, piece: Ranges) -> np.ndarray:
        """What the taps of a piece meet on the padded large side; a view, if that is the image."""
        window = self.large
        for axis, part in enumerate(piece):
            begin = self.stride[axis] * part[0] - self.padding[axis][0]
            end = self.stride[axis] * part[-1] - self.padding[axis][0] + self.spans[axis]
            window = self.take(window, axis, range(begin, end))
        return window

    def take(self, array: np.ndarray, axis: int, positions: range) -> np.ndarray:
        length, at = self.lengths(self.large)[axis], array.ndim - self.rank + axis
        if positions[0] >= 0 and positions[-1] < length:
            return array[(slice(None),) * at + (slice(positions.start, positions.stop),)]
        # np.take would copy all of an array that is not contiguous
        return array[(slice(None),) * at + (found(self.padding_mode, positions, length),)]

    # ---- the padding in regions ----

    def regions(self) -> Iterator[Ranges]:
        """Ranges of the padding: the products of both ends and the middle, the image left out."""
        axes = [
            (range(n), range(-low, 0), range(n, n + high))
            for n, (low, high) in zip(self.lengths(self.large), self.padding, strict=True)
        ]
        middle = tuple(axis[0] for axis in axes)
        for region in itertools.product(*axes):
            if region != middle and all(region):
                yield region

    def reached(self, region: Ranges) -> Ranges:
        """The positions of the small side that reach the region."""
        return tuple(
            range(
                max(0, -(-(u[0] + low - span + 1) // s)),
                max(0, min(n, (u[-1] + low) // s + 1)),
            )
            for u, (low, _), span, s, n in zip(
                region,
                self.padding,
                self.spans,
                self.stride,
                self.lengths(self.small),
                strict=True,
            )
        )

    def add_region(self, region: Ranges, reached: Ranges) -> None:
        """Add what reaches the region where its elements are found in the image."""
        sides = []
        for axis, (u, v) in enumerate(zip(region, reached, strict=True)):
            s, low = self.stride[axis], self.padding[axis][0]
            before = low + u[0] - s * v[0]
            sides.append((before, s * (len(v) - 1) + self.spans[axis] - len(u) - before))
        part = _cut(self.small, reached)
        shape = self.large.shape[: -self.rank] + tuple(map(len, region))
        like = np.broadcast_to(self.large.dtype.type(0), shape)
        x, y = (part, like) if self.transposed else (like, part)
        self.add_found(region, self.call(x, self.w, y, tuple(sides)))

    def add_found(self, region: Ranges, part: np.ndarray) -> None:
        target: list[Any] = [...]
        for axis, (u, n) in enumerate(zip(region, self.lengths(self.large), strict=True)):
            at, places = part.ndim - self.rank + axis, found(self.padding_mode, u, n)
            if len(u) > 1 and places[0] == places[1]:
                part, places = part.sum(at, keepdims=True), places[:1]
            elif len(u) > 1 and places[0] > places[1]:
                part, places = np.flip(part, at), places[::-1]
            target.append(slice(places[0], places[-1] + 1))
        self.large[tuple(target)] += part


def found(padding_mode: str, positions: range, length: int) -> np.ndarray:
    """m(u) of the positions u: the elements of an axis that lie there, in its padding too."""
    u = np.asarray(positions)
    if padding_mode == "circular":
        return u % length
    if padding_mode == "replicate":
        return u.clip(0, length - 1)
    reflected: np.ndarray = (length - 1) - abs((length - 1) - abs(u))
    return reflected


def _cut(array: np.ndarray, ranges: Ranges) -> np.ndarray:
    at: list[Any] = [..., *(slice(positions.start, positions.stop) for positions in ranges)]
    part: np.ndarray = array[tuple(at)]
    return part
