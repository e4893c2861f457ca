"""A network on signals of shape (N, L, C) that doubles their length layer by layer.

    python examples/upsample_nlc.py [--layers 4] [--threads 2]

Each layer convolves (N, L, C) to (N, L, 2C) with "same" padding and reads the result as (N, 2L, C):
sample 0 becomes samples 0 and 1, sample 1 becomes 2 and 3. With `layout="NLC"` that reading is a
view. A framework whose convolution wants (N, C, L) transposes before it and after, and the reshape
copies too.

The example runs the network with tconv and counts the copies of a layer's arrays that were avoided;
if torch is installed, it runs the same network there, compares the results, and times both.
"""

import argparse
import time

import numpy as np

import tconv

KERNEL = 5


def main():
    arguments = parse_arguments()
    x, weights = make_network(arguments.layers)
    result, copies = with_tconv(x, weights, arguments.threads)
    print(f"tconv: {x.shape} -> {result.shape}, {copies} copies in {len(weights)} layers")
    compare_with_torch(x, weights, result, arguments)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=tconv.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15, help="of the timing")
    return parser.parse_args()


def make_network(layers, batch=4, length=256, channels=64, seed=0):
    """An input and weights (out, in, kernel) that keep its size about the same."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, length, channels), np.float32)
    scale = np.float32((2 / (channels * KERNEL)) ** 0.5)
    shape = (2 * channels, channels, KERNEL)
    return x, [scale * rng.standard_normal(shape, np.float32) for _ in range(layers)]


def with_tconv(x, weights, threads):
    """The network's result, and how many arrays were copied on the way."""
    copies = 0
    for weight in weights:
        y = tconv.conv1d(
            x, weight, padding="same", layout="NLC", activation="relu", threads=threads
        )
        n, length, channels = y.shape
        x = y.reshape(n, 2 * length, channels // 2)
        copies += not np.shares_memory(x, y)
    return x, copies


def with_torch(x, weights):
    """The same in torch: three copies a layer."""
    import torch

    for weight in weights:
        y = torch.nn.functional.conv1d(x.transpose(1, 2).contiguous(), weight, padding=KERNEL // 2)
        y = torch.relu(y).transpose(1, 2).contiguous()
        n, length, channels = y.shape
        x = y.reshape(n, 2 * length, channels // 2)
    return x


def compare_with_torch(x, weights, result, arguments):
    try:
        import torch
    except ImportError:
        print("torch is not installed: nothing to compare with")
        return
    torch.set_num_threads(arguments.threads)
    tensors = [torch.from_numpy(weight) for weight in weights]
    tensor = torch.from_numpy(x)
    other = with_torch(tensor, tensors).numpy()
    print(f"torch: differs by at most {np.abs(result - other).max():.1e}")
    calls = {
        "tconv": lambda: with_tconv(x, weights, arguments.threads),
        "torch": lambda: with_torch(tensor, tensors),
    }
    times = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    ours, theirs = (float(np.median(times[name])) for name in calls)
    print(
        f"tconv {ours * 1e3:.2f} ms, torch {theirs * 1e3:.2f} ms: {theirs / ours:.2f} times faster"
    )


def seconds(call):
    call()  # the other one's threads and caches are out of the way
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
