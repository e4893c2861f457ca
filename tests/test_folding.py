"""unfold, fold and overlap_add: against the definition and torch, exactly; texts of refusals.

Both are convolutions with a kernel of ones and zeros that has an output for each of its elements,
so `tconv.reference` defines them; integers are compared.
"""

from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import convolution_axes, strided
from support import assert_same, assert_trusted, integers
from test_layout import names
from test_padding import crop, same_sides, zero_pad

import tconv

# ---- the definition ----


def picking(c, kernel):
    """The weight that copies each element under the kernel to a channel of its own."""
    return np.eye(c * prod(kernel), dtype=np.int64).reshape(-1, c, *kernel)


def columns_of(x, kernel, sides, stride, dilation):
    """`unfold` of (N, C, *spatial) by the definition of a convolution."""
    windows = tconv.reference.conv(
        zero_pad(x, sides), picking(x.shape[1], kernel), stride=stride, dilation=dilation
    )
    return windows.reshape(*windows.shape[:2], prod(windows.shape[2:]))


def image_of(columns, lengths, kernel, sides, stride, dilation):
    """`fold` of (N, C*prod(kernel), L) by the definition of the gradient of a convolution."""
    c = columns.shape[1] // prod(kernel)
    padded = [n + sum(pair) for n, pair in zip(lengths, sides, strict=True)]
    small = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded, kernel, stride, dilation, strict=True)
    ]
    whole = tconv.reference.conv_input(
        (len(columns), c, *padded),
        picking(c, kernel),
        columns.reshape(*columns.shape[:2], *small),
        stride=stride,
        dilation=dilation,
    )
    return crop(whole, sides)


@st.composite
def foldings(draw):
    """A shape, and options, with the padding as pairs and as what may be passed for them."""
    rank = draw(st.integers(1, 3))
    lengths, kernel, options = draw(convolution_axes(rank))
    stride = tuple(s * draw(st.sampled_from((1, 1, 5))) for s in options["stride"])
    sides = tuple((p, p) for p in options["padding"])
    padding = draw(st.sampled_from(("numbers", "pairs", "same", "same_lower")))
    if padding == "numbers":
        padding = options["padding"]
    elif padding == "pairs":
        reach = st.integers(-4, 4)
        padding = sides = tuple((p + draw(reach), p + draw(reach)) for p, _ in sides)
        spans = (d * (k - 1) + 1 for k, d in zip(kernel, options["dilation"], strict=True))
        room = (n + sum(pair) for n, pair in zip(lengths, sides, strict=True))
        assume(all(n >= span for n, span in zip(room, spans, strict=True)))
    else:
        op, lower = f"conv{rank}d", padding == "same_lower"
        sides, _ = same_sides(op, lengths, kernel, stride, options["dilation"], lower)
    shape = (draw(st.integers(0, 3)), draw(st.integers(1, 3)), *lengths)
    return shape, kernel, sides, {**options, "stride": stride, "padding": padding}


@settings(max_examples=400)
@given(foldings(), st.booleans(), st.booleans(), st.data())
def test_by_definition(drawn, image_last, columns_last, data):
    """Any options, order of axes and strides; and <unfold(x), c> = <x, fold(c)>."""
    (n, c, *lengths), kernel, sides, options = drawn
    rank, rng = len(kernel), np.random.default_rng(5)
    x = integers(rng, (n, c, *lengths), np.int64)
    expected = columns_of(x, kernel, sides, options["stride"], options["dilation"])
    gc = integers(rng, expected.shape, np.int64)
    gx = image_of(gc, lengths, kernel, sides, options["stride"], options["dilation"])
    of_image, of_columns = names(rank, True)[image_last], names(rank, True)[columns_last]

    def ordered(array, last):
        return data.draw(strided(np.moveaxis(array, 1, -1) if last else array))

    def first(array, last):
        assert array.flags.c_contiguous
        return np.moveaxis(array, -1, 1) if last else array

    columns = tconv.unfold(
        ordered(x, image_last), kernel, **options, layout=f"{of_image}->{of_columns}"
    )
    assert_same(first(columns, columns_last), expected)
    image = tconv.fold(
        ordered(gc, columns_last), lengths, kernel, **options, layout=f"{of_columns}->{of_image}"
    )
    assert_same(first(image, image_last), gx)
    assert np.sum(first(columns, columns_last) * gc) == np.sum(x * first(image, image_last))


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("last", (False, True))
def test_without_a_batch(rank, last, rng):
    single, batch = (names(rank, batched)[last] if last else None for batched in (False, True))
    shape = (*(7, 6, 5)[:rank], 2) if last else (2, *(7, 6, 5)[:rank])
    x, kernel = integers(rng, shape, "float32"), (3, 2, 2)[:rank]
    columns = tconv.unfold(x, kernel, padding=1, stride=2, layout=single)
    whole = tconv.unfold(x[None], kernel, padding=1, stride=2, layout=batch)
    assert_same(columns, whole[0])
    size = shape[:-1] if last else shape[1:]
    image = tconv.fold(columns, size, kernel, padding=1, stride=2, layout=single)
    assert_same(image, tconv.fold(whole, size, kernel, padding=1, stride=2, layout=batch)[0])


