"""tconv.torch: gradients to the second order in both modes, torch's own results, no copies."""

import tracemalloc

import numpy as np
import pytest
from support import arguments_of, arrays_of, each_problem, gradients, integers, reals

from tconv import problems

torch = pytest.importorskip("torch")

import tconv.torch as bridged  # noqa: E402

PROBLEMS = [
    problems.parse(string)
    for string in (
        "ct1d_n2_ci4_iw3_co6_k3_s2_p1_op1_g2_f64",
        "c1d_n2_ci4_iw7_co6_k3_s2_p1_d2_g2_f64",
        "c1d_n1_ci2_iw5_co3_k3_s1_p2_circular_f64",
        "ct2d_n2_ci2_ih3_iw2_co3_k3x2_s2x1_p1x0_f64",
        "ct2d_n1_ci2_ih2_iw2_co3_k4_s2_p1_nhwc_f64",
        "c2d_n1_ci2_ih3_iw4_co3_k3_s1_p1_nhwc_nchw_f64",
        "c2d_n1_ci2_ih4_iw3_co3_k3_s1_p1_reflect_f64",
        "ct2d_n1_ci2_ih2_iw2_co2_k3_s2_p1_c128",
        "c2d_n1_ci2_ih3_iw3_co2_k2_s1_p0_c128",
        "ct3d_n1_ci2_id2_ih2_iw2_co2_k2_s2_p0_f64",
        "c3d_n1_ci2_id3_ih2_iw2_co2_k2_s1_p0_f64",
    )
]
forward = each_problem(PROBLEMS)
backward = each_problem([g for p in PROBLEMS for g in gradients(p)])


def fill(rng, shape, dtype):
    if np.dtype(dtype).kind == "c":
        return (reals(rng, shape, dtype) + 1j * reals(rng, shape, dtype)).astype(dtype)
    return reals(rng, shape, dtype)


def leaves(arrays):
    return [torch.from_numpy(array).requires_grad_() for array in arrays]


def check(function, tensors):
    assert torch.autograd.gradcheck(function, tensors, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


# ---- derivatives ----


@forward
def test_forward(problem, rng):
    x, w, b = leaves(arrays_of(problem, rng, fill))
    function = getattr(bridged, problem.op)
    check(lambda x, w: function(x, w, **problem.options), (x, w))
    check(lambda x, w, b: function(x, w, b, **problem.options), (x, w, b))


@backward
def test_gradients(problem, rng):
    arguments = arguments_of(problem, rng, fill)
    where = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray)]

    def function(*tensors):
        filled = list(arguments)
        for i, tensor in zip(where, tensors, strict=True):
            filled[i] = tensor
        return getattr(bridged, problem.op)(*filled, **problem.options)

    check(function, leaves(arguments[i] for i in where))


def test_only_the_bias_changes(rng):
    """Forward mode without a change of input and weight."""
    x, w, b = (torch.from_numpy(reals(rng, s, "float64")) for s in ((1, 2, 5), (2, 3, 4), (3,)))
    _, tangent = torch.func.jvp(
        lambda b: bridged.conv_transpose1d(x, w, b), (b,), (torch.ones_like(b),)
    )
    assert torch.equal(tangent, torch.ones(1, 3, 8, dtype=torch.float64))


@pytest.mark.parametrize("name", ["conv1d", "conv_transpose1d"])
def test_functional_transforms(name, rng):
    x, w = (torch.from_numpy(integers(rng, s, "float64")) for s in ((1, 2, 5), (2, 2, 4)))
    found, expected = (
        torch.func.grad(lambda w, m=module: (getattr(m, name)(x, w) ** 3).sum())(w)
        for module in (bridged, torch.nn.functional)
    )
    assert torch.equal(found, expected)
    assert found.any()


