"""Taps: what named modules of a model emit, without computing what comes after them.

A layer is a module's path, as ``model.named_modules()`` lists it. The empty path, or
``output`` where the model has no module of that name, is what the model itself returns.
"""

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from mimicry.errors import BundleError

# Modules that the pinned library calls otherwise than the 2026 registry does, by source,
# family of architectures (the library's module that defines them) and layer.
ALIASES: Mapping[tuple[str, str, str], str] = {
    # timm renamed it between 1.0.24 and 1.0.31.
    ("timm", "convmixer", "pooling"): "global_pool",
}


class _Enough(BaseException):
    """Ends a forward pass; no ``except Exception`` in a model may swallow it."""


class Taps:
    """Taps on some modules of a model.

    Parameters
    ----------
    model : torch.nn.Module
        The model; its hooks stay until `remove`.
    paths : sequence of str
        The modules' paths.

    Raises
    ------
    BundleError
        ``layer-unknown`` with the most similar paths.
    """

    def __init__(self, model: nn.Module, paths: Sequence[str]) -> None:
        self._model = model
        self._paths = tuple(paths)
        self._caught: dict[int, Tensor] = {}
        self._times = [0] * len(self._paths)
        self._active = False
        self._early = True
        modules = [find_module(model, path) for path in self._paths]
        self._hooks = [
            module.register_forward_hook(partial(self._catch, index))
            for index, module in enumerate(modules)
        ]

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Return what the modules emit for `batch`, in the order of the paths.

        The forward pass ends as soon as every module has emitted once.

        Raises
        ------
        BundleError
            ``layer-silent`` when a module was not called, ``layer-output`` when it emits
            something else than one tensor of real numbers with the batch first.
        """
        try:
            self._caught.clear()
            self._times = [0] * len(self._paths)
            self._active = True
            with contextlib.suppress(_Enough):
                self._model(batch)
            for index, path in enumerate(self._paths):
                if index not in self._caught:
                    raise BundleError(
                        "layer-silent",
                        f"the layer {path!r} takes no part in the model's forward pass: "
                        "name another one, such as the module around it.",
                    )
            outputs = tuple(self._caught[index] for index in range(len(self._paths)))
        finally:
            self._active = False
            self._caught.clear()
        for path, output in zip(self._paths, outputs, strict=True):
            _check_batch(output, len(batch), path)
        return outputs

    def whole(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Return the same after a whole forward pass, which shows what a short one cannot.

        Raises
        ------
        BundleError
            As a call does; ``layer-repeats`` when a module is called several times in one
            pass, so that there is no such thing as its output.
        """
        self._early = False
        try:
            outputs = self(batch)
        finally:
            self._early = True
        for path, times in zip(self._paths, self._times, strict=True):
            if times > 1:
                raise BundleError(
                    "layer-repeats",
                    f"the layer {path!r} is called {times} times in one forward pass, so its "
                    "output is not one thing: name a module that is called once.",
                )
        return outputs

    def remove(self) -> None:
        """Take the hooks off the model."""
        for hook in self._hooks:
            hook.remove()

    def _catch(self, index: int, module: nn.Module, arguments: Any, output: Any) -> None:
        # Others may use the model too, or have taps of their own on it.
        if not self._active:
            return
        self._times[index] += 1
        if index in self._caught:
            return
        tensor = _one_tensor(output, self._paths[index])
        last = len(self._caught) == len(self._paths) - 1
        # A later module may write into this tensor (ReLU in place) unless the pass ends here.
        self._caught[index] = tensor if last and self._early else tensor.clone()
        if last and self._early:
            raise _Enough


def find_module(model: nn.Module, path: str) -> nn.Module:
    """Return the module at `path`; ``output`` and the empty path mean the model itself.

    Raises
    ------
    BundleError
        ``layer-unknown`` with the most similar paths.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if path in modules:
        return modules[path]
    if path == "output":
        return model
    near = difflib.get_close_matches(path, modules, n=3, cutoff=0.5)
    tail = path.rpartition(".")[2]
    near += [name for name in modules if name.rpartition(".")[2] == tail and name not in near][:3]
    near = near or [name for name, _ in model.named_children()][-5:]
    raise BundleError(
        "layer-unknown",
        f"{type(model).__name__} has no layer {path!r}; it has {', '.join(near) or 'no modules'}.",
    )


def _one_tensor(output: Any, path: str) -> Tensor:
    if isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    if isinstance(output, Tensor):
        if not output.is_floating_point():
            raise BundleError(
                "layer-output", f"the layer {path!r} emits {output.dtype}, no real numbers."
            )
        return output
    if isinstance(output, Mapping):
        what = "a mapping of " + ", ".join(str(key) for key in output)
    elif isinstance(output, list | tuple):
        what = f"{len(output)} things (" + ", ".join(type(part).__name__ for part in output) + ")"
    else:
        what = f"a {type(output).__name__}"
    raise BundleError(
        "layer-output",
        f"the layer {path!r} emits {what}, not one tensor: name a module inside or after it.",
    )


def _check_batch(output: Tensor, batch: int, path: str) -> None:
    if output.ndim < 2 or output.shape[0] != batch:
        raise BundleError(
            "layer-output",
            f"the layer {path!r} emits the shape {tuple(output.shape)} for {batch} images: the "
            "first dimension must be the images. Name another layer.",
        )
