"""What a model's layer emits for stimuli: loading models, tapping layers, keeping the results.

The names of `__all__` are what other people's code needs; each is imported when it is first
used, so that reading a store loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimicry.activations.extract import Settings
    from mimicry.activations.extraction import extract_activations
    from mimicry.activations.models import load_model
    from mimicry.activations.reading import open_activations, open_store
    from mimicry.activations.registry import read_registry
    from mimicry.activations.stimuli import read_catalogue, read_stimuli

__all__ = [
    "Settings",
    "extract_activations",
    "load_model",
    "open_activations",
    "open_store",
    "read_catalogue",
    "read_registry",
    "read_stimuli",
]

# Modules by their last name alone: packing follows full names into scoring programs.
_HOMES = {
    "Settings": "extract",
    "extract_activations": "extraction",
    "load_model": "models",
    "open_activations": "reading",
    "open_store": "reading",
    "read_catalogue": "stimuli",
    "read_registry": "registry",
    "read_stimuli": "stimuli",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
