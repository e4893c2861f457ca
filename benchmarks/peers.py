"""The contenders: every one turns a problem and its arrays into a call without arguments.

`prepare(problem, arrays, threads)` returns that call, or None where the contender cannot express
the problem. Whatever can be done ahead (packing, session building) is done there.

The problem is that of a forward operation, convolution or transposed convolution. A race is run
either over it or over some of its gradients, and then `prepare` is told which: `gradients` are
some of "input", "weight" and "bias", all computed from the output's gradient.
"""

import functools
import importlib.util
import io

import numpy as np

import tconv
from tconv import problems

FORWARD, BACKWARD, FORWARD_LAST = {}, {}, {}
LAST = {1: "NLC", 2: "NHWC", 3: "NDHWC"}


def peer(name, race=FORWARD, needs=()):
    def register(prepare):
        if all(importlib.util.find_spec(module) for module in needs):
            race[name] = prepare
        return prepare

    return register


def contenders(gradients, layout="first"):
    """Who computes some gradients, or the forward operation where there are none, by name."""
    if not gradients:
        return FORWARD if layout == "first" else FORWARD_LAST
    return {
        name: functools.partial(prepare, gradients=gradients) for name, prepare in BACKWARD.items()
    }


class Arrays:
    """Random arrays of a problem; `gy` is the gradient of its output."""

    def __init__(self, problem, seed=0):
        rng = np.random.default_rng(seed)

        def array(shape):
            return rng.standard_normal(shape, np.float32).astype(problem.dtype)

        self.x, self.w = array(problem.input_shape), array(problem.weight_shape)
        self.b = array(problem.output_channels)
        shapes = problem.input_shape, problem.weight_shape
        self.gy = array(tconv.output_size(problem.op, *shapes, **problem.options))


def transposed(problem):
    return problem.op.startswith("conv_transpose")


def per_axis(problem, name, default):
    """An option's value for each axis."""
    value = problem.options.get(name, default)
    return list(value) if isinstance(value, tuple) else [value] * problem.rank


# ---- forward ----


@peer("tconv", FORWARD_LAST)
@peer("tconv")
def functional(problem, arrays, threads):
    function = getattr(tconv, problem.op)
    return functools.partial(
        function, arrays.x, arrays.w, arrays.b, threads=threads, **problem.options
    )


@peer("plan", FORWARD_LAST)
@peer("plan")
def planned(problem, arrays, threads):
    plan = tconv.plan(problem.op, arrays.w, arrays.b, threads=threads, **problem.options)
    return functools.partial(plan, arrays.x)


@peer("out")
def planned_out(problem, arrays, threads):
    plan = tconv.plan(problem.op, arrays.w, arrays.b, threads=threads, **problem.options)
    return functools.partial(plan, arrays.x, out=plan(arrays.x))


def channels_last(tensor):
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    layout = formats.get(tensor.ndim)
    return None if layout is None else tensor.contiguous(memory_format=layout)


def torch_tensors(arrays):
    import torch

    return tuple(torch.from_numpy(array) for array in (arrays.x, arrays.w, arrays.b))


@peer("torch", needs=["torch"])
def torch_functional(problem, arrays, threads):
    import torch

    torch.set_num_threads(threads)
    x, w, b = torch_tensors(arrays)
    return functools.partial(getattr(torch.nn.functional, problem.op), x, w, b, **problem.options)


@peer("torch_cl", needs=["torch"])
def torch_channels_last(problem, arrays, threads):
    import torch

    torch.set_num_threads(threads)
    x, w, b = torch_tensors(arrays)
    x, w = channels_last(x), channels_last(w)
    if x is None:
        return None
    return functools.partial(getattr(torch.nn.functional, problem.op), x, w, b, **problem.options)


def packed_call(problem, x, w, b):
    """torch's oneDNN with weights packed ahead, as a frozen torch.compile calls it."""
    import torch

    ops = torch.ops.mkldnn
    padding, stride, dilation = (
        per_axis(problem, *option) for option in (("padding", 0), ("stride", 1), ("dilation", 1))
    )
    geometry = (padding, stride, dilation, problem.options.get("groups", 1))
    reorder, compute = ops._reorder_convolution_weight, ops._convolution_pointwise
    if transposed(problem):
        geometry = (padding, per_axis(problem, "output_padding", 0), *geometry[1:])
        reorder = ops._reorder_convolution_transpose_weight
        compute = ops._convolution_transpose_pointwise
    packed = reorder(w, *geometry, list(x.shape))
    return functools.partial(compute, x, packed, b, *geometry, "none", [], "")


@peer("packed", needs=["torch"])
def torch_packed(problem, arrays, threads):
    import torch

    torch.set_num_threads(threads)
    if problem.rank == 1 or problem.dtype != "float32":
        return None
    return packed_call(problem, *torch_tensors(arrays))


@peer("packed_cl", needs=["torch"])
def torch_packed_channels_last(problem, arrays, threads):
    import torch

    torch.set_num_threads(threads)
    if problem.rank == 1 or problem.dtype != "float32":
        return None
    x, w, b = torch_tensors(arrays)
    return packed_call(problem, channels_last(x), w, b)


@peer("onnxruntime", needs=["onnxruntime", "onnx"])
def onnxruntime_session(problem, arrays, threads):
    return onnxruntime_call(problem, arrays, threads, None)


