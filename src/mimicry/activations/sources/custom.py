"""An organiser's own models, made by a function that the registry names.

``package.module:function`` is imported as usual; ``file.py:function`` is a file below the
registry's folder. The function gets `model_parameters` as keyword arguments and returns a
``torch.nn.Module`` that takes a float32 batch (images, 3, crop, crop). Of an entry whose
weights are neither ``random:SEED`` nor ``file:PATH`` it gets the word as ``weights`` and
has to load them itself.

The function runs with all the rights of whoever extracts: it is the organiser's code.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from torch import nn

from mimicry.activations.entries import ModelEntry
from mimicry.activations.sources.libraries import refuse_reserved
from mimicry.activations.sources.record import SourceRecord
from mimicry.errors import BundleError


def describe(entry: ModelEntry) -> SourceRecord:
    """Return what is known of a custom model: the word for its weights."""
    return SourceRecord(tag=None if ":" in entry.weights else entry.weights, interpolation=None)


def make(entry: ModelEntry, *, pretrained: bool, root: Path) -> nn.Module:
    """Call the entry point.

    Raises
    ------
    BundleError
        ``entry-point-unknown`` when there is no such file, module or function;
        ``entry-point-failed`` when it raises or returns no module.
    """
    refuse_reserved(entry, ("weights",))
    function = _function(entry, root)
    arguments = dict(entry.model_parameters)
    if pretrained:
        arguments["weights"] = entry.weights
    try:
        model = function(**arguments)
    except Exception as error:  # an organiser's code may raise anything
        raise _failed(entry, f"raised {type(error).__name__}: {str(error)[:300]}") from error
    if not isinstance(model, nn.Module):
        raise _failed(entry, f"returned a {type(model).__name__}, no torch.nn.Module")
    return model


def _function(entry: ModelEntry, root: Path) -> Callable[..., Any]:
    where, _, name = (entry.entry_point or "").rpartition(":")
    function = getattr(module_of(entry, root), name, None)
    if not callable(function):
        raise _unknown(entry, f"{where} has no function {name}")
    return function  # type: ignore[no-any-return]


def module_of(entry: ModelEntry, root: Path) -> ModuleType:
    """Return the module of the entry point, imported if it is not yet.

    Raises
    ------
    BundleError
        ``entry-point-unknown``, ``entry-point-failed``.
    """
    where = (entry.entry_point or "").rpartition(":")[0]
    return _file_module(entry, where, root) if where.endswith(".py") else _module(entry, where)


def _module(entry: ModelEntry, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _unknown(entry, f"there is no module {error.name}") from error
    except Exception as error:  # an organiser's code may raise anything
        raise _failed(entry, f"could not be imported: {type(error).__name__}: {error}") from error


def _file_module(entry: ModelEntry, name: str, root: Path) -> ModuleType:
    path = root.joinpath(*PurePosixPath(name).parts)
    if not path.is_file():
        raise _unknown(entry, f"there is no file {name} below the registry's folder")
    # Two registries may each have a file of this name.
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module_name = f"mimicry_entry_point_{place}_{path.stem}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # an organiser's code may raise anything
        sys.modules.pop(module_name, None)
        if not isinstance(error, Exception):
            raise
        raise _failed(entry, f"could not be imported: {type(error).__name__}: {error}") from error
    return module


def _unknown(entry: ModelEntry, reason: str) -> BundleError:
    return BundleError(
        "entry-point-unknown",
        f"{entry.model_name}: the entry point {entry.entry_point} is not there ({reason}).",
    )


def _failed(entry: ModelEntry, what: str) -> BundleError:
    return BundleError(
        "entry-point-failed", f"{entry.model_name}: the entry point {entry.entry_point} {what}."
    )
