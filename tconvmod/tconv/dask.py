"""Convolution and transposed convolution of Dask arrays: beyond memory, beyond one machine.

Along a spatial axis, element ``k`` of the kernel joins position ``v`` of the small side with
position ``u`` of the large side (the input of conv, the output of conv_transpose):

    u = stride*v + dilation*k - padding

So a range of the output needs one range of the input, its window, and is what the same operation
makes of that window with another padding: a negative one where the range goes on beyond what the
window reaches. Each chunk of the result is one such call, which reads what its elements need and
nothing else, wherever the chunks of the input end.

>>> import dask.array as da, numpy as np, tconv.dask
>>> x = da.ones((1, 1, 1000, 1000), chunks=(1, 1, 300, 300), dtype=np.float32)
>>> w = np.ones((1, 1, 4, 4), np.float32)
>>> y = tconv.dask.conv_transpose2d(x, w, stride=2, padding=1)
>>> y.shape, y.chunks[2]
((1, 1, 2000, 2000), (600, 600, 600, 200))
>>> float(y[0, 0, 1000:1010, 500].sum().compute())
40.0
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

import tconv

from ._arguments import default_layout
from ._borders import found

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

# A range of the input, and the padding on its two sides.
Window = tuple[range, tuple[int, int]]

# What `tconv.explain` takes of the options, and what the windows say in their place.
_RESOLVED = frozenset({"padding", "padding_mode", "output_padding", "output_size"})
_EXPLAINED = _RESOLVED | {"stride", "dilation", "groups"}

_DOC = """`tconv.{name}` of a Dask array, computed by chunks when the result is.

    Parameters
    ----------
    input : dask.array.Array or array_like
        As for `tconv.{name}`, in any chunks.
    weight, bias : dask.array.Array or array_like
        As for `tconv.{name}`. Every task takes the whole weight.
    chunks : int, sequence or str, optional
        The chunks of the result along its spatial axes, as Dask writes them. Without it they end
        where those of `input` do. Along the batch they are those of `input`; the channels of the
        result are one chunk.
    threads : int
        The threads of a task. With 1 the scheduler alone spreads the work.
    *arguments, **options
        The other arguments of `tconv.{name}`, by their positions there or by their names; all but
        `out` and `accumulate`.

    Returns
    -------
    dask.array.Array
        Whole numbers as of one call; other numbers within the rounding of their sums. Where the
        channels of `input` lie in several chunks, each adds its sum to the result.

    Raises
    ------
    TypeError, ValueError
        At once, as by `tconv.{name}`, for what shapes and dtypes tell.

    See Also
    --------
    tconv.{name}
    """


def _operation(name: str) -> Callable[..., da.Array]:
    parameters = inspect.signature(getattr(tconv, name)).parameters.values()
    _, _, _, *positional = (p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    def operation(
        input: Any,
        weight: Any,
        bias: Any = None,
        *arguments: Any,
        chunks: Any = None,
        threads: int = 1,
        **options: Any,
    ) -> da.Array:
        if len(arguments) > len(positional):
            raise TypeError(
                f"{name}: takes {3 + len(positional)} arguments by position, "
                f"got {3 + len(arguments)}"
            )
        for argument, value in zip(positional, arguments, strict=False):
            if argument in options:
                raise TypeError(f"{name}: got two values for {argument}")
            options[argument] = value
        for argument in {"out", "accumulate"} & set(options):
            raise TypeError(f"{name}: {argument} has no meaning for a result that is not there yet")
        return _Call(name, (input, weight, bias), threads, **options).result(chunks)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = _DOC.format(name=name)
    return operation


@dataclass(frozen=True)
class _Axis:
    """A spatial axis: which ranges of the input a range of the output needs."""

    transposed: bool
    mode: str  # what the padding is
    stride: int
    span: int
    padding: int  # before
    input: int
    output: int

    def windows(self, part: range) -> Iterator[Window]:
        if not self.transposed:
            yield from self.gathered(part)
        elif self.mode == "zeros":
            yield from self.scattered(part.start, part.stop)
        else:
            reach = self.stride * (self.input - 1) + self.span - self.padding
            for turn in range(-(self.padding // self.output + 1), reach // self.output + 1):
                at = turn * self.output
                yield from self.scattered(part.start + at, part.stop + at)

    def gathered(self, part: range) -> Iterator[Window]:
        begin = self.stride * part[0] - self.padding
        end = self.stride * part[-1] - self.padding + self.span
        inside = range(max(begin, 0), min(end, self.input))
        if self.mode != "zeros":
            yield range(begin, end), (0, 0)
        elif inside:
            yield inside, (inside.start - begin, end - inside.stop)

    def scattered(self, begin: int, end: int) -> Iterator[Window]:
        first = max(0, -(-(begin + self.padding - self.span + 1) // self.stride))
        last = min(self.input - 1, (end - 1 + self.padding) // self.stride)
        if first <= last:
            low = begin + self.padding - self.stride * first
            full = self.stride * (last - first) + self.span
            yield range(first, last + 1), (low, full - low - (end - begin))

    def nothing(self, part: range) -> Window:
        """A window for a part that no element of the input reaches, and which crops that, too."""
        first = range(min(1, self.input))
        if self.transposed:
            return first, (self.span, -len(part))
        return first, (self.stride * (len(part) - 1) + self.span, -len(first))

    def parts(self, chunks: Sequence[int]) -> list[range]:
        """The output, cut where the middle of the kernel goes from chunk to chunk of the input."""
        cuts = np.cumsum(chunks)[:-1]
        if self.transposed:
            cuts = self.stride * cuts - self.padding + (self.span - self.stride) // 2
        else:
            cuts = (cuts + self.padding - self.span // 2) // self.stride
        return _ranges(np.unique(cuts.clip(0, self.output)).tolist(), self.output)


class _Call:
    """One call: its arrays, the orders of their axes, and what makes a part of its result."""

    def __init__(
        self,
        name: str,
        arrays: Sequence[Any],
        threads: int | None,
        layout: str | None = None,
        **options: Any,
    ) -> None:
        self.name, self.options = name, options
        input, weight, bias = arrays
        self.input: da.Array = da.asarray(input)
        self.weight: da.Array = da.asarray(weight).rechunk(-1)
        self.bias: da.Array | None = None if bias is None else da.asarray(bias).rechunk(-1)
        if layout is None:
            rank = int(name[-2])
            layout = default_layout(rank, batched=self.input.ndim == rank + 2)
        self.order, _, order = layout.partition("->")
        self.result_order = order or self.order
        self.spatial = self.order.translate({ord("N"): None, ord("C"): None})
        result = self.result_of_no_batch()
        self.meta = np.empty((0,) * len(self.result_order), result.dtype)
        self.channels = result.shape[self.result_order.index("C") - len(self.result_order)]
        self.axes = self.explained_axes()
        self.constants = {
            "activation": None,
            **{key: value for key, value in options.items() if key not in _RESOLVED},
            "layout": f"{self.order}->{self.result_order}",
            "threads": threads,
        }

    # ---- what would be ----

    def result_of_no_batch(self) -> np.ndarray:
        """The result for no images at all: here arguments that do not fit are found."""
        if np.isnan((*self.input.shape, *self.weight.shape)).any():
            raise ValueError(
                f"{self.name}: the shapes must be known, got input {self.input.shape} and weight "
                f"{self.weight.shape}; call compute_chunk_sizes() of the array"
            )
        image = self.input.shape["N" in self.order :]
        layout = "->".join("N" + order.lstrip("N") for order in (self.order, self.result_order))
        weight, bias = (
            None if array is None else np.broadcast_to(np.zeros((), array.dtype), array.shape)
            for array in (self.weight, self.bias)
        )
        return getattr(tconv, self.name)(
            np.empty((0, *image), self.input.dtype), weight, bias, layout=layout, **self.options
        )

    def explained_axes(self) -> list[_Axis]:
        """The numbers of the call, the padding's rules put in."""
        known = {key: self.options[key] for key in _EXPLAINED & set(self.options)}
        shapes = (self.input.shape, self.weight.shape)
        layout = f"{self.order}->{self.result_order}"
        facts = tconv.explain(
            self.name, *shapes, str(self.input.dtype), layout=layout, **known
        ).facts
        spans = (d * (k - 1) + 1 for d, k in zip(facts["dilation"], facts["kernel"], strict=True))
        return [
            _Axis(
                self.name.startswith("conv_transpose"),
                self.options.get("padding_mode", "zeros"),
                *axis,
            )
            for axis in zip(
                facts["stride"],
                spans,
                facts["padding"],
                facts["input_lengths"],
                facts["output_lengths"],
                strict=True,
            )
        ]

    # ---- the graph ----

    def result(self, chunks: Any) -> da.Array:
        lengths = [axis.output for axis in self.axes]
        if chunks is None:
            own = [self.input.chunks[self.order.index(letter)] for letter in self.spatial]
            parts = [axis.parts(chunk) for axis, chunk in zip(self.axes, own, strict=True)]
        else:
            given = da.core.normalize_chunks(chunks, lengths, dtype=self.meta.dtype)
            cuts = (np.cumsum(chunk)[:-1].tolist() for chunk in given)
            parts = [_ranges(*cut) for cut in zip(cuts, lengths, strict=True)]
        return self.joined(parts, ())

    def joined(self, parts: list[list[range]], block: tuple[range, ...]) -> da.Array:
        """All parts with these ranges along the first axes."""
        if len(block) == len(parts):
            return self.part(block)
        pieces = [self.joined(parts, (*block, part)) for part in parts[len(block)]]
        return da.concatenate(pieces, self.result_order.index(self.spatial[len(block)]))

    def part(self, block: tuple[range, ...]) -> da.Array:
        """One part of the result along the spatial axes: a task for each chunk of the batch."""
        windows = [
            list(axis.windows(part)) or [axis.nothing(part)]
            for axis, part in zip(self.axes, block, strict=True)
        ]
        pieces, terms = [], []
        for window, channels in itertools.product(
            itertools.product(*windows), self.input_channels()
        ):
            pieces.append(self.piece(channels, [positions for positions, _ in window]))
            terms.append((channels, [sides for _, sides in window]))
        lengths = dict(zip(self.spatial, map(len, block), strict=True))
        lengths["C"] = self.channels
        return da.blockwise(
            partial(_sum_of_calls, self.name, terms),
            self.result_order,
            *(self.weight, "oidhw"[: self.weight.ndim]),
            *(self.bias, None if self.bias is None else "b"),
            *itertools.chain.from_iterable((piece, self.order) for piece in pieces),
            token=self.name,
            adjust_chunks=lengths,
            align_arrays=False,
            concatenate=True,
            meta=self.meta,
            **self.constants,
        )

    def input_channels(self) -> list[range]:
        """The channels of the input, by its chunks if their order in the weight is the same."""
        chunks = self.input.chunks[self.order.index("C")]
        cuts = np.cumsum(chunks)[:-1].tolist() if self.options.get("groups", 1) == 1 else []
        return _ranges(cuts, sum(chunks))

    def piece(self, channels: range, window: list[range]) -> da.Array:
        """A window of the input in one chunk, but for the batch."""
        piece = self.input
        for letter, positions in zip("C" + self.spatial, (channels, *window), strict=True):
            at = self.order.index(letter)
            length = piece.shape[at]
            if positions.start >= 0 and positions.stop <= length:
                piece = piece[(slice(None),) * at + (slice(positions.start, positions.stop),)]
            else:
                mode = self.options["padding_mode"]
                piece = da.take(piece, found(mode, positions, length), axis=at)
        return piece.rechunk({at: -1 for at, letter in enumerate(self.order) if letter != "N"})


def _sum_of_calls(
    name: str,
    terms: list[tuple[range, list[tuple[int, int]]]],
    weight: np.ndarray,
    bias: np.ndarray | None,
    *pieces: np.ndarray,
    activation: Any,
    **options: Any,
) -> np.ndarray:
    """A chunk of the result: a call for each piece of the input, with its channels and padding."""
    result: Any = None
    for i, (piece, (channels, padding)) in enumerate(zip(pieces, terms, strict=True)):
        of_channels = slice(channels.start, channels.stop)
        transposed = name.startswith("conv_transpose")
        result = getattr(tconv, name)(
            piece,
            weight[of_channels] if transposed else weight[:, of_channels],
            bias if i == 0 else None,
            padding=padding,
            activation=activation if i == len(terms) - 1 else None,
            out=result,
            accumulate=result is not None,
            **options,
        )
    return result


def _ranges(cuts: Sequence[int], length: int) -> list[range]:
    """The range up to a length, cut; no part is empty."""
    ends = sorted({0, *cuts, length})
    return [range(*pair) for pair in itertools.pairwise(ends)]


conv1d, conv2d, conv3d = (_operation(f"conv{rank}d") for rank in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    _operation(f"conv_transpose{rank}d") for rank in (1, 2, 3)
)
