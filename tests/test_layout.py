"""layout=: the order of the axes changes where the numbers are, and nothing else."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import forward_problems, strided
from support import names, to_first, to_last

import tconv
from tconv import grad, problems

EDGES = problems.read_file(Path(__file__).with_name("problems_edge.txt"))


def call(core, problem, x, w, b, gy, layout, sides=(False, False), **more):
    """The problem's forward call and both gradients, with arrays in that layout."""
    rank, (x_last, y_last) = w.ndim - 2, sides
    options = {**problem.options, **more, "layout": layout}
    x = to_last(x, rank) if x_last else x
    gy = to_last(gy, rank) if y_last else gy
    y = getattr(core, problem.op)(x, w, b, **options)
    gx = getattr(core, f"{problem.op}_input")(x.shape, w, gy, **options)
    gw = getattr(core, f"{problem.op}_weight")(x, w.shape, gy, **options)
    for result in (y, gx):
        assert result.flags.c_contiguous
    return (to_first(y, rank) if y_last else y, to_first(gx, rank) if x_last else gx, gw)


def check_layouts(core, problem, rng, fill, **more):
    """All four pairs of orders have the bits of the call without a layout."""
    x, w, b = support.arrays_of(problem, rng, fill)
    rank = w.ndim - 2
    gy = fill(rng, support.output_shape(problem), problem.dtype)
    expected = call(core, problem, x, w, b, gy, None, **more)
    first, last = names(rank, x.ndim == rank + 2)
    for x_last in (False, True):
        for y_last in (False, True):
            layout = f"{last if x_last else first}->{last if y_last else first}"
            results = call(core, problem, x, w, b, gy, layout, (x_last, y_last), **more)
            for result, wanted in zip(results, expected, strict=True):
                support.assert_same(result, wanted)
    support.assert_same(
        call(core, problem, x, w, b, gy, last, (True, True), **more)[0], expected[0]
    )


@pytest.mark.parametrize("isa", support.ISAS)
@pytest.mark.parametrize("fill", [support.integers, support.reals])
@pytest.mark.parametrize("name", EDGES)
def test_edges(name, fill, isa):
    check_layouts(support.CORES[isa], EDGES[name], np.random.default_rng(5), fill)


@settings(max_examples=150, deadline=None)
@given(
    forward_problems(),
    st.integers(1, 3),
    st.sampled_from(support.ISAS),
    st.sampled_from((support.integers, support.reals)),
)
def test_drawn(problem, threads, isa, fill):
    """The same bits; and, with integers, the definition itself."""
    rng = np.random.default_rng(3)
    check_layouts(support.CORES[isa], problem, rng, fill, threads=threads)
    x, w, b = support.arrays_of(problem, rng)
    rank = w.ndim - 2
    expected = support.definition(problem.op)(x, w, b, **problem.options)
    last = names(rank, x.ndim == rank + 2)[1]
    result = getattr(tconv, problem.op)(to_last(x, rank), w, b, **problem.options, layout=last)
    support.assert_same(to_first(result, rank), expected)


@settings(max_examples=100, deadline=None)
@given(st.data(), forward_problems())
def test_a_layout_names_axes_whatever_the_memory(data, problem):
    """Any strides, in the input and in out."""
    rng = np.random.default_rng(7)
    x, w, b = support.arrays_of(problem, rng)
    rank = w.ndim - 2
    options = {**problem.options, "layout": names(rank, x.ndim == rank + 2)[1]}
    expected = getattr(tconv, problem.op)(to_last(x, rank), w, b, **options)
    view = data.draw(strided(to_last(x, rank)))
    out = data.draw(strided(np.empty_like(expected)))
    assert getattr(tconv, problem.op)(view, w, b, **options, out=out) is out
    support.assert_same(out, expected)


