"""padding= as a rule ("valid", "same", "same_lower") and as a pair for each axis."""

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import forward_problems
from test_layout import names, to_first, to_last

import tconv

# ---- pairs, by what they mean ----


def zero_pad(array, sides):
    """With so many zeros more at both ends of the last axes; if negative, elements fewer."""
    most = max(max(map(abs, pair)) for pair in sides)
    wide = np.pad(array, [(0, 0)] * (array.ndim - len(sides)) + [(most, most)] * len(sides))
    lengths = array.shape[-len(sides) :]
    cut = [slice(most - lo, most + n + hi) for (lo, hi), n in zip(sides, lengths, strict=True)]
    return wide[(..., *cut)]


def crop(array, sides):
    return zero_pad(array, [(-lo, -hi) for lo, hi in sides])


@st.composite
def problems_with_sides(draw):
    """A problem without padding, and pairs that it may have."""
    problem = draw(forward_problems())
    rank = len(problem.weight_shape) - 2
    sides = tuple(draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4))) for _ in range(rank))
    return problem, {**problem.options, "padding": 0}, sides


def forward(core, op, x, w, b, options, layout):
    """The operation, on arrays that have their channels last if `layout`."""
    rank = w.ndim - 2
    if not layout:
        return getattr(core, op)(x, w, b, **options)
    last = names(rank, x.ndim == rank + 2)[1]
    return to_first(getattr(core, op)(to_last(x, rank), w, b, **options, layout=last), rank)


def check_conv(core, problem, options, sides, rng, layout=False):
    """A convolution of the padded input; so its gradients are those there, the input's cropped."""
    x, w, b = support.arrays_of(problem, rng)
    op, rank = problem.op, w.ndim - 2
    spans = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], options["dilation"], strict=True)]
    lengths = [n + lo + hi for n, (lo, hi) in zip(x.shape[-rank:], sides, strict=True)]
    if any(n < span for n, span in zip(lengths, spans, strict=True)):
        return
    padded = zero_pad(x, sides)
    expected = getattr(tconv.reference, op)(padded, w, b, **options)
    options_here = {**options, "padding": sides}
    support.assert_same(forward(core, op, x, w, b, options_here, layout), expected)
    if layout:
        return
    gy = support.integers(rng, expected.shape, x.dtype)
    gx = getattr(tconv.reference, f"{op}_input")(padded.shape, w, gy, **options)
    support.assert_same(
        getattr(core, f"{op}_input")(x.shape, w, gy, **options_here), crop(gx, sides)
    )
    gw = getattr(tconv.reference, f"{op}_weight")(padded, w.shape, gy, **options)
    support.assert_same(getattr(core, f"{op}_weight")(x, w.shape, gy, **options_here), gw)


def check_transposed(core, problem, options, sides, rng, layout=False):
    """The whole output, cropped; so the gradients are those of an output's gradient with zeros."""
    x, w, b = support.arrays_of(problem, rng)
    op, rank = problem.op, w.ndim - 2
    whole = getattr(tconv.reference, op)(x, w, **options)
    if any(lo + hi >= n for (lo, hi), n in zip(sides, whole.shape[-rank:], strict=True)):
        return
    expected = crop(whole, sides) + b.reshape(-1, *[1] * rank)
    options_here = {**options, "padding": sides}
    support.assert_same(forward(core, op, x, w, b, options_here, layout), expected)
    if layout:
        return
    gy = support.integers(rng, expected.shape, x.dtype)
    padded = zero_pad(gy, sides)
    gx = getattr(tconv.reference, f"{op}_input")(x.shape, w, padded, **options)
    for size in (x.shape, None):
        support.assert_same(getattr(core, f"{op}_input")(size, w, gy, **options_here), gx)
    gw = getattr(tconv.reference, f"{op}_weight")(x, w.shape, padded, **options)
    support.assert_same(getattr(core, f"{op}_weight")(x, w.shape, gy, **options_here), gw)


@settings(max_examples=300, deadline=None)
@given(problems_with_sides(), st.sampled_from(support.ISAS), st.booleans())
def test_pairs(drawn, isa, layout):
    problem, options, sides = drawn
    check = check_transposed if problem.op.startswith("conv_transpose") else check_conv
    check(support.CORES[isa], problem, options, sides, np.random.default_rng(41), layout)


@settings(max_examples=200, deadline=None)
@given(problems_with_sides(), st.sampled_from(support.ENGINES))
def test_pairs_in_every_engine(drawn, engine):
    problem, options, sides = drawn
    x, w, b = support.arrays_of(problem, np.random.default_rng(43))
    options = {**options, "padding": sides}
    try:
        expected = tconv.plan(problem.op, w, b, engine="reference", **options)(x)
        plan = tconv.plan(problem.op, w, b, engine=engine, **options)
    except ValueError:
        return
    support.assert_same(plan(x), expected)


# ---- rules ----


