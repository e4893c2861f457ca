"""Pictures of boxes, lines and words: SVG written by hand, and pixels by Pillow.

A picture is a sequence of frames, and a frame is a sequence of marks. Marks name their colours, and
`COLOURS` says what those are on a light and on a dark page. SVG needs no library: each mark that
some frames have in common is written once, and shown while they last. Where nothing moves, as on
paper, that file shows the last frame.
"""

from __future__ import annotations

import base64
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MINUS", "Box", "Line", "Mark", "Picture", "Text", "cell", "moved", "readable_size"]

# The hues are those of M. Okabe and K. Ito, chosen to be told apart with any colour vision; their
# lightness differs too. A tint is what a cell has at rest, the hue itself what it has in action.
COLOURS = {
    "page": ("#ffffff", "#15191f"),
    "frame": ("#d5dae0", "#3a424d"),
    "ink": ("#1d242c", "#e8ecf1"),
    "faint": ("#59626c", "#9aa5b1"),
    "empty": ("#f4f6f8", "#1e242c"),
    "crop": ("#e3e6ea", "#2b323b"),
    "cross": ("#aab2bb", "#5a6570"),
    "on hue": ("#ffffff", "#0d1117"),
    "on kernel": ("#1d242c", "#0d1117"),
    "input": ("#0072b2", "#56b4e9"),
    "input tint": ("#d6e8f5", "#153750"),
    "kernel": ("#e69f00", "#e69f00"),
    "kernel ink": ("#8f6200", "#e69f00"),
    "kernel tint": ("#fcecc8", "#4a3710"),
    "product": ("#96406f", "#d98cbb"),
    "product tint": ("#f5dfec", "#4b2a3f"),
    "output": ("#00805e", "#2fbf94"),
    "output tint": ("#cfeadf", "#123f33"),
}

MINUS = "\N{MINUS SIGN}"
BASELINE = 0.35  # of a text's size, below its middle


@dataclass(frozen=True)
class Box:
    """A rectangle, filled or outlined or both.

    `opacity` is the fill's. Marks of a higher `layer` are in front.
    """

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    outline: str = ""
    thick: float = 1.0
    dashed: bool = False
    layer: int = 0
    opacity: float = 1.0


@dataclass(frozen=True)
class Line:
    """A straight line between two points."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: str = "faint"
    thick: float = 1.0
    layer: int = 0


@dataclass(frozen=True)
class Text:
    """Words, their middle in height at `y`; `anchor` says what is at `x`: start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 14
    colour: str = "ink"
    anchor: str = "middle"
    bold: bool = False
    layer: int = 3


Mark = Box | Line | Text


def cell(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    text: str = "",
    size: float = 0,
    colour: str = "ink",
    *,
    outline: str = "frame",
    thick: float = 1,
    bold: bool = False,
    dashed: bool = False,
    layer: int = 1,
) -> Iterator[Mark]:
    """A box with a number in it."""
    yield Box(x, y, width, height, fill, outline, thick, dashed, layer)
    if text and size:
        yield Text(x + width / 2, y + height / 2, text, size, colour, bold=bold, layer=layer + 1)


def readable_size(characters: int, width: float, height: float) -> float:
    """The size of numbers in cells: 0 where they could not be read."""
    size = min(0.6 * height, 1.45 * width / characters, 15)
    return round(size, 1) if size >= 5 else 0


def moved(marks: Iterable[Mark], dx: float, dy: float) -> Iterator[Mark]:
    """The marks in another place."""
    for mark in marks:
        if isinstance(mark, Line):
            x, y = mark.x1 + dx, mark.y1 + dy
            yield replace(mark, x1=x, y1=y, x2=mark.x2 + dx, y2=mark.y2 + dy)
        else:
            yield replace(mark, x=mark.x + dx, y=mark.y + dy)


