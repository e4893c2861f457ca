"""tconv.conv_matrix: W is the convolution and W.T the transposed one, dense and sparse."""

import builtins

import hypothesis.strategies as st
import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from support import assert_same, integers

import tconv

BOTH = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])


def matrix(*arguments, sparse, **options):
    if sparse:
        pytest.importorskip("scipy")
    return tconv.conv_matrix(*arguments, **options, sparse=sparse)


# ---- the documents' numbers ----


@BOTH
def test_numbers(sparse):
    w = np.array([[[[1, 2], [3, 4]]]])
    W = matrix(w, (1, 3, 3), sparse=sparse)
    assert (W.toarray() if sparse else W).tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]
    y = W @ np.arange(9)
    assert y.tolist() == [27, 37, 57, 67]
    assert (W.T @ y).tolist() == [27, 91, 74, 138, 400, 282, 171, 429, 268]


@BOTH
@pytest.mark.parametrize(
    ("stride", "padding", "side", "expected"),
    [
        (1, 0, 3, [[0, 0, 1], [0, 4, 6], [4, 12, 9]]),
        (2, 0, 4, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]),
        (1, 1, 1, [[4]]),
    ],
)
def test_numbers_of_transposed_convolution(sparse, stride, padding, side, expected):
    k = np.array([[0, 1], [2, 3]])
    W = matrix(k[None, None], (1, side, side), stride, padding, sparse=sparse)
    assert (W.T @ k.ravel()).reshape(side, side).tolist() == expected


@BOTH
def test_numbers_of_channels(sparse):
    x = np.array([[[0, 1], [2, 3]], [[0, 2], [4, 6]]])
    w = np.array([np.ones((1, 2, 2)), np.full((1, 2, 2), 0.5)])
    y = matrix(w, (1, 4, 4), stride=2, sparse=sparse).T @ x.ravel()
    assert y.reshape(4, 4).tolist() == [[0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6], [4, 4, 6, 6]]


# ---- the functions ----


@st.composite
def convolutions(draw):
    """Shapes of one sample and of a weight, and options; padding for either side of each axis."""
    rank = draw(st.integers(1, 3))
    most = (5, 3, 2)[rank - 1]
    kernel, dilation = (draw(strategies.integers(rank, 1, most)) for _ in range(2))
    stride = draw(strategies.integers(rank, 1, 3))
    padding = tuple(draw(strategies.integers(2, -2, 3)) for _ in range(rank))
    least = [
        max(1, d * (k - 1) + 1 - sum(p)) for d, k, p in zip(dilation, kernel, padding, strict=True)
    ]
    lengths = tuple(draw(st.integers(low, low + most)) for low in least)
    groups, outs, ins = (draw(st.integers(1, 3)) for _ in range(3))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (groups * ins, *lengths), (groups * outs, ins, *kernel), options


def output_padding(lengths, kernel, options):
    """What the convolution leaves over at the end of each axis."""
    o = (options[name] for name in ("stride", "padding", "dilation"))
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) % s
        for n, k, s, p, d in zip(lengths, kernel, *o, strict=True)
    )


@settings(max_examples=200)
@given(convolutions())
def test_is_the_convolution_and_its_transpose(drawn):
    x_shape, w_shape, options = drawn
    rng, rank = np.random.default_rng(71), len(w_shape) - 2
    x, w = integers(rng, x_shape, "float64"), integers(rng, w_shape, "float64")
    W = tconv.conv_matrix(w, x.shape, **options)
    y = getattr(tconv, f"conv{rank}d")(x, w, **options)
    assert_same(W @ x.ravel(), y.ravel())
    y = integers(rng, y.shape, "float64")
    gx = getattr(tconv.grad, f"conv{rank}d_input")(x.shape, w, y, **options)
    assert_same(W.T @ y.ravel(), gx.ravel())
    extra = output_padding(x.shape[1:], w.shape[2:], options)
    transposed = getattr(tconv, f"conv_transpose{rank}d")
    assert_same(transposed(y, w, **options, output_padding=extra), gx)


