"""What the tests share: data on which every sum is exact, the oracle, the error bound."""

import numpy as np

import tconv
from tconv import _core

ISAS = _core.config()["isas"]
ENGINES = _core.config()["engines"]
DTYPES = ("float32", "float64")


def integers(rng, shape, dtype, magnitude=4):
    """Small whole numbers: products and sums of them are exact in any order."""
    return rng.integers(-magnitude, magnitude + 1, shape).astype(dtype)


def reals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def arrays_of(problem, rng, fill=integers):
    """input, weight and bias of a problem."""
    return (
        fill(rng, problem.input_shape, problem.dtype),
        fill(rng, problem.weight_shape, problem.dtype),
        fill(rng, (problem.output_channels,), problem.dtype),
    )


def error_bound(x, w, b, options):
    """The most that a result may differ from the exact one, for each output.

    gamma_K * (sum |x||w| + |b|) with K = taps*channels + 1, the taps being those that reach the
    output, and gamma_K = K*u / (1 - K*u) for the unit roundoff u of the dtype.
    """
    u = np.finfo(x.dtype).eps / 2
    wide = np.longdouble
    count = tconv.reference.conv_transpose(
        np.ones(x.shape, wide), np.ones(w.shape, wide), None, **options
    )
    k = count + 1
    scale = tconv.reference.conv_transpose(
        np.abs(x.astype(wide)), np.abs(w.astype(wide)), np.abs(b.astype(wide)), **options
    )
    return k * u / (1 - k * u) * scale


def exact(x, w, b, options):
    """The definition in extended precision."""
    wide = np.longdouble
    return tconv.reference.conv_transpose(x.astype(wide), w.astype(wide), b.astype(wide), **options)


def assert_trusted(result):
    """A test that compares zeros with zeros proves nothing."""
    assert np.count_nonzero(result) * 4 > result.size, "too many zeros to trust the test"


def assert_same(result, expected):
    """Equal in shape, dtype and every value (a zero's sign aside)."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    wrong = np.argwhere(result != expected)
    assert not len(wrong), f"{len(wrong)} of {result.size} differ, first at {tuple(wrong[0])}"