class Picture:
    """A drawing, still or animated; notebooks show it, and `save` writes it to a file.

    Attributes
    ----------
    frames : sequence of sequences of marks
    seconds : sequence of float
        How long each frame is shown.
    width, height : float
        In pixels of a screen.
    description : str
        What can be seen, for those who cannot see it.
    """

    def __init__(
        self,
        frames: Iterable[Iterable[Mark]],
        seconds: Iterable[float],
        width: float,
        height: float,
        description: str,
    ) -> None:
        self.frames = [sorted(frame, key=lambda mark: mark.layer) for frame in frames]
        self.seconds = list(seconds)
        self.width, self.height = round(width), round(height)
        self.description = description

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.frames)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.width}x{self.height}, frames: {len(self)}>"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.svg().encode()).decode()
        return (
            f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(self.description)}" '
            f'width="{self.width}" style="max-width:100%">'
        )

    def svg(self, frame: int | None = None) -> str:
        """The text of an SVG file: of all frames, animated, or of one, still.

        Parameters
        ----------
        frame : int, optional
            Its number, from the end if it is negative.

        Returns
        -------
        str
        """
        frames = self.frames if frame is None else [self.frames[frame]]
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">',
            f"<title>{escape(self.description)}</title>",
            f"<style>{_style()}</style>",
            f'<rect class="page frame-line" x=".5" y=".5" width="{self.width - 1}" '
            f'height="{self.height - 1}" rx="8"/>',
        ]
        for marks, shown in _runs(frames):
            lines.append("<g>" if all(shown) else _shown_while(shown, self.seconds))
            lines += map(_element, marks)
            lines.append("</g>")
        return "\n".join([*lines, "</svg>", ""])

    def beside(self, other: Picture) -> Picture:
        """This picture and to its right another of as many frames.

        Parameters
        ----------
        other : Picture

        Returns
        -------
        Picture

        Raises
        ------
        ValueError
            For another number of frames.
        """
        if len(other) != len(self):
            raise ValueError(f"beside: other must have {len(self)} frames, got {len(other)}")
        pairs = zip(self.frames, other.frames, strict=True)
        return Picture(
            [[*left, *moved(right, self.width, 0)] for left, right in pairs],
            self.seconds,
            self.width + other.width,
            max(self.height, other.height),
            f"{self.description} Beside it: {other.description}",
        )

    def save(
        self, path: str | os.PathLike[str], frame: int | None = None, scale: float = 1
    ) -> None:
        """Write the picture to a file; its name's end says how.

        Parameters
        ----------
        path : str or path-like
            ``.svg``: animated, without a library. ``.gif``: animated, by Pillow. ``.png``: one
            frame, by Pillow.
        frame : int, optional
            The number of the only frame to write, from the end if it is negative. A ``.png`` has
            the last one if this does not say.
        scale : float
            How many pixels of a ``.gif`` or ``.png`` stand for one of a screen.

        Raises
        ------
        ImportError
            For pixels without Pillow.
        IndexError
            For a frame that there is not.
        ValueError
            For the name of another kind of file.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in (".svg", ".gif", ".png"):
            raise ValueError(f"save: path must end in .svg, .gif or .png, got {path.name!r}")
        if frame is not None and not -len(self) <= frame < len(self):
            raise IndexError(f"save: frame must be one of {len(self)}, got {frame}")
        if kind == ".svg":
            path.write_text(self.svg(frame), encoding="utf-8")
            return
        if frame is None and kind == ".png":
            frame = -1
        chosen = range(len(self)) if frame is None else [frame]
        images = [self._pixels(self.frames[number], scale) for number in chosen]
        if kind == ".png":
            images[0].save(path)
            return
        durations = [round(1000 * self.seconds[number]) for number in chosen]
        images = _few_colours(images)
        more = {"append_images": images[1:], "duration": durations, "loop": 0, "optimize": True}
        images[0].save(path, save_all=True, **more)

    def _pixels(self, frame: Sequence[Mark], scale: float) -> Any:
        """A frame as Pillow's image: drawn larger, and made smaller, so that edges are smooth."""
        try:
            from PIL import Image, ImageDraw
        except ImportError:
            raise ImportError("save: pixels need Pillow: pip install 'tconv[viz]'") from None
        finer = 3 * scale
        size = round(self.width * finer), round(self.height * finer)
        image = Image.new("RGB", size, COLOURS["page"][0])
        draw = ImageDraw.Draw(image)
        for mark in frame:
            _paint(draw, mark, finer)
        return image.resize(
            (round(self.width * scale), round(self.height * scale)), Image.Resampling.BOX
        )


