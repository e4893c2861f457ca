"""What bad and odd calls get: the exception named, a text that says why, and nothing broken.

Every row changes one thing about a good call. After each row the same good call must be right, no
argument may have changed and no reference may be lost.
"""

import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from support import assert_same, integers, run_python

import tconv

F32 = np.float32
HUGE = 2**62


@dataclass
class Call:
    """A call to spoil: arrays and options, for one rank."""

    rank: int
    x: object
    w: object
    b: object = None
    args: tuple = ()
    options: dict = field(default_factory=dict)

    def run(self):
        function = getattr(tconv, f"conv_transpose{self.rank}d")
        arrays = (self.x, self.w) if self.b is None else (self.x, self.w, self.b)
        return function(*arrays, *self.args, **self.options)


def good_call(rank):
    rng = np.random.default_rng(rank)
    spatial = (5, 4, 3)[:rank]
    return Call(
        rank,
        integers(rng, (2, 4, *spatial), F32),
        integers(rng, (4, 3, *(3, 2, 3)[:rank]), F32),
        options={"stride": 2},
    )


class Broken:
    """An object whose conversion raises."""

    def __index__(self):
        raise ZeroDivisionError("index")

    def __array__(self, *args, **kwargs):
        raise ZeroDivisionError("array")


def option(**options):
    def spoil(call):
        call.options.update(options)

    return spoil


def per_axis(name, value):
    """The value on the last axis only."""

    def spoil(call):
        call.options[name] = (1,) * (call.rank - 1) + (value,)

    return spoil


def array(name, make):
    def spoil(call):
        setattr(call, name, make(getattr(call, name), call))

    return spoil


def structured(x, call):
    return np.zeros(x.shape, [("a", "f4")])


