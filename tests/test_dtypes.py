"""The dtypes without kernels: integers, complex numbers, half precision."""

import numpy as np
import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import forward_problems, strided

import tconv

ISA = st.sampled_from(support.ISAS)
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


def halves():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    return np.dtype("float16"), np.dtype(ml_dtypes.bfloat16)


def calls(problem, arrays, **options):
    """The forward operation and both gradients, of any module that has them."""
    x, w, b, gy = arrays
    options = {**problem.options, **options}
    return lambda module: (
        getattr(module, problem.op)(x, w, b, **options),
        getattr(module, f"{problem.op}_input")(x.shape, w, gy, **options),
        getattr(module, f"{problem.op}_weight")(x, w.shape, gy, **options),
    )


def arrays_of(problem, draw):
    """input, weight, bias and the gradient of the output, each by `draw(shape)`."""
    shape = tconv.output_size(
        problem.op, problem.input_shape, problem.weight_shape, **problem.options
    )
    shapes = (problem.input_shape, problem.weight_shape, (problem.output_channels,), shape)
    return [draw(shape) for shape in shapes]


# ---- integers ----


def any_integers(rng, dtype):
    """Elements from the whole range, the ends among them."""
    info = np.iinfo(dtype)

    def draw(shape):
        values = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        ends = rng.integers(0, 8, shape)
        return np.where(ends == 0, info.min, np.where(ends == 1, info.max, values)).astype(dtype)

    return draw


@settings(max_examples=300, deadline=None)
@given(forward_problems(), st.sampled_from(INTEGERS), st.sampled_from((None, *INTEGERS)), ISA)
def test_integers_wrap_around(problem, dtype, out_dtype, isa):
    """All sums modulo 2**64 in int64 by the definition, then cut to the result's bits."""
    rng = np.random.default_rng(101)
    arrays = arrays_of(problem, any_integers(rng, dtype))
    results = calls(problem, arrays, out_dtype=out_dtype)(support.CORES[isa])
    wide = [array.astype(np.int64) for array in arrays]
    for result, expected in zip(results, calls(problem, wide)(tconv.reference), strict=True):
        support.assert_same(result, expected.astype(out_dtype or dtype))


def test_more_terms_than_digits_of_16_bits_leave_room_for():
    """A gradient of a weight that sums 2**22 products of the largest elements."""
    n = 1 << 22
    x = np.full((1, 1, n), np.iinfo("int32").min, "int32")
    gy = np.full((1, 1, n), np.iinfo("int32").max, "int32")
    gw = tconv.grad.conv1d_weight(x, (1, 1, 1), gy, out_dtype="int64")
    exact = int(x[0, 0, 0]) * int(gy[0, 0, 0]) * n
    assert gw.item() % 2**64 == exact % 2**64


def test_int8_gives_int32():
    x, w = np.full((1, 300, 4), 127, "int8"), np.full((1, 300, 1), -128, "int8")
    y = tconv.conv1d(x, w, out_dtype="int32")
    support.assert_same(y, np.full((1, 1, 4), -300 * 127 * 128, "int32"))
    plan = tconv.plan("conv1d", w, out_dtype=np.int32)
    support.assert_same(plan(x), y)
    out = np.ones((1, 1, 4), np.int32)
    assert plan(x, out=out, accumulate=True) is out
    support.assert_same(out, y + 1)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_sums_of_integers(dtype):
    g = any_integers(np.random.default_rng(103), dtype)((3, 4, 50, 7))
    with np.errstate(over="ignore"):
        support.assert_same(tconv.grad.bias(g), g.sum((0, 2, 3), dtype=dtype))


# ---- complex numbers ----


@settings(max_examples=150, deadline=None)
@given(forward_problems(), st.sampled_from(("complex64", "complex128")), st.data(), ISA)
def test_complex(problem, dtype, data, isa):
    rng = np.random.default_rng(107)

    def draw(shape):
        return (support.integers(rng, shape, "d") + 1j * support.integers(rng, shape, "d")).astype(
            dtype
        )

    arrays = arrays_of(problem, draw)
    expected = calls(problem, arrays)(tconv.reference)
    arrays = [data.draw(strided(array)) for array in arrays]
    for result, wanted in zip(calls(problem, arrays)(support.CORES[isa]), expected, strict=True):
        support.assert_same(result, wanted)


