"""Importing the model libraries, and their faults in our words."""

import difflib
import importlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from mimicry.activations import torchvision_compat
from mimicry.activations.entries import ModelEntry
from mimicry.errors import BundleError

_PACKAGES = {"open_clip": "open-clip-torch"}


def library(name: str) -> ModuleType:
    """Import timm, open_clip or torchvision, also beside a CPU build of torch.

    Raises
    ------
    BundleError
        ``library-missing``.
    """
    torchvision_compat.install()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(name, name)
        raise BundleError(
            "library-missing",
            f"the registry has models of {name}, which needs {error.name}: pip install {package}.",
        ) from error


def unknown_model(entry: ModelEntry, known: Iterable[str]) -> BundleError:
    """Return the error for a name that the source does not know, with the nearest ones."""
    near = difflib.get_close_matches(entry.model_name, list(known), n=3, cutoff=0.6)
    hint = f"; similar: {', '.join(near)}" if near else ""
    return BundleError(
        "model-unknown",
        f"the installed {entry.source} knows no model {entry.model_name!r}{hint}. Mend the "
        f"name, or install the version of {entry.source} that the competition pins.",
    )


def unknown_tag(entry: ModelEntry, tags: Iterable[str]) -> BundleError:
    """Return the error for weights that the source does not have for the model."""
    known = ", ".join(list(tags)[:20]) or "none"
    return BundleError(
        "weights-unknown",
        f"{entry.source} has no weights {entry.weights!r} for {entry.model_name}; it has {known}.",
    )


def refuse_reserved(entry: ModelEntry, reserved: Iterable[str]) -> None:
    """Refuse model_parameters that would load weights past the key ``weights``."""
    if found := sorted(set(entry.model_parameters) & set(reserved)):
        raise BundleError(
            "model-not-built",
            f"{entry.model_name}: model_parameters may not hold {', '.join(found)}: what is "
            "loaded is said by weights.",
        )


def build(entry: ModelEntry, make: Callable[[], Any], *, pretrained: bool) -> Any:
    """Call a library's function that makes a model, and put its faults in our words.

    Raises
    ------
    BundleError
        ``weights-unavailable`` when pretrained weights were asked for, else
        ``model-not-built``.
    """
    try:
        return make()
    except BundleError:
        raise
    except Exception as error:  # what libraries and the network raise is an open set
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        if pretrained and not isinstance(error, TypeError):
            raise BundleError(
                "weights-unavailable",
                f"the weights {entry.weights!r} of {entry.model_name} could not be had "
                f"({reason}): connect this machine to the network once, or copy the library's "
                "cache of weights here.",
            ) from error
        raise BundleError(
            "model-not-built",
            f"{entry.source} does not build {entry.model_name} with these model_parameters "
            f"({reason}).",
        ) from error
