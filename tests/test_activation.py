"""activation=: what is done to each output after its sum, in the store."""

from pathlib import Path

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import forward_problems, strided
from test_layout import names, to_first, to_last

import tconv
from tconv import problems

EDGES = problems.read_file(Path(__file__).with_name("problems_edge.txt"))
ACTIVATIONS = ("relu", "tanh", "sigmoid", ("leaky_relu", 0.25), "leaky_relu")


def elementwise(core, x, activation):
    """The activation of an array: of its product with 1."""
    one = np.ones((1, 1, 1), x.dtype)
    if x.size == 0:
        return x
    return core.conv1d(x.reshape(1, 1, -1), one, activation=activation).reshape(x.shape)


def in_numpy(x, activation):
    name, slope = activation if isinstance(activation, tuple) else (activation, 0.01)
    with np.errstate(over="ignore"):
        return {
            "relu": lambda: np.where(x < 0, 0, x),
            "leaky_relu": lambda: np.where(x < 0, np.array(slope, x.dtype) * x, x),
            "tanh": lambda: np.tanh(x),
            "sigmoid": lambda: 1 / (1 + np.exp(-x)),
        }[name]()


# ---- the functions ----


def samples(dtype):
    """Of all sizes: near 0, where the functions bend, where they are flat, and at the ends."""
    rng = np.random.default_rng(17)
    far = 130 if dtype == "float32" else 760
    tiny = 44 if dtype == "float32" else 320
    x = [rng.uniform(-size, size, 20000) for size in (1, 20, far)]
    x.append(10.0 ** rng.uniform(-tiny, 0, 20000) * rng.choice((-1, 1), 20000))
    return np.concatenate([*x, [0, far, -far, 1e30, -1e30]]).astype(dtype)


@pytest.mark.parametrize("isa", support.ISAS)
@pytest.mark.parametrize("dtype", support.DTYPES)
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_error_in_units_of_the_last_place(name, dtype, isa):
    """float32 is as good as rounded once; float64 is within five units."""
    x = samples(dtype)
    exact = in_numpy(x.astype(np.longdouble), name)
    result = elementwise(support.CORES[isa], x, name)
    unit = np.spacing(np.abs(exact.astype(dtype))).astype(np.longdouble)
    error = np.abs(result - exact) / unit
    assert error.max() <= (0.501 if dtype == "float32" else 5)


@pytest.mark.parametrize("isa", support.ISAS)
@pytest.mark.parametrize("dtype", support.DTYPES)
@pytest.mark.parametrize("activation", ["relu", ("leaky_relu", 0.25), ("leaky_relu", -2)])
def test_exact_ones(activation, dtype, isa):
    x = samples(dtype)
    expected = in_numpy(x, activation)
    support.assert_same(elementwise(support.CORES[isa], x, activation), expected)


@pytest.mark.parametrize("isa", support.ISAS)
@pytest.mark.parametrize("dtype", support.DTYPES)
def test_what_is_not_finite(dtype, isa):
    inf = np.inf
    x = np.array([np.nan, inf, -inf] * 7, dtype)
    table = {
        "relu": [np.nan, inf, 0],
        "leaky_relu": [np.nan, inf, -inf],
        "tanh": [np.nan, 1, -1],
        "sigmoid": [np.nan, 1, 0],
    }
    for name, expected in table.items():
        result = elementwise(support.CORES[isa], x, name)
        np.testing.assert_array_equal(result, np.array(expected * 7, dtype))


# ---- in the store ----


def check_fused(core, problem, activation, rng, **more):
    """The same bits as the activation of the plain result, in both layouts."""
    x, w, b = support.arrays_of(problem, rng, support.reals)
    x, rank = x / 4, w.ndim - 2
    function, options = getattr(core, problem.op), {**problem.options, **more}
    expected = elementwise(core, function(x, w, b, **options), activation)
    support.assert_same(function(x, w, b, **options, activation=activation), expected)
    last = names(rank, x.ndim == rank + 2)[1]
    result = function(to_last(x, rank), w, b, **options, layout=last, activation=activation)
    support.assert_same(to_first(result, rank), expected)


