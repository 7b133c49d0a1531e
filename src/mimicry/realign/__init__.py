"""Re-Align: Blue and Red submissions, their rules, scores and search."""

from pathlib import Path


def schemas_folder() -> Path:
    """Return the folder of the published JSON schemas, ``blue`` and ``red.schema.json``."""
    return Path(__file__).with_name("schemas")
