"""padding_mode=: what stands in the padding, by NumPy's pad and by transposition."""

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import forward_problems, strided
from test_layout import names, to_first, to_last

import tconv

MODES = ("reflect", "replicate", "circular")
NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def places(length, sides, mode):
    """Where in the image the elements of a padded axis are found."""
    lo, hi = sides
    u = np.pad(np.arange(length), [(max(lo, 0), max(hi, 0))], mode=NUMPY[mode])
    return u[max(-lo, 0) : len(u) - max(-hi, 0)]


def padded(x, sides, mode):
    for axis, pair in enumerate(sides, x.ndim - len(sides)):
        x = np.take(x, places(x.shape[axis], pair, mode), axis)
    return x


def folded(g, lengths, sides, mode):
    """The transpose of `padded`."""
    for axis, (n, pair) in enumerate(zip(lengths, sides, strict=True), g.ndim - len(sides)):
        total = np.zeros((*g.shape[:axis], n, *g.shape[axis + 1 :]), g.dtype)
        np.add.at(total, (slice(None),) * axis + (places(n, pair, mode),), g)
        g = total
    return g


@st.composite
def problems_with_modes(draw):
    """A convolution without padding that fits its image, pairs of padding, and a mode."""
    problem, mode = draw(forward_problems(families=("conv",))), draw(st.sampled_from(MODES))
    rank = len(problem.weight_shape) - 2
    options = {**problem.options, "padding": 0}
    sides = []
    for n, k, d in zip(
        problem.input_shape[-rank:], problem.weight_shape[2:], options["dilation"], strict=True
    ):
        most = min(4, {"reflect": n - 1, "circular": n}.get(mode, 4))
        pair = draw(st.tuples(st.integers(-2, most), st.integers(-2, most)))
        sides.append(pair if n + sum(pair) >= d * (k - 1) + 1 and n > 4 else (most, most))
    return problem, options, tuple(sides), mode


def does_not_fit(problem, options, sides):
    rank = len(sides)
    return any(
        n + lo + hi < d * (k - 1) + 1
        for n, (lo, hi), k, d in zip(
            problem.input_shape[-rank:],
            sides,
            problem.weight_shape[2:],
            options["dilation"],
            strict=True,
        )
    )


@settings(max_examples=300, deadline=None)
@given(problems_with_modes(), st.sampled_from(support.ISAS), st.booleans())
def test_convolution_and_gradients(drawn, isa, layout):
    problem, options, sides, mode = drawn
    if does_not_fit(problem, options, sides):
        return
    rng, core, op, rank = np.random.default_rng(71), support.CORES[isa], problem.op, len(sides)
    x, w, b = support.arrays_of(problem, rng)
    here = {**options, "padding": sides, "padding_mode": mode}
    wide = padded(x, sides, mode)
    expected = getattr(tconv.reference, op)(wide, w, b, **options)
    if layout:
        last = names(rank, x.ndim == rank + 2)[1]
        y = getattr(core, op)(to_last(x, rank), w, b, **here, layout=last)
        support.assert_same(to_first(y, rank), expected)
        return
    support.assert_same(getattr(core, op)(x, w, b, **here), expected)
    gy = support.integers(rng, expected.shape, x.dtype)
    of_padded = getattr(tconv.reference, f"{op}_input")(wide.shape, w, gy, **options)
    gx = getattr(core, f"{op}_input")(x.shape, w, gy, **here)
    support.assert_same(gx, folded(of_padded, x.shape[-rank:], sides, mode))
    gw = getattr(tconv.reference, f"{op}_weight")(wide, w.shape, gy, **options)
    support.assert_same(getattr(core, f"{op}_weight")(x, w.shape, gy, **here), gw)


