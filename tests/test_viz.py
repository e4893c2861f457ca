"""Pictures: the numbers in them are those of tconv, and the files are what they say."""

import base64
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tconv
from tconv import viz
from tconv._drawing import COLOURS, MINUS, Box, Line, Text
from tconv._scenes import number

SVG = "{http://www.w3.org/2000/svg}"

# input, weight, options: crops, room for more outputs than taps reach, dilation, W with more rows
# than inputs, sides that differ, negative padding.
CALLS = {
    "plain": ([1, 2, 3], [1, 10], {}),
    "cropped": ([1, -2, 3], [1, 2, 1], {"stride": 2, "padding": 1}),
    "unreached": ([4, 5], [1, 2], {"stride": 3, "output_padding": 2}),
    "dilated": ([1, 2, 3], [1, 2], {"dilation": 3, "output_padding": 2}),
    "extended": ([1, 2], [3, 4], {"padding": [(-1, -2)]}),
    "same": ([1.5, 2, 3], [0.5, 1, 0.5, 2], {"stride": 2, "padding": "same"}),
    "image": ([[1, 2], [3, 4]], [[1, 2, 1], [2, 4, 2], [1, 2, 1]], {"stride": 2, "padding": 1}),
    "sides": (
        [[1, 2, 3], [-1, 0, 5]],
        [[2, 0, 1], [1, -1, 3]],
        {"stride": (3, 2), "padding": [(0, 1), (1, 0)], "dilation": (2, 1)},
    ),
}
EACH_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def output_of(x, w, options):
    x, w = np.asarray(x), np.asarray(w)
    dtype = np.result_type(x, w)
    function = getattr(tconv, f"conv_transpose{x.ndim}d")
    return function(x[None].astype(dtype), w[None, None].astype(dtype), **options)[0]


def W_transposed(x, w, options):
    """By its meaning: each column is the output for one input of 1."""
    units = np.eye(np.size(x), dtype=np.asarray(x).dtype).reshape(-1, *np.shape(x))
    return np.stack([output_of(unit, w, options).ravel() for unit in units], axis=1)


def numbers(array):
    return [number(value) for value in np.asarray(array).flat]


def as_number(text):
    return float(text.replace(MINUS, "-"))


def texts_in(frame, left, top, right, bottom):
    """From left to right, and those from above to below."""
    inside = [
        mark
        for mark in frame
        if isinstance(mark, Text) and left < mark.x < right and top < mark.y < bottom
    ]
    return [mark.text for mark in sorted(inside, key=lambda mark: (mark.y, mark.x))]


def matrix_and_vectors(frame):
    """The texts of W.T, of x above it and of y beside it."""
    label = next(mark for mark in frame if isinstance(mark, Text) and mark.text == "W.T")
    boxes = [mark for mark in frame if isinstance(mark, Box) and mark.x > label.x]
    matrix = max(boxes, key=lambda box: box.width * box.height)
    left, top = matrix.x, matrix.y
    right, bottom = left + matrix.width, top + matrix.height
    x = texts_in(frame, left, 0, right, top)
    return texts_in(frame, left, top, right, bottom), x, texts_in(frame, right, top, 1e6, bottom)


