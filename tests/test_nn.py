"""tconv.nn: torch's names, values and gradients; plans that follow the weights; saving."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from support import assert_same, integers, reals

import tconv
from tconv import nn

torch = pytest.importorskip("torch")

# Each in the terms of both libraries: constructor, arguments, keywords, shape of an input.
LAYERS = {
    "conv1d": ("Conv1d", (4, 6, 3, 2, 1, 2, 2, False), {}, (2, 4, 9)),
    "conv1d_same": ("Conv1d", (4, 6, 4), {"padding": "same"}, (2, 4, 9)),
    "conv2d": ("Conv2d", (3, 5, (3, 2)), {"stride": (2, 1), "padding": (1, 0)}, (2, 3, 7, 6)),
    "conv2d_one": ("Conv2d", (3, 5, 3), {}, (3, 7, 6)),
    "conv2d_circular": ("Conv2d", (2, 3, 3, 1, 1, 1, 1, True, "circular"), {}, (2, 2, 5, 4)),
    "conv2d_reflect": ("Conv2d", (2, 3, 3, 1, 1), {"padding_mode": "reflect"}, (2, 2, 5, 4)),
    "conv3d": ("Conv3d", (2, 3, 2), {"bias": False}, (1, 2, 3, 4, 3)),
    "convt1d": ("ConvTranspose1d", (4, 6, 5, 3, 2, 1, 2, True, 2), {}, (2, 4, 5)),
    "convt1d_one": ("ConvTranspose1d", (4, 6, 4, 2), {}, (4, 5)),
    "convt2d": ("ConvTranspose2d", (3, 5, 4, 2, 1), {"bias": False}, (2, 3, 4, 3)),
    "convt2d_op": ("ConvTranspose2d", (3, 5, (3, 2), 3, 0, (1, 2)), {}, (2, 3, 4, 3)),
    "convt3d": ("ConvTranspose3d", (2, 4, 3), {"stride": 2, "groups": 2}, (1, 2, 2, 3, 2)),
    "linear": ("Linear", (5, 7), {}, (3, 5)),
    "linear_axes": ("Linear", (5, 7, False), {}, (2, 3, 5)),
    "relu": ("ReLU", (), {}, (3, 4)),
    "leaky_relu": ("LeakyReLU", (0.25,), {}, (3, 4)),
    "flatten": ("Flatten", (), {}, (2, 3, 4, 5)),
    "flatten_some": ("Flatten", (0, -2), {}, (2, 3, 4, 5)),
    "unflatten": ("Unflatten", (-1, (2, -1)), {}, (3, 8)),
}
SMOOTH = {
    "tanh": ("Tanh", (), {}, (3, 4)),
    "sigmoid": ("Sigmoid", (), {}, (3, 4)),
    "bn1d": ("BatchNorm1d", (3,), {}, (8, 3)),
    "bn1d_long": ("BatchNorm1d", (3, 1e-3, 0.3), {}, (4, 3, 5)),
    "bn2d": ("BatchNorm2d", (3,), {"affine": False}, (4, 3, 5, 2)),
    "bn2d_scale": ("BatchNorm2d", (3,), {"bias": False, "momentum": None}, (4, 3, 5, 2)),
    "bn3d": ("BatchNorm3d", (2,), {"track_running_stats": False}, (3, 2, 2, 3, 2)),
}
every = pytest.mark.parametrize("name", LAYERS | SMOOTH)


def make_pair(name, dtype="float64"):
    """A layer and torch's, and the shape of an input."""
    kind, arguments, options, shape = (LAYERS | SMOOTH)[name]
    takes_dtype = kind.startswith(("Conv", "Linear", "BatchNorm"))
    ours = getattr(nn, kind)(*arguments, **options, **({"dtype": dtype} if takes_dtype else {}))
    theirs = getattr(torch.nn, kind)(*arguments, **options)
    return ours, theirs.to(getattr(torch, dtype)), shape


