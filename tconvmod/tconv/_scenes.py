"""The frames of `tconv.viz.animate`: where things are, and what lights up when.

A place `t` on an axis of the *whole* output is counted from where the first input's kernel begins:
input v and element k of the kernel meet at ``t = stride*v + dilation*k``. The output keeps what is
there from `before` on, so its place u is ``t - before``.

An input is drawn over the middle of what it reaches. With `half` of ``dilation*(k - 1)`` that is
at ``stride*v + half``, and the flipped kernel of an output at `t`, drawn around `t`, has element k
over ``t + half - dilation*k``: there lies the input that it meets, if any does.
"""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._drawing import MINUS, Box, Line, Mark, Text, cell, readable_size
from .matrix import conv_matrix

__all__ = ["Call", "PlaneScene", "RowScene", "number"]

Place = tuple[int, ...]


@dataclass
class Call:
    """The numbers of a transposed convolution of one image with one channel."""

    x: NDArray[Any]
    w: NDArray[Any]
    y: NDArray[Any]
    stride: Place
    before: Place  # how many places the padding crops in front of the output
    after: Place
    dilation: Place
    words: str  # the options, to be read

    def __post_init__(self) -> None:
        self.inputs, self.kernel, self.outputs = (
            list(np.ndindex(a.shape)) for a in (self.x, self.w, self.y)
        )
        self.half = tuple((k - 1) * d / 2 for k, d in zip(self.w.shape, self.dilation, strict=True))
        begins = [min(0, b) for b in self.before]
        ends = [
            max(s * (i - 1) + d * (k - 1) + 1, b + o)
            for s, i, d, k, b, o in zip(
                self.stride,
                self.x.shape,
                self.dilation,
                self.w.shape,
                self.before,
                self.y.shape,
                strict=True,
            )
        ]
        self.begins, self.ends = tuple(begins), tuple(ends)
        self.whole = [
            tuple(b + i for b, i in zip(begins, at, strict=True))
            for at in np.ndindex(*(e - b for b, e in zip(begins, ends, strict=True)))
        ]

    def place(self, v: Place, k: Place) -> Place:
        """Where input v and element k of the kernel meet in the whole output."""
        axes = zip(self.stride, v, self.dilation, k, strict=True)
        return tuple(s * i + d * j for s, i, d, j in axes)

    def output_at(self, t: Place) -> Place | None:
        """The output there, or None if the padding crops it."""
        u = tuple(i - b for i, b in zip(t, self.before, strict=True))
        inside = all(0 <= i < n for i, n in zip(u, self.y.shape, strict=True))
        return u if inside else None

    def place_of(self, u: Place) -> Place:
        return tuple(i + b for i, b in zip(u, self.before, strict=True))

    @cached_property
    def taps(self) -> dict[Place, list[tuple[Place, Place]]]:
        """For each place of the whole output, the pairs of input and kernel element that meet."""
        taps: dict[Place, list[tuple[Place, Place]]] = {t: [] for t in self.whole}
        for v in self.inputs:
            for k in self.kernel:
                taps[self.place(v, k)].append((v, k))
        return taps

    @cached_property
    def sums(self) -> list[dict[Place, Any]]:
        """The whole output after each input has added its kernel."""
        now: dict[Place, Any] = {}
        after = []
        for v in self.inputs:
            now = dict(now)
            for k in self.kernel:
                t = self.place(v, k)
                now[t] = now.get(t, 0) + self.x[v] * self.w[k]
            after.append(now)
        return after

    @cached_property
    def digits(self) -> int:
        """How many characters the longest number has."""
        arrays = (self.x, self.w, np.multiply.outer(self.x, self.w), self.y)
        sums = [value for after in self.sums for value in after.values()]
        return max(len(number(value)) for a in (*arrays, np.array(sums)) for value in a.flat)

    @cached_property
    def matrix(self) -> NDArray[Any]:
        """W.T: a row for each output, a column for each input."""
        pairs = tuple(zip(self.before, self.after, strict=True))
        W = conv_matrix(self.w[None, None], (1, *self.y.shape), self.stride, pairs, self.dilation)
        # An output_padding of a stride or more makes room for further rows of W.
        lengths = [
            (o + sum(p) - d * (k - 1) - 1) // s + 1
            for o, p, d, k, s in zip(
                self.y.shape, pairs, self.dilation, self.w.shape, self.stride, strict=True
            )
        ]
        rows = W.reshape(*lengths, -1)[tuple(slice(n) for n in self.x.shape)]
        return rows.reshape(len(self.inputs), -1).T


