"""What hypothesis draws for the tests: problems of both families, arrays behind any strides."""

import hypothesis.strategies as st
import numpy as np

from tconv.problems import Problem

CHANNELS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 64, 65)
MOST = {1: 40, 2: 9, 3: 5}  # lengths by rank


@st.composite
def transposed_axes(draw, rank):
    """Input lengths, kernel and options of a transposed convolution."""
    lengths, kernel, stride, dilation = (
        draw(integers(rank, 1, most)) for most in (MOST[rank], 5, 4, 3)
    )
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    full = [
        (i - 1) * s + d * (k - 1) + e + 1
        for i, k, s, d, e in zip(lengths, kernel, stride, dilation, extra, strict=True)
    ]
    padding = tuple(draw(st.integers(0, min(4, (o - 1) // 2))) for o in full)
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": extra,
        "dilation": dilation,
    }
    return lengths, kernel, options


@st.composite
def convolution_axes(draw, rank):
    """Input lengths, kernel and options of a convolution."""
    kernel, stride, dilation = (draw(integers(rank, 1, most)) for most in (5, 4, 3))
    padding = draw(integers(rank, 0, 4))
    least = [
        max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    lengths = tuple(draw(st.integers(low, low + MOST[rank])) for low in least)
    return lengths, kernel, {"stride": stride, "padding": padding, "dilation": dilation}


def integers(rank, low, high):
    """One integer an axis."""
    return st.tuples(*[st.integers(low, high)] * rank)


@st.composite
def forward_problems(draw, families=("conv", "conv_transpose"), channels=CHANNELS):
    """A forward operation, shapes and options that give at least one output."""
    family, rank = draw(st.sampled_from(families)), draw(st.integers(1, 3))
    groups = draw(st.sampled_from((1, 1, 1, 2, 3, 20)))
    few = (1, 2) if groups == 20 else channels if rank < 3 else channels[:8]
    small, large = draw(st.sampled_from(few)), draw(st.sampled_from(few))
    transposed = family == "conv_transpose"
    axes = transposed_axes(rank) if transposed else convolution_axes(rank)
    lengths, kernel, options = draw(axes)
    batch = draw(st.sampled_from(((), (0,), (1,), (2,), (3,))))
    return Problem(
        string="drawn_",
        op=f"{family}{rank}d",
        input_shape=(*batch, groups * (small if transposed else large), *lengths),
        weight_shape=(groups * small, large, *kernel),
        dtype=draw(st.sampled_from(("float32", "float64"))),
        options={**options, "groups": groups},
    )


@st.composite
def strided(draw, array):
    """The same values behind other strides: permuted, reversed, with gaps, offset."""
    axes = draw(st.permutations(range(array.ndim)))
    steps = [draw(st.sampled_from((1, 1, 2, -1, -2))) for _ in axes]
    space = [length * abs(step) for length, step in zip(array.shape, steps, strict=True)]
    base = np.full([space[axis] for axis in axes], 99, array.dtype)
    view = base.transpose(np.argsort(axes))
    view = view[tuple(slice(None, None, step) for step in steps)]
    view[...] = array
    return view
