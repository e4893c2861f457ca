"""Draws the pictures of these pages: ``python docs/pictures.py`` writes docs/pictures/*.svg."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np

import tconv
from tconv import viz
from tconv._drawing import Line, Mark, Picture, Text, cell

FOLDER = Path(__file__).with_name("pictures")
SIDE = 36.0  # of a cell
LABELS = 80.0  # width of the words before a row
MARGIN = 20.0
PICTURES: dict[str, Callable[[], Picture]] = {}

X = np.array([1, 2, 3])
TWO, THREE = np.array([1, 10]), np.array([1, 10, 100])


def picture(draw: Callable[[], Picture]) -> Callable[[], Picture]:
    """Names a picture after the function that draws it."""
    PICTURES[draw.__name__] = draw
    return draw


def drawn(marks: Sequence[Mark], width: float, height: float, description: str) -> Picture:
    return Picture([marks], [1], width, height, description)


def beside(*pictures: Picture) -> Picture:
    return reduce(Picture.beside, pictures)


def box(x: float, y: float, text: object, fill: str, **style: object) -> Iterator[Mark]:
    """A cell whose numbers are as large as three digits allow."""
    yield from cell(x, y, SIDE, SIDE, fill, str(text), 14, **style)


# ---- copies of the kernel ----


def copies(title: str, x: np.ndarray, w: np.ndarray, **options: int) -> Picture:
    """Each input's copy of the kernel in a row, and their sum with what padding does to it."""
    numbers = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, **options}
    s, p, extra, d = numbers.values()
    full = tconv.conv_transpose1d(x[None], w[None, None], stride=s, dilation=d)[0]
    whole = np.append(full, np.zeros(max(0, extra - p), int))  # beyond what padding crops
    kept = np.arange(p, len(full) - p + extra)
    rows = len(x) + 2.4

    def place(position: float, row: float) -> tuple[float, float]:
        return MARGIN + LABELS + SIDE * position, 52 + (SIDE + 4) * row

    marks: list[Mark] = [Text(MARGIN, 28, title, 15, anchor="start", bold=True)]
    words = {0: ("input", "input"), 1: ("copies", "kernel ink"), rows - 1: ("output", "output")}
    for row, (word, colour) in words.items():
        y = place(0, row)[1] + SIDE / 2
        marks.append(Text(MARGIN, y, word, 13, colour, "start", bold=True))
    for i, value in enumerate(x):
        at = s * i
        marks += box(*place(at, 0), value, "input tint")
        left, top = place(at, 0)
        middle = left + SIDE / 2
        marks.append(Line(middle, top + SIDE, middle, place(0, i + 1)[1], "input"))
        for k, weight in enumerate(w):
            marks += box(*place(at + d * k, i + 1), value * weight, "kernel tint", layer=2)
    for u, value in enumerate(whole):
        corner = place(u, rows - 1)
        if u in kept:
            added = u >= len(full) - p
            thick, outline = (2.5, "output") if added else (1, "frame")
            marks += box(*corner, value, "output tint", outline=outline, thick=thick, layer=2)
        else:
            marks += box(*corner, value, "crop", colour="faint")
            marks.append(
                Line(corner[0], corner[1] + SIDE, corner[0] + SIDE, corner[1], "cross", layer=2)
            )
    width, height = place(max(len(whole), 5), rows)
    shown = ", ".join(f"{name} {value}" for name, value in options.items())
    text = f"{title}: {x.tolist()} with kernel {w.tolist()}, {shown}: {whole[kept].tolist()}."
    return drawn(marks, width + MARGIN, height + MARGIN - 4, text)


@picture
def scatter_gather() -> Picture:
    return viz.animate(X, THREE, stride=2)


@picture
def overlap() -> Picture:
    return beside(
        viz.overlap((6, 6), 3, stride=2, padding=1),
        viz.overlap((6, 6), 4, stride=2, padding=1),
    )


@picture
def stride() -> Picture:
    return beside(copies("stride 1", X, TWO), copies("stride 2", X, TWO, stride=2))


@picture
def padding() -> Picture:
    return beside(
        copies("padding 0", X, TWO, stride=2), copies("padding 1", X, TWO, stride=2, padding=1)
    )


