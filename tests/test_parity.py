"""The same results as torch.nn.functional, over a grid that hypothesis draws."""

from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from strategies import forward_problems, strided
from support import arrays_of, assert_same, assert_within_bound, integers, reals

import tconv
from tconv import problems

torch = pytest.importorskip("torch")

SUITE = problems.read_file(Path(__file__).parent.parent / "benchmarks" / "shapes.txt")


def torch_result(op, x, w, b, options):
    """torch takes no negative strides, so it gets copies."""
    tensors = [None if a is None else torch.from_numpy(np.array(a, order="C")) for a in (x, w, b)]
    return getattr(torch.nn.functional, op)(*tensors, **options).numpy()


@hypothesis.given(st.data(), forward_problems())
@hypothesis.settings(max_examples=300)
def test_exact_on_whole_numbers_at_any_strides(data, problem):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x, w, b = arrays_of(problem, rng)
    b = data.draw(st.sampled_from((None, b)))
    expected = torch_result(problem.op, x, w, b, problem.options)
    views = [None if a is None else data.draw(strided(a)) for a in (x, w, b)]
    result = getattr(tconv, problem.op)(
        *views, threads=data.draw(st.integers(1, 3)), **problem.options
    )
    assert_same(result, expected)


@hypothesis.given(problem=forward_problems(), seed=st.integers(0, 2**32 - 1))
@hypothesis.settings(max_examples=200)
def test_reals_are_within_the_bound(problem, seed):
    arrays = arrays_of(problem, np.random.default_rng(seed), fill=reals)
    result = getattr(tconv, problem.op)(*arrays, **problem.options)
    assert_within_bound(result, problem.op, arrays, problem.options)


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