def test_complex_sums_and_plans():
    x = np.array([[1 + 2j, 3 - 1j, 2j]], "complex64")
    w = np.array([[[1j, 2.0]]], "complex64")
    plan = tconv.plan("conv1d", w)
    support.assert_same(plan(x), np.array([[4 - 1j, 1 + 7j]], "complex64"))
    support.assert_same(tconv.grad.bias(x), np.array([4 + 3j], "complex64"))


# ---- half precision ----


@pytest.mark.parametrize("isa", support.ISAS)
@pytest.mark.parametrize("which", [0, 1])
def test_conversion(isa, which):
    """All there are; float32 numbers around them and anywhere; not a byte behind the array."""
    dtype, convert = halves()[which], support.CORES[isa].convert_half
    half = np.arange(2**16, dtype=np.uint16).view(dtype)
    wide = np.empty(half.shape, np.float32)
    convert(wide, half, 2)
    np.testing.assert_array_equal(wide, half.astype(np.float32))
    near = wide.view(np.uint32)[:, None] + np.array([0, 1, 2**32 - 1], np.uint32)
    ties = near + np.uint32((0x1000, 0x8000)[which])  # half of the last place of normal ones
    anywhere = np.random.default_rng(131).integers(0, 2**32, 10**6, dtype=np.uint32)
    single = np.concatenate([near.ravel(), ties.ravel(), anywhere]).view(np.float32)
    narrow = np.empty(single.shape, dtype)
    convert(narrow, single, 2)
    with np.errstate(all="ignore"):
        expected = single.astype(dtype)
    np.testing.assert_array_equal(narrow.astype("f"), expected.astype("f"))
    for count in range(40):
        for source, target in ((half, np.float32), (wide, dtype)):
            result = np.full(count + 1, 7, target)
            convert(result[:count], source[1000 : 1000 + count].copy(), 1)
            assert result[count] == 7
            np.testing.assert_array_equal(result[:count], source[1000 : 1000 + count])


def ulps(result, exact):
    """Errors of a result in units of its last place, where `exact` is in float64."""
    bits = 11 if result.dtype == np.float16 else 8
    least = 2.0**-24 if result.dtype == np.float16 else 2.0**-133
    unit = np.maximum(
        2.0 ** (np.floor(np.log2(np.maximum(np.abs(exact), 1e-300))) + 1 - bits), least
    )
    return np.abs(result.astype("d") - exact) / unit


@settings(max_examples=150, deadline=None)
@given(forward_problems(channels=(1, 2, 3, 8, 17, 33)), st.integers(0, 1), ISA)
def test_half_is_rounded_once(problem, which, isa):
    """Small whole numbers: the sums are exact, so the one rounding is that of the definition."""
    dtype, rng = halves()[which], np.random.default_rng(109)
    arrays = arrays_of(problem, lambda shape: support.integers(rng, shape, dtype))
    wide = [array.astype("d") for array in arrays]
    results = calls(problem, arrays)(support.CORES[isa])
    for result, exact in zip(results, calls(problem, wide)(tconv.reference), strict=True):
        support.assert_same(result, exact.astype(dtype))


@pytest.mark.parametrize("which", [0, 1])
def test_half_of_reals(which):
    """Within half a unit of the last place, and what float32's sum adds to it."""
    dtype, rng = halves()[which], np.random.default_rng(113)
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((2, 64, 9, 9), (64, 32, 4, 4), (32,)))
    options = {"stride": 2, "padding": 1}
    exact = tconv.reference.conv_transpose2d(*(a.astype("d") for a in (x, w, b)), **options)
    y = tconv.conv_transpose2d(x, w, b, **options)
    large = np.abs(exact) > 0.5
    assert ulps(y, exact)[large].max() < 0.52
    for name, function in (("tanh", np.tanh), ("relu", lambda v: np.maximum(v, 0))):
        y = tconv.conv_transpose2d(x, w, b, **options, activation=name)
        assert ulps(y, function(exact))[large].max() < 0.52
    wide = tconv.conv_transpose2d(x, w, b, **options, out_dtype="float32")
    assert wide.dtype == np.float32
    support.assert_same(wide.astype(dtype), tconv.conv_transpose2d(x, w, b, **options))


