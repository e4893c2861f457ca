"""The gradients: the definition, torch, adjoint identities, differences, double backward.

All comparisons but one are on whole numbers, where every sum is exact: two results are equal or
one of them is wrong.
"""

import importlib
import itertools
from dataclasses import replace
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from strategies import forward_problems, strided
from support import (
    CORES,
    arguments_of,
    arrays_of,
    assert_same,
    assert_trusted,
    assert_within_bound,
    definition,
    each_problem,
    error_bound,
    exact,
    gradients,
    integers,
    output_shape,
    reals,
)

import tconv
from tconv import grad, problems

EDGES = problems.read_file(Path(__file__).with_name("problems_edge.txt"))
GRADIENTS = [gradient for problem in EDGES.values() for gradient in gradients(problem)]

forward_edge = pytest.mark.parametrize("problem", EDGES.values(), ids=EDGES)
edge = each_problem(GRADIENTS)
core = pytest.mark.parametrize("core", CORES.values(), ids=CORES)
seeds = st.integers(0, 2**32 - 1)


# ---- the definition ----


@edge
def test_exact_on_whole_numbers(problem, rng):
    arguments = arguments_of(problem, rng)
    expected = definition(problem.op)(*arguments, **problem.options)
    for core, threads in itertools.product(CORES.values(), (1, 2, 3)):
        result = getattr(core, problem.op)(*arguments, threads=threads, **problem.options)
        assert_same(result, expected)


MULTIPLIERS = [
    gradients(problems.parse(f"{op}2d_n2_ci{ci}_ih9_iw11_co{co}_k3x4_s2x1_p1_g8_{dtype}"))[1]
    for (op, ci, co), dtype in itertools.product((("ct", 8, 24), ("c", 24, 8)), ("f32", "f64"))
]


@each_problem(MULTIPLIERS)
@core
def test_weights_whose_groups_are_contiguous(problem, core, rng):
    """Sums are made in the result itself, several channels of a group before the next step."""
    arguments = arguments_of(problem, rng)
    expected = definition(problem.op)(*arguments, **problem.options)
    shape = expected.shape
    out = np.moveaxis(np.full((*shape[1:], shape[0]), np.nan, expected.dtype), -1, 0)
    getattr(core, problem.op)(*arguments, out=out, **problem.options)
    assert_same(np.array(out), expected)


@edge
def test_reals_are_within_the_bound(problem, rng):
    arguments = arguments_of(problem, rng, fill=reals)
    wanted, bound = (of(problem.op, arguments, problem.options) for of in (exact, error_bound))
    for core in CORES.values():
        result = getattr(core, problem.op)(*arguments, **problem.options)
        assert np.all(np.abs(result - wanted) <= bound)


@edge
def test_every_element_is_written_and_nothing_else(problem, rng):
    arguments = arguments_of(problem, rng)
    expected = definition(problem.op)(*arguments, **problem.options)
    guarded = np.full(tuple(length + 4 for length in expected.shape), np.nan, expected.dtype)
    inside = guarded[tuple(slice(2, -2) for _ in expected.shape)]
    assert getattr(grad, problem.op)(*arguments, **problem.options, out=inside) is inside
    assert_same(inside, expected)
    getattr(grad, problem.op)(*arguments, **problem.options, out=inside, accumulate=True)
    assert_same(inside, 2 * expected)
    inside[...] = np.nan
    assert np.isnan(guarded).all()


@edge
def test_nonfinite_values_reach_what_the_definition_says(problem, rng):
    """One NaN or infinity at a time; the padding meets none of them."""
    arguments = arguments_of(problem, rng)
    for array in (a for a in arguments if isinstance(a, np.ndarray)):
        for value in (np.nan, np.inf, np.nan, np.inf):
            where = tuple(rng.integers(length) for length in array.shape)
            kept, array[where] = array[where], value
            with np.errstate(invalid="ignore"):
                expected = definition(problem.op)(*arguments, **problem.options)
            for core in CORES.values():
                result = getattr(core, problem.op)(*arguments, **problem.options)
                assert np.array_equal(np.isnan(result), np.isnan(expected))
                assert np.array_equal(np.isinf(result), np.isinf(expected))
            array[where] = kept


# ---- torch ----


def torch_gradients(problem, x, w, gy):
    """Of input, weight and bias, from the autograd of the forward operation."""
    torch = pytest.importorskip("torch")
    x, w, gy = (torch.from_numpy(np.array(a, order="C")) for a in (x, w, gy))
    b = torch.zeros(gy.shape[-(w.ndim - 1)], dtype=x.dtype)
    leaves = [a.requires_grad_() for a in (x, w, b)]
    y = getattr(torch.nn.functional, problem.op)(x, w, b, **problem.options)
    return [g.numpy() for g in torch.autograd.grad(y, leaves, gy)]


