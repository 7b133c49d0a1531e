"""The parsers that are given hostile bytes, each a module of this folder."""

import importlib
from types import ModuleType

TARGETS = (
    "predictions",
    "reference",
    "ingestion_record",
    "blue",
    "red",
    "requirements",
    "allowed_packages",
    "competition",
    "metadata",
    "phase_settings",
    "run_record",
    "messages",
    "submission_zip",
    "rules",
    "registry",
    "catalogue",
    "matrix",
    "scores_file",
    "sealed",
    "model_code",
)
LONGEST_INPUT = 4096


def load(name: str) -> ModuleType:
    """Import a target.

    Returns
    -------
    module
        With ``one_input``, which raises where a property does not hold; ``judge``, which
        returns the outcome too; seeds that are accepted (``VALID``) and refused
        (``NASTY``); ``WORDS`` for a dictionary; ``SHARE``, the target's part of many inputs.
    """
    return importlib.import_module(f"fuzz_{name}")


def longest(target: ModuleType) -> int:
    """Return how many bytes an input of a target may have."""
    return int(getattr(target, "LONGEST", LONGEST_INPUT))