def number(value: Any) -> str:
    """Three digits of it, and no more than three below 1; whole numbers have five."""
    value = value.item() if isinstance(value, np.generic) else value
    if abs(value) < 1e5 and value == int(value):
        text = str(int(value))
    elif 0.001 <= abs(value) < 1:
        text = f"{value:.3f}".rstrip("0").rstrip(".")
    else:
        text = f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return text.replace("-", MINUS)


def name(letter: str, place: Place) -> str:
    """Such as y[0, 2]."""
    return f"{letter}[{', '.join(map(str, place))}]"


def _in_brackets(text: str) -> str:
    return f"({text})" if text.startswith(MINUS) else text


def _lit_cell(
    x: float, y: float, width: float, height: float, role: str, text: str, size: float, lit: bool
) -> Iterator[Mark]:
    """A cell of x or y; in action it has the full colour."""
    fill = role if lit else f"{role} tint" if text else "empty"
    outline = "frame" if height >= 8 else ""
    colour = "on hue" if lit else "ink"
    return cell(x, y, width, height, fill, text, size, colour, outline=outline, bold=lit)


MARGIN = 28
BETWEEN = 36  # two grids
HEAD = 100  # height of the title and of the labels of the grids


class Scene(ABC):
    """What the frames of one and of two axes have in common; they differ in the arrays' places.

    From left to right: the arrays, then W.T with x above its columns and y beside its rows; below,
    the sum in numbers and how far the animation is.
    """

    width: float
    height: float
    array_top: float
    inner: float  # width and height of the arrays' part
    depth: float
    side: float  # of a cell there
    size: float  # of a number there

    def __init__(self, call: Call) -> None:
        self.call = call
        self.arrange()
        rows, columns = call.matrix.shape
        self.column_width = min(36.0, max(3.0, 300 / (columns + 1)))
        self.row_height = min(26.0, max(3.0, max(410, self.depth) / (rows + 1.4)))
        self.matrix_size = readable_size(call.digits, self.column_width, self.row_height)
        self.matrix_left = MARGIN + self.inner + 56
        panel = self.column_width * (columns + 1) + 14
        self.width = max(self.matrix_left + panel, 540, MARGIN + 7.4 * len(call.words)) + MARGIN
        deep = max(self.depth, self.row_height * (rows + 1) + 8)
        self.array_top = HEAD + (deep - self.depth) / 2
        self.columns_of_text = int((self.width - 2 * MARGIN) / 8.6)
        lines = [len(self.wrapped(self.sum_in_words(u))) for u in call.outputs]
        self.caption_top = HEAD + deep + 30
        self.height = self.caption_top + 20 * max([1, *lines]) + 22

    # ---- to be defined by each rank ----

    @abstractmethod
    def arrange(self) -> None:
        """Set `inner`, `depth`, `side` and `size`."""

    @abstractmethod
    def scattering(self, v: Place) -> Iterator[Mark]:
        """Input v, the kernel and their products, with labels."""

    @abstractmethod
    def gathering(self, u: Place) -> Iterator[Mark]:
        """The inputs that output u meets, the flipped kernel and the products, with labels."""

    @abstractmethod
    def output_corner(self, t: Place) -> tuple[float, float]:
        """Of a cell of the whole output."""

    # ---- frames ----

    def scatter(self, v: Place) -> list[Mark]:
        """The frame in which input v adds its kernel."""
        call, step = self.call, self.call.inputs.index(v)
        title = f"Scatter: input {name('x', v)} adds its kernel"
        text = f"{name('x', v)} = {number(call.x[v])} times column {step} of W.T is added to y"
        texts = {t: number(value) for t, value in call.sums[step].items()}
        lit = {call.place(v, k) for k in call.kernel}
        return [
            *self.around(title, [text], "input", step + 1, 0),
            *self.scattering(v),
            *self.outputs(texts, lit),
            *self.matrix_with_vectors({v}, texts, lit),
            *self.matrix_frame(column=step),
        ]

    def gather(self, u: Place) -> list[Mark]:
        """The frame in which output u collects its taps."""
        call, step = self.call, self.call.outputs.index(u)
        title = f"Gather: output {name('y', u)} collects its taps"
        lines = self.wrapped(self.sum_in_words(u))
        texts = {call.place_of(o): number(call.y[o]) for o in call.outputs[: step + 1]}
        lit = {call.place_of(u)}
        met = {v for v, _ in call.taps[call.place_of(u)]}
        return [
            *self.around(title, lines, "output", len(call.inputs), step + 1),
            *self.gathering(u),
            *self.outputs(texts, lit),
            *self.matrix_with_vectors(met, texts, lit),
            *self.matrix_frame(row=step),
        ]

    def around(
        self, title: str, lines: Sequence[str], colour: str, scattered: int, gathered: int
    ) -> Iterator[Mark]:
        """Title, caption and how far it is."""
        yield Text(MARGIN, 32, title, 19, colour, "start", bold=True)
        yield Text(MARGIN, 57, self.call.words, 13, "faint", "start")
        for at, line in enumerate(lines):
            yield Text(MARGIN, self.caption_top + 20 * at, line, 15, anchor="start")
        steps = len(self.call.inputs), len(self.call.outputs)
        room = self.width - 2 * MARGIN - 6
        left = float(MARGIN)
        for act, total, done in zip(("input", "output"), steps, (scattered, gathered), strict=True):
            long = room * total / sum(steps)
            yield Box(left, self.height - 16, long, 4, "crop")
            if done:
                yield Box(left, self.height - 16, long * done / total, 4, act, layer=1)
            left += long + 6

    def sum_in_words(self, u: Place) -> str:
        call = self.call
        terms = [
            f"{number(call.x[v])}·{_in_brackets(number(call.w[k]))}"
            for v, k in call.taps[call.place_of(u)]
        ]
        total = number(call.y[u])
        row = f"row {call.outputs.index(u)} of W.T, times x"
        if not terms:
            return f"{name('y', u)} = {total}: no tap reaches it, {row}"
        return f"{name('y', u)} = {' + '.join(terms)} = {total}: {row}"

    def wrapped(self, text: str) -> list[str]:
        return textwrap.wrap(text, self.columns_of_text, break_long_words=False)

    def outputs(self, texts: dict[Place, str], lit: set[Place]) -> Iterator[Mark]:
        """The whole output, with the numbers that there are; what padding crops is crossed out."""
        side, size = self.side, self.size
        for t in self.call.whole:
            x, y = self.output_corner(t)
            text = texts.get(t, "")
            if self.call.output_at(t) is None:
                colour = "product" if t in lit else "faint"
                yield from cell(x, y, side, side, "crop", text, size, colour)
                yield Line(x, y + side, x + side, y, "cross", layer=2)
            elif not self.call.taps[t]:
                style: dict[str, Any] = {"outline": "faint", "dashed": True}
                yield from cell(x, y, side, side, "empty", text, size, "faint", **style)
            else:
                yield from _lit_cell(x, y, side, side, "output", text, size, t in lit)

    # ---- W.T ----

    @property
    def matrix_box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of W.T."""
        rows, columns = self.call.matrix.shape
        left, top = self.matrix_left, HEAD + self.row_height + 8
        return left, top, left + self.column_width * columns, top + self.row_height * rows

    def matrix_with_vectors(
        self, met: set[Place], texts: dict[Place, str], lit: set[Place]
    ) -> Iterator[Mark]:
        """W.T, x with the inputs `met` lit, and y with these texts and these places lit."""
        wide, high, size = self.column_width, self.row_height, self.matrix_size
        left, top, right, bottom = self.matrix_box
        yield Text(left - 10, HEAD + high / 2, "x", 15, "input", "end", bold=True)
        yield Text(left - 10, (top + bottom) / 2, "W.T", 15, anchor="end", bold=True)
        yield Text(right + 8 + wide / 2, HEAD + high / 2, "y", 15, "output", bold=True)
        yield from self.entries
        for column, v in enumerate(self.call.inputs):
            box = left + column * wide, HEAD, wide, high
            yield from _lit_cell(*box, "input", number(self.call.x[v]), size, v in met)
        for row, u in enumerate(self.call.outputs):
            t, box = self.call.place_of(u), (right + 8, top + row * high, wide, high)
            yield from _lit_cell(*box, "output", texts.get(t, ""), size, t in lit)

    @cached_property
    def entries(self) -> list[Mark]:
        """Those of W.T, the stronger coloured the larger; where numbers do not fit, without 0."""
        left, top, right, bottom = self.matrix_box
        marks: list[Mark] = [Box(left, top, right - left, bottom - top, "empty", "frame")]
        outline = "frame" if self.matrix_size else ""
        for (row, column), value in np.ndenumerate(self.call.matrix):
            x, y = left + column * self.column_width, top + row * self.row_height
            box = x, y, self.column_width, self.row_height
            if value != 0:
                strength = round(0.2 + 0.5 * float(abs(value) / abs(self.call.w).max()), 2)
                marks.append(Box(*box, "kernel", outline, layer=1, opacity=strength))
            elif self.matrix_size:
                marks.append(Box(*box, "empty", outline, layer=1))
            if self.matrix_size:
                middle = x + self.column_width / 2, y + self.row_height / 2
                colour = "ink" if value != 0 else "faint"
                marks.append(Text(*middle, number(value), self.matrix_size, colour, layer=2))
        return marks

    def matrix_frame(self, *, column: int | None = None, row: int | None = None) -> Iterator[Mark]:
        """Around a column or a row of W.T."""
        left, top, right, bottom = self.matrix_box
        thick = 2.5 if self.matrix_size else 1
        if column is not None:
            x = left + column * self.column_width
            yield Box(x, top, self.column_width, bottom - top, "", "input", thick, layer=4)
        if row is not None:
            y = top + row * self.row_height
            yield Box(left, y, right - left, self.row_height, "", "output", thick, layer=4)


class RowScene(Scene):
    """One axis: input, kernel, products and output below each other, places above each other."""

    def arrange(self) -> None:
        call = self.call
        (half,), (before,), (length,) = call.half, call.before, call.y.shape
        self.first: float = min(call.begins[0], before - half)
        last = max(call.ends[0], before + length + half)
        self.side = min(40.0, 640 / (last - self.first))
        self.size = readable_size(call.digits, self.side, self.side)
        self.labels = 54.0
        self.inner = self.labels + self.side * (last - self.first)
        self.gap = 0.85 * self.side
        self.depth = 4 * self.side + 3 * self.gap

    def left(self, place: float) -> float:
        return MARGIN + self.labels + self.side * (place - self.first)

    def middle(self, place: float) -> float:
        return self.left(place) + self.side / 2

    def top(self, row: int) -> float:
        return self.array_top + row * (self.side + self.gap)

    def cell(
        self, row: int, place: float, fill: str, text: str, colour: str = "ink", bold: bool = False
    ) -> Iterator[Mark]:
        box = self.left(place), self.top(row), self.side, self.side
        return cell(*box, fill, text, self.size, colour, bold=bold)

    def link(self, row: int, upper: float, lower: float, colour: str) -> Line:
        """A line from a place in a row to one in the next row."""
        begin, end = self.top(row) + self.side, self.top(row + 1)
        return Line(self.middle(upper), begin, self.middle(lower), end, colour, 1.5)

    def scattering(self, v: Place) -> Iterator[Mark]:
        call, (at,) = self.call, v
        source = call.stride[0] * at + call.half[0]
        yield from self.inputs_and_labels({v})
        for k in call.kernel:
            t = call.place(v, k)
            yield self.link(0, source, t[0], "input")
            yield self.link(1, t[0], t[0], "kernel")
            yield self.link(2, t[0], t[0], "product")
            yield from self.cell(1, t[0], "kernel", number(call.w[k]), "on kernel", bold=True)
            yield from self.cell(2, t[0], "product tint", number(call.x[v] * call.w[k]))

    def gathering(self, u: Place) -> Iterator[Mark]:
        call, (target,) = self.call, self.call.place_of(u)
        met = {k: v for v, k in call.taps[(target,)]}
        yield from self.inputs_and_labels(set(met.values()))
        yield Text(MARGIN, self.top(1) + self.side / 2 + 16, "flipped", 12, "kernel ink", "start")
        for k in call.kernel:
            place = target + call.half[0] - call.dilation[0] * k[0]
            value, fill = number(call.w[k]), "kernel" if k in met else "kernel tint"
            yield from self.cell(1, place, fill, value, "on kernel" if k in met else "faint")
            if k in met:
                product = number(call.x[met[k]] * call.w[k])
                yield self.link(0, place, place, "input")
                yield self.link(1, place, place, "kernel")
                yield self.link(2, place, target, "product")
                yield from self.cell(2, place, "product tint", product)

    def inputs_and_labels(self, lit: set[Place]) -> Iterator[Mark]:
        call = self.call
        for row, (label, colour) in enumerate(
            (("x", "input"), ("w", "kernel ink"), ("x · w", "product"), ("y", "output"))
        ):
            middle = self.top(row) + self.side / 2
            yield Text(MARGIN, middle, label, 15, colour, "start", bold=True)
        ends = call.stride[0] * (len(call.inputs) - 1) + 1
        spaced = {call.stride[0] * v[0] for v in call.inputs}
        for place in set(range(ends)) - spaced:
            x, y = self.middle(place + call.half[0]), self.top(0) + self.side / 2
            yield Box(x - 1.5, y - 1.5, 3, 3, "frame")
        for v in call.inputs:
            fill, colour = ("input", "on hue") if v in lit else ("input tint", "ink")
            place = call.stride[0] * v[0] + call.half[0]
            text = number(call.x[v])
            yield from self.cell(0, place, fill, text, colour, bold=v in lit)

    def output_corner(self, t: Place) -> tuple[float, float]:
        return self.left(t[0]), self.top(3)


class PlaneScene(Scene):
    """Two axes: input, kernel above products, and output side by side."""

    def arrange(self) -> None:
        call = self.call
        axes = list(
            zip(call.half, call.before, call.y.shape, call.stride, call.x.shape, strict=True)
        )
        self.first = [min(h, b - h) for h, b, _, _, _ in axes]
        last = [max(s * (i - 1) + h, b + o - 1 + h) for h, b, o, s, i in axes]
        self.input_rows, self.input_columns = (
            int(b - a) + 1 for a, b in zip(self.first, last, strict=True)
        )
        output_rows, self.output_columns = (
            b - a for a, b in zip(call.begins, call.ends, strict=True)
        )
        # The middle of what an input reaches is as high as the input is.
        top = min(self.first[0], call.begins[0])
        rows = max(self.first[0] + self.input_rows, call.begins[0] + output_rows) - top
        high = max(rows, 2 * call.w.shape[0] + 1.6)
        columns = self.input_columns + call.w.shape[1] + self.output_columns
        self.side = min(36.0, 400 / high, 620 / columns)
        self.size = readable_size(call.digits, self.side, self.side)
        self.depth = self.side * high
        self.top: float = top - (high - rows) / 2
        self.input_left = float(MARGIN)
        self.kernel_left = self.input_left + self.side * self.input_columns + BETWEEN
        self.output_left = self.kernel_left + self.side * call.w.shape[1] + BETWEEN
        self.inner = self.output_left + self.side * self.output_columns - MARGIN

    def row(self, place: float) -> float:
        """The top of a place's row, in the grids of the inputs and of the outputs."""
        return self.array_top + self.side * (place - self.top)

    def kernel_top(self, products: bool) -> float:
        high: float = self.side * self.call.w.shape[0]
        middle = self.array_top + self.depth / 2
        return middle + 0.8 * self.side if products else middle - 0.8 * self.side - high

    def corner(self, place: Sequence[float]) -> tuple[float, float]:
        """Of a cell of the input's grid."""
        return self.input_left + self.side * (place[1] - self.first[1]), self.row(place[0])

    def scattering(self, v: Place) -> Iterator[Mark]:
        call = self.call
        yield from self.inputs({v})
        yield from self.labels("w", f"{name('x', v)} · w")
        for k in call.kernel:
            yield from self.kernel_cell(k, number(call.w[k]), True, False)
            yield from self.kernel_cell(k, number(call.x[v] * call.w[k]), True, True)

    def gathering(self, u: Place) -> Iterator[Mark]:
        call, target = self.call, self.call.place_of(u)
        met = {k: v for v, k in call.taps[target]}
        yield from self.inputs(set(met.values()))
        yield from self.labels("w, flipped", "x · w")
        for k in call.kernel:
            axes = zip(target, call.half, call.dilation, k, strict=True)
            place = [t + h - d * i for t, h, d, i in axes]
            flipped = tuple(n - 1 - i for n, i in zip(call.w.shape, k, strict=True))
            product = number(call.x[met[k]] * call.w[k]) if k in met else ""
            yield from self.kernel_cell(flipped, number(call.w[k]), k in met, False)
            yield from self.kernel_cell(flipped, product, k in met, True)
            yield Box(*self.corner(place), self.side, self.side, "", "kernel", 2.5, layer=3)

    def labels(self, kernel: str, products: str) -> Iterator[Mark]:
        call, side = self.call, self.side
        kernel_middle = self.kernel_left + side * call.w.shape[1] / 2
        high = self.first[0], call.begins[0]
        for x, y, text, colour in (
            (self.input_left + side * self.input_columns / 2, self.row(high[0]), "x", "input"),
            (kernel_middle, self.kernel_top(False), kernel, "kernel ink"),
            (kernel_middle, self.kernel_top(True), products, "product"),
            (self.output_left + side * self.output_columns / 2, self.row(high[1]), "y", "output"),
        ):
            yield Text(x, y - 14, text, 15, colour, bold=True)

    def inputs(self, lit: set[Place]) -> Iterator[Mark]:
        """Those places too where spacing the input out by the stride leaves nothing."""
        call, side = self.call, self.side
        spaced = {
            tuple(s * i + h for s, i, h in zip(call.stride, v, call.half, strict=True)): v
            for v in call.inputs
        }
        for row, column in np.ndindex(self.input_rows, self.input_columns):
            place = self.first[0] + row, self.first[1] + column
            v = spaced.get(place)
            if v is None:
                x, y = self.corner(place)
                yield Box(x + side / 2 - 1.5, y + side / 2 - 1.5, 3, 3, "frame")
            else:
                fill, colour = ("input", "on hue") if v in lit else ("input tint", "ink")
                box = *self.corner(place), side, side
                text = number(call.x[v])
                yield from cell(*box, fill, text, self.size, colour, bold=v in lit)

    def kernel_cell(self, at: Place, text: str, lit: bool, product: bool) -> Iterator[Mark]:
        x = self.kernel_left + self.side * at[1]
        y = self.kernel_top(product) + self.side * at[0]
        if product:
            fill, colour = "product tint" if text else "empty", "ink"
        else:
            fill, colour = ("kernel", "on kernel") if lit else ("kernel tint", "faint")
        bold = lit and not product
        return cell(x, y, self.side, self.side, fill, text, self.size, colour, bold=bold)

    def output_corner(self, t: Place) -> tuple[float, float]:
        return self.output_left + self.side * (t[1] - self.call.begins[1]), self.row(t[0])