@pytest.mark.parametrize("which", [0, 1])
def test_half_accumulates_with_one_rounding(which):
    dtype = halves()[which]
    small = 2.0 ** -(12 - 3 * which)  # lost beside 1
    x, w = np.array([[1, small]], dtype)[None], np.ones((1, 1, 2), dtype)
    out = np.full((1, 1, 1), -1, dtype)
    assert tconv.conv1d(x, w, out=out, accumulate=True) is out
    assert out.item() == small


@pytest.mark.parametrize("which", [0, 1])
def test_half_sums_layouts_modes_and_strides(which):
    dtype, rng = halves()[which], np.random.default_rng(127)
    x = support.integers(rng, (2, 6, 7, 3), dtype)[:, ::-1]
    w = support.integers(rng, (4, 3, 3, 3), dtype)
    options = {"layout": "NHWC", "padding": 1, "padding_mode": "circular"}
    y = tconv.conv2d(x, w, **options)
    support.assert_same(y, tconv.conv2d(x.astype("f"), w.astype("f"), **options).astype(dtype))
    support.assert_same(
        tconv.grad.bias(y, layout="NHWC"), y.astype("f").sum((0, 1, 2)).astype(dtype)
    )


def test_big_endian_is_read_right():
    x, w = np.arange(12.0).reshape(1, 1, 12), np.ones((1, 1, 3))
    for dtype in ("f2", "i2", "i8", "c8", "c16", "u4"):
        expected = tconv.conv1d(x.astype(dtype), w.astype(dtype))
        support.assert_same(tconv.conv1d(x.astype(f">{dtype}"), w.astype(f">{dtype}")), expected)


# ---- refusals ----


def test_refusals():
    x, w = np.ones((1, 1, 5), "f"), np.ones((1, 1, 3), "f")
    for error, text, call in (
        (TypeError, "input is int8 but weight is float32", lambda: tconv.conv1d(x.astype("i1"), w)),
        (TypeError, "dtype bool", lambda: tconv.conv1d(x > 0, w > 0)),
        (TypeError, "dtype float128|dtype longdouble", lambda: tconv.conv1d(x.astype("g"), w)),
        (
            TypeError,
            "out_dtype must be an integer dtype for int8, got float32",
            lambda: tconv.conv1d(x.astype("i1"), w.astype("i1"), out_dtype="f"),
        ),
        (
            TypeError,
            "out_dtype must be the same for float32, got float64",
            lambda: tconv.conv1d(x, w, out_dtype="d"),
        ),
        (
            TypeError,
            "out_dtype must be the same or float32 for float16, got float64",
            lambda: tconv.conv1d(x.astype("e"), w.astype("e"), out_dtype="d"),
        ),
        (
            TypeError,
            "activation needs a floating dtype, got int8",
            lambda: tconv.conv1d(x.astype("i1"), w.astype("i1"), activation="relu"),
        ),
        (
            TypeError,
            "out must have dtype int8, got int32",
            lambda: tconv.conv1d(x.astype("i1"), w.astype("i1"), out=np.ones((1, 1, 3), "i4")),
        ),
    ):
        with pytest.raises(error, match=text):
            call()


def test_names():
    string = "c1d_n1_ci1_iw5_co1_k3_s1_p0_bf16"
    problem = tconv.problems.parse(string)
    assert problem.dtype == "bfloat16"
    explained = tconv.explain(problem.op, problem.input_shape, problem.weight_shape, problem.dtype)
    assert explained.problem == string
    assert explained.computed_in == "float32"
    assert ", in float32" in str(explained)
