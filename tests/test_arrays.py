"""What is taken as an array: tensors without a copy, and the texts where it cannot be."""

import array
import gc
import sys

import numpy as np
import pytest
from support import assert_same, integers, run_python

import tconv

OPTIONS = {"stride": 2, "padding": 1}
CPU, CUDA, PINNED = (1, 0), (2, 0), (3, 0)
SUPPORTED = "(it must be floating, complex or integer)"


class Producer:
    """A tensor of a library that has DLPack and nothing else, on the memory of an ndarray."""

    def __init__(self, memory, device=CPU, error=None):
        self.memory, self.device, self.error = memory, device, error

    def __dlpack__(self, **keywords):
        if self.error:
            raise self.error
        return self.memory.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.device


class Versionless(Producer):
    """The protocol as it was before it had keywords: NumPy gets a read-only view."""

    def __dlpack__(self, stream=None):
        return self.memory.__dlpack__(stream=stream)


def calls(x, w, b, gy, take):
    """Every argument that is an array, taken by `take`."""
    x, w, b, gy = map(take, (x, w, b, gy))
    plan = tconv.plan("conv2d", w, b, **OPTIONS)
    return {
        "conv2d": tconv.conv2d(x, w, b, **OPTIONS),
        "conv_transpose2d": tconv.conv_transpose2d(gy, w, **OPTIONS, output_padding=(1, 0)),
        "input gradient": tconv.grad.conv2d_input((2, 3, 8, 7), w, gy, **OPTIONS),
        "weight gradient": tconv.grad.conv2d_weight(x, (4, 3, 3, 3), gy, **OPTIONS),
        "bias gradient": tconv.grad.bias(gy),
        "plan": plan(x),
    }


def four(rng, dtype="float32"):
    shapes = (2, 3, 8, 7), (4, 3, 3, 3), (4,), (2, 4, 4, 4)
    return [integers(rng, shape, dtype) for shape in shapes]


def assert_calls_agree(results, expected):
    assert results.keys() == expected.keys()
    for name, result in results.items():
        assert type(result) is np.ndarray
        assert_same(result, expected[name])


# ---- tensors of any library ----


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("kind", (Producer, Versionless))
def test_producers_in_every_place(kind, dtype, rng):
    arrays = four(rng, dtype)
    expected = calls(*arrays, take=np.asarray)
    assert_calls_agree(calls(*arrays, take=kind), expected)
    turned = [np.asfortranarray(a) for a in arrays]
    assert_calls_agree(calls(*turned, take=kind), expected)


def test_a_producer_of_four_tebibytes():
    """One element, repeated: nobody can copy it whole."""
    x = np.broadcast_to(np.float32(3), (1, 1, 2**40))
    plan = tconv.plan("conv1d", np.ones((1, 1, 2), "f"), stride=2**37, engine="reference")
    assert plan(Producer(x)).tolist() == [[[6.0] * 8]]


def test_what_is_read_is_the_memory_of_the_tensor():
    """The weight is taken after the input, and what it writes there meanwhile counts."""
    memory = np.zeros((1, 1), "f")

    class Writes(Producer):
        def __dlpack__(self, **keywords):
            memory[...] = 5
            return super().__dlpack__(**keywords)

    y = tconv.conv1d(Producer(memory), Writes(np.ones((1, 1, 1), "f")))
    assert y.tolist() == [[5]]


def test_strides_of_producers(rng):
    x, w, b, gy = four(rng)
    expected = calls(x, w, b, gy, take=np.asarray)
    views = [
        [np.repeat(a, 2, axis=-1)[..., ::2] for a in (x, w, b, gy)],
        [np.flip(np.flip(a).copy()) for a in (x, w, b, gy)],
        [
            np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1) if a.ndim > 1 else a
            for a in (x, w, b, gy)
        ],
    ]
    for arrays in views:
        assert_calls_agree(calls(*arrays, take=Producer), expected)