@hypothesis.given(data=st.data(), problem=forward_problems(), seed=seeds)
@hypothesis.settings(max_examples=250)
def test_torch_agrees_at_any_strides(data, problem, seed):
    rng = np.random.default_rng(seed)
    x, w, _ = arrays_of(problem, rng)
    gy = integers(rng, output_shape(problem), problem.dtype)
    gx, gw, gb = torch_gradients(problem, x, w, gy)
    of_input, of_weight = (getattr(grad, gradient.op) for gradient in gradients(problem))
    x_view, w_view, gy_view = (data.draw(strided(a)) for a in (x, w, gy))
    more = {"threads": data.draw(st.integers(1, 3)), **problem.options}
    assert_same(of_input(x.shape, w_view, gy_view, **more), gx)
    assert_same(of_weight(x_view, w.shape, gy_view, **more), gw)
    layout = ("NC" if gy.ndim == w.ndim else "C") + "DHW"[: w.ndim - 2]
    assert_same(grad.bias(gy_view, layout=layout), gb)
    if problem.op.startswith("conv_transpose"):
        assert_same(of_input(None, w_view, gy_view, **more), gx)


@hypothesis.given(problem=forward_problems(families=("conv",)), seed=seeds)
@hypothesis.settings(max_examples=150)
def test_torch_nn_grad_has_the_same_signatures(problem, seed):
    hypothesis.assume(len(problem.input_shape) == len(problem.weight_shape))  # torch needs a batch
    torch = pytest.importorskip("torch")
    options = tuple(problem.options[n] for n in ("stride", "padding", "dilation", "groups"))
    for gradient in gradients(problem):
        arguments = arguments_of(gradient, np.random.default_rng(seed))
        tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]
        expected = getattr(importlib.import_module("torch.nn.grad"), gradient.op)(
            *tensors, *options
        ).numpy()
        assert_same(getattr(grad, gradient.op)(*arguments, *options), expected)


@hypothesis.given(problem=forward_problems(), seed=seeds)
@hypothesis.settings(max_examples=150)
def test_drawn_reals_are_within_the_bound(problem, seed):
    for gradient in gradients(problem):
        arguments = arguments_of(gradient, np.random.default_rng(seed), fill=reals)
        result = getattr(grad, gradient.op)(*arguments, **gradient.options)
        assert_within_bound(result, gradient.op, arguments, gradient.options)


# ---- bias ----

# Shapes with few channels and many, short rows and long, the batch among them or not, and every
# number of axes; large enough for several tasks.
BIAS_SHAPES = (
    (3, 4),
    (7, 5, 3),
    (0, 3, 4),
    (5, 3, 1),
    (2, 3, 5, 5),
    (16, 70, 4, 4),
    (9, 130, 7, 7),
    (3, 2, 150, 211),
    (1, 1, 400, 600),
    (2, 600, 3, 130),
    (4, 6, 3, 5, 7),
    (1, 33, 20, 30, 40),
)
bias_shapes = pytest.mark.parametrize("shape", BIAS_SHAPES, ids=str)


def bias_views(g):
    """The same array with its axes in other orders of memory, and with layouts that name them."""
    names = {2: "CL", 3: "NCL", 4: "NCHW", 5: "NCDHW"}[g.ndim]
    channel = names.index("C")
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(g, channel, -1)), -1, channel)
    gaps = np.full([2 * length for length in g.shape], np.nan, g.dtype)
    gaps = gaps[tuple(slice(1, None, 2) for _ in names)]
    gaps[...] = g
    flipped = np.flip(np.ascontiguousarray(np.flip(g)))
    unaligned = np.empty(g.nbytes + 1, "u1")[1:].view(g.dtype).reshape(g.shape)
    unaligned[...] = g
    for view in (
        g,
        last,
        gaps,
        flipped,
        np.asfortranarray(g),
        unaligned,
        g.astype(">" + g.dtype.str[1:]),
    ):
        yield view, None
    yield (
        last.transpose([*np.delete(np.arange(g.ndim), channel), channel]),
        (names.replace("C", "") + "C"),
    )
    yield g.T, names[::-1]