def fill_alike(ours, theirs, rng, fill=integers):
    """The same numbers as parameters of both."""
    for name, tensor in theirs.named_parameters():
        array = fill(rng, tuple(tensor.shape), "float64")
        tensor.data = torch.from_numpy(array).to(tensor.dtype)
        ours.parameters()[name][...] = array


def run_both(ours, theirs, x, rng, fill=integers):
    """Outputs, gradients of the input and of the parameters: ours, torch's."""
    tensor = torch.from_numpy(x).requires_grad_()
    expected = theirs(tensor)
    gy = fill(rng, tuple(expected.shape), x.dtype)
    expected.backward(torch.from_numpy(gy))
    y = ours(x)
    found = {"y": y, "x": ours.backward(gy), **ours.grads}
    wanted = {n: p.grad.numpy() for n, p in theirs.named_parameters()}
    return found, {"y": expected.detach().numpy(), "x": tensor.grad.numpy(), **wanted}


def assert_close(found, expected, operations):
    """Within the roundings of so many operations on numbers as large as the largest."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    bound = operations * np.finfo(expected.dtype).eps * np.abs(expected).max(initial=1)
    assert np.abs(found - expected).max(initial=0) <= bound


# ---- torch's layers ----


@every
def test_words_and_names(name):
    ours, theirs, _ = make_pair(name)
    assert repr(ours) == repr(theirs)
    found, expected = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    for key, tensor in expected.items():
        assert found[key].shape == tuple(tensor.shape)
        assert found[key].dtype == tensor.numpy().dtype
    assert list(ours.parameters()) == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_on_whole_numbers(name, dtype, rng):
    ours, theirs, shape = make_pair(name, dtype)
    fill_alike(ours, theirs, rng)
    found, expected = run_both(ours, theirs, integers(rng, shape, dtype), rng)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert_same(found[key], array)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_layers(name, rng):
    ours, theirs, shape = make_pair(name)
    fill_alike(ours, theirs, rng, reals)
    for _ in range(2):
        ours.zero_grad()
        theirs.zero_grad()
        found, expected = run_both(ours, theirs, 3 + reals(rng, shape, "float64"), rng, reals)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            assert_close(found[key], array, 64 + np.prod(shape))
    for key, tensor in theirs.named_buffers():
        assert_close(ours.state_dict()[key], tensor.numpy(), 64) if tensor.ndim else None
        assert tensor.ndim or ours.state_dict()[key] == 2
    ours.eval()
    theirs.eval()
    x = reals(rng, shape, "float64")
    assert_close(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), 64)


def test_batch_norm_without_rounding(rng):
    """Channels of -1.5 and 1.5, as many of both: mean 0, variance and eps 4, all sums exact."""
    ours, theirs, _ = make_pair("bn1d_long")
    ours.eps = theirs.eps = 1.75
    fill_alike(ours, theirs, rng)
    x = 3.0 * (np.arange(16 * 3) % 2).reshape(4, 3, 4) - 1.5
    found, expected = run_both(ours, theirs, x, rng)
    for key, array in expected.items():
        assert_same(found[key], array)
    assert_same(ours.running_mean, np.zeros(3))


def test_batch_norm_of_one_element(rng):
    with pytest.raises(ValueError, match="more than one element in training"):
        nn.BatchNorm2d(3)(np.ones((1, 3, 1, 1), np.float32))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 4, 5, 6)])
def test_batch_norm_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"BatchNorm1d: input must have 2 or 3 dimensions and 3"):
        nn.BatchNorm1d(3)(np.ones(shape, np.float32))


def test_sigmoid_far_out():
    y = nn.Sigmoid()(np.array([-1e4, -80, 80, 1e4], np.float32))
    np.testing.assert_array_equal(y[[0, 2, 3]], [0, 1, 1])
    assert 0 < y[1] < 1e-34


# ---- beyond torch ----


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_layout(kind, batch, rng):
    names = "NHWC" if batch else "HWC"
    first, last = (
        getattr(nn, kind)(3, 4, 3, stride=2, layout=layout, rng=1) for layout in (None, names)
    )
    for layer in (first, last):
        layer.weight[...] = integers(np.random.default_rng(2), layer.weight.shape, "float32")
        layer.bias[...] = [1, 2, 3, 4]
    x = integers(rng, (*batch, 3, 6, 5), "float32")
    y = first(x)
    gy = integers(rng, y.shape, "float32")
    assert_same(last(np.moveaxis(x, -3, -1)), np.moveaxis(y, -3, -1))
    gx = last.backward(np.moveaxis(gy, -3, -1))
    assert_same(gx, np.moveaxis(first.backward(gy), -3, -1))
    for name, gradient in first.grads.items():
        assert_same(last.grads[name], gradient)
    assert repr(last).endswith(f", layout={names})")


def test_batch_norm_layout(rng):
    first, last = nn.BatchNorm2d(3), nn.BatchNorm2d(3, layout="NHWC")
    x, gy = (reals(rng, (4, 3, 5, 2), "float32") for _ in range(2))
    assert_close(np.moveaxis(last(np.moveaxis(x, 1, -1)), -1, 1), first(x), 64)
    gx = last.backward(np.moveaxis(gy, 1, -1))
    assert_close(np.moveaxis(gx, -1, 1), first.backward(gy), 64)
    for name, gradient in first.grads.items():
        assert_close(last.grads[name], gradient, 64)


def test_circular_transposed(rng):
    layer = nn.ConvTranspose1d(2, 3, 4, 2, 1, padding_mode="circular", dtype="float64")
    layer.weight[...] = integers(rng, layer.weight.shape, "float64")
    x, gy = integers(rng, (1, 2, 5), "float64"), integers(rng, (1, 3, 10), "float64")
    y, gx = layer(x), layer.backward(gy)
    linear = y - layer.bias[:, None]
    assert round(np.sum(linear * gy)) == np.sum(x * gx)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [8, 9, 10, (9,), (1, 3, 9), np.empty((1, 3, 10))])
def test_output_size(size, training, rng):
    ours = nn.ConvTranspose1d(2, 3, 4, 3, 1).train(training)
    theirs = torch.nn.ConvTranspose1d(2, 3, 4, 3, 1)
    fill_alike(ours, theirs, rng)
    x = integers(rng, (1, 2, 3), "float32")
    tensor = torch.from_numpy(x).requires_grad_()
    shape = size.shape if isinstance(size, np.ndarray) else size
    expected = theirs(tensor, output_size=[shape] if isinstance(shape, int) else shape)
    assert_same(ours(x, output_size=size), expected.detach().numpy())
    if training:
        gy = integers(rng, tuple(expected.shape), "float32")
        expected.backward(torch.from_numpy(gy))
        assert_same(ours.backward(gy), tensor.grad.numpy())
        assert_same(ours.grads["weight"], theirs.weight.grad.numpy())


# ---- networks ----


def network(library):
    return library.Sequential(
        library.Linear(6, 32),
        library.Unflatten(1, (8, 2, 2)),
        library.BatchNorm2d(8),
        library.ReLU(),
        library.ConvTranspose2d(8, 4, 4, 2, 1, bias=False),
        library.BatchNorm2d(4),
        library.LeakyReLU(0.25),
        library.Sequential(library.ConvTranspose2d(4, 4, 3, 2, 1, 1), library.ReLU()),
        library.Conv2d(4, 2, 3, 2, 1),
        library.LeakyReLU(0.25),
        library.ConvTranspose2d(2, 1, 4, 2, 1),
        library.Tanh(),
        library.Flatten(),
    )


def test_network(rng):
    """A state dict of torch, its outputs and all its gradients; in float64 by copying."""
    ours, theirs = network(nn), network(torch.nn).double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for _, module in ours.modules():
        for name in module.parameter_names + module.buffer_names:
            array = getattr(module, name)
            if array is not None and array.dtype == np.float32:
                setattr(module, name, array.astype(np.float64))
    ours.load_state_dict(theirs.state_dict())
    x = reals(rng, (16, 6), "float64")
    found, expected = run_both(ours, theirs, x, rng, reals)
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert_close(found[key], array, 4096)
    y = theirs.eval()(torch.from_numpy(x)).detach().numpy()
    assert_close(ours.eval()(x), y, 4096)


@pytest.mark.parametrize("training", [True, False])
def test_activations_in_the_store_have_the_same_bits(training, rng):
    net = network(nn).train(training)
    x = reals(rng, (16, 6), "float32")
    whole, apart = net(x), x
    for layer in net:
        apart = layer(apart)
    if training:
        assert_same(whole, apart)
    else:
        assert_same(net(x), apart)


def test_names_of_a_class():
    def autoencoder(library):
        class Autoencoder(library.Module):
            def __init__(self):
                super().__init__()
                self.encoder = library.Sequential(library.Conv1d(1, 2, 3), library.ReLU())
                self.decoder = library.ConvTranspose1d(2, 1, 3, bias=False)

        return Autoencoder()

    ours, theirs = autoencoder(nn), autoencoder(torch.nn)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.parameters()) == ["encoder.0.weight", "encoder.0.bias", "decoder.weight"]


def test_gradients_add_up(rng):
    net = network(nn)
    x, gy = reals(rng, (4, 6), "float32"), reals(rng, (4, 64), "float32")
    net(x)
    assert net.grads == {}
    assert net.backward(gy, input=False) is None
    once = {name: gradient.copy() for name, gradient in net.grads.items()}
    assert net.grads.keys() == net.parameters().keys()
    net.backward(gy, parameters=False)
    for name, gradient in net.grads.items():
        assert_same(gradient, once[name])
    net.backward(gy)
    for name, gradient in net.grads.items():
        assert_close(gradient, 2 * once[name], 64)
    net.zero_grad()
    assert net.grads == {}


@every
def test_only_what_is_wanted(name, rng):
    layer, _, shape = make_pair(name)
    y = layer(reals(rng, shape, "float64"))
    assert layer.backward(np.ones_like(y), input=False, parameters=False) is None
    assert layer.grads == {}
    assert layer.backward(np.ones_like(y), parameters=False).shape == shape
    assert layer.grads == {}


@every
def test_backward_needs_a_forward_pass_in_training(name, rng):
    layer, _, shape = make_pair(name)
    x = reals(rng, shape, "float64")
    y = layer(x)
    layer.eval()(x)
    with pytest.raises(RuntimeError, match=f"{type(layer).__name__}: backward needs a forward"):
        layer.backward(np.ones_like(y))


def test_sequential_is_a_sequence():
    net = network(nn)
    assert len(net) == 13
    assert [*net][3] is net[3]
    assert [*net[:2]] == [net[0], net[1]]
    assert isinstance(net[:2], nn.Sequential)
    with pytest.raises(ValueError, match="one place only"):
        nn.Sequential(net[3], net[3])
    with pytest.raises(TypeError, match="must be Modules, got type"):
        nn.Sequential(nn.ReLU)


# ---- plans ----


def check_planned(layer, x):
    """The layer gives what its weights say; returns the plan, if it has one."""
    layer(x)
    plan, y = layer._planned, layer(x)
    assert layer._planned is plan
    expected = tconv.conv_transpose1d(x, layer.weight, layer.bias, layer.stride, layer.padding)
    assert_same(y, expected)
    layer(x)
    return layer._planned


CHANGES = {
    "an element": lambda layer: layer.weight.__setitem__((3, 0, 0), 100),
    "through a view": lambda layer: layer.weight[3].T.__setitem__(0, 7),
    "in place": lambda layer: layer.weight.__imul__(2),
    "bias": lambda layer: layer.bias.__setitem__(0, 7),
    "parameters": lambda layer: layer.parameters()["bias"].__iadd__(1),
    "weight": lambda layer: setattr(layer, "weight", layer.weight + 1),
    "in another order": lambda layer: setattr(layer, "weight", layer.weight.T.copy().T * 2),
    "no bias": lambda layer: setattr(layer, "bias", None),
    "padding": lambda layer: setattr(layer, "padding", (0,)),
    "state dict": lambda layer: layer.load_state_dict({"weight": np.ones((16, 8, 4))}, False),
    "optimiser": lambda layer: (layer._gradients.update(bias=np.ones(8)), nn.SGD(layer, 1).step()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_plans_follow_the_weights(change, rng):
    layer = nn.ConvTranspose1d(16, 8, 4, 2, 1, rng=0).eval()
    x = reals(rng, (2, 16, 9), "float32")
    before = layer(x)
    assert check_planned(layer, x)
    CHANGES[change](layer)
    assert before.shape != layer(x).shape or np.any(before != layer(x))
    check_planned(layer, x)


HOLDERS = {
    "array": lambda array: array,
    "view": lambda array: array[:, ::2],
    "view of a view": lambda array: array.T[1:],
    "buffer": memoryview,
    "tensor": torch.from_numpy,
    "list": lambda array: [array],
    "copy": np.copy,
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_no_plan_while_another_has_the_weights(holder, rng):
    layer = nn.ConvTranspose1d(16, 8, 4, 2, 1, rng=0).eval()
    x = reals(rng, (2, 16, 9), "float32")
    assert check_planned(layer, x)
    held = HOLDERS[holder](layer.weight)
    assert (check_planned(layer, x) is None) == (holder != "copy")
    del held
    assert check_planned(layer, x)


def test_no_plan_of_memory_that_others_own(rng):
    """A change of the whole shows in the layer."""
    whole = reals(rng, (2, 16, 8, 4), "float32")
    layer = nn.ConvTranspose1d(16, 8, 4, 2, 1).eval()
    layer.weight = whole[1]
    x = reals(rng, (2, 16, 9), "float32")
    assert check_planned(layer, x) is None
    whole[1] = 3
    assert check_planned(layer, x) is None


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_of_layers(how, rng):
    layer = nn.ConvTranspose1d(16, 8, 4, 2, 1, rng=0).eval()
    x = reals(rng, (2, 16, 9), "float32")
    layer(x)
    other = how(layer)
    assert_same(other(x), layer(x))
    other.weight[...] += 1
    for each in (layer, other):
        check_planned(each, x)


def test_no_plan_in_training(rng):
    layer = nn.ConvTranspose1d(16, 8, 4, 2, 1)
    layer(reals(rng, (2, 16, 9), "float32"))
    assert layer._planned is None


def test_weights_that_are_not_numbers(rng):
    layer = nn.Conv1d(2, 3, 1).eval()
    layer.weight[0, 0] = np.nan
    x = reals(rng, (1, 2, 4), "float32")
    assert np.isnan(layer(x)[0, 0]).all()
    layer.weight[0, 0] = 1
    assert np.isfinite(layer(x)).all()


# ---- beginning, saving ----


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Linear"])
def test_beginning(kind):
    """Uniform within torch's bound, which is that of its weights; seeded."""
    arguments = (64, 32) if kind == "Linear" else (64, 32, 4)
    layer = getattr(nn, kind)(*arguments, rng=3)
    bound = 1 / np.sqrt(layer.weight[0].size)
    theirs = getattr(torch.nn, kind)(*arguments).weight.detach().abs().max()
    assert 0.99 * bound < theirs <= bound
    for array in (layer.weight, layer.bias):
        assert abs(array).max() <= np.float32(bound)
        assert abs(array).max() > 0.8 * bound
        assert array.dtype == np.float32
    n = layer.weight.size
    assert abs(layer.weight.mean()) < 5 * bound / np.sqrt(3 * n)
    assert abs(np.mean(layer.weight**2) / bound**2 - 1 / 3) < 5 * np.sqrt(4 / 45 / n)
    for seed in (3, np.random.default_rng(3)):
        assert_same(getattr(nn, kind)(*arguments, rng=seed).weight, layer.weight)
    assert np.any(getattr(nn, kind)(*arguments).weight != layer.weight)


