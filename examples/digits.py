"""What the examples with digits share: the images, pictures of them, and a race against torch.

The images are scikit-learn's: 1797 digits written by hand, of 8x8 pixels and 17 shades. They are
upscaled to 16x16 here, by a transposed convolution: with stride 2 and the outer product of
(1, 3, 3, 1)/4 with itself it interpolates linearly, and fades to the background at the borders.
"""

import time

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import tconv

SIZE = 16


def load():
    """Images for training and others held out, (n, 1, 16, 16) from 0 to 1; then their labels."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    line = np.array([1, 3, 3, 1], np.float32) / 4
    images = tconv.conv_transpose2d(images, np.outer(line, line)[None, None], stride=2, padding=1)
    return train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)


def batches(images, size, rng):
    """All images once, shuffled; what does not fill a batch is left for another time."""
    order = rng.permutation(len(images))
    for start in range(0, len(images) - size + 1, size):
        yield images[order[start : start + size]]


def show(axes, rows, title):
    """Rows of images, (rows, columns, 1, 16, 16), as dark ink with some space between them."""
    height, width = rows.shape[:2]
    spaced = np.pad(rows[:, :, 0], [(0, 0), (0, 0), (2, 2), (2, 2)])
    mosaic = spaced.swapaxes(1, 2).reshape(height * (SIZE + 4), width * (SIZE + 4))
    axes.imshow(mosaic, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, loc="left")
    axes.axis("off")


def save_curves(path, curves):
    """Curves by their names, each smoothed over a fiftieth of its steps."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        window = max(1, len(values) // 50)
        axes.plot(np.convolve(values, np.full(window, 1 / window), "valid"), label=name)
    axes.set_xlabel("step")
    axes.legend()
    figure.savefig(path)