ROWS = {
    "1 stride 0": (option(stride=0), ValueError, "stride must be >= 1 (axis 0), got 0"),
    "1 stride 0 on an axis": (per_axis("stride", 0), ValueError, "stride must be >= 1"),
    "2 stride -1": (option(stride=-1), ValueError, "stride must be >= 1 (axis 0), got -1"),
    "2 stride -1 on an axis": (per_axis("stride", -1), ValueError, "got -1"),
    "3 stride ()": (option(stride=()), ValueError, "got 0"),
    "3 stride []": (option(stride=[]), ValueError, "got 0"),
    "4 stride too long": (option(stride=(2,) * 4), ValueError, "ints, got 4"),
    "4 stride much too long": (option(stride=(2,) * 400), ValueError, "got 400"),
    "5 stride float": (option(stride=2.0), TypeError, "stride must be an int"),
    "5 stride str": (option(stride="2"), TypeError, "stride must be an int"),
    "5 stride bytes": (option(stride=b"2"), TypeError, "stride must be an int"),
    "5 stride None": (option(stride=None), TypeError, "stride must be an int"),
    "5 stride nan": (option(stride=float("nan")), TypeError, "stride must be an int"),
    "5 stride float in tuple": (per_axis("stride", 1.5), TypeError, "stride must be an int"),
    "5 stride float array": (option(stride=np.array([1.0])), TypeError, "stride must be an int"),
    "6 stride True": (option(stride=True), TypeError, "stride must be an int"),
    "6 stride np.True_": (option(stride=np.True_), TypeError, "stride"),
    "7 stride 2**63": (option(stride=2**63), OverflowError, "stride does not fit 64 bits"),
    "7 stride -2**63-1": (option(stride=-(2**63) - 1), OverflowError, "stride"),
    "8 stride 2**62": (option(stride=HUGE), ValueError, "output length overflows"),
    "9 dilation 0": (option(dilation=0), ValueError, "dilation must be >= 1 (axis 0), got 0"),
    "9 dilation -1": (option(dilation=-1), ValueError, "dilation must be >= 1"),
    "11 dilation 2**62": (option(dilation=HUGE), ValueError, "output length overflows"),
    "12 padding -1": (option(padding=-1), ValueError, "padding must be >= 0 (axis 0), got -1"),
    "13 padding 2**62": (option(padding=HUGE), ValueError, "output length overflows"),
    "13 padding 2**61": (option(padding=2**61), ValueError, "output length would be -"),
    "14 padding []": (option(padding=[]), ValueError, "got 0"),
    "15 padding str": (
        option(padding="SAME"),
        ValueError,
        "padding must be numbers, 'valid', 'same' or 'same_lower', got 'SAME'",
    ),
    "15 padding triple": (
        option(padding=((1, 2, 3),)),
        ValueError,
        "padding must be one pair (before, after) an axis, got 3 values in the place of one",
    ),
    "15 padding pair and number": (option(padding=((1, 2), 3)), ValueError, "got 1 values"),
    "15 padding pair hugely negative": (
        option(padding=((1, -(2**63)),)),
        ValueError,
        "padding must be >= -2305843009213693951 (axis 0), got -9223372036854775808",
    ),
    "15 padding pair that makes it huge": (
        option(padding=((1, -(2**60)),)),
        ValueError,
        "output",
    ),
    "15 padding pair of floats": (option(padding=((1.0, 2),)), TypeError, "padding must be an int"),
    "15 padding pairs too many": (option(padding=((1, 1),) * 4), ValueError, "got 4"),
    "15 padding same and output_padding": (
        option(padding="same", output_padding=1),
        ValueError,
        "padding 'same' gives one size: there is no output_padding",
    ),
    "15 padding same and output_size": (
        option(padding="same", output_size=10),
        ValueError,
        "padding 'same' gives one size: there is no output_size",
    ),
    "16 output 0": (
        option(stride=1, padding=(7, 5, 5)[0]),
        ValueError,
        "output length would be -7 (axis 0)",
    ),
    "17 output negative": (option(padding=90), ValueError, "from input length 5"),
    "18 output_padding -1": (option(output_padding=-1), ValueError, "output_padding must be >= 0"),
    "19 output_padding hugely negative": (
        option(output_padding=-1250999896764, dilation=1250999896764),
        ValueError,
        "output_padding must be >= 0",
    ),
    "20 output_padding as stride": (
        option(output_padding=2),
        ValueError,
        "output_padding must be smaller than stride or dilation (axis 0), got 2",
    ),
    "22 groups 0": (option(groups=0), ValueError, "groups must be >= 1, got 0"),
    "23 groups -1": (option(groups=-1), ValueError, "groups must be >= 1, got -1"),
    "23 groups -2**63": (option(groups=-(2**63)), ValueError, "groups must be >= 1"),
    "23 groups 2**63": (option(groups=2**63), OverflowError, "groups"),
    "24 groups not a divisor": (option(groups=3), ValueError, "divisible by groups, got 4 and 3"),
    "24 groups above channels": (option(groups=8), ValueError, "divisible by groups"),
    "25 channels differ": (
        array("w", lambda w, c: w[:3]),
        ValueError,
        "input has 4 channels, but weight expects 3",
    ),
    "25 weight of a convolution": (
        array("w", lambda w, c: w.swapaxes(0, 1)),
        ValueError,
        "the other way round",
    ),
    "26 input 0-d": (array("x", lambda x, c: F32(1)), ValueError, "input must have"),
    "26 input 1-d": (array("x", lambda x, c: x.ravel()), ValueError, "input must have"),
    "26 input 6-d": (
        array("x", lambda x, c: x.reshape(x.shape + (1,) * (6 - x.ndim))),
        ValueError,
        "got 6",
    ),
    "27 weight of another rank": (array("w", lambda w, c: w[0]), ValueError, "weight must have"),
    "27 weight 6-d": (
        array("w", lambda w, c: w.reshape(w.shape + (1,) * (6 - w.ndim))),
        ValueError,
        "weight must have",
    ),
    "28 kernel of length 0": (array("w", lambda w, c: w[..., :0]), ValueError, "length 0"),
    "29 no output channels": (array("w", lambda w, c: w[:, :0]), ValueError, "length 0"),
    "30 no input channels": (
        lambda c: (setattr(c, "x", c.x[:, :0]), setattr(c, "w", c.w[:0])),
        ValueError,
        "length 0",
    ),
    "32 input of length 0": (array("x", lambda x, c: x[..., :0]), ValueError, "length 0"),
    "33 all empty": (
        lambda c: (
            setattr(c, "x", np.zeros((0,) * c.x.ndim, F32)),
            setattr(c, "w", np.zeros((0,) * c.w.ndim, F32)),
        ),
        ValueError,
        "length 0",
    ),
    "37 output_size below": (option(output_size=3), ValueError, "output_size must be from"),
    "37 output_size above": (option(output_size=99), ValueError, "output_size must be from"),
    "37 output_size and output_padding": (
        option(output_size=11, output_padding=1),
        ValueError,
        "not both",
    ),
    "37 output_size too long": (option(output_size=(11,) * 7), ValueError, "output_size must be"),
    "37 output_size negative": (option(output_size=-(2**63)), ValueError, "output_size must be"),
    "38 bias too long": (
        array("b", lambda b, c: np.ones(4, F32)),
        ValueError,
        "bias must have 3 elements",
    ),
    "38 bias 2-d": (array("b", lambda b, c: np.ones((3, 1), F32)), ValueError, "1 dimension"),
    "38 bias 0-d": (array("b", lambda b, c: np.array(1, F32)), ValueError, "1 dimension"),
    "39 input of no memory and endless length": (
        lambda c: (
            setattr(c, "x", np.empty((0, 4) + (1,) * (c.rank - 1) + (2**58,), F32)),
            c.options.update(stride=64),
        ),
        ValueError,
        "output length overflows",
    ),
    "41 output too big": (
        lambda c: (
            c.options.update(stride=2**40),
            setattr(c, "x", np.broadcast_to(F32(1), (2**20, 4) + (2,) * c.rank)),
        ),
        ValueError,
        "too big",
    ),
    "44 weight of another dtype": (
        array("w", lambda w, c: w.astype(np.float64)),
        TypeError,
        "weight.astype('float32')",
    ),
    "44 bias of another dtype": (
        array("b", lambda b, c: np.ones(3)),
        TypeError,
        "bias.astype('float32')",
    ),
    "45 bool": (array("x", lambda x, c: x.astype(bool)), TypeError, "dtype bool"),
    "45 object": (array("x", lambda x, c: x.astype(object)), TypeError, "dtype object"),
    "45 str": (array("x", lambda x, c: x.astype(str)), TypeError, "not supported"),
    "45 datetime": (array("x", lambda x, c: x.astype("M8[s]")), TypeError, "datetime64"),
    "45 structured": (array("x", structured), TypeError, "not supported"),
    "46 longdouble": (array("x", lambda x, c: x.astype(np.longdouble)), TypeError, "dtype float"),
    "48 None": (array("x", lambda x, c: None), TypeError, "input must be an array, got None"),
    "48 weight None": (array("w", lambda w, c: None), TypeError, "weight must be an array"),
    "49 masked": (
        array("x", lambda x, c: np.ma.masked_greater(x, 0)),
        TypeError,
        "input.filled(value)",
    ),
    "51 __index__ raises": (option(stride=Broken()), ZeroDivisionError, "index"),
    "51 __array__ raises": (array("x", lambda x, c: Broken()), ZeroDivisionError, "array"),
    "57 out of another shape": (
        option(out=np.zeros((1, 1, 1), F32)),
        ValueError,
        "out must have shape (2, 3, 1",
    ),
    "60 out not an array": (option(out=[1, 2]), TypeError, "out must be a numpy.ndarray"),
    "64 threads 0": (option(threads=0), ValueError, "threads must be >= 1, got 0"),
    "64 threads -3": (option(threads=-3), ValueError, "threads must be >= 1, got -3"),
    "64 threads str": (option(threads="4"), TypeError, "threads must be an int"),
    "64 threads 2**63": (option(threads=2**63), OverflowError, "threads"),
    "66 unknown keyword": (option(strides=2), TypeError, "unexpected keyword argument 'strides'"),
    "66 not a string": (option(**{"\ud800": 1}), TypeError, "unexpected keyword"),
}


