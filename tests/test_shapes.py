"""Shapes as other libraries mean them: their cases, rules and refusals, by the values computed.

Every case gets a definition of its own: all that the taps reach, cropped on each side. A negative
side is one that has something more.
"""

from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support import assert_same, integers
from test_padding import crop, zero_pad

import tconv
from tconv import functional, reference

BASE = ("stride", "dilation", "groups")


def arrays(x, w, dtype="float32"):
    rng = np.random.default_rng([*x, *w])
    real, imaginary = ([integers(rng, shape, dtype) for shape in (x, w)] for _ in range(2))
    if np.dtype(dtype).kind != "c":
        return real
    return [r + 1j * i for r, i in zip(real, imaginary, strict=True)]


def check_transposed(x, w, options, sides):
    """The values and both gradients of what `options` ask for, which is to crop `sides`."""
    op = f"conv_transpose{len(sides)}d"
    base = {name: options[name] for name in BASE if name in options}
    y = getattr(tconv, op)(x, w, **options)
    assert_same(y, crop(reference.conv_transpose(x, w, **base), sides))
    gy = integers(np.random.default_rng(5), y.shape, x.dtype)
    wide = zero_pad(gy, sides)
    if "output_size" in options:  # a gradient knows the size, and asks for the sides
        options = {**base, "padding": sides}
    of_input, of_weight = (getattr(tconv.grad, f"{op}_{of}") for of in ("input", "weight"))
    gx = reference.conv_transpose_input(x.shape, w, wide, **base)
    assert_same(of_input(x.shape, w, gy, **options), gx)
    assert_same(of_input(None, w, gy, **options), gx)
    gw = reference.conv_transpose_weight(x, w.shape, wide, **base)
    assert_same(of_weight(x, w.shape, gy, **options), gw)
    return y


def check_conv(x, w, options, sides):
    """The same for a convolution, which is to pad `sides`."""
    op = f"conv{len(sides)}d"
    base = {name: options[name] for name in BASE if name in options}
    padded = zero_pad(x, sides)
    y = getattr(tconv, op)(x, w, **options)
    assert_same(y, reference.conv(padded, w, **base))
    gy = integers(np.random.default_rng(5), y.shape, x.dtype)
    of_input, of_weight = (getattr(tconv.grad, f"{op}_{of}") for of in ("input", "weight"))
    gx = crop(reference.conv_input(padded.shape, w, gy, **base), sides)
    assert_same(of_input(x.shape, w, gy, **options), gx)
    gw = reference.conv_weight(padded, w.shape, gy, **base)
    assert_same(of_weight(x, w.shape, gy, **options), gw)
    return y


# ---- ONNX ----

S, K, G = (1, 1, 3, 3), (1, 2, 3, 3), (2, 1, 3, 3)
ONNX = {
    "convtranspose": (S, K, {}, ((0, 0), (0, 0)), (1, 2, 5, 5)),
    "convtranspose_1d": (S[:3], K[:3], {}, ((0, 0),), (1, 2, 5)),
    "convtranspose_3d": ((1, 1, 3, 4, 5), (1, 2, 3, 3, 3), {}, ((0, 0),) * 3, (1, 2, 5, 6, 7)),
    "convtranspose_output_shape": (
        S,
        K,
        {"stride": (3, 2), "output_size": (10, 8)},
        ((0, -1), (0, -1)),
        (1, 2, 10, 8),
    ),
    "convtranspose_pad": (
        S,
        K,
        {"stride": (3, 2), "output_padding": 1},
        ((0, -1), (0, -1)),
        (1, 2, 10, 8),
    ),
    "convtranspose_kernel_shape": (
        S,
        K,
        {"stride": (3, 2), "output_size": (10, 8)},
        ((0, -1), (0, -1)),
        (1, 2, 10, 8),
    ),
    "convtranspose_pads": (
        S,
        K,
        {"stride": (3, 2), "padding": (1, 2)},
        ((1, 1), (2, 2)),
        (1, 2, 7, 3),
    ),
    "convtranspose_dilations": (S, (1, 1, 2, 2), {"dilation": 2}, ((0, 0), (0, 0)), (1, 1, 5, 5)),
    "convtranspose_autopad_same": (
        S,
        K,
        {"stride": 2, "padding": "same"},
        ((0, 1), (0, 1)),
        (1, 2, 6, 6),
    ),
    "convtranspose_group_2": ((1, 2, 3, 3), G, {"groups": 2}, ((0, 0), (0, 0)), (1, 2, 5, 5)),
    "convtranspose_group_2_image_3": (
        (3, 2, 3, 3),
        G,
        {"groups": 2},
        ((0, 0), (0, 0)),
        (3, 2, 5, 5),
    ),
}