def test_numbers_by_hand():
    x = np.arange(1, 10).reshape(1, 1, 3, 3)
    columns = [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]
    assert_same(tconv.unfold(x, 2), np.array([columns]))
    times = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert_same(tconv.fold([columns], (3, 3), 2), (x * times))
    last = tconv.unfold(x.reshape(1, 3, 3, 1), 2, layout="NHWC")
    assert_same(last, np.array([columns]).swapaxes(1, 2))


# ---- the rank ----


def test_what_says_the_rank(rng):
    x = integers(rng, (2, 4, 6), "float64")
    one = tconv.unfold(x, (2,))
    assert one.shape == (2, 8, 5)
    assert_same(tconv.unfold(x, 2), one)
    assert_same(tconv.unfold(x, 2, layout="NCL"), one)
    two = tconv.unfold(x, (2, 2))
    assert two.shape == (8, 15)
    assert_same(tconv.unfold(x, 2, layout="CHW"), two)
    assert_same(tconv.unfold(x[None], 2)[0], two)
    assert_same(tconv.unfold(x, [2, 2], (1,), np.array([0]), stride=np.int64(1)), two)
    image = tconv.fold(two, (4, 6), 2)
    assert image.shape == (2, 4, 6)
    for size, kernel, layout in (
        ([4, 6], (2, 2), None),
        (np.array([4, 6]), 2, None),
        ((4, 6), 2, "CHW"),
    ):
        assert_same(tconv.fold(two, size, kernel, layout=layout), image)
    square = tconv.unfold(x[:, :, :4], (2, 2))
    assert_same(tconv.fold(square, 4, (2, 2)), tconv.fold(square, (4, 4), 2))
    assert_same(tconv.fold(square, 4, 2, layout="CHW"), tconv.fold(square, (4, 4), 2))
    assert_same(tconv.fold(one, 6, (2,)), tconv.fold(one, (6,), 2))


# ---- the same as other functions ----


TORCH = (
    ((2, 3, 9, 8), 3, {}),
    ((2, 3, 9, 8), (3, 2), {"padding": 1}),
    ((3, 9, 8), (2, 3), {"padding": (2, 1), "stride": (3, 2)}),
    ((0, 3, 9, 8), 3, {"dilation": 2}),
    ((1, 2, 12, 11), (4, 3), {"dilation": (2, 3), "padding": (3, 4), "stride": (1, 2)}),
    ((2, 2, 40, 36), 16, {"stride": 16, "padding": (4, 6)}),
    ((1, 1, 2, 2), 1, {"padding": 3, "stride": 2}),
)