@picture
def output_padding() -> Picture:
    options = {"stride": 2, "padding": 1}
    return beside(
        copies("output_padding 0", X, THREE, **options),
        copies("output_padding 1", X, THREE, **options, output_padding=1),
    )


@picture
def dilation() -> Picture:
    return beside(copies("dilation 1", X, TWO), copies("dilation 3", X, TWO, dilation=3))


# ---- channels ----


@picture
def groups() -> Picture:
    return beside(*(weights_in_groups(4, number) for number in (1, 2, 4)))


def weights_in_groups(channels: int, number: int) -> Picture:
    """Which output channel has a kernel for which input channel."""
    side, left, top = 30.0, 92.0, 78.0
    size = channels // number
    title = f"groups={number}: weight ({channels}, {size}, ...)"
    marks: list[Mark] = [
        Text(MARGIN, 28, title, 15, anchor="start", bold=True),
        Text(left + side * channels / 2, 56, "output channels", 13, "output", bold=True),
        Text(MARGIN, top + side * channels / 2 - 9, "input", 13, "input", "start", bold=True),
        Text(MARGIN, top + side * channels / 2 + 9, "channels", 13, "input", "start", bold=True),
    ]
    for i, o in np.ndindex(channels, channels):
        together = i // size == o // size
        corner = left + side * o, top + side * i
        marks += cell(*corner, side, side, "kernel" if together else "empty", dashed=not together)
    bottom = top + side * channels
    text = f"{title}: each output channel is a sum over {size} of {channels} input channels."
    return drawn(marks, max(left + side * channels + MARGIN, 262), bottom + MARGIN, text)


@picture
def layout() -> Picture:
    return beside(
        in_memory("NCHW", "channels first: a whole image a channel", lambda c, at: 6 * c + at),
        in_memory("NHWC", "channels last: all channels of a pixel", lambda c, at: 3 * at + c),
    )


def in_memory(name: str, words: str, order: Callable[[int, int], int]) -> Picture:
    """Where three channels of two rows and three columns lie in memory."""
    side = 26.0
    marks: list[Mark] = [
        Text(MARGIN, 28, f'layout="{name}"', 15, anchor="start", bold=True),
        Text(MARGIN, 52, words, 13, "faint", "start"),
        Text(MARGIN, 160, "in memory", 13, "faint", "start"),
    ]
    fills = ("input tint", "kernel tint", "output tint")
    for c, at in np.ndindex(3, 6):
        row, column = divmod(at, 3)
        text = f"{'abc'[c]}{at}"
        x = MARGIN + c * (3 * side + 22) + column * side
        marks += cell(x, 74 + row * side, side, side, fills[c], text, 11)
        marks += cell(MARGIN + order(c, at) * side, 174, side, side, fills[c], text, 11)
    text = f"{name}: {words} lie side by side."
    return drawn(marks, 18 * side + 2 * MARGIN, 174 + side + MARGIN, text)


@picture
def padding_mode() -> Picture:
    """What a convolution reads beyond the ends of its input."""
    x, width = np.array([[1, 2, 3, 4]]), 3
    marks: list[Mark] = []
    modes = ("zeros", "reflect", "replicate", "circular")
    for row, mode in enumerate(modes):
        read = tconv.conv1d(x, np.ones((1, 1, 1), int), padding=width, padding_mode=mode)[0]
        y = MARGIN + (SIDE + 10) * row
        marks.append(Text(MARGIN, y + SIDE / 2, mode, 14, anchor="start", bold=True))
        for at, value in enumerate(read):
            inside = width <= at < width + x.size
            corner = MARGIN + LABELS + SIDE * at, y
            marks += box(*corner, value, "input tint" if inside else "kernel tint", bold=inside)
    text = f"Three places of padding at each end of {x[0].tolist()}: {', '.join(modes)}."
    right, bottom = MARGIN + LABELS + SIDE * 10, MARGIN + (SIDE + 10) * len(modes) - 10
    return drawn(marks, right + MARGIN, bottom + MARGIN, text)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        draw().save(FOLDER / f"{name}.svg")
