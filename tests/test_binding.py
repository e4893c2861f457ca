"""The binding: out=, unbatched calls, output_size, plans, references."""

import copy
import gc
import pickle
import sys

import numpy as np
import pytest
from support import (
    DTYPES,
    ISAS,
    TRANSPOSING,
    arguments_of,
    assert_same,
    gradients,
    integers,
)

import tconv
from tconv import _core, problems

RANKS = (1, 2, 3)
OPTIONS = {"stride": 2, "padding": 1}


def arrays(rng, rank, dtype="float32", n=2):
    spatial = (7, 6, 5)[:rank]
    x = integers(rng, (n, 4, *spatial), dtype)
    w = integers(rng, (4, 3) + (4,) * rank, dtype)
    return x, w, integers(rng, (3,), dtype)


def function(rank):
    return getattr(tconv, f"conv_transpose{rank}d")


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_unbatched(rank, dtype, rng):
    x, w, b = arrays(rng, rank, dtype)
    whole = function(rank)(x, w, b, **OPTIONS)
    for n in range(2):
        assert_same(function(rank)(x[n], w, b, **OPTIONS), whole[n])


@pytest.mark.parametrize("rank", RANKS)
def test_positional_order_is_torchs(rank, rng):
    x, w, _ = arrays(rng, rank)
    w = w[:, :1].repeat(2, 1)
    b = integers(rng, (4,), "float32")
    named = {"stride": 3, "padding": 2, "output_padding": 1, "groups": 2, "dilation": 2}
    assert_same(
        function(rank)(x, w, b, 3, 2, 1, 2, 2), function(rank)(input=x, weight=w, bias=b, **named)
    )


@pytest.mark.parametrize("rank", RANKS)
def test_output_size(rank, rng):
    x, w, _ = arrays(rng, rank)
    lengths = x.shape[2:]
    for extra in (0, 1):
        expected = function(rank)(x, w, **OPTIONS, output_padding=extra)
        size = tuple(2 * length + extra for length in lengths)
        like = np.zeros((5, 1, *size))
        for wanted in (size, list(size), (2, 3, *size), like, like[0], np.array(size)):
            assert_same(function(rank)(x, w, **OPTIONS, output_size=wanted), expected)
        assert function(rank)(x[0], w, **OPTIONS, output_size=size).shape == expected.shape[1:]
    if rank == 1:
        assert function(rank)(x, w, **OPTIONS, output_size=15).shape[2:] == (15,)


def test_output_size_reaches_as_far_as_output_padding(rng):
    x, w, _ = arrays(rng, 1)
    base = (7 - 1) * 2 + 5 * 3 + 1
    for extra in range(5):
        result = tconv.conv_transpose1d(x, w, stride=2, dilation=5, output_size=base + extra)
        assert result.shape == (2, 3, base + extra)
    with pytest.raises(ValueError, match=f"from {base} to {base + 4}"):
        tconv.conv_transpose1d(x, w, stride=2, dilation=5, output_size=base + 5)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("engine", TRANSPOSING)
def test_out_of_any_strides(rank, engine, rng):
    x, w, b = arrays(rng, rank)
    expected = tconv.reference.conv_transpose(x, w, b, **OPTIONS)
    plan = tconv.plan(f"conv_transpose{rank}d", w, b, engine=engine, **OPTIONS)
    shape, axes = expected.shape, tuple(range(expected.ndim))
    layouts = {
        "contiguous": np.empty(shape, "f"),
        "fortran": np.empty(shape, "f", order="F"),
        "channels last": np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), "f"), -1, 1),
        "flipped": np.flip(np.empty(shape, "f"), axes),
        "gaps": np.empty([2 * n for n in shape], "f")[tuple(slice(1, None, 2) for _ in axes)],
        "channel slice": np.empty((shape[0], 7, *shape[2:]), "f")[:, 2:5],
        "unaligned": np.empty(expected.nbytes + 1, "u1")[1:].view("f").reshape(shape),
    }
    for name, out in layouts.items():
        out[...] = np.nan
        assert plan(x, out=out) is out, name
        assert_same(np.asarray(out), expected)