@pytest.mark.parametrize("shape, kernel, options", TORCH)
@pytest.mark.parametrize("dtype", ("float32", "float64", "complex64"))
def test_parity_with_torch(shape, kernel, options, dtype, rng):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = integers(rng, shape, dtype)
    named = (kernel, kernel) if len(shape) == 3 and isinstance(kernel, int) else kernel
    columns = tconv.unfold(x, named, **options)
    expected = functional.unfold(torch.from_numpy(x), kernel, **options)
    assert_same(columns, expected.numpy())
    gc = integers(rng, columns.shape, dtype)
    expected = functional.fold(torch.from_numpy(gc), shape[-2:], kernel, **options)
    assert_same(tconv.fold(gc, shape[-2:], kernel, **options), expected.numpy())
    tensor = torch.from_numpy(x)
    assert_same(tconv.unfold(tensor, named, **options), columns)


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("last", (False, True))
def test_convolutions_are_products(rank, last, rng):
    """The same flattened weight for both orders of axes."""
    layout, options = names(rank, True)[last], {"stride": 2, "padding": 1, "dilation": 2}
    spatial = (9, 8, 7)[:rank]
    x = integers(rng, (2, *spatial, 3) if last else (2, 3, *spatial), "float32")
    w = integers(rng, (4, 3, *(3, 2, 3)[:rank]), "float32")
    y = getattr(tconv, f"conv{rank}d")(x, w, **options, layout=layout)
    flat = w.reshape(4, -1)
    columns = tconv.unfold(x, w.shape[2:], **options, layout=layout)
    product = columns @ flat.T if last else flat @ columns
    assert_same(product.reshape(y.shape), y)
    assert_trusted(y)
    small = y.reshape(2, -1, 4) if last else y.reshape(2, 4, -1)
    columns = small @ flat if last else flat.T @ small
    image = tconv.fold(columns, spatial, w.shape[2:], **options, layout=layout)
    gradient = getattr(tconv.grad, f"conv{rank}d_input")(x.shape, w, y, **options, layout=layout)
    assert_same(image, gradient)


@pytest.mark.parametrize("stride, dilation", ((1, 1), (2, 1), (3, 2), (9, 1), (16, 2), (20, 1)))
@pytest.mark.parametrize("padding", (0, 3, 30))
def test_divisors(stride, dilation, padding, rng):
    """How often the kernel meets each element, by counting."""
    n, k = 57, 12
    options = {"stride": stride, "dilation": dilation, "padding": padding}
    count = np.zeros(n, int)
    for begin in range(-padding, n + padding - dilation * (k - 1), stride):
        met = begin + dilation * np.arange(k)
        count[met[(met >= 0) & (met < n)]] += 1
    divisor = tconv.fold(tconv.unfold(np.ones((1, 1, n), int), k, **options), (n,), k, **options)
    assert_same(divisor[0, 0], count)
    x = integers(rng, (2, 3, n), int)
    again = tconv.fold(tconv.unfold(x, k, **options), (n,), k, **options)
    assert_same(again, x * divisor)


# ---- dtypes ----


NUMBERS = "?bBhHiIlLqQefdgFDG"


@pytest.mark.parametrize("code", [*NUMBERS, ">f4", "<i2", "m8[s]", "O"])
def test_dtypes(code, rng):
    dtype = np.dtype(code)
    x = rng.integers(0, 3, (2, 3, 8)).astype(dtype)
    columns = tconv.unfold(x, 3, padding=1, stride=2)
    assert_same(columns[:, :, 1], x[:, :, 1:4].reshape(2, 9).astype(dtype.newbyteorder("=")))
    image = tconv.fold(columns, (8,), 3, padding=1, stride=2)
    expected = x.astype(dtype.newbyteorder("="))
    expected[..., 1:7:2] += expected[..., 1:7:2]
    assert_same(image, expected)


@pytest.mark.parametrize("code", ("U3", "S2", "M8[D]", "V4", "f4, i8"))
def test_unfold_copies_what_cannot_be_added(code):
    dtype = np.dtype(code)
    raw = np.arange(8 * dtype.itemsize, dtype=np.uint8)
    x = raw.view(dtype) if dtype.kind == "V" else np.arange(8).astype(dtype)
    columns = tconv.unfold(x[None], (3,), padding=1)
    assert columns.dtype == dtype
    assert np.array_equal(columns[1], x)
    assert columns[0, 0] == np.zeros((), dtype)
    with pytest.raises(TypeError, match=r"fold: input has dtype .+ which cannot be added up"):
        tconv.fold(columns, (8,), 3, padding=1)
    with pytest.raises(TypeError, match=r"overlap_add: frames has dtype .+ which cannot"):
        tconv.overlap_add(columns, 1)