@bias_shapes
@core
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_bias_is_exact_on_whole_numbers(shape, core, dtype, rng):
    g = integers(rng, shape, dtype)
    expected = g.sum(axis=tuple(a for a in range(g.ndim) if a != (g.ndim > 2)))
    for view, layout in bias_views(g):
        for threads in (1, 3):
            assert_same(core.bias(view, layout=layout, threads=threads), expected)


@bias_shapes
@core
def test_bias_is_as_exact_as_a_pairwise_sum(shape, core, rng):
    """Bits do not depend on threads; an element meets few others on its way into the sum."""
    g = reals(rng, shape, "float32") + np.float32(1)
    axes = tuple(a for a in range(g.ndim) if a != (g.ndim > 2))
    steps = 3 * 32 + 16 + np.log2(max(g.size, 1))
    bound = steps * np.finfo("float32").eps / 2 * np.abs(g.astype("float64")).sum(axis=axes)
    for view, layout in bias_views(g):
        once = core.bias(view, layout=layout, threads=1)
        assert np.all(np.abs(once - g.astype("float64").sum(axis=axes)) <= bound)
        for threads in (2, 3, 8):
            assert np.array_equal(core.bias(view, layout=layout, threads=threads), once)


def test_bias_of_a_sample_and_of_a_batch(rng):
    """A sample that could be a batch needs its layout; one of two dimensions cannot."""
    g = integers(rng, (2, 3, 5, 4), "float64")
    assert_same(grad.bias(g[0, 0]), g[0, 0].sum(1))
    assert_same(grad.bias(g[0]), g[0].sum((0, 2)))
    assert_same(grad.bias(g[0], layout="CHW"), g[0].sum((1, 2)))
    assert_same(grad.bias(g[0], layout="HWC"), g[0].sum((0, 1)))
    assert_same(grad.bias(g, layout="CDHW"), g.sum((1, 2, 3)))
    assert_same(grad.bias([[1.0, 2.0], [3.0, 4.0]]), np.array([3.0, 7.0]))


def test_bias_into_out(rng):
    g = integers(rng, (2, 5, 6, 7), "float32")
    expected = g.sum((0, 2, 3))
    around = np.full((15, 2), np.nan, "f")
    for out in (around[5:10, 0], around[9:4:-1, 1], around[2:12:2, 0], around[:5].reshape(-1)[::2]):
        around[...] = np.nan
        assert grad.bias(g, out=out) is out
        assert_same(np.array(out), expected)
        grad.bias(g, out=out, accumulate=True)
        assert_same(np.array(out), 2 * expected)
        out[...] = np.nan
        assert np.isnan(around).all()
    out = g[0, :, 0, 0]  # overlaps the input
    assert_same(np.array(grad.bias(g, out=out)), expected)
    empty = grad.bias(g[:0], out=np.full(5, 3, "f"), accumulate=True)
    assert_same(empty, np.full(5, 3, "f"))


def test_bias_of_nonfinite_values(rng):
    g = integers(rng, (3, 4, 50, 60), "float32")
    g[1, 0, 2, 3], g[2, 1, 0, 0], g[0, 2, 0, 0], g[2, 2, 9, 9] = np.nan, np.inf, np.inf, -np.inf
    for view in (g, np.moveaxis(np.ascontiguousarray(np.moveaxis(g, 1, -1)), -1, 1)):
        result = grad.bias(view)
        assert np.isnan(result[[0, 2]]).all()
        assert result[1] == np.inf
        assert np.isfinite(result[3])


# ---- whose gradient is whose ----


def inner(a, b):
    return np.vdot(a, b)


def other_family(options, large, small, kernel):
    """The options with which the other family goes from the small side back to the large."""
    rank = len(kernel)
    s, p, d = (options[name] for name in ("stride", "padding", "dilation"))
    rest = tuple(
        large[a] - ((small[a] - 1) * s[a] - 2 * p[a] + d[a] * (kernel[a] - 1) + 1)
        for a in range(rank)
    )
    return {**options, "output_padding": rest}


@hypothesis.given(problem=forward_problems(families=("conv",)), seed=seeds)
@hypothesis.settings(max_examples=300)
def test_conv_and_conv_transpose_are_adjoint(problem, seed):
    """<conv(x), y> = <x, conv_transpose(y)>, and conv's input gradient is that very array."""
    rng = np.random.default_rng(seed)
    problem = replace(problem, dtype="float64")
    x, w, _ = arrays_of(problem, rng)
    conv = getattr(tconv, problem.op)
    transpose = getattr(tconv, problem.op.replace("conv", "conv_transpose"))
    y = integers(rng, output_shape(problem), x.dtype)
    rank = w.ndim - 2
    options = other_family(problem.options, x.shape[-rank:], y.shape[-rank:], w.shape[2:])
    back = transpose(y, w, **options)
    assert inner(conv(x, w, **problem.options), y) == inner(x, back)
    of_input = getattr(grad, f"{problem.op}_input")
    assert_same(of_input(x.shape, w, y, **problem.options), back)