def test_files(tmp_path, rng):
    """Each library reads what the other one has written."""
    safetensors_torch = pytest.importorskip("safetensors.torch")
    ours, theirs = network(nn), network(torch.nn)
    x = reals(rng, (8, 6), "float32")
    theirs(torch.from_numpy(x))
    safetensors_torch.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load(tmp_path / "theirs.safetensors")
    for name, tensor in theirs.state_dict().items():
        assert_same(np.asarray(ours.state_dict()[name]), tensor.numpy())
    ours(x)
    ours[4].weight = np.asfortranarray(ours[4].weight)
    ours.save(tmp_path / "ours.safetensors")
    theirs.load_state_dict(safetensors_torch.load_file(tmp_path / "ours.safetensors"))
    for name, tensor in theirs.state_dict().items():
        assert_same(np.asarray(ours.state_dict()[name]), tensor.numpy())
    assert theirs[2].num_batches_tracked == 2


def test_files_need_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'tconv\[nn\]'"):
        nn.ReLU().save(tmp_path / "file")
    with pytest.raises(ImportError, match=r"pip install 'tconv\[nn\]'"):
        nn.ReLU().load(tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"bias": None}, ValueError, r"missing \['bias'\], unexpected \[\]"),
        ({"scale": np.ones(3)}, ValueError, r"missing \[\], unexpected \['scale'\]"),
        ({"bias": np.ones(4)}, ValueError, r"bias must have shape \(3,\), got \(4,\)"),
        ({"bias": np.ones(3, complex)}, TypeError, "bias has dtype complex128"),
    ],
)
def test_state_dicts_that_do_not_fit(change, error, text):
    layer = nn.Linear(2, 3)
    before = {name: array.copy() for name, array in layer.state_dict().items()}
    state = {"weight": np.ones((3, 2)), "bias": np.ones(3), **change}
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(error, match=f"Linear.load_state_dict: .*{text}"):
        layer.load_state_dict(state)
    for name, array in before.items():
        assert_same(layer.state_dict()[name], array)