def keyword_rows():
    x, w = good_call(1).x, good_call(1).w
    return {
        "too many positional": (lambda: tconv.conv_transpose1d(*[1] * 9), "at most 8 positional"),
        "given twice": (lambda: tconv.conv_transpose1d(x, w, input=x), "multiple values"),
        "missing": (lambda: tconv.conv_transpose1d(x), "missing required argument 'weight'"),
        "nothing": (lambda: tconv.conv_transpose1d(), "missing required argument 'input'"),
    }


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("row", ROWS)
def test_row(row, rank):
    spoil, exception, text = ROWS[row]
    call, good = good_call(rank), good_call(rank)
    expected = tconv.reference.conv_transpose(good.x, good.w, **good.options)
    spoil(call)
    arrays = [a for a in (call.x, call.w, call.b) if isinstance(a, np.ndarray)]
    before = [a.tobytes() for a in arrays if a.size < 999]
    counts = [sys.getrefcount(a) for a in arrays]
    with pytest.raises(exception) as caught:
        call.run()
    assert text in str(caught.value)
    del caught
    assert counts == [sys.getrefcount(a) for a in arrays]
    assert before == [a.tobytes() for a in arrays if a.size < 999]
    assert_same(good.run(), expected)


@pytest.mark.parametrize("row", keyword_rows())
def test_66_keywords(row):
    call, text = keyword_rows()[row]
    with pytest.raises(TypeError, match=text):
        call()


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_messages_show_the_shapes(rank):
    call = good_call(rank)
    call.options["groups"] = 3
    with pytest.raises(ValueError) as caught:
        call.run()
    shape = ", ".join(map(str, call.x.shape))
    assert f"Got input ({shape}) [{('NCL', 'NCHW', 'NCDHW')[rank - 1]}], weight (4, 3, " in str(
        caught.value
    )
    assert "groups=3." in str(caught.value)
    call.x = call.x[0]
    with pytest.raises(ValueError, match=rf"\[{('CL', 'CHW', 'CDHW')[rank - 1]}\]"):
        call.run()