# ---- SVG ----


def _style() -> str:
    """What the classes mean: for each colour one that fills, and one for lines."""
    light, dark = (
        "".join(
            f".{_css(name)}{{fill:{pair[page]}}}.{_css(name)}-line{{stroke:{pair[page]}}}"
            for name, pair in COLOURS.items()
        )
        for page in (0, 1)
    )
    return (
        "text{font-family:Helvetica,Arial,sans-serif}.none{fill:none}"
        f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
    )


def _css(colour: str) -> str:
    return colour.replace(" ", "-")


def _runs(frames: Sequence[Sequence[Mark]]) -> Iterator[tuple[list[Mark], tuple[bool, ...]]]:
    """Marks that the same frames have, and which frames those are, from the back to the front."""
    shown: dict[Mark, list[bool]] = {}
    for number, frame in enumerate(frames):
        for mark in frame:
            shown.setdefault(mark, [False] * len(frames))[number] = True

    def key(mark: Mark) -> tuple[int, list[bool]]:
        return mark.layer, shown[mark]

    for (_, when), marks in itertools.groupby(sorted(shown, key=key), key):
        yield list(marks), tuple(when)


def _shown_while(shown: Sequence[bool], seconds: Sequence[float]) -> str:
    """The beginning of a group that is seen in these frames only."""
    total = sum(seconds)
    begins = [sum(seconds[:number]) / total for number in range(len(shown))]
    changes = [n for n in range(len(shown)) if n == 0 or shown[n] != shown[n - 1]]
    values = ";".join("visible" if shown[n] else "hidden" for n in changes)
    times = ";".join(f"{begins[n]:.5g}" for n in changes)
    return (
        f'<g visibility="{"visible" if shown[-1] else "hidden"}">'
        f'<animate attributeName="visibility" calcMode="discrete" dur="{total:.5g}s" '
        f'repeatCount="indefinite" values="{values}" keyTimes="{times}"/>'
    )


def _element(mark: Mark) -> str:
    if isinstance(mark, Text):
        return _tag(
            "text",
            escape(mark.text),
            class_=_css(mark.colour),
            x=mark.x,
            y=mark.y + BASELINE * mark.size,
            font_size=mark.size,
            text_anchor=None if mark.anchor == "start" else mark.anchor,
            font_weight="bold" if mark.bold else None,
        )
    if isinstance(mark, Line):
        return _tag(
            "line",
            class_=f"{_css(mark.colour)}-line",
            x1=mark.x1,
            y1=mark.y1,
            x2=mark.x2,
            y2=mark.y2,
            stroke_width=mark.thick,
        )
    classes = [_css(mark.fill or "none"), *([f"{_css(mark.outline)}-line"] if mark.outline else [])]
    return _tag(
        "rect",
        class_=" ".join(classes),
        x=mark.x,
        y=mark.y,
        width=mark.width,
        height=mark.height,
        stroke_width=mark.thick if mark.outline else None,
        stroke_dasharray="4 3" if mark.dashed else None,
        fill_opacity=None if mark.opacity == 1 else mark.opacity,
    )