def cells(frame, *fills):
    """The texts of the cells that are filled so and lie left of W.T."""
    label = next(mark for mark in frame if isinstance(mark, Text) and mark.text == "W.T")
    boxes = [mark for mark in frame if isinstance(mark, Box) and mark.x < label.x]
    boxes = [box for box in boxes if box.fill in fills and box.height > 4]
    boxes.sort(key=lambda box: (box.y, box.x))
    texts = [texts_in(frame, box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    return [text for (text,) in filter(None, texts)]


def caption(frame):
    lines = [mark for mark in frame if isinstance(mark, Text) and mark.anchor == "start"]
    lines = [mark for mark in lines if mark.size == 15 and not mark.bold]
    return " ".join(mark.text for mark in sorted(lines, key=lambda mark: mark.y))


# ---- animate ----


@EACH_CALL
def test_a_frame_for_each_input_and_each_output(call):
    x, w, options = call
    assert len(viz.animate(x, w, **options)) == np.size(x) + output_of(*call).size


@EACH_CALL
def test_it_ends_with_the_output(call):
    x, w, options = call
    frame = viz.animate(x, w, **options).frames[-1]
    y = numbers(output_of(*call))
    assert matrix_and_vectors(frame) == (numbers(W_transposed(*call)), numbers(x), y)
    assert cells(frame, "output", "output tint", "empty") == y
    assert cells(frame, "input", "input tint") == numbers(x)
    assert sorted(cells(frame, "kernel", "kernel tint")) == sorted(numbers(w))


@EACH_CALL
def test_scattering_adds_input_after_input(call):
    x, w, options = call
    x = np.asarray(x)
    frames = viz.animate(x, w, **options).frames
    for step in range(x.size):
        upto = np.arange(x.size).reshape(x.shape) <= step
        sums = output_of(np.where(upto, x, 0), w, options).ravel()
        reached = output_of(upto.astype(int), np.ones_like(w, int), options).ravel() > 0
        shown = numbers(sums[reached])
        assert matrix_and_vectors(frames[step])[2] == shown
        assert cells(frames[step], "output", "output tint") == shown
        assert cells(frames[step], "product tint") == numbers(x.flat[step] * np.asarray(w))
        assert f"column {step} of W.T" in caption(frames[step])
        assert cells(frames[step], "input") == numbers(x.flat[step])


@EACH_CALL
def test_gathering_sums_products(call):
    x, w, options = call
    y = output_of(*call).ravel()
    for step, frame in enumerate(viz.animate(x, w, **options).frames[np.size(x) :]):
        assert matrix_and_vectors(frame)[2] == numbers(y[: step + 1])
        assert cells(frame, "output") in ([number(y[step])], [])  # none: no tap reaches it
        products = [as_number(text) for text in cells(frame, "product tint")]
        assert sum(products) == pytest.approx(y[step], abs=1e-9)
        words = caption(frame).replace(MINUS, "-")
        place, *sums, _ = re.split(" = |: ", words)
        assert place == f"y[{', '.join(map(str, np.unravel_index(step, output_of(*call).shape)))}]"
        assert f"row {step} of W.T" in words
        assert float(sums[-1]) == y[step]
        if products:
            terms = [term.strip("()").replace("·(", "·") for term in sums[0].split(" + ")]
            pairs = [map(float, term.split("·")) for term in terms]
            assert sum(a * b for a, b in pairs) == pytest.approx(y[step], abs=1e-9)


def test_axes_of_length_1_are_left_out():
    frames = viz.animate([1, 2], [3, 4]).frames
    assert viz.animate([[[1, 2]]], [[[3, 4]]]).frames == frames
    assert viz.animate(np.array([1, 2], np.int8), np.array([[[3, 4]]], np.int32)).frames == frames


def test_numbers_have_three_digits():
    written = {0: "0", -12: "-12", 99999: "99999", 123456: "1.23e5", 0.5: "0.5", 1e-7: "1e-7"}
    written |= {1 / 3: "0.333", 0.0456: "0.046", 0.9999: "1", -12.345: "-12.3", 1e20: "1e20"}
    assert [number(value).replace(MINUS, "-") for value in written] == list(written.values())
    assert number(-0.0) == "0"


def test_the_largest_can_be_drawn_and_no_larger():
    assert len(viz.animate(np.ones((10, 10)), np.ones((3, 3)))) == 100 + 144
    assert len(viz.animate(np.ones(32), [1])) == 64
    for x, w in ((np.ones((11, 2)), np.ones((3, 3))), (np.ones(31), np.ones(3))):
        with pytest.raises(ValueError, match=r"long on a side, got \d+; pass a part of the input"):
            viz.animate(x, w)


@pytest.mark.parametrize(
    ("error", "text", "arguments", "options"),
    [
        (ValueError, "animate: input must be one image", (np.ones((3, 4, 4)), np.ones((2, 2))), {}),
        (ValueError, "animate: weight must be one image", ([1], np.ones((2, 1, 3))), {}),
        (ValueError, "animate: weight must have 1 or 2 axes", ([1], np.ones((1,) * 5)), {}),
        (ValueError, "animate: stride must be >= 1", ([1, 2], [1]), {"stride": 0}),
        (ValueError, "animate: output length would be 0", ([1, 2], [1]), {"padding": 1}),
        (ValueError, "animate: input must be finite", ([1, np.nan], [1]), {}),
        (ValueError, "animate: seconds must be > 0, got 0", ([1], [1]), {"seconds": 0}),
        (TypeError, "animate: weight must be real numbers, got", ([1], [1j]), {}),
        (TypeError, "animate: input must be an array, got None", (None, [1]), {}),
    ],
)
def test_bad_animations(error, text, arguments, options):
    with pytest.raises(error, match=re.escape(text)):
        viz.animate(*arguments, **options)


# ---- overlap ----


@pytest.mark.parametrize(
    ("size", "kernel", "options"),
    [
        (6, 3, {"stride": 2}),
        (5, 2, {"stride": 3, "output_padding": 1}),
        ((3, 4), (3, 2), {"stride": 2, "padding": (1, 0)}),
        ((4, 2), 3, {"stride": (1, 2), "dilation": (1, 2)}),
    ],
)
def test_overlap_is_the_operation_on_ones(size, kernel, options):
    (frame,) = viz.overlap(size, kernel, **options).frames
    kernel = np.broadcast_to(kernel, np.size(size))
    counts = output_of(np.ones(size, int), np.ones(kernel, int), options)
    boxes = [mark for mark in frame if isinstance(mark, Box) and mark.fill in ("output", "empty")]
    boxes.sort(key=lambda box: (box.y, box.x))
    texts = [texts_in(frame, box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    assert texts == [[str(count)] for count in counts.flat]
    assert [box.fill == "empty" for box in boxes] == (counts == 0).ravel().tolist()


def test_overlap_says_what_explain_says():
    (frame,) = viz.overlap((6, 6), 3, stride=2).frames
    words = " ".join(mark.text for mark in frame if isinstance(mark, Text))
    assert "1 and 2 taps alternate; kernel 3 is no multiple of stride 2" in words


def test_of_many_outputs_the_first_are_drawn():
    picture = viz.overlap((10**4, 2), 4, stride=2)
    boxes = [mark for mark in picture.frames[0] if isinstance(mark, Box) and mark.fill == "output"]
    assert len(boxes) == 64 * 6
    assert picture.description.endswith("Shown are the first 64 on a side.")


@pytest.mark.parametrize(
    ("error", "text", "arguments", "options"),
    [
        (ValueError, "overlap: input_size must have 1 or 2 numbers, got 3", ((3, 3, 3), 3), {}),
        (ValueError, "overlap: kernel_size must have 2 numbers", ((3, 3), (3,)), {}),
        (ValueError, "overlap: stride must be >= 1", (3, 3), {"stride": 0}),
        (TypeError, "overlap: kernel_size must be an int or a sequence", (3, 2.5), {}),
    ],
)
def test_bad_overlaps(error, text, arguments, options):
    with pytest.raises(error, match=re.escape(text)):
        viz.overlap(*arguments, **options)


# ---- explain ----


def picture_in(html):
    data = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', html)[1]
    return ET.fromstring(base64.b64decode(data))


def texts_of(svg):
    return [element.text for element in svg.iter(f"{SVG}text")]


def test_explain_draws_a_transposed_convolution():
    explanation = tconv.explain("conv_transpose1d", (1, 3), (1, 1, 2), stride=3, padding=1)
    html = explanation._repr_html_()
    assert "output      (1, 6)" in html
    texts = texts_of(picture_in(html))
    assert "length: 3 to 6" in texts
    for word in ("input", "kernel", "output", "padding crops it", "no tap reaches it"):
        assert word in texts
    counts = [text for text in texts if text.isdigit()]
    # The kernel's elements, the taps of the six outputs, and the sample in the legend.
    assert sorted(counts) == sorted(["0", "1", *"101101", "0"])


def test_explain_draws_axes_that_are_alike_once():
    alike = tconv.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3), padding=1)
    assert "height and width: 8 to 8" in texts_of(picture_in(alike._repr_html_()))
    other = tconv.explain("conv3d", (1, 3, 8, 9, 8), (4, 3, 3, 3, 3), padding=1)
    texts = texts_of(picture_in(other._repr_html_()))
    assert {"depth and width: 8 to 8", "height: 9 to 9"} < set(texts)


@pytest.mark.parametrize(
    ("op", "length", "kernel", "options"),
    [
        ("conv_transpose1d", 10**6, 4, {"stride": 2}),
        ("conv_transpose1d", 10**5, 1024, {"stride": 256, "padding": 512}),
        ("conv1d", 10**6, 5, {"stride": 3, "dilation": 2, "padding": 4}),
        ("conv1d", 50, 3, {"padding": 1, "padding_mode": "circular"}),
        ("conv_transpose1d_input", 7, 3, {"stride": 2}),
        ("conv1d_weight", 9, 3, {"padding": [(-2, 1)]}),
        ("conv_transpose1d", 1, 1, {"output_padding": 0}),
    ],
)
def test_explain_draws_axes_of_any_length(op, length, kernel, options):
    explanation = tconv.explain(op, (1, length), (1, 1, kernel), **options)
    html = explanation._repr_html_()
    assert len(html) < 100_000
    svg = picture_in(html)
    width = float(svg.get("width"))
    for box in svg.iter(f"{SVG}rect"):
        assert float(box.get("x")) >= 0
        assert float(box.get("x")) + float(box.get("width")) <= width


# ---- files ----


@pytest.fixture
def picture():
    return viz.animate([1, 2], [3, 4], seconds=0.5)


def test_svg_shows_each_frame_in_its_time(picture):
    """At each time the texts that are visible are those of its frame."""
    svg = ET.fromstring(picture.svg())
    begins = np.cumsum([0, *picture.seconds])
    for frame, begin, end in zip(picture.frames, begins, begins[1:], strict=False):
        time = (begin + end) / 2 / begins[-1]
        visible = []
        for group in svg.iter(f"{SVG}g"):
            animation = group.find(f"{SVG}animate")
            if animation is not None:
                times = [float(t) for t in animation.get("keyTimes").split(";")]
                values = animation.get("values").split(";")
                assert times[0] == 0
                if values[np.searchsorted(times, time, "right") - 1] == "hidden":
                    continue
            visible += texts_of(group)
        assert sorted(visible) == sorted(m.text for m in frame if isinstance(m, Text))


def test_svg_without_animation_shows_the_last_frame(picture):
    groups = ET.fromstring(picture.svg()).iter(f"{SVG}g")
    seen = [
        text for group in groups if group.get("visibility") != "hidden" for text in texts_of(group)
    ]
    assert sorted(seen) == sorted(texts_of(ET.fromstring(picture.svg(-1))))


def test_svg_has_nothing_from_elsewhere(picture):
    text = picture.svg()
    assert "<script" not in text
    assert set(re.findall(r"https?://[^\s\"]+", text)) == {"http://www.w3.org/2000/svg"}


def test_svg_classes_are_colours(picture):
    svg = ET.fromstring(picture.svg())
    style = svg.find(f"{SVG}style").text
    light, dark = style.split("@media(prefers-color-scheme:dark)")
    for element in svg.iter():
        for name in (element.get("class") or "").split():
            assert f".{name}{{" in light
            assert f".{name}{{" in dark or name == "none"


def luminance(colour):
    channels = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "page"),
        ("faint", "page"),
        ("faint", "empty"),
        ("faint", "crop"),
        ("faint", "kernel tint"),
        ("product", "page"),
        ("product", "crop"),
        ("input", "page"),
        ("output", "page"),
        ("kernel ink", "page"),
        ("on kernel", "kernel"),
        ("on hue", "input"),
        ("on hue", "output"),
        ("ink", "input tint"),
        ("ink", "output tint"),
        ("ink", "product tint"),
    ],
)
def test_texts_stand_out(text, ground, page):
    """By the measure of WCAG 2.2: 4.5 for texts."""
    bright, dim = sorted(
        (luminance(COLOURS[name][page]) + 0.05 for name in (text, ground)), reverse=True
    )
    assert bright / dim >= 4.5