@pytest.mark.parametrize("name", EDGES)
def test_engines(name):
    """Each that can do it, channels last."""
    problem = EDGES[name]
    x, w, b = support.arrays_of(problem, np.random.default_rng(17))
    rank = w.ndim - 2
    expected = support.definition(problem.op)(x, w, b, **problem.options)
    options = {**problem.options, "layout": names(rank, x.ndim == rank + 2)[1]}
    done = 0
    for isa, engine in itertools.product(support.ISAS, support.ENGINES):
        try:
            plan = tconv.plan(problem.op, w, b, isa=isa, engine=engine, **options)
        except ValueError:  # the engine cannot do this geometry
            continue
        support.assert_same(to_first(plan(to_last(x, rank)), rank), expected)
        done += 1
    assert done


@pytest.mark.parametrize("name", ["k_below_s", "uneven", "depthwise", "pixels_pieces"])
def test_plans(name):
    problem, rng = EDGES[name], np.random.default_rng(11)
    x, w, b = support.arrays_of(problem, rng)
    expected = getattr(tconv, problem.op)(x, w, b, **problem.options)
    plan = tconv.plan(problem.op, w, b, **problem.options, layout="NHWC")
    support.assert_same(to_first(plan(to_last(x, 2)), 2), expected)
    assert "_nhwc_" in plan.problem
    mixed = tconv.plan(problem.op, w, b, **problem.options, layout="NHWC->NCHW")
    support.assert_same(mixed(to_last(x, 2)), expected)
    single = tconv.plan(problem.op, w, b, **problem.options, layout="HWC")
    support.assert_same(to_first(single(to_last(x[0], 2)), 2), expected[0])
    with pytest.raises(
        ValueError, match="input must have the 4 dimensions of layout 'NHWC', got 3"
    ):
        plan(to_last(x[0], 2))


def lying(array, axes):
    """The array, with its axes in that order in memory."""
    return array.transpose(axes).copy().transpose(np.argsort(axes))


@pytest.mark.parametrize(
    ("name", "layout", "engine"),
    [
        ("depthwise", "NHWC", "channels"),
        ("pixels_pieces", "NHWC", "pixels"),
        ("places_cropped", "NCHW", "places"),
    ],
)
def test_a_plan_meets_any_strides(name, layout, engine):
    """Its engine may be one that wants the channels, or a line's outputs, side by side."""
    problem, rng = EDGES[name], np.random.default_rng(13)
    x, w, b = support.arrays_of(problem, rng)
    x = to_last(x, 2) if layout == "NHWC" else x
    plan = tconv.plan(problem.op, w, b, **problem.options, layout=layout)
    assert plan.engine == engine
    expected = plan(x)
    flipped = np.flip(np.flip(x, (1, 2)).copy(), (1, 2))
    support.assert_same(plan(flipped), expected)
    out = np.empty_like(expected)[..., ::-1]
    assert plan(x, out=out) is out
    support.assert_same(out, expected)
    for axes in itertools.permutations(range(4)):  # in memory
        support.assert_same(plan(lying(x, axes)), expected)
        out = lying(np.empty_like(expected), axes)
        assert plan(x, out=out) is out
        support.assert_same(out, expected)


def test_upsampling_by_a_reshape():
    """A kernel 1 convolution to twice the channels, read as twice the length: no copy."""
    x, w = np.ones((2, 5, 3), np.float32), np.ones((6, 3, 1), np.float32)
    y = tconv.conv1d(x, w, layout="NLC")
    assert y.shape == (2, 5, 6)
    assert np.shares_memory(y.reshape(2, 10, 3), y)


def test_output_size():
    """Of an array that the result is to be like, and as a whole shape, in the layout's order."""
    x, w = np.ones((1, 4, 5, 3), np.float32), np.ones((3, 2, 3, 3), np.float32)
    for size in (np.empty((1, 10, 11, 2)), (10, 11), (1, 10, 11, 2)):
        y = tconv.conv_transpose2d(x, w, stride=2, output_size=size, layout="NHWC")
        assert y.shape == (1, 10, 11, 2)
    assert tconv.output_size(
        "conv2d", (1, 9, 8, 3), (5, 3, 3, 3), stride=2, layout="NHWC->NCHW"
    ) == (1, 5, 4, 3)