def test_unaligned_producer(rng):
    x, w, _, _ = four(rng)
    raw = np.zeros(x.nbytes + 1, "u1")
    moved = raw[1:].view("f").reshape(x.shape)
    moved[...] = x
    assert_same(tconv.conv2d(Producer(moved), w), tconv.conv2d(x, w))


def test_memory_that_the_cpu_shares(rng):
    x, w, _, _ = four(rng)
    assert_same(tconv.conv2d(Producer(x, PINNED), w), tconv.conv2d(x, w))


def test_array_protocol_goes_first(rng):
    """It refuses what DLPack cannot tell."""
    x, w, _, _ = four(rng)

    class Both(Producer):
        def __array__(self, dtype=None, copy=None):
            return self.memory

    both = Both(x, error=AssertionError("not asked for"))
    assert_same(tconv.conv2d(both, w), tconv.conv2d(x, w))


def test_the_type_counts(rng):
    """An object that answers to any name is no tensor for that."""

    class Mock:
        def __getattr__(self, name):
            if name.startswith("__array"):
                raise AttributeError(name)
            return lambda *args, **keywords: 0

    with pytest.raises(TypeError, match="input has dtype object"):
        tconv.conv2d(Mock(), four(rng)[1])


# ---- tensors that cannot be read ----


def refusal(call):
    with pytest.raises(TypeError) as caught:
        call()
    return str(caught.value), caught.value.__cause__