def test_out_leaves_its_surroundings_alone(rng):
    x, w, b = arrays(rng, 2)
    expected = tconv.conv_transpose2d(x, w, b, **OPTIONS)
    around = np.full([3 * n for n in expected.shape], np.nan, "f")
    inside = tuple(slice(n, 2 * n) for n in expected.shape)
    tconv.conv_transpose2d(x, w, b, **OPTIONS, out=around[inside])
    assert_same(around[inside], expected)
    around[inside] = np.nan
    assert np.isnan(around).all()


def test_out_sliding_over_the_inputs(rng):
    """As if the arrays did not overlap, at every offset in bytes."""
    x = integers(rng, (2, 9), "float32")
    w = integers(rng, (2, 2, 3), "float32")
    expected = tconv.conv_transpose1d(x, w, padding=1)
    for source, shape in ((x, x.shape), (w, w.shape)):
        for shift in range(-expected.nbytes - 4, source.nbytes + 5):
            memory = np.zeros(3 * expected.nbytes + source.nbytes, "u1")
            begin = expected.nbytes + 8
            moved = memory[begin : begin + source.nbytes].view("f").reshape(shape)
            moved[...] = source
            raw = memory[begin + shift :][: expected.nbytes]
            out = raw.view("f").reshape(expected.shape)
            pair = (moved, w) if source is x else (x, moved)
            result = tconv.conv_transpose1d(*pair, padding=1, out=out)
            assert result is out
            assert_same(out, expected)


def test_out_overlapping_the_bias(rng):
    x, w, _ = arrays(rng, 1)
    memory = integers(rng, (200,), "float32")
    expected = tconv.conv_transpose1d(x, w, memory[:3].copy(), **OPTIONS)
    out = memory[: expected.size].reshape(expected.shape)
    tconv.conv_transpose1d(x, w, memory[:3], **OPTIONS, out=out)
    assert_same(out, expected)


EVERY = [
    operation
    for string in ("c1d_n2_ci4_iw9_co4_k3_s1_p1_g2_f32", "ct1d_n2_ci4_iw9_co4_k3_s1_p1_g2_f32")
    for forward in [problems.parse(string)]
    for operation in (forward, *gradients(forward))
]
every = pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.op)


@every
def test_accumulate_adds_to_out(problem, rng):
    arguments = arguments_of(problem, rng)
    function = getattr(_core, problem.op)
    expected = function(*arguments, **problem.options)
    before = integers(rng, expected.shape, expected.dtype)
    for out in (before.copy(), np.asfortranarray(before), np.repeat(before, 2, axis=-1)[..., ::2]):
        result = function(*arguments, **problem.options, out=out, accumulate=True)
        assert result is out
        assert_same(out, before + expected)
    assert function(*arguments, **problem.options, out=out, accumulate=False) is out
    assert_same(out, expected)


@every
@pytest.mark.parametrize("accumulate", (False, True))
def test_out_over_each_array(problem, accumulate, rng):
    """As if they did not overlap, from either side."""
    arguments = arguments_of(problem, rng)
    function = getattr(_core, problem.op)
    expected = function(*arguments, **problem.options)
    for number, array in enumerate(arguments):
        if not isinstance(array, np.ndarray):
            continue
        for shift in (-8, 0, 4, 12):
            memory = integers(rng, (expected.size + array.size + 16,), "float32")
            moved = memory[8 : 8 + array.size].reshape(array.shape)
            moved[...] = array
            out = memory[8 + shift :][: expected.size].reshape(expected.shape)
            before = out.copy()
            given = [moved if i == number else a for i, a in enumerate(arguments)]
            function(*given, **problem.options, out=out, accumulate=accumulate)
            assert_same(out, expected + before if accumulate else expected)