# ---- convolution and gradients ----

X, W, GY = (np.ones(shape, F32) for shape in ((2, 4, 9), (6, 2, 3), (2, 6, 5)))
CONV = {"stride": 2, "padding": 1, "groups": 2}
WT, GYT = np.ones((4, 3, 3), F32), np.ones((2, 6, 18), F32)
TRANSPOSE = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}


def of_conv(of, *arguments, **options):
    """A call of conv1d, conv1d_input and so on."""
    function = getattr(tconv.config._core, f"conv1d{of}")
    return lambda: function(*arguments, **{**CONV, **options})


def of_transpose(of, *arguments, **options):
    function = getattr(tconv.config._core, f"conv_transpose1d{of}")
    return lambda: function(*arguments, **{**TRANSPOSE, **options})


GRADIENT_ROWS = {
    "kernel too long": (
        of_conv("", X[..., :2], W, padding=0),
        ValueError,
        "the kernel does not fit",
    ),
    "channels": (of_conv("", X[:, :3], W), ValueError, "input has 3 channels"),
    "groups": (of_conv("", X, W, groups=4), ValueError, "divisible by groups, got 6 and 4"),
    "stride 0": (of_conv("", X, W, stride=0), ValueError, "stride must be >= 1"),
    "bias": (of_conv("", X, W, W[:4, 0, 0]), ValueError, "bias must have 6 elements"),
    "dtype": (of_conv("", X, W.astype(float)), TypeError, "weight.astype('float32')"),
    "no output_padding": (of_conv("", X, W, output_padding=0), TypeError, "unexpected keyword"),
    "no output_size": (of_conv("", X, W, output_size=5), TypeError, "unexpected keyword"),
    "accumulate alone": (of_conv("", X, W, accumulate=True), ValueError, "out"),
    "accumulate alone in a gradient": (
        of_conv("_weight", X, W.shape, GY, accumulate=True),
        ValueError,
        "out",
    ),
    "input_size None": (of_conv("_input", None, W, GY), TypeError, "input_size must be a tuple"),
    "input_size an int": (of_conv("_input", 9, W, GY), TypeError, "input_size"),
    "input_size of floats": (of_conv("_input", (2, 4, 9.0), W, GY), TypeError, "int"),
    "input_size negative": (of_conv("_input", (2, 4, -9), W, GY), ValueError, "negative"),
    "input_size huge": (of_conv("_input", (2, 4, 2**63), W, GY), OverflowError, "input_size"),
    "input_size too short": (of_conv("_input", (9,), W, GY), ValueError, "input_size must have"),
    "input_size too long": (of_conv("_input", (1,) * 7, W, GY), ValueError, "input_size"),
    "input_size channels": (of_conv("_input", (2, 5, 9), W, GY), ValueError, "5 channels"),
    "input_size batch": (
        of_conv("_input", (3, 4, 9), W, GY),
        ValueError,
        "grad_output must have the shape of the output, (3, 6, 5)",
    ),
    "input_size length": (of_conv("_input", (2, 4, 11), W, GY), ValueError, "(2, 6, 6)"),
    "input_size unbatched": (of_conv("_input", (4, 9), W, GY), ValueError, "(6, 5)"),
    "weight_size None": (of_conv("_weight", X, None, GY), TypeError, "weight_size must be a tuple"),
    "weight_size negative": (of_conv("_weight", X, (6, 2, -3), GY), ValueError, "negative"),
    "weight_size rank": (of_conv("_weight", X, (6, 2), GY), ValueError, "weight_size must have 3"),
    "weight_size 0": (of_conv("_weight", X, (6, 2, 0), GY), ValueError, "length 0"),
    "weight_size channels": (of_conv("_weight", X, (6, 3, 3), GY), ValueError, "weight_size"),
    "weight_size kernel": (of_conv("_weight", X, (6, 2, 5), GY), ValueError, "(2, 6, 4)"),
    "grad_output channels": (of_conv("_weight", X, W.shape, GY[:, :5]), ValueError, "5 channels"),
    "grad_output length": (of_conv("_weight", X, W.shape, GY[..., 1:]), ValueError, "(2, 6, 5)"),
    "grad_output batch": (of_conv("_weight", X, W.shape, GY[:1]), ValueError, "(2, 6, 5)"),
    "grad_output dtype": (
        of_conv("_weight", X, W.shape, GY.astype(float)),
        TypeError,
        "grad_output.astype('float32')",
    ),
    "grad_output None": (of_conv("_weight", X, W.shape, None), TypeError, "grad_output must be an"),
    "grad_output missing": (of_conv("_weight", X, W.shape), TypeError, "'grad_output'"),
    "out shape": (
        of_conv("_weight", X, W.shape, GY, out=np.ones((6, 2, 4), F32)),
        ValueError,
        "out must have shape (6, 2, 3)",
    ),
    "transposed grad_output": (
        of_transpose("_input", (2, 4, 9), WT, GYT[..., 1:]),
        ValueError,
        "(2, 6, 18)",
    ),
    "transposed, no such input": (
        of_transpose("_input", None, WT, GYT[..., 1:]),
        ValueError,
        "is output_padding as in the forward call?",
    ),
    "transposed weight_size": (
        of_transpose("_weight", X, (4, 2, 3), GYT),
        ValueError,
        "grad_output has 6 channels, but weight_size expects 4",
    ),
    "explain": (
        lambda: tconv.explain("conv1d", X.shape, W.shape, output_padding=1, **CONV),
        ValueError,
        "a convolution's output has one size: there is no output_padding",
    ),
    "explain output_size": (
        lambda: tconv.explain("conv1d", X.shape, W.shape, output_size=5, **CONV),
        ValueError,
        "there is no output_size",
    ),
    "plan output_padding": (
        lambda: tconv.plan("conv1d", W, output_padding=1),
        ValueError,
        "there is no output_padding",
    ),
    "plan of a gradient": (lambda: tconv.plan("conv1d_weight", W), ValueError, "gradient"),
    "bias layout": (lambda: tconv.grad.bias(GY, layout="NHW"), ValueError, "layout must name"),
    "bias layout too short": (
        lambda: tconv.grad.bias(GY, layout="NC"),
        ValueError,
        "bias: layout must name the axes of grad_output, one of them C, got 'NC' "
        "for shape (2, 6, 5)",
    ),
    "bias layout twice": (
        lambda: tconv.grad.bias(GY, layout="CNN"),
        ValueError,
        "layout must name",
    ),
    "bias layout type": (
        lambda: tconv.grad.bias(GY, layout=3),
        TypeError,
        "layout must be a string",
    ),
    "bias positional": (lambda: tconv.grad.bias(GY, "NCL"), TypeError, "positional"),
    "bias keyword": (lambda: tconv.grad.bias(GY, axis=1), TypeError, "unexpected keyword"),
    "bias missing": (lambda: tconv.grad.bias(), TypeError, "'grad_output'"),
    "bias None": (lambda: tconv.grad.bias(None), TypeError, "grad_output must be an array"),
    "bias dtype": (
        lambda: tconv.grad.bias(GY.astype(bool)),
        TypeError,
        "grad_output has dtype bool, which is not supported",
    ),
    "bias masked": (
        lambda: tconv.grad.bias(np.ma.masked_equal(GY, 1)),
        TypeError,
        "grad_output is a masked array",
    ),
    "bias of a line": (lambda: tconv.grad.bias(GY[0, 0]), ValueError, "2 to 5 dimensions, got 1"),
    "bias of six": (lambda: tconv.grad.bias(GY[None, None, None]), ValueError, "got 6"),
    "bias, no channels": (
        lambda: tconv.grad.bias(GY[:, :0]),
        ValueError,
        "axis 1 of grad_output (C)",
    ),
    "bias, no positions": (
        lambda: tconv.grad.bias(GY[..., :0]),
        ValueError,
        "axis 2 of grad_output",
    ),
    "bias threads": (lambda: tconv.grad.bias(GY, threads=0), ValueError, "threads must be >= 1"),
    "bias out shape": (
        lambda: tconv.grad.bias(GY, out=np.ones(5, F32)),
        ValueError,
        "bias: out must have shape (6,), got (5,)",
    ),
    "bias out dtype": (
        lambda: tconv.grad.bias(GY, out=np.ones(6)),
        TypeError,
        "out must have dtype float32",
    ),
    "bias out type": (
        lambda: tconv.grad.bias(GY, out=[1]),
        TypeError,
        "out must be a numpy.ndarray",
    ),
    "bias accumulate": (
        lambda: tconv.grad.bias(GY, accumulate=True),
        ValueError,
        "there is no out",
    ),
    "bias out shared": (
        lambda: tconv.grad.bias(
            GY, out=np.lib.stride_tricks.as_strided(np.ones(1, F32), (6,), (0,))
        ),
        ValueError,
        "share memory",
    ),
}