def same_sides(op, lengths, kernel, stride, dilation, lower):
    """What "same" stands for, worked out here: pairs, and the output padding that is left."""
    sides, extra = [], []
    for n, k, s, d in zip(lengths, kernel, stride, dilation, strict=True):
        span = d * (k - 1) + 1
        total = span - s if op.startswith("conv_transpose") else (-(-n // s) - 1) * s + span - n
        less, more = max(total, 0) // 2, -(-max(total, 0) // 2)
        sides.append((more, less) if lower else (less, more))
        extra.append(max(-total, 0) if op.startswith("conv_transpose") else 0)
    return tuple(sides), tuple(extra)


@settings(max_examples=200, deadline=None)
@given(forward_problems(), st.booleans(), st.sampled_from(support.ISAS))
def test_same(problem, lower, isa):
    """As many outputs as inputs, times or through the stride; and gradients like the pairs'."""
    rng, core = np.random.default_rng(47), support.CORES[isa]
    x, w, b = support.arrays_of(problem, rng)
    op, rank, options = problem.op, w.ndim - 2, dict(problem.options)
    transposed = op.startswith("conv_transpose")
    options.pop("output_padding", None)
    sides, extra = same_sides(
        op, x.shape[-rank:], w.shape[2:], options["stride"], options["dilation"], lower
    )
    explicit = {**options, "padding": sides}
    if transposed:
        explicit["output_padding"] = extra
    options["padding"] = "same_lower" if lower else "same"
    y = getattr(core, op)(x, w, b, **options)
    support.assert_same(y, getattr(core, op)(x, w, b, **explicit))
    wanted = tuple(
        n * s if transposed else -(-n // s)
        for n, s in zip(x.shape[-rank:], options["stride"], strict=True)
    )
    assert y.shape[-rank:] == wanted
    gy = support.integers(rng, y.shape, x.dtype)
    of_input, of_weight = (getattr(core, f"{op}_{of}") for of in ("input", "weight"))
    support.assert_same(of_input(x.shape, w, gy, **options), of_input(x.shape, w, gy, **explicit))
    support.assert_same(of_weight(x, w.shape, gy, **options), of_weight(x, w.shape, gy, **explicit))
    if transposed:
        support.assert_same(of_input(None, w, gy, **options), of_input(x.shape, w, gy, **options))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_valid_is_none(rank):
    rng = np.random.default_rng(53)
    x = support.integers(rng, (2, 3) + (6,) * rank, "float32")
    w = support.integers(rng, (3, 3) + (3,) * rank, "float32")
    for op in (f"conv{rank}d", f"conv_transpose{rank}d"):
        function = getattr(tconv, op)
        support.assert_same(function(x, w, padding="valid"), function(x, w))


def test_same_by_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(59)
    for k, d in ((3, 1), (5, 2), (4, 2), (1, 2)):
        x = support.integers(rng, (2, 4, 9, 8), "float32")
        w = support.integers(rng, (5, 4, k, k), "float32")
        options = {"padding": "same", "dilation": d}
        expected = torch.nn.functional.conv2d(
            torch.from_numpy(x), torch.from_numpy(w), **options
        ).numpy()
        support.assert_same(tconv.conv2d(x, w, **options), expected)


def test_a_plan_pads_each_input_by_the_rule():
    """How much "same" pads depends on the length, if there is a stride."""
    rng = np.random.default_rng(61)
    w = support.integers(rng, (5, 4, 3, 3), "float32")
    plan = tconv.plan("conv2d", w, stride=2, padding="same")
    for size in ((6, 7), (7, 6), (1, 9)):
        x = support.integers(rng, (2, 4, *size), "float32")
        support.assert_same(plan(x), tconv.conv2d(x, w, stride=2, padding="same"))


def test_explained():
    text = str(tconv.explain("conv1d", (1, 1, 8), (1, 1, 4), padding="same"))
    assert "length 8 = floor((8 + (1 + 2) - 1*(4 - 1) - 1)/1) + 1" in text
    assert text.startswith("c1d_n1_ci1_iw8_co1_k4_s1_p1_pe2_f32")
    problem = tconv.problems.parse("ct2d_n1_ci1_ih4_iw4_co1_k4_s1_p1x0_pe2_f32")
    assert problem.options == {"padding": ((1, 2), (0, 2))}
    explained = tconv.explain(
        problem.op, problem.input_shape, problem.weight_shape, **problem.options
    )
    assert explained.problem == problem.string


def test_negative_sides_have_a_name():
    text = "ct1d_n1_ci1_iw4_co1_k4_s1_p-1_pe2_f32", "c1d_n1_ci1_iw9_co1_k4_s1_p-2_f32"
    for string, sides in zip(text, ((-1, 2), (-2, -2)), strict=True):
        problem = tconv.problems.parse(string)
        assert problem.options == {"padding": (sides,)}
        explained = tconv.explain(
            problem.op, problem.input_shape, problem.weight_shape, padding=(sides,)
        )
        assert explained.problem == string
        assert f"{sides[0]}" in str(explained)


def test_a_plan_with_negative_sides():
    rng = np.random.default_rng(67)
    w, x = (support.integers(rng, shape, "float32") for shape in ((4, 4, 3, 3), (2, 4, 9, 8)))
    for op, stride in (("conv2d", 2), ("conv_transpose2d", 3)):
        options = {"stride": stride, "padding": ((-2, 1), (-1, -3))}
        plan = tconv.plan(op, w, **options)
        support.assert_same(plan(x), getattr(tconv, op)(x, w, **options))