def test_texts_fit_on_the_page():
    for x, w, options in CALLS.values():
        picture = viz.animate(x, w, **options)
        for frame in picture.frames:
            for mark in frame:
                if isinstance(mark, Text):
                    share = {"start": 0, "middle": 0.5, "end": 1}[mark.anchor]
                    long = 0.6 * mark.size * len(mark.text)
                    assert mark.x - share * long > 0
                    assert mark.x + (1 - share) * long < picture.width
                    assert 0 < mark.y < picture.height


def test_gif(picture, tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture.save(tmp_path / "a.gif")
    with image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == len(picture) == 5
        assert gif.size == (picture.width, picture.height)
        durations = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            durations.append(gif.info["duration"])
        assert durations == [1000 * seconds for seconds in picture.seconds]
        assert gif.info["loop"] == 0
        picture.save(tmp_path / "last.png")
        with image.open(tmp_path / "last.png") as png:
            difference = np.asarray(gif.convert("RGB"), int) - np.asarray(png, int)
    assert (difference == 0).mean() > 0.97  # the edges of letters have colours of their own
    assert abs(difference).max() < 64


def test_png_is_one_frame(picture, tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture.save(tmp_path / "last.png")
    picture.save(str(tmp_path / "same.png"), frame=4)
    picture.save(tmp_path / "first.PNG", frame=0, scale=2)
    assert (tmp_path / "last.png").read_bytes() == (tmp_path / "same.png").read_bytes()
    with image.open(tmp_path / "first.PNG") as first:
        assert first.size == (2 * picture.width, 2 * picture.height)


def test_pixels_have_the_colours(tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = viz.Picture([[Box(2, 3, 4, 5, "input"), Line(0, 0.5, 9, 0.5, "ink")]], [1], 9, 9, "")
    picture.save(tmp_path / "box.png")
    with image.open(tmp_path / "box.png") as png:
        pixels = np.asarray(png)
    colours = {name: tuple(bytes.fromhex(pair[0][1:])) for name, pair in COLOURS.items()}
    assert (pixels[0] == colours["ink"]).all()
    assert (pixels[3:8, 2:6] == colours["input"]).all()
    assert (pixels == colours["input"]).all(-1).sum() == 20
    assert (pixels == colours["page"]).all(-1).sum() == 81 - 9 - 20


def test_svg_files(picture, tmp_path):
    picture.save(tmp_path / "all.svg")
    picture.save(tmp_path / "one.svg", frame=1)
    assert (tmp_path / "all.svg").read_text(encoding="utf-8") == picture.svg()
    assert "<animate" not in (tmp_path / "one.svg").read_text(encoding="utf-8")


def test_bad_files(picture, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.svg, \.gif or \.png, got 'a\.jpg'"):
        picture.save(tmp_path / "a.jpg")
    with pytest.raises(IndexError, match="frame must be one of 5, got 5"):
        picture.save(tmp_path / "a.svg", frame=5)
    with pytest.raises(ValueError, match="other must have 5 frames, got 1"):
        picture.beside(viz.overlap(3, 3))


def test_pixels_need_pillow_and_svg_nothing(picture, tmp_path, monkeypatch):
    for module in ("PIL", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    picture.save(tmp_path / "a.svg")
    assert "<img" in picture._repr_html_()
    with pytest.raises(ImportError, match=r"pip install 'tconv\[viz\]'"):
        picture.save(tmp_path / "a.png")


def test_beside(picture):
    both = picture.beside(picture)
    assert (len(both), both.width, both.height) == (5, 2 * picture.width, picture.height)
    (first,) = [m.x for m in picture.frames[2] if isinstance(m, Text) and m.text == "W.T"]
    places = [m.x for m in both.frames[2] if isinstance(m, Text) and m.text == "W.T"]
    assert sorted(places) == pytest.approx([first, first + picture.width])