@pytest.mark.parametrize("row", GRADIENT_ROWS)
def test_convolution_and_gradients(row):
    call, exception, text = GRADIENT_ROWS[row]
    arrays = (X, W, GY, WT, GYT)
    counts = [sys.getrefcount(a) for a in arrays]
    with pytest.raises(exception) as caught:
        call()
    assert text in str(caught.value)
    del caught
    assert counts == [sys.getrefcount(a) for a in arrays]
    assert all(np.all(a == 1) for a in arrays)


# ---- odd, but right ----


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_21_output_padding_above_stride(rank):
    call = good_call(rank)
    call.options = {"stride": 2, "dilation": 5, "output_padding": 4}
    assert_same(call.run(), tconv.reference.conv_transpose(call.x, call.w, **call.options))


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_31_empty_batch(rank):
    call = good_call(rank)
    whole = call.run()
    call.x = call.x[:0]
    assert call.run().shape == (0, *whole.shape[1:])


def test_5_anything_with_index():
    class Two:
        def __index__(self):
            return 2

    call = good_call(2)
    expected = call.run()
    for two in (np.int64(2), np.uint8(2), np.array(2), Two(), (2,), [2, 2], np.array([2, 2])):
        call.options = {"stride": two}
        assert_same(call.run(), expected)


