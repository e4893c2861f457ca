"""Still pictures of sizes: what `tconv.explain` shows in a notebook, and `tconv.viz.overlap`."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._drawing import Box, Line, Mark, Picture, Text, cell, readable_size
from ._lattice import taps_per_output

__all__ = ["axes_picture", "described", "overlap_picture"]

MARGIN = 24
LABELS = 62  # width of the words before a row
MOST_BANDS = 400  # of positions with as many taps, along an axis drawn to scale
MOST_SHOWN = 64  # outputs on a side of a map: the pattern repeats


def described(facts: dict[str, Any]) -> str:
    """Sizes and options in a line."""
    lengths = (facts[name] for name in ("input_lengths", "kernel", "output_lengths"))
    i, k, o = ("x".join(map(str, numbers)) for numbers in lengths)
    options = []
    for name, usual in (("stride", 1), ("padding", 0), ("output_padding", 0), ("dilation", 1)):
        values = facts[name]
        if name == "padding" and facts["padding_end"] != values:
            values = list(zip(values, facts["padding_end"], strict=True))
        if any(value != usual for value in values):
            shown = values[0] if len(set(values)) == 1 else tuple(values)
            options.append(f", {name} {shown}")
    return f"{facts['operation']}: input {i}, kernel {k}{''.join(options)}; output {o}"


# ---- axes ----


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution, with its small and its large side.

    Places are counted from where the kernel of the small side's first position begins.
    """

    transposed: bool
    small: int
    large: int
    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    padding_mode: str

    @property
    def reach(self) -> int:
        """How long the kernel is."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def begin(self) -> int:
        return min(0, self.before)

    @property
    def end(self) -> int:
        return max(self.stride * (self.small - 1) + self.reach, self.before + self.large)

    def taps(self) -> NDArray[np.intp]:
        """How many join each position of the large side."""
        return taps_per_output(
            self.small,
            self.large,
            self.kernel,
            self.stride,
            (self.before, self.after),
            self.dilation,
            padding_mode=self.padding_mode,
        )

    def taps_inside(self) -> list[int]:
        """How many taps reach the outputs of each phase, away from the borders."""
        phases = np.arange(self.kernel) * self.dilation % self.stride
        return np.bincount(phases, minlength=self.stride).tolist()


def axes_of(facts: dict[str, Any]) -> list[Axis]:
    transposed = facts["operation"].startswith("conv_transpose")
    sides = "input_lengths", "output_lengths"
    small, large = sides if transposed else sides[::-1]
    names = small, large, "kernel", "stride", "padding", "padding_end", "dilation"
    numbers = zip(*(facts[name] for name in names), strict=True)
    return [Axis(transposed, *values, facts["padding_mode"]) for values in numbers]


def axes_picture(facts: dict[str, Any]) -> Picture:
    """Input, kernel and output along each axis; axes that are alike are drawn once."""
    axes = axes_of(facts)
    names = ("depth", "height", "width")[-len(axes) :] if len(axes) > 1 else ("length",)
    titles: dict[Axis, list[str]] = {}
    for axis, name in zip(axes, names, strict=True):
        titles.setdefault(axis, []).append(name)
    marks: list[Mark] = [Text(MARGIN, 26, described(facts), 14, "faint", "start")]
    width, top = 560.0, 56.0
    for axis, alike in titles.items():
        panel = AxisPanel(axis, " and ".join(alike), top)
        marks += panel.marks()
        width, top = max(width, panel.width), panel.bottom
    legend = list(_legend(axes, top + 12))
    description = f"Input, kernel and output along each axis. {described(facts)}"
    return Picture([[*marks, *legend]], [1], width, top + 36 if legend else top + 8, description)


class AxisPanel:
    """Rows for the input, the kernel of one position and the output, places above each other.

    All is to scale. Where there is room a position is a cell, with the number of its taps.
    """

    row = 24.0
    gap = 18.0

    def __init__(self, axis: Axis, title: str, top: float) -> None:
        self.axis, self.title, self.top = axis, title, top
        self.side = min(self.row, 760 / (axis.end - axis.begin))
        self.cells = self.side >= 6
        self.width = 2 * MARGIN + LABELS + self.side * (axis.end - axis.begin)
        self.bottom = top + 24 + 3 * self.row + 2 * self.gap + 20

    def left(self, place: float) -> float:
        return MARGIN + LABELS + self.side * (place - self.axis.begin)

    def high(self, row: int) -> float:
        return self.top + 24 + row * (self.row + self.gap)

    def marks(self) -> Iterator[Mark]:
        axis = self.axis
        small, large = (0, 2) if axis.transposed else (2, 0)
        lengths = (axis.small, axis.large) if axis.transposed else (axis.large, axis.small)
        title = f"{self.title}: {lengths[0]} to {lengths[1]}"
        yield Text(MARGIN, self.top + 8, title, 15, anchor="start", bold=True)
        labels = ("input", "input"), ("kernel", "kernel ink"), ("output", "output")
        for row, (word, colour) in enumerate(labels):
            middle = self.high(row) + self.row / 2
            yield Text(MARGIN, middle, word, 13, colour, "start", bold=True)
        yield from self.large_side(large, labels[large][0])
        yield from self.small_side(small, labels[small][0])
        yield from self.kernel(small)

    def large_side(self, row: int, role: str) -> Iterator[Mark]:
        """Cells where there is room, else bands of positions with as many taps."""
        axis = self.axis
        taps = axis.taps()
        kept = slice(axis.before - axis.begin, axis.before - axis.begin + axis.large)
        kinds = np.full(axis.end - axis.begin, -1)  # -1 is what the padding crops
        kinds[kept] = taps
        begins = np.arange(len(kinds))
        if not self.cells:
            begins = np.flatnonzero(np.diff(kinds, prepend=-2))
            if len(begins) > MOST_BANDS:
                kinds[kept] = taps.max(initial=0)
                begins = np.flatnonzero(np.diff(kinds, prepend=-2))
        ends = [*begins[1:], len(kinds)]
        for begin, end in zip(begins, ends, strict=True):
            place, count = begin + axis.begin, kinds[begin]
            box = self.left(place), self.high(row), self.side * (end - begin), self.row
            yield from self.position(box, count, taps.max(initial=1), role)

    def position(
        self, box: tuple[float, float, float, float], count: int, most: int, role: str
    ) -> Iterator[Mark]:
        x, y, width, height = box
        outline = "frame" if self.cells else ""
        if count < 0:
            yield Box(*box, "crop", outline)
            yield Line(x, y + height, x + width, y, "cross", layer=1)
        elif count == 0:
            yield Box(*box, "empty", "faint", dashed=True, layer=1)
        else:
            yield Box(*box, role, outline, opacity=strength(count, most))
        if self.cells and count >= 0:
            size = readable_size(len(str(most)), width, height)
            if size:
                yield Text(x + width / 2, y + height / 2, str(count), min(size, 12), "ink")

    def small_side(self, row: int, role: str) -> Iterator[Mark]:
        axis = self.axis
        y, width = self.high(row), max(self.side, 1.5)
        if axis.stride * self.side < 3:
            begin = self.left((axis.reach - 1) / 2)
            yield Box(begin, y, self.side * axis.stride * axis.small, self.row, f"{role} tint")
            return
        for v in range(axis.small):
            x = self.left(axis.stride * v + (axis.reach - 1) / 2)
            yield Box(x, y, width, self.row, f"{role} tint", "frame" if self.cells else "")

    def kernel(self, row: int) -> Iterator[Mark]:
        """That of the position in the middle of the small side, and lines from it and to it."""
        axis = self.axis
        v = (axis.small - 1) // 2
        role = "input" if axis.transposed else "output"
        source = self.left(axis.stride * v + (axis.reach - 1) / 2)
        yield Box(source, self.high(row), max(self.side, 1.5), self.row, role, layer=2)
        high = self.high(1)
        near, far = high, high + self.row  # edges of the kernel's row, towards `row` and away
        beside, beyond = self.high(0) + self.row, self.high(2)
        if row == 2:
            near, far, beside, beyond = far, near, beyond, beside
        first = axis.stride * v
        places = [first + axis.dilation * k for k in range(axis.kernel)]
        if not self.cells:
            yield Box(self.left(first), high, self.side * axis.reach, self.row, "kernel")
            places = [first, first + axis.reach - 1]
        middle = source + self.side / 2
        for k, place in enumerate(places):
            x = self.left(place)
            yield Line(middle, beside, x + self.side / 2, near, role, 1.25)
            yield Line(x + self.side / 2, far, x + self.side / 2, beyond, "kernel", 1.25)
            if self.cells:
                size = min(12, readable_size(len(str(axis.kernel - 1)), self.side, self.row))
                box = x, high, self.side, self.row
                yield from cell(*box, "kernel", str(k), size, "on kernel")


def strength(count: int, most: int) -> float:
    """How strong the colour is of a position with so many taps."""
    return round(0.1 + 0.45 * count / most, 2)


def _legend(axes: list[Axis], y: float) -> Iterator[Mark]:
    """What crossed out and dashed cells are, if there are any."""
    transposed, mode = axes[0].transposed, axes[0].padding_mode
    entries = [("output tint" if transposed else "input tint", "a number: how many taps")]
    if any(axis.begin < axis.before or axis.before + axis.large < axis.end for axis in axes):
        zeros = "cropped by the padding" if transposed else "padding"
        entries.append(("crop", zeros if mode == "zeros" else f"padding, {mode}"))
    if any((axis.taps() == 0).any() for axis in axes):
        entries.append(("empty", "no tap reaches it" if transposed else "never read"))
    x = float(MARGIN)
    for fill, words in entries:
        dashed = fill == "empty"
        yield Box(x, y - 7, 14, 14, fill, "faint" if dashed else "frame", dashed=dashed, layer=1)
        if fill == "crop":
            yield Line(x, y + 7, x + 14, y - 7, "cross", layer=2)
        yield Text(x + 21, y, words, 13, "faint", "start")
        x += 50 + 7.2 * len(words)


# ---- overlap ----


def overlap_picture(facts: dict[str, Any]) -> Picture:
    """How many taps reach each output of one or two axes."""
    axes = axes_of(facts)
    counts = [axis.taps() for axis in axes]
    rows, columns = [np.ones(1, np.intp), *(along[:MOST_SHOWN] for along in counts)][-2:]
    table = np.multiply.outer(rows, columns)
    side = min(32.0, 520 / max(table.shape))
    size = readable_size(len(str(table.max())), side, side)
    bar = min(16.0, 64 / max(rows.max(), columns.max(), 1))
    left = MARGIN + (bar * rows.max() + 10 if len(axes) > 1 else 0)
    top = 84 + bar * columns.max() + 10
    bottom, right = top + side * len(rows), left + side * len(columns)
    width = max(right + MARGIN, 440.0)
    marks: list[Mark] = [
        Text(MARGIN, 30, "How many taps reach each output", 18, "output", "start", bold=True),
        Text(MARGIN, 56, described(facts), 13, "faint", "start"),
    ]
    for at, count in enumerate(columns):
        marks += _bar(left + side * at, top - 10 - bar * count, side, bar * count)
    for at, count in enumerate(rows if len(axes) > 1 else []):
        marks += _bar(left - 10 - bar * count, top + side * at, bar * count, side)
    for (row, column), count in np.ndenumerate(table):
        corner = left + side * column, top + side * row
        marks += _counted(*corner, side, int(count), int(table.max()), size)
    text = _verdict(axes)
    if any(len(along) > MOST_SHOWN for along in counts):
        text += f" Shown are the first {MOST_SHOWN} outputs of a side."
    lines = textwrap.wrap(text, int((width - 2 * MARGIN) / 8))
    for at, line in enumerate(lines):
        marks.append(Text(MARGIN, bottom + 30 + 20 * at, line, 14, anchor="start"))
    height = bottom + 30 + 20 * len(lines) + 6
    return Picture([marks], [1], width, height, f"{described(facts)}. {text}")


def _bar(x: float, y: float, width: float, height: float) -> Iterator[Mark]:
    """The taps of one axis: those of an output are the product of its row's and its column's."""
    if width and height:
        thin = "page" if min(width, height) >= 5 else ""
        yield Box(x, y, width, height, "kernel", thin)


def _counted(x: float, y: float, side: float, count: int, most: int, size: float) -> Iterator[Mark]:
    if count == 0:
        yield Box(x, y, side, side, "empty", "faint", dashed=True, layer=1)
    else:
        share = round(0.1 + 0.9 * count / most, 2)
        yield Box(x, y, side, side, "output", "page" if side >= 8 else "", opacity=share)
    if size:
        colour = "on hue" if count > 0.55 * most else "ink"
        yield Text(x + side / 2, y + side / 2, str(count), size, colour)


def _verdict(axes: list[Axis]) -> str:
    inside = sorted(set(map(math.prod, itertools.product(*(a.taps_inside() for a in axes)))))
    *others, last = map(str, inside)
    if not others:
        taps = "1 tap" if inside == [1] else f"{last} taps"
        return f"Even: away from the borders {taps} reach{'es' * (inside == [1])} each output."
    text = f"Uneven: away from the borders {', '.join(others)} or {last} taps reach an output."
    if any(math.gcd(axis.stride, axis.dilation) > 1 for axis in axes):
        return f"{text} Stride and dilation have a common divisor, so some are never reached."
    return f"{text} It would be even with a kernel as long as the stride, or a multiple of it."