def test_integers_wrap_around():
    assert_same(
        tconv.fold(np.full((1, 2, 3), 200, np.uint8), (4,), 2),
        np.array([[[200, 144, 144, 200]]], np.uint8),
    )


def test_inputs_stay_as_they_are(rng):
    x = integers(rng, (2, 3, 8), "float32")
    before = x.copy()
    x.flags.writeable = False
    columns = tconv.unfold(x, 1)
    assert not np.shares_memory(columns, x)
    frames = tconv.unfold(x, 4)
    frames.flags.writeable = False
    tconv.fold(frames, (8,), 4)
    tconv.overlap_add(frames, 2, np.ones(12, "f"))
    assert np.array_equal(x, before)


def test_not_a_number_goes_where_it_belongs():
    x = np.array([[1, 2, np.nan, 4, 5]])
    columns = tconv.unfold(x, (3,), padding=1)
    assert np.argwhere(np.isnan(columns)).tolist() == [[0, 3], [1, 2], [2, 1]]
    again = tconv.fold(columns, (5,), 3, padding=1)
    assert np.argwhere(np.isnan(again)).tolist() == [[0, 2]]


# ---- overlap_add ----


@pytest.mark.parametrize("length, hop", ((1, 1), (4, 2), (6, 2), (5, 2), (7, 3), (3, 5), (16, 1)))
@pytest.mark.parametrize("count", (1, 2, 9))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_overlap_add(length, hop, count, dtype, rng):
    """A loop over frames, and the transposed convolution with a diagonal weight."""
    frames, window = (integers(rng, s, dtype) for s in ((3, length, count), (length,)))
    expected = np.zeros((3, (count - 1) * hop + length), dtype)
    for t in range(count):
        expected[:, t * hop : t * hop + length] += frames[:, :, t] * window
    assert_same(tconv.overlap_add(frames, hop, window), expected)
    diagonal = np.diag(window)[:, None]
    assert_same(tconv.conv_transpose1d(frames, diagonal, stride=hop)[:, 0], expected)
    plain = tconv.overlap_add(frames, hop)
    identity = np.eye(length, dtype=dtype)[:, None]
    assert_same(plain, tconv.conv_transpose1d(frames, identity, stride=hop)[:, 0])
    assert_same(plain, tconv.fold(frames, plain.shape[1:], length, stride=hop)[:, 0])
    other = np.ascontiguousarray(frames.swapaxes(-1, -2))
    assert_same(tconv.overlap_add(other.swapaxes(-1, -2), hop, window), expected)


@pytest.mark.parametrize("batch", ((), (2,), (2, 3), (0,), (2, 0, 3), (1, 2, 3, 1)))
def test_overlap_add_of_batches(batch, rng):
    frames = integers(rng, (*batch, 4, 5), int)
    result = tconv.overlap_add(frames, 3)
    assert result.shape == (*batch, 16)
    flat = frames.reshape(-1, 4, 5)
    assert_same(result.reshape(-1, 16), tconv.overlap_add(flat, 3))


@given(st.data(), st.integers(1, 6))
def test_overlap_add_of_any_strides(data, hop):
    frames = integers(np.random.default_rng(3), (2, 5, 4), "float64")
    window = data.draw(strided(np.arange(5.0)))
    view = data.draw(strided(frames))
    expected = tconv.overlap_add(frames, hop, np.arange(5.0))
    assert_same(tconv.overlap_add(view, hop, window), expected)


def test_overlap_add_dtypes():
    frames = np.ones((2, 3), np.float32)
    for window, dtype in (("f", "f"), ("d", "d"), ("F", "F"), ("i8", "d")):
        assert tconv.overlap_add(frames, 1, np.ones(2, window)).dtype == dtype
    assert tconv.overlap_add(np.ones((2, 3), "D"), 1, np.ones(2, "f")).dtype == "D"
    assert tconv.overlap_add(np.ones((2, 3), ">f4"), 1).dtype == np.float32
    assert_same(tconv.overlap_add(np.full((2, 2), 2**63, np.uint64), 1)[1:2], np.zeros(1, "u8"))