class TestBadOut:
    def call(self, out):
        return tconv.conv_transpose1d(np.ones((1, 1, 3), "f"), np.ones((1, 2, 2), "f"), out=out)

    def test_shape(self):
        for shape in ((2, 4), (1, 2, 5), (1, 2, 4, 1), ()):
            with pytest.raises(ValueError, match=r"out must have shape \(1, 2, 4\), got"):
                self.call(np.empty(shape, "f"))

    def test_dtype(self):
        for dtype in ("f8", "i4", ">f4", "O"):
            with pytest.raises(TypeError, match="out must have dtype float32, got"):
                self.call(np.empty((1, 2, 4), dtype))

    def test_read_only(self):
        out = np.zeros((1, 2, 4), "f")
        out.flags.writeable = False
        with pytest.raises(ValueError, match="output array is read-only"):
            self.call(out)
        assert not out.any()

    def test_not_an_array(self):
        for out in ([1], 1, "out"):
            with pytest.raises(TypeError, match=r"out must be a numpy\.ndarray, got"):
                self.call(out)

    def test_elements_that_share_memory(self):
        zero = np.lib.stride_tricks.as_strided(np.empty(4, "f"), (1, 2, 4), (0, 0, 4))
        crossing = np.lib.stride_tricks.as_strided(np.empty(9, "f"), (1, 2, 4), (4, 4, 8))
        crossing2 = np.lib.stride_tricks.as_strided(np.empty(20, "f"), (1, 2, 4), (4, 12, 4))
        for out in (zero, crossing2):
            with pytest.raises(ValueError, match="elements of out share memory"):
                self.call(out)
        self.call(crossing)  # interleaved, and yet apart
        assert crossing.tolist() == [[[1, 2, 2, 1]] * 2]


# ---- plans ----


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("engine", (None, *TRANSPOSING))
def test_plan_takes_any_input(rank, engine, rng):
    x, w, b = arrays(rng, rank, n=3)
    plan = tconv.plan(f"conv_transpose{rank}d", w, b, engine=engine, **OPTIONS)
    for view in (x, x[0], x[:0], x[..., ::-1], x[:, :, :2], x[1:].swapaxes(-1, 2)):
        expected = tconv.reference.conv_transpose(view, w, b, **OPTIONS)
        assert_same(plan(view), expected)
        assert_same(plan(view, out=np.empty_like(expected)), expected)
        size = tuple(2 * length + 1 for length in view.shape[-rank:])
        expected = tconv.reference.conv_transpose(view, w, b, **OPTIONS, output_padding=1)
        assert_same(plan(view, output_size=size), expected)


@pytest.mark.parametrize("engine", TRANSPOSING)
def test_plan_keeps_a_snapshot(engine, rng):
    x, w, b = arrays(rng, 2)
    plan = tconv.plan("conv_transpose2d", w, b, engine=engine, **OPTIONS)
    expected = plan(x)
    w[...] = b[...] = 77
    assert_same(plan(x), expected)
    del w, b
    gc.collect()
    assert_same(plan(x), expected)


def test_plan_says_what_it_is(rng):
    _, w, b = arrays(rng, 2, "float64")
    plan = tconv.plan("conv_transpose2d", w, b, stride=(2, 1), isa="portable", engine="gather")
    assert isinstance(plan, tconv.Plan)
    assert plan.problem == "ct2d_ci4_co3_k4_s2x1_p0_f64"
    assert (plan.isa, plan.engine) == ("portable", "gather")
    assert repr(plan) == "<tconv.Plan ct2d_ci4_co3_k4_s2x1_p0_f64: gather, portable>"


