"""Still pictures of sizes: what `tconv.explain` shows in a notebook, and `tconv.viz.overlap`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._drawing import Box, Line, Mark, Picture, Text, cell, readable_size
from ._lattice import taps_per_output

if TYPE_CHECKING:
    from .explanation import Explanation
    from .explanation import _Axis as Axis

__all__ = ["axes_picture", "described", "overlap_picture"]

MARGIN = 24
LABELS = 62  # width of the words before a row
WIDEST = 760  # an axis
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


def axes_picture(explanation: Explanation) -> Picture:
    """Input, kernel and output along each axis; axes that are alike are drawn once."""
    alike: dict[Any, list[str]] = {}
    for axis in explanation._axes():
        alike.setdefault(axis._replace(name=""), []).append(axis.name)
    words = described(explanation.facts)
    marks: list[Mark] = [Text(MARGIN, 26, words, 13, "faint", "start")]
    width, top = max(560.0, room_for(words)), 54.0
    panels = []
    for axis, names in alike.items():
        panels.append(AxisPanel(axis, " and ".join(names), top))
        marks += panels[-1].marks()
        width, top = max(width, panels[-1].width), panels[-1].bottom
    marks += _legend(panels, top + 10)
    description = f"Input, kernel and output along each axis. {words}"
    return Picture([marks], [1], width, top + 34, description)


def room_for(words: str) -> float:
    """The width of a picture with this line of size 13."""
    return 2 * MARGIN + 7.4 * len(words)


class AxisPanel:
    """Rows for the input, the kernel of one position and the output, places above each other.

    Places are counted from where the kernel of the small side's first position begins: that of
    position v begins at ``stride*v``, and position v is drawn over its middle. All is to scale.
    Where there is room a position is a cell, with the number of its taps; where even the kernel
    would be too short to be seen, only the beginning of the axis is drawn.
    """

    row = 24.0
    gap = 18.0

    def __init__(self, axis: Axis, title: str, top: float) -> None:
        self.axis, self.top = axis, top
        self.small, self.large = axis.input, axis.output
        if not axis.transposed:
            self.small, self.large = self.large, self.small
        self.reach = axis.dilation * (axis.kernel - 1) + 1
        self.begin = min(0, axis.padding[0])
        self.end = max(axis.stride * (self.small - 1) + self.reach, axis.padding[0] + self.large)
        self.title = f"{title}: {axis.input} to {axis.output}"
        if self.reach * WIDEST < 12 * (self.end - self.begin):
            self.end = self.begin + max(64, 8 * self.reach)
            self.title += f", the first {self.end - self.begin} places"
        self.side = min(self.row, WIDEST / (self.end - self.begin))
        self.cells = self.side >= 6
        self.kinds = self._kinds()
        self.width = 2 * MARGIN + LABELS + self.side * (self.end - self.begin)
        self.bottom = top + 24 + 3 * self.row + 2 * self.gap + 22

    def _kinds(self) -> NDArray[np.intp]:
        """For each place of the large side its number of taps, or -1 where there is padding."""
        axis = self.axis
        taps = taps_per_output(**(axis.outputs() if axis.transposed else axis.inputs()))
        kinds = np.full(max(self.end, axis.padding[0] + self.large) - self.begin, -1)
        kinds[axis.padding[0] - self.begin :][: self.large] = taps
        return kinds[: self.end - self.begin]

    def left(self, place: float) -> float:
        return MARGIN + LABELS + self.side * (place - self.begin)

    def high(self, row: int) -> float:
        return self.top + 24 + row * (self.row + self.gap)

    def middle(self, v: int) -> float:
        """The place that position v of the small side is drawn at."""
        return self.axis.stride * v + (self.reach - 1) / 2

    def seen(self) -> int:
        """How many positions of the small side are not cut off."""
        return min(self.small, math.ceil((self.end - self.middle(0)) / self.axis.stride))

    def marks(self) -> Iterator[Mark]:
        small, large = (0, 2) if self.axis.transposed else (2, 0)
        yield Text(MARGIN, self.top + 8, self.title, 15, anchor="start", bold=True)
        labels = ("input", "input"), ("kernel", "kernel ink"), ("output", "output")
        for row, (word, colour) in enumerate(labels):
            middle = self.high(row) + self.row / 2
            yield Text(MARGIN, middle, word, 13, colour, "start", bold=True)
        yield from self.large_side(large, labels[large][0])
        yield from self.small_side(small, labels[small][0])
        yield from self.kernel(small, labels[small][0])

    def large_side(self, row: int, role: str) -> Iterator[Mark]:
        """Cells where there is room, else bands of positions with as many taps."""
        kinds, begins = self.kinds, np.arange(len(self.kinds))
        if not self.cells:
            begins = np.flatnonzero(np.diff(kinds, prepend=-2))
        if len(begins) > MOST_BANDS:
            kinds = np.where(kinds < 0, -1, kinds.max())
            begins = np.flatnonzero(np.diff(kinds, prepend=-2))
        for begin, end in zip(begins, [*begins[1:], len(kinds)], strict=True):
            x, width = self.left(int(begin) + self.begin), self.side * (end - begin)
            box = x, self.high(row), width, self.row
            yield from self.position(box, int(kinds[begin]), int(kinds.max()), role)

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
        y, width = self.high(row), max(self.side, 1.5)
        outline = "frame" if self.cells else ""
        if self.axis.stride * self.side < 3:
            begin, end = self.left(self.middle(0)), self.left(self.middle(self.seen() - 1))
            yield Box(begin, y, end + width - begin, self.row, f"{role} tint")
            return
        for v in range(self.seen()):
            yield Box(self.left(self.middle(v)), y, width, self.row, f"{role} tint", outline)

    def kernel(self, row: int, role: str) -> Iterator[Mark]:
        """That of the position in the middle of the small side, and lines from it and to it."""
        axis, v = self.axis, (self.seen() - 1) // 2
        source = self.left(self.middle(v))
        width, high = max(self.side, 1.5), self.high(1)
        yield Box(source, self.high(row), width, self.row, role, layer=2)
        # The edges of the rows, from the small side through the kernel's to the large side.
        edges = [self.high(0) + self.row, high, high + self.row, self.high(2)]
        from_small, near, far, to_large = edges if row == 0 else reversed(edges)
        first = axis.stride * v
        places = [first + axis.dilation * k for k in range(axis.kernel)]
        if not self.cells:
            yield Box(self.left(first), high, self.side * self.reach, self.row, "kernel")
            places = [first, first + self.reach - 1]
        size = readable_size(len(str(axis.kernel - 1)), self.side, self.row)
        for k, place in enumerate(places):
            x = self.left(place)
            middle = x + self.side / 2
            yield Line(source + width / 2, from_small, middle, near, role, 1.25)
            yield Line(middle, far, middle, to_large, "kernel", 1.25)
            if self.cells:
                box = x, high, self.side, self.row
                yield from cell(*box, "kernel", str(k), min(size, 12), "on kernel")


def strength(count: int, most: int) -> float:
    """How strong the colour is of a position with so many taps."""
    return round(0.1 + 0.45 * count / most, 2)


def _legend(panels: list[AxisPanel], y: float) -> Iterator[Mark]:
    """What numbers, crossed out cells and dashed cells are, if there are any."""
    axis = panels[0].axis
    kinds = np.concatenate([panel.kinds for panel in panels])
    reached = "n taps reach it" if axis.transposed else "n outputs read it"
    entries = [("n", "output tint" if axis.transposed else "input tint", reached)]
    if not any(panel.cells for panel in panels):
        entries = [("", entries[0][1], "the darker, the more taps")]
    if (kinds < 0).any():
        words = "padding crops it" if axis.transposed else "padding"
        mode = axis.padding_mode
        entries.append(("", "crop", words if mode == "zeros" else f"padding, {mode}"))
    if (kinds == 0).any():
        entries.append(("0", "empty", "no tap reaches it" if axis.transposed else "never read"))
    x = float(MARGIN)
    for text, fill, words in entries:
        dashed = fill == "empty"
        outline = "faint" if dashed else "frame"
        yield from cell(x, y - 9, 18, 18, fill, text, 11, outline=outline, dashed=dashed)
        if fill == "crop":
            yield Line(x, y + 9, x + 18, y - 9, "cross", layer=2)
        yield Text(x + 26, y, words, 13, "faint", "start")
        x += 52 + 7.2 * len(words)


# ---- overlap ----


def overlap_picture(explanation: Explanation) -> Picture:
    """How many taps reach each output of one or two axes."""
    axes, counts = explanation._axes(), explanation.taps_per_output
    rows, columns = [np.ones(1, np.intp), *(along[:MOST_SHOWN] for along in counts)][-2:]
    table = np.multiply.outer(rows, columns)
    side = min(32.0, 520 / max(table.shape))
    size = readable_size(len(str(table.max())), side, side)
    bar = min(16.0, 64 / max(rows.max(), columns.max(), 1))
    left = MARGIN + (bar * rows.max() + 10 if len(axes) > 1 else 0)
    top = 84 + bar * columns.max() + 10
    bottom, right = top + side * len(rows), left + side * len(columns)
    words = described(explanation.facts)
    width = max(right + MARGIN, room_for(words))
    marks: list[Mark] = [
        Text(MARGIN, 30, "How many taps reach each output", 18, "output", "start", bold=True),
        Text(MARGIN, 56, words, 13, "faint", "start"),
    ]
    for at, count in enumerate(columns):
        marks += _bar(left + side * at, top - 10 - bar * count, side, bar * count)
    for at, count in enumerate(rows if len(axes) > 1 else []):
        marks += _bar(left - 10 - bar * count, top + side * at, bar * count, side)
    for (row, column), count in np.ndenumerate(table):
        corner = left + side * column, top + side * row
        marks += _counted(*corner, side, int(count), int(table.max()), size)
    told: dict[str, list[str]] = {}
    for axis in axes:
        told.setdefault(axis.tell_taps(), []).append(axis.name)
    sentences = [f"{' and '.join(names)}: {text}." for text, names in told.items()]
    if len(axes) > 1:
        sentences.append(
            "Bars: along an axis. An output has the product of its row's and its column's."
        )
    if max(explanation.output_lengths) > MOST_SHOWN:
        sentences.append(f"Shown are the first {MOST_SHOWN} on a side.")
    room = int((width - 2 * MARGIN) / 8)
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, room)]
    for at, line in enumerate(lines):
        marks.append(Text(MARGIN, bottom + 30 + 20 * at, line, 14, anchor="start"))
    height = bottom + 30 + 20 * len(lines) + 6
    return Picture([marks], [1], width, height, " ".join([f"{words}.", *sentences]))


def _bar(x: float, y: float, width: float, height: float) -> Iterator[Mark]:
    """The taps of one axis: those of an output are the product of its row's and its column's."""
    if width and height:
        thin = "page" if min(width, height) >= 5 else ""
        yield Box(x, y, width, height, "kernel", thin)


def _counted(x: float, y: float, side: float, count: int, most: int, size: float) -> Iterator[Mark]:
    if count == 0:
        yield Box(x, y, side, side, "empty", "faint" if side >= 16 else "", dashed=True, layer=1)
    else:
        share = round(0.1 + 0.9 * count / most, 2)
        yield Box(x, y, side, side, "output", "page" if side >= 8 else "", opacity=share)
    if size:
        colour = "on hue" if count > 0.55 * most else "ink"
        yield Text(x + side / 2, y + side / 2, str(count), size, colour)