def test_parts_of_a_state_dict():
    layer = nn.Linear(2, 3)
    layer.load_state_dict({"bias": [1, 2, 3], "scale": 0}, strict=False)
    assert layer.bias.tolist() == [1, 2, 3]


# ---- weights of other frameworks ----


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("order", ["torch", "onnx", "keras", "jax"])
def test_orders_and_back(order, transposed, rank, rng):
    w = integers(rng, (3, 4, *(5, 2, 3)[:rank]), "float32")
    other = nn.convert_weight(w, "torch", order, transposed=transposed)
    assert np.shares_memory(other, w)
    assert_same(nn.convert_weight(other, order, "torch", transposed=transposed), w)


def test_keras_by_definition(rng):
    """Of one axis: a window times the kernel; transposed, each input adds its kernel."""
    x, k = integers(rng, (6, 2), "float64"), integers(rng, (3, 2, 4), "float64")
    expected = np.array([np.einsum("kc,kco->o", x[i : i + 3], k) for i in range(4)])
    w = nn.convert_weight(k, "keras", "torch")
    assert_same(tconv.conv1d(x, w, layout="LC"), expected)
    assert_same(nn.convert_weight(k, "jax", "torch"), w)
    k = k.swapaxes(1, 2)
    expected = np.zeros((8, 4))
    for i in range(6):
        expected[i : i + 3] += np.einsum("c,koc->ko", x[i], k)
    w = nn.convert_weight(k, "keras", "torch", transposed=True)
    assert_same(tconv.conv_transpose1d(x, w, layout="LC"), expected)