def test_bad_plans(rng):
    x, w, b = arrays(rng, 2)
    make = tconv.plan
    for error, text, call in (
        (ValueError, "op must name an operation", lambda: make("conv_transpose4d", w)),
        (TypeError, "op must be a string", lambda: make(2, w)),
        (ValueError, "isa must be one of", lambda: make("conv_transpose2d", w, isa="sse9")),
        (ValueError, "engine must be one of", lambda: make("conv_transpose2d", w, engine="warp")),
        (ValueError, "weight must have", lambda: make("conv_transpose1d", w)),
        (ValueError, "stride must be", lambda: make("conv_transpose2d", w, stride=0)),
        (ValueError, "padding is too big", lambda: make("conv_transpose2d", w, padding=2**62)),
        (ValueError, "bias must have", lambda: make("conv_transpose2d", w, b[:2])),
        (TypeError, "bias.astype", lambda: make("conv_transpose2d", w, b.astype(float))),
        (TypeError, "unexpected keyword", lambda: make("conv_transpose2d", w, output_size=9)),
        (TypeError, "cannot create", lambda: tconv.Plan()),
    ):
        with pytest.raises(error, match=text):
            call()
    plan = make("conv_transpose2d", w)
    for error, text, call in (
        (ValueError, "input has 3 channels", lambda: plan(x[:, :3])),
        (ValueError, "input must have 4 dimensions", lambda: plan(x[0, 0])),
        (TypeError, "the plan's weight is float32", lambda: plan(x.astype(float))),
        (TypeError, "missing required", lambda: plan()),
        (TypeError, "at most 1 positional", lambda: plan(x, w)),
        (TypeError, "unexpected keyword", lambda: plan(x, stride=2)),
    ):
        with pytest.raises(error, match=text):
            call()


@pytest.mark.parametrize("isa", ISAS)
def test_explain_and_plan_agree(isa):
    for engine in TRANSPOSING:
        facts = tconv.explain(
            "conv_transpose2d", (2, 4, 7, 6), (4, 3, 4, 4), isa=isa, engine=engine, **OPTIONS
        ).facts
        w = np.ones((4, 3, 4, 4), "f")
        plan = tconv.plan("conv_transpose2d", w, isa=isa, engine=engine, **OPTIONS)
        assert (facts["isa"], facts["engine"]) == (plan.isa, plan.engine) == (isa, engine)


# ---- references ----


def test_no_reference_is_lost(rng):
    """Good calls and bad ones leave the counts of all that they were given."""
    x, w, b = arrays(rng, 2)
    out = np.empty((2, 3, 14, 12), "f")
    plan = tconv.plan("conv_transpose2d", w, b, **OPTIONS)

    def calls():
        tconv.conv_transpose2d(x, w, b, **OPTIONS)
        tconv.conv_transpose2d(x, w, b, **OPTIONS, out=out)
        tconv.conv_transpose2d(x.tolist(), w.astype(float), **OPTIONS)
        plan(x, out=out)
        tconv.plan("conv_transpose2d", w, b, engine="direct")
        tconv.plan("conv_transpose2d", w, b, engine="gather")
        for bad in ({"stride": 0}, {"out": x}, {"threads": 0}, {"bias": x}, {"stride": "a"}):
            with pytest.raises((TypeError, ValueError)):
                tconv.conv_transpose2d(x, w, **bad)
        with pytest.raises(ValueError):
            plan(x, out=x)

    objects = (x, w, b, out, plan, type(plan), np.dtype("f"), tconv.conv_transpose2d)
    calls()
    before = [sys.getrefcount(item) for item in objects]
    for _ in range(20):
        calls()
    gc.collect()
    assert [sys.getrefcount(item) for item in objects] == before


def test_no_memory_is_lost(rng):
    import tracemalloc

    x, w, b = arrays(rng, 2)
    tracemalloc.start()
    try:
        for round in range(40):
            tconv.conv_transpose2d(x, w, b, **OPTIONS)
            tconv.plan("conv_transpose2d", w, b)(x)
            with pytest.raises(ValueError):
                tconv.conv_transpose2d(x, w, b, stride=0)
            if round == 20:
                gc.collect()
                settled = tracemalloc.get_traced_memory()[0]
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - settled < 4096
    finally:
        tracemalloc.stop()


def pickled(plan):
    return pickle.loads(pickle.dumps(plan))