def test_problem_strings():
    for layout in ("NHWC", "NHWC->NCHW", "NCHW->NHWC"):
        string = f"c2d_n1_ci8_ih5_iw6_co4_k3_s1_p0_{layout.replace('->', '_').lower()}_f32"
        problem = problems.parse(string)
        assert problem.options == {"layout": layout}
        explained = tconv.explain(
            problem.op, problem.input_shape, problem.weight_shape, **problem.options
        )
        assert explained.problem == string
    with pytest.raises(ValueError, match="not a problem string"):
        problems.parse("c2d_n1_ci8_ih5_iw6_co4_k3_s1_p0_ncl_f32")


X, W = np.ones((2, 5, 6, 3), np.float32), np.ones((4, 3, 3, 3), np.float32)
REFUSED = {
    "unknown": (
        lambda: tconv.conv2d(X, W, layout="NHCW"),
        ValueError,
        "conv2d: layout must be one of 'NCHW', 'NHWC', 'CHW', 'HWC', or two of them as in "
        "'NHWC->NCHW', got 'NHCW'",
    ),
    "of another rank": (lambda: tconv.conv2d(X, W, layout="NLC"), ValueError, "layout must be one"),
    "lower case": (lambda: tconv.conv2d(X, W, layout="nhwc"), ValueError, "layout must be one of"),
    "empty": (lambda: tconv.conv2d(X, W, layout=""), ValueError, "layout must be one of"),
    "half": (lambda: tconv.conv2d(X, W, layout="NHWC->"), ValueError, "layout must be one of"),
    "arrow alone": (lambda: tconv.conv2d(X, W, layout="NHWC-NCHW"), ValueError, "must be one of"),
    "three": (lambda: tconv.conv2d(X, W, layout="NHWC->NHWC->NHWC"), ValueError, "must be one of"),
    "one batch": (lambda: tconv.conv2d(X, W, layout="NHWC->CHW"), ValueError, "must be one of"),
    "long": (lambda: tconv.conv2d(X, W, layout="N" * 9999), ValueError, "layout must be one of"),
    "type": (lambda: tconv.conv2d(X, W, layout=3), TypeError, "layout must be a string, got int"),
    "dimensions": (
        lambda: tconv.conv2d(X, W, layout="HWC"),
        ValueError,
        "input must have the 3 dimensions of layout 'HWC', got 4. Got input (2, 5, 6, 3), weight",
    ),
    "shapes in their own order": (
        lambda: tconv.conv2d(X, W, layout="NHWC", stride=0),
        ValueError,
        "Got input (2, 5, 6, 3) [NHWC], weight (4, 3, 3, 3) [out, in/groups, kH, kW], groups=1.",
    ),
    "not said": (
        lambda: tconv.conv2d(X, W),
        ValueError,
        "input has 5 channels, but weight expects 3 (as many as its last axis has: if channels "
        "come last, pass their layout, such as layout='NHWC')",
    ),
    "said wrongly": (
        lambda: tconv.conv2d(X, W, layout="NCHW"),
        ValueError,
        "input has 5 channels, but weight expects 3. Got input (2, 5, 6, 3) [NCHW]",
    ),
    "gradient": (
        lambda: grad.conv2d_input((2, 5, 6, 3), W, X, layout="NHWC"),
        ValueError,
        "grad_output has 3 channels, but weight expects 4. Got input_size (2, 5, 6, 3) [NHWC]",
    ),
    "gradient's shape": (
        lambda: grad.conv2d_weight(X, (4, 3, 3, 3), np.ones((2, 3, 5, 4), "f"), layout="NHWC"),
        ValueError,
        "grad_output must have the shape of the output, (2, 3, 4, 4). Got input (2, 5, 6, 3) "
        "[NHWC], weight_size (4, 3, 3, 3) [out, in/groups, kH, kW], "
        "grad_output (2, 3, 5, 4) [NHWC]",
    ),
    "out": (
        lambda: tconv.conv2d(X, W, layout="NHWC", out=np.empty((2, 4, 3, 4), "f")),
        ValueError,
        "out must have shape (2, 3, 4, 4), got (2, 4, 3, 4)",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_refused(row):
    function, error, text = REFUSED[row]
    with pytest.raises(error) as refusal:
        function()
    assert text in str(refusal.value)