@settings(max_examples=100)
@given(convolutions(), st.sampled_from(["int64", "uint8", "float32", "complex128"]))
def test_sparse_is_dense(drawn, dtype):
    pytest.importorskip("scipy")
    x_shape, w_shape, options = drawn
    w = np.arange(1, np.prod(w_shape) + 1).reshape(w_shape).astype(dtype)
    dense = tconv.conv_matrix(w, x_shape, **options)
    csr = tconv.conv_matrix(w, x_shape, **options, sparse=True)
    assert csr.format == "csr"
    assert csr.has_canonical_format
    assert_same(csr.toarray(), dense)
    assert csr.nnz == np.count_nonzero(tconv.conv_matrix(np.ones(w_shape), x_shape, **options))


@settings(max_examples=50)
@given(convolutions())
def test_is_the_readable_one(drawn):
    x_shape, w_shape, options = drawn
    options["padding"] = tuple(max(0, *sides) for sides in options["padding"])
    w = np.arange(1, np.prod(w_shape) + 1).reshape(w_shape)
    expected = tconv.reference.conv_matrix(w, x_shape, **options)
    assert_same(tconv.conv_matrix(w, x_shape, **options), expected)


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("padding", ("valid", "same", "same_lower"))
def test_padding_by_rule(rank, padding, rng):
    x = integers(rng, (2, 7, 6, 5)[: rank + 1], "float64")
    w = integers(rng, (3, 2, 4, 3, 2)[: rank + 2], "float64")
    for stride in (1, 2):
        W = tconv.conv_matrix(w, x.shape, stride, padding)
        y = getattr(tconv, f"conv{rank}d")(x, w, None, stride, padding)
        assert_same(W @ x.ravel(), y.ravel())


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_is_torchs_too(rank, rng):
    torch = pytest.importorskip("torch")
    x = integers(rng, (4, *(7, 6, 5)[:rank]), "float64")
    w = integers(rng, (6, 2, *(3, 2, 3)[:rank]), "float64")
    options = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    W = tconv.conv_matrix(w, x.shape, **options)
    function = getattr(torch.nn.functional, f"conv{rank}d")
    leaf = torch.from_numpy(x).requires_grad_()
    y = function(leaf, torch.from_numpy(w), **options)
    assert_same(W @ x.ravel(), y.detach().numpy().ravel())
    gy = integers(rng, tuple(y.shape), "float64")
    y.backward(torch.from_numpy(gy))
    assert_same(W.T @ gy.ravel(), leaf.grad.numpy().ravel())


# ---- what is taken ----


def test_a_large_one_is_never_dense(rng):
    """10 billion places, 80 GB, of which 0.9 million have an entry."""
    pytest.importorskip("scipy")
    x, w = integers(rng, (1, 200, 500), "float64"), integers(rng, (1, 1, 3, 3), "float64")
    W = tconv.conv_matrix(w, x.shape, padding=1, sparse=True)
    assert W.shape == (100_000, 100_000)
    assert W.nnz == (3 * 200 - 2) * (3 * 500 - 2)
    assert_same(W @ x.ravel(), tconv.conv2d(x, w, padding=1).ravel())


@BOTH
def test_takes_any_strides_bytes_and_sequences(sparse):
    w = np.arange(1, 13, dtype="float32").reshape(2, 2, 3)
    expected = matrix(w, (2, 5), (2,), [1], sparse=sparse)
    expected = expected.toarray() if sparse else expected
    for same in (
        np.asfortranarray(w),
        np.repeat(w, 2, axis=2)[..., ::2],
        w[..., ::-1].copy()[..., ::-1],
        w.astype(">f4"),
    ):
        result = matrix(same, np.array([2, 5]), np.int64(2), 1, sparse=sparse)
        assert result.dtype.isnative
        assert_same(result.toarray() if sparse else result, expected)
    result = matrix(w.tolist(), [2, 5], 2, ((1, 1),), sparse=sparse)
    assert_same(result.toarray() if sparse else result, expected.astype(float))


def test_takes_objects():
    big = 10**30
    W = tconv.conv_matrix(np.array([[[big, 1]]], object), (1, 3))
    assert (W @ np.array([1, 2, 3])).tolist() == [big + 2, 2 * big + 3]