# For each function of two arrays, and each of the two: the function that is its gradient. x, w and
# g are the input, the weight and the output's gradient; the gradient of what a function computes
# has the shape of one of them and is written in its place.
WHOSE = {
    ("", "x"): "_input",
    ("", "w"): "_weight",
    ("_input", "w"): "_weight",
    ("_input", "g"): "",
    ("_weight", "x"): "_input",
    ("_weight", "g"): "",
}
ARGUMENTS = {"": "xw", "_input": "wg", "_weight": "xg"}
COMPUTES = {"": "g", "_input": "x", "_weight": "w"}


def call(family, of, arrays, options):
    """conv2d and so on, on arrays by the letters x, w, g."""
    x, w, g = (arrays[name] for name in "xwg")
    if of == "":
        return getattr(tconv, family)(x, w, **options)
    pair = (x.shape, w, g) if of == "_input" else (x, w.shape, g)
    return getattr(grad, family + of)(*pair, **options)


@pytest.mark.parametrize(("of", "argument"), WHOSE, ids=lambda word: word or "forward")
@pytest.mark.parametrize("family", ("conv", "conv_transpose"))
@pytest.mark.parametrize("rank", (1, 2, 3))
def test_whose_gradient_is_whose(family, of, argument, rank, rng):
    """Every row of the table, element by element: what a change by 1 does to the loss.

    The loss is <result, c> for a fixed c; all functions are linear in the argument.
    """
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    if family == "conv_transpose":
        options["output_padding"] = 1
    x = integers(rng, (2, 4, *(4, 3, 2)[:rank]), "float64")
    outs = (4, 3) if family == "conv_transpose" else (6, 2)
    w = integers(rng, outs + (3, 2, 3)[:rank], "float64")
    g = integers(rng, getattr(tconv, f"{family}{rank}d")(x, w, **options).shape, "float64")
    arrays = {"x": x, "w": w, "g": g}
    name = f"{family}{rank}d"
    arrays[COMPUTES[of]] = c = integers(rng, arrays[COMPUTES[of]].shape, "float64")
    gradient = call(name, WHOSE[of, argument], arrays, options)
    assert gradient.shape == arrays[argument].shape
    assert_trusted(gradient)
    base = inner(call(name, of, arrays, options), c)
    for where in np.ndindex(gradient.shape):
        changed = arrays[argument].copy()
        changed[where] += 1
        loss = inner(call(name, of, {**arrays, argument: changed}, options), c)
        assert loss - base == gradient[where]


# ---- differences, and gradients of gradients ----


SMALL = tuple(
    problems.parse(string)
    for string in (
        "c1d_n2_ci2_iw7_co4_k3_s2_p1_g2_f64",
        "c2d_n1_ci2_ih5_iw4_co3_k3x2_s2x1_p1x0_d1x2_f64",
        "c3d_n1_ci1_id3_ih4_iw3_co2_k2_s1x2x1_p1_f64",
        "ct1d_n2_ci2_iw3_co4_k3_s2_p1_op1_g2_f64",
        "ct2d_n1_ci2_ih3_iw2_co3_k3x2_s2x1_p1x0_d1x2_f64",
        "ct3d_n1_ci1_id2_ih2_iw3_co2_k2_s1x2x1_p0_f64",
    )
)
small = each_problem(SMALL)


@small
def test_central_differences(problem, rng):
    """The loss |y|^2 / 2 is quadratic in each array, so that central differences are exact."""
    forward = getattr(tconv, problem.op)
    of_input, of_weight = (getattr(grad, gradient.op) for gradient in gradients(problem))
    arrays = arrays_of(problem, rng)

    def loss(x, w, b):
        y = forward(x, w, b, **problem.options)
        return inner(y, y) / 2

    x, w, b = arrays
    gy = forward(x, w, b, **problem.options)
    expected = (
        of_input(x.shape, w, gy, **problem.options),
        of_weight(x, w.shape, gy, **problem.options),
        grad.bias(gy),
    )
    for array, gradient in zip(arrays, expected, strict=True):
        assert_trusted(gradient)
        for where in np.ndindex(array.shape):
            kept = array[where]
            array[where] = kept + 1
            above = loss(*arrays)
            array[where] = kept - 1
            assert (above - loss(*arrays)) / 2 == gradient[where]
            array[where] = kept