def _tag(name: str, inside: str = "", **attributes: str | float | None) -> str:
    """An element; attributes are named in Python's way, and left out where they are None."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            text = value if isinstance(value, str) else f"{value:.5g}"
            words.append(f'{key.strip("_").replace("_", "-")}="{text}"')
    return f"<{' '.join(words)}>{inside}</{name}>" if inside else f"<{' '.join(words)}/>"


# ---- pixels ----


def _paint(draw: Any, mark: Mark, scale: float) -> None:
    """A mark with Pillow, in the colours of a light page."""
    if isinstance(mark, Text):
        _write(draw, mark, scale)
        return
    width = max(1, round(mark.thick * scale))
    if isinstance(mark, Line):
        ends = [scale * end for end in (mark.x1, mark.y1, mark.x2, mark.y2)]
        draw.line(ends, _light(mark.colour), width)
        return
    left, top = mark.x * scale, mark.y * scale
    right, bottom = left + mark.width * scale, top + mark.height * scale
    if mark.fill:
        inside = left, top, max(left, right - 1), max(top, bottom - 1)
        draw.rectangle(inside, _light(mark.fill, mark.opacity))
    if mark.outline and not mark.dashed:
        half = width / 2  # an outline lies to both sides of its edge, as in SVG
        edge = (left - half, top - half, right + half - 1, bottom + half - 1)
        draw.rectangle(edge, None, _light(mark.outline), width)
    elif mark.outline:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        for begin, end in itertools.pairwise(corners):
            _dash(draw, begin, end, _light(mark.outline), width, scale)


def _write(draw: Any, mark: Text, scale: float) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(mark.size * scale)
    place = mark.x * scale, (mark.y + BASELINE * mark.size) * scale
    draw.text(
        place,
        mark.text.replace(MINUS, "-"),  # Pillow's own font lacks it
        _light(mark.colour),
        font,
        {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor],
        stroke_width=0.025 * mark.size * scale if mark.bold else 0,
    )


def _dash(
    draw: Any,
    begin: tuple[float, float],
    end: tuple[float, float],
    colour: tuple[int, ...],
    width: int,
    scale: float,
) -> None:
    """A line of dashes 4 long and 3 apart."""
    (x1, y1), (x2, y2) = begin, end
    length = math.hypot(x2 - x1, y2 - y1) / scale
    for at in range(0, math.ceil(length), 7):
        a, b = at / length, min(1, (at + 4) / length)
        ends = [x1 + a * (x2 - x1), y1 + a * (y2 - y1), x1 + b * (x2 - x1), y1 + b * (y2 - y1)]
        draw.line(ends, colour, width)


def _light(colour: str, opacity: float = 1.0) -> tuple[int, ...]:
    """Red, green and blue on a light page."""
    top, page = (bytes.fromhex(COLOURS[name][0][1:]) for name in (colour, "page"))
    return tuple(round(opacity * a + (1 - opacity) * b) for a, b in zip(top, page, strict=True))


def _few_colours(images: list[Any]) -> list[Any]:
    """For a GIF: the most frequent colours, the same in all, so that what stays takes no bytes.

    Other colours, at the edges of letters, become the nearest of them.
    """
    from PIL import Image

    counts: Counter[int] = Counter()
    codes = [np.asarray(image, np.intp) @ (1 << 16, 1 << 8, 1) for image in images]
    for code in codes:
        counts.update(dict(zip(*map(np.ndarray.tolist, np.unique_counts(code)), strict=True)))
    palette = _channels(np.array([code for code, _ in counts.most_common(255)]))
    reduced = []
    for code in codes:
        colours, places = np.unique_inverse(code)
        far = np.abs(_channels(colours)[:, None] - palette).sum(-1)
        image = Image.fromarray(far.argmin(1).astype(np.uint8)[places])
        image.putpalette(palette.astype(np.uint8).tobytes())
        reduced.append(image)
    return reduced


def _channels(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Red, green and blue of colours written as one number."""
    return codes[:, None] >> (16, 8, 0) & 255
