"""tconv.functional: the documents' numbers, torch, the reference, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from support import assert_same, integers

import tconv
from tconv import functional

K = np.array([[0, 1], [2, 3]])


# ---- the documents' numbers ----


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (1, [[0, 0, 1], [0, 4, 6], [4, 12, 9]]),
        (2, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]),
    ],
)
def test_numbers_of_one_channel(stride, expected):
    assert functional.conv_transpose2d(K[None], K[None, None], stride)[0].tolist() == expected


def test_numbers_of_padding():
    ones = np.ones((1, 1, 3, 3), int)
    whole = functional.conv_transpose2d(ones, ones)[0, 0]
    row = np.array([1, 2, 3, 2, 1])
    assert whole.tolist() == np.outer(row, row).tolist()
    cropped = functional.conv_transpose2d(ones, ones, padding=(2, 1))
    assert cropped.tolist() == [[[[6, 9, 6]]]]


def test_numbers_of_channels():
    x = np.array([[[0, 1], [2, 3]], [[0, 2], [4, 6]]])
    w = np.array([np.ones((1, 2, 2)), np.full((1, 2, 2), 0.5)])
    expected = [[0, 0, 2, 2], [0, 0, 2, 2], [4, 4, 6, 6], [4, 4, 6, 6]]
    assert functional.conv_transpose2d(x, w, stride=2)[0].tolist() == expected


def test_numbers_of_the_matrix():
    w = np.array([[[[1, 2], [3, 4]]]])
    y = functional.conv2d_minimal(np.arange(9).reshape(1, 3, 3), w)
    assert y.tolist() == [[[27, 37], [57, 67]]]
    expected = [[27, 91, 74], [138, 400, 282], [171, 429, 268]]
    assert functional.conv_transpose2d(y, w)[0].tolist() == expected


def test_numbers_of_windows():
    x = np.arange(9).reshape(3, 3)
    view = functional.windows(x, (2, 2))
    assert np.shares_memory(view, x)
    assert not view.flags.writeable
    for offset, window in zip((0, 1, 3, 4), view.reshape(4, 2, 2), strict=True):
        corner = np.lib.stride_tricks.as_strided(
            x.ravel()[offset:], (2, 2), (3 * x.itemsize, x.itemsize)
        )
        assert window.tolist() == corner.tolist()


def test_numbers_of_fractional_strides():
    x = [[[1, 2, 3], [4, 5, 6]]]
    assert functional.fractional_stride_1d(x, 2).tolist() == [[[1, 0, 2, 0, 3], [4, 0, 5, 0, 6]]]
    by_axis = functional.fractional_stride_2d(x, 2, 1)
    assert by_axis.tolist() == [[[1, 2, 3], [0, 0, 0], [4, 5, 6]]]


def test_restores_the_shape_of_a_convolution(rng):
    x = functional.pad2d(integers(rng, (1, 10, 16, 16), "int64"), 2, 2, 2, 2)
    w = integers(rng, (20, 10, 5, 5), "int64")
    y = functional.conv2d_minimal(x, w, stride=3)
    assert functional.conv_transpose2d(y, w, stride=3, padding=2).shape == (1, 10, 16, 16)


# ---- padding and spacing out ----


@pytest.mark.parametrize("n", (0, 1, 3))
def test_padding_is_what_it_says(n):
    """Place u holds element u - left, where there is one."""
    x = np.arange(1, n + 1)
    for left in range(-5, 5):
        for right in range(max(-5, -n - left), 5):
            expected = [x[u - left] if 0 <= u - left < n else 9 for u in range(left + n + right)]
            result = functional.pad1d(x, left, right, 9)
            assert result.tolist() == expected
            assert not np.shares_memory(result, x)


@pytest.mark.parametrize("sides", [(0, 0, 0, 0), (1, 2, 3, 0), (-1, 2, 0, -2), (-1, -1, -1, -1)])
@pytest.mark.parametrize("before", [(), (3,), (2, 3), (0, 3)])
def test_pad2d_is_torchs(sides, before, rng):
    torch = pytest.importorskip("torch")
    x = integers(rng, (*before, 4, 5), "float32")
    expected = torch.nn.functional.pad(torch.from_numpy(x), sides, value=0.5).numpy()
    assert_same(functional.pad2d(x, *sides, 0.5), expected)


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "complex64", "object", "U2"])
def test_dtypes_stay(dtype):
    x = np.array([[1, 0], [1, 1]]).astype(dtype)
    zero = np.zeros((), dtype)[()]
    for result in (functional.pad1d(x, 1, 0, zero), functional.fractional_stride_2d(x, 2, 3)):
        assert result.dtype == x.dtype
        assert (result == zero).any()
    assert_same(functional.fractional_stride_2d(x, 2, 3)[::2, ::3], x)


def test_spacing_out_copies_and_keeps_nothing_to_space(rng):
    x = integers(rng, (2, 3, 4), "int64")
    for same in (functional.fractional_stride_1d(x, 1), functional.pad1d(x, 0, 0)):
        assert_same(same, x)
        assert not np.shares_memory(same, x)
    assert functional.fractional_stride_1d(np.ones((2, 0)), 3).shape == (2, 0)
    assert functional.fractional_stride_1d(np.ones((0, 2)), 3).shape == (0, 4)
    whole = functional.space_out(x[..., None], 2)
    assert_same(whole, functional.fractional_stride_2d(x[..., None], 2, 2))


def test_force_pair():
    assert functional.force_pair(3) == (3, 3)
    assert functional.force_pair((3, 1)) == (3, 1)
    assert functional.force_pair([3]) == (3, 3)
    assert functional.force_pair(np.array([3, 1])) == (3, 1)
    assert functional.force_pair("same") == ("same", "same")


# ---- convolution ----

BATCHES = pytest.mark.parametrize("batch", [(), (0,), (1,), (3,)], ids=str)


def arrays(rng, batch, rank, channels, weight_channels):
    """An input that lies reversed in memory, and a weight."""
    x = integers(rng, (*batch, channels, *(9, 8)[:rank]), "int64")[..., ::-1]
    return x, integers(rng, (*weight_channels, *(3, 2)[:rank]), "int64")


@BATCHES
@pytest.mark.parametrize("rank", (1, 2))
@pytest.mark.parametrize("stride", (1, 2, 3))
def test_convolution(batch, rank, stride, rng):
    x, w = arrays(rng, batch, rank, 4, (5, 4))
    result = getattr(functional, f"conv{rank}d_minimal")(x, w, stride)
    assert_same(result, tconv.reference.conv(x, w, stride=stride))
    assert not np.shares_memory(result, x)
    fast = getattr(tconv, f"conv{rank}d")
    assert_same(result.astype(float), fast(x.astype(float), w.astype(float), stride=stride))


@BATCHES
@pytest.mark.parametrize("rank", (1, 2))
@pytest.mark.parametrize("stride", (1, 2, 4))
@pytest.mark.parametrize("padding", (0, 1, 2, 3))
def test_transposed_convolution(batch, rank, stride, padding, rng):
    """Padding of k and more crops inputs too."""
    x, w = arrays(rng, batch, rank, 4, (4, 5))
    result = getattr(functional, f"conv_transpose{rank}d")(x, w, stride, padding)
    options = {"stride": stride, "padding": padding}
    assert_same(result, tconv.reference.conv_transpose(x, w, **options))
    lengths = zip(x.shape[-rank:], w.shape[2:], strict=True)
    assert result.shape[-rank:] == tuple((n - 1) * stride + k - 2 * padding for n, k in lengths)
    fast = getattr(tconv, f"conv_transpose{rank}d")
    assert_same(result.astype(float), fast(x.astype(float), w.astype(float), **options))


@BATCHES
def test_minimal_transposed_convolution(batch, rng):
    x, w = arrays(rng, batch, 1, 4, (4, 5))
    result = functional.conv_transpose1d_minimal(x, w)
    assert_same(result, tconv.reference.conv_transpose(x, w))


@pytest.mark.parametrize("stride, padding", [((2, 3), (1, 0)), ((1, 2), 1), ([3], (0, 2))])
def test_a_number_for_each_axis(stride, padding, rng):
    x, w = arrays(rng, (2,), 2, 4, (4, 5))
    options = {"stride": stride, "padding": padding}
    expected = tconv.reference.conv_transpose(x, w, **options)
    assert_same(functional.conv_transpose2d(x, w, **options), expected)
    swapped = w.swapaxes(0, 1)
    expected = tconv.reference.conv(x, swapped, stride=stride)
    assert_same(functional.conv2d_minimal(x, swapped, stride), expected)


def test_is_torchs(rng):
    torch = pytest.importorskip("torch")
    x, w = (a.astype(float) for a in arrays(rng, (2,), 2, 4, (4, 5)))
    expected = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(x.copy()), torch.from_numpy(w), stride=(2, 3), padding=1
    )
    assert_same(functional.conv_transpose2d(x, w, (2, 3), 1), expected.numpy())


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "complex64", "object"])
def test_dtypes_of_convolution(dtype):
    x, w = np.array([[1, 2, 3]]).astype(dtype), np.array([[[1, 2]]]).astype(dtype)
    assert_same(functional.conv1d_minimal(x, w), np.array([[5, 8]]).astype(dtype))
    expected = np.array([[1, 2, 2, 4, 3, 6]]).astype(dtype)
    assert_same(functional.conv_transpose1d(x, w, 2), expected)


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_more_output_padding_than_stride(rank):
    """The spaced-out way crops and pads at one end: fractions of the input are out of reach."""
    x, w = np.ones((2, *(1,) * rank), int), np.ones((2, 3, *(1,) * rank), int)
    options = {"stride": 5, "padding": 2, "output_padding": 4}
    expected = tconv.reference.conv_transpose(x, w, **options)
    for way in (tconv.reference.conv_transpose_spaced, tconv.reference.conv_transpose_matrix):
        assert_same(way(x, w, **options), expected)
        assert_same(way(x[None][:0], w, **options), expected[None][:0])


# ---- refusals ----

X, W = np.ones((2, 3, 5), int), np.ones((4, 3, 2), int)

REFUSALS = {
    "pad1d crops too much": (
        lambda: functional.pad1d(X, -3, -3),
        ValueError,
        "padding by [(-3, -3)] crops more than there is. Got x (2, 3, 5)",
    ),
    "pad1d by parts": (lambda: functional.pad1d(X, 1.5, 0), TypeError, "padding must be ints"),
    "pad1d of a number": (lambda: functional.pad1d(3, 1, 1), ValueError, "at least 1 dimensions"),
    "pad2d of a row": (lambda: functional.pad2d([3], 1, 1, 1, 1), ValueError, "at least 2 dim"),
    "force_pair of three": (
        lambda: functional.force_pair((1, 2, 3)),
        ValueError,
        "force_pair: value must be one value or 2, one an axis, got (1, 2, 3)",
    ),
    "stride 0": (
        lambda: functional.fractional_stride_1d(X, 0),
        ValueError,
        "stride must be >= 1, got 0",
    ),
    "stride -1": (
        lambda: functional.windows(X, [7], -1),
        ValueError,
        "stride must be >= 1, got -1",
    ),
    "stride 1.5": (
        lambda: functional.fractional_stride_2d(X, 1, 1.5),
        TypeError,
        "stride must be ints: 'float'",
    ),
    "two strides for one axis": (
        lambda: functional.conv1d_minimal(X, W, (1, 2)),
        ValueError,
        "stride must be one value or 1, one an axis, got (1, 2)",
    ),
    "three paddings for two axes": (
        lambda: functional.conv_transpose2d(X, np.ones((2, 1, 1, 1)), 1, (0, 0, 1)),
        ValueError,
        "padding must be one value or 2, one an axis, got (0, 0, 1)",
    ),
    "dilation 0": (
        lambda: functional.windows(X, [2], 1, 0),
        ValueError,
        "dilation must be >= 1, got 0",
    ),
    "kernel 0": (lambda: functional.windows(X, [0]), ValueError, "lengths must be >= 1, got 0"),
    "kernel too long": (
        lambda: functional.conv1d_minimal(X[..., :1], W),
        ValueError,
        "a window covers [2], more than [1]. Got x (2, 3, 1)",
    ),
    "channels": (
        lambda: functional.conv1d_minimal(X[:, :2], W),
        ValueError,
        "input must have 3 channels before 1 spatial axes. "
        "Got input (2, 2, 5), kernel (4, 3, 2) [out, in, *kernel]",
    ),
    "channels of the transposed": (
        lambda: functional.conv_transpose1d(X, W),
        ValueError,
        "input must have 4 channels",
    ),
    "no channels": (lambda: functional.conv1d_minimal(X[0, 0], W), ValueError, "must have 3 chan"),
    "weight of the other rank": (
        lambda: functional.conv_transpose2d(X, W),
        ValueError,
        "weight must have two axes of channels and 2 of a kernel. Got weight (4, 3, 2)",
    ),
    "weight empty": (
        lambda: functional.conv_transpose1d_minimal(X, W[..., :0]),
        ValueError,
        "Got weight (4, 3, 0)",
    ),
    "nothing to transpose": (
        lambda: functional.conv_transpose1d(X[..., :0], W.swapaxes(0, 1)),
        ValueError,
        "input must not have a spatial axis of length 0. Got input (2, 3, 0)",
    ),
    "no output left": (
        lambda: functional.conv_transpose1d(X, W.swapaxes(0, 1), padding=3),
        ValueError,
        "more than",
    ),
}


@pytest.mark.parametrize("row", REFUSALS)
def test_refusals(row):
    call, exception, text = REFUSALS[row]
    with pytest.raises(exception) as caught:
        call()
    assert text in str(caught.value)


# ---- import ----


def test_is_imported_when_asked_for():
    code = (
        "import sys, tconv; early = {'tconv.functional', 'scipy'} & set(sys.modules); "
        "print(early, tconv.functional.force_pair(1), 'functional' in dir(tconv))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "set() (1, 1) True"