# ---- refusals ----


X, C = np.ones((2, 3, 5, 6), np.float32), np.ones((2, 12, 20), np.float32)
GOT = "Got input (2, 3, 5, 6), kernel_size=2, dilation=1, padding=0, stride=1."
HUGE = 2**62
ORDERS = "'NCL', 'NLC', 'CL', 'LC', 'NCHW', 'NHWC', 'CHW', 'HWC', 'NCDHW', 'NDHWC', 'CDHW', 'DHWC'"


def unfold(*arguments, **options):
    return lambda: tconv.unfold(*arguments, **options)


def fold(*arguments, **options):
    return lambda: tconv.fold(*arguments, **options)


def overlap_add(*arguments):
    return lambda: tconv.overlap_add(*arguments)


ROWS = {
    "kernel 0": (unfold(X, 0), ValueError, "unfold: kernel_size must be >= 1 (axis 0), got 0. Got"),
    "kernel 0 on an axis": (unfold(X, (2, 0)), ValueError, "must be >= 1 (axis 1), got 0"),
    "kernel float": (unfold(X, 2.0), TypeError, "kernel_size must be an int or a sequence of ints"),
    "kernel bool": (unfold(X, True), TypeError, "kernel_size must be an int or a sequence of ints"),
    "kernel str": (unfold(X, "2"), TypeError, "sequence of ints, got str"),
    "kernel None": (unfold(X, None), TypeError, "sequence of ints, got NoneType"),
    "kernel of floats": (unfold(X, np.ones(2)), TypeError, "sequence of ints, got float"),
    "kernel nested": (unfold(X, ((2, 2),)), TypeError, "sequence of ints, got tuple"),
    "kernel empty": (unfold(X, ()), ValueError, "a sequence of 1 to 3 ints, got 0"),
    "kernel of 4": (unfold(X, (1,) * 4), ValueError, "a sequence of 1 to 3 ints, got 4"),
    "kernel of 3": (
        unfold(X[0], (1,) * 3),
        ValueError,
        "input must have 5 dimensions, or 4 without a batch, got 3. Got input (3, 5, 6)",
    ),
    "stride 0": (unfold(X, 2, stride=0), ValueError, "stride must be >= 1 (axis 0), got 0. Got"),
    "stride of 3": (
        unfold(X, 2, stride=(1, 1, 1)),
        ValueError,
        "stride must be an int or a sequence of 2 ints, got 3. Got input (2, 3, 5, 6)",
    ),
    "stride 2**63": (unfold(X, 2, stride=2**63), OverflowError, "stride does not fit 64 bits"),
    "dilation -1": (unfold(X, 2, dilation=-1), ValueError, "dilation must be >= 1 (axis 0), got"),
    "dilation huge": (unfold(X, 2, dilation=HUGE), ValueError, "the kernel does not fit"),
    "padding -1": (unfold(X, 2, padding=-1), ValueError, "padding must be >= 0 (axis 0), got -1"),
    "padding pair that crops too much": (
        unfold(X, 2, padding=((0, 0), (3, -8))),
        ValueError,
        "(axis 1): it covers 1*(2 - 1) + 1 = 2 of 6 + 3 + -8",
    ),
    "padding SAME": (
        unfold(X, 2, padding="SAME"),
        ValueError,
        "padding must be numbers, 'valid', 'same' or 'same_lower', got 'SAME'",
    ),
    "padding triple": (unfold(X, 2, padding=((1, 2, 3),)), ValueError, "got 3 values in the place"),
    "padding mixed": (unfold(X, 2, padding=((1, 2), 3)), ValueError, "got 1 values in the place"),
    "padding float": (unfold(X, 2, padding=0.5), TypeError, "padding must be an int or a sequence"),
    "padding of 3": (unfold(X, 2, padding=(1,) * 3), ValueError, "a sequence of 2 ints, got 3"),
    "padding huge": (
        unfold(X, 2, padding=HUGE),
        ValueError,
        "unfold: the result would be too big, (2, 12, ",
    ),
    "kernel too large": (
        unfold(X, (2, 4), dilation=2, padding=((0, 0), (0, 0))),
        ValueError,
        "unfold: the kernel does not fit in the padded image (axis 1): it covers "
        "2*(4 - 1) + 1 = 7 of 6 + 0 + 0. Got input (2, 3, 5, 6), kernel_size=(2, 4), dilation=2",
    ),
    "an int without a batch": (
        unfold(X[0], 2, stride=(2, 2)),
        ValueError,
        "unfold: stride must be an int or a sequence of 1 ints, got 2. Got input (3, 5, 6), "
        "kernel_size=2, dilation=1, padding=0, stride=(2, 2). An int for kernel_size means that "
        "input has a batch; if it has none, pass kernel_size=(2, 2) or layout='CHW'.",
    ),
    "an int and two dimensions": (
        unfold(X[0, 0], 2),
        ValueError,
        "input must have 3 to 5 dimensions, (N, C, *spatial), got 2. Got input (5, 6), "
        "kernel_size=2, dilation=1, padding=0, stride=1. An int for kernel_size means that "
        "input has a batch; if it has none, pass kernel_size=(2,) or layout='CL'.",
    ),
    "an int and six dimensions": (unfold(X[None, None], 2), ValueError, "3 to 5 dimensions"),
    "dimensions": (
        unfold(X, (2,)),
        ValueError,
        "unfold: input must have 3 dimensions, or 2 without a batch, got 4. Got input (2, 3, 5, 6)",
    ),
    "no channels": (unfold(X[:, :0], 2), ValueError, "channels or a spatial axis of length 0"),
    "no height": (unfold(X[:, :, :0], 2, padding=3), ValueError, "a spatial axis of length 0"),
    "None": (unfold(None, 2), TypeError, "unfold: input must be an array, got None"),
    "ragged": (unfold([[1], [1, 2]], 2), TypeError, "unfold: input, of type list, cannot be read"),
    "masked": (unfold(np.ma.masked_less(X, 2), 2), TypeError, "input is a masked array, and its"),
    "layout unknown": (
        unfold(X, 2, layout="NHCW"),
        ValueError,
        f"unfold: layout must be one of {ORDERS}, or two of them as in 'NHWC->NCHW', got 'NHCW'",
    ),
    "layout long": (unfold(X, 2, layout="N" * 9999), ValueError, f"got '{'N' * 40}'"),
    "layout empty": (unfold(X, 2, layout=""), ValueError, "layout must be one of"),
    "layout of two ranks": (unfold(X, 2, layout="NHWC->NCL"), ValueError, "layout must be one of"),
    "layout of one batch": (unfold(X, 2, layout="NHWC->CHW"), ValueError, "layout must be one of"),
    "layout of three": (unfold(X, 2, layout="NHWC->NCHW->NHWC"), ValueError, "must be one of"),
    "layout half": (unfold(X, 2, layout="NHWC->"), ValueError, "layout must be one of"),
    "layout type": (unfold(X, 2, layout=3), TypeError, "layout must be a string, got int"),
    "layout and dimensions": (
        unfold(X, 2, layout="HWC"),
        ValueError,
        "input must have the 3 dimensions of layout 'HWC', got 4. Got input (2, 3, 5, 6) [HWC], k",
    ),
    "layout and kernel": (unfold(X, (2,) * 3, layout="NHWC"), ValueError, "sequence of 2 ints"),
    "fold, no rank": (
        fold(C, 5, 2),
        ValueError,
        "fold: output_size or kernel_size must be a tuple with an int for each spatial axis, or a "
        "layout be given: columns do not show how many axes the image has. Got input (2, 12, 20), "
        "output_size=5, kernel_size=2, dilation=1, padding=0, stride=1. For 1 axis pass "
        "output_size=(5,), for 2 output_size=(5, 5).",
    ),
    "fold, channels": (
        fold(C[:, :10], (5, 6), 2),
        ValueError,
        "fold: the channels of input must be a multiple of the 4 elements of the kernel, got 10. "
        "Got input (2, 10, 20), output_size=(5, 6), kernel_size=2",
    ),
    "fold, no channels": (fold(C[:, :0], (5, 6), 2), ValueError, "of the kernel, got 0"),
    "fold, columns": (
        fold(C[:, :, :15], (5, 6), 2),
        ValueError,
        "fold: input must have 20 columns, one for each position of the kernel (4 x 5), got 15",
    ),
    "fold, channels last": (
        fold(C, (5, 6), 2, layout="NHWC"),
        ValueError,
        "input must have 20 columns, one for each position of the kernel (4 x 5), got 12",
    ),
    "fold, dimensions": (fold(X, (5, 6), 2), ValueError, "3 dimensions, or 2 without a batch"),
    "fold, layout": (fold(C, (5, 6), 2, layout="CHW"), ValueError, "2 dimensions of layout 'CHW'"),
    "fold, size 0": (fold(C, (5, 0), 2), ValueError, "output_size must be >= 1 (axis 1), got 0"),
    "fold, size None": (fold(C, None, 2), TypeError, "output_size must be an int or a sequence"),
    "fold, kernel of 3": (fold(C, (5, 6), (2,) * 3), ValueError, "a sequence of 2 ints, got 3"),
    "fold, kernel too large": (fold(C, (5, 6), 7), ValueError, "does not fit in the padded image"),
    "fold, size huge": (
        fold(C[:, :, :1], (HUGE, HUGE), 2, stride=HUGE),
        ValueError,
        "fold: the result would be too big, (2, 3, ",
    ),
    "frames 1-d": (
        overlap_add(np.ones(3), 1),
        ValueError,
        "overlap_add: frames must have the dimensions (..., frame_length, n_frames), got 1. "
        "Got frames (3,), hop=1.",
    ),
    "no frames": (overlap_add(np.ones((3, 0)), 1), ValueError, "there must be frames, and of len"),
    "frames of 0": (overlap_add(np.ones((0, 3)), 1), ValueError, "there must be frames, and of"),
    "frames None": (overlap_add(None, 1), TypeError, "overlap_add: frames must be an array"),
    "hop 0": (overlap_add(np.ones((3, 2)), 0), ValueError, "overlap_add: hop must be >= 1, got 0"),
    "hop float": (overlap_add(np.ones((3, 2)), 1.0), TypeError, "hop must be an int, got float"),
    "hop bool": (overlap_add(np.ones((3, 2)), True), TypeError, "hop must be an int, got bool"),
    "hop huge": (overlap_add(np.ones((3, 2)), HUGE), ValueError, "the result would be too big"),
    "window": (
        overlap_add(np.ones((3, 2)), 1, np.ones(2)),
        ValueError,
        "overlap_add: window must have shape (3,), the frame_length, got (2,). "
        "Got frames (3, 2), hop=1, window (2,).",
    ),
    "window 2-d": (overlap_add(np.ones((3, 2)), 1, np.ones((3, 1))), ValueError, "must have shape"),
}


@pytest.mark.parametrize("row", ROWS)
def test_refusals(row):
    call, exception, text = ROWS[row]
    with pytest.raises(exception) as caught:
        call()
    assert str(caught.value).startswith(("unfold: ", "fold: ", "overlap_add: "))
    assert text in str(caught.value)


def test_huge_numbers_that_mean_nothing():
    """A stride after the last position, a dilation of one element, a hop after the last frame."""
    x = integers(np.random.default_rng(7), (1, 2, 5), "float32")
    assert_same(tconv.unfold(x, 5, stride=HUGE), x.reshape(1, 10, 1))
    assert_same(tconv.unfold(x, 1, dilation=HUGE), x)
    assert_same(tconv.fold(x.reshape(1, 10, 1), (5,), 5, stride=HUGE), x)
    assert_same(tconv.fold(x, (5,), 1, dilation=HUGE), x)
    assert_same(tconv.overlap_add(x.reshape(2, 5, 1), HUGE), x[0])
