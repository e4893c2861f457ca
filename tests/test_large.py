"""Sizes and distances beyond 32 bits."""

import mmap
import sys

import numpy as np
import pytest
from support import (
    CORES,
    ENGINES,
    arguments_of,
    assert_same,
    definition,
    each_array,
    each_problem,
    gradients,
)

import tconv
from tconv import problems

FAR = 2**31 + 24  # elements
MAP_NORESERVE = 0x4000


def far_apart(array):
    """A copy whose batch and channels lie so far apart that no number of 32 bits counts it. Pages
    that nobody touches take no memory."""
    if array.ndim < 3:
        return array
    n, c, *rest = array.shape
    size = n * c * FAR * array.itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    memory = np.frombuffer(mmap.mmap(-1, size, flags=flags), array.dtype)
    inner = np.zeros(rest, array.dtype).strides
    strides = (c * FAR * array.itemsize, FAR * array.itemsize, *inner)
    view = np.lib.stride_tricks.as_strided(memory, array.shape, strides)
    view[...] = array
    return view


PROBLEMS = [
    problem
    for string in (
        "ct2d_n1_ci3_ih5_iw6_co4_k4_s2_p1_f32",
        "ct1d_n1_ci4_iw30_co1_k16_s8_p4_f32",
        "ct2d_n1_ci4_ih6_iw7_co4_k3_s2_p1_g4_f32",
        "c2d_n1_ci4_ih8_iw9_co5_k3_s1_p1_f32",
        "c3d_n1_ci2_id3_ih4_iw5_co3_k3_s1_p1_f64",
    )
    for forward in [problems.parse(string)]
    for problem in (forward, *gradients(forward))
]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs memory that is promised")
@each_problem(PROBLEMS)
def test_distances(problem, rng):
    arguments = arguments_of(problem, rng)
    expected = definition(problem.op)(*arguments, **problem.options)
    given = each_array(far_apart, arguments)
    out = far_apart(np.zeros_like(expected))
    for core in CORES.values():
        out[...] = 0
        getattr(core, problem.op)(*given, **problem.options, out=out)
        assert_same(out, expected)
    if problem.op == problem.forward:
        x, w, b = given
        for engine in ENGINES:
            try:
                plan = tconv.plan(problem.op, w, b, engine=engine, **problem.options)
            except ValueError:  # the engine cannot do this geometry
                continue
            assert_same(plan(x), expected)


def test_input_of_a_terabyte():
    """One element, repeated 2**40 times, met here and there."""
    x = np.broadcast_to(np.float32(2), (1, 1, 2**40))
    y = tconv.conv1d(x, np.ones((1, 1, 3), "f"), stride=2**36)
    assert y.tolist() == [[[6.0] * 16]]


# ---- as many elements ----

ONE = np.float32(1)
LENGTH = 2**30 + 5


@pytest.mark.large
def test_more_outputs_than_32_bits_count():
    x = np.broadcast_to(ONE, (1, 1, LENGTH))
    w = np.array([[[1, 2]]], np.float32)
    y = tconv.conv_transpose1d(x, w, stride=2)[0, 0]
    assert len(y) == 2 * LENGTH > 2**31
    assert np.all(y[0::2] == 1)
    assert np.all(y[1::2] == 2)


@pytest.mark.large
def test_more_inputs_than_32_bits_count():
    x = np.zeros((1, 1, 2 * LENGTH), np.float32)
    x[0, 0, [0, 7, 2**31 + 2, 2**31 + 3, -1]] = 1, 2, 3, 4, 5
    y = tconv.conv1d(x, np.array([[[1, 10]]], np.float32), stride=2)[0, 0]
    assert len(y) == LENGTH
    where = np.flatnonzero(y)
    assert where.tolist() == [0, 3, 2**30 + 1, LENGTH - 1]
    assert y[where].tolist() == [1, 20, 43, 50]
    gy = np.broadcast_to(ONE, (1, 1, LENGTH))
    assert tconv.grad.conv1d_weight(x, (1, 1, 2), gy, stride=2).tolist() == [[[4, 11]]]
    assert tconv.grad.bias(x).tolist() == [15]


@pytest.mark.large
def test_more_of_them_in_channels_and_images():
    x = np.ones((9, 16, 4096, 4096), np.float16)
    assert x.size > 2**31
    w = np.ones((1, 16, 1, 1), np.float16)
    y = tconv.conv2d(x[:, :, ::64], w, stride=(1, 64), out_dtype=np.float32)
    assert y.shape == (9, 1, 64, 64)
    assert np.all(y == 16)