def test_entries_are_there_where_the_weight_is_zero():
    pytest.importorskip("scipy")
    assert tconv.conv_matrix(np.zeros((1, 1, 2)), (1, 4), sparse=True).nnz == 6


def test_a_window_in_the_padding_is_a_row_of_zeros():
    W = tconv.conv_matrix([[[1, 2]]], (1, 1), padding=2)
    assert W.tolist() == [[0], [2], [1], [0]]


# ---- refusals ----

W4 = np.ones((4, 2, 3, 3), "f")

ROWS = {
    "weight None": (None, (2, 5), {}, TypeError, "weight must be an array, got None"),
    "weight of text": ([[["a"]]], (1, 5), {}, TypeError, "weight must be numbers, got dtype <U1"),
    "weight ragged": ([[1], [1, 2]], (1, 5), {}, TypeError, "weight, of type list, cannot be read"),
    "weight masked": (
        np.ma.masked_equal(W4, 1),
        (2, 5, 5),
        {},
        TypeError,
        "its mask would be lost; pass weight.filled(value)",
    ),
    "weight 2-d": (
        W4[0, 0],
        (2, 3),
        {},
        ValueError,
        "weight must have 3 to 5 dimensions (out, in/groups, *kernel), got 2. Got weight (3, 3).",
    ),
    "weight empty": (W4[:0], (2, 5, 5), {}, ValueError, "weight must not have an axis of length 0"),
    "a batch": (
        W4,
        (1, 2, 5, 5),
        {},
        ValueError,
        "input_shape must have 3 numbers, those of one sample (channels, *spatial), got 4. "
        "Got input (1, 2, 5, 5), weight (4, 2, 3, 3).",
    ),
    "an int": (W4, 5, {}, TypeError, "input_shape must be a sequence of ints, got 5"),
    "real lengths": (W4, (2, 5, 5.0), {}, TypeError, "input_shape must be"),
    "negative length": (W4, (2, 5, -5), {}, ValueError, "input_shape must not be negative, got -5"),
    "channels": (
        W4,
        (3, 5, 5),
        {},
        ValueError,
        "input has 3 channels, but weight expects 2. "
        "Got input (3, 5, 5) [CHW], weight (4, 2, 3, 3) [out, in/groups, kH, kW], groups=1.",
    ),
    "groups": (
        W4,
        (6, 5, 5),
        {"groups": 3},
        ValueError,
        "output channels must be divisible by groups, got 4 and 3.",
    ),
    "too small": (W4, (2, 5, 2), {}, ValueError, "the kernel does not fit in the padded input"),
    "stride": (W4, (2, 5, 5), {"stride": 0}, ValueError, "stride must be >= 1 (axis 0), got 0."),
    "real stride": (W4, (2, 5, 5), {"stride": 1.5}, TypeError, "stride must be an int or a seq"),
    "padding": (W4, (2, 5, 5), {"padding": "some"}, ValueError, "padding must be numbers, 'valid'"),
    "dense, too big": (
        np.ones((1, 1, 1)),
        (1, 2**33),
        {},
        MemoryError,
        "W of shape (8589934592, 8589934592) and dtype float64 does not fit in memory; "
        "sparse=True takes memory for its entries alone",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_refusals(row):
    weight, shape, options, exception, text = ROWS[row]
    with pytest.raises(exception) as caught:
        tconv.conv_matrix(weight, shape, **options)
    assert str(caught.value).startswith("conv_matrix: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "object"])
def test_dtypes_that_scipy_does_not_have(dtype):
    pytest.importorskip("scipy")
    with pytest.raises(TypeError, match=f"conv_matrix: SciPy has no sparse array of dtype {dtype}"):
        tconv.conv_matrix(W4.astype(dtype), (2, 5, 5), sparse=True)


def test_without_scipy(monkeypatch):
    def without(name, *arguments, imported=builtins.__import__):
        if name.split(".")[0] == "scipy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    assert tconv.conv_matrix(W4, (2, 3, 3)).shape == (4, 18)
    text = r"^conv_matrix: .*pip install 'tconv\[sparse\]'"
    with pytest.raises(ImportError, match=text) as caught:
        tconv.conv_matrix(W4, (2, 3, 3), sparse=True)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