def test_jax_by_definition(rng):
    """It convolves the spaced out and padded input with the kernel as it is."""
    x, k = integers(rng, (6, 2), "float64"), integers(rng, (3, 2, 4), "float64")
    spaced = np.zeros((2 * 5 + 1 + 4, 2))
    spaced[2:-2:2] = x
    expected = np.array([np.einsum("kc,kco->o", spaced[i : i + 3], k) for i in range(13)])
    w = nn.convert_weight(k, "jax", "torch", transposed=True)
    assert_same(tconv.conv_transpose1d(x, w, stride=2, layout="LC"), expected)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((np.ones((2, 2)), "keras", "torch"), "weight must have 3 to 5 dimensions, got 2"),
        ((np.ones((2, 2, 2)), "tf", "torch"), "source must be one of .*, got 'tf'"),
        ((np.ones((2, 2, 2)), "torch", "flax"), "target must be one of .*, got 'flax'"),
    ],
)
def test_orders_that_are_not(arguments, text):
    with pytest.raises(ValueError, match=text):
        nn.convert_weight(*arguments)


# ---- constructors ----


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Conv2d(0, 1, 3), ValueError, "Conv2d: in_channels must be >= 1, got 0"),
        (lambda: nn.Conv2d(1, 1.5, 3), TypeError, "Conv2d: out_channels must be an int"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by"),
        (lambda: nn.ConvTranspose2d(4, 3, 3, groups=2), ValueError, "out_channels must be divis"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), ValueError, "Conv2d: kernel_size must be one value"),
        (lambda: nn.Conv2d(1, 1, 0), ValueError, "Conv2d: kernel_size must be >= 1, got 0"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, "conv2d: stride must be"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "Conv2d: padding must be"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), ValueError, "padding_mode"),
        (lambda: nn.ConvTranspose1d(1, 1, 3, output_padding=1), ValueError, "output_padding"),
        (lambda: nn.Conv2d(1, 1, 3, layout="NCL"), ValueError, "layout"),
        (lambda: nn.Linear(2, 0), ValueError, "Linear: out_features must be >= 1"),
        (lambda: nn.BatchNorm2d(0), ValueError, "BatchNorm2d: num_features must be >= 1"),
        (lambda: nn.LeakyReLU(2), ValueError, "negative_slope must be from 0 to 1, got 2"),
    ],
)
def test_constructors_refuse(make, error, text):
    with pytest.raises(error, match=text):
        make()


