"""What vae_digits.py and dcgan_digits.py share: the images, pictures of them, a race with torch.

The images are scikit-learn's: 1797 digits written by hand, of 8x8 pixels and 17 shades. They are
taken to 16x16 by a transposed convolution: with stride 2, the outer product of (1, 3, 3, 1)/4 with
itself interpolates linearly, and fades to the background at the borders.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import tconv


def parse_arguments(description):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="seconds of training, to try it out")
    parser.add_argument("--compare", action="store_true", help="time steps, torch's too, and end")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files go")
    return parser.parse_args()


# ---- images ----


def load():
    """Images for training and others held out, (n, 1, 16, 16) from 0 to 1; then their labels."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    line = np.array([1, 3, 3, 1], np.float32) / 4
    images = tconv.conv_transpose2d(images, np.outer(line, line)[None, None], stride=2, padding=1)
    return train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)


def batches(images, size, rng):
    """All images once, shuffled, but for those that do not fill a batch."""
    order = rng.permutation(len(images))
    for start in range(0, len(images) - size + 1, size):
        yield images[order[start : start + size]]


def flat(images):
    """Each image as a row of a matrix."""
    return images.reshape(len(images), -1)


# ---- pictures ----


def show(axes, images, title, names):
    """Draw images (rows, columns, 1, height, width), and the names of the rows."""
    spaced = np.pad(images[:, :, 0], [(0, 0), (0, 0), (2, 2), (2, 2)])
    rows, columns, height, width = spaced.shape
    mosaic = spaced.swapaxes(1, 2).reshape(rows * height, columns * width)
    axes.imshow(mosaic, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_yticks((np.arange(len(names)) + 0.5) * height, names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def save_curves(path, curves):
    """Draw curves by their names, each point the mean of a fiftieth of the steps."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        window = max(1, len(values) // 50)
        axes.plot(np.convolve(values, np.full(window, 1 / window), "valid"), label=name)
    axes.set_xlabel("step")
    axes.legend()
    figure.savefig(path)


# ---- against torch ----


def twin(network):
    """The same network in torch: the repr of a layer is the call that makes it there."""
    import torch

    layers = [eval(repr(layer), vars(torch.nn)) for layer in network]
    copy = torch.nn.Sequential(*layers)
    copy.load_state_dict({name: torch.tensor(a) for name, a in network.state_dict().items()})
    return copy


def race(step, step_in_torch, rounds):
    """Print how far the losses of some steps are from torch's, and the milliseconds of a step.

    Three steps: Adam divides a gradient by its own size, so that rounding decides where tiny ones
    go, and a few steps later two builds of torch are as far from each other.
    """
    import torch

    losses = np.array([(step(), step_in_torch()) for _ in range(3)])
    difference = np.abs(losses[:, 0] / losses[:, 1] - 1).max()
    print(f"losses of 3 steps: at most {difference:.0e} from torch's, as a part of them")
    for threads in sorted({1, tconv.get_num_threads()}):
        torch.set_num_threads(threads)
        with tconv.threads(threads), threadpool_limits(threads):
            ours, theirs = medians((step, step_in_torch), rounds)
        print(
            f"{threads} thread{'s' * (threads > 1)}: a step takes {ours:.2f} ms, "
            f"in torch {theirs:.2f} ms: {theirs / ours:.2f} times as long"
        )


def medians(calls, rounds, block=4):
    """Milliseconds a call, of blocks in turn; a block's first call finds others' caches."""
    times = [[] for _ in calls]
    for _ in range(rounds):
        for call, mine in zip(calls, times, strict=True):
            mine += [seconds(call) for _ in range(block)][1:]
    return [1e3 * statistics.median(mine) for mine in times]


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