@pytest.mark.parametrize("isa", support.ISAS)
@pytest.mark.parametrize("name", EDGES)
def test_edges(name, isa):
    check_fused(support.CORES[isa], EDGES[name], "tanh", np.random.default_rng(19))


@settings(max_examples=100, deadline=None)
@given(
    forward_problems(),
    st.sampled_from(ACTIVATIONS),
    st.integers(1, 3),
    st.sampled_from(support.ISAS),
)
def test_drawn(problem, activation, threads, isa):
    rng = np.random.default_rng(23)
    check_fused(support.CORES[isa], problem, activation, rng, threads=threads)


@pytest.mark.parametrize("engine", support.ENGINES)
@pytest.mark.parametrize("name", EDGES)
def test_every_engine(name, engine):
    problem, rng = EDGES[name], np.random.default_rng(29)
    x, w, b = support.arrays_of(problem, rng)
    try:
        plain = tconv.plan(problem.op, w, b, **problem.options, engine=engine)
    except ValueError:
        return  # which test_engines reports
    fused = tconv.plan(problem.op, w, b, **problem.options, engine=engine, activation="sigmoid")
    support.assert_same(fused(x), elementwise(tconv._core, plain(x), "sigmoid"))


@settings(max_examples=50, deadline=None)
@given(st.data(), forward_problems())
def test_out_of_any_strides(data, problem):
    rng = np.random.default_rng(31)
    x, w, b = support.arrays_of(problem, rng)
    function = getattr(tconv, problem.op)
    expected = function(x, w, b, **problem.options, activation="relu")
    out = data.draw(strided(np.empty_like(expected)))
    assert function(x, w, b, **problem.options, activation="relu", out=out) is out
    support.assert_same(out, expected)


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_accumulated_sums_are_activated(activation):
    """As a residual connection has it: the activation of what is there plus what is added."""
    problem, rng = EDGES["uneven"], np.random.default_rng(37)
    x, w, b = support.arrays_of(problem, rng)
    function, options = getattr(tconv, problem.op), problem.options
    there = support.integers(rng, function(x, w, b, **options).shape, "float32", 9)
    expected = there + function(x, w, b, **options)
    if activation:
        expected = elementwise(tconv._core, expected, activation)
    plan = tconv.plan(problem.op, w, b, **options, activation=activation)
    calls = (
        lambda out: function(x, w, b, **options, activation=activation, out=out, accumulate=True),
        lambda out: plan(x, out=out, accumulate=True),
    )
    for call in calls:
        for out in (there.copy(), np.asfortranarray(there)):
            assert call(out) is out
            support.assert_same(out, expected)


X, W = np.ones((1, 1, 3), np.float32), np.ones((1, 1, 1), np.float32)
TEXT = "activation must be None, 'relu', 'tanh', 'sigmoid' or ('leaky_relu', slope), got "


@pytest.mark.parametrize(
    ("activation", "error", "text"),
    [
        ("gelu", ValueError, TEXT + "'gelu'"),
        ("ReLU", ValueError, TEXT),
        ("", ValueError, TEXT),
        (("relu", 0.1), ValueError, TEXT + r"('relu', 0.1)"),
        (3, TypeError, TEXT + "3"),
        ((), TypeError, TEXT),
        (("leaky_relu",), TypeError, TEXT),
        ((0.1, "leaky_relu"), TypeError, TEXT),
        (np.tanh, TypeError, TEXT),
        (("leaky_relu", "steep"), TypeError, "real number"),
        (("leaky_relu", None), TypeError, "real number"),
    ],
)
def test_refused(activation, error, text):
    for call in (
        lambda: tconv.conv1d(X, W, activation=activation),
        lambda: tconv.plan("conv1d", W, activation=activation),
    ):
        with pytest.raises(error) as refusal:
            call()
        assert text in str(refusal.value)


def test_gradients_have_none():
    with pytest.raises(TypeError, match="unexpected keyword argument 'activation'"):
        tconv.grad.conv1d_input((1, 1, 3), W, X, activation="relu")
