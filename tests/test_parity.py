"""The same results as torch.nn.functional, over a grid that hypothesis draws."""

from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from support import arrays_of, assert_same, error_bound, exact, integers, reals

import tconv
from tconv import problems

torch = pytest.importorskip("torch")

SUITE = problems.read_file(Path(__file__).parent.parent / "benchmarks" / "shapes.txt")
CHANNELS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 64, 65)


def torch_result(op, x, w, b, options):
    """torch takes no negative strides, so it gets copies."""
    tensors = [None if a is None else torch.from_numpy(np.array(a, order="C")) for a in (x, w, b)]
    return getattr(torch.nn.functional, op)(*tensors, **options).numpy()


@st.composite
def calls(draw):
    """A rank, shapes and options that give at least one output."""
    rank = draw(st.integers(1, 3))

    def axes(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    channels = st.sampled_from(CHANNELS if rank < 3 else CHANNELS[:8])
    ci, co = draw(channels), draw(channels)
    lengths = axes(1, {1: 40, 2: 9, 3: 5}[rank])
    kernel, stride, dilation = axes(1, 5), axes(1, 4), axes(1, 3)
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    full = [
        (i - 1) * s + d * (k - 1) + e + 1
        for i, k, s, d, e in zip(lengths, kernel, stride, dilation, extra, strict=True)
    ]
    padding = tuple(draw(st.integers(0, min(4, (o - 1) // 2))) for o in full)
    batch = draw(st.sampled_from(((), (0,), (1,), (2,), (3,))))
    return {
        "op": f"conv_transpose{rank}d",
        "input": (*batch, groups * ci, *lengths),
        "weight": (groups * ci, co, *kernel),
        "bias": draw(st.sampled_from((None, groups * co))),
        "dtype": draw(st.sampled_from(("float32", "float64"))),
        "options": {
            "stride": stride,
            "padding": padding,
            "output_padding": extra,
            "dilation": dilation,
            "groups": groups,
        },
    }


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


@hypothesis.given(st.data(), calls())
@hypothesis.settings(max_examples=400)
def test_exact_on_whole_numbers_at_any_strides(data, call):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x, w = (integers(rng, call[name], call["dtype"]) for name in ("input", "weight"))
    b = None if call["bias"] is None else integers(rng, (call["bias"],), call["dtype"])
    expected = torch_result(call["op"], x, w, b, call["options"])
    views = [None if a is None else data.draw(strided(a)) for a in (x, w, b)]
    result = getattr(tconv, call["op"])(
        *views, threads=data.draw(st.integers(1, 3)), **call["options"]
    )
    assert_same(result, expected)


@hypothesis.given(call=calls(), seed=st.integers(0, 2**32 - 1))
@hypothesis.settings(max_examples=150)
def test_reals_are_within_the_bound(call, seed):
    rng = np.random.default_rng(seed)
    x, w = (reals(rng, call[name], call["dtype"]) for name in ("input", "weight"))
    b = reals(rng, (w.shape[1] * call["options"]["groups"],), call["dtype"])
    result = getattr(tconv, call["op"])(x, w, b, **call["options"])
    error = np.abs(result - exact(x, w, b, call["options"]))
    assert np.all(error <= error_bound(x, w, b, call["options"]))


@pytest.mark.parametrize("problem", SUITE.values(), ids=SUITE)
def test_suite(problem, rng):
    """The shapes of the benchmark, exact, by the function and by a plan."""
    x, w, b = arrays_of(problem, rng)
    expected = torch_result(problem.op, x, w, b, problem.options)
    assert_same(getattr(tconv, problem.op)(x, w, b, **problem.options), expected)
    plan = tconv.plan(problem.op, w, b, **problem.options)
    assert_same(plan(x), expected)


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_zero_strides(rank, rng):
    """Broadcast arrays: one element stands for many."""
    op = f"conv_transpose{rank}d"
    x = np.broadcast_to(integers(rng, (1, 5) + (1,) * rank, "float32"), (2, 5) + (6,) * rank)
    w = np.broadcast_to(integers(rng, (5, 1) + (1,) * rank, "float32"), (5, 18) + (3,) * rank)
    b = np.broadcast_to(np.float32(3), (18,))
    result = getattr(tconv, op)(x, w, b, stride=2)
    assert_same(result, torch_result(op, x, w, b, {"stride": 2}))


def test_second_oracle(rng):
    """onnxruntime agrees too, where it is installed."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    import peers

    for string in (
        "ct2d_n2_ci6_ih5_iw4_co9_k3_s2_p1_op1_g3_f32",
        "ct1d_n1_ci4_iw9_co5_k4_s3_p2_d2_f32",
        "ct3d_n1_ci3_id2_ih3_iw4_co2_k2x3x2_s2x1x3_p0x1x0_f32",
    ):
        problem = problems.parse(string)
        arrays = peers.Arrays(problem)
        arrays.x, arrays.w, arrays.b = arrays_of(problem, rng)
        (expected,) = peers.onnxruntime_session(problem, arrays, 1)()
        result = getattr(tconv, problem.op)(arrays.x, arrays.w, arrays.b, **problem.options)
        assert_same(result, expected)
    assert onnxruntime