# ---- optimisers ----


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.05, "momentum": 0.9}),
        ("Adam", {"lr": 0.01}),
        ("Adam", {"lr": 2e-3, "betas": (0.5, 0.99), "eps": 1e-6}),
    ],
)
def test_optimisers(kind, options, rng):
    """20 steps with the gradients of torch's, of arrays larger than a piece and in any order."""
    ours = nn.Linear(300, 200, dtype="float64")
    ours.weight = np.asfortranarray(ours.weight)
    theirs = torch.nn.Linear(300, 200).double()
    fill_alike(ours, theirs, rng, reals)
    optimiser = getattr(nn, kind)(ours, **options)
    their_optimiser = getattr(torch.optim, kind)(theirs.parameters(), **options)
    x, gy = reals(rng, (4, 300), "float64"), reals(rng, (4, 200), "float64")
    for step in range(20):
        optimiser.zero_grad()
        their_optimiser.zero_grad()
        ours(x)
        ours.backward(gy / (step + 1))
        theirs(torch.from_numpy(x)).backward(torch.from_numpy(gy / (step + 1)))
        for name, p in theirs.named_parameters():
            ours.grads[name][...] = p.grad.numpy()
        optimiser.step()
        their_optimiser.step()
    for name, p in theirs.named_parameters():
        assert_close(ours.parameters()[name], p.detach().numpy(), 20 * 16)


def test_parameters_without_a_gradient_stay(rng):
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimiser = nn.Adam(net)
    y = net[0](reals(rng, (4, 2), "float32"))
    net[0].backward(np.ones_like(y))
    before = {name: array.copy() for name, array in net.parameters().items()}
    optimiser.step()
    changed = {n for n, array in net.parameters().items() if np.any(array != before[n])}
    assert changed == {"0.weight", "0.bias"}


# ---- imports ----


def test_tconv_needs_none_of_the_extras():
    """Neither is imported with tconv, nor hidden by a module of the same name."""
    text = (
        "import sys, tconv\n"
        "tconv.nn.ReLU()\n"
        "from tconv import *\n"
        "assert not {'torch', 'autograd', 'safetensors'} & set(sys.modules)\n"
        "assert 'torch' not in globals() and 'autograd' not in globals()\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True, timeout=300)