@settings(max_examples=300, deadline=None)
@given(forward_problems(families=("conv_transpose",)), st.data(), st.sampled_from(support.ISAS))
def test_circular_transposed(problem, data, isa):
    """What is cropped is added at the other end; and the gradients are those of that."""
    rng, core, op = np.random.default_rng(73), support.CORES[isa], problem.op
    rank = len(problem.weight_shape) - 2
    x, w, b = support.arrays_of(problem, rng)
    options = {**problem.options, "padding": 0}
    whole = getattr(tconv.reference, op)(x, w, **options)
    lengths, sides = [], []
    for n in whole.shape[-rank:]:
        lo = data.draw(st.integers(0, n // 3))
        hi = data.draw(st.integers(0, n // 3))
        sides.append((lo, hi))
        lengths.append(n - lo - hi)
    here = {**options, "padding": tuple(sides), "padding_mode": "circular"}
    y = getattr(core, op)(x, w, b, **here)
    expected = folded(whole, lengths, sides, "circular") + b.reshape(-1, *[1] * rank)
    support.assert_same(y, expected)
    gy = support.integers(rng, y.shape, x.dtype)
    wide = padded(gy, sides, "circular")
    gx = getattr(tconv.reference, f"{op}_input")(x.shape, w, wide, **options)
    support.assert_same(getattr(core, f"{op}_input")(x.shape, w, gy, **here), gx)
    support.assert_same(getattr(core, f"{op}_input")(None, w, gy, **here), gx)
    gw = getattr(tconv.reference, f"{op}_weight")(x, w.shape, wide, **options)
    support.assert_same(getattr(core, f"{op}_weight")(x, w.shape, gy, **here), gw)


@settings(max_examples=100, deadline=None)
@given(problems_with_modes(), st.data())
def test_strides_out_and_what_comes_after(drawn, data):
    """Any strides in and out, activation after the sum, accumulate; a plan does the same."""
    problem, options, sides, mode = drawn
    if does_not_fit(problem, options, sides):
        return
    x, w, b = support.arrays_of(problem, np.random.default_rng(79))
    function, here = getattr(tconv, problem.op), {**options, "padding": sides, "padding_mode": mode}
    plain = function(x, w, b, **here)
    out = data.draw(strided(np.ones_like(plain)))
    assert function(data.draw(strided(x)), w, b, **here, out=out) is out
    support.assert_same(out, plain)
    function(x, w, b, **here, out=out, accumulate=True, activation="relu")
    support.assert_same(out, np.maximum(2 * plain, 0))
    plan = tconv.plan(problem.op, w, b, **here, activation=("leaky_relu", 0.5))
    support.assert_same(plan(x), np.where(plain < 0, plain / 2, plain))


def test_out_over_the_input():
    memory = support.integers(np.random.default_rng(83), (1, 1, 40), "float32")
    w = support.integers(np.random.default_rng(89), (1, 1, 5), "float32")
    for shift in range(8):
        base = memory.copy()
        x, out = base[..., :24], base[..., shift : shift + 24]
        expected = tconv.conv1d(x.copy(), w, padding=2, padding_mode="circular")
        tconv.conv1d(x, w, padding=2, padding_mode="circular", out=out)
        support.assert_same(out, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_by_torch(mode, rank):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(97)
    x = support.integers(rng, (2, 4, 9, 8, 7)[: 2 + rank], "float32")
    w = support.integers(rng, (6, 2, 3, 3, 3)[: 2 + rank], "float32")
    layer = getattr(torch.nn, f"Conv{rank}d")(
        4, 6, 3, stride=2, padding=2, groups=2, bias=False, padding_mode=mode
    )
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(w))
        expected = layer(torch.from_numpy(x)).numpy()
    y = getattr(tconv, f"conv{rank}d")(x, w, stride=2, padding=2, groups=2, padding_mode=mode)
    support.assert_same(y, expected)


def test_the_input_is_not_copied():
    """The windows of the borders are, some lines each."""
    import tracemalloc

    x = np.ones((1, 8, 512, 512), np.float32)
    w = np.ones((8, 1, 3, 3), np.float32)
    out = np.empty_like(x)
    tconv.conv2d(x, w, padding=1, groups=8, padding_mode="reflect", out=out)
    tracemalloc.start()
    tconv.conv2d(x, w, padding=1, groups=8, padding_mode="reflect", out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 16


def test_bad_modes():
    x, w = np.ones((1, 1, 4), "f"), np.ones((1, 1, 3), "f")
    for error, text, call in (
        (ValueError, "must be 'zeros', 'reflect', 'replicate' or 'circular', got 'wrap'", "wrap"),
        (TypeError, "padding_mode must be a string, got int", 3),
    ):
        with pytest.raises(error, match=text):
            tconv.conv1d(x, w, padding_mode=call)
    with pytest.raises(ValueError, match="must be 'zeros' or 'circular', got 'reflect'"):
        tconv.conv_transpose1d(x, w, padding=1, padding_mode="reflect")
    with pytest.raises(
        ValueError, match=r"at most 3 with padding_mode 'reflect' \(axis 0\), got 4"
    ):
        tconv.conv1d(x, w, padding=4, padding_mode="reflect")
    with pytest.raises(ValueError, match="at most 4 with padding_mode 'circular'"):
        tconv.grad.conv1d_input(
            (1, 1, 4), w, np.ones((1, 1, 12), "f"), padding=5, padding_mode="circular"
        )
    with pytest.raises(ValueError, match="at most 1 with padding_mode 'circular'"):
        tconv.conv_transpose1d(x, w, padding=((0, 5),), padding_mode="circular")
    tconv.conv1d(x, w, padding=9, padding_mode="replicate")


def test_names():
    string = "c2d_n1_ci2_ih5_iw6_co3_k3_s1_p1_reflect_nhwc_f32"
    problem = tconv.problems.parse(string)
    assert problem.options == {"padding": 1, "layout": "NHWC", "padding_mode": "reflect"}
    explained = tconv.explain(
        problem.op, problem.input_shape, problem.weight_shape, **problem.options
    )
    assert explained.problem == string
    plan = tconv.plan("conv1d", np.ones((1, 1, 3), "f"), padding=1, padding_mode="circular")
    assert plan.problem == "c1d_ci1_co1_k3_s1_p1_circular_f32"