@pytest.mark.parametrize("name", ONNX)
def test_onnx_node(name):
    x, w, options, sides, shape = ONNX[name]
    assert check_transposed(*arrays(x, w), options, sides).shape == shape


@pytest.fixture(scope="module")
def nodes():
    """The node, input and output of each case of the ONNX project, as it comes with its package."""
    pytest.importorskip("onnx")
    from onnx.backend.test.case.node import convtranspose

    found = {}

    def expect(node, inputs, outputs, name):
        found[name.removeprefix("test_")] = node, inputs, outputs

    with mock.patch.object(convtranspose, "expect", expect):
        for name, export in vars(convtranspose.ConvTranspose).items():
            if name.startswith("export"):
                export.__func__()
    return found


def test_onnx_has_no_other_node(nodes):
    assert set(nodes) == set(ONNX)


@pytest.mark.parametrize("name", ONNX)
def test_onnx_node_by_its_own_values(name, nodes):
    _, (x, w), (y,) = nodes[name]
    assert (x.shape, w.shape, y.shape) == (ONNX[name][0], ONNX[name][1], ONNX[name][4])
    function = getattr(tconv, f"conv_transpose{x.ndim - 2}d")
    assert_same(function(x, w, **ONNX[name][2]), y)


def run_node(node, x, w):
    """What ONNX Runtime computes."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip((*node.input, *node.output), (x.shape, w.shape, None), strict=True)
    ]
    graph = helper.make_graph([node], "graph", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip(node.input, (x, w), strict=True)))[0]


@pytest.mark.parametrize("name", ONNX)
def test_onnx_node_by_onnxruntime(name, nodes):
    x, w, options, _, _ = ONNX[name]
    x, w = arrays(x, w)
    y = getattr(tconv, f"conv_transpose{x.ndim - 2}d")(x, w, **options)
    assert_same(y, run_node(nodes[name][0], x, w))


lengths = st.integers(1, 7)
kernels = st.integers(1, 6)
steps = st.integers(1, 4)


@given(lengths, kernels, steps, steps, st.sampled_from(("SAME_UPPER", "SAME_LOWER")))
def test_same_of_onnx(n, k, s, d, auto_pad):
    """total_padding and its halves as the operator's text has them, of both operators."""
    span, padding = d * (k - 1) + 1, {"SAME_UPPER": "same", "SAME_LOWER": "same_lower"}[auto_pad]
    x, w = arrays((1, 2, n), (2, 2, k))
    options = {"stride": s, "dilation": d, "padding": padding}
    for check, total in (
        (check_transposed, s * (n - 1) + span - s * n),
        (check_conv, max((-(-n // s) - 1) * s + span - n, 0)),
    ):
        if total >= 0:  # what a negative half is, it leaves open
            half = total // 2, total - total // 2
            check(x, w, options, (half if auto_pad == "SAME_UPPER" else half[::-1],))


@pytest.mark.parametrize("auto_pad", ("SAME_UPPER", "SAME_LOWER"))
@pytest.mark.parametrize(("n", "k", "s"), [(5, 4, 1), (5, 3, 2), (6, 4, 2), (4, 5, 2), (4, 3, 3)])
def test_same_by_onnxruntime(n, k, s, auto_pad):
    helper = pytest.importorskip("onnx").helper
    padding = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower"}[auto_pad]
    x, w = arrays((1, 2, n), (2, 2, k))
    for operator, function in (("ConvTranspose", tconv.conv_transpose1d), ("Conv", tconv.conv1d)):
        node = helper.make_node(operator, ["x", "w"], ["y"], auto_pad=auto_pad, strides=[s])
        assert_same(function(x, w, stride=s, padding=padding), run_node(node, x, w))


# ---- JAX ----


def jax_transposed(x, w, s, d, padding):
    """jax.lax.conv_transpose(..., transpose_kernel=True): the spaced-out input, padded by rule."""
    span = d * (w.shape[-1] - 1) + 1
    total = span + s - 2 + (max(span - s, 0) if padding == "VALID" else 0)
    before = span - 1 if padding == "VALID" or s > span - 1 else -(-total // 2)
    wide = zero_pad(functional.space_out(x, (s,)), ((before, total - before),))
    return reference.conv(wide, w.swapaxes(0, 1)[..., ::-1], dilation=d)


@given(lengths, kernels, steps, steps)
def test_padding_of_jax(n, k, s, d):
    """SAME is "same", also where the kernel is shorter than the stride; VALID fills the strides."""
    span = d * (k - 1) + 1
    x, w = arrays((1, 2, n), (2, 3, k))
    options = {"stride": s, "dilation": d}
    before = max(span - s, 0) // 2
    for name, padding, sides in (
        ("SAME", "same", (before, span - s - before)),
        ("VALID", ((0, -max(s - span, 0)),), (0, -max(s - span, 0))),
    ):
        y = check_transposed(x, w, {**options, "padding": padding}, (sides,))
        assert_same(y, jax_transposed(x, w, s, d, name))


# ---- torch ----

# Input, weight and options of the sample inputs that PyTorch tests its gradients with.
SAMPLES = {
    "1d, all options": ((1, 3, 4), (3, 3, 3), {"stride": 2, "padding": 2, "output_padding": 1}),
    "1d, output_padding 2 and dilation": (
        (2, 2, 4),
        (2, 2, 4),
        {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2, "dilation": 4},
    ),
    "1d, dilation": (
        (1, 1, 4),
        (1, 1, 4),
        {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 2},
    ),
    "1d, two channels": (
        (1, 1, 4),
        (1, 2, 3),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    "1d, defaults": ((1, 4, 5), (4, 8, 3), {}),
    "2d, all options": (
        (1, 3, 4, 4),
        (3, 3, 3, 3),
        {"stride": 2, "padding": 2, "output_padding": 1},
    ),
    "2d, output_padding above stride": (
        (2, 2, 4, 4),
        (2, 2, 4, 5),
        {
            "stride": (3, 2),
            "padding": (1, 2),
            "output_padding": (2, 3),
            "groups": 2,
            "dilation": (4, 4),
        },
    ),
    "2d, dilations": (
        (1, 1, 4, 5),
        (1, 1, 4, 3),
        {"stride": 2, "padding": 1, "output_padding": 1, "dilation": (2, 3)},
    ),
    "2d, two channels": (
        (1, 1, 4, 3),
        (1, 2, 3, 4),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    "2d, depthwise": ((2, 4, 4, 4), (4, 1, 3, 3), {"groups": 4}),
    "2d, defaults": ((1, 2, 5, 5), (2, 4, 3, 3), {}),
    "3d, all options": (
        (1, 3, 4, 4, 4),
        (3, 3, 3, 3, 3),
        {"stride": 2, "padding": 2, "output_padding": 1},
    ),
    "3d, everything different": (
        (2, 2, 4, 4, 4),
        (2, 2, 4, 5, 6),
        {
            "stride": (3, 2, 1),
            "padding": (1, 2, 3),
            "output_padding": (2, 3, 1),
            "groups": 2,
            "dilation": 4,
        },
    ),
    "3d, dilations": (
        (1, 1, 4, 5, 2),
        (1, 1, 4, 3, 1),
        {"stride": 2, "padding": 1, "output_padding": 1, "dilation": (2, 3, 2)},
    ),
    "3d, two channels": (
        (1, 1, 4, 3, 4),
        (1, 2, 3, 4, 5),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    "3d, defaults": ((1, 4, 5, 5, 5), (4, 8, 3, 3, 3), {}),
}


@pytest.mark.parametrize("dtype", ("float64", "complex128"))
@pytest.mark.parametrize("name", SAMPLES)
def test_sample_of_torch(name, dtype):
    """Values by the definition."""
    x, w, options = SAMPLES[name]
    rank = len(x) - 2
    of_axis = [functional.per_axis(options.get(o, 0), rank) for o in ("padding", "output_padding")]
    sides = tuple((p, p - extra) for p, extra in zip(*of_axis, strict=True))
    x, w = arrays(x, w, dtype)
    y = check_transposed(x, w, options, sides)
    assert_same(check_transposed(x[0], w, options, sides), y[0])


@pytest.mark.parametrize("dtype", ("float64", "complex128"))
@pytest.mark.parametrize("name", SAMPLES)
def test_sample_by_torch(name, dtype):
    """torch's result and its gradients, which have the conjugates of what they multiply with."""
    torch = pytest.importorskip("torch")
    x, w, options = SAMPLES[name]
    op = f"conv_transpose{len(x) - 2}d"
    x, w = arrays(x, w, dtype)
    b = arrays((w.shape[1] * options.get("groups", 1),), (1,), dtype)[0]
    tensors = [torch.from_numpy(array).requires_grad_() for array in (x, w, b)]
    expected = getattr(torch.nn.functional, op)(*tensors, **options)
    y = getattr(tconv, op)(x, w, b, **options)
    assert_same(y, expected.detach().numpy())
    gy = arrays(y.shape, (1,), dtype)[0]
    expected.backward(torch.from_numpy(gy))
    gx, gw, gb = (tensor.grad.numpy() for tensor in tensors)
    of_input, of_weight = (getattr(tconv.grad, f"{op}_{of}") for of in ("input", "weight"))
    assert_same(of_input(x.shape, w.conj(), gy, **options), gx)
    assert_same(of_weight(x.conj(), w.shape, gy, **options), gw)
    assert_same(tconv.grad.bias(gy), gb)


# ---- sizes asked for ----


@pytest.mark.parametrize("size", (12, (12, 12), [12, 12], np.array([12, 12]), np.int64(12)))
def test_output_size(size):
    x, w = arrays((2, 4, 5, 5), (4, 2, 3, 3))
    y = check_transposed(x, w, {"stride": 2, "output_size": size}, ((0, -1),) * 2)
    assert y.shape == (2, 2, 12, 12)


@pytest.mark.parametrize("layout", ("NCHW", "NHWC"))
def test_output_size_of_another_image(layout):
    """A decoder that returns to what its encoder began with, whatever the stride left over."""
    x, w = arrays((1, 2, 11, 8), (4, 2, 3, 3))
    image = np.moveaxis(x, 1, layout.index("C"))
    options = {"stride": (3, 2), "padding": 1, "layout": layout}
    small = tconv.conv2d(image, w, **options)
    back = tconv.conv_transpose2d(small, w, output_size=image, **options)
    assert back.shape == image.shape
    assert_same(back, tconv.grad.conv2d_input(image.shape, w, small, **options))
    assert_same(tconv.plan("conv_transpose2d", w, **options)(small, output_size=image), back)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (3, 1), (2, 5), (4, 4)])
def test_every_output_padding(stride, dilation):
    """Up to the larger of stride and dilation, and each is a size."""
    x, w = arrays((1, 2, 4), (2, 3, 3))
    base = {"stride": stride, "dilation": dilation}
    whole = reference.conv_transpose(x, w, **base).shape[-1]
    for extra in range(max(stride, dilation)):
        y = check_transposed(x, w, {**base, "output_padding": extra}, ((0, -extra),))
        assert_same(tconv.conv_transpose1d(x, w, **base, output_size=whole + extra), y)
    for beyond in ({"output_padding": extra + 1}, {"output_size": whole + extra + 1}):
        with pytest.raises(ValueError, match=r"output_(padding|size) must be"):
            tconv.conv_transpose1d(x, w, **base, **beyond)


@pytest.mark.parametrize("sides", [((-1, 2), (3, -2)), ((-3, 0), (0, 5)), ((2, 0), (-4, 1))])
def test_pairs(sides):
    x, w = arrays((2, 2, 6, 7), (2, 2, 3, 2))
    options = {"stride": 2, "padding": sides}
    check_transposed(x, w, options, sides)
    check_conv(x, w, options, sides)


# ---- refusals ----

X, W, C = np.ones((1, 4, 5, 5), "f"), np.ones((4, 2, 3, 3), "f"), np.ones((2, 4, 3, 3), "f")


def ones(*shape):
    return np.ones(shape, "f")


def transposed(x=X, w=W, b=None, **options):
    return "conv_transpose2d", (x, w, b), options


def conv(x=X, w=C, b=None, **options):
    return "conv2d", (x, w, b), options


REFUSALS = {
    "input of two dimensions": (
        transposed(ones(5, 5)),
        "input must have 4 dimensions, or 3 without",
    ),
    "weight of one dimension": (transposed(w=ones(3)), "weight must have 4 dimensions"),
    "channels": (transposed(ones(1, 3, 5, 5)), "input has 3 channels, but weight expects 4"),
    "channels divided": (transposed(groups=3), "divisible by groups, got 4 and 3"),
    "no group": (transposed(groups=0), "groups must be >= 1, got 0"),
    "negative groups": (transposed(groups=-1), "groups must be >= 1, got -1"),
    "stride 0": (transposed(stride=0), "stride must be >= 1"),
    "negative stride": (transposed(stride=-1), "stride must be >= 1"),
    "dilation 0": (transposed(dilation=0), "dilation must be >= 1"),
    "negative dilation": (transposed(dilation=-1), "dilation must be >= 1"),
    "bias": (transposed(b=ones(3)), "bias must have 2 elements"),
    "dtypes": (transposed(w=W.astype("d")), r"weight.astype\('float32'\)"),
    "three strides": (transposed(stride=(1, 1, 1)), "a sequence of 2 ints, got 3"),
    "stride of float": (transposed(stride=1.0), "stride must be an int"),
    "stride of bool": (transposed(stride=True), "stride must be an int"),
    "negative padding": (transposed(padding=-1), "padding must be >= 0"),
    "negative output_padding": (transposed(output_padding=-1), "output_padding must be >= 0"),
    "output_padding": (transposed(output_padding=1), "smaller than stride or dilation"),
    "nothing left": (transposed(padding=4), "output length would be -1"),
    "no channels": (transposed(ones(1, 0, 5, 5), ones(0, 2, 3, 3)), "length 0"),
    "no rows": (transposed(ones(1, 4, 0, 5)), "length 0"),
    "no output channels": (transposed(w=ones(4, 0, 3, 3)), "length 0"),
    "no kernel": (transposed(w=ones(4, 2, 0, 3)), "length 0"),
    "unknown padding": (transposed(padding="full"), "padding must be numbers, 'valid'"),
    "bool": (transposed(X.astype(bool), W.astype(bool)), "dtype bool, which is not supported"),
    "conv, kernel above input": (conv(w=ones(2, 4, 7, 7)), "the kernel does not fit"),
    "conv, channels": (conv(w=ones(2, 3, 3, 3)), "input has 4 channels, but weight expects 3"),
    "conv, groups": (conv(groups=3), "divisible by groups"),
    "conv, four paddings": (conv(padding=(1, 1, 1, 1)), "got 4"),
    "conv, negative padding": (conv(padding=-1), "padding must be >= 0"),
    "conv, bias": (conv(b=ones(3)), "bias must have 2 elements"),
    "conv, dtype of the bias": (conv(b=np.ones(2)), r"bias.astype\('float32'\)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_both_refuse(name):
    torch = pytest.importorskip("torch")
    (op, arguments, options), text = REFUSALS[name]
    tensors = [None if a is None else torch.from_numpy(a) for a in arguments]
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        getattr(torch.nn.functional, op)(*tensors, **options)
    with pytest.raises((TypeError, ValueError), match=text):
        getattr(tconv, op)(*arguments, **options)


@pytest.mark.parametrize("size", ((10, 10), (13, 13)))
def test_both_refuse_a_size(size):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="valid sizes range from"):
        torch.nn.ConvTranspose2d(4, 2, 3, stride=2)(torch.from_numpy(X), output_size=size)
    with pytest.raises(ValueError, match="output_size must be from 11 to 12"):
        tconv.conv_transpose2d(X, W, stride=2, output_size=size)


def test_both_refuse_a_gradient_of_another_size():
    torch = pytest.importorskip("torch")
    gy = ones(1, 2, 4, 4)
    x, w, g = (torch.from_numpy(a) for a in (X, C, gy))
    for theirs, ours, arguments in (
        (torch.nn.grad.conv2d_input, tconv.grad.conv2d_input, (X.shape, C, gy)),
        (torch.nn.grad.conv2d_weight, tconv.grad.conv2d_weight, (X, C.shape, gy)),
    ):
        tensors = (x.shape, w, g) if ours is tconv.grad.conv2d_input else (x, w.shape, g)
        with pytest.raises(RuntimeError):
            theirs(*tensors)
        with pytest.raises(ValueError, match=r"the shape of the output, \(1, 2, 3, 3\)"):
            ours(*arguments)


def test_both_take_an_empty_batch():
    torch = pytest.importorskip("torch")
    y = torch.nn.functional.conv_transpose2d(torch.ones(0, 4, 5, 5), torch.from_numpy(W))
    assert_same(tconv.conv_transpose2d(ones(0, 4, 5, 5), W), y.numpy())


# What torch refuses and tconv computes: the call, and the sides that it means.
BEYOND = {
    "same": (transposed(padding="same"), ((1, 1), (1, 1))),
    "same and stride": (transposed(padding="same", stride=2), ((0, 1), (0, 1))),
    "pairs": (transposed(padding=((1, 0), (2, 1))), ((1, 0), (2, 1))),
    "int8": (transposed(X.astype("b"), W.astype("b")), ((0, 0), (0, 0))),
    "conv, same and stride": (conv(padding="same", stride=2), ((1, 1), (1, 1))),
    "conv, pairs": (conv(padding=((1, 0), (2, -1))), ((1, 0), (2, -1))),
}


@pytest.mark.parametrize("name", BEYOND)
def test_torch_refuses(name):
    torch = pytest.importorskip("torch")
    (op, arguments, options), sides = BEYOND[name]
    tensors = [torch.from_numpy(a) for a in arguments[:2]]
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        getattr(torch.nn.functional, op)(*tensors, **options)
    check = check_conv if op == "conv2d" else check_transposed
    check(*arguments[:2], options, sides)


def test_torch_takes_a_bias_of_another_dtype():
    """In transposed convolutions alone, and rounds it."""
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(a) for a in (X, W, np.full(2, 1 / 3))]
    y = torch.nn.functional.conv_transpose2d(*tensors).numpy()
    with pytest.raises(TypeError, match=r"bias.astype\('float32'\)"):
        tconv.conv_transpose2d(X, W, np.full(2, 1 / 3))
    assert y.dtype == np.float32
