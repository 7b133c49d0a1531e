"""Let ``import torchvision`` succeed beside a CPU build of torch.

The registry's torchvision is built against a CUDA torch. Beside a CPU torch its binary
part cannot be loaded, its operators are not registered, and the import ends with
"operator torchvision::nms does not exist"; timm and open_clip end with it. Declaring the
two operators' schemas is enough for the rest of the library: models and transforms then
work, while torchvision's own ``nms``, ``roi_*`` operators and image decoding do not.

All that `install` does is to put one finder in front; the real import is tried first, and
the cure applied when it fails for that reason. The container image gets a copy of this
module by itself (docker/build.py), hence the standard library and torch alone, and no
import before the finder is asked: the copy is loaded at every start of Python.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

SYMPTOM = "operator torchvision::nms does not exist"
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# torch drops the declarations together with the object that made them.
_declared: list[Any] = []


def declare() -> None:
    """Declare the schemas of torchvision's operators, without implementations."""
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in SCHEMAS:
        library.define(schema)
    _declared.append(library)


class _Loader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        try:
            self._loader.exec_module(module)
        except RuntimeError as error:
            if SYMPTOM not in str(error) or _declared:
                raise
            # What was imported half must be imported anew.
            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            declare()
            self._loader.exec_module(module)


class Finder:
    """Finds torchvision, and nothing else, with the loader above around its own."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of torchvision, or None for every other module."""
        if name != "torchvision":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


def install() -> None:
    """Put the finder in front, once."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
