"""The contenders: every one turns a problem and its arrays into a call without arguments.

`prepare(problem, arrays, threads)` returns that call, or None where the contender cannot express
the problem. Whatever can be done ahead (packing, session building) is done there.
"""

import functools
import importlib.util
import io

import numpy as np

import tconv

PEERS = {}


def peer(name, needs=()):
    def register(prepare):
        if all(importlib.util.find_spec(module) for module in needs):
            PEERS[name] = prepare
        return prepare

    return register


class Arrays:
    """Random arrays of a problem."""

    def __init__(self, problem, seed=0):
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal(problem.input_shape, np.float32).astype(problem.dtype)
        self.w = rng.standard_normal(problem.weight_shape, np.float32).astype(problem.dtype)
        self.b = rng.standard_normal(problem.output_channels, np.float32).astype(problem.dtype)


@peer("tconv")
def functional(problem, arrays, threads):
    function = getattr(tconv, problem.op)
    return functools.partial(
        function, arrays.x, arrays.w, arrays.b, threads=threads, **problem.options
    )


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

    def values(name, default):
        value = problem.options.get(name, default)
        return list(value) if isinstance(value, tuple) else [value] * problem.rank

    groups = problem.options.get("groups", 1)
    geometry = (
        values("padding", 0),
        values("output_padding", 0),
        values("stride", 1),
        values("dilation", 1),
        groups,
    )
    ops = torch.ops.mkldnn
    packed = ops._reorder_convolution_transpose_weight(w, *geometry, list(x.shape))
    return functools.partial(
        ops._convolution_transpose_pointwise, x, packed, b, *geometry, "none", [], ""
    )


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
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = onnx_model(problem, arrays)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return functools.partial(session.run, None, {"x": arrays.x})


def onnx_model(problem, arrays):
    import onnx
    from onnx import helper, numpy_helper

    def values(name, default):
        value = problem.options.get(name, default)
        return list(value) if isinstance(value, tuple) else [value] * problem.rank

    node = helper.make_node(
        "ConvTranspose",
        ["x", "w", "b"],
        ["y"],
        strides=values("stride", 1),
        pads=values("padding", 0) * 2,
        output_padding=values("output_padding", 0),
        dilations=values("dilation", 1),
        group=problem.options.get("groups", 1),
    )
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(problem.dtype))
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kind, problem.input_shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(arrays.w, "w"), numpy_helper.from_array(arrays.b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()