def test_exceptions_of_producers(rng):
    x, w, _, _ = four(rng)
    for error in (BufferError("no"), TypeError("no"), RuntimeError("no"), ValueError("no")):
        text, cause = refusal(lambda error=error: tconv.conv2d(Producer(x, error=error), w))
        assert text == "conv2d: input, of type Producer, cannot be read as an array: no"
        assert cause is error
        assert cause.__traceback__ is not None
    for error in (ZeroDivisionError("mine"), MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            tconv.conv2d(Producer(x, error=error), w)
        assert caught.value is error
    broken = Producer(x, error=BufferError("no"))
    for place, call in {
        "conv_transpose2d: weight": lambda: tconv.conv_transpose2d(x, broken),
        "conv1d: bias": lambda: tconv.conv1d(x[0], w[0], broken),
        "conv2d_input: grad_output": lambda: tconv.grad.conv2d_input(x.shape, w, broken),
        "bias: grad_output": lambda: tconv.grad.bias(broken),
        "conv2d: weight": lambda: tconv.plan("conv2d", broken),
        "conv2d: bias": lambda: tconv.plan("conv2d", w, broken),
        "conv2d: input": lambda: tconv.plan("conv2d", w)(broken),
    }.items():
        assert refusal(call)[0].startswith(f"{place}, of type Producer, cannot be read")


def test_not_on_the_cpu(rng):
    x, w, _, _ = four(rng)
    there = Producer(x, CUDA, BufferError("far away"))
    text, cause = refusal(lambda: tconv.conv2d(there, w))
    assert text == (
        "conv2d: input is not on the CPU but on device (2, 0); copy it there, as in input.cpu()"
    )
    assert cause is there.error

    class Named(Producer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.number, self.device = self.device, "cuda:0"

        def __dlpack_device__(self):
            return self.number

    named = Named(x, CUDA, there.error)
    assert "not on the CPU but on device cuda:0; copy" in refusal(lambda: tconv.conv2d(named, w))[0]


@pytest.mark.parametrize("device", ("x", (), ("x",), (2**80, 0), None))
def test_devices_of_no_meaning(device, rng):
    x, w, _, _ = four(rng)
    odd = Producer(x, device, BufferError("no"))
    assert refusal(lambda: tconv.conv2d(odd, w))[0].endswith("cannot be read as an array: no")


def test_unsupported_dtypes(rng):
    x, w, _, _ = four(rng)
    text, cause = refusal(lambda: tconv.conv2d(Producer(x > 0), w))
    assert text == (
        f"conv2d: input has dtype bool, which is not supported {SUPPORTED}; convert it to float32"
    )
    assert cause is None

    class Astype(Producer):
        dtype = "mine.float8"

        def astype(self, dtype):
            raise NotImplementedError

    text, cause = refusal(lambda: tconv.conv2d(Astype(x, error=BufferError("no")), w))
    assert text == (
        f"conv2d: input has dtype mine.float8, which is not supported {SUPPORTED}; "
        "convert it, as in input.astype('float32')"
    )
    assert str(cause) == "no"


def test_a_capsule_that_is_none(rng):
    class Liar(Producer):
        def __dlpack__(self, **keywords):
            return 3

    text, cause = refusal(lambda: tconv.conv2d(Liar(None), four(rng)[1]))
    assert text.startswith("conv2d: input, of type Liar, cannot be read as an array: ")
    assert isinstance(cause, ValueError)


def test_tensors_as_out(rng):
    x, w, _, _ = four(rng)
    out = np.empty((2, 4, 6, 5), "f")
    assert refusal(lambda: tconv.conv2d(x, w, out=Producer(out)))[0] == (
        "conv2d: out must be a numpy.ndarray, got Producer; "
        "pass a view of its memory, as in np.from_dlpack(out)"
    )
    view = np.from_dlpack(Producer(out))
    assert tconv.conv2d(x, w, out=view) is view
    assert_same(out, tconv.conv2d(x, w))


def test_nothing_is_kept(rng):
    arrays = four(rng)
    errors = [BufferError("no"), ZeroDivisionError("mine")]
    producer = Producer(arrays[0])

    def round():
        calls(*arrays, take=Producer)
        tconv.conv2d(producer, arrays[1])
        for device in (CPU, CUDA):
            for error in errors:
                broken = Producer(arrays[0], device, error)
                with pytest.raises((TypeError, ZeroDivisionError)):
                    tconv.conv2d(broken, arrays[1])
                error.__traceback__ = error.__context__ = None

    objects = (*arrays, *errors, producer, Producer, TypeError, np, np.dtype("f"))
    round()
    gc.collect()
    before = [sys.getrefcount(item) for item in objects]
    for _ in range(20):
        round()
    gc.collect()
    assert [sys.getrefcount(item) for item in objects] == before


# ---- what NumPy reads ----


def test_lists_and_buffers(rng):
    x, w, b, _ = four(rng)
    expected = tconv.conv2d(x, w, b)
    assert_same(tconv.conv2d(memoryview(x), memoryview(w), array.array("f", b)), expected)
    wide = tconv.conv2d(x.tolist(), w.tolist(), tuple(b.tolist()))
    assert_same(wide, expected.astype(float))
    text, _ = refusal(lambda: tconv.conv2d([[[1]]], w))
    assert text == (
        "conv2d: input is int64 but weight is float32; "
        "convert one of them, as in weight.astype('int64')"
    )
    text, _ = refusal(lambda: tconv.conv2d([[[True]]], w))
    assert text == (
        f"conv2d: input has dtype bool, which is not supported {SUPPORTED}; "
        "convert it, as in np.asarray(input, 'float32')"
    )


def test_memoryview_of_a_read_only_array(rng):
    x, w, _, _ = four(rng)
    assert_same(tconv.conv2d(memoryview(x.tobytes()).cast("f", x.shape), w), tconv.conv2d(x, w))


def test_masked_arrays(rng):
    x, w, _, _ = four(rng)
    text, _ = refusal(lambda: tconv.conv2d(np.ma.masked_greater(x, 0), w))
    assert "input is a masked array, and its mask would be lost; pass input.filled(value)" in text
    assert_same(tconv.conv2d(np.ma.masked_array(x), w), tconv.conv2d(x, w))


# ---- torch ----


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_tensors_of_torch(torch, rng):
    arrays = four(rng)
    expected = calls(*arrays, take=np.asarray)
    last = torch.channels_last

    def turned(a):
        return torch.from_numpy(a.T.copy()).permute(*reversed(range(a.ndim)))

    for take in (
        torch.from_numpy,
        lambda a: (
            torch.from_numpy(a).to(memory_format=last) if a.ndim == 4 else torch.from_numpy(a)
        ),
        turned,
        lambda a: torch.from_numpy(np.repeat(a, 3, axis=-1))[..., 1::3],
        lambda a: torch.nn.Parameter(torch.from_numpy(a), requires_grad=False),
        lambda a: torch.from_numpy(a).requires_grad_().detach(),
    ):
        assert_calls_agree(calls(*arrays, take=take), expected)


def test_a_tensor_of_four_tebibytes(torch):
    x = torch.full((1, 1, 1), 3.0).expand(1, 1, 2**40)
    plan = tconv.plan("conv1d", torch.ones(1, 1, 2), stride=2**37, engine="reference")
    assert plan(x).tolist() == [[[6.0] * 8]]


def test_tensors_and_arrays_mix(torch, rng):
    x, w, b, _ = four(rng)
    assert_same(tconv.conv2d(x, torch.from_numpy(w), Producer(b)), tconv.conv2d(x, w, b))


def test_torch_is_not_imported():
    assert run_python("import sys, tconv; print('torch' in sys.modules)") == "False\n"


DETACH = "input requires grad, and autograd would not see this call; pass input.detach()"


def test_refused_tensors_of_torch(torch, rng):
    x, w, _, _ = four(rng)
    t = torch.from_numpy(x)
    z = torch.zeros(2, 3, 8, 7, dtype=torch.complex64)
    to_float = f", which is not supported {SUPPORTED}; convert it, as in input.float()"
    for tensor, text in (
        (t.clone().requires_grad_(), DETACH),
        (t.clone().requires_grad_() * 2, DETACH),
        (torch.nn.Parameter(t), DETACH),
        (z.conj(), "input has its conjugate bit set; pass input.resolve_conj()"),
        (z.conj().imag, "input has its negative bit set; pass input.resolve_neg()"),
        (t.bfloat16(), f"input has dtype torch.bfloat16{to_float}"),
        (t.to(torch.float8_e4m3fn), f"input has dtype torch.float8_e4m3fn{to_float}"),
        (t > 0, f"input has dtype bool{to_float}"),
    ):
        assert refusal(lambda tensor=tensor: tconv.conv2d(tensor, w))[0] == f"conv2d: {text}"
    for tensor, hint in ((t.to_sparse(), "Tensor.to_dense()"), (t.to("meta"), "meta device")):
        text, cause = refusal(lambda tensor=tensor: tconv.conv2d(tensor, w))
        assert text.startswith("conv2d: input, of type Tensor, cannot be read as an array: ")
        assert hint in text
        assert hint in str(cause)
    _, cause = refusal(lambda: tconv.conv2d(torch.nn.Parameter(t), w))
    assert isinstance(cause, RuntimeError)
    grad = refusal(lambda: tconv.grad.bias(torch.nn.Parameter(t)))[0]
    assert (
        grad == f"bias: grad_output{DETACH.removeprefix('input').replace('input', 'grad_output')}"
    )


def test_tensors_whose_memory_is_not_their_values(torch, rng):
    """DLPack exports them without a word."""
    w = four(rng)[1]
    z = torch.complex(torch.ones(2, 3, 8, 7), torch.ones(2, 3, 8, 7)).conj().imag
    assert np.from_dlpack(z).min() == 1  # the values are -1
    with pytest.raises(TypeError, match="resolve_neg"):
        tconv.conv2d(z, w)
    assert_same(tconv.conv2d(z.resolve_neg(), w), tconv.conv2d(-np.ones(z.shape, "f"), w))


def test_torch_as_out(torch, rng):
    x, w, _, _ = four(rng)
    out = torch.empty(2, 4, 6, 5)
    text, _ = refusal(lambda: tconv.conv2d(x, w, out=out))
    assert text.endswith("got Tensor; pass a view of its memory, as in np.from_dlpack(out)")
    tconv.conv2d(x, w, out=np.from_dlpack(out))
    assert_same(out.numpy(), tconv.conv2d(x, w))
