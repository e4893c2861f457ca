"""What all layers share: running in both directions, parameters and gradients, saving."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arguments import read_array

__all__ = ["Module"]

Array = NDArray[Any]


class Module:
    """A layer, or several of them: what can be run, run backwards, trained and saved.

    A class of your own calls ``super().__init__()``, sets its layers as attributes, and defines
    ``forward`` and, to be trained, ``backward``.

    Attributes
    ----------
    training : bool
        Whether ``forward`` keeps what ``backward`` needs; True until `eval` is called.

    Examples
    --------
    >>> import numpy as np
    >>> from tconv import nn
    >>> class Residual(nn.Module):
    ...     def __init__(self, channels, rng=None):
    ...         super().__init__()
    ...         self.conv = nn.Conv1d(channels, channels, 3, padding=1, rng=rng)
    ...     def forward(self, input):
    ...         return input + self.conv(input)
    ...     def backward(self, grad_output, *, input=True, parameters=True):
    ...         return grad_output + self.conv.backward(grad_output, parameters=parameters)
    >>> layer = Residual(2)
    >>> layer
    Residual(
      (conv): Conv1d(2, 2, kernel_size=(3,), stride=(1,), padding=(1,))
    )
    >>> list(layer.parameters())
    ['conv.weight', 'conv.bias']
    """

    # Attributes that are arrays or None: what is trained, and what is only saved.
    parameter_names: tuple[str, ...] = ()
    buffer_names: tuple[str, ...] = ()
    # Whether forward() has a keyword ``activation``.
    applies_activations = False

    def __init__(self) -> None:
        self.training = True
        self._gradients: dict[str, Array] = {}
        self._kept: Any = None

    # ---- running ----

    def __call__(self, input: Any, **options: Any) -> Any:
        return self.forward(input, **options)

    def forward(self, input: Any) -> Any:
        """The output; in training, what `backward` needs of it is kept until the next call."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def backward(self, grad_output: Any, *, input: bool = True, parameters: bool = True) -> Any:
        """The gradient with respect to the input of the last call of `forward`.

        Parameters
        ----------
        grad_output : ndarray
            The gradient of the loss with respect to the output of that call.
        input : bool
            Whether the gradient with respect to the input is wanted: not for a network's first
            layer.
        parameters : bool
            Whether gradients of the parameters are added to `grads`: not where the loss of one
            network goes through another one, as a generator's does through the discriminator.

        Returns
        -------
        ndarray or None
            None unless `input` is wanted.
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward()")

    def _recall(self) -> Any:
        """What the last forward pass kept."""
        if self._kept is None:
            raise RuntimeError(
                f"{type(self).__name__}: backward needs a forward pass in training mode before it"
            )
        return self._kept

    def _add_gradient(self, name: str, gradient: Array) -> None:
        if name in self._gradients:
            self._gradients[name] += gradient
        else:
            self._gradients[name] = gradient

    def train(self, mode: bool = True) -> Module:
        """Go into training mode, or out of it and forget what `backward` would need."""
        for _, module in self.modules():
            module.training = mode
            module._kept = None
        return self

    def eval(self) -> Module:
        """Go out of training mode: ``train(False)``."""
        return self.train(False)

    # ---- parameters ----

    def children(self) -> Iterator[tuple[str, Module]]:
        """Name and layer of each layer that is an attribute, in the order they were set."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each with what its names begin with in a state dict."""
        yield prefix, self
        for name, child in self.children():
            yield from child.modules(f"{prefix}{name}.")

    def parameters(self) -> dict[str, Array]:
        """Name and array of each parameter: the arrays themselves, to be changed in place."""
        return {
            prefix + name: getattr(module, name)
            for prefix, module in self.modules()
            for name in module.parameter_names
            if getattr(module, name) is not None
        }

    @property
    def grads(self) -> dict[str, Array]:
        """Gradients under the names of the parameters, of those that have one."""
        return {
            prefix + name: gradient
            for prefix, module in self.modules()
            for name, gradient in module._gradients.items()
        }

    def zero_grad(self) -> None:
        """Forget all gradients; until then `backward` adds to them."""
        for _, module in self.modules():
            module._gradients.clear()

    # ---- saving ----

    def state_dict(self) -> dict[str, Array]:
        """Parameters and running statistics under torch's names: the arrays themselves."""
        return {
            prefix + name: getattr(module, name)
            for prefix, module in self.modules()
            for name in module.parameter_names + module.buffer_names
            if getattr(module, name) is not None
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy arrays, or tensors of torch, into those of this module.

        Parameters
        ----------
        state_dict : mapping of str to array_like
        strict : bool
            Whether the names must be those of `state_dict`, all of them and no others.

        Raises
        ------
        ValueError
            For names or shapes that differ; nothing has been copied then.
        TypeError
            For numbers of another kind, such as complex ones.
        """
        own = self.state_dict()
        where = f"{type(self).__name__}.load_state_dict"
        missing, unexpected = sorted(own.keys() - state_dict), sorted(state_dict.keys() - own)
        if strict and (missing or unexpected):
            raise ValueError(
                f"{where}: the names differ: missing {missing}, unexpected {unexpected}"
            )
        new = {
            name: read_array(where, name, state_dict[name]) for name in own if name in state_dict
        }
        for name, array in new.items():
            if array.shape != own[name].shape:
                raise ValueError(
                    f"{where}: {name} must have shape {own[name].shape}, got {array.shape}"
                )
            if not np.can_cast(array.dtype, own[name].dtype, "same_kind"):
                raise TypeError(
                    f"{where}: {name} has dtype {array.dtype}, which does not fit {own[name].dtype}"
                )
        for name, array in new.items():
            np.copyto(own[name], array, casting="same_kind")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `state_dict` to a file in the format of safetensors, which torch reads too.

        Raises
        ------
        ImportError
            Without the package safetensors.
        """
        state = {name: np.array(array, order="C") for name, array in self.state_dict().items()}
        _safetensors("save").save_file(state, os.fspath(path))

    def load(self, path: str | os.PathLike[str], strict: bool = True) -> None:
        """Read the file of `save`, or one written from a state dict of torch.

        Raises
        ------
        ImportError
            Without the package safetensors.
        """
        self.load_state_dict(_safetensors("load").load_file(os.fspath(path)), strict)

    # ---- in words ----

    def extra_repr(self) -> str:
        """What stands in the brackets of `repr`, before the layers."""
        return ""

    def __repr__(self) -> str:
        lines = [self.extra_repr()] if self.extra_repr() else []
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.children()]
        if children:
            lines = ["", *(f"  {line}" for line in lines + children), ""]
        return f"{type(self).__name__}({chr(10).join(lines)})"


def _safetensors(method: str) -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"Module.{method} needs safetensors; install it, or tconv with its extra: "
            "pip install 'tconv[nn]'"
        ) from error
    return safetensors.numpy