@pytest.mark.parametrize("copied", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("bias", [True, False])
def test_plans_can_be_copied_and_pickled(copied, bias, rng):
    """They are built again, with their snapshot of weights and options."""
    x, w, b = arrays(rng, 2)
    stride, before = [2, 1], w.copy()
    plan = tconv.plan(
        "conv_transpose2d",
        w,
        b if bias else None,
        stride=stride,
        dilation=np.array([1, 2]),
        activation=("leaky_relu", 0.5),
        threads=1,
    )
    expected = plan(x)
    stride[0], w[...] = 1, 0
    again = copied(plan)
    assert repr(again) == repr(plan)
    assert_same(again(x), expected)
    w[...] = before
    wanted = tconv.conv_transpose2d(
        x, w, b if bias else None, stride=(2, 1), dilation=(1, 2), activation=("leaky_relu", 0.5)
    )
    assert_same(expected, wanted)


def test_a_plan_that_packs_nothing_chooses_for_each_image(rng):
    """As the function does, unless the engine was asked for."""
    weight = rng.standard_normal((32, 3, 3, 3), np.float32)
    options = {"stride": 2, "padding": 1}
    plan = tconv.plan("conv_transpose2d", weight, **options)
    asked = tconv.plan("conv_transpose2d", weight, engine="scatter", **options)
    for size, engine in ((5, "scatter"), (64, "direct")):
        x = rng.standard_normal((2, 32, size, size), np.float32)
        assert plan.explain(x.shape).engine == engine
        assert asked.explain(x.shape).engine == "scatter"
        result = plan(x)
        np.testing.assert_array_equal(result, tconv.conv_transpose2d(x, weight, **options))
        np.testing.assert_array_equal(result[:1], plan(x[:1]))
        np.testing.assert_allclose(asked(x), result, rtol=0, atol=1e-4)


def test_a_plan_leaves_packed_weights_for_an_engine_that_needs_none(rng):
    weight = rng.standard_normal((64, 3, 3, 3), np.float32)
    plan = tconv.plan("conv2d", weight, padding=1)
    asked = tconv.plan("conv2d", weight, engine="gather", padding=1)
    assert plan.engine == "gather"
    for size, engine in ((5, "gather"), (64, "planes")):
        x = rng.standard_normal((2, 3, size, size), np.float32)
        assert plan.explain(x.shape).engine == engine
        assert asked.explain(x.shape).engine == "gather"
        result = tconv.conv2d(x, weight, padding=1)
        np.testing.assert_array_equal(plan(x), result)
        np.testing.assert_array_equal(
            plan(x.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)), result
        )
        np.testing.assert_array_equal(asked(x), result)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_plan_of_points_knows_where_channels_lie(layout):
    """In an image of one pixel they would lie side by side in any layout."""
    shape = (1, 64, 14, 14) if layout == "NCHW" else (1, 14, 14, 64)
    plan = tconv.plan("conv2d", np.ones((128, 64, 1, 1), np.float32), layout=layout)
    function = tconv.explain("conv2d", shape, (128, 64, 1, 1), layout=layout)
    assert plan.engine == function.engine == ("mirror" if layout == "NCHW" else "gather")


def test_plans_explain_whole_kernels():
    """They pack them for images of every size: also what an image of one pixel does not reach."""
    weight = np.ones((16, 4, 3, 3), "f")
    plan = tconv.plan("conv_transpose2d", weight, padding=1, engine="direct")
    note = 64  # bytes behind the weights: whether all are finite
    for size in (1, 9):
        assert plan.explain((1, 16, size, size)).packed_bytes == weight.nbytes + note


def test_plans_explain_themselves(rng):
    x, w, b = arrays(rng, 2)
    plan = tconv.plan("conv_transpose2d", w, b, stride=2, activation="relu", engine="gather")
    explained = plan.explain(x.shape)
    assert explained.output_shape == plan(x).shape
    assert explained.engine == "gather"
    larger = plan.explain(x.shape, output_size=[n + 1 for n in plan(x).shape[2:]], threads=2)
    assert larger.output_shape[2] == explained.output_shape[2] + 1
    with pytest.raises(TypeError, match="explain"):
        plan.explain()
    with pytest.raises(ValueError, match="input must have"):
        plan.explain((1, 2))