def onnxruntime_call(problem, arrays, threads, there):
    import onnxruntime

    if problem.dtype != "float32":  # its processor kernels know no other
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = onnx_model(problem, arrays, there)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return functools.partial(session.run, None, {"x": arrays.x})


def onnx_model(problem, arrays, there):
    """The operation, between transpositions if `there` says how to get channels first."""
    import onnx
    from onnx import helper, numpy_helper

    attributes = {
        "strides": per_axis(problem, "stride", 1),
        "pads": per_axis(problem, "padding", 0) * 2,
        "dilations": per_axis(problem, "dilation", 1),
        "group": problem.options.get("groups", 1),
    }
    if transposed(problem):
        attributes["output_padding"] = per_axis(problem, "output_padding", 0)
    operator = "ConvTranspose" if transposed(problem) else "Conv"
    if there is None:
        nodes = [helper.make_node(operator, ["x", "w", "b"], ["y"], **attributes)]
    else:
        nodes = [
            helper.make_node("Transpose", ["x"], ["first"], perm=there),
            helper.make_node(operator, ["first", "w", "b"], ["result"], **attributes),
            helper.make_node("Transpose", ["result"], ["y"], perm=back(problem.rank)),
        ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(problem.dtype))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, arrays.x.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(arrays.w, "w"), numpy_helper.from_array(arrays.b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()


# ---- forward, channels last ----


def without_layout(problem):
    """The same problem with its channels first, and the order of axes that takes x there."""
    first = problems.parse(problem.string.replace(f"_{LAST[problem.rank].lower()}", ""))
    return first, (0, problem.rank + 1, *range(1, problem.rank + 1))


def back(rank):
    """The order of axes that takes a result back."""
    return (0, *range(2, rank + 2), 1)


@peer("first", FORWARD_LAST)
def channels_first(problem, arrays, threads):
    first, there = without_layout(problem)
    x = np.ascontiguousarray(arrays.x.transpose(there))
    options = first.options | {"threads": threads}
    function = functools.partial(getattr(tconv, first.op), x, arrays.w, arrays.b, **options)
    return lambda: function().transpose(back(problem.rank))


@peer("torch", FORWARD_LAST, needs=["torch"])
def torch_transposing(problem, arrays, threads):
    import torch

    torch.set_num_threads(threads)
    first, there = without_layout(problem)
    function = getattr(torch.nn.functional, first.op)
    x, w, b = torch_tensors(arrays)

    def call():
        y = function(x.permute(there).contiguous(), w, b, **first.options)
        return y.permute(back(problem.rank)).contiguous()

    return call


@peer("torch_cl", FORWARD_LAST, needs=["torch"])
def torch_in_place(problem, arrays, threads):
    """torch sees by the strides that channels come last; there is no such format for signals."""
    import torch

    torch.set_num_threads(threads)
    first, there = without_layout(problem)
    function = getattr(torch.nn.functional, first.op)
    x, w, b = torch_tensors(arrays)
    w = channels_last(w)
    if w is None:
        return None
    return lambda: function(x.permute(there), w, b, **first.options).permute(back(problem.rank))


@peer("onnxruntime", FORWARD_LAST, needs=["onnxruntime", "onnx"])
def onnxruntime_transposing(problem, arrays, threads):
    first, there = without_layout(problem)
    return onnxruntime_call(first, arrays, threads, there)


# ---- backward ----


@peer("tconv", BACKWARD)
def functional_gradients(problem, arrays, threads, gradients):
    x, w, gy, options = arrays.x, arrays.w, arrays.gy, problem.options | {"threads": threads}
    of_input = getattr(tconv.grad, f"{problem.op}_input")
    of_weight = getattr(tconv.grad, f"{problem.op}_weight")
    calls = {
        "input": functools.partial(of_input, x.shape, w, gy, **options),
        "weight": functools.partial(of_weight, x, w.shape, gy, **options),
        "bias": functools.partial(tconv.grad.bias, gy, threads=threads),
    }
    chosen = [calls[name] for name in gradients]
    return lambda: [call() for call in chosen]


def backward_call(problem, x, w, gy, gradients):
    """What torch's autograd calls on the way back, without the forward call and the graph."""
    import torch

    return functools.partial(
        torch.ops.aten.convolution_backward,
        gy,
        x,
        w,
        [problem.output_channels],
        per_axis(problem, "stride", 1),
        per_axis(problem, "padding", 0),
        per_axis(problem, "dilation", 1),
        transposed(problem),
        per_axis(problem, "output_padding", 0),
        problem.options.get("groups", 1),
        [name in gradients for name in ("input", "weight", "bias")],
    )


@peer("torch", BACKWARD, needs=["torch"])
def torch_gradients(problem, arrays, threads, gradients):
    import torch

    torch.set_num_threads(threads)
    x, w, gy = (torch.from_numpy(array) for array in (arrays.x, arrays.w, arrays.gy))
    return backward_call(problem, x, w, gy, gradients)


@peer("torch_cl", BACKWARD, needs=["torch"])
def torch_gradients_channels_last(problem, arrays, threads, gradients):
    import torch

    torch.set_num_threads(threads)
    x, w, gy = (channels_last(torch.from_numpy(array)) for array in (arrays.x, arrays.w, arrays.gy))
    return None if x is None else backward_call(problem, x, w, gy, gradients)