# ---- torch's own ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("family", ["conv", "conv_transpose"])
def test_the_place_of_torch_functions(family, rank, dtype, rng):
    """Positional arguments, results and gradients, on whole numbers that every dtype holds."""
    if dtype == torch.bfloat16:
        pytest.importorskip("ml_dtypes")
    name = f"{family}{rank}d"
    options = (2, 1, 1, 2, 1) if family == "conv_transpose" else (2, 1, 1, 2)
    x = integers(rng, (2, 2, *(3,) * rank), "float32", 2)
    w, b = integers(rng, (2, 1, *(3,) * rank), "float32", 1), integers(rng, (2,), "float32", 1)
    results = []
    for module in (bridged, torch.nn.functional):
        tensors = [torch.from_numpy(a).to(dtype).requires_grad_() for a in (x, w, b)]
        y = getattr(module, name)(*tensors, *options)
        results.append([y, *torch.autograd.grad(y.sum(), tensors)])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == dtype
        assert torch.equal(found, expected)


def test_a_module(rng):
    class Upsampling(torch.nn.ConvTranspose1d):
        def forward(self, input):
            return bridged.conv_transpose1d(
                input,
                self.weight,
                self.bias,
                self.stride,
                self.padding,
                self.output_padding,
                self.groups,
                self.dilation,
            )

    layer = Upsampling(4, 6, 8, stride=4, padding=2).double()
    x = torch.from_numpy(reals(rng, (2, 4, 10), "float64"))
    layer(x).square().sum().backward()
    plain = torch.nn.ConvTranspose1d(4, 6, 8, stride=4, padding=2).double()
    plain.load_state_dict(layer.state_dict())
    plain(x).square().sum().backward()
    for (name, ours), theirs in zip(layer.named_parameters(), plain.parameters(), strict=True):
        scale = theirs.grad.abs().max()
        assert (ours.grad - theirs.grad).abs().max() < 1e-13 * scale, name


# ---- memory ----


def test_tensors_are_read_where_they_are(rng):
    whole = torch.from_numpy(reals(rng, (4, 6, 10), "float32"))
    for tensor in (whole, whole[:, ::2], whole.transpose(0, 2), whole[1:2].expand(3, 6, 10)):
        array = bridged._array(tensor.requires_grad_(tensor is whole))
        assert array.ctypes.data == tensor.data_ptr()
        assert [4 * step for step in tensor.stride()] == list(array.strides)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_arrays_become_tensors_where_they_are(dtype):
    if dtype == torch.bfloat16:
        pytest.importorskip("ml_dtypes")
    array = bridged._array(torch.ones(3, dtype=dtype))
    assert bridged._tensor(array).data_ptr() == array.ctypes.data


def test_nothing_is_copied(rng):
    """Forwards and backwards, NumPy allocates the results and next to nothing else."""
    x, w = leaves([reals(rng, (4, 8, 256, 256), "float32"), reals(rng, (8, 8, 4, 4), "float32")])
    gy = torch.ones(4, 8, 512, 512)
    tracemalloc.start()
    try:
        y = bridged.conv_transpose2d(x, w, stride=2, padding=1, threads=1)
        _, forwards = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        y.backward(gy)
        _, backwards = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    results = y.nbytes + x.nbytes + w.nbytes
    assert y.nbytes <= forwards < y.nbytes + x.nbytes // 2
    assert results <= backwards < results + x.nbytes // 2


def test_channels_last_memory(rng):
    x = torch.from_numpy(integers(rng, (2, 3, 4, 5), "float32"))
    w = torch.from_numpy(integers(rng, (3, 4, 2, 2), "float32"))
    expected = torch.nn.functional.conv_transpose2d(x, w)
    last = x.to(memory_format=torch.channels_last)
    assert torch.equal(bridged.conv_transpose2d(last, w), expected)
    y = bridged.conv_transpose2d(x.permute(0, 2, 3, 1), w, layout="NHWC")
    assert torch.equal(y.permute(0, 3, 1, 2), expected)


# ---- refusals ----


@pytest.mark.parametrize("name", ["input", "weight", "bias"])
def test_tensors_only(name):
    arguments = {
        "input": torch.ones(1, 1, 2),
        "weight": torch.ones(1, 1, 2),
        "bias": torch.ones(1),
    }
    arguments[name] = arguments[name].numpy()
    with pytest.raises(TypeError, match=f"{name} must be a tensor of torch, got ndarray"):
        bridged.conv1d(**arguments)


def test_tensors_of_other_devices():
    with pytest.raises(TypeError, match="meta"):
        bridged.conv1d(torch.ones(1, 1, 2, device="meta"), torch.ones(1, 1, 2))
