"""tconv.autograd: every function against differences, in both modes, twice; and what it is for."""

import numpy as np
import pytest
from support import arguments_of, arrays_of, assert_same, each_problem, gradients, integers, reals

import tconv
from tconv import problems

autograd = pytest.importorskip("autograd")

import autograd.numpy as anp  # noqa: E402
from autograd.test_util import check_grads  # noqa: E402

import tconv.autograd as bridged  # noqa: E402

PROBLEMS = [
    problems.parse(string)
    for string in (
        "ct1d_n2_ci4_iw5_co6_k3_s2_p1_op1_g2_f64",
        "c1d_n2_ci4_iw9_co6_k3_s2_p1_d2_g2_f64",
        "c1d_n1_ci2_iw6_co3_k3_s1_p2_circular_f64",
        "ct2d_n2_ci2_ih3_iw4_co3_k3x2_s2x1_p1x0_f64",
        "ct2d_n2_ci2_ih3_iw4_co3_k4_s2_p1_nhwc_f64",
        "c2d_n2_ci2_ih5_iw4_co3_k3x2_s2x1_p1x0_f64",
        "c2d_n1_ci2_ih4_iw4_co3_k3_s1_p1_nhwc_nchw_f64",
        "c2d_n1_ci2_ih4_iw4_co3_k3_s1_p1_reflect_f64",
        "ct3d_n1_ci2_id2_ih3_iw2_co3_k2_s2_p0_f64",
        "c3d_n1_ci2_id3_ih3_iw2_co3_k2_s1_p0_f64",
    )
]
forward = each_problem(PROBLEMS)
backward = each_problem([g for p in PROBLEMS for g in gradients(p)])


def check(function, *arrays):
    check_grads(function, tuple(range(len(arrays))), modes=["fwd", "rev"], order=2)(*arrays)


@forward
def test_forward(problem, rng):
    x, w, b = arrays_of(problem, rng, reals)
    function = getattr(bridged, problem.op)
    check(lambda x, w: function(x, w, **problem.options), x, w)
    check(lambda x, w, b: function(x, w, b, **problem.options), x, w, b)


@backward
def test_gradients(problem, rng):
    arguments = arguments_of(problem, rng, reals)
    where = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]

    def function(*arrays):
        filled = list(arguments)
        for i, array in zip(where, arrays, strict=True):
            filled[i] = array
        return getattr(bridged, problem.op)(*filled, **problem.options)

    check(function, *(arguments[i] for i in where))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", None])
def test_bias(layout, rng):
    gy = reals(rng, (2, 3, 4, 3)[4 - len(layout or "NCHW") :], "float64")
    check(lambda gy: bridged.bias(gy, layout=layout), gy)


@forward
def test_the_same_bits_as_tconv(problem, rng):
    x, w, b = arrays_of(problem, rng, reals)
    expected = getattr(tconv, problem.op)(x, w, b, **problem.options)
    assert_same(getattr(bridged, problem.op)(x, w, b, **problem.options), expected)
    for gradient in gradients(problem):
        arguments = arguments_of(gradient, rng, reals)
        expected = getattr(tconv.grad, gradient.op)(*arguments, **gradient.options)
        assert_same(getattr(bridged, gradient.op)(*arguments, **gradient.options), expected)


def test_output_size(rng):
    """The gradient knows the output padding that was picked."""
    x, w = integers(rng, (1, 2, 3), "float64"), integers(rng, (2, 3, 4), "float64")
    for size in (8, 9, 10):
        gy = integers(rng, (1, 3, size), "float64")
        gx = autograd.grad(
            lambda x, gy=gy, size=size: anp.sum(
                gy * bridged.conv_transpose1d(x, w, stride=3, padding=1, output_size=size)
            )
        )(x)
        assert_same(gx, tconv.conv1d(gy, w, stride=3, padding=1))


def test_the_input_size_may_follow(rng):
    gy, w = integers(rng, (1, 3, 6), "float64"), integers(rng, (2, 3, 4), "float64")
    options = {"stride": 2, "padding": 1}
    function = bridged.conv_transpose1d_input
    expected = tconv.grad.conv_transpose1d_input(None, w, gy, **options)
    assert_same(function(None, w, gy, **options), expected)
    check(lambda w, gy: function(None, w, gy, **options), w, gy)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_have_the_dtype_of_the_arrays(dtype, rng):
    x, w, b = (integers(rng, shape, dtype) for shape in ((1, 2, 5), (2, 3, 4), (3,)))

    def loss(x, w, b):
        return anp.mean(bridged.conv_transpose1d(x, w, b, stride=2) ** 2)

    for gradient in autograd.grad(loss, (0, 1, 2))(x, w, b):
        assert gradient.dtype == dtype
        assert np.any(gradient)


def test_gradient_penalty(rng):
    """(norm of the slope - 1)^2 of a critic, by its parameters: against differences."""
    x = reals(rng, (3, 1, 8, 8), "float64")
    first, second = reals(rng, (4, 1, 4, 4), "float64"), reals(rng, (1, 4, 4, 4), "float64")

    def critic(x, first, second):
        hidden = anp.tanh(bridged.conv2d(x, first, stride=2, padding=1))
        return anp.sum(bridged.conv2d(hidden, second))

    def penalty(first, second):
        slope = autograd.grad(critic)(x, first, second)
        norm = anp.sqrt(anp.sum(slope**2, axis=(1, 2, 3)))
        return anp.mean((norm - 1) ** 2)

    check_grads(penalty, (0, 1), modes=["rev"], order=1)(first, second)


def test_keywords_are_followed_too(rng):
    x, w, b = (integers(rng, shape, "float64") for shape in ((1, 2, 5), (3, 2, 2), (3,)))
    by_name = autograd.grad(lambda b: anp.sum(bridged.conv1d(weight=w, input=x, bias=b) ** 2))
    by_place = autograd.grad(lambda b: anp.sum(bridged.conv1d(x, w, b) ** 2))
    assert_same(by_name(b), by_place(b))


@pytest.mark.parametrize("name", ["out", "accumulate", "activation", "out_dtype"])
def test_what_has_no_gradient_is_refused(name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        bridged.conv1d(np.ones((1, 1, 2)), np.ones((1, 1, 2)), **{name: None})