def test_47_byte_order():
    call = good_call(2)
    expected = call.run()
    call.x, call.w = call.x.astype(">f4"), call.w.astype(">f4")
    assert_same(call.run(), expected)


def test_48_lists_and_buffers():
    call = good_call(1)
    expected = tconv.reference.conv_transpose(
        call.x.astype(float), call.w.astype(float), **call.options
    )
    call.x, call.w = call.x.tolist(), memoryview(call.w.astype(float))
    assert_same(call.run(), expected)


def test_49_masked_array_without_masked_elements():
    call = good_call(1)
    expected = call.run()
    call.x = np.ma.masked_array(call.x)
    assert_same(call.run(), expected)


def test_50_subclasses():
    call = good_call(1)
    expected = call.run()

    class Sub(np.ndarray):
        pass

    call.x = call.x.view(Sub)
    assert type(call.run()) is np.ndarray
    assert_same(call.run(), expected)


def test_52_index_that_resizes_the_input():
    """All scalars are read before a pointer into an array is taken."""
    call = good_call(1)
    x = call.x.copy()

    class Resizes:
        def __index__(self):
            x.resize((1, 4, 2), refcheck=False)
            return 2

    result = tconv.conv_transpose1d(x, call.w, stride=Resizes())
    assert_same(result, tconv.reference.conv_transpose(x, call.w, stride=2))


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_55_unaligned(rank):
    call = good_call(rank)
    expected = call.run()
    for name in ("x", "w"):
        array = getattr(call, name)
        raw = np.zeros(array.nbytes + 1, np.uint8)
        view = raw[1:].view(F32).reshape(array.shape)
        view[...] = array
        assert not view.flags.aligned
        setattr(call, name, view)
    assert_same(call.run(), expected)


