"""Folding a batch normalization: weights, groups, dtypes, and the texts of refusals."""

import numpy as np
import pytest
from support import integers, reals

import tconv

EPS = 1e-3
STATISTICS = ("mean", "var", "gamma", "beta")
KINDS = [(transposed, groups) for transposed in (False, True) for groups in (1, 2, 4)]
every_kind = pytest.mark.parametrize(
    ("transposed", "groups"), KINDS, ids=lambda value: str(value).lower()
)


def layer(rng, rank, transposed, groups, dtype="float32"):
    """Input, weight and bias of a layer with 4 input and 12 output channels."""
    ci, co = 4, 12
    shape = (ci, co // groups) if transposed else (co, ci // groups)
    w = reals(rng, shape + (3, 2, 3)[:rank], dtype)
    return reals(rng, (2, ci, *(6, 5, 4)[:rank]), dtype), w, reals(rng, (co,), dtype)


def statistics(rng, dtype="float32", co=12):
    mean, gamma, beta = (reals(rng, (co,), dtype) for _ in range(3))
    return {"mean": mean, "var": reals(rng, (co,), dtype) ** 2, "gamma": gamma, "beta": beta}


def convolve(x, w, b, transposed, groups):
    """In float64."""
    family = "conv_transpose" if transposed else "conv"
    function = getattr(tconv, f"{family}{w.ndim - 2}d")
    x, w, b = (a.astype(np.float64) for a in (x, w, b))
    return function(x, w, b, stride=2, padding=1, groups=groups)


def by_channel(vector, y):
    return vector.astype(np.float64).reshape(-1, *(1,) * (y.ndim - 2))


def normalize(y, mean, var, gamma, beta, eps):
    mean, var, gamma, beta = (by_channel(v, y) for v in (mean, var, gamma, beta))
    return gamma * (y - mean) / np.sqrt(var + eps) + beta


def bound(x, w, b, transposed, groups, mean, var, gamma, beta):
    """The most that folding may change, for each output.

    Weight and bias are rounded once to the dtype; all else, on either side, is float64: K products
    and a sum of them, and for each side fewer than 8 operations around it.
    """
    u, wide = np.finfo(w.dtype).eps / 2, np.finfo(np.float64).eps / 2
    k = 2 * ((w[:, 0] if transposed else w[0]).size + 8)
    gamma_k = k * wide / (1 - k * wide)
    magnitude = convolve(abs(x), abs(w), abs(b), transposed, groups)
    scale = abs(by_channel(gamma, magnitude)) / np.sqrt(by_channel(var, magnitude) + EPS)
    terms = scale * (magnitude + abs(by_channel(mean, magnitude)))
    return (u + gamma_k) * (1 + u) * (terms + abs(by_channel(beta, magnitude)))


@every_kind
@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_is_what_the_two_do_in_turn(rank, transposed, groups, dtype, rng):
    x, w, b = layer(rng, rank, transposed, groups, dtype)
    bn = statistics(rng, dtype)
    before = [a.copy() for a in (w, b, *bn.values())]
    fused, bias = tconv.fuse_conv_bn(w, b, **bn, eps=EPS, transposed=transposed, groups=groups)
    assert (fused.dtype, bias.dtype, fused.shape, bias.shape) == (dtype, dtype, w.shape, b.shape)
    y = convolve(x, fused, bias, transposed, groups)
    expected = normalize(convolve(x, w, b, transposed, groups), **bn, eps=EPS)
    assert np.all(abs(y - expected) <= bound(x, w, b, transposed, groups, **bn))
    for a, former in zip((w, b, *bn.values()), before, strict=True):
        assert np.array_equal(a, former)
        assert not np.shares_memory(fused, a)
        assert not np.shares_memory(bias, a)


@every_kind
def test_each_channel_gets_its_scale(transposed, groups):
    """A power of two for each output channel, by the definition with loops."""
    co, ci = 12, 4
    gamma = 2.0 ** np.arange(co)
    w = np.ones((ci, co // groups, 1) if transposed else (co, ci // groups, 1), "f")
    one, zero = np.ones(co), np.zeros(co)
    fused, bias = tconv.fuse_conv_bn(
        w, None, zero, one, gamma, eps=0, transposed=transposed, groups=groups
    )
    assert not bias.any()
    for c in range(co):
        group, j = divmod(c, co // groups)
        rows = slice(group * ci // groups, (group + 1) * ci // groups)
        assert np.all((fused[rows, j] if transposed else fused[c]) == gamma[c])


def test_what_is_left_out(rng):
    _, w, b = layer(rng, 2, True, 2)
    bn = statistics(rng)
    zeros, ones = np.zeros(12, "f"), np.ones(12, "f")
    options = {"transposed": True, "groups": 2}
    for short, full in (
        ((None, bn["mean"], bn["var"]), (zeros, bn["mean"], bn["var"], ones, zeros, 1e-5)),
        ((b, *bn.values()), (b, *bn.values(), 1e-5)),
        ((b, bn["mean"], bn["var"], None, b), (b, bn["mean"], bn["var"], ones, b)),
    ):
        results = tconv.fuse_conv_bn(w, *short, **options), tconv.fuse_conv_bn(w, *full, **options)
        for result, expected in zip(*results, strict=True):
            assert np.array_equal(result, expected)


def test_takes_what_the_functions_take(rng):
    _, w, b = layer(rng, 1, True, 4)
    bn = statistics(rng)
    options = {"eps": EPS, "transposed": True, "groups": 4}
    expected = tconv.fuse_conv_bn(w, b, **bn, **options)

    class Producer:
        def __init__(self, memory):
            self.memory = memory

        def __dlpack__(self, **keywords):
            return self.memory.__dlpack__(**keywords)

        def __dlpack_device__(self):
            return 1, 0

    for weight, take in (
        (w[..., ::-1].copy()[..., ::-1], lambda a: np.repeat(a, 2)[::2]),
        (np.asfortranarray(w), np.float64),
        (w.astype(w.dtype.newbyteorder()), lambda a: a.tolist()),
        (Producer(w), Producer),
    ):
        vectors = {name: take(vector) for name, vector in bn.items()}
        results = tconv.fuse_conv_bn(weight, take(b), **vectors, **options)
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype.isnative
            assert np.array_equal(result, wanted)
    whole = tconv.fuse_conv_bn(w, None, [0] * 12, [4] * 12, **{**options, "eps": 0})[0]
    assert np.array_equal(whole, w / 2)


# ---- torch ----


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def modules(torch, rng, rank, transposed, groups):
    """The two layers in torch, for inference, in float64."""
    family = "ConvTranspose" if transposed else "Conv"
    conv = getattr(torch.nn, f"{family}{rank}d")(4, 12, 3, stride=2, groups=groups)
    bn = getattr(torch.nn, f"BatchNorm{rank}d")(12, eps=EPS)
    arrays = statistics(rng, "float64")
    names = dict(
        zip(("running_mean", "running_var", "weight", "bias"), arrays.values(), strict=True)
    )
    bn.load_state_dict({name: torch.from_numpy(a) for name, a in names.items()}, strict=False)
    return conv.double().eval(), bn.double().eval()


def fused_by_tconv(conv, bn, transposed, groups):
    arrays = conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.weight, bn.bias
    return tconv.fuse_conv_bn(
        *(tensor.detach() for tensor in arrays), bn.eps, transposed=transposed, groups=groups
    )


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize(("transposed", "groups"), [k for k in KINDS if k not in ((1, 2), (1, 4))])
def test_is_torchs(torch, rank, transposed, groups, rng):
    """torch folds no groups of transposed convolutions."""
    conv, bn = modules(torch, rng, rank, transposed, groups)
    whole = torch.nn.utils.fuse_conv_bn_eval(conv, bn, transpose=transposed)
    fused, bias = fused_by_tconv(conv, bn, transposed, groups)
    few = 16 * np.finfo(float).eps
    w, v = whole.weight.detach().numpy(), whole.bias.detach().numpy()
    assert np.all(abs(fused - w) <= few * abs(w))
    scale = abs(bn.weight / torch.sqrt(bn.running_var + bn.eps)).detach().numpy()
    terms = [abs(t.detach().numpy()) for t in (conv.bias, bn.running_mean, bn.bias)]
    assert np.all(abs(bias - v) <= few * (scale * (terms[0] + terms[1]) + terms[2]))


@pytest.mark.parametrize("rank", (1, 2, 3))
@every_kind
def test_does_what_torchs_layers_do(torch, rank, transposed, groups, rng):
    conv, bn = modules(torch, rng, rank, transposed, groups)
    x = torch.from_numpy(reals(rng, (2, 4, *(7,) * rank), "float64"))
    function = getattr(tconv, f"conv{'_transpose' if transposed else ''}{rank}d")
    y = function(x, *fused_by_tconv(conv, bn, transposed, groups), stride=2, groups=groups)
    with torch.no_grad():
        expected = bn(conv(x)).numpy()
        w, b = abs(conv.weight), abs(conv.bias)
        magnitude = function(abs(x), w, b, stride=2, groups=groups)
        scale = abs(bn.weight / torch.sqrt(bn.running_var + EPS)).numpy()
    terms = by_channel(scale, y) * (magnitude + abs(by_channel(bn.running_mean.numpy(), y)))
    k = 2 * (4 * 3**rank + 8) * np.finfo(float).eps
    assert np.all(abs(y - expected) <= k * (terms + abs(by_channel(bn.bias.detach().numpy(), y))))


def test_parameters_of_torch_must_be_detached(torch, rng):
    conv, bn = modules(torch, rng, 1, False, 1)
    with pytest.raises(
        TypeError, match=r"weight, of type Parameter, cannot .*detach\(\)"
    ) as caught:
        tconv.fuse_conv_bn(conv.weight, None, bn.running_mean, bn.running_var)
    assert isinstance(caught.value.__cause__, RuntimeError)


# ---- refusals ----

W, V = np.ones((4, 3, 2), "f"), np.ones(4, "f")
GOT = "Got weight (4, 3, 2) [out, in/groups, k], "

ROWS = {
    "weight None": ((None, None, V, V), {}, TypeError, "weight must be an array, got None"),
    "weight of ints": (
        (W.astype(int), None, V, V),
        {},
        TypeError,
        "weight has dtype int64, which is not supported (float32 and float64 are); convert it, as "
        "in np.asarray(weight, 'float32')",
    ),
    "weight of text": (("a", None, V, V), {}, TypeError, "weight must be real numbers, got dtype"),
    "weight complex": ((W * 1j, None, V, V), {}, TypeError, "real numbers, got dtype complex64"),
    "weight ragged": (([[1], [1, 2]], None, V, V), {}, TypeError, "weight, of type list, cannot"),
    "weight masked": (
        (np.ma.masked_equal(W, 1), None, V, V),
        {},
        TypeError,
        "weight is a masked array, and its mask would be lost; pass weight.filled(value)",
    ),
    "weight 2-d": (
        (W[0], None, V, V),
        {},
        ValueError,
        "weight must have 3 to 5 dimensions (out, in/groups, *kernel), got 2. "
        "Got weight (3, 2), mean (4,), var (4,), groups=1.",
    ),
    "weight 6-d": (
        (W.reshape(1, 1, 1, 4, 3, 2), None, V, V),
        {"transposed": True},
        ValueError,
        "weight must have 3 to 5 dimensions (in, out/groups, *kernel), got 6",
    ),
    "weight of length 0": (
        (W[:, :0], None, V[:0], V[:0]),
        {"transposed": True},
        ValueError,
        "weight must not have an axis of length 0",
    ),
    "mean None": ((W, None, None, V), {}, TypeError, "mean must be an array, got None"),
    "var None": ((W, None, V, None), {}, TypeError, "var must be an array, got None"),
    "bias of objects": (
        (W, V.astype(object), V, V),
        {},
        TypeError,
        "bias must be real numbers, got dtype object",
    ),
    "gamma bool": ((W, None, V, V, V > 0), {}, TypeError, "gamma must be real numbers, got"),
    "bias too short": (
        (W, V[1:], V, V),
        {},
        ValueError,
        "bias must have shape (4,), one element an output channel, got (3,). "
        f"{GOT}bias (3,), mean (4,), var (4,), groups=1.",
    ),
    "mean 2-d": ((W, None, V[None], V), {}, ValueError, "mean must have shape (4,)"),
    "var 0-d": ((W, None, V, 1.0), {}, ValueError, "var must have shape (4,)"),
    "gamma too long": ((W, None, V, V, np.ones(5)), {}, ValueError, "gamma must have shape (4,)"),
    "beta empty": ((W, None, V, V, V, []), {}, ValueError, "beta must have shape (4,)"),
    "of the other family": (
        (W, None, V, V),
        {"transposed": True, "groups": 2},
        ValueError,
        "mean must have shape (6,), one element an output channel, got (4,). "
        "Got weight (4, 3, 2) [in, out/groups, k], mean (4,), var (4,), groups=2.",
    ),
    "var + eps negative": (
        (W, None, V, np.array([1, 1, -0.5, 1])),
        {},
        ValueError,
        f"var + eps must be > 0, got -0.5 + 1e-05 (channel 2). {GOT}",
    ),
    "var + eps zero": ((W, None, V, 0 * V), {"eps": 0}, ValueError, "got 0.0 + 0 (channel 0)"),
    "var nan": ((W, None, V, V * np.nan), {}, ValueError, "got nan + 1e-05 (channel 0)"),
    "eps nan": ((W, None, V, V), {"eps": np.nan}, ValueError, "got 1.0 + nan (channel 0)"),
    "eps str": ((W, None, V, V), {"eps": "1e-5"}, TypeError, "eps must be a real number, got str"),
    "eps None": ((W, None, V, V), {"eps": None}, TypeError, "eps must be a real number, got None"),
    "groups 0": ((W, None, V, V), {"groups": 0}, ValueError, "groups must be >= 1, got 0"),
    "groups float": ((W, None, V, V), {"groups": 2.0}, TypeError, "groups must be an int, got f"),
    "groups bool": ((W, None, V, V), {"groups": True}, TypeError, "groups must be an int, got b"),
    "groups 3": (
        (W, None, V, V),
        {"groups": 3},
        ValueError,
        "the number of output channels must be divisible by groups, got 4 and 3. "
        f"{GOT}mean (4,), var (4,), groups=3.",
    ),
    "groups 3, transposed": (
        (W, None, V, V),
        {"groups": 3, "transposed": True},
        ValueError,
        "the number of input channels must be divisible by groups, got 4 and 3",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_refusals(row):
    arguments, options, exception, text = ROWS[row]
    with pytest.raises(exception) as caught:
        tconv.fuse_conv_bn(*arguments, **options)
    assert str(caught.value).startswith("fuse_conv_bn: ")
    assert text in str(caught.value)


def test_a_negative_variance_that_eps_makes_up_for(rng):
    w = integers(rng, (4, 3, 2), "float32")
    fused, _ = tconv.fuse_conv_bn(w, None, V, np.full(4, -1.0), eps=5)
    assert np.array_equal(fused, w / 2)