@small
def test_double_backward(problem, rng):
    """A penalty on the input's gradient, differentiated by these functions alone.

    y = f(x, w), the loss |y|^2 / 2 has the input gradient q = f_input(w, y), the penalty is
    |q|^2 / 2. Backwards: q's gradient is q itself; y gets f(q, w).
    """
    torch = pytest.importorskip("torch")
    f = getattr(tconv, problem.op)
    f_input, f_weight = (getattr(grad, gradient.op) for gradient in gradients(problem))
    x, w, _ = arrays_of(problem, rng)
    options = problem.options
    y = f(x, w, **options)
    q = f_input(x.shape, w, y, **options)
    qy = f(q, w, **options)
    gx = f_input(x.shape, w, qy, **options)
    gw = f_weight(q, w.shape, y, **options) + f_weight(x, w.shape, qy, **options)

    x, w = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    y = getattr(torch.nn.functional, problem.op)(x, w, **options)
    (q,) = torch.autograd.grad((y * y).sum() / 2, x, create_graph=True)
    expected = torch.autograd.grad((q * q).sum() / 2, (x, w))
    assert_same(gx, expected[0].numpy())
    assert_same(gw, expected[1].numpy())


# ---- where others failed ----


@pytest.mark.parametrize(
    "string",
    (
        "c2d_n1_ci3_ih5_iw5_co2_k1_s2_p0_f32",  # a kernel below the stride (pytorch#63314)
        "ct2d_n1_ci3_ih5_iw5_co2_k1_s2_p0_op1_f32",
        *(  # strides that leave inputs over (pytorch#51430)
            f"c2d_n2_ci4_ih{length}_iw{length + 1}_co6_k3_s{stride}_p{padding}_g2_f32"
            for length in (7, 8, 9)
            for stride in (2, 3, 4)
            for padding in (0, 1)
        ),
        *(  # output padding (pytorch#86356)
            f"ct{rank}d_n2_ci4_{size}_co6_k3_s3_p1_op{extra}_d2_g2_f32"
            for rank, size in ((1, "iw5"), (2, "ih5_iw4"), (3, "id2_ih3_iw4"))
            for extra in (0, 1, 2)
        ),
    ),
)
def test_known_bugs_of_others(string, rng):
    for gradient in gradients(problems.parse(string)):
        arguments = arguments_of(gradient, rng)
        expected = definition(gradient.op)(*arguments, **gradient.options)
        assert_same(getattr(grad, gradient.op)(*arguments, **gradient.options), expected)
        assert np.any(expected)


@pytest.mark.parametrize("channels", (1, 15, 16, 17, 64))
@pytest.mark.parametrize(
    "forward", ("c2d_n2_ci{}_ih6_iw5_co32_k3_s1_p1_f32", "ct2d_n2_ci{}_ih4_iw5_co32_k4_s2_p1_f32")
)
def test_channels_last(forward, channels, rng):
    """Arrays whose memory has the channels last, results too (pytorch#99519)."""

    def last(a):
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)

    for gradient in gradients(problems.parse(forward.format(channels))):
        arguments = arguments_of(gradient, rng)
        expected = definition(gradient.op)(*arguments, **gradient.options)
        views = [last(a) if isinstance(a, np.ndarray) else a for a in arguments]
        out = last(np.full_like(expected, np.nan))
        getattr(grad, gradient.op)(*views, **gradient.options, out=out)
        assert_same(out, expected)


# ---- batches ----


@forward_edge
def test_batches(problem, rng):
    """A sample alone, a batch of none, and the sum over the batch."""
    of_input, of_weight = gradients(problem)
    f_input, f_weight = getattr(grad, of_input.op), getattr(grad, of_weight.op)
    x, shape, gy = arguments_of(of_weight, rng)
    w, options = integers(rng, shape, problem.dtype), problem.options
    gx, gw = f_input(x.shape, w, gy, **options), f_weight(x, shape, gy, **options)
    alone = [f_weight(sample, shape, g, **options) for sample, g in zip(x, gy, strict=True)]
    assert_same(np.sum(alone, axis=0), gw)
    assert_same(f_input(x.shape[1:], w, gy[0], **options), gx[0])
    none = (0, *x.shape[1:])
    assert f_input(none, w, gy[:0], **options).shape == none
    assert_same(f_weight(x[:0], shape, gy[:0], **options), np.zeros(shape, gw.dtype))
    out = gw.copy()
    f_weight(x[:0], shape, gy[:0], **options, out=out, accumulate=True)
    assert_same(out, gw)