def test_55_strides_of_odd_bytes():
    call = good_call(1)
    expected = call.run()
    record = np.zeros(call.x.shape, [("a", "i1"), ("x", "<f4")])
    record["x"] = call.x
    call.x = record["x"]
    assert_same(call.run(), expected)


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_56_read_only(rank):
    call = good_call(rank)
    call.b = np.ones(3, F32)
    for a in (call.x, call.w, call.b):
        a.flags.writeable = False
    assert call.run().flags.writeable


def test_64_very_many_threads():
    call = good_call(2)
    expected = call.run()
    call.options["threads"] = 10**9
    assert_same(call.run(), expected)


def test_71_72_geometries_where_others_failed():
    rng = np.random.default_rng(0)
    for k, s, d, co in ((1, 3, 1, 3), (2, 3, 1, 3), (3, 2, 2, 3), (4, 4, 6, 3), (5, 3, 1, 1)):
        x, w = integers(rng, (1, 2, 5, 7), F32), integers(rng, (2, co, k, k), F32)
        expected = tconv.reference.conv_transpose(x, w, stride=s, dilation=d)
        assert_same(tconv.conv_transpose2d(x, w, stride=s, dilation=d), expected)


# ---- too big for this machine: in a process with little memory ----

LIMITED = """
import resource, numpy as np, tconv
limit = int(open("/proc/self/statm").read().split()[0]) * 4096 + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
one = np.float32(1)
def ones(*shape):
    return np.broadcast_to(one, shape)
for call in (
    lambda: tconv.conv_transpose1d(ones(1, 1, 2**40), ones(1, 1, 1)),
    lambda: tconv.conv_transpose1d(ones(1, 1, 3), ones(1, 1, 3), dilation=1879048192),
    lambda: tconv.conv_transpose1d(ones(1, 1, 3), ones(1, 1, 2), dilation=2**31 - 1),
    lambda: tconv.plan("conv_transpose1d", ones(2**20, 2**20, 1)),
    lambda: tconv.plan("conv_transpose1d", ones(2**20, 2**20, 2**20)),
):
    try:
        call()
    except MemoryError:
        print("MemoryError")
# only one element of these kernels meets the input
print(tconv.conv_transpose1d(ones(1, 1, 1), ones(1, 1, 2**40 + 1), padding=2**39).tolist())
print(tconv.conv_transpose1d(ones(1, 1, 1), ones(1, 1, 2**58 + 1), padding=2**57).tolist())
print(tconv.conv_transpose1d(np.ones((1, 1, 2), "f"), np.ones((1, 1, 2), "f")).tolist())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS and /proc")
def test_10_11_40_42_memory_errors():
    lines = run_python(LIMITED).splitlines()
    assert lines == ["MemoryError"] * 5 + ["[[[1.0]]]"] * 2 + ["[[[1.0, 2.0, 1.0]]]"]


def test_65_isa_of_the_environment():
    code = """
try:
    import tconv
    print(tconv.config._core.config()["isa"])
except ValueError as error:
    print(error)
"""
    for isa in tconv.config._core.config()["isas"]:
        assert run_python(code, TCONV_ISA=isa).strip() == isa
    assert "TCONV_ISA must be one of" in run_python(code, TCONV_ISA="avx9000")
