"""The registry: the file that names the models of a competition.

A JSON list with one object per model and layer, as ``registry.schema.json`` beside this
module describes it. The registry of the 2026 challenge is read as it was published: its
``embedding: flatten`` is the pooling ``flatten``, which keeps whatever the layer emits, and
its entries say nothing of interpolation (see `mimicry.activations.models.resolve_entry`).
"""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mimicry.activations.entries import (
    INTERPOLATIONS,
    POOLINGS,
    SOURCES,
    Interpolation,
    ModelEntry,
    Pooling,
    Preprocess,
    Source,
    entries_of,
    entry_document,
    repetitions,
)
from mimicry.errors import BundleError
from mimicry.files import write_atomically

__all__ = [
    "INTERPOLATIONS",
    "POOLINGS",
    "SOURCES",
    "Interpolation",
    "ModelEntry",
    "Pooling",
    "Preprocess",
    "Source",
    "entries_of",
    "entry_document",
    "read_registry",
    "registry_faults",
    "write_registry",
]

LARGEST_FILE = 32 * 1024 * 1024
FAULTS_SHOWN = 20


def read_registry(path: str | os.PathLike[str]) -> tuple[ModelEntry, ...]:
    """Read and check a registry.

    Parameters
    ----------
    path : path
        The JSON file; UTF-8, at most 32 MiB.

    Returns
    -------
    tuple of ModelEntry
        In the file's order.

    Raises
    ------
    BundleError
        ``registry-unreadable`` where there is no such file or it is not strict JSON
        (repeated keys, NaN and numbers beyond a float's range are none either);
        ``registry-invalid`` with every fault, each with the index and name of its entry;
        ``library-missing`` without the library jsonschema.
    """
    path = Path(path)
    document = _read_json(path)
    if faults := registry_faults(document):
        shown = "; ".join(faults[:FAULTS_SHOWN])
        more = len(faults) - FAULTS_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        raise BundleError("registry-invalid", f"{path.name} cannot be used: {shown}{rest}.")
    return entries_of(document)


def write_registry(path: Path, entries: Iterable[ModelEntry]) -> None:
    """Write the entries to `path` in the canonical form, which `read_registry` reads back."""
    documents = [entry_document(entry) for entry in entries]
    text = json.dumps(documents, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def registry_faults(document: object) -> list[str]:
    """Return all that is wrong with a registry, one phrase each; nothing if all is well.

    Parameters
    ----------
    document : object
        What JSON gave.

    Raises
    ------
    BundleError
        ``library-missing`` without the library jsonschema.
    """
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise BundleError(
            "library-missing",
            "checking a registry needs the library jsonschema: pip install jsonschema.",
        ) from error
    schema = json.loads(Path(__file__).with_name("registry.schema.json").read_text("utf-8"))
    found = sorted(
        Draft202012Validator(schema).iter_errors(document),
        key=lambda error: [str(part).zfill(6) for part in error.absolute_path],
    )
    # Which keys go together can only be asked of an object.
    faults = [
        _phrase(error, document)
        for error in found
        if isinstance(error.instance, dict) or error.validator not in {"oneOf", "not"}
    ]
    if isinstance(document, list):
        faults += repetitions(document)
    # One thing may break several rules of the schema that come out as the same phrase.
    return list(dict.fromkeys(faults))


def _phrase(error: Any, document: object) -> str:
    """Return one fault found by the schema in words."""
    path = list(error.absolute_path)
    where = "the registry"
    if path and isinstance(document, list):
        item = document[path[0]]
        name = item.get("model_name") if isinstance(item, dict) else None
        where = f"entry {path[0]}" + (f" ({name[:100]})" if isinstance(name, str) else "")
    # Counted places inside a list (mean, std, model_parameters) read best as one name.
    field = ".".join(str(part) for part in path[1:])
    subject = f"{where}: {field} " if field else f"{where}: "
    return (subject + _complaint(error)).strip()


def _complaint(error: Any) -> str:
    value = error.instance
    shown = json.dumps(value, ensure_ascii=False, default=str)[:60]
    match error.validator:
        case "oneOf":
            return 'give one of "pooling" and the 2026 key "embedding"'
        case "not":
            return '"entry_point" is for the source custom alone'
        case "required":
            missing = [f'"{key}"' for key in error.validator_value if key not in value]
            return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            extra = ", ".join(json.dumps(key[:60]) for key in value if key not in known)
            return f"unknown key {extra}"
        case "anyOf":
            return "must be text, a number, true, false, null or a list of these"
        case "enum":
            return f"is {shown}, must be one of {', '.join(map(str, error.validator_value))}"
        case "const":
            return f"is {shown}, must be {error.validator_value}"
        case "type":
            kinds = error.validator_value
            kinds = [kinds] if isinstance(kinds, str) else kinds
            return f"is {shown}, must be {' or '.join(kinds)}"
        case "pattern":
            return f"{shown} has characters that do not belong there"
        case "minItems" | "maxItems":
            return f"has {len(value)} items, {error.validator} is {error.validator_value}"
        case "minLength" | "maxLength":
            return f"has {len(value)} characters, {error.validator} is {error.validator_value}"
        case _:
            return f"is {shown}, {error.validator} is {error.validator_value}"


def _read_json(path: Path) -> object:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise BundleError(
            "registry-unreadable", f"the registry {path} cannot be read: {error.strerror}."
        ) from error
    if len(data) > LARGEST_FILE:
        raise BundleError(
            "registry-unreadable", f"the registry {path.name} is larger than 32 MiB: split it."
        )
    try:
        document: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_float,
        )
    except RecursionError as error:
        raise BundleError(
            "registry-unreadable", f"{path.name} is no registry: it is nested too deeply."
        ) from error
    except ValueError as error:
        raise BundleError(
            "registry-unreadable", f"{path.name} is no strict JSON: {error}"
        ) from error
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value
