"""Fast transposed convolution, convolution and their gradients on NumPy arrays.

>>> import numpy as np, tconv
>>> x = np.ones((1, 3, 8, 8), np.float32)     # a batch of images
>>> w = np.ones((3, 2, 4, 4), np.float32)     # (in, out, kernel height, kernel width)
>>> tconv.conv_transpose2d(x, w, stride=2, padding=1).shape
(1, 2, 16, 16)
"""

from typing import TYPE_CHECKING

from . import _openmp as _openmp  # before all others: it loads _core
from . import config, grad
from ._core import (
    Plan,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    get_num_threads,
    plan,
    set_num_threads,
)
from .config import show_config, threads
from .explanation import Explanation, explain, output_size
from .folding import fold, overlap_add, unfold
from .fusing import fuse_conv_bn
from .matrix import conv_matrix

__version__ = "0.1.0"

__all__ = [
    "Explanation",
    "Plan",
    "config",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_matrix",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "explain",
    "fold",
    "functional",
    "fuse_conv_bn",
    "get_num_threads",
    "grad",
    "nn",
    "output_size",
    "overlap_add",
    "plan",
    "problems",
    "reference",
    "set_num_threads",
    "show_config",
    "threads",
    "unfold",
    "viz",
]

if TYPE_CHECKING:
    from . import functional, nn, problems, reference, viz
else:
    _SUBMODULES = frozenset({"functional", "nn", "problems", "reference", "viz"})

    def __getattr__(name):
        """Import the submodules that few programs need when they are first asked for."""
        if name in _SUBMODULES:
            import importlib

            return importlib.import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *_SUBMODULES})


set_num_threads(config.available_threads())
